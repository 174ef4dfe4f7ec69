//! Kibana's query languages, KQL and Lucene: text to syntax tree to plan, with diagnostics and lints.
//!
//! - [`parse`] gives the syntax tree and every problem of the grammar, for either [`Dialect`].
//! - [`compile`] goes on to a [`neph_plan::Plan`] over the fields of a schema.
//! - [`Fields`] lowers single questions to a field (is this value, has this phrase, matches this wildcard …) as
//!   Elasticsearch's query DSL answers them; rule filters use it as well.
//! - [`CODES`] lists what can be reported, with a page for each.
//!
//! KQL is read as Kibana's `@kbn/es-query` reads it, and its queries mean what Elasticsearch makes of them there.
//! <https://www.elastic.co/docs/reference/query-languages/kql>
//!
//! **Architecture invariant:** no IO and no clock (the time of `now` is handed in), no panic on any text, and no stop at
//! the first problem.

pub mod ast;
mod codes;
mod compile;
mod fields;
mod lints;
mod lucene;
mod parser;
mod scanner;
mod typing;
mod wildcard_names;

pub use codes::*;
pub use compile::{CompileOptions, Compiled, compile, parse};
pub use fields::{FieldUse, Fields, Target, Wanted};

/// Which of the two languages a text is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Kibana Query Language (`kuery`).
    Kql,
    /// Lucene's query string.
    /// <https://www.elastic.co/docs/reference/query-languages/query-dsl/query-dsl-query-string-query#query-string-syntax>
    Lucene,
}

/// Texts longer than this are not read.
pub const MAX_BYTES: usize = 1024 * 1024;

/// Parentheses, braces and `not` nested deeper than this are not read.
pub(crate) const MAX_DEPTH: usize = 100;

/// After so many problems of the grammar no more are told of one text.
pub(crate) const MAX_PROBLEMS: usize = 100;
