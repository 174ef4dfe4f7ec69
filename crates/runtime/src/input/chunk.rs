//! A chunk: some records of one input, cut at record boundaries.

use std::sync::Arc;

use neph_event::Instant;
use neph_normalize::{Joined, Joiner};
use serde::{Deserialize, Serialize};

use super::{InputProblem, ProblemKind};

/// Bits of a position that hold the offset within the input: a tebibyte.
const OFFSET_BITS: u32 = 40;

/// Where a record stands in its chunk's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) line: u64,
    /// The bulk action that goes with the record; an empty range where there is none.
    pub(crate) action: (u32, u32),
    /// The record is this one of the chunk's joined records instead.
    pub(crate) joined: Option<u32>,
}

/// Where a record stands in its input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct RecordPlace {
    /// See [`Record::position`](super::Record::position).
    pub(crate) position: u64,
    /// Line in the decompressed text, counted from 1.
    pub(crate) line: u64,
}

/// A problem with the place that it has among the records.
#[derive(Clone, Debug)]
pub(crate) struct PlacedProblem {
    pub(crate) position: u64,
    pub(crate) problem: InputProblem,
}

/// Some consecutive records of one input, and the problems met between them. Records are ranges of one buffer, which
/// is used again for the next chunk.
#[derive(Debug)]
pub struct Chunk {
    pub(crate) source: Arc<str>,
    pub(crate) input: u32,
    /// The bytes; those after `filled` are of no meaning.
    pub(crate) buffer: Vec<u8>,
    pub(crate) filled: usize,
    /// Offset of the buffer's first byte in the decompressed input.
    pub(crate) base: u64,
    pub(crate) spans: Vec<Span>,
    /// Records that several lines became; they may begin in chunks before this one.
    pub(crate) joined: Vec<Joined<RecordPlace>>,
    pub(crate) problems: Vec<PlacedProblem>,
    /// Bulk actions that delete, and so carry no document.
    pub(crate) deletes: u64,
    /// Decompressed bytes that this chunk accounts for, records and what stood between them.
    pub(crate) bytes: u64,
    /// Which rules it is held against, where they change while they run.
    pub(crate) generation: u64,
    /// What it is of an event log, if it comes from one.
    pub(crate) mark: Mark,
    /// Everything up to this time is there, if whoever hands records over says so.
    pub(crate) until: Option<Instant>,
}

/// What the joiner of a stream holds back, and when the stream last sent something.
pub(crate) type HeldLines = (Arc<str>, Instant, Vec<u8>);

/// What a chunk is of an event log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mark {
    /// When its records were received.
    pub(crate) received: Option<Instant>,
    /// The offsets of the block that it is; none where it is no block.
    pub(crate) offsets: std::ops::Range<u64>,
    /// Records of the block.
    pub(crate) records: u64,
    /// What joiners hold back behind it, if that is to be kept.
    pub(crate) joiners: Option<Vec<HeldLines>>,
    /// A stretch of the log before it cannot be read: from, to, why.
    pub(crate) lost: Option<(u64, u64, String)>,
}

impl Default for Chunk {
    fn default() -> Self {
        Self {
            source: "".into(),
            input: 0,
            buffer: Vec::new(),
            filled: 0,
            base: 0,
            spans: Vec::new(),
            joined: Vec::new(),
            problems: Vec::new(),
            deletes: 0,
            bytes: 0,
            generation: 0,
            mark: Mark::default(),
            until: None,
        }
    }
}

impl Chunk {
    /// Name of the input.
    pub fn source(&self) -> &Arc<str> {
        &self.source
    }

    /// The problems met between the records.
    pub fn problems(&self) -> impl Iterator<Item = &InputProblem> {
        self.problems.iter().map(|placed| &placed.problem)
    }

