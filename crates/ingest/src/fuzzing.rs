//! What the fuzz target calls: each protocol's taking apart of bytes, with what must hold of it.

use std::sync::Arc;

use axum::http::Uri;
use neph_store::Batch;

use crate::counts::Counts;
use crate::gate::Tokens;
use crate::http::{cut_bulk, cut_hec, cut_otlp};
use crate::intake::{Done, Intake, Sink};
use crate::json;
use crate::limits::Limits;
use crate::syslog::frame::{Cut, Framing};

/// Forgets everything.
struct Nowhere;

impl Sink for Nowhere {
    fn append(&self, _: Batch, done: Done) {
        done(Ok(()));
    }
}

fn intake() -> Intake {
    Intake::new(
        Arc::new(Nowhere),
        Arc::new(Tokens::new([])),
        Limits::default(),
        Arc::new(Counts::default()),
    )
}

/// A body of `_bulk`: every document that is taken is one JSON object.
pub fn bulk(body: &[u8]) {
    cut_bulk(body);
}

/// A body of HEC, of events and of lines.
pub fn hec(body: &[u8]) {
    cut_hec(&intake(), body, &Uri::from_static("/services/collector?host=h"));
}

/// A body of OTLP, in both encodings: every record is a JSON object.
pub fn otlp(body: &[u8]) {
    for record in cut_otlp(body) {
        assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&record).is_ok());
    }
}

/// JSON is taken exactly where a parser takes it, but for its depth, and its parts are parts of it.
pub fn json(text: &[u8]) {
    let expected = serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok();
    match json::value(text) {
        Some(value) => {
            // A parser of numbers refuses those that no number of its can hold.
            let members = value.members().map(|(_, value)| value).chain(value.elements());
            members.for_each(|part| assert!(json::value(part.raw()).is_some()));
        }
        None => assert!(!expected || text.len() > 200 || std::str::from_utf8(text).is_err()),
    }
}

/// A stream of syslog that comes in pieces of `step` bytes: its messages.
pub fn syslog(stream: &[u8], step: usize, longest: usize) -> Vec<Vec<u8>> {
    let (mut framing, mut buffer, mut out) = (Framing::new(longest), Vec::new(), Vec::new());
    for piece in stream.chunks(step.max(1)) {
        buffer.extend_from_slice(piece);
        while let Some((cut, used)) = framing.cut(&buffer) {
            match cut {
                Some(Cut::Message(message)) => out.push(message.to_vec()),
                Some(Cut::Malformed) => return out,
                Some(Cut::TooLong) | None => {}
            }
            buffer.drain(..used.min(buffer.len()));
        }
    }
    out
}
