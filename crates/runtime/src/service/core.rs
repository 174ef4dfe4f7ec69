//! What happens to the blocks in their order: time, operators, alerts, what is committed.
//!
//! Everything here follows from the log and the rules, and from no clock, so that after a restart the same blocks make the
//! same alerts. Changes of blocks that were committed before are made again, for the sake of state, and then left out.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use crossbeam_channel::{Receiver, Sender};
use neph_engine::{Outcome as EngineOutcome, RuleIndex};
use neph_event::Instant;
use neph_rules::{AlertFlow, Told};
use neph_store::{AlertChange, LedgerRow, LossRow, Unseen, UnseenKind};

use crate::events::Found;
use crate::input::{Chunk, HeldLines, Mark};
use crate::keyed::Keyed;
use crate::reload::Said;
use crate::run::Outcome;
use crate::steps::Steps;

use super::book::{Book, index};
use super::commit::{Batch, Job, millis, said};
use super::names::Names;
use super::seed::{Seeded, Seeding, ToSeed};
use super::source::TICKS;
use super::streams::Streams;
use super::{Shared, image, stored};

/// Rules that take the place of others.
pub(crate) struct Switch {
    pub(crate) book: Arc<Book>,
    /// New rules that are given history before they run.
    pub(crate) seeded: Vec<ToSeed>,
}

/// How often, and after how many blocks, what was made is committed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rhythm {
    pub(crate) every: Duration,
    pub(crate) blocks: usize,
}

/// The part of the pipeline that goes through the blocks in order.
pub(crate) struct Core<'a> {
    pub(crate) keyed: Keyed<'a, Switch>,
    pub(crate) flow: AlertFlow,
    pub(crate) book: Arc<Book>,
    pub(crate) streams: Streams,
    /// Blocks before this offset are committed.
    pub(crate) committed: u64,
    /// Everything before is done.
    pub(crate) reached: u64,
    pub(crate) rhythm: Rhythm,
    pub(crate) shared: Arc<Shared>,
    pub(crate) jobs: Sender<Job>,
    /// Rules that wait for history, and what they missed so far.
    pub(crate) seeding: Seeding,
    pub(crate) seeded: Receiver<Seeded>,
    pub(crate) batch: Batch,
    pub(crate) begun: Option<Clock>,
    pub(crate) blocks: usize,
    /// Bytes of alerts that wait to be committed.
    pub(crate) alert_bytes: usize,
    /// For each rule how late its events may come.
    pub(crate) lateness: Vec<Option<u64>>,
    /// Where records say that they belong.
    pub(crate) names: Names,
}

/// So many bytes of alerts are committed at once, so that a flood does not fill memory.
const MOST_ALERT_BYTES: usize = 16 << 20;

/// For each rule that keeps state how late events may come, in nanoseconds.
pub(crate) fn lateness_of(book: &Book) -> Vec<Option<u64>> {
    let stateful =
        |rule: &Arc<neph_rules::Rule>| super::book::reach(rule).map(|_| rule.schedule.lateness_nanos());
    book.rules.iter().map(stateful).collect()
}

