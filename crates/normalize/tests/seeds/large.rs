//! Records of megabytes, of containers, sensors, web servers and exchange formats.

use serde_json::{Value, json};

/// Records of megabytes, each of one source.
pub(crate) fn records() -> Vec<Value> {
    let many = |text: &str, count: usize| text.repeat(count);
    let numbered = |count: usize, make: &dyn Fn(usize) -> Value| (0..count).map(make).collect::<Vec<Value>>();
    let labels: serde_json::Map<String, Value> = (0..100_000)
        .map(|number| (format!("a.b{number}"), json!("v")))
        .collect();
    vec![
        json!(format!(
            "198.51.100.7 - - [21/Nov/2026:19:36:56 +0000] \"GET /{} HTTP/1.1\" 200 8",
            many("a?b#\\\"%2F", 1_000_000)
        )),
        json!(format!(
            "time=\"2026-11-21T19:34:02.869892219Z\" level=debug msg=\"Calling POST /v1.41/build?{}\"",
            many("t=%2F&", 1_000_000)
        )),
        json!(format!(
            "1795289642.779 1 192.0.2.24 TCP_MISS/200 4 GET http://{}/ - HIER_NONE/- -",
            many("u:p@", 1_000_000)
        )),
        json!(format!(
            "#Fields: date time {}cs-method\n2026-11-21 19:36:56 {}GET",
            many("cs-x ", 500_000),
            many("v ", 500_000)
        )),
        json!({"Type": "container", "Action": format!("exec_start: {}", many("a ", 1_000_000)), "timeNano": 1, "Actor": {"ID": "a", "Attributes": labels}}),
        json!({"rule": "r", "priority": "p", "time": "2026-11-21T22:03:57Z", "tags": numbered(200_000, &|number| json!(format!("T{number:06}"))),
            "output_fields": {"proc.cmdline": many("\"a b\" ", 500_000)}}),
        json!({"class_uid": 2004, "category_uid": 2, "metadata": {"version": "1"}, "attacks":
            numbered(100_000, &|number| json!({"technique": {"uid": format!("T{number}")}}))}),
        json!({"process_exec": {"process": {"exec_id": "a", "binary": "b", "arguments": many("x ", 1_000_000), "pod": {"pod_labels": labels}}}}),
        json!({"resourceLogs": [{"resource": {"attributes": numbered(20_000, &|number| json!({"key": format!("k{number}"), "value": {"intValue": "1"}}))},
            "scopeLogs": [{"logRecords": numbered(500, &|number| json!({"body": {"stringValue": format!("line {number} {}", "x".repeat(2000))}}))}]}]}),
        json!({"webaclId": "a", "action": "ALLOW", "httpRequest": {"uri": "/", "headers":
            numbered(50_000, &|number| json!({"name": format!("h{number}"), "value": "v"}))}}),
    ]
}
