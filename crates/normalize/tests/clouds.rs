//! Documents of the clouds that no integration of Elastic reads, field by field.

#![expect(clippy::expect_used, reason = "a test may fail loudly")]

use neph_normalize::Normalizer;
use serde_json::{Value, json};

/// The documents that a record becomes, with the name of their source.
fn documents(record: &Value, forced: Option<&str>) -> Vec<(&'static str, Value)> {
    let mut normalizer = Normalizer::new(forced).expect("the source exists");
    let raw = record.to_string();
    let outcome = normalizer.push(raw.as_bytes());
    outcome
        .documents
        .iter()
        .map(|made| {
            let document = serde_json::from_slice(&made.document.to_json()).expect("documents are JSON");
            (made.source.name, document)
        })
        .collect()
}

fn check(record: &Value, source: &str, expected: &[(&str, Value)]) {
    let made = documents(record, None);
    let [(name, document)] = made.as_slice() else {
        panic_with(record, made.len());
        return;
    };
    assert_eq!(*name, source);
    has(document, expected);
}

fn panic_with(record: &Value, count: usize) {
    assert_eq!(count, 1, "{record}");
}

fn has(document: &Value, expected: &[(&str, Value)]) {
    for (path, value) in expected {
        let pointer = format!("/{}", path.replace('.', "/"));
        assert_eq!(
            document.pointer(&pointer).unwrap_or(&Value::Null),
            value,
            "{path} of {document}"
        );
    }
}

const PROJECT: &str = "0c1f2e3d4b5a69788796a5b4c3d2e1f0";

#[test]
fn the_action_log_of_vk_cloud() {
    let flat = json!({"action": "vm-action", "event_id": "e", "method": "POST", "request_id": "req-1", "source": "nova",
        "request_body": "{\"createImage\": {\"name\": \"copy\"}}", "response_body": "{}", "success": "yes", "timestamp": "2026-11-20T03:12:44Z",
        "uri": format!("/v2.1/{PROJECT}/servers/4dd2038a-2c88-45df-8e4d-64e0e1bfe82f/action?x=1"),
        "user_email": "ops@example.test", "user_id": "8a3d"});
    let expected = [
        ("@timestamp", json!("2026-11-20T03:12:44.000Z")),
        ("event.id", json!("e")),
        ("event.action", json!("vm-action")),
        ("event.provider", json!("nova")),
        ("event.outcome", json!("success")),
        ("event.category", json!(["configuration"])),
        ("event.type", json!(["creation"])),
        ("event.dataset", json!("vkcloud.audit")),
        ("cloud.provider", json!("vkcloud")),
        ("cloud.service.name", json!("nova")),
        ("cloud.project.id", json!(PROJECT)),
        ("cloud.instance.id", json!("4dd2038a-2c88-45df-8e4d-64e0e1bfe82f")),
        ("http.request.method", json!("POST")),
        ("url.query", json!("x=1")),
        ("user.id", json!("8a3d")),
        ("user.name", json!("ops")),
        ("user.email", json!("ops@example.test")),
        ("trace.id", json!("req-1")),
        ("vkcloud.operation", json!("createImage")),
        ("vkcloud.request.createImage.name", json!("copy")),
        ("vkcloud.resource.type", json!("servers")),
        ("vkcloud.response", Value::Null),
    ];
    check(&flat, "vkcloud_audit", &expected);
    // The answer of the interface.
    let answer = json!({"logs": [flat, {"action": "backup-create", "success": "no", "source": "trove", "event_id": "f", "user_id": "u"}]});
    let made = documents(&answer, None);
    assert_eq!(made.len(), 2);
    let second = made.get(1).map(|(_, document)| document).expect("there are two");
    has(
        second,
        &[
            ("event.outcome", json!("failure")),
            ("event.type", json!(["creation"])),
            ("event.category", json!(["database", "configuration"])),
        ],
    );
}

