//! Rules that run continuously over the event log.
//!
//! ```text
//! log ──blocks──▶ reader ──chunks──▶ workers ──▶ core (in order: time, operators, alerts) ──▶ committer ──▶ database
//! ```
//!
//! - [`Service`] follows the log, runs rules that may change meanwhile, and goes on after a crash where it was.
//! - [`history()`] gives what the log holds as a [`Reader`](crate::input::Reader), for queries and detection over the past.
//! - [`backfill()`] runs rules over an interval that they did not see.
//! - [`preview()`] says what a rule would tell, and which exceptions would quieten it.
//!
//! **Architecture invariant:** what is told follows from the log and the rules alone. Everything that moves time stands in
//! the log, also that nothing came; so a restart repeats what it did, and tells it once.

mod backfill;
mod book;
mod commit;
mod core;
mod history;
mod image;
mod mend;
mod names;
mod outputs;
mod pipeline;
mod preview;
mod seed;
mod source;
mod status;
mod stored;
mod streams;
mod timekeeper;

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::Receiver;
use neph_event::Instant;
use neph_rules::RuleSet;
use neph_store::{AlertChange, Store, StoreError};
use serde::Serialize;

use crate::RunError;
use crate::pipeline::STACK;
use crate::reload::{NewRules, Reloads};
use crate::run::RunOptions;

pub use self::backfill::{BackfillReport, backfill};
pub use self::book::Memory;
pub use self::history::{OnceById, history};
pub use self::outputs::OutputNames;
pub use self::preview::{NoisyField, NoisyValue, Preview, ProofOfPositives, ProposedException, preview};
pub use self::status::{ServiceStatus, StreamStatus};

use self::book::{Book, Way, needs_history};
use self::core::Switch;
use self::mend::{Current, Mender};
use self::pipeline::Pipeline;
use self::status::Shared;
use self::timekeeper::keep_time;

/// How a service runs.
#[derive(Clone, Debug)]
pub struct ServiceOptions {
    /// How records are read: threads, source, clock, enrichment.
    pub run: RunOptions,
    /// What rules may hold in memory.
    pub memory: Memory,
    /// What was made is committed this often, or after `commit_blocks`.
    pub commit_every: Duration,
    /// Blocks that are committed at once, at most.
    pub commit_blocks: usize,
    /// State is written down this often.
    pub snapshot_every: Duration,
    /// When nothing comes for so long, the log is told that time went on.
    pub tick_every: Duration,
    /// A stream that sent nothing for so long holds up nobody.
    pub idle: Duration,
    /// Nor does one whose events are older than this.
    pub max_lag: Duration,
    /// Outputs that are to get the alerts.
    pub outputs: OutputNames,
    /// The program's version, for the ledger.
    pub version: String,
    /// Whether gaps of rules are closed by back-fills of their own accord.
    pub mends: bool,
    /// What rules missed waits so long, so that one back-fill closes many gaps.
    pub mend_after: Duration,
    /// What time it is; for what is received, committed and shown, never for rules.
    pub now: fn() -> Instant,
}

impl Default for ServiceOptions {
    fn default() -> Self {
        Self {
            run: RunOptions::default(),
            memory: Memory::default(),
            commit_every: Duration::from_millis(100),
            commit_blocks: 256,
            snapshot_every: Duration::from_secs(60),
            tick_every: Duration::from_secs(60),
            idle: Duration::from_secs(300),
            max_lag: Duration::from_secs(24 * 3600),
            outputs: OutputNames::default(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mends: true,
            mend_after: Duration::from_secs(60),
            now: system_now,
        }
    }
}

/// The time of the system.
pub fn system_now() -> Instant {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanos = since.map_or(0, |since| i128::try_from(since.as_nanos()).unwrap_or(i128::MAX));
    Instant::from_nanos(nanos)
}

/// Why a service cannot start, or ended badly.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Threads, or the source that records are forced to be of.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A rule that is asked for is not among those that run.
    #[error("no rule that runs has the id `{0}`")]
    NoRule(String),
    /// A thread ended that should not have.
    #[error("the pipeline ended: {0}")]
    Ended(String),
}

/// Why changed rules were not taken over; those before go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize)]
#[non_exhaustive]
pub enum ReloadRefused {
    /// No rule of the new ones can run.
    #[error("no rule can run")]
    NoRules,
    /// Something is wrong in files that were in order before.
    #[error("something is wrong in {}", files.join(", "))]
    Broken {
        /// The files.
        files: Vec<String>,
    },
}

