//! How fast is asked, and how long is waited until what failed is tried again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// The first pause; each further one is twice as long.
const FIRST: Duration = Duration::from_millis(250);
/// No pause of our own is longer.
const LONGEST: Duration = Duration::from_secs(20);
/// Nobody is left alone for longer, whatever it asks for.
const LONGEST_ASKED: Duration = Duration::from_secs(120);
/// Between two requests of a lane is never more than this.
const WIDEST: Duration = Duration::from_secs(1);
/// The gap once a server has throttled.
const NARROWEST: Duration = Duration::from_millis(20);
/// Many requests under way are throttled at once; they slow the lane down once.
const ONCE_IN: Duration = Duration::from_millis(500);

/// Lanes: what is counted together by a server. Each has a gap between requests, which grows by a half when the server throttles and shrinks
/// by a tenth with each answer: where one of ten requests is throttled whatever the gap, it still shrinks.
#[derive(Debug)]
pub(crate) struct Paces {
    /// The gap that the user asks for.
    least: Duration,
    lanes: Mutex<HashMap<String, Lane>>,
}

#[derive(Clone, Copy, Debug)]
struct Lane {
    next: Instant,
    gap: Duration,
    slowed: Instant,
}

impl Paces {
    /// No more requests a second in any lane than so many; zero: as many as the server takes.
    pub(crate) fn new(rate: f64) -> Self {
        let least = match rate.is_finite() && rate > 0.0 {
            true => Duration::from_secs_f64((1.0 / rate).min(WIDEST.as_secs_f64())),
            false => Duration::ZERO,
        };
        Self {
            least,
            lanes: Mutex::new(HashMap::new()),
        }
    }

    /// Waits until it is this request's turn.
    pub(crate) fn wait(&self, lane: &str) {
        let now = Instant::now();
        let turn = self.with(lane, |lane| {
            let turn = lane.next.max(now);
            lane.next = turn + lane.gap;
            turn
        });
        let left = turn.saturating_duration_since(now);
        if !left.is_zero() {
            std::thread::sleep(left);
        }
    }

    /// The server throttled.
    pub(crate) fn slower(&self, lane: &str) {
        let now = Instant::now();
        self.with(lane, |lane| {
            if now.saturating_duration_since(lane.slowed) >= ONCE_IN || lane.gap.is_zero() {
                lane.gap = lane.gap.mul_f64(1.5).clamp(NARROWEST, WIDEST);
                lane.slowed = now;
            }
        });
    }

    /// The server answered.
    pub(crate) fn faster(&self, lane: &str) {
        let least = self.least;
        self.with(lane, |lane| {
            let smaller = lane.gap.mul_f64(0.9);
            // Below a millisecond a gap is none.
            lane.gap = if smaller < Duration::from_millis(1) {
                least
            } else {
                smaller.max(least)
            };
        });
    }

    fn with<T>(&self, name: &str, change: impl FnOnce(&mut Lane) -> T) -> T {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get_mut(name) {
            return change(lane);
        }
        let now = Instant::now();
        let lane = lanes.entry(name.to_owned()).or_insert(Lane {
            next: now,
            gap: self.least,
            slowed: now,
        });
        change(lane)
    }
}

/// The pause behind so many failures in a row, by chance between half of it and all of it; longer if the server asks for it.
pub(crate) fn pause(failures: u32, asked: Option<Duration>) -> Duration {
    let doubled = FIRST.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    let whole = doubled.min(LONGEST);
    let chance = f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX);
    let own = whole / 2 + (whole / 2).mul_f64(chance);
    own.max(asked.unwrap_or_default().min(LONGEST_ASKED))
}

/// What a header `Retry-After` asks for: seconds or a date (RFC 9110, 10.2.3).
pub(crate) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound() {
        for (failures, most) in [(1, 0.25), (2, 0.5), (4, 2.0), (9, 20.0), (400, 20.0)] {
            let found = pause(failures, None).as_secs_f64();
            assert!((most / 2.0..=most).contains(&found), "{failures}: {found}");
        }
        assert_eq!(pause(1, Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(pause(1, Some(Duration::from_secs(9_999))), LONGEST_ASKED);
    }

    #[test]
    fn servers_may_ask_for_time() {
        let epoch = SystemTime::UNIX_EPOCH;
        assert_eq!(retry_after("30", epoch), Some(Duration::from_secs(30)));
        assert_eq!(
            retry_after("Thu, 01 Jan 1970 00:01:00 GMT", epoch),
            Some(Duration::from_secs(60))
        );
        assert_eq!(retry_after("soon", epoch), None);
    }

    #[test]
    fn a_lane_slows_down_once_for_many_failures_and_recovers() {
        let paces = Paces::new(0.0);
        let gap = |paces: &Paces| paces.with("a", |lane| lane.gap);
        for _ in 0..50 {
            paces.slower("a");
        }
        assert_eq!(gap(&paces), NARROWEST);
        for _ in 0..100 {
            paces.faster("a");
        }
        assert_eq!(gap(&paces), Duration::ZERO);
    }

    #[test]
    fn a_rate_is_kept_in_each_lane() {
        let paces = Paces::new(100.0);
        let begin = Instant::now();
        for _ in 0..11 {
            paces.wait("a");
        }
        assert!(begin.elapsed() >= Duration::from_millis(100));
        let begin = Instant::now();
        paces.wait("b");
        assert!(begin.elapsed() < Duration::from_millis(100));
    }
}
