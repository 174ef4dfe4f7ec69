//! The pipeline from the log to the database, put together.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;

use crossbeam_channel::bounded;
use neph_rules::AlertFlow;
use neph_store::Store;

use crate::RunError;
use crate::detect::match_workers;
use crate::input::Reader;
use crate::keyed::Keyed;
use crate::pipeline;
use crate::reload::Reloads;

use super::book::{Book, Way, needs_history, reach};
use super::core::{Core, Rhythm, Switch, lateness_of};
use super::names::Names;
use super::seed::{Seeding, ToSeed};
use super::source::{LogSource, Tail};
use super::streams::Streams;
use super::{ServiceError, ServiceOptions, Shared, commit, image};

/// Without any state the log is read again from its beginning, if that is so many bytes at most; of a longer one only what
/// rules look back on is.
const REPLAYED: u64 = 4 << 30;
/// Batches that may wait for the database.
const WAITING_JOBS: usize = 4;

/// Everything that the pipeline's thread needs.
pub(super) struct Pipeline {
    store: Arc<Store>,
    book: Arc<Book>,
    shared: Arc<Shared>,
    reloads: Reloads<Switch>,
    options: ServiceOptions,
    operators: neph_engine::Operators,
    flow: AlertFlow,
    streams: Streams,
    source: LogSource,
    reached: u64,
    committed: u64,
    /// Rules that are to be given history.
    seeded: Vec<ToSeed>,
}

impl Pipeline {
    /// Makes everything ready, from the newest state that was written down.
    pub(super) fn open(
        store: &Arc<Store>,
        book: &Arc<Book>,
        shared: &Arc<Shared>,
        reloads: &Reloads<Switch>,
        options: &ServiceOptions,
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
        let mut waiting = HashMap::new();
        let mut without: Vec<usize> = (0..book.rules.len()).collect();
        let mut reached = committed.max(store.log.begin());
        let mut had_state = false;
        let mut has_image = false;
        if let Some(snapshot) = snapshot {
            match image::read(&snapshot.blob, book, &mut operators, &mut flow) {
                Ok(restored) => {
                    has_image = true;
                    streams.go_on(restored.streams);
                    joiners = restored.joiners;
                    without = restored.without;
                    waiting = restored.waiting;
                    had_state = restored.problems.is_empty();
                    said.extend(restored.problems);
                    reached = snapshot.offset.max(store.log.begin());
                }
                Err(error) => said.push(error.to_string()),
            }
        }
        if !has_image && committed.saturating_sub(store.log.begin()) <= REPLAYED {
            reached = store.log.begin();
        }
        // State that is lost is made again from history, however little of it a rule needs.
        let lost = committed > 0 && !had_state;
        let needs = |place: &usize| {
            let rule = book.rules.get(*place);
            rule.is_some_and(|rule| needs_history(rule) || (lost && reach(rule).is_some()))
        };
        let seeded: Vec<ToSeed> = match store.log.begin() < reached {
            true => without
                .into_iter()
                .filter(needs)
                .map(|place| (place, waiting.get(&place).copied()))
                .collect(),
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
            operators,
            flow,
            streams,
            source,
            reached,
            committed,
            seeded,
        })
    }

    pub(super) fn run(mut self) -> Result<(), ServiceError> {
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
        seeding.start(&self.book, self.reached, &self.streams);
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
            keyed: Keyed::new(&mut self.operators, &self.reloads, &self.options.run),
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
            batch: commit::Batch::default(),
            begun: None,
            blocks: 0,
            alert_bytes: 0,
            lateness,
            names: Names::default(),
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
