//! Answers of `gcloud compute snapshots|instant-snapshots|machine-images|images list --format=json`, and of the REST interface
//! (<https://cloud.google.com/compute/docs/reference/rest/v1/snapshots>).

use neph_inventory::Scope;
use serde_json::Value;

use crate::item::{Item, behind, path, tags_of_object};
use crate::record::{Kind, Record, State};

pub(super) fn kind(item: Item<'_>) -> Option<Kind> {
    Some(match item.text("kind")? {
        "compute#snapshot" => Kind::GcpSnapshot,
        "compute#instantSnapshot" => Kind::GcpInstantSnapshot,
        "compute#machineImage" => Kind::GcpMachineImage,
        "compute#image" => Kind::GcpImage,
        _ => return None,
    })
}

pub(super) const KEYS: &[&str] = &[
    "architecture",
    "archiveSizeBytes",
    "autoCreated",
    "chainName",
    "creationSizeBytes",
    "creationTimestamp",
    "deprecated",
    "description",
    "diskSizeGb",
    "downloadBytes",
    "enableConfidentialCompute",
    "family",
    "guestFlush",
    "guestOsFeatures",
    "id",
    "imageEncryptionKey",
    "instanceProperties",
    "kind",
    "labelFingerprint",
    "labels",
    "licenseCodes",
    "licenses",
    "locationHint",
    "machineImageEncryptionKey",
    "name",
    "rawDisk",
    "region",
    "resourceStatus",
    "satisfiesPzi",
    "satisfiesPzs",
    "savedDisks",
    "selfLink",
    "selfLinkWithId",
    "shieldedInstanceInitialState",
    "snapshotEncryptionKey",
    "snapshotType",
    "sourceDisk",
    "sourceDiskEncryptionKey",
    "sourceDiskEncryptionKeys",
    "sourceDiskForRecoveryCheckpoint",
    "sourceDiskId",
    "sourceImage",
    "sourceImageEncryptionKey",
    "sourceImageId",
    "sourceInstance",
    "sourceInstanceProperties",
    "sourceInstantSnapshot",
    "sourceInstantSnapshotEncryptionKey",
    "sourceInstantSnapshotId",
    "sourceSnapshot",
    "sourceSnapshotEncryptionKey",
    "sourceSnapshotId",
    "sourceSnapshotSchedulePolicy",
    "sourceSnapshotSchedulePolicyId",
    "sourceType",
    "status",
    "storageBytes",
    "storageBytesStatus",
    "storageLocations",
    "totalStorageBytes",
    "zone",
];

pub(super) fn resource(kind: Kind, item: Item<'_>, scope: &Scope) -> Result<Record, &'static str> {
    let id = path(item.text("selfLink").ok_or("selfLink")?);
    let mut record = Record::new(kind, id.clone());
    let project = behind(&id, "projects");
    record.account = scope.account.as_deref().or(project).map(Into::into);
    record.owner = project
        .filter(|project| record.account.as_deref() != Some(*project))
        .map(Into::into);
    record.name = item.boxed("name");
    record.region = ["zones", "regions"]
        .iter()
        .find_map(|word| behind(&id, word))
        .map(Into::into);
    record.state = match item.text("status") {
        Some("CREATING" | "UPLOADING" | "PENDING") => State::Pending,
        Some("FAILED" | "DELETING" | "INVALID" | "UNAVAILABLE") => State::Unusable,
        _ => State::Ready,
    };
    record.created = item.time(&["creationTimestamp"]);
    record.size = item.number(&["diskSizeGb"]);
    record.tags = tags_of_object(item.get("labels"));
    record.family = item.boxed("family");
    // The number is given once; a name can be given again.
    record.content = match item.get("id") {
        Some(Value::String(text)) => Some(text.as_str().into()),
        Some(Value::Number(number)) => Some(number.to_string().into()),
        _ => None,
    };
    let keys = [
        "snapshotEncryptionKey",
        "imageEncryptionKey",
        "machineImageEncryptionKey",
    ];
    let key = keys.iter().find_map(|key| item.object(key));
    record.encrypted = Some(key.is_some());
    record.key = key.and_then(|key| {
        // A version at the end changes as the key is rotated.
        let name = key.text("kmsKeyName")?;
        Some(path(name.split("/cryptoKeyVersions/").next().unwrap_or(name)))
    });
    record.source = ["sourceDisk", "sourceInstance"]
        .iter()
        .find_map(|key| item.text(key))
        .map(path);
    record.copy_of = ["sourceInstantSnapshot", "sourceSnapshot", "sourceImage"]
        .iter()
        .find_map(|key| item.text(key))
        .map(path);
    Ok(record)
}

/// Projects that hold images for everybody, which `gcloud compute images list` shows with one's own.
pub(super) fn is_of_google(project: &str) -> bool {
    const OTHERS: &[&str] = &[
        "cos-cloud",
        "deeplearning-platform-release",
        "ml-images",
        "ubuntu-os-accelerator-images",
    ];
    OTHERS.contains(&project)
        || [
            "centos",
            "debian",
            "fedora-coreos",
            "opensuse",
            "oracle-linux",
            "rhel",
            "rhel-sap",
            "rocky-linux",
            "suse",
            "suse-sap",
            "ubuntu-os",
            "ubuntu-os-pro",
            "windows",
            "windows-sql",
            "freebsd-org",
            "almalinux",
            "rocky-linux-accelerator",
            "backports-debian",
        ]
        .iter()
        .any(|name| {
            project
                .strip_suffix("-cloud")
                .or(project.strip_suffix("-cloud-dev"))
                == Some(name)
        })
}
