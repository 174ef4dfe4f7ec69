//! Snapshots and machine images of AWS: with whom they are shared, and whether they are encrypted.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::audit::at::{is_true, last, list, text, texts, told, word};
use crate::audit::check::{Check, Platform, Severity};
use crate::audit::collected::{Collected, Item};
use crate::audit::finding::Found;

const fn check(
    id: &'static str,
    title: &'static str,
    severity: Severity,
    needs: &'static [&'static str],
    reads: &'static [&'static str],
    why: &'static str,
    ask: fn(&Collected, &mut Found),
) -> Check {
    Check {
        id,
        title,
        row: "C6",
        techniques: &["T1537", "T1578.001"],
        mitigations: &["M1018", "M1047"],
        severity,
        platform: Platform::Aws,
        needs,
        reads,
        why,
        ask,
    }
}

pub(crate) static SNAPSHOT_PUBLIC: Check = check(
    "aws-snapshot-public",
    "no snapshot of a disk or database is public",
    Severity::Critical,
    &["aws:snapshot-attribute"],
    &["aws:db-snapshot-attribute", "aws:db-cluster-snapshot-attribute"],
    "A public snapshot is a copy of the disk for everybody; collectors look for new ones all the time.",
    |all, found| sharing(all, found, Ask::SnapshotPublic),
);

pub(crate) static SNAPSHOT_SHARED: Check = check(
    "aws-snapshot-shared",
    "snapshots are shared with accounts of the organisation only",
    Severity::Medium,
    &["aws:snapshot-attribute"],
    &[
        "aws:db-snapshot-attribute",
        "aws:db-cluster-snapshot-attribute",
        "aws:organization-account",
    ],
    "Sharing a snapshot with an account of one's own is how a disk is carried away without a download.",
    |all, found| sharing(all, found, Ask::SnapshotShared),
);

pub(crate) static SNAPSHOT_BLOCK: Check = check(
    "aws-snapshot-block-public-access",
    "the region does not let snapshots become public",
    Severity::Medium,
    &["aws:snapshot-block"],
    &[],
    "The block holds whatever a single permission allows, and undoes public sharing that is there already.",
    |all, found| {
        for item in all.items("aws:snapshot-block") {
            let state = text(&item.value, "/State");
            let (holds, what) = match state {
                "block-all-sharing" => (true, "snapshots cannot be public"),
                "block-new-sharing" => (false, "snapshots that are public already stay so"),
                _ => (false, "snapshots can be made public"),
            };
            let finding = found
                .judge(holds, item, "snapshots of the region", what)
                .seen(item, "State", state);
            if !holds {
                finding.mend(format!(
                    "aws ec2 enable-snapshot-block-public-access{} --state block-all-sharing",
                    region(item)
                ));
            }
            if state == "block-new-sharing" {
                finding.at(Severity::Low);
            }
        }
    },
);

pub(crate) static IMAGE_BLOCK: Check = Check {
    row: "D5",
    techniques: &["T1525", "T1537"],
    mitigations: &["M1018", "M1026"],
    ..check(
        "aws-image-block-public-access",
        "the region does not let machine images become public",
        Severity::Medium,
        &["aws:image-block"],
        &[],
        "The block holds whatever a single permission allows.",
        |all, found| {
            for item in all.items("aws:image-block") {
                let state = text(&item.value, "/ImageBlockPublicAccessState");
                let holds = state == "block-new-sharing";
                let what = match holds {
                    true => "images cannot be made public",
                    false => "images can be made public",
                };
                let finding = found.judge(holds, item, "images of the region", what).seen(
                    item,
                    "ImageBlockPublicAccessState",
                    state,
                );
                if !holds {
                    finding.mend(format!(
                        "aws ec2 enable-image-block-public-access{} --image-block-public-access-state block-new-sharing",
                        region(item)
                    ));
                }
            }
        },
    )
};

