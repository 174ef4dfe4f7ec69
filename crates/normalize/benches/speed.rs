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
use std::time::{Duration, Instant};

use neph_event::{Field, FieldType, Row, Slots};
use neph_normalize::Normalizer;

fn main() {
    let shared = std::env::var_os("NEPH_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let corpora = shared.join("corpora");
    println!(
        "{:<20}{:>9}{:>11}{:>12}{:>12}{:>12}{:>12}{:>10}",
        "source", "records", "bytes", "parse MB/s", "tree MB/s", "norm MB/s", "+row MB/s", "of parse"
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

/// Bytes per second of `work` over all records, the best of several rounds.
fn rate(records: &[Vec<u8>], mut work: impl FnMut(&[u8])) -> f64 {
    let bytes: usize = records.iter().map(Vec::len).sum();
    let started = Instant::now();
    let mut best = Duration::MAX;
    while started.elapsed() < Duration::from_millis(1500) {
        let round = Instant::now();
        records.iter().for_each(|record| work(record));
        best = best.min(round.elapsed());
    }
    bytes as f64 / best.as_secs_f64() / 1e6
}

fn measure(name: &str, records: &[Vec<u8>]) {
    let parse = rate(records, |record| {
        black_box(sonic_rs::from_slice::<sonic_rs::Value>(record).ok());
    });
    let tree = rate(records, |record| {
        black_box(serde_json::from_slice::<serde_json::Value>(record).ok());
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
    let bytes: usize = records.iter().map(Vec::len).sum();
    println!(
        "{name:<20}{:>9}{bytes:>11}{parse:>12.0}{tree:>12.0}{normalise:>12.0}{rows:>12.0}{:>9.0}%",
        records.len(),
        100.0 * normalise / parse
    );
}
