//! What an aggregate keeps of the events of one group in one stretch of time.

use std::sync::Arc;

use ahash::AHashSet;
use neph_event::Value;
use serde::{Deserialize, Serialize};

use crate::candidate::{COUNTERS, table_bytes};
use crate::{Distinct, Event, Ordinal, Tally};

/// So many of the first events, and as many of the last, are kept with their documents.
const EXEMPLARS: usize = 3;

/// Distinct values of one pane are counted exactly up to this number, or up to what the rule asks for if that is more;
/// past it the count is "at least".
const MAX_DISTINCT: usize = 65_536;

/// A hash table looks at so many bytes of control at once, and has as many more.
const GROUP: usize = 16;

/// An event that is kept with its document.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Exemplar {
    pub(crate) ordinal: Ordinal,
    #[serde(with = "crate::state::event")]
    pub(crate) event: Arc<Event>,
}

/// Events of one group in one stretch of time that every run counts whole or not at all.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Pane {
    count: u64,
    /// Hashes of what tells events apart, so that an event that comes twice counts once.
    known: AHashSet<u64>,
    /// Hashes of the distinct values.
    values: AHashSet<u64>,
    /// Whether there were more values than are kept.
    has_more_values: bool,
    exemplars: Exemplars,
}

/// The first events, and of the others the last ones, each in order.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Exemplars {
    first: Vec<Exemplar>,
    last: Vec<Exemplar>,
}

impl Pane {
    /// Takes an event, unless it has been taken: `identity` and `values` are hashes.
    pub(crate) fn add(
        &mut self,
        identity: u64,
        values: impl Iterator<Item = u64>,
        distinct_wanted: u64,
        exemplar: Exemplar,
    ) -> bool {
        if !self.known.insert(identity) {
            return false;
        }
        self.count += 1;
        let most = usize::try_from(distinct_wanted)
            .unwrap_or(usize::MAX)
            .max(MAX_DISTINCT);
        for value in values {
            if self.values.len() < most {
                self.values.insert(value);
            } else if !self.values.contains(&value) {
                self.has_more_values = true;
            }
        }
        self.exemplars.add(exemplar);
        true
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + set_bytes(&self.known) + set_bytes(&self.values) + self.exemplars.bytes()
    }
}

/// What the panes of a window come to.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    pub(crate) tally: Tally,
    /// The first events and the last ones, in order, each once.
    pub(crate) exemplars: Vec<Exemplar>,
}

/// Adds panes up, where they have at least so many events and, if that is asked, distinct values.
pub(crate) fn sum<'p>(
    panes: impl Iterator<Item = &'p Pane> + Clone,
    at_least: u64,
    distinct_at_least: Option<u64>,
) -> Option<Sum> {
    let count = panes.clone().map(|pane| pane.count).sum::<u64>();
    if count < at_least.max(1) {
        return None;
    }
    let distinct = match distinct_at_least {
        Some(wanted) => Some(distinct(panes.clone(), wanted)?),
        None => None,
    };
    let mut exemplars = Exemplars::default();
    for pane in panes {
        pane.exemplars
            .iter()
            .for_each(|exemplar| exemplars.add(exemplar.clone()));
    }
    let Exemplars { mut first, mut last } = exemplars;
    first.append(&mut last);
    Some(Sum {
        tally: Tally {
            count,
            distinct,
            measured: None,
        },
        exemplars: first,
    })
}

/// The distinct values of panes, where they are at least so many.
fn distinct<'p>(panes: impl Iterator<Item = &'p Pane> + Clone, wanted: u64) -> Option<Distinct> {
    let most: usize = panes.clone().map(|pane| pane.values.len()).sum();
    if (most as u64) < wanted {
        return None;
    }
    // Which values a full pane keeps depends on their order, their number does not.
    let full = panes.clone().filter(|pane| pane.has_more_values);
    let found = match full.map(|pane| pane.values.len()).max() {
        Some(count) => Distinct {
            count: count as u64,
            is_exact: false,
        },
        None => {
            let values: AHashSet<u64> = panes.flat_map(|pane| pane.values.iter().copied()).collect();
            Distinct {
                count: values.len() as u64,
                is_exact: true,
            }
        }
    };
    (found.count >= wanted).then_some(found)
}

