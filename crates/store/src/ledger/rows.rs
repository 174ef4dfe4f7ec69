//! Rows of the ledger, losses, back-fills, and what is added up of them.

use std::collections::BTreeMap;
use std::ops::Range;

use neph_event::Instant;
use rusqlite::{Connection, Row};

use super::condense::Lengths;
use super::{Backfill, BackfillState, Balance, Interval, LedgerRow, LossRow, nanos_of_minute};
use crate::database::{from_nanos, offset_from_sql, offset_to_sql, to_nanos};
use crate::log::{EventLog, Offset, StreamCount};
use crate::{Database, StoreError};

/// How a row is added to one of the same stream, minute and rule set.
pub(super) const MERGE: &str = "ON CONFLICT DO UPDATE SET
    offset_from = min(offset_from, excluded.offset_from),
    offset_to = max(offset_to, excluded.offset_to),
    time_min = coalesce(min(time_min, excluded.time_min), time_min, excluded.time_min),
    time_max = coalesce(max(time_max, excluded.time_max), time_max, excluded.time_max),
    evaluated = evaluated + excluded.evaluated,
    refused = refused + excluded.refused,
    dropped = dropped + excluded.dropped,
    events = events + excluded.events,
    unrecognised = unrecognised + excluded.unrecognised,
    late = late + excluded.late,
    bytes = bytes + excluded.bytes,
    untimed = untimed + excluded.untimed";

/// Adds rows of blocks that were not counted yet.
pub(crate) fn merge(db: &Connection, rows: &[LedgerRow], processed: Offset) -> Result<(), StoreError> {
    let mut statement = db.prepare_cached(&format!(
        "INSERT INTO ledger VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) {MERGE}"
    ))?;
    for row in rows.iter().filter(|row| row.offsets.end > processed) {
        if row.offsets.start < processed {
            return Err(StoreError::Invalid {
                why: format!(
                    "a row of the ledger spans offsets {} to {}, and {processed} was processed before: one row a block",
                    row.offsets.start, row.offsets.end
                ),
            });
        }
        statement.execute((
            &row.stream,
            nanos_of_minute(row.received),
            &row.rule_set,
            offset_to_sql(row.offsets.start),
            offset_to_sql(row.offsets.end),
            row.times.map(|(least, _)| to_nanos(least)),
            row.times.map(|(_, greatest)| to_nanos(greatest)),
            count_to_sql(row.evaluated),
            count_to_sql(row.refused),
            count_to_sql(row.dropped),
            count_to_sql(row.events),
            count_to_sql(row.unrecognised),
            count_to_sql(row.late),
            count_to_sql(row.bytes),
            count_to_sql(row.untimed),
        ))?;
        super::names::merge(db, row)?;
    }
    Ok(())
}

pub(crate) fn count_to_sql(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(crate) fn count_from_sql(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(index)?).unwrap_or(0))
}

/// Columns that [`read_row`] reads, in its order.
pub(super) const COLUMNS: &str = "stream, minute, rule_set, offset_from, offset_to, time_min, time_max,
     evaluated, refused, dropped, events, unrecognised, late, bytes, untimed";

pub(super) fn read_row(row: &Row<'_>) -> rusqlite::Result<LedgerRow> {
    let time = |index| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(index)?.map(from_nanos));
    Ok(LedgerRow {
        stream: row.get(0)?,
        received: from_nanos(row.get(1)?),
        rule_set: row.get(2)?,
        offsets: offset_from_sql(row.get(3)?)..offset_from_sql(row.get(4)?),
        times: time(5)?.zip(time(6)?),
        evaluated: count_from_sql(row, 7)?,
        refused: count_from_sql(row, 8)?,
        dropped: count_from_sql(row, 9)?,
        events: count_from_sql(row, 10)?,
        unrecognised: count_from_sql(row, 11)?,
        late: count_from_sql(row, 12)?,
        bytes: count_from_sql(row, 13)?,
        untimed: count_from_sql(row, 14)?,
        names: Vec::new(),
    })
}

