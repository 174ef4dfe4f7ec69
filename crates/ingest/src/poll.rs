//! Objects that appear below a prefix of cloud storage, each read once.
//!
//! Every so often the prefix is listed. What is new, or was replaced, is read as any input of `neph` is, compressed or not, in whatever
//! framing; an object is noted as read once all of its records are durable. After a crash in the middle of an object it is
//! read again, and its records have the ids that they had.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc::UnboundedSender;

use neph_runtime::input::{
    Chunk, InputProblem, ListedObject, ProblemKind, ReadOptions, Reader, list_objects,
};

use crate::counts::{Counter, Protocol, Refused};
use crate::http::quoted;
use crate::intake::{Gathered, Intake};
use crate::listener::Shutdown;

/// How often it is looked whether to stop.
const LOOK: Duration = Duration::from_millis(250);

/// Bytes of records that are made durable together.
const BATCH_BYTES: usize = 1 << 20;

/// Characters of a URL that stand in the name of its cursor.
const MOST_OF_NAME: usize = 100;

/// Different problems of one look that are remembered.
const MOST_TOLD: usize = 64;

/// How often the cursor is written while objects are read. After a crash, what was read since is read again.
const SAVE: Duration = Duration::from_secs(1);

/// Which objects to read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PollOptions {
    /// `s3://BUCKET/PREFIX/`, `gs://…`, `az://…`, or a pattern of such. Credentials come from the environment.
    pub url: String,
    /// How often new objects are looked for.
    pub every: Duration,
    /// The file in which it is kept which objects were read. Its folder must be there.
    pub cursor: PathBuf,
    /// The source of `neph` that all records are of, where that is not to be told by their looks.
    pub source: Option<String>,
    /// Who is told why a prefix cannot be listed, or an object not be read: each reason when it first shows, and again after it
    /// was gone.
    pub problems: Option<UnboundedSender<String>>,
}

impl PollOptions {
    /// Looks every minute for what is new below `url`, with a cursor in `folder` that is named by the URL.
    pub fn in_folder(url: String, folder: &Path) -> Self {
        let readable = |character: char| match character.is_ascii_alphanumeric() {
            true => character,
            false => '-',
        };
        let name: String = url.chars().map(readable).take(MOST_OF_NAME).collect();
        let digest = Sha256::digest(&url);
        let digits: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let cursor = folder.join(format!("objects-{name}-{digits}"));
        Self::new(url, cursor)
    }

    /// Looks every minute for what is new below `url`, with a cursor in the file `cursor`.
    pub fn new(url: String, cursor: PathBuf) -> Self {
        Self {
            url,
            every: Duration::from_secs(60),
            cursor,
            source: None,
            problems: None,
        }
    }
}

/// Reads objects as they appear until it is time to stop.
///
/// # Errors
/// If the cursor cannot be read or written: going on without it would read everything again.
pub async fn poll(options: PollOptions, intake: Intake, shutdown: Shutdown) -> io::Result<()> {
    let polled = tokio::task::spawn_blocking(move || Polling::start(options, intake, shutdown)?.run());
    polled.await.map_err(io::Error::other)?
}

/// Versions of the objects that were read, by URL.
type Seen = BTreeMap<String, String>;

struct Polling {
    options: PollOptions,
    intake: Intake,
    shutdown: Shutdown,
    seen: Seen,
    /// Is more seen than the cursor says, and when it was written.
    is_ahead: bool,
    saved: Instant,
    /// What was told, since the last look that met none of it.
    told: BTreeSet<String>,
    met: BTreeSet<String>,
    stream: Arc<str>,
    counter: Counter,
}

/// What became of reading an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// All that can be read of it is durable.
    Done,
    /// It is to be read again at the next look.
    Again,
}

