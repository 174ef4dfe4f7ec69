//! The state machine of one join key, fed in order.
//!
//! EQL gives every stage an ordered list of partial sequences, and an event takes the latest and throws the older ones
//! away. When events come in order, that list never needs more than its latest entry: whatever takes from it empties it.
//! So the whole state is one partial sequence a slot. By the same argument `until` may end all partial sequences on the
//! spot, although EQL looks at it only when one is about to be extended.
//!
//! Steps that must not happen do not take part in this machine. A finished sequence is held against their events, at
//! the granularity of milliseconds and strictly; of the events before a slot only the latest matters, so that two times
//! are remembered for each such place. Absence at the end is waited for.
//!
//! Source: <https://www.elastic.co/docs/reference/query-languages/eql/eql-syntax#eql-sequences>

use std::sync::Arc;

use neph_event::{Instant, Value};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::candidate::{Candidate, END, later_by};
use crate::shape::{Role, Shape};
use crate::state;
use crate::{Match, RuleIndex};

/// The events of a partial or finished sequence, one for each positive slot.
pub(crate) type Events = SmallVec<[Arc<Candidate>; 2]>;

/// A sequence all of whose conditions are met.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Finished {
    #[serde(with = "state::parts")]
    pub(crate) events: Events,
}

impl Finished {
    /// The last event; a finished sequence always has one.
    pub(crate) fn last(&self) -> Option<&Arc<Candidate>> {
        self.events.last()
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.events.len() == other.events.len()
            && self
                .events
                .iter()
                .zip(&other.events)
                .all(|(a, b)| Arc::ptr_eq(a, b) || a.event.is_same(&b.event))
    }

    pub(crate) fn to_match(&self, rule: RuleIndex, shape: &Shape, keys: &[Option<Value>]) -> Match {
        let event = |slot: u16| {
            self.events
                .get(usize::from(slot))
                .map(|held| Arc::clone(&held.event))
        };
        Match {
            rule,
            keys: keys.to_vec(),
            events: shape
                .result()
                .iter()
                .map(|(stage, slot)| (*stage, slot.and_then(event)))
                .collect(),
            first: self.events.first().map(|held| held.time()),
            last: self.events.last().map(|held| held.ordinal.clone()),
            window: None,
        }
    }
}

/// The state of one join key.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Machine {
    /// By slot: the latest partial sequence whose newest event fills it.
    partials: SmallVec<[Option<Partial>; 1]>,
    /// Number of events that partials hold.
    #[serde(skip)]
    held: usize,
    /// Only for sequences with steps that must not happen.
    absence: Option<Box<Absence>>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Partial {
    #[serde(with = "state::parts")]
    events: Events,
    /// Milliseconds of the latest event that should not have happened before the first one.
    leading: Option<i64>,
    /// Something happened between two slots that should not have.
    spoiled: bool,
}

impl Partial {
    fn first_time(&self) -> Instant {
        self.events.first().map_or(END, |held| held.time())
    }
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Absence {
    /// For each place before a slot the times of events that must not happen there.
    watches: SmallVec<[Seen; 1]>,
    waiting: Vec<Waiting>,
}

/// The latest two different times, in milliseconds.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
struct Seen {
    latest: Option<i64>,
    before: Option<i64>,
}

impl Seen {
    fn record(&mut self, millis: i64) {
        if self.latest != Some(millis) {
            self.before = self.latest.replace(millis);
        }
    }

    fn latest_before(&self, millis: i64) -> Option<i64> {
        self.latest.filter(|seen| *seen < millis).or(self.before)
    }
}

/// A sequence whose last positive step has happened; it is kept unless something happens before the deadline passes.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Waiting {
    #[serde(with = "state::parts")]
    events: Events,
    last: i64,
    /// Milliseconds; an event up to this one discards the sequence.
    deadline: i64,
}

impl Machine {
    /// Counts again, after it has been read.
    pub(crate) fn restored(&mut self) {
        self.held = self
            .partials
            .iter()
            .flatten()
            .map(|partial| partial.events.len())
            .sum();
    }

