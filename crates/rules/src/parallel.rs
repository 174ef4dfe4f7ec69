//! The same work on many things, on the threads that there are.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Things are handed out so many at a time; fewer are not worth a thread.
const AT_ONCE: usize = 32;
/// More threads than this gain little: what follows is done by one.
const MOST_THREADS: usize = 8;
/// Bytes of stack, as the main thread commonly has: parsers go down with the depth of a rule.
const STACK: usize = 8 << 20;

/// What `work` makes of each item, in the order of the items.
pub(crate) fn map<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let shares = items.len().div_ceil(AT_ONCE);
    // Asking the system how many threads there are takes longer than little work does.
    let available = match shares {
        0 | 1 => 1,
        _ => thread::available_parallelism().map_or(1, NonZero::get),
    };
    let threads = available.min(MOST_THREADS).min(shares);
    if threads < 2 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done: Vec<(usize, Vec<R>)> = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(chunk) = items.chunks(AT_ONCE).nth(number) else {
                return done;
            };
            done.push((number, chunk.iter().map(&work).collect()));
        }
    };
    let mut done = thread::scope(|scope| {
        let start = || thread::Builder::new().stack_size(STACK).spawn_scoped(scope, run);
        // A thread that cannot be started leaves its share to the others; this one works too.
        let others: Vec<_> = (1..threads).map_while(|_| start().ok()).collect();
        let mut done = run();
        for other in others {
            match other.join() {
                Ok(theirs) => done.extend(theirs),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_unstable_by_key(|(number, _)| *number);
    done.into_iter().flat_map(|(_, made)| made).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_order_is_that_of_the_items() {
        for number in [0, 1, 31, 32, 33, 1000] {
            let items: Vec<usize> = (0..number).collect();
            let doubled: Vec<usize> = items.iter().map(|item| item * 2).collect();
            assert_eq!(super::map(&items, |item| item * 2), doubled);
        }
    }
}