impl Exemplars {
    fn add(&mut self, exemplar: Exemplar) {
        let place = self.first.partition_point(|held| held.ordinal < exemplar.ordinal);
        let mut other = exemplar;
        if place < EXEMPLARS {
            self.first.insert(place, other);
            if self.first.len() <= EXEMPLARS {
                return;
            }
            let Some(pushed_out) = self.first.pop() else {
                return;
            };
            other = pushed_out;
        }
        let place = self.last.partition_point(|held| held.ordinal < other.ordinal);
        if self.last.len() < EXEMPLARS {
            self.last.insert(place, other);
        } else if place > 0 {
            self.last.insert(place, other);
            self.last.remove(0);
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Exemplar> {
        self.first.iter().chain(&self.last)
    }

    fn bytes(&self) -> usize {
        let event = |held: &Exemplar| {
            let tiebreaker = held.ordinal.tiebreaker.as_ref().map_or(0, Value::heap_bytes);
            COUNTERS + tiebreaker + held.event.memory_bytes()
        };
        (self.first.capacity() + self.last.capacity()) * size_of::<Exemplar>()
            + self.iter().map(event).sum::<usize>()
    }
}

/// Bytes of a hash table of numbers: a small one has at least four places.
fn set_bytes(set: &AHashSet<u64>) -> usize {
    match set.capacity() {
        0 => 0,
        few @ ..7 => (few + 1) * (size_of::<u64>() + 1) + GROUP,
        many => table_bytes(many, size_of::<u64>()) + GROUP,
    }
}

#[cfg(test)]
mod tests {
    use neph_event::Instant;

    use super::*;
    use crate::Origin;

    fn exemplar(position: u64) -> Exemplar {
        let origin = Origin {
            source: "test".into(),
            line: position,
        };
        Exemplar {
            ordinal: Ordinal {
                time: Instant::from_millis(1),
                tiebreaker: None,
                position,
            },
            event: Arc::new(Event::new(b"{}".to_vec(), None, origin)),
        }
    }

    #[test]
    fn past_the_bound_distinct_values_are_counted_as_at_least_whatever_their_order() {
        let wanted = MAX_DISTINCT as u64;
        let counted = |values: &mut dyn Iterator<Item = u64>| {
            let mut pane = Pane::default();
            for value in values {
                pane.add(value, std::iter::once(value), 2, exemplar(value));
            }
            sum([&pane].into_iter(), 1, Some(2))
                .unwrap()
                .tally
                .distinct
                .unwrap()
        };
        let exact = counted(&mut (0..wanted));
        assert_eq!((exact.count, exact.is_exact), (wanted, true));
        let more = counted(&mut (0..wanted + 10));
        assert_eq!((more.count, more.is_exact), (wanted, false));
        assert_eq!(counted(&mut (0..wanted + 10).rev()), more);
    }

    #[test]
    fn the_first_and_the_last_events_are_kept_each_once() {
        let kept = |count: u64| {
            let mut panes = [Pane::default(), Pane::default()];
            for position in (0..count).rev() {
                panes[usize::from(position * 2 >= count)].add(
                    position,
                    std::iter::empty(),
                    0,
                    exemplar(position),
                );
            }
            let sum = sum(panes.iter(), 1, None).unwrap();
            assert_eq!(sum.tally.count, count);
            let positions = sum.exemplars.iter().map(|exemplar| exemplar.ordinal.position);
            positions.collect::<Vec<_>>()
        };
        assert_eq!(kept(1), [0]);
        assert_eq!(kept(4), [0, 1, 2, 3]);
        assert_eq!(kept(6), [0, 1, 2, 3, 4, 5]);
        assert_eq!(kept(100), [0, 1, 2, 97, 98, 99]);
    }
}
