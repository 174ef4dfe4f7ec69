//! The thread that tells the ledger and the log that time goes on.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use neph_store::{Batch, Records, Store};

use super::commit::said;
use super::source::TICKS;
use super::{ServiceOptions, Shared};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// Between two heartbeats, in nanoseconds.
const BEAT: i128 = 10_000_000_000;
/// Lines that wait for others of their event make a tick after so long, in nanoseconds.
const LINES_WAIT: i128 = 3_000_000_000;

/// Tells the ledger that the service lives, and the log that time goes on when nothing comes.
pub(super) fn keep_time(store: &Store, shared: &Shared, options: &ServiceOptions, run: i64) {
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
        if now.nanos_since(beat) >= BEAT {
            beat = now;
            if let Err(error) = store.db.heartbeat(run, now) {
                shared.status(|status| status.store_problem = Some(said(&error)));
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
