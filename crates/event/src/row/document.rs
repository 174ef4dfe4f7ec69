//! The walk over a document that serde can walk.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{MAX_DEPTH, ReadError, Row};
use crate::slots::NodeId;
use crate::{Slots, ValueRef};

/// The walk over one value of the document, standing at a node of the trie.
pub(super) struct Walk<'a> {
    row: &'a mut Row,
    slots: &'a Slots,
    node: Option<NodeId>,
    depth: u32,
}

impl<'a> Walk<'a> {
    pub(super) fn new(row: &'a mut Row, slots: &'a Slots) -> Self {
        Self {
            row,
            slots,
            node: slots.root(),
            depth: 0,
        }
    }

    fn scalar<E: Error>(self, scalar: ValueRef<'_>) -> Result<(), E> {
        if self.depth == 0 {
            return Err(E::custom(ReadError::NotAnObject));
        }
        if let Some(node) = self.node {
            self.row.take_all(self.slots, node, scalar, None);
        }
        Ok(())
    }

    fn inside<'b>(&'b mut self, node: Option<NodeId>) -> Walk<'b> {
        Walk {
            row: self.row,
            slots: self.slots,
            node,
            depth: self.depth + 1,
        }
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

    fn visit_bool<E: Error>(self, v: bool) -> Result<(), E> {
        self.scalar(ValueRef::Bool(v))
    }

    fn visit_i64<E: Error>(self, v: i64) -> Result<(), E> {
        self.scalar(ValueRef::Long(v))
    }

    fn visit_u64<E: Error>(self, v: u64) -> Result<(), E> {
        self.scalar(i64::try_from(v).map_or(ValueRef::Unsigned(v), ValueRef::Long))
    }

    fn visit_f64<E: Error>(self, v: f64) -> Result<(), E> {
        self.scalar(ValueRef::Double(v))
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<(), E> {
        self.scalar(ValueRef::String(v))
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        if self.depth == 0 {
            return Err(E::custom(ReadError::NotAnObject));
        }
        if let Some(node) = self.node {
            self.row.take_null(self.slots, node);
        }
        Ok(())
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        if self.depth == 0 {
            return Err(A::Error::custom(ReadError::NotAnObject));
        }
        if self.depth >= MAX_DEPTH {
            return Err(A::Error::custom(ReadError::TooDeep));
        }
        let node = self.node;
        while seq.next_element_seed(self.inside(node))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        if self.depth >= MAX_DEPTH {
            return Err(A::Error::custom(ReadError::TooDeep));
        }
        let (slots, node) = (self.slots, self.node);
        while let Some(child) = map.next_key_seed(Key { slots, node })? {
            match child {
                Some(child) => map.next_value_seed(self.inside(Some(child)))?,
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
    node: Option<NodeId>,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<NodeId>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<NodeId>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.node.and_then(|node| self.slots.child(node, key)))
    }
}
