//! Records of clouds: a whole one of each source, and large ones.

use serde_json::{Value, json};

/// Lines of text, each as a JSON string.
const LINES: &[&str] = &[
    "2 123456789010 eni-1235b8ca123456789 198.51.100.7 10.0.0.62 34892 22 6 54 8855 1477913708 1477913820 ACCEPT OK",
    "i-0 eni-1 198.51.100.7 10.0.0.62 198.51.100.7 10.0.0.62",
    "srcaddr dstaddr start interface-id tcp-flags log-status\n::1 ::2 1477913708 eni-1 63 OK",
    "{\"resourceId\": \"/SUBSCRIPTIONS/S\", \"category\": \"X\", \"time\": \"2026-01-01T00:00:00Z\", \"broken",
];

const TENANT: &str = "/tenants/00000000-0000-4000-8000-000000000000/providers/Microsoft.aadiam";

pub(crate) fn seeds() -> Vec<Value> {
    let mut seeds: Vec<Value> = LINES.iter().map(|line| json!(line)).collect();
    seeds.extend([
        finding(),
        json!({"version": 2, "account_id": "1", "srcaddr": "198.51.100.7", "dstaddr": "10.0.0.1", "srcport": 1.0, "dstport": 2, "protocol": 1, "end": 1}),
        json!({"time": "2026-01-01T00:00:00Z", "resourceId": TENANT, "operationName": "Sign-in activity", "category": "SignInLogs",
            "tenantId": "t", "durationMs": 0, "callerIpAddress": "198.51.100.7", "Level": 4, "location": "NO", "properties": {
                "id": "i", "userPrincipalName": "ops@example.test", "userId": "u", "userDisplayName": "Ops", "ipAddress": "198.51.100.7",
                "status": {"errorCode": 50126, "failureReason": "r", "additionalDetails": "d"}, "userAgent": "x",
                "location": {"city": "c", "state": "s", "geoCoordinates": {"latitude": 1.5, "longitude": 2}},
                "authenticationProcessingDetails": [{"key": "a", "value": "b"}, {"key": "a", "value": 1}], "riskLevelDuringSignIn": "none"}}),
        audit(),
        json!({"time": "11/3/2020 9:06:42 AM +00:00", "category": "OperationalLogs", "EventName": "x", "EventProperties": "{\"a\":1}",
            "EventTimeString": "11/3/2020 9:06:42 AM +00:00", "Region": "West Europe", "Status": "Succeeded", "durationMs": "7",
            "resourceId": "/subscriptions/00000000-0000-4000-8000-00000000000a/resourcegroups/g/providers/Microsoft.Sql/servers/s",
            "identity": {"claim": {"upn": "ops@example.test"}}, "properties": {"log": "{\"sourceIPs\":[\"::1\"],\"user\":{\"username\":\"u\"}}"}}),
        json!({"time": "2026-01-01T00:00:00Z", "resourceId": TENANT, "category": "MicrosoftGraphActivityLogs", "durationMs": 453_011,
            "callerIpAddress": "198.51.100.7", "Level": 4, "location": "x", "operationName": "o", "tenantId": "t", "properties": {
                "requestUri": "https://graph.example/v1.0/me?$a=%2c#f", "roles": "a b", "wids": "", "userId": "u", "clientAuthMethod": "2",
                "responseStatusCode": 404, "requestId": "r", "C_DeviceId": "", "tokenIssuedAt": "2026-01-01T00:00:00Z", "_isBillable": "true"}}),
        json!({"time": "3/24/2022 2:42:35 PM", "resourceId": TENANT, "category": "UserRiskEvents", "operationName": "User Risk Detection",
            "properties": {"id": "i", "userPrincipalName": "ops@example.test", "ipAddress": "::1", "riskState": "atRisk"}}),
        json!({"id": "i", "category": "UserManagement", "result": "success", "activityDisplayName": "Add member to group",
            "activityDateTime": "2026-01-01T00:00:00Z", "loggedByService": "Core Directory", "initiatedBy": {"user": {"id": "u", "userPrincipalName": "a@b"}},
            "targetResources": [{"id": "t", "type": "User", "modifiedProperties": []}], "additionalDetails": []}),
        json!({"id": "i", "createdDateTime": "2026-01-01T00:00:00Z", "appId": "a", "status": {"errorCode": 0}, "ipAddress": "::1",
            "location": {"countryOrRegion": "NO"}, "signInEventTypes": ["servicePrincipal"]}),
        json!({"insertId": "i", "logName": "projects/p/logs/events", "resource": {"type": "k8s_pod", "labels": {"cluster_name": "c", "pod_name": "p"}},
            "timestamp": "2026-01-01T00:00:00Z", "severity": "INFO", "jsonPayload": {"reason": "Pulling", "message": "m", "_PID": "7",
                "involvedObject": {"namespace": "n", "name": "p"}}}),
        json!({"action": "vm-action", "event_id": "e", "method": "POST", "request_id": "r", "source": "nova", "success": "yes",
            "request_body": "{\"createImage\":{}}", "response_body": "{}", "timestamp": "2026-01-01T00:00:00Z", "user_email": "a@b", "user_id": "u",
            "uri": "/v2.1/0c1f2e3d4b5a69788796a5b4c3d2e1f0/servers/4dd2038a-2c88-45df-8e4d-64e0e1bfe82f/action?x"}),
        json!({"action": "create", "severity": "INFO", "message": "m", "timestamp": "2026-01-01T00:00:00Z", "source": {"id": "containers", "address": "::1"},
            "subject": {"type": "T", "address": "10.0.4.17", "user_agent": "k", "third_party": {"user_id": "3", "username": "u", "metadata": {"groups": "a, b"}}},
            "delegate": {"third_party": {"username": "v", "metadata": {"groups": "c"}}}, "request": "{\"a\":1}", "response": "null",
            "resource": {"type": "pods", "name": "p", "metadata": {"namespace": "n"}}, "status": {"code": 201},
            "labels": {"auditID": "a", "authorization.k8s.io/decision": "allow"}}),
        json!({"oslo.version": "2.0", "oslo.message": "{\"event_type\":\"volume.create.end\",\"publisher_id\":\"volume.h@l\",\"payload\":{\"x_object.data\":{\"a\":[{\"x_object.data\":1}]}}}"}),
        json!({"event_type": "identity.authenticate", "publisher_id": "identity.h", "message_id": "m", "timestamp": "2026-01-01 00:00:00.1",
            "_context_request_id": "r", "payload": {"typeURI": "http://schemas.dmtf.org/cloud/audit/1.0/event", "action": "authenticate",
                "outcome": "failure", "initiator": {"id": "i", "host": {"address": "::1", "agent": "x"}}, "reason": {"reasonCode": "401"}}}),
        json!({"event_id": "e", "event_type": "yandex.cloud.audit.compute.CreateSnapshot", "event_time": "2026-01-01T00:00:00Z", "event_status": "DONE",
            "event_source": "compute", "authentication": {"subject_id": "s", "subject_name": "a@b"}, "authorization": {"authorized": false},
            "resource_metadata": {"path": [{"resource_type": "resource-manager.cloud", "resource_id": "c", "resource_name": "n"}]},
            "request_metadata": {"remote_address": "::1"}, "error": {"code": 7}}),
        json!({"awslogs": {"data": "H4sIAAAAAAAAA6tWKkktLlGyUlAqSy0qzszPU7KqBQAVN0JHFQAAAA=="}}),
        json!({"receivedMessages": [{"message": {"data": "e30=", "messageId": "1"}}], "value": [{}], "entries": [{"insertId": 1}]}),
        json!({"QueryResultRows": [[{"eventJson": "{}"}, {"a": "b"}]], "Events": [{"CloudTrailEvent": "{}"}]}),
    ]);
    seeds
}

