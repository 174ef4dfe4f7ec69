//! Indicators of compromise from files, each as an ECS document (`threat.indicator.*`).
//!
//! NDJSON and JSON hold such documents, also as hits of a search (`_source`); a STIX 2 bundle, a CSV table and a text file
//! with one value a line become such documents. What a document does not say of itself is filled in, as an integration
//! would: `@timestamp` is the time of loading, and `event.kind`, `event.category`, `event.type` and `event.module` say that
//! it is an indicator, since the queries of rules ask for that.
//! <https://www.elastic.co/docs/reference/ecs/ecs-threat>

mod stix;
mod table;

use std::path::{Path, PathBuf};

use neph_event::{EventId, Instant};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::alert::fields;
use crate::alert::tree::Tree;
use crate::files;
use crate::report::Failure;

/// What is said of a file whose name does not tell its form.
const UNKNOWN_FORM: &str =
    "its name does not say what it is; files of indicators end with `.ndjson`, `.json`, `.csv` or `.txt`";

/// `event.module` of indicators whose file does not name one.
const MODULE: &str = "ti_file";

/// Reasons for which parts of a file are left out, counted.
pub(crate) type Skipped = std::collections::BTreeMap<String, u64>;

/// An indicator.
#[derive(Debug)]
pub(crate) struct Indicator {
    /// `_id` of the hit, else a hash of the document.
    pub(crate) id: Box<str>,
    /// `_index` of the hit.
    pub(crate) index: Option<Box<str>>,
    /// The JSON text of its document.
    pub(crate) document: Box<[u8]>,
}

/// What a file gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IndicatorFile {
    /// The file.
    pub path: PathBuf,
    /// Number of indicators.
    pub indicators: u64,
    /// Number of records left out, by reason.
    pub skipped: Skipped,
}

/// All indicators that were given.
#[derive(Debug, Default)]
pub struct Indicators {
    indicators: Vec<Indicator>,
    /// The files, in the order of reading.
    pub(crate) files: Vec<IndicatorFile>,
    /// What could not be read.
    pub(crate) failures: Vec<Failure>,
}

impl Indicators {
    /// Reads files and the files of folders. `now` is the time of indicators without one.
    pub fn read<P: AsRef<Path>>(paths: &[P], now: Instant) -> Self {
        let found = files::find(paths);
        let mut read = Self {
            failures: found.failures,
            ..Self::default()
        };
        for (path, given) in found.files {
            match Form::of(&path) {
                Some(form) => read.file(&path, form, now),
                None if given => read.fail(&path, UNKNOWN_FORM.into()),
                None => {}
            }
        }
        read
    }

    /// Number of indicators.
    pub fn len(&self) -> usize {
        self.indicators.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.indicators.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Indicator> {
        self.indicators.iter()
    }

    pub(crate) fn get(&self, number: u32) -> Option<&Indicator> {
        self.indicators.get(number as usize)
    }

    fn fail(&mut self, path: &Path, reason: String) {
        self.failures.push(Failure {
            path: path.to_owned(),
            reason,
        });
    }

    fn file(&mut self, path: &Path, form: Form, now: Instant) {
        let text = match files::read_text(path) {
            Ok(text) => text,
            Err(reason) => return self.fail(path, reason),
        };
        let mut taking = Taking {
            now: now.to_string(),
            found: Vec::new(),
            skipped: Skipped::new(),
        };
        if let Err(reason) = taking.text(form, &text) {
            return self.fail(path, reason);
        }
        self.files.push(IndicatorFile {
            path: path.to_owned(),
            indicators: taking.found.len() as u64,
            skipped: taking.skipped,
        });
        self.indicators.append(&mut taking.found);
    }
}

/// Forms, by the file name's ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Csv,
    Lines,
}

impl Form {
    fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        match ending.as_str() {
            "json" | "ndjson" | "jsonl" | "stix" | "stix2" => Some(Self::Json),
            "csv" => Some(Self::Csv),
            "txt" => Some(Self::Lines),
            _ => None,
        }
    }
}

/// The indicators of one file.
struct Taking {
    now: String,
    found: Vec<Indicator>,
    skipped: Skipped,
}

