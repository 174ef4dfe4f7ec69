//! Rules of the types `new_terms` and `threshold`: their settings in both forms, what is wrong with them, their alerts.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly and says what it saw"
)]

use std::path::Path;

use neph_rules::{Alert, AlertBuilder, Condition, Reason, RuleSet, RuleState, load_text};
use serde_json::json;

mod support;

/// A rule of this type with these lines in it.
fn rule(kind: &str, lines: &str) -> RuleSet {
    let text = format!(
        r#"[rule]
rule_id = "0b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a11"
name = "Name"
description = "Text"
type = "{kind}"
severity = "low"
risk_score = 21
language = "kuery"
query = 'event.action: login'
{lines}
"#
    );
    load_text(Path::new("rule.toml"), text)
}

fn new_terms() -> RuleSet {
    rule(
        "new_terms",
        r#"from = "now-9m"
[rule.new_terms]
field = "new_terms_fields"
value = ["user.name", "source.ip"]
[[rule.new_terms.history_window_start]]
field = "history_window_start"
value = "now-7d""#,
    )
}

fn threshold() -> RuleSet {
    rule(
        "threshold",
        r#"from = "now-9m"
[rule.threshold]
field = ["user.name"]
value = 3
[[rule.threshold.cardinality]]
field = "source.ip"
value = 2"#,
    )
}

fn alerts<T: AsRef<str>>(set: &RuleSet, events: &[T]) -> Vec<Alert> {
    assert_eq!(set.rules.len(), 1, "{:#?}", set.report.rules);
    let mut builder = AlertBuilder::new(&*set.rules[0]);
    support::matches(&set.rules, events, None)
        .iter()
        .map(|found| builder.build(found))
        .collect()
}

fn login(clock: &str, user: &str, address: &str) -> String {
    format!(
        r#"{{"@timestamp":"2026-11-21T{clock}.000Z","event":{{"action":"login"}},"user":{{"name":"{user}"}},"source":{{"ip":"{address}"}},"host":{{"name":"web"}}}}"#
    )
}

#[test]
fn an_alert_of_new_terms_names_them() {
    let events = [
        login("10:01:00", "ann", "192.0.2.1"),
        login("10:02:00", "ann", "192.0.2.1"),
        login("10:20:00", "ann", "192.0.2.1"),
        login("10:21:00", "ann", "192.0.2.2"),
    ];
    let set = new_terms();
    assert_eq!(
        set.report.rules[0].state,
        RuleState::Active,
        "{:?}",
        set.report.rules[0].reasons
    );
    let found = alerts(&set, &events);
    assert_eq!(found.len(), 2);
    let alert = &found[1];
    assert_eq!(
        alert.reason,
        "On `web`: `ann` did `login` from `192.0.2.2`; for the first time in 7 days: user.name `ann`, source.ip `192.0.2.2`"
    );
    let document = &alert.document;
    assert_eq!(document["kibana.alert.new_terms"], json!(["ann", "192.0.2.2"]));
    assert_eq!(document["kibana.alert.rule.rule_type_id"], "siem.newTermsRule");
    let parameters = &document["kibana.alert.rule.parameters"];
    assert_eq!(parameters["new_terms_fields"], json!(["user.name", "source.ip"]));
    assert_eq!(parameters["history_window_start"], "now-7d");
    assert_eq!(parameters["language"], "kuery");
    assert_eq!(document["host"]["name"], "web");
    let own = &document["neph"]["alert"];
    assert_eq!(
        own["join_keys"],
        json!([
            {"fields": ["user.name"], "value": "ann"},
            {"fields": ["source.ip"], "value": "192.0.2.2"}
        ])
    );
    assert_eq!(
        own["window"],
        json!({"from": "2026-11-21T10:20:00.000Z", "to": "2026-11-21T10:25:00.000Z"})
    );
    assert_eq!(own["run"]["evaluated_to"], "2026-11-21T10:25:00.000Z");
    assert_eq!(own["steps"][0]["events"][0]["why"]["holds"], true);
}

#[test]
fn the_id_of_such_an_alert_does_not_depend_on_the_events_seen() {
    let events = [
        login("10:01:00", "ann", "192.0.2.1"),
        login("10:02:00", "ann", "192.0.2.1"),
        login("10:03:00", "ann", "192.0.2.2"),
        login("10:04:00", "ann", "192.0.2.3"),
    ];
    for set in [new_terms(), threshold()] {
        let all = alerts(&set, &events);
        let fewer = alerts(&set, &events[1..]);
        assert_ne!(all[0].event_ids, fewer[0].event_ids);
        assert_eq!(all[0].id, fewer[0].id);
        let later: Vec<String> = events.iter().map(|event| event.replace("T10:", "T12:")).collect();
        assert_ne!(alerts(&set, &later)[0].id, all[0].id);
        let other: Vec<String> = events.iter().map(|event| event.replace("ann", "bob")).collect();
        assert_ne!(alerts(&set, &other)[0].id, all[0].id);
    }
}

