//! The outbox: alerts that outputs have yet to deliver. Rows are written in the transaction that stores the alert, so that
//! nothing raised is forgotten; delivering marks them.
//!
//! Rows may be told together: one leads, and stands for the others from then on. Who is led by whom is kept before anything is
//! sent, so that the same group is told again where it is not known whether it arrived.

mod read;

use neph_event::Instant;
use rusqlite::Connection;

use crate::database::to_nanos;
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

    pub(crate) fn from_number(number: i64) -> Self {
        match number {
            0 => Self::Raised,
            1 => Self::Updated,
            _ => Self::Retracted,
        }
    }

    /// `raised`, `updated`, `retracted`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Updated => "updated",
            Self::Retracted => "retracted",
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
    /// When it, or what was before it, was tried in vain first.
    pub tried: Option<Instant>,
    /// What the last try met.
    pub error: Option<String>,
    /// Number of the row that leads it, where it is told with others; its own where it leads them.
    pub leader: Option<i64>,
    /// When it was given up.
    pub dead: Option<Instant>,
}

/// Alerts that are told together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Together {
    /// How many.
    pub count: u64,
    /// How many of them are updates.
    pub updated: u64,
    /// How many were withdrawn.
    pub retracted: u64,
    /// Time of the first.
    pub first: Instant,
    /// Time of the last.
    pub last: Instant,
    /// Their ids, as many as were asked for.
    pub ids: Vec<String>,
    /// ECS fields of what they are about, with the most common values and how many alerts have them.
    pub values: Vec<(String, Vec<(String, u64)>)>,
}

/// How an output stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboxCounts {
    /// The output's name.
    pub output: String,
    /// Alerts that wait.
    pub waiting: u64,
    /// When the oldest of them was put here.
    pub oldest: Option<Instant>,
    /// Alerts that were given up.
    pub dead: u64,
    /// Alerts that were delivered, since the database was made.
    pub delivered: u64,
    /// Messages that told of them.
    pub messages: u64,
    /// Alerts that the output's filter left out.
    pub left_out: u64,
    /// What the last failed try of what waits or was given up met.
    pub error: Option<String>,
}

