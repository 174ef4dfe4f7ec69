//! The threads that work on the shards of the operators, each on one at a time.

use neph_engine::{Outcome as Told, Shard};
use neph_event::Instant;
use rayon::iter::{
    IndexedParallelIterator, IntoParallelIterator, IntoParallelRefMutIterator, ParallelIterator,
};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::pipeline::STACK;
use crate::steps::Numbered;

/// Threads that are started when there is first enough to do for them.
#[derive(Debug)]
pub(crate) struct Crew {
    threads: usize,
    pool: Option<ThreadPool>,
}

impl Crew {
    /// Whether it is worth having with so many workers: two of them, with the thread that hands over what they found, fill as many
    /// processors, so that taking it apart by shards would only add work.
    pub(crate) fn pays(workers: usize) -> bool {
        workers > 2
    }

    /// So many threads; one means the caller's.
    pub(crate) fn new(threads: usize) -> Self {
        Self { threads, pool: None }
    }

    /// Whether the threads are there.
    pub(crate) fn is_at_work(&self) -> bool {
        self.pool.is_some()
    }

    /// Does the work on all shards, each with its own of `given`, and gives what comes of each. The caller does it all where
    /// there is not `much` to do.
    pub(crate) fn each<G: Send, R: Send>(
        &mut self,
        much: bool,
        shards: &mut [Shard],
        given: Vec<G>,
        work: impl Fn(&mut Shard, G) -> R + Sync,
    ) -> Vec<R> {
        if much && self.pool.is_none() && self.threads.min(shards.len()) > 1 {
            let builder = ThreadPoolBuilder::new()
                .num_threads(self.threads.min(shards.len()))
                .thread_name(|number| format!("neph-shards-{number}"))
                .stack_size(STACK);
            // Where threads cannot be started the caller's does the same, and tries no more.
            self.pool = builder.build().ok();
            self.threads = if self.pool.is_some() { self.threads } else { 1 };
        }
        match &self.pool {
            Some(pool) if much => pool.install(|| {
                let shards = shards.par_iter_mut().zip(given.into_par_iter());
                let done = shards.with_max_len(1).map(|(shard, given)| work(shard, given));
                done.collect()
            }),
            _ => {
                let shards = shards.iter_mut().zip(given);
                shards.map(|(shard, given)| work(shard, given)).collect()
            }
        }
    }
}

/// What came of a chunk in one shard.
#[derive(Default)]
pub(crate) struct Done {
    /// What was told when the step match of this number came.
    pub(crate) at_steps: Vec<(u32, Told)>,
    /// What was told after that, by rule.
    pub(crate) told: Vec<Told>,
}

impl Done {
    /// Has a shard take step matches, and what is certain when time has come so far.
    pub(crate) fn of(shard: &mut Shard, steps: Numbered, watermark: Option<Instant>) -> Self {
        let mut done = Self::default();
        for (number, step) in steps {
            shard.push(step, &mut done.told);
            if !done.told.is_empty() {
                done.at_steps
                    .extend(done.told.drain(..).map(|told| (number, told)));
            }
        }
        if let Some(watermark) = watermark {
            shard.advance(watermark, &mut done.told);
        }
        done
    }
}
