//! Which calls are made, and which follow from their answers.

use serde_json::Value;

/// A call that is made once in an account or region.
pub(super) struct First {
    pub(super) call: &'static str,
    /// The name of its file, where it differs from the call's.
    pub(super) file: Option<&'static str>,
    pub(super) parameters: &'static [(&'static str, &'static str)],
    /// Items on a page; zero: as many as the service gives by itself.
    pub(super) page: u32,
    pub(super) then: &'static [Each],
}

/// A call for each item of a list.
pub(super) struct Each {
    pub(super) call: &'static str,
    /// The list.
    pub(super) list: &'static str,
    /// Parameters, and the fields of an item that they take; an empty field is the item itself.
    pub(super) from: &'static [(&'static str, &'static str)],
    pub(super) parameters: &'static [(&'static str, &'static str)],
    /// The field that names the file.
    pub(super) item: &'static str,
    /// Only items of which a field has this value.
    pub(super) only: Option<(&'static str, &'static str)>,
    pub(super) page: u32,
}

const fn first(call: &'static str, page: u32) -> First {
    First {
        call,
        file: None,
        parameters: &[],
        page,
        then: &[],
    }
}

const fn each(
    call: &'static str,
    list: &'static str,
    from: &'static [(&'static str, &'static str)],
    item: &'static str,
) -> Each {
    Each {
        call,
        list,
        from,
        parameters: &[],
        item,
        only: None,
        page: 0,
    }
}

/// The text of a field of an item.
pub(super) fn field<'v>(item: &'v Value, name: &str) -> Option<&'v str> {
    match name {
        "" => item.as_str(),
        name => item.get(name)?.as_str(),
    }
}

const WEB_ACLS: &[(&str, &str)] = &[("Name", "Name"), ("Id", "Id")];

/// Calls of an account.
pub(super) const GLOBAL: &[First] = &[
    first("iam get-account-authorization-details", 200),
    first("organizations describe-organization", 0),
    First {
        file: Some("organizations-list-policies-service-control"),
        parameters: &[("Filter", "SERVICE_CONTROL_POLICY")],
        ..first("organizations list-policies", 20)
    },
    First {
        file: Some("organizations-list-policies-resource-control"),
        parameters: &[("Filter", "RESOURCE_CONTROL_POLICY")],
        ..first("organizations list-policies", 20)
    },
    First {
        file: Some("wafv2-list-web-acls-cloudfront"),
        parameters: &[("Scope", "CLOUDFRONT")],
        then: &[Each {
            parameters: &[("Scope", "CLOUDFRONT")],
            ..each("wafv2 get-web-acl", "WebACLs", WEB_ACLS, "Id")
        }],
        ..first("wafv2 list-web-acls", 100)
    },
];

