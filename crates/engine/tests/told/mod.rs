//! What operators say, in short, for tests of them.

use std::sync::Arc;

use neph_engine::{Event, Match, Outcome};

/// Ids of a match's events, `!` for a step that did not happen.
pub(crate) fn ids(found: &Match) -> String {
    let id = |event: &Option<Arc<Event>>| {
        event
            .as_ref()
            .map_or("!".to_owned(), |event| event.id().to_string())
    };
    found
        .events
        .iter()
        .map(|(_, event)| id(event))
        .collect::<Vec<_>>()
        .join(" ")
}

/// What was said, in order: `+1 2` for a match of the events 1 and 2, `-1 2` where it was taken back.
pub(crate) fn said(outcomes: &[Outcome]) -> Vec<String> {
    let text = |outcome: &Outcome| match outcome {
        Outcome::Found(found) => format!("+{}", ids(found)),
        Outcome::Retracted(gone) => format!("-{}", ids(gone)),
    };
    outcomes.iter().map(text).collect()
}
