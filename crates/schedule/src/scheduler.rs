//! The thread that runs jobs, one after another.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant as Stopwatch};

use jiff::Timestamp;
use neph_event::Instant;
use neph_store::{Database, JobEnd, JobRun, JobState, StoreError};

use crate::keep::{Kept, keep};
use crate::when::{When, print};
use crate::work::Work;

/// How often it is seen whether anything is due.
const TICK: Duration = Duration::from_secs(1);
/// Files are looked at for changes so often, or more seldom where looking takes long.
const LOOK: Duration = Duration::from_secs(10);
/// Looking for changes takes at most one part in so many of the time.
const SELDOM: u32 = 50;
/// The lowest priority that there is.
const NICE: i32 = 19;

/// Gives the time.
pub type Clock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// Something that is looked at again and again.
pub struct Job {
    /// Its name, which no other has: `baselines`, `images:shop`.
    pub name: String,
    /// What kind: `baselines`, `posture`, `images`, `collect`.
    pub kind: &'static str,
    /// When.
    pub when: When,
    /// What it does.
    pub work: Box<dyn Work>,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job")
            .field("name", &self.name)
            .field("when", &self.when)
            .finish_non_exhaustive()
    }
}

/// What the service says of a run.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notice<'n> {
    /// It ended.
    Ended {
        /// The job.
        job: &'n str,
        /// Findings that are new.
        new: u64,
        /// Findings that are gone.
        gone: u64,
        /// What it could not see; empty where it saw everything.
        why: &'n str,
    },
    /// Nothing came of it; told once as long as the reason stays.
    Failed {
        /// The job.
        job: &'n str,
        /// Why.
        why: &'n str,
    },
    /// The database does not keep what came of it.
    Store {
        /// The job.
        job: &'n str,
        /// Why.
        error: &'n StoreError,
    },
}

/// What a scheduler works with.
pub struct Options {
    /// Where runs, findings and alerts are kept.
    pub db: Database,
    /// The outputs that get alerts.
    pub outputs: Box<dyn Fn() -> Vec<Arc<str>> + Send>,
    /// The time.
    pub clock: Clock,
    /// Told of runs.
    pub hear: Box<dyn Fn(&Notice<'_>) + Send>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Options")
    }
}

/// What others ask of the thread.
#[derive(Default)]
struct Asked {
    stop: bool,
    /// Jobs that take the place of all.
    jobs: Option<Vec<Job>>,
    /// Jobs that are to run now.
    wanted: BTreeSet<String>,
    /// Those that there are.
    names: BTreeSet<String>,
}

#[derive(Default)]
struct Shared {
    asked: Mutex<Asked>,
    wake: Condvar,
}

impl Shared {
    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs jobs on a thread of its own.
pub struct Scheduler {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scheduler")
    }
}

impl Scheduler {
    /// Starts with some jobs. Runs that the service did not live to end are begun again.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(options: Options, jobs: Vec<Job>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let scheduler = Self {
            shared: Arc::clone(&shared),
            thread: Mutex::default(),
        };
        scheduler.change(jobs);
        let thread = std::thread::Builder::new()
            .name("neph-schedule".into())
            .spawn(move || serve(Core::new(options), &shared))?;
        *scheduler.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(scheduler)
    }

    /// Other jobs take the place of those before; a run that is under way ends first.
    pub fn change(&self, jobs: Vec<Job>) {
        let mut asked = self.shared.asked();
        asked.names = jobs.iter().map(|job| job.name.clone()).collect();
        asked.jobs = Some(jobs);
        self.shared.wake.notify_all();
    }

    /// Has a job run as soon as the one under way ended; `false` if there is none of this name.
    pub fn want(&self, job: &str) -> bool {
        let mut asked = self.shared.asked();
        if !asked.names.contains(job) {
            return false;
        }
        asked.wanted.insert(job.to_owned());
        self.shared.wake.notify_all();
        true
    }

    /// Ends. A run that is under way is waited for as long as said; after that it is left alone, and is begun again by the next start.
    pub fn stop(&self, patience: Duration) {
        self.shared.asked().stop = true;
        self.shared.wake.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let began = Stopwatch::now();
        if let Some(thread) = thread {
            while !thread.is_finished() && began.elapsed() < patience {
                std::thread::sleep(Duration::from_millis(20));
            }
            if thread.is_finished() {
                let _ = thread.join();
            }
        }
    }
}

fn serve(mut core: Core, shared: &Shared) {
    // Threads that the job starts take the priority over. Where it cannot be lowered, it is as that of others.
    let _ = rustix::process::setpriority_process(None, NICE);
    loop {
        let mut asked = shared.asked();
        if asked.stop {
            return;
        }
        let jobs = asked.jobs.take();
        let wanted = std::mem::take(&mut asked.wanted);
        drop(asked);
        if let Some(jobs) = jobs {
            core.change(jobs);
        }
        core.want(wanted);
        if core.tick() {
            continue;
        }
        let asked = shared.asked();
        if !asked.stop && asked.jobs.is_none() && asked.wanted.is_empty() {
            drop(shared.wake.wait_timeout(asked, TICK));
        }
    }
}

/// A job with what is known of it.
struct Planned {
    job: Job,
    last: Option<JobRun>,
    is_wanted: bool,
    /// When its files are looked at next, and how they looked last.
    look: Option<(Instant, String)>,
    /// When it was noted to be due.
    due: Option<Instant>,
    /// Why it failed last, as that was told.
    told: String,
}

/// The jobs, without the thread.
struct Core {
    options: Options,
    planned: Vec<Planned>,
}