impl Core<'_> {
    /// Takes what the workers made of a chunk.
    pub(crate) fn take(&mut self, chunk: &mut Chunk, outcome: Outcome<Found>) -> ControlFlow<()> {
        let Outcome { tally, mut found } = outcome;
        let mark = std::mem::take(&mut chunk.mark);
        self.change_rules(found.generation);
        while let Ok(seeded) = self.seeded.try_recv() {
            self.wake(seeded);
        }
        if let Some((from, to, why)) = &mark.lost {
            self.lose(*from, *to, why);
        }
        let stream = chunk.source();
        // Lines that are let go before a block come with nothing of the log's own.
        let is_told = match mark.offsets.is_empty() {
            true => mark.offsets.start >= self.committed,
            false => mark.offsets.end > self.committed,
        };
        if let Some(received) = mark.received {
            let has_records = mark.records > 0 && **stream != *TICKS;
            let times = found.earliest.zip(found.latest);
            let late = self.count_late(stream, &found.steps, is_told);
            let watermark = self
                .streams
                .take(has_records.then_some(stream), received, found.latest);
            if !mark.offsets.is_empty() {
                self.account(stream, &mark, &found, &tally, times, late);
            }
            found.latest = watermark;
            let told = self.evaluate(found, mark.offsets.end);
            if is_told {
                self.alert(told);
            }
            self.reached = self.reached.max(mark.offsets.end);
            self.shared.status(|status| {
                status.reached = self.reached;
                status.watermark = watermark.map(|time| time.to_string());
            });
        }
        let is_rest = mark.received.is_none();
        let is_due = self
            .begun
            .is_some_and(|begun| begun.elapsed() >= self.rhythm.every)
            || self.blocks >= self.rhythm.blocks
            || self.alert_bytes >= MOST_ALERT_BYTES;
        let keeps = mark.joiners.is_some();
        if (is_rest || is_due || keeps) && !self.commit() {
            return ControlFlow::Break(());
        }
        match mark.joiners {
            Some(joiners) => self.keep(joiners),
            None => ControlFlow::Continue(()),
        }
    }

    /// Goes on with the rules that the chunk was held against.
    fn change_rules(&mut self, generation: u64) {
        if generation == self.keyed.generation {
            return;
        }
        let mut said = Vec::new();
        self.keyed.change_rules(generation, &mut said);
        let mut told = Vec::new();
        for said in said {
            match said {
                Said::Outcome(outcome) => self.flow.take(outcome, &mut told),
                Said::Changed { with, same, .. } => {
                    self.flow.change_rules(with.book.rules.clone(), &same, &mut told);
                    self.seeding.change_rules(&same, &with.seeded);
                    self.book = with.book;
                    self.lateness = lateness_of(&self.book);
                    self.names.change_rules();
                    let _ = self.commit();
                    let _ = self.jobs.send(Job::Rules(self.book.set.clone()));
                    self.seeding.start(&self.book, self.reached, &self.streams);
                }
            }
        }
        self.alert(told);
        self.tell_rules();
    }

    pub(crate) fn tell_rules(&self) {
        let waiting: Vec<String> = self
            .seeding
            .waiting()
            .filter_map(|(place, _)| self.book.rules.get(place))
            .map(|rule| rule.id.clone())
            .collect();
        self.shared.status(|status| {
            status.rule_set.clone_from(&self.book.set.id);
            status.rules = self.book.rules.len() as u64;
            status.seeding = waiting;
        });
    }

    /// Pushes what was found to the operators, but for rules that wait for history.
    fn evaluate(&mut self, mut found: Found, end: u64) -> Vec<Told> {
        if !self.seeding.is_empty() {
            let watermark = found.latest;
            let waits = found.steps.extract(|step| self.seeding.has(step.rule));
            self.seeding.buffer(waits, watermark, end);
        }
        let mut said = Vec::new();
        self.keyed.push(found, &mut said);
        self.tell(said)
    }

    fn tell(&mut self, said: Vec<Said<Switch>>) -> Vec<Told> {
        let mut told = Vec::new();
        for said in said {
            if let Said::Outcome(outcome) = said {
                self.flow.take(outcome, &mut told);
            }
        }
        told
    }

    /// Rules have got their history: they go on with what they missed meanwhile.
    fn wake(&mut self, seeded: Seeded) {
        let places: HashMap<&str, usize> = self.book.keys.iter().map(String::as_str).zip(0..).collect();
        let place = |key: &String| places.get(key.as_str()).copied().map(index);
        let pairs: Vec<(RuleIndex, RuleIndex)> = seeded
            .book
            .keys
            .iter()
            .enumerate()
            .filter_map(|(from, key)| Some((index(from), place(key)?)))
            .filter(|(_, to)| self.seeding.has(*to))
            .collect();
        let rules: HashMap<RuleIndex, RuleIndex> = pairs.iter().map(|(from, to)| (*to, *from)).collect();
        if pairs.is_empty() {
            return;
        }
        if !self.seeding.has_kept_all(&seeded) {
            return self.seeding.read_on(seeded, &rules, self.reached);
        }
        let mut operators = seeded.operators;
        // By themselves, since time has gone on for the others.
        let mut outcomes = seeded.found;
        for (steps, watermark) in self.seeding.finish(&rules) {
            for mut step in steps {
                if let Some(own) = rules.get(&step.rule) {
                    step.rule = *own;
                    operators.push(step, &mut outcomes);
                }
            }
            if let Some(watermark) = watermark {
                operators.advance(watermark, &mut outcomes);
            }
        }
        let mut told = Vec::new();
        for mut outcome in outcomes {
            let (EngineOutcome::Found(found) | EngineOutcome::Retracted(found)) = &mut outcome;
            if let Some((_, to)) = pairs.iter().find(|(from, _)| *from == found.rule) {
                found.rule = *to;
                self.flow.take(outcome, &mut told);
            }
        }
        self.keyed.operators.adopt(&mut operators, &pairs);
        self.alert(told);
        if let Some(problem) = seeded.problem {
            self.shared.notice(problem);
        }
        self.tell_rules();
    }

    /// Records that came when what they belong to had been decided: how many, and what rules missed by that.
    fn count_late(&mut self, stream: &Arc<str>, steps: &Steps, is_told: bool) -> u64 {
        let Some(watermark) = self.streams.watermark() else {
            return 0;
        };
        let mut late = HashSet::new();
        let mut missed: BTreeMap<RuleIndex, (Instant, Instant, HashSet<u64>)> = BTreeMap::new();
        for step in steps.iter() {
            let (Some(ordinal), Some(Some(lateness))) =
                (step.ordinal(), self.lateness.get(step.rule.0 as usize))
            else {
                continue;
            };
            if ordinal.time < watermark.saturating_sub_nanos(i128::from(*lateness)) {
                late.insert(step.position());
                let (from, to, records) = missed
                    .entry(step.rule)
                    .or_insert_with(|| (ordinal.time, ordinal.time, HashSet::new()));
                (*from, *to) = ((*from).min(ordinal.time), (*to).max(ordinal.time));
                records.insert(step.position());
            }
        }
        for (rule, (from, to, records)) in missed.into_iter().filter(|_| is_told) {
            if let Some(rule) = self.book.rules.get(rule.0 as usize) {
                self.batch.unseen.push(Unseen {
                    kind: UnseenKind::Late,
                    stream: stream.to_string(),
                    rule: rule.id.clone(),
                    from,
                    to: to.saturating_add_nanos(1),
                    records: records.len() as u64,
                    why: "records came when the windows they belong to were decided".to_owned(),
                    ended: true,
                });
            }
        }
        late.len() as u64
    }

    /// The ledger row of a block.
    fn account(
        &mut self,
        stream: &Arc<str>,
        mark: &Mark,
        found: &Found,
        tally: &crate::run::Tally,
        times: Option<(Instant, Instant)>,
        late: u64,
    ) {
        self.begun.get_or_insert_with(Clock::now);
        self.blocks += 1;
        let received = mark.received.unwrap_or_default();
        self.batch.received = self.batch.received.or(Some(received));
        self.batch.times.push((mark.offsets.clone(), times));
        let names = self.names.count(&self.book, stream, &found.places, &self.shared);
        let refused = found.refused.min(mark.records);
        let dropped = found.dropped.min(mark.records - refused);
        let events = tally.events.values().sum();
        self.shared.status(|status| {
            status.records += mark.records;
            status.events += events;
            status.refused += refused;
            status.dropped += dropped;
            status.unrecognised += found.unrecognised;
            status.late += late;
            status.untimed += found.untimed;
        });
        if **stream == *TICKS || mark.offsets.end <= self.committed {
            return;
        }
        self.shared.note_problems(tally);
        self.batch.ledger.push(LedgerRow {
            stream: stream.to_string(),
            received,
            rule_set: self.book.set.id.clone(),
            offsets: mark.offsets.clone(),
            times,
            evaluated: mark.records - refused - dropped,
            refused,
            dropped,
            events,
            unrecognised: found.unrecognised.min(mark.records),
            late,
            bytes: mark.offsets.end - mark.offsets.start,
            untimed: found.untimed.min(mark.records - refused - dropped),
            names,
        });
    }

    fn lose(&mut self, from: u64, to: u64, why: &str) {
        let at = self.shared.now();
        self.batch.losses.push(LossRow {
            stream: String::new(),
            from: at,
            to: at,
            records: None,
            why: format!("the log cannot be read from offset {from} to {to}: {why}"),
        });
        self.reached = self.reached.max(to);
        self.begun.get_or_insert_with(Clock::now);
    }

    fn alert(&mut self, told: Vec<Told>) {
        for told in told {
            self.begun.get_or_insert_with(Clock::now);
            let change = match told {
                Told::Raised(alert) => stored::alert(alert).map(AlertChange::Raised),
                Told::Updated(alert) => stored::alert(alert).map(AlertChange::Updated),
                Told::Retracted(alert) => Ok(AlertChange::Retracted { id: alert.id }),
            };
            match change {
                Ok(change) => {
                    if let AlertChange::Raised(alert) | AlertChange::Updated(alert) = &change {
                        self.alert_bytes += alert.document.len();
                    }
                    self.batch.alerts.push(change);
                }
                Err(error) => self.shared.notice(said(&error)),
            }
        }
    }

    /// Hands on what was made; `false` if nobody takes it any more.
    fn commit(&mut self) -> bool {
        if self.begun.take().is_none() {
            return true;
        }
        self.blocks = 0;
        self.alert_bytes = 0;
        let mut batch = std::mem::take(&mut self.batch);
        batch.processed = self.reached.max(self.committed);
        self.jobs.send(Job::Commit(batch)).is_ok()
    }

    /// Writes down all state.
    fn keep(&mut self, joiners: Vec<HeldLines>) -> ControlFlow<()> {
        let began = Clock::now();
        let waiting: Vec<(usize, u64)> = self.seeding.waiting().collect();
        let written = image::write(
            &self.book,
            self.keyed.operators,
            &self.flow,
            &self.streams,
            joiners,
            &waiting,
        );
        self.shared.status(|status| {
            status.snapshot_millis = millis(began.elapsed());
            status.state_bytes = self.keyed.operators.state_bytes() as u64;
            status.streams = self.streams.iter().map(super::StreamStatus::of).collect();
        });
        let sent = match written {
            Ok(written) => self.jobs.send(Job::Snapshot(self.reached, written)),
            Err(error) => {
                self.shared
                    .status(|status| status.snapshot_problem = Some(error.to_string()));
                Ok(())
            }
        };
        match sent {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}
