//! What is known of containers, by id, within a bounded memory, and who was asked for and not known.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::container::Container;

/// Ids that were asked for and are not known, at most.
const WANTED: usize = 4096;
/// An id that nobody could tell anything of is asked for again after this.
const FORGET: Duration = Duration::from_secs(60);
/// Ids of containers that are gone, at most; more than fit in any sensible memory.
const ENDED: usize = 100_000;

/// What is known of containers.
#[derive(Debug, Default)]
pub(super) struct Known {
    containers: HashMap<String, Entry>,
    /// Ids in the order in which they were learned, with the turn in which; an id whose turn is another by now stands further behind.
    order: VecDeque<(u64, String)>,
    /// Containers that are gone, in the order in which they went. They are the first to be forgotten.
    ended: VecDeque<String>,
    turn: u64,
    weight: usize,
    limit: usize,
    wanted: HashMap<String, Instant>,
    /// How many containers were forgotten because the memory was full.
    pub(super) forgotten: u64,
}

#[derive(Debug)]
struct Entry {
    container: Arc<Container>,
    turn: u64,
    weight: usize,
    /// Somebody was told of it while not all was known, so engines were asked for the rest.
    is_asked: bool,
}

impl Known {
    pub(super) fn within(limit: usize) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// Who this is, and whether sources are to be asked: once for what is missing, and once for what nobody knows.
    pub(super) fn look_up(&mut self, id: &str, now: Instant) -> (Option<Arc<Container>>, bool) {
        match self.containers.get_mut(id) {
            Some(entry) => {
                let is_asked = std::mem::replace(&mut entry.is_asked, true);
                let is_open = !is_asked && !entry.container.is_complete;
                (Some(Arc::clone(&entry.container)), is_open)
            }
            None => (None, self.want(id, now)),
        }
    }

    pub(super) fn get(&self, id: &str) -> Option<Arc<Container>> {
        self.containers.get(id).map(|entry| Arc::clone(&entry.container))
    }

