//! Reads all inputs of a run, chunk by chunk.

use std::cmp::Reverse;
use std::collections::{HashSet, VecDeque};
use std::fs::Metadata;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant as Clock};

use neph_event::Instant;
use neph_normalize::Joiner;

use super::chunk::{PlacedProblem, RecordPlace};
use super::find::{Found, find};
use super::follow::{Following, Identity, LAST_WORDS, Verdict};
use super::framer::{Fill, Framer, Manner};
use super::layers::{Opened, Opening, Place, is_compressed, is_regular, open};
use super::{Chunk, InputProblem, ProblemKind, record_time};
use crate::{RunError, Skipped};

/// How long a growing file that holds nothing new is left alone.
const REST: Duration = Duration::from_millis(100);

/// So many of the inputs that come next are fetched meanwhile, where that takes a while.
const PREPARED: usize = 16;

/// Archives within archives deeper than this are refused.
const DEEPEST_ARCHIVE: usize = 4;

/// How inputs are read.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// Bytes of a chunk; records are never cut. Results do not depend on it.
    pub chunk_bytes: usize,
    /// Most bytes of one record; longer ones are skipped and counted.
    pub record_bytes: usize,
    /// Most inputs open at the same time, in units of about a mebibyte of decoder state: a plain or gzip input counts
    /// 1, zstd 4, xz 16.
    pub open_inputs: usize,
    /// Read as a stream: records are handed on as soon as they are there, and plain files are followed as they grow
    /// until the run is cancelled.
    pub live: bool,
    /// What puts the lines of each input together that belong together; by default none does.
    pub joiner: Joiner<RecordPlace>,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            chunk_bytes: 1 << 20,
            record_bytes: 16 << 20,
            open_inputs: 64,
            live: false,
            joiner: Joiner::of(Vec::new()),
        }
    }
}

/// A followed input that had nothing new for so long will not finish the event whose lines it has begun.
const LINES_COME_WITHIN: Duration = Duration::from_secs(2);

/// An input that is not open now, or only as far as its first bytes.
struct Waiting {
    name: Arc<str>,
    number: u32,
    place: Place,
    first_time: Option<Instant>,
    open: Option<(Framer, usize)>,
    /// Which file it is, if it is followed.
    identity: Option<Identity>,
}

/// An input being read.
struct Open {
    framer: Framer,
    number: u32,
    cost: usize,
    /// Time of the last record, if it has one.
    latest: Option<Instant>,
    /// How far it was when its last turn ended.
    progress: Option<Instant>,
    joiner: Joiner<RecordPlace>,
    /// Since when a followed input has had nothing new.
    idle_since: Option<Clock>,
    /// Which file it is, if it is followed.
    identity: Option<Identity>,
}

/// Gives chunks in place of inputs.
pub trait ChunkSource: Send {
    /// Fills the next chunk; `false` if there is none.
    fn next_chunk(&mut self, chunk: &mut Chunk) -> bool;
}

/// Reads all inputs of a run; see [`super`] for what it understands and in which order it goes.
pub struct Reader {
    options: ReadOptions,
    /// By time of the first record, latest first.
    waiting: Vec<Waiting>,
    open: Vec<Open>,
    /// Index into `open` of the input whose turn it is.
    turn: Option<usize>,
    problems: Vec<InputProblem>,
    skipped: Skipped,
    inputs: u64,
    stored_bytes: Arc<AtomicU64>,
    total_bytes: Option<u64>,
    cancelled: Arc<AtomicBool>,
    /// The number of the rules that chunks read from now on are held against.
    generation: Arc<AtomicU64>,
    /// The files that are followed, if any are.
    following: Option<Following>,
    /// Number of the next input.
    next_number: u32,
    /// Where chunks come from, if not from inputs.
    source: Option<Box<dyn ChunkSource>>,
}

