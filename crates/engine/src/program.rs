//! All rules as one program.

use std::hash::Hash;
use std::sync::Arc;

use ahash::AHashMap;
use neph_event::{ANY_FIELD, Field, FieldType, Slot, Slots};
use neph_plan::{CandidateEvents, Candidates, Condition, Correlation, FieldId, Key, Plan, Query, Span};
use smallvec::SmallVec;

use crate::RuleIndex;
use crate::nodes::{ConditionError, NodeId, Nodes, NodesBuilder};
use crate::route::Routing;

/// The plans of all rules, compiled to be run together: their fields merged, equal tests and equal parts of conditions
/// shared. Immutable, so that threads share one.
#[derive(Debug)]
pub struct Program {
    pub(crate) slots: Slots,
    pub(crate) nodes: Nodes,
    pub(crate) stages: Vec<CompiledStage>,
    pub(crate) rules: Vec<CompiledRule>,
    /// What stages join by, each once; [`CompiledStage::join`] counts them.
    pub(crate) joins: Vec<Box<[CompiledKey]>>,
    /// What rules order events by, each once; [`CompiledRule::order`] counts them.
    pub(crate) orders: Vec<CompiledOrder>,
    pub(crate) routing: Routing,
    pub(crate) whole: Whole,
    /// Number of exceptions; [`CompiledRule::exceptions`] count them.
    pub(crate) exceptions: usize,
    /// The slots of [`Program::watch`].
    pub(crate) watched: Vec<Slot>,
    /// Slot of `_id`.
    pub(crate) id: Slot,
    /// Slot of `_index`.
    pub(crate) index: Slot,
    /// Slot of `_made`.
    pub(crate) made: Slot,
}

/// Slots that hold every value of a record ([`neph_event::ANY_FIELD`]). Few rules ask for them, so that they are read apart,
/// and only for events that such a rule may be about.
#[derive(Debug, Default)]
pub(crate) struct Whole {
    /// What is read: one such field for each of `slots`.
    pub(crate) slots_read: Slots,
    /// The slots of the program, in the same order.
    pub(crate) slots: Vec<Slot>,
    /// Whether they are read for every event.
    pub(crate) always: bool,
}

impl Whole {
    /// The slot of a field of a plan.
    pub(crate) fn slot(&mut self, field: &Arc<Field>, slots: &mut Slots) -> Slot {
        if *field.path != *ANY_FIELD {
            return slots.add(Arc::clone(field));
        }
        let read = self.slots_read.add(Arc::clone(field));
        if let Some(known) = self.slots.get(read.0 as usize) {
            return *known;
        }
        let slot = slots.add_unread(Arc::clone(field));
        self.slots.push(slot);
        slot
    }
}

/// One condition of one rule that yields step matches.
#[derive(Debug)]
pub(crate) struct CompiledStage {
    pub(crate) rule: RuleIndex,
    pub(crate) step: u16,
    pub(crate) condition: NodeId,
    /// What it joins by, among [`Program::joins`].
    pub(crate) join: u32,
    /// Whether it must not happen, so that only the time of its events counts.
    pub(crate) is_missing: bool,
    /// The field whose values are counted or measured: the first of these that has one.
    pub(crate) counted: Box<[Slot]>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CompiledKey {
    /// The first of these that has a value counts; a key without any is always null.
    pub(crate) slots: SmallVec<[Slot; 1]>,
    pub(crate) optional: bool,
}

/// The fields that a rule orders events by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CompiledOrder {
    pub(crate) time: Option<Slot>,
    pub(crate) tiebreaker: Option<Slot>,
}

/// What a rule's stages have in common.
#[derive(Debug)]
pub(crate) struct CompiledRule {
    /// What it orders events by, among [`Program::orders`].
    pub(crate) order: u32,
    /// Whether events without time cannot take part.
    pub(crate) ordered: bool,
    pub(crate) failing_indices: Box<[Box<str>]>,
    /// Events that the rule is not to see: a condition, and which exception it is.
    pub(crate) exceptions: Vec<(NodeId, u32)>,
}

/// Values, each once, in the order in which they came.
#[derive(Debug)]
struct Numbered<T> {
    all: Vec<T>,
    numbers: AHashMap<T, u32>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self {
            all: Vec::new(),
            numbers: AHashMap::new(),
        }
    }
}

impl<T: Clone + Eq + Hash> Numbered<T> {
    fn number(&mut self, value: T) -> u32 {
        let next = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        *self.numbers.entry(value).or_insert_with_key(|value| {
            self.all.push(value.clone());
            next
        })
    }
}

/// Events that some rules are not to see: none of their steps is satisfied by an event that satisfies the condition.
/// However many rules it is for, its condition is compiled and evaluated once.
#[derive(Clone, Debug)]
pub struct Exception<'p> {
    /// The fields that the condition reads.
    pub fields: &'p [Arc<Field>],
    /// The condition.
    pub condition: &'p Condition,
    /// The rules.
    pub rules: &'p [RuleIndex],
}

