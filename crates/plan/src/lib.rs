//! The plan: the one form that every rule language lowers to and that the engine runs.
//!
//! A [`Plan`] names the [`Field`](neph_event::Field)s that it reads and holds one [`Query`] over them. Differences between languages (case,
//! wildcards, null) live in the predicates here, never in forks of the engine.
//!
//! Truth has two layers, as Elasticsearch runs EQL: a [`Condition`] combines leaves with plain true and false; inside a
//! leaf an [`Expr`] knows null. A leaf holds when *some* choice of one value per field makes it true; a missing
//! field offers the single value null, and null counts as false.
//!
//! **Architecture invariant:** a plan holds no text that must still be parsed but patterns and regular expressions, and
//! it knows nothing of the language that it came from.
//!
//! The meaning of operators and functions on values stands here too ([`arithmetic`], [`functions`], [`pattern`],
//! [`regex`]), because languages fold constants and the engine evaluates with one and the same implementation.

pub mod arithmetic;
pub mod codes;
mod condition;
mod correlation;
mod expr;
pub mod functions;
mod lookup;
mod nested;
pub mod pattern;
mod query;
pub mod regex;
mod stateful;
mod time_part;
pub mod words;

pub use condition::{Case, Condition, Leaf, Pattern, PatternPart, Phrase, RegexDialect, Relation, Test};
pub use correlation::{
    Asked, Bound, CandidateEvents, Candidates, Correlation, FirstOf, Measure, Presence, Source,
};
pub use expr::{Arithmetic, Expr, Function};
pub use lookup::{CellKind, Lookup, LookupColumn, LookupTable};
pub use neph_diag::Span;
pub use nested::{Nested, Objects};
pub use query::{EventQuery, FieldId, Key, Limit, Plan, Query, Sample, Sequence, Stage};
pub use stateful::{Aggregate, DistinctAtLeast, FirstSeen};
pub use time_part::TimePart;
