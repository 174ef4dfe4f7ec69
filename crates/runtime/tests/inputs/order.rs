//! Results depend on the inputs alone: not on threads, not on the size of chunks, not on how a file is packed.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use neph_runtime::input::{ReadOptions, Reader};
use neph_runtime::{Progress, RunOptions, parse};
use neph_testkit::generate::{EndpointOptions, endpoint};

use crate::{Folder, pack, read_with};

fn events(bytes: u64, seed: u64, start_millis: i64) -> Vec<u8> {
    let options = EndpointOptions {
        bytes,
        seed,
        start_millis,
        hosts: 5,
        ..EndpointOptions::default()
    };
    let mut output = Vec::new();
    endpoint(&mut output, &options).unwrap();
    output
}

/// Inputs of every framing, with faults, of a size that makes many chunks.
fn mixed(folder: &Folder) -> Vec<PathBuf> {
    let mut lines = events(300_000, 1, 1_772_359_200_000);
    lines.extend_from_slice(b"broken\n\n\xff\n{\"cut\":\n");
    lines.extend(events(2_500_000, 2, 1_772_359_260_000));
    let text = String::from_utf8(events(400_000, 3, 1_772_359_230_000)).unwrap();
    let array = format!("[{}]", text.lines().collect::<Vec<_>>().join(","));
    let hits: Vec<String> = text
        .lines()
        .enumerate()
        .map(|(number, line)| format!("{{\"_index\":\"x\",\"_id\":\"{number}\",\"_source\":{line}}}"))
        .collect();
    let response = format!("{{\"took\":1,\"hits\":{{\"hits\":[{}]}}}}", hits.join(",\n"));
    let mut bulk = String::new();
    for (number, line) in text.lines().enumerate() {
        writeln!(bulk, "{{\"index\":{{\"_id\":\"{number}\"}}}}\n{line}").unwrap();
        if number % 7 == 0 {
            writeln!(bulk, "{{\"delete\":{{\"_id\":\"{number}\"}}}}").unwrap();
        }
        if number % 50 == 0 {
            writeln!(bulk, "stray").unwrap();
        }
    }
    let mut pretty = String::new();
    for number in 0..3000 {
        writeln!(pretty, "{{\n  \"n\": {number},\n  \"s\": \"a\\\\\\\"}}{{\"\n}}").unwrap();
        if number % 500 == 0 {
            writeln!(pretty, "{{\n  \"cut\": {{").unwrap();
        }
    }
    vec![
        folder.write("lines", lines),
        folder.write("array.gz", pack::gzip(array.as_bytes())),
        folder.write("response.zst", pack::zstd(response.as_bytes())),
        folder.write("bulk", bulk),
        folder.write("pretty", pretty),
        folder.write(
            "many.zip",
            pack::zip(&[("a", text.as_bytes()), ("b", text.as_bytes())]),
        ),
    ]
}

#[test]
fn any_size_of_chunk_gives_the_same_records_in_the_same_order() {
    let folder = Folder::new();
    let inputs = mixed(&folder);
    let inputs: Vec<&Path> = inputs.iter().map(PathBuf::as_path).collect();
    let read = |chunk_bytes| {
        let contents = read_with(
            &inputs,
            ReadOptions {
                chunk_bytes,
                ..ReadOptions::default()
            },
        );
        let mut problems: Vec<String> = contents.problems.iter().map(ToString::to_string).collect();
        problems.sort();
        (contents.records, problems, contents.deletes)
    };
    let whole = read(1 << 20);
    assert!(
        whole.0.len() > 7000 && whole.2 > 40 && whole.1.len() > 5,
        "{} {:?}",
        whole.0.len(),
        whole.1
    );
    for chunk_bytes in [1, 700, 10_000, 65_536, 300_001, 8 << 20] {
        let other = read(chunk_bytes);
        assert_eq!(other.1, whole.1, "problems with chunks of {chunk_bytes}");
        let differs = other.0.iter().zip(&whole.0).position(|(a, b)| a != b);
        assert_eq!(
            (differs, other.0.len(), other.2),
            (None, whole.0.len(), whole.2),
            "with chunks of {chunk_bytes}"
        );
    }
}