    /// Takes an event of a step. Events come in the order of their ordinals, the steps of one event from the last to the
    /// first, but `until` at the end.
    pub(crate) fn feed(
        &mut self,
        shape: &Shape,
        step: u16,
        event: &Arc<Candidate>,
        finished: &mut Vec<Finished>,
    ) {
        match shape.role(step) {
            Some(Role::Positive { first, end }) => {
                for slot in (first..end).rev() {
                    self.fill(shape, usize::from(slot), event, finished);
                }
            }
            Some(Role::Forbidden { watch }) => self.watch(watch).record(event.millis()),
            Some(Role::ForbiddenAtEnd) => self.judge_waiting(event.millis(), finished),
            Some(Role::Until) => {
                self.partials.clear();
                self.held = 0;
            }
            None => {}
        }
    }

    fn fill(&mut self, shape: &Shape, slot: usize, event: &Arc<Candidate>, finished: &mut Vec<Finished>) {
        let seen = shape.watch_before(slot).and_then(|watch| {
            self.absence
                .as_ref()?
                .watches
                .get(usize::from(watch))?
                .latest_before(event.millis())
        });
        let partial = match slot.checked_sub(1) {
            None => Partial {
                events: SmallVec::from_iter([Arc::clone(event)]),
                leading: seen,
                spoiled: false,
            },
            Some(previous) => {
                let Some(mut partial) = self.partials.get_mut(previous).and_then(Option::take) else {
                    return;
                };
                self.held -= partial.events.len();
                let too_long = shape
                    .maxspan
                    .is_some_and(|maxspan| event.time() > later_by(partial.first_time(), maxspan));
                if too_long {
                    return;
                }
                let previous_millis = partial.events.last().map(|held| held.millis());
                partial.spoiled |= seen > previous_millis;
                partial.events.push(Arc::clone(event));
                partial
            }
        };
        if slot + 1 == shape.slots() {
            self.finish(shape, partial, finished);
            return;
        }
        if self.partials.len() <= slot {
            self.partials.resize(slot + 1, None);
        }
        if let Some(place) = self.partials.get_mut(slot) {
            self.held += partial.events.len();
            self.held -= place.replace(partial).map_or(0, |older| older.events.len());
        }
    }

    fn finish(&mut self, shape: &Shape, partial: Partial, finished: &mut Vec<Finished>) {
        let (Some(first), Some(last)) = (partial.events.first(), partial.events.last()) else {
            return;
        };
        let (first, last, span) = (first.millis(), last.millis(), shape.maxspan_millis());
        // Up to when an event at the end would discard the sequence; `None` where none can.
        let deadline = match (shape.starts_missing, shape.ends_missing, partial.leading) {
            _ if partial.spoiled => return,
            (true, false, Some(leading)) if last.saturating_sub(leading) <= span => return,
            (false, true, _) => Some(first.saturating_add(span)),
            (true, true, Some(leading)) => Some(leading.saturating_add(span)),
            _ => None,
        };
        match deadline {
            Some(deadline) if deadline > last => {
                self.absence.get_or_insert_default().waiting.push(Waiting {
                    events: partial.events,
                    last,
                    deadline,
                });
            }
            _ => finished.push(Finished {
                events: partial.events,
            }),
        }
    }

    fn watch(&mut self, watch: u16) -> &mut Seen {
        let watches = &mut self.absence.get_or_insert_default().watches;
        let index = usize::from(watch);
        if watches.len() <= index {
            watches.resize(index + 1, Seen::default());
        }
        // The entry is there; a spare one keeps the lookup total.
        #[expect(clippy::indexing_slicing, reason = "resized right above")]
        &mut watches[index]
    }

    /// An event that should not have happened after the last step: the first one after a sequence decides on it.
    fn judge_waiting(&mut self, millis: i64, finished: &mut Vec<Finished>) {
        if let Some(absence) = &mut self.absence {
            for judged in absence.waiting.extract_if(.., |waiting| waiting.last < millis) {
                if judged.deadline < millis {
                    finished.push(Finished {
                        events: judged.events,
                    });
                }
            }
        }
    }

    /// All events before `now` have been fed: absences are certain whose time has passed.
    pub(crate) fn pass(&mut self, now: Instant, finished: &mut Vec<Finished>) {
        if let Some(absence) = &mut self.absence {
            let passed = |waiting: &mut Waiting| now == END || waiting.deadline < now.as_millis();
            finished.extend(absence.waiting.extract_if(.., passed).map(|waiting| Finished {
                events: waiting.events,
            }));
        }
    }

