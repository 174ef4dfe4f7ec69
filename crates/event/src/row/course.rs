//! The course that records take: which value follows which, and what stands between them.
//!
//! Records of one origin have the same keys in the same order, so that between two values there stands what stood there in
//! the record before: the end of some objects, a comma, the next key. What was read once from token to token is kept as a whole
//! and compared as a whole when a record comes to the same place again; only values are looked at one by one then. A place
//! is told by all keys on the way to it, so that what follows it says nothing about what came before: an array of any
//! length is one place.
//!
//! What is kept is bounded, and forgotten as a whole when it grows too large. Where records are all different it is left alone for
//! ever longer, so that they cost little more than reading them from token to token.

use ahash::AHashMap;
use smallvec::SmallVec;
use wide::u8x32;

use crate::slots::NodeId;
use crate::{Slot, Slots};

/// So many places and containers are known at most, and so many ways between them: 3.5 MiB for each thread where all are as long
/// as they may be.
const PLACES: usize = if cfg!(test) { 24 } else { 2_048 };
const WAYS: usize = PLACES * 4;
/// So many ways lead on from one place.
const WAYS_ON: usize = 12;
/// Longer keys, and more between two values, are not kept.
const LONGEST: usize = 192;
/// Containers that are nested deeper are not followed.
const DEEPEST: u32 = 64;
/// After so many values it is seen whether the course is worth it: no more than one in `ENOUGH` may have come otherwise.
const TRIAL: u32 = 1 << 14;
const ENOUGH: u32 = 6;
/// Else it is left alone for so many records at first; twice as many each further time, so many times.
const REST: u32 = 1_024;
const LONGER: u32 = 6;

/// The place before the record.
pub(super) const START: u32 = 0;
/// The place behind it.
pub(super) const END: u32 = 1;
/// The container of the record itself is in none.
pub(super) const NOWHERE: u32 = u32::MAX;

/// What is known of the order of values in records that are read for one trie of fields.
#[derive(Clone, Debug, Default)]
pub(super) struct Course {
    /// The [state](Slots::state) of the trie.
    slots: Option<u64>,
    places: Vec<Place>,
    containers: Vec<Container>,
    /// Places and containers by the container that they are in and their key.
    known: AHashMap<(u32, Kind, Key), u32>,
    /// Number of ways.
    ways: usize,
    /// Whether there was no room for something: what is known is forgotten before the next record.
    is_full: bool,
    followed: u32,
    missed: u32,
    /// So many more records are read without the course.
    rest: u32,
    /// How often in a row it was so.
    rests: u32,
}

type Key = SmallVec<[u8; 24]>;

/// What stands behind a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// A string; the place is behind its first quote.
    String,
    /// A number, `true`, `false` or `null`.
    Other,
    Object,
    Array,
}

/// Where a scalar stands in records.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// What follows, and what else does, roughly by how often.
    pub(super) way: Way,
    others: Vec<Way>,
    pub(super) container: u32,
    pub(super) what: What,
    /// The first slot that takes it and those beside it, if it is a plain string.
    pub(super) slot: Option<Slot>,
    pub(super) more: Box<[Slot]>,
    /// Where it stands in the trie; `None` where nobody wants it.
    pub(super) node: Option<NodeId>,
}

/// What stands at a place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum What {
    /// A string that all slots take as it stands; the place is behind its first quote.
    Plain,
    /// Another string, likewise.
    String,
    /// A number, `true`, `false` or `null`.
    Other,
    /// Nothing: it is before the record, or behind it.
    #[default]
    Nothing,
}

/// An array or object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Container {
    pub(super) parent: u32,
    pub(super) is_object: bool,
    pub(super) node: Option<NodeId>,
    /// 1 for the record itself.
    pub(super) depth: u32,
}

/// What stands between a value and the next one.
#[derive(Clone, Debug)]
pub(super) struct Way {
    /// Its first bytes.
    head: [u8; HEAD],
    /// Which of them count, as bits.
    mask: u32,
    length: u32,
    to: u32,
    /// What it leads to. It ends with the first quote of a string.
    what: What,
    /// The bytes behind the first.
    tail: Box<[u8]>,
}

const HEAD: usize = 32;

