//! What the pipeline made goes into the database: a thread of its own, so that matching goes on while a disk syncs.
//!
//! Jobs are done in order, and a job that fails is tried again until it succeeds or the service stops: a full disk or a
//! locked database makes the pipeline wait, and the log grows meanwhile. A snapshot is written only when everything before
//! its offset is committed, so that a restart from it repeats work but never leaves any out. That is done by a thread of its own
//! again: alerts do not wait while megabytes of state are written.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant as Clock};

use crossbeam_channel::{Receiver, bounded};
use neph_event::Instant;
use neph_store::{AlertChange, Commit, LedgerRow, LossRow, RuleSet, Snapshot, Store, StoreError, Unseen};

use super::{OutputNames, Shared, image};

/// The pause after a job failed; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What is to be done, in order.
pub(crate) enum Job {
    /// What came of some blocks.
    Commit(Batch),
    /// Rules that evaluate what follows.
    Rules(RuleSet),
    /// The state at an offset.
    Snapshot(u64, image::Written),
}

/// The offsets of a block, and the times of its events.
pub(crate) type BlockTimes = (Range<u64>, Option<(Instant, Instant)>);

/// What came of some blocks.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) alerts: Vec<AlertChange>,
    pub(crate) ledger: Vec<LedgerRow>,
    pub(crate) losses: Vec<LossRow>,
    /// What rules missed.
    pub(crate) unseen: Vec<Unseen>,
    /// Least and greatest event times of blocks.
    pub(crate) times: Vec<BlockTimes>,
    pub(crate) processed: u64,
    /// When the oldest of the blocks was received.
    pub(crate) received: Option<Instant>,
}

/// Does jobs until no more come.
pub(crate) fn run(store: &Store, shared: &Shared, outputs: &OutputNames, jobs: &Receiver<Job>) {
    // A second one may wait while the one before is written; then so does the pipeline.
    let (to_keep, snapshots) = bounded(1);
    thread::scope(move |scope| {
        let started = thread::Builder::new()
            .name("neph-state".to_owned())
            .spawn_scoped(scope, move || keep(store, shared, &snapshots));
        if let Err(error) = started {
            shared.status(|status| status.snapshot_problem = Some(said(&error)));
        }
        for job in jobs {
            match job {
                Job::Commit(batch) => {
                    // State of what is not committed would be of no use, and would push out what is.
                    if !commit(store, shared, outputs, batch) {
                        return;
                    }
                }
                Job::Rules(set) => {
                    insist(shared, || store.db.rule_set_active(shared.now(), set.clone()));
                    // What was broken until now can be mended.
                    shared.has_missed.store(true, Ordering::Relaxed);
                }
                Job::Snapshot(offset, written) => {
                    // Nobody takes it only where the thread could not be started, which is told.
                    let _ = to_keep.send((offset, written));
                }
            }
        }
    });
}

/// Writes state down, and lets the log forget what is not needed any more.
fn keep(store: &Store, shared: &Shared, snapshots: &Receiver<(u64, image::Written)>) {
    let mut kept: Option<u64> = None;
    for (offset, written) in snapshots {
        let began = Clock::now();
        let snapshot = match written.into_blob() {
            Ok(blob) => Snapshot { offset, blob },
            Err(error) => {
                shared.status(|status| status.snapshot_problem = Some(said(&error)));
                continue;
            }
        };
        match store.snapshots.save(&snapshot) {
            Ok(()) => {
                shared.status(|status| {
                    status.snapshot_offset = Some(snapshot.offset);
                    status.snapshot_bytes = snapshot.blob.len() as u64;
                    status.snapshot_millis += millis(began.elapsed());
                    status.snapshot_problem = None;
                });
                // The one before must stay of use, should this one prove damaged.
                let needed = kept.replace(snapshot.offset).unwrap_or(0);
                if let Err(error) = store.retain(needed, shared.now()) {
                    shared.status(|status| status.store_problem = Some(said(&error)));
                }
            }
            Err(error) => shared.status(|status| status.snapshot_problem = Some(said(&error))),
        }
    }
}

/// Whether the batch is committed.
fn commit(store: &Store, shared: &Shared, outputs: &OutputNames, batch: Batch) -> bool {
    let commit = Commit {
        now: shared.now(),
        alerts: batch.alerts,
        ledger: batch.ledger,
        unseen: batch.unseen,
        processed: batch.processed,
        outputs: outputs.get(),
    };
    let Some(committed) = insist(shared, || store.db.commit(commit.clone())) else {
        return false;
    };
    for loss in batch.losses {
        insist(shared, || store.db.lost(loss.clone()));
    }
    for (offsets, times) in batch.times {
        store.log.note_times(offsets, times);
    }
    shared.status(|status| {
        status.processed = commit.processed;
        status.alerts_raised += committed.raised.len() as u64;
        status.commits += 1;
        if let Some(received) = batch.received {
            let waited = shared.now().nanos_since(received).max(0) / 1_000_000;
            status.latency_millis = u64::try_from(waited).unwrap_or(u64::MAX);
        }
    });
    if !commit.unseen.is_empty() {
        shared.has_missed.store(true, Ordering::Relaxed);
    }
    shared.tell(&commit.alerts);
    true
}

/// Does something until it succeeds; `None` if the service stops before.
fn insist<T>(shared: &Shared, mut work: impl FnMut() -> Result<T, StoreError>) -> Option<T> {
    let mut pause = FIRST_PAUSE;
    loop {
        match work() {
            Ok(done) => {
                shared.status(|status| status.store_problem = None);
                return Some(done);
            }
            Err(error) => shared.status(|status| status.store_problem = Some(said(&error))),
        }
        // What is not committed is read again from the log after the next start.
        if shared.control.stop.load(Ordering::Relaxed) {
            shared.status(|status| status.ended_early = true);
            return None;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// An error with what is behind it.
pub(crate) fn said(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
