//! Which alerts of a rule become one: the state behind [`Suppression`].
//!
//! Matches that share their terms are a *group*. In the order of time the first of a group *leads*: those that follow
//! before its window ends (the end of its run, or `duration` later) are counted with it, and the next one leads again. So
//! the answer depends on the matches and their times alone, not on the order in which they come.
//!
//! A stream does not wait for the order: the match that leads so far is told at once, and taken back when an earlier one
//! comes that it belongs to. Counts are told once for each run in which they grew. When time has moved on by the rule's
//! lateness, a window is *settled*: what it counted is forgotten but for the number.
//!
//! Memory is bounded: beyond [`MAX_BYTES`] of matches that wait, the earlier half of the time they span is settled early.

mod state;

use std::collections::BTreeMap;
use std::sync::Arc;

use neph_engine::Match;
use neph_event::Instant;
use neph_plan::{Key, Query};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::alert::tree::Tree;
use crate::alert::{alert_id, fields, hash_of, why};
use crate::grouping::window_start;
use crate::rule::{Rule, RuleKind};
use crate::suppression::{GroupField, Suppression};

/// Bytes of the matches of one rule that wait to be settled.
const MAX_BYTES: usize = 128 << 20;

/// What a suppressor says.
#[derive(Debug)]
pub(crate) enum Said {
    /// An alert, with what it counts so far.
    Raise(Match, Option<Counted>),
    /// An alert that was told before counts more.
    Grow(Match, Counted),
    /// An alert that was told before is part of another, or its match does not hold.
    Retract(Match),
}

/// What an alert stands for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Counted {
    /// Fields and values that its matches share.
    pub(crate) terms: Vec<(String, Value)>,
    /// Matches that are part of it, besides its own.
    pub(crate) others: u64,
    /// Time of the first.
    pub(crate) start: Option<Instant>,
    /// Time of the last.
    pub(crate) end: Option<Instant>,
}

/// Time and id, which order the matches of a group.
type Place = (Instant, String);

/// A match that waits.
#[derive(Debug, Deserialize, Serialize)]
struct Waiting {
    found: Match,
    bytes: usize,
}

/// A match that leads.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
struct Lead {
    /// End of its window, exclusive, in nanoseconds.
    end: i128,
    /// What was told of its count; `None` where it was not told at all.
    told: Option<u64>,
    /// The run in which its count was told last.
    told_run: i128,
}

/// A window whose beginning is settled.
#[derive(Debug, Deserialize, Serialize)]
struct Open {
    place: Place,
    lead: Lead,
    found: Match,
    others: u64,
    last: Instant,
}

#[derive(Debug, Deserialize, Serialize)]
struct Group {
    #[serde(with = "state::terms")]
    terms: Vec<(String, Value)>,
    open: Option<Open>,
    waiting: BTreeMap<Place, Waiting>,
    /// Those that lead among the waiting ones; only kept where alerts are told at once.
    leads: BTreeMap<Place, Lead>,
}

/// Suppresses the alerts of one rule.
#[derive(Debug)]
pub(crate) struct Suppressor {
    rule: Arc<Rule>,
    settings: Suppression,
    at_once: bool,
    groups: BTreeMap<String, Group>,
    bytes: usize,
    max_bytes: usize,
    /// Time before which everything is settled.
    settled: Option<Instant>,
    newest: Option<Instant>,
    /// Matches that are part of another's alert.
    suppressed: u64,
}

impl Suppressor {
    pub(crate) fn new(rule: Arc<Rule>, settings: Suppression, at_once: bool) -> Self {
        Self {
            rule,
            settings,
            at_once,
            groups: BTreeMap::new(),
            bytes: 0,
            max_bytes: MAX_BYTES,
            settled: None,
            newest: None,
            suppressed: 0,
        }
    }

    /// Matches that became part of another's alert, so far.
    pub(crate) fn suppressed(&self) -> u64 {
        self.suppressed
    }

