//! Sends numbered events by `_bulk` as fast as they are taken, and says how fast that was:
//! `cargo run --release -p neph-ingest --example load -- ADDRESS TOKEN EVENTS CONNECTIONS BATCH [DOCUMENTS.ndjson]`.
//!
//! Event `n` has the id `load-n`, so that what was acknowledged can be looked for. What is refused with 429 or 503 is sent
//! again after a pause; what could not be sent because a connection broke, too. Without documents it makes up some like those of
//! CloudTrail, of 1.3 KB.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::error::Error;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failed requests of one connection after which it gives up.
const MOST_FAILURES: u32 = 1000;

/// What all connections share.
struct Load {
    address: String,
    token: String,
    events: u64,
    batch: u64,
    documents: Vec<String>,
    next: AtomicU64,
    acknowledged: AtomicU64,
    busy: AtomicU64,
    broken: AtomicU64,
    bytes: AtomicU64,
    latencies: Mutex<Vec<Duration>>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, token, events, connections, batch, documents @ ..] = arguments.as_slice() else {
        return Err("ADDRESS TOKEN EVENTS CONNECTIONS BATCH [DOCUMENTS.ndjson]".into());
    };
    let documents = match documents.first() {
        Some(path) => std::fs::read_to_string(path)?
            .lines()
            .map(str::to_owned)
            .collect(),
        None => (0..1000).map(made_up).collect(),
    };
    let load = Arc::new(Load {
        address: address.clone(),
        token: token.clone(),
        events: events.parse()?,
        batch: batch.parse::<u64>()?.max(1),
        documents,
        next: AtomicU64::new(0),
        acknowledged: AtomicU64::new(0),
        busy: AtomicU64::new(0),
        broken: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
        latencies: Mutex::default(),
    });
    let began = Instant::now();
    let senders: Vec<_> = (0..connections.parse::<u64>()?)
        .map(|_| {
            let load = Arc::clone(&load);
            std::thread::spawn(move || load.send())
        })
        .collect();
    for sender in senders {
        sender.join().map_err(|_| "a sender failed")??;
    }
    let seconds = began.elapsed().as_secs_f64();
    let mut latencies = std::mem::take(&mut *load.latencies.lock().unwrap_or_else(PoisonError::into_inner));
    latencies.sort();
    let at = |part: f64| {
        latencies
            .get((latencies.len() as f64 * part) as usize)
            .copied()
            .unwrap_or_default()
    };
    let acknowledged = load.acknowledged.load(Ordering::Relaxed);
    println!(
        "acknowledged {acknowledged} of {} in {seconds:.2} s: {:.0} events/s, {:.1} MB/s; busy {} items, broken {} requests; \
         batches of {}: p50 {:.1?} p99 {:.1?} max {:.1?}",
        load.events,
        acknowledged as f64 / seconds,
        load.bytes.load(Ordering::Relaxed) as f64 / seconds / 1e6,
        load.busy.load(Ordering::Relaxed),
        load.broken.load(Ordering::Relaxed),
        load.batch,
        at(0.5),
        at(0.99),
        at(1.0 - f64::EPSILON),
    );
    Ok(())
}

/// A document of about 1.3 KB.
fn made_up(number: u64) -> String {
    let hash = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let policy = "x".repeat(200 + (hash % 300) as usize);
    format!(
        "{{\"eventVersion\":\"1.11\",\"userIdentity\":{{\"type\":\"AssumedRole\",\"principalId\":\"AROA{hash:016X}:session-{number}\",\
         \"arn\":\"arn:aws:sts::123456789012:assumed-role/role-{}/session-{number}\",\"accountId\":\"123456789012\",\"accessKeyId\":\"ASIA{hash:016X}\",\
         \"sessionContext\":{{\"sessionIssuer\":{{\"type\":\"Role\",\"userName\":\"role-{}\"}},\"attributes\":{{\"creationDate\":\"2026-11-22T06:00:00Z\",\
         \"mfaAuthenticated\":\"false\"}}}}}},\"eventTime\":\"2026-11-22T07:{:02}:{:02}Z\",\"eventSource\":\"s3.amazonaws.com\",\"eventName\":\"GetObject\",\
         \"awsRegion\":\"eu-central-1\",\"sourceIPAddress\":\"10.{}.{}.{}\",\"userAgent\":\"[aws-sdk-go/1.55.5 (go1.22; linux; amd64)]\",\
         \"requestParameters\":{{\"bucketName\":\"bucket-{}\",\"key\":\"a/b/{hash:x}\",\"policy\":\"{policy}\"}},\"responseElements\":null,\
         \"requestID\":\"{hash:016X}\",\"eventID\":\"{hash:08x}-0000-4000-8000-{number:012}\",\"readOnly\":true,\"eventType\":\"AwsApiCall\",\
         \"managementEvent\":false,\"recipientAccountId\":\"123456789012\",\"eventCategory\":\"Data\"}}",
        number % 20,
        number % 20,
        number / 60 % 60,
        number % 60,
        hash & 255,
        hash >> 8 & 255,
        hash >> 16 & 255,
        number % 50,
    )
}

