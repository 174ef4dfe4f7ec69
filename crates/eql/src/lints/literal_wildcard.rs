//! `*` in a value that is compared letter by letter.
//!
//! `==`, `!=`, `in` and functions never expand wildcards: `process.name == "power*"` matches a process of exactly that name.

use neph_diag::{Applicability, Diagnostic, Edit, Span};

use super::Checked;
use crate::ast::{CompareOp, Expr, ExprKind, Literal, Predicate, PredicateOp};
use crate::codes;

pub(super) fn check(checked: &Checked<'_, '_>, diagnostics: &mut Vec<Diagnostic>) {
    for event_query in checked.query.event_queries() {
        event_query
            .condition
            .walk(&mut |expr| diagnostics.extend(wildcard(expr)));
    }
}

fn wildcard(expr: &Expr) -> Option<Diagnostic> {
    match &expr.kind {
        ExprKind::Compare(
            operator @ (CompareOp::Equal | CompareOp::NotEqual),
            operator_span,
            left,
            right,
        ) => {
            let literal = [left, right].into_iter().find(|side| has_wildcard(side))?;
            let mut edits = vec![Edit {
                span: *operator_span,
                replacement: ":".to_owned(),
            }];
            if *operator == CompareOp::NotEqual {
                let start = Span {
                    start: expr.span.start,
                    end: expr.span.start,
                };
                edits.insert(
                    0,
                    Edit {
                        span: start,
                        replacement: "not ".to_owned(),
                    },
                );
            }
            // The pattern of `:` stands on the right.
            let fix = (literal.span == right.span).then_some(edits);
            Some(report(literal, operator.text(), ":", fix))
        }
        ExprKind::Predicate(Predicate {
            operator,
            operator_span,
            negated,
            list,
            ..
        }) => {
            let instead = match operator {
                PredicateOp::In => "like",
                PredicateOp::InInsensitive => ":",
                _ => return None,
            };
            let literal = list.iter().find(|element| has_wildcard(element))?;
            let edits = vec![Edit {
                span: *operator_span,
                replacement: instead.to_owned(),
            }];
            Some(report(
                literal,
                operator.text(),
                instead,
                (!negated).then_some(edits),
            ))
        }
        // A `*` alone in brackets looks like any element of a list; elsewhere in the texts of functions it is often meant,
        // as in masked secrets (`password=***`) and in names of wildcard records.
        ExprKind::Call(call) => {
            let in_brackets = |argument: &&Expr| match &argument.without_groups().kind {
                ExprKind::Literal(Literal::String { value, .. }) => value.contains("[*]"),
                _ => false,
            };
            let literal = call.arguments.iter().skip(1).find(in_brackets)?;
            Some(report(literal, &call.name, "like", None))
        }
        _ => None,
    }
}

fn has_wildcard(expr: &Expr) -> bool {
    match &expr.without_groups().kind {
        // A single `*` is a value of its own in permissions: any verb, any resource.
        ExprKind::Literal(Literal::String { value, .. }) => value.contains('*') && &**value != "*",
        _ => false,
    }
}

fn report(literal: &Expr, operator: &str, instead: &str, edits: Option<Vec<Edit>>) -> Diagnostic {
    let message = format!("`{operator}` takes the `*` in this value literally");
    let diagnostic = Diagnostic::new(&codes::LITERAL_WILDCARD, literal.span, message)
        .with_help("`:` and `like` expand `*` and `?`; `:` ignores case, `like` does not");
    match edits {
        Some(edits) => diagnostic.with_fix(format!("write `{instead}`"), edits, Applicability::Maybe),
        None => diagnostic,
    }
}

#[cfg(test)]
mod tests {
    use crate::lints::test_support::{fixed, found};

    const CODE: &str = "literal-wildcard";

    #[test]
    fn wildcards_that_never_expand_are_reported() {
        assert_eq!(
            fixed("any where process.name == \"a*\"", CODE),
            ("any where process.name : \"a*\"".to_owned(), false)
        );
        assert_eq!(
            fixed("any where process.name != \"a*\"", CODE).0,
            "any where not process.name : \"a*\""
        );
        assert_eq!(
            fixed("any where process.name in (\"b\", \"a*\")", CODE).0,
            "any where process.name like (\"b\", \"a*\")"
        );
        assert_eq!(found("any where process.name not in (\"a*\")", CODE).len(), 1);
    }

    #[test]
    fn a_star_in_brackets_is_reported_in_functions_too() {
        let query = "any where stringContains(process.name, \"add=[*]\")";
        assert_eq!(found(query, CODE).len(), 1);
        for fine in ["password=*", "DC=*,", "a[b]"] {
            let query = format!("any where startsWith(process.name, \"{fine}\")");
            assert!(found(&query, CODE).is_empty(), "{fine}");
        }
    }

    #[test]
    fn patterns_and_lone_stars_are_fine() {
        assert!(found("any where process.name : \"a*\" or process.name == \"*\"", CODE).is_empty());
    }
}
