//! The operator of one first-seen query.
//!
//! Nothing here depends on the order in which events come. For each tuple of terms the times at which it was seen are
//! kept, thinned out to those that can still decide whether some interval finds the tuple new, so that a tuple seen a
//! million times holds two or three times. Tuples stand for themselves as hashes of 128 bits. For each interval that finds
//! a tuple new the earliest event is kept until the interval is settled; an event that comes late can only take a finding
//! away or find an earlier event for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use ahash::AHashMap;
use neph_event::{Instant, Value};
use neph_plan::FirstSeen;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::candidate::{BEGINNING, COUNTERS, JoinKey, Room, compare_keys, earlier_by, key_bytes};
use crate::grid::{Grid, instants, millis};
use crate::operators::{Emit, Outcome, RuleStatistics};
use crate::state::{self, BadState, KeptHasher, StateReader, StateWriter};
use crate::{Event, Match, Ordinal, RuleIndex, StepMatch, Window};

/// Under memory pressure without a lateness, events that come up to 5 minutes late still count.
const PRESSURE_WINDOW: u64 = 300_000_000_000;

/// Runs one first-seen query.
#[derive(Debug)]
pub(crate) struct FirstSeenOperator {
    rule: RuleIndex,
    grid: Grid,
    /// How far before the start of an interval a tuple is remembered, in milliseconds.
    reach: i64,
    emit: Emit,
    /// Nanoseconds; `None`: events may come however late.
    lateness: Option<u64>,
    hashers: [KeptHasher; 2],
    seen: AHashMap<u128, Times>,
    room: Room,
    /// Findings of intervals that are not settled, by the interval's start and the tuple's hash.
    findings: BTreeMap<(i64, u128), Finding>,
    /// Findings that changed since they were last told, in emission at once.
    touched: Vec<(i64, u128)>,
    /// Findings told before that do not hold.
    gone: Vec<Match>,
    watermark: Instant,
    newest: Instant,
    /// Intervals that start before are settled.
    settled: i64,
    /// When tuples that are too old are looked for next.
    next_sweep: i64,
    /// Bytes of findings, and of times that stand outside the table.
    held_bytes: usize,
    statistics: RuleStatistics,
}

/// Times in milliseconds at which a tuple was seen, ascending.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Times(SmallVec<[i64; 2]>);

/// A tuple that is new in an interval.
#[derive(Debug, Deserialize, Serialize)]
struct Finding {
    keys: JoinKey,
    ordinal: Ordinal,
    #[serde(with = "state::event")]
    event: Arc<Event>,
    /// What was told of it.
    told: Option<Box<Match>>,
    touched: bool,
}

