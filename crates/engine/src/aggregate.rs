//! The operator of one aggregate.
//!
//! A run at the end of each interval counts what lies in its look-back, by group. Time is cut into *panes* at the ends of
//! intervals and at the points where a run begins to look, so that every run counts a pane whole or not at all, and an
//! event is counted once however many runs see it. Only runs with a new event of the group can find what the run before
//! did not, so only those are evaluated, in order, when no event that may still come can change them: counts are exact.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ahash::AHashMap;
use neph_event::Instant;
use neph_plan::Aggregate;
use serde::{Deserialize, Serialize};

use crate::candidate::{BEGINNING, JoinKey, Room, compare_keys, earlier_by, key_bytes};
use crate::grid::{Grid, instants, millis};
use crate::operators::{Outcome, RuleStatistics};
use crate::state::{BadState, KeptHasher, StateReader, StateWriter};
use crate::tally::{Exemplar, Pane, Sum, sum};
use crate::{Match, RuleIndex, StepMatch, Window};

/// Under memory pressure without a lateness, events that come up to 5 minutes late still count.
const PRESSURE_WINDOW: u64 = 300_000_000_000;

/// Runs one aggregate.
#[derive(Debug)]
pub(crate) struct AggregateOperator {
    rule: RuleIndex,
    grid: Grid,
    /// Milliseconds, at least an interval.
    lookback: i64,
    at_least: u64,
    distinct_at_least: Option<u64>,
    /// Nanoseconds; `None`: events may come however late.
    lateness: Option<u64>,
    hasher: KeptHasher,
    groups: AHashMap<JoinKey, Group>,
    room: Room,
    /// The runs to be evaluated, by the start of their interval.
    due: BTreeSet<(i64, JoinKey)>,
    watermark: Instant,
    newest: Instant,
    /// Runs of intervals that start before have been evaluated.
    settled: i64,
    /// Bytes of groups and their keys.
    held_bytes: usize,
    statistics: RuleStatistics,
}

/// The events of one group.
#[derive(Debug, Deserialize, Serialize)]
struct Group {
    /// By the time in milliseconds at which they start.
    panes: BTreeMap<i64, Box<Pane>>,
    /// Events before this time have been told of.
    told: i64,
}

impl AggregateOperator {
    pub(crate) fn new(rule: RuleIndex, query: &Aggregate, lateness: Option<u64>) -> Self {
        let grid = Grid::new(query.interval);
        Self {
            rule,
            grid,
            lookback: millis(query.lookback).max(grid.interval()),
            at_least: query.at_least,
            distinct_at_least: query.distinct.as_ref().map(|distinct| distinct.at_least),
            lateness,
            hasher: KeptHasher::default(),
            groups: AHashMap::new(),
            room: Room::default(),
            due: BTreeSet::new(),
            watermark: BEGINNING,
            newest: BEGINNING,
            settled: i64::MIN,
            held_bytes: 0,
            statistics: RuleStatistics::default(),
        }
    }

    pub(crate) fn push(&mut self, step: StepMatch) {
        let Some(ordinal) = step.ordinal() else {
            self.statistics.untimed += 1;
            return;
        };
        let time = ordinal.time.as_millis();
        let start = self.pane_of(time);
        let reached = self.run_start(self.settled);
        let keys = step.keys();
        let told = self.groups.get(keys.as_slice()).map(|group| group.told);
        if start < reached || told.is_some_and(|told| start < told) {
            self.statistics.late += 1;
            return;
        }
        self.newest = self.newest.max(ordinal.time);
        let key = match self.groups.get_key_value(keys.as_slice()) {
            Some((key, _)) => Arc::clone(key),
            None => {
                let key: JoinKey = keys.into_iter().collect();
                self.held_bytes += key_bytes(&key) + Group::EMPTY;
                self.room.hold(self.groups.len() + 1);
                Arc::clone(&key)
            }
        };
        let group = self.groups.entry(Arc::clone(&key)).or_insert_with(|| Group {
            panes: BTreeMap::new(),
            told: i64::MIN,
        });
        let pane = match group.panes.entry(start) {
            std::collections::btree_map::Entry::Occupied(pane) => {
                let pane = pane.into_mut();
                self.held_bytes -= pane.bytes();
                pane
            }
            std::collections::btree_map::Entry::Vacant(place) => {
                self.held_bytes += Group::ONE_MORE;
                place.insert(Box::default())
            }
        };
        // Records without an id of their own are all different, however equal they look.
        let identity = match step.event().given_id() {
            Some(id) => self.hasher.hash_one(id.as_str()),
            None => self.hasher.hash_one(step.position()),
        };
        let values = step.counted.iter().map(|value| self.hasher.hash_one(value));
        let exemplar = Exemplar {
            ordinal: ordinal.clone(),
            event: Arc::clone(step.event()),
        };
        let is_new = pane.add(identity, values, self.distinct_at_least.unwrap_or(0), exemplar);
        self.held_bytes += pane.bytes();
        if !is_new {
            self.statistics.duplicates += 1;
            return;
        }
        self.statistics.candidates += 1;
        // An event that comes after its own run is counted by the next one that sees it.
        self.due.insert((self.grid.start(time).max(self.settled), key));
    }

