//! `like` with patterns that have no wildcard.

use neph_diag::{Applicability, Diagnostic, Edit};

use super::Checked;
use crate::ast::{ExprKind, Literal, Predicate, PredicateOp};
use crate::codes;

pub(super) fn check(checked: &Checked<'_, '_>, diagnostics: &mut Vec<Diagnostic>) {
    for event_query in checked.query.event_queries() {
        event_query.condition.walk(&mut |expr| {
            if let ExprKind::Predicate(predicate) = &expr.kind {
                diagnostics.extend(redundant(predicate));
            }
        });
    }
}

fn redundant(predicate: &Predicate) -> Option<Diagnostic> {
    let instead = match (predicate.operator, predicate.list_span) {
        (PredicateOp::Like, None) => "==",
        (PredicateOp::Like, Some(_)) => "in",
        (PredicateOp::LikeInsensitive, None) => ":",
        (PredicateOp::LikeInsensitive, Some(_)) => "in~",
        _ => return None,
    };
    let plain = predicate.list.iter().all(|element| match &element.kind {
        ExprKind::Literal(Literal::String { value, .. }) => !value.contains(['*', '?']),
        _ => false,
    });
    if !plain || predicate.negated {
        return None;
    }
    let operator = predicate.operator.text();
    let message = format!("`{operator}` has no wildcard to expand");
    let edits = vec![Edit {
        span: predicate.operator_span,
        replacement: instead.to_owned(),
    }];
    Some(
        Diagnostic::new(&codes::REDUNDANT_LIKE, predicate.operator_span, message)
            .with_help(format!(
                "`{instead}` says the same; if a part of the value is enough, the pattern needs a `*`"
            ))
            .with_fix(format!("write `{instead}`"), edits, Applicability::Maybe),
    )
}

#[cfg(test)]
mod tests {
    use crate::lints::test_support::{fixed, found};

    const CODE: &str = "redundant-like";

    #[test]
    fn patterns_without_wildcards_are_reported() {
        assert_eq!(
            fixed("any where process.name like \"a\"", CODE).0,
            "any where process.name == \"a\""
        );
        assert_eq!(
            fixed("any where process.name like~ (\"a\", \"b\")", CODE).0,
            "any where process.name in~ (\"a\", \"b\")"
        );
        assert!(found("any where process.name like (\"a\", \"b*\")", CODE).is_empty());
        assert!(found("any where process.name : \"a\"", CODE).is_empty());
    }
}
