//! Cuts one decompressed stream into chunks of whole records.

use std::io::{self, Read};
use std::sync::Arc;

use super::layers::Peeked;
use super::lines::Lines;
use super::problem::Refusal;
use super::sniff::{self, Framing};
use super::values::Values;
use super::{Chunk, ProblemKind};

/// Inputs take turns after this many decompressed bytes. Fixed, so that the order in which several inputs are merged
/// does not depend on the size of chunks.
const TURN: u64 = 1 << 20;

/// Most records of one chunk, so that a chunk of tiny records stays small too.
const RECORDS_PER_CHUNK: usize = 1 << 15;

/// A buffer that is too small for one record doubles, within these bounds of bytes.
const SMALLEST_GROWTH: usize = 64;
const LARGEST_GROWTH: usize = 4 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What bounds a chunk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Most bytes of one record.
    pub(crate) record: usize,
    /// Most records.
    pub(crate) records: usize,
}

/// How a call of [`Framer::fill`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fill {
    /// There is more, and this input's turn is not over.
    More,
    /// There is more; another input may go on now.
    TurnEnd,
    /// A growing file holds nothing new.
    Idle,
    /// The stream has ended.
    End,
}

#[derive(Clone, Debug)]
enum Scanner {
    Lines(Lines),
    Values(Values),
}

/// How a stream is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// Bytes of a chunk, if its records allow.
    pub(crate) chunk: usize,
    /// Most bytes of a record.
    pub(crate) record: usize,
    /// Hand on what is there at once instead of filling the chunk.
    pub(crate) live: bool,
    /// The end of the stream is not its end: it may grow.
    pub(crate) follow: bool,
}

/// One input being read.
pub(crate) struct Framer {
    source: Arc<str>,
    input: u32,
    stream: Box<dyn Read + Send>,
    scanner: Scanner,
    manner: Manner,
    /// Bytes read beyond the records handed on so far, and how many of them the scanner has seen.
    carry: Vec<u8>,
    scanned: usize,
    /// Offset of the first byte of `carry` in the stream.
    offset: u64,
    /// Offset at which the turn ends, once a record was handed on in it.
    turn: u64,
    records_in_turn: bool,
}

impl Framer {
    /// A framer for a stream, or the reason why its content cannot be records.
    pub(crate) fn new(source: Arc<str>, input: u32, peeked: Peeked, manner: Manner) -> Result<Self, Refusal> {
        let Peeked { head, rest, ended } = peeked;
        let framing = match sniff::framing(&head, ended) {
            // A file that is followed may well be empty when it is opened.
            Err((ProblemKind::Empty, _)) if manner.follow => Framing::Lines,
            framing => framing?,
        };
        let scanner = match framing {
            Framing::Lines => Scanner::Lines(Lines::new(false)),
            Framing::Bulk => Scanner::Lines(Lines::new(true)),
            Framing::Values(wrapper) => Scanner::Values(Values::new(wrapper)),
        };
        let mut carry = head;
        let mut offset = 0;
        if carry.starts_with(BYTE_ORDER_MARK) {
            carry.drain(..BYTE_ORDER_MARK.len());
            offset = BYTE_ORDER_MARK.len() as u64;
        }
        let turn = offset + TURN;
        Ok(Self {
            source,
            input,
            stream: rest,
            scanner,
            manner,
            carry,
            scanned: 0,
            offset,
            turn,
            records_in_turn: false,
        })
    }

    /// The first records among the bytes that were read to tell the format, without taking them.
    pub(crate) fn peek(&self, chunk: &mut Chunk) {
        chunk.begin(&self.source, self.input, self.offset, &self.carry, 0);
        let limits = Limits {
            record: self.manner.record,
            records: 1,
        };
        let mut scanner = self.scanner.clone();
        let bytes = std::mem::take(&mut chunk.buffer);
        scanner.scan(
            bytes.get(..chunk.filled).unwrap_or_default(),
            0,
            chunk,
            limits,
            false,
        );
        chunk.buffer = bytes;
    }

    /// Fills `chunk` with the next records.
    pub(crate) fn fill(&mut self, chunk: &mut Chunk) -> Fill {
        let limits = Limits {
            record: self.manner.record,
            records: RECORDS_PER_CHUNK,
        };
        chunk.begin(
            &self.source,
            self.input,
            self.offset,
            &self.carry,
            self.manner.chunk,
        );
        let begin = self.offset;
        let mut buffer = std::mem::take(&mut chunk.buffer);
        let fill = self.read_records(&mut buffer, chunk, limits);
        chunk.buffer = buffer;
        let pending = if fill == Fill::End {
            chunk.filled
        } else {
            self.scanner.pending().min(chunk.filled)
        };
        self.carry.clear();
        self.carry
            .extend_from_slice(chunk.buffer.get(pending..chunk.filled).unwrap_or_default());
        self.scanner.shift(pending);
        self.scanned = self.scanned.saturating_sub(pending);
        self.offset = chunk.base + pending as u64;
        chunk.bytes = self.offset - begin;
        if !chunk.spans.is_empty() {
            self.records_in_turn = true;
        }
        if fill == Fill::TurnEnd {
            self.begin_turn();
        }
        fill
    }

