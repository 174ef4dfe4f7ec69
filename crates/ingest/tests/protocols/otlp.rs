use neph_ingest::{Protocol, Refused};

use crate::{Mood, Service};

const TOKEN: (&str, &str) = ("authorization", "Bearer s3cr3t");
const JSON: (&str, &str) = ("content-type", "application/json");
const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");

/// A field that holds bytes, a text or a message.
fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
    assert!(content.len() < 128 * 128);
    let mut out = vec![number << 3 | 2];
    if content.len() < 128 {
        out.push(content.len() as u8);
    } else {
        out.extend_from_slice(&[content.len() as u8 | 0x80, (content.len() >> 7) as u8]);
    }
    out.extend_from_slice(content);
    out
}

fn fixed64(number: u8, value: u64) -> Vec<u8> {
    let mut out = vec![number << 3 | 1];
    out.extend_from_slice(&value.to_le_bytes());
    out
}

fn pair(number: u8, key: &str, value: &[u8]) -> Vec<u8> {
    bytes(number, &[bytes(1, key.as_bytes()), bytes(2, value)].concat())
}

fn request(records: &[Vec<u8>]) -> Vec<u8> {
    let resource = bytes(1, &pair(1, "service.name", &bytes(1, b"shop")));
    let scope = bytes(1, &bytes(1, b"lib"));
    let records: Vec<u8> = records.iter().flat_map(|record| bytes(2, record)).collect();
    let scopes = bytes(2, &[scope, records].concat());
    bytes(1, &[resource, scopes].concat())
}

#[test]
fn both_encodings_come_to_the_same() {
    let service = Service::start();
    let values = [
        bytes(1, "ü\"".as_bytes()),
        vec![2 << 3, 1],
        vec![3 << 3, 42],
        fixed64(4, 1.5_f64.to_bits()),
        bytes(7, b"hi"),
    ];
    let list: Vec<u8> = values.iter().flat_map(|value| bytes(1, value)).collect();
    let map = pair(1, "k", &bytes(1, b"v"));
    let record = [
        fixed64(1, 1_700_000_000_000_000_000),
        vec![2 << 3, 9],
        bytes(3, b"INFO"),
        bytes(5, &bytes(5, &list)),
        pair(6, "host.name", &bytes(1, b"web-1")),
        pair(6, "map", &bytes(6, &map)),
        bytes(9, &[0xab; 16]),
        bytes(10, &[1; 8]),
        bytes(12, b"login"),
    ];
    let answer = service.ask(
        "POST",
        "/v1/logs",
        &[TOKEN, PROTOBUF],
        &request(&[record.concat()]),
    );
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert!(answer.head.contains("content-type: application/x-protobuf"));
    let expected = concat!(
        r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},"scopeLogs":[{"scope":{"name":"lib"},"logRecords":["#,
        r#"{"timeUnixNano":"1700000000000000000","severityNumber":9,"severityText":"INFO","body":{"arrayValue":{"values":["#,
        r#"{"stringValue":"ü\""},{"boolValue":true},{"intValue":"42"},{"doubleValue":1.5},{"bytesValue":"aGk="}]}},"#,
        r#""traceId":"abababababababababababababababab","spanId":"0101010101010101","eventName":"login","#,
        r#""attributes":[{"key":"host.name","value":{"stringValue":"web-1"}},{"key":"map","value":{"kvlistValue":{"values":[{"key":"k","value":{"stringValue":"v"}}]}}}]}"#,
        "]}]}]}"
    );
    assert_eq!(
        service.log.records(),
        [("otlp/tester".to_owned(), expected.to_owned())]
    );
    let answer = service.ask("POST", "/v1/logs", &[TOKEN, JSON], expected.as_bytes());
    assert_eq!((answer.status, answer.body.as_str()), (200, "{}"));
    assert_eq!(service.log.records()[1].1, expected);
}

#[test]
fn log_records_share_what_is_around_them_only_where_that_is_much() {
    let service = Service::start();
    let small: Vec<Vec<u8>> = (0..40).map(|_| bytes(3, b"I")).collect();
    assert_eq!(
        service
            .ask("POST", "/v1/logs", &[TOKEN, PROTOBUF], &request(&small))
            .status,
        200
    );
    let kept = service.log.records();
    let held: usize = kept
        .iter()
        .map(|(_, record)| record.matches("severityText").count())
        .sum();
    assert_eq!(held, 40);
    let around =
        r#"{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]}{"name":"lib"}"#.len();
    assert!(kept.iter().all(|(_, record)| record.len() < 2 * around + 200));
    let large: Vec<Vec<u8>> = (0..4).map(|_| bytes(3, &[b'x'; 100])).collect();
    assert_eq!(
        service
            .ask("POST", "/v1/logs", &[TOKEN, PROTOBUF], &request(&large))
            .status,
        200
    );
    assert_eq!(service.log.records().len() - kept.len(), 4);
}

#[test]
fn refusals_are_in_the_encoding_of_the_request() {
    let service = Service::start();
    let answer = service.ask("POST", "/v1/logs", &[TOKEN, JSON], b"{\"resourceLogs\":");
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (
            400,
            "{\"code\":3,\"message\":\"the body is no `ExportLogsServiceRequest`\"}"
        )
    );
    let answer = service.ask("POST", "/v1/logs", &[TOKEN, PROTOBUF], b"\x0a\xff");
    assert_eq!(answer.status, 400);
    assert!(answer.body.starts_with("\u{8}\u{3}\u{12}"), "{:?}", answer.body);
    let deep = (0..40).fold(bytes(1, b"x"), |value, _| bytes(5, &bytes(1, &value)));
    let answer = service.ask(
        "POST",
        "/v1/logs",
        &[TOKEN, PROTOBUF],
        &request(&[bytes(5, &deep)]),
    );
    assert_eq!(answer.status, 400);
    service.log.set(Mood::IsFull);
    let answer = service.ask("POST", "/v1/logs", &[TOKEN, PROTOBUF], &request(&[Vec::new()]));
    assert_eq!(answer.status, 429);
    assert!(answer.head.contains("retry-after"));
    assert_eq!(service.ask("POST", "/v1/logs", &[PROTOBUF], b"").status, 401);
    service.log.set(Mood::Takes);
    let partial = br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"x"}},7]}]}]}"#;
    let answer = service.ask("POST", "/v1/logs", &[TOKEN, JSON], partial);
    assert!(
        answer.body.contains("\"rejectedLogRecords\":\"1\""),
        "{}",
        answer.body
    );
    assert_eq!(service.counted(Protocol::Otlp, Refused::TooLong), (1, 1));
}
