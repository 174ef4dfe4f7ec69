//! The audit log: who asked the service for what, and whether it was allowed. Entries are added and never changed; old ones are removed after a time.

use neph_event::Instant;

use crate::{Database, StoreError};

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// When.
    pub at: Instant,
    /// Who: a token's id and name, or `neph` itself.
    pub who: String,
    /// From where: the address of the client, or empty.
    pub from: String,
    /// What, for example `alerts.close` or `token.create`.
    pub what: String,
    /// On what, for example an alert's id; or empty.
    pub target: String,
    /// `ok`, or why not.
    pub outcome: String,
}

/// Which entries; newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Only of this one.
    pub who: Option<String>,
    /// Only those whose `what` begins so.
    pub what: Option<String>,
    /// Not before.
    pub from: Option<Instant>,
    /// Before.
    pub to: Option<Instant>,
    /// Only entries with a number below this one: the last number of the page before.
    pub before: Option<i64>,
    /// How many at most.
    pub limit: u32,
}

impl Database {
    /// Adds an entry.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn audit(&self, entry: AuditEntry) -> Result<(), StoreError> {
        self.write(move |db| {
            db.prepare_cached(
                "INSERT INTO audit (at, who, origin, what, target, outcome) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute((
                crate::database::to_nanos(entry.at),
                &entry.who,
                &entry.from,
                &entry.what,
                &entry.target,
                &entry.outcome,
            ))?;
            Ok(())
        })
    }

    /// Entries with their numbers, newest first.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn audit_log(&self, query: &AuditQuery) -> Result<Vec<(i64, AuditEntry)>, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT seq, at, who, origin, what, target, outcome FROM audit
                 WHERE (?1 IS NULL OR who = ?1) AND (?2 IS NULL OR substr(what, 1, length(?2)) = ?2)
                   AND (?3 IS NULL OR at >= ?3) AND (?4 IS NULL OR at < ?4) AND (?5 IS NULL OR seq < ?5)
                 ORDER BY seq DESC LIMIT ?6",
            )?;
            let rows = statement.query_map(
                (
                    &query.who,
                    &query.what,
                    query.from.map(crate::database::to_nanos),
                    query.to.map(crate::database::to_nanos),
                    query.before,
                    query.limit,
                ),
                |row| {
                    Ok((
                        row.get(0)?,
                        AuditEntry {
                            at: crate::database::from_nanos(row.get(1)?),
                            who: row.get(2)?,
                            from: row.get(3)?,
                            what: row.get(4)?,
                            target: row.get(5)?,
                            outcome: row.get(6)?,
                        },
                    ))
                },
            )?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Removes entries from before a time; how many.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn prune_audit(&self, before: Instant) -> Result<u64, StoreError> {
        self.write(move |db| {
            let removed = db.execute(
                "DELETE FROM audit WHERE at < ?1",
                [crate::database::to_nanos(before)],
            )?;
            Ok(removed as u64)
        })
    }
}
