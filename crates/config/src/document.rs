//! TOML text to tables with spans, with every syntax error of the file.

use neph_diag::{Diagnostic, Span};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::codes;

/// A value with its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) data: Data,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(crate) enum Data {
    Text(String),
    Integer(i64),
    /// A number that is not whole, or too large; nothing takes it.
    Number,
    Bool(bool),
    Date,
    List(Vec<Node>),
    Table(Table),
}

/// A table in the order of the file.
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

impl Table {
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(&entry.value)
    }
}

impl Data {
    /// What the value is, in words for a diagnostic.
    pub(crate) fn words(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "a whole number",
            Self::Number => "a number",
            Self::Bool(_) => "a boolean",
            Self::Date => "a date",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// Reads a text; what could be read is returned beside the errors.
pub(crate) fn parse(text: &str) -> (Table, Vec<Diagnostic>) {
    let (root, errors) = DeTable::parse_recoverable(text);
    let diagnostics = errors.iter().map(|error| {
        let span = error
            .span()
            .map_or(Span::default(), |range| Span::new(range.start, range.end));
        let message = error.message().lines().next().unwrap_or("").trim_end_matches('.');
        Diagnostic::new(
            &codes::SYNTAX,
            span,
            format!("this is not valid TOML: {}", message.to_lowercase()),
        )
    });
    let diagnostics = diagnostics.collect();
    (table(root.get_ref()), diagnostics)
}

fn table(source: &DeTable<'_>) -> Table {
    let mut entries: Vec<Entry> = source
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            key_span: span(key),
            value: node(value),
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_span);
    Table { entries }
}

/// The parser bounds the nesting, so this recursion is bounded too.
fn node(source: &Spanned<DeValue<'_>>) -> Node {
    let data = match source.get_ref() {
        DeValue::String(text) => Data::Text(text.to_string()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Data::Number, Data::Integer)
        }
        DeValue::Float(_) => Data::Number,
        DeValue::Boolean(value) => Data::Bool(*value),
        DeValue::Datetime(_) => Data::Date,
        DeValue::Array(items) => Data::List(items.iter().map(node).collect()),
        DeValue::Table(inner) => Data::Table(table(inner)),
    };
    Node {
        span: span(source),
        data,
    }
}

fn span<T>(spanned: &Spanned<T>) -> Span {
    let range = spanned.span();
    Span::new(range.start, range.end)
}
