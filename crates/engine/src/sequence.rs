//! The sequence operator of one rule: partitions by join key, the schedule that visits them, and the bound on memory.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use ahash::AHashMap;
use neph_event::{Instant, Value};
use neph_plan::Sequence;

use crate::candidate::{
    BEGINNING, Candidate, END, JoinKey, Meter, Room, compare_keys, earlier_by, key_bytes, later_by,
};
use crate::operators::{Emit, Outcome, RuleStatistics};
use crate::partition::{Partition, Verdict};
use crate::shape::{Role, Shape};
use crate::sighting;
use crate::state::{BadState, StateReader, StateWriter};
use crate::waiting::{Held, Waiting};
use crate::{Event, RuleIndex, StepMatch};

/// How far back events are kept under memory pressure by a rule that has neither a lateness nor a `maxspan`: 5 minutes.
const PRESSURE_WINDOW: u64 = 300_000_000_000;

/// Under pressure, memory goes down to this part of the limit, so that the next relief is not due at once.
const RELIEF: (usize, usize) = (7, 8);

/// Runs one sequence.
#[derive(Debug)]
pub(crate) struct SequenceOperator {
    rule: RuleIndex,
    shape: Shape,
    emit: Emit,
    /// Nanoseconds; `None`: events may come however late.
    lateness: Option<u64>,
    /// What came while some step had not been seen, in place of partitions: one of the two is empty. Where nothing is told
    /// before all has come, all that is not settled.
    waiting: Waiting,
    partitions: AHashMap<JoinKey, Partition>,
    room: Room,
    /// Partitions by the watermark after which they have something to do. An entry holds only if the partition says so.
    schedule: BinaryHeap<Reverse<(Instant, JoinKey)>>,
    /// Partitions to be looked at when the watermark next moves, in emission at once.
    touched: Vec<JoinKey>,
    watermark: Instant,
    /// Events before this one are settled, and late when they come now.
    frontier: Instant,
    /// Time of the newest event.
    newest: Instant,
    /// Stands for the events of steps that must not happen, of which only the time counts.
    bare: Arc<Event>,
    meter: Arc<Meter>,
    statistics: RuleStatistics,
}

impl SequenceOperator {
    pub(crate) fn new(rule: RuleIndex, sequence: &Sequence, emit: Emit, lateness: Option<u64>) -> Self {
        Self {
            rule,
            shape: Shape::new(sequence),
            emit,
            lateness,
            waiting: Waiting::default(),
            partitions: AHashMap::new(),
            room: Room::default(),
            schedule: BinaryHeap::new(),
            touched: Vec::new(),
            watermark: BEGINNING,
            frontier: BEGINNING,
            newest: BEGINNING,
            bare: Arc::new(Event::bare()),
            meter: Arc::default(),
            statistics: RuleStatistics::default(),
        }
    }

    /// Takes a step match.
    pub(crate) fn push(&mut self, step: StepMatch) {
        let StepMatch {
            step,
            keys,
            time,
            mut bytes,
            is_bare,
            sighting,
            ..
        } = step;
        let Some(role) = self.shape.role(step) else {
            return;
        };
        let Some(time) = time else {
            self.statistics.untimed += 1;
            return;
        };
        if time < self.frontier {
            self.statistics.late += 1;
            return;
        }
        self.newest = self.newest.max(time);
        let mut held = Held::new(step, time, keys, sighting);
        if matches!(role, Role::Forbidden { .. } | Role::ForbiddenAtEnd) && !is_bare {
            (held, bytes) = held.without_event(&self.bare);
        }
        if self.must_wait(step) {
            self.statistics.candidates += 1;
            self.waiting.push(held, bytes);
            return;
        }
        self.wake();
        self.place(held);
    }

    /// Whether nothing can match even with an event of this step. Where state would only grow that way, it is put into
    /// partitions all the same, of which each needs no more than the latest partial sequences.
    fn must_wait(&self, step: u16) -> bool {
        if self.is_told_at_end() {
            return true;
        }
        if !self.partitions.is_empty() {
            return false;
        }
        let missing = self.waiting.first_missing(&self.shape, Some(step));
        let is_bounded = self.shape.maxspan.is_some() || self.lateness.is_none();
        missing.is_some_and(|slot| is_bounded || (slot == 0 && !self.shape.starts_missing))
    }

    /// Whether nothing is settled before all has come, but under pressure.
    fn is_told_at_end(&self) -> bool {
        self.emit == Emit::WhenFinal && self.lateness.is_none()
    }

    /// Puts what waits into partitions.
    fn wake(&mut self) {
        let waiting = std::mem::take(&mut self.waiting).into_held();
        self.place_all(waiting);
    }

