//! The files of a folder, within bounds.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::collection::{COLLECTION_FILE, Call, Collection, CollectionError};
use crate::scope::Scope;

/// How much is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Larger files are refused; bytes.
    pub file_bytes: u64,
    /// Most files; what comes after them is not looked at, which is told.
    pub files: usize,
    /// Folders within folders.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 1 << 30,
            files: 1_000_000,
            depth: 16,
        }
    }
}

/// Why a file is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The system does not let it be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// It is too large.
    #[error("is larger than {} MiB", limit >> 20)]
    TooLarge {
        /// The largest that is read, in bytes.
        limit: u64,
    },
    /// There are too many files.
    #[error("is not looked at, nor what comes after it: there are more than {limit} files")]
    TooMany {
        /// The most that are looked at.
        limit: usize,
    },
    /// It lies too deep.
    #[error("is not looked at: folders are nested deeper than {limit}")]
    TooDeep {
        /// The deepest that is looked at.
        limit: usize,
    },
    /// It is a link within a folder.
    #[error("is a link, which is not followed")]
    Link,
    /// It is a device, a pipe or a socket.
    #[error("is no file")]
    NoFile,
    /// It is a `collection.json` that cannot be used.
    #[error(transparent)]
    Collection(#[from] CollectionError),
}

/// A file that is not read, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub why: Refusal,
}

/// A file of what was collected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    /// Its path below the path that was asked for, with `/` between its parts; the name of a file that was asked for itself.
    pub name: String,
    /// Its size when it was found, in bytes.
    pub bytes: u64,
    /// Whose it is: as the collector says, else as its place tells.
    pub scope: Scope,
    /// What the collector says about it.
    pub call: Option<Call>,
    limit: u64,
}

/// What was collected.
#[derive(Clone, Debug, Default)]
pub struct Folder {
    files: Vec<File>,
    refused: Vec<Refused>,
    failed: Vec<Call>,
    collections: Vec<(PathBuf, Collection)>,
}

impl Folder {
    /// Looks for the files of folders, in the order of their names. Links within folders are not followed, and what begins with a dot is
    /// left out. Files may be named too.
    pub fn open(paths: &[PathBuf], limits: &Limits) -> Self {
        let mut folder = Self::default();
        for path in paths {
            folder.walk(path, limits);
        }
        folder.take_collections();
        folder
    }

    /// The files, without those that collectors wrote about themselves.
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// What is not read, and why.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// Calls that a collector made and that no file is there of: what they would have told is unknown.
    pub fn failed(&self) -> &[Call] {
        &self.failed
    }

    /// The collections, with the folders that they are of.
    pub fn collections(&self) -> impl Iterator<Item = (&Path, &Collection)> {
        self.collections
            .iter()
            .map(|(path, collection)| (path.as_path(), collection))
    }

    fn refuse(&mut self, path: impl Into<PathBuf>, why: Refusal) {
        self.refused.push(Refused {
            path: path.into(),
            why,
        });
    }

