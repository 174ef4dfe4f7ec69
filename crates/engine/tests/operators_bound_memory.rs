//! State is counted truly, stays within its limits, and what had to go is counted.

mod plans;
mod steps;
mod told;

use std::time::Duration;

use neph_engine::{Emit, OperatorConfig, Operators, Outcome, RuleIndex};
use neph_event::Instant;
use neph_plan::{Plan, Query, Sample};
use peak_alloc::PeakAlloc;
use plans::{plan, stage};
use steps::{sequence, step};
use told::said;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

const RULE: RuleIndex = RuleIndex(0);
const MIB: usize = 1 << 20;

fn config(emit: Emit, lateness_millis: Option<u64>, rule_bytes: usize) -> OperatorConfig {
    OperatorConfig {
        emit,
        default_lateness: lateness_millis.map(Duration::from_millis),
        rule_bytes,
        ..OperatorConfig::default()
    }
}

fn sample() -> Plan {
    plan(Query::Sample(Sample {
        stages: vec![stage(false, 1), stage(false, 1)],
    }))
}

/// The tests here share the one count of allocated bytes, and so run one after another.
#[test]
fn state_is_counted_and_bounded() {
    counted_bytes_are_those_allocated();
    many_keys_stay_within_the_limit();
    one_key_stays_within_the_limit();
    samples_stay_within_the_limit();
    under_pressure_what_is_old_is_settled_first();
    all_rules_together_stay_within_their_limit();
    what_nobody_misses_goes_first();
    what_is_missed_may_take_the_memory_of_other_shards();
}

fn counted_bytes_are_those_allocated() {
    let many_keys = |number: u64| format!("{number}");
    let one_key = |_: u64| "one".to_owned();
    let some_keys = |number: u64| format!("{}", number % 100);
    let keys: [(&str, &dyn Fn(u64) -> String); 3] =
        [("many", &many_keys), ("one", &one_key), ("some", &some_keys)];
    for (name, key) in keys {
        for (emit, lateness, steps) in [
            (Emit::WhenFinal, None, "A B C"),
            (Emit::WhenFinal, Some(0), "A B C"),
            (Emit::AtOnce, Some(5_000), "A B C"),
            (Emit::AtOnce, Some(5_000), "!A B C !D"),
        ] {
            let plan = sequence(steps, Some(1_000_000));
            let before = ALLOCATED.current_usage();
            let mut operators = Operators::new(&[&plan], &config(emit, lateness, usize::MAX));
            let mut outcomes = Vec::new();
            for number in 0..8_000_u64 {
                let millis = number as i64;
                let stage = (number % 7 / 3) as u16;
                operators.push(step(stage, &key(number), millis, number), &mut outcomes);
                if number % 100 == 99 {
                    operators.advance(Instant::from_millis(millis), &mut outcomes);
                    outcomes = Vec::new();
                }
            }
            let allocated = ALLOCATED.current_usage() - before;
            let counted = operators.state_bytes();
            let ratio = counted as f64 / allocated as f64;
            let case = format!(
                "{name} keys, {emit:?}, {lateness:?}, {steps}: {counted} counted, {allocated} allocated"
            );
            // What an allocator spends beside is not seen here; small states drown in constants.
            assert!(ratio > 0.85 || counted < MIB / 4, "{case}");
            assert!(ratio < 1.6 || counted < MIB / 4, "{case}");
            outcomes.clear();
            operators.finish(&mut outcomes);
            drop(outcomes);
            let left = ALLOCATED.current_usage().saturating_sub(before);
            assert!(
                operators.state_bytes() < 4096,
                "{} counted after the end",
                operators.state_bytes()
            );
            assert!(left < MIB / 8, "{left} allocated after the end");
        }
    }
}

