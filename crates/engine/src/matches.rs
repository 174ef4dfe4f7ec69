//! What the two halves of the engine hand on.

use std::cmp::Ordering;
use std::sync::Arc;

use neph_event::{Instant, Value};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::Event;
use crate::sighting::{self, KeyRange, Sighting, Tuple};

/// A rule: its position in the list that the program was compiled from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub struct RuleIndex(pub u32);

/// The place of an event in the order that sequences see.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Ordinal {
    /// The event's time.
    pub time: Instant,
    /// The tiebreaker's value; a missing one comes last.
    pub tiebreaker: Option<Value>,
    /// Position in the input, which decides between events of one time and tiebreaker.
    pub position: u64,
}

impl Ordinal {
    /// Order by the tiebreaker only.
    pub(crate) fn compare_tiebreaker(&self, other: &Self) -> Ordering {
        match (&self.tiebreaker, &other.tiebreaker) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            // Tiebreakers are of one field, hence of one type; identity order decides what does not compare.
            (Some(a), Some(b)) => a.as_ref().compare(b.as_ref()).unwrap_or_else(|| a.cmp(b)),
        }
    }
}

impl Ord for Ordinal {
    fn cmp(&self, other: &Self) -> Ordering {
        self.time
            .cmp(&other.time)
            .then_with(|| self.compare_tiebreaker(other))
            .then_with(|| self.position.cmp(&other.position))
    }
}
impl PartialOrd for Ordinal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// An event satisfies one step of one rule, under one tuple of join keys.
///
/// An event with several values in a key field gives one step match per tuple of the cartesian product.
#[derive(Clone, Debug)]
pub struct StepMatch {
    /// The rule.
    pub rule: RuleIndex,
    /// The stage, as an index into the sequence's or sample's stages; the number of stages stands for `until`.
    /// Always 0 for queries of one condition.
    pub step: u16,
    /// The event's values of the field whose values an aggregate or correlation counts or measures; else empty.
    pub counted: Box<[Value]>,
    pub(crate) keys: KeyRange,
    /// Of its sighting the time, the bytes, and whether it is without the event, for whoever only passes it on: the sighting is
    /// seldom in the processor's cache then.
    pub(crate) time: Option<Instant>,
    pub(crate) bytes: usize,
    pub(crate) is_bare: bool,
    pub(crate) sighting: Arc<Sighting>,
}

impl StepMatch {
    /// A step match of an event on its own, without counted values. Events without time have no ordinal, and take part in
    /// event queries and samples only.
    pub fn new(
        rule: RuleIndex,
        step: u16,
        keys: &[Option<Value>],
        ordinal: Option<Ordinal>,
        position: u64,
        event: Arc<Event>,
    ) -> Self {
        let (keys, bytes) = sighting::written(keys);
        let sighting = Arc::new(Sighting::new(event, ordinal, position, bytes.into()));
        Self::of(rule, step, Box::default(), keys, sighting)
    }

    pub(crate) fn of(
        rule: RuleIndex,
        step: u16,
        counted: Box<[Value]>,
        keys: KeyRange,
        sighting: Arc<Sighting>,
    ) -> Self {
        Self {
            rule,
            step,
            counted,
            keys,
            time: sighting.ordinal.as_ref().map(|ordinal| ordinal.time),
            bytes: sighting.bytes,
            is_bare: sighting.event.is_bare(),
            sighting,
        }
    }

    /// The same with values of the field whose values are counted or measured.
    #[must_use]
    pub fn counting(self, counted: impl IntoIterator<Item = Value>) -> Self {
        Self {
            counted: counted.into_iter().collect(),
            ..self
        }
    }

    /// The join keys; null only where the key is optional. Of a correlation the values of its own group, then those that the
    /// correlations over it need.
    pub fn keys(&self) -> SmallVec<[Option<Value>; 2]> {
        let keys: Tuple = sighting::read(self.sighting.key(self.keys));
        keys
    }

    /// Place in the order; `None` where the record has no readable time.
    pub fn ordinal(&self) -> Option<&Ordinal> {
        self.sighting.ordinal.as_ref()
    }

    /// Position in the input; ordinals and events without time fall back on it.
    pub fn position(&self) -> u64 {
        self.sighting.position
    }

    /// The event. That of a step that must not happen has neither document nor id, unless the matcher
    /// [keeps them](crate::Matcher::keep_documents).
    pub fn event(&self) -> &Arc<Event> {
        &self.sighting.event
    }

    /// Bytes that it holds in memory. What it shares with other step matches of its event counts in full.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.counted) + self.bytes
    }
}

/// A rule matched: the events, in the order of its steps. It is written within a section of state, as it holds events.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Match {
    /// The rule.
    pub rule: RuleIndex,
    /// The join keys' values; of a first-seen query the terms, of an aggregate or a correlation the group; empty for an event query.
    pub keys: Vec<Option<Value>>,
    /// For each result slot the stage that it belongs to (a step with `runs=3` has three slots) and its event; `None` for
    /// a step that had to be missing. Of an aggregate's events the first and the last few, in order.
    #[serde(with = "crate::state::slots")]
    pub events: Vec<(u16, Option<Arc<Event>>)>,
    /// Time of the first event, where it has one.
    pub first: Option<Instant>,
    /// Order of the last positive event, by which results sort.
    pub last: Option<Ordinal>,
    /// The span of time that a first-seen query or an aggregate speaks of.
    pub window: Option<Window>,
}

/// The span of time that a match speaks of. Rule, keys and `to` identify such a match, whichever events were seen.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub struct Window {
    /// Its start, inclusive. For a first-seen query the start of the interval; for an aggregate the start of what was
    /// counted.
    pub from: Instant,
    /// Its end, exclusive: a multiple of the rule's interval. For a correlation that counts the time of the last event.
    pub to: Instant,
    /// What an aggregate or a correlation counted.
    pub tally: Option<Tally>,
}

/// What an aggregate or a correlation counted in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Tally {
    /// Events.
    pub count: u64,
    /// Distinct values of the field that the rule names, if it names one.
    pub distinct: Option<Distinct>,
    /// The sum, average or percentile of values, where the rule asks for one.
    pub measured: Option<f64>,
}

/// A number of distinct values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Distinct {
    /// The number.
    pub count: u64,
    /// Whether it is exact; else there are more.
    pub is_exact: bool,
}
