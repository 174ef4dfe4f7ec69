//! Answers of `aws ec2 describe-snapshots`, `describe-images`, `rds describe-db-snapshots`, `describe-db-cluster-snapshots` and
//! `backup list-recovery-points-by-backup-vault`. Names are those of the service models of botocore.

use neph_inventory::Scope;
use serde_json::Value;

use crate::item::{Item, tags_of_pairs};
use crate::record::{Kind, Record, State};

/// What a snapshot of another region or of an image says in its description.
const COPIED: &str = "[Copied ";

pub(super) const EBS_KEYS: &[&str] = &[
    "AvailabilityZone",
    "CompletionDurationMinutes",
    "CompletionTime",
    "DataEncryptionKeyId",
    "Description",
    "Encrypted",
    "FullSnapshotSizeInBytes",
    "KmsKeyId",
    "OutpostArn",
    "OwnerAlias",
    "OwnerId",
    "Progress",
    "RestoreExpiryTime",
    "SnapshotId",
    "SseType",
    "StartTime",
    "State",
    "StateMessage",
    "StorageTier",
    "Tags",
    "TransferType",
    "VolumeId",
    "VolumeSize",
];

pub(super) fn ebs_snapshot(item: Item<'_>, scope: &Scope) -> Result<Record, &'static str> {
    let mut record = Record::new(Kind::AwsEbsSnapshot, item.text("SnapshotId").ok_or("SnapshotId")?);
    record.state = match item.text("State") {
        Some("pending" | "recovering") => State::Pending,
        Some("error") => State::Unusable,
        _ => State::Ready,
    };
    owned(&mut record, item.text("OwnerId"), scope);
    record.region = scope.region.as_deref().map(Into::into);
    record.created = item.time(&["StartTime"]);
    record.size = item.number(&["VolumeSize"]);
    record.encrypted = item.boolean("Encrypted");
    record.key = item.boxed("KmsKeyId");
    // Copies have a volume that there is not.
    record.source = item.boxed("VolumeId").filter(|id| &**id != "vol-ffffffff");
    record.copy_of = copied(item.text("Description").unwrap_or(""));
    record.tags = tags_of_pairs(item.list("Tags"));
    record.name = name_of_tag(&record.tags);
    Ok(record)
}

pub(super) const IMAGE_KEYS: &[&str] = &[
    "Architecture",
    "BlockDeviceMappings",
    "BootMode",
    "CreationDate",
    "DeprecationTime",
    "DeregistrationProtection",
    "Description",
    "EnaSupport",
    "FreeTierEligible",
    "Hypervisor",
    "ImageAllowed",
    "ImageId",
    "ImageLocation",
    "ImageOwnerAlias",
    "ImageType",
    "ImdsSupport",
    "KernelId",
    "LastLaunchedTime",
    "Name",
    "OwnerId",
    "Platform",
    "PlatformDetails",
    "ProductCodes",
    "Public",
    "RamdiskId",
    "RootDeviceName",
    "RootDeviceType",
    "SourceImageId",
    "SourceImageRegion",
    "SourceInstanceId",
    "SriovNetSupport",
    "State",
    "StateReason",
    "Tags",
    "TpmSupport",
    "UsageOperation",
    "VirtualizationType",
];

pub(super) fn image(item: Item<'_>, scope: &Scope) -> Result<Record, &'static str> {
    let mut record = Record::new(Kind::AwsImage, item.text("ImageId").ok_or("ImageId")?);
    record.state = match item.text("State") {
        Some("pending" | "transient") => State::Pending,
        Some("available") | None => State::Ready,
        Some(_) => State::Unusable,
    };
    owned(&mut record, item.text("OwnerId"), scope);
    record.region = scope.region.as_deref().map(Into::into);
    record.name = item.boxed("Name");
    record.created = item.time(&["CreationDate"]);
    record.public = item.boolean("Public");
    record.source = item.boxed("SourceInstanceId");
    record.copy_of = item
        .boxed("SourceImageId")
        .or_else(|| copied(item.text("Description").unwrap_or("")));
    record.tags = tags_of_pairs(item.list("Tags"));
    let volumes: Vec<Item<'_>> = item
        .list("BlockDeviceMappings")
        .iter()
        .filter_map(|mapping| mapping.get("Ebs")?.as_object().map(Item::new))
        .collect();
    let mut snapshots: Vec<&str> = volumes.iter().filter_map(|ebs| ebs.text("SnapshotId")).collect();
    snapshots.sort_unstable();
    record.content = (!snapshots.is_empty()).then(|| snapshots.join(" ").into());
    let sizes: Vec<u64> = volumes
        .iter()
        .filter_map(|ebs| ebs.number(&["VolumeSize"]))
        .collect();
    record.size = (!sizes.is_empty()).then(|| sizes.iter().copied().fold(0, u64::saturating_add));
    let encrypted: Vec<bool> = volumes
        .iter()
        .filter_map(|ebs| ebs.boolean("Encrypted"))
        .collect();
    record.encrypted = (!encrypted.is_empty()).then(|| encrypted.iter().all(|one| *one));
    Ok(record)
}

pub(super) const RDS_KEYS: &[&str] = &[
    "AdditionalStorageVolumes",
    "AllocatedStorage",
    "AvailabilityZone",
    "AvailabilityZones",
    "BackupRetentionPeriod",
    "ClusterCreateTime",
    "DBClusterIdentifier",
    "DBClusterSnapshotArn",
    "DBClusterSnapshotIdentifier",
    "DBInstanceIdentifier",
    "DBSnapshotArn",
    "DBSnapshotIdentifier",
    "DBSystemId",
    "DbClusterResourceId",
    "DbiResourceId",
    "DedicatedLogVolume",
    "Encrypted",
    "Engine",
    "EngineMode",
    "EngineVersion",
    "IAMDatabaseAuthenticationEnabled",
    "InstanceCreateTime",
    "Iops",
    "KmsKeyId",
    "LicenseModel",
    "MasterUsername",
    "MultiTenant",
    "OptionGroupName",
    "OriginalSnapshotCreateTime",
    "PercentProgress",
    "Port",
    "PreferredBackupWindow",
    "ProcessorFeatures",
    "SnapshotAvailabilityZone",
    "SnapshotCreateTime",
    "SnapshotDatabaseTime",
    "SnapshotTarget",
    "SnapshotType",
    "SourceDBClusterSnapshotArn",
    "SourceDBSnapshotIdentifier",
    "SourceRegion",
    "Status",
    "StorageEncrypted",
    "StorageEncryptionType",
    "StorageThroughput",
    "StorageType",
    "TagList",
    "TdeCredentialArn",
    "Timezone",
    "VpcId",
];

pub(super) fn rds_snapshot(item: Item<'_>, scope: &Scope) -> Result<Record, &'static str> {
    let mut record = Record::new(
        Kind::AwsRdsSnapshot,
        item.text("DBSnapshotArn").ok_or("DBSnapshotArn")?,
    );
    record.name = item.boxed("DBSnapshotIdentifier");
    record.encrypted = item.boolean("Encrypted");
    record.source = item
        .boxed("DbiResourceId")
        .or_else(|| item.boxed("DBInstanceIdentifier"));
    record.copy_of = item.boxed("SourceDBSnapshotIdentifier");
    database(record, item, scope)
}

pub(super) fn rds_cluster_snapshot(item: Item<'_>, scope: &Scope) -> Result<Record, &'static str> {
    let arn = item.text("DBClusterSnapshotArn").ok_or("DBClusterSnapshotArn")?;
    let mut record = Record::new(Kind::AwsRdsClusterSnapshot, arn);
    record.name = item.boxed("DBClusterSnapshotIdentifier");
    record.encrypted = item.boolean("StorageEncrypted");
    record.source = item
        .boxed("DbClusterResourceId")
        .or_else(|| item.boxed("DBClusterIdentifier"));
    record.copy_of = item.boxed("SourceDBClusterSnapshotArn");
    database(record, item, scope)
}

fn database(mut record: Record, item: Item<'_>, scope: &Scope) -> Result<Record, &'static str> {
    record.state = match item.text("Status") {
        Some("creating" | "copying" | "modifying") => State::Pending,
        Some("failed" | "deleting") => State::Unusable,
        _ => State::Ready,
    };
    of_arn(&mut record, scope);
    record.created = item.time(&["SnapshotCreateTime"]);
    // A name can be given again, and then it is another snapshot.
    record.content = record.created.map(|at| at.to_string().into());
    record.size = item.number(&["AllocatedStorage"]);
    record.key = item.boxed("KmsKeyId");
    record.tags = tags_of_pairs(item.list("TagList"));
    Ok(record)
}

pub(super) const RECOVERY_KEYS: &[&str] = &[
    "AggregatedScanResult",
    "BackupSizeInBytes",
    "BackupVaultArn",
    "BackupVaultName",
    "CalculatedLifecycle",
    "CompletionDate",
    "CompositeMemberIdentifier",
    "CreatedBy",
    "CreationDate",
    "EncryptionKeyArn",
    "EncryptionKeyType",
    "IamRoleArn",
    "IndexStatus",
    "IndexStatusMessage",
    "InitiationDate",
    "IsEncrypted",
    "IsParent",
    "LastRestoreTime",
    "Lifecycle",
    "ParentRecoveryPointArn",
    "RecoveryPointArn",
    "ResourceArn",
    "ResourceName",
    "ResourceType",
    "SourceBackupVaultArn",
    "Status",
    "StatusMessage",
    "VaultType",
];

pub(super) fn recovery_point(item: Item<'_>, scope: &Scope) -> Result<Record, &'static str> {
    let arn = item.text("RecoveryPointArn").ok_or("RecoveryPointArn")?;
    let mut record = Record::new(Kind::AwsRecoveryPoint, arn);
    record.state = match item.text("Status") {
        Some("CREATING") => State::Pending,
        Some("DELETING" | "EXPIRED" | "STOPPED") => State::Unusable,
        _ => State::Ready,
    };
    of_arn(&mut record, scope);
    // The ARN of a recovery point is that of the snapshot that it is, which names the account only for some kinds.
    record.account = record
        .account
        .or_else(|| scope.account.as_deref().map(Into::into));
    record.name = item.boxed("ResourceName");
    record.family = item.boxed("BackupVaultName");
    record.created = item.time(&["CreationDate"]);
    record.size = item.number(&["BackupSizeInBytes"]);
    record.encrypted = item.boolean("IsEncrypted");
    record.key = item.boxed("EncryptionKeyArn");
    record.source = item.boxed("ResourceArn");
    record.copy_of = item.boxed("SourceBackupVaultArn");
    Ok(record)
}

/// Account and region of `arn:aws:rds:REGION:ACCOUNT:…`; those of the file, where it has none.
fn of_arn(record: &mut Record, scope: &Scope) {
    let parts: Vec<&str> = record.id.splitn(6, ':').collect();
    let part = |at: usize| parts.get(at).copied().filter(|part| !part.is_empty());
    let region = part(3).or(scope.region.as_deref()).map(Into::into);
    let owner: Option<Box<str>> = part(4).map(Into::into);
    record.region = region;
    owned(record, owner.as_deref(), scope);
}

/// The account of the file is the one that it was listed in, and who owns it may be another.
fn owned(record: &mut Record, owner: Option<&str>, scope: &Scope) {
    record.account = scope.account.as_deref().or(owner).map(Into::into);
    record.owner = owner
        .filter(|owner| record.account.as_deref() != Some(*owner))
        .map(Into::into);
}

/// `[Copied snap-0123 from us-east-1] …`, and what copying an image writes: `Copied for DestinationAmi ami-… from SourceAmi ami-… for
/// SourceSnapshot snap-….`
fn copied(description: &str) -> Option<Box<str>> {
    let behind = match description.strip_prefix(COPIED) {
        Some(behind) => behind,
        None => {
            let rest = description.strip_prefix("Copied for DestinationAmi ")?;
            rest.split_once(" for SourceSnapshot ")?.1
        }
    };
    let mut parts = behind.split(|character: char| !character.is_ascii_alphanumeric() && character != '-');
    parts.next().filter(|id| !id.is_empty()).map(Into::into)
}

fn name_of_tag(tags: &[(Box<str>, Box<str>)]) -> Option<Box<str>> {
    let found = tags
        .iter()
        .find(|(key, value)| &**key == "Name" && !value.is_empty());
    found.map(|(_, value)| value.clone())
}

/// The region that a file's place tells is not the one that the item tells.
pub(super) fn contradicts(record: &Record, scope: &Scope) -> bool {
    record.kind.cloud() == neph_inventory::Cloud::Aws
        && matches!((&record.region, &scope.region), (Some(own), Some(told)) if **own != **told && told != "global")
}

/// A list of `CreateVolumePermissions` or `LaunchPermissions`: whether everybody, and who.
pub(super) fn permission(value: &Value) -> Option<Option<Box<str>>> {
    let item = Item::new(value.as_object()?);
    if item.text("Group") == Some("all") {
        return Some(None);
    }
    ["UserId", "OrganizationArn", "OrganizationalUnitArn"]
        .iter()
        .find_map(|key| item.boxed(key))
        .map(Some)
}
