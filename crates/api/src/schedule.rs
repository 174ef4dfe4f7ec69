//! What the service looks at on a schedule: when it did, what came of it, which findings there are, and what was gone since.

use jiff::Timestamp;
use neph_baseline::{Act, Difference};
use neph_store::{Job, JobFinding, JobRun, Role, Store, StoreError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::app::App;
use crate::keys::Who;
use crate::problem::Problem;
use crate::route::{Answer, Call, Route, schema_of};
use crate::wire::{time, word};

pub(crate) static ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/schedule",
        Role::Viewer,
        "schedule.list",
        "What is looked at again and again: when it was last, what came of it, when it is due.",
        schema_of::<Vec<StatusJob>>,
        |call| Answer::json(&jobs(&call.app.store)?),
    ),
    Route::get(
        "/api/v1/schedule/{job}",
        Role::Viewer,
        "schedule.read",
        "The runs of a job, newest first, and its findings, those included that are gone.",
        schema_of::<JobDetails>,
        read,
    ),
    Route::post(
        "/api/v1/schedule/{job}/run",
        Role::Engineer,
        "schedule.run",
        "Has a job run as soon as the one that is under way has ended.",
        schema_of::<Value>,
        run,
    ),
    Route::get(
        "/api/v1/images",
        Role::Viewer,
        "images.read",
        "What the newest run found of the container images that are looked at: how they differ from the golden ones, who signed them, drift.",
        schema_of::<Value>,
        images,
    ),
];

/// Runs that are told.
const RUNS: u32 = 100;

/// A job, and what came of its newest run.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct StatusJob {
    /// Its name.
    pub name: String,
    /// `baselines`, `posture`, `images`, `collect`.
    pub kind: String,
    /// How often it is done, in seconds, where it is done by the clock.
    pub every_seconds: Option<f64>,
    /// Whether it is done when its files change.
    pub on_change: bool,
    /// When it is due, as far as the clock tells.
    pub due: Option<String>,
    /// `running`, `done`, `partial`, `failed`, `interrupted`; null where it never ran.
    pub state: Option<String>,
    /// When the newest run began.
    pub began: Option<String>,
    /// When it ended.
    pub ended: Option<String>,
    /// Why it failed, or what it did not see.
    pub why: String,
    /// Findings that are open.
    pub found: u64,
    /// Of these: new ones.
    pub new: u64,
    /// Findings that are gone since the run before.
    pub gone: u64,
}

/// One run.
#[derive(Debug, Serialize, JsonSchema)]
struct Ran {
    /// When it began.
    began: String,
    /// When it ended.
    ended: Option<String>,
    /// `running`, `done`, `partial`, `failed`, `interrupted`.
    state: String,
    /// Why it failed, or what it did not see.
    why: String,
    /// Findings that are open.
    found: u64,
    /// Of these: new ones.
    new: u64,
    /// Findings that are gone since the run before.
    gone: u64,
}

/// A finding.
#[derive(Debug, Serialize, JsonSchema)]
struct Finding {
    /// Its id, which its alert has, too.
    id: String,
    /// What it is.
    title: String,
    /// How bad.
    severity: String,
    /// When it was found first.
    first: String,
    /// When it was found last.
    last: String,
    /// Since when it is known to be gone.
    gone: Option<String>,
    /// How often it came back.
    returns: u64,
}

/// All about a job.
#[derive(Debug, Serialize, JsonSchema)]
struct JobDetails {
    /// The job.
    job: StatusJob,
    /// Its runs, newest first.
    runs: Vec<Ran>,
    /// Its findings: those that are gone last, else the newest first.
    findings: Vec<Finding>,
}

impl From<JobRun> for Ran {
    fn from(run: JobRun) -> Self {
        Self {
            began: run.began.to_string(),
            ended: time(run.ended),
            state: word(&run.state),
            why: run.why,
            found: run.found,
            new: run.new,
            gone: run.gone,
        }
    }
}

