//! Records that are alike in what is known of them before they are read: whether any rule can be about them.
//!
//! Whoever reads records may know some fields of a record by its kind, without reading the record. Of the first record of a kind
//! that is read, all conditions are evaluated over these fields alone, in three values. If none can hold whatever the others say,
//! later records of the kind need not be read.

use ahash::AHashMap;
use neph_event::Row;

use crate::memo::Habit;
use crate::nodes::{Node, NodeId, Nodes};
use crate::predicate::Predicate;
use crate::scratch::Scratch;

/// So many kinds are kept, of so many bytes together; more are forgotten as a whole. In tests few.
const KINDS: usize = if cfg!(test) { 4 } else { 1 << 13 };
const TEXTS: usize = 1 << 20;

/// What one thread knows of kinds of records.
#[derive(Debug, Default)]
pub(crate) struct Alike {
    /// Whether a condition can hold.
    known: AHashMap<Box<[u8]>, bool>,
    texts: usize,
    habit: Habit,
}

impl Alike {
    /// Whether kinds are looked for now.
    pub(crate) fn is_wanted(&mut self) -> bool {
        self.habit.is_wanted()
    }

    /// Whether a condition can hold for records of a kind, if that is known.
    pub(crate) fn can_hold(&mut self, kind: &[u8]) -> Option<bool> {
        let known = self.known.get(kind).copied();
        self.habit.tell(known == Some(false));
        known
    }

    /// Keeps it.
    pub(crate) fn keep(&mut self, kind: &[u8], can_hold: bool) {
        if self.known.len() >= KINDS || self.texts >= TEXTS {
            self.known.clear();
            self.texts = 0;
        }
        self.texts += kind.len();
        self.known.insert(kind.into(), can_hold);
    }
}

/// Evaluation of nodes where only some slots of the row are known.
pub(crate) struct Partly<'a> {
    pub(crate) nodes: &'a Nodes,
    pub(crate) row: &'a Row,
    pub(crate) scratch: &'a mut Scratch,
    /// By slot whether it is known.
    pub(crate) is_known: &'a [bool],
    /// By node what was found: whether it holds, unless that depends on what is not known.
    pub(crate) found: AHashMap<NodeId, Option<bool>>,
}

impl Partly<'_> {
    /// Whether a node holds; `None` where it depends on what is not known.
    pub(crate) fn holds(&mut self, id: NodeId) -> Option<bool> {
        if let Some(found) = self.found.get(&id) {
            return *found;
        }
        let nodes = self.nodes;
        let holds = match nodes.get(id) {
            None => Some(false),
            Some(Node::Const(truth)) => Some(*truth),
            Some(Node::All(parts)) => self.until(parts, false),
            Some(Node::Any(parts)) => self.until(parts, true),
            Some(Node::Not(part)) => self.holds(*part).map(|truth| !truth),
            // These read the document itself.
            Some(Node::Test(predicate)) if matches!(**predicate, Predicate::Objects(_)) => None,
            Some(Node::Test(predicate)) => {
                let is_known = |slot: &neph_event::Slot| self.is_known.get(slot.0 as usize) == Some(&true);
                let told = predicate.reads().iter().all(is_known);
                told.then(|| nodes.holds(id, self.row, self.scratch))
            }
        };
        self.found.insert(id, holds);
        holds
    }

    /// What parts come to, one of which is enough if it is `enough`.
    fn until(&mut self, parts: &[NodeId], enough: bool) -> Option<bool> {
        let mut all = Some(!enough);
        for part in parts {
            match self.holds(*part) {
                Some(truth) if truth == enough => return Some(enough),
                Some(_) => {}
                None => all = None,
            }
        }
        all
    }
}
