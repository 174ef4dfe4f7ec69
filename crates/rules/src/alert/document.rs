//! The ECS document of an alert.

use std::collections::BTreeMap;

use neph_engine::Match;
use neph_event::Instant;
use neph_plan::{Query, Stage};
use serde_json::{Map, Value, json};

use super::{Alert, StepOf, enrichments, fields, why, windows};
use crate::grouping;
use crate::rule::{Rule, Threat, ThreatItem};
use crate::windows::Condition;

/// Keys of `event` that describe an event's kind and are lifted from the events; the others are the alert's own.
const EVENT_KEYS_LIFTED: [&str; 8] = [
    "category", "type", "action", "outcome", "dataset", "module", "provider", "code",
];

/// Writes the document of one alert.
pub(super) struct Writer<'a> {
    pub(super) rule: &'a Rule,
    pub(super) alert: &'a Alert,
    pub(super) found: &'a Match,
    pub(super) steps: &'a [StepOf],
}

impl Writer<'_> {
    /// The document; `lifted` is what all events share.
    pub(super) fn write(&self, lifted: Value) -> Map<String, Value> {
        let alert = self.alert;
        let mut document = Map::new();
        insert(
            &mut document,
            "@timestamp",
            alert.last.map(|time| time.to_string()),
        );
        insert(&mut document, "message", &alert.reason);
        let mut event = Map::new();
        insert(&mut event, "kind", "alert");
        insert(&mut event, "id", &alert.id);
        insert(&mut event, "severity", alert.severity.number());
        insert(&mut event, "risk_score", alert.risk_score);
        insert(&mut event, "start", alert.first.map(|time| time.to_string()));
        insert(&mut event, "end", alert.last.map(|time| time.to_string()));
        insert(&mut event, "reason", &alert.reason);
        document.insert("event".into(), Value::Object(event));
        document.insert("rule".into(), self.rule_object());
        let mut threat = self.threat().unwrap_or_default();
        let (enrichments, unlisted) = self.enrichments();
        insert(&mut threat, "enrichments", enrichments);
        insert(&mut document, "threat", Value::Object(threat));
        insert(&mut document, "tags", &self.rule.tags);
        self.insert_kibana(&mut document);
        let mut own = self.own();
        if unlisted > 0 {
            insert(&mut own, "unlisted_enrichments", unlisted);
        }
        document.insert("neph".into(), json!({"alert": own}));
        if let Value::Object(lifted) = lifted {
            merge_lifted(&mut document, lifted);
        }
        document
    }

    fn rule_object(&self) -> Value {
        let rule = self.rule;
        let mut object = Map::new();
        insert(&mut object, "id", &rule.id);
        insert(&mut object, "uuid", &rule.id);
        insert(&mut object, "name", &self.alert.rule_name);
        insert(&mut object, "description", &rule.description);
        insert(
            &mut object,
            "version",
            rule.version.map(|version| version.to_string()),
        );
        insert(&mut object, "author", &rule.authors);
        insert(&mut object, "license", &rule.license);
        insert(&mut object, "reference", &rule.references);
        insert(&mut object, "category", rule.kind.category());
        insert(&mut object, "ruleset", &rule.origin.ruleset);
        Value::Object(object)
    }

    /// `threat.*` holds one framework; tactics, techniques and sub-techniques of all entries are lists beside each other.
    fn threat(&self) -> Option<Map<String, Value>> {
        let threats = &self.rule.threat;
        let framework = &threats.first()?.framework;
        let of_framework = || threats.iter().filter(|threat| threat.framework == *framework);
        let techniques = || of_framework().flat_map(|threat| &threat.techniques);
        let mut technique = item_lists(techniques().map(|technique| &technique.technique));
        let subtechnique = item_lists(techniques().flat_map(|technique| &technique.subtechniques));
        if !subtechnique.is_empty() {
            technique.insert("subtechnique".into(), Value::Object(subtechnique));
        }
        let mut threat = Map::new();
        insert(&mut threat, "framework", framework);
        insert(
            &mut threat,
            "tactic",
            Value::Object(item_lists(of_framework().map(|threat| &threat.tactic))),
        );
        insert(&mut threat, "technique", Value::Object(technique));
        Some(threat)
    }

    /// The indicators that the events met, and how many more there are than are listed.
    fn enrichments(&self) -> (Vec<Value>, u64) {
        let Condition::ThreatMatch(threat) = &self.rule.condition else {
            return (Vec::new(), 0);
        };
        let mut all = (Vec::new(), 0);
        for event in self.steps.iter().filter_map(|step| step.event.as_ref()) {
            let (mut found, more) = enrichments::of(threat, event.document());
            all.0.append(&mut found);
            all.1 += more;
        }
        all
    }

    /// The keys of Kibana's alerts that have a meaning here:
    /// <https://www.elastic.co/docs/reference/security/fields-and-object-schemas/alert-schema>.
    fn insert_kibana(&self, document: &mut Map<String, Value>) {
        let (rule, alert) = (self.rule, self.alert);
        let mut set = |key: &str, value: Value| {
            if !is_blank(&value) {
                document.insert(format!("kibana.alert.{key}"), value);
            }
        };
        set("uuid", json!(alert.id));
        set("status", json!("active"));
        set("workflow_status", json!("open"));
        set("depth", json!(1));
        set("reason", json!(alert.reason));
        set("severity", json!(alert.severity.word()));
        set("risk_score", json!(alert.risk_score));
        set("original_time", json!(alert.last.map(|time| time.to_string())));
        set("building_block_type", json!(rule.building_block));
        let ancestors: Vec<Value> = alert
            .event_ids
            .iter()
            .map(|id| json!({"id": id, "type": "event", "depth": 0}))
            .collect();
        set("ancestors", Value::Array(ancestors));
        set("rule.name", json!(alert.rule_name));
        set("rule.rule_id", json!(rule.id));
        set("rule.uuid", json!(rule.id));
        set("rule.category", json!(rule.kind.category()));
        set("rule.rule_type_id", json!(rule.kind.type_id()));
        set("rule.type", json!(rule.kind.word()));
        set("rule.tags", json!(rule.tags));
        set("rule.author", json!(rule.authors));
        set("rule.license", json!(rule.license));
        set("rule.references", json!(rule.references));
        set("rule.false_positives", json!(rule.false_positives));
        set("rule.interval", json!(rule.schedule.interval));
        set("rule.from", json!(rule.schedule.from));
        set("rule.to", json!(rule.schedule.to));
        set("rule.version", json!(rule.version));
        set("rule.max_signals", json!(rule.max_signals));
        set("rule.timestamp_override", json!(rule.timestamp_override));
        set("rule.note", json!(rule.note));
        set("rule.threat", threat_as_written(&rule.threat));
        let mut parameters = json!({
            "severity": rule.severity.word(),
            "risk_score": rule.risk_score,
            "index": rule.index,
            "query": rule.query,
            "language": rule.language,
        });
        if let Value::Object(parameters) = &mut parameters {
            windows::parameters(&rule.condition, parameters);
            parameters.extend(rule.tuning.carried.clone());
            insert(parameters, "exceptions_list", &rule.tuning.exception_lists);
            insert(parameters, "setup", &rule.setup);
            let fields = &rule.investigation_fields;
            if !fields.is_empty() {
                insert(parameters, "investigation_fields", json!({"field_names": fields}));
            }
        }
        set("rule.parameters", parameters);
        if let Some(window) = &self.found.window {
            let (key, value) = windows::kibana(rule.plan.as_ref(), self.found, window);
            set(key, value);
        }
        if let Some((id, title)) = &rule.timeline {
            set("rule.timeline_id", json!(id));
            set("rule.timeline_title", json!(title));
        }
    }

    fn own(&self) -> Map<String, Value> {
        let (rule, alert) = (self.rule, self.alert);
        let mut own = Map::new();
        insert(&mut own, "id", &alert.id);
        insert(&mut own, "reason", &alert.reason);
        insert(&mut own, "join_keys", self.join_keys());
        insert(&mut own, "steps", self.step_objects());
        insert(&mut own, "first", alert.first.map(|time| time.to_string()));
        insert(&mut own, "last", alert.last.map(|time| time.to_string()));
        if let Some(window) = &self.found.window {
            insert(&mut own, "window", windows::own(rule.plan.as_ref(), window));
        }
        insert(&mut own, "run", self.run());
        insert(
            &mut own,
            "rule",
            json!({"file": rule.origin.path.display().to_string(), "line": rule.origin.line}),
        );
        insert(&mut own, "overlays", &rule.tuning.overlays);
        insert(&mut own, "investigation", self.investigation());
        insert(&mut own, "false_positives", &rule.false_positives);
        insert(&mut own, "note", &rule.note);
        insert(&mut own, "setup", &rule.setup);
        own
    }

    /// The run of the rule that the alert belongs to: intervals are aligned on the epoch, and each run looks back
    /// from its end.
    fn run(&self) -> Value {
        let schedule = &self.rule.schedule;
        let second = 1_000_000_000;
        let mut run = json!({
            "interval": schedule.interval,
            "from": schedule.from,
            "to": schedule.to,
            "lookback_seconds": schedule.lookback_nanos / second,
            "lateness_seconds": schedule.lateness_nanos() / second,
        });
        if let (Some(time), Value::Object(map)) = (self.alert.run_time, &mut run) {
            let start = grouping::window_start(time, schedule.interval_nanos);
            let end = start + i128::from(schedule.interval_nanos);
            insert(
                map,
                "evaluated_from",
                Instant::from_nanos(end - i128::from(schedule.lookback_nanos)).to_string(),
            );
            insert(map, "evaluated_to", Instant::from_nanos(end).to_string());
        }
        run
    }

    fn join_keys(&self) -> Vec<Value> {
        let stages = self.stages();
        let grouping = windows::keys(self.rule.plan.as_ref());
        (0..self.found.keys.len())
            .map(|position| {
                let mut names: Vec<&str> = Vec::new();
                let of_steps = stages.iter().filter_map(|stage| stage.keys.get(position));
                let of_steps = of_steps.map(|key| &*key.name);
                for name in of_steps.chain(grouping.get(position).copied()) {
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
                let value = self
                    .found
                    .keys
                    .get(position)
                    .and_then(Option::as_ref)
                    .map(why::json_value);
                json!({"fields": names, "value": value})
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
    fn step_objects(&self) -> Vec<Value> {
        let stages = self.stages();
        // Of a correlation a step goes by the name of its rule.
        let correlated = match self.rule.plan.as_ref().map(|plan| &plan.query) {
            Some(Query::Correlation(correlation)) => correlation.named_events(),
            _ => Vec::new(),
        };
        let mut objects: Vec<(u16, Map<String, Value>, Vec<Value>)> = Vec::new();
        for step in self.steps {
            if objects.last().is_none_or(|(stage, ..)| *stage != step.stage) {
                let mut object = Map::new();
                insert(&mut object, "step", u32::from(step.stage) + 1);
                let place = usize::from(step.stage);
                let span = stages.get(place).map(|stage| stage.span);
                let text = match (correlated.get(place), span) {
                    (Some((name, _)), _) => name,
                    (None, Some(span)) => span.text(&self.rule.query),
                    (None, None) => self.rule.query.as_str(),
                };
                insert(&mut object, "query", why::shown(self.rule, text));
                objects.push((step.stage, object, Vec::new()));
            }
            let Some((_, object, events)) = objects.last_mut() else {
                continue;
            };
            match &step.document {
                Some(document) => events.push(step.event_object(document)),
                None => insert(object, "missing", true),
            }
        }
        let finish = |(_, mut object, events): (u16, Map<String, Value>, Vec<Value>)| {
            insert(&mut object, "events", events);
            Value::Object(object)
        };
        objects.into_iter().map(finish).collect()
    }

    /// The fields that the rule's author wants looked at first, with all their values.
    fn investigation(&self) -> Value {
        let mut out = Map::new();
        for field in &self.rule.investigation_fields {
            let mut values: Vec<Value> = Vec::new();
            for document in self.steps.iter().filter_map(|step| step.document.as_ref()) {
                fields::for_each(document, field, &mut |value| {
                    if !values.contains(value) {
                        values.push(value.clone());
                    }
                });
            }
            insert(&mut out, field, values);
        }
        Value::Object(out)
    }
}

impl StepOf {
    fn event_object(&self, document: &Value) -> Value {
        let mut object = Map::new();
        if let Some(event) = &self.event {
            insert(&mut object, "id", event.id().as_str());
            insert(
                &mut object,
                "origin",
                json!({"source": &*event.origin().source, "line": event.origin().line}),
            );
        }
        insert(&mut object, "time", self.time.map(|time| time.to_string()));
        let mut matched: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (field, value) in &self.matched {
            matched.entry(field).or_default().push(value);
        }
        insert(&mut object, "matched_fields", json!(matched));
        insert(&mut object, "why", self.why.clone());
        insert(&mut object, "document", document.clone());
        Value::Object(object)
    }
}

/// Puts what the events share beside what the alert says of itself; the alert's own word counts.
fn merge_lifted(document: &mut Map<String, Value>, lifted: Map<String, Value>) {
    for (key, value) in lifted {
        match (key.as_str(), value) {
            ("event", Value::Object(event)) => {
                if let Some(Value::Object(own)) = document.get_mut("event") {
                    for (key, value) in event {
                        if EVENT_KEYS_LIFTED.contains(&key.as_str()) {
                            own.insert(key, value);
                        }
                    }
                }
            }
            (dotted, value) if dotted.starts_with("event.") => {
                if EVENT_KEYS_LIFTED.contains(&dotted.trim_start_matches("event.")) {
                    document.insert(key, value);
                }
            }
            // What a source says of rules and threats stays with its event; here they are the alert's.
            (own, _)
                if own.starts_with("rule.") || own.starts_with("threat.") || own.starts_with("kibana.") => {}
            (_, value) => {
                if !document.contains_key(&key) {
                    document.insert(key, value);
                }
            }
        }
    }
}

/// `{"id": […], "name": […], "reference": […]}`, each item once.
fn item_lists<'i>(items: impl Iterator<Item = &'i ThreatItem>) -> Map<String, Value> {
    let mut seen: Vec<&ThreatItem> = Vec::new();
    for item in items {
        if !seen.iter().any(|earlier| earlier.id == item.id) {
            seen.push(item);
        }
    }
    let mut out = Map::new();
    let list =
        |part: fn(&ThreatItem) -> &String| seen.iter().map(|item| part(item).clone()).collect::<Vec<_>>();
    insert(&mut out, "id", list(|item| &item.id));
    insert(&mut out, "name", list(|item| &item.name));
    insert(&mut out, "reference", list(|item| &item.reference));
    out
}

/// The mapping in the nested form of Kibana's `kibana.alert.rule.threat`.
pub(crate) fn threat_as_written(threats: &[Threat]) -> Value {
    let item = |item: &ThreatItem| json!({"id": item.id, "name": item.name, "reference": item.reference});
    let with = |base: Value, key: &str, list: Vec<Value>| match base {
        Value::Object(mut map) => {
            insert(&mut map, key, list);
            Value::Object(map)
        }
        other => other,
    };
    let threats = threats.iter().map(|threat| {
        let techniques = threat.techniques.iter().map(|technique| {
            with(
                item(&technique.technique),
                "subtechnique",
                technique.subtechniques.iter().map(item).collect(),
            )
        });
        with(
            json!({"framework": threat.framework, "tactic": item(&threat.tactic)}),
            "technique",
            techniques.collect(),
        )
    });
    Value::Array(threats.collect())
}

/// Sets a key, unless the value says nothing.
fn insert(map: &mut Map<String, Value>, key: &str, value: impl serde::Serialize) {
    let value = serde_json::to_value(value).unwrap_or(Value::Null);
    if !is_blank(&value) {
        map.insert(key.to_owned(), value);
    }
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}
