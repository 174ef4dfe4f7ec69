//! Every protocol over real sockets, against a log that does what the test wants.

#![expect(
    clippy::unwrap_used,
    clippy::string_slice,
    reason = "the lints know test functions only, not what these call"
)]

mod bulk;
mod hec;
mod http;
mod otlp;
mod security;
mod syslog;
mod tls;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use neph_ingest::{
    Counts, Done, Intake, Limits, Protocol, Refused, Shutdown, Sink, Stopper, Tokens, router, serve, shutdown,
};
use neph_store::{Batch, StoreError};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// What the log does with a batch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Takes,
    IsFull,
    Fails,
    /// Holds it back until the mood changes.
    Waits,
}

/// A log in memory.
pub(crate) struct Log {
    taken: Mutex<Vec<(String, Vec<u8>)>>,
    mood: Mutex<Mood>,
    changed: Condvar,
}

impl Log {
    pub(crate) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
        self.changed.notify_all();
    }

    /// Stream and text of each record.
    pub(crate) fn records(&self) -> Vec<(String, String)> {
        let taken = self.taken.lock().unwrap();
        taken
            .iter()
            .map(|(stream, record)| (stream.clone(), String::from_utf8_lossy(record).into_owned()))
            .collect()
    }

    /// The records once there are so many.
    pub(crate) fn wait_for(&self, count: usize) -> Vec<(String, String)> {
        let end = Instant::now() + Duration::from_secs(10);
        while self.taken.lock().unwrap().len() < count && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.records()
    }
}

struct Shared(Arc<Log>);

impl Sink for Shared {
    fn append(&self, batch: Batch, done: Done) {
        let log = Arc::clone(&self.0);
        std::thread::spawn(move || {
            let mut mood = log.mood.lock().unwrap();
            while *mood == Mood::Waits {
                mood = log.changed.wait(mood).unwrap();
            }
            let appended = match *mood {
                Mood::IsFull => Err(StoreError::Full {
                    why: "test of /secret/path".to_owned(),
                }),
                Mood::Fails => Err(StoreError::ReadOnly { why: "test" }),
                _ => Ok(()),
            };
            drop(mood);
            if appended.is_ok() {
                let mut taken = log.taken.lock().unwrap();
                taken.extend(
                    batch
                        .records
                        .iter()
                        .map(|record| (batch.stream.to_string(), record.to_vec())),
                );
            }
            done(appended);
        });
    }
}

/// A service on a free port of the loopback.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) log: Arc<Log>,
    pub(crate) intake: Intake,
    pub(crate) runtime: Runtime,
    pub(crate) shutdown: Shutdown,
    stopper: Stopper,
}

impl Service {
    pub(crate) fn start() -> Self {
        Self::with(Limits::default(), None)
    }

    pub(crate) fn with(limits: Limits, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let log = Arc::new(Log {
            taken: Mutex::default(),
            mood: Mutex::new(Mood::Takes),
            changed: Condvar::new(),
        });
        let gate = Arc::new(Tokens::new([("tester", "s3cr3t")]));
        let sink = Arc::new(Shared(Arc::clone(&log)));
        let intake = Intake::new(sink, gate, limits.clone(), Arc::new(Counts::default()));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (stopper, shutdown) = shutdown();
        runtime.spawn(serve(listener, tls, router(&intake), limits, shutdown.clone()));
        Self {
            address,
            log,
            intake,
            runtime,
            shutdown,
            stopper,
        }
    }

    pub(crate) fn stop(&self) {
        self.stopper.stop();
    }

    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    /// Sends a request with the token; status and body of the answer.
    pub(crate) fn send(&self, method: &str, path: &str, body: &[u8]) -> (u16, String) {
        let answer = self.ask(method, path, &[("authorization", "Bearer s3cr3t")], body);
        (answer.status, answer.body)
    }

    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut stream = self.connect();
        stream.write_all(&request(method, path, headers, body)).unwrap();
        read_answer(&mut stream)
    }

    /// How many records of a protocol were accepted, and refused for a reason.
    pub(crate) fn counted(&self, protocol: Protocol, reason: Refused) -> (u64, u64) {
        let rows = self.intake.counts().rows();
        let rows = rows.iter().filter(|row| row.protocol == protocol);
        rows.fold((0, 0), |(accepted, refused), row| {
            (accepted + row.accepted, refused + row.refused_for(reason))
        })
    }
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut out = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    out.push_str("\r\n");
    let mut out = out.into_bytes();
    out.extend_from_slice(body);
    out
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

pub(crate) fn read_answer(stream: &mut impl Read) -> Answer {
    let mut all = Vec::new();
    // A connection that is reset has given what it had.
    let _ = stream.read_to_end(&mut all);
    let text = String::from_utf8_lossy(&all).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    Answer {
        status,
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}
