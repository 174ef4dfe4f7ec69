//! Bytes as the programs in the kernel might write them to the ring: they are read, or passed over.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let read = neph_sensor::fuzzing::records(bytes);
    // Every record takes its length before it.
    assert!(read <= bytes.len());
});
