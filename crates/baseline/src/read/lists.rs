//! Which list is of what, and what holds for all items of a kind.

use neph_inventory::{Cloud, Scope};
use serde_json::{Map, Value};

use super::{aws, azure, gcp, openstack};
use crate::item::Item;
use crate::record::{Kind, Record};

/// Lists of an answer of AWS, by their names.
pub(super) fn kind_of_list(name: &str) -> Option<Kind> {
    Some(match name {
        "Snapshots" => Kind::AwsEbsSnapshot,
        "Images" => Kind::AwsImage,
        "DBSnapshots" => Kind::AwsRdsSnapshot,
        "DBClusterSnapshots" => Kind::AwsRdsClusterSnapshot,
        "RecoveryPoints" => Kind::AwsRecoveryPoint,
        _ => return None,
    })
}

/// The kind of an item: by its list, or by what it says itself.
pub(super) fn kind_of_item(list: &str, item: Item<'_>) -> Option<Kind> {
    let of_aws = kind_of_list(list).filter(|kind| {
        // Other services call their lists alike.
        let keys: &[&str] = match kind {
            Kind::AwsEbsSnapshot => &["SnapshotId", "VolumeId"],
            Kind::AwsImage => &["ImageId", "BlockDeviceMappings"],
            _ => return true,
        };
        item.any(keys).is_some()
    });
    of_aws
        .or_else(|| gcp::kind(item))
        .or_else(|| azure::kind(item))
        .or_else(|| openstack::kind(item))
}

pub(super) fn record_of(kind: Kind, item: Item<'_>, scope: &Scope) -> Result<Record, &'static str> {
    match kind {
        Kind::AwsEbsSnapshot => aws::ebs_snapshot(item, scope),
        Kind::AwsImage => aws::image(item, scope),
        Kind::AwsRdsSnapshot => aws::rds_snapshot(item, scope),
        Kind::AwsRdsClusterSnapshot => aws::rds_cluster_snapshot(item, scope),
        Kind::AwsRecoveryPoint => aws::recovery_point(item, scope),
        Kind::AzureSnapshot
        | Kind::AzureRestorePoint
        | Kind::AzureImage
        | Kind::AzureGallery
        | Kind::AzureGalleryImage
        | Kind::AzureGalleryVersion => azure::resource(kind, item, scope),
        Kind::GcpSnapshot | Kind::GcpInstantSnapshot | Kind::GcpMachineImage | Kind::GcpImage => {
            gcp::resource(kind, item, scope)
        }
        Kind::OpenstackSnapshot | Kind::OpenstackBackup | Kind::OpenstackImage => {
            openstack::resource(kind, item, scope)
        }
    }
}

/// The fields that a kind may have.
pub(super) fn keys_of(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::AwsEbsSnapshot => aws::EBS_KEYS,
        Kind::AwsImage => aws::IMAGE_KEYS,
        Kind::AwsRdsSnapshot | Kind::AwsRdsClusterSnapshot => aws::RDS_KEYS,
        Kind::AwsRecoveryPoint => aws::RECOVERY_KEYS,
        Kind::AzureSnapshot
        | Kind::AzureRestorePoint
        | Kind::AzureImage
        | Kind::AzureGallery
        | Kind::AzureGalleryImage
        | Kind::AzureGalleryVersion => azure::KEYS,
        Kind::GcpSnapshot | Kind::GcpInstantSnapshot | Kind::GcpMachineImage | Kind::GcpImage => gcp::KEYS,
        Kind::OpenstackSnapshot | Kind::OpenstackBackup | Kind::OpenstackImage => openstack::KEYS,
    }
}

/// The kinds that a call lists, by the words of the call or the name of its file.
pub(super) fn kinds_of_call(call: &str) -> &'static [Kind] {
    const CALLS: &[(&str, &[Kind])] = &[
        ("describe-snapshots", &[Kind::AwsEbsSnapshot]),
        ("describe-images", &[Kind::AwsImage]),
        ("describe-db-snapshots", &[Kind::AwsRdsSnapshot]),
        ("describe-db-cluster-snapshots", &[Kind::AwsRdsClusterSnapshot]),
        ("list-recovery-points-by-backup-vault", &[Kind::AwsRecoveryPoint]),
        ("instant-snapshots-list", &[Kind::GcpInstantSnapshot]),
        ("machine-images-list", &[Kind::GcpMachineImage]),
        ("compute-images-list", &[Kind::GcpImage]),
        ("compute-snapshots-list", &[Kind::GcpSnapshot]),
        ("volume-snapshot-list", &[Kind::OpenstackSnapshot]),
        ("volume-backup-list", &[Kind::OpenstackBackup]),
        ("sig-image-definition-list", &[Kind::AzureGalleryImage]),
        ("sig-image-version-list", &[Kind::AzureGalleryVersion]),
        ("restore-point-collection-show", &[Kind::AzureRestorePoint]),
        ("sig-list", &[Kind::AzureGallery]),
        ("snapshot-list", &[Kind::AzureSnapshot]),
        // `az image list` and `openstack image list` go by the same name; the folder tells them apart.
        ("image-list", &[Kind::AzureImage, Kind::OpenstackImage]),
    ];
    let words = call.replace([' ', '_'], "-");
    let fits = |name: &str| {
        words
            .strip_suffix(name)
            .is_some_and(|before| before.is_empty() || before.ends_with('-'))
    };
    CALLS
        .iter()
        .find(|(name, _)| fits(name))
        .map_or(&[], |(_, kinds)| kinds)
}

