//! Conditions on the objects of a list, each object for itself.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering as Memory};

use neph_event::Field;

use crate::{Condition, FieldId};

/// A test that some object at a path satisfies a condition by itself: `items: { name: a and number: 1 }` wants both in one
/// of the items. An object that stands alone is a list of one.
///
/// Source: <https://www.elastic.co/docs/reference/query-languages/query-dsl/query-dsl-nested-query>
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nested {
    /// The fields that the objects are asked for, as the plan names them.
    pub fields: Vec<FieldId>,
    /// What each object is held against.
    pub objects: Arc<Objects>,
}

/// The objects at a path and the condition on each. Two are equal only where they are one and the same.
#[derive(Debug)]
pub struct Objects {
    number: u64,
    /// The path of the list in the document.
    pub path: Box<str>,
    /// The fields of an object; the condition's ids point here.
    pub fields: Vec<Arc<Field>>,
    /// The condition.
    pub condition: Condition,
}

impl Objects {
    /// The objects at `path`, whose `fields` stand under it.
    pub fn new(path: impl Into<Box<str>>, fields: Vec<Arc<Field>>, condition: Condition) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            number: NEXT.fetch_add(1, Memory::Relaxed),
            path: path.into(),
            fields,
            condition,
        }
    }
}

impl PartialEq for Objects {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl Eq for Objects {}
impl PartialOrd for Objects {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Objects {
    fn cmp(&self, other: &Self) -> Ordering {
        self.number.cmp(&other.number)
    }
}
impl Hash for Objects {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
    }
}
