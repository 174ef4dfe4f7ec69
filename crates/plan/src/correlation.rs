//! Queries about what the matches of several conditions, or of other correlations, have to do with one another within a
//! span of time that slides.

use crate::{Condition, FieldId};

/// Candidates of one group that are many, or come together, within a span of time.
///
/// A candidate is an event that satisfies the condition of a source, or a match of another correlation. Candidates are
/// taken in the order of their times, those of one time together. An event that was delivered twice is one.
///
/// A match takes the candidates up to its last one: they count in no other. For `timespan` after it the group has no other
/// match, so that a flood is told once in that time; what came in the meantime counts in the next one.
///
/// Source: <https://github.com/SigmaHQ/sigma-specification/blob/main/specification/sigma-correlation-rules-specification.md>
#[derive(Clone, Debug, PartialEq)]
pub struct Correlation {
    /// Where candidates come from.
    pub sources: Vec<Source>,
    /// The names of the values that candidates of one group share; without any, all are one group.
    pub group: Vec<Box<str>>,
    /// The longest time from the first candidate of a match to its last, in nanoseconds.
    pub timespan: u64,
    /// What is asked of the candidates.
    pub asked: Asked,
}

/// Where candidates come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// What the rule calls it.
    pub name: Box<str>,
    /// What its candidates are.
    pub candidates: Candidates,
}

/// What the candidates of a source are.
#[derive(Clone, Debug, PartialEq)]
pub enum Candidates {
    /// Events.
    Events(CandidateEvents),
    /// The matches of another correlation. Such a candidate comes at the time of the match's last event. It belongs to each
    /// group that one of the match's candidates belongs to.
    Matches(Box<Correlation>),
}

/// Events that satisfy a condition.
#[derive(Clone, Debug, PartialEq)]
pub struct CandidateEvents {
    /// The condition.
    pub condition: Condition,
    /// The values that a correlation needs of an event: first those of the correlation that it is a candidate of, then
    /// those of the correlation that this one's matches are candidates of, and so on. Each list has as many as
    /// [`Correlation::width`] says. An event that lacks a value of its own correlation's group takes no part.
    pub keys: Vec<Vec<FirstOf>>,
    /// The numbers that are measured; empty where none are.
    pub measured: FirstOf,
}

/// The first of these fields that has a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirstOf(pub Vec<FieldId>);

/// What is asked of the candidates of a group.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    /// A number that they come to.
    ///
    /// Where more candidates can only bring the number closer to all bounds ([`Asked::is_rising`]), a match ends with the first
    /// candidate by which they are kept, whenever the span of time began. Otherwise the number is asked for once in each span: the
    /// first one starts with the first candidate, the next with the first one that comes after it.
    Number {
        /// Which number.
        measure: Measure,
        /// The names of the fields whose values are counted or measured.
        fields: Vec<Box<str>>,
        /// The bounds, all of which must be kept.
        bounds: Vec<Bound>,
    },
    /// That candidates of certain sources come within the span.
    Together {
        /// Any of these.
        alternatives: Vec<Presence>,
        /// Whether they must come in the order of [`Presence::present`], each an event of its own.
        ordered: bool,
    },
}

/// Which sources have candidates, by their index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// These do; at least one.
    pub present: Vec<u16>,
    /// These do not, in any span of time that holds the others.
    pub absent: Vec<u16>,
}

/// A bound of a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// It is less.
    Less(f64),
    /// It is not more.
    LessOrEqual(f64),
    /// It is more.
    Greater(f64),
    /// It is not less.
    GreaterOrEqual(f64),
    /// It is the same.
    Equal(f64),
    /// It is another.
    NotEqual(f64),
}

impl Bound {
    /// Whether the number keeps the bound.
    pub fn holds(self, number: f64) -> bool {
        match self {
            Self::Less(bound) => number < bound,
            Self::LessOrEqual(bound) => number <= bound,
            Self::Greater(bound) => number > bound,
            Self::GreaterOrEqual(bound) => number >= bound,
            Self::Equal(bound) => number == bound,
            Self::NotEqual(bound) => number != bound,
        }
    }
}

/// A number that candidates come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// How many they are.
    Count,
    /// How many distinct values (of several fields, tuples of values) they have.
    Distinct,
    /// The sum of their values. Candidates without a number do not count here and below.
    Sum,
    /// The average of their values.
    Average,
    /// The value below which this part of the values (0 to 100) lies, between two values in proportion.
    Percentile(f64),
}

impl Measure {
    /// Whether it is of numbers that candidates have.
    pub fn needs_numbers(self) -> bool {
        matches!(self, Self::Sum | Self::Average | Self::Percentile(_))
    }
}

impl Asked {
    /// Whether a number that keeps the bounds still keeps them when more candidates come; sums as if no value were negative.
    pub fn is_rising(&self) -> bool {
        match self {
            Self::Number { measure, bounds, .. } => {
                matches!(measure, Measure::Count | Measure::Distinct | Measure::Sum)
                    && bounds
                        .iter()
                        .all(|bound| matches!(bound, Bound::Greater(_) | Bound::GreaterOrEqual(_)))
            }
            Self::Together { alternatives, .. } => alternatives
                .iter()
                .all(|alternative| alternative.absent.is_empty()),
        }
    }
}

impl Correlation {
    /// How many values are needed of a candidate beside the measured one: those of the group and those whose distinct tuples
    /// are counted.
    pub fn width(&self) -> usize {
        let counted = match &self.asked {
            Asked::Number {
                measure: Measure::Distinct,
                fields,
                ..
            } => fields.len(),
            _ => 0,
        };
        self.group.len() + counted
    }

    /// The sources of events, those of correlations that this one is over in their place.
    pub fn events(&self) -> Vec<&CandidateEvents> {
        self.named_events()
            .into_iter()
            .map(|(_, events)| events)
            .collect()
    }

    /// The same with the names of the sources.
    pub fn named_events(&self) -> Vec<(&str, &CandidateEvents)> {
        let mut found = Vec::new();
        for source in &self.sources {
            match &source.candidates {
                Candidates::Events(events) => found.push((&*source.name, events)),
                Candidates::Matches(inner) => found.extend(inner.named_events()),
            }
        }
        found
    }

    /// The same, to be changed.
    pub fn events_mut(&mut self) -> Vec<&mut CandidateEvents> {
        let mut found = Vec::new();
        for source in &mut self.sources {
            match &mut source.candidates {
                Candidates::Events(events) => found.push(events),
                Candidates::Matches(inner) => found.extend(inner.events_mut()),
            }
        }
        found
    }
}
