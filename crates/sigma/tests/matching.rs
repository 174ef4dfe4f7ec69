//! What rules match, by the specification: each rule is compiled and held against events.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use neph_engine::{Matcher, Origin, Program, Record};
use neph_plan::Plan;
use neph_sigma::{Compiled, Content, Mappings, Options, compile, parse};

/// A mapping under which every event belongs to every log source and fields stand where rules say, and one with two
/// places for a field.
const MAPPING: &str = "\
- logsource: {product: test}
  when: {'@timestamp|exists': [true, false]}
  fields:
    Two: [first.place, second.place]
    Way: [{field: network.direction, values: {'true': egress, 'false': ingress}}]
    Account: [user.name, {join: [user.domain, user.name], by: '\\'}]
  fallback: ['{}']
";

fn compiled(detection: &str, lists: &[(&str, &[&str])]) -> Compiled {
    let mut mappings = Mappings::default();
    assert_eq!(mappings.add(MAPPING), []);
    let lists: BTreeMap<String, Vec<String>> = lists
        .iter()
        .map(|(name, list)| {
            (
                (*name).to_owned(),
                list.iter().map(|entry| (*entry).to_owned()).collect(),
            )
        })
        .collect();
    let indented: String = detection.lines().map(|line| format!("  {line}\n")).collect();
    let text = format!("title: t\nlogsource: {{product: test}}\ndetection:\n{indented}");
    let documents = parse(&text);
    let [document] = documents.as_slice() else {
        panic!("one document is expected: {documents:?}");
    };
    assert_eq!(document.diagnostics, [], "{text}");
    let Content::Rule(rule) = &document.content else {
        panic!("a rule is expected: {document:?}");
    };
    let options = Options {
        mappings: &mappings,
        lists: &lists,
    };
    compile(rule, &[], &options)
}

/// Holds the rule against events that it must match and events that it must not.
fn check_with(detection: &str, lists: &[(&str, &[&str])], yes: &[&str], no: &[&str]) {
    let compiled = compiled(detection, lists);
    let plan = compiled
        .plan
        .unwrap_or_else(|| panic!("{detection}: {:?}", compiled.diagnostics));
    for (events, expected) in [(yes, true), (no, false)] {
        for event in events {
            assert_eq!(matches(&plan, event), expected, "{detection}\n{event}");
        }
    }
}

fn matches(plan: &Plan, event: &str) -> bool {
    let (program, refused) = Program::compile([plan]);
    assert!(refused.is_empty(), "{refused:?}");
    let mut matcher = Matcher::new(Arc::new(program));
    matcher.read(event.as_bytes()).unwrap();
    let origin = Origin {
        source: "events".into(),
        line: 1,
    };
    let record = Record {
        document: event.as_bytes(),
        id: None,
        index: None,
        position: 0,
        origin: &origin,
    };
    let mut found = false;
    matcher.matches(&record, |_| found = true);
    found
}

fn check(detection: &str, yes: &[&str], no: &[&str]) {
    check_with(detection, &[], yes, no);
}

/// A rule with one search `s` of one item.
fn item(item: &str, yes: &[&str], no: &[&str]) {
    check(&format!("s:\n  {item}\ncondition: s"), yes, no);
}

