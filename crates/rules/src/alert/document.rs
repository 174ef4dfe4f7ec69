//! The ECS document of an alert.

use std::collections::BTreeMap;

use neph_engine::Match;
use neph_event::Instant;
use neph_plan::{Query, Stage};
use serde_json::{Map, Value};

use super::fields::{insert, object};
use super::standing::{Standing, rule_object};
use super::{Alert, StepOf, enrichments, fields, why, windows};
use crate::grouping;
use crate::rule::Rule;
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
}

impl Writer<'_> {
    /// The document of an alert of these events.
    pub(super) fn write(mut self, steps: Vec<StepOf>) -> Map<String, Value> {
        let (alert, standing) = (self.alert, self.standing);
        let mut document = Map::new();
        insert(
            &mut document,
            "@timestamp",
            alert.last.map(|time| time.to_string()),
        );
        insert(&mut document, "message", alert.reason.as_str());
        let mut event = Map::new();
        insert(&mut event, "kind", "alert");
        insert(&mut event, "id", alert.id.as_str());
        insert(&mut event, "severity", alert.severity.number());
        insert(&mut event, "risk_score", alert.risk_score);
        insert(&mut event, "start", alert.first.map(|time| time.to_string()));
        insert(&mut event, "end", alert.last.map(|time| time.to_string()));
        insert(&mut event, "reason", alert.reason.as_str());
        document.insert("event".into(), Value::Object(event));
        let rule = match alert.rule_name == self.rule.name {
            true => standing.rule.clone(),
            false => rule_object(self.rule, &alert.rule_name),
        };
        document.insert("rule".into(), Value::Object(rule));
        let mut threat = standing.threat.clone();
        let (enrichments, unlisted) = self.enrichments(&steps);
        insert(&mut threat, "enrichments", enrichments);
        insert(&mut document, "threat", threat);
        insert(&mut document, "tags", standing.tags.clone());
        self.insert_kibana(&mut document);
        // Its place is here; what it says takes the events, of which the rest of the document is lifted first.
        document.insert("neph".into(), Value::Null);
        if let Value::Object(lifted) = self.lifted(&steps).as_ref() {
            merge_lifted(&mut document, lifted);
        }
        let mut own = self.own(steps);
        if unlisted > 0 {
            insert(&mut own, "unlisted_enrichments", unlisted);
        }
        document.insert("neph".into(), object([("alert", own.into())]));
        document
    }

    fn lifted<'s>(&self, steps: &'s [StepOf]) -> std::borrow::Cow<'s, Value> {
        super::lifted(self.rule.plan.as_ref(), self.found, steps)
    }

    /// The indicators that the events met, and how many more there are than are listed.
    fn enrichments(&self, steps: &[StepOf]) -> (Vec<Value>, u64) {
        let Condition::ThreatMatch(threat) = &self.rule.condition else {
            return (Vec::new(), 0);
        };
        let mut all = (Vec::new(), 0);
        for event in steps.iter().filter_map(|step| step.event.as_ref()) {
            let (mut found, more) = enrichments::of(threat, event.document());
            all.0.append(&mut found);
            all.1 += more;
        }
        all
    }

    /// The keys of Kibana's alerts that have a meaning here:
    /// <https://www.elastic.co/docs/reference/security/fields-and-object-schemas/alert-schema>.
    fn insert_kibana(&self, document: &mut Map<String, Value>) {
        let (alert, standing) = (self.alert, self.standing);
        insert(document, "kibana.alert.uuid", alert.id.as_str());
        insert(document, "kibana.alert.status", "active");
        insert(document, "kibana.alert.workflow_status", "open");
        insert(document, "kibana.alert.depth", 1);
        insert(document, "kibana.alert.reason", alert.reason.as_str());
        insert(document, "kibana.alert.severity", alert.severity.word());
        insert(document, "kibana.alert.risk_score", alert.risk_score);
        insert(
            document,
            "kibana.alert.original_time",
            alert.last.map(|time| time.to_string()),
        );
        insert(
            document,
            "kibana.alert.building_block_type",
            standing.building_block.clone(),
        );
        let ancestors = alert.event_ids.iter().map(|id| {
            object([
                ("id", id.as_str().into()),
                ("type", "event".into()),
                ("depth", 0.into()),
            ])
        });
        insert(document, "kibana.alert.ancestors", ancestors.collect::<Value>());
        insert(document, "kibana.alert.rule.name", alert.rule_name.as_str());
        document.extend(standing.kibana.iter().cloned());
        if let Some(window) = &self.found.window {
            let (key, value) = windows::kibana(self.rule.plan.as_ref(), self.found, window);
            insert(document, &format!("kibana.alert.{key}"), value);
        }
        document.extend(standing.timeline.iter().cloned());
    }

    fn own(&mut self, steps: Vec<StepOf>) -> Map<String, Value> {
        let (rule, alert, standing) = (self.rule, self.alert, self.standing);
        let investigation = self.investigation(&steps);
        let mut own = Map::new();
        insert(&mut own, "id", alert.id.as_str());
        insert(&mut own, "reason", alert.reason.as_str());
        insert(&mut own, "join_keys", self.join_keys());
        insert(&mut own, "steps", self.step_objects(steps));
        insert(&mut own, "first", alert.first.map(|time| time.to_string()));
        insert(&mut own, "last", alert.last.map(|time| time.to_string()));
        if let Some(window) = &self.found.window {
            insert(&mut own, "window", windows::own(rule.plan.as_ref(), window));
        }
        insert(&mut own, "run", self.run());
        for (key, value) in &standing.own {
            insert(&mut own, key, value.clone());
        }
        insert(&mut own, "investigation", investigation);
        for (key, value) in &standing.guide {
            insert(&mut own, key, value.clone());
        }
        own
    }

    /// The run of the rule that the alert belongs to: intervals are aligned on the epoch, and each run looks back
    /// from its end.
    fn run(&self) -> Map<String, Value> {
        let schedule = &self.rule.schedule;
        let mut run = self.standing.run.clone();
        if let Some(time) = self.alert.run_time {
            let start = grouping::window_start(time, schedule.interval_nanos);
            let end = start + i128::from(schedule.interval_nanos);
            let from = Instant::from_nanos(end - i128::from(schedule.lookback_nanos));
            insert(&mut run, "evaluated_from", from.to_string());
            insert(&mut run, "evaluated_to", Instant::from_nanos(end).to_string());
        }
        run
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
    fn step_objects(&mut self, steps: Vec<StepOf>) -> Vec<Value> {
        let rule = self.rule;
        // Of a correlation a step goes by the name of its rule.
        let correlated = match rule.plan.as_ref().map(|plan| &plan.query) {
            Some(Query::Correlation(correlation)) => correlation.named_events(),
            _ => Vec::new(),
        };
        let mut objects: Vec<(u16, Map<String, Value>, Vec<Value>)> = Vec::new();
        for step in steps {
            if objects.last().is_none_or(|(stage, ..)| *stage != step.stage) {
                let mut object = Map::new();
                insert(&mut object, "step", u32::from(step.stage) + 1);
                let place = usize::from(step.stage);
                let span = self.stages().get(place).map(|stage| stage.span);
                let query = match (correlated.get(place), span) {
                    (Some((name, _)), _) => why::shown(rule, name).into(),
                    (None, Some(span)) => why::text_at(span, rule, self.texts).into(),
                    (None, None) => Value::from(self.standing.query.as_str()),
                };
                insert(&mut object, "query", query);
                objects.push((step.stage, object, Vec::new()));
            }
            let Some((_, object, events)) = objects.last_mut() else {
                continue;
            };
            match step.document.is_some() {
                true => events.push(step.into_object()),
                false => insert(object, "missing", true),
            }
        }
        let finish = |(_, mut object, events): (u16, Map<String, Value>, Vec<Value>)| {
            insert(&mut object, "events", events);
            Value::Object(object)
        };
        objects.into_iter().map(finish).collect()
    }

    /// The fields that the rule's author wants looked at first, with all their values.
    fn investigation(&self, steps: &[StepOf]) -> Map<String, Value> {
        let mut out = Map::new();
        for field in &self.rule.investigation_fields {
            let mut values: Vec<Value> = Vec::new();
            for document in steps.iter().filter_map(|step| step.document.as_ref()) {
                fields::for_each(document, field, &mut |value| {
                    if !values.contains(value) {
                        values.push(value.clone());
                    }
                });
            }
            insert(&mut out, field, values);
        }
        out
    }
}

