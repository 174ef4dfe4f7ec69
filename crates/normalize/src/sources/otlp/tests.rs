use serde_json::{Value, json};

use crate::normalizer::Normalizer;

fn request(body: &Value) -> String {
    json!({"resourceLogs": [{
        "resource": {"attributes": [
            {"key": "service.name", "value": {"stringValue": "shop"}},
            {"key": "k8s.pod.name", "value": {"stringValue": "web-1"}},
            {"key": "host.name", "value": {"stringValue": "node-1"}},
        ]},
        "scopeLogs": [{"scope": {"name": "filelog"}, "logRecords": [{
            "timeUnixNano": "1795289642870072839", "severityText": "Information", "severityNumber": 9,
            "traceId": "5b8e", "body": body,
            "attributes": [
                {"key": "log.file.path", "value": {"stringValue": "/var/log/x"}},
                {"key": "http.request.method", "value": {"stringValue": "GET"}},
                {"key": "http.response.status_code", "value": {"intValue": "200"}},
                {"key": "tags", "value": {"arrayValue": {"values": [{"stringValue": "a"}, {"boolValue": true}]}}},
            ],
        }]}],
    }]})
    .to_string()
}

fn check(body: &Value, source: &str, fields: &[(&str, Value)]) {
    let mut normalizer = Normalizer::new(None).unwrap();
    let text = request(body);
    let outcome = normalizer.push(text.as_bytes());
    assert_eq!(outcome.documents.len(), 1, "{body}: {:?}", outcome.refused);
    let made = &outcome.documents[0];
    assert_eq!(made.source.name, source, "{body}");
    let document: Value = serde_json::from_slice(&made.document.to_json()).unwrap();
    for (field, expected) in fields {
        let value = field.split('/').fold(&document, |value, key| &value[key]);
        assert_eq!(value, expected, "{field}\n{document:#}");
    }
}

#[test]
fn bodies_go_to_the_source_that_wrote_them() {
    let audit = json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": "a", "verb": "list", "stage": "ResponseComplete",
        "stageTimestamp": "2026-01-01T00:00:00Z", "requestURI": "/api/v1/pods"});
    let around = [
        ("service/name", json!("shop")),
        ("log/file/path", json!("/var/log/x")),
        ("event/created", json!("2026-11-21T19:34:02.870Z")),
        ("@timestamp", json!("2026-01-01T00:00:00.000Z")),
    ];
    check(
        &json!({"stringValue": audit.to_string()}),
        "kubernetes_audit",
        &around,
    );
    let pairs: Vec<Value> = audit
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, value)| json!({"key": key, "value": {"stringValue": value}}))
        .collect();
    check(
        &json!({"kvlistValue": {"values": pairs}}),
        "kubernetes_audit",
        &around,
    );
    check(
        &json!({"stringValue": "time=\"2026-11-21T19:33:53.553642887Z\" level=debug msg=\"Calling GET /info\""}),
        "docker_daemon",
        &[
            ("event/action", json!("SystemInfo")),
            ("host/name", json!("node-1")),
        ],
    );
}

#[test]
fn records_of_no_source_are_documents_of_their_own() {
    check(
        &json!({"stringValue": "something happened"}),
        "otlp",
        &[
            ("message", json!("something happened")),
            ("@timestamp", json!("2026-11-21T19:34:02.870Z")),
            ("log/level", json!("Information")),
            ("trace/id", json!("5b8e")),
            ("kubernetes/pod/name", json!("web-1")),
            ("http/response/status_code", json!(200)),
            ("event/category", json!(["web"])),
            ("otel/attributes/tags", json!(["a", true])),
            ("otel/scope/name", json!("filelog")),
            ("event/dataset", json!("otel.logs")),
        ],
    );
    check(
        &json!({"intValue": "7"}),
        "otlp",
        &[("otel/body", json!(7)), ("message", Value::Null)],
    );
    check(&Value::Null, "otlp", &[("host/name", json!("node-1"))]);
}
