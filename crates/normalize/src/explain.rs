//! Where each field of a document comes from.
//!
//! Nothing is recorded while a record is normalised. A value that moved from the record into the document is the
//! same place in memory, so its path in the record is known afterwards; for values that were converted or put
//! together, the source's own tables say which paths decide them.

use ahash::{AHashMap, AHashSet};

use crate::source::SourceInfo;
use crate::tree::{Map, Value};

/// Where one field of a document comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The field, by its dotted path.
    pub field: String,
    /// The paths in the vendor's record; none for a constant.
    pub from: Vec<String>,
    /// How the value came from there.
    pub how: Provenance,
}

/// How the value of a field came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// It is the record's value, unchanged.
    Kept,
    /// It was converted from the record's value, or decided by values of the record.
    Derived,
    /// It is the same in every document of its kind.
    Constant,
}

/// The places in memory of a record's values, each with its path.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    by_place: AHashMap<(usize, usize), String>,
    all: AHashSet<String>,
    /// The record is a line of text: its parts have no place of their own, so the tables alone tell.
    text: bool,
}

impl Paths {
    /// The paths of an object. To be taken before the object is normalised, which changes it.
    pub(crate) fn of<'a>(object: &'a Map<'a>) -> Self {
        let mut paths = Self::default();
        paths.walk("", Value::Map(object));
        paths
    }

    /// The paths of a line of text, which are the names of its columns.
    pub(crate) fn of_text() -> Self {
        Self {
            text: true,
            ..Self::default()
        }
    }

    fn walk(&mut self, path: &str, value: Value<'_>) {
        if !path.is_empty() {
            self.all.insert(path.to_owned());
            if let Some(place) = place(value) {
                self.by_place.entry(place).or_insert_with(|| path.to_owned());
            }
        }
        match value {
            Value::Map(map) => map
                .iter()
                .for_each(|(key, value)| self.walk(&join(path, key), value)),
            Value::List(list) => list.iter().for_each(|element| self.walk(path, *element)),
            _ => {}
        }
    }

    fn has(&self, path: &str) -> bool {
        self.text || self.all.contains(path)
    }

    /// Explains every field of a document.
    pub(crate) fn explain<'a>(&self, document: &'a Map<'a>, info: &SourceInfo) -> Vec<Explanation> {
        let mut out = Explanations::default();
        self.fields("", None, Value::Map(document), info, &mut out);
        out.list
    }

    fn fields(
        &self,
        field: &str,
        inherited: Option<&str>,
        value: Value<'_>,
        info: &SourceInfo,
        out: &mut Explanations,
    ) {
        let known = place(value)
            .and_then(|place| self.by_place.get(&place))
            .map(String::as_str)
            .or(inherited);
        match value {
            Value::Map(map) => {
                for (key, value) in map.iter() {
                    let inside = known.map(|path| join(path, key)).filter(|path| self.has(path));
                    self.fields(&join(field, key), inside.as_deref(), value, info, out);
                }
            }
            Value::List(list) if !list.is_empty() => {
                for element in list {
                    self.fields(field, known, *element, info, out);
                }
            }
            _ => out.add(self.leaf(field, known, info)),
        }
    }

    fn leaf(&self, field: &str, known: Option<&str>, info: &SourceInfo) -> Explanation {
        if let Some(path) = known {
            return Explanation {
                field: field.to_owned(),
                from: vec![path.to_owned()],
                how: Provenance::Kept,
            };
        }
        let rows = info
            .mappings
            .iter()
            .copied()
            .flatten()
            .filter(|row| row.to == field)
            .map(|row| row.from);
        let covers = |pattern: &str| match pattern.strip_suffix(".*") {
            Some(prefix) => field
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.starts_with('.')),
            None => pattern == field,
        };
        let derived = info
            .derived
            .iter()
            .copied()
            .flatten()
            .filter(|row| covers(row.field))
            .flat_map(|row| row.from);
        let from: Vec<String> = rows
            .chain(derived.copied())
            .filter(|path| self.has(path))
            .map(str::to_owned)
            .collect();
        let how = if from.is_empty() {
            Provenance::Constant
        } else {
            Provenance::Derived
        };
        Explanation {
            field: field.to_owned(),
            from,
            how,
        }
    }
}

/// Explanations, one for each field.
#[derive(Default)]
struct Explanations {
    list: Vec<Explanation>,
    places: AHashMap<String, usize>,
}

impl Explanations {
    /// Adds an explanation; several values of one field share one.
    fn add(&mut self, explanation: Explanation) {
        let place = *self
            .places
            .entry(explanation.field.clone())
            .or_insert(self.list.len());
        let Some(known) = self.list.get_mut(place) else {
            return self.list.push(explanation);
        };
        // The elements of an array share their path; more than a few different ones say nothing.
        for path in explanation.from {
            if known.from.len() < MAX_PATHS && !known.from.contains(&path) {
                known.from.push(path);
            }
        }
        if known.how == Provenance::Constant {
            known.how = explanation.how;
        }
    }
}

/// The most paths that are named for one field.
const MAX_PATHS: usize = 16;

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        [path, key].join(".")
    }
}

/// The place of a value in memory; scalars other than strings have none.
fn place(value: Value<'_>) -> Option<(usize, usize)> {
    match value {
        Value::Text(text) if !text.is_empty() => Some((text.as_ptr() as usize, text.len())),
        Value::List(list) if !list.is_empty() => Some((list.as_ptr() as usize, usize::MAX - list.len())),
        Value::Map(map) => Some((std::ptr::from_ref(map) as usize, usize::MAX)),
        _ => None,
    }
}
