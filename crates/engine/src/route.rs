//! Which conditions an event must be held against: routing by what they need.
//!
//! Most conditions can hold only where some field equals one of a few texts, or holds one of a few
//! (`event.category == "process"`, `process.name : ("curl", "wget")`, `process.command_line : "*169.254.169.254*"`).
//! Such a set is a *guard*. Each stage is filed under one of its guards, and an event wakes only the stages filed under
//! texts that it has. Of several possible guards the one is chosen that the fewest stages share, so that a stage is
//! woken rarely however many rules there are.

use std::collections::BTreeMap;

use ahash::AHashMap;
use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError};
use neph_event::{Row, Slot};
use neph_plan::Case;

use crate::nodes::{Node, NodeId, NodesBuilder};
use crate::predicate::Predicate;
use crate::scratch::Scratch;
use crate::text::Necessity;

/// Searching a field for the texts of all rules costs more than one look-up; it must spare the event this many stages.
const WORTH_SEARCHING: u32 = 16;

/// Up to so many bytes of text the search is a table, which is fast and takes some 200 bytes for each of them; beyond, it
/// is compact.
const TABLE_LIMIT: usize = 50_000;

/// The stages by their guards. Stages are numbers that the program gives.
#[derive(Debug, Default)]
pub(crate) struct Router {
    /// Stages without a guard.
    always: Vec<u32>,
    tables: Vec<Table>,
}

/// What stages wait for in one field.
#[derive(Debug)]
struct Table {
    slot: Slot,
    case: Case,
    /// Stages that wait for a value equal to the text.
    equal: AHashMap<Box<str>, Vec<u32>>,
    /// Stages that wait for a value that holds one of the automaton's texts, by the text's number.
    held: Option<(AhoCorasick, Vec<Vec<u32>>)>,
}

/// A field under one case.
type Lookup = (Slot, Case);

/// One thing that a guard waits for.
type Entry = (Lookup, Necessity);

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
        // Sorted by field, then by necessity.
        let mut filed: BTreeMap<Lookup, BTreeMap<Necessity, Vec<u32>>> = BTreeMap::new();
        for (stage, condition) in (0_u32..).zip(conditions) {
            match finder.guard(*condition) {
                None => router.always.push(stage),
                Some(guard) => {
                    for (lookup, necessity) in guard {
                        filed
                            .entry(lookup)
                            .or_default()
                            .entry(necessity)
                            .or_default()
                            .push(stage);
                    }
                }
            }
        }
        for ((slot, case), waiting) in filed {
            router
                .tables
                .push(Table::new(slot, case, waiting, &mut router.always));
        }
        router.always.sort_unstable();
        router.always.dedup();
        router
    }

    /// The stages without a guard.
    pub(crate) fn always(&self) -> &[u32] {
        &self.always
    }

    /// Calls `wake` with every stage that the row may satisfy; with some of them more than once.
    pub(crate) fn route(&self, row: &Row, scratch: &mut Scratch, mut wake: impl FnMut(u32)) {
        self.always.iter().copied().for_each(&mut wake);
        for table in &self.tables {
            scratch.any_text(row, table.slot, table.case, |text| {
                if let Some(stages) = table.equal.get(text) {
                    stages.iter().copied().for_each(&mut wake);
                }
                if let Some((automaton, stages)) = &table.held {
                    for found in automaton.find_overlapping_iter(text) {
                        stages
                            .get(found.pattern().as_usize())
                            .into_iter()
                            .flatten()
                            .copied()
                            .for_each(&mut wake);
                    }
                }
                false
            });
        }
    }
}

impl Table {
    /// Stages that cannot be filed go to `always`.
    fn new(slot: Slot, case: Case, waiting: BTreeMap<Necessity, Vec<u32>>, always: &mut Vec<u32>) -> Self {
        let mut table = Self {
            slot,
            case,
            equal: AHashMap::new(),
            held: None,
        };
        let (mut texts, mut stages) = (Vec::new(), Vec::new());
        for (necessity, waiting_stages) in waiting {
            match necessity {
                Necessity::Equal(text) => {
                    table.equal.insert(text, waiting_stages);
                }
                Necessity::Hold(text) => {
                    texts.push(text);
                    stages.push(waiting_stages);
                }
            }
        }
        if !texts.is_empty() {
            match search_for(&texts) {
                Ok(automaton) => table.held = Some((automaton, stages)),
                Err(_) => always.extend(stages.into_iter().flatten()),
            }
        }
        table
    }
}

fn search_for(texts: &[Box<str>]) -> Result<AhoCorasick, BuildError> {
    let bytes: usize = texts.iter().map(|text| text.len()).sum();
    let kind = if bytes <= TABLE_LIMIT {
        AhoCorasickKind::DFA
    } else {
        AhoCorasickKind::ContiguousNFA
    };
    AhoCorasick::builder()
        .kind(Some(kind))
        .build(texts.iter().map(|text| text.as_bytes()))
}

struct Finder<'a> {
    nodes: &'a NodesBuilder,
    /// How many stages could wait for each thing.
    popularity: AHashMap<Entry, u32>,
    /// Guards already found, of nodes that several stages share.
    guards: AHashMap<NodeId, Option<Vec<Entry>>>,
}

impl Finder<'_> {
    /// Counts what a stage could be filed under.
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

    /// Things of which the row must have one for the node to hold; `None` where there are no such.
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

    /// How many stages a guard is shared with at worst, and how many things it waits for.
    fn crowd(&self, guard: &[Entry]) -> (u32, usize) {
        let shares = guard.iter().map(|entry| {
            let stages = self.popularity.get(entry).copied().unwrap_or(0);
            match entry.1 {
                Necessity::Equal(_) => stages,
                Necessity::Hold(_) => stages.saturating_add(WORTH_SEARCHING),
            }
        });
        (shares.max().unwrap_or(0), guard.len())
    }
}

/// What the row needs for a test to hold.
fn entries(predicate: &Predicate) -> Option<Vec<Entry>> {
    match predicate {
        Predicate::Never => Some(Vec::new()),
        Predicate::Text(slot, case, set) => {
            let necessities = set.necessities()?;
            Some(
                necessities
                    .into_iter()
                    .map(|necessity| ((*slot, *case), necessity))
                    .collect(),
            )
        }
        _ => None,
    }
}
