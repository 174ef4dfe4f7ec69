//! Which conditions an event must be held against: routing by what they need.
//!
//! Each stage waits for the tests of its guard (see [`crate::choose`]), filed under the fields that they read and, for texts,
//! under literals that a text must have. An event's texts are searched for the literals of all rules at once, and only stages
//! whose guard it may satisfy, and whose group's gates it does, are woken. So a stage is woken rarely however many rules there
//! are.
//!
//! Which guard lets the fewest events through is measured: the first router also counts what else it could have waited for,
//! and when it has seen enough events another one is made by these counts. What is found does not depend on it.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use ahash::AHashMap;
use neph_event::{Row, Slot};
use neph_plan::Case;

use crate::choose::{Chooser, Groups, Need, Rates, guarding, need};
use crate::kinds::{Gates, Kind, Kinds, Own, Texts, Waits};
use crate::literals::{Anchor, Commonness, Literals};
use crate::memo::About;
use crate::nodes::{Node, NodeId, Nodes};
use crate::records::RecordLiterals;
use crate::scratch::Scratch;
use crate::text::{fold, fold_into};

/// So many events are measured.
const MEASURED: u32 = 1_024;
/// Fewer stages are not worth measuring for.
const WORTH_MEASURING: usize = 32;
/// Where so few groups wait for something in a field, their gates are asked before it is searched.
const FEW_GROUPS: usize = 24;
/// Where fewer than one in so many waiters of a slot may be satisfied by events of a kind, these are sought by themselves.
const MOST: usize = 4;
/// Short texts are searched without asking anything first.
const LONG: usize = 64;
/// The escapes of shorter texts are resolved without looking at these as they stand in the record first.
const LONG_RAW: usize = 200;

/// The routers of a program.
#[derive(Debug, Default)]
pub(crate) struct Routing {
    conditions: Vec<NodeId>,
    groups: Groups,
    gates: Gates,
    /// Slots that are filled only where they are needed.
    apart: Box<[Slot]>,
    first: Router,
    measured: OnceLock<Router>,
}

/// The stages by their guards. Stages are numbers that the program gives.
#[derive(Debug, Default)]
struct Router {
    /// Stages without a guard, with their groups.
    always: Vec<Wake>,
    /// By slot.
    tables: Vec<Table>,
    /// By the tests that are waited for: a range of `wakes`.
    waiters: Vec<(NodeId, u32, u32)>,
    wakes: Vec<Wake>,
    counts: bool,
}

/// Stages of a group.
#[derive(Debug)]
struct Wake {
    group: u32,
    stages: Box<[u32]>,
}

/// What is waited for in one slot.
#[derive(Debug, Default)]
struct Table {
    /// Waiters for any value.
    values: Vec<u32>,
    /// Waiters for a text that a set of theirs may have.
    texts: Vec<u32>,
    /// The groups of these.
    groups: Box<[u32]>,
    sought: Arc<Seeking>,
}

/// What waiters for texts seek; slots that have the same waiters share it.
#[derive(Debug, Default)]
struct Seeking {
    /// Their literals; made when the first event has a value, which most slots never see. Numbers are those of waiters.
    literals: OnceLock<Box<Literals>>,
    /// What of their literals the text of a whole record has where one of its values has them.
    in_records: OnceLock<Box<RecordLiterals>>,
}

/// The whole of a record, for stages that look at all of its values.
pub(crate) struct WholeRecord<'t, F> {
    /// Its text, where it is known.
    pub(crate) text: Option<&'t [u8]>,
    /// Fills the slots that are filled apart.
    pub(crate) fill: F,
}

/// What routing remembers, one for each thread.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// Whether the router that counts is the one in use.
    is_first: bool,
    event: u32,
    /// By waiter the last event that satisfied it.
    waiters: Vec<u32>,
    /// The waiters that the current event satisfies.
    hit: Vec<u32>,
    /// By group the last event that its gates were asked for, times two, plus the answer.
    groups: Vec<u32>,
    /// By wake how many events had it.
    counts: Vec<u32>,
    counted: u32,
    folded: String,
    /// The waiters that the values of one slot satisfy.
    found: Vec<u32>,
    /// What is common in records.
    common: Commonness,
    kinds: Kinds,
    /// The kind of the current event, if it is known.
    kind: Option<u32>,
}

