//! Runs rules over the inputs: workers match records, the collector feeds the operators.
//!
//! **Batch** (the reader's inputs end): no watermark moves before the end, so the order in which events come does not
//! matter; the operators' memory limits bound what is held. **Live** (the reader follows its inputs): after every chunk
//! the watermark moves to the greatest event time seen, and the operators allow each rule its own lateness.

use std::sync::{Arc, OnceLock};
use std::time::Instant as Clock;

use neph_engine::{
    Matcher, Operators, Outcome as Told, Profile, Program, RuleIndex, RuleStatistics, Statistics,
};
use neph_normalize::UnknownSource;

use crate::crew::Crew;
use crate::events::{EventReader, Found};
use crate::input::{Chunk, Reader};
use crate::keyed::Keyed;
use crate::pipeline::Worker;
use crate::reload::{Programs, Reloads, Said};
use crate::run::{Outcome, RunOptions, Tally, drive};
use crate::steps::{Room, Steps};
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
    /// What the rules cost, if the options ask for it; of rules that changed meanwhile, since they last did.
    pub profile: Option<RunProfile>,
}

/// Where the time of a run went.
#[derive(Clone, Debug)]
pub struct RunProfile {
    /// What conditions and tests cost, on all threads together.
    pub matching: Profile,
    /// Nanoseconds of all threads that read records and match them, the matching included.
    pub work_nanos: u64,
    /// Nanoseconds that each rule's operator took for what it was given, by [`RuleIndex`].
    pub operators: Vec<u64>,
    /// Nanoseconds that operators took beside: when time went on, and at the end.
    pub telling_nanos: u64,
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
    let mut workers = match_workers(program, reloads, live, options)?;
    let mut keyed = Keyed::new(operators, reloads, options);
    // A stream tells what each chunk made before it goes on.
    let beside = options.threads > 1 && !live;
    let (mut summary, rest) = keyed.run(beside, sink, |take| {
        drive(reader, &mut workers, options, progress, take)
    })?;
    summary.matches += rest;
    let Keyed {
        excepted,
        mut spent,
        telling_nanos,
        ..
    } = keyed;
    let mut matching = Statistics::default();
    for worker in &workers {
        matching += worker.past;
        if let Some(matcher) = &worker.matcher {
            matching += matcher.statistics();
        }
    }
    let mut profile: Option<RunProfile> = None;
    for worker in &workers {
        let Some(counted) = worker.matcher.as_ref().and_then(Matcher::profile) else {
            continue;
        };
        match &mut profile {
            Some(profile) => {
                profile.matching.add(counted);
                profile.work_nanos += worker.work_nanos;
            }
            None => {
                profile = Some(RunProfile {
                    matching: counted.clone(),
                    work_nanos: worker.work_nanos,
                    operators: spent.take().unwrap_or_default(),
                    telling_nanos,
                });
            }
        }
    }
    let rules = (0..operators.rules()).map(|rule| RuleIndex(u32::try_from(rule).unwrap_or(u32::MAX)));
    let rules = rules.map(|rule| operators.statistics(rule)).collect();
    Ok(Detection {
        summary,
        matching,
        rules,
        excepted,
        profile,
    })
}

/// Workers for a program and those that follow it.
pub(crate) fn match_workers<T>(
    program: &Arc<Program>,
    reloads: &Reloads<T>,
    live: bool,
    options: &RunOptions,
) -> Result<Vec<MatchWorker>, UnknownSource> {
    let worker = |_| {
        let mut events = EventReader::new(options)?;
        events.want(program);
        Ok(MatchWorker {
            // What rules cost is told also where nothing came.
            matcher: options.profile.then(|| matcher(Arc::clone(program), true)),
            program: Arc::clone(program),
            keeps_documents: false,
            profiles: options.profile,
            work_nanos: 0,
            reader: events,
            live,
            programs: reloads.programs.clone(),
            generation: 0,
            past: Statistics::default(),
            steps: Room::none(Crew::pays(options.threads) && !options.profile),
        })
    };
    (0..options.threads.max(1)).map(worker).collect()
}

fn matcher(program: Arc<Program>, profiles: bool) -> Matcher {
    match profiles {
        true => Matcher::profiling(program, nanos),
        false => Matcher::new(program),
    }
}

/// Nanoseconds since the first call.
pub(crate) fn nanos() -> u64 {
    static START: OnceLock<Clock> = OnceLock::new();
    let start = START.get_or_init(Clock::now);
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

pub(crate) struct MatchWorker {
    /// Made when there is something to match: of little input some workers see nothing, and what a matcher remembers takes some MiB.
    matcher: Option<Matcher>,
    program: Arc<Program>,
    keeps_documents: bool,
    profiles: bool,
    work_nanos: u64,
    reader: EventReader,
    live: bool,
    programs: Programs,
    /// The number of the matcher's program.
    generation: u64,
    /// What the matchers of programs before have seen.
    past: Statistics,
    /// How many step matches the chunk before had: the next one has about as many.
    steps: Room,
}

impl MatchWorker {
    /// Has all step matches refer to their event.
    pub(crate) fn keep_documents(&mut self) {
        self.keeps_documents = true;
    }
}

impl Worker for MatchWorker {
    type Output = Outcome<Found>;

    fn work(&mut self, chunk: &Chunk) -> Outcome<Found> {
        if chunk.generation != self.generation
            && let Some(program) = self.programs.get(chunk.generation)
        {
            if let Some(before) = self.matcher.take() {
                self.past += before.statistics();
            }
            self.reader.want(&program);
            self.program = program;
            self.generation = chunk.generation;
        }
        let began = nanos();
        let matcher = self.matcher.get_or_insert_with(|| {
            let mut matcher = matcher(Arc::clone(&self.program), self.profiles);
            if self.keeps_documents {
                matcher.keep_documents();
            }
            matcher
        });
        let mut tally = Tally::default();
        let mut found = Found {
            steps: Steps::with_room(&self.steps),
            wants_time: self.live,
            generation: self.generation,
            ..Found::default()
        };
        self.reader.received(chunk.mark.received);
        // Also where nothing happens: rules that wait for what does not come go by it.
        found.latest = chunk.until;
        self.reader.read_all(matcher, chunk, &mut found, &mut tally);
        self.steps.take(&found.steps);
        found.excepted = matcher.take_excepted();
        self.work_nanos += nanos() - began;
        Outcome { tally, found }
    }
}