impl Polling {
    fn start(options: PollOptions, intake: Intake, shutdown: Shutdown) -> io::Result<Self> {
        let seen = match std::fs::read(&options.cursor) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Seen::new(),
            Err(error) => return Err(error),
        };
        let name = match &options.source {
            Some(source) => format!("{}?source={source}", options.url),
            None => options.url.clone(),
        };
        Ok(Self {
            stream: intake.stream(Protocol::Object, &name),
            counter: intake
                .counts()
                .of(Protocol::Object, &Arc::from(options.url.as_str())),
            seen,
            is_ahead: false,
            saved: Instant::now(),
            told: BTreeSet::new(),
            met: BTreeSet::new(),
            options,
            intake,
            shutdown,
        })
    }

    fn run(mut self) -> io::Result<()> {
        while !self.shutdown.is_wanted() {
            let began = Instant::now();
            self.look()?;
            while began.elapsed() < self.options.every && !self.shutdown.is_wanted() {
                std::thread::sleep(LOOK);
            }
        }
        Ok(())
    }

    /// Reads what is new.
    fn look(&mut self) -> io::Result<()> {
        let (objects, problem) = list_objects(&self.options.url);
        if let Some(problem) = problem {
            self.counter.refused(Refused::Failed, 1);
            self.tell(format!("{}: {problem}", self.options.url));
        } else {
            // What is no longer there need not be remembered. A list that ends early says nothing of what is behind.
            let listed: HashSet<&str> = objects.iter().map(|object| object.url.as_str()).collect();
            self.seen.retain(|url, _| listed.contains(url.as_str()));
        }
        for object in objects {
            if self.shutdown.is_wanted() {
                break;
            }
            if self.seen.get(&object.url) != Some(&object.version) {
                let mut problem = None;
                if self.read(&object, &mut problem) == Outcome::Done {
                    self.seen.insert(object.url, object.version);
                    self.is_ahead = true;
                }
                if let Some(problem) = problem {
                    self.tell(problem.to_string());
                }
            }
            if self.saved.elapsed() >= SAVE {
                self.save()?;
            }
        }
        self.told = std::mem::take(&mut self.met);
        self.save()
    }

    /// Tells of a problem, unless the look before met it too.
    fn tell(&mut self, problem: String) {
        if let Some(problems) = &self.options.problems
            && !self.told.contains(&problem)
            && !self.met.contains(&problem)
        {
            // Nobody may be there who wants to know.
            let _ = problems.send(problem.clone());
        }
        if self.met.len() < MOST_TOLD {
            self.met.insert(problem);
        }
    }

    fn save(&mut self) -> io::Result<()> {
        self.saved = Instant::now();
        if std::mem::take(&mut self.is_ahead) {
            save(&self.seen, &self.options.cursor)?;
        }
        Ok(())
    }

    /// Reads an object; `first` gets the first of its problems.
    fn read(&self, object: &ListedObject, first: &mut Option<InputProblem>) -> Outcome {
        self.counter.request();
        let options = ReadOptions {
            record_bytes: self.intake.limits().record_bytes,
            ..ReadOptions::default()
        };
        let Ok(mut reader) = Reader::new(&[PathBuf::from(&object.url)], options) else {
            return Outcome::Again;
        };
        let mut chunk = Chunk::default();
        let mut gathered = Gathered::new(Arc::clone(&self.stream));
        let mut outcome = Outcome::Done;
        let mut problem = |found: &InputProblem| {
            match found.kind {
                ProblemKind::Empty => return,
                // It may be fetched the next time.
                ProblemKind::Missing | ProblemKind::Unreadable => outcome = Outcome::Again,
                ProblemKind::TooLong => self.counter.refused(Refused::TooLong, 1),
                _ => self.counter.refused(Refused::Malformed, 1),
            }
            first.get_or_insert_with(|| found.clone());
        };
        while reader.next_chunk(&mut chunk) {
            chunk.problems().for_each(&mut problem);
            for record in chunk.records() {
                match record {
                    Ok(record) => match &record.id {
                        // As it stood in its envelope.
                        Some(id) => {
                            let index = record.index.as_deref().unwrap_or_default();
                            let head = format!(
                                "{{\"_index\":{},\"_id\":{},\"_source\":",
                                quoted(index),
                                quoted(id)
                            );
                            gathered.records.bytes.extend_from_slice(head.as_bytes());
                            gathered.records.bytes.extend_from_slice(record.document);
                            gathered.add(b"}");
                        }
                        None => gathered.add(record.document),
                    },
                    Err((_, found)) => problem(&found),
                }
            }
            if gathered.records.bytes.len() >= BATCH_BYTES {
                let full = std::mem::replace(&mut gathered, Gathered::new(Arc::clone(&self.stream)));
                if !self.append(full) {
                    return Outcome::Again;
                }
            }
        }
        reader.take_problems().iter().for_each(problem);
        if self.append(gathered) {
            outcome
        } else {
            Outcome::Again
        }
    }

    /// Appends, again and again until it succeeds; `false` if the service stops before.
    fn append(&self, mut gathered: Gathered) -> bool {
        while gathered.len() > 0 {
            let mut reservation = self.intake.in_flight().nothing();
            if reservation.try_grow(gathered.records.bytes.len()) {
                let mut left = Gathered::new(Arc::clone(&self.stream));
                let mut all = gathered.records.iter();
                for (count, appended) in self.intake.append(gathered.clone()) {
                    let records = all.by_ref().take(count);
                    match appended.map_err(|unappended| unappended.reason) {
                        Ok(()) => self.counter.accepted(count, records.map(<[u8]>::len).sum()),
                        Err(Refused::TooLong) => self.counter.refused(Refused::TooLong, records.count()),
                        Err(_) => records.for_each(|record| left.add(record)),
                    }
                }
                drop(all);
                gathered = left;
                std::thread::sleep(self.intake.pause());
            }
            if gathered.len() > 0 {
                if self.shutdown.is_wanted() {
                    return false;
                }
                std::thread::sleep(LOOK);
            }
        }
        true
    }
}

/// Writes which objects were read, so that a crash leaves the old list or the new one.
fn save(seen: &Seen, path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer(&mut file, seen).map_err(io::Error::other)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
