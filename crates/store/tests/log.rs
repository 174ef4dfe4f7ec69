//! The event log: what was acknowledged is there, once, in order, whatever happens to the process and the disk.

#![expect(
    clippy::unwrap_used,
    clippy::string_slice,
    reason = "the lints know test functions only, not what these call"
)]

#[path = "log/child.rs"]
mod child;
#[path = "log/damage.rs"]
mod damage;
#[path = "log/search.rs"]
mod search;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use neph_event::Instant;
use neph_store::{Batch, Block, Commit, GapReason, Limits, Offset, Records, Store, StoreError, StoreOptions};
use proptest::prelude::*;

fn at(seconds: i64) -> Instant {
    Instant { seconds, nanos: 0 }
}

fn records<T: AsRef<[u8]>>(items: impl IntoIterator<Item = T>) -> Records {
    let mut records = Records::default();
    for item in items {
        assert!(records.push(item.as_ref()));
    }
    records
}

fn batch(stream: &str, received: i64, items: &[&str]) -> Batch {
    Batch {
        stream: stream.into(),
        received: at(received),
        records: records(items),
    }
}

fn options(limits: Limits) -> StoreOptions {
    StoreOptions { limits }
}

/// Limits of tests, whose disks may be nearly full.
fn limits() -> Limits {
    Limits {
        min_free_bytes: 0,
        ..Limits::default()
    }
}

fn open(folder: &Path) -> Store {
    Store::open(folder, &options(limits())).unwrap().0
}

/// Says that everything before an offset is done.
fn process(store: &Store, processed: Offset) {
    let commit = Commit {
        processed,
        ..Commit::default()
    };
    store.db.commit(commit).unwrap();
}

fn read_all(store: &Store) -> Vec<Block> {
    store.log.blocks(store.log.begin()).map(Result::unwrap).collect()
}

fn texts(blocks: &[Block]) -> Vec<String> {
    let records = blocks.iter().flat_map(|block| block.records.iter());
    records
        .map(|record| String::from_utf8(record.to_vec()).unwrap())
        .collect()
}

/// Text that hardly compresses, the same for the same number.
fn noise(number: u64, length: usize) -> String {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b' ' + (state % 90) as u8)
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn what_is_appended_is_read_in_order_with_its_offsets() {
    let folder = tempfile::tempdir().unwrap();
    let large = "x".repeat(300_000);
    let batches = [
        batch("bulk/a", 10, &["one", "", "three"]),
        batch("syslog/10.0.0.5", 11, &[]),
        batch("tick", 12, &[]),
        batch("bulk/a", 13, &[&large, "behind"]),
        batch(&"ä".repeat(600), 14, &["long name"]),
    ];
    let mut offsets = Vec::new();
    {
        let store = open(folder.path());
        for batch in &batches {
            offsets.push(store.log.append(batch.clone()).unwrap());
        }
        // An empty block takes one offset, so that no two are the same.
        assert_eq!(offsets, [0, 8, 9, 10, 300_016]);
        assert_eq!(store.log.end(), 300_025);
        assert_eq!(read_all(&store).len(), 5);
    }
    let store = open(folder.path());
    let blocks = read_all(&store);
    assert_eq!(
        blocks.iter().map(|block| block.offset).collect::<Vec<_>>(),
        offsets
    );
    for (block, batch) in blocks.iter().zip(&batches).take(4) {
        assert_eq!(
            (&block.stream, block.received, &block.records),
            (&batch.stream, batch.received, &batch.records)
        );
    }
    assert_eq!(&*blocks[4].stream, "ä".repeat(512));
    // An offset inside a block begins with that block.
    let from = |offset: Offset| store.log.blocks(offset).next().unwrap().unwrap().offset;
    assert_eq!([0, 7, 8, 9, 10, 11, 300_015].map(from), [0, 0, 8, 9, 10, 10, 10]);
    assert!(store.log.blocks(store.log.end()).next().is_none());
    assert_eq!(store.log.append(batch("bulk/a", 20, &["more"])).unwrap(), 300_025);
}

