//! Correlation rules of Sigma: what they find, and what is wrong with wrong ones.

#![expect(clippy::expect_used, reason = "a test may fail loudly")]

use std::path::Path;

use neph_engine::Match;
use neph_rules::{Alert, AlertBuilder, RuleKind, RuleSet, RuleState, export, load, load_text};

mod support;

/// Rules about logons and processes that correlations are over.
const RULES: &str = "
---
title: Failed logon
name: failed
id: 11111111-1111-4111-8111-111111111111
logsource: {product: windows, service: security}
detection: {s: {EventID: 4625}, condition: s}
---
title: Logon
name: logon
id: 22222222-2222-4222-8222-222222222222
logsource: {product: windows, service: security}
detection: {s: {EventID: 4624}, condition: s}
---
title: Account made
name: created
id: 33333333-3333-4333-8333-333333333333
logsource: {product: windows, service: security}
detection: {s: {EventID: 4720}, condition: s}
";

/// A record of the Security channel; the time is in seconds.
fn event(seconds: u32, code: u32, user: &str, fields: &str) -> String {
    let (minute, second) = (seconds / 60, seconds % 60);
    format!(
        r#"{{"@timestamp":"2026-01-31T10:{minute:02}:{second:02}Z","event":{{"code":"{code}"}},"host":{{"name":"pc"}},"winlog":{{"channel":"Security","event_id":"{code}","computer_name":"pc","event_data":{{"TargetUserName":"{user}"{fields}}}}}}}"#
    )
}

fn logons(times: &[u32], code: u32, user: &str) -> Vec<String> {
    times.iter().map(|time| event(*time, code, user, "")).collect()
}

/// A correlation over the rules above.
fn correlation(body: &str) -> String {
    format!("title: Correlated\nid: 99999999-9999-4999-8999-999999999999\ncorrelation:\n{body}{RULES}")
}

fn loaded(text: &str) -> RuleSet {
    let set = load_text(Path::new("rules.yml"), text.to_owned());
    for rule in &set.report.rules {
        assert_eq!(
            rule.state,
            RuleState::Active,
            "{:?} {:?}",
            rule.diagnostics,
            rule.reasons
        );
    }
    set
}

/// The matches as groups and the lines of their events, whatever the order of the events.
fn check(text: &str, events: &[String], expected: &[(&str, &[u64])]) {
    let mut set = loaded(text);
    // Rules that the correlation is not over alert on their own.
    set.rules
        .retain(|rule| !RULES.contains(&format!("title: {}\n", rule.name)));
    let tell = |found: &Match, events: usize, is_reversed: bool| {
        let keys: Vec<String> = found
            .keys
            .iter()
            .map(|key| key.as_ref().expect("a group has values").to_string())
            .collect();
        let mut lines: Vec<u64> = found
            .events
            .iter()
            .filter_map(|(_, event)| Some(event.as_ref()?.origin().line))
            .map(|line| match is_reversed {
                true => events as u64 + 1 - line,
                false => line,
            })
            .collect();
        lines.sort_unstable();
        (keys.join(","), lines)
    };
    let wanted: Vec<(String, Vec<u64>)> = expected
        .iter()
        .map(|(keys, lines)| ((*keys).to_owned(), lines.to_vec()))
        .collect();
    let mut reversed = events.to_vec();
    reversed.reverse();
    for (events, is_reversed) in [(events, false), (&reversed, true)] {
        let found = support::matches(&set.rules, events, None);
        let told: Vec<(String, Vec<u64>)> = found
            .iter()
            .map(|found| tell(found, events.len(), is_reversed))
            .collect();
        assert_eq!(told, wanted, "reversed: {is_reversed}");
    }
}

