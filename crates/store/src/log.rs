//! The event log: records as they were received, in the order in which they came.
//!
//! A log is a folder of segments. A segment is a file of frames; a frame holds blocks that became durable together; a block is
//! what one [`Batch`] became. Everything in the log has an [`Offset`]. See `docs/store.md` for the form on disk.
//!
//! Appending hands blocks to one thread, which writes all that wait and syncs once for all of them; meanwhile more gather. So
//! one caller waits for one sync, and a thousand callers share it.

mod blocks;
mod frame;
mod index;
mod open;
mod recent;
mod retention;
mod segment;
mod shared;
mod writer;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Receiver;
use neph_event::Instant;

use self::frame::BlockInfo;
use self::shared::Handle;
use self::writer::Writer;
use crate::database::to_nanos;
use crate::{GapReason, StoreError};

pub use blocks::Blocks;

/// A place in the log: the number of bytes of records before it, since the log began. A block without records counts as one
/// byte, so that no two blocks have the same offset. Offsets are never used twice, also after a loss.
pub type Offset = u64;

/// Records that came together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Where they come from, for example `bulk/filebeat-8.x`, `syslog/10.0.0.5` or `file//var/log/audit/audit.log`. At most
    /// 1,024 bytes are kept. One stream is what has one order of time and one silence.
    pub stream: Arc<str>,
    /// When they came.
    pub received: Instant,
    /// The records. None at all makes a block that only tells that time went on.
    pub records: Records,
}

/// Records, one behind the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// Their bytes; any bytes.
    pub bytes: Vec<u8>,
    /// Where each ends; rising, the last one the length of `bytes`.
    pub ends: Vec<u32>,
}

impl Records {
    /// Adds one record. Does it not fit (4 GiB), nothing is added and the answer is `false`.
    pub fn push(&mut self, record: &[u8]) -> bool {
        let Ok(end) = u32::try_from(self.bytes.len().saturating_add(record.len())) else {
            return false;
        };
        self.bytes.extend_from_slice(record);
        self.ends.push(end);
        true
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Are there none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The records, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let end = *end as usize;
            let record = self.bytes.get(start..end).unwrap_or_default();
            start = end;
            record
        })
    }
}

/// What a batch became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Offset of its first byte.
    pub offset: Offset,
    /// Where the records come from.
    pub stream: Arc<str>,
    /// When they came.
    pub received: Instant,
    /// The records.
    pub records: Records,
}

impl Block {
    /// The offset behind the block, where the next begins.
    pub fn end(&self) -> Offset {
        self.offset
            .saturating_add((self.records.bytes.len() as u64).max(1))
    }
}

/// Sizes and ages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes on disk after which a new segment is begun. Retention removes whole segments.
    pub segment_bytes: u64,
    /// Bytes on disk that the log may take. Retention removes the oldest segments; is all of it still needed, appending fails.
    pub max_bytes: u64,
    /// Bytes of the disk that stay free: below, retention removes the oldest segments, and appending fails.
    pub min_free_bytes: u64,
    /// After what time of receipt a segment is removed.
    pub max_age: Duration,
    /// Bytes that may wait for the disk, before appending waits too.
    pub max_waiting_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            segment_bytes: 128 << 20,
            max_bytes: 50 << 30,
            min_free_bytes: 1 << 30,
            max_age: Duration::from_secs(7 * 24 * 3600),
            max_waiting_bytes: 256 << 20,
        }
    }
}

/// What was found when a log was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogRecovery {
    /// Frames at the end of which not everything was written, by a crash: cut off. None of it was acknowledged.
    pub torn: Option<TornTail>,
    /// Stretches that cannot be read.
    pub damaged: Vec<Damage>,
    /// Segments whose index was made anew.
    pub reindexed: u64,
}

/// What was cut off at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The file.
    pub path: PathBuf,
    /// Bytes on disk that it lost.
    pub bytes: u64,
    /// The offset that would have been next.
    pub offset: Offset,
}

/// A stretch of the log that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The offsets that are missing.
    pub offsets: Range<Offset>,
    /// Why.
    pub why: GapReason,
}

/// What retention removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Segments.
    pub segments: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Where the log begins now.
    pub begin: Offset,
}