#[test]
fn an_alert_of_a_threshold_counts() {
    let mut events: Vec<String> = (0..20)
        .map(|second| {
            login(
                &format!("10:01:{second:02}"),
                "ann",
                &format!("192.0.2.{}", second % 4),
            )
        })
        .collect();
    events.push(login("10:02:00", "bob", "192.0.2.1"));
    events.extend((0..5).map(|second| login(&format!("10:03:{second:02}"), "eve", "192.0.2.1")));
    let set = threshold();
    assert_eq!(
        set.report.rules[0].state,
        RuleState::Active,
        "{:?}",
        set.report.rules[0].reasons
    );
    let found = alerts(&set, &events);
    assert_eq!(found.len(), 1);
    let alert = &found[0];
    assert_eq!(
        alert.reason,
        "20 events with user.name `ann` and 4 values of source.ip within 9 min; the first: On `web`: `ann` did `login` from `192.0.2.0`"
    );
    assert_eq!(alert.event_ids.len(), 6);
    assert_eq!(
        alert.first.map(|time| time.to_string()).as_deref(),
        Some("2026-11-21T10:01:00.000Z")
    );
    assert_eq!(
        alert.last.map(|time| time.to_string()).as_deref(),
        Some("2026-11-21T10:01:19.000Z")
    );
    let document = &alert.document;
    assert_eq!(
        document["kibana.alert.threshold_result"],
        json!({
            "from": "2026-11-21T09:56:00.000Z",
            "terms": [{"field": "user.name", "value": "ann"}],
            "cardinality": [{"field": "source.ip", "value": 4}],
            "count": 20
        })
    );
    assert_eq!(
        document["neph"]["alert"]["window"],
        json!({
            "from": "2026-11-21T09:56:00.000Z",
            "to": "2026-11-21T10:05:00.000Z",
            "count": 20,
            "distinct": {"field": "source.ip", "count": 4, "is_exact": true}
        })
    );
    // Only what makes the group is known of all twenty.
    assert_eq!(document["user.name"], "ann");
    assert!(!document.contains_key("host"));
    assert_eq!(
        document["kibana.alert.rule.parameters"]["threshold"],
        json!({"field": ["user.name"], "value": 3, "cardinality": [{"field": "source.ip", "value": 2}]})
    );
    assert_eq!(
        document["neph"]["alert"]["steps"][0]["events"]
            .as_array()
            .map(Vec::len),
        Some(6)
    );
}

#[test]
fn a_threshold_without_fields_counts_all_events() {
    for field in ["[]", "''", "['']"] {
        let set = rule(
            "threshold",
            &format!("[rule.threshold]\nfield = {field}\nvalue = 2"),
        );
        let found = alerts(
            &set,
            &[
                login("10:01:00", "ann", "192.0.2.1"),
                login("10:02:00", "bob", "192.0.2.1"),
            ],
        );
        assert_eq!(found.len(), 1, "{field}");
        assert!(
            found[0].reason.starts_with("2 events within 6 min; the first: "),
            "{}",
            found[0].reason
        );
    }
}

#[test]
fn exports_of_kibana_are_read_too() {
    let common = r#""rule_id":"0b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a11","name":"n","description":"d","severity":"low","risk_score":21,"query":"event.action: login","language":"kuery","from":"now-9m""#;
    let export = |rest: &str| load_text(Path::new("rules.ndjson"), format!("{{{common},{rest}}}\n"));
    let terms = export(
        r#""type":"new_terms","new_terms_fields":["user.name","source.ip"],"history_window_start":"now-7d""#,
    );
    let counts = export(
        r#""type":"threshold","threshold":{"field":["user.name"],"value":3,"cardinality":[{"field":"source.ip","value":2}]}"#,
    );
    for (export, toml) in [(terms, new_terms()), (counts, threshold())] {
        assert_eq!(
            export.report.rules[0].state,
            RuleState::Active,
            "{:#?}",
            export.report.rules
        );
        assert_eq!(export.rules[0].condition, toml.rules[0].condition);
        assert_ne!(export.rules[0].condition, Condition::Single);
    }
}

