//! What carries cloud records comes off, in every shape and however deep, and the records inside are recognised.

#![expect(clippy::expect_used, reason = "a test may fail loudly")]

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use neph_normalize::{Joiner, Normalizer};
use serde_json::{Value, json};

fn zipped(value: &Value) -> String {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    write!(out, "{value}").expect("writing into memory");
    STANDARD.encode(out.finish().expect("writing into memory"))
}

/// Pushes one record and gives the names of the sources that made documents of it, and why others are none.
fn sources_of(raw: &[u8], forced: Option<&str>) -> (Vec<&'static str>, Vec<String>) {
    let mut normalizer = Normalizer::new(forced).expect("the source exists");
    let outcome = normalizer.push(raw);
    let names = outcome.documents.iter().map(|made| made.source.name).collect();
    let refused = outcome.refused.iter().map(ToString::to_string).collect();
    (names, refused)
}

fn trail() -> Value {
    json!({"eventVersion": "1.08", "eventName": "CreateSnapshot", "eventSource": "ec2.amazonaws.com", "awsRegion": "r",
        "eventTime": "2026-01-01T00:00:00Z", "userIdentity": {"type": "IAMUser", "userName": "ops"}})
}

fn entry() -> Value {
    json!({"protoPayload": {"@type": "type.googleapis.com/google.cloud.audit.AuditLog", "methodName": "m", "serviceName": "s"},
        "insertId": "i", "logName": "projects/p/logs/cloudaudit.googleapis.com%2Factivity", "timestamp": "2026-01-01T00:00:00Z"})
}

fn audit() -> Value {
    json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": "a", "stage": "ResponseComplete", "verb": "list",
        "requestURI": "/api/v1/pods", "user": {"username": "u"}, "objectRef": {"resource": "pods"}})
}

fn activity() -> Value {
    json!({"time": "2026-01-01T00:00:00Z", "category": "Administrative", "operationName": "MICROSOFT.COMPUTE/SNAPSHOTS/WRITE",
        "resourceId": "/SUBSCRIPTIONS/00000000-0000-4000-8000-000000000000/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.COMPUTE/SNAPSHOTS/S"})
}

fn activity_rest() -> Value {
    json!({"authorization": {"action": "Microsoft.Compute/snapshots/write", "scope": "/subscriptions/x"}, "caller": "ops@example.test",
        "channels": "Operation", "claims": {"aud": "https://management.core.windows.net/"},
        "category": {"value": "Administrative", "localizedValue": "Administrative"},
        "operationName": {"value": "Microsoft.Compute/snapshots/write", "localizedValue": "Create"},
        "resourceId": "/subscriptions/x/resourceGroups/g/providers/Microsoft.Compute/snapshots/s",
        "status": {"value": "Succeeded"}, "eventTimestamp": "2026-01-01T00:00:00Z"})
}

fn finding() -> Value {
    json!({"schemaVersion": "2.0", "accountId": "1", "region": "r", "partition": "aws", "id": "f", "type": "Recon:EC2/Portscan",
        "arn": "arn:aws:guardduty:r:1:detector/d/finding/f", "severity": 5,
        "resource": {"resourceType": "Instance"}, "service": {"serviceName": "guardduty", "action": {"actionType": "PORT_PROBE"}}})
}

const FLOW: &str = "2 123456789010 eni-1235b8ca123456789 198.51.100.7 10.0.0.62 34892 22 6 54 8855 1477913708 1477913820 ACCEPT OK";

fn cloudwatch(messages: &[&str]) -> Value {
    let events: Vec<Value> = messages
        .iter()
        .enumerate()
        .map(|(id, message)| json!({"id": id.to_string(), "timestamp": 1, "message": message}))
        .collect();
    json!({"messageType": "DATA_MESSAGE", "owner": "1", "logGroup": "g", "logStream": "s", "subscriptionFilters": ["f"], "logEvents": events})
}

