//! Fields of ECS documents. Their names stand nested (`{"user": {"name": …}}`), dotted (`{"user.name": …}`), or both.

use serde_json::{Map, Value};

/// Names deeper than this are not split.
const DEEPEST: u32 = 16;

/// The value of a field.
pub(crate) fn find<'v>(document: &'v Value, path: &str) -> Option<&'v Value> {
    find_below(document, path, DEEPEST)
}

fn find_below<'v>(value: &'v Value, path: &str, depth: u32) -> Option<&'v Value> {
    let object = value.as_object()?;
    if let Some(found) = object.get(path) {
        return Some(found);
    }
    let depth = depth.checked_sub(1)?;
    path.match_indices('.').find_map(|(at, _)| {
        let inner = object.get(path.get(..at)?)?;
        find_below(inner, path.get(at + 1..)?, depth)
    })
}

/// The values of a field as texts, each once.
pub(crate) fn texts(document: &Value, path: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut add = |value: &Value| {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(value) => value.to_string(),
            _ => return,
        };
        if !text.is_empty() && !out.contains(&text) {
            out.push(text);
        }
    };
    match find(document, path) {
        Some(Value::Array(values)) => values.iter().for_each(&mut add),
        Some(value) => add(value),
        None => {}
    }
    out
}

/// The first value of a field as a text.
pub(crate) fn text(document: &Value, path: &str) -> Option<String> {
    texts(document, path).into_iter().next()
}

/// The first value of a field as a whole number, also where it is written as a text.
pub(crate) fn whole(document: &Value, path: &str) -> Option<i64> {
    text(document, path)?.parse().ok()
}

/// The documents of an alert's events, in order.
pub(crate) fn events(document: &Value) -> impl Iterator<Item = &Value> {
    steps(document).filter_map(|event| event.get("document"))
}

/// What an alert says of each of its events, in order.
pub(crate) fn steps(document: &Value) -> impl Iterator<Item = &Value> {
    let steps = find(document, "neph.alert.steps").and_then(Value::as_array);
    let events = steps.into_iter().flatten().filter_map(|step| step.get("events"));
    events.filter_map(Value::as_array).flatten()
}

/// Adds a key, unless its value says nothing.
pub(crate) fn put(object: &mut Map<String, Value>, key: &str, value: impl Into<Value>) {
    let value = value.into();
    let is_blank = match &value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(object) => object.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    };
    if !is_blank {
        object.insert(key.to_owned(), value);
    }
}

/// The document with all names nested. What a dotted name says of an object that stands nested too is put into it.
pub(crate) fn nested(document: &Value) -> Value {
    nested_below(document, DEEPEST)
}

fn nested_below(value: &Value, depth: u32) -> Value {
    let (Value::Object(object), Some(depth)) = (value, depth.checked_sub(1)) else {
        return value.clone();
    };
    let mut out = Map::new();
    for (key, value) in object {
        place(&mut out, key, nested_below(value, depth), depth);
    }
    Value::Object(out)
}

fn place(object: &mut Map<String, Value>, key: &str, value: Value, depth: u32) {
    match (key.split_once('.'), depth.checked_sub(1)) {
        (Some((head, tail)), Some(depth)) if !head.is_empty() => {
            let inner = object
                .entry(head.to_owned())
                .or_insert_with(|| Value::Object(Map::new()));
            match inner {
                Value::Object(inner) => place(inner, tail, value, depth),
                // A value stands where an object is wanted: the name stays dotted.
                _ => drop(object.insert(key.to_owned(), value)),
            }
        }
        _ => match (object.get_mut(key), value) {
            (Some(Value::Object(there)), Value::Object(more)) => {
                for (key, value) in more {
                    place(there, &key, value, depth);
                }
            }
            (_, value) => drop(object.insert(key.to_owned(), value)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_found_however_they_stand() {
        let document = json!({
            "user": {"name": "a", "group.id": [1, 2, 1]},
            "user.id": 7,
            "process.parent": {"name": "sh"},
            "empty": "",
        });
        assert_eq!(text(&document, "user.name").as_deref(), Some("a"));
        assert_eq!(texts(&document, "user.group.id"), ["1", "2"]);
        assert_eq!(whole(&document, "user.id"), Some(7));
        assert_eq!(text(&document, "process.parent.name").as_deref(), Some("sh"));
        assert_eq!(text(&document, "empty"), None);
        assert_eq!(text(&document, "user"), None);
        let expected = json!({
            "user": {"name": "a", "group": {"id": [1, 2, 1]}, "id": 7},
            "process": {"parent": {"name": "sh"}},
            "empty": "",
        });
        assert_eq!(nested(&document), expected);
        let clash = json!({"a": 1, "a.b": 2, "c.d": {"e": 1}, "c": {"d": {"f": 2}}});
        assert_eq!(
            nested(&clash),
            json!({"a": 1, "a.b": 2, "c": {"d": {"e": 1, "f": 2}}})
        );
    }
}
