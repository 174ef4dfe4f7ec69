//! What can go wrong with what is kept.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::log::Offset;

/// Why something could not be kept or read. Cheap to clone, because many who wait on one write get the same answer.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk, the file system's quota, or the size that the log may have is used up. Nothing was acknowledged; the same
    /// append may succeed once there is room.
    #[error("no room for more events: {why}")]
    Full {
        /// Which limit was met.
        why: String,
    },
    /// Too much waits to be written already; the same append may succeed a moment later.
    #[error("too many events wait to be written")]
    Busy,
    /// Too much waits to be evaluated for more to be taken; the same append may succeed later.
    #[error("too many events wait to be evaluated")]
    Behind,
    /// The batch cannot be kept however often it is sent: too large, or its record ends do not fit its bytes.
    #[error("the batch is refused: {why}")]
    Refused {
        /// What is wrong with it.
        why: String,
    },
    /// The operating system failed.
    #[error("cannot {doing} `{}`", path.display())]
    Io {
        /// What was tried, to be read behind "cannot".
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// Events that were kept once cannot be read: the iterator goes on behind them.
    #[error("events from offset {from} to {to} cannot be read: {why}")]
    Gap {
        /// Offset of the first byte that is missing.
        from: Offset,
        /// Offset behind the last byte that is missing.
        to: Offset,
        /// Why they are missing.
        why: GapReason,
    },
    /// The data directory is in use by another process.
    #[error("`{}` is in use by another process", path.display())]
    InUse {
        /// The data directory.
        path: PathBuf,
    },
    /// The store was opened to be read, or is closing.
    #[error("the store takes no changes: {why}")]
    ReadOnly {
        /// Why not.
        why: &'static str,
    },
    /// The database failed.
    #[error("the database failed")]
    Database(#[source] Arc<rusqlite::Error>),
    /// The database was made by a newer version of the program.
    #[error("the database has schema {found}, and this program knows no newer one than {known}")]
    Newer {
        /// Version found.
        found: i64,
        /// The newest that is known.
        known: i64,
    },
    /// What was asked for does not exist.
    #[error("there is no {what} `{id}`")]
    Missing {
        /// What kind of thing, for example `alert`.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// A change that makes no sense, such as closing an alert without a verdict.
    #[error("{why}")]
    Invalid {
        /// What is wrong, lower case.
        why: String,
    },
}

/// Why events of the log cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GapReason {
    /// The bytes on disk are not those that were written.
    Damaged,
    /// The file that held them is not there (any more): removed by retention, or by someone.
    Removed,
}

impl std::fmt::Display for GapReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Damaged => "damaged on disk",
            Self::Removed => "removed from disk",
        })
    }
}

impl StoreError {
    /// What is wrong, without the paths of this machine: for those who need not know them.
    pub fn brief(&self) -> String {
        match self {
            Self::Full { .. } => "no room for more events".to_owned(),
            Self::Io { source, .. } => format!("the disk failed: {source}"),
            Self::Database(error) => format!("the database failed: {error}"),
            other => other.to_string(),
        }
    }

    /// An error of the operating system; one that says that there is no room becomes [`StoreError::Full`].
    pub(crate) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match source.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Self::Full {
                why: format!("{source} at `{}`", path.display()),
            },
            _ => Self::Io {
                doing,
                path: path.to_owned(),
                source: Arc::new(source),
            },
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full {
                why: "the database's disk is full".to_owned(),
            },
            _ => Self::Database(Arc::new(error)),
        }
    }
}
