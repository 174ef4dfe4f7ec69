//! Many rules as one program: sharing, waking, rules that cannot run, records that cannot be read.

use std::sync::Arc;

use neph_engine::{Matcher, Origin, Program, Record};
use neph_plan::{Case, Condition, EventQuery, FieldId, Leaf, Plan, Query, RegexDialect, Span, Test};

use crate::plans::*;

#[test]
fn unreadable_records_match_nothing_and_are_counted() {
    let mut matcher = matcher(&[events(not(equals(NAME, text("v"))))]);
    let origin = Origin {
        source: "test".into(),
        line: 1,
    };
    for json in ["{", "[]", "7", "", "{\"name\":\"\u{0}\"}x"] {
        assert!(matcher.read(json.as_bytes()).is_err(), "{json}");
        let record = Record {
            document: json.as_bytes(),
            id: None,
            index: None,
            position: 0,
            origin: &origin,
        };
        matcher.matches(&record, |_| panic!("an unreadable record must not match"));
    }
    run(&mut matcher, r#"{"ip":"no address"}"#);
    let statistics = matcher.statistics();
    assert_eq!(
        (
            statistics.records,
            statistics.unreadable,
            statistics.malformed_values
        ),
        (1, 5, 1)
    );
}

#[test]
fn records_of_a_kind_that_no_rule_is_about_are_passed_over() {
    let mut matcher = matcher(&[
        events(Condition::And(vec![
            equals(NAME, text("wanted")),
            equals(TAG, text("t")),
        ])),
        events(Condition::And(vec![
            not(equals(NAME, text("x"))),
            equals(NAME, text("x")),
        ])),
    ]);
    let program = Arc::clone(matcher.program());
    let fields = program.slots().fields();
    let is_told: Vec<bool> = fields.iter().map(|field| *field.path == *"name").collect();
    for (kind, can_match) in [("wanted", true), ("x", false)] {
        assert_eq!(matcher.may_match(kind.as_bytes(), "{}"), None);
        // What is not told may be so in this record and not in the next.
        assert_eq!(run(&mut matcher, &format!(r#"{{"name":"{kind}"}}"#)).len(), 0);
        matcher.learn(kind.as_bytes(), &is_told, &[]);
        assert_eq!(
            matcher.may_match(kind.as_bytes(), "{}"),
            Some(can_match),
            "{kind}"
        );
    }
    let statistics = matcher.statistics();
    assert_eq!((statistics.records, statistics.passed_over), (3, 1));
    // Of a record that cannot be read nothing is learnt.
    assert!(matcher.read(b"{").is_err());
    matcher.learn(b"other", &is_told, &[]);
    assert_eq!(matcher.may_match(b"other", "{}"), None);
}

#[test]
fn records_of_a_kind_are_read_where_they_have_a_text_that_rules_seek() {
    let mut matcher = matcher(&[
        events(Condition::And(vec![
            equals(NAME, text("wanted")),
            equals(TAG, text("some tag")),
        ])),
        events(Condition::And(vec![
            equals(NAME, text("any")),
            not(equals(TAG, text("x"))),
        ])),
    ]);
    let program = Arc::clone(matcher.program());
    let is = |name: &str| -> Vec<bool> {
        let fields = program.slots().fields();
        fields.iter().map(|field| *field.path == *name).collect()
    };
    for kind in ["wanted", "any"] {
        run(&mut matcher, &format!(r#"{{"name":"{kind}"}}"#));
        matcher.learn(kind.as_bytes(), &is("name"), &is("tag"));
    }
    for (kind, record, can_match) in [
        ("wanted", r#"{"tag":"some tag"}"#, true),
        // That it stands elsewhere is found out by reading.
        ("wanted", r#"{"other":"some tag"}"#, true),
        ("wanted", r#"{"tag":"some tag"}"#, true),
        ("wanted", r#"{"tag":"some"}"#, false),
        ("wanted", r#"{"tag":"s"ome"}"#, false),
        // That a text is not there, no text can show.
        ("any", r#"{"tag":"y"}"#, true),
    ] {
        assert_eq!(
            matcher.may_match(kind.as_bytes(), record),
            Some(can_match),
            "{record}"
        );
    }
}

#[test]
fn equal_tests_of_different_rules_are_one_and_bad_rules_do_not_stop_the_others() {
    let mut other_order = events(Condition::And(vec![
        like(NAME, &["b*", "a*"]),
        equals(TAG, text("t")),
    ]));
    // The same fields under other ids.
    other_order.fields.swap(2, 9);
    let swap = |condition| match condition {
        Condition::Leaf(Leaf {
            test: Test::Like(_, patterns, case),
            span,
        }) => Condition::Leaf(Leaf {
            test: Test::Like(TAG, patterns, case),
            span,
        }),
        Condition::Leaf(Leaf {
            test: Test::Equals(_, values, case),
            span,
        }) => Condition::Leaf(Leaf {
            test: Test::Equals(NAME, values, case),
            span,
        }),
        other => other,
    };
    if let Query::Events(EventQuery {
        condition: Condition::And(parts),
    }) = &mut other_order.query
    {
        *parts = std::mem::take(parts).into_iter().map(swap).collect();
    }
    let first = events(Condition::And(vec![
        equals(TAG, text("t")),
        like(NAME, &["a*", "b*"]),
    ]));
    let broken = Condition::Leaf(Leaf {
        test: Test::Regex(NAME, ["a(".into()].into(), RegexDialect::Search, Case::Sensitive),
        span: Span::new(3, 9),
    });
    let outside = events(leaf(Test::Exists(FieldId(99))));
    let plans = [first, events(broken), outside, other_order];
    let (program, errors) = Program::compile(&plans);
    assert_eq!(program.tests(), 2);
    assert_eq!(
        errors
            .iter()
            .map(|error| (error.rule.0, error.span))
            .collect::<Vec<_>>(),
        [(1, Some(Span::new(3, 9))), (2, Some(Span::default()))]
    );
    let mut matcher = Matcher::new(Arc::new(program));
    let found = run(&mut matcher, r#"{"name":"abc","tag":"t"}"#);
    assert_eq!(found.iter().map(|step| step.rule.0).collect::<Vec<_>>(), [0, 3]);
}

#[test]
fn an_event_wakes_only_the_rules_whose_necessary_texts_it_has() {
    let both = |name: &str, tag: Condition| Condition::And(vec![equals(NAME, text(name)), tag]);
    let fragment = |number: usize| {
        like(
            TAG,
            &[&format!("*fragment{number}.*"), &format!("x*other{number}.")],
        )
    };
    let mut plans: Vec<Plan> = (0..100)
        .map(|number| events(both("common", fragment(number))))
        .collect();
    plans.extend((0..100).map(|number| {
        let rare = equals(TAG, text(&format!("rare{number}")));
        events(Condition::Or(vec![
            both(&format!("name{number}"), not(fragment(number))),
            rare,
        ]))
    }));
    plans.push(events(not(equals(NAME, text("common")))));
    plans.push(events(Condition::Const(false)));
    let mut matcher = matcher(&plans);
    let mut woken_and_found = |json: &str| {
        let before = matcher.statistics().woken_conditions;
        let found: Vec<u32> = run(&mut matcher, json).iter().map(|step| step.rule.0).collect();
        (matcher.statistics().woken_conditions - before, found)
    };
    // The negation has no necessary text and is always woken.
    assert_eq!(
        woken_and_found(r#"{"name":"common","tag":"a fragment7. b"}"#),
        (2, vec![7])
    );
    assert_eq!(
        woken_and_found(r#"{"name":"common","tag":["fragment7.","x OTHER8."]}"#),
        (3, vec![7, 8])
    );
    assert_eq!(
        woken_and_found(r#"{"name":"name3","tag":"rare5"}"#),
        (3, vec![103, 105, 200])
    );
    assert_eq!(woken_and_found("{}"), (1, vec![200]));
}

#[test]
fn deep_conditions_are_refused_instead_of_overflowing() {
    let mut deep = leaf(Test::Exists(NAME));
    for level in 0..2_000 {
        deep = if level % 2 == 0 {
            not(deep)
        } else {
            Condition::And(vec![deep, Condition::Const(true)])
        };
    }
    let (_, errors) = Program::compile(&[events(deep)]);
    assert_eq!(errors.len(), 1);
}

#[test]
fn a_program_is_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    fn sent<T: Send>() {}
    shared::<Program>();
    sent::<Matcher>();
}
