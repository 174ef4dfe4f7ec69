//! Brings records of this machine to another `neph serve`, over a buffer on disk.
//!
//! What is put in is durable before [`Shipper::put`] returns, and leaves the buffer when the service has acknowledged it, which it does when
//! the records are durable there. So nothing is lost while the service is away, nor when either side is killed; what was on the way
//! then is sent again, with the same bytes and hence the same event ids, by which it counts once.
//!
//! When the buffer fills, records are given up by rank, the least important first, and counted.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use neph_event::Instant;
use neph_store::{Batch, EventLog, Limits, Offset, Records, StoreError};

use crate::http::Receiver;
use crate::pause::pause;
use crate::{OpenError, Outcome};

/// Bytes of a request at most, where it holds more than one record.
const BODY: usize = 4 << 20;
/// Bytes of an answer that are read.
const ANSWER: u64 = 64 << 10;
/// How long an answer may take: the service acknowledges what is on its disk, and slows down those who send too much.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How long is waited for more before it is looked whether to stop.
const LOOK: Duration = Duration::from_millis(200);
/// After so many failures pauses grow no longer: half a minute.
const MOST_FAILURES: u32 = 6;
/// The disk keeps so many bytes free.
const KEEP_FREE: u64 = 64 << 20;

/// Ranks of records: those of rank 0 are given up last.
pub const RANKS: usize = 5;

/// To where records are brought, and over which buffer.
#[derive(Clone, Debug)]
pub struct ShipOptions {
    /// Where the service is reached, such as `https://neph.example.com:9470`.
    pub url: String,
    /// A token of the role `ingest`.
    pub token: String,
    /// PEM file of the authorities to trust instead of the system's.
    pub authority: Option<PathBuf>,
    /// The name by which the service tells this machine from others.
    pub host: String,
    /// The folder of the buffer. One process uses it at a time.
    pub buffer: PathBuf,
    /// Bytes that the buffer may take on disk, compressed.
    pub buffer_bytes: u64,
}

/// Why records cannot be brought away.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShipError {
    /// The service cannot be spoken to as was asked for.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The buffer cannot be used.
    #[error("the buffer cannot be used: {0}")]
    Buffer(#[from] StoreError),
    /// Another process uses the buffer.
    #[error("the buffer `{0}` is used by another process")]
    InUse(PathBuf),
    /// A file of the buffer cannot be read or written.
    #[error("cannot use `{path}`: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What became of records so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShipCounts {
    /// Records that the service acknowledged.
    pub sent: u64,
    /// Records that it will never take.
    pub refused: u64,
    /// Bytes of records, uncompressed, that wait to be brought away.
    pub waiting_bytes: u64,
    /// Records given up for want of room, by rank.
    pub shed: [u64; RANKS],
    /// Why the service has not taken the last ones, as long as it does not.
    pub error: Option<String>,
}

/// Brings records away until it is stopped.
pub struct Shipper {
    log: Arc<EventLog>,
    stream: Arc<str>,
    most: u64,
    shared: Arc<Shared>,
    sender: Option<JoinHandle<()>>,
    /// Held as long as the buffer is used.
    _lock: File,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    sent: AtomicU64,
    refused: AtomicU64,
    /// Everything before it was acknowledged.
    cursor: AtomicU64,
    shed: [AtomicU64; RANKS],
    error: Mutex<Option<String>>,
    /// Wakes who waits until the receiver is tried again.
    woken: Condvar,
}

