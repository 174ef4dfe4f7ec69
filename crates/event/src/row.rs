//! Reading the fields that rules ask for out of one JSON record, in one pass.
//!
//! [`Slots`] holds the fields of all rules as a trie of path segments; [`Row::read`] walks the record along it and
//! skips what nobody asks for. The walk is a `serde` seed, so it runs over any deserializer: JSON text or a document
//! that a normaliser built.

use std::fmt;
use std::net::IpAddr;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use smallvec::SmallVec;

use crate::{Field, FieldType, Instant, ValueRef, parse_date};

/// Arrays and objects nested deeper than this are refused, as Elasticsearch's JSON reader does.
const MAX_DEPTH: u32 = 1000;

/// The place of a field in a [`Row`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

/// The fields to read, as a trie of path segments.
#[derive(Clone, Debug)]
pub struct Slots {
    fields: Vec<Field>,
    by_field: ahash::AHashMap<Field, Slot>,
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    children: ahash::AHashMap<Box<str>, u32>,
    /// Slots whose path ends here: one for each type that some rule reads the path as.
    slots: SmallVec<[Slot; 1]>,
}

impl Default for Slots {
    fn default() -> Self {
        Self {
            fields: Vec::new(),
            by_field: ahash::AHashMap::new(),
            nodes: vec![Node::default()],
        }
    }
}

impl Slots {
    /// The slot of `field`; equal fields share one.
    pub fn add(&mut self, field: Field) -> Slot {
        if let Some(slot) = self.by_field.get(&field) {
            return *slot;
        }
        let slot = Slot(u32::try_from(self.fields.len()).unwrap_or(u32::MAX));
        let mut node = 0_u32;
        for segment in field.path.split('.') {
            let next = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
            let Some(here) = self.nodes.get_mut(node as usize) else {
                return slot;
            };
            node = match here.children.get(segment) {
                Some(child) => *child,
                None => {
                    here.children.insert(segment.into(), next);
                    self.nodes.push(Node::default());
                    next
                }
            };
        }
        if let Some(here) = self.nodes.get_mut(node as usize) {
            here.slots.push(slot);
        }
        self.by_field.insert(field.clone(), slot);
        self.fields.push(field);
        slot
    }

    /// Number of slots.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether nothing is read.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The field of a slot.
    pub fn field(&self, slot: Slot) -> Option<&Field> {
        self.fields.get(slot.0 as usize)
    }

    /// All fields, in the order of their slots.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    fn descend(&self, node: u32, key: &str) -> Option<u32> {
        let here = self.nodes.get(node as usize)?;
        if let Some(child) = here.children.get(key) {
            return Some(*child);
        }
        // A key may hold dots (`"process.name": …`): Elasticsearch reads it as the nested path.
        let (head, tail) = key.split_once('.')?;
        self.descend(*here.children.get(head)?, tail)
    }
}

/// A value as the row keeps it: texts are ranges of the row's own text buffer, so that a row owns all it holds and
/// can be reused without allocating.
#[derive(Clone, Copy, Debug)]
enum Cell {
    Bool(bool),
    Long(i64),
    Unsigned(u64),
    Double(f64),
    String(u32, u32),
    Version(u32, u32),
    Date(Instant),
    Ip(IpAddr),
}

/// The values of one record's wanted fields. Reused from record to record.
#[derive(Clone, Debug, Default)]
pub struct Row {
    text: String,
    cells: Vec<SmallVec<[Cell; 1]>>,
    /// Slots that hold something, so that clearing costs what reading did.
    touched: Vec<Slot>,
    malformed: u32,
}

