//! The conditions of all rules as one graph in which equal parts are one node.

use std::collections::BTreeMap;
use std::sync::Arc;

use ahash::AHashMap;
use neph_event::{Row, Slot, Slots, Value};
use neph_plan::{
    Case, Condition, Expr, FieldId, Leaf, Lookup, Nested, Pattern, RegexDialect, Span, Test, regex,
};
use smallvec::SmallVec;

use crate::predicate::Predicate;
use crate::scratch::Scratch;
use crate::text::{TextSet, TextSetBuilder};

/// Conditions and expressions nested deeper than this are refused: evaluation recurses.
pub(crate) const MAX_DEPTH: u32 = 500;

/// A node of the graph. Children have smaller ids than their parents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(pub(crate) u32);

/// A condition, its parts being nodes.
#[derive(Debug)]
pub(crate) enum Node {
    Const(bool),
    /// All hold; ordered so that what decides cheapest comes first.
    All(Box<[NodeId]>),
    /// Any holds; ordered likewise.
    Any(Box<[NodeId]>),
    Not(NodeId),
    Test(Box<Predicate>),
}

/// What is expected of evaluating a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Estimate {
    /// Roughly nanoseconds.
    pub(crate) cost: f32,
    /// How often it holds, 0 to 1.
    likelihood: f32,
}

/// All nodes of a program.
#[derive(Debug)]
pub(crate) struct Nodes {
    nodes: Vec<Node>,
    /// Whether a test needs the document itself.
    pub(crate) reads_objects: bool,
}

impl Nodes {
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn get(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.0 as usize)
    }

    /// For each node whether it reads one of the slots.
    pub(crate) fn reading(&self, slots: &[Slot]) -> Vec<bool> {
        let mut reading: Vec<bool> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            // Children have smaller ids.
            let reads = |part: &NodeId| reading.get(part.0 as usize) == Some(&true);
            let reads = match node {
                _ if slots.is_empty() => false,
                Node::Const(_) => false,
                Node::All(parts) | Node::Any(parts) => parts.iter().any(reads),
                Node::Not(part) => reads(part),
                Node::Test(predicate) => predicate.reads().iter().any(|slot| slots.contains(slot)),
            };
            reading.push(reads);
        }
        reading
    }

    /// Number of distinct tests.
    pub(crate) fn tests(&self) -> usize {
        self.nodes
            .iter()
            .filter(|node| matches!(node, Node::Test(_)))
            .count()
    }

    /// The truth of a node for the row; each node is evaluated at most once per event.
    pub(crate) fn holds(&self, id: NodeId, row: &Row, scratch: &mut Scratch) -> bool {
        if let Some(truth) = scratch.truth(id) {
            return truth;
        }
        let truth = match self.get(id) {
            None => false,
            Some(Node::Const(truth)) => *truth,
            Some(Node::All(parts)) => parts.iter().all(|part| self.holds(*part, row, scratch)),
            Some(Node::Any(parts)) => parts.iter().any(|part| self.holds(*part, row, scratch)),
            Some(Node::Not(part)) => !self.holds(*part, row, scratch),
            Some(Node::Test(predicate)) => predicate.holds(Some(id), row, scratch),
        };
        scratch.remember(id, truth);
        truth
    }
}

/// Why a condition cannot become part of a program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConditionError {
    /// A regular expression that does not compile.
    #[error("{0}")]
    Regex(regex::RegexError),
    /// Nested too deep.
    #[error("the condition is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// A broken plan: a condition names a field that the plan does not list.
    #[error("the plan reads a field that it does not list")]
    NoSuchField,
}

/// Identity of a node: two conditions with equal keys are one node.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Key {
    Const(bool),
    All(Vec<NodeId>),
    Any(Vec<NodeId>),
    Not(NodeId),
    /// Texts of a set in any of the slots.
    Texts(Box<[Slot]>, SetId),
    /// A regular expression in any of the slots.
    Regex(Box<[Slot]>, u32),
    Test(Test),
}

/// A set of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct SetId(u32);