    fn place_all(&mut self, waiting: impl IntoIterator<Item = Held>) {
        for held in waiting {
            // It was counted when it came, and is counted again.
            self.statistics.candidates = self.statistics.candidates.saturating_sub(1);
            self.place(held);
        }
    }

    /// Puts a candidate into its partition.
    fn place(&mut self, held: Held) {
        let Some(ordinal) = held.ordinal().cloned() else {
            return;
        };
        let time = held.time;
        let keys = held.keys();
        let partition = match self.partitions.get_mut(keys.as_slice()) {
            Some(partition) => partition,
            None => {
                self.meter.add(key_bytes(&keys));
                self.room.hold(self.partitions.len() + 1);
                let key: JoinKey = keys.iter().cloned().collect();
                self.partitions.entry(key).or_default()
            }
        };
        let meter = &self.meter;
        let event = Arc::clone(held.event());
        let is_new = partition.add(&self.shape, held.step, ordinal, event, |ordinal, event| {
            Candidate::new(ordinal, event, meter)
        });
        if !is_new {
            self.statistics.duplicates += 1;
            return;
        }
        self.statistics.candidates += 1;
        charge(partition, meter);
        let visit_again = self.emit == Emit::AtOnce && !std::mem::replace(&mut partition.touched, true);
        let wake = self.lateness.map(|lateness| later_by(time, lateness));
        let wake = wake.filter(|wake| partition.wake.is_none_or(|planned| *wake < planned));
        if !visit_again && wake.is_none() {
            return;
        }
        if wake.is_some() {
            partition.wake = wake;
        }
        let Some((key, _)) = self.partitions.get_key_value(keys.as_slice()) else {
            return;
        };
        self.schedule
            .extend(wake.map(|wake| Reverse((wake, Arc::clone(key)))));
        if visit_again {
            self.touched.push(Arc::clone(key));
        }
    }

    /// No event before `watermark` less the lateness comes any more.
    pub(crate) fn advance(&mut self, watermark: Instant, outcomes: &mut Vec<Outcome>) {
        self.watermark = self.watermark.max(watermark);
        if let Some(lateness) = self.lateness {
            self.frontier = self.frontier.max(earlier_by(self.watermark, lateness));
        }
        if self.partitions.is_empty() {
            self.waiting.pass(&self.shape, self.frontier);
        }
        let mut due = std::mem::take(&mut self.touched);
        while let Some(Reverse((wake, _))) = self.schedule.peek() {
            if *wake >= self.watermark {
                break;
            }
            let Some(Reverse((wake, key))) = self.schedule.pop() else {
                break;
            };
            if let Some(partition) = self.partitions.get_mut(&key)
                && partition.wake == Some(wake)
            {
                partition.wake = None;
                if !partition.touched {
                    due.push(key);
                }
            }
        }
        let mut said = Vec::new();
        for key in due {
            let Some(partition) = self.partitions.get_mut(&key) else {
                continue;
            };
            let visit = Visit::new(&self.shape, self.emit, self.watermark, self.frontier);
            visit.pay(partition, &key, &mut said, &mut self.statistics);
            charge(partition, &self.meter);
            if partition.is_empty() {
                release(partition, &key, &self.meter);
                self.partitions.remove(&key);
                continue;
            }
            if let Some(wake) = partition.next_wake(&self.shape, self.lateness)
                && partition.wake.is_none_or(|planned| wake < planned)
            {
                partition.wake = Some(wake);
                self.schedule.push(Reverse((wake, key)));
            }
        }
        self.shrink();
        self.tell(said, outcomes);
    }

    /// No event comes any more.
    pub(crate) fn finish(&mut self, outcomes: &mut Vec<Outcome>) {
        self.watermark = END;
        if !self.is_told_at_end() {
            self.waiting = Waiting::default();
        }
        self.settle_all(END, Kept::ByKey, outcomes);
        for (key, partition) in std::mem::take(&mut self.partitions) {
            release(&partition, &key, &self.meter);
        }
        self.room = Room::default();
        self.schedule = BinaryHeap::new();
    }

