//! First-seen queries and aggregates count the bytes that they hold.

use std::sync::Arc;

use neph_engine::{Event, OperatorConfig, Operators, Ordinal, Origin, RuleIndex, StepMatch};
use neph_event::{EventId, Field, FieldType, Instant, Value};
use neph_plan::{Aggregate, Condition, DistinctAtLeast, FieldId, FirstSeen, Key, Plan, Query};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

const MIB: usize = 1 << 20;
const MILLI: u64 = 1_000_000;

fn plan(query: Query) -> Plan {
    Plan {
        fields: vec![Field::new("@timestamp", FieldType::Date).into()],
        time: FieldId(0),
        tiebreaker: None,
        query,
        limits: Vec::new(),
        failing_indices: Vec::new(),
    }
}

fn key() -> Key {
    Key {
        name: "key".into(),
        field: None,
        optional: false,
    }
}

fn step(key: u64, number: u64) -> StepMatch {
    let origin = Origin {
        source: "test".into(),
        line: number,
    };
    let event = Event::new(vec![b' '; 200], Some(EventId::given(number.to_string())), origin);
    let ordinal = Ordinal {
        time: Instant::from_millis(i64::try_from(number).unwrap_or(0)),
        tiebreaker: None,
        position: number,
    };
    let keys = [Some(Value::String(format!("the key {key}").into()))];
    StepMatch::new(RuleIndex(0), 0, &keys, Some(ordinal), number, Arc::new(event))
        .counting([Value::Long(i64::try_from(number).unwrap_or(0))])
}

/// One test, because the count of allocated bytes is one for all.
#[test]
fn counted_bytes_are_those_allocated() {
    let first_seen = plan(Query::FirstSeen(FirstSeen {
        condition: Condition::Const(true),
        fields: vec![key()],
        interval: 100 * MILLI,
        history: 1_000 * MILLI,
    }));
    let aggregate = plan(Query::Aggregate(Aggregate {
        condition: Condition::Const(true),
        group: vec![key()],
        interval: 1_000 * MILLI,
        lookback: 1_500 * MILLI,
        at_least: 1_000_000,
        distinct: Some(DistinctAtLeast {
            field: key(),
            at_least: 5,
        }),
    }));
    for (name, plan, advances) in [
        ("first seen", &first_seen, false),
        ("first seen, settled", &first_seen, true),
        ("aggregate", &aggregate, false),
    ] {
        for keys in [20_000, 3_000, 10] {
            let before = ALLOCATED.current_usage();
            let config = OperatorConfig {
                default_lateness: advances.then(Default::default),
                rule_bytes: usize::MAX,
                total_bytes: usize::MAX,
                ..OperatorConfig::default()
            };
            let mut operators = Operators::new(&[plan], &config);
            let mut outcomes = Vec::new();
            for number in 0..20_000 {
                operators.push(step(number % keys, number), &mut outcomes);
                if advances && number % 100 == 0 {
                    let now = i64::try_from(number).unwrap_or(0);
                    operators.advance(Instant::from_millis(now), &mut outcomes);
                    outcomes = Vec::new();
                }
            }
            outcomes = Vec::new();
            let allocated = ALLOCATED.current_usage() - before;
            let counted = operators.state_bytes();
            let ratio = counted as f64 / allocated as f64;
            let case = format!("{name}, {keys} keys: {counted} counted, {allocated} allocated");
            // Small states drown in constants.
            assert!(ratio > 0.85 || counted < MIB / 4, "{case}");
            assert!(ratio < 1.3 || counted < MIB / 4, "{case}");
            operators.finish(&mut outcomes);
            drop(outcomes);
            assert_eq!(operators.state_bytes(), 0);
            let left = ALLOCATED.current_usage().saturating_sub(before);
            assert!(left < MIB / 8, "{left} allocated after the end");
        }
    }
}