#[test]
fn any_number_of_threads_gives_the_same_summary() {
    let folder = Folder::new();
    let inputs = mixed(&folder);
    let run = |threads, chunk_bytes| {
        let mut reader = Reader::new(
            &inputs,
            ReadOptions {
                chunk_bytes,
                ..ReadOptions::default()
            },
        )
        .unwrap();
        let mut last = Progress::default();
        let summary = parse(
            &mut reader,
            &RunOptions {
                threads,
                ..RunOptions::default()
            },
            &mut |now| {
                assert!(now.bytes >= last.bytes && now.records >= last.records);
                last = now;
            },
        );
        let summary = summary.unwrap();
        assert_eq!(
            (last.records, last.bytes),
            (summary.records, summary.stored_bytes)
        );
        let kept: Vec<String> = summary.problems.kept().iter().map(ToString::to_string).collect();
        (
            summary.records,
            summary.refused,
            summary.bytes,
            kept,
            summary.problems.counts().clone(),
            summary.skipped,
        )
    };
    let one = run(1, 1 << 20);
    assert!(one.1 >= 9, "{:?}", one.3);
    for (threads, chunk_bytes) in [(2, 1 << 20), (5, 1 << 20), (3, 1000), (1, 50_000)] {
        assert_eq!(
            run(threads, chunk_bytes),
            one,
            "{threads} threads, chunks of {chunk_bytes}"
        );
    }
}

#[test]
fn a_position_does_not_depend_on_how_the_file_is_packed() {
    let text = events(200_000, 4, 0);
    let positions = |bytes: &[u8]| -> Vec<u64> {
        let folder = Folder::new();
        read_with(&[&folder.write("a", bytes)], ReadOptions::default())
            .records
            .iter()
            .map(|record| record.position)
            .collect()
    };
    let plain = positions(&text);
    assert!(plain.windows(2).all(|pair| pair[0] < pair[1]));
    assert_eq!(positions(&pack::gzip(&text)), plain);
    assert_eq!(positions(&pack::zip(&[("x", &text)])), plain);
}

/// Three files that overlap in time are merged so that no record comes much later than one that is older.
#[test]
fn several_files_are_merged_by_time() {
    let folder = Folder::new();
    let start = 1_772_359_200_000;
    for (name, delay) in [("c", 0), ("a", 20_000), ("b", 100_000)] {
        folder.write(name, events(6 << 20, 9, start + delay));
    }
    for open_inputs in [1, 64] {
        let options = ReadOptions {
            open_inputs,
            ..ReadOptions::default()
        };
        let records = read_with(&[folder.path()], options).records;
        let seconds = |document: &str| -> jiff::Timestamp {
            let value: serde_json::Value = serde_json::from_str(document).unwrap();
            value["@timestamp"].as_str().unwrap().parse().unwrap()
        };
        let (mut latest, mut greatest_lag) = (i64::MIN, 0);
        for record in records.iter().step_by(10) {
            let time = seconds(&record.document).as_second();
            latest = latest.max(time);
            greatest_lag = greatest_lag.max(latest - time);
        }
        // A mebibyte holds about 35 seconds of these events; one file after the other would lag by 100 and more.
        if open_inputs == 64 {
            assert!(greatest_lag <= 80, "{greatest_lag} s");
            assert!(records[0].source.ends_with("/c"));
        } else {
            assert!(greatest_lag > 80, "{greatest_lag} s");
        }
        assert_eq!(
            records.len(),
            3 * records
                .iter()
                .filter(|record| record.source.ends_with("/a"))
                .count()
        );
    }
}

#[test]
fn a_run_can_be_cancelled() {
    let folder = Folder::new();
    folder.write("a", events(8 << 20, 1, 0));
    for threads in [1, 2] {
        let mut reader = Reader::new(&[folder.path().to_path_buf()], ReadOptions::default()).unwrap();
        let cancel = reader.cancel_flag();
        let options = RunOptions {
            threads,
            ..RunOptions::default()
        };
        let summary = parse(&mut reader, &options, &mut |_| {
            cancel.store(true, Ordering::Relaxed)
        })
        .unwrap();
        assert!(summary.cancelled && summary.records > 0);
        assert!(summary.bytes < 2 << 20, "{}", summary.bytes);
    }
}
