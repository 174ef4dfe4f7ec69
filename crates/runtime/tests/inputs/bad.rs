//! Whatever is wrong with an input is told, counted, and costs nothing else.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use neph_runtime::input::{ProblemKind, ReadOptions, Reader};
use neph_runtime::{RunError, RunOptions, Summary, parse};

use crate::{Folder, pack, read, read_with};

fn summary(arguments: &[&Path]) -> Summary {
    let arguments: Vec<PathBuf> = arguments.iter().map(|path| path.to_path_buf()).collect();
    let mut reader = Reader::new(&arguments, ReadOptions::default()).unwrap();
    // Threads of the pipeline have the stack of a main thread, which those of tests have not.
    parse(
        &mut reader,
        &RunOptions {
            threads: 2,
            ..RunOptions::default()
        },
        &mut |_| (),
    )
    .unwrap()
}

/// Parses bytes; gives the number of good records and each problem as `kind line message`.
fn parse_bytes(bytes: impl AsRef<[u8]>) -> (u64, Vec<String>) {
    let folder = Folder::new();
    let summary = summary(&[&folder.write("input", bytes)]);
    let problems = summary.problems.kept().iter().map(|problem| {
        let line = problem.line.map_or("-".to_owned(), |line| line.to_string());
        format!("{} {line} {}", problem.kind, problem.message)
    });
    (summary.records, problems.collect())
}

#[track_caller]
fn assert_problems(bytes: impl AsRef<[u8]>, good: u64, expected: &[&str]) {
    let (records, problems) = parse_bytes(bytes);
    assert_eq!(problems, expected);
    assert_eq!(records, good);
}

#[test]
fn records_that_are_no_json_are_told_by_line() {
    assert_problems(
        "{\"n\":1}\n{\"n\":\n{\"n\":3}\nnot json\n{\"n\":5}}\n[1]\n\"text\"\n{\"n\":8}\n",
        3,
        &[
            "cut-short 2 the record ends early",
            "not-json 4 not valid JSON at byte 4 of the record",
            "not-json 5 not valid JSON at byte 8 of the record",
            "not-an-object 6 the record is not a JSON object",
            "not-an-object 7 the record is not a JSON object",
        ],
    );
}

#[test]
fn a_file_that_is_cut_loses_its_last_record_only() {
    assert_problems(
        "{\"n\":1}\n{\"n\":2}\n{\"n\": \"3",
        2,
        &["cut-short 3 the record ends early"],
    );
    assert_problems(
        "[{\"n\":1},\n{\"n\":2},\n{\"n\":",
        2,
        &["cut-short 3 the record ends early"],
    );
    let unclosed = "cut-short 2 the document ends before its array of records is closed";
    assert_problems("[{\"n\":1},\n{\"n\":2},", 2, &[unclosed]);
    assert_problems(
        "{\"took\":1,\"hits\":{\"hits\":[{\"_id\":\"1\",\"_source\":{}},\n",
        1,
        &[unclosed],
    );
    assert_problems(
        "{\n  \"a\": 1\n}\n{\n  \"a\":",
        1,
        &["cut-short 4 the record ends early"],
    );
}

#[test]
fn a_record_that_is_cut_in_the_middle_does_not_swallow_the_next() {
    let cut = "cut-short 4 the record ends early";
    assert_problems("{\n  \"a\": 1\n}\n{\n  \"a\": {\n{\n  \"a\": 3\n}\n", 2, &[cut]);
    assert_problems(
        "[\n  {\n    \"a\": 1 },\n  {\n    \"a\": [\n  {\n    \"a\": 3\n  }\n]\n",
        2,
        &[cut],
    );
    assert_problems(
        "{\"Records\":[\n{\"a\":1},\n{\"a\":\"x\n{\"a\":3}\n]}",
        2,
        &["cut-short 3 the record ends early"],
    );
    // The first record decides on the framing, so it may be the one that is cut.
    assert_problems(
        "{\"a\":\"x\n{\"a\":2}\n{\"a\":3}\n",
        2,
        &["cut-short 1 the record ends early"],
    );
    let long = "x".repeat(100_000);
    let lines = format!("{{\"a\":\n{{\"b\":\"{long}\"}}\n{{\"c\":1}}\n");
    assert_problems(lines, 2, &["cut-short 1 the record ends early"]);
    assert_problems(
        "{\"a\":1,\n{\"a\":2}\n",
        1,
        &["cut-short 1 the record ends early"],
    );
}

#[test]
fn invalid_utf8_is_told_with_its_byte() {
    assert_problems(
        b"{\"n\":\"\xc3\xa4\"}\n{\"n\":\"\xff\"}\n{\"n\":3}\n",
        2,
        &["invalid-utf8 2 invalid UTF-8 at byte 7 of the record"],
    );
}

