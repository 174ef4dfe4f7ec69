//! Files that others write, rotate, truncate and delete, followed line by line.
//!
//! A file is known by its identity and by what was read of it: a hash of the beginning, and one of what stands before the
//! place of reading. A file that was renamed is read to its end; one that was truncated, from its start; a copy, such as `copytruncate`
//! makes, only behind what was read of the original. Compressed files are left out: what they hold was read before.
//!
//! **Neither lost nor twice.** A line is read again until the log has it. The cursor, a file beside the log, is written
//! once a second and states where the log ended then; after a crash, lines that stand in the log behind that place are known
//! by it, and are not taken again.

mod cursor;
mod find;

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use memchr::{memchr, memchr_iter, memrchr};
use neph_store::EventLog;

use crate::counts::{Protocol, Refused};
use crate::intake::{Gathered, Intake};
use crate::listener::Shutdown;
use cursor::{Cursor, Identity, Known, Mark};
use find::{Wanted, find};

/// How often files and names are looked at.
const LOOK: Duration = Duration::from_millis(250);

/// How often the cursor is written, if something has changed.
const SAVE: Duration = Duration::from_secs(1);

/// Bytes of the log behind the cursor after which it is written although no file has changed.
const SAVE_AFTER_BYTES: u64 = 64 << 20;

/// A file that has lost its name ends when nothing was written to it for so long.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// A file is looked at for so long before it is taken for a new one rather than a copy.
const SETTLED: Duration = Duration::from_secs(1);

/// Bytes that are read of a file at once.
const PIECE: usize = 1 << 20;

/// Marks of truncated and vanished files that are kept.
const MOST_PAST: usize = 64;

/// How compressed files begin: gzip, zstd, xz, bzip2, zip.
const COMPRESSED: [&[u8]; 5] = [
    b"\x1f\x8b",
    b"\x28\xb5\x2f\xfd",
    b"\xfd7zXZ\0",
    b"BZh",
    b"PK\x03\x04",
];

/// Which files to follow.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FollowOptions {
    /// The files. One that several of these name belongs to the first.
    pub groups: Vec<FileGroup>,
    /// The file in which it is kept how far they were read. Its folder must be there. One cursor serves all groups, so that
    /// files are known whatever group names them.
    pub cursor: PathBuf,
}

/// Files of which the same is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileGroup {
    /// Files, folders with all that is below, and patterns (`/var/log/*.log`).
    pub paths: Vec<PathBuf>,
    /// Whether only what is written from now on is wanted. Of paths that the cursor knows, and of files that appear later,
    /// this makes no difference.
    pub from_end: bool,
    /// The source of `neph` that all of them are of, where that is not to be told by their looks.
    pub source: Option<String>,
}

impl FollowOptions {
    /// Follows the files of `groups`, with a cursor in the file `cursor`.
    pub fn new(groups: Vec<FileGroup>, cursor: PathBuf) -> Self {
        Self { groups, cursor }
    }
}

/// Follows files until it is time to stop.
///
/// # Errors
/// If the cursor cannot be read or written: going on without it would lose or repeat records.
pub async fn follow(
    options: FollowOptions,
    log: Arc<EventLog>,
    intake: Intake,
    shutdown: Shutdown,
) -> io::Result<()> {
    let followed =
        tokio::task::spawn_blocking(move || Following::start(options, log, intake)?.run(&shutdown));
    followed.await.map_err(io::Error::other)?
}

/// A file that is read.
struct Reading {
    known: Known,
    /// Number of its group.
    group: usize,
    file: File,
    /// When something was read last, for files without a name.
    latest: Instant,
    has_name: bool,
}

