//! Differences as alerts: the ECS documents that rules make too.

use jiff::Timestamp;
use neph_attack::{attack, threat};
use serde_json::{Map, Value, json};

use crate::acts::Act;
use crate::approvals::Standing;
use crate::compare::{Class, Difference};
use crate::record::What;
use crate::weigh::{Meaning, Severity};

/// An alert of a difference that nobody approved.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// The id of the difference: found again it makes no second alert.
    pub id: String,
    /// What kind of alert.
    pub meaning: &'static Meaning,
    /// How bad it is.
    pub severity: Severity,
    /// The reason in one sentence.
    pub reason: String,
    /// When it was done, where an audit event tells, and else when it was found.
    pub at: Timestamp,
    /// Ids of the audit events.
    pub events: Vec<String>,
    /// The ECS document.
    pub document: Map<String, Value>,
}

/// The alert of a difference that was found at a time.
pub fn alert(difference: &Difference, acts: &[Act], standing: &Standing, found: Timestamp) -> Alert {
    let meaning = difference.meaning();
    let severity = difference.severity();
    let reason = reason(difference, acts, standing);
    let at = acts.first().and_then(|act| act.at).unwrap_or(found);
    let events: Vec<String> = acts.iter().filter_map(|act| act.event.clone()).collect();
    let mut alert = Alert {
        id: difference.id.clone(),
        meaning,
        severity,
        reason,
        at,
        events,
        document: Map::new(),
    };
    alert.document = document(&alert, difference, acts, standing, found);
    alert
}

fn reason(difference: &Difference, acts: &[Act], standing: &Standing) -> String {
    let record = &difference.record;
    let noun = record.kind.noun();
    let title = record.title();
    let mut text = match difference.class {
        Class::New => format!("new {noun} {title}"),
        Class::Gone => format!("{noun} {title} is gone"),
        Class::Changed => format!("{noun} {title} changed"),
        Class::CopiedOut => format!("{noun} {title} copied out"),
        Class::NotGolden => format!("{noun} {title} is not golden"),
        Class::GoldenAltered => format!("{noun} {title} goes by the name of a golden image and is another"),
    };
    let scope: Vec<&str> = [&record.account, &record.region]
        .into_iter()
        .flatten()
        .map(AsRef::as_ref)
        .collect();
    if !scope.is_empty() {
        text.push_str(&format!(" in {}", scope.join("/")));
    }
    if let Some(source) = record.source.as_ref().filter(|_| difference.class == Class::New) {
        text.push_str(&format!(", made of {source}"));
    }
    let changes = difference.changes.iter().map(|change| {
        let name = change.field.name();
        match (&change.before, &change.after) {
            (Some(before), Some(after)) => format!("{name} {before} → {after}"),
            (None, Some(after)) => format!("{name} + {after}"),
            (Some(before), None) => format!("{name} − {before}"),
            (None, None) => name.to_owned(),
        }
    });
    let changes: Vec<String> = changes.chain(difference.why.clone()).collect();
    if !changes.is_empty() {
        text.push_str(&format!(": {}", changes.join("; ")));
    }
    if let Some(act) = acts.first() {
        let who = act
            .who
            .as_deref()
            .or(act.identity.as_deref())
            .unwrap_or("somebody");
        text.push_str(&format!("; {} by {who}", act.action.as_deref().unwrap_or("done")));
        if let Some(from) = &act.from {
            text.push_str(&format!(" from {from}"));
        }
        if let Some(at) = act.at {
            text.push_str(&format!(" at {at}"));
        }
    }
    if let Standing::Expired(sign) = standing {
        text.push_str(&format!(
            "; its approval by {} counted until {}",
            sign.owner, sign.expires
        ));
    }
    let mut characters = text.chars();
    characters.next().map_or(String::new(), |first| {
        first.to_uppercase().chain(characters).collect()
    })
}

