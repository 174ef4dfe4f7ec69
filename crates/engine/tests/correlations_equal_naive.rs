//! Random correlations, chained ones too, over random, shuffled, chunked events: the operator says what the naive
//! interpreter says.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail loudly"
)]

mod restart;

use std::sync::Arc;
use std::time::Duration;

use neph_engine::{
    Event, Match, OperatorConfig, Operators, Ordinal, Origin, Outcome, RuleIndex, StepMatch, sort_matches,
};
use neph_event::{EventId, Field, FieldType, Instant, Value};
use neph_plan::{
    Asked, Bound, CandidateEvents, Candidates, Condition, Correlation, FieldId, FirstOf, Measure, Plan,
    Presence, Query, Source,
};
use neph_testkit::naive;
use proptest::prelude::*;
use restart::restarted;
use smallvec::SmallVec;

const MILLI: u64 = 1_000_000;

fn cases() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok());
    ProptestConfig {
        cases: cases.unwrap_or(1_000),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// An event: when, the steps that it satisfies, the values of three fields, its numbers, and how it comes.
#[derive(Clone, Debug)]
struct Seen {
    millis: i64,
    steps: Vec<u16>,
    fields: [Vec<u8>; 3],
    numbers: Vec<i8>,
    has_id: bool,
    delay: u64,
    again: Option<u64>,
}

fn field() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![8 => (0..2_u8).prop_map(|term| vec![term]), 1 => Just(vec![0, 1]), 1 => Just(vec![])]
}

fn seen() -> impl Strategy<Value = Seen> {
    (
        prop_oneof![3 => 0..60_i64, 1 => 0..300_i64],
        prop_oneof![6 => (0..4_u16).prop_map(|step| vec![step]), 1 => Just(vec![0, 1]), 1 => Just(vec![1, 2])],
        [field(), field(), field()],
        prop_oneof![4 => prop::collection::vec(-2..9_i8, 1), 1 => Just(vec![]), 1 => prop::collection::vec(0..9_i8, 2)],
        any::<bool>(),
        prop_oneof![2 => Just(0_u64), 2 => 0..8_u64],
        prop::option::weighted(0.1, 0..8_u64),
    )
        .prop_map(|(millis, steps, fields, numbers, has_id, delay, again)| Seen {
            millis,
            steps,
            fields,
            numbers,
            has_id,
            delay,
            again,
        })
}

/// Step matches as the matcher gives them, each with the time in milliseconds at which it comes.
fn deliveries(query: &Correlation, events: &[Seen]) -> Vec<(i64, StepMatch)> {
    let mut leaves = Vec::new();
    collect(query, &mut leaves);
    let mut result = Vec::new();
    for (seen, position) in events.iter().zip(0_u64..) {
        let id = seen.has_id.then(|| EventId::given(position.to_string()));
        let origin = Origin {
            source: "test".into(),
            line: position,
        };
        let text = format!("{{\"n\":{position}}}");
        let event = Arc::new(Event::new(text.into_bytes(), id, origin));
        for delay in [Some(seen.delay), seen.again].into_iter().flatten() {
            for step in &seen.steps {
                let Some((group, leaf)) = leaves.get(usize::from(*step)) else {
                    continue;
                };
                for keys in tuples(leaf, *group, seen) {
                    result.push((
                        seen.millis + delay as i64,
                        StepMatch::new(
                            RuleIndex(0),
                            *step,
                            &keys,
                            Some(Ordinal {
                                time: Instant::from_millis(seen.millis),
                                tiebreaker: None,
                                position,
                            }),
                            position,
                            Arc::clone(&event),
                        )
                        .counting(seen.numbers.iter().map(|number| Value::Long((*number).into()))),
                    ));
                }
            }
        }
    }
    result
}

