//! Correlations: the words of their definition, time by time, over all candidates.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use neph_engine::{Distinct, Event, Match, Ordinal, RuleIndex, StepMatch, Tally, Window};
use neph_event::{EventId, Instant, Value};
use neph_plan::{Asked, Candidates, Correlation, Measure, Presence};

type Keys = Vec<Option<Value>>;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Identity {
    Given(EventId),
    Position(u64),
    Match(u16, Keys),
}

/// An event of a source, or a match of the correlation that is the source.
#[derive(Clone)]
struct Candidate {
    time: Instant,
    position: u64,
    source: u16,
    identity: Identity,
    values: BTreeSet<Keys>,
    numbers: Vec<f64>,
    events: Vec<(u16, Arc<Event>)>,
    outer: BTreeSet<Keys>,
}

struct Found {
    keys: Keys,
    candidates: Vec<Candidate>,
    tally: Option<Tally>,
}

pub(super) fn correlation(query: &Correlation, steps: &[StepMatch]) -> Vec<Match> {
    let found = interpret(query, steps, &mut 0);
    found.iter().map(to_match).collect()
}

fn to_match(found: &Found) -> Match {
    let first = found.candidates.iter().map(|candidate| candidate.time).min();
    let place = |candidate: &Candidate| (candidate.time, candidate.position);
    let last = found.candidates.iter().map(place).max();
    let (to, position) = last.unwrap_or((Instant::from_millis(0), 0));
    Match {
        rule: RuleIndex(0),
        keys: found.keys.clone(),
        events: events_of(&found.candidates)
            .into_iter()
            .map(|(step, event)| (step, Some(event)))
            .collect(),
        first,
        last: Some(Ordinal {
            time: to,
            tiebreaker: None,
            position,
        }),
        window: found.tally.map(|tally| Window {
            from: first.unwrap_or(to),
            to,
            tally: Some(tally),
        }),
    }
}

/// The events of candidates, each once for a step.
fn events_of(candidates: &[Candidate]) -> Vec<(u16, Arc<Event>)> {
    let mut events: Vec<(u16, Arc<Event>)> = Vec::new();
    for (step, event) in candidates.iter().flat_map(|candidate| &candidate.events) {
        if !events
            .iter()
            .any(|(held, other)| held == step && Arc::ptr_eq(other, event))
        {
            events.push((*step, Arc::clone(event)));
        }
    }
    events
}

fn interpret(query: &Correlation, steps: &[StepMatch], next_step: &mut u16) -> Vec<Found> {
    let mut groups: BTreeMap<Keys, Vec<Candidate>> = BTreeMap::new();
    let (width, group) = (query.width(), query.group.len());
    let mut take = |keys: &[Option<Value>], mut candidate: Candidate| {
        let (own, rest) = keys.split_at(width);
        let (own, counted) = own.split_at(group);
        if own.iter().any(Option::is_none) {
            return;
        }
        if !counted.is_empty() && counted.iter().all(Option::is_some) {
            candidate.values.insert(counted.to_vec());
        }
        if !rest.is_empty() {
            candidate.outer.insert(rest.to_vec());
        }
        groups.entry(own.to_vec()).or_default().push(candidate);
    };
    for (source, index) in query.sources.iter().zip(0_u16..) {
        let Candidates::Matches(inner) = &source.candidates else {
            for step in steps.iter().filter(|step| step.step == *next_step) {
                let Some(ordinal) = step.ordinal() else { continue };
                let identity = match step.event().given_id() {
                    Some(id) => Identity::Given(id.clone()),
                    None => Identity::Position(step.position()),
                };
                let candidate = Candidate {
                    time: ordinal.time,
                    position: step.position(),
                    source: index,
                    identity,
                    values: BTreeSet::new(),
                    numbers: step
                        .counted
                        .iter()
                        .filter_map(|value| value.to_string().parse().ok())
                        .collect(),
                    events: vec![(step.step, Arc::clone(step.event()))],
                    outer: BTreeSet::new(),
                };
                take(&step.keys(), candidate);
            }
            *next_step += 1;
            continue;
        };
        for found in interpret(inner, steps, next_step) {
            let outer: BTreeSet<&Keys> = found.candidates.iter().flat_map(|one| &one.outer).collect();
            let told = to_match(&found);
            let Some(last) = &told.last else { continue };
            for keys in outer {
                let candidate = Candidate {
                    time: last.time,
                    position: last.position,
                    source: index,
                    identity: Identity::Match(index, found.keys.clone()),
                    values: BTreeSet::new(),
                    numbers: Vec::new(),
                    events: events_of(&found.candidates),
                    outer: BTreeSet::new(),
                };
                take(keys, candidate);
            }
        }
    }
    let mut found = Vec::new();
    for (keys, candidates) in groups {
        let candidates = each_once(query, candidates);
        let matches = match &query.asked {
            Asked::Number { .. } if query.asked.is_rising() => rising(query, &candidates),
            Asked::Number { .. } => spans(query, &candidates),
            Asked::Together {
                alternatives,
                ordered,
            } => together(query, alternatives, *ordered, &candidates),
        };
        found.extend(matches.into_iter().map(|(candidates, tally)| Found {
            keys: keys.clone(),
            candidates,
            tally,
        }));
    }
    found
}

