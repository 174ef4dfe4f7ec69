//! What a step match carries: steps, keys, order, id; and the events that are left out.

use std::sync::Arc;

use neph_engine::{Origin, Record, RuleIndex, StepMatch};
use neph_event::Value;
use neph_plan::{Condition, Key, Query, Sample, Sequence};

use crate::plans::*;

#[test]
fn keys_multiply_their_distinct_values() {
    let keys = vec![
        key(TAG, false),
        key(NAME, true),
        Key {
            name: "unmapped".into(),
            field: None,
            optional: true,
        },
    ];
    let condition = Condition::Const(true);
    let mut matcher = matcher(&[plan(Query::Sample(Sample {
        stages: vec![stage(condition, keys)],
    }))]);
    let found = run(&mut matcher, r#"{"tag":["b","a","b"],"name":["x","y"]}"#);
    let tuples: Vec<_> = found.iter().map(|step| step.keys().to_vec()).collect();
    let tuple = |tag: &str, name: &str| vec![Some(text(tag)), Some(text(name)), None];
    assert_eq!(
        tuples,
        [tuple("a", "x"), tuple("a", "y"), tuple("b", "x"), tuple("b", "y")]
    );
    assert!(
        found
            .iter()
            .all(|step| Arc::ptr_eq(step.event(), found[0].event()))
    );
    assert_eq!(
        run(&mut matcher, r#"{"tag":"a"}"#)[0].keys().to_vec(),
        [Some(text("a")), None, None]
    );
    assert_eq!(run(&mut matcher, r#"{"name":"x"}"#).len(), 0);
}

#[test]
fn too_many_key_tuples_are_cut_and_counted() {
    let keys = vec![key(TAG, false), key(NAME, false), key(SIZE, false)];
    let mut matcher = matcher(&[plan(Query::Sample(Sample {
        stages: vec![stage(Condition::Const(true), keys)],
    }))]);
    let list: Vec<String> = (0..200).map(|number| format!("\"{number}\"")).collect();
    let list = list.join(",");
    let found = run(
        &mut matcher,
        &format!(r#"{{"tag":[{list}],"name":[{list}],"size":[1,2]}}"#),
    );
    assert_eq!(found.len(), 10_000);
    assert_eq!(matcher.statistics().dropped_key_tuples, 70_000);
    assert_eq!(matcher.statistics().step_matches, 10_000);
}

#[test]
fn steps_have_the_numbers_of_their_stages_and_until_comes_last() {
    let stages = vec![
        stage(equals(NAME, text("a")), vec![]),
        stage(Condition::Const(true), vec![]),
    ];
    let until = Some(stage(equals(NAME, text("a")), vec![]));
    let sequence = plan(Query::Sequence(Sequence {
        stages,
        until,
        maxspan: None,
    }));
    let mut matcher = matcher(&[events(equals(NAME, text("b"))), sequence]);
    let steps = |found: Vec<StepMatch>| {
        found
            .iter()
            .map(|step| (step.rule.0, step.step))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        steps(run(&mut matcher, r#"{"@timestamp":5,"name":"a"}"#)),
        [(1, 0), (1, 1), (1, 2)]
    );
    assert_eq!(
        steps(run(&mut matcher, r#"{"@timestamp":5,"name":["b","a"]}"#)),
        [(0, 0), (1, 0), (1, 1), (1, 2)]
    );
    // Without time an event takes part in event queries only, and what is left out is counted.
    assert_eq!(steps(run(&mut matcher, r#"{"name":["b","a"]}"#)), [(0, 0)]);
    assert_eq!(matcher.statistics().without_time, 1);
}

#[test]
fn events_of_steps_that_must_not_happen_have_no_document_unless_it_is_asked_for() {
    let mut absent = stage(Condition::Const(true), vec![key(NAME, false)]);
    absent.missing = true;
    let stages = vec![stage(equals(NAME, text("a")), vec![key(NAME, false)]), absent];
    let mut matcher = matcher(&[plan(Query::Sequence(Sequence {
        stages,
        until: None,
        maxspan: Some(1_000_000_000),
    }))]);
    let json = r#"{"@timestamp":5,"name":"a"}"#;
    let documents = |found: &[StepMatch]| -> Vec<Vec<u8>> {
        let document = |step: &StepMatch| step.event().document().to_vec();
        found.iter().map(document).collect()
    };
    let found = run(&mut matcher, json);
    assert_eq!(documents(&found), [json.as_bytes(), b""]);
    assert_eq!(found[0].keys(), found[1].keys());
    assert_eq!(found[0].ordinal(), found[1].ordinal());
    matcher.keep_documents();
    let found = run(&mut matcher, json);
    assert_eq!(documents(&found), [json.as_bytes(), json.as_bytes()]);
}

#[test]
fn an_event_has_its_order_and_its_id() {
    let mut matcher = matcher(&[events(Condition::Const(true))]);
    let found = run(
        &mut matcher,
        r#"{"_id":"x1","@timestamp":"2020-01-01T00:00:00Z","event":{"sequence":9}}"#,
    );
    let ordinal = found[0].ordinal().cloned().unwrap();
    assert_eq!(
        (ordinal.time.as_millis(), ordinal.tiebreaker, ordinal.position),
        (1_577_836_800_000, Some(Value::Long(9)), 7)
    );
    assert_eq!(found[0].event().id().as_str(), "x1");
    let found = run(&mut matcher, r#"{"event.sequence":9}"#);
    assert_eq!((found[0].ordinal().cloned(), found[0].position()), (None, 7));
    assert_eq!(found[0].event().id().as_str().len(), 32);
    let origin = Origin {
        source: "hits".into(),
        line: 3,
    };
    let record = Record {
        document: b"{\"_id\":\"inner\"}",
        id: Some("outer"),
        index: None,
        position: 0,
        origin: &origin,
    };
    matcher.read(record.document).unwrap();
    matcher.matches(&record, |step| assert_eq!(step.event().id().as_str(), "outer"));
}

#[test]
fn events_of_a_failing_index_are_left_out_of_that_rule_alone() {
    let mut failing = events(Condition::Const(true));
    failing.failing_indices = vec!["broken".into()];
    let mut matcher = matcher(&[failing, events(Condition::Const(true))]);
    assert_eq!(run(&mut matcher, r#"{"_index":"broken"}"#).len(), 1);
    assert_eq!(run(&mut matcher, r#"{"_index":"sound"}"#).len(), 2);
    let origin = Origin {
        source: "hits".into(),
        line: 3,
    };
    let record = Record {
        document: b"{}",
        id: None,
        index: Some("broken"),
        position: 0,
        origin: &origin,
    };
    matcher.read(record.document).unwrap();
    let mut rules = Vec::new();
    matcher.matches(&record, |step| rules.push(step.rule));
    assert_eq!(rules, [RuleIndex(1)]);
    assert_eq!(matcher.statistics().failing_index, 2);
}
