//! The state of everything that the service keeps in memory, as one blob: what rules remember, and behind it, compressed, the
//! events that it names. These are most of it, and are shared, so that they can be written while the rules go on.
//!
//! It belongs to an offset of the log. State of rules goes by a key that says what they ask for: what became of a rule that
//! changed meanwhile is left aside, and the others go on.

use std::collections::HashMap;

use neph_engine::{BadState, Operators, STATE_VERSION, StateEvents, StateReader, StateWriter};
use neph_event::Instant;
use neph_rules::AlertFlow;
use serde::{Deserialize, Serialize};

use crate::input::HeldLines;

use super::book::{Book, index};
use super::streams::Streams;

/// The form of the blob; the form of what is in it has a version of its own.
const FORM: u8 = 3;

/// What is written.
#[derive(Debug, Deserialize, Serialize)]
struct Image {
    forms: (u8, u8),
    /// By key: the operator's section, and that of the alerts.
    rules: Vec<(String, Vec<u8>, Vec<u8>)>,
    /// Rules that waited for their history: by key the offset where each was switched on.
    waiting: Vec<(String, u64)>,
    alerts: Vec<u8>,
    streams: Streams,
    joiners: Vec<(String, Instant, Vec<u8>)>,
}

/// What is written, before it is one blob.
#[derive(Debug)]
pub(crate) struct Written {
    image: Vec<u8>,
    events: StateEvents,
}

impl Written {
    /// The blob.
    pub(crate) fn into_blob(self) -> Result<Vec<u8>, BadState> {
        let failed = |_| BadState::of("it cannot be compressed");
        let mut encoder = zstd::stream::write::Encoder::new(self.image, LEVEL).map_err(failed)?;
        self.events.write(&mut encoder)?;
        encoder.finish().map_err(failed)
    }
}

/// How much events are compressed: they are much alike, and it has to be quick.
const LEVEL: i32 = 1;

/// What was read, beside the state of rules.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) streams: Streams,
    pub(crate) joiners: Vec<(String, Instant, Vec<u8>)>,
    /// The places of rules that have no state, though there was an image: they are new, changed, or their state was damaged.
    pub(crate) without: Vec<usize>,
    /// Of these, by place, those that waited for their history, and the offset where each was switched on.
    pub(crate) waiting: HashMap<usize, u64>,
    /// What was wrong with it.
    pub(crate) problems: Vec<String>,
}

/// Writes everything. `waiting` are the places of rules whose state is not complete, and is left out, and the offset where each
/// was switched on.
pub(crate) fn write(
    book: &Book,
    operators: &Operators,
    flow: &AlertFlow,
    streams: &Streams,
    joiners: Vec<HeldLines>,
    waiting: &[(usize, u64)],
) -> Result<Written, BadState> {
    let mut writer = StateWriter::default();
    let mut rules = Vec::with_capacity(book.keys.len());
    let waits = |place: usize| waiting.iter().any(|(waiting, _)| *waiting == place);
    for (place, key) in book.keys.iter().enumerate().filter(|(place, _)| !waits(*place)) {
        let operator = operators.save(index(place), &mut writer)?;
        rules.push((key.clone(), operator, flow.save(index(place), &mut writer)?));
    }
    let alerts = flow.save_rest(&mut writer)?;
    let image = Image {
        forms: (FORM, STATE_VERSION),
        rules,
        waiting: waiting
            .iter()
            .filter_map(|(place, since)| Some((book.keys.get(*place)?.clone(), *since)))
            .collect(),
        alerts,
        streams: streams.clone(),
        joiners: joiners
            .into_iter()
            .map(|(stream, received, saved)| (stream.to_string(), received, saved))
            .collect(),
    };
    Ok(Written {
        image: StateWriter::default().write(&image)?,
        events: writer.into_events(),
    })
}

/// Gives rules the state that the blob has of them.
///
/// # Errors
/// The blob is of another form, or damaged as a whole.
pub(crate) fn read(
    blob: &[u8],
    book: &Book,
    operators: &mut Operators,
    flow: &mut AlertFlow,
) -> Result<Restored, BadState> {
    // The forms come first, so that a blob of another form is not taken for a damaged one.
    let (forms, _): ((u8, u8), _) = postcard::take_from_bytes(blob)?;
    if forms != (FORM, STATE_VERSION) {
        return Err(BadState::of("it was written by another version"));
    }
    let (image, packed): (Image, _) = postcard::take_from_bytes(blob)?;
    let events = zstd::stream::decode_all(packed).map_err(|_| BadState::of("its events are damaged"))?;
    let mut reader = StateReader::new(&events)?;
    drop(events);
    let known: HashMap<&str, usize> = book.keys.iter().map(String::as_str).zip(0..).collect();
    let mut has_state = vec![false; book.keys.len()];
    let mut problems = Vec::new();
    for (key, operator, alerts) in &image.rules {
        let Some(place) = known.get(key.as_str()) else {
            continue;
        };
        let rule = index(*place);
        let read = operators
            .restore(rule, operator, &mut reader)
            .and_then(|()| flow.restore(rule, alerts, &mut reader));
        match (read, has_state.get_mut(*place)) {
            (Ok(()), Some(has_state)) => *has_state = true,
            (Err(problem), _) => problems.push(format!("rule `{}`: {problem}", key)),
            _ => {}
        }
    }
    if let Err(problem) = flow.restore_rest(&image.alerts, &mut reader) {
        problems.push(problem.to_string());
    }
    let places = has_state.iter().enumerate();
    Ok(Restored {
        streams: image.streams,
        joiners: image.joiners,
        waiting: image
            .waiting
            .iter()
            .filter_map(|(key, since)| Some((*known.get(key.as_str())?, *since)))
            .collect(),
        without: places
            .filter(|(_, has_state)| !**has_state)
            .map(|(place, _)| place)
            .collect(),
        problems,
    })
}
