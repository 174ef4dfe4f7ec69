//! The one way in: whatever the protocol, records go through here into the log.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, SystemTime};

use neph_event::Instant;
use neph_store::{Batch, EventLog, Records, StoreError};

use crate::counts::{Counts, Protocol, Refused};
use crate::gate::Gate;
use crate::limits::{InFlight, Limits};

/// Bytes of a block that is handed to the log: what the pipeline takes as one piece of work.
pub(crate) const BLOCK_BYTES: usize = 1 << 20;

/// Most characters of a stream's name.
const LONGEST_STREAM: usize = 200;

/// What is called when a batch is durable, or was not taken.
pub type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// Where records go. What it has taken is durable.
pub trait Sink: Send + Sync {
    /// Takes a batch, behind those that it was given before, and calls `done` once it is durable or cannot be.
    fn append(&self, batch: Batch, done: Done);

    /// Notes that a batch was not taken, so that the ledger tells of it.
    fn refuse(&self, _batch: &Batch, _why: &StoreError) {}

    /// How long who has sent something should be kept from sending more, where what comes is more than can be dealt with.
    fn pause(&self) -> Duration {
        Duration::ZERO
    }
}

impl Sink for EventLog {
    fn append(&self, batch: Batch, done: Done) {
        self.append_then(batch, |appended| done(appended.map(|_| ())));
    }

    fn refuse(&self, batch: &Batch, why: &StoreError) {
        self.note_untaken(batch, why);
    }
}

/// A log of which only so much may wait to be evaluated.
///
/// First those who send are slowed down: the more waits, the later each batch is acknowledged, so that senders that wait for
/// that (all but UDP) send as fast as is evaluated, and what they send is evaluated at once. Beyond a limit nothing more is taken: it
/// stays with who sends it, rather than getting older without anybody knowing.
pub struct Bounded<S> {
    /// Where records go.
    pub sink: Arc<S>,
    /// Bytes of records that wait to be evaluated now; asked for each batch.
    pub waiting: Box<dyn Fn() -> u64 + Send + Sync>,
    /// Above so many, batches are refused as those that find no room.
    pub most: u64,
}

/// So many bytes may wait before anybody is slowed down: less than a second's work.
const UNPACED: u64 = 16 << 20;
/// For so many more each acknowledgement waits a second.
const PACE: u64 = 64 << 20;
/// It waits no longer than this, far below the patience of senders.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

impl<S: Sink> Sink for Bounded<S> {
    fn append(&self, batch: Batch, done: Done) {
        match (self.waiting)() > self.most {
            true => {
                self.refuse(&batch, &StoreError::Behind);
                done(Err(StoreError::Behind));
            }
            false => self.sink.append(batch, done),
        }
    }

    fn refuse(&self, batch: &Batch, why: &StoreError) {
        self.sink.refuse(batch, why);
    }

    fn pause(&self) -> Duration {
        let surplus = (self.waiting)().saturating_sub(UNPACED);
        let millis = surplus.saturating_mul(1000) / PACE;
        Duration::from_millis(millis).min(LONGEST_PAUSE)
    }
}

/// What all protocols share: the log, who may send, how much, and what came. Cheap to clone.
#[derive(Clone)]
pub struct Intake {
    shared: Arc<Shared>,
}

struct Shared {
    sink: Arc<dyn Sink>,
    gate: Arc<dyn Gate>,
    limits: Limits,
    counts: Arc<Counts>,
    flight: InFlight,
    streams: Mutex<HashSet<Arc<str>>>,
}

/// Records of one stream that wait to be appended.
#[derive(Clone, Debug)]
pub(crate) struct Gathered {
    pub(crate) stream: Arc<str>,
    pub(crate) records: Records,
}

impl Gathered {
    pub(crate) fn new(stream: Arc<str>) -> Self {
        Self {
            stream,
            records: Records::default(),
        }
    }

