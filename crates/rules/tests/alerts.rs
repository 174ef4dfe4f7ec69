//! What alerts say in the less usual cases: mappings, runs, missing events, several keys, the overflow of `max_signals`.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly and says what it saw"
)]

use std::path::Path;

use neph_rules::{Alert, AlertBuilder, Grouping, RuleSet, RuleSeverity, load_text};
use serde_json::json;

mod support;

fn rule(query: &str, extra: &str) -> RuleSet {
    let text = format!(
        "[rule]\nrule_id = \"0b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a11\"\nname = \"Test\"\ndescription = \"d\"\ntype = \"eql\"\n\
         severity = \"low\"\nrisk_score = 21\n{extra}\nquery = '''{query}'''\n"
    );
    let set = load_text(Path::new("pack/test.toml"), text);
    assert_eq!(set.rules.len(), 1, "{:#?}", set.report.rules);
    set
}

fn alerts(set: &RuleSet, events: &[String]) -> Vec<Alert> {
    let mut builder = AlertBuilder::new(&*set.rules[0]);
    support::matches(&set.rules, events, None)
        .iter()
        .map(|found| builder.build(found))
        .collect()
}

fn event(second: u32, category: &str, rest: &str) -> String {
    format!(
        r#"{{"@timestamp":"2026-11-21T10:{:02}:{:02}.000Z","event":{{"category":["{category}"],"type":["start"]}}{rest}}}"#,
        second / 60,
        second % 60
    )
}