#[test]
fn ten_thousand_levels_are_too_deep_and_some_hundred_are_not() {
    let nested = |levels: usize| format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
    let lines = format!("{{\"n\":1}}\n{}\n{}\n{{\"n\":4}}\n", nested(10_000), nested(249));
    assert_problems(
        lines,
        3,
        &["too-deep 2 arrays and objects are nested deeper than 250 levels"],
    );
    let objects = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    assert_problems(
        format!("[{objects},{{\"n\":2}}]"),
        1,
        &["too-deep 1 arrays and objects are nested deeper than 250 levels"],
    );
}

#[test]
fn a_hundred_megabytes_on_one_line_are_skipped() {
    let folder = Folder::new();
    let long = "x".repeat(100 << 20);
    let lines = folder.write(
        "lines",
        format!("{{\"n\":1}}\n{{\"n\":\"{long}\"}}\n{{\"n\":3}}\n"),
    );
    let array = folder.write(
        "array",
        format!("[{{\"n\":1}},\n{{\"n\":\"{long}\"}},\n{{\"n\":3}}]"),
    );
    let bulk = folder.write(
        "bulk",
        format!("{{\"index\":{{}}}}\n{{\"n\":\"{long}\"}}\n{{\"index\":{{}}}}\n{{\"n\":3}}\n"),
    );
    for (path, good) in [(lines, 2), (array, 2), (bulk, 1)] {
        let summary = summary(&[&path]);
        assert_eq!((summary.records, summary.refused), (good, 1), "{path:?}");
        let [problem] = summary.problems.kept() else {
            panic!("{:?}", summary.problems)
        };
        assert_eq!((problem.kind, problem.line), (ProblemKind::TooLong, Some(2)));
        assert_eq!(
            problem.message,
            "the record is longer than the limit of 16777216 bytes and was skipped"
        );
    }
}

#[test]
fn the_limit_of_a_record_can_be_set() {
    let folder = Folder::new();
    let path = folder.write(
        "input",
        format!("{{\"n\":1}}\n{{\"n\":\"{}\"}}\n{{\"n\":3}}\n", "x".repeat(100)),
    );
    for (record_bytes, good) in [(50, 2), (108, 3), (107, 2)] {
        let contents = read_with(
            &[&path],
            ReadOptions {
                record_bytes,
                ..ReadOptions::default()
            },
        );
        assert_eq!(contents.records.len(), good, "{record_bytes}");
    }
}

#[test]
fn empty_and_blank_files() {
    for bytes in [
        &b""[..],
        b"\n \r\n",
        b"\xef\xbb\xbf",
        &pack::gzip(b""),
        &pack::zip(&[("a", b"")]),
    ] {
        assert_problems(bytes, 0, &["empty - the input is empty"]);
    }
    assert_problems(pack::zip(&[]), 0, &["empty - the archive is empty"]);
    let folder = Folder::new();
    assert_eq!(
        read(folder.path()).problems[0].message,
        "the folder holds no files"
    );
}

#[test]
fn binary_files_and_formats_that_are_not_read() {
    let mut tar = vec![0; 512];
    tar[..5].copy_from_slice(b"a.log");
    tar[257..262].copy_from_slice(b"ustar");
    for (bytes, expected) in [
        (&b"\x00\x01\x02\x03rest"[..], "binary - the content is binary"),
        (
            &[7, 1, 2, 3, 4, 5, 6, 8].repeat(100),
            "binary - the content is binary",
        ),
        (
            b"\x7fELF\x02\x01\x01",
            "unsupported - the content is a program, which is not read",
        ),
        (
            b"PAR1....",
            "unsupported - the content is a Parquet file, which is not read",
        ),
        (
            &tar,
            "unsupported - the content is a tar archive; unpack it first",
        ),
        (
            &pack::gzip(&tar),
            "unsupported - the content is a tar archive; unpack it first",
        ),
    ] {
        assert_problems(bytes, 0, &[expected]);
    }
}

#[test]
fn plain_text_is_told_line_by_line_and_counted() {
    let mut text = String::new();
    for number in 0..1000 {
        writeln!(text, "Oct 11 22:14:15 host app[{number}]: started").unwrap();
    }
    let folder = Folder::new();
    let summary = summary(&[&folder.write("syslog", text)]);
    assert_eq!(summary.refused, 1000);
    assert_eq!(summary.problems.counts()[&ProblemKind::NotJson], 1000);
    assert_eq!(summary.problems.kept().len(), 20);
}

