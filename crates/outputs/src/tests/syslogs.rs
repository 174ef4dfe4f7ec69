//! Syslog: its messages, and what arrives over UDP, TCP and TLS.

use std::io::Read as _;
use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use neph_config::{Output, OutputKind};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use super::{EVIL, group, message, record};
use crate::{Message, Outcome, syslog};

fn output(address: &str, transport: &str, ca: Option<std::path::PathBuf>, form: &str) -> Output {
    super::output(
        form,
        OutputKind::Syslog {
            address: address.to_owned(),
            transport: transport.to_owned(),
            ca,
        },
    )
}

/// The parts of a message of RFC 5424: head, structured data, message.
fn parts(text: &str) -> (Vec<String>, String, String) {
    let mut head = Vec::new();
    let mut rest = text;
    for _ in 0..6 {
        let (word, behind) = rest.split_once(' ').unwrap();
        head.push(word.to_owned());
        rest = behind;
    }
    let (mut in_value, mut is_escaped, mut end) = (false, false, 0);
    for (at, character) in rest.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if in_value => is_escaped = true,
            '"' => in_value = !in_value,
            ']' if !in_value => {
                end = at + 1;
                if !rest.split_at(end).1.starts_with('[') {
                    break;
                }
            }
            _ => {}
        }
    }
    let (data, body) = rest.split_at(end);
    (head, data.to_owned(), body.trim_start().to_owned())
}

fn check(text: &str, form: &str, most: usize) {
    assert!(text.len() <= most, "{}", text.len());
    assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
    let (head, data, body) = parts(text);
    assert!(head[0].starts_with('<') && head[0].ends_with(">1"), "{head:?}");
    assert_eq!(
        (head[3].as_str(), &head[1]),
        ("neph", &"2026-03-02T08:45:01.000Z".to_owned())
    );
    assert!(data.contains("[neph@32473 key=\"a1:1\""), "{data}");
    let document: Value = serde_json::from_str(&body).unwrap();
    match form {
        "ocsf" => assert_eq!(document["class_uid"], 2004),
        _ => assert_eq!(document["rule"]["name"], "Metadata Asked"),
    }
}

#[test]
fn datagrams_arrive_bounded_and_clean() {
    for form in ["ecs", "ocsf"] {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let address = socket.local_addr().unwrap().to_string();
        let mut transport = syslog::open(&output(&address, "udp", None, form)).unwrap();
        for value in ["www-data", EVIL, &"é😀\"]\\".repeat(4000)] {
            let (record, group) = (record(value), group(value));
            let grouped = Message {
                group: Some(&group),
                ..message(&record)
            };
            assert_eq!(
                transport.send(&[message(&record), grouped]),
                [Outcome::Delivered, Outcome::Delivered]
            );
            for word in ["raised", "group"] {
                let mut bytes = [0; 65536];
                let length = socket.recv(&mut bytes).unwrap();
                let text = std::str::from_utf8(&bytes[..length]).unwrap();
                check(text, form, 2048);
                assert_eq!(parts(text).0[5], word);
            }
        }
    }
}

#[test]
fn a_port_of_nobody_is_tried_again() {
    let free = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let record = record("x");
    for transport in ["udp", "tcp"] {
        let mut transport = syslog::open(&output(&free, transport, None, "ecs")).unwrap();
        let outcome = transport.send(&[message(&record)]);
        assert!(matches!(outcome[..], [Outcome::Later { .. }]), "{outcome:?}");
    }
    assert!(syslog::open(&output("nowhere", "tcp", None, "ecs")).is_err());
}

/// Messages of a stream with counted octets.
fn counted(mut bytes: &[u8]) -> Vec<String> {
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let space = bytes.iter().position(|byte| *byte == b' ').unwrap();
        let length: usize = std::str::from_utf8(&bytes[..space]).unwrap().parse().unwrap();
        let end = space + 1 + length;
        out.push(String::from_utf8(bytes[space + 1..end].to_vec()).unwrap());
        bytes = &bytes[end..];
    }
    out
}

#[test]
fn streams_count_their_octets_and_begin_anew_for_each_batch() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let receiver = std::thread::spawn(move || {
        let mut all = Vec::new();
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).unwrap();
            all.push(counted(&bytes));
        }
        // The third is reset with its messages unread.
        let (stream, _) = listener.accept().unwrap();
        stream.peek(&mut [0; 16]).unwrap();
        drop(stream);
        all
    });
    let mut transport = syslog::open(&output(&address, "tcp", None, "ecs")).unwrap();
    let (evil, plain) = (record(EVIL), record("www-data"));
    let both = [message(&evil), message(&plain)];
    assert_eq!(transport.send(&both), [Outcome::Delivered, Outcome::Delivered]);
    assert_eq!(transport.send(&both[..1]), [Outcome::Delivered]);
    let outcome = transport.send(&both);
    assert!(
        matches!(outcome[..], [Outcome::Later { .. }, Outcome::Later { .. }]),
        "{outcome:?}"
    );
    let all = receiver.join().unwrap();
    assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
    for text in all.iter().flatten() {
        check(text, "ecs", 8192);
    }
    assert!(transport.batch() > 1);
}

#[test]
fn tls_asks_for_a_certificate_that_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, made.cert.pem()).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let receiver = std::thread::spawn(move || {
        let mut heard = Vec::new();
        for _ in 0..2 {
            let (stream, _) = listener.accept().unwrap();
            let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream);
            let mut bytes = Vec::new();
            let _ = stream.read_to_end(&mut bytes);
            heard.push(bytes);
        }
        heard
    });
    let record = record(EVIL);
    let address = format!("localhost:{port}");
    let mut trusting = syslog::open(&output(&address, "tls", Some(ca), "ocsf")).unwrap();
    assert_eq!(trusting.send(&[message(&record)]), [Outcome::Delivered]);
    let mut other = syslog::open(&output(&address, "tls", None, "ocsf")).unwrap();
    let outcome = other.send(&[message(&record)]);
    assert!(matches!(outcome[..], [Outcome::Later { .. }]), "{outcome:?}");
    let heard = receiver.join().unwrap();
    let messages = counted(&heard[0]);
    check(&messages[0], "ocsf", 8192);
    assert!(heard[1].is_empty());
}