/// Services of AWS whose calls and lists go by the same names.
pub(super) fn is_of_another_service(call: &str) -> bool {
    const OTHERS: &[&str] = &[
        "appstream",
        "docdb-elastic",
        "ecr",
        "elasticache",
        "fsx",
        "lightsail",
        "memorydb",
        "redshift",
        "redshift-serverless",
    ];
    let words = call.replace([' ', '_'], "-");
    OTHERS.iter().any(|name| {
        let rest = words.strip_prefix("aws-").unwrap_or(&words).strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with('-'))
    })
}

/// Whether a list is the answer itself, as tools print it or as the interfaces behind them give it.
pub(super) fn is_whole_list(name: &str) -> bool {
    matches!(name, "" | "value" | "items")
}

/// Whether a list is one of those that are looked for.
pub(super) fn is_list(name: &str) -> bool {
    is_whole_list(name) || kind_of_list(name).is_some() || name == "restorePoints"
}

/// An answer of Google Cloud that found nothing has no list, and says so by its kind: `compute#snapshotList`.
pub(super) fn is_empty_list(rest: &Map<String, Value>) -> bool {
    rest.get("kind")
        .and_then(Value::as_str)
        .is_some_and(|kind| kind.starts_with("compute#") && kind.ends_with("List"))
}

/// How a list is asked for.
pub(super) fn hint(kind: Kind) -> &'static str {
    match kind.cloud() {
        Cloud::Openstack => ", so list it with `--long -f json`",
        Cloud::Gcp => ", so list it with `--format=json`",
        _ => "",
    }
}

/// Of kinds that go by one name in several clouds, those of the cloud that a file is of.
pub(super) fn of_cloud(kinds: &'static [Kind], scope: &Scope) -> &'static [Kind] {
    match kinds.iter().position(|kind| scope.cloud == Some(kind.cloud())) {
        Some(at) => kinds.get(at..=at).unwrap_or(kinds),
        None => kinds,
    }
}

/// Whether a call tells with whom something is shared.
pub(super) fn is_about_sharing(call: &str) -> bool {
    let words = call.replace([' ', '_'], "-");
    [
        "describe-snapshot-attribute",
        "describe-image-attribute",
        "describe-db-snapshot-attributes",
        "describe-db-cluster-snapshot-attributes",
        "image-member-list",
    ]
    .iter()
    .any(|name| words.ends_with(name))
}

/// The cloud in which a call names all that is shared, so that what it does not name is not.
pub(super) fn tells_all_sharing(call: &str) -> Option<Cloud> {
    let words = call.replace([' ', '_'], "-");
    if words.ends_with("image-member-list") {
        Some(Cloud::Openstack)
    } else if words.ends_with("asset-search-all-iam-policies") {
        Some(Cloud::Gcp)
    } else {
        None
    }
}

/// What an answer says when there is more.
pub(super) fn is_one_page(rest: &Map<String, Value>) -> bool {
    ["NextToken", "Marker", "nextLink", "nextPageToken"]
        .iter()
        .any(|key| {
            rest.get(*key)
                .and_then(Value::as_str)
                .is_some_and(|text| !text.is_empty())
        })
}

/// Names of subscriptions differ by their case between calls.
pub(super) fn account_of(kind: Kind, account: &str) -> Box<str> {
    match kind.cloud() {
        Cloud::Azure => account.to_lowercase().into(),
        _ => account.into(),
    }
}

/// Whether the lists of a kind are of one gallery, collection or vault.
pub(super) fn is_nested(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::AzureRestorePoint
            | Kind::AzureGalleryImage
            | Kind::AzureGalleryVersion
            | Kind::AwsRecoveryPoint
    )
}

/// Of which gallery, collection or vault a record is.
pub(crate) fn within(record: &Record) -> Option<&str> {
    match record.kind {
        Kind::AwsRecoveryPoint => record.family.as_deref(),
        kind if is_nested(kind) => {
            let (above, _) = record.id.rsplit_once('/')?;
            Some(above.rsplit_once('/')?.0)
        }
        _ => None,
    }
}

/// What clouds and vendors offer to everybody is nobody's own.
pub(super) fn is_offered(record: &Record, item: Item<'_>) -> bool {
    match record.kind {
        Kind::AwsImage => {
            item.text("ImageOwnerAlias").is_some_and(|alias| alias != "self")
                || (record.public == Some(true) && record.owner.is_some())
        }
        // Without `--owner-ids self` everything is listed that anybody offers.
        Kind::AwsEbsSnapshot => {
            record.owner.is_some() || item.text("OwnerAlias").is_some_and(|alias| alias != "self")
        }
        Kind::GcpImage => record.belongs_to().is_some_and(gcp::is_of_google),
        _ => false,
    }
}

/// Brings together what two answers say of the same thing; gives what is wrong where they differ.
pub(super) fn merge(first: &mut Record, second: Record) -> Option<String> {
    if first.region != second.region {
        let regions =
            [&first.region, &second.region].map(|region| region.as_deref().unwrap_or("?").to_owned());
        return Some(format!(
            "`{}` is in lists of two regions, `{}` and `{}`: one of the files is in the wrong place",
            first.id, regions[0], regions[1]
        ));
    }
    // `show` tells more of sharing than the list does.
    let shared = first.shared.take().or_else(|| second.shared.clone());
    let public = first.public.or(second.public);
    let mut other = second;
    other.shared.clone_from(&shared);
    other.public = public;
    first.shared = shared;
    first.public = public;
    (*first != other).then(|| {
        format!(
            "`{}` is told twice, and differently: one of the answers is older; the first is taken",
            first.id
        )
    })
}
