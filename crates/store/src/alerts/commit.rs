//! Changes of the pipeline: inside the transaction that also moves the processed offset.

use std::sync::Arc;

use neph_event::Instant;
use rusqlite::{Connection, OptionalExtension};

use super::{AlertChange, AlertState, StoredAlert};
use crate::database::{pack, to_nanos};
use crate::ledger::count_to_sql;
use crate::{Committed, DeliveryKind, StoreError};

/// Characters of a document's values that free text finds.
const MAX_TEXT: usize = 16 << 10;

/// Makes the changes, and rows in the outbox for those that changed something.
pub(crate) fn apply(
    db: &Connection,
    changes: &[AlertChange],
    outputs: &[Arc<str>],
    now: Instant,
) -> Result<Committed, StoreError> {
    let mut done = Committed::default();
    for change in changes {
        match change {
            AlertChange::Raised(alert) => match find(db, &alert.id)? {
                None => {
                    let row = insert(db, alert, now)?;
                    deliver(db, row, DeliveryKind::Raised, outputs, now)?;
                    done.raised.push(alert.id.clone());
                }
                Some((row, true)) => {
                    db.prepare_cached(
                        "UPDATE alerts SET retracted = NULL, updates = updates + 1 WHERE row = ?1",
                    )?
                    .execute([row])?;
                    replace(db, row, alert, now)?;
                    deliver(db, row, DeliveryKind::Updated, outputs, now)?;
                    done.updated.push(alert.id.clone());
                }
                Some((_, false)) => done.repeated += 1,
            },
            AlertChange::Updated(alert) => match find(db, &alert.id)? {
                None => {
                    let row = insert(db, alert, now)?;
                    deliver(db, row, DeliveryKind::Raised, outputs, now)?;
                    done.raised.push(alert.id.clone());
                }
                Some((row, _)) => {
                    if replace(db, row, alert, now)? {
                        deliver(db, row, DeliveryKind::Updated, outputs, now)?;
                        done.updated.push(alert.id.clone());
                    } else {
                        done.repeated += 1;
                    }
                }
            },
            AlertChange::Retracted { id } => {
                if let Some((row, false)) = find(db, id)? {
                    db.prepare_cached(
                        "UPDATE alerts SET retracted = ?2, updated = ?2, updates = updates + 1 WHERE row = ?1",
                    )?
                    .execute((row, to_nanos(now)))?;
                    deliver(db, row, DeliveryKind::Retracted, outputs, now)?;
                    done.retracted.push(id.clone());
                }
            }
        }
    }
    Ok(done)
}

/// The alert's row, and whether it is withdrawn.
fn find(db: &Connection, id: &str) -> Result<Option<(i64, bool)>, StoreError> {
    Ok(db
        .prepare_cached("SELECT row, retracted IS NOT NULL FROM alerts WHERE id = ?1")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}

fn insert(db: &Connection, alert: &StoredAlert, now: Instant) -> Result<i64, StoreError> {
    db.prepare_cached(
        "INSERT INTO alerts (id, rule_id, rule_name, rule_version, severity, risk_score, reason, time, first, last, count,
                             state, created, updated)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13)",
    )?
    .execute((
        &alert.id,
        &alert.rule_id,
        &alert.rule_name,
        &alert.rule_version,
        alert.severity.number(),
        alert.risk_score,
        &alert.reason,
        to_nanos(alert.time),
        alert.first.map(to_nanos),
        alert.last.map(to_nanos),
        count_to_sql(alert.count),
        AlertState::Open.number(),
        to_nanos(now),
    ))?;
    let row = db.last_insert_rowid();
    describe(db, row, alert)?;
    Ok(row)
}

