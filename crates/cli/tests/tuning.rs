//! Overlays, exceptions, lists and suppression through the binary.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
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

/// A rule as Kibana exports it, with these exception lists.
fn exported(lists: Value) -> Value {
    json!({
        "id": "5b0f6f60-0000-11ee-9a7c-3c1f0e3f5a11",
        "rule_id": "0b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a21",
        "name": "Login", "description": "Text", "type": "query", "language": "kuery",
        "query": "event.action: login", "severity": "low", "risk_score": 21, "version": 1,
        "exceptions_list": lists,
    })
}

fn item(name: &str, entries: Value, more: Value) -> Value {
    let mut item = json!({
        "item_id": name, "list_id": "trusted", "name": name, "description": name, "type": "simple",
        "namespace_type": "single", "os_types": [], "tags": [], "comments": [], "entries": entries,
        "created_by": "ann", "_version": "WzEsMV0=",
    });
    if let (Value::Object(item), Value::Object(more)) = (&mut item, more) {
        item.extend(more);
    }
    item
}

fn lines(objects: &[Value]) -> String {
    objects.iter().map(|object| format!("{object}\n")).collect()
}

/// The users whose logins are told where these items except some.
fn told_users(items: &[Value]) -> (Vec<String>, Value) {
    let mut objects = vec![
        exported(json!([{"id": "x", "list_id": "trusted", "type": "detection", "namespace_type": "single"}])),
        json!({"list_id": "trusted", "name": "Trusted", "type": "detection", "namespace_type": "single", "description": "d"}),
    ];
    objects.extend_from_slice(items);
    let events = [
        json!({"user": {"name": "ann"}, "source": {"ip": "192.0.2.1"}, "host": {"os": {"type": "linux"}}}),
        json!({"user": {"name": "bob"}, "source": {"ip": "10.1.2.3"}, "host": {"os": {"type": "windows"}}}),
        json!({"user": {"name": "Ann-2"}, "dll": [{"name": "a", "path": "p"}, {"name": "b", "path": "q"}]}),
        json!({"host": {"name": "nobody"}}),
    ];
    let events: Vec<Value> = events
        .into_iter()
        .enumerate()
        .map(|(minute, mut event)| {
            event["@timestamp"] = format!("2026-11-21T10:{minute:02}:00Z").into();
            event["event"] = json!({"action": "login"});
            event
        })
        .collect();
    let folder = folder(&[
        ("rules/export.ndjson", &lines(&objects)),
        ("lists/addresses.txt", "# type: cidr\n10.0.0.0/8\n"),
        ("events.ndjson", &lines(&events)),
    ]);
    let (json, _) = detect(folder.path(), &["--lists", "lists"]);
    let users = alerts(&json)
        .iter()
        .map(|alert| alert["user"]["name"].as_str().unwrap_or("-").to_owned())
        .collect();
    (users, json)
}