impl Reader {
    /// Finds the inputs that `arguments` name (files, folders, patterns, URLs, `-`) and looks at the beginning of each.
    /// What cannot be read is in [`Reader::take_problems`].
    ///
    /// # Errors
    /// [`RunError::LiveStdin`] if standard input is to be followed together with other inputs: waiting for the one would
    /// hold up the others.
    pub fn new(arguments: &[PathBuf], options: ReadOptions) -> Result<Self, RunError> {
        let Found {
            places,
            problems,
            hidden,
            repeated,
            ..
        } = find(arguments);
        let stdin = places.iter().any(|(_, place)| matches!(place, Place::Stdin));
        if options.live && stdin && places.len() > 1 {
            return Err(RunError::LiveStdin);
        }
        let sizes = places.iter().map(|(_, place)| place.size());
        let mut reader = Self {
            total_bytes: sizes.sum(),
            options,
            waiting: Vec::new(),
            open: Vec::new(),
            turn: None,
            problems: problems
                .into_iter()
                .map(|(name, kind, message)| InputProblem {
                    source: name.into(),
                    line: None,
                    kind,
                    message,
                })
                .collect(),
            skipped: Skipped {
                hidden_files: hidden,
                repeated_files: repeated,
                bulk_deletes: 0,
            },
            inputs: 0,
            stored_bytes: Arc::default(),
            cancelled: Arc::default(),
            generation: Arc::default(),
            following: None,
            next_number: 0,
            source: None,
        };
        reader.following = reader.options.live.then(|| Following::new(arguments));
        let mut budget = reader.options.open_inputs;
        let mut places = VecDeque::from(places);
        while let Some((name, place)) = places.pop_front() {
            for (_, next) in places.iter().take(PREPARED) {
                next.prepare();
            }
            reader.look_at(name, place, 0, &mut budget, false);
        }
        reader.inputs = reader.waiting.len() as u64;
        reader
            .waiting
            .sort_by_key(|waiting| Reverse((waiting.first_time, waiting.number)));
        Ok(reader)
    }

    /// Reads the chunks of a source; as a stream, if it is `live`.
    pub fn of(source: Box<dyn ChunkSource>, live: bool) -> Self {
        Self {
            options: ReadOptions {
                live,
                ..ReadOptions::default()
            },
            waiting: Vec::new(),
            open: Vec::new(),
            turn: None,
            problems: Vec::new(),
            skipped: Skipped::default(),
            inputs: 1,
            stored_bytes: Arc::default(),
            total_bytes: None,
            cancelled: Arc::default(),
            generation: Arc::default(),
            following: None,
            next_number: 0,
            source: Some(source),
        }
    }

    /// Takes the problems met since the last call that belong to no chunk, in order.
    pub fn take_problems(&mut self) -> Vec<InputProblem> {
        std::mem::take(&mut self.problems)
    }

    /// Inputs with content: files, entries of archives, standard input.
    pub fn inputs(&self) -> u64 {
        self.inputs
    }

    /// What was left out on purpose while finding inputs.
    pub fn skipped(&self) -> Skipped {
        self.skipped
    }

    /// Bytes of all files as they are stored; `None` if that is not known beforehand.
    pub fn total_bytes(&self) -> Option<u64> {
        self.total_bytes
    }

