//! Files that are followed while others write, rotate, truncate and delete them.
//!
//! A file is known by its identity, not by its name: a file that was renamed is read on under its old name until nothing
//! comes any more, and what stands at the old name then is another input. A file that shrank, or whose last bytes are
//! no longer those that were read, was truncated and is read from its start. What appears in a followed folder is read
//! from its start as well, unless all that it holds was read before: such is the copy that `copytruncate` makes, and
//! what a rotated file is compressed to.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::find::StoreUrl;

/// How often followed folders and names are looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// A file that has lost its name ends when nothing was written to it for so long.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(3);

/// A file to which nothing was written for so long is what it is.
const SETTLED: Duration = Duration::from_secs(1);

/// Files that are no more whose copies are still told.
const MOST_PAST: usize = 64;

/// Bytes before the place of reading that tell whether the file is still the same.
const REMEMBERED_TAIL: usize = 1024;

/// Bytes from the start of what was read that tell a copy of it. Not more than are read to tell what a stream holds.
const REMEMBERED_HEAD: usize = 64 << 10;

/// What was read of one file between two truncations.
#[derive(Debug, Default)]
struct Generation {
    head: Vec<u8>,
    bytes: u64,
}

/// What was read of a file, as far as it is needed to know it again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    generations: Arc<Mutex<Vec<Generation>>>,
    is_gone: bool,
}

impl Known {
    fn add(&self, bytes: &[u8]) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if generations.is_empty() {
            generations.push(Generation::default());
        }
        if let Some(last) = generations.last_mut() {
            let missing = REMEMBERED_HEAD.saturating_sub(last.head.len());
            last.head.extend(bytes.iter().take(missing));
            last.bytes += bytes.len() as u64;
        }
    }

    fn begin(&self) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        // The copies of older ones were made long ago.
        if generations.len() >= 4 {
            generations.remove(0);
        }
        generations.push(Generation::default());
    }

    /// Whether all of a file that begins so, and has so many bytes if that is known, was read before.
    fn holds(&self, head: &[u8], bytes: Option<u64>) -> bool {
        let generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.iter().any(|generation| {
            let common = head.len().min(REMEMBERED_HEAD);
            generation.head.get(..common) == head.get(..common)
                && bytes.is_none_or(|bytes| bytes <= generation.bytes)
        })
    }
}

/// Which file it is, whatever its name: its number, and when it was made, for numbers are given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    number: (u64, u64),
    made: Option<SystemTime>,
}

impl Identity {
    pub(crate) fn of(path: &Path, metadata: &Metadata) -> Self {
        Self {
            number: number(path, metadata),
            made: metadata.created().ok(),
        }
    }
}

#[cfg(unix)]
fn number(_: &Path, metadata: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.dev(), metadata.ino())
}

/// Where files have no number, their names tell them apart.
#[cfg(not(unix))]
fn number(path: &Path, _: &Metadata) -> (u64, u64) {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    (0, hasher.finish())
}

/// What a file that appeared while others are followed is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// An input.
    New,
    /// It cannot be told yet, or it holds so far what was read elsewhere.
    Undecided,
    /// What was read before, compressed.
    Copy,
}

/// The files that are followed.
#[derive(Debug)]
pub(crate) struct Following {
    arguments: Vec<PathBuf>,
    files: HashMap<Identity, Known>,
    /// Of files that are no more; a copy of them may come yet.
    past: VecDeque<Known>,
    looked: Instant,
    /// Whether there may be more inputs than there are now.
    is_watching: bool,
}

impl Following {
    pub(crate) fn new(arguments: &[PathBuf]) -> Self {
        let may_change = |path: &PathBuf| {
            path != Path::new("-")
                && StoreUrl::of(path).is_none()
                && path
                    .metadata()
                    .map_or(true, |metadata| metadata.is_dir() || metadata.is_file())
        };
        Self {
            arguments: arguments
                .iter()
                .filter(|path| StoreUrl::of(path).is_none())
                .cloned()
                .collect(),
            files: HashMap::new(),
            past: VecDeque::new(),
            looked: Instant::now(),
            is_watching: arguments.iter().any(may_change),
        }
    }

    pub(crate) fn arguments(&self) -> &[PathBuf] {
        &self.arguments
    }

    /// Whether inputs may appear that are not there now.
    pub(crate) fn is_watching(&self) -> bool {
        self.is_watching
    }

