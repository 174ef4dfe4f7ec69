//! Plans and the shapes of queries.

use std::sync::Arc;

use neph_event::Field;

use crate::{Aggregate, Condition, Correlation, FirstSeen};

/// A field of a plan: an index into [`Plan::fields`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldId(pub u32);

/// A rule or query, ready to run. Plans are equal where they ask for the same, wherever that stands in their queries.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The fields that it reads; [`FieldId`]s point here. Plans of many rules read the same fields, and may share them.
    pub fields: Vec<Arc<Field>>,
    /// The field of the event's time.
    pub time: FieldId,
    /// The field that orders events of one time, if any; a missing value comes last.
    pub tiebreaker: Option<FieldId>,
    /// What is looked for.
    pub query: Query,
    /// Pipes, applied in order to the rows (events, sequences) in ascending order.
    pub limits: Vec<Limit>,
    /// Names of indices whose events cannot be read, because the query reads a field that fails there.
    pub failing_indices: Vec<Box<str>>,
}

impl Plan {
    /// The field of an id.
    pub fn field(&self, id: FieldId) -> Option<&Field> {
        self.fields.get(id.0 as usize).map(AsRef::as_ref)
    }
}

/// What a plan looks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Query {
    /// Single events.
    Events(EventQuery),
    /// Events in order.
    Sequence(Sequence),
    /// Events that share key values, in any order.
    Sample(Sample),
    /// Events whose terms are new.
    FirstSeen(FirstSeen),
    /// Groups of many events.
    Aggregate(Aggregate),
    /// Events and matches that are many or come together.
    Correlation(Correlation),
}

impl Query {
    /// The conditions of all its steps, in order; that of `until` comes last.
    pub fn conditions(&self) -> Vec<&Condition> {
        match self {
            Self::Events(events) => vec![&events.condition],
            Self::Sequence(sequence) => {
                let stages = sequence.stages.iter().chain(&sequence.until);
                stages.map(|stage| &stage.condition).collect()
            }
            Self::Sample(sample) => sample.stages.iter().map(|stage| &stage.condition).collect(),
            Self::FirstSeen(first_seen) => vec![&first_seen.condition],
            Self::Aggregate(aggregate) => vec![&aggregate.condition],
            Self::Correlation(correlation) => {
                let events = correlation.events().into_iter();
                events.map(|events| &events.condition).collect()
            }
        }
    }

    /// The same conditions, to be changed.
    pub fn conditions_mut(&mut self) -> Vec<&mut Condition> {
        match self {
            Self::Events(events) => vec![&mut events.condition],
            Self::Sequence(sequence) => {
                let stages = sequence.stages.iter_mut().chain(&mut sequence.until);
                stages.map(|stage| &mut stage.condition).collect()
            }
            Self::Sample(sample) => {
                let stages = sample.stages.iter_mut();
                stages.map(|stage| &mut stage.condition).collect()
            }
            Self::FirstSeen(first_seen) => vec![&mut first_seen.condition],
            Self::Aggregate(aggregate) => vec![&mut aggregate.condition],
            Self::Correlation(correlation) => {
                let events = correlation.events_mut().into_iter();
                events.map(|events| &mut events.condition).collect()
            }
        }
    }
}

/// Single events that satisfy a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventQuery {
    /// The condition, the event category's included.
    pub condition: Condition,
}

/// Events in order of (time, tiebreaker, position in the input), joined by keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// The stages, as written: `with runs=3` is one stage here.
    pub stages: Vec<Stage>,
    /// Ends partial sequences of its keys; same number of keys as the stages.
    pub until: Option<Stage>,
    /// Longest time from the first event to the last, in nanoseconds.
    pub maxspan: Option<u64>,
}

/// Events that share key values, each event used once per sample, in any order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The filters; each has at least one key.
    pub stages: Vec<Stage>,
}

/// One step of a sequence or one filter of a sample. Stages are equal wherever they stand.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The condition, the event category's included.
    pub condition: Condition,
    /// Join keys: the query's own first, then the stage's.
    pub keys: Vec<Key>,
    /// A step that must *not* happen (`![ … ]`).
    pub missing: bool,
    /// How many events in a row fill this step, at least 1.
    pub runs: u32,
    /// The step's text in the query, for display.
    pub span: neph_diag::Span,
}

impl PartialEq for Stage {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            condition,
            keys,
            missing,
            runs,
            span: _,
        } = self;
        *condition == other.condition
            && *keys == other.keys
            && *missing == other.missing
            && *runs == other.runs
    }
}

impl Eq for Stage {}

/// A join key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The name that the query uses.
    pub name: Box<str>,
    /// The field; `None` for an optional field that the schema does not have, whose value is always null.
    pub field: Option<FieldId>,
    /// Whether a missing value counts as null (and null joins null) instead of leaving the event out.
    pub optional: bool,
}

/// A pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The first N rows.
    Head(u64),
    /// The last N rows; order stays ascending.
    Tail(u64),
}
