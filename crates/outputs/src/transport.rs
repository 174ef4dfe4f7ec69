//! How messages are brought away.

use std::path::PathBuf;
use std::time::Duration;

use neph_config::{Output, OutputKind, SecretError};

use crate::elasticsearch::Elasticsearch;
use crate::file::File;
use crate::stdout::Stdout;
use crate::webhook::Webhook;
use crate::{Form, Message, mail, syslog};

/// Brings messages away. It may block, for no longer than the timeout of its output for each message or batch.
pub trait Transport: Send {
    /// Sends messages; one outcome for each, in their order. A transport that sends one at a time may stop at the first that is to
    /// be tried later, and say [`Outcome::Later`] of the rest.
    fn send(&mut self, messages: &[Message<'_>]) -> Vec<Outcome>;

    /// So many messages at once at most.
    fn batch(&self) -> usize {
        1
    }
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has it.
    Delivered,
    /// Not now: to be tried again.
    Later {
        /// Why, in a sentence without full stop and without any secret.
        why: String,
        /// The receiver wants to be left alone for so long, at least; zero where it does not say how long.
        after: Option<Duration>,
    },
    /// The receiver will never take it.
    Never {
        /// Why, in the same way.
        why: String,
    },
}

impl Outcome {
    /// To be tried again.
    pub fn later(why: impl Into<String>) -> Self {
        Self::Later {
            why: why.into(),
            after: None,
        }
    }

    /// Not to be tried again.
    pub fn never(why: impl Into<String>) -> Self {
        Self::Never { why: why.into() }
    }
}

/// Why an output cannot be opened. It is tried again, as if the receiver had refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A secret cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A file cannot be read or written.
    #[error("cannot open `{path}`: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// TLS cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
    /// Something in the configuration cannot be used.
    #[error("{0}")]
    Invalid(String),
}

/// Opens the transport of an output.
pub(crate) fn open(output: &Output) -> Result<Box<dyn Transport>, OpenError> {
    let form = Form::of(&output.form);
    Ok(match &output.kind {
        OutputKind::Stdout => Box::new(Stdout::new(form)),
        OutputKind::File { path } => Box::new(File::open(path, form)?),
        OutputKind::Webhook { .. } => Box::new(Webhook::open(output)?),
        OutputKind::Syslog { .. } => syslog::open(output)?,
        OutputKind::Mail { .. } => mail::open(output)?,
        OutputKind::Elasticsearch { .. } => Box::new(Elasticsearch::open(output)?),
    })
}