#[test]
fn batches_that_make_no_sense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let refused = |bytes: &[u8], ends: &[u32]| {
        let records = Records {
            bytes: bytes.to_vec(),
            ends: ends.to_vec(),
        };
        let batch = Batch {
            stream: "s".into(),
            received: at(0),
            records,
        };
        matches!(store.log.append(batch), Err(StoreError::Refused { .. }))
    };
    assert!(refused(b"abc", &[]));
    assert!(refused(b"abc", &[2]));
    assert!(refused(b"abc", &[4]));
    assert!(refused(b"abc", &[3, 2, 3]));
    assert!(refused(&vec![0; 65 << 20], &[65 << 20]));
    assert!(refused(b"", &vec![0; 20 << 20]));
    assert!(!refused(b"abc", &[0, 0, 3, 3]));
    assert_eq!(read_all(&store).len(), 1);
}

#[test]
fn many_who_append_at_once_share_syncs_and_all_find_theirs() {
    let folder = tempfile::tempdir().unwrap();
    let small_segments = Limits {
        segment_bytes: 40_000,
        ..limits()
    };
    let store = Store::open(folder.path(), &options(small_segments)).unwrap().0;
    let mut expected: Vec<(Offset, String)> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let log = &store.log;
                scope.spawn(move || {
                    let one = |number: u64| {
                        let length = if number.is_multiple_of(10) { 70_000 } else { 100 };
                        let text = format!("{writer}/{number} {}", noise(number, length));
                        (log.append(batch("s", 5, &[&text])).unwrap(), text)
                    };
                    (0..50).map(one).collect::<Vec<_>>()
                })
            })
            .collect();
        writers
            .into_iter()
            .flat_map(|writer| writer.join().unwrap())
            .collect()
    });
    expected.sort();
    let found = read_all(&store).into_iter().map(|block| {
        let text = String::from_utf8(block.records.bytes.clone()).unwrap();
        (block.offset, text)
    });
    assert_eq!(found.collect::<Vec<_>>(), expected);
    assert!(std::fs::read_dir(folder.path().join("events")).unwrap().count() > 20);
    let counts = store.log.counts(0..store.log.end()).unwrap();
    assert_eq!((counts.len(), counts[0].records), (1, 400));
}

#[test]
fn whoever_does_not_wait_is_told_later() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let told = store.log.subscribe();
    let (sender, receiver) = std::sync::mpsc::channel();
    for number in 0..100 {
        let sender = sender.clone();
        let text = number.to_string();
        let done = move |result| sender.send((number, result)).unwrap();
        store.log.append_then(batch("s", 1, &[&text]), done);
    }
    let mut offsets: Vec<(u64, Offset)> = Vec::new();
    for _ in 0..100 {
        let (number, result) = receiver.recv_timeout(Duration::from_secs(20)).unwrap();
        offsets.push((number, result.unwrap()));
    }
    offsets.sort_unstable();
    assert!(offsets.is_sorted_by_key(|(_, offset)| *offset));
    assert!(told.try_recv().is_ok());
}

#[test]
fn too_much_at_once_is_busy_not_kept_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let narrow = Limits {
        max_waiting_bytes: 1000,
        ..limits()
    };
    let store = Store::open(folder.path(), &options(narrow)).unwrap().0;
    let (sender, receiver) = std::sync::mpsc::channel();
    for _ in 0..200 {
        let sender = sender.clone();
        store
            .log
            .append_then(batch("s", 1, &[&"x".repeat(900)]), move |result| {
                sender.send(result).unwrap()
            });
    }
    let results: Vec<_> = (0..200)
        .map(|_| receiver.recv_timeout(Duration::from_secs(20)).unwrap())
        .collect();
    let busy = results
        .iter()
        .filter(|result| matches!(result, Err(StoreError::Busy)))
        .count();
    let kept = results.iter().filter(|result| result.is_ok()).count();
    assert!(busy > 0 && kept > 0);
    assert_eq!((busy + kept, read_all(&store).len()), (200, kept));
    // One that waits gets its turn, however narrow it is.
    assert!(store.log.append(batch("s", 1, &[&"x".repeat(5000)])).is_ok());
}

#[test]
fn the_tail_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(folder.path()));
    let writer = store.clone();
    let mut blocks = store.log.blocks(0);
    assert!(blocks.next().is_none());
    assert!(!blocks.wait(Duration::from_millis(1)));
    let appending = std::thread::spawn(move || {
        for number in 0..200 {
            writer.log.append(batch("s", number, &["x"])).unwrap();
        }
    });
    let mut received = Vec::new();
    while received.len() < 200 {
        assert!(blocks.wait(Duration::from_secs(20)));
        received.extend(blocks.by_ref().map(|block| block.unwrap().received.seconds));
    }
    appending.join().unwrap();
    assert_eq!(received, (0..200).collect::<Vec<_>>());
}