impl Shared {
    fn error(&self) -> MutexGuard<'_, Option<String>> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shipper {
    /// Opens the buffer, and begins to bring away what it holds.
    ///
    /// # Errors
    /// The buffer or the options cannot be used. That the service is away is no error.
    pub fn start(options: &ShipOptions) -> Result<Self, ShipError> {
        let file = |path: &Path| {
            let path = path.to_owned();
            move |source| ShipError::File { path, source }
        };
        let folder = &options.buffer;
        let records = folder.join("records");
        fs::create_dir_all(&records).map_err(file(&records))?;
        let lock_path = folder.join("lock");
        let lock = File::create(&lock_path).map_err(file(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ShipError::InUse(folder.clone())),
            Err(TryLockError::Error(error)) => return Err(file(&lock_path)(error)),
        }
        let receiver = receiver(options)?;
        let cursor_path = folder.join("acknowledged");
        let cursor = match fs::read_to_string(&cursor_path) {
            // What is damaged says nothing, and everything there is is sent again.
            Ok(text) => text.trim().parse().unwrap_or(0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(file(&cursor_path)(error)),
        };
        let limits = Limits {
            segment_bytes: (options.buffer_bytes / 16).clamp(64 << 10, 64 << 20),
            max_bytes: options.buffer_bytes,
            min_free_bytes: KEEP_FREE,
            max_age: Duration::MAX,
            max_waiting_bytes: 16 << 20,
        };
        let (log, _) = EventLog::open(&records, &limits, cursor)?;
        let log = Arc::new(log);
        let shared = Arc::new(Shared::default());
        shared.cursor.store(cursor.max(log.begin()), Ordering::Relaxed);
        let sender = Sender {
            log: Arc::clone(&log),
            receiver,
            shared: Arc::clone(&shared),
            cursor: cursor_path.clone(),
        };
        let thread = thread::Builder::new()
            .name("neph-ship".to_owned())
            .spawn(move || sender.run())
            .map_err(file(&cursor_path))?;
        Ok(Self {
            log,
            stream: options.host.as_str().into(),
            most: options.buffer_bytes.max(1),
            shared,
            sender: Some(thread),
            _lock: lock,
        })
    }

    /// Puts records, one a line, into the buffer; they are durable when this returns. `rank` says how early a record is given up
    /// where there is little room: from 0, never before the buffer is full, to 4, when it is full to four fifths. How many records of
    /// each rank were given up now.
    ///
    /// # Errors
    /// The disk fails; nothing of what was put in now is kept then.
    pub fn put(&self, lines: &[u8], rank: impl Fn(&[u8]) -> usize) -> Result<[u64; RANKS], StoreError> {
        let mut shed = [0; RANKS];
        let mut records = Records::default();
        let mut kept = [0; RANKS];
        let room = self.room();
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let rank = rank(line).min(RANKS - 1);
            let counts = match rank < room && records.push(line) {
                true => &mut kept,
                false => &mut shed,
            };
            if let Some(count) = counts.get_mut(rank) {
                *count += 1;
            }
        }
        if !records.is_empty() {
            let batch = Batch {
                stream: Arc::clone(&self.stream),
                received: now(),
                records,
            };
            match self.log.append(batch) {
                Ok(_) => {}
                Err(StoreError::Full { .. } | StoreError::Busy) => {
                    for (shed, kept) in shed.iter_mut().zip(kept) {
                        *shed += kept;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        for (sum, count) in self.shared.shed.iter().zip(shed) {
            sum.fetch_add(count, Ordering::Relaxed);
        }
        Ok(shed)
    }

    /// Records of ranks below this find room.
    fn room(&self) -> usize {
        let stored = self.log.stored_bytes();
        // From four fifths on a rank is given up with each twentieth.
        let twentieths = stored.saturating_mul(20) / self.most;
        let given_up = usize::try_from(twentieths.saturating_sub(15)).unwrap_or(RANKS);
        RANKS.saturating_sub(given_up)
    }

    /// What became of records so far.
    pub fn counts(&self) -> ShipCounts {
        let count = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        ShipCounts {
            sent: count(&self.shared.sent),
            refused: count(&self.shared.refused),
            waiting_bytes: self.log.end().saturating_sub(count(&self.shared.cursor)),
            shed: self.shared.shed.each_ref().map(count),
            error: self.shared.error().clone(),
        }
    }

    /// Waits until everything was brought away, but no longer than this, and ends. What is left stays in the buffer for the next time.
    pub fn stop(mut self, patience: Duration) -> ShipCounts {
        let began = std::time::Instant::now();
        while began.elapsed() < patience
            && self.shared.cursor.load(Ordering::Relaxed) < self.log.end()
            && self.shared.error().is_none()
        {
            thread::sleep(Duration::from_millis(20));
        }
        self.end();
        self.counts()
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.woken.notify_all();
        if let Some(sender) = self.sender.take() {
            // It can only have panicked, and that was told.
            let _ = sender.join();
        }
    }
}

impl Drop for Shipper {
    fn drop(&mut self) {
        self.end();
    }
}

fn receiver(options: &ShipOptions) -> Result<Receiver, OpenError> {
    let host = percent(&options.host);
    let url = format!("{}/ingest?host={host}", options.url.trim_end_matches('/'));
    let headers = BTreeMap::from([("Authorization".to_owned(), format!("Bearer {}", options.token))]);
    Receiver::new(
        &url,
        &headers,
        None,
        options.authority.as_deref(),
        TIMEOUT,
        ANSWER,
    )
}

/// A text as part of a query (RFC 3986, 2.3).
fn percent(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn now() -> Instant {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Instant::from_nanos(since.map_or(0, |since| i128::try_from(since.as_nanos()).unwrap_or(i128::MAX)))
}

/// The thread that brings records away.
struct Sender {
    log: Arc<EventLog>,
    receiver: Receiver,
    shared: Arc<Shared>,
    /// The file that says what was acknowledged.
    cursor: PathBuf,
}

impl Sender {
    fn run(self) {
        let mut blocks = self.log.blocks(self.shared.cursor.load(Ordering::Relaxed));
        while !self.is_to_stop() {
            let mut records = Vec::new();
            let (mut bytes, mut end) = (0, None);
            while bytes < BODY {
                match blocks.next() {
                    Some(Ok(block)) => {
                        end = Some(block.end());
                        bytes += block.records.bytes.len();
                        records.extend(block.records.iter().map(<[u8]>::to_vec));
                    }
                    // What cannot be read any more cannot be brought away.
                    Some(Err(StoreError::Gap { to, .. })) => end = Some(to),
                    Some(Err(error)) => {
                        *self.shared.error() = Some(format!("the buffer cannot be read: {error}"));
                        self.rest(pause(MOST_FAILURES, None));
                        break;
                    }
                    None => break,
                }
            }
            match end {
                None => drop(blocks.wait(LOOK)),
                Some(end) => {
                    if !self.bring(&records) {
                        return;
                    }
                    self.acknowledged(end);
                }
            }
        }
    }

    fn is_to_stop(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
    }

    /// Sends records until the service has them all, or will never have them; `false` if it is time to stop before.
    fn bring(&self, records: &[Vec<u8>]) -> bool {
        let mut failures = 0_u32;
        // What is too much at once is sent in halves.
        let mut parts = vec![records];
        while let Some(part) = parts.pop() {
            let (after, why) = match self.send(part) {
                Sent::Taken => {
                    failures = 0;
                    *self.shared.error() = None;
                    continue;
                }
                Sent::TooMuch => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                    continue;
                }
                Sent::Later(after, why) => (after, why),
            };
            parts.push(part);
            *self.shared.error() = Some(why);
            failures = (failures + 1).min(MOST_FAILURES);
            self.rest(pause(failures, after));
            if self.is_to_stop() {
                return false;
            }
        }
        true
    }

    fn send(&self, records: &[Vec<u8>]) -> Sent {
        if records.is_empty() {
            return Sent::Taken;
        }
        let answer = match self
            .receiver
            .post_packed("application/x-ndjson", &records.concat())
        {
            Ok(answer) => answer,
            Err(outcome) => return later(outcome),
        };
        match answer.status {
            200..300 => {
                let refused = refused(&answer.body).min(records.len() as u64);
                self.count(records.len() as u64 - refused, refused);
                Sent::Taken
            }
            413 if records.len() > 1 => Sent::TooMuch,
            // All of it is malformed, or one record is too long.
            400 | 413 => {
                self.count(0, records.len() as u64);
                Sent::Taken
            }
            _ => later(self.receiver.refused(&answer)),
        }
    }

    fn count(&self, sent: u64, refused: u64) {
        self.shared.sent.fetch_add(sent, Ordering::Relaxed);
        self.shared.refused.fetch_add(refused, Ordering::Relaxed);
    }

    /// Notes how far the service has everything, and removes that.
    fn acknowledged(&self, end: Offset) {
        self.shared.cursor.store(end, Ordering::Relaxed);
        let temporary = self.cursor.with_extension("new");
        let written =
            fs::write(&temporary, format!("{end}\n")).and_then(|()| fs::rename(&temporary, &self.cursor));
        if let Err(error) = written {
            // What is sent again counts once.
            *self.shared.error() = Some(format!("cannot write `{}`: {error}", self.cursor.display()));
            return;
        }
        // A segment that cannot be removed now may be with the next one.
        self.log.forget_before(end).ok();
    }

    /// Waits, unless it is time to stop.
    fn rest(&self, time: Duration) {
        let error = self.shared.error();
        drop(
            self.shared
                .woken
                .wait_timeout_while(error, time, |_| !self.is_to_stop()),
        );
    }
}

/// What became of a request.
enum Sent {
    /// The service has what it will have of it.
    Taken,
    /// It is too long for the service.
    TooMuch,
    /// It is to be tried again.
    Later(Option<Duration>, String),
}

fn later(outcome: Outcome) -> Sent {
    match outcome {
        Outcome::Later { why, after } => Sent::Later(after, why),
        // Whoever answers so is no service of ours, or one that is not set up yet.
        Outcome::Never { why } => Sent::Later(None, why),
        Outcome::Delivered => Sent::Taken,
    }
}

/// How many records the service said that it refuses.
fn refused(answer: &[u8]) -> u64 {
    let answer: Option<serde_json::Value> = serde_json::from_slice(answer).ok();
    answer
        .and_then(|answer| answer.get("refused")?.as_u64())
        .unwrap_or_default()
}
