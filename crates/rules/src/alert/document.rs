//! The ECS document of an alert.

use std::collections::BTreeMap;

use neph_engine::Match;
use neph_event::Instant;
use neph_plan::{Query, Stage};
use serde_json::{Value, json};

use super::fields::object;
use super::standing::{Standing, rule_object};
use super::tree::{Text, Tree};
use super::written::Written;
use super::{Alert, StepOf, enrichments, fields, why, windows};
use crate::grouping;
use crate::rule::Rule;
use crate::suppressor::Counted;
use crate::windows::Condition;

/// Keys of `event` that describe an event's kind and are lifted from the events; the others are the alert's own.
const EVENT_KEYS_LIFTED: [&str; 8] = [
    "category", "type", "action", "outcome", "dataset", "module", "provider", "code",
];

/// Writes the document of one alert.
pub(super) struct Writer<'a> {
    pub(super) rule: &'a Rule,
    pub(super) standing: &'a Standing,
    pub(super) texts: &'a mut why::Shown,
    pub(super) alert: &'a Alert,
    pub(super) found: &'a Match,
    /// What the alert stands for besides.
    pub(super) counted: Option<&'a Counted>,
}

impl Writer<'_> {
    /// The document of an alert of these events as JSON, which is about so long.
    pub(super) fn write(mut self, steps: &[StepOf<'_>], room: usize) -> Vec<u8> {
        let (alert, standing) = (self.alert, self.standing);
        let lifted = super::lifted(self.rule.plan.as_ref(), self.found, steps);
        let lifted = match lifted.as_ref() {
            Tree::Object(lifted) => lifted.as_slice(),
            _ => &[],
        };
        let mut out = Written::with_room(room + room / 8);
        out.object(|out| {
            let last = alert.last.map(|time| time.to_string()).unwrap_or_default();
            out.insert_text("@timestamp", &last);
            out.insert_text("message", &alert.reason);
            out.key("event");
            out.object(|out| self.write_event(out, lifted));
            out.key("rule");
            match alert.rule_name == self.rule.name {
                true => out.raw(&standing.rule),
                false => out.raw(&rule_object(self.rule, &alert.rule_name)),
            }
            let (enrichments, unlisted) = self.enrichments(steps);
            let has_threat = !(standing.threat.is_empty() && enrichments.is_empty());
            out.insert_written("threat", |out| {
                out.object(|out| {
                    out.entries(&standing.threat);
                    out.insert("enrichments", enrichments);
                });
            });
            out.entries(&standing.tags);
            self.write_kibana(out, &last);
            out.key("neph");
            out.object(|out| {
                out.key("alert");
                out.object(|out| self.write_own(out, steps, &last, unlisted));
            });
            // What the events share stands beside what the alert says of itself; the alert's own word counts.
            let is_own = |key: &str| match key {
                "@timestamp" => alert.last.is_some(),
                "message" => !alert.reason.is_empty(),
                "threat" => has_threat,
                "tags" => !standing.tags.is_empty(),
                _ => matches!(key, "event" | "rule" | "neph"),
            };
            for (key, value) in lifted {
                // What a source says of rules and threats stays with its event; here they are the alert's.
                let is_lifted = match key.as_str() {
                    dotted if dotted.starts_with("event.") => {
                        EVENT_KEYS_LIFTED.contains(&dotted.trim_start_matches("event."))
                    }
                    key if ["rule.", "threat.", "kibana."]
                        .iter()
                        .any(|own| key.starts_with(own)) =>
                    {
                        false
                    }
                    key => !is_own(key),
                };
                if is_lifted {
                    out.entry(key, value);
                }
            }
            if let Some(counted) = self.counted {
                counted.write_kibana(self.rule, out);
            }
        });
        out.into_bytes()
    }

    /// What the alert says of itself as an event, and of what kind its events are.
    fn write_event(&self, out: &mut Written, lifted: &[(Text<'_>, Tree<'_>)]) {
        let alert = self.alert;
        out.insert_text("kind", "alert");
        out.insert_text("id", &alert.id);
        out.insert("severity", alert.severity.number());
        out.insert("risk_score", alert.risk_score);
        out.insert("start", alert.first.map(|time| time.to_string()));
        out.insert("end", alert.last.map(|time| time.to_string()));
        out.insert_text("reason", &alert.reason);
        let event = lifted.iter().find(|(key, _)| key.as_str() == "event");
        if let Some((_, Tree::Object(event))) = event {
            for (key, value) in event {
                if EVENT_KEYS_LIFTED.contains(&key.as_str()) {
                    out.entry(key, value);
                }
            }
        }
    }

    /// The indicators that the events met, and how many more there are than are listed.
    fn enrichments(&self, steps: &[StepOf<'_>]) -> (Vec<Value>, u64) {
        let Condition::ThreatMatch(threat) = &self.rule.condition else {
            return (Vec::new(), 0);
        };
        let mut all = (Vec::new(), 0);
        for event in steps.iter().filter_map(|step| step.event) {
            let (mut found, more) = enrichments::of(threat, event.document());
            all.0.append(&mut found);
            all.1 += more;
        }
        all
    }

    /// The keys of Kibana's alerts that have a meaning here:
    /// <https://www.elastic.co/docs/reference/security/fields-and-object-schemas/alert-schema>.
    fn write_kibana(&self, out: &mut Written, last: &str) {
        let (alert, standing) = (self.alert, self.standing);
        out.insert_text("kibana.alert.uuid", &alert.id);
        out.insert_text("kibana.alert.status", "active");
        out.insert_text("kibana.alert.workflow_status", "open");
        out.insert("kibana.alert.depth", 1);
        out.insert_text("kibana.alert.reason", &alert.reason);
        out.insert_text("kibana.alert.severity", alert.severity.word());
        out.insert("kibana.alert.risk_score", alert.risk_score);
        out.insert_text("kibana.alert.original_time", last);
        out.entries(&standing.building_block);
        out.insert_written("kibana.alert.ancestors", |out| {
            out.list(&alert.event_ids, |out, id| {
                out.object(|out| {
                    out.key("id");
                    out.value(id);
                    out.insert_text("type", "event");
                    out.insert("depth", 0);
                });
            });
        });
        out.insert_text("kibana.alert.rule.name", &alert.rule_name);
        out.entries(&standing.kibana);
        if let Some(window) = &self.found.window {
            let (key, value) = windows::kibana(self.rule.plan.as_ref(), self.found, window);
            out.insert(&format!("kibana.alert.{key}"), value);
        }
        out.entries(&standing.timeline);
    }

    /// What only our own alerts say.
    fn write_own(&mut self, out: &mut Written, steps: &[StepOf<'_>], last: &str, unlisted: u64) {
        let (rule, alert, standing) = (self.rule, self.alert, self.standing);
        out.insert_text("id", &alert.id);
        out.insert_text("reason", &alert.reason);
        out.insert("join_keys", self.join_keys());
        out.insert_written("steps", |out| self.write_steps(out, steps));
        out.insert("first", alert.first.map(|time| time.to_string()));
        out.insert_text("last", last);
        if let Some(window) = &self.found.window {
            out.insert("window", windows::own(rule.plan.as_ref(), window));
        }
        out.insert_written("run", |out| out.object(|out| self.write_run(out)));
        out.entries(&standing.own);
        out.insert_written("investigation", |out| {
            out.object(|out| self.write_investigation(out, steps));
        });
        out.entries(&standing.guide);
        if unlisted > 0 {
            out.insert("unlisted_enrichments", unlisted);
        }
        if let Some(counted) = self.counted {
            counted.write_own(rule, out);
        }
    }

    /// The run of the rule that the alert belongs to: intervals are aligned on the epoch, and each run looks back
    /// from its end.
    fn write_run(&self, out: &mut Written) {
        let schedule = &self.rule.schedule;
        out.entries(&self.standing.run);
        if let Some(time) = self.alert.run_time {
            let start = grouping::window_start(time, schedule.interval_nanos);
            let end = start + i128::from(schedule.interval_nanos);
            let from = Instant::from_nanos(end - i128::from(schedule.lookback_nanos));
            out.insert("evaluated_from", from.to_string());
            out.insert("evaluated_to", Instant::from_nanos(end).to_string());
        }
    }

    fn join_keys(&self) -> Vec<Value> {
        let stages = self.stages();
        let grouping = windows::keys(self.rule.plan.as_ref());
        self.found
            .keys
            .iter()
            .enumerate()
            .map(|(position, value)| {
                let mut names: Vec<&str> = Vec::new();
                let of_steps = stages.iter().filter_map(|stage| stage.keys.get(position));
                let of_steps = of_steps.map(|key| &*key.name);
                for name in of_steps.chain(grouping.get(position).copied()) {
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
                let value = value.as_ref().map_or(Value::Null, why::json_value);
                object([("fields", names.into()), ("value", value)])
            })
            .collect()
    }

    fn stages(&self) -> &[Stage] {
        match self.rule.plan.as_ref().map(|plan| &plan.query) {
            Some(Query::Sequence(sequence)) => &sequence.stages,
            Some(Query::Sample(sample)) => &sample.stages,
            _ => &[],
        }
    }

    /// One object a stage of the query; a stage with runs has several events.
    fn write_steps(&mut self, out: &mut Written, steps: &[StepOf<'_>]) {
        let rule = self.rule;
        // Of a correlation a step goes by the name of its rule.
        let correlated = match rule.plan.as_ref().map(|plan| &plan.query) {
            Some(Query::Correlation(correlation)) => correlation.named_events(),
            _ => Vec::new(),
        };
        let stages = steps.chunk_by(|step, next| step.stage == next.stage);
        out.list(stages, |out, steps| {
            out.object(|out| {
                let stage = steps.first().map_or(0, |step| step.stage);
                out.insert("step", u32::from(stage) + 1);
                let place = usize::from(stage);
                let span = self.stages().get(place).map(|stage| stage.span);
                out.insert_written("query", |out| match (correlated.get(place), span) {
                    (Some((name, _)), _) => out.value(&why::shown(rule, name)),
                    (None, Some(span)) => out.raw(why::text_at(span, rule, self.texts)),
                    (None, None) => out.raw(&self.standing.query),
                });
                if steps.iter().any(|step| step.event.is_none()) {
                    out.insert("missing", true);
                }
                out.insert_written("events", |out| {
                    let there = steps.iter().filter(|step| step.event.is_some());
                    out.list(there, |out, step| {
                        out.object(|out| step.write(rule, self.texts, out))
                    });
                });
            });
        });
    }

    /// The fields that the rule's author wants looked at first, with all their values.
    fn write_investigation(&self, out: &mut Written, steps: &[StepOf<'_>]) {
        for field in &self.rule.investigation_fields {
            let mut values: Vec<&Tree<'_>> = Vec::new();
            for document in steps.iter().filter_map(StepOf::document) {
                fields::for_each(document, field, &mut |value| {
                    if !values.contains(&value) {
                        values.push(value);
                    }
                });
            }
            out.insert_written(field, |out| out.list(&values, |out, value| value.write(out)));
        }
    }
}

impl StepOf<'_> {
    fn write(&self, rule: &Rule, texts: &mut why::Shown, out: &mut Written) {
        if let Some(event) = self.event {
            let origin = event.origin();
            out.insert_text("id", event.id().as_str());
            out.key("origin");
            out.object(|out| {
                out.key("source");
                out.value(&*origin.source);
                out.insert("line", origin.line);
            });
        }
        out.insert("time", self.time(rule).map(|time| time.to_string()));
        let mut matched: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (field, value) in &self.matched {
            matched.entry(field).or_default().push(value);
        }
        out.insert_written("matched_fields", |out| {
            out.object(|out| {
                for (field, values) in matched {
                    out.key(field);
                    out.list(values, |out, value| out.value(value));
                }
            });
        });
        if let Some(why) = &self.why {
            out.key("why");
            why::write(why, rule, texts, out);
        }
        if let Some(document) = self.document().filter(|document| !document.is_blank()) {
            out.key("document");
            document.write(out);
        }
    }
}

impl Counted {
    /// What the alert stands for, under Kibana's keys.
    fn write_kibana(&self, rule: &Rule, out: &mut Written) {
        let text = |time: Option<Instant>| time.map(|time| time.to_string());
        out.key("kibana.alert.suppression.terms");
        self.write_terms(out);
        out.insert("kibana.alert.suppression.docs_count", self.others);
        out.insert("kibana.alert.suppression.start", text(self.start));
        out.insert("kibana.alert.suppression.end", text(self.end));
        out.insert("kibana.alert.instance.id", self.instance(rule));
    }

    /// The same under our own.
    fn write_own(&self, rule: &Rule, out: &mut Written) {
        let text = |time: Option<Instant>| time.map(|time| time.to_string());
        let settings = rule.tuning.suppression.as_ref();
        let seconds = settings
            .and_then(|settings| settings.duration_nanos)
            .map(|nanos| nanos / 1_000_000_000);
        out.key("suppression");
        out.object(|out| {
            out.key("terms");
            self.write_terms(out);
            out.insert("others", self.others);
            out.insert("first", text(self.start));
            out.insert("last", text(self.end));
            out.insert("seconds", seconds);
            out.insert("overlay", settings.and_then(|settings| settings.overlay.clone()));
        });
    }

    fn write_terms(&self, out: &mut Written) {
        out.list(&self.terms, |out, (field, value)| {
            out.value(&json!({"field": field, "value": value}))
        });
    }
}
