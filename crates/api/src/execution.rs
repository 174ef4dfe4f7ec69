//! When rules were held against records, by the ledger.

use std::collections::{BTreeMap, HashMap};

use neph_event::Instant;
use neph_store::{Gap, Role};
use neph_store::{Interval, RuleHealth, Store, StoreError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::problem::Problem;
use crate::route::{Answer, Call, Route, schema_of};
use crate::status::StatusGap;
use crate::when::now;
use crate::wire::instant;

pub(crate) static ROUTES: &[Route] = &[Route::get(
    "/api/v1/rules/{id}/execution",
    Role::Viewer,
    "rules.execution",
    "When a rule was held against records, how it ran then, and what it did not see.",
    schema_of::<Execution>,
    execution,
)
.with_query(&[schema_of::<Since>])];

const DAY: i128 = 86_400 * 1_000_000_000;
/// The ledger counts by the minute.
const MINUTE: i128 = 60 * 1_000_000_000;

/// From when on.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Since {
    /// From when on: a time, a day, or a time ago; seven days ago without it.
    since: Option<String>,
}

/// When a rule was held against records.
#[derive(Debug, Serialize, JsonSchema)]
struct Execution {
    /// From when on it is told.
    since: String,
    /// When it was asked.
    now: String,
    /// When it was held against a record last, to the minute; null where it was not.
    last: Option<String>,
    /// Records that it was held against.
    records: u64,
    /// The stretches of time, in order.
    spans: Vec<Span>,
    /// What it did not see.
    gaps: Vec<StatusGap>,
}

/// A stretch of time in which a rule ran.
#[derive(Debug, Serialize, JsonSchema)]
struct Span {
    /// From when.
    from: String,
    /// Until when.
    to: String,
    /// `active`, `degraded` or `rejected`.
    state: String,
    /// Why it was degraded or rejected.
    why: String,
    /// Records that it was held against; none where it was rejected.
    records: u64,
}

/// How the rules of sets ran, by their ids; each set is read once.
#[derive(Default)]
struct Sets(HashMap<String, HashMap<String, (RuleHealth, String)>>);

impl Sets {
    fn of(&mut self, store: &Store, set: &str) -> Result<&HashMap<String, (RuleHealth, String)>, StoreError> {
        if !self.0.contains_key(set) {
            let rules = match store.db.rule_set(set) {
                Ok(found) => found.rules,
                Err(StoreError::Missing { .. }) => Vec::new(),
                Err(error) => return Err(error),
            };
            let rules = rules.into_iter().map(|rule| (rule.id, (rule.health, rule.why)));
            self.0.insert(set.to_owned(), rules.collect());
        }
        Ok(self.0.entry(set.to_owned()).or_default())
    }
}

/// When each rule was held against a record last, of the last day, by its id.
pub(crate) fn last_evaluated(store: &Store, now: Instant) -> Result<BTreeMap<String, Instant>, StoreError> {
    let mut by_set: HashMap<String, Instant> = HashMap::new();
    for interval in store
        .db
        .intervals(now.saturating_sub_nanos(DAY)..now.saturating_add_nanos(MINUTE))?
    {
        let last = by_set
            .entry(interval.total.rule_set)
            .or_insert(interval.received.end);
        *last = (*last).max(interval.received.end);
    }
    let mut sets = Sets::default();
    let mut found: BTreeMap<String, Instant> = BTreeMap::new();
    for (set, last) in by_set {
        for (id, (health, _)) in sets.of(store, &set)? {
            if *health != RuleHealth::Rejected {
                let own = found.entry(id.clone()).or_insert(last);
                *own = (*own).max(last);
            }
        }
    }
    // An interval ends with its minute, which may not be over.
    found.values_mut().for_each(|last| *last = (*last).min(now));
    Ok(found)
}

fn execution(call: &Call<'_>) -> Result<Answer, Problem> {
    let asked: Since = call.query()?;
    let id = call.part("id");
    let shown = call.app.rules();
    let rules = &shown.set.report.rules;
    if !rules.iter().any(|rule| rule.id.as_deref() == Some(id)) {
        return Err(Problem::missing("rule", id));
    }
    let now = now();
    let since = instant(asked.since.as_ref(), now)?.unwrap_or_else(|| now.saturating_sub_nanos(7 * DAY));
    if since >= now {
        return Err(Problem::invalid("`since` must be in the past"));
    }
    let store = &call.app.store;
    let mut intervals = store.db.intervals(since..now.saturating_add_nanos(MINUTE))?;
    intervals.sort_by_key(|interval| interval.received.start);
    let (spans, records) = spans(store, id, &intervals, now)?;
    let of_rule = |gap: &Gap| gap.rule.as_deref().is_none_or(|rule| rule == id) && gap.stream.is_none();
    let gaps = store.db.gaps(since..now, now, &call.app.silences)?;
    Answer::json(&Execution {
        since: since.to_string(),
        now: now.to_string(),
        last: spans
            .iter()
            .filter(|(_, _, health, _, _)| *health != RuleHealth::Rejected)
            .map(|(_, to, ..)| *to)
            .max()
            .map(|to| to.to_string()),
        records,
        spans: spans
            .into_iter()
            .map(|(from, to, health, why, records)| Span {
                from: from.to_string(),
                to: to.to_string(),
                state: crate::wire::word(&health),
                why,
                records,
            })
            .collect(),
        gaps: gaps
            .iter()
            .filter(|gap| of_rule(gap))
            .map(StatusGap::from)
            .collect(),
    })
}

type Ran = (Instant, Instant, RuleHealth, String, u64);

/// The stretches of time in which a rule ran alike, of the intervals of all streams in the order of time; and the records of them.
fn spans(
    store: &Store,
    id: &str,
    intervals: &[Interval],
    now: Instant,
) -> Result<(Vec<Ran>, u64), StoreError> {
    let mut sets = Sets::default();
    let mut spans: Vec<Ran> = Vec::new();
    let mut all = 0;
    for interval in intervals {
        let Some((health, why)) = sets.of(store, &interval.total.rule_set)?.get(id).cloned() else {
            continue;
        };
        let records = match health {
            RuleHealth::Rejected => 0,
            _ => interval.total.evaluated,
        };
        all += records;
        let (from, to) = (interval.received.start, interval.received.end.min(now));
        match spans.last_mut() {
            Some(last) if last.2 == health && last.3 == why && from <= last.1 => {
                last.1 = last.1.max(to);
                last.4 += records;
            }
            _ => spans.push((from, to, health, why, records)),
        }
    }
    Ok((spans, all))
}