/// What a set of texts is made of, as plans have it.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Source<'p> {
    Equal(&'p [Value], Case),
    Start(&'p [Box<str>], Case),
    End(&'p [Box<str>], Case),
    Hold(&'p [Box<str>], Case),
    Like(&'p [Pattern], Case),
}

/// How the texts of a list are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum SourceKind {
    Equal,
    Start,
    End,
    Hold,
    Like,
}

/// Where a list of texts is, and how they are compared.
type Place = (usize, SourceKind, Case);

/// A set of texts that is sought in a slot.
type Sought = (Slot, Case, SetId);

/// What a regular expression is compiled from.
type Expressions<'p> = (&'p [Box<str>], RegexDialect, Case);

/// Tests of texts that an "or" is made of: the same sets in several slots are one test.
#[derive(Default)]
struct Merged {
    texts: SmallVec<[Sought; 8]>,
    expressions: BTreeMap<u32, Vec<Slot>>,
}

/// Collects [`Nodes`].
#[derive(Debug, Default)]
pub(crate) struct NodesBuilder<'p> {
    nodes: Vec<Node>,
    estimates: Vec<Estimate>,
    by_key: AHashMap<Key, NodeId>,
    reads_objects: bool,
    sets: Vec<Arc<TextSet>>,
    set_ids: AHashMap<Arc<TextSet>, SetId>,
    by_source: AHashMap<Source<'p>, SetId>,
    /// The same by where a list is: a list that is looked for in several fields is hashed once.
    by_place: AHashMap<Place, SetId>,
    /// The list that was looked for last: it is, most often, what the next field is asked, too.
    last: Option<(Place, SetId)>,
    unions: AHashMap<Box<[SetId]>, SetId>,
    regexes: Vec<Arc<regex::Regex>>,
    by_expressions: AHashMap<Expressions<'p>, u32>,
}

impl<'p> NodesBuilder<'p> {
    pub(crate) fn build(mut self) -> Nodes {
        self.nodes.shrink_to_fit();
        Nodes {
            nodes: self.nodes,
            reads_objects: self.reads_objects,
        }
    }

    pub(crate) fn get(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.0 as usize)
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The tests, each with the slots that it reads; of those that are about several slots the first stands for all.
    pub(crate) fn into_tests(self) -> Vec<(NodeId, Box<[Slot]>, Test)> {
        let expressions: AHashMap<u32, Expressions<'_>> = self
            .by_expressions
            .into_iter()
            .map(|(key, id)| (id, key))
            .collect();
        let field = |slots: &[Slot]| FieldId(slots.first().map_or(0, |slot| slot.0));
        let mut tests = Vec::new();
        for (key, id) in self.by_key {
            match key {
                Key::Test(test) => {
                    let mut slots = Vec::new();
                    test.for_each_field(&mut |field| slots.push(Slot(field.0)));
                    tests.push((id, slots.into(), test));
                }
                Key::Texts(slots, set) => {
                    if let Some(set) = self.sets.get(set.0 as usize) {
                        let test = set.test(field(&slots));
                        tests.push((id, slots, test));
                    }
                }
                Key::Regex(slots, regex) => {
                    if let Some((texts, dialect, case)) = expressions.get(&regex) {
                        let test = Test::Regex(field(&slots), (*texts).into(), *dialect, *case);
                        tests.push((id, slots, test));
                    }
                }
                Key::Const(_) | Key::All(_) | Key::Any(_) | Key::Not(_) => {}
            }
        }
        tests
    }

    /// The node of a condition whose field ids `map` turns into slots.
    pub(crate) fn add(
        &mut self,
        condition: &'p Condition,
        map: &[Slot],
        slots: &Slots,
    ) -> Result<NodeId, (Option<Span>, ConditionError)> {
        self.add_at(condition, map, slots, 0)
    }

    fn add_at(
        &mut self,
        condition: &'p Condition,
        map: &[Slot],
        slots: &Slots,
        depth: u32,
    ) -> Result<NodeId, (Option<Span>, ConditionError)> {
        if depth > MAX_DEPTH {
            return Err((None, ConditionError::TooDeep));
        }
        match condition {
            Condition::Const(truth) => Ok(self.constant(*truth)),
            Condition::And(parts) => {
                let mut ids = Vec::with_capacity(parts.len());
                for part in parts {
                    ids.push(self.add_at(part, map, slots, depth + 1)?);
                }
                Ok(self.all(ids))
            }
            Condition::Or(_) | Condition::Leaf(_) => {
                let (mut merged, mut ids) = (Merged::default(), Vec::new());
                self.gather(condition, map, slots, depth, &mut merged, &mut ids)?;
                self.merge(merged, &mut ids);
                Ok(self.any(ids))
            }
            Condition::Not(part) => {
                let id = self.add_at(part, map, slots, depth + 1)?;
                Ok(self.not(id))
            }
        }
    }

    /// Gathers the parts of an "or", those within one another included.
    fn gather(
        &mut self,
        condition: &'p Condition,
        map: &[Slot],
        slots: &Slots,
        depth: u32,
        merged: &mut Merged,
        ids: &mut Vec<NodeId>,
    ) -> Result<(), (Option<Span>, ConditionError)> {
        match condition {
            Condition::Or(_) if depth > MAX_DEPTH => Err((None, ConditionError::TooDeep)),
            Condition::Or(parts) => parts
                .iter()
                .try_for_each(|part| self.gather(part, map, slots, depth + 1, merged, ids)),
            Condition::Leaf(leaf) => {
                let gathered = self.gather_leaf(leaf, map, slots, merged, ids);
                gathered.map_err(|error| (Some(leaf.span), error))
            }
            other => {
                ids.push(self.add_at(other, map, slots, depth)?);
                Ok(())
            }
        }
    }

    fn gather_leaf(
        &mut self,
        leaf: &'p Leaf,
        map: &[Slot],
        slots: &Slots,
        merged: &mut Merged,
        ids: &mut Vec<NodeId>,
    ) -> Result<(), ConditionError> {
        let slot = |field: FieldId| slot_of(field, map).map(|id| Slot(id.0));
        let (field, source) = match &leaf.test {
            Test::Equals(field, constants, case)
                if slots
                    .field(slot(*field)?)
                    .is_some_and(|field| field.kind.is_string())
                    && constants
                        .iter()
                        .all(|constant| matches!(constant, Value::String(_))) =>
            {
                (*field, Source::Equal(constants, *case))
            }
            Test::StartsWith(field, texts, case) => (*field, Source::Start(texts, *case)),
            Test::EndsWith(field, texts, case) => (*field, Source::End(texts, *case)),
            Test::Contains(field, texts, case) => (*field, Source::Hold(texts, *case)),
            Test::Like(field, patterns, case) => (*field, Source::Like(patterns, *case)),
            Test::Regex(field, expressions, dialect, case) => {
                let regex = self.regex((expressions, *dialect, *case))?;
                merged.expressions.entry(regex).or_default().push(slot(*field)?);
                return Ok(());
            }
            other => {
                ids.push(self.test(other, map, slots)?);
                return Ok(());
            }
        };
        let case = source.case();
        let set = self.set(source);
        merged.texts.push((slot(field)?, case, set));
        Ok(())
    }

    /// Makes nodes of what was gathered.
    fn merge(&mut self, merged: Merged, ids: &mut Vec<NodeId>) {
        fn sets(texts: &[Sought]) -> impl ExactSizeIterator<Item = SetId> {
            texts.iter().map(|(.., set)| *set)
        }
        let Merged {
            mut texts,
            expressions,
        } = merged;
        texts.sort_unstable();
        texts.dedup();
        // What is sought in one slot, those next to one another in which the same sets are sought.
        let in_slot = texts.chunk_by(|(a, a_case, _), (b, b_case, _)| (a, a_case) == (b, b_case));
        let mut in_slot: SmallVec<[&[Sought]; 8]> = in_slot.collect();
        in_slot.sort_by(|a, b| sets(a).cmp(sets(b)));
        for alike in in_slot.chunk_by(|a, b| sets(a).eq(sets(b))) {
            let Some(one) = alike.first() else { continue };
            let id = self.union(sets(one));
            let Some(set) = self.sets.get(id.0 as usize).cloned() else {
                continue;
            };
            let slots = alike.iter().filter_map(|texts| Some(texts.first()?.0));
            let slots: SmallVec<[Slot; 8]> = slots.collect();
            let key = Key::Texts(slots.as_slice().into(), id);
            ids.push(self.intern_test(key, || Predicate::Text(slots.as_slice().into(), set)));
        }
        for (regex, mut slots) in expressions {
            slots.sort_unstable();
            slots.dedup();
            let Some(compiled) = self.regexes.get(regex as usize).cloned() else {
                continue;
            };
            let slots: Box<[Slot]> = slots.into();
            let key = Key::Regex(slots.clone(), regex);
            ids.push(self.intern_test(key, || Predicate::Regex(slots, compiled)));
        }
    }

    fn set(&mut self, source: Source<'p>) -> SetId {
        let place = source.place();
        if let Some((last, id)) = self.last
            && last == place
        {
            return id;
        }
        if let Some(id) = self.by_place.get(&place) {
            self.last = Some((place, *id));
            return *id;
        }
        let id = match self.by_source.get(&source) {
            Some(id) => *id,
            None => {
                let id = self.intern_set(source.set());
                self.by_source.insert(source, id);
                id
            }
        };
        self.by_place.insert(place, id);
        id
    }

    fn intern_set(&mut self, set: TextSet) -> SetId {
        if let Some(id) = self.set_ids.get(&set) {
            return *id;
        }
        let id = SetId(u32::try_from(self.sets.len()).unwrap_or(u32::MAX));
        let set = Arc::new(set);
        self.sets.push(Arc::clone(&set));
        self.set_ids.insert(set, id);
        id
    }

    /// What is in any of the sets, which have one case.
    fn union(&mut self, sets: impl ExactSizeIterator<Item = SetId>) -> SetId {
        let sets: SmallVec<[SetId; 4]> = sets.collect();
        if let [only] = sets.as_slice() {
            return *only;
        }
        let sets: Box<[SetId]> = sets.as_slice().into();
        if let Some(id) = self.unions.get(&sets) {
            return *id;
        }
        let parts: Vec<&Arc<TextSet>> = sets
            .iter()
            .filter_map(|id| self.sets.get(id.0 as usize))
            .collect();
        let case = parts.first().map_or(Case::Sensitive, |set| set.case());
        let mut union = TextSetBuilder::new(case);
        parts.iter().for_each(|set| union.include(set));
        let id = self.intern_set(union.build());
        self.unions.insert(sets, id);
        id
    }

    fn regex(&mut self, expressions: Expressions<'p>) -> Result<u32, ConditionError> {
        if let Some(id) = self.by_expressions.get(&expressions) {
            return Ok(*id);
        }
        let (patterns, dialect, case) = expressions;
        let compiled = regex::compile(patterns, dialect, case).map_err(ConditionError::Regex)?;
        let id = u32::try_from(self.regexes.len()).unwrap_or(u32::MAX);
        self.regexes.push(Arc::new(compiled));
        self.by_expressions.insert(expressions, id);
        Ok(id)
    }

    fn test(&mut self, test: &Test, map: &[Slot], slots: &Slots) -> Result<NodeId, ConditionError> {
        let key = Key::Test(over_slots(test, map)?);
        if let Some(id) = self.by_key.get(&key) {
            return Ok(*id);
        }
        let Key::Test(test) = &key else {
            return Ok(self.constant(false));
        };
        let predicate = Predicate::new(test, slots)?;
        Ok(self.intern_test(key, || predicate))
    }

    fn intern_test(&mut self, key: Key, predicate: impl FnOnce() -> Predicate) -> NodeId {
        if let Some(id) = self.by_key.get(&key) {
            return *id;
        }
        let predicate = predicate();
        self.reads_objects |= matches!(predicate, Predicate::Objects(_));
        let estimate = Estimate {
            cost: predicate.cost(),
            likelihood: predicate.likelihood(),
        };
        self.intern(key, || Node::Test(Box::new(predicate)), estimate)
    }

    fn constant(&mut self, truth: bool) -> NodeId {
        let estimate = Estimate {
            cost: 0.0,
            likelihood: if truth { 1.0 } else { 0.0 },
        };
        self.intern(Key::Const(truth), || Node::Const(truth), estimate)
    }

    fn not(&mut self, part: NodeId) -> NodeId {
        match self.get(part) {
            Some(Node::Const(truth)) => self.constant(!*truth),
            Some(Node::Not(inner)) => *inner,
            _ => {
                let inside = self.estimate(part);
                let estimate = Estimate {
                    cost: inside.cost,
                    likelihood: 1.0 - inside.likelihood,
                };
                self.intern(Key::Not(part), || Node::Not(part), estimate)
            }
        }
    }

    fn all(&mut self, parts: Vec<NodeId>) -> NodeId {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match self.get(part) {
                Some(Node::Const(true)) => {}
                Some(Node::Const(false)) => return self.constant(false),
                Some(Node::All(inner)) => flat.extend_from_slice(inner),
                _ => flat.push(part),
            }
        }
        flat.sort_unstable();
        flat.dedup();
        match flat.as_slice() {
            [] => self.constant(true),
            [only] => *only,
            _ => {
                // The order that ends soonest on average: by cost for each chance to fail.
                let ordered = self.ordered(&flat, |estimate| {
                    estimate.cost / (1.0 - estimate.likelihood).max(0.001)
                });
                let (mut cost, mut reached) = (0.0, 1.0);
                for part in &ordered {
                    let estimate = self.estimate(*part);
                    cost += reached * estimate.cost;
                    reached *= estimate.likelihood;
                }
                self.intern(
                    Key::All(flat),
                    || Node::All(ordered.into()),
                    Estimate {
                        cost,
                        likelihood: reached,
                    },
                )
            }
        }
    }

    fn any(&mut self, parts: Vec<NodeId>) -> NodeId {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match self.get(part) {
                Some(Node::Const(false)) => {}
                Some(Node::Const(true)) => return self.constant(true),
                Some(Node::Any(inner)) => flat.extend_from_slice(inner),
                _ => flat.push(part),
            }
        }
        flat.sort_unstable();
        flat.dedup();
        match flat.as_slice() {
            [] => self.constant(false),
            [only] => *only,
            _ => {
                let ordered = self.ordered(&flat, |estimate| estimate.cost / estimate.likelihood.max(0.001));
                let (mut cost, mut reached) = (0.0, 1.0);
                for part in &ordered {
                    let estimate = self.estimate(*part);
                    cost += reached * estimate.cost;
                    reached *= 1.0 - estimate.likelihood;
                }
                self.intern(
                    Key::Any(flat),
                    || Node::Any(ordered.into()),
                    Estimate {
                        cost,
                        likelihood: 1.0 - reached,
                    },
                )
            }
        }
    }

    fn ordered(&self, parts: &[NodeId], rank: impl Fn(Estimate) -> f32) -> Vec<NodeId> {
        let mut ordered = parts.to_vec();
        ordered.sort_by(|a, b| {
            rank(self.estimate(*a))
                .total_cmp(&rank(self.estimate(*b)))
                .then_with(|| a.cmp(b))
        });
        ordered
    }

    fn estimate(&self, id: NodeId) -> Estimate {
        self.estimates.get(id.0 as usize).copied().unwrap_or(Estimate {
            cost: 0.0,
            likelihood: 0.5,
        })
    }

    fn intern(&mut self, key: Key, node: impl FnOnce() -> Node, estimate: Estimate) -> NodeId {
        let next = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        let id = *self.by_key.entry(key).or_insert(next);
        if id == next {
            self.nodes.push(node());
            self.estimates.push(estimate);
        }
        id
    }
}

