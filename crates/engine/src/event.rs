//! The event as it travels with a match: its document, its id, where it came from.

use std::sync::{Arc, OnceLock};

use neph_event::EventId;

/// Where a record stood in the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Name of the file or stream.
    pub source: Arc<str>,
    /// Line (or position in an array), counted from 1.
    pub line: u64,
}

/// A record that took part in a match.
#[derive(Debug)]
pub struct Event {
    document: Box<[u8]>,
    given_id: Option<EventId>,
    derived_id: OnceLock<EventId>,
    origin: Origin,
}

impl Event {
    /// An event of the JSON text of its document, with the id that it was given, if any.
    pub fn new(document: impl Into<Box<[u8]>>, id: Option<EventId>, origin: Origin) -> Self {
        Self {
            document: document.into(),
            given_id: id,
            derived_id: OnceLock::new(),
            origin,
        }
    }

    /// An event of which only the time counts, which its holder keeps: it has no document.
    pub(crate) fn bare() -> Self {
        let origin = Origin {
            source: "".into(),
            line: 0,
        };
        Self::new([], None, origin)
    }

    pub(crate) fn is_bare(&self) -> bool {
        self.document.is_empty()
    }

    /// The document's JSON text.
    pub fn document(&self) -> &[u8] {
        &self.document
    }

    /// The given id, else the hash of the document.
    pub fn id(&self) -> &EventId {
        match &self.given_id {
            Some(id) => id,
            None => self.derived_id.get_or_init(|| EventId::of_bytes(&self.document)),
        }
    }

    /// The id that the record or its store gave, if any.
    pub fn given_id(&self) -> Option<&EventId> {
        self.given_id.as_ref()
    }

    /// Whether both have the same id. Does not compute ids where the documents tell.
    pub fn is_same(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
            || match (&self.given_id, &other.given_id) {
                (Some(a), Some(b)) => a == b,
                (None, None) => self.document == other.document,
                _ => self.id() == other.id(),
            }
    }

    /// Where the record stood.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Bytes that this event holds in memory, for the accounting of operator state.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.document.len() + self.given_id.as_ref().map_or(0, |id| id.as_str().len())
    }
}
