//! From the stages that an event satisfies to step matches. Many stages join by the same fields and nearly all rules order
//! events by the same ones, so that keys, times and what carries them are made once for each event.

use std::cell::LazyCell;
use std::sync::Arc;

use neph_event::{Instant, Row, Slot, Value, ValueRef};
use smallvec::SmallVec;

use crate::program::{CompiledKey, CompiledOrder, CompiledStage};
use crate::sighting::{self, KeyRange, Sighting, Tuple};
use crate::{Event, Ordinal, Program, StepMatch};

/// So many tuples of join keys are made of one event for one stage.
const MAX_KEY_TUPLES: usize = 10_000;

/// Room for so many bytes of join keys is kept from event to event.
const KEPT_BYTES: usize = 64 << 10;

/// What the stages that the current event satisfies have in common. It keeps its room from event to event.
#[derive(Debug)]
pub(crate) struct Joining {
    /// Events are counted.
    event: u64,
    /// By what rules order events by: the event it was last asked for, and what came of it.
    orders: Vec<(u64, Option<Ordinal>)>,
    /// By what stages join by, likewise.
    joins: Vec<(u64, Joined)>,
    /// The join keys of the event, each once.
    bytes: Vec<u8>,
    steps: Vec<(u32, StepKeys)>,
    /// By what they are ordered by, and, if they are without the event, by the keys that they are of.
    sightings: Vec<(u32, Option<KeyRange>, Arc<Sighting>)>,
    /// Stands for events of which only the time counts.
    bare: Arc<Event>,
    /// Whether nothing does.
    pub(crate) keeps_documents: bool,
}

/// What an event has for the fields that a stage joins by.
#[derive(Clone, Copy, Debug)]
enum Joined {
    /// A key that is not optional has no value.
    Not,
    /// One value each, as nearly always.
    One(KeyRange),
    Several,
}

#[derive(Debug)]
enum StepKeys {
    Shared(KeyRange),
    /// One of several tuples, which may be many and long: each is a piece of its own.
    Apart(Vec<u8>),
}

impl Joining {
    pub(crate) fn new(program: &Program) -> Self {
        Self {
            event: 0,
            orders: vec![(0, None); program.orders.len()],
            joins: vec![(0, Joined::Not); program.joins.len()],
            bytes: Vec::new(),
            steps: Vec::new(),
            sightings: Vec::new(),
            bare: Arc::new(Event::bare()),
            keeps_documents: false,
        }
    }

    pub(crate) fn next_event(&mut self) {
        self.event += 1;
        self.bytes.clear();
        self.steps.clear();
    }

    /// Whether the event has a place in this order.
    pub(crate) fn has_time(&mut self, program: &Program, order: u32, row: &Row, position: u64) -> bool {
        self.ordinal(program, order, row, position).is_some()
    }

    fn ordinal(&mut self, program: &Program, order: u32, row: &Row, position: u64) -> Option<&Ordinal> {
        let compiled = program.orders.get(order as usize)?;
        let (event, known) = self.orders.get_mut(order as usize)?;
        if std::mem::replace(event, self.event) != self.event {
            *known = ordinal(*compiled, row, position);
        }
        known.as_ref()
    }

