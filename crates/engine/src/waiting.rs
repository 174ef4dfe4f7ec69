//! Candidates of a sequence of which some step was not seen yet: while that is so nothing can match, so they are kept as they
//! come, without partitions, order and schedule. Of most rules this is all that ever happens: their later steps are what
//! every host does all day, and their first step is what nobody does. Where nothing is told before all has come, candidates
//! are kept like that anyway, and what is settled is looked through at once, join key by join key.
//!
//! What can never be part of a match any more is dropped, by what the state machine would make of it: of events that
//! are settled only what fills a slot before the first one that nothing filled, and for no longer than `maxspan`.

use std::collections::VecDeque;
use std::sync::Arc;

use ahash::AHashSet;
use neph_event::Instant;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::candidate::{END, JoinKey, later_by};
use crate::shape::{Role, Shape};
use crate::sighting::{self, KeyRange, Sighting, Tuple};
use crate::state;
use crate::{Event, Ordinal};

/// Fewer are not looked through for what can be dropped.
const FEW: usize = 64;

/// So many stand in one block: what grows beyond is neither copied nor asked of the system as one piece.
const BLOCK: usize = 128;

/// Absence is judged by whole milliseconds, so that what is `maxspan` old may count a millisecond longer.
const MILLISECOND: u64 = 1_000_000;

/// A candidate that waits. There are many, and most go as they came: all but its time and its step is elsewhere.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) step: u16,
    pub(crate) time: Instant,
    keys: KeyRange,
    sighting: Arc<Sighting>,
}

/// A candidate that waits, as it is written.
#[derive(Deserialize, Serialize)]
struct Written {
    step: u16,
    keys: JoinKey,
    ordinal: Ordinal,
    #[serde(with = "state::event")]
    event: Arc<Event>,
}

impl Held {
    /// A candidate of an event that happened then.
    pub(crate) fn new(step: u16, time: Instant, keys: KeyRange, sighting: Arc<Sighting>) -> Self {
        Self {
            step,
            time,
            keys,
            sighting,
        }
    }

    pub(crate) fn ordinal(&self) -> Option<&Ordinal> {
        self.sighting.ordinal.as_ref()
    }

    pub(crate) fn event(&self) -> &Arc<Event> {
        &self.sighting.event
    }

    /// The join keys as bytes.
    pub(crate) fn key(&self) -> &[u8] {
        self.sighting.key(self.keys)
    }

    /// The join keys.
    pub(crate) fn keys(&self) -> Tuple {
        sighting::read(self.key())
    }

    /// The same without the event, of which only the time counts, and the bytes that it refers to.
    pub(crate) fn without_event(mut self, bare: &Arc<Event>) -> (Self, usize) {
        let ordinal = self.ordinal().cloned();
        let key = self.key();
        let sighting = Sighting::new(Arc::clone(bare), ordinal, self.sighting.position, key.into());
        let bytes = sighting.bytes;
        self.keys = KeyRange::of_all(key);
        self.sighting = Arc::new(sighting);
        (self, bytes)
    }
}

impl Serialize for Held {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let ordinal = self.ordinal().cloned();
        let written = Written {
            step: self.step,
            keys: self.keys().into_iter().collect(),
            ordinal: ordinal.ok_or_else(|| serde::ser::Error::custom("a candidate has no time"))?,
            event: Arc::clone(self.event()),
        };
        written.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Held {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Written {
            step,
            keys,
            ordinal,
            event,
        } = Written::deserialize(from)?;
        let (keys, bytes) = sighting::written(&keys);
        Ok(Self {
            step,
            time: ordinal.time,
            keys,
            sighting: Arc::new(Sighting::new(
                event,
                Some(ordinal.clone()),
                ordinal.position,
                bytes.into(),
            )),
        })
    }
}

/// What becomes of a candidate.
enum Fate {
    Stays,
    IsDue,
    Goes,
}

#[derive(Debug)]
struct Block {
    held: VecDeque<Held>,
    /// None of them happened before.
    earliest: Instant,
}

