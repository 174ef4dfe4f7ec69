//! The values of an item, as the answers of several clouds write them.

use jiff::Timestamp;
use serde_json::{Map, Value};

/// An object of an answer. Azure's REST interface has most values one level deeper, under `properties`; its tool prints them flat.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'v> {
    own: &'v Map<String, Value>,
    properties: Option<&'v Map<String, Value>>,
}

impl<'v> Item<'v> {
    pub(crate) fn new(own: &'v Map<String, Value>) -> Self {
        Self {
            own,
            properties: own.get("properties").and_then(Value::as_object),
        }
    }

    /// The names of its values.
    pub(crate) fn keys(self) -> impl Iterator<Item = &'v str> {
        let outer = self
            .own
            .keys()
            .filter(move |key| self.properties.is_none() || *key != "properties");
        let inner = self.properties.into_iter().flat_map(Map::keys);
        outer.chain(inner).map(String::as_str)
    }

    /// A value; one that is null counts as absent.
    pub(crate) fn get(self, key: &str) -> Option<&'v Value> {
        let found = self.own.get(key).filter(|value| !value.is_null());
        found
            .or_else(|| self.properties?.get(key))
            .filter(|value| !value.is_null())
    }

    /// The first of several names that has a value: tools changed how they write some.
    pub(crate) fn any(self, keys: &[&str]) -> Option<&'v Value> {
        keys.iter().find_map(|key| self.get(key))
    }

    pub(crate) fn object(self, key: &str) -> Option<Item<'v>> {
        self.get(key)?.as_object().map(Item::new)
    }

    pub(crate) fn list(self, key: &str) -> &'v [Value] {
        self.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// A text; an empty one counts as absent.
    pub(crate) fn text(self, key: &str) -> Option<&'v str> {
        self.get(key)?.as_str().filter(|text| !text.is_empty())
    }

    pub(crate) fn boxed(self, key: &str) -> Option<Box<str>> {
        self.text(key).map(Into::into)
    }

    pub(crate) fn boolean(self, key: &str) -> Option<bool> {
        self.get(key)?.as_bool()
    }

    /// A whole number, also one in quotes, as Google writes large ones.
    pub(crate) fn number(self, keys: &[&str]) -> Option<u64> {
        match self.any(keys)? {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
    }

    pub(crate) fn time(self, keys: &[&str]) -> Option<Timestamp> {
        match self.any(keys)? {
            Value::String(text) => time(text),
            // Tools of AWS can be told to write seconds since 1970.
            Value::Number(number) => Timestamp::from_second(number.as_f64()? as i64).ok(),
            _ => None,
        }
    }
}

/// A time to the second: fractions differ between the calls that tell it. Without a zone, as OpenStack writes it, it is UTC.
pub(crate) fn time(text: &str) -> Option<Timestamp> {
    let at: Timestamp = match text.parse() {
        Ok(at) => at,
        Err(_) => {
            let civil: jiff::civil::DateTime = text.parse().ok()?;
            civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp()
        }
    };
    Timestamp::from_second(at.as_second()).ok()
}

/// Tags of a list of pairs, sorted. Those that AWS keeps for itself nobody else can set.
pub(crate) fn tags_of_pairs(list: &[Value]) -> Vec<(Box<str>, Box<str>)> {
    let pairs = list.iter().filter_map(|tag| {
        let key = tag.get("Key")?.as_str()?;
        let value = tag.get("Value").and_then(Value::as_str).unwrap_or("");
        (!key.starts_with("aws:")).then(|| (key.into(), value.into()))
    });
    sorted(pairs.collect())
}

/// Tags of an object, sorted.
pub(crate) fn tags_of_object(object: Option<&Value>) -> Vec<(Box<str>, Box<str>)> {
    let entries = object.and_then(Value::as_object).into_iter().flatten();
    let pairs = entries.map(|(key, value)| {
        let value: Box<str> = match value {
            Value::String(text) => text.as_str().into(),
            Value::Null => "".into(),
            other => other.to_string().into(),
        };
        (key.as_str().into(), value)
    });
    sorted(pairs.collect())
}

fn sorted(mut tags: Vec<(Box<str>, Box<str>)>) -> Vec<(Box<str>, Box<str>)> {
    tags.sort_unstable();
    tags
}

/// The path of a resource, in small letters and without the host and the version before it, which differ between calls.
pub(crate) fn path(text: &str) -> Box<str> {
    let host = text.strip_prefix("https://").unwrap_or("");
    let shown = host.find("/projects/").and_then(|at| host.get(at + 1..));
    shown.unwrap_or(text).to_lowercase().into()
}

/// The part of a path behind a word: the subscription of `/subscriptions/ID/…`.
pub(crate) fn behind<'t>(path: &'t str, word: &str) -> Option<&'t str> {
    let mut parts = path.split('/');
    parts.find(|part| part.eq_ignore_ascii_case(word))?;
    parts.next().filter(|part| !part.is_empty())
}
