//! Reading the outbox.

use std::collections::BTreeMap;

use neph_event::Instant;
use rusqlite::{Connection, OptionalExtension};

use super::{Delivery, DeliveryKind, OutboxCounts, Together};
use crate::StoreError;
use crate::database::{from_nanos, to_nanos};
use crate::ledger::count_from_sql;

/// Columns of an outbox row.
const COLUMNS: &str =
    "o.seq, o.output, o.kind, o.created, o.attempts, o.error, o.row, o.tried, o.leader, o.dead";

/// What an output has to look at: rows that nobody leads, and those that lead. As the index says it.
const READY: &str = "dead IS NULL AND (leader IS NULL OR leader = seq)";

pub(super) fn due(
    db: &Connection,
    output: &str,
    now: Instant,
    limit: u32,
) -> Result<Vec<Delivery>, StoreError> {
    deliveries(
        db,
        &format!(
            "SELECT {COLUMNS} FROM outbox o WHERE output = ?1 AND {READY} AND due <= ?2 ORDER BY due, seq LIMIT ?3"
        ),
        (output, to_nanos(now), limit),
    )
}

pub(super) fn next_due(db: &Connection, output: &str) -> Result<Option<Instant>, StoreError> {
    let select = format!("SELECT due FROM outbox WHERE output = ?1 AND {READY} ORDER BY due LIMIT 1");
    let found: Option<i64> = db
        .prepare_cached(&select)?
        .query_row([output], |row| row.get(0))
        .optional()?;
    Ok(found.map(from_nanos))
}

pub(super) fn dead_letters(
    db: &Connection,
    output: &str,
    after: i64,
    limit: u32,
) -> Result<Vec<Delivery>, StoreError> {
    deliveries(
        db,
        &format!(
            "SELECT {COLUMNS} FROM outbox o WHERE output = ?1 AND dead IS NOT NULL AND seq > ?2 ORDER BY seq LIMIT ?3"
        ),
        (output, after, limit),
    )
}

fn deliveries(
    db: &Connection,
    select: &str,
    parameters: impl rusqlite::Params,
) -> Result<Vec<Delivery>, StoreError> {
    let mut statement = db.prepare_cached(select)?;
    let mut rows = statement.query(parameters)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Delivery {
            seq: row.get(0)?,
            output: row.get(1)?,
            kind: DeliveryKind::from_number(row.get(2)?),
            alert: crate::alerts::by_row(db, row.get(6)?)?,
            created: from_nanos(row.get(3)?),
            attempts: row.get(4)?,
            tried: row.get::<_, Option<i64>>(7)?.map(from_nanos),
            error: row.get(5)?,
            leader: row.get(8)?,
            dead: row.get::<_, Option<i64>>(9)?.map(from_nanos),
        });
    }
    Ok(found)
}

pub(super) fn together(db: &Connection, leader: i64, ids: u32, values: u32) -> Result<Together, StoreError> {
    let mut found = db
        .prepare_cached(
            "SELECT count(*), count(*) FILTER (WHERE o.kind = 1), count(*) FILTER (WHERE o.kind = 2),
                    coalesce(min(a.time), 0), coalesce(max(a.time), 0)
             FROM outbox o JOIN alerts a ON a.row = o.row WHERE o.leader = ?1",
        )?
        .query_row([leader], |row| {
            Ok(Together {
                count: count_from_sql(row, 0)?,
                updated: count_from_sql(row, 1)?,
                retracted: count_from_sql(row, 2)?,
                first: from_nanos(row.get(3)?),
                last: from_nanos(row.get(4)?),
                ..Together::default()
            })
        })?;
    found.ids = db
        .prepare_cached(
            "SELECT a.id FROM outbox o JOIN alerts a ON a.row = o.row WHERE o.leader = ?1 ORDER BY o.seq LIMIT ?2",
        )?
        .query_map((leader, ids), |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut by_field: BTreeMap<String, Vec<(String, u64)>> = BTreeMap::new();
    let mut statement = db.prepare_cached(
        "SELECT substr(v.kind, 2), v.value, count(DISTINCT o.row) AS alerts
         FROM outbox o JOIN alert_values v ON v.row = o.row WHERE o.leader = ?1 AND v.kind LIKE '=%'
         GROUP BY v.kind, v.value ORDER BY alerts DESC, v.value",
    )?;
    let mut rows = statement.query([leader])?;
    while let Some(row) = rows.next()? {
        let of_field = by_field.entry(row.get(0)?).or_default();
        if of_field.len() < values as usize {
            of_field.push((row.get(1)?, count_from_sql(row, 2)?));
        }
    }
    found.values = by_field.into_iter().collect();
    // What most of them have in common stands first.
    found
        .values
        .sort_by_key(|(_, values)| std::cmp::Reverse(values.first().map_or(0, |(_, count)| *count)));
    Ok(found)
}

pub(super) fn counts(db: &Connection) -> Result<Vec<OutboxCounts>, StoreError> {
    let mut statement = db.prepare_cached(
        "SELECT name, count(seq) FILTER (WHERE dead IS NULL), min(o.created) FILTER (WHERE dead IS NULL),
                count(seq) FILTER (WHERE dead IS NOT NULL), coalesce(max(t.delivered), 0), coalesce(max(t.messages), 0),
                coalesce(max(t.left_out), 0),
                (SELECT error FROM outbox e WHERE e.output = name AND error IS NOT NULL ORDER BY due DESC LIMIT 1)
         FROM (SELECT output AS name FROM outbox UNION SELECT output FROM outputs)
              LEFT JOIN outbox o ON o.output = name LEFT JOIN outputs t ON t.output = name
         GROUP BY name ORDER BY name",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(OutboxCounts {
            output: row.get(0)?,
            waiting: count_from_sql(row, 1)?,
            oldest: row.get::<_, Option<i64>>(2)?.map(from_nanos),
            dead: count_from_sql(row, 3)?,
            delivered: count_from_sql(row, 4)?,
            messages: count_from_sql(row, 5)?,
            left_out: count_from_sql(row, 6)?,
            error: row.get(7)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
