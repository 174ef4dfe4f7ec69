//! Compares a table of a rule file with the [keys](crate::keys) that it may have.

use neph_diag::{Applicability, Diagnostic, Edit, Span};

use crate::codes;
use crate::keys::{Effect, Key, Shape};
use crate::rule::RuleKind;
use neph_document::{Data, Node, Table};

/// A key less alike than this is not suggested (Jaro-Winkler, 0 to 1).
const ALIKE: f64 = 0.85;

/// What a table's keys come to.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// What is wrong.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Keys that ask for what is not done yet, with what does not happen.
    pub(crate) not_honoured: Vec<(&'static str, &'static str)>,
    /// Keys that change nothing.
    no_effect: Vec<(String, Span)>,
}

impl Findings {
    /// Checks `table`, which stands at `place` and is called `path` (empty at the top), and all tables inside.
    pub(crate) fn check(
        &mut self,
        table: &Table,
        place: Span,
        path: &str,
        keys: &[Key],
        kind: Option<RuleKind>,
    ) {
        for (position, entry) in table.entries.iter().enumerate() {
            if table
                .entries
                .iter()
                .skip(position + 1)
                .any(|later| later.key == entry.key)
            {
                let message = format!("`{}` stands here twice; the last one holds", entry.key);
                self.diagnostics
                    .push(Diagnostic::new(&codes::VALUE_ODD, entry.key_span, message));
            }
            let Some(key) = keys.iter().find(|key| key.name == entry.key) else {
                self.diagnostics
                    .push(unknown_key(&entry.key, entry.key_span, path, keys, table));
                continue;
            };
            if matches!(entry.value.data, Data::Null) {
                continue;
            }
            let name = joined(path, key.name);
            self.check_shape(&entry.value, &key.shape, &name, kind);
            match key.effect {
                Effect::Honoured | Effect::Required => {}
                Effect::None => self.no_effect.push((name, entry.key_span)),
                Effect::Later(what) if !entry.value.is_blank() => {
                    let message = format!("`{name}` is not honoured yet: {what}");
                    self.diagnostics
                        .push(Diagnostic::new(&codes::KEY_NOT_HONOURED, entry.key_span, message));
                    self.not_honoured.push((key.name, what));
                }
                Effect::Later(_) => {}
                Effect::Of(kinds) => self.check_kind(&name, entry.key_span, kinds, kind, &entry.value),
            }
        }
        for key in keys.iter().filter(|key| matches!(key.effect, Effect::Required)) {
            if table.entry(key.name).is_none() {
                let message = format!("`{}` is missing", joined(path, key.name));
                self.diagnostics
                    .push(Diagnostic::new(&codes::KEY_MISSING, place, message));
            }
        }
    }

    /// Says of all keys without effect in one diagnostic that they have none; call it last.
    pub(crate) fn finish(&mut self) {
        let mut keys = std::mem::take(&mut self.no_effect);
        keys.sort_by_key(|(_, span)| *span);
        let Some((_, first)) = keys.first() else { return };
        let names = keys
            .iter()
            .map(|(name, _)| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ");
        let verb = if keys.len() == 1 {
            "is known and has"
        } else {
            "are known and have"
        };
        let message = format!("{names} {verb} no effect here");
        self.diagnostics
            .push(Diagnostic::new(&codes::KEY_NO_EFFECT, *first, message));
    }

    fn check_shape(&mut self, node: &Node, shape: &Shape, name: &str, kind: Option<RuleKind>) {
        match (shape, &node.data) {
            (Shape::Any, _)
            | (Shape::List, Data::List(_))
            | (Shape::AnyTable, Data::Table(_))
            | (Shape::Text | Shape::TextOrTexts, Data::Text(_))
            | (Shape::Integer, Data::Integer(_))
            | (Shape::Boolean, Data::Bool(_)) => {}
            (Shape::Integer, Data::Number(number)) if number.fract() == 0.0 => {}
            (Shape::Texts | Shape::TextOrTexts, Data::List(items)) => {
                for item in items.iter().filter(|item| item.as_text().is_none()) {
                    self.wrong_kind(item, &format!("each item of `{name}`"), "a string");
                }
            }
            (Shape::Table(keys), Data::Table(inner)) => self.check(inner, node.span, name, keys, kind),
            (Shape::Tables(keys), Data::List(items)) => {
                for item in items {
                    match item.as_table() {
                        Some(inner) => self.check(inner, item.span, name, keys, kind),
                        None => self.wrong_kind(item, &format!("each item of `{name}`"), "a table"),
                    }
                }
            }
            (Shape::Texts, Data::Text(text)) => {
                let edits = vec![
                    Edit {
                        span: Span {
                            end: node.span.start,
                            ..node.span
                        },
                        replacement: "[".into(),
                    },
                    Edit {
                        span: Span {
                            start: node.span.end,
                            ..node.span
                        },
                        replacement: "]".into(),
                    },
                ];
                let diagnostic = Diagnostic::new(
                    &codes::VALUE_TYPE,
                    node.span,
                    format!("`{name}` must be a list of strings"),
                )
                .with_label("this is a string")
                .with_fix(format!("make a list of `{text}`"), edits, Applicability::Sure);
                self.diagnostics.push(diagnostic);
            }
            (wanted, _) => self.wrong_kind(node, &format!("`{name}`"), wanted.name()),
        }
    }

    fn wrong_kind(&mut self, node: &Node, what: &str, wanted: &str) {
        let diagnostic = Diagnostic::new(&codes::VALUE_TYPE, node.span, format!("{what} must be {wanted}"))
            .with_label(format!("this is {}", node.kind()));
        self.diagnostics.push(diagnostic);
    }

    fn check_kind(&mut self, name: &str, place: Span, of: &[RuleKind], kind: Option<RuleKind>, value: &Node) {
        if let Some(kind) = kind
            && !of.contains(&kind)
            && !value.is_blank()
        {
            let types = of
                .iter()
                .map(|kind| format!("`{}`", kind.word()))
                .collect::<Vec<_>>()
                .join(", ");
            let message = format!(
                "`{name}` belongs to rules of type {types}; a rule of type `{}` has no use for it",
                kind.word()
            );
            self.diagnostics
                .push(Diagnostic::new(&codes::KEY_OTHER_TYPE, place, message));
        }
    }
}

impl Shape {
    fn name(&self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Texts => "a list of strings",
            Self::TextOrTexts => "a string or a list of strings",
            Self::Integer => "an integer",
            Self::Boolean => "a boolean",
            Self::Table(_) | Self::AnyTable => "a table",
            Self::Tables(_) => "a list of tables",
            Self::List => "a list",
            Self::Any => "anything",
        }
    }
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn unknown_key(key: &str, place: Span, path: &str, keys: &[Key], table: &Table) -> Diagnostic {
    let message = match path {
        "" => format!("`{key}` is not a key that a rule file has"),
        _ => format!("`{path}` has no key `{key}`"),
    };
    let diagnostic = Diagnostic::new(&codes::KEY_UNKNOWN, place, message);
    // A key that stands there already was not meant a second time.
    let free = keys.iter().filter(|known| table.entry(known.name).is_none());
    let closest = free
        .map(|known| (strsim::jaro_winkler(&key.to_lowercase(), known.name), known.name))
        .filter(|(score, _)| *score > ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match closest {
        Some((_, name)) => diagnostic.with_help(format!("did you mean `{name}`?")),
        None => diagnostic.with_help("the key is not read; remove it, or keep it as a comment"),
    }
}
