//! Random sequences over random, shuffled, chunked events: the operators say what the naive interpreter says.

mod plans;
mod restart;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use neph_engine::{
    Emit, Event, Match, OperatorConfig, Operators, Ordinal, Origin, Outcome, RuleIndex, StepMatch,
    sort_matches,
};
use neph_event::{EventId, Instant, Value};
use neph_plan::{Plan, Query, Sample, Sequence};
use neph_testkit::naive;
use plans::{plan, stage};
use proptest::prelude::*;
use restart::restarted;

fn cases(default: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(default);
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// One to four stages, at least one of them positive; with a missing one there is always a maxspan.
fn sequence() -> impl Strategy<Value = Sequence> {
    let stages = prop::collection::vec(
        (
            prop::bool::weighted(0.25),
            prop_oneof![4 => Just(1_u32), 1 => 2..4_u32],
        ),
        1..=4,
    );
    (
        stages,
        prop::bool::weighted(0.3),
        prop::option::weighted(0.6, 1..12_u64),
        0..4_usize,
    )
        .prop_map(|(mut stages, until, maxspan, positive)| {
            if stages.iter().all(|(missing, _)| *missing) {
                let number = positive % stages.len();
                stages
                    .iter_mut()
                    .skip(number)
                    .take(1)
                    .for_each(|stage| stage.0 = false);
            }
            let maxspan = if stages.iter().any(|(missing, _)| *missing) {
                maxspan.or(Some(3))
            } else {
                maxspan
            };
            Sequence {
                stages: stages
                    .into_iter()
                    .map(|(missing, runs)| stage(missing, runs))
                    .collect(),
                until: until.then(|| stage(false, 1)),
                maxspan: maxspan.map(|millis| millis * 1_000_000),
            }
        })
}

/// An event: when, tiebreaker, a bit for each step, the values of two keys, whether it is delivered twice, and how
/// much later than its time it comes.
#[derive(Clone)]
struct Seen {
    time: Instant,
    tiebreaker: Option<i64>,
    steps: u8,
    keys: Vec<[Option<u8>; 2]>,
    has_id: bool,
    delay: u64,
    /// Delivered again, so much later or, with the higher position, earlier.
    again: Option<i64>,
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            time,
            tiebreaker,
            steps,
            keys,
            has_id,
            delay,
            again,
        } = self;
        write!(
            f,
            "{time} tiebreaker {tiebreaker:?} steps {steps:b} keys {keys:?} id {has_id} delay {delay} again {again:?}"
        )
    }
}

fn seen() -> impl Strategy<Value = Seen> {
    let time = (
        0..14_u64,
        prop_oneof![3 => Just(0_u32), 1 => Just(300_000), 1 => Just(999_999)],
    )
        .prop_map(|(millis, nanos)| Instant {
            seconds: 100,
            nanos: millis as u32 * 1_000_000 + nanos,
        });
    let key = || prop_oneof![1 => Just(None), 6 => (0..2_u8).prop_map(Some)];
    let first = prop_oneof![5 => key().prop_map(|key| vec![key]), 1 => Just(vec![Some(0), Some(1)])];
    let keys = (first, prop_oneof![8 => Just(Some(0)), 1 => key()]);
    let keys = keys.prop_map(|(first, second)| first.into_iter().map(|first| [first, second]).collect());
    (
        time,
        prop_oneof![3 => Just(None), 1 => (0..2_i64).prop_map(Some)],
        prop_oneof![5 => (0..6_u32).prop_map(|step| 1 << step), 2 => 1..64_u8],
        keys,
        any::<bool>(),
        prop_oneof![2 => Just(0_u64), 2 => 0..4_u64, 1 => 0..20_u64],
        prop::option::weighted(0.08, -6..6_i64),
    )
        .prop_map(|(time, tiebreaker, steps, keys, has_id, delay, again)| Seen {
            time,
            tiebreaker,
            steps,
            keys,
            has_id,
            delay,
            again,
        })
}

