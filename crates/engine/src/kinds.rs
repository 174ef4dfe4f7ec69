//! Kinds of events: which groups of stages an event is for, found once for all events that are alike.
//!
//! The gates of groups ask what many rules ask: log source, category, provider, event code. Of a field that they read only
//! matters which of their tests its values pass, the *class* of the values, and few classes occur together. So the classes of
//! an event are looked up as one, and tell all groups that are open, instead of every gate being evaluated for every event.
//!
//! Where only few of those that wait for texts of a field are of open groups, texts of that field are looked at for these alone: a
//! *view*, which kinds share. A view that is often searched gets literals of its own. These are found in a long text as the record
//! writes it, too, so that the escapes of most such texts are never resolved.

use std::cell::OnceCell;
use std::sync::Arc;

use ahash::AHashMap;
use neph_event::{Row, Slot};
use smallvec::SmallVec;

use crate::choose::Groups;
use crate::literals::Literals;
use crate::memo::Habit;
use crate::nodes::{Node, NodeId, Nodes};
use crate::predicate::Predicate;
use crate::records::RecordLiterals;
use crate::scratch::Scratch;

/// So many kinds and classes are kept; more are forgotten as a whole. In tests few.
const KINDS: usize = if cfg!(test) { 4 } else { 512 };
const CLASSES: usize = 1 << 13;
/// For each waiter of a view so many texts are searched before it gets literals of its own: making them takes as long as many
/// searches do.
const WORTH_OWN: u32 = if cfg!(test) { 1 } else { 32 };
/// So many views get such literals; more are forgotten as well. It is some MiB where rules are thousands.
const SEARCHED: usize = if cfg!(test) { 8 } else { 256 };
/// So many views are kept, beside those of one kind: each is the numbers of its groups, twice. More are forgotten as well, since kinds that
/// have little in common may each have one for every field.
const VIEWS: usize = if cfg!(test) { 16 } else { 1 << 13 };

/// What gates read.
#[derive(Debug, Default)]
pub(crate) struct Gates {
    /// By slot the tests of texts in it; `None` where no gate reads it.
    tests: Vec<Option<Box<[NodeId]>>>,
    /// Tests of other values, which are cheap.
    others: Box<[NodeId]>,
    /// For each group whether kinds tell if it is open: not so where a gate looks at more than values one by one.
    told: Box<[bool]>,
}

/// What one thread knows of kinds.
#[derive(Debug, Default)]
pub(crate) struct Kinds {
    views: Vec<View>,
    /// By slot and open groups.
    known_views: AHashMap<(u32, Box<[u32]>), u32>,
    /// How many views have literals of their own.
    searched: usize,
    /// By slot and the tests that values pass.
    classes: AHashMap<(u32, SmallVec<[u64; 2]>), u32>,
    /// By the classes of an event.
    known: AHashMap<Box<[u32]>, u32>,
    kinds: Vec<Kind>,
    /// What is sought in the text of records, by the waiters: many kinds have the same.
    searches: AHashMap<Box<[u32]>, Arc<RecordLiterals>>,
    habit: Habit,
    signature: Vec<u32>,
}

/// Events that are alike.
#[derive(Debug)]
pub(crate) struct Kind {
    /// By group whether it is open, or may be.
    pub(crate) open: Box<[bool]>,
    /// By slot what open groups wait for in it.
    pub(crate) tables: Box<[Waits]>,
    /// What is sought in the text of records of this kind, by slot.
    pub(crate) records: Vec<(Slot, Arc<RecordLiterals>)>,
}

/// What is waited for in a slot.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waits {
    /// Whether for any value.
    pub(crate) values: bool,
    pub(crate) texts: Texts,
}

/// Whose texts are waited for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Texts {
    #[default]
    Nobodys,
    /// Those of the groups of a view.
    Of(u32),
    /// Those of all groups.
    All,
}

/// The groups that wait for a text in a slot and are open: the same for many kinds.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) groups: Box<[u32]>,
    /// After so many more texts they get literals of their own; `None` where it was seen to.
    left: Option<u32>,
    /// What they seek alone, made when many texts were searched.
    pub(crate) own: Option<Box<Own>>,
}

