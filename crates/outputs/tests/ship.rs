//! Records brought to a service that is there, away, slow of understanding, or killed while it answers.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly and says what it saw")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use neph_outputs::{RANKS, ShipError, ShipOptions, Shipper};

/// How a service answers its next requests: the status, or nothing at all after it has taken them.
type Answers = Arc<Mutex<Vec<Option<u16>>>>;

/// A service that takes lines.
struct Service {
    address: SocketAddr,
    /// How often each line came.
    lines: Arc<Mutex<BTreeMap<String, usize>>>,
    heads: Arc<Mutex<Vec<String>>>,
    answers: Answers,
    /// Records above so many at once are too much.
    most: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
}

impl Service {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let service = Self {
            address: listener.local_addr().unwrap(),
            lines: Arc::default(),
            heads: Arc::default(),
            answers: Arc::default(),
            most: Arc::new(AtomicUsize::new(usize::MAX)),
            ended: Arc::default(),
        };
        let (lines, heads, answers) = (
            service.lines.clone(),
            service.heads.clone(),
            service.answers.clone(),
        );
        let (most, ended) = (service.most.clone(), service.ended.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut head, mut length, mut packed) = (String::new(), 0, false);
                loop {
                    let mut line = String::new();
                    if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
                        break;
                    }
                    if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = text.trim().parse().unwrap();
                    }
                    packed |= line.eq_ignore_ascii_case("content-encoding: zstd\r\n");
                    head.push_str(&line);
                }
                let mut body = vec![0; length];
                if head.is_empty() || reader.read_exact(&mut body).is_err() {
                    continue;
                }
                heads.lock().unwrap().push(head);
                let body = match packed {
                    true => zstd::stream::decode_all(body.as_slice()).unwrap(),
                    false => body,
                };
                let text = String::from_utf8(body).unwrap();
                let count = text.lines().count();
                let planned = {
                    let mut answers = answers.lock().unwrap();
                    (!answers.is_empty()).then(|| answers.remove(0))
                };
                let status = match planned {
                    Some(planned) => planned,
                    None if count > most.load(Ordering::Relaxed) => Some(413),
                    None => Some(200),
                };
                // What is not answered was taken all the same.
                if status.is_none_or(|status| status == 200) {
                    for line in text.lines() {
                        *lines.lock().unwrap().entry(line.to_owned()).or_default() += 1;
                    }
                }
                let Some(status) = status else { continue };
                let answer = format!("{{\"accepted\":{count},\"refused\":0,\"errors\":[]}}");
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
                    answer.len()
                );
            }
        });
        service
    }

    fn options(&self, buffer: &Path) -> ShipOptions {
        ShipOptions {
            url: format!("http://{}/", self.address),
            token: "neph_0123_secretsecret".to_owned(),
            authority: None,
            host: "web 1".to_owned(),
            buffer: buffer.to_owned(),
            buffer_bytes: 8 << 20,
        }
    }

    fn came(&self) -> BTreeMap<String, usize> {
        self.lines.lock().unwrap().clone()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        drop(std::net::TcpStream::connect(self.address));
    }
}

fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(60), "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn lines(range: std::ops::Range<usize>) -> Vec<u8> {
    range
        .map(|number| format!("{{\"n\":{number}}}\n"))
        .collect::<String>()
        .into_bytes()
}

#[test]
fn what_is_put_in_arrives_in_order_once_and_leaves_the_buffer() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start();
    let shipper = Shipper::start(&service.options(folder.path())).unwrap();
    for start in 0..10 {
        let shed = shipper
            .put(&lines(start * 100..(start + 1) * 100), |_| 4)
            .unwrap();
        assert_eq!(shed, [0; RANKS]);
    }
    let counts = shipper.stop(Duration::from_secs(60));
    assert_eq!((counts.sent, counts.refused, counts.waiting_bytes), (1000, 0, 0));
    let came = service.came();
    assert_eq!(came.len(), 1000);
    assert!(came.values().all(|count| *count == 1));
    let heads = service.heads.lock().unwrap();
    assert!(
        heads
            .iter()
            .all(|head| head.starts_with("POST /ingest?host=web%201 ")),
        "{heads:?}"
    );
    assert!(
        heads.iter().all(|head| head
            .to_ascii_lowercase()
            .contains("authorization: bearer neph_0123_secretsecret")),
        "{heads:?}"
    );
}