fn collect<'q>(query: &'q Correlation, leaves: &mut Vec<(usize, &'q CandidateEvents)>) {
    for source in &query.sources {
        match &source.candidates {
            Candidates::Events(events) => leaves.push((query.group.len(), events)),
            Candidates::Matches(inner) => collect(inner, leaves),
        }
    }
}

type Tuple = SmallVec<[Option<Value>; 2]>;

fn tuples(leaf: &CandidateEvents, group: usize, seen: &Seen) -> Vec<Tuple> {
    let mut tuples = vec![Tuple::new()];
    for (place, key) in leaf.keys.iter().flatten().enumerate() {
        let field = &seen.fields[key.0[0].0 as usize];
        let mut values: Vec<Option<Value>> = field
            .iter()
            .map(|value| Some(Value::Long((*value).into())))
            .collect();
        if values.is_empty() && place >= group {
            values.push(None);
        }
        tuples = tuples
            .iter()
            .flat_map(|tuple| {
                values.iter().map(|value| {
                    let mut tuple = tuple.clone();
                    tuple.push(value.clone());
                    tuple
                })
            })
            .collect();
    }
    tuples
}

/// What a correlation asks, whatever its sources.
#[derive(Clone, Debug)]
struct Shape {
    group: Vec<u32>,
    counted: Vec<u32>,
    timespan: u64,
    asked: Asked,
}

fn bounds() -> impl Strategy<Value = Vec<Bound>> {
    let number = || (0..6_u8).prop_map(f64::from);
    prop_oneof![
        3 => number().prop_map(|number| vec![Bound::GreaterOrEqual(number)]),
        1 => number().prop_map(|number| vec![Bound::Greater(number)]),
        1 => number().prop_map(|number| vec![Bound::Less(number)]),
        1 => number().prop_map(|number| vec![Bound::Equal(number)]),
        1 => number().prop_map(|number| vec![Bound::NotEqual(number)]),
        1 => (number(), number()).prop_map(|(low, more)| vec![Bound::GreaterOrEqual(low), Bound::LessOrEqual(low + more)]),
    ]
}

fn presence() -> impl Strategy<Value = Presence> {
    prop_oneof![
        Just((vec![0, 1], vec![])),
        Just((vec![0, 1, 2], vec![])),
        Just((vec![1], vec![0])),
        Just((vec![0, 1], vec![2])),
        Just((vec![2], vec![0, 1])),
        Just((vec![0, 2], vec![])),
    ]
    .prop_map(|(present, absent)| Presence { present, absent })
}

fn asked() -> impl Strategy<Value = Asked> {
    let measure = prop_oneof![
        3 => Just(Measure::Count),
        3 => Just(Measure::Distinct),
        1 => Just(Measure::Sum),
        1 => Just(Measure::Average),
        1 => prop_oneof![Just(0.0), Just(50.0), Just(95.0)].prop_map(Measure::Percentile),
    ];
    prop_oneof![
        3 => (measure, bounds()).prop_map(|(measure, bounds)| Asked::Number { measure, fields: Vec::new(), bounds }),
        4 => (prop::collection::vec(presence(), 1..3), any::<bool>())
            .prop_map(|(alternatives, ordered)| Asked::Together { alternatives, ordered }),
    ]
}

fn shape() -> impl Strategy<Value = Shape> {
    let group = prop_oneof![Just(vec![]), Just(vec![0]), Just(vec![1]), Just(vec![0, 1])];
    (group, prop::collection::vec(0..3_u32, 1..3), 1..30_u64, asked()).prop_map(
        |(group, counted, timespan, asked)| Shape {
            group,
            counted,
            timespan: timespan * MILLI,
            asked,
        },
    )
}

