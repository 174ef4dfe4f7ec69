//! What a run found, held against the runs before: what is new becomes alerts, and of what is gone its alert says so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use neph_event::Instant;
use neph_store::{
    AlertAction, AlertChange, Commit, Database, JobEnd, JobFinding, JobState, Seen, Selection, StoreError,
    StoredAlert,
};
use serde_json::Value;

use crate::work::Looked;

/// Alerts that are committed at once.
const AT_ONCE: usize = 500;
/// Alerts that one run makes at most. What comes after them is new for the next run, so that none is lost.
const MOST: usize = 5_000;
/// Bytes of a report that are kept.
const REPORT: usize = 16 << 20;
/// The tag of alerts whose finding is gone.
const GONE: &str = "gone";

/// What came of keeping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) new: u64,
    pub(crate) gone: u64,
}

/// Keeps what a run of a job found. Alerts come first: if the service ends in between, the next run finds the same and makes none twice.
pub(crate) fn keep(
    db: &Database,
    job: &str,
    run: i64,
    looked: Looked,
    outputs: Vec<Arc<str>>,
    now: Instant,
) -> Result<(Kept, JobState, String), StoreError> {
    let before: BTreeMap<String, JobFinding> = db
        .job_findings(job)?
        .into_iter()
        .map(|finding| (finding.seen.id.clone(), finding))
        .collect();
    let is_back = |id: &str| before.get(id).is_some_and(|finding| finding.gone.is_some());
    let is_new = |seen: &&Seen| !before.contains_key(&seen.id) || is_back(&seen.id);
    let is_told = |seen: &&Seen| looked.least.is_some_and(|least| seen.severity >= least);
    let fresh: Vec<&Seen> = looked.open.iter().filter(is_new).collect();
    let told: Vec<&Seen> = fresh.iter().copied().filter(is_told).collect();
    let left: BTreeSet<String> = told.iter().skip(MOST).map(|seen| seen.id.clone()).collect();
    let told: BTreeSet<&str> = told.iter().take(MOST).map(|seen| seen.id.as_str()).collect();
    let back: Vec<String> = told
        .iter()
        .filter(|id| is_back(id))
        .map(|id| (*id).to_owned())
        .collect();
    let new = fresh.len().saturating_sub(left.len()) as u64;
    raise(db, (looked.tell)(&told), &back, outputs, now)?;
    let open: BTreeSet<&str> = looked.open.iter().map(|seen| seen.id.as_str()).collect();
    let gone: Vec<String> = before
        .values()
        .filter(|finding| finding.gone.is_none())
        .map(|finding| &finding.seen)
        .filter(|seen| !open.contains(seen.id.as_str()) && !looked.answered.contains(&seen.id))
        .filter(|seen| (looked.is_gone)(&seen.place))
        .map(|seen| seen.id.clone())
        .collect();
    let who = format!("neph ({job})");
    let act = |ids: &[String], action: AlertAction| {
        // Findings that were too mild to be told have no alert, which is no matter here.
        let ids = Selection::Ids(ids.to_vec());
        db.act(ids, action, &who, now).map(drop)
    };
    let tags = || vec![GONE.to_owned()];
    for some in gone.chunks(AT_ONCE) {
        act(some, AlertAction::AddTags { tags: tags() })?;
        let text = format!("`{job}` does not find it any more");
        act(some, AlertAction::Note { text })?;
    }
    for some in back.chunks(AT_ONCE) {
        act(some, AlertAction::RemoveTags { tags: tags() })?;
        act(some, AlertAction::Open)?;
        let text = format!("`{job}` found it again");
        act(some, AlertAction::Note { text })?;
    }
    let mut problems = looked.problems;
    if !left.is_empty() {
        problems.push(format!("{} findings wait to be told by the next run", left.len()));
    }
    let state = match problems.is_empty() {
        true => JobState::Done,
        false => JobState::Partial,
    };
    let why = why(&problems);
    let report = looked.report.map(|report| report.to_string().into_bytes());
    let seen = looked.open.into_iter().filter(|seen| !left.contains(&seen.id));
    let kept = Kept {
        new,
        gone: gone.len() as u64,
    };
    db.job_ended(
        run,
        JobEnd {
            at: now,
            state,
            why: why.clone(),
            seen: seen.collect(),
            new,
            gone,
            report: report.filter(|report| report.len() <= REPORT),
        },
    )?;
    Ok((kept, state, why))
}

fn why(problems: &[String]) -> String {
    match problems {
        [] => String::new(),
        [only] => only.clone(),
        [first, rest @ ..] => format!("{first}, and {} more", rest.len()),
    }
}

/// Raises the alerts of findings that are new, and tells those again that are back.
fn raise(
    db: &Database,
    documents: Vec<Value>,
    back: &[String],
    outputs: Vec<Arc<str>>,
    now: Instant,
) -> Result<(), StoreError> {
    let back: BTreeSet<&str> = back.iter().map(String::as_str).collect();
    let mut changes = Vec::with_capacity(documents.len());
    for document in documents {
        let alert = StoredAlert::from_document(document.to_string().into_bytes())?;
        changes.push(match back.contains(alert.id.as_str()) {
            true => AlertChange::Updated(alert),
            false => AlertChange::Raised(alert),
        });
    }
    for some in changes.chunks(AT_ONCE) {
        db.commit(Commit {
            now,
            alerts: some.to_vec(),
            outputs: outputs.clone(),
            ..Commit::default()
        })?;
    }
    Ok(())
}
