//! What analysts do with alerts, and undoing it.

use neph_event::Instant;
use rusqlite::{Connection, OptionalExtension, params_from_iter};
use serde::{Deserialize, Serialize};

use super::read::row_of;
use super::search::Filter;
use super::{ActionDone, AlertAction, AlertState, Selection, Undone, Verdict};
use crate::database::to_nanos;
use crate::{Database, StoreError};

/// Characters that a note, a reason, a tag or a name may have.
const MAX_TEXT: usize = 64 << 10;

/// What actions change of an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Triage {
    state: AlertState,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    verdict: Option<Verdict>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    assignee: Option<String>,
    /// Tags of analysts, in order.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    tags: Vec<String>,
    /// Nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    closed: Option<i64>,
}

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
        check(&action)?;
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

    /// Removes alerts that were closed before a time, with all that belongs to them; how many. Those that an output is still
    /// to get stay. A removed alert that is raised again, for example by a back-fill, is a new one.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn prune_alerts(&self, closed_before: Instant) -> Result<u64, StoreError> {
        self.write(move |db| prune(db, closed_before))
    }
}

fn check(action: &AlertAction) -> Result<(), StoreError> {
    let texts: Vec<&str> = match action {
        AlertAction::Open | AlertAction::Acknowledge => Vec::new(),
        AlertAction::Close { reason, .. } => vec![reason],
        AlertAction::Assign { assignee } => assignee.as_deref().into_iter().collect(),
        AlertAction::Note { text } => vec![text],
        AlertAction::AddTags { tags } | AlertAction::RemoveTags { tags } => {
            tags.iter().map(String::as_str).collect()
        }
    };
    let may_be_empty = matches!(action, AlertAction::Close { .. });
    let nothing = !may_be_empty && texts.iter().any(|text| text.trim().is_empty());
    let no_tags =
        matches!(action, AlertAction::AddTags { tags } | AlertAction::RemoveTags { tags } if tags.is_empty());
    let why = if nothing || no_tags {
        "a note, a tag and an assignee are not empty".to_owned()
    } else if texts.iter().any(|text| text.len() > MAX_TEXT) {
        format!("a text is longer than {MAX_TEXT} bytes")
    } else {
        return Ok(());
    };
    Err(StoreError::Invalid { why })
}

fn name_of(action: &AlertAction) -> &'static str {
    match action {
        AlertAction::Open => "open",
        AlertAction::Acknowledge => "acknowledge",
        AlertAction::Close { .. } => "close",
        AlertAction::Assign { .. } => "assign",
        AlertAction::Note { .. } => "note",
        AlertAction::AddTags { .. } => "add_tags",
        AlertAction::RemoveTags { .. } => "remove_tags",
    }
}

fn act(
    db: &Connection,
    on: &Selection,
    action: &AlertAction,
    who: &str,
    now: Instant,
) -> Result<ActionDone, StoreError> {
    let mut done = ActionDone::default();
    let rows = match on {
        Selection::Ids(ids) => {
            let mut rows = Vec::with_capacity(ids.len());
            for id in ids {
                match row_of(db, id)? {
                    Some(row) => rows.push(row),
                    None => done.missing.push(id.clone()),
                }
            }
            rows.sort_unstable();
            rows.dedup();
            rows
        }
        Selection::Query(query) => {
            let filter = Filter::of(query);
            let mut statement =
                db.prepare_cached(&format!("SELECT a.row FROM alerts a WHERE {}", filter.sql()))?;
            let rows = statement.query_map(params_from_iter(filter.parameters), |row| row.get(0))?;
            rows.collect::<Result<Vec<i64>, _>>()?
        }
    };
    for row in rows {
        let before = triage(db, row)?;
        let after = changed(&before, action, now);
        if after == before && !matches!(action, AlertAction::Note { .. }) {
            done.unchanged += 1;
            continue;
        }
        if done.action == 0 {
            done.action = insert_action(db, who, name_of(action), &json(action)?, None, now)?;
        }
        set(db, row, &after, now)?;
        note(db, row, done.action, &before, &after)?;
        done.changed += 1;
    }
    Ok(done)
}

fn changed(before: &Triage, action: &AlertAction, now: Instant) -> Triage {
    let mut after = before.clone();
    let mut move_to = |state| {
        after.state = state;
        after.verdict = None;
        after.reason = None;
        after.closed = None;
    };
    match action {
        AlertAction::Open => move_to(AlertState::Open),
        AlertAction::Acknowledge => move_to(AlertState::Acknowledged),
        AlertAction::Close { verdict, reason } => {
            after.state = AlertState::Closed;
            after.verdict = Some(*verdict);
            after.reason = Some(reason.clone());
            // Another verdict later does not make the alert younger.
            after.closed = before.closed.or(Some(to_nanos(now)));
        }
        AlertAction::Assign { assignee } => after.assignee.clone_from(assignee),
        AlertAction::Note { .. } => {}
        AlertAction::AddTags { tags } => {
            after.tags.extend(tags.iter().cloned());
            after.tags.sort_unstable();
            after.tags.dedup();
        }
        AlertAction::RemoveTags { tags } => after.tags.retain(|tag| !tags.contains(tag)),
    }
    after
}

