//! Inputs that are followed: alerts come while the input is still open.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use neph_engine::{Emit, OperatorConfig, Outcome};
use neph_runtime::input::{ReadOptions, Reader};
use neph_runtime::{RunError, RunOptions, detect};

use crate::Folder;
use crate::plans::{compile, ended, started_and_not_ended};

fn event(second: u32, action: &str) -> String {
    format!(
        "{{\"@timestamp\":\"2024-01-01T00:00:{second:02}Z\",\"event\":{{\"category\":\"process\",\"action\":\"{action}\"}},\"host\":{{\"id\":\"h\"}}}}\n"
    )
}

fn append(path: &Path, text: &str) {
    OpenOptions::new()
        .append(true)
        .open(path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
}

fn next(alerts: &Receiver<(u32, u64)>) -> (u32, u64) {
    alerts.recv_timeout(Duration::from_secs(20)).unwrap()
}

/// Runs `feed` beside a live detection over `path`, which gives it the alerts as (rule, line of the first event).
fn live(
    path: &Path,
    threads: usize,
    feed: impl FnOnce(&Receiver<(u32, u64)>) + Send,
) -> neph_runtime::Detection {
    let config = OperatorConfig {
        emit: Emit::AtOnce,
        default_lateness: Some(Duration::from_secs(1)),
        ..OperatorConfig::default()
    };
    let (program, mut operators) = compile(&[started_and_not_ended(), ended()], &config);
    let options = ReadOptions {
        live: true,
        ..ReadOptions::default()
    };
    let (tell, alerts) = channel();
    thread::scope(|scope| {
        // Opening a pipe waits for its writer, so the feeder starts first.
        let (give_flag, flag) = channel::<std::sync::Arc<std::sync::atomic::AtomicBool>>();
        scope.spawn(move || {
            feed(&alerts);
            flag.recv().unwrap().store(true, Ordering::Relaxed);
        });
        let mut reader = Reader::new(&[path.to_path_buf()], options).unwrap();
        give_flag.send(reader.cancel_flag()).unwrap();
        let options = RunOptions {
            threads,
            ..RunOptions::default()
        };
        let mut sink = |outcome| {
            if let Outcome::Found(found) = outcome {
                let first = found.events[0].1.as_ref().unwrap();
                let _ = tell.send((found.rule.0, first.origin().line));
            }
        };
        detect(
            &mut reader,
            &program,
            &mut operators,
            &options,
            &mut |_| (),
            &mut sink,
        )
        .unwrap()
    })
}

#[test]
fn a_growing_file_is_followed() {
    for threads in [1, 2] {
        let folder = Folder::new();
        let path = folder.write("growing.ndjson", event(1, "end"));
        let detection = live(&path, threads, |alerts| {
            assert_eq!(next(alerts), (1, 1));
            append(&path, &event(5, "exec"));
            // A record is taken when its line is whole.
            let later = event(20, "end");
            let (head, tail) = later.split_at(30);
            append(&path, head);
            append(&path, tail);
            assert_eq!(next(alerts), (1, 3));
            // Nothing ended within two seconds of second 5, which is settled once time has passed it by the lateness.
            assert_eq!(next(alerts), (0, 2));
        });
        assert!(detection.summary.cancelled);
        assert_eq!(detection.summary.records, 3);
    }
}

#[test]
fn a_file_that_is_empty_at_first_is_followed_too() {
    let folder = Folder::new();
    let path = folder.write("growing.ndjson", "");
    let detection = live(&path, 1, |alerts| {
        append(&path, &event(1, "end"));
        assert_eq!(next(alerts), (1, 1));
    });
    assert_eq!(detection.summary.problems.total(), 0);
}

#[cfg(unix)]
#[test]
fn a_pipe_gives_its_records_as_they_come() {
    let folder = Folder::new();
    let path = folder.path().join("pipe");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    let detection = live(&path, 2, |alerts| {
        let mut pipe = OpenOptions::new().write(true).open(&path).unwrap();
        pipe.write_all(event(1, "end").as_bytes()).unwrap();
        assert_eq!(next(alerts), (1, 1));
        pipe.write_all(event(2, "end").as_bytes()).unwrap();
        assert_eq!(next(alerts), (1, 2));
        pipe.write_all(event(3, "exec").trim_end().as_bytes()).unwrap();
        drop(pipe);
        // The end of the pipe ends the run, and settles what was open.
        assert_eq!(next(alerts), (0, 3));
    });
    assert_eq!(detection.summary.records, 3);
}

#[test]
fn standard_input_is_followed_alone() {
    let folder = Folder::new();
    let file = folder.write("a", event(1, "end"));
    let refused = Reader::new(
        &["-".into(), file],
        ReadOptions {
            live: true,
            ..ReadOptions::default()
        },
    );
    assert!(matches!(refused.err(), Some(RunError::LiveStdin)));
}
