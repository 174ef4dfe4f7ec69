//! `neph query --follow` through the binary.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly and says what it saw"
)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

fn event(second: u32, program: &str, user: &str) -> String {
    format!(
        "{{\"@timestamp\":\"2026-03-01T10:00:{second:02}Z\",\"event\":{{\"category\":[\"process\"],\"type\":[\"start\"]}},\"process\":{{\"name\":\"{program}\"}},\"user\":{{\"name\":\"{user}\"}}}}\n"
    )
}

fn start(folder: &Path, arguments: &[&str]) -> Child {
    let file = |name: &str| std::fs::File::create(folder.join(name)).expect("a file");
    Command::new(env!("CARGO_BIN_EXE_neph"))
        .current_dir(folder)
        .args(["query", "--follow"])
        .args(arguments)
        .stdout(file("out"))
        .stderr(file("err"))
        .spawn()
        .expect("the binary starts")
}

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap_or_default()
}

fn append(folder: &Path, text: &str) {
    let path = folder.join("events.ndjson");
    let mut log = std::fs::OpenOptions::new()
        .append(true)
        .open(path)
        .expect("the log");
    log.write_all(text.as_bytes()).expect("the log grows");
}

fn wait_for(folder: &Path, what: &str, mut is_there: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_there() {
        if start.elapsed() > Duration::from_secs(60) {
            panic!(
                "no {what}; out: {}; err: {}",
                read(folder, "out"),
                read(folder, "err")
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn results_come_as_the_log_grows_until_there_are_enough() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    std::fs::write(folder.join("events.ndjson"), event(1, "curl", "ann")).expect("a log");
    let query = "process where process.name == \"curl\" | head 3";
    let mut child = start(folder, &["--format", "ndjson", query, "events.ndjson"]);
    let users = || -> Vec<String> {
        let text = read(folder, "out");
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        lines
            .map(|event| event["user"]["name"].as_str().unwrap_or("").to_owned())
            .collect()
    };
    wait_for(folder, "first result", || users() == ["ann"]);
    append(folder, &(event(2, "wget", "bob") + &event(3, "curl", "eve")));
    wait_for(folder, "second result", || users() == ["ann", "eve"]);
    // The third is the last that is wanted.
    append(folder, &(event(4, "curl", "kim") + &event(5, "curl", "lee")));
    wait_for(folder, "end", || child.try_wait().expect("a child").is_some());
    assert!(child.wait().expect("a child").success());
    assert_eq!(users(), ["ann", "eve", "kim"]);
}

#[test]
fn tables_are_written_line_by_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    std::fs::write(folder.join("events.ndjson"), event(1, "curl", "ann")).expect("a log");
    let query = "sequence by user.name [process where process.name == \"curl\"] [process where process.name == \"sh\"]";
    let mut child = start(
        folder,
        &["--fields", "process.name", "--size", "1", query, "events.ndjson"],
    );
    append(folder, &event(2, "sh", "bob"));
    append(folder, &event(3, "sh", "ann"));
    wait_for(folder, "end", || child.try_wait().expect("a child").is_some());
    let out = read(folder, "out");
    let lines: Vec<Vec<&str>> = out
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        lines,
        [
            vec!["#", "KEYS", "process.name", "RECORD"],
            vec!["1", "ann", "curl", "events.ndjson:1"],
            vec!["sh", "events.ndjson:3"],
        ],
        "{out}"
    );
}

#[test]
fn what_needs_the_end_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    std::fs::write(folder.join("events.ndjson"), "").expect("a log");
    for (arguments, said) in [
        (&["any where true | tail 3"][..], "`| tail` keeps what comes last"),
        (&["--fetch", "tail", "any where true"], "`--fetch tail` keeps"),
        (&["--format", "json", "any where true"], "closed at the end"),
        (
            &["sample by user.name [any where true] [any where true]"],
            "at the end",
        ),
    ] {
        let arguments = [arguments, &["events.ndjson"]].concat();
        let status = start(folder, &arguments).wait().expect("a child");
        let errors = read(folder, "err");
        assert_eq!(status.code(), Some(2), "{arguments:?} {errors}");
        assert!(errors.contains(said), "{arguments:?} {errors}");
    }
}