impl Database {
    /// Which rule set evaluated which stream when, with what counts, by time of receipt: runs of neighbouring minutes are one
    /// interval. Ordered by stream and time. What is older than 30 days is kept by the day.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn intervals(&self, received: Range<Instant>) -> Result<Vec<Interval>, StoreError> {
        self.read(|db| {
            let lengths = Lengths::of(db)?;
            let mut statement = db.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM ledger WHERE minute >= ?1 AND minute < ?2 ORDER BY stream, minute, offset_from"
            ))?;
            let rows = statement.query_map(
                (nanos_of_minute(received.start), to_nanos(received.end)),
                read_row,
            )?;
            let mut intervals: Vec<Interval> = Vec::new();
            for row in rows {
                let row = row?;
                let end = from_nanos(lengths.end(to_nanos(row.received)));
                match intervals.last_mut() {
                    Some(last)
                        if last.total.stream == row.stream
                            && last.total.rule_set == row.rule_set
                            && last.received.end >= row.received =>
                    {
                        last.received.end = end;
                        add(&mut last.total, &row);
                    }
                    _ => intervals.push(Interval {
                        received: row.received..end,
                        total: row,
                    }),
                }
            }
            Ok(intervals)
        })
    }

    /// How many records came by each stream in each stretch of time of a length in nanoseconds, counted from 1970 on, by time of
    /// receipt: stream, start and records, in this order; stretches without records are left out. What is older than 30 days is
    /// kept by the day.
    ///
    /// # Errors
    ///
    /// The database failed; no length is [`StoreError::Invalid`].
    pub fn rates(
        &self,
        received: Range<Instant>,
        length: i64,
    ) -> Result<Vec<(String, Instant, u64)>, StoreError> {
        if length <= 0 {
            return Err(StoreError::Invalid {
                why: "rates need stretches of some length".to_owned(),
            });
        }
        self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT stream, minute - minute % ?3, sum(evaluated + refused + dropped) FROM ledger
                 WHERE minute >= ?1 AND minute < ?2 GROUP BY 1, 2 ORDER BY 1, 2",
            )?;
            let range = (nanos_of_minute(received.start), to_nanos(received.end), length);
            let rows = statement.query_map(range, |row| {
                Ok((row.get(0)?, from_nanos(row.get(1)?), count_from_sql(row, 2)?))
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Least and greatest time of the events that were received in a stretch of time, to the minute.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn event_times(&self, received: Range<Instant>) -> Result<Option<(Instant, Instant)>, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT min(time_min), max(time_max) FROM ledger WHERE minute >= ?1 AND minute < ?2",
            )?;
            let times = statement
                .query_row((nanos_of_minute(received.start), to_nanos(received.end)), |row| {
                    Ok(row.get::<_, Option<i64>>(0)?.zip(row.get::<_, Option<i64>>(1)?))
                })?;
            Ok(times.map(|(least, greatest)| (from_nanos(least), from_nanos(greatest))))
        })
    }

    /// Notes records that were lost outside the log, or with a part of it.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn lost(&self, loss: LossRow) -> Result<(), StoreError> {
        self.write(move |db| {
            db.execute(
                "INSERT INTO losses (stream, time_from, time_to, records, why) VALUES (?1, ?2, ?3, ?4, ?5)",
                (
                    &loss.stream,
                    to_nanos(loss.from),
                    to_nanos(loss.to),
                    loss.records.map(count_to_sql),
                    &loss.why,
                ),
            )?;
            Ok(())
        })
    }

    /// Keeps a back-fill: a new one where `id` is 0, else as it stands now. Gives its number.
    ///
    /// # Errors
    ///
    /// The database failed; there is no back-fill of that number.
    pub fn save_backfill(&self, backfill: Backfill) -> Result<i64, StoreError> {
        self.write(move |db| {
            let state = match backfill.state {
                BackfillState::Running => "running",
                BackfillState::Done => "done",
                BackfillState::Failed => "failed",
            };
            let changed = db.execute(
                "INSERT INTO backfills VALUES (nullif(?1, 0), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
                 ON CONFLICT DO UPDATE SET finished = excluded.finished, records = excluded.records,
                    alerts = excluded.alerts, new_alerts = excluded.new_alerts, state = excluded.state,
                    detail = excluded.detail",
                (
                    backfill.id,
                    &backfill.rule,
                    &backfill.version,
                    to_nanos(backfill.from),
                    to_nanos(backfill.to),
                    to_nanos(backfill.started),
                    backfill.finished.map(to_nanos),
                    count_to_sql(backfill.records),
                    count_to_sql(backfill.alerts),
                    count_to_sql(backfill.new_alerts),
                    state,
                    &backfill.detail,
                ),
            )?;
            debug_assert_eq!(changed, 1);
            Ok(if backfill.id == 0 {
                db.last_insert_rowid()
            } else {
                backfill.id
            })
        })
    }

    /// Notes of back-fills that were under way when the service ended that they broke off.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn give_up_backfills(&self, now: Instant, why: &str) -> Result<(), StoreError> {
        let why = why.to_owned();
        self.write(move |db| {
            db.execute(
                "UPDATE backfills SET state = 'failed', finished = ?1, detail = detail || '; ' || ?2 WHERE state = 'running'",
                (to_nanos(now), why),
            )?;
            Ok(())
        })
    }

    /// The newest back-fills, newest first.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn backfills(&self, limit: u32) -> Result<Vec<Backfill>, StoreError> {
        self.read(|db| backfills(db, limit))
    }

    /// Holds what the log took against what the ledger says became of it, stream by stream. With nothing lost, every
    /// [`Balance::holds`].
    ///
    /// # Errors
    ///
    /// The database failed, or the log cannot be read.
    pub fn balance(&self, log: &EventLog) -> Result<Vec<Balance>, StoreError> {
        // First the ledger, then the log: what is processed meanwhile was in the log before.
        let mut balances: BTreeMap<String, Balance> = BTreeMap::new();
        let begin = log.begin();
        let processed = self.read(|db| {
            let processed = crate::database::processed(db)?;
            let mut statement = db.prepare_cached(
                "SELECT stream, sum(evaluated), sum(refused), sum(dropped) FROM ledger GROUP BY stream",
            )?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let balance = balance_of(&mut balances, &row.get::<_, String>(0)?);
                balance.evaluated = count_from_sql(row, 1)?;
                balance.refused = count_from_sql(row, 2)?;
                balance.dropped = count_from_sql(row, 3)?;
            }
            // A segment that is noted as removed and is still there is counted where it is.
            let mut statement = db.prepare_cached(
                "SELECT stream, sum(records) FROM removed WHERE segment < ?1 GROUP BY stream",
            )?;
            let mut rows = statement.query([offset_to_sql(begin)])?;
            while let Some(row) = rows.next()? {
                balance_of(&mut balances, &row.get::<_, String>(0)?).received = count_from_sql(row, 1)?;
            }
            Ok(processed)
        })?;
        log.refresh()?;
        let end = log.end();
        for count in log.counts(begin..end)? {
            balance_of(&mut balances, &count.stream).received += count.records;
        }
        for count in log.counts(processed..end)? {
            balance_of(&mut balances, &count.stream).pending += count.records;
        }
        Ok(balances.into_values().collect())
    }

    /// Notes what a segment held that is about to be removed.
    pub(crate) fn note_removed(&self, segment: Offset, counts: Vec<StreamCount>) -> Result<(), StoreError> {
        self.write(move |db| {
            // Segments before this one are gone for good: one sum of each stream is enough for them.
            let before = [offset_to_sql(segment)];
            db.prepare_cached(
                "INSERT INTO removed SELECT -1, stream, sum(records), sum(bytes) FROM removed
                 WHERE segment >= 0 AND segment < ?1 GROUP BY stream
                 ON CONFLICT DO UPDATE SET records = records + excluded.records, bytes = bytes + excluded.bytes",
            )?
            .execute(before)?;
            db.prepare_cached("DELETE FROM removed WHERE segment >= 0 AND segment < ?1")?
                .execute(before)?;
            let mut statement =
                db.prepare_cached("INSERT OR REPLACE INTO removed VALUES (?1, ?2, ?3, ?4)")?;
            for count in counts {
                statement.execute((
                    offset_to_sql(segment),
                    &count.stream,
                    count_to_sql(count.records),
                    count_to_sql(count.bytes),
                ))?;
            }
            Ok(())
        })
    }
}

