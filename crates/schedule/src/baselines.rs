//! Snapshots and images against the newest baseline.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use neph_baseline::{
    Act, Approvals, Baseline, Class, Collected, Difference, Field, Finding, History, Kept, Kind, alert,
    review,
};
use neph_inventory::{Folder, Limits};
use neph_store::{Seen, Severity};
use serde_json::{Value, json};

use crate::work::{Looked, Work};

/// Finds out who did what is behind differences since a time: acts for each difference.
pub type ActsOf = Arc<dyn Fn(Timestamp, &[Difference]) -> Vec<Vec<Act>> + Send + Sync>;

/// Problems of files that are told.
const PROBLEMS: usize = 20;

/// Compares what was collected with the newest baseline.
pub struct Baselines {
    /// Files and folders of what was collected.
    pub collected: Vec<PathBuf>,
    /// The folder of baselines.
    pub folder: PathBuf,
    /// The file of approvals.
    pub approvals: PathBuf,
    /// The mildest difference that becomes an alert; none where none does.
    pub least: Option<Severity>,
    /// Who did it.
    pub acts: ActsOf,
    /// By which program comparisons are kept.
    pub by: String,
}

pub(crate) fn day(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

/// The text of a file that people write, which need not be there.
pub(crate) fn text_of(path: &Path) -> Result<String, String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(format!("`{}` cannot be read: {error}", path.display())),
    }
}

fn severity(of: neph_baseline::Severity) -> Severity {
    match of {
        neph_baseline::Severity::Low => Severity::Low,
        neph_baseline::Severity::Medium => Severity::Medium,
        neph_baseline::Severity::High => Severity::High,
        neph_baseline::Severity::Critical => Severity::Critical,
    }
}

/// What has to be seen of a record for a difference to be known as gone.
#[derive(serde::Serialize, serde::Deserialize)]
struct Place {
    kind: Kind,
    id: String,
    account: Option<String>,
    region: Option<String>,
    /// Whether it is about who may use it.
    sharing: bool,
}

impl Place {
    fn of(difference: &Difference) -> Self {
        let record = &difference.record;
        let text = |part: &Option<Box<str>>| part.as_deref().map(str::to_owned);
        let about_sharing = |change: &neph_baseline::Change| change.field == Field::Sharing;
        Self {
            kind: record.kind,
            id: record.id.to_string(),
            account: text(&record.account),
            region: text(&record.region),
            sharing: difference.class == Class::CopiedOut || difference.changes.iter().any(about_sharing),
        }
    }

    /// Whether all was seen that could show the difference.
    fn is_seen(&self, collected: &Collected) -> bool {
        // Records are sorted by kind and id.
        let records = &collected.records;
        let found = records.binary_search_by(|record| record.place().cmp(&(self.kind, self.id.as_str())));
        match found.ok().and_then(|place| records.get(place)) {
            Some(record) => !self.sharing || record.public.is_some() || record.shared.is_some(),
            None => collected.knows(self.kind, self.account.as_deref(), self.region.as_deref()),
        }
    }
}

impl Work for Baselines {
    fn watched(&self) -> Vec<PathBuf> {
        let mut paths = self.collected.clone();
        paths.push(self.approvals.clone());
        // Comparisons that are kept there must not cause others: of the folder, only the newest baseline counts.
        let listed = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let is_baseline = |path: &PathBuf| path.to_string_lossy().ends_with(".baseline.jsonl");
        paths.extend(listed.map(|entry| entry.path()).filter(is_baseline).max());
        paths
    }

