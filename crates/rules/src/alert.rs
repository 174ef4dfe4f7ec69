//! Alerts: what a match of a rule becomes.
//!
//! An alert is an ECS document (<https://www.elastic.co/docs/reference/ecs>) that explains itself. It carries
//!
//! - `@timestamp`, the time of the last event; `message`, the reason in one sentence;
//! - `event.*` with `kind: alert`, the alert's id, severity and risk score, and the times of the first and last event;
//! - `rule.*` and `threat.*`;
//! - what all events share (host, user, container, cloud account …), as the alert that Kibana makes of a sequence does;
//! - the `kibana.alert.*` keys that searches and dashboards of Elastic users ask for, flat as Kibana writes them;
//! - `neph.alert.*`: the steps with their events, where each record stood, why each condition holds, the join keys, the
//!   schedule, the guide.
//!
//! **Ids are idempotent**: an alert's id is a hash of the rule's id and the ids of its events in order, so evaluating again
//! makes no second alert. For new terms and thresholds it is a hash of the rule's id, the end of the run and the values of
//! the fields. The rule's version is no part of it.

mod document;
mod enrichments;
pub(crate) mod fields;
mod miss;
pub(crate) mod phrases;
mod reason;
mod standing;
mod told;
pub(crate) mod tree;
pub(crate) mod why;
pub(crate) mod windows;
mod written;

pub use miss::{FailedTest, StepFared, steps_fared};
pub use told::Document;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::ops::Deref;
use std::sync::Arc;

use neph_engine::{Event, Explainer, Match, Why};
use neph_event::Instant;
use neph_plan::{Plan, Query};
use sha2::{Digest, Sha256};

use crate::rule::{Rule, RuleSeverity};
use crate::scope::IndexScope;
use crate::suppressor::Counted;

use standing::Standing;
pub(crate) use standing::threat_as_written;
use tree::Tree;

/// An alert.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Hash of the rule's id and the ordered ids of the events, 32 hexadecimal digits.
    pub id: String,
    /// `rule_id` of the rule.
    pub rule_id: String,
    /// The rule's name, after `rule_name_override`.
    pub rule_name: String,
    /// Severity, after the rule's mapping.
    pub severity: RuleSeverity,
    /// Risk score, after the rule's mapping.
    pub risk_score: u8,
    /// The reason in one sentence.
    pub reason: String,
    /// Time of the first event.
    pub first: Option<Instant>,
    /// Time of the last event.
    pub last: Option<Instant>,
    /// The time that decides which run of the rule the alert belongs to: of the rule's `timestamp_override` in the last
    /// event where it has one, else the last event's time.
    pub run_time: Option<Instant>,
    /// Ids of the events, in order.
    pub event_ids: Vec<String>,
    /// The ECS document.
    pub document: Document,
}

/// Makes alerts of the matches of one rule. What depends on the rule alone is made when the first match comes: of a
/// thousand rules few match.
#[derive(Debug)]
pub struct AlertBuilder<R> {
    rule: R,
    /// `None` inside for a plan that cannot be explained; it cannot be run either, and that is reported where it is compiled.
    explainer: OnceCell<Option<Box<Explainer>>>,
    standing: OnceCell<Box<Standing>>,
    texts: why::Shown,
    /// How long the document of the alert before was: the next one is about as long.
    room: usize,
}

/// An alert that is not written yet.
#[derive(Debug)]
pub(crate) struct Draft<'f> {
    /// The alert, but for its reason and document.
    pub(crate) alert: Alert,
    found: &'f Match,
    steps: Vec<StepOf<'f>>,
}

impl<R: Deref<Target = Rule>> AlertBuilder<R> {
    /// A builder for a rule's matches.
    pub fn new(rule: R) -> Self {
        Self {
            rule,
            explainer: OnceCell::new(),
            standing: OnceCell::new(),
            texts: why::Shown::new(),
            room: 0,
        }
    }

    /// The alert of a match.
    pub fn build(&mut self, found: &Match) -> Alert {
        let draft = self.draft(found);
        self.write(draft, None)
    }

