//! Tests beside rules, run as users run them.

#![expect(
    clippy::unwrap_used,
    reason = "the lints know test functions only, not what these call"
)]

use std::path::{Path, PathBuf};

use neph_rules::rule_tests::{find_test_files, read_test_file};
use neph_runtime::rule_tests::{CaseReport, TestRunner};

fn run_file(path: &Path) -> Vec<CaseReport> {
    let file = read_test_file(path).unwrap();
    assert!(file.diagnostics.is_empty(), "{:#?}", file.diagnostics);
    TestRunner::default().run(&file, |_| true)
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Writes files into a folder of their own and runs the tests among them.
fn run(files: &[(&str, &str)]) -> Vec<CaseReport> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let (tests, failures) = find_test_files(&[folder.path()]);
    assert!(failures.is_empty());
    tests.iter().flat_map(|path| run_file(path)).collect()
}

fn assert_all_pass(reports: &[CaseReport]) {
    let failed: Vec<&CaseReport> = reports.iter().filter(|report| !report.passed()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Every failure with its details, one text a case.
fn failures(reports: &[CaseReport]) -> Vec<String> {
    let text = |report: &CaseReport| {
        let mut lines = Vec::new();
        for failure in &report.failures {
            lines.push(failure.message.clone());
            lines.extend(failure.details.iter().cloned());
        }
        lines.join("\n")
    };
    reports.iter().map(text).collect()
}

#[test]
fn the_tests_of_the_shipped_rules_pass() {
    let (files, _) = find_test_files(&[repository().join("rules")]);
    let rules = ["linux", "cross-platform", "windows"].iter().flat_map(|folder| {
        let entries = std::fs::read_dir(repository().join("rules").join(folder)).unwrap();
        entries.map(|entry| entry.unwrap().path())
    });
    // Each rule has tests, of an attack and of something harmless at least.
    for rule in rules.filter(|path| path.extension().is_some_and(|ending| ending == "toml")) {
        let beside = rule.with_extension("test.yaml");
        let file = read_test_file(&beside).unwrap();
        let harmless = file.cases.iter().filter(|case| case.expect.is_empty()).count();
        assert!(
            harmless >= 1 && harmless < file.cases.len(),
            "{}",
            beside.display()
        );
    }
    for file in files {
        assert_all_pass(&run_file(&file));
    }
}

/// The example of the manual is run as it stands there.
#[test]
fn the_example_of_the_manual_passes() {
    let manual = std::fs::read_to_string(repository().join("docs/rule-tests.md")).unwrap();
    let mut files = Vec::new();
    for part in manual.split("<!-- rule-tests: ").skip(1) {
        let (name, rest) = part.split_once(" -->").unwrap();
        let block = rest.split("```").nth(1).unwrap();
        files.push((name, block.split_once('\n').unwrap().1));
    }
    assert_eq!(files.len(), 2);
    let reports = run(&files);
    assert_eq!(reports.len(), 2);
    assert_all_pass(&reports);
}

/// A rule file of the given type with more lines.
fn rule(kind: &str, more: &str) -> String {
    format!(
        "[rule]\nrule_id = \"r\"\nname = \"R\"\ndescription = \"d\"\nseverity = \"low\"\nrisk_score = 21\nfrom = \"now-6m\"\ninterval = \"5m\"\ntype = \"{kind}\"\n{more}"
    )
}

#[test]
fn new_terms_know_their_history() {
    let rule = rule(
        "new_terms",
        "language = \"kuery\"\nquery = \"event.category: process\"\n[rule.new_terms]\nfield = \"new_terms_fields\"\nvalue = [\"user.name\", \"process.name\"]\n[[rule.new_terms.history_window_start]]\nfield = \"history_window_start\"\nvalue = \"now-7d\"\n",
    );
    let tests = "cases:
  - name: seen within the window
    history:
      - {at: -3d, ecs: {event.category: process, user.name: a, process.name: x}}
    events:
      - {at: +1m, ecs: {event.category: process, user.name: a, process.name: x}}
    expect: none
  - name: seen too long ago, and a pair that is new
    history:
      - {at: -9d, ecs: {event.category: process, user.name: a, process.name: x}}
      - {at: -1d, ecs: {event.category: process, user.name: b, process.name: x}}
    events:
      - {at: +1m, ecs: {event.category: process, user.name: a, process.name: x}}
      - {at: +2m, ecs: {event.category: process, user.name: b, process.name: x}}
      - {at: +3m, ecs: {event.category: process, user.name: b, process.name: y}}
    expect:
      - fields: {user.name: a, process.name: x}
      - fields: {user.name: b, process.name: y}
";
    let reports = run(&[("r.toml", &rule), ("r.test.yaml", tests)]);
    assert_eq!(reports.len(), 2);
    assert_all_pass(&reports);
}

#[test]
fn sequences_with_missing_events_are_decided() {
    let rule = rule(
        "eql",
        "language = \"eql\"\nquery = '''sequence by host.id with maxspan=1m [process where event.type == \"start\"] ![process where event.type == \"end\"]'''\n",
    );
    let start = "{at: +0s, ecs: {event: {category: process, type: start}, host.id: h}}";
    let end = "ecs: {event: {category: process, type: end}, host.id: h}}";
    let tests = format!(
        "cases:
  - name: never ends
    events:
      - {start}
      - {{at: +2m, {end}
    expect: {{rule: r}}
  - name: ends
    events:
      - {start}
      - {{at: +30s, {end}
    expect: none
"
    );
    assert_all_pass(&run(&[("r.toml", &rule), ("r.test.yaml", &tests)]));
}

#[test]
fn sigma_rules_and_their_raw_records_are_tested() {
    let rule = "title: Snapshot\nid: 11111111-2222-4333-8444-555555555555\nstatus: test\nlogsource: {product: aws, service: cloudtrail}\ndetection:\n  selection: {eventName: CreateSnapshot}\n  condition: selection\nlevel: low\n";
    let record = |name: &str| {
        format!(
            "'{{\"eventVersion\":\"1.08\",\"eventTime\":\"{{{{at:%Y-%m-%dT%H:%M:%SZ}}}}\",\"eventSource\":\"ec2.amazonaws.com\",\"eventName\":\"{name}\",\"awsRegion\":\"r\",\"eventID\":\"e\",\"userIdentity\":{{\"type\":\"Root\"}}}}'"
        )
    };
    let tests = format!(
        "base: 2026-05-01T00:00:00Z\ncases:
  - name: made
    events:
      - {{at: +1h, raw: {}}}
    expect:
      - fields: {{'@timestamp': '2026-05-01T01:00:00.000Z', event.provider: ec2.amazonaws.com}}
  - name: looked at
    events:
      - {}
    expect: none
",
        record("CreateSnapshot"),
        record("DescribeSnapshots")
    );
    assert_all_pass(&run(&[("s.yml", rule), ("s.test.yaml", &tests)]));
}

#[test]
fn failures_say_why() {
    let rule = rule(
        "eql",
        "language = \"eql\"\nquery = '''sequence by host.id with maxspan=1m [process where process.name : \"curl\" and user.name == \"root\"] [network where destination.port == 80]'''\n",
    );
    let curl = "event.category: process, process.name: curl";
    let net = "event.category: network, destination.port: 80";
    let tests = format!(
        "cases:
  - name: closest
    events:
      - {{ecs: {{{curl}, user.name: guest, host.id: a}}}}
      - {{ecs: {{event.category: process, process.name: wget, user.name: guest, host.id: a}}}}
      - {{ecs: {{event.category: network, host.id: a}}}}
    expect: {{rule: R}}
  - name: apart
    events:
      - {{at: +0s, ecs: {{{curl}, user.name: root, host.id: a}}}}
      - {{at: +2s, ecs: {{{net}, host.id: b}}}}
    expect: {{rule: R}}
  - name: too many and other fields
    events:
      - {{at: +0s, ecs: {{{curl}, user.name: root, host.id: a}}}}
      - {{at: +2s, ecs: {{{net}, host.id: a}}}}
    expect: {{rule: R, fields: {{host.id: z}}}}
  - name: none expected
    events:
      - {{at: +0s, ecs: {{{curl}, user.name: root, host.id: a}}}}
      - {{at: +2s, ecs: {{{net}, host.id: a}}}}
    expect: none
  - name: nobody knows it
    events: []
    expect: {{rule: Other}}
  - name: no source
    events:
      - a line of no log
    expect: none
"
    );
    let reports = run(&[("r.toml", &rule), ("r.test.yaml", &tests)]);
    let texts = failures(&reports);
    for (case, parts) in [
        (
            0,
            &[
                "expected 1 alert of `R`, found 0",
                "step 1 of 2 is satisfied by no event; closest is the one of line 4",
                "✗ user.name == \"root\"   ← user.name = guest",
                "step 2 of 2 is satisfied by no event; closest is the one of line 6",
                "✗ destination.port == 80   ← destination.port is missing",
            ][..],
        ),
        (1, &["do not make a sequence", "host.id = a", "host.id = b"]),
        (
            2,
            &[
                "with host.id = z, found 0",
                "✗ host.id is a, expected z",
                "found 1 alert, but no others are expected",
            ],
        ),
        (3, &["found 1 alert, but none are expected", "alert: "]),
        (4, &["no rule `Other` runs", "there is `R` (r)"]),
        (5, &["no source recognises the record: `a line of no log`"]),
    ] {
        for part in parts {
            assert!(texts[case].contains(part), "{part}\n{}", texts[case]);
        }
    }
    // What the nearest event has right is not told.
    assert!(!texts[0].contains("process.name"), "{}", texts[0]);
}

#[test]
fn rules_that_cannot_be_loaded_fail_their_cases() {
    let rule = rule("eql", "language = \"eql\"\nquery = \"process where\"\n");
    let tests = "cases:\n  - {name: a, events: [], expect: none}\n  - {name: b, rules: gone.toml, events: [], expect: none}\n";
    let texts = failures(&run(&[("r.toml", &rule), ("r.test.yaml", tests)]));
    assert!(texts[0].contains("rule `R` is rejected"), "{texts:?}");
    assert!(texts[1].contains("gone.toml"), "{texts:?}");
}
