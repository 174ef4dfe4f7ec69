//! Rule files: what is read, what is said about what is wrong, and how files and rules are counted.

#![expect(
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may fail loudly and says what it saw"
)]

use std::path::Path;

use neph_diag::render;
use neph_rules::{LoadReport, Reason, RuleSet, RuleState, load, load_text};

/// A rule without fault, for tests to change.
const GOOD: &str = r#"
[metadata]
creation_date = "2026/11/21"
integration = ["endpoint"]
maturity = "production"
updated_date = "2026/11/21"

[rule]
author = ["Test"]
description = "Says when curl starts."
from = "now-9m"
index = ["logs-endpoint.events.process*"]
interval = "5m"
language = "eql"
license = "Apache-2.0"
max_signals = 33
name = "Curl starts"
references = ["https://example.org/"]
risk_score = 47
rule_id = "0b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a11"
severity = "medium"
tags = ["Domain: Endpoint"]
timestamp_override = "event.ingested"
type = "eql"
query = '''
process where event.type == "start" and process.name == "curl"
'''

[[rule.threat]]
framework = "MITRE ATT&CK"
[rule.threat.tactic]
id = "TA0006"
name = "Credential Access"
reference = "https://attack.mitre.org/tactics/TA0006/"
[[rule.threat.technique]]
id = "T1552"
name = "Unsecured Credentials"
reference = "https://attack.mitre.org/techniques/T1552/"
[[rule.threat.technique.subtechnique]]
id = "T1552.005"
name = "Cloud Instance Metadata API"
reference = "https://attack.mitre.org/techniques/T1552/005/"
"#;

/// All diagnostics as a person sees them.
fn shown(report: &LoadReport) -> String {
    let mut out = String::new();
    for file in report.file_reports() {
        for diagnostic in file.in_order() {
            out.push_str(&render::text(diagnostic, &file.source, false));
            out.push('\n');
        }
    }
    out
}

fn load_toml(text: &str) -> RuleSet {
    load_text(Path::new("rule.toml"), text.to_owned())
}

/// The one diagnostic of a rule made by changing `GOOD`, as `code: message @ the text under it`.
fn told(from: &str, to: &str) -> Vec<String> {
    assert!(GOOD.contains(from), "{from}");
    let text = GOOD.replacen(from, to, 1);
    let set = load_toml(&text);
    let rule = &set.report.rules[0];
    rule.diagnostics
        .iter()
        .map(|diagnostic| {
            format!(
                "{}: {} @ {}",
                diagnostic.code.name,
                diagnostic.message,
                diagnostic.span.text(&text)
            )
        })
        .collect()
}

#[test]
fn a_good_rule_is_active_and_keeps_what_it_says() {
    let set = load_toml(GOOD);
    assert_eq!(shown(&set.report), "");
    assert_eq!(set.report.rules[0].state, RuleState::Active);
    let rule = &set.rules[0];
    assert_eq!(rule.name, "Curl starts");
    assert_eq!(rule.max_signals, 33);
    assert_eq!(rule.schedule.lateness_nanos(), 240_000_000_000);
    assert_eq!(rule.timestamp_override.as_deref(), Some("event.ingested"));
    assert_eq!(rule.threat[0].techniques[0].subtechniques[0].id, "T1552.005");
    assert_eq!(rule.metadata.integration, ["endpoint"]);
    assert!(rule.plan.is_some());
}

