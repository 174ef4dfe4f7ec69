//! What clients send, mutated: nothing fails, and what must hold holds. The fuzz target does the same with more patience.

#![expect(
    clippy::indexing_slicing,
    reason = "the lints know test functions only, not what these call"
)]

use neph_ingest::fuzzing;

const SEEDS: &[&[u8]] = &[
    b"{\"create\":{\"_index\":\"logs-a\",\"_id\":\"1\"}}\n{\"a\":[1,{\"b\":\"\\u00e9\\n\"}],\"c\":-1.5e3}\n{\"update\":{}}\n{\"doc\":{\"x\":null}}\n",
    b"{\"event\":{\"a\":1},\"time\":1700000000.5,\"host\":\"h\",\"sourcetype\":\"s\",\"fields\":{\"k\":[true,false]}} {\"event\":\"text\"}\nline\r\n",
    b"<13>Nov 22 07:00:00 host prog[1]: text\n34 <13>1 - h p - - - a message of them5 <1>a\n0 x\0<1>b",
    b"{\"resourceLogs\":[{\"resource\":{\"attributes\":[]},\"scopeLogs\":[{\"scope\":{},\"logRecords\":[{\"body\":{\"stringValue\":\"x\"}}]}]}]}",
    b"\x0a\x33\x0a\x12\x0a\x10\x0a\x04name\x12\x08\x0a\x06\xc3\xbc\"abc\x12\x1d\x0a\x03\x0a\x01s\x12\x16\x09\x01\x02\x03\x04\x05\x06\x07\x08\x2a\x05\x0a\x03abc\x4a\x04\x01\x02\x03\x04",
    b"[{\"a\":\"\\ud83d\\ude00\"},[[[[]]]],{},\"\",0,-0.1E-5,true,null]",
];

struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % most.max(1) as u64) as usize
    }
}

/// Changes a few places: bytes, numbers of them, parts of another seed.
fn mutate(random: &mut Random, seed: &[u8]) -> Vec<u8> {
    let mut out = seed.to_vec();
    for _ in 0..=random.below(6) {
        let at = random.below(out.len() + 1);
        match random.below(6) {
            0 if at < out.len() => out[at] = random.below(256) as u8,
            1 => out.insert(at, b"{}[]\"\\,: \n0<1\x00\xff"[random.below(15)]),
            2 if at < out.len() => drop(out.remove(at)),
            3 => out.truncate(at),
            4 => {
                let other = SEEDS[random.below(SEEDS.len())];
                let part = &other[random.below(other.len())..];
                out.splice(at..at, part.iter().copied());
            }
            _ => {
                let from = random.below(out.len() + 1);
                let part = out[from.min(at)..from.max(at)].to_vec();
                out.splice(at..at, part);
            }
        }
    }
    out
}

#[test]
fn mutated_bodies_are_cut_without_failing() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for round in 0..10_000 {
        let bytes = mutate(&mut random, SEEDS[round % SEEDS.len()]);
        fuzzing::bulk(&bytes);
        fuzzing::hec(&bytes);
        fuzzing::otlp(&bytes);
        fuzzing::json(&bytes);
        let whole = fuzzing::syslog(&bytes, bytes.len(), 40);
        for step in [1, 7] {
            assert_eq!(
                whole,
                fuzzing::syslog(&bytes, step, 40),
                "{:?}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }
}
