//! The file that a baseline is.
//!
//! Lines of JSON: first what it is, then the lists that it knows, then the records in their order, and last how many there were and the
//! checksum of all lines before. Equal inventories make equal files but for the time, so that files can be compared by any tool.

use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::read::{Collected, Cover};
use crate::record::Record;

/// The form that is written and read.
const VERSION: u32 = 1;
/// Longer lines are refused, in bytes.
const LINE: u64 = 64 << 20;

/// What snapshots and images there were at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Baseline {
    /// When it was taken.
    pub taken: Timestamp,
    /// What took it: `neph 0.1.0`.
    pub by: String,
    /// What is known and what is not.
    pub covers: Vec<Cover>,
    /// Snapshots and images, sorted by kind and id.
    pub records: Vec<Record>,
}

/// Why a file is no baseline that can be relied on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BaselineError {
    /// The system does not let it be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It is no baseline.
    #[error("is no baseline: {0}")]
    Form(String),
    /// Another version of the program wrote it.
    #[error(
        "is a baseline of the form {0}, and only {VERSION} is known: take it anew, or use the program that took it"
    )]
    Version(u64),
    /// A line is broken.
    #[error("is damaged at line {line}: {what}")]
    Line {
        /// The line.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// Lines are missing at its end.
    #[error("ends before it is whole")]
    Truncated,
    /// Something was changed.
    #[error("was changed after it was taken: its checksum does not fit")]
    Checksum,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    neph_baseline: u32,
    taken: Timestamp,
    by: String,
    covers: Vec<Cover>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tail {
    records: usize,
    sha256: String,
}

/// Hashes what goes through it.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hash.update(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

impl Baseline {
    /// What was collected, as it is now.
    pub fn take(collected: Collected, taken: Timestamp, by: impl Into<String>) -> Self {
        Self {
            taken,
            by: by.into(),
            covers: collected.covers,
            records: collected.records,
        }
    }

    /// Writes it.
    ///
    /// # Errors
    /// When `to` cannot be written to.
    pub fn write(&self, to: impl Write) -> std::io::Result<()> {
        let mut out = Hashing {
            inner: BufWriter::with_capacity(1 << 16, to),
            hash: Sha256::new(),
        };
        let head = Head {
            neph_baseline: VERSION,
            taken: self.taken,
            by: self.by.clone(),
            covers: self.covers.clone(),
        };
        let mut line = Vec::new();
        line_of(&mut line, &head)?;
        out.write_all(&line)?;
        for record in &self.records {
            line_of(&mut line, record)?;
            out.write_all(&line)?;
        }
        let tail = Tail {
            records: self.records.len(),
            sha256: hex(&out.hash.finalize_reset()),
        };
        line_of(&mut line, &tail)?;
        out.inner.write_all(&line)?;
        out.inner.flush()
    }

    /// Writes it to a file, which holds what it held before or all of this, and never a part.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> std::io::Result<()> {
        replace(path, &mut |file| self.write(file))
    }

    /// Reads one, and checks that it is whole and as it was written.
    ///
    /// # Errors
    /// When it is not.
    pub fn read(from: impl Read) -> Result<Self, BaselineError> {
        let mut from = BufReader::with_capacity(1 << 16, from);
        let mut hash = Sha256::new();
        let mut line = Vec::new();
        let mut number = 1;
        if !next(&mut from, &mut line, number)? {
            return Err(BaselineError::Form("it is empty".to_owned()));
        }
        let head = head(&line)?;
        hash.update(&line);
        let mut records: Vec<Record> = Vec::new();
        loop {
            number += 1;
            if !next(&mut from, &mut line, number)? {
                return Err(BaselineError::Truncated);
            }
            // The last line is the only one that begins so, for records have a kind.
            if line.starts_with(b"{\"records\":") {
                let tail: Tail = parse(&line, number)?;
                if tail.records != records.len() || tail.sha256 != hex(&hash.finalize()) {
                    return Err(BaselineError::Checksum);
                }
                break;
            }
            hash.update(&line);
            let record: Record = parse(&line, number)?;
            if records.last().is_some_and(|last| last.place() >= record.place()) {
                let what = "it is not in its order".to_owned();
                return Err(BaselineError::Line { line: number, what });
            }
            records.push(record);
        }
        if next(&mut from, &mut line, number + 1)? {
            let what = "something follows behind the end".to_owned();
            return Err(BaselineError::Line {
                line: number + 1,
                what,
            });
        }
        records.shrink_to_fit();
        Ok(Self {
            taken: head.taken,
            by: head.by,
            covers: head.covers,
            records,
        })
    }

    /// Reads the first line of one: when it was taken, and by what. That it is whole is not checked.
    ///
    /// # Errors
    /// When it is no baseline.
    pub fn peek(from: impl Read) -> Result<(Timestamp, String), BaselineError> {
        let mut line = Vec::new();
        next(&mut BufReader::new(from), &mut line, 1)?;
        let head = head(&line)?;
        Ok((head.taken, head.by))
    }
}

fn head(line: &[u8]) -> Result<Head, BaselineError> {
    #[derive(Deserialize)]
    struct Form {
        neph_baseline: u64,
    }
    let form = |error: serde_json::Error| BaselineError::Form(error.to_string());
    let version = serde_json::from_slice::<Form>(line).map_err(form)?.neph_baseline;
    if version != u64::from(VERSION) {
        return Err(BaselineError::Version(version));
    }
    serde_json::from_slice(line).map_err(form)
}

fn line_of(line: &mut Vec<u8>, value: &impl Serialize) -> std::io::Result<()> {
    line.clear();
    serde_json::to_writer(&mut *line, value).map_err(std::io::Error::from)?;
    line.push(b'\n');
    Ok(())
}

/// Reads a line with its end; says whether there was one.
fn next(from: &mut impl BufRead, line: &mut Vec<u8>, number: usize) -> Result<bool, BaselineError> {
    line.clear();
    let count = from.take(LINE).read_until(b'\n', line)?;
    if count > 0 && line.last() != Some(&b'\n') {
        return Err(match count as u64 {
            LINE => BaselineError::Line {
                line: number,
                what: "it is too long".to_owned(),
            },
            _ => BaselineError::Truncated,
        });
    }
    Ok(count > 0)
}

fn parse<T: for<'de> Deserialize<'de>>(line: &[u8], number: usize) -> Result<T, BaselineError> {
    serde_json::from_slice(line).map_err(|error| BaselineError::Line {
        line: number,
        what: error.to_string(),
    })
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a file beside its place and then puts it there. A link that lies in the place of the part is not followed.
pub(crate) fn replace(
    path: &Path,
    write: &mut dyn FnMut(&mut std::fs::File) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".part");
    let part = path.with_file_name(name);
    match std::fs::remove_file(&part) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::File::create_new(&part)?;
    let written = write(&mut file).and_then(|()| file.sync_all());
    match written {
        Ok(()) => std::fs::rename(&part, path),
        Err(error) => {
            // What was written of it is of no use; that it cannot be removed does not matter more than the first error.
            let _ = std::fs::remove_file(&part);
            Err(error)
        }
    }
}
