//! Which conditions an event must be held against: routing by necessary equalities.
//!
//! Most conditions can hold only where some field equals one of a few texts (`event.category == "process"`,
//! `process.name : ("curl", "wget")`). Such a set of (field, text) is a *guard*. Each stage is filed under one of its
//! guards, and an event wakes only the stages filed under texts that it has. Of several possible guards the one is
//! chosen whose texts the fewest stages share, so that a stage is woken rarely however many rules there are.

use ahash::AHashMap;
use neph_event::{Row, Slot};
use neph_plan::Case;

use crate::nodes::{Node, NodeId, NodesBuilder};
use crate::predicate::Predicate;
use crate::scratch::Scratch;

/// The stages by their guards. Stages are numbers that the program gives.
#[derive(Debug, Default)]
pub(crate) struct Router {
    /// Stages without a guard.
    always: Vec<u32>,
    tables: Vec<Table>,
}

#[derive(Debug)]
struct Table {
    slot: Slot,
    case: Case,
    stages: AHashMap<Box<str>, Vec<u32>>,
}

/// A field that is compared with texts by one case.
type Lookup = (Slot, Case);

/// One text that a guard waits for.
type Entry = (Lookup, Box<str>);

impl Router {
    /// Files the stages, given as the nodes of their conditions.
    pub(crate) fn new(conditions: &[NodeId], nodes: &NodesBuilder) -> Self {
        let mut finder = Finder {
            nodes,
            popularity: AHashMap::new(),
            guards: AHashMap::new(),
        };
        conditions.iter().for_each(|condition| finder.count(*condition));
        let mut router = Self::default();
        let mut by_lookup: AHashMap<Lookup, usize> = AHashMap::new();
        for (stage, condition) in (0_u32..).zip(conditions) {
            let Some(mut guard) = finder.guard(*condition) else {
                router.always.push(stage);
                continue;
            };
            guard.sort_unstable();
            guard.dedup();
            for ((slot, case), text) in guard {
                let at = *by_lookup.entry((slot, case)).or_insert_with(|| {
                    router.tables.push(Table {
                        slot,
                        case,
                        stages: AHashMap::new(),
                    });
                    router.tables.len() - 1
                });
                if let Some(table) = router.tables.get_mut(at) {
                    table.stages.entry(text).or_default().push(stage);
                }
            }
        }
        router
    }

    /// Calls `wake` with every stage that the row may satisfy; with some of them more than once.
    pub(crate) fn route(&self, row: &Row, scratch: &mut Scratch, mut wake: impl FnMut(u32)) {
        self.always.iter().copied().for_each(&mut wake);
        for table in &self.tables {
            scratch.any_text(row, table.slot, table.case, |text| {
                if let Some(stages) = table.stages.get(text) {
                    stages.iter().copied().for_each(&mut wake);
                }
                false
            });
        }
    }
}

struct Finder<'a> {
    nodes: &'a NodesBuilder,
    /// How many stages could wait for each text.
    popularity: AHashMap<Entry, u32>,
    /// Guards already found, of nodes that several stages share.
    guards: AHashMap<NodeId, Option<Vec<Entry>>>,
}

impl Finder<'_> {
    /// Counts the texts that a stage could be filed under.
    fn count(&mut self, node: NodeId) {
        match self.nodes.get(node) {
            Some(Node::All(parts) | Node::Any(parts)) => parts.iter().for_each(|part| self.count(*part)),
            Some(Node::Test(predicate)) => {
                for entry in entries(predicate).into_iter().flatten() {
                    *self.popularity.entry(entry).or_insert(0) += 1;
                }
            }
            _ => {}
        }
    }

    /// Texts of which the row must have one for the node to hold; `None` where there are no such.
    fn guard(&mut self, node: NodeId) -> Option<Vec<Entry>> {
        if let Some(known) = self.guards.get(&node) {
            return known.clone();
        }
        let found = match self.nodes.get(node)? {
            Node::Const(false) => Some(Vec::new()),
            Node::Const(true) | Node::Not(_) => None,
            Node::Test(predicate) => entries(predicate),
            Node::All(parts) => {
                let guards: Vec<Vec<Entry>> = parts.iter().filter_map(|part| self.guard(*part)).collect();
                guards.into_iter().min_by_key(|guard| self.crowd(guard))
            }
            Node::Any(parts) => {
                let mut joined = Vec::new();
                let all = parts.iter().all(|part| match self.guard(*part) {
                    Some(guard) => {
                        joined.extend(guard);
                        true
                    }
                    None => false,
                });
                all.then_some(joined)
            }
        };
        self.guards.insert(node, found.clone());
        found
    }

    /// How many stages wait for the guard's texts, and how many texts there are.
    fn crowd(&self, guard: &[Entry]) -> (u32, usize) {
        let popularity = guard
            .iter()
            .map(|entry| self.popularity.get(entry).copied().unwrap_or(0));
        (popularity.max().unwrap_or(0), guard.len())
    }
}

/// The texts of a test that is nothing but equality with texts.
fn entries(predicate: &Predicate) -> Option<Vec<Entry>> {
    let Predicate::Text(slot, case, set) = predicate else {
        return None;
    };
    let texts = set.exact_only()?;
    Some(texts.iter().map(|text| ((*slot, *case), text.clone())).collect())
}
