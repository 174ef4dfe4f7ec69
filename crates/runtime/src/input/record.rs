//! A record as a rule sees it: taken out of the envelope that an export put around it.

use std::borrow::Cow;

use neph_event::{Instant, parse_date};
use sonic_rs::{JsonValueTrait, LazyValue};

use super::chunk::Span;
use super::diagnose::{is_too_deep, too_deep};
use super::lines::{Action, action};
use super::problem::Refusal;
use super::{Chunk, InputProblem, ProblemKind};

/// Fields that state the time of a record, in the order in which they are looked for. Only the order of reading several
/// inputs depends on them.
const TIME_FIELDS: [&str; 6] = [
    "@timestamp",
    "eventTime",
    "timestamp",
    "time",
    "requestReceivedTimestamp",
    "event_time",
];

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The record's text: JSON, or a line of a log.
    pub document: &'a [u8],
    /// The id that its envelope gives it, or that it states itself as its first members.
    pub id: Option<Cow<'a, str>>,
    /// The index that it was stored in, from the same place.
    pub index: Option<Cow<'a, str>>,
    /// Line in the decompressed text, counted from 1.
    pub line: u64,
    /// Place in the order of the whole input; see [`super`].
    pub position: u64,
    /// Lines of the input that were joined to this record: one, but for text logs that write one event over several.
    pub lines: u64,
}

impl Chunk {
    /// The records, in order; one that must not be parsed, or whose envelope is empty, gives its problem instead, with
    /// its position.
    pub fn records(&self) -> impl Iterator<Item = Result<Record<'_>, (u64, InputProblem)>> {
        self.spans.iter().map(|span| self.record(*span))
    }

    /// The time of the last record, if it can be told.
    pub(crate) fn last_time(&self) -> Option<Instant> {
        let last = self.record(*self.spans.last()?).ok()?;
        record_time(last.document)
    }

    fn record(&self, span: Span) -> Result<Record<'_>, (u64, InputProblem)> {
        let joined = span.joined.and_then(|joined| self.joined.get(joined as usize));
        let (document, position, lines) = match joined {
            Some(joined) => (joined.record.as_slice(), joined.first.position, joined.lines),
            None => (
                self.bytes_of(span.start, span.end),
                self.position(span.start as usize),
                1,
            ),
        };
        let refused = |(kind, message): Refusal| {
            let source = self.source().clone();
            (
                position,
                InputProblem {
                    source,
                    line: Some(span.line),
                    kind,
                    message,
                },
            )
        };
        if is_too_deep(document) {
            return Err(refused(too_deep()));
        }
        let plain = Record {
            document,
            id: None,
            index: None,
            line: span.line,
            position,
            lines,
        };
        let (action_start, action_end) = span.action;
        let taken = if action_start < action_end {
            out_of_bulk(plain, self.bytes_of(action_start, action_end))
        } else if is_enveloped(document) {
            out_of_hit(plain)
        } else {
            return Ok(plain);
        };
        taken.map_err(|message| refused((ProblemKind::NoDocument, message.to_owned())))
    }
}

/// Whether an object's first key starts with `_`, as all keys of a search hit do but for those that sort behind them.
pub(crate) fn is_enveloped(object: &[u8]) -> bool {
    match object.strip_prefix(b"{") {
        Some(inner) => inner.trim_ascii_start().starts_with(b"\"_"),
        None => false,
    }
}

/// Takes the source out of a search hit. An object that merely states its own id is left as it is.
fn out_of_hit(mut record: Record<'_>) -> Result<Record<'_>, &'static str> {
    let mut source = None;
    let mut metadata_only = true;
    for member in sonic_rs::to_object_iter(record.document) {
        // What is no JSON is reported by whoever reads the record.
        let Ok((key, value)) = member else {
            return Ok(record);
        };
        match &*key {
            "_id" => record.id = text(&value),
            "_index" => record.index = text(&value),
            "_source" if value.is_object() => source = raw(&value),
            "fields" | "sort" | "highlight" | "found" | "inner_hits" | "ignored_field_values" => {}
            key if key.starts_with('_') => {}
            _ => metadata_only = false,
        }
    }
    match source {
        Some(source) if metadata_only => record.document = source,
        _ if metadata_only => return Err("the search hit has no `_source`"),
        _ => {}
    }
    Ok(record)
}

/// Takes the document of a bulk action.
fn out_of_bulk<'a>(mut record: Record<'a>, line: &'a [u8]) -> Result<Record<'a>, &'static str> {
    if let Some(Ok((_, members))) = sonic_rs::to_object_iter(line).next()
        && let Some(members) = members.into_object_iter()
    {
        for (key, value) in members.flatten() {
            match &*key {
                "_id" => record.id = text(&value),
                "_index" => record.index = text(&value),
                _ => {}
            }
        }
    }
    if action(line) == Some(Action::Update) {
        let mut document = None;
        for (key, value) in sonic_rs::to_object_iter(record.document).flatten() {
            match &*key {
                "doc" if value.is_object() => document = raw(&value),
                "upsert" if value.is_object() && document.is_none() => document = raw(&value),
                _ => {}
            }
        }
        record.document = document.ok_or("the bulk update carries no document")?;
    }
    Ok(record)
}

/// The JSON text of a value, as a part of the record.
fn raw<'a>(value: &LazyValue<'a>) -> Option<&'a [u8]> {
    match value.as_raw_cow() {
        Cow::Borrowed(text) => Some(text.as_bytes()),
        Cow::Owned(_) => None,
    }
}

/// A string's content, or the text of any other scalar.
fn text<'a>(value: &LazyValue<'a>) -> Option<Cow<'a, str>> {
    if value.is_null() {
        return None;
    }
    if let Cow::Borrowed(text) = value.as_raw_cow()
        && !text.contains('\\')
    {
        return Some(Cow::Borrowed(text.trim_matches('"')));
    }
    value.as_str().map(|text| Cow::Owned(text.to_owned()))
}

/// The time that a record states at its top level, if it can be told.
pub fn record_time(document: &[u8]) -> Option<Instant> {
    TIME_FIELDS.iter().find_map(|field| {
        let value = sonic_rs::get(document, [*field]).ok()?;
        match value.as_str() {
            Some(text) => parse_date(text, &[]),
            None => value.as_i64().map(Instant::from_millis),
        }
    })
}
