//! A document of JSON as a tree that borrows its texts: an alert looks at few fields of its events, and hands all of them on.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

use super::written::Written;

/// An object has about so many keys.
const FEW: usize = 8;
/// Keys of an object are compared with one another up to so many, and hashed beyond.
const COMPARED: usize = 32;

/// A value of a document.
#[derive(Clone, Debug)]
pub(crate) enum Tree<'d> {
    /// Nothing.
    Null,
    /// A truth.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(Text<'d>),
    /// A list.
    List(Vec<Tree<'d>>),
    /// Keys, each once, and values.
    Object(Vec<(Text<'d>, Tree<'d>)>),
}

/// A text. What is borrowed was read from JSON as it stands there, so that it needs no escapes where it is written again.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Text<'d>(#[serde(borrow)] Cow<'d, str>);

impl Text<'_> {
    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Writes it as JSON.
    pub(crate) fn write(&self, out: &mut Written) {
        match &self.0 {
            Cow::Borrowed(text) => out.plain(text),
            Cow::Owned(text) => out.value(text),
        }
    }
}

impl<'d> Tree<'d> {
    /// The document of a text; nothing where it is no JSON.
    pub(crate) fn read(text: &'d [u8]) -> Self {
        // Looked at as a whole, its texts need not be looked at one by one.
        let text = std::str::from_utf8(text).unwrap_or_default();
        serde_json::from_str(text).unwrap_or(Self::Null)
    }

    /// The text that it is.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.as_str()),
            _ => None,
        }
    }

    /// Whether it says nothing.
    pub(crate) fn is_blank(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => text.as_str().is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Object(entries) => entries.is_empty(),
            Self::Bool(_) | Self::Number(_) => false,
        }
    }

    /// Looks for what an object has under a key. Where it has many keys they are hashed first, so that comparing two objects never
    /// takes the square of what they have.
    pub(crate) fn by_key<'e>(entries: &'e [(Text<'d>, Self)]) -> impl Fn(&str) -> Option<&'e Self> {
        let hashed: HashMap<&str, &'e Self> = match entries.len() {
            ..COMPARED => HashMap::new(),
            _ => entries.iter().map(|(key, value)| (key.as_str(), value)).collect(),
        };
        move |key| match hashed.is_empty() {
            true => {
                let entry = entries.iter().find(|(known, _)| known.as_str() == key);
                entry.map(|(_, value)| value)
            }
            false => hashed.get(key).copied(),
        }
    }

    /// Writes it as JSON.
    pub(crate) fn write(&self, out: &mut Written) {
        match self {
            Self::Null => out.value(&()),
            Self::Bool(truth) => out.value(truth),
            Self::Number(number) => out.value(number),
            Self::Text(text) => text.write(out),
            Self::List(items) => out.list(items, |out, item| item.write(out)),
            Self::Object(entries) => out.object(|out| {
                for (key, value) in entries {
                    out.entry(key, value);
                }
            }),
        }
    }
}

impl fmt::Display for Tree<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Written::default();
        self.write(&mut out);
        f.write_str(&String::from_utf8_lossy(&out.into_bytes()))
    }
}

/// The order of an object's keys says nothing.
impl PartialEq for Tree<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(one), Self::Bool(other)) => one == other,
            (Self::Number(one), Self::Number(other)) => one == other,
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::List(one), Self::List(other)) => one == other,
            (Self::Object(one), Self::Object(entries)) => {
                let value_of = Self::by_key(entries);
                one.len() == entries.len()
                    && one
                        .iter()
                        .all(|(key, value)| value_of(key.as_str()) == Some(value))
            }
            _ => false,
        }
    }
}

impl From<Value> for Tree<'_> {
    fn from(value: Value) -> Self {
        let text = |text| Text(Cow::Owned(text));
        match value {
            Value::Null => Self::Null,
            Value::Bool(truth) => Self::Bool(truth),
            Value::Number(number) => Self::Number(number),
            Value::String(string) => Self::Text(text(string)),
            Value::Array(items) => Self::List(items.into_iter().map(Self::from).collect()),
            Value::Object(map) => {
                let entries = map.into_iter();
                Self::Object(entries.map(|(key, value)| (text(key), value.into())).collect())
            }
        }
    }
}