/// Why a record could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The text is no JSON.
    #[error("not valid JSON at byte {offset}: {reason}")]
    Json {
        /// Byte offset in the record where reading stopped.
        offset: usize,
        /// What the JSON reader says.
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
    /// The row is empty after an error.
    pub fn read(&mut self, slots: &Slots, json: &[u8]) -> Result<(), ReadError> {
        self.clear(slots);
        let mut deserializer = sonic_rs::Deserializer::from_slice(json);
        let mut refusal = None;
        let seed = Walk {
            row: self,
            slots,
            node: 0,
            depth: 0,
            refusal: &mut refusal,
        };
        let outcome = seed
            .deserialize(&mut deserializer)
            .and_then(|()| deserializer.end());
        match (outcome, refusal) {
            (Ok(()), _) => Ok(()),
            (Err(_), Some(refusal)) => {
                self.clear(slots);
                Err(refusal)
            }
            (Err(error), None) => {
                self.clear(slots);
                Err(ReadError::Json {
                    offset: error.offset(),
                    reason: error.to_string(),
                })
            }
        }
    }

    /// Reads the fields in `slots` out of anything that serde can walk, such as a document that a normaliser built.
    ///
    /// # Errors
    /// Whatever the deserializer reports; the row is then empty.
    pub fn read_from<'de, D: Deserializer<'de>>(&mut self, slots: &Slots, source: D) -> Result<(), D::Error> {
        self.clear(slots);
        let mut refusal = None;
        let outcome = Walk {
            row: self,
            slots,
            node: 0,
            depth: 0,
            refusal: &mut refusal,
        }
        .deserialize(source);
        if outcome.is_err() {
            self.clear(slots);
        }
        outcome
    }

    /// The values of a slot, in the order of the record.
    pub fn values(&self, slot: Slot) -> Values<'_> {
        let cells = self
            .cells
            .get(slot.0 as usize)
            .map_or(&[][..], SmallVec::as_slice);
        Values {
            text: &self.text,
            cells: cells.iter(),
        }
    }

    /// The first value of a slot.
    pub fn first(&self, slot: Slot) -> Option<ValueRef<'_>> {
        self.values(slot).next()
    }

    /// How many values of wanted fields did not fit the field's type and were left out (an address that is none, a
    /// number that is a word).
    pub fn malformed(&self) -> u32 {
        self.malformed
    }

    fn clear(&mut self, slots: &Slots) {
        self.text.clear();
        for slot in self.touched.drain(..) {
            if let Some(cells) = self.cells.get_mut(slot.0 as usize) {
                cells.clear();
            }
        }
        self.cells.resize_with(slots.len(), SmallVec::new);
        self.malformed = 0;
    }

    fn push(&mut self, slot: Slot, cell: Cell) {
        if let Some(cells) = self.cells.get_mut(slot.0 as usize) {
            if cells.is_empty() {
                self.touched.push(slot);
            }
            cells.push(cell);
        }
    }

    fn intern(&mut self, text: &str) -> (u32, u32) {
        let start = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
        self.text.push_str(text);
        (start, u32::try_from(self.text.len()).unwrap_or(u32::MAX))
    }

    /// Takes a scalar for one slot, as that slot's field types it.
    fn take(&mut self, slot: Slot, field: &Field, scalar: ValueRef<'_>) {
        let cell = match (field.kind, scalar) {
            (FieldType::Keyword | FieldType::Text | FieldType::Dynamic, ValueRef::String(text)) => {
                if field
                    .ignore_above
                    .is_some_and(|limit| text.chars().count() > limit as usize)
                {
                    return;
                }
                let (start, end) = self.intern(text);
                Some(Cell::String(start, end))
            }
            (FieldType::Keyword | FieldType::Text, other) => {
                let (start, end) = self.intern(&other.to_string());
                Some(Cell::String(start, end))
            }
            (FieldType::Version, ValueRef::String(text)) => {
                let (start, end) = self.intern(text);
                Some(Cell::Version(start, end))
            }
            (FieldType::Version, other) => {
                let (start, end) = self.intern(&other.to_string());
                Some(Cell::Version(start, end))
            }
            (FieldType::Dynamic | FieldType::Boolean, ValueRef::Bool(v)) => Some(Cell::Bool(v)),
            (FieldType::Dynamic | FieldType::Long, ValueRef::Long(v)) => Some(Cell::Long(v)),
            (FieldType::Dynamic | FieldType::Long, ValueRef::Unsigned(v)) => Some(Cell::Unsigned(v)),
            (FieldType::Dynamic | FieldType::Double, ValueRef::Double(v)) => Some(Cell::Double(v)),
            (FieldType::Dynamic, ValueRef::Date(v)) => Some(Cell::Date(v)),
            (FieldType::Dynamic, ValueRef::Ip(v)) => Some(Cell::Ip(v)),
            (FieldType::Dynamic, ValueRef::Version(text)) => {
                let (start, end) = self.intern(text);
                Some(Cell::Version(start, end))
            }
            (FieldType::Boolean, ValueRef::String(text)) => match text {
                "true" => Some(Cell::Bool(true)),
                "false" | "" => Some(Cell::Bool(false)),
                _ => None,
            },
            (FieldType::Long, ValueRef::Double(v)) => Some(Cell::Long(truncate(v))),
            (FieldType::Long, ValueRef::String(text)) => match text.parse::<i64>() {
                Ok(v) => Some(Cell::Long(v)),
                Err(_) => match text.parse::<u64>() {
                    Ok(v) => Some(Cell::Unsigned(v)),
                    Err(_) => text
                        .parse()
                        .ok()
                        .filter(|v: &f64| v.is_finite())
                        .map(|v| Cell::Long(truncate(v))),
                },
            },
            #[expect(
                clippy::cast_precision_loss,
                reason = "a floating field stores the nearest double"
            )]
            (FieldType::Double, ValueRef::Long(v)) => Some(Cell::Double(v as f64)),
            #[expect(
                clippy::cast_precision_loss,
                reason = "a floating field stores the nearest double"
            )]
            (FieldType::Double, ValueRef::Unsigned(v)) => Some(Cell::Double(v as f64)),
            (FieldType::Double, ValueRef::String(text)) => text.parse().ok().map(Cell::Double),
            (FieldType::Date | FieldType::DateNanos, scalar) => {
                let instant = match scalar {
                    ValueRef::String(text) => parse_date(text, &field.formats),
                    ValueRef::Date(v) => Some(v),
                    ValueRef::Long(v) if field.formats.is_empty() => Some(Instant::from_millis(v)),
                    ValueRef::Double(v) if field.formats.is_empty() => {
                        Some(Instant::from_millis(truncate(v)))
                    }
                    other => parse_date(&other.to_string(), &field.formats),
                };
                instant.map(|v| {
                    Cell::Date(if field.kind == FieldType::Date {
                        v.truncated_to_millis()
                    } else {
                        v
                    })
                })
            }
            (FieldType::Ip, ValueRef::String(text)) => {
                text.parse::<IpAddr>().ok().map(|ip| Cell::Ip(ip.to_canonical()))
            }
            (FieldType::Ip, ValueRef::Ip(ip)) => Some(Cell::Ip(ip)),
            _ => None,
        };
        match cell {
            Some(cell) => self.push(slot, cell),
            None => self.malformed += 1,
        }
    }
}

