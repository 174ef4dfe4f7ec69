//! Inputs and pipeline by real bytes: files that the tests write, as users have them.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "the lints know test functions only, not what these call"
)]

mod bad;
mod detection;
mod follow;
mod formats;
mod live;
mod order;
mod pack;
mod plans;
mod vendors;

use std::fs;
use std::path::{Path, PathBuf};

use neph_runtime::input::{Chunk, InputProblem, ProblemKind, ReadOptions, Reader};

/// A folder for the files of one test.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file; folders in its name are made.
    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }
}

/// A record as the tests compare it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Read {
    document: String,
    id: Option<String>,
    index: Option<String>,
    source: String,
    line: u64,
    position: u64,
}

#[derive(Debug, Default)]
struct Contents {
    records: Vec<Read>,
    problems: Vec<InputProblem>,
    deletes: u64,
}

impl Contents {
    fn documents(&self) -> Vec<&str> {
        self.records
            .iter()
            .map(|record| record.document.as_str())
            .collect()
    }

    fn lines(&self) -> Vec<u64> {
        self.records.iter().map(|record| record.line).collect()
    }

    fn kinds(&self) -> Vec<(ProblemKind, Option<u64>)> {
        self.problems
            .iter()
            .map(|problem| (problem.kind, problem.line))
            .collect()
    }
}

/// Reads everything, record by record.
fn read_with(arguments: &[&Path], options: ReadOptions) -> Contents {
    let arguments: Vec<PathBuf> = arguments.iter().map(|path| path.to_path_buf()).collect();
    let mut reader = Reader::new(&arguments, options).unwrap();
    let mut contents = Contents {
        problems: reader.take_problems(),
        ..Contents::default()
    };
    let mut chunk = Chunk::default();
    while reader.next_chunk(&mut chunk) {
        contents.deletes += chunk.deletes();
        contents.problems.extend(chunk.problems().cloned());
        for record in chunk.records() {
            match record {
                Ok(record) => contents.records.push(Read {
                    document: String::from_utf8_lossy(record.document).into_owned(),
                    id: record.id.map(|id| id.into_owned()),
                    index: record.index.map(|index| index.into_owned()),
                    source: chunk.source().to_string(),
                    line: record.line,
                    position: record.position,
                }),
                Err((_, problem)) => contents.problems.push(problem),
            }
        }
    }
    contents
}

fn read(argument: &Path) -> Contents {
    read_with(&[argument], ReadOptions::default())
}

/// Reads bytes that stand in a file of their own.
fn read_bytes(bytes: impl AsRef<[u8]>) -> Contents {
    let folder = Folder::new();
    read(&folder.write("input", bytes))
}