impl FirstSeenOperator {
    pub(crate) fn new(rule: RuleIndex, query: &FirstSeen, emit: Emit, lateness: Option<u64>) -> Self {
        let grid = Grid::new(query.interval);
        Self {
            rule,
            grid,
            reach: millis(query.history).saturating_sub(grid.interval()).max(0),
            emit,
            lateness,
            hashers: [KeptHasher::default(), KeptHasher::default()],
            seen: AHashMap::new(),
            room: Room::default(),
            findings: BTreeMap::new(),
            touched: Vec::new(),
            gone: Vec::new(),
            watermark: BEGINNING,
            newest: BEGINNING,
            settled: i64::MIN,
            next_sweep: i64::MIN,
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
        let start = self.grid.start(time);
        let is_late = start < self.settled;
        if is_late {
            self.statistics.late += 1;
            if time < self.settled.saturating_sub(self.reach) {
                return;
            }
        } else {
            self.statistics.candidates += 1;
        }
        self.newest = self.newest.max(ordinal.time);
        let keys = step.keys();
        let hash = self.hash(&keys);
        let times = self.seen.entry(hash).or_default();
        let is_new = !times.any_within(start.saturating_sub(self.reach), start);
        self.held_bytes -= times.heap_bytes();
        // The earliest time of every finding is among the times: a time is only left out between two others that are close.
        for later in times.after(time) {
            let found = self.grid.start(later);
            if found > time
                && found.saturating_sub(self.reach) <= time
                && let Some(finding) = self.findings.remove(&(found, hash))
            {
                self.held_bytes -= finding.bytes();
                self.gone.extend(finding.told.map(|told| *told));
            }
        }
        times.add(time, self.reach);
        self.held_bytes += times.heap_bytes();
        self.room.hold(self.seen.len());
        if is_late {
            return;
        }
        let place = (start, hash);
        let finding = match self.findings.get_mut(&place) {
            Some(finding) if *ordinal < finding.ordinal => {
                self.held_bytes -= finding.bytes();
                finding.ordinal = ordinal.clone();
                finding.event = Arc::clone(step.event());
                finding
            }
            None if is_new => self.findings.entry(place).or_insert(Finding {
                keys: keys.into_iter().collect(),
                ordinal: ordinal.clone(),
                event: Arc::clone(step.event()),
                told: None,
                touched: false,
            }),
            _ => return,
        };
        self.held_bytes += finding.bytes();
        if self.emit == Emit::AtOnce && !std::mem::replace(&mut finding.touched, true) {
            self.touched.push(place);
        }
    }

    fn hash(&self, keys: &[Option<Value>]) -> u128 {
        let [high, low] = &self.hashers;
        u128::from(high.hash_one(keys)) << 64 | u128::from(low.hash_one(keys))
    }

    /// No event before `watermark` less the lateness comes any more.
    pub(crate) fn advance(&mut self, watermark: Instant, outcomes: &mut Vec<Outcome>) {
        self.watermark = self.watermark.max(watermark);
        self.tell_touched(outcomes);
        if let Some(lateness) = self.lateness {
            self.settle(earlier_by(self.watermark, lateness), outcomes);
        }
        if self.settled >= self.next_sweep {
            self.sweep();
            self.next_sweep = self
                .settled
                .saturating_add((self.reach / 8).max(self.grid.interval()));
        }
    }

    /// Tells what changed, when findings are told at once.
    fn tell_touched(&mut self, outcomes: &mut Vec<Outcome>) {
        let mut found = Vec::new();
        let mut gone = std::mem::take(&mut self.gone);
        for place in std::mem::take(&mut self.touched) {
            let Some(finding) = self.findings.get_mut(&place) else {
                continue;
            };
            finding.touched = false;
            self.held_bytes -= finding.bytes();
            let told = to_match(self.rule, self.grid, place.0, finding);
            gone.extend(finding.told.replace(Box::new(told.clone())).map(|told| *told));
            self.held_bytes += finding.bytes();
            found.push(told);
        }
        sort(&mut gone);
        self.statistics.retracted += gone.len() as u64;
        outcomes.extend(gone.into_iter().map(Outcome::Retracted));
        self.tell(found, outcomes);
    }

    fn tell(&mut self, mut found: Vec<Match>, outcomes: &mut Vec<Outcome>) {
        sort(&mut found);
        self.statistics.finished += found.len() as u64;
        outcomes.extend(found.into_iter().map(Outcome::Found));
    }

    /// Intervals that end at the frontier or before are settled.
    fn settle(&mut self, frontier: Instant, outcomes: &mut Vec<Outcome>) {
        self.settled = self.settled.max(self.grid.start(frontier.as_millis()));
        let open = self.findings.split_off(&(self.settled, 0));
        let settled = std::mem::replace(&mut self.findings, open);
        self.conclude(settled, outcomes);
    }

    fn conclude(&mut self, settled: BTreeMap<(i64, u128), Finding>, outcomes: &mut Vec<Outcome>) {
        let mut found = Vec::new();
        for ((start, _), finding) in settled {
            self.held_bytes -= finding.bytes();
            if finding.told.is_none() {
                found.push(to_match(self.rule, self.grid, start, &finding));
            }
        }
        self.tell(found, outcomes);
    }

    /// Forgets what no interval that is still open can ask for.
    fn sweep(&mut self) {
        let (settled, reach, held_bytes) = (self.settled, self.reach, &mut self.held_bytes);
        self.seen.retain(|_, times| {
            *held_bytes -= times.heap_bytes();
            times.forget(settled, reach);
            *held_bytes += times.heap_bytes();
            !times.0.is_empty()
        });
        if self.room.is_wide(self.seen.len()) {
            self.seen.shrink_to_fit();
            self.room.shrink(self.seen.len());
        }
    }

    /// No event comes any more.
    pub(crate) fn finish(&mut self, outcomes: &mut Vec<Outcome>) {
        self.tell_touched(outcomes);
        let findings = std::mem::take(&mut self.findings);
        self.conclude(findings, outcomes);
        self.settled = i64::MAX;
        self.seen = AHashMap::new();
        self.room = Room::default();
        self.held_bytes = 0;
    }

    /// Releases memory, down to a part of `limit`: first what is older than the rule's lateness behind the newest event is
    /// settled, then everything, and only when that is not enough, but `must` be, the tuples that were not seen for longest are
    /// forgotten, half of them at a time. Such a tuple is found again as if it were new, so each is counted.
    pub(crate) fn relieve(&mut self, limit: usize, must: bool, outcomes: &mut Vec<Outcome>) {
        let enough = limit / 8 * 7;
        self.tell_touched(outcomes);
        let window = self.lateness.unwrap_or(PRESSURE_WINDOW);
        self.settle(earlier_by(self.newest, window), outcomes);
        self.sweep();
        self.seen.shrink_to_fit();
        self.room.shrink(self.seen.len());
        if self.bytes() > enough {
            let findings = std::mem::take(&mut self.findings);
            if let Some((newest, _)) = findings.keys().next_back() {
                self.settled = self.settled.max(newest.saturating_add(self.grid.interval()));
            }
            self.conclude(findings, outcomes);
        }
        while must && self.bytes() > enough && !self.seen.is_empty() {
            let mut newest: Vec<Option<i64>> = self.seen.values().map(Times::newest).collect();
            let middle = (newest.len() - 1) / 2;
            let cut = *newest.select_nth_unstable(middle).1;
            let (held_bytes, evicted) = (&mut self.held_bytes, &mut self.statistics.evicted);
            self.seen.retain(|_, times| {
                let stays = times.newest() > cut;
                if !stays {
                    *held_bytes -= times.heap_bytes();
                    *evicted += 1;
                }
                stays
            });
            self.seen.shrink_to_fit();
            self.room.shrink(self.seen.len());
        }
    }

    pub(crate) fn save(&self, to: &mut StateWriter) -> Result<Vec<u8>, BadState> {
        to.write(&(
            &self.hashers,
            &self.seen,
            &self.findings,
            &self.gone,
            (self.watermark, self.newest, self.settled, self.next_sweep),
            self.statistics,
        ))
    }

    /// Takes over what [`Self::save`] wrote, in place of what it holds.
    pub(crate) fn restore(&mut self, section: &[u8], from: &mut StateReader) -> Result<(), BadState> {
        let (hashers, seen, findings, gone, times, statistics) = from.read(section)?;
        (self.hashers, self.seen, self.findings, self.gone, self.statistics) =
            (hashers, seen, findings, gone, statistics);
        (self.watermark, self.newest, self.settled, self.next_sweep) = times;
        self.room.shrink(self.seen.len());
        let touched = self.findings.iter().filter(|(_, finding)| finding.touched);
        self.touched = touched.map(|(place, _)| *place).collect();
        self.held_bytes = self.findings.values().map(Finding::bytes).sum::<usize>()
            + self.seen.values().map(Times::heap_bytes).sum::<usize>();
        Ok(())
    }

    /// Bytes of state: findings with their events, and the tuples that are remembered.
    pub(crate) fn bytes(&self) -> usize {
        self.held_bytes
            + self.room.bytes(size_of::<(u128, Times)>())
            + self.touched.capacity() * size_of::<(i64, u128)>()
    }

    pub(crate) fn statistics(&self) -> RuleStatistics {
        RuleStatistics {
            keys: self.seen.len() as u64,
            ..self.statistics
        }
    }
}

impl Times {
    /// Whether there is a time in `[from, to)`.
    fn any_within(&self, from: i64, to: i64) -> bool {
        let before = self.0.partition_point(|time| *time < to).checked_sub(1);
        before
            .and_then(|last| self.0.get(last))
            .is_some_and(|time| *time >= from)
    }

