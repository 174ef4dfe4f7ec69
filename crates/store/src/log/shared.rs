//! What the writer and the readers of a log know together.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as Moment};

use crossbeam_channel::Sender;
use neph_event::Instant;

use super::index::Index;
use super::recent::Recent;
use super::segment::{self, At, Found, Scan, SegmentFile};
use super::{Damage, Offset, StreamCount, Untaken};
use crate::database::from_nanos;
use crate::{GapReason, StoreError};

/// How often the folder of another process is looked at.
const POLLED_EVERY: Duration = Duration::from_millis(100);

/// A log as it is now.
pub(super) struct Shared {
    pub(super) folder: PathBuf,
    state: Mutex<State>,
    grown: Condvar,
    subscribers: Mutex<Vec<Sender<()>>>,
    /// Another process writes, or none: what is new is found by looking.
    pub(super) read_only: bool,
}

#[derive(Default)]
pub(super) struct State {
    /// In order; the last is the one that is written.
    pub(super) segments: VecDeque<Segment>,
    /// Behind the last durable block.
    pub(super) end: Offset,
    /// What was just written.
    pub(super) recent: Recent,
    /// Since when nothing is taken.
    pub(super) untaken: Option<Untaken>,
    /// Such stretches that are over and were not asked for yet.
    pub(super) ended: Vec<Untaken>,
}

/// Stretches that may wait to be asked for.
const ENDED: usize = 1_000;

impl State {
    /// Notes that records were not taken.
    pub(super) fn refuse(&mut self, received: Instant, records: u64, why: &StoreError) {
        let untaken = self.untaken.get_or_insert_with(|| Untaken {
            from: received,
            to: received,
            records: 0,
            why: why.clone(),
        });
        untaken.to = untaken.to.max(received);
        untaken.records += records;
        untaken.why = why.clone();
    }

    /// Notes that records were taken.
    pub(super) fn accept(&mut self, received: Instant) {
        if let Some(mut untaken) = self.untaken.take()
            && self.ended.len() < ENDED
        {
            untaken.to = untaken.to.max(received);
            self.ended.push(untaken);
        }
    }
}

/// What is known of a segment.
pub(super) struct Segment {
    pub(super) begin: Offset,
    pub(super) end: Offset,
    /// Durable bytes of its file.
    pub(super) length: u64,
    pub(super) received: Option<(i64, i64)>,
    pub(super) times: Option<(i64, i64)>,
    /// Kept for the segment that is written, and while not all event times are told and saved.
    pub(super) index: Option<Index>,
    /// Is there more in `index` than in its file.
    pub(super) unsaved: bool,
}

impl Segment {
    pub(super) fn new(begin: Offset) -> Self {
        Self {
            begin,
            end: begin,
            length: 0,
            received: None,
            times: None,
            index: Some(Index::default()),
            unsaved: false,
        }
    }

    /// A segment as an index tells of it.
    pub(super) fn of(begin: Offset, index: Index, unsaved: bool) -> Self {
        Self {
            begin,
            end: index.entries.last().map_or(begin, |entry| entry.end),
            length: index.length,
            received: index.received(),
            times: index.times(),
            unsaved,
            index: Some(index),
        }
    }

    pub(super) fn add(&mut self, found: &Found) {
        self.end = found.header.end();
        self.length = found.position + found.header.length();
        if let Some(index) = &mut self.index {
            index.add(found);
            self.received = index.entries.last().map(|last| {
                let known = self.received.unwrap_or(last.received);
                (known.0.min(last.received.0), known.1.max(last.received.1))
            });
            self.times = None;
            self.unsaved = true;
        }
    }
}