/// A rule that cannot run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct CompileError {
    /// The rule.
    pub rule: RuleIndex,
    /// The place in its query, where there is one.
    pub span: Option<Span>,
    /// Why.
    #[source]
    pub reason: ConditionError,
}

impl Program {
    /// Compiles plans; a plan's position is its [`RuleIndex`]. A rule that cannot be compiled keeps its position, matches
    /// nothing, and is told of; the others run.
    pub fn compile<'p>(plans: impl IntoIterator<Item = &'p Plan>) -> (Self, Vec<CompileError>) {
        let (program, errors, _) = Self::compile_excepting(plans, &[]);
        (program, errors)
    }

    /// The same with exceptions; [`Matcher::excepted`](crate::Matcher::excepted) counts by their positions. One that cannot
    /// be compiled excepts nothing and is told of, by its position.
    pub fn compile_excepting<'p>(
        plans: impl IntoIterator<Item = &'p Plan>,
        exceptions: &'p [Exception<'p>],
    ) -> (Self, Vec<CompileError>, Vec<(usize, ConditionError)>) {
        let mut slots = Slots::default();
        let [id, index, made] = reserved(&mut slots);
        let mut nodes = NodesBuilder::default();
        let mut whole = Whole::default();
        let mut by_place: AHashMap<usize, Slot> = AHashMap::new();
        let mut stages = Vec::new();
        let mut rules: Vec<CompiledRule> = Vec::new();
        let (mut joins, mut orders) = (Numbered::default(), Numbered::default());
        let mut errors = Vec::new();
        for (number, plan) in (0_u32..).zip(plans) {
            let rule = RuleIndex(number);
            let fields = plan.fields.iter();
            // Rules share fields, which live as long as the plans.
            let known = |field: &'p Arc<Field>| {
                let place = Arc::as_ptr(field).addr();
                *by_place
                    .entry(place)
                    .or_insert_with(|| whole.slot(field, &mut slots))
            };
            let map: Vec<Slot> = fields.map(known).collect();
            let slot = |field: FieldId| map.get(field.0 as usize).copied();
            rules.push(CompiledRule {
                order: orders.number(CompiledOrder {
                    time: slot(plan.time),
                    tiebreaker: plan.tiebreaker.and_then(slot),
                }),
                ordered: !matches!(plan.query, Query::Events(_) | Query::Sample(_)),
                failing_indices: plan.failing_indices.clone().into(),
                exceptions: Vec::new(),
            });
            match compile_stages(rule, plan, &map, &slots, &mut nodes, &mut joins) {
                Ok(compiled) => stages.extend(compiled),
                Err((span, reason)) => errors.push(CompileError { rule, span, reason }),
            }
        }
        let mut refused = Vec::new();
        for (number, exception) in exceptions.iter().enumerate() {
            let fields = exception.fields.iter();
            let map: Vec<Slot> = fields.map(|field| whole.slot(field, &mut slots)).collect();
            whole.always |= map.iter().any(|slot| whole.slots.contains(slot));
            match nodes.add(exception.condition, &map, &slots) {
                Ok(condition) => {
                    let position = u32::try_from(number).unwrap_or(u32::MAX);
                    for rule in exception.rules {
                        if let Some(rule) = rules.get_mut(rule.0 as usize) {
                            rule.exceptions.push((condition, position));
                        }
                    }
                }
                Err((_, reason)) => refused.push((number, reason)),
            }
        }
        let conditions: Vec<NodeId> = stages
            .iter()
            .map(|stage: &CompiledStage| stage.condition)
            .collect();
        let nodes = nodes.build();
        let keyed = |slot: &Slot| whole.slots.contains(slot);
        let (joins, orders) = (joins.all, orders.all);
        let keys = joins.iter().flatten().flat_map(|key: &CompiledKey| &key.slots);
        let counted = stages.iter().flat_map(|stage: &CompiledStage| &stage.counted);
        whole.always |= keys.chain(counted).any(keyed);
        let routing = Routing::new(conditions, &nodes, &whole.slots);
        (
            Self {
                slots,
                nodes,
                stages,
                rules,
                joins,
                orders,
                routing,
                whole,
                exceptions: exceptions.len(),
                watched: Vec::new(),
                id,
                index,
                made,
            },
            errors,
            refused,
        )
    }

    /// Reads these fields too, whatever rules ask for; [`Matcher::has_watched`](crate::Matcher::has_watched) says by
    /// their positions whether a record has them.
    pub fn watch(&mut self, fields: impl IntoIterator<Item = Field>) {
        self.watched = fields.into_iter().map(|field| self.slots.add(field)).collect();
    }

    /// The fields that the program reads.
    pub fn slots(&self) -> &Slots {
        &self.slots
    }

    /// Whether all values of every event are looked at. Where only some events are looked at as a whole, the matcher asks for these
    /// ([`Matcher::matches_written`](crate::Matcher::matches_written)).
    pub fn reads_all(&self) -> bool {
        self.whole.always
    }

    /// Number of rules, those that cannot run included.
    pub fn rules(&self) -> usize {
        self.rules.len()
    }

    /// Number of distinct tests, each of which is evaluated at most once per event.
    pub fn tests(&self) -> usize {
        self.nodes.tests()
    }
}