#[test]
fn another_process_reads_beside_the_one_that_writes() {
    let folder = tempfile::tempdir().unwrap();
    let small_segments = Limits {
        segment_bytes: 2000,
        ..limits()
    };
    let store = Store::open(folder.path(), &options(small_segments.clone()))
        .unwrap()
        .0;
    assert!(matches!(
        Store::open(folder.path(), &options(small_segments)),
        Err(StoreError::InUse { .. })
    ));
    let reader = Store::open_read_only(folder.path()).unwrap();
    assert!(reader.db.is_read_only());
    let mut blocks = reader.log.blocks(0);
    let mut found = Vec::new();
    for number in 0..30_u64 {
        store.log.append(batch("s", 1, &[&noise(number, 500)])).unwrap();
        if number % 7 == 0 {
            assert!(blocks.wait(Duration::from_secs(20)));
            found.extend(blocks.by_ref().map(Result::unwrap));
        }
    }
    reader.log.refresh().unwrap();
    found.extend(blocks.by_ref().map(Result::unwrap));
    assert_eq!(found, read_all(&store));
    assert!(matches!(
        reader.log.append(batch("s", 1, &[])),
        Err(StoreError::ReadOnly { .. })
    ));
    drop(store);
    let later = Store::open_read_only(folder.path()).unwrap();
    assert_eq!(read_all(&later), found);
    assert_eq!(later.log.counts(0..later.log.end()).unwrap()[0].records, 30);
}

#[test]
fn what_is_handed_to_one_who_follows_is_what_stands_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), &options(limits())).unwrap().0;
    let mut follower = store.log.blocks(0);
    assert!(!follower.wait(Duration::ZERO), "from now on it follows");
    let mut followed = Vec::new();
    // More than is kept at hand while nobody reads, in frames of one block and of several.
    let long = noise(7, 700_000);
    for (batches, some) in [(60, usize::MAX), (5, 3), (5, usize::MAX)] {
        for _ in 0..batches {
            store.log.append(batch("long", 1, &[&long, "", "short"])).unwrap();
            store.log.append(batch("none", 2, &[])).unwrap();
        }
        followed.extend(follower.by_ref().take(some).map(|block| block.unwrap()));
    }
    followed.extend(follower.map(|block| block.unwrap()));
    let again: Vec<Block> = store.log.blocks(0).map(|block| block.unwrap()).collect();
    assert_eq!(followed.len(), 140);
    assert!(followed == again, "what a second reader gets comes from the file");
    drop(store);
    let store = Store::open(folder.path(), &options(limits())).unwrap().0;
    assert!(read_all(&store) == again);
}

#[test]
fn without_room_appending_fails_and_works_again_once_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let small = Limits {
        segment_bytes: 4000,
        max_bytes: 16_000,
        max_age: Duration::from_secs(3600),
        ..limits()
    };
    let store = Store::open(folder.path(), &options(small)).unwrap().0;
    let mut kept = 0_u64;
    let full = loop {
        match store.log.append(batch("s", kept as i64, &[&noise(kept, 1000)])) {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, StoreError::Full { .. }), "{full}");
    assert!((10..40).contains(&kept), "{kept}");
    // Nothing that is still needed goes.
    let removed = store.retain(0, at(10_000)).unwrap();
    assert_eq!((removed.segments, removed.begin), (0, 0));
    let needed = store.log.end() / 2;
    let removed = store.retain(needed, at(10)).unwrap();
    assert_eq!(
        (removed.segments, removed.begin),
        (0, 0),
        "nothing was processed yet"
    );
    process(&store, needed);
    let removed = store.retain(store.log.end(), at(10)).unwrap();
    assert!(removed.segments > 0 && removed.begin <= needed, "{removed:?}");
    assert!(store.log.stored_bytes() <= 16_000);
    store.log.append(batch("s", 100, &["fits again"])).unwrap();
    // Before the beginning there is a gap, told once.
    let mut blocks = store.log.blocks(0);
    let gap = blocks.next().unwrap().unwrap_err();
    assert!(matches!(gap, StoreError::Gap { from: 0, to, why: GapReason::Removed } if to == removed.begin));
    assert!(blocks.all(|block| block.is_ok()));
    // What is past its time goes, but for the segment that is written.
    process(&store, store.log.end());
    let removed = store.retain(store.log.end(), at(100_000)).unwrap();
    assert!(removed.segments > 0);
    assert_eq!(texts(&read_all(&store)).last().unwrap(), "fits again");
    let balance = store.db.balance(&store.log).unwrap();
    assert_eq!((balance[0].received, balance[0].pending), (kept + 1, 0));
}