impl Source<'_> {
    /// Where the list is and how it is compared. Lists live as long as the plans, so that no two are at one place; but
    /// empty ones, which are equal.
    fn place(&self) -> Place {
        let (place, kind) = match self {
            Self::Equal(list, _) => (list.as_ptr().addr(), SourceKind::Equal),
            Self::Start(list, _) => (list.as_ptr().addr(), SourceKind::Start),
            Self::End(list, _) => (list.as_ptr().addr(), SourceKind::End),
            Self::Hold(list, _) => (list.as_ptr().addr(), SourceKind::Hold),
            Self::Like(list, _) => (list.as_ptr().addr(), SourceKind::Like),
        };
        (place, kind, self.case())
    }

    fn case(&self) -> Case {
        match self {
            Self::Equal(_, case)
            | Self::Start(_, case)
            | Self::End(_, case)
            | Self::Hold(_, case)
            | Self::Like(_, case) => *case,
        }
    }

    fn set(&self) -> TextSet {
        let mut set = TextSetBuilder::new(self.case());
        match self {
            Self::Equal(constants, _) => constants.iter().for_each(|constant| {
                if let Value::String(text) = constant {
                    set.equal(text);
                }
            }),
            Self::Start(texts, _) => texts.iter().for_each(|text| set.starts_with(text)),
            Self::End(texts, _) => texts.iter().for_each(|text| set.ends_with(text)),
            Self::Hold(texts, _) => texts.iter().for_each(|text| set.holds(text)),
            Self::Like(patterns, _) => patterns.iter().for_each(|pattern| set.like(pattern)),
        }
        set.build()
    }
}

