//! State that was written and then damaged is refused, or read as some state: nothing panics, then or later.

mod plans;
mod steps;

use std::time::Duration;

use neph_engine::{Emit, OperatorConfig, Operators, RuleIndex, StateReader, StateWriter};
use neph_event::Instant;
use neph_plan::{
    Aggregate, Asked, Bound, CandidateEvents, Candidates, Condition, Correlation, DistinctAtLeast, FirstOf,
    FirstSeen, Key, Measure, Plan, Presence, Query, Sample, Source,
};
use plans::{plan, stage};
use proptest::prelude::*;
use steps::{sequence, step};

const MILLI: u64 = 1_000_000;

fn key() -> Key {
    Key {
        name: "term".into(),
        field: None,
        optional: false,
    }
}

fn source(candidates: Candidates) -> Source {
    Source {
        name: "source".into(),
        candidates,
    }
}

fn events() -> Candidates {
    Candidates::Events(CandidateEvents {
        condition: Condition::Const(true),
        keys: Vec::new(),
        measured: FirstOf(Vec::new()),
    })
}

/// One plan of each kind.
fn all_kinds() -> Vec<Plan> {
    let counting = Correlation {
        group: vec!["term".into()],
        timespan: 20 * MILLI,
        asked: Asked::Number {
            measure: Measure::Count,
            fields: Vec::new(),
            bounds: vec![Bound::GreaterOrEqual(2.0)],
        },
        sources: vec![source(events())],
    };
    let together = |ordered| Asked::Together {
        alternatives: vec![Presence {
            present: vec![0, 1],
            absent: vec![2],
        }],
        ordered,
    };
    let over = |ordered, first: Candidates| Correlation {
        group: vec!["term".into()],
        timespan: 20 * MILLI,
        asked: together(ordered),
        sources: vec![source(first), source(events()), source(events())],
    };
    vec![
        sequence("A B*2 C until U", Some(20)),
        sequence("!A B !C", Some(20)),
        plan(Query::Sample(Sample {
            stages: vec![stage(false, 1), stage(false, 1)],
        })),
        plan(Query::FirstSeen(FirstSeen {
            condition: Condition::Const(true),
            fields: vec![key()],
            interval: 5 * MILLI,
            history: 30 * MILLI,
        })),
        plan(Query::Aggregate(Aggregate {
            condition: Condition::Const(true),
            group: vec![key()],
            interval: 5 * MILLI,
            lookback: 12 * MILLI,
            at_least: 2,
            distinct: Some(DistinctAtLeast {
                field: key(),
                at_least: 1,
            }),
        })),
        plan(Query::Correlation(over(false, events()))),
        plan(Query::Correlation(over(
            true,
            Candidates::Matches(Box::new(counting)),
        ))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics(
        kind in 0..7_usize,
        other in 0..7_usize,
        at_once in any::<bool>(),
        pushed in prop::collection::vec((0..4_u16, 0..60_i64, prop::sample::select(vec!["a", "b"])), 1..40),
        cut in 0..40_usize,
        damages in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        truncated in prop::option::weighted(0.2, any::<prop::sample::Index>()),
        in_events in any::<bool>(),
    ) {
        let plans = all_kinds();

        let config = OperatorConfig {
            emit: if at_once { Emit::AtOnce } else { Emit::WhenFinal },
            default_lateness: Some(Duration::from_millis(10)),
            ..OperatorConfig::default()
        };
        let mut outcomes = Vec::new();
        let mut operators = Operators::new(&[&plans[kind]], &config);
        let push = |operators: &mut Operators, outcomes: &mut Vec<_>, from: usize, to: usize| {
            for (number, (place, millis, key)) in pushed.iter().enumerate().skip(from).take(to - from) {
                operators.push(step(*place, key, *millis, number as u64), outcomes);
                if number % 3 == 0 {
                    operators.advance(Instant::from_millis(*millis), outcomes);
                }
            }
        };
        let cut = cut.min(pushed.len());
        push(&mut operators, &mut outcomes, 0, cut);
        let mut writer = StateWriter::default();
        let mut section = operators.save(RuleIndex(0), &mut writer).unwrap();
        let mut written = writer.finish().unwrap();
        let damaged = if in_events { &mut written } else { &mut section };
        for (place, value) in &damages {
            let place = place.index(damaged.len());
            damaged[place] = *value;
        }
        if let Some(place) = truncated {
            let place = place.index(damaged.len());
            damaged.truncate(place);
        }
        let is_whole = damages.is_empty() && truncated.is_none();
        let Ok(mut reader) = StateReader::new(&written) else {
            prop_assert!(!is_whole);
            return Ok(());
        };
        // A plan of another kind refuses the section, or has a state that it can live with.
        for kind in [kind, other] {
            let mut again = Operators::new(&[&plans[kind]], &config);
            let read = again.restore(RuleIndex(0), &section, &mut reader);
            prop_assert!(read.is_ok() || !is_whole || kind == other);
            push(&mut again, &mut outcomes, cut, pushed.len());
            again.finish(&mut outcomes);
        }
    }
}

#[test]
fn counts_that_nothing_reaches_are_refused() {
    let whole = neph_engine::RuleStatistics {
        candidates: 3,
        peak_bytes: 5,
        ..Default::default()
    };
    let mut written = serde_json::to_value(whole).unwrap();
    assert_eq!(
        serde_json::from_value::<neph_engine::RuleStatistics>(written.clone()).unwrap(),
        whole
    );
    written["candidates"] = u64::MAX.into();
    assert!(serde_json::from_value::<neph_engine::RuleStatistics>(written).is_err());
}