    /// Adds a record that is there as a whole.
    pub(crate) fn add(&mut self, record: &[u8]) {
        self.records.bytes.extend_from_slice(record);
        self.end();
    }

    /// Ends the record whose bytes were written last. Bodies are shorter than what an end can state.
    pub(crate) fn end(&mut self) {
        let end = u32::try_from(self.records.bytes.len()).unwrap_or(u32::MAX);
        self.records.ends.push(end);
    }

    pub(crate) fn len(&self) -> usize {
        self.records.ends.len()
    }
}

/// The records of one request by stream.
pub(crate) struct Gathering<'i> {
    intake: &'i Intake,
    protocol: Protocol,
    gathered: Vec<Gathered>,
    numbers: HashMap<Arc<str>, usize>,
    /// What was asked for last, which mostly is asked for again.
    last: Option<(String, usize)>,
}

impl<'i> Gathering<'i> {
    pub(crate) fn new(intake: &'i Intake, protocol: Protocol) -> Self {
        Self {
            intake,
            protocol,
            gathered: Vec::new(),
            numbers: HashMap::new(),
            last: None,
        }
    }

    /// The number of what gathers for the stream of a name. Where `more` bytes would make it too long for a block, another one
    /// begins, so that nothing is copied to be cut.
    pub(crate) fn number(&mut self, name: &str, more: usize) -> usize {
        if let Some((last, number)) = &self.last
            && last == name
            && self.has_room(*number, more)
        {
            return *number;
        }
        let stream = self.intake.stream(self.protocol, name);
        let known = self.numbers.get(&stream).copied();
        let number = match known.filter(|number| self.has_room(*number, more)) {
            Some(number) => number,
            None => {
                self.gathered.push(Gathered::new(Arc::clone(&stream)));
                self.numbers.insert(stream, self.gathered.len() - 1);
                self.gathered.len() - 1
            }
        };
        self.last = Some((name.to_owned(), number));
        number
    }

    fn has_room(&self, number: usize, more: usize) -> bool {
        let length = |gathered: &Gathered| gathered.records.bytes.len();
        let length = self.gathered.get(number).map_or(0, length);
        length == 0 || length + more <= BLOCK_BYTES
    }

    /// What gathers under a number, to add to.
    pub(crate) fn stream(&mut self, number: usize) -> Option<&mut Gathered> {
        self.gathered.get_mut(number)
    }

    /// All that was gathered, in the order of the numbers.
    pub(crate) fn finish(self) -> Vec<Gathered> {
        self.gathered
    }
}

/// Why records were not appended, in the terms of all protocols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unappended {
    pub(crate) reason: Refused,
    pub(crate) message: String,
}

impl From<StoreError> for Unappended {
    fn from(error: StoreError) -> Self {
        let reason = match &error {
            StoreError::Full { .. } | StoreError::Busy | StoreError::Behind => Refused::Busy,
            StoreError::Refused { .. } => Refused::TooLong,
            _ => Refused::Failed,
        };
        // Paths of this machine are no business of a client.
        let message = match reason {
            Refused::Failed => "the records could not be stored".to_owned(),
            _ => "no room for more records now".to_owned(),
        };
        Self { reason, message }
    }
}

impl Intake {
    /// An intake into `sink`.
    pub fn new(sink: Arc<dyn Sink>, gate: Arc<dyn Gate>, limits: Limits, counts: Arc<Counts>) -> Self {
        let flight = InFlight::new(limits.in_flight_bytes);
        Self {
            shared: Arc::new(Shared {
                sink,
                gate,
                limits,
                counts,
                flight,
                streams: Mutex::default(),
            }),
        }
    }

    /// The bounds for clients.
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// What came in so far.
    pub fn counts(&self) -> &Arc<Counts> {
        &self.shared.counts
    }

    /// Bytes that are held in memory until they are durable.
    pub fn in_flight(&self) -> &InFlight {
        &self.shared.flight
    }

