//! What an alert looks like to receivers: its ECS document with what became of it, or an OCSF finding.
//!
//! The ECS document is the alert's own (`kibana.alert.*`, `rule.*`, `threat.*`, `neph.alert.*`) with its state as it is now, and with
//! `neph.delivery`: why it is told, the key by which repeats are known, the link.

use neph_store::{AlertRecord, AlertState, DeliveryKind, Severity, Verdict};
use serde_json::{Map, Value, json};

use crate::fields::{find, nested, put};
use crate::text::{ascii_json, shortened};
use crate::{Group, Message, ocsf};

/// How alerts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The Elastic Common Schema.
    Ecs,
    /// OCSF Detection Finding.
    Ocsf,
}

impl Form {
    /// The form of a word of the configuration.
    pub fn of(word: &str) -> Self {
        match word {
            "ocsf" => Self::Ocsf,
            _ => Self::Ecs,
        }
    }

    /// The document of a message.
    pub fn document(self, message: &Message<'_>) -> Value {
        match self {
            Self::Ecs => ecs(message),
            Self::Ocsf => ocsf::finding(message),
        }
    }

    /// The document as JSON in ASCII, of so many bytes at most: what is bulky is left out step by step, and what stays is whole
    /// JSON. A document that was shortened says so.
    pub(crate) fn within(self, message: &Message<'_>, most: usize) -> String {
        let mut document = self.document(message);
        let mut text = ascii_json(&document);
        let (bulky, mark): (&[&[&str]], &[&str]) = match self {
            Self::Ecs => (&ECS_BULKY, &["neph", "delivery"]),
            Self::Ocsf => (&OCSF_BULKY, &["metadata"]),
        };
        for paths in bulky {
            if text.len() <= most {
                return text;
            }
            for path in *paths {
                remove(&mut document, path);
            }
            let marked = mark
                .iter()
                .try_fold(&mut document, |inner, key| inner.get_mut(key));
            if let Some(Value::Object(marked)) = marked {
                let key = if self == Self::Ocsf {
                    "is_truncated"
                } else {
                    "shortened"
                };
                marked.insert(key.to_owned(), true.into());
            }
            text = ascii_json(&document);
        }
        for characters in [most / 16, 64, 16, 8] {
            if text.len() <= most {
                break;
            }
            text = ascii_json(&shortened_texts(&self.essential(&document), characters));
        }
        text
    }

    /// What no document does without.
    fn essential(self, document: &Value) -> Value {
        let paths: &[&str] = match self {
            Self::Ecs => &[
                "@timestamp",
                "message",
                "event.kind",
                "event.id",
                "rule.id",
                "rule.name",
                "neph.delivery.kind",
                "neph.delivery.key",
                "neph.delivery.shortened",
            ],
            Self::Ocsf => &[
                "class_uid",
                "category_uid",
                "activity_id",
                "type_uid",
                "severity_id",
                "time",
                "message",
                "finding_info.uid",
                "finding_info.title",
                "metadata.version",
                "metadata.uid",
                "metadata.product.name",
                "metadata.product.vendor_name",
                "metadata.is_truncated",
            ],
        };
        let found = paths
            .iter()
            .filter_map(|path| Some(((*path).to_owned(), find(document, path)?.clone())));
        nested(&Value::Object(found.collect()))
    }
}

/// What is left out of an ECS document first, next, and so on.
const ECS_BULKY: [&[&str]; 4] = [
    &[
        "neph.alert.steps.events.document",
        "neph.alert.note",
        "neph.alert.setup",
        "kibana.alert.rule.note",
        "kibana.alert.rule.parameters",
        "kibana.alert.ancestors",
    ],
    &[
        "neph.alert.steps.events.why",
        "kibana.alert.rule.threat",
        "kibana.alert.rule.tags",
        "neph.group.ids",
        "process",
        "rule.description",
        "powershell",
        "kubernetes",
        "aws",
        "azure",
        "gcp",
        "winlog",
        "auditd",
        "docker",
    ],
    &[
        "neph.alert",
        "kibana.alert.rule.references",
        "kibana.alert.rule.false_positives",
        "rule.reference",
    ],
    &[
        "*@timestamp message event rule threat kibana.alert.severity kibana.alert.risk_score kibana.alert.url neph host user source cloud",
    ],
];

/// The same of a finding.
const OCSF_BULKY: [&[&str]; 3] = [
    &["unmapped", "evidences.data"],
    &["evidences", "finding_info.related_events", "finding_info.desc"],
    &["observables", "resources", "finding_info.analytic.desc"],
];

