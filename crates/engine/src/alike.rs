//! Records that are alike in what is known of them before they are read: whether any rule can be about them.
//!
//! Whoever reads records may know some fields of a record by its kind, without reading the record. Of the first record of a kind
//! that is read, all conditions are evaluated over these fields alone, in three values. If none can hold whatever the others say,
//! later records of the kind need not be read. Where a few may, because of texts that a record shows as they are, only records that
//! have these texts need be.

use std::sync::Arc;

use ahash::AHashMap;
use neph_event::Row;

use crate::choose::{Need, Sought, need};
use crate::literals::Commonness;
use crate::memo::Habit;
use crate::nodes::{Node, NodeId, Nodes};
use crate::predicate::Predicate;
use crate::records::RecordLiterals;
use crate::scratch::Scratch;

/// So many kinds are kept, of so many bytes together; more are forgotten as a whole. In tests few.
const KINDS: usize = if cfg!(test) { 4 } else { 1 << 13 };
const TEXTS: usize = 1 << 20;
/// So many sets of tests whose texts are sought; kinds that need others are read.
const SETS: usize = if cfg!(test) { 3 } else { 64 };
/// So many tests of each.
const TESTS: usize = 256;

/// Whether a rule can be about the records of a kind.
#[derive(Clone, Debug)]
pub(crate) enum Chance {
    /// None can.
    None,
    /// About those that have one of these texts.
    With(Arc<RecordLiterals>),
    /// About any.
    Any,
}

/// What one thread knows of kinds of records.
#[derive(Debug, Default)]
pub(crate) struct Alike {
    known: AHashMap<Box<[u8]>, Chance>,
    /// What is sought for some tests.
    sets: AHashMap<Box<[NodeId]>, Arc<RecordLiterals>>,
    texts: usize,
    habit: Habit,
    /// What is common in records.
    common: Commonness,
    folded: String,
}

impl Alike {
    /// Whether kinds are looked for now.
    pub(crate) fn is_wanted(&mut self) -> bool {
        self.habit.is_wanted()
    }

    /// Whether a condition can hold for a record of a kind, if that is known.
    pub(crate) fn can_hold(&mut self, kind: &[u8], record: &str) -> Option<bool> {
        self.common.learn(record.as_bytes());
        let can_hold = match self.known.get(kind) {
            None => None,
            Some(Chance::None) => Some(false),
            Some(Chance::With(literals)) => Some(literals.may_be_in(record, &mut self.folded, |_| true)),
            Some(Chance::Any) => Some(true),
        };
        self.habit.tell(can_hold == Some(false));
        can_hold
    }

    /// Keeps it.
    pub(crate) fn keep(&mut self, kind: &[u8], chance: Chance) {
        if self.known.len() >= KINDS || self.texts >= TEXTS {
            self.known.clear();
            self.sets.clear();
            self.texts = 0;
        }
        self.texts += kind.len();
        self.known.insert(kind.into(), chance);
    }

    /// The chance where one of these tests must hold, whose texts records show as they are.
    pub(crate) fn with(&mut self, mut tests: Vec<NodeId>, nodes: &Nodes) -> Chance {
        tests.sort_unstable();
        tests.dedup();
        if let Some(literals) = self.sets.get(tests.as_slice()) {
            return Chance::With(Arc::clone(literals));
        }
        if tests.len() > TESTS || self.sets.len() >= SETS {
            return Chance::Any;
        }
        let literals = RecordLiterals::new(
            tests
                .iter()
                .filter_map(|test| Some((test.0, sought(nodes, *test)?))),
            &self.common,
        );
        let literals = Arc::new(literals);
        self.sets.insert(tests.into(), Arc::clone(&literals));
        Chance::With(literals)
    }
}

/// The texts that a test seeks.
fn sought(nodes: &Nodes, test: NodeId) -> Option<Sought<'_>> {
    match nodes.get(test)? {
        Node::Test(predicate) => match need(predicate)? {
            Need::Text(sought) => Some(sought),
            _ => None,
        },
        _ => None,
    }
}

/// Evaluation of nodes where only some slots of the row are known.
pub(crate) struct Partly<'a> {
    pub(crate) nodes: &'a Nodes,
    pub(crate) row: &'a Row,
    pub(crate) scratch: &'a mut Scratch,
    /// By slot whether it is known.
    pub(crate) is_known: &'a [bool],
    /// By slot whether the record's text shows its texts as they are.
    pub(crate) is_shown: &'a [bool],
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

    /// Tests of texts that the record shows, of which one holds wherever the node does; `None` where there are no such tests.
    pub(crate) fn needs(&mut self, id: NodeId) -> Option<Vec<NodeId>> {
        let nodes = self.nodes;
        match nodes.get(id)? {
            Node::Test(predicate) => {
                let (known, shown, row) = (self.is_known, self.is_shown, self.row);
                let tells = |slot: &neph_event::Slot| {
                    let is = |slots: &[bool]| slots.get(slot.0 as usize) == Some(&true);
                    is(shown) || (is(known) && row.first(*slot).is_none())
                };
                let is_sought = sought(nodes, id).is_some() && predicate.reads().iter().all(tells);
                is_sought.then(|| vec![id])
            }
            Node::All(parts) => {
                let open = parts.iter().filter(|part| self.holds(**part).is_none());
                let open: Vec<NodeId> = open.copied().collect();
                let needs = open.into_iter().filter_map(|part| self.needs(part));
                needs.min_by_key(Vec::len)
            }
            Node::Any(parts) => {
                let mut all = Vec::new();
                for part in parts {
                    if self.holds(*part) != Some(false) {
                        all.extend(self.needs(*part)?);
                    }
                }
                Some(all)
            }
            Node::Not(_) | Node::Const(_) => None,
        }
    }
}
