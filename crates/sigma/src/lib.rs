//! Sigma: rule files to syntax tree to plan, with diagnostics.
//!
//! - [`parse`] gives the documents of a file (detection rules, filters, correlations) and every problem of each.
//! - [`Collection`] is what documents of several files mean to one another; its [`compile`](Collection::compile) takes filters and
//!   correlations into account.
//! - [`compile`] goes on to a [`neph_plan::Plan`]: the log source becomes a condition that selects its events, fields are
//!   looked for wherever the [`Mappings`] say that they stand, and values become the plan's tests.
//! - [`CODES`] lists what can be reported, with a page for each.
//!
//! The language is that of the specification, version 2.1, <https://github.com/SigmaHQ/sigma-specification>; where it is
//! silent, pySigma's behaviour counts.
//!
//! **Architecture invariant:** no IO and no clock, no panic on any text, and no stop at the first problem.

mod aggregation;
pub mod ast;
mod codes;
mod collection;
mod condition;
mod correlate;
mod correlation;
mod document;
mod lower;
mod mapping;
mod modifiers;
mod text;
pub mod yaml;

pub use codes::*;
pub use collection::{Collection, DocumentId};
pub use document::{Content, Document, parse};
pub use lower::{Compiled, Options, compile, compile_fragment};
pub use mapping::Mappings;
pub use yaml::MAX_BYTES;
