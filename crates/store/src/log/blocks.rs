//! Reading blocks, from an offset on or between times.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use super::segment::{At, SegmentFile};
use super::shared::{Handle, removed};
use super::{Block, Offset};
use crate::{GapReason, StoreError};

/// Blocks in order. After an `Err` of [`StoreError::Gap`] it goes on behind the gap; after any other error it tries the same
/// place again. `None` means that the end is reached for now.
pub struct Blocks {
    shared: Handle,
    next: Offset,
    ready: VecDeque<Block>,
    open: Option<Open>,
    /// Only these stretches, of a search; `None` for everything.
    search: Option<Search>,
    /// Whether it waited for more: then what was just written is handed to it.
    follows: bool,
}

struct Open {
    begin: Offset,
    file: SegmentFile,
    position: u64,
}

/// What of the log a search reads.
struct Search {
    times: Range<i64>,
    streams: Option<Vec<String>>,
    /// Segments that were not looked at yet.
    segments: VecDeque<Offset>,
    /// Stretches of the segment that is read.
    stretches: VecDeque<Range<Offset>>,
    /// The log's end when the search began.
    end: Offset,
}

/// Where to read on.
enum Place {
    Frame { begin: Offset, end: Offset, length: u64 },
    Missing(Range<Offset>),
    End,
}

impl Blocks {
    pub(super) fn new(shared: Handle, from: Offset) -> Self {
        Self {
            shared,
            next: from,
            ready: VecDeque::new(),
            open: None,
            search: None,
            follows: false,
        }
    }

    pub(super) fn search(shared: Handle, times: Range<i64>, streams: Option<Vec<String>>) -> Self {
        let mut segments = VecDeque::new();
        let end = {
            let state = shared.state();
            for segment in &state.segments {
                // The ends of what nanoseconds can hold stand for everything beyond.
                let none_between = segment
                    .times
                    .is_some_and(|(least, greatest)| greatest < times.start || least > times.end);
                if !none_between && segment.begin < segment.end {
                    segments.push_back(segment.begin);
                }
            }
            state.end
        };
        Self {
            shared,
            next: 0,
            ready: VecDeque::new(),
            open: None,
            search: Some(Search {
                times,
                streams,
                segments,
                stretches: VecDeque::new(),
                end,
            }),
            follows: false,
        }
    }

    /// Waits until there is more, at most so long; `true` if there is. A search never has more than when it began.
    pub fn wait(&mut self, timeout: Duration) -> bool {
        if self.search.is_some() {
            return !self.ready.is_empty();
        }
        self.follows = true;
        !self.ready.is_empty() || self.shared.wait(self.next, timeout)
    }

    /// The offset of the next block.
    pub fn offset(&self) -> Offset {
        self.ready.front().map_or(self.next, |block| block.offset)
    }

    /// Reads one frame, or tells why there is none. `Ok(false)` at the end.
    fn read(&mut self) -> Result<bool, StoreError> {
        let limit = match &mut self.search {
            None => Offset::MAX,
            Some(search) => match search.stretch(&self.shared, self.next)? {
                Some(stretch) => {
                    self.next = self.next.max(stretch.start);
                    stretch.end
                }
                None => return Ok(false),
            },
        };
        if self.follows
            && let Some((blocks, end)) = self.shared.state().recent.take(self.next)
        {
            self.next = end;
            self.open = None;
            self.ready.extend(blocks);
            return Ok(true);
        }
        let (begin, end, length) = match self.place() {
            Place::Frame { begin, end, length } => (begin, end, length),
            Place::End => return Ok(false),
            Place::Missing(missing) => {
                self.next = missing.end;
                return Err(removed(missing));
            }
        };
        if self.open.as_ref().is_none_or(|open| open.begin != begin) {
            self.open = Some(self.open_segment(begin, end)?);
        }
        let Some(open) = &mut self.open else {
            return Ok(false);
        };
        match open.file.blocks(open.position, length)? {
            At::Good((header, _)) if header.end() <= self.next => open.position += header.length(),
            At::Good((header, _)) if header.offset > self.next => {
                let from = std::mem::replace(&mut self.next, header.offset);
                return Err(damaged(from..header.offset));
            }
            At::Good((header, blocks)) => {
                open.position += header.length();
                let next = self.next;
                self.next = header.end();
                let streams = self.search.as_ref().and_then(|search| search.streams.as_deref());
                let wanted = |block: &Block| {
                    block.end() > next
                        && block.offset < limit
                        && streams.is_none_or(|names| names.iter().any(|name| **name == *block.stream))
                };
                self.ready.extend(blocks.into_iter().filter(wanted));
            }
            // The next good frame tells how much is missing; is there none, all up to the segment's end is.
            At::Bad | At::BadBody(_) => match open.file.search(open.position + 1, length, self.next)? {
                Some(position) => open.position = position,
                None => {
                    self.open = None;
                    let from = std::mem::replace(&mut self.next, end);
                    return Err(damaged(from..end));
                }
            },
            At::End => {
                self.open = None;
                let from = std::mem::replace(&mut self.next, end);
                return Err(damaged(from..end));
            }
        }
        Ok(true)
    }

    /// Which segment holds the next offset.
    fn place(&self) -> Place {
        let state = self.shared.state();
        if self.next >= state.end {
            return Place::End;
        }
        let behind = state.segments.partition_point(|segment| segment.end <= self.next);
        match state.segments.get(behind) {
            Some(segment) if segment.begin <= self.next => Place::Frame {
                begin: segment.begin,
                end: segment.end,
                length: segment.length,
            },
            Some(segment) => Place::Missing(self.next..segment.begin),
            None => Place::Missing(self.next..state.end),
        }
    }

    fn open_segment(&mut self, begin: Offset, end: Offset) -> Result<Open, StoreError> {
        let position = match self.next {
            next if next == begin => 0,
            next => self.shared.position(begin, next)?,
        };
        match SegmentFile::open(&self.shared.folder, begin) {
            Ok(file) => Ok(Open {
                begin,
                file,
                position,
            }),
            Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                let from = std::mem::replace(&mut self.next, end);
                Err(removed(from..end))
            }
            Err(error) => Err(error),
        }
    }
}

impl Iterator for Blocks {
    type Item = Result<Block, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(block) = self.ready.pop_front() {
                return Some(Ok(block));
            }
            match self.read() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Search {
    /// The stretch that is read, from `next` on.
    fn stretch(&mut self, shared: &Handle, next: Offset) -> Result<Option<Range<Offset>>, StoreError> {
        loop {
            match self.stretches.front() {
                Some(stretch) if next >= stretch.end => {
                    self.stretches.pop_front();
                }
                Some(stretch) => return Ok(Some(stretch.clone())),
                None => {
                    let Some(begin) = self.segments.pop_front() else {
                        return Ok(None);
                    };
                    let index = match shared.index_of(begin) {
                        Ok(index) => index,
                        // Retention was quicker.
                        Err(StoreError::Gap { .. }) => continue,
                        Err(error) => return Err(error),
                    };
                    let stretches = index.stretches(self.times.clone(), self.streams.as_deref());
                    let before_end = stretches.into_iter().filter(|stretch| stretch.start < self.end);
                    self.stretches = before_end
                        .map(|stretch| stretch.start..stretch.end.min(self.end))
                        .collect();
                }
            }
        }
    }
}

fn damaged(offsets: Range<Offset>) -> StoreError {
    StoreError::Gap {
        from: offsets.start,
        to: offsets.end,
        why: GapReason::Damaged,
    }
}
