//! JSON text and serde, in and out of the tree.

use neph_event::ReadError;
use neph_event::json::{Reader, Stop, Token, unescape};
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};
use smallvec::SmallVec;

use crate::mapping::Found;
use crate::reading::{Aim, Reading};
use crate::tree::{Arena, Map, Value};

/// Arrays and objects nested deeper than this are refused, so that no walk over a tree can exhaust the stack.
pub(crate) const MAX_DEPTH: u32 = 128;

/// Why a text could not be read as JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// It is no JSON.
    #[error("not valid JSON at byte {offset}")]
    Syntax {
        /// Byte offset where reading stopped.
        offset: usize,
    },
    /// Arrays and objects are nested too deep.
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

/// Reads a whole JSON text. Strings without escapes stay in `text`.
///
/// # Errors
/// The text is no JSON, or nested deeper than 128 levels.
pub fn parse<'a>(arena: &'a Arena, text: &'a str) -> Result<Value<'a>, JsonError> {
    let mut parser = Parser::<false>::new(arena, text, None);
    if let Ok(value) = parser.whole() {
        return Ok(value);
    }
    match parser.json.fault() {
        _ if parser.too_deep => Err(JsonError::TooDeep),
        ReadError::Json { offset, .. } => Err(JsonError::Syntax { offset }),
        _ => Err(JsonError::Syntax { offset: 0 }),
    }
}

/// Reads the text of an object, as far as it is wanted, and what a plan takes of it. What is taken has nothing blank
/// inside. Nothing where it is no JSON object, or nested too deep.
pub(crate) fn read<'a>(
    arena: &'a Arena,
    text: &'a str,
    reading: &Reading,
) -> Option<(&'a Map<'a>, Option<Found<'a>>)> {
    let mut parser = Parser::<true>::new(arena, text, Some(reading));
    let Ok(Token::Object) = parser.json.token() else {
        return None;
    };
    let object = parser.object(0, reading.record()).ok()?;
    parser.json.end().ok()?;
    Some((object, parser.found))
}

/// Reads a text as a reading has it, or as it is.
struct Parser<'a, 'r, const HAS_READING: bool> {
    arena: &'a Arena,
    json: Reader<'a>,
    reading: Option<&'r Reading>,
    /// What was found of what the reading's plan wants.
    found: Option<Found<'a>>,
    /// Elements of the arrays that are open, innermost last, so that an array is laid down in one piece.
    elements: SmallVec<[Value<'a>; 16]>,
    /// Likewise the entries of the objects that are open.
    entries: SmallVec<[(&'a str, Value<'a>); 64]>,
    /// Nulls, empty strings, empty arrays and empty objects met so far.
    blanks: usize,
    too_deep: bool,
}

impl<'a, 'r, const HAS_READING: bool> Parser<'a, 'r, HAS_READING> {
    fn new(arena: &'a Arena, text: &'a str, reading: Option<&'r Reading>) -> Self {
        Self {
            arena,
            json: Reader::new(text),
            found: reading.map(|reading| Found::new(reading.plan(), arena.map())),
            reading,
            elements: SmallVec::new(),
            entries: SmallVec::new(),
            blanks: 0,
            too_deep: false,
        }
    }

    fn whole(&mut self) -> Result<Value<'a>, Stop> {
        let value = match self.json.token()? {
            Token::Object => Value::Map(self.object(0, Aim::ALL)?),
            Token::Array => Value::List(self.array(0, Aim::ALL)?),
            Token::String => Value::Text(self.text()),
            other => self.scalar(other),
        };
        self.json.end()?;
        Ok(value)
    }

    /// What becomes of the value under a key.
    #[inline(always)]
    fn aim(&self, within: Aim, key: &str) -> Aim {
        match self.reading {
            Some(reading) if HAS_READING => reading.inside(within, key),
            _ => Aim::ALL,
        }
    }

    /// What is wanted of an object whose `{` was taken. None is nested deeper than [`MAX_DEPTH`], so the stack suffices.
    ///
    /// Each kind of value is laid down where it was read, for a value that is handed on first is written twice.
    fn object(&mut self, depth: u32, within: Aim) -> Result<&'a Map<'a>, Stop> {
        self.check_depth(depth)?;
        let (blanks, start) = (self.blanks, self.entries.len());
        let mut another = self.json.first_key()?;
        while another {
            let key = self.text();
            let aim = self.aim(within, key);
            if HAS_READING && aim.is_nothing() {
                self.json.skip_within(depth + 1, MAX_DEPTH)?;
                another = self.json.next_key()?;
                continue;
            }
            match self.json.token()? {
                Token::String => {
                    let text = self.text();
                    self.entries.push((key, Value::Text(text)));
                    if text.is_empty() {
                        self.blanks += 1;
                    } else {
                        self.take(aim, Value::Text(text));
                    }
                }
                Token::Object => {
                    let before = self.blanks;
                    let map = self.object(depth + 1, aim)?;
                    self.entries.push((key, Value::Map(map)));
                    if HAS_READING && aim.wanted().has_rows() {
                        self.take_map(aim, map, before);
                    }
                }
                Token::Array => {
                    let before = self.blanks;
                    let list = self.array(depth + 1, aim.in_array())?;
                    self.entries.push((key, Value::List(list)));
                    if HAS_READING && aim.wanted().has_rows() {
                        self.take_list(aim, list, before);
                    }
                }
                other => {
                    let scalar = self.scalar(other);
                    self.entries.push((key, scalar));
                    if other != Token::Null {
                        self.take(aim, scalar);
                    }
                }
            }
            another = self.json.next_key()?;
        }
        let map = self.arena.map_of(self.entries.get(start..).unwrap_or(&[]));
        self.entries.truncate(start);
        self.blanks += usize::from(map.is_empty());
        if self.blanks == blanks {
            map.mark_filled();
        }
        Ok(map)
    }

