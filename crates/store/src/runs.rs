//! When the service ran.

use neph_event::Instant;

use crate::database::{from_nanos, to_nanos};
use crate::{Database, StoreError};

/// One run of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Number of the run.
    pub id: i64,
    /// When it started.
    pub started: Instant,
    /// When it last said that it runs.
    pub heartbeat: Instant,
    /// When it stopped in order; `None` while it runs, and after a crash.
    pub stopped: Option<Instant>,
    /// The program's version.
    pub version: String,
}

impl Database {
    /// Notes that the service starts; gives the number of the run.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn run_started(&self, now: Instant, version: &str) -> Result<i64, StoreError> {
        let version = version.to_owned();
        self.write(move |db| {
            db.execute(
                "INSERT INTO runs (started, heartbeat, version) VALUES (?1, ?1, ?2)",
                (to_nanos(now), version),
            )?;
            Ok(db.last_insert_rowid())
        })
    }

    /// Notes that the run is still on. Is it not said for long, the time counts as not watched; every ten seconds is good.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn heartbeat(&self, run: i64, now: Instant) -> Result<(), StoreError> {
        self.write(move |db| {
            db.execute(
                "UPDATE runs SET heartbeat = max(heartbeat, ?2) WHERE id = ?1",
                (run, to_nanos(now)),
            )?;
            Ok(())
        })
    }

    /// Notes that the run ends in order.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn run_stopped(&self, run: i64, now: Instant) -> Result<(), StoreError> {
        self.write(move |db| {
            db.execute(
                "UPDATE runs SET heartbeat = max(heartbeat, ?2), stopped = ?2 WHERE id = ?1",
                (run, to_nanos(now)),
            )?;
            Ok(())
        })
    }

    /// The newest runs, newest first.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn runs(&self, limit: u32) -> Result<Vec<Run>, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT id, started, heartbeat, stopped, version FROM runs ORDER BY id DESC LIMIT ?1",
            )?;
            let rows = statement.query_map([limit], |row| {
                Ok(Run {
                    id: row.get(0)?,
                    started: from_nanos(row.get(1)?),
                    heartbeat: from_nanos(row.get(2)?),
                    stopped: row.get::<_, Option<i64>>(3)?.map(from_nanos),
                    version: row.get(4)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}
