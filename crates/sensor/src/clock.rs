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

/// When the machine was started, by what the wall clock shows now, in nanoseconds from 1970: it changes where somebody sets that clock.
pub(crate) fn boot() -> i64 {
    i64::try_from(Wall::now().goal).unwrap_or(i64::MAX)
}

/// Processor time that the calling thread has used.
pub(crate) fn thread_used() -> Duration {
    Duration::from_nanos(nanoseconds(clock_gettime(ClockId::ThreadCPUTime)))
}

/// What is told of moments that are counted since boot: the time of the wall clock, which never runs backwards and hardly jumps.
///
/// Rules compare times of events, so a wall clock that somebody sets must neither turn the order of two events around nor stretch what lies
/// between them. A step of up to ten seconds is therefore made up for slowly, by a tenth of the time that passes; a larger one, as after
/// a start without a clock, is followed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wall {
    /// Since when `goal` is known.
    since: SinceBoot,
    /// Nanoseconds from 1970 to boot, as they were told then.
    boot: i128,
    /// The same as the wall clock has it.
    goal: i128,
}

/// The two clocks cannot be read at once: by less than this the wall clock was not stepped, in nanoseconds.
const STEP: u128 = 500_000;

/// A step beyond this is followed at once.
const LEAP: u128 = 10_000_000_000;

/// A step is made up for by so many-th a part of the time that passes.
const PART: i128 = 10;

impl Wall {
    /// As the clocks are now.
    pub(crate) fn now() -> Self {
        let time = clock_gettime(ClockId::Realtime);
        Self::at(time, since_boot())
    }

    /// With what the clocks show now.
    pub(crate) fn followed(self) -> Self {
        self.or_if_stepped(Self::now())
    }

    fn or_if_stepped(self, now: Self) -> Self {
        if now.goal.abs_diff(self.goal) <= STEP {
            return self;
        }
        let told = self.boot_of(now.since);
        let boot = if now.goal.abs_diff(told) <= LEAP {
            told
        } else {
            now.goal
        };
        Self { boot, ..now }
    }

    fn at(time: Timespec, since: SinceBoot) -> Self {
        let wall = i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec);
        let boot = wall - i128::from(since.0);
        Self {
            since,
            boot,
            goal: boot,
        }
    }

    /// Nanoseconds from 1970 to boot, as they are told of a moment.
    fn boot_of(self, moment: SinceBoot) -> i128 {
        let most = i128::from(moment.0.saturating_sub(self.since.0)) / PART;
        self.boot + (self.goal - self.boot).clamp(-most, most)
    }

    /// The moment at which the wall clock, as it is now, showed so many milliseconds since 1970; boot, if that was before.
    fn when(self, millis: u64) -> SinceBoot {
        let since = i128::from(millis) * 1_000_000 - self.goal;
        SinceBoot(u64::try_from(since.max(0)).unwrap_or(u64::MAX))
    }

    /// Nanoseconds since 1970 at a moment.
    pub(crate) fn of(self, moment: SinceBoot) -> i128 {
        self.boot_of(moment) + i128::from(moment.0)
    }
}

/// Moments of which a source tells by the wall clock.
#[derive(Debug)]
pub(crate) struct Stamped {
    wall: Wall,
    /// As the wall clock was before it was stepped: what was told before that may still come.
    before: Option<Wall>,
    /// Since when everything comes that was not there before.
    from: SinceBoot,
}

/// How long after it happened something may be told, in nanoseconds.
const DELAY: u64 = 500_000_000;

/// How far the clock of stamps is behind others: it may go on in ticks of the slowest kernels, in nanoseconds.
const COARSE: u64 = 20_000_000;

impl Stamped {
    /// From now on.
    pub(crate) fn now() -> Self {
        Self {
            wall: Wall::now(),
            before: None,
            from: since_boot(),
        }
    }

    /// Looks at the clocks before something is read; everything that happened until `from` has been.
    pub(crate) fn look(&mut self, from: SinceBoot) {
        self.looked(Wall::now(), from);
    }

    fn looked(&mut self, now: Wall, from: SinceBoot) {
        self.from = from;
        if now.goal.abs_diff(self.wall.goal) > STEP {
            self.before = Some(self.wall);
            self.wall = now;
        }
    }