impl Core {
    fn new(options: Options) -> Self {
        Self {
            options,
            planned: Vec::new(),
        }
    }

    fn now(&self) -> Instant {
        (self.options.clock)()
    }

    /// Takes other jobs over.
    fn change(&mut self, jobs: Vec<Job>) {
        let now = self.now();
        let db = &self.options.db;
        let row = |job: &Job| neph_store::Job {
            name: job.name.clone(),
            kind: job.kind.to_owned(),
            every: job.when.every,
            on_change: job.when.on_change,
            due: None,
        };
        let rows = jobs.iter().map(row).collect();
        if let Err(error) = db.set_jobs(rows) {
            (self.options.hear)(&Notice::Store {
                job: "",
                error: &error,
            });
        }
        let plan = |job: Job| {
            let last = db.job_runs(&job.name, 1).unwrap_or_default().into_iter().next();
            let mut planned = Planned {
                due: None,
                job,
                last,
                is_wanted: false,
                look: None,
                told: String::new(),
            };
            planned.note_due(db, now);
            planned
        };
        self.planned = jobs.into_iter().map(plan).collect();
    }

    fn want(&mut self, wanted: BTreeSet<String>) {
        for planned in &mut self.planned {
            planned.is_wanted |= wanted.contains(&planned.job.name);
        }
    }

    /// Runs the job that is due for the longest time, if one is.
    fn tick(&mut self) -> bool {
        let now = self.now();
        let mut first: Option<(Instant, usize)> = None;
        for (place, planned) in self.planned.iter_mut().enumerate() {
            if let Some(due) = planned.is_due(now)
                && first.is_none_or(|(other, _)| due < other)
            {
                first = Some((due, place));
            }
        }
        match first {
            Some((_, place)) => {
                self.run(place);
                true
            }
            None => false,
        }
    }

    fn run(&mut self, place: usize) {
        let Self { options, planned } = self;
        let Some(planned) = planned.get_mut(place) else {
            return;
        };
        let db = &options.db;
        let clock = || (options.clock)();
        let began = clock();
        let job = planned.job.name.as_str();
        planned.is_wanted = false;
        let print = match planned.job.when.on_change {
            true => print(&planned.job.work.watched()),
            false => String::new(),
        };
        let mut run = JobRun {
            id: 0,
            job: job.to_owned(),
            began,
            ended: None,
            state: JobState::Failed,
            why: String::new(),
            print: print.clone(),
            found: 0,
            new: 0,
            gone: 0,
        };
        let outcome = db.job_began(job, &print, began).and_then(|id| {
            run.id = id;
            let at = timestamp(began);
            let looked = std::panic::catch_unwind(AssertUnwindSafe(|| planned.job.work.look(at)));
            match looked.unwrap_or_else(|_| Err("it broke off; this is a mistake in the program".into())) {
                Ok(looked) => keep(db, job, id, looked, (options.outputs)(), clock()),
                Err(why) => {
                    let end = JobEnd {
                        at: clock(),
                        state: JobState::Failed,
                        why: why.clone(),
                        seen: Vec::new(),
                        new: 0,
                        gone: Vec::new(),
                        report: None,
                    };
                    db.job_ended(id, end)?;
                    Ok((Kept::default(), JobState::Failed, why))
                }
            }
        });
        run.ended = Some(clock());
        match outcome {
            Ok((kept, state, why)) => {
                let notice = match state {
                    JobState::Failed => Notice::Failed { job, why: &why },
                    _ => Notice::Ended {
                        job,
                        new: kept.new,
                        gone: kept.gone,
                        why: &why,
                    },
                };
                // What stays as it is, is told once.
                if why != planned.told || kept.new + kept.gone > 0 {
                    (options.hear)(&notice);
                }
                planned.told.clone_from(&why);
                run.state = state;
                run.why = why;
            }
            Err(error) => {
                (options.hear)(&Notice::Store { job, error: &error });
                run.why = error.to_string();
            }
        }
        planned.last = Some(run);
        planned.look = None;
        planned.note_due(db, clock());
    }
}

impl Planned {
    /// Since when it is due, if it is.
    fn is_due(&mut self, now: Instant) -> Option<Instant> {
        if self.is_wanted {
            return Some(Instant::from_nanos(0));
        }
        if let Some(due) = self.due.filter(|due| *due <= now) {
            return Some(due);
        }
        (self.job.when.on_change && self.has_changed(now)).then_some(now)
    }

    /// Whether its files changed since the last run, and have come to rest.
    fn has_changed(&mut self, now: Instant) -> bool {
        let is_time = self.look.as_ref().is_none_or(|(next, _)| *next <= now);
        // What failed is tried again at its time, with the same files or others.
        let Some(last) = self.last.as_ref().filter(|_| is_time) else {
            return false;
        };
        let began = Stopwatch::now();
        let print = print(&self.job.work.watched());
        let pause = LOOK.max(began.elapsed().saturating_mul(SELDOM));
        let is_at_rest = self.look.as_ref().is_some_and(|(_, before)| *before == print);
        let has_changed = last.print != print && is_at_rest;
        let next = now.saturating_add_nanos(i128::try_from(pause.as_nanos()).unwrap_or(i128::MAX));
        self.look = Some((next, print));
        has_changed
    }

    fn note_due(&mut self, db: &Database, now: Instant) {
        self.due = self.job.when.due(self.last.as_ref(), now);
        // It is shown; without it nothing else goes wrong.
        let _ = db.job_due(&self.job.name, self.due);
    }
}

fn timestamp(at: Instant) -> Timestamp {
    Timestamp::new(at.seconds, i32::try_from(at.nanos).unwrap_or(0)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
