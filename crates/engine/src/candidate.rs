//! Candidates: the events that keyed state holds, how they are counted in bytes, and arithmetic of event time.

use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering as Memory};

use neph_event::{Instant, Value};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::state;
use crate::{Event, Ordinal};

/// Before every event.
pub(crate) const BEGINNING: Instant = Instant {
    seconds: i64::MIN,
    nanos: 0,
};

/// After every event.
pub(crate) const END: Instant = Instant {
    seconds: i64::MAX,
    nanos: 999_999_999,
};

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// `instant` and `nanos` more; saturates at [`END`].
pub(crate) fn later_by(instant: Instant, nanos: u64) -> Instant {
    let sum = u64::from(instant.nanos) + nanos % NANOS_PER_SECOND;
    let carry = sum / NANOS_PER_SECOND;
    let seconds = i64::try_from(nanos / NANOS_PER_SECOND + carry)
        .ok()
        .and_then(|more| instant.seconds.checked_add(more));
    match (seconds, u32::try_from(sum % NANOS_PER_SECOND)) {
        (Some(seconds), Ok(nanos)) => Instant { seconds, nanos },
        _ => END,
    }
}

/// `instant` less `nanos`; saturates at [`BEGINNING`].
pub(crate) fn earlier_by(instant: Instant, nanos: u64) -> Instant {
    let (whole, rest) = (nanos / NANOS_PER_SECOND, nanos % NANOS_PER_SECOND);
    let have = u64::from(instant.nanos);
    let (borrow, left) = if have >= rest {
        (0, have - rest)
    } else {
        (1, have + NANOS_PER_SECOND - rest)
    };
    let seconds = i64::try_from(whole + borrow)
        .ok()
        .and_then(|less| instant.seconds.checked_sub(less));
    match (seconds, u32::try_from(left)) {
        (Some(seconds), Ok(nanos)) => Instant { seconds, nanos },
        _ => BEGINNING,
    }
}

/// The join keys of one partition of a rule's state; shared by the map of partitions, the schedule and the results.
pub(crate) type JoinKey = Arc<[Option<Value>]>;

/// Bytes of the two counters that stand before an `Arc`'s content.
pub(crate) const COUNTERS: usize = 2 * size_of::<usize>();

/// Bytes that a join key holds.
pub(crate) fn key_bytes(key: &[Option<Value>]) -> usize {
    COUNTERS + size_of_val(key) + key.iter().flatten().map(Value::heap_bytes).sum::<usize>()
}

/// Bytes of a hash table of so many entries: the table is at most seven eighths full, with a byte of control for each.
pub(crate) fn table_bytes(capacity: usize, entry: usize) -> usize {
    capacity / 7 * 8 * (entry + 1)
}

/// The room that a hash table takes from which entries go, too. The table itself cannot be asked: which freed places it fills again
/// depends on hashes, which are others in each process, and what is given up must not depend on those. A table from which much went
/// may for a while take twice of what is counted here.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Room {
    most: usize,
    /// A power of two, of which seven eighths may be full.
    places: usize,
}

impl Room {
    /// The table has so many entries, or is about to have them.
    pub(crate) fn hold(&mut self, entries: usize) {
        if entries > self.most {
            self.shrink(entries);
        }
    }

    /// The table has given back what so many entries do not need.
    pub(crate) fn shrink(&mut self, entries: usize) {
        self.most = entries;
        self.places = match entries {
            0 => 0,
            _ => (entries * 8).div_ceil(7).next_power_of_two().max(4),
        };
    }

    /// Whether most of it is unused by so many entries.
    pub(crate) fn is_wide(self, entries: usize) -> bool {
        self.most > 64 + 4 * entries
    }

    /// Its bytes, with a byte of control for each entry of this size.
    pub(crate) fn bytes(self, entry: usize) -> usize {
        self.places * (entry + 1)
    }
}

/// Order of join keys: position by position, null first, values as their type orders them.
pub(crate) fn compare_keys(a: &[Option<Value>], b: &[Option<Value>]) -> Ordering {
    let values = |pair: (&Option<Value>, &Option<Value>)| match pair {
        (Some(a), Some(b)) => match a.as_ref().compare(b.as_ref()) {
            Some(Ordering::Equal) | None => a.cmp(b),
            Some(order) => order,
        },
        (a, b) => a.is_some().cmp(&b.is_some()),
    };
    a.iter()
        .zip(b)
        .map(values)
        .find(|order| order.is_ne())
        .unwrap_or_else(|| a.len().cmp(&b.len()))
}

/// The bytes that one rule's state holds. Candidates add themselves and take themselves off when the last reference to
/// them goes, so what they count is exact however they are shared between stages.
#[derive(Debug, Default)]
pub(crate) struct Meter(AtomicUsize);

impl Meter {
    pub(crate) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes, Memory::Relaxed);
    }

    pub(crate) fn subtract(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Memory::Relaxed);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Memory::Relaxed)
    }
}

/// An event that satisfies some step, under one join key. The event's document counts in full, once for each rule and
/// join key that holds it, even where several rules share it.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) ordinal: Ordinal,
    pub(crate) event: Arc<Event>,
    bytes: usize,
    meter: Arc<Meter>,
}

impl Candidate {
    pub(crate) fn new(ordinal: Ordinal, event: Arc<Event>, meter: &Arc<Meter>) -> Arc<Self> {
        Arc::new(Self::counted(ordinal, event, meter))
    }

    fn counted(ordinal: Ordinal, event: Arc<Event>, meter: &Arc<Meter>) -> Self {
        let tiebreaker = ordinal.tiebreaker.as_ref().map_or(0, Value::heap_bytes);
        let bytes = size_of::<Self>() + tiebreaker + event.memory_bytes() + 2 * COUNTERS;
        meter.add(bytes);
        Self {
            ordinal,
            event,
            bytes,
            meter: Arc::clone(meter),
        }
    }

    pub(crate) fn time(&self) -> Instant {
        self.ordinal.time
    }

    pub(crate) fn millis(&self) -> i64 {
        self.ordinal.time.as_millis()
    }
}

#[derive(Deserialize, Serialize)]
struct Written {
    ordinal: Ordinal,
    #[serde(with = "state::event")]
    event: Arc<Event>,
}

impl Serialize for Candidate {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let written = Written {
            ordinal: self.ordinal.clone(),
            event: Arc::clone(&self.event),
        };
        written.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Candidate {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Written { ordinal, event } = Written::deserialize(from)?;
        let meter = state::meter().ok_or_else(|| D::Error::custom("nothing counts candidates"))?;
        Ok(Self::counted(ordinal, event, &meter))
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        self.meter.subtract(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_arithmetic_carries_and_saturates() {
        let instant = Instant {
            seconds: 10,
            nanos: 600_000_000,
        };
        assert_eq!(
            later_by(instant, 1_500_000_000),
            Instant {
                seconds: 12,
                nanos: 100_000_000
            }
        );
        assert_eq!(
            earlier_by(instant, 1_700_000_000),
            Instant {
                seconds: 8,
                nanos: 900_000_000
            }
        );
        assert_eq!(
            earlier_by(instant, 600_000_000),
            Instant {
                seconds: 10,
                nanos: 0
            }
        );
        assert_eq!(later_by(END, 1), END);
        assert_eq!(earlier_by(BEGINNING, 1), BEGINNING);
        assert_eq!(later_by(BEGINNING, 0), BEGINNING);
        assert_eq!(
            later_by(
                Instant {
                    seconds: -1,
                    nanos: 0
                },
                u64::MAX
            )
            .seconds,
            18_446_744_072
        );
    }
}
