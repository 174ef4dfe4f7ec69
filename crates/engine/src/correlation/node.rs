//! One correlation of the tree: its groups, and the nodes whose matches are its candidates.

use std::collections::BTreeSet;
use std::sync::Arc;

use ahash::AHashMap;
use neph_event::{Instant, Value};
use neph_plan::{Asked, Candidates, Correlation};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::StepMatch;
use crate::candidate::{BEGINNING, END, JoinKey, compare_keys, earlier_by, key_bytes, table_bytes};

use crate::state::KeptHasher;

use super::candidate::{Candidate, Found, compare, number_of};
use super::{count, together};

/// One correlation.
#[derive(Debug)]
pub(crate) struct Node {
    /// Number of values that make a group, and of those that are counted behind them.
    group: usize,
    counted: usize,
    timespan: u64,
    question: Question,
    /// The nodes whose matches are candidates, with the index of the source.
    children: Vec<(u16, Node)>,
    groups: AHashMap<JoinKey, Group>,
    /// When groups have something to do.
    due: BTreeSet<(Instant, JoinKey)>,
    frontier: Instant,
    hasher: KeptHasher,
    /// Bytes of groups and their keys.
    held_bytes: usize,
}

#[derive(Debug)]
enum Question {
    Number(count::Question),
    Together(together::Question),
}

#[derive(Debug, Deserialize, Serialize)]
struct Group {
    /// Candidates that are not settled, in no order.
    pending: Vec<Candidate>,
    #[serde(skip)]
    pending_bytes: usize,
    state: State,
    /// The entry in [`Node::due`].
    wake: Instant,
}

#[derive(Debug, Deserialize, Serialize)]
enum State {
    Number(count::Counting),
    Together(together::Gathering),
}

/// The state of a node as it is written; the tree itself is made of the plan.
#[derive(Serialize)]
pub(crate) struct Written<'n>(&'n KeptHasher, &'n AHashMap<JoinKey, Group>, Instant);

/// The same as it is read.
#[derive(Deserialize)]
pub(crate) struct Read(KeptHasher, AHashMap<JoinKey, Group>, Instant);