/// The test with slots for field ids, and with its alternatives in one order, so that tests that mean the same are equal.
pub(crate) fn over_slots(test: &Test, map: &[Slot]) -> Result<Test, ConditionError> {
    fn sorted<T: Ord + Clone>(list: &Arc<[T]>) -> Arc<[T]> {
        if list.is_sorted_by(|a, b| a < b) {
            return Arc::clone(list);
        }
        let mut list = list.to_vec();
        list.sort_unstable();
        list.dedup();
        list.into()
    }
    let field = |field: &FieldId| slot_of(*field, map);
    Ok(match test {
        Test::Exists(id) => Test::Exists(field(id)?),
        Test::Equals(id, constants, case) => Test::Equals(field(id)?, sorted(constants), *case),
        Test::Compare(id, relation, constant) => Test::Compare(field(id)?, *relation, constant.clone()),
        Test::Like(id, patterns, case) => Test::Like(field(id)?, sorted(patterns), *case),
        // In the order of the rule, which errors refer to.
        Test::Regex(id, expressions, dialect, case) => {
            Test::Regex(field(id)?, expressions.clone(), *dialect, *case)
        }
        Test::StartsWith(id, texts, case) => Test::StartsWith(field(id)?, sorted(texts), *case),
        Test::EndsWith(id, texts, case) => Test::EndsWith(field(id)?, sorted(texts), *case),
        Test::Contains(id, texts, case) => Test::Contains(field(id)?, sorted(texts), *case),
        Test::Cidr(id, networks) => Test::Cidr(field(id)?, sorted(networks)),
        Test::Words(id, phrases) => Test::Words(field(id)?, sorted(phrases)),
        Test::Lookup(lookup) => Test::Lookup(Lookup {
            fields: lookup.fields.iter().map(field).collect::<Result<_, _>>()?,
            table: Arc::clone(&lookup.table),
        }),
        Test::Nested(nested) => Test::Nested(Nested {
            fields: nested.fields.iter().map(field).collect::<Result<_, _>>()?,
            objects: Arc::clone(&nested.objects),
        }),
        Test::Expr(expr) => Test::Expr(expr_over_slots(expr, map, 0)?),
    })
}