    /// Releases memory, down to a part of `limit`. First what is older than the rule's lateness (without one: than
    /// `maxspan`, or 5 minutes) behind the newest event is settled, then, until it is enough, the older half of what is
    /// left. That loses nothing but the tolerance of events that come late, which are counted. Only when most of the
    /// state is partial sequences are those that began earliest given up, and only if it `must` be enough.
    pub(crate) fn relieve(&mut self, limit: usize, must: bool, outcomes: &mut Vec<Outcome>) {
        let enough = limit / RELIEF.1 * RELIEF.0;
        let window = self
            .lateness
            .unwrap_or_else(|| self.shape.maxspan.unwrap_or(0).max(PRESSURE_WINDOW));
        let settled = earlier_by(self.newest, window);
        if !self.is_told_at_end() {
            self.relieve_waiting(settled, enough);
        }
        self.settle_all(settled, Kept::Alone, outcomes);
        while self.bytes() > enough {
            let waiting = self.waiting.held().map(|held| held.time);
            let (mut pending, kept): (Vec<Instant>, Vec<Instant>) =
                waiting.partition(|time| *time >= self.frontier);
            pending.extend(self.partitions.values().flat_map(Partition::pending_times));
            let mut starts: Vec<Instant> = self.partitions.values().flat_map(Partition::starts).collect();
            if pending.len() > (starts.len() + kept.len()) / 4
                && let Some(cut) = middle(&mut pending)
            {
                self.settle_all(later_by(cut, 1), Kept::Alone, outcomes);
            } else if !must {
                return;
            } else if !kept.is_empty() {
                self.settle_all(self.frontier, Kept::ByKey, outcomes);
            } else if let Some(cut) = middle(&mut starts) {
                self.settle_all(later_by(cut, 1), Kept::After(cut), outcomes);
            } else {
                return;
            }
        }
    }

    /// The same while nothing can match: what waits is dropped where it is useless once it is settled, else it goes to
    /// partitions, which know what else is.
    fn relieve_waiting(&mut self, frontier: Instant, enough: usize) {
        if self.waiting.is_empty() {
            return;
        }
        self.frontier = self.frontier.max(frontier);
        self.waiting.drop_useless(&self.shape, self.frontier);
        let all_are_useless =
            !self.shape.starts_missing && self.waiting.first_missing(&self.shape, None) == Some(0);
        while all_are_useless && self.bytes() > enough {
            let times = self.waiting.held().map(|held| held.time);
            let Some(cut) = middle(&mut times.collect::<Vec<_>>()) else {
                return;
            };
            self.frontier = self.frontier.max(later_by(cut, 1));
            self.waiting.drop_useless(&self.shape, self.frontier);
        }
        if self.bytes() > enough {
            self.wake();
        }
    }

    /// Settles everything before `frontier`.
    fn settle_all(&mut self, frontier: Instant, kept: Kept, outcomes: &mut Vec<Outcome>) {
        self.frontier = self.frontier.max(frontier);
        if self.is_told_at_end() {
            let open = self.partitions.keys();
            let due = self
                .waiting
                .take_due(&self.shape, self.frontier, open, kept != Kept::Alone);
            self.place_all(due);
        }
        self.touched.clear();
        self.schedule.clear();
        let visit = Visit::new(&self.shape, self.emit, self.watermark, self.frontier);
        let mut said = Vec::new();
        self.partitions.retain(|key, partition| {
            visit.pay(partition, key, &mut said, &mut self.statistics);
            if let Kept::After(cut) = kept {
                self.statistics.evicted += partition.evict(cut) as u64;
            }
            charge(partition, &self.meter);
            if partition.is_empty() {
                release(partition, key, &self.meter);
                return false;
            }
            partition.wake = partition.next_wake(&self.shape, self.lateness);
            if let Some(wake) = partition.wake {
                self.schedule.push(Reverse((wake, Arc::clone(key))));
            }
            true
        });
        self.partitions.shrink_to_fit();
        self.room.shrink(self.partitions.len());
        self.schedule.shrink_to_fit();
        self.tell(said, outcomes);
    }

    /// Gives back the room of the tables when most of it is unused.
    fn shrink(&mut self) {
        if self.room.is_wide(self.partitions.len()) {
            self.partitions.shrink_to_fit();
            self.room.shrink(self.partitions.len());
        }
        if self.schedule.capacity() > 64 + 8 * self.schedule.len() {
            self.schedule.shrink_to_fit();
        }
    }

    /// Hands on what was said, in the order of results.
    fn tell(&mut self, mut said: Vec<(JoinKey, Verdict)>, outcomes: &mut Vec<Outcome>) {
        said.sort_by(|(a_key, a), (b_key, b)| {
            let (a, b) = (a.sequence().last(), b.sequence().last());
            let ordinals = a.map(|last| &last.ordinal).cmp(&b.map(|last| &last.ordinal));
            ordinals.then_with(|| compare_keys(a_key, b_key))
        });
        for (key, verdict) in said {
            let found = verdict.sequence().to_match(self.rule, &self.shape, &key);
            outcomes.push(match verdict {
                Verdict::Found(_) => {
                    self.statistics.finished += 1;
                    Outcome::Found(found)
                }
                Verdict::Retracted(_) => {
                    self.statistics.retracted += 1;
                    Outcome::Retracted(found)
                }
            });
        }
    }

