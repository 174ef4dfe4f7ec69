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
use crate::reload::{Programs, Reloads, Said};
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
    let reloads: Reloads<()> = Reloads::default();
    let mut tell = |said| {
        if let Said::Outcome(told) = said {
            sink(told);
        }
    };
    detect_reloading(reader, program, operators, &reloads, options, progress, &mut tell)
}

/// The same with rules that may change meanwhile: the sets that are pushed to `reloads` follow one another.
///
/// # Errors
/// As [`detect()`].
pub fn detect_reloading<T: Send>(
    reader: &mut Reader,
    program: &Arc<Program>,
    operators: &mut Operators,
    reloads: &Reloads<T>,
    options: &RunOptions,
    progress: &mut dyn FnMut(Progress),
    sink: &mut dyn FnMut(Said<T>),
) -> Result<Detection, RunError> {
    let live = reader.is_live();
    reader.follow_generation(reloads.generation());
    let worker = || -> Result<MatchWorker, UnknownSource> {
        Ok(MatchWorker {
            matcher: Matcher::new(Arc::clone(program)),
            reader: EventReader::new(options)?,
            live,
            programs: reloads.programs.clone(),
            generation: 0,
            past: Statistics::default(),
        })
    };
    let workers: Result<Vec<MatchWorker>, _> = (0..options.threads.max(1)).map(|_| worker()).collect();
    let mut workers = workers?;
    let mut told = Vec::new();
    let give = |told: &mut Vec<Told>, sink: &mut dyn FnMut(Said<T>)| {
        let mut matches = 0;
        for outcome in told.drain(..) {
            matches += u64::from(matches!(outcome, Told::Found(_)));
            sink(Said::Outcome(outcome));
        }
        matches
    };
    let mut watermark = None;
    let mut generation = 0;
    let mut excepted: Vec<u64> = Vec::new();
    let mut summary = drive(reader, &mut workers, options, progress, |found: Found| {
        let mut matches = 0;
        while generation < found.generation {
            generation += 1;
            let Some(mut rules) = reloads.take(generation) else {
                continue;
            };
            rules.operators.adopt(operators, &rules.same);
            // What rules that do not go on had open is told as far as it has come.
            operators.finish(&mut told);
            matches += give(&mut told, sink);
            *operators = rules.operators;
            sink(Said::Changed {
                with: rules.with,
                same: rules.same,
                excepted: std::mem::take(&mut excepted),
            });
        }
        excepted.resize(excepted.len().max(found.excepted.len()), 0);
        for (sum, count) in excepted.iter_mut().zip(&found.excepted) {
            *sum += count;
        }
        for step in found.steps {
            operators.push(step, &mut told);
        }
        watermark = watermark.max(found.latest);
        if let Some(watermark) = watermark {
            operators.advance(watermark, &mut told);
        }
        matches + give(&mut told, sink)
    })?;
    operators.finish(&mut told);
    summary.matches += give(&mut told, sink);
    let mut matching = Statistics::default();
    for worker in &workers {
        matching += worker.past;
        matching += worker.matcher.statistics();
    }
    let rules = (0..operators.rules()).map(|rule| RuleIndex(u32::try_from(rule).unwrap_or(u32::MAX)));
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
    programs: Programs,
    /// The number of the matcher's program.
    generation: u64,
    /// What the matchers of programs before have seen.
    past: Statistics,
}

impl Worker for MatchWorker {
    type Output = Outcome<Found>;

    fn work(&mut self, chunk: &Chunk) -> Outcome<Found> {
        if chunk.generation != self.generation
            && let Some(program) = self.programs.get(chunk.generation)
        {
            self.past += self.matcher.statistics();
            self.matcher = Matcher::new(program);
            self.generation = chunk.generation;
        }
        let mut tally = Tally::default();
        let mut found = Found {
            wants_time: self.live,
            generation: self.generation,
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
        found.excepted = self.matcher.take_excepted();
        Outcome { tally, found }
    }
}
