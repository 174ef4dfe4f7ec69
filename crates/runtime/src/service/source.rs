//! Blocks of the event log as chunks: the live tail, and stretches of history.
//!
//! Which lines become one record depends on the log alone: a stream's lines are joined in its order, and lines that wait for
//! others are let go when the log says that the stream had nothing for [`LINES_COME_WITHIN`].

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant as Clock};

use neph_event::Instant;
use neph_normalize::Joiner;
use neph_store::{Block, Blocks, StoreError};

use crate::input::{Chunk, ChunkSource, HeldLines, Mark, RecordPlace};

/// The stream of blocks that only tell that time went on.
pub(crate) const TICKS: &str = "neph/tick";

/// A stream that had nothing new for so long will not finish the event whose lines it has begun.
const LINES_COME_WITHIN: i128 = 2_000_000_000;
/// What a stream said that had nothing for so long is forgotten: heads of tables, programs of processes.
const REMEMBERED: i128 = 6 * 3600 * 1_000_000_000;
/// Streams are looked through for such once in so many blocks.
const SWEEP: u64 = 4096;
/// How long to wait after the log failed before it is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// What the service asks of the source that it reads.
#[derive(Debug, Default)]
pub(crate) struct Control {
    /// Ends reading; what joiners hold goes with the last chunk.
    pub(crate) stop: AtomicBool,
    /// Whether lines wait for others of their event.
    pub(crate) holds_lines: AtomicBool,
}

/// How a source that follows the log goes.
#[derive(Clone, Debug)]
pub(crate) struct Tail {
    pub(crate) control: Arc<Control>,
    /// Nothing new for so long is told by a chunk without a block.
    pub(crate) rest: Duration,
    /// What joiners hold goes with a chunk so often.
    pub(crate) keep_every: Duration,
}

/// Gives the blocks of a log as chunks, with joined lines.
pub(crate) struct LogSource {
    blocks: Blocks,
    tail: Option<Tail>,
    /// Where to end.
    until: u64,
    times: Option<Range<Instant>>,
    /// The source that every record is forced to be of.
    forced: Option<String>,
    lines: ahash::AHashMap<Arc<str>, Lines>,
    /// Streams whose lines wait for others.
    holding: BTreeSet<Arc<str>>,
    /// Streams to be let go before the block that waits.
    due: VecDeque<Arc<str>>,
    waiting: Option<Block>,
    told_rest: bool,
    kept: Clock,
    has_new: bool,
    seen: u64,
    ended: bool,
    spare: Vec<u8>,
}

struct Lines {
    joiner: Joiner<RecordPlace>,
    received: Instant,
}

impl LogSource {
    /// The blocks, up to the offset `until`.
    pub(crate) fn new(blocks: Blocks, tail: Option<Tail>, until: u64, forced: Option<String>) -> Self {
        Self {
            blocks,
            tail,
            until,
            times: None,
            forced,
            lines: ahash::AHashMap::new(),
            holding: BTreeSet::new(),
            due: VecDeque::new(),
            waiting: None,
            told_rest: true,
            kept: Clock::now(),
            has_new: false,
            seen: 0,
            ended: false,
            spare: Vec::new(),
        }
    }

    /// Leaves out blocks that were received before these times began: their events cannot be of them.
    pub(crate) fn within(mut self, times: Range<Instant>) -> Self {
        self.times = Some(times);
        self
    }

    /// Takes over what joiners held when the log was read up to where the blocks begin.
    pub(crate) fn restore(&mut self, saved: &[(String, Instant, Vec<u8>)]) -> bool {
        let mut is_whole = true;
        for (stream, received, saved) in saved {
            let mut joiner = Joiner::new(self.forced.as_deref());
            is_whole &= joiner.restore(saved);
            let stream: Arc<str> = stream.as_str().into();
            if joiner.holds_lines() {
                self.holding.insert(Arc::clone(&stream));
            }
            let received = *received;
            self.lines.insert(stream, Lines { joiner, received });
        }
        is_whole
    }

    fn joiners(&self) -> Vec<HeldLines> {
        let lines = self.lines.iter();
        lines
            .map(|(stream, lines)| (Arc::clone(stream), lines.received, lines.joiner.save()))
            .collect()
    }

    /// The lines of a stream that wait for others go as they are.
    fn let_go(&mut self, stream: &Arc<str>, offset: u64, received: Instant, chunk: &mut Chunk) {
        chunk.begin(stream, 0, 0, &[], 0);
        self.holding.remove(stream);
        if let Some(lines) = self.lines.get_mut(stream) {
            chunk.join(&mut lines.joiner, true);
        }
        chunk.mark.received = Some(received);
        chunk.mark.offsets = offset..offset;
    }