    /// The overlay that asks for the suppression; `None` for the rule itself.
    pub(crate) fn overlay(&self) -> Option<&str> {
        self.settings.overlay.as_deref()
    }

    /// Whether it goes on for this rule and these settings.
    pub(crate) fn fits(&self, settings: &Suppression) -> bool {
        self.settings == *settings
    }

    /// Goes on for the same rule, read again.
    pub(crate) fn adopt(&mut self, rule: Arc<Rule>) {
        self.rule = rule;
    }

    pub(crate) fn push(&mut self, found: Match, out: &mut Vec<Said>) {
        let Some(terms) = terms(&self.rule, &self.settings, &found) else {
            return out.push(Said::Raise(found, None));
        };
        let place = place(&self.rule, &found);
        self.newest = self.newest.max(Some(place.0));
        let bytes = size_of::<Waiting>()
            + found
                .events
                .iter()
                .flat_map(|(_, event)| event)
                .map(|event| event.memory_bytes())
                .sum::<usize>();
        let key = key(&terms);
        let group = self.groups.entry(key).or_insert_with(|| Group {
            terms,
            open: None,
            waiting: BTreeMap::new(),
            leads: BTreeMap::new(),
        });
        // What comes after its time was settled joins the window that it lies in, or leads one of its own, so that a source
        // that is always late is no flood. What lies before the window that is open stands alone.
        if self.settled.is_some_and(|settled| place.0 < settled) {
            match &mut group.open {
                Some(open) if open.covers(&place) => {
                    open.count(place.0);
                    self.suppressed += 1;
                }
                Some(open) if place < open.place => {
                    let counted = Counted::of(&group.terms, 0, place.0, place.0);
                    out.push(Said::Raise(found, Some(counted)));
                }
                _ => group.open_late(place, found, &self.rule, &self.settings, out),
            }
            return;
        }
        if group.waiting.contains_key(&place) {
            return;
        }
        self.bytes += bytes;
        group.waiting.insert(place.clone(), Waiting { found, bytes });
        if self.at_once {
            group.lead_from(&place, &self.rule, &self.settings, out);
        }
        if self.bytes > self.max_bytes {
            self.relieve(out);
        }
    }

    /// A match does not hold any more.
    pub(crate) fn retract(&mut self, found: Match, out: &mut Vec<Said>) {
        let Some(terms) = terms(&self.rule, &self.settings, &found) else {
            return out.push(Said::Retract(found));
        };
        let place = place(&self.rule, &found);
        let Some(group) = self.groups.get_mut(&key(&terms)) else {
            return out.push(Said::Retract(found));
        };
        if let Some(gone) = group.waiting.remove(&place) {
            self.bytes -= gone.bytes;
            if let Some(lead) = group.leads.remove(&place) {
                if lead.told.is_some() {
                    out.push(Said::Retract(found));
                }
                group.lead_from(&place, &self.rule, &self.settings, out);
            }
            return;
        }
        match &mut group.open {
            Some(open) if open.place == place => {
                group.open = None;
                out.push(Said::Retract(found));
            }
            Some(open) if open.covers(&place) => {
                open.others = open.others.saturating_sub(1);
                self.suppressed = self.suppressed.saturating_sub(1);
            }
            _ => out.push(Said::Retract(found)),
        }
    }

    /// No match before `now` less the rule's lateness comes any more. Tells counts that grew in the runs that are over.
    pub(crate) fn advance(&mut self, now: Instant, out: &mut Vec<Said>) {
        let lateness = i128::from(self.rule.schedule.lateness_nanos());
        self.settle(now.saturating_sub_nanos(lateness), out);
        let run = window_start(now, self.rule.schedule.interval_nanos);
        for group in self.groups.values_mut() {
            group.tell_growth(run, out);
        }
    }

    /// No match comes any more.
    pub(crate) fn finish(&mut self, out: &mut Vec<Said>) {
        let end = Instant {
            seconds: i64::MAX,
            nanos: 0,
        };
        self.settle(end, out);
        for group in std::mem::take(&mut self.groups).into_values() {
            group.close(out);
        }
    }

