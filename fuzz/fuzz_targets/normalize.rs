//! Any bytes as vendor records of any source: normalising never panics, and what comes out is JSON that rows are read
//! from. The first byte names the source, or none; `NEPH_FUZZ_SOURCES` (names, with commas between) leaves it these.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use neph_event::{Field, FieldType, Instant, Row, Slots};
use neph_normalize::{Clock, Joiner, Normalizer, sources};

/// The names of the sources that this run is for.
static NAMES: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let wanted = std::env::var("NEPH_FUZZ_SOURCES").unwrap_or_default();
    let names = sources().iter().map(|info| info.name);
    names
        .filter(|name| wanted.is_empty() || wanted.split(',').any(|one| one == *name))
        .collect()
});

fuzz_target!(|bytes: &[u8]| {
    thread_local! {
        static SLOTS: Slots = {
            let mut slots = Slots::default();
            for (field, kind) in [
                ("event.action", FieldType::Keyword),
                ("source.ip", FieldType::Ip),
                ("process.pid", FieldType::Long),
                ("@timestamp", FieldType::Date),
            ] {
                slots.add(Field::new(field, kind));
            }
            slots
        };
    }
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    let forced = NAMES.get(usize::from(*first) % (NAMES.len() + 1)).copied();
    let mut normalizer = Normalizer::new(forced)
        .expect("the table names its sources")
        .with_clock(Clock::default().with_now(Instant::from_millis(1_767_225_600_000)))
        .with_explanations(true);
    let mut joiner = Joiner::new(forced);
    let mut records: Vec<Vec<u8>> = Vec::new();
    for line in rest.split(|byte| *byte == b'\n') {
        if !joiner.push(line, ()) {
            records.push(line.to_vec());
        }
        records.extend(std::iter::from_fn(|| joiner.next_joined()).map(|joined| joined.record));
    }
    joiner.finish();
    records.extend(std::iter::from_fn(|| joiner.next_joined()).map(|joined| joined.record));
    records.push(rest.to_vec());
    let mut row = Row::default();
    for record in &records {
        for made in normalizer.push(record).documents {
            let text = made.document.to_json();
            let read: serde_json::Value = serde_json::from_slice(&text).expect("documents are JSON");
            assert!(read.is_object());
            SLOTS.with(|slots| {
                row.read_from(slots, made.document)
                    .expect("documents can be read into rows");
            });
        }
    }
});
