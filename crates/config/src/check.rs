//! A table of the file against its shape: every mistake in it, and the values that are right.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use neph_diag::{Applicability, Diagnostic, Edit, Span};
use neph_document::{Data, Entry, Node, Table};

use crate::codes;
use crate::secret::Secret;
use crate::shape::{Key, Kind, Shape};
use crate::units::{parse_duration, parse_size};

/// Names less alike than this are not suggested (Jaro-Winkler, 0 to 1).
const ALIKE: f64 = 0.8;

/// A value that fits its kind.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    Path(PathBuf),
    Bool(bool),
    Integer(i64),
    Duration(Duration),
    Size(u64),
    Address(SocketAddr),
    Network(IpNet),
    Secret(Secret),
    List(Vec<(Value, Span)>),
    Texts(BTreeMap<String, String>),
    Table(Values),
    Tables(Vec<Values>),
}

/// The right values of a table, defaults included.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values {
    /// Where the table stands.
    pub(crate) span: Span,
    values: BTreeMap<&'static str, (Value, Span)>,
}

/// Reads tables of one file.
pub(crate) struct Checker<'a> {
    /// The folder that relative paths count from.
    folder: &'a Path,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl<'a> Checker<'a> {
    pub(crate) fn new(folder: &'a Path) -> Self {
        Self {
            folder,
            diagnostics: Vec::new(),
        }
    }

    /// Reads a table; `span` is where problems of the whole table are shown, and `known` the tables of the file by the keys in
    /// them, for a hint where a key stands in the wrong one.
    pub(crate) fn table(&mut self, table: &Table, span: Span, shape: &'static Shape) -> Values {
        let variant = shape.variants.as_ref().and_then(|variants| {
            let Data::Text(name) = &table.get(variants.key)?.data else {
                return None;
            };
            variants.of.iter().find(|(kind, _)| kind == name)
        });
        let keys: Vec<&'static Key> = match variant {
            Some((_, more)) => shape.keys.iter().chain(more.keys).collect(),
            None => shape.keys.iter().collect(),
        };
        // Without a variant that is known nothing can be said about keys that only variants have.
        let of_variants = |key: &str| {
            shape.variants.as_ref().is_some_and(|variants| {
                variant.is_none()
                    && variants
                        .of
                        .iter()
                        .any(|(_, shape)| shape.keys.iter().any(|other| other.name == key))
            })
        };
        let mut values = Values {
            span,
            values: BTreeMap::new(),
        };
        for entry in &table.entries {
            match keys.iter().find(|key| key.name == entry.key) {
                Some(key) => {
                    if let Some(value) = self.value(&entry.value, &key.kind, &key_words(&entry.key)) {
                        values.values.insert(key.name, (value, entry.value.span));
                    }
                }
                None if of_variants(&entry.key) => {}
                None => self.unknown(entry, &keys),
            }
        }
        for key in keys {
            if table.get(key.name).is_none() {
                self.missing(key, span, &mut values);
            }
        }
        values
    }

    fn missing(&mut self, key: &'static Key, span: Span, values: &mut Values) {
        if key.required {
            let message = format!("the key `{}` is missing", key.name);
            let help = format!("`{}` is {}", key.name, key.kind.words());
            self.diagnostics
                .push(Diagnostic::new(&codes::KEY_MISSING, span, message).with_help(help));
            return;
        }
        if let Some(default) = key.default {
            let (table, _) = neph_document::toml::parse(&format!("{} = {default}", key.name), &codes::SYNTAX);
            if let Some(node) = table.get(key.name)
                && let Some(value) = self.value(node, &key.kind, key.name)
            {
                values.values.insert(key.name, (value, span));
            }
        } else if let Kind::Table(shape) = key.kind
            && !shape.keys.iter().any(|key| key.required)
        {
            let inner = self.table(&Table::default(), span, shape);
            values.values.insert(key.name, (Value::Table(inner), span));
        }
    }

    fn unknown(&mut self, entry: &Entry, keys: &[&'static Key]) {
        let message = format!("the key `{}` is not known here", entry.key);
        let mut diagnostic = Diagnostic::new(&codes::KEY_UNKNOWN, entry.key_span, message);
        let similar = keys
            .iter()
            .map(|key| {
                (
                    strsim::jaro_winkler(&entry.key.to_lowercase(), key.name),
                    key.name,
                )
            })
            .filter(|(score, _)| *score > ALIKE)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((_, name)) = similar {
            let edit = Edit {
                span: entry.key_span,
                replacement: name.to_owned(),
            };
            diagnostic = diagnostic.with_help(format!("did you mean `{name}`?")).with_fix(
                format!("write `{name}`"),
                vec![edit],
                Applicability::Maybe,
            );
        } else {
            let names: Vec<String> = keys.iter().map(|key| format!("`{}`", key.name)).collect();
            diagnostic = diagnostic.with_help(format!("known here are {}", names.join(", ")));
        }
        self.diagnostics.push(diagnostic);
    }

    /// `what` names the value for a message.
    fn value(&mut self, node: &Node, kind: &'static Kind, what: &str) -> Option<Value> {
        let value = match (kind, &node.data) {
            (Kind::Bool, Data::Bool(value)) => Value::Bool(*value),
            (Kind::Integer(least, most), Data::Integer(number)) => {
                if number < least || number > most {
                    return self.refuse(node, kind, format!("{what} is out of range: `{number}`"));
                }
                Value::Integer(*number)
            }
            (Kind::Size, Data::Integer(number)) => Value::Size(u64::try_from(*number).unwrap_or(0)),
            (Kind::List(inner), Data::List(items)) => {
                let entry = format!("an entry of {what}");
                let values = items
                    .iter()
                    .filter_map(|item| Some((self.value(item, inner, &entry)?, item.span)));
                Value::List(values.collect())
            }
            (Kind::Texts, Data::Table(table)) => {
                let mut texts = BTreeMap::new();
                for entry in &table.entries {
                    match &entry.value.data {
                        Data::Text(text) => {
                            texts.insert(entry.key.clone(), text.clone());
                        }
                        other => self.wrong_type(&entry.value, other, &Kind::Text, &key_words(&entry.key)),
                    }
                }
                Value::Texts(texts)
            }
            (Kind::Secret, Data::Table(table)) => return self.secret(table, node.span, what),
            (Kind::Table(shape), Data::Table(table)) => Value::Table(self.table(table, node.span, shape)),
            (Kind::Tables(shape), Data::List(items)) => {
                let mut tables = Vec::new();
                for item in items {
                    match &item.data {
                        Data::Table(table) => tables.push(self.table(table, item.span, shape)),
                        other => self.wrong_type(item, other, kind, what),
                    }
                }
                Value::Tables(tables)
            }
            (_, Data::Text(text)) => return self.text(text, node, kind, what),
            (_, other) => {
                self.wrong_type(node, other, kind, what);
                return None;
            }
        };
        Some(value)
    }

    /// What is written as a string.
    fn text(&mut self, text: &str, node: &Node, kind: &'static Kind, what: &str) -> Option<Value> {
        let refused = |checker: &mut Self| {
            checker.refuse(
                node,
                kind,
                format!("{what} must be {}, not `{text}`", kind.words()),
            )
        };
        match kind {
            Kind::Text | Kind::Path if text.trim().is_empty() => {
                self.refuse(node, kind, format!("{what} is empty"))
            }
            Kind::Text => Some(Value::Text(text.to_owned())),
            Kind::Path => Some(Value::Path(self.path(text))),
            Kind::Duration => match parse_duration(text) {
                Some(duration) => Some(Value::Duration(duration)),
                None => refused(self),
            },
            Kind::Size => match parse_size(text) {
                Some(size) => Some(Value::Size(size)),
                None => refused(self),
            },
            Kind::Address => match text.parse() {
                Ok(address) => Some(Value::Address(address)),
                Err(_) => refused(self),
            },
            Kind::Network => match text
                .parse::<IpNet>()
                .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            {
                Ok(network) => Some(Value::Network(network)),
                Err(_) => refused(self),
            },
            Kind::Choice(words) if words.contains(&text) => Some(Value::Text(text.to_owned())),
            Kind::Choice(words) => {
                let message = format!("{what} must be {}, not `{text}`", kind.words());
                let mut diagnostic = Diagnostic::new(&codes::VALUE, node.span, message);
                let similar = words
                    .iter()
                    .map(|word| (strsim::jaro_winkler(&text.to_lowercase(), word), word))
                    .filter(|(score, _)| *score > ALIKE)
                    .max_by(|a, b| a.0.total_cmp(&b.0));
                if let Some((_, word)) = similar {
                    let edit = Edit {
                        span: node.span,
                        replacement: format!("\"{word}\""),
                    };
                    diagnostic = diagnostic.with_help(format!("did you mean `{word}`?")).with_fix(
                        format!("write `{word}`"),
                        vec![edit],
                        Applicability::Maybe,
                    );
                }
                self.diagnostics.push(diagnostic);
                None
            }
            Kind::Secret => {
                let diagnostic = Diagnostic::new(
                    &codes::VALUE_TYPE,
                    node.span,
                    format!("{what} must not stand here in plain text"),
                )
                .with_label(format!("must be {}", kind.words()))
                .with_help("keep it in a file that only the service reads, `{ file = \"…\" }`, or in an environment variable, `{ env = \"…\" }`")
                .with_help("if it has to stand here, say so: `{ plain = \"…\" }`");
                self.diagnostics.push(diagnostic);
                None
            }
            _ => {
                self.wrong_type(node, &node.data, kind, what);
                None
            }
        }
    }

    fn secret(&mut self, table: &Table, span: Span, what: &str) -> Option<Value> {
        let mut found = None;
        for entry in &table.entries {
            let Data::Text(text) = &entry.value.data else {
                self.wrong_type(
                    &entry.value,
                    &entry.value.data,
                    &Kind::Text,
                    &key_words(&entry.key),
                );
                return None;
            };
            let secret = match entry.key.as_str() {
                "file" => Secret::File(self.path(text)),
                "env" => Secret::Env(text.clone()),
                "plain" => {
                    self.diagnostics.push(Diagnostic::new(
                        &codes::RISK,
                        entry.value.span,
                        format!("{what} stands in the configuration itself"),
                    ));
                    Secret::Plain(text.clone())
                }
                other => {
                    let message = format!("the key `{other}` is not known here");
                    self.diagnostics.push(
                        Diagnostic::new(&codes::KEY_UNKNOWN, entry.key_span, message)
                            .with_help("known here are `file`, `env`, `plain`"),
                    );
                    return None;
                }
            };
            if found.replace(secret).is_some() {
                let message = format!("{what} must stand in one place only");
                self.diagnostics
                    .push(Diagnostic::new(&codes::CONFLICT, span, message));
            }
        }
        if found.is_none() {
            let message = format!("{what} must be {}", Kind::Secret.words());
            self.diagnostics
                .push(Diagnostic::new(&codes::VALUE, span, message));
        }
        found.map(Value::Secret)
    }

    fn path(&self, text: &str) -> PathBuf {
        // What is built in is no file, and a pattern or URL stays what it is.
        match text == "builtin" || text.contains("://") {
            true => PathBuf::from(text),
            false => self.folder.join(text),
        }
    }

    fn refuse(&mut self, node: &Node, kind: &Kind, message: String) -> Option<Value> {
        let diagnostic = Diagnostic::new(&codes::VALUE, node.span, message);
        self.diagnostics
            .push(diagnostic.with_help(format!("write {}", kind.words())));
        None
    }

    fn wrong_type(&mut self, node: &Node, found: &Data, kind: &Kind, what: &str) {
        let message = format!("{what} must be {}", kind.words());
        self.diagnostics.push(
            Diagnostic::new(&codes::VALUE_TYPE, node.span, message)
                .with_label(format!("this is {}", found.kind())),
        );
    }
}

