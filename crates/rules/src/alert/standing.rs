//! What all alerts of a rule say alike, made once for each rule that matches.

use serde_json::{Map, Value, json};

use super::fields::{insert, object};
use super::written::Written;
use super::{why, windows};
use crate::rule::{Rule, Threat, ThreatItem};

/// What depends on the rule alone, as JSON.
#[derive(Debug)]
pub(super) struct Standing {
    /// `rule`, with the rule's own name.
    pub(super) rule: Vec<u8>,
    /// The entries of `threat`, without enrichments.
    pub(super) threat: Vec<u8>,
    /// `tags` and its key, if there are any.
    pub(super) tags: Vec<u8>,
    /// `kibana.alert.building_block_type`, if there is one.
    pub(super) building_block: Vec<u8>,
    /// The entries `kibana.alert.rule.*` behind the name; without those that say nothing.
    pub(super) kibana: Vec<u8>,
    /// The same of the timeline template.
    pub(super) timeline: Vec<u8>,
    /// The entries of `neph.alert.run`, without its times.
    pub(super) run: Vec<u8>,
    /// Entries of `neph.alert` before what the events say first…
    pub(super) own: Vec<u8>,
    /// … and behind it.
    pub(super) guide: Vec<u8>,
    /// The query on one line.
    pub(super) query: Vec<u8>,
}

impl Standing {
    pub(super) fn new(rule: &Rule) -> Self {
        let origin = json!({"file": rule.origin.path.display().to_string(), "line": rule.origin.line});
        let timeline = rule.timeline.as_ref().map(|(id, title)| {
            [
                ("kibana.alert.rule.timeline_id", id.as_str().into()),
                ("kibana.alert.rule.timeline_title", title.as_str().into()),
            ]
        });
        let mut query = Written::default();
        query.value(&why::shown(rule, &rule.query));
        let mut run = Written::default();
        for (key, value) in self::run(rule) {
            run.key(key);
            run.value(&value);
        }
        Self {
            rule: rule_object(rule, &rule.name),
            threat: entries(threat(rule).unwrap_or_default()),
            tags: entries([("tags", rule.tags.as_slice().into())]),
            building_block: entries([(
                "kibana.alert.building_block_type",
                rule.building_block.as_deref().into(),
            )]),
            kibana: entries(kibana(rule)),
            timeline: entries(timeline.into_iter().flatten()),
            run: run.into_bytes(),
            own: entries([
                ("rule", origin),
                ("overlays", rule.tuning.overlays.as_slice().into()),
            ]),
            guide: entries([
                ("false_positives", rule.false_positives.as_slice().into()),
                ("note", rule.note.as_deref().into()),
                ("setup", rule.setup.as_deref().into()),
            ]),
            query: query.into_bytes(),
        }
    }
}

/// Entries of an object, without those that say nothing.
fn entries<K: AsRef<str>>(entries: impl IntoIterator<Item = (K, Value)>) -> Vec<u8> {
    let mut out = Written::default();
    for (key, value) in entries {
        out.insert(key.as_ref(), value);
    }
    out.into_bytes()
}

/// `rule`, where the alert goes by this name.
pub(super) fn rule_object(rule: &Rule, name: &str) -> Vec<u8> {
    let mut object = Map::new();
    insert(&mut object, "id", rule.id.as_str());
    insert(&mut object, "uuid", rule.id.as_str());
    insert(&mut object, "name", name);
    insert(&mut object, "description", rule.description.as_str());
    insert(
        &mut object,
        "version",
        rule.version.map(|version| version.to_string()),
    );
    insert(&mut object, "author", rule.authors.as_slice());
    insert(&mut object, "license", rule.license.as_deref());
    insert(&mut object, "reference", rule.references.as_slice());
    insert(&mut object, "category", rule.kind.category());
    insert(&mut object, "ruleset", rule.origin.ruleset.as_str());
    let mut out = Written::default();
    out.value(&object);
    out.into_bytes()
}

