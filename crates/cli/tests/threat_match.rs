//! Rules of type `threat_match` through the binary.

#![expect(
    clippy::expect_used,
    reason = "clippy exempts test functions, but not the functions that they share"
)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const RULE: &str = r#"[rule]
rule_id = "4b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a12"
name = "Traffic with a known address"
description = "Text"
type = "threat_match"
severity = "high"
risk_score = 73
query = "source.ip: * or destination.ip: *"
threat_index = ["logs-ti_*"]
threat_query = '@timestamp >= "now-30d/d" and event.module: (threatintel or ti_*) and threat.indicator.ip: *'
[[rule.threat_mapping]]
[[rule.threat_mapping.entries]]
field = "destination.ip"
type = "mapping"
value = "threat.indicator.ip"
"#;

const EVENTS: &str = r#"{"@timestamp":"2026-11-21T10:00:00Z","destination":{"ip":"203.0.113.9"}}
{"@timestamp":"2026-11-21T10:00:01Z","destination":{"ip":"203.0.113.10"}}
{"@timestamp":"2026-11-21T10:00:02Z","destination":{"ip":"192.0.2.77"}}
"#;

fn neph(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_neph"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("the binary starts")
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in [
        ("rule.toml", RULE),
        ("events.ndjson", EVENTS),
        ("one.csv", "type,value\nip,203.0.113.9\n"),
        (
            "two.json",
            r#"{"type":"bundle","id":"bundle--1","objects":[{"type":"indicator","id":"indicator--1","name":"range",
                "pattern_type":"stix","pattern":"[ipv4-addr:value = '192.0.2.0/24']"}]}"#,
        ),
    ] {
        std::fs::write(folder.path().join(name), text).expect("a file");
    }
    folder
}

#[test]
fn events_that_indicators_name_are_alerts() {
    let folder = folder();
    let output = neph(
        folder.path(),
        &[
            "detect",
            "--rules",
            "rule.toml",
            "--indicators",
            "one.csv",
            "--indicators",
            "two.json",
            "--format",
            "ndjson",
            "events.ndjson",
        ],
    );
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let alerts: Vec<Value> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let matched: Vec<(&Value, &Value)> = alerts
        .iter()
        .map(|alert| {
            let enrichment = &alert["threat"]["enrichments"][0];
            (&enrichment["matched"]["atomic"], &enrichment["indicator"]["name"])
        })
        .collect();
    assert_eq!(matched.len(), 2, "{alerts:#?}");
    assert_eq!(
        matched[0],
        (&Value::from("203.0.113.9"), &Value::from("203.0.113.9"))
    );
    assert_eq!(matched[1], (&Value::from("192.0.2.77"), &Value::from("range")));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("1 rule (1 active"), "{errors}");
}

#[test]
fn without_indicators_the_rule_is_degraded_by_name() {
    let folder = folder();
    let output = neph(
        folder.path(),
        &["detect", "--rules", "rule.toml", "events.ndjson"],
    );
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        errors.contains("rule `Traffic with a known address` is degraded: no indicators are given"),
        "{errors}"
    );
    assert!(errors.contains("0 alerts"), "{errors}");
}
