//! A field that no known source of events fills.
//!
//! The built-in schema knows for its fields which integrations write them. A field that it has but that nobody is known to
//! write makes a condition that never holds. Schemas of mapping files do not know this, and are left alone.

use neph_diag::Diagnostic;

use super::Checked;
use crate::codes;

pub(super) fn check(checked: &Checked<'_, '_>, diagnostics: &mut Vec<Diagnostic>) {
    let schema = checked.binder.schema;
    if schema.is_strict() || !schema.fields().any(|def| !def.sources.is_empty()) {
        return;
    }
    let mut seen: Vec<&str> = Vec::new();
    for field in &checked.binder.uses {
        if !field.known || !field.sources.is_empty() || field.optional || seen.contains(&&*field.name) {
            continue;
        }
        seen.push(&field.name);
        diagnostics.push(codes::field_without_source(&field.name, field.span));
    }
}
