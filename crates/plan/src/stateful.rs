//! Queries that compare events with a span of time rather than with single other events.
//!
//! Both are evaluated as a scheduled search would be: at the end of each *interval* of a grid that starts at the epoch
//! (an interval of 5 minutes ends at :00, :05, :10 …). Event time is the only clock.

use crate::{Condition, Key};

/// Events whose tuple of terms is new.
///
/// An event is found where it is the earliest of its tuple in an interval `[start, end)`, and no event that satisfies
/// the condition had the tuple in `[end - history, start)`. An event without one of the fields takes no part; one with
/// several values in a field has every tuple of the cartesian product.
///
/// Source: <https://www.elastic.co/docs/solutions/security/detect-and-alert/create-detection-rule#create-new-terms-rule>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstSeen {
    /// Which events count, now and in the past.
    pub condition: Condition,
    /// The fields whose values make up the tuple, at least one.
    pub fields: Vec<Key>,
    /// Length of an interval, in nanoseconds.
    pub interval: u64,
    /// How far before the end of an interval a tuple is remembered, in nanoseconds; not less than the interval.
    pub history: u64,
}

/// Groups of events that are many, or that have many values of a field.
///
/// At the end of each interval the events of `[end - lookback, end)` are counted by group. Where `lookback` is longer than
/// the interval, runs overlap; events that a run has told of are not counted again by later runs of the same group.
///
/// Source: <https://www.elastic.co/docs/solutions/security/detect-and-alert/create-detection-rule#create-threshold-rule>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aggregate {
    /// Which events count.
    pub condition: Condition,
    /// The fields that events of one group share; without any, all events are one group. As with [`FirstSeen::fields`]
    /// an event counts in the group of every tuple of its values.
    pub group: Vec<Key>,
    /// Length of an interval, in nanoseconds.
    pub interval: u64,
    /// How far a run looks back, in nanoseconds; not less than the interval.
    pub lookback: u64,
    /// So many events make a match, at least.
    pub at_least: u64,
    /// A further condition on the number of distinct values of a field.
    pub distinct: Option<DistinctAtLeast>,
}

/// How many distinct values a field must have among the events of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DistinctAtLeast {
    /// The field. An event without it counts as an event, but adds no value.
    pub field: Key,
    /// So many values, at least.
    pub at_least: u64,
}
