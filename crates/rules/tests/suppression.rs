//! `alert_suppression`: what becomes one, in batch and as it comes.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly and says what it saw"
)]

use std::path::Path;

use neph_engine::{Match, Outcome};
use neph_rules::{AlertFlow, RuleSet, Told, load_text};
use serde_json::{Value, json};

mod support;

fn rule(kind: &str, language: &str, query: &str, more: &str) -> RuleSet {
    let text = format!(
        "[rule]
rule_id = '0b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a11'
name = 'Name'
description = 'Text'
type = '{kind}'
severity = 'low'
risk_score = 21
language = '{language}'
query = '{query}'
{more}
"
    );
    let set = load_text(Path::new("rule.toml"), text);
    assert_eq!(set.rules.len(), 1, "{:#?}", set.report.rules);
    assert!(
        set.report.rules.iter().all(|rule| rule.reasons.is_empty()),
        "{:#?}",
        set.report.rules
    );
    set
}

fn logins(suppression: &str) -> RuleSet {
    rule(
        "query",
        "kuery",
        "event.action: login",
        &format!("alert_suppression = {suppression}"),
    )
}

fn event(clock: &str, more: Value) -> String {
    let mut event = json!({"@timestamp": format!("2026-11-21T{clock}Z"), "event": {"action": "login"}});
    if let (Value::Object(event), Value::Object(more)) = (&mut event, more) {
        event.extend(more);
    }
    event.to_string()
}

fn user(clock: &str, user: &str) -> String {
    event(clock, json!({"user": {"name": user}}))
}

fn flow(set: &RuleSet, is_live: bool) -> AlertFlow {
    AlertFlow::new(set.rules.clone(), is_live)
}

/// The alerts of a batch: time of day, and the number of others that each stands for.
fn batch(set: &RuleSet, events: &[String]) -> Vec<(String, Value)> {
    run(set, support::matches(&set.rules, events, None))
}

fn run(set: &RuleSet, matches: Vec<Match>) -> Vec<(String, Value)> {
    let mut flow = flow(set, false);
    let mut told = Vec::new();
    for found in matches {
        flow.take(Outcome::Found(found), &mut told);
    }
    assert!(told.iter().all(|told| matches!(told, Told::Raised(_))));
    flow.finish(&mut told);
    shown(&told)
        .into_iter()
        .map(|(_, clock, others)| (clock, others))
        .collect()
}

fn shown(told: &[Told]) -> Vec<(char, String, Value)> {
    told.iter()
        .map(|told| {
            let (mark, alert) = match told {
                Told::Raised(alert) => ('+', alert),
                Told::Updated(alert) => ('~', alert),
                Told::Retracted(alert) => ('-', alert),
            };
            let time = alert.document["@timestamp"].as_str().unwrap_or("").to_owned();
            let others = alert.document.get("kibana.alert.suppression.docs_count");
            (
                mark,
                time.get(11..19).unwrap_or("").to_owned(),
                others.cloned().unwrap_or(Value::Null),
            )
        })
        .collect()
}

fn expected(list: &[(&str, Value)]) -> Vec<(String, Value)> {
    list.iter()
        .map(|(clock, others)| ((*clock).to_owned(), others.clone()))
        .collect()
}

#[test]
fn a_duration_runs_from_the_first_alert_and_no_further() {
    let set = logins("{ group_by = ['user.name'], duration = { value = 1, unit = 'h' } }");
    let mut events = vec![
        user("10:00:00", "ann"),
        user("10:30:00", "ann"),
        user("10:59:59", "ann"),
        user("11:00:00", "ann"),
        user("11:30:00", "bob"),
        user("11:59:00", "ann"),
    ];
    let wanted = expected(&[
        ("10:00:00", json!(2)),
        ("11:00:00", json!(1)),
        ("11:30:00", json!(0)),
    ]);
    assert_eq!(batch(&set, &events), wanted);
    // The order in which events come does not count.
    events.reverse();
    assert_eq!(batch(&set, &events), wanted);
}

#[test]
fn without_a_duration_it_is_one_run() {
    let set = logins("{ group_by = ['user.name'] }");
    let events = [
        user("10:00:00", "ann"),
        user("10:04:59", "ann"),
        user("10:05:00", "ann"),
        user("10:03:00", "bob"),
    ];
    let wanted = expected(&[
        ("10:00:00", json!(1)),
        ("10:03:00", json!(0)),
        ("10:05:00", json!(0)),
    ]);
    assert_eq!(batch(&set, &events), wanted);
}

