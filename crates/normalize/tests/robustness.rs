//! No record, however broken, may do more than become no document.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

use std::time::{Duration, Instant};

use neph_event::{Field, FieldType, Row, Slots};
use neph_normalize::{Normalizer, sources};
use proptest::prelude::*;
use serde_json::{Value, json};

#[path = "seeds/cloud.rs"]
mod cloud;
#[path = "seeds/containers.rs"]
mod containers;
#[path = "seeds/hosts.rs"]
mod hosts;
#[path = "seeds/large.rs"]
mod large;

/// One whole record of each kind.
fn seeds() -> Vec<Value> {
    let mut seeds = vec![
        json!({
            "eventVersion": "1.08",
            "userIdentity": {"type": "AssumedRole", "principalId": "AROA:ops", "arn": "arn:aws:sts::1:assumed-role/a/b",
                "accountId": "111111111111", "accessKeyId": "ASIAX", "userName": "ops", "sessionContext": {
                    "sessionIssuer": {"type": "Role", "userName": "admin", "arn": "arn:aws:iam::1:role/admin"},
                    "attributes": {"mfaAuthenticated": "false", "creationDate": "2026-01-01T00:00:00Z"}}},
            "eventTime": "2026-01-01T00:00:01Z", "eventSource": "ec2.amazonaws.com", "eventName": "ModifySnapshotAttribute",
            "awsRegion": "eu-west-1", "sourceIPAddress": "198.51.100.7", "userAgent": "aws-cli/2",
            "requestParameters": {"snapshotId": "snap-1", "createVolumePermission": {"add": {"items": [{"group": "all"}]}},
                "userName": "bob", "size": 1.5, "on": true},
            "responseElements": {"ConsoleLogin": "Success", "group": {"groupId": 7}},
            "additionalEventData": {"MFAUsed": "No", "MobileVersion": "Yes", "LoginTo": "x"},
            "resources": [{"ARN": "arn:x", "accountId": "1", "type": "T"}, {"ARN": "arn:x", "accountId": "1", "type": "T"}],
            "tlsDetails": {"tlsVersion": "TLSv1.2"}, "eventType": "AwsApiCall", "readOnly": false,
        }),
        json!({
            "awsAccountId": "1", "digestStartTime": "2026-01-01T00:00:00Z", "digestEndTime": "2026-01-01T01:00:00Z",
            "digestS3Object": "a/b", "previousDigestSignature": "ff", "previousDigestHashAlgorithm": "SHA-256",
        }),
        json!({"Type": "Notification", "Message": "{\"Records\":[{\"eventName\":\"X\",\"eventSource\":\"s3.amazonaws.com\",\"awsRegion\":\"r\"}]}"}),
        json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Request", "auditID": "a", "stage": "ResponseComplete",
            "requestURI": "/api/v1/pods", "verb": "list", "user": {"username": "u", "uid": "1", "groups": ["g"]},
            "sourceIPs": ["198.51.100.7", "2001:db8::1"], "userAgent": "kubectl", "objectRef": {"resource": "pods", "namespace": "n"},
            "responseStatus": {"metadata": {}, "code": 403}, "stageTimestamp": "2026-01-01T00:00:00.123456Z",
            "requestObject": {"metadata": {"a": 1}, "spec": {"containers": [{"image": "i"}]}},
            "annotations": {"authorization.k8s.io/decision": "forbid"},
        }),
        json!({
            "category": "kube-audit", "operationName": "x", "resourceId": "/y", "time": "2026-01-01T00:00:00Z",
            "properties": {"pod": "p", "log": "{\"kind\":\"Event\",\"verb\":\"get\",\"sourceIPs\":[\"::1\"]}"},
        }),
        json!({
            "protoPayload": {"@type": "type.googleapis.com/google.cloud.audit.AuditLog",
                "authenticationInfo": {"principalEmail": "a@example.test"},
                "authorizationInfo": [{"granted": true, "permission": "p", "resourceAttributes": {}}],
                "methodName": "m", "requestMetadata": {"callerIp": "198.51.100.7"}, "resourceName": "core/v1/namespaces/n/pods/p",
                "serviceName": "k8s.io", "status": {"code": 7}, "numResponseItems": "3",
                "request": {"policy": "text"}, "response": {"status": "text"}},
            "insertId": "i", "resource": {"type": "k8s_cluster", "labels": {"project_id": "p", "cluster_name": "c"}},
            "timestamp": "2026-01-01T00:00:00Z", "logName": "projects/p/logs/cloudaudit.googleapis.com%2Fdata_access",
            "operation": {"id": "o", "first": true}, "labels": {"a": "b"}, "severity": "NOTICE",
        }),
        json!({
            "time": "2026-01-01T00:00:00Z", "category": "Administrative", "operationName": "MICROSOFT.COMPUTE/SNAPSHOTS/WRITE",
            "resourceId": "/SUBSCRIPTIONS/00000000-0000-4000-8000-000000000000/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.COMPUTE/SNAPSHOTS/S",
            "callerIpAddress": "198.51.100.7", "durationMs": 5, "resultType": "Success", "level": "Information",
            "identity": {"authorization": {"evidence": {"role": "Owner", "principalId": "p"}}, "claims": {
                "name": "Ops", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name": "ops@example.test"}},
            "properties": "{\"eventCategory\":\"Administrative\",\"statusCode\":\"OK\"}",
        }),
        json!({
            "auditd": {"sequence": 7, "data": {"syscall": "execve", "argc": "2", "items": "0x2"}, "result": "fail"},
            "event": {"original": ["type=SYSCALL …", "type=EXECVE …"], "outcome": "fail"}, "service": {"type": "auditd"},
            "process": {"pid": "12", "args": ["cat", "/etc/shadow"], "ppid": 1}, "user": {"audit": {"id": "0"}, "a-b": {"c-d": 1}},
        }),
        json!({
            "winlog": {"channel": "Microsoft-Windows-Sysmon/Operational", "event_id": 1, "record_id": 4, "user": {"identifier": "S-1"},
                "provider_name": "Microsoft-Windows-Sysmon", "time_created": "2026-01-01T00:00:00Z", "event_data": {
                    "UtcTime": "2026-01-01 00:00:00.000", "Image": "C:\\a\\b.exe", "CommandLine": "\"C:\\a\\b.exe\" \\\" x",
                    "Hashes": "SHA256=AB,IMPHASH=00", "User": "D\\u", "ProcessId": "12", "QueryName": "a.example.co.uk",
                    "QueryResults": "type:  5 x.example;::ffff:198.51.100.7;", "TargetObject": "HKLM\\a\\b",
                    "Details": "QWORD (0x00000001-0x00000002)", "SourceIp": "::1", "DestinationIp": "::2"}},
        }),
        json!({
            "winlog": {"channel": "Security", "event_id": "4688", "provider_name": "Microsoft-Windows-Security-Auditing", "event_data": {
                "SubjectUserName": "s", "TargetUserName": "t@x", "NewProcessId": "0x1a", "NewProcessName": "C:\\x.exe",
                "CommandLine": "x  \"y z\"", "TicketOptions": "0x40810010", "AccessMask": "0x1 0x2", "AccessList": "%%1537",
                "MemberName": "CN=a\\, b,DC=x,DC=y,DC=z", "NewUacValue": "0x10", "UserAccountControl": "%%2080 %%2082"}},
        }),
        json!({
            "winlog": {"channel": "Windows PowerShell", "event_id": 800, "event_data": {
                "param2": "\tDetailSequence=1\n\tHostApplication=powershell -c 1\n\tUserId=D\\u", "param3": "CommandInvocation(Out): \"x\"\nParameterBinding(Out): name=\"a\"; value=\"b\""}},
        }),
        json!({
            "winlog": {"channel": "Microsoft-Windows-PowerShell/Operational", "event_id": 4104, "event_data": {
                "ScriptBlockText": "# SIG # Begin signature block\n# x\n# SIG # End signature block", "Path": "C:\\a.ps1"}},
        }),
        json!(
            "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='Microsoft-Windows-Sysmon'/><EventID>3</EventID><Channel>Microsoft-Windows-Sysmon/Operational</Channel></System><EventData><Data Name='Image'>C:\\a &amp; b.exe</Data></EventData></Event>"
        ),
        json!({"EventID": 4624, "Channel": "Security", "SourceName": "Microsoft-Windows-Security-Auditing", "EventData": "{\"LogonType\":\"3\"}", "Hostname": "h"}),
    ];
    seeds.extend(cloud::seeds());
    seeds.extend(containers::seeds());
    seeds.extend(hosts::seeds());
    seeds
}

