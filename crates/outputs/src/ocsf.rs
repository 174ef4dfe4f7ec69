//! OCSF Detection Finding (class 2004) in the version 1.8 of the schema: <https://schema.ocsf.io/1.8.0/classes/detection_finding>.
//!
//! The lifecycle of an alert is the finding's activity: raised is Create, updated Update, withdrawn Close. What the events show of
//! actors, processes, addresses and resources stands in `evidences`, one for each event, and what can be searched for in
//! `observables`, which name their places. What has no attribute in the class stands in `unmapped`.

mod evidence;
mod observable;

use neph_event::Instant;
use neph_store::{AlertRecord, AlertState, DeliveryKind, Severity, Verdict};
use serde_json::{Map, Value, json};

use crate::Message;
use crate::fields::{events, find, put, steps, text, texts};
use crate::form::sentence;

/// The version of the schema.
const VERSION: &str = "1.8.0";

/// The class.
const CLASS: u64 = 2004;

/// Events of an alert that are told of as evidence.
const EVIDENCES: usize = 20;

/// Events of an alert that are named.
const EVENTS: usize = 100;

/// The finding that a message tells of.
pub(crate) fn finding(message: &Message<'_>) -> Value {
    let record = message.alert;
    let alert = &record.alert;
    let document: Value = serde_json::from_slice(&alert.document).unwrap_or_default();
    // A group has no events of its own.
    let own = if message.group.is_none() {
        &document
    } else {
        &Value::Null
    };
    let (activity, activity_name) = match message.kind {
        DeliveryKind::Raised => (1, "Create"),
        DeliveryKind::Updated => (2, "Update"),
        DeliveryKind::Retracted => (3, "Close"),
    };
    let (severity, severity_name) = match alert.severity {
        Severity::Low => (2, "Low"),
        Severity::Medium => (3, "Medium"),
        Severity::High => (4, "High"),
        Severity::Critical => (5, "Critical"),
    };
    let (status, status_name) = status(record);
    let mut out = Map::new();
    put(&mut out, "class_uid", CLASS);
    put(&mut out, "class_name", "Detection Finding");
    put(&mut out, "category_uid", 2);
    put(&mut out, "category_name", "Findings");
    put(&mut out, "activity_id", activity);
    put(&mut out, "activity_name", activity_name);
    put(&mut out, "type_uid", CLASS * 100 + activity);
    put(
        &mut out,
        "type_name",
        format!("Detection Finding: {activity_name}"),
    );
    put(&mut out, "time", millis(record.created));
    let (first, last) = match message.group {
        Some(group) => (Some(group.first), Some(group.last)),
        None => (alert.first, alert.last),
    };
    put(&mut out, "start_time", first.map(millis));
    put(&mut out, "end_time", last.map(millis));
    put(&mut out, "severity_id", severity);
    put(&mut out, "severity", severity_name);
    put(&mut out, "status_id", status);
    put(&mut out, "status", status_name);
    put(&mut out, "status_detail", record.close_reason.clone());
    put(
        &mut out,
        "is_alert",
        !message.test && message.kind != DeliveryKind::Retracted,
    );
    // How sure a rule is, rules do not say.
    put(&mut out, "confidence_id", 0);
    put(&mut out, "confidence", "Unknown");
    put(&mut out, "risk_score", alert.risk_score);
    put(&mut out, "risk_level_id", severity - 1);
    put(&mut out, "risk_level", severity_name);
    put(&mut out, "message", sentence(message));
    put(&mut out, "count", message.group.map(|group| group.count));
    put(
        &mut out,
        "finding_info",
        info(message, own, &document, first, last),
    );
    let evidences: Vec<Value> = steps(own).take(EVIDENCES).map(evidence::of).collect();
    put(&mut out, "evidences", evidences);
    put(&mut out, "resources", evidence::resources(own));
    let device = evidence::device(own);
    let cloud = evidence::cloud(own);
    let mut profiles = Vec::new();
    if !cloud.is_empty() {
        profiles.push("cloud");
    }
    if !device.is_empty() {
        profiles.push("host");
    }
    put(&mut out, "device", device);
    put(&mut out, "cloud", cloud);
    put(&mut out, "metadata", metadata(message, profiles));
    let observables = observable::of(&out);
    put(&mut out, "observables", observables);
    put(&mut out, "unmapped", unmapped(message, own, &document));
    Value::Object(out)
}

/// Milliseconds since the epoch.
fn millis(time: Instant) -> i64 {
    time.as_millis()
}

/// Where the finding stands in its life.
fn status(record: &AlertRecord) -> (u64, &'static str) {
    match (record.retracted, record.state, record.verdict) {
        // No status of the class says that what was found turned out not to have been there.
        (Some(_), ..) => (99, "Withdrawn"),
        (_, AlertState::Open, _) => (1, "New"),
        (_, AlertState::Acknowledged, _) => (2, "In Progress"),
        (_, AlertState::Closed, Some(Verdict::Benign | Verdict::FalsePositive)) => (3, "Suppressed"),
        (_, AlertState::Closed, _) => (4, "Resolved"),
    }
}

fn metadata(message: &Message<'_>, profiles: Vec<&str>) -> Map<String, Value> {
    let record = message.alert;
    let mut out = Map::new();
    put(&mut out, "version", VERSION);
    let product = json!({
        "name": "Nephoscope",
        "vendor_name": "Nephoscope",
        "version": env!("CARGO_PKG_VERSION"),
    });
    put(&mut out, "product", product);
    put(&mut out, "uid", message.key.as_str());
    put(&mut out, "event_code", record.alert.rule_id.as_str());
    put(&mut out, "profiles", profiles);
    put(&mut out, "labels", record.alert.tags.as_slice());
    put(&mut out, "logged_time", millis(record.created));
    put(&mut out, "modified_time", millis(record.updated));
    out
}

