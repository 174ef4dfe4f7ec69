//! The database: one SQLite file, in WAL mode with `synchronous=FULL`.
//!
//! One thread writes. Whoever wants a change hands it a closure; the thread runs all that wait inside one transaction, each
//! in a savepoint of its own, commits once, and then answers all: many small changes cost one sync. Readers have
//! connections of their own and never wait for the writer (<https://www.sqlite.org/wal.html>).

mod schema;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use neph_event::Instant;
use rusqlite::{Connection, OpenFlags};

use crate::alerts::AlertChange;
use crate::ledger::{LedgerRow, Unseen};
use crate::log::Offset;
use crate::{StoreError, alerts, ledger};

/// How long a connection waits for another process's lock.
const BUSY: Duration = Duration::from_secs(10);
/// How many connections for reading are kept open.
const READERS: usize = 8;

/// A handle to the database; clones share it.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    /// `None` when opened to be read.
    writer: Option<writer::Writer>,
    readers: Mutex<Vec<Connection>>,
}

/// Makes a new file for its owner alone, wherever it stands; the files that SQLite puts beside it take its mode over. One that
/// is there already is not touched: to close it would let go of the locks that another connection of this process has on it
/// (<https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_>).
fn keep_to_owner(path: &Path) -> Result<(), StoreError> {
    let mut options = std::fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(StoreError::io("create", path, error))
        }
        _ => Ok(()),
    }
}

/// What the pipeline made of a stretch of the log: kept in one transaction, or not at all.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// When, for `created` and `updated`.
    pub now: Instant,
    /// Alerts, in the order in which they came.
    pub alerts: Vec<AlertChange>,
    /// One row a block. Rows of blocks before the offset processed so far are left out: they were counted before.
    pub ledger: Vec<LedgerRow>,
    /// What rules missed. Of blocks that were processed before nothing may be told again.
    pub unseen: Vec<Unseen>,
    /// Everything before this offset is done. Never moves back.
    pub processed: Offset,
    /// Outputs that are to get the alerts.
    pub outputs: Vec<Arc<str>>,
}

/// What a commit changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Ids of alerts that were not there before.
    pub raised: Vec<String>,
    /// Ids of alerts that were updated.
    pub updated: Vec<String>,
    /// Ids of alerts that were withdrawn.
    pub retracted: Vec<String>,
    /// Alerts that were there already.
    pub repeated: u64,
}

/// What a reader keeps of the database, in KiB: the indexes that a hundred thousand alerts are counted by.
const READER_CACHE: i64 = 8192;

impl Database {
    /// Opens the database, makes it where there is none, and brings its schema up to date.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        keep_to_owner(path)?;
        let mut connection = Connection::open(path)?;
        settle(&connection)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "foreign_keys", "on")?;
        schema::migrate(&mut connection)?;
        Ok(Self {
            inner: Arc::new(Inner {
                path: path.to_owned(),
                writer: Some(writer::Writer::start(connection)),
                readers: Mutex::default(),
            }),
        })
    }

    /// Opens the database of another process, or of none, to be read only.
    pub(crate) fn open_read_only(path: &Path) -> Result<Self, StoreError> {
        let database = Self {
            inner: Arc::new(Inner {
                path: path.to_owned(),
                writer: None,
                readers: Mutex::default(),
            }),
        };
        database.read(schema::check)?;
        Ok(database)
    }

    /// Keeps what the pipeline made of a stretch of the log, in one transaction.
    ///
    /// # Errors
    ///
    /// The database failed, and nothing of the commit was kept.
    pub fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        self.write(move |db| {
            let processed = processed(db)?;
            let done = alerts::apply(db, &commit.alerts, &commit.outputs, commit.now)?;
            ledger::merge(db, &commit.ledger, processed)?;
            ledger::note(db, &commit.unseen, commit.now)?;
            if commit.processed > processed {
                db.prepare_cached("INSERT OR REPLACE INTO facts (name, value) VALUES ('processed', ?1)")?
                    .execute([offset_to_sql(commit.processed)])?;
            }
            Ok(done)
        })
    }

    /// The offset that the last commit reached.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub fn processed(&self) -> Result<Offset, StoreError> {
        self.read(processed)
    }

    /// Runs a change in the writer's next transaction and waits until it is durable. An error undoes this change alone.
    pub(crate) fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        match &self.inner.writer {
            Some(writer) => writer.run(change),
            None => Err(StoreError::ReadOnly {
                why: "it was opened to be read",
            }),
        }
    }

    /// Runs a change in the writer's next transaction, and does not wait.
    pub(crate) fn write_later(
        &self,
        change: impl FnOnce(&Connection) -> Result<(), StoreError> + Send + 'static,
    ) {
        if let Some(writer) = &self.inner.writer {
            writer.hand_over(change, |_| {}).ok();
        }
    }

    /// Was it opened to be read only.
    pub fn is_read_only(&self) -> bool {
        self.inner.writer.is_none()
    }

    /// Runs a reading closure on a connection of its own.
    pub(crate) fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let pooled = self.readers().pop();
        let connection = match pooled {
            Some(connection) => connection,
            None => self.reader()?,
        };
        // One snapshot for all that the closure asks.
        let transaction = connection.unchecked_transaction()?;
        let result = query(&transaction);
        drop(transaction);
        let mut readers = self.readers();
        if readers.len() < READERS {
            readers.push(connection);
        }
        result
    }

    fn readers(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.inner.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reader(&self) -> Result<Connection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.inner.path, flags)?;
        settle(&connection)?;
        connection.pragma_update(None, "cache_size", -READER_CACHE)?;
        if connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
            .is_ok()
        {
            return Ok(connection);
        }
        // A file in WAL mode needs a shared-memory file beside it; in a folder that cannot be written nobody else writes
        // either (<https://www.sqlite.org/wal.html#read_only_databases>).
        let path = self.inner.path.to_string_lossy();
        let escaped = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
        let uri = format!("file:{escaped}?immutable=1");
        let connection = Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)?;
        settle(&connection)?;
        Ok(connection)
    }
}

