//! What a run did.

use std::collections::BTreeMap;
use std::time::Duration;

use neph_normalize::UnknownSource;

use crate::input::{InputProblem, ProblemLog};

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// Standard input is followed together with other inputs.
    #[error("standard input can only be followed alone")]
    LiveStdin,
    /// The options force a source that there is not.
    #[error(transparent)]
    Source(#[from] UnknownSource),
    /// A problem with an input, where the caller wants every input to be whole.
    #[error("{0}")]
    Strict(InputProblem),
    /// The threads of the run could not be started.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

/// What was left out on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Files and folders whose names start with a dot, met in folders.
    pub hidden_files: u64,
    /// Files that were named before.
    pub repeated_files: u64,
    /// Bulk actions that delete a document.
    pub bulk_deletes: u64,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read as they are stored, of `total_bytes`.
    pub bytes: u64,
    /// Bytes that there are to read, where that is known.
    pub total_bytes: Option<u64>,
    /// Records read.
    pub records: u64,
    /// Matches found.
    pub matches: u64,
}

/// What a run did, in numbers. `records` and `refused` add up to the records that the inputs hold.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Inputs with content: files, entries of archives, standard input.
    pub inputs: u64,
    /// Bytes read as they are stored.
    pub stored_bytes: u64,
    /// Bytes after decompression.
    pub bytes: u64,
    /// Records read; of text logs, lines.
    pub records: u64,
    /// Records that could not be read; each is among the problems.
    pub refused: u64,
    /// Events by the source that their record is of. One record may hold several, or none.
    pub events: BTreeMap<&'static str, u64>,
    /// Records that carry no event by the rules of their source, by source and reason.
    pub dropped: BTreeMap<(&'static str, &'static str), u64>,
    /// Matches found.
    pub matches: u64,
    /// What could not be read.
    pub problems: ProblemLog,
    /// What was left out on purpose.
    pub skipped: Skipped,
    /// Whether the run was ended before the inputs were.
    pub cancelled: bool,
    /// Time that the run took.
    pub elapsed: Duration,
}
