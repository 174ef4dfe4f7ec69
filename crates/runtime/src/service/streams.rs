//! How far time has come, told by the log alone: by the times of events, and by when blocks were received.
//!
//! Each stream has come as far as its greatest event time, though never further than when it was received: a clock that goes
//! ahead must not make what comes after it late. The *watermark* is the least of the streams that count: those that sent
//! something within `idle`, and are not behind by more than `max_lag`, unless all are. When none counts, nothing that is on
//! its way is known, and time is what the log received last.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use neph_event::Instant;
use serde::{Deserialize, Serialize};

/// How far a stream has come.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct StreamTime {
    /// The greatest event time.
    pub(crate) newest: Instant,
    /// When it last sent something.
    pub(crate) received: Instant,
}

/// The streams, and what they say of time.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Streams {
    idle: i128,
    max_lag: i128,
    streams: BTreeMap<Arc<str>, StreamTime>,
    /// When the newest block was received.
    now: Option<Instant>,
    watermark: Option<Instant>,
}

/// Streams that sent nothing for so long are forgotten: 1 day.
const FORGOTTEN: i128 = 24 * 3600 * 1_000_000_000;
/// Streams are looked through for such when there are more.
const MANY: usize = 1_000;

impl Streams {
    pub(crate) fn new(idle: Duration, max_lag: Duration) -> Self {
        let nanos = |duration: Duration| i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX);
        Self {
            idle: nanos(idle),
            max_lag: nanos(max_lag),
            streams: BTreeMap::new(),
            now: None,
            watermark: None,
        }
    }

    /// Goes on where another process was, with the limits of this one.
    pub(crate) fn go_on(&mut self, other: Self) {
        self.streams = other.streams;
        self.now = other.now;
        self.watermark = other.watermark;
    }

    /// The same limits, and nothing known.
    pub(crate) fn begun_anew(&self) -> Self {
        Self {
            streams: BTreeMap::new(),
            now: None,
            watermark: None,
            ..*self
        }
    }

    /// Takes a block with records (`stream`) or without, and the greatest time of its events; says how far time has come.
    pub(crate) fn take(
        &mut self,
        stream: Option<&Arc<str>>,
        received: Instant,
        latest: Option<Instant>,
    ) -> Option<Instant> {
        let now = self.now.map_or(received, |now| now.max(received));
        self.now = Some(now);
        if let Some(stream) = stream {
            // Records without a time were received just now.
            let newest = latest.unwrap_or(received).min(received);
            match self.streams.get_mut(stream) {
                Some(known) => {
                    known.newest = known.newest.max(newest);
                    known.received = known.received.max(received);
                }
                None => {
                    self.streams
                        .insert(Arc::clone(stream), StreamTime { newest, received });
                }
            }
            if self.streams.len() > MANY {
                let old = now.saturating_sub_nanos(FORGOTTEN);
                self.streams.retain(|_, stream| stream.received >= old);
            }
        }
        let awake = now.saturating_sub_nanos(self.idle);
        let fresh = now.saturating_sub_nanos(self.max_lag);
        let mut all = None;
        let mut least = None;
        for stream in self.streams.values().filter(|stream| stream.received >= awake) {
            let earlier =
                |other: Option<Instant>| Some(other.map_or(stream.newest, |other| other.min(stream.newest)));
            all = earlier(all);
            if stream.newest >= fresh {
                least = earlier(least);
            }
        }
        self.watermark = self.watermark.max(least.or(all).or(Some(now)));
        self.watermark
    }

    pub(crate) fn watermark(&self) -> Option<Instant> {
        self.watermark
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &StreamTime)> {
        self.streams.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Instant {
        Instant { seconds, nanos: 0 }
    }

    fn streams() -> Streams {
        Streams::new(Duration::from_secs(300), Duration::from_secs(86_400))
    }

    #[test]
    fn time_is_that_of_the_slowest_stream_that_counts() {
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let mut streams = streams();
        let base = 1_000_000;
        assert_eq!(
            streams.take(Some(&a), at(base), Some(at(base - 10))),
            Some(at(base - 10))
        );
        // One that is slower does not take time back, and holds it from then on.
        assert_eq!(
            streams.take(Some(&b), at(base), Some(at(base - 60))),
            Some(at(base - 10))
        );
        assert_eq!(
            streams.take(Some(&a), at(base + 5), Some(at(base))),
            Some(at(base - 10))
        );
        assert_eq!(
            streams.take(Some(&b), at(base + 5), Some(at(base - 3))),
            Some(at(base - 3))
        );
        // A stream that sends nothing more stops counting.
        assert_eq!(
            streams.take(Some(&a), at(base + 200), Some(at(base + 200))),
            Some(at(base - 3))
        );
        assert_eq!(
            streams.take(Some(&a), at(base + 306), Some(at(base + 306))),
            Some(at(base + 306))
        );
        // When none sends anything, time is that of the log.
        assert_eq!(streams.take(None, at(base + 700), None), Some(at(base + 700)));
    }

    #[test]
    fn what_is_far_behind_holds_nobody_but_itself() {
        let (old, new): (Arc<str>, Arc<str>) = ("old".into(), "new".into());
        let mut streams = streams();
        let base = 1_000_000;
        assert_eq!(streams.take(Some(&old), at(base), Some(at(100))), Some(at(100)));
        assert_eq!(
            streams.take(Some(&old), at(base + 1), Some(at(200))),
            Some(at(200))
        );
        assert_eq!(
            streams.take(Some(&new), at(base + 2), Some(at(base))),
            Some(at(base))
        );
    }

    #[test]
    fn clocks_that_go_ahead_do_not_move_time() {
        let stream: Arc<str> = "a".into();
        let mut streams = streams();
        assert_eq!(
            streams.take(Some(&stream), at(1_000), Some(at(9_000_000))),
            Some(at(1_000))
        );
        assert_eq!(streams.take(Some(&stream), at(1_010), None), Some(at(1_010)));
    }
}
