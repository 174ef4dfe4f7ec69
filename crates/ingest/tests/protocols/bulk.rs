use std::io::Write as _;
use std::time::Duration;

use neph_ingest::{Limits, Protocol, Refused};

use crate::{Mood, Service, read_answer, request};

#[test]
fn each_item_has_its_status_and_good_ones_are_kept_as_search_hits() {
    let service = Service::start();
    let body = concat!(
        r#"{"create":{"_index":"logs-a-2026.11.22"}}"#,
        "\n",
        r#"{"n":1}"#,
        "\n",
        r#"{"index":{"_id":"i\"d"}}"#,
        "\n",
        r#"{"n":2}"#,
        "\n",
        r#"{"index":{}}"#,
        "\n",
        "not json\n",
        r#"{"delete":{"_id":"x"}}"#,
        "\n",
        r#"{"index":{"_index":"../../etc/passwd"}}"#,
        "\n",
        "{}\n",
        r#"{"update":{"_id":"u"}}"#,
        "\n",
        r#"{"doc":{"n":3}}"#,
        "\n",
    );
    let (status, answer) = service.send("POST", "/logs-a/_bulk", body.as_bytes());
    assert_eq!(status, 200);
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["errors"], true);
    let statuses: Vec<i64> = answer["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            item.as_object().unwrap().values().next().unwrap()["status"]
                .as_i64()
                .unwrap()
        })
        .collect();
    assert_eq!(statuses, [201, 201, 400, 400, 400, 200]);
    assert_eq!(answer["items"][1]["index"]["_id"], "i\"d");
    assert_eq!(answer["items"][0]["create"]["_id"].as_str().unwrap().len(), 32);
    assert_eq!(
        answer["items"][4]["index"]["error"]["type"],
        "invalid_index_name_exception"
    );
    let kept = service.log.records();
    let expected = [
        r#"{"_index":"logs-a-2026.11.22","_source":{"n":1}}"#,
        r#"{"_index":"logs-a","_id":"i\"d","_source":{"n":2}}"#,
        r#"{"_index":"logs-a","_id":"u","_source":{"n":3}}"#,
    ];
    assert_eq!(
        kept,
        expected.map(|record| ("bulk/logs-a".to_owned(), record.to_owned()))
    );
    assert_eq!(service.counted(Protocol::Bulk, Refused::Malformed), (3, 2));
    assert_eq!(service.counted(Protocol::Bulk, Refused::Unsupported), (3, 1));
}

#[test]
fn nothing_is_acknowledged_before_it_is_durable() {
    let service = Service::start();
    service.log.set(Mood::Waits);
    let mut stream = service.connect();
    let headers = [("authorization", "Bearer s3cr3t")];
    stream
        .write_all(&request("POST", "/x/_bulk", &headers, b"{\"index\":{}}\n{}\n"))
        .unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut byte = [0];
    let early = stream.peek(&mut byte);
    assert!(early.is_err(), "an answer came before the record was durable");
    service.log.set(Mood::Takes);
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let answer = read_answer(&mut stream);
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("\"status\":201"), "{}", answer.body);
}

#[test]
fn a_log_without_room_gives_429_for_its_items_and_one_that_fails_503() {
    let service = Service::start();
    let body = b"{\"index\":{}}\n{}\n{\"index\":{}}\nx\n";
    service.log.set(Mood::IsFull);
    let (status, answer) = service.send(
        "POST",
        "/x/_bulk?filter_path=errors,items.*.error,items.*.status",
        body,
    );
    assert_eq!(status, 200);
    assert_eq!(
        answer,
        "{\"errors\":true,\"items\":[{\"index\":{\"status\":429,\"error\":{\"type\":\"es_rejected_execution_exception\",\
         \"reason\":\"no room for more records now\"}}},{\"index\":{\"status\":400,\"error\":{\"type\":\"document_parsing_exception\",\
         \"reason\":\"the document is no JSON object, or too deep\"}}}]}"
    );
    service.log.set(Mood::Fails);
    let (_, answer) = service.send("POST", "/x/_bulk", body);
    assert!(answer.contains("\"status\":503"), "{answer}");
    let (status, answer) = service.send("POST", "/x/_doc", b"{}");
    assert_eq!(status, 503);
    assert!(!answer.contains("secret"), "{answer}");
    assert_eq!(service.counted(Protocol::Bulk, Refused::Busy), (0, 1));
    assert_eq!(service.counted(Protocol::Bulk, Refused::Failed), (0, 2));
    assert_eq!(service.log.records(), []);
}

