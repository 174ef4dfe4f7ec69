//! Runs rules over the inputs: workers match records, the collector feeds the operators.
//!
//! **Batch** (the reader's inputs end): no watermark moves before the end, so the order in which events come does not
//! matter; the operators' memory limits bound what is held. **Live** (the reader follows its inputs): after every chunk
//! the watermark moves to the greatest event time seen, and the operators allow each rule its own lateness.

use std::sync::Arc;

use neph_engine::{
    Matcher, Operators, Origin, Outcome as Told, Program, RuleIndex, RuleStatistics, Statistics, StepMatch,
};
use neph_event::Instant;

use crate::input::{Chunk, Reader, record_time};
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
}

/// Runs the program's rules over the inputs. `operators` must be made of the same plans, in the same order. `sink` gets
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
    let matcher = || MatchWorker {
        matcher: Matcher::new(Arc::clone(program)),
        live,
    };
    let mut workers: Vec<MatchWorker> = (0..options.threads.max(1)).map(|_| matcher()).collect();
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
    for worker in &workers {
        matching += worker.matcher.statistics();
    }
    let rules = (0..program.rules()).map(|rule| RuleIndex(u32::try_from(rule).unwrap_or(u32::MAX)));
    let rules = rules.map(|rule| operators.statistics(rule)).collect();
    Ok(Detection {
        summary,
        matching,
        rules,
    })
}

struct MatchWorker {
    matcher: Matcher,
    live: bool,
}

struct Found {
    steps: Vec<StepMatch>,
    /// The greatest event time of the chunk; looked for in live runs only.
    latest: Option<Instant>,
}

impl Worker for MatchWorker {
    type Output = Outcome<Found>;

    fn work(&mut self, chunk: &Chunk) -> Outcome<Found> {
        let mut tally = Tally::default();
        let mut found = Found {
            steps: Vec::new(),
            latest: None,
        };
        let mut origin = Origin {
            source: Arc::clone(chunk.source()),
            line: 0,
        };
        for record in chunk.records() {
            let record = match record {
                Ok(record) => record,
                Err((position, problem)) => {
                    tally.refuse(position, problem);
                    continue;
                }
            };
            if let Err(error) = self.matcher.read(record.document) {
                tally.refuse_record(chunk, &record, &error.to_string());
                continue;
            }
            tally.records += 1;
            if self.live {
                found.latest = found.latest.max(record_time(record.document));
            }
            origin.line = record.line;
            let known = neph_engine::Record {
                document: record.document,
                id: record.id.as_deref(),
                index: record.index.as_deref(),
                position: record.position,
                origin: &origin,
            };
            self.matcher.matches(&known, |step| found.steps.push(step));
        }
        Outcome { tally, found }
    }
}
