//! Expressions inside a leaf, made ready to run.

use neph_event::{Row, Slot, Value, ValueRef};
use neph_plan::{
    Arithmetic, Case, Expr, FieldId, Function, Relation, TimePart, arithmetic, functions, regex,
};
use smallvec::SmallVec;

use crate::scratch::Scratch;
use crate::text::{TextSet, TextSetBuilder, fold_into};
use crate::values;

/// So many choices of values are tried for one expression and event.
const MAX_CHOICES: u64 = 10_000;

/// An expression with the slots that it reads.
#[derive(Debug)]
pub(crate) struct Expression {
    /// The distinct slots, in order of first use; [`Op::Field`] points here.
    slots: Vec<Slot>,
    root: Op,
    cost: f32,
    /// Of the slots those without which it is not true.
    needed: Vec<Slot>,
}

/// One choice of a value for each of the expression's slots.
pub(crate) type Choice<'a> = SmallVec<[Option<ValueRef<'a>>; 2]>;

#[derive(Debug)]
enum Op {
    Const(Option<Value>),
    Field(usize),
    Arithmetic(Arithmetic, Box<Op>, Box<Op>),
    Negate(Box<Op>),
    Equals(Box<Op>, Box<Op>),
    Compare(Relation, Box<Op>, Box<Op>),
    In(Box<Op>, Vec<Op>, Case),
    Like(Box<Op>, Box<TextSet>, Case),
    Regex(Box<Op>, regex::Regex),
    IsNull(Box<Op>),
    And(Vec<Op>),
    Or(Vec<Op>),
    Not(Box<Op>),
    TimePart(TimePart, Box<Op>),
    Call(Function, Vec<Op>, Case),
}

/// A value that an operation gave: one of the record or the rule, or a new one.
enum Computed<'a> {
    Borrowed(ValueRef<'a>),
    Owned(Value),
}

impl Computed<'_> {
    fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Borrowed(value) => *value,
            Self::Owned(value) => value.as_ref(),
        }
    }

    fn truth(&self) -> Option<bool> {
        match self.as_ref() {
            ValueRef::Bool(truth) => Some(truth),
            _ => None,
        }
    }
}

fn computed(truth: Option<bool>) -> Option<Computed<'static>> {
    truth.map(|truth| Computed::Borrowed(ValueRef::Bool(truth)))
}

impl Expression {
    /// Makes an expression ready whose field ids are slots.
    pub(crate) fn new(expr: &Expr) -> Result<Self, regex::RegexError> {
        let mut slots = Vec::new();
        let mut cost = 20.0;
        let root = Op::new(expr, &mut slots, &mut cost)?;
        let mut needed = Vec::new();
        root.is_true_only_with(&mut needed);
        let needed = needed
            .into_iter()
            .filter_map(|at| slots.get(at).copied())
            .collect();
        Ok(Self {
            slots,
            root,
            cost,
            needed,
        })
    }

    /// The slots that it reads, in the order of a [`Choice`].
    pub(crate) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// What asking costs, in the unit of [`crate::nodes::Estimate::cost`].
    pub(crate) fn cost(&self) -> f32 {
        self.cost
    }

    /// Whether some choice of one value per field makes the expression true.
    pub(crate) fn holds(&self, row: &Row, scratch: &mut Scratch) -> bool {
        self.needed.iter().all(|slot| row.has(*slot))
            && self.find(row, &mut scratch.untried_choices).is_some()
    }

