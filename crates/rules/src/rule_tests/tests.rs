use std::path::Path;

use neph_event::parse_date;

use super::{Count, Form, TestFile, parse_test_file};

fn read(text: &str) -> TestFile {
    parse_test_file(Path::new("folder/name.test.yaml"), text.to_owned())
}

#[test]
fn cases_are_read() {
    let file = read(
        "rules: [a.toml, ../b]\nrule: One\nbase: 2026-03-01T10:00:00Z\ncases:\n  - name: first\n    lists: l\n    history:\n      - {at: -3d, ecs: {x: 1}}\n    events:\n      - at: +5m\n        raw: 'type=A {{at:epoch}}'\n        source: auditd\n        repeat: 3\n        every: 10s\n      - just a line\n      - {file: s.ndjson, at: 2026-03-02T00:00:00Z}\n    expect:\n      - {rule: One, count: 2, fields: {host.name: h, user.name: [a, b], n: 7}}\n      - at_least: 3\n  - name: second\n    events: []\n    expect: none\n",
    );
    assert!(file.diagnostics.is_empty(), "{:?}", file.diagnostics);
    let [first, second] = file.cases.as_slice() else {
        panic!("{:?}", file.cases)
    };
    let time = |text: &str| parse_date(text, &[]);
    assert_eq!(
        first.setting.rules,
        [Path::new("folder/a.toml"), Path::new("folder/../b")]
    );
    assert_eq!(first.setting.lists, [Path::new("folder/l")]);
    assert!(second.setting.lists.is_empty());
    assert_eq!(
        (first.only.as_slice(), first.line, second.line),
        (&["One".to_owned()][..], 5, 20)
    );
    let [history, raw, line, from_file] = first.events.as_slice() else {
        panic!("{:?}", first.events)
    };
    assert_eq!(history.at, time("2026-02-26T10:00:00Z"));
    assert_eq!(raw.at, time("2026-03-01T10:05:00Z"));
    assert_eq!((raw.repeat, raw.every, raw.line), (3, 10_000_000_000, 10));
    assert_eq!(raw.source.as_deref(), Some("auditd"));
    assert_eq!(line.form, Form::Raw("just a line".into()));
    assert_eq!(from_file.form, Form::File("folder/s.ndjson".into()));
    assert_eq!(from_file.at, time("2026-03-02T00:00:00Z"));
    let [one, any] = first.expect.as_slice() else {
        panic!("{:?}", first.expect)
    };
    assert_eq!(one.count, Count::Exactly(2));
    assert_eq!(one.fields[1], ("user.name".into(), vec!["a".into(), "b".into()]));
    assert_eq!(one.fields[2], ("n".into(), vec!["7".into()]));
    assert_eq!((any.count, any.rule.as_deref()), (Count::AtLeast(3), None));
    assert!(second.expect.is_empty());
}

/// Each mistake with the text that its diagnostic stands at.
#[test]
fn mistakes_are_all_told_at_their_places() {
    let text = "rules: a.toml\nrulez: b\ncases:\n  - name: n\n    events:\n      - {at: soon, ecs: {}}\n      - {ecs: {}, raw: x}\n      - {note: x}\n      - 7\n      - {raw: x, repeat: 0}\n      - {raw: x, every: often}\n      - {ecs: text}\n    history:\n      - {at: +1s, raw: x}\n    expect: some\n  - events: []\n    expect:\n      - {count: 1, at_least: 2}\n      - rule\n";
    let file = read(text);
    assert!(file.cases.is_empty());
    let told: Vec<(&str, String)> = file
        .diagnostics
        .iter()
        .map(|found| (found.span.text(text), found.message.clone()))
        .collect();
    for (place, message) in [
        ("rulez", "rulez"),
        ("soon", "`soon` is no time"),
        ("{ecs: {}, raw: x}", "more than one of"),
        ("{note: x}", "none of `ecs`"),
        ("7", "an integer"),
        ("{raw: x, repeat: 0}", "repeated 1 to"),
        ("often", "time span"),
        ("{ecs: text}", "is a table"),
        ("{at: +1s, raw: x}", "history lies before"),
        ("some", "`expect` is `none`"),
        ("{count: 1, at_least: 2}", "exclude each other"),
        ("rule", "an expected alert is a table"),
    ] {
        assert!(
            told.iter()
                .any(|(at, said)| at.starts_with(place) && said.contains(message)),
            "{place}: {message}\n{told:#?}"
        );
    }
    assert!(
        told.iter()
            .any(|(_, said)| said.contains("`cases.name` is missing")),
        "{told:#?}"
    );
}

#[test]
fn files_without_cases_are_told_of() {
    for text in ["", "cases: []", "- a", "cases: {", "rules: x"] {
        let file = read(text);
        assert!(!file.diagnostics.is_empty() && file.cases.is_empty(), "{text}");
    }
}
