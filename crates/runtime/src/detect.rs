//! Runs rules over the inputs: workers match records, the collector feeds the operators.
//!
//! **Batch** (the reader's inputs end): no watermark moves before the end, so the order in which events come does not
//! matter; the operators' memory limits bound what is held. **Live** (the reader follows its inputs): after every chunk
//! the watermark moves to the greatest event time seen, and the operators allow each rule its own lateness.

use std::sync::Arc;

use neph_engine::{Matcher, Operators, Outcome as Told, Program, RuleIndex, RuleStatistics, Statistics};
use neph_normalize::UnknownSource;

use crate::events::{EventReader, Found};
use crate::input::{Chunk, Reader};
use crate::pipeline::Worker;
use crate::run::{Outcome, RunOptions, Tally, drive};
use crate::{Progress, RunError, Summary};

/// What a detection run did.
#[derive(Clone, Debug)]
pub struct Detection {
    /// The run as a whole.
    pub summary: Summary,
    /// What the matchers have seen.
    pub matching: Statistics,
    /// What happened in each rule's operator, by [`RuleIndex`].
    pub rules: Vec<RuleStatistics>,
    /// For each exception of the program, by its position, how many events it kept from rules.
    pub excepted: Vec<u64>,
}

/// Runs the program's rules over the inputs. The program must come from [`prepare`](crate::prepare()), and `operators` be
/// made of the same plans, in the same order. `sink` gets
/// each outcome, on the calling thread, in an order that depends on the inputs alone.
///
/// # Errors
/// [`RunError::Strict`] at the first problem, if the options want it so; [`RunError::Thread`] if threads cannot be started.
/// What was found before has been given to `sink`.
pub fn detect(
    reader: &mut Reader,
    program: &Arc<Program>,
    operators: &mut Operators,
    options: &RunOptions,
    progress: &mut dyn FnMut(Progress),
    sink: &mut dyn FnMut(Told),
) -> Result<Detection, RunError> {
    let live = reader.is_live();
    let worker = || -> Result<MatchWorker, UnknownSource> {
        Ok(MatchWorker {
            matcher: Matcher::new(Arc::clone(program)),
            reader: EventReader::new(options)?,
            live,
        })
    };
    let workers: Result<Vec<MatchWorker>, _> = (0..options.threads.max(1)).map(|_| worker()).collect();
    let mut workers = workers?;
    let mut told = Vec::new();
    let mut give = |told: &mut Vec<Told>| {
        let mut matches = 0;
        for outcome in told.drain(..) {
            matches += u64::from(matches!(outcome, Told::Found(_)));
            sink(outcome);
        }
        matches
    };
    let mut watermark = None;
    let mut summary = drive(reader, &mut workers, options, progress, |found: Found| {
        for step in found.steps {
            operators.push(step, &mut told);
        }
        watermark = watermark.max(found.latest);
        if let Some(watermark) = watermark {
            operators.advance(watermark, &mut told);
        }
        give(&mut told)
    })?;
    operators.finish(&mut told);
    summary.matches += give(&mut told);
    let mut matching = Statistics::default();
    let mut excepted = Vec::new();
    for worker in &workers {
        matching += worker.matcher.statistics();
        excepted.resize(worker.matcher.excepted().len(), 0);
        for (sum, count) in excepted.iter_mut().zip(worker.matcher.excepted()) {
            *sum += count;
        }
    }
    let rules = (0..program.rules()).map(|rule| RuleIndex(u32::try_from(rule).unwrap_or(u32::MAX)));
    let rules = rules.map(|rule| operators.statistics(rule)).collect();
    Ok(Detection {
        summary,
        matching,
        rules,
        excepted,
    })
}

struct MatchWorker {
    matcher: Matcher,
    reader: EventReader,
    live: bool,
}

impl Worker for MatchWorker {
    type Output = Outcome<Found>;

    fn work(&mut self, chunk: &Chunk) -> Outcome<Found> {
        let mut tally = Tally::default();
        let mut found = Found {
            wants_time: self.live,
            ..Found::default()
        };
        for record in chunk.records() {
            match record {
                Ok(record) => self
                    .reader
                    .read(&mut self.matcher, chunk, &record, &mut found, &mut tally),
                Err((position, problem)) => tally.refuse(position, problem),
            }
        }
        Outcome { tally, found }
    }
}
