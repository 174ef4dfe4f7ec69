//! Random first-seen queries and aggregates over random, shuffled, chunked events: the operators say what the naive
//! interpreter says.

mod restart;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use neph_engine::{
    Emit, Event, Match, OperatorConfig, Operators, Ordinal, Origin, Outcome, RuleIndex, StepMatch,
    sort_matches,
};
use neph_event::{EventId, Field, FieldType, Instant, Value};
use neph_plan::{Aggregate, Condition, DistinctAtLeast, FieldId, FirstSeen, Key, Plan, Query};
use neph_testkit::naive;
use proptest::prelude::*;
use restart::restarted;

const MILLI: u64 = 1_000_000;

fn cases() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok());
    ProptestConfig {
        cases: cases.unwrap_or(400),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// An event: when, its terms, the values that are counted, and how it comes.
#[derive(Clone, Debug)]
struct Seen {
    millis: i64,
    nanos: u32,
    terms: Vec<u8>,
    counted: Vec<u8>,
    has_id: bool,
    /// How much later than its time it comes, in milliseconds; and once more, if at all.
    delay: u64,
    again: Option<u64>,
}

fn seen() -> impl Strategy<Value = Seen> {
    (
        prop_oneof![3 => -30..60_i64, 1 => 0..300_i64],
        prop_oneof![3 => Just(0_u32), 1 => Just(999_999)],
        prop_oneof![5 => (0..3_u8).prop_map(|term| vec![term]), 1 => Just(vec![0, 1]), 1 => Just(vec![])],
        prop::collection::vec(0..4_u8, 0..3),
        any::<bool>(),
        prop_oneof![2 => Just(0_u64), 2 => 0..8_u64],
        prop::option::weighted(0.1, 0..8_u64),
    )
        .prop_map(|(millis, nanos, terms, counted, has_id, delay, again)| Seen {
            millis,
            nanos,
            terms,
            counted,
            has_id,
            delay,
            again,
        })
}

/// Step matches, each with the time in milliseconds at which it comes.
fn deliveries(events: &[Seen]) -> Vec<(i64, StepMatch)> {
    let mut result = Vec::new();
    for (seen, position) in events.iter().zip(0_u64..) {
        let id = EventId::given(position.to_string());
        let origin = Origin {
            source: "test".into(),
            line: position,
        };
        // Records without an id of their own may look the same.
        let event = match seen.has_id {
            true => Event::new(b"{}".to_vec(), Some(id), origin),
            false => Event::new(b"{}".to_vec(), None, origin),
        };
        let event = Arc::new(event);
        for delay in [Some(seen.delay), seen.again].into_iter().flatten() {
            for term in &seen.terms {
                let ordinal = Ordinal {
                    time: Instant::from_nanos(
                        i128::from(seen.millis) * i128::from(MILLI) + i128::from(seen.nanos),
                    ),
                    tiebreaker: None,
                    position,
                };
                let keys = [Some(Value::Long((*term).into()))];
                let event = Arc::clone(&event);
                let counted = seen.counted.iter().map(|value| Value::Long((*value).into()));
                let step = StepMatch::new(RuleIndex(0), 0, &keys, Some(ordinal), position, event);
                let step = step.counting(counted);
                result.push((seen.millis + delay as i64, step));
            }
        }
    }
    result
}

/// Everything that a match says, in a form that compares.
fn telling(mut matches: Vec<Match>) -> Vec<String> {
    sort_matches(&mut matches);
    let text = |found: &Match| {
        let lines: Vec<u64> = found
            .events
            .iter()
            .filter_map(|(_, event)| Some(event.as_ref()?.origin().line))
            .collect();
        format!(
            "{:?} {:?} events {lines:?} {:?} {:?}",
            found.keys, found.window, found.first, found.last
        )
    };
    matches.iter().map(text).collect()
}

/// What is left when everything that was taken back is taken off.
fn net(outcomes: Vec<Outcome>) -> Vec<Match> {
    let mut left: BTreeMap<String, (i64, Match)> = BTreeMap::new();
    for outcome in outcomes {
        let (step, found) = match outcome {
            Outcome::Found(found) => (1, found),
            Outcome::Retracted(found) => (-1, found),
        };
        let identity = telling(vec![found.clone()]).concat();
        let entry = left.entry(identity).or_insert((0, found));
        entry.0 += step;
        assert!(
            (0..=1).contains(&entry.0),
            "told twice, or taken back before: {:?}",
            entry.1
        );
    }
    left.into_values()
        .filter(|(number, _)| *number == 1)
        .map(|(_, found)| found)
        .collect()
}

/// Runs the operators over deliveries in this order; the watermark follows the greatest time of delivery.
fn run(
    plan: &Plan,
    deliveries: &[(i64, StepMatch)],
    emit: Emit,
    lateness: Option<u64>,
    chunk: usize,
) -> Vec<Outcome> {
    let config = OperatorConfig {
        emit,
        default_lateness: lateness.map(Duration::from_millis),
        ..OperatorConfig::default()
    };
    let mut operators = Operators::new(&[plan], &config);
    let mut outcomes = Vec::new();
    for part in deliveries.chunks(chunk) {
        for (_, step) in part {
            operators.push(step.clone(), &mut outcomes);
        }
        // The process ends after each chunk, and another goes on.
        if chunk.is_multiple_of(2) {
            operators = restarted(&operators, plan, &config);
        }
        let due = part.iter().map(|(due, _)| *due).max().unwrap_or_default();
        operators.advance(Instant::from_millis(due), &mut outcomes);
        assert!(operators.state_bytes() < 10_000_000);
    }
    operators.finish(&mut outcomes);
    assert_eq!(operators.state_bytes(), 0, "all state is given back");
    let statistics = operators.statistics(RuleIndex(0));
    assert_eq!((statistics.evicted, statistics.late), (0, 0));
    outcomes
}

/// In order of delivery with a lateness, and in any order without.
fn compare(plan: &Plan, events: &[Seen], shuffled: &[usize], chunk: usize) {
    let in_time = {
        let mut deliveries = deliveries(events);
        deliveries.sort_by_key(|(due, _)| *due);
        deliveries
    };
    let steps: Vec<StepMatch> = in_time.iter().map(|(_, step)| step.clone()).collect();
    let expected = telling(naive::interpret(plan, &steps, 1));
    let any_order: Vec<(i64, StepMatch)> = {
        let mut order: Vec<usize> = (0..in_time.len()).collect();
        order.sort_by_key(|place| shuffled.get(*place).copied().unwrap_or(*place));
        order
            .iter()
            .filter_map(|place| in_time.get(*place).cloned())
            .collect()
    };
    for emit in [Emit::WhenFinal, Emit::AtOnce] {
        assert_eq!(
            telling(net(run(plan, &in_time, emit, Some(8), chunk))),
            expected,
            "{emit:?} in time"
        );
        assert_eq!(
            telling(net(run(plan, &any_order, emit, None, chunk))),
            expected,
            "{emit:?} shuffled"
        );
    }
}

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
        name: "term".into(),
        field: None,
        optional: false,
    }
}

