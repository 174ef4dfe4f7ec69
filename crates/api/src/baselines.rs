//! Snapshots and images against their baseline: what is new, changed, shared or gone, who did it, what of that is approved.
//!
//! What was collected is read whenever somebody asks, so the answer is never older than the files. Approvals stand in one file, which people
//! write as well; what is added here is shown as a difference first.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant as Clock;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use neph_baseline::{
    Act, Actors, Approvals, Baseline, Collected, Difference, Entry, Finding, History, NewApproval, Review,
    approve, review,
};
use neph_event::Instant;
use neph_inventory::{Folder, Limits};
use neph_store::{AlertChange, Commit, Role, StoredAlert};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::edits::{self, Edit};
use crate::hunt::compile;
use crate::problem::Problem;
use crate::route::{Answer, Call, Route, Verb, schema_of};
use crate::search::scan;
use crate::when::now;

pub(crate) static ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/baselines",
        Role::Viewer,
        "baselines.compare",
        "How the snapshots and images that were collected differ from the newest baseline, and what of that is approved.",
        schema_of::<Value>,
        compare,
    )
    .heavy(),
    Route::get(
        "/api/v1/baselines/{id}/acts",
        Role::Viewer,
        "baselines.acts",
        "Who did what is behind a difference, when and from where, by the audit events that are stored.",
        schema_of::<Value>,
        acts,
    )
    .heavy(),
    Route::post(
        "/api/v1/baselines/take",
        Role::Engineer,
        "baselines.take",
        "Takes what is collected now as the baseline.",
        schema_of::<Taken>,
        take,
    )
    .heavy(),
    Route::post(
        "/api/v1/baselines/approval/proposal",
        Role::Analyst,
        "baselines.propose",
        "What approving differences would change in the file of approvals.",
        schema_of::<Edit>,
        propose,
    )
    .with_body(schema_of::<NewSign>),
    Route::post(
        "/api/v1/baselines/approval",
        Role::Engineer,
        "baselines.approve",
        "Approves differences: adds an entry to the file of approvals.",
        schema_of::<Edit>,
        write,
    )
    .with_verb(Verb::Put)
    .with_body(schema_of::<NewSign>),
    Route::post(
        "/api/v1/baselines/alerts",
        Role::Analyst,
        "baselines.alerts",
        "Makes alerts of differences that nobody approved.",
        schema_of::<Made>,
        alerts,
    )
    .with_body(schema_of::<Which>)
    .heavy(),
];

/// Differences of one request at most.
const MOST: usize = 1000;
/// Longest note, in bytes.
const LONGEST: usize = 4 << 10;
/// What people call the file that is written.
const APPROVALS: &str = "the file of approvals";
/// Comparisons of the past that are told.
const PAST: usize = 50;

/// Where baselines come from.
#[derive(Clone, Debug, Default)]
pub struct BaselineFiles {
    /// Files and folders of what was collected; none where there is nothing to compare.
    pub collected: Vec<PathBuf>,
    /// The folder of baselines.
    pub folder: PathBuf,
    /// The file of approvals.
    pub approvals: PathBuf,
}

/// What is compared, read.
struct Compared {
    review: Review,
    baseline: Baseline,
    collected: CollectedBrief,
}

/// What is told of what was collected.
#[derive(Serialize)]
struct CollectedBrief {
    records: usize,
    problems: Vec<neph_baseline::Problem>,
    more_problems: usize,
    /// When collectors ended.
    ended: Option<Timestamp>,
}

fn timestamp(at: Instant) -> Timestamp {
    Timestamp::new(at.seconds, i32::try_from(at.nanos).unwrap_or(0)).unwrap_or_default()
}

fn day(at: Instant) -> Date {
    timestamp(at).to_zoned(TimeZone::UTC).date()
}

fn failed(what: &str, error: &dyn std::fmt::Display) -> Problem {
    Problem::failed(format!("{what} cannot be read: {error}"))
}