    fn after(&self, time: i64) -> impl Iterator<Item = i64> {
        self.0.iter().copied().filter(move |later| *later > time)
    }

    /// Adds a time. Of three times in a row the middle one tells nothing that the outer ones do not tell, where those are
    /// not further apart than `reach`: every span `[start - reach, start)` with the middle one has one of the others.
    fn add(&mut self, time: i64, reach: i64) {
        let place = self.0.partition_point(|other| *other < time);
        if self.0.get(place) == Some(&time) {
            return;
        }
        self.0.insert(place, time);
        for middle in [Some(place + 1), Some(place), place.checked_sub(1)]
            .into_iter()
            .flatten()
        {
            let before = middle.checked_sub(1).and_then(|before| self.0.get(before));
            if let (Some(before), Some(after)) = (before, self.0.get(middle + 1))
                && after.saturating_sub(*before) <= reach
            {
                self.0.remove(middle);
            }
        }
    }

    /// Drops what no interval from `settled` on can ask for.
    fn forget(&mut self, settled: i64, reach: i64) {
        let oldest = settled.saturating_sub(reach);
        let before = self.0.partition_point(|time| *time < settled);
        // Of the times before, the last one answers for all.
        let mut drop = before.saturating_sub(1);
        if before > 0 && self.0.get(before - 1).is_some_and(|time| *time < oldest) {
            drop = before;
        }
        self.0.drain(..drop);
        self.0.shrink_to_fit();
    }

