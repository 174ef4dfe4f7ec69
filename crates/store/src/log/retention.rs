//! Removing old segments.

use std::fs;
use std::io;

use neph_event::Instant;

use super::{EventLog, Offset, Removed, StreamCount, index, segment};
use crate::StoreError;
use crate::database::to_nanos;
use crate::snapshots::sync_folder;

impl EventLog {
    /// The oldest segment, if it is to go: past its time, or there is no room for it, and nothing of it is needed.
    pub(crate) fn removable(
        &self,
        needed: Offset,
        now: Instant,
    ) -> Result<Option<(Offset, Vec<StreamCount>)>, StoreError> {
        let limits = &self.limits;
        let age = i128::try_from(limits.max_age.as_nanos()).unwrap_or(i128::MAX);
        let oldest = to_nanos(now.saturating_sub_nanos(age));
        let begin = {
            let state = self.shared.state();
            // The last one is written.
            let (Some(first), true) = (state.segments.front(), state.segments.len() > 1) else {
                return Ok(None);
            };
            if first.end > needed {
                return Ok(None);
            }
            let past = first.received.is_none_or(|(_, last)| last < oldest);
            let stored: u64 = state.segments.iter().map(|segment| segment.length).sum();
            let crowded = self
                .free_bytes()
                .is_some_and(|free| free < limits.min_free_bytes.saturating_add(limits.segment_bytes));
            if !past && stored <= limits.max_bytes && !crowded {
                return Ok(None);
            }
            first.begin
        };
        let counts = self.shared.index_of(begin)?.streams;
        Ok(Some((begin, counts)))
    }

    /// Removes the segments before an offset, whatever their age: for a log that only holds what is still to be brought away. The
    /// segment that is written stays.
    ///
    /// # Errors
    ///
    /// A file cannot be removed.
    pub fn forget_before(&self, offset: Offset) -> Result<Removed, StoreError> {
        let mut removed = Removed::default();
        loop {
            let oldest = {
                let state = self.shared.state();
                state
                    .segments
                    .front()
                    .filter(|first| state.segments.len() > 1 && first.end <= offset)
                    .map(|first| first.begin)
            };
            let Some(begin) = oldest else {
                removed.begin = self.begin();
                return Ok(removed);
            };
            self.remove(begin, &mut removed)?;
        }
    }

    /// Removes the oldest segment.
    pub(crate) fn remove(&self, begin: Offset, removed: &mut Removed) -> Result<(), StoreError> {
        let folder = &self.shared.folder;
        let path = segment::path(folder, begin);
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::io("remove", &path, error)),
        }
        fs::remove_file(index::path(folder, begin)).ok();
        let mut state = self.shared.state();
        if let Some(first) = state.segments.pop_front_if(|first| first.begin == begin) {
            removed.segments += 1;
            removed.bytes += first.length;
        }
        drop(state);
        sync_folder(folder)
    }
}
