//! A list that has a value twice.

use neph_diag::{Applicability, Diagnostic, Edit, Span};

use super::Checked;
use crate::ast::{Expr, ExprKind, Literal, PredicateOp};
use crate::codes;

pub(super) fn check(checked: &Checked<'_, '_>, diagnostics: &mut Vec<Diagnostic>) {
    for event_query in checked.query.event_queries() {
        event_query.condition.walk(&mut |expr| {
            if let ExprKind::Predicate(predicate) = &expr.kind {
                duplicates(&predicate.list, predicate.operator, diagnostics);
            }
        });
    }
}

fn duplicates(list: &[Expr], operator: PredicateOp, diagnostics: &mut Vec<Diagnostic>) {
    let mut seen: Vec<(String, Span)> = Vec::new();
    let mut previous: Option<Span> = None;
    for element in list {
        let Some(value) = key(element, operator) else {
            previous = Some(element.span);
            continue;
        };
        match (seen.iter().find(|(other, _)| *other == value), previous) {
            (Some((_, first)), Some(before)) => {
                // From the end of the element before: the comma goes too.
                let span = Span {
                    start: before.end,
                    end: element.span.end,
                };
                diagnostics.push(
                    Diagnostic::new(
                        &codes::DUPLICATE_VALUE,
                        element.span,
                        "the list has this value already",
                    )
                    .with_secondary(*first, "here")
                    .with_fix(
                        "remove it",
                        vec![Edit {
                            span,
                            replacement: String::new(),
                        }],
                        Applicability::Sure,
                    ),
                );
            }
            _ => seen.push((value, element.span)),
        }
        previous = Some(element.span);
    }
}

/// What makes two elements the same.
fn key(element: &Expr, operator: PredicateOp) -> Option<String> {
    let ExprKind::Literal(literal) = &element.kind else {
        return None;
    };
    Some(match literal {
        Literal::Null => "null".to_owned(),
        Literal::Bool(truth) => truth.to_string(),
        Literal::Integer(number) => number.to_string(),
        Literal::Decimal(number) => number.to_string(),
        Literal::String { value, .. } => match operator {
            PredicateOp::In | PredicateOp::Like | PredicateOp::Regex | PredicateOp::RegexInsensitive => {
                format!("\"{value}")
            }
            PredicateOp::InInsensitive | PredicateOp::Matches | PredicateOp::LikeInsensitive => {
                format!("\"{}", value.to_ascii_lowercase())
            }
        },
    })
}

#[cfg(test)]
mod tests {
    use crate::lints::test_support::{fixed, found};

    #[test]
    fn the_second_of_two_equal_values_goes() {
        let (text, sure) = fixed(
            "any where process.name : (\"a\", \"b\",\n  \"A\", \"c\")",
            "duplicate-value",
        );
        assert_eq!(
            (text.as_str(), sure),
            ("any where process.name : (\"a\", \"b\", \"c\")", true)
        );
        assert!(found("any where process.name in (\"a\", \"A\")", "duplicate-value").is_empty());
        assert_eq!(
            found("any where process.pid in (1, 2, 1, 1)", "duplicate-value").len(),
            2
        );
    }
}