    /// Whether it is time to look at names again.
    pub(crate) fn is_due(&mut self) -> bool {
        let due = self.is_watching && self.looked.elapsed() >= LOOK_AGAIN;
        if due {
            self.looked = Instant::now();
        }
        due
    }

    pub(crate) fn knows(&self, identity: Identity) -> bool {
        self.files.contains_key(&identity)
    }

    /// Takes a file into the list.
    pub(crate) fn take(&mut self, identity: Identity) -> Known {
        self.files.entry(identity).or_default().clone()
    }

    /// Takes a file out of the list, so that it is looked at again.
    pub(crate) fn forget(&mut self, identity: Identity) {
        self.files.remove(&identity);
    }

    /// What a file that begins so, and ends there if `ended`, is to be taken for.
    pub(crate) fn judge(
        &self,
        identity: Identity,
        file: &Metadata,
        head: &[u8],
        ended: bool,
        plain: bool,
    ) -> Verdict {
        let age = file.modified().ok().and_then(|time| time.elapsed().ok());
        let settled = age.is_none_or(|age| age >= SETTLED);
        if !settled && (!plain || memchr::memchr(b'\n', head).is_none()) {
            return Verdict::Undecided;
        }
        let bytes = match (plain, ended) {
            (true, _) => Some(file.len()),
            (false, true) => Some(head.len() as u64),
            (false, false) => None,
        };
        let others = self.files.iter().filter(|(other, _)| **other != identity);
        let was_read = others
            .map(|(_, known)| known)
            .chain(&self.past)
            .any(|known| known.holds(head, bytes));
        match (was_read || head.is_empty(), plain) {
            (false, _) => Verdict::New,
            (true, true) => Verdict::Undecided,
            (true, false) => Verdict::Copy,
        }
    }

    /// Notes which files still have a name, and which are open.
    pub(crate) fn note(&mut self, present: &HashSet<Identity>, open: &HashSet<Identity>) {
        for (identity, known) in &mut self.files {
            known.is_gone = !present.contains(identity);
        }
        let closed: Vec<Identity> = self
            .files
            .iter()
            .filter(|(identity, known)| known.is_gone && !open.contains(identity))
            .map(|(identity, _)| *identity)
            .collect();
        for identity in closed {
            if self.past.len() >= MOST_PAST {
                self.past.pop_front();
            }
            self.past.extend(self.files.remove(&identity));
        }
    }

    /// Whether a file has lost its name.
    pub(crate) fn is_gone(&self, identity: Identity) -> bool {
        self.files.get(&identity).is_none_or(|known| known.is_gone)
    }
}

/// A file that may grow, and may be truncated.
pub(crate) struct Followed {
    file: File,
    position: u64,
    /// The last bytes that were read.
    tail: Vec<u8>,
    /// Whether the last reading may have met the end.
    at_end: bool,
    known: Known,
}

impl Followed {
    pub(crate) fn new(file: File, known: Known) -> Self {
        Self {
            file,
            position: 0,
            tail: Vec::new(),
            at_end: false,
            known,
        }
    }

    /// Whether the file is not the one that was read so far.
    fn was_truncated(&mut self) -> io::Result<bool> {
        let length = self.file.metadata()?.len();
        if length <= self.position {
            return Ok(length < self.position);
        }
        let start = self.position.saturating_sub(self.tail.len() as u64);
        self.file.seek(SeekFrom::Start(start))?;
        let mut there = vec![0; self.tail.len()];
        let same = match self.file.read_exact(&mut there) {
            Ok(()) => there == self.tail,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
            Err(error) => return Err(error),
        };
        self.file.seek(SeekFrom::Start(self.position))?;
        Ok(!same)
    }
}

impl Read for Followed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at_end && self.was_truncated()? {
            self.file.seek(SeekFrom::Start(0))?;
            self.position = 0;
            self.tail.clear();
            self.at_end = false;
            self.known.begin();
            // What was begun before has no end now: it must not run together with what comes.
            if let Some(first) = buffer.first_mut() {
                *first = b'\n';
                return Ok(1);
            }
        }
        let buffer_length = buffer.len();
        let read = self.file.read(buffer)?;
        let bytes = buffer.get(..read).unwrap_or_default();
        self.at_end = read < buffer_length;
        self.position += read as u64;
        self.known.add(bytes);
        self.tail
            .extend(bytes.iter().skip(read.saturating_sub(REMEMBERED_TAIL)));
        let surplus = self.tail.len().saturating_sub(REMEMBERED_TAIL);
        self.tail.drain(..surplus);
        Ok(read)
    }
}
