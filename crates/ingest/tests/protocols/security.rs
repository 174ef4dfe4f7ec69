//! What a client may try, and what comes of it. `docs/ingest.md` lists these.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use neph_ingest::{Credentials, Gate as _, Limits, Protocol, Refused, Tokens};

use crate::{Service, read_answer};

const TOKEN: (&str, &str) = ("authorization", "Bearer s3cr3t");

/// Every path that the router has, with a method that it takes.
const PATHS: &[(&str, &str)] = &[
    ("GET", "/"),
    ("HEAD", "/"),
    ("POST", "/_bulk"),
    ("PUT", "/_bulk"),
    ("POST", "/logs/_bulk"),
    ("POST", "/logs/_doc"),
    ("PUT", "/logs/_doc/1"),
    ("PUT", "/logs/_create/1"),
    ("GET", "/_license"),
    ("GET", "/_xpack"),
    ("GET", "/_cluster/health"),
    ("GET", "/_cluster/state/version"),
    ("GET", "/_nodes"),
    ("GET", "/_nodes/http"),
    ("GET", "/_security/_authenticate"),
    ("GET", "/_ilm/policy/x"),
    ("PUT", "/_index_template/x"),
    ("GET", "/_ingest/pipeline"),
    ("GET", "/_logstash/pipeline"),
    ("POST", "/ingest"),
    ("POST", "/ingest/falco"),
    ("POST", "/v1/logs"),
    ("POST", "/services/collector"),
    ("POST", "/services/collector/event"),
    ("POST", "/services/collector/event/1.0"),
    ("POST", "/services/collector/raw"),
    ("POST", "/services/collector/raw/1.0"),
    ("POST", "/services/collector/ack"),
    ("GET", "/services/collector/health"),
    ("GET", "/services/collector/health/1.0"),
];

#[test]
fn nobody_gets_in_without_a_token_on_any_path() {
    let service = Service::start();
    let wrong: [&[(&str, &str)]; 5] = [
        &[],
        &[("authorization", "Bearer wrong")],
        &[("authorization", "Basic ZWxhc3RpYzo=")],
        &[
            ("authorization", "Bearer s3cr3t"),
            ("authorization", "Bearer s3cr3t"),
        ],
        &[("x-api-key", "s3cr3")],
    ];
    for (method, path) in PATHS {
        for headers in wrong {
            let answer = service.ask(
                method,
                path,
                headers,
                b"{\"index\":{\"_index\":\"x\"}}\n{\"event\":1}\n",
            );
            assert!(
                matches!(answer.status, 401 | 403),
                "{method} {path} {headers:?}: {answer:?}"
            );
        }
        let answer = service.ask(method, path, &[TOKEN], b"");
        assert!(
            !matches!(answer.status, 0 | 401 | 403 | 404 | 405),
            "{method} {path}: {answer:?}"
        );
    }
    assert_eq!(service.log.records(), []);
    let refused: u64 = service
        .intake
        .counts()
        .rows()
        .iter()
        .map(|row| row.refused_for(Refused::Unauthenticated))
        .sum();
    assert_eq!(refused, (PATHS.len() * wrong.len()) as u64);
}