#[test]
fn events_are_counted_by_group_in_a_window_that_slides() {
    let text = correlation(
        "  {type: event_count, rules: [failed], group-by: [TargetUserName], timespan: 5m, condition: {gte: 3}}\n",
    );
    // The three lie in no five minutes of the clock together.
    check(
        &text,
        &logons(&[239, 250, 310], 4625, "bob"),
        &[("bob", &[1, 2, 3])],
    );
    check(&text, &logons(&[0, 301, 602, 700], 4625, "bob"), &[]);
    check(
        &text,
        &logons(&[0, 299, 300], 4625, "bob"),
        &[("bob", &[1, 2, 3])],
    );
    let mut two = logons(&[0, 1, 2], 4625, "bob");
    two.extend(logons(&[3, 4], 4625, "eve"));
    check(&text, &two, &[("bob", &[1, 2, 3])]);
    // A flood is told once in the time span, and then again.
    let flood: Vec<u32> = (0..50).map(|number| number * 10).collect();
    check(
        &text,
        &logons(&flood, 4625, "bob"),
        &[("bob", &[1, 2, 3]), ("bob", &(4..=34).collect::<Vec<u64>>())],
    );
}

/// The one correlation of a text as a rule of Elastic.
fn converted(text: &str) -> Result<RuleSet, String> {
    let set = loaded(text);
    let (report, rule) = set
        .all()
        .into_iter()
        .find_map(|(report, rule)| Some((report, rule.filter(|rule| rule.name == "Correlated")?)))
        .expect("the correlation is there");
    let rule = export::to_api(rule, report, &set.report)?;
    Ok(load_text(
        Path::new("rule.json"),
        serde_json::to_string(&rule).expect("JSON"),
    ))
}

#[test]
fn what_a_sequence_can_say_becomes_one() {
    let body = |kind: &str, more: &str| {
        correlation(&format!(
            "  type: {kind}\n  rules: [failed, logon]\n  group-by: [TargetUserName]\n  timespan: 5m\n{more}"
        ))
    };
    let counted = body("event_count", "  condition: {gt: 2}\n");
    let ordered = body("temporal_ordered", "");
    let mut events = logons(&[0, 10], 4625, "bob");
    events.extend(logons(&[20, 900], 4624, "bob"));
    events.extend(logons(&[15, 901], 4625, "eve"));
    for (text, lines) in [(&counted, vec![1, 2, 3]), (&ordered, vec![2, 3])] {
        let elastic = converted(text).expect("it is a sequence");
        assert_eq!(elastic.rules[0].kind, RuleKind::Eql);
        assert_eq!(elastic.rules[0].schedule.from, "now-660s");
        let told: Vec<Vec<u64>> = support::matches(&elastic.rules, &events, None)
            .iter()
            .map(|found| {
                let events = found.events.iter();
                events
                    .filter_map(|(_, event)| Some(event.as_ref()?.origin().line))
                    .collect()
            })
            .collect();
        assert_eq!(told, [lines], "{}", elastic.rules[0].query);
        check(text, &events, &[("bob", told[0].as_slice())]);
    }
    for (text, reason) in [
        (body("temporal", ""), "any order"),
        (body("event_count", "  condition: {lt: 2}\n"), "few events"),
        (body("event_count", "  condition: {gte: 1}\n"), "2 to 100"),
        (
            body("value_count", "  condition: {gte: 2, field: IpAddress}\n"),
            "measures",
        ),
    ] {
        let refused = converted(&text).map(|set| set.report.counts()).expect_err(&text);
        assert!(refused.contains(reason), "{refused}");
    }
}

#[test]
fn bounds_that_more_events_may_break_look_at_the_whole_time_span() {
    let text = |condition: &str| {
        correlation(&format!(
            "  {{type: event_count, rules: [failed], group-by: [TargetUserName], timespan: 5m, condition: {condition}}}\n"
        ))
    };
    let few = logons(&[0, 10], 4625, "bob");
    let many = logons(&[0, 10, 20, 30], 4625, "bob");
    check(&text("{lt: 3}"), &few, &[("bob", &[1, 2])]);
    check(&text("{lt: 3}"), &many, &[]);
    check(&text("{eq: 4}"), &many, &[("bob", &[1, 2, 3, 4])]);
    check(&text("{eq: 4}"), &few, &[]);
    check(&text("{neq: 2}"), &few, &[]);
    check(&text("{neq: 2}"), &many, &[("bob", &[1, 2, 3, 4])]);
    check(&text("{gt: 1, lte: 3}"), &few, &[("bob", &[1, 2])]);
    check(&text("{gt: 1, lte: 3}"), &many, &[]);
}

