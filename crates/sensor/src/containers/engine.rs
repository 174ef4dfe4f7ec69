//! Engines that speak Docker's interface (Docker, Podman): their events are listened to on one thread, and questions are asked on
//! another, so that an engine that is slow to answer does not keep its events.
//!
//! <https://docs.docker.com/reference/api/engine/>. Only `GET` is ever sent.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read as _};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use neph_socket::Hangup;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::Value;
use ureq::config::Config;

use super::container::{Container, Runtime, is_id};
use super::sockets::Socket;
use super::{Line, News, QUESTIONS, Questions, Shared};

/// A question is answered in this time, or is not.
const ANSWER: Duration = Duration::from_secs(5);
/// Bytes of an answer, at most: a list of containers is the longest.
const ANSWER_BYTES: u64 = 32 << 20;
/// Bytes of an event, at most.
const EVENT_BYTES: u64 = 1 << 20;
/// Pauses before an engine is tried again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// A clock is set back if it is by more nanoseconds than this.
const SET_BACK: i64 = 100_000_000;
/// Images whose digests are remembered, at most.
const IMAGES: usize = 1024;
/// What ends or changes a part of a path.
const PATH: &AsciiSet = &CONTROLS.add(b' ').add(b'?').add(b'#').add(b'%');
/// Attributes of a container's event that are no labels.
const ATTRIBUTES: &[&str] = &[
    "containerExitCode",
    "execID",
    "exitCode",
    "image",
    "name",
    "podId",
    "signal",
];

/// What the thread that asks is to find out.
#[derive(Debug)]
pub(super) enum Question {
    /// About one container.
    Container(String),
    /// About all there are.
    Everything,
}

/// What both threads of an engine know.
#[derive(Debug)]
pub(super) struct Engine {
    shared: Arc<Shared>,
    socket: Socket,
    asking: ureq::Agent,
    questions: SyncSender<Question>,
    runtime: Mutex<Option<Runtime>>,
    /// Ends the stream of events.
    listens: Hangup,
    /// When the machine was started, as the wall clock had it when the stream of events was asked for.
    boot: AtomicI64,
    /// Digests of images by reference, until some image changes.
    images: Mutex<HashMap<String, Arc<[String]>>>,
}

impl Engine {
    /// Starts the threads of an engine.
    pub(super) fn start(shared: &Arc<Shared>, socket: Socket) -> Line {
        let (questions, receiver) = sync_channel(QUESTIONS);
        let (asking, asks) = neph_socket::agent(config().timeout_global(Some(ANSWER)).build(), &socket.path);
        let (listening, listens) =
            neph_socket::agent(config().timeout_recv_response(Some(ANSWER)).build(), &socket.path);
        let is_of_host = socket.user.is_none();
        let listener = Engine {
            shared: Arc::clone(shared),
            socket: socket.clone(),
            asking,
            questions: questions.clone(),
            runtime: Mutex::default(),
            listens: listens.clone(),
            boot: AtomicI64::default(),
            images: Mutex::default(),
        };
        let listener = Arc::new(listener);
        let asker = Arc::clone(&listener);
        shared.spawn("engine-events", move || listener.listen(&listening));
        shared.spawn("engine-asks", move || asker.answer(&receiver));
        Line {
            questions: Questions::Engine(questions),
            hangups: vec![asks, listens],
            is_of_host,
            state: None,
        }
    }