fn files<'c>(call: &'c Call<'_>) -> Result<&'c BaselineFiles, Problem> {
    let files = &call.app.baselines;
    match files.collected.is_empty() {
        true => Err(Problem::invalid(
            "the configuration names nothing that was collected: set `collected` of `[baselines]`",
        )),
        false => Ok(files),
    }
}

fn collect(files: &BaselineFiles) -> (Collected, Option<Timestamp>) {
    let folder = Folder::open(&files.collected, &Limits::default());
    let ended = folder.collections().map(|(_, collection)| collection.ended).max();
    (Collected::read(&folder), ended)
}

/// Compares; nothing where no baseline was taken yet.
fn compared(files: &BaselineFiles, history: &History, today: Date) -> Result<Option<Compared>, Problem> {
    let Some((_, _, path)) = history.baselines.last() else {
        return Ok(None);
    };
    let file = std::fs::File::open(path).map_err(|error| failed("the baseline", &error))?;
    let baseline = Baseline::read(file).map_err(|error| failed("the baseline", &error))?;
    let (approvals, _) = Approvals::read(
        &edits::read(&files.approvals, APPROVALS)?.unwrap_or_default(),
        today,
    );
    let (collected, ended) = collect(files);
    let review = review(&baseline, &collected, &approvals, today);
    Ok(Some(Compared {
        review,
        baseline,
        collected: CollectedBrief {
            records: collected.records.len(),
            problems: collected.problems,
            more_problems: collected.more_problems,
            ended,
        },
    }))
}

fn history(files: &BaselineFiles) -> Result<History, Problem> {
    History::read(&files.folder).map_err(|error| failed("the folder of baselines", &error))
}

fn compare(call: &Call<'_>) -> Result<Answer, Problem> {
    let files = &call.app.baselines;
    if files.collected.is_empty() {
        return Answer::json(&json!({ "configured": false }));
    }
    let today = day(now());
    let history = history(files)?;
    let compared = compared(files, &history, today)?;
    let first_seen = history.first_seen();
    let findings = compared.iter().flat_map(|compared| &compared.review.findings);
    let findings: Vec<Value> = findings
        .map(|finding| {
            let mut value = json!(finding);
            if let Some(object) = value.as_object_mut() {
                object.insert("severity".into(), json!(finding.difference.severity()));
                object.insert("title".into(), json!(finding.difference.record.title()));
                let first = first_seen.get(finding.difference.id.as_str());
                object.insert("first_seen".into(), json!(first));
            }
            value
        })
        .collect();
    let (_, wrong) = Approvals::read(
        &edits::read(&files.approvals, APPROVALS)?.unwrap_or_default(),
        today,
    );
    let past = history.comparisons.iter().rev().take(PAST).map(|kept| {
        json!({
            "compared": kept.compared, "by": kept.by, "baseline": kept.baseline, "unknown": kept.unknown,
            "differences": kept.differences.len(),
            "open": kept.differences.iter().filter(|one| one.standing != "approved").count(),
        })
    });
    let review = compared.as_ref().map(|compared| &compared.review);
    Answer::json(&json!({
        "configured": true,
        "baseline": compared.as_ref().map(|compared| json!({
            "taken": compared.baseline.taken, "by": compared.baseline.by, "records": compared.baseline.records.len(),
        })),
        "collected": compared.as_ref().map(|compared| &compared.collected),
        "findings": findings,
        "unknown": review.map(|review| &review.unknown),
        "not_compared": review.map(|review| &review.not_compared),
        "same": review.map(|review| review.same),
        "sharing_unknown": review.map(|review| review.sharing_unknown),
        "approvals": { "file": files.approvals.display().to_string(), "wrong": wrong.len() },
        "baselines": history.baselines.iter().rev().take(PAST).map(|(taken, by, path)| json!({
            "taken": taken, "by": by, "file": path.display().to_string(),
        })).collect::<Vec<_>>(),
        "comparisons": past.collect::<Vec<_>>(),
        "refused": history.refused.iter().map(|(path, why)| format!("{}: {why}", path.display())).collect::<Vec<_>>(),
    }))
}