#[test]
fn values_are_counted_and_measured() {
    let text = |kind: &str, condition: &str| {
        correlation(&format!(
            "  {{type: {kind}, rules: [failed], group-by: [Computer], timespan: 1h, condition: {condition}}}\n"
        ))
    };
    let users: Vec<String> = ["a", "b", "a", "c"]
        .iter()
        .zip(0..)
        .map(|(user, time)| event(time, 4625, user, r#","IpAddress":"10.0.0.1""#))
        .collect();
    check(
        &text("value_count", "{field: TargetUserName, gte: 3}"),
        &users,
        &[("pc", &[1, 2, 3, 4])],
    );
    check(
        &text("value_count", "{field: TargetUserName, gte: 4}"),
        &users,
        &[],
    );
    check(
        &text("value_count", "{field: [TargetUserName, IpAddress], gte: 3}"),
        &users,
        &[("pc", &[1, 2, 3, 4])],
    );
    check(
        &text("value_count", "{field: [TargetUserName, LogonType], gte: 1}"),
        &users,
        &[],
    );
    let lengths: Vec<String> = [10, 20, 60]
        .iter()
        .zip(0..)
        .map(|(length, time)| event(time, 4625, "bob", &format!(r#","KeyLength":"{length}""#)))
        .chain([event(4, 4625, "bob", "")])
        .collect();
    let all: &[(&str, &[u64])] = &[("pc", &[1, 2, 3])];
    check(&text("value_sum", "{field: KeyLength, gt: 89}"), &lengths, all);
    check(&text("value_sum", "{field: KeyLength, gt: 90}"), &lengths, &[]);
    check(&text("value_avg", "{field: KeyLength, gte: 30}"), &lengths, all);
    check(&text("value_avg", "{field: KeyLength, gt: 30}"), &lengths, &[]);
    check(&text("value_median", "{field: KeyLength, eq: 20}"), &lengths, all);
    check(
        &text("value_percentile", "{field: KeyLength, percentile: 75, eq: 40}"),
        &lengths,
        all,
    );
    check(
        &text("value_percentile", "{field: KeyLength, percentile: 100, lt: 60}"),
        &lengths,
        &[],
    );
}

#[test]
fn rules_match_together_in_any_order_or_in_theirs() {
    let text = |kind: &str, more: &str| {
        correlation(&format!(
            "  type: {kind}\n  rules: [failed, logon, created]\n  group-by: [TargetUserName]\n  timespan: 5m\n{more}"
        ))
    };
    let events = |order: &[(u32, u32)]| -> Vec<String> {
        order
            .iter()
            .map(|(time, code)| event(*time, *code, "bob", ""))
            .collect()
    };
    let in_order = events(&[(0, 4625), (10, 4624), (300, 4720)]);
    let turned = events(&[(0, 4720), (10, 4624), (20, 4625)]);
    let late = events(&[(0, 4625), (10, 4624), (301, 4720)]);
    let all: &[(&str, &[u64])] = &[("bob", &[1, 2, 3])];
    check(&text("temporal", ""), &in_order, all);
    check(&text("temporal", ""), &turned, all);
    check(&text("temporal", ""), &late, &[]);
    check(&text("temporal_ordered", ""), &in_order, all);
    check(&text("temporal_ordered", ""), &turned, &[]);
    check(&text("temporal_ordered", ""), &late, &[]);
    // Of the failures the latest one is the closest.
    let again = events(&[(0, 4625), (290, 4625), (295, 4624), (310, 4720)]);
    check(&text("temporal_ordered", ""), &again, &[("bob", &[2, 3, 4])]);

    check(
        &text("temporal", "  condition: {gte: 2}\n"),
        &late,
        &[("bob", &[1, 2])],
    );
    check(&text("temporal_ordered", "  condition: {gte: 2}\n"), &turned, &[]);
    check(&text("temporal", "  condition: {eq: 2}\n"), &in_order, &[]);
    check(
        &text("temporal", "  condition: {eq: 2}\n"),
        &events(&[(0, 4625), (9, 4720)]),
        &[("bob", &[1, 2])],
    );
    check(
        &text("temporal", "  condition: created and (failed or logon)\n"),
        &turned,
        &[("bob", &[1, 2])],
    );
    check(
        &text("temporal", "  condition: logon and not failed and not created\n"),
        &events(&[
            (0, 4624),
            (400, 4625),
            (401, 4624),
            (800, 4624),
            (1_000, 4720),
            (1_400, 4624),
        ]),
        &[("bob", &[1]), ("bob", &[6])],
    );
    check(
        &text(
            "temporal_ordered",
            "  condition: failed and logon and not created\n",
        ),
        &events(&[(0, 4624), (10, 4625), (20, 4624)]),
        &[("bob", &[2, 3])],
    );
}

#[test]
fn rules_may_be_named_in_the_condition_alone() {
    let text = correlation(
        "  {type: temporal, group-by: [TargetUserName], timespan: 5m, condition: failed and logon}\n",
    );
    let mut events = logons(&[0], 4625, "bob");
    events.extend(logons(&[5], 4624, "bob"));
    check(&text, &events, &[("bob", &[1, 2])]);
}

#[test]
fn aliases_join_fields_that_are_called_differently() {
    // The remote side of one event is the local side of the other.
    let text = "\
title: Error answered by a connection back
id: 5c0e0f0e-3f5c-4c38-9d6e-2d6f3f1f7a01
correlation:
  type: temporal
  rules: [server_error, connection]
  group-by: [inside, outside]
  timespan: 10s
  aliases:
    inside: {server_error: destination.ip, connection: source.ip}
    outside: {server_error: source.ip, 5c0e0f0e-3f5c-4c38-9d6e-2d6f3f1f7a03: destination.ip}
---
title: Server error
name: server_error
id: 5c0e0f0e-3f5c-4c38-9d6e-2d6f3f1f7a02
logsource: {category: webserver}
detection: {s: {sc-status: 500}, condition: s}
---
title: Connection
name: connection
id: 5c0e0f0e-3f5c-4c38-9d6e-2d6f3f1f7a03
logsource: {category: firewall}
detection: {s: {dst_port: 4444}, condition: s}
";
    let web = |time: u32, from: &str, to: &str| {
        format!(
            r#"{{"@timestamp":"2026-01-31T10:00:{time:02}Z","event":{{"category":["web"],"dataset":"nginx.access"}},"http":{{"response":{{"status_code":500}}}},"source":{{"ip":"{from}"}},"destination":{{"ip":"{to}"}}}}"#
        )
    };
    let flow = |time: u32, from: &str, to: &str| {
        format!(
            r#"{{"@timestamp":"2026-01-31T10:00:{time:02}Z","event":{{"category":["network"],"kind":"event"}},"network":{{"transport":"tcp"}},"source":{{"ip":"{from}"}},"destination":{{"ip":"{to}","port":4444}}}}"#
        )
    };
    let events = [
        web(0, "203.0.113.5", "10.0.0.1"),
        flow(1, "203.0.113.5", "10.0.0.1"),
        flow(2, "10.0.0.1", "203.0.113.9"),
        flow(3, "10.0.0.1", "203.0.113.5"),
    ];
    check(text, &events, &[("10.0.0.1,203.0.113.5", &[1, 4])]);
}

#[test]
fn correlations_are_over_correlations_and_need_other_groups() {
    let text = correlation(
        "  {type: temporal_ordered, rules: [many, logon], group-by: [TargetUserName], timespan: 10m}
---
title: Many failures
name: many
correlation: {type: event_count, rules: [failed], group-by: [Computer], timespan: 1m, condition: {gte: 3}}
",
    );
    let mut events = logons(&[0, 10], 4625, "bob");
    events.extend(logons(&[20], 4625, "eve"));
    events.extend(logons(&[30], 4624, "mallory"));
    events.extend(logons(&[40], 4624, "eve"));
    events.extend(logons(&[700], 4624, "bob"));
    // The failures are of one computer, and Eve is among them; Bob comes too late.
    check(&text, &events, &[("eve", &[1, 2, 3, 5])]);

    let text = correlation(
        "  {type: value_count, rules: [many], timespan: 1h, condition: {field: TargetUserName, gte: 2}}
---
title: Many failures
name: many
correlation: {type: event_count, rules: [failed], group-by: [TargetUserName], timespan: 1m, condition: {gte: 2}}
",
    );
    let mut events = logons(&[0, 10], 4625, "bob");
    events.extend(logons(&[100, 110], 4625, "eve"));
    events.extend(logons(&[200, 300], 4625, "mallory"));
    check(&text, &events, &[("", &[1, 2, 3, 4])]);
}

#[test]
fn rules_stand_in_any_file_and_raise_alerts_of_their_own_only_where_it_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let body = "{type: event_count, rules: [failed, 22222222-2222-4222-8222-222222222222], timespan: 5m, condition: {gte: 2}}";
    write(
        "a.yml",
        &format!("title: Both\nid: 88888888-8888-4888-8888-888888888888\ncorrelation: {body}\n"),
    );
    write("b.yml", RULES);
    let events = [
        event(0, 4625, "bob", ""),
        event(1, 4624, "eve", ""),
        event(2, 4720, "eve", ""),
    ];
    let set = load(&[folder.path()]);
    let names: Vec<&str> = set.rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["Both", "Account made"]);
    assert_eq!(set.report.counts().active, 4);
    assert_eq!(support::matches(&set.rules, &events, None).len(), 2);
    let told = |set: &RuleSet, name: &str| {
        let mut rules = set.report.rules.iter();
        let rule = rules
            .find(|rule| rule.name.as_deref() == Some(name))
            .expect("it is there");
        rule.diagnostics
            .iter()
            .map(|found| found.code.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(told(&set, "Failed logon"), ["sigma-only-correlated"]);
    assert_eq!(told(&set, "Account made"), Vec::<&str>::new());

    write(
        "a.yml",
        &format!(
            "title: Both\nid: 88888888-8888-4888-8888-888888888888\ngenerate: true\ncorrelation: {body}\n"
        ),
    );
    let set = load(&[folder.path()]);
    assert_eq!(set.rules.len(), 4);
    assert_eq!(support::matches(&set.rules, &events, None).len(), 4);
}

#[test]
fn an_alert_tells_what_was_counted_and_keeps_its_events() {
    let text = correlation(
        "  {type: value_count, rules: [failed], group-by: [Computer], timespan: 5m, condition: {field: TargetUserName, gte: 2}}\n",
    );
    let set = loaded(&text);
    let events = [event(0, 4625, "bob", ""), event(30, 4625, "eve", "")];
    let alerts: Vec<Alert> = support::matches(&set.rules[..1], &events, None)
        .iter()
        .map(|found| AlertBuilder::new(&*set.rules[0]).build(found))
        .collect();
    let [alert] = alerts.as_slice() else {
        panic!("{alerts:?}")
    };
    assert!(
        alert
            .reason
            .starts_with("2 matches with Computer `pc` and 2 values of TargetUserName within 30 s: Failed logon; the first: "),
        "{}",
        alert.reason
    );
    let own = &alert.document["neph"]["alert"];
    assert_eq!(own["window"]["count"], 2);
    assert_eq!(own["window"]["distinct"]["count"], 2);
    assert_eq!(own["join_keys"][0]["fields"][0], "Computer");
    assert_eq!(own["steps"][0]["query"], "Failed logon");
    assert_eq!(own["steps"][0]["events"].as_array().unwrap().len(), 2);
    let why = own["steps"][0]["events"][0]["why"].to_string();
    assert!(why.contains("EventID: 4625"), "{why}");
    // The id is of the group and the time, so that looking again makes no second alert.
    let again = support::matches(&set.rules[..1], &[events[1].clone(), events[0].clone()], None);
    assert_eq!(AlertBuilder::new(&*set.rules[0]).build(&again[0]).id, alert.id);
}

fn problems(text: &str) -> Vec<(String, String, String)> {
    let set = load_text(Path::new("rules.yml"), text.to_owned());
    let all = set.report.rules.iter().flat_map(|rule| &rule.diagnostics);
    let wrong = all.filter(|found| found.code.name != "sigma-only-correlated");
    wrong
        .map(|found| {
            (
                found.code.name.to_owned(),
                found.message.clone(),
                found.span.text(text).to_owned(),
            )
        })
        .collect()
}

fn wrong(body: &str, expected: &[(&str, &str, &str)]) {
    let found = problems(&correlation(body));
    let found: Vec<(&str, &str, &str)> = found
        .iter()
        .map(|(code, message, text)| (code.as_str(), message.as_str(), text.as_str()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn what_is_wrong_with_a_correlation_is_told_at_its_place() {
    wrong(
        "  {type: event_cont, rules: [faild], group-by: [a], timespan: 5 minutes, condition: {gte: many, above: 3}, span: 3}\n",
        &[
            (
                "sigma-correlation",
                "`event_cont` is no type of correlation",
                "event_cont",
            ),
            ("sigma-value", "`timespan` is no length of time", "5 minutes"),
            ("sigma-correlation", "a correlation has no key `span`", "span"),
        ],
    );
    wrong(
        "  {type: value_count, rules: [faild], timespan: 5m, condition: {gte: many, above: 3}}\n",
        &[
            (
                "sigma-correlation",
                "the condition states no bound",
                "{gte: many, above: 3}",
            ),
            ("sigma-key-missing", "`field` is missing", "{gte: many, above: 3}"),
            ("sigma-value-type", "`gte` must be a number", "many"),
            (
                "sigma-correlation",
                "the condition of this type of correlation has no key `above`",
                "above",
            ),
        ],
    );
    wrong(
        "  {type: event_count, rules: [faild], timespan: 5m, condition: {gte: 3}}\n",
        &[(
            "sigma-reference",
            "no rule that is loaded is called `faild`",
            "faild",
        )],
    );
    wrong(
        "  {type: temporal, rules: [failed, logon], timespan: 5m, condition: failed and not log_on}\n",
        &[(
            "sigma-correlation",
            "the condition names `log_on`, which is not among `rules`",
            "log_on",
        )],
    );
    wrong(
        "  {type: temporal, rules: [failed, logon], timespan: 5m, condition: failed or not logon}\n",
        &[(
            "sigma-correlation",
            "the condition holds also where none of the rules matches",
            "temporal",
        )],
    );
    wrong(
        "  {type: temporal, rules: [failed, logon], timespan: 5m, condition: {gte: 3}}\n",
        &[(
            "sigma-correlation",
            "the condition never holds of 2 rules",
            "{gte: 3}",
        )],
    );
    wrong(
        "  {type: temporal, rules: [failed, logon], group-by: [who], timespan: 5m, aliases: {who: {failed: TargetUserName}}}\n",
        &[(
            "sigma-correlation-alias",
            "the alias `who` does not say which field it is in the rule `logon`",
            "who",
        )],
    );
    wrong(
        "  {type: value_percentile, rules: [failed], timespan: 5m, condition: {field: KeyLength, gte: 3}}\n",
        &[(
            "sigma-correlation-percentile",
            "the condition does not say which percentile",
            "{field: KeyLength, gte: 3}",
        )],
    );
    wrong(
        "  {type: event_count, rules: [], timespan: 5m, condition: {gte: 3}}\n",
        &[("sigma-correlation", "`rules` names no rule", "rules")],
    );
    wrong(
        "  [event_count]\n",
        &[(
            "sigma-value-type",
            "`correlation` must be a map with `type`, `rules` and `timespan`",
            "[event_count]",
        )],
    );
}

#[test]
fn cycles_are_told_and_the_other_rules_go_on() {
    let text = correlation(
        "  {type: event_count, rules: [second], timespan: 5m, condition: {gte: 3}}
---
title: Second
name: second
correlation: {type: event_count, rules: [third], timespan: 5m, condition: {gte: 3}}
---
title: Third
name: third
correlation: {type: temporal, rules: [failed, second], timespan: 5m}
---
title: Itself
name: itself
correlation: {type: event_count, rules: [itself], timespan: 5m, condition: {gte: 3}}
",
    );
    let found = problems(&text);
    let told: Vec<(&str, &str)> = found
        .iter()
        .map(|(code, message, _)| (code.as_str(), message.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (
                "sigma-correlation-cycle",
                "`second` cannot be used: `second` leads back to this correlation"
            ),
            (
                "sigma-correlation-cycle",
                "`third` cannot be used: `second` leads back to this correlation"
            ),
            (
                "sigma-correlation-cycle",
                "`second` cannot be used: `third` leads back to this correlation"
            ),
            ("sigma-correlation-cycle", "the correlation is over itself"),
        ]
    );
    let set = load_text(Path::new("rules.yml"), text);
    assert_eq!(set.report.counts().rejected, 4);
    assert_eq!(set.report.counts().active, 3);
}

#[test]
fn a_broken_rule_breaks_the_correlation_over_it() {
    let text = correlation("  {type: event_count, rules: [broken], timespan: 5m, condition: {gte: 3}}\n")
        + "---\ntitle: Broken\nname: broken\nlogsource: {product: windows}\ndetection: {s: {A|nope: 1}, condition: s}\n";
    let found = problems(&text);
    assert_eq!(
        found[0].1,
        "the rule `broken` cannot be used: it has errors itself"
    );
    assert_eq!(found[1].0, "sigma-modifier-unknown");
}

/// An old rule.
fn old(detection: &str) -> String {
    format!(
        "title: Old\nid: 77777777-7777-4777-8777-777777777777\nlogsource: {{product: windows, service: security}}\ndetection:\n{detection}"
    )
}

#[test]
fn old_rules_count_behind_their_condition() {
    let text = |aggregation: &str| {
        old(&format!(
            "  failed: {{EventID: 4625}}\n  timeframe: 5m\n  condition: failed | {aggregation}\n"
        ))
    };
    let events: Vec<String> = ["a", "b", "a"]
        .iter()
        .zip(0..)
        .map(|(user, time)| event(time, 4625, user, &format!(r#","KeyLength":"{}""#, time * 10)))
        .collect();
    check(&text("count() by TargetUserName > 1"), &events, &[("a", &[1, 3])]);
    check(
        &text("count(TargetUserName) by Computer >= 2"),
        &events,
        &[("pc", &[1, 2])],
    );
    check(&text("count() > 3"), &events, &[]);
    check(
        &text("sum(KeyLength) by Computer > 29"),
        &events,
        &[("pc", &[1, 2, 3])],
    );
    check(&text("avg(KeyLength) > 10"), &events, &[]);
    check(&text("max(KeyLength) == 20"), &events, &[("", &[1, 2, 3])]);
    check(
        &text("min(KeyLength) by TargetUserName > 5"),
        &events,
        &[("b", &[2])],
    );
}

#[test]
fn old_rules_look_for_what_is_near() {
    let text = old(
        "  failed: {EventID: 4625}\n  logon: {EventID: 4624}\n  made: {EventID: 4720}\n  timeframe: 30s\n  condition: failed | near logon and not made\n",
    );
    let mut events = logons(&[0, 100, 200], 4625, "bob");
    events.extend(logons(&[20, 150, 220], 4624, "eve"));
    events.extend(logons(&[225], 4720, "eve"));
    check(&text, &events, &[("", &[1, 4])]);
}

#[test]
fn an_old_rule_without_a_time_is_told_of_and_counts_within_a_day() {
    let text = old("  failed: {EventID: 4625}\n  condition: failed | count() by TargetUserName > 1\n");
    let found = problems(&text);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, "sigma-timeframe-missing");
    check(&text, &logons(&[0, 3_000], 4625, "bob"), &[("bob", &[1, 2])]);
}

#[test]
fn correlations_are_over_old_rules() {
    let text = correlation(
        "  {type: temporal_ordered, rules: [old, logon], group-by: [TargetUserName], timespan: 5m}
---
title: Old
name: old
logsource: {product: windows, service: security}
detection: {s: {EventID: 4625}, timeframe: 1m, condition: s | count() by Computer > 1}
",
    );
    let mut events = logons(&[0, 10], 4625, "bob");
    events.extend(logons(&[20], 4624, "bob"));
    check(&text, &events, &[("bob", &[1, 2, 3])]);
}
