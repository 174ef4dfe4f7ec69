//! What was found for values that came before.
//!
//! Logs repeat themselves: the same programs, users, actions and hosts stand in event after event. So texts get a number when
//! they are first seen, and what follows from them alone is kept under it: the waiters that they satisfy where they stand
//! (see [`crate::route`]), their class, and the truths of tests of texts, whatever field they stand in. A value that comes again costs
//! one look-up by its hash instead of searching it for the literals of all rules.
//!
//! What is known of a text stands beside it, since most of the time that a look-up takes is the way to memory that has left the
//! processor's caches: what finds no room there is filed by itself.
//!
//! A text gets its number when it comes for the second time. That it came before is told by a small table of parts of hashes, so that
//! what never comes again takes no room, and no look into a large table.
//!
//! What is kept is bounded, some 6 MiB for each thread, and forgotten as a whole when it grows too large: what is common is back at
//! once. Fields whose values do not come again are left alone for a while, so that they cost nothing.

use std::fmt::Write as _;
use std::hash::{BuildHasher, Hasher};
use std::num::NonZeroU32;

use ahash::RandomState;
use neph_event::{Row, Slot, ValueRef};

use crate::nodes::NodeId;

/// So many texts are kept; in tests so few that they are forgotten often. There is room for so few of them at first.
const VALUES: usize = if cfg!(test) { 1 << 5 } else { 1 << 14 };
const FIRST_VALUES: usize = if cfg!(test) { VALUES / 2 } else { VALUES / 8 };
/// Of so many texts that came last it is known that they did.
const SEEN: usize = if cfg!(test) { 1 << 6 } else { 1 << 14 };
/// So many bytes of texts.
const TEXTS: usize = 2 << 20;
/// So many waiters of all values together.
const WAITERS: usize = 1 << 18;
/// So many facts, and so many truths, that have no room beside their texts.
const FACTS: usize = if cfg!(test) { 1 << 5 } else { 1 << 14 };
const TRUTHS: usize = if cfg!(test) { 1 << 4 } else { 1 << 14 };
/// Longer values are not looked for.
const LONGEST: usize = 1 << 10;
/// Lists of more values are not looked for.
const MANY: usize = 32;
/// Stands between the texts of several values; no text has this byte.
const SEPARATOR: u8 = 0xff;
/// After so many it is seen whether what is looked for comes again.
const TRIAL: u16 = 512;
/// It is left alone where less than one in so many did.
const ENOUGH: u16 = 4;
/// For so many at first; twice as many each further time, so many times.
const REST: u32 = 1_024;
const LONGER: u32 = 4;

/// The number of a text. Numbers are given anew when everything was forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known(NonZeroU32);

/// What a fact is about beside a text: a slot, or what is sought in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// The class of the slot's values.
    Class(Slot),
    /// The waiters of all groups.
    All(Slot),
    /// The waiters of some groups, see [`crate::kinds`].
    View(u32),
}

/// The memory of one thread.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    hasher: RandomState,
    /// Open addressing by hash. The number of a text is its place, counted from 1.
    entries: Box<[Entry]>,
    /// How many texts there are.
    texts: usize,
    /// By one part of a hash another part of it, of the text that came last.
    seen: Box<[u16]>,
    bytes: Vec<u8>,
    /// By a hash of what they are about and the text, two to a place.
    facts: Box<[[Fact; 2]]>,
    waiters: Vec<u32>,
    /// By a hash of text and test: both, and the truth. 0 is free.
    truths: Box<[u64]>,
    slots: Vec<OfSlot>,
    event: u32,
    /// Room for several values at once.
    separated: Vec<u8>,
    /// Room for a value that is no text.
    written: String,
    /// How often everything was forgotten.
    #[cfg(test)]
    pub(crate) forgotten: usize,
}

/// What tells a text from others: up to 16 bytes wholly, and longer ones mostly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Key {
    head: u64,
    tail: u64,
    /// Twice the number of bytes, and 1 more for a text that has its escapes: it is not the one that looks the same without.
    length: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Text {
    key: Key,
    start: u32,
}

/// A text with what follows from it. It fills a line of the processor's caches.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Entry {
    text: Text,
    /// What facts are about (0 where there is none), and what was found; the newest first.
    facts: [(u32, (u32, u32)); 2],
    /// Tests, and whether the text passes them: see [`truth_of`]. The newest first.
    truths: [u32; 4],
}

