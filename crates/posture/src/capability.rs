//! What a review asks for: the abilities that the techniques need, and which actions give them in each cloud.
//!
//! One table, so that what is asked of one cloud is asked of the others too (OpenStack's actions stand with their defaults in
//! [`defaults`](crate::policy::openstack::defaults)). Which resources an action of AWS has to be allowed
//! on stands in <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html> and its siblings.

use serde::Serialize;

use crate::policy::kubernetes::Attributes;

/// Where a permission holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Cloud {
    /// Amazon Web Services.
    Aws,
    /// Microsoft Azure.
    Azure,
    /// Google Cloud.
    Gcp,
    /// A Kubernetes cluster.
    Kubernetes,
    /// OpenStack, and clouds that are built of it.
    Openstack,
}

impl Cloud {
    /// `aws`, `azure`, `gcp`, `kubernetes`, `openstack`
    pub fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Azure => "azure",
            Self::Gcp => "gcp",
            Self::Kubernetes => "kubernetes",
            Self::Openstack => "openstack",
        }
    }

    /// The cloud of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        [
            Self::Aws,
            Self::Azure,
            Self::Gcp,
            Self::Kubernetes,
            Self::Openstack,
        ]
        .into_iter()
        .find(|cloud| cloud.name() == name)
    }
}

/// An ability that somebody may have.
#[derive(Debug)]
pub struct Capability {
    /// `snapshot-create`
    pub id: &'static str,
    /// What one can do with it, in the infinitive: `make snapshots of disks`.
    pub what: &'static str,
    /// The techniques of ATT&CK that need it.
    pub techniques: &'static [&'static str],
    /// The mitigations that limit who has it.
    pub mitigations: &'static [&'static str],
    /// Actions of AWS, each of which gives it.
    pub aws: &'static [AwsAction],
    /// Operations of Azure.
    pub azure: &'static [AzureAction],
    /// Permissions of Google Cloud.
    pub gcp: &'static [&'static str],
    /// Requests to the API server of Kubernetes.
    pub kubernetes: &'static [KubernetesAction],
}