#[test]
fn every_wrapping_comes_off() {
    let (trail, entry, audit, activity, finding) = (trail(), entry(), audit(), activity(), finding());
    let sns = json!({"Type": "Notification", "MessageId": "m", "Message": trail.to_string()});
    let bus = json!({"version": "0", "detail-type": "AWS API Call via CloudTrail", "source": "aws.ec2", "detail": trail});
    let sns_of_bus = json!({"Type": "Notification", "MessageId": "m", "Message": bus.to_string()});
    let logs = cloudwatch(&[&trail.to_string(), &trail.to_string()]);
    let logs_text = logs.to_string();
    let cases = [
        // CloudTrail: an object in S3, alone and in a queue behind a topic.
        (json!({"Records": [trail, trail]}), "aws_cloudtrail", 2),
        (bus.clone(), "aws_cloudtrail", 1),
        (
            json!({"Messages": [{"MessageId": "q", "Body": sns_of_bus.to_string()}]}),
            "aws_cloudtrail",
            1,
        ),
        (
            json!({"Records": [{"messageId": "q", "eventSource": "aws:sqs", "body": sns.to_string()}]}),
            "aws_cloudtrail",
            1,
        ),
        (
            json!({"Records": [{"EventSource": "aws:sns", "Sns": {"MessageId": "m", "Message": trail.to_string()}}]}),
            "aws_cloudtrail",
            1,
        ),
        // CloudWatch Logs: as exported, to a function, by Kinesis and by Firehose.
        (logs.clone(), "aws_cloudtrail", 2),
        (json!({"awslogs": {"data": zipped(&logs)}}), "aws_cloudtrail", 2),
        (
            json!({"Records": [{"eventSource": "aws:kinesis", "kinesis": {"partitionKey": "k", "data": zipped(&logs)}}]}),
            "aws_cloudtrail",
            2,
        ),
        (
            json!({"invocationId": "i", "records": [{"recordId": "r", "approximateArrivalTimestamp": 1, "data": zipped(&logs)}]}),
            "aws_cloudtrail",
            2,
        ),
        (
            json!({"requestId": "i", "timestamp": 1, "records": [{"data": STANDARD.encode(&logs_text)}]}),
            "aws_cloudtrail",
            2,
        ),
        (
            json!({"MillisBehindLatest": 0, "Records": [{"SequenceNumber": "1", "Data": STANDARD.encode(format!("{trail}\n{trail}\n"))}]}),
            "aws_cloudtrail",
            2,
        ),
        // CloudTrail's own interfaces.
        (
            json!({"Events": [{"EventId": "e", "CloudTrailEvent": trail.to_string()}]}),
            "aws_cloudtrail",
            1,
        ),
        (json!({"eventJson": trail.to_string()}), "aws_cloudtrail", 1),
        (
            json!({"QueryStatus": "FINISHED", "QueryResultRows": [[{"eventJson": trail.to_string()}], [{"eventJson": trail.to_string()}]]}),
            "aws_cloudtrail",
            2,
        ),
        (json!({"metadata": {}, "eventData": trail}), "aws_cloudtrail", 1),
        (
            json!({"id": "1", "eventData": trail.to_string()}),
            "aws_cloudtrail",
            1,
        ),
        // GuardDuty: EventBridge, the interface's list.
        (
            json!({"detail-type": "GuardDuty Finding", "source": "aws.guardduty", "detail": finding}),
            "aws_guardduty",
            1,
        ),
        (json!({"Findings": [finding, finding]}), "aws_guardduty", 2),
        // Flow logs in CloudWatch Logs.
        (cloudwatch(&[FLOW, FLOW]), "aws_vpcflow", 2),
        (json!({"message": FLOW}), "aws_vpcflow", 1),
        // Kubernetes audit: webhook, EKS, a shipper.
        (
            json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [audit, audit]}),
            "kubernetes_audit",
            2,
        ),
        (
            json!({"awslogs": {"data": zipped(&cloudwatch(&[&audit.to_string()]))}}),
            "kubernetes_audit",
            1,
        ),
        (
            json!({"message": audit.to_string(), "log": {"file": {"path": "audit.log"}}}),
            "kubernetes_audit",
            1,
        ),
        // Google Cloud: Pub/Sub pushed and pulled, the interface's list, an array.
        (
            json!({"message": {"data": STANDARD.encode(entry.to_string()), "messageId": "1"}, "subscription": "s"}),
            "gcp_audit",
            1,
        ),
        (
            json!({"receivedMessages": [{"ackId": "a", "message": {"data": STANDARD.encode(entry.to_string()), "messageId": "1"}}]}),
            "gcp_audit",
            1,
        ),
        (
            json!({"entries": [entry, entry], "nextPageToken": "t"}),
            "gcp_audit",
            2,
        ),
        (json!([entry, entry]), "gcp_audit", 2),
        // Azure: event hub, REST, camel case alone.
        (json!({"records": [activity, activity]}), "azure_activitylogs", 2),
        (
            json!({"value": [activity_rest(), activity_rest()], "nextLink": "https://next.example"}),
            "azure_activitylogs",
            2,
        ),
        (activity_rest(), "azure_activitylogs", 1),
    ];
    for (wrapped, source, count) in cases {
        let (made, refused) = sources_of(wrapped.to_string().as_bytes(), None);
        assert_eq!(made, vec![source; count], "{wrapped}: {refused:?}");
        let (made, refused) = sources_of(wrapped.to_string().as_bytes(), Some(source));
        assert_eq!(made, vec![source; count], "{wrapped} as {source}: {refused:?}");
    }
}

