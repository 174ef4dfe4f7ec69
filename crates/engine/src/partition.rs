//! The state of one join key: what is settled, what may still change, and what was said about it.
//!
//! Events before the *frontier* are settled: no earlier event can come any more, so they have been fed to the state
//! machine in order and are gone but for partial sequences. Later ones are *pending*, in order. When results are wanted
//! at once, a second machine runs ahead over the pending events; an event that comes late sends it back to the settled
//! state, and what it had said is compared with what it says now.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;

use ahash::AHashSet;
use neph_event::{EventId, Instant};
use serde::{Deserialize, Serialize};

use crate::candidate::{BEGINNING, Candidate, later_by};
use crate::machine::{Finished, Machine, references};
use crate::shape::{Role, Shape};
use crate::state;
use crate::{Event, Ordinal};

/// Among this many events of one time a new one is looked for directly; more are sorted out later.
const TIES_LOOKED_AT: usize = 32;

/// What a partition says.
#[derive(Debug)]
pub(crate) enum Verdict {
    Found(Finished),
    Retracted(Finished),
}

impl Verdict {
    pub(crate) fn sequence(&self) -> &Finished {
        match self {
            Self::Found(sequence) | Self::Retracted(sequence) => sequence,
        }
    }
}

#[derive(Debug, Deserialize, Serialize)]
struct Pending {
    #[serde(with = "state::part")]
    candidate: Arc<Candidate>,
    step: u16,
}

impl Pending {
    /// Order by time and tiebreaker only.
    fn compare_place(&self, other: &Ordinal) -> Ordering {
        let own = &self.candidate.ordinal;
        own.time
            .cmp(&other.time)
            .then_with(|| own.compare_tiebreaker(other))
    }

    /// Order of feeding: by ordinal, then from the last step to the first, then `until`.
    fn compare(&self, other: &Self, shape: &Shape) -> Ordering {
        let rank = |step: u16| (shape.role(step) == Some(Role::Until), u16::MAX - step);
        self.candidate
            .ordinal
            .cmp(&other.candidate.ordinal)
            .then_with(|| rank(self.step).cmp(&rank(other.step)))
    }

    /// Whether it is the same event for the same step. Of bare events nobody knows, nor does it matter how often they came.
    fn is_same(&self, step: u16, event: &Event) -> bool {
        self.step == step && !event.is_bare() && self.candidate.event.is_same(event)
    }
}

/// The state of one join key.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Partition {
    settled: Machine,
    pending: Vec<Pending>,
    /// So many of the pending events stand in order, each once.
    ordered: usize,
    live: Option<Box<Live>>,
    /// When it asked to be looked at, by the watermark.
    pub(crate) wake: Option<Instant>,
    /// Whether it changed since it last gave its verdict.
    pub(crate) touched: bool,
    /// Bytes that it is counted with.
    #[serde(skip)]
    pub(crate) charged: usize,
}

/// The machine that runs ahead.
#[derive(Debug, Deserialize, Serialize)]
struct Live {
    machine: Machine,
    /// Number of pending events that it has been fed.
    fed: usize,
    /// The watermark when it last judged absences.
    passed: Instant,
    /// What it found and what may still be taken back.
    emitted: VecDeque<Finished>,
}

impl Partition {
    /// Counts again, after it has been read.
    pub(crate) fn restored(&mut self) {
        self.settled.restored();
        self.ordered = self.ordered.min(self.pending.len());
        if let Some(live) = &mut self.live {
            live.machine.restored();
            live.fed = live.fed.min(self.ordered);
        }
    }

    /// Takes an event of a step; `false` if it was there already.
    pub(crate) fn add(
        &mut self,
        shape: &Shape,
        step: u16,
        ordinal: Ordinal,
        event: Arc<Event>,
        new: impl FnOnce(Ordinal, Arc<Event>) -> Arc<Candidate>,
    ) -> bool {
        let in_order = self.ordered == self.pending.len();
        let mut follows = in_order;
        let mut shared = None;
        if let Some(last) = self.pending.last() {
            let place = last.compare_place(&ordinal);
            if place.is_eq() {
                let ties = || {
                    self.pending
                        .iter()
                        .rev()
                        .take_while(|held| held.compare_place(&ordinal).is_eq())
                };
                // The position of its first delivery counts, should that one come later.
                let known = |held: &Pending| held.is_same(step, &event) && held.candidate.ordinal <= ordinal;
                if in_order && ties().take(TIES_LOOKED_AT).any(known) {
                    return false;
                }
                follows &= ties().nth(TIES_LOOKED_AT).is_none();
                let is_last = Arc::ptr_eq(&last.candidate.event, &event) && last.candidate.ordinal == ordinal;
                shared = is_last.then(|| Arc::clone(&last.candidate));
            }
            follows &= place.is_le();
        }
        let entry = Pending {
            candidate: shared.unwrap_or_else(|| new(ordinal, event)),
            step,
        };
        follows &= self
            .pending
            .last()
            .is_none_or(|last| last.compare(&entry, shape).is_lt());
        self.pending.push(entry);
        if follows {
            self.ordered = self.pending.len();
        }
        true
    }

