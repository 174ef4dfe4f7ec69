//! Which of the public rules run less well than they were written, or not at all, and why: compared with the lists in
//! `tests/golden`, which hold ids and our own words.

#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::panic,
    reason = "a test may fail loudly and says what it saw"
)]

use std::collections::BTreeMap;
use std::path::Path;

use neph_rules::{LoadReport, RuleState, load};

#[path = "support/corpus.rs"]
mod corpus;

/// A line for each rule that is not active: id, state, reasons. Sorted, so that a change shows as the lines it is about.
fn lines(report: &LoadReport) -> String {
    let mut lines: Vec<String> = report
        .rules
        .iter()
        .filter(|rule| rule.state != RuleState::Active)
        .map(|rule| {
            let id = rule.id.as_deref().unwrap_or("-");
            let (state, reasons): (_, Vec<String>) = match rule.state {
                RuleState::Rejected => {
                    let errors = rule.diagnostics.iter();
                    let errors = errors.filter(|found| found.severity() == neph_diag::Severity::Error);
                    ("rejected", errors.map(|found| found.message.clone()).collect())
                }
                _ => ("degraded", rule.reasons.iter().map(ToString::to_string).collect()),
            };
            format!("{id} {state}: {}", reasons.join("; "))
        })
        .collect();
    lines.sort();
    let counts = report.counts();
    assert_eq!(counts.rules, counts.active + counts.degraded + counts.rejected);
    assert_eq!(
        counts.rejected,
        counts.unsupported.values().sum::<usize>(),
        "only what is not supported is rejected"
    );
    format!("# {counts}\n{}\n", lines.join("\n"))
}

/// Compares with the golden file; with `UPDATE=1` it is written anew.
fn compare(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, found).expect("the golden file can be written");
        return;
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    if golden == found {
        return;
    }
    let (before, now): (Vec<&str>, Vec<&str>) = (golden.lines().collect(), found.lines().collect());
    for line in before.iter().filter(|line| !now.contains(line)) {
        eprintln!("- {line}");
    }
    for line in now.iter().filter(|line| !before.contains(line)) {
        eprintln!("+ {line}");
    }
    panic!(
        "the load report of the public rules is not that of {name} any more; if the change is meant, write it anew with \
         `UPDATE=1 cargo test -p neph-rules --test load_report`"
    );
}

fn check(archive: &str, golden: &str, wanted: impl Fn(&str) -> bool) {
    let files: Option<BTreeMap<String, String>> = corpus::archive(archive);
    let Some(files) = files else { return };
    let folder = corpus::folder(&files, wanted);
    compare(golden, &lines(&load(&[folder.path()]).report));
}

#[test]
fn elastic() {
    check("rules-elastic.tar.xz", "load-report-elastic.txt", |name| {
        name.ends_with(".toml")
    });
}

#[test]
fn sigma() {
    check("rules-sigma.tar.xz", "load-report-sigma.txt", |name| {
        name.starts_with("rules") && name.ends_with(".yml")
    });
}
