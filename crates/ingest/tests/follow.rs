//! Files that are followed, into a real log.

#![expect(
    clippy::unwrap_used,
    reason = "the lints know test functions only, not what these call"
)]

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use neph_ingest::{
    Counts, FileGroup, FollowOptions, Intake, Limits, Refused, Stopper, Tokens, follow, shutdown,
};
use neph_store::{EventLog, Store, StoreOptions};
use tempfile::TempDir;
use tokio::task::JoinHandle;

struct World {
    runtime: tokio::runtime::Runtime,
    logs: TempDir,
    data: TempDir,
    store: Option<Store>,
    running: Option<(Stopper, JoinHandle<std::io::Result<()>>)>,
    counts: Arc<Counts>,
}

impl World {
    fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(data.path(), &StoreOptions::default()).unwrap();
        Self {
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap(),
            logs: tempfile::tempdir().unwrap(),
            data,
            store: Some(store),
            running: None,
            counts: Arc::default(),
        }
    }

    fn log(&self) -> Arc<EventLog> {
        Arc::clone(&self.store.as_ref().unwrap().log)
    }

    fn cursor(&self) -> PathBuf {
        self.data.path().join("files.json")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.logs.path().join(name)
    }

    fn start(&mut self, pattern: &str, limits: Limits) {
        self.start_with(vec![self.group(pattern)], limits);
    }

    fn group(&self, pattern: &str) -> FileGroup {
        FileGroup {
            paths: vec![self.path(pattern)],
            ..FileGroup::default()
        }
    }

    fn start_with(&mut self, groups: Vec<FileGroup>, limits: Limits) {
        let options = FollowOptions::new(groups, self.cursor());
        let intake = Intake::new(
            self.log(),
            Arc::new(Tokens::new([])),
            limits,
            Arc::clone(&self.counts),
        );
        let (stopper, stop) = shutdown();
        let task = self.runtime.spawn(follow(options, self.log(), intake, stop));
        self.running = Some((stopper, task));
    }

    fn stop(&mut self) {
        if let Some((stopper, task)) = self.running.take() {
            stopper.stop();
            self.runtime.block_on(task).unwrap().unwrap();
        }
    }

    fn append(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.path(name))
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// The records in the log: of each the last part of its stream's path, and its text.
    fn records(&self) -> Vec<String> {
        let log = self.log();
        let blocks = log.blocks(log.begin()).map(Result::unwrap);
        let records = blocks.flat_map(|block| {
            let name = Path::new(&*block.stream)
                .file_name()
                .unwrap()
                .to_string_lossy()
                .into_owned();
            let lines = block
                .records
                .iter()
                .map(|line| format!("{name}: {}", String::from_utf8_lossy(line)));
            lines.collect::<Vec<_>>()
        });
        records.collect()
    }

    /// Waits for so many records, and then a little for more that should not come.
    fn expect(&self, expected: &[&str]) {
        self.wait(expected.len());
        assert_eq!(self.records(), expected);
    }

    fn expect_in_any_order(&self, expected: &[&str]) {
        self.wait(expected.len());
        let (mut records, mut expected) = (self.records(), expected.to_vec());
        records.sort();
        expected.sort_unstable();
        assert_eq!(records, expected);
    }

    fn wait(&self, count: usize) {
        let end = Instant::now() + Duration::from_secs(20);
        while self.records().len() < count && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(600));
    }
}

#[test]
fn lines_are_taken_when_they_are_whole_and_renamed_files_to_their_end() {
    let mut world = World::new();
    world.append("app.log", "one\ntwo");
    world.start("app.log", Limits::default());
    world.expect(&["app.log: one"]);
    world.append("app.log", " and a half\r\n\nthree\n");
    world.expect(&["app.log: one", "app.log: two and a half", "app.log: three"]);
    // Its writer goes on for a while after it was renamed, and leaves the last line without an end.
    fs::rename(world.path("app.log"), world.path("old")).unwrap();
    world.append("app.log", "of the new\n");
    world.append("old", "last words\nno end");
    let end = Instant::now() + Duration::from_secs(20);
    while world.records().len() < 6 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut records = world.records().split_off(3);
    records.sort();
    assert_eq!(
        records,
        ["app.log: last words", "app.log: no end", "app.log: of the new"]
    );
    world.stop();
}

#[test]
fn a_restart_neither_loses_nor_repeats() {
    let mut world = World::new();
    world.append("a.log", "one\ntwo\n");
    world.start("*.log", Limits::default());
    world.expect(&["a.log: one", "a.log: two"]);
    world.stop();
    // While it was down: more lines, a rotation, another file.
    world.append("a.log", "three\n");
    fs::rename(world.path("a.log"), world.path("a.log.1")).unwrap();
    world.append("a.log", "four\n");
    world.append("b.log", "five\n");
    world.start("*.log", Limits::default());
    let end = Instant::now() + Duration::from_secs(20);
    while world.records().len() < 5 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    world.stop();
    world.start("*.log", Limits::default());
    std::thread::sleep(Duration::from_millis(800));
    world.stop();
    let mut records = world.records();
    records.sort();
    assert_eq!(
        records,
        [
            "a.log: four",
            "a.log: one",
            "a.log: three",
            "a.log: two",
            "b.log: five"
        ]
    );
}

