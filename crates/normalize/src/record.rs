//! One vendor record, as the sources see it.

use crate::clock::Clock;
use crate::tree::{Arena, Map, Value};

/// One vendor record: its text, its object where it is JSON, and what an agent put round it.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Where the document is to be built.
    pub arena: &'a Arena,
    /// The text of the record; empty where it is a part of a larger one.
    pub text: &'a str,
    /// The record as an object.
    pub object: Option<&'a Map<'a>>,
    /// What the agent that shipped the text says beside it (`host`, `log`, `agent` …).
    pub agent: Option<&'a Map<'a>>,
    /// What times without a year or a zone are read by.
    pub clock: &'a Clock,
}

impl<'a> Record<'a> {
    /// The value at a path of the object; nothing where the record is no object.
    pub fn at(&self, path: &str) -> Option<Value<'a>> {
        self.object?.at(path)
    }

    /// The string at a path of the object, if it is one and not empty.
    pub fn text_at(&self, path: &str) -> Option<&'a str> {
        self.object?.text_at(path)
    }

    /// Whether the object has all of these keys.
    pub fn has(&self, keys: &[&str]) -> bool {
        self.object
            .is_some_and(|object| keys.iter().all(|key| object.get(key).is_some()))
    }

    /// The document to fill: what the agent says, or an empty one. The agent's time is that of shipping, not of the
    /// event, so it becomes `event.created`.
    pub fn document(&self) -> &'a Map<'a> {
        let Some(agent) = self.agent else {
            return self.arena.map();
        };
        let document = agent.deep_copy();
        if let Some(time) = document.remove("@timestamp") {
            document.put_new("event.created", time);
        }
        document
    }
}
