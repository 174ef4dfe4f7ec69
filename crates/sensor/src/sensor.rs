//! The sensor as its users see it: it is started, and gives lines.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::budget::Budget;
use crate::containers::ContainerCounts;
use crate::observation::{Cause, Class, Lost, Observation};
use crate::options::Options;
use crate::packages::PackageCounts;
use crate::queue::Queue;
use crate::source::{Abilities, Mode, Source, SourceError};
use crate::stream::Stream;
use crate::{audit, clock, connector, ebpf, procfs};

/// How long a source waits for something before it looks whether it is to end.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long is waited for what may have happened before what is there already.
const SETTLING: Duration = Duration::from_millis(2);

/// How long a sensor pauses that has used its share of the processor, before it looks again whether it may go on.
const PAUSE: Duration = Duration::from_millis(50);

/// Observations that a source gathers before it hands them over.
const GATHERED: usize = 256;

/// Observations that wait to be settled before no more are taken out of the queue.
const SETTLED: usize = 4_096;

/// A running sensor. It ends when it is dropped.
#[derive(Debug)]
pub struct Sensor {
    abilities: Abilities,
    queue: Arc<Queue>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    budget: Arc<Budget>,
    stream: Stream,
    /// Documents that were written before anybody read.
    first: (Vec<u8>, usize),
    ended: Option<SourceError>,
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
    /// Processes that are known now.
    pub processes: u64,
    /// Bytes that what is known of them takes, about.
    pub memory: u64,
    /// Processes that were forgotten before their time, to keep to the memory.
    pub evicted: u64,
    /// Processes that no source told of and that were read from `/proc`.
    pub repaired: u64,
    /// Processes that something was seen of and that were gone when they were looked for, so that nothing else is known of them.
    pub strangers: u64,
    /// What is known of containers, and what was missed of them.
    pub containers: ContainerCounts,
    /// What is known of packages.
    pub packages: PackageCounts,
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
        self.processes = other.processes;
        self.memory = other.memory;
        self.evicted += other.evicted;
        self.repaired += other.repaired;
        self.strangers += other.strangers;
        self.containers.add(&other.containers);
        self.packages.add(&other.packages);
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

    /// Looks in this way; those before it failed.
    pub(crate) fn with(
        source: Box<dyn Source>,
        tried: Vec<(Mode, SourceError)>,
        options: &Options,
    ) -> Result<Self, StartError> {
        let mut abilities = source.abilities();
        abilities.passed_over = tried
            .iter()
            .map(|(mode, error)| (*mode, error.to_string()))
            .collect();
        let limits = &options.limits;
        let queue = Arc::new(Queue::new(limits.waiting, limits.memory / 8));
        let stop = Arc::new(AtomicBool::new(false));
        let budget = Arc::new(Budget::new(limits.share));
        // What happens from now on waits in the kernel, so nothing is missed between what runs and what begins.
        let before = clock::thread_used();
        let mut stream = Stream::new(options, &abilities, Box::new(procfs::read));
        let mut first = Vec::new();
        let running = procfs::all().into_iter().filter_map(procfs::read).collect();
        let written = stream.begin(
            &abilities,
            running,
            clock::since_boot(),
            options.attach,
            &mut first,
        );
        budget.spend_since(before);
        let thread = std::thread::Builder::new().name("neph-sensor".to_owned()).spawn({
            let (queue, stop, budget) = (Arc::clone(&queue), Arc::clone(&stop), Arc::clone(&budget));
            move || look(source, &queue, &stop, &budget)
        });
        let thread = thread.map_err(|error| StartError {
            tried: vec![(abilities.mode, SourceError::refused("starting a thread", error))],
        })?;
        Ok(Self {
            abilities,
            queue,
            stop,
            thread: Some(thread),
            budget,
            stream,
            first: (first, written),
            ended: None,
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
        self.queue
            .push(&mut vec![Observation::Lost(lost)], self.budget.state());
    }

    /// Looks no longer. What was seen by now is still to be read, until reading fails.
    pub fn close(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has ended, too.
            drop(thread.join());
        }
    }

    /// Gives up what was seen and not read: who has to end does not have to work it all off. How much of what that is, is counted, and told.
    pub fn give_up(&mut self) {
        let mut waiting = self.stream.give_up();
        let taken = self.queue.take(Duration::ZERO);
        for (class, count) in taken.seen {
            *self.counts.seen.entry(class).or_default() += count;
        }
        for observation in &taken.observations {
            *waiting.entry(observation.class()).or_default() += 1;
        }
        let shed = |(class, count)| Lost {
            class,
            cause: Cause::Shed,
            count,
        };
        for lost in taken.lost.into_iter().chain(waiting.into_iter().map(shed)) {
            self.lose(lost);
        }
        self.ended = taken.ended.or(self.ended.take());
    }

    /// Whether something was seen that was not read.
    #[cfg(test)]
    pub(crate) fn has_waiting(&self) -> bool {
        self.queue.has_waiting()
    }

    fn lose(&mut self, lost: Lost) {
        *self.counts.lost.entry((lost.class, lost.cause)).or_default() += lost.count;
        self.stream.push(Observation::Lost(lost));
    }

    /// Waits at most so long for something, appends ECS documents to `lines`, one a line, and returns how many.
    ///
    /// # Errors
    ///
    /// If nothing more is to be expected of the kernel. What was seen before has been given.
    pub fn read(&mut self, wait: Duration, lines: &mut Vec<u8>) -> Result<usize, SensorError> {
        let end = Instant::now() + wait;
        let mut used = clock::thread_used();
        let (first, mut written) = std::mem::take(&mut self.first);
        lines.extend(first);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            // Who has used its share waits, as the thread that looks does; what comes meanwhile waits in the queue, which gives up by class.
            if self.thread.is_some() && self.ended.is_none() && self.budget.state().is_out() {
                std::thread::sleep(PAUSE.min(left));
                used = self.budget.spend_since(used);
                if Instant::now() >= end {
                    break;
                }
                continue;
            }
            if self.stream.waiting() < SETTLED {
                let patience = if written > 0 {
                    Duration::ZERO
                } else if self.stream.waiting() > 0 {
                    left.min(SETTLING)
                } else {
                    left
                };
                self.take(patience);
            }
            written += self
                .stream
                .settle(clock::since_boot(), self.ended.is_some(), lines);
            used = self.budget.spend_since(used);
            if written > 0 || self.ended.is_some() || Instant::now() >= end {
                break;
            }
        }
        self.counts.written += u64::try_from(written).unwrap_or(0);
        let (processes, memory, table) = self.stream.table();
        self.counts.processes = u64::try_from(processes).unwrap_or(0);
        self.counts.memory = memory;
        self.counts.evicted = table.evicted;
        self.counts.repaired = table.repaired;
        self.counts.strangers = table.unknown;
        self.counts.containers = self.stream.containers();
        self.counts.packages = self.stream.packages();
        match self.ended.take() {
            Some(error) if written == 0 => Err(error.into()),
            ended => {
                self.ended = ended;
                Ok(written)
            }
        }
    }