impl Taking {
    fn text(&mut self, form: Form, text: &str) -> Result<(), String> {
        match form {
            Form::Json => self.json(text),
            Form::Csv => {
                let documents = table::csv(text, &mut self.skipped)?;
                documents
                    .into_iter()
                    .for_each(|document| self.take(document, None));
                Ok(())
            }
            Form::Lines => {
                let documents = table::lines(text, &mut self.skipped);
                documents
                    .into_iter()
                    .for_each(|document| self.take(document, None));
                Ok(())
            }
        }
    }

    fn skip(&mut self, reason: &str) {
        *self.skipped.entry(reason.to_owned()).or_default() += 1;
    }

    /// One JSON value, or one a line.
    fn json(&mut self, text: &str) -> Result<(), String> {
        if let Ok(value) = serde_json::from_str::<Value>(text) {
            self.value(value);
            return Ok(());
        }
        let mut readable = 0_u64;
        let mut failure = None;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            match serde_json::from_str(line) {
                Ok(value) => {
                    readable += 1;
                    self.value(value);
                }
                Err(error) => {
                    self.skip("it is not valid JSON");
                    failure.get_or_insert_with(|| format!("line {}: {error}", number + 1));
                }
            }
        }
        match failure {
            Some(failure) if readable == 0 => Err(format!("it is neither JSON nor NDJSON: {failure}")),
            _ => Ok(()),
        }
    }

    fn value(&mut self, value: Value) {
        match value {
            Value::Array(items) => items.into_iter().for_each(|item| self.value(item)),
            Value::Object(mut map) => {
                if map.get("type").and_then(Value::as_str) == Some("bundle") && map.contains_key("objects") {
                    let documents = stix::bundle(&map, &self.now, &mut self.skipped);
                    return documents
                        .into_iter()
                        .for_each(|document| self.take(document, None));
                }
                if let Some(Value::Object(mut hits)) = map.remove("hits") {
                    // The answer to a search.
                    return hits.remove("hits").into_iter().for_each(|hits| self.value(hits));
                }
                match map.remove("_source") {
                    Some(Value::Object(document)) => self.take(document, Some(&map)),
                    _ => self.take(map, None),
                }
            }
            _ => self.skip("it is no JSON object"),
        }
    }

    /// Takes a document in; `hit` is the search hit around it.
    fn take(&mut self, mut document: Map<String, Value>, hit: Option<&Map<String, Value>>) {
        let text = |key: &str| hit.and_then(|hit| hit.get(key)?.as_str()).map(Box::from);
        let said = Tree::from(Value::Object(document.clone()));
        let has = |field: &str| fields::first(&said, field).is_some();
        let missing: Vec<(&str, Value)> = [
            ("@timestamp", json!(self.now)),
            ("event.kind", json!("enrichment")),
            ("event.category", json!("threat")),
            ("event.type", json!("indicator")),
            ("event.module", json!(MODULE)),
        ]
        .into_iter()
        .filter(|(field, _)| !has(field))
        .collect();
        for (field, value) in missing {
            document.insert(field.to_owned(), value);
        }
        let Ok(bytes) = serde_json::to_vec(&document) else {
            return self.skip("it cannot be written as JSON");
        };
        self.found.push(Indicator {
            id: text("_id").unwrap_or_else(|| EventId::of_bytes(&bytes).as_str().into()),
            index: text("_index"),
            document: bytes.into(),
        });
    }
}

/// The object at a path of a document, whether written nested or with dots.
pub(crate) fn object_at(document: &Map<String, Value>, path: &str) -> Map<String, Value> {
    let mut found = Map::new();
    for (key, value) in document {
        if let Some(rest) = key.strip_prefix(path) {
            match (rest.strip_prefix('.'), value) {
                _ if rest.is_empty() => {
                    if let Value::Object(inner) = value {
                        found.extend(inner.clone());
                    }
                }
                (Some(rest), value) => {
                    found.insert(rest.to_owned(), value.clone());
                }
                _ => {}
            }
        } else if let Some(rest) = path
            .strip_prefix(key.as_str())
            .and_then(|rest| rest.strip_prefix('.'))
            && let Value::Object(inner) = value
        {
            found.extend(object_at(inner, rest));
        }
    }
    found
}