impl Entry {
    /// None is so long.
    const FREE: Self = Self {
        text: Text {
            key: Key {
                head: 0,
                tail: 0,
                length: u32::MAX,
            },
            start: 0,
        },
        facts: [(0, (0, 0)); 2],
        truths: [0; 4],
    };

    #[inline(always)]
    fn is_free(&self) -> bool {
        self.text.key.length == u32::MAX
    }
}

/// A fact that has no room beside its text.
#[derive(Clone, Copy, Debug, Default)]
struct Fact {
    about: u32,
    /// The number of the text; 0 where there is no fact.
    text: u32,
    /// A class, or a range of the waiters.
    found: (u32, u32),
}

/// What is known of a slot.
#[derive(Clone, Copy, Debug, Default)]
struct OfSlot {
    /// The last event that its text was asked for.
    event: u32,
    /// The text that it has in this event.
    known: Option<Known>,
    /// The text that was found last, with its number.
    last: Option<Known>,
    text: Text,
    habit: Habit,
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

impl Key {
    #[inline(always)]
    fn of(text: &[u8], is_raw: bool) -> Self {
        let (head, tail) = if let (Some(head), Some(tail)) = (text.first_chunk(), text.last_chunk()) {
            (u64::from_le_bytes(*head), u64::from_le_bytes(*tail))
        } else if let (Some(head), Some(tail)) = (text.first_chunk(), text.last_chunk()) {
            let (head, tail) = (u32::from_le_bytes(*head), u32::from_le_bytes(*tail));
            (head.into(), tail.into())
        } else {
            let bytes = text.iter().rev();
            (bytes.fold(0, |all, byte| all << 8 | u64::from(*byte)), 0)
        };
        Self {
            head,
            tail,
            length: u32::try_from(text.len() * 2).unwrap_or(u32::MAX - 1) | u32::from(is_raw),
        }
    }

    /// Whether it tells all of the text.
    #[inline(always)]
    fn is_whole(&self) -> bool {
        self.length <= 16 * 2 + 1
    }
}

impl Text {
    /// Whether it is this text.
    #[inline(always)]
    fn is(&self, key: Key, text: &[u8], bytes: &[u8]) -> bool {
        let start = self.start as usize;
        self.key == key && (key.is_whole() || bytes.get(start..start + text.len()) == Some(text))
    }
}

impl About {
    #[inline(always)]
    fn number(self) -> u32 {
        match self {
            // Never 0.
            Self::Class(slot) => slot.0 << 2 | 3,
            Self::All(slot) => slot.0 << 2 | 1,
            Self::View(view) => view << 2 | 2,
        }
    }
}

impl Memo {
    pub(crate) fn new(slots: usize) -> Self {
        Self {
            entries: vec![Entry::FREE; FIRST_VALUES * 2].into(),
            seen: vec![0; SEEN].into(),
            facts: vec![Default::default(); FACTS / 2].into(),
            truths: vec![0; TRUTHS].into(),
            slots: vec![OfSlot::default(); slots],
            event: 1,
            ..Self::default()
        }
    }

    /// Goes on to the next event. What is known of an event is not forgotten before.
    pub(crate) fn next_event(&mut self) {
        let is_full = self.has_many() || self.bytes.len() >= TEXTS || self.waiters.len() >= WAITERS;
        if is_full {
            self.forget();
        }
        self.event = self.event.checked_add(1).unwrap_or_else(|| {
            self.slots.iter_mut().for_each(|slot| slot.event = 0);
            1
        });
    }

    /// Whether there are as many texts as there is room for.
    fn has_many(&self) -> bool {
        self.texts >= self.entries.len() / 2
    }

    /// Forgets all values, and has room for more texts where there was too little. Numbers given before mean nothing then.
    pub(crate) fn forget(&mut self) {
        if self.has_many() && self.entries.len() < VALUES * 2 {
            self.entries = vec![Entry::FREE; (self.entries.len() * 4).min(VALUES * 2)].into();
        } else {
            self.entries.fill(Entry::FREE);
        }
        self.facts.fill(Default::default());
        self.truths.fill(0);
        for slot in &mut self.slots {
            (slot.event, slot.known, slot.last) = (0, None, None);
        }
        self.texts = 0;
        self.bytes.clear();
        self.waiters.clear();
        #[cfg(test)]
        {
            self.forgotten += 1;
        }
    }

