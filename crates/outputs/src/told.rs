//! What people are told: what, where, who, why, how bad, which technique, and where to look. Chats and mails only lay it out.
//!
//! All texts are visible ([`visible`]) and bounded; markup in them is for the layout to escape.

use serde_json::Value;

use crate::Message;
use crate::fields::{events, find, steps, texts};
use crate::form::{kind_word, sentence, severity_word};
use crate::text::{shortened, visible};

/// Characters of a name.
const NAME: usize = 150;

/// Characters of a reason.
const REASON: usize = 1200;

/// Characters of a value.
const VALUE: usize = 300;

/// Values of a field that are shown.
const VALUES: usize = 4;

/// Tests that are shown.
const TESTS: usize = 6;

/// What is told of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// How bad, in a word.
    pub(crate) severity: &'static str,
    /// The rule's name; of a group, with how many.
    pub(crate) name: String,
    /// The rule's name, with what the message is: `Name (withdrawn)`.
    pub(crate) title: String,
    /// What happened, in a sentence.
    pub(crate) reason: String,
    /// What is to be known, with what it is.
    pub(crate) facts: Vec<(&'static str, String)>,
    /// The page of the alert.
    pub(crate) link: Option<String>,
}

/// Where it happened: what the fields are to people, and the fields.
const WHERE: [(&str, &[&str]); 4] = [
    ("Host", &["host.name", "host.hostname", "host.id"]),
    (
        "Container",
        &["container.name", "container.id", "container.image.name"],
    ),
    (
        "Kubernetes",
        &[
            "orchestrator.cluster.name",
            "orchestrator.namespace",
            "orchestrator.resource.name",
        ],
    ),
    (
        "Cloud",
        &[
            "cloud.provider",
            "cloud.account.name",
            "cloud.account.id",
            "cloud.region",
        ],
    ),
];

/// Who did it.
const WHO: [(&str, &[&str]); 3] = [
    ("User", &["user.name", "user.email", "user.id"]),
    ("Source", &["source.ip", "client.ip"]),
    (
        "Process",
        &["process.command_line", "process.executable", "process.name"],
    ),
];

impl Told {
    pub(crate) fn new(message: &Message<'_>) -> Self {
        let record = message.alert;
        let alert = &record.alert;
        let document: Value = serde_json::from_slice(&alert.document).unwrap_or_default();
        let mut facts: Vec<(&'static str, String)> = Vec::new();
        let mut fact = |name: &'static str, text: String| {
            if !text.is_empty() {
                facts.push((name, shortened(&visible(&text), VALUE)));
            }
        };
        match message.group {
            Some(group) => {
                fact("Alerts", group.count.to_string());
                fact("Of these updated", nonzero(group.updated));
                fact("Of these withdrawn", nonzero(group.retracted));
                fact("First", group.first.to_string());
                fact("Last", group.last.to_string());
                for (field, values) in &group.values {
                    let counted: Vec<String> = values
                        .iter()
                        .take(VALUES)
                        .map(|(value, count)| format!("{} ({count})", shortened(value, VALUE / VALUES)))
                        .collect();
                    fact("Most common", format!("{field}: {}", counted.join(", ")));
                }
            }
            None => {
                let span = match (alert.first, alert.last) {
                    (Some(first), Some(last)) if first != last => format!("{first} to {last}"),
                    (_, Some(time)) | (Some(time), None) => time.to_string(),
                    (None, None) => alert.time.to_string(),
                };
                fact("When", span);
                for (name, fields) in WHERE {
                    // Provider, account and region together tell where; of the others the first that there is.
                    let parts: Vec<String> = match name {
                        "Cloud" | "Kubernetes" => {
                            fields.iter().map(|field| values(&document, field)).collect()
                        }
                        _ => vec![first_of(&document, fields)],
                    };
                    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
                    fact(name, parts.join(" / "));
                }
                for (name, fields) in WHO {
                    fact(name, first_of(&document, fields));
                }
                fact("Why", why(&document));
                if alert.count > 1 {
                    fact("Stands for", format!("{} alerts or events", alert.count));
                }
            }
        }
        fact(
            "Technique",
            named(&document, &alert.techniques, "threat.technique"),
        );
        fact("Tactic", alert.tactics.join(", "));
        fact("Risk", format!("{} of 100", alert.risk_score));
        fact("Assignee", record.assignee.clone().unwrap_or_default());
        let suffix = match message.group {
            Some(group) => format!(" ({} alerts)", group.count),
            None if record.retracted.is_some() => " (withdrawn)".to_owned(),
            None => match kind_word(message.kind) {
                "new" => String::new(),
                word => format!(" ({word})"),
            },
        };
        let test = if message.test { "TEST: " } else { "" };
        let mut name = format!("{test}{}", shortened(&visible(&alert.rule_name), NAME));
        if message.group.is_some() {
            name.push_str(&suffix);
        }
        Self {
            severity: severity_word(alert.severity),
            title: match message.group {
                Some(_) => name.clone(),
                None => format!("{name}{suffix}"),
            },
            name,
            reason: shortened(&visible(&sentence(message)), REASON),
            facts,
            link: message.link.clone(),
        }
    }
}

fn nonzero(count: u64) -> String {
    match count {
        0 => String::new(),
        count => count.to_string(),
    }
}

/// The values of a field that all events share, or else of the events.
fn values(document: &Value, field: &str) -> String {
    let mut found = texts(document, field);
    if found.is_empty() {
        for value in events(document).flat_map(|event| texts(event, field)) {
            if !found.contains(&value) {
                found.push(value);
            }
        }
    }
    let more = found.len().saturating_sub(VALUES);
    let mut text = found.iter().take(VALUES).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

/// The values of the first field that has any.
fn first_of(document: &Value, fields: &[&str]) -> String {
    let mut all = fields.iter().map(|field| values(document, field));
    all.find(|text| !text.is_empty()).unwrap_or_default()
}

/// What the tests of the rule met, of the first event that says it.
fn why(document: &Value) -> String {
    let Some(Value::Object(met)) = steps(document).find_map(|step| step.get("matched_fields")) else {
        return String::new();
    };
    let each = met.iter().take(TESTS).map(|(field, values)| {
        let values: Vec<&str> = values
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        format!("{field} = {}", shortened(&values.join(", "), VALUE / TESTS))
    });
    each.collect::<Vec<_>>().join("; ")
}

/// Ids of techniques with their names, as the document knows them.
fn named(document: &Value, ids: &[String], below: &str) -> String {
    let names_of = |path: &str| -> Vec<(String, String)> {
        let ids = find(document, &format!("{path}.id")).and_then(Value::as_array);
        let names = find(document, &format!("{path}.name")).and_then(Value::as_array);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let pairs = ids.into_iter().flatten().zip(names.into_iter().flatten());
        pairs.map(|(id, name)| (text(id), text(name))).collect()
    };
    let mut known = names_of(below);
    known.extend(names_of(&format!("{below}.subtechnique")));
    let each = ids
        .iter()
        .map(|id| match known.iter().find(|(known, _)| known == id) {
            Some((_, name)) => format!("{id} {name}"),
            None => id.clone(),
        });
    each.collect::<Vec<_>>().join(", ")
}
