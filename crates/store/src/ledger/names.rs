//! Where records say that they belong: indices and datasets, and how many rules look at such.

use neph_event::Instant;
use rusqlite::Connection;

use super::{LedgerRow, count_from_sql, count_to_sql};
use crate::database::{from_nanos, to_nanos};
use crate::{Database, StoreError};

/// Records of a block that say that they belong to one place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameCount {
    /// The index that they were sent to; empty if none.
    pub index: String,
    /// `data_stream.dataset` of the documents that were sent; empty if none.
    pub dataset: String,
    /// Whether their documents were made here of raw records.
    pub is_made: bool,
    /// How many.
    pub records: u64,
    /// Rules that look at them because a pattern names where they belong.
    pub by_name: u64,
    /// Rules that look at them because the names say nothing, or the rule has no patterns.
    pub by_content: u64,
    /// Rules that do not look at them because they belong elsewhere.
    pub left_out: u64,
}

/// The same of a stream, added up over time. The rules are those that ran when the last of the records came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameRow {
    /// The stream.
    pub stream: String,
    /// What is added up.
    pub total: NameCount,
    /// When the first of them was received.
    pub first: Instant,
    /// When the last was.
    pub last: Instant,
}

/// Adds the names of a block that was not counted yet.
pub(super) fn merge(db: &Connection, row: &LedgerRow) -> Result<(), StoreError> {
    if row.names.is_empty() {
        return Ok(());
    }
    let mut statement = db.prepare_cached(
        "INSERT INTO names VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8, ?9) ON CONFLICT DO UPDATE SET
            records = records + excluded.records,
            first = min(first, excluded.first),
            last = max(last, excluded.last),
            by_name = excluded.by_name,
            by_content = excluded.by_content,
            left_out = excluded.left_out",
    )?;
    for name in &row.names {
        statement.execute((
            &row.stream,
            &name.index,
            &name.dataset,
            name.is_made,
            count_to_sql(name.records),
            to_nanos(row.received),
            count_to_sql(name.by_name),
            count_to_sql(name.by_content),
            count_to_sql(name.left_out),
        ))?;
    }
    Ok(())
}

impl Database {
    /// Where records say that they belong of which some was received since then, by stream and name.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn names(&self, since: Instant) -> Result<Vec<NameRow>, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT stream, index_name, dataset, made, records, first, last, by_name, by_content, left_out
                 FROM names WHERE last >= ?1 ORDER BY stream, index_name, dataset, made",
            )?;
            let rows = statement.query_map([to_nanos(since)], |row| {
                Ok(NameRow {
                    stream: row.get(0)?,
                    total: NameCount {
                        index: row.get(1)?,
                        dataset: row.get(2)?,
                        is_made: row.get(3)?,
                        records: count_from_sql(row, 4)?,
                        by_name: count_from_sql(row, 7)?,
                        by_content: count_from_sql(row, 8)?,
                        left_out: count_from_sql(row, 9)?,
                    },
                    first: from_nanos(row.get(5)?),
                    last: from_nanos(row.get(6)?),
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}
