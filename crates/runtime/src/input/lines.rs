//! Records that stand one a line: NDJSON, and bulk files, where an action line precedes each document.
//!
//! Bulk format: <https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk>

use memchr::memchr_iter;
use sonic_rs::JsonValueTrait;

use super::{Chunk, ProblemKind};

/// Members of a bulk action's object.
const ACTION_MEMBERS: [&str; 14] = [
    "_index",
    "_id",
    "_type",
    "routing",
    "_routing",
    "version",
    "version_type",
    "pipeline",
    "require_alias",
    "require_data_stream",
    "dynamic_templates",
    "list_executed_pipelines",
    "retry_on_conflict",
    "if_seq_no",
];

/// What a bulk action asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The next line is a document.
    Index,
    /// The next line is a change to a document.
    Update,
    /// There is no next line.
    Delete,
}

/// Reads a line as a bulk action; `None` where it is none.
pub(crate) fn action(line: &[u8]) -> Option<Action> {
    let inner = line.trim_ascii_start().strip_prefix(b"{")?.trim_ascii_start();
    let (name, kind) = [
        ("index", Action::Index),
        ("create", Action::Index),
        ("update", Action::Update),
        ("delete", Action::Delete),
    ]
    .into_iter()
    .find(|(name, _)| {
        inner
            .strip_prefix(b"\"")
            .and_then(|rest| rest.strip_prefix(name.as_bytes()))
            .is_some()
    })?;
    let mut members = sonic_rs::to_object_iter(line);
    let (key, value) = members.next()?.ok()?;
    if key != name || members.next().is_some() {
        return None;
    }
    let known = |key: &str| ACTION_MEMBERS.contains(&key) || key == "if_primary_term";
    value.is_object().then_some(())?;
    for member in value.into_object_iter()? {
        let (key, _) = member.ok()?;
        known(&key).then_some(())?;
    }
    Some(kind)
}

/// The state of cutting a stream into lines.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    /// Where the current line starts in the buffer.
    start: usize,
    /// Its number.
    line: u64,
    /// The current line is beyond the size limit: skip to its end.
    discarding: bool,
    bulk: bool,
    /// The bulk action (start, end, line) that waits for its document.
    waiting: Option<(usize, usize, u64)>,
}

impl Lines {
    pub(crate) fn new(bulk: bool) -> Self {
        Self {
            start: 0,
            line: 1,
            discarding: false,
            bulk,
            waiting: None,
        }
    }

    /// Takes the lines that end in `bytes[from..]`; returns up to where it looked.
    pub(crate) fn scan(
        &mut self,
        bytes: &[u8],
        from: usize,
        chunk: &mut Chunk,
        limits: super::framer::Limits,
    ) -> usize {
        for newline in memchr_iter(b'\n', bytes.get(from..).unwrap_or_default()) {
            let end = from + newline;
            if self.discarding {
                self.discarding = false;
            } else {
                self.take(bytes, end, chunk, limits.record);
            }
            self.start = end + 1;
            self.line += 1;
            if chunk.spans.len() >= limits.records {
                return self.start;
            }
        }
        bytes.len()
    }

    /// Takes what is left when the stream has ended.
    pub(crate) fn finish(&mut self, bytes: &[u8], chunk: &mut Chunk, limits: super::framer::Limits) {
        if !self.discarding {
            self.take(bytes, bytes.len(), chunk, limits.record);
        }
        self.start = bytes.len();
        if let Some((start, _, line)) = self.waiting.take() {
            chunk.report(
                start,
                Some(line),
                ProblemKind::BulkAction,
                "the bulk action has no document",
            );
        }
    }

    /// Everything before this is done with.
    pub(crate) fn pending(&self) -> usize {
        self.waiting.map_or(self.start, |(start, _, _)| start)
    }

    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// The buffer lost its first `bytes` bytes.
    pub(crate) fn shift(&mut self, bytes: usize) {
        self.start = self.start.saturating_sub(bytes);
        if let Some((start, end, _)) = &mut self.waiting {
            *start = start.saturating_sub(bytes);
            *end = end.saturating_sub(bytes);
        }
    }

    /// The current line is beyond the limit: forgets its first `bytes.len()` bytes and skips the rest of it.
    pub(crate) fn discard(&mut self, bytes: &[u8], chunk: &mut Chunk, limits: super::framer::Limits) {
        if !self.discarding {
            chunk.report_too_long(self.start, self.line, limits.record);
        }
        self.discarding = true;
        self.waiting = None;
        self.start = bytes.len();
    }

    fn take(&mut self, bytes: &[u8], end: usize, chunk: &mut Chunk, limit: usize) {
        let line = bytes.get(self.start..end).unwrap_or_default();
        let trimmed = line.trim_ascii_end();
        let end = self.start + trimmed.len();
        let start = end - trimmed.trim_ascii_start().len();
        if start == end {
            return;
        }
        if self.bulk {
            self.take_of_bulk(bytes.get(start..end).unwrap_or_default(), start, chunk, limit);
        } else {
            chunk.take_record(start, end, self.line, (0, 0), limit);
        }
    }

    fn take_of_bulk(&mut self, line: &[u8], start: usize, chunk: &mut Chunk, limit: usize) {
        let end = start + line.len();
        match (self.waiting.take(), action(line)) {
            (Some((from, to, _)), None) => chunk.take_record(start, end, self.line, (from, to), limit),
            (None, None) => {
                let message = "expected a bulk action such as `{\"index\":{}}`; the line was skipped";
                chunk.report(start, Some(self.line), ProblemKind::BulkAction, message);
            }
            (waiting, Some(action)) => {
                if let Some((from, _, line)) = waiting {
                    chunk.report(
                        from,
                        Some(line),
                        ProblemKind::BulkAction,
                        "the bulk action has no document",
                    );
                }
                match action {
                    Action::Delete => chunk.deletes += 1,
                    Action::Index | Action::Update => self.waiting = Some((start, end, self.line)),
                }
            }
        }
    }
}
