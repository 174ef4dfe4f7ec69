//! Objects that appear in a store, which is one of this test, spoken to over HTTP.

#![cfg(feature = "object-store")]
#![expect(
    clippy::unwrap_used,
    reason = "the lints know test functions only, not what these call"
)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use neph_ingest::{Counts, Intake, Limits, PollOptions, Tokens, poll, shutdown};
use neph_store::{Store, StoreOptions};

type Objects = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// Serves the bucket `trail`: lists, and gives parts of objects.
fn serve(objects: &Objects) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let objects = Arc::clone(objects);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let objects = Arc::clone(&objects);
            std::thread::spawn(move || drop(answer(&stream, &objects)));
        }
    });
    address
}

fn answer(stream: &TcpStream, objects: &Objects) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    loop {
        let (mut request, mut range) = (String::new(), None);
        if reader.read_line(&mut request)? == 0 {
            return Ok(());
        }
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some((first, last)) = line
                .strip_prefix("range: bytes=")
                .and_then(|range| range.split_once('-'))
            {
                range = Some((first.parse::<usize>().unwrap(), last.parse::<usize>().unwrap()));
            }
        }
        let target = request.split(' ').nth(1).unwrap().to_owned();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let objects = objects.lock().unwrap().clone();
        let key = path.trim_start_matches("/trail").trim_start_matches('/');
        let tag = |bytes: &[u8]| format!("\"v{}\"", bytes.len());
        let (status, more, body) = if query.contains("list-type") {
            let listed = objects.iter().map(|(key, bytes)| {
                format!(
                    "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>{}</ETag><Size>{}</Size></Contents>",
                    tag(bytes).replace('"', "&quot;"),
                    bytes.len()
                )
            });
            let list = format!(
                "<ListBucketResult>{}</ListBucketResult>",
                listed.collect::<String>()
            );
            (
                "200 OK",
                "Content-Type: application/xml\r\n".to_owned(),
                list.into_bytes(),
            )
        } else if let Some(bytes) = objects.get(key) {
            let (first, last) = range.unwrap_or((0, bytes.len() - 1));
            let last = last.min(bytes.len() - 1);
            let more = format!(
                "ETag: {}\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Range: bytes {first}-{last}/{}\r\n",
                tag(bytes),
                bytes.len()
            );
            (
                "206 Partial Content",
                more,
                bytes.get(first..=last).unwrap_or_default().to_vec(),
            )
        } else {
            ("404 Not Found", String::new(), b"<Error/>".to_vec())
        };
        write!(
            writer,
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{more}\r\n",
            body.len()
        )?;
        if !request.starts_with("HEAD") {
            writer.write_all(&body)?;
        }
    }
}

/// The other process: the address of the store is told by the environment, which a process has one of.
#[test]
fn polling_process() {
    let Ok(data) = std::env::var("NEPH_TEST_POLL_DATA") else {
        return;
    };
    let data = PathBuf::from(data);
    let (store, _) = Store::open(&data, &StoreOptions::default()).unwrap();
    let intake = Intake::new(
        Arc::clone(&store.log) as _,
        Arc::new(Tokens::new([])),
        Limits::default(),
        Arc::new(Counts::default()),
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let mut options = PollOptions::new("s3://trail/logs/".to_owned(), data.join("objects.json"));
    options.every = Duration::from_millis(300);
    let (stopper, stop) = shutdown();
    let polled = runtime.spawn(poll(options, intake, stop));
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    stopper.stop();
    runtime.block_on(polled).unwrap().unwrap();
}

fn start(address: &str, data: &std::path::Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "polling_process", "--nocapture"])
        .env("NEPH_TEST_POLL_DATA", data)
        .envs([
            ("AWS_ENDPOINT_URL", address),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_ALLOW_HTTP", "true"),
        ])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Ends the process, in order or not, and tells what the log holds.
fn end(mut child: Child, in_order: bool, data: &std::path::Path) -> Vec<String> {
    if in_order {
        drop(child.stdin.take());
    } else {
        child.kill().unwrap();
    }
    child.wait().unwrap();
    let store = Store::open_read_only(data).unwrap();
    let blocks = store.log.blocks(store.log.begin()).map(Result::unwrap);
    let records = blocks.flat_map(|block| {
        let stream = block.stream.to_string();
        let lines = block
            .records
            .iter()
            .map(|record| format!("{stream} {}", String::from_utf8_lossy(record)));
        lines.collect::<Vec<_>>()
    });
    records.collect()
}

fn wait_for_cursor(data: &std::path::Path, count: usize) {
    let end = Instant::now() + Duration::from_secs(60);
    let seen = || {
        let bytes = std::fs::read(data.join("objects.json")).unwrap_or_default();
        serde_json::from_slice::<BTreeMap<String, String>>(&bytes).map_or(0, |seen| seen.len())
    };
    while seen() < count && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_millis(700));
}

#[test]
fn each_object_is_read_once_also_across_restarts() {
    let data = tempfile::tempdir().unwrap();
    let objects = Objects::default();
    let put = |key: &str, bytes: &[u8]| drop(objects.lock().unwrap().insert(key.to_owned(), bytes.to_vec()));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"{\"Records\":[{\"eventID\":\"1\"},{\"eventID\":\"2\"}]}")
        .unwrap();
    put("logs/a.json.gz", &gzip.finish().unwrap());
    put("logs/broken.gz", b"\x1f\x8b\x08\x00 no gzip");
    let address = serve(&objects);
    let child = start(&address, data.path());
    wait_for_cursor(data.path(), 2);
    put("logs/b.ndjson", b"{\"eventID\":\"3\"}\n");
    wait_for_cursor(data.path(), 3);
    let first = end(child, false, data.path());
    let expected = |ids: &[u32]| -> Vec<String> {
        ids.iter()
            .map(|id| format!("object/s3://trail/logs/ {{\"eventID\":\"{id}\"}}"))
            .collect()
    };
    assert_eq!(first, expected(&[1, 2, 3]));
    put("logs/0.ndjson", b"{\"eventID\":\"4\"}\n");
    let child = start(&address, data.path());
    wait_for_cursor(data.path(), 4);
    assert_eq!(end(child, true, data.path()), expected(&[1, 2, 3, 4]));
}