#[test]
fn a_refused_sender_is_not_read() {
    let service = Service::start();
    let mut stream = service.connect();
    // A body is announced, and never comes.
    stream
        .write_all(b"POST /_bulk HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n")
        .unwrap();
    let began = Instant::now();
    let answer = read_answer(&mut stream);
    assert_eq!(answer.status, 401);
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn the_time_of_a_refusal_tells_nothing_of_the_token() {
    let secret = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let gate = Tokens::new([("one", secret)]);
    let fastest = |shown: &str| {
        let credentials = Credentials {
            id: None,
            secret: shown.to_owned().into(),
            certificate: None,
            peer: None,
        };
        let times = (0..3000).map(|_| {
            let began = Instant::now();
            assert!(gate.authenticate(&credentials).is_none());
            began.elapsed()
        });
        times.min().unwrap().as_nanos() as f64
    };
    let near = format!("{}x", &secret[..63]);
    let far = format!("x{}", &secret[..63]);
    let ratio = fastest(&near) / fastest(&far);
    assert!((0.5..2.0).contains(&ratio), "{ratio}");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn decompression_bombs_are_stopped_early() {
    let service = Service::start();
    let bomb = vec![b' '; 24 << 20];
    let (gzip_bomb, zstd_bomb) = (gzip(&bomb), zstd::encode_all(bomb.as_slice(), 3).unwrap());
    let mut deflate_bomb = flate2::write::ZlibEncoder::new(Vec::new(), Compression::best());
    deflate_bomb.write_all(&bomb).unwrap();
    let deflate_bomb = deflate_bomb.finish().unwrap();
    for (encoding, bomb) in [
        ("gzip", &gzip_bomb),
        ("zstd", &zstd_bomb),
        ("deflate", &deflate_bomb),
    ] {
        for path in ["/_bulk", "/ingest", "/v1/logs", "/services/collector"] {
            let answer = service.ask("POST", path, &[TOKEN, ("content-encoding", encoding)], bomb);
            assert_eq!(answer.status, 413, "{encoding} {path}: {answer:?}");
        }
    }
    // A bomb in a bomb: it is unpacked once, and what comes out is no JSON.
    let nested = gzip(&gzip_bomb);
    let answer = service.ask("POST", "/_bulk", &[TOKEN, ("content-encoding", "gzip")], &nested);
    assert_eq!(answer.status, 400, "{answer:?}");
    for encodings in [
        &[("content-encoding", "gzip, gzip")][..],
        &[("content-encoding", "gzip"), ("content-encoding", "gzip")],
        &[("content-encoding", "br")],
    ] {
        let headers: Vec<_> = encodings.iter().copied().chain([TOKEN]).collect();
        assert_eq!(service.ask("POST", "/_bulk", &headers, &nested).status, 415);
    }
    // A frame that asks for a window of 2 GiB.
    let window = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00];
    assert_eq!(
        service
            .ask("POST", "/_bulk", &[TOKEN, ("content-encoding", "zstd")], &window)
            .status,
        400
    );
    assert_eq!(service.intake.in_flight().bytes(), 0);
    assert_eq!(service.log.records(), []);
}

#[test]
fn compressed_bodies_are_read_and_those_cut_short_refused() {
    let service = Service::start();
    let body: String = (0..2000).map(|number| format!("{{\"n\":{number}}}\n")).collect();
    let mut deflated = flate2::write::ZlibEncoder::new(Vec::new(), Compression::fast());
    deflated.write_all(body.as_bytes()).unwrap();
    let two_members = [gzip(&body.as_bytes()[..5]), gzip(&body.as_bytes()[5..])].concat();
    let two_frames = [
        zstd::encode_all(&body.as_bytes()[..5], 1).unwrap(),
        zstd::encode_all(&body.as_bytes()[5..], 1).unwrap(),
    ]
    .concat();
    let encoded = [
        ("gzip", gzip(body.as_bytes())),
        ("gzip", two_members),
        ("deflate", deflated.finish().unwrap()),
        ("zstd", zstd::encode_all(body.as_bytes(), 1).unwrap()),
        ("zstd", two_frames),
    ];
    for (number, (encoding, bytes)) in encoded.iter().enumerate() {
        let headers = [TOKEN, ("content-encoding", *encoding)];
        let answer = service.ask("POST", "/ingest", &headers, bytes);
        assert_eq!(answer.status, 200, "{encoding}: {answer:?}");
        assert_eq!(service.log.records().len(), 2000 * (number + 1));
        for cut in [bytes.len() - 1, bytes.len() / 2] {
            let answer = service.ask("POST", "/ingest", &headers, &bytes[..cut]);
            assert_eq!(answer.status, 400, "{encoding} cut at {cut}: {answer:?}");
        }
    }
    assert_eq!(service.log.records().len(), 2000 * encoded.len());
}

#[test]
fn bodies_and_headers_have_limits() {
    let mut limits = Limits::default();
    limits.body_bytes = 100_000;
    limits.record_bytes = 1000;
    let service = Service::with(limits, None);
    assert_eq!(service.send("POST", "/ingest", &[b'x'; 100_001]).0, 413);
    // Without a length that is stated before.
    let mut stream = service.connect();
    stream.write_all(b"POST /ingest HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer s3cr3t\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
    for _ in 0..11 {
        stream
            .write_all(format!("2710\r\n{}\r\n", "x".repeat(10_000)).as_bytes())
            .unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut stream).status, 413);
    let long = "x".repeat(1001);
    let (_, answer) = service.send("POST", "/ingest", format!("{long}\nshort\n").as_bytes());
    assert!(answer.starts_with("{\"accepted\":1,\"refused\":1"), "{answer}");
    let many: Vec<(String, String)> = (0..150)
        .map(|number| (format!("x-{number}"), "y".to_owned()))
        .collect();
    let mut headers: Vec<(&str, &str)> = many
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    headers.push(TOKEN);
    assert_eq!(service.ask("POST", "/ingest", &headers, b"{}").status, 431);
    let huge = "y".repeat(100 << 10);
    assert_eq!(
        service
            .ask("POST", "/ingest", &[TOKEN, ("x-huge", &huge)], b"{}")
            .status,
        431
    );
    assert_eq!(
        service
            .ask("POST", &format!("/ingest?{huge}"), &[TOKEN], b"{}")
            .status
            / 100,
        4
    );
    assert_eq!(service.log.records().len(), 1);
}

#[test]
fn slow_clients_are_cut_off() {
    let mut limits = Limits::default();
    limits.header_time = Duration::from_millis(400);
    limits.piece_time = Duration::from_millis(400);
    limits.body_time = Duration::from_millis(1500);
    let service = Service::with(limits, None);
    // Headers that come byte by byte for ever.
    let mut stream = service.connect();
    let began = Instant::now();
    let mut cut_off = false;
    for byte in b"POST /_bulk HTTP/1.1\r\nx: "
        .iter()
        .chain(std::iter::repeat(&b'y'))
        .take(200)
    {
        if stream.write_all(&[*byte]).is_err() {
            cut_off = true;
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(
        cut_off && began.elapsed() < Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
    // A connection over which nothing comes.
    let mut silent = service.connect();
    let began = Instant::now();
    let _ = silent.read(&mut [0]);
    assert!(began.elapsed() < Duration::from_secs(8));
    // A body that stops, and one that never ends.
    let head = b"POST /_bulk HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer s3cr3t\r\ncontent-length: 100000\r\n\r\n{";
    let mut stopped = service.connect();
    stopped.write_all(head).unwrap();
    assert_eq!(read_answer(&mut stopped).status, 408);
    let mut dripping = service.connect();
    dripping.write_all(head).unwrap();
    let began = Instant::now();
    for _ in 0..200 {
        if dripping.write_all(b"x").is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!(service.intake.in_flight().bytes(), 0);
}

#[test]
fn connections_have_limits_and_good_clients_still_get_in() {
    let mut limits = Limits::default();
    limits.connections_of_peer = 3;
    limits.header_time = Duration::from_secs(1);
    let service = Service::with(limits, None);
    let _held: Vec<_> = (0..3).map(|_| service.connect()).collect();
    std::thread::sleep(Duration::from_millis(100));
    let mut fourth = service.connect();
    let began = Instant::now();
    assert!(matches!(fourth.read(&mut [0]), Ok(0) | Err(_)));
    assert!(
        began.elapsed() < Duration::from_millis(900),
        "it was not closed at once"
    );
    // Those that only hold a place lose it.
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(service.send("POST", "/ingest", b"{}").0, 200);
}

#[test]
fn names_of_clients_stay_names() {
    let service = Service::start();
    for (path, status) in [
        ("/..%2f..%2fetc%2fpasswd/_bulk", 200),
        ("/a%00b/_bulk", 200),
        ("/_all/_bulk", 200),
        ("/a%0ab/_doc", 400),
        ("/%2e%2e/_doc", 400),
    ] {
        let (found, answer) = service.send("POST", path, b"{\"index\":{}}\n{}\n");
        assert_eq!(found, status, "{path}: {answer}");
        assert!(
            answer.contains("invalid") && !answer.contains("\"status\":201"),
            "{path}: {answer}"
        );
    }
    let event = r#"{"sourcetype":"../x\r\n\u001b[31m\u202eevil","event":"a"}"#;
    assert_eq!(
        service.send("POST", "/services/collector", event.as_bytes()).0,
        200
    );
    let long = format!(r#"{{"sourcetype":"{}","event":"a"}}"#, "n".repeat(5000));
    assert_eq!(
        service.send("POST", "/services/collector", long.as_bytes()).0,
        200
    );
    let streams: Vec<String> = service
        .log
        .records()
        .into_iter()
        .map(|(stream, _)| stream)
        .collect();
    assert_eq!(streams[0], "hec/../x____31m_evil");
    assert!(streams[1].len() < 300);
}

#[test]
fn streams_and_senders_are_not_without_number() {
    let mut limits = Limits::default();
    limits.streams = 10;
    let service = Service::with(limits, None);
    let body: String = (0..1000)
        .map(|number| format!("{{\"index\":{{\"_index\":\"i{number}\"}}}}\n{{}}\n"))
        .collect();
    assert_eq!(service.send("POST", "/_bulk", body.as_bytes()).0, 200);
    let mut streams: Vec<String> = service
        .log
        .records()
        .into_iter()
        .map(|(stream, _)| stream)
        .collect();
    assert_eq!(streams.len(), 1000);
    streams.sort();
    streams.dedup();
    assert_eq!(streams.len(), 11);
    assert!(streams.contains(&"bulk/others".to_owned()));
    assert_eq!(service.counted(Protocol::Bulk, Refused::Malformed), (1000, 0));
}

#[test]
fn what_a_url_says_is_not_multiplied() {
    let service = Service::start();
    let body = "x\n".repeat(500_000);
    let path = format!("/services/collector/raw?host={}", "h".repeat(8000));
    let (status, answer) = service.send("POST", &path, body.as_bytes());
    assert_eq!(status, 413, "{answer}");
    assert_eq!(service.log.records().len(), 0);
}

#[test]
fn requests_behind_one_another_are_not_confused() {
    let service = Service::start();
    // Two lengths, and a length beside chunks: what a proxy and a server may understand differently.
    for head in [
        "content-length: 2\r\ncontent-length: 3\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 3\r\n",
        "transfer-encoding: xchunked\r\n",
    ] {
        let mut stream = service.connect();
        let text = format!(
            "POST /ingest HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer s3cr3t\r\n{head}\r\n0\r\n\r\nGET / HTTP/1.1\r\nhost: localhost\r\n\r\n"
        );
        stream.write_all(text.as_bytes()).unwrap();
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let answer = read_answer(&mut stream);
        let answers = format!("{}{}", answer.head, answer.body)
            .matches("http/1.1 ")
            .count()
            + answer.body.matches("HTTP/1.1 ").count();
        assert!(answer.status != 200 || answers <= 2, "{head}: {answer:?}");
        assert!(!answer.body.contains("You Know"), "{head}: {answer:?}");
    }
    let mut stream = service.connect();
    let garbage: Vec<u8> = (0..=255).cycle().take(4096).collect();
    stream.write_all(&garbage).unwrap();
    assert_eq!(read_answer(&mut stream).status, 400);
    let ok = service.ask("POST", "/ingest", &[TOKEN], b"{}");
    assert_eq!(ok.status, 200);
}
