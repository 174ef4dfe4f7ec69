//! What happens beyond a rule's `max_signals`: nothing is dropped.
//!
//! A run of a rule is an interval, aligned on the epoch, of the alerts' [`run_time`](Alert::run_time). The first
//! `max_signals` alerts of a run pass singly; the rest of that run becomes *one* grouped alert with the exact number, the
//! first and last time, and the first and last few event ids. It comes out when the run is over, that is when the
//! watermark has passed its end by the rule's lateness, or at the end of the input.
//!
//! The grouped alert's id is a hash of the rule and the run, never of the events that happened to be seen first.
//!
//! Memory is bounded: a run holds a few counters and at most 20 short lists of ids, and at most [`MAX_RUNS`] runs are kept.
//! When there are more, the oldest is closed early and its grouped alert told; if it had to be opened once more, it would
//! let `max_signals` alerts pass again. Nothing is lost by that either.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use neph_engine::RuleIndex;
use neph_event::Instant;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::alert::phrases;
use crate::alert::windows::number;
use crate::alert::{Alert, hash_of};
use crate::rule::{Rule, RuleSeverity};

/// Runs kept at a time, of all rules together.
pub const MAX_RUNS: usize = 65_536;
/// Ids of events kept of the beginning and of the end of an overflow.
const KEPT: usize = 10;

/// Start of the aligned interval that an instant lies in, in nanoseconds since the epoch.
pub fn window_start(time: Instant, interval_nanos: u64) -> i128 {
    let interval = i128::from(interval_nanos.max(1));
    time.as_nanos().div_euclid(interval) * interval
}

/// The end of the run that an alert of this time belongs to.
fn run_end(rule: &Rule, run_time: Option<Instant>) -> i128 {
    let interval = rule.schedule.interval_nanos;
    run_time.map_or(i128::MAX, |time| {
        window_start(time, interval) + i128::from(interval)
    })
}

/// Lets alerts pass and groups the overflow.
#[derive(Debug)]
pub struct Grouping {
    rules: Vec<Arc<Rule>>,
    /// Runs by their end, so that those that are over come first. Alerts without time are of one run that ends last.
    runs: BTreeMap<(i128, usize), Run>,
    max_runs: usize,
}

/// The alerts of one run of a rule.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Run {
    passed: u64,
    overflow: Option<Box<Overflow>>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Overflow {
    count: u64,
    first: Option<Instant>,
    last: Option<Instant>,
    severity: RuleSeverity,
    risk_score: u8,
    first_ids: Vec<Vec<String>>,
    last_ids: VecDeque<Vec<String>>,
    /// The reason of the first alert that did not pass, as an example.
    example: String,
}

impl Grouping {
    /// A grouping for rules; alerts name theirs by its position here.
    pub fn new(rules: impl IntoIterator<Item = Arc<Rule>>) -> Self {
        Self {
            rules: rules.into_iter().collect(),
            runs: BTreeMap::new(),
            max_runs: MAX_RUNS,
        }
    }

    /// Whether an alert of `rules[rule]` of this time would become part of a grouped alert that has its example: then its
    /// reason and document are not asked for.
    pub(crate) fn is_full(&self, rule: usize, run_time: Option<Instant>) -> bool {
        let end = self.rules.get(rule).map(|of| run_end(of, run_time));
        let run = end.and_then(|end| self.runs.get(&(end, rule)));
        run.is_some_and(|run| run.overflow.is_some())
    }

    /// Takes an alert of `rules[rule]`. Gives it back where it passes singly, and grouped alerts of runs that had to be
    /// closed to bound memory.
    pub fn push(&mut self, rule: usize, alert: Alert, out: &mut Vec<Alert>) {
        let Some(of) = self.rules.get(rule) else {
            out.push(alert);
            return;
        };
        let end = run_end(of, alert.run_time);
        let run = self.runs.entry((end, rule)).or_default();
        if run.passed < of.max_signals {
            run.passed += 1;
            out.push(alert);
        } else {
            run.overflow
                .get_or_insert_with(|| Box::new(Overflow::new(&alert)))
                .take(alert);
        }
        while self.runs.len() > self.max_runs {
            let Some(((end, rule), run)) = self.runs.pop_first() else {
                break;
            };
            self.close(end, rule, run, out);
        }
    }

    /// Closes the runs that no event can join any more: the watermark has passed their end by the rule's lateness.
    pub fn advance(&mut self, watermark: Instant, out: &mut Vec<Alert>) {
        let now = watermark.as_nanos();
        let over: Vec<(i128, usize)> = self
            .runs
            .range(..=(now, usize::MAX))
            .map(|(key, _)| *key)
            .filter(|(end, rule)| {
                let lateness = self
                    .rules
                    .get(*rule)
                    .map_or(0, |rule| rule.schedule.lateness_nanos());
                end.saturating_add(i128::from(lateness)) <= now
            })
            .collect();
        for key in over {
            if let Some(run) = self.runs.remove(&key) {
                self.close(key.0, key.1, run, out);
            }
        }
    }

