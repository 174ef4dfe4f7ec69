//! The folder that is filled.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use neph_inventory::{COLLECTION_FILE, Call, Collection, CollectionError};

/// Held while a folder is filled, so that two do not fill it at once.
const LOCK_FILE: &str = ".neph-collect.lock";
/// A larger `collection.json` is not one of ours.
const MAX_COLLECTION: u64 = 1 << 30;
/// `collection.json` is written no more often than this; whoever is stopped in between asks for so much again.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// Nor does writing it take more than one part in so many of the time.
const SAVE_SHARE: u32 = 20;

/// Why a folder cannot be filled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The system does not let it be written to.
    #[error("cannot write `{path}`: {source}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process fills it.
    #[error("another process fills `{0}` at this moment")]
    Busy(PathBuf),
    /// What is in the place of a folder is a link or a file.
    #[error("`{0}` is no folder, or a link to one; nothing is written through links")]
    NoFolder(PathBuf),
    /// Its `collection.json` is not one that can be gone on with.
    #[error("`{path}` {source}; choose an empty folder")]
    Collection {
        /// The file.
        path: PathBuf,
        /// Why.
        source: CollectionError,
    },
}

/// A folder that is being filled. Each file is there whole or not at all; what was asked for stands in `collection.json`.
#[derive(Debug)]
pub struct Output {
    root: PathBuf,
    state: Mutex<State>,
    /// Locked as long as it is open.
    _lock: fs::File,
}

#[derive(Debug)]
struct State {
    calls: BTreeMap<String, Call>,
    began: Timestamp,
    ended: Timestamp,
    is_dirty: bool,
    saved: Instant,
    cost: Duration,
}

impl Output {
    /// Opens a folder, and makes it where it is not there. What an earlier run wrote down is gone on with.
    ///
    /// # Errors
    /// When it cannot be written to, is being filled by another process, or has a `collection.json` of another form.
    pub fn open(root: &Path) -> Result<Self, OutputError> {
        make_folder(root).map_err(|source| failed(root, source))?;
        let lock_path = root.join(LOCK_FILE);
        let lock = private(fs::OpenOptions::new().create(true).truncate(false).write(true))
            .open(&lock_path)
            .map_err(|source| failed(&lock_path, source))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(OutputError::Busy(root.to_owned())),
            Err(fs::TryLockError::Error(source)) => return Err(failed(&lock_path, source)),
        }
        let earlier = read_collection(root)?;
        let now = Timestamp::now();
        let calls = earlier.iter().flat_map(|earlier| earlier.calls.iter().cloned());
        Ok(Self {
            root: root.to_owned(),
            state: Mutex::new(State {
                calls: calls.map(|call| (call.file.clone(), call)).collect(),
                began: earlier.as_ref().map_or(now, |earlier| earlier.began),
                ended: earlier.as_ref().map_or(now, |earlier| earlier.ended),
                is_dirty: false,
                saved: Instant::now(),
                cost: Duration::ZERO,
            }),
            _lock: lock,
        })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What is known of a file's call, if it is complete: then it need not be asked for again. A call without items has no file.
    pub(crate) fn complete(&self, file: &str) -> Option<Call> {
        let call = self.state().calls.get(file).filter(|call| call.complete)?.clone();
        let length =
            fs::symlink_metadata(self.root.join(file)).map(|found| found.is_file() && found.len() > 0);
        (call.items == 0 || length.unwrap_or(false)).then_some(call)
    }

    /// The text of a file of an earlier run.
    pub(crate) fn read(&self, file: &str) -> io::Result<Vec<u8>> {
        fs::read(self.root.join(file))
    }

