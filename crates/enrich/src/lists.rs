//! Own lists: assets and identities, keyed by a field.
//!
//! CSV: the first column is named for the field that is looked up, the others for the fields that are added. JSON lines,
//! a JSON array or YAML: objects with `match`, a field and its value, and `add`, the fields to add. A value of a field
//! that holds an address may be a network.

use std::net::IpAddr;

use ahash::AHashMap;
use ipnet::IpNet;
use neph_normalize::{Map, Value};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::LeftOut;
use crate::networks::Networks;

/// Fields that an entry may add.
const MOST_FIELDS: usize = 256;

/// All lists.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    by_field: Vec<List>,
    additions: Vec<Addition>,
}

/// The entries that one field is looked up in.
#[derive(Debug)]
struct List {
    field: String,
    exact: AHashMap<String, Vec<usize>>,
    networks: Networks<Vec<usize>>,
}

/// Fields to add.
type Addition = Vec<(String, Json)>;

/// An entry of a list in JSON or YAML.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "match")]
    key: serde_json::Map<String, Json>,
    add: serde_json::Map<String, Json>,
}

impl Lists {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_field.is_empty()
    }

    /// Reads a list.
    pub(crate) fn read(&mut self, text: &str, left_out: &mut LeftOut) -> Result<(), String> {
        let start = text.trim_start();
        if start.starts_with('{') {
            return self.read_lines(text, left_out);
        }
        if start.starts_with('[') {
            let entries: Vec<Json> = serde_json::from_str(text).map_err(|error| error.to_string())?;
            return self.add_all(entries, left_out);
        }
        let first = start
            .lines()
            .map(str::trim)
            .find(|line| !line.is_empty() && !line.starts_with('#'))
            .unwrap_or("");
        if first == "---" || first.starts_with("- ") || first == "-" {
            let entries: Vec<Json> = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
            return self.add_all(entries, left_out);
        }
        if first.contains(',') {
            return self.read_table(text, left_out);
        }
        Err("it is no database, list of address ranges, CSV, JSON or YAML".into())
    }

    fn read_lines(&mut self, text: &str, left_out: &mut LeftOut) -> Result<(), String> {
        let mut any = false;
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() {
                continue;
            }
            match serde_json::from_str(line) {
                Ok(entry) => any |= self.add_entry(entry, left_out),
                Err(error) => left_out.add(|| format!("line {number} is no JSON: {error}")),
            }
        }
        any.then_some(()).ok_or_else(no_entries)
    }

    fn add_all(&mut self, entries: Vec<Json>, left_out: &mut LeftOut) -> Result<(), String> {
        let mut any = false;
        for entry in entries {
            any |= self.add_entry(entry, left_out);
        }
        any.then_some(()).ok_or_else(no_entries)
    }

    fn add_entry(&mut self, entry: Json, left_out: &mut LeftOut) -> bool {
        let entry: Entry = match serde_json::from_value(entry) {
            Ok(entry) => entry,
            Err(error) => {
                left_out.add(|| format!("an entry has not the form `match`, `add`: {error}"));
                return false;
            }
        };
        let mut keys = entry.key.into_iter();
        let (Some((field, key)), None) = (keys.next(), keys.next()) else {
            left_out.add(|| "`match` of an entry has not one field".into());
            return false;
        };
        let keys: Vec<Json> = match key {
            Json::Array(keys) => keys,
            single => vec![single],
        };
        let keys: Vec<String> = keys.iter().filter_map(scalar_text).collect();
        if keys.is_empty() {
            left_out.add(|| format!("`{field}` of an entry is neither text nor number"));
            return false;
        }
        let addition: Addition = entry.add.into_iter().take(MOST_FIELDS).collect();
        self.add(&field, &keys, addition);
        true
    }

    fn read_table(&mut self, text: &str, left_out: &mut LeftOut) -> Result<(), String> {
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .comment(Some(b'#'))
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let headers = reader.headers().map_err(|error| error.to_string())?.clone();
        let mut fields = headers.iter();
        let key_field = fields
            .next()
            .filter(|field| is_field(field))
            .ok_or_else(no_entries)?;
        let fields: Vec<&str> = fields.take(MOST_FIELDS).collect();
        if fields.is_empty() || !fields.iter().all(|field| is_field(field)) {
            return Err("a column of its first line is not named like a field".into());
        }
        let mut any = false;
        for row in reader.records() {
            let row = match row {
                Ok(row) => row,
                Err(error) => {
                    left_out.add(|| error.to_string());
                    continue;
                }
            };
            let mut cells = row.iter();
            let Some(key) = cells.next().filter(|key| !key.is_empty()) else {
                left_out.add(|| "its first column is empty".into());
                continue;
            };
            let filled = fields.iter().zip(cells).filter(|(_, cell)| !cell.is_empty());
            let addition: Addition = filled
                .map(|(field, cell)| ((*field).to_owned(), Json::String(cell.to_owned())))
                .collect();
            self.add(key_field, &[key.to_owned()], addition);
            any = true;
        }
        any.then_some(()).ok_or_else(no_entries)
    }

    fn add(&mut self, field: &str, keys: &[String], addition: Addition) {
        let number = self.additions.len();
        self.additions.push(addition);
        let position = self.by_field.iter().position(|list| list.field == field);
        let position = position.unwrap_or_else(|| {
            self.by_field.push(List {
                field: field.to_owned(),
                exact: AHashMap::new(),
                networks: Networks::default(),
            });
            self.by_field.len() - 1
        });
        let Some(list) = self.by_field.get_mut(position) else {
            return;
        };
        for key in keys {
            match key.parse::<IpNet>() {
                Ok(network) => list.networks.entry(network).push(number),
                Err(_) => list.exact.entry(key.clone()).or_default().push(number),
            }
        }
    }

    /// Adds what the lists say of a document; what stands there already stays.
    pub(crate) fn enrich<'a>(&self, document: &'a Map<'a>) {
        for list in &self.by_field {
            let value = document.at(&list.field).or_else(|| document.get(&list.field));
            match value {
                None => {}
                Some(Value::List(values)) => values
                    .iter()
                    .for_each(|value| self.add_to(document, list, *value)),
                Some(value) => self.add_to(document, list, value),
            }
        }
    }

    fn add_to<'a>(&self, document: &'a Map<'a>, list: &List, value: Value<'a>) {
        let number;
        let text = match value {
            Value::Text(text) => text,
            Value::Int(value) => {
                number = value.to_string();
                &number
            }
            _ => return,
        };
        let network = || list.networks.get(text.parse::<IpAddr>().ok()?);
        let found = list
            .exact
            .get(text)
            .or_else(|| if list.networks.is_empty() { None } else { network() });
        let additions = found
            .into_iter()
            .flatten()
            .filter_map(|number| self.additions.get(*number));
        for (field, value) in additions.flatten() {
            if document.at(field).is_none_or(Value::is_blank) {
                document.put(document.text(field), in_tree(value, document));
            }
        }
    }
}

fn no_entries() -> String {
    "it has no entry that can be used".into()
}

/// Whether a text may be the name of a field.
fn is_field(text: &str) -> bool {
    let is_part =
        |part: &str| !part.is_empty() && !part.contains(|char: char| char.is_whitespace() || char == ',');
    text.split('.').all(is_part)
}

fn scalar_text(value: &Json) -> Option<String> {
    match value {
        Json::String(text) if !text.is_empty() => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A value in the memory of a document. It is nested no deeper than serde_json reads.
fn in_tree<'a>(value: &Json, document: &'a Map<'a>) -> Value<'a> {
    match value {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => Value::Int(number),
            (_, Some(number), _) => Value::Uint(number),
            (_, _, number) => number.map_or(Value::Null, Value::Float),
        },
        Json::String(text) => Value::Text(document.text(text)),
        Json::Array(elements) => {
            let elements: Vec<_> = elements
                .iter()
                .map(|element| in_tree(element, document))
                .collect();
            document.list(&elements)
        }
        Json::Object(entries) => {
            let map = document.new_map();
            for (key, value) in entries {
                map.put(document.text(key), in_tree(value, document));
            }
            Value::Map(map)
        }
    }
}