    pub(crate) fn save(&self, to: &mut StateWriter) -> Result<Vec<u8>, BadState> {
        to.write(&(
            self.waiting.held().collect::<Vec<_>>(),
            &self.partitions,
            self.watermark,
            self.frontier,
            self.newest,
            self.statistics,
        ))
    }

    /// Takes over what [`Self::save`] wrote, in place of what it holds.
    pub(crate) fn restore(&mut self, section: &[u8], from: &mut StateReader) -> Result<(), BadState> {
        let meter = Arc::default();
        type Read = (
            Vec<Held>,
            AHashMap<JoinKey, Partition>,
            Instant,
            Instant,
            Instant,
            RuleStatistics,
        );
        let read: Read = from.read_metered(section, Some(&meter))?;
        let (waiting, partitions, watermark, frontier, newest, statistics) = read;
        let waiting = Waiting::of(waiting);
        let may_match = waiting.first_missing(&self.shape, None).is_none() || !partitions.is_empty();
        if !waiting.is_empty() && may_match && !self.is_told_at_end() {
            return Err(BadState::of("candidates wait for nothing"));
        }
        (self.watermark, self.frontier, self.newest) = (watermark, frontier, newest);
        self.statistics = statistics;
        self.waiting = waiting;
        self.partitions = partitions;
        self.room.shrink(self.partitions.len());
        self.meter = meter;
        self.schedule.clear();
        self.touched.clear();
        for (key, partition) in &mut self.partitions {
            partition.restored();
            self.meter.add(key_bytes(key));
            charge(partition, &self.meter);
            if let Some(wake) = partition.wake {
                self.schedule.push(Reverse((wake, Arc::clone(key))));
            }
            if partition.touched {
                self.touched.push(Arc::clone(key));
            }
        }
        Ok(())
    }

    /// Bytes of state: candidates, keys, partial sequences, and the tables at their full capacity.
    pub(crate) fn bytes(&self) -> usize {
        self.meter.bytes()
            + self.waiting.bytes()
            + self.room.bytes(size_of::<(JoinKey, Partition)>())
            + self.schedule.capacity() * size_of::<(Instant, JoinKey)>()
            + self.touched.capacity() * size_of::<JoinKey>()
    }

    pub(crate) fn statistics(&self) -> RuleStatistics {
        let waiting = self.waiting.keys().into_iter();
        let waiting = waiting.filter(|key| !self.partitions.contains_key(sighting::read(key).as_slice()));
        RuleStatistics {
            keys: (self.partitions.len() + waiting.count()) as u64,
            ..self.statistics
        }
    }
}

/// How what is settled is kept that no partner was seen of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    /// As it came, where it will be too old some day.
    Alone,
    /// By its join key, of which the latest partial sequences are enough.
    ByKey,
    /// So, but what began then or before is given up.
    After(Instant),
}

/// What a visit to a partition needs to know.
struct Visit<'a> {
    shape: &'a Shape,
    emit: Emit,
    watermark: Instant,
    frontier: Instant,
}

impl<'a> Visit<'a> {
    fn new(shape: &'a Shape, emit: Emit, watermark: Instant, frontier: Instant) -> Self {
        Self {
            shape,
            emit,
            // Under pressure the frontier goes ahead of the watermark. What it settles is certain for both machines, or
            // the one that runs ahead would tell it a second time.
            watermark: watermark.max(frontier),
            frontier,
        }
    }

    fn pay(
        &self,
        partition: &mut Partition,
        key: &JoinKey,
        said: &mut Vec<(JoinKey, Verdict)>,
        statistics: &mut RuleStatistics,
    ) {
        partition.touched = false;
        let mut verdicts = Vec::new();
        let mut twice = 0;
        if self.emit == Emit::AtOnce {
            twice += partition.speculate(self.shape, self.watermark, &mut verdicts);
        }
        twice += partition.settle(self.shape, self.frontier, &mut verdicts);
        // They were counted as candidates when they came.
        statistics.duplicates += twice as u64;
        statistics.candidates -= twice as u64;
        said.extend(verdicts.into_iter().map(|verdict| (Arc::clone(key), verdict)));
    }
}

/// Counts what the partition holds now.
fn charge(partition: &mut Partition, meter: &Meter) {
    let bytes = partition.heap_bytes();
    meter.add(bytes);
    meter.subtract(std::mem::replace(&mut partition.charged, bytes));
}

fn release(partition: &Partition, key: &[Option<Value>], meter: &Meter) {
    meter.subtract(partition.charged + key_bytes(key));
}

/// The time that half of the others are not later than.
fn middle(times: &mut [Instant]) -> Option<Instant> {
    let last = times.len().checked_sub(1)?;
    Some(*times.select_nth_unstable(last / 2).1)
}
