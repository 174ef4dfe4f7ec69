//! The tree that records are read into and documents are built in.
//!
//! All of it lives in one [`Arena`] that is emptied between records: strings of the record are borrowed from its
//! text, a value that moves from the record into the document is copied as a pointer, and building an object costs
//! one bump of a pointer for each entry. Objects are lists of entries behind shared references, so that a mapping
//! may read one part of a record while it writes another.

mod key;
mod map;

use bumpalo::Bump;

pub(crate) use key::{KeyTable, has_byte, same_key};
pub use map::Map;

/// The memory of one record and of what it becomes.
#[derive(Debug, Default)]
pub struct Arena {
    bump: Bump,
}

impl Arena {
    /// Frees everything that was built, keeping the largest piece of memory for the next record.
    pub fn reset(&mut self) {
        self.bump.reset();
    }

    /// Bytes that the arena holds from the system.
    pub fn allocated_bytes(&self) -> usize {
        self.bump.allocated_bytes()
    }

    /// A new empty object.
    pub fn map(&self) -> &Map<'_> {
        Map::within(&self.bump)
    }

    /// An object of these entries.
    #[inline]
    pub(crate) fn map_of<'a>(&'a self, entries: &[(&'a str, Value<'a>)]) -> &'a Map<'a> {
        Map::of(&self.bump, entries)
    }

    /// A copy of `text`.
    pub fn text(&self, text: &str) -> &str {
        self.bump.alloc_str(text)
    }

    /// A value that is as it was read, without what is blank inside; nothing where nothing is left.
    pub(crate) fn pruned<'a>(&'a self, value: Value<'a>) -> Option<Value<'a>> {
        map::prune(&self.bump, value, true)
    }

    /// A list of `values`.
    pub fn list<'a>(&'a self, values: &[Value<'a>]) -> Value<'a> {
        Value::List(self.slice(values))
    }

    /// A list of texts.
    pub(crate) fn texts<'a>(&'a self, texts: &[&'a str]) -> Value<'a> {
        Value::List(
            self.bump
                .alloc_slice_fill_iter(texts.iter().map(|text| Value::Text(text))),
        )
    }

    /// A text that is written in place.
    pub(crate) fn text_writer(&self) -> bumpalo::collections::String<'_> {
        bumpalo::collections::String::with_capacity_in(128, &self.bump)
    }

    /// A list that grows in place, with room for so many elements.
    pub(crate) fn vec<T>(&self, room: usize) -> bumpalo::collections::Vec<'_, T> {
        bumpalo::collections::Vec::with_capacity_in(room, &self.bump)
    }

    /// A copy of `values`.
    #[inline]
    pub(crate) fn slice<'a>(&'a self, values: &[Value<'a>]) -> &'a [Value<'a>] {
        self.bump.alloc_slice_copy(values)
    }
}

/// A JSON value in an [`Arena`]. Objects are shared: a copy of the value is the same object.
///
/// The kind takes a whole word: values are copied all the time, and a processor waits where it reads a word of which
/// just one byte was written.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub enum Value<'a> {
    /// null
    Null,
    /// true or false
    Bool(bool),
    /// an integer of 64 bits
    Int(i64),
    /// an integer above `i64::MAX`
    Uint(u64),
    /// a floating number
    Float(f64),
    /// a string
    Text(&'a str),
    /// an array
    List(&'a [Value<'a>]),
    /// an object
    Map(&'a Map<'a>),
}

impl<'a> Value<'a> {
    /// The string, if it is one.
    pub fn as_text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The string, if it is one and not empty.
    pub fn as_filled_text(self) -> Option<&'a str> {
        self.as_text().filter(|text| !text.is_empty())
    }

    /// The object, if it is one.
    pub fn as_map(self) -> Option<&'a Map<'a>> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The elements, if it is an array.
    pub fn as_list(self) -> Option<&'a [Value<'a>]> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }

    /// The boolean, if it is one.
    pub fn as_bool(self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The value as an integer: a number cut to a whole one, or a string that spells a decimal integer.
    pub fn to_int(self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(value),
            Self::Uint(value) => i64::try_from(value).ok(),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "`as` saturates, and the fraction is meant to go"
            )]
            Self::Float(value) if value.is_finite() => Some(value as i64),
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// Whether it is null, an empty string, an empty array or an empty object.
    pub fn is_blank(self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => text.is_empty(),
            Self::List(list) => list.is_empty(),
            Self::Map(map) => map.is_empty(),
            _ => false,
        }
    }

    /// Whether both are the same scalar; arrays and objects are equal where they are the same place in memory.
    pub fn same(self, other: Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Uint(a), Self::Uint(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::List(a), Self::List(b)) => std::ptr::eq(a, b),
            (Self::Map(a), Self::Map(b)) => std::ptr::eq(a, b),
            _ => false,
        }
    }
}
