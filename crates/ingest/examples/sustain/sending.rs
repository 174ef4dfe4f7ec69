//! Connections that send bodies and wait until they are acknowledged.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::alerts::Planted;
use crate::bodies::{self, Body, Corpus, Now};
use crate::{Options, Outcome, percentiles};

/// Broken requests of one connection after which it gives up.
const MOST_FAILURES: u32 = 100;
/// Before what was refused or broke is sent again.
const PAUSE: Duration = Duration::from_millis(100);

/// What all connections share.
pub(crate) struct Load {
    options: Options,
    corpora: Mutex<Vec<Corpus>>,
    planted: Arc<Planted>,
    began: Instant,
    /// Events whose turn has come.
    next: AtomicU64,
    next_plant: Mutex<Instant>,
    pub(crate) acknowledged: AtomicU64,
    bytes: AtomicU64,
    wire: AtomicU64,
    busy: AtomicU64,
    broken: AtomicU64,
    latencies: Mutex<Vec<Duration>>,
}

type Connection = Option<BufReader<TcpStream>>;

impl Load {
    pub(crate) fn new(options: Options, corpora: Vec<Corpus>, planted: Arc<Planted>) -> Self {
        Self {
            options,
            corpora: Mutex::new(corpora),
            planted,
            began: Instant::now(),
            next: AtomicU64::new(0),
            next_plant: Mutex::new(Instant::now()),
            acknowledged: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            wire: AtomicU64::new(0),
            busy: AtomicU64::new(0),
            broken: AtomicU64::new(0),
            latencies: Mutex::default(),
        }
    }

    pub(crate) fn progress(&self) -> serde_json::Value {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        serde_json::json!({
            "after": self.began.elapsed().as_secs_f64(),
            "events": count(&self.acknowledged),
            "bytes": count(&self.bytes),
            "wire": count(&self.wire),
            "busy": count(&self.busy),
            "broken": count(&self.broken),
        })
    }

    pub(crate) fn latencies(&self) -> serde_json::Value {
        let latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        percentiles(latencies.clone())
    }

    /// Sends bodies until there are enough.
    pub(crate) fn run(&self) -> Outcome<()> {
        let mut connection = None;
        loop {
            let mut body = {
                let mut corpora = self.corpora.lock().unwrap_or_else(PoisonError::into_inner);
                bodies::next(&mut corpora).ok_or("no events are given")?
            };
            let first = self.next.fetch_add(body.events, Ordering::Relaxed);
            if self.options.rate > 0.0 {
                let due = Duration::from_secs_f64(first as f64 / self.options.rate);
                std::thread::sleep(due.saturating_sub(self.began.elapsed()));
            }
            let is_late = |seconds| self.began.elapsed().as_secs_f64() >= seconds;
            if self.options.events.is_some_and(|events| first >= events)
                || self.options.seconds.is_some_and(is_late)
            {
                return Ok(());
            }
            body.stamp(&Now::of_system(), first);
            let plants = {
                let mut next = self.next_plant.lock().unwrap_or_else(PoisonError::into_inner);
                let is_due = Instant::now() >= *next;
                if is_due {
                    *next = Instant::now() + self.options.plant;
                }
                is_due
            };
            self.deliver(&mut connection, &mut body, plants)?;
            let mut corpora = self.corpora.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(corpus) = corpora.get_mut(body.corpus) {
                corpus.give_back(body);
            }
        }
    }

    /// Sends one body until it is taken.
    fn deliver(&self, connection: &mut Connection, body: &mut Body, plants: bool) -> Outcome<()> {
        let began = Instant::now();
        let number = plants.then(|| self.planted.plant(began));
        let text = match number {
            Some(number) => {
                body.plant(number);
                body.text.as_slice()
            }
            None => body.text.get(..body.plain).unwrap_or_default(),
        };
        let packed = match self.options.gzip {
            true => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(text)?;
                Some(encoder.finish()?)
            }
            false => None,
        };
        let sent = packed.as_deref().unwrap_or(text);
        let mut failures = 0;
        loop {
            self.wire.fetch_add(sent.len() as u64, Ordering::Relaxed);
            match self.exchange(connection, sent) {
                Ok(true) => break,
                Ok(false) => {
                    self.busy.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => {
                    *connection = None;
                    self.broken.fetch_add(1, Ordering::Relaxed);
                    failures += 1;
                    if failures > MOST_FAILURES {
                        return Err(error);
                    }
                }
            }
            std::thread::sleep(PAUSE);
        }
        if let Some(number) = number {
            self.planted.acknowledged(number);
        }
        let events = body.events + u64::from(plants);
        self.acknowledged.fetch_add(events, Ordering::Relaxed);
        self.bytes.fetch_add(text.len() as u64, Ordering::Relaxed);
        let mut latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        latencies.push(began.elapsed());
        Ok(())
    }

    /// Sends once; whether it was taken.
    fn exchange(&self, connection: &mut Connection, body: &[u8]) -> Outcome<bool> {
        let stream = match connection {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(&self.options.address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(Duration::from_secs(120)))?;
                connection.insert(BufReader::with_capacity(64 << 10, stream))
            }
        };
        let encoding = if self.options.gzip {
            "content-encoding: gzip\r\n"
        } else {
            ""
        };
        // What Beats ask for.
        let head = format!(
            "POST /_bulk?filter_path=errors,items.*.error,items.*.status HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
             content-type: application/x-ndjson\r\n{encoding}content-length: {}\r\n\r\n",
            self.options.address,
            self.options.token,
            body.len()
        );
        stream.get_mut().write_all(head.as_bytes())?;
        stream.get_mut().write_all(body)?;
        let (status, answer) = read_answer(stream)?;
        match status {
            200 if memchr::memmem::find(&answer, b"\"errors\":false").is_some() => Ok(true),
            // Some may be in, and come again with the same ids.
            200 if memchr::memmem::find(&answer, b"\"status\":4").is_none() => Ok(false),
            200 if memchr::memmem::find(&answer, b"\"status\":429").is_some() => Ok(false),
            429 | 503 => {
                *connection = None;
                Ok(false)
            }
            status => {
                let answer: String = String::from_utf8_lossy(&answer).chars().take(300).collect();
                Err(format!("status {status}: {answer}").into())
            }
        }
    }
}

fn read_answer(stream: &mut BufReader<TcpStream>) -> Outcome<(u16, Vec<u8>)> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).ok_or("no answer")?.parse()?;
    let mut length = 0;
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err("the answer was cut off".into());
        }
        if line.trim().is_empty() {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((status, body))
}
