//! Searches leave out what they need not read.

use std::fs;

use super::*;

/// A log of six segments, one block each: event times of hour n in segment n, streams `even` and `odd`.
fn six_hours(folder: &Path) -> Store {
    let small = Limits {
        segment_bytes: 500,
        ..limits()
    };
    let store = Store::open(folder, &options(small)).unwrap().0;
    for hour in 0..6_i64 {
        let stream = if hour % 2 == 0 { "even" } else { "odd" };
        let text = format!("{hour} {}", noise(hour as u64, 400));
        let offset = store.log.append(batch(stream, 100_000, &[&text])).unwrap();
        let times = (at(hour * 3600), at(hour * 3600 + 3599));
        store
            .log
            .note_times(offset..offset + text.len() as u64, Some(times));
    }
    store
}

fn hours(store: &Store, times: std::ops::Range<i64>, streams: Option<&[&str]>) -> String {
    let blocks = store.log.blocks_between(at(times.start)..at(times.end), streams);
    let blocks: Vec<Block> = blocks.map(Result::unwrap).collect();
    texts(&blocks).iter().map(|text| &text[..1]).collect()
}

#[test]
fn by_times_and_streams() {
    let folder = tempfile::tempdir().unwrap();
    let store = six_hours(folder.path());
    let check = |store: &Store| {
        assert_eq!(hours(store, 0..100_000, None), "012345");
        assert_eq!(hours(store, 3600..3601, None), "1");
        assert_eq!(hours(store, 7199..7201, None), "12");
        assert_eq!(hours(store, 0..100_000, Some(&["odd"])), "135");
        assert_eq!(hours(store, 3700..15_000, Some(&["even", "other"])), "24");
        assert_eq!(hours(store, 90_000..100_000, None), "");
        assert_eq!(hours(store, 0..100_000, Some(&["other"])), "");
    };
    check(&store);
    drop(store);
    let store = Store::open_read_only(folder.path()).unwrap();
    check(&store);
    // Segments of other times are not even opened.
    for entry in fs::read_dir(folder.path().join("events")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.ends_with(".log") && !name.starts_with("00000000000000001") {
            fs::write(&path, b"").unwrap();
        }
    }
    assert_eq!(hours(&store, 10_800..10_801, None), "3");
}

#[test]
fn what_was_not_told_is_not_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let first = store.log.append(batch("s", 50, &["a"])).unwrap();
    store.log.append(batch("s", 50, &["b"])).unwrap();
    assert_eq!(hours(&store, 500..600, None), "ab");
    store.log.note_times(first..first + 1, Some((at(1), at(2))));
    assert_eq!(
        hours(&store, 500..600, None),
        "ab",
        "of the second nothing is known"
    );
    store.log.note_times(first + 1..first + 2, None);
    assert_eq!(hours(&store, 500..600, None), "");
    // Without event times it is found by when it was received.
    assert_eq!(hours(&store, 40..60, None), "ab");
    // What comes later is another stretch of nothing known.
    store.log.append(batch("s", 50, &["c"])).unwrap();
    assert!(hours(&store, 500..600, None).contains('c'));
}