    fn newest(&self) -> Option<i64> {
        self.0.last().copied()
    }

    fn heap_bytes(&self) -> usize {
        if self.0.spilled() {
            self.0.capacity() * size_of::<i64>()
        } else {
            0
        }
    }
}

impl Finding {
    fn bytes(&self) -> usize {
        let told = match &self.told {
            // The event counts once more: it may be another one by now.
            Some(told) => {
                let event = told.events.iter().find_map(|(_, event)| event.as_ref());
                size_of::<Match>() + key_bytes(&told.keys) + event.map_or(0, |event| event.memory_bytes())
            }
            None => 0,
        };
        let tiebreaker = self.ordinal.tiebreaker.as_ref().map_or(0, Value::heap_bytes);
        // Nodes of the map are at least half full.
        2 * size_of::<((i64, u128), Self)>()
            + COUNTERS
            + key_bytes(&self.keys)
            + tiebreaker
            + self.event.memory_bytes()
            + told
    }
}

fn to_match(rule: RuleIndex, grid: Grid, start: i64, finding: &Finding) -> Match {
    let (from, to) = instants(start, start.saturating_add(grid.interval()));
    Match {
        rule,
        keys: finding.keys.to_vec(),
        events: vec![(0, Some(Arc::clone(&finding.event)))],
        first: Some(finding.ordinal.time),
        last: Some(finding.ordinal.clone()),
        window: Some(Window {
            from,
            to,
            tally: None,
        }),
    }
}

fn sort(matches: &mut [Match]) {
    matches.sort_by(|a, b| a.last.cmp(&b.last).then_with(|| compare_keys(&a.keys, &b.keys)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_thinned_out_without_changing_any_answer() {
        let reach = 10;
        let mut state = 7_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        for _ in 0..200 {
            let mut thinned = Times::default();
            let mut all = Vec::new();
            for _ in 0..random(40) {
                let time = i64::try_from(random(100)).unwrap();
                thinned.add(time, reach);
                all.push(time);
            }
            for start in -5..120 {
                let expected = all.iter().any(|time| (start - reach..start).contains(time));
                assert_eq!(
                    thinned.any_within(start - reach, start),
                    expected,
                    "{start} of {all:?}"
                );
            }
            assert!(thinned.0.len() <= 22, "{thinned:?}");
            let mut young = Times(thinned.0.clone());
            young.forget(60, reach);
            for start in 60..120 {
                assert_eq!(
                    young.any_within(start - reach, start),
                    thinned.any_within(start - reach, start)
                );
            }
        }
    }
}
