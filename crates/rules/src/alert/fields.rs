//! Fields of JSON documents: looking them up, and what several documents share.

use std::borrow::Cow;

use neph_event::{Instant, parse_date};
use serde_json::{Map, Value};

use super::tree::Tree;

/// Documents nested deeper than this are not looked into.
const MAX_DEPTH: u32 = 64;

/// Calls `visit` with every value of a field. Keys may hold dots (`"process.name"`), and arrays flatten, as when rules
/// match.
pub(crate) fn for_each<'a, 'd>(document: &'a Tree<'d>, path: &str, visit: &mut impl FnMut(&'a Tree<'d>)) {
    descend(document, path, 0, visit);
}

fn descend<'a, 'd>(value: &'a Tree<'d>, path: &str, depth: u32, visit: &mut impl FnMut(&'a Tree<'d>)) {
    if depth > MAX_DEPTH {
        return;
    }
    match value {
        Tree::List(items) => items
            .iter()
            .for_each(|item| descend(item, path, depth + 1, visit)),
        Tree::Object(entries) if !path.is_empty() => {
            for (key, inner) in entries {
                let Some(rest) = path.strip_prefix(key.as_str()) else {
                    continue;
                };
                if rest.is_empty() {
                    descend(inner, "", depth + 1, visit);
                } else if let Some(rest) = rest.strip_prefix('.') {
                    descend(inner, rest, depth + 1, visit);
                }
            }
        }
        Tree::Object(_) | Tree::Null => {}
        scalar if path.is_empty() => visit(scalar),
        _ => {}
    }
}

/// The first value of a field.
pub(crate) fn first<'a, 'd>(document: &'a Tree<'d>, path: &str) -> Option<&'a Tree<'d>> {
    let mut found = None;
    for_each(document, path, &mut |value| found = found.or(Some(value)));
    found
}

/// The first value of a field as text.
pub(crate) fn text<'a>(document: &'a Tree<'_>, path: &str) -> Option<Cow<'a, str>> {
    match first(document, path)? {
        Tree::Text(text) if text.as_str().is_empty() => None,
        Tree::Text(text) => Some(text.as_str().into()),
        other => Some(other.to_string().into()),
    }
}

/// Whether a field has this value, or one of its values is it.
pub(crate) fn has(document: &Tree<'_>, path: &str, wanted: &str) -> bool {
    let mut found = false;
    for_each(document, path, &mut |value| {
        found |= value.as_str() == Some(wanted)
    });
    found
}

/// The first value of a field as a time.
pub(crate) fn time(document: &Tree<'_>, path: &str) -> Option<Instant> {
    match first(document, path)? {
        Tree::Text(text) => parse_date(text.as_str(), &[]),
        Tree::Number(number) => number.as_i64().map(Instant::from_millis),
        _ => None,
    }
}

/// What all documents share: keys that all have with equal values; of objects what they share, of arrays the items that
/// all have. The alert that Kibana makes of a sequence carries the same.
pub(crate) fn shared<'a, 'd>(documents: &[&'a Tree<'d>]) -> Cow<'a, Tree<'d>> {
    let Some((first, rest)) = documents.split_first() else {
        return Cow::Owned(Tree::Null);
    };
    let mut common = Cow::Borrowed(*first);
    for document in rest {
        common = Cow::Owned(intersect(&common, document, 0).unwrap_or(Tree::Null));
    }
    common
}

/// An object of these keys and values.
pub(crate) fn object<'k>(entries: impl IntoIterator<Item = (&'k str, Value)>) -> Value {
    let entries = entries.into_iter();
    Value::Object(entries.map(|(key, value)| (key.to_owned(), value)).collect())
}

/// Sets a key, unless the value says nothing.
pub(crate) fn insert(map: &mut Map<String, Value>, key: &str, value: impl Into<Value>) {
    let value = value.into();
    if !is_blank(&value) {
        map.insert(key.to_owned(), value);
    }
}

/// Whether a value says nothing.
pub(crate) fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn intersect<'d>(a: &Tree<'d>, b: &Tree<'d>, depth: u32) -> Option<Tree<'d>> {
    if depth > MAX_DEPTH {
        return None;
    }
    match (a, b) {
        (Tree::Object(a), Tree::Object(b)) => {
            let value_of = Tree::by_key(b);
            let common: Vec<_> = a
                .iter()
                .filter_map(|(key, value)| {
                    Some((key.clone(), intersect(value, value_of(key.as_str())?, depth + 1)?))
                })
                .collect();
            (!common.is_empty()).then_some(Tree::Object(common))
        }
        (Tree::List(a), Tree::List(b)) => {
            let common: Vec<Tree<'d>> = a.iter().filter(|item| b.contains(item)).cloned().collect();
            (!common.is_empty()).then_some(Tree::List(common))
        }
        (a, b) => (a == b && !matches!(a, Tree::Null)).then(|| a.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_found_however_they_are_written() {
        let document = Tree::from(json!({
            "process": {"name": "curl", "args": ["curl", "-s"], "parent.name": "sh"},
            "process.pid": 7,
            "hosts": [{"name": "a"}, {"name": "b"}],
        }));
        assert_eq!(text(&document, "process.name").as_deref(), Some("curl"));
        assert_eq!(text(&document, "process.pid").as_deref(), Some("7"));
        assert_eq!(text(&document, "process.parent.name").as_deref(), Some("sh"));
        assert!(has(&document, "process.args", "-s"));
        assert!(has(&document, "hosts.name", "b"));
        assert_eq!(text(&document, "process"), None);
        assert_eq!(text(&document, "proc"), None);
    }

    #[test]
    fn what_documents_share() {
        let a = Tree::from(
            json!({"host": {"name": "web", "ip": ["::1", "10.0.0.1"]}, "process": {"pid": 1}, "tags": ["x"], "n": 1}),
        );
        let b = Tree::from(
            json!({"host": {"name": "web", "ip": ["10.0.0.1"]}, "process": {"pid": 2}, "tags": ["y"], "n": 1}),
        );
        let c = Tree::from(json!({"host": {"name": "web"}, "n": 1}));
        assert_eq!(
            *shared(&[&a, &b]),
            Tree::from(json!({"host": {"name": "web", "ip": ["10.0.0.1"]}, "n": 1}))
        );
        assert_eq!(
            *shared(&[&a, &b, &c]),
            Tree::from(json!({"host": {"name": "web"}, "n": 1}))
        );
        assert_eq!(*shared(&[&a]), a);
        assert_eq!(*shared(&[]), Tree::Null);
    }
}