#[test]
fn mappings_of_the_rule_apply() {
    let extra = "rule_name_override = \"event.code\"\n\
        severity_mapping = [{ field = \"host.name\", operator = \"equals\", value = \"db\", severity = \"high\" },\n\
        { field = \"event.code\", operator = \"equals\", value = \"X1\", severity = \"critical\" }]\n\
        risk_score_mapping = [{ field = \"event.risk_score\", operator = \"equals\", value = \"\" }]";
    let set = rule("process where true", extra);
    let of = |rest: &str| alerts(&set, &[event(0, "process", rest)]).remove(0);
    let plain = of(r#","host":{"name":"web"}"#);
    assert_eq!(
        (plain.severity, plain.risk_score, plain.rule_name.as_str()),
        (RuleSeverity::Low, 21, "Test")
    );
    let mapped = of(r#","host":{"name":"db"},"event.code":"X1","event.risk_score":88"#);
    assert_eq!(
        (mapped.severity, mapped.risk_score, mapped.rule_name.as_str()),
        (RuleSeverity::Critical, 88, "X1")
    );
    assert_eq!(mapped.document["event"]["severity"], 99);
    assert_eq!(mapped.document["kibana.alert.severity"], "critical");
    let outside = of(r#","event.risk_score":200"#);
    assert_eq!(outside.risk_score, 21);
}

#[test]
fn an_alert_of_one_event_carries_the_event() {
    let set = rule("process where process.name == \"curl\"", "");
    let alert = alerts(
        &set,
        &[event(
            0,
            "process",
            r#","process":{"name":"curl"},"event.id":"e1","rule":{"name":"theirs"}"#,
        )],
    )
    .remove(0);
    assert_eq!(alert.document["process"]["name"], "curl");
    assert_eq!(alert.document["event"]["category"], json!(["process"]));
    assert_eq!(alert.document["event"]["kind"], "alert");
    assert_eq!(alert.document["event"]["id"], alert.id.as_str());
    assert!(
        !alert.document.contains_key("event.id"),
        "the alert has an id of its own"
    );
    assert_eq!(alert.document["rule"]["name"], "Test", "the alert's rule is ours");
    assert_eq!(alert.document["@timestamp"], "2026-11-21T10:00:00.000Z");
}

#[test]
fn the_run_is_the_aligned_interval_and_follows_the_override() {
    let set = rule(
        "process where true",
        "from = \"now-9m\"\ninterval = \"5m\"\ntimestamp_override = \"event.ingested\"",
    );
    let run = |rest: &str| {
        alerts(&set, &[event(61, "process", rest)]).remove(0).document["neph"]["alert"]["run"].clone()
    };
    let own = run("");
    assert_eq!(own["evaluated_from"], "2026-11-21T09:56:00.000Z");
    assert_eq!(own["evaluated_to"], "2026-11-21T10:05:00.000Z");
    assert_eq!(
        (&own["lookback_seconds"], &own["lateness_seconds"]),
        (&json!(540), &json!(240))
    );
    let late = run(r#","event.ingested":"2026-11-21T12:00:01Z""#);
    assert_eq!(late["evaluated_to"], "2026-11-21T12:05:00.000Z");
}

#[test]
fn steps_runs_and_missing_events_have_their_places() {
    let set = rule(
        "sequence with maxspan=1m [process where true] by host.id, process.pid with runs=2 ![file where true] by host.id, process.pid [network where true] by host.id, process.parent.pid",
        "",
    );
    let events = [
        event(
            0,
            "process",
            r#","host":{"id":"h","name":"n"},"process":{"pid":7}"#,
        ),
        event(
            1,
            "process",
            r#","host":{"id":"h","name":"n"},"process":{"pid":7}"#,
        ),
        event(
            2,
            "network",
            r#","host":{"id":"h","name":"n"},"process":{"parent":{"pid":7}}"#,
        ),
    ];
    let alert = alerts(&set, &events).remove(0);
    let own = &alert.document["neph"]["alert"];
    assert_eq!(
        own["join_keys"],
        json!([{"fields": ["host.id"], "value": "h"}, {"fields": ["process.pid", "process.parent.pid"], "value": 7}])
    );
    let steps = own["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 3);
    assert_eq!(steps[0]["events"].as_array().unwrap().len(), 2);
    assert_eq!(steps[1]["missing"], true);
    assert_eq!(
        steps[2]["events"][0]["origin"],
        json!({"source": "events", "line": 3})
    );
    assert_eq!(
        alert.document["host"],
        json!({"id": "h", "name": "n"}),
        "what all events share"
    );
    assert!(!alert.document.contains_key("process"));
    assert_eq!(alert.event_ids.len(), 3);
}

#[test]
fn ids_depend_on_rule_and_events_alone() {
    let events = [
        event(0, "process", r#","process":{"name":"a"}"#),
        event(1, "process", r#","process":{"name":"b"}"#),
    ];
    let ids = |set: &RuleSet| {
        alerts(set, &events)
            .into_iter()
            .map(|alert| alert.id)
            .collect::<Vec<_>>()
    };
    let first = ids(&rule("process where true", "version = 1"));
    assert_eq!(first.len(), 2);
    assert_ne!(first[0], first[1]);
    assert_eq!(
        first,
        ids(&rule(
            "process where process.name != \"z\"",
            "version = 2\nseverity_mapping = []"
        ))
    );
    let other = load_text(
        Path::new("pack/test.toml"),
        "[rule]\nrule_id = \"1b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a11\"\nname = \"Test\"\ndescription = \"d\"\ntype = \"eql\"\nseverity = \"low\"\nrisk_score = 21\nquery = 'process where true'\n".into(),
    );
    assert_ne!(first, ids(&other));
}

#[test]
fn index_patterns_are_a_scope_as_far_as_events_say_where_they_belong() {
    let set = rule(
        "process where true",
        "index = [\"logs-endpoint.events.process*\", \"winlogbeat-*\", \"-*-secret\"]",
    );
    let found = |rest: &str| alerts(&set, &[event(0, "process", rest)]).len();
    assert_eq!(found(""), 1, "says nothing");
    assert_eq!(
        found(r#","data_stream":{"dataset":"endpoint.events.process"}"#),
        1
    );
    assert_eq!(found(r#","data_stream":{"dataset":"endpoint.events.file"}"#), 0);
    assert_eq!(found(r#","_index":"winlogbeat-8.1""#), 1);
    assert_eq!(
        found(r#","_index":".ds-logs-endpoint.events.process-default-2026.11.21-000001""#),
        1
    );
    assert_eq!(
        found(r#","_index":"remote:logs-endpoint.events.process-default""#),
        1
    );
    assert_eq!(found(r#","_index":"filebeat-8.1""#), 0);
    assert_eq!(found(r#","_index":"winlogbeat-secret""#), 0);
    let said_to_come_from =
        |index| support::matches(&set.rules, &[event(0, "process", "")], Some(index)).len();
    assert_eq!(
        said_to_come_from("winlogbeat-8.1"),
        1,
        "an export says it beside the document"
    );
    assert_eq!(said_to_come_from("filebeat-8.1"), 0);
    let why = alerts(
        &set,
        &[event(
            0,
            "process",
            r#","data_stream":{"dataset":"endpoint.events.process"}"#,
        )],
    )
    .remove(0);
    let event = &why.document["neph"]["alert"]["steps"][0]["events"][0];
    assert!(
        !event["why"].to_string().contains("_index"),
        "the scope is not part of the query: {}",
        event["why"]
    );
    assert!(
        !event["matched_fields"].to_string().contains("data_stream"),
        "{}",
        event["matched_fields"]
    );
}

#[test]
fn names_that_say_nothing_of_what_is_in_them_switch_no_rule_off() {
    let looks = |patterns: &str, rest: &str| {
        let set = rule("process where true", &format!("index = [{patterns}]"));
        let number = alerts(&set, &[event(0, "process", rest)]).len();
        let document = format!("{{{}}}", rest.trim_start_matches(','));
        let document: serde_json::Value = serde_json::from_str(&document).unwrap();
        let belongs = neph_rules::Belongs {
            index: document["_index"].as_str(),
            dataset: document["data_stream"]["dataset"].as_str(),
            is_made: document["_made"].is_string(),
        };
        let look = neph_rules::IndexScope::new(&set.rules[0].index).look(&belongs);
        assert_eq!(
            look != neph_rules::Look::LeftOut,
            number == 1,
            "{patterns} {rest}: both say the same"
        );
        number == 1
    };
    let endpoint = r#""logs-endpoint.events.process*""#;
    for name in [
        "logs-mine",
        "logs-generic-default",
        "logs-my.app-default",
        "mine",
        "remote:mine",
        "logstash-2026.11.21",
        "vector-2026.11.21",
        ".ds-logs-mine-default-2026.11.21-000001",
    ] {
        let index = format!(r#","_index":"{name}""#);
        assert!(looks(endpoint, &index), "{name} says nothing");
        assert!(looks(r#""winlogbeat-*""#, &index), "{name} is of no shipper");
        assert!(
            !looks(r#""logs-endpoint.events.*", "team-a-*""#, &index),
            "{name} says something to a rule that has such names itself"
        );
        assert!(
            !looks(&format!("{endpoint}, \"-*m*\", \"-*t*\""), &index),
            "{name} is taken out"
        );
    }
    let index = |name: &str| format!(r#","_index":"{name}""#);
    assert!(looks(r#""logs-mine*""#, &index("logs-mine")));
    assert!(!looks(r#""logs-mine*""#, &index("logs-others")));
    assert!(!looks(endpoint, &index("logs-aws.cloudtrail-default")));
    assert!(!looks(r#""winlogbeat-*""#, &index("logs-aws.cloudtrail-default")));
    // Shippers' names count among shippers, and only for what they made themselves.
    assert!(looks(endpoint, &index("filebeat-8.15.0")));
    assert!(!looks(r#""auditbeat-*""#, &index("filebeat-8.15.0")));
    assert!(looks(
        r#""auditbeat-*""#,
        r#","_index":"filebeat-8.15.0","_made":"yes""#
    ));
    assert!(!looks(
        r#""auditbeat-*""#,
        r#","_index":"logs-okta.system-x","_made":"yes""#
    ));
    // Where an index says nothing, the dataset may.
    let both = |index: &str, dataset: &str| {
        format!(r#","_index":"{index}","data_stream":{{"dataset":"{dataset}"}}"#)
    };
    assert!(!looks(endpoint, &both("logs-mine", "aws.cloudtrail")));
    assert!(looks(endpoint, &both("logs-mine", "endpoint.events.process")));
    assert!(looks(endpoint, &both("logs-mine", "generic")));
    assert!(looks(endpoint, r#","data_stream":{"dataset":"generic"}"#));
    assert!(!looks(r#""team-a-*""#, r#","data_stream":{"dataset":"generic"}"#));
    assert!(!looks(
        r#""winlogbeat-*""#,
        r#","data_stream":{"dataset":"aws.cloudtrail"}"#
    ));
}

#[test]
fn what_is_explained_is_the_query_wherever_the_event_belongs() {
    let set = rule(
        "process where process.name == \"a\"",
        "index = [\"logs-endpoint.events.process*\"]",
    );
    let text = event(
        0,
        "process",
        r#","process":{"name":"a"},"data_stream":{"dataset":"aws.cloudtrail"}"#,
    );
    // The index stands beside the document, which by itself would be left out.
    let found = support::matches(&set.rules, &[text], Some("logs-endpoint.events.process-default"));
    let mut builder = AlertBuilder::new(&*set.rules[0]);
    let alert = builder.build(&found[0]);
    let step = &alert.document["neph"]["alert"]["steps"][0]["events"][0];
    assert!(step["why"].to_string().contains("process.name"), "{step}");
}

/// `count` alerts, one a second, through the grouping.
fn grouped(set: &RuleSet, count: u32) -> (Vec<Alert>, Vec<Alert>) {
    let events: Vec<String> = (0..count)
        .map(|second| event(second, "process", &format!(r#","process":{{"pid":{second}}}"#)))
        .collect();
    let mut grouping = Grouping::new(set.rules.iter().cloned());
    let mut out = Vec::new();
    for alert in alerts(set, &events) {
        grouping.push(0, alert, &mut out);
    }
    grouping.finish(&mut out);
    out.into_iter()
        .partition(|alert| alert.document["neph"]["alert"]["grouped"].is_null())
}

#[test]
fn beyond_max_signals_is_one_grouped_alert_a_run_with_exact_counts() {
    let set = rule("process where true", "max_signals = 5\ninterval = \"5m\"");
    let (single, groups) = grouped(&set, 5);
    assert_eq!(
        (single.len(), groups.len()),
        (5, 0),
        "exactly the limit is no overflow"
    );

    let (single, groups) = grouped(&set, 640);
    assert_eq!(
        (single.len(), groups.len()),
        (15, 3),
        "5 for each of the three runs"
    );
    let counts: Vec<u64> = groups
        .iter()
        .map(|alert| {
            alert.document["neph"]["alert"]["grouped"]["count"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert_eq!(counts, [295, 295, 35]);
    assert_eq!(
        single.len() as u64 + counts.iter().sum::<u64>(),
        640,
        "nothing is dropped"
    );
    let group = &groups[0].document["neph"]["alert"]["grouped"];
    assert_eq!(group["first"], "2026-11-21T10:00:05.000Z");
    assert_eq!(group["last"], "2026-11-21T10:04:59.000Z");
    assert_eq!(group["first_events"].as_array().unwrap().len(), 10);
    assert_eq!(group["last_events"].as_array().unwrap().len(), 10);
    let (_, again) = grouped(&set, 640);
    let ids = |groups: &[Alert]| groups.iter().map(|alert| alert.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&groups), ids(&again));
    let (_, fewer) = grouped(&set, 400);
    assert_eq!(
        ids(&fewer),
        ids(&groups[..2]),
        "the id is of rule and run, not of what was seen first"
    );
}

#[test]
fn a_run_is_closed_when_the_watermark_has_passed_it_by_the_lateness() {
    let set = rule(
        "process where true",
        "max_signals = 1\ninterval = \"5m\"\nfrom = \"now-9m\"",
    );
    let events: Vec<String> = (0..3)
        .map(|second| event(second, "process", &format!(r#","n":{second}"#)))
        .collect();
    let mut grouping = Grouping::new(set.rules.iter().cloned());
    let mut out = Vec::new();
    for alert in alerts(&set, &events) {
        grouping.push(0, alert, &mut out);
    }
    assert_eq!(out.len(), 1);
    let at = |text: &str| neph_event::parse_date(text, &[]).unwrap();
    grouping.advance(at("2026-11-21T10:08:59.999Z"), &mut out);
    assert_eq!(out.len(), 1, "an event may come four minutes late");
    grouping.advance(at("2026-11-21T10:09:00.000Z"), &mut out);
    assert_eq!(out.len(), 2);
    assert_eq!(out[1].document["neph"]["alert"]["grouped"]["count"], 2);
    grouping.finish(&mut out);
    assert_eq!(out.len(), 2, "told once");
}

#[test]
fn without_the_fallback_an_event_needs_the_field_of_the_override() {
    let events = [
        event(0, "process", r#","process":{"name":"a"}"#),
        event(1, "process", r#","process":{"name":"b"},"ingested":{"at":"x"}"#),
        event(
            2,
            "process",
            r#","process":{"name":"c"},"event.ingested":"2026-11-21T10:01:00Z""#,
        ),
    ];
    let count = |extra: &str| {
        let set = rule("process where true", extra);
        let state = &set.report.rules[0];
        assert!(state.reasons.is_empty(), "{:#?}", state.reasons);
        alerts(&set, &events).len()
    };
    let over = "timestamp_override = \"event.ingested\"";
    assert_eq!(count(over), 3);
    assert_eq!(
        count(&format!("{over}\ntimestamp_override_fallback_disabled = false")),
        3
    );
    assert_eq!(
        count(&format!("{over}\ntimestamp_override_fallback_disabled = true")),
        1
    );
    // Without an override there is nothing to fall back from.
    assert_eq!(count("timestamp_override_fallback_disabled = true"), 3);
}

#[test]
fn what_kibana_carries_is_carried_and_a_data_view_is_told_where_it_may_leave_events_out() {
    let extra = "related_integrations = [{ package = \"endpoint\", version = \"^8.2.0\" }]\n\
        required_fields = [{ name = \"process.name\", type = \"keyword\", ecs = true }]\n\
        exceptions_list = []\ndata_view_id = \"security-solution-default\"\n\
        investigation_fields = { field_names = [\"process.name\"] }\nsetup = \"Nothing\"";
    let set = rule("process where true", extra);
    assert!(
        set.report.rules[0].reasons.is_empty(),
        "{:#?}",
        set.report.rules[0].reasons
    );
    assert!(
        set.report.rules[0]
            .diagnostics
            .iter()
            .all(|found| !found.code.name.contains("no-effect"))
    );
    let alert = alerts(&set, &[event(0, "process", "")]).remove(0);
    let parameters = &alert.document["kibana.alert.rule.parameters"];
    assert_eq!(parameters["related_integrations"][0]["package"], "endpoint");
    assert_eq!(parameters["required_fields"][0]["ecs"], true);
    assert_eq!(
        parameters["investigation_fields"]["field_names"][0],
        "process.name"
    );
    assert_eq!(parameters["setup"], "Nothing");
    let narrow = rule("process where true", "data_view_id = \"my-view\"");
    let said: Vec<String> = narrow.report.rules[0]
        .reasons
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        said,
        [
            "`data_view_id` is not honoured yet: the data view is not resolved: events of every index take part"
        ]
    );
}