#[test]
fn compressed_data_that_is_cut_or_damaged_gives_what_came_before() {
    let mut text = String::new();
    for number in 0..200_000 {
        writeln!(text, "{{\"n\":{number},\"text\":\"{:x}\"}}", number * 7_919_u64).unwrap();
    }
    let packed = [
        pack::gzip(text.as_bytes()),
        pack::zstd(text.as_bytes()),
        pack::xz(text.as_bytes()),
    ];
    for whole in &packed {
        let folder = Folder::new();
        let cut = summary(&[&folder.write("cut", &whole[..whole.len() * 2 / 3])]);
        let [problem] = cut.problems.kept() else {
            panic!("{:?}", cut.problems)
        };
        assert_eq!(problem.kind, ProblemKind::CutShort, "{problem}");
        assert!(cut.records < 200_000);
        assert_eq!(problem.line, Some(cut.records + 1));
        // Two bytes are no compressed stream at all, and nothing that one could name.
        assert_eq!(summary(&[&folder.write("head", &whole[..8])]).problems.total(), 1);

        let mut damaged = whole.clone();
        let middle = damaged.len() / 2;
        damaged[middle..middle + 64].fill(0x55);
        let damaged = summary(&[&folder.write("damaged", damaged)]);
        let kinds: Vec<_> = damaged.problems.counts().keys().copied().collect();
        // zstd carries a checksum only if it was asked for; the text is damaged in any case.
        let zstd = whole == &packed[1];
        assert!(
            kinds.contains(&ProblemKind::Corrupt) || zstd && !kinds.is_empty(),
            "{kinds:?}"
        );
    }
    assert!(summary(&[&Folder::new().write("gz", &packed[0][..packed[0].len() * 2 / 3])]).inputs == 1);

    let archive = pack::zip(&[("a", text.as_bytes()), ("b", b"{\"n\":1}")]);
    assert_problems(
        &archive[..archive.len() - 30],
        0,
        &["cut-short - the zip archive ends before its directory"],
    );
    let mut damaged = archive.clone();
    damaged[200..264].fill(0x55);
    let (records, problems) = parse_bytes(damaged);
    assert!(records >= 1, "the other entry is whole");
    assert!(
        problems.iter().any(|problem| problem.starts_with("corrupt ")),
        "{problems:?}"
    );
}

#[test]
fn an_entry_whose_checksum_is_wrong_is_told() {
    let mut archive = pack::zip(&[("a", b"{\"n\":1}\n")]);
    // The checksum in the directory: after the signature, 12 bytes further on.
    let directory = archive
        .windows(4)
        .position(|bytes| bytes == b"PK\x01\x02")
        .unwrap();
    archive[directory + 16] ^= 1;
    let (_, problems) = parse_bytes(&archive);
    assert!(problems[0].starts_with("corrupt "), "{problems:?}");
}

#[cfg(unix)]
#[test]
fn missing_files_loops_and_things_that_are_no_files() {
    use std::os::unix::fs::symlink;

    let folder = Folder::new();
    folder.write("logs/a.ndjson", "{\"n\":1}\n");
    let logs = folder.path().join("logs");
    symlink(&logs, logs.join("around")).unwrap();
    symlink(folder.path(), logs.join("further")).unwrap();
    symlink(logs.join("self"), logs.join("self")).unwrap();
    symlink("nowhere", logs.join("dangling")).unwrap();
    symlink("a.ndjson", logs.join("latest")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(logs.join("socket")).unwrap();
    let contents = read_with(
        &[
            &logs,
            &folder.path().join("missing.json"),
            &folder.path().join("none/*.json"),
            &logs.join("self"),
        ],
        ReadOptions::default(),
    );
    assert_eq!(contents.documents(), ["{\"n\":1}"]);
    let mut found: Vec<String> = contents
        .problems
        .iter()
        .map(|problem| format!("{} {}", problem.source.rsplit('/').next().unwrap(), problem.kind))
        .collect();
    found.sort();
    assert_eq!(
        found,
        [
            "*.json pattern-without-match",
            "around folder-loop",
            "dangling missing",
            "further folder-loop",
            "missing.json missing",
            "self folder-loop",
            "self folder-loop",
            "socket not-a-file",
        ]
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_the_system_refuses_to_read() {
    // Reading it fails for every user, at an address that is never mapped.
    let contents = read(Path::new("/proc/self/mem"));
    assert_eq!(
        contents.kinds(),
        [(ProblemKind::Unreadable, None)],
        "{:?}",
        contents.problems
    );
}

#[test]
fn strict_ends_at_the_first_problem() {
    let folder = Folder::new();
    let good = folder.write("good", "{\"n\":1}\n");
    let bad = folder.write("bad", "{\"n\":1}\nno!\nno!\n");
    let options = |threads| RunOptions {
        strict: true,
        threads,
        ..RunOptions::default()
    };
    for threads in [1, 3] {
        let run = |arguments: &[PathBuf]| {
            let mut reader = Reader::new(arguments, ReadOptions::default()).unwrap();
            parse(&mut reader, &options(threads), &mut |_| ())
        };
        assert_eq!(run(std::slice::from_ref(&good)).unwrap().records, 1);
        let Err(RunError::Strict(problem)) = run(&[good.clone(), bad.clone()]) else {
            panic!("must be fatal")
        };
        assert_eq!((problem.kind, problem.line), (ProblemKind::NotJson, Some(2)));
        assert!(run(&[folder.path().join("missing"), good.clone()]).is_err());
    }
}