    /// Bulk actions that delete a document, and so carry none.
    pub fn deletes(&self) -> u64 {
        self.deletes
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is no record. A chunk without records can still carry problems.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Makes the chunk ready for `input`, with a buffer of `size` bytes that begins with `carry`.
    pub(crate) fn begin(&mut self, source: &Arc<str>, input: u32, base: u64, carry: &[u8], size: usize) {
        self.source = Arc::clone(source);
        self.input = input;
        self.base = base;
        self.spans.clear();
        self.joined.clear();
        self.problems.clear();
        self.deletes = 0;
        self.bytes = 0;
        self.mark = Mark::default();
        self.until = None;
        let wanted = size.max(carry.len());
        // A buffer that grew for one long record goes back to the common size, so that memory stays bounded.
        if self.buffer.len() > wanted.saturating_mul(2) {
            self.buffer.truncate(wanted);
            self.buffer.shrink_to_fit();
        } else if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        if let Some(head) = self.buffer.get_mut(..carry.len()) {
            head.copy_from_slice(carry);
        }
        self.filled = carry.len();
    }

    /// The position of the byte at `start` of the buffer: input number, then offset in the decompressed input.
    pub(crate) fn position(&self, start: usize) -> u64 {
        let offset = (self.base + start as u64).min((1 << OFFSET_BITS) - 1);
        (u64::from(self.input) << OFFSET_BITS) | offset
    }

    pub(crate) fn bytes_of(&self, start: u32, end: u32) -> &[u8] {
        self.buffer.get(start as usize..end as usize).unwrap_or_default()
    }

    /// Notes a problem at the byte at `start` of the buffer.
    pub(crate) fn report(
        &mut self,
        start: usize,
        line: Option<u64>,
        kind: ProblemKind,
        message: impl Into<String>,
    ) {
        let position = self.position(start);
        let problem = InputProblem {
            source: Arc::clone(&self.source),
            line,
            kind,
            message: message.into(),
        };
        self.problems.push(PlacedProblem { position, problem });
    }
}

impl Chunk {
    /// Takes a block of a log: its records, by where each ends in `bytes`, as they stand at `offset`. Gives the buffer back that
    /// it had.
    pub(crate) fn take_block(
        &mut self,
        source: &Arc<str>,
        offset: u64,
        bytes: Vec<u8>,
        ends: &[u32],
    ) -> Vec<u8> {
        let input = u32::try_from(offset >> OFFSET_BITS).unwrap_or(u32::MAX);
        let base = offset & ((1 << OFFSET_BITS) - 1);
        self.begin(source, input, base, &[], 0);
        self.filled = bytes.len();
        self.bytes = bytes.len() as u64;
        let mut start = 0;
        for end in ends {
            let text = bytes.get(start as usize..*end as usize).unwrap_or_default();
            // Records of text keep no line break; what is empty is no record.
            if !text.trim_ascii().is_empty() {
                self.spans.push(Span {
                    start,
                    end: *end,
                    line: offset.saturating_add(u64::from(start)),
                    action: (0, 0),
                    joined: None,
                });
            }
            start = *end;
        }
        std::mem::replace(&mut self.buffer, bytes)
    }

    /// Takes the bytes from `start` to `end` as a record, unless they are more than `limit`.
    pub(crate) fn take_record(
        &mut self,
        start: usize,
        end: usize,
        line: u64,
        action: (usize, usize),
        limit: usize,
    ) {
        if end.saturating_sub(start) > limit {
            self.report_too_long(start, line, limit);
            return;
        }
        let narrow = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        let action = (narrow(action.0), narrow(action.1));
        self.spans.push(Span {
            start: narrow(start),
            end: narrow(end),
            line,
            action,
            joined: None,
        });
    }

    /// Puts together the lines that belong together, with those that `joiner` holds from chunks before; `last` if no
    /// more come. Cutting chunks elsewhere changes nothing but in which of them a joined record comes.
    pub(crate) fn join(&mut self, joiner: &mut Joiner<RecordPlace>, last: bool) {
        if joiner.joins_nothing() {
            return;
        }
        let spans = std::mem::take(&mut self.spans);
        self.spans.reserve(spans.len());
        for span in spans {
            let place = RecordPlace {
                position: self.position(span.start as usize),
                line: span.line,
            };
            let is_bulk = span.action.0 < span.action.1;
            let taken = !is_bulk && joiner.push(self.bytes_of(span.start, span.end), place);
            self.take_joined(joiner);
            if !taken {
                self.spans.push(span);
            }
        }
        if last {
            joiner.finish();
            self.take_joined(joiner);
        }
    }

    fn take_joined(&mut self, joiner: &mut Joiner<RecordPlace>) {
        while let Some(joined) = joiner.next_joined() {
            self.spans.push(Span {
                start: 0,
                end: 0,
                line: joined.first.line,
                action: (0, 0),
                joined: u32::try_from(self.joined.len()).ok(),
            });
            self.joined.push(joined);
        }
    }

    pub(crate) fn report_too_long(&mut self, start: usize, line: u64, limit: usize) {
        let message = format!("the record is longer than the limit of {limit} bytes and was skipped");
        self.report(start, Some(line), ProblemKind::TooLong, message);
    }
}