impl Node {
    /// The state of the node, then that of those below it.
    pub(crate) fn written<'n>(&'n self, nodes: &mut Vec<Written<'n>>) {
        nodes.push(Written(&self.hasher, &self.groups, self.frontier));
        for (_, child) in &self.children {
            child.written(nodes);
        }
    }

    /// Whether what was read is the state of this node, and then of those below it.
    pub(crate) fn fits<'n>(&self, nodes: &mut impl Iterator<Item = &'n Read>) -> bool {
        let asks = |group: &Group| {
            matches!(
                (&group.state, &self.question),
                (State::Number(_), Question::Number(_)) | (State::Together(_), Question::Together(_))
            )
        };
        nodes
            .next()
            .is_some_and(|Read(_, groups, _)| groups.values().all(asks))
            && self.children.iter().all(|(_, child)| child.fits(nodes))
    }

    /// Takes over the state of the node and of those below it, which [fits](Self::fits), in place of what they hold.
    pub(crate) fn restore(&mut self, nodes: &mut impl Iterator<Item = Read>) {
        let Some(read) = nodes.next() else { return };
        Read(self.hasher, self.groups, self.frontier) = read;
        self.due.clear();
        self.held_bytes = 0;
        for (key, group) in &mut self.groups {
            match &mut group.state {
                State::Number(state) => state.restored(),
                State::Together(state) => state.restored(),
            }
            group.pending_bytes = group.pending.iter().map(Candidate::heap_bytes).sum();
            self.held_bytes += key_bytes(key) + group.bytes();
            self.due.insert((group.wake, Arc::clone(key)));
        }
        for (_, child) in &mut self.children {
            child.restore(nodes);
        }
    }

    /// The node of a correlation. `path` leads to it from the root; those to its events are added to `paths`.
    pub(crate) fn new(query: &Correlation, path: &mut Vec<u16>, paths: &mut Vec<Vec<u16>>) -> Self {
        let mut children = Vec::new();
        for (source, index) in query.sources.iter().zip(0_u16..) {
            path.push(index);
            match &source.candidates {
                Candidates::Events(_) => paths.push(path.clone()),
                Candidates::Matches(inner) => children.push((index, Self::new(inner, path, paths))),
            }
            path.pop();
        }
        let question = match &query.asked {
            Asked::Number { measure, bounds, .. } => Question::Number(count::Question {
                measure: *measure,
                bounds: bounds.clone(),
                is_rising: query.asked.is_rising(),
            }),
            Asked::Together {
                alternatives,
                ordered,
            } => Question::Together(together::Question {
                alternatives: alternatives.clone(),
                ordered: *ordered,
                sources: query.sources.len(),
            }),
        };
        Self {
            group: query.group.len(),
            counted: query.width() - query.group.len(),
            timespan: query.timespan,
            question,
            children,
            groups: AHashMap::new(),
            due: BTreeSet::new(),
            frontier: BEGINNING,
            // Hashes are compared across nodes nowhere, and results never depend on them.
            hasher: KeptHasher::default(),
            held_bytes: 0,
        }
    }

    /// Takes an event of the source that the path leads to.
    pub(crate) fn push(&mut self, path: &[u16], time: Instant, identity: u64, step: &StepMatch) {
        match path {
            [source] => {
                let keys = step.keys();
                let (keys, outer) = keys.split_at(keys.len().min(self.group + self.counted));
                let candidate = Candidate {
                    time,
                    position: step.position(),
                    source: *source,
                    identity,
                    keys: None,
                    values: SmallVec::new(),
                    numbers: step.counted.iter().filter_map(number_of).collect(),
                    events: SmallVec::from_iter([(step.step, Arc::clone(step.event()))]),
                    outer: SmallVec::from_iter(own_key(outer)),
                };
                self.take(keys, candidate);
            }
            [source, rest @ ..] => {
                if let Some((_, child)) = self.children.iter_mut().find(|(index, _)| index == source) {
                    child.push(rest, time, identity, step);
                }
            }
            [] => {}
        }
    }

    /// Takes a candidate with the values of its group and, behind them, those that are counted.
    fn take(&mut self, keys: &[Option<Value>], mut candidate: Candidate) {
        let (group, counted) = keys.split_at(keys.len().min(self.group));
        if self.counted > 0 && counted.iter().all(Option::is_some) {
            candidate.values.push(self.hasher.hash_one(counted));
        }
        let key = match self.groups.get_key_value(group) {
            Some((key, _)) => Arc::clone(key),
            None => {
                let key: JoinKey = group.into();
                self.held_bytes += key_bytes(&key);
                self.due.insert((candidate.time, Arc::clone(&key)));
                self.groups.insert(
                    Arc::clone(&key),
                    Group {
                        pending: Vec::new(),
                        pending_bytes: 0,
                        state: match &self.question {
                            Question::Number(_) => State::Number(count::Counting::default()),
                            Question::Together(_) => State::Together(together::Gathering::default()),
                        },
                        wake: candidate.time,
                    },
                );
                key
            }
        };
        let Some(group) = self.groups.get_mut(&key) else {
            return;
        };
        if candidate.time < group.wake {
            self.due.remove(&(group.wake, Arc::clone(&key)));
            group.wake = candidate.time;
            self.due.insert((group.wake, key));
        }
        self.held_bytes -= group.bytes();
        group.pending_bytes += candidate.heap_bytes();
        group.pending.push(candidate);
        self.held_bytes += group.bytes();
    }

    /// Takes a match of the node below.
    fn take_match(&mut self, source: u16, found: Found) {
        let width = self.group + self.counted;
        for outer in &found.outer {
            let (keys, rest) = outer.split_at(outer.len().min(width));
            if keys.iter().take(self.group).any(Option::is_none) {
                continue;
            }
            let candidate = Candidate {
                time: found.last.time,
                position: found.last.position,
                source,
                identity: self.hasher.hash_one((source, &found.keys)),
                keys: Some(Arc::clone(&found.keys)),
                values: SmallVec::new(),
                numbers: SmallVec::new(),
                events: found.events.iter().cloned().collect(),
                outer: SmallVec::from_iter(own_key(rest)),
            };
            self.take(keys, candidate);
        }
    }

    /// Evaluates what is before `frontier`; at its end everything. Returns the time up to which everything has been found.
    pub(crate) fn settle(
        &mut self,
        frontier: Instant,
        duplicates: &mut u64,
        found: &mut Vec<Found>,
    ) -> Instant {
        let mut reached = frontier;
        let mut children = std::mem::take(&mut self.children);
        for (source, child) in &mut children {
            let mut below = Vec::new();
            reached = reached.min(child.settle(frontier, duplicates, &mut below));
            for found in below {
                self.take_match(*source, found);
            }
        }
        self.children = children;
        self.frontier = self.frontier.max(reached);
        let is_end = self.frontier == END;
        let start = found.len();
        while let Some((wake, _)) = self.due.first()
            && (*wake < self.frontier || is_end)
            && let Some((_, key)) = self.due.pop_first()
        {
            self.settle_group(&key, duplicates, found);
        }
        if is_end || self.groups.capacity() > 64 + 8 * self.groups.len() {
            self.groups.shrink_to_fit();
        }
        if let Some(new) = found.get_mut(start..) {
            new.sort_by(|a, b| a.last.cmp(&b.last).then_with(|| compare_keys(&a.keys, &b.keys)));
        }
        let waits = match &self.question {
            Question::Number(question) => !question.is_rising,
            Question::Together(question) => question.alternatives.iter().any(|one| !one.absent.is_empty()),
        };
        match waits && !is_end {
            true => earlier_by(self.frontier, self.timespan),
            false => self.frontier,
        }
    }

    fn settle_group(&mut self, key: &JoinKey, duplicates: &mut u64, found: &mut Vec<Found>) {
        let Some(group) = self.groups.get_mut(key) else {
            return;
        };
        self.held_bytes -= group.bytes();
        for batch in group.due_batches(self.frontier, &self.question, duplicates) {
            match (&mut group.state, &self.question) {
                (State::Number(state), Question::Number(question)) => {
                    state.feed(question, self.timespan, batch, key, found);
                }
                (State::Together(state), Question::Together(question)) => {
                    state.feed(question, self.timespan, batch, key, found);
                }
                _ => {}
            }
        }
        let is_end = self.frontier == END;
        match (&mut group.state, &self.question) {
            (State::Number(state), Question::Number(question)) => {
                state.pass(question, self.timespan, self.frontier, is_end, key, found);
            }
            (State::Together(state), _) => state.pass(self.timespan, self.frontier, is_end, found),
            _ => {}
        }
        match group.next_change(&self.question, self.timespan) {
            Some(wake) if !is_end => {
                group.wake = wake;
                self.due.insert((wake, Arc::clone(key)));
                self.held_bytes += group.bytes();
            }
            _ => {
                self.held_bytes -= key_bytes(key);
                self.groups.remove(key);
            }
        }
    }

    /// When the newest candidate of each group came.
    pub(crate) fn newest_of_groups(&self, newest: &mut Vec<Instant>) {
        newest.extend(self.groups.values().map(Group::newest));
        for (_, child) in &self.children {
            child.newest_of_groups(newest);
        }
    }

    /// Gives up groups without a candidate after `cut`; says how many candidates they held.
    pub(crate) fn evict(&mut self, cut: Instant) -> u64 {
        let mut evicted = 0;
        let held_bytes = &mut self.held_bytes;
        self.groups.retain(|key, group| {
            let stays = group.newest() > cut;
            if !stays {
                evicted += group.len() as u64;
                *held_bytes -= key_bytes(key) + group.bytes();
            }
            stays
        });
        self.groups.shrink_to_fit();
        let groups = &self.groups;
        self.due.retain(|(_, key)| groups.contains_key(key));
        for (_, child) in &mut self.children {
            evicted += child.evict(cut);
        }
        evicted
    }

    pub(crate) fn groups(&self) -> usize {
        self.groups.len()
            + self
                .children
                .iter()
                .map(|(_, child)| child.groups())
                .sum::<usize>()
    }

    pub(crate) fn bytes(&self) -> usize {
        // Nodes of the set are at least half full.
        self.held_bytes
            + table_bytes(self.groups.capacity(), size_of::<(JoinKey, Group)>())
            + 2 * self.due.len() * size_of::<(Instant, JoinKey)>()
            + self
                .children
                .iter()
                .map(|(_, child)| child.bytes())
                .sum::<usize>()
    }
}

