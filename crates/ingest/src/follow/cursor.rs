//! How far files were read, kept across restarts.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Bytes at the start of what was read, and before the place of reading, by which a file is known again.
const MARKED: u64 = 1024;

/// What tells that the beginning of a file, up to a place, was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// Bytes that were read: whole lines.
    pub(super) offset: u64,
    /// Hash of the first of them.
    head: String,
    /// Hash of the last of them.
    tail: String,
}

impl Mark {
    /// The mark of the place `offset` of a file.
    pub(super) fn at(file: &File, offset: u64) -> io::Result<Self> {
        let length = offset.min(MARKED);
        Ok(Self {
            offset,
            head: hash(file, 0, length)?,
            tail: hash(file, offset - length, length)?,
        })
    }

    /// Whether a file begins with what was read.
    pub(super) fn fits(&self, file: &File) -> io::Result<bool> {
        if file.metadata()?.len() < self.offset {
            return Ok(false);
        }
        Ok(Self::at(file, self.offset)? == *self)
    }

    /// Whether a file that is shorter than what was read begins like it.
    pub(super) fn begins_like(&self, file: &File) -> io::Result<bool> {
        let length = file.metadata()?.len();
        Ok((MARKED..self.offset).contains(&length) && hash(file, 0, MARKED)? == self.head)
    }
}

fn hash(mut file: &File, start: u64, length: u64) -> io::Result<String> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(&mut bytes)?;
    let digest = Sha256::digest(&bytes);
    let digits = digest.iter().take(16).flat_map(|byte| [byte >> 4, byte & 15]);
    Ok(digits
        .filter_map(|digit| char::from_digit(u32::from(digit), 16))
        .collect())
}

/// Which file it is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Identity(u64, u64);

impl Identity {
    #[cfg(unix)]
    pub(super) fn of(_: &Path, metadata: &fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self(metadata.dev(), metadata.ino())
    }

    /// Where files have no number, their names tell them apart.
    #[cfg(not(unix))]
    pub(super) fn of(path: &Path, _: &fs::Metadata) -> Self {
        use std::hash::{DefaultHasher, Hash as _, Hasher as _};
        let mut hasher = DefaultHasher::new();
        path.hash(&mut hasher);
        Self(0, hasher.finish())
    }
}

/// A file, and how far it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    pub(super) identity: Identity,
    /// Where it was seen last.
    pub(super) path: PathBuf,
    /// The name under which its records are kept: that which it had first.
    pub(super) stream: String,
    pub(super) mark: Mark,
    /// The line at the mark is too long, and the rest of it is to be left out.
    pub(super) is_skipping: bool,
}

/// All that is kept across restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// The end of the log when this was written: what files gave since then stands behind it.
    pub(super) log: u64,
    /// The paths that were asked for.
    #[serde(default)]
    pub(super) asked: Vec<PathBuf>,
    pub(super) files: Vec<Known>,
    /// Of files that were truncated or are gone, with their streams: copies of them may come yet.
    pub(super) past: Vec<(Mark, String)>,
}

impl Cursor {
    /// Reads a cursor; `None` if there is none.
    pub(super) fn load(path: &Path) -> io::Result<Option<Self>> {
        match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the cursor so that a crash leaves the old one or the new one.
    pub(super) fn save(&self, path: &Path) -> io::Result<()> {
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer(&mut file, self).map_err(io::Error::other)?;
        file.flush()?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        #[cfg(unix)]
        File::open(folder)?.sync_all()?;
        Ok(())
    }
}