#[test]
fn a_disk_that_is_to_stay_free_is_not_filled() {
    let folder = tempfile::tempdir().unwrap();
    let greedy = Limits {
        min_free_bytes: u64::MAX / 2,
        ..limits()
    };
    let store = Store::open(folder.path(), &options(greedy)).unwrap().0;
    let error = store.log.append(batch("s", 1, &["x"])).unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    drop(store);
    let store = open(folder.path());
    assert_eq!(read_all(&store), []);
    store.log.append(batch("s", 1, &["x"])).unwrap();
}

#[derive(Clone, Debug)]
enum Step {
    Append { stream: u8, sizes: Vec<u16>, seed: u64 },
    Reopen,
    Retain { part: u8 },
    ReadFrom { part: u8 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let sizes = prop::collection::vec(prop_oneof![4 => 0..200_u16, 1 => 0..40_000_u16], 0..8);
    let append =
        (0..4_u8, sizes, any::<u64>()).prop_map(|(stream, sizes, seed)| Step::Append { stream, sizes, seed });
    prop::collection::vec(
        prop_oneof![
            8 => append,
            1 => Just(Step::Reopen),
            1 => any::<u8>().prop_map(|part| Step::Retain { part }),
            2 => any::<u8>().prop_map(|part| Step::ReadFrom { part }),
        ],
        1..40,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn it_is_a_list_whose_front_goes(steps in steps()) {
        let folder = tempfile::tempdir().unwrap();
        let small = Limits { segment_bytes: 20_000, max_bytes: 30_000, ..limits() };
        let reopen = || Store::open(folder.path(), &options(small.clone())).unwrap();
        let mut store = Some(reopen().0);
        let mut expected: Vec<Block> = Vec::new();
        let mut received = 0;
        for step in steps {
            let open = store.as_ref().unwrap();
            let end = expected.last().map_or(0, Block::end);
            let part_of = |part: u8| end / 255 * u64::from(part);
            match step {
                Step::Append { stream, sizes, seed } => {
                    received += 1;
                    let items = sizes.iter().enumerate().map(|(place, size)| noise(seed ^ place as u64, (*size).into()));
                    let batch = Batch { stream: format!("s{stream}").into(), received: at(received), records: records(items) };
                    match open.log.append(batch.clone()) {
                        Ok(offset) => {
                            prop_assert_eq!(offset, end);
                            expected.push(Block { offset, stream: batch.stream, received: batch.received, records: batch.records });
                        }
                        Err(StoreError::Full { .. }) => {}
                        Err(error) => prop_assert!(false, "{}", error),
                    }
                }
                Step::Reopen => {
                    drop(store.take());
                    let (opened, recovery) = reopen();
                    prop_assert_eq!(&recovery.log.damaged, &[]);
                    prop_assert!(recovery.log.torn.is_none());
                    store = Some(opened);
                }
                Step::Retain { part } => {
                    let needed = part_of(part);
                    process(open, needed);
                    let removed = open.retain(needed, at(received)).unwrap();
                    prop_assert!(removed.begin <= needed.max(open.log.begin()));
                    let begin = removed.begin;
                    let kept = expected.iter().position(|block| block.offset >= begin).unwrap_or(expected.len());
                    // Whole blocks only, and none that is needed.
                    prop_assert!(expected[..kept].iter().all(|block| block.end() <= needed.max(begin)));
                }
                Step::ReadFrom { part } => {
                    let begin = open.log.begin();
                    let from = part_of(part).max(begin);
                    let found: Vec<Block> = open.log.blocks(from).map(Result::unwrap).collect();
                    let wanted: Vec<Block> = expected.iter().filter(|block| block.end() > from).cloned().collect();
                    prop_assert_eq!(found, wanted);
                }
            }
        }
        let open = store.as_ref().unwrap();
        let balance = open.db.balance(&open.log).unwrap();
        let received: u64 = balance.iter().map(|stream| stream.received).sum();
        prop_assert_eq!(received, expected.iter().map(|block| block.records.len() as u64).sum::<u64>());
    }
}
