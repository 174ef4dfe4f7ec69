//! What the service looks at on a schedule: when it is due, what came of its runs, and which findings there are.

use std::time::Duration;

use neph_event::Instant;
use rusqlite::{Connection, OptionalExtension, Row};

use crate::alerts::Severity;
use crate::database::{from_nanos, pack, to_nanos, unpack};
use crate::ledger::{count_from_sql, count_to_sql};
use crate::{Database, StoreError};

/// Runs of a job that are kept.
const RUNS: i64 = 500;
/// Findings that are gone are kept so long.
const GONE: i64 = 90 * 86_400 * 1_000_000_000;

/// Something that is looked at again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its name: `baselines`, `images/shop`.
    pub name: String,
    /// What kind: `baselines`, `posture`, `images`, `collect`.
    pub kind: String,
    /// How often, where it is looked at by the clock.
    pub every: Option<Duration>,
    /// Whether it is looked at when its files change.
    pub on_change: bool,
    /// When it is looked at next, as far as the clock tells.
    pub due: Option<Instant>,
}

/// What came of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// It runs.
    Running,
    /// It saw everything.
    Done,
    /// It did not see everything.
    Partial,
    /// Nothing came of it.
    Failed,
    /// The service ended before it did.
    Interrupted,
}

impl JobState {
    const ALL: [Self; 5] = [
        Self::Running,
        Self::Done,
        Self::Partial,
        Self::Failed,
        Self::Interrupted,
    ];

    /// `done`
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }

    fn number(self) -> i64 {
        let place = Self::ALL.iter().position(|state| *state == self);
        place.and_then(|place| i64::try_from(place).ok()).unwrap_or(0)
    }

    fn of_number(number: i64) -> Self {
        let found = usize::try_from(number)
            .ok()
            .and_then(|place| Self::ALL.get(place));
        found.copied().unwrap_or(Self::Failed)
    }
}

/// One run of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRun {
    /// Its number.
    pub id: i64,
    /// The job.
    pub job: String,
    /// When it began.
    pub began: Instant,
    /// When it ended, if it did.
    pub ended: Option<Instant>,
    /// What came of it.
    pub state: JobState,
    /// Why it failed, or what it did not see; or empty.
    pub why: String,
    /// How its files looked when it began: equal if none changed.
    pub print: String,
    /// Findings that are open.
    pub found: u64,
    /// Of these: that were not there before, or are back.
    pub new: u64,
    /// Findings that are gone since the run before.
    pub gone: u64,
}

/// A finding of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Equal in all runs; the alert that it became has the same.
    pub id: String,
    /// The part of what is looked at that has to be seen for the finding to be known as gone.
    pub place: String,
    /// What it is, in a sentence.
    pub title: String,
    /// How bad.
    pub severity: Severity,
}

/// A finding, with when it was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobFinding {
    /// What it is.
    pub seen: Seen,
    /// When it was found first.
    pub first: Instant,
    /// When it was found last.
    pub last: Instant,
    /// Since when it is known to be gone.
    pub gone: Option<Instant>,
    /// How often it came back.
    pub returns: u64,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct JobEnd {
    /// When.
    pub at: Instant,
    /// What came of it.
    pub state: JobState,
    /// Why it failed, or what it did not see.
    pub why: String,
    /// The findings that are open.
    pub seen: Vec<Seen>,
    /// How many of them are new, or back.
    pub new: u64,
    /// Ids of findings that are gone.
    pub gone: Vec<String>,
    /// What is shown of the run, as JSON; that of the run before goes. None keeps it.
    pub report: Option<Vec<u8>>,
}

