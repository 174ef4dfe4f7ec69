//! Rules that need history are given it before they run.
//!
//! A rule that asks what was never seen before, or looks back for long, would say wrong things if it began with nothing. Such
//! a rule waits while a thread of its own runs it over the stretch of the log that it looks back on, up to where it was
//! switched on. What it should have seen meanwhile is kept and pushed when it wakes; is that too much, the thread reads on in
//! the log instead. So it misses nothing, and the other rules never wait. When the service ends before, the next one reads the
//! history again, and tells what was found behind the point where the rule was switched on.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;

use crossbeam_channel::Sender;
use neph_engine::{Operators, Outcome, RuleIndex, StepMatch};
use neph_event::Instant;
use neph_store::Store;

use crate::detect::match_workers;
use crate::input::{Chunk, Reader};
use crate::keyed::Keyed;
use crate::pipeline::{self, STACK};
use crate::reload::{Reloads, Said};
use crate::run::RunOptions;

use super::Shared;
use super::book::{Book, Memory, Way, reach};
use super::source::{LogSource, TICKS};
use super::streams::Streams;

/// Bytes of events that are kept for rules that wait.
const MOST_BYTES: usize = 64 << 20;

/// Rules with their history.
pub(crate) struct Seeded {
    /// The rules, in the order of the operators.
    pub(crate) book: Book,
    pub(crate) operators: Operators,
    /// What was found behind the points where they were switched on.
    pub(crate) found: Vec<Outcome>,
    /// Why the history is not whole.
    pub(crate) problem: Option<String>,
    /// The offset of the log up to which they have seen it.
    until: u64,
    streams: Streams,
    /// For each rule where it was switched on.
    since: Vec<u64>,
}

/// A rule that is to be given history: its place, and the offset where it was switched on, if that was before.
pub(crate) type ToSeed = (usize, Option<u64>);

/// The rules that wait.
pub(crate) struct Seeding {
    store: Arc<Store>,
    shared: Arc<Shared>,
    options: RunOptions,
    memory: Memory,
    done: Sender<Seeded>,
    /// With the offset where each was switched on.
    waiting: BTreeMap<RuleIndex, u64>,
    /// Those that have been switched on, but whose history is not being read yet.
    new: Vec<ToSeed>,
    buffered: Vec<(Vec<StepMatch>, Option<Instant>)>,
    bytes: usize,
    /// All that came behind this offset is buffered.
    whole_from: u64,
}

