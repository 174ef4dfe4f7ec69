//! The thread that tells the ledger and the log that time goes on.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use neph_event::Instant;
use neph_store::{Batch, Records, Store, Unseen, UnseenKind, Untaken};

use super::commit::said;
use super::source::TICKS;
use super::{ServiceOptions, Shared};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// Between two heartbeats, in nanoseconds.
const BEAT: i128 = 10_000_000_000;
/// A log that takes nothing is tried so often, in nanoseconds, lest nobody else does.
const TRY: i128 = 2_000_000_000;
/// Lines that wait for others of their event make a tick after so long, in nanoseconds.
const LINES_WAIT: i128 = 3_000_000_000;

/// Tells the ledger that the service lives, and the log that time goes on when nothing comes.
pub(super) fn keep_time(store: &Store, shared: &Shared, options: &ServiceOptions, run: i64) {
    let nanos = |duration: Duration| i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX);
    let mut beat = shared.now();
    let mut end = store.log.end();
    let mut appended = shared.now();
    let mut doors = Doors::default();
    loop {
        let now = shared.now();
        doors.look(store, shared, now);
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
        let is_closed = doors.closed && now.nanos_since(doors.tried) >= TRY;
        let holds = shared.control.holds_lines.load(Ordering::Relaxed);
        if quiet >= nanos(options.tick_every) || (holds && quiet >= LINES_WAIT) || is_closed {
            doors.tried = now;
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

/// Whether the log takes records, and what of that the ledger is still to be told.
#[derive(Default)]
struct Doors {
    closed: bool,
    tried: Instant,
    /// When what lasts was noted last.
    noted: Instant,
    /// What is over and not in the ledger yet, which may have no room either.
    waiting: Vec<Unseen>,
}

impl Doors {
    fn look(&mut self, store: &Store, shared: &Shared, now: Instant) {
        let lasting = store.log.untaken();
        let problem = lasting.as_ref().map(|untaken| said(&untaken.why));
        self.waiting
            .extend(store.log.take_ended().iter().map(|untaken| row(untaken, true)));
        let began = lasting.is_some() && !self.closed;
        self.closed = lasting.is_some();
        shared.status(|status| status.log_problem = problem);
        let mut rows = self.waiting.clone();
        if began || now.nanos_since(self.noted) >= BEAT {
            rows.extend(lasting.iter().map(|untaken| row(untaken, false)));
        }
        if rows.is_empty() {
            return;
        }
        self.noted = now;
        if store.db.note_unseen(rows, now).is_ok() {
            self.waiting.clear();
        }
    }
}

fn row(untaken: &Untaken, ended: bool) -> Unseen {
    Unseen {
        kind: UnseenKind::Untaken,
        stream: String::new(),
        rule: String::new(),
        from: untaken.from,
        to: untaken.to,
        records: untaken.records,
        why: format!("the store took no records: {}", untaken.why.brief()),
        ended,
    }
}
