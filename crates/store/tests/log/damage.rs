//! What damage costs: the frames that it hit, told with their offsets, and nothing else.

use std::fs;
use std::path::PathBuf;

use super::*;

/// Three frames in one segment: where each begins in the file, and the file.
fn three_frames(folder: &Path) -> (PathBuf, Vec<u8>, Vec<usize>) {
    let mut starts = Vec::new();
    let path = folder.join("events/00000000000000000000.log");
    {
        let store = open(folder);
        for text in ["first", "second", "third"] {
            starts.push(fs::metadata(&path).unwrap().len() as usize);
            store.log.append(batch("s", 1, &[text, "and more"])).unwrap();
        }
    }
    let bytes = fs::read(&path).unwrap();
    (path, bytes, starts)
}

/// Opens the store with other bytes in its segment.
fn reopen(folder: &Path, path: &Path, bytes: &[u8]) -> (Store, neph_store::LogRecovery) {
    fs::write(path, bytes).unwrap();
    fs::remove_file(path.with_extension("idx")).ok();
    let (store, recovery) = Store::open(folder, &options(limits())).unwrap();
    (store, recovery.log)
}

#[test]
fn a_frame_cut_at_any_byte_is_cut_off_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let (path, whole, starts) = three_frames(folder.path());
    for cut in starts[2]..=whole.len() {
        let (store, recovery) = reopen(folder.path(), &path, &whole[..cut]);
        let kept = if cut == whole.len() { 3 } else { 2 };
        assert_eq!(read_all(&store).len(), kept, "cut at {cut}");
        let torn = recovery.torn.map_or(0, |torn| torn.bytes as usize);
        assert_eq!(torn, if kept == 3 { 0 } else { cut - starts[2] }, "cut at {cut}");
        assert_eq!(recovery.damaged, []);
        // What comes next takes its place.
        store.log.append(batch("s", 2, &["next"])).unwrap();
        assert_eq!(texts(&read_all(&store)).last().unwrap(), "next");
        drop(store);
        assert_eq!(texts(&read_all(&open(folder.path()))).last().unwrap(), "next");
    }
}

#[test]
fn any_byte_that_changed_at_the_end_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let (path, whole, starts) = three_frames(folder.path());
    for place in starts[2]..whole.len() {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x10;
        let (store, recovery) = reopen(folder.path(), &path, &bytes);
        assert_eq!(read_all(&store).len(), 2, "byte {place}");
        assert!(recovery.torn.is_some(), "byte {place}");
    }
}

#[test]
fn any_byte_that_changed_in_the_middle_costs_one_frame() {
    let folder = tempfile::tempdir().unwrap();
    let (path, whole, starts) = three_frames(folder.path());
    for place in starts[1]..starts[2] {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x10;
        let (store, recovery) = reopen(folder.path(), &path, &bytes);
        // "first", "and more" are 13 bytes, "second", "and more" 14.
        let damage = neph_store::Damage {
            offsets: 13..27,
            why: GapReason::Damaged,
        };
        assert_eq!(
            (recovery.torn, recovery.damaged),
            (None, vec![damage]),
            "byte {place}"
        );
        let found: Vec<_> = store.log.blocks(0).collect();
        assert_eq!(found.len(), 3, "byte {place}");
        assert!(matches!(
            found[1],
            Err(StoreError::Gap {
                from: 13,
                to: 27,
                why: GapReason::Damaged
            })
        ));
        assert_eq!(found[2].as_ref().unwrap().offset, 27);
    }
}

#[test]
fn damage_while_it_is_open_is_a_gap_too() {
    let folder = tempfile::tempdir().unwrap();
    let small = Limits {
        segment_bytes: 600,
        ..limits()
    };
    let store = Store::open(folder.path(), &options(small)).unwrap().0;
    for number in 0..12 {
        store.log.append(batch("s", 1, &[&noise(number, 100)])).unwrap();
    }
    let mut segments: Vec<PathBuf> = fs::read_dir(folder.path().join("events"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    segments.sort();
    assert!(segments.len() >= 4);
    // The end of one segment is damaged, another is empty, a third is gone.
    let mut bytes = fs::read(&segments[0]).unwrap();
    let end = bytes.len();
    bytes[end - 1] ^= 1;
    fs::write(&segments[0], bytes).unwrap();
    fs::write(&segments[1], b"").unwrap();
    fs::remove_file(&segments[2]).unwrap();
    let begin_of = |path: &PathBuf| {
        path.file_stem()
            .unwrap()
            .to_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    let gaps: Vec<_> = store
        .log
        .blocks(0)
        .filter_map(|block| match block {
            Err(StoreError::Gap { from, to, why }) => Some((from, to, why)),
            Err(error) => panic!("{error}"),
            Ok(_) => None,
        })
        .collect();
    let begins: Vec<u64> = segments.iter().map(begin_of).collect();
    assert_eq!(
        gaps,
        [
            (begins[1] - 100, begins[1], GapReason::Damaged),
            (begins[1], begins[2], GapReason::Damaged),
            (begins[2], begins[3], GapReason::Removed),
        ]
    );
}

#[test]
fn a_lost_log_never_gives_an_offset_twice() {
    let folder = tempfile::tempdir().unwrap();
    {
        let store = open(folder.path());
        for number in 0..5 {
            store.log.append(batch("s", 1, &[&noise(number, 100)])).unwrap();
        }
        process(&store, 400);
    }
    fs::remove_dir_all(folder.path().join("events")).unwrap();
    let (store, recovery) = Store::open(folder.path(), &options(limits())).unwrap();
    assert_eq!(recovery.log.damaged[0].offsets, 0..400);
    assert_eq!(store.log.append(batch("s", 1, &["x"])).unwrap(), 400);
    assert_eq!(texts(&read_all(&store)), ["x"]);
}

#[test]
fn an_index_that_is_missing_or_damaged_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let small = options(Limits {
        segment_bytes: 1500,
        ..limits()
    });
    let expected = {
        let store = Store::open(folder.path(), &small).unwrap().0;
        for number in 0..12 {
            store.log.append(batch("s", 1, &[&noise(number, 500)])).unwrap();
        }
        read_all(&store)
    };
    let indexes: Vec<PathBuf> = fs::read_dir(folder.path().join("events"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "idx"))
        .collect();
    assert!(indexes.len() > 3);
    fs::remove_file(&indexes[0]).unwrap();
    let mut bytes = fs::read(&indexes[1]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&indexes[1], bytes).unwrap();
    let (store, recovery) = Store::open(folder.path(), &small).unwrap();
    assert!(recovery.log.reindexed <= 2);
    assert_eq!(read_all(&store), expected);
    assert_eq!(store.log.counts(0..store.log.end()).unwrap()[0].records, 12);
}
