//! Programs in the kernel tell what happens (bpf(2)): nothing is missed of processes however short they live.
//!
//! The programs are in `ebpf/sensor.bpf.c`, compiled and committed, so that a build needs no compiler for them. They write records
//! to a ring, which is read here. They only look: nothing waits for them or for who reads, and what finds no room is counted.

mod attached;
mod joined;
mod record;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use self::attached::{Attached, CAUSES, CLASSES, Counted};
use self::joined::Joined;
use crate::clock;
use crate::files::Files;
use crate::observation::{Cause, Class, Lost, Observation, SinceBoot};
use crate::options::Options;
use crate::source::{Abilities, Mode, Part, Source, SourceError};

/// After the first record others are waited for a moment, so that many are read at once: to be woken, and to find nothing in the
/// processor's caches, costs as much as some documents.
const GATHER: Duration = Duration::from_millis(50);
/// So long where few came the last time, whose processes and containers may be looked up sooner then.
const GATHER_FEW: Duration = Duration::from_millis(8);
/// Fewer are few.
const FEW: usize = 16;

/// Records that are read before the caller has a say again, who may have used up its share of the processor.
const AT_ONCE: usize = 4_096;

/// How often as many are read at the end: the largest ring holds no more records.
const LAST_READINGS: usize = 384;

/// How often the counts of the kernel are read.
const COUNTED_EVERY: Duration = Duration::from_millis(500);

/// The classes and causes in the order in which the programs count.
const COUNTED_CLASSES: [Class; CLASSES] = [
    Class::Exec,
    Class::Connect,
    Class::Open,
    Class::Change,
    Class::Outcome,
    Class::Fork,
    Class::Exit,
];
const COUNTED_CAUSES: [Cause; CAUSES] = [
    Cause::BufferFull,
    Cause::TableFull,
    Cause::Unreadable,
    Cause::Shed,
];

/// Brings the programs into the kernel. They go with what is returned, also when the process is killed.
///
/// # Errors
///
/// If the kernel does not allow it, or cannot do what is least needed.
pub(crate) fn start(options: &Options) -> Result<Reader, SourceError> {
    start_at(options, attached::group_root().as_deref(), None)
}

/// With room for so many connections under way, or as many as the programs say.
fn start_at(options: &Options, groups: Option<&Path>, calls: Option<u32>) -> Result<Reader, SourceError> {
    // Before Linux 5.11 tables in the kernel counted as locked memory. Whether the limit can be raised shows when they are made.
    let unlimited = rustix::process::Rlimit {
        current: None,
        maximum: None,
    };
    let _raised = rustix::process::setrlimit(rustix::process::Resource::Memlock, unlimited);
    let attached = Attached::new(options, groups, calls)?;
    Ok(Reader {
        joined: Joined::new(attached.outcomes),
        attached,
        files: options.files.clone(),
        lost: [0; CLASSES * CAUSES],
        counted: Instant::now(),
        unreadable: 0,
        gather: GATHER_FEW,
    })
}

/// Reads what the programs tell.
pub(crate) struct Reader {
    attached: Attached,
    files: Files,
    joined: Joined,
    /// What was told as lost, by class and cause.
    lost: [u64; CLASSES * CAUSES],
    counted: Instant,
    unreadable: u64,
    gather: Duration,
}