fn many_keys_stay_within_the_limit() {
    const LIMIT: usize = 4 * MIB;
    for (emit, lateness) in [
        (Emit::WhenFinal, None),
        (Emit::WhenFinal, Some(10)),
        (Emit::AtOnce, Some(1_000)),
    ] {
        let plan = sequence("A B", None);
        let before = ALLOCATED.current_usage();
        let mut operators = Operators::new(&[&plan], &config(emit, lateness, LIMIT));
        let mut outcomes = Vec::new();
        let keys = 60_000_u64;
        for number in 0..keys {
            let millis = number as i64;
            operators.push(step(0, &number.to_string(), millis, number), &mut outcomes);
            if number % 100 == 0 {
                operators.advance(Instant::from_millis(millis), &mut outcomes);
                let allocated = ALLOCATED.current_usage().saturating_sub(before);
                assert!(
                    operators.state_bytes() <= LIMIT,
                    "{} counted",
                    operators.state_bytes()
                );
                assert!(allocated <= LIMIT * 3 / 2, "{emit:?}: {allocated} allocated");
            }
        }
        let statistics = operators.statistics(RULE);
        assert_eq!(statistics.candidates, keys);
        assert!(statistics.peak_bytes <= LIMIT * 3 / 2, "{statistics:?}");
        // One event a key, and none can be settled away: what is not held any more was evicted.
        assert_eq!(statistics.evicted + statistics.keys, keys, "{statistics:?}");
        assert!(statistics.keys > 3_000, "{statistics:?}");
        // The newest are still there.
        operators.push(step(1, &(keys - 1).to_string(), keys as i64, keys), &mut outcomes);
        operators.finish(&mut outcomes);
        assert_eq!(said(&outcomes), [format!("+{} {keys}", keys - 1)], "{emit:?}");
    }
}

fn one_key_stays_within_the_limit() {
    const LIMIT: usize = 2 * MIB;
    let plan = sequence("A B", None);
    let mut operators = Operators::new(&[&plan], &config(Emit::WhenFinal, None, LIMIT));
    let mut outcomes = Vec::new();
    for number in 0..40_000_u64 {
        // All of one time, so that nothing is older than anything else.
        operators.push(step((number % 2) as u16, "one", 5, number), &mut outcomes);
        assert!(operators.state_bytes() <= LIMIT);
    }
    operators.finish(&mut outcomes);
    let statistics = operators.statistics(RULE);
    assert!(!outcomes.is_empty());
    assert_eq!(outcomes.len() as u64, statistics.finished);
    // Whatever is not part of a pair came when its time had been settled, or was given up, or waits for what came so.
    let open = statistics.candidates % 2;
    assert_eq!(
        2 * statistics.finished + open + statistics.late + statistics.evicted,
        40_000,
        "{statistics:?}"
    );
}

fn samples_stay_within_the_limit() {
    const LIMIT: usize = 2 * MIB;
    let plan = sample();
    let mut operators = Operators::new(&[&plan], &config(Emit::WhenFinal, None, LIMIT));
    let mut outcomes = Vec::new();
    for number in 0..20_000_u64 {
        operators.push(step(0, &number.to_string(), 5, number), &mut outcomes);
        assert!(operators.state_bytes() <= LIMIT);
    }
    let statistics = operators.statistics(RULE);
    assert_eq!(statistics.evicted + statistics.keys, 20_000);
    assert!(statistics.keys > 1_000);
    operators.push(step(1, "19999", 5, 20_000), &mut outcomes);
    operators.finish(&mut outcomes);
    assert_eq!(said(&outcomes), ["+19999 20000"]);
}

fn under_pressure_what_is_old_is_settled_first() {
    let run = |limit: usize| {
        let plan = sequence("A B", Some(50));
        let mut operators = Operators::new(&[&plan], &config(Emit::WhenFinal, None, limit));
        let mut outcomes: Vec<Outcome> = Vec::new();
        for number in 0..60_000_u64 {
            // A little out of order, and every key has a pair within its span.
            let millis = (number / 2) as i64 + if number % 7 == 0 { 3 } else { 0 };
            operators.push(
                step(
                    (number / 20 % 2) as u16,
                    &(number % 20).to_string(),
                    millis,
                    number,
                ),
                &mut outcomes,
            );
        }
        operators.finish(&mut outcomes);
        let statistics = operators.statistics(RULE);
        assert_eq!((statistics.late, statistics.evicted), (0, 0), "{statistics:?}");
        let mut said = said(&outcomes);
        said.sort();
        (said, statistics.peak_bytes)
    };
    let (all, peak) = run(usize::MAX);
    let (bounded, bounded_peak) = run(MIB);
    assert!(
        peak > 8 * MIB && bounded_peak <= MIB + MIB / 8,
        "{peak} {bounded_peak}"
    );
    assert!(all.len() > 20_000);
    assert_eq!(all, bounded);
}

