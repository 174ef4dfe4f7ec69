//! EQL: text to syntax tree to plan, with diagnostics and lints.
//!
//! - [`parse`] gives the syntax tree and every problem of the grammar.
//! - [`compile`] goes on to a [`neph_plan::Plan`]: names are looked up in a schema, types checked, constants folded, and
//!   conditions lowered to the plan's tests.
//! - [`eval_constant`] computes a constant expression.
//! - [`CODES`] lists what can be reported, with a page for each.
//!
//! The language is Elasticsearch's as its search runs it; where its documentation and its code differ, the code counts.
//! <https://www.elastic.co/docs/reference/query-languages/eql>
//!
//! **Architecture invariant:** no IO and no clock (the time of `now` is handed in), no panic on any text, and no stop at
//! the first problem.

pub mod ast;
mod bind;
mod bound;
mod codes;
mod compile;
mod constants;
mod dates;
mod eval;
mod fold;
mod lexer;
mod lints;
mod lower;
mod parser;
mod signatures;
mod steps;
mod types;

pub use bind::FieldUse;
pub use codes::*;
pub use compile::{CompileOptions, Compiled, QueryKind, compile};
pub use eval::eval_constant;
pub use lexer::MAX_BYTES;
pub use parser::parse;
