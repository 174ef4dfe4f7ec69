//! Old rows of the ledger become one a day, and go at last, so that it does not grow by a row a minute and stream for ever.

use neph_event::Instant;
use rusqlite::{Connection, OptionalExtension};

use super::{MINUTE, rows::MERGE};
use crate::database::{offset_to_sql, to_nanos};
use crate::{Database, Offset, StoreError};

pub(super) const DAY: i64 = 24 * 60 * MINUTE;
/// Days whose rows stay as they are.
const DAYS_IN_MINUTES: i64 = 30;

impl Database {
    /// Adds up rows of days that are long past, stream by stream and rule set by rule set. What is added up stays the same.
    pub(crate) fn condense_ledger(&self, now: Instant) -> Result<(), StoreError> {
        let long_ago = to_nanos(now).saturating_sub(DAYS_IN_MINUTES * DAY);
        let until = long_ago.saturating_sub(long_ago.rem_euclid(DAY));
        if self.read(condensed_until)?.is_some_and(|done| done >= until) {
            return Ok(());
        }
        self.write(move |db| {
            let since = condensed_until(db)?.unwrap_or(i64::MIN);
            let old = format!("minute >= ?1 AND minute < ?2 AND minute % {DAY} <> 0");
            db.execute(
                &format!(
                    "INSERT INTO ledger
                     SELECT stream, minute - ((minute % {DAY}) + {DAY}) % {DAY} AS day, rule_set, min(offset_from), max(offset_to),
                            min(time_min), max(time_max), sum(evaluated), sum(refused), sum(dropped), sum(events),
                            sum(unrecognised), sum(late), sum(bytes), sum(untimed)
                     FROM ledger WHERE {old} GROUP BY stream, day, rule_set {MERGE}"
                ),
                (since, until),
            )?;
            db.execute(&format!("DELETE FROM ledger WHERE {old}"), (since, until))?;
            // Names that nobody sends to any more; there may be one of each day.
            db.execute("DELETE FROM names WHERE last < ?1", [until])?;
            db.execute(
                "INSERT OR REPLACE INTO facts (name, value) VALUES ('ledger_condensed', ?1)",
                [until],
            )?;
            Ok(())
        })
    }
}

impl Database {
    /// Removes what is said of days before a time, as far as the event log, which begins at an offset, holds nothing of them any
    /// more; how many rows. What was received and what became of it lose the same, so that the balance holds.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn prune_ledger(&self, before: Instant, begin: Offset) -> Result<u64, StoreError> {
        let before = to_nanos(before);
        let before = before.saturating_sub(before.rem_euclid(DAY));
        self.write(move |db| {
            let old = "minute < ?1 AND offset_to <= ?2";
            let which = (before, offset_to_sql(begin));
            db.execute(
                &format!(
                    "INSERT INTO removed SELECT -1, stream, -sum(evaluated + refused + dropped), 0 FROM ledger WHERE {old} GROUP BY stream
                     ON CONFLICT DO UPDATE SET records = records + excluded.records"
                ),
                which,
            )?;
            let rows = db.execute(&format!("DELETE FROM ledger WHERE {old}"), which)?;
            db.execute("DELETE FROM losses WHERE time_to < ?1", [before])?;
            db.execute("DELETE FROM unseen WHERE max(time_to, ended, noted) < ?1", [before])?;
            db.execute("DELETE FROM backfills WHERE finished < ?1", [before])?;
            // What is the last of its kind still holds.
            db.execute(
                "DELETE FROM runs WHERE heartbeat < ?1 AND id < (SELECT max(id) FROM runs)",
                [before],
            )?;
            db.execute(
                "DELETE FROM rule_set_changes WHERE at < (SELECT max(at) FROM rule_set_changes WHERE at <= ?1)",
                [before],
            )?;
            db.execute(
                "DELETE FROM rule_sets WHERE id NOT IN (SELECT rule_set FROM rule_set_changes)
                 AND id NOT IN (SELECT DISTINCT rule_set FROM ledger)",
                (),
            )?;
            Ok(rows as u64)
        })
    }
}

fn condensed_until(db: &Connection) -> Result<Option<i64>, StoreError> {
    Ok(db
        .prepare_cached("SELECT value FROM facts WHERE name = 'ledger_condensed'")?
        .query_row([], |row| row.get(0))
        .optional()?)
}

/// How long the time is that a row stands for: before a point a day, from there on a minute.
#[derive(Clone, Copy)]
pub(super) struct Lengths {
    condensed: i64,
}

impl Lengths {
    pub(super) fn of(db: &Connection) -> Result<Self, StoreError> {
        Ok(Self {
            condensed: condensed_until(db)?.unwrap_or(i64::MIN),
        })
    }

    /// Where the time of the row ends that begins at a minute.
    pub(super) fn end(self, minute: i64) -> i64 {
        minute.saturating_add(if minute < self.condensed { DAY } else { MINUTE })
    }

    /// Does the row stand for a day.
    pub(super) fn is_day(self, minute: i64) -> bool {
        minute < self.condensed
    }
}
