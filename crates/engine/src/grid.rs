//! The grid of intervals at whose ends first-seen queries and aggregates are evaluated.

use neph_event::Instant;

const NANOS_PER_MILLI: u64 = 1_000_000;

/// Intervals of one length from the epoch on, in milliseconds. An interval goes by its start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    interval: i64,
}

impl Grid {
    /// A grid of intervals of so many nanoseconds, rounded down to milliseconds, at least one.
    pub(crate) fn new(nanos: u64) -> Self {
        Self {
            interval: millis(nanos).max(1),
        }
    }

    /// Length of an interval.
    pub(crate) fn interval(self) -> i64 {
        self.interval
    }

    /// Start of the interval that the time lies in.
    pub(crate) fn start(self, millis: i64) -> i64 {
        millis.div_euclid(self.interval).saturating_mul(self.interval)
    }
}

/// Whole milliseconds of so many nanoseconds.
pub(crate) fn millis(nanos: u64) -> i64 {
    i64::try_from(nanos / NANOS_PER_MILLI).unwrap_or(i64::MAX)
}

/// The window of these bounds.
pub(crate) fn instants(from: i64, to: i64) -> (Instant, Instant) {
    (Instant::from_millis(from), Instant::from_millis(to))
}
