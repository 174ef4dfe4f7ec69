//! Documents whose fields have fixed places.
//!
//! A source whose fields are known from the start fills in values by number, and no object is made, nor any key looked
//! for. What reads the document walks the layout of its plan; who wants objects gets them made then.

use serde::de::value::MapDeserializer;
use serde::de::{Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use super::layout::{Item, Layout, Object};
use super::{Found, Looks, Plan, Wanted, present};
use crate::convert;
use crate::java_text;
use crate::record::Record;
use crate::source::SourceInfo;
use crate::tree::{Arena, Map, Value};

/// A document in the making.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    plan: &'static Plan,
    arena: &'a Arena,
    values: &'a mut [Value<'a>],
    looks: Looks<'a>,
}

/// A document by the layout of its plan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Laid<'a> {
    layout: &'static Layout,
    arena: &'a Arena,
    values: &'a [Value<'a>],
}

/// What every document has, in the order of [`Completed`].
pub(super) const COMPLETED: [&str; 7] = [
    "event.module",
    "event.dataset",
    "data_stream.dataset",
    "event.original",
    "ecs.version",
    "host.os.type",
    "@timestamp",
];

/// The numbers of the fields that every document has.
pub(super) type Completed = [usize; COMPLETED.len()];

impl Plan {
    /// Drafts a document with what the tables and constants say of `record`, which loses what is blank.
    pub(crate) fn draft<'a>(&'static self, record: &'a Map<'a>, arena: &'a Arena) -> Draft<'a> {
        record.prune_as_read();
        let mut found = Found::new(self, record);
        found.collect(record, Wanted::RECORD);
        found.draft(arena)
    }
}

impl<'a> Found<'a> {
    /// Drafts a document with what was found.
    pub(crate) fn draft(self, arena: &'a Arena) -> Draft<'a> {
        let plan = self.plan;
        let (values, looks) = self.values();
        Draft {
            plan,
            arena,
            values,
            looks: Looks(looks),
        }
    }
}

impl<'a> Draft<'a> {
    /// Where its values are.
    pub(crate) fn arena(&self) -> &'a Arena {
        self.arena
    }

    /// What the plan was told to look at.
    pub(crate) fn looks(&self) -> Looks<'a> {
        self.looks
    }

    fn place(&mut self, set: usize) -> Option<&mut Value<'a>> {
        self.values.get_mut(*self.plan.sets.get(set)?)
    }

    /// The value of a field that code sets, by its number among those.
    pub(crate) fn get(&self, set: usize) -> Option<Value<'a>> {
        present(*self.values.get(*self.plan.sets.get(set)?)?)
    }

    /// Sets a field; null takes its value away.
    pub(crate) fn set(&mut self, set: usize, value: Value<'a>) {
        if let Some(place) = self.place(set) {
            *place = value;
        }
    }

    /// Sets a field that has no value yet.
    pub(crate) fn fill(&mut self, set: usize, value: Value<'a>) {
        if let Some(place @ Value::Null) = self.place(set) {
            *place = value;
        }
    }

    /// Sets a field to a list of texts.
    pub(crate) fn set_texts(&mut self, set: usize, texts: &[&'static str]) {
        let list = self.arena.texts(texts);
        self.set(set, list);
    }

    /// Adds values to the list of a field, each scalar once.
    pub(crate) fn extend_new(&mut self, set: usize, values: impl IntoIterator<Item = Value<'a>>) {
        let mut list: smallvec::SmallVec<[Value<'a>; 8]> = match self.get(set) {
            None => smallvec::SmallVec::new(),
            Some(Value::List(list)) => list.into(),
            Some(single) => smallvec::smallvec![single],
        };
        let before = list.len();
        // Many values are told apart by a table, a few one by one.
        let mut known: Option<ahash::AHashSet<&'a str>> = None;
        for value in values {
            let is_new = match value.as_text() {
                Some(text) if list.len() >= FEW => known
                    .get_or_insert_with(|| list.iter().filter_map(|value| value.as_text()).collect())
                    .insert(text),
                _ => !list.iter().take(FEW).any(|old| old.same(value)),
            };
            if is_new {
                list.push(value);
            }
        }
        if list.len() > before {
            let list = self.arena.list(&list);
            self.set(set, list);
        }
    }

    /// Adds what every document has.
    pub(crate) fn complete(
        self,
        info: &'static SourceInfo,
        record: &Record<'a>,
        keep_original: bool,
    ) -> Laid<'a> {
        let [module, dataset, stream, original, version, os, time] = self.plan.completed;
        let mut fill = |number: usize, text: &'a str| {
            if let Some(place @ Value::Null) = self.values.get_mut(number) {
                *place = Value::Text(text);
            }
        };
        fill(module, info.module);
        fill(dataset, info.dataset);
        fill(stream, info.dataset);
        fill(version, "8.11.0");
        if let Some(system) = info.os {
            fill(os, system);
        }
        if keep_original && !record.text.is_empty() {
            fill(original, record.text);
        }
        // A record that does not say when it was written counts from when it is read.
        if let Some(place @ Value::Null) = self.values.get_mut(time)
            && let Some(now) = record.clock.fallback()
            && let Some(now) = convert::instant(now, self.arena.map())
        {
            *place = Value::Text(now);
        }
        Laid {
            layout: &self.plan.layout,
            arena: self.arena,
            values: self.values,
        }
    }

    /// Adds it to a document that has something already. What code set counts more than that, what tables say less.
    pub(crate) fn onto(self, document: &'a Map<'a>) -> &'a Map<'a> {
        self.plan.layout.build(self.values, document);
        document
    }
}

