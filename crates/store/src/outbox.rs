//! The outbox: alerts that outputs have yet to deliver. Rows are written in the transaction that stores the alert, so that
//! nothing raised is forgotten; delivering marks them.

use neph_event::Instant;
use rusqlite::Connection;

use crate::database::{from_nanos, to_nanos};
use crate::{AlertRecord, Database, StoreError};

/// Why an alert is to be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeliveryKind {
    /// It is new.
    Raised,
    /// It stands for more than when it was delivered.
    Updated,
    /// It was withdrawn.
    Retracted,
}

impl DeliveryKind {
    pub(crate) fn number(self) -> i64 {
        match self {
            Self::Raised => 0,
            Self::Updated => 1,
            Self::Retracted => 2,
        }
    }
}

/// One alert for one output. The alert is as it is now, so what happened between two tries is told once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Number of the row; rises.
    pub seq: i64,
    /// The output's name.
    pub output: String,
    /// Why.
    pub kind: DeliveryKind,
    /// The alert, with its document.
    pub alert: AlertRecord,
    /// When it was put here.
    pub created: Instant,
    /// How often it was tried.
    pub attempts: u32,
    /// What the last try met.
    pub error: Option<String>,
}

/// How an output stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboxCounts {
    /// The output's name.
    pub output: String,
    /// Rows that wait.
    pub waiting: u64,
    /// When the oldest of them was put here.
    pub oldest: Option<Instant>,
    /// Rows that were given up.
    pub dead: u64,
    /// Rows that were delivered, since the database was made.
    pub delivered: u64,
    /// What the last failed try met.
    pub error: Option<String>,
}

impl Database {
    /// What is due for an output, oldest first.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn due(&self, output: &str, now: Instant, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        self.read(|db| due(db, output, now, limit))
    }

    /// These were delivered (or the output's filter leaves them out): they go.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn delivered(&self, rows: &[i64]) -> Result<(), StoreError> {
        let rows = rows.to_vec();
        self.write(move |db| {
            let mut count = db.prepare_cached(
                "INSERT INTO outputs (output, delivered) SELECT output, 1 FROM outbox WHERE seq = ?1
                 ON CONFLICT DO UPDATE SET delivered = delivered + 1",
            )?;
            let mut delete = db.prepare_cached("DELETE FROM outbox WHERE seq = ?1")?;
            for row in rows {
                count.execute([row])?;
                delete.execute([row])?;
            }
            Ok(())
        })
    }

    /// These were tried in vain, and are due again at `next`.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn failed(&self, rows: &[i64], error: &str, next: Instant) -> Result<(), StoreError> {
        let (rows, error) = (rows.to_vec(), error.to_owned());
        self.write(move |db| {
            let mut update = db.prepare_cached(
                "UPDATE outbox SET attempts = attempts + 1, error = ?2, due = ?3 WHERE seq = ?1",
            )?;
            for row in rows {
                update.execute((row, &error, to_nanos(next)))?;
            }
            Ok(())
        })
    }

    /// These are given up. They stay, and [`Database::revive`] makes them due again.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn dead(&self, rows: &[i64], error: &str, now: Instant) -> Result<(), StoreError> {
        let (rows, error) = (rows.to_vec(), error.to_owned());
        self.write(move |db| {
            let mut update = db.prepare_cached(
                "UPDATE outbox SET attempts = attempts + 1, error = ?2, dead = ?3 WHERE seq = ?1",
            )?;
            for row in rows {
                update.execute((row, &error, to_nanos(now)))?;
            }
            Ok(())
        })
    }

    /// What was given up, oldest first.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn dead_letters(&self, output: &str, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        self.read(|db| dead_letters(db, output, limit))
    }

    /// Makes all that was given up for an output due again; how many.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn revive(&self, output: &str, now: Instant) -> Result<u64, StoreError> {
        let output = output.to_owned();
        self.write(move |db| {
            let revived = db.execute(
                "UPDATE outbox SET dead = NULL, due = ?2 WHERE output = ?1 AND dead IS NOT NULL",
                (output, to_nanos(now)),
            )?;
            Ok(revived as u64)
        })
    }

    /// How each output stands.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn outbox_counts(&self) -> Result<Vec<OutboxCounts>, StoreError> {
        self.read(counts)
    }
}

/// Columns of an outbox row, behind those of its alert.
const COLUMNS: &str = "o.seq, o.output, o.kind, o.created, o.attempts, o.error, o.row";

fn due(db: &Connection, output: &str, now: Instant, limit: u32) -> Result<Vec<Delivery>, StoreError> {
    deliveries(
        db,
        &format!(
            "SELECT {COLUMNS} FROM outbox o WHERE output = ?1 AND dead IS NULL AND due <= ?2 ORDER BY due, seq LIMIT ?3"
        ),
        (output, to_nanos(now), limit),
    )
}

fn dead_letters(db: &Connection, output: &str, limit: u32) -> Result<Vec<Delivery>, StoreError> {
    deliveries(
        db,
        &format!(
            "SELECT {COLUMNS} FROM outbox o WHERE output = ?1 AND dead IS NOT NULL ORDER BY seq LIMIT ?2"
        ),
        (output, limit),
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
            kind: match row.get::<_, i64>(2)? {
                0 => DeliveryKind::Raised,
                1 => DeliveryKind::Updated,
                _ => DeliveryKind::Retracted,
            },
            alert: crate::alerts::by_row(db, row.get(6)?)?,
            created: from_nanos(row.get(3)?),
            attempts: row.get(4)?,
            error: row.get(5)?,
        });
    }
    Ok(found)
}

fn counts(db: &Connection) -> Result<Vec<OutboxCounts>, StoreError> {
    let mut statement = db.prepare_cached(
        "SELECT name, count(seq) FILTER (WHERE dead IS NULL), min(created) FILTER (WHERE dead IS NULL),
                count(seq) FILTER (WHERE dead IS NOT NULL),
                coalesce((SELECT delivered FROM outputs WHERE output = name), 0),
                (SELECT error FROM outbox e WHERE e.output = name AND error IS NOT NULL ORDER BY due DESC LIMIT 1)
         FROM (SELECT output AS name FROM outbox UNION SELECT output FROM outputs) LEFT JOIN outbox o ON o.output = name
         GROUP BY name ORDER BY name",
    )?;
    let number = crate::ledger::count_from_sql;
    let rows = statement.query_map([], |row| {
        Ok(OutboxCounts {
            output: row.get(0)?,
            waiting: number(row, 1)?,
            oldest: row.get::<_, Option<i64>>(2)?.map(from_nanos),
            dead: number(row, 3)?,
            delivered: number(row, 4)?,
            error: row.get(5)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
