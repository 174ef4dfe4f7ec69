//! Reading the fields that rules ask for out of one record, in one pass.
//!
//! [`Row::read`] walks a JSON text along the trie of [`Slots`] and skips what nobody asks for; [`Row::read_from`] does
//! the same over anything that serde can walk. What a value becomes is the field's business ([`Field::typed`]).

mod course;
mod document;
pub mod json;
mod specials;
#[cfg(test)]
mod tests;
mod text;

use std::cell::{OnceCell, RefCell};
use std::fmt::Write;
use std::net::IpAddr;
use std::ops::Range;

use crate::slots::{Node, NodeId};
use crate::{DateReader, Field, FieldType, Instant, Slot, Slots, ValueRef};
use serde::de::{DeserializeSeed, Deserializer};

use course::Course;
use json::MAX_DEPTH;
use specials::Specials;

/// A value as the row keeps it: texts are ranges of the row's own text, so that a row owns all it holds and can be reused
/// without allocating.
#[derive(Clone, Copy, Debug)]
enum Cell {
    Bool(bool),
    Long(i64),
    Unsigned(u64),
    Double(f64),
    String(u32, u32),
    /// A string that has escapes: a position in the row's list of these.
    Escaped(u32),
    Version(u32, u32),
    Date(Instant),
    Ip(IpAddr),
}

/// The values of one record's wanted fields. Reused from record to record.
///
/// A field is multi-valued: arrays are its values one by one, arrays of objects flatten (`a: [{b: 1}, {b: 2}]` gives
/// `a.b` = {1, 2}), and so does a key that an object has twice. `null`, `[]` and `[null]` are no value, but an explicit
/// `null` stands for the field's `null_value`, if it has one.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// The record, copied at once since that costs less than copying its values one by one, and behind it texts that do not
    /// stand in it as they are.
    text: String,
    /// Where the record that is being read is in memory: what lies within needs no copy of its own.
    record: Range<usize>,
    /// Its bytes in that text.
    kept: usize,
    has_free_escape: bool,
    /// Whether its bytes are known to be of ASCII.
    is_record_ascii: bool,
    is_ascii: OnceCell<bool>,
    /// Strings with escapes, as ranges of the text; they are resolved when somebody asks for them.
    escaped: Vec<Escaped>,
    /// Room for what these are resolved to.
    spare: RefCell<Vec<String>>,
    /// By slot. What a record before left there does not count, so that clearing costs nothing.
    held: Vec<Held>,
    /// The number of the record that is read.
    event: u32,
    /// Values of slots that have several, and how many of the lists the record needs.
    lists: Vec<Vec<Cell>>,
    used: usize,
    /// Slots that hold something.
    touched: Vec<Slot>,
    malformed: u32,
    room: Box<Room>,
    /// What is known of the order of records' values.
    course: Option<Box<Course>>,
}

/// What a row needs while it is read.
#[derive(Clone, Debug, Default)]
struct Room {
    /// For a string whose escapes are resolved, and for what becomes a text.
    unescaped: String,
    scratch: String,
    /// Where the record's strings may end.
    specials: Specials,
    dates: DateReader,
}

/// What a slot holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    /// The record that it is of.
    event: u32,
    /// Its list, counted from 1, where it has several values; else 0.
    list: u32,
    first: Cell,
}

impl Held {
    /// No record has the number 0.
    const NOTHING: Self = Self {
        event: 0,
        list: 0,
        first: Cell::Bool(false),
    };
}

/// A string that stands in the row's text with its escapes.
#[derive(Clone, Debug)]
struct Escaped {
    start: u32,
    end: u32,
    resolved: OnceCell<String>,
}

/// So many bytes of text are kept from record to record; one enormous record must not hold memory for ever.
const KEPT: usize = 1 << 20;

/// A resolved string's room is kept if it is no more than this.
const KEPT_SPARE: usize = 1 << 12;

/// So many values of a slot are given room that is kept, and so many resolved strings.
const KEPT_VALUES: usize = 1 << 10;

