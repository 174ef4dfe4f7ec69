//! The keyed half of the engine: from step matches to matches.

use std::sync::Arc;
use std::time::Duration;

use neph_event::Instant;
use neph_plan::{Plan, Query};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::aggregate::AggregateOperator;
use crate::correlation::CorrelationOperator;
use crate::first_seen::FirstSeenOperator;
use crate::sample::SampleOperator;
use crate::sequence::SequenceOperator;
use crate::state::{BadState, StateReader, StateWriter};
use crate::{Match, RuleIndex, StepMatch};

/// When a match is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Emit {
    /// When no event that may still come can change it. Results depend neither on the order in which events come
    /// (but for their [`position`](StepMatch::position)) nor on when the watermark moves.
    #[default]
    WhenFinal,
    /// As soon as the events that have come make it; taken back if one that comes later says otherwise. Absence is told
    /// when the watermark has passed its time, and counts when no event that may still come can change them.
    AtOnce,
}

/// What an operator says.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// A match.
    Found(Match),
    /// A match told before does not hold: an event came late. Only with [`Emit::AtOnce`].
    Retracted(Match),
}

/// How operators run.
#[derive(Clone, Debug)]
pub struct OperatorConfig {
    /// When matches are told.
    pub emit: Emit,
    /// For each rule how much later than the watermark an event may come and still count, by [`RuleIndex`]. `None`:
    /// however late; nothing is settled before [`Operators::finish`] but under memory pressure.
    pub lateness: Vec<Option<Duration>>,
    /// The lateness of rules that `lateness` does not reach.
    pub default_lateness: Option<Duration>,
    /// Bytes of state that one rule may hold.
    pub rule_bytes: usize,
    /// Bytes of state that all rules may hold together.
    pub total_bytes: usize,
    /// Samples for each tuple of join keys.
    pub max_samples_per_key: u32,
}

impl Default for OperatorConfig {
    fn default() -> Self {
        Self {
            emit: Emit::WhenFinal,
            lateness: Vec::new(),
            default_lateness: None,
            rule_bytes: 64 << 20,
            total_bytes: 256 << 20,
            max_samples_per_key: 1,
        }
    }
}

impl OperatorConfig {
    /// How late events of a rule may come.
    pub fn lateness(&self, rule: RuleIndex) -> Option<Duration> {
        self.lateness
            .get(rule.0 as usize)
            .copied()
            .unwrap_or(self.default_lateness)
    }
}

/// What happened in one rule's operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct RuleStatistics {
    /// Step matches taken into state.
    #[serde(deserialize_with = "count")]
    pub candidates: u64,
    /// Step matches that had been taken before: the same event for the same step and keys. Those that cannot match are not
    /// looked at, nor are those of steps that must not happen, of which only the time is kept.
    #[serde(deserialize_with = "count")]
    pub duplicates: u64,
    /// Step matches that came after their time had been settled; not evaluated.
    #[serde(deserialize_with = "count")]
    pub late: u64,
    /// Step matches without a time in a query about time; not evaluated.
    #[serde(deserialize_with = "count")]
    pub untimed: u64,
    /// Events given up for want of memory, once for each partial sequence that held them; tuples of terms that had to be
    /// forgotten.
    #[serde(deserialize_with = "count")]
    pub evicted: u64,
    /// Matches found.
    #[serde(deserialize_with = "count")]
    pub finished: u64,
    /// Matches taken back.
    #[serde(deserialize_with = "count")]
    pub retracted: u64,
    /// Tuples of join keys that have state now.
    pub keys: u64,
    /// Bytes of state now.
    pub state_bytes: usize,
    /// The most bytes of state at any time.
    pub peak_bytes: usize,
}

/// A count that can go on counting: what nothing reaches is of damaged state.
fn count<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let count = u64::deserialize(from)?;
    match count > u64::MAX / 2 {
        true => Err(D::Error::custom("a count that nothing reaches")),
        false => Ok(count),
    }
}