    /// Takes what waits in the queue into the stream.
    fn take(&mut self, patience: Duration) {
        let taken = self.queue.take(patience);
        for (class, count) in taken.seen {
            *self.counts.seen.entry(class).or_default() += count;
        }
        for lost in taken.lost {
            self.lose(lost);
        }
        for observation in taken.observations {
            self.stream.push(observation);
        }
        if taken.ended.is_some() {
            self.ended = taken.ended;
        }
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        self.close();
    }
}

fn open(mode: Mode, options: &Options) -> Result<Box<dyn Source>, SourceError> {
    match mode {
        Mode::Ebpf => Ok(Box::new(ebpf::start(options)?)),
        Mode::Audit => Ok(Box::new(audit::start()?)),
        Mode::Connector => Ok(Box::new(connector::start()?)),
    }
}

/// What the thread of a source does.
fn look(mut source: Box<dyn Source>, queue: &Queue, stop: &AtomicBool, budget: &Budget) {
    let mut end = EndOfThread { queue, error: None };
    let mut gathered = Vec::with_capacity(GATHERED);
    let mut used = clock::thread_used();
    let mut ends = false;
    while !ends {
        // What waits in the kernel when it is time to end has been seen, too.
        ends = stop.load(Ordering::Relaxed);
        let mut sink = |observation| {
            gathered.push(observation);
            if gathered.len() >= GATHERED {
                used = budget.spend_since(used);
                queue.push(&mut gathered, budget.state());
            }
        };
        let polled = if ends {
            source.finish(&mut sink)
        } else {
            source.poll(PATIENCE, &mut sink)
        };
        used = budget.spend_since(used);
        if !gathered.is_empty() {
            queue.push(&mut gathered, budget.state());
        }
        if let Err(error) = polled {
            end.error = Some(error);
            return;
        }
        // What comes meanwhile waits in the kernel, as long as its buffer lasts.
        while !ends && budget.state().is_out() && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(PAUSE);
            used = budget.spend_since(used);
        }
    }
}

/// Tells the reader that nothing more will come, however the thread ends.
struct EndOfThread<'a> {
    queue: &'a Queue,
    error: Option<SourceError>,
}

impl Drop for EndOfThread<'_> {
    fn drop(&mut self) {
        let unexpected = || SourceError::Unsupported("the thread that looks ended unexpectedly".to_owned());
        self.queue.end(self.error.take().unwrap_or_else(unexpected));
    }
}
