//! Whether the mitigations are there: the checks of `neph audit run` over what was collected, what is muted, and the runs before.
//!
//! What was collected is read whenever somebody asks. Mutes stand in one file, which people write as well; what is added here is shown as a
//! difference first.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use neph_event::Instant;
use neph_posture::audit::{Collected, Finding, History, Mutes, Outcome, Report, Run, Selection, run};
use neph_store::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::edits::{self, Edit};
use crate::problem::Problem;
use crate::route::{Answer, Call, Route, Verb, schema_of};
use crate::when::now;

pub(crate) static ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/posture",
        Role::Viewer,
        "posture.check",
        "What the checks of settings answer about what was collected: failures, what is unknown, what is muted.",
        schema_of::<Value>,
        check,
    )
    .heavy(),
    Route::post(
        "/api/v1/posture/runs",
        Role::Engineer,
        "posture.run",
        "Runs the checks and remembers the run.",
        schema_of::<Ran>,
        remember,
    )
    .heavy(),
    Route::post(
        "/api/v1/posture/mute/proposal",
        Role::Analyst,
        "posture.propose",
        "What muting a failure would change in the list of mutes.",
        schema_of::<Edit>,
        propose,
    )
    .with_body(schema_of::<NewMute>),
    Route::post(
        "/api/v1/posture/mute",
        Role::Engineer,
        "posture.mute",
        "Mutes a failure: adds an entry to the list of mutes.",
        schema_of::<Edit>,
        write,
    )
    .with_verb(Verb::Put)
    .with_body(schema_of::<NewMute>),
];

/// Findings that are told at most, failures first.
const MOST: usize = 5000;
/// Runs that are told.
const PAST: usize = 100;
/// Longest text, in bytes.
const LONGEST: usize = 4 << 10;
/// What people call the file that is written.
const MUTES: &str = "the list of mutes";

/// Where what is checked comes from.
#[derive(Clone, Debug, Default)]
pub struct PostureFiles {
    /// Files and folders of what was collected; none where there is nothing to check.
    pub collected: Vec<PathBuf>,
    /// The list of mutes.
    pub mutes: PathBuf,
    /// The folder of runs.
    pub history: PathBuf,
}

fn timestamp(at: Instant) -> Timestamp {
    Timestamp::new(at.seconds, i32::try_from(at.nanos).unwrap_or(0)).unwrap_or_default()
}

fn today() -> Date {
    timestamp(now()).to_zoned(TimeZone::UTC).date()
}

fn asked(files: &PostureFiles) -> Result<(Collected, Report, Mutes), Problem> {
    let (mutes, _) = Mutes::read(&edits::read(&files.mutes, MUTES)?.unwrap_or_default(), today());
    let collected = Collected::read(&files.collected, &mut |_, _| {});
    let mut report = run(&collected, &Selection::default(), &mut |_, _| {});
    report.mute(&mutes);
    Ok((collected, report, mutes))
}

fn history(files: &PostureFiles) -> Result<History, Problem> {
    History::read(&files.history).map_err(|error| Problem::failed(error.to_string()))
}

/// A failure that no earlier run knew is told by the first run that did.
fn first_failed(history: &History) -> BTreeMap<&str, Timestamp> {
    let mut first = BTreeMap::new();
    for run in history.runs() {
        for key in &run.failed {
            first.entry(key.as_str()).or_insert(run.at);
        }
    }
    first
}

fn check(call: &Call<'_>) -> Result<Answer, Problem> {
    let files = &call.app.posture;
    if files.collected.is_empty() {
        return Answer::json(&json!({ "configured": false }));
    }
    let (collected, report, mutes) = asked(files)?;
    let history = history(files)?;
    let first = first_failed(&history);
    let told = |finding: &Finding, muted: Option<usize>| {
        let mut value = json!(finding);
        if let Some(object) = value.as_object_mut() {
            let mute = muted.and_then(|number| mutes.entries.get(number));
            object.insert("mute".into(), json!(mute));
            object.insert("first_failed".into(), json!(first.get(finding.key().as_str())));
        }
        value
    };
    let muted = report
        .muted
        .iter()
        .map(|(finding, number)| (finding, Some(*number)));
    let mut all: Vec<(&Finding, Option<usize>)> = report
        .findings
        .iter()
        .map(|finding| (finding, None))
        .chain(muted)
        .collect();
    all.sort_by_key(|(finding, _)| (finding.outcome, std::cmp::Reverse(finding.severity)));
    let mut counts: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for (finding, muted) in &all {
        let outcome = match muted {
            Some(_) => "muted",
            None => finding.outcome.name(),
        };
        *counts
            .entry(finding.check)
            .or_default()
            .entry(outcome)
            .or_default() += 1;
    }
    let checks = report.checks.iter().map(|check| {
        let mut value = check.document();
        if let Some(object) = value.as_object_mut() {
            object.insert("counts".into(), json!(counts.get(check.id)));
        }
        value
    });
    let runs = history.runs().iter().rev().take(PAST).map(|run| {
        json!({ "at": run.at, "failed": run.failed.len(), "passed": run.passed, "unknown": run.unknown })
    });
    let (_, wrong) = Mutes::read(&edits::read(&files.mutes, MUTES)?.unwrap_or_default(), today());
    Answer::json(&json!({
        "configured": true,
        "files": collected.files(),
        "checks": checks.collect::<Vec<_>>(),
        "findings": all.iter().take(MOST).map(|(finding, muted)| told(finding, *muted)).collect::<Vec<_>>(),
        "more": all.len().saturating_sub(MOST) + report.more,
        "failed": report.count(Outcome::Fail),
        "unknown": report.count(Outcome::Unknown),
        "passed": report.count(Outcome::Pass),
        "muted": report.muted.len(),
        "mutes": { "file": files.mutes.display().to_string(), "wrong": wrong.len() },
        "runs": runs.collect::<Vec<_>>(),
    }))
}