    /// The first choice that makes the expression true. Choices beyond [`MAX_CHOICES`] are not tried but counted.
    pub(crate) fn find<'r>(&self, row: &'r Row, untried: &mut u64) -> Option<Choice<'r>> {
        let offers: SmallVec<[SmallVec<[Option<ValueRef<'r>>; 4]>; 2]> = self
            .slots
            .iter()
            .map(|slot| {
                let values = row.values(*slot);
                if values.len() == 0 {
                    SmallVec::from_slice(&[None])
                } else {
                    values.map(Some).collect()
                }
            })
            .collect();
        let total = offers
            .iter()
            .fold(1_u64, |product, offer| product.saturating_mul(offer.len() as u64));
        for number in 0..total.min(MAX_CHOICES) {
            let mut rest = number;
            let choice: Choice<'r> = offers
                .iter()
                .map(|offer| {
                    let count = offer.len() as u64;
                    let at = usize::try_from(rest % count).unwrap_or(0);
                    rest /= count;
                    offer.get(at).copied().flatten()
                })
                .collect();
            if self.root.run(&choice).and_then(|result| result.truth()) == Some(true) {
                return Some(choice);
            }
        }
        *untried = untried.saturating_add(total.saturating_sub(MAX_CHOICES));
        None
    }
}

impl Op {
    fn new(expr: &Expr, slots: &mut Vec<Slot>, cost: &mut f32) -> Result<Self, regex::RegexError> {
        *cost += 4.0;
        let mut op = |expr: &Expr| Self::new(expr, slots, cost);
        Ok(match expr {
            Expr::Const(value) => Self::Const(value.clone()),
            Expr::Field(FieldId(slot)) => {
                let slot = Slot(*slot);
                let at = slots.iter().position(|known| *known == slot).unwrap_or_else(|| {
                    slots.push(slot);
                    slots.len() - 1
                });
                Self::Field(at)
            }
            Expr::Arithmetic(operator, a, b) => {
                Self::Arithmetic(*operator, Box::new(op(a)?), Box::new(op(b)?))
            }
            Expr::Negate(a) => Self::Negate(Box::new(op(a)?)),
            Expr::Equals(a, b) => Self::Equals(Box::new(op(a)?), Box::new(op(b)?)),
            Expr::Compare(relation, a, b) => Self::Compare(*relation, Box::new(op(a)?), Box::new(op(b)?)),
            Expr::In(a, list, case) => Self::In(
                Box::new(op(a)?),
                list.iter().map(op).collect::<Result<_, _>>()?,
                *case,
            ),
            Expr::Like(a, patterns, case) => {
                let mut set = TextSetBuilder::new(*case);
                patterns.iter().for_each(|pattern| set.like(pattern));
                Self::Like(Box::new(op(a)?), Box::new(set.build()), *case)
            }
            Expr::Regex(a, expressions, dialect, case) => {
                Self::Regex(Box::new(op(a)?), regex::compile(expressions, *dialect, *case)?)
            }
            Expr::IsNull(a) => Self::IsNull(Box::new(op(a)?)),
            Expr::And(list) => Self::And(list.iter().map(op).collect::<Result<_, _>>()?),
            Expr::Or(list) => Self::Or(list.iter().map(op).collect::<Result<_, _>>()?),
            Expr::Not(a) => Self::Not(Box::new(op(a)?)),
            Expr::TimePart(part, a) => Self::TimePart(*part, Box::new(op(a)?)),
            Expr::Call(function, list, case) => {
                Self::Call(*function, list.iter().map(op).collect::<Result<_, _>>()?, *case)
            }
        })
    }

    /// Gathers fields that have a value wherever this is true.
    fn is_true_only_with(&self, fields: &mut Vec<usize>) {
        match self {
            Self::Equals(a, b) | Self::Compare(_, a, b) => {
                a.is_value_only_with(fields);
                b.is_value_only_with(fields);
            }
            Self::In(a, list, _) => {
                a.is_value_only_with(fields);
                if let [only] = &**list {
                    only.is_value_only_with(fields);
                }
            }
            Self::And(list) => list.iter().for_each(|part| part.is_true_only_with(fields)),
            _ => {}
        }
    }

    /// Gathers fields that have a value wherever this has one.
    fn is_value_only_with(&self, fields: &mut Vec<usize>) {
        match self {
            Self::Field(at) => fields.push(*at),
            Self::TimePart(_, a) => a.is_value_only_with(fields),
            _ => {}
        }
    }

