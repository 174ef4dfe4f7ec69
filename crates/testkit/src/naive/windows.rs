//! First-seen queries and aggregates: every run of the schedule over all events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use neph_engine::{Distinct, Match, StepMatch, Tally, Window};
use neph_event::{EventId, Instant, Value};
use neph_plan::{Aggregate, FirstSeen};

type Keys = Vec<Option<Value>>;

/// Events of which an aggregate's match keeps the first and the last.
const EXEMPLARS: usize = 3;

pub(super) fn first_seen(query: &FirstSeen, steps: &[StepMatch]) -> Vec<Match> {
    let (interval, history) = (millis(query.interval), millis(query.history));
    let mut matches = Vec::new();
    for (keys, events) in by_keys(steps) {
        for end in ends(interval, &events, 0) {
            let start = end - interval;
            let is_known = events
                .iter()
                .any(|event| (end - history..start).contains(&time(event)));
            let first = events.iter().find(|event| (start..end).contains(&time(event)));
            if let Some(first) = first.filter(|_| !is_known) {
                matches.push(to_match(&keys, &[*first], start, end, None));
            }
        }
    }
    matches
}

pub(super) fn aggregate(query: &Aggregate, steps: &[StepMatch]) -> Vec<Match> {
    let (interval, lookback) = (millis(query.interval), millis(query.lookback));
    let mut matches = Vec::new();
    for (keys, mut events) in by_keys(steps) {
        let mut known = BTreeSet::new();
        events.retain(|step| {
            let identity: (Option<&EventId>, u64) = match step.event().given_id() {
                Some(id) => (Some(id), 0),
                None => (None, step.position()),
            };
            known.insert(identity)
        });
        let mut told = i64::MIN;
        for end in ends(interval, &events, lookback) {
            let from = told.max(end - lookback);
            let counted: Vec<&StepMatch> = events
                .iter()
                .copied()
                .filter(|event| (from..end).contains(&time(event)))
                .collect();
            let values: BTreeSet<&Value> = counted.iter().flat_map(|event| &event.counted).collect();
            let enough_values = query
                .distinct
                .as_ref()
                .is_none_or(|distinct| values.len() as u64 >= distinct.at_least);
            if counted.is_empty() || (counted.len() as u64) < query.at_least || !enough_values {
                continue;
            }
            told = end;
            let tally = Tally {
                count: counted.len() as u64,
                distinct: query.distinct.as_ref().map(|_| Distinct {
                    count: values.len() as u64,
                    is_exact: true,
                }),
                measured: None,
            };
            let last = counted.len().saturating_sub(EXEMPLARS).max(EXEMPLARS);
            let exemplars: Vec<&StepMatch> = counted
                .iter()
                .take(EXEMPLARS)
                .chain(counted.iter().skip(last))
                .copied()
                .collect();
            matches.push(to_match(&keys, &exemplars, from, end, Some(tally)));
        }
    }
    matches
}

/// Step matches with a time, in order, by their keys.
fn by_keys(steps: &[StepMatch]) -> BTreeMap<Keys, Vec<&StepMatch>> {
    let mut groups: BTreeMap<Keys, Vec<&StepMatch>> = BTreeMap::new();
    for step in steps.iter().filter(|step| step.ordinal().is_some()) {
        groups.entry(step.keys().to_vec()).or_default().push(step);
    }
    for events in groups.values_mut() {
        events.sort_by(|a, b| a.ordinal().cmp(&b.ordinal()));
    }
    groups
}

/// The ends of all runs from the first event to some time after the last.
fn ends(interval: i64, events: &[&StepMatch], after: i64) -> impl Iterator<Item = i64> + use<> {
    let first = events.first().map_or(0, |event| time(event)).div_euclid(interval);
    let last = events.last().map_or(0, |event| time(event)).saturating_add(after);
    (first..=last.div_euclid(interval)).map(move |number| (number + 1) * interval)
}

fn to_match(keys: &Keys, events: &[&StepMatch], from: i64, to: i64, tally: Option<Tally>) -> Match {
    let (first, last) = (events.first(), events.last());
    Match {
        rule: first.map_or(neph_engine::RuleIndex(0), |event| event.rule),
        keys: keys.clone(),
        events: events
            .iter()
            .map(|event| (0, Some(Arc::clone(event.event()))))
            .collect(),
        first: first.and_then(|event| Some(event.ordinal()?.time)),
        last: last.and_then(|event| event.ordinal().cloned()),
        window: Some(Window {
            from: Instant::from_millis(from),
            to: Instant::from_millis(to),
            tally,
        }),
    }
}

fn time(step: &StepMatch) -> i64 {
    step.ordinal()
        .map_or(i64::MIN, |ordinal| ordinal.time.as_millis())
}

fn millis(nanos: u64) -> i64 {
    i64::try_from(nanos / 1_000_000).unwrap_or(i64::MAX)
}