/// What changed rules mean.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reloaded {
    /// Rules that run.
    pub rules: u64,
    /// Rules that go on with their state.
    pub unchanged: u64,
    /// Ids of rules that are given history before they run.
    pub seeded: Vec<String>,
}

/// Rules that run over the log of a store, until it is stopped.
pub struct Service {
    store: Arc<Store>,
    shared: Arc<Shared>,
    options: ServiceOptions,
    reloads: Reloads<Switch>,
    /// The rules that were pushed last, and the files in which something was wrong.
    book: Mutex<(Arc<Book>, Vec<String>)>,
    /// The same rules, for what closes gaps.
    current: Current,
    threads: Mutex<Vec<Thread>>,
}

/// A thread of the service, by its name.
type Thread = (&'static str, JoinHandle<Result<(), ServiceError>>);

impl Service {
    /// Starts to run rules over the log of a store, from where the last run of it had come.
    ///
    /// # Errors
    /// The store cannot be read, a source is forced that there is not, threads cannot be started.
    pub fn start(store: Arc<Store>, rules: RuleSet, options: ServiceOptions) -> Result<Self, ServiceError> {
        let broken = broken_files(&rules);
        let book = Arc::new(Book::new(rules));
        let shared = Arc::new(Shared::new(options.now));
        let reloads: Reloads<Switch> = Reloads::default();
        let run = store.db.run_started(shared.now(), &options.version)?;
        store.db.give_up_backfills(shared.now(), "the service ended")?;
        let mender = Mender::new(Arc::clone(&store), Arc::clone(&shared), options.clone());
        let pipeline = Pipeline::open(&store, &book, &shared, &reloads, &options)?;
        let service = Self {
            store: Arc::clone(&store),
            shared: Arc::clone(&shared),
            book: Mutex::new((Arc::clone(&book), broken)),
            current: mender.current(),
            reloads,
            threads: Mutex::default(),
            options,
        };
        service.shared.status(|status| status.running = true);
        service.thread("neph-service", move || pipeline.run())?;
        let (store, shared, options) = (
            service.store.clone(),
            service.shared.clone(),
            service.options.clone(),
        );
        service.thread("neph-time", move || {
            keep_time(&store, &shared, &options, run);
            Ok(())
        })?;
        if service.options.mends {
            service.tell_mender(&book);
            service.thread("neph-mender", move || {
                mender.run();
                Ok(())
            })?;
        }
        Ok(service)
    }

    fn thread(
        &self,
        name: &'static str,
        work: impl FnOnce() -> Result<(), ServiceError> + Send + 'static,
    ) -> Result<(), ServiceError> {
        let builder = thread::Builder::new().name(name.to_owned()).stack_size(STACK);
        let handle = builder.spawn(work).map_err(RunError::Thread)?;
        self.threads().push((name, handle));
        Ok(())
    }

    fn threads(&self) -> std::sync::MutexGuard<'_, Vec<Thread>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn book(&self) -> std::sync::MutexGuard<'_, (Arc<Book>, Vec<String>)> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_mender(&self, book: &Arc<Book>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        *current = Some(Arc::clone(book));
    }

    /// Runs other rules from now on. Rules whose plan and schedule are the same go on with their state; new ones that look back
    /// far are given history first.
    ///
    /// # Errors
    /// The new rules are refused, and those before go on.
    pub fn reload(&self, rules: RuleSet) -> Result<Reloaded, ReloadRefused> {
        let broken = broken_files(&rules);
        let mut current = self.book();
        let newly: Vec<String> = broken
            .iter()
            .filter(|file| !current.1.contains(file))
            .cloned()
            .collect();
        let refused = match (newly.is_empty(), rules.rules.is_empty()) {
            (false, _) => Some(ReloadRefused::Broken { files: newly }),
            (true, true) => Some(ReloadRefused::NoRules),
            (true, false) => None,
        };
        let problem = refused.as_ref().map(ToString::to_string);
        self.shared.status(|status| status.reload_problem = problem);
        if let Some(refused) = refused {
            return Err(refused);
        }
        let book = Arc::new(Book::new(rules));
        let same = book.same(&current.0);
        let goes_on: HashSet<usize> = same.iter().map(|(_, to)| to.0 as usize).collect();
        let is_new = |(place, rule): (usize, &Arc<neph_rules::Rule>)| {
            (!goes_on.contains(&place) && needs_history(rule)).then_some(place)
        };
        let seeded: Vec<usize> = match self.store.log.begin() < self.store.log.end() {
            true => book.rules.iter().enumerate().filter_map(is_new).collect(),
            false => Vec::new(),
        };
        let reloaded = Reloaded {
            rules: book.rules.len() as u64,
            unchanged: same.len() as u64,
            seeded: seeded
                .iter()
                .filter_map(|place| book.rules.get(*place))
                .map(|rule| rule.id.clone())
                .collect(),
        };
        self.reloads.push(NewRules {
            program: Arc::clone(&book.program),
            operators: book.operators(Way::Live, self.options.memory),
            same,
            with: Switch {
                book: Arc::clone(&book),
                seeded: seeded.into_iter().map(|place| (place, None)).collect(),
            },
        });
        self.tell_mender(&book);
        *current = (book, broken);
        Ok(reloaded)
    }

    /// How it stands.
    pub fn status(&self) -> ServiceStatus {
        let mut status = ServiceStatus::default();
        self.shared.status(|now| status.clone_from(now));
        status.end = self.store.log.end();
        status.lag_bytes = status.end.saturating_sub(status.processed);
        status.running &= self.threads().iter().all(|(_, thread)| !thread.is_finished());
        status
    }

    /// What happened that operators should know, each once: for the log. [`ServiceStatus::notices`] keeps the latest.
    pub fn take_notices(&self) -> Vec<String> {
        self.shared.take_notices()
    }

    /// Bytes of records that are in the log and not yet evaluated.
    pub fn lag_bytes(&self) -> u64 {
        let mut processed = 0;
        self.shared.status(|now| processed = now.processed);
        self.store.log.end().saturating_sub(processed)
    }

    /// Changes of alerts from now on, after they were committed. Whoever falls far behind is let go: the channel ends.
    pub fn subscribe(&self) -> Receiver<Arc<[AlertChange]>> {
        self.shared.subscribe()
    }

    /// Runs a rule that runs now, by its id, or all (`*`), over an interval of the past; see [`backfill()`].
    ///
    /// # Errors
    /// There is no such rule, or the store fails.
    pub fn backfill(&self, rule: &str, from: Instant, to: Instant) -> Result<BackfillReport, ServiceError> {
        let book = Arc::clone(&self.book().0);
        backfill::run(
            &self.store,
            &book,
            rule,
            from..to,
            &self.options,
            "asked for",
            &|| self.shared.is_stopping(),
        )
    }

    /// Ends it, and back-fills that are under way with it. What was not read yet is read after the next start. State is written
    /// down. Stopped before, it does nothing.
    ///
    /// # Errors
    /// A thread ended badly.
    pub fn end(&self) -> Result<(), ServiceError> {
        self.shared.control.stop.store(true, Ordering::Relaxed);
        let threads = std::mem::take(&mut *self.threads());
        let mut ended = Ok(());
        for (name, thread) in threads {
            let result = match thread.join() {
                Ok(result) => result,
                Err(_) => Err(ServiceError::Ended(format!("thread `{name}` failed"))),
            };
            ended = ended.and(result);
        }
        ended
    }

    /// The same, and lets go of the store.
    ///
    /// # Errors
    /// A thread ended badly.
    pub fn stop(self) -> Result<(), ServiceError> {
        self.end()
    }

    /// Waits until everything that is in the log now is committed, at most so long; whether it is.
    pub fn wait_until_processed(&self, timeout: Duration) -> bool {
        let end = self.store.log.end();
        let began = std::time::Instant::now();
        while self.status().processed < end {
            if began.elapsed() > timeout || !self.status().running {
                return false;
            }
            thread::sleep(Duration::from_millis(5));
        }
        true
    }
}

/// Files in which something is wrong.
fn broken_files(rules: &RuleSet) -> Vec<String> {
    let files = rules.report.files.iter().chain(&rules.report.beside);
    let wrong = files.filter(|file| neph_diag::has_errors(&file.diagnostics));
    let paths = wrong.map(|file| file.path.display().to_string()).chain(
        rules
            .report
            .failures
            .iter()
            .map(|failure| failure.path.display().to_string()),
    );
    paths.collect()
}