/// Values that a field may hold by mistake.
fn wrong_values() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(-1),
        json!(u64::MAX),
        json!(1e300),
        json!(""),
        json!("-"),
        json!("%%"),
        json!("\\"),
        json!("\""),
        json!("é\u{0}\u{fffd}日本\u{2028}"),
        json!("0x"),
        json!("{"),
        json!("::ffff:"),
        json!("type:;type:  ;"),
        json!("QWORD (-)"),
        json!("2026-02-30T25:61:61Z"),
        json!("99999999999999999999"),
        json!([]),
        json!([null, [], {}]),
        json!(["a", ["b", ["c"]]]),
        json!({}),
        json!({"": ""}),
        json!({".": {"..": 1}, "a.b": "c"}),
    ]
}

/// Every place of a value, as a sequence of positions.
fn places(value: &Value, here: &mut Vec<usize>, out: &mut Vec<Vec<usize>>) {
    out.push(here.clone());
    let children: Vec<&Value> = match value {
        Value::Object(object) => object.values().collect(),
        Value::Array(array) => array.iter().collect(),
        _ => return,
    };
    for (position, child) in children.into_iter().enumerate() {
        here.push(position);
        places(child, here, out);
        here.pop();
    }
}

fn at<'v>(value: &'v mut Value, place: &[usize]) -> Option<&'v mut Value> {
    let Some((position, rest)) = place.split_first() else {
        return Some(value);
    };
    let child = match value {
        Value::Object(object) => object.values_mut().nth(*position)?,
        Value::Array(array) => array.get_mut(*position)?,
        _ => return None,
    };
    at(child, rest)
}

