//! When the operators speak: watermarks, late events, retractions, absence.

mod plans;
mod steps;
mod told;

use std::time::Duration;

use neph_engine::{Emit, OperatorConfig, Operators, Outcome, RuleIndex};
use neph_event::Instant;
use neph_plan::{Plan, Query, Sample};
use plans::{plan, stage};
use steps::{sequence, step, step_of};
use told::said;

fn operators(plan: &Plan, emit: Emit, lateness_millis: Option<u64>) -> Operators {
    let config = OperatorConfig {
        emit,
        default_lateness: lateness_millis.map(Duration::from_millis),
        ..OperatorConfig::default()
    };
    Operators::new(&[plan], &config)
}

/// Pushes an event for a step at a time, then moves the watermark; says what was said.
fn after(operators: &mut Operators, event: Option<(u16, i64, u64)>, watermark: i64) -> Vec<String> {
    let mut outcomes = Vec::new();
    if let Some((number, millis, position)) = event {
        operators.push(step(number, "key", millis, position), &mut outcomes);
    }
    operators.advance(Instant::from_millis(watermark), &mut outcomes);
    said(&outcomes)
}

fn rest(operators: &mut Operators) -> Vec<String> {
    let mut outcomes: Vec<Outcome> = Vec::new();
    operators.finish(&mut outcomes);
    said(&outcomes)
}

const NOTHING: [String; 0] = [];

#[test]
fn a_final_sequence_is_told_when_nothing_earlier_can_come() {
    let plan = sequence("A B", None);
    let mut operators = operators(&plan, Emit::WhenFinal, Some(50));
    assert_eq!(after(&mut operators, Some((0, 100, 1)), 100), NOTHING);
    assert_eq!(after(&mut operators, Some((1, 110, 2)), 110), NOTHING);
    assert_eq!(after(&mut operators, None, 160), NOTHING);
    assert_eq!(after(&mut operators, None, 161), ["+1 2"]);
    assert_eq!(rest(&mut operators), NOTHING);
}

#[test]
fn an_event_beyond_the_lateness_is_counted_and_left_out() {
    let plan = sequence("A B", None);
    let mut operators = operators(&plan, Emit::WhenFinal, Some(50));
    after(&mut operators, Some((1, 200, 2)), 200);
    assert_eq!(after(&mut operators, Some((0, 149, 1)), 200), NOTHING);
    assert_eq!(operators.statistics(RuleIndex(0)).late, 1);
    assert_eq!(after(&mut operators, Some((0, 150, 3)), 200), NOTHING);
    assert_eq!(operators.statistics(RuleIndex(0)).late, 1);
    assert_eq!(rest(&mut operators), ["+3 2"]);
}

#[test]
fn at_once_a_sequence_is_told_with_its_last_event_and_once_only() {
    let plan = sequence("A B", None);
    let mut operators = operators(&plan, Emit::AtOnce, Some(50));
    assert_eq!(after(&mut operators, Some((0, 100, 1)), 100), NOTHING);
    assert_eq!(after(&mut operators, Some((1, 110, 2)), 110), ["+1 2"]);
    assert_eq!(after(&mut operators, Some((0, 110, 3)), 111), NOTHING);
    assert_eq!(after(&mut operators, None, 10_000), NOTHING);
    assert_eq!(rest(&mut operators), NOTHING);
}

#[test]
fn at_once_an_event_that_comes_late_completes_a_sequence() {
    let plan = sequence("A B", None);
    let mut operators = operators(&plan, Emit::AtOnce, Some(50));
    assert_eq!(after(&mut operators, Some((1, 110, 2)), 110), NOTHING);
    assert_eq!(after(&mut operators, Some((0, 100, 1)), 110), ["+1 2"]);
}

#[test]
fn at_once_an_event_that_comes_late_takes_a_sequence_back() {
    let plan = sequence("A B", None);
    let mut operators = operators(&plan, Emit::AtOnce, Some(50));
    after(&mut operators, Some((0, 100, 1)), 100);
    assert_eq!(after(&mut operators, Some((1, 110, 2)), 110), ["+1 2"]);
    // A later first step takes the place of the one that was taken.
    assert_eq!(after(&mut operators, Some((0, 105, 3)), 110), ["-1 2", "+3 2"]);
    let statistics = operators.statistics(RuleIndex(0));
    assert_eq!((statistics.finished, statistics.retracted), (2, 1));
}

#[test]
fn absence_at_the_end_is_told_when_its_window_has_passed() {
    let plan = sequence("A !B", Some(20));
    for emit in [Emit::WhenFinal, Emit::AtOnce] {
        let mut operators = operators(&plan, emit, Some(0));
        assert_eq!(after(&mut operators, Some((0, 100, 1)), 100), NOTHING);
        assert_eq!(after(&mut operators, None, 120), NOTHING);
        assert_eq!(after(&mut operators, None, 121), ["+1 !"], "{emit:?}");
        assert_eq!(operators.statistics(RuleIndex(0)).keys, 0);
    }
}