/// Removes what stands at a path, in all elements of lists on the way. A path with a star names what stays of the whole.
fn remove(document: &mut Value, path: &str) {
    if let Some(kept) = path.strip_prefix('*') {
        if let Value::Object(object) = document {
            object.retain(|key, _| kept.split(' ').any(|name| name == key));
        }
        return;
    }
    match document {
        Value::Object(object) => {
            object.shift_remove(path);
            for (at, _) in path.match_indices('.') {
                if let (Some(head), Some(tail)) = (path.get(..at), path.get(at + 1..))
                    && let Some(inner) = object.get_mut(head)
                {
                    remove(inner, tail);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| remove(value, path)),
        _ => {}
    }
}

/// The value with texts of at most so many characters, and lists of at most eight values.
fn shortened_texts(value: &Value, most: usize) -> Value {
    match value {
        Value::String(text) => shortened(text, most.max(8)).into(),
        Value::Array(values) => values
            .iter()
            .take(8)
            .map(|value| shortened_texts(value, most))
            .collect(),
        Value::Object(object) => {
            let entries = object
                .iter()
                .map(|(key, value)| (key.clone(), shortened_texts(value, most)));
            Value::Object(entries.collect())
        }
        other => other.clone(),
    }
}

/// The word for a severity.
pub(crate) fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

/// The sentence of a message.
pub(crate) fn sentence(message: &Message<'_>) -> String {
    let alert = &message.alert.alert;
    let text = match message.group {
        None => alert.reason.clone(),
        Some(group) => format!("{} more alerts of the rule `{}`", group.count, alert.rule_name),
    };
    match message.test {
        true => format!("TEST, no alert: {text}"),
        false => text,
    }
}

fn ecs(message: &Message<'_>) -> Value {
    let record = message.alert;
    let mut document = match serde_json::from_slice(&record.alert.document) {
        Ok(Value::Object(document)) => document,
        _ => Map::new(),
    };
    if let Some(group) = message.group {
        document = of_group(&document, message, group);
    }
    put(&mut document, "message", sentence(message));
    put(&mut document, "kibana.alert.reason", sentence(message));
    if message.group.is_none() {
        state(record, &mut document);
    }
    put(&mut document, "kibana.alert.url", message.link.clone());
    let mut delivery = Map::new();
    put(&mut delivery, "kind", message.kind.word());
    put(&mut delivery, "key", message.key.as_str());
    put(&mut delivery, "sent", message.sent.to_string());
    put(&mut delivery, "link", message.link.clone());
    if message.group.is_none() && record.alert.count > 1 {
        delivery.insert("count".to_owned(), record.alert.count.into());
    }
    if message.test {
        delivery.insert("test".to_owned(), true.into());
    }
    let own = document.entry("neph").or_insert_with(|| json!({}));
    if let Value::Object(own) = own {
        own.insert("delivery".to_owned(), delivery.into());
    }
    Value::Object(document)
}

/// What became of an alert: the keys are Kibana's.
fn state(record: &AlertRecord, document: &mut Map<String, Value>) {
    let word = match record.state {
        AlertState::Open => "open",
        AlertState::Acknowledged => "acknowledged",
        AlertState::Closed => "closed",
    };
    put(document, "kibana.alert.workflow_status", word);
    put(document, "kibana.alert.workflow_tags", record.labels.as_slice());
    let assignees: Vec<&str> = record.assignee.as_deref().into_iter().collect();
    put(document, "kibana.alert.workflow_assignee_ids", assignees);
    let verdict = record.verdict.map(|verdict| match verdict {
        Verdict::TruePositive => "true_positive",
        Verdict::Benign => "benign",
        Verdict::FalsePositive => "false_positive",
    });
    put(document, "kibana.alert.workflow_reason", verdict);
    if record.retracted.is_some() {
        put(document, "kibana.alert.status", "recovered");
        put(
            document,
            "kibana.alert.end",
            record.retracted.map(|time| time.to_string()),
        );
    }
}

/// Keys of an alert that hold of all alerts of its rule.
const OF_RULE: [&str; 4] = ["rule", "threat", "tags", "ecs"];

/// Of a group: what its first alert says of the rule, and what the group is.
fn of_group(document: &Map<String, Value>, message: &Message<'_>, group: &Group) -> Map<String, Value> {
    let alert = &message.alert.alert;
    let mut out = Map::new();
    put(&mut out, "@timestamp", group.last.to_string());
    put(&mut out, "message", "");
    let event = json!({
        "kind": "alert",
        "id": message.key,
        "severity": find(&Value::Object(document.clone()), "event.severity"),
        "risk_score": alert.risk_score,
        "start": group.first.to_string(),
        "end": group.last.to_string(),
    });
    put(&mut out, "event", event);
    let of_rule = |key: &str| OF_RULE.contains(&key) || key.starts_with("kibana.alert.rule.");
    out.extend(
        document
            .iter()
            .filter(|(key, _)| of_rule(key))
            .map(|(key, value)| (key.clone(), value.clone())),
    );
    put(&mut out, "kibana.alert.severity", severity_word(alert.severity));
    put(&mut out, "kibana.alert.risk_score", alert.risk_score);
    let values: Map<String, Value> = group
        .values
        .iter()
        .map(|(field, values)| {
            let counted = |(value, count): &(String, u64)| json!({"value": value, "alerts": count});
            (field.clone(), values.iter().map(counted).collect())
        })
        .collect();
    let of_group = json!({
        "alerts": group.count,
        "updated": group.updated,
        "withdrawn": group.retracted,
        "first": group.first.to_string(),
        "last": group.last.to_string(),
        "ids": group.ids,
        "values": values,
    });
    out.insert("neph".to_owned(), json!({"group": of_group}));
    out
}

/// Why the alert is told, in a word for people.
pub(crate) fn kind_word(kind: DeliveryKind) -> &'static str {
    match kind {
        DeliveryKind::Raised => "new",
        DeliveryKind::Updated => "updated",
        DeliveryKind::Retracted => "withdrawn",
    }
}