/// Cuts the fraction off, as Elasticsearch's `coerce` does; `as` saturates.
#[expect(clippy::cast_possible_truncation, reason = "saturation is what is wanted")]
fn truncate(double: f64) -> i64 {
    double as i64
}

/// The values of one slot.
#[derive(Clone, Debug)]
pub struct Values<'a> {
    text: &'a str,
    cells: std::slice::Iter<'a, Cell>,
}

impl<'a> Iterator for Values<'a> {
    type Item = ValueRef<'a>;

    fn next(&mut self) -> Option<ValueRef<'a>> {
        let text = |start: u32, end: u32| self.text.get(start as usize..end as usize).unwrap_or("");
        Some(match *self.cells.next()? {
            Cell::Bool(v) => ValueRef::Bool(v),
            Cell::Long(v) => ValueRef::Long(v),
            Cell::Unsigned(v) => ValueRef::Unsigned(v),
            Cell::Double(v) => ValueRef::Double(v),
            Cell::String(start, end) => ValueRef::String(text(start, end)),
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

/// The walk over one value of the record, standing at a node of the trie.
struct Walk<'a> {
    row: &'a mut Row,
    slots: &'a Slots,
    node: u32,
    depth: u32,
    /// Why the walk stopped, where the reason is ours and not the deserializer's.
    refusal: &'a mut Option<ReadError>,
}

impl Walk<'_> {
    fn scalar(self, scalar: ValueRef<'_>) {
        let Some(node) = self.slots.nodes.get(self.node as usize) else {
            return;
        };
        for slot in &node.slots {
            if let Some(field) = self.slots.field(*slot) {
                self.row.take(*slot, field, scalar);
            }
        }
    }

    fn inside<'b>(&'b mut self, node: u32) -> Walk<'b> {
        Walk {
            row: self.row,
            slots: self.slots,
            node,
            depth: self.depth + 1,
            refusal: self.refusal,
        }
    }

    fn refuse<E: serde::de::Error>(self, refusal: ReadError) -> E {
        let error = E::custom(&refusal);
        *self.refusal = Some(refusal);
        error
    }

    fn top_must_be_object<E: serde::de::Error>(self, scalar: ValueRef<'_>) -> Result<(), E> {
        if self.depth == 0 {
            return Err(self.refuse(ReadError::NotAnObject));
        }
        self.scalar(scalar);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: serde::de::Error>(self, v: bool) -> Result<(), E> {
        self.top_must_be_object(ValueRef::Bool(v))
    }

    fn visit_i64<E: serde::de::Error>(self, v: i64) -> Result<(), E> {
        self.top_must_be_object(ValueRef::Long(v))
    }

    fn visit_u64<E: serde::de::Error>(self, v: u64) -> Result<(), E> {
        self.top_must_be_object(i64::try_from(v).map_or(ValueRef::Unsigned(v), ValueRef::Long))
    }

    fn visit_f64<E: serde::de::Error>(self, v: f64) -> Result<(), E> {
        self.top_must_be_object(ValueRef::Double(v))
    }

    fn visit_str<E: serde::de::Error>(self, v: &str) -> Result<(), E> {
        self.top_must_be_object(ValueRef::String(v))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        if self.depth == 0 {
            return Err(self.refuse(ReadError::NotAnObject));
        }
        let Some(node) = self.slots.nodes.get(self.node as usize) else {
            return Ok(());
        };
        for slot in &node.slots {
            if let Some(field) = self.slots.field(*slot)
                && let Some(value) = &field.null_value
            {
                self.row.take(*slot, field, value.as_ref());
            }
        }
        Ok(())
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<(), E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        use serde::de::Error as _;
        if self.depth == 0 {
            return Err(self.refuse(ReadError::NotAnObject));
        }
        if self.depth >= MAX_DEPTH {
            return Err(A::Error::custom(self.refuse::<A::Error>(ReadError::TooDeep)));
        }
        let node = self.node;
        while seq.next_element_seed(self.inside(node))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        use serde::de::Error as _;
        if self.depth >= MAX_DEPTH {
            return Err(A::Error::custom(self.refuse::<A::Error>(ReadError::TooDeep)));
        }
        while let Some(child) = map.next_key_seed(Key {
            slots: self.slots,
            node: self.node,
        })? {
            match child {
                Some(node) => map.next_value_seed(self.inside(node))?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Looks an object's key up in the trie; nothing is kept of a key that nobody asks for.
struct Key<'a> {
    slots: &'a Slots,
    node: u32,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<u32>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<u32>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<u32>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<Option<u32>, E> {
        Ok(self.slots.descend(self.node, key))
    }
}
