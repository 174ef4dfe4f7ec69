//! Whole trees of a vendor under the names that an integration gives them.
//!
//! Most keys only change from camel to snake case; a table names those that do not, or whose values are converted.
//! Keys that no table knows come along in snake case, so that what a vendor adds later is not lost.

use crate::convert;
use crate::snake::{keep_last, snake_case};
use crate::tree::{Map, Value};

/// What becomes of one key of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) from: &'static str,
    /// A dotted path in the new object.
    pub(crate) to: &'static str,
    pub(crate) how: Reshape,
}

/// What becomes of its value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reshape {
    /// It stays as it is, with the keys inside of it.
    Keep,
    Text,
    Long,
    Bool,
    /// A date in ISO 8601 form, or seconds since the epoch.
    Date,
    Ip,
    /// An object, or an array of objects.
    Parts(&'static [Part]),
}

/// A row of a table.
pub(crate) const fn part(from: &'static str, to: &'static str, how: Reshape) -> Part {
    Part { from, to, how }
}

/// A new object with what is in `map` under its new names. The depth is that of the tree.
pub(crate) fn reshape<'a>(map: &Map<'a>, parts: &'static [Part]) -> &'a Map<'a> {
    let out = map.new_map();
    for (key, value) in map.iter() {
        if !value.is_blank() && parts.iter().all(|part| part.from != key) {
            out.add(map.text(&snake_case(key, false)), nested(value, &[], map));
        }
    }
    keep_last(out);
    for part in parts {
        if let Some(value) = map.get(part.from).filter(|value| !value.is_blank())
            && let Some(value) = converted(value, part.how, map)
        {
            // Two keys may share the beginning of their new names.
            match (out.map_at(part.to), value) {
                (Some(there), Value::Map(more)) => there.merge(more),
                _ => {
                    out.put(part.to, value);
                }
            }
        }
    }
    out
}

fn converted<'a>(value: Value<'a>, how: Reshape, at: &Map<'a>) -> Option<Value<'a>> {
    match how {
        Reshape::Keep => Some(value),
        Reshape::Text => convert::text(value, at).map(Value::Text),
        Reshape::Long => value.to_int().map(Value::Int),
        Reshape::Bool => match value {
            Value::Text(text) if text.eq_ignore_ascii_case("true") => Some(Value::Bool(true)),
            Value::Text(text) if text.eq_ignore_ascii_case("false") => Some(Value::Bool(false)),
            other => other.as_bool().map(Value::Bool),
        },
        Reshape::Date => convert::date_or_seconds(value, at).map(Value::Text),
        Reshape::Ip => convert::ip(value),
        Reshape::Parts(parts) => Some(nested(value, parts, at)),
    }
}

fn nested<'a>(value: Value<'a>, parts: &'static [Part], at: &Map<'a>) -> Value<'a> {
    match value {
        Value::Map(map) => Value::Map(reshape(map, parts)),
        Value::List(list) if list.iter().any(|element| element.as_map().is_some()) => {
            let elements: Vec<Value<'a>> = list
                .iter()
                .map(|element| match element {
                    Value::Map(map) => Value::Map(reshape(map, parts)),
                    other => *other,
                })
                .collect();
            at.list(&elements)
        }
        other => other,
    }
}
