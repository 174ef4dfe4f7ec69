//! The operators' side of a run: takes what workers found, in order, and tells what comes of it.
//!
//! ```text
//! collector ──found──▶ operators ──said──▶ caller's sink
//!                       ▲ │ │ │
//!                       shards
//! ```
//!
//! With several threads the operators have one of their own, so that keeping state goes on while the caller makes alerts of what
//! was told before, and others beside it (`crew.rs`), to which it hands what a chunk has for each shard of the rules. It waits for
//! all of them: between chunks the memory that all rules may take is divided anew, which is why what is told and given up is the
//! same however many threads there are, and comes in the same order. Both queues are bounded.

use std::thread;

use crossbeam_channel::{bounded, select};
use neph_engine::{Operators, Outcome as Told, Shard, StepMatch};
use neph_event::Instant;

use crate::RunError;
use crate::crew::{Crew, Done};
use crate::detect::nanos;
use crate::events::Found;
use crate::pipeline::STACK;
use crate::reload::{Reloads, Said};
use crate::run::RunOptions;
use crate::steps::Numbered;

/// So many chunks may wait at each side of the operators.
const WAITING: usize = 2;

/// Threads are given a chunk with so many step matches: fewer are done before threads wake, about a tenth of a millisecond.
const MANY: usize = 2048;

/// The operators of a run, and what they need to go on.
pub(crate) struct Keyed<'r, T> {
    pub(crate) operators: &'r mut Operators,
    crew: Crew,
    reloads: &'r Reloads<T>,
    pub(crate) generation: u64,
    pub(crate) watermark: Option<Instant>,
    told: Vec<Told>,
    /// For each exception of the rules that run now how many events it kept from them.
    pub(crate) excepted: Vec<u64>,
    /// Nanoseconds that each rule's operator took, if that is wanted.
    pub(crate) spent: Option<Vec<u64>>,
    /// Nanoseconds that operators took beside.
    pub(crate) telling_nanos: u64,
}

impl<'r, T: Send> Keyed<'r, T> {
    pub(crate) fn new(operators: &'r mut Operators, reloads: &'r Reloads<T>, options: &RunOptions) -> Self {
        let spent = options.profile.then(|| vec![0; operators.rules()]);
        Self {
            operators,
            crew: Crew::new(options.threads),
            reloads,
            generation: 0,
            watermark: None,
            told: Vec::new(),
            excepted: Vec::new(),
            spent,
            telling_nanos: 0,
        }
    }

    /// Takes what was found in a chunk.
    pub(crate) fn take(&mut self, found: Found, said: &mut Vec<Said<T>>) {
        self.change_rules(found.generation, said);
        self.push(found, said);
    }

    /// Goes on with the rules of this number.
    pub(crate) fn change_rules(&mut self, generation: u64, said: &mut Vec<Said<T>>) {
        while self.generation < generation {
            self.generation += 1;
            let Some(mut rules) = self.reloads.take(self.generation) else {
                continue;
            };
            rules.operators.adopt(self.operators, &rules.same);
            // What rules that do not go on had open is told as far as it has come.
            self.operators.finish(&mut self.told);
            said.extend(self.told.drain(..).map(Said::Outcome));
            *self.operators = rules.operators;
            said.push(Said::Changed {
                with: rules.with,
                same: rules.same,
                excepted: std::mem::take(&mut self.excepted),
            });
        }
    }

    /// Takes what was found of the rules that run now.
    pub(crate) fn push(&mut self, found: Found, said: &mut Vec<Said<T>>) {
        let exceptions = self.excepted.len().max(found.excepted.len());
        self.excepted.resize(exceptions, 0);
        for (sum, count) in self.excepted.iter_mut().zip(&found.excepted) {
            *sum += count;
        }
        self.watermark = self.watermark.max(found.latest);
        match found.steps.parts() {
            Ok(steps) => self.push_all(steps, said),
            Err((number, steps)) => self.push_apart(number, steps, said),
        }
        if self.operators.divide() {
            self.on_each_shard(Shard::fit, said);
        }
    }

    fn push_all(&mut self, steps: Vec<StepMatch>, said: &mut Vec<Said<T>>) {
        for step in steps {
            let rule = step.rule.0 as usize;
            let began = self.spent.as_ref().map(|_| nanos());
            self.operators.push(step, &mut self.told);
            if let (Some(spent), Some(began)) = (&mut self.spent, began)
                && let Some(spent) = spent.get_mut(rule)
            {
                *spent += nanos() - began;
            }
        }
        if let Some(watermark) = self.watermark {
            let began = nanos();
            self.operators.advance(watermark, &mut self.told);
            self.telling_nanos += nanos() - began;
        }
        said.extend(self.told.drain(..).map(Said::Outcome));
    }

