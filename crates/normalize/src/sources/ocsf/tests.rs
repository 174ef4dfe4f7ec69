use serde_json::{Value, json};

use crate::normalizer::Normalizer;

fn check(record: &Value, fields: &[(&str, Value)]) {
    let mut normalizer = Normalizer::new(None).unwrap();
    let text = record.to_string();
    let outcome = normalizer.push(text.as_bytes());
    assert_eq!(outcome.documents.len(), 1, "{record}: {:?}", outcome.refused);
    assert_eq!(outcome.documents[0].source.name, "ocsf", "{record}");
    let document: Value = serde_json::from_slice(&outcome.documents[0].document.to_json()).unwrap();
    for (field, expected) in fields {
        let value = field.split('.').fold(&document, |value, key| &value[key]);
        assert_eq!(value, expected, "{field}\n{document:#}");
    }
}

#[test]
fn processes_and_their_parents_are_read() {
    check(
        &json!({
            "class_uid": 1007, "category_uid": 1, "activity_id": 1, "activity_name": "Launch", "type_uid": 100_701,
            "severity_id": 1, "status_id": 1, "time": 1_795_289_642_870_i64,
            "metadata": {"version": "1.3.0", "product": {"name": "Sensor", "vendor_name": "V"}, "uid": "e1"},
            "device": {"hostname": "node-1", "uid": "d1", "os": {"type": "Linux", "type_id": 200}},
            "actor": {"process": {"pid": 10, "uid": "p10", "name": "bash", "cmd_line": "bash -c x", "file": {"path": "/bin/bash"}}, "user": {"name": "root", "uid": "0"}},
            "process": {"pid": 11, "uid": "p11", "name": "curl", "cmd_line": "curl http://169.254.169.254/", "file": {"path": "/usr/bin/curl"},
                "container": {"uid": "c1", "name": "web", "image": {"name": "shop/web:1"}}},
        }),
        &[
            ("@timestamp", json!("2026-11-21T19:34:02.870Z")),
            ("event.category", json!(["process"])),
            ("event.type", json!(["start"])),
            ("event.action", json!("exec")),
            ("event.outcome", json!("success")),
            ("process.entity_id", json!("p11")),
            ("process.name", json!("curl")),
            ("process.args", json!(["curl", "http://169.254.169.254/"])),
            ("process.parent.entity_id", json!("p10")),
            ("process.parent.executable", json!("/bin/bash")),
            ("container.id", json!("c1")),
            ("container.image.tag", json!(["1"])),
            ("host.os.type", json!("linux")),
            ("host.id", json!("d1")),
            ("user.name", json!("root")),
            ("data_stream", Value::Null),
        ],
    );
}

#[test]
fn calls_logons_requests_and_findings_are_read() {
    let metadata = json!({"version": "1.1.0", "product": {"name": "CloudTrail", "vendor_name": "AWS"}});
    check(
        &json!({"class_uid": 6003, "category_uid": 6, "activity_id": 1, "status": "Failure", "time": 1, "metadata": metadata,
            "api": {"operation": "CreateSnapshot", "service": {"name": "ec2.amazonaws.com"}, "response": {"error": "AccessDenied"}},
            "cloud": {"provider": "AWS", "region": "eu-west-1", "account": {"uid": "111111111111"}},
            "actor": {"user": {"name": "ops", "uid": "AIDA"}}, "src_endpoint": {"ip": "198.51.100.7"},
            "http_request": {"user_agent": "aws-cli"}}),
        &[
            ("event.action", json!("CreateSnapshot")),
            ("event.provider", json!("ec2.amazonaws.com")),
            ("event.category", json!(["api"])),
            ("event.type", json!(["creation"])),
            ("event.outcome", json!("failure")),
            ("cloud.provider", json!("aws")),
            ("source.ip", json!("198.51.100.7")),
            ("user_agent.original", json!("aws-cli")),
            ("error.code", json!("AccessDenied")),
        ],
    );
    check(
        &json!({"class_uid": 3002, "category_uid": 3, "activity_id": 1, "status_id": 2, "time": 1, "metadata": metadata,
            "user": {"name": "alice", "uid": "u1"}, "actor": {"user": {"name": "system"}}}),
        &[
            ("event.category", json!(["authentication"])),
            ("user.name", json!("alice")),
            ("event.outcome", json!("failure")),
        ],
    );
    check(
        &json!({"class_uid": 4002, "category_uid": 4, "activity_id": 3, "time": 1, "metadata": metadata,
            "http_request": {"http_method": "GET", "url": {"url_string": "http://shop.test/f?u=http://169.254.169.254/", "hostname": "shop.test"}},
            "http_response": {"code": 200}, "src_endpoint": {"ip": "198.51.100.7", "port": 9}}),
        &[
            ("event.category", json!(["web"])),
            ("url.query", json!("u=http://169.254.169.254/")),
            ("url.domain", json!("shop.test")),
            ("http.response.status_code", json!(200)),
            ("source.port", json!(9)),
        ],
    );
    check(
        &json!({"class_uid": 2004, "category_uid": 2, "activity_id": 1, "time": 1, "severity_id": 4, "metadata": metadata,
            "finding_info": {"title": "Credential theft", "uid": "f1", "attacks": [{"technique": {"uid": "T1552"}, "sub_technique": {"uid": "T1552.005"}}]}}),
        &[
            ("event.kind", json!("alert")),
            ("rule.name", json!("Credential theft")),
            ("threat.technique.id", json!(["T1552.005"])),
            ("event.severity", json!(4)),
        ],
    );
}