#[test]
fn cloud_audit_of_vk_cloud() {
    check(
        &json!({"event_id": "e", "timestamp": "2026-11-20T06:15:03+03:00", "action": "create-volume-transfer", "request_id": "req-2",
            "severity": "INFO", "message": "POST /v3/volume-transfers", "source": {"id": "cinder", "address": "10.14.2.7"},
            "subject": {"user_id": "8a3d", "address": "203.0.113.24", "project_id": PROJECT, "metadata": {"email": "ops@example.test"}},
            "resource": {"id": "r", "type": "volume-transfer", "metadata": {"service_id": "s"}},
            "status": {"code": 409, "message": "Conflict"}, "labels": {"method": "POST", "a.b": "c"}}),
        "vkcloud_audit",
        &[
            ("@timestamp", json!("2026-11-20T03:15:03.000Z")),
            ("source.ip", json!("203.0.113.24")),
            ("observer.ip", json!("10.14.2.7")),
            ("event.outcome", json!("failure")),
            ("event.type", json!(["creation"])),
            ("http.response.status_code", json!(409)),
            ("cloud.project.id", json!(PROJECT)),
            ("user.email", json!("ops@example.test")),
            ("labels.a_b", json!("c")),
            ("vkcloud.resource.metadata.service_id", json!("s")),
            ("related.ip", json!(["203.0.113.24"])),
        ],
    );
}

#[test]
fn kubernetes_audit_of_vk_cloud_is_read_under_both_names() {
    let record = json!({"action": "create", "severity": "INFO", "message": "create pods", "timestamp": "2026-11-20T03:15:03Z",
        "subject": {"type": "VKCLOUD_SERVICE_USER", "address": "10.0.4.17", "user_agent": "kubectl/v1.31.2",
            "third_party": {"user_id": "3c1d", "username": "system:serviceaccount:shop:cart",
                "metadata": {"groups": "system:serviceaccounts, system:authenticated"}}},
        "resource": {"type": "pods", "name": "p", "metadata": {"namespace": "shop", "apiVersion": "v1", "subresource": "exec"}},
        "status": {"code": 403}, "request": "{\"spec\":{\"containers\":[{\"image\":\"i\"}]}}", "response": "null",
        "labels": {"tag": "kubernetes", "auditID": "a0c6", "authorization.k8s.io/decision": "forbid"}});
    let made = documents(&record, None);
    let [(_, event), (_, audit)] = made.as_slice() else {
        panic_with(&record, made.len());
        return;
    };
    has(
        event,
        &[
            ("data_stream.dataset", json!("kubernetes.audit_logs")),
            ("kubernetes.audit.verb", json!("create")),
            ("kubernetes.audit.objectRef.subresource", json!("exec")),
            (
                "kubernetes.audit.user.groups",
                json!(["system:serviceaccounts", "system:authenticated"]),
            ),
            (
                "kubernetes.audit.requestObject.spec.containers",
                json!([{"image": "i"}]),
            ),
            ("kubernetes.audit.responseStatus.code", json!(403)),
            ("user.name", json!("system:serviceaccount:shop:cart")),
            ("source.ip", json!(["10.0.4.17"])),
            ("event.outcome", json!("failure")),
            ("cloud.provider", json!("vkcloud")),
        ],
    );
    assert_eq!(
        event.pointer("/kubernetes/audit/annotations/authorization_k8s_io~1decision"),
        Some(&json!("forbid"))
    );
    has(
        audit,
        &[
            ("data_stream.dataset", json!("vkcloud.audit")),
            ("event.module", json!("vkcloud")),
            ("orchestrator.type", json!("kubernetes")),
            ("orchestrator.namespace", json!("shop")),
            ("event.outcome", json!("failure")),
        ],
    );
    assert_eq!(documents(&record, Some("vkcloud_audit")).len(), 1);
}