/// The correlation of shapes, the outer one first: the sources of each are, in this order, the correlation below it and
/// events.
fn correlation(shapes: &[Shape], above: &[&Shape]) -> Correlation {
    let (shape, below) = shapes.split_first().unwrap();
    let levels: Vec<&Shape> = std::iter::once(shape).chain(above.iter().copied()).collect();
    let keys = || {
        levels
            .iter()
            .map(|level| {
                let is_counted = matches!(
                    &level.asked,
                    Asked::Number {
                        measure: Measure::Distinct,
                        ..
                    }
                );
                let counted = level.counted.iter().filter(|_| is_counted);
                let fields = level.group.iter().chain(counted);
                fields.map(|field| FirstOf(vec![FieldId(*field)])).collect()
            })
            .collect()
    };
    let events = || Source {
        name: "events".into(),
        candidates: Candidates::Events(CandidateEvents {
            condition: Condition::Const(true),
            keys: keys(),
            measured: FirstOf::default(),
        }),
    };
    let mut sources = vec![events(), events(), events()];
    if !below.is_empty() {
        sources[0] = Source {
            name: "matches".into(),
            candidates: Candidates::Matches(Box::new(correlation(below, &levels))),
        };
    }
    let mut asked = shape.asked.clone();
    if let Asked::Number {
        measure: Measure::Distinct,
        fields,
        ..
    } = &mut asked
    {
        *fields = shape
            .counted
            .iter()
            .map(|field| field.to_string().into())
            .collect();
    }
    Correlation {
        sources,
        group: shape.group.iter().map(|field| field.to_string().into()).collect(),
        timespan: shape.timespan,
        asked,
    }
}

/// Everything that a match says, in a form that compares.
fn telling(mut matches: Vec<Match>) -> Vec<String> {
    sort_matches(&mut matches);
    let text = |found: &Match| {
        let lines: Vec<(u16, u64)> = found
            .events
            .iter()
            .filter_map(|(step, event)| Some((*step, event.as_ref()?.origin().line)))
            .collect();
        format!(
            "{:?} {:?} events {lines:?} {:?} {:?}",
            found.keys, found.window, found.first, found.last
        )
    };
    let mut told: Vec<String> = matches.iter().map(text).collect();
    told.sort();
    told
}

fn run(plan: &Plan, deliveries: &[(i64, StepMatch)], lateness: Option<u64>, chunk: usize) -> Vec<Match> {
    let config = OperatorConfig {
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
    }
    operators.finish(&mut outcomes);
    assert_eq!(operators.state_bytes(), 0, "all state is given back");
    let statistics = operators.statistics(RuleIndex(0));
    assert_eq!((statistics.evicted, statistics.late), (0, 0));
    let found = |outcome| match outcome {
        Outcome::Found(found) => found,
        Outcome::Retracted(found) => panic!("taken back: {found:?}"),
    };
    outcomes.into_iter().map(found).collect()
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn correlation_equals_naive(
        shapes in prop::collection::vec(shape(), 1..4),
        events in prop::collection::vec(seen(), 0..60),
        shuffled in prop::collection::vec(0..1000_usize, 120),
        chunk in 1..20_usize,
    ) {
        let query = correlation(&shapes, &[]);
        let mut in_time = deliveries(&query, &events);
        in_time.sort_by_key(|(due, _)| *due);
        let plan = Plan {
            fields: vec![Field::new("@timestamp", FieldType::Date).into()],
            time: FieldId(0),
            tiebreaker: None,
            query: Query::Correlation(query),
            limits: Vec::new(),
            failing_indices: Vec::new(),
        };
        let steps: Vec<StepMatch> = in_time.iter().map(|(_, step)| step.clone()).collect();
        let expected = telling(naive::interpret(&plan, &steps, 1));
        let mut order: Vec<usize> = (0..in_time.len()).collect();
        order.sort_by_key(|place| shuffled.get(*place).copied().unwrap_or(*place));
        let any_order: Vec<(i64, StepMatch)> = order.iter().map(|place| in_time[*place].clone()).collect();
        prop_assert_eq!(telling(run(&plan, &in_time, Some(8), chunk)), expected.clone(), "in time");
        prop_assert_eq!(telling(run(&plan, &any_order, None, chunk)), expected, "shuffled");
    }
}