impl Shared {
    pub(super) fn new(folder: PathBuf, state: State, read_only: bool) -> Self {
        Self {
            folder,
            state: Mutex::new(state),
            grown: Condvar::new(),
            subscribers: Mutex::default(),
            read_only,
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn subscribe(&self, sender: Sender<()>) {
        self.subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(sender);
    }

    /// Tells all who wait that there is more.
    pub(super) fn tell(&self) {
        self.grown.notify_all();
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        // A full channel holds a message already.
        subscribers.retain(|sender| {
            !matches!(
                sender.try_send(()),
                Err(crossbeam_channel::TrySendError::Disconnected(()))
            )
        });
    }

    /// Waits until the log ends behind an offset, at most so long.
    pub(super) fn wait(&self, offset: Offset, timeout: Duration) -> bool {
        let deadline = Moment::now() + timeout;
        let mut state = self.state();
        while state.end <= offset {
            let left = deadline.saturating_duration_since(Moment::now());
            if left.is_zero() {
                return false;
            }
            if self.read_only {
                drop(state);
                std::thread::sleep(left.min(POLLED_EVERY));
                // What cannot be read now may be later.
                self.refresh().ok();
                state = self.state();
            } else {
                let waited = self.grown.wait_timeout(state, left);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        true
    }

    /// Looks at what another process wrote and removed.
    pub(super) fn refresh(&self) -> Result<(), StoreError> {
        let listed = segment::list(&self.folder)?;
        let mut state = self.state();
        let first = listed.first().map_or(state.end, |(begin, _)| *begin);
        while state
            .segments
            .front()
            .is_some_and(|segment| segment.begin < first)
        {
            state.segments.pop_front();
        }
        for (begin, length) in listed {
            let known = state.segments.iter().position(|segment| segment.begin == begin);
            let place = match known {
                Some(place) => place,
                None => {
                    let segment = match Index::load(&self.folder, begin) {
                        Some(index) if index.length <= length => Segment::of(begin, index, false),
                        _ => Segment::new(begin),
                    };
                    state.segments.push_back(segment);
                    state.segments.len() - 1
                }
            };
            let Some(segment) = state.segments.get_mut(place) else {
                continue;
            };
            if segment.length < length {
                let mut file = SegmentFile::open(&self.folder, begin)?;
                // What was written in part is no damage yet, so only what follows on is taken.
                let mut position = segment.length;
                while let At::Good(found) = file.info(position, length)? {
                    position += found.header.length();
                    segment.add(&found);
                }
                segment.unsaved = false;
            }
        }
        // Behind damage that a reader cannot tell from a frame being written, a later segment shows that there is more.
        state.end = state
            .segments
            .back()
            .map_or(state.end, |last| last.end.max(last.begin));
        Ok(())
    }

    /// The index of the segment that begins at an offset.
    pub(super) fn index_of(&self, begin: Offset) -> Result<Index, StoreError> {
        let length = {
            let state = self.state();
            let segment = state.segments.iter().find(|segment| segment.begin == begin);
            match segment {
                Some(Segment {
                    index: Some(index), ..
                }) => return Ok(index.clone()),
                Some(segment) => segment.length,
                None => return Err(removed(begin..begin)),
            }
        };
        if let Some(index) = Index::load(&self.folder, begin).filter(|index| index.length == length) {
            return Ok(index);
        }
        let mut file = SegmentFile::open(&self.folder, begin)?;
        let (index, _) = rebuild(&mut file, begin)?;
        Ok(index)
    }

    /// Where to begin to read a segment for a block at an offset.
    pub(super) fn position(&self, begin: Offset, offset: Offset) -> Result<u64, StoreError> {
        let known = {
            let state = self.state();
            let place = state
                .segments
                .binary_search_by_key(&begin, |segment| segment.begin);
            let segment = place.ok().and_then(|place| state.segments.get(place));
            segment
                .and_then(|segment| segment.index.as_ref())
                .map(|index| index.position(offset))
        };
        match known {
            Some(position) => Ok(position),
            None => Ok(self.index_of(begin)?.position(offset)),
        }
    }

    /// Notes event times of a block.
    pub(super) fn note(&self, block: &Range<Offset>, times: Option<(Instant, Instant)>) {
        let mut state = self.state();
        // Blocks that are told of are near the end as a rule.
        let Some(segment) = state
            .segments
            .iter_mut()
            .rev()
            .find(|segment| segment.begin <= block.start)
        else {
            return;
        };
        if segment.index.is_none() {
            if segment.times.is_some() {
                // All of it was told before.
                return;
            }
            segment.index =
                Index::load(&self.folder, segment.begin).filter(|index| index.length == segment.length);
        }
        if let Some(index) = &mut segment.index {
            index.tell(block, times);
            segment.unsaved = true;
        }
    }

    /// Writes indexes that changed beside their segments, and forgets those that need not be at hand.
    pub(super) fn save_indexes(&self) -> Result<(), StoreError> {
        let mut outcome = Ok(());
        let begins: Vec<Offset> = self
            .state()
            .segments
            .iter()
            .map(|segment| segment.begin)
            .collect();
        let last = begins.last().copied();
        for begin in begins {
            // A copy is written, so that nobody waits for the disk.
            let copy = {
                let mut state = self.state();
                let Some(segment) = state.segments.iter_mut().find(|segment| segment.begin == begin) else {
                    continue;
                };
                let unsaved = std::mem::take(&mut segment.unsaved);
                segment.index.clone().filter(|_| unsaved)
            };
            if let Some(index) = &copy
                && let Err(error) = index.save(&self.folder, begin)
            {
                outcome = Err(error);
                if let Some(segment) = self
                    .state()
                    .segments
                    .iter_mut()
                    .find(|segment| segment.begin == begin)
                {
                    segment.unsaved = true;
                }
                continue;
            }
            let mut state = self.state();
            if let Some(segment) = state.segments.iter_mut().find(|segment| segment.begin == begin)
                && Some(begin) != last
                && !segment.unsaved
            {
                segment.times = segment.index.as_ref().map_or(segment.times, Index::times);
                segment.index = None;
            }
        }
        outcome
    }

    /// Records of streams in whole blocks between two offsets.
    pub(super) fn counts(&self, offsets: &Range<Offset>) -> Result<Vec<StreamCount>, StoreError> {
        let segments: Vec<(Offset, Offset, u64)> = {
            let state = self.state();
            let within = state
                .segments
                .iter()
                .filter(|one| one.begin < offsets.end && offsets.start < one.end);
            within.map(|one| (one.begin, one.end, one.length)).collect()
        };
        let mut sums: std::collections::BTreeMap<String, StreamCount> = std::collections::BTreeMap::new();
        let mut add = |stream: &str, records: u64, bytes: u64| {
            let sum = sums.entry(stream.to_owned()).or_insert_with(|| StreamCount {
                stream: stream.to_owned(),
                ..StreamCount::default()
            });
            sum.records += records;
            sum.bytes += bytes;
        };
        for (begin, end, length) in segments {
            if offsets.start <= begin && end <= offsets.end {
                for count in self.index_of(begin)?.streams {
                    add(&count.stream, count.records, count.bytes);
                }
                continue;
            }
            let mut file = SegmentFile::open(&self.folder, begin)?;
            let position = self.index_of(begin)?.position(offsets.start);
            let scan = Scan::of(&mut file, position, begin, false)?;
            for found in scan.frames.iter().filter(|found| found.position < length) {
                let mut offset = found.header.offset;
                for info in &found.infos {
                    let behind = offset.saturating_add(info.span());
                    if offset >= offsets.start && behind <= offsets.end {
                        add(&info.stream, info.records.into(), info.bytes.into());
                    }
                    offset = behind;
                }
            }
        }
        Ok(sums.into_values().collect())
    }

    pub(super) fn oldest(&self) -> Option<Instant> {
        let state = self.state();
        let first = state.segments.iter().find_map(|segment| segment.received)?;
        Some(from_nanos(first.0))
    }
}

/// Makes the index of a segment from its frames, and tells what of it cannot be read.
pub(super) fn rebuild(file: &mut SegmentFile, begin: Offset) -> Result<(Index, Vec<Damage>), StoreError> {
    let scan = Scan::of(file, 0, begin, false)?;
    let mut index = Index::default();
    for found in &scan.frames {
        index.add(found);
    }
    Ok((index, damages(scan.damaged)))
}

pub(super) fn damages(ranges: Vec<Range<Offset>>) -> Vec<Damage> {
    let why = GapReason::Damaged;
    ranges
        .into_iter()
        .map(|offsets| Damage { offsets, why })
        .collect()
}

pub(super) fn removed(offsets: Range<Offset>) -> StoreError {
    StoreError::Gap {
        from: offsets.start,
        to: offsets.end,
        why: GapReason::Removed,
    }
}

/// A handle that several hold.
pub(super) type Handle = Arc<Shared>;
