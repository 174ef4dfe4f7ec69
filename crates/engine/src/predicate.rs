//! Tests over slots, made ready to run.

use std::sync::Arc;

use neph_event::{Field, Row, Slot, Slots, Value, ValueRef};
use neph_plan::words::Phrases;
use neph_plan::{Case, FieldId, LookupTable, Relation, Test, functions, regex};

use crate::expression::{Choice, Expression};
use crate::networks::Networks;
use crate::nodes::{ConditionError, NodeId};
use crate::objects::ObjectTest;
use crate::scratch::Scratch;
use crate::text::{TextSet, TextSetBuilder, fold};
use crate::values::{self, ValueSet};

/// A test of an event's values. Most are of texts, so what is larger stands apart.
#[derive(Debug)]
pub(crate) enum Predicate {
    /// Nothing passes: no constant fits the field's type.
    Never,
    Exists(Slot),
    /// A value's text, in one of the slots, is in the set.
    Text(Box<[Slot]>, Arc<TextSet>),
    Value(Slot, Box<ValueSet>),
    Compare(Slot, Relation, Value),
    /// A value's text, in one of the slots, matches.
    Regex(Box<[Slot]>, Arc<regex::Regex>),
    Network(Slot, Box<Networks>),
    Words(Slot, Box<Phrases>),
    /// A row of the table agrees with the slots, one for each column.
    Lookup(Box<[Slot]>, Arc<LookupTable>),
    /// One object of a list satisfies a condition.
    Objects(Box<ObjectTest>),
    Expression(Box<Expression>),
}

impl Predicate {
    /// Makes a test ready whose field ids are slots.
    pub(crate) fn new(test: &Test, slots: &Slots) -> Result<Self, ConditionError> {
        let text_set = |field: &FieldId, case: &Case, fill: &dyn Fn(&mut TextSetBuilder)| {
            let mut set = TextSetBuilder::new(*case);
            fill(&mut set);
            Self::Text([slot(*field)].into(), Arc::new(set.build()))
        };
        let fallback = Field::new("", neph_event::FieldType::Dynamic);
        let field_of = |field: &FieldId| slots.field(slot(*field)).unwrap_or(&fallback);
        Ok(match test {
            Test::Exists(field) => Self::Exists(slot(*field)),
            Test::Equals(field, constants, case) => {
                let set = ValueSet::new(constants, field_of(field), *case);
                let text_only = set.is_text_only();
                match set {
                    set if set.is_empty() => Self::Never,
                    ValueSet {
                        texts: Some(texts), ..
                    } if text_only => Self::Text([slot(*field)].into(), Arc::new(texts)),
                    set => Self::Value(slot(*field), Box::new(set)),
                }
            }
            Test::Compare(field, relation, constant) => match values::coerce(constant, field_of(field)) {
                Some(constant) => Self::Compare(slot(*field), *relation, constant),
                None => Self::Never,
            },
            Test::Like(field, patterns, case) => text_set(field, case, &|set| {
                patterns.iter().for_each(|pattern| set.like(pattern))
            }),
            Test::StartsWith(field, texts, case) => text_set(field, case, &|set| {
                texts.iter().for_each(|text| set.starts_with(text))
            }),
            Test::EndsWith(field, texts, case) => text_set(field, case, &|set| {
                texts.iter().for_each(|text| set.ends_with(text))
            }),
            Test::Contains(field, texts, case) => {
                text_set(field, case, &|set| texts.iter().for_each(|text| set.holds(text)))
            }
            Test::Regex(field, expressions, dialect, case) => {
                let regex = regex::compile(expressions, *dialect, *case).map_err(ConditionError::Regex)?;
                Self::Regex([slot(*field)].into(), Arc::new(regex))
            }
            Test::Cidr(field, networks) => Self::Network(slot(*field), Box::new(Networks::new(networks))),
            Test::Words(field, phrases) => Self::Words(slot(*field), Box::new(Phrases::new(phrases))),
            Test::Lookup(lookup) => {
                let slots = lookup.fields.iter().map(|field| slot(*field)).collect();
                Self::Lookup(slots, Arc::clone(&lookup.table))
            }
            Test::Nested(nested) => Self::Objects(Box::new(ObjectTest::new(&nested.objects)?)),
            Test::Expr(expr) => {
                let expression = Expression::new(expr).map_err(ConditionError::Regex)?;
                Self::Expression(Box::new(expression))
            }
        })
    }

    /// Whether the test holds for the row's values: for any one of them, and never for a missing field (but for
    /// expressions, which see it as null). With the test's node, what it says of texts is remembered for events to come.
    pub(crate) fn holds(&self, node: Option<NodeId>, row: &Row, scratch: &mut Scratch) -> bool {
        match self {
            Self::Never => false,
            Self::Exists(slot) => row.has(*slot),
            Self::Text(slots, set) => slots.iter().any(|slot| {
                row.has(*slot)
                    && scratch.any_text_for(node, row, *slot, set.case(), |text| set.contains(text))
            }),
            Self::Value(slot, set) => {
                row.values(*slot).any(|value| set.contains(value))
                    || set.texts.as_ref().is_some_and(|texts| {
                        scratch.any_text(row, *slot, texts.case(), |text| texts.contains(text))
                    })
            }
            Self::Regex(slots, regex) => slots.iter().any(|slot| {
                row.has(*slot)
                    && scratch.any_text_for(node, row, *slot, Case::Sensitive, |text| regex.is_match(text))
            }),
            Self::Words(slot, phrases) => {
                scratch.any_text_for(node, row, *slot, Case::Sensitive, |text| phrases.is_in(text))
            }
            Self::Compare(slot, ..) | Self::Network(slot, _) => {
                row.values(*slot).any(|value| self.passes(value))
            }
            Self::Lookup(slots, table) => {
                let mut holds = false;
                table.find(
                    |column| slots.get(column).into_iter().flat_map(|slot| row.values(*slot)),
                    &mut |_| {
                        holds = true;
                        false
                    },
                );
                holds
            }
            Self::Objects(objects) => objects.holds(scratch.document()),
            Self::Expression(expression) => expression.holds(row, scratch),
        }
    }

