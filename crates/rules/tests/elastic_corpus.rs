//! The public rules of Elastic and the rule of the seed, where they lie beside the project. They are other people's work:
//! read from there, never copied here.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::string_slice,
    clippy::print_stderr,
    reason = "a test may fail loudly and says what it saw"
)]

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

use neph_rules::{RuleKind, RuleState, load, load_text};

fn shared() -> Option<PathBuf> {
    let path = std::env::var_os("NEPH_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("skipped: {} is not there", path.display());
    None
}

#[test]
fn every_rule_of_elastic_of_a_supported_type_loads() {
    let Some(shared) = shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let archive = std::fs::File::open(shared.join("corpora/rules-elastic.tar.xz")).unwrap();
    tar::Archive::new(liblzma::read::XzDecoder::new(archive))
        .unpack(folder.path())
        .unwrap();

    let begin = Instant::now();
    let set = load(&[folder.path()]);
    let took = begin.elapsed();
    let counts = set.report.counts();
    println!("{counts}, in {took:?}");
    let mut codes = std::collections::BTreeMap::new();
    for rule in &set.report.rules {
        for diagnostic in &rule.diagnostics {
            *codes.entry(diagnostic.code.name).or_insert(0) += 1;
        }
    }
    println!("{codes:#?}");

    for (kind, number) in [
        (RuleKind::Eql, 1024),
        (RuleKind::Query, 428),
        (RuleKind::NewTerms, 241),
        (RuleKind::ThreatMatch, 6),
        (RuleKind::Threshold, 28),
    ] {
        let rules: Vec<_> = set
            .report
            .rules
            .iter()
            .filter(|rule| rule.kind == Some(kind))
            .collect();
        assert_eq!(rules.len(), number);
        for rule in &rules {
            let name = rule.name.as_deref().unwrap_or("");
            if rule.state == RuleState::Rejected {
                let file = &set.report.file_reports()[rule.file];
                for diagnostic in &rule.diagnostics {
                    println!("{}", neph_diag::render::text(diagnostic, &file.source, false));
                }
            }
            for reason in &rule.reasons {
                println!("degraded: {name}: {reason}");
            }
        }
        let of = |state| rules.iter().filter(|rule| rule.state == state).count();
        let (active, degraded) = (of(RuleState::Active), of(RuleState::Degraded));
        println!("{}: {active} active, {degraded} degraded", kind.word());
        assert_eq!(of(RuleState::Rejected), 0);
    }

    assert_eq!(counts.rules, counts.active + counts.degraded + counts.rejected);
    assert_eq!(
        counts.rejected,
        counts.unsupported.values().sum::<usize>(),
        "only what is not supported is rejected"
    );
    let kinds: Vec<(&str, usize)> = counts
        .unsupported
        .iter()
        .map(|(kind, count)| (*kind, *count))
        .collect();
    assert_eq!(kinds, [("esql", 209), ("machine_learning", 106)]);
    // No key of two thousand rules is strange to us.
    assert_eq!(codes.get("rule-key-unknown"), None);
    assert_eq!(codes.get("rule-value-type"), None);
}

/// The query as the page of the rule shows it, on one line, with its missing parentheses.
fn seed_query(shared: &Path) -> String {
    let seeds = std::fs::read_dir(shared.join("seeds")).unwrap();
    let page = seeds
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().unwrap().to_string_lossy().starts_with("001_"))
        .unwrap();
    let mut text = String::new();
    std::fs::File::open(page)
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    let start = text.find("sequence by host.id").unwrap();
    let line = text[start..].lines().next().unwrap();
    line[..line.rfind(']').unwrap() + 1].to_owned()
}

#[test]
fn the_query_of_the_seed_runs_as_it_stands() {
    let Some(shared) = shared() else { return };
    let query = seed_query(&shared);
    let set = load_text(Path::new("seed.eql"), query.clone());
    let rule = &set.report.rules[0];
    assert_ne!(rule.state, RuleState::Rejected, "{:?}", rule.diagnostics);
    assert!(
        rule.diagnostics
            .iter()
            .any(|diagnostic| diagnostic.code.name == "and-or-mixed"),
        "its fault is told: {:?}",
        rule.diagnostics
    );
    assert_eq!(set.rules.len(), 1);

    let event = |time: &str, rest: &str| {
        format!(r#"{{"@timestamp":"{time}","host":{{"id":"h","os":{{"type":"linux"}}}},{rest}}}"#)
    };
    let start = r#""event":{"category":["process"],"type":["start"],"action":"exec"},"process":{"name":"curl","parent":{"entity_id":"p"}}"#;
    let connect = r#""event":{"category":["network"],"type":["start"],"action":"connection_attempted"},"process":{"parent":{"entity_id":"p"}},"destination":{"ip":"169.254.169.254"}"#;
    let found = |first: &str, second: &str| {
        let events = [event(first, start), event(second, connect)];
        support::matches(&set.rules, &events, None).len()
    };
    assert_eq!(found("2026-11-21T10:00:00.000Z", "2026-11-21T10:00:00.900Z"), 1);
    assert_eq!(found("2026-11-21T10:00:00.000Z", "2026-11-21T10:00:01.000Z"), 1);
    assert_eq!(found("2026-11-21T10:00:00.000Z", "2026-11-21T10:00:01.001Z"), 0);
    assert_eq!(found("2026-11-21T10:00:00.900Z", "2026-11-21T10:00:00.000Z"), 0);
}

mod support;