    /// Puts the pending events in order and drops what came twice. Says how many came twice, and how many of the events at
    /// the front stand where they stood.
    fn order(&mut self, shape: &Shape) -> (usize, usize) {
        let before = self.ordered;
        let Some(tail) = self.pending.get_mut(before..).filter(|tail| !tail.is_empty()) else {
            return (0, before);
        };
        tail.sort_by(|a, b| a.compare(b, shape));
        // Everything from the place of the earliest new event on may move.
        let start = match tail.first() {
            Some(first) => {
                let earliest = first.candidate.ordinal.clone();
                let head = self.pending.get(..before).unwrap_or_default();
                head.partition_point(|held| held.compare_place(&earliest).is_lt())
            }
            None => before,
        };
        let mut moved = self.pending.split_off(start);
        let stood: Vec<(*const Candidate, u16)> = moved
            .iter()
            .take(before - start)
            .map(|held| (Arc::as_ptr(&held.candidate), held.step))
            .collect();
        moved.sort_by(|a, b| a.compare(b, shape));
        let twice = self.append_once(moved);
        let now = self
            .pending
            .iter()
            .skip(start)
            .map(|held| (Arc::as_ptr(&held.candidate), held.step));
        let kept = start + now.zip(&stood).take_while(|(now, stood)| now == *stood).count();
        self.ordered = self.pending.len();
        (twice, kept)
    }

    /// Appends sorted entries but those that another one of the same time, step and event precedes.
    fn append_once(&mut self, sorted: Vec<Pending>) -> usize {
        let mut twice = 0;
        let mut group = self.pending.len();
        let mut many: AHashSet<(u16, EventId)> = AHashSet::new();
        for entry in sorted {
            let ties = self.pending.get(group..).unwrap_or_default();
            if ties
                .first()
                .is_some_and(|first| first.compare_place(&entry.candidate.ordinal).is_ne())
            {
                group = self.pending.len();
                many.clear();
            }
            let ties = self.pending.get(group..).unwrap_or_default();
            let event = &entry.candidate.event;
            let known = if ties.len() < TIES_LOOKED_AT {
                ties.iter().any(|held| held.is_same(entry.step, event))
            } else {
                if many.is_empty() {
                    many.extend(
                        ties.iter()
                            .map(|held| (held.step, held.candidate.event.id().clone())),
                    );
                }
                !many.insert((entry.step, event.id().clone())) && !event.is_bare()
            };
            if known {
                twice += 1;
            } else {
                self.pending.push(entry);
            }
        }
        twice
    }

    /// Runs ahead over all pending events; absences count as certain once `watermark` has passed them. Returns how many
    /// events came twice.
    pub(crate) fn speculate(
        &mut self,
        shape: &Shape,
        watermark: Instant,
        verdicts: &mut Vec<Verdict>,
    ) -> usize {
        let (twice, kept) = self.order(shape);
        let live = self.live.get_or_insert_with(|| {
            Box::new(Live {
                machine: self.settled.clone(),
                fed: 0,
                passed: BEGINNING,
                emitted: VecDeque::new(),
            })
        });
        // An event before the watermark is late for the absences that were told, even if it is the latest of its key.
        let is_before = |entry: &Pending| entry.candidate.time() < live.passed;
        let is_late =
            kept < live.fed || (shape.ends_missing && self.pending.get(live.fed).is_some_and(is_before));
        if is_late {
            live.machine = self.settled.clone();
            live.fed = 0;
        }
        let mut found = Vec::new();
        for entry in self.pending.iter().skip(live.fed) {
            live.machine.feed(shape, entry.step, &entry.candidate, &mut found);
        }
        live.fed = self.pending.len();
        live.machine.pass(watermark, &mut found);
        live.passed = watermark;
        if is_late {
            live.replace_emitted(found, verdicts);
        } else {
            verdicts.extend(found.iter().cloned().map(Verdict::Found));
            live.emitted.extend(found);
        }
        twice
    }

