//! From what operators say to alerts: suppression, then what lies beyond `max_signals`.
//!
//! The same flow serves a batch and a stream. A batch tells alerts when all is known; a stream at once, with corrections: an
//! alert is *updated* when it counts more, and *retracted* when a late event says otherwise.

mod state;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use neph_engine::{Match, Outcome, RuleIndex};
use neph_event::Instant;

use crate::alert::{Alert, AlertBuilder};
use crate::grouping::Grouping;
use crate::rule::Rule;
use crate::suppressor::{Counted, Said, Suppressor};

/// What is told of an alert.
#[derive(Debug)]
pub enum Told {
    /// A new alert.
    Raised(Alert),
    /// An alert that was raised before, by its id, counts more now.
    Updated(Alert),
    /// An alert that was raised before does not stand any more.
    Retracted(Alert),
}

/// Alerts that became part of others, of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppressed {
    /// The rule's id.
    pub rule_id: String,
    /// The overlay that asks for the suppression; `None` for the rule itself.
    pub overlay: Option<String>,
    /// How many.
    pub count: u64,
}

/// So many ids are remembered at least, and twice as many at most.
const GROUPED: usize = 65_536;

/// Ids of alerts of suppressing rules that did not pass singly, so that they are not updated singly either. Of very many those
/// that are oldest are forgotten, and may be updated.
#[derive(Debug, Default)]
struct Grouped {
    recent: HashSet<String>,
    older: HashSet<String>,
}

impl Grouped {
    fn insert(&mut self, id: String) {
        if self.recent.len() >= GROUPED {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(id);
    }

    fn contains(&self, id: &str) -> bool {
        self.recent.contains(id) || self.older.contains(id)
    }
}

/// Makes alerts of the matches of all rules.
#[derive(Debug)]
pub struct AlertFlow {
    rules: Vec<Arc<Rule>>,
    builders: Vec<AlertBuilder<Arc<Rule>>>,
    /// Of the rules that suppress, by their positions.
    suppressors: BTreeMap<usize, Suppressor>,
    grouping: Grouping,
    is_live: bool,
    /// The greatest time of an alert.
    latest: Option<Instant>,
    grouped: Grouped,
    /// What suppressors that are gone had suppressed.
    past: Vec<Suppressed>,
}

impl AlertFlow {
    /// A flow for these rules, by the positions that matches name. `is_live`: alerts are told at once, and corrected.
    pub fn new(rules: Vec<Arc<Rule>>, is_live: bool) -> Self {
        Self {
            builders: rules.iter().cloned().map(AlertBuilder::new).collect(),
            suppressors: suppressors(&rules, is_live),
            grouping: Grouping::new(rules.clone()),
            rules,
            is_live,
            latest: None,
            grouped: Grouped::default(),
            past: Vec::new(),
        }
    }

    /// The rules.
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// Takes what an operator says.
    pub fn take(&mut self, outcome: Outcome, out: &mut Vec<Told>) {
        let (Outcome::Found(found) | Outcome::Retracted(found)) = &outcome;
        let rule = found.rule.0 as usize;
        let time = found.last.as_ref().map(|ordinal| ordinal.time).or(found.first);
        let mut said = Vec::new();
        match (outcome, self.suppressors.get_mut(&rule)) {
            (Outcome::Found(found), Some(suppressor)) => suppressor.push(found, &mut said),
            (Outcome::Retracted(found), Some(suppressor)) => suppressor.retract(found, &mut said),
            (Outcome::Found(found), None) => said.push(Said::Raise(found, None)),
            (Outcome::Retracted(found), None) => said.push(Said::Retract(found)),
        }
        self.tell(rule, said, out);
        // In a stream the greatest time seen closes runs; a batch closes them at its end.
        if self.is_live && time > self.latest {
            // Once for each second of the events' time: it looks at all that is open.
            let is_due = time.map(|time| time.seconds) != self.latest.map(|latest| latest.seconds);
            self.latest = time;
            if is_due {
                self.advance(out);
            }
        }
    }

    fn advance(&mut self, out: &mut Vec<Told>) {
        let Some(now) = self.latest else { return };
        let mut said = Vec::new();
        for (rule, suppressor) in &mut self.suppressors {
            let mut of_rule = Vec::new();
            suppressor.advance(now, &mut of_rule);
            said.push((*rule, of_rule));
        }
        for (rule, said) in said {
            self.tell(rule, said, out);
        }
        let mut ready = Vec::new();
        self.grouping.advance(now, &mut ready);
        out.extend(ready.into_iter().map(Told::Raised));
    }

    /// No match comes any more: tells what is left.
    pub fn finish(&mut self, out: &mut Vec<Told>) {
        let mut said = Vec::new();
        for (rule, suppressor) in &mut self.suppressors {
            let mut of_rule = Vec::new();
            suppressor.finish(&mut of_rule);
            // By time, so that it is the first that pass singly.
            of_rule.sort_by_key(|one| {
                let (Said::Raise(found, _) | Said::Grow(found, _) | Said::Retract(found)) = one;
                found.last.as_ref().map(|ordinal| ordinal.time).or(found.first)
            });
            said.push((*rule, of_rule));
        }
        for (rule, said) in said {
            self.tell(rule, said, out);
        }
        let mut ready = Vec::new();
        self.grouping.finish(&mut ready);
        out.extend(ready.into_iter().map(Told::Raised));
    }