/// An action of AWS and the kinds of resources on all of which it has to be allowed, `{p}` standing for the partition and
/// `{a}` for the account; none where the action knows no resources.
#[derive(Debug)]
pub struct AwsAction(pub &'static str, pub &'static [&'static str]);

/// An operation of Azure, and whether it is one on what a resource holds.
#[derive(Debug)]
pub struct AzureAction(pub &'static str, pub bool);

/// A verb, an API group and a resource of Kubernetes, and whether the resource belongs to a namespace.
#[derive(Debug)]
pub struct KubernetesAction(pub &'static str, pub &'static str, pub &'static str, pub bool);

impl KubernetesAction {
    /// The question to the API server, for any object.
    pub fn attributes(&self) -> Attributes<'static> {
        Attributes {
            verb: self.0,
            group: self.1,
            resource: self.2,
            name: None,
        }
    }
}

impl Capability {
    /// What is known of it, for readers of JSON.
    pub fn document(&self) -> serde_json::Value {
        serde_json::json!({
            "id": self.id, "what": self.what, "techniques": self.techniques, "mitigations": self.mitigations,
        })
    }

    /// The capability of an id.
    pub fn of_id(id: &str) -> Option<&'static Self> {
        CAPABILITIES.iter().find(|capability| capability.id == id)
    }
}

const VOLUME: &str = "arn:{p}:ec2:*:{a}:volume/*";
const SNAPSHOT: &str = "arn:{p}:ec2:*::snapshot/*";
const IMAGE: &str = "arn:{p}:ec2:*::image/*";
const INSTANCE: &str = "arn:{p}:ec2:*:{a}:instance/*";
const DB_SNAPSHOT: &str = "arn:{p}:rds:*:{a}:snapshot:*";
const DB: &str = "arn:{p}:rds:*:{a}:db:*";
const OPTIONS: &str = "arn:{p}:rds:*:{a}:og:*";
const PARAMETERS: &str = "arn:{p}:rds:*:{a}:pg:*";
const SUBNETS: &str = "arn:{p}:rds:*:{a}:subgrp:*";
const REPOSITORY: &str = "arn:{p}:ecr:*:{a}:repository/*";
const KEY: &str = "arn:{p}:kms:*:{a}:key/*";
const RBAC: &str = "rbac.authorization.k8s.io";

/// All that a review asks for.
pub static CAPABILITIES: &[Capability] = &[
    Capability {
        id: "snapshot-create",
        what: "make snapshots and backups of disks and databases",
        techniques: &["T1578.001"],
        mitigations: &["M1018", "M1047"],
        aws: &[
            AwsAction("ec2:CreateSnapshot", &[VOLUME, SNAPSHOT]),
            AwsAction("ec2:CreateSnapshots", &[INSTANCE, SNAPSHOT, VOLUME]),
            AwsAction("ec2:CopySnapshot", &[SNAPSHOT]),
            AwsAction("rds:CreateDBSnapshot", &[DB, DB_SNAPSHOT]),
            AwsAction("rds:CopyDBSnapshot", &[DB_SNAPSHOT]),
            AwsAction("backup:StartBackupJob", &["arn:{p}:backup:*:{a}:backup-vault:*"]),
            AwsAction("ebs:StartSnapshot", &["arn:{p}:ec2:*::snapshot/*"]),
        ],
        azure: &[
            AzureAction("Microsoft.Compute/snapshots/write", false),
            AzureAction("Microsoft.Compute/disks/beginGetAccess/action", false),
            AzureAction(
                "Microsoft.Compute/restorePointCollections/restorePoints/write",
                false,
            ),
            AzureAction(
                "Microsoft.RecoveryServices/Vaults/backupFabrics/protectionContainers/protectedItems/backup/action",
                false,
            ),
        ],
        gcp: &["compute.snapshots.create", "compute.disks.createSnapshot"],
        kubernetes: &[KubernetesAction(
            "create",
            "snapshot.storage.k8s.io",
            "volumesnapshots",
            true,
        )],
    },
    Capability {
        id: "snapshot-share",
        what: "share snapshots with other accounts, or make them public",
        techniques: &["T1537"],
        mitigations: &["M1018"],
        aws: &[
            AwsAction("ec2:ModifySnapshotAttribute", &[SNAPSHOT]),
            AwsAction("rds:ModifyDBSnapshotAttribute", &[DB_SNAPSHOT]),
        ],
        azure: &[AzureAction(
            "Microsoft.Compute/snapshots/beginGetAccess/action",
            false,
        )],
        gcp: &["compute.snapshots.setIamPolicy"],
        kubernetes: &[],
    },
    Capability {
        id: "snapshot-restore",
        what: "make disks and databases of snapshots, or read them directly",
        techniques: &["T1578.001", "T1578.002"],
        mitigations: &["M1018", "M1047"],
        aws: &[
            AwsAction("ec2:CreateVolume", &[VOLUME]),
            AwsAction("ec2:AttachVolume", &[INSTANCE, VOLUME]),
            AwsAction(
                "rds:RestoreDBInstanceFromDBSnapshot",
                &[DB, DB_SNAPSHOT, OPTIONS, PARAMETERS, SUBNETS],
            ),
            // Recovery points have the ARNs of many services.
            AwsAction("backup:StartRestoreJob", &["arn:{p}:*:*:*:*:*"]),
            AwsAction("ebs:GetSnapshotBlock", &["arn:{p}:ec2:*::snapshot/*"]),
        ],
        azure: &[AzureAction("Microsoft.Compute/disks/write", false)],
        gcp: &[
            "compute.disks.create",
            "compute.snapshots.useReadOnly",
            "compute.instances.attachDisk",
        ],
        kubernetes: &[],
    },
    Capability {
        id: "snapshot-delete",
        what: "delete snapshots",
        techniques: &["T1485", "T1490"],
        mitigations: &["M1018"],
        aws: &[
            AwsAction("ec2:DeleteSnapshot", &[SNAPSHOT]),
            AwsAction("rds:DeleteDBSnapshot", &[DB_SNAPSHOT]),
        ],
        azure: &[AzureAction("Microsoft.Compute/snapshots/delete", false)],
        gcp: &["compute.snapshots.delete"],
        kubernetes: &[KubernetesAction(
            "delete",
            "snapshot.storage.k8s.io",
            "volumesnapshots",
            true,
        )],
    },
    Capability {
        id: "snapshot-decrypt",
        what: "use the keys that snapshots and images are encrypted with",
        techniques: &["T1578.001"],
        mitigations: &["M1018"],
        aws: &[
            AwsAction("kms:Decrypt", &[KEY]),
            AwsAction("kms:CreateGrant", &[KEY]),
            AwsAction("kms:ReEncryptFrom", &[KEY]),
        ],
        azure: &[],
        gcp: &[],
        kubernetes: &[],
    },
    Capability {
        id: "snapshot-list",
        what: "list snapshots",
        techniques: &["T1580"],
        mitigations: &["M1018"],
        aws: &[
            AwsAction("ec2:DescribeSnapshots", &[]),
            AwsAction("rds:DescribeDBSnapshots", &[DB_SNAPSHOT]),
        ],
        azure: &[AzureAction("Microsoft.Compute/snapshots/read", false)],
        gcp: &["compute.snapshots.list"],
        kubernetes: &[KubernetesAction(
            "list",
            "snapshot.storage.k8s.io",
            "volumesnapshots",
            true,
        )],
    },
    Capability {
        id: "image-create",
        what: "make, register, import and copy machine images",
        techniques: &["T1525"],
        mitigations: &["M1018", "M1026", "M1047"],
        aws: &[
            AwsAction("ec2:CreateImage", &[IMAGE, INSTANCE, SNAPSHOT]),
            AwsAction("ec2:RegisterImage", &[IMAGE]),
            AwsAction("ec2:CopyImage", &[IMAGE, SNAPSHOT]),
            AwsAction(
                "ec2:ImportImage",
                &[IMAGE, "arn:{p}:ec2:*:{a}:import-image-task/*"],
            ),
        ],
        azure: &[
            AzureAction("Microsoft.Compute/images/write", false),
            AzureAction("Microsoft.Compute/galleries/images/versions/write", false),
        ],
        gcp: &["compute.images.create", "compute.machineImages.create"],
        kubernetes: &[],
    },
    Capability {
        id: "image-share",
        what: "share machine images with other accounts, or make them public",
        techniques: &["T1525", "T1537"],
        mitigations: &["M1018", "M1026"],
        aws: &[AwsAction("ec2:ModifyImageAttribute", &[IMAGE])],
        azure: &[AzureAction("Microsoft.Compute/galleries/share/action", false)],
        gcp: &["compute.images.setIamPolicy"],
        kubernetes: &[],
    },
    Capability {
        id: "image-export",
        what: "export machine images and disks out of the cloud's control",
        techniques: &["T1537"],
        mitigations: &["M1018"],
        aws: &[
            AwsAction(
                "ec2:ExportImage",
                &["arn:{p}:ec2:*:{a}:export-image-task/*", IMAGE],
            ),
            AwsAction("ec2:CreateStoreImageTask", &[IMAGE]),
        ],
        azure: &[AzureAction(
            "Microsoft.Compute/disks/beginGetAccess/action",
            false,
        )],
        gcp: &["compute.images.useReadOnly"],
        kubernetes: &[],
    },
    Capability {
        id: "image-list",
        what: "list machine images",
        techniques: &["T1580"],
        mitigations: &["M1018"],
        aws: &[AwsAction("ec2:DescribeImages", &[])],
        azure: &[AzureAction("Microsoft.Compute/images/read", false)],
        gcp: &["compute.images.list"],
        kubernetes: &[],
    },
    Capability {
        id: "registry-push",
        what: "push container images",
        techniques: &["T1525"],
        mitigations: &["M1018", "M1026", "M1045"],
        aws: &[AwsAction("ecr:PutImage", &[REPOSITORY])],
        azure: &[
            AzureAction("Microsoft.ContainerRegistry/registries/push/write", false),
            AzureAction(
                "Microsoft.ContainerRegistry/registries/repositories/content/write",
                true,
            ),
            AzureAction("Microsoft.ContainerRegistry/registries/importImage/action", false),
        ],
        gcp: &["artifactregistry.repositories.uploadArtifacts"],
        kubernetes: &[],
    },
    Capability {
        id: "registry-list",
        what: "list container images",
        techniques: &["T1613"],
        mitigations: &["M1018"],
        aws: &[
            AwsAction("ecr:DescribeImages", &[REPOSITORY]),
            AwsAction("ecr:ListImages", &[REPOSITORY]),
        ],
        azure: &[
            AzureAction("Microsoft.ContainerRegistry/registries/pull/read", false),
            AzureAction(
                "Microsoft.ContainerRegistry/registries/repositories/content/read",
                true,
            ),
        ],
        gcp: &["artifactregistry.dockerimages.list"],
        kubernetes: &[],
    },
    Capability {
        id: "metadata-change",
        what: "change how instances answer on the metadata address",
        techniques: &["T1552.005"],
        mitigations: &["M1018", "M1042"],
        aws: &[AwsAction("ec2:ModifyInstanceMetadataOptions", &[INSTANCE])],
        azure: &[],
        gcp: &["compute.instances.setMetadata"],
        kubernetes: &[],
    },
    Capability {
        id: "entitlement-change",
        what: "grant permissions, to itself too",
        techniques: &["T1098.003"],
        mitigations: &["M1018", "M1026"],
        aws: &[
            AwsAction("iam:AttachUserPolicy", &["arn:{p}:iam::{a}:user/*"]),
            AwsAction("iam:AttachRolePolicy", &["arn:{p}:iam::{a}:role/*"]),
            AwsAction("iam:PutUserPolicy", &["arn:{p}:iam::{a}:user/*"]),
            AwsAction("iam:PutRolePolicy", &["arn:{p}:iam::{a}:role/*"]),
            AwsAction("iam:CreatePolicyVersion", &["arn:{p}:iam::{a}:policy/*"]),
            AwsAction("iam:UpdateAssumeRolePolicy", &["arn:{p}:iam::{a}:role/*"]),
        ],
        azure: &[
            AzureAction("Microsoft.Authorization/roleAssignments/write", false),
            AzureAction("Microsoft.Authorization/roleDefinitions/write", false),
        ],
        gcp: &["resourcemanager.projects.setIamPolicy"],
        kubernetes: &[
            KubernetesAction("escalate", RBAC, "clusterroles", false),
            KubernetesAction("bind", RBAC, "clusterroles", false),
            KubernetesAction("escalate", RBAC, "roles", true),
            KubernetesAction("bind", RBAC, "roles", true),
        ],
    },
    Capability {
        id: "impersonate",
        what: "act as somebody else",
        techniques: &["T1078", "T1528"],
        mitigations: &["M1018", "M1026"],
        aws: &[AwsAction("iam:CreateAccessKey", &["arn:{p}:iam::{a}:user/*"])],
        azure: &[AzureAction(
            "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
            false,
        )],
        gcp: &[
            "iam.serviceAccounts.getAccessToken",
            "iam.serviceAccountKeys.create",
        ],
        kubernetes: &[
            KubernetesAction("impersonate", "", "users", false),
            KubernetesAction("impersonate", "", "groups", false),
            KubernetesAction("impersonate", "", "serviceaccounts", true),
            KubernetesAction("create", "", "serviceaccounts/token", true),
        ],
    },
    Capability {
        id: "container-list",
        what: "list the containers that run",
        techniques: &["T1613"],
        mitigations: &["M1018", "M1035"],
        aws: &[
            AwsAction("ecs:DescribeTasks", &["arn:{p}:ecs:*:{a}:task/*/*"]),
            AwsAction("eks:DescribeCluster", &["arn:{p}:eks:*:{a}:cluster/*"]),
        ],
        azure: &[
            AzureAction("Microsoft.ContainerInstance/containerGroups/read", false),
            AzureAction("Microsoft.ContainerService/managedClusters/pods/read", true),
        ],
        gcp: &["container.pods.list"],
        kubernetes: &[KubernetesAction("list", "", "pods", true)],
    },
    Capability {
        id: "container-exec",
        what: "run commands in containers",
        techniques: &["T1609"],
        mitigations: &["M1018", "M1026"],
        aws: &[AwsAction(
            "ecs:ExecuteCommand",
            &["arn:{p}:ecs:*:{a}:task/*/*", "arn:{p}:ecs:*:{a}:cluster/*"],
        )],
        azure: &[
            AzureAction(
                "Microsoft.ContainerInstance/containerGroups/containers/exec/action",
                false,
            ),
            AzureAction(
                "Microsoft.ContainerService/managedClusters/pods/exec/action",
                true,
            ),
        ],
        gcp: &["container.pods.exec"],
        kubernetes: &[
            KubernetesAction("create", "", "pods/exec", true),
            // With WebSockets the client sends GET, which the server authorises as `get`.
            KubernetesAction("get", "", "pods/exec", true),
            KubernetesAction("create", "", "pods/attach", true),
            KubernetesAction("update", "", "pods/ephemeralcontainers", true),
            KubernetesAction("patch", "", "pods/ephemeralcontainers", true),
        ],
    },
    Capability {
        id: "container-create",
        what: "start containers",
        techniques: &["T1610"],
        mitigations: &["M1018", "M1026"],
        aws: &[AwsAction(
            "ecs:RunTask",
            &["arn:{p}:ecs:*:{a}:task-definition/*:*"],
        )],
        azure: &[AzureAction(
            "Microsoft.ContainerInstance/containerGroups/write",
            false,
        )],
        gcp: &["container.pods.create"],
        kubernetes: &[
            KubernetesAction("create", "", "pods", true),
            KubernetesAction("create", "apps", "deployments", true),
            KubernetesAction("create", "apps", "daemonsets", true),
            KubernetesAction("create", "batch", "jobs", true),
            KubernetesAction("create", "batch", "cronjobs", true),
        ],
    },
    Capability {
        id: "secret-read",
        what: "read the secrets of a cluster",
        techniques: &["T1552.007"],
        mitigations: &["M1018", "M1035"],
        aws: &[],
        azure: &[AzureAction(
            "Microsoft.ContainerService/managedClusters/secrets/read",
            true,
        )],
        gcp: &["container.secrets.get", "container.secrets.list"],
        kubernetes: &[
            KubernetesAction("list", "", "secrets", true),
            KubernetesAction("watch", "", "secrets", true),
            KubernetesAction("get", "", "secrets", true),
        ],
    },
    Capability {
        id: "node-reach",
        what: "reach the kubelet of nodes through the API server",
        techniques: &["T1609", "T1613"],
        mitigations: &["M1018", "M1035"],
        aws: &[],
        azure: &[],
        gcp: &[],
        kubernetes: &[
            KubernetesAction("create", "", "nodes/proxy", false),
            KubernetesAction("get", "", "nodes/proxy", false),
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn techniques_and_mitigations_are_those_of_the_matrix() {
        let attack = neph_attack::attack();
        for capability in CAPABILITIES {
            for technique in capability.techniques {
                let found = attack.technique(technique).expect(technique);
                assert_eq!(found.state, neph_attack::State::Current, "{technique}");
            }
            for mitigation in capability.mitigations {
                assert!(attack.mitigation(mitigation).is_some(), "{mitigation}");
            }
        }
    }

    #[test]
    fn actions_of_openstack_are_of_capabilities_and_their_defaults_are_rules() {
        for action in crate::policy::openstack::defaults::ACTIONS {
            assert!(Capability::of_id(action.0).is_some(), "{}", action.0);
            assert!(
                crate::policy::openstack::Check::read(action.3).is_ok(),
                "{}",
                action.3
            );
        }
    }

    #[test]
    fn ids_are_unique_and_each_has_actions() {
        let mut ids: Vec<&str> = CAPABILITIES.iter().map(|capability| capability.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), CAPABILITIES.len());
        for one in CAPABILITIES {
            let count = one.aws.len() + one.azure.len() + one.gcp.len() + one.kubernetes.len();
            assert!(count > 0, "{}", one.id);
        }
    }
}