fn undo(db: &Connection, action: Option<i64>, who: &str, now: Instant) -> Result<Undone, StoreError> {
    let not_undone = "what <> 'undo' AND NOT EXISTS (SELECT 1 FROM actions u WHERE u.undoes = a.action)";
    let found: Option<(i64, String)> = match action {
        Some(number) => db
            .prepare_cached(&format!("SELECT action, what FROM actions a WHERE action = ?1 AND {not_undone}"))?
            .query_row([number], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?,
        None => db
            .prepare_cached(&format!(
                "SELECT action, what FROM actions a WHERE who = ?1 AND {not_undone} ORDER BY action DESC LIMIT 1"
            ))?
            .query_row([who], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?,
    };
    let (number, what) = found.ok_or_else(|| StoreError::Missing {
        what: "action to undo",
        id: action.map_or_else(|| who.to_owned(), |number| number.to_string()),
    })?;
    let own = insert_action(db, who, "undo", &number.to_string(), Some(number), now)?;
    let mut done = Undone {
        action: number,
        ..Undone::default()
    };
    let rows: Vec<(i64, String, String)> = db
        .prepare_cached("SELECT row, before, after FROM history WHERE action = ?1")?
        .query_map([number], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    for (row, before, after) in rows {
        let current = triage(db, row)?;
        // A note changes nothing that could be put back; it is undone by being marked so.
        if what != "note" {
            if json(&current)? != after {
                done.changed_since += 1;
                continue;
            }
            set(db, row, &read_json(&before)?, now)?;
        }
        note(db, row, own, &current, &triage(db, row)?)?;
        done.restored += 1;
    }
    Ok(done)
}

fn prune(db: &Connection, closed_before: Instant) -> Result<u64, StoreError> {
    let rows: Vec<i64> = db
        .prepare_cached(
            "SELECT row FROM alerts a WHERE closed < ?1
             AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.row = a.row AND o.dead IS NULL)",
        )?
        .query_map([to_nanos(closed_before)], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut text = db.prepare_cached("DELETE FROM alert_text WHERE rowid = ?1")?;
    let mut alert = db.prepare_cached("DELETE FROM alerts WHERE row = ?1")?;
    for row in &rows {
        text.execute([row])?;
        alert.execute([row])?;
    }
    Ok(rows.len() as u64)
}

fn triage(db: &Connection, row: i64) -> Result<Triage, StoreError> {
    let mut triage = db
        .prepare_cached("SELECT state, verdict, close_reason, assignee, closed FROM alerts WHERE row = ?1")?
        .query_row([row], |found| {
            Ok(Triage {
                state: AlertState::from_number(found.get(0)?),
                verdict: found.get::<_, Option<i64>>(1)?.map(Verdict::from_number),
                reason: found.get(2)?,
                assignee: found.get(3)?,
                tags: Vec::new(),
                closed: found.get(4)?,
            })
        })?;
    triage.tags = db
        .prepare_cached("SELECT value FROM alert_values WHERE row = ?1 AND kind = 'label' ORDER BY value")?
        .query_map([row], |found| found.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(triage)
}

fn set(db: &Connection, row: i64, triage: &Triage, now: Instant) -> Result<(), StoreError> {
    db.prepare_cached(
        "UPDATE alerts SET state = ?2, verdict = ?3, close_reason = ?4, assignee = ?5, closed = ?6, updated = ?7 WHERE row = ?1",
    )?
    .execute((
        row,
        triage.state.number(),
        triage.verdict.map(Verdict::number),
        &triage.reason,
        &triage.assignee,
        triage.closed,
        to_nanos(now),
    ))?;
    db.prepare_cached("DELETE FROM alert_values WHERE row = ?1 AND kind = 'label'")?
        .execute([row])?;
    let mut insert =
        db.prepare_cached("INSERT INTO alert_values (row, kind, value) VALUES (?1, 'label', ?2)")?;
    for tag in &triage.tags {
        insert.execute((row, tag))?;
    }
    Ok(())
}

fn insert_action(
    db: &Connection,
    who: &str,
    what: &str,
    details: &str,
    undoes: Option<i64>,
    now: Instant,
) -> Result<i64, StoreError> {
    db.prepare_cached("INSERT INTO actions (at, who, what, details, undoes) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute((to_nanos(now), who, what, details, undoes))?;
    Ok(db.last_insert_rowid())
}

fn note(db: &Connection, row: i64, action: i64, before: &Triage, after: &Triage) -> Result<(), StoreError> {
    db.prepare_cached("INSERT INTO history (row, action, before, after) VALUES (?1, ?2, ?3, ?4)")?
        .execute((row, action, json(before)?, json(after)?))?;
    Ok(())
}

fn json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Invalid {
        why: error.to_string(),
    })
}

fn read_json(text: &str) -> Result<Triage, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Invalid {
        why: format!("an entry of the history cannot be read: {error}"),
    })
}
