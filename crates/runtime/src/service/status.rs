//! How a service stands, and what its threads share of that.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};
use neph_event::Instant;
use neph_store::AlertChange;
use serde::Serialize;

use crate::run::Tally;

use super::source::Control;
use super::streams::StreamTime;

/// Alert changes that may wait for one subscriber; one that is slower is let go.
const WAITING_CHANGES: usize = 4_096;
/// Notices that the status keeps.
const NOTICES: usize = 50;

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
    pub(crate) fn of((stream, time): (&Arc<str>, &StreamTime)) -> Self {
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
    /// Records without a time of their own, whose time is that of their receipt.
    pub untimed: u64,
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
    /// Why no records are taken now; those who send are told to send again.
    pub log_problem: Option<String>,
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
    /// Notices that nobody took yet.
    untold: Mutex<Vec<String>>,
    subscribers: Mutex<Vec<Sender<Arc<[AlertChange]>>>>,
    /// Whether rules missed something since it was looked at last.
    pub(crate) has_missed: AtomicBool,
    now: fn() -> Instant,
}

impl Shared {
    pub(crate) fn new(now: fn() -> Instant) -> Self {
        Self {
            control: Arc::default(),
            status: Mutex::default(),
            untold: Mutex::default(),
            subscribers: Mutex::default(),
            has_missed: AtomicBool::new(true),
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

    /// Tells of something.
    pub(crate) fn notice(&self, notice: String) {
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        if untold.len() < NOTICES {
            untold.push(notice.clone());
        }
        drop(untold);
        self.status(|status| status.notices.push(notice));
    }

    /// What was told since the last call.
    pub(crate) fn take_notices(&self) -> Vec<String> {
        std::mem::take(&mut self.untold.lock().unwrap_or_else(PoisonError::into_inner))
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

    /// What is told from now on.
    pub(crate) fn subscribe(&self) -> Receiver<Arc<[AlertChange]>> {
        let (sender, receiver) = bounded(WAITING_CHANGES);
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        subscribers.push(sender);
        receiver
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
