//! Files that are rotated, truncated, deleted and made anew while they are followed: no record is lost, none comes twice.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use neph_runtime::input::{Chunk, ReadOptions, Reader};

use crate::Folder;

/// Reading on a thread of its own, record by record.
struct Tail {
    records: Receiver<String>,
    cancel: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

fn follow(path: &Path) -> Tail {
    let options = ReadOptions {
        live: true,
        ..ReadOptions::default()
    };
    let mut reader = Reader::new(&[path.to_path_buf()], options).unwrap();
    let cancel = reader.cancel_flag();
    let (tell, records) = channel();
    let thread = thread::spawn(move || {
        let mut chunk = Chunk::default();
        while reader.next_chunk(&mut chunk) {
            for record in chunk.records() {
                let text = match record {
                    Ok(record) => String::from_utf8(record.document.to_vec()).unwrap(),
                    Err((_, problem)) => problem.to_string(),
                };
                let _ = tell.send(text);
            }
        }
    });
    Tail {
        records,
        cancel,
        thread,
    }
}

impl Tail {
    /// The numbers of the next `count` records, which may come from several files, sorted.
    fn numbers(&self, count: usize) -> Vec<u64> {
        let mut numbers: Vec<u64> = (0..count)
            .map(|_| {
                let text = self.records.recv_timeout(Duration::from_secs(20)).unwrap();
                let number = text.trim_start_matches("{\"n\":").split(',').next().unwrap();
                number.parse().unwrap_or_else(|_| panic!("{text}"))
            })
            .collect();
        numbers.sort_unstable();
        numbers
    }

    /// Ends, and gives what came besides.
    fn end(self, quiet: Duration) -> Vec<String> {
        thread::sleep(quiet);
        self.cancel.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.records.try_iter().collect()
    }
}

fn line(number: u64) -> String {
    format!(
        "{{\"n\":{number},\"@timestamp\":\"2026-01-01T00:00:00Z\",\"message\":\"some text of a line\"}}\n"
    )
}

fn append(path: &Path, numbers: impl IntoIterator<Item = u64>) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    write(&mut file, numbers);
}

fn write(file: &mut File, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        file.write_all(line(number).as_bytes()).unwrap();
    }
}

const QUIET: Duration = Duration::from_millis(1500);

/// A folder with a log of two records, and the reading of either of both.
fn log_in_folder(whole_folder: bool) -> (Folder, PathBuf, Tail) {
    let folder = Folder::new();
    let path = folder.write("app.log", "");
    append(&path, 1..=2);
    let tail = follow(if whole_folder { folder.path() } else { &path });
    assert_eq!(tail.numbers(2), [1, 2]);
    (folder, path, tail)
}

#[test]
fn a_renamed_file_is_read_to_its_end_and_its_successor_from_its_start() {
    for whole_folder in [false, true] {
        let (folder, path, tail) = log_in_folder(whole_folder);
        // The writer holds on to the renamed file for a while.
        let mut held = OpenOptions::new().append(true).open(&path).unwrap();
        fs::rename(&path, folder.path().join("app.log.1")).unwrap();
        append(&path, [4]);
        write(&mut held, [3]);
        assert_eq!(tail.numbers(2), [3, 4]);
        write(&mut held, [5]);
        append(&path, [6]);
        assert_eq!(tail.numbers(2), [5, 6]);
        drop(held);
        fs::rename(folder.path().join("app.log.1"), folder.path().join("app.log.2")).unwrap();
        fs::rename(&path, folder.path().join("app.log.1")).unwrap();
        append(&path, [7]);
        assert_eq!(tail.numbers(1), [7]);
        assert_eq!(tail.end(QUIET), [""; 0]);
    }
}

#[test]
fn a_truncated_file_is_read_from_its_start_and_its_copy_is_not_read() {
    for whole_folder in [false, true] {
        let (folder, path, tail) = log_in_folder(whole_folder);
        fs::copy(&path, folder.path().join("app.log.1")).unwrap();
        OpenOptions::new()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(0)
            .unwrap();
        append(&path, [3]);
        assert_eq!(tail.numbers(1), [3]);
        // Truncated and longer again before anybody looks: the size alone does not tell.
        fs::copy(&path, folder.path().join("app.log.2")).unwrap();
        let grown: String = (4..=9).map(line).collect();
        let mut file = OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
        file.write_all(grown.as_bytes()).unwrap();
        assert_eq!(tail.numbers(6), [4, 5, 6, 7, 8, 9]);
        assert_eq!(tail.end(QUIET), [""; 0]);
    }
}

