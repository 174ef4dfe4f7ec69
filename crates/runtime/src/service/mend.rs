//! Gaps that close of their own accord: what rules missed is back-filled when things have come to rest.
//!
//! A rule misses events that come when its windows were decided, and everything while it is broken. The first is told by the
//! pipeline, the second stands in the ledger.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant as Clock};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use neph_event::Instant;
use neph_store::{GapKind, SilenceLimits, Store};

use super::book::{Book, reach};
use super::commit::said;
use super::{ServiceOptions, Shared, backfill};

/// Things that were missed and wait to be noted; more are noted by those that come later.
const WAITING: usize = 4_096;

/// A stretch of event time of which a rule missed something.
#[derive(Clone, Debug)]
pub(crate) struct Missed {
    pub(crate) rule: String,
    pub(crate) from: Instant,
    pub(crate) to: Instant,
    pub(crate) why: String,
}

/// Closes gaps.
pub(crate) struct Mender {
    store: Arc<Store>,
    shared: Arc<Shared>,
    options: ServiceOptions,
    sender: Sender<Missed>,
    missed: Receiver<Missed>,
    book: Current,
}

/// The rules that run now.
pub(crate) type Current = Arc<Mutex<Option<Arc<Book>>>>;

impl Mender {
    pub(crate) fn new(store: Arc<Store>, shared: Arc<Shared>, options: ServiceOptions) -> Self {
        let (sender, missed) = bounded(WAITING);
        Self {
            store,
            shared,
            options,
            sender,
            missed,
            book: Arc::default(),
        }
    }

    /// Where to tell what was missed.
    pub(crate) fn missed(&self) -> Sender<Missed> {
        self.sender.clone()
    }

    /// Where to put the rules that run.
    pub(crate) fn current(&self) -> Current {
        Arc::clone(&self.book)
    }

    /// Closes gaps until the service stops.
    pub(crate) fn run(self) {
        let mut open: BTreeMap<String, Missed> = BTreeMap::new();
        let mut looked_at: Option<String> = None;
        let mut since = Clock::now();
        loop {
            match self.missed.recv_timeout(Duration::from_millis(200)) {
                Ok(missed) => {
                    let known = open.entry(missed.rule.clone()).or_insert_with(|| missed.clone());
                    known.from = known.from.min(missed.from);
                    known.to = known.to.max(missed.to);
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            if self.shared.is_stopping() {
                return;
            }
            let book = self.book.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let Some(book) = book else { continue };
            // Other rules run: some may have been mended.
            if looked_at.as_ref() != Some(&book.set.id) {
                looked_at = Some(book.set.id.clone());
                self.look_for_broken(&book, &mut open);
            }
            if open.is_empty() {
                since = Clock::now();
            } else if since.elapsed() >= self.options.mend_after {
                since = Clock::now();
                for (_, missed) in std::mem::take(&mut open) {
                    self.mend(&book, &missed);
                }
            }
        }
    }

    /// Notes the intervals in which rules that run now were broken.
    fn look_for_broken(&self, book: &Book, open: &mut BTreeMap<String, Missed>) {
        let now = self.shared.now();
        let Some(oldest) = self.store.log.oldest() else {
            return;
        };
        let gaps = match self.store.db.gaps(oldest..now, now, &SilenceLimits::default()) {
            Ok(gaps) => gaps,
            Err(error) => return self.shared.notice(said(&error)),
        };
        for gap in gaps {
            let Some(rule) = gap.rule.filter(|rule| book.place(rule).is_some()) else {
                continue;
            };
            if gap.kind == GapKind::RuleBroken && gap.closed_by.is_empty() {
                let missed = Missed {
                    rule,
                    from: gap.from,
                    to: gap.to,
                    why: "the rule was broken".to_owned(),
                };
                let known = open.entry(missed.rule.clone()).or_insert_with(|| missed.clone());
                known.from = known.from.min(missed.from);
                known.to = known.to.max(missed.to);
            }
        }
    }

    fn mend(&self, book: &Book, missed: &Missed) {
        let Some(rule) = book.place(&missed.rule).and_then(|place| book.rules.get(place)) else {
            return;
        };
        // What an event takes part in may begin and end as far from it as the rule looks.
        let reach = i128::from(reach(rule).unwrap_or(0));
        let from = missed.from.saturating_sub_nanos(reach);
        let to = missed.to.saturating_add_nanos(reach.max(1));
        let done = backfill::run(
            &self.store,
            book,
            &missed.rule,
            from..to,
            &self.options,
            &missed.why,
            &|| self.shared.is_stopping(),
        );
        self.shared.status(|status| match done {
            Ok(_) => status.mended += 1,
            Err(error) => status.notices.push(said(&error)),
        });
    }
}
