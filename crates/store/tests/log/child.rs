//! Processes that are killed, and processes whose disk is full. The test program starts itself again as the child.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use rustix::process::{Resource, getrlimit, setrlimit};

use super::*;

const FOLDER: &str = "NEPH_TEST_FOLDER";

fn this_program(test: &str, folder: &Path) -> String {
    let program = std::env::current_exe().unwrap();
    format!(
        "{FOLDER}='{}' exec '{}' --exact {test} --nocapture --test-threads 1",
        folder.display(),
        program.display()
    )
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("bash");
    command.args(["-c", script]).stdout(Stdio::piped());
    command
}

/// Appends numbered records from several threads and prints those that were acknowledged, until it is killed.
#[test]
fn child_that_appends() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let small = Limits {
        segment_bytes: 200_000,
        ..limits()
    };
    let store = Store::open(Path::new(&folder), &options(small)).unwrap().0;
    let first = store.log.end();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let log = &store.log;
            scope.spawn(move || {
                for number in 0.. {
                    let length = if number % 50 == 7 { 80_000 } else { 60 };
                    let text = format!("{first}.{writer}.{number} {}", noise(number, length));
                    let offset = log.append(batch("s", 1, &[&text])).unwrap();
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "ack {offset} {first}.{writer}.{number}").unwrap();
                    out.flush().unwrap();
                }
            });
        }
    });
}

#[test]
fn what_was_acknowledged_outlives_being_killed_twenty_times() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged: Vec<(Offset, String)> = Vec::new();
    let mut torn = 0;
    for round in 0..20_usize {
        let mut child = shell(&this_program("child::child_that_appends", folder.path()))
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Killed in the middle of work, each time after another number of answers; what the pipe still holds was
        // acknowledged too.
        let wanted = acknowledged.len() + 1 + round * 37 % 200;
        let mut killed = false;
        for line in lines {
            let line = line.unwrap();
            let Some((_, answer)) = line.split_once("ack ") else {
                continue;
            };
            // A line that the kill cut is no answer.
            if let Some((offset, name)) = answer.split_once(' ')
                && name.split('.').count() == 3
                && !killed
            {
                acknowledged.push((offset.parse().unwrap(), name.to_owned()));
            }
            if acknowledged.len() >= wanted && !killed {
                child.kill().unwrap();
                killed = true;
            }
        }
        child.wait().unwrap();
        assert!(killed, "the child ended by itself");
        let (store, recovery) = Store::open(folder.path(), &options(limits())).unwrap();
        torn += usize::from(recovery.log.torn.is_some());
        assert_eq!(recovery.log.damaged, []);
        let found: Vec<(Offset, String)> = read_all(&store)
            .into_iter()
            .map(|block| {
                let text = String::from_utf8(block.records.bytes).unwrap();
                (block.offset, text.split(' ').next().unwrap().to_owned())
            })
            .collect();
        assert!(found.is_sorted());
        let names: std::collections::HashSet<&str> = found.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names.len(), found.len(), "a record is there twice");
        for answer in &acknowledged {
            assert!(
                found.binary_search(answer).is_ok(),
                "{answer:?} is missing after round {round}"
            );
        }
    }
    println!("{} acknowledged records, {torn} torn tails", acknowledged.len());
}

/// Fills what the limit on the size of files lets it, then lifts the limit.
#[test]
fn child_whose_disk_is_full() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let store = open(Path::new(&folder));
    let mut kept = Vec::new();
    let error = loop {
        let text = noise(kept.len() as u64, 3000);
        match store.log.append(batch("s", 1, &[&text])) {
            Ok(_) => kept.push(text),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
    assert!(kept.len() > 5);
    assert_eq!(texts(&read_all(&store)), kept);
    // A smaller one may still fit, because nothing is left of the one that did not.
    let small = noise(1, 20);
    if store.log.append(batch("s", 1, &[&small])).is_ok() {
        kept.push(small);
    }
    let mut limit = getrlimit(Resource::Fsize);
    limit.current = limit.maximum;
    setrlimit(Resource::Fsize, limit).unwrap();
    for number in 0..20 {
        let text = noise(number, 3000);
        store.log.append(batch("s", 1, &[&text])).unwrap();
        kept.push(text);
    }
    drop(store);
    let (store, recovery) = Store::open(Path::new(&folder), &options(limits())).unwrap();
    assert!(recovery.log.torn.is_none() && recovery.log.damaged.is_empty());
    assert_eq!(texts(&read_all(&store)), kept);
    println!("kept {}", kept.len());
}

#[test]
fn a_full_disk_acknowledges_nothing_and_heals() {
    let folder = tempfile::tempdir().unwrap();
    // The database is made before, because the limit is for its file as well.
    drop(open(folder.path()));
    let child = this_program("child::child_whose_disk_is_full", folder.path());
    let script = format!("trap '' XFSZ; ulimit -S -f 700; {child}");
    let output = shell(&script).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("kept "), "{text}");
}
