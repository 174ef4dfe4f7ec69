//! What a rule would tell, and what would quieten it, on the evidence of the log.
//!
//! The rule runs over the past, whether it is switched on or not. Of the values that many of its alerts share exceptions are
//! proposed, in the form of overlays. Each is tried: the rule runs over the same past with it, and at the end with all that
//! are safe, so that the numbers are what a run gives and no estimate. A proposal is safe if the tests beside the rule still pass with it, and every alert that an analyst closed
//! as true and that the past still holds is found with it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use neph_engine::Match;
use neph_event::Instant;
use neph_rules::rule_tests::{find_test_files, read_test_file};
use neph_rules::{LoadOptions, Rule, RuleSet, alert_id, load_with};
use neph_store::{AlertQuery, AlertSort, Store, Verdict};
use serde::Serialize;
use serde_json::Value;

use crate::rule_tests::TestRunner;

use super::backfill::over_history;
use super::book::{Book, compile, index};
use super::{ServiceError, ServiceOptions};

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
    /// Whether there were more alerts than values were looked at of.
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
    /// The overlay that states it, ready to be written into a file.
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
    /// Alerts that were closed as true and are found in the past without it.
    pub true_alerts: u64,
    /// Of these, ids of alerts that are not found with it.
    pub lost_alerts: Vec<String>,
    /// Alerts that were closed as true and lie outside of the interval, of which nothing can be said.
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
    let book = Book::new(load_with(paths, &with));
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
    preview.records = over_history(store, &own, &times, options, &|| false, &mut seen, &mut |alert| {
        if told.insert(alert.id.clone()) {
            let day = alert
                .last
                .or(alert.first)
                .map_or_else(String::new, |time| time.to_string());
            let day = day.split('T').next().unwrap_or_default().to_owned();
            *preview.per_day.entry(day).or_default() += 1;
        }
    })?;
    preview.alerts = told.len() as u64;
    preview.is_cut = is_cut;
    values.retain(|id, _| told.contains(id));
    preview.noisy = noisy(&values);
    preview.left_with_all_safe = preview.alerts;
    let proposals = propose(&values);
    if !proposals.is_empty() {
        let trial = Trial {
            store,
            rule: &rule,
            own: &own,
            times: &times,
            options,
            load: &with,
            enabling,
            paths,
            folder: folder.path().to_owned(),
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

/// Proposals being tried.
struct Trial<'a> {
    store: &'a Store,
    rule: &'a Arc<Rule>,
    own: &'a Book,
    times: &'a Range<Instant>,
    options: &'a ServiceOptions,
    load: &'a LoadOptions,
    /// The overlay that switches the rule on.
    enabling: PathBuf,
    paths: &'a [PathBuf],
    folder: PathBuf,
}

impl Trial<'_> {
    fn run(
        &self,
        proposals: &[(usize, String)],
        told: &HashSet<String>,
        preview: &mut Preview,
    ) -> Result<(), ServiceError> {
        let mut overlays = Vec::new();
        let mut exceptions = Vec::new();
        for (number, (field, value)) in proposals.iter().enumerate() {
            let field = FIELDS.get(*field).copied().unwrap_or_default();
            let text = self.overlay(field, value);
            let path = self.folder.join(format!("proposal-{number}.yml"));
            fs::write(&path, &text).map_err(temporary)?;
            let mut load = self.load.clone();
            load.overlays.push(path.clone());
            let own: RuleSet = load_with(self.paths, &load);
            let place = own.rules.iter().position(|rule| rule.id == self.rule.id);
            // The exception that this overlay adds comes to those that there are.
            let new = own.exceptions.into_iter().find(|exception| {
                exception.name == name_of(field, value)
                    && place.is_some_and(|place| exception.rules.contains(&index(place)))
            });
            if let Some(new) = new {
                exceptions.push(new);
                overlays.push((field, value, text, path));
            }
        }
        let (truths, outside) = self.truths(told)?;
        let mut safe = Vec::new();
        let mut proofs = Vec::new();
        for (_, _, _, path) in &overlays {
            proofs.push(self.tests(path));
        }
        let variants = self.variants(
            &exceptions,
            &(0..exceptions.len()).map(|one| vec![one]).collect::<Vec<_>>(),
        )?;
        for ((number, (field, value, text, _)), (ids, (tests, broken_tests))) in
            overlays.iter().enumerate().zip(variants.iter().zip(proofs))
        {
            let lost_alerts: Vec<String> = truths.iter().filter(|id| !ids.contains(*id)).cloned().collect();
            let is_safe = broken_tests.is_empty() && lost_alerts.is_empty();
            if is_safe {
                safe.push(number);
            }
            let left = ids.len() as u64;
            preview.exceptions.push(ProposedException {
                name: name_of(field, value),
                field: (*field).to_owned(),
                value: (*value).clone(),
                overlay: text.clone(),
                removes: preview.alerts.saturating_sub(left),
                left,
                is_safe,
                proof: ProofOfPositives {
                    tests,
                    broken_tests,
                    true_alerts: truths.len() as u64,
                    lost_alerts,
                    outside,
                },
            });
        }
        preview
            .exceptions
            .sort_by_key(|one| (!one.is_safe, std::cmp::Reverse(one.removes)));
        if !safe.is_empty() {
            let together = self.variants(&exceptions, &[safe])?;
            preview.left_with_all_safe = together.first().map_or(0, |ids| ids.len() as u64);
        }
        Ok(())
    }

    fn overlay(&self, field: &str, value: &str) -> String {
        format!(
            "name: {}\nowner: preview\nreason: {}\nselect:\n  ids: [{}]\nexceptions:\n  - name: {}\n    fields:\n      {}: {}\n",
            quoted(&format!("quieter {}", self.rule.name)),
            quoted(&format!("alerts from {} to {}", self.times.start, self.times.end)),
            quoted(&self.rule.id),
            quoted(&name_of(field, value)),
            quoted(field),
            quoted(value),
        )
    }

    /// The ids of the alerts of copies of the rule, each with some of the exceptions.
    fn variants(
        &self,
        exceptions: &[neph_rules::RuleException],
        choices: &[Vec<usize>],
    ) -> Result<Vec<HashSet<String>>, ServiceError> {
        let mut found = Vec::new();
        for choice in choices {
            let mut all = self.own.exceptions.clone();
            all.extend(choice.iter().filter_map(|place| {
                let mut exception = exceptions.get(*place)?.clone();
                exception.rules = vec![index(0)];
                Some(exception)
            }));
            let book = Book {
                rules: self.own.rules.clone(),
                program: compile(&self.own.rules, &all),
                exceptions: all,
                keys: self.own.keys.clone(),
                set: self.own.set.clone(),
            };
            let mut ids = HashSet::new();
            over_history(
                self.store,
                &book,
                self.times,
                self.options,
                &|| false,
                &mut |_| {},
                &mut |alert| {
                    ids.insert(alert.id);
                },
            )?;
            found.push(ids);
        }
        Ok(found)
    }

    /// Ids of alerts that were closed as true, those that are among `told`; and how many are not.
    fn truths(&self, told: &HashSet<String>) -> Result<(Vec<String>, u64), ServiceError> {
        let query = AlertQuery {
            rules: vec![self.rule.id.clone()],
            verdicts: vec![Verdict::TruePositive],
            ..AlertQuery::default()
        };
        let (mut truths, mut outside) = (Vec::new(), 0);
        let mut after = None;
        loop {
            let page = self
                .store
                .db
                .search(&query, AlertSort::Time, true, after.as_ref(), 500)?;
            for alert in page.alerts {
                match told.contains(&alert.alert.id) {
                    true => truths.push(alert.alert.id),
                    false => outside += 1,
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok((truths, outside)),
            }
        }
    }

    /// How many tests beside the rule pass without an overlay, and which of them fail with it.
    fn tests(&self, overlay: &std::path::Path) -> (u64, Vec<String>) {
        let (paths, _) = find_test_files(&[&self.rule.origin.path]);
        let mut runner = TestRunner::default();
        let (mut tests, mut broken) = (0, Vec::new());
        for mut with in paths.iter().filter_map(|path| read_test_file(path).ok()) {
            // The rule may be switched off, which its tests do not care for.
            for case in &mut with.cases {
                case.setting.overlays.push(self.enabling.clone());
            }
            let before = runner.run(&with, |_| true);
            for case in &mut with.cases {
                case.setting.overlays.push(overlay.to_owned());
            }
            let after = runner.run(&with, |_| true);
            for (before, after) in before.iter().zip(&after).filter(|(before, _)| before.passed()) {
                tests += 1;
                if !after.passed() {
                    broken.push(before.name.clone());
                }
            }
        }
        (tests, broken)
    }
}

fn name_of(field: &str, value: &str) -> String {
    format!("{field} is {value}")
}