#[test]
fn each_slip_is_told_with_its_place() {
    let slips: &[(&str, &str, &str)] = &[
        (
            "risk_score = 47",
            "risk_scores = 47",
            "rule-key-unknown: `rule` has no key `risk_scores` @ risk_scores",
        ),
        (
            "risk_score = 47",
            "risk_score = 101",
            "rule-value: the risk score 101 is outside 0 to 100 @ 101",
        ),
        (
            "risk_score = 47",
            "risk_score = -1",
            "rule-value: the risk score -1 is outside 0 to 100 @ -1",
        ),
        (
            "risk_score = 47",
            "risk_score = \"47\"",
            "rule-value-type: `rule.risk_score` must be an integer @ \"47\"",
        ),
        (
            "risk_score = 47",
            "risk_score = 4.7",
            "rule-value-type: `rule.risk_score` must be an integer @ 4.7",
        ),
        (
            "\"medium\"",
            "\"mid\"",
            "rule-value: `mid` is not a severity @ \"mid\"",
        ),
        (
            "interval = \"5m\"",
            "interval = \"5min\"",
            "rule-value: `5min` is not an interval @ \"5min\"",
        ),
        (
            "from = \"now-9m\"",
            "from = \"9m\"",
            "rule-value: `9m` is not date math @ \"9m\"",
        ),
        (
            "from = \"now-9m\"",
            "from = \"now+9m\"",
            "rule-value: `now+9m` lies in the future @ \"now+9m\"",
        ),
        (
            "from = \"now-9m\"",
            "from = \"now-4m\"",
            "rule-schedule: the rule runs every `5m` but looks back only from `now-4m`: late events are not waited for @ \"now-4m\"",
        ),
        (
            "from = \"now-9m\"",
            "from = \"now-9m\"\nto = \"now-1m\"",
            "rule-value-odd: `now-1m` is not honoured as the end of what a run looks at @ \"now-1m\"",
        ),
        (
            "max_signals = 33",
            "max_signals = 0",
            "rule-value: `max_signals` is 0, but must be at least 1 @ 0",
        ),
        (
            "max_signals = 33",
            "max_signals = true",
            "rule-value-type: `rule.max_signals` must be an integer @ true",
        ),
        (
            "\"0b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a11\"",
            "\"my-rule\"",
            "rule-value-odd: `my-rule` is not a UUID @ \"my-rule\"",
        ),
        (
            "type = \"eql\"",
            "type = \"eqll\"",
            "rule-value: `eqll` is not a type of rule @ \"eqll\"",
        ),
        (
            "type = \"eql\"",
            "type = \"esql\"",
            "rule-type-unsupported: rules of type `esql` are not supported yet @ \"esql\"",
        ),
        (
            "language = \"eql\"",
            "language = \"kuery\"",
            "rule-value: the language of a rule of type `eql` is `eql`, not `kuery` @ \"kuery\"",
        ),
        (
            "tags = [\"Domain: Endpoint\"]",
            "tags = \"Domain: Endpoint\"",
            "rule-value-type: `rule.tags` must be a list of strings @ \"Domain: Endpoint\"",
        ),
        (
            "tags = [\"Domain: Endpoint\"]",
            "tags = [1]",
            "rule-value-type: each item of `rule.tags` must be a string @ 1",
        ),
        (
            "name = \"Curl starts\"",
            "name = \" \"",
            "rule-value: `name` is empty @ \" \"",
        ),
        (
            "interval = \"5m\"",
            "interval = \"5m\"\nthreshold = { value = 3 }",
            "rule-key-of-other-type: `rule.threshold` belongs to rules of type `threshold`; a rule of type `eql` has no use for it @ threshold",
        ),
        (
            "interval = \"5m\"",
            "interval = \"5m\"\noutput_index = \"x\"\nthrottle = \"no\"",
            "rule-key-no-effect: `rule.output_index`, `rule.throttle` are known and have no effect here @ output_index",
        ),
        (
            "interval = \"5m\"",
            "interval = \"5m\"\nexceptions_list = [{ list_id = \"x\" }]",
            "exceptions-missing: the exception list `x` is not there @ \"x\"",
        ),
        (
            "interval = \"5m\"",
            "interval = \"5m\"\nalert_suppression = { group_by = [\"step[0].host.id\"] }",
            "rule-value: `step[0].host.id` is not a field @ \"step[0].host.id\"",
        ),
        (
            "interval = \"5m\"",
            "interval = \"5m\"\nalert_suppression = { group_by = [\"host.id\"], duration = { value = 0, unit = \"m\" } }",
            "rule-value: the duration of a suppression is a whole number above 0 and a unit @ { value = 0, unit = \"m\" }",
        ),
        (
            "interval = \"5m\"",
            "interval = \"5m\"\nalert_suppression = { group_by = [\"step[2].host.id\"] }",
            "rule-value: `step[2].host.id` names step 2, but the rule `Curl starts` has 1 step @ \"step[2].host.id\"",
        ),
        (
            "\"TA0006\"",
            "\"TA006\"",
            "rule-threat: `TA006` is not the id of a tactic @ \"TA006\"",
        ),
        (
            "\"T1552.005\"",
            "\"T1580.005\"",
            "rule-threat: the sub-technique `T1580.005` stands under the technique `T1552`, not under its own @ \"T1580.005\"",
        ),
        (
            "\"https://attack.mitre.org/techniques/T1552/\"",
            "\"https://attack.mitre.org/techniques/T1553/\"",
            "rule-threat: `https://attack.mitre.org/techniques/T1553/` is not the page of `T1552` @ \"https://attack.mitre.org/techniques/T1553/\"",
        ),
        (
            "framework = \"MITRE ATT&CK\"",
            "",
            "rule-key-missing: `rule.threat.framework` is missing @ [[rule.threat]]",
        ),
        (
            "maturity = ",
            "maturty = ",
            "rule-key-unknown: `metadata` has no key `maturty` @ maturty",
        ),
        (
            "[rule]",
            "[extra]\nx = 1\n[rule]",
            "rule-key-unknown: `extra` is not a key that a rule file has @ extra",
        ),
    ];
    for (from, to, expected) in slips {
        let told = told(from, to);
        assert!(
            told.iter().any(|said| said == expected),
            "{from} -> {to}: {told:#?}\nexpected {expected}"
        );
    }
}