    /// Takes a stage that the event satisfies, with all tuples of its join keys. How many tuples were too many.
    pub(crate) fn join(&mut self, program: &Program, number: u32, stage: &CompiledStage, row: &Row) -> u64 {
        let Some(keys) = program.joins.get(stage.join as usize) else {
            return 0;
        };
        let Some((event, known)) = self.joins.get_mut(stage.join as usize) else {
            return 0;
        };
        if std::mem::replace(event, self.event) != self.event {
            *known = single(keys, row, &mut self.bytes);
        }
        match *known {
            Joined::Not => {}
            Joined::One(range) => self.steps.push((number, StepKeys::Shared(range))),
            Joined::Several => {
                let (tuples, dropped) = product(keys, row);
                for tuple in tuples {
                    let (_, bytes) = sighting::written(&tuple);
                    self.steps.push((number, StepKeys::Apart(bytes)));
                }
                return dropped;
            }
        }
        0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Gives the step matches of all that was taken; how many they are.
    pub(crate) fn give(
        &mut self,
        program: &Program,
        row: &Row,
        position: u64,
        make: impl FnOnce() -> Event,
        mut give: impl FnMut(StepMatch),
    ) -> u64 {
        let mut steps = std::mem::take(&mut self.steps);
        let given = steps.len() as u64;
        let bare = Arc::clone(&self.bare);
        let whole = LazyCell::new(|| Arc::new(make()));
        for (number, keys) in steps.drain(..) {
            let Some(stage) = program.stages.get(number as usize) else {
                continue;
            };
            let Some(rule) = program.rules.get(stage.rule.0 as usize) else {
                continue;
            };
            let is_bare = stage.is_missing && !self.keeps_documents;
            let event = || {
                if is_bare {
                    Arc::clone(&bare)
                } else {
                    Arc::clone(&whole)
                }
            };
            let (keys, sighting) = match keys {
                StepKeys::Shared(range) => {
                    // Of what only the time counts there may be very many: they have no other keys.
                    let own = is_bare.then_some(range);
                    let is_same = |known: &&(u32, Option<KeyRange>, Arc<Sighting>)| {
                        (known.0, known.1) == (rule.order, own)
                    };
                    let sighting = match self.sightings.iter().find(is_same) {
                        Some((_, _, known)) => Arc::clone(known),
                        None => {
                            let ordinal = self.ordinal(program, rule.order, row, position).cloned();
                            let bytes = self.bytes.as_slice();
                            let keys = SmallVec::from_slice(own.map_or(bytes, |own| own.of(bytes)));
                            let sighting = Arc::new(Sighting::new(event(), ordinal, position, keys));
                            self.sightings.push((rule.order, own, Arc::clone(&sighting)));
                            sighting
                        }
                    };
                    (own.map_or(range, KeyRange::alone), sighting)
                }
                StepKeys::Apart(bytes) => {
                    let ordinal = self.ordinal(program, rule.order, row, position).cloned();
                    let range = KeyRange::of_all(&bytes);
                    let sighting = Sighting::new(event(), ordinal, position, bytes.into());
                    (range, Arc::new(sighting))
                }
            };
            let counted = counted_values(stage, row);
            give(StepMatch::of(stage.rule, stage.step, counted, keys, sighting));
        }
        self.sightings.clear();
        steps.shrink_to(MAX_KEY_TUPLES);
        self.bytes.shrink_to(KEPT_BYTES);
        self.steps = steps;
        given
    }
}

/// The event's place in an order; `None` where it has no readable time. A time field without a declared type counts where it
/// reads as ISO 8601 or epoch milliseconds.
fn ordinal(order: CompiledOrder, row: &Row, position: u64) -> Option<Ordinal> {
    let time: Instant = crate::values::instant(row.first(order.time?)?)?;
    let tiebreaker = order.tiebreaker.and_then(|slot| row.first(slot));
    Some(Ordinal {
        time,
        tiebreaker: tiebreaker.map(ValueRef::to_owned),
        position,
    })
}

/// The tuple of join keys of an event that has one value of each, appended to `bytes`. A stage without keys has the one
/// empty tuple.
fn single(keys: &[CompiledKey], row: &Row, bytes: &mut Vec<u8>) -> Joined {
    let start = bytes.len();
    let mut joined = Joined::Not;
    for key in keys {
        let slot = first_with_value(&key.slots, row);
        let mut values = slot.into_iter().flat_map(|slot| row.values(slot));
        match (values.next(), values.next()) {
            (None, _) if !key.optional => {
                bytes.truncate(start);
                return Joined::Not;
            }
            (value, None) => sighting::write(value, bytes),
            (_, Some(_)) => joined = Joined::Several,
        }
    }
    match (joined, KeyRange::from(start, bytes)) {
        (Joined::Not, Some(range)) => Joined::One(range),
        _ => {
            bytes.truncate(start);
            Joined::Several
        }
    }
}

/// The cartesian product of the distinct values of each key, and how many tuples were left out of it. Empty where a key
/// that is not optional has no value.
fn product(keys: &[CompiledKey], row: &Row) -> (Vec<Tuple>, u64) {
    let mut tuples = vec![Tuple::new()];
    let mut wanted = 1_u64;
    for key in keys {
        let values = distinct_values(key, row);
        wanted = wanted.saturating_mul(values.len() as u64);
        let mut longer = Vec::with_capacity(tuples.len().saturating_mul(values.len()).min(MAX_KEY_TUPLES));
        'product: for tuple in &tuples {
            for value in &values {
                if longer.len() == MAX_KEY_TUPLES {
                    break 'product;
                }
                let mut tuple = tuple.clone();
                tuple.push(value.clone());
                longer.push(tuple);
            }
        }
        tuples = longer;
    }
    let left_out = wanted.saturating_sub(tuples.len() as u64);
    (tuples, left_out)
}

/// The values of the field whose values are counted or measured, if any.
fn counted_values(stage: &CompiledStage, row: &Row) -> Box<[Value]> {
    if stage.counted.is_empty() {
        return Box::default();
    }
    let slot = first_with_value(&stage.counted, row).into_iter();
    slot.flat_map(|slot| row.values(slot))
        .map(ValueRef::to_owned)
        .collect()
}

fn first_with_value(slots: &[Slot], row: &Row) -> Option<Slot> {
    let mut slots = slots.iter().copied();
    slots.find(|slot| row.values(*slot).next().is_some())
}

fn distinct_values(key: &CompiledKey, row: &Row) -> SmallVec<[Option<Value>; 1]> {
    let mut values: SmallVec<[Option<Value>; 1]> = first_with_value(&key.slots, row)
        .into_iter()
        .flat_map(|slot| row.values(slot))
        .map(|value| Some(value.to_owned()))
        .collect();
    if values.len() > 1 {
        values.sort_unstable();
        values.dedup();
    }
    if values.is_empty() && key.optional {
        values.push(None);
    }
    values
}
