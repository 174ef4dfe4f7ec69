//! Bytes as the kernel's sockets might give them: they are read, or passed over.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let read = neph_sensor::fuzzing::netlink(bytes);
    // Every event takes a datagram, and every message of one at least its header.
    assert!(read <= bytes.len());
});
