//! What a rule would tell, and what would quieten it, on the evidence of the log.
//!
//! The rule runs over the past, whether it is switched on or not. Of the values that many of its alerts share exceptions are
//! proposed, in the form of overlays. Each is tried: what events satisfy of the rule is kept, and goes through its operators again
//! without what the exception leaves out, at the end without what all that are safe leave out; so the numbers are what a run
//! gives and no estimate, and the past is read once. A proposal is safe if the tests beside the rule still pass with it, and every alert that an analyst closed
//! as true stays: one of the interval is found with it, and one from outside does not have the value. One that is not safe
//! is named with what it would lose, and its overlay is not given.

mod trial;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use neph_engine::Match;
use neph_event::Instant;
use neph_rules::{Library, LoadOptions, alert_id};
use neph_store::Store;
use serde::Serialize;
use serde_json::Value;

use crate::steps::Steps;

use super::backfill::{Watch, over_history};
use super::book::Book;
use super::{ServiceError, ServiceOptions};

use self::trial::{Candidates, Trial};

/// Fields that tell whom or what an alert is about, from the most telling one on.
const FIELDS: [&str; 27] = [
    "user.name",
    "user.email",
    "user.id",
    "aws.cloudtrail.user_identity.arn",
    "client.user.email",
    "process.name",
    "process.executable",
    "process.parent.name",
    "process.parent.executable",
    "process.command_line",
    "user_agent.original",
    "source.ip",
    "source.address",
    "destination.ip",
    "destination.domain",
    "dns.question.name",
    "file.path",
    "url.path",
    "container.image.name",
    "container.name",
    "orchestrator.namespace",
    "kubernetes.namespace",
    "orchestrator.resource.name",
    "service.name",
    "host.name",
    "host.hostname",
    "cloud.account.id",
];
/// From this one on fields are wide: what an exception for one of their values leaves unseen is much. Twice as many alerts must
/// have such a value as that of another field.
const WIDE: usize = 20;
/// Alerts whose values are looked at; all are counted.
const MOST_ALERTS: usize = 50_000;
/// Values told for each field.
const VALUES: usize = 5;
/// Exceptions that are proposed, at most.
const PROPOSALS: usize = 5;
/// Of a longer value nobody would write an exception.
const LONGEST: usize = 512;

/// What a rule would tell.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Preview {
    /// The rule's id.
    pub rule_id: String,
    /// Its name.
    pub rule_name: String,
    /// The interval, from, inclusive.
    pub from: String,
    /// Until, exclusive.
    pub to: String,
    /// Records that were read, those included that the rule looks back on.
    pub records: u64,
    /// Alerts of the interval, suppressed and grouped as they would be.
    pub alerts: u64,
    /// Alerts for each day, in UTC, that had some.
    pub per_day: BTreeMap<String, u64>,
    /// The values that alerts share, by field; the most telling fields first.
    pub noisy: Vec<NoisyField>,
    /// Exceptions that would remove alerts, those that are safe first.
    pub exceptions: Vec<ProposedException>,
    /// Alerts that are left with all exceptions that are safe.
    pub left_with_all_safe: u64,
    /// Whether there was more than could be looked at: values are of some alerts only, or no exceptions are proposed.
    pub is_cut: bool,
}

/// The values of a field.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NoisyField {
    /// The field.
    pub field: String,
    /// The values that most alerts have.
    pub values: Vec<NoisyValue>,
    /// How many other values there are.
    pub others: u64,
}

/// One of its values.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NoisyValue {
    /// The value.
    pub value: String,
    /// Alerts that have it.
    pub alerts: u64,
}

/// An exception that would remove alerts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProposedException {
    /// Its name.
    pub name: String,
    /// The field.
    pub field: String,
    /// Its value.
    pub value: String,
    /// The overlay that states it, ready to be written into a file; empty where it is not safe.
    pub overlay: String,
    /// Alerts of the interval that would not have been told.
    pub removes: u64,
    /// Alerts that would be left.
    pub left: u64,
    /// Whether nothing that is true is lost by it.
    pub is_safe: bool,
    /// What that rests on.
    pub proof: ProofOfPositives,
}

/// Whether what is true stays found with an exception.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProofOfPositives {
    /// Tests beside the rule that pass without it.
    pub tests: u64,
    /// Of these, names of tests that fail with it.
    pub broken_tests: Vec<String>,
    /// Alerts of the rule that were closed as true.
    pub true_alerts: u64,
    /// Of these, ids of alerts that would be lost: of the interval, and not found with it; or from outside, and with the value.
    pub lost_alerts: Vec<String>,
    /// Of `true_alerts`, those that the interval does not give, which are judged by their own values.
    pub outside: u64,
}