impl From<JobFinding> for Finding {
    fn from(finding: JobFinding) -> Self {
        Self {
            id: finding.seen.id,
            title: finding.seen.title,
            severity: word(&finding.seen.severity),
            first: finding.first.to_string(),
            last: finding.last.to_string(),
            gone: time(finding.gone),
            returns: finding.returns,
        }
    }
}

fn with_run(job: Job, run: Option<JobRun>) -> StatusJob {
    let mut told = StatusJob {
        name: job.name,
        kind: job.kind,
        every_seconds: job.every.map(|every| every.as_secs_f64()),
        on_change: job.on_change,
        due: time(job.due),
        ..StatusJob::default()
    };
    if let Some(run) = run {
        told.state = Some(word(&run.state));
        told.began = Some(run.began.to_string());
        told.ended = time(run.ended);
        told.why = run.why;
        (told.found, told.new, told.gone) = (run.found, run.new, run.gone);
    }
    told
}

/// The jobs of a store.
pub(crate) fn jobs(store: &Store) -> Result<Vec<StatusJob>, StoreError> {
    let with = |job: Job| {
        let run = store.db.job_runs(&job.name, 1)?.into_iter().next();
        Ok(with_run(job, run))
    };
    store.db.jobs()?.into_iter().map(with).collect()
}

fn read(call: &Call<'_>) -> Result<Answer, Problem> {
    let name = call.part("job");
    let db = &call.app.store.db;
    let job = db.jobs()?.into_iter().find(|job| job.name == name);
    let job = job.ok_or_else(|| Problem::missing("job", name))?;
    let runs = db.job_runs(name, RUNS)?;
    let mut findings = db.job_findings(name)?;
    findings.sort_by_key(|one| (one.gone.is_some(), std::cmp::Reverse((one.gone, one.first))));
    Answer::json(&JobDetails {
        job: with_run(job, runs.first().cloned()),
        runs: runs.into_iter().map(Ran::from).collect(),
        findings: findings.into_iter().map(Finding::from).collect(),
    })
}

fn run(call: &Call<'_>) -> Result<Answer, Problem> {
    let name = call.part("job");
    match call
        .app
        .scheduler
        .get()
        .is_some_and(|scheduler| scheduler.want(name))
    {
        true => Answer::json(&json!({ "wanted": name })),
        false => Err(Problem::missing("job", name)),
    }
}

fn images(call: &Call<'_>) -> Result<Answer, Problem> {
    let db = &call.app.store.db;
    let mut told = Vec::new();
    for job in db.jobs()?.into_iter().filter(|job| job.kind == "images") {
        let report = db.job_report(&job.name)?;
        let at = time(report.as_ref().map(|(at, _)| *at));
        let report: Option<Value> = report.and_then(|(_, bytes)| serde_json::from_slice(&bytes).ok());
        let run = db.job_runs(&job.name, 1)?.into_iter().next();
        told.push(json!({
            "job": with_run(job, run), "at": at, "images": report.as_ref().and_then(|report| report.get("images")),
        }));
    }
    Answer::json(&json!({ "configured": !told.is_empty(), "groups": told }))
}

impl App {
    /// Who did what is behind differences since a time, by the audit events that are stored; nothing where they cannot be read.
    pub fn acts_of(&self, since: Timestamp, differences: &[Difference]) -> Vec<Vec<Act>> {
        let who = Who {
            name: "neph".into(),
            role: Role::Viewer,
        };
        let call = Call {
            app: self,
            who: &who,
            path: Vec::new(),
            query: serde_json::Map::new(),
            body: axum::body::Bytes::new(),
            cancel: std::sync::Arc::default(),
            resume: None,
            session: None,
            is_secure: false,
            target: std::sync::Mutex::default(),
        };
        match crate::baselines::acts_of(&call, since, differences) {
            Ok((acts, _)) => acts,
            Err(_) => vec![Vec::new(); differences.len()],
        }
    }

    /// What is looked at on a schedule.
    pub fn set_scheduler(&self, scheduler: std::sync::Arc<neph_schedule::Scheduler>) {
        let _ = self.scheduler.set(scheduler);
    }
}
