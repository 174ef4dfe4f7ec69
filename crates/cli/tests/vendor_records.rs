//! Vendor records in `neph detect` and `neph query`, the tests beside rules, and alerts saved as such, by the binary.

#![expect(
    clippy::expect_used,
    reason = "clippy exempts test functions, but not the functions that they share"
)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

fn neph(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_neph"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("the binary starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn cloudtrail(name: &str, id: &str) -> String {
    json!({
        "eventVersion": "1.08", "eventTime": "2026-02-03T04:05:06Z", "eventSource": "ec2.amazonaws.com", "eventName": name,
        "awsRegion": "eu-1", "eventID": id, "eventType": "AwsApiCall", "recipientAccountId": "111111111111",
        "sourceIPAddress": "203.0.113.9", "requestParameters": {"snapshotId": "snap-1"},
        "userIdentity": {"type": "IAMUser", "userName": "eve", "accountId": "111111111111"},
    })
    .to_string()
}

const AUDIT: &str = "type=SYSCALL msg=audit(1770091506.100:7): arch=c000003e syscall=59 success=yes exit=0 a0=0 items=2 ppid=10 pid=11 auid=1000 uid=0 gid=0 euid=0 tty=pts0 ses=1 comm=\"curl\" exe=\"/usr/bin/curl\" key=(null)\ntype=EXECVE msg=audit(1770091506.100:7): argc=2 a0=\"curl\" a1=\"http://169.254.169.254/latest/user-data\"\ntype=EOE msg=audit(1770091506.100:7):\n";

const SNAPSHOT: &str = "[rule]\nrule_id = \"snapshot\"\nname = \"Snapshot Shared\"\ndescription = \"d\"\nseverity = \"low\"\nrisk_score = 21\ntype = \"query\"\nlanguage = \"kuery\"\nquery = \"event.dataset: aws.cloudtrail and event.action: ModifySnapshotAttribute\"\n";

const CURL: &str = "[rule]\nrule_id = \"curl\"\nname = \"Metadata Asked\"\ndescription = \"d\"\nseverity = \"low\"\nrisk_score = 21\ntype = \"eql\"\nlanguage = \"eql\"\nquery = 'process where event.type == \"start\" and process.command_line : \"*169.254.169.254*\"'\n";

/// A folder with rules, and logs of several sources.
fn site() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a file lies in a folder"))
            .expect("a folder can be made");
        std::fs::write(path, text).expect("a file can be written");
    };
    write("rules/snapshot.toml", SNAPSHOT.to_owned());
    write("rules/curl.toml", CURL.to_owned());
    write(
        "logs/trail.json",
        format!(
            "{{\"Records\":[{},{}]}}",
            cloudtrail("ModifySnapshotAttribute", "1"),
            cloudtrail("DescribeSnapshots", "2")
        ),
    );
    write("logs/audit.log", AUDIT.to_owned());
    let wrapped: Vec<String> = AUDIT
        .lines()
        .map(|line| json!({"message": line}).to_string())
        .collect();
    write("logs/shipped.ndjson", wrapped.join("\n").replace(":7)", ":8)"));
    write("logs/notes.txt", "nobody knows this line\u{7}\n".to_owned());
    folder
}

#[test]
fn raw_logs_are_detected_in_and_searched() {
    let site = site();
    let output = neph(
        site.path(),
        &["detect", "--rules", "rules", "--format", "json", "logs"],
    );
    let said = text(&output.stderr);
    let printed: Value = serde_json::from_slice(&output.stdout).expect("the output is JSON");
    let alerts = printed["alerts"].as_array().expect("there are alerts");
    let mut rules: Vec<&str> = alerts
        .iter()
        .filter_map(|alert| alert["rule"]["id"].as_str())
        .collect();
    rules.sort_unstable();
    assert_eq!(rules, ["curl", "curl", "snapshot"], "{said}");
    let input = &printed["summary"]["input"];
    assert_eq!(input["events"], json!({"auditd": 2, "aws_cloudtrail": 2}));
    assert_eq!(input["problem_counts"], json!({"unrecognised": 1}));
    assert_eq!(input["records"], 8);
    assert!(
        said.contains("no source recognises the record: `nobody knows this line `"),
        "{said}"
    );
    let snapshot = alerts
        .iter()
        .find(|alert| alert["rule"]["id"] == "snapshot")
        .expect("it is there");
    let event = &snapshot["neph"]["alert"]["steps"][0]["events"][0];
    assert_eq!(
        event["document"]["event"]["original"],
        cloudtrail("ModifySnapshotAttribute", "1")
    );
    assert!(
        event["origin"]["source"]
            .as_str()
            .is_some_and(|source| source.ends_with("trail.json"))
    );

    let strict = neph(site.path(), &["detect", "--rules", "rules", "--strict", "logs"]);
    assert_eq!(strict.status.code(), Some(2), "{}", text(&strict.stderr));

    let found = neph(
        site.path(),
        &[
            "query",
            "--format",
            "ndjson",
            "any where aws.cloudtrail.user_identity.type == \"IAMUser\"",
            "logs",
        ],
    );
    assert_eq!(text(&found.stdout).lines().count(), 2, "{}", text(&found.stderr));
    let forced = neph(
        site.path(),
        &[
            "query",
            "--source",
            "ecs",
            "--format",
            "ndjson",
            "any where eventName == \"DescribeSnapshots\"",
            "logs/trail.json",
        ],
    );
    assert_eq!(
        text(&forced.stdout).lines().count(),
        1,
        "{}",
        text(&forced.stderr)
    );
    let unknown = neph(
        site.path(),
        &["detect", "--rules", "rules", "--source", "nothing", "logs"],
    );
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("there is no source `nothing`"));
}