/// Why a record could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The text is no JSON.
    #[error("not valid JSON at byte {offset}: {reason}")]
    Json {
        /// Byte offset in the record of what is wrong.
        offset: usize,
        /// What is wrong there.
        reason: String,
    },
    /// The text is JSON, but no object.
    #[error("the record is not a JSON object")]
    NotAnObject,
    /// Arrays and objects are nested too deep.
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

impl Row {
    /// Reads the fields in `slots` out of a JSON object. The whole record is checked, also the parts that are skipped.
    ///
    /// # Errors
    /// Where the record is not a JSON object in UTF-8. The row is empty after an error.
    pub fn read(&mut self, slots: &Slots, json: &[u8]) -> Result<(), ReadError> {
        match simdutf8::compat::from_utf8(json) {
            Ok(text) => self.read_str(slots, text),
            Err(error) => {
                self.clear(slots);
                Err(ReadError::Json {
                    offset: error.valid_up_to(),
                    reason: "not UTF-8".to_owned(),
                })
            }
        }
    }

    /// Reads the fields in `slots` out of the text of a JSON object, as [`Row::read`] does; the text is known to be UTF-8.
    ///
    /// # Errors
    /// Where the record is not a JSON object. The row is empty after an error.
    pub fn read_str(&mut self, slots: &Slots, json: &str) -> Result<(), ReadError> {
        self.clear(slots);
        // Ranges are of 32 bits; what lies behind them is copied, if at all.
        if u32::try_from(json.len()).is_ok() {
            self.text.push_str(json);
            self.kept = json.len();
            let start = json.as_ptr().addr();
            self.record = start..start + json.len();
        }
        let outcome = text::read(self, slots, json);
        self.record = 0..0;
        if outcome.is_err() {
            self.clear(slots);
        }
        outcome
    }

    /// Reads the fields in `slots` out of anything that serde can walk, such as a document that a normaliser built.
    ///
    /// # Errors
    /// Whatever the deserializer reports; the row is then empty. A document that is no object, or too deep, is an error
    /// of the deserializer's type with the text of [`ReadError`].
    pub fn read_from<'de, D: Deserializer<'de>>(&mut self, slots: &Slots, source: D) -> Result<(), D::Error> {
        self.clear(slots);
        let outcome = document::Walk::new(self, slots).deserialize(source);
        if outcome.is_err() {
            self.clear(slots);
        }
        outcome
    }

    /// Hands what only reading needs on to the row that is read next: what was learned of the order of records, and room.
    pub fn hand_on(&mut self, next: &mut Self) {
        std::mem::swap(&mut self.course, &mut next.course);
        std::mem::swap(&mut self.room, &mut next.room);
    }

    /// The text of the record that was read last, if it was read from a text, and whether one of its strings may have an escape
    /// that stands for a character which could also be written in another way (`\uXXXX`, `\/`).
    pub fn record(&self) -> Option<(&str, bool)> {
        let text = self.text.get(..self.kept).filter(|text| !text.is_empty())?;
        Some((text, self.has_free_escape))
    }