impl Database {
    /// Says which jobs there are. Runs that are said to be on were interrupted.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn set_jobs(&self, jobs: Vec<Job>) -> Result<(), StoreError> {
        self.write(move |db| {
            db.execute("DELETE FROM jobs", [])?;
            for job in &jobs {
                db.execute(
                    "INSERT OR REPLACE INTO jobs (name, kind, every, on_change, due) VALUES (?1, ?2, ?3, ?4, ?5)",
                    (
                        &job.name,
                        &job.kind,
                        job.every
                            .map(|every| i64::try_from(every.as_nanos()).unwrap_or(i64::MAX)),
                        job.on_change,
                        job.due.map(to_nanos),
                    ),
                )?;
            }
            db.execute(
                "UPDATE job_runs SET state = ?1, why = 'the service ended before it did', ended = began WHERE state = ?2",
                (JobState::Interrupted.number(), JobState::Running.number()),
            )?;
            Ok(())
        })
    }

    /// Notes when a job is due.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn job_due(&self, job: &str, due: Option<Instant>) -> Result<(), StoreError> {
        let job = job.to_owned();
        self.write(move |db| {
            db.execute(
                "UPDATE jobs SET due = ?2 WHERE name = ?1",
                (job, due.map(to_nanos)),
            )?;
            Ok(())
        })
    }

    /// Notes that a run begins; gives its number.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn job_began(&self, job: &str, print: &str, now: Instant) -> Result<i64, StoreError> {
        let (job, print) = (job.to_owned(), print.to_owned());
        self.write(move |db| {
            db.execute(
                "INSERT INTO job_runs (job, began, state, why, print, found, fresh, gone) VALUES (?1, ?2, ?3, '', ?4, 0, 0, 0)",
                (job, to_nanos(now), JobState::Running.number(), print),
            )?;
            Ok(db.last_insert_rowid())
        })
    }

    /// Notes how a run ended, and which findings there are.
    ///
    /// # Errors
    ///
    /// There is no such run; the database failed.
    pub fn job_ended(&self, run: i64, end: JobEnd) -> Result<(), StoreError> {
        self.write(move |db| ended(db, run, &end))
    }

    /// The jobs, by name.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn jobs(&self) -> Result<Vec<Job>, StoreError> {
        self.read(|db| {
            let mut statement =
                db.prepare_cached("SELECT name, kind, every, on_change, due FROM jobs ORDER BY name")?;
            let rows = statement.query_map([], |row| {
                let every: Option<i64> = row.get(2)?;
                Ok(Job {
                    name: row.get(0)?,
                    kind: row.get(1)?,
                    every: every.map(|every| Duration::from_nanos(u64::try_from(every).unwrap_or(0))),
                    on_change: row.get(3)?,
                    due: row.get::<_, Option<i64>>(4)?.map(from_nanos),
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// The newest runs of a job, newest first.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn job_runs(&self, job: &str, limit: u32) -> Result<Vec<JobRun>, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT id, job, began, ended, state, why, print, found, fresh, gone FROM job_runs WHERE job = ?1
                 ORDER BY id DESC LIMIT ?2",
            )?;
            let rows = statement.query_map((job, limit), run)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// What is shown of the newest run that has something to show.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn job_report(&self, job: &str) -> Result<Option<(Instant, Vec<u8>)>, StoreError> {
        let found: Option<(i64, Vec<u8>)> = self.read(|db| {
            Ok(db
                .prepare_cached(
                    "SELECT ended, report FROM job_runs WHERE job = ?1 AND report IS NOT NULL AND ended IS NOT NULL
                     ORDER BY id DESC LIMIT 1",
                )?
                .query_row([job], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?)
        })?;
        found
            .map(|(ended, packed)| Ok((from_nanos(ended), unpack(&packed)?)))
            .transpose()
    }

    /// The findings of a job, those that are gone included, by id.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn job_findings(&self, job: &str) -> Result<Vec<JobFinding>, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT id, place, title, severity, first, last, gone, returns FROM job_findings WHERE job = ?1 ORDER BY id",
            )?;
            let rows = statement.query_map([job], |row| {
                Ok(JobFinding {
                    seen: Seen {
                        id: row.get(0)?,
                        place: row.get(1)?,
                        title: row.get(2)?,
                        severity: Severity::from_number(row.get(3)?),
                    },
                    first: from_nanos(row.get(4)?),
                    last: from_nanos(row.get(5)?),
                    gone: row.get::<_, Option<i64>>(6)?.map(from_nanos),
                    returns: count_from_sql(row, 7)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

fn run(row: &Row<'_>) -> rusqlite::Result<JobRun> {
    Ok(JobRun {
        id: row.get(0)?,
        job: row.get(1)?,
        began: from_nanos(row.get(2)?),
        ended: row.get::<_, Option<i64>>(3)?.map(from_nanos),
        state: JobState::of_number(row.get(4)?),
        why: row.get(5)?,
        print: row.get(6)?,
        found: count_from_sql(row, 7)?,
        new: count_from_sql(row, 8)?,
        gone: count_from_sql(row, 9)?,
    })
}

fn ended(db: &Connection, run: i64, end: &JobEnd) -> Result<(), StoreError> {
    let job: Option<String> = db
        .prepare_cached("SELECT job FROM job_runs WHERE id = ?1")?
        .query_row([run], |row| row.get(0))
        .optional()?;
    let job = job.ok_or_else(|| StoreError::Missing {
        what: "run",
        id: run.to_string(),
    })?;
    let at = to_nanos(end.at);
    let mut gone = 0;
    if matches!(end.state, JobState::Done | JobState::Partial) {
        let mut seen = db.prepare_cached(
            "INSERT INTO job_findings (job, id, place, title, severity, first, last) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
             ON CONFLICT (job, id) DO UPDATE SET place = ?3, title = ?4, severity = ?5, last = ?6,
                 returns = returns + (gone IS NOT NULL), gone = NULL",
        )?;
        for one in &end.seen {
            seen.execute((&job, &one.id, &one.place, &one.title, one.severity.number(), at))?;
        }
        let mut left = db.prepare_cached(
            "UPDATE job_findings SET gone = ?3 WHERE job = ?1 AND id = ?2 AND gone IS NULL",
        )?;
        for id in &end.gone {
            gone += left.execute((&job, id, at))?;
        }
    }
    let report = end.report.as_deref().map(pack).transpose()?;
    if report.is_some() {
        db.execute("UPDATE job_runs SET report = NULL WHERE job = ?1", [&job])?;
    }
    db.execute(
        "UPDATE job_runs SET ended = ?2, state = ?3, why = ?4, found = ?5, fresh = ?6, gone = ?7, report = ?8 WHERE id = ?1",
        (
            run,
            at,
            end.state.number(),
            &end.why,
            count_to_sql(end.seen.len() as u64),
            count_to_sql(end.new),
            count_to_sql(gone as u64),
            report,
        ),
    )?;
    // The newest report stays, however many runs failed since.
    db.execute(
        "DELETE FROM job_runs WHERE job = ?1 AND report IS NULL
             AND id NOT IN (SELECT id FROM job_runs WHERE job = ?1 ORDER BY id DESC LIMIT ?2)",
        (&job, RUNS),
    )?;
    db.execute(
        "DELETE FROM job_findings WHERE job = ?1 AND gone < ?2",
        (&job, at.saturating_sub(GONE)),
    )?;
    Ok(())
}