fn key_words(key: &str) -> String {
    format!("`{key}`")
}

/// What a value of the file can be taken as.
pub(crate) trait FromValue: Sized {
    fn from_value(value: &Value) -> Option<Self>;
}

macro_rules! from_value {
    ($($type:ty = $variant:ident;)*) => {
        $(impl FromValue for $type {
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::$variant(inner) => Some(inner.clone()),
                    _ => None,
                }
            }
        })*
    };
}

from_value! {
    String = Text;
    PathBuf = Path;
    bool = Bool;
    i64 = Integer;
    Duration = Duration;
    u64 = Size;
    SocketAddr = Address;
    IpNet = Network;
    Secret = Secret;
    BTreeMap<String, String> = Texts;
    Values = Table;
}

impl<T: FromValue> FromValue for Vec<T> {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::List(items) => items.iter().map(|(item, _)| T::from_value(item)).collect(),
            _ => None,
        }
    }
}

impl Values {
    /// The value of a key, if it is there and right.
    pub(crate) fn find<T: FromValue>(&self, key: &str) -> Option<T> {
        T::from_value(&self.values.get(key)?.0)
    }

    /// The value of a key that has a default or must be there; where it is wrong, so that there is a diagnostic, an empty one.
    pub(crate) fn get<T: FromValue + Default>(&self, key: &str) -> T {
        self.find(key).unwrap_or_default()
    }

    /// The tables of a key.
    pub(crate) fn tables(&self, key: &str) -> &[Self] {
        match self.values.get(key) {
            Some((Value::Tables(tables), _)) => tables,
            _ => &[],
        }
    }

    /// Where the value of a key stands; the table itself where it does not stand.
    pub(crate) fn span(&self, key: &str) -> Span {
        self.values.get(key).map_or(self.span, |(_, span)| *span)
    }
}