/// The comparison, and the findings of these ids.
fn found(call: &Call<'_>, ids: &[String]) -> Result<(Compared, Vec<Finding>), Problem> {
    let files = files(call)?;
    let compared = compared(files, &history(files)?, day(now()))?
        .ok_or_else(|| Problem::invalid("there is no baseline yet; take one first"))?;
    let wanted: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
    let findings: Vec<Finding> = compared
        .review
        .findings
        .iter()
        .filter(|finding| wanted.contains(finding.difference.id.as_str()))
        .cloned()
        .collect();
    let there: BTreeSet<&str> = findings.iter().map(|one| one.difference.id.as_str()).collect();
    match wanted.difference(&there).next() {
        Some(missing) => Err(Problem::missing("difference", missing)),
        None => Ok((compared, findings)),
    }
}

/// The acts behind differences since the baseline, of the events that are stored.
pub(crate) fn acts_of(
    call: &Call<'_>,
    since: Timestamp,
    differences: &[Difference],
) -> Result<(Vec<Vec<Act>>, Option<&'static str>), Problem> {
    let mut actors = Actors::new(differences, since).map_err(Problem::invalid)?;
    let (Some(plan), _) = compile("any where true", Some("eql"))? else {
        return Err(Problem::failed("events cannot be read"));
    };
    let deadline = Clock::now() + call.app.limits.query_time;
    let from = Instant::from_nanos(since.as_nanosecond());
    let scanned = scan(call, &plan, from..now(), None, deadline, &mut |found| {
        for event in found.events.iter().filter_map(|(_, event)| event.as_ref()) {
            if let Ok(Value::Object(document)) = serde_json::from_slice(event.document()) {
                actors.event(&document);
            }
        }
        true
    })?;
    Ok((actors.finish(differences.len()), scanned.stopped))
}

fn acts(call: &Call<'_>) -> Result<Answer, Problem> {
    let id = call.part("id").to_owned();
    let (compared, findings) = found(call, &[id])?;
    let differences: Vec<Difference> = findings.into_iter().map(|finding| finding.difference).collect();
    let (acts, stopped) = acts_of(call, compared.baseline.taken, &differences)?;
    Answer::json(&json!({
        "since": compared.baseline.taken, "acts": acts.into_iter().flatten().collect::<Vec<_>>(), "stopped": stopped,
    }))
}

/// A baseline that was taken.
#[derive(Debug, Serialize, JsonSchema)]
struct Taken {
    /// Its file.
    file: String,
    /// When.
    taken: String,
    /// Snapshots and images in it.
    records: usize,
}

fn take(call: &Call<'_>) -> Result<Answer, Problem> {
    let files = files(call)?;
    let _alone = call.app.writing();
    let (collected, _) = collect(files);
    if collected.records.is_empty() && collected.covers.is_empty() {
        return Err(Problem::invalid(
            "nothing was collected that a baseline could be of",
        ));
    }
    let by = format!("neph {} for {}", env!("CARGO_PKG_VERSION"), call.who.name);
    let baseline = Baseline::take(collected, timestamp(now()), by);
    let written = std::fs::create_dir_all(&files.folder).and_then(|()| baseline.keep(&files.folder));
    let path =
        written.map_err(|error| Problem::failed(format!("the baseline cannot be written: {error}")))?;
    call.about(path.display().to_string());
    Answer::json(&Taken {
        file: path.display().to_string(),
        taken: baseline.taken.to_string(),
        records: baseline.records.len(),
    })
}

/// Which differences.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Their ids.
    ids: Vec<String>,
}

/// An approval.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewSign {
    /// Ids of the differences.
    ids: Vec<String>,
    /// Why.
    note: String,
    /// The last day on which it counts: `2027-01-31`.
    #[schemars(regex(pattern = r"^20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])$"))]
    expires: String,
    /// `base` of the proposal that was shown; null where the file was not there.
    #[serde(default)]
    base: Option<String>,
}