#[test]
fn missing_fields_are_one_group_or_stand_alone() {
    let events = [
        event("10:00:00", json!({})),
        event("10:01:00", json!({"host": {"name": "a"}})),
        event("10:02:00", json!({})),
    ];
    let settings = "group_by = ['user.name', 'host.name'], duration = { value = 1, unit = 'h' }";
    let set = logins(&format!("{{ {settings} }}"));
    assert_eq!(
        batch(&set, &events),
        expected(&[("10:00:00", json!(1)), ("10:01:00", json!(0))])
    );
    let set = logins(&format!(
        "{{ {settings}, missing_fields_strategy = 'doNotSuppress' }}"
    ));
    let alone = expected(&[
        ("10:00:00", Value::Null),
        ("10:01:00", Value::Null),
        ("10:02:00", Value::Null),
    ]);
    assert_eq!(batch(&set, &events), alone);
}

#[test]
fn several_values_are_a_set() {
    let set = logins("{ group_by = ['host.ip'], duration = { value = 1, unit = 'h' } }");
    let addresses = |clock: &str, list: Value| event(clock, json!({"host": {"ip": list}}));
    let events = [
        addresses("10:00:00", json!(["10.0.0.1", "10.0.0.2"])),
        addresses("10:01:00", json!(["10.0.0.2", "10.0.0.1", "10.0.0.1"])),
        addresses("10:02:00", json!("10.0.0.1")),
    ];
    assert_eq!(
        batch(&set, &events),
        expected(&[("10:00:00", json!(1)), ("10:02:00", json!(0))])
    );
}

#[test]
fn the_alert_carries_what_it_stands_for() {
    let set = logins("{ group_by = ['user.name', 'host.name'], duration = { value = 2, unit = 'd' } }");
    let events = [user("10:00:00", "ann"), user("10:30:00", "ann")];
    let mut flow = flow(&set, false);
    let mut told = Vec::new();
    for found in support::matches(&set.rules, &events, None) {
        flow.take(Outcome::Found(found), &mut told);
    }
    flow.finish(&mut told);
    let alert = match told.as_slice() {
        [Told::Raised(alert)] => &alert.document,
        other => panic!("{other:#?}"),
    };
    assert_eq!(
        alert["kibana.alert.suppression.terms"],
        json!([{"field": "user.name", "value": "ann"}, {"field": "host.name", "value": null}])
    );
    assert_eq!(alert["kibana.alert.suppression.docs_count"], 1);
    assert_eq!(
        alert["kibana.alert.suppression.start"],
        "2026-11-21T10:00:00.000Z"
    );
    assert_eq!(alert["kibana.alert.suppression.end"], "2026-11-21T10:30:00.000Z");
    assert!(alert["kibana.alert.instance.id"].is_string());
    assert_eq!(alert["neph"]["alert"]["suppression"]["seconds"], 172_800);
    let counts = flow.suppressed();
    assert_eq!(counts.iter().map(|one| one.count).collect::<Vec<_>>(), [1]);
}

#[test]
fn a_field_of_a_step_of_a_sequence_groups() {
    let query = "sequence by user.name with maxspan=1m [any where event.action == \"login\"] [any where event.action == \"call\"]";
    let more = |field: &str| {
        format!("alert_suppression = {{ group_by = ['{field}'], duration = {{ value = 1, unit = 'h' }} }}")
    };
    let mut events = Vec::new();
    for (minute, user, first, second) in [
        (0, "ann", "a", "x"),
        (1, "bob", "b", "x"),
        (2, "eve", "a", "y"),
        (3, "joe", "a", "x"),
    ] {
        for (second_of, action, host) in [(10, "login", first), (20, "call", second)] {
            events.push(event(
                &format!("10:{minute:02}:{second_of}"),
                json!({"event": {"action": action}, "user": {"name": user}, "host": {"name": host}}),
            ));
        }
    }
    let by = |field: &str| {
        let set = rule("eql", "eql", query, &more(field));
        batch(&set, &events)
            .into_iter()
            .map(|(_, others)| others)
            .collect::<Vec<_>>()
    };
    // Second steps are x, x, y, x; first steps a, b, a, a.
    assert_eq!(by("step[2].host.name"), [json!(2), json!(0)]);
    assert_eq!(by("step[1].host.name"), [json!(2), json!(0)]);
    // No value is shared by the events of one sequence, so that the field is missing in all.
    assert_eq!(by("host.name"), [json!(3)]);
    assert_eq!(by("user.name"), [json!(0), json!(0), json!(0), json!(0)]);
}