#[test]
fn bodies_are_compressed_unless_they_become_suspiciously_short() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start();
    let shipper = Shipper::start(&service.options(folder.path())).unwrap();
    let same = format!("{{\"n\":\"{}\"}}\n", "x".repeat(100_000));
    shipper.put(&lines(0..1_000), |_| 0).unwrap();
    wait("the first", || shipper.counts().sent == 1_000);
    shipper.put(same.as_bytes(), |_| 0).unwrap();
    let counts = shipper.stop(Duration::from_secs(60));
    assert_eq!((counts.sent, counts.refused), (1_001, 0));
    let heads = service.heads.lock().unwrap();
    let (last, first) = heads.split_last().unwrap();
    let length = |head: &String| -> usize {
        let head = head.to_ascii_lowercase();
        let line = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        line.unwrap().parse().unwrap()
    };
    let packed: usize = first.iter().map(length).sum();
    assert!(packed < lines(0..1_000).len() / 2, "{packed}");
    assert!(
        first
            .iter()
            .all(|head| head.to_ascii_lowercase().contains("content-encoding: zstd"))
    );
    assert_eq!(length(last), same.len());
    assert!(!last.to_ascii_lowercase().contains("content-encoding"));
}

#[test]
fn a_service_that_fails_or_dies_while_it_answers_gets_everything_in_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start();
    *service.answers.lock().unwrap() = vec![Some(503), Some(401), None];
    let shipper = Shipper::start(&service.options(folder.path())).unwrap();
    shipper.put(&lines(0..10), |_| 0).unwrap();
    wait("a reason", || shipper.counts().error.is_some());
    wait("all of it", || shipper.counts().sent == 10);
    assert_eq!(shipper.counts().error, None);
    // What the service took without saying so came again, with the same bytes.
    assert!(
        service.came().values().all(|count| *count == 2),
        "{:?}",
        service.came()
    );
}

#[test]
fn what_was_not_acknowledged_is_sent_by_the_next_process_and_only_that() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start();
    {
        let shipper = Shipper::start(&service.options(folder.path())).unwrap();
        shipper.put(&lines(0..5), |_| 0).unwrap();
        shipper.stop(Duration::from_secs(60));
    }
    {
        let mut away = service.options(folder.path());
        away.url = "http://127.0.0.1:1".to_owned();
        let shipper = Shipper::start(&away).unwrap();
        let second = Shipper::start(&away);
        assert!(matches!(second, Err(ShipError::InUse(_))));
        shipper.put(&lines(5..9), |_| 0).unwrap();
        let counts = shipper.stop(Duration::from_millis(200));
        assert!(counts.waiting_bytes > 0 && counts.sent == 0);
    }
    let shipper = Shipper::start(&service.options(folder.path())).unwrap();
    wait("the rest", || shipper.counts().sent == 4);
    assert_eq!(service.came().len(), 9);
    assert!(service.came().values().all(|count| *count == 1));
}

#[test]
fn what_is_too_much_at_once_is_sent_in_parts_and_what_is_never_taken_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start();
    service.most.store(3, Ordering::Relaxed);
    let shipper = Shipper::start(&service.options(folder.path())).unwrap();
    shipper.put(&lines(0..20), |_| 0).unwrap();
    wait("all in parts", || shipper.counts().sent == 20);
    *service.answers.lock().unwrap() = vec![Some(400)];
    shipper.put(&lines(20..21), |_| 0).unwrap();
    wait("a refusal", || shipper.counts().refused == 1);
    assert_eq!(service.came().len(), 20);
}

#[test]
fn a_full_buffer_gives_up_what_matters_least_first_and_counts_it() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start();
    let mut away = service.options(folder.path());
    away.url = "http://127.0.0.1:1".to_owned();
    away.buffer_bytes = 1 << 20;
    let shipper = Shipper::start(&away).unwrap();
    let (mut state, mut first_shed) = (1_u64, [None; RANKS]);
    for round in 0..200 {
        // Records that do not compress.
        let mut batch = Vec::new();
        for number in 0..50 {
            let mut text = format!("{} ", number % RANKS);
            for _ in 0..25 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                text.push_str(&format!("{state:016x}"));
            }
            batch.extend_from_slice(text.as_bytes());
            batch.push(b'\n');
        }
        let shed = shipper.put(&batch, |line| usize::from(line[0] - b'0')).unwrap();
        for (first, shed) in first_shed.iter_mut().zip(shed) {
            if shed > 0 && first.is_none() {
                *first = Some(round);
            }
        }
    }
    let counts = shipper.counts();
    assert!(first_shed.iter().all(Option::is_some), "{first_shed:?}");
    assert!(
        first_shed.is_sorted_by(|earlier, later| earlier >= later),
        "{first_shed:?}"
    );
    assert!(first_shed[0] > first_shed[RANKS - 1], "{first_shed:?}");
    assert!(counts.shed.is_sorted(), "{:?}", counts.shed);
    let stored: u64 = walk(folder.path());
    assert!(stored < (1 << 20) + (1 << 19), "{stored}");
    drop(shipper);
    // What was kept is still there, and its room is given back.
    let shipper = Shipper::start(&service.options(folder.path())).unwrap();
    let kept = 200 * 50 - counts.shed.iter().sum::<u64>();
    wait("what was kept", || shipper.counts().sent == kept);
    wait("room", || walk(folder.path()) < 256 << 10);
}

fn walk(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => walk(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}