#[test]
fn notifications_of_openstack() {
    let nova = json!({"event_type": "instance.snapshot.end", "publisher_id": "nova-compute:compute1", "priority": "INFO",
        "message_id": "m", "timestamp": "2026-11-20 03:15:03.123456", "_context_request_id": "req-3",
        "payload": {"nova_object.name": "InstanceActionSnapshotPayload", "nova_object.version": "1.9", "nova_object.namespace": "nova",
            "nova_object.data": {"uuid": "178b0921", "tenant_id": PROJECT, "display_name": "shop", "availability_zone": "az1",
                "action_initiator_user": "fake", "snapshot_image_id": "d2aae36f",
                "flavor": {"nova_object.name": "FlavorPayload", "nova_object.data": {"name": "m1"}}}}});
    let expected = [
        ("@timestamp", json!("2026-11-20T03:15:03.123Z")),
        ("event.action", json!("instance.snapshot.end")),
        ("event.outcome", json!("success")),
        ("event.type", json!(["creation"])),
        ("event.id", json!("m")),
        ("cloud.provider", json!("openstack")),
        ("cloud.service.name", json!("nova")),
        ("cloud.instance.id", json!("178b0921")),
        ("cloud.project.id", json!(PROJECT)),
        ("host.name", json!("compute1")),
        ("user.id", json!("fake")),
        ("trace.id", json!("req-3")),
        ("openstack.payload.flavor.name", json!("m1")),
        ("openstack.payload.snapshot_image_id", json!("d2aae36f")),
    ];
    check(&nova, "openstack_notifications", &expected);
    let enveloped = json!({"oslo.version": "2.0", "oslo.message": nova.to_string()});
    check(&enveloped, "openstack_notifications", &expected);

    check(
        &json!({"event_type": "snapshot.create.error", "publisher_id": "snapshot.host1@lvm", "priority": "ERROR", "message_id": "n",
            "timestamp": "2026-11-20T03:15:03Z", "ctxt": {"user_id": "u", "user_name": "ops", "remote_address": "198.51.100.7"},
            "payload": {"snapshot_id": "s", "volume_id": "v", "tenant_id": PROJECT, "user_id": "other"}}),
        "openstack_notifications",
        &[
            ("cloud.service.name", json!("cinder")),
            ("event.outcome", json!("failure")),
            ("host.name", json!("host1")),
            ("user.id", json!("u")),
            ("user.name", json!("ops")),
            ("source.ip", json!("198.51.100.7")),
            ("openstack.payload.volume_id", json!("v")),
        ],
    );

    let cadf = json!({"typeURI": "http://schemas.dmtf.org/cloud/audit/1.0/event", "eventType": "activity",
        "eventTime": "2026-11-20T03:15:03.000000+0000", "action": "authenticate", "outcome": "failure", "id": "c",
        "initiator": {"typeURI": "service/security/account/user", "id": "u", "name": "ops",
            "host": {"agent": "curl/8", "address": "203.0.113.9"}, "project_id": PROJECT},
        "target": {"typeURI": "service/security/account/user", "id": "t"}, "observer": {"typeURI": "service/security", "id": "o"},
        "reason": {"reasonCode": "401", "reasonType": "Unauthorized"}});
    let expected = [
        ("@timestamp", json!("2026-11-20T03:15:03.000Z")),
        ("event.outcome", json!("failure")),
        ("event.category", json!(["authentication"])),
        ("event.type", json!(["start"])),
        ("source.ip", json!("203.0.113.9")),
        ("user_agent.original", json!("curl/8")),
        ("user.name", json!("ops")),
        ("http.response.status_code", json!(401)),
        ("event.reason", json!("Unauthorized")),
    ];
    check(&cadf, "openstack_notifications", &expected);
    let keystone = json!({"event_type": "identity.authenticate", "publisher_id": "identity.host1", "priority": "INFO",
        "message_id": "k", "timestamp": "2026-11-20 03:15:03", "payload": cadf});
    check(
        &keystone,
        "openstack_notifications",
        &[
            ("event.action", json!("identity.authenticate")),
            ("event.outcome", json!("failure")),
            ("cloud.service.name", json!("keystone")),
        ],
    );
    check(
        &json!({"event_type": "image.send", "publisher_id": "image.host1", "priority": "INFO", "message_id": "i",
            "timestamp": "2026-11-20 03:15:03", "payload": {"image_id": "d", "owner_id": PROJECT, "destination_ip": "198.51.100.1"}}),
        "openstack_notifications",
        &[
            ("cloud.service.name", json!("glance")),
            ("cloud.project.id", json!(PROJECT)),
            ("event.type", json!(["access"])),
        ],
    );
}

