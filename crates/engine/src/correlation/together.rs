//! The state of a group whose sources must have candidates together.

use std::sync::Arc;

use neph_event::Instant;
use neph_plan::Presence;
use serde::{Deserialize, Serialize};

use crate::candidate::{JoinKey, earlier_by, later_by};

use super::candidate::{Candidate, Found, add_events, add_outer, ordinal};

/// What is asked.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) alternatives: Vec<Presence>,
    pub(crate) ordered: bool,
    /// Number of sources.
    pub(crate) sources: usize,
}

type Chain = Vec<Arc<Candidate>>;

/// The latest candidates of each source.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Gathering {
    /// By source; where order does not matter.
    latest: Vec<Option<Arc<Candidate>>>,
    /// Where it matters: by alternative and number of its sources that have come in order, the ones that began last.
    chains: Vec<Vec<Option<Chain>>>,
    /// By source the time of its latest candidate, also of those that a match took.
    seen: Vec<Option<Instant>>,
    /// No match ends up to this time.
    quiet: Option<Instant>,
    waiting: Option<Box<Waiting>>,
    #[serde(skip)]
    heap_bytes: usize,
}

/// A match unless a source that must be absent has a candidate up to a time.
#[derive(Debug, Deserialize, Serialize)]
struct Waiting {
    found: Found,
    absent: Vec<u16>,
    until: Instant,
}

impl Gathering {
    /// Counts again, after it has been read.
    pub(crate) fn restored(&mut self) {
        self.count_bytes();
    }

    /// Takes the candidates of one time, in order; the time is later than all before.
    pub(crate) fn feed(
        &mut self,
        question: &Question,
        timespan: u64,
        candidates: Vec<Candidate>,
        key: &JoinKey,
        found: &mut Vec<Found>,
    ) {
        let Some(time) = candidates.first().map(|candidate| candidate.time) else {
            return;
        };
        self.pass(timespan, time, false, found);
        for candidate in candidates {
            self.add(question, timespan, Arc::new(candidate));
        }
        if self.quiet.is_none() {
            self.look(question, timespan, time, key, found);
        }
        self.count_bytes();
    }

    fn add(&mut self, question: &Question, timespan: u64, candidate: Arc<Candidate>) {
        let source = candidate.source;
        if let Some(waiting) = &self.waiting
            && waiting.absent.contains(&source)
        {
            self.waiting = None;
            self.quiet = None;
        }
        self.seen.resize(question.sources, None);
        if let Some(seen) = self.seen.get_mut(usize::from(source)) {
            *seen = Some(candidate.time);
        }
        if !question.ordered {
            self.latest.resize(question.sources, None);
            if let Some(latest) = self.latest.get_mut(usize::from(source))
                && latest.as_ref().is_none_or(|held| is_preferred(&candidate, held))
            {
                *latest = Some(candidate);
            }
            return;
        }
        self.chains.resize(question.alternatives.len(), Vec::new());
        let oldest = earlier_by(candidate.time, timespan);
        for (alternative, chains) in question.alternatives.iter().zip(&mut self.chains) {
            chains.resize(alternative.present.len(), None);
            // From the last source to the first, so that an event follows itself nowhere.
            for (place, wanted) in alternative.present.iter().enumerate().rev() {
                if *wanted != source {
                    continue;
                }
                let before = place.checked_sub(1).map(|before| chains.get(before));
                let chain = match before {
                    None => Some(vec![Arc::clone(&candidate)]),
                    Some(before) => {
                        let before = before.and_then(Option::as_ref);
                        before.filter(|chain| starts(chain) >= oldest).map(|chain| {
                            let mut chain = chain.clone();
                            chain.push(Arc::clone(&candidate));
                            chain
                        })
                    }
                };
                if let Some(place) = chains.get_mut(place).filter(|_| chain.is_some()) {
                    *place = chain;
                }
            }
        }
    }

    /// Looks for a match that ends now.
    fn look(
        &mut self,
        question: &Question,
        timespan: u64,
        now: Instant,
        key: &JoinKey,
        found: &mut Vec<Found>,
    ) {
        let oldest = earlier_by(now, timespan);
        for (position, alternative) in question.alternatives.iter().enumerate() {
            let Some(gathered) = self.gathered(question, position, alternative) else {
                continue;
            };
            let first = gathered.iter().map(|candidate| candidate.time).min();
            let Some(first) = first.filter(|first| *first >= oldest) else {
                continue;
            };
            // What came together while nothing was told does not end now.
            if gathered.iter().all(|candidate| candidate.time < now) {
                continue;
            }
            let seen = |source: &u16| self.seen.get(usize::from(*source)).copied().flatten();
            if alternative
                .absent
                .iter()
                .filter_map(seen)
                .any(|seen| seen >= oldest)
            {
                continue;
            }
            let Some(told) = told(&gathered, key) else {
                continue;
            };
            self.quiet = Some(later_by(now, timespan));
            self.latest = Vec::new();
            self.chains = Vec::new();
            if alternative.absent.is_empty() {
                found.push(told);
            } else {
                self.waiting = Some(Box::new(Waiting {
                    found: told,
                    absent: alternative.absent.clone(),
                    until: later_by(first, timespan),
                }));
            }
            return;
        }
    }