    /// Settles the events before `frontier`, and absences that it has passed. Returns how many events came twice.
    pub(crate) fn settle(&mut self, shape: &Shape, frontier: Instant, verdicts: &mut Vec<Verdict>) -> usize {
        let (twice, _) = self.order(shape);
        let due = self
            .pending
            .partition_point(|entry| entry.candidate.time() < frontier);
        let mut finals = Vec::new();
        for entry in self.pending.drain(..due) {
            self.settled
                .feed(shape, entry.step, &entry.candidate, &mut finals);
        }
        self.ordered -= due;
        if self.pending.capacity() > 4 * self.pending.len() {
            self.pending.shrink_to(2 * self.pending.len());
        }
        self.settled.pass(frontier, &mut finals);
        self.settled.expire(shape, frontier);
        if let Some(live) = &mut self.live {
            live.fed = live.fed.saturating_sub(due);
            live.machine.expire(shape, frontier);
            finals.retain(|settled| !live.forget(settled));
            if self.pending.is_empty() && live.emitted.is_empty() {
                self.live = None;
            }
        }
        verdicts.extend(finals.into_iter().map(Verdict::Found));
        twice
    }

    /// Gives up settled partial sequences that began at `cut` or before; says how many events they held.
    pub(crate) fn evict(&mut self, cut: Instant) -> usize {
        if let Some(live) = &mut self.live {
            live.machine.evict(cut);
            live.emitted
                .retain(|emitted| emitted.events.first().is_some_and(|first| first.time() > cut));
            if self.pending.is_empty() && live.emitted.is_empty() {
                self.live = None;
            }
        }
        self.settled.evict(cut)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.settled.is_empty() && self.live.is_none()
    }

    /// The watermark after which there is something to do: settled state changes `lateness` later than the events say.
    pub(crate) fn next_wake(&self, shape: &Shape, lateness: Option<u64>) -> Option<Instant> {
        let settling = lateness.and_then(|lateness| {
            let pending = self.pending.first().map(|first| first.candidate.time());
            let next = pending.into_iter().chain(self.settled.next_change(shape)).min();
            next.map(|next| later_by(next, lateness))
        });
        let live = self.live.as_ref().and_then(|live| live.machine.next_deadline());
        settling.into_iter().chain(live).min()
    }

    /// Times of the events that are not settled.
    pub(crate) fn pending_times(&self) -> impl Iterator<Item = Instant> {
        self.pending.iter().map(|entry| entry.candidate.time())
    }

    /// Times that the settled state goes back to.
    pub(crate) fn starts(&self) -> impl Iterator<Item = Instant> {
        self.settled.starts()
    }

    /// Bytes on the heap beside the candidates themselves.
    pub(crate) fn heap_bytes(&self) -> usize {
        let live = self.live.as_ref().map_or(0, |live| {
            let events = live.emitted.front().map_or(0, |emitted| emitted.events.len());
            let emitted =
                live.emitted.capacity() * size_of::<Finished>() + live.emitted.len() * references(events);
            size_of::<Live>() + live.machine.heap_bytes() + emitted
        });
        self.pending.capacity() * size_of::<Pending>() + self.settled.heap_bytes() + live
    }
}

impl Live {
    /// Whether this was said; it is final now, and need not be remembered.
    fn forget(&mut self, settled: &Finished) -> bool {
        let place = self.emitted.iter().position(|emitted| emitted.is_same(settled));
        place.and_then(|place| self.emitted.remove(place)).is_some()
    }

    /// Says what changed against what was said before.
    fn replace_emitted(&mut self, found: Vec<Finished>, verdicts: &mut Vec<Verdict>) {
        // An event ends at most one sequence of its key, so that the last one is enough to find the counterpart.
        let last = |sequence: &Finished| sequence.last().map(|last| last.ordinal.clone());
        let mut old: Vec<_> = self
            .emitted
            .drain(..)
            .map(|sequence| (last(&sequence), Some(sequence)))
            .collect();
        old.sort_by(|a, b| a.0.cmp(&b.0));
        let mut fresh = Vec::new();
        for sequence in &found {
            let place = old.binary_search_by(|was| was.0.cmp(&last(sequence))).ok();
            let counterpart = place.and_then(|place| old.get_mut(place)).map(|was| &mut was.1);
            if counterpart
                .and_then(|was| was.take_if(|was| was.is_same(sequence)))
                .is_none()
            {
                fresh.push(sequence.clone());
            }
        }
        // What is left is little. A record that was delivered twice may have changed its position.
        let mut gone: Vec<Finished> = old.into_iter().filter_map(|was| was.1).collect();
        fresh.retain(
            |sequence| match gone.iter().position(|was| was.is_same(sequence)) {
                Some(place) => {
                    gone.remove(place);
                    false
                }
                None => true,
            },
        );
        verdicts.extend(gone.into_iter().map(Verdict::Retracted));
        verdicts.extend(fresh.into_iter().map(Verdict::Found));
        self.emitted.extend(found);
    }
}
