//! The languages of rules of type `query`: KQL and Lucene.

use std::collections::BTreeSet;

use neph_event::Schema;
use neph_kql::{CompileOptions, Dialect};

use crate::compile::{Compiled, Overrides, now};

/// The languages of such rules; `kuery` is Kibana's word for KQL.
pub(crate) const LANGUAGES: [(&str, Dialect); 2] = [("kuery", Dialect::Kql), ("lucene", Dialect::Lucene)];

/// The language of a word.
pub(crate) fn dialect(word: &str) -> Option<Dialect> {
    let found = LANGUAGES.iter().find(|(name, _)| *name == word);
    found.map(|(_, dialect)| *dialect)
}

/// Compiles a query against the shipped schema. `now` in its dates is the time of loading.
pub(crate) fn compile(query: &str, dialect: Dialect, overrides: &Overrides<'_>) -> Compiled {
    let options = CompileOptions {
        timestamp_field: overrides.timestamp,
        tiebreaker_field: overrides.tiebreaker,
        ..CompileOptions::new(dialect, Schema::builtin(), now())
    };
    let compiled = neph_kql::compile(query, &options);
    // Fields that begin with an underscore are the record's own (`_id`, `_index`), not the document's.
    let unfilled: BTreeSet<&str> = compiled
        .fields
        .iter()
        .filter(|field| field.sources.is_empty() && !field.name.starts_with('_'))
        .map(|field| &*field.name)
        .collect();
    Compiled {
        plan: compiled.plan,
        diagnostics: compiled.diagnostics,
        unfilled: unfilled.into_iter().map(str::to_owned).collect(),
    }
}