#[test]
fn items_of_exception_lists_mean_what_they_mean_in_kibana() {
    let entry = |field: &str, kind: &str, operator: &str, value: Value| json!({"field": field, "type": kind, "operator": operator, "value": value});
    let list = json!({"field": "source.ip", "type": "list", "operator": "included", "list": {"id": "addresses", "type": "ip_range"}});
    let nested = json!({"field": "dll", "type": "nested", "entries": [entry("name", "match", "included", json!("b"))]});
    let nothing = json!({});
    let cases: Vec<(&str, Value, Value, &[&str])> = vec![
        (
            "match",
            json!([entry("user.name", "match", "included", json!("ann"))]),
            nothing.clone(),
            &["bob", "Ann-2", "-"],
        ),
        (
            "match excluded",
            json!([entry("user.name", "match", "excluded", json!("ann"))]),
            nothing.clone(),
            &["ann"],
        ),
        (
            "match_any",
            json!([entry("user.name", "match_any", "included", json!(["ann", "bob"]))]),
            nothing.clone(),
            &["Ann-2", "-"],
        ),
        (
            "wildcard",
            json!([entry("user.name", "wildcard", "included", json!("?nn*"))]),
            nothing.clone(),
            &["bob", "-"],
        ),
        (
            "exists",
            json!([{"field": "user.name", "type": "exists", "operator": "included"}]),
            nothing.clone(),
            &["-"],
        ),
        (
            "exists excluded",
            json!([{"field": "user.name", "type": "exists", "operator": "excluded"}]),
            nothing.clone(),
            &["ann", "bob", "Ann-2"],
        ),
        ("list", json!([list]), nothing.clone(), &["ann", "Ann-2", "-"]),
        ("nested", json!([nested]), nothing.clone(), &["ann", "bob", "-"]),
        (
            "entries are joined with and",
            json!([
                entry("user.name", "match", "included", json!("ann")),
                entry("source.ip", "match", "included", json!("10.1.2.3"))
            ]),
            nothing.clone(),
            &["ann", "bob", "Ann-2", "-"],
        ),
        (
            "os_types",
            json!([{"field": "user.name", "type": "exists", "operator": "included"}]),
            json!({"os_types": ["windows"]}),
            &["ann", "Ann-2", "-"],
        ),
        (
            "expired",
            json!([entry("user.name", "match", "included", json!("ann"))]),
            json!({"expire_time": "2020-01-01T00:00:00.000Z"}),
            &["ann", "bob", "Ann-2", "-"],
        ),
    ];
    for (name, entries, more, expected) in cases {
        let (users, json) = told_users(&[item(name, entries, more)]);
        assert_eq!(users, expected, "{name}");
        let list = &json["summary"]["exception_lists"][0];
        let excepted = 4 - expected.len() as u64;
        if excepted > 0 {
            assert_eq!(
                (&list["list_id"], &list["excepted"]),
                (&json!("trusted"), &json!(excepted)),
                "{name}"
            );
        }
    }
    // Items are joined with or.
    let one = item(
        "one",
        json!([entry("user.name", "match", "included", json!("ann"))]),
        nothing.clone(),
    );
    let two = item(
        "two",
        json!([entry("user.name", "match", "included", json!("bob"))]),
        nothing,
    );
    assert_eq!(told_users(&[one, two]).0, ["Ann-2", "-"]);
}

#[test]
fn a_rule_without_its_exception_list_is_degraded_by_name() {
    let rule = exported(json!([
        {"list_id": "gone", "type": "detection", "namespace_type": "single"},
        {"list_id": "broken", "type": "rule_default", "namespace_type": "single"},
        {"list_id": "empty", "type": "detection", "namespace_type": "single"},
    ]));
    let broken = json!({"item_id": "i", "list_id": "broken", "name": "half", "type": "simple",
        "entries": [{"field": "user.name", "type": "list", "operator": "included", "list": {"id": "nowhere"}}]});
    let empty = json!({"list_id": "empty", "name": "Empty", "type": "detection"});
    let folder = folder(&[("rules/export.ndjson", &lines(&[rule, broken, empty]))]);
    let output = neph(folder.path(), &["rules", "check", "--format", "json", "rules"]);
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        json["rules"][0]["reasons"],
        json!([{"reason": "exceptions-missing", "lists": ["broken", "gone"]}]),
        "{json:#}"
    );
    assert_eq!(json["counts"]["degraded"], 1);
    let text = neph(folder.path(), &["rules", "check", "rules"]);
    let said = String::from_utf8_lossy(&text.stdout);
    assert!(
        said.contains("there is no list `nowhere`")
            && said.contains("the exception list `gone` is not there"),
        "{said}"
    );
    // The list alone, given as an overlay, makes it whole.
    std::fs::write(
        folder.path().join("lists.ndjson"),
        lines(&[json!({"list_id": "gone", "name": "Gone", "type": "detection"})]),
    )
    .expect("a file");
    let output = neph(
        folder.path(),
        &[
            "rules",
            "check",
            "--format",
            "json",
            "--overlay",
            "lists.ndjson",
            "rules",
        ],
    );
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["rules"][0]["reasons"][0]["lists"], json!(["broken"]));
}