fn few(ids: &[String]) -> Result<(), Problem> {
    match ids.is_empty() || ids.len() > MOST || ids.iter().any(|id| id.is_empty() || id.len() > 200) {
        true => Err(Problem::invalid(format!("name 1 to {MOST} differences by `ids`"))),
        false => Ok(()),
    }
}

fn judge(call: &Call<'_>, new: &NewSign) -> Result<Edit, Problem> {
    few(&new.ids)?;
    if new.note.trim().is_empty() || new.note.len() > LONGEST {
        return Err(Problem::invalid(format!(
            "`note` must say why, in at most {LONGEST} bytes"
        )));
    }
    let expires: Date = new
        .expires
        .parse()
        .map_err(|_| Problem::invalid(format!("`{}` is no day; write `2027-01-31`", new.expires)))?;
    let today = day(now());
    if expires < today {
        return Err(Problem::invalid("`expires` must not be in the past"));
    }
    let files = files(call)?;
    let before = edits::read(&files.approvals, APPROVALS)?;
    let approval = NewApproval {
        patterns: vec![("difference", new.ids.clone())],
        owner: Some(call.who.name.to_string()),
        note: Some(new.note.trim().to_owned()),
        expires: Some(expires),
        ..NewApproval::default()
    };
    let text = approve(before.as_deref().unwrap_or_default(), Entry::Approved, &approval)
        .map_err(|why| Problem::invalid(format!("the file of approvals cannot be changed: {why}")))?;
    let (_, diagnostics) = Approvals::read(&text, today);
    Ok(Edit::new(
        &files.approvals,
        "approvals.toml",
        before.as_deref(),
        text,
        &diagnostics,
    ))
}

fn propose(call: &Call<'_>) -> Result<Answer, Problem> {
    let new: NewSign = call.body()?;
    Answer::json(&judge(call, &new)?)
}

fn write(call: &Call<'_>) -> Result<Answer, Problem> {
    let new: NewSign = call.body()?;
    let _alone = call.app.writing();
    let mut edit = judge(call, &new)?;
    edit.write(call, &files(call)?.approvals, new.base.as_deref(), APPROVALS)?;
    Answer::json(&edit)
}

/// Alerts that were made.
#[derive(Debug, Serialize, JsonSchema)]
struct Made {
    /// Ids of the alerts.
    alerts: Vec<String>,
    /// Those of them that were not there before.
    new: usize,
}

fn alerts(call: &Call<'_>) -> Result<Answer, Problem> {
    let Which { ids } = call.body()?;
    few(&ids)?;
    call.about(ids.join(" "));
    let (compared, findings) = found(call, &ids)?;
    if let Some(one) = findings.iter().find(|one| !one.standing.is_open()) {
        return Err(Problem::invalid(format!("`{}` is approved", one.difference.id)));
    }
    let differences: Vec<Difference> = findings
        .iter()
        .map(|finding| finding.difference.clone())
        .collect();
    let (acts, _) = acts_of(call, compared.baseline.taken, &differences)?;
    let at = now();
    let mut made = Vec::new();
    for (finding, acts) in findings.iter().zip(&acts) {
        let alert = neph_baseline::alert(&finding.difference, acts, &finding.standing, timestamp(at));
        let document = serde_json::to_vec(&alert.document).unwrap_or_default();
        made.push(StoredAlert::from_document(document)?);
    }
    let ids: Vec<String> = made.iter().map(|alert| alert.id.clone()).collect();
    let committed = call.app.store.db.commit(Commit {
        now: at,
        alerts: made.into_iter().map(AlertChange::Raised).collect(),
        outputs: call.app.options.outputs.get(),
        ..Commit::default()
    })?;
    Answer::json(&Made {
        alerts: ids,
        new: committed.raised.len(),
    })
}