    fn look(&self, now: Timestamp) -> Result<Looked, String> {
        let today = day(now);
        let history = History::read(&self.folder)
            .map_err(|error| format!("`{}` cannot be read: {error}", self.folder.display()))?;
        let Some((_, _, path)) = history.baselines.last() else {
            return Err(
                "there is no baseline yet: take one in the console, or with `neph baseline take`".into(),
            );
        };
        let unread = |why: &dyn std::fmt::Display| format!("`{}` cannot be read: {why}", path.display());
        let file = std::fs::File::open(path).map_err(|error| unread(&error))?;
        let baseline = Baseline::read(file).map_err(|error| unread(&error))?;
        let (approvals, mistakes) = Approvals::read(&text_of(&self.approvals)?, today);
        let folder = Folder::open(&self.collected, &Limits::default());
        let collected = Collected::read(&folder);
        if collected.records.is_empty() && collected.covers.is_empty() {
            return Err("nothing that was collected can be compared".into());
        }
        let review = review(&baseline, &collected, &approvals, today);
        let unseen: usize = review.unknown.iter().map(|one| one.records).sum();
        let mut problems = Vec::new();
        if neph_diag::has_errors(&mistakes) {
            problems.push(format!(
                "`{}` has mistakes, and what they concern approves nothing",
                self.approvals.display()
            ));
        }
        if unseen > 0 {
            problems.push(format!("{unseen} records of the baseline could not be collected"));
        }
        let told = collected.problems.iter().take(PROBLEMS);
        problems.extend(told.map(|one| format!("`{}`: {}", one.file, one.what)));
        problems.extend(
            history
                .refused
                .iter()
                .map(|(path, why)| format!("`{}`: {why}", path.display())),
        );
        self.keep(&history, &baseline, unseen, &review.findings, now)?;
        let report = json!({
            "compared": now, "baseline": baseline.taken, "records": collected.records.len(), "same": review.same, "unknown": unseen,
            "findings": review.findings.len(), "open": review.findings.iter().filter(|one| one.standing.is_open()).count(),
        });
        let taken = baseline.taken;
        drop(baseline);
        let (open, answered): (Vec<Finding>, Vec<Finding>) = review
            .findings
            .into_iter()
            .partition(|one| one.standing.is_open());
        let seen = open.iter().map(|one| Seen {
            id: one.difference.id.clone(),
            place: serde_json::to_string(&Place::of(&one.difference)).unwrap_or_default(),
            title: format!(
                "{} {}: {}",
                one.difference.record.kind.noun(),
                one.difference.record.title(),
                one.difference.class.name()
            ),
            severity: severity(one.difference.severity()),
        });
        let acts = Arc::clone(&self.acts);
        Ok(Looked {
            open: seen.collect(),
            answered: answered.into_iter().map(|one| one.difference.id).collect(),
            is_gone: Box::new(move |place| {
                serde_json::from_str::<Place>(place).is_ok_and(|place| place.is_seen(&collected))
            }),
            tell: Box::new(move |ids| alerts(&open, ids, taken, now, &acts)),
            least: self.least,
            problems,
            report: Some(report),
        })
    }
}

impl Baselines {
    /// Keeps the comparison where it found something else than the one before.
    fn keep(
        &self,
        history: &History,
        baseline: &Baseline,
        unseen: usize,
        findings: &[Finding],
        now: Timestamp,
    ) -> Result<(), String> {
        let all = findings
            .iter()
            .map(|one| (one.difference.id.as_str(), one.standing.name()));
        let before = history.comparisons.last().filter(|kept| {
            let same: BTreeSet<(&str, &str)> = kept
                .differences
                .iter()
                .map(|one| (one.id.as_str(), one.standing.as_str()))
                .collect();
            kept.baseline == baseline.taken && kept.unknown == unseen && same == all.clone().collect()
        });
        if before.is_some() {
            return Ok(());
        }
        let differences = findings.iter().map(|one| (&one.difference, one.standing.name()));
        let kept = Kept::new(now, self.by.as_str(), baseline.taken, unseen, differences);
        kept.save(&self.folder)
            .map(drop)
            .map_err(|error| format!("the comparison cannot be kept: {error}"))
    }
}

/// The alerts of some differences, with who did it.
fn alerts(
    open: &[Finding],
    ids: &BTreeSet<&str>,
    since: Timestamp,
    now: Timestamp,
    acts: &ActsOf,
) -> Vec<Value> {
    let wanted: Vec<&Finding> = open
        .iter()
        .filter(|one| ids.contains(one.difference.id.as_str()))
        .collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    let differences: Vec<Difference> = wanted.iter().map(|one| one.difference.clone()).collect();
    let mut acts = acts(since, &differences).into_iter();
    wanted
        .into_iter()
        .map(|one| {
            let acts = acts.next().unwrap_or_default();
            Value::Object(alert(&one.difference, &acts, &one.standing, now).document)
        })
        .collect()
}