    /// How long who was just acknowledged, or will be, should wait before more is taken from them.
    pub(crate) fn pause(&self) -> Duration {
        self.shared.sink.pause()
    }

    pub(crate) fn gate(&self) -> &dyn Gate {
        &*self.shared.gate
    }

    /// The stream `PROTOCOL/name`, which is what stands in the log; what cannot be part of a name is replaced.
    pub(crate) fn stream(&self, protocol: Protocol, name: &str) -> Arc<str> {
        let known = |letter: char| letter.is_alphanumeric() || "._-:@/=+#~?%".contains(letter);
        let name = name.chars().take(LONGEST_STREAM);
        let name: String = name
            .map(|letter| if known(letter) { letter } else { '_' })
            .collect();
        let stream = format!("{}/{name}", protocol.name());
        let mut streams = self.shared.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stream) = streams.get(stream.as_str()) {
            return Arc::clone(stream);
        }
        if streams.len() >= self.shared.limits.streams {
            return format!("{}/others", protocol.name()).into();
        }
        let stream: Arc<str> = stream.into();
        streams.insert(Arc::clone(&stream));
        stream
    }

    /// Appends records; blocks until they are durable or were not taken. Tells of each block of them, in order, how many records it
    /// has and what became of it.
    pub(crate) fn append(&self, gathered: Gathered) -> Vec<(usize, Result<(), Unappended>)> {
        self.hand_over(gathered).outcomes()
    }

    /// Begins to append records.
    pub(crate) fn hand_over(&self, gathered: Gathered) -> HandedOver {
        let mut waiting = Vec::new();
        for records in blocks(gathered.records) {
            let count = records.len();
            let batch = Batch {
                stream: Arc::clone(&gathered.stream),
                received: now(),
                records,
            };
            let (sender, receiver) = mpsc::sync_channel(1);
            // Who waits cannot go away.
            let done: Done = Box::new(move |appended| drop(sender.send(appended)));
            self.shared.sink.append(batch, done);
            waiting.push((count, receiver));
        }
        HandedOver { waiting }
    }
}

/// Blocks that are on their way to the disk: how many records each has, and where it is said what became of it.
pub(crate) struct HandedOver {
    waiting: Vec<(usize, mpsc::Receiver<Result<(), StoreError>>)>,
}

impl HandedOver {
    /// Waits until all are durable or were not taken.
    pub(crate) fn outcomes(self) -> Vec<(usize, Result<(), Unappended>)> {
        let outcomes = self.waiting.into_iter().map(|(count, receiver)| {
            let appended = receiver.recv().unwrap_or(Err(StoreError::Busy));
            (count, appended.map_err(Unappended::from))
        });
        outcomes.collect()
    }
}

/// The present time.
pub(crate) fn now() -> Instant {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Instant::from_nanos(since.map_or(0, |since| since.as_nanos().try_into().unwrap_or(i128::MAX)))
}

