//! Rules over an interval of the past that they did not see.
//!
//! All events of the interval are known, and so are those before it that the rules look back on; alerts of the interval are
//! inserted once by their ids, so that those that were told then are not told again. The ledger keeps what was done.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::atomic::Ordering;

use neph_engine::{Match, Outcome, StepMatch};
use neph_event::Instant;
use neph_rules::{Alert, AlertFlow, RuleSet, Told};
use neph_store::{AlertChange, Backfill, BackfillState, Commit, Store};
use serde::Serialize;

use crate::RunError;
use crate::detect::{MatchWorker, match_workers};
use crate::keyed::Keyed;
use crate::reload::{Reloads, Said};
use crate::run::drive;
use crate::steps::Steps;

use super::book::{Book, Way, reach};
use super::commit::said;
use super::{ServiceError, ServiceOptions, history, stored};

/// So many alerts are committed at once.
const AT_ONCE: usize = 512;
/// Events may come so much later than they happened and still be found where they belong: a day.
const LATEST: i128 = 24 * 3600 * 1_000_000_000;

/// What a back-fill did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackfillReport {
    /// Its number in the ledger.
    pub id: i64,
    /// The rule; `*` for all.
    pub rule: String,
    /// Event times that it covers: from, inclusive.
    pub from: String,
    /// Until, exclusive.
    pub to: String,
    /// Records that were read, those before the interval included.
    pub records: u64,
    /// Alerts of the interval.
    pub alerts: u64,
    /// Of these, alerts that were not there before.
    pub new_alerts: u64,
}

/// Runs one of the rules, by its id, or all (`*`), over the events of an interval `[from, to)` of the log.
///
/// # Errors
/// There is no such rule; the store fails, and the ledger says so where it can.
pub fn backfill(
    store: &Store,
    rules: RuleSet,
    rule: &str,
    times: Range<Instant>,
    options: &ServiceOptions,
) -> Result<BackfillReport, ServiceError> {
    run(
        store,
        &Book::new(rules),
        rule,
        times,
        options,
        "asked for",
        &|| false,
    )
}

pub(super) fn run(
    store: &Store,
    book: &Book,
    rule: &str,
    times: Range<Instant>,
    options: &ServiceOptions,
    why: &str,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<BackfillReport, ServiceError> {
    let places: Vec<usize> = match rule {
        "*" => (0..book.rules.len()).collect(),
        id => vec![
            book.place(id)
                .ok_or_else(|| ServiceError::NoRule(id.to_owned()))?,
        ],
    };
    let version = book.set.rules.iter().find(|one| one.id == rule);
    let mut row = Backfill {
        id: 0,
        rule: rule.to_owned(),
        version: version.map_or_else(|| book.set.id.clone(), |one| one.version.clone()),
        from: times.start,
        to: times.end,
        started: (options.now)(),
        finished: None,
        records: 0,
        alerts: 0,
        new_alerts: 0,
        state: BackfillState::Running,
        detail: why.to_owned(),
    };
    row.id = store.db.save_backfill(row.clone())?;
    let mut found = Alerts {
        store,
        options,
        waiting: Vec::new(),
        ids: HashSet::new(),
        new_alerts: 0,
        failed: None,
    };
    let ran = over_history(
        store,
        &book.only(&places),
        &times,
        options,
        is_cancelled,
        &mut Watch::default(),
        &mut |alert| found.take(alert),
    );
    found.commit();
    let failed = found.failed.take();
    (row.alerts, row.new_alerts) = (found.ids.len() as u64, found.new_alerts);
    row.finished = Some((options.now)());
    let result = match (ran, failed) {
        (Ok(records), None) => {
            row.records = records;
            row.state = match is_cancelled() {
                true => BackfillState::Failed,
                false => BackfillState::Done,
            };
            if row.state == BackfillState::Failed {
                row.detail = format!("{why}; the service ended");
            }
            Ok(())
        }
        (Err(error), _) | (_, Some(error)) => {
            row.state = BackfillState::Failed;
            row.detail = format!("{why}; {}", said(&error));
            Err(error)
        }
    };
    store.db.save_backfill(row.clone())?;
    result.map(|()| BackfillReport {
        id: row.id,
        rule: row.rule,
        from: row.from.to_string(),
        to: row.to.to_string(),
        records: row.records,
        alerts: row.alerts,
        new_alerts: row.new_alerts,
    })
}

/// Is given the steps that the events of a chunk satisfy.
type SeesSteps<'w> = &'w mut dyn FnMut(&Steps);

/// What is to be seen of a run over history, beside its alerts.
#[derive(Default)]
pub(super) struct Watch<'w> {
    /// Is given what events satisfy.
    pub(super) steps: Option<SeesSteps<'w>>,
    /// Is given all matches.
    pub(super) matches: Option<&'w mut dyn FnMut(&Match)>,
}