pub(crate) static IMAGE_PUBLIC: Check = Check {
    row: "D5",
    techniques: &["T1525", "T1537"],
    mitigations: &["M1018", "M1026"],
    ..check(
        "aws-image-public",
        "no machine image of the account is public",
        Severity::High,
        &["aws:image"],
        &["aws:image-attribute"],
        "A public image gives everybody what was baked into it: software, keys, settings.",
        image_public,
    )
};

pub(crate) static IMAGE_SHARED: Check = Check {
    row: "D5",
    techniques: &["T1525", "T1537"],
    mitigations: &["M1018", "M1026"],
    ..check(
        "aws-image-shared",
        "machine images are shared with accounts of the organisation only",
        Severity::Medium,
        &["aws:image-attribute"],
        &["aws:organization-account"],
        "Who may launch an image may copy what its disks hold.",
        |all, found| sharing(all, found, Ask::ImageShared),
    )
};

pub(crate) static SNAPSHOT_ENCRYPTED: Check = check(
    "aws-snapshot-encrypted",
    "snapshots of disks and databases are encrypted",
    Severity::Medium,
    &["aws:snapshot"],
    &["aws:db-snapshot", "aws:db-cluster-snapshot"],
    "An encrypted snapshot is worth nothing to another account without the key; a snapshot that is not is readable by whomever it is shared with.",
    encrypted,
);

pub(crate) static VOLUME_ENCRYPTION: Check = check(
    "aws-ebs-encryption-default",
    "new disks and their snapshots are encrypted by default",
    Severity::Medium,
    &["aws:ebs-encryption-default"],
    &[],
    "What is encrypted from its beginning needs no rule for each disk.",
    |all, found| {
        for item in all.items("aws:ebs-encryption-default") {
            let holds = is_true(&item.value, "/EbsEncryptionByDefault");
            let what = match holds {
                true => "new disks are encrypted",
                false => "new disks are encrypted only where somebody asks for it",
            };
            let finding = found.judge(holds, item, "disks of the region", what).seen(
                item,
                "EbsEncryptionByDefault",
                told(&item.value, "/EbsEncryptionByDefault"),
            );
            if !holds {
                finding.mend(format!(
                    "aws ec2 enable-ebs-encryption-by-default{}",
                    region(item)
                ));
            }
        }
    },
);

fn region(item: &Item) -> String {
    match item.scope.region.as_str() {
        "" | "global" => String::new(),
        region => format!(" --region {}", word(region)),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    SnapshotPublic,
    SnapshotShared,
    ImageShared,
}

/// A resource and those whom it is shared with.
struct Shared<'a> {
    item: &'a Item,
    resource: String,
    /// `all`, accounts, organisations.
    with: Vec<&'a str>,
    field: &'static str,
    /// The command that takes one of them away.
    undo: Box<dyn Fn(&str) -> String + 'a>,
}

fn permissions<'a>(value: &'a Value, pointer: &str) -> Vec<&'a str> {
    list(value, pointer)
        .iter()
        .filter_map(|permission| {
            ["Group", "UserId", "OrganizationArn", "OrganizationalUnitArn"]
                .iter()
                .find_map(|key| permission.get(*key)?.as_str())
        })
        .collect()
}