/// Runs a rule, by its id, over an interval of the log.
///
/// # Errors
/// There is no such rule, or it cannot run; the store fails; files for overlays cannot be written to the system's folder for
/// temporary ones.
pub fn preview(
    store: &Store,
    paths: &[PathBuf],
    load: &LoadOptions,
    rule: &str,
    times: Range<Instant>,
    options: &ServiceOptions,
) -> Result<Preview, ServiceError> {
    let folder = tempfile::tempdir().map_err(temporary)?;
    let enabling = folder.path().join("enabled.yml");
    let text = format!(
        "name: preview\nselect:\n  ids: [{}]\nenabled: true\n",
        quoted(rule)
    );
    fs::write(&enabling, text).map_err(temporary)?;
    let mut with = load.clone();
    with.overlays.push(enabling.clone());
    let mut library = Library::new();
    let book = Book::new(library.load(paths, &with));
    let place = book
        .place(rule)
        .ok_or_else(|| ServiceError::NoRule(rule.to_owned()))?;
    let own = book.only(&[place]);
    let Some(rule) = own.rules.first().map(Arc::clone) else {
        return Err(ServiceError::NoRule(rule.to_owned()));
    };
    let mut preview = Preview {
        rule_id: rule.id.clone(),
        rule_name: rule.name.clone(),
        from: times.start.to_string(),
        to: times.end.to_string(),
        ..Preview::default()
    };
    let mut values: HashMap<String, Vec<(usize, String)>> = HashMap::new();
    let mut told: HashSet<String> = HashSet::new();
    let mut is_cut = false;
    let mut seen = |found: &Match| match values.len() < MOST_ALERTS {
        true => {
            values.insert(alert_id(&rule, found), values_of(found));
        }
        false => is_cut = true,
    };
    let mut candidates = Candidates::default();
    let mut keep = |steps: &Steps| candidates.keep(steps);
    let mut watch = Watch {
        steps: Some(&mut keep),
        matches: Some(&mut seen),
    };
    preview.records = over_history(
        store,
        &own,
        &times,
        options,
        &|| false,
        &mut watch,
        &mut |alert| {
            if told.insert(alert.id.clone()) {
                let day = alert
                    .last
                    .or(alert.first)
                    .map_or_else(String::new, |time| time.to_string());
                let day = day.split('T').next().unwrap_or_default().to_owned();
                *preview.per_day.entry(day).or_default() += 1;
            }
        },
    )?;
    preview.alerts = told.len() as u64;
    preview.is_cut = is_cut;
    values.retain(|id, _| told.contains(id));
    preview.noisy = noisy(&values);
    preview.left_with_all_safe = preview.alerts;
    let proposals = propose(&values);
    // Of more than can be kept nothing can be proved.
    preview.is_cut |= !candidates.is_whole();
    if !proposals.is_empty() && candidates.is_whole() {
        let mut trial = Trial {
            store,
            rule: &rule,
            own: &own,
            times: &times,
            options,
            load: &with,
            enabling,
            paths,
            folder: folder.path(),
            candidates: &candidates,
            library: &mut library,
        };
        trial.run(&proposals, &told, &mut preview)?;
    }
    Ok(preview)
}

fn temporary(error: io::Error) -> ServiceError {
    ServiceError::Ended(format!("cannot write a temporary file: {error}"))
}

/// Text as JSON writes it, which YAML reads.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// The values of a match's events in the telling fields, each once.
fn values_of(found: &Match) -> Vec<(usize, String)> {
    let mut values = Vec::new();
    for (_, event) in &found.events {
        let Some(document) = event
            .as_ref()
            .and_then(|event| serde_json::from_slice::<Value>(event.document()).ok())
        else {
            continue;
        };
        for (field, path) in FIELDS.iter().enumerate() {
            gather(&document, path, &mut |value| {
                let value = (field, value.to_owned());
                if value.1.len() <= LONGEST && !values.contains(&value) {
                    values.push(value);
                }
            });
        }
    }
    values
}

/// Texts at a path, whose names may be written nested, with dots, or both.
fn gather(value: &Value, path: &str, take: &mut dyn FnMut(&str)) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| gather(item, path, take)),
        Value::Object(fields) => {
            for (name, inner) in fields {
                match path.strip_prefix(name.as_str()) {
                    Some("") => gather(inner, "", take),
                    Some(rest) => {
                        if let Some(rest) = rest.strip_prefix('.') {
                            gather(inner, rest, take);
                        }
                    }
                    None => {}
                }
            }
        }
        Value::String(text) if path.is_empty() => take(text),
        _ => {}
    }
}

type Values = HashMap<String, Vec<(usize, String)>>;

fn counts(values: &Values) -> BTreeMap<(usize, &str), u64> {
    let mut counts = BTreeMap::new();
    for (field, value) in values.values().flatten() {
        *counts.entry((*field, value.as_str())).or_default() += 1;
    }
    counts
}

fn noisy(values: &Values) -> Vec<NoisyField> {
    let mut fields: BTreeMap<usize, Vec<NoisyValue>> = BTreeMap::new();
    for ((field, value), alerts) in counts(values) {
        fields.entry(field).or_default().push(NoisyValue {
            value: value.to_owned(),
            alerts,
        });
    }
    let told = fields.into_iter().map(|(field, mut values)| {
        values.sort_by(|a, b| b.alerts.cmp(&a.alerts).then_with(|| a.value.cmp(&b.value)));
        let others = values.len().saturating_sub(VALUES) as u64;
        values.truncate(VALUES);
        NoisyField {
            field: FIELDS.get(field).copied().unwrap_or_default().to_owned(),
            values,
            others,
        }
    });
    told.collect()
}

/// Of the values that several alerts have, and not all, the one that most of them have, then the one that most of the rest
/// have, and so on. Of values that the same alerts have it is the most telling.
fn propose(values: &Values) -> Vec<(usize, String)> {
    let all = values.len() as u64;
    let mut rest: Values = values.clone();
    let mut proposals: Vec<(usize, String)> = Vec::new();
    while proposals.len() < PROPOSALS {
        let best = counts(&rest)
            .into_iter()
            .filter(|((field, value), alerts)| {
                let known = proposals
                    .iter()
                    .any(|known| known.0 == *field && known.1 == *value);
                *alerts >= 2 && *alerts * 20 >= all && !known
            })
            .min_by_key(|((field, _), alerts)| {
                let weight = if *field < WIDE { 2 } else { 1 };
                (std::cmp::Reverse(*alerts * weight), *field)
            })
            .map(|((field, value), _)| (field, value.to_owned()));
        let Some(best) = best else { break };
        rest.retain(|_, values| !values.contains(&best));
        proposals.push(best);
    }
    proposals
}