    /// The value under this choice; `None` is null.
    fn run<'a>(&'a self, choice: &[Option<ValueRef<'a>>]) -> Option<Computed<'a>> {
        match self {
            Self::Const(value) => value.as_ref().map(|value| Computed::Borrowed(value.as_ref())),
            Self::Field(at) => choice.get(*at).copied().flatten().map(Computed::Borrowed),
            Self::Arithmetic(operator, a, b) => {
                let (a, b) = (a.run(choice), b.run(choice));
                let result = arithmetic::arithmetic(
                    *operator,
                    a.as_ref().map(Computed::as_ref),
                    b.as_ref().map(Computed::as_ref),
                );
                result.map(Computed::Owned)
            }
            Self::Negate(a) => {
                arithmetic::negate(a.run(choice).as_ref().map(Computed::as_ref)).map(Computed::Owned)
            }
            Self::Equals(a, b) => {
                let (a, b) = (a.run(choice)?, b.run(choice)?);
                computed(Some(values::equal(a.as_ref(), b.as_ref(), Case::Sensitive)))
            }
            Self::Compare(relation, a, b) => {
                let (a, b) = (a.run(choice)?, b.run(choice)?);
                let order = values::compare(a.as_ref(), b.as_ref());
                computed(order.map(|order| values::relates(*relation, order)))
            }
            Self::In(a, list, case) => {
                let a = a.run(choice)?;
                computed(any(list.iter().map(|item| {
                    item.run(choice)
                        .map(|item| values::equal(a.as_ref(), item.as_ref(), *case))
                })))
            }
            Self::Like(a, set, case) => {
                let mut folded = String::new();
                with_text(a.run(choice)?.as_ref(), |text| {
                    fold_into(text, *case, &mut folded)
                });
                computed(Some(set.contains(&folded)))
            }
            Self::Regex(a, regex) => {
                let mut truth = false;
                with_text(a.run(choice)?.as_ref(), |text| truth = regex.is_match(text));
                computed(Some(truth))
            }
            Self::IsNull(a) => computed(Some(a.run(choice).is_none())),
            Self::And(list) => {
                // By De Morgan, so that null is treated in one place.
                let denied = any(list
                    .iter()
                    .map(|item| item.run(choice).and_then(|item| item.truth()).map(|truth| !truth)));
                computed(denied.map(|denied| !denied))
            }
            Self::Or(list) => computed(any(list
                .iter()
                .map(|item| item.run(choice).and_then(|item| item.truth())))),
            Self::Not(a) => computed(a.run(choice)?.truth().map(|truth| !truth)),
            Self::TimePart(part, a) => {
                let time = values::instant(a.run(choice)?.as_ref())?;
                part.of(time).map(|number| Computed::Owned(Value::Long(number)))
            }
            Self::Call(function, list, case) => {
                let arguments: SmallVec<[Option<Computed<'_>>; 4]> =
                    list.iter().map(|item| item.run(choice)).collect();
                let borrowed: SmallVec<[Option<ValueRef<'_>>; 4]> = arguments
                    .iter()
                    .map(|argument| argument.as_ref().map(Computed::as_ref))
                    .collect();
                functions::call(*function, &borrowed, *case).map(Computed::Owned)
            }
        }
    }
}

/// Three-valued or: true if one is true, else null if one is null.
fn any(truths: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut result = Some(false);
    for truth in truths {
        match truth {
            Some(true) => return Some(true),
            Some(false) => {}
            None => result = None,
        }
    }
    result
}

/// Hands on the text form of a value.
fn with_text(value: ValueRef<'_>, mut take: impl FnMut(&str)) {
    match value {
        ValueRef::String(text) | ValueRef::Version(text) => take(text),
        other => take(&other.to_string()),
    }
}