fn shares<'a>(all: &'a Collected, ask: Ask) -> Vec<Shared<'a>> {
    let mut found = Vec::new();
    if ask == Ask::ImageShared {
        for item in all.items("aws:image-attribute") {
            let id = text(&item.value, "/ImageId");
            found.push(Shared {
                item,
                resource: id.to_owned(),
                with: permissions(&item.value, "/LaunchPermissions"),
                field: "LaunchPermissions",
                undo: Box::new(move |who| {
                    let key = if who.starts_with("arn:") { "OrganizationArn" } else { "UserId" };
                    format!(
                        "aws ec2 modify-image-attribute{} --image-id {} --launch-permission 'Remove=[{{{key}={who}}}]'",
                        region(item),
                        word(id)
                    )
                }),
            });
        }
        return found;
    }
    for item in all.items("aws:snapshot-attribute") {
        let id = text(&item.value, "/SnapshotId");
        found.push(Shared {
            item,
            resource: id.to_owned(),
            with: permissions(&item.value, "/CreateVolumePermissions"),
            field: "CreateVolumePermissions",
            undo: Box::new(move |who| {
                let whom = match who {
                    "all" => "--group-names all".to_owned(),
                    account => format!("--user-ids {}", word(account)),
                };
                format!(
                    "aws ec2 modify-snapshot-attribute{} --snapshot-id {} --attribute createVolumePermission --operation-type remove {whom}",
                    region(item),
                    word(id)
                )
            }),
        });
    }
    for (kind, outer, id, inner, field, command) in [
        (
            "aws:db-snapshot-attribute",
            "/DBSnapshotAttributesResult",
            "/DBSnapshotIdentifier",
            "/DBSnapshotAttributes",
            "DBSnapshotAttributes.restore",
            "modify-db-snapshot-attribute{} --db-snapshot-identifier",
        ),
        (
            "aws:db-cluster-snapshot-attribute",
            "/DBClusterSnapshotAttributesResult",
            "/DBClusterSnapshotIdentifier",
            "/DBClusterSnapshotAttributes",
            "DBClusterSnapshotAttributes.restore",
            "modify-db-cluster-snapshot-attribute{} --db-cluster-snapshot-identifier",
        ),
    ] {
        for item in all.items(kind) {
            let result = item.value.pointer(outer).unwrap_or(&Value::Null);
            let name = text(result, id);
            let with = list(result, inner)
                .iter()
                .filter(|attribute| text(attribute, "/AttributeName") == "restore")
                .flat_map(|attribute| texts(attribute, "/AttributeValues"))
                .collect();
            let command = command.replace("{}", &region(item));
            found.push(Shared {
                item,
                resource: format!("database snapshot {name}"),
                with,
                field,
                undo: Box::new(move |who| {
                    format!(
                        "aws rds {command} {} --attribute-name restore --values-to-remove {}",
                        word(name),
                        word(who)
                    )
                }),
            });
        }
    }
    found
}

/// Accounts that are one's own: those that were collected, and those of the organisation.
fn own_accounts(all: &Collected) -> (BTreeSet<&str>, bool) {
    let mut own: BTreeSet<&str> = all
        .scopes(Platform::Aws)
        .into_iter()
        .map(|scope| scope.account.as_str())
        .collect();
    let members = all.items("aws:organization-account");
    own.extend(members.iter().map(|item| text(&item.value, "/Id")));
    own.remove("");
    (own, !members.is_empty())
}

