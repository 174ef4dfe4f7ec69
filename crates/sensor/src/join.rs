//! Events wait for who their container is, a short time, and go on in their order.
//!
//! An engine is asked when the first event of a container comes, and answers within milliseconds; until then what comes behind waits too, so that
//! nothing overtakes what happened before it. A container that no engine knows makes its events wait once and never again. What its
//! events lacked is told by a document of its own once it is known.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::cgroup::Contained;
use crate::containers::{Container, ContainerCounts, Containers, EngineState, News, Runtime, Wanted};
use crate::event::Event;
use crate::observation::SinceBoot;

/// So long events of a container wait at most, in nanoseconds: far less than an alert may take.
const PATIENCE: u64 = 300_000_000;

/// So many containers are remembered for which was waited; beyond, the oldest are forgotten.
const MOST: usize = 1024;

/// So many containers are kept in the form in which documents hold them.
const WRITTEN: usize = 256;

/// Who knows containers.
pub(crate) trait Knows: fmt::Debug + Send {
    /// Who this is, if it is known; if not, it is found out. Does not wait.
    fn of(&mut self, found: &Contained) -> Option<Arc<Container>>;

    /// What came to be known since the last time, one at a time. Does not wait.
    fn news(&mut self) -> Option<News>;

    /// What was counted until now.
    fn counts(&self) -> ContainerCounts;
}

impl Knows for Containers {
    fn of(&mut self, found: &Contained) -> Option<Arc<Container>> {
        self.find(&found.id, || Wanted {
            id: found.id.clone(),
            pod: found.pod.clone(),
            runtime: found.runtime.and_then(Runtime::by_name),
        })
    }

    fn news(&mut self) -> Option<News> {
        Self::news(self)
    }

    fn counts(&self) -> ContainerCounts {
        Self::counts(self)
    }
}

/// What came to be known.
#[derive(Debug, Default)]
pub(crate) struct Late {
    /// Containers whose events went on without.
    pub(crate) containers: Vec<Members>,
    /// Records of engines, as lines.
    pub(crate) records: Vec<Box<[u8]>>,
    /// Engines that answer, or do so no longer.
    pub(crate) engines: Vec<EngineState>,
}

/// What documents say of a container: the members `container`, `orchestrator` and `neph`.
pub(crate) type Members = Arc<Map<String, Value>>;

/// Events on their way to be written.
#[derive(Debug, Default)]
pub(crate) struct Join {
    containers: Option<Box<dyn Knows>>,
    waiting: VecDeque<Event>,
    /// Since when a container is waited for, and whether events of it went on without.
    missing: BTreeMap<String, (SinceBoot, bool)>,
    written: BTreeMap<String, (Arc<Container>, Members)>,
}

impl Join {
    /// Joins with what is known so.
    pub(crate) fn with(containers: Box<dyn Knows>) -> Self {
        Self {
            containers: Some(containers),
            ..Self::default()
        }
    }

    /// Takes an event over. Who its container is, is asked now, so that many unknown ones are waited for together and not in turn.
    pub(crate) fn push(&mut self, event: Event, now: SinceBoot) {
        if let (Some(containers), Some(found)) = (&mut self.containers, event.container())
            && let id = &found.id
            && !self.missing.contains_key(id)
            && !containers
                .of(found)
                .is_some_and(|container| container.is_complete)
        {
            if self.missing.len() >= MOST {
                self.give_up_the_oldest();
            }
            if self.missing.len() < MOST {
                self.missing.insert(id.clone(), (now, false));
            }
        }
        self.waiting.push_back(event);
    }

    /// Of the containers whose events went on without them, the one that was asked about first is waited for no longer.
    fn give_up_the_oldest(&mut self) {
        let gone_on = self.missing.iter().filter(|(_, (_, goes_on))| *goes_on);
        if let Some(id) = gone_on
            .min_by_key(|(_, (since, _))| *since)
            .map(|(id, _)| id.clone())
        {
            self.missing.remove(&id);
        }
    }

    /// How many events wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The next event, and who its container is as far as that is known; none while it waits, or if there is none. With `everything`
    /// nothing waits.
    pub(crate) fn next(&mut self, now: SinceBoot, everything: bool) -> Option<(Event, Option<Members>)> {
        let first = self.waiting.front()?;
        let (Some(containers), Some(found)) = (&mut self.containers, first.container()) else {
            return self.waiting.pop_front().map(|event| (event, None));
        };
        let id = &found.id;
        let known = containers.of(found);
        if known.as_ref().is_none_or(|container| !container.is_complete) {
            // For whom nothing was noted, too many are waited for already.
            let (since, goes_on) = match self.missing.get_mut(id) {
                Some((since, goes_on)) => (*since, Some(goes_on)),
                None => (SinceBoot(0), None),
            };
            if !everything && now.0.saturating_sub(since.0) < PATIENCE {
                return None;
            }
            if let Some(goes_on) = goes_on {
                *goes_on = true;
            }
        } else if let Some((_, false)) = self.missing.get(id) {
            // Where events went on without, the news of it, which is on its way, is told all the same.
            self.missing.remove(id);
        }
        let members = known.map(|container| written(&mut self.written, container));
        self.waiting.pop_front().map(|event| (event, members))
    }

    /// What was counted of containers.
    pub(crate) fn counts(&self) -> ContainerCounts {
        let containers = self.containers.as_ref();
        containers
            .map(|containers| containers.counts())
            .unwrap_or_default()
    }

    /// What came to be known since the last time.
    pub(crate) fn news(&mut self) -> Late {
        let mut late = Late::default();
        while let Some(news) = self.containers.as_mut().and_then(|containers| containers.news()) {
            match news {
                News::Known(container) => {
                    if let Some((_, true)) = self.missing.get(&container.id) {
                        self.missing.remove(&container.id);
                        late.containers.push(written(&mut self.written, container));
                    }
                }
                News::Event(record) => late.records.push(record),
                News::Engine(state) => late.engines.push(state),
            }
        }
        late
    }
}

/// The members of a container, which are made once.
fn written(all: &mut BTreeMap<String, (Arc<Container>, Members)>, container: Arc<Container>) -> Members {
    if let Some((same, members)) = all.get(&container.id)
        && Arc::ptr_eq(same, &container)
    {
        return Arc::clone(members);
    }
    if all.len() >= WRITTEN {
        all.clear();
    }
    let members = Arc::new(container.members());
    all.insert(container.id.clone(), (container, Arc::clone(&members)));
    members
}

#[cfg(test)]
mod tests;