    /// How many containers are known, and how many bytes that takes, about.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.containers.len(), self.weight)
    }

    /// Remembers that somebody wants to know this id. True: nobody did until now, so sources are to be asked.
    fn want(&mut self, id: &str, now: Instant) -> bool {
        if let Some(since) = self.wanted.get_mut(id) {
            let is_stale = now.saturating_duration_since(*since) > FORGET;
            if is_stale {
                *since = now;
            }
            return is_stale;
        }
        if self.wanted.len() >= WANTED {
            self.wanted
                .retain(|_, since| now.saturating_duration_since(*since) <= FORGET);
            if self.wanted.len() >= WANTED {
                return false;
            }
        }
        self.wanted.insert(id.to_owned(), now);
        true
    }

    /// Learns about a container. Gives it back, if somebody wanted to know it, or knows less of it than there is to know now.
    ///
    /// The engine of a user may not say anything about a container that an engine of the host, or another user's, knows: ids can be read by
    /// everybody on the host.
    pub(super) fn learn(&mut self, mut container: Container) -> Option<Arc<Container>> {
        let mut is_asked = self.wanted.remove(&container.id).is_some();
        let mut is_news = is_asked;
        if let Some(entry) = self.containers.get(&container.id) {
            is_asked |= entry.is_asked;
            let older = &entry.container;
            if container.told_by.is_some() && container.told_by != older.told_by {
                return None;
            }
            if container.told_by == older.told_by {
                container.keep(older);
            }
            let is_richer =
                container.is_complete && !older.is_complete || container.digests.len() > older.digests.len();
            is_news |= entry.is_asked && is_richer;
        }
        let id = container.id.clone();
        let weight = container.weight();
        let container = Arc::new(container);
        self.turn += 1;
        let entry = Entry {
            container: Arc::clone(&container),
            turn: self.turn,
            weight,
            is_asked,
        };
        self.weight += weight;
        if let Some(before) = self.containers.insert(id.clone(), entry) {
            self.weight -= before.weight;
        }
        self.order.push_back((self.turn, id.clone()));
        while self.weight > self.limit && self.containers.len() > 1 {
            self.forget_one();
        }
        if self.order.len() > 4 * self.containers.len() + 64 {
            let containers = &self.containers;
            self.order
                .retain(|(turn, id)| containers.get(id).is_some_and(|entry| entry.turn == *turn));
        }
        is_news.then_some(container)
    }

    /// The container is gone; it stays known as long as there is room.
    pub(super) fn end(&mut self, id: &str) {
        if self.containers.contains_key(id) && self.ended.len() < ENDED {
            self.ended.push_back(id.to_owned());
        }
    }

    fn forget_one(&mut self) {
        let id = match self.ended.pop_front() {
            Some(id) => id,
            None => match self.order.pop_front() {
                Some((turn, id)) if self.containers.get(&id).is_some_and(|entry| entry.turn == turn) => id,
                Some(_) => return,
                None => return self.containers.clear(),
            },
        };
        if let Some(entry) = self.containers.remove(&id) {
            self.weight = self.weight.saturating_sub(entry.weight);
            self.forgotten += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::container::Runtime;
    use super::*;

    fn container(id: usize, told_by: Option<u32>) -> Container {
        let mut container = Container::new(&format!("{id:064x}"), Some(Runtime::Docker), told_by);
        container.named(&format!("name-{id}-{}", told_by.unwrap_or(0)));
        container
    }

    #[test]
    fn memory_is_bounded_and_what_is_gone_is_forgotten_first() {
        let mut known = Known::within(100_000);
        for id in 0..10_000 {
            known.learn(container(id, None));
            known.learn(container(0, None));
            known.end(&format!("{id:064x}"));
        }
        let (count, weight) = known.size();
        assert!(weight <= 100_000 && count > 100, "{count} {weight}");
        assert!(known.order.len() <= 4 * count + 64);
        assert!(known.get(&format!("{:064x}", 9_999)).is_some());
        assert!(known.get(&format!("{:064x}", 5)).is_none());
        assert_eq!(known.forgotten as usize + count, 10_000 + known.forgotten_again());
    }

    impl Known {
        /// Container 0 is learned again each time it was forgotten.
        fn forgotten_again(&self) -> usize {
            self.forgotten as usize + self.containers.len() - 10_000
        }
    }

    #[test]
    fn users_say_nothing_about_containers_of_others() {
        let mut known = Known::within(100_000);
        known.learn(container(1, None));
        known.learn(container(1, Some(1000)));
        let name = |known: &Known| known.get(&format!("{:064x}", 1)).unwrap().name.clone().unwrap();
        assert_eq!(name(&known), "name-1-0");
        known.learn(container(2, Some(1000)));
        known.learn(container(2, Some(1001)));
        let told = known.get(&format!("{:064x}", 2)).unwrap().told_by;
        assert_eq!(told, Some(1000));
        known.learn(container(2, None));
        let told = known.get(&format!("{:064x}", 2)).unwrap().told_by;
        assert_eq!(told, None);
    }

    #[test]
    fn each_unknown_id_is_asked_for_once_and_told_once() {
        let mut known = Known::within(100_000);
        let now = Instant::now();
        let id = format!("{:064x}", 7);
        assert!(known.want(&id, now));
        assert!(!known.want(&id, now));
        assert!(known.want(&id, now + FORGET + Duration::from_secs(1)));
        assert!(known.learn(container(7, None)).is_some());
        assert!(known.learn(container(7, None)).is_none());
        let mut complete = container(7, None);
        complete.is_complete = true;
        assert!(known.learn(complete.clone()).is_some());
        assert!(known.learn(complete).is_none());
        for id in 0..2 * WANTED {
            known.want(&format!("{id}"), now);
        }
        assert_eq!(known.wanted.len(), WANTED);
    }
}
