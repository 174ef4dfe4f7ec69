//! How fast records become documents, beside how fast their JSON alone is parsed. One core.
//!
//! Reads the corpora beside the repository (or under `NEPH_SHARED`); says so where they are not there.
//! `cargo bench -p neph-normalize`

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a bench prints its figures and may fail loudly"
)]

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use neph_event::{Field, FieldType, Row, Slots};
use neph_normalize::{Arena, Normalizer, parse};

fn main() {
    let shared = std::env::var_os("NEPH_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let corpora = shared.join("corpora");
    println!(
        "CPU speed in MB/s: parsing alone into a sonic_rs value, a serde_json value and our tree; then normalising,"
    );
    println!(
        "with slots read into rows, with JSON written; and normalising as a share of each of the three parsers."
    );
    println!(
        "{:<18}{:>8}{:>10}{:>9}{:>9}{:>9}{:>10}{:>9}{:>9}{:>9}{:>9}{:>9}",
        "source",
        "records",
        "bytes",
        "sonic",
        "serde",
        "tree",
        "normalise",
        "+rows",
        "+text",
        "of sonic",
        "of serde",
        "of tree"
    );
    for (name, source) in [
        ("aws_cloudtrail", "attacks"),
        ("kubernetes_audit", "attacks"),
        ("gcp_audit", "normalise"),
        ("auditd_manager", "normalise"),
        ("windows_sysmon", "normalise"),
        ("windows_security", "normalise"),
    ] {
        let records = if source == "attacks" {
            attack_records(&corpora, name)
        } else {
            pair_records(&corpora, name)
        };
        if records.is_empty() {
            println!("{name:<20} skipped: no records under {}", corpora.display());
            continue;
        }
        measure(name, &records);
    }
}

/// The records of the attack corpus that are of a source.
fn attack_records(corpora: &std::path::Path, source: &str) -> Vec<Vec<u8>> {
    let mut normalizer = Normalizer::new(None).expect("no source was named");
    let mut out = Vec::new();
    let folders = std::fs::read_dir(corpora.join("attacks"))
        .into_iter()
        .flatten()
        .flatten();
    for file in folders.flat_map(|folder| std::fs::read_dir(folder.path()).into_iter().flatten().flatten()) {
        for line in std::fs::read_to_string(file.path()).unwrap_or_default().lines() {
            let ours = normalizer
                .push(line.as_bytes())
                .documents
                .iter()
                .any(|made| made.source.name == source);
            if ours {
                out.push(line.as_bytes().to_vec());
            }
        }
    }
    out
}

/// The raw records of a folder of pairs, as an agent or a file hands them over.
fn pair_records(corpora: &std::path::Path, source: &str) -> Vec<Vec<u8>> {
    let path = corpora.join("normalise").join(source).join("pairs.ndjson");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let raw = |line: &str| match serde_json::from_str::<serde_json::Value>(line).ok()?.get("raw")? {
        serde_json::Value::String(text) => Some(text.clone().into_bytes()),
        other => serde_json::to_vec(other).ok(),
    };
    text.lines().filter_map(raw).collect()
}

/// Nanoseconds that this thread has run: other work on the machine does not count.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|field| field.parse().ok());
    nanos.map_or_else(|| START.elapsed(), Duration::from_nanos)
}

/// What stands in for CPU time where the system does not tell it.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Megabytes per second of `work` over all records: the best of several rounds.
fn rate(records: &[Vec<u8>], mut work: impl FnMut(&[u8])) -> f64 {
    let bytes: usize = records.iter().map(Vec::len).sum();
    let repeat = 1 + 40_000_000 / bytes;
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let start = cpu_time();
        for _ in 0..repeat {
            records.iter().for_each(|record| work(record));
        }
        best = best.min(cpu_time() - start);
    }
    (bytes * repeat) as f64 / best.as_secs_f64() / 1e6
}

fn measure(name: &str, records: &[Vec<u8>]) {
    let sonic = rate(records, |record| {
        black_box(sonic_rs::from_slice::<sonic_rs::Value>(record).ok());
    });
    let serde = rate(records, |record| {
        black_box(serde_json::from_slice::<serde_json::Value>(record).ok());
    });
    let mut arena = Arena::default();
    let tree = rate(records, |record| {
        arena.reset();
        black_box(
            std::str::from_utf8(record)
                .map(|text| parse(&arena, text).is_ok())
                .is_ok(),
        );
    });
    let mut normalizer = Normalizer::new(None).expect("no source was named");
    let normalise = rate(records, |record| {
        black_box(normalizer.push(record).documents.len());
    });
    let mut slots = Slots::default();
    for field in [
        "event.action",
        "event.outcome",
        "event.provider",
        "event.category",
        "event.type",
        "user.name",
        "source.ip",
        "process.name",
        "process.args",
        "aws.cloudtrail.request_parameters",
        "kubernetes.audit.verb",
        "host.os.type",
    ] {
        slots.add(Field::new(field, FieldType::Keyword));
    }
    let mut row = Row::default();
    let rows = rate(records, |record| {
        for made in normalizer.push(record).documents {
            row.read_from(&slots, made.document)
                .expect("documents can be read");
        }
        black_box(row.malformed());
    });
    let text = rate(records, |record| {
        for made in normalizer.push(record).documents {
            black_box(made.document.to_json());
        }
    });
    let bytes: usize = records.iter().map(Vec::len).sum();
    let share = |rate: f64| 100.0 * normalise / rate;
    println!(
        "{name:<18}{:>8}{bytes:>10}{sonic:>9.0}{serde:>9.0}{tree:>9.0}{normalise:>10.0}{rows:>9.0}{text:>9.0}{:>8.0}%{:>8.0}%{:>8.0}%",
        records.len(),
        share(sonic),
        share(serde),
        share(tree),
    );
}