#[test]
fn a_line_that_a_truncation_cuts_does_not_run_into_the_next_file() {
    let (_folder, path, tail) = log_in_folder(false);
    let whole = line(3);
    let (head, _) = whole.split_at(20);
    OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap()
        .write_all(head.as_bytes())
        .unwrap();
    thread::sleep(Duration::from_millis(500));
    OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(0)
        .unwrap();
    append(&path, [4]);
    // What is left of the line is handed on as it is, for the reader of records to refuse it.
    let cut = tail.records.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(cut, head);
    assert_eq!(tail.numbers(1), [4]);
    assert_eq!(tail.end(QUIET), [""; 0]);
}

#[test]
fn a_deleted_file_is_read_to_its_end_and_one_that_is_made_anew_is_read_too() {
    for whole_folder in [false, true] {
        let (_folder, path, tail) = log_in_folder(whole_folder);
        let mut held = OpenOptions::new().append(true).open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        write(&mut held, [3]);
        assert_eq!(tail.numbers(1), [3]);
        // Without an end of line, and never finished: it comes when the file is given up.
        held.write_all(line(4).trim_end().as_bytes()).unwrap();
        drop(held);
        assert_eq!(tail.numbers(1), [4]);
        append(&path, [5]);
        assert_eq!(tail.numbers(1), [5]);
        assert_eq!(tail.end(QUIET), [""; 0]);
    }
}

#[test]
fn new_files_of_a_folder_are_read_and_compressed_copies_are_not() {
    let (folder, path, tail) = log_in_folder(true);
    append(&folder.path().join("other.log"), [3, 4]);
    assert_eq!(tail.numbers(2), [3, 4]);
    // A line that is begun, and ended later.
    let late = folder.path().join("late.log");
    let whole = line(5);
    let (head, rest) = whole.split_at(30);
    let mut file = File::create(&late).unwrap();
    file.write_all(head.as_bytes()).unwrap();
    thread::sleep(Duration::from_millis(600));
    file.write_all(rest.as_bytes()).unwrap();
    assert_eq!(tail.numbers(1), [5]);
    let text: Vec<u8> = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    folder.write("app.log.1.gz", crate::pack::gzip(&text));
    folder.write("new.log.gz", crate::pack::gzip(line(6).as_bytes()));
    assert_eq!(tail.numbers(1), [6]);
    assert_eq!(tail.end(Duration::from_secs(3)), [""; 0]);
}

#[test]
fn a_file_that_is_not_there_yet_is_waited_for() {
    let folder = Folder::new();
    let path = folder.path().join("later.log");
    let tail = follow(&path);
    thread::sleep(Duration::from_millis(300));
    append(&path, [1]);
    assert_eq!(tail.numbers(1), [1]);
    assert!(tail.end(Duration::ZERO).is_empty());
}

#[test]
fn nothing_is_lost_or_doubled_under_load() {
    let folder = Folder::new();
    let path = folder.write("app.log", "");
    let tail = follow(folder.path());
    let writer = thread::spawn({
        let root = folder.path().to_path_buf();
        move || {
            let mut number = 0;
            for round in 0..12 {
                let mut file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
                let until = Instant::now() + Duration::from_millis(120);
                while Instant::now() < until {
                    write(&mut file, number..number + 50);
                    number += 50;
                }
                fs::rename(&path, root.join(format!("app.log.{round}"))).unwrap();
                // The writer notices late.
                write(&mut file, number..number + 10);
                number += 10;
            }
            number
        }
    });
    let written = writer.join().unwrap();
    let count = usize::try_from(written).unwrap();
    let numbers = tail.numbers(count);
    assert!(numbers.iter().copied().eq(0..written), "{written} written");
    assert_eq!(tail.end(QUIET), [""; 0]);
}
