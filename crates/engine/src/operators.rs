//! The keyed half of the engine: from step matches to matches.

use std::time::Duration;

use neph_event::Instant;
use neph_plan::Plan;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::shard::{Operator, SHARDS, Shard, divided, place_of};
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

impl Outcome {
    /// Puts what several shards told at the end of a batch in the order of the rules; what one rule told stays in its order.
    pub fn sort_by_rule(outcomes: &mut [Self]) {
        outcomes.sort_by_key(|outcome| match outcome {
            Self::Found(told) | Self::Retracted(told) => told.rule,
        });
    }
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
///
/// Rules stand in a fixed number of [shards](Self::shards), each with a part of the memory that all may take. What they tell and
/// give up depends on what is pushed, and on when memory is [divided](Self::divide) anew, but not on which threads work on them.
#[derive(Debug)]
pub struct Operators {
    shards: Vec<Shard>,
    rules: usize,
    total_bytes: usize,
}

impl Operators {
    /// Operators for the rules, in the order of their [`RuleIndex`].
    pub fn new(plans: &[&Plan], config: &OperatorConfig) -> Self {
        let mut shards = Vec::new();
        for (rule, plan) in (0..).map(RuleIndex).zip(plans) {
            let (shard, _) = place_of(rule);
            if shards.len() == shard {
                shards.push(Shard::new(config.rule_bytes));
            }
            if let Some(shard) = shards.get_mut(shard) {
                shard.add(Operator::new(rule, plan, config));
            }
        }
        let mut operators = Self {
            shards,
            rules: plans.len(),
            total_bytes: config.total_bytes,
        };
        operators.divide();
        operators
    }

    /// The parts that threads may work on at the same time; never more than there are rules.
    pub fn shards(&mut self) -> &mut [Shard] {
        &mut self.shards
    }

    /// So many shards there are at most, however many threads work on them.
    pub const SHARDS: usize = SHARDS;

    /// The number of the shard that a rule is in.
    pub fn shard_of(rule: RuleIndex) -> usize {
        place_of(rule).0
    }

    /// Divides the memory that all rules may take anew by what they hold, and says whether some shards [are over](Shard::is_over)
    /// their part now, which are to give it up before others take it. Best called after every batch of events.
    pub fn divide(&mut self) -> bool {
        let mut keep: Vec<&mut Shard> = Vec::with_capacity(self.shards.len());
        keep.extend(self.shards.iter_mut().filter(|shard| shard.keeps_state));
        let held: Vec<usize> = keep.iter().map(|shard| shard.held).collect();
        let missed: Vec<usize> = keep.iter().map(|shard| shard.missed()).collect();
        let mut is_over = false;
        for (shard, limit) in keep.into_iter().zip(divided(self.total_bytes, &held, &missed)) {
            shard.limit = limit;
            is_over |= shard.is_over();
        }
        is_over
    }

    /// Takes over the operators of rules that are the same in `old`, with all their state: each pair is a rule's place
    /// there and here. The caller knows which are the same; their plans must ask for the same, and so must their lateness
    /// and the time of telling. The operators made here for these rules stand in their place in `old` afterwards.
    pub fn adopt(&mut self, old: &mut Self, same: &[(RuleIndex, RuleIndex)]) {
        for (from, to) in same {
            let (from, to) = (place_of(*from), place_of(*to));
            let there = old.shards.get_mut(from.0);
            if let (Some(there), Some(here)) = (there, self.shards.get_mut(to.0)) {
                here.swap(to.1, there, from.1);
            }
        }
        self.divide();
        old.divide();
    }

    /// Takes a step match. Step matches of one event may come in any order, and more than once.
    pub fn push(&mut self, step: StepMatch, outcomes: &mut Vec<Outcome>) {
        if let Some(shard) = self.shards.get_mut(place_of(step.rule).0) {
            shard.push(step, outcomes);
        }
    }

    /// Events before `watermark` have all come, but for late ones. A watermark that goes back is ignored.
    pub fn advance(&mut self, watermark: Instant, outcomes: &mut Vec<Outcome>) {
        let told = outcomes.len();
        for shard in &mut self.shards {
            shard.advance(watermark, outcomes);
        }
        Outcome::sort_by_rule(outcomes.get_mut(told..).unwrap_or_default());
    }

    /// No event comes any more: tells everything that is left, and forgets all state.
    pub fn finish(&mut self, outcomes: &mut Vec<Outcome>) {
        let told = outcomes.len();
        for shard in &mut self.shards {
            shard.finish(outcomes);
        }
        Outcome::sort_by_rule(outcomes.get_mut(told..).unwrap_or_default());
    }

    /// What happened in a rule's operator so far.
    pub fn statistics(&self, rule: RuleIndex) -> RuleStatistics {
        self.operator(rule).map(Operator::statistics).unwrap_or_default()
    }

    fn operator(&self, rule: RuleIndex) -> Option<&Operator> {
        let (shard, place) = place_of(rule);
        self.shards.get(shard)?.operator(place)
    }

    /// The state of a rule, as a section of what `to` writes.
    ///
    /// # Errors
    /// There is no such rule, or its state cannot be written.
    pub fn save(&self, rule: RuleIndex, to: &mut StateWriter) -> Result<Vec<u8>, BadState> {
        let operator = self.operator(rule);
        operator
            .ok_or_else(|| BadState::of("there is no such rule"))?
            .save(to)
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
        let (shard, place) = place_of(rule);
        let shard = self.shards.get_mut(shard);
        let shard = shard.ok_or_else(|| BadState::of("there is no such rule"))?;
        shard.restore(place, section, from)?;
        self.divide();
        Ok(())
    }

    /// Number of rules.
    pub fn rules(&self) -> usize {
        self.rules
    }

    /// Bytes of state that all rules hold together.
    pub fn state_bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.held).sum()
    }
}