#[test]
fn audit_trails_of_yandex_cloud() {
    let record = json!({"event_id": "e", "event_source": "compute", "event_type": "yandex.cloud.audit.compute.CreateSnapshot",
        "event_time": "2026-11-20T03:15:03.5Z", "event_status": "DONE",
        "authentication": {"authenticated": true, "subject_type": "YANDEX_PASSPORT_USER_ACCOUNT", "subject_id": "aje1", "subject_name": "ops@example.test"},
        "authorization": {"authorized": true},
        "resource_metadata": {"path": [
            {"resource_type": "organization-manager.organization", "resource_id": "bpf1", "resource_name": "org"},
            {"resource_type": "resource-manager.cloud", "resource_id": "b1g1", "resource_name": "cloud"},
            {"resource_type": "resource-manager.folder", "resource_id": "b1g2", "resource_name": "folder"},
            {"resource_type": "compute.snapshot", "resource_id": "fd8", "resource_name": "s"}]},
        "request_metadata": {"remote_address": "203.0.113.24", "user_agent": "yc/0.1", "request_id": "r"},
        "details": {"snapshot_id": "fd8", "disk_id": "epd"}});
    check(
        &record,
        "yandex_audit_trails",
        &[
            ("@timestamp", json!("2026-11-20T03:15:03.500Z")),
            ("event.action", json!("CreateSnapshot")),
            ("event.provider", json!("compute")),
            ("event.outcome", json!("success")),
            ("event.category", json!(["configuration"])),
            ("event.type", json!(["creation"])),
            ("cloud.provider", json!("yandex")),
            ("cloud.account.id", json!("b1g1")),
            ("cloud.project.id", json!("b1g2")),
            ("user.id", json!("aje1")),
            ("user.email", json!("ops@example.test")),
            ("source.ip", json!("203.0.113.24")),
            ("yandex.audit_trails.details.disk_id", json!("epd")),
        ],
    );
    let mut refused = record;
    if let Some(authorized) = refused.pointer_mut("/authorization/authorized") {
        *authorized = json!(false);
    }
    check(
        &refused,
        "yandex_audit_trails",
        &[("event.outcome", json!("failure"))],
    );
}

#[test]
fn changes_of_policies_in_google_cloud_have_the_names_that_rules_use() {
    let record = json!({"insertId": "i", "logName": "projects/p/logs/cloudaudit.googleapis.com%2Factivity", "timestamp": "2026-01-01T00:00:00Z",
        "resource": {"type": "gce_disk", "labels": {"project_id": "p", "zone": "europe-west1-b"}},
        "protoPayload": {"@type": "type.googleapis.com/google.cloud.audit.AuditLog", "methodName": "v1.compute.disks.createSnapshot",
            "serviceName": "compute.googleapis.com", "authenticationInfo": {"principalEmail": "ops@example.test"},
            "authorizationInfo": [{"permission": "compute.disks.createSnapshot", "granted": true}, {"permission": "compute.snapshots.create", "granted": true}],
            "serviceData": {"policyDelta": {"bindingDeltas": [{"action": "ADD", "role": "roles/owner", "member": "user:x"}]}}}});
    check(
        &record,
        "gcp_audit",
        &[
            (
                "gcp.audit.service_data.policy_delta.binding_deltas",
                json!([{"action": "ADD", "role": "roles/owner", "member": "user:x"}]),
            ),
            ("event.category", json!(["configuration"])),
            ("event.type", json!(["creation"])),
            ("cloud.availability_zone", json!("europe-west1-b")),
            ("user.email", json!("ops@example.test")),
        ],
    );
}
