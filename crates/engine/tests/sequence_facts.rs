//! What EQL's documentation and behaviour say of sequences, fact by fact. Events are letters with a time in milliseconds;
//! a letter is the step that it satisfies, several letters several steps.

mod plans;
mod steps;
mod told;

use std::sync::Arc;

use neph_engine::{Emit, Event, OperatorConfig, Operators};
use neph_event::EventId;
use steps::{sequence, step, step_of};
use told::said;

/// Runs a sequence over events such as `A1 BU2`; matches are written by the times of their events.
fn matches(written: &str, maxspan_millis: Option<u64>, events: &str) -> Vec<String> {
    let letters: Vec<char> = written.chars().filter(char::is_ascii_uppercase).collect();
    let plan = sequence(written, maxspan_millis);
    let run = |emit: Emit| {
        let mut operators = Operators::new(
            &[&plan],
            &OperatorConfig {
                emit,
                ..OperatorConfig::default()
            },
        );
        let mut outcomes = Vec::new();
        for (position, event) in (0_u64..).zip(events.split(' ')) {
            let time = event.trim_start_matches(|letter: char| letter.is_ascii_uppercase());
            for (number, letter) in (0_u16..).zip(&letters) {
                if event.contains(*letter) {
                    let millis = time.parse().unwrap_or(0);
                    let origin = step(number, "key", millis, position).event().origin().clone();
                    let event = Event::new(b"{}".as_slice(), Some(EventId::given(time)), origin);
                    let step = step_of(Arc::new(event), number, "key", millis, position);
                    operators.push(step, &mut outcomes);
                }
            }
        }
        operators.finish(&mut outcomes);
        said(&outcomes)
    };
    let told = run(Emit::WhenFinal);
    assert_eq!(told, run(Emit::AtOnce), "{written} over {events}");
    told.iter()
        .map(|line| line.trim_start_matches('+').to_owned())
        .collect()
}

const NONE: [&str; 0] = [];

#[test]
fn the_latest_partial_sequence_goes_on() {
    assert_eq!(matches("A B", None, "A1 A2 B3"), ["2 3"]);
    assert_eq!(matches("A B", None, "A1 B2 B3"), ["1 2"]);
    assert_eq!(matches("A B C", None, "A1 B2 A3 B4 C5"), ["3 4 5"]);
    assert_eq!(matches("A B C", None, "A1 B2 C3 B4"), ["1 2 3"]);
    assert_eq!(matches("A B", None, "A1 A2 B3 B4 B5"), ["2 3"]);
    assert_eq!(matches("A B C", None, "A1 B2 B3 C4 C5"), ["1 2 4"]);
}

#[test]
fn an_event_never_follows_itself() {
    assert_eq!(matches("A B", None, "AB1"), NONE);
    assert_eq!(matches("A B C", None, "ABC1 ABC2 ABC3 ABC4"), ["1 2 3", "2 3 4"]);
}

#[test]
fn runs_are_copies_of_the_step() {
    assert_eq!(matches("A*3 B", None, "A1 A2 A3 A4 B5"), ["2 3 4 5"]);
    assert_eq!(matches("A*3 B", None, "A1 A2 B3"), NONE);
    assert_eq!(matches("A B*2", None, "A1 B2 B3 B4"), ["1 2 3"]);
    assert_eq!(matches("A !B*2 C", Some(9), "A1 C2"), ["1 ! ! 2"]);
}

#[test]
fn maxspan_is_inclusive_and_measured_from_the_first_event() {
    assert_eq!(matches("A B", Some(5), "A1 B6"), ["1 6"]);
    assert_eq!(matches("A B", Some(5), "A1 B7"), NONE);
    assert_eq!(matches("A B C", Some(5), "A1 B4 C7"), NONE);
    // The candidate that is too long is gone, and so is the older one.
    assert_eq!(matches("A B", Some(5), "A1 A2 B8 B6"), ["2 6"]);
}

#[test]
fn until_ends_what_is_not_complete() {
    assert_eq!(matches("A B until U", None, "A1 U2 B3"), NONE);
    assert_eq!(matches("A B until U", None, "A1 B2 U3 B4"), ["1 2"]);
    assert_eq!(matches("A B until U", None, "A1 U2 A3 B4"), ["3 4"]);
    // An event that is both the last step and `until` completes; one that is both the newest and `until` ends.
    assert_eq!(matches("A B until U", None, "A1 BU2"), ["1 2"]);
    assert_eq!(matches("A B until U", None, "AU1 B2"), NONE);
    assert_eq!(matches("A B C until U", None, "A1 BU2 C3"), NONE);
}

#[test]
fn nothing_may_happen_between() {
    assert_eq!(matches("A !B C", Some(9), "A1 B2 C3"), NONE);
    assert_eq!(matches("A !B C", Some(9), "A1 B1 B3 C3"), ["1 ! 3"]);
    assert_eq!(matches("A !B !D C", Some(9), "A1 D2 C3"), NONE);
    // The candidate is gone; the machine does not go back to an older one.
    assert_eq!(matches("A !B C", Some(9), "A1 A2 B3 C4 C5"), NONE);
}

#[test]
fn nothing_may_happen_before() {
    assert_eq!(matches("!A B C", Some(5), "A1 B3 C4"), NONE);
    assert_eq!(matches("!A B C", Some(5), "A1 B5 C6"), NONE);
    assert_eq!(matches("!A B C", Some(5), "A1 B5 C7"), ["! 5 7"]);
    assert_eq!(matches("!A B C", Some(5), "A3 B3 C4"), ["! 3 4"]);
    assert_eq!(matches("!A B", Some(5), "A1 B7"), ["! 7"]);
}

#[test]
fn nothing_may_happen_after() {
    assert_eq!(matches("A B !C", Some(5), "A1 B2 C4"), NONE);
    assert_eq!(matches("A B !C", Some(5), "A1 B2 C6"), NONE);
    assert_eq!(matches("A B !C", Some(5), "A1 B2 C7"), ["1 2 !"]);
    assert_eq!(matches("A B !C", Some(5), "A1 B2 C2"), ["1 2 !"]);
    assert_eq!(matches("A !C", Some(5), "A1 A3 C7"), ["1 !"]);
}

#[test]
fn with_both_ends_missing_one_empty_end_is_enough() {
    assert_eq!(matches("!A B !C", Some(5), "B4"), ["! 4 !"]);
    assert_eq!(matches("!A B !C", Some(5), "A3 B4"), ["! 4 !"]);
    assert_eq!(matches("!A B !C", Some(5), "B4 C5"), ["! 4 !"]);
    assert_eq!(matches("!A B !C", Some(5), "A3 B4 C5"), NONE);
    assert_eq!(matches("!A B !C", Some(5), "A3 B4 C8"), NONE);
    assert_eq!(matches("!A B !C", Some(5), "A3 B4 C9"), ["! 4 !"]);
}
