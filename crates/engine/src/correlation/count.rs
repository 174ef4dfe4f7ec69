//! The state of a group of which a number is asked.

use std::collections::VecDeque;

use ahash::AHashMap;
use neph_event::Instant;
use neph_plan::{Bound, Measure};
use serde::{Deserialize, Serialize};

use crate::candidate::{earlier_by, later_by, table_bytes};
use crate::{Distinct, Tally};

use super::candidate::{Candidate, Found, add_events, add_outer, ordinal};
use crate::candidate::JoinKey;

/// Of so many candidates the events are kept, the latest ones.
const MAX_EVENTS: usize = 100;

/// What is asked.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) measure: Measure,
    pub(crate) bounds: Vec<Bound>,
    pub(crate) is_rising: bool,
}

/// The candidates of one span of time.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Counting {
    candidates: VecDeque<Candidate>,
    /// How many candidates have each value.
    #[serde(skip)]
    distinct: AHashMap<u64, u32>,
    sum: f64,
    #[serde(skip)]
    numbers: u64,
    /// No match ends up to this time.
    quiet: Option<Instant>,
    #[serde(skip)]
    heap_bytes: usize,
}

impl Counting {
    /// Counts again, after it has been read.
    pub(crate) fn restored(&mut self) {
        for candidate in &self.candidates {
            for value in &candidate.values {
                *self.distinct.entry(*value).or_insert(0) += 1;
            }
            self.numbers += candidate.numbers.len() as u64;
            self.heap_bytes += candidate.heap_bytes();
        }
    }

    /// Takes the candidates of one time, which is later than all before.
    pub(crate) fn feed(
        &mut self,
        question: &Question,
        timespan: u64,
        mut candidates: Vec<Candidate>,
        key: &JoinKey,
        found: &mut Vec<Found>,
    ) {
        if question.measure.needs_numbers() {
            candidates.retain(|candidate| !candidate.numbers.is_empty());
        }
        let Some(time) = candidates.first().map(|candidate| candidate.time) else {
            return;
        };
        self.pass(question, timespan, time, false, key, found);
        for candidate in candidates {
            self.add(candidate);
        }
        if question.is_rising
            && self.quiet.is_none()
            && let Some(told) = self.answer(question, key)
        {
            self.quiet = Some(later_by(time, timespan));
            self.clear();
            found.push(told);
        }
    }

    /// Everything before `now` has been fed, or everything there is (`is_end`).
    pub(crate) fn pass(
        &mut self,
        question: &Question,
        timespan: u64,
        now: Instant,
        is_end: bool,
        key: &JoinKey,
        found: &mut Vec<Found>,
    ) {
        self.quiet.take_if(|quiet| *quiet < now || is_end);
        if question.is_rising {
            let oldest = earlier_by(now, timespan);
            while let Some(first) = self.candidates.front()
                && (first.time < oldest || is_end)
            {
                self.remove_first();
            }
        } else if let Some(first) = self.candidates.front()
            && (later_by(first.time, timespan) < now || is_end)
        {
            found.extend(self.answer(question, key));
            self.clear();
        }
    }

    /// The time after which [`Self::pass`] has something to do.
    pub(crate) fn next_change(&self, question: &Question, timespan: u64) -> Option<Instant> {
        let candidate = match question.is_rising {
            true => self.candidates.back(),
            false => self.candidates.front(),
        };
        let ends = candidate.map(|candidate| later_by(candidate.time, timespan));
        ends.max(self.quiet)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.candidates.is_empty() && self.quiet.is_none()
    }

    pub(crate) fn newest(&self) -> Option<Instant> {
        self.candidates.back().map(|candidate| candidate.time)
    }

    pub(crate) fn len(&self) -> usize {
        self.candidates.len()
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.candidates.capacity() * size_of::<Candidate>()
            + self.heap_bytes
            + table_bytes(self.distinct.capacity(), size_of::<(u64, u32)>())
    }

    fn add(&mut self, candidate: Candidate) {
        for value in &candidate.values {
            *self.distinct.entry(*value).or_insert(0) += 1;
        }
        self.sum += candidate.numbers.iter().sum::<f64>();
        self.numbers += candidate.numbers.len() as u64;
        self.heap_bytes += candidate.heap_bytes();
        self.candidates.push_back(candidate);
        let surplus = self.candidates.len().checked_sub(MAX_EVENTS + 1);
        if let Some(old) = surplus.and_then(|place| self.candidates.get_mut(place)) {
            self.heap_bytes -= old.forget_events();
        }
    }

    fn remove_first(&mut self) {
        let Some(gone) = self.candidates.pop_front() else {
            return;
        };
        for value in &gone.values {
            if let Some(count) = self.distinct.get_mut(value) {
                *count -= 1;
                if *count == 0 {
                    self.distinct.remove(value);
                }
            }
        }
        self.numbers -= gone.numbers.len() as u64;
        self.heap_bytes -= gone.heap_bytes();
        // What is left of a sum by rounding must not outlive its values.
        self.sum = match self.candidates.is_empty() {
            true => 0.0,
            false => self.sum - gone.numbers.iter().sum::<f64>(),
        };
    }

    fn clear(&mut self) {
        let quiet = self.quiet;
        *self = Self {
            quiet,
            ..Self::default()
        };
    }

    /// The match, if the number keeps all bounds.
    fn answer(&self, question: &Question, key: &JoinKey) -> Option<Found> {
        let first = self.candidates.front()?;
        let last = self.candidates.back()?;
        let count = self.candidates.len() as u64;
        let distinct = self.distinct.len() as u64;
        let number = match question.measure {
            Measure::Count => count as f64,
            Measure::Distinct => distinct as f64,
            Measure::Sum => self.sum,
            Measure::Average => self.sum / self.numbers as f64,
            Measure::Percentile(part) => self.percentile(part)?,
        };
        if !question.bounds.iter().all(|bound| bound.holds(number)) {
            return None;
        }
        let mut outer = Vec::new();
        let mut events = Vec::new();
        for candidate in &self.candidates {
            add_outer(&mut outer, &candidate.outer);
            add_events(&mut events, &candidate.events);
        }
        let surplus = events.len().saturating_sub(MAX_EVENTS);
        events.drain(..surplus);
        Some(Found {
            keys: JoinKey::clone(key),
            first: first.time,
            last: ordinal(last),
            events,
            outer,
            tally: Some(Tally {
                count,
                distinct: (question.measure == Measure::Distinct).then_some(Distinct {
                    count: distinct,
                    is_exact: true,
                }),
                measured: question.measure.needs_numbers().then_some(number),
            }),
        })
    }

    /// Between two values in proportion, as the default of NumPy and of Elasticsearch for few values.
    fn percentile(&self, part: f64) -> Option<f64> {
        let mut numbers: Vec<f64> = self
            .candidates
            .iter()
            .flat_map(|candidate| candidate.numbers.iter().copied())
            .collect();
        numbers.sort_unstable_by(f64::total_cmp);
        let place = part.clamp(0.0, 100.0) / 100.0 * numbers.len().checked_sub(1)? as f64;
        let below = *numbers.get(place.floor() as usize)?;
        let above = *numbers.get(place.ceil() as usize)?;
        Some(below + (above - below) * place.fract())
    }
}
