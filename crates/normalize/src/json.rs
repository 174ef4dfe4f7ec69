//! JSON text and serde, in and out of the tree.

use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};

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
    let mut deserializer = sonic_rs::Deserializer::from_str(text);
    let mut scratch = Vec::new();
    let mut too_deep = false;
    let reader = Reader {
        arena,
        depth: 0,
        scratch: &mut scratch,
        too_deep: &mut too_deep,
    };
    match reader
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
    {
        Ok(value) => Ok(value),
        Err(_) if too_deep => Err(JsonError::TooDeep),
        Err(error) => Err(JsonError::Syntax {
            offset: error.offset(),
        }),
    }
}

struct Reader<'s, 'a> {
    arena: &'a Arena,
    depth: u32,
    /// Elements of the arrays that are open, innermost last, so that an array is laid down in one piece.
    scratch: &'s mut Vec<Value<'a>>,
    too_deep: &'s mut bool,
}

impl<'a> Reader<'_, 'a> {
    fn inside(&mut self) -> Reader<'_, 'a> {
        Reader {
            arena: self.arena,
            depth: self.depth + 1,
            scratch: self.scratch,
            too_deep: self.too_deep,
        }
    }

    fn check_depth<E: serde::de::Error>(&mut self) -> Result<(), E> {
        if self.depth >= MAX_DEPTH {
            *self.too_deep = true;
            return Err(E::custom("too deep"));
        }
        Ok(())
    }
}

impl<'a> DeserializeSeed<'a> for Reader<'_, 'a> {
    type Value = Value<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Value<'a>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Reader<'_, 'a> {
    type Value = Value<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value<'a>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value<'a>, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value<'a>, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value<'a>, E> {
        Ok(i64::try_from(value).map_or(Value::Uint(value), Value::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value<'a>, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value<'a>, E> {
        Ok(Value::Text(self.arena.text(value)))
    }

    fn visit_borrowed_str<E>(self, value: &'a str) -> Result<Value<'a>, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut elements: A) -> Result<Value<'a>, A::Error> {
        self.check_depth()?;
        let start = self.scratch.len();
        while let Some(element) = elements.next_element_seed(self.inside())? {
            self.scratch.push(element);
        }
        let list = self.arena.list(self.scratch.get(start..).unwrap_or(&[]));
        self.scratch.truncate(start);
        Ok(list)
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut entries: A) -> Result<Value<'a>, A::Error> {
        self.check_depth()?;
        let map = self.arena.map();
        while let Some(key) = entries.next_key_seed(Key { arena: self.arena })? {
            map.add(key, entries.next_value_seed(self.inside())?);
        }
        Ok(Value::Map(map))
    }
}

struct Key<'a> {
    arena: &'a Arena,
}

impl<'a> DeserializeSeed<'a> for Key<'a> {
    type Value = &'a str;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<&'a str, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'a> for Key<'a> {
    type Value = &'a str;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, value: &str) -> Result<&'a str, E> {
        Ok(self.arena.text(value))
    }

    fn visit_borrowed_str<E>(self, value: &'a str) -> Result<&'a str, E> {
        Ok(value)
    }
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