    /// What is told of an alert without explaining it.
    pub(crate) fn draft<'f>(&self, found: &'f Match) -> Draft<'f> {
        let rule: &Rule = &self.rule;
        let steps: Vec<StepOf<'_>> = found
            .events
            .iter()
            .map(|(stage, event)| StepOf::new(*stage, event.as_deref()))
            .collect();
        let asks_events = rule.name_override.is_some()
            || !(rule.severity_mapping.is_empty() && rule.risk_score_mapping.is_empty());
        let lifted = match asks_events {
            true => lifted(rule.plan.as_ref(), found, &steps),
            false => Cow::Owned(Tree::Null),
        };
        let last_step = steps.iter().rev().find(|step| step.event.is_some());
        let last = found
            .last
            .as_ref()
            .map(|ordinal| ordinal.time)
            .or_else(|| last_step?.time(rule));
        let overridden = |field: &String| last_step?.document().and_then(|event| fields::time(event, field));
        let alert = Alert {
            id: alert_id(rule, found),
            rule_id: rule.id.clone(),
            rule_name: self.name(&lifted),
            severity: self.severity(&lifted),
            risk_score: self.risk_score(&lifted),
            reason: String::new(),
            first: found
                .first
                .or_else(|| steps.iter().find_map(|step| step.time(rule))),
            last,
            // A run of new terms or of a threshold goes by the time of its events.
            run_time: rule
                .timestamp_override
                .as_ref()
                .filter(|_| found.window.is_none())
                .and_then(overridden)
                .or(last),
            event_ids: event_ids(found),
            document: Document::default(),
        };
        drop(lifted);
        Draft { alert, found, steps }
    }

    /// Explains the alert and writes its document; `counted` is what it stands for besides.
    pub(crate) fn write(&mut self, draft: Draft<'_>, counted: Option<&Counted>) -> Alert {
        let Draft {
            mut alert,
            found,
            mut steps,
        } = draft;
        for step in &mut steps {
            if let Some(event) = step.event {
                (step.why, step.matched) = self.explain(step.stage, event);
            }
        }
        alert.reason = self.reason(found, &steps);
        let rule: &Rule = &self.rule;
        let standing = self.standing.get_or_init(|| Box::new(Standing::new(rule)));
        let writer = document::Writer {
            rule,
            standing,
            texts: &mut self.texts,
            alert: &alert,
            found,
            counted,
        };
        let document = writer.write(&steps, self.room);
        self.room = document.len();
        alert.document = Document::of(document);
        alert
    }

    fn reason(&self, found: &Match, steps: &[StepOf<'_>]) -> String {
        let plan = self.rule.plan.as_ref();
        let tally = found.window.and_then(|window| window.tally);
        let correlation = match plan.map(|plan| &plan.query) {
            Some(Query::Correlation(correlation)) => Some(correlation),
            _ => None,
        };
        let stage_before = |place: usize| steps.get(place.checked_sub(1)?).map(|step| step.stage);
        let told: Vec<reason::Step<'_>> = steps
            .iter()
            .enumerate()
            // What a correlation counted is told once.
            .filter(|(place, step)| correlation.is_none() || stage_before(*place) != Some(step.stage))
            .map(|(_, step)| step)
            // Events that were counted have no order that tells anything: the first is an example.
            .take(if tally.is_some() { 1 } else { usize::MAX })
            .map(|step| reason::Step {
                document: step.document(),
                time: step.time(&self.rule),
                matched: &step.matched,
            })
            .collect();
        let lang = self.rule.texts.lang;
        let reason = reason::sentence(lang, &told);
        match (&found.window, correlation) {
            (Some(window), _) => windows::sentence(lang, plan, found, window, &reason),
            (None, Some(correlation)) => windows::together(lang, correlation, plan, found, &reason),
            (None, None) => reason,
        }
    }

    /// Why the event satisfies the stage, and the fields and values that its tests met.
    fn explain(&mut self, stage: u16, event: &Event) -> (Option<Why>, Vec<(Arc<str>, String)>) {
        let rule: &Rule = &self.rule;
        self.explainer.get_or_init(|| {
            // Where the event belongs is no part of the query, and may stand beside the document.
            let mut plan = rule.plan.clone()?;
            IndexScope::new(&rule.index).release(&mut plan);
            Explainer::new(&plan).ok().map(Box::new)
        });
        let Some(Some(explainer)) = self.explainer.get_mut() else {
            return (None, Vec::new());
        };
        let Ok(Some(explanation)) = explainer.explain(stage, event.document()) else {
            return (None, Vec::new());
        };
        let matched = why::matched(&explanation);
        (Some(explanation.why), matched)
    }

    fn name(&self, lifted: &Tree<'_>) -> String {
        let overridden = self
            .rule
            .name_override
            .as_ref()
            .and_then(|field| fields::text(lifted, field));
        overridden.map_or_else(|| self.rule.name.clone(), Cow::into_owned)
    }

    fn severity(&self, lifted: &Tree<'_>) -> RuleSeverity {
        // Mappings are in descending order of severity.
        let mapped = self.rule.severity_mapping.iter().find(|mapping| {
            let mut met = false;
            fields::for_each(lifted, &mapping.field, &mut |value| {
                met |= match value.as_str() {
                    Some(text) => text == mapping.value,
                    None => value.to_string() == mapping.value,
                };
            });
            met
        });
        mapped.map_or(self.rule.severity, |mapping| mapping.severity)
    }

    fn risk_score(&self, lifted: &Tree<'_>) -> u8 {
        let mapped = self.rule.risk_score_mapping.iter().find_map(|field| {
            let number: f64 = fields::text(lifted, field)?.parse().ok()?;
            // Numbers outside the scale do not count, as in Kibana.
            (0.0..=100.0).contains(&number).then_some(number as u8)
        });
        mapped.unwrap_or(self.rule.risk_score)
    }
}

