//! How a command ends.

use std::process::ExitCode;

/// The documented exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Nothing found, or nothing that the caller asked to fail on.
    Nothing,
    /// Alerts found, with `--fail-on`.
    Alerts,
    /// Usage or rule errors, or an input problem with `--strict`.
    Errors,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Nothing => Self::from(0),
            Exit::Alerts => Self::from(1),
            Exit::Errors => Self::from(2),
        }
    }
}

/// What ended a command before its time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The result could not be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] std::io::Error),
    /// A file that the command line names cannot be read.
    #[error("cannot read `{path}`: {source}")]
    Read {
        /// The path as given.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write `{path}`: {source}")]
    Write {
        /// The path as given.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Anything else, in words.
    #[error("{0}")]
    Message(String),
}

impl Failure {
    /// Whether the reader of our output has gone away (`neph … | head`), which is no error.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }
}
