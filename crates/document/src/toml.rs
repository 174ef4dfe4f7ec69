//! TOML text to a [`Table`], with every syntax error of the text.

use neph_diag::{Code, Diagnostic, Span};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::{Data, Entry, Node, Table};

/// Reads a text; what could be read is returned beside the errors, which bear `code`.
pub fn parse(text: &str, code: &'static Code) -> (Table, Vec<Diagnostic>) {
    let (root, errors) = DeTable::parse_recoverable(text);
    let diagnostics = errors
        .iter()
        .map(|error| {
            let span = error
                .span()
                .map_or(Span::default(), |range| Span::new(range.start, range.end));
            Diagnostic::new(
                code,
                span,
                format!("this is not valid TOML: {}", lower(error.message())),
            )
        })
        .collect();
    (table(root.get_ref()), diagnostics)
}

fn lower(message: &str) -> String {
    let message = message.lines().next().unwrap_or("").trim_end_matches('.');
    let mut characters = message.chars();
    characters.next().map_or(String::new(), |first| {
        first.to_lowercase().chain(characters).collect()
    })
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
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).map_or_else(
            |_| Data::Number(number.as_str().parse().unwrap_or(f64::INFINITY)),
            Data::Integer,
        ),
        DeValue::Float(number) => Data::Number(number.as_str().parse().unwrap_or(f64::NAN)),
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
