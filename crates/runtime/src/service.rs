//! Rules that run continuously over the event log.
//!
//! ```text
//! log ──blocks──▶ reader ──chunks──▶ workers ──▶ core (in order: time, operators, alerts) ──▶ committer ──▶ database
//! ```
//!
//! - [`Service`] follows the log, runs rules that may change meanwhile, and goes on after a crash where it was.
//! - [`history()`] gives what the log holds as a [`Reader`], for queries and detection over the past.
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
mod preview;
mod seed;
mod source;
mod stored;
mod streams;

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use neph_event::Instant;
use neph_rules::{AlertFlow, RuleSet};
use neph_store::{AlertChange, Batch, Records, Store, StoreError};
use serde::Serialize;

use crate::RunError;
use crate::detect::match_workers;
use crate::input::Reader;
use crate::keyed::Keyed;
use crate::pipeline::{self, STACK};
use crate::reload::{NewRules, Reloads};
use crate::run::{RunOptions, Tally};

pub use self::backfill::{BackfillReport, backfill};
pub use self::book::Memory;
pub use self::history::{OnceById, history};
pub use self::preview::{NoisyField, NoisyValue, Preview, ProofOfPositives, ProposedException, preview};

use self::book::{Book, Way, needs_history, reach};
use self::core::{Core, Rhythm, Switch, lateness_of};
use self::mend::{Current, Mender};
use self::seed::Seeding;
use self::source::{Control, LogSource, TICKS, Tail};
use self::streams::{StreamTime, Streams};

/// Alert changes that may wait for one subscriber; one that is slower is let go.
const WAITING_CHANGES: usize = 4_096;
/// Batches that may wait for the database.
const WAITING_JOBS: usize = 4;
/// Notices that the status keeps.
const NOTICES: usize = 50;
/// Between two looks of the thread that keeps time.
const LOOK: Duration = Duration::from_millis(500);
/// Lines that wait for others of their event make a tick after so long.
const LINES_WAIT: i128 = 3_000_000_000;

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
    pub outputs: Vec<Arc<str>>,
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
            outputs: Vec::new(),
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

/// How a stream stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StreamStatus {
    /// Its name.
    pub stream: String,
    /// Its greatest event time.
    pub newest: String,
    /// When it last sent something.
    pub received: String,
}

impl StreamStatus {
    fn of((stream, time): (&Arc<str>, &StreamTime)) -> Self {
        Self {
            stream: stream.to_string(),
            newest: time.newest.to_string(),
            received: time.received.to_string(),
        }
    }
}

/// How a service stands. Counts are since it was started, blocks that were read again after a crash included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ServiceStatus {
    /// Whether the pipeline runs.
    pub running: bool,
    /// The offset up to which everything is committed.
    pub processed: u64,
    /// The offset that the pipeline has reached.
    pub reached: u64,
    /// The end of the log.
    pub end: u64,
    /// Bytes of records that wait: from `processed` to `end`.
    pub lag_bytes: u64,
    /// Milliseconds from the receipt of the oldest block of the last commit until it was committed.
    pub latency_millis: u64,
    /// How far time has come.
    pub watermark: Option<String>,
    /// The streams, as they were when state was last written down.
    pub streams: Vec<StreamStatus>,
    /// The id of the rules that run.
    pub rule_set: String,
    /// How many they are.
    pub rules: u64,
    /// Ids of rules that wait for their history.
    pub seeding: Vec<String>,
    /// Why the rules that changed last were not taken over.
    pub reload_problem: Option<String>,
    /// Records evaluated, refused and dropped.
    pub records: u64,
    /// Events that they became.
    pub events: u64,
    /// Records that could not be read.
    pub refused: u64,
    /// Records that their source has no use for.
    pub dropped: u64,
    /// Records that no source knows.
    pub unrecognised: u64,
    /// Records that came too late for some rule.
    pub late: u64,
    /// Alerts that were not there before.
    pub alerts_raised: u64,
    /// Commits.
    pub commits: u64,
    /// Bytes of state when it was last written down.
    pub state_bytes: u64,
    /// The offset of the state that was written down last.
    pub snapshot_offset: Option<u64>,
    /// Its size.
    pub snapshot_bytes: u64,
    /// How long it took, waiting for the disk included.
    pub snapshot_millis: u64,
    /// Why state could not be written down.
    pub snapshot_problem: Option<String>,
    /// What is wrong with the store now; the pipeline waits meanwhile, and the log grows.
    pub store_problem: Option<String>,
    /// Back-fills that were made of the service's own accord.
    pub mended: u64,
    /// What else happened, latest last.
    pub notices: Vec<String>,
    /// The kinds of problems with records, and how many of each.
    pub problems: BTreeMap<String, u64>,
    /// Whether it stopped with something not committed, which is done again at the next start.
    pub ended_early: bool,
}

/// What the threads of a service share.
pub(crate) struct Shared {
    pub(crate) control: Arc<Control>,
    status: Mutex<ServiceStatus>,
    subscribers: Mutex<Vec<Sender<Arc<[AlertChange]>>>>,
    now: fn() -> Instant,
}