#[test]
fn too_much_under_way_is_refused_with_a_time_to_come_again() {
    let mut limits = Limits::default();
    limits.in_flight_bytes = 64 << 10;
    let service = Service::with(limits, None);
    let mut body = b"{\"index\":{}}\n{\"x\":\"".to_vec();
    body.extend_from_slice(&[b'x'; 20 << 10]);
    body.extend_from_slice(b"\"}\n");
    service.log.set(Mood::Waits);
    let mut first = service.connect();
    first
        .write_all(&request(
            "POST",
            "/x/_bulk",
            &[("authorization", "Bearer s3cr3t")],
            &body,
        ))
        .unwrap();
    while service.intake.in_flight().bytes() < body.len() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let answer = service.ask("POST", "/x/_bulk", &[("authorization", "Bearer s3cr3t")], &body);
    assert_eq!(answer.status, 429);
    assert!(answer.head.contains("retry-after: 2"), "{}", answer.head);
    assert!(answer.body.contains("es_rejected_execution_exception"));
    service.log.set(Mood::Takes);
    assert_eq!(read_answer(&mut first).status, 200);
    assert_eq!(service.send("POST", "/x/_bulk", &body).0, 200);
    assert_eq!(service.intake.in_flight().bytes(), 0);
}

#[test]
fn what_clients_ask_first_is_answered() {
    let service = Service::start();
    let ask = |method: &str, path: &str| {
        let basic = ("authorization", "Basic ZWxhc3RpYzpzM2NyM3Q=");
        let answer = service.ask(method, path, &[basic], b"");
        assert!(
            answer.head.contains("x-elastic-product: elasticsearch"),
            "{method} {path}: {}",
            answer.head
        );
        assert_eq!(answer.status, 200, "{method} {path}");
        answer.body
    };
    assert!(ask("GET", "/").contains("\"number\":\"9."));
    assert_eq!(ask("HEAD", "/"), "");
    assert!(ask("GET", "/_license?human=false").contains("\"status\":\"active\""));
    for path in [
        "/_ilm/policy/filebeat",
        "/_index_template/filebeat",
        "/_ingest/pipeline/x",
        "/_nodes/http",
        "/_cluster/health",
        "/_cluster/state/version",
        "/_logstash/pipeline",
        "/_xpack",
        "/_data_stream/logs",
        "/_template/x",
        "/_component_template/x",
    ] {
        assert!(ask("GET", path).starts_with('{'), "{path}");
    }
    assert_eq!(ask("PUT", "/_index_template/filebeat"), "{\"acknowledged\":true}");
    let accept = [
        ("authorization", "ApiKey aWQ6czNjcjN0"),
        ("accept", "application/vnd.elasticsearch+json; compatible-with=8"),
    ];
    let answer = service.ask("GET", "/", &accept, b"");
    assert!(
        answer
            .head
            .contains("content-type: application/vnd.elasticsearch+json;compatible-with=8"),
        "{}",
        answer.head
    );
}

#[test]
fn single_documents_and_bad_bodies() {
    let service = Service::start();
    let (status, answer) = service.send("PUT", "/logs/_create/7", b"{\"a\":\n 1}");
    assert_eq!(
        (status, answer.contains("\"_id\":\"7\"")),
        (201, true),
        "{answer}"
    );
    assert_eq!(service.send("POST", "/logs/_doc", b"{\"b\":1}").0, 201);
    assert_eq!(service.send("PUT", "/logs/_doc/8", b"[]").0, 400);
    assert_eq!(service.send("POST", "/LOGS/_doc", b"{}").0, 400);
    let (status, answer) = service.send("POST", "/_bulk", b"{\"index\":{}}\n{}\nnonsense\n{}\n");
    assert_eq!(status, 400);
    assert!(answer.contains("malformed action or metadata line 3"), "{answer}");
    let (_, answer) = service.send("POST", "/_bulk", b"{\"index\":{}}\n{}\n");
    assert!(answer.contains("index is missing"), "{answer}");
    assert_eq!(service.log.records().len(), 2);
}