impl Routing {
    /// Files the stages, given as the nodes of their conditions.
    /// The slots `apart` are filled only for events that a stage which reads them may be about.
    pub(crate) fn new(conditions: Vec<NodeId>, nodes: &Nodes, apart: &[Slot]) -> Self {
        let groups = Groups::new(&conditions, nodes, apart);
        let gates = Gates::new(&groups, nodes);
        let counts = conditions.len() >= WORTH_MEASURING;
        let first = Router::new(&conditions, &groups, nodes, &Rates::default(), counts);
        Self {
            conditions,
            groups,
            gates,
            apart: apart.into(),
            first,
            measured: OnceLock::new(),
        }
    }

    pub(crate) fn marks(&self) -> Marks {
        let router = self.measured.get();
        Marks::new(router.unwrap_or(&self.first), self.groups.gates.len())
    }

    /// The stages without a guard.
    pub(crate) fn unguarded(&self) -> impl Iterator<Item = u32> + '_ {
        self.first
            .always
            .iter()
            .flat_map(|wake| wake.stages.iter().copied())
    }

    /// Calls `wake` with every stage that the row may satisfy; with some of them more than once. Where one of them reads slots
    /// that are filled apart, these are filled.
    pub(crate) fn route(
        &self,
        nodes: &Nodes,
        row: &mut Row,
        scratch: &mut Scratch,
        marks: &mut Marks,
        mut whole: WholeRecord<'_, impl FnMut(&mut Row)>,
        mut wake: impl FnMut(u32),
    ) {
        let mut router = &self.first;
        if router.counts {
            if marks.is_first && marks.counted >= MEASURED {
                let rates = self.first.rates(marks);
                self.measured
                    .get_or_init(|| Router::new(&self.conditions, &self.groups, nodes, &rates, false));
            }
            if let Some(measured) = self.measured.get() {
                if marks.is_first {
                    *marks = Marks {
                        common: std::mem::take(&mut marks.common),
                        ..Marks::new(measured, self.groups.gates.len())
                    };
                    // What is remembered of values names the waiters of the other router.
                    scratch.forget_values();
                }
                router = measured;
            }
        }
        marks.next_event();
        if let Some(text) = whole.text {
            marks.common.learn(text);
        }
        let mut event = Routed {
            router,
            groups: &self.groups,
            gates: &self.gates,
            nodes,
            scratch,
            marks,
        };
        event.tell_kind(row);
        for slot in row.present() {
            event.search(row, slot);
        }
        let mut is_filled = self
            .apart
            .iter()
            .any(|slot| event.may_wait_in(*slot, whole.text, row));
        if is_filled {
            (whole.fill)(row);
            for slot in &self.apart {
                event.search(row, *slot);
            }
        }
        let mut reads_apart = false;
        event.wake(row, |stage| {
            reads_apart |= self.groups.reads_apart.get(stage as usize) == Some(&true);
            wake(stage);
        });
        is_filled |= !reads_apart;
        if !is_filled {
            (whole.fill)(row);
        }
    }
}

impl Marks {
    fn new(router: &Router, groups: usize) -> Self {
        Self {
            is_first: router.counts,
            waiters: vec![0; router.waiters.len()],
            groups: vec![0; groups],
            counts: vec![0; if router.counts { router.wakes.len() } else { 0 }],
            ..Self::default()
        }
    }

    #[cfg(test)]
    pub(crate) fn has_own_literals(&self) -> bool {
        self.kinds.has_own_literals()
    }

    fn next_event(&mut self) {
        self.event += 1;
        if self.event >= u32::MAX / 2 {
            self.event = 1;
            self.waiters.fill(0);
            self.groups.fill(0);
        }
        self.hit.clear();
        self.counted += u32::from(self.is_first);
    }

    #[inline]
    fn hit(&mut self, waiter: u32) {
        if let Some(last) = self.waiters.get_mut(waiter as usize)
            && *last != self.event
        {
            *last = self.event;
            self.hit.push(waiter);
        }
    }
}