/// A stretch of time in which the log took nothing.
#[derive(Clone, Debug)]
pub struct Untaken {
    /// When the first batch came that was not taken.
    pub from: Instant,
    /// When the last one came; once it is over, when one came that was taken.
    pub to: Instant,
    /// Records that were not taken; those that were sent again count each time.
    pub records: u64,
    /// What the last answer was.
    pub why: StoreError,
}

/// How many records of a stream are in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StreamCount {
    /// The stream.
    pub stream: String,
    /// Records.
    pub records: u64,
    /// Bytes of records.
    pub bytes: u64,
}

/// The log. Dropping it writes what still waits.
pub struct EventLog {
    shared: Handle,
    /// `None` when opened to be read.
    writer: Option<Writer>,
    limits: Limits,
}

impl EventLog {
    /// Opens the log of a folder to append to it. One process at a time: [`Store::open`](crate::Store::open) sees to that. The
    /// next offset is at least `at_least`, so that none is used twice even where files are gone.
    ///
    /// # Errors
    ///
    /// The folder or its files cannot be read or mended.
    pub fn open(folder: &Path, limits: &Limits, at_least: Offset) -> Result<(Self, LogRecovery), StoreError> {
        open::open(folder, limits, at_least)
    }

    /// Opens the log of a folder to read it, beside the process that writes it or when there is none.
    ///
    /// # Errors
    ///
    /// The folder cannot be read.
    pub fn open_read_only(folder: &Path) -> Result<Self, StoreError> {
        open::open_read_only(folder)
    }

    /// Appends a batch and waits until it is durable. Compresses on the calling thread. Many callers share one sync.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] when there is no room, [`StoreError::Refused`] for a batch that can never be kept,
    /// [`StoreError::Io`]. After an error nothing of the batch was acknowledged; it may be sent again.
    pub fn append(&self, batch: Batch) -> Result<Offset, StoreError> {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        self.hand_over(batch, false, move |result| {
            // Who no longer waits needs no answer.
            sender.send(result).ok();
        });
        receiver.recv().unwrap_or(Err(CLOSED))
    }

    /// The same without waiting for the disk: `done` is called with the answer, from the log's thread, and must be quick. Where
    /// too much waits already it is called at once with [`StoreError::Busy`]. Made for asynchronous callers.
    pub fn append_then(&self, batch: Batch, done: impl FnOnce(Result<Offset, StoreError>) + Send + 'static) {
        self.hand_over(batch, true, done);
    }

    fn hand_over(
        &self,
        batch: Batch,
        now: bool,
        done: impl FnOnce(Result<Offset, StoreError>) + Send + 'static,
    ) {
        let Some(writer) = &self.writer else {
            return done(Err(StoreError::ReadOnly {
                why: "it was opened to be read",
            }));
        };
        match checked(&batch) {
            Ok(info) => writer.append(info, batch.records, now, Box::new(done)),
            Err(why) => done(Err(StoreError::Refused { why })),
        }
    }

    /// Blocks from an offset on; an offset inside a block begins with that block. Ends at the end of the log, and goes on when
    /// more was appended: see [`Blocks::wait`]. Before [`EventLog::begin`] there is a gap.
    pub fn blocks(&self, from: Offset) -> Blocks {
        Blocks::new(self.shared.clone(), from)
    }

    /// Blocks that may hold events of these times and streams, up to the end that the log has now. Whole stretches of which
    /// it is known that they hold none are not read; a block of other times may still come, one of another stream not.
    pub fn blocks_between(&self, times: Range<Instant>, streams: Option<&[&str]>) -> Blocks {
        let streams = streams.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        let times = to_nanos(times.start)..to_nanos(times.end);
        Blocks::search(self.shared.clone(), times, streams)
    }

    /// Notes the least and greatest event time of a block, so that searches can leave it out. To be called in the order of the
    /// blocks; what was left out is never left out by searches. `None` if no event of it has a time; then it is found by when
    /// it was received. Has only a part of its events a time, the time of receipt belongs to the two.
    pub fn note_times(&self, block: Range<Offset>, times: Option<(Instant, Instant)>) {
        self.shared.note(&block, times);
    }

