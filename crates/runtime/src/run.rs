//! What every run has in common: counting, problems in order, progress, ending early.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant as Clock;

use neph_enrich::Enrichment;

use crate::input::{Chunk, InputProblem, PlacedProblem, ProblemKind, ProblemLog, Reader, Record, diagnose};
use crate::pipeline::{self, Worker};
use crate::{Progress, RunError, Summary};

/// How a run goes.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Threads that work on records. One means that the calling thread does everything; with more, reading and
    /// collecting have a thread each besides, which wait most of the time, and operators as many as records where there
    /// is much for them. Results do not depend on it.
    pub threads: usize,
    /// End at the first problem with an input.
    pub strict: bool,
    /// Problems of each kind that are kept in full; all are counted.
    pub keep_problems: u64,
    /// Take every record for one of this source (`ecs`: for an ECS document), instead of recognising it.
    pub source: Option<String>,
    /// What times without a year or a zone are read by.
    pub clock: neph_normalize::Clock,
    /// What is added to events, if anything is.
    pub enrichment: Option<Arc<Enrichment>>,
    /// Count what rules cost, which makes the run slower.
    pub profile: bool,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            threads: 1,
            strict: false,
            keep_problems: 20,
            source: None,
            clock: neph_normalize::Clock::default(),
            enrichment: None,
            profile: false,
        }
    }
}

/// What a worker makes of a chunk.
pub(crate) struct Outcome<T> {
    pub(crate) tally: Tally,
    pub(crate) found: T,
}

/// What a worker counts in a chunk.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) records: u64,
    pub(crate) refused: u64,
    pub(crate) problems: Vec<PlacedProblem>,
    pub(crate) events: BTreeMap<&'static str, u64>,
    dropped: BTreeMap<(&'static str, &'static str), u64>,
}

impl Tally {
    /// Counts a record that has no document.
    pub(crate) fn refuse(&mut self, position: u64, problem: InputProblem) {
        self.refused += 1;
        self.problems.push(PlacedProblem { position, problem });
    }

    /// Counts a record that is read, but doubtful.
    pub(crate) fn note(&mut self, position: u64, problem: InputProblem) {
        self.problems.push(PlacedProblem { position, problem });
    }

    /// Counts an event of a source.
    pub(crate) fn count(&mut self, source: &'static str) {
        *self.events.entry(source).or_default() += 1;
    }

    /// Counts a record that carries no event by its source's own rules.
    pub(crate) fn drop(&mut self, source: &'static str, reason: &'static str) {
        *self.dropped.entry((source, reason)).or_default() += 1;
    }

    /// Counts a record that could not be parsed, and finds out why.
    pub(crate) fn refuse_record(&mut self, chunk: &Chunk, record: &Record<'_>, reason: &str) {
        let (kind, message) = diagnose(record.document, reason);
        let source = Arc::clone(chunk.source());
        self.refuse(
            record.position,
            InputProblem {
                source,
                line: Some(record.line),
                kind,
                message,
            },
        );
    }
}

/// Runs `workers` over the inputs. `collect` takes what was found in each chunk, in order, and says how many matches
/// that made.
pub(crate) fn drive<T: Send, W: Worker<Output = Outcome<T>>>(
    reader: &mut Reader,
    workers: &mut [W],
    options: &RunOptions,
    progress: &mut dyn FnMut(Progress),
    mut collect: impl FnMut(T) -> u64,
) -> Result<Summary, RunError> {
    let began = Clock::now();
    let cancelled = reader.cancel_flag();
    let stored_bytes = reader.stored_bytes();
    let mut so_far = Progress {
        total_bytes: reader.total_bytes(),
        ..Progress::default()
    };
    let mut skipped = reader.skipped();
    let mut problems = ProblemLog::new(options.keep_problems);
    let (mut bytes, mut refused) = (0, 0);
    let (mut events, mut dropped) = (BTreeMap::new(), BTreeMap::new());
    let mut fatal = None;
    for problem in reader.take_problems() {
        if options.strict {
            return Err(RunError::Strict(problem));
        }
        problems.add(problem);
    }
    pipeline::run(reader, workers, |chunk, outcome| {
        let Outcome { mut tally, found } = outcome;
        let too_long = |placed: &&PlacedProblem| placed.problem.kind == ProblemKind::TooLong;
        refused += tally.refused + chunk.problems.iter().filter(too_long).count() as u64;
        tally.problems.append(&mut chunk.problems);
        tally.problems.sort_by_key(|placed| placed.position);
        for PlacedProblem { problem, .. } in tally.problems {
            if options.strict {
                fatal = Some(problem);
                return ControlFlow::Break(());
            }
            problems.add(problem);
        }
        for (source, count) in tally.events {
            *events.entry(source).or_default() += count;
        }
        for (reason, count) in tally.dropped {
            *dropped.entry(reason).or_default() += count;
        }
        bytes += chunk.bytes;
        skipped.bulk_deletes += chunk.deletes;
        so_far.records += tally.records;
        so_far.matches += collect(found);
        so_far.bytes = stored_bytes.load(Ordering::Relaxed);
        progress(so_far);
        if cancelled.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    if let Some(problem) = fatal {
        return Err(RunError::Strict(problem));
    }
    Ok(Summary {
        inputs: reader.inputs(),
        stored_bytes: stored_bytes.load(Ordering::Relaxed),
        bytes,
        records: so_far.records,
        refused,
        events,
        dropped,
        matches: so_far.matches,
        problems,
        skipped,
        cancelled: cancelled.load(Ordering::Relaxed),
        elapsed: began.elapsed(),
    })
}
