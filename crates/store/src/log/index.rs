//! The index of a segment: what stands where, in stretches of about a megabyte of records, so that searches can leave most
//! of a segment unread. It stands in a file beside the segment and is made anew where that is missing or damaged.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ahash::AHashMap;
use neph_event::Instant;
use serde::{Deserialize, Serialize};

use super::segment::Found;
use super::{Offset, StreamCount};
use crate::StoreError;
use crate::database::to_nanos;

/// Offsets that one entry spans at least, before the next begins.
const STRETCH: u64 = 1 << 20;
const MAGIC: &[u8; 8] = b"NEPHIDX1";
/// An index that is larger was not written by us.
const MAX_INDEX: usize = 256 << 20;

/// Frames that stand one behind the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Where the first frame stands in the file.
    pub(super) position: u64,
    pub(super) begin: Offset,
    pub(super) end: Offset,
    /// Numbers of its streams, in order.
    pub(super) streams: Vec<u32>,
    /// When its blocks were received, as nanoseconds: first and last.
    pub(super) received: (i64, i64),
    /// Least and greatest event time of the blocks that were told of.
    pub(super) times: Option<(i64, i64)>,
    /// The offset up to which event times were told.
    pub(super) told: Offset,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Index {
    /// Streams, with what the segment holds of each.
    pub(super) streams: Vec<StreamCount>,
    pub(super) entries: Vec<Entry>,
    /// Length of the segment's file that the index covers.
    pub(super) length: u64,
    /// Where each stream stands in `streams`; made when frames are added.
    #[serde(skip)]
    numbers: AHashMap<Arc<str>, u32>,
}

impl Index {
    /// Adds a frame behind the others.
    pub(super) fn add(&mut self, found: &Found) {
        let header = &found.header;
        let fits = self.entries.last().is_some_and(|last| {
            last.end == header.offset && last.end - last.begin < STRETCH && header.span < STRETCH
        });
        if !fits {
            self.entries.push(Entry {
                position: found.position,
                begin: header.offset,
                end: header.offset,
                streams: Vec::new(),
                received: (i64::MAX, i64::MIN),
                times: None,
                told: header.offset,
            });
        }
        self.length = found.position + header.length();
        let Some(entry) = self.entries.last_mut() else {
            return;
        };
        entry.end = header.end();
        for info in &found.infos {
            let number = *self.numbers.entry(info.stream.clone()).or_insert_with(|| {
                self.streams.push(StreamCount {
                    stream: info.stream.to_string(),
                    ..StreamCount::default()
                });
                self.streams.len() as u32 - 1
            });
            if let Some(count) = self.streams.get_mut(number as usize) {
                count.records += u64::from(info.records);
                count.bytes += u64::from(info.bytes);
            }
            if let Err(place) = entry.streams.binary_search(&number) {
                entry.streams.insert(place, number);
            }
            let received = to_nanos(info.received);
            entry.received = (entry.received.0.min(received), entry.received.1.max(received));
        }
    }

    /// Notes the event times of a block.
    pub(super) fn tell(&mut self, block: &Range<Offset>, times: Option<(Instant, Instant)>) {
        let place = self.entries.partition_point(|entry| entry.end <= block.start);
        let Some(entry) = self.entries.get_mut(place) else {
            return;
        };
        let (least, greatest) = match times {
            Some((least, greatest)) => (to_nanos(least), to_nanos(greatest)),
            None => entry.received,
        };
        let known = entry.times.unwrap_or((least, greatest));
        entry.times = Some((known.0.min(least), known.1.max(greatest)));
        if block.start <= entry.told {
            entry.told = entry.told.max(block.end);
        }
    }

    /// Is there nothing more to be told.
    pub(super) fn is_told(&self) -> bool {
        self.entries.iter().all(|entry| entry.told >= entry.end)
    }

    /// First and last receipt.
    pub(super) fn received(&self) -> Option<(i64, i64)> {
        let first = self.entries.iter().map(|entry| entry.received.0).min()?;
        let last = self.entries.iter().map(|entry| entry.received.1).max()?;
        Some((first, last))
    }

