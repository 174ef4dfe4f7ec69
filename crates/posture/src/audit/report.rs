//! One run of checks.

use std::collections::BTreeSet;

use serde::Serialize;

use super::check::{Check, Platform, Severity};
use super::checks::CHECKS;
use super::collected::{Collected, Scope};
use super::finding::{Finding, Found, KEY_SEPARATOR, Outcome};
use super::history::History;
use super::kinds::command;
use super::mutes::Mutes;
use crate::glob::{Case, Pattern, Segments};

/// How the answer begins that is about all of a scope.
const WHOLE: &str = "all of ";

/// Which checks are run; an empty list asks for nothing.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Patterns of ids, with `*`.
    pub checks: Vec<String>,
    /// Techniques; `T1552` stands for its sub-techniques too.
    pub techniques: Vec<String>,
    /// Mitigations.
    pub mitigations: Vec<String>,
}

impl Selection {
    /// The checks that it is.
    pub fn checks(&self) -> Vec<&'static Check> {
        let wants = |check: &&Check| {
            let by_id = self.checks.is_empty()
                || self
                    .checks
                    .iter()
                    .any(|text| Pattern::new(text, Case::Kept, Segments::None).matches(check.id, Case::Kept));
            let is_of = |asked: &str, own: &str| {
                own == asked || own.strip_prefix(asked).is_some_and(|rest| rest.starts_with('.'))
            };
            let by_technique = self.techniques.is_empty()
                || self
                    .techniques
                    .iter()
                    .any(|asked| check.techniques.iter().any(|own| is_of(asked, own)));
            let by_mitigation = self.mitigations.is_empty()
                || self
                    .mitigations
                    .iter()
                    .any(|asked| check.mitigations.contains(&asked.as_str()));
            by_id && by_technique && by_mitigation
        };
        CHECKS.iter().copied().filter(wants).collect()
    }

    /// What of it fits no check at all: mistakes of whoever asked.
    pub fn nothing(&self) -> Vec<&str> {
        let alone = |checks: &[String], techniques: &[String], mitigations: &[String]| Self {
            checks: checks.to_vec(),
            techniques: techniques.to_vec(),
            mitigations: mitigations.to_vec(),
        };
        let mut found = Vec::new();
        for text in &self.checks {
            if alone(std::slice::from_ref(text), &[], &[]).checks().is_empty() {
                found.push(text.as_str());
            }
        }
        for text in &self.techniques {
            if alone(&[], std::slice::from_ref(text), &[]).checks().is_empty() {
                found.push(text.as_str());
            }
        }
        for text in &self.mitigations {
            if alone(&[], &[], std::slice::from_ref(text)).checks().is_empty() {
                found.push(text.as_str());
            }
        }
        found
    }
}

/// What came of a run.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Answers: failures first, the worst of them first, in a settled order.
    pub findings: Vec<Finding>,
    /// Failures that are muted, with the number of the mute that does it.
    pub muted: Vec<(Finding, usize)>,
    /// Keys of failures that are new since the time that was asked about.
    #[serde(skip)]
    pub new: BTreeSet<String>,
    /// The checks that were asked.
    #[serde(skip)]
    pub checks: Vec<&'static Check>,
    /// Answers that were too many to keep.
    pub more: usize,
}

/// Asks the checks. `progress` is told of each, with how many are done.
pub fn run(collected: &Collected, selection: &Selection, progress: &mut dyn FnMut(usize, usize)) -> Report {
    let checks = selection.checks();
    let mut report = Report::default();
    for (index, check) in checks.iter().enumerate() {
        let mut found = Found::new(check);
        (check.ask)(collected, &mut found);
        missing(collected, check, &mut found);
        report.more += found.more;
        report.findings.append(&mut found.list);
        progress(index + 1, checks.len());
    }
    report.checks = checks;
    report.findings.sort_by(|one, other| {
        let key = |finding: &Finding| (finding.outcome, std::cmp::Reverse(finding.severity));
        key(one)
            .cmp(&key(other))
            .then_with(|| one.check.cmp(other.check))
            .then_with(|| one.scope.cmp(&other.scope))
            .then_with(|| one.resource.cmp(&other.resource))
            .then_with(|| one.what.cmp(&other.what))
    });
    // A resource that stands in several files is one, with its worst answer.
    let mut seen = BTreeSet::new();
    report.findings.retain(|finding| seen.insert(finding.key()));
    report
}

