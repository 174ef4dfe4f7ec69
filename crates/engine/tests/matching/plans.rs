//! Plans over a few fields of every type, and records run against them.

use std::sync::Arc;

use neph_engine::{Matcher, Origin, Program, Record, StepMatch};
use neph_event::{Field, FieldType, Value};
use neph_plan::{Case, Condition, EventQuery, FieldId, Key, Leaf, Pattern, Plan, Query, Span, Stage, Test};

/// The fields that the tests below use, by the ids that the constants give.
pub(crate) fn fields() -> Vec<Arc<Field>> {
    vec![
        Field::new("@timestamp", FieldType::Date).into(),
        Field::new("event.sequence", FieldType::Long).into(),
        Field::new("name", FieldType::Keyword).into(),
        Field::new("size", FieldType::Long).into(),
        Field::new("ratio", FieldType::Double).into(),
        Field::new("ip", FieldType::Ip).into(),
        Field::new("version", FieldType::Version).into(),
        Field::new("flag", FieldType::Boolean).into(),
        Field::new("any", FieldType::Dynamic).into(),
        Field::new("tag", FieldType::Keyword).into(),
        Field::new("nanos", FieldType::DateNanos).into(),
    ]
}
pub(crate) const TIME: FieldId = FieldId(0);
pub(crate) const TIEBREAKER: FieldId = FieldId(1);
pub(crate) const NAME: FieldId = FieldId(2);
pub(crate) const SIZE: FieldId = FieldId(3);
pub(crate) const RATIO: FieldId = FieldId(4);
pub(crate) const IP: FieldId = FieldId(5);
pub(crate) const VERSION: FieldId = FieldId(6);
pub(crate) const FLAG: FieldId = FieldId(7);
pub(crate) const ANY: FieldId = FieldId(8);
pub(crate) const TAG: FieldId = FieldId(9);
pub(crate) const NANOS: FieldId = FieldId(10);

pub(crate) fn plan(query: Query) -> Plan {
    Plan {
        fields: fields(),
        time: TIME,
        tiebreaker: Some(TIEBREAKER),
        query,
        limits: Vec::new(),
        failing_indices: Vec::new(),
    }
}

pub(crate) fn events(condition: Condition) -> Plan {
    plan(Query::Events(EventQuery { condition }))
}

pub(crate) fn leaf(test: Test) -> Condition {
    Condition::Leaf(Leaf {
        test,
        span: Span::default(),
    })
}

pub(crate) fn not(condition: Condition) -> Condition {
    Condition::Not(Box::new(condition))
}

pub(crate) fn text(text: &str) -> Value {
    Value::String(text.into())
}

pub(crate) fn equals(field: FieldId, value: Value) -> Condition {
    leaf(Test::Equals(field, [value].into(), Case::Sensitive))
}

pub(crate) fn like(field: FieldId, patterns: &[&str]) -> Condition {
    let patterns = patterns
        .iter()
        .map(|pattern| Pattern::unescaped(pattern))
        .collect();
    leaf(Test::Like(field, patterns, Case::AsciiInsensitive))
}

pub(crate) fn stage(condition: Condition, keys: Vec<Key>) -> Stage {
    Stage {
        condition,
        keys,
        missing: false,
        runs: 1,
        span: Span::default(),
    }
}

pub(crate) fn key(field: FieldId, optional: bool) -> Key {
    Key {
        name: "key".into(),
        field: Some(field),
        optional,
    }
}

pub(crate) fn matcher(plans: &[Plan]) -> Matcher {
    let (program, errors) = Program::compile(plans);
    assert_eq!(errors, vec![]);
    Matcher::new(Arc::new(program))
}

pub(crate) fn run(matcher: &mut Matcher, json: &str) -> Vec<StepMatch> {
    let origin = Origin {
        source: "test".into(),
        line: 1,
    };
    let record = Record {
        document: json.as_bytes(),
        id: None,
        index: None,
        position: 7,
        origin: &origin,
    };
    let mut found = Vec::new();
    assert_eq!(matcher.read(json.as_bytes()), Ok(()));
    matcher.matches(&record, |found_step| found.push(found_step));
    found
}

/// Checks for each record whether the condition holds.
pub(crate) fn check(condition: Condition, expected: &[(&str, bool)]) {
    let mut matcher = matcher(&[events(condition.clone())]);
    for (json, holds) in expected {
        assert_eq!(
            run(&mut matcher, json).len(),
            usize::from(*holds),
            "{json} under {condition:?}"
        );
    }
}