fn configured<'c>(call: &'c Call<'_>) -> Result<&'c PostureFiles, Problem> {
    let files = &call.app.posture;
    match files.collected.is_empty() {
        true => Err(Problem::invalid(
            "the configuration names nothing that was collected: set `collected` of `[posture]`",
        )),
        false => Ok(files),
    }
}

/// A run that is remembered.
#[derive(Debug, Serialize, JsonSchema)]
struct Ran {
    /// Its file.
    file: String,
    /// Failures, muted ones included.
    failed: usize,
    /// Failures that no run before knew.
    new: usize,
}

fn remember(call: &Call<'_>) -> Result<Answer, Problem> {
    let files = configured(call)?;
    let _alone = call.app.writing();
    let (_, report, _) = asked(files)?;
    let history = history(files)?;
    let run = Run::of(&report, timestamp(now()));
    let known = first_failed(&history);
    let new = run
        .failed
        .iter()
        .filter(|key| !known.contains_key(key.as_str()))
        .count();
    let path = run
        .write(&files.history)
        .map_err(|error| Problem::failed(error.to_string()))?;
    call.about(path.display().to_string());
    Answer::json(&Ran {
        file: path.display().to_string(),
        failed: run.failed.len(),
        new,
    })
}

/// A mute.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewMute {
    /// The check's id.
    check: String,
    /// The resource, as the finding names it.
    resource: String,
    /// Its account; any where it is null.
    #[serde(default)]
    account: Option<String>,
    /// Why.
    reason: String,
    /// The last day on which it counts: `2027-01-31`.
    #[schemars(regex(pattern = r"^20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])$"))]
    expires: String,
    /// `base` of the proposal that was shown; null where the file was not there.
    #[serde(default)]
    base: Option<String>,
}

/// A text as TOML writes it: JSON's strings are TOML's, but for one character (<https://toml.io/en/v1.0.0#string>).
fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

fn judge(call: &Call<'_>, new: &NewMute) -> Result<Edit, Problem> {
    let files = configured(call)?;
    let texts = [&new.check, &new.resource, &new.reason];
    if texts
        .iter()
        .any(|text| text.trim().is_empty() || text.len() > LONGEST)
    {
        return Err(Problem::invalid(format!(
            "`check`, `resource` and `reason` must be there, each of at most {LONGEST} bytes"
        )));
    }
    let expires: Date = new
        .expires
        .parse()
        .map_err(|_| Problem::invalid(format!("`{}` is no day; write `2027-01-31`", new.expires)))?;
    if expires < today() {
        return Err(Problem::invalid("`expires` must not be in the past"));
    }
    let before = edits::read(&files.mutes, MUTES)?;
    let mut text = before.clone().unwrap_or_default();
    if !text.is_empty() {
        text.truncate(text.trim_end().len());
        text.push_str("\n\n");
    }
    text.push_str("[[mute]]\n");
    let account = new.account.as_deref().filter(|account| !account.is_empty());
    for (key, value) in [
        ("check", Some(new.check.as_str())),
        ("resource", Some(new.resource.as_str())),
        ("account", account),
        ("owner", Some(&*call.who.name)),
        ("reason", Some(new.reason.trim())),
    ] {
        if let Some(value) = value {
            text.push_str(&format!("{key} = {}\n", quoted(value)));
        }
    }
    text.push_str(&format!("expires = {expires}\n"));
    let (_, diagnostics) = Mutes::read(&text, today());
    Ok(Edit::new(
        &files.mutes,
        "mutes.toml",
        before.as_deref(),
        text,
        &diagnostics,
    ))
}

fn propose(call: &Call<'_>) -> Result<Answer, Problem> {
    let new: NewMute = call.body()?;
    Answer::json(&judge(call, &new)?)
}

fn write(call: &Call<'_>) -> Result<Answer, Problem> {
    let new: NewMute = call.body()?;
    let _alone = call.app.writing();
    let mut edit = judge(call, &new)?;
    edit.write(call, &configured(call)?.mutes, new.base.as_deref(), MUTES)?;
    Answer::json(&edit)
}