    /// Listens to events until it is time to end, however often the engine goes away.
    fn listen(&self, agent: &ureq::Agent) {
        let mut pause = PAUSE.0;
        // What happened while the engine could not be heard is told by it afterwards, where it remembers.
        let mut last = None;
        loop {
            let before = last;
            let problem = match self.events(agent, &mut last) {
                Ok(()) => "it ended the stream of its events".to_owned(),
                Err(problem) => problem,
            };
            let runtime = self.runtime();
            self.shared.state(&self.socket, runtime, Some(problem));
            if last != before {
                pause = PAUSE.0;
            }
            if !self.shared.paused(pause) {
                return;
            }
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Listens until the engine goes away.
    fn events(&self, agent: &ureq::Agent, last: &mut Option<i64>) -> Result<(), String> {
        let version = self.get("/version")?.ok_or("it tells no version")?;
        let runtime = match names_podman(&version) {
            true => Runtime::Podman,
            false => Runtime::Docker,
        };
        *self.runtime.lock().unwrap_or_else(PoisonError::into_inner) = Some(runtime);
        // Both engines answer before they listen themselves, so that they are asked for what happens from now on. What is later than now
        // was told before the clock was set.
        let boot = crate::clock::boot();
        self.boot.store(boot, Ordering::Relaxed);
        let now = boot.saturating_add_unsigned(crate::clock::since_boot().0);
        let since = last.map_or(now, |last| last.saturating_add(1).min(now));
        let (seconds, rest) = (since.div_euclid(1_000_000_000), since.rem_euclid(1_000_000_000));
        let address = format!("http://localhost/events?since={seconds}.{rest:09}");
        let answer = agent.get(&address).call().map_err(|error| error.to_string())?;
        if answer.status() != 200 {
            return Err(format!("it gives no events: status {}", answer.status().as_u16()));
        }
        // From here on nothing is missed, so what there is already can be asked for.
        self.shared.state(&self.socket, Some(runtime), None);
        self.forget_images();
        self.ask(Question::Everything);
        let mut events = BufReader::new(answer.into_body().into_reader());
        let mut line = Vec::new();
        let ended = loop {
            line.clear();
            match events.by_ref().take(EVENT_BYTES).read_until(b'\n', &mut line) {
                Ok(0) => break Ok(()),
                Ok(_) if line.len() as u64 == EVENT_BYTES && !line.ends_with(b"\n") => {
                    count(&self.shared.counts.unreadable);
                    if let Err(error) = events.skip_until(b'\n') {
                        break Err(error.to_string());
                    }
                }
                Ok(_) => self.event(line.trim_ascii(), last),
                Err(error) => break Err(error.to_string()),
            }
        };
        count(&self.shared.counts.disconnected);
        ended
    }

    fn event(&self, line: &[u8], last: &mut Option<i64>) {
        if line.is_empty() {
            return;
        }
        let Ok(event) = serde_json::from_slice::<Value>(line) else {
            count(&self.shared.counts.unreadable);
            return;
        };
        if let Some(at) = event.get("timeNano").and_then(Value::as_i64) {
            *last = Some(last.map_or(at, |last| last.max(at)));
        }
        match event.get("Type").and_then(Value::as_str) {
            Some("container") => self.container_event(&event),
            Some("image") => self.forget_images(),
            _ => {}
        }
        if self.shared.options.events {
            count(&self.shared.counts.events);
            self.shared.tell(News::Event(line.into()));
        }
    }

    fn container_event(&self, event: &Value) {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
        let (Some(id), Some(action)) = (text("/Actor/ID"), text("/Action")) else {
            return;
        };
        if !is_id(id) {
            return;
        }
        let known = self.shared.known().get(id);
        let is_new = known.is_none();
        match action {
            "destroy" | "remove" => return self.shared.known().end(id),
            "create" | "start" | "init" | "rename" => {}
            _ if is_new => {}
            _ => return,
        }
        let mut container = self.container(id);
        if let Some(name) = text("/Actor/Attributes/name") {
            container.named(name);
        }
        if let Some(image) = text("/Actor/Attributes/image").or_else(|| text("/from")) {
            container.of_image(image);
            let images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
            for digest in images.get(image).iter().flat_map(|digests| digests.iter()) {
                container.with_digest(digest);
            }
        }
        let attributes = event.pointer("/Actor/Attributes").and_then(Value::as_object);
        for (name, value) in attributes.into_iter().flatten() {
            if let Some(value) = value.as_str()
                && !ATTRIBUTES.contains(&name.as_str())
            {
                container.labelled(name, value);
            }
        }
        let is_open = known.is_none_or(|known| !known.is_complete);
        self.shared.learn(container);
        if is_open {
            self.ask(Question::Container(id.to_owned()));
        }
    }

    fn ask(&self, question: Question) {
        if self.questions.try_send(question).is_err() {
            count(&self.shared.counts.unasked);
        }
    }

    /// Answers questions until nobody can ask any more.
    fn answer(&self, questions: &Receiver<Question>) {
        loop {
            match questions.recv_timeout(Duration::from_secs(1)) {
                Ok(Question::Container(id)) => self.inspect(&id),
                Ok(Question::Everything) => self.list(),
                Err(_) if self.shared.is_over() => return,
                Err(_) => {}
            }
            self.follow_clock();
        }
    }

    /// Asks for events anew where the clock was set back: Podman tells none until it shows again what it showed when they were asked for.
    fn follow_clock(&self) {
        let heard = self.boot.load(Ordering::Relaxed);
        if self.runtime() == Some(Runtime::Podman) && heard.saturating_sub(crate::clock::boot()) > SET_BACK {
            self.listens.interrupt();
        }
    }

    fn list(&self) {
        let Ok(Some(Value::Array(containers))) = self.get("/containers/json?all=1") else {
            count(&self.shared.counts.unreadable);
            return;
        };
        for listed in &containers {
            let text = |key: &str| listed.get(key).and_then(Value::as_str);
            let Some(id) = text("Id").filter(|id| is_id(id)) else {
                continue;
            };
            let mut container = self.container(id);
            let names = listed.get("Names").and_then(Value::as_array);
            if let Some(name) = names.and_then(|names| names.first()).and_then(Value::as_str) {
                container.named(name);
            }
            container.of_image(text("Image").unwrap_or_default());
            container.with_digest(text("ImageID").unwrap_or_default());
            container.labelled_all(listed.get("Labels"));
            self.shared.learn(container);
            if text("State") == Some("running") {
                self.ask(Question::Container(id.to_owned()));
            }
        }
    }

    /// Learns everything about one container.
    fn inspect(&self, id: &str) {
        if self.shared.known().get(id).is_some_and(|known| known.is_complete) {
            return;
        }
        let answer = self.get(&format!("/containers/{id}/json"));
        // An engine also finds containers by their names and by how their ids begin.
        let found = answer
            .ok()
            .flatten()
            .filter(|found| found.get("Id").and_then(Value::as_str) == Some(id));
        let Some(found) = found else {
            // It may be gone by now, but its image is there.
            let known = self.shared.known().get(id);
            if let Some(known) = known.filter(|known| known.told_by == self.socket.user)
                && let Some(image) = &known.image
            {
                let mut container = Container::clone(&known);
                self.add_digests(&mut container, image);
                self.shared.learn(container);
            }
            return;
        };
        let text = |pointer: &str| found.pointer(pointer).and_then(Value::as_str);
        let mut container = self.container(id);
        container.named(text("/Name").unwrap_or_default());
        container.of_image(text("/Config/Image").unwrap_or_default());
        if let Some(image) = text("/Image") {
            container.with_digest(image);
            self.add_digests(&mut container, image);
        }
        container.labelled_all(found.pointer("/Config/Labels"));
        container.privileged = found.pointer("/HostConfig/Privileged").and_then(Value::as_bool);
        container.network = text("/HostConfig/NetworkMode")
            .filter(|mode| !mode.is_empty())
            .map(super::container::bounded);
        container.shares_processes = text("/HostConfig/PidMode").map(|mode| mode == "host");
        for mount in found
            .get("Mounts")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            if let Some(source) = mount.get("Source").and_then(Value::as_str) {
                container.mounted(source);
            }
        }
        container.is_complete = true;
        self.shared.learn(container);
    }

    /// Adds the digests of the image that has this reference or id.
    fn add_digests(&self, container: &mut Container, image: &str) {
        let known = |engine: &Self| {
            let images = engine.images.lock().unwrap_or_else(PoisonError::into_inner);
            images.get(image).cloned()
        };
        let digests = known(self).unwrap_or_else(|| self.digests(image));
        for digest in digests.iter() {
            container.with_digest(digest);
        }
    }

    fn digests(&self, image: &str) -> Arc<[String]> {
        let mut digests = Vec::new();
        let path = format!("/images/{}/json", utf8_percent_encode(image, PATH));
        if let Ok(Some(found)) = self.get(&path) {
            let id = found.get("Id").and_then(Value::as_str);
            let others = found.get("RepoDigests").and_then(Value::as_array);
            let others = others.into_iter().flatten().filter_map(Value::as_str);
            digests.extend(id.into_iter().chain(others).take(16).map(str::to_owned));
        }
        let digests: Arc<[String]> = digests.into();
        let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        if images.len() < IMAGES && image.len() < 4096 {
            images.insert(image.to_owned(), Arc::clone(&digests));
        }
        digests
    }

    fn forget_images(&self) {
        self.images.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn runtime(&self) -> Option<Runtime> {
        *self.runtime.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn container(&self, id: &str) -> Container {
        Container::new(id, self.runtime().or(Some(Runtime::Docker)), self.socket.user)
    }

    /// What is at this path; `None`: nothing.
    fn get(&self, path: &str) -> Result<Option<Value>, String> {
        let told = |error: ureq::Error| error.to_string();
        let answer = self
            .asking
            .get(&format!("http://localhost{path}"))
            .call()
            .map_err(told)?;
        match answer.status().as_u16() {
            200 => {}
            404 => return Ok(None),
            status => return Err(format!("it answers with status {status}")),
        }
        let mut body = answer.into_body();
        let bytes = body
            .with_config()
            .limit(ANSWER_BYTES)
            .read_to_vec()
            .map_err(told)?;
        let value = serde_json::from_slice(&bytes).map_err(|error| {
            count(&self.shared.counts.unreadable);
            format!("its answer is not JSON: {error}")
        })?;
        Ok(Some(value))
    }
}

fn config() -> ureq::config::ConfigBuilder<ureq::typestate::AgentScope> {
    Config::builder()
        .proxy(None)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_idle_connections(0)
}

/// Whether this version is that of Podman, which speaks Docker's interface as well.
fn names_podman(version: &Value) -> bool {
    let components = version.get("Components").and_then(Value::as_array);
    let mut names = components
        .into_iter()
        .flatten()
        .filter_map(|component| component.get("Name")?.as_str());
    names.any(|name| name.contains("Podman"))
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