    /// Goes on with other rules. `same` pairs the positions of rules whose runs go on; the others' are closed.
    pub fn change_rules(
        &mut self,
        rules: Vec<Arc<Rule>>,
        same: &[(RuleIndex, RuleIndex)],
        out: &mut Vec<Alert>,
    ) {
        let map: BTreeMap<usize, usize> = same
            .iter()
            .map(|(from, to)| (from.0 as usize, to.0 as usize))
            .collect();
        for ((end, rule), run) in std::mem::take(&mut self.runs) {
            match map.get(&rule) {
                Some(rule) => {
                    self.runs.insert((end, *rule), run);
                }
                None => self.close(end, rule, run, out),
            }
        }
        self.rules = rules;
    }

    /// The runs of a rule that are open, by their ends.
    pub(crate) fn open_runs(&self, rule: usize) -> Vec<(i128, &Run)> {
        let of_rule = self.runs.iter().filter(|((_, of), _)| *of == rule);
        of_rule.map(|((end, _), run)| (*end, run)).collect()
    }

    /// Opens runs of a rule again.
    pub(crate) fn reopen(&mut self, rule: usize, runs: Vec<(i128, Run)>) {
        let runs = runs.into_iter().map(|(end, run)| ((end, rule), run));
        self.runs.extend(runs);
    }

    /// Closes all runs, at the end of the input.
    pub fn finish(&mut self, out: &mut Vec<Alert>) {
        for ((end, rule), run) in std::mem::take(&mut self.runs) {
            self.close(end, rule, run, out);
        }
    }

    fn close(&self, end: i128, rule: usize, run: Run, out: &mut Vec<Alert>) {
        if let (Some(overflow), Some(rule)) = (run.overflow, self.rules.get(rule)) {
            out.push(overflow.into_alert(rule, end));
        }
    }
}

impl Overflow {
    fn new(first: &Alert) -> Self {
        Self {
            count: 0,
            first: None,
            last: None,
            severity: first.severity,
            risk_score: first.risk_score,
            first_ids: Vec::new(),
            last_ids: VecDeque::new(),
            example: first.reason.clone(),
        }
    }

    fn take(&mut self, alert: Alert) {
        self.count += 1;
        self.first = [self.first, alert.first].into_iter().flatten().min();
        self.last = self.last.max(alert.last);
        self.severity = self.severity.max(alert.severity);
        self.risk_score = self.risk_score.max(alert.risk_score);
        if self.first_ids.len() < KEPT {
            self.first_ids.push(alert.event_ids);
        } else {
            if self.last_ids.len() == KEPT {
                self.last_ids.pop_front();
            }
            self.last_ids.push_back(alert.event_ids);
        }
    }

    fn into_alert(self, rule: &Rule, end: i128) -> Alert {
        let interval = i128::from(rule.schedule.interval_nanos);
        let start = (end != i128::MAX).then(|| Instant::from_nanos(end - interval).to_string());
        let id = hash_of(&[&rule.id, "max_signals", start.as_deref().unwrap_or("")]);
        let lang = rule.texts.lang;
        let more = number(lang, self.count, phrases::ONE_MORE, phrases::MORE);
        let single = rule.max_signals.to_string();
        let reason = phrases::GROUPED.tell(lang, &[&more, &rule.name, &single, &self.example]);
        let document = self.document(rule, &id, &reason, start, end);
        Alert {
            id,
            rule_id: rule.id.clone(),
            rule_name: rule.name.clone(),
            severity: self.severity,
            risk_score: self.risk_score,
            reason,
            first: self.first,
            last: self.last,
            run_time: self.last,
            event_ids: Vec::new(),
            document: document.into(),
        }
    }

    fn document(
        &self,
        rule: &Rule,
        id: &str,
        reason: &str,
        start: Option<String>,
        end: i128,
    ) -> Map<String, Value> {
        let text = |time: Option<Instant>| time.map(|time| time.to_string());
        let end = (end != i128::MAX).then(|| Instant::from_nanos(end).to_string());
        let value = json!({
            "@timestamp": text(self.last),
            "message": reason,
            "event": {
                "kind": "alert",
                "id": id,
                "severity": self.severity.number(),
                "risk_score": self.risk_score,
                "start": text(self.first),
                "end": text(self.last),
                "reason": reason,
            },
            "rule": {
                "id": rule.id,
                "uuid": rule.id,
                "name": rule.name,
                "description": rule.description,
                "category": rule.kind.category(),
                "ruleset": rule.origin.ruleset,
            },
            "tags": rule.tags,
            "kibana.alert.uuid": id,
            "kibana.alert.reason": reason,
            "kibana.alert.severity": self.severity.word(),
            "kibana.alert.risk_score": self.risk_score,
            "kibana.alert.rule.name": rule.name,
            "kibana.alert.rule.rule_id": rule.id,
            "kibana.alert.suppression.docs_count": self.count,
            "kibana.alert.suppression.start": text(self.first),
            "kibana.alert.suppression.end": text(self.last),
            "neph": {"alert": {
                "id": id,
                "reason": reason,
                "grouped": {
                    "count": self.count,
                    "max_signals": rule.max_signals,
                    "first": text(self.first),
                    "last": text(self.last),
                    "first_events": self.first_ids,
                    "last_events": self.last_ids,
                },
                "run": {"interval": rule.schedule.interval, "start": start, "end": end},
                "rule": {"file": rule.origin.path.display().to_string(), "line": rule.origin.line},
            }},
        });
        match value {
            Value::Object(mut map) => {
                map.retain(|_, value| !value.is_null());
                map
            }
            _ => Map::new(),
        }
    }
}