    /// Settles the earlier half of the time that the waiting matches span.
    fn relieve(&mut self, out: &mut Vec<Said>) {
        let oldest = self
            .groups
            .values()
            .filter_map(|group| group.waiting.keys().next());
        if let (Some((oldest, _)), Some(newest)) = (oldest.min(), self.newest) {
            let half = newest.nanos_since(*oldest) / 2;
            // A span of nothing has no half: all of it is settled.
            let upto = oldest.saturating_add_nanos(half.max(1));
            self.settle(upto, out);
        }
    }

    fn settle(&mut self, upto: Instant, out: &mut Vec<Said>) {
        if self.settled.is_some_and(|settled| settled >= upto) {
            return;
        }
        self.settled = Some(upto);
        let (rule, settings) = (&self.rule, &self.settings);
        for group in self.groups.values_mut() {
            while let Some(first) = group.waiting.first_entry() {
                if first.key().0 >= upto {
                    break;
                }
                let (place, waiting) = first.remove_entry();
                self.bytes -= waiting.bytes;
                let lead = group.leads.remove(&place);
                match &mut group.open {
                    Some(open) if open.covers(&place) => {
                        open.count(place.0);
                        self.suppressed += 1;
                    }
                    _ => {
                        let last = place.0;
                        let next = Open {
                            lead: lead.unwrap_or_else(|| Lead::new(end_of(rule, settings, last))),
                            place,
                            found: waiting.found,
                            others: 0,
                            last,
                        };
                        let before = group.open.replace(next);
                        if let Some(before) = before {
                            before.close(&group.terms, out);
                        }
                    }
                }
            }
            let is_over = |open: &Open| open.lead.end <= upto.as_nanos();
            if group.open.as_ref().is_some_and(is_over)
                && let Some(open) = group.open.take()
            {
                open.close(&group.terms, out);
            }
        }
        self.groups
            .retain(|_, group| group.open.is_some() || !group.waiting.is_empty());
    }
}

impl Group {
    /// A match whose time is settled leads from now on: it is told, and the windows of those that wait begin behind its own.
    fn open_late(
        &mut self,
        place: Place,
        found: Match,
        rule: &Rule,
        settings: &Suppression,
        out: &mut Vec<Said>,
    ) {
        let time = place.0;
        let counted = Counted::of(&self.terms, 0, time, time);
        out.push(Said::Raise(found.clone(), Some(counted)));
        let lead = Lead {
            told: Some(0),
            told_run: window_start(time, rule.schedule.interval_nanos),
            ..Lead::new(end_of(rule, settings, time))
        };
        let next = Open {
            place,
            lead,
            found,
            others: 0,
            last: time,
        };
        if let Some(before) = self.open.replace(next) {
            before.close(&self.terms, out);
        }
        // Only what is told at once has leads; else they are chosen when they are settled.
        if !self.leads.is_empty()
            && let Some(first) = self.waiting.keys().next().cloned()
        {
            self.lead_from(&first, rule, settings, out);
        }
    }

    /// Decides anew who leads from a place on, and tells what changed.
    fn lead_from(&mut self, from: &Place, rule: &Rule, settings: &Suppression, out: &mut Vec<Said>) {
        let before = self.leads.range(..from).next_back().map(|(_, lead)| lead.end);
        let opened = self.open.as_ref().map(|open| open.lead.end);
        let mut covered = before.or(opened).unwrap_or(i128::MIN);
        // One that is covered changes nothing for those that come after it.
        let is_new = self.waiting.contains_key(from) && !self.leads.contains_key(from);
        if is_new && from.0.as_nanos() < covered {
            return;
        }
        let mut old = self.leads.split_off(from);
        for (place, waiting) in self.waiting.range(from..) {
            let time = place.0.as_nanos();
            if time < covered {
                continue;
            }
            let mut lead = old
                .remove(place)
                .unwrap_or_else(|| Lead::new(end_of(rule, settings, place.0)));
            covered = lead.end;
            if lead.told.is_none() {
                lead.told = Some(0);
                lead.told_run = window_start(place.0, rule.schedule.interval_nanos);
                let counted = Counted::of(&self.terms, 0, place.0, place.0);
                out.push(Said::Raise(waiting.found.clone(), Some(counted)));
            }
            self.leads.insert(place.clone(), lead);
        }
        // Those that lead no more are part of another's alert.
        for (place, lead) in old {
            if let (Some(waiting), Some(_)) = (self.waiting.get(&place), lead.told) {
                out.push(Said::Retract(waiting.found.clone()));
            }
        }
    }