fn finding() -> Value {
    json!({"schemaVersion": "2.0", "accountId": "1", "region": "r", "partition": "aws", "id": "f", "type": "Recon:EC2/Portscan", "severity": 5.5,
        "arn": "arn:aws:guardduty:r:1:detector/d/finding/f", "createdAt": 1_635_962_410.342, "updatedAt": "2026-01-01T00:00:00.000Z",
        "resource": {"resourceType": "Instance", "instanceDetails": {"instanceId": "i", "networkInterfaces": [{"ipv6Addresses": ["::1"],
                "privateIpAddress": "10.0.0.1", "privateIpAddresses": [{"privateIpAddress": "10.0.0.1"}], "publicIp": "198.51.100.7",
                "securityGroups": [{"groupId": "g"}]}]},
            "accessKeyDetails": {"principalId": "p", "userName": "u"}, "s3BucketDetails": [{"owner": {"id": "o"}, "createdAt": 1}],
            "kubernetesDetails": {"kubernetesWorkloadDetails": {"containers": [{"image": "i", "securityContext": {"privileged": "true"}}]}},
            "ecsClusterDetails": {"taskDetails": {"containers": [{"id": "c", "volumeMounts": [{"mountPath": "/"}]}]}}},
        "service": {"serviceName": "guardduty", "eventFirstSeen": "2026-01-01T00:00:00Z", "count": "3", "action": {"actionType": "PORT_PROBE",
            "networkConnectionAction": {"connectionDirection": "INBOUND", "protocol": "TCP", "localPortDetails": {"port": 22, "portName": "SSH"},
                "remoteIpDetails": {"ipAddressV4": "198.51.100.7", "organization": {"asn": "7"}, "geoLocation": {"lat": 0}}},
            "portProbeAction": {"portProbeDetails": [{"localPortDetails": {"port": 80}, "remoteIpDetails": {"ipAddressV4": "198.51.100.8"}}]},
            "kubernetesApiCallAction": {"sourceIPs": ["::2"], "statusCode": 200}},
            "ebsVolumeScanDetails": {"scanDetections": {"threatDetectedByName": {"threatNames": [{"filePaths": [{"hash": "h", "fileName": "n"}]}]}}}}})
}

