//! The event log: records as they were received, in the order in which they came.
//!
//! A log is a folder of segments. A segment is a file of frames; a frame holds blocks that became durable together; a block is
//! what one [`Batch`] became. Everything in the log has an [`Offset`]. See `docs/store.md` for the form on disk.
//!
//! Appending hands blocks to one thread, which writes all that wait and syncs once for all of them; meanwhile more gather. So
//! one caller waits for one sync, and a thousand callers share it.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Receiver;
use neph_event::Instant;

use crate::{GapReason, StoreError};

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

/// The log.
pub struct EventLog {}

const UNBUILT: StoreError = StoreError::ReadOnly {
    why: "the log is not built",
};

impl EventLog {
    /// Appends a batch and waits until it is durable. Compresses on the calling thread. Many callers share one sync.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] when there is no room, [`StoreError::Refused`] for a batch that can never be kept,
    /// [`StoreError::Io`]. After an error nothing of the batch was acknowledged; it may be sent again.
    pub fn append(&self, batch: Batch) -> Result<Offset, StoreError> {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        self.append_then(batch, move |result| {
            sender.send(result).ok();
        });
        receiver.recv().unwrap_or(Err(UNBUILT))
    }

    /// The same without waiting: `done` is called with the answer, from the log's thread, and must be quick. Where too much
    /// waits already it is called at once with [`StoreError::Busy`]. Made for asynchronous callers.
    pub fn append_then(&self, _batch: Batch, done: impl FnOnce(Result<Offset, StoreError>) + Send + 'static) {
        done(Err(UNBUILT));
    }

    /// Blocks from an offset on; an offset inside a block begins with that block. Ends at the end of the log, and goes on when
    /// more was appended: see [`Blocks::wait`].
    pub fn blocks(&self, _from: Offset) -> Blocks {
        Blocks {}
    }

    /// Blocks that may hold events of these times and streams, up to the end that the log has now. Whole stretches of which
    /// it is known that they hold none are not read; a block may still hold others.
    pub fn blocks_between(&self, _times: Range<Instant>, _streams: Option<&[&str]>) -> Blocks {
        Blocks {}
    }

    /// Notes the least and greatest event time of a block, so that searches can leave it out. To be called in order; `None` if
    /// no event of it has a time, then it is found by when it was received.
    pub fn note_times(&self, _block: Range<Offset>, _times: Option<(Instant, Instant)>) {}

    /// Where the oldest block begins.
    pub fn begin(&self) -> Offset {
        0
    }

    /// Behind the newest durable block.
    pub fn end(&self) -> Offset {
        0
    }

    /// Bytes on disk.
    pub fn stored_bytes(&self) -> u64 {
        0
    }

    /// When the oldest block that is kept was received.
    pub fn oldest(&self) -> Option<Instant> {
        None
    }

    /// A channel that holds a message after every append since it was last read: for those who wait for several things.
    pub fn subscribe(&self) -> Receiver<()> {
        crossbeam_channel::bounded(1).1
    }

    /// Records of each stream between two offsets, by whole blocks.
    ///
    /// # Errors
    ///
    /// The log cannot be read.
    pub fn counts(&self, _offsets: Range<Offset>) -> Result<Vec<StreamCount>, StoreError> {
        Err(UNBUILT)
    }
}

/// Blocks in order. After an `Err` of [`StoreError::Gap`] it goes on behind the gap; after any other error it tries the same
/// place again. `None` means that the end is reached for now.
pub struct Blocks {}

impl Blocks {
    /// Waits until there is more, at most so long; `true` if there is.
    pub fn wait(&mut self, _timeout: Duration) -> bool {
        false
    }

    /// The offset of the next block.
    pub fn offset(&self) -> Offset {
        0
    }
}

impl Iterator for Blocks {
    type Item = Result<Block, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        None
    }
}

pub(crate) fn open_read_only(_folder: &Path) -> Result<EventLog, StoreError> {
    Ok(EventLog {})
}

pub(crate) fn open(
    _folder: &Path,
    _limits: &Limits,
    _at_least: Offset,
) -> Result<(EventLog, LogRecovery), StoreError> {
    Ok((EventLog {}, LogRecovery::default()))
}
