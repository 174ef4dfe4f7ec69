//! The events that a case gives, as the documents that rules see.

use std::path::PathBuf;

use neph_event::{Instant, parse_date};
use neph_normalize::{Dropped, Joiner, Normalizer, Refusal};
use neph_rules::rule_tests::{Form, Given, fill, fill_all};
use serde_json::Value;

use super::save::clock_of;
use super::{CaseFailure, Event};
use crate::input::{Chunk, ReadOptions, Reader};

/// Characters of a record that are shown where it is not read.
const SAMPLE: usize = 120;

/// Adds the events of an entry; `base` is the time of those that have none.
pub(super) fn read(given: &Given, base: Instant, out: &mut Vec<Event>) -> Result<(), CaseFailure> {
    let mut entry = Entry::new(given, base)?;
    for number in 0..given.repeat {
        let at = given
            .at
            .map(|at| at.saturating_add_nanos(given.every * i128::from(number)));
        let time = at.unwrap_or(base);
        let outcome = match &given.form {
            Form::Ecs(value) => {
                let mut document = value.clone();
                fill_all(&mut document, time, number);
                entry.documents.push(document);
                Ok(())
            }
            Form::Raw(Value::String(text)) => entry.text(&fill(text, time, number)),
            Form::Raw(value) => {
                let mut record = value.clone();
                fill_all(&mut record, time, number);
                entry.record(record.to_string().as_bytes())
            }
            Form::File(path) => entry.file(path),
        };
        outcome.map_err(|message| failure(given, message))?;
        shift(&mut entry.documents, at, base);
        out.extend(entry.documents.drain(..).map(|document| Event {
            document: document.to_string().into_bytes(),
            line: given.line,
        }));
    }
    Ok(())
}

fn failure(given: &Given, message: String) -> CaseFailure {
    CaseFailure {
        message,
        line: given.line,
        details: Vec::new(),
    }
}

/// The work on one entry.
struct Entry<'g> {
    given: &'g Given,
    normalizer: Normalizer,
    documents: Vec<Value>,
}

impl<'g> Entry<'g> {
    fn new(given: &'g Given, base: Instant) -> Result<Self, CaseFailure> {
        let normalizer =
            Normalizer::new(given.source.as_deref()).map_err(|error| failure(given, error.to_string()))?;
        Ok(Self {
            given,
            normalizer: normalizer.with_clock(clock_of(given.at.unwrap_or(base))),
            documents: Vec::new(),
        })
    }

    /// A raw text: lines that are joined by their source, or one record of any number of lines.
    fn text(&mut self, text: &str) -> Result<(), String> {
        let text = text.trim_end_matches(['\n', '\r']);
        let mut joiner = Joiner::new(self.given.source.as_deref());
        let mut records: Vec<Vec<u8>> = Vec::new();
        let mut is_joined = false;
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let taken = joiner.push(line.as_bytes(), ());
            is_joined |= taken;
            while let Some(joined) = joiner.next_joined() {
                records.push(joined.record);
            }
            if !taken {
                records.push(line.as_bytes().to_vec());
            }
        }
        joiner.finish();
        while let Some(joined) = joiner.next_joined() {
            records.push(joined.record);
        }
        if !is_joined {
            records = vec![text.as_bytes().to_vec()];
        }
        records.iter().try_for_each(|record| self.record(record))
    }

    fn file(&mut self, path: &PathBuf) -> Result<(), String> {
        let options = ReadOptions {
            joiner: Joiner::new(self.given.source.as_deref()),
            ..ReadOptions::default()
        };
        let mut reader =
            Reader::new(std::slice::from_ref(path), options).map_err(|error| error.to_string())?;
        if let Some(problem) = reader.take_problems().first() {
            return Err(problem.to_string());
        }
        let mut chunk = Chunk::default();
        while reader.next_chunk(&mut chunk) {
            if let Some(problem) = chunk.problems().next() {
                return Err(problem.to_string());
            }
            for record in chunk.records() {
                match record {
                    Ok(record) => self.record(record.document)?,
                    Err((_, problem)) => return Err(problem.to_string()),
                }
            }
        }
        Ok(())
    }

    /// The documents of a record. What no source recognises is taken as it is if it is an object, as in a run.
    fn record(&mut self, record: &[u8]) -> Result<(), String> {
        let as_it_is = || {
            serde_json::from_slice::<Value>(record)
                .ok()
                .filter(Value::is_object)
        };
        let outcome = self.normalizer.push(record);
        for refusal in &outcome.refused {
            match refusal {
                Refusal::Unrecognised if outcome.documents.is_empty() && self.given.source.is_none() => {
                    if let Some(document) = as_it_is() {
                        self.documents.push(document);
                        return Ok(());
                    }
                }
                // A record without an event is as good a benign case as any.
                Refusal::Dropped {
                    reason: Dropped::NoEvent(_),
                    ..
                } => continue,
                _ => {}
            }
            let text = String::from_utf8_lossy(record);
            let sample: String = text.chars().take(SAMPLE).collect();
            return Err(format!("{refusal}: `{sample}`"));
        }
        for made in &outcome.documents {
            let document = serde_json::from_slice(&made.document.to_json());
            self.documents.push(document.map_err(|error| error.to_string())?);
        }
        Ok(())
    }
}

/// Moves documents so that the first is at the time that is asked for; what has no time gets one. The time at which a store
/// took the event in moves along.
fn shift(documents: &mut [Value], at: Option<Instant>, base: Instant) {
    let time = |value: Option<&Value>| match value? {
        Value::String(text) => parse_date(text, &[]),
        Value::Number(millis) => millis.as_i64().map(Instant::from_millis),
        _ => None,
    };
    let time_of = |document: &Value| time(document.get("@timestamp"));
    let first = documents.iter().find_map(time_of);
    let distance = match (at, first) {
        (Some(at), Some(first)) => at.nanos_since(first),
        _ => 0,
    };
    for document in documents {
        let own = time_of(document);
        if own.is_some() && distance == 0 {
            continue;
        }
        let moved = |time: Instant| Value::String(time.saturating_add_nanos(distance).to_string());
        if let Some(ingested) = document.pointer_mut("/event/ingested")
            && let Some(own) = time(Some(ingested))
        {
            *ingested = moved(own);
        }
        if let Value::Object(entries) = document {
            let new = own.map_or_else(|| Value::String(at.unwrap_or(base).to_string()), moved);
            entries.insert("@timestamp".into(), new);
        }
    }
}