    /// Forgets calls, and deletes their files: what will be asked for again is not mixed with what was. Calls of others stay.
    ///
    /// # Errors
    /// When a file cannot be deleted.
    pub(crate) fn forget(&self, is_meant: impl Fn(&Call) -> bool) -> Result<(), OutputError> {
        let mut state = self.state();
        let meant: Vec<String> = state
            .calls
            .values()
            .filter(|call| is_meant(call))
            .map(|call| call.file.clone())
            .collect();
        for file in meant {
            state.calls.remove(&file);
            state.is_dirty = true;
            self.delete(&file)?;
        }
        drop(state);
        self.save()
    }

    /// Writes a file and what is to be known of it. The row says which file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn put(&self, call: Call, bytes: Option<&[u8]>) -> Result<(), OutputError> {
        match bytes {
            Some(bytes) => self.write(&call.file, bytes)?,
            None => self.delete(&call.file)?,
        }
        let mut state = self.state();
        state.ended = call.at;
        state.is_dirty = true;
        state.calls.insert(call.file.clone(), call);
        if state.saved.elapsed() > SAVE_EVERY.max(state.cost * SAVE_SHARE) {
            self.save_now(&mut state)?;
        }
        Ok(())
    }

    /// Writes `collection.json`, if anything changed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self) -> Result<(), OutputError> {
        self.save_now(&mut self.state())
    }

    fn save_now(&self, state: &mut State) -> Result<(), OutputError> {
        if !state.is_dirty {
            return Ok(());
        }
        let begin = Instant::now();
        let by = concat!("neph ", env!("CARGO_PKG_VERSION"));
        let mut collection = Collection::new(by, state.began);
        collection.ended = state.ended;
        collection.calls = state.calls.values().cloned().collect();
        collection
            .write(&self.root)
            .map_err(|source| failed(&self.root.join(COLLECTION_FILE), source))?;
        state.is_dirty = false;
        state.cost = begin.elapsed();
        state.saved = Instant::now();
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn delete(&self, file: &str) -> Result<(), OutputError> {
        let path = self.root.join(file);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(failed(&path, source)),
            _ => Ok(()),
        }
    }

    /// `file` is made of names that [`crate::name::segment`] made, with `/` between them.
    fn write(&self, file: &str, bytes: &[u8]) -> Result<(), OutputError> {
        let (folders, name) = file.rsplit_once('/').unwrap_or(("", file));
        let mut folder = self.root.clone();
        for part in folders.split('/').filter(|part| !part.is_empty()) {
            folder.push(part);
            make_folder(&folder).map_err(|source| failed(&folder, source))?;
            // A link that somebody laid here would lead out of the folder.
            let found = fs::symlink_metadata(&folder).map_err(|source| failed(&folder, source))?;
            if !found.is_dir() {
                return Err(OutputError::NoFolder(folder));
            }
        }
        let part = folder.join(format!(".{name}.part"));
        let written = (|| {
            if let Err(error) = fs::remove_file(&part)
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(error);
            }
            let mut open = private(fs::OpenOptions::new().create_new(true).write(true)).open(&part)?;
            open.write_all(bytes)?;
            fs::rename(&part, folder.join(name))
        })();
        written.map_err(|source| failed(&folder.join(name), source))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // Nothing can be done where it fails, and nothing is lost but calls that are made again.
        let _ = self.save();
    }
}

fn failed(path: &Path, source: io::Error) -> OutputError {
    OutputError::Write {
        path: path.to_owned(),
        source,
    }
}

fn read_collection(root: &Path) -> Result<Option<Collection>, OutputError> {
    let path = root.join(COLLECTION_FILE);
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(&path, source)),
        Ok(found) if found.len() > MAX_COLLECTION => {
            return Err(failed(
                &path,
                io::Error::other("it is too large to be a record of a collection"),
            ));
        }
        Ok(_) => {}
    }
    let bytes = fs::read(&path).map_err(|source| failed(&path, source))?;
    Collection::read(&bytes)
        .map(Some)
        .map_err(|source| OutputError::Collection { path, source })
}

/// Only its owner may look: settings and permissions are of use to attackers.
fn private(options: &mut fs::OpenOptions) -> &mut fs::OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

fn make_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}