impl StepOf {
    fn into_object(self) -> Value {
        let mut out = Map::new();
        if let Some(event) = &self.event {
            let origin = event.origin();
            insert(&mut out, "id", event.id().as_str());
            let origin = object([("source", (*origin.source).into()), ("line", origin.line.into())]);
            insert(&mut out, "origin", origin);
        }
        insert(&mut out, "time", self.time.map(|time| time.to_string()));
        let mut matched: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (field, value) in self.matched {
            matched.entry(field).or_default().push(value);
        }
        let matched = matched.into_iter().map(|(field, values)| (field, values.into()));
        insert(
            &mut out,
            "matched_fields",
            matched.collect::<Map<String, Value>>(),
        );
        insert(&mut out, "why", self.why);
        insert(&mut out, "document", self.document);
        Value::Object(out)
    }
}

/// Puts what the events share beside what the alert says of itself; the alert's own word counts.
fn merge_lifted(document: &mut Map<String, Value>, lifted: &Map<String, Value>) {
    for (key, value) in lifted {
        match (key.as_str(), value) {
            ("event", Value::Object(event)) => {
                if let Some(Value::Object(own)) = document.get_mut("event") {
                    for (key, value) in event {
                        if EVENT_KEYS_LIFTED.contains(&key.as_str()) {
                            own.insert(key.clone(), value.clone());
                        }
                    }
                }
            }
            (dotted, value) if dotted.starts_with("event.") => {
                if EVENT_KEYS_LIFTED.contains(&dotted.trim_start_matches("event.")) {
                    document.insert(key.clone(), value.clone());
                }
            }
            // What a source says of rules and threats stays with its event; here they are the alert's.
            (own, _)
                if own.starts_with("rule.") || own.starts_with("threat.") || own.starts_with("kibana.") => {}
            (_, value) => {
                if !document.contains_key(key) {
                    document.insert(key.clone(), value.clone());
                }
            }
        }
    }
}