impl Reader {
    /// Waits until the ring has something.
    fn wait(&self, wait: Duration) -> Result<bool, SourceError> {
        let timeout = Timespec::try_from(wait).ok();
        let mut events = [PollFd::new(&self.attached.ring, PollFlags::IN)];
        match rustix::event::poll(&mut events, timeout.as_ref()) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(SourceError::refused("waiting for the kernel", error)),
        }
    }

    /// What the programs gave up since the last time.
    fn lost(&mut self, sink: &mut dyn FnMut(Observation)) {
        let Ok(processors) = self.attached.counted.get(&0, 0) else {
            return;
        };
        let mut sums: Counted = [0; CLASSES + CLASSES * CAUSES];
        for counted in processors.iter() {
            for (sum, count) in sums.iter_mut().zip(counted) {
                *sum = sum.wrapping_add(*count);
            }
        }
        let classes = COUNTED_CLASSES
            .iter()
            .flat_map(|class| COUNTED_CAUSES.map(|cause| (*class, cause)));
        let sums = sums.iter().skip(CLASSES);
        for (((class, cause), told), sum) in classes.zip(&mut self.lost).zip(sums) {
            let count = sum.wrapping_sub(*told);
            if count > 0 {
                *told = *sum;
                sink(Observation::Lost(Lost { class, cause, count }));
            }
        }
        let late = self.joined.take_lost();
        if late > 0 {
            sink(Observation::Lost(Lost {
                class: Class::Outcome,
                cause: Cause::TableFull,
                count: late,
            }));
        }
        if self.unreadable > 0 {
            sink(Observation::Lost(Lost {
                class: Class::Unknown,
                cause: Cause::Unreadable,
                count: std::mem::take(&mut self.unreadable),
            }));
        }
    }
}

/// Reads records without programs in the kernel: what fuzz targets try.
#[derive(Debug)]
pub(crate) struct Reading {
    joined: Joined,
    files: Files,
}

impl Reading {
    pub(crate) fn new() -> Self {
        Self {
            joined: Joined::new(true),
            files: Files::default(),
        }
    }

    /// How many observations come with a record.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> usize {
        if let Some(record) = record::read(bytes, &self.files) {
            self.joined.push(record);
        }
        // Some of what the records say is before this moment, some behind it.
        self.release(SinceBoot(1 << 40))
    }

    /// How many wait at the end.
    pub(crate) fn rest(&mut self) -> usize {
        self.release(SinceBoot(u64::MAX))
    }

    fn release(&mut self, now: SinceBoot) -> usize {
        let mut released = 0;
        self.joined.release(now, &mut |_| released += 1);
        released
    }
}

impl Reader {
    /// Reads what is in the ring, at most [`AT_ONCE`] records; tells how many.
    fn read(&mut self) -> usize {
        for count in 0..AT_ONCE {
            let Some(bytes) = self.attached.ring.next() else {
                return count;
            };
            match record::read(&bytes, &self.files) {
                Some(record) => self.joined.push(record),
                None => self.unreadable = self.unreadable.wrapping_add(1),
            }
        }
        AT_ONCE
    }
}

impl Source for Reader {
    fn poll(&mut self, wait: Duration, sink: &mut dyn FnMut(Observation)) -> Result<(), SourceError> {
        let patience = self.joined.patience(clock::since_boot());
        if self.wait(patience.map_or(wait, |patience| patience.min(wait)))? {
            std::thread::sleep(self.gather.min(wait));
            self.gather = match self.read() {
                ..FEW => GATHER_FEW,
                _ => GATHER,
            };
        } else {
            self.read();
        }
        if self.counted.elapsed() >= COUNTED_EVERY {
            self.counted = Instant::now();
            self.lost(sink);
        }
        self.joined.release(clock::since_boot(), sink);
        Ok(())
    }

    fn finish(&mut self, sink: &mut dyn FnMut(Observation)) -> Result<(), SourceError> {
        // The programs go on meanwhile, so this has an end.
        for _ in 0..LAST_READINGS {
            let read = self.read();
            self.joined.release(clock::since_boot(), sink);
            if read < AT_ONCE {
                break;
            }
        }
        // Nobody waits any longer for how connections go.
        self.joined.release(SinceBoot(u64::MAX), sink);
        self.lost(sink);
        Ok(())
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            mode: Mode::Ebpf,
            hooks: self.attached.hooks.clone(),
            unseen: self.attached.unseen.clone(),
            uncertain: Vec::<Part>::new(),
            passed_over: Vec::new(),
        }
    }
}