/// Runs the stateful part of all rules: event queries pass through, the others hold candidates by key.
///
/// Matches come out of [`push`](Self::push) (event queries; the rest under memory pressure),
/// [`advance`](Self::advance) and [`finish`](Self::finish). In live use call `advance` after every batch of events, also
/// when the watermark has not moved: that is when sequences look at what was pushed.
///
/// State is counted in bytes and bounded. An event's document counts in full for each rule and join key that holds it,
/// although they share it, so the count is an upper bound of what is really held.
#[derive(Debug)]
pub struct Operators {
    rules: Vec<Operator>,
    rule_bytes: usize,
    total_bytes: usize,
    /// Bytes of all rules together.
    held: usize,
}

#[derive(Debug)]
struct Operator {
    /// Its place among the rules, which may be another than where it began: what it tells gets this one.
    rule: RuleIndex,
    kind: Kind,
    /// Bytes when last looked at.
    held: usize,
    peak: usize,
}

#[derive(Debug)]
enum Kind {
    Events { finished: u64 },
    Sequence(Box<SequenceOperator>),
    Sample(Box<SampleOperator>),
    FirstSeen(Box<FirstSeenOperator>),
    Aggregate(Box<AggregateOperator>),
    Correlation(Box<CorrelationOperator>),
}

/// The state of one rule, as it is written.
#[derive(Deserialize, Serialize)]
struct Section {
    kind: u8,
    peak: usize,
    state: Vec<u8>,
}

impl Kind {
    /// Tells kinds apart in what is written.
    fn number(&self) -> u8 {
        match self {
            Self::Events { .. } => 0,
            Self::Sequence(_) => 1,
            Self::Sample(_) => 2,
            Self::FirstSeen(_) => 3,
            Self::Aggregate(_) => 4,
            Self::Correlation(_) => 5,
        }
    }
}

impl Operators {
    /// Operators for the rules, in the order of their [`RuleIndex`].
    pub fn new(plans: &[&Plan], config: &OperatorConfig) -> Self {
        let operator = |(index, plan): (usize, &&Plan)| {
            let rule = RuleIndex(u32::try_from(index).unwrap_or(u32::MAX));
            let lateness = config
                .lateness(rule)
                .map(|lateness| u64::try_from(lateness.as_nanos()).unwrap_or(u64::MAX));
            let kind = match &plan.query {
                Query::Events(_) => Kind::Events { finished: 0 },
                Query::Sequence(sequence) => Kind::Sequence(Box::new(SequenceOperator::new(
                    rule,
                    sequence,
                    config.emit,
                    lateness,
                ))),
                Query::Sample(sample) => Kind::Sample(Box::new(SampleOperator::new(
                    rule,
                    sample,
                    config.emit,
                    config.max_samples_per_key,
                ))),
                Query::FirstSeen(query) => Kind::FirstSeen(Box::new(FirstSeenOperator::new(
                    rule,
                    query,
                    config.emit,
                    lateness,
                ))),
                Query::Aggregate(query) => {
                    Kind::Aggregate(Box::new(AggregateOperator::new(rule, query, lateness)))
                }
                Query::Correlation(query) => {
                    Kind::Correlation(Box::new(CorrelationOperator::new(rule, query, lateness)))
                }
            };
            Operator {
                rule,
                kind,
                held: 0,
                peak: 0,
            }
        };
        Self {
            rules: plans.iter().enumerate().map(operator).collect(),
            rule_bytes: config.rule_bytes,
            total_bytes: config.total_bytes,
            held: 0,
        }
    }

    /// Takes over the operators of rules that are the same in `old`, with all their state: each pair is a rule's place
    /// there and here. The caller knows which are the same; their plans must ask for the same, and so must their lateness
    /// and the time of telling. The operators made here for these rules stand in their place in `old` afterwards.
    pub fn adopt(&mut self, old: &mut Self, same: &[(RuleIndex, RuleIndex)]) {
        for (from, to) in same {
            let there = old.rules.get_mut(from.0 as usize);
            let (Some(there), Some(here)) = (there, self.rules.get_mut(to.0 as usize)) else {
                continue;
            };
            std::mem::swap(there, here);
            std::mem::swap(&mut there.rule, &mut here.rule);
            self.held = self.held + here.held - there.held;
            old.held = old.held + there.held - here.held;
        }
    }

