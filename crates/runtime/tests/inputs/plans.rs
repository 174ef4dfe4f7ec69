//! Plans as the languages make them, put together by hand: the pipeline knows no language.

use std::sync::Arc;

use neph_engine::{OperatorConfig, Operators, Program};
use neph_event::{Field, FieldType, Value};
use neph_plan::{
    Aggregate, Case, Condition, EventQuery, FieldId, FirstSeen, Key, Leaf, Plan, Query, Sequence, Span,
    Stage, Test,
};

const FIELDS: [(&str, FieldType); 9] = [
    ("@timestamp", FieldType::Date),
    ("event.category", FieldType::Keyword),
    ("event.action", FieldType::Keyword),
    ("process.name", FieldType::Keyword),
    ("destination.ip", FieldType::Ip),
    ("host.id", FieldType::Keyword),
    ("process.parent.entity_id", FieldType::Keyword),
    ("event.id", FieldType::Keyword),
    ("user_agent.original", FieldType::Keyword),
];

fn field(name: &str) -> FieldId {
    let index = FIELDS.iter().position(|(known, _)| *known == name).unwrap();
    FieldId(u32::try_from(index).unwrap())
}

fn is(name: &str, values: &[Value]) -> Condition {
    let test = Test::Equals(field(name), values.into(), Case::AsciiInsensitive);
    Condition::Leaf(Leaf {
        test,
        span: Span::default(),
    })
}

fn word(text: &str) -> Value {
    Value::String(text.into())
}

fn plan(query: Query) -> Plan {
    Plan {
        fields: FIELDS
            .iter()
            .map(|(path, kind)| Field::new(*path, *kind).into())
            .collect(),
        time: field("@timestamp"),
        tiebreaker: None,
        query,
        limits: Vec::new(),
        failing_indices: Vec::new(),
    }
}

fn stage(condition: Condition, keys: &[&str], missing: bool) -> Stage {
    let key = |name: &&str| Key {
        name: (*name).into(),
        field: Some(field(name)),
        optional: false,
    };
    Stage {
        condition,
        keys: keys.iter().map(key).collect(),
        missing,
        runs: 1,
        span: Span::default(),
    }
}

fn started_tool() -> Condition {
    let names = ["curl", "wget", "python3.11", "perl", "awk"].map(word);
    Condition::And(vec![
        is("event.category", &[word("process")]),
        is("event.action", &[word("exec")]),
        is("process.name", &names),
    ])
}

fn asked_for_metadata() -> Condition {
    Condition::And(vec![
        is("event.category", &[word("network")]),
        is("event.action", &[word("connection_attempted")]),
        is("destination.ip", &[Value::Ip("169.254.169.254".parse().unwrap())]),
    ])
}

/// A tool starts, and within a second something of the same parent asks the metadata service.
pub(crate) fn metadata_request() -> Plan {
    let keys = ["host.id", "process.parent.entity_id"];
    let stages = vec![
        stage(started_tool(), &keys, false),
        stage(asked_for_metadata(), &keys, false),
    ];
    plan(Query::Sequence(Sequence {
        stages,
        until: None,
        maxspan: Some(1_000_000_000),
    }))
}

/// A process ends.
pub(crate) fn ended() -> Plan {
    let condition = Condition::And(vec![
        is("event.category", &[word("process")]),
        is("event.action", &[word("end")]),
    ]);
    plan(Query::Events(EventQuery { condition }))
}

/// A process starts and does not end within two seconds.
pub(crate) fn started_and_not_ended() -> Plan {
    let start = is("event.action", &[word("exec")]);
    let end = is("event.action", &[word("end")]);
    let stages = vec![stage(start, &["host.id"], false), stage(end, &["host.id"], true)];
    plan(Query::Sequence(Sequence {
        stages,
        until: None,
        maxspan: Some(2_000_000_000),
    }))
}

/// Two of these programs start one after the other under one parent, however much time is between.
pub(crate) fn one_after_the_other(programs: [&str; 2]) -> Plan {
    let started = |program: &str| {
        let is_start = is("event.action", &[word("exec")]);
        Condition::And(vec![is_start, is("process.name", &[word(program)])])
    };
    let stages = programs.map(|program| stage(started(program), &["process.parent.entity_id"], false));
    plan(Query::Sequence(Sequence {
        stages: stages.into(),
        until: None,
        maxspan: None,
    }))
}

/// A host does something so many times in a minute.
pub(crate) fn often(action: &str, at_least: u64) -> Plan {
    plan(Query::Aggregate(Aggregate {
        condition: is("event.action", &[word(action)]),
        group: stage(
            Condition::Const(true),
            &["host.id", "process.parent.entity_id"],
            false,
        )
        .keys,
        interval: 60_000_000_000,
        lookback: 60_000_000_000,
        at_least,
        distinct: None,
    }))
}

/// A host that starts a program which it had not started for an hour.
pub(crate) fn started_anew() -> Plan {
    plan(Query::FirstSeen(FirstSeen {
        condition: is("event.action", &[word("exec")]),
        fields: stage(Condition::Const(true), &["host.id", "process.name"], false).keys,
        interval: 60_000_000_000,
        history: 3_600_000_000_000,
    }))
}

pub(crate) fn compile(plans: &[Plan], config: &OperatorConfig) -> (Arc<Program>, Operators) {
    let (program, errors) = Program::compile(plans);
    assert_eq!(errors, []);
    (
        neph_runtime::prepare(program),
        Operators::new(&plans.iter().collect::<Vec<_>>(), config),
    )
}

/// A field has one of these words.
pub(crate) fn any_of(name: &str, words: &[&str]) -> Plan {
    let words: Vec<Value> = words.iter().map(|text| word(text)).collect();
    let condition = is(name, &words);
    plan(Query::Events(EventQuery { condition }))
}
