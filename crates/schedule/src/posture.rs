//! The checks of mitigations over what was collected.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::Timestamp;
use neph_posture::audit::{Collected, Finding, History, Mutes, Outcome, Report, Run, Selection, form, run};
use neph_store::{Seen, Severity};
use serde_json::{Value, json};

use crate::baselines::{day, text_of};
use crate::work::{Looked, Work};

/// Problems of files that are told.
const PROBLEMS: usize = 20;
/// A run that found the same as the one before is remembered all the same after this time, in hours.
const REMEMBER: i64 = 24;

/// Runs the checks.
pub struct Posture {
    /// Files and folders of what was collected, or of infrastructure as code.
    pub collected: Vec<PathBuf>,
    /// The list of failures that somebody answers for.
    pub mutes: PathBuf,
    /// The folder of runs.
    pub history: PathBuf,
    /// The mildest failure that becomes an alert; none where none does.
    pub least: Option<Severity>,
    /// The version of the program.
    pub version: String,
}

fn severity(of: neph_posture::audit::Severity) -> Severity {
    match of {
        neph_posture::audit::Severity::Low => Severity::Low,
        neph_posture::audit::Severity::Medium => Severity::Medium,
        neph_posture::audit::Severity::High => Severity::High,
        neph_posture::audit::Severity::Critical => Severity::Critical,
    }
}

impl Work for Posture {
    fn watched(&self) -> Vec<PathBuf> {
        let mut paths = self.collected.clone();
        paths.push(self.mutes.clone());
        paths
    }

    fn look(&self, now: Timestamp) -> Result<Looked, String> {
        let (mutes, mistakes) = Mutes::read(&text_of(&self.mutes)?, day(now));
        let collected = Collected::read(&self.collected, &mut |_, _| {});
        if collected.files() == 0 {
            return Err("none of the files is one that a check knows".into());
        }
        let mut report = run(&collected, &Selection::default(), &mut |_, _| {});
        report.mute(&mutes);
        let mut problems = Vec::new();
        if neph_diag::has_errors(&mistakes) {
            problems.push(format!(
                "`{}` has mistakes, and what they concern mutes nothing",
                self.mutes.display()
            ));
        }
        let (wrong, _) = collected.problems();
        let told = wrong.iter().take(PROBLEMS);
        problems.extend(told.map(|one| format!("`{}`: {}", one.file, one.what)));
        self.keep(&report, now)?;
        let open: BTreeMap<String, &Finding> = report
            .findings
            .iter()
            .filter(|finding| finding.outcome == Outcome::Fail)
            .map(|finding| (form::alert_id(finding), finding))
            .collect();
        let seen = open
            .iter()
            .map(|(id, finding)| Seen {
                id: id.clone(),
                place: finding.key(),
                title: format!("{}: {}: {}", finding.check, finding.resource, finding.what),
                severity: severity(finding.severity),
            })
            .collect();
        let answered = report
            .muted
            .iter()
            .map(|(finding, _)| form::alert_id(finding))
            .collect();
        let summary = json!({
            "at": now, "files": collected.files(), "failed": report.count(Outcome::Fail), "unknown": report.count(Outcome::Unknown),
            "passed": report.count(Outcome::Pass), "muted": report.muted.len(),
        });
        let report = std::sync::Arc::new(report);
        let of = std::sync::Arc::clone(&report);
        let version = self.version.clone();
        Ok(Looked {
            open: seen,
            answered,
            is_gone: Box::new(move |key| of.is_over(&collected, key)),
            tell: Box::new(move |ids| alerts(&report, ids, &version, now)),
            least: self.least,
            problems,
            report: Some(summary),
        })
    }
}

impl Posture {
    /// Remembers the run where it found something else than the one before, and once a day.
    fn keep(&self, report: &Report, now: Timestamp) -> Result<(), String> {
        let history = History::read(&self.history).map_err(|error| error.to_string())?;
        let own = Run::of(report, now);
        let is_same = history.runs().last().is_some_and(|last| {
            last.failed == own.failed
                && last.checks == own.checks
                && (last.passed, last.unknown) == (own.passed, own.unknown)
                && now.duration_since(last.at).as_hours() < REMEMBER
        });
        match is_same {
            true => Ok(()),
            false => own
                .write(&self.history)
                .map(drop)
                .map_err(|error| error.to_string()),
        }
    }
}

fn alerts(report: &Report, ids: &BTreeSet<&str>, version: &str, now: Timestamp) -> Vec<Value> {
    let told = form::Told { version, at: now };
    let failures = report
        .findings
        .iter()
        .filter(|finding| finding.outcome == Outcome::Fail);
    failures
        .filter(|finding| ids.contains(form::alert_id(finding).as_str()))
        .filter_map(|finding| {
            let check = report.check(finding.check)?;
            Some(Value::Object(form::alert(finding, check, told)))
        })
        .collect()
}
