//! An ECS document.

use std::fmt;

use serde::de::{Deserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde::ser::{Serialize, Serializer};

use crate::mapping::Laid;
use crate::tree::{Map, Value};

/// An ECS document; it lives until the next record is pushed.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    form: Form<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Form<'a> {
    Tree(&'a Map<'a>),
    Laid(Laid<'a>),
}

impl<'a> From<&'a Map<'a>> for Document<'a> {
    fn from(root: &'a Map<'a>) -> Self {
        let form = Form::Tree(root);
        Self { form }
    }
}

impl<'a> From<Laid<'a>> for Document<'a> {
    fn from(laid: Laid<'a>) -> Self {
        let form = Form::Laid(laid);
        Self { form }
    }
}

impl<'a> Document<'a> {
    /// The value at a dotted path.
    pub fn at(&self, path: &str) -> Option<Value<'a>> {
        match &self.form {
            Form::Tree(root) => root.at(path),
            Form::Laid(laid) => laid.at(path),
        }
    }

    /// The document as an object, which may have to be made for this.
    pub fn root(&self) -> &'a Map<'a> {
        match &self.form {
            Form::Tree(root) => root,
            Form::Laid(laid) => laid.root(),
        }
    }

    /// Its JSON text, on one line.
    pub fn to_json(&self) -> Vec<u8> {
        // Writing into memory cannot fail, and every value of the tree has a JSON form except a number that is
        // none, which becomes null.
        sonic_rs::to_vec(self).unwrap_or_default()
    }
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.form {
            Form::Tree(root) => root.serialize(serializer),
            Form::Laid(laid) => laid.serialize(serializer),
        }
    }
}

impl<'de> Deserializer<'de> for Document<'de> {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.form {
            Form::Tree(root) => Value::Map(root).deserialize_any(visitor),
            Form::Laid(laid) => laid.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl fmt::Display for Document<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_json()))
    }
}