    /// Counter of the stored bytes read so far.
    pub(crate) fn stored_bytes(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.stored_bytes)
    }

    /// The flag that ends reading at the next chunk when it is set. A read that waits for standard input ends first.
    pub fn cancel_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.cancelled)
    }

    /// Whether inputs are read as a stream.
    pub(crate) fn is_live(&self) -> bool {
        self.options.live
    }

    /// Marks each chunk with this number, as it is when the chunk has been read.
    pub(crate) fn follow_generation(&mut self, generation: Arc<AtomicU64>) {
        self.generation = generation;
    }

    /// Reads the next chunk; `false` if there is none.
    pub fn next_chunk(&mut self, chunk: &mut Chunk) -> bool {
        let is_there = self.read_chunk(chunk);
        chunk.generation = self.generation.load(Ordering::Acquire);
        is_there
    }

    fn read_chunk(&mut self, chunk: &mut Chunk) -> bool {
        if let Some(source) = &mut self.source {
            let is_there = !self.cancelled.load(Ordering::Relaxed) && source.next_chunk(chunk);
            if is_there {
                self.stored_bytes.fetch_add(chunk.bytes, Ordering::Relaxed);
            }
            return is_there;
        }
        while !self.cancelled.load(Ordering::Relaxed) {
            self.look_again();
            let index = self.choose();
            if index.is_none() && self.problems.is_empty() && self.is_watching() {
                thread::sleep(REST);
                continue;
            }
            let Some((index, open)) = index.and_then(|index| Some((index, self.open.get_mut(index)?))) else {
                chunk.begin(&"".into(), 0, 0, &[], 0);
                self.hand_over_problems(chunk);
                return !chunk.problems.is_empty();
            };
            let fill = open.framer.fill(chunk);
            if !chunk.spans.is_empty() {
                open.latest = chunk.last_time();
            }
            open.idle_since = match fill {
                Fill::Idle if chunk.spans.is_empty() => open.idle_since.or_else(|| Some(Clock::now())),
                _ => None,
            };
            let is_idle = open
                .idle_since
                .is_some_and(|since| since.elapsed() > LINES_COME_WITHIN);
            chunk.join(&mut open.joiner, fill == Fill::End || is_idle);
            match fill {
                Fill::More if !self.options.live => self.turn = Some(index),
                Fill::TurnEnd => {
                    self.turn = None;
                    open.progress = open.progress.max(open.latest);
                }
                // Streams take turns.
                Fill::More | Fill::Idle => self.turn = Some(index + 1),
                Fill::End => {
                    self.open.remove(index);
                    self.turn = None;
                }
            }
            self.hand_over_problems(chunk);
            if !chunk.spans.is_empty() || !chunk.problems.is_empty() || chunk.deletes > 0 || chunk.bytes > 0 {
                return true;
            }
            if fill == Fill::Idle && index + 1 >= self.open.len() {
                thread::sleep(REST);
            }
        }
        false
    }

    /// Whether inputs may appear that are not there now.
    fn is_watching(&self) -> bool {
        self.following.as_ref().is_some_and(Following::is_watching)
    }

    /// Looks from time to time which files have come and gone.
    fn look_again(&mut self) {
        let Some(following) = &mut self.following else {
            return;
        };
        if !following.is_due() {
            return;
        }
        let mut present = HashSet::new();
        let mut new = Vec::new();
        for (name, place) in find(following.arguments()).places {
            if let Place::File(path) = &place
                && let Ok(metadata) = path.metadata()
                && metadata.is_file()
            {
                let identity = Identity::of(path, &metadata);
                present.insert(identity);
                if !following.knows(identity) {
                    new.push((name, place));
                }
            }
        }
        let open = self.open.iter().filter_map(|open| open.identity).collect();
        following.note(&present, &open);
        for open in &mut self.open {
            let gone = open.identity.is_some_and(|identity| following.is_gone(identity));
            // A writer may hold on to a file that was renamed or deleted for a while.
            if gone && open.idle_since.is_some_and(|since| since.elapsed() >= LAST_WORDS) {
                open.framer.follow_no_more();
            }
        }
        let before = self.waiting.len();
        for (name, place) in new {
            self.look_at(name, place, 0, &mut 1, true);
        }
        self.inputs += self.waiting.len().saturating_sub(before) as u64;
    }

    /// Lets problems that belong to no chunk travel with this one.
    fn hand_over_problems(&mut self, chunk: &mut Chunk) {
        let position = chunk.position(0);
        let problems = self.problems.drain(..);
        chunk
            .problems
            .extend(problems.map(|problem| PlacedProblem { position, problem }));
    }

    /// The input to read on in: the one whose turn it is, else the one that is furthest behind.
    fn choose(&mut self) -> Option<usize> {
        if self.options.live {
            while let Some(waiting) = self.waiting.pop() {
                self.start(waiting);
            }
            let next = self.turn.unwrap_or(0);
            return if self.open.is_empty() {
                None
            } else {
                Some(next % self.open.len())
            };
        }
        if let Some(turn) = self.turn.filter(|turn| *turn < self.open.len()) {
            return Some(turn);
        }
        loop {
            let behind = self.open.iter().map(|open| open.progress).min();
            let due = self.waiting.last().is_some_and(|next| match behind {
                None => true,
                Some(behind) => {
                    let cost: usize = self.open.iter().map(|open| open.cost).sum();
                    next.first_time <= behind && cost < self.options.open_inputs
                }
            });
            if !due {
                break;
            }
            let next = self.waiting.pop()?;
            self.start(next);
        }
        let furthest_behind = self
            .open
            .iter()
            .enumerate()
            .min_by_key(|(_, open)| (open.progress, open.number));
        furthest_behind.map(|(index, _)| index)
    }

    /// Opens an input to read it.
    fn start(&mut self, mut waiting: Waiting) {
        let next = self.waiting.iter().rev().take(PREPARED);
        for next in next.filter(|next| next.open.is_none()) {
            next.place.prepare();
        }
        let opened = match waiting.open.take() {
            Some(open) => Ok(open),
            None => {
                let mut known = None;
                if let (Some(identity), Some(following)) = (waiting.identity, &mut self.following) {
                    // What was read to look at it is read again.
                    following.forget(identity);
                    known = Some(following.take(identity));
                }
                let opening = Opening {
                    live: self.options.live,
                    stored_bytes: Arc::clone(&self.stored_bytes),
                    known,
                };
                match open(&waiting.place, &opening) {
                    Ok(Opened::Stream(peeked, cost)) => {
                        let manner = self.manner(&waiting.place, cost);
                        Framer::new(Arc::clone(&waiting.name), waiting.number, peeked, manner)
                            .map(|framer| (framer, cost))
                    }
                    Ok(Opened::Archive(_)) => Err((
                        ProblemKind::Corrupt,
                        "the file has changed while it was read".to_owned(),
                    )),
                    Err(problem) => Err(problem),
                }
            }
        };
        match opened {
            Ok((framer, cost)) => {
                self.open.push(Open {
                    framer,
                    number: waiting.number,
                    cost,
                    latest: None,
                    progress: waiting.first_time,
                    joiner: self.options.joiner.clone(),
                    idle_since: None,
                    identity: waiting.identity,
                });
            }
            Err((kind, message)) => {
                self.problems.push(InputProblem {
                    source: waiting.name,
                    line: None,
                    kind,
                    message,
                });
            }
        }
    }

    fn manner(&self, place: &Place, cost: usize) -> Manner {
        let plain = cost <= 1 && matches!(place, Place::File(path) if is_regular(path));
        Manner {
            chunk: self.options.chunk_bytes.max(1),
            record: self.options.record_bytes.clamp(1, 1 << 30),
            live: self.options.live,
            follow: self.options.live && plain,
        }
    }

    /// Looks at the beginning of an input: whether it can be read, what it holds, at which time it begins. Keeps it open
    /// as far as `budget` goes, or where it cannot be opened again.
    /// One that is `late` came while others are followed, and may be the copy of one of them.
    fn look_at(&mut self, name: String, place: Place, depth: usize, budget: &mut usize, late: bool) {
        let name: Arc<str> = name.into();
        let reopens = match &place {
            Place::Stdin => false,
            Place::File(path) => is_regular(path),
            Place::Entry(_) => true,
            #[cfg(feature = "object-store")]
            Place::Object(_) => true,
        };
        // An input that will be opened again counts its bytes then.
        let keep = !reopens || *budget > 0;
        let counter = if keep {
            Arc::clone(&self.stored_bytes)
        } else {
            Arc::default()
        };
        let file = match (&place, &self.following) {
            (Place::File(path), Some(_)) => path.metadata().ok().filter(Metadata::is_file),
            _ => None,
        };
        let identity = match (&place, &file) {
            (Place::File(path), Some(file)) => Some(Identity::of(path, file)),
            _ => None,
        };
        let plain = !late || !matches!(&place, Place::File(path) if is_compressed(path));
        if let (Some(file), Some(identity), Some(following)) = (&file, identity, &self.following)
            && late
            && !plain
            && following.judge(identity, file, b"\n", false, plain) == Verdict::Undecided
        {
            return;
        }
        let following = self.following.as_mut();
        let opening = Opening {
            live: self.options.live,
            stored_bytes: counter,
            known: identity.and_then(|identity| following.map(|following| following.take(identity))),
        };
        let refused = match open(&place, &opening) {
            Ok(Opened::Archive(entries)) => {
                if depth >= DEEPEST_ARCHIVE {
                    (
                        ProblemKind::Unsupported,
                        format!("an archive within more than {DEEPEST_ARCHIVE} others"),
                    )
                } else if entries.is_empty() {
                    (ProblemKind::Empty, "the archive is empty".to_owned())
                } else {
                    for (entry, place) in entries {
                        let entry = format!("{name}!/{entry}");
                        match place {
                            Ok(place) => self.look_at(entry, place, depth + 1, budget, false),
                            Err((kind, message)) => {
                                self.problems.push(InputProblem {
                                    source: entry.into(),
                                    line: None,
                                    kind,
                                    message,
                                });
                            }
                        }
                    }
                    return;
                }
            }
            Ok(Opened::Stream(peeked, cost)) => {
                if let (Some(file), Some(identity), Some(following)) = (&file, identity, &mut self.following)
                    && late
                {
                    match following.judge(identity, file, &peeked.head, peeked.ended, plain) {
                        Verdict::New => {}
                        Verdict::Undecided => return following.forget(identity),
                        Verdict::Copy => {
                            self.skipped.repeated_files += 1;
                            return;
                        }
                    }
                }
                let number = self.next_number;
                self.next_number = number.saturating_add(1);
                let manner = self.manner(&place, cost);
                match Framer::new(Arc::clone(&name), number, peeked, manner) {
                    Ok(framer) => {
                        let mut first = Chunk::default();
                        framer.peek(&mut first);
                        let first_time = first
                            .records()
                            .flatten()
                            .next()
                            .and_then(|record| record_time(record.document));
                        let open = keep.then_some((framer, cost));
                        *budget = budget.saturating_sub(cost);
                        self.waiting.push(Waiting {
                            name,
                            number,
                            place,
                            first_time,
                            open,
                            identity,
                        });
                        return;
                    }
                    Err(refused) => refused,
                }
            }
            Err(refused) => refused,
        };
        let (kind, message) = refused;
        self.problems.push(InputProblem {
            source: name,
            line: None,
            kind,
            message,
        });
    }
}
