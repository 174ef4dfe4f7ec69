//! Processor time that the sensor may use, and what it gives up when it has used too much.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::clock;
use crate::observation::Class;

/// The time over which the share is kept: what was not used within it may be used at once.
const OVER: f64 = 60.0;

/// A bucket of processor time, which fills as fast as the share lets it.
#[derive(Debug)]
pub(crate) struct Budget {
    share: f64,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    /// Seconds that may be used at once.
    left: f64,
    filled: Instant,
}

impl Budget {
    /// A full one, for a share of a core.
    pub(crate) fn new(share: f64) -> Self {
        let share = if share.is_finite() { share.max(0.001) } else { 1.0 };
        Self {
            share,
            bucket: Mutex::new(Bucket {
                left: share * OVER,
                filled: Instant::now(),
            }),
        }
    }

    /// Takes what a thread used since `before`, its own processor time then; gives its processor time now.
    pub(crate) fn spend_since(&self, before: Duration) -> Duration {
        let now = clock::thread_used();
        self.spend(now.saturating_sub(before), Instant::now());
        now
    }

    fn spend(&self, used: Duration, now: Instant) {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let since = now.saturating_duration_since(bucket.filled).as_secs_f64();
        bucket.filled = now;
        let filled = (bucket.left + since * self.share).min(self.share * OVER);
        bucket.left = filled - used.as_secs_f64();
    }

    /// What is left, as a part of what there can be; none if more was used than there was.
    fn left(&self) -> f64 {
        let bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.left / (self.share * OVER)
    }

    /// How much is still worked on.
    pub(crate) fn state(&self) -> Thrift {
        Thrift { left: self.left() }
    }
}

/// How much is still worked on: the less time is left, the fewer classes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Thrift {
    left: f64,
}

impl Thrift {
    /// Whether a class is still worked on.
    pub(crate) fn affords(self, class: Class) -> bool {
        let needed = match class {
            Class::Exit => 0.20,
            Class::Fork => 0.16,
            Class::Outcome => 0.14,
            Class::Open | Class::Change => 0.12,
            Class::Connect => 0.06,
            // When even programs cannot be afforded, nothing is taken from the kernel: see `is_out`.
            Class::Exec | Class::Unknown => return true,
        };
        self.left >= needed
    }

    /// Nothing is left: the sensor has to pause.
    pub(crate) fn is_out(self) -> bool {
        self.left <= 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_given_up_in_their_order_and_come_back() {
        let budget = Budget::new(0.5);
        let start = Instant::now();
        let order = [
            Class::Exit,
            Class::Fork,
            Class::Outcome,
            Class::Open,
            Class::Connect,
            Class::Exec,
        ];
        let mut afforded = Vec::new();
        let count = |budget: &Budget| {
            order
                .iter()
                .filter(|class| budget.state().affords(**class))
                .count()
        };
        for _ in 0..60 {
            let thrift = budget.state();
            // Whoever is given up later is afforded as long as all that are given up before.
            let given: Vec<bool> = order.iter().map(|class| thrift.affords(*class)).collect();
            assert!(given.is_sorted(), "{given:?}");
            afforded.push(count(&budget));
            budget.spend(Duration::from_millis(500), start);
        }
        assert!(afforded.is_sorted_by(|a, b| a >= b), "{afforded:?}");
        assert_eq!(afforded.first(), Some(&order.len()));
        assert_eq!(afforded.last(), Some(&1));
        budget.spend(Duration::from_millis(500), start);
        assert!(budget.state().is_out());
        budget.spend(Duration::ZERO, start + Duration::from_secs(60));
        assert_eq!(count(&budget), order.len());
    }
}