    /// Takes a step match. Step matches of one event may come in any order, and more than once.
    pub fn push(&mut self, step: StepMatch, outcomes: &mut Vec<Outcome>) {
        let Some(operator) = self.rules.get_mut(step.rule.0 as usize) else {
            return;
        };
        match &mut operator.kind {
            Kind::Events { finished } => {
                *finished += 1;
                outcomes.push(Outcome::Found(single(&step)));
                return;
            }
            Kind::Sequence(sequence) => sequence.push(step),
            Kind::Sample(sample) => sample.push(step),
            Kind::FirstSeen(operator) => operator.push(step),
            Kind::Aggregate(operator) => operator.push(step),
            Kind::Correlation(operator) => operator.push(step),
        }
        operator.count(&mut self.held);
        if operator.held > self.rule_bytes {
            let told = outcomes.len();
            operator.relieve(self.rule_bytes, outcomes);
            operator.sign(outcomes, told);
            operator.count(&mut self.held);
        }
        while self.held > self.total_bytes {
            let Some(largest) = self.rules.iter_mut().max_by_key(|operator| operator.held) else {
                return;
            };
            let before = largest.held;
            let told = outcomes.len();
            largest.relieve(before / 2, outcomes);
            largest.sign(outcomes, told);
            largest.count(&mut self.held);
            if largest.held >= before {
                return;
            }
        }
    }

    /// Events before `watermark` have all come, but for late ones. A watermark that goes back is ignored.
    pub fn advance(&mut self, watermark: Instant, outcomes: &mut Vec<Outcome>) {
        for operator in &mut self.rules {
            let told = outcomes.len();
            match &mut operator.kind {
                Kind::Events { .. } => continue,
                Kind::Sequence(sequence) => sequence.advance(watermark, outcomes),
                Kind::Sample(sample) => sample.advance(outcomes),
                Kind::FirstSeen(operator) => operator.advance(watermark, outcomes),
                Kind::Aggregate(operator) => operator.advance(watermark, outcomes),
                Kind::Correlation(operator) => operator.advance(watermark, outcomes),
            }
            operator.sign(outcomes, told);
            operator.count(&mut self.held);
        }
    }

    /// No event comes any more: tells everything that is left, and forgets all state.
    pub fn finish(&mut self, outcomes: &mut Vec<Outcome>) {
        for operator in &mut self.rules {
            let told = outcomes.len();
            match &mut operator.kind {
                Kind::Events { .. } => continue,
                Kind::Sequence(sequence) => sequence.finish(outcomes),
                Kind::Sample(sample) => sample.finish(outcomes),
                Kind::FirstSeen(operator) => operator.finish(outcomes),
                Kind::Aggregate(operator) => operator.finish(outcomes),
                Kind::Correlation(operator) => operator.finish(outcomes),
            }
            operator.sign(outcomes, told);
            operator.count(&mut self.held);
        }
    }

    /// What happened in a rule's operator so far.
    pub fn statistics(&self, rule: RuleIndex) -> RuleStatistics {
        let Some(operator) = self.rules.get(rule.0 as usize) else {
            return RuleStatistics::default();
        };
        let statistics = match &operator.kind {
            Kind::Events { finished } => RuleStatistics {
                finished: *finished,
                ..RuleStatistics::default()
            },
            Kind::Sequence(sequence) => sequence.statistics(),
            Kind::Sample(sample) => sample.statistics(),
            Kind::FirstSeen(operator) => operator.statistics(),
            Kind::Aggregate(operator) => operator.statistics(),
            Kind::Correlation(operator) => operator.statistics(),
        };
        RuleStatistics {
            state_bytes: operator.held,
            peak_bytes: operator.peak,
            ..statistics
        }
    }

