//! Event ids.

use std::fmt;

use sha2::{Digest, Sha256};

/// The id of a record: the one it was given (`_id`), else a hash of its bytes, so that the same record read again
/// has the same id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize, serde::Serialize)]
pub struct EventId(Box<str>);

impl EventId {
    /// An id that the record or its store gave.
    pub fn given(id: impl Into<Box<str>>) -> Self {
        Self(id.into())
    }

    /// The first 128 bits of the SHA-256 of the raw record, in hexadecimal.
    pub fn of_bytes(raw: &[u8]) -> Self {
        let digest = Sha256::digest(raw);
        let mut text = String::with_capacity(32);
        for byte in digest.iter().take(16) {
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
            }
        }
        Self(text.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