#[test]
fn lines_are_found_in_objects_of_shippers_that_say_nothing_of_themselves() {
    let trail = trail().to_string();
    let sshd =
        "<38>1 2026-01-01T00:00:00Z h sshd 7 - - Accepted publickey for eve from 203.0.113.9 port 4711 ssh2";
    let nested = json!({"message": trail, "severity": "info"}).to_string();
    let cases = [
        // Vector's file source; Fluent Bit's tail; rsyslog's template of its manual; Logstash without ECS.
        (
            json!({"file": "/l", "host": "h", "message": trail, "source_type": "file", "timestamp": "2026-01-01T00:00:00Z"}),
            "aws_cloudtrail",
        ),
        (
            json!({"@timestamp": "2026-01-01T00:00:00Z", "log": format!("{trail}\n")}),
            "aws_cloudtrail",
        ),
        (
            json!({"@timestamp": "2026-01-01T00:00:00Z", "host": "h", "severity": "info", "message": sshd}),
            "linux_auth",
        ),
        (
            json!({"@timestamp": "2026-01-01T00:00:00Z", "@version": "1", "host": "h", "message": FLOW}),
            "aws_vpcflow",
        ),
        // Splunk's logger for JavaScript: an object of its own inside the event.
        (
            json!({"input": {"type": "hec"}, "splunk": {"sourcetype": "x"}, "message": nested}),
            "aws_cloudtrail",
        ),
    ];
    for (shipped, source) in cases {
        for forced in [None, Some(source)] {
            let (made, refused) = sources_of(shipped.to_string().as_bytes(), forced);
            assert_eq!(made, [source], "{shipped} as {forced:?}: {refused:?}");
        }
    }
    // What is of no source stays what it is, with all its fields.
    for own in [
        json!({"level": "info", "message": "connected to the database"}),
        json!({"level": "info", "message": json!({"user": "eve"}).to_string()}),
        json!({"log": "a", "message": 7}),
    ] {
        let (made, refused) = sources_of(own.to_string().as_bytes(), None);
        assert_eq!((made.len(), refused.len()), (0, 1), "{own}: {made:?} {refused:?}");
    }
}

#[test]
fn what_is_damaged_inside_is_counted() {
    for wrapped in [
        json!({"awslogs": {"data": "no base64"}}),
        json!({"awslogs": {"data": STANDARD.encode([0x1f, 0x8b, 1, 2, 3])}}),
        json!({"awslogs": {"data": 5}}),
        json!({"records": [{"data": ""}]}),
        json!({"value": [1, null, "x"]}),
        json!({"Findings": [[[]]]}),
        json!({"QueryResultRows": ["a"], "records": {}}),
    ] {
        let (made, _) = sources_of(wrapped.to_string().as_bytes(), None);
        assert!(made.is_empty(), "{wrapped}");
    }
    // A stream that breaks off gives what came before.
    let whole = STANDARD.decode(zipped(&trail())).expect("just encoded");
    let cut = STANDARD.encode(whole.get(..whole.len() - 4).unwrap_or_default());
    let (made, _) = sources_of(json!({"awslogs": {"data": cut}}).to_string().as_bytes(), None);
    assert_eq!(made, ["aws_cloudtrail"]);
}

#[test]
fn digests_are_skipped_unless_asked_for() {
    let digest = json!({"awsAccountId": "1", "digestStartTime": "2026-01-01T00:00:00Z", "digestEndTime": "2026-01-01T01:00:00Z",
        "digestS3Bucket": "b", "digestS3Object": "AWSLogs/1/CloudTrail-Digest/x.json.gz", "logFiles": []})
    .to_string();
    let (made, refused) = sources_of(digest.as_bytes(), None);
    assert!(made.is_empty());
    assert_eq!(refused, ["aws_cloudtrail_digest: a digest holds no events"]);
    assert_eq!(
        sources_of(digest.as_bytes(), Some("aws_cloudtrail")).0,
        ["aws_cloudtrail"]
    );
}