#[test]
fn lists_of_a_hundred_thousand_entries_serve_many_rules() {
    let rules: Vec<(String, String)> = (0..100)
        .map(|number| {
            let id = format!("0b3d8a6e-6d0f-4c35-9a7c-{number:012}");
            let rule = LOGIN.replace("0b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a11", &id);
            (format!("rules/rule{number}.toml"), rule)
        })
        .collect();
    let users: String = (0..100_000).map(|number| format!("user{number}\n")).collect();
    let networks: String = std::iter::once("# type: cidr\n".to_owned())
        .chain(
            (0..100_000)
                .map(|number| format!("100.{}.{}.{}/32\n", number >> 16, number >> 8 & 255, number & 255)),
        )
        .collect();
    let overlay = "select: {tags: 'Domain: Identity'}
exceptions:
  - {name: users, fields: {user.name: {list: users}}}
  - {name: networks, fields: {source.ip: {list: networks}}}
";
    let events = events(
        "
10:00:00 login user99999 192.0.2.1
10:00:01 login ann 100.1.134.159
10:00:02 login ann 100.1.134.160
",
    );
    let mut files: Vec<(&str, &str)> = rules
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    files.extend([
        ("lists/users.txt", users.as_str()),
        ("lists/networks.txt", networks.as_str()),
        ("overlay.yml", overlay),
        ("events.ndjson", events.as_str()),
    ]);
    let folder = folder(&files);
    let began = std::time::Instant::now();
    let (json, _) = detect(folder.path(), &["--overlay", "overlay.yml", "--lists", "lists"]);
    assert_eq!(alerts(&json).len(), 100);
    assert_eq!(json["summary"]["overlays"][0]["excepted"], 200);
    // Were the lists written out for each rule, it would take minutes.
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}

/// The blocks of a document that name a file in their first line: its name and text.
fn examples(document: &str, kind: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(document);
    let text = std::fs::read_to_string(path).expect("the document is there");
    let mut found = Vec::new();
    let mut rest = text.as_str();
    while let Some((_, block)) = rest.split_once(&format!(" {kind}:")) {
        let (name, body) = block.split_once('\n').expect("a block has lines");
        let (body, after) = body.split_once("```").expect("a block ends");
        found.push((name.to_owned(), body.to_owned()));
        rest = after;
    }
    found
}

#[test]
fn the_examples_of_the_documents_work() {
    let lists = examples("lists.md", "list");
    let overlays = examples("overlays.md", "overlay");
    assert_eq!((lists.len(), overlays.len()), (3, 1));
    let rule = LOGIN.replace(
        "0b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a11",
        "6f1d0a52-7a0e-4b5e-9b3f-0d6a1f3f5a21",
    );
    let takeover = TAKEOVER
        .replace("T1485", "T1078")
        .replace("Data Destruction", "Valid Accounts")
        .replace("TA0040", "TA0001")
        .replace("Impact", "Initial Access");
    let events = events(
        "
10:00:00 login ci-7 192.0.2.1
10:01:00 login ann 198.51.100.4
10:02:00 login root 198.51.100.4
10:03:00 login bob 192.0.2.9
",
    );
    let folder = folder(&[
        ("rules/a.toml", &rule),
        ("rules/b.toml", &takeover),
        ("events.ndjson", &events),
    ]);
    for (place, files) in [("lists", &lists), ("overlays", &overlays)] {
        std::fs::create_dir(folder.path().join(place)).expect("a folder");
        for (name, text) in files {
            std::fs::write(folder.path().join(place).join(name), text).expect("a file");
        }
    }
    let check = neph(
        folder.path(),
        &[
            "rules",
            "check",
            "--lists",
            "lists",
            "--overlay",
            "overlays",
            "rules",
        ],
    );
    let said = String::from_utf8_lossy(&check.stdout);
    assert!(check.status.success() && !said.contains("warning["), "{said}");
    let (json, _) = detect(folder.path(), &["--lists", "lists", "--overlay", "overlays"]);
    let [alert] = alerts(&json) else {
        panic!("{json:#}")
    };
    // The robot and ann are excepted from both rules. Root and bob are not; neither event names a host, so that they are one.
    assert_eq!(alert["kibana.alert.suppression.docs_count"], 1);
    assert_eq!(alert["kibana.alert.severity"], "low");
    assert_eq!(
        json["summary"]["overlays"][0]["excepted"], 4,
        "{:#}",
        json["summary"]["overlays"]
    );
}

