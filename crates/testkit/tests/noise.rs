//! What the shipped rules tell of a company in which nothing happens: a generated day, and harmless records of others.
//!
//! The counts are kept: `golden/noise.txt` changes with `NEPH_UPDATE_GOLDEN=1`. A sample of what goes on all the time is
//! enough here; `cargo xtask generate day` writes all of it.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test may fail loudly and says what it saw"
)]

mod shipped;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use neph_testkit::generate::{DayOptions, day};
use serde_json::Value;
use shipped::Pack;

/// Of what goes on all the time, one in so many is looked at.
const SAMPLED: u64 = 200;

/// Days, of which the last is measured.
const DAYS: u32 = 2;

/// No rule may alert more often in a day, nor all of them together.
const MOST_OF_A_RULE: usize = 5;
const MOST: usize = 50;

/// Alerts by the name of their rule.
type Counts = BTreeMap<String, usize>;

#[test]
fn a_day_without_attacks_is_quiet() {
    let pack = Pack::load();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("day.ndjson");
    let options = DayOptions {
        days: DAYS,
        sampled: SAMPLED,
        ..DayOptions::default()
    };
    let mut output = std::io::BufWriter::new(std::fs::File::create(&file).expect("a file"));
    let generated = day(&mut output, &options).expect("a day can be written");
    drop(output);
    let begin = neph_event::Instant::from_millis(generated.last_day);
    let mut counts = Counts::new();
    for alert in pack.alerts(&file) {
        if alert.last.is_some_and(|last| last >= begin) {
            println!("{}: {}", alert.rule_name, alert.reason);
            *counts.entry(alert.rule_name).or_default() += 1;
        }
    }
    let total: usize = counts.values().sum();
    let mut table = String::new();
    for (rule, count) in &counts {
        let _ = writeln!(table, "{count:>4} {rule}");
    }
    let _ = writeln!(table, "{total:>4} in all");
    check("noise.txt", &table);
    judge(&counts);
}

/// Fails where a rule, or all of them together, are too loud.
fn judge(counts: &Counts) {
    let loud: Vec<_> = counts
        .iter()
        .filter(|(_, count)| **count > MOST_OF_A_RULE)
        .collect();
    assert!(loud.is_empty(), "rules that alert too often: {loud:?}");
    let total: usize = counts.values().sum();
    assert!(total < MOST, "{total} alerts in a day");
}

/// Compares with what is kept, or keeps it.
fn check(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("NEPH_UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, found).expect("a file can be written");
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(kept, found, "other alerts than in {}", path.display());
}

fn harmless() -> Option<(PathBuf, Vec<PathBuf>)> {
    let folder = shipped::attacks()?;
    let index = std::fs::read_to_string(folder.join("index.jsonl")).expect("an index");
    let mut files: Vec<PathBuf> = index
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|case| case.get("label").and_then(Value::as_str) == Some("benign"))
        .filter_map(|case| Some(folder.join(case.get("file")?.as_str()?)))
        .collect();
    files.sort();
    files.dedup();
    Some((folder, files))
}

/// Records that are harmless as far as the technique goes that they are kept for; other rules may have something to say
/// of them, and each stands alone, so that all in it is new.
#[test]
fn harmless_records_of_others_raise_few_alerts() {
    let Some((folder, files)) = harmless() else { return };
    let pack = Pack::load();
    let mut counts = Counts::new();
    for file in &files {
        for alert in pack.alerts(file) {
            let case = file.strip_prefix(&folder).unwrap_or(file).display().to_string();
            println!("{case}: {}", alert.rule_name);
            *counts.entry(alert.rule_name).or_default() += 1;
        }
    }
    let mut table = String::new();
    for (rule, count) in &counts {
        let _ = writeln!(table, "{count:>4} {rule}");
    }
    let total: usize = counts.values().sum();
    println!("{table}{total:>4} in all, of {} files", files.len());
    judge(&counts);
}
