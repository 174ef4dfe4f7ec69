//! What the routes work on.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use neph_event::Instant;
use neph_rules::RuleSet;
use neph_store::{SilenceLimits, Store};
use tokio::sync::Semaphore;

use crate::keys::Keys;
use crate::live::Live;
use crate::when::now;

/// Bounds of what clients may ask.
#[derive(Clone, Copy, Debug)]
pub struct AppLimits {
    /// The largest body, in bytes.
    pub body: u64,
    /// The longest search.
    pub query_time: Duration,
    /// Searches at once.
    pub searches: usize,
    /// Requests at once.
    pub requests: usize,
    /// Live streams at once.
    pub streams: usize,
}

/// What is counted.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) requests: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) failures: AtomicU64,
}

/// What the routes work on.
pub struct App {
    pub(crate) store: Arc<Store>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) limits: AppLimits,
    pub(crate) counts: Counts,
    pub(crate) searches: Arc<Semaphore>,
    pub(crate) requests: Semaphore,
    pub(crate) live: Live,
    pub(crate) started: Instant,
    /// When sources count as silent.
    pub(crate) silences: SilenceLimits,
    stopped: AtomicBool,
    pub(crate) intake: OnceLock<Arc<neph_ingest::Counts>>,
    rules: Mutex<Arc<RuleSet>>,
}

impl App {
    /// An application on a store.
    pub fn new(
        store: Arc<Store>,
        keys: Arc<Keys>,
        rules: Arc<RuleSet>,
        limits: AppLimits,
        silences: SilenceLimits,
    ) -> Arc<Self> {
        let live = Live::start(&store, limits.streams);
        Arc::new(Self {
            store,
            keys,
            limits,
            counts: Counts::default(),
            searches: Arc::new(Semaphore::new(limits.searches)),
            requests: Semaphore::new(limits.requests),
            live,
            started: now(),
            silences,
            stopped: AtomicBool::new(false),
            intake: OnceLock::new(),
            rules: Mutex::new(rules),
        })
    }

    /// Lets other rules take the place of those that are shown.
    pub fn change_rules(&self, rules: Arc<RuleSet>) {
        *self.rules.lock().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// The rules.
    pub(crate) fn rules(&self) -> Arc<RuleSet> {
        Arc::clone(&self.rules.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is received, for the metrics.
    pub fn set_intake(&self, counts: Arc<neph_ingest::Counts>) {
        let _ = self.intake.set(counts);
    }

    /// Says whether records are evaluated, for whoever asks whether the service is ready.
    pub fn set_pipeline(&self, runs: bool) {
        self.stopped.store(!runs, Ordering::Relaxed);
    }

    pub(crate) fn pipeline_runs(&self) -> bool {
        !self.stopped.load(Ordering::Relaxed)
    }

    /// Ends live streams, so that the listener can close.
    pub fn close(&self) {
        self.live.close();
    }
}