impl From<&Tree<'_>> for Value {
    fn from(tree: &Tree<'_>) -> Self {
        match tree {
            Tree::Null => Self::Null,
            Tree::Bool(truth) => Self::Bool(*truth),
            Tree::Number(number) => Self::Number(number.clone()),
            Tree::Text(text) => text.as_str().into(),
            Tree::List(items) => items.iter().map(Self::from).collect(),
            Tree::Object(entries) => {
                let entries = entries.iter();
                Self::Object(
                    entries
                        .map(|(key, value)| (key.as_str().to_owned(), value.into()))
                        .collect(),
                )
            }
        }
    }
}

impl<'de> Deserialize<'de> for Tree<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Tree<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any valid JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Self::Value, E> {
        Ok(Tree::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Tree::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Tree::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Number::from_f64(number).map_or(Tree::Null, Tree::Number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Tree::Text(Text(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Tree::Text(Text(Cow::Owned(text.to_owned()))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut object: Vec<(Text<'de>, Tree<'de>)> = Vec::with_capacity(FEW);
        let mut places: HashMap<String, usize> = HashMap::new();
        while let Some((key, value)) = entries.next_entry::<Text<'de>, Tree<'de>>()? {
            // Of a key that comes again the last value counts, at the place of the first.
            let known = match object.len() {
                ..COMPARED => object.iter().position(|(known, _)| *known == key),
                _ => {
                    for (place, (key, _)) in object.iter().enumerate().skip(places.len()) {
                        places.insert(key.as_str().to_owned(), place);
                    }
                    places.get(key.as_str()).copied()
                }
            };
            match known.and_then(|place| object.get_mut(place)) {
                Some((_, known)) => *known = value,
                None => object.push((key, value)),
            }
        }
        Ok(Tree::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a document is written as.
    fn written(text: &str) -> String {
        Tree::read(text.as_bytes()).to_string()
    }

    #[test]
    fn documents_are_written_as_their_values_are() {
        let long: Vec<String> = (0..100).map(|key| format!("\"{}\":{key}", key % 60)).collect();
        let long = format!("{{{}}}", long.join(","));
        let texts = [
            r#" { "a" : [ 1 , -2, 2.50, 1e3, 18446744073709551615, 1e400 ] } "#,
            r#"{"a":[1,-2,2.50,1e3,18446744073709551615,-0,-0.0,1e-7],"b":{},"c":[],"d":null,"e":true}"#,
            r#"{"k":"\u00e9\/\n\u0001\"\\","\u006b":"again","z":"é\u007f","\t":1}"#,
            r#"{"a":1,"b":2,"a":{"c":[]}}"#,
            r#"{"a":"\ud800"}"#,
            "{\"a\":\"\t\"}",
            &long,
            "",
            "{",
        ];
        for text in texts {
            let value: Value = serde_json::from_str(text).unwrap_or(Value::Null);
            assert_eq!(written(text), value.to_string(), "{text}");
            assert_eq!(Tree::from(value), Tree::read(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn objects_are_equal_whatever_the_order_of_their_keys_and_however_many_there_are() {
        for keys in [2, COMPARED, 50_000] {
            let object = |order: &mut dyn Iterator<Item = usize>, last: usize| {
                let entries: Vec<String> = order.map(|key| format!("\"{key}\":{}", key.min(last))).collect();
                format!("{{{}}}", entries.join(","))
            };
            let texts = [
                object(&mut (0..keys), keys),
                object(&mut (0..keys).rev(), keys),
                object(&mut (0..keys), keys - 2),
            ];
            let [one, same, other] = texts.each_ref().map(|text| Tree::read(text.as_bytes()));
            assert!(one == same && one != other, "{keys}");
        }
    }
}
