//! What was not seen and follows from no other table of the ledger.

use neph_event::Instant;
use rusqlite::Connection;

use super::rows::{count_from_sql, count_to_sql};
use super::{Gap, GapKind, MINUTE, Unseen, UnseenKind};
use crate::database::{from_nanos, to_nanos};
use crate::{Database, StoreError};

/// What rules missed is added up by the hour of the events.
const HOUR: i64 = 60 * MINUTE;
/// What lasts is noted again and again; is it not for so long, the service that noted it is gone.
const LASTS: i64 = MINUTE;

impl UnseenKind {
    fn word(self) -> &'static str {
        match self {
            Self::Untaken => "untaken",
            Self::Late => "late",
            Self::History => "history",
        }
    }

    fn gap(word: &str) -> GapKind {
        match word {
            "late" => GapKind::Late,
            "history" => GapKind::HistoryMissing,
            _ => GapKind::Untaken,
        }
    }
}

/// A gap, and since when a back-fill must have begun to close it; none for gaps of the time of receipt, of which a back-fill
/// closes what was received before it began.
pub(super) type Noted = (Gap, Option<i64>);

/// Adds rows: what rules missed adds up, what the store did not take is told anew.
pub(crate) fn note(db: &Connection, rows: &[Unseen], now: Instant) -> Result<(), StoreError> {
    let mut statement = db.prepare_cached(
        "INSERT INTO unseen VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO UPDATE SET
            time_from = min(time_from, excluded.time_from),
            time_to = max(time_to, excluded.time_to),
            records = excluded.records + iif(kind = 'untaken', 0, records),
            why = excluded.why, noted = excluded.noted, ended = excluded.ended",
    )?;
    for row in rows {
        let (from, to) = (to_nanos(row.from), to_nanos(row.to));
        let bucket = match row.kind {
            UnseenKind::Untaken => from,
            _ => from.saturating_sub(from.rem_euclid(HOUR)),
        };
        statement.execute((
            row.kind.word(),
            &row.stream,
            &row.rule,
            bucket,
            from,
            to,
            count_to_sql(row.records),
            &row.why,
            to_nanos(now),
            row.ended,
        ))?;
    }
    Ok(())
}

impl Database {
    /// Notes what was not seen, outside of a commit.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn note_unseen(&self, rows: Vec<Unseen>, now: Instant) -> Result<(), StoreError> {
        self.write(move |db| note(db, &rows, now))
    }
}

pub(super) fn unseen(
    db: &Connection,
    asked: &std::ops::Range<i64>,
    now: i64,
    gaps: &mut Vec<Noted>,
) -> Result<(), StoreError> {
    let mut statement = db.prepare_cached(
        "SELECT kind, stream, rule, time_from, time_to, records, why, noted, ended FROM unseen
         WHERE time_from < ?2 AND time_to >= ?1 ORDER BY time_from, kind, stream, rule",
    )?;
    let mut rows = statement.query((asked.start, asked.end))?;
    while let Some(row) = rows.next()? {
        let kind = UnseenKind::gap(&row.get::<_, String>(0)?);
        let (from, to): (i64, i64) = (row.get(3)?, row.get(4)?);
        let (noted, ended): (i64, bool) = (row.get(7)?, row.get(8)?);
        let lasts = kind == GapKind::Untaken && !ended && now.saturating_sub(noted) <= LASTS;
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        let gap = Gap {
            kind,
            from: from_nanos(from),
            // One moment takes a nanosecond, so that it is in some stretch.
            to: from_nanos(if lasts {
                now
            } else {
                to.max(from.saturating_add(1))
            }),
            open: lasts,
            stream: some(row.get(1)?),
            rule: some(row.get(2)?),
            records: Some(count_from_sql(row, 5)?),
            why: row.get(6)?,
            closed_by: Vec::new(),
        };
        gaps.push((gap, (kind != GapKind::Untaken).then_some(noted)));
    }
    Ok(())
}