fn balance_of<'a>(balances: &'a mut BTreeMap<String, Balance>, stream: &str) -> &'a mut Balance {
    balances.entry(stream.to_owned()).or_insert_with(|| Balance {
        stream: stream.to_owned(),
        ..Balance::default()
    })
}

pub(super) fn backfills(db: &Connection, limit: u32) -> Result<Vec<Backfill>, StoreError> {
    let mut statement = db.prepare_cached("SELECT * FROM backfills ORDER BY id DESC LIMIT ?1")?;
    let rows = statement.query_map([limit], |row| {
        Ok(Backfill {
            id: row.get(0)?,
            rule: row.get(1)?,
            version: row.get(2)?,
            from: from_nanos(row.get(3)?),
            to: from_nanos(row.get(4)?),
            started: from_nanos(row.get(5)?),
            finished: row.get::<_, Option<i64>>(6)?.map(from_nanos),
            records: count_from_sql(row, 7)?,
            alerts: count_from_sql(row, 8)?,
            new_alerts: count_from_sql(row, 9)?,
            state: match row.get::<_, String>(10)?.as_str() {
                "running" => BackfillState::Running,
                "done" => BackfillState::Done,
                _ => BackfillState::Failed,
            },
            detail: row.get(11)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn add(total: &mut LedgerRow, row: &LedgerRow) {
    total.offsets.start = total.offsets.start.min(row.offsets.start);
    total.offsets.end = total.offsets.end.max(row.offsets.end);
    total.times = match (total.times, row.times) {
        (Some((least, greatest)), Some((from, to))) => Some((least.min(from), greatest.max(to))),
        (some, None) | (None, some) => some,
    };
    for (sum, more) in [
        (&mut total.evaluated, row.evaluated),
        (&mut total.refused, row.refused),
        (&mut total.dropped, row.dropped),
        (&mut total.events, row.events),
        (&mut total.unrecognised, row.unrecognised),
        (&mut total.late, row.late),
        (&mut total.bytes, row.bytes),
        (&mut total.untimed, row.untimed),
    ] {
        *sum = sum.saturating_add(more);
    }
}