#[test]
fn every_required_key_is_asked_for() {
    for key in ["rule_id", "name", "description", "type", "severity", "risk_score"] {
        let line = GOOD
            .lines()
            .find(|line| line.starts_with(&format!("{key} = ")))
            .unwrap();
        let told = told(&format!("\n{line}\n"), "\n");
        let expected = format!("rule-key-missing: `rule.{key}` is missing @ [rule]");
        assert!(told.contains(&expected), "{key}: {told:?}");
    }
    assert_eq!(
        told("query = '''", "quary = '''").len(),
        2,
        "the unknown key and the missing one"
    );
}

#[test]
fn all_problems_of_a_file_are_told_at_once() {
    let text = r#"
[rule]
name = "Everything is wrong"
descripton = "A slip of the pen."
type = "eql"
severity = "sever"
risk_score = 470
rule_id = "1"
interval = "soon"
from = "yesterday"
tags = "one"
max_signals = -3
query = "process where process.name = \"curl\" and"
alert_suppression = { group_by = ["host id"] }
"#;
    let set = load_toml(text);
    assert!(set.rules.is_empty());
    insta::assert_snapshot!(shown(&set.report));
}

#[test]
fn all_syntax_errors_of_a_file_are_told() {
    let text = "[rule]\nname = \"x\ntype = eql\nseverity = 'low'\n= 3\nrisk_score 4\n";
    let set = load_toml(text);
    assert_eq!(set.report.counts().rejected, 1);
    let codes: Vec<_> = set.report.rules[0]
        .diagnostics
        .iter()
        .map(|d| d.code.name)
        .collect();
    assert!(
        codes.iter().filter(|code| **code == "rule-syntax").count() >= 3,
        "{}",
        shown(&set.report)
    );
    assert!(
        !codes.contains(&"rule-key-missing"),
        "what is missing may stand in what could not be read"
    );
}