    /// Releases what events from `now` on cannot need.
    pub(crate) fn expire(&mut self, shape: &Shape, now: Instant) {
        let Some(maxspan) = shape.maxspan else { return };
        self.drop_partials(|partial| later_by(partial.first_time(), maxspan) < now);
        let span = shape.maxspan_millis();
        if let Some(absence) = &self.absence {
            let stale = |seen: &Seen| {
                seen.latest
                    .is_none_or(|latest| latest.saturating_add(span) < now.as_millis())
            };
            if absence.waiting.is_empty() && absence.watches.iter().all(stale) {
                self.absence = None;
            }
        }
    }

    /// Gives up the partial sequences that began at `cut` or before; says how many events they held.
    pub(crate) fn evict(&mut self, cut: Instant) -> usize {
        let mut evicted = self.drop_partials(|partial| partial.first_time() <= cut);
        if let Some(absence) = &mut self.absence {
            let old = |waiting: &mut Waiting| waiting.events.first().is_none_or(|first| first.time() <= cut);
            evicted += absence
                .waiting
                .extract_if(.., old)
                .map(|waiting| waiting.events.len())
                .sum::<usize>();
            let cut = cut.as_millis();
            for seen in &mut absence.watches {
                if seen.latest.take_if(|latest| *latest <= cut).is_some() {
                    *seen = Seen::default();
                    evicted += 1;
                }
            }
            if absence.waiting.is_empty() && absence.watches.iter().all(|seen| seen.latest.is_none()) {
                self.absence = None;
            }
        }
        evicted
    }

    fn drop_partials(&mut self, gone: impl Fn(&Partial) -> bool) -> usize {
        let before = self.held;
        for place in &mut self.partials {
            if let Some(old) = place.take_if(|partial| gone(partial)) {
                self.held -= old.events.len();
            }
        }
        if self.held == 0 {
            self.partials = SmallVec::new();
        }
        before - self.held
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.held == 0 && self.absence.is_none()
    }

    /// The time after which [`Machine::expire`] or [`Machine::pass`] has something to do.
    pub(crate) fn next_change(&self, shape: &Shape) -> Option<Instant> {
        let maxspan = shape.maxspan?;
        let first = self.partials.iter().flatten().map(Partial::first_time).min();
        let expiry = first.map(|first| later_by(first, maxspan));
        let watches = self
            .absence
            .as_ref()
            .filter(|absence| absence.waiting.is_empty())
            .and_then(|absence| {
                let latest = absence.watches.iter().filter_map(|seen| seen.latest).max()?;
                Some(end_of_millisecond(latest.saturating_add(shape.maxspan_millis())))
            });
        expiry
            .into_iter()
            .chain(watches)
            .chain(self.next_deadline())
            .min()
    }

    /// The time after which [`Machine::pass`] has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let waiting = self.absence.iter().flat_map(|absence| &absence.waiting);
        waiting
            .map(|waiting| waiting.deadline)
            .min()
            .map(end_of_millisecond)
    }

    /// Times that the state goes back to.
    pub(crate) fn starts(&self) -> impl Iterator<Item = Instant> {
        let absence = || self.absence.iter();
        let waiting = absence().flat_map(|absence| &absence.waiting);
        let waiting = waiting.filter_map(|waiting| waiting.events.first().map(|first| first.time()));
        let watches = absence()
            .flat_map(|absence| &absence.watches)
            .filter_map(|seen| seen.latest);
        self.partials
            .iter()
            .flatten()
            .map(Partial::first_time)
            .chain(waiting)
            .chain(watches.map(Instant::from_millis))
    }

    /// Bytes on the heap beside the candidates themselves.
    pub(crate) fn heap_bytes(&self) -> usize {
        let partials = if self.partials.spilled() {
            self.partials.capacity() * size_of::<Option<Partial>>()
        } else {
            0
        };
        let absence = self.absence.as_ref().map_or(0, |absence| {
            let events = absence.waiting.first().map_or(0, |waiting| waiting.events.len());
            let waiting = absence.waiting.capacity() * size_of::<Waiting>()
                + absence.waiting.len() * references(events);
            size_of::<Absence>() + waiting
        });
        partials + references(self.held) + absence
    }
}

/// A millisecond has passed when its last nanosecond has.
fn end_of_millisecond(millis: i64) -> Instant {
    later_by(Instant::from_millis(millis), 999_999)
}

/// Bytes of so many references to candidates, room to grow included.
pub(crate) fn references(number: usize) -> usize {
    2 * number * size_of::<Arc<Candidate>>()
}
