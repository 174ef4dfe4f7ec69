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

    /// As the clocks are now, if that differs from this by more than the two can be read apart: else what is told of a moment would
    /// differ by a few nanoseconds each time.
    pub(crate) fn followed(self) -> Self {
        self.or_if_stepped(Self::now())
    }

    fn or_if_stepped(self, now: Self) -> Self {
        const STEP: u128 = 500_000;
        if now.boot.abs_diff(self.boot) > STEP {
            now
        } else {
            self
        }
    }

    fn at(time: Timespec, since_boot: SinceBoot) -> Self {
        let wall = i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec);
        Self {
            boot: wall - i128::from(since_boot.0),
        }
    }

    /// The moment at which the wall clock, as it is now, showed so many milliseconds since 1970; boot, if that was before.
    pub(crate) fn when(self, millis: u64) -> SinceBoot {
        let since = i128::from(millis) * 1_000_000 - self.boot;
        SinceBoot(u64::try_from(since.max(0)).unwrap_or(u64::MAX))
    }

    /// Nanoseconds since 1970 at a moment.
    pub(crate) fn of(self, moment: SinceBoot) -> i128 {
        self.boot + i128::from(moment.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_is_followed_when_it_is_stepped_and_not_when_it_is_read_later() {
        let at = |seconds, nanoseconds, boot| {
            let time = Timespec {
                tv_sec: seconds,
                tv_nsec: nanoseconds,
            };
            Wall::at(time, SinceBoot(boot))
        };
        let before = at(1_700_000_000, 0, 5_000_000_000);
        assert_eq!(before.of(SinceBoot(6_000_000_000)), 1_700_000_001_000_000_000);
        assert_eq!(before.when(1_700_000_001_000), SinceBoot(6_000_000_000));
        let late = before.or_if_stepped(at(1_700_000_001, 400, 6_000_000_000));
        assert_eq!(late.of(SinceBoot(0)), before.of(SinceBoot(0)));
        let back = before.or_if_stepped(at(1_600_000_000, 0, 6_000_000_000));
        assert_eq!(back.of(SinceBoot(6_000_000_000)), 1_600_000_000_000_000_000);
        // A clock that is before boot, as far as it knows.
        assert_eq!(before.when(0), SinceBoot(0));
    }
}
