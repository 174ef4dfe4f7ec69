//! Observations that wait between the thread of a source and whoever reads the sensor.
//!
//! The queue never waits for its reader. The fuller it is, the fewer classes it takes: the ends of processes are given up first,
//! programs started last.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::budget::Thrift;
use crate::observation::{Cause, Class, Lost, Observation};
use crate::source::SourceError;

/// How much of the queue may be taken, in percent, for one more of a class to be let in.
fn share(class: Class) -> u64 {
    match class {
        Class::Exit => 50,
        Class::Fork => 60,
        Class::Outcome => 65,
        Class::Open | Class::Change => 70,
        Class::Connect => 85,
        Class::Exec | Class::Unknown => 100,
    }
}

/// What waits, and what was given up.
#[derive(Debug)]
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    filled: Condvar,
    most: u64,
    most_bytes: u64,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: VecDeque<Observation>,
    bytes: u64,
    seen: BTreeMap<Class, u64>,
    lost: BTreeMap<(Class, Cause), u64>,
    ended: Option<SourceError>,
}

/// What was taken out of the queue.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// In the order in which it was seen.
    pub(crate) observations: VecDeque<Observation>,
    /// How many of a class were seen since the last time, those that were given up included.
    pub(crate) seen: BTreeMap<Class, u64>,
    /// What was lost since the last time, by the source or here.
    pub(crate) lost: Vec<Lost>,
    /// Why the source ended, if it did.
    pub(crate) ended: Option<SourceError>,
}

impl Queue {
    /// An empty one, for so many observations of so many bytes together.
    pub(crate) fn new(most: usize, most_bytes: u64) -> Self {
        Self {
            inner: Mutex::default(),
            filled: Condvar::new(),
            most: u64::try_from(most).unwrap_or(u64::MAX).max(1),
            most_bytes: most_bytes.max(1),
        }
    }

    /// Puts observations in that can be afforded, and leaves `observations` empty.
    pub(crate) fn push(&self, observations: &mut Vec<Observation>, thrift: Thrift) {
        let mut inner = self.lock();
        for observation in observations.drain(..) {
            let class = match &observation {
                Observation::Lost(lost) => {
                    *inner.lost.entry((lost.class, lost.cause)).or_default() += lost.count;
                    continue;
                }
                other => other.class(),
            };
            *inner.seen.entry(class).or_default() += 1;
            let size = weight(&observation);
            let count = u64::try_from(inner.waiting.len()).unwrap_or(u64::MAX);
            let full = |taken: u64, most: u64| taken.saturating_mul(100) >= most.saturating_mul(share(class));
            if !thrift.affords(class)
                || full(count, self.most)
                || full(inner.bytes.saturating_add(size), self.most_bytes)
            {
                *inner.lost.entry((class, Cause::Shed)).or_default() += 1;
                continue;
            }
            inner.bytes = inner.bytes.saturating_add(size);
            inner.waiting.push_back(observation);
        }
        drop(inner);
        self.filled.notify_one();
    }

    /// Tells that nothing more will come.
    pub(crate) fn end(&self, error: SourceError) {
        self.lock().ended = Some(error);
        self.filled.notify_one();
    }

    /// Everything that is there, after waiting at most so long for something.
    pub(crate) fn take(&self, wait: Duration) -> Taken {
        let idle =
            |inner: &mut Inner| inner.waiting.is_empty() && inner.lost.is_empty() && inner.ended.is_none();
        let (mut inner, _) = self
            .filled
            .wait_timeout_while(self.lock(), wait, idle)
            .unwrap_or_else(PoisonError::into_inner);
        inner.bytes = 0;
        Taken {
            observations: std::mem::take(&mut inner.waiting),
            seen: std::mem::take(&mut inner.seen),
            lost: std::mem::take(&mut inner.lost)
                .into_iter()
                .map(|((class, cause), count)| Lost { class, cause, count })
                .collect(),
            ended: inner.ended.take(),
        }
    }

    #[cfg(test)]
    pub(crate) fn has_waiting(&self) -> bool {
        !self.lock().waiting.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes that an observation takes, about.
fn weight(observation: &Observation) -> u64 {
    let more = match observation {
        Observation::Exec(exec) => {
            let args = exec
                .args
                .iter()
                .flatten()
                .map(|arg| arg.capacity() + size_of::<Vec<u8>>());
            let paths = [&exec.script, &exec.asked, &exec.cwd, &exec.context.cgroup];
            size_of_val(exec.as_ref())
                + exec.executable.capacity()
                + paths.into_iter().flatten().map(Vec::capacity).sum::<usize>()
                + args.sum::<usize>()
        }
        Observation::Connect(connect) | Observation::Outcome(connect) => size_of_val(connect.as_ref()) + 64,
        Observation::Open(open) => size_of_val(open.as_ref()) + open.path.capacity(),
        Observation::Change(change) => size_of_val(change.as_ref()),
        Observation::Fork { .. } | Observation::Exit { .. } | Observation::Lost(_) => 0,
    };
    u64::try_from(size_of::<Observation>() + more).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Budget;
    use crate::observation::{ProcessId, SinceBoot};

    fn fork(number: u32) -> Observation {
        let process = ProcessId {
            pid: number,
            start: 0,
        };
        Observation::Fork {
            at: SinceBoot(0),
            child: process,
            parent: process,
        }
    }

    fn exit(number: u32) -> Observation {
        Observation::Exit {
            at: SinceBoot(0),
            process: ProcessId {
                pid: number,
                start: 0,
            },
            status: 0,
        }
    }

    #[test]
    fn a_full_queue_gives_up_ends_before_beginnings_and_counts_both() {
        let queue = Queue::new(100, u64::MAX);
        let thrift = Budget::new(1.0).state();
        for number in 0..200 {
            queue.push(&mut vec![fork(number), exit(number)], thrift);
        }
        let lost = Lost {
            class: Class::Exec,
            cause: Cause::BufferFull,
            count: 7,
        };
        queue.push(&mut vec![Observation::Lost(lost)], thrift);
        let taken = queue.take(Duration::ZERO);
        let of = |class: Class| {
            taken
                .observations
                .iter()
                .filter(|one| one.class() == class)
                .count() as u64
        };
        let given_up = |class: Class| {
            let lost = taken
                .lost
                .iter()
                .filter(|lost| lost.class == class && lost.cause == Cause::Shed);
            lost.map(|lost| lost.count).sum::<u64>()
        };
        assert_eq!(
            (of(Class::Exit), of(Class::Fork)),
            (25, 35),
            "ends at 50 %, beginnings at 60 %"
        );
        for class in [Class::Exit, Class::Fork] {
            assert_eq!(taken.seen[&class], 200);
            assert_eq!(of(class) + given_up(class), 200);
        }
        assert!(taken.lost.contains(&lost));
        assert_eq!(queue.take(Duration::ZERO).lost, []);
    }

    #[test]
    fn bytes_count_as_well_as_numbers() {
        let queue = Queue::new(1_000_000, 10_000);
        let thrift = Budget::new(1.0).state();
        for number in 0..10_000 {
            queue.push(&mut vec![exit(number)], thrift);
        }
        let taken = queue.take(Duration::ZERO);
        let bytes: u64 = taken.observations.iter().map(weight).sum();
        assert!(bytes > 0 && bytes <= 5_000, "{bytes}");
    }
}