impl Router {
    /// Files stages; with `counts` all tests that they could be filed under are looked for, and counted.
    fn new(conditions: &[NodeId], groups: &Groups, nodes: &Nodes, rates: &Rates, counts: bool) -> Self {
        let tests = guarding(conditions, nodes);
        let mut chooser = Chooser::new(nodes, rates, &tests);
        let mut always: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        // Tests with the groups that wait for them, and the stages of these, if they do.
        let mut waiting: Vec<(NodeId, u32, Option<u32>)> = Vec::new();
        let stages = (0_u32..).zip(conditions).zip(&groups.of).zip(tests);
        for (((stage, condition), group), tests) in stages {
            if counts {
                waiting.extend(tests.into_iter().map(|test| (test, *group, None)));
            }
            match chooser.guard(*condition, *group) {
                None => always.entry(*group).or_default().push(stage),
                Some(guard) => {
                    waiting.extend(guard.tests.into_iter().map(|test| (test, *group, Some(stage))))
                }
            }
        }
        waiting.sort_unstable();
        waiting.dedup();
        let mut router = Self {
            always: always.into_iter().map(Wake::new).collect(),
            counts,
            ..Self::default()
        };
        for waiting in waiting.chunk_by(|(a, ..), (b, ..)| a == b) {
            let Some((test, ..)) = waiting.first() else {
                continue;
            };
            let Some(Node::Test(predicate)) = nodes.get(*test) else {
                continue;
            };
            let waiter = narrow(router.waiters.len());
            let is_for_text = matches!(need(predicate), Some(Need::Text(_)));
            for slot in predicate.slots() {
                let place = slot.0 as usize;
                if router.tables.len() <= place {
                    router.tables.resize_with(place + 1, Table::default);
                }
                if let Some(table) = router.tables.get_mut(place) {
                    match is_for_text {
                        true => table.texts.push(waiter),
                        false => table.values.push(waiter),
                    }
                }
            }
            let first = narrow(router.wakes.len());
            let wakes = waiting
                .chunk_by(|(_, a, _), (_, b, _)| a == b)
                .filter_map(|waiting| {
                    let stages = waiting.iter().filter_map(|(.., stage)| *stage);
                    Some(Wake::new((waiting.first()?.1, stages.collect())))
                });
            router.wakes.extend(wakes);
            router.waiters.push((*test, first, narrow(router.wakes.len())));
        }
        let mut alike: AHashMap<Vec<u32>, Arc<Seeking>> = AHashMap::new();
        for place in 0..router.tables.len() {
            let groups = router.groups_of(place);
            if let Some(table) = router.tables.get_mut(place) {
                table.groups = groups;
                table.sought = Arc::clone(alike.entry(table.texts.clone()).or_default());
            }
        }
        router
    }

    /// The groups that wait for texts in a slot.
    fn groups_of(&self, slot: usize) -> Box<[u32]> {
        let waiters = self.tables.get(slot).map_or(&[][..], |table| &table.texts);
        let wakes = waiters.iter().flat_map(|waiter| self.wakes_of(*waiter).1);
        let mut groups: Vec<u32> = wakes.map(|wake| wake.group).collect();
        groups.sort_unstable();
        groups.dedup();
        groups.into()
    }

    /// Whether a waiter is of one of some groups, which are in order.
    fn waits_in(&self, waiter: u32, groups: &[u32]) -> bool {
        let (_, wakes) = self.wakes_of(waiter);
        wakes.iter().any(|wake| groups.binary_search(&wake.group).is_ok())
    }

    fn wakes_of(&self, waiter: u32) -> (usize, &[Wake]) {
        let (first, end) = match self.waiters.get(waiter as usize) {
            Some((_, first, end)) => (*first as usize, *end as usize),
            None => (0, 0),
        };
        (first, self.wakes.get(first..end).unwrap_or_default())
    }

    /// The literals of what waits for a text in a slot and is wanted. They are folded for all letters, whatever each test does: what is
    /// equal in some case is equal then.
    fn literals(
        &self,
        table: &Table,
        nodes: &Nodes,
        wanted: impl Fn(u32) -> bool,
        common: &Commonness,
    ) -> Literals {
        let mut folded: Vec<(Box<str>, Anchor, u32)> = Vec::new();
        for waiter in table.texts.iter().filter(|waiter| wanted(**waiter)) {
            let test = self.waiters.get(*waiter as usize).map(|(test, ..)| *test);
            if let Some(Node::Test(predicate)) = test.and_then(|test| nodes.get(test))
                && let Some(Need::Text(sought)) = need(predicate)
            {
                folded.extend(
                    sought
                        .necessities()
                        .into_iter()
                        .map(|(text, anchor)| (fold(text, Case::Insensitive), anchor, *waiter)),
                );
            }
        }
        let literals = folded.iter();
        Literals::for_texts_with(
            common,
            literals.map(|(text, anchor, waiter)| (&**text, *anchor, *waiter)),
        )
    }