    /// The number of a slot's values taken together; `None` where they are not looked for.
    #[inline]
    pub(crate) fn known(&mut self, row: &Row, slot: Slot) -> Option<Known> {
        match self.slots.get(slot.0 as usize) {
            Some(of_slot) if of_slot.event == self.event => of_slot.known,
            _ => self.look_for(row, slot),
        }
    }

    fn look_for(&mut self, row: &Row, slot: Slot) -> Option<Known> {
        let of_slot = self.slots.get_mut(slot.0 as usize)?;
        of_slot.event = self.event;
        of_slot.known = None;
        // What the escapes of a text stand for need not be known to know the text again.
        let (text, is_raw) = match (row.only_text(slot), row.only_escaped(slot)) {
            (Some(text), _) => (text, false),
            (None, Some(raw)) => (raw.as_bytes(), true),
            (None, None) => return self.look_for_several(row, slot),
        };
        if text.len() > LONGEST || !of_slot.habit.is_wanted() {
            return None;
        }
        let key = Key::of(text, is_raw);
        if of_slot.last.is_some() && of_slot.text.is(key, text, &self.bytes) {
            of_slot.habit.tell(true);
            of_slot.known = of_slot.last;
            return of_slot.known;
        }
        self.look_up(slot, key, text)
    }

    /// The same for several values, and for those that are no plain texts. They are told apart by a byte between them that no text
    /// has.
    #[inline(never)]
    fn look_for_several(&mut self, row: &Row, slot: Slot) -> Option<Known> {
        let number = row.values(slot).len();
        if number == 0 || number > MANY || row.text_length(slot) > LONGEST {
            return None;
        }
        if !self.slots.get_mut(slot.0 as usize)?.habit.is_wanted() {
            return None;
        }
        let mut separated = std::mem::take(&mut self.separated);
        separated.clear();
        for (place, value) in row.values(slot).enumerate() {
            if place > 0 {
                separated.push(SEPARATOR);
            }
            match value {
                ValueRef::String(text) | ValueRef::Version(text) => {
                    separated.extend_from_slice(text.as_bytes());
                }
                other => {
                    self.written.clear();
                    // Writing to a string does not fail.
                    let _ = write!(self.written, "{other}");
                    separated.extend_from_slice(self.written.as_bytes());
                }
            }
        }
        let known = self.look_up(slot, Key::of(&separated, false), &separated);
        self.separated = separated;
        known
    }

    /// The number of a text, which gets one when it comes again; `None` until then.
    fn look_up(&mut self, slot: Slot, key: Key, text: &[u8]) -> Option<Known> {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u64(key.head);
        hasher.write_u64(key.tail ^ u64::from(key.length) << 48);
        if !key.is_whole() {
            hasher.write(text.get(8..text.len() - 8)?);
        }
        let mask = self.entries.len().checked_sub(1)?;
        #[expect(clippy::cast_possible_truncation, reason = "any bits of a hash will do")]
        let (mut at, place, part) = {
            let hash = hasher.finish();
            (
                hash as usize & mask,
                (hash >> 32) as usize % SEEN,
                (hash >> 48) as u16,
            )
        };
        let most = self.entries.len() / 4 * 3;
        let of_slot = self.slots.get_mut(slot.0 as usize)?;
        let seen = self.seen.get_mut(place)?;
        if *seen != part {
            *seen = part;
            of_slot.habit.tell(false);
            return None;
        }
        // The table is at most three quarters full, so that a free place is found.
        let entry = loop {
            let entry = self.entries.get_mut(at)?;
            if entry.is_free() {
                break entry;
            }
            if entry.text.is(key, text, &self.bytes) {
                of_slot.habit.tell(true);
                return of_slot.keep(entry.text, at);
            }
            at = (at + 1) & mask;
        };
        of_slot.habit.tell(true);
        // Only what one event has beyond the limits finds no room.
        if self.texts >= most {
            return None;
        }
        let start = u32::try_from(self.bytes.len()).ok()?;
        entry.text = Text { key, start };
        self.bytes.extend_from_slice(text);
        self.texts += 1;
        of_slot.keep(entry.text, at)
    }

    #[inline(always)]
    fn entry(&self, text: Known) -> Option<&Entry> {
        self.entries.get(text.0.get() as usize - 1)
    }

    #[inline(always)]
    fn entry_mut(&mut self, text: Known) -> Option<&mut Entry> {
        self.entries.get_mut(text.0.get() as usize - 1)
    }

