//! Collected folders made of answers, for tests.

use std::fs;

use neph_baseline::{Accounts, Baseline, Collected, Comparison, compare};
use neph_inventory::{Folder, Limits};
use serde_json::{Value, json};

pub(crate) const EBS: &str = "aws/111122223333/eu-west-1/ec2-describe-snapshots.json";
pub(crate) const EBS_SHARES: &str = "aws/111122223333/eu-west-1/ec2-describe-snapshot-attribute.json";
pub(crate) const AMI: &str = "aws/111122223333/eu-west-1/ec2-describe-images.json";

/// Reads files: their paths and texts.
pub(crate) fn read(files: &[(&str, String)]) -> Collected {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let mut collected = Collected::read(&Folder::open(&[root.path().to_owned()], &Limits::default()));
    for problem in &mut collected.problems {
        let below = problem.file.strip_prefix(&root.path().display().to_string());
        problem.file = below
            .map(|name| name.trim_start_matches('/').to_owned())
            .unwrap_or_default();
    }
    collected
}

/// A baseline of 1 November 2026, written and read again.
pub(crate) fn baseline(files: &[(&str, String)]) -> Baseline {
    let taken = Baseline::take(read(files), "2026-11-01T00:00:00Z".parse().unwrap(), "test");
    let mut bytes = Vec::new();
    taken.write(&mut bytes).unwrap();
    let again = Baseline::read(bytes.as_slice()).unwrap();
    assert_eq!(again, taken);
    again
}

pub(crate) fn compared(before: &[(&str, String)], after: &[(&str, String)]) -> Comparison {
    compare(&baseline(before), &read(after), &Accounts::default())
}

/// `class id: field before -> after; …` of each difference.
pub(crate) fn told(comparison: &Comparison) -> Vec<String> {
    comparison
        .differences
        .iter()
        .map(|one| {
            let changes: Vec<String> = one
                .changes
                .iter()
                .map(|change| {
                    let side = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
                    format!(
                        "{} {} -> {}",
                        change.field.name(),
                        side(&change.before),
                        side(&change.after)
                    )
                })
                .collect();
            let reach = one
                .reach
                .map_or(String::new(), |reach| format!(" ({})", reach.name()));
            format!(
                "{} {}{reach}: {}",
                one.class.name(),
                one.record.id,
                changes.join("; ")
            )
        })
        .collect()
}

pub(crate) fn snapshot(id: &str) -> Value {
    json!({
        "StorageTier": "standard", "TransferType": "standard", "CompletionTime": "2026-10-01T03:20:41.203000+00:00",
        "FullSnapshotSizeInBytes": 1_234_567, "SnapshotId": id, "VolumeId": "vol-0a0a", "State": "completed",
        "StartTime": "2026-10-01T03:10:41.203000+00:00", "Progress": "100%", "OwnerId": "111122223333",
        "Description": "nightly", "VolumeSize": 8, "Encrypted": true,
        "KmsKeyId": "arn:aws:kms:eu-west-1:111122223333:key/aaaa",
        "Tags": [{"Key": "Name", "Value": "db"}, {"Key": "team", "Value": "data"}],
    })
}

pub(crate) fn image(id: &str) -> Value {
    json!({
        "PlatformDetails": "Linux/UNIX", "UsageOperation": "RunInstances",
        "BlockDeviceMappings": [{"Ebs": {"DeleteOnTermination": true, "SnapshotId": "snap-b", "VolumeSize": 8, "VolumeType": "gp3",
            "Encrypted": false}, "DeviceName": "/dev/xvda"}, {"DeviceName": "/dev/sdb", "VirtualName": "ephemeral0"}],
        "Description": "web", "EnaSupport": true, "Hypervisor": "xen", "Name": format!("web-{id}"), "RootDeviceName": "/dev/xvda",
        "RootDeviceType": "ebs", "SriovNetSupport": "simple", "VirtualizationType": "hvm", "ImdsSupport": "v2.0",
        "SourceInstanceId": "i-0a", "ImageId": id, "ImageLocation": format!("111122223333/web-{id}"), "State": "available",
        "OwnerId": "111122223333", "CreationDate": "2026-09-01T10:00:00.000Z", "Public": false, "Architecture": "x86_64",
        "ImageType": "machine",
    })
}

/// The answer of `describe-snapshots`.
pub(crate) fn snapshots(list: &[Value]) -> String {
    format!("{:#}", json!({"Snapshots": list}))
}

pub(crate) fn images(list: &[Value]) -> String {
    format!("{:#}", json!({"Images": list}))
}

/// An item with some of its values replaced.
pub(crate) fn with(mut item: Value, changes: Value) -> Value {
    for (key, value) in changes.as_object().unwrap() {
        item[key] = value.clone();
    }
    item
}