#[test]
fn states_say_why() {
    let reasons = |from: &str, to: &str| {
        let set = load_toml(&GOOD.replacen(from, to, 1));
        let rule = &set.report.rules[0];
        (rule.state, rule.reasons.clone(), set.rules.len())
    };
    let key = "interval = \"5m\"";
    let (state, why, running) = reasons(key, "interval = \"5m\"\nfilters = [{ query = {} }]");
    assert_eq!((state, running), (RuleState::Degraded, 1));
    assert!(
        matches!(&why[..], [Reason::KeyNotHonoured { key, .. }] if key == "filters"),
        "{why:?}"
    );

    let (state, why, running) = reasons(key, "interval = \"5m\"\nenabled = false");
    assert_eq!((state, running), (RuleState::Degraded, 0));
    assert_eq!(why, [Reason::Disabled]);

    let (state, _, running) = reasons(key, "interval = \"5m\"\nfilters = []\nenabled = true");
    assert_eq!((state, running), (RuleState::Active, 1));

    let (state, why, running) = reasons("process.name == \"curl\"", "acme.tool.name == \"curl\"");
    assert_eq!((state, running), (RuleState::Degraded, 1));
    assert_eq!(
        why,
        [Reason::FieldsUnknown {
            fields: vec!["acme.tool.name".into()]
        }]
    );
}

/// A rule as Kibana exports it, with the keys that it fills in.
fn exported(id: &str, extra: &str) -> String {
    format!(
        r#"{{"id":"d1","updated_at":"2026-11-21T00:00:00.000Z","updated_by":"elastic","created_at":"2026-11-21T00:00:00.000Z","created_by":"elastic","name":"Exported","tags":["a"],"interval":"5m","enabled":true,"revision":0,"description":"d","risk_score":47,"severity":"medium","license":"","output_index":"","author":[],"false_positives":[],"from":"now-540s","rule_id":"{id}","max_signals":100,"risk_score_mapping":[],"severity_mapping":[],"threat":[],"to":"now","references":[],"version":3,"exceptions_list":[],"immutable":false,"related_integrations":[],"required_fields":[],"setup":"","type":"eql","language":"eql","index":["logs-*"],"query":"process where\n  process.name == \"curl\"","filters":[],"actions":[]{extra}}}"#
    )
}

const IDS: [&str; 3] = [
    "0b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a11",
    "1b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a11",
    "2b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a11",
];

#[test]
fn an_export_is_read_line_by_line() {
    let list = r#"{"_version":"x","list_id":"l","type":"detection","name":"n"}"#;
    let summary = r#"{"exported_count":3,"exported_rules_count":2,"missing_rules":[],"missing_rules_count":0,"exported_exception_list_count":1}"#;
    let text = format!(
        "{}\n{}\n\n{list}\n{summary}\n",
        exported(IDS[0], ""),
        exported(IDS[1], ",\"enabeld\":true")
    );
    let set = load_text(Path::new("rules_export.ndjson"), text.clone());
    let counts = set.report.counts();
    assert_eq!(
        (counts.rules, counts.active, counts.files_read),
        (2, 2, 1),
        "{}",
        shown(&set.report)
    );
    assert_eq!(set.report.files[0].other_objects, 1);
    assert_eq!(set.rules[0].version, Some(3));
    assert_eq!(set.rules[0].origin.ruleset, "rules_export");
    assert_eq!(set.rules[1].origin.line, 2);
    let unknown = &set.report.rules[1].diagnostics;
    let unknown = unknown
        .iter()
        .find(|diagnostic| diagnostic.code.name == "rule-key-unknown")
        .unwrap();
    assert_eq!(unknown.span.text(&text), "\"enabeld\"");
    assert!(
        set.report.files[0]
            .diagnostics
            .iter()
            .all(|diagnostic| diagnostic.code.name != "rule-export-short")
    );

    let cut: String = text.replacen(&format!("{}\n", exported(IDS[0], "")), "", 1);
    let set = load_text(Path::new("rules_export.ndjson"), cut);
    let short = set.report.files[0]
        .diagnostics
        .iter()
        .find(|d| d.code.name == "rule-export-short")
        .unwrap();
    assert_eq!(short.message, "the export states 2 rules, but 1 were found in it");
}