impl Default for Way {
    /// A way that no record goes: no text has its first byte.
    fn default() -> Self {
        Self {
            head: [0xff; HEAD],
            mask: 1,
            length: 1,
            to: END,
            what: What::Nothing,
            tail: Box::default(),
        }
    }
}

impl Way {
    /// Where it leads, what stands there, and its length, if a record goes on like this.
    pub(super) fn follow(&self, rest: &[u8]) -> Option<(u32, What, usize)> {
        let found = (self.to, self.what, self.length as usize);
        self.fits(rest).then_some(found)
    }

    /// Where it leads and where the string there begins, if a record goes on like this at a position, and to a plain string.
    #[inline(always)]
    pub(super) fn to_plain(&self, bytes: &[u8], position: usize) -> Option<(u32, usize)> {
        let there = bytes.get(position..)?.first_chunk::<HEAD>()?;
        let goes_on =
            self.what == What::Plain && self.begins(there) && self.ends(bytes.get(position + HEAD..)?);
        goes_on.then_some((self.to, position + self.length as usize))
    }

    #[inline(always)]
    fn begins(&self, there: &[u8; HEAD]) -> bool {
        let equal = u8x32::new(*there).simd_eq(u8x32::new(self.head)).to_bitmask();
        equal & self.mask == self.mask
    }

    /// Whether what is behind the first bytes is there. Comparing with nothing would be slow: comparing loads both sides under a
    /// mask, and for an empty list that is nowhere in memory the processor has to find out that nothing was asked of it.
    #[inline(always)]
    fn ends(&self, behind: &[u8]) -> bool {
        self.tail.is_empty() || behind.starts_with(&self.tail)
    }

    fn fits(&self, rest: &[u8]) -> bool {
        let Some(there) = rest.first_chunk::<HEAD>() else {
            return self.fits_exactly(rest);
        };
        self.begins(there) && rest.get(HEAD..).is_some_and(|behind| self.ends(behind)) && self.leads_on(rest)
    }

    /// Whether what it leads to is there.
    fn leads_on(&self, rest: &[u8]) -> bool {
        let first = || rest.get(self.length as usize);
        match self.what {
            What::Plain | What::String => true,
            What::Other => matches!(first(), Some(b'-' | b'0'..=b'9' | b't' | b'f' | b'n')),
            What::Nothing => first().is_none(),
        }
    }

    /// The same near the end of the record.
    #[inline(never)]
    fn fits_exactly(&self, rest: &[u8]) -> bool {
        let head = self
            .head
            .get(..HEAD.min(self.length as usize))
            .unwrap_or(&self.head);
        let behind = rest.strip_prefix(head);
        behind.is_some_and(|behind| self.ends(behind)) && self.leads_on(rest)
    }

    /// Whether there is none yet.
    fn is_none(&self) -> bool {
        self.head.first() == Some(&0xff)
    }
}

impl Course {
    /// Makes it ready for a record; whether the record is to be read along it.
    pub(super) fn begin(&mut self, slots: &Slots) -> bool {
        if self.slots != Some(slots.state()) {
            *self = Self {
                slots: Some(slots.state()),
                ..Self::default()
            };
        }
        if self.rest > 0 {
            self.rest -= 1;
            return false;
        }
        if self.followed.saturating_add(self.missed) >= TRIAL {
            if self.missed > (self.followed.saturating_add(self.missed)) / ENOUGH {
                self.rest = REST << self.rests.min(LONGER);
                self.rests += 1;
                self.is_full = true;
            } else {
                self.rests = 0;
            }
            (self.followed, self.missed) = (0, 0);
        }
        if self.is_full || self.places.is_empty() {
            self.forget();
        }
        self.rest == 0
    }

    fn forget(&mut self) {
        self.known = AHashMap::new();
        self.containers.clear();
        (self.ways, self.is_full) = (0, false);
        let ends = [START, END].map(|_| Place {
            way: Way::default(),
            others: Vec::new(),
            container: NOWHERE,
            what: What::Nothing,
            slot: None,
            more: Box::default(),
            node: None,
        });
        self.places.clear();
        self.places.extend(ends);
    }

    #[inline(always)]
    pub(super) fn place(&self, place: u32) -> Option<&Place> {
        self.places.get(place as usize)
    }

    pub(super) fn container(&self, container: u32) -> Option<Container> {
        self.containers.get(container as usize).copied()
    }

