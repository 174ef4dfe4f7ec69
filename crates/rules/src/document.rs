//! A document with the place of every key and value: what TOML and JSON rule files are both read as.

use neph_diag::Span;

/// Tables and lists nested deeper than this are refused; no rule format comes near.
pub(crate) const MAX_DEPTH: u32 = 64;

/// A value and where it stands in its file.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// The value's text, quotes and brackets included; for a TOML `[table]` its header.
    pub(crate) span: Span,
    /// The value.
    pub(crate) data: Data,
}

/// A value.
#[derive(Clone, Debug)]
pub(crate) enum Data {
    /// JSON's `null`; a key with it counts as absent.
    Null,
    Bool(bool),
    Integer(i64),
    Number(f64),
    Text(String),
    /// TOML's date or time; no key of a rule is one.
    Date,
    List(Vec<Node>),
    Table(Table),
}

/// Keys with their values, in the order of the file for JSON and of the alphabet for TOML.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub(crate) entries: Vec<Entry>,
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
}

impl Node {
    /// What a person would call a value of this kind.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.data {
            Data::Null => "null",
            Data::Bool(_) => "a boolean",
            Data::Integer(_) => "an integer",
            Data::Number(_) => "a number with a fraction",
            Data::Text(_) => "a string",
            Data::Date => "a date",
            Data::List(_) => "a list",
            Data::Table(_) => "a table",
        }
    }

    /// Whether a key with this value says nothing: null, an empty text, list or table, `false`.
    pub(crate) fn is_blank(&self) -> bool {
        match &self.data {
            Data::Null | Data::Bool(false) => true,
            Data::Text(text) => text.is_empty(),
            Data::List(items) => items.is_empty(),
            Data::Table(table) => table.entries.is_empty(),
            _ => false,
        }
    }

    /// The value as JSON; its nesting is bounded by whoever read it.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match &self.data {
            Data::Null | Data::Date => Value::Null,
            Data::Bool(truth) => Value::Bool(*truth),
            Data::Integer(number) => Value::from(*number),
            Data::Number(number) => Value::from(*number),
            Data::Text(text) => Value::from(text.as_str()),
            Data::List(items) => items.iter().map(Self::to_json).collect(),
            Data::Table(table) => table
                .entries
                .iter()
                .map(|entry| (entry.key.clone(), entry.value.to_json()))
                .collect(),
        }
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_table(&self) -> Option<&Table> {
        match &self.data {
            Data::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The items of a list, or nothing.
    pub(crate) fn items(&self) -> &[Node] {
        match &self.data {
            Data::List(items) => items,
            _ => &[],
        }
    }
}

impl Table {
    /// The entry of a key; one whose value is null counts as absent. Of equal keys (JSON allows them) the last holds.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        let found = self.entries.iter().rev().find(|entry| entry.key == key)?;
        (!matches!(found.value.data, Data::Null)).then_some(found)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        Some(&self.entry(key)?.value)
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_text()
    }

    /// A text with the surrounding white space off, or empty.
    pub(crate) fn trimmed(&self, key: &str) -> String {
        self.text(key).unwrap_or("").trim().to_owned()
    }

    pub(crate) fn integer(&self, key: &str) -> Option<i64> {
        match &self.get(key)?.data {
            Data::Integer(number) => Some(*number),
            // JSON writers may print whole numbers with a fraction (`47.0`).
            Data::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => Some(*number as i64),
            _ => None,
        }
    }

    pub(crate) fn boolean(&self, key: &str) -> Option<bool> {
        match &self.get(key)?.data {
            Data::Bool(value) => Some(*value),
            _ => None,
        }
    }

    pub(crate) fn table(&self, key: &str) -> Option<&Table> {
        self.get(key)?.as_table()
    }

    /// The tables of a list; what is no table is left out (its shape is reported elsewhere).
    pub(crate) fn tables(&self, key: &str) -> impl Iterator<Item = (&Table, Span)> {
        self.get(key)
            .map_or(&[][..], Node::items)
            .iter()
            .filter_map(|item| Some((item.as_table()?, item.span)))
    }

    /// The strings of a list, or of a string that stands alone.
    pub(crate) fn texts(&self, key: &str) -> Vec<String> {
        match self.get(key) {
            Some(Node {
                data: Data::Text(text),
                ..
            }) => vec![text.clone()],
            Some(node) => node
                .items()
                .iter()
                .filter_map(Node::as_text)
                .map(str::to_owned)
                .collect(),
            None => Vec::new(),
        }
    }
}
