//! The sample operator of one rule: events that share join keys, one for each filter, in any order.
//!
//! For each tuple of keys and each filter the first `filters + max_samples_per_key - 1` events by position are kept,
//! which is what Elasticsearch fetches; samples are then made by backtracking with the first filter outermost.
//! Source: <https://www.elastic.co/docs/reference/query-languages/eql/eql-syntax#eql-samples>

use std::sync::Arc;

use ahash::AHashMap;
use neph_event::{EventId, Instant};
use neph_plan::Sample;
use serde::{Deserialize, Serialize};

use crate::candidate::{COUNTERS, JoinKey, Room, compare_keys, key_bytes};
use crate::operators::{Emit, Outcome, RuleStatistics};
use crate::state::{self, BadState, StateReader, StateWriter};
use crate::{Event, Match, RuleIndex, StepMatch};

/// Runs one sample.
#[derive(Debug)]
pub(crate) struct SampleOperator {
    rule: RuleIndex,
    filters: usize,
    emit: Emit,
    max_per_key: usize,
    buckets: AHashMap<JoinKey, Bucket>,
    room: Room,
    touched: Vec<JoinKey>,
    /// Bytes of keys and held events.
    held_bytes: usize,
    statistics: RuleStatistics,
}

/// The events of one tuple of keys.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Bucket {
    /// By filter, in order of position.
    filters: Vec<Vec<Held>>,
    /// The samples that were told already, by the ids of their events; only when they are told at once.
    told: Vec<Vec<EventId>>,
    touched: bool,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Held {
    position: u64,
    time: Option<Instant>,
    #[serde(with = "state::event")]
    event: Arc<Event>,
}

impl Held {
    fn bytes(&self) -> usize {
        // Vectors keep room to grow.
        2 * size_of::<Self>() + COUNTERS + self.event.memory_bytes()
    }
}

impl Bucket {
    fn bytes(&self) -> usize {
        let filters = self.filters.len() * size_of::<Vec<Held>>();
        let held: usize = self.filters.iter().flatten().map(Held::bytes).sum();
        let ids = |ids: &Vec<EventId>| {
            ids.iter()
                .map(|id| size_of::<EventId>() + id.as_str().len())
                .sum::<usize>()
        };
        filters
            + held
            + self
                .told
                .iter()
                .map(|told| size_of::<Vec<EventId>>() + ids(told))
                .sum::<usize>()
    }

    fn newest(&self) -> Option<u64> {
        self.filters.iter().flatten().map(|held| held.position).max()
    }
}

impl SampleOperator {
    pub(crate) fn new(rule: RuleIndex, sample: &Sample, emit: Emit, max_samples_per_key: u32) -> Self {
        Self {
            rule,
            filters: sample.stages.len(),
            emit,
            max_per_key: max_samples_per_key as usize,
            buckets: AHashMap::new(),
            room: Room::default(),
            touched: Vec::new(),
            held_bytes: 0,
            statistics: RuleStatistics::default(),
        }
    }

    pub(crate) fn push(&mut self, step: StepMatch) {
        let filter = usize::from(step.step);
        if filter >= self.filters || self.max_per_key == 0 {
            return;
        }
        let keys = step.keys();
        let bucket = match self.buckets.get_mut(keys.as_slice()) {
            Some(bucket) => bucket,
            None => {
                let key: JoinKey = keys.iter().cloned().collect();
                let bucket = Bucket {
                    filters: vec![Vec::new(); self.filters],
                    ..Bucket::default()
                };
                self.held_bytes += key_bytes(&key) + bucket.bytes();
                self.room.hold(self.buckets.len() + 1);
                self.buckets.entry(key).or_insert(bucket)
            }
        };
        if bucket.told.len() >= self.max_per_key {
            return;
        }
        let Some(events) = bucket.filters.get_mut(filter) else {
            return;
        };
        let limit = self.filters.saturating_add(self.max_per_key) - 1;
        let place = events.partition_point(|held| held.position <= step.position());
        let held = Held {
            position: step.position(),
            time: step.ordinal().map(|ordinal| ordinal.time),
            event: Arc::clone(step.event()),
        };
        let known = events.iter().position(|known| known.event.is_same(&held.event));
        if known.is_some() {
            self.statistics.duplicates += 1;
        } else {
            self.statistics.candidates += 1;
        }
        if known.is_some_and(|known| known < place) || place >= limit {
            return;
        }
        self.held_bytes += held.bytes();
        events.insert(place, held);
        // Of an event that came twice the later position goes, else what is beyond the limit.
        let surplus = match known {
            Some(known) => Some(events.remove(known + 1)),
            None if events.len() > limit => events.pop(),
            None => None,
        };
        self.held_bytes -= surplus.map_or(0, |surplus| surplus.bytes());
        if self.emit == Emit::AtOnce && !bucket.touched {
            bucket.touched = true;
            self.touched.extend(
                self.buckets
                    .get_key_value(keys.as_slice())
                    .map(|(key, _)| Arc::clone(key)),
            );
        }
    }