/// Pushes a record and looks whether all that came out can be used.
fn push(normalizer: &mut Normalizer, slots: &Slots, raw: &[u8]) {
    let mut row = Row::default();
    for made in normalizer.push(raw).documents {
        let text = made.document.to_json();
        let read: Value = serde_json::from_slice(&text)
            .unwrap_or_else(|error| panic!("{error} in {}", String::from_utf8_lossy(&text)));
        assert!(read.is_object());
        row.read_from(slots, made.document)
            .expect("documents can be read into rows");
    }
}

fn slots() -> Slots {
    let mut slots = Slots::default();
    for (field, kind) in [
        ("event.action", FieldType::Keyword),
        ("source.ip", FieldType::Ip),
        ("process.pid", FieldType::Long),
        ("@timestamp", FieldType::Date),
        ("winlog.event_data.AccessMask", FieldType::Dynamic),
    ] {
        slots.add(Field::new(field, kind));
    }
    slots
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn wrong_types_anywhere_are_survived(
        seed in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..6),
        forced in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut record = seed.get(&seeds()).clone();
        for (place, wrong) in changes {
            let mut all = Vec::new();
            places(&record, &mut Vec::new(), &mut all);
            if let Some(target) = at(&mut record, place.get(&all).as_slice()) {
                *target = wrong.get(&wrong_values()).clone();
            }
        }
        let source = forced.map(|index| index.get(sources()).name);
        let mut normalizer = Normalizer::new(source).expect("the table names its sources").with_explanations(true);
        push(&mut normalizer, &slots(), &serde_json::to_vec(&record).expect("a value has a text"));
    }

    #[test]
    fn damaged_bytes_are_survived(
        seed in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        forced in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut raw = serde_json::to_vec(seed.get(&seeds())).expect("a value has a text");
        for (place, byte) in damage {
            let at = place.index(raw.len());
            raw.splice(at..=at, [byte]);
        }
        raw.truncate(cut.index(raw.len() * 2));
        let source = forced.map(|index| index.get(sources()).name);
        push(&mut Normalizer::new(source).expect("the table names its sources"), &slots(), &raw);
    }
}

#[test]
fn every_source_survives_every_wrong_value_in_every_place() {
    let slots = slots();
    let mut normalizers: Vec<Normalizer> = sources()
        .iter()
        .map(|info| Normalizer::new(Some(info.name)).expect("the table names its sources"))
        .collect();
    let mut recognising = Normalizer::new(None).expect("no source was named");
    for seed in seeds() {
        let mut all = Vec::new();
        places(&seed, &mut Vec::new(), &mut all);
        for place in &all {
            for wrong in wrong_values() {
                let mut record = seed.clone();
                if let Some(target) = at(&mut record, place) {
                    *target = wrong;
                }
                let raw = serde_json::to_vec(&record).expect("a value has a text");
                push(&mut recognising, &slots, &raw);
                if place.len() <= 1 {
                    normalizers
                        .iter_mut()
                        .for_each(|normalizer| push(normalizer, &slots, &raw));
                }
            }
        }
    }
}

