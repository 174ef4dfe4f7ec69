//! Rules of type `threat_match`: their settings, the indicators that they choose, the alerts that name them.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly and says what it saw"
)]

use std::path::{Path, PathBuf};

use neph_rules::{AlertBuilder, LoadOptions, Reason, RuleSet, RuleState, load_text_with};
use serde_json::{Value, json};

mod support;

const ADDRESSES: &str = r#"
threat_mapping = [
  { entries = [{ field = "source.ip", type = "mapping", value = "threat.indicator.ip" }] },
  { entries = [{ field = "destination.ip", type = "mapping", value = "threat.indicator.ip" }] },
]"#;

fn text(lines: &str) -> String {
    format!(
        r#"[rule]
rule_id = "4b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a11"
name = "Name"
description = "Text"
type = "threat_match"
severity = "high"
risk_score = 73
query = "event.category: network"
threat_index = ["logs-ti_*"]
threat_query = '@timestamp >= "now-30d/d" and event.module: ti_* and not labels.stale: "true"'
{lines}
"#
    )
}

/// A rule with these lines in it, and indicators in files of these names and texts.
fn rule(lines: &str, files: &[(&str, &str)]) -> RuleSet {
    let folder = tempfile::tempdir().expect("a folder");
    let mut indicators: Vec<PathBuf> = Vec::new();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        indicators.push(path);
    }
    let options = LoadOptions {
        indicators,
        ..LoadOptions::default()
    };
    load_text_with(Path::new("rule.toml"), text(lines), &options)
}

fn alerts(set: &RuleSet, events: &[&str]) -> Vec<Value> {
    assert_eq!(set.rules.len(), 1, "{:#?}", set.report.rules);
    let mut builder = AlertBuilder::new(&*set.rules[0]);
    support::matches(&set.rules, events, None)
        .iter()
        .map(|found| builder.build(found).document.into_value())
        .collect()
}

