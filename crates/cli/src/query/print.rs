//! Printing the results of a query.

use std::io::{self, Write};

use comfy_table::Table;
use neph_engine::{Event, Match};
use neph_event::Value;
use neph_plan::{Plan, Query};
use serde_json::{Value as Json, json};

use super::Format;
use crate::table::{harmless, table};

/// A table is laid out and printed after so many rows, so that memory is bounded.
const PAGE: usize = 1000;

/// The usual columns: a title, and the fields of which the first that an event has is shown.
const COLUMNS: [(&str, &[&str]); 5] = [
    ("TIME", &["@timestamp"]),
    (
        "HOST",
        &[
            "host.name",
            "host.id",
            "cloud.account.id",
            "orchestrator.cluster.name",
        ],
    ),
    ("USER", &["user.name", "user.id", "user.email"]),
    ("EVENT", &["event.action", "event.type", "event.category"]),
    (
        "WHAT",
        &[
            "process.command_line",
            "process.executable",
            "process.name",
            "file.path",
            "registry.path",
            "dns.question.name",
            "url.original",
            "destination.ip",
            "message",
        ],
    ),
];

/// Prints results in one of the formats.
pub(super) struct Printer<'a> {
    format: Format,
    fields: &'a [String],
    plan: &'a Plan,
    /// Whether rows are printed line by line, as they come, in columns of a fixed width.
    lines: bool,
    page: Option<Table>,
    rows: usize,
    printed: u64,
}

impl<'a> Printer<'a> {
    pub(super) fn new(format: Format, fields: &'a [String], plan: &'a Plan, lines: bool) -> Self {
        Self {
            format,
            fields,
            plan,
            lines,
            page: None,
            rows: 0,
            printed: 0,
        }
    }

    pub(super) fn print(&mut self, found: &Match) -> io::Result<()> {
        self.printed += 1;
        match self.format {
            Format::Table => self.add_rows(found),
            Format::Json => {
                let mut out = io::stdout().lock();
                if self.printed == 1 {
                    write!(out, "{{\"{}\":[", self.kind())?;
                } else {
                    out.write_all(b",")?;
                }
                write!(out, "{}", self.ids(found))
            }
            Format::Ndjson => {
                let mut out = io::stdout().lock();
                match found.events.as_slice() {
                    [(_, Some(event))] if self.is_events() => {
                        out.write_all(event.document())?;
                        out.write_all(b"\n")
                    }
                    events => {
                        let documents: Vec<Json> = events
                            .iter()
                            .map(|(_, event)| document(event.as_deref()))
                            .collect();
                        writeln!(
                            out,
                            "{}",
                            json!({"join_keys": self.keys(found), "events": documents})
                        )
                    }
                }
            }
        }
    }

    pub(super) fn end(&mut self) -> io::Result<()> {
        match self.format {
            Format::Table => self.flush(),
            Format::Ndjson => Ok(()),
            Format::Json => {
                let mut out = io::stdout().lock();
                if self.printed == 0 {
                    write!(out, "{{\"{}\":[", self.kind())?;
                }
                out.write_all(b"]}\n")
            }
        }
    }

    fn is_events(&self) -> bool {
        matches!(self.plan.query, Query::Events(_))
    }

