//! A rule's query to its plan.

use neph_diag::{Diagnostic, Span};
use neph_plan::Plan;

use crate::codes;

/// The fields that a rule names in place of the usual ones.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Overrides<'a> {
    /// `event_category_override`, else `event.category`.
    pub(crate) category: Option<&'a str>,
    /// `timestamp_field`, else `@timestamp`.
    pub(crate) timestamp: Option<&'a str>,
    /// `tiebreaker_field`; none by default.
    pub(crate) tiebreaker: Option<&'a str>,
}

/// Compiles an EQL query.
pub(crate) fn eql(query: &str, overrides: &Overrides<'_>) -> (Option<Plan>, Vec<Diagnostic>) {
    let _ = (overrides.category, overrides.timestamp, overrides.tiebreaker);
    let place = Span::new(0, query.len().min(1));
    (
        None,
        vec![Diagnostic::new(
            &codes::TYPE_UNSUPPORTED,
            place,
            "EQL queries are not compiled yet",
        )],
    )
}