impl Load {
    /// Sends batches until there are no more.
    fn send(&self) -> Result<(), String> {
        let mut connection = None;
        loop {
            let first = self.next.fetch_add(self.batch, Ordering::Relaxed);
            if first >= self.events {
                return Ok(());
            }
            let mut numbers: Vec<u64> = (first..self.events.min(first + self.batch)).collect();
            let mut failures = 0;
            while !numbers.is_empty() {
                let began = Instant::now();
                match self.exchange(&mut connection, &numbers) {
                    Ok(again) => {
                        let taken = numbers.len() - again.len();
                        self.acknowledged.fetch_add(taken as u64, Ordering::Relaxed);
                        self.busy.fetch_add(again.len() as u64, Ordering::Relaxed);
                        self.latencies
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(began.elapsed());
                        numbers = again;
                    }
                    Err(error) => {
                        connection = None;
                        self.broken.fetch_add(1, Ordering::Relaxed);
                        failures += 1;
                        if failures > MOST_FAILURES {
                            return Err(error.to_string());
                        }
                    }
                }
                if !numbers.is_empty() {
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
        }
    }

    /// Sends one batch; the numbers that must be sent again.
    fn exchange(
        &self,
        connection: &mut Option<BufReader<TcpStream>>,
        numbers: &[u64],
    ) -> Result<Vec<u64>, Box<dyn Error>> {
        let mut body = String::with_capacity(numbers.len() * 1500);
        for number in numbers {
            let document = self
                .documents
                .get((number % self.documents.len() as u64) as usize);
            body.push_str(&format!("{{\"create\":{{\"_id\":\"load-{number}\"}}}}\n"));
            body.push_str(document.map_or("{}", String::as_str));
            body.push('\n');
        }
        self.bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
        let stream = match connection {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(&self.address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(Duration::from_secs(120)))?;
                connection.insert(BufReader::new(stream))
            }
        };
        let head = format!(
            "POST /load/_bulk?filter_path=errors,items.*.status HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
             content-type: application/x-ndjson\r\ncontent-length: {}\r\n\r\n",
            self.address,
            self.token,
            body.len()
        );
        stream.get_mut().write_all(head.as_bytes())?;
        stream.get_mut().write_all(body.as_bytes())?;
        let (status, answer) = read_answer(stream)?;
        match status {
            200 if answer.contains("\"errors\":false") => Ok(Vec::new()),
            200 => {
                let statuses = answer.split("\"status\":").skip(1);
                let again = statuses
                    .zip(numbers)
                    .filter(|(status, _)| !status.starts_with("20"));
                Ok(again.map(|(_, number)| *number).collect())
            }
            429 | 503 => {
                // Whether the connection goes on is not looked at.
                *connection = None;
                Ok(numbers.to_vec())
            }
            status => Err(format!("status {status}: {answer}").into()),
        }
    }
}

fn read_answer(stream: &mut BufReader<TcpStream>) -> Result<(u16, String), Box<dyn Error>> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).ok_or("no answer")?.parse()?;
    let mut length = 0;
    loop {
        line.clear();
        stream.read_line(&mut line)?;
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
    Ok((status, String::from_utf8(body)?))
}
