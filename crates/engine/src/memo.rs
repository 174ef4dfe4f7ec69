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

/// So many values are kept; in tests so few that they are forgotten often.
const VALUES: usize = if cfg!(test) { 1 << 5 } else { 1 << 14 };
/// So many bytes of texts.
const TEXTS: usize = 2 << 20;
/// So many waiters of all values together.
const WAITERS: usize = 1 << 18;
/// So many truths.
const TRUTHS: usize = if cfg!(test) { 1 << 4 } else { 1 << 15 };
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
    /// By slot the number of the value that it had last, and one more.
    last: Vec<u32>,
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
            last: vec![0; slots],
            ..Self::default()
        }
    }

    /// Forgets all values. Numbers given before mean nothing then.
    pub(crate) fn forget(&mut self) {
        self.places.fill(0);
        self.last.fill(0);
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
        let last = self.last.get(slot as usize)?.checked_sub(1);
        if let Some(number) = last
            && let Some(there) = self.values.get(number as usize)
            && self.texts.get(there.start as usize..there.end as usize) == Some(value)
        {
            if let Some(habit) = self.habits.get_mut(slot as usize) {
                habit.tell(true);
            }
            return Some(Known(number));
        }
        let known = self.look_up(slot, value);
        if let (Some(Known(number)), Some(last)) = (known, self.last.get_mut(slot as usize)) {
            *last = number + 1;
        }
        known
    }

    fn look_up(&mut self, slot: u32, value: &[u8]) -> Option<Known> {
        let hash = self.hasher.hash_one((slot, value));
        let mask = self.places.len().checked_sub(1)?;
        #[expect(clippy::cast_possible_truncation, reason = "any bits of a hash will do")]
        let mut at = hash as usize & mask;
        // The table is at most half full, so that a free place is found.
        while let Some(number) = self.places.get(at)?.checked_sub(1) {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use neph_event::{Field, FieldType, Value};
    use neph_plan::{Case, Condition, EventQuery, FieldId, Leaf, Plan, Query, Span, Test};

    use super::*;
    use crate::{Matcher, Origin, Program, Record};

    #[test]
    fn values_of_fields_are_told_apart_and_forgotten_together() {
        let mut memo = Memo::new(3);
        let first = memo.know(0, b"a").unwrap();
        let others = [
            memo.know(1, b"a").unwrap(),
            memo.know(0, b"A").unwrap(),
            memo.know(0, b"").unwrap(),
        ];
        assert!(others.iter().all(|other| *other != first));
        assert_eq!(memo.know(0, b"a"), Some(first));
        memo.keep_waiters(first, &[3, 4]);
        memo.keep_waiters(others[0], &[]);
        memo.keep_class(first, 9);
        memo.keep_truth(first, NodeId(0), true);
        memo.keep_truth(first, NodeId(1), false);
        assert_eq!(memo.waiters(first), Some(&[3, 4][..]));
        assert_eq!(memo.waiters(others[0]), Some(&[][..]));
        assert_eq!(memo.waiters(others[1]), None);
        assert_eq!((memo.class(first), memo.class(others[0])), (Some(9), None));
        let truths = [NodeId(0), NodeId(1), NodeId(2)].map(|test| memo.truth(first, test));
        assert!(
            truths
                .iter()
                .zip([Some(true), Some(false), None])
                .all(|(kept, truth)| kept.is_none() || *kept == truth)
        );

        for number in 0..VALUES * 2 {
            memo.know(2, format!("value {number}").as_bytes());
        }
        assert!(memo.is_full());
        memo.forget();
        assert!(!memo.is_full());
        let again = memo.know(0, b"a").unwrap();
        assert_eq!(
            (
                memo.waiters(again),
                memo.class(again),
                memo.truth(again, NodeId(0))
            ),
            (None, None, None)
        );
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
        for number in 0..60_u32 {
            let kind = Test::Equals(
                FieldId(0),
                [Value::String(format!("kind{}", number % 3).into())].into(),
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
        let (mut all, mut state) = (0, 0x9e37_79b9_u64);
        for _ in 0..5_500 {
            let mut below = |limit: u64| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state % limit
            };
            let (kind, name) = (below(4), format!("C:\\\\x\\\\TOOL{}.exe", below(9)));
            let line = match below(5) {
                0 => format!(r#"["a", "wÖrt{}", {}]"#, below(13), below(3)),
                1 => format!(r#""WÖRT{} {}""#, below(13), below(1 << 30)),
                _ => format!(r#""x wört{}""#, below(13)),
            };
            let text = format!(r#"{{"kind":"KIND{kind}","name":"{name}","line":{line}}}"#);
            let together = found(&mut matcher, &text);
            all += together.len();
            assert_eq!(
                together,
                found(&mut Matcher::new(Arc::clone(&program)), &text),
                "{text}"
            );
        }
        assert!(all > 3_000, "{all}");
        assert!(matcher.times_forgotten() > 20);
    }
}
