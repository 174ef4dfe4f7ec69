//! What a few predefined roles permit of what a review asks for, so that the commonest bindings are understood without
//! a file of roles. A file that is given decides instead.
//!
//! <https://cloud.google.com/iam/docs/roles-permissions/compute>, <https://cloud.google.com/iam/docs/roles-overview#basic>

/// Roles, and prefixes or names of permissions that they have. Only permissions of the capability table are told.
const ROLES: &[(&str, &[&str])] = &[
    (
        "roles/owner",
        &[
            "compute.",
            "artifactregistry.",
            "storage.buckets.",
            "container.",
            "resourcemanager.projects.setIamPolicy",
            "iam.serviceAccounts.actAs",
            "iam.serviceAccountKeys.",
        ],
    ),
    (
        "roles/editor",
        &[
            "compute.snapshots.create",
            "compute.snapshots.delete",
            "compute.snapshots.get",
            "compute.snapshots.list",
            "compute.snapshots.useReadOnly",
            "compute.disks.",
            "compute.images.create",
            "compute.images.delete",
            "compute.images.get",
            "compute.images.list",
            "compute.images.update",
            "compute.images.useReadOnly",
            "compute.instances.",
            "compute.machineImages.create",
            "compute.machineImages.list",
            "artifactregistry.repositories.uploadArtifacts",
            "artifactregistry.repositories.downloadArtifacts",
            "artifactregistry.dockerimages.list",
            "container.clusters.list",
            "container.pods.",
            "container.secrets.",
            "iam.serviceAccounts.actAs",
        ],
    ),
    (
        "roles/viewer",
        &[
            "compute.snapshots.get",
            "compute.snapshots.list",
            "compute.images.get",
            "compute.images.list",
            "compute.disks.list",
            "compute.instances.list",
            "compute.machineImages.list",
            "artifactregistry.repositories.downloadArtifacts",
            "artifactregistry.dockerimages.list",
            "container.clusters.list",
            "container.pods.list",
        ],
    ),
    ("roles/compute.admin", &["compute."]),
    (
        "roles/compute.storageAdmin",
        &["compute.snapshots.", "compute.images.", "compute.disks."],
    ),
    (
        "roles/compute.instanceAdmin.v1",
        &[
            "compute.snapshots.",
            "compute.images.",
            "compute.disks.",
            "compute.instances.",
            "compute.machineImages.",
        ],
    ),
    (
        "roles/compute.imageUser",
        &[
            "compute.images.get",
            "compute.images.list",
            "compute.images.useReadOnly",
        ],
    ),
    (
        "roles/compute.viewer",
        &[
            "compute.snapshots.get",
            "compute.snapshots.list",
            "compute.images.get",
            "compute.images.list",
            "compute.disks.list",
            "compute.instances.list",
            "compute.machineImages.list",
        ],
    ),
    ("roles/artifactregistry.admin", &["artifactregistry."]),
    (
        "roles/artifactregistry.repoAdmin",
        &[
            "artifactregistry.repositories.uploadArtifacts",
            "artifactregistry.repositories.downloadArtifacts",
            "artifactregistry.dockerimages.list",
        ],
    ),
    (
        "roles/artifactregistry.writer",
        &[
            "artifactregistry.repositories.uploadArtifacts",
            "artifactregistry.repositories.downloadArtifacts",
            "artifactregistry.dockerimages.list",
        ],
    ),
    (
        "roles/artifactregistry.reader",
        &[
            "artifactregistry.repositories.downloadArtifacts",
            "artifactregistry.dockerimages.list",
        ],
    ),
    ("roles/container.admin", &["container."]),
    (
        "roles/container.developer",
        &["container.pods.", "container.secrets.", "container.clusters.list"],
    ),
    (
        "roles/container.viewer",
        &["container.pods.list", "container.clusters.list"],
    ),
    ("roles/iam.serviceAccountUser", &["iam.serviceAccounts.actAs"]),
    (
        "roles/iam.serviceAccountTokenCreator",
        &["iam.serviceAccounts.getAccessToken"],
    ),
    ("roles/iam.serviceAccountKeyAdmin", &["iam.serviceAccountKeys."]),
    ("roles/logging.logWriter", &[]),
    ("roles/monitoring.metricWriter", &[]),
    ("roles/monitoring.viewer", &[]),
    ("roles/browser", &[]),
];

/// Permissions that the editor lacks of the prefixes above.
/// <https://cloud.google.com/iam/docs/roles-overview#basic>: it does not set policies.
fn is_kept_from_editor(permission: &str) -> bool {
    permission.ends_with(".setIamPolicy")
}

/// Whether the permissions of a role are known here.
pub(super) fn is_known(role: &str) -> bool {
    ROLES.iter().any(|(name, _)| *name == role)
}

/// Whether a role has a permission; `None` where the role is not known.
pub(super) fn has(role: &str, permission: &str) -> Option<bool> {
    let (name, own) = ROLES.iter().find(|(name, _)| *name == role)?;
    let listed = own.iter().any(|own| match own.ends_with('.') {
        true => permission.starts_with(own),
        false => *own == permission,
    });
    Some(listed && !(*name == "roles/editor" && is_kept_from_editor(permission)))
}
