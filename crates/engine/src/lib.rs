//! Runs plans over events.
//!
//! Two halves meet at a seam. The *stateless* half ([`Matcher`]) reads a record's fields and yields [`StepMatch`]es: which
//! step of which rule this event satisfies, with the join keys. The *keyed* half ([`Operators`]) reads only those: it holds
//! candidates per key in order of event time, runs sequences, samples, first-seen queries, aggregates and correlations, and
//! gives [`Match`]es. In one process they meet in memory; nothing in either half knows where the other runs.
//!
//! **Architecture invariant:** the engine knows no rule language, does no IO, and reads no clock: time is the events' own
//! or handed in.

mod aggregate;
mod alike;
mod candidate;
mod choose;
mod correlation;
mod event;
mod explain;
mod expression;
mod first_seen;
mod grid;
mod joining;
mod kinds;
mod limits;
mod literals;
mod machine;
mod matcher;
mod matches;
mod memo;
mod networks;
mod nodes;
mod objects;
mod operators;
mod partition;
mod predicate;
mod profile;
mod program;
mod records;
mod route;
mod sample;
mod scratch;
mod sequence;
mod shape;
mod shard;
mod sighting;
mod state;
mod tally;
mod text;
mod values;
mod waiting;

pub use event::{Event, Origin};
pub use explain::{Explainer, Explanation, Finding, Why, WhyNode, WhyTest};
pub use limits::{Fetch, apply_limits, sort_matches};
pub use matcher::{Matcher, Record, Statistics};
pub use matches::{Distinct, Match, Ordinal, RuleIndex, StepMatch, Tally, Window};
pub use nodes::ConditionError;
pub use operators::{Emit, OperatorConfig, Operators, Outcome, RuleStatistics};
pub use profile::{Clock, Cost, Profile, TestDescription, describe_tests};
pub use program::{CompileError, Exception, Program};
pub use shard::Shard;
pub use state::{BadState, StateEvents, StateReader, StateWriter, VERSION as STATE_VERSION};