    /// Whether a test of texts holds for the values of one of its slots.
    pub(crate) fn holds_in(&self, slot: Slot, row: &Row, scratch: &mut Scratch) -> bool {
        match self {
            Self::Text(_, set) => scratch.any_text(row, slot, set.case(), |text| set.contains(text)),
            Self::Regex(_, regex) => {
                scratch.any_text(row, slot, Case::Sensitive, |text| regex.is_match(text))
            }
            Self::Words(_, phrases) => {
                scratch.any_text(row, slot, Case::Sensitive, |text| phrases.is_in(text))
            }
            _ => false,
        }
    }

    /// Whether one value passes a test of one field; an expression has no such test.
    pub(crate) fn passes(&self, value: ValueRef<'_>) -> bool {
        let in_texts = |set: &TextSet| set.contains(&fold(&value.to_string(), set.case()));
        match self {
            Self::Never | Self::Expression(_) => false,
            // Which object a value belongs to is not to be seen in it; all of them are shown.
            Self::Objects(_) => true,
            Self::Exists(_) => true,
            Self::Text(_, set) => in_texts(set),
            Self::Value(_, set) => set.contains(value) || set.texts.as_ref().is_some_and(in_texts),
            Self::Compare(_, relation, constant) => values::compare(value, constant.as_ref())
                .is_some_and(|order| values::relates(*relation, order)),
            Self::Regex(_, regex) => regex.is_match(&value.to_string()),
            Self::Words(_, phrases) => phrases.is_in(&value.to_string()),
            Self::Lookup(_, table) => table.knows(value),
            Self::Network(_, networks) => {
                functions::address_of(value).is_some_and(|address| networks.contains(address))
            }
        }
    }

    /// For an expression that holds, the slots that it reads and the choice that makes it true.
    pub(crate) fn deciding_choice<'r>(&self, row: &'r Row) -> Option<(&[Slot], Choice<'r>)> {
        match self {
            Self::Expression(expression) => Some((expression.slots(), expression.find(row, &mut 0)?)),
            _ => None,
        }
    }

    /// The slots in one of which a value passes; none for tests that are no disjunction over single values.
    pub(crate) fn slots(&self) -> &[Slot] {
        match self {
            Self::Text(slots, _) | Self::Regex(slots, _) => slots,
            Self::Exists(slot)
            | Self::Value(slot, _)
            | Self::Compare(slot, ..)
            | Self::Network(slot, _)
            | Self::Words(slot, _) => std::slice::from_ref(slot),
            Self::Never | Self::Lookup(..) | Self::Objects(_) | Self::Expression(_) => &[],
        }
    }

    /// All slots that are read.
    pub(crate) fn reads(&self) -> &[Slot] {
        match self {
            Self::Lookup(slots, _) => slots,
            Self::Expression(expression) => expression.slots(),
            other => other.slots(),
        }
    }

    /// Roughly what asking costs, in nanoseconds.
    pub(crate) fn cost(&self) -> f32 {
        match self {
            Self::Never => 0.0,
            Self::Exists(_) => 1.0,
            Self::Text(slots, set) => {
                let folding = if set.case() == Case::Sensitive { 0.0 } else { 2.0 };
                set.cost() + folding + f32::from(u16::try_from(slots.len()).unwrap_or(u16::MAX))
            }
            Self::Value(_, set) => set.cost(),
            Self::Compare(..) => 3.0,
            Self::Regex(..) => 60.0,
            Self::Words(..) => 500.0,
            Self::Network(..) => 6.0,
            Self::Lookup(slots, _) => 30.0 * f32::from(u16::try_from(slots.len()).unwrap_or(u16::MAX)),
            Self::Objects(_) => 5_000.0,
            Self::Expression(expression) => expression.cost(),
        }
    }

    /// A guess at the share of events for which the test holds. Only the order of evaluation depends on it.
    pub(crate) fn likelihood(&self) -> f32 {
        match self {
            Self::Never => 0.0,
            Self::Exists(_) => 0.5,
            Self::Text(_, set) if set.is_exact() => 0.1,
            Self::Text(..) | Self::Value(..) => 0.15,
            Self::Compare(..) => 0.3,
            Self::Regex(..) | Self::Network(..) | Self::Words(..) | Self::Expression(_) => 0.2,
            Self::Lookup(..) => 0.01,
            Self::Objects(_) => 0.1,
        }
    }
}

fn slot(field: FieldId) -> Slot {
    Slot(field.0)
}