    /// The candidates of an alternative, if all are there.
    fn gathered(&self, question: &Question, position: usize, alternative: &Presence) -> Option<Chain> {
        if question.ordered {
            return self.chains.get(position)?.last()?.clone();
        }
        let latest = |source: &u16| self.latest.get(usize::from(*source)).cloned().flatten();
        alternative.present.iter().map(latest).collect()
    }

    /// Everything before `now` has been fed, or everything there is (`is_end`).
    pub(crate) fn pass(&mut self, timespan: u64, now: Instant, is_end: bool, found: &mut Vec<Found>) {
        let over = |until: Instant| until < now || is_end;
        if let Some(waiting) = self.waiting.take_if(|waiting| over(waiting.until)) {
            found.push(waiting.found);
        }
        self.quiet.take_if(|quiet| over(*quiet));
        let gone = |time: Instant| over(later_by(time, timespan));
        for latest in &mut self.latest {
            latest.take_if(|candidate| gone(candidate.time));
        }
        for chain in self.chains.iter_mut().flatten() {
            chain.take_if(|chain| gone(starts(chain)));
        }
        for seen in &mut self.seen {
            seen.take_if(|seen| gone(*seen));
        }
        self.count_bytes();
    }

    /// The time after which [`Self::pass`] has something to do.
    pub(crate) fn next_change(&self, timespan: u64) -> Option<Instant> {
        if let Some(waiting) = &self.waiting {
            return Some(waiting.until);
        }
        self.newest()
            .map(|newest| later_by(newest, timespan))
            .max(self.quiet)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.seen.iter().all(Option::is_none) && self.quiet.is_none() && self.waiting.is_none()
    }

    pub(crate) fn newest(&self) -> Option<Instant> {
        self.seen.iter().copied().flatten().max()
    }

    pub(crate) fn len(&self) -> usize {
        let latest = self.latest.iter().flatten().count();
        let chained = self.chains.iter().flatten().flatten().map(Vec::len);
        latest + chained.sum::<usize>() + usize::from(self.waiting.is_some())
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.heap_bytes
    }

    /// What several chains share counts for each of them.
    fn count_bytes(&mut self) {
        let candidate = |candidate: &Arc<Candidate>| {
            size_of::<Candidate>() + 2 * size_of::<usize>() + candidate.heap_bytes()
        };
        let latest = self.latest.iter().flatten().map(candidate).sum::<usize>();
        let chain = |chain: &Chain| {
            chain.capacity() * size_of::<Arc<Candidate>>() + chain.iter().map(candidate).sum::<usize>()
        };
        let chains = self.chains.iter().flatten().flatten().map(chain).sum::<usize>();
        let waiting = self.waiting.as_ref().map_or(0, |waiting| {
            let events = waiting.found.events.iter();
            size_of::<Waiting>() + events.map(|(_, event)| event.memory_bytes() + 32).sum::<usize>()
        });
        self.heap_bytes = latest
            + chains
            + waiting
            + self.latest.capacity() * size_of::<Option<Arc<Candidate>>>()
            + self
                .chains
                .iter()
                .map(|chains| chains.capacity() + 1)
                .sum::<usize>()
                * size_of::<Option<Chain>>()
            + self.seen.capacity() * size_of::<Option<Instant>>();
    }
}

/// The latest candidate counts; of one time, whatever their order, the one whose event has the first id.
fn is_preferred(candidate: &Candidate, held: &Candidate) -> bool {
    let id = |one: &Candidate| one.events.first().map(|(_, event)| event.id().clone());
    candidate.time > held.time || id(candidate) < id(held)
}

/// When the first of a chain came.
fn starts(chain: &Chain) -> Instant {
    chain
        .first()
        .map_or(crate::candidate::BEGINNING, |first| first.time)
}

fn told(gathered: &Chain, key: &JoinKey) -> Option<Found> {
    let first = gathered.iter().map(|candidate| candidate.time).min()?;
    let last = gathered
        .iter()
        .max_by_key(|candidate| (candidate.time, candidate.position))?;
    let mut outer = Vec::new();
    let mut events = Vec::new();
    for candidate in gathered {
        add_outer(&mut outer, &candidate.outer);
        add_events(&mut events, &candidate.events);
    }
    Some(Found {
        keys: JoinKey::clone(key),
        first,
        last: ordinal(last),
        events,
        outer,
        tally: None,
    })
}