/// Waits until a condition holds, at most half a minute.
fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..300 {
        if holds() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("it did not happen: {what}");
}

#[test]
fn changed_rules_lists_and_overlays_are_taken_over_while_a_stream_runs() {
    use std::io::Write;

    let folder = folder(&[
        ("rules/login.toml", LOGIN),
        ("rules/takeover.toml", TAKEOVER),
        (
            "overlays/farm.yml",
            "select: {tags: 'Domain: Identity'}\nexceptions: [{name: robots, fields: {user.name: {list: robots}}}]\n",
        ),
        ("lists/robots.txt", "ci-1\n"),
        (
            "events.ndjson",
            &events("10:00:00 login ann 192.0.2.1\n10:00:01 login ci-1\n"),
        ),
    ]);
    let path = |name: &str| folder.path().join(name);
    let file = |name: &str| std::fs::File::create(path(name)).expect("a file");
    let mut child = Command::new(env!("CARGO_BIN_EXE_neph"))
        .current_dir(folder.path())
        .args([
            "detect",
            "--live",
            "--format",
            "ndjson",
            "--rules",
            "rules",
            "--overlay",
            "overlays",
            "--lists",
            "lists",
            "events.ndjson",
        ])
        .stdout(file("out"))
        .stderr(file("err"))
        .spawn()
        .expect("the binary starts");
    let read = |name: &str| std::fs::read_to_string(path(name)).unwrap_or_default();
    let told = || -> Vec<String> {
        let text = read("out");
        text.lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .map(|alert| {
                format!(
                    "{}: {}",
                    alert["rule"]["name"].as_str().unwrap_or(""),
                    alert["user"]["name"].as_str().unwrap_or("")
                )
            })
            .collect()
    };
    let append = |written: &str| {
        let mut log = std::fs::OpenOptions::new()
            .append(true)
            .open(path("events.ndjson"))
            .expect("the log");
        log.write_all(events(written).as_bytes()).expect("the log grows");
    };
    let write = |name: &str, text: &str| std::fs::write(path(name), text).expect("a file");
    wait_for("the first alert", || told() == ["Login: ann"]);

    // A broken file is told of, and the rules before go on.
    write("rules/login.toml", &LOGIN.replace("query = '", "query = '("));
    wait_for("the refusal", || read("err").contains("are not taken over"));
    append("10:00:10 login bob\n");
    wait_for("the rule before", || told() == ["Login: ann", "Login: bob"]);

    // A list grows, a rule changes, another stays with its half of a sequence.
    write("lists/robots.txt", "ci-1\nci-2\n");
    write(
        "rules/login.toml",
        &LOGIN.replace("\"Login\"", "\"Anyone logs in\""),
    );
    wait_for("the change", || read("err").contains("rules changed: 2 rules"));
    assert!(
        read("err").contains("2 go on with their state"),
        "{}",
        read("err")
    );
    append("10:00:20 login ci-2\n10:00:21 login eve\n10:00:30 delete ann\n");
    wait_for("the new rules, and the old sequence", || {
        told()
            == [
                "Login: ann",
                "Login: bob",
                "Anyone logs in: eve",
                "Login, then deletion: ann",
            ]
    });

    // An overlay may switch a rule off, and a rule may come new.
    write(
        "overlays/off.yml",
        "select: {techniques: T1485}\nenabled: false\n",
    );
    let new = LOGIN
        .replace("3c1f0e3f5a11", "3c1f0e3f5a77")
        .replace("\"Login\"", "\"Upload\"")
        .replace("login'", "upload'");
    write("rules/upload.toml", &new);
    wait_for("the second change", || {
        read("err").matches("rules changed").count() == 2
    });
    append("10:01:00 upload ann\n10:01:01 delete bob\n10:01:02 login joe\n");
    wait_for("the alerts of the rules that are", || {
        told()
            .get(4..)
            .is_some_and(|more| more == ["Upload: ann", "Anyone logs in: joe"])
    });
    child.kill().expect("the process ends");
    child.wait().expect("the process ends");
}