#[test]
fn a_broken_line_costs_only_itself() {
    let text = format!(
        "{}\n{{\"rule_id\": oops}}\n{}\n",
        exported(IDS[0], ""),
        exported(IDS[1], "")
    );
    let set = load_text(Path::new("e.ndjson"), text.clone());
    let counts = set.report.counts();
    assert_eq!((counts.active, counts.rejected, counts.rules), (2, 1, 3));
    let broken = &set.report.rules[1].diagnostics[0];
    assert_eq!(broken.span.start as usize, text.find("oops").unwrap());
}

#[test]
fn a_query_inside_json_is_told_of_where_it_stands() {
    let text = exported(IDS[0], "").replace("process.name ==", "process.nmae ==");
    let set = load_text(Path::new("e.json"), text.clone());
    let told = &set.report.rules[0].diagnostics;
    let field = told
        .iter()
        .find(|diagnostic| diagnostic.message.contains("process.nmae"))
        .expect("the unknown field");
    assert_eq!(
        field.span.text(&text),
        "process.nmae",
        "not thrown off by the \\n and \\\" before"
    );
}

#[test]
fn json_may_be_one_rule_or_a_list_or_saved_objects() {
    let two = format!("[{},\n {}]", exported(IDS[0], ""), exported(IDS[1], ""));
    assert_eq!(load_text(Path::new("a.json"), two).rules.len(), 2);
    let saved = format!(
        r#"{{"id":"x","type":"security-rule","attributes":{}}}"#,
        exported(IDS[0], "")
    );
    assert_eq!(load_text(Path::new("a.json"), saved).rules.len(), 1);
    let lines = format!("{}\n{}\n", exported(IDS[0], ""), exported(IDS[1], ""));
    assert_eq!(load_text(Path::new("a.json"), lines).rules.len(), 2);
    let indented = "{\n \"Event\": {}\n}\n{\n \"Event\": {}\n}\n";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("events.json"), indented).unwrap();
    let counts = load(&[folder.path()]).report.counts();
    assert_eq!(
        (counts.files_ignored, counts.rejected),
        (1, 0),
        "events are no broken rules"
    );
    let one_more = format!("{{\n}}\n{}", exported(IDS[0], ""));
    assert_eq!(load_text(Path::new("a.json"), one_more).rules.len(), 1);
}

#[test]
fn sigma_and_elastic_number_their_rules_apart() {
    let sigma = "title: Curl\nid: 0b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a11\nlogsource: {product: linux, category: process_creation}\n\
                 detection: {s: {Image|endswith: /curl}, condition: s}\n";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("elastic.toml"), GOOD).unwrap();
    std::fs::write(folder.path().join("sigma.yml"), sigma).unwrap();
    let set = load(&[folder.path()]);
    assert_eq!(set.report.counts().active, 2, "{}", shown(&set.report));
    assert_eq!(set.rules[0].id, set.rules[1].id);
}

#[test]
fn a_bare_query_is_a_rule() {
    let set = load_text(
        Path::new("hunts/curl.eql"),
        "// who?\nprocess where process.name == \"curl\"\n".into(),
    );
    assert_eq!(set.report.counts().active, 1, "{}", shown(&set.report));
    assert_eq!((set.rules[0].id.as_str(), set.rules[0].risk_score), ("curl", 21));
    let broken = load_text(Path::new("x.eql"), "process where and".into());
    assert_eq!(broken.report.counts().rejected, 1);
}

