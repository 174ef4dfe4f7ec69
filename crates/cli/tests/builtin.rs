//! The built-in rules, and the language in which people are told.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly and says what it saw"
)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const CURL: &str = r#"{"@timestamp":"2026-01-01T00:00:00Z","event":{"category":["process"],"type":["start"],"action":"exec"},"host":{"id":"h","name":"web-1","os":{"type":"linux"}},"user":{"name":"www-data"},"process":{"name":"curl","executable":"/usr/bin/curl","args":["curl","http://169.254.169.254/latest/meta-data/iam/security-credentials/"],"command_line":"curl http://169.254.169.254/latest/meta-data/iam/security-credentials/"}}
"#;

fn neph(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_neph"))
        .current_dir(folder)
        .env_remove("NEPH_LANG")
        .args(arguments)
        .output()
        .expect("the binary starts")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
    })
}

#[test]
fn without_rules_the_built_in_ones_run() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("events.ndjson"), CURL).expect("a file");
    let detect = |more: &[&str]| {
        let arguments = [&["detect", "--format", "json"], more, &["events.ndjson"]].concat();
        let output = neph(folder.path(), &arguments);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        json(&output)
    };
    let plain = detect(&[]);
    let alerts = plain["alerts"].as_array().expect("alerts");
    assert!(!alerts.is_empty(), "{plain}");
    assert_eq!(plain["alerts"], detect(&["--rules", "builtin"])["alerts"]);
    assert_eq!(plain["summary"]["rules"]["rejected"], 0);

    // Told in another language, an alert is the same alert.
    let russian = detect(&["--lang", "ru"]);
    for (one, other) in alerts.iter().zip(russian["alerts"].as_array().expect("alerts")) {
        assert_eq!(one["event"]["id"], other["event"]["id"]);
        assert_eq!(one["rule"]["uuid"], other["rule"]["uuid"]);
        let reason = other["message"].as_str().expect("a reason");
        assert!(
            reason.contains("На узле `web-1`: `www-data` запустил `curl`"),
            "{reason}"
        );
        assert_ne!(one["message"], other["message"]);
    }
}

#[test]
fn the_pack_can_be_unpacked_and_its_copy_stands_in_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(neph(folder.path(), &["rules", "unpack", "mine"]).status.success());
    let again = neph(folder.path(), &["rules", "unpack", "mine"]);
    assert_eq!(again.status.code(), Some(2));
    let list = |paths: &[&str]| {
        let arguments = [&["rules", "list", "--format", "json"], paths].concat();
        json(&neph(folder.path(), &arguments))["counts"].clone()
    };
    let builtin = list(&[]);
    let beside = list(&["builtin", "mine/rules"]);
    assert!(builtin["rules"].as_u64().expect("a number") > 3);
    for key in ["rules", "active", "degraded", "rejected"] {
        assert_eq!(builtin[key], beside[key], "{key}");
    }
}

#[test]
fn the_built_in_rules_pass_their_tests() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = neph(folder.path(), &["rules", "test"]);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
}