#[test]
fn values_compare_without_case_and_with_wildcards() {
    item(
        r"A: 'Cmd.exe'",
        &[r#"{"A":"CMD.EXE"}"#, r#"{"A":["x","cmd.exe"]}"#],
        &[r#"{"A":"cmd.exe "}"#, "{}"],
    );
    item(
        r"A: ['a*z', '?']",
        &[r#"{"A":"abcZ"}"#, r#"{"A":"é"}"#],
        &[r#"{"A":"abc"}"#, r#"{"A":""}"#],
    );
    item(r"A: 'a\*'", &[r#"{"A":"a*"}"#], &[r#"{"A":"ab"}"#]);
    item(r"A: 'c:\\*'", &[r#"{"A":"C:\\x"}"#], &[r#"{"A":"C:*"}"#]);
    item(
        "A: 4688",
        &[r#"{"A":4688}"#, r#"{"A":"4688"}"#],
        &[r#"{"A":46880}"#],
    );
    item(
        "A: true",
        &[r#"{"A":true}"#, r#"{"A":"True"}"#],
        &[r#"{"A":false}"#],
    );
    item("A: ''", &[r#"{"A":""}"#], &["{}", r#"{"A":" "}"#]);
    item("A: null", &["{}", r#"{"A":null}"#], &[r#"{"A":""}"#]);
    item("A: [null, x]", &["{}", r#"{"A":"x"}"#], &[r#"{"A":"y"}"#]);
    item("A: '*'", &[r#"{"A":"y"}"#], &["{}"]);
    item("A|cased: Ab", &[r#"{"A":"Ab"}"#], &[r#"{"A":"ab"}"#]);
    item(
        "A.B: x",
        &[
            r#"{"A":{"B":"x"}}"#,
            r#"{"A.B":"x"}"#,
            r#"{"A":[{"B":"y"},{"B":"x"}]}"#,
        ],
        &[r#"{"A":"x"}"#],
    );
}

#[test]
fn modifiers_change_the_comparison() {
    item("A|contains: BC", &[r#"{"A":"abcd"}"#], &[r#"{"A":"acbd"}"#]);
    item(
        "A|startswith: [ab, '?c']",
        &[r#"{"A":"ABx"}"#, r#"{"A":"xcx"}"#],
        &[r#"{"A":"xab"}"#],
    );
    item("A|endswith: yz", &[r#"{"A":"xyz"}"#], &[r#"{"A":"yzx"}"#]);
    item("A|contains|all: [a, b]", &[r#"{"A":"b a"}"#], &[r#"{"A":"a"}"#]);
    item("A|contains|cased: B", &[r#"{"A":"aB"}"#], &[r#"{"A":"ab"}"#]);
    item(
        "A|re: '^a.c'",
        &[r#"{"A":"abcd"}"#],
        &[r#"{"A":"ABC"}"#, r#"{"A":"xabc"}"#],
    );
    item("A|re|i: '^a.c$'", &[r#"{"A":"ABC"}"#], &[r#"{"A":"ABCD"}"#]);
    item("A|re|m: '^b$'", &[r#"{"A":"a\nb"}"#], &[r#"{"A":"a\nbc"}"#]);
    item("A|re|s: 'a.b'", &[r#"{"A":"a\nb"}"#], &[r#"{"A":"ab"}"#]);
    item("A|re: 'a.b'", &[r#"{"A":"axb"}"#], &[r#"{"A":"a\nb"}"#]);
    item(
        "A|cidr: [10.0.0.0/8, 'fe80::/10']",
        &[r#"{"A":"10.1.2.3"}"#, r#"{"A":"fe80::1"}"#],
        &[r#"{"A":"11.0.0.1"}"#, r#"{"A":"x"}"#],
    );
    item("A|exists: true", &[r#"{"A":0}"#], &["{}"]);
    item("A|exists: false", &["{}"], &[r#"{"A":0}"#]);
    item(
        "A|gt: 5",
        &[r#"{"A":6}"#, r#"{"A":"5.5"}"#],
        &[r#"{"A":5}"#, r#"{"A":"x"}"#, "{}"],
    );
    item("A|gte: 5", &[r#"{"A":5}"#], &[r#"{"A":4.9}"#]);
    item("A|lt: -1", &[r#"{"A":-2}"#], &[r#"{"A":-1}"#]);
    item("A|lte: 1", &[r#"{"A":1}"#], &[r#"{"A":2}"#]);
    item("A|neq: x", &[r#"{"A":"y"}"#, "{}"], &[r#"{"A":"X"}"#]);
    item("A|contains|neq: x", &[r#"{"A":"y"}"#], &[r#"{"A":"axb"}"#]);
    item(
        "A|fieldref: B",
        &[r#"{"A":"x","B":"X"}"#],
        &[r#"{"A":"x","B":"y"}"#, r#"{"A":"x"}"#, "{}"],
    );
    item(
        "A|fieldref|startswith: B",
        &[r#"{"A":"xyz","B":"xy"}"#],
        &[r#"{"A":"xy","B":"xyz"}"#],
    );
    item(
        "A|fieldref|neq: B",
        &[r#"{"A":"x","B":"y"}"#],
        &[r#"{"A":"x","B":"x"}"#],
    );
}

#[test]
fn a_value_in_parts_is_compared_with_whole_ones() {
    item(
        "Account|fieldref: B",
        &[
            r#"{"user":{"domain":"CORP","name":"ann"},"B":"corp\\Ann"}"#,
            r#"{"user":{"domain":"CORP","name":"ann"},"B":"ann"}"#,
            r#"{"user":{"name":"ann"},"B":"ann"}"#,
        ],
        &[
            r#"{"user":{"domain":"CORP","name":"ann"},"B":"CORP\\bob"}"#,
            r#"{"user":{"domain":"CORP","name":"ann"},"B":"OTHER\\ann"}"#,
            r#"{"user":{"name":"ann"},"B":"\\ann"}"#,
            r#"{"user":{"domain":"CORP","name":"ann"}}"#,
        ],
    );
    item(
        "B|fieldref: Account",
        &[r#"{"user":{"domain":"CORP","name":"ann"},"B":"CORP\\ann"}"#],
        &[r#"{"user":{"domain":"CORP","name":"ann"},"B":"CORP"}"#],
    );
}

#[test]
fn the_user_of_a_process_is_held_against_that_of_its_parent() {
    let text = "title: t\nlogsource: {product: windows, category: process_creation}\ndetection:\n  selection: {Image|endswith: \\calc.exe}\n  \
                filter: {User|fieldref: ParentUser}\n  condition: selection and not filter\n";
    let documents = parse(text);
    let Content::Rule(rule) = &documents[0].content else {
        panic!("a rule is expected: {documents:?}");
    };
    let lists = BTreeMap::new();
    let options = Options {
        mappings: &Mappings::shipped(),
        lists: &lists,
    };
    let plan = compile(rule, &[], &options).plan.unwrap();
    let event = |user: &str| {
        format!(
            r#"{{"@timestamp":"2026-01-01T00:00:00Z","host":{{"os":{{"type":"windows"}}}},"event":{{"category":"process","type":"start","code":"1",
            "module":"windows","provider":"Microsoft-Windows-Sysmon"}},"process":{{"executable":"C:\\Windows\\calc.exe"}},"winlog":{{"channel":
            "Microsoft-Windows-Sysmon/Operational","event_id":"1","provider_name":"Microsoft-Windows-Sysmon","event_data":{{"ParentUser":"CORP\\ann"}}}},{user}}}"#
        )
    };
    for (user, expected) in [
        (r#""user":{"domain":"CORP","name":"ann"}"#, false),
        (r#""user":{"domain":"CORP","name":"bob"}"#, true),
        (r#""user":{"domain":"OTHER","name":"ann"}"#, true),
    ] {
        assert_eq!(matches(&plan, &event(user)), expected, "{user}");
    }
}

#[test]
fn encodings_are_searched_for() {
    // `foo bar` at its three offsets.
    let encoded = [
        r#"{"A":"Zm9vIGJhcg=="}"#,
        r#"{"A":"eGZvbyBiYXI="}"#,
        r#"{"A":"eHhmb28gYmFyeQ=="}"#,
    ];
    item(
        "A|base64offset|contains: foo bar",
        &encoded,
        &[r#"{"A":"foo bar"}"#],
    );
    item(
        "A|base64: foo bar",
        &[r#"{"A":"Zm9vIGJhcg=="}"#],
        &[r#"{"A":"xZm9vIGJhcg=="}"#],
    );
    item(
        "A|wide|base64offset|contains: ping",
        &[r#"{"A":"cABpAG4AZwA="}"#],
        &[r#"{"A":"cGluZw=="}"#],
    );
    item(
        "A|utf16be|base64|contains: ab",
        &[r#"{"A":"AGEAYg=="}"#],
        &[r#"{"A":"YQBiAA=="}"#],
    );
    item(
        "A|windash|contains: ' -f '",
        &[r#"{"A":"x /f y"}"#, r#"{"A":"x –F y"}"#, r#"{"A":"x -f y"}"#],
        &[r#"{"A":"x f y"}"#],
    );
}

#[test]
fn parts_of_times_are_numbers() {
    let time = r#"{"T":"2027-01-03T23:05:00Z"}"#;
    for part in [
        "minute: 5",
        "hour: 23",
        "day: 3",
        "week: 53",
        "month: 1",
        "year: 2027",
        "hour|gte: 22",
        "hour: [1, 23]",
    ] {
        item(
            &format!("T|{part}"),
            &[time],
            &[r#"{"T":"2020-06-15T12:30:00Z"}"#, "{}"],
        );
    }
}

#[test]
fn keywords_are_found_anywhere_in_the_event() {
    let keywords = "s: ['needle', 'hay*stack', 4242]\ncondition: s";
    check(
        keywords,
        &[
            r#"{"a":{"b":["x",{"c":"a NEEDLE b"}]}}"#,
            r#"{"m":"some hay in a stack"}"#,
            r#"{"n":142420}"#,
        ],
        &[r#"{"needle":"x"}"#, r#"{"m":"stack hay"}"#],
    );
    check(
        "s:\n  '|all': [one, two]\ncondition: s",
        &[r#"{"a":"one","b":{"c":"two"}}"#],
        &[r#"{"a":"one"}"#],
    );
    check(
        "s:\n  '|re': 'o.e$'\ncondition: s",
        &[r#"{"a":"x ose"}"#],
        &[r#"{"a":"osex"}"#],
    );
    check(
        "s: word\ncondition: not s",
        &[r#"{"a":"x"}"#],
        &[r#"{"a":"a word"}"#],
    );
}

#[test]
fn searches_and_conditions_combine() {
    check(
        "s:\n  A: 1\n  B: 2\ncondition: s",
        &[r#"{"A":1,"B":2}"#],
        &[r#"{"A":1}"#],
    );
    check(
        "s:\n- A: 1\n- B: 2\n  C: 3\ncondition: s",
        &[r#"{"A":1}"#, r#"{"B":2,"C":3}"#],
        &[r#"{"B":2}"#],
    );
    check(
        "s:\n- word\n- A: 1\ncondition: s",
        &[r#"{"x":"a word"}"#, r#"{"A":1}"#],
        &["{}"],
    );
    let three = "a_1: {A: 1}\na_2: {A: 2}\n_h: {B: 1}\n";
    check(
        &format!("{three}condition: 1 of a_* or _h"),
        &[r#"{"A":2}"#, r#"{"B":1}"#],
        &[r#"{"A":3}"#],
    );
    check(
        &format!("{three}condition: all of a_* and not _h"),
        &[r#"{"A":[1,2]}"#],
        &[r#"{"A":1}"#],
    );
    check(
        &format!("{three}condition: all of them or _h and a_1"),
        &[r#"{"A":[1,2]}"#],
        &[r#"{"A":1}"#],
    );
    check(
        &format!("{three}condition: [a_1 and not a_2, _h and 1 of a*]"),
        &[r#"{"A":1}"#, r#"{"A":2,"B":1}"#],
        &[r#"{"A":[1,2]}"#, r#"{"B":1}"#],
    );
}

#[test]
fn a_search_that_is_named_again_is_asked_again() {
    let searches = "s1: {A: a}\ns2: {B: b}\nn: {C: c}\n";
    check(
        &format!("{searches}condition: (s1 and n) or (1 of s* and not s1) or all of s*"),
        &[r#"{"A":"a","C":"c"}"#, r#"{"B":"b"}"#, r#"{"A":"a","B":"b"}"#],
        &[r#"{"A":"a"}"#, r#"{"C":"c"}"#, "{}"],
    );
}

#[test]
fn the_second_rule_of_a_log_source_is_compiled_as_the_first() {
    let mapping = "- logsource: {product: acme}\n  when: {kind: [audit, access], host|exists: true}\n";
    let parsed = |text: &str| {
        let documents = parse(text);
        match &documents[0].content {
            Content::Rule(rule) => (**rule).clone(),
            other => panic!("a rule is expected: {other:?}"),
        }
    };
    let logsource = "logsource: {product: acme}";
    let first = parsed(&format!(
        "title: a\n{logsource}\ndetection:\n  s: {{kind: audit}}\n  condition: s\n"
    ));
    let second = parsed(&format!(
        "title: longer\ndetection:\n  s: {{host: h, user: u}}\n  condition: s\n{logsource}\n"
    ));
    let lists = BTreeMap::new();
    let plan = |mappings: &Mappings, rule| {
        let options = Options {
            mappings,
            lists: &lists,
        };
        format!("{:?}", compile(rule, &[], &options))
    };
    let mapped = |mut mappings: Mappings| {
        assert_eq!(mappings.add(mapping), []);
        mappings
    };
    let shared = mapped(Mappings::default());
    for rule in [&first, &second, &first] {
        let alone = mapped(Mappings::default());
        assert_eq!(plan(&shared, rule), plan(&alone, rule));
    }
}

#[test]
fn a_field_may_stand_in_several_places() {
    item(
        "Two: x",
        &[
            r#"{"first":{"place":"x"}}"#,
            r#"{"second":{"place":"x"}}"#,
            r#"{"Two":"x"}"#,
        ],
        &[r#"{"first":"x"}"#],
    );
    item(
        "Two: null",
        &["{}"],
        &[r#"{"second":{"place":"x"}}"#, r#"{"Two":"x"}"#],
    );
    item(
        "Way: 'true'",
        &[r#"{"network":{"direction":"egress"}}"#, r#"{"Way":true}"#],
        &[r#"{"network":{"direction":"ingress"}}"#],
    );
}

#[test]
fn placeholders_take_lists_and_without_one_match_nothing() {
    let rule = "s:\n  A|expand: '%admins%'\ncondition: s";
    check_with(
        rule,
        &[("admins", &["root", "adm*"])],
        &[r#"{"A":"ROOT"}"#, r#"{"A":"admin"}"#],
        &[r#"{"A":"%admins%"}"#],
    );
    let compiled = compiled(rule, &[]);
    assert_eq!(compiled.missing_lists, ["admins"]);
    check_with(rule, &[], &[], &[r#"{"A":"%admins%"}"#, r#"{"A":"root"}"#]);
}

#[test]
fn a_log_source_is_told_by_its_own_fields_and_not_by_what_stands_for_them() {
    let rule = |logsource: &str, detection: &str| {
        format!("title: t\nlogsource: {logsource}\ndetection: {detection}\n")
    };
    let antivirus = rule(
        "{category: antivirus}",
        "{s: {Filename|endswith: .exe}, condition: s}",
    );
    let sysmon = r#"{"event":{"category":["file"],"code":"11"},"winlog":{"channel":"Microsoft-Windows-Sysmon/Operational"},"rule":{"name":"Public"},"file":{"path":"C:\\Users\\Public\\a.exe"}}"#;
    let scanner = r#"{"Signature":"EICAR","Filename":"C:\\a.exe"}"#;
    assert_eq!(matched(&antivirus, &[sysmon, scanner]), [false, true]);
    // Flat and nested names of the event log are one thing.
    let windows = rule(
        "{product: windows, category: process_creation}",
        "{s: {Image|endswith: \\a.exe}, condition: s}",
    );
    let flat = r#"{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":1,"Image":"C:\\a.exe"}"#;
    let raw = r#"{"Event":{"System":{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":1},"EventData":{"Image":"C:\\a.exe"}}}"#;
    let audited = r#"{"event":{"code":"4688"},"winlog":{"channel":"Security","event_data":{"NewProcessName":"C:\\a.exe"}}}"#;
    let sensor = r#"{"event":{"category":["process"],"type":["start"]},"host":{"os":{"type":"windows"}},"process":{"executable":"C:\\a.exe"}}"#;
    let ended = r#"{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":5,"Image":"C:\\a.exe"}"#;
    let linux = r#"{"event":{"category":["process"],"type":["start"]},"host":{"os":{"type":"linux"}},"process":{"executable":"/x\\a.exe"}}"#;
    assert_eq!(
        matched(&windows, &[flat, raw, audited, sensor, ended, linux]),
        [true, true, true, true, false, false]
    );
    let linux = rule(
        "{product: linux, category: process_creation}",
        "{s: {Image|endswith: /curl}, condition: s}",
    );
    let sensor = r#"{"event":{"category":["process"],"type":["start"]},"host":{"os":{"type":"linux"}},"process":{"executable":"/usr/bin/curl"}}"#;
    let auditd =
        r#"{"event":{"module":"auditd","action":"executed"},"process":{"executable":"/usr/bin/curl"}}"#;
    let sysmon =
        r#"{"event":{"provider":"Linux-Sysmon","code":"1"},"process":{"executable":"/usr/bin/curl"}}"#;
    let opened =
        r#"{"event":{"module":"auditd","action":"opened-file"},"process":{"executable":"/usr/bin/curl"}}"#;
    assert_eq!(
        matched(&linux, &[sensor, auditd, sysmon, opened]),
        [true, true, true, false]
    );
}

/// Which of the events a rule matches.
fn matched(rule: &str, events: &[&str]) -> Vec<bool> {
    let documents = parse(rule);
    let Content::Rule(read) = &documents[0].content else {
        panic!("{documents:?}")
    };
    let lists = BTreeMap::new();
    let options = Options {
        mappings: &Mappings::shipped(),
        lists: &lists,
    };
    let compiled = compile(read, &[], &options);
    let plan = compiled.plan.unwrap();
    let (program, errors) = Program::compile([&plan]);
    assert!(errors.is_empty(), "{errors:?}");
    let mut matcher = Matcher::new(Arc::new(program));
    let origin = Origin {
        source: "events".into(),
        line: 1,
    };
    let mut matched = Vec::new();
    for event in events {
        matcher.read(event.as_bytes()).unwrap();
        let record = Record {
            document: event.as_bytes(),
            id: None,
            index: None,
            position: 0,
            origin: &origin,
        };
        let mut found = false;
        matcher.matches(&record, |_| found = true);
        matched.push(found);
    }
    matched
}
