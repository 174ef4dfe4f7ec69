//! What the groups of a correlation hold, and what they find.

use std::cmp::{Ordering, Reverse};
use std::sync::Arc;

use neph_event::{Instant, Value};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::candidate::{COUNTERS, JoinKey, compare_keys, key_bytes};
use crate::state::KeptHasher;
use crate::{Event, Ordinal, StepMatch, Tally};

/// An event of a source, or a match of the correlation that is the source.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Candidate {
    pub(crate) time: Instant,
    pub(crate) position: u64,
    /// Index of the source.
    pub(crate) source: u16,
    /// Tells candidates of one time apart.
    pub(crate) identity: u64,
    /// The group of the match, where it is one.
    pub(crate) keys: Option<JoinKey>,
    /// Hashes of the values that are counted.
    pub(crate) values: SmallVec<[u64; 1]>,
    /// The numbers that are measured.
    pub(crate) numbers: SmallVec<[f64; 1]>,
    /// The events behind it with the numbers of their steps; none where they need not be kept.
    #[serde(with = "crate::state::events")]
    pub(crate) events: SmallVec<[(u16, Arc<Event>); 1]>,
    /// The values that the correlations above need.
    pub(crate) outer: SmallVec<[JoinKey; 1]>,
}

impl Candidate {
    /// Bytes on the heap. An event's document counts in full, also where others hold it too.
    pub(crate) fn heap_bytes(&self) -> usize {
        let spilled = |is_spilled: bool, bytes: usize| if is_spilled { bytes } else { 0 };
        spilled(self.values.spilled(), self.values.capacity() * size_of::<u64>())
            + spilled(self.numbers.spilled(), self.numbers.capacity() * size_of::<f64>())
            + spilled(self.outer.spilled(), self.outer.capacity() * size_of::<JoinKey>())
            + self.outer.iter().map(|key| key_bytes(key)).sum::<usize>()
            + self.event_bytes()
    }

    fn event_bytes(&self) -> usize {
        let own = match self.events.spilled() {
            true => self.events.capacity() * size_of::<(u16, Arc<Event>)>(),
            false => 0,
        };
        let held = self
            .events
            .iter()
            .map(|(_, event)| event.memory_bytes() + COUNTERS);
        own + held.sum::<usize>()
    }

    /// Lets go of the events; says how many bytes they held.
    pub(crate) fn forget_events(&mut self) -> usize {
        let bytes = self.event_bytes();
        self.events = SmallVec::new();
        bytes
    }

    /// Takes over what the same event says besides: it has several values in a field.
    pub(crate) fn merge(&mut self, other: Self) {
        for value in other.values {
            if !self.values.contains(&value) {
                self.values.push(value);
            }
        }
        for key in other.outer {
            if !self.outer.contains(&key) {
                self.outer.push(key);
            }
        }
    }
}

/// What a group found.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Found {
    /// The group's values.
    pub(crate) keys: JoinKey,
    /// Time of the first candidate.
    pub(crate) first: Instant,
    /// Place of the last candidate.
    pub(crate) last: Ordinal,
    /// The events with the numbers of their steps.
    #[serde(with = "crate::state::events")]
    pub(crate) events: Vec<(u16, Arc<Event>)>,
    /// The values that the correlations above need, of all candidates, each once.
    pub(crate) outer: Vec<JoinKey>,
    /// What was counted, if something was.
    pub(crate) tally: Option<Tally>,
}

/// Adds the events that are not there yet.
pub(crate) fn add_events(events: &mut Vec<(u16, Arc<Event>)>, more: &[(u16, Arc<Event>)]) {
    for (step, event) in more {
        // One of them may have been written and read again since.
        let is_one = |held: &Event| held.origin() == event.origin() && held.is_same(event);
        let is_same = |(held_step, held): &(u16, Arc<Event>)| {
            held_step == step && (Arc::ptr_eq(held, event) || is_one(held))
        };
        if !events.iter().any(is_same) {
            events.push((*step, Arc::clone(event)));
        }
    }
}

/// Order of candidates: by time and position; an event that several sources have from the last of them to the first, so
/// that where order matters it follows itself nowhere.
pub(crate) fn compare(a: &Candidate, b: &Candidate) -> Ordering {
    let keys = |one: &Candidate| one.keys.clone().unwrap_or_default();
    (a.time, a.position, Reverse(a.source))
        .cmp(&(b.time, b.position, Reverse(b.source)))
        .then_with(|| compare_keys(&keys(a), &keys(b)))
}

/// The ordinal of a candidate.
pub(crate) fn ordinal(candidate: &Candidate) -> Ordinal {
    Ordinal {
        time: candidate.time,
        tiebreaker: None,
        position: candidate.position,
    }
}

/// Records without an id of their own are all different, however equal they look.
pub(crate) fn identity_of(hasher: &KeptHasher, step: &StepMatch) -> u64 {
    match step.event().given_id() {
        Some(id) => hasher.hash_one(id.as_str()),
        None => hasher.hash_one(step.position()),
    }
}

/// The number of a value, if it is one.
pub(crate) fn number_of(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Long(number) => *number as f64,
        Value::Unsigned(number) => *number as f64,
        Value::Double(number) => *number,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

/// Adds the keys that are not there yet; of very many the first.
pub(crate) fn add_outer<'k>(outer: &mut Vec<JoinKey>, more: impl IntoIterator<Item = &'k JoinKey>) {
    /// A match is a candidate of so many groups of the correlation above.
    const MAX_OUTER: usize = 1_000;
    for key in more {
        if outer.len() < MAX_OUTER && !outer.contains(key) {
            outer.push(Arc::clone(key));
        }
    }
}