impl Seeding {
    pub(crate) fn new(
        store: Arc<Store>,
        shared: Arc<Shared>,
        options: RunOptions,
        memory: Memory,
        done: Sender<Seeded>,
    ) -> Self {
        Self {
            store,
            shared,
            options,
            memory,
            done,
            waiting: BTreeMap::new(),
            new: Vec::new(),
            buffered: Vec::new(),
            bytes: 0,
            whole_from: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn has(&self, rule: RuleIndex) -> bool {
        self.waiting.contains_key(&rule)
    }

    /// The places of the rules that wait, and where each was switched on.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (usize, u64)> {
        self.waiting.iter().map(|(rule, since)| (rule.0 as usize, *since))
    }

    /// Keeps what rules that wait are to see later of a block that ends at an offset, and how far time has come then.
    pub(crate) fn buffer(&mut self, steps: Vec<StepMatch>, watermark: Option<Instant>, end: u64) {
        self.bytes += steps.iter().map(StepMatch::memory_bytes).sum::<usize>();
        // How time went on matters only between events.
        match self.buffered.last_mut() {
            Some(last) if steps.is_empty() => last.1 = last.1.max(watermark),
            _ => self.buffered.push((steps, watermark)),
        }
        if self.bytes > MOST_BYTES {
            self.buffered.clear();
            self.bytes = 0;
            self.whole_from = end;
        }
    }

    /// Other rules run: `same` go on, and `seeded` are to be given history.
    pub(crate) fn change_rules(&mut self, same: &[(RuleIndex, RuleIndex)], seeded: &[ToSeed]) {
        let moved = |rule: RuleIndex| same.iter().find(|(from, _)| *from == rule).map(|(_, to)| *to);
        let waiting = self.waiting.iter();
        self.waiting = waiting
            .filter_map(|(rule, since)| Some((moved(*rule)?, *since)))
            .collect();
        for (steps, _) in &mut self.buffered {
            steps.retain_mut(|step| match moved(step.rule) {
                Some(rule) => {
                    step.rule = rule;
                    true
                }
                None => false,
            });
        }
        self.new.extend_from_slice(seeded);
    }

    /// Begins to read the history of the rules that were switched on, up to this offset.
    pub(crate) fn start(&mut self, book: &Book, until: u64, streams: &Streams) {
        let new = std::mem::take(&mut self.new);
        if new.is_empty() {
            return;
        }
        let places: Vec<usize> = new.iter().map(|(place, _)| *place).collect();
        let since: Vec<u64> = new.iter().map(|(_, since)| since.unwrap_or(until)).collect();
        self.waiting.extend(
            places
                .iter()
                .copied()
                .map(super::book::index)
                .zip(since.iter().copied()),
        );
        let own = book.only(&places);
        let begins = own.rules.iter().filter_map(|rule| reach(rule)).max().unwrap_or(0);
        // Where it is not known how far time had come, all of the log is read.
        let from = match streams.watermark() {
            Some(now) => now.saturating_sub_nanos(i128::from(begins)),
            None => Instant {
                seconds: i64::MIN / 4,
                nanos: 0,
            },
        };
        let end = Instant {
            seconds: i64::MAX,
            nanos: 0,
        };
        let blocks = self.store.log.blocks_between(from..end, None);
        let source = LogSource::new(blocks, None, until, self.options.source.clone()).within(from..end);
        let begun = Seeded {
            operators: own.operators(Way::Live, self.memory),
            book: own,
            found: Vec::new(),
            problem: None,
            until,
            streams: streams.begun_anew(),
            since,
        };
        self.read(begun, source);
    }

    /// Whether all that came since their history was read is kept for these rules.
    pub(crate) fn has_kept_all(&self, seeded: &Seeded) -> bool {
        seeded.until >= self.whole_from
    }

    /// Rules (by their places now) read on in the log up to this offset, since not all that came was kept.
    pub(crate) fn read_on(&mut self, seeded: Seeded, rules: &HashMap<RuleIndex, RuleIndex>, until: u64) {
        for (steps, _) in &mut self.buffered {
            steps.retain(|step| !rules.contains_key(&step.rule));
        }
        let blocks = self.store.log.blocks(seeded.until);
        let source = LogSource::new(blocks, None, until, self.options.source.clone());
        self.read(Seeded { until, ..seeded }, source);
    }

    fn read(&mut self, mut seeded: Seeded, source: LogSource) {
        let (done, shared, options) = (self.done.clone(), Arc::clone(&self.shared), self.options.clone());
        let started = thread::Builder::new()
            .name("neph-history".to_owned())
            .stack_size(STACK)
            .spawn(move || {
                read(&mut seeded, source, options, &shared);
                // What was not read to its end is of no use; the next start reads it again.
                if !shared.is_stopping() {
                    // The service may have ended.
                    let _ = done.send(seeded);
                }
            });
        if let Err(error) = started {
            self.shared.notice(format!("history cannot be read: {error}"));
            self.waiting.clear();
        }
    }

    /// These rules (by their places now) have got their history; what they missed meanwhile.
    pub(crate) fn finish(
        &mut self,
        rules: &HashMap<RuleIndex, RuleIndex>,
    ) -> Vec<(Vec<StepMatch>, Option<Instant>)> {
        self.waiting.retain(|rule, _| !rules.contains_key(rule));
        let mut missed = Vec::new();
        for (steps, watermark) in &mut self.buffered {
            let (own, others) = std::mem::take(steps)
                .into_iter()
                .partition(|step| rules.contains_key(&step.rule));
            *steps = others;
            missed.push((own, *watermark));
        }
        if self.waiting.is_empty() {
            self.buffered.clear();
            self.bytes = 0;
        }
        missed
    }
}

/// Runs rules over a stretch of the log as they would have run when it came.
fn read(seeded: &mut Seeded, source: LogSource, mut options: RunOptions, shared: &Shared) {
    // One thread, so that what runs live keeps the others.
    options.threads = 1;
    let Seeded {
        book,
        operators,
        found: told,
        problem,
        streams,
        since,
        ..
    } = seeded;
    let mut reader = Reader::of(Box::new(source), true);
    let cancelled = reader.cancel_flag();
    let reloads: Reloads<()> = Reloads::default();
    let run = match_workers(&book.program, &reloads, true, &options)
        .map_err(crate::RunError::from)
        .and_then(|mut workers| {
            let mut keyed = Keyed::new(operators, &reloads, &options);
            let mut said = Vec::new();
            pipeline::run(&mut reader, &mut workers, |chunk: &mut Chunk, outcome| {
                let mut found = outcome.found;
                if let Some((from, to, why)) = &chunk.mark.lost {
                    *problem = Some(format!("history is not whole: offsets {from} to {to}: {why}"));
                }
                let has_records = chunk.mark.records > 0 && **chunk.source() != *TICKS;
                found.latest = chunk.mark.received.and_then(|received| {
                    streams.take(has_records.then_some(chunk.source()), received, found.latest)
                });
                keyed.push(found, &mut said);
                for said in said.drain(..) {
                    let Said::Outcome(outcome) = said else { continue };
                    let (Outcome::Found(found) | Outcome::Retracted(found)) = &outcome;
                    // What was found before is known, or was before the rule.
                    let since = since.get(found.rule.0 as usize);
                    if since.is_some_and(|since| chunk.mark.offsets.start >= *since) {
                        told.push(outcome);
                    }
                }
                match shared.is_stopping() {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            })
        });
    cancelled.store(true, std::sync::atomic::Ordering::Relaxed);
    if let Err(error) = run {
        *problem = Some(format!("history cannot be read: {error}"));
    }
}
