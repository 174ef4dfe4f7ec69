//! Clocks: since boot, by the wall, and of what a thread has used.

use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::observation::SinceBoot;

/// Nanoseconds of a clock.
fn nanoseconds(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let rest = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

/// Now, since boot.
pub(crate) fn since_boot() -> SinceBoot {
    SinceBoot(nanoseconds(clock_gettime(ClockId::Boottime)))
}

/// How far the clock since boot is ahead of the monotonic one, which does not count sleep: some sources tell times of that one.
pub(crate) fn slept() -> u64 {
    let monotonic = nanoseconds(clock_gettime(ClockId::Monotonic));
    since_boot().0.saturating_sub(monotonic)
}

/// Processor time that the calling thread has used.
pub(crate) fn thread_used() -> Duration {
    Duration::from_nanos(nanoseconds(clock_gettime(ClockId::ThreadCPUTime)))
}

/// What the wall clock shows at moments that are counted since boot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wall {
    /// Nanoseconds since 1970 at boot, by the wall clock as it is now.
    boot: i128,
}

impl Wall {
    /// As the clocks are now.
    pub(crate) fn now() -> Self {
        let time = clock_gettime(ClockId::Realtime);
        Self::at(time, since_boot())
    }

    fn at(time: Timespec, since_boot: SinceBoot) -> Self {
        let wall = i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec);
        Self {
            boot: wall - i128::from(since_boot.0),
        }
    }

    /// Nanoseconds since 1970 at a moment.
    pub(crate) fn of(self, moment: SinceBoot) -> i128 {
        self.boot + i128::from(moment.0)
    }
}