#[test]
fn a_threshold_is_suppressed_by_its_own_fields() {
    let set = rule(
        "threshold",
        "kuery",
        "event.action: login",
        "threshold = { field = ['user.name'], value = 2 }
alert_suppression = { duration = { value = 1, unit = 'h' } }",
    );
    let mut events = Vec::new();
    for (minute, name) in [(1, "ann"), (11, "ann"), (21, "bob"), (31, "ann"), (75, "ann")] {
        let (hour, minute) = (10 + minute / 60, minute % 60);
        events.push(user(&format!("{hour}:{minute:02}:00"), name));
        events.push(user(&format!("{hour}:{minute:02}:01"), name));
    }
    let others: Vec<Value> = batch(&set, &events)
        .into_iter()
        .map(|(_, others)| others)
        .collect();
    assert_eq!(others, [json!(2), json!(0), json!(0)]);
}

#[test]
fn a_stream_tells_at_once_and_ends_with_what_a_batch_says() {
    // Events may come 20 minutes late.
    let suppression = "{ group_by = ['user.name'], duration = { value = 10, unit = 'm' } }\nfrom = 'now-25m'";
    let set = logins(suppression);
    let clocks = [
        "10:05:00", "10:06:00", "10:04:30", "10:14:45", "10:31:00", "10:32:00", "10:50:00",
    ];
    let events: Vec<String> = clocks.iter().map(|clock| user(clock, "ann")).collect();
    let mut flow = flow(&set, true);
    let mut told = Vec::new();
    for found in support::matches(&set.rules, &events, None) {
        flow.take(Outcome::Found(found), &mut told);
    }
    flow.finish(&mut told);
    let said: Vec<String> = shown(&told)
        .into_iter()
        .map(|(mark, clock, others)| format!("{mark}{clock} {others}"))
        .collect();
    assert_eq!(
        said,
        [
            "+10:05:00 0",
            // An earlier one takes its place, and 10:14:45 is beyond its ten minutes.
            "+10:04:30 0",
            "-10:05:00 null",
            "+10:14:45 0",
            "+10:31:00 0",
            "~10:04:30 2",
            "+10:50:00 0",
            "~10:31:00 1",
        ],
        "{said:#?}"
    );
    // What stands in the end is what a batch says.
    let mut standing = std::collections::BTreeMap::new();
    for (mark, clock, others) in shown(&told) {
        match mark {
            '-' => standing.remove(&clock),
            _ => standing.insert(clock, others),
        };
    }
    assert_eq!(standing.into_iter().collect::<Vec<_>>(), batch(&set, &events));
}

#[test]
fn what_is_always_late_is_no_flood() {
    let set = logins("{ group_by = ['user.name'], duration = { value = 10, unit = 'm' } }");
    let late = [
        "10:05:00", "10:06:00", "10:04:00", "10:14:00", "10:30:00", "10:31:00",
    ];
    let events: Vec<String> = std::iter::once(user("11:00:00", "bob"))
        .chain(late.iter().map(|clock| user(clock, "ann")))
        .chain(std::iter::once(user("11:01:00", "ann")))
        .collect();
    let mut flow = flow(&set, true);
    let mut told = Vec::new();
    for found in support::matches(&set.rules, &events, None) {
        flow.take(Outcome::Found(found), &mut told);
    }
    flow.finish(&mut told);
    let said: Vec<String> = shown(&told)
        .into_iter()
        .map(|(mark, clock, others)| format!("{mark}{clock} {others}"))
        .collect();
    assert_eq!(
        said,
        [
            "+11:00:00 0",
            "+10:05:00 0",
            // Before the window that is open.
            "+10:04:00 0",
            "+10:30:00 0",
            "~10:05:00 2",
            "+11:01:00 0",
            "~10:30:00 1",
        ],
        "{said:#?}"
    );
}

#[test]
fn a_match_that_is_taken_back_leaves_its_place_to_the_next() {
    let set = logins("{ group_by = ['user.name'], duration = { value = 10, unit = 'm' } }");
    let events: Vec<String> = ["10:05:00", "10:06:00"]
        .iter()
        .map(|clock| user(clock, "ann"))
        .collect();
    let found = support::matches(&set.rules, &events, None);
    let mut flow = flow(&set, true);
    let mut told = Vec::new();
    for one in &found {
        flow.take(Outcome::Found(one.clone()), &mut told);
    }
    flow.take(
        Outcome::Retracted(found.first().expect("two matches").clone()),
        &mut told,
    );
    flow.finish(&mut told);
    let said: Vec<(char, String)> = shown(&told)
        .into_iter()
        .map(|(mark, clock, _)| (mark, clock))
        .collect();
    let said: Vec<(char, &str)> = said.iter().map(|(mark, clock)| (*mark, clock.as_str())).collect();
    assert_eq!(said, [('+', "10:05:00"), ('-', "10:05:00"), ('+', "10:06:00")]);
}
