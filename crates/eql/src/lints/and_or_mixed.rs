//! `and` and `or` side by side without parentheses.
//!
//! `a and b or c` is `(a and b) or c`; who wrote it often meant `a and (b or c)`, and the rule then matches far too much.
//! The fix keeps today's meaning and makes it visible.

use neph_diag::{Applicability, Diagnostic, Edit, Span};

use super::Checked;
use crate::ast::{Expr, ExprKind};
use crate::codes;

pub(super) fn check(checked: &Checked<'_, '_>, diagnostics: &mut Vec<Diagnostic>) {
    for event_query in checked.query.event_queries() {
        event_query.condition.walk(&mut |expr| {
            if let ExprKind::Or(parts) = &expr.kind {
                diagnostics.extend(mixed(parts));
            }
        });
    }
}

/// Reports the `and`s among the parts of an `or`.
fn mixed(parts: &[Expr]) -> Option<Diagnostic> {
    let ands: Vec<&Expr> = parts
        .iter()
        .filter(|part| matches!(part.kind, ExprKind::And(_)))
        .collect();
    let first = ands.first()?;
    let insert = |at: u32, text: &str| Edit {
        span: Span { start: at, end: at },
        replacement: text.to_owned(),
    };
    let edits = ands
        .iter()
        .flat_map(|part| [insert(part.span.start, "("), insert(part.span.end, ")")])
        .collect();
    let mut diagnostic = Diagnostic::new(
        &codes::AND_OR_MIXED,
        first.span,
        "`and` and `or` are mixed without parentheses",
    )
    .with_label("this `and` is one side of the `or`");
    for part in ands.iter().skip(1) {
        diagnostic = diagnostic.with_secondary(part.span, "and so is this one");
    }
    Some(
        diagnostic
            .with_help("`and` binds tighter than `or`: a condition joined by `or` need not meet what stands before the `and`")
            .with_fix("put parentheses round the `and`, which keeps the meaning", edits, Applicability::Sure),
    )
}

#[cfg(test)]
mod tests {
    use crate::lints::test_support::{fixed, found};

    #[test]
    fn mixed_operators_are_reported_once_for_each_or() {
        let query = "any where process.pid == 1 and flag or process.pid == 2 and not flag or flag";
        assert_eq!(found(query, "and-or-mixed").len(), 1);
        let (text, sure) = fixed(query, "and-or-mixed");
        assert_eq!(
            text,
            "any where (process.pid == 1 and flag) or (process.pid == 2 and not flag) or flag"
        );
        assert!(sure);
        assert!(found(&text, "and-or-mixed").is_empty());
    }

    #[test]
    fn parentheses_and_single_operators_are_fine() {
        for query in [
            "any where (process.pid == 1 and flag) or flag",
            "any where process.pid == 1 and (flag or not flag == true)",
            "any where flag or process.pid == 1 or process.pid == 2",
        ] {
            assert!(found(query, "and-or-mixed").is_empty(), "{query}");
        }
    }
}