    /// Tells the counts that grew and were not told in this run.
    fn tell_growth(&mut self, run: i128, out: &mut Vec<Said>) {
        if let Some(open) = &mut self.open
            && open.lead.told.is_some_and(|told| told < open.others)
            && open.lead.told_run < run
        {
            open.lead.told = Some(open.others);
            open.lead.told_run = run;
            let counted = Counted::of(&self.terms, open.others, open.place.0, open.last);
            out.push(Said::Grow(open.found.clone(), counted));
        }
    }

    fn close(self, out: &mut Vec<Said>) {
        if let Some(open) = self.open {
            open.close(&self.terms, out);
        }
    }
}

impl Open {
    fn covers(&self, place: &Place) -> bool {
        *place >= self.place && place.0.as_nanos() < self.lead.end
    }

    fn count(&mut self, time: Instant) {
        self.others += 1;
        self.last = self.last.max(time);
    }

    fn close(self, terms: &[(String, Value)], out: &mut Vec<Said>) {
        let counted = Counted::of(terms, self.others, self.place.0, self.last);
        match self.lead.told {
            None => out.push(Said::Raise(self.found, Some(counted))),
            Some(told) if told != self.others => out.push(Said::Grow(self.found, counted)),
            Some(_) => {}
        }
    }
}

impl Lead {
    fn new(end: i128) -> Self {
        Self {
            end,
            told: None,
            told_run: i128::MIN,
        }
    }
}

impl Counted {
    fn of(terms: &[(String, Value)], others: u64, start: Instant, end: Instant) -> Self {
        let known = |time: Instant| (time != UNTIMED).then_some(time);
        Self {
            terms: terms.to_vec(),
            others,
            start: known(start),
            end: known(end),
        }
    }

    /// What tells the group apart from others of the rule.
    pub(crate) fn instance(&self, rule: &Rule) -> String {
        hash_of(&[&rule.id, &key(&self.terms)])
    }
}

/// Stands for the time of matches that have none.
const UNTIMED: Instant = Instant {
    seconds: i64::MIN / 4,
    nanos: 0,
};

fn place(rule: &Rule, found: &Match) -> Place {
    let last = found.last.as_ref().map(|ordinal| ordinal.time);
    (last.or(found.first).unwrap_or(UNTIMED), alert_id(rule, found))
}

fn end_of(rule: &Rule, settings: &Suppression, start: Instant) -> i128 {
    let interval = rule.schedule.interval_nanos;
    match settings.duration_nanos {
        Some(duration) => start.as_nanos().saturating_add(i128::from(duration)),
        None => window_start(start, interval) + i128::from(interval.max(1)),
    }
}

fn key(terms: &[(String, Value)]) -> String {
    let values: Vec<&Value> = terms.iter().map(|(_, value)| value).collect();
    serde_json::to_string(&values).unwrap_or_default()
}