struct Following {
    options: FollowOptions,
    wanted: Vec<Wanted>,
    /// Of which only what is new is wanted, until they were looked at first.
    from_end: Vec<Wanted>,
    /// Paths that were looked at.
    asked: Vec<PathBuf>,
    log: Arc<EventLog>,
    intake: Intake,
    reading: Vec<Reading>,
    /// What the cursor knows and was not seen since the start.
    unseen: Vec<Known>,
    /// What the cursor knows and nobody asks for now.
    unasked: Vec<Known>,
    past: Vec<(Mark, String)>,
    /// Lines of each stream that the log has although the cursor does not know it.
    stored: HashMap<Arc<str>, VecDeque<Vec<u8>>>,
    saved: Cursor,
    /// Files that are not opened yet, and since when they are there.
    appeared: HashMap<Identity, Instant>,
    has_looked: bool,
}

impl Following {
    fn start(options: FollowOptions, log: Arc<EventLog>, intake: Intake) -> io::Result<Self> {
        let cursor = Cursor::load(&options.cursor)?;
        let asked = cursor.as_ref().map(|cursor| cursor.asked.clone());
        let asked = asked.unwrap_or_default();
        let (mut wanted, mut from_end) = (Vec::new(), Vec::new());
        for (number, group) in options.groups.iter().enumerate() {
            let own = |path: &PathBuf| Wanted::new(path, number);
            wanted.extend(group.paths.iter().map(own));
            let new = group.paths.iter().filter(|path| !asked.contains(path));
            from_end.extend(new.filter(|_| group.from_end).map(own));
        }
        let mut following = Self {
            wanted,
            from_end,
            asked,
            options,
            log,
            intake,
            reading: Vec::new(),
            unseen: Vec::new(),
            unasked: Vec::new(),
            past: Vec::new(),
            stored: HashMap::new(),
            saved: Cursor::default(),
            appeared: HashMap::new(),
            has_looked: false,
        };
        if let Some(cursor) = cursor {
            following.remember(&cursor)?;
        }
        following.save()?;
        Ok(following)
    }