/// The fields that every program reads: `_id`, `_index`, and `_made`, which only documents have that were made of a record here.
pub(crate) fn reserved(slots: &mut Slots) -> [Slot; 3] {
    ["_id", "_index", "_made"].map(|path| slots.add(Field::new(path, FieldType::Keyword)))
}

fn compile_stages<'p>(
    rule: RuleIndex,
    plan: &'p Plan,
    map: &[Slot],
    slots: &Slots,
    nodes: &mut NodesBuilder<'p>,
    joins: &mut Numbered<Box<[CompiledKey]>>,
) -> Result<Vec<CompiledStage>, (Option<Span>, ConditionError)> {
    let slot = |field: &FieldId| {
        let found = map.get(field.0 as usize).copied();
        found.ok_or((None, ConditionError::NoSuchField))
    };
    let mut compiled = Vec::new();
    for (number, step) in (0_u16..).zip(steps(&plan.query)) {
        let condition = nodes.add(step.condition, map, slots)?;
        let mut keys = Vec::with_capacity(step.keys.len());
        for key in step.keys {
            keys.push(CompiledKey {
                slots: key.fields.iter().map(slot).collect::<Result<_, _>>()?,
                optional: key.optional,
            });
        }
        compiled.push(CompiledStage {
            rule,
            step: number,
            condition,
            join: joins.number(keys.into()),
            is_missing: step.is_missing,
            counted: step.counted.iter().map(slot).collect::<Result<_, _>>()?,
        });
    }
    Ok(compiled)
}

/// A condition of a query, and what is read of the events that satisfy it.
pub(crate) struct Step<'p> {
    pub(crate) condition: &'p Condition,
    keys: Vec<StepKey<'p>>,
    counted: &'p [FieldId],
    is_missing: bool,
}

struct StepKey<'p> {
    fields: &'p [FieldId],
    optional: bool,
}

impl<'p> Step<'p> {
    fn new(condition: &'p Condition, keys: &'p [Key], counted: Option<&'p Key>) -> Self {
        let keys = keys.iter().map(|key| StepKey {
            fields: key.field.as_slice(),
            optional: key.optional,
        });
        Self {
            condition,
            keys: keys.collect(),
            counted: counted.map_or(&[], |key| key.field.as_slice()),
            is_missing: false,
        }
    }

    /// Only the values of its own group must be there.
    fn of_candidates(events: &'p CandidateEvents, group: usize) -> Self {
        let keys = events.keys.iter().flatten().enumerate();
        let keys = keys.map(|(position, key)| StepKey {
            fields: &key.0,
            optional: position >= group,
        });
        Self {
            condition: &events.condition,
            keys: keys.collect(),
            counted: &events.measured.0,
            is_missing: false,
        }
    }
}

/// The steps of a query in the order of their numbers; `until` comes last.
pub(crate) fn steps(query: &Query) -> Vec<Step<'_>> {
    match query {
        Query::Events(events) => vec![Step::new(&events.condition, &[], None)],
        Query::Sequence(sequence) => {
            let stages = sequence.stages.iter().chain(&sequence.until);
            stages
                .map(|stage| Step {
                    is_missing: stage.missing,
                    ..Step::new(&stage.condition, &stage.keys, None)
                })
                .collect()
        }
        Query::Sample(sample) => sample
            .stages
            .iter()
            .map(|stage| Step::new(&stage.condition, &stage.keys, None))
            .collect(),
        Query::FirstSeen(first_seen) => {
            vec![Step::new(&first_seen.condition, &first_seen.fields, None)]
        }
        Query::Aggregate(aggregate) => {
            let counted = aggregate.distinct.as_ref().map(|distinct| &distinct.field);
            vec![Step::new(&aggregate.condition, &aggregate.group, counted)]
        }
        Query::Correlation(correlation) => {
            let mut found = Vec::new();
            candidates(correlation, &mut found);
            found
        }
    }
}

fn candidates<'p>(correlation: &'p Correlation, found: &mut Vec<Step<'p>>) {
    for source in &correlation.sources {
        match &source.candidates {
            Candidates::Events(events) => found.push(Step::of_candidates(events, correlation.group.len())),
            Candidates::Matches(inner) => candidates(inner, found),
        }
    }
}
