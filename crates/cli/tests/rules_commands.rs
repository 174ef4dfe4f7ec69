//! `neph rules list`, `show`, `stats` and `convert` through the binary, over the shipped rules.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "clippy exempts test functions, but not the functions that they share"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules")
}

fn neph(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_neph"))
        .args(arguments)
        .arg(shipped())
        .output()
        .expect("the binary starts")
}

fn json(arguments: &[&str]) -> Value {
    let output = neph(arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn listed(arguments: &[&str]) -> Vec<Value> {
    let mut all = vec!["rules", "list", "--format", "json"];
    all.extend(arguments);
    json(&all)["rules"].as_array().expect("a list").clone()
}

#[test]
fn filters_narrow_the_list() {
    let all = listed(&[]);
    assert!(!all.is_empty());
    let eql = listed(&["--type", "eql"]);
    assert!(eql.len() <= all.len() && eql.iter().all(|rule| rule["type"] == "eql"));
    let none = listed(&["--severity", "low", "--state", "rejected"]);
    assert!(none.is_empty(), "{none:?}");
    let one_name = all[0]["name"].as_str().expect("a name");
    let found = listed(&["--search", &one_name.to_uppercase()]);
    assert_eq!(found[0]["name"], all[0]["name"]);
    let technique = all
        .iter()
        .find_map(|rule| rule["techniques"][0].as_str())
        .expect("a technique");
    let by_technique = listed(&["--technique", technique]);
    assert!(!by_technique.is_empty() && by_technique.len() <= all.len());
}

#[test]
fn tables_fit_the_width_and_end_with_the_counts() {
    let output = neph(&["rules", "list"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.lines().all(|line| line.chars().count() <= 160), "{text}");
    let last = text.lines().last().expect("a line");
    assert!(last.contains(" rules; ") && last.contains("active"), "{last}");
    assert!(text.starts_with(" STATE"), "{text}");
}

#[test]
fn counts_are_those_of_the_list() {
    let all = listed(&[]);
    let counts = json(&["rules", "stats", "--format", "json"]);
    assert_eq!(counts["rules"], all.len());
    let sum = |key: &str| -> u64 {
        counts[key]
            .as_object()
            .expect("a map")
            .values()
            .filter_map(Value::as_u64)
            .sum()
    };
    for key in ["by_state", "by_type", "by_language", "by_severity"] {
        assert_eq!(sum(key), all.len() as u64, "{key}");
    }
    let table = String::from_utf8_lossy(&neph(&["rules", "stats"]).stdout).into_owned();
    assert!(
        table.contains("TECHNIQUE") && table.contains("SEVERITY"),
        "{table}"
    );
}

#[test]
fn a_rule_is_shown_whole() {
    let all = listed(&["--type", "eql"]);
    let id = all[0]["rule_id"].as_str().expect("an id");
    let shown = json(&["rules", "show", "--format", "json", id]);
    assert_eq!(shown["rule_id"], id);
    assert!(!shown["plan"].as_array().expect("a plan").is_empty());
    let fields = shown["fields"].as_array().expect("fields");
    assert!(
        fields
            .iter()
            .all(|field| field["name"].is_string() && field["sources"].is_array())
    );
    assert!(shown["query"].as_str().is_some_and(|query| !query.is_empty()));
    let text = String::from_utf8_lossy(&neph(&["rules", "show", id]).stdout).into_owned();
    for part in [id, "Query", "Plan", "Fields"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let output = neph(&["rules", "show", "no such rule"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("`no such rule`"));
}

/// Folders of the shipped rules that hold rules of Elastic's form alone, which every target can say.
const ELASTIC: [&str; 4] = ["cross-platform", "kubernetes", "linux", "windows"];

#[test]
fn exported_rules_are_the_same_rules() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("export.ndjson");
    let toml = folder.path().join("toml");
    let shipped = ELASTIC.map(|name| shipped().join(name));
    let convert = |target: &str, output: &Path| {
        let output = Command::new(env!("CARGO_BIN_EXE_neph"))
            .args(["rules", "convert", "--to", target, "--output"])
            .arg(output)
            .args(&shipped)
            .output()
            .expect("the binary starts");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    };
    convert("ndjson", &file);
    convert("elastic-toml", &toml);
    let keys = |paths: &[PathBuf]| -> Vec<String> {
        let output = Command::new(env!("CARGO_BIN_EXE_neph"))
            .args(["rules", "list", "--format", "json"])
            .args(paths)
            .output()
            .expect("the binary starts");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let rules = told["rules"].as_array().expect("a list");
        let mut keys: Vec<String> = rules
            .iter()
            .map(|rule| {
                format!(
                    "{} {} {} {}",
                    rule["rule_id"], rule["state"], rule["severity"], rule["techniques"]
                )
            })
            .collect();
        keys.sort();
        keys
    };
    let before = keys(&shipped);
    assert!(before.len() > 20, "{before:?}");
    assert_eq!(before, keys(&[file]));
    assert_eq!(before, keys(&[toml]));
}

const SIGMA: &str = r#"title: Shell of a web server
id: 5013bed5-b1a5-4d4b-9a63-9b3d4b0f1a07
level: high
logsource: {product: linux, category: process_creation}
detection:
  parent: {ParentImage|endswith: /nginx}
  shell:
    Image|endswith: [/sh, /bash]
    CommandLine|contains: "-c*"
  condition: parent and shell
---
title: Words anywhere
id: 5013bed5-b1a5-4d4b-9a63-9b3d4b0f1a08
logsource: {product: linux}
detection:
  words: [segfault at]
  condition: words
"#;

#[test]
fn sigma_becomes_eql_or_has_a_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = folder.path().join("rules.yml");
    std::fs::write(&rules, SIGMA).expect("a file");
    let output = Command::new(env!("CARGO_BIN_EXE_neph"))
        .args(["rules", "convert"])
        .arg(&rules)
        .output()
        .expect("the binary starts");
    assert_eq!(
        output.status.code(),
        Some(2),
        "one cannot be converted: {output:?}"
    );
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        errors.contains("`Words anywhere`") && errors.contains("anywhere in the event"),
        "{errors}"
    );
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 2, "a rule and the closing line");
    assert_eq!(
        (&lines[0]["type"], &lines[0]["immutable"]),
        (&Value::from("eql"), &Value::from(false))
    );
    assert_eq!(lines[1]["exported_rules_count"], 1);

    // Both find the same events.
    let converted = folder.path().join("converted.ndjson");
    std::fs::write(&converted, text.as_bytes()).expect("a file");
    let event = |parent: &str, image: &str, line: &str| {
        format!(
            r#"{{"@timestamp":"2026-11-21T10:00:00Z","host":{{"os":{{"type":"linux"}}}},"event":{{"category":["process"],"type":["start"]}},"process":{{"executable":"{image}","command_line":"{line}","parent":{{"executable":"{parent}"}}}}}}"#
        )
    };
    let events = [
        event("/usr/sbin/nginx", "/bin/sh", "sh -c* id"),
        event("/usr/sbin/NGINX", "/bin/BASH", "bash -C* id"),
        event("/usr/sbin/nginx", "/bin/sh", "sh id"),
        event("/usr/sbin/cron", "/bin/sh", "sh -c* id"),
    ];
    let file = folder.path().join("events.ndjson");
    std::fs::write(&file, events.join("\n")).expect("a file");
    let alerts = |rules: &Path| -> Vec<String> {
        let output = Command::new(env!("CARGO_BIN_EXE_neph"))
            .args(["detect", "--format", "ndjson", "--rules"])
            .args([rules, &file])
            .output()
            .expect("the binary starts");
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(|line| {
                let alert: Value = serde_json::from_str(line).expect("JSON");
                alert["kibana.alert.ancestors"].to_string()
            })
            .collect()
    };
    let (before, after) = (alerts(&rules), alerts(&converted));
    assert_eq!(before.len(), 2, "{before:?}");
    assert!(
        before.iter().all(|events| events.contains("\"id\"")),
        "{before:?}"
    );
    assert_eq!(before, after);
}
