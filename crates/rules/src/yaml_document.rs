//! YAML text to [`Table`]s, one for each document.

use neph_diag::{Diagnostic, Span};
use neph_sigma::yaml;

use crate::codes;
use neph_document::{Data, Entry, Node, Table};

/// Reads the documents of a text; of one that cannot be read only what is to be said.
pub(crate) fn parse(text: &str) -> Vec<(Option<Node>, Vec<Diagnostic>)> {
    let documents = yaml::read(text).into_iter();
    documents
        .map(|document| {
            let diagnostics = document
                .diagnostics
                .into_iter()
                .map(|found| Diagnostic::new(&codes::SYNTAX, found.span, found.message));
            (document.root.map(node), diagnostics.collect())
        })
        .collect()
}

/// The reader bounds the nesting, so this recursion is bounded too.
fn node(source: yaml::Node) -> Node {
    let data = match source.data {
        yaml::Data::Null => Data::Null,
        yaml::Data::Bool(truth) => Data::Bool(truth),
        yaml::Data::Number(written) => match written.parse::<i64>() {
            Ok(number) => Data::Integer(number),
            Err(_) => Data::Number(written.parse().unwrap_or(f64::NAN)),
        },
        yaml::Data::Text(text) => Data::Text(text),
        yaml::Data::List(items) => Data::List(items.into_iter().map(node).collect()),
        yaml::Data::Map(entries) => Data::Table(Table {
            entries: entries
                .into_iter()
                .map(|entry| Entry {
                    key: entry.key,
                    key_span: entry.key_span,
                    value: node(entry.value),
                })
                .collect(),
        }),
    };
    Node {
        span: source.span,
        data,
    }
}

/// The text of a scalar as it is written: numbers in a list of texts (`- 4625`) are texts.
pub(crate) fn written<'t>(node: &'t Node, text: &'t str) -> Option<&'t str> {
    match &node.data {
        Data::Text(value) => Some(value),
        Data::Integer(_) | Data::Number(_) | Data::Bool(_) | Data::Date => Some(Span::text(node.span, text)),
        _ => None,
    }
}