    /// Least and greatest event time, where all of it is told.
    pub(super) fn times(&self) -> Option<(i64, i64)> {
        let told = self
            .is_told()
            .then(|| self.entries.iter().filter_map(|entry| entry.times))?;
        told.reduce(|left, right| (left.0.min(right.0), left.1.max(right.1)))
    }

    /// Where to begin to read for a block at an offset.
    pub(super) fn position(&self, offset: Offset) -> u64 {
        let behind = self.entries.partition_point(|entry| entry.begin <= offset);
        let entry = behind.checked_sub(1).and_then(|place| self.entries.get(place));
        entry.map_or(0, |entry| entry.position)
    }

    /// Stretches that may hold events of these times and streams.
    pub(super) fn stretches(&self, times: Range<i64>, streams: Option<&[String]>) -> Vec<Range<Offset>> {
        let wanted: Option<Vec<u32>> = streams.map(|names| {
            let known = self.streams.iter().zip(0..);
            let wanted = known.filter(|(count, _)| names.contains(&count.stream));
            wanted.map(|(_, number)| number).collect()
        });
        let mut found: Vec<Range<Offset>> = Vec::new();
        for entry in &self.entries {
            let of_streams = wanted.as_ref().is_none_or(|wanted| {
                wanted
                    .iter()
                    .any(|number| entry.streams.binary_search(number).is_ok())
            });
            if !of_streams || !entry.may_hold(&times) {
                continue;
            }
            match found.last_mut() {
                Some(last) if last.end == entry.begin => last.end = entry.end,
                _ => found.push(entry.begin..entry.end),
            }
        }
        found
    }

    /// Takes over what another index of the same frames knows of event times.
    pub(super) fn adopt(&mut self, other: &Self) {
        for (entry, known) in self.entries.iter_mut().zip(&other.entries) {
            if (entry.position, entry.begin) == (known.position, known.begin) && known.end <= entry.end {
                entry.times = known.times;
                entry.told = known.told;
            }
        }
    }

    pub(super) fn save(&self, folder: &Path, begin: Offset) -> Result<(), StoreError> {
        let path = path(folder, begin);
        let failed = |error| StoreError::io("write", &path, error);
        let json = serde_json::to_vec(self).map_err(|error| failed(error.into()))?;
        let packed = zstd::bulk::compress(&json, 1).map_err(failed)?;
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&(json.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&packed).to_le_bytes());
        bytes.extend_from_slice(&packed);
        // Nothing is lost with an index, so it is not synced; the checksum tells whether it is whole.
        let beside = path.with_extension("part");
        fs::write(&beside, bytes).map_err(failed)?;
        fs::rename(&beside, &path).map_err(failed)
    }

    /// The index of the segment that begins at an offset, if its file is there and whole.
    pub(super) fn load(folder: &Path, begin: Offset) -> Option<Self> {
        let bytes = fs::read(path(folder, begin)).ok()?;
        let (length, rest) = bytes.strip_prefix(MAGIC.as_slice())?.split_first_chunk()?;
        let (sum, packed) = rest.split_first_chunk()?;
        if u32::from_le_bytes(*sum) != crc32fast::hash(packed) {
            return None;
        }
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let json = zstd::bulk::decompress(packed, length.min(MAX_INDEX)).ok()?;
        let mut index: Self = serde_json::from_slice(&json).ok()?;
        index.numbers = index
            .streams
            .iter()
            .zip(0..)
            .map(|(count, number)| (count.stream.as_str().into(), number))
            .collect();
        Some(index)
    }
}

impl Entry {
    /// May it hold an event of a time in the range. The ends of what nanoseconds can hold stand for everything beyond.
    fn may_hold(&self, times: &Range<i64>) -> bool {
        match self.times {
            Some((least, greatest)) if self.told >= self.end => greatest >= times.start && least <= times.end,
            _ => true,
        }
    }
}

pub(super) fn path(folder: &Path, begin: Offset) -> PathBuf {
    folder.join(format!("{begin:020}.idx"))
}