#[test]
fn audit_events_of_aks_are_read_by_the_rules_of_both_names() {
    let record = json!({"category": "kube-audit", "operationName": "Microsoft.ContainerService/managedClusters/diagnosticLogs/Read",
        "time": "2026-01-01T00:00:00Z", "resourceId": "/SUBSCRIPTIONS/S/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/C",
        "properties": {"log": audit().to_string(), "pod": "kube-apiserver-1"}})
    .to_string();
    let mut normalizer = Normalizer::new(None).expect("no source was named");
    let outcome = normalizer.push(record.as_bytes());
    let datasets: Vec<_> = outcome
        .documents
        .iter()
        .map(|made| {
            made.document
                .at("data_stream.dataset")
                .and_then(|it| it.as_text())
        })
        .collect();
    assert_eq!(
        datasets,
        [Some("kubernetes.audit_logs"), Some("azure.platformlogs")]
    );
    let at = |index: usize, path: &str| {
        let made = outcome.documents.get(index)?;
        made.document.at(path)?.as_text().map(str::to_owned)
    };
    assert_eq!(at(0, "kubernetes.audit.verb").as_deref(), Some("list"));
    assert_eq!(
        at(1, "azure.platformlogs.properties.log.verb").as_deref(),
        Some("list")
    );
    assert_eq!(at(1, "cloud.provider").as_deref(), Some("azure"));
    drop(outcome);
    assert_eq!(
        sources_of(record.as_bytes(), Some("kubernetes_audit")).0,
        ["kubernetes_audit"]
    );
    assert_eq!(
        sources_of(record.as_bytes(), Some("azure_platformlogs")).0,
        ["azure_platformlogs"]
    );
}

#[test]
fn flows_in_a_custom_format_are_read_by_their_header() {
    let lines = [
        "dstaddr srcaddr action log-status interface-id bytes flow-direction ecs-task-id",
        "10.0.0.62 198.51.100.7 REJECT OK eni-1235b8ca123456789 77 ingress t-1",
        "10.0.0.63 198.51.100.8 ACCEPT OK eni-1235b8ca123456789 78 egress -",
    ];
    let mut joiner = Joiner::new(None);
    let mut normalizer = Normalizer::new(None).expect("no source was named");
    let mut seen = Vec::new();
    for line in lines {
        let records = if joiner.push(line.as_bytes(), ()) {
            std::iter::from_fn(|| joiner.next_joined())
                .map(|joined| joined.record)
                .collect()
        } else {
            vec![line.as_bytes().to_vec()]
        };
        for record in records {
            let outcome = normalizer.push(&record);
            for made in outcome.documents {
                seen.push(
                    serde_json::from_slice::<Value>(&made.document.to_json()).expect("documents are JSON"),
                );
            }
        }
    }
    let at = |index: usize, path: &str| seen.get(index).and_then(|it| it.pointer(path)).cloned();
    assert_eq!(seen.len(), 2);
    assert_eq!(at(0, "/source/ip"), Some(json!("198.51.100.7")));
    assert_eq!(at(0, "/network/bytes"), Some(json!(77)));
    assert_eq!(at(0, "/network/direction"), Some(json!("ingress")));
    assert_eq!(at(0, "/aws/vpcflow/ecs_task_id"), Some(json!("t-1")));
    assert_eq!(at(0, "/event/original"), Some(json!(lines[1])));
    assert_eq!(at(1, "/destination/ip"), Some(json!("10.0.0.63")));
    assert_eq!(at(1, "/aws/vpcflow/ecs_task_id"), None);
}

#[test]
fn logs_of_entra_id_that_are_taken_for_audits_are_read_as_what_they_are() {
    for (category, dataset) in [
        ("AuditLogs", Some("azure.auditlogs")),
        ("NonInteractiveUserSignInLogs", Some("azure.signinlogs")),
        ("UserRiskEvents", Some("azure.identity_protection")),
        ("MicrosoftGraphActivityLogs", Some("azure.graphactivitylogs")),
        ("Administrative", None),
    ] {
        let record = json!({"category": category, "time": "2026-01-01T00:00:00Z", "operationName": "o", "properties": {"id": "i"}}).to_string();
        let mut normalizer = Normalizer::new(Some("azure_auditlogs")).expect("the source exists");
        let outcome = normalizer.push(record.as_bytes());
        let made = outcome.documents.first().and_then(|made| {
            let dataset = made.document.at("data_stream.dataset")?;
            dataset.as_text()
        });
        assert_eq!(made, dataset, "{category}");
    }
}