    /// Takes a value that is not blank to where the plan wants it.
    #[inline(always)]
    fn take(&mut self, aim: Aim, value: Value<'a>) {
        if HAS_READING
            && aim.wanted().has_rows()
            && let Some(found) = &mut self.found
        {
            found.take(aim.wanted(), value);
        }
    }

    /// Takes an object, without what is blank inside; `before` it so many blanks were met.
    #[inline(never)]
    fn take_map(&mut self, aim: Aim, map: &'a Map<'a>, before: usize) {
        if self.blanks != before {
            map.prune_as_read();
        }
        if !map.is_empty() {
            self.take(aim, Value::Map(map));
        }
    }

    /// The same of an array.
    #[inline(never)]
    fn take_list(&mut self, aim: Aim, list: &'a [Value<'a>], before: usize) {
        let mut value = Some(Value::List(list));
        if self.blanks != before {
            value = self.arena.pruned(Value::List(list));
        }
        if let Some(value) = value {
            self.take(aim, value);
        }
    }

    /// An array whose `[` was taken.
    fn array(&mut self, depth: u32, within: Aim) -> Result<&'a [Value<'a>], Stop> {
        self.check_depth(depth)?;
        let start = self.elements.len();
        let mut another = self.json.first_element();
        while another {
            match self.json.token()? {
                Token::String => {
                    let text = self.text();
                    self.blanks += usize::from(text.is_empty());
                    self.elements.push(Value::Text(text));
                }
                Token::Object => {
                    let map = self.object(depth + 1, within)?;
                    self.elements.push(Value::Map(map));
                }
                Token::Array => {
                    let list = self.array(depth + 1, within)?;
                    self.elements.push(Value::List(list));
                }
                other => {
                    let scalar = self.scalar(other);
                    self.elements.push(scalar);
                }
            }
            another = self.json.next_element()?;
        }
        let elements = self.elements.get(start..).unwrap_or(&[]);
        self.blanks += usize::from(elements.is_empty());
        let list = self.arena.slice(elements);
        self.elements.truncate(start);
        Ok(list)
    }

    /// A value that is neither string nor array nor object.
    fn scalar(&mut self, token: Token) -> Value<'a> {
        match token {
            Token::True => Value::Bool(true),
            Token::False => Value::Bool(false),
            Token::Integer => integer(self.json.raw()),
            Token::Decimal => decimal(self.json.raw()),
            Token::Null | Token::String | Token::Array | Token::Object => {
                self.blanks += 1;
                Value::Null
            }
        }
    }

    /// The string that was just read.
    #[inline(always)]
    fn text(&self) -> &'a str {
        text(self.arena, &self.json)
    }

    fn check_depth(&mut self, depth: u32) -> Result<(), Stop> {
        self.too_deep = depth >= MAX_DEPTH;
        if self.too_deep { Err(Stop) } else { Ok(()) }
    }
}

/// The string that was just read.
#[inline(always)]
fn text<'a>(arena: &'a Arena, json: &Reader<'a>) -> &'a str {
    if json.is_escaped() {
        unescaped(arena, json.raw())
    } else {
        json.raw()
    }
}

#[cold]
#[inline(never)]
fn unescaped<'a>(arena: &'a Arena, raw: &str) -> &'a str {
    let mut text = String::with_capacity(raw.len());
    unescape(raw, &mut text);
    arena.text(&text)
}

/// A number without decimals; one that no integer can hold becomes a floating number.
fn integer<'a>(text: &str) -> Value<'a> {
    if let Ok(number) = text.parse() {
        Value::Int(number)
    } else if let Ok(number) = text.parse() {
        Value::Uint(number)
    } else {
        decimal(text)
    }
}

fn decimal<'a>(text: &str) -> Value<'a> {
    // Every number of JSON is one of Rust.
    text.parse().map_or(Value::Null, Value::Float)
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Uint(value) => serializer.serialize_u64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::List(list) => {
                let mut out = serializer.serialize_seq(Some(list.len()))?;
                for element in *list {
                    out.serialize_element(element)?;
                }
                out.end()
            }
            Self::Map(map) => map.serialize(serializer),
        }
    }
}

impl Serialize for Map<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(None)?;
        for (key, value) in self.iter() {
            out.serialize_entry(key, &value)?;
        }
        out.end()
    }
}

type Error = serde::de::value::Error;

impl<'de> Deserializer<'de> for Value<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Null => visitor.visit_unit(),
            Self::Bool(value) => visitor.visit_bool(value),
            Self::Int(value) => visitor.visit_i64(value),
            Self::Uint(value) => visitor.visit_u64(value),
            Self::Float(value) => visitor.visit_f64(value),
            Self::Text(value) => visitor.visit_borrowed_str(value),
            Self::List(list) => visitor.visit_seq(SeqDeserializer::new(list.iter().copied())),
            Self::Map(map) => visitor.visit_map(MapDeserializer::new(map.iter())),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Null => visitor.visit_none(),
            value => visitor.visit_some(value),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier
    }
}

impl<'a> IntoDeserializer<'a, Error> for Value<'a> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}