/// Runs rules over the events of an interval and those before it that they look back on; gives the alerts of the interval to
/// `take`, in no order of time, and says how many records were read.
pub(super) fn over_history(
    store: &Store,
    book: &Book,
    times: &Range<Instant>,
    options: &ServiceOptions,
    is_cancelled: &dyn Fn() -> bool,
    watch: &mut Watch<'_>,
    take: &mut dyn FnMut(Alert),
) -> Result<u64, ServiceError> {
    let reach = book
        .rules
        .iter()
        .filter_map(|rule| reach(rule))
        .max()
        .unwrap_or(0);
    let start = times.start.saturating_sub_nanos(i128::from(reach));
    let end = times.end.saturating_add_nanos(LATEST);
    let mut reader = history(store, start..end, None, options.run.source.as_deref());
    let cancelled = reader.cancel_flag();
    let mut operators = book.operators(Way::Whole, options.memory);
    let mut telling = Telling::new(book, times);
    let reloads: Reloads<()> = Reloads::default();
    let mut workers = match_workers(&book.program, &reloads, false, &options.run).map_err(RunError::from)?;
    if watch.steps.is_some() {
        workers.iter_mut().for_each(MatchWorker::keep_documents);
    }
    let mut keyed = Keyed::new(&mut operators, &reloads, &options.run);
    let mut progress = |_| {
        if is_cancelled() {
            cancelled.store(true, Ordering::Relaxed);
        }
    };
    let mut sink = |said| {
        let Said::Outcome(outcome) = said else { return };
        if let (Outcome::Found(found), Some(seen)) = (&outcome, &mut watch.matches) {
            seen(found);
        }
        telling.take(outcome, take);
    };
    let (summary, _) = keyed.run(options.run.threads > 1, &mut sink, |give| {
        drive(&mut reader, &mut workers, &options.run, &mut progress, |found| {
            if let Some(steps) = &mut watch.steps {
                steps(&found.steps);
            }
            give(found)
        })
    })?;
    telling.finish(take);
    Ok(summary.records + summary.refused)
}

/// The alerts that a rule tells of what its events satisfy, by id; the same as a run over the events gives.
pub(super) fn over_steps<'s>(
    book: &Book,
    times: &Range<Instant>,
    options: &ServiceOptions,
    steps: impl Iterator<Item = &'s StepMatch>,
) -> HashSet<String> {
    let mut ids = HashSet::new();
    let mut take = |alert: Alert| {
        ids.insert(alert.id);
    };
    let mut operators = book.operators(Way::Whole, options.memory);
    let mut telling = Telling::new(book, times);
    let mut outcomes = Vec::new();
    for step in steps {
        operators.push(step.clone(), &mut outcomes);
        for outcome in outcomes.drain(..) {
            telling.take(outcome, &mut take);
        }
    }
    operators.finish(&mut outcomes);
    for outcome in outcomes {
        telling.take(outcome, &mut take);
    }
    telling.finish(&mut take);
    ids
}

/// Makes alerts of what operators tell, and gives those of an interval.
struct Telling<'t> {
    flow: AlertFlow,
    times: &'t Range<Instant>,
    told: Vec<Told>,
}

impl<'t> Telling<'t> {
    fn new(book: &Book, times: &'t Range<Instant>) -> Self {
        Self {
            flow: AlertFlow::new(book.rules.clone(), false),
            times,
            told: Vec::new(),
        }
    }

    fn take(&mut self, outcome: Outcome, take: &mut dyn FnMut(Alert)) {
        self.flow.take(outcome, &mut self.told);
        self.give(take);
    }

    fn finish(&mut self, take: &mut dyn FnMut(Alert)) {
        self.flow.finish(&mut self.told);
        self.give(take);
    }

    fn give(&mut self, take: &mut dyn FnMut(Alert)) {
        for told in self.told.drain(..) {
            let (Told::Raised(alert) | Told::Updated(alert)) = told else {
                continue;
            };
            let time = alert.last.or(alert.first);
            if time.is_none_or(|time| self.times.contains(&time)) {
                take(alert);
            }
        }
    }
}

/// Alerts on their way into the store.
struct Alerts<'a> {
    store: &'a Store,
    options: &'a ServiceOptions,
    waiting: Vec<AlertChange>,
    /// Their ids: records that came twice make an alert twice.
    ids: HashSet<String>,
    new_alerts: u64,
    failed: Option<ServiceError>,
}

impl Alerts<'_> {
    fn take(&mut self, alert: Alert) {
        if !self.ids.insert(alert.id.clone()) {
            return;
        }
        match stored::alert(alert) {
            Ok(alert) => self.waiting.push(AlertChange::Raised(alert)),
            Err(error) => self.failed = Some(error.into()),
        }
        if self.waiting.len() >= AT_ONCE {
            self.commit();
        }
    }

    fn commit(&mut self) {
        if self.waiting.is_empty() || self.failed.is_some() {
            return;
        }
        let alerts = std::mem::take(&mut self.waiting);
        let commit = Commit {
            now: (self.options.now)(),
            alerts,
            outputs: self.options.outputs.get(),
            ..Commit::default()
        };
        match self.store.db.commit(commit) {
            Ok(committed) => self.new_alerts += committed.raised.len() as u64,
            Err(error) => self.failed = Some(error.into()),
        }
    }
}