/// Each candidate once, in order; for numbers also one that several sources have.
fn each_once(query: &Correlation, mut candidates: Vec<Candidate>) -> Vec<Candidate> {
    candidates.sort_by(|a, b| {
        let place = |one: &Candidate| (one.time, one.position);
        place(a)
            .cmp(&place(b))
            .then_with(|| b.source.cmp(&a.source))
            .then_with(|| a.identity.cmp(&b.identity))
    });
    let is_number = matches!(query.asked, Asked::Number { .. });
    let mut once: Vec<Candidate> = Vec::new();
    for candidate in candidates {
        let same = once.iter_mut().find(|one| {
            one.time == candidate.time
                && one.identity == candidate.identity
                && (is_number || one.source == candidate.source)
        });
        match same {
            Some(same) => {
                same.values.extend(candidate.values);
                same.outer.extend(candidate.outer);
            }
            None => once.push(candidate),
        }
    }
    if let Asked::Number {
        measure: Measure::Sum | Measure::Average | Measure::Percentile(_),
        ..
    } = query.asked
    {
        once.retain(|candidate| !candidate.numbers.is_empty());
    }
    once
}

type Matches = Vec<(Vec<Candidate>, Option<Tally>)>;

fn times(candidates: &[Candidate]) -> BTreeSet<Instant> {
    candidates.iter().map(|candidate| candidate.time).collect()
}

fn within(first: Instant, last: Instant, timespan: u64) -> bool {
    last.nanos_since(first) <= i128::from(timespan)
}

fn rising(query: &Correlation, candidates: &[Candidate]) -> Matches {
    let mut matches = Matches::new();
    let (mut taken, mut last_match): (Option<Instant>, Option<Instant>) = (None, None);
    for now in times(candidates) {
        if last_match.is_some_and(|last| within(last, now, query.timespan)) {
            continue;
        }
        let window: Vec<Candidate> = candidates
            .iter()
            .filter(|one| one.time <= now && within(one.time, now, query.timespan) && Some(one.time) > taken)
            .cloned()
            .collect();
        if let Some(tally) = answer(query, &window) {
            taken = Some(now);
            last_match = Some(now);
            matches.push((window, Some(tally)));
        }
    }
    matches
}

fn spans(query: &Correlation, candidates: &[Candidate]) -> Matches {
    let mut matches = Matches::new();
    let mut rest = candidates;
    while let Some(first) = rest.first() {
        let end = rest.partition_point(|one| within(first.time, one.time, query.timespan));
        let (window, later) = rest.split_at(end);
        if let Some(tally) = answer(query, window) {
            matches.push((window.to_vec(), Some(tally)));
        }
        rest = later;
    }
    matches
}

