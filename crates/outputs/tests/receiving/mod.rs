//! A store with alerts, outputs on it, and a receiver that answers as a test wants.

use std::collections::BTreeMap;
use std::io::{BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant as Clock, SystemTime};

use neph_config::{Config, Output};
use neph_event::Instant;
use neph_outputs::{OutputOptions, OutputState, Outputs};
use neph_store::{AlertChange, Commit, Severity, Store, StoreOptions, StoredAlert};
use serde_json::{Value, json};

/// How long anything may take on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Clock::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn now() -> Instant {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Instant::from_nanos(since.unwrap().as_nanos().try_into().unwrap())
}

pub(crate) fn open(folder: &Path) -> Store {
    Store::open(folder, &StoreOptions::default()).unwrap().0
}

pub(crate) fn alert(number: usize, rule: &str) -> StoredAlert {
    let host = format!("web-{}", number % 3);
    let document = json!({
        "@timestamp": "2026-11-22T10:00:00Z",
        "event": {"kind": "alert"},
        "host": {"name": host},
        "message": format!("alert {number}"),
        "neph": {"alert": {"id": format!("{rule}-{number:06}")}},
        "rule": {"id": rule, "name": format!("Rule {rule}")},
        "kibana": {"alert": {"severity": "high"}},
    });
    let mut alert = StoredAlert::from_document(document.to_string().into_bytes()).unwrap();
    alert.severity = Severity::High;
    alert
}

pub(crate) fn raise(store: &Store, alerts: impl IntoIterator<Item = StoredAlert>, outputs: &[&str]) {
    store
        .db
        .commit(Commit {
            now: now(),
            alerts: alerts.into_iter().map(AlertChange::Raised).collect(),
            outputs: outputs.iter().map(|name| (*name).into()).collect(),
            ..Commit::default()
        })
        .unwrap();
}

/// The outputs of a configuration.
pub(crate) fn configured(text: &str) -> Vec<Output> {
    let read = neph_config::read(text, Path::new("/"));
    let config: Config = read
        .config
        .unwrap_or_else(|| panic!("{text}: {:?}", read.diagnostics));
    config.outputs
}

/// Outputs at work.
pub(crate) fn start(store: &Store, folder: &Path, outputs: &[Output], clock: fn() -> Instant) -> Outputs {
    let started = Outputs::new(
        store.db.clone(),
        OutputOptions {
            dead_letters: folder.join("dead-letters"),
            link: None,
            now: clock,
            hear: Arc::new(|_| {}),
        },
    );
    started.change(outputs);
    started
}

pub(crate) fn state(outputs: &Outputs, name: &str) -> OutputState {
    let states = outputs.states().unwrap();
    states
        .into_iter()
        .find(|state| state.counts.output == name)
        .unwrap()
}

/// Waits until nothing waits for an output any more.
pub(crate) fn settled(outputs: &Outputs, name: &str) -> OutputState {
    wait_for("an empty outbox", || {
        Some(state(outputs, name)).filter(|state| state.counts.waiting == 0)
    })
}

/// What a receiver answers.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Status(u16, &'static str, String),
    /// The connection is closed without an answer, behind the request.
    Reset,
    /// No answer for so long, then one.
    Hang(Duration),
}

impl Reply {
    pub(crate) fn ok() -> Self {
        Self::Status(200, "", String::new())
    }
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn key(&self) -> &str {
        self.headers.get("idempotency-key").map_or("", String::as_str)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A receiver; it counts the requests to which it said yes.
pub(crate) struct Receiver {
    pub(crate) url: String,
    pub(crate) taken: Arc<Mutex<Vec<Request>>>,
    pub(crate) asked: Arc<Mutex<Vec<Request>>>,
}

impl Receiver {
    pub(crate) fn start(answer: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            taken: Arc::default(),
            asked: Arc::default(),
        };
        let (taken, asked, answer) = (
            Arc::clone(&receiver.taken),
            Arc::clone(&receiver.asked),
            Arc::new(answer),
        );
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (taken, asked, answer) = (Arc::clone(&taken), Arc::clone(&asked), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream, &taken, &asked, &*answer));
            }
        });
        receiver
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        let taken = self.taken.lock().unwrap();
        taken.iter().map(|request| request.key().to_owned()).collect()
    }
}

fn serve(
    mut stream: TcpStream,
    taken: &Mutex<Vec<Request>>,
    asked: &Mutex<Vec<Request>>,
    answer: &dyn Fn(usize, &Request) -> Reply,
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(request) = read(&mut reader) {
        let number = {
            let mut asked = asked.lock().unwrap();
            asked.push(request.clone());
            asked.len() - 1
        };
        let mut reply = answer(number, &request);
        if let Reply::Hang(time) = reply {
            std::thread::sleep(time);
            reply = Reply::ok();
        }
        let Reply::Status(status, headers, body) = reply else {
            return;
        };
        if (200..300).contains(&status) {
            taken.lock().unwrap().push(request);
        }
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{headers}\r\n",
            body.len()
        );
        if stream.write_all(head.as_bytes()).is_err() || stream.write_all(body.as_bytes()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut impl std::io::BufRead) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length: usize = headers
        .get("content-length")
        .map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        path,
        headers,
        body: String::from_utf8(body).unwrap(),
    })
}
