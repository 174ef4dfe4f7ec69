//! One reader, any number of workers, one collector.
//!
//! ```text
//! reader ──chunks──▶ worker ──▶ collector ──▶ caller
//!   ▲                worker ──▶    │ puts the outputs back in the order of the chunks
//!   └───────── used chunks ────────┘
//! ```
//!
//! The number of chunks is fixed when the run starts (three for each worker, and one more), and a chunk goes back to the
//! reader only when its output was collected. So a slow worker or caller stops the reader, and memory is bounded by that
//! number times the size of a chunk, plus what one long record adds.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::thread;

use crossbeam_channel::bounded;

use crate::RunError;
use crate::input::{Chunk, Reader};

/// Bytes of stack of each thread, as the main thread commonly has: parsers go down with the depth of a record.
pub const STACK: usize = 8 << 20;

/// What is done with each chunk, on whichever thread is free.
pub trait Worker: Send {
    /// What comes out of a chunk.
    type Output: Send;

    /// Works on a chunk. What comes out must depend on the chunk alone.
    fn work(&mut self, chunk: &Chunk) -> Self::Output;
}

/// Runs all chunks of `reader` through `workers`, and hands what comes out to `collect` in the order of the chunks,
/// until there are no more or `collect` breaks off. One worker runs on the calling thread, without any other.
///
/// # Errors
/// [`RunError::Thread`] if a thread cannot be started.
pub fn run<W: Worker>(
    reader: &mut Reader,
    workers: &mut [W],
    mut collect: impl FnMut(&mut Chunk, W::Output) -> ControlFlow<()>,
) -> Result<(), RunError> {
    match workers {
        [] => Ok(()),
        [worker] => {
            let mut chunk = Chunk::default();
            while reader.next_chunk(&mut chunk) {
                let output = worker.work(&chunk);
                if collect(&mut chunk, output).is_break() {
                    break;
                }
            }
            Ok(())
        }
        workers => run_threaded(reader, workers, collect),
    }
}

fn run_threaded<W: Worker>(
    reader: &mut Reader,
    workers: &mut [W],
    mut collect: impl FnMut(&mut Chunk, W::Output) -> ControlFlow<()>,
) -> Result<(), RunError> {
    let chunks = workers.len() * 3 + 1;
    let (give_back, used) = bounded::<Chunk>(chunks);
    let (to_workers, full) = bounded::<(u64, Chunk)>(chunks);
    let (to_collector, done) = bounded::<(u64, Chunk, W::Output)>(chunks);
    for _ in 0..chunks {
        let _ = give_back.send(Chunk::default());
    }
    let start = |name: &str| thread::Builder::new().name(name.to_owned()).stack_size(STACK);
    thread::scope(move |scope| {
        // Every thread ends when a channel it waits at is closed, and closes its own by ending. A break of the collector
        // drops both ends that it holds, which ends the reader and then the workers.
        start("neph-reader")
            .spawn_scoped(scope, move || {
                for (number, mut chunk) in (0_u64..).zip(used) {
                    if !reader.next_chunk(&mut chunk) || to_workers.send((number, chunk)).is_err() {
                        break;
                    }
                }
            })
            .map_err(RunError::Thread)?;
        for worker in workers {
            let (full, to_collector) = (full.clone(), to_collector.clone());
            start("neph-worker")
                .spawn_scoped(scope, move || {
                    for (number, chunk) in full {
                        let output = worker.work(&chunk);
                        if to_collector.send((number, chunk, output)).is_err() {
                            break;
                        }
                    }
                })
                .map_err(RunError::Thread)?;
        }
        drop(full);
        drop(to_collector);
        let mut early = BTreeMap::new();
        let mut next = 0_u64;
        for (number, chunk, output) in done {
            early.insert(number, (chunk, output));
            while let Some((mut chunk, output)) = early.remove(&next) {
                next += 1;
                if collect(&mut chunk, output).is_break() {
                    return Ok(());
                }
                // The reader may have ended.
                let _ = give_back.send(chunk);
            }
        }
        Ok(())
    })
}
