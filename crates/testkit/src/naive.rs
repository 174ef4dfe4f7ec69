//! A naive interpreter of stateful queries: the words of their definitions put into code, over all events at once, with
//! no regard for speed or memory. The engine must say the same.
//!
//! Source: <https://www.elastic.co/docs/reference/query-languages/eql/eql-syntax>

mod correlation;
mod windows;

use std::collections::BTreeMap;
use std::sync::Arc;

use neph_engine::{Event, Match, Ordinal, RuleIndex, StepMatch, sort_matches};
use neph_event::Value;
use neph_plan::{Plan, Query, Sample, Sequence};

type Keys = Vec<Option<Value>>;

/// The matches of one plan over all its step matches, in the order of results. No limits are applied.
pub fn interpret(plan: &Plan, steps: &[StepMatch], max_samples_per_key: usize) -> Vec<Match> {
    let mut matches = match &plan.query {
        Query::Events(_) => steps.iter().map(event_match).collect(),
        Query::Sequence(sequence) => sequences(sequence, steps),
        Query::Sample(sample) => return samples(sample, steps, max_samples_per_key),
        Query::FirstSeen(query) => windows::first_seen(query, steps),
        Query::Aggregate(query) => windows::aggregate(query, steps),
        Query::Correlation(query) => correlation::correlation(query, steps),
    };
    sort_matches(&mut matches);
    matches
}

fn event_match(step: &StepMatch) -> Match {
    Match {
        rule: step.rule,
        keys: Keys::new(),
        events: vec![(0, Some(Arc::clone(step.event())))],
        first: step.ordinal().map(|ordinal| ordinal.time),
        last: step.ordinal().cloned(),
        window: None,
    }
}

/// An event with its place in the order and the steps that it satisfies.
#[derive(Clone)]
struct Hit {
    ordinal: Ordinal,
    event: Arc<Event>,
    steps: Vec<usize>,
}

/// A partial sequence: the hits that fill its slots so far.
type Partial = Vec<Hit>;

fn sequences(sequence: &Sequence, steps: &[StepMatch]) -> Vec<Match> {
    let mut by_keys: BTreeMap<Keys, Vec<Hit>> = BTreeMap::new();
    let mut in_order: Vec<&StepMatch> = steps.iter().filter(|step| step.ordinal().is_some()).collect();
    in_order.sort_by(|a, b| a.ordinal().cmp(&b.ordinal()));
    for step in in_order {
        let Some(ordinal) = step.ordinal() else { continue };
        let hits = by_keys.entry(step.keys().to_vec()).or_default();
        // An event that was delivered again is the same event.
        let known = hits.iter_mut().find(|hit| {
            hit.ordinal.time == ordinal.time
                && hit.ordinal.tiebreaker == ordinal.tiebreaker
                && hit.event.id() == step.event().id()
        });
        match known {
            Some(hit) => hit.steps.push(usize::from(step.step)),
            None => hits.push(Hit {
                ordinal: ordinal.clone(),
                event: Arc::clone(step.event()),
                steps: vec![usize::from(step.step)],
            }),
        }
    }
    let rule = steps.first().map_or(RuleIndex(0), |step| step.rule);
    let mut matches = Vec::new();
    for (keys, hits) in by_keys {
        for finished in run_machine(sequence, &hits) {
            if is_kept(sequence, &finished, &hits) {
                matches.push(to_match(sequence, rule, &keys, &finished));
            }
        }
    }
    matches
}

/// The stage of each slot: positive stages only, repeated by their runs.
fn positive_slots(sequence: &Sequence) -> Vec<usize> {
    let stages = sequence
        .stages
        .iter()
        .enumerate()
        .filter(|(_, stage)| !stage.missing);
    stages
        .flat_map(|(number, stage)| (0..stage.runs).map(move |_| number))
        .collect()
}

/// Positive stages, as if the missing ones were absent.
fn run_machine(sequence: &Sequence, hits: &[Hit]) -> Vec<Partial> {
    let slots = positive_slots(sequence);
    let until_step = sequence.stages.len();
    let untils: Vec<&Ordinal> = hits
        .iter()
        .filter(|hit| hit.steps.contains(&until_step))
        .map(|hit| &hit.ordinal)
        .collect();
    let mut partials: Vec<Vec<Partial>> = vec![Vec::new(); slots.len()];
    let mut complete = Vec::new();
    for hit in hits {
        for (slot, stage) in slots.iter().enumerate().rev() {
            if !hit.steps.contains(stage) {
                continue;
            }
            let mut extended = match slot.checked_sub(1).and_then(|before| partials.get_mut(before)) {
                None => Partial::new(),
                Some(waiting) => {
                    let strictly_before =
                        |partial: &Partial| partial.last().is_some_and(|last| last.ordinal < hit.ordinal);
                    let Some(latest) = waiting.iter().rposition(strictly_before) else {
                        continue;
                    };
                    // The latest goes on; the older ones are thrown away with it, whatever happens next.
                    let Some(taken) = waiting.drain(..=latest).next_back() else {
                        continue;
                    };
                    let (Some(first), Some(last)) = (taken.first(), taken.last()) else {
                        continue;
                    };
                    let span = hit.ordinal.time.as_nanos() - first.ordinal.time.as_nanos();
                    if sequence.maxspan.is_some_and(|maxspan| span > i128::from(maxspan)) {
                        continue;
                    }
                    if untils
                        .iter()
                        .any(|until| last.ordinal <= **until && **until < hit.ordinal)
                    {
                        continue;
                    }
                    taken
                }
            };
            extended.push(hit.clone());
            if slot + 1 == slots.len() {
                complete.push(extended);
            } else if let Some(place) = partials.get_mut(slot) {
                place.push(extended);
            }
        }
    }
    complete
}

