//! What is allowed but probably not meant: one file for each.

mod and_or_mixed;
mod case_sensitive;
mod constant_condition;
mod duplicate_value;
mod field_without_source;
mod literal_wildcard;
mod redundant_like;
mod regex_literal;
mod sequence_bounds;
#[cfg(test)]
mod test_support;
mod type_never_matches;

use neph_diag::Diagnostic;
use neph_plan::Plan;

use crate::ast::Query;
use crate::bind::Binder;
use crate::bound::Bound;

pub(crate) use type_never_matches::type_never_matches;

/// A query without errors.
pub(crate) struct Checked<'a, 'b> {
    pub(crate) text: &'a str,
    pub(crate) query: &'a Query,
    /// The conditions of its event queries, in the order of the text.
    pub(crate) conditions: Vec<&'a Bound>,
    pub(crate) plan: &'a Plan,
    pub(crate) binder: &'a Binder<'b>,
}

/// Runs every lint.
pub(crate) fn check(checked: &Checked<'_, '_>, diagnostics: &mut Vec<Diagnostic>) {
    let lints = [
        and_or_mixed::check,
        case_sensitive::check,
        constant_condition::check,
        duplicate_value::check,
        field_without_source::check,
        literal_wildcard::check,
        redundant_like::check,
        regex_literal::check,
        sequence_bounds::check,
    ];
    for lint in lints {
        lint(checked, diagnostics);
    }
}