#[test]
fn lines_are_joined_but_where_each_is_asked_for() {
    let site = site();
    let joined = neph(site.path(), &["normalize", "logs/audit.log"]);
    assert_eq!(
        text(&joined.stdout).lines().count(),
        1,
        "{}",
        text(&joined.stderr)
    );
    let aligned = neph(site.path(), &["normalize", "--aligned", "logs/audit.log"]);
    assert_eq!(
        text(&aligned.stdout).lines().count(),
        3,
        "{}",
        text(&aligned.stderr)
    );
}

#[test]
fn alerts_become_tests_that_pass() {
    let site = site();
    let output = neph(
        site.path(),
        &["detect", "--rules", "rules", "--save-case", "saved", "logs"],
    );
    assert!(
        text(&output.stderr).contains("saved 3 cases"),
        "{}",
        text(&output.stderr)
    );
    let ran = neph(
        site.path(),
        &[
            "rules",
            "test",
            "--format",
            "json",
            "--junit",
            "report.xml",
            "saved",
        ],
    );
    let report: Value = serde_json::from_slice(&ran.stdout).expect("the output is JSON");
    assert_eq!(
        (&report["passed"], &report["failed"]),
        (&json!(3), &json!(0)),
        "{report:#}"
    );
    assert_eq!(ran.status.code(), Some(0));
    let xml = std::fs::read_to_string(site.path().join("report.xml")).expect("the report is there");
    assert_eq!(xml.matches("<testcase ").count(), 3, "{xml}");
    let texts: Vec<String> = std::fs::read_dir(site.path().join("saved"))
        .expect("the folder is there")
        .flatten()
        .map(|entry| std::fs::read_to_string(entry.path()).expect("a test is text"))
        .collect();
    // Events are kept raw, and the rule is named by the way to it.
    assert!(
        texts
            .iter()
            .all(|text| text.contains("- raw: ") && text.contains("rules: [\"../rules/")),
        "{texts:#?}"
    );

    let one = [
        "detect",
        "--rules",
        "rules",
        "--save-case",
        "one.test.yaml",
        "--rule",
        "metadata asked",
        "logs",
    ];
    assert!(text(&neph(site.path(), &one).stderr).contains("saved 2 cases"));
    let ran = neph(site.path(), &["rules", "test", "one.test.yaml"]);
    assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stdout));
    assert!(
        text(&ran.stdout).contains("2 passed, 0 failed"),
        "{}",
        text(&ran.stdout)
    );
}

#[test]
fn tests_beside_rules_end_with_their_exit_codes() {
    let site = site();
    let write = |text: &str| {
        std::fs::write(site.path().join("rules/curl.test.yaml"), text).expect("a file can be written")
    };
    let event = "{ecs: {event: {category: process, type: start}, process.command_line: wget 10.0.0.1}}";
    write(&format!(
        "cases:\n  - {{name: attack, events: [{event}], expect: {{rule: curl}}}}\n  - {{name: benign, events: [{event}], expect: none}}\n"
    ));
    let failed = neph(
        site.path(),
        &["--color", "always", "rules", "test", "rules/curl.toml"],
    );
    let said = text(&failed.stdout);
    assert_eq!(failed.status.code(), Some(1), "{said}");
    for part in [
        "\u{1b}[",
        "FAILED",
        "closest is the one of line 2",
        "process.command_line = wget 10.0.0.1",
        "1 passed, 1 failed",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    let passed = neph(site.path(), &["rules", "test", "rules", "--name", "ben*"]);
    assert_eq!(passed.status.code(), Some(0), "{}", text(&passed.stdout));
    let nothing = neph(site.path(), &["rules", "test", "rules", "--name", "other"]);
    assert_eq!(nothing.status.code(), Some(2));
    write("cases:\n  - {name: wrong, events: [{at: soon, raw: x}], expect: none}\n");
    let broken = neph(site.path(), &["rules", "test", "rules"]);
    let said = text(&broken.stdout);
    assert_eq!(broken.status.code(), Some(2), "{said}");
    assert!(
        said.contains("error[rule-test]") && said.contains("curl.test.yaml:2:"),
        "{said}"
    );
    // Rules are loaded without their tests.
    let detected = neph(
        site.path(),
        &["detect", "--rules", "rules", "--strict", "logs/trail.json"],
    );
    assert_eq!(detected.status.code(), Some(0), "{}", text(&detected.stderr));
}

#[test]
fn sources_are_listed_with_what_rules_need() {
    let site = site();
    let listed = neph(site.path(), &["sources", "--rules", "rules", "--format", "json"]);
    let printed: Value = serde_json::from_slice(&listed.stdout).expect("the output is JSON");
    let sources = printed["sources"].as_array().expect("there are sources");
    let of = |name: &str| {
        sources
            .iter()
            .find(|source| source["name"] == name)
            .expect("it is there")
    };
    assert!(
        of("aws_cloudtrail")["rules_served_whole"]
            .as_array()
            .is_some_and(|rules| rules.contains(&json!("Snapshot Shared")))
    );
    assert!(
        of("auditd")["rules_served_whole"]
            .as_array()
            .is_some_and(|rules| rules.contains(&json!("Metadata Asked")))
    );
    assert!(
        of("auditd")["fields"]
            .as_array()
            .is_some_and(|fields| fields.contains(&json!("process.command_line")))
    );
    assert_eq!(printed["unfilled"], json!({}));
    let one = neph(site.path(), &["sources", "aws_cloudtrail"]);
    assert!(text(&one.stdout).contains("aws.cloudtrail.event_version"));
    assert_eq!(neph(site.path(), &["sources", "nothing"]).status.code(), Some(2));
}
