//! Answers of `az snapshot list`, `restore-point collection show --restore-points`, `image list`, `sig list`, `sig image-definition list` and
//! `sig image-version list`, and of the REST interface behind them (<https://learn.microsoft.com/rest/api/compute/>).

use neph_inventory::Scope;
use serde_json::Value;

use crate::item::{Item, behind, path, tags_of_object};
use crate::record::{Kind, Record, State};

/// The kind of a resource, by the types in its id: `/subscriptions/S/resourceGroups/G/providers/Microsoft.Compute/snapshots/NAME`.
pub(super) fn kind(item: Item<'_>) -> Option<Kind> {
    let id = item.text("id")?.to_lowercase();
    let (_, types) = id.split_once("/providers/microsoft.compute/")?;
    let names: Vec<&str> = types.split('/').step_by(2).collect();
    Some(match names.as_slice() {
        ["snapshots"] => Kind::AzureSnapshot,
        ["restorepointcollections", "restorepoints"] => Kind::AzureRestorePoint,
        ["images"] => Kind::AzureImage,
        ["galleries"] => Kind::AzureGallery,
        ["galleries", "images"] => Kind::AzureGalleryImage,
        ["galleries", "images", "versions"] => Kind::AzureGalleryVersion,
        _ => return None,
    })
}

pub(super) const KEYS: &[&str] = &[
    "allowUnsupportedImageVersion",
    "architecture",
    "capacity",
    "completionPercent",
    "consistencyMode",
    "copyCompletionError",
    "creationData",
    "dataAccessAuthMode",
    "description",
    "disallowed",
    "diskAccessId",
    "diskSizeBytes",
    "diskSizeGB",
    "diskSizeGb",
    "diskState",
    "encryption",
    "encryptionSettingsCollection",
    "endOfLifeDate",
    "etag",
    "eula",
    "excludeDisks",
    "extendedLocation",
    "features",
    "hyperVGeneration",
    "id",
    "identifier",
    "identity",
    "incremental",
    "incrementalSnapshotFamilyId",
    "instanceView",
    "location",
    "managedBy",
    "name",
    "networkAccessPolicy",
    "osState",
    "osType",
    "privacyStatementUri",
    "provisioningState",
    "publicNetworkAccess",
    "publishingProfile",
    "purchasePlan",
    "recommended",
    "releaseNoteUri",
    "replicationStatus",
    "resourceGroup",
    "restore",
    "safetyProfile",
    "securityProfile",
    "sharingProfile",
    "sharingStatus",
    "sku",
    "snapshotAccessState",
    "softDeletePolicy",
    "sourceMetadata",
    "sourceRestorePoint",
    "sourceVirtualMachine",
    "storageProfile",
    "supportedCapabilities",
    "supportsHibernation",
    "systemData",
    "tags",
    "timeCreated",
    "type",
    "uniqueId",
    "validationsProfile",
    "zones",
];

