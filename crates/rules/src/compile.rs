//! A rule's query to its plan.
//!
//! EQL is here, the other languages in [`crate::kuery`].

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use neph_diag::Diagnostic;
use neph_eql::CompileOptions;
use neph_event::{Instant, Schema};
use neph_plan::Plan;

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

/// What a query came to.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) plan: Option<Plan>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Fields that the query needs and no known source fills. Fields marked as optional (`?`) are not needed.
    pub(crate) unfilled: Vec<String>,
}

/// Compiles an EQL query against the shipped schema. `now` in the query's dates is the time of loading.
pub(crate) fn eql(query: &str, overrides: &Overrides<'_>) -> Compiled {
    let options = CompileOptions {
        category_field: overrides.category,
        timestamp_field: overrides.timestamp,
        tiebreaker_field: overrides.tiebreaker,
        ..CompileOptions::new(Schema::builtin(), now())
    };
    let compiled = neph_eql::compile(query, &options);
    // Fields that begin with an underscore are the record's own (`_id`, `_index`), not the document's.
    let unfilled: BTreeSet<&str> = compiled
        .fields
        .iter()
        .filter(|field| field.sources.is_empty() && !field.optional && !field.name.starts_with('_'))
        .map(|field| &*field.name)
        .collect();
    Compiled {
        plan: compiled.plan,
        diagnostics: compiled.diagnostics,
        unfilled: unfilled.into_iter().map(str::to_owned).collect(),
    }
}

pub(crate) fn now() -> Instant {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant::from_nanos(i128::try_from(since.as_nanos()).unwrap_or(0))
}
