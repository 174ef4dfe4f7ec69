//! A part of the operators that one thread at a time works on.

use std::sync::Arc;

use neph_event::Instant;
use neph_plan::{Plan, Query};
use serde::{Deserialize, Serialize};

use crate::aggregate::AggregateOperator;
use crate::correlation::CorrelationOperator;
use crate::first_seen::FirstSeenOperator;
use crate::operators::{OperatorConfig, Outcome, RuleStatistics};
use crate::sample::SampleOperator;
use crate::sequence::SequenceOperator;
use crate::state::{BadState, StateReader, StateWriter};
use crate::{Match, RuleIndex, StepMatch};

/// The operators of every so many rules, with the memory that they may take together until it is divided again. What one shard
/// is given concerns no other, so that each may be worked on by a thread of its own. It comes from
/// [`Operators::shards`](crate::Operators::shards).
#[derive(Debug, Default)]
pub struct Shard {
    operators: Vec<Operator>,
    /// Whether a rule of it has state.
    pub(crate) keeps_state: bool,
    rule_bytes: usize,
    /// Bytes that its rules may hold together.
    pub(crate) limit: usize,
    /// Bytes that they hold.
    pub(crate) held: usize,
}

#[derive(Debug)]
pub(crate) struct Operator {
    /// Its place among the rules, which may be another than where it began: what it tells gets this one.
    rule: RuleIndex,
    kind: Kind,
    /// Bytes when last looked at.
    held: usize,
    /// Bytes that it was left with when it had last given up all that nobody misses.
    kept: usize,
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

impl Shard {
    pub(crate) fn new(rule_bytes: usize) -> Self {
        Self {
            rule_bytes,
            ..Self::default()
        }
    }

    pub(crate) fn add(&mut self, operator: Operator) {
        self.keeps_state |= !matches!(operator.kind, Kind::Events { .. });
        self.operators.push(operator);
    }

    pub(crate) fn operator(&self, place: usize) -> Option<&Operator> {
        self.operators.get(place)
    }

    /// Takes a step match of one of its rules.
    pub fn push(&mut self, step: StepMatch, outcomes: &mut Vec<Outcome>) {
        let operator = self.operators.get_mut(place_of(step.rule).1);
        let Some(operator) = operator.filter(|operator| operator.rule == step.rule) else {
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
            operator.relieve(self.rule_bytes, true, outcomes);
            operator.sign(outcomes, told);
            operator.count(&mut self.held);
        }
        if self.is_over() {
            self.fit(outcomes);
        }
    }

    /// Bytes of what would be missed.
    pub(crate) fn missed(&self) -> usize {
        self.operators.iter().map(Operator::missed).sum()
    }

    /// Whether it holds more than it may, since memory was divided anew.
    pub fn is_over(&self) -> bool {
        self.held > self.limit
    }

    /// Has the rules that hold most give memory up until it holds no more than it may: first what nobody misses but events that come
    /// late, of rules that hold half of their equal part or more.
    pub fn fit(&mut self, outcomes: &mut Vec<Outcome>) {
        let part = self.limit / self.operators.len().max(1);
        while self.is_over() {
            let operators = self.operators.iter_mut();
            let may_give = operators.filter(|operator| operator.held >= operator.gives_from().max(part / 2));
            let (largest, must) = match may_give.max_by_key(|operator| operator.held) {
                Some(largest) => (Some(largest), false),
                None => (
                    self.operators.iter_mut().max_by_key(|operator| operator.held),
                    true,
                ),
            };
            let Some(largest) = largest else {
                return;
            };
            let before = largest.held;
            let told = outcomes.len();
            largest.relieve(before / 2, must, outcomes);
            largest.sign(outcomes, told);
            largest.count(&mut self.held);
            if must || largest.held > before / 2 {
                largest.kept = largest.held;
            }
            if must && largest.held >= before {
                return;
            }
        }
    }