/// `threat.*` holds one framework; tactics, techniques and sub-techniques of all entries are lists beside each other.
fn threat(rule: &Rule) -> Option<Map<String, Value>> {
    let threats = &rule.threat;
    let framework = &threats.first()?.framework;
    let of_framework = || threats.iter().filter(|threat| threat.framework == *framework);
    let techniques = || of_framework().flat_map(|threat| &threat.techniques);
    let mut technique = item_lists(techniques().map(|technique| &technique.technique));
    let subtechnique = item_lists(techniques().flat_map(|technique| &technique.subtechniques));
    insert(&mut technique, "subtechnique", subtechnique);
    let mut threat = Map::new();
    insert(&mut threat, "framework", framework.as_str());
    insert(
        &mut threat,
        "tactic",
        item_lists(of_framework().map(|threat| &threat.tactic)),
    );
    insert(&mut threat, "technique", technique);
    Some(threat)
}

fn kibana(rule: &Rule) -> impl Iterator<Item = (String, Value)> {
    let mut parameters = Map::new();
    parameters.insert("severity".into(), rule.severity.word().into());
    parameters.insert("risk_score".into(), rule.risk_score.into());
    parameters.insert("index".into(), rule.index.as_slice().into());
    parameters.insert("query".into(), (*rule.query).into());
    parameters.insert("language".into(), rule.language.as_str().into());
    windows::parameters(&rule.condition, &mut parameters);
    parameters.extend(rule.tuning.carried.clone());
    insert(
        &mut parameters,
        "exceptions_list",
        json!(rule.tuning.exception_lists),
    );
    insert(&mut parameters, "setup", rule.setup.as_deref());
    let fields = &rule.investigation_fields;
    if !fields.is_empty() {
        insert(
            &mut parameters,
            "investigation_fields",
            json!({"field_names": fields}),
        );
    }
    let told = [
        ("rule.rule_id", rule.id.as_str().into()),
        ("rule.uuid", rule.id.as_str().into()),
        ("rule.category", rule.kind.category().into()),
        ("rule.rule_type_id", rule.kind.type_id().into()),
        ("rule.type", rule.kind.word().into()),
        ("rule.tags", rule.tags.as_slice().into()),
        ("rule.author", rule.authors.as_slice().into()),
        ("rule.license", rule.license.as_deref().into()),
        ("rule.references", rule.references.as_slice().into()),
        ("rule.false_positives", rule.false_positives.as_slice().into()),
        ("rule.interval", rule.schedule.interval.as_str().into()),
        ("rule.from", rule.schedule.from.as_str().into()),
        ("rule.to", rule.schedule.to.as_str().into()),
        ("rule.version", rule.version.into()),
        ("rule.max_signals", rule.max_signals.into()),
        (
            "rule.timestamp_override",
            rule.timestamp_override.as_deref().into(),
        ),
        ("rule.note", rule.note.as_deref().into()),
        ("rule.threat", threat_as_written(&rule.threat)),
        ("rule.parameters", parameters.into()),
    ];
    told.into_iter()
        .map(|(key, value)| (format!("kibana.alert.{key}"), value))
}

fn run(rule: &Rule) -> [(&'static str, Value); 5] {
    let schedule = &rule.schedule;
    let second = 1_000_000_000;
    [
        ("interval", schedule.interval.as_str().into()),
        ("from", schedule.from.as_str().into()),
        ("to", schedule.to.as_str().into()),
        ("lookback_seconds", (schedule.lookback_nanos / second).into()),
        ("lateness_seconds", (schedule.lateness_nanos() / second).into()),
    ]
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
        |part: fn(&ThreatItem) -> &String| -> Value { seen.iter().map(|item| part(item).as_str()).collect() };
    insert(&mut out, "id", list(|item| &item.id));
    insert(&mut out, "name", list(|item| &item.name));
    insert(&mut out, "reference", list(|item| &item.reference));
    out
}

/// The mapping in the nested form of Kibana's `kibana.alert.rule.threat`.
pub(crate) fn threat_as_written(threats: &[Threat]) -> Value {
    let text = |text: &String| Value::from(text.as_str());
    let item = |item: &ThreatItem| {
        object([
            ("id", text(&item.id)),
            ("name", text(&item.name)),
            ("reference", text(&item.reference)),
        ])
    };
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
            object([
                ("framework", text(&threat.framework)),
                ("tactic", item(&threat.tactic)),
            ]),
            "technique",
            techniques.collect(),
        )
    });
    threats.collect()
}
