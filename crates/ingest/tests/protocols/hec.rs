use neph_ingest::{Protocol, Refused};

use crate::{Mood, Service};

const TOKEN: (&str, &str) = ("authorization", "Splunk s3cr3t");
const CHANNEL: (&str, &str) = ("x-splunk-request-channel", "0aeeac95-ac74-4aa9-b30d-6c4c0ac581ba");

fn check(service: &Service, path: &str, body: &str, expected: &str) {
    let answer = service.ask("POST", path, &[TOKEN], body.as_bytes());
    assert_eq!(
        format!("{} {}", answer.status, answer.body),
        expected,
        "{path} {body}"
    );
}

#[test]
fn events_are_kept_bare_or_with_what_is_said_about_them() {
    let service = Service::start();
    let ok = "200 {\"text\":\"Success\",\"code\":0}";
    check(
        &service,
        "/services/collector",
        r#"{"event":{"a":1}}{"event":"a line"}"#,
        ok,
    );
    check(
        &service,
        "/services/collector/event",
        r#"{"time":1700000000.25,"host":"h\n1","source":"/var/log/x","sourcetype":"linux:audit","index":"main","fields":{"k":"v"},"event":{"b":"\u0041"}}"#,
        ok,
    );
    check(
        &service,
        "/services/collector/event/1.0",
        r#"[{"event":[1]},{"event":7,"time":"1700000000"}]"#,
        ok,
    );
    check(
        &service,
        "/services/collector/raw?sourcetype=syslog&host=gate",
        "one\r\n\ntwo",
        ok,
    );
    check(&service, "/services/collector/raw", "three\n", ok);
    let kept: Vec<String> = service
        .log
        .records()
        .into_iter()
        .map(|(stream, record)| format!("{stream} {record}"))
        .collect();
    assert_eq!(
        kept,
        [
            r#"hec/tester {"a":1}"#,
            "hec/tester a line",
            r#"hec/linux:audit {"input":{"type":"hec"},"@timestamp":"2023-11-14T22:13:20.250Z","host":{"name":"h\n1"},"splunk":{"source":"/var/log/x","sourcetype":"linux:audit","index":"main","fields":{"k":"v"}},"message":"{\"b\":\"\\u0041\"}"}"#,
            r#"hec/tester {"input":{"type":"hec"},"message":"[1]"}"#,
            r#"hec/tester {"input":{"type":"hec"},"@timestamp":"2023-11-14T22:13:20.000Z","message":"7"}"#,
            r#"hec/syslog {"input":{"type":"hec"},"host":{"name":"gate"},"splunk":{"sourcetype":"syslog"},"message":"one"}"#,
            r#"hec/syslog {"input":{"type":"hec"},"host":{"name":"gate"},"splunk":{"sourcetype":"syslog"},"message":"two"}"#,
            "hec/tester three",
        ]
    );
    assert_eq!(service.counted(Protocol::Hec, Refused::Malformed), (8, 0));
}

#[test]
fn faults_have_the_codes_of_the_protocol_and_nothing_of_the_batch_is_kept() {
    let service = Service::start();
    let path = "/services/collector/event";
    check(
        &service,
        path,
        "",
        r#"400 {"text":"No data","code":5,"invalid-event-number":0}"#,
    );
    check(
        &service,
        path,
        r#"{"event":1}{"event":"#,
        r#"400 {"text":"Invalid data format","code":6,"invalid-event-number":1}"#,
    );
    check(
        &service,
        path,
        r#"{"event":1}{"host":"x"}"#,
        r#"400 {"text":"Event field is required","code":12,"invalid-event-number":1}"#,
    );
    check(
        &service,
        path,
        r#"{"event":""}"#,
        r#"400 {"text":"Event field cannot be blank","code":13,"invalid-event-number":0}"#,
    );
    check(
        &service,
        path,
        "[1]",
        r#"400 {"text":"Invalid data format","code":6,"invalid-event-number":0}"#,
    );
    assert_eq!(service.log.records(), []);
    let ask = |headers: &[(&str, &str)]| {
        let answer = service.ask("POST", path, headers, br#"{"event":1}"#);
        format!("{} {}", answer.status, answer.body)
    };
    assert_eq!(ask(&[]), r#"401 {"text":"Token is required","code":2}"#);
    assert_eq!(
        ask(&[("authorization", "Splunk wrong")]),
        r#"403 {"text":"Invalid token","code":4}"#
    );
    assert_eq!(
        ask(&[("authorization", "nonsense")]),
        r#"401 {"text":"Invalid authorization","code":3}"#
    );
    assert_eq!(
        ask(&[TOKEN, ("x-splunk-request-channel", "x")]),
        r#"400 {"text":"Invalid data channel","code":11}"#
    );
    service.log.set(Mood::IsFull);
    assert_eq!(ask(&[TOKEN]), r#"503 {"text":"Server is busy","code":9}"#);
    service.log.set(Mood::Fails);
    assert_eq!(ask(&[TOKEN]), r#"503 {"text":"Internal server error","code":8}"#);
}

#[test]
fn acknowledgements_are_given_for_what_was_stored() {
    let service = Service::start();
    let answer = service.ask(
        "POST",
        "/services/collector",
        &[TOKEN, CHANNEL],
        br#"{"event":"x"}"#,
    );
    let answer: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let number = answer["ackId"].as_u64().unwrap();
    let asked = format!("{{\"acks\":[{number},{}]}}", number + 1_000_000_000);
    let answer = service.ask(
        "POST",
        "/services/collector/ack",
        &[TOKEN, CHANNEL],
        asked.as_bytes(),
    );
    let answer: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(answer["acks"][number.to_string()], true);
    assert_eq!(answer["acks"][(number + 1_000_000_000).to_string()], false);
    check(
        &service,
        "/services/collector/ack",
        "{}",
        r#"400 {"text":"Data channel is missing","code":10}"#,
    );
    let health = service.ask("GET", "/services/collector/health", &[TOKEN], b"");
    assert_eq!(health.body, r#"{"text":"HEC is healthy","code":17}"#);
}