fn info(
    message: &Message<'_>,
    own: &Value,
    document: &Value,
    first: Option<Instant>,
    last: Option<Instant>,
) -> Map<String, Value> {
    let record = message.alert;
    let alert = &record.alert;
    let mut out = Map::new();
    let uid = if message.group.is_some() {
        &message.key
    } else {
        &alert.id
    };
    put(&mut out, "uid", uid.as_str());
    put(&mut out, "title", alert.rule_name.as_str());
    put(&mut out, "desc", text(document, "rule.description"));
    put(&mut out, "types", texts(document, "rule.category"));
    let mut analytic = Map::new();
    put(&mut analytic, "uid", alert.rule_id.as_str());
    put(&mut analytic, "name", alert.rule_name.as_str());
    put(&mut analytic, "type_id", 1);
    put(&mut analytic, "type", "Rule");
    put(&mut analytic, "category", text(document, "rule.category"));
    put(&mut analytic, "version", alert.rule_version.as_str());
    put(&mut out, "analytic", analytic);
    put(&mut out, "attacks", attacks(document));
    put(&mut out, "first_seen_time", first.map(millis));
    put(&mut out, "last_seen_time", last.map(millis));
    put(&mut out, "created_time", millis(record.created));
    put(&mut out, "modified_time", millis(record.updated));
    let mut sources = texts(own, "event.dataset");
    for source in events(own).flat_map(|event| texts(event, "event.dataset")) {
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    put(&mut out, "data_sources", sources);
    put(&mut out, "src_url", message.link.clone());
    let named: Vec<String> = steps(own).filter_map(|event| text(event, "id")).collect();
    let related = named.iter().take(EVENTS).map(|id| json!({"uid": id}));
    put(&mut out, "related_events", related.collect::<Vec<_>>());
    if !named.is_empty() {
        put(&mut out, "related_events_count", named.len());
    }
    out
}

/// One attack for each tactic with a technique or subtechnique.
fn attacks(document: &Value) -> Vec<Value> {
    let list = |value: &Value, key: &str| -> Vec<Value> {
        match value.get(key) {
            Some(Value::Array(values)) => values.clone(),
            _ => Vec::new(),
        }
    };
    let item = |value: &Value| {
        let mut out = Map::new();
        put(&mut out, "uid", value.get("id").cloned().unwrap_or_default());
        put(&mut out, "name", value.get("name").cloned().unwrap_or_default());
        put(
            &mut out,
            "src_url",
            value.get("reference").cloned().unwrap_or_default(),
        );
        out
    };
    let mut out = Vec::new();
    let threats = find(document, "kibana.alert.rule.threat").and_then(Value::as_array);
    for threat in threats.into_iter().flatten() {
        let is_attack = threat.get("framework").and_then(Value::as_str) == Some("MITRE ATT&CK");
        let tactic = threat.get("tactic").map(item).filter(|tactic| !tactic.is_empty());
        let (Some(tactic), true) = (tactic, is_attack) else {
            continue;
        };
        let mut add = |technique: Option<&Value>, subtechnique: Option<&Value>| {
            let mut attack = Map::new();
            put(&mut attack, "tactic", tactic.clone());
            put(&mut attack, "technique", technique.map(item).unwrap_or_default());
            put(
                &mut attack,
                "sub_technique",
                subtechnique.map(item).unwrap_or_default(),
            );
            out.push(Value::Object(attack));
        };
        let techniques = list(threat, "technique");
        if techniques.is_empty() {
            add(None, None);
        }
        for technique in &techniques {
            let subtechniques = list(technique, "subtechnique");
            if subtechniques.is_empty() {
                add(Some(technique), None);
            }
            for subtechnique in &subtechniques {
                add(Some(technique), Some(subtechnique));
            }
        }
    }
    out
}

/// What has no attribute in the class.
fn unmapped(message: &Message<'_>, own: &Value, document: &Value) -> Map<String, Value> {
    let mut out = Map::new();
    put(&mut out, "delivery", message.kind.word());
    if message.test {
        put(&mut out, "test", true);
    }
    for (key, path) in [
        ("references", "rule.reference"),
        ("authors", "rule.author"),
        ("license", "rule.license"),
        ("ruleset", "rule.ruleset"),
        ("false_positives", "neph.alert.false_positives"),
        ("note", "neph.alert.note"),
    ] {
        put(&mut out, key, find(document, path).cloned().unwrap_or_default());
    }
    for (key, path) in [
        ("join_keys", "neph.alert.join_keys"),
        ("window", "neph.alert.window"),
        ("suppression", "neph.alert.suppression"),
        ("investigation", "neph.alert.investigation"),
        ("threat_enrichments", "threat.enrichments"),
    ] {
        put(&mut out, key, find(own, path).cloned().unwrap_or_default());
    }
    if let Some(group) = message.group {
        let values = group.values.iter().map(|(field, values)| {
            let counted = |(value, count): &(String, u64)| json!({"value": value, "alerts": count});
            (field.clone(), values.iter().map(counted).collect::<Value>())
        });
        let group = json!({
            "alerts": group.count,
            "updated": group.updated,
            "withdrawn": group.retracted,
            "ids": group.ids,
            "values": values.collect::<Map<_, _>>(),
        });
        put(&mut out, "group", group);
    }
    let record = message.alert;
    put(&mut out, "assignee", record.assignee.clone());
    put(&mut out, "analyst_labels", record.labels.as_slice());
    out
}
