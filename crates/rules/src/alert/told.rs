//! The document of an alert as others see it.

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::{Map, Value};

/// The document of an alert: the JSON that was written, and what it says, which is read when somebody first asks.
#[derive(Clone, Debug, Default)]
pub struct Document {
    /// `None` where it was changed since.
    written: Option<Vec<u8>>,
    read: OnceLock<Map<String, Value>>,
}

impl Document {
    /// Of what we wrote ourselves: how deep it is is not looked at again.
    pub(super) fn of(written: Vec<u8>) -> Self {
        Self {
            written: Some(written),
            read: OnceLock::new(),
        }
    }

    /// It as JSON.
    pub fn to_json(&self) -> Cow<'_, [u8]> {
        match &self.written {
            Some(written) => written.into(),
            None => serde_json::to_vec(&**self).unwrap_or_default().into(),
        }
    }

    /// It as JSON, for good.
    pub fn into_json(self) -> Vec<u8> {
        match self.written {
            Some(written) => written,
            None => self.to_json().into_owned(),
        }
    }

    /// It as a value.
    pub fn into_value(self) -> Value {
        Value::Object(self.into_map())
    }

    /// Changes it.
    pub fn change(&mut self, change: impl FnOnce(&mut Map<String, Value>)) {
        let mut map = std::mem::take(self).into_map();
        change(&mut map);
        *self = map.into();
    }

    fn into_map(self) -> Map<String, Value> {
        match self.read.into_inner() {
            Some(map) => map,
            None => read(self.written.as_deref()),
        }
    }
}

fn read(written: Option<&[u8]>) -> Map<String, Value> {
    let mut reader = serde_json::Deserializer::from_slice(written.unwrap_or_default());
    // An event may be as deep as is read, and stands some levels deep here.
    reader.disable_recursion_limit();
    Map::deserialize(&mut reader).unwrap_or_default()
}

impl Deref for Document {
    type Target = Map<String, Value>;

    fn deref(&self) -> &Self::Target {
        self.read.get_or_init(|| read(self.written.as_deref()))
    }
}

impl From<Map<String, Value>> for Document {
    fn from(read: Map<String, Value>) -> Self {
        Self {
            written: None,
            read: read.into(),
        }
    }
}

impl PartialEq for Document {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_is_read_however_deep_and_can_be_changed() {
        let written = format!("{}1{}", "{\"a\":".repeat(140), "}".repeat(140));
        let mut document = Document::of(written.clone().into_bytes());
        assert_eq!(document.clone().into_value().to_string(), written);
        document.change(|map| drop(map.insert("b".into(), json!([2]))));
        assert_eq!(document["b"], json!([2]));
        assert_eq!(document.to_json().len(), written.len() + ",\"b\":[2]".len());
        assert_eq!(document.clone().into_json(), document.to_json().as_ref());
    }
}