/// What is left for the correlations above; nothing where there are none.
fn own_key(values: &[Option<Value>]) -> Option<JoinKey> {
    (!values.is_empty()).then(|| values.into())
}

impl Group {
    /// The candidates before `frontier`, those of one time together, each once, in order.
    fn due_batches(
        &mut self,
        frontier: Instant,
        question: &Question,
        duplicates: &mut u64,
    ) -> Vec<Vec<Candidate>> {
        let is_end = frontier == END;
        let mut due: Vec<Candidate> = self
            .pending
            .extract_if(.., |candidate| candidate.time < frontier || is_end)
            .collect();
        self.pending_bytes = self.pending.iter().map(Candidate::heap_bytes).sum();
        if self.pending.capacity() > 4 * self.pending.len() {
            self.pending.shrink_to(2 * self.pending.len());
        }
        due.sort_by(compare);
        let mut batches: Vec<Vec<Candidate>> = Vec::new();
        let mut known: AHashMap<(u64, u16), usize> = AHashMap::new();
        for candidate in due {
            if batches
                .last()
                .and_then(|batch| batch.first())
                .is_none_or(|first| first.time != candidate.time)
            {
                batches.push(Vec::new());
                known.clear();
            }
            let Some(batch) = batches.last_mut() else {
                continue;
            };
            // An event that several sources have counts once, where it is counted.
            let source = match question {
                Question::Number(_) => 0,
                Question::Together(_) => candidate.source,
            };
            match known.get(&(candidate.identity, source)) {
                Some(place) => {
                    *duplicates += 1;
                    if let Some(same) = batch.get_mut(*place) {
                        same.merge(candidate);
                    }
                }
                None => {
                    known.insert((candidate.identity, source), batch.len());
                    batch.push(candidate);
                }
            }
        }
        batches
    }

    fn next_change(&self, question: &Question, timespan: u64) -> Option<Instant> {
        let pending = self.pending.iter().map(|candidate| candidate.time).min();
        let state = match (&self.state, question) {
            (State::Number(state), Question::Number(question)) if !state.is_empty() => {
                state.next_change(question, timespan)
            }
            (State::Together(state), _) if !state.is_empty() => state.next_change(timespan),
            _ => None,
        };
        pending.into_iter().chain(state).min()
    }

    fn newest(&self) -> Instant {
        let pending = self.pending.iter().map(|candidate| candidate.time).max();
        let state = match &self.state {
            State::Number(state) => state.newest(),
            State::Together(state) => state.newest(),
        };
        pending.max(state).unwrap_or(BEGINNING)
    }

    fn len(&self) -> usize {
        self.pending.len()
            + match &self.state {
                State::Number(state) => state.len(),
                State::Together(state) => state.len(),
            }
    }

    fn bytes(&self) -> usize {
        self.pending.capacity() * size_of::<Candidate>()
            + self.pending_bytes
            + match &self.state {
                State::Number(state) => state.heap_bytes(),
                State::Together(state) => state.heap_bytes(),
            }
    }
}