fn audit() -> Value {
    json!({"time": "2026-01-01T00:00:00Z", "resourceId": TENANT, "operationName": "Update user", "category": "AuditLogs", "durationMs": 0,
        "callerIpAddress": "198.51.100.7", "Level": 4, "properties": {"result": "success", "userAgent": null,
            "initiatedBy": {"user": {"userPrincipalName": "ops@example.test", "id": "u", "ipAddress": "::1"}, "app": {"appId": null}},
            "targetResources": [{"id": "t", "type": "User", "userPrincipalName": "bob@example.test",
                "modifiedProperties": [{"displayName": "d", "oldValue": null, "newValue": "n"}]}],
            "additionalDetails": [{"key": "User-Agent", "value": "x"}]}})
}

/// Records of megabytes.
pub(crate) fn large() -> Vec<Value> {
    const COUNT: u32 = 60_000;
    let address = |number: u32| std::net::Ipv4Addr::from(number).to_string();
    let many: serde_json::Map<String, Value> = (0..150_000)
        .map(|number| (format!("someKey{number}"), json!("v".repeat(20))))
        .collect();
    let mut finding = finding();
    finding["resource"]["instanceDetails"]["networkInterfaces"] = (0..COUNT)
        .map(
            |number| json!({"privateIpAddress": address(number), "ipv6Addresses": [address(number + COUNT)]}),
        )
        .collect();
    finding["service"]["action"]["portProbeAction"]["portProbeDetails"] = (0..COUNT)
        .map(|number| json!({"localPortDetails": {"port": number}, "remoteIpDetails": {"ipAddressV4": address(number)}}))
        .collect();
    finding["service"]["runtimeDetails"] = Value::Object(many.clone());
    let mut audit = audit();
    audit["properties"]["targetResources"] = (0..COUNT)
        .map(|number| json!({"id": number, "type": "User", "userPrincipalName": format!("u{number}@example.test"), "modifiedProperties": []}))
        .collect();
    let mut sign_in = json!({"time": "2026-01-01T00:00:00Z", "category": "SignInLogs", "properties": many});
    sign_in["properties"]["authenticationProcessingDetails"] = (0..COUNT)
        .map(|number| json!({"key": format!("k{number}"), "value": number}))
        .collect();
    let notification = json!({"event_type": "volume.create.end", "publisher_id": "volume.h", "payload": {"x_object.data": many}});
    vec![finding, audit, sign_in, notification]
}