#[test]
fn a_crash_before_the_cursor_is_written_repeats_nothing() {
    let mut world = World::new();
    world.append("a.log", "one\n");
    world.start("a.log", Limits::default());
    world.expect(&["a.log: one"]);
    std::thread::sleep(Duration::from_millis(1500));
    let cursor = fs::read(world.cursor()).unwrap();
    world.append("a.log", "two\ntwo\nthree\n");
    world.expect(&["a.log: one", "a.log: two", "a.log: two", "a.log: three"]);
    world.stop();
    // As a crash would have left it: the log has lines that the cursor does not know.
    fs::write(world.cursor(), cursor).unwrap();
    world.append("a.log", "two\nfour\n");
    world.start("a.log", Limits::default());
    world.expect(&[
        "a.log: one",
        "a.log: two",
        "a.log: two",
        "a.log: three",
        "a.log: two",
        "a.log: four",
    ]);
    world.stop();
}

#[test]
fn truncated_files_are_read_again_and_copies_are_not() {
    let mut world = World::new();
    let first = "the first of all lines\n".repeat(100);
    world.append("a.log", &first);
    world.start("a.log*", Limits::default());
    let all = vec!["a.log: the first of all lines"; 100];
    world.expect(&all);
    // What `copytruncate` does; one line came between the last look and the copy.
    world.append("a.log", "seen in the copy or before\n");
    fs::copy(world.path("a.log"), world.path("a.log.1")).unwrap();
    File::create(world.path("a.log")).unwrap();
    world.append("a.log", "after the truncation\n");
    let end = Instant::now() + Duration::from_secs(20);
    while world.records().len() < 102 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(2500));
    let mut rest = world.records().split_off(100);
    rest.sort();
    assert_eq!(
        rest,
        ["a.log: after the truncation", "a.log: seen in the copy or before"]
    );
    // And what comes of it when it is compressed.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(first.as_bytes()).unwrap();
    fs::write(world.path("a.log.2.gz"), encoder.finish().unwrap()).unwrap();
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(world.records().len(), 102);
    world.stop();
}

#[test]
fn long_lines_are_left_out_and_counted() {
    let mut world = World::new();
    let mut limits = Limits::default();
    limits.line_bytes = 100;
    world.append(
        "a.log",
        &format!("one\n{}\ntwo\n{}", "x".repeat(101), "y".repeat(3 << 20)),
    );
    world.start("a.log", limits);
    world.expect(&["a.log: one", "a.log: two"]);
    world.append("a.log", "yyy\nthree\n");
    world.expect(&["a.log: one", "a.log: two", "a.log: three"]);
    assert_eq!(
        world
            .counts
            .rows()
            .iter()
            .map(|row| row.refused_for(Refused::TooLong))
            .sum::<u64>(),
        2
    );
    world.stop();
}

#[test]
fn only_what_is_new_where_that_is_wanted() {
    let mut world = World::new();
    world.append("a.log", "old\nhalf ");
    let mut group = world.group("*.log");
    group.from_end = true;
    world.start_with(vec![group.clone()], Limits::default());
    world.expect(&[]);
    world.append("a.log", "new\n");
    world.append("b.log", "all of it\n");
    let end = Instant::now() + Duration::from_secs(20);
    while world.records().len() < 2 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    world.stop();
    world.append("c.log", "came while nobody looked\n");
    world.start_with(vec![group], Limits::default());
    let end = Instant::now() + Duration::from_secs(20);
    while world.records().len() < 3 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    world.stop();
    let mut records = world.records();
    records.sort();
    assert_eq!(
        records,
        [
            "a.log: half new",
            "b.log: all of it",
            "c.log: came while nobody looked"
        ]
    );
}

#[test]
fn files_are_known_however_the_groups_change() {
    let mut world = World::new();
    for name in ["a.log", "b.log", "c.txt"] {
        world.append(name, &format!("1 of {name}\n"));
    }
    let (logs, texts) = (world.group("*.log"), world.group("*.txt"));
    world.start_with(vec![logs.clone(), texts.clone()], Limits::default());
    world.expect(&["a.log: 1 of a.log", "b.log: 1 of b.log", "c.txt: 1 of c.txt"]);
    world.stop();

    // Another order, other paths, another source: what was read is not read again.
    let named = |name: &str, source: Option<&str>| FileGroup {
        source: source.map(str::to_owned),
        ..world.group(name)
    };
    let groups = vec![
        texts.clone(),
        named("b.log", Some("auditd")),
        // A file belongs to the first that names it.
        named("?.log", None),
    ];
    for name in ["a.log", "b.log", "c.txt"] {
        world.append(name, &format!("2 of {name}\n"));
    }
    world.start_with(groups, Limits::default());
    let mut expected = vec!["a.log: 1 of a.log", "b.log: 1 of b.log", "c.txt: 1 of c.txt"];
    expected.extend([
        "a.log: 2 of a.log",
        "b.log?source=auditd: 2 of b.log",
        "c.txt: 2 of c.txt",
    ]);
    world.expect_in_any_order(&expected);
    world.stop();

    // What nobody asks for is not read; who asks again gets what was missed.
    world.append("a.log", "3 of a.log\n");
    world.append("c.txt", "3 of c.txt\n");
    world.start_with(vec![texts.clone()], Limits::default());
    expected.push("c.txt: 3 of c.txt");
    world.expect_in_any_order(&expected);
    world.stop();
    // Of a new path, only what is new is wanted.
    world.append("d.md", "old\n");
    let mut new = world.group("*.md");
    new.from_end = true;
    let mut again = logs;
    again.from_end = true;
    world.start_with(vec![new, again, texts], Limits::default());
    expected.push("a.log: 3 of a.log");
    world.expect_in_any_order(&expected);
    world.append("d.md", "new\n");
    expected.push("d.md: new");
    world.expect_in_any_order(&expected);
    world.stop();
}