    /// When the wall clock showed so many milliseconds since 1970, as far as it can have been: `now` is later.
    pub(crate) fn when(&self, millis: u64, now: SinceBoot) -> SinceBoot {
        let can_be = |moment: &SinceBoot| {
            moment.0.saturating_add(DELAY) >= self.from.0 && moment.0 <= now.0.saturating_add(COARSE)
        };
        let told = self.wall.when(millis);
        let before = || self.before.map(|before| before.when(millis)).filter(can_be);
        let moment = Some(told).filter(can_be).or_else(before).unwrap_or(told);
        moment.min(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// The wall clock shows so many seconds since boot and so many more.
    fn ahead(seconds: i64, now: u64) -> Wall {
        let time = Timespec {
            tv_sec: 1_700_000_000 + seconds + i64::try_from(now / SECOND).unwrap(),
            tv_nsec: i64::try_from(now % SECOND).unwrap(),
        };
        Wall::at(time, SinceBoot(now))
    }

    /// What is told of a moment, in nanoseconds beyond what an unstepped clock shows.
    fn told(wall: Wall, moment: u64) -> i128 {
        wall.of(SinceBoot(moment)) - 1_700_000_000_000_000_000 - i128::from(moment)
    }

    #[test]
    fn reading_the_clocks_a_little_apart_is_no_step() {
        let before = ahead(0, 5 * SECOND);
        let later = Wall::at(
            Timespec {
                tv_sec: 1_700_000_006,
                tv_nsec: 400,
            },
            SinceBoot(6 * SECOND),
        );
        assert_eq!(told(before.or_if_stepped(later), 6 * SECOND), 0);
    }

    #[test]
    fn a_small_step_turns_no_order_around_and_is_made_up_for() {
        for step in [-5, 5] {
            let mut wall = ahead(0, 100 * SECOND);
            let mut last = i128::MIN;
            for tenth in 1_000..1_700 {
                let now = tenth * SECOND / 10;
                wall = wall.or_if_stepped(ahead(step, now));
                // Moments a little before and behind, as they are written.
                for moment in [now - 5_000_000, now, now + 5_000_000] {
                    let time = wall.of(SinceBoot(moment));
                    assert!(time > last, "{step} {tenth}");
                    last = time;
                }
            }
            let second = i128::from(SECOND);
            assert_eq!(told(wall, 100 * SECOND), 0, "{step}");
            assert_eq!(
                told(wall, 110 * SECOND),
                second * i128::from(step.signum()),
                "{step}"
            );
            assert_eq!(told(wall, 170 * SECOND), second * i128::from(step), "{step}");
        }
    }

    #[test]
    fn a_step_forth_and_back_leaves_hardly_anything() {
        let there = ahead(0, 100 * SECOND).or_if_stepped(ahead(4, 100 * SECOND));
        let back = there.or_if_stepped(ahead(0, 102 * SECOND));
        assert_eq!(told(back, 102 * SECOND), i128::from(SECOND) / 5);
        assert_eq!(told(back, 104 * SECOND), 0);
        assert_eq!(told(back, 200 * SECOND), 0);
    }

    #[test]
    fn a_clock_that_was_quite_wrong_is_followed_at_once() {
        let right = ahead(-100_000_000, 100 * SECOND).or_if_stepped(ahead(0, 101 * SECOND));
        assert_eq!(told(right, 101 * SECOND), 0);
    }

    #[test]
    fn stamps_of_before_and_after_a_step_are_told_apart() {
        let stamp = |seconds: u64, milli: u64| (1_700_000_000 + seconds) * 1_000 + milli;
        let moment = |milli: u64| SinceBoot(100 * SECOND + milli * 1_000_000);
        for (step, shown) in [(3_i64, 103), (-3, 97)] {
            let mut stamped = Stamped {
                wall: ahead(0, 90 * SECOND),
                before: None,
                from: SinceBoot(90 * SECOND),
            };
            // Read at 100.2 s: stepped at 100.1 s.
            stamped.looked(ahead(step, 100 * SECOND + SECOND / 5), moment(0));
            assert_eq!(stamped.when(stamp(100, 50), moment(200)), moment(50), "{step}");
            assert_eq!(
                stamped.when(stamp(shown, 150), moment(200)),
                moment(150),
                "{step}"
            );
            // A call that began long ago and took long: nobody knows better.
            assert_eq!(
                stamped.when(stamp(shown - 60, 0), moment(200)),
                SinceBoot(40 * SECOND)
            );
            // Nothing happens later than it is read.
            assert_eq!(stamped.when(stamp(shown, 210), moment(200)), moment(200));
        }
        // A clock that is before boot, as far as it knows.
        let stamped = Stamped::now();
        assert_eq!(stamped.when(0, SinceBoot(SECOND)), SinceBoot(0));
    }
}