    /// Events before `watermark` have all come, but for late ones. A watermark that goes back is ignored.
    pub fn advance(&mut self, watermark: Instant, outcomes: &mut Vec<Outcome>) {
        for operator in &mut self.operators {
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
        for operator in &mut self.operators {
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

    /// Swaps the operator at a place with one of another shard, of a rule that is the same. Each gets the other's place among the rules.
    pub(crate) fn swap(&mut self, place: usize, other: &mut Self, place_there: usize) {
        let there = other.operators.get_mut(place_there);
        let (Some(there), Some(here)) = (there, self.operators.get_mut(place)) else {
            return;
        };
        std::mem::swap(there, here);
        std::mem::swap(&mut there.rule, &mut here.rule);
        self.held = self.held + here.held - there.held;
        other.held = other.held + there.held - here.held;
    }

    /// Gives the rule at a place what [`Operator::save`] wrote, in place of what it holds.
    pub(crate) fn restore(
        &mut self,
        place: usize,
        section: &[u8],
        from: &mut StateReader,
    ) -> Result<(), BadState> {
        let operator = self.operators.get_mut(place);
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
}

impl Operator {
    /// The operator of a rule.
    pub(crate) fn new(rule: RuleIndex, plan: &Plan, config: &OperatorConfig) -> Self {
        let lateness = config
            .lateness(rule)
            .map(|lateness| u64::try_from(lateness.as_nanos()).unwrap_or(u64::MAX));
        let emit = config.emit;
        let kind = match &plan.query {
            Query::Events(_) => Kind::Events { finished: 0 },
            Query::Sequence(sequence) => {
                Kind::Sequence(Box::new(SequenceOperator::new(rule, sequence, emit, lateness)))
            }
            Query::Sample(sample) => {
                let most = config.max_samples_per_key;
                Kind::Sample(Box::new(SampleOperator::new(rule, sample, emit, most)))
            }
            Query::FirstSeen(query) => {
                Kind::FirstSeen(Box::new(FirstSeenOperator::new(rule, query, emit, lateness)))
            }
            Query::Aggregate(query) => {
                Kind::Aggregate(Box::new(AggregateOperator::new(rule, query, lateness)))
            }
            Query::Correlation(query) => {
                Kind::Correlation(Box::new(CorrelationOperator::new(rule, query, lateness)))
            }
        };
        Self {
            rule,
            kind,
            held: 0,
            kept: 0,
            peak: 0,
        }
    }

    /// What happened in it so far.
    pub(crate) fn statistics(&self) -> RuleStatistics {
        let statistics = match &self.kind {
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
            state_bytes: self.held,
            peak_bytes: self.peak,
            ..statistics
        }
    }

    /// Its state, as a section of what `to` writes.
    pub(crate) fn save(&self, to: &mut StateWriter) -> Result<Vec<u8>, BadState> {
        let state = match &self.kind {
            Kind::Events { finished } => to.write(finished)?,
            Kind::Sequence(sequence) => sequence.save(to)?,
            Kind::Sample(sample) => sample.save(to)?,
            Kind::FirstSeen(operator) => operator.save(to)?,
            Kind::Aggregate(operator) => operator.save(to)?,
            Kind::Correlation(operator) => operator.save(to)?,
        };
        to.write(&Section {
            kind: self.kind.number(),
            peak: self.peak,
            state,
        })
    }

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

    /// Gives up memory down to `limit`; what may be missed only if it `must`.
    fn relieve(&mut self, limit: usize, must: bool, outcomes: &mut Vec<Outcome>) {
        match &mut self.kind {
            Kind::Events { .. } => {}
            Kind::Sequence(sequence) => sequence.relieve(limit, must, outcomes),
            Kind::Sample(sample) if must => sample.relieve(limit),
            Kind::Sample(_) => {}
            Kind::FirstSeen(operator) => operator.relieve(limit, must, outcomes),
            Kind::Aggregate(operator) => operator.relieve(limit, must, outcomes),
            Kind::Correlation(operator) => operator.relieve(limit, must, outcomes),
        }
    }

    /// Bytes that it must hold before it is asked again for what nobody misses, which is worth it when it has grown by a quarter.
    fn gives_from(&self) -> usize {
        self.kept + self.kept / 4 + 1
    }

    /// Bytes of what would be missed, as far as that is known.
    fn missed(&self) -> usize {
        match &self.kind {
            Kind::Sample(_) => self.held,
            _ => self.kept.min(self.held),
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

/// So many shards there are, however many threads work on them: what is told and what is given up does not depend on those.
pub(crate) const SHARDS: usize = 16;

/// Where the operator of a rule stands: its shard, and its place there.
pub(crate) fn place_of(rule: RuleIndex) -> (usize, usize) {
    let rule = rule.0 as usize;
    (rule % SHARDS, rule / SHARDS)
}

/// Divides `total` bytes among shards that hold so many, of which some would be missed: what each may hold from now on. What would be
/// missed comes first. Where much is held, those that hold most are to give so much up that an eighth is free, and what is free is
/// shared alike.
pub(crate) fn divided(total: usize, held: &[usize], missed: &[usize]) -> Vec<usize> {
    let others: Vec<usize> = held
        .iter()
        .zip(missed)
        .map(|(held, missed)| held - missed)
        .collect();
    let (most, free) = kept(total, missed);
    let (most_others, free) = kept(free, &others);
    let free = free / held.len().max(1);
    let both = missed.iter().zip(others);
    both.map(|(missed, others)| (*missed).min(most) + others.min(most_others) + free)
        .collect()
}

/// What each of those that hold so many may keep at most so that an eighth of `total` is free, and how much is free then.
fn kept(total: usize, held: &[usize]) -> (usize, usize) {
    let most = level(total - total / 8, held);
    let kept: usize = held.iter().map(|held| *held.min(&most)).sum();
    (most, total.saturating_sub(kept))
}

/// What each may keep at most so that all keep `enough` together.
fn level(enough: usize, held: &[usize]) -> usize {
    let mut ascending = held.to_vec();
    ascending.sort_unstable();
    let (mut left, mut those) = (enough, held.len());
    for held in ascending {
        if held.saturating_mul(those) > left {
            return left / those;
        }
        left -= held;
        those -= 1;
    }
    usize::MAX
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_divided_among_those_that_hold_it() {
        let divided = |total, held: &[usize]| divided(total, held, &vec![0; held.len()]);
        assert_eq!(divided(160, &[0, 0, 0, 0]), [40, 40, 40, 40]);
        assert_eq!(divided(160, &[100, 0, 20, 0]), [110, 10, 30, 10]);
        // The largest gives up so much that there is room for the others.
        assert_eq!(divided(160, &[120, 0, 40, 0]), [105, 5, 45, 5]);
        assert_eq!(divided(160, &[70, 70, 20, 0]), [65, 65, 25, 5]);
        assert_eq!(divided(160, &[400]), [160]);
        assert_eq!(divided(160, &[150]), [160]);
        assert_eq!(divided(usize::MAX, &[1, 2]), [usize::MAX / 2, usize::MAX / 2 + 1]);
        assert_eq!(divided(0, &[3, 0]), [0, 0]);
        assert!(divided(160, &[]).is_empty());
    }

    #[test]
    fn what_would_be_missed_comes_first() {
        assert_eq!(divided(160, &[100, 0, 20, 0], &[100, 0, 0, 0]), [110, 10, 30, 10]);
        // The largest keeps all, and the others give up what nobody misses.
        assert_eq!(divided(160, &[80, 40, 40, 0], &[80, 0, 0, 0]), [82, 37, 37, 2]);
        assert_eq!(divided(160, &[80, 40, 40, 0], &[80, 40, 0, 0]), [81, 41, 36, 1]);
        // Nothing is left for what nobody misses.
        assert_eq!(
            divided(160, &[150, 20, 30, 0], &[150, 20, 0, 0]),
            [120, 20, 18, 0]
        );
    }
}