    /// What some waiters for texts seek, as the texts of whole records show it.
    fn literals_in_records(&self, waiters: &[u32], nodes: &Nodes, common: &Commonness) -> RecordLiterals {
        let sought = waiters.iter().filter_map(|waiter| {
            let (test, ..) = self.waiters.get(*waiter as usize)?;
            match nodes.get(*test)? {
                Node::Test(predicate) => match need(predicate)? {
                    Need::Text(sought) => Some((*waiter, sought)),
                    _ => None,
                },
                _ => None,
            }
        });
        RecordLiterals::new(sought, common)
    }

    /// What was counted.
    fn rates(&self, marks: &Marks) -> Rates {
        let mut rates = Rates {
            events: marks.counted,
            ..Rates::default()
        };
        for (test, first, end) in &self.waiters {
            let places = *first as usize..*end as usize;
            let wakes = self.wakes.get(places.clone()).unwrap_or_default();
            let counts = marks.counts.get(places).unwrap_or_default();
            for (wake, count) in wakes.iter().zip(counts) {
                rates.hits.insert((*test, wake.group), *count);
            }
        }
        rates
    }
}

/// Routing of one event.
struct Routed<'a> {
    router: &'a Router,
    groups: &'a Groups,
    gates: &'a Gates,
    nodes: &'a Nodes,
    scratch: &'a mut Scratch,
    marks: &'a mut Marks,
}