    /// Goes on with other rules. `same` pairs the positions of rules whose state goes on; the others' is told and closed.
    pub fn change_rules(
        &mut self,
        rules: Vec<Arc<Rule>>,
        same: &[(RuleIndex, RuleIndex)],
        out: &mut Vec<Told>,
    ) {
        let mut next = suppressors(&rules, self.is_live);
        for (from, to) in same {
            let (from, to) = (from.0 as usize, to.0 as usize);
            let settings = rules.get(to).and_then(|rule| rule.tuning.suppression.as_ref());
            let (Some(settings), Some(rule)) = (settings, rules.get(to)) else {
                continue;
            };
            if self.suppressors.get(&from).is_some_and(|old| old.fits(settings))
                && let Some(mut old) = self.suppressors.remove(&from)
            {
                old.adopt(Arc::clone(rule));
                next.insert(to, old);
            }
        }
        for (rule, mut suppressor) in std::mem::take(&mut self.suppressors) {
            let mut said = Vec::new();
            suppressor.finish(&mut said);
            self.past
                .extend(self.rules.get(rule).map(|rule| count_of(rule, &suppressor)));
            self.tell(rule, said, out);
        }
        let mut ready = Vec::new();
        self.grouping.change_rules(rules.clone(), same, &mut ready);
        out.extend(ready.into_iter().map(Told::Raised));
        self.builders = rules.iter().cloned().map(AlertBuilder::new).collect();
        self.suppressors = next;
        self.rules = rules;
    }

    /// Alerts that became part of others, for each rule that suppresses.
    pub fn suppressed(&self) -> Vec<Suppressed> {
        let now = self.suppressors.iter();
        let now = now.filter_map(|(rule, suppressor)| Some(count_of(self.rules.get(*rule)?, suppressor)));
        let mut counts: Vec<Suppressed> = Vec::new();
        for one in self.past.iter().cloned().chain(now) {
            let known = counts
                .iter_mut()
                .find(|known| known.rule_id == one.rule_id && known.overlay == one.overlay);
            match known {
                Some(known) => known.count += one.count,
                None => counts.push(one),
            }
        }
        counts
    }

    fn tell(&mut self, rule: usize, said: Vec<Said>, out: &mut Vec<Told>) {
        for one in said {
            match one {
                Said::Raise(found, counted) => {
                    let is_counted = counted.is_some();
                    let Some(alert) = self.raise(rule, &found, counted) else {
                        continue;
                    };
                    let id = alert.id.clone();
                    let mut ready = Vec::new();
                    self.grouping.push(rule, alert, &mut ready);
                    if is_counted && ready.iter().all(|passed| passed.id != id) {
                        self.grouped.insert(id);
                    }
                    out.extend(ready.into_iter().map(Told::Raised));
                }
                Said::Grow(found, counted) => {
                    let alert = self.build(rule, &found, Some(counted));
                    let alert = alert.filter(|alert| !self.grouped.contains(&alert.id));
                    out.extend(alert.map(Told::Updated));
                }
                Said::Retract(found) => out.extend(self.build(rule, &found, None).map(Told::Retracted)),
            }
        }
    }

    /// The alert of a match; not more of it than counts where it becomes part of a grouped alert that knows its example.
    fn raise(&mut self, rule: usize, found: &Match, counted: Option<Counted>) -> Option<Alert> {
        let builder = self.builders.get_mut(rule)?;
        let draft = builder.draft(found);
        if self.grouping.is_full(rule, draft.alert.run_time) {
            return Some(draft.alert);
        }
        Some(builder.write(draft, counted.as_ref()))
    }

    fn build(&mut self, rule: usize, found: &Match, counted: Option<Counted>) -> Option<Alert> {
        let builder = self.builders.get_mut(rule)?;
        let draft = builder.draft(found);
        Some(builder.write(draft, counted.as_ref()))
    }
}

/// Rules of two sets whose state goes on: their ids are the same, and so is what their plans and schedules ask for.
/// Exceptions, severity and the like are no part of a plan, nor is where a test stands: changing them makes no rule forget.
pub fn unchanged(old: &[Arc<Rule>], new: &[Arc<Rule>]) -> Vec<(RuleIndex, RuleIndex)> {
    let by_id: HashMap<_, (u32, &Arc<Rule>)> = (0_u32..)
        .zip(old)
        .map(|(number, rule)| ((rule.kind.is_sigma(), rule.id.as_str()), (number, rule)))
        .collect();
    let same = |old: &Rule, new: &Rule| {
        old.schedule.interval_nanos == new.schedule.interval_nanos
            && old.schedule.lookback_nanos == new.schedule.lookback_nanos
            && old.plan == new.plan
    };
    (0_u32..)
        .zip(new)
        .filter_map(|(number, rule)| {
            let (before, old) = by_id.get(&(rule.kind.is_sigma(), rule.id.as_str()))?;
            same(old, rule).then_some((RuleIndex(*before), RuleIndex(number)))
        })
        .collect()
}

fn suppressors(rules: &[Arc<Rule>], is_live: bool) -> BTreeMap<usize, Suppressor> {
    let of = |rule: &Arc<Rule>| {
        let settings = rule.tuning.suppression.clone()?;
        Some(Suppressor::new(Arc::clone(rule), settings, is_live))
    };
    let rules = rules.iter().enumerate();
    rules
        .filter_map(|(place, rule)| Some((place, of(rule)?)))
        .collect()
}

fn count_of(rule: &Rule, suppressor: &Suppressor) -> Suppressed {
    Suppressed {
        rule_id: rule.id.clone(),
        overlay: suppressor.overlay().map(str::to_owned),
        count: suppressor.suppressed(),
    }
}