fn slot_of(field: FieldId, map: &[Slot]) -> Result<FieldId, ConditionError> {
    map.get(field.0 as usize)
        .map(|slot| FieldId(slot.0))
        .ok_or(ConditionError::NoSuchField)
}

fn expr_over_slots(expr: &Expr, map: &[Slot], depth: u32) -> Result<Expr, ConditionError> {
    if depth > MAX_DEPTH {
        return Err(ConditionError::TooDeep);
    }
    let one = |expr: &Expr| expr_over_slots(expr, map, depth + 1);
    let boxed = |expr: &Expr| one(expr).map(Box::new);
    let many = |list: &[Expr]| list.iter().map(one).collect::<Result<Vec<_>, _>>();
    Ok(match expr {
        Expr::Const(value) => Expr::Const(value.clone()),
        Expr::Field(field) => Expr::Field(slot_of(*field, map)?),
        Expr::Arithmetic(operator, a, b) => Expr::Arithmetic(*operator, boxed(a)?, boxed(b)?),
        Expr::Negate(a) => Expr::Negate(boxed(a)?),
        Expr::Equals(a, b) => Expr::Equals(boxed(a)?, boxed(b)?),
        Expr::Compare(relation, a, b) => Expr::Compare(*relation, boxed(a)?, boxed(b)?),
        Expr::In(a, list, case) => Expr::In(boxed(a)?, many(list)?, *case),
        Expr::Like(a, patterns, case) => Expr::Like(boxed(a)?, patterns.clone(), *case),
        Expr::Regex(a, expressions, dialect, case) => {
            Expr::Regex(boxed(a)?, expressions.clone(), *dialect, *case)
        }
        Expr::IsNull(a) => Expr::IsNull(boxed(a)?),
        Expr::And(list) => Expr::And(many(list)?),
        Expr::Or(list) => Expr::Or(many(list)?),
        Expr::Not(a) => Expr::Not(boxed(a)?),
        Expr::TimePart(part, a) => Expr::TimePart(*part, boxed(a)?),
        Expr::Call(function, list, case) => Expr::Call(*function, many(list)?, *case),
    })
}