/// Whether nothing happened that should not have.
fn is_kept(sequence: &Sequence, finished: &Partial, hits: &[Hit]) -> bool {
    let slots = positive_slots(sequence);
    let (Some(first_stage), Some(last_stage)) = (slots.first(), slots.last()) else {
        return false;
    };
    let (Some(first), Some(last)) = (finished.first().map(millis), finished.last().map(millis)) else {
        return false;
    };
    let times = |stage: usize| {
        hits.iter()
            .filter(move |hit| hit.steps.contains(&stage))
            .map(millis)
    };
    let missing = || {
        sequence
            .stages
            .iter()
            .enumerate()
            .filter(|(_, stage)| stage.missing)
            .map(|(number, _)| number)
    };

    for stage in missing().filter(|stage| first_stage < stage && stage < last_stage) {
        let pairs = slots.iter().zip(finished);
        let before = pairs
            .clone()
            .rfind(|(slot, _)| **slot < stage)
            .map(|(_, hit)| millis(hit));
        let after = pairs
            .clone()
            .find(|(slot, _)| **slot > stage)
            .map(|(_, hit)| millis(hit));
        let (Some(before), Some(after)) = (before, after) else {
            return false;
        };
        if times(stage).any(|time| before < time && time < after) {
            return false;
        }
    }

    let starts_missing = missing().any(|stage| stage < *first_stage);
    let ends_missing = missing().any(|stage| stage > *last_stage);
    let leading = missing()
        .filter(|stage| stage < first_stage)
        .flat_map(times)
        .filter(|time| *time < first)
        .max();
    let trailing = missing()
        .filter(|stage| stage > last_stage)
        .flat_map(times)
        .filter(|time| *time > last)
        .min();
    let maxspan = sequence.maxspan.map_or(i64::MAX, |nanos| {
        i64::try_from(nanos / 1_000_000).unwrap_or(i64::MAX)
    });
    match (leading, trailing) {
        (None, None) => true,
        (None, _) if starts_missing => true,
        (_, None) if ends_missing => true,
        (Some(leading), Some(trailing)) => trailing - leading > maxspan,
        (Some(leading), None) => last - leading > maxspan,
        (None, Some(trailing)) => trailing - first > maxspan,
    }
}

fn millis(hit: &Hit) -> i64 {
    hit.ordinal.time.as_millis()
}

fn to_match(sequence: &Sequence, rule: RuleIndex, keys: &Keys, finished: &Partial) -> Match {
    let mut left = finished.iter();
    let mut events = Vec::new();
    for (number, stage) in (0_u16..).zip(&sequence.stages) {
        for _ in 0..stage.runs {
            let event = if stage.missing {
                None
            } else {
                left.next().map(|hit| Arc::clone(&hit.event))
            };
            events.push((number, event));
        }
    }
    Match {
        rule,
        keys: keys.clone(),
        events,
        first: finished.first().map(|hit| hit.ordinal.time),
        last: finished.last().map(|hit| hit.ordinal.clone()),
        window: None,
    }
}

fn samples(sample: &Sample, steps: &[StepMatch], max_samples_per_key: usize) -> Vec<Match> {
    let mut in_order: Vec<&StepMatch> = steps.iter().collect();
    in_order.sort_by_key(|step| step.position());
    let mut by_keys: BTreeMap<Keys, Vec<Vec<&StepMatch>>> = BTreeMap::new();
    for step in in_order {
        let filters = by_keys
            .entry(step.keys().to_vec())
            .or_insert_with(|| vec![Vec::new(); sample.stages.len()]);
        let Some(filter) = filters.get_mut(usize::from(step.step)) else {
            continue;
        };
        if filter.iter().all(|held| held.event().id() != step.event().id()) {
            filter.push(step);
        }
    }
    let mut matches = Vec::new();
    for (keys, mut filters) in by_keys {
        for filter in &mut filters {
            filter.truncate(sample.stages.len() + max_samples_per_key - 1);
        }
        let mut found = Vec::new();
        choose(&filters, &mut Vec::new(), &mut found);
        found.truncate(max_samples_per_key);
        matches.extend(found.into_iter().map(|chosen| {
            Match {
                rule: chosen.first().map_or(RuleIndex(0), |step| step.rule),
                keys: keys.clone(),
                events: (0..)
                    .zip(&chosen)
                    .map(|(number, step)| (number, Some(Arc::clone(step.event()))))
                    .collect(),
                first: chosen
                    .iter()
                    .filter_map(|step| step.ordinal())
                    .map(|ordinal| ordinal.time)
                    .min(),
                last: None,
                window: None,
            }
        }));
    }
    matches
}

/// All ways to take one event of each filter, no event twice; the first filter is the outermost loop.
fn choose<'a>(
    filters: &[Vec<&'a StepMatch>],
    chosen: &mut Vec<&'a StepMatch>,
    found: &mut Vec<Vec<&'a StepMatch>>,
) {
    let Some((filter, rest)) = filters.split_first() else {
        found.push(chosen.clone());
        return;
    };
    for step in filter {
        if chosen.iter().all(|other| other.event().id() != step.event().id()) {
            chosen.push(step);
            choose(rest, chosen, found);
            chosen.pop();
        }
    }
}