/// What the groups of a view seek.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) literals: Literals,
    /// The same as the texts of records show it, made when there is such a text.
    pub(crate) raw: OnceCell<RecordLiterals>,
}

impl Gates {
    pub(crate) fn new(groups: &Groups, nodes: &Nodes) -> Self {
        let mut tests: Vec<Option<Vec<NodeId>>> = Vec::new();
        let mut others = Vec::new();
        let mut told = Vec::with_capacity(groups.gates.len());
        for gates in &groups.gates {
            let mut is_told = true;
            let mut open: Vec<NodeId> = gates.to_vec();
            while let Some(node) = open.pop() {
                let predicate = match nodes.get(node) {
                    Some(Node::All(parts) | Node::Any(parts)) => {
                        open.extend_from_slice(parts);
                        continue;
                    }
                    Some(Node::Not(part)) => {
                        open.push(*part);
                        continue;
                    }
                    Some(Node::Const(_)) | None => continue,
                    Some(Node::Test(predicate)) => &**predicate,
                };
                let is_text = match predicate {
                    Predicate::Never => continue,
                    Predicate::Text(..) | Predicate::Regex(..) | Predicate::Words(..) => true,
                    Predicate::Exists(_) => false,
                    Predicate::Value(..) | Predicate::Compare(..) | Predicate::Network(..) => {
                        others.push(node);
                        continue;
                    }
                    Predicate::Lookup(..) | Predicate::Objects(_) | Predicate::Expression(_) => {
                        is_told = false;
                        continue;
                    }
                };
                for slot in predicate.slots() {
                    let place = slot.0 as usize;
                    if tests.len() <= place {
                        tests.resize_with(place + 1, || None);
                    }
                    if let Some(tests) = tests.get_mut(place) {
                        // That there is a value is told by the slot's having a class.
                        tests.get_or_insert_default().extend(is_text.then_some(node));
                    }
                }
            }
            told.push(is_told);
        }
        let unique = |mut nodes: Vec<NodeId>| -> Box<[NodeId]> {
            nodes.sort_unstable();
            nodes.dedup();
            nodes.into()
        };
        Self {
            tests: tests.into_iter().map(|tests| tests.map(unique)).collect(),
            others: unique(others),
            told: told.into(),
        }
    }

    /// Whether kinds tell if a group is open.
    #[inline]
    pub(crate) fn tell(&self, group: u32) -> bool {
        self.told.get(group as usize) == Some(&true)
    }
}

impl Kinds {
    /// Finds the kind of an event. `Err` where its kind is not known yet and is to be [added](Self::add); `None` where kinds
    /// differ from event to event, so that they are not looked for now.
    pub(crate) fn find(
        &mut self,
        gates: &Gates,
        nodes: &Nodes,
        row: &Row,
        scratch: &mut Scratch,
    ) -> Option<Result<u32, ()>> {
        if gates.told.len() < 2 || !self.habit.is_wanted() {
            return None;
        }
        let is_full = self.kinds.len() >= KINDS
            || self.classes.len() >= CLASSES
            || self.searched >= SEARCHED
            || self.views.len() >= VIEWS;
        if is_full {
            // Classes and views are numbered anew.
            scratch.forget_values();
            self.views.clear();
            self.known_views.clear();
            self.searched = 0;
            self.classes.clear();
            self.known.clear();
            self.kinds.clear();
            self.searches.clear();
        }
        self.signature.clear();
        for slot in row.present() {
            let Some(Some(tests)) = gates.tests.get(slot.0 as usize) else {
                continue;
            };
            let class = match scratch.class(row, slot) {
                Some(class) => class,
                None => {
                    let class = self.class_of(slot, tests, nodes, row, scratch);
                    scratch.remember_class(row, slot, class);
                    class
                }
            };
            self.signature.push(class);
        }
        for tests in gates.others.chunks(32) {
            let truth = |test: &NodeId, scratch: &mut Scratch| u32::from(nodes.holds(*test, row, scratch));
            let bits = tests
                .iter()
                .fold(0, |bits, test| bits << 1 | truth(test, scratch));
            self.signature.push(bits);
        }
        let known = self.known.get(self.signature.as_slice()).copied();
        self.habit.tell(known.is_some());
        Some(known.ok_or(()))
    }

