//! What an image may cost to read, and what reading one can fail with.

use std::io;

/// Limits against images that were made to exhaust whoever reads them. Nothing of an image is kept but the list of its files, so
/// that these bound time and memory; the disk is never written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Entries of all layers together.
    pub entries: u64,
    /// Bytes of a path or of a link's target.
    pub path: usize,
    /// Bytes of all layers together, decompressed.
    pub total: u64,
    /// How many times larger a layer may become by decompression, once it is larger than `free`.
    pub ratio: u64,
    /// Decompressed bytes of a layer for which the ratio does not count: small things may compress well.
    pub free: u64,
    /// Layers of an image.
    pub layers: usize,
    /// Bytes of a manifest, an index, a configuration or a signature.
    pub document: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 2_000_000,
            path: 4096,
            total: 64 << 30,
            ratio: 100,
            free: 64 << 20,
            layers: 512,
            document: 16 << 20,
        }
    }
}

/// Why an image cannot be read or judged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// A file, an archive or a stream cannot be read.
    #[error("cannot read {what}: {source}")]
    Read {
        /// What was read.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// A manifest, an index or a configuration is no JSON of its kind.
    #[error("{what} is not what it should be: {source}")]
    Json {
        /// What was read.
        what: String,
        /// Why.
        source: serde_json::Error,
    },
    /// Content does not have the digest or the size that whoever refers to it says.
    #[error("{what} was altered or damaged: it should be {said}, and it is {found}")]
    Altered {
        /// Which content.
        what: String,
        /// Its digest or size according to the reference.
        said: String,
        /// Its digest or size.
        found: String,
    },
    /// It is hostile, beyond a limit, or in a form that is not understood.
    #[error("refused: {0}")]
    Refused(String),
    /// There is no such image, tag or content.
    #[error("{0}")]
    Missing(String),
    /// A registry refuses, or does not answer.
    #[error("{0}")]
    Registry(String),
}

impl ImageError {
    pub(crate) fn read(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        // A limit that was hit deep inside a chain of readers comes up as an error of reading.
        move |source| match source.get_ref().and_then(|inner| inner.downcast_ref::<Stop>()) {
            Some(stop) => Self::Refused(format!("{}: {}", what.into(), stop.0)),
            None => Self::Read {
                what: what.into(),
                source,
            },
        }
    }

    pub(crate) fn json(what: impl Into<String>) -> impl FnOnce(serde_json::Error) -> Self {
        move |source| Self::Json {
            what: what.into(),
            source,
        }
    }
}

/// A limit that a reader hit.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Stop(pub(crate) String);

impl Stop {
    pub(crate) fn error(why: String) -> io::Error {
        io::Error::other(Self(why))
    }
}