/// A slot of the match.
#[derive(Debug, Default)]
struct StepOf<'f> {
    stage: u16,
    /// The record; none where the step had to be missing.
    event: Option<&'f Event>,
    /// Its document, read when it is first asked for: of what becomes part of a grouped alert it never is.
    document: OnceCell<Tree<'f>>,
    why: Option<Why>,
    matched: Vec<(Arc<str>, String)>,
}

impl<'f> StepOf<'f> {
    fn new(stage: u16, event: Option<&'f Event>) -> Self {
        Self {
            stage,
            event,
            ..Self::default()
        }
    }

    fn document(&self) -> Option<&Tree<'f>> {
        let read = |event: &'f Event| self.document.get_or_init(|| Tree::read(event.document()));
        self.event.map(read)
    }

    fn time(&self, rule: &Rule) -> Option<Instant> {
        fields::time(self.document()?, &rule.timestamp_field)
    }
}

/// What is known to hold of all events of the alert.
fn lifted<'s, 'f>(plan: Option<&Plan>, found: &Match, steps: &'s [StepOf<'f>]) -> Cow<'s, Tree<'f>> {
    if found.window.is_some_and(|window| window.tally.is_some()) {
        return Cow::Owned(windows::shared(plan, found).into());
    }
    let documents: Vec<&Tree<'f>> = steps.iter().filter_map(StepOf::document).collect();
    fields::shared(&documents)
}

/// The id of the alert of a match: the first 128 bits of the SHA-256 of the rule's id and the ids of the events in
/// order, each with its length in front, in hexadecimal; a word tells Sigma's rules, which may share ids with others. Of new terms and thresholds not the events count, but the end of the
/// run and the values of the fields.
pub fn alert_id(rule: &Rule, found: &Match) -> String {
    let mut parts = vec![rule.id.as_str()];
    if rule.kind.is_sigma() {
        parts.push("sigma");
    }
    if let Some(window) = &found.window {
        let identity = windows::identity(found, window);
        parts.push("window");
        parts.extend(identity.iter().map(String::as_str));
        return hash_of(&parts);
    }
    // A step that had to be missing keeps its place, as an empty id.
    parts.extend(
        found
            .events
            .iter()
            .map(|(_, event)| event.as_ref().map_or("", |event| event.id().as_str())),
    );
    hash_of(&parts)
}

/// A hash of texts that tells apart where each ends.
pub(crate) fn hash_of(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let mut text = String::with_capacity(32);
    for byte in hasher.finalize().iter().take(16) {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }
    text
}

fn event_ids(found: &Match) -> Vec<String> {
    found
        .events
        .iter()
        .filter_map(|(_, event)| Some(event.as_ref()?.id().as_str().to_owned()))
        .collect()
}
