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

/// One report for a list.
fn duplicates(list: &[Expr], operator: PredicateOp, diagnostics: &mut Vec<Diagnostic>) {
    let mut seen: Vec<(String, Span)> = Vec::new();
    let mut repeated: Vec<(Span, Span)> = Vec::new();
    let mut edits = Vec::new();
    let mut before: Option<Span> = None;
    for element in list {
        if let Some(value) = key(element, operator) {
            match (seen.iter().find(|(other, _)| *other == value), before) {
                (Some((_, first)), Some(before)) => {
                    // From the end of the element before: the comma goes too.
                    let span = Span {
                        start: before.end,
                        end: element.span.end,
                    };
                    edits.push(Edit {
                        span,
                        replacement: String::new(),
                    });
                    repeated.push((element.span, *first));
                }
                _ => seen.push((value, element.span)),
            }
        }
        before = Some(element.span);
    }
    let Some(((span, first), others)) = repeated.split_first() else {
        return;
    };
    let mut diagnostic = Diagnostic::new(&codes::DUPLICATE_VALUE, *span, "the list has this value already")
        .with_secondary(*first, "here");
    for (other, _) in others {
        diagnostic = diagnostic.with_secondary(*other, "this one too");
    }
    diagnostics.push(diagnostic.with_fix("remove what is there twice", edits, Applicability::Sure));
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
        let (text, _) = fixed("any where process.pid in (1, 2, 1, 1)", "duplicate-value");
        assert_eq!(text, "any where process.pid in (1, 2)");
    }
}