    /// The same for what is told apart by shards, of which there are so many step matches.
    fn push_apart(&mut self, number: usize, steps: Vec<Numbered>, said: &mut Vec<Said<T>>) {
        let watermark = self.watermark;
        let work = |shard: &mut Shard, steps| Done::of(shard, steps, watermark);
        let shards = self.operators.shards();
        let mut at_steps = Vec::new();
        for mut part in self.crew.each(number >= MANY, shards, steps, work) {
            at_steps.append(&mut part.at_steps);
            self.told.append(&mut part.told);
        }
        at_steps.sort_by_key(|(number, _)| *number);
        said.extend(at_steps.into_iter().map(|(_, told)| Said::Outcome(told)));
        self.tell(said);
    }

    /// No event comes any more.
    fn finish(&mut self, said: &mut Vec<Said<T>>) {
        let began = nanos();
        self.on_each_shard(Shard::finish, said);
        self.telling_nanos += nanos() - began;
    }

    fn on_each_shard(&mut self, work: fn(&mut Shard, &mut Vec<Told>), said: &mut Vec<Said<T>>) {
        let much = self.crew.is_at_work();
        let shards = self.operators.shards();
        let told = vec![Vec::new(); shards.len()];
        let told = self.crew.each(much, shards, told, |shard, mut told| {
            work(shard, &mut told);
            told
        });
        self.told.extend(told.into_iter().flatten());
        self.tell(said);
    }

    /// Says what was told of all shards at once.
    fn tell(&mut self, said: &mut Vec<Said<T>>) {
        Told::sort_by_rule(&mut self.told);
        said.extend(self.told.drain(..).map(Said::Outcome));
    }

    /// Runs `drive`, which is given where to put what is found in each chunk and is answered how many matches were told
    /// meanwhile. Gives what it gives, and the number of matches that were told after it. If it fails, what the operators
    /// still hold open is not told.
    ///
    /// # Errors
    /// What `drive` reports, and [`RunError::Thread`].
    pub(crate) fn run<R>(
        &mut self,
        beside: bool,
        sink: &mut dyn FnMut(Said<T>),
        drive: impl FnOnce(&mut dyn FnMut(Found) -> u64) -> Result<R, RunError>,
    ) -> Result<(R, u64), RunError> {
        if beside {
            return self.run_beside(sink, drive);
        }
        let mut said = Vec::new();
        let driven = drive(&mut |found| {
            self.take(found, &mut said);
            give(&mut said, sink)
        })?;
        self.finish(&mut said);
        Ok((driven, give(&mut said, sink)))
    }

    fn run_beside<R>(
        &mut self,
        sink: &mut dyn FnMut(Said<T>),
        drive: impl FnOnce(&mut dyn FnMut(Found) -> u64) -> Result<R, RunError>,
    ) -> Result<(R, u64), RunError> {
        // `None` comes last, and only if all went well.
        let (to_operators, found) = bounded::<Option<Found>>(WAITING);
        let (to_sink, told) = bounded::<Vec<Said<T>>>(WAITING);
        thread::scope(|scope| {
            thread::Builder::new()
                .name("neph-operators".to_owned())
                .stack_size(STACK)
                .spawn_scoped(scope, move || {
                    for found in found {
                        let mut said = Vec::new();
                        match found {
                            Some(found) => self.take(found, &mut said),
                            None => self.finish(&mut said),
                        }
                        if !said.is_empty() && to_sink.send(said).is_err() {
                            break;
                        }
                    }
                })
                .map_err(RunError::Thread)?;
            // Whoever waits for room takes what was told meanwhile: neither side can wait for the other.
            let mut hand_on = |found: Option<Found>| {
                let mut matches = 0;
                loop {
                    select! {
                        send(to_operators, found) -> _ => return matches,
                        recv(told) -> said => matches += said.map_or(0, |mut said| give(&mut said, sink)),
                    }
                }
            };
            let driven = drive(&mut |found| hand_on(Some(found)));
            let mut rest = match driven {
                Ok(_) => hand_on(None),
                Err(_) => 0,
            };
            drop(to_operators);
            for mut said in told {
                rest += give(&mut said, sink);
            }
            Ok((driven?, rest))
        })
    }
}

/// Hands on what was said; how many matches are among it.
fn give<T>(said: &mut Vec<Said<T>>, sink: &mut dyn FnMut(Said<T>)) -> u64 {
    let mut matches = 0;
    for said in said.drain(..) {
        matches += u64::from(matches!(said, Said::Outcome(Told::Found(_))));
        sink(said);
    }
    matches
}