    /// What was kept about a text.
    #[inline]
    fn fact(&self, text: Known, about: About) -> Option<(u32, u32)> {
        let about = about.number();
        match self.entry(text)?.facts {
            [(first, found), _] if first == about => Some(found),
            [_, (second, found)] if second == about => Some(found),
            [_, (0, _)] => None,
            _ => self.filed(text, about),
        }
    }

    fn filed(&self, text: Known, about: u32) -> Option<(u32, u32)> {
        let text = text.0.get();
        let facts = self.facts.get(fact_place(about, text))?;
        let fact = facts.iter().find(|fact| fact.text == text && fact.about == about);
        fact.map(|fact| fact.found)
    }

    /// Keeps something about a text, in place of what was kept there longer.
    fn keep_fact(&mut self, text: Known, about: About, found: (u32, u32)) {
        let about = about.number();
        let Some(entry) = self.entry_mut(text) else {
            return;
        };
        let [first, second] = entry.facts;
        entry.facts = [(about, found), if first.0 == about { second } else { first }];
        if [0, about].contains(&second.0) || first.0 == about {
            return;
        }
        let ((about, found), text) = (second, text.0.get());
        if let Some([first, second]) = self.facts.get_mut(fact_place(about, text)) {
            if first.text != text || first.about != about {
                *second = *first;
            }
            *first = Fact { about, text, found };
        }
    }

    /// The waiters that a value satisfies, if they were kept.
    #[inline]
    pub(crate) fn waiters(&self, value: Known, about: About) -> Option<&[u32]> {
        let (start, end) = self.fact(value, about)?;
        self.waiters.get(start as usize..end as usize)
    }

    /// Keeps the waiters that a value satisfies.
    pub(crate) fn keep_waiters(&mut self, value: Known, about: About, waiters: &[u32]) {
        let start = u32::try_from(self.waiters.len());
        let end = u32::try_from(self.waiters.len() + waiters.len());
        if let (Ok(start), Ok(end)) = (start, end) {
            self.waiters.extend_from_slice(waiters);
            self.keep_fact(value, about, (start, end));
        }
    }

    /// The class of a slot's value, if it was kept.
    #[inline]
    pub(crate) fn class(&self, value: Known, slot: Slot) -> Option<u32> {
        self.fact(value, About::Class(slot)).map(|(class, _)| class)
    }

    /// Keeps the class of a slot's value.
    pub(crate) fn keep_class(&mut self, value: Known, slot: Slot, class: u32) {
        self.keep_fact(value, About::Class(slot), (class, 0));
    }

    /// Whether a value passes a test, if that was kept.
    #[inline]
    pub(crate) fn truth(&self, value: Known, test: NodeId) -> Option<bool> {
        let truths = &self.entry(value)?.truths;
        let is_about = |truth: &&u32| **truth >> 1 == truth_of(test, false) >> 1;
        if let Some(truth) = truths.iter().find(is_about) {
            return Some(truth & 1 == 1);
        }
        if truths.last() == Some(&0) {
            return None;
        }
        let (place, key) = truth_place(value, test);
        let kept = *self.truths.get(place)?;
        (kept >> 1 == key).then_some(kept & 1 == 1)
    }

    /// Keeps whether a value passes a test.
    #[inline]
    pub(crate) fn keep_truth(&mut self, value: Known, test: NodeId, truth: bool) {
        let Some(entry) = self.entry_mut(value) else {
            return;
        };
        let [first, second, third, last] = entry.truths;
        entry.truths = [truth_of(test, truth), first, second, third];
        if last == 0 {
            return;
        }
        let (place, key) = truth_place(value, NodeId((last >> 1) - 1));
        if let Some(kept) = self.truths.get_mut(place) {
            *kept = key << 1 | u64::from(last & 1);
        }
    }
}

impl OfSlot {
    /// Keeps the text of a slot, which has a place.
    #[inline(always)]
    fn keep(&mut self, text: Text, place: usize) -> Option<Known> {
        let number = u32::try_from(place + 1).ok().and_then(NonZeroU32::new);
        self.text = text;
        self.known = number.map(Known);
        self.last = self.known;
        self.known
    }
}

/// A test and whether something passes it; not 0.
#[inline(always)]
fn truth_of(test: NodeId, truth: bool) -> u32 {
    (test.0 + 1) << 1 | u32::from(truth)
}

/// Where a fact is kept.
#[inline(always)]
fn fact_place(about: u32, text: u32) -> usize {
    let both = u64::from(about) << 32 | u64::from(text);
    place_of(both, FACTS.ilog2() - 1)
}

/// Where the truth of a test of a text is kept, and what tells it from others: 31 bits of each are enough for the numbers
/// that there are, and no key is 0.
#[inline(always)]
fn truth_place(text: Known, test: NodeId) -> (usize, u64) {
    let key = u64::from(text.0.get()) << 31 | u64::from(test.0 & 0x7fff_ffff);
    (place_of(key, TRUTHS.ilog2()), key)
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the highest bits of 64 are taken")]
fn place_of(key: u64, bits: u32) -> usize {
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - bits)) as usize
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use neph_event::{Field, FieldType, Slots, Value};
    use neph_plan::{Case, Condition, EventQuery, FieldId, Leaf, Plan, Query, Span, Test};

