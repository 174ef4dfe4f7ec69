//! The operator of one correlation.
//!
//! Correlations over correlations are a tree: the matches of a [`Node`] are candidates of the one above it, and what the
//! root finds are the matches of the rule. Nothing is told before no event can come any more that would change it, so that
//! results do not depend on the order in which events come.

mod candidate;
mod count;
mod node;
mod together;

use neph_event::Instant;
use neph_plan::Correlation;

use crate::candidate::{BEGINNING, END, earlier_by};
use crate::operators::{Outcome, RuleStatistics};
use crate::state::{BadState, KeptHasher, StateReader, StateWriter};
use crate::{Match, RuleIndex, StepMatch, Window};

use self::candidate::{Found, identity_of};
use self::node::Node;

/// Under memory pressure without a lateness, events that come up to 5 minutes late still count.
const PRESSURE_WINDOW: u64 = 300_000_000_000;

/// Runs one correlation.
#[derive(Debug)]
pub(crate) struct CorrelationOperator {
    rule: RuleIndex,
    root: Node,
    /// By step number the way from the root to the source.
    paths: Vec<Vec<u16>>,
    /// Nanoseconds; `None`: events may come however late.
    lateness: Option<u64>,
    hasher: KeptHasher,
    watermark: Instant,
    newest: Instant,
    /// Events before have been evaluated.
    settled: Instant,
    statistics: RuleStatistics,
}

impl CorrelationOperator {
    pub(crate) fn new(rule: RuleIndex, query: &Correlation, lateness: Option<u64>) -> Self {
        let mut paths = Vec::new();
        let root = Node::new(query, &mut Vec::new(), &mut paths);
        Self {
            rule,
            root,
            paths,
            lateness,
            hasher: KeptHasher::default(),
            watermark: BEGINNING,
            newest: BEGINNING,
            settled: BEGINNING,
            statistics: RuleStatistics::default(),
        }
    }

    pub(crate) fn push(&mut self, step: StepMatch) {
        let Some(ordinal) = step.ordinal() else {
            self.statistics.untimed += 1;
            return;
        };
        if ordinal.time < self.settled {
            self.statistics.late += 1;
            return;
        }
        self.newest = self.newest.max(ordinal.time);
        let identity = identity_of(&self.hasher, &step);
        if let Some(path) = self.paths.get(usize::from(step.step)) {
            self.root.push(path, ordinal.time, identity, &step);
            self.statistics.candidates += 1;
        }
    }

    /// No event before `watermark` less the lateness comes any more.
    pub(crate) fn advance(&mut self, watermark: Instant, outcomes: &mut Vec<Outcome>) {
        self.watermark = self.watermark.max(watermark);
        if let Some(lateness) = self.lateness {
            self.settle(earlier_by(self.watermark, lateness), outcomes);
        }
    }

    fn settle(&mut self, frontier: Instant, outcomes: &mut Vec<Outcome>) {
        self.settled = self.settled.max(frontier);
        let mut found = Vec::new();
        self.root
            .settle(self.settled, &mut self.statistics.duplicates, &mut found);
        self.statistics.finished += found.len() as u64;
        let rule = self.rule;
        outcomes.extend(
            found
                .into_iter()
                .map(|found| Outcome::Found(to_match(rule, found))),
        );
    }

    /// No event comes any more.
    pub(crate) fn finish(&mut self, outcomes: &mut Vec<Outcome>) {
        self.settle(END, outcomes);
    }

    /// Releases memory, down to a part of `limit`. First everything older than the rule's lateness behind the newest event is
    /// evaluated, then everything but the newest, which loses nothing but the tolerance of events that come late. Only when
    /// the open spans of time alone are too much, and it `must` be enough, the groups that had no candidate for longest are given up.
    pub(crate) fn relieve(&mut self, limit: usize, must: bool, outcomes: &mut Vec<Outcome>) {
        let enough = limit / 8 * 7;
        let window = self.lateness.unwrap_or(PRESSURE_WINDOW);
        self.settle(earlier_by(self.newest, window), outcomes);
        if self.bytes() > enough {
            self.settle(self.newest, outcomes);
        }
        while must && self.bytes() > enough {
            let mut newest = Vec::new();
            self.root.newest_of_groups(&mut newest);
            let Some(middle) = newest.len().checked_sub(1).map(|last| last / 2) else {
                return;
            };
            let cut = *newest.select_nth_unstable(middle).1;
            self.statistics.evicted += self.root.evict(cut);
        }
    }

    pub(crate) fn save(&self, to: &mut StateWriter) -> Result<Vec<u8>, BadState> {
        let mut nodes = Vec::new();
        self.root.written(&mut nodes);
        to.write(&(
            &self.hasher,
            nodes,
            (self.watermark, self.newest, self.settled),
            self.statistics,
        ))
    }

    /// Takes over what [`Self::save`] wrote, in place of what it holds.
    pub(crate) fn restore(&mut self, section: &[u8], from: &mut StateReader) -> Result<(), BadState> {
        let (hasher, nodes, times, statistics): (_, Vec<_>, _, _) = from.read(section)?;
        let mut parts = nodes.iter();
        if !self.root.fits(&mut parts) || parts.next().is_some() {
            return Err(BadState::of("a correlation has other parts"));
        }
        self.root.restore(&mut nodes.into_iter());
        (self.hasher, self.statistics) = (hasher, statistics);
        (self.watermark, self.newest, self.settled) = times;
        Ok(())
    }

    /// Bytes of state.
    pub(crate) fn bytes(&self) -> usize {
        self.root.bytes()
    }

    pub(crate) fn statistics(&self) -> RuleStatistics {
        RuleStatistics {
            keys: self.root.groups() as u64,
            ..self.statistics
        }
    }
}

fn to_match(rule: RuleIndex, found: Found) -> Match {
    Match {
        rule,
        keys: found.keys.to_vec(),
        window: found.tally.map(|tally| Window {
            from: found.first,
            to: found.last.time,
            tally: Some(tally),
        }),
        events: found
            .events
            .into_iter()
            .map(|(step, event)| (step, Some(event)))
            .collect(),
        first: Some(found.first),
        last: Some(found.last),
    }
}