    /// Looks at what was pushed, when samples are told at once. What was told is never taken back: which events a sample
    /// takes is not defined.
    pub(crate) fn advance(&mut self, outcomes: &mut Vec<Outcome>) {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_by(|a, b| compare_keys(a, b));
        for key in touched {
            let Some(bucket) = self.buckets.get_mut(&key) else {
                continue;
            };
            bucket.touched = false;
            self.held_bytes -= bucket.bytes();
            for sample in samples(&bucket.filters, self.max_per_key) {
                if bucket.told.len() < self.max_per_key && !bucket.told.contains(&identity(&sample)) {
                    outcomes.push(Outcome::Found(to_match(self.rule, &key, &sample)));
                    self.statistics.finished += 1;
                    bucket.told.push(identity(&sample));
                }
            }
            if bucket.told.len() >= self.max_per_key {
                // Nothing more is told of these keys, so that their events need not be held.
                bucket.filters = Vec::new();
                bucket.told.iter_mut().for_each(|told| *told = Vec::new());
            }
            self.held_bytes += bucket.bytes();
        }
    }

    /// No event comes any more.
    pub(crate) fn finish(&mut self, outcomes: &mut Vec<Outcome>) {
        self.advance(outcomes);
        let mut buckets: Vec<(JoinKey, Bucket)> = std::mem::take(&mut self.buckets).into_iter().collect();
        self.held_bytes = 0;
        self.room = Room::default();
        if self.emit == Emit::AtOnce {
            return;
        }
        buckets.sort_by(|(a, _), (b, _)| compare_keys(a, b));
        for (key, bucket) in &buckets {
            for sample in samples(&bucket.filters, self.max_per_key) {
                outcomes.push(Outcome::Found(to_match(self.rule, key, &sample)));
                self.statistics.finished += 1;
            }
        }
    }

    /// Gives up the keys that have gone longest without an event, half of them at a time, until it is enough.
    pub(crate) fn relieve(&mut self, limit: usize) {
        while self.bytes() > limit / 8 * 7 && !self.buckets.is_empty() {
            let mut newest: Vec<Option<u64>> = self.buckets.values().map(Bucket::newest).collect();
            let middle = (newest.len() - 1) / 2;
            let cut = *newest.select_nth_unstable(middle).1;
            let (held_bytes, evicted) = (&mut self.held_bytes, &mut self.statistics.evicted);
            self.buckets.retain(|key, bucket| {
                let stays = bucket.newest() > cut;
                if !stays {
                    *evicted += bucket
                        .filters
                        .iter()
                        .map(|filter| filter.len() as u64)
                        .sum::<u64>();
                    *held_bytes -= key_bytes(key) + bucket.bytes();
                }
                stays
            });
            self.buckets.shrink_to_fit();
            self.room.shrink(self.buckets.len());
        }
    }

    pub(crate) fn save(&self, to: &mut StateWriter) -> Result<Vec<u8>, BadState> {
        to.write(&(&self.buckets, self.statistics))
    }