#[test]
fn folders_are_searched_and_everything_in_them_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("a/good.toml", GOOD);
    write("a/same-id.toml", &GOOD.replace("Curl starts", "Another"));
    write(
        "a/esql.toml",
        &GOOD
            .replace("\"eql\"", "\"esql\"")
            .replace("0b3d8a6e", "1b3d8a6e"),
    );
    write(
        "a/degraded.toml",
        &GOOD
            .replace("0b3d8a6e", "2b3d8a6e")
            .replace("interval", "filters = [1]\ninterval"),
    );
    write(
        "b/export.ndjson",
        &exported("3b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a11", ""),
    );
    write(
        "b/events.ndjson",
        "{\"@timestamp\":\"2026-11-21T00:00:00Z\",\"event\":{}}\n",
    );
    write("Cargo.toml", "[package]\nname = \"x\"\n");
    write("README.md", "# x");
    std::fs::write(folder.path().join("latin1.toml"), b"[rule]\nname = \"caf\xe9\"\n").unwrap();
    let missing = folder.path().join("nowhere");
    let set = load(&[
        folder.path().to_owned(),
        folder.path().join("a/good.toml"),
        missing.clone(),
    ]);
    let counts = set.report.counts();
    assert_eq!(counts.rules, counts.active + counts.degraded + counts.rejected);
    assert_eq!(
        counts.files,
        counts.files_read + counts.files_ignored + counts.files_failed
    );
    assert_eq!(
        (counts.active, counts.degraded, counts.rejected),
        (2, 1, 2),
        "{}",
        shown(&set.report)
    );
    assert_eq!(
        (counts.files_read, counts.files_ignored, counts.files_failed),
        (5, 3, 2)
    );
    assert_eq!(counts.unsupported.get("esql"), Some(&1));
    assert_eq!(set.rules.len(), 3);
    assert!(set.report.failures.iter().any(|failure| failure.path == missing));
    assert!(
        set.report
            .failures
            .iter()
            .any(|failure| failure.reason.contains("byte 18")),
        "{:?}",
        set.report.failures
    );
    let same = set
        .report
        .rules
        .iter()
        .find(|rule| rule.name.as_deref() == Some("Another"))
        .unwrap();
    assert_eq!(same.state, RuleState::Rejected);
    assert_eq!(same.diagnostics[0].code.name, "rule-id-duplicate");
    assert_eq!(
        counts.to_string(),
        "5 rules (2 active, 1 degraded, 2 rejected) in 5 files; not supported yet: esql 1; 3 files ignored; 2 files unreadable"
    );
    let json = set.report.to_json();
    assert_eq!(json["counts"]["rules"], 5);
    assert_eq!(json["rules"].as_array().unwrap().len(), 5);
}

#[test]
fn what_the_engine_cannot_run_is_rejected_where_it_stands() {
    // Each counted repetition is small; together they are a machine of many millions of states.
    let monster = "process.name regex \"((((((a{90}){90}){90}){90}){90}){90})\"";
    let set = load_toml(&GOOD.replace("process.name == \"curl\"", monster));
    let rule = &set.report.rules[0];
    assert_eq!(rule.state, RuleState::Rejected, "{rule:#?}");
    assert!(set.rules.is_empty());
    let told = rule
        .diagnostics
        .iter()
        .find(|told| told.severity() == neph_diag::Severity::Error)
        .unwrap();
    assert!(told.span.start > 0, "{told:?}");
    assert_eq!(set.report.counts().active, 0);
}

#[cfg(unix)]
#[test]
fn a_folder_that_leads_back_to_itself_ends() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("good.toml"), GOOD).unwrap();
    std::os::unix::fs::symlink(folder.path(), folder.path().join("again")).unwrap();
    let set = load(&[folder.path()]);
    assert_eq!(set.report.counts().active, 1);
    assert!(
        set.report.failures[0].reason.contains("leads back"),
        "{:?}",
        set.report.failures
    );
}

#[test]
fn no_text_makes_it_panic() {
    let endings = ["rule.toml", "rule.json", "rule.ndjson", "rule.eql"];
    let export = exported(IDS[0], "");
    for text in [GOOD, export.as_str()] {
        // Cut anywhere, and with any byte changed to one that means something.
        for at in (0..text.len())
            .step_by(11)
            .filter(|at| text.is_char_boundary(*at))
        {
            let cut = text[..at].to_owned();
            let mut changed = text.to_owned();
            changed.replace_range(
                at..at + 1,
                ["\"", "\\", "[", "]", "{", "'", "\0", "="][at / 11 % 8],
            );
            for ending in endings {
                let _ = load_text(Path::new(ending), cut.clone());
                let _ = load_text(Path::new(ending), changed.clone());
            }
        }
    }
}