fn answer(query: &Correlation, window: &[Candidate]) -> Option<Tally> {
    let Asked::Number { measure, bounds, .. } = &query.asked else {
        return None;
    };
    let values: BTreeSet<&Keys> = window.iter().flat_map(|one| &one.values).collect();
    let mut numbers: Vec<f64> = window.iter().flat_map(|one| one.numbers.clone()).collect();
    numbers.sort_by(f64::total_cmp);
    let sum: f64 = numbers.iter().sum();
    let number = match measure {
        Measure::Count => window.len() as f64,
        Measure::Distinct => values.len() as f64,
        Measure::Sum => sum,
        Measure::Average => sum / numbers.len() as f64,
        Measure::Percentile(part) => {
            let place = part / 100.0 * (numbers.len() - 1) as f64;
            let at = |place: f64| numbers.get(place as usize).copied().unwrap_or_default();
            at(place.floor()) + (at(place.ceil()) - at(place.floor())) * place.fract()
        }
    };
    let holds = !window.is_empty() && bounds.iter().all(|bound| bound.holds(number));
    holds.then(|| Tally {
        count: window.len() as u64,
        distinct: (*measure == Measure::Distinct).then_some(Distinct {
            count: values.len() as u64,
            is_exact: true,
        }),
        measured: (!matches!(measure, Measure::Count | Measure::Distinct)).then_some(number),
    })
}

fn together(
    query: &Correlation,
    alternatives: &[Presence],
    ordered: bool,
    candidates: &[Candidate],
) -> Matches {
    let mut matches = Matches::new();
    let (mut taken, mut quiet_from): (Option<Instant>, Option<Instant>) = (None, None);
    for now in times(candidates) {
        if quiet_from.is_some_and(|first| within(first, now, query.timespan)) {
            continue;
        }
        let until_now = |one: &&Candidate| one.time <= now;
        let left: Vec<&Candidate> = candidates
            .iter()
            .filter(until_now)
            .filter(|one| Some(one.time) > taken && within(one.time, now, query.timespan))
            .collect();
        for alternative in alternatives {
            let gathered = match ordered {
                true => chain(&alternative.present, &left),
                false => alternative
                    .present
                    .iter()
                    .map(|source| latest(*source, &left))
                    .collect(),
            };
            let Some(gathered) = gathered else { continue };
            let first = gathered.iter().map(|one| one.time).min().unwrap_or(now);
            if gathered.iter().all(|one| one.time < now) {
                continue;
            }
            let against = |from: &dyn Fn(Instant) -> bool| {
                let mut absent = candidates
                    .iter()
                    .filter(|one| alternative.absent.contains(&one.source));
                absent.find(|one| from(one.time)).map(|one| one.time)
            };
            if against(&|time| time <= now && within(time, now, query.timespan)).is_some() {
                continue;
            }
            taken = Some(now);
            match against(&|time| time > now && within(first, time, query.timespan)) {
                // What may not be ends the wait, and counts against what comes next as well.
                Some(at) => {
                    quiet_from = None;
                    let waited = |time: &Instant| *time < at;
                    let skipped: BTreeSet<Instant> = times(candidates).into_iter().filter(waited).collect();
                    if let Some(last) = skipped.last() {
                        // Until then nothing was looked for.
                        quiet_from = Some(back(*last, query.timespan));
                    }
                }
                None => {
                    quiet_from = Some(now);
                    matches.push((gathered, None));
                }
            }
            break;
        }
    }
    matches
}

/// The time whose span ends at `time`.
fn back(time: Instant, timespan: u64) -> Instant {
    Instant::from_nanos(time.nanos_since(Instant::from_millis(0)) - i128::from(timespan))
}

fn latest(source: u16, candidates: &[&Candidate]) -> Option<Candidate> {
    let of_source = candidates.iter().filter(|one| one.source == source);
    let time = of_source.clone().map(|one| one.time).max()?;
    let id = |one: &&&Candidate| one.events.first().map(|(_, event)| event.id().clone());
    of_source
        .filter(|one| one.time == time)
        .min_by_key(id)
        .map(|one| (*one).clone())
}

/// The latest candidates of these sources that come in this order.
fn chain(sources: &[u16], candidates: &[&Candidate]) -> Option<Vec<Candidate>> {
    let Some((source, before)) = sources.split_last() else {
        return Some(Vec::new());
    };
    for (place, candidate) in candidates.iter().enumerate().rev() {
        if candidate.source != *source {
            continue;
        }
        let earlier: Vec<&Candidate> = candidates
            .iter()
            .take(place)
            .filter(|one| (one.time, one.position) < (candidate.time, candidate.position))
            .copied()
            .collect();
        if let Some(mut chain) = chain(before, &earlier) {
            chain.push((*candidate).clone());
            return Some(chain);
        }
    }
    None
}