    use super::*;
    use crate::{Matcher, Origin, Program, Record};

    /// What is known of the values of slots in a record, each of which is asked for twice: of two whose parts of hashes have one place
    /// the one that came last is known.
    fn known<const N: usize>(memo: &mut Memo, slots: &Slots, json: &str) -> [Option<Known>; N] {
        let mut row = Row::default();
        row.read(slots, json.as_bytes()).unwrap();
        std::array::from_fn(|slot| {
            let slot = Slot(u32::try_from(slot).unwrap());
            [(); 2].map(|()| {
                memo.next_event();
                memo.known(&row, slot)
            })[1]
        })
    }

    #[test]
    fn texts_are_told_apart_and_forgotten_together() {
        let mut slots = Slots::default();
        for path in ["a", "b", "c"] {
            slots.add(Field::new(path, FieldType::Keyword));
        }
        slots.add(Field::new("d", FieldType::Long));
        let mut memo = Memo::new(slots.len());
        let long = "0123456789 and so on 0123456789";
        let [first, other, several, number] =
            known(&mut memo, &slots, r#"{"a":"x","b":"X","c":["x","X"],"d":7}"#).map(Option::unwrap);
        assert!([other, several, number].iter().all(|other| *other != first));
        for (text, is_first) in [("x", true), ("xx", false), ("", false), (long, false)] {
            let json = format!(r#"{{"b":"{text}","c":["{text}"],"a":"{text}"}}"#);
            let all = known::<3>(&mut memo, &slots, &json);
            assert_eq!(all.map(|known| known == Some(first)), [is_first; 3], "{text}");
            assert_eq!(all, [all[0]; 3]);
        }
        let [a, b] = known(
            &mut memo,
            &slots,
            &format!(r#"{{"a":"{long}","b":"{}"}}"#, long.replace("so", "no")),
        );
        assert!(a.is_some() && b.is_some() && a != b);

        memo.keep_waiters(first, About::All(Slot(0)), &[3, 4]);
        memo.keep_waiters(other, About::View(0), &[]);
        memo.keep_class(first, Slot(0), 9);
        memo.keep_truth(first, NodeId(0), true);
        memo.keep_truth(first, NodeId(1), false);
        assert_eq!(memo.waiters(first, About::All(Slot(0))), Some(&[3, 4][..]));
        assert_eq!(memo.waiters(first, About::All(Slot(1))), None);
        assert_eq!(memo.waiters(first, About::View(0)), None);
        assert_eq!(memo.waiters(other, About::View(0)), Some(&[][..]));
        assert_eq!(
            (memo.class(first, Slot(0)), memo.class(other, Slot(0))),
            (Some(9), None)
        );
        let truths = [NodeId(0), NodeId(1), NodeId(2)].map(|test| memo.truth(first, test));
        assert!(
            truths
                .iter()
                .zip([Some(true), Some(false), None])
                .all(|(kept, truth)| kept.is_none() || *kept == truth)
        );

        for number in 0..VALUES * 2 {
            known::<1>(&mut memo, &slots, &format!(r#"{{"a":"value {number}"}}"#));
        }
        assert!(memo.forgotten > 0);
        memo.forget();
        let [again] = known(&mut memo, &slots, r#"{"a":"x"}"#).map(Option::unwrap);
        assert_eq!(
            (
                memo.waiters(again, About::All(Slot(0))),
                memo.class(again, Slot(0)),
                memo.truth(again, NodeId(0))
            ),
            (None, None, None)
        );
    }

    #[test]
    fn of_what_is_kept_at_one_place_the_latest_stays() {
        let mut memo = Memo::new(1);
        let about = |number: u32| About::Class(Slot(number));
        let text = Known(NonZeroU32::MIN);
        for number in 0..1_000 {
            memo.keep_class(text, Slot(number), number);
            assert_eq!(memo.class(text, Slot(number)), Some(number));
            let before = number.saturating_sub(1);
            assert_eq!(memo.class(text, Slot(before)), Some(before));
        }
        let kept = (0..1_000).filter(|number| memo.fact(text, about(*number)).is_some());
        // Two have room beside the text.
        assert!((FACTS / 2..=FACTS + 2).contains(&kept.count()));
    }

    #[test]
    fn what_does_not_come_again_is_left_alone_for_ever_longer() {
        let mut habit = Habit::default();
        let mut looked_for = Vec::new();
        for round in 0..8 {
            let before = looked_for.len();
            for _ in 0..5_000 {
                if habit.is_wanted() {
                    habit.tell(false);
                    looked_for.push(round);
                }
            }
            assert!(round == 0 || looked_for.len() - before <= 3 * usize::from(TRIAL));
        }
        assert!(looked_for.len() < 7 * usize::from(TRIAL), "{}", looked_for.len());
        let mut habit = Habit::default();
        for number in 0..10_000 {
            assert!(habit.is_wanted(), "{number}");
            habit.tell(number % 3 == 0);
        }
    }

    fn plan(tests: Vec<Test>) -> Plan {
        let leaves = tests.into_iter().map(|test| {
            Condition::Leaf(Leaf {
                test,
                span: Span::default(),
            })
        });
        Plan {
            fields: ["kind", "name", "line"]
                .iter()
                .map(|path| Field::new(*path, FieldType::Keyword).into())
                .collect(),
            time: FieldId(0),
            tiebreaker: None,
            query: Query::Events(EventQuery {
                condition: Condition::And(leaves.collect()),
            }),
            limits: vec![],
            failing_indices: vec![],
        }
    }

    #[test]
    fn what_is_found_does_not_depend_on_what_was_forgotten() {
        let mut plans = Vec::new();
        for number in 0..150_u32 {
            let kind = Test::Equals(
                FieldId(0),
                [Value::String(format!("kind{}", number % 6).into())].into(),
                Case::Insensitive,
            );
            let name = Test::EndsWith(
                FieldId(1),
                [format!("Tool{}.exe", number % 7).into()].into(),
                Case::AsciiInsensitive,
            );
            let line = Test::Contains(
                FieldId(2),
                [format!("Wört{}", number % 11).into()].into(),
                Case::Insensitive,
            );
            plans.push(plan(if number % 2 == 0 {
                vec![kind, name, line]
            } else {
                vec![kind, line]
            }));
        }
        let (program, _) = Program::compile(&plans);
        let program = Arc::new(program);
        let found = |matcher: &mut Matcher, text: &str| {
            let origin = Origin {
                source: "test".into(),
                line: 1,
            };
            let record = Record {
                document: text.as_bytes(),
                id: None,
                index: None,
                position: 0,
                origin: &origin,
            };
            let mut found = Vec::new();
            matcher.read(text.as_bytes()).unwrap();
            matcher.matches(&record, |step| found.push(step.rule.0));
            found
        };
        let mut matcher = Matcher::new(Arc::clone(&program));
        let (mut all, mut own, mut state) = (0, false, 0x9e37_79b9_u64);
        for _ in 0..5_500 {
            let mut below = |limit: u64| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state % limit
            };
            let (kind, name) = (below(7), format!("C:\\\\x\\\\TOOL{}.exe", below(9)));
            let line = match below(6) {
                // Long, and with escapes.
                2 => format!(r#""\"{}\" Wört{}""#, "y".repeat(250), below(13)),
                0 => format!(r#"["a", "wÖrt{}", {}]"#, below(13), below(3)),
                1 => format!(r#""WÖRT{} {}""#, below(13), below(1 << 30)),
                _ => format!(r#""x wört{}""#, below(13)),
            };
            let text = format!(r#"{{"kind":"KIND{kind}","name":"{name}","line":{line}}}"#);
            let together = found(&mut matcher, &text);
            all += together.len();
            own |= matcher.has_own_literals();
            assert_eq!(
                together,
                found(&mut Matcher::new(Arc::clone(&program)), &text),
                "{text}"
            );
        }
        assert!(all > 3_000, "{all}");
        assert!(matcher.times_forgotten() > 20 && own);
    }
}