/// Puts a newer form of the alert in place; `false` if it is the form that is there.
fn replace(db: &Connection, row: i64, alert: &StoredAlert, now: Instant) -> Result<bool, StoreError> {
    let old: Option<Vec<u8>> = db
        .prepare_cached("SELECT document FROM alert_documents WHERE row = ?1")?
        .query_row([row], |row| row.get(0))
        .optional()?;
    let old = old.map(|packed| crate::database::unpack(&packed)).transpose()?;
    if old.as_deref() == Some(alert.document.as_slice()) {
        return Ok(false);
    }
    db.prepare_cached(
        "UPDATE alerts SET rule_name = ?2, rule_version = ?3, severity = ?4, risk_score = ?5, reason = ?6, time = ?7,
                first = ?8, last = ?9, count = ?10, updates = updates + 1, updated = ?11, told_again = ?11
         WHERE row = ?1",
    )?
    .execute((
        row,
        &alert.rule_name,
        &alert.rule_version,
        alert.severity.number(),
        alert.risk_score,
        &alert.reason,
        to_nanos(alert.time),
        alert.first.map(to_nanos),
        alert.last.map(to_nanos),
        count_to_sql(alert.count),
        to_nanos(now),
    ))?;
    db.prepare_cached("DELETE FROM alert_values WHERE row = ?1 AND kind <> 'label'")?
        .execute([row])?;
    db.prepare_cached("DELETE FROM alert_text WHERE rowid = ?1")?
        .execute([row])?;
    describe(db, row, alert)?;
    Ok(true)
}

/// What stands beside the alert's row: document, values and text.
fn describe(db: &Connection, row: i64, alert: &StoredAlert) -> Result<(), StoreError> {
    db.prepare_cached("INSERT OR REPLACE INTO alert_documents (row, document) VALUES (?1, ?2)")?
        .execute((row, pack(&alert.document)?))?;
    let mut value =
        db.prepare_cached("INSERT OR IGNORE INTO alert_values (row, kind, value) VALUES (?1, ?2, ?3)")?;
    for (kind, values) in [
        ("technique", &alert.techniques),
        ("tactic", &alert.tactics),
        ("tag", &alert.tags),
    ] {
        for item in values {
            value.execute((row, kind, item))?;
        }
    }
    for (field, item) in &alert.entities {
        value.execute((row, format!("={field}"), item))?;
    }
    db.prepare_cached("INSERT INTO alert_text (rowid, text) VALUES (?1, ?2)")?
        .execute((row, text_of(alert)))?;
    Ok(())
}

/// What free text finds: the alert's own words first, then the values of its document, each once.
fn text_of(alert: &StoredAlert) -> String {
    let mut text = String::new();
    let mut seen = ahash::AHashSet::new();
    let mut add = |word: &str| {
        if text.len() + word.len() < MAX_TEXT && seen.insert(word.to_owned()) {
            text.push_str(word);
            text.push('\n');
        }
    };
    for word in [&alert.id, &alert.rule_id, &alert.rule_name, &alert.reason] {
        add(word);
    }
    for word in alert.tags.iter().chain(&alert.techniques).chain(&alert.tactics) {
        add(word);
    }
    for (_, word) in &alert.entities {
        add(word);
    }
    // A document that is no JSON is found by its own words alone.
    if let Ok(document) = serde_json::from_slice::<serde_json::Value>(&alert.document) {
        leaves(&document, &mut add);
    }
    text
}

fn leaves(value: &serde_json::Value, add: &mut impl FnMut(&str)) {
    // serde_json reads no deeper than 128 levels.
    match value {
        serde_json::Value::String(text) => add(text),
        serde_json::Value::Number(number) => add(&number.to_string()),
        serde_json::Value::Array(items) => items.iter().for_each(|item| leaves(item, add)),
        serde_json::Value::Object(fields) => fields.values().for_each(|item| leaves(item, add)),
        serde_json::Value::Null | serde_json::Value::Bool(_) => {}
    }
}

/// Rows in the outbox. A row of the same alert that waits still tells of its newest form, so an update makes no second one; one
/// that is told with others tells nothing of it.
fn deliver(
    db: &Connection,
    row: i64,
    kind: DeliveryKind,
    outputs: &[Arc<str>],
    now: Instant,
) -> Result<(), StoreError> {
    let mut waiting = db.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM outbox WHERE row = ?1 AND output = ?2 AND dead IS NULL AND leader IS NULL
                        AND kind IN (0, 1))",
    )?;
    let mut insert = db
        .prepare_cached("INSERT INTO outbox (output, row, kind, created, due) VALUES (?1, ?2, ?3, ?4, ?4)")?;
    for output in outputs {
        let told = kind == DeliveryKind::Updated
            && waiting.query_row((row, &**output), |found| found.get::<_, bool>(0))?;
        if !told {
            insert.execute((&**output, row, kind.number(), to_nanos(now)))?;
        }
    }
    Ok(())
}
