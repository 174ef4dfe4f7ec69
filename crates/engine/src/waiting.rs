//! Candidates of a sequence of which some step was not seen yet: while that is so nothing can match, so they are kept as they
//! come, without partitions, order and schedule. Of most rules this is all that ever happens: their later steps are what
//! every host does all day, and their first step is what nobody does.
//!
//! What can never be part of a match any more is dropped, by what the state machine would make of it: of events that
//! are settled only what fills a slot before the first one that nothing filled, and for no longer than `maxspan`.

use std::collections::VecDeque;
use std::sync::Arc;

use neph_event::{Instant, Value};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::candidate::later_by;
use crate::shape::{Role, Shape};
use crate::state;
use crate::{Event, Ordinal};

/// Fewer are not looked through for what can be dropped.
const FEW: usize = 64;

/// Absence is judged by whole milliseconds, so that what is `maxspan` old may count a millisecond longer.
const MILLISECOND: u64 = 1_000_000;

/// A candidate that waits.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Held {
    pub(crate) step: u16,
    pub(crate) keys: SmallVec<[Option<Value>; 2]>,
    pub(crate) ordinal: Ordinal,
    #[serde(with = "state::event")]
    pub(crate) event: Arc<Event>,
}

impl Held {
    /// Bytes beside its own place.
    fn heap_bytes(&self) -> usize {
        let spilled = match self.keys.spilled() {
            true => self.keys.capacity() * size_of::<Option<Value>>(),
            false => 0,
        };
        let values = self.keys.iter().flatten().chain(&self.ordinal.tiebreaker);
        spilled + values.map(Value::heap_bytes).sum::<usize>() + self.event.memory_bytes()
    }
}

/// Candidates of a rule that cannot match yet.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    held: VecDeque<Held>,
    /// How many of them are of each step.
    of_step: Vec<u32>,
    /// Bytes on the heap beside the list.
    bytes: usize,
    /// When there are so many it is worth looking for what can be dropped.
    look_at: usize,
}

impl Waiting {
    /// The candidates of a state that was written.
    pub(crate) fn of(held: Vec<Held>) -> Self {
        let mut waiting = Self::default();
        for held in held {
            waiting.push(held);
        }
        waiting
    }

    /// The candidates, in the order in which they came.
    pub(crate) fn held(&self) -> &VecDeque<Held> {
        &self.held
    }

    pub(crate) fn into_held(self) -> VecDeque<Held> {
        self.held
    }

    pub(crate) fn push(&mut self, held: Held) {
        let step = usize::from(held.step);
        if self.of_step.len() <= step {
            self.of_step.resize(step + 1, 0);
        }
        if let Some(count) = self.of_step.get_mut(step) {
            *count += 1;
        }
        self.bytes += held.heap_bytes();
        self.held.push_back(held);
    }

    /// The first slot that nothing filled, should an event of this step come too.
    pub(crate) fn first_missing(&self, shape: &Shape, with: Option<u16>) -> Option<u16> {
        let steps = 0..u16::try_from(shape.steps()).unwrap_or(u16::MAX);
        let has_none = |step: &u16| {
            Some(*step) != with
                && self
                    .of_step
                    .get(usize::from(*step))
                    .is_none_or(|count| *count == 0)
        };
        steps.filter(has_none).find_map(|step| match shape.role(step) {
            Some(Role::Positive { first, .. }) => Some(first),
            _ => None,
        })
    }

    /// No event before `frontier` comes any more: drops what cannot be part of a match. What came in the order of time is
    /// dropped at once, the rest when there is enough of it to look through.
    pub(crate) fn pass(&mut self, shape: &Shape, frontier: Instant) {
        let Some(useless) = self.useless(shape, frontier) else {
            return;
        };
        while self.held.front().is_some_and(&useless) {
            let gone = self.held.pop_front();
            gone.iter().for_each(|gone| self.uncount(gone));
        }
        if self.held.len() >= self.look_at.max(FEW) {
            self.drop_useless(shape, frontier);
        }
        self.shrink();
    }

    /// Gives back the room of the list when most of it is unused.
    fn shrink(&mut self) {
        if self.held.capacity() > FEW + 4 * self.held.len() {
            self.held.shrink_to(2 * self.held.len());
        }
    }

    /// Drops all of that.
    pub(crate) fn drop_useless(&mut self, shape: &Shape, frontier: Instant) {
        let Some(useless) = self.useless(shape, frontier) else {
            return;
        };
        let mut held = std::mem::take(&mut self.held);
        held.retain(|held| {
            let is_useless = useless(held);
            if is_useless {
                self.uncount(held);
            }
            !is_useless
        });
        self.look_at = 2 * held.len();
        self.held = held;
        self.shrink();
    }

    fn uncount(&mut self, gone: &Held) {
        self.bytes -= gone.heap_bytes();
        if let Some(count) = self.of_step.get_mut(usize::from(gone.step)) {
            *count -= 1;
        }
    }

    /// What cannot be part of a match any more; nothing where a match may be near.
    fn useless<'s>(&self, shape: &'s Shape, frontier: Instant) -> Option<impl Fn(&Held) -> bool + use<'s>> {
        let missing = self.first_missing(shape, None)?;
        let waits_for_first = missing == 0 && !shape.starts_missing;
        Some(move |held: &Held| {
            let time = held.ordinal.time;
            let (follows, margin) = match shape.role(held.step) {
                Some(Role::Positive { first, .. }) => (first > missing, 0),
                _ => (false, MILLISECOND),
            };
            let is_old = |span: u64| later_by(time, span.saturating_add(margin)) < frontier;
            time < frontier && (waits_for_first || follows || shape.maxspan.is_some_and(is_old))
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Bytes of all of it.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.held.capacity() * size_of::<Held>()
    }

    /// Number of distinct join keys.
    pub(crate) fn keys(&self) -> usize {
        let keys = self.held.iter().map(|held| held.keys.as_slice());
        keys.collect::<ahash::AHashSet<_>>().len()
    }
}