pub(super) fn resource(kind: Kind, item: Item<'_>, scope: &Scope) -> Result<Record, &'static str> {
    // Identifiers of Azure differ by their case between calls.
    let id = path(item.text("id").ok_or("id")?);
    let mut record = Record::new(kind, id.clone());
    record.account = behind(&id, "subscriptions").map(Into::into);
    if let (Some(account), None) = (&scope.account, &record.account) {
        record.account = Some(account.to_lowercase().into());
    }
    record.name = item.boxed("name");
    record.region = item
        .text("location")
        .map(|place| place.replace(' ', "").to_lowercase().into());
    record.state = match item.text("provisioningState") {
        Some("Creating" | "Updating" | "Migrating") => State::Pending,
        Some("Failed" | "Deleting") => State::Unusable,
        _ => State::Ready,
    };
    record.created = item.time(&["timeCreated"]);
    record.tags = tags_of_object(item.get("tags"));
    record.content = item.boxed("uniqueId");
    record.size = item.number(&["diskSizeGB", "diskSizeGb"]);
    match kind {
        Kind::AzureSnapshot => snapshot(&mut record, item),
        Kind::AzureRestorePoint => {
            let source = item.object("sourceMetadata").and_then(|data| data.text("vmId"));
            record.source = source.map(path);
            let other = item
                .object("sourceRestorePoint")
                .and_then(|point| point.text("id"));
            record.copy_of = other.map(path);
        }
        Kind::AzureImage => image(&mut record, item),
        Kind::AzureGallery => sharing(&mut record, item),
        Kind::AzureGalleryVersion => version(&mut record, item),
        _ => {
            let names = item.object("identifier");
            let parts = ["publisher", "offer", "sku"].map(|key| names.and_then(|names| names.text(key)));
            let parts: Vec<&str> = parts.into_iter().flatten().collect();
            record.family = (!parts.is_empty()).then(|| parts.join("/").into());
        }
    }
    Ok(record)
}

fn snapshot(record: &mut Record, item: Item<'_>) {
    let made = item.object("creationData");
    let of = made.and_then(|made| made.text("sourceResourceId").or_else(|| made.text("sourceUri")));
    match of.map(path) {
        Some(other) if other.contains("/snapshots/") => record.copy_of = Some(other),
        source => record.source = source,
    }
    if let Some(encryption) = item.object("encryption") {
        record.key = encryption.text("diskEncryptionSetId").map(path);
        record.encrypted = encryption.text("type").map(|kind| kind.contains("CustomerKey"));
    }
    // `ActiveSAS` says that somebody has an address by which the content can be fetched.
    let exported = matches!(item.text("diskState"), Some("ActiveSAS" | "ActiveSASFrozen"));
    let mut access: Vec<&str> = ["networkAccessPolicy", "publicNetworkAccess"]
        .into_iter()
        .filter_map(|key| item.text(key))
        .collect();
    if exported {
        access.push("exported");
    }
    record.access = (!access.is_empty()).then(|| access.join(" ").into());
}

fn image(record: &mut Record, item: Item<'_>) {
    record.source = item
        .object("sourceVirtualMachine")
        .and_then(|machine| machine.text("id"))
        .map(path);
    let profile = item.object("storageProfile");
    let disks = profile.into_iter().flat_map(|profile| {
        let system = profile.object("osDisk");
        let data = profile.list("dataDisks").iter().filter_map(Value::as_object);
        system.into_iter().chain(data.map(Item::new))
    });
    let mut parts = Vec::new();
    let mut size: Option<u64> = None;
    for disk in disks {
        if let Some(more) = disk.number(&["diskSizeGB", "diskSizeGb"]) {
            size = Some(size.unwrap_or(0).saturating_add(more));
        }
        let of = ["managedDisk", "snapshot"]
            .iter()
            .find_map(|key| disk.object(key)?.text("id"))
            .or_else(|| disk.text("blobUri"));
        parts.extend(of.map(path));
    }
    parts.sort_unstable();
    record.size = size;
    record.content = (!parts.is_empty()).then(|| parts.join(" ").into());
}

fn version(record: &mut Record, item: Item<'_>) {
    let source = item
        .object("storageProfile")
        .and_then(|profile| profile.object("source"));
    let of = source.and_then(|source| source.text("id").or_else(|| source.text("virtualMachineId")));
    record.source = of.map(path);
    let published = item.object("publishingProfile");
    record.created = published.and_then(|published| published.time(&["publishedDate"]));
    // A version that was deleted can be made again under its number.
    record.content = record.created.map(|at| at.to_string().into());
}

/// Whom a gallery is shared with: groups of subscriptions and tenants, or everybody.
fn sharing(record: &mut Record, item: Item<'_>) {
    let Some(profile) = item.object("sharingProfile") else {
        // Without a profile nobody else has it.
        record.public = Some(false);
        return;
    };
    record.public = Some(profile.text("permissions") == Some("Community"));
    // `az sig list` does not tell the groups; `az sig show --select Permissions` does.
    if let Some(groups) = profile.get("groups").and_then(Value::as_array) {
        let ids = groups.iter().flat_map(|group| {
            let list = group.get("ids").and_then(Value::as_array);
            list.into_iter().flatten().filter_map(Value::as_str)
        });
        record.shared = Some(ids.map(|id| id.to_lowercase().into()).collect());
    } else if profile.text("permissions") == Some("Private") {
        record.shared = Some(Vec::new());
    }
}
