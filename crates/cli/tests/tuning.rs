//! Overlays, exceptions, lists and suppression through the binary.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly and says what it saw"
)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
    folder
}

fn neph(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_neph"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("the binary starts")
}

/// What `detect` says of these files with the rules below `rules`, as JSON, and on standard error.
fn detect(folder: &Path, more: &[&str]) -> (Value, String) {
    let mut arguments = vec!["detect", "--format", "json", "--rules", "rules"];
    arguments.extend_from_slice(more);
    arguments.push("events.ndjson");
    let output = neph(folder, &arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let json = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}\n{errors}", String::from_utf8_lossy(&output.stdout)));
    (json, errors)
}

fn alerts(json: &Value) -> &[Value] {
    json["alerts"].as_array().map_or(&[], Vec::as_slice)
}

const LOGIN: &str = r#"[rule]
rule_id = "0b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a11"
name = "Login"
description = "Text"
type = "query"
severity = "medium"
risk_score = 47
version = 3
language = "kuery"
query = 'event.action: login'
tags = ["Domain: Identity"]
"#;

const TAKEOVER: &str = r#"[rule]
rule_id = "0b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a12"
name = "Login, then deletion"
description = "Text"
type = "eql"
severity = "high"
risk_score = 73
language = "eql"
query = '''
sequence by user.name with maxspan=10m
  [any where event.action == "login"]
  [any where event.action == "delete"]
'''
[[rule.threat]]
framework = "MITRE ATT&CK"
[rule.threat.tactic]
id = "TA0040"
name = "Impact"
reference = "https://attack.mitre.org/tactics/TA0040/"
[[rule.threat.technique]]
id = "T1485"
name = "Data Destruction"
reference = "https://attack.mitre.org/techniques/T1485/"
"#;

/// `clock action user address`, a line each.
fn events(written: &str) -> String {
    let event = |line: &str| {
        let mut words = line.split_whitespace();
        let mut next = || words.next().unwrap_or("");
        let (clock, action, user, address) = (next(), next(), next(), next());
        let mut event = json!({
            "@timestamp": format!("2026-11-21T{clock}Z"),
            "event": {"action": action, "category": ["authentication"]},
            "user": {"name": user},
        });
        if !address.is_empty() {
            event["source"] = json!({"ip": address});
        }
        format!("{event}\n")
    };
    written.trim().lines().map(event).collect()
}

const WORK: &str = "
10:00:00 login ann 192.0.2.1
10:00:01 login ci-7 10.1.2.3
10:01:00 delete ann 192.0.2.1
10:01:01 delete ci-7 10.1.2.3
10:02:00 login bob 198.51.100.4
";

#[test]
fn an_overlay_excepts_and_says_what() {
    let overlay = "name: build farm
owner: platform
reason: robots log in all day
expires: 2099-12-31
select:
  ids: 0b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a11
  techniques: [T1485]
exceptions:
  - name: robots
    when: 'user.name: ci-*'
  - name: the office
    fields:
      source.ip: {list: office}
";
    let folder = folder(&[
        ("rules/login.toml", LOGIN),
        ("rules/takeover.toml", TAKEOVER),
        ("tuning/farm.yaml", overlay),
        ("lists/office.txt", "# type: cidr\n198.51.100.0/24\n"),
        ("events.ndjson", &events(WORK)),
    ]);
    let (plain, _) = detect(folder.path(), &[]);
    assert_eq!(alerts(&plain).len(), 5, "{plain:#}");
    let (tuned, errors) = detect(folder.path(), &["--overlay", "tuning", "--lists", "lists"]);
    let found: Vec<&Value> = alerts(&tuned)
        .iter()
        .map(|alert| &alert["user"]["name"])
        .collect();
    assert_eq!(found, ["ann", "ann"], "{tuned:#}");
    let overlay = &tuned["summary"]["overlays"][0];
    // The robot's login in two rules and its deletion in one; bob's login in two.
    assert_eq!(overlay["excepted"], 5, "{overlay:#}");
    assert_eq!(overlay["exceptions"][0]["excepted"], 3);
    assert_eq!(overlay["exceptions"][1]["excepted"], 2);
    assert_eq!(overlay["owner"], "platform");
    assert_eq!(overlay["rules"], 2);
    assert!(
        errors.contains("overlay `build farm`: 5 events excepted, 0 alerts suppressed"),
        "{errors}"
    );
}