    /// Takes over what [`Self::save`] wrote, in place of what it holds.
    pub(crate) fn restore(&mut self, section: &[u8], from: &mut StateReader) -> Result<(), BadState> {
        let (buckets, statistics): (AHashMap<JoinKey, Bucket>, _) = from.read(section)?;
        let fits = |bucket: &Bucket| bucket.filters.is_empty() || bucket.filters.len() == self.filters;
        if !buckets.values().all(fits) {
            return Err(BadState::of("a sample has another number of filters"));
        }
        let touched = buckets.iter().filter(|(_, bucket)| bucket.touched);
        self.touched = touched.map(|(key, _)| Arc::clone(key)).collect();
        let held = buckets
            .iter()
            .map(|(key, bucket)| key_bytes(key) + bucket.bytes());
        self.held_bytes = held.sum();
        self.buckets = buckets;
        self.room.shrink(self.buckets.len());
        self.statistics = statistics;
        Ok(())
    }

    /// Bytes of state: held events, keys, and the table at its full capacity.
    pub(crate) fn bytes(&self) -> usize {
        self.held_bytes
            + self.room.bytes(size_of::<(JoinKey, Bucket)>())
            + self.touched.capacity() * size_of::<JoinKey>()
    }

    pub(crate) fn statistics(&self) -> RuleStatistics {
        RuleStatistics {
            keys: self.buckets.len() as u64,
            ..self.statistics
        }
    }
}

fn identity(sample: &[&Held]) -> Vec<EventId> {
    sample.iter().map(|held| held.event.id().clone()).collect()
}

fn to_match(rule: RuleIndex, key: &JoinKey, sample: &[&Held]) -> Match {
    let events = (0..)
        .zip(sample)
        .map(|(stage, held)| (stage, Some(Arc::clone(&held.event))));
    Match {
        rule,
        keys: key.to_vec(),
        events: events.collect(),
        first: sample.iter().filter_map(|held| held.time).min(),
        last: None,
        window: None,
    }
}

/// The first `limit` samples, at most: one event of each filter, no event twice.
fn samples(filters: &[Vec<Held>], limit: usize) -> Vec<Vec<&Held>> {
    let mut found = Vec::new();
    if filters.is_empty() || filters.iter().any(Vec::is_empty) {
        return found;
    }
    // Equal numbers are equal events, across filters too.
    let mut numbers: AHashMap<&EventId, usize> = AHashMap::new();
    let mut numbered: Vec<Vec<(usize, &Held)>> = Vec::new();
    for filter in filters {
        let mut events = Vec::new();
        for held in filter {
            let next = numbers.len();
            events.push((*numbers.entry(held.event.id()).or_insert(next), held));
        }
        numbered.push(events);
    }
    backtrack(&numbered, &mut Vec::new(), limit, &mut found);
    found
}

fn backtrack<'a>(
    filters: &[Vec<(usize, &'a Held)>],
    chosen: &mut Vec<(usize, &'a Held)>,
    limit: usize,
    found: &mut Vec<Vec<&'a Held>>,
) {
    let Some((filter, rest)) = filters.split_first() else {
        found.push(chosen.iter().map(|(_, held)| *held).collect());
        return;
    };
    for (number, held) in filter {
        if found.len() >= limit {
            return;
        }
        if chosen.iter().any(|(taken, _)| taken == number) {
            continue;
        }
        chosen.push((*number, held));
        // Without this look ahead, filters that share too few events would be tried again for every choice before them.
        if can_complete(rest, &mut chosen.iter().map(|(number, _)| *number).collect()) {
            backtrack(rest, chosen, limit, found);
        }
        chosen.pop();
    }
}

/// Whether each of these filters can still get an event of its own.
fn can_complete(filters: &[Vec<(usize, &Held)>], taken: &mut Vec<usize>) -> bool {
    let Some((filter, rest)) = filters.split_first() else {
        return true;
    };
    let free: Vec<usize> = filter
        .iter()
        .map(|(number, _)| *number)
        .filter(|number| !taken.contains(number))
        .collect();
    // More choices than filters left are not needed: one of these stays free whatever the others take.
    free.iter().take(filters.len()).any(|number| {
        taken.push(*number);
        let completes = can_complete(rest, taken);
        taken.pop();
        completes
    })
}