    /// The class of a slot's values.
    fn class_of(
        &mut self,
        slot: Slot,
        tests: &[NodeId],
        nodes: &Nodes,
        row: &Row,
        scratch: &mut Scratch,
    ) -> u32 {
        let mut passed: SmallVec<[u64; 2]> = SmallVec::new();
        for tests in tests.chunks(64) {
            let mut bits = 0;
            for test in tests {
                let passes = match nodes.get(*test) {
                    Some(Node::Test(predicate)) => predicate.holds_in(slot, row, scratch),
                    _ => false,
                };
                bits = bits << 1 | u64::from(passes);
            }
            passed.push(bits);
        }
        let next = u32::try_from(self.classes.len()).unwrap_or(u32::MAX);
        *self.classes.entry((slot.0, passed)).or_insert(next)
    }

    /// The number of the view of these groups of a slot, which have so many waiters.
    pub(crate) fn view_of(&mut self, slot: u32, groups: Box<[u32]>, waiters: u32) -> u32 {
        let next = u32::try_from(self.views.len()).unwrap_or(u32::MAX);
        *self
            .known_views
            .entry((slot, groups))
            .or_insert_with_key(|(_, groups)| {
                self.views.push(View {
                    groups: groups.clone(),
                    left: Some(WORTH_OWN.saturating_mul(waiters)),
                    own: None,
                });
                next
            })
    }

    #[inline]
    pub(crate) fn view(&self, number: u32) -> Option<&View> {
        self.views.get(number as usize)
    }

    /// Whether some view has literals of its own, also for texts as records show them.
    #[cfg(test)]
    pub(crate) fn has_own_literals(&self) -> bool {
        let mut own = self.views.iter().filter_map(|view| view.own.as_ref());
        own.any(|own| own.raw.get().is_some())
    }

    /// The view, to give it literals of its own, if it is worth it by now.
    #[inline]
    pub(crate) fn view_without_own(&mut self, number: u32) -> Option<&mut View> {
        let view = self.views.get_mut(number as usize)?;
        let left = view.left?;
        view.left = left.checked_sub(1);
        if view.left.is_some() {
            return None;
        }
        self.searched += 1;
        Some(view)
    }

    /// Adds the kind of the event that was looked for last.
    pub(crate) fn add(&mut self, kind: Kind) -> u32 {
        let number = u32::try_from(self.kinds.len()).unwrap_or(u32::MAX);
        self.known.insert(self.signature.as_slice().into(), number);
        self.kinds.push(kind);
        number
    }

    #[inline]
    pub(crate) fn get(&self, number: u32) -> Option<&Kind> {
        self.kinds.get(number as usize)
    }

    /// What is sought in the text of records of a kind for what waits in a slot, if that is known.
    pub(crate) fn search(&self, kind: u32, slot: Slot) -> Option<Arc<RecordLiterals>> {
        let mut known = self.get(kind)?.records.iter();
        known
            .find(|(of, _)| *of == slot)
            .map(|(_, search)| Arc::clone(search))
    }

    /// Keeps it, made for these waiters unless it is there for another kind.
    pub(crate) fn keep_search(
        &mut self,
        kind: u32,
        slot: Slot,
        waiters: Box<[u32]>,
        make: impl FnOnce(&[u32]) -> RecordLiterals,
    ) -> Arc<RecordLiterals> {
        let search = self.searches.entry(waiters);
        let search = search.or_insert_with_key(|waiters| Arc::new(make(waiters)));
        if let Some(kind) = self.kinds.get_mut(kind as usize) {
            kind.records.push((slot, Arc::clone(search)));
        }
        Arc::clone(search)
    }
}