/// Candidates of a rule that cannot match yet.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// In the order in which they came, in blocks of at most so many.
    blocks: VecDeque<Block>,
    held: usize,
    /// How many of them are of each step.
    of_step: Vec<u32>,
    /// Bytes on the heap beside the blocks.
    bytes: usize,
    /// When there are so many it is worth looking for what can be dropped.
    look_at: usize,
}

impl Waiting {
    /// The candidates of a state that was written.
    pub(crate) fn of(held: Vec<Held>) -> Self {
        let mut waiting = Self::default();
        for held in held {
            let bytes = held.sighting.bytes;
            waiting.push(held, bytes);
        }
        waiting
    }

    /// The candidates, in the order in which they came.
    pub(crate) fn held(&self) -> impl Iterator<Item = &Held> {
        self.blocks.iter().flat_map(|block| &block.held)
    }

    pub(crate) fn into_held(self) -> impl Iterator<Item = Held> {
        self.blocks.into_iter().flat_map(|block| block.held)
    }

    /// No event before `frontier` comes any more: takes out what happened before it and can be part of a match, and drops what cannot.
    /// What lacks a partner that may still come stays until it is too old for one, if it ever is; with `all` it is taken, too.
    /// Candidates of `open` keys may match with what was taken before.
    pub(crate) fn take_due<'k>(
        &mut self,
        shape: &Shape,
        frontier: Instant,
        open: impl Iterator<Item = &'k JoinKey>,
        all: bool,
    ) -> Vec<Held> {
        let rarest = self.rarest(shape);
        let (mut hashes, mut keys) = (AHashSet::new(), AHashSet::new());
        for open in open {
            let (range, bytes) = sighting::written(open);
            hashes.insert(range.hash);
            keys.insert(bytes.into_boxed_slice());
        }
        if let Some((step, _)) = rarest.filter(|(step, _)| self.count(*step) > 0) {
            for held in self.held().filter(|held| held.step == step) {
                hashes.insert(held.keys.hash);
                keys.insert(held.key().into());
            }
        }
        let may_match = |held: &Held| hashes.contains(&held.keys.hash) && keys.contains(held.key());
        let stays = !all && shape.maxspan.is_some();
        self.sift(frontier, |held| {
            let is_useless = || rarest.is_some_and(|(_, slot)| is_useless(shape, held, slot, frontier));
            match held.time < frontier {
                false => Fate::Stays,
                true if may_match(held) => Fate::IsDue,
                true if is_useless() => Fate::Goes,
                true if stays => Fate::Stays,
                true => Fate::IsDue,
            }
        })
    }

    /// The step that must happen of which there are fewest, and the first slot that it fills.
    fn rarest(&self, shape: &Shape) -> Option<(u16, u16)> {
        let steps = 0..u16::try_from(shape.steps()).unwrap_or(u16::MAX);
        let positive = steps.filter_map(|step| match shape.role(step) {
            Some(Role::Positive { first, .. }) => Some((step, first)),
            _ => None,
        });
        positive.min_by_key(|(step, _)| self.count(*step))
    }

    fn count(&self, step: u16) -> u32 {
        self.of_step.get(usize::from(step)).copied().unwrap_or(0)
    }

    /// Takes a candidate; what it refers to has so many bytes.
    pub(crate) fn push(&mut self, held: Held, bytes: usize) {
        let step = usize::from(held.step);
        if self.of_step.len() <= step {
            self.of_step.resize(step + 1, 0);
        }
        if let Some(count) = self.of_step.get_mut(step) {
            *count += 1;
        }
        self.bytes += bytes;
        self.held += 1;
        self.append(held);
    }

    fn append(&mut self, held: Held) {
        match self.blocks.back_mut() {
            Some(block) if block.held.len() < BLOCK => {
                block.earliest = block.earliest.min(held.time);
                block.held.push_back(held);
            }
            _ => {
                // Most rules hold few.
                let room = if self.blocks.is_empty() { 1 } else { BLOCK };
                let mut block = Block {
                    earliest: held.time,
                    held: VecDeque::with_capacity(room),
                };
                block.held.push_back(held);
                self.blocks.push_back(block);
            }
        }
    }

    /// Does with each candidate before `frontier` what `fate` says, and gives those that are due.
    fn sift(&mut self, frontier: Instant, fate: impl Fn(&Held) -> Fate) -> Vec<Held> {
        let (mut due, mut gone) = (Vec::new(), Vec::new());
        for block in std::mem::take(&mut self.blocks) {
            if block.earliest >= frontier {
                self.blocks.push_back(block);
                continue;
            }
            for held in block.held {
                match fate(&held) {
                    Fate::Stays => self.append(held),
                    Fate::IsDue => due.push(held),
                    Fate::Goes => gone.push(held),
                }
            }
            // What they hold has long left the processor's cache. Looking at all of it first waits once for many.
            gone.iter().for_each(|gone| self.uncount(gone));
            gone.clear();
        }
        due.iter().for_each(|due| self.uncount(due));
        due
    }

    /// The first slot that nothing filled, should an event of this step come too.
    pub(crate) fn first_missing(&self, shape: &Shape, with: Option<u16>) -> Option<u16> {
        let steps = 0..u16::try_from(shape.steps()).unwrap_or(u16::MAX);
        let has_none = |step: &u16| Some(*step) != with && self.count(*step) == 0;
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
        while let Some(block) = self.blocks.front_mut() {
            match block.held.front() {
                Some(held) if !useless(held) => break,
                Some(_) => {
                    let gone = block.held.pop_front();
                    gone.iter().for_each(|gone| self.uncount(gone));
                }
                None => drop(self.blocks.pop_front()),
            }
        }
        if self.held >= self.look_at.max(FEW) {
            self.drop_useless(shape, frontier);
        }
    }

    /// Drops all of that.
    pub(crate) fn drop_useless(&mut self, shape: &Shape, frontier: Instant) {
        let Some(useless) = self.useless(shape, frontier) else {
            return;
        };
        self.sift(frontier, |held| match useless(held) {
            true => Fate::Goes,
            false => Fate::Stays,
        });
        self.look_at = 2 * self.held;
    }

    fn uncount(&mut self, gone: &Held) {
        self.bytes -= gone.sighting.bytes;
        self.held -= 1;
        if let Some(count) = self.of_step.get_mut(usize::from(gone.step)) {
            *count -= 1;
        }
    }

    /// What cannot be part of a match any more; nothing where a match may be near.
    fn useless<'s>(&self, shape: &'s Shape, frontier: Instant) -> Option<impl Fn(&Held) -> bool + use<'s>> {
        let missing = self.first_missing(shape, None)?;
        Some(move |held: &Held| is_useless(shape, held, missing, frontier))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Bytes of all of it.
    pub(crate) fn bytes(&self) -> usize {
        let last = self.blocks.back().map_or(0, |block| block.held.capacity());
        let room = self.blocks.len().saturating_sub(1) * BLOCK + last;
        self.bytes + room * size_of::<Held>() + self.blocks.capacity() * size_of::<Block>()
    }

    /// The distinct join keys, as bytes.
    pub(crate) fn keys(&self) -> AHashSet<&[u8]> {
        self.held().map(Held::key).collect()
    }
}

/// Whether a candidate cannot be part of a match any more, as nothing fills the slot `missing` that happened before `frontier`.
fn is_useless(shape: &Shape, held: &Held, missing: u16, frontier: Instant) -> bool {
    let time = held.time;
    let (follows, margin) = match shape.role(held.step) {
        Some(Role::Positive { first, .. }) => (first > missing, 0),
        _ => (false, MILLISECOND),
    };
    let waits_for_first = missing == 0 && !shape.starts_missing;
    let is_old = |span: u64| later_by(time, span.saturating_add(margin)) < frontier;
    let nothing_comes = frontier == END;
    time < frontier && (nothing_comes || waits_for_first || follows || shape.maxspan.is_some_and(is_old))
}
