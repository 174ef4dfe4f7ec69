//! `neph baseline` through the binary: files of three clouds, their audit logs as they come, and alerts that the store takes.

#![expect(
    clippy::expect_used,
    reason = "clippy exempts test functions, but not the functions that they share"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use neph_store::{Severity, StoredAlert};
use serde_json::{Value, json};

const DISK: &str = "11111111-aaaa-4000-8000-000000000001";
const SNAPSHOT: &str = "22222222-bbbb-4000-8000-000000000002";
const SUBSCRIPTION: &str =
    "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg/providers/Microsoft.Compute";

fn neph(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_neph"))
        .arg("baseline")
        .args(arguments)
        .current_dir(folder)
        .env("COLUMNS", "110")
        .output()
        .expect("the binary starts")
}

fn write(folder: &Path, name: &str, value: &Value) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder is made");
    fs::write(path, value.to_string()).expect("a file is written");
}

/// An hour from now, when everything in this test happens: after the baseline.
fn later() -> String {
    let now = jiff::Timestamp::now();
    let at = now + jiff::SignedDuration::from_hours(1);
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn collected(folder: &Path, with: bool, at: &str) {
    let some = |value: Value| if with { json!([value]) } else { json!([]) };
    write(
        folder,
        "collected/azure/11111111-1111-1111-1111-111111111111/snapshot-list.json",
        &some(
            json!({"id": format!("{SUBSCRIPTION}/snapshots/X1"), "name": "X1", "location": "westeurope", "timeCreated": at}),
        ),
    );
    write(
        folder,
        "collected/gcp/shop/compute-snapshots-list.json",
        &some(
            json!({"kind": "compute#snapshot", "id": "1", "name": "x2", "creationTimestamp": at, "status": "READY",
            "selfLink": "https://www.googleapis.com/compute/v1/projects/shop/global/snapshots/x2"}),
        ),
    );
    write(
        folder,
        "collected/openstack/p1/MSK/volume-snapshot-list.json",
        &some(
            json!({"ID": SNAPSHOT, "Name": "x3", "Description": null, "Status": "available", "Size": 5, "Created At": at, "Volume": DISK, "Properties": {}}),
        ),
    );
}

fn events(folder: &Path, at: &str) {
    write(
        folder,
        "logs/azure.json",
        &json!({"time": at, "resourceId": format!("{SUBSCRIPTION}/SNAPSHOTS/X1").to_uppercase(), "operationName": "MICROSOFT.COMPUTE/SNAPSHOTS/WRITE",
            "category": "Administrative", "resultType": "Success", "resultSignature": "x", "callerIpAddress": "203.0.113.1", "correlationId": "c-1",
            "identity": {"authorization": {"scope": "/subscriptions/x", "action": "MICROSOFT.COMPUTE/SNAPSHOTS/WRITE"}, "claims":
                {"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name": "eve@corp.example"}}, "level": "Information", "properties": {"statusCode": "OK"}}),
    );
    write(
        folder,
        "logs/gcp.json",
        &json!({"insertId": "i-2", "logName": "projects/shop/logs/cloudaudit.googleapis.com%2Factivity", "timestamp": at, "severity": "NOTICE",
            "resource": {"type": "gce_disk", "labels": {"project_id": "shop"}}, "protoPayload": {"@type": "type.googleapis.com/google.cloud.audit.AuditLog",
            "status": {}, "authenticationInfo": {"principalEmail": "eve@corp.example"}, "requestMetadata": {"callerIp": "203.0.113.2",
            "callerSuppliedUserAgent": "gcloud"}, "serviceName": "compute.googleapis.com", "methodName": "v1.compute.disks.createSnapshot",
            "resourceName": "projects/shop/zones/z/disks/d1", "request": {"name": "x2"}}}),
    );
    // The log names the disk, and not the snapshot.
    write(
        folder,
        "logs/vk.json",
        &json!({"event_id": "e-3", "timestamp": at, "action": "create-snapshot", "request_id": "req-1", "severity": "INFO", "source": {"id": "cinder",
            "address": "10.14.2.7"}, "subject": {"user_id": "id-u0", "address": "203.0.113.3", "project_id": "p1", "metadata": {"email": "eve@example.test"}},
            "resource": {"id": DISK, "type": "object", "metadata": {}}, "status": {"code": 200, "message": "x"}, "labels": {}}),
    );
}

#[test]
fn what_is_new_in_three_clouds_is_told_with_who_made_it_and_the_store_takes_it() {
    let root = tempfile::tempdir().expect("a folder");
    let (folder, at) = (root.path(), later());
    collected(folder, false, &at);
    let took = neph(folder, &["take", "collected"]);
    assert_eq!(took.status.code(), Some(0), "{took:?}");
    collected(folder, true, &at);
    events(folder, &at);
    let compared = neph(
        folder,
        &[
            "compare",
            "--events",
            "logs",
            "--fail-on=high",
            "--format",
            "ndjson",
            "collected",
        ],
    );
    assert_eq!(compared.status.code(), Some(0), "{compared:?}");
    let text = String::from_utf8(compared.stdout).expect("text");
    let told: Vec<(String, Value, Value, Severity)> = text
        .lines()
        .map(|line| {
            let stored = StoredAlert::from_document(line.as_bytes().to_vec()).expect("the store takes it");
            assert_eq!(stored.techniques, ["T1578", "T1578.001"]);
            assert!(
                stored.entities.iter().any(|(field, _)| field == "source.ip"),
                "{stored:?}"
            );
            let document: Value = serde_json::from_str(line).expect("JSON");
            let act = &document["neph"]["baseline"]["acts"][0];
            (
                stored.rule_id,
                document["user"]["name"].clone(),
                act["from"].clone(),
                stored.severity,
            )
        })
        .collect();
    let new = |who: &str, from: &str| {
        (
            "baseline-snapshot-new".to_owned(),
            json!(who),
            json!(from),
            Severity::Medium,
        )
    };
    assert_eq!(
        told,
        [
            new("eve", "203.0.113.1"),
            new("eve@corp.example", "203.0.113.2"),
            new("eve", "203.0.113.3"),
        ]
    );
    let failed = neph(folder, &["compare", "--fail-on", "collected"]);
    assert_eq!(failed.status.code(), Some(1));
    let table = String::from_utf8(failed.stdout).expect("text");
    assert!(table.lines().all(|line| line.chars().count() <= 160), "{table}");
}

#[test]
fn what_is_wrong_ends_with_exit_code_2_and_says_why() {
    let root = tempfile::tempdir().expect("a folder");
    let folder = root.path();
    write(folder, "other/x.json", &json!({"Users": []}));
    let said = |arguments: &[&str]| {
        let output = neph(folder, arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(said(&["take", "other"]).contains("none of the files lists snapshots or images"));
    collected(folder, false, "2026-01-01T00:00:00Z");
    assert!(said(&["compare", "collected"]).contains("there is no baseline in `baselines`"));
    assert!(
        said(&["compare", "--new-since", "yesterday", "collected"])
            .contains("`yesterday` is no time such as `7d`")
    );
    fs::create_dir(folder.join("baselines")).expect("a folder");
    fs::write(
        folder.join("baselines/approvals.toml"),
        "[[approved]]\nnmae = \"x\"\n",
    )
    .expect("a file");
    let told = said(&["compare", "collected"]);
    for part in [
        "did you mean `name`?",
        "an entry has no `owner`",
        "an entry has no `expires`",
    ] {
        assert!(told.contains(part), "{told}");
    }
}