/// So many values are looked through one by one.
const FEW: usize = 8;

impl<'a> Laid<'a> {
    /// The value at a dotted path.
    pub(crate) fn at(&self, path: &str) -> Option<Value<'a>> {
        match self
            .layout
            .number(path)
            .and_then(|number| self.values.get(number))
        {
            Some(value) if !self.layout.is_late(path) => present(*value),
            _ => self.root().at(path),
        }
    }

    /// The document as an object, which is made for this.
    pub(crate) fn root(&self) -> &'a Map<'a> {
        let root = self.arena.map();
        self.layout.build(self.values, root);
        root
    }

    fn late(&self, value: Value<'a>) -> &'a str {
        java_text::write(value, self.arena.text_writer())
    }

    fn part(&self) -> Part<'_, 'a> {
        Part {
            laid: self,
            object: self.layout.root(),
        }
    }
}

/// An object of a laid out document.
struct Part<'l, 'a> {
    laid: &'l Laid<'a>,
    object: Option<&'l Object>,
}

impl<'l, 'a> Part<'l, 'a> {
    fn items(&self) -> impl Iterator<Item = (&'static str, Item<'l, 'a>)> + use<'l, 'a> {
        let laid = self.laid;
        self.object
            .into_iter()
            .flat_map(|object| laid.layout.items(laid.values, object))
    }

    fn part(&self, object: &'l Object) -> Self {
        Self {
            laid: self.laid,
            object: Some(object),
        }
    }
}

impl Serialize for Laid<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.part().serialize(serializer)
    }
}

impl Serialize for Part<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(None)?;
        for (key, item) in self.items() {
            match item {
                Item::Value(value) => out.serialize_entry(key, &value)?,
                Item::Late(value) => out.serialize_entry(key, self.laid.late(value))?,
                Item::Object(object) => out.serialize_entry(key, &self.part(object))?,
            }
        }
        out.end()
    }
}

type Error = serde::de::value::Error;

impl<'de> Deserializer<'de> for Laid<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.part().deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> Deserializer<'de> for Part<'_, 'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let items = self.items().map(|(key, item)| {
            let part = match item {
                Item::Value(value) => Read::Value(value),
                Item::Late(value) => Read::Late(value, self.laid),
                Item::Object(object) => Read::Part(self.part(object)),
            };
            (key, part)
        });
        visitor.visit_map(MapDeserializer::new(items))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// A value of an object that is being read.
enum Read<'l, 'a> {
    Value(Value<'a>),
    Late(Value<'a>, &'l Laid<'a>),
    Part(Part<'l, 'a>),
}

impl<'de> Deserializer<'de> for Read<'_, 'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Value(value) => value.deserialize_any(visitor),
            Self::Late(value, laid) => visitor.visit_borrowed_str(laid.late(value)),
            Self::Part(part) => part.deserialize_any(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier
    }
}

impl<'de> IntoDeserializer<'de, Error> for Read<'_, 'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}
