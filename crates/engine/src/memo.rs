//! What was found for values that came before.
//!
//! Logs repeat themselves: the same programs, users, actions and hosts stand in event after event. So the values of a field
//! get a number when they are first seen, and what follows from them alone is kept under it: the waiters that they satisfy
//! (see [`crate::route`]) and the truths of tests of texts. A value that comes again costs one look-up by its hash instead of
//! searching it for the literals of all rules.
//!
//! What is kept is bounded, and forgotten as a whole when it grows too large: what is common is back at once. Fields whose
//! values do not come again are left alone for a while, so that they cost nothing.

use ahash::RandomState;

use crate::nodes::NodeId;

/// So many values are kept.
const VALUES: usize = 1 << 14;
/// So many bytes of texts.
const TEXTS: usize = 2 << 20;
/// So many waiters of all values together.
const WAITERS: usize = 1 << 18;
/// So many truths.
const TRUTHS: usize = 1 << 15;
/// Longer values are not looked for.
pub(crate) const LONGEST: usize = 1 << 10;
/// After so many it is seen whether what is looked for comes again.
const TRIAL: u16 = 512;
/// It is left alone where less than one in so many did.
const ENOUGH: u16 = 4;
/// For so many at first; twice as many each further time, so many times.
const REST: u32 = 1_024;
const LONGER: u32 = 4;

/// The number of a value of a field. Numbers are given anew when everything was forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known(u32);

/// What a value that is looked for turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    /// Nothing yet.
    No,
    /// A range of the waiters.
    Waiters(u32, u32),
}

/// The memory of one thread.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    hasher: RandomState,
    /// Open addressing by hash: the numbers of values, and one more, so that 0 is free.
    places: Box<[u32]>,
    values: Vec<Value>,
    texts: Vec<u8>,
    waiters: Vec<u32>,
    /// By a hash of value and test: both, and the truth. 0 is free.
    truths: Box<[u64]>,
    habits: Vec<Habit>,
    /// How often everything was forgotten.
    #[cfg(test)]
    pub(crate) forgotten: usize,
}

#[derive(Debug)]
struct Value {
    hash: u64,
    slot: u32,
    start: u32,
    end: u32,
    waiters: Kept,
    /// What gates tell of it, see [`crate::kinds`].
    class: Option<u32>,
}

/// How often what is looked for has been there before, such as the values of a field.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Habit {
    seen: u16,
    again: u16,
    /// So many more are not looked for.
    rest: u32,
    /// How often in a row it was so.
    rests: u32,
}

impl Habit {
    /// Whether the next one is to be looked for.
    #[inline]
    pub(crate) fn is_wanted(&mut self) -> bool {
        let rest = self.rest.checked_sub(1);
        self.rest = rest.unwrap_or(0);
        rest.is_none()
    }

    /// Counts one that was looked for.
    #[inline]
    pub(crate) fn tell(&mut self, again: bool) {
        self.seen += 1;
        self.again += u16::from(again);
        if self.seen == TRIAL {
            if self.again < TRIAL / ENOUGH {
                self.rest = REST << self.rests.min(LONGER);
                self.rests += 1;
            } else {
                self.rests = 0;
            }
            (self.seen, self.again) = (0, 0);
        }
    }
}

impl Memo {
    pub(crate) fn new(slots: usize) -> Self {
        Self {
            places: vec![0; VALUES * 2].into(),
            truths: vec![0; TRUTHS].into(),
            habits: vec![Habit::default(); slots],
            ..Self::default()
        }
    }

    /// Forgets all values. Numbers given before mean nothing then.
    pub(crate) fn forget(&mut self) {
        self.places.fill(0);
        self.values.clear();
        self.texts.clear();
        self.waiters.clear();
        self.truths.fill(0);
        #[cfg(test)]
        {
            self.forgotten += 1;
        }
    }

    /// Whether there may be no room for what one more event brings. What is known of an event must not be forgotten before the
    /// next one.
    pub(crate) fn is_full(&self) -> bool {
        self.values.len() >= VALUES || self.texts.len() >= TEXTS || self.waiters.len() >= WAITERS
    }