    fn kind(&self) -> &'static str {
        match self.plan.query {
            Query::Events(_) => "events",
            Query::Sequence(_) => "sequences",
            Query::Sample(_) => "samples",
            Query::FirstSeen(_) => "first_seen",
            Query::Aggregate(_) => "groups",
            Query::Correlation(_) => "correlations",
        }
    }

    fn ids(&self, found: &Match) -> Json {
        let id = |event: &Option<std::sync::Arc<Event>>| match event {
            Some(event) => Json::from(event.id().as_str()),
            None => Json::Null,
        };
        if self.is_events() {
            return found.events.first().map_or(Json::Null, |(_, event)| id(event));
        }
        let ids: Vec<Json> = found.events.iter().map(|(_, event)| id(event)).collect();
        json!({"join_keys": self.keys(found), "events": ids})
    }

    /// Join keys in text form. Elasticsearch prints dates of samples as epoch milliseconds.
    fn keys(&self, found: &Match) -> Vec<Json> {
        let text = |value: &Value| match (value, &self.plan.query) {
            (Value::Date(instant), Query::Sample(_)) => instant.as_millis().to_string(),
            (value, _) => value.to_string(),
        };
        found
            .keys
            .iter()
            .map(|key| key.as_ref().map_or(Json::Null, |value| text(value).into()))
            .collect()
    }

    fn add_rows(&mut self, found: &Match) -> io::Result<()> {
        let grouped = !self.is_events();
        let mut rows: Vec<Vec<String>> = Vec::new();
        let keys: Vec<String> = self
            .keys(found)
            .iter()
            .map(|key| key.as_str().map_or_else(|| "null".to_owned(), harmless))
            .collect();
        for (number, (_, event)) in found.events.iter().enumerate() {
            let mut row: Vec<String> = Vec::new();
            if grouped {
                let first = number == 0;
                row.push(if first {
                    self.printed.to_string()
                } else {
                    String::new()
                });
                row.push(if first { keys.join(", ") } else { String::new() });
            }
            match event {
                Some(event) => self.cells(event, &mut row),
                None => row.push("(did not happen)".into()),
            }
            rows.push(row);
        }
        if self.lines {
            return self.write_lines(rows);
        }
        self.rows += rows.len();
        let mut page = self.page.take().unwrap_or_else(|| table(&self.header()));
        rows.into_iter().for_each(|row| {
            page.add_row(row);
        });
        self.page = Some(page);
        if self.rows >= PAGE { self.flush() } else { Ok(()) }
    }

    fn header(&self) -> Vec<&'a str> {
        let mut header: Vec<&str> = if self.is_events() {
            Vec::new()
        } else {
            vec!["#", "KEYS"]
        };
        match self.fields {
            [] => header.extend(COLUMNS.iter().map(|(title, _)| *title)),
            fields => header.extend(fields.iter().map(String::as_str)),
        }
        header.push("RECORD");
        header
    }

    /// Writes rows, each on a line, below the header.
    fn write_lines(&mut self, rows: Vec<Vec<String>>) -> io::Result<()> {
        let header = self.header();
        let mut out = io::stdout().lock();
        let titles = (self.rows == 0).then(|| header.iter().map(ToString::to_string).collect());
        self.rows += rows.len();
        for row in titles.into_iter().chain(rows) {
            let mut line = String::new();
            for (title, cell) in header.iter().zip(row) {
                let width = match *title {
                    "#" => 4,
                    "WHAT" => 60,
                    _ => 24,
                };
                line.push_str(&format!("{cell:<width$} "));
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    fn cells(&self, event: &Event, row: &mut Vec<String>) {
        let document = document(Some(event));
        match self.fields {
            [] => {
                for (_, fields) in COLUMNS {
                    row.push(
                        fields
                            .iter()
                            .find_map(|field| text(&document, field))
                            .unwrap_or_else(|| "-".into()),
                    );
                }
            }
            fields => row.extend(
                fields
                    .iter()
                    .map(|field| text(&document, field).unwrap_or_else(|| "-".into())),
            ),
        }
        row.push(harmless(&format!(
            "{}:{}",
            event.origin().source,
            event.origin().line
        )));
    }

    fn flush(&mut self) -> io::Result<()> {
        self.rows = 0;
        match self.page.take() {
            Some(page) => writeln!(io::stdout().lock(), "{page}"),
            None => Ok(()),
        }
    }
}

/// A folded constant as JSON.
pub(super) fn value(value: Option<&Value>) -> io::Result<()> {
    let json = match value {
        None => Json::Null,
        Some(Value::Bool(value)) => (*value).into(),
        Some(Value::Long(value)) => (*value).into(),
        Some(Value::Unsigned(value)) => (*value).into(),
        Some(Value::Double(value)) => (*value).into(),
        Some(other) => other.to_string().into(),
    };
    writeln!(io::stdout().lock(), "{json}")
}

fn document(event: Option<&Event>) -> Json {
    event.map_or(Json::Null, |event| {
        serde_json::from_slice(event.document()).unwrap_or(Json::Null)
    })
}

/// The values at a dotted path, whether the document nests or dots its keys.
fn text(document: &Json, path: &str) -> Option<String> {
    let mut values = Vec::new();
    collect(document, path, &mut values);
    (!values.is_empty()).then(|| values.join(", "))
}

fn collect(node: &Json, path: &str, values: &mut Vec<String>) {
    match node {
        Json::Array(items) => items.iter().for_each(|item| collect(item, path, values)),
        Json::Object(map) => {
            for (key, child) in map {
                if key == path {
                    collect(child, "", values);
                } else if let Some(rest) = path
                    .strip_prefix(key.as_str())
                    .and_then(|rest| rest.strip_prefix('.'))
                {
                    collect(child, rest, values);
                }
            }
        }
        Json::Null => {}
        Json::String(value) if path.is_empty() => values.push(harmless(value)),
        other if path.is_empty() => values.push(other.to_string()),
        _ => {}
    }
}