fn events() -> impl Strategy<Value = (Vec<Seen>, Vec<usize>, usize)> {
    (
        prop::collection::vec(seen(), 0..60),
        prop::collection::vec(0..1000_usize, 120),
        1..20_usize,
    )
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn first_seen_equals_naive(
        interval in 1..9_u64,
        history in 0..40_u64,
        (events, shuffled, chunk) in events(),
    ) {
        let query = FirstSeen {
            condition: Condition::Const(true),
            fields: vec![key()],
            interval: interval * MILLI,
            history: (interval + history) * MILLI,
        };
        compare(&plan(Query::FirstSeen(query)), &events, &shuffled, chunk);
    }

    #[test]
    fn aggregate_equals_naive(
        interval in 1..9_u64,
        overlap in 0..20_u64,
        at_least in 1..5_u64,
        distinct in prop::option::of(1..5_u64),
        (events, shuffled, chunk) in events(),
    ) {
        let query = Aggregate {
            condition: Condition::Const(true),
            group: vec![key()],
            interval: interval * MILLI,
            lookback: (interval + overlap) * MILLI,
            at_least,
            distinct: distinct.map(|at_least| DistinctAtLeast { field: key(), at_least }),
        };
        compare(&plan(Query::Aggregate(query)), &events, &shuffled, chunk);
    }
}
