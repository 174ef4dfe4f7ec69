//! What a condition is filed under: which of the tests that it needs it waits for.
//!
//! Most conditions can hold only where one of a few tests does. Such a set of tests is a *guard*; an "and" may take any
//! guard of its parts, an "or" needs one of each. Of several the one is chosen that lets the fewest events through, by what
//! was measured where something was, and else by a guess.

use ahash::AHashMap;
use neph_event::Slot;
use smallvec::SmallVec;

use crate::literals::Anchor;
use crate::nodes::{Node, NodeId, Nodes};
use crate::predicate::Predicate;
use crate::text::{TextSet, is_telling};

/// Parts of so many conditions' outermost "and" are evaluated before the conditions are looked at.
const SHARED: u32 = 12;
/// So many of them for each condition.
const GATES: usize = 4;
/// So many events a guess counts for beside what was measured.
const TRUST: f32 = 8.0;

/// Stages that have the same *gates*: conditions that many rules have in common, such as that of a log source. They are
/// evaluated once for all of them, and only where one of the stages would be looked at.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    /// The gates of each group.
    pub(crate) gates: Vec<Box<[NodeId]>>,
    /// The group of each stage.
    pub(crate) of: Vec<u32>,
    /// For each stage whether it reads slots that are filled apart.
    pub(crate) reads_apart: Vec<bool>,
}

impl Groups {
    /// The groups of stages, given as the nodes of their conditions. Gates read none of the slots `apart`.
    pub(crate) fn new(conditions: &[NodeId], nodes: &Nodes, apart: &[Slot]) -> Self {
        let apart = nodes.reading(apart);
        let is_apart = |node: &NodeId| apart.get(node.0 as usize) == Some(&true);
        let mut shares: AHashMap<NodeId, u32> = AHashMap::new();
        for condition in conditions {
            for part in outermost(nodes, *condition) {
                *shares.entry(*part).or_default() += 1;
            }
        }
        let mut groups = Self::default();
        let mut known: AHashMap<Box<[NodeId]>, u32> = AHashMap::new();
        for condition in conditions {
            let share = |part: &NodeId| shares.get(part).copied().unwrap_or(0);
            // What reads slots that are filled apart needs gates, shared or not, so that they are not filled for every event.
            let enough = if is_apart(condition) { 1 } else { SHARED };
            let mut gates: Vec<NodeId> = outermost(nodes, *condition)
                .iter()
                .filter(|part| share(part) >= enough && !is_apart(part))
                .copied()
                .collect();
            gates.sort_by_key(|part| (std::cmp::Reverse(share(part)), *part));
            gates.truncate(GATES);
            let next = u32::try_from(groups.gates.len()).unwrap_or(u32::MAX);
            let group = *known.entry(gates.into()).or_insert_with_key(|gates| {
                groups.gates.push(gates.clone());
                next
            });
            groups.of.push(group);
            groups.reads_apart.push(is_apart(condition));
        }
        groups
    }
}

fn outermost(nodes: &Nodes, condition: NodeId) -> &[NodeId] {
    match nodes.get(condition) {
        Some(Node::All(parts)) => parts,
        _ => &[],
    }
}

/// How often tests held where the gates of a group did, by test and group.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    pub(crate) hits: AHashMap<(NodeId, u32), u32>,
    pub(crate) events: u32,
}

/// Tests of which one holds where a condition does.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    pub(crate) tests: SmallVec<[NodeId; 2]>,
    /// How many events of one it lets through, roughly.
    rate: f32,
}

/// For each condition all tests that a guard of it may be made of.
pub(crate) fn guarding(conditions: &[NodeId], nodes: &Nodes) -> Vec<Vec<NodeId>> {
    // By node the last condition that it was seen in, counted from one.
    let mut seen = vec![0_u32; nodes.len()];
    let mut open = Vec::new();
    let tests = (1..).zip(conditions).map(|(number, condition)| {
        let mut tests = Vec::new();
        open.push(*condition);
        while let Some(node) = open.pop() {
            let last = seen.get_mut(node.0 as usize);
            if last.is_none_or(|last| std::mem::replace(last, number) == number) {
                continue;
            }
            match nodes.get(node) {
                Some(Node::All(parts) | Node::Any(parts)) => open.extend_from_slice(parts),
                Some(Node::Test(predicate)) if need(predicate).is_some() => tests.push(node),
                _ => {}
            }
        }
        tests
    });
    tests.collect()
}

/// Chooses guards.
pub(crate) struct Chooser<'a> {
    nodes: &'a Nodes,
    rates: &'a Rates,
    /// By node, how many conditions have it somewhere as a test.
    popularity: Vec<u32>,
    known: AHashMap<(NodeId, u32), Option<Guard>>,
}

impl<'a> Chooser<'a> {
    /// `tests` are those of all conditions ([`guarding`]).
    pub(crate) fn new(nodes: &'a Nodes, rates: &'a Rates, tests: &[Vec<NodeId>]) -> Self {
        let mut popularity = vec![0; nodes.len()];
        for test in tests.iter().flatten() {
            if let Some(conditions) = popularity.get_mut(test.0 as usize) {
                *conditions += 1;
            }
        }
        Self {
            nodes,
            rates,
            popularity,
            known: AHashMap::new(),
        }
    }

