//! Which rules ran when.

use neph_event::Instant;
use rusqlite::{Connection, OptionalExtension};

use super::{RuleInSet, RuleSet};
use crate::database::to_nanos;
use crate::{Database, StoreError};

impl Database {
    /// Notes that from `now` on these rules run. The same set again, right behind itself, is no change.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn rule_set_active(&self, now: Instant, set: RuleSet) -> Result<(), StoreError> {
        self.write(move |db| {
            let json = serde_json::to_vec(&set.rules).map_err(|error| StoreError::Invalid {
                why: error.to_string(),
            })?;
            db.execute(
                "INSERT OR IGNORE INTO rule_sets (id, rules) VALUES (?1, ?2)",
                (&set.id, crate::database::pack(&json)?),
            )?;
            let last: Option<String> = db
                .query_row(
                    "SELECT rule_set FROM rule_set_changes ORDER BY at DESC, rowid DESC LIMIT 1",
                    [],
                    |row| row.get(0),
                )
                .optional()?;
            if last.as_deref() != Some(&set.id) {
                db.execute(
                    "INSERT INTO rule_set_changes (at, rule_set) VALUES (?1, ?2)",
                    (to_nanos(now), &set.id),
                )?;
            }
            Ok(())
        })
    }

    /// The rules of a set.
    ///
    /// # Errors
    ///
    /// There is no such set; the database failed.
    pub fn rule_set(&self, id: &str) -> Result<RuleSet, StoreError> {
        self.read(|db| rule_set(db, id))
    }
}

pub(super) fn rule_set(db: &Connection, id: &str) -> Result<RuleSet, StoreError> {
    let packed: Option<Vec<u8>> = db
        .prepare_cached("SELECT rules FROM rule_sets WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    let packed = packed.ok_or_else(|| StoreError::Missing {
        what: "rule set",
        id: id.to_owned(),
    })?;
    let json = crate::database::unpack(&packed)?;
    let rules: Vec<RuleInSet> = serde_json::from_slice(&json).map_err(|error| StoreError::Invalid {
        why: format!("rule set `{id}` cannot be read: {error}"),
    })?;
    Ok(RuleSet {
        id: id.to_owned(),
        rules,
    })
}