    fn walk(&mut self, root: &Path, limits: &Limits) {
        let walk = walkdir::WalkDir::new(root)
            .max_depth(limits.depth + 1)
            .sort_by_file_name();
        let shown = |entry: &walkdir::DirEntry| {
            entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".")
        };
        for found in walk.into_iter().filter_entry(shown) {
            let entry = match found {
                Ok(entry) => entry,
                Err(error) => {
                    let reason = error
                        .io_error()
                        .map_or_else(|| error.to_string(), ToString::to_string);
                    self.refuse(error.path().unwrap_or(root), Refusal::Unreadable(reason));
                    continue;
                }
            };
            let kind = entry.file_type();
            if kind.is_dir() {
                if entry.depth() > limits.depth {
                    self.refuse(entry.path(), Refusal::TooDeep { limit: limits.depth });
                }
                continue;
            }
            if entry.depth() > 0 && !kind.is_file() {
                let why = if kind.is_symlink() {
                    Refusal::Link
                } else {
                    Refusal::NoFile
                };
                self.refuse(entry.path(), why);
                continue;
            }
            if self.files.len() >= limits.files {
                self.refuse(entry.path(), Refusal::TooMany { limit: limits.files });
                return;
            }
            let bytes = match std::fs::metadata(entry.path()) {
                Ok(metadata) => metadata.len(),
                Err(error) => {
                    self.refuse(entry.path(), Refusal::Unreadable(error.to_string()));
                    continue;
                }
            };
            if bytes > limits.file_bytes {
                self.refuse(
                    entry.path(),
                    Refusal::TooLarge {
                        limit: limits.file_bytes,
                    },
                );
                continue;
            }
            let below = match entry.path().strip_prefix(root) {
                Ok(below) if !below.as_os_str().is_empty() => below,
                _ => Path::new(entry.file_name()),
            };
            let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
            self.files.push(File {
                name: parts.join("/"),
                bytes,
                scope: Scope::of_path(entry.path()),
                call: None,
                limit: limits.file_bytes,
                path: entry.into_path(),
            });
        }
    }

    /// Reads what collectors say, and tells it to the files that it is about.
    fn take_collections(&mut self) {
        let (own, mut files): (Vec<File>, Vec<File>) = std::mem::take(&mut self.files)
            .into_iter()
            .partition(|file| file.path.file_name().is_some_and(|name| name == COLLECTION_FILE));
        let mut calls: BTreeMap<PathBuf, Call> = BTreeMap::new();
        for file in own {
            let read = file
                .read()
                .and_then(|bytes| Collection::read(&bytes).map_err(Refusal::from));
            match read {
                Ok(collection) => {
                    let folder = file.path.parent().unwrap_or(Path::new("")).to_owned();
                    for call in &collection.calls {
                        calls.insert(folder.join(&call.file), call.clone());
                    }
                    self.collections.push((folder, collection));
                }
                Err(why) => self.refuse(file.path, why),
            }
        }
        for file in &mut files {
            if let Some(call) = calls.remove(&file.path) {
                file.scope = call.scope().or(&file.scope);
                file.call = Some(call);
            }
        }
        // What is asked for twice is there once.
        let mut paths = BTreeSet::new();
        files.retain(|file| paths.insert(file.path.clone()));
        self.files = files;
        // A file that was refused, for its size or else, tells as little as one that was never written.
        // A whole answer without items needs no file.
        let is_nothing = |call: &Call| call.complete && call.items == 0;
        self.failed = calls.into_values().filter(|call| !is_nothing(call)).collect();
    }
}

impl File {
    /// Opens it; reading ends with an error once more comes than may be, so that a file that grows ends too.
    ///
    /// # Errors
    /// When the system does not let it be read.
    pub fn open(&self) -> Result<impl Read + use<>, Refusal> {
        let file = std::fs::File::open(&self.path).map_err(|error| Refusal::Unreadable(error.to_string()))?;
        Ok(file.take(self.limit))
    }

    /// Reads the whole of it.
    ///
    /// # Errors
    /// When the system does not let it be read, or it has grown too large.
    pub fn read(&self) -> Result<Vec<u8>, Refusal> {
        let unreadable = |error: std::io::Error| Refusal::Unreadable(error.to_string());
        let file = std::fs::File::open(&self.path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        file.take(self.limit + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if bytes.len() as u64 > self.limit {
            return Err(Refusal::TooLarge { limit: self.limit });
        }
        Ok(bytes)
    }

    /// The name without folders and ending: `ec2-describe-snapshots`.
    pub fn stem(&self) -> String {
        let stem = self.path.file_stem().unwrap_or_default();
        stem.to_string_lossy().into_owned()
    }

    /// Whether all of the answer is there, as far as the collector says; files of a person's shell are taken as whole.
    pub fn is_complete(&self) -> bool {
        self.call.as_ref().is_none_or(|call| call.complete)
    }
}