#[test]
fn deep_and_large_records_are_survived() {
    let slots = slots();
    let mut normalizer = Normalizer::new(None).expect("no source was named");
    for deep in [
        "[".repeat(200_000),
        "{\"a\":".repeat(200_000),
        format!("{{\"message\":{}", "\"".repeat(3)),
    ] {
        push(&mut normalizer, &slots, deep.as_bytes());
    }
    let mut wrapped = "{}".to_owned();
    for _ in 0..14 {
        wrapped = serde_json::to_string(&json!({"message": wrapped})).expect("a value has a text");
    }
    push(&mut normalizer, &slots, wrapped.as_bytes());
    assert!(
        normalizer
            .counts()
            .refused
            .keys()
            .any(|reason| reason.contains("wrapped deeper"))
    );

    let mut large = Vec::new();
    let mut trail = seeds().swap_remove(0);
    let many: serde_json::Map<String, Value> = (0..200_000)
        .map(|number| (format!("k{number}"), json!("v".repeat(30))))
        .collect();
    trail["requestParameters"] = Value::Object(many.clone());
    trail["resources"] = (0..50_000)
        .map(|number| json!({"ARN": format!("arn:{number}"), "accountId": "1"}))
        .collect();
    large.push(trail);
    let mut audit = seeds().swap_remove(3);
    audit["sourceIPs"] = (0..80_000)
        .map(|number: u32| json!(std::net::Ipv4Addr::from(number).to_string()))
        .collect();
    audit["requestObject"]["spec"]["containers"] = (0..25_000)
        .map(|number| json!({"image": format!("i{number}")}))
        .collect();
    audit["annotations"] = Value::Object(many.clone());
    large.push(audit);
    let answers: String = (0..50_000)
        .map(|number| {
            format!(
                "type:  5 h{number}.example;10.0.{}.{};",
                number / 256 % 256,
                number % 256
            )
        })
        .collect();
    large.push(json!({"winlog": {"channel": "Microsoft-Windows-Sysmon/Operational", "event_id": "22",
        "event_data": {"QueryName": "a.example", "QueryResults": answers, "Hashes": "a=1,".repeat(250_000)}}}));
    let pairs: String = (0..120_000).map(|number| format!("\n\tk{number}=v")).collect();
    for (code, field) in [("800", "param2"), ("400", "param3")] {
        large.push(json!({"winlog": {"channel": "Windows PowerShell", "event_id": code, "event_data": {field: pairs}}}));
    }
    let data: String = (0..50_000)
        .map(|number| format!("<Data Name='n{number}'>v</Data><Data>w</Data>"))
        .collect();
    large.push(json!(format!(
        "<Event><System><Channel>Security</Channel><EventID>1</EventID></System><EventData>{data}</EventData></Event>"
    )));
    large.push(json!({"EventID": 1, "Channel": "x", "EventData": many}));
    large.extend(large::records());
    large.extend(cloud::large());
    large.extend(hosts::large());
    for record in large {
        let raw = serde_json::to_vec(&record).expect("a value has a text");
        assert!(raw.len() > 1_000_000, "{} bytes are not many", raw.len());
        let mut normalizer = Normalizer::new(None).expect("no source was named");
        let started = Instant::now();
        push(&mut normalizer, &slots, &raw);
        assert_eq!(
            normalizer.counts().documents.len(),
            1,
            "{:?}",
            normalizer.counts()
        );
        // Far more than it takes, and far less than anything quadratic would.
        println!("{} bytes took {:?}", raw.len(), started.elapsed());
        assert!(
            started.elapsed() < Duration::from_secs(120),
            "a large record took {:?}",
            started.elapsed()
        );
    }
}

#[test]
fn every_outcome_is_counted() {
    let mut normalizer = Normalizer::new(None).expect("no source was named");
    for raw in [
        "",
        "   \n",
        "{\"a\":",
        "{\"a\":1}",
        "plain text",
        "\"\"",
        "42",
        "[1,2]",
    ] {
        let outcome = normalizer.push(raw.as_bytes());
        assert!(
            outcome.documents.is_empty() && !outcome.refused.is_empty(),
            "{raw}: {outcome:?}"
        );
    }
    let records = json!({"Records": [seeds()[0], {"what": "is this"}, seeds()[0]]});
    let raw = serde_json::to_vec(&records).expect("a value has a text");
    let outcome = normalizer.push(&raw);
    assert_eq!((outcome.documents.len(), outcome.refused.len()), (2, 1));
    drop(outcome);
    assert_eq!(normalizer.counts().documents.get("aws_cloudtrail"), Some(&2));
    assert_eq!(normalizer.counts().refused.values().sum::<u64>(), 10);
}

