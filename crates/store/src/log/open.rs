//! Opening a log: what a crash left is mended, and everything that was found is told.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use super::index::Index;
use super::segment::{self, Scan, SegmentFile};
use super::shared::{Segment, Shared, State, damages, rebuild};
use super::writer::Writer;
use super::{Damage, EventLog, Limits, LogRecovery, Offset, TornTail};
use crate::snapshots::sync_folder;
use crate::{GapReason, StoreError};

/// See [`EventLog::open`].
pub(super) fn open(
    folder: &Path,
    limits: &Limits,
    at_least: Offset,
) -> Result<(EventLog, LogRecovery), StoreError> {
    let mut recovery = LogRecovery::default();
    let mut state = State::default();
    let listed = segment::list(folder)?;
    let last = listed.len().checked_sub(1);
    for (place, (begin, length)) in listed.into_iter().enumerate() {
        let found = if Some(place) == last {
            open_last(folder, begin, &mut recovery)?
        } else {
            open_sealed(folder, begin, length, &mut recovery)?
        };
        if begin > state.end && place > 0 {
            note_gap(&mut recovery, state.end, begin);
        }
        state.end = found.end.max(begin);
        state.segments.push_back(found);
    }
    if state.end < at_least {
        note_gap(&mut recovery, state.end, at_least);
        state.end = at_least;
    }
    let needs_new = state.segments.back().is_none_or(|last| last.end != state.end);
    if needs_new {
        let path = segment::path(folder, state.end);
        File::create_new(&path).map_err(|error| StoreError::io("create", &path, error))?;
        sync_folder(folder)?;
        state.segments.push_back(Segment::new(state.end));
    }
    let shared = Arc::new(Shared::new(folder.to_owned(), state, false));
    let writer = Writer::start(shared.clone(), limits.clone())?;
    let log = EventLog {
        shared,
        writer: Some(writer),
        limits: limits.clone(),
    };
    Ok((log, recovery))
}

/// See [`EventLog::open_read_only`].
pub(super) fn open_read_only(folder: &Path) -> Result<EventLog, StoreError> {
    let shared = Arc::new(Shared::new(folder.to_owned(), State::default(), true));
    shared.refresh()?;
    Ok(EventLog {
        shared,
        writer: None,
        limits: Limits::default(),
    })
}

fn open_sealed(
    folder: &Path,
    begin: Offset,
    length: u64,
    recovery: &mut LogRecovery,
) -> Result<Segment, StoreError> {
    if let Some(index) = Index::load(folder, begin).filter(|index| index.length == length) {
        let mut segment = Segment::of(begin, index, false);
        if segment.times.is_some() {
            segment.index = None;
        }
        return Ok(segment);
    }
    let mut file = SegmentFile::open(folder, begin)?;
    let (mut index, damaged) = rebuild(&mut file, begin)?;
    if let Some(old) = Index::load(folder, begin) {
        index.adopt(&old);
    }
    // What stands behind the last frame cannot be read, but its room is taken.
    index.length = length;
    recovery.reindexed += 1;
    recovery.damaged.extend(damaged);
    Ok(Segment::of(begin, index, true))
}

/// Reads the segment that was written last, checks all of it, and cuts off what a crash left unfinished.
fn open_last(folder: &Path, begin: Offset, recovery: &mut LogRecovery) -> Result<Segment, StoreError> {
    let mut file = SegmentFile::open(folder, begin)?;
    let scan = Scan::of(&mut file, 0, begin, true)?;
    let mut index = Index::default();
    for found in &scan.frames {
        index.add(found);
    }
    let torn = scan.length - scan.good;
    if torn > 0 {
        let path = segment::path(folder, begin);
        let failed = |error| StoreError::io("cut", &path, error);
        let writable = File::options().write(true).open(&path).map_err(failed)?;
        writable.set_len(scan.good).map_err(failed)?;
        writable.sync_all().map_err(failed)?;
        recovery.torn = Some(TornTail {
            offset: index.entries.last().map_or(begin, |entry| entry.end),
            bytes: torn,
            path,
        });
    }
    if let Some(old) = Index::load(folder, begin) {
        index.adopt(&old);
    }
    recovery.damaged.extend(damages(scan.damaged));
    let mut segment = Segment::of(begin, index, true);
    segment.length = scan.good;
    Ok(segment)
}

fn note_gap(recovery: &mut LogRecovery, from: Offset, to: Offset) {
    recovery.damaged.push(Damage {
        offsets: from..to,
        why: GapReason::Removed,
    });
}