fn operators_within(plans: &[Plan], total_bytes: usize) -> Operators {
    let plans: Vec<&Plan> = plans.iter().collect();
    let config = OperatorConfig {
        total_bytes,
        ..OperatorConfig::default()
    };
    Operators::new(&plans, &config)
}

fn all_rules_together_stay_within_their_limit() {
    let plans: Vec<Plan> = (0..8).map(|_| sequence("A B", None)).collect();
    let mut operators = operators_within(&plans, 4 * MIB);
    let mut outcomes = Vec::new();
    for number in 0..40_000_u64 {
        let mut step = step(0, &number.to_string(), number as i64, number);
        step.rule = RuleIndex((number % 8) as u32);
        operators.push(step, &mut outcomes);
        assert!(operators.state_bytes() <= 4 * MIB);
    }
    let evicted: u64 = (0..8)
        .map(|rule| operators.statistics(RuleIndex(rule)).evicted)
        .sum();
    let keys: u64 = (0..8)
        .map(|rule| operators.statistics(RuleIndex(rule)).keys)
        .sum();
    assert_eq!(evicted + keys, 40_000);
}

/// One rule needs half of the memory for what may still match, and others of its shard fill the rest with what is too old for that.
#[expect(
    clippy::indexing_slicing,
    reason = "the lints know test functions only, not what these call"
)]
fn what_nobody_misses_goes_first() {
    let own: Vec<u32> = (0..4).map(|rule| rule * Operators::SHARDS as u32).collect();
    let plans: Vec<Plan> = (0..=own[3])
        .map(|rule| sequence("A B", Some(if rule == 0 { 10_000 } else { 100 })))
        .collect();
    let mut operators = operators_within(&plans, 8 * MIB);
    let mut outcomes = Vec::new();
    let mut position = 0;
    for millis in 0..60_000_i64 {
        let due = millis - 9_000;
        let second = (due >= 0 && due % 1_000 == 0).then(|| (0, 1, format!("0 {due}")));
        let firsts = own.iter().map(|rule| (*rule, 0, format!("{rule} {millis}")));
        for (rule, number, key) in firsts.chain(second) {
            position += 1;
            let mut step = step(number, &key, millis, position);
            step.rule = RuleIndex(rule);
            operators.push(step, &mut outcomes);
        }
        operators.divide();
        assert!(operators.state_bytes() <= 8 * MIB);
    }
    operators.finish(&mut outcomes);
    let statistics: Vec<_> = own
        .iter()
        .map(|rule| operators.statistics(RuleIndex(*rule)))
        .collect();
    assert!(statistics.iter().all(|rule| rule.evicted == 0), "{statistics:?}");
    assert_eq!(statistics[0].finished, 51, "{statistics:?}");
    assert!(statistics[0].peak_bytes > 3 * MIB, "{statistics:?}");
}

/// A sample never knows that an event is too old: while sequences of other shards hold what is, it keeps all.
#[expect(
    clippy::indexing_slicing,
    reason = "the lints know test functions only, not what these call"
)]
fn what_is_missed_may_take_the_memory_of_other_shards() {
    let mut plans = vec![sequence("A B", Some(100)); 4];
    plans[0] = sample();
    let mut operators = operators_within(&plans, 8 * MIB);
    let mut outcomes = Vec::new();
    let samples = 10_000;
    for number in 0..6 * samples {
        let of_sample = (number % 6 == 0).then_some(0);
        for rule in of_sample.into_iter().chain(1..4) {
            let mut step = step(0, &number.to_string(), number as i64, number);
            step.rule = RuleIndex(rule);
            operators.push(step, &mut outcomes);
        }
        if operators.divide() {
            for shard in operators.shards() {
                shard.fit(&mut outcomes);
            }
        }
        assert!(operators.state_bytes() <= 8 * MIB);
    }
    let statistics: Vec<_> = (0..4).map(|rule| operators.statistics(RuleIndex(rule))).collect();
    assert!(statistics.iter().all(|rule| rule.evicted == 0), "{statistics:?}");
    assert_eq!(statistics[0].keys, samples, "{statistics:?}");
    assert!(statistics[0].state_bytes > 3 * MIB, "{statistics:?}");
}