impl Routed<'_> {
    /// Finds out what kind of event it is.
    fn tell_kind(&mut self, row: &Row) {
        self.marks.kind = None;
        self.marks.kind = match self.marks.kinds.find(self.gates, self.nodes, row, self.scratch) {
            None => None,
            Some(Ok(known)) => Some(known),
            Some(Err(())) => {
                let kind = self.new_kind(row);
                Some(self.marks.kinds.add(kind))
            }
        };
    }

    /// The kind of an event like this one.
    fn new_kind(&mut self, row: &Row) -> Kind {
        let router = self.router;
        let groups = (0..narrow(self.groups.gates.len())).map(|group| {
            // Of the others it may be said only event by event.
            !self.gates.tell(group) || self.is_open(group, row)
        });
        let open: Box<[bool]> = groups.collect();
        let is_open = |group: &u32| open.get(*group as usize) == Some(&true);
        let waits = (0..narrow(router.waiters.len())).map(|waiter| {
            let (_, wakes) = router.wakes_of(waiter);
            wakes.iter().any(|wake| is_open(&wake.group))
        });
        let waits: Vec<bool> = waits.collect();
        let waits = |waiter: &&u32| waits.get(**waiter as usize) == Some(&true);
        let mut tables = Vec::with_capacity(router.tables.len());
        for (slot, table) in (0_u32..).zip(&router.tables) {
            tables.push(Waits {
                values: table.values.iter().any(|waiter| waits(&waiter)),
                texts: match table.texts.iter().filter(waits).count() {
                    0 => Texts::Nobodys,
                    // What few do not seek is better sought with the rest.
                    most if most * MOST > table.texts.len() => Texts::All,
                    few => {
                        let groups = table.groups.iter().copied().filter(is_open).collect();
                        Texts::Of(self.marks.kinds.view_of(slot, groups, narrow(few)))
                    }
                },
            });
        }
        Kind {
            tables: tables.into(),
            open,
            records: Vec::new(),
        }
    }

    /// What may be satisfied and is waited for in a slot.
    #[inline]
    fn waits(&self, slot: Slot) -> Waits {
        let kind = self.marks.kind.and_then(|kind| self.marks.kinds.get(kind));
        match kind {
            Some(kind) => kind.tables.get(slot.0 as usize).copied().unwrap_or_default(),
            None => Waits {
                values: true,
                texts: Texts::All,
            },
        }
    }

    /// Finds the waiters that a slot's values may satisfy.
    #[inline]
    fn search(&mut self, row: &Row, slot: Slot) {
        let Waits { values, texts } = self.waits(slot);
        let about = match texts {
            Texts::Nobodys if !values => return,
            Texts::Nobodys => None,
            Texts::Of(view) => Some(About::View(view)),
            Texts::All => Some(About::All(slot)),
        };
        let Some(table) = self.router.tables.get(slot.0 as usize) else {
            return;
        };
        if values {
            for waiter in &table.values {
                self.marks.hit(*waiter);
            }
        }
        if let Some(about) = about
            && !table.texts.is_empty()
        {
            self.search_texts(row, slot, table, about);
        }
    }

    fn search_texts(&mut self, row: &Row, slot: Slot, table: &Table, about: About) {
        if self.marks.kind.is_none()
            && table.groups.len() <= FEW_GROUPS
            && row.text_length(slot) >= LONG
            && !table.groups.iter().any(|group| self.is_open(*group, row))
        {
            return;
        }
        if let Some(waiters) = self.scratch.waiters(row, slot, about) {
            waiters.iter().for_each(|waiter| self.marks.hit(*waiter));
            return;
        }
        let view = match about {
            About::View(view) => {
                self.prepare(table, view);
                self.marks.kinds.view(view)
            }
            _ => None,
        };
        let own = view.and_then(|view| view.own.as_deref());
        let raw = row.only_escaped(slot).filter(|raw| raw.len() >= LONG_RAW);
        if let (Some(view), Some(own), Some(raw)) = (view, own, raw) {
            let is_in = |waiter| self.router.waits_in(waiter, &view.groups);
            let shown = own.raw.get_or_init(|| {
                let waiters = table.texts.iter().copied().filter(|waiter| is_in(*waiter));
                let waiters: Vec<u32> = waiters.collect();
                let common = &self.marks.common;
                self.router.literals_in_records(&waiters, self.nodes, common)
            });
            let folded = &mut self.marks.folded;
            let may_be = match row.record() {
                Some((_, false)) => shown.may_be_in_plain(raw, row.is_ascii(), folded, |_| true),
                _ => shown.may_be_in(raw, folded, |_| true),
            };
            if !may_be {
                return self.scratch.remember_waiters(row, slot, about, &[]);
            }
        }
        let literals = own.map_or_else(
            || {
                let common = &self.marks.common;
                let made = || Box::new(self.router.literals(table, self.nodes, |_| true, common));
                &**table.sought.literals.get_or_init(made)
            },
            |own| &own.literals,
        );
        let (found, folded) = (&mut self.marks.found, &mut self.marks.folded);
        found.clear();
        self.scratch.any_text(row, slot, Case::Sensitive, |text| {
            let take = |waiter| {
                found.push(waiter);
                false
            };
            if row.is_ascii() || !literals.ask_to_fold(text) {
                return literals.find(text, take);
            }
            folded.clear();
            fold_into(text, Case::Insensitive, folded);
            literals.find(folded, take)
        });
        // Several literals of one waiter may be found.
        found.sort_unstable();
        found.dedup();
        if let (Some(view), None) = (view, own) {
            found.retain(|waiter| self.router.waits_in(*waiter, &view.groups));
        }
        self.scratch.remember_waiters(row, slot, about, found);
        let found = std::mem::take(&mut self.marks.found);
        found.iter().for_each(|waiter| self.marks.hit(*waiter));
        self.marks.found = found;
    }

    /// Gives a view literals of its own if many texts are searched for it.
    fn prepare(&mut self, table: &Table, view: u32) {
        let (router, nodes) = (self.router, self.nodes);
        let common = &self.marks.common;
        if let Some(view) = self.marks.kinds.view_without_own(view) {
            let is_in = |waiter| router.waits_in(waiter, &view.groups);
            view.own = Some(Box::new(Own {
                literals: router.literals(table, nodes, is_in, common),
                raw: OnceCell::new(),
            }));
        }
    }

    /// Whether all gates of a group hold.
    #[inline]
    fn is_open(&mut self, group: u32, row: &Row) -> bool {
        if self.gates.tell(group)
            && let Some(kind) = self.marks.kind
            && let Some(kind) = self.marks.kinds.get(kind)
        {
            return kind.open.get(group as usize) == Some(&true);
        }
        self.gates_hold(group, row)
    }

    fn gates_hold(&mut self, group: u32, row: &Row) -> bool {
        let Some(known) = self.marks.groups.get_mut(group as usize) else {
            return false;
        };
        if *known >> 1 != self.marks.event {
            let gates = self.groups.gates.get(group as usize);
            let open = gates.is_some_and(|gates| {
                let mut gates = gates.iter();
                gates.all(|gate| self.nodes.holds(*gate, row, self.scratch))
            });
            *known = self.marks.event << 1 | u32::from(open);
        }
        *known & 1 == 1
    }

    /// Whether something of an open group may wait for a value in a slot that is filled apart with all values of the record,
    /// whose text is given.
    fn may_wait_in(&mut self, slot: Slot, text: Option<&[u8]>, row: &Row) -> bool {
        let (router, nodes) = (self.router, self.nodes);
        let Some(table) = router.tables.get(slot.0 as usize) else {
            return false;
        };
        let Waits { values, texts } = self.waits(slot);
        let is_open_for = |event: &mut Self, waiter: u32| {
            let (_, wakes) = router.wakes_of(waiter);
            wakes.iter().any(|wake| event.is_open(wake.group, row))
        };
        if values && table.values.iter().any(|waiter| is_open_for(self, *waiter)) {
            return true;
        }
        if matches!(texts, Texts::Nobodys) || !table.groups.iter().any(|group| self.is_open(*group, row)) {
            return false;
        }

        // Whoever read the record knows of its escapes.
        let Some((text, false)) = row.record().filter(|(read, _)| Some(read.as_bytes()) == text) else {
            return true;
        };
        let of_kind = self.record_search(slot, table);
        let literals: &RecordLiterals = match &of_kind {
            Some(literals) => literals,
            None => table.sought.in_records.get_or_init(|| {
                let common = &self.marks.common;
                Box::new(router.literals_in_records(&table.texts, nodes, common))
            }),
        };
        let mut folded = std::mem::take(&mut self.marks.folded);
        let found = literals.may_be_in_plain(text, row.is_ascii(), &mut folded, |waiter| {
            is_open_for(self, waiter)
        });
        self.marks.folded = folded;
        found
    }

    /// What is sought in the text of records of the event's kind: only what groups wait for that may be open.
    fn record_search(&mut self, slot: Slot, table: &Table) -> Option<Arc<RecordLiterals>> {
        let number = self.marks.kind?;
        if let Some(known) = self.marks.kinds.search(number, slot) {
            return Some(known);
        }
        let kind = self.marks.kinds.get(number)?;
        let is_open = |waiter: &u32| {
            let (_, wakes) = self.router.wakes_of(*waiter);
            let mut groups = wakes.iter().map(|wake| wake.group as usize);
            groups.any(|group| kind.open.get(group) == Some(&true))
        };
        let waiters = table.texts.iter().copied().filter(is_open).collect();
        let (router, nodes, common) = (self.router, self.nodes, &self.marks.common);
        let make = |waiters: &[u32]| router.literals_in_records(waiters, nodes, common);
        Some(self.marks.kinds.keep_search(number, slot, waiters, make))
    }

    /// Calls `wake` with the stages of all waiters that were found.
    fn wake(&mut self, row: &Row, mut wake: impl FnMut(u32)) {
        let router = self.router;
        for always in &router.always {
            if self.is_open(always.group, row) {
                self.note_open(always.group);
                always.stages.iter().copied().for_each(&mut wake);
            }
        }
        let hit = std::mem::take(&mut self.marks.hit);
        for waiter in &hit {
            let (first, wakes) = router.wakes_of(*waiter);
            for (place, waking) in wakes.iter().enumerate() {
                if self.is_open(waking.group, row) {
                    if !waking.stages.is_empty() {
                        self.note_open(waking.group);
                    }
                    waking.stages.iter().copied().for_each(&mut wake);
                    if let Some(count) = self.marks.counts.get_mut(first + place) {
                        *count += 1;
                    }
                }
            }
        }
        self.marks.hit = hit;
    }

    /// Notes that the gates of a group hold, for the conditions that they are parts of.
    fn note_open(&mut self, group: u32) {
        for gate in self.groups.gates.get(group as usize).into_iter().flatten() {
            self.scratch.remember(*gate, true);
        }
    }
}

impl Wake {
    fn new((group, stages): (u32, Vec<u32>)) -> Self {
        Self {
            group,
            stages: stages.into(),
        }
    }
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