/// Step matches, each with the order of its delivery.
fn deliveries(
    events: &[Seen],
    number_of_steps: usize,
    number_of_keys: usize,
    reverse_steps: bool,
) -> Vec<(u64, StepMatch)> {
    let mut result = Vec::new();
    for (number, seen) in events.iter().enumerate() {
        let millis = seen.time.as_millis() as u64;
        let again = seen
            .again
            .map(|later| (1000 + number, (millis + seen.delay).saturating_add_signed(later)));
        for (position, due) in [Some((number, millis + seen.delay)), again].into_iter().flatten() {
            let id = seen.has_id.then(|| EventId::given(format!("event {number}")));
            let origin = Origin {
                source: "test".into(),
                line: position as u64,
            };
            let event = Arc::new(Event::new(format!("document {number}").into_bytes(), id, origin));
            let mut steps: Vec<usize> = (0..number_of_steps)
                .filter(|step| seen.steps >> step & 1 == 1)
                .collect();
            if reverse_steps {
                steps.reverse();
            }
            let mut keys: Vec<_> = seen
                .keys
                .iter()
                .map(|keys| keys.get(..number_of_keys).unwrap_or_default())
                .collect();
            keys.dedup();
            for (step, keys) in steps
                .iter()
                .flat_map(|step| keys.iter().map(move |keys| (step, keys)))
            {
                let keys: Vec<_> = keys
                    .iter()
                    .map(|key| key.map(|key| Value::Long(key.into())))
                    .collect();
                let position = position as u64;
                let ordinal = Ordinal {
                    time: seen.time,
                    tiebreaker: seen.tiebreaker.map(Value::Long),
                    position,
                };
                let event = Arc::clone(&event);
                let step = StepMatch::new(RuleIndex(0), *step as u16, &keys, Some(ordinal), position, event);
                result.push((due, step));
            }
        }
    }
    result.sort_by_key(|(due, _)| *due);
    result
}

/// What makes a match the same match, ordered as results are.
type Signature = (
    Option<Ordinal>,
    Vec<Option<Value>>,
    Vec<(u16, Option<String>)>,
    Option<Instant>,
);

fn signature(found: &Match) -> Signature {
    let id = |event: &Arc<Event>| event.id().to_string();
    let events = found
        .events
        .iter()
        .map(|(stage, event)| (*stage, event.as_ref().map(id)))
        .collect();
    (found.last.clone(), found.keys.clone(), events, found.first)
}

fn signatures(matches: &[Match]) -> Vec<Signature> {
    matches.iter().map(signature).collect()
}

/// The same in some order, but for positions, which change where a record is delivered twice.
fn places(matches: &[Match]) -> Vec<String> {
    let strip = |mut signature: Signature| {
        if let Some(last) = &mut signature.0 {
            last.position = 0;
        }
        format!("{signature:?}")
    };
    let mut places: Vec<String> = signatures(matches).into_iter().map(strip).collect();
    places.sort();
    places
}

/// A run of the operators: chunks, and after each chunk the watermark moves as far as the lateness allows, or less.
struct Run<'a> {
    plan: &'a Plan,
    emit: Emit,
    lateness: Option<u64>,
    chunks: &'a [(usize, u8)],
    /// Whether the process ends after each chunk and another goes on.
    restarts: bool,
}

impl Run<'_> {
    fn outcomes(&self, deliveries: &[(u64, StepMatch)]) -> (Vec<Outcome>, Operators) {
        let config = OperatorConfig {
            emit: self.emit,
            default_lateness: self.lateness.map(Duration::from_millis),
            ..OperatorConfig::default()
        };
        let mut operators = Operators::new(&[self.plan], &config);
        let mut outcomes = Vec::new();
        let mut left = deliveries;
        let mut chunks = self.chunks.iter().cycle();
        while let Some((size, slack)) = chunks.next().filter(|_| !left.is_empty()) {
            let (chunk, rest) = left.split_at((*size).min(left.len()));
            left = rest;
            for (_, step) in chunk {
                operators.push(step.clone(), &mut outcomes);
            }
            if self.restarts {
                operators = restarted(&operators, self.plan, &config);
            }
            let earliest = left
                .iter()
                .filter_map(|(_, step)| Some(step.ordinal()?.time))
                .min();
            let (Some(earliest), 0..4) = (earliest, slack) else {
                continue;
            };
            let allowed = earliest.as_nanos() + i128::from(self.lateness.unwrap_or(0)) * 1_000_000;
            operators.advance(
                Instant::from_nanos(allowed - i128::from(*slack) * 700_000),
                &mut outcomes,
            );
        }
        operators.finish(&mut outcomes);
        (outcomes, operators)
    }
}

