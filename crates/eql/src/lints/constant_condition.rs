//! Conditions that are always or never true.
//!
//! Some fold to a constant as they stand (`1 == 2`), others contradict each other: a field of a single value cannot equal
//! two values at once, and no number lies in an empty range. Contradictions are looked for only on fields that are
//! known to have one value; on others each condition may hold for a value of its own.

use neph_diag::{Diagnostic, Span};
use neph_event::Value;
use neph_plan::{Case, Condition, FieldId, Relation, Test};

use super::Checked;
use crate::ast::{Expr, ExprKind};
use crate::codes;

/// Fields that have one value in every event of every source.
const SINGLE: &[&str] = &[
    "@timestamp",
    "destination.port",
    "event.code",
    "event.dataset",
    "event.id",
    "event.kind",
    "event.outcome",
    "event.provider",
    "file.extension",
    "file.name",
    "file.path",
    "file.size",
    "host.id",
    "host.name",
    "host.os.family",
    "host.os.type",
    "process.command_line",
    "process.entity_id",
    "process.executable",
    "process.exit_code",
    "process.name",
    "process.parent.command_line",
    "process.parent.entity_id",
    "process.parent.executable",
    "process.parent.name",
    "process.parent.pid",
    "process.pid",
    "source.port",
    "user.id",
    "user.name",
];

pub(super) fn check(checked: &Checked<'_, '_>, diagnostics: &mut Vec<Diagnostic>) {
    for (span, truth) in &checked.binder.folded {
        let message = match truth {
            Some(true) => "this condition is always true",
            Some(false) => "this condition is never true",
            None => "this condition is null, which counts as false",
        };
        diagnostics.push(Diagnostic::new(&codes::CONSTANT_CONDITION, *span, message));
    }
    for condition in checked.plan.query.conditions() {
        contradictions(condition, checked, diagnostics);
    }
    for event_query in checked.query.event_queries() {
        event_query
            .condition
            .walk(&mut |expr| diagnostics.extend(tautology(expr, checked.text)));
    }
}

fn contradictions(condition: &Condition, checked: &Checked<'_, '_>, diagnostics: &mut Vec<Diagnostic>) {
    match condition {
        Condition::And(parts) => {
            let mut constraints: Vec<(FieldId, Constraint)> = Vec::new();
            for part in parts {
                let Some((field, constraint)) = constraint_of(part, checked) else {
                    continue;
                };
                match constraints.iter_mut().find(|(other, _)| *other == field) {
                    None => constraints.push((field, constraint)),
                    Some((_, known)) => {
                        let before = known.span;
                        if !known.narrow(constraint.clone()) {
                            let name = checked.plan.field(field).map_or("", |field| &field.path);
                            diagnostics.push(
                                Diagnostic::new(
                                    &codes::CONSTANT_CONDITION,
                                    constraint.span,
                                    format!("no value of `{name}` meets this and an earlier condition"),
                                )
                                .with_secondary(before, "the earlier condition"),
                            );
                            *known = constraint;
                        }
                    }
                }
            }
            parts
                .iter()
                .for_each(|part| contradictions(part, checked, diagnostics));
        }
        Condition::Or(parts) => parts
            .iter()
            .for_each(|part| contradictions(part, checked, diagnostics)),
        Condition::Not(part) => contradictions(part, checked, diagnostics),
        Condition::Const(_) | Condition::Leaf(_) => {}
    }
}

/// What a condition leaves of a field's values.
#[derive(Clone)]
struct Constraint {
    span: Span,
    /// One of these, where only these are left.
    among: Option<Vec<Value>>,
    low: Option<(Value, bool)>,
    high: Option<(Value, bool)>,
}

fn constraint_of(condition: &Condition, checked: &Checked<'_, '_>) -> Option<(FieldId, Constraint)> {
    let Condition::Leaf(leaf) = condition else {
        return None;
    };
    let field = leaf.test.field()?;
    let path = &checked.plan.field(field)?.path;
    if !SINGLE.contains(&&**path) {
        return None;
    }
    let mut constraint = Constraint {
        span: leaf.span,
        among: None,
        low: None,
        high: None,
    };
    match &leaf.test {
        Test::Equals(_, values, Case::Sensitive) => constraint.among = Some(values.to_vec()),
        Test::Compare(_, Relation::Less, value) => constraint.high = Some((value.clone(), false)),
        Test::Compare(_, Relation::LessOrEqual, value) => constraint.high = Some((value.clone(), true)),
        Test::Compare(_, Relation::Greater, value) => constraint.low = Some((value.clone(), false)),
        Test::Compare(_, Relation::GreaterOrEqual, value) => constraint.low = Some((value.clone(), true)),
        _ => return None,
    }
    Some((field, constraint))
}