/// What holds for every connection. What SQLite notes while it works stays in memory: a container of nothing but the binary, or a
/// unit that may write to one folder only, has no place for temporary files (<https://www.sqlite.org/tempfiles.html>).
fn settle(connection: &Connection) -> Result<(), StoreError> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    Ok(())
}

pub(crate) fn processed(db: &Connection) -> Result<Offset, StoreError> {
    let mut statement = db.prepare_cached("SELECT value FROM facts WHERE name = 'processed'")?;
    let mut rows = statement.query([])?;
    Ok(match rows.next()? {
        Some(row) => offset_from_sql(row.get(0)?),
        None => 0,
    })
}

/// SQLite's integers have a sign; offsets stay far below 2^63.
pub(crate) fn offset_to_sql(offset: Offset) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}

pub(crate) fn offset_from_sql(value: i64) -> Offset {
    u64::try_from(value).unwrap_or(0)
}

/// Times are kept as nanoseconds since 1970, which reach from 1677 to 2262; others stop at these ends.
pub(crate) fn to_nanos(time: Instant) -> i64 {
    let nanos = time.as_nanos();
    i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
}

pub(crate) fn from_nanos(nanos: i64) -> Instant {
    Instant::from_nanos(nanos.into())
}

/// Bytes compressed for a column.
pub(crate) fn pack(bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
    zstd::bulk::compress(bytes, 3).map_err(|error| StoreError::Invalid {
        why: format!("cannot compress: {error}"),
    })
}

/// What [`pack`] packed.
pub(crate) fn unpack(packed: &[u8]) -> Result<Vec<u8>, StoreError> {
    zstd::stream::decode_all(packed).map_err(|error| StoreError::Invalid {
        why: format!("a compressed column of the database is damaged: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_connection_needs_a_place_for_temporary_files() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("neph.sqlite")).unwrap();
        let kept =
            |db: &Connection| Ok(db.pragma_query_value(None, "temp_store", |row| row.get::<_, i64>(0))?);
        // 2 is memory (<https://www.sqlite.org/pragma.html#pragma_temp_store>).
        assert_eq!(database.write(kept).unwrap(), 2);
        assert_eq!(database.read(kept).unwrap(), 2);
    }

    #[test]
    fn what_made_sqlite_roll_back_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("neph.sqlite")).unwrap();
        let change = |db: &Connection| {
            // As SQLite does it where a disk is full.
            db.execute_batch("ROLLBACK")?;
            Err::<(), _>(StoreError::Refused {
                why: "the cause".to_owned(),
            })
        };
        let told = database.write(change).unwrap_err();
        assert!(matches!(told, StoreError::Refused { .. }), "{told}");
    }
}
