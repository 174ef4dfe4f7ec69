//! Counts by time: stretches as long as they need to be, of lengths that people count in.

use std::collections::BTreeMap;

use neph_event::Instant;
use schemars::JsonSchema;
use serde::Serialize;

/// Lengths that people count in, in seconds: from a second to four weeks.
const LENGTHS: [i64; 17] = [
    1, 5, 15, 30, 60, 300, 900, 1800, 3600, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 1_209_600,
    2_419_200,
];
/// Up to a day each length divides the next one, so counts of a shorter one add up to those of a longer one.
const DAY: i64 = 86_400;
/// Stretches that are held while it is not known yet how many there will be.
const HELD: usize = 4000;

/// Where the stretch of a length begins that a time lies in; both in seconds.
pub(crate) fn start(time: i64, length: i64) -> i64 {
    time.saturating_sub(time.rem_euclid(length.max(1)))
}

/// How many stretches of a length reach from one time to another, both included.
pub(crate) fn number(first: i64, last: i64, length: i64) -> i64 {
    last.saturating_sub(start(first, length)) / length.max(1) + 1
}

/// The least length with which `most` stretches reach from one time to another; beyond four weeks as many of them as it takes.
pub(crate) fn length(first: i64, last: i64, most: i64) -> i64 {
    let usual = LENGTHS
        .into_iter()
        .find(|length| number(first, last, *length) <= most);
    usual.unwrap_or_else(|| {
        let weeks = LENGTHS.last().copied().unwrap_or(1);
        let times = last.saturating_sub(first) / weeks / most.max(1) + 1;
        weeks.saturating_mul(times.saturating_add(1))
    })
}

/// Counts by time whose span is known only at the end, in bounded memory.
#[derive(Debug)]
pub(crate) struct ByTime {
    counts: BTreeMap<i64, u64>,
    length: i64,
    ends: Option<(i64, i64)>,
}

impl Default for ByTime {
    fn default() -> Self {
        Self {
            counts: BTreeMap::new(),
            length: 1,
            ends: None,
        }
    }
}

impl ByTime {
    /// Counts something of this time.
    pub(crate) fn add(&mut self, time: Instant) {
        let at = time.seconds;
        let (first, last) = self.ends.unwrap_or((at, at));
        self.ends = Some((first.min(at), last.max(at)));
        *self.counts.entry(start(at, self.length)).or_default() += 1;
        while self.counts.len() > HELD && self.length < DAY {
            let next = LENGTHS.into_iter().find(|length| *length > self.length);
            self.length = next.unwrap_or(DAY).min(DAY);
            self.counts = gathered(&self.counts, self.length);
        }
    }

    /// The counts in at most `most` stretches, those without any included, and how long each is in seconds.
    pub(crate) fn finish(&self, most: i64) -> (i64, Vec<TimeCount>) {
        let Some((first, last)) = self.ends else {
            return (0, Vec::new());
        };
        let length = length(first, last, most).max(self.length);
        let mut counts = gathered(&self.counts, length);
        let begin = start(first, length);
        let stretches = (0..number(first, last, length)).map(|place| {
            let seconds = begin.saturating_add(place.saturating_mul(length));
            TimeCount {
                from: Instant { seconds, nanos: 0 }.to_string(),
                count: counts.remove(&seconds).unwrap_or(0),
            }
        });
        (length, stretches.collect())
    }
}

fn gathered(counts: &BTreeMap<i64, u64>, length: i64) -> BTreeMap<i64, u64> {
    let mut gathered = BTreeMap::new();
    for (at, count) in counts {
        *gathered.entry(start(*at, length)).or_default() += count;
    }
    gathered
}

/// A stretch of time with what was counted in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct TimeCount {
    /// When it begins.
    pub(crate) from: String,
    /// How many.
    pub(crate) count: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(times: impl IntoIterator<Item = i64>) -> ByTime {
        let mut counted = ByTime::default();
        times
            .into_iter()
            .for_each(|seconds| counted.add(Instant { seconds, nanos: 0 }));
        counted
    }

    #[test]
    fn nothing_is_lost_however_long_the_span_is() {
        for step in [1, 7, 61, 3599, 86_401, 700_000] {
            let counted = counted((0..20_000).map(|number| 1_700_000_000 + number * step));
            let (length, stretches) = counted.finish(60);
            assert_eq!(
                stretches.iter().map(|one| one.count).sum::<u64>(),
                20_000,
                "{step}"
            );
            assert!(stretches.len() <= 60, "{step}: {}", stretches.len());
            assert!(length >= step * 20_000 / 61, "{step}: {length}");
        }
    }

    #[test]
    fn times_before_1970_and_out_of_order_are_counted_where_they_lie() {
        let (length, stretches) = counted([10, -10, 3, -10]).finish(60);
        assert_eq!(length, 1);
        assert_eq!(stretches.first().map(|one| one.count), Some(2));
        assert_eq!(stretches.len(), 21);
        assert_eq!(counted([]).finish(60), (0, Vec::new()));
    }
}