/// The fields of the group with their values; `None` where the match stands alone, because a value is missing.
fn terms(rule: &Rule, settings: &Suppression, found: &Match) -> Option<Vec<(String, Value)>> {
    let own: &[Key] = match rule.plan.as_ref().map(|plan| &plan.query) {
        Some(Query::Aggregate(aggregate)) => &aggregate.group,
        Some(Query::FirstSeen(first_seen)) => &first_seen.fields,
        _ => &[],
    };
    let of_key = |path: &str| {
        let position = own.iter().position(|key| *key.name == *path)?;
        let value = found.keys.get(position)?.as_ref()?;
        Some(why::json_value(value))
    };
    if rule.kind == RuleKind::Threshold {
        let terms = own.iter().map(|key| {
            let value = of_key(&key.name).unwrap_or(Value::Null);
            (key.name.to_string(), value)
        });
        return Some(terms.collect());
    }
    let documents: Vec<(u16, Tree<'_>)> = found
        .events
        .iter()
        .filter_map(|(step, event)| {
            let document = serde_json::from_slice(event.as_ref()?.document()).ok()?;
            Some((*step, document))
        })
        .collect();
    let mut terms = Vec::with_capacity(settings.group_by.len());
    for field in &settings.group_by {
        let value = match field.step {
            None => of_key(&field.path).or_else(|| shared(field, documents.iter())),
            Some(step) => {
                let of_step = documents.iter().filter(|(at, _)| *at == step);
                shared(field, of_step.take(1))
            }
        };
        if value.is_none() && !settings.suppresses_missing {
            return None;
        }
        terms.push((field.written.clone(), value.unwrap_or(Value::Null)));
    }
    Some(terms)
}

/// The values that all documents have in a field, sorted: one, or a list. Their order in the events does not count.
fn shared<'a, 'd: 'a>(
    field: &GroupField,
    documents: impl Iterator<Item = &'a (u16, Tree<'d>)>,
) -> Option<Value> {
    let mut common: Option<Vec<Value>> = None;
    for (_, document) in documents {
        let mut values: Vec<Value> = Vec::new();
        fields::for_each(document, &field.path, &mut |value| {
            let value = Value::from(value);
            if !values.contains(&value) {
                values.push(value);
            }
        });
        common = Some(match common {
            None => values,
            Some(before) => before
                .into_iter()
                .filter(|value| values.contains(value))
                .collect(),
        });
    }
    let mut values = common?;
    values.sort_by_cached_key(Value::to_string);
    match values.len() {
        0 => None,
        1 => values.pop(),
        _ => Some(json!(values)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use neph_engine::{Event, Ordinal, Origin, RuleIndex};
    use neph_event::EventId;

    use super::*;

    const MINUTE: i64 = 60_000;

    fn rule(from: &str) -> Arc<Rule> {
        let text = format!(
            "[rule]\nrule_id = '0b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a11'\nname = 'n'\ndescription = 'd'\ntype = 'query'\n\
             severity = 'low'\nrisk_score = 21\nlanguage = 'kuery'\nquery = 'event.action: login'\nfrom = '{from}'\n\
             alert_suppression = {{ group_by = ['user.name'], duration = {{ value = 10, unit = 'm' }} }}\n"
        );
        let mut set = crate::load_text(Path::new("rule.toml"), text);
        set.rules.remove(0)
    }

    fn found(user: u64, millis: i64, number: u64) -> Match {
        let document = format!(
            r#"{{"user":{{"name":"user{user}"}},"padding":"{}"}}"#,
            "x".repeat(200)
        );
        let origin = Origin {
            source: "test".into(),
            line: number,
        };
        let event = Event::new(
            document.into_bytes(),
            Some(EventId::given(number.to_string())),
            origin,
        );
        let time = Instant::from_millis(millis);
        Match {
            rule: RuleIndex(0),
            keys: Vec::new(),
            events: vec![(0, Some(Arc::new(event)))],
            first: Some(time),
            last: Some(Ordinal {
                time,
                tiebreaker: None,
                position: number,
            }),
            window: None,
        }
    }

    /// Users and minutes of matches, the same for the same seed.
    fn matches(seed: u64, count: u64) -> Vec<Match> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        (0..count)
            .map(|number| {
                let millis = i64::try_from(next(120)).unwrap() * MINUTE / 2;
                found(next(3), millis, number)
            })
            .collect()
    }

    /// Who leads, by id of its event, and how many others it counts, as the definition has it.
    fn naive(rule: &Rule, matches: &[Match]) -> BTreeMap<String, u64> {
        let settings = rule.tuning.suppression.as_ref().unwrap();
        let mut groups: BTreeMap<String, Vec<(Place, String)>> = BTreeMap::new();
        for one in matches {
            let key = key(&terms(rule, settings, one).unwrap());
            groups.entry(key).or_default().push((place(rule, one), id(one)));
        }
        let mut standing = BTreeMap::new();
        for mut group in groups.into_values() {
            group.sort();
            let mut lead: Option<(Instant, String)> = None;
            for ((time, _), id) in group {
                match &lead {
                    Some((start, leader)) if time.as_millis() < start.as_millis() + 10 * MINUTE => {
                        *standing.get_mut(leader).unwrap() += 1;
                    }
                    _ => {
                        standing.insert(id.clone(), 0);
                        lead = Some((time, id));
                    }
                }
            }
        }
        standing
    }

    fn id(one: &Match) -> String {
        one.events[0].1.as_ref().unwrap().id().as_str().to_owned()
    }

    /// What stands after all that was said.
    fn standing(said: Vec<Said>) -> BTreeMap<String, u64> {
        let mut standing = BTreeMap::new();
        for one in said {
            match one {
                Said::Raise(found, counted) => {
                    let before = standing.insert(id(&found), counted.unwrap().others);
                    assert_eq!(before, None, "an alert is raised once");
                }
                Said::Grow(found, counted) => {
                    let before = standing.insert(id(&found), counted.others);
                    assert!(before.is_some_and(|before| before < counted.others));
                }
                Said::Retract(found) => assert!(standing.remove(&id(&found)).is_some()),
            }
        }
        standing
    }

    #[test]
    fn the_order_does_not_count_in_a_batch_nor_in_a_stream() {
        let rule = rule("now-1d");
        for seed in 1..60 {
            let matches = matches(seed, 40);
            let expected = naive(&rule, &matches);
            for at_once in [false, true] {
                let settings = rule.tuning.suppression.clone().unwrap();
                let mut suppressor = Suppressor::new(Arc::clone(&rule), settings, at_once);
                let mut said = Vec::new();
                for one in &matches {
                    suppressor.push(one.clone(), &mut said);
                    if at_once {
                        suppressor.advance(one.first.unwrap(), &mut said);
                    }
                }
                suppressor.finish(&mut said);
                let others: u64 = expected.values().sum();
                assert_eq!(standing(said), expected, "seed {seed}, at once: {at_once}");
                assert_eq!(suppressor.suppressed(), others);
                assert_eq!(suppressor.bytes, 0);
            }
        }
    }

    #[test]
    fn what_is_taken_back_was_never_there() {
        let rule = rule("now-1d");
        for seed in 1..40 {
            let matches = matches(seed, 30);
            let (gone, kept) = matches.split_at(10);
            let settings = rule.tuning.suppression.clone().unwrap();
            let mut suppressor = Suppressor::new(Arc::clone(&rule), settings, true);
            let mut said = Vec::new();
            for one in &matches {
                suppressor.push(one.clone(), &mut said);
            }
            for one in gone {
                suppressor.retract(one.clone(), &mut said);
            }
            suppressor.finish(&mut said);
            assert_eq!(standing(said), naive(&rule, kept), "seed {seed}");
        }
    }

    #[test]
    fn under_pressure_every_match_is_told_or_counted() {
        let rule = rule("now-6m");
        for seed in 1..20 {
            let matches = matches(seed, 200);
            let settings = rule.tuning.suppression.clone().unwrap();
            let mut suppressor = Suppressor::new(Arc::clone(&rule), settings, false);
            suppressor.max_bytes = 8 * 1024;
            let mut said = Vec::new();
            for one in matches {
                suppressor.push(one, &mut said);
                assert!(suppressor.bytes <= 8 * 1024);
            }
            suppressor.finish(&mut said);
            let standing = standing(said);
            assert_eq!(standing.len() as u64 + standing.values().sum::<u64>(), 200);
        }
    }
}
