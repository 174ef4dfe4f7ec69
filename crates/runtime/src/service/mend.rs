//! Gaps that close of their own accord: what rules missed is back-filled when things have come to rest.
//!
//! A rule misses events that come when its windows were decided, what it looks back on when too much came to keep, and
//! everything while it is broken. All of this stands in the ledger, so that a gap that a service leaves behind when it ends is
//! closed by the next.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant as Clock};

use neph_event::Instant;
use neph_store::{GapKind, Store, StoreError};

use super::book::{Book, reach};
use super::commit::said;
use super::{ServiceOptions, Shared, backfill};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);
/// A gap that cannot be closed is tried again after so long.
const AGAIN: Duration = Duration::from_secs(600);

/// Closes gaps.
pub(crate) struct Mender {
    store: Arc<Store>,
    shared: Arc<Shared>,
    options: ServiceOptions,
    book: Current,
}

/// The rules that run now.
pub(crate) type Current = Arc<Mutex<Option<Arc<Book>>>>;

/// A stretch of event time of which a rule missed something.
struct Missed {
    from: Instant,
    to: Instant,
    why: &'static str,
}

impl Mender {
    pub(crate) fn new(store: Arc<Store>, shared: Arc<Shared>, options: ServiceOptions) -> Self {
        Self {
            store,
            shared,
            options,
            book: Arc::default(),
        }
    }

    /// Where to put the rules that run.
    pub(crate) fn current(&self) -> Current {
        Arc::clone(&self.book)
    }

    /// Closes gaps until the service stops.
    pub(crate) fn run(self) {
        let mut looked_at: Option<String> = None;
        // Since when there may be something to do, and how long it is left to gather.
        let mut due: Option<(Clock, Duration)> = None;
        loop {
            thread::sleep(LOOK);
            if self.shared.is_stopping() {
                return;
            }
            let book = self.book.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let Some(book) = book else { continue };
            // Other rules run: some may have been mended.
            let has_changed = looked_at.as_ref() != Some(&book.set.id);
            looked_at = Some(book.set.id.clone());
            if self.shared.has_missed.swap(false, Ordering::Relaxed) || has_changed {
                due.get_or_insert((Clock::now(), self.options.mend_after));
            }
            if due.is_none_or(|(since, pause)| since.elapsed() < pause) {
                continue;
            }
            due = match self.close(&book) {
                Ok(()) => None,
                Err(error) => {
                    self.shared.notice(said(&error));
                    Some((Clock::now(), AGAIN))
                }
            };
        }
    }

    /// Closes what is open.
    fn close(&self, book: &Book) -> Result<(), super::ServiceError> {
        for (rule, missed) in self.missed(book)? {
            if self.shared.is_stopping() {
                return Ok(());
            }
            self.mend(book, &rule, &missed)?;
        }
        Ok(())
    }

    /// For each rule that runs and missed something from when to when.
    fn missed(&self, book: &Book) -> Result<BTreeMap<String, Missed>, StoreError> {
        let mut missed: BTreeMap<String, Missed> = BTreeMap::new();
        let Some(oldest) = self.store.log.oldest() else {
            return Ok(missed);
        };
        let now = self.shared.now();
        // What is in the log may have happened long before it was received.
        let gaps = self
            .store
            .db
            .rule_gaps(oldest.saturating_sub_nanos(YEAR)..now, now)?;
        for gap in gaps.iter().filter(|gap| gap.closed_by.is_empty() && !gap.open) {
            let why = match gap.kind {
                GapKind::RuleBroken => "the rule was broken",
                GapKind::Late => "events came too late",
                GapKind::HistoryMissing => "the rule ran without its history",
                _ => continue,
            };
            let Some(rule) = gap.rule.as_ref().filter(|rule| book.place(rule).is_some()) else {
                continue;
            };
            let (mut from, mut to) = (gap.from, gap.to);
            // What was received while it was broken may have happened before.
            if gap.kind == GapKind::RuleBroken
                && let Some((first, last)) = self.store.db.event_times(from..to)?
            {
                (from, to) = (from.min(first), to.max(last));
            }
            note(&mut missed, rule, Missed { from, to, why });
        }
        Ok(missed)
    }

    fn mend(&self, book: &Book, id: &str, missed: &Missed) -> Result<(), super::ServiceError> {
        let Some(rule) = book.place(id).and_then(|place| book.rules.get(place)) else {
            return Ok(());
        };
        // What an event takes part in may begin and end as far from it as the rule looks.
        let reach = i128::from(reach(rule).unwrap_or(0));
        let from = missed.from.saturating_sub_nanos(reach);
        let to = missed.to.saturating_add_nanos(reach.max(1));
        backfill::run(
            &self.store,
            book,
            id,
            from..to,
            &self.options,
            missed.why,
            &|| self.shared.is_stopping(),
        )?;
        self.shared.status(|status| status.mended += 1);
        Ok(())
    }
}

/// Events are looked for so long before the log began, in nanoseconds.
const YEAR: i128 = 366 * 24 * 3600 * 1_000_000_000;

fn note(all: &mut BTreeMap<String, Missed>, rule: &str, missed: Missed) {
    match all.get_mut(rule) {
        Some(known) => {
            known.from = known.from.min(missed.from);
            known.to = known.to.max(missed.to);
        }
        None => {
            all.insert(rule.to_owned(), missed);
        }
    }
}