#[test]
fn what_is_wrong_with_the_settings_is_told() {
    let terms = |lines: &str| rule("new_terms", lines);
    let history = |fields: &str, start: &str| {
        terms(&format!(
            "new_terms_fields = {fields}\nhistory_window_start = '{start}'"
        ))
    };
    let cases = [
        (
            terms("[rule.new_terms]\nvalue = ['user.name']\nhistory_window_start = []"),
            "`history_window_start` is missing",
        ),
        (
            terms("[rule.new_terms]\nvalue = ['user.name']\nhistory_window_start = [{field = 'x'}]"),
            "`rule.new_terms.history_window_start.value` is missing",
        ),
        (terms(""), "`new_terms_fields` is missing"),
        (
            terms("new_terms_fields = ['user.name']"),
            "`history_window_start` is missing",
        ),
        (
            terms("[rule.new_terms]\nvalue = ['user.name']"),
            "`rule.new_terms.history_window_start` is missing",
        ),
        (history("[]", "now-7d"), "0 fields are named, but 1 to 3 can be"),
        (
            history("['a', 'b', 'c', 'd']", "now-7d"),
            "4 fields are named, but 1 to 3 can be",
        ),
        (
            history("['user.name', 'user.name']", "now-7d"),
            "`user.name` is named twice",
        ),
        (history("['user.name']", "7d"), "`7d` is not a time in the past"),
        (
            history("['user.name']", "now+7d"),
            "`now+7d` is not a time in the past",
        ),
        (
            history("['user.name']", "now-6m"),
            "the history from `now-6m` is not longer than what a run looks at, from `now-6m`",
        ),
        (
            history("['source.geo.location']", "now-7d"),
            "`source.geo.location` is of type `geo_point`, whose values cannot be told apart",
        ),
        (rule("threshold", ""), "`threshold` is missing"),
        (
            rule("threshold", "[rule.threshold]\nfield = []"),
            "`rule.threshold.value` is missing",
        ),
        (
            rule("threshold", "[rule.threshold]\nvalue = 0"),
            "`threshold.value` is 0, but must be at least 1",
        ),
        (
            rule(
                "threshold",
                "threshold = {value = 1, cardinality = [{field = 'user.name', value = -1}]}",
            ),
            "`threshold.cardinality.value` is -1, but must be at least 1",
        ),
        (
            rule(
                "threshold",
                "threshold = {value = 1, cardinality = [{field = '', value = 1}]}",
            ),
            "the name of a field is empty",
        ),
        (
            rule(
                "threshold",
                "threshold = {value = 1, cardinality = [{field = 'a', value = 1}, {field = 'b', value = 1}]}",
            ),
            "only one field can have a cardinality",
        ),
        (
            rule("threshold", "threshold = 5"),
            "`rule.threshold` must be a table",
        ),
    ];
    for (set, expected) in cases {
        let report = &set.report.rules[0];
        let messages: Vec<&str> = report
            .diagnostics
            .iter()
            .map(|found| found.message.as_str())
            .collect();
        assert_eq!(report.state, RuleState::Rejected, "{expected}: {messages:?}");
        assert!(messages.contains(&expected), "{expected}: {messages:?}");
        assert!(messages.len() <= 2, "{messages:?}");
    }
}

#[test]
fn fields_that_nobody_fills_degrade_the_rule() {
    let set = rule(
        "new_terms",
        "new_terms_fields = ['usr.name']\nhistory_window_start = 'now-7d'",
    );
    let report = &set.report.rules[0];
    assert_eq!(report.state, RuleState::Degraded);
    assert_eq!(
        report.reasons,
        [Reason::FieldsUnknown {
            fields: vec!["usr.name".into()]
        }]
    );
    let unknown = &report.diagnostics[0];
    assert_eq!(unknown.code.name, "unknown-field");
    assert_eq!(
        set.report.files[0].text.get(unknown.span.range()),
        Some("'usr.name'")
    );
}

#[test]
fn index_patterns_and_filters_hold_for_counted_events_too() {
    let set = rule(
        "threshold",
        "index = ['logs-aws*']\nfilters = [{query.term.'user.name' = 'ann'}]\nthreshold = {field = ['user.name'], value = 1}",
    );
    let events = [
        login("10:01:00", "ann", "192.0.2.1"),
        login("10:02:00", "bob", "192.0.2.1"),
    ];
    let found = |index| support::matches(&set.rules, &events, Some(index)).len();
    assert_eq!(found("logs-aws.cloudtrail"), 1);
    assert_eq!(found("logs-gcp.audit"), 0);
}
