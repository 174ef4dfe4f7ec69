//! The past: what the log holds, as chunks.

use std::collections::HashSet;
use std::ops::Range;

use neph_engine::Match;
use neph_event::Instant;
use neph_store::Store;

use crate::input::Reader;

use super::source::LogSource;

/// What the log holds of these times, and of these streams alone where some are named, for whatever reads records. The reader
/// leaves out what is known to lie outside; records that lie just outside may still come, as blocks come whole.
///
/// `source` forces the source of all records.
pub fn history(
    store: &Store,
    times: Range<Instant>,
    streams: Option<&[&str]>,
    source: Option<&str>,
) -> Reader {
    let until = store.log.end();
    let blocks = store.log.blocks_between(times.clone(), streams);
    let source = LogSource::new(blocks, None, until, source.map(str::to_owned)).within(times);
    Reader::of(Box::new(source), false)
}

/// Lets each match pass once, by the ids of its events: a client that sent records twice has them twice in the log.
#[derive(Debug, Default)]
pub struct OnceById {
    seen: HashSet<u128>,
}

impl OnceById {
    /// Whether no match of the same events came before.
    pub fn is_new(&mut self, found: &Match) -> bool {
        let mut hash = crate::service::book::hash();
        for (step, event) in &found.events {
            let id = event.as_ref().map_or("", |event| event.id().as_str());
            hash.add(&format!("{} {step} {id}\n", found.rule.0));
        }
        self.seen.insert(hash.number())
    }
}