    /// The guard of a condition of a group; `None` where nothing guards it.
    pub(crate) fn guard(&mut self, node: NodeId, group: u32) -> Option<Guard> {
        if let Some(known) = self.known.get(&(node, group)) {
            return known.clone();
        }
        let found = match self.nodes.get(node)? {
            Node::Const(false) => Some(Guard {
                tests: SmallVec::new(),
                rate: 0.0,
            }),
            Node::Const(true) | Node::Not(_) => None,
            Node::Test(predicate) => need(predicate).map(|need| match need {
                Need::Nothing => Guard {
                    tests: SmallVec::new(),
                    rate: 0.0,
                },
                need => Guard {
                    tests: SmallVec::from_slice(&[node]),
                    rate: self.rate(node, group, need),
                },
            }),
            Node::All(parts) => {
                let guards = parts.iter().filter_map(|part| self.guard(*part, group));
                guards.min_by(|a, b| {
                    let order = a.rate.total_cmp(&b.rate);
                    order.then_with(|| a.tests.len().cmp(&b.tests.len()))
                })
            }
            Node::Any(parts) => {
                let mut joined = Guard {
                    tests: SmallVec::new(),
                    rate: 0.0,
                };
                let all = parts.iter().all(|part| match self.guard(*part, group) {
                    Some(guard) => {
                        joined.tests.extend(guard.tests);
                        joined.rate += guard.rate;
                        true
                    }
                    None => false,
                });
                all.then_some(joined)
            }
        };
        self.known.insert((node, group), found.clone());
        found
    }

    fn rate(&self, test: NodeId, group: u32, need: Need<'_>) -> f32 {
        let guess = match need {
            Need::Nothing => 0.0,
            Need::Value => 0.3,
            Need::Text(sought) => {
                let literals =
                    sought
                        .necessities()
                        .into_iter()
                        .map(|(text, anchor)| match (anchor, text.len()) {
                            (Anchor::Inside, ..=3) => 0.02,
                            (Anchor::Inside, 4..=6) => 0.006,
                            (Anchor::Inside, _) => 0.002,
                            _ => 0.004,
                        });
                let sum: f32 = literals.sum();
                sum.min(0.5)
            }
        };
        // What many rules look for is what many events have, such as the name of a shell.
        let popularity = self.popularity.get(test.0 as usize).copied().unwrap_or(0);
        let guess = guess + 0.000_5 * f32::from(u16::try_from(popularity).unwrap_or(u16::MAX));
        let hits = self.rates.hits.get(&(test, group)).copied().unwrap_or(0);
        (count(hits) + TRUST * guess) / (count(self.rates.events) + TRUST)
    }
}

fn count(number: u32) -> f32 {
    f32::from(u16::try_from(number).unwrap_or(u16::MAX))
}

/// What the row must have for a test to hold.
pub(crate) enum Need<'a> {
    /// The test never holds.
    Nothing,
    /// One of some texts.
    Text(Sought<'a>),
    /// A value.
    Value,
}

/// Where a test of texts finds what it needs.
#[derive(Clone, Copy)]
pub(crate) enum Sought<'a> {
    /// What a text must have that is in the set.
    Set(&'a TextSet),
    /// One of these anywhere.
    Texts(&'a [Box<str>]),
}

impl<'a> Sought<'a> {
    /// Of these a text has at least one where the test holds.
    pub(crate) fn necessities(self) -> Vec<(&'a str, Anchor)> {
        match self {
            Self::Set(set) => set.necessities().collect(),
            Self::Texts(texts) => texts.iter().map(|text| (&**text, Anchor::Inside)).collect(),
        }
    }

    /// The same without anchors, each with what else the text must have then.
    pub(crate) fn necessities_of_whole_texts(self) -> Vec<(&'a str, Vec<&'a str>)> {
        match self {
            Self::Set(set) => set.necessities_of_whole_texts().collect(),
            Self::Texts(texts) => texts.iter().map(|text| (&**text, Vec::new())).collect(),
        }
    }
}

/// What a test needs in one of its [slots](Predicate::slots); `None` where it may hold without any.
pub(crate) fn need(predicate: &Predicate) -> Option<Need<'_>> {
    match predicate {
        Predicate::Never => Some(Need::Nothing),
        Predicate::Text(_, set) if set.is_telling() => Some(Need::Text(Sought::Set(set))),
        Predicate::Regex(_, regex) => Some(match regex.necessities() {
            Some(texts) if is_telling(texts) => Need::Text(Sought::Texts(texts)),
            _ => Need::Value,
        }),
        Predicate::Exists(_)
        | Predicate::Text(..)
        | Predicate::Value(..)
        | Predicate::Compare(..)
        | Predicate::Network(..)
        | Predicate::Words(..) => Some(Need::Value),
        Predicate::Lookup(..) | Predicate::Objects(_) | Predicate::Expression(_) => None,
    }
}