    /// The values of a slot, in the order of the record.
    pub fn values(&self, slot: Slot) -> Values<'_> {
        Values {
            row: self,
            cells: self.cells(slot).iter(),
        }
    }

    #[inline]
    fn cells(&self, slot: Slot) -> &[Cell] {
        match self.held.get(slot.0 as usize) {
            Some(held) if held.event == self.event => match (held.list as usize).checked_sub(1) {
                None => std::slice::from_ref(&held.first),
                Some(list) => self.lists.get(list).map_or(&[], Vec::as_slice),
            },
            _ => &[],
        }
    }

    /// Whether a slot has a value.
    #[inline]
    pub fn has(&self, slot: Slot) -> bool {
        let held = self.held.get(slot.0 as usize);
        held.is_some_and(|held| held.event == self.event)
    }

    /// Whether all texts that slots have are known to be of ASCII; found when it is first asked for.
    pub fn is_ascii(&self) -> bool {
        // What an escape stands for may be a text of its own that is made later.
        let is_ascii = || {
            let beside = match self.is_record_ascii {
                true => self.text.get(self.kept..).unwrap_or_default(),
                false => &self.text,
            };
            !self.has_free_escape && beside.is_ascii()
        };
        *self.is_ascii.get_or_init(is_ascii)
    }

    /// The first value of a slot.
    pub fn first(&self, slot: Slot) -> Option<ValueRef<'_>> {
        self.values(slot).next()
    }

    /// The text of a slot that has one value, and this a text; `None` for other slots, and for a text that stands in the record with
    /// escapes.
    #[inline]
    pub fn only_text(&self, slot: Slot) -> Option<&[u8]> {
        match self.cells(slot) {
            [Cell::String(start, end) | Cell::Version(start, end)] => {
                self.text.as_bytes().get(*start as usize..*end as usize)
            }
            _ => None,
        }
    }

    /// The text of a slot that has one value, and this a text that stands in the record with escapes, as it stands there.
    #[inline]
    pub fn only_escaped(&self, slot: Slot) -> Option<&str> {
        match self.cells(slot) {
            [Cell::Escaped(place)] => {
                let escaped = self.escaped.get(*place as usize)?;
                self.text.get(escaped.start as usize..escaped.end as usize)
            }
            _ => None,
        }
    }

    /// The slots that have values; one may come twice.
    pub fn present(&self) -> impl Iterator<Item = Slot> + '_ {
        self.touched.iter().copied()
    }

    /// Bytes of the texts of a slot.
    pub fn text_length(&self, slot: Slot) -> usize {
        let cells = self.cells(slot).iter();
        cells
            .map(|cell| match cell {
                Cell::String(start, end) | Cell::Version(start, end) => (end - start) as usize,
                Cell::Escaped(place) => self
                    .escaped
                    .get(*place as usize)
                    .map_or(0, |escaped| (escaped.end - escaped.start) as usize),
                _ => 0,
            })
            .sum()
    }

    /// How many values of wanted fields did not fit the field's type and were left out (an address that is none, a
    /// number that is a word).
    pub fn malformed(&self) -> u32 {
        self.malformed
    }

    /// Gives a slot this one string in place of what the record holds there: for what is known of a record beside its
    /// text, such as the index that it came from. The next read forgets it.
    pub fn set_string(&mut self, slot: Slot, text: &str) {
        if let Some(held) = self.held.get_mut(slot.0 as usize) {
            *held = Held::NOTHING;
        }
        if let Some((start, end)) = self.keep(text) {
            self.push(slot, Cell::String(start, end));
        }
    }

    /// Adds the values of another row's slot. The next read forgets them.
    pub fn copy(&mut self, slot: Slot, from: &Self, from_slot: Slot) {
        for value in from.values(from_slot) {
            let cell = match value {
                ValueRef::String(text) => self.keep(text).map(|(start, end)| Cell::String(start, end)),
                ValueRef::Version(text) => self.keep(text).map(|(start, end)| Cell::Version(start, end)),
                ValueRef::Bool(v) => Some(Cell::Bool(v)),
                ValueRef::Long(v) => Some(Cell::Long(v)),
                ValueRef::Unsigned(v) => Some(Cell::Unsigned(v)),
                ValueRef::Double(v) => Some(Cell::Double(v)),
                ValueRef::Date(v) => Some(Cell::Date(v)),
                ValueRef::Ip(v) => Some(Cell::Ip(v)),
            };
            if let Some(cell) = cell {
                self.push(slot, cell);
            }
        }
    }

    fn clear(&mut self, slots: &Slots) {
        self.text.clear();
        self.kept = 0;
        self.has_free_escape = false;
        self.is_record_ascii = false;
        if self.text.capacity() > KEPT {
            self.text = String::new();
        }
        let spare = self.spare.get_mut();
        for mut escaped in self.escaped.drain(..) {
            if let Some(text) = escaped.resolved.take()
                && spare.len() < KEPT_VALUES
                && text.capacity() <= KEPT_SPARE
            {
                spare.push(text);
            }
        }
        self.is_ascii.take();
        self.touched.clear();
        for list in self.lists.iter_mut().take(self.used) {
            list.clear();
            list.shrink_to(KEPT_VALUES);
        }
        self.used = 0;
        self.event = self.event.checked_add(1).unwrap_or_else(|| {
            self.held.fill(Held::NOTHING);
            1
        });
        if self.held.len() != slots.len() {
            self.held.resize(slots.len(), Held::NOTHING);
        }
        self.malformed = 0;
    }

    /// Takes a scalar for every slot of a node. `written` is how the record writes a number.
    #[inline]
    fn take_all(&mut self, slots: &Slots, node: NodeId, scalar: ValueRef<'_>, written: Option<&str>) {
        for slot in slots.at(node) {
            if let Some(field) = slots.field(slot) {
                self.take(slot, field, scalar, written);
            }
        }
    }

    /// Takes a string that still has its escapes for every slot of a node; whether it could, and need not be resolved.
    fn take_escaped(&mut self, slots: &Slots, node: NodeId, raw: &str) -> bool {
        let is_plain = |slot: Slot| slots.field(slot).is_some_and(Field::takes_all_strings);
        if !slots.at(node).all(is_plain) {
            return false;
        }
        let Some((start, end)) = self.keep(raw) else {
            return false;
        };
        self.push_escaped(start, end, slots.at(node))
    }

    /// Adds a string of the row's text that has escapes to slots; whether it could.
    #[inline]
    fn push_escaped(&mut self, start: u32, end: u32, slots: impl Iterator<Item = Slot>) -> bool {
        let Ok(place) = u32::try_from(self.escaped.len()) else {
            return false;
        };
        self.escaped.push(Escaped {
            start,
            end,
            resolved: OnceCell::new(),
        });
        slots.for_each(|slot| self.push(slot, Cell::Escaped(place)));
        true
    }

    fn resolved(&self, place: u32) -> &str {
        let Some(escaped) = self.escaped.get(place as usize) else {
            return "";
        };
        escaped.resolved.get_or_init(|| {
            let raw = self.text.get(escaped.start as usize..escaped.end as usize);
            let mut text = self.spare.borrow_mut().pop().unwrap_or_default();
            text.clear();
            json::unescape(raw.unwrap_or_default(), &mut text);
            text
        })
    }

    /// Takes a `null`.
    fn take_null(&mut self, slots: &Slots, node: NodeId) {
        let own = slots.node(node).map_or(&[][..], Node::slots);
        for slot in own {
            if let Some(field) = slots.field(*slot)
                && let Some(value) = &field.null_value
            {
                self.take(*slot, field, value.as_ref(), None);
            }
        }
    }

    #[inline]
    fn take(&mut self, slot: Slot, field: &Field, scalar: ValueRef<'_>, written: Option<&str>) {
        // Most values are strings of string fields; they go the short way.
        if let ValueRef::String(text) = scalar
            && field.takes_all_strings()
            && let Some((start, end)) = self.keep(text)
        {
            return self.push(slot, Cell::String(start, end));
        }
        let cell = match field.typed_by(&self.room.dates, scalar, written) {
            Some(ValueRef::String(text)) if field.ignores(text) => return,
            Some(ValueRef::String(text)) => self.keep(text).map(|(start, end)| Cell::String(start, end)),
            Some(ValueRef::Version(text)) => self.keep(text).map(|(start, end)| Cell::Version(start, end)),
            Some(ValueRef::Bool(v)) => Some(Cell::Bool(v)),
            Some(ValueRef::Long(v)) => Some(Cell::Long(v)),
            Some(ValueRef::Unsigned(v)) => Some(Cell::Unsigned(v)),
            Some(ValueRef::Double(v)) => Some(Cell::Double(v)),
            Some(ValueRef::Date(v)) => Some(Cell::Date(v)),
            Some(ValueRef::Ip(v)) => Some(Cell::Ip(v)),
            None if field.kind.is_string() || field.kind == FieldType::Version => {
                // What is no text becomes one.
                let mut text = std::mem::take(&mut self.room.scratch);
                text.clear();
                let outcome = write!(text, "{scalar}");
                self.take(
                    slot,
                    field,
                    ValueRef::String(if outcome.is_ok() { &text } else { "" }),
                    None,
                );
                self.room.scratch = text;
                return;
            }
            None => None,
        };
        match cell {
            Some(cell) => self.push(slot, cell),
            None => self.malformed += 1,
        }
    }

    #[inline(always)]
    fn push(&mut self, slot: Slot, cell: Cell) {
        let Some(held) = self.held.get_mut(slot.0 as usize) else {
            return;
        };
        if held.event == self.event {
            return self.push_further(slot, cell);
        }
        *held = Held {
            event: self.event,
            list: 0,
            first: cell,
        };
        self.touched.push(slot);
    }

    /// Adds a string of the row's text.
    #[inline(always)]
    fn push_string(&mut self, slot: Slot, start: u32, end: u32) {
        let cell = || Cell::String(start, end);
        match self.held.get_mut(slot.0 as usize) {
            Some(held) if held.event != self.event => {
                held.event = self.event;
                held.list = 0;
                // Written where it stays: what is made elsewhere and then copied has to be waited for.
                held.first = cell();
                self.touched.push(slot);
            }
            Some(_) => self.push_further(slot, cell()),
            None => {}
        }
    }

    /// Adds a value to a slot that has one.
    #[inline(never)]
    fn push_further(&mut self, slot: Slot, cell: Cell) {
        let Some(held) = self.held.get_mut(slot.0 as usize) else {
            return;
        };
        if held.list == 0 {
            if self.lists.len() == self.used {
                self.lists.push(Vec::new());
            }
            self.used += 1;
            held.list = u32::try_from(self.used).unwrap_or(u32::MAX);
            if let Some(list) = self.lists.get_mut(self.used - 1) {
                list.push(held.first);
            }
        }
        if let Some(list) = self.lists.get_mut(held.list as usize - 1) {
            list.push(cell);
        }
    }

    /// Keeps a text; `None` where the row would become larger than 4 GiB. A part of the record that is being read is there already.
    #[inline]
    fn keep(&mut self, text: &str) -> Option<(u32, u32)> {
        let place = text.as_ptr().addr();
        if self.record.start <= place && place + text.len() <= self.record.end {
            let start = u32::try_from(place - self.record.start).ok()?;
            return Some((start, start + u32::try_from(text.len()).ok()?));
        }
        self.is_ascii.take();
        let start = u32::try_from(self.text.len()).ok()?;
        let end = u32::try_from(self.text.len() + text.len()).ok()?;
        self.text.push_str(text);
        Some((start, end))
    }
}

/// The values of one slot.
#[derive(Clone, Debug)]
pub struct Values<'a> {
    row: &'a Row,
    cells: std::slice::Iter<'a, Cell>,
}

impl<'a> Iterator for Values<'a> {
    type Item = ValueRef<'a>;

    fn next(&mut self) -> Option<ValueRef<'a>> {
        let text = |start: u32, end: u32| self.row.text.get(start as usize..end as usize).unwrap_or("");
        Some(match *self.cells.next()? {
            Cell::Bool(v) => ValueRef::Bool(v),
            Cell::Long(v) => ValueRef::Long(v),
            Cell::Unsigned(v) => ValueRef::Unsigned(v),
            Cell::Double(v) => ValueRef::Double(v),
            Cell::String(start, end) => ValueRef::String(text(start, end)),
            Cell::Escaped(place) => ValueRef::String(self.row.resolved(place)),
            Cell::Version(start, end) => ValueRef::Version(text(start, end)),
            Cell::Date(v) => ValueRef::Date(v),
            Cell::Ip(v) => ValueRef::Ip(v),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.cells.size_hint()
    }
}

impl ExactSizeIterator for Values<'_> {}