impl Shared {
    fn new(now: fn() -> Instant) -> Self {
        Self {
            control: Arc::default(),
            status: Mutex::default(),
            subscribers: Mutex::default(),
            now,
        }
    }

    pub(crate) fn now(&self) -> Instant {
        (self.now)()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.control.stop.load(Ordering::Relaxed)
    }

    pub(crate) fn status(&self, change: impl FnOnce(&mut ServiceStatus)) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut status);
        let surplus = status.notices.len().saturating_sub(NOTICES);
        status.notices.drain(..surplus);
    }

    pub(crate) fn note_problems(&self, tally: &Tally) {
        if tally.problems.is_empty() {
            return;
        }
        self.status(|status| {
            for placed in &tally.problems {
                *status
                    .problems
                    .entry(placed.problem.kind.as_str().to_owned())
                    .or_default() += 1;
            }
        });
    }

    /// Tells subscribers of changes. One that does not keep up is let go.
    pub(crate) fn tell(&self, changes: &[AlertChange]) {
        if changes.is_empty() {
            return;
        }
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        if subscribers.is_empty() {
            return;
        }
        let changes: Arc<[AlertChange]> = changes.into();
        subscribers.retain(|subscriber| subscriber.try_send(Arc::clone(&changes)).is_ok());
    }
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
    threads: Vec<(&'static str, JoinHandle<Result<(), ServiceError>>)>,
}

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
        let mender = Mender::new(Arc::clone(&store), Arc::clone(&shared), options.clone());
        let missed = mender.missed();
        let pipeline = Pipeline::open(&store, &book, &shared, &reloads, &options, missed)?;
        let mut service = Self {
            store: Arc::clone(&store),
            shared: Arc::clone(&shared),
            book: Mutex::new((Arc::clone(&book), broken)),
            current: mender.current(),
            reloads,
            threads: Vec::new(),
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
        &mut self,
        name: &'static str,
        work: impl FnOnce() -> Result<(), ServiceError> + Send + 'static,
    ) -> Result<(), ServiceError> {
        let builder = thread::Builder::new().name(name.to_owned()).stack_size(STACK);
        let handle = builder.spawn(work).map_err(RunError::Thread)?;
        self.threads.push((name, handle));
        Ok(())
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
                seeded,
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
        status.running &= self.threads.iter().all(|(_, thread)| !thread.is_finished());
        status
    }

    /// Changes of alerts from now on, after they were committed. Whoever falls far behind is let go: the channel ends.
    pub fn subscribe(&self) -> Receiver<Arc<[AlertChange]>> {
        let (sender, receiver) = bounded(WAITING_CHANGES);
        let mut subscribers = self
            .shared
            .subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        subscribers.push(sender);
        receiver
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

    /// Ends it. What was not read yet is read after the next start. State is written down.
    ///
    /// # Errors
    /// A thread ended badly.
    pub fn stop(self) -> Result<(), ServiceError> {
        self.shared.control.stop.store(true, Ordering::Relaxed);
        let mut ended = Ok(());
        for (name, thread) in self.threads {
            let result = match thread.join() {
                Ok(result) => result,
                Err(_) => Err(ServiceError::Ended(format!("thread `{name}` failed"))),
            };
            ended = ended.and(result);
        }
        ended
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

/// Tells the ledger that the service lives, and the log that time goes on when nothing comes.
fn keep_time(store: &Store, shared: &Shared, options: &ServiceOptions, run: i64) {
    let nanos = |duration: Duration| i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX);
    let mut beat = shared.now();
    let mut end = store.log.end();
    let mut appended = shared.now();
    loop {
        let now = shared.now();
        if shared.is_stopping() {
            let _ = store.db.run_stopped(run, now);
            return;
        }
        if now.nanos_since(beat) >= 10_000_000_000 {
            beat = now;
            if let Err(error) = store.db.heartbeat(run, now) {
                shared.status(|status| status.store_problem = Some(commit::said(&error)));
            }
        }
        if store.log.end() != end {
            end = store.log.end();
            appended = now;
        }
        let quiet = now.nanos_since(appended);
        let holds = shared.control.holds_lines.load(Ordering::Relaxed);
        if quiet >= nanos(options.tick_every) || (holds && quiet >= LINES_WAIT) {
            let tick = Batch {
                stream: TICKS.into(),
                received: now,
                records: Records::default(),
            };
            // A log that takes nothing says so to those who send.
            let _ = store.log.append(tick);
        }
        thread::park_timeout(LOOK.min(options.tick_every));
    }
}

/// Everything that the pipeline's thread needs.
struct Pipeline {
    store: Arc<Store>,
    book: Arc<Book>,
    shared: Arc<Shared>,
    reloads: Reloads<Switch>,
    options: ServiceOptions,
    missed: Sender<mend::Missed>,
    operators: neph_engine::Operators,
    flow: AlertFlow,
    streams: Streams,
    source: LogSource,
    reached: u64,
    committed: u64,
    /// The places of rules that are to be given history.
    seeded: Vec<usize>,
}

impl Pipeline {
    /// Makes everything ready, from the newest state that was written down.
    fn open(
        store: &Arc<Store>,
        book: &Arc<Book>,
        shared: &Arc<Shared>,
        reloads: &Reloads<Switch>,
        options: &ServiceOptions,
        missed: Sender<mend::Missed>,
    ) -> Result<Self, ServiceError> {
        let committed = store.db.processed()?;
        let (snapshot, notices) = store.snapshots.newest(committed)?;
        let mut operators = book.operators(Way::Live, options.memory);
        let mut flow = AlertFlow::new(book.rules.clone(), true);
        let mut streams = Streams::new(options.idle, options.max_lag);
        let mut said: Vec<String> = notices
            .iter()
            .map(|notice| format!("state `{}` is not used: {}", notice.path.display(), notice.why))
            .collect();
        let mut joiners = Vec::new();
        let mut without: Vec<usize> = (0..book.rules.len()).collect();
        let mut reached = committed.max(store.log.begin());
        let mut had_state = false;
        if let Some(snapshot) = snapshot {
            match image::read(&snapshot.blob, book, &mut operators, &mut flow) {
                Ok(restored) => {
                    streams.go_on(restored.streams);
                    joiners = restored.joiners;
                    without = restored.without;
                    had_state = restored.problems.is_empty();
                    said.extend(restored.problems);
                    reached = snapshot.offset.max(store.log.begin());
                }
                Err(error) => said.push(error.to_string()),
            }
        }
        // State that is lost is made again from history, however little of it a rule needs.
        let lost = committed > 0 && !had_state;
        let needs = |place: &usize| {
            let rule = book.rules.get(*place);
            rule.is_some_and(|rule| needs_history(rule) || (lost && reach(rule).is_some()))
        };
        let seeded: Vec<usize> = match store.log.begin() < reached {
            true => without.into_iter().filter(needs).collect(),
            false => Vec::new(),
        };
        let tail = Tail {
            control: Arc::clone(&shared.control),
            rest: options.commit_every,
            keep_every: options.snapshot_every,
        };
        let source = options.run.source.clone();
        let mut source = LogSource::new(store.log.blocks(reached), Some(tail), u64::MAX, source);
        if !source.restore(&joiners) {
            said.push("lines that waited for others of their event are lost".to_owned());
        }
        shared.status(|status| {
            status.processed = committed;
            status.reached = reached;
            status.notices.extend(said);
        });
        store.db.rule_set_active(shared.now(), book.set.clone())?;
        Ok(Self {
            store: Arc::clone(store),
            book: Arc::clone(book),
            shared: Arc::clone(shared),
            reloads: reloads.clone(),
            options: options.clone(),
            missed,
            operators,
            flow,
            streams,
            source,
            reached,
            committed,
            seeded,
        })
    }

    fn run(mut self) -> Result<(), ServiceError> {
        let mut reader = Reader::of(Box::new(self.source), true);
        reader.follow_generation(self.reloads.generation());
        let mut workers = match_workers(&self.book.program, &self.reloads, true, &self.options.run)
            .map_err(RunError::from)?;
        let (jobs, to_do) = bounded(WAITING_JOBS);
        let (seeded_sender, seeded) = crossbeam_channel::unbounded();
        let mut seeding = Seeding::new(
            Arc::clone(&self.store),
            Arc::clone(&self.shared),
            self.options.run.clone(),
            self.options.memory,
            seeded_sender,
        );
        seeding.change_rules(&[], &self.seeded);
        seeding.start(&self.book, self.reached, self.streams.clone());
        let (store, shared, outputs) = (
            Arc::clone(&self.store),
            Arc::clone(&self.shared),
            self.options.outputs.clone(),
        );
        let committer = thread::Builder::new()
            .name("neph-commit".to_owned())
            .spawn(move || commit::run(&store, &shared, &outputs, &to_do))
            .map_err(RunError::Thread)?;
        let lateness = lateness_of(&self.book);
        let mut core = Core {
            keyed: Keyed::new(&mut self.operators, &self.reloads, false),
            flow: self.flow,
            book: self.book,
            streams: self.streams,
            committed: self.committed,
            reached: self.reached,
            rhythm: Rhythm {
                every: self.options.commit_every,
                blocks: self.options.commit_blocks,
            },
            shared: self.shared,
            jobs,
            seeding,
            seeded,
            missed: self.missed,
            batch: commit::Batch::default(),
            begun: None,
            blocks: 0,
            alert_bytes: 0,
            lateness,
        };
        core.keyed.watermark = core.streams.watermark();
        core.tell_rules();
        let ran = pipeline::run(&mut reader, &mut workers, |chunk, outcome| {
            core.take(chunk, outcome)
        });
        // The committer ends when nobody hands it anything any more.
        drop(core);
        let joined = committer
            .join()
            .map_err(|_| ServiceError::Ended("the committer failed".to_owned()));
        ran?;
        joined
    }
}