/// Cuts records into blocks of about [`BLOCK_BYTES`].
fn blocks(records: Records) -> Vec<Records> {
    if records.bytes.len() <= BLOCK_BYTES {
        return if records.ends.is_empty() {
            Vec::new()
        } else {
            vec![records]
        };
    }
    let mut out = Vec::with_capacity(records.bytes.len() / BLOCK_BYTES + 1);
    let (mut start, mut ends) = (0_u32, Vec::new());
    for (index, end) in records.ends.iter().enumerate() {
        ends.push(end - start);
        let next = records.ends.get(index + 1).copied();
        let is_last = next.is_none_or(|next| (next - start) as usize > BLOCK_BYTES);
        if is_last {
            let bytes = records
                .bytes
                .get(start as usize..*end as usize)
                .unwrap_or_default();
            out.push(Records {
                bytes: bytes.to_vec(),
                ends: std::mem::take(&mut ends),
            });
            start = *end;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn a_log_that_is_not_evaluated_takes_nothing_until_it_is() {
        struct Taking(AtomicU64, AtomicU64);
        impl Sink for Taking {
            fn refuse(&self, batch: &Batch, why: &StoreError) {
                assert!(matches!(why, StoreError::Behind));
                self.1.fetch_add(batch.records.len() as u64, Ordering::Relaxed);
            }

            fn append(&self, batch: Batch, done: Done) {
                self.0
                    .fetch_add(batch.records.bytes.len() as u64, Ordering::Relaxed);
                done(Ok(()));
            }
        }
        let (taken, evaluated) = (
            Arc::new(Taking(AtomicU64::new(0), AtomicU64::new(0))),
            Arc::new(AtomicU64::new(0)),
        );
        let (log, done) = (Arc::clone(&taken), Arc::clone(&evaluated));
        let sink = Bounded {
            sink: Arc::clone(&taken),
            waiting: Box::new(move || log.0.load(Ordering::Relaxed) - done.load(Ordering::Relaxed)),
            most: 25,
        };
        let (nobody, counts) = (crate::Tokens::new([]), Arc::new(Counts::new(1)));
        let intake = Intake::new(Arc::new(sink), Arc::new(nobody), Limits::default(), counts);
        let append = || {
            let mut gathered = Gathered::new("x".into());
            gathered.add(b"0123456789");
            let (_, outcome) = intake.append(gathered).remove(0);
            outcome.map_err(|unappended| unappended.reason)
        };
        let outcomes: Vec<_> = (0..5).map(|_| append()).collect();
        // The one that goes beyond is taken still: nobody knows beforehand how much a batch adds.
        assert_eq!(
            outcomes,
            [Ok(()), Ok(()), Ok(()), Err(Refused::Busy), Err(Refused::Busy)]
        );
        assert_eq!(
            taken.0.load(Ordering::Relaxed),
            30,
            "what is refused is not taken"
        );
        evaluated.store(10, Ordering::Relaxed);
        assert_eq!([append(), append()], [Ok(()), Err(Refused::Busy)]);
        assert_eq!(
            taken.1.load(Ordering::Relaxed),
            3,
            "the ledger knows of what was refused"
        );
    }

    #[test]
    fn acknowledgements_wait_the_longer_the_more_waits() {
        struct Nowhere;
        impl Sink for Nowhere {
            fn append(&self, _: Batch, done: Done) {
                done(Ok(()));
            }
        }
        let pause = |waiting: u64| {
            let waiting = Box::new(move || waiting);
            let sink = Arc::new(Nowhere);
            Bounded {
                sink,
                waiting,
                most: u64::MAX,
            }
            .pause()
        };
        assert_eq!([pause(0), pause(UNPACED)], [Duration::ZERO; 2]);
        assert_eq!(pause(UNPACED + PACE / 2), Duration::from_millis(500));
        assert_eq!(pause(u64::MAX), LONGEST_PAUSE);
        assert_eq!(Nowhere.pause(), Duration::ZERO);
    }

    #[test]
    fn blocks_hold_all_records_in_order() {
        let mut gathered = Gathered::new("x".into());
        let lengths = [10, 700_000, 400_000, 5, 3_000_000, 0, 1, 900_000];
        for (index, length) in lengths.iter().enumerate() {
            gathered.add(&vec![index as u8; *length]);
        }
        let blocks = blocks(gathered.records);
        let sizes: Vec<usize> = blocks.iter().map(|block| block.ends.len()).collect();
        assert_eq!(sizes, [2, 2, 1, 3]);
        let mut found = Vec::new();
        for block in &blocks {
            let mut start = 0;
            for end in &block.ends {
                found.push(block.bytes[start..*end as usize].to_vec());
                start = *end as usize;
            }
            assert_eq!(start, block.bytes.len());
        }
        let expected: Vec<Vec<u8>> = lengths
            .iter()
            .enumerate()
            .map(|(index, length)| vec![index as u8; *length])
            .collect();
        assert_eq!(found, expected);
    }
}
