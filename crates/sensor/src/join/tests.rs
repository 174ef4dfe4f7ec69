use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use super::*;
use crate::containers::Runtime;
use crate::event::What;
use crate::observation::ProcessId;
use crate::process::{Kin, Process};

/// What is known of containers, and what came to be known.
#[derive(Debug, Default)]
struct Told {
    known: HashMap<String, Arc<Container>>,
    news: VecDeque<News>,
    asked: HashSet<String>,
}

#[derive(Clone, Debug, Default)]
struct Engine(Arc<Mutex<Told>>);

impl Engine {
    fn tell(&self, number: u64, is_complete: bool) {
        let container = Arc::new(Container {
            name: Some(format!("name-{number}")),
            is_complete,
            ..Container::new(&id(number), Some(Runtime::Docker), None)
        });
        let mut told = self.0.lock().unwrap();
        told.known.insert(id(number), Arc::clone(&container));
        told.news.push_back(News::Known(container));
    }
}

impl Knows for Engine {
    fn of(&mut self, found: &Contained) -> Option<Arc<Container>> {
        let mut told = self.0.lock().unwrap();
        told.asked.insert(found.id.clone());
        told.known.get(&found.id).cloned()
    }

    fn news(&mut self) -> Option<News> {
        self.0.lock().unwrap().news.pop_front()
    }

    fn counts(&self) -> ContainerCounts {
        ContainerCounts::default()
    }
}

fn id(number: u64) -> String {
    format!("{number:064x}")
}

/// An event of a container, or of the host.
fn event(number: Option<u64>) -> Event {
    let mut own = Kin::unknown(ProcessId { pid: 1, start: 1 });
    own.container = number.map(|number| {
        let path = format!("/system.slice/docker-{}.scope", id(number));
        Arc::new(crate::cgroup::contained(path.as_bytes()).unwrap())
    });
    Event {
        at: SinceBoot(0),
        what: What::Running,
        process: Arc::new(Process::alone(own)),
        session: None,
        group: None,
    }
}

/// Everything that goes on now: ids of containers, and whether these are named.
fn gone_on(join: &mut Join, now: u64) -> Vec<(Option<String>, bool)> {
    std::iter::from_fn(|| join.next(SinceBoot(now), false))
        .map(|(event, members)| {
            let id = event
                .container()
                .map(|contained: &Contained| contained.id.clone());
            (id, members.is_some())
        })
        .collect()
}

#[test]
fn many_that_nobody_knows_are_waited_for_together() {
    let engine = Engine::default();
    let mut join = Join::with(Box::new(engine.clone()));
    for number in 0..200 {
        join.push(event(Some(number)), SinceBoot(1_000));
    }
    assert_eq!(engine.0.lock().unwrap().asked.len(), 200);
    assert_eq!(gone_on(&mut join, PATIENCE), []);
    assert_eq!(gone_on(&mut join, 1_000 + PATIENCE).len(), 200);
    // They are never waited for again.
    join.push(event(Some(7)), SinceBoot(2 * PATIENCE));
    assert_eq!(gone_on(&mut join, 2 * PATIENCE), [(Some(id(7)), false)]);
}

#[test]
fn nothing_overtakes_what_waits() {
    let engine = Engine::default();
    let mut join = Join::with(Box::new(engine.clone()));
    join.push(event(Some(1)), SinceBoot(0));
    join.push(event(None), SinceBoot(0));
    assert_eq!(gone_on(&mut join, 10), []);
    // What is known in part may still become complete.
    engine.tell(1, false);
    assert_eq!(gone_on(&mut join, 20), []);
    engine.tell(1, true);
    assert_eq!(gone_on(&mut join, 30), [(Some(id(1)), true), (None, false)]);
    assert_eq!(join.news().containers.len(), 0, "its events were complete");
}

#[test]
fn who_becomes_known_late_is_told_once() {
    let engine = Engine::default();
    let mut join = Join::with(Box::new(engine.clone()));
    join.push(event(Some(1)), SinceBoot(0));
    assert_eq!(gone_on(&mut join, PATIENCE), [(Some(id(1)), false)]);
    engine.tell(1, true);
    engine.tell(2, true);
    let late = join.news().containers;
    assert_eq!(late.len(), 1);
    assert_eq!(late[0]["container"]["name"], "name-1");
    engine.tell(1, true);
    assert_eq!(join.news().containers.len(), 0);
}

/// Between what is known and the news of it, another event may come.
#[test]
fn who_becomes_known_late_is_told_although_another_event_came_first() {
    let engine = Engine::default();
    let mut join = Join::with(Box::new(engine.clone()));
    join.push(event(Some(1)), SinceBoot(0));
    assert_eq!(gone_on(&mut join, PATIENCE), [(Some(id(1)), false)]);
    engine.tell(1, true);
    join.push(event(Some(1)), SinceBoot(PATIENCE));
    assert_eq!(gone_on(&mut join, PATIENCE), [(Some(id(1)), true)]);
    assert_eq!(join.news().containers.len(), 1);
}

#[test]
fn of_very_many_that_nobody_knows_the_latest_are_remembered() {
    let engine = Engine::default();
    let mut join = Join::with(Box::new(engine.clone()));
    let most = MOST as u64;
    for number in 0..2 * most {
        let now = number * PATIENCE;
        join.push(event(Some(number)), SinceBoot(now));
        assert_eq!(gone_on(&mut join, now), []);
        assert_eq!(gone_on(&mut join, now + PATIENCE).len(), 1);
    }
    assert_eq!(join.missing.len(), MOST);
    engine.tell(0, true);
    engine.tell(2 * most - 1, true);
    assert_eq!(join.news().containers.len(), 1);
}