fn document(
    alert: &Alert,
    difference: &Difference,
    acts: &[Act],
    standing: &Standing,
    found: Timestamp,
) -> Map<String, Value> {
    let meaning = alert.meaning;
    let record = &difference.record;
    let (word, score) = (alert.severity.word(), alert.severity.score());
    let at = alert.at.to_string();
    let category = match record.kind.what() {
        What::Snapshot => "snapshot",
        What::Image => "image",
    };
    let kind_of_event = match difference.class {
        Class::Gone => "deletion",
        Class::Changed => "change",
        Class::New | Class::NotGolden => "creation",
        Class::CopiedOut | Class::GoldenAltered => "change",
    };
    let tags = tags(difference);
    let rule = json!({
        "id": meaning.id, "uuid": meaning.id, "name": meaning.name, "description": meaning.description, "version": "1",
        "category": "Baseline", "ruleset": "baseline",
    });
    let mut out = Map::new();
    let mut set = |key: &str, value: Value| {
        let blank = value.is_null()
            || value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(Map::is_empty);
        if !blank {
            out.insert(key.to_owned(), value);
        }
    };
    set("@timestamp", json!(at));
    set("message", json!(alert.reason));
    set(
        "event",
        json!({
            "kind": "alert", "id": alert.id, "severity": score, "risk_score": score, "start": at, "end": at, "reason": alert.reason,
            "category": ["configuration"], "type": [kind_of_event], "action": format!("{category}-{}", difference.class.name()),
            "module": "neph", "dataset": "neph.baseline",
        }),
    );
    set("rule", rule);
    set("threat", threat(meaning.techniques));
    set("tags", json!(tags));
    set("kibana.alert.uuid", json!(alert.id));
    set("kibana.alert.status", json!("active"));
    set("kibana.alert.workflow_status", json!("open"));
    set("kibana.alert.depth", json!(1));
    set("kibana.alert.reason", json!(alert.reason));
    set("kibana.alert.severity", json!(word));
    set("kibana.alert.risk_score", json!(score));
    set("kibana.alert.original_time", json!(at));
    let ancestors = alert
        .events
        .iter()
        .map(|id| json!({"id": id, "type": "event", "depth": 0}));
    set("kibana.alert.ancestors", ancestors.collect());
    for (key, value) in [
        ("name", meaning.name),
        ("rule_id", meaning.id),
        ("uuid", meaning.id),
        ("category", "Baseline"),
        ("note", meaning.note),
    ] {
        set(&format!("kibana.alert.rule.{key}"), json!(value));
    }
    set("kibana.alert.rule.tags", json!(tags));
    set("kibana.alert.rule.false_positives", json!([meaning.benign]));
    let mut cloud = Map::new();
    cloud.insert("provider".into(), record.kind.cloud().name().into());
    if let Some(account) = &record.account {
        let key = if record.kind.cloud() == neph_inventory::Cloud::Gcp {
            "project"
        } else {
            "account"
        };
        cloud.insert(key.into(), json!({"id": account}));
    }
    if let Some(region) = &record.region {
        cloud.insert("region".into(), json!(region));
    }
    set("cloud", cloud.into());
    set(
        "resource",
        json!({"id": record.id, "name": record.name, "type": record.kind.name()}),
    );
    if let Some(act) = acts.first() {
        set("user", without_nulls(json!({"name": act.who})));
        set(
            "source",
            without_nulls(
                json!({"ip": act.from.as_deref().filter(|from| is_address(from)), "address": act.from}),
            ),
        );
        set("user_agent", without_nulls(json!({"original": act.agent})));
    }
    let each = |part: fn(&Act) -> &Option<String>| -> Vec<&str> {
        let mut all: Vec<&str> = acts.iter().filter_map(|act| part(act).as_deref()).collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    let addresses: Vec<&str> = each(|act| &act.from)
        .into_iter()
        .filter(|from| is_address(from))
        .collect();
    let mut related = Map::new();
    for (key, values) in [("user", each(|act| &act.who)), ("ip", addresses)] {
        if !values.is_empty() {
            related.insert(key.into(), json!(values));
        }
    }
    set("related", related.into());
    let own = json!({
        "id": alert.id, "reason": alert.reason, "first": at, "last": at, "false_positives": [meaning.benign], "note": meaning.note,
    });
    let baseline = json!({
        "class": difference.class.name(), "record": record, "changes": difference.changes, "reach": difference.reach,
        "why": difference.why, "part_of": difference.part_of, "standing": standing, "acts": acts, "found": found, "component": meaning.component,
    });
    set("neph", json!({"alert": own, "baseline": without_nulls(baseline)}));
    out
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => map.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        other => other,
    }
}

fn is_address(text: &str) -> bool {
    text.parse::<std::net::IpAddr>().is_ok()
}

fn tags(difference: &Difference) -> Vec<String> {
    let cloud = match difference.record.kind.cloud() {
        neph_inventory::Cloud::Aws => "AWS",
        neph_inventory::Cloud::Azure => "Azure",
        neph_inventory::Cloud::Gcp => "GCP",
        _ => "OpenStack",
    };
    let source = match difference.record.kind.what() {
        What::Snapshot => "Data Source: Snapshot (DS0020)",
        What::Image => "Data Source: Image (DS0007)",
    };
    let mut tags = vec![
        "Domain: Cloud".to_owned(),
        format!("Data Source: {cloud}"),
        source.to_owned(),
    ];
    for technique in difference.meaning().techniques {
        let tactics = attack().technique(technique).map(|technique| &technique.tactics);
        for short in tactics.into_iter().flatten() {
            let tactic = attack()
                .tactics()
                .iter()
                .find(|tactic| tactic.short_name == *short);
            tags.extend(tactic.map(|tactic| format!("Tactic: {}", tactic.name)));
        }
    }
    tags.sort();
    tags.dedup();
    tags
}
