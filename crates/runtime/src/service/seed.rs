//! Rules that need history are given it before they run.
//!
//! A rule that asks what was never seen before, or looks back for long, would say wrong things if it began with nothing. Such
//! a rule waits while a thread of its own runs it over the stretch of the log that it looks back on, up to where it was
//! switched on. What it should have seen meanwhile is kept and pushed when it wakes, so that it misses nothing, and the other
//! rules never wait.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;

use crossbeam_channel::Sender;
use neph_engine::{Operators, RuleIndex, StepMatch};
use neph_event::Instant;
use neph_store::Store;

use crate::detect::match_workers;
use crate::input::{Chunk, Reader};
use crate::keyed::Keyed;
use crate::pipeline::{self, STACK};
use crate::reload::Reloads;
use crate::run::RunOptions;

use super::Shared;
use super::book::{Book, Memory, Way, reach};
use super::source::{LogSource, TICKS};
use super::streams::Streams;

/// Bytes of events that are kept for rules that wait; beyond, they run with what they have.
const MOST_BYTES: usize = 64 << 20;

/// Rules with their history.
pub(crate) struct Seeded {
    /// The keys of the rules, in the order of the operators.
    pub(crate) keys: Vec<String>,
    pub(crate) operators: Operators,
    /// Why the history is not whole.
    pub(crate) problem: Option<String>,
}

/// The rules that wait.
pub(crate) struct Seeding {
    store: Arc<Store>,
    shared: Arc<Shared>,
    options: RunOptions,
    memory: Memory,
    done: Sender<Seeded>,
    waiting: BTreeSet<RuleIndex>,
    /// Those that have been switched on, but whose history is not being read yet.
    new: Vec<usize>,
    buffered: Vec<(Vec<StepMatch>, Option<Instant>)>,
    bytes: usize,
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
            waiting: BTreeSet::new(),
            new: Vec::new(),
            buffered: Vec::new(),
            bytes: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn has(&self, rule: RuleIndex) -> bool {
        self.waiting.contains(&rule)
    }

    /// The places of the rules that wait.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = usize> {
        self.waiting.iter().map(|rule| rule.0 as usize)
    }

    /// Keeps what rules that wait are to see later, and how far time has come then.
    pub(crate) fn buffer(&mut self, steps: Vec<StepMatch>, watermark: Option<Instant>) {
        let bytes = |step: &StepMatch| size_of::<StepMatch>() + step.event.memory_bytes();
        self.bytes += steps.iter().map(bytes).sum::<usize>();
        // How time went on matters only between events.
        match self.buffered.last_mut() {
            Some(last) if steps.is_empty() => last.1 = last.1.max(watermark),
            _ => self.buffered.push((steps, watermark)),
        }
        if self.bytes > MOST_BYTES {
            self.shared.status(|status| {
                let count = self.waiting.len();
                let notice =
                    format!("{count} rules run without their history: too much came while it was read");
                status.notices.push(notice);
            });
            self.waiting.clear();
            self.buffered.clear();
            self.bytes = 0;
        }
    }

    /// Other rules run: `same` go on, and `seeded` are to be given history.
    pub(crate) fn change_rules(&mut self, same: &[(RuleIndex, RuleIndex)], seeded: &[usize]) {
        let moved = |rule: RuleIndex| same.iter().find(|(from, _)| *from == rule).map(|(_, to)| *to);
        self.waiting = self.waiting.iter().filter_map(|rule| moved(*rule)).collect();
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

    /// Begins to read the history of the rules that were switched on at this offset.
    pub(crate) fn start(&mut self, book: &Book, until: u64, streams: Streams) {
        let new = std::mem::take(&mut self.new);
        if new.is_empty() {
            return;
        }
        self.waiting.extend(new.iter().copied().map(super::book::index));
        let own = book.only(&new);
        let begins = own.rules.iter().filter_map(|rule| reach(rule)).max().unwrap_or(0);
        // Where it is not known how far time had come, all of the log is read.
        let from = match streams.watermark() {
            Some(now) => now.saturating_sub_nanos(i128::from(begins)),
            None => Instant {
                seconds: i64::MIN / 4,
                nanos: 0,
            },
        };
        let (store, done, options, memory) = (
            Arc::clone(&self.store),
            self.done.clone(),
            self.options.clone(),
            self.memory,
        );
        let shared = Arc::clone(&self.shared);
        let started = thread::Builder::new()
            .name("neph-history".to_owned())
            .stack_size(STACK)
            .spawn(move || {
                let seeded = read(
                    &store,
                    own,
                    from,
                    until,
                    streams.begun_anew(),
                    options,
                    memory,
                    &shared,
                );
                // The service may have ended.
                let _ = done.send(seeded);
            });
        if let Err(error) = started {
            self.shared
                .status(|status| status.notices.push(format!("history cannot be read: {error}")));
            self.waiting.clear();
        }
    }

    /// These rules (by their places now) have got their history; what they missed meanwhile.
    pub(crate) fn finish(
        &mut self,
        rules: &HashMap<RuleIndex, RuleIndex>,
    ) -> Vec<(Vec<StepMatch>, Option<Instant>)> {
        self.waiting.retain(|rule| !rules.contains_key(rule));
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

/// Runs rules over the stretch of the log from a time up to an offset, as they would have run when it came.
#[expect(
    clippy::too_many_arguments,
    reason = "what a thread is given, named one by one"
)]
fn read(
    store: &Store,
    book: Book,
    from: Instant,
    until: u64,
    mut streams: Streams,
    mut options: RunOptions,
    memory: Memory,
    shared: &Shared,
) -> Seeded {
    // One thread, so that what runs live keeps the others.
    options.threads = 1;
    let mut operators = book.operators(Way::Live, memory);
    let mut problem = None;
    let end = Instant {
        seconds: i64::MAX,
        nanos: 0,
    };
    let blocks = store.log.blocks_between(from..end, None);
    let source = LogSource::new(blocks, None, until, options.source.clone()).within(from..end);
    let mut reader = Reader::of(Box::new(source), true);
    let cancelled = reader.cancel_flag();
    let reloads: Reloads<()> = Reloads::default();
    let run = match_workers(&book.program, &reloads, true, &options)
        .map_err(crate::RunError::from)
        .and_then(|mut workers| {
            let mut keyed = Keyed::new(&mut operators, &reloads, false);
            let mut said = Vec::new();
            pipeline::run(&mut reader, &mut workers, |chunk: &mut Chunk, outcome| {
                let mut found = outcome.found;
                if let Some((from, to, why)) = &chunk.mark.lost {
                    problem = Some(format!("history is not whole: offsets {from} to {to}: {why}"));
                }
                let has_records = chunk.mark.records > 0 && **chunk.source() != *TICKS;
                found.latest = chunk.mark.received.and_then(|received| {
                    streams.take(has_records.then_some(chunk.source()), received, found.latest)
                });
                keyed.push(found, &mut said);
                // What was found then is known, or was before the rule.
                said.clear();
                match shared.is_stopping() {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            })
        });
    cancelled.store(true, std::sync::atomic::Ordering::Relaxed);
    if let Err(error) = run {
        problem = Some(format!("history cannot be read: {error}"));
    }
    Seeded {
        keys: book.keys,
        operators,
        problem,
    }
}