    /// Whether values of a slot are looked for now.
    #[inline]
    pub(crate) fn is_wanted(&mut self, slot: u32) -> bool {
        self.habits.get_mut(slot as usize).is_some_and(Habit::is_wanted)
    }

    /// The number of a value of a slot, which gets one if it has none. Several values at once are told apart by a byte between
    /// them that no text has.
    #[inline]
    pub(crate) fn know(&mut self, slot: u32, value: &[u8]) -> Option<Known> {
        let hash = self.hasher.hash_one((slot, value));
        let mask = self.places.len().checked_sub(1)?;
        #[expect(clippy::cast_possible_truncation, reason = "any bits of a hash will do")]
        let mut at = hash as usize & mask;
        // The table is at most half full, so that a free place is found.
        loop {
            let Some(number) = self.places.get(at)?.checked_sub(1) else {
                break;
            };
            let there = self.values.get(number as usize)?;
            if there.hash == hash
                && there.slot == slot
                && self.texts.get(there.start as usize..there.end as usize) == Some(value)
            {
                if let Some(habit) = self.habits.get_mut(slot as usize) {
                    habit.tell(true);
                }
                return Some(Known(number));
            }
            at = (at + 1) & mask;
        }
        if let Some(habit) = self.habits.get_mut(slot as usize) {
            habit.tell(false);
        }
        // Only what one event has beyond the limits finds no room.
        let number = u32::try_from(self.values.len()).ok()?;
        if self.values.len() >= VALUES * 3 / 2 {
            return None;
        }
        let start = u32::try_from(self.texts.len()).ok()?;
        self.texts.extend_from_slice(value);
        self.values.push(Value {
            hash,
            slot,
            start,
            end: u32::try_from(self.texts.len()).ok()?,
            waiters: Kept::No,
            class: None,
        });
        *self.places.get_mut(at)? = number + 1;
        Some(Known(number))
    }

    /// The waiters that a value satisfies, if they were kept.
    #[inline]
    pub(crate) fn waiters(&self, value: Known) -> Option<&[u32]> {
        match self.values.get(value.0 as usize)?.waiters {
            Kept::No => None,
            Kept::Waiters(start, end) => self.waiters.get(start as usize..end as usize),
        }
    }

    /// Keeps the waiters that a value satisfies.
    pub(crate) fn keep_waiters(&mut self, value: Known, waiters: &[u32]) {
        let start = u32::try_from(self.waiters.len());
        let end = u32::try_from(self.waiters.len() + waiters.len());
        if let (Ok(start), Ok(end), Some(value)) = (start, end, self.values.get_mut(value.0 as usize)) {
            self.waiters.extend_from_slice(waiters);
            value.waiters = Kept::Waiters(start, end);
        }
    }

    /// The class of a value, if it was kept.
    #[inline]
    pub(crate) fn class(&self, value: Known) -> Option<u32> {
        self.values.get(value.0 as usize)?.class
    }

    /// Keeps the class of a value.
    pub(crate) fn keep_class(&mut self, value: Known, class: u32) {
        if let Some(value) = self.values.get_mut(value.0 as usize) {
            value.class = Some(class);
        }
    }

    /// Whether a value passes a test, if that was kept.
    #[inline]
    pub(crate) fn truth(&self, value: Known, test: NodeId) -> Option<bool> {
        let (place, key) = truth_place(value, test);
        let kept = *self.truths.get(place)?;
        (kept >> 1 == key).then_some(kept & 1 == 1)
    }

    /// Keeps whether a value passes a test.
    #[inline]
    pub(crate) fn keep_truth(&mut self, value: Known, test: NodeId, truth: bool) {
        let (place, key) = truth_place(value, test);
        if let Some(kept) = self.truths.get_mut(place) {
            *kept = key << 1 | u64::from(truth);
        }
    }
}

/// Where the truth of a test of a value is kept, and what tells it from others: 31 bits of each are enough for the numbers
/// that there are, and no key is 0.
#[inline]
fn truth_place(value: Known, test: NodeId) -> (usize, u64) {
    let key = u64::from(value.0 + 1) << 31 | u64::from(test.0 & 0x7fff_ffff);
    #[expect(clippy::cast_possible_truncation, reason = "the highest bits of 64 are taken")]
    let place = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - TRUTHS.ilog2())) as usize;
    (place, key)
}
