//! What clients send, cut into records by each protocol: it must not fail, and everything cut out must be what came.

#![no_main]

use libfuzzer_sys::fuzz_target;
use neph_ingest::fuzzing;

fuzz_target!(|input: &[u8]| {
    let Some((kind, bytes)) = input.split_first() else { return };
    match kind % 5 {
        0 => fuzzing::bulk(bytes),
        1 => {
            // A stream cut at other places gives the same messages.
            let whole = fuzzing::syslog(bytes, bytes.len(), 200);
            assert_eq!(whole, fuzzing::syslog(bytes, 1, 200));
            assert_eq!(whole, fuzzing::syslog(bytes, 7, 200));
        }
        2 => fuzzing::hec(bytes),
        3 => fuzzing::otlp(bytes),
        _ => fuzzing::json(bytes),
    }
});