/// What stands after retractions; fails where something is told twice or taken back without having been told.
fn standing(outcomes: Vec<Outcome>) -> Vec<Match> {
    let mut standing: BTreeMap<String, Match> = BTreeMap::new();
    // The position may change when a record is delivered twice.
    let identity = |found: &Match| format!("{:?} {:?}", found.keys, signature(found).2);
    for outcome in outcomes {
        match outcome {
            Outcome::Found(found) => {
                let before = standing.insert(identity(&found), found);
                assert!(before.is_none(), "told twice: {before:?}");
            }
            Outcome::Retracted(gone) => {
                let before = standing.remove(&identity(&gone));
                assert!(before.is_some(), "taken back but never told: {gone:?}");
            }
        }
    }
    let mut matches: Vec<Match> = standing.into_values().collect();
    sort_matches(&mut matches);
    matches
}

fn found_only(outcomes: Vec<Outcome>) -> Vec<Match> {
    let is_found = |outcome: &Outcome| matches!(outcome, Outcome::Found(_));
    assert!(outcomes.iter().all(is_found), "taken back although final");
    standing(outcomes)
}

proptest! {
    #![proptest_config(cases(20_000))]

    #[test]
    fn sequences(
        sequence in sequence(),
        events in prop::collection::vec(seen(), 0..24),
        keys in 0..=2_usize,
        reverse_steps in any::<bool>(),
        lateness in prop::option::weighted(0.8, 0..20_u64),
        chunks in prop::collection::vec((1..6_usize, 0..6_u8), 1..5),
        restarts in any::<bool>(),
    ) {
        let steps = sequence.stages.len() + usize::from(sequence.until.is_some());
        let plan = plan(Query::Sequence(sequence));
        let deliveries = deliveries(&events, steps, keys, reverse_steps);
        let all: Vec<StepMatch> = deliveries.iter().map(|(_, step)| step.clone()).collect();
        let expected = naive::interpret(&plan, &all, 1);

        let (outcomes, operators) = Run { plan: &plan, emit: Emit::WhenFinal, lateness, chunks: &chunks, restarts }.outcomes(&deliveries);
        let statistics = operators.statistics(RuleIndex(0));
        prop_assert_eq!(statistics.evicted, 0);
        prop_assert_eq!(statistics.late, 0);
        prop_assert_eq!(statistics.candidates + statistics.duplicates, all.len() as u64);
        prop_assert_eq!(statistics.keys, 0);
        prop_assert_eq!(signatures(&found_only(outcomes)), signatures(&expected));

        let (outcomes, operators) = Run { plan: &plan, emit: Emit::AtOnce, lateness, chunks: &chunks, restarts }.outcomes(&deliveries);
        let statistics = operators.statistics(RuleIndex(0));
        prop_assert_eq!(statistics.finished - statistics.retracted, expected.len() as u64);
        prop_assert_eq!(places(&standing(outcomes)), places(&expected));
    }

    /// So little memory that what is settled is looked through again and again, with nothing told before all has come: where no
    /// event came too late for that, and none was given up, all is found.
    #[test]
    fn sequences_in_little_memory(
        sequence in sequence(),
        events in prop::collection::vec(seen(), 0..32),
        keys in 0..=2_usize,
        rule_bytes in 2_000..12_000_usize,
        advances in prop::collection::vec(any::<bool>(), 1..5),
    ) {
        let steps = sequence.stages.len() + usize::from(sequence.until.is_some());
        let plan = plan(Query::Sequence(sequence));
        let mut deliveries = deliveries(&events, steps, keys, false);
        deliveries.sort_by_key(|(_, step)| step.ordinal().map(|ordinal| ordinal.time));
        let all: Vec<StepMatch> = deliveries.into_iter().map(|(_, step)| step).collect();
        let config = OperatorConfig { rule_bytes, ..OperatorConfig::default() };
        let mut operators = Operators::new(&[&plan], &config);
        let mut outcomes = Vec::new();
        for (step, advances) in all.iter().zip(advances.iter().cycle()) {
            operators.push(step.clone(), &mut outcomes);
            prop_assert!(operators.state_bytes() <= rule_bytes || operators.statistics(RuleIndex(0)).keys == 0);
            if let Some(ordinal) = step.ordinal().filter(|_| *advances) {
                operators.advance(ordinal.time, &mut outcomes);
            }
        }
        operators.finish(&mut outcomes);
        let statistics = operators.statistics(RuleIndex(0));
        prop_assert_eq!(statistics.candidates + statistics.duplicates + statistics.late, all.len() as u64);
        if statistics.late == 0 && statistics.evicted == 0 {
            let expected = naive::interpret(&plan, &all, 1);
            prop_assert_eq!(signatures(&found_only(outcomes)), signatures(&expected));
        }
    }

    /// Too little memory and a watermark that leaves events behind: results are lost, but nothing is told twice or taken
    /// back without having been told, and every step match is accounted for.
    #[test]
    fn sequences_in_need(
        sequence in sequence(),
        events in prop::collection::vec(seen(), 0..24),
        keys in 0..=2_usize,
        emit in prop_oneof![Just(Emit::WhenFinal), Just(Emit::AtOnce)],
        lateness in prop::option::weighted(0.8, 0..5_u64),
        rule_bytes in 0..8_000_usize,
        watermarks in prop::collection::vec(0..40_i64, 1..5),
    ) {
        let steps = sequence.stages.len() + usize::from(sequence.until.is_some());
        let plan = plan(Query::Sequence(sequence));
        let deliveries = deliveries(&events, steps, keys, false);
        let config = OperatorConfig {
            emit,
            default_lateness: lateness.map(Duration::from_millis),
            rule_bytes,
            ..OperatorConfig::default()
        };
        let mut operators = Operators::new(&[&plan], &config);
        let mut outcomes = Vec::new();
        for ((_, step), watermark) in deliveries.iter().zip(watermarks.iter().cycle()) {
            operators.push(step.clone(), &mut outcomes);
            prop_assert!(operators.state_bytes() <= rule_bytes || operators.statistics(RuleIndex(0)).keys == 0);
            operators.advance(Instant::from_millis(100_000 + watermark), &mut outcomes);
        }
        operators.finish(&mut outcomes);
        let statistics = operators.statistics(RuleIndex(0));
        prop_assert_eq!(statistics.candidates + statistics.duplicates + statistics.late, deliveries.len() as u64);
        prop_assert_eq!(statistics.keys, 0);
        prop_assert!(operators.state_bytes() < 4096);
        let standing = standing(outcomes);
        prop_assert_eq!(statistics.finished - statistics.retracted, standing.len() as u64);
        // Settling early alone loses nothing.
        if statistics.evicted == 0 && statistics.late == 0 {
            let all: Vec<StepMatch> = deliveries.into_iter().map(|(_, step)| step).collect();
            prop_assert_eq!(places(&standing), places(&naive::interpret(&plan, &all, 1)));
        }
    }

    #[test]
    fn samples(
        filters in 2..=4_usize,
        max_samples_per_key in 1..4_u32,
        events in prop::collection::vec(seen(), 0..16),
        keys in 1..=2_usize,
        at_once in any::<bool>(),
        chunks in prop::collection::vec((1..6_usize, 0..6_u8), 1..5),
        restarts in any::<bool>(),
    ) {
        let stages = (0..filters).map(|_| stage(false, 1)).collect();
        let plan = plan(Query::Sample(Sample { stages }));
        let deliveries = deliveries(&events, filters, keys, false);
        let all: Vec<StepMatch> = deliveries.iter().map(|(_, step)| step.clone()).collect();
        let expected = naive::interpret(&plan, &all, max_samples_per_key as usize);
        let emit = if at_once { Emit::AtOnce } else { Emit::WhenFinal };
        let config = OperatorConfig { emit, max_samples_per_key, ..OperatorConfig::default() };
        let mut operators = Operators::new(&[&plan], &config);
        let mut outcomes = Vec::new();
        let mut left = all.as_slice();
        for (size, _) in chunks.iter().cycle() {
            let (chunk, rest) = left.split_at((*size).min(left.len()));
            chunk.iter().for_each(|step| operators.push(step.clone(), &mut outcomes));
            if restarts {
                operators = restarted(&operators, &plan, &config);
            }
            operators.advance(Instant::default(), &mut outcomes);
            left = rest;
            if left.is_empty() { break }
        }
        operators.finish(&mut outcomes);
        let matches: Vec<Match> = outcomes
            .into_iter()
            .map(|outcome| match outcome { Outcome::Found(found) | Outcome::Retracted(found) => found })
            .collect();
        if at_once {
            // Which events a sample takes is not defined; how many there are of each tuple of keys is.
            let count = |matches: &[Match]| {
                let mut counts: BTreeMap<Vec<Option<Value>>, usize> = BTreeMap::new();
                matches.iter().for_each(|found| *counts.entry(found.keys.clone()).or_default() += 1);
                counts
            };
            prop_assert_eq!(count(&matches), count(&expected));
        } else {
            prop_assert_eq!(signatures(&matches), signatures(&expected));
        }
    }
}