    /// Start of the pane that the time lies in.
    fn pane_of(&self, time: i64) -> i64 {
        let start = self.grid.start(time);
        let rest = self.lookback % self.grid.interval();
        let inner = start.saturating_add(self.grid.interval() - rest);
        if time >= inner { inner } else { start }
    }

    /// Where the run at the end of an interval begins to look.
    fn run_start(&self, interval: i64) -> i64 {
        interval
            .saturating_add(self.grid.interval())
            .saturating_sub(self.lookback)
    }

    /// No event before `watermark` less the lateness comes any more.
    pub(crate) fn advance(&mut self, watermark: Instant, outcomes: &mut Vec<Outcome>) {
        self.watermark = self.watermark.max(watermark);
        if let Some(lateness) = self.lateness {
            self.settle(earlier_by(self.watermark, lateness), outcomes);
        }
        if self.room.is_wide(self.groups.len()) {
            self.groups.shrink_to_fit();
            self.room.shrink(self.groups.len());
        }
    }

    /// Evaluates the runs that end at the frontier or before.
    fn settle(&mut self, frontier: Instant, outcomes: &mut Vec<Outcome>) {
        let settled = self.grid.start(frontier.as_millis()).max(self.settled);
        self.run_until(settled, outcomes);
        self.settled = settled;
    }

    fn run_until(&mut self, end: i64, outcomes: &mut Vec<Outcome>) {
        while let Some((interval, _)) = self.due.first()
            && *interval < end
        {
            let interval = *interval;
            let mut found = Vec::new();
            while let Some((first, _)) = self.due.first()
                && *first == interval
                && let Some((_, key)) = self.due.pop_first()
            {
                found.extend(self.run(interval, key));
            }
            found.sort_by(|a, b| compare_keys(&a.keys, &b.keys));
            self.statistics.finished += found.len() as u64;
            outcomes.extend(found.into_iter().map(Outcome::Found));
        }
    }

    /// The run of one group at the end of an interval.
    fn run(&mut self, interval: i64, key: JoinKey) -> Option<Match> {
        let end = interval.saturating_add(self.grid.interval());
        let begins = self.run_start(interval);
        let next_begins = self.run_start(end);
        let group = self.groups.get_mut(&key)?;
        // State that was read back may say anything.
        let from = begins.max(group.told).min(end);
        let found = sum(
            group.panes.range(from..end).map(|(_, pane)| &**pane),
            self.at_least,
            self.distinct_at_least,
        );
        if found.is_some() {
            group.told = end;
        }
        let kept = group.panes.split_off(&next_begins.max(group.told));
        for pane in std::mem::replace(&mut group.panes, kept).values() {
            self.held_bytes -= pane.bytes() + Group::ONE_MORE;
        }
        // Until then the group must be remembered: for its events, or for having been told of.
        let newest = group.panes.keys().next_back();
        let newest = newest.map_or(i64::MIN, |start| {
            self.grid.start(*start).saturating_add(self.grid.interval())
        });
        let remembered = newest.max(group.told);
        if remembered <= next_begins {
            self.forget(&key);
        } else {
            let last = remembered
                .saturating_add(self.lookback)
                .saturating_sub(2 * self.grid.interval());
            let wake = self.grid.start(last.saturating_add(self.grid.interval() - 1));
            self.due.insert((wake.max(end), Arc::clone(&key)));
        }
        found.map(|found| to_match(self.rule, &key, from, end, found))
    }

    fn forget(&mut self, key: &JoinKey) {
        if let Some(group) = self.groups.remove(key) {
            self.held_bytes -= key_bytes(key) + group.bytes();
        }
    }

    /// No event comes any more.
    pub(crate) fn finish(&mut self, outcomes: &mut Vec<Outcome>) {
        self.run_until(i64::MAX, outcomes);
        self.settled = i64::MAX;
        self.groups = AHashMap::new();
        self.room = Room::default();
        self.due = BTreeSet::new();
        self.held_bytes = 0;
    }