    /// The state of a rule, as a section of what `to` writes.
    ///
    /// # Errors
    /// There is no such rule, or its state cannot be written.
    pub fn save(&self, rule: RuleIndex, to: &mut StateWriter) -> Result<Vec<u8>, BadState> {
        let operator = self.rules.get(rule.0 as usize);
        let operator = operator.ok_or_else(|| BadState::of("there is no such rule"))?;
        let state = match &operator.kind {
            Kind::Events { finished } => to.write(finished)?,
            Kind::Sequence(sequence) => sequence.save(to)?,
            Kind::Sample(sample) => sample.save(to)?,
            Kind::FirstSeen(operator) => operator.save(to)?,
            Kind::Aggregate(operator) => operator.save(to)?,
            Kind::Correlation(operator) => operator.save(to)?,
        };
        to.write(&Section {
            kind: operator.kind.number(),
            peak: operator.peak,
            state,
        })
    }

    /// Gives a rule the state that [`Self::save`] wrote of one whose plan asks for the same, with the same lateness and the
    /// same time of telling, in place of what it holds.
    ///
    /// # Errors
    /// There is no such rule, or the section is damaged or of a rule of another kind. The rule keeps the state that it has.
    pub fn restore(
        &mut self,
        rule: RuleIndex,
        section: &[u8],
        from: &mut StateReader,
    ) -> Result<(), BadState> {
        let operator = self.rules.get_mut(rule.0 as usize);
        let operator = operator.ok_or_else(|| BadState::of("there is no such rule"))?;
        let Section { kind, peak, state } = from.read(section)?;
        if kind != operator.kind.number() {
            return Err(BadState::of("a rule asks for something else"));
        }
        match &mut operator.kind {
            Kind::Events { finished } => *finished = from.read(&state)?,
            Kind::Sequence(sequence) => sequence.restore(&state, from)?,
            Kind::Sample(sample) => sample.restore(&state, from)?,
            Kind::FirstSeen(operator) => operator.restore(&state, from)?,
            Kind::Aggregate(operator) => operator.restore(&state, from)?,
            Kind::Correlation(operator) => operator.restore(&state, from)?,
        }
        operator.count(&mut self.held);
        operator.peak = operator.peak.max(peak);
        Ok(())
    }

    /// Number of rules.
    pub fn rules(&self) -> usize {
        self.rules.len()
    }

    /// Bytes of state that all rules hold together.
    pub fn state_bytes(&self) -> usize {
        self.held
    }
}

impl Operator {
    fn bytes(&self) -> usize {
        match &self.kind {
            Kind::Events { .. } => 0,
            Kind::Sequence(sequence) => sequence.bytes(),
            Kind::Sample(sample) => sample.bytes(),
            Kind::FirstSeen(operator) => operator.bytes(),
            Kind::Aggregate(operator) => operator.bytes(),
            Kind::Correlation(operator) => operator.bytes(),
        }
    }

    fn relieve(&mut self, limit: usize, outcomes: &mut Vec<Outcome>) {
        match &mut self.kind {
            Kind::Events { .. } => {}
            Kind::Sequence(sequence) => sequence.relieve(limit, outcomes),
            Kind::Sample(sample) => sample.relieve(limit),
            Kind::FirstSeen(operator) => operator.relieve(limit, outcomes),
            Kind::Aggregate(operator) => operator.relieve(limit, outcomes),
            Kind::Correlation(operator) => operator.relieve(limit, outcomes),
        }
    }

    /// Gives what was told from `first` on the operator's place among the rules.
    fn sign(&self, outcomes: &mut [Outcome], first: usize) {
        for outcome in outcomes.iter_mut().skip(first) {
            let (Outcome::Found(told) | Outcome::Retracted(told)) = outcome;
            told.rule = self.rule;
        }
    }

    /// Brings the count of the rule, and `total` with it, up to date.
    fn count(&mut self, total: &mut usize) {
        let bytes = self.bytes();
        *total = *total - self.held + bytes;
        self.held = bytes;
        self.peak = self.peak.max(bytes);
    }
}

/// The match of an event query.
fn single(step: &StepMatch) -> Match {
    Match {
        rule: step.rule,
        keys: Vec::new(),
        events: vec![(0, Some(Arc::clone(step.event())))],
        first: step.ordinal().map(|ordinal| ordinal.time),
        last: step.ordinal().cloned(),
        window: None,
    }
}