#[test]
fn an_overlay_sets_severity_schedule_suppression_and_switches() {
    let folder = folder(&[
        ("rules/login.toml", LOGIN),
        ("rules/takeover.toml", TAKEOVER),
        (
            "tuning.toml",
            r#"name = "quiet"
severity = "low"
risk_score = 5
[select]
tags = ["Domain: Identity"]
[schedule]
interval = "1h"
from = "now-70m"
[suppression]
group_by = ["event.action"]
duration = "1h"
"#,
        ),
        ("off.yml", "select: {techniques: [T1485]}\nenabled: false\n"),
        ("events.ndjson", &events(WORK)),
    ]);
    let (json, errors) = detect(
        folder.path(),
        &["--overlay", "tuning.toml", "--overlay", "off.yml"],
    );
    let [alert] = alerts(&json) else {
        panic!("{json:#}")
    };
    assert_eq!(alert["kibana.alert.severity"], "low");
    assert_eq!(alert["kibana.alert.risk_score"], 5);
    assert_eq!(alert["kibana.alert.rule.interval"], "1h");
    assert_eq!(alert["kibana.alert.suppression.docs_count"], 2);
    assert_eq!(alert["neph"]["alert"]["overlays"], json!(["quiet"]));
    assert_eq!(
        json["summary"]["overlays"][1]["suppressed"], 2,
        "{:#}",
        json["summary"]
    );
    assert!(
        errors.contains("the overlay `off` switches the rule off"),
        "{errors}"
    );
    assert!(
        errors.contains("overlay `quiet`: 0 events excepted, 2 alerts suppressed"),
        "{errors}"
    );
}

#[test]
fn what_an_overlay_no_longer_fits_is_told_and_the_rest_applies() {
    let folder = folder(&[
        ("rules/login.toml", LOGIN),
        ("rules/takeover.toml", TAKEOVER),
        (
            "tuning.yml",
            "select:
  ids: [0b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a12, 0b3d8a6e-0000-4c35-9a7c-3c1f0e3f5a99]
  tags: [\"Domain: Cloud\"]
pins:
  - {rule: 0b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a11, version: 2, reads: [event.action, process.name]}
suppression: {group_by: [\"step[3].user.name\"], duration: 5m}
severity: critical
exceptions:
  - {name: old, expires: 2020-01-01, when: 'user.name: *'}
---
name: over
expires: 2020-01-01
select: {tags: \"Domain: Identity\"}
enabled: false
",
        ),
        ("events.ndjson", &events(WORK)),
    ]);
    let output = neph(
        folder.path(),
        &["rules", "check", "--overlay", "tuning.yml", "rules"],
    );
    let said = String::from_utf8_lossy(&output.stdout);
    for wanted in [
        "no rule has the id `0b3d8a6e-0000-4c35-9a7c-3c1f0e3f5a99`",
        "no rule has the tag `Domain: Cloud`",
        "the overlay was checked against version `2` of `Login`, which is of version `3` now",
        "the rule `Login` does not read `process.name` any more",
        "`step[3].user.name` names step 3, but the rule `Login, then deletion` has 2 steps",
        "the exception `old` expired at 2020-01-01T23:59:59.999Z and is not applied",
        "the overlay `over` expired at",
    ] {
        assert!(said.contains(wanted), "{wanted}\n{said}");
    }
    assert_eq!(output.status.code(), Some(0), "warnings are no errors");
    let (json, _) = detect(folder.path(), &["--overlay", "tuning.yml"]);
    assert_eq!(alerts(&json).len(), 5);
    let severities: Vec<&Value> = alerts(&json)
        .iter()
        .map(|alert| &alert["kibana.alert.severity"])
        .collect();
    assert_eq!(
        severities
            .iter()
            .filter(|severity| **severity == "critical")
            .count(),
        2
    );
    assert_eq!(json["summary"]["overlays"][1]["is_expired"], true);
}

#[test]
fn mistakes_in_overlays_are_diagnostics_with_their_place() {
    let folder = folder(&[
        ("rules/login.toml", LOGIN),
        (
            "tuning.yml",
            "select: {ids: 0b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a11}
severty: high
risk_score: 170
schedule: {interval: soon}
exceptions:
  - {when: 'user.name: (ann or'}
  - {when: 'user.name == \"ann\" or', language: eql}
  - {fields: {user.name: {list: nobody}}}
  - {fields: {user.name: {glob: x}}}
  - {name: nothing}
",
        ),
        ("events.ndjson", &events(WORK)),
    ]);
    let output = neph(
        folder.path(),
        &[
            "rules",
            "check",
            "--format",
            "json",
            "--overlay",
            "tuning.yml",
            "rules",
        ],
    );
    assert_eq!(output.status.code(), Some(2));
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let found = json["beside"][0]["diagnostics"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let lines: Vec<(u64, &str)> = found
        .iter()
        .map(|one| {
            (
                one["span"]["from"]["line"].as_u64().unwrap_or(0),
                one["message"].as_str().unwrap_or(""),
            )
        })
        .collect();
    for (line, start) in [
        (2, "`overlay` has no key `severty`"),
        (3, "the risk score 170 is outside 0 to 100"),
        (4, "`soon` is not an interval"),
        (6, ""),
        (7, ""),
        (8, "there is no list `nobody`"),
        (9, "`glob` is nothing that a field can be asked"),
        (10, "the exception `nothing` says neither of `when` and `fields`"),
    ] {
        assert!(
            lines
                .iter()
                .any(|(at, message)| *at == line && message.starts_with(start)),
            "{line} {start}\n{found:#?}"
        );
    }
    // What is wrong is not applied, and the rule runs.
    let (json, _) = detect(folder.path(), &["--overlay", "tuning.yml"]);
    assert_eq!(alerts(&json).len(), 3);
}