    /// Releases memory, down to a part of `limit`. First runs older than the rule's lateness behind the newest event are
    /// evaluated, then the older half of what is left, which loses nothing but the tolerance of events that come late.
    /// Only when the open runs alone are too much, and it `must` be enough, the groups that had no event for longest are given up.
    pub(crate) fn relieve(&mut self, limit: usize, must: bool, outcomes: &mut Vec<Outcome>) {
        let enough = limit / 8 * 7;
        let window = self.lateness.unwrap_or(PRESSURE_WINDOW);
        self.settle(earlier_by(self.newest, window), outcomes);
        while self.bytes() > enough
            && let Some(middle) = self.due.iter().nth(self.due.len() / 2)
            && middle.0 < self.grid.start(self.newest.as_millis())
        {
            let settled = middle.0.saturating_add(self.grid.interval());
            self.run_until(settled, outcomes);
            self.settled = self.settled.max(settled);
        }
        self.groups.shrink_to_fit();
        self.room.shrink(self.groups.len());
        while must && self.bytes() > enough && !self.groups.is_empty() {
            let mut newest: Vec<i64> = self.groups.values().map(Group::newest).collect();
            let middle = (newest.len() - 1) / 2;
            let cut = *newest.select_nth_unstable(middle).1;
            let (held_bytes, evicted) = (&mut self.held_bytes, &mut self.statistics.evicted);
            self.groups.retain(|key, group| {
                let stays = group.newest() > cut;
                if !stays {
                    *evicted += group.panes.values().map(|pane| pane.count()).sum::<u64>();
                    *held_bytes -= key_bytes(key) + group.bytes();
                }
                stays
            });
            self.groups.shrink_to_fit();
            self.room.shrink(self.groups.len());
            let groups = &self.groups;
            self.due.retain(|(_, key)| groups.contains_key(key));
        }
    }

    pub(crate) fn save(&self, to: &mut StateWriter) -> Result<Vec<u8>, BadState> {
        to.write(&(
            &self.hasher,
            &self.groups,
            &self.due,
            (self.watermark, self.newest, self.settled),
            self.statistics,
        ))
    }

    /// Takes over what [`Self::save`] wrote, in place of what it holds.
    pub(crate) fn restore(&mut self, section: &[u8], from: &mut StateReader) -> Result<(), BadState> {
        let due: BTreeSet<(i64, JoinKey)>;
        (
            self.hasher,
            self.groups,
            due,
            (self.watermark, self.newest, self.settled),
            self.statistics,
        ) = from.read(section)?;
        let shared = |key: &JoinKey| self.groups.get_key_value(key).map(|(key, _)| Arc::clone(key));
        self.due = due
            .into_iter()
            .filter_map(|(interval, key)| Some((interval, shared(&key)?)))
            .collect();
        self.room.shrink(self.groups.len());
        let groups = self.groups.iter();
        self.held_bytes = groups.map(|(key, group)| key_bytes(key) + group.bytes()).sum();
        Ok(())
    }

    /// Bytes of state: panes with their events, keys, and the table at its full capacity.
    pub(crate) fn bytes(&self) -> usize {
        // Nodes of the set of runs are at least half full.
        self.held_bytes
            + self.room.bytes(size_of::<(JoinKey, Group)>())
            + 2 * self.due.len() * size_of::<(i64, JoinKey)>()
    }

    pub(crate) fn statistics(&self) -> RuleStatistics {
        RuleStatistics {
            keys: self.groups.len() as u64,
            ..self.statistics
        }
    }
}

impl Group {
    /// Bytes of a map of panes without any, or with one more: its first node has eleven places, those of a larger one are
    /// at least half full.
    const EMPTY: usize = 9 * size_of::<(i64, Box<Pane>)>();
    const ONE_MORE: usize = 2 * size_of::<(i64, Box<Pane>)>();

    fn bytes(&self) -> usize {
        let panes = self.panes.values();
        Self::EMPTY + panes.map(|pane| pane.bytes() + Self::ONE_MORE).sum::<usize>()
    }

    fn newest(&self) -> i64 {
        self.panes.keys().next_back().copied().unwrap_or(i64::MIN)
    }
}

fn to_match(rule: RuleIndex, key: &JoinKey, from: i64, to: i64, found: Sum) -> Match {
    let Sum { tally, exemplars } = found;
    let (from, to) = instants(from, to);
    Match {
        rule,
        keys: key.to_vec(),
        first: exemplars.first().map(|exemplar| exemplar.ordinal.time),
        last: exemplars.last().map(|exemplar| exemplar.ordinal.clone()),
        events: exemplars
            .into_iter()
            .map(|exemplar| (0, Some(exemplar.event)))
            .collect(),
        window: Some(Window {
            from,
            to,
            tally: Some(tally),
        }),
    }
}
