//! What could not be read, and why.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The kinds of problem that an input can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ProblemKind {
    /// There is no such file or object.
    Missing,
    /// A pattern fits no file.
    NoMatch,
    /// A link leads back to a folder above it.
    Loop,
    /// Neither a file nor a folder: a socket, a device, a pipe inside a folder.
    NotAFile,
    /// The operating system or the object store refuses to open or to read it.
    Unreadable,
    /// Nothing is in it.
    Empty,
    /// The content is not text.
    Binary,
    /// The content is of a kind that is not read: another archive or compression, an encrypted entry.
    Unsupported,
    /// Compressed data that contradicts itself.
    Corrupt,
    /// Compressed data, an array or a record that ends in the middle.
    CutShort,
    /// A record above the size limit.
    TooLong,
    /// A record that is not valid JSON.
    NotJson,
    /// A record that is not valid UTF-8.
    InvalidUtf8,
    /// A record that is JSON, but not an object.
    NotAnObject,
    /// A record whose arrays and objects are nested too deep.
    TooDeep,
    /// A search hit or a bulk update that carries no document.
    NoDocument,
    /// A line of a bulk file that should be an action and is not, or an action without its document.
    BulkAction,
    /// A document that should hold an array of records and does not.
    NoRecords,
    /// A record that no source recognises.
    Unrecognised,
    /// A record that lacks what its source cannot do without.
    Malformed,
}

impl ProblemKind {
    /// The name under which the kind is counted, in kebab case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::NoMatch => "pattern-without-match",
            Self::Loop => "folder-loop",
            Self::NotAFile => "not-a-file",
            Self::Unreadable => "unreadable",
            Self::Empty => "empty",
            Self::Binary => "binary",
            Self::Unsupported => "unsupported",
            Self::Corrupt => "corrupt",
            Self::CutShort => "cut-short",
            Self::TooLong => "record-too-long",
            Self::NotJson => "not-json",
            Self::InvalidUtf8 => "invalid-utf8",
            Self::NotAnObject => "not-an-object",
            Self::TooDeep => "too-deep",
            Self::NoDocument => "no-document",
            Self::BulkAction => "bulk-action",
            Self::NoRecords => "no-records",
            Self::Unrecognised => "unrecognised",
            Self::Malformed => "malformed",
        }
    }
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why something is not read: the kind of problem, and a message.
pub(crate) type Refusal = (ProblemKind, String);

/// One thing that could not be read. Everything else still was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputProblem {
    /// Name of the file or stream.
    pub source: Arc<str>,
    /// Line in the decompressed text, counted from 1; `None` where the whole file is meant.
    pub line: Option<u64>,
    /// What kind of problem.
    pub kind: ProblemKind,
    /// What is wrong, in lower case without a full stop.
    pub message: String,
}

impl fmt::Display for InputProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.source, self.message),
            None => write!(f, "{}: {}", self.source, self.message),
        }
    }
}

/// All problems of a run: every one is counted, the first of each kind are kept in full.
#[derive(Clone, Debug)]
pub struct ProblemLog {
    kept: Vec<InputProblem>,
    counts: BTreeMap<ProblemKind, u64>,
    keep_per_kind: u64,
}

impl ProblemLog {
    /// A log that keeps the first `keep_per_kind` problems of each kind.
    pub fn new(keep_per_kind: u64) -> Self {
        Self {
            kept: Vec::new(),
            counts: BTreeMap::new(),
            keep_per_kind,
        }
    }

    /// Counts a problem, and keeps it if it is one of the first of its kind.
    pub fn add(&mut self, problem: InputProblem) {
        let count = self.counts.entry(problem.kind).or_default();
        *count += 1;
        if *count <= self.keep_per_kind {
            self.kept.push(problem);
        }
    }

    /// The problems kept in full, in the order of the input.
    pub fn kept(&self) -> &[InputProblem] {
        &self.kept
    }

    /// How many problems there were of each kind.
    pub fn counts(&self) -> &BTreeMap<ProblemKind, u64> {
        &self.counts
    }

    /// How many problems there were.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }
}