/// Scopes in which what a check needs was not collected, or not whole.
fn missing(collected: &Collected, check: &'static Check, found: &mut Found) {
    for scope in collected.scopes(check.platform) {
        for kind in check.needs.iter().copied() {
            let was_asked = collected.was_asked(kind, scope);
            let reason = collected.why_not(kind, scope);
            let what = match (was_asked, reason) {
                (true, None) => continue,
                (true, Some(reason)) => format!("only a part was collected of `{}`: {reason}", command(kind)),
                (false, Some(reason)) => format!("not collected: `{}`: {reason}", command(kind)),
                (false, None) => format!("not collected: `{}`", command(kind)),
            };
            found.add(Outcome::Unknown, scope, format!("{WHOLE}{scope} ({kind})"), what);
        }
    }
}

impl Report {
    /// Takes failures out that are muted.
    pub fn mute(&mut self, mutes: &Mutes) {
        let mut kept = Vec::with_capacity(self.findings.len());
        for finding in std::mem::take(&mut self.findings) {
            match mutes.of(&finding).filter(|_| finding.outcome == Outcome::Fail) {
                Some(index) => self.muted.push((finding, index)),
                None => kept.push(finding),
            }
        }
        self.findings = kept;
    }

    /// Marks failures that no run before a time knew.
    pub fn compare(&mut self, history: &History, since: jiff::Timestamp) {
        let known = history.known_before(since);
        let failures = self
            .findings
            .iter()
            .filter(|finding| finding.outcome == Outcome::Fail);
        self.new = failures
            .map(Finding::key)
            .filter(|key| !known.contains(key))
            .collect();
    }

    /// Whether a failure is new.
    pub fn is_new(&self, finding: &Finding) -> bool {
        self.new.contains(&finding.key())
    }

    /// How many answers come to something.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.outcome == outcome)
            .count()
    }

    /// Whether there is a failure at least as bad.
    pub fn fails_at(&self, severity: Severity) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.outcome == Outcome::Fail && finding.severity >= severity)
    }

    /// Whether a failure of an earlier run, by its key, is known to be none any more: its scope was looked at, and nothing says that the
    /// check could not answer there.
    pub fn is_over(&self, collected: &Collected, key: &str) -> bool {
        let mut parts = key.split(KEY_SEPARATOR);
        let mut part = || parts.next().unwrap_or_default();
        let (id, platform, account, region) = (part(), part(), part(), part());
        let Some(check) = self.check(id) else {
            return false;
        };
        let scope = Scope {
            platform: Platform::of_key(platform),
            account: account.to_owned(),
            region: region.to_owned(),
        };
        let was_looked_at = collected.scopes(check.platform).iter().any(|seen| {
            let own = |one: &str, other: &str| one.is_empty() || other.is_empty() || one == other;
            own(&seen.account, &scope.account)
        });
        let keeps = |finding: &Finding| {
            finding.check == id
                && match finding.outcome {
                    Outcome::Fail => finding.key() == key,
                    Outcome::Unknown => {
                        finding.key() == key
                            || (finding.resource.starts_with(WHOLE) && finding.scope.fits(&scope))
                    }
                    Outcome::Pass => false,
                }
        };
        let muted = self.muted.iter().map(|(finding, _)| finding);
        was_looked_at && !self.findings.iter().chain(muted).any(keeps)
    }

    /// The check of an id.
    pub fn check(&self, id: &str) -> Option<&'static Check> {
        self.checks.iter().copied().find(|check| check.id == id)
    }
}