#[test]
fn what_an_agent_says_stays_with_each_record() {
    let records = json!({"Records": [
        {"eventName": "A", "eventSource": "s3.amazonaws.com", "awsRegion": "r", "eventTime": "2026-01-01T00:00:00Z"},
        {"eventName": "B", "eventSource": "ec2.amazonaws.com", "awsRegion": "r"},
    ]});
    let shipped = json!({
        "@timestamp": "2026-02-02T00:00:00.000Z",
        "agent": {"type": "filebeat"}, "event": {"created": "2026-02-01T00:00:00.000Z"},
        "message": records.to_string(),
    });
    let raw = serde_json::to_vec(&shipped).expect("a value has a text");
    let mut normalizer = Normalizer::new(None).expect("no source was named");
    let outcome = normalizer.push(&raw);
    let texts = |path: &str| -> Vec<Option<&str>> {
        outcome
            .documents
            .iter()
            .map(|made| made.document.at(path).and_then(|value| value.as_text()))
            .collect()
    };
    assert_eq!(texts("event.action"), [Some("A"), Some("B")]);
    assert_eq!(texts("agent.type"), [Some("filebeat"), Some("filebeat")]);
    assert_eq!(
        texts("@timestamp"),
        [Some("2026-01-01T00:00:00.000Z"), Some("2026-02-02T00:00:00.000Z")]
    );
    assert_eq!(
        texts("event.created"),
        [Some("2026-02-01T00:00:00.000Z"), Some("2026-02-01T00:00:00.000Z")]
    );
}

#[test]
fn wrappings_come_off() {
    let trail = json!({"eventName": "A", "eventSource": "s3.amazonaws.com", "awsRegion": "r", "eventTime": "2026-01-01T00:00:00Z"});
    let entry = json!({"protoPayload": {"methodName": "m", "serviceName": "s"}, "insertId": "i"});
    let audit = json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "verb": "get", "auditID": "a"});
    let sns = json!({"Type": "Notification", "MessageId": "m", "Message": trail.to_string()});
    // `entry` in base64, as Pub/Sub carries it.
    let data = "eyJwcm90b1BheWxvYWQiOnsibWV0aG9kTmFtZSI6Im0iLCJzZXJ2aWNlTmFtZSI6InMifSwiaW5zZXJ0SWQiOiJpIn0=";
    for (wrapped, source, count) in [
        (json!({"Records": [trail, trail]}), "aws_cloudtrail", 2),
        (
            json!({"version": "0", "detail-type": "AWS API Call via CloudTrail", "source": "aws.s3", "detail": trail}),
            "aws_cloudtrail",
            1,
        ),
        (sns.clone(), "aws_cloudtrail", 1),
        (
            json!({"Messages": [{"MessageId": "q", "Body": sns.to_string()}]}),
            "aws_cloudtrail",
            1,
        ),
        (
            json!({"messageType": "DATA_MESSAGE", "logGroup": "g", "logEvents": [{"id": "1", "timestamp": 1, "message": trail.to_string()}]}),
            "aws_cloudtrail",
            1,
        ),
        (
            json!({"EventId": "e", "EventName": "A", "CloudTrailEvent": trail.to_string()}),
            "aws_cloudtrail",
            1,
        ),
        (
            json!({"message": {"data": data, "messageId": "1"}, "subscription": "s"}),
            "gcp_audit",
            1,
        ),
        (
            json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [audit, audit]}),
            "kubernetes_audit",
            2,
        ),
        (json!([entry, entry]), "gcp_audit", 2),
        (
            json!(format!("<14>1 2026-01-01T00:00:00Z host app - - - {audit}")),
            "kubernetes_audit",
            1,
        ),
        (json!({"message": audit.to_string()}), "kubernetes_audit", 1),
    ] {
        let raw = serde_json::to_vec(&wrapped).expect("a value has a text");
        let mut normalizer = Normalizer::new(None).expect("no source was named");
        let outcome = normalizer.push(&raw);
        let made: Vec<&str> = outcome.documents.iter().map(|made| made.source.name).collect();
        assert_eq!(made, vec![source; count], "{wrapped}: {:?}", outcome.refused);
    }
}