    /// Takes the end of the stream for its end from now on.
    pub(crate) fn follow_no_more(&mut self) {
        self.manner.follow = false;
    }

    fn begin_turn(&mut self) {
        self.records_in_turn = false;
        let read = self.offset + self.carry.len() as u64;
        self.turn = (read / TURN + 1) * TURN;
    }

    fn read_records(&mut self, buffer: &mut Vec<u8>, chunk: &mut Chunk, limits: Limits) -> Fill {
        loop {
            let bytes = buffer.get(..chunk.filled).unwrap_or_default();
            self.scanned = self.scanner.scan(bytes, self.scanned, chunk, limits, false);
            if chunk.spans.len() >= limits.records {
                return Fill::More;
            }
            if chunk.filled.saturating_sub(self.scanner.pending()) > limits.record {
                self.scanner.discard(bytes, chunk, limits);
            }
            if chunk.spans.is_empty() {
                self.drop_done(buffer, chunk);
            } else if self.manner.live {
                return Fill::More;
            }
            let reached = chunk.base + chunk.filled as u64;
            if reached >= self.turn {
                if self.records_in_turn || !chunk.spans.is_empty() {
                    return Fill::TurnEnd;
                }
                self.turn += TURN;
            }
            let left_in_turn = usize::try_from(self.turn.saturating_sub(reached)).unwrap_or(usize::MAX);
            if !chunk.spans.is_empty()
                && chunk.filled >= self.manner.chunk
                && left_in_turn > self.manner.chunk / 4
            {
                return Fill::More;
            }
            if chunk.filled == buffer.len() {
                let more = buffer.len().clamp(SMALLEST_GROWTH, LARGEST_GROWTH);
                buffer.resize(buffer.len() + more, 0);
            }
            let end = buffer.len().min(chunk.filled.saturating_add(left_in_turn));
            match read_some(
                &mut *self.stream,
                buffer.get_mut(chunk.filled..end).unwrap_or_default(),
            ) {
                Ok(0) if self.manner.follow => return Fill::Idle,
                Ok(0) => {
                    let bytes = buffer.get(..chunk.filled).unwrap_or_default();
                    self.scanned = self.scanner.scan(bytes, self.scanned, chunk, limits, true);
                    if chunk.spans.len() >= limits.records {
                        return Fill::More;
                    }
                    self.scanner.finish(bytes, chunk, limits);
                    return Fill::End;
                }
                Ok(read) => chunk.filled += read,
                Err(error) => {
                    let (kind, message) = super::layers::explain(&error);
                    chunk.report(chunk.filled, Some(self.scanner.line()), kind, message);
                    return Fill::End;
                }
            }
        }
    }

    /// Gives up the bytes that no record needs, so that skipped text takes no memory.
    fn drop_done(&mut self, buffer: &mut [u8], chunk: &mut Chunk) {
        let done = self.scanner.pending().min(chunk.filled);
        if done == 0 {
            return;
        }
        buffer.copy_within(done..chunk.filled, 0);
        chunk.filled -= done;
        chunk.base += done as u64;
        self.scanner.shift(done);
        self.scanned = self.scanned.saturating_sub(done);
    }
}

impl Scanner {
    fn scan(&mut self, bytes: &[u8], from: usize, chunk: &mut Chunk, limits: Limits, last: bool) -> usize {
        match self {
            Self::Lines(lines) => lines.scan(bytes, from, chunk, limits),
            Self::Values(values) => values.scan(bytes, from, chunk, limits, last),
        }
    }

    fn finish(&mut self, bytes: &[u8], chunk: &mut Chunk, limits: Limits) {
        match self {
            Self::Lines(lines) => lines.finish(bytes, chunk, limits),
            Self::Values(values) => values.finish(bytes, chunk, limits),
        }
    }

    fn pending(&self) -> usize {
        match self {
            Self::Lines(lines) => lines.pending(),
            Self::Values(values) => values.pending(),
        }
    }

    fn line(&self) -> u64 {
        match self {
            Self::Lines(lines) => lines.line(),
            Self::Values(values) => values.line(),
        }
    }

    fn shift(&mut self, bytes: usize) {
        match self {
            Self::Lines(lines) => lines.shift(bytes),
            Self::Values(values) => values.shift(bytes),
        }
    }

    fn discard(&mut self, bytes: &[u8], chunk: &mut Chunk, limits: Limits) {
        match self {
            Self::Lines(lines) => lines.discard(bytes, chunk, limits),
            Self::Values(values) => values.discard(bytes, chunk, limits),
        }
    }
}

/// Reads once, again where the system was interrupted.
pub(crate) fn read_some(stream: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}
