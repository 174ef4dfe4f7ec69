//! Values with their places, whatever they were written in.

use neph_diag::Span;

/// Tables and lists nested deeper than this are refused; no format of rules or settings comes near.
pub const MAX_DEPTH: u32 = 64;

/// A value and where it stands in its file.
#[derive(Clone, Debug)]
pub struct Node {
    /// The value's text, quotes and brackets included; for a TOML `[table]` its header.
    pub span: Span,
    /// The value.
    pub data: Data,
}

/// A value.
#[derive(Clone, Debug)]
pub enum Data {
    /// JSON's `null`; a key with it counts as absent.
    Null,
    /// A boolean.
    Bool(bool),
    /// A whole number that 64 bits hold.
    Integer(i64),
    /// Any other number.
    Number(f64),
    /// A string.
    Text(String),
    /// TOML's date or time; no key is one.
    Date,
    /// A list.
    List(Vec<Node>),
    /// A table, or an object of JSON.
    Table(Table),
}

/// Keys with their values, in the order of the text.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// The entries; JSON may hold a key twice.
    pub entries: Vec<Entry>,
}

/// A key and its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_span: Span,
    /// Its value.
    pub value: Node,
}

impl Data {
    /// What a person would call a value of this kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) => "an integer",
            Self::Number(_) => "a number with a fraction",
            Self::Text(_) => "a string",
            Self::Date => "a date",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

impl Node {
    /// What a person would call a value of this kind.
    pub fn kind(&self) -> &'static str {
        self.data.kind()
    }

    /// Whether a key with this value says nothing: null, an empty text, list or table, `false`.
    pub fn is_blank(&self) -> bool {
        match &self.data {
            Data::Null | Data::Bool(false) => true,
            Data::Text(text) => text.is_empty(),
            Data::List(items) => items.is_empty(),
            Data::Table(table) => table.entries.is_empty(),
            _ => false,
        }
    }

    /// The value as JSON; its nesting is bounded by whoever read it.
    pub fn to_json(&self) -> serde_json::Value {
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

    /// The string that it is.
    pub fn as_text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The table that it is.
    pub fn as_table(&self) -> Option<&Table> {
        match &self.data {
            Data::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The items of a list, or nothing.
    pub fn items(&self) -> &[Node] {
        match &self.data {
            Data::List(items) => items,
            _ => &[],
        }
    }
}

impl Table {
    /// The entry of a key; one whose value is null counts as absent. Of equal keys (JSON allows them) the last holds.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        let found = self.entries.iter().rev().find(|entry| entry.key == key)?;
        (!matches!(found.value.data, Data::Null)).then_some(found)
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        Some(&self.entry(key)?.value)
    }

    /// The string of a key.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_text()
    }

    /// A text with the surrounding white space off, or empty.
    pub fn trimmed(&self, key: &str) -> String {
        self.text(key).unwrap_or("").trim().to_owned()
    }

    /// The whole number of a key.
    pub fn integer(&self, key: &str) -> Option<i64> {
        match &self.get(key)?.data {
            Data::Integer(number) => Some(*number),
            // JSON writers may print whole numbers with a fraction (`47.0`).
            Data::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => Some(*number as i64),
            _ => None,
        }
    }

    /// The boolean of a key.
    pub fn boolean(&self, key: &str) -> Option<bool> {
        match &self.get(key)?.data {
            Data::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The table of a key.
    pub fn table(&self, key: &str) -> Option<&Table> {
        self.get(key)?.as_table()
    }

    /// The tables of a list; what is no table is left out (its shape is reported elsewhere).
    pub fn tables(&self, key: &str) -> impl Iterator<Item = (&Table, Span)> {
        self.get(key)
            .map_or(&[][..], Node::items)
            .iter()
            .filter_map(|item| Some((item.as_table()?, item.span)))
    }

    /// The strings of a list, or of a string that stands alone.
    pub fn texts(&self, key: &str) -> Vec<String> {
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