impl Database {
    /// What is due for an output, oldest first. Rows that another leads are not among them.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn due(&self, output: &str, now: Instant, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        self.read(|db| read::due(db, output, now, limit))
    }

    /// When something will be due for an output next; none if nothing waits.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn next_due(&self, output: &str) -> Result<Option<Instant>, StoreError> {
        self.read(|db| read::next_due(db, output))
    }

    /// These were delivered, each by a message of its own that told the alert with so many updates: they go, with those that they
    /// lead. One whose alert changed meanwhile stays, to be told once more.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn delivered(&self, rows: &[(i64, u64)], now: Instant) -> Result<(), StoreError> {
        let rows = rows.to_vec();
        self.write(move |db| {
            let mut count = db.prepare_cached(
                "INSERT INTO outputs (output, delivered, messages)
                 SELECT output, (SELECT count(*) FROM outbox m WHERE m.seq = o.seq OR m.leader = o.seq), 1
                 FROM outbox o WHERE seq = ?1
                 ON CONFLICT DO UPDATE SET delivered = delivered + excluded.delivered, messages = messages + 1",
            )?;
            // A withdrawal has a row of its own.
            let mut again = db.prepare_cached(
                "UPDATE outbox SET kind = 1, attempts = 0, error = NULL, tried = NULL, created = ?3, due = ?3
                 WHERE seq = ?1 AND leader IS NULL AND kind IN (0, 1)
                   AND EXISTS (SELECT 1 FROM alerts a WHERE a.row = outbox.row AND a.updates > ?2 AND a.retracted IS NULL)",
            )?;
            let mut delete = db.prepare_cached("DELETE FROM outbox WHERE seq = ?1 OR leader = ?1")?;
            for (row, updates) in rows {
                count.execute([row])?;
                let updates = i64::try_from(updates).unwrap_or(i64::MAX);
                if again.execute((row, updates, to_nanos(now)))? == 0 {
                    delete.execute([row])?;
                }
            }
            Ok(())
        })
    }

    /// The output's filter leaves these out: they go.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn left_out(&self, rows: &[i64]) -> Result<(), StoreError> {
        let rows = rows.to_vec();
        self.write(move |db| {
            let mut count = db.prepare_cached(
                "INSERT INTO outputs (output, left_out) SELECT output, 1 FROM outbox WHERE seq = ?1
                 ON CONFLICT DO UPDATE SET left_out = left_out + 1",
            )?;
            let mut delete = db.prepare_cached("DELETE FROM outbox WHERE seq = ?1")?;
            for row in rows {
                count.execute([row])?;
                delete.execute([row])?;
            }
            Ok(())
        })
    }

    /// These will be told together, by a message of the row `leader`, which is due then. It may lead others already.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn tell_together(&self, leader: i64, rows: &[i64], due: Instant) -> Result<(), StoreError> {
        let rows = rows.to_vec();
        self.write(move |db| {
            db.prepare_cached("UPDATE outbox SET leader = seq, due = ?2 WHERE seq = ?1")?
                .execute((leader, to_nanos(due)))?;
            let mut follow =
                db.prepare_cached("UPDATE outbox SET leader = ?2 WHERE seq = ?1 AND leader IS NULL")?;
            for row in rows {
                follow.execute((row, leader))?;
            }
            Ok(())
        })
    }

    /// What a row leads, itself included.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn together(&self, leader: i64, ids: u32, values: u32) -> Result<Together, StoreError> {
        self.read(|db| read::together(db, leader, ids, values))
    }

    /// These were tried in vain, and are due again at `next`.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn failed(&self, rows: &[i64], error: &str, now: Instant, next: Instant) -> Result<(), StoreError> {
        let (rows, error) = (rows.to_vec(), error.to_owned());
        self.write(move |db| {
            let mut update = db.prepare_cached(
                "UPDATE outbox SET attempts = attempts + 1, error = ?2, tried = coalesce(tried, ?3), due = ?4 WHERE seq = ?1",
            )?;
            for row in rows {
                update.execute((row, &error, to_nanos(now), to_nanos(next)))?;
            }
            Ok(())
        })
    }

    /// These could not be tried, because what was before them failed: they are due again at `next`.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn held_up(&self, rows: &[i64], error: &str, now: Instant, next: Instant) -> Result<(), StoreError> {
        let (rows, error) = (rows.to_vec(), error.to_owned());
        self.write(move |db| {
            let mut update = db.prepare_cached(
                "UPDATE outbox SET error = ?2, tried = coalesce(tried, ?3), due = ?4 WHERE seq = ?1",
            )?;
            for row in rows {
                update.execute((row, &error, to_nanos(now), to_nanos(next)))?;
            }
            Ok(())
        })
    }

    /// What was tried in vain for an output is due now.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn hurry(&self, output: &str, now: Instant) -> Result<(), StoreError> {
        let output = output.to_owned();
        self.write(move |db| {
            db.execute(
                "UPDATE outbox SET due = ?2 WHERE output = ?1 AND dead IS NULL AND tried IS NOT NULL AND due > ?2",
                (output, to_nanos(now)),
            )?;
            Ok(())
        })
    }

    /// These are given up, with those that they lead. They stay, and [`Database::revive`] makes them due again.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn dead(&self, rows: &[i64], error: &str, now: Instant) -> Result<(), StoreError> {
        let (rows, error) = (rows.to_vec(), error.to_owned());
        self.write(move |db| {
            let mut update = db.prepare_cached(
                "UPDATE outbox SET attempts = attempts + 1, error = ?2, tried = coalesce(tried, ?3), dead = ?3
                 WHERE seq = ?1 OR leader = ?1",
            )?;
            for row in rows {
                update.execute((row, &error, to_nanos(now)))?;
            }
            Ok(())
        })
    }

    /// What was given up, oldest first, from behind the row `after`.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn dead_letters(&self, output: &str, after: i64, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        self.read(|db| read::dead_letters(db, output, after, limit))
    }

    /// Makes all that was given up for an output due again, each alert by itself, as if it had not been tried; how many.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn revive(&self, output: &str, now: Instant) -> Result<u64, StoreError> {
        let output = output.to_owned();
        self.write(move |db| {
            let revived = db.execute(
                "UPDATE outbox SET dead = NULL, due = ?2, attempts = 0, tried = NULL, leader = NULL
                 WHERE output = ?1 AND dead IS NOT NULL",
                (output, to_nanos(now)),
            )?;
            Ok(revived as u64)
        })
    }

    /// Takes away all that was given up for an output, and what waits for it too if it is not there any more; how many.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn discard(&self, output: &str, waiting: bool) -> Result<u64, StoreError> {
        let output = output.to_owned();
        self.write(move |db| {
            let gone = db.execute(
                "DELETE FROM outbox WHERE output = ?1 AND (?2 OR dead IS NOT NULL)",
                (&output, waiting),
            )?;
            if waiting {
                db.execute("DELETE FROM outputs WHERE output = ?1", [&output])?;
            }
            Ok(gone as u64)
        })
    }

    /// How each output stands.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn outbox_counts(&self) -> Result<Vec<OutboxCounts>, StoreError> {
        self.read(|db: &Connection| read::counts(db))
    }
}