    /// Writes what was noted of event times beside the segments. Done as well when a segment is full, when retention runs, and
    /// when the log is dropped; what a crash loses of it makes searches slower, not wrong.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] and [`StoreError::Io`].
    pub fn save_indexes(&self) -> Result<(), StoreError> {
        match self.shared.read_only {
            true => Ok(()),
            false => self.shared.save_indexes(),
        }
    }

    /// Where the oldest block begins.
    pub fn begin(&self) -> Offset {
        let state = self.shared.state();
        state.segments.front().map_or(state.end, |first| first.begin)
    }

    /// Behind the newest durable block. Opened to be read: as of the last look at the folder, which [`Blocks::wait`] and
    /// [`EventLog::refresh`] take.
    pub fn end(&self) -> Offset {
        self.shared.state().end
    }

    /// Opened to be read: looks at what another process wrote since.
    ///
    /// # Errors
    ///
    /// The folder cannot be read.
    pub fn refresh(&self) -> Result<(), StoreError> {
        match self.shared.read_only {
            true => self.shared.refresh(),
            false => Ok(()),
        }
    }

    /// Bytes on disk.
    pub fn stored_bytes(&self) -> u64 {
        self.shared
            .state()
            .segments
            .iter()
            .map(|segment| segment.length)
            .sum()
    }

    /// Since when nothing is taken, and why: when the last append failed for want of room, or since the disk failed.
    pub fn untaken(&self) -> Option<Untaken> {
        self.shared.state().untaken.clone()
    }

    /// Notes that a batch was not given to the log, as if the log had refused it.
    pub fn note_untaken(&self, batch: &Batch, why: &StoreError) {
        let records = batch.records.len() as u64;
        self.shared.state().refuse(batch.received, records, why);
    }

    /// Stretches in which nothing was taken and that are over, each once.
    pub fn take_ended(&self) -> Vec<Untaken> {
        std::mem::take(&mut self.shared.state().ended)
    }

    /// When the oldest block that is kept was received.
    pub fn oldest(&self) -> Option<Instant> {
        self.shared.oldest()
    }

    /// The limits that it was opened with.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Bytes that the disk has left, if the system tells.
    pub fn free_bytes(&self) -> Option<u64> {
        writer::free_bytes(&self.shared.folder)
    }

    /// A channel that holds a message after every append since it was last read: for those who wait for several things.
    pub fn subscribe(&self) -> Receiver<()> {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        self.shared.subscribe(sender);
        receiver
    }

    /// Records of each stream between two offsets, by whole blocks.
    ///
    /// # Errors
    ///
    /// The log cannot be read.
    pub fn counts(&self, offsets: Range<Offset>) -> Result<Vec<StreamCount>, StoreError> {
        self.shared.counts(&offsets)
    }
}

impl Drop for EventLog {
    fn drop(&mut self) {
        // First all is written, then the index of all.
        if self.writer.take().is_some() {
            self.shared.save_indexes().ok();
        }
    }
}

const CLOSED: StoreError = StoreError::ReadOnly {
    why: "the event log is closing",
};

/// What a batch is, or why it is refused.
fn checked(batch: &Batch) -> Result<BlockInfo, String> {
    let Records { bytes, ends } = &batch.records;
    let taken = bytes.len().saturating_add(frame::lengths_size(&batch.records));
    if taken > frame::MAX_BATCH {
        return Err(format!(
            "{} records of {} bytes are more than the {} bytes that fit",
            ends.len(),
            bytes.len(),
            frame::MAX_BATCH
        ));
    }
    let rising = ends.is_sorted();
    let last = ends.last().map_or(0, |end| *end as usize);
    if !rising || last != bytes.len() {
        return Err("the ends of its records do not fit its bytes".to_owned());
    }
    Ok(BlockInfo {
        stream: shortened(&batch.stream),
        received: batch.received,
        records: u32::try_from(ends.len()).unwrap_or(u32::MAX),
        bytes: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
    })
}

fn shortened(stream: &Arc<str>) -> Arc<str> {
    match stream.len() <= frame::MAX_STREAM {
        true => stream.clone(),
        false => {
            let end = stream.floor_char_boundary(frame::MAX_STREAM);
            stream.get(..end).unwrap_or_default().into()
        }
    }
}