fn sharing(all: &Collected, found: &mut Found, ask: Ask) {
    let (own, is_whole) = own_accounts(all);
    for share in shares(all, ask) {
        let is_public = share.with.contains(&"all");
        if ask == Ask::SnapshotPublic {
            let what = match is_public {
                true => "everybody can make a disk of it",
                false => "it is not public",
            };
            let finding = found
                .judge(!is_public, share.item, share.resource.as_str(), what)
                .seen(share.item, share.field, share.with.join(", "));
            if is_public {
                finding.mend((share.undo)("all"));
            }
            continue;
        }
        let others: Vec<&str> = share
            .with
            .iter()
            .copied()
            // Organisations are told as what they are: which accounts are in them, others decide.
            .filter(|with| *with != "all" && !own.contains(with))
            .collect();
        let (organizations, strangers): (Vec<&str>, Vec<&str>) =
            others.into_iter().partition(|with| with.starts_with("arn:"));
        if !strangers.is_empty() && is_whole {
            let what = format!(
                "it is shared with {}, which the organisation does not have",
                strangers.join(", ")
            );
            let finding = found.fail(share.item, share.resource.as_str(), what);
            finding.seen(share.item, share.field, share.with.join(", "));
            for who in &strangers {
                finding.mend((share.undo)(who));
            }
        } else if !strangers.is_empty() {
            let what = format!(
                "it is shared with {}; whether these are one's own is not known: not collected: `aws organizations list-accounts`",
                strangers.join(", ")
            );
            found.unknown(share.item, share.resource.as_str(), what).seen(
                share.item,
                share.field,
                share.with.join(", "),
            );
        } else {
            let what = match (share.with.is_empty(), organizations.is_empty(), is_public) {
                (_, _, true) => "it is public, which is told by itself".to_owned(),
                (true, ..) => "it is not shared".to_owned(),
                (_, false, _) => format!(
                    "it is shared with {}",
                    organizations
                        .iter()
                        .map(|arn| last(arn))
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
                _ => "it is shared with own accounts only".to_owned(),
            };
            found.pass(share.item, share.resource.as_str(), what).seen(
                share.item,
                share.field,
                share.with.join(", "),
            );
        }
    }
}

fn image_public(all: &Collected, found: &mut Found) {
    for item in all.items("aws:image") {
        let id = text(&item.value, "/ImageId");
        let owner = text(&item.value, "/OwnerId");
        // Images of others, which were described too, are theirs to share.
        if !owner.is_empty() && !item.scope.account.is_empty() && owner != item.scope.account
            || !text(&item.value, "/ImageOwnerAlias").is_empty()
                && text(&item.value, "/ImageOwnerAlias") != "self"
        {
            continue;
        }
        let is_public = is_true(&item.value, "/Public");
        let what = match is_public {
            true => "everybody can launch and copy it",
            false => "it is not public",
        };
        let finding =
            found
                .judge(!is_public, item, id, what)
                .seen(item, "Public", told(&item.value, "/Public"));
        if is_public {
            finding.mend(format!(
                "aws ec2 modify-image-attribute{} --image-id {} --launch-permission 'Remove=[{{Group=all}}]'",
                region(item),
                word(id)
            ));
        }
    }
}

fn encrypted(all: &Collected, found: &mut Found) {
    for (kind, id, field) in [
        ("aws:snapshot", "/SnapshotId", "Encrypted"),
        ("aws:db-snapshot", "/DBSnapshotIdentifier", "Encrypted"),
        (
            "aws:db-cluster-snapshot",
            "/DBClusterSnapshotIdentifier",
            "StorageEncrypted",
        ),
    ] {
        for item in all.items(kind) {
            let id = text(&item.value, id);
            let resource = match kind {
                "aws:snapshot" => id.to_owned(),
                _ => format!("database snapshot {id}"),
            };
            let pointer = format!("/{field}");
            let Some(holds) = crate::audit::at::truth(&item.value, &pointer) else {
                found.unknown(item, resource, "the answer does not tell whether it is encrypted");
                continue;
            };
            let what = if holds {
                "it is encrypted"
            } else {
                "it is not encrypted"
            };
            let finding = found.judge(holds, item, resource, what).seen(item, field, holds);
            if holds {
                continue;
            }
            finding.mend("# a copy can be encrypted; the original is then deleted");
            finding.mend(match kind {
                "aws:snapshot" => {
                    let from = match item.scope.region.as_str() {
                        "" | "global" => "REGION",
                        region => region,
                    };
                    format!("aws ec2 copy-snapshot{} --source-region {from} --source-snapshot-id {} --encrypted", region(item), word(id))
                }
                "aws:db-snapshot" => format!(
                    "aws rds copy-db-snapshot{} --source-db-snapshot-identifier {} --target-db-snapshot-identifier {} --kms-key-id KEY",
                    region(item),
                    word(id),
                    word(&format!("{}-encrypted", id.rsplit(':').next().unwrap_or(id)))
                ),
                _ => "# snapshots of clusters take the encryption of the cluster: restore it with --kms-key-id KEY".to_owned(),
            });
        }
    }
}
