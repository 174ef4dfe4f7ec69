//! The sensor as its users see it: it is started, and gives lines.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::connector;
use crate::document::Writer;
use crate::observation::{Cause, Class, Lost, Observation};
use crate::options::Options;
use crate::queue::Queue;
use crate::source::{Abilities, Mode, Source, SourceError};

/// How long a source waits for something before it looks whether it is to end.
const PATIENCE: Duration = Duration::from_millis(100);

/// Observations that a source gathers before it hands them over.
const GATHERED: usize = 256;

/// A running sensor. It ends when it is dropped.
#[derive(Debug)]
pub struct Sensor {
    abilities: Abilities,
    queue: Arc<Queue>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    writer: Writer,
    counts: Counts,
}

/// What a sensor did since it was started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// What its source saw, by class; what was given up afterwards included.
    pub seen: BTreeMap<Class, u64>,
    /// Documents that it wrote.
    pub written: u64,
    /// What was lost, by class and cause.
    pub lost: BTreeMap<(Class, Cause), u64>,
}

impl Counts {
    /// Adds what another sensor did.
    pub(crate) fn add(&mut self, other: &Self) {
        for (class, count) in &other.seen {
            *self.seen.entry(*class).or_default() += count;
        }
        for (lost, count) in &other.lost {
            *self.lost.entry(*lost).or_default() += count;
        }
        self.written += other.written;
    }
}

/// Why a sensor cannot start: every way that was tried, and why it failed.
#[derive(Debug, thiserror::Error)]
#[error("the sensor cannot start: {}", told(.tried))]
pub struct StartError {
    /// The ways, in the order in which they were tried.
    pub tried: Vec<(Mode, SourceError)>,
}

fn told(tried: &[(Mode, SourceError)]) -> String {
    let each: Vec<String> = tried
        .iter()
        .map(|(mode, error)| format!("{mode}: {error}"))
        .collect();
    each.join("; ")
}

/// Why a sensor gives nothing more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SensorError {
    /// The kernel tells nothing more.
    #[error("the sensor ended: {0}")]
    Source(#[from] SourceError),
}

impl Sensor {
    /// Begins to look, in the best way that works or the one that is asked for.
    ///
    /// # Errors
    ///
    /// If none works; the error tells why each does not.
    pub fn start(options: &Options) -> Result<Self, StartError> {
        let modes = options.mode.as_ref().map_or(&Mode::ALL[..], std::slice::from_ref);
        let mut tried = Vec::new();
        for mode in modes {
            match open(*mode, options) {
                Ok(source) => return Self::with(source, tried, options),
                Err(error) => tried.push((*mode, error)),
            }
        }
        Err(StartError { tried })
    }

    fn with(
        source: Box<dyn Source>,
        tried: Vec<(Mode, SourceError)>,
        options: &Options,
    ) -> Result<Self, StartError> {
        let mut abilities = source.abilities();
        abilities.passed_over = tried
            .iter()
            .map(|(mode, error)| (*mode, error.to_string()))
            .collect();
        let queue = Arc::new(Queue::new(options.limits.waiting, options.limits.memory / 4));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new().name("neph-sensor".to_owned()).spawn({
            let (queue, stop) = (Arc::clone(&queue), Arc::clone(&stop));
            move || look(source, &queue, &stop)
        });
        let thread = thread.map_err(|error| StartError {
            tried: vec![(abilities.mode, SourceError::refused("starting a thread", error))],
        })?;
        Ok(Self {
            writer: Writer::new(options, abilities.mode),
            abilities,
            queue,
            stop,
            thread: Some(thread),
            counts: Counts::default(),
        })
    }

    /// What it sees, and why not more.
    pub fn abilities(&self) -> &Abilities {
        &self.abilities
    }

    /// What it did so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Notes that documents were given up behind the sensor: it is counted and told of as any loss.
    pub fn note_lost(&self, lost: Lost) {
        self.queue.push(&mut vec![Observation::Lost(lost)]);
    }

    /// Waits at most so long for something, appends ECS documents to `lines`, one a line, and returns how many.
    ///
    /// # Errors
    ///
    /// If nothing more is to be expected of the kernel. What was seen before has been given.
    pub fn read(&mut self, wait: Duration, lines: &mut Vec<u8>) -> Result<usize, SensorError> {
        let taken = self.queue.take(wait);
        for (class, count) in taken.seen {
            *self.counts.seen.entry(class).or_default() += count;
        }
        for lost in &taken.lost {
            *self.counts.lost.entry((lost.class, lost.cause)).or_default() += lost.count;
        }
        let lost = taken.lost.into_iter().map(Observation::Lost);
        let mut written = 0;
        for observation in taken.observations.into_iter().chain(lost) {
            written += self.writer.write(&observation, lines);
        }
        self.counts.written += u64::try_from(written).unwrap_or(0);
        match taken.ended {
            Some(error) if written == 0 => Err(error.into()),
            Some(error) => {
                self.queue.end(error);
                Ok(written)
            }
            None => Ok(written),
        }
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has ended, too.
            drop(thread.join());
        }
    }
}

fn open(mode: Mode, _options: &Options) -> Result<Box<dyn Source>, SourceError> {
    match mode {
        Mode::Ebpf => Err(SourceError::Unsupported(
            "programs in the kernel are not built in".to_owned(),
        )),
        Mode::Audit => Err(SourceError::Unsupported("audit is not built in".to_owned())),
        Mode::Connector => Ok(Box::new(connector::start()?)),
    }
}

/// What the thread of a source does.
fn look(mut source: Box<dyn Source>, queue: &Queue, stop: &AtomicBool) {
    let mut gathered = Vec::with_capacity(GATHERED);
    while !stop.load(Ordering::Relaxed) {
        let polled = source.poll(PATIENCE, &mut |observation| {
            gathered.push(observation);
            if gathered.len() >= GATHERED {
                queue.push(&mut gathered);
            }
        });
        if !gathered.is_empty() {
            queue.push(&mut gathered);
        }
        if let Err(error) = polled {
            queue.end(error);
            return;
        }
    }
}