#[test]
fn absence_that_was_told_is_taken_back_when_the_event_comes_late() {
    let plan = sequence("A !B", Some(20));
    let mut operators = operators(&plan, Emit::AtOnce, Some(50));
    after(&mut operators, Some((0, 100, 1)), 100);
    assert_eq!(after(&mut operators, None, 121), ["+1 !"]);
    assert_eq!(after(&mut operators, Some((1, 115, 2)), 130), ["-1 !"]);
    assert_eq!(rest(&mut operators), NOTHING);
}

#[test]
fn the_same_event_again_changes_nothing() {
    let plan = sequence("A B", None);
    for emit in [Emit::WhenFinal, Emit::AtOnce] {
        let mut operators = operators(&plan, emit, Some(50));
        let mut outcomes = Vec::new();
        // The same record read again stands at another position.
        let first = step(0, "key", 100, 1);
        let again = step_of(first.event().clone(), 0, "key", 100, 7);
        for step in [first, step(1, "key", 110, 2), again, step(1, "key", 120, 3)] {
            operators.push(step, &mut outcomes);
            operators.advance(Instant::from_millis(100), &mut outcomes);
        }
        operators.finish(&mut outcomes);
        assert_eq!(said(&outcomes), ["+1 2"], "{emit:?}");
        let statistics = operators.statistics(RuleIndex(0));
        assert_eq!((statistics.candidates, statistics.duplicates), (3, 1));
    }
}

#[test]
fn what_maxspan_forbids_is_released() {
    let plan = sequence("A B", Some(20));
    for emit in [Emit::WhenFinal, Emit::AtOnce] {
        let mut operators = operators(&plan, emit, Some(30));
        let mut outcomes = Vec::new();
        for position in 0..1000 {
            let millis = position as i64;
            operators.push(
                step(0, &format!("key {position}"), millis, position),
                &mut outcomes,
            );
            operators.advance(Instant::from_millis(millis), &mut outcomes);
            let statistics = operators.statistics(RuleIndex(0));
            assert!(statistics.keys <= 52, "{emit:?}: {statistics:?}");
        }
        operators.advance(Instant::from_millis(1_050), &mut outcomes);
        assert_eq!(operators.statistics(RuleIndex(0)).keys, 0, "{emit:?}");
        assert!(
            operators.state_bytes() < 40_000,
            "{emit:?}: {}",
            operators.state_bytes()
        );
        assert_eq!(operators.statistics(RuleIndex(0)).evicted, 0);
    }
}

#[test]
fn what_came_before_the_first_step_was_seen_counts_when_it_comes_late() {
    let plan = sequence("A B C", Some(20));
    for emit in [Emit::WhenFinal, Emit::AtOnce] {
        let mut operators = operators(&plan, emit, Some(50));
        for (step, millis, position) in [(2, 130, 1), (1, 120, 2), (1, 90, 3)] {
            assert_eq!(
                after(&mut operators, Some((step, millis, position)), 130),
                NOTHING
            );
        }
        assert_eq!(operators.statistics(RuleIndex(0)).keys, 1);
        let mut said = after(&mut operators, Some((0, 110, 4)), 140);
        said.extend(rest(&mut operators));
        assert_eq!(said, ["+4 2 1"], "{emit:?}");
    }
}

#[test]
fn later_steps_without_a_first_one_are_released_when_they_are_settled() {
    let plan = sequence("A B", None);
    let mut operators = operators(&plan, Emit::WhenFinal, Some(30));
    let mut outcomes = Vec::new();
    for position in 0..1000 {
        let millis = position as i64;
        operators.push(
            step(1, &format!("key {position}"), millis, position),
            &mut outcomes,
        );
        operators.advance(Instant::from_millis(millis), &mut outcomes);
        let statistics = operators.statistics(RuleIndex(0));
        assert!(statistics.keys <= 31, "{statistics:?}");
    }
    operators.advance(Instant::from_millis(1_030), &mut outcomes);
    let statistics = operators.statistics(RuleIndex(0));
    assert_eq!((statistics.keys, statistics.evicted, statistics.late), (0, 0, 0));
    assert!(operators.state_bytes() < 20_000, "{}", operators.state_bytes());
}

#[test]
fn a_sample_is_told_at_once_or_at_the_end() {
    let plan = plan(Query::Sample(Sample {
        stages: vec![stage(false, 1), stage(false, 1)],
    }));
    let mut live = operators(&plan, Emit::AtOnce, Some(0));
    assert_eq!(after(&mut live, Some((1, 100, 1)), 100), NOTHING);
    assert_eq!(after(&mut live, Some((0, 50, 2)), 100), ["+2 1"]);
    assert_eq!(after(&mut live, Some((0, 50, 3)), 100), NOTHING);
    assert_eq!(rest(&mut live), NOTHING);
    let mut batch = operators(&plan, Emit::WhenFinal, None);
    after(&mut batch, Some((1, 100, 1)), 100);
    after(&mut batch, Some((0, 50, 2)), 100);
    assert_eq!(rest(&mut batch), ["+2 1"]);
}