    /// Goes on where a cursor says, and notes what the log has beyond it.
    fn remember(&mut self, cursor: &Cursor) -> io::Result<()> {
        let prefix = format!("{}/", Protocol::File.name());
        for block in self.log.blocks(cursor.log) {
            match block {
                Ok(block) if block.stream.starts_with(&prefix) => {
                    let lines = self.stored.entry(Arc::clone(&block.stream)).or_default();
                    lines.extend(block.records.iter().map(<[u8]>::to_vec));
                }
                Ok(_) | Err(neph_store::StoreError::Gap { .. }) => {}
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        self.unseen.clone_from(&cursor.files);
        self.past.clone_from(&cursor.past);
        Ok(())
    }

    fn run(mut self, shutdown: &Shutdown) -> io::Result<()> {
        let mut saved = Instant::now();
        while !shutdown.is_wanted() {
            self.look();
            let (has_read, is_busy) = self.read_all(shutdown);
            if !has_read && !is_busy {
                // All files were read to their ends: what was not found in them comes no more.
                self.stored.clear();
            }
            if saved.elapsed() >= SAVE {
                self.save()?;
                saved = Instant::now();
            }
            if !has_read {
                std::thread::sleep(LOOK);
            }
        }
        self.save()
    }

    fn save(&mut self) -> io::Result<()> {
        let files = self
            .reading
            .iter()
            .map(|reading| &reading.known)
            .chain(&self.unseen)
            .chain(&self.unasked);
        let cursor = Cursor {
            log: self.log.end(),
            asked: self.asked.clone(),
            files: files.cloned().collect(),
            past: self.past.clone(),
        };
        let is_behind = cursor.log.saturating_sub(self.saved.log) > SAVE_AFTER_BYTES;
        // Until all that the log has of before was found in the files, it must be looked for again.
        let is_catching_up = self.stored.values().any(|lines| !lines.is_empty()) && self.saved.log > 0;
        let same = Cursor {
            log: self.saved.log,
            ..cursor.clone()
        } == self.saved;
        if is_catching_up || (same && !is_behind && self.saved.log > 0) {
            return Ok(());
        }
        cursor.save(&self.options.cursor)?;
        self.saved = cursor;
        Ok(())
    }

    /// Looks for files that appeared, were renamed or have lost their names.
    fn look(&mut self) {
        let mut present = HashSet::new();
        let from_end = find(&std::mem::take(&mut self.from_end));
        for (path, group) in find(&self.wanted) {
            let Ok(metadata) = path.metadata() else { continue };
            let identity = Identity::of(&path, &metadata);
            if !present.insert(identity) {
                continue;
            }
            match self
                .reading
                .iter_mut()
                .find(|reading| reading.known.identity == identity)
            {
                Some(reading) => (reading.known.path, reading.group) = (path, group),
                // What cannot be opened now may be opened at the next look.
                None => drop(self.open(&path, identity, group, from_end.contains_key(&path))),
            }
        }
        self.open_renamed(&present);
        if !self.has_looked {
            let all = self.options.groups.iter().flat_map(|group| &group.paths);
            self.asked = all.cloned().collect();
            self.has_looked = true;
        }
        self.appeared.retain(|identity, _| present.contains(identity));
        for reading in &mut self.reading {
            reading.has_name = present.contains(&reading.known.identity);
        }
    }

    /// Opens what the cursor knows, but what has another name now than those that are followed: its last lines may be unread.
    fn open_renamed(&mut self, present: &HashSet<Identity>) {
        for known in std::mem::take(&mut self.unseen) {
            let mut wanted = self.wanted.iter().filter(|wanted| wanted.names(&known.path));
            let Some(group) = wanted.next().map(|wanted| wanted.group) else {
                // Nobody asks for it any more. Who asks again goes on where it was left.
                match known.path.metadata() {
                    Ok(metadata) if Identity::of(&known.path, &metadata) == known.identity => {
                        self.unasked.push(known);
                    }
                    _ => self.put_past(known.mark, known.stream),
                }
                continue;
            };
            let folder = known.path.parent().filter(|_| !present.contains(&known.identity));
            let entries = folder.and_then(|folder| fs::read_dir(folder).ok());
            let renamed = entries
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path())
                .find(|path| {
                    let metadata = path.metadata();
                    metadata.is_ok_and(|metadata| {
                        metadata.is_file() && Identity::of(path, &metadata) == known.identity
                    })
                });
            let file = renamed.and_then(|path| File::open(path).ok());
            match file.filter(|file| known.mark.fits(file).unwrap_or(false)) {
                Some(file) => self.reading.push(Reading {
                    known,
                    group,
                    file,
                    latest: Instant::now(),
                    has_name: false,
                }),
                None => self.put_past(known.mark, known.stream),
            }
        }
    }

    fn put_past(&mut self, mark: Mark, stream: String) {
        if mark.offset > 0 {
            if self.past.len() >= MOST_PAST {
                self.past.remove(0);
            }
            self.past.push((mark, stream));
        }
    }

    /// Opens a file that is not read yet, at the place up to which its content was read before.
    fn open(&mut self, path: &Path, identity: Identity, group: usize, from_end: bool) -> io::Result<()> {
        let mut file = File::open(path)?;
        let mut head = Vec::new();
        (&mut file).take(8).read_to_end(&mut head)?;
        // An empty file will be looked at again when it is none.
        if head.is_empty() || COMPRESSED.iter().any(|magic| head.starts_with(magic)) {
            return Ok(());
        }
        let new = |mark, stream, is_skipping| Known {
            identity,
            path: path.to_owned(),
            stream,
            mark,
            is_skipping,
        };
        let own = self
            .unseen
            .iter()
            .position(|known| known.identity == identity)
            .map(|at| self.unseen.remove(at));
        let known = match own {
            Some(known) if known.mark.fits(&file)? => new(known.mark, known.stream, known.is_skipping),
            own => {
                if let Some(known) = own {
                    self.put_past(known.mark, known.stream);
                }
                match self.copied(&file)? {
                    Some((mark, stream)) => new(mark, stream, false),
                    // Of a copy that is still being made nobody can tell yet what it is.
                    None if self.may_be_unfinished(&file, identity)? => return Ok(()),
                    None => {
                        let start = if from_end { last_line_end(&mut file)? } else { 0 };
                        new(
                            Mark::at(&file, start)?,
                            path.to_string_lossy().into_owned(),
                            false,
                        )
                    }
                }
            }
        };
        self.appeared.remove(&identity);
        self.reading.push(Reading {
            known,
            group,
            file,
            latest: Instant::now(),
            has_name: true,
        });
        Ok(())
    }

    /// Whether a file that is new may become the copy of one that is known: it has just appeared, or begins like one that is
    /// longer and still grows.
    fn may_be_unfinished(&mut self, file: &File, identity: Identity) -> io::Result<bool> {
        let is_alone = self.reading.is_empty() && self.past.is_empty();
        if !self.has_looked || is_alone {
            return Ok(false);
        }
        let appeared = *self.appeared.entry(identity).or_insert_with(Instant::now);
        if appeared.elapsed() < SETTLED {
            return Ok(true);
        }
        let age = file.metadata()?.modified()?.elapsed();
        let grows = age.is_ok_and(|age| age < 2 * SETTLED);
        let known = self.reading.iter().map(|reading| &reading.known.mark);
        let mut marks = known.chain(self.past.iter().map(|(mark, _)| mark));
        Ok(grows && marks.any(|mark| mark.begins_like(file).unwrap_or(false)))
    }

    /// The mark, and the stream, of what a file is a copy of. Of several, the longest.
    fn copied(&self, file: &File) -> io::Result<Option<(Mark, String)>> {
        let files = self
            .reading
            .iter()
            .map(|reading| &reading.known)
            .chain(&self.unseen)
            .chain(&self.unasked);
        let marks = files.map(|known| (&known.mark, &known.stream));
        let marks = marks.chain(self.past.iter().map(|(mark, stream)| (mark, stream)));
        let mut found: Option<(Mark, String)> = None;
        for (mark, stream) in marks.filter(|(mark, _)| mark.offset > 0) {
            if found
                .as_ref()
                .is_none_or(|(longest, _)| mark.offset > longest.offset)
                && mark.fits(file)?
            {
                found = Some((mark.clone(), stream.clone()));
            }
        }
        Ok(found)
    }

    /// Reads what there is of all files; whether there was anything, and whether there was no room for some of it.
    fn read_all(&mut self, shutdown: &Shutdown) -> (bool, bool) {
        let (mut has_read, mut is_busy, mut ended) = (false, false, Vec::new());
        let mut reading = std::mem::take(&mut self.reading);
        for (number, one) in reading.iter_mut().enumerate() {
            if shutdown.is_wanted() {
                break;
            }
            match self.read(one) {
                Ok(Step::Read) => {
                    has_read = true;
                    std::thread::sleep(self.intake.pause());
                }
                Ok(Step::Nothing) if !one.has_name && one.latest.elapsed() >= LAST_WORDS => {
                    // The last line of a file that ends without a line end.
                    if matches!(self.take(one, true), Ok(Step::Read | Step::Nothing)) {
                        ended.push(number);
                    }
                }
                Ok(Step::Busy) => is_busy = true,
                // What cannot be read now may be at the next look.
                Ok(Step::Nothing) | Err(_) => {}
            }
        }
        for number in ended.into_iter().rev() {
            let gone = reading.remove(number);
            self.put_past(gone.known.mark, gone.known.stream);
        }
        reading.append(&mut self.reading);
        self.reading = reading;
        (has_read, is_busy)
    }

    fn read(&mut self, reading: &mut Reading) -> io::Result<Step> {
        let length = reading.file.metadata()?.len();
        let offset = reading.known.mark.offset;
        if length == offset {
            return Ok(Step::Nothing);
        }
        if !reading.known.mark.fits(&reading.file)? {
            // It was truncated, and maybe written again.
            let start = Mark::at(&reading.file, 0)?;
            let before = std::mem::replace(&mut reading.known.mark, start);
            self.put_past(before, reading.known.stream.clone());
            reading.known.is_skipping = false;
            reading.latest = Instant::now();
            return Ok(Step::Read);
        }
        self.take(reading, false)
    }

    /// Takes the lines behind the mark into the log, and moves the mark behind them; with `to_end` also a last one without an
    /// end.
    fn take(&mut self, reading: &mut Reading, to_end: bool) -> io::Result<Step> {
        let known = &mut reading.known;
        let mut piece = vec![0; PIECE];
        reading.file.seek(SeekFrom::Start(known.mark.offset))?;
        let length = read_full(&mut reading.file, &mut piece)?;
        piece.truncate(length);
        if piece.is_empty() {
            return Ok(Step::Nothing);
        }
        let group = self.options.groups.get(reading.group);
        let name = match group.and_then(|group| group.source.as_ref()) {
            Some(source) => format!("{}?source={source}", known.stream),
            None => known.stream.clone(),
        };
        let stream = self.intake.stream(Protocol::File, &name);
        let counter = self
            .intake
            .counts()
            .of(Protocol::File, &Arc::from(known.stream.as_str()));
        // More than a piece cannot be looked at at once.
        let longest = self.intake.limits().line_bytes.min(PIECE - 1);
        let mut gathered = Gathered::new(Arc::clone(&stream));
        let (mut done, mut too_long, mut is_skipping) = (0, 0, known.is_skipping);
        if is_skipping {
            done = memchr(b'\n', &piece).map_or(piece.len(), |end| end + 1);
            is_skipping = done == piece.len() && piece.last() != Some(&b'\n');
        }
        let whole = match memrchr(b'\n', &piece) {
            Some(last) => last + 1,
            None if to_end => piece.len(),
            // A line longer than is allowed is not waited for.
            None if piece.len() > longest => {
                too_long += usize::from(!known.is_skipping);
                is_skipping = true;
                done = piece.len();
                piece.len()
            }
            None => done,
        };
        let whole = if to_end { piece.len() } else { whole.max(done) };
        let lines = piece.get(done..whole).unwrap_or_default();
        // What the log has already, and how much of it was found in these lines.
        let stored = self.stored.get(&stream);
        let mut found = 0;
        let mut start = 0;
        for end in memchr_iter(b'\n', lines).chain([lines.len()]) {
            let line = lines.get(start..end).unwrap_or_default();
            start = end + 1;
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.trim_ascii().is_empty() {
                continue;
            }
            if line.len() > longest {
                too_long += 1;
            } else if stored.is_some_and(|stored| stored.get(found).is_some_and(|stored| stored == line)) {
                found += 1;
            } else {
                gathered.add(line);
            }
        }
        if whole == 0 {
            return Ok(Step::Nothing);
        }
        let (records, bytes) = (gathered.len(), gathered.records.bytes.len());
        let mut reservation = self.intake.in_flight().nothing();
        let is_taken = reservation.try_grow(bytes) && {
            let outcomes = self.intake.append(gathered);
            outcomes.iter().all(|(_, outcome)| {
                let refused = outcome.as_ref().err().map(|unappended| unappended.reason);
                refused.is_none_or(|reason| reason == Refused::TooLong)
            })
        };
        if !is_taken {
            return Ok(Step::Busy);
        }
        if let Some(stored) = self.stored.get_mut(&stream) {
            stored.drain(..found.min(stored.len()));
        }
        counter.bytes(whole);
        counter.accepted(records, bytes);
        counter.refused(Refused::TooLong, too_long);
        known.mark = Mark::at(&reading.file, known.mark.offset + whole as u64)?;
        known.is_skipping = is_skipping;
        reading.latest = Instant::now();
        Ok(Step::Read)
    }
}

/// What came of reading a file.
enum Step {
    Read,
    Nothing,
    Busy,
}

/// Where the last whole line of a file ends; a line that is longer than a piece counts as whole.
fn last_line_end(file: &mut File) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let start = length.saturating_sub(PIECE as u64);
    file.seek(SeekFrom::Start(start))?;
    let mut piece = vec![0; PIECE];
    let read = read_full(file, &mut piece)?;
    let end = memrchr(b'\n', piece.get(..read).unwrap_or_default());
    Ok(end.map_or(start, |end| start + end as u64 + 1))
}

fn read_full(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while let Some(rest) = buffer.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(length) => read += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