fn network(fields: &str) -> String {
    format!(r#"{{"@timestamp":"2026-11-21T10:00:00Z","event":{{"category":["network"]}},{fields}}}"#)
}

#[test]
fn without_indicators_a_rule_is_degraded_by_name() {
    let set = rule(ADDRESSES, &[]);
    let report = &set.report.rules[0];
    assert_eq!(report.state, RuleState::Degraded, "{:?}", report.diagnostics);
    assert_eq!(report.reasons, [Reason::IndicatorsMissing { given: 0 }]);
    assert!(alerts(&set, &[&network(r#""source":{"ip":"198.51.100.7"}"#)]).is_empty());
}

#[test]
fn indicators_that_the_query_does_not_choose_do_not_count() {
    let stale = r#"{"threat":{"indicator":{"ip":"198.51.100.7"}},"labels":{"stale":"true"}}
{"@timestamp":"2020-01-01T00:00:00Z","threat":{"indicator":{"ip":"198.51.100.8"}}}
{"event":{"module":"mine"},"threat":{"indicator":{"ip":"198.51.100.9"}}}"#;
    let set = rule(ADDRESSES, &[("a.ndjson", stale)]);
    let report = &set.report.rules[0];
    assert_eq!(report.reasons, [Reason::IndicatorsMissing { given: 3 }]);
    let one_more = format!("{stale}\n{}", r#"{"threat.indicator.ip":"198.51.100.10"}"#);
    let set = rule(ADDRESSES, &[("a.ndjson", &one_more)]);
    assert_eq!(set.report.rules[0].state, RuleState::Active);
    for (address, number) in [
        ("198.51.100.7", 0),
        ("198.51.100.8", 0),
        ("198.51.100.9", 0),
        ("198.51.100.10", 1),
    ] {
        let event = network(&format!(r#""source":{{"ip":"{address}"}}"#));
        assert_eq!(alerts(&set, &[&event]).len(), number, "{address}");
    }
}

#[test]
fn alerts_are_enriched_with_the_indicators() {
    let hit = r#"{"_id":"i1","_index":"logs-ti_abusech-default","_source":{"@timestamp":"NOW","event":{"module":"ti_abusech"},
"threat":{"feed":{"name":"feed"},"indicator":{"ip":"198.51.100.7","type":"ipv4-addr","confidence":"High"}}}}"#;
    let now = "2999-01-01T00:00:00Z";
    let hit = hit.replace("NOW", now).replace('\n', "");
    let table = "type,value\ncidr,198.51.100.0/24\n";
    let set = rule(ADDRESSES, &[("hits.ndjson", &hit), ("nets.csv", table)]);
    let event =
        network(r#""source":{"ip":["10.0.0.1","198.51.100.7"]},"destination":{"ip":"198.51.100.99"}"#);
    let found = alerts(&set, &[&event]);
    assert_eq!(found.len(), 1);
    let enrichments = found[0]["threat"]["enrichments"].as_array().expect("a list");
    assert_eq!(enrichments.len(), 3, "{enrichments:#?}");
    assert_eq!(
        enrichments[0],
        json!({
            "indicator": {"ip": "198.51.100.7", "type": "ipv4-addr", "confidence": "High"},
            "matched": {"atomic": "198.51.100.7", "field": "source.ip", "id": "i1", "type": "indicator_match_rule",
                        "index": "logs-ti_abusech-default"},
            "feed": {"name": "feed"},
        })
    );
    assert_eq!(enrichments[1]["matched"]["atomic"], "198.51.100.7");
    assert_eq!(enrichments[1]["indicator"]["ip"], "198.51.100.0/24");
    assert_eq!(enrichments[2]["matched"]["field"], "destination.ip");
    assert_eq!(enrichments[2]["matched"]["atomic"], "198.51.100.99");
    let parameters = &found[0]["kibana.alert.rule.parameters"];
    assert_eq!(parameters["threat_indicator_path"], "threat.indicator");
    assert_eq!(
        parameters["threat_mapping"][0]["entries"][0]["value"],
        "threat.indicator.ip"
    );
}

#[test]
fn entries_of_a_group_agree_in_one_indicator_and_negated_ones_must_not() {
    let both = r#"
[[rule.threat_mapping]]
entries = [
  { field = "file.name", type = "mapping", value = "threat.indicator.file.name" },
  { field = "file.hash.sha256", type = "mapping", value = "threat.indicator.file.hash.sha256", negate = NEGATE },
]"#;
    let indicators = r#"[{"threat.indicator.file.name":"a","threat.indicator.file.hash.sha256":"1"},
{"threat.indicator.file.name":"b","threat.indicator.file.hash.sha256":"2"},
{"threat.indicator.file.name":"c"}]"#;
    let event = |name: &str, hash: &str| {
        network(&format!(
            r#""file":{{"name":"{name}","hash":{{"sha256":"{hash}"}}}}"#
        ))
    };
    for (negate, expected) in [("false", [1, 0, 0, 0]), ("true", [0, 1, 1, 0])] {
        let set = rule(&both.replace("NEGATE", negate), &[("i.json", indicators)]);
        let events = [event("a", "1"), event("a", "2"), event("b", "1"), event("c", "1")];
        let found = events.map(|event| alerts(&set, &[&event]).len());
        assert_eq!(found, expected, "negate = {negate}");
    }
}

#[test]
fn what_is_wrong_with_a_rule_is_told() {
    for (lines, code, word) in [
        ("", "rule-key-missing", "threat_mapping"),
        ("threat_mapping = []", "rule-value", "compares nothing"),
        (
            r#"threat_mapping = [{ entries = [{ field = "a", type = "mapping", value = "b", negate = true }] }]"#,
            "rule-value",
            "negated",
        ),
        (
            r#"threat_mapping = [{ entries = [{ field = "a", type = "other", value = "b" }] }]"#,
            "rule-value",
            "`other`",
        ),
        (
            r#"threat_mapping = [{ entries = [{ field = 1, value = "b" }] }]"#,
            "rule-value-type",
            "must be a string",
        ),
    ] {
        let set = rule(lines, &[]);
        let report = &set.report.rules[0];
        assert_eq!(report.state, RuleState::Rejected, "{lines}");
        assert!(
            report
                .diagnostics
                .iter()
                .any(|diagnostic| diagnostic.code.name == code && diagnostic.message.contains(word)),
            "{lines}: {:#?}",
            report.diagnostics
        );
    }
    let broken = text(ADDRESSES).replace("event.module: ti_*", "event.module: (ti_*");
    let set = load_text_with(Path::new("rule.toml"), broken.clone(), &LoadOptions::default());
    let diagnostics = &set.report.rules[0].diagnostics;
    let inside = broken.find("threat_query").expect("the key") as u32;
    assert!(
        diagnostics.iter().any(|diagnostic| diagnostic.span.start > inside
            && diagnostic.severity() == neph_diag::Severity::Error),
        "the place is that of the file: {diagnostics:#?}"
    );
}

#[test]
fn unreadable_indicators_are_told_and_the_others_count() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("a.json"), "{ not json").expect("a file");
    std::fs::write(folder.path().join("b.txt"), "198.51.100.7\nno indicator\n").expect("a file");
    std::fs::write(folder.path().join("c.md"), "198.51.100.8").expect("a file");
    let options = LoadOptions {
        indicators: vec![folder.path().to_owned(), folder.path().join("none.csv")],
        ..LoadOptions::default()
    };
    let set = load_text_with(Path::new("rule.toml"), text(ADDRESSES), &options);
    assert_eq!(set.report.failures.len(), 2, "{:?}", set.report.failures);
    assert_eq!(set.report.indicators.len(), 1);
    assert_eq!(set.report.indicators[0].indicators, 1);
    assert_eq!(set.report.indicators[0].skipped.values().sum::<u64>(), 1);
    assert_eq!(
        alerts(&set, &[&network(r#""source":{"ip":"198.51.100.7"}"#)]).len(),
        1
    );
}

/// A scan of a hundred thousand indicators for each of two thousand events would be 10⁸ comparisons a column, which takes
/// minutes without optimisation.
#[test]
fn a_hundred_thousand_indicators_are_looked_up() {
    let mut indicators = String::new();
    for number in 0..100_000_u32 {
        indicators.push_str(&format!(
            "{{\"threat.indicator.ip\":\"10.{}.{}.{}\"}}\n",
            number >> 16 & 255,
            number >> 8 & 255,
            number & 255
        ));
    }
    let set = rule(ADDRESSES, &[("i.ndjson", &indicators)]);
    assert_eq!(set.report.rules[0].state, RuleState::Active);
    let events: Vec<String> = (0..2_000_u32)
        .map(|number| {
            network(&format!(
                r#""source":{{"ip":"10.{}.0.{}"}}"#,
                number % 4,
                number % 200
            ))
        })
        .collect();
    let begin = std::time::Instant::now();
    let found = support::matches(&set.rules, &events, None).len();
    // 10.0.x and 10.1.x below 34,464 are indicators; 10.2 and 10.3 are not.
    assert_eq!(found, 1_000);
    assert!(begin.elapsed().as_secs() < 20, "{:?}", begin.elapsed());
}
