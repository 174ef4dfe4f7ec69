//! The data directory.

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant as Clock};

use crate::log::{EventLog, Limits, LogRecovery, Offset};
use crate::snapshots::sync_folder;
use crate::{Database, Removed, Snapshots, StoreError};
use neph_event::Instant;

/// How a store is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreOptions {
    /// Limits of the event log.
    pub limits: Limits,
}

/// What was found when a store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Of the event log.
    pub log: LogRecovery,
}

/// What the service keeps, in one data directory: `events/`, `neph.sqlite`, `state/` and `lock`.
pub struct Store {
    /// Records as received.
    pub log: Arc<EventLog>,
    /// Alerts, ledger, outbox, tokens, audit log.
    pub db: Database,
    /// The pipeline's state.
    pub snapshots: Snapshots,
    /// Held as long as the store is open.
    _lock: Option<File>,
}

/// A process that ends, or that is being started, may hold the lock a moment longer than it has the store open.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);

impl Store {
    /// Opens a data directory for the one process that writes it; makes what is missing.
    ///
    /// # Errors
    ///
    /// [`StoreError::InUse`] if another process has it, [`StoreError::Newer`] if a newer version of the program made it,
    /// [`StoreError::Io`] and [`StoreError::Database`].
    pub fn open(folder: &Path, options: &StoreOptions) -> Result<(Self, Recovery), StoreError> {
        for sub in ["events", "state"] {
            create_folder(&folder.join(sub))?;
        }
        let lock_path = folder.join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(|error| StoreError::io("open", &lock_path, error))?;
        let patience = Clock::now() + LOCK_PATIENCE;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Clock::now() < patience => {
                    thread::sleep(Duration::from_millis(10));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(StoreError::InUse {
                        path: folder.to_owned(),
                    });
                }
                Err(TryLockError::Error(error)) => return Err(StoreError::io("lock", &lock_path, error)),
            }
        }
        let db = Database::open(&folder.join("neph.sqlite"))?;
        // What was processed was in the log: does the log end before, some of it is gone, and its offsets stay used.
        let (log, recovery) = EventLog::open(&folder.join("events"), &options.limits, db.processed()?)?;
        let store = Self {
            log: Arc::new(log),
            db,
            snapshots: Snapshots::new(folder.join("state")),
            _lock: Some(lock),
        };
        Ok((store, Recovery { log: recovery }))
    }

    /// Opens a data directory to be read, beside the process that writes it or when there is none.
    ///
    /// # Errors
    ///
    /// As [`Store::open`]; and there must be a store.
    pub fn open_read_only(folder: &Path) -> Result<Self, StoreError> {
        let db = Database::open_read_only(&folder.join("neph.sqlite"))?;
        let log = EventLog::open_read_only(&folder.join("events"))?;
        Ok(Self {
            log: Arc::new(log),
            db,
            snapshots: Snapshots::new(folder.join("state")),
            _lock: None,
        })
    }

    /// Removes segments of the event log that are past their time or for which there is no room, never one that holds
    /// anything from `needed` on or that was not processed. What they held stays counted for the ledger. Rows of the ledger
    /// that are older than 30 days become one a day.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] and [`StoreError::Database`].
    pub fn retain(&self, needed: Offset, now: Instant) -> Result<Removed, StoreError> {
        let mut removed = Removed::default();
        let needed = needed.min(self.db.processed()?);
        while let Some((segment, counts)) = self.log.removable(needed, now)? {
            self.db.note_removed(segment, counts)?;
            self.log.remove(segment, &mut removed)?;
        }
        removed.begin = self.log.begin();
        self.log.save_indexes()?;
        self.db.condense_ledger(now)?;
        Ok(removed)
    }
}

/// Makes a folder and those above it, durable, for the eyes of its owner alone. One that is there stays as it is.
fn create_folder(path: &Path) -> Result<(), StoreError> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        create_folder(parent)?;
    }
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(StoreError::io("create", path, error))
        }
        _ => sync_folder(parent.unwrap_or(Path::new("."))),
    }
}
