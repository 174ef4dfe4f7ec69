//! `and` and `or` side by side without parentheses.
//!
//! `a and b or c` is `(a and b) or c`; who wrote it often meant `a and (b or c)`, and the rule then matches far too much.
//! The fix keeps today's meaning and makes it visible.

use neph_diag::{Diagnostic, Span};

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
    let ands = parts.iter().filter(|part| matches!(part.kind, ExprKind::And(_)));
    let places: Vec<Span> = ands.map(|part| part.span).collect();
    codes::and_or_mixed(&places)
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