    fn give(&mut self, block: Block, chunk: &mut Chunk) {
        let (offset, end, received) = (block.offset, block.end(), block.received);
        let records = block.records.len() as u64;
        let spare = chunk.take_block(&block.stream, offset, block.records.bytes, &block.records.ends);
        self.spare = spare;
        self.seen += 1;
        self.has_new = true;
        self.told_rest = false;
        if records > 0 && &*block.stream != TICKS {
            let forced = self.forced.as_deref();
            let lines = self.lines.entry(Arc::clone(&block.stream));
            let lines = lines.or_insert_with(|| Lines {
                joiner: Joiner::new(forced),
                received,
            });
            lines.received = lines.received.max(received);
            chunk.join(&mut lines.joiner, false);
            match lines.joiner.holds_lines() {
                true => self.holding.insert(Arc::clone(&block.stream)),
                false => self.holding.remove(&block.stream),
            };
        }
        if self.seen.is_multiple_of(SWEEP) {
            let old = received.saturating_sub_nanos(REMEMBERED);
            self.lines.retain(|_, lines| lines.received >= old);
        }
        chunk.mark = Mark {
            received: Some(received),
            offsets: offset..end,
            records,
            joiners: None,
            lost: None,
        };
        let Some(tail) = &self.tail else { return };
        tail.control
            .holds_lines
            .store(!self.holding.is_empty(), Ordering::Relaxed);
        if self.kept.elapsed() >= tail.keep_every {
            self.kept = Clock::now();
            self.has_new = false;
            chunk.mark.joiners = Some(self.joiners());
        }
    }

    /// The streams whose lines have waited long enough when something is received.
    fn find_due(&mut self, received: Instant) {
        let old = received.saturating_sub_nanos(LINES_COME_WITHIN);
        let lines = &self.lines;
        let is_due = |stream: &&Arc<str>| lines.get(*stream).is_none_or(|lines| lines.received < old);
        self.due.extend(self.holding.iter().filter(is_due).cloned());
    }
}

impl ChunkSource for LogSource {
    fn next_chunk(&mut self, chunk: &mut Chunk) -> bool {
        loop {
            if let Some(block) = self.waiting.take() {
                match self.due.pop_front() {
                    Some(stream) => {
                        self.let_go(&stream, block.offset, block.received, chunk);
                        self.waiting = Some(block);
                    }
                    None => self.give(block, chunk),
                }
                return true;
            }
            if self
                .tail
                .as_ref()
                .is_some_and(|tail| tail.control.stop.load(Ordering::Relaxed))
            {
                let is_first = !std::mem::replace(&mut self.ended, true);
                if is_first {
                    chunk.begin(&"".into(), 0, 0, &[], 0);
                    chunk.mark.joiners = Some(self.joiners());
                }
                return is_first;
            }
            match self.blocks.next() {
                Some(Ok(block)) if block.offset >= self.until => self.end(),
                // An event is received after it happened, but for clocks that go wrong by less than a day.
                Some(Ok(block)) if self.is_before_times(&block) => {}
                Some(Ok(block)) => {
                    self.find_due(block.received);
                    self.waiting = Some(block);
                }
                Some(Err(StoreError::Gap { from, to, why })) => {
                    chunk.begin(&"".into(), 0, 0, &[], 0);
                    chunk.mark.lost = Some((from, to, why.to_string()));
                    return true;
                }
                Some(Err(error)) => match &self.tail {
                    Some(_) => thread::sleep(RETRY),
                    None => {
                        chunk.begin(&"".into(), 0, 0, &[], 0);
                        let at = self.blocks.offset();
                        chunk.mark.lost = Some((at, at, error.to_string()));
                        self.until = 0;
                        self.end();
                        return true;
                    }
                },
                None => match &self.tail {
                    None => self.end(),
                    Some(tail) if !self.blocks.wait(tail.rest) => {
                        if !self.told_rest {
                            self.told_rest = true;
                            chunk.begin(&"".into(), 0, 0, &[], 0);
                            if self.has_new && self.kept.elapsed() >= tail.keep_every {
                                self.kept = Clock::now();
                                self.has_new = false;
                                chunk.mark.joiners = Some(self.joiners());
                            }
                            return true;
                        }
                    }
                    Some(_) => {}
                },
            }
            if self.ended {
                let Some(stream) = self.holding.first().cloned() else {
                    return false;
                };
                self.let_go(&stream, self.blocks.offset(), Instant::default(), chunk);
                chunk.mark.received = None;
                return true;
            }
        }
    }
}

impl LogSource {
    fn end(&mut self) {
        self.ended = true;
    }

    fn is_before_times(&self, block: &Block) -> bool {
        const DAY: i128 = 24 * 3600 * 1_000_000_000;
        let begins = self
            .times
            .as_ref()
            .map(|times| times.start.saturating_sub_nanos(DAY));
        begins.is_some_and(|begins| block.received < begins)
    }
}