impl Constraint {
    /// Takes another constraint in; false where nothing is left.
    fn narrow(&mut self, other: Self) -> bool {
        self.low = tighter(self.low.take(), other.low, std::cmp::Ordering::Greater);
        self.high = tighter(self.high.take(), other.high, std::cmp::Ordering::Less);
        self.among = match (self.among.take(), other.among) {
            (Some(mine), Some(others)) => {
                let shared = |value: &Value| {
                    others.iter().any(|other| {
                        value.as_ref().compare(other.as_ref()) == Some(std::cmp::Ordering::Equal)
                    })
                };
                Some(mine.into_iter().filter(shared).collect())
            }
            (mine, others) => mine.or(others),
        };
        let within = |value: &Value| {
            let above = self
                .low
                .as_ref()
                .is_none_or(|(low, included)| in_order(low, value, *included));
            let below = self
                .high
                .as_ref()
                .is_none_or(|(high, included)| in_order(value, high, *included));
            above && below
        };
        match (&self.among, &self.low, &self.high) {
            (Some(values), ..) => values.iter().any(within),
            (None, Some((low, a)), Some((high, b))) => in_order(low, high, *a && *b),
            _ => true,
        }
    }
}

fn in_order(low: &Value, high: &Value, may_equal: bool) -> bool {
    match low.as_ref().compare(high.as_ref()) {
        Some(std::cmp::Ordering::Less) | None => true,
        Some(std::cmp::Ordering::Equal) => may_equal,
        Some(std::cmp::Ordering::Greater) => false,
    }
}

fn tighter(
    mine: Option<(Value, bool)>,
    other: Option<(Value, bool)>,
    wins: std::cmp::Ordering,
) -> Option<(Value, bool)> {
    match (mine, other) {
        (Some(mine), Some(other)) => match other.0.as_ref().compare(mine.0.as_ref()) {
            Some(order) if order == wins => Some(other),
            Some(std::cmp::Ordering::Equal) => Some((mine.0, mine.1 && other.1)),
            _ => Some(mine),
        },
        (mine, other) => mine.or(other),
    }
}

/// `x or not x`.
fn tautology(expr: &Expr, text: &str) -> Option<Diagnostic> {
    let ExprKind::Or(parts) = &expr.kind else {
        return None;
    };
    let written = |expr: &Expr| expr.without_groups().span.text(text).to_owned();
    let negated: Vec<String> = parts
        .iter()
        .filter_map(|part| match &part.without_groups().kind {
            ExprKind::Not(inner) => Some(written(inner)),
            _ => None,
        })
        .collect();
    let contrary = parts.iter().find(|part| negated.contains(&written(part)))?;
    Some(
        Diagnostic::new(
            &codes::CONSTANT_CONDITION,
            expr.span,
            "this condition is always true",
        )
        .with_secondary(contrary.span, "this and its contrary are joined by `or`"),
    )
}

#[cfg(test)]
mod tests {
    use crate::lints::test_support::found;

    const CODE: &str = "constant-condition";

    fn count(condition: &str) -> usize {
        found(&format!("any where {condition}"), CODE).len()
    }

    #[test]
    fn constants_and_contradictions_are_reported() {
        assert_eq!(count("flag and 1 == 2"), 1);
        assert_eq!(count("length(\"abc\") == 3"), 1);
        assert_eq!(count("process.name == \"a\" and process.name == \"b\""), 1);
        assert_eq!(
            count("process.name in (\"a\", \"b\") and flag and process.name in (\"c\", \"d\")"),
            1
        );
        assert_eq!(count("process.pid > 5 and process.pid < 3"), 1);
        assert_eq!(count("process.pid > 5 and process.pid <= 5"), 1);
        assert_eq!(count("process.pid >= 10 and process.pid == 3"), 1);
        assert_eq!(count("flag or not flag"), 1);
    }

    #[test]
    fn what_can_hold_is_fine() {
        assert_eq!(count("true"), 0);
        assert_eq!(count("process.args == \"a\" and process.args == \"b\""), 0);
        assert_eq!(count("process.pid >= 5 and process.pid <= 5"), 0);
        assert_eq!(count("process.name == \"a\" or process.name == \"b\""), 0);
        assert_eq!(count("process.name : \"a\" and process.name : \"A\""), 0);
        assert_eq!(count("?missing == \"a\" or flag"), 0);
    }
}