/// Calls of a region.
pub(super) const REGIONAL: &[First] = &[
    First {
        parameters: &[("Owner.1", "self")],
        then: &[Each {
            parameters: &[("Attribute", "createVolumePermission")],
            ..each(
                "ec2 describe-snapshot-attribute",
                "Snapshots",
                &[("SnapshotId", "SnapshotId")],
                "SnapshotId",
            )
        }],
        ..first("ec2 describe-snapshots", 1_000)
    },
    First {
        parameters: &[("Owner.1", "self")],
        then: &[Each {
            parameters: &[("Attribute", "launchPermission")],
            ..each(
                "ec2 describe-image-attribute",
                "Images",
                &[("ImageId", "ImageId")],
                "ImageId",
            )
        }],
        ..first("ec2 describe-images", 1_000)
    },
    first("ec2 describe-volumes", 500),
    first("ec2 describe-instances", 1_000),
    first("ec2 describe-launch-templates", 200),
    First {
        parameters: &[
            ("LaunchTemplateVersion.1", "$Latest"),
            ("LaunchTemplateVersion.2", "$Default"),
        ],
        ..first("ec2 describe-launch-template-versions", 200)
    },
    first("ec2 describe-security-groups", 1_000),
    first("ec2 describe-iam-instance-profile-associations", 1_000),
    first("ec2 get-ebs-encryption-by-default", 0),
    first("ec2 get-snapshot-block-public-access-state", 0),
    first("ec2 get-image-block-public-access-state", 0),
    first("ec2 get-instance-metadata-defaults", 0),
    first("autoscaling describe-auto-scaling-groups", 100),
    first("autoscaling describe-launch-configurations", 100),
    first("rds describe-db-instances", 100),
    first("rds describe-db-clusters", 100),
    First {
        then: &[Each {
            only: Some(("SnapshotType", "manual")),
            ..each(
                "rds describe-db-snapshot-attributes",
                "DBSnapshots",
                &[("DBSnapshotIdentifier", "DBSnapshotIdentifier")],
                "DBSnapshotIdentifier",
            )
        }],
        ..first("rds describe-db-snapshots", 100)
    },
    First {
        then: &[Each {
            only: Some(("SnapshotType", "manual")),
            ..each(
                "rds describe-db-cluster-snapshot-attributes",
                "DBClusterSnapshots",
                &[("DBClusterSnapshotIdentifier", "DBClusterSnapshotIdentifier")],
                "DBClusterSnapshotIdentifier",
            )
        }],
        ..first("rds describe-db-cluster-snapshots", 100)
    },
    First {
        then: &[
            each(
                "ecr get-repository-policy",
                "repositories",
                &[("repositoryName", "repositoryName")],
                "repositoryName",
            ),
            Each {
                page: 1_000,
                ..each(
                    "ecr describe-images",
                    "repositories",
                    &[("repositoryName", "repositoryName")],
                    "repositoryName",
                )
            },
        ],
        ..first("ecr describe-repositories", 1_000)
    },
    first("ecr describe-registry", 0),
    first("ecr get-registry-policy", 0),
    First {
        then: &[
            each("kms get-key-policy", "Keys", &[("KeyId", "KeyId")], "KeyId"),
            each("kms describe-key", "Keys", &[("KeyId", "KeyId")], "KeyId"),
        ],
        ..first("kms list-keys", 1_000)
    },
    first("elbv2 describe-load-balancers", 400),
    First {
        parameters: &[("Scope", "REGIONAL")],
        then: &[
            Each {
                parameters: &[("Scope", "REGIONAL")],
                ..each("wafv2 get-web-acl", "WebACLs", WEB_ACLS, "Id")
            },
            each(
                "wafv2 list-resources-for-web-acl",
                "WebACLs",
                &[("WebACLArn", "ARN")],
                "Id",
            ),
        ],
        ..first("wafv2 list-web-acls", 100)
    },
    First {
        parameters: &[("Scope", "REGIONAL")],
        then: &[Each {
            parameters: &[("Scope", "REGIONAL")],
            ..each("wafv2 get-rule-group", "RuleGroups", WEB_ACLS, "Id")
        }],
        ..first("wafv2 list-rule-groups", 100)
    },
    First {
        then: &[each("eks describe-cluster", "clusters", &[("name", "")], "")],
        ..first("eks list-clusters", 100)
    },
    First {
        then: &[
            each(
                "backup get-backup-vault-access-policy",
                "BackupVaultList",
                &[("BackupVaultName", "BackupVaultName")],
                "BackupVaultName",
            ),
            Each {
                page: 1_000,
                ..each(
                    "backup list-recovery-points-by-backup-vault",
                    "BackupVaultList",
                    &[("BackupVaultName", "BackupVaultName")],
                    "BackupVaultName",
                )
            },
        ],
        ..first("backup list-backup-vaults", 1_000)
    },
];

#[cfg(test)]
mod tests {
    use super::super::model::{Protocol, operation};
    use super::*;

    #[test]
    fn every_call_is_described_and_every_follow_up_asks_what_its_list_has() {
        let mut files = std::collections::BTreeSet::new();
        for first in GLOBAL.iter().chain(REGIONAL) {
            let described = operation(first.call).unwrap();
            assert!(
                first.page == 0 || described.limit.is_some(),
                "{} has no pages",
                first.call
            );
            assert!(files.insert(first.file.unwrap_or(first.call)), "{}", first.call);
            for each in first.then {
                let follow_up = operation(each.call).unwrap();
                assert!(
                    described.members.iter().any(|member| member == each.list),
                    "{}",
                    each.list
                );
                assert!(each.page == 0 || follow_up.limit.is_some(), "{}", each.call);
                if follow_up.protocol == Protocol::RestJson {
                    assert!(
                        each.from
                            .iter()
                            .all(|(name, _)| follow_up.path.contains_key(*name)),
                        "{}",
                        each.call
                    );
                }
            }
        }
    }
}
