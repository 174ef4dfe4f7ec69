//! What tests of engines and runtimes share: what was told of containers, and the daemons that are asked.

use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use neph_sensor::{Container, ContainerOptions, Containers, EngineState, News};
use rustix::process::Signal;

/// The image that daemons of ours hold.
pub(crate) const IMAGE: &str = "localhost/shop/web:1.0";

/// Where a static binary may be that the image holds.
const BUSYBOX: &[&str] = &["/bin/busybox", "/usr/bin/busybox", "/usr/bin/busybox-static"];

/// What was told until now.
pub(crate) struct Watched {
    pub(crate) containers: Containers,
    pub(crate) known: Vec<Arc<Container>>,
    pub(crate) events: Vec<serde_json::Value>,
    pub(crate) states: Vec<EngineState>,
}

impl Watched {
    /// Begins to look at a socket and nothing else, and waits until it answers.
    #[track_caller]
    pub(crate) fn start(socket: PathBuf, events: bool) -> Self {
        let mut watched = Self {
            containers: Containers::start(&ContainerOptions {
                sockets: Some(vec![socket]),
                storage: Some(Vec::new()),
                events,
                ..ContainerOptions::default()
            }),
            known: Vec::new(),
            events: Vec::new(),
            states: Vec::new(),
        };
        watched.until("the daemon answers", Self::is_connected);
        watched
    }

    fn take(&mut self) {
        while let Some(news) = self.containers.news() {
            match news {
                News::Known(container) => self.known.push(container),
                News::Event(line) => self.events.push(serde_json::from_slice(&line).unwrap()),
                News::Engine(state) => self.states.push(state),
            }
        }
    }

    pub(crate) fn is_connected(&mut self) -> bool {
        self.states.last().is_some_and(|state| state.problem.is_none())
    }

    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, mut reached: impl FnMut(&mut Self) -> bool) {
        let begun = Instant::now();
        loop {
            self.take();
            if reached(self) {
                return;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "{what}: not reached; {:?} {:?}",
                self.states,
                self.containers.counts()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// What is known of a container once it is all known.
    #[track_caller]
    pub(crate) fn complete(&mut self, id: &str) -> Arc<Container> {
        self.known(id, |container| container.is_complete)
    }

    /// What is known of a container as soon as its image is.
    #[track_caller]
    pub(crate) fn named(&mut self, id: &str) -> Arc<Container> {
        self.known(id, |container| !container.digests.is_empty())
    }

    #[track_caller]
    fn known(&mut self, id: &str, is_enough: impl Fn(&Container) -> bool) -> Arc<Container> {
        let mut found = None;
        self.until("the container is known", |watched| {
            found = watched.containers.of(id).filter(|container| is_enough(container));
            found.is_some()
        });
        found.unwrap()
    }
}

/// Asks for a container where nothing but these folders tells of any; also how long it took.
#[track_caller]
pub(crate) fn found_in_files(id: &str, folders: &[PathBuf]) -> (Arc<Container>, Duration) {
    let mut containers = Containers::start(&ContainerOptions {
        sockets: Some(Vec::new()),
        storage: Some(folders.to_vec()),
        ..ContainerOptions::default()
    });
    assert!(containers.of(id).is_none());
    let begun = Instant::now();
    loop {
        if let Some(News::Known(container)) = containers.news() {
            return (container, begun.elapsed());
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{folders:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A static binary for an image; else why there is none.
pub(crate) fn busybox() -> Result<PathBuf, &'static str> {
    let named = std::env::var_os("NEPH_BUSYBOX").map(PathBuf::from);
    let mut places = named.into_iter().chain(BUSYBOX.iter().map(PathBuf::from));
    let found = places.find(|path| path.is_file());
    found.ok_or("there is no `busybox-static` for an image (also: NEPH_BUSYBOX)")
}

/// What a command printed, or what it said when it failed.
pub(crate) fn printed(command: &mut Command) -> Result<String, String> {
    let done = command.output().map_err(|error| error.to_string())?;
    if !done.status.success() {
        return Err(String::from_utf8_lossy(&done.stderr).into_owned());
    }
    Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
}

/// Ends a daemon, if it runs, and waits until it has.
pub(crate) fn end(service: &mut Option<Child>, signal: Signal) {
    if let Some(mut service) = service.take() {
        let id = rustix::process::Pid::from_child(&service);
        let _ = rustix::process::kill_process(id, signal);
        let _ = service.wait();
    }
}