    /// Where a record goes from a place behind a value, if it was seen before, but not by the place's first way.
    #[inline(never)]
    pub(super) fn other(&mut self, from: u32, rest: &[u8]) -> Option<(u32, What, usize)> {
        let found = self
            .places
            .get_mut(from as usize)
            .and_then(|place| place.other(rest));
        self.missed += u32::from(found.is_none());
        found
    }

    /// Counts ways that were known.
    pub(super) fn count(&mut self, followed: u32) {
        self.followed = self.followed.saturating_add(followed);
    }

    /// The container at a key (none in arrays) of a container; `None` where there is no room for it.
    pub(super) fn enter(
        &mut self,
        parent: u32,
        key: &[u8],
        is_object: bool,
        node: Option<NodeId>,
    ) -> Option<u32> {
        let kind = if is_object { Kind::Object } else { Kind::Array };
        let depth = self.container(parent).map_or(1, |parent| parent.depth + 1);
        let next = self.containers.len();
        let number = self.number(parent, kind, key, next, depth)?;
        if number as usize == next {
            self.containers.push(Container {
                parent,
                is_object,
                node,
                depth,
            });
        }
        Some(number)
    }

    /// The place of a scalar in a container; `None` where there is no room for it.
    pub(super) fn reach(
        &mut self,
        (container, key): (u32, &[u8]),
        is_string: bool,
        node: Option<NodeId>,
        slots: &Slots,
    ) -> Option<u32> {
        let kind = if is_string { Kind::String } else { Kind::Other };
        let next = self.places.len();
        let number = self.number(container, kind, key, next, 0)?;
        if number as usize == next {
            let wanted = || node.into_iter().flat_map(|node| slots.at(node));
            let is_plain = |slot| slots.field(slot).is_some_and(crate::Field::takes_all_strings);
            let what = match is_string {
                true if wanted().all(is_plain) => What::Plain,
                true => What::String,
                false => What::Other,
            };
            self.places.push(Place {
                way: Way::default(),
                others: Vec::new(),
                container,
                what,
                slot: wanted().next(),
                more: wanted().skip(1).collect(),
                node,
            });
        }
        Some(number)
    }

    fn number(&mut self, container: u32, kind: Kind, key: &[u8], next: usize, depth: u32) -> Option<u32> {
        if key.len() > LONGEST || depth > DEEPEST {
            return None;
        }
        let name = (container, kind, Key::from_slice(key));
        if let Some(number) = self.known.get(&name) {
            return Some(*number);
        }
        if self.places.len() + self.containers.len() >= PLACES {
            self.is_full = true;
            return None;
        }
        let number = u32::try_from(next).ok()?;
        self.known.insert(name, number);
        Some(number)
    }

    /// Keeps what stands between a value and the next one, or the end.
    pub(super) fn learn(&mut self, from: u32, between: &[u8], to: u32) {
        let what = self.place(to).map_or(What::Nothing, |place| place.what);
        let (Some(place), Ok(length)) = (self.places.get_mut(from as usize), u32::try_from(between.len()))
        else {
            return;
        };
        if between.len() > LONGEST || between.is_empty() {
            return;
        }
        if self.ways >= WAYS {
            self.is_full = true;
            return;
        }
        let mut head = [0; HEAD];
        for (to, from) in head.iter_mut().zip(between) {
            *to = *from;
        }
        let way = Way {
            head,
            mask: u32::MAX >> HEAD.saturating_sub(between.len()),
            length,
            to,
            what,
            tail: between.get(HEAD..).unwrap_or_default().into(),
        };
        if place.others.len() >= WAYS_ON {
            // The last is the one that is least often taken.
            place.others.pop();
            self.ways -= 1;
        }
        self.ways += 1;
        match place.way.is_none() {
            true => place.way = way,
            false => place.others.push(way),
        }
    }
}

impl Place {
    /// The way on that is not the first; it comes one further in front.
    fn other(&mut self, rest: &[u8]) -> Option<(u32, What, usize)> {
        let number = self.others.iter().position(|way| way.fits(rest))?;
        let way = self.others.get_mut(number)?;
        let found = (way.to, way.what, way.length as usize);
        match number.checked_sub(1) {
            Some(before) => self.others.swap(before, number),
            None => std::mem::swap(&mut self.way, way),
        }
        Some(found)
    }
}
