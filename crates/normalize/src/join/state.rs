//! What a joiner holds back, written down for another process.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Group, Joiner, Key, Shell, Started, Waiting, context};

/// What is written. Joinings go by the names of their sources, since their numbers are not the same in every version.
#[derive(Deserialize, Serialize)]
struct Written<T> {
    sources: Vec<String>,
    contexts: Vec<Option<Vec<u8>>>,
    groups: Vec<(Key, Group<T>)>,
    waiting: Vec<Waiting>,
    heads: Vec<((usize, Shell), Vec<u8>)>,
    records: u64,
    opened: u64,
}

impl<T: Clone + Serialize + DeserializeOwned> Joiner<T> {
    /// What it holds back and remembers, for [`Self::restore`]. What is ready must have been taken.
    pub fn save(&self) -> Vec<u8> {
        let context = |started: &Started| started.0.as_ref().map(|context| context.save());
        let written = Written {
            sources: self
                .joinings
                .iter()
                .map(|joining| joining.source.to_owned())
                .collect(),
            contexts: self.contexts.iter().map(context).collect(),
            groups: self
                .groups
                .iter()
                .map(|(key, group)| (key.clone(), group.clone()))
                .collect(),
            waiting: self.queue.iter().cloned().collect(),
            heads: self
                .heads
                .iter()
                .map(|(key, head)| (*key, head.clone()))
                .collect(),
            records: self.records,
            opened: self.opened,
        };
        postcard::to_stdvec(&written).unwrap_or_default()
    }

    /// Takes over what [`Self::save`] wrote of a joiner of the same sources, in place of what it holds. `false` if that is
    /// damaged or of other sources, and nothing is taken over.
    pub fn restore(&mut self, saved: &[u8]) -> bool {
        let Ok(written) = postcard::from_bytes::<Written<T>>(saved) else {
            return false;
        };
        let own = self.joinings.iter().map(|joining| joining.source);
        if !own.eq(written.sources.iter().map(String::as_str))
            || written.contexts.len() != self.contexts.len()
            || !written
                .groups
                .iter()
                .all(|(key, group)| group.is_sound(key, self.joinings.len()))
        {
            return false;
        }
        let mut contexts = vec![Started::default(); self.contexts.len()];
        for ((joining, started), saved) in self.joinings.iter().zip(&mut contexts).zip(written.contexts) {
            let Some(saved) = saved else { continue };
            let mut new = context(joining.source).map(|start| start());
            if !new.as_mut().is_some_and(|context| context.restore(&saved)) {
                return false;
            }
            started.0 = new;
        }
        self.contexts = contexts;
        self.held_bytes = written.groups.iter().map(|(_, group)| group.record.len()).sum();
        self.groups = written.groups.into_iter().collect();
        self.queue = written.waiting.into();
        self.heads = written.heads.into_iter().collect();
        (self.records, self.opened) = (written.records, written.opened);
        self.ready.clear();
        true
    }
}

impl<T> Group<T> {
    /// Whether the places of its text lie in its record, at the ends of characters.
    fn is_sound(&self, key: &Key, joinings: usize) -> bool {
        key.joining < joinings && self.start <= self.end && self.end <= self.record.len()
    }
}
