//! Events wait for who their container is, a short time, and go on in their order.
//!
//! An engine is asked when the first event of a container comes, and answers within milliseconds; until then what comes behind waits too, so that
//! nothing overtakes what happened before it. A container that no engine knows makes its events wait once and never again. What its
//! events lacked is told by a document of its own once it is known.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::containers::{Container, Containers, News};
use crate::event::Event;
use crate::observation::SinceBoot;

/// So long events of a container wait at most, in nanoseconds: far less than an alert may take.
const PATIENCE: u64 = 300_000_000;

/// So many containers are remembered for which was waited; beyond, nothing waits.
const MOST: usize = 1024;

/// So many containers are kept in the form in which documents hold them.
const WRITTEN: usize = 256;

/// Who knows containers.
pub(crate) trait Knows: fmt::Debug + Send {
    /// Who this is, if it is known; if not, it is found out. Does not wait.
    fn of(&mut self, id: &str) -> Option<Arc<Container>>;

    /// What came to be known since the last time, one at a time. Does not wait.
    fn news(&mut self) -> Option<News>;
}

impl Knows for Containers {
    fn of(&mut self, id: &str) -> Option<Arc<Container>> {
        Self::of(self, id)
    }

    fn news(&mut self) -> Option<News> {
        Self::news(self)
    }
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

    pub(crate) fn push(&mut self, event: Event) {
        self.waiting.push_back(event);
    }

    /// How many events wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The next event, and who its container is as far as that is known; none while it waits, or if there is none. With `everything`
    /// nothing waits.
    pub(crate) fn next(&mut self, now: SinceBoot, everything: bool) -> Option<(Event, Option<Members>)> {
        let first = self.waiting.front()?;
        let (Some(containers), Some(id)) = (&mut self.containers, first.container().map(|found| &found.id))
        else {
            return self.waiting.pop_front().map(|event| (event, None));
        };
        let known = containers.of(id);
        if known.as_ref().is_none_or(|container| !container.is_complete) {
            let has_room = self.missing.len() < MOST;
            let (since, goes_on) = match self.missing.get_mut(id) {
                Some((since, goes_on)) => (*since, Some(goes_on)),
                None if has_room => {
                    let (_, goes_on) = self.missing.entry(id.clone()).or_insert((now, false));
                    (now, Some(goes_on))
                }
                None => (SinceBoot(0), None),
            };
            if !everything && now.0.saturating_sub(since.0) < PATIENCE {
                return None;
            }
            if let Some(goes_on) = goes_on {
                *goes_on = true;
            }
        } else {
            self.missing.remove(id);
        }
        let members = known.map(|container| written(&mut self.written, container));
        self.waiting.pop_front().map(|event| (event, members))
    }

    /// What came to be known: containers whose events went on without, and records of engines, as lines.
    pub(crate) fn news(&mut self) -> (Vec<Members>, Vec<Box<[u8]>>) {
        let (mut late, mut records) = (Vec::new(), Vec::new());
        while let Some(news) = self.containers.as_mut().and_then(|containers| containers.news()) {
            match news {
                News::Known(container) => {
                    if let Some((_, true)) = self.missing.get(&container.id) {
                        self.missing.remove(&container.id);
                        late.push(written(&mut self.written, container));
                    }
                }
                News::Event(record) => records.push(record),
                News::Engine(_) => {}
            }
        }
        (late, records)
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
