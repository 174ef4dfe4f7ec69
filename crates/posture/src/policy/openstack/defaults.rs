//! What the services decide by where no policy file says otherwise, for what a review asks.
//!
//! <https://docs.openstack.org/cinder/latest/configuration/block-storage/policy.html>,
//! <https://docs.openstack.org/nova/latest/configuration/policy.html>, <https://docs.openstack.org/glance/latest/configuration/glance_policy.html>,
//! <https://docs.openstack.org/keystone/latest/configuration/policy.html>

/// A member of the project, or an administrator.
const MEMBER: &str = "role:admin or (role:member and project_id:%(project_id)s)";
/// Whoever may read in the project, or an administrator.
const READER: &str = "role:admin or (role:reader and project_id:%(project_id)s)";
const ADMIN: &str = "role:admin";

/// An action of a service: capability, service, rule, and the rule's default.
#[derive(Debug)]
pub struct Action(
    pub &'static str,
    pub &'static str,
    pub &'static str,
    pub &'static str,
);

/// All actions that a review asks for.
pub static ACTIONS: &[Action] = &[
    Action("snapshot-create", "cinder", "volume:create_snapshot", MEMBER),
    Action("snapshot-create", "cinder", "backup:create", MEMBER),
    Action("snapshot-share", "cinder", "volume:create_transfer", MEMBER),
    Action("snapshot-restore", "cinder", "volume:create", MEMBER),
    Action("snapshot-restore", "cinder", "backup:restore", MEMBER),
    Action(
        "snapshot-restore",
        "nova",
        "os_compute_api:os-volumes-attachments:create",
        MEMBER,
    ),
    Action("snapshot-delete", "cinder", "volume:delete_snapshot", MEMBER),
    Action("snapshot-list", "cinder", "volume:get_all_snapshots", READER),
    Action(
        "image-create",
        "nova",
        "os_compute_api:servers:create_image",
        MEMBER,
    ),
    Action(
        "image-create",
        "cinder",
        "volume_extension:volume_actions:upload_image",
        MEMBER,
    ),
    Action("image-create", "glance", "add_image", MEMBER),
    Action("image-share", "glance", "add_member", MEMBER),
    Action("image-share", "glance", "publicize_image", ADMIN),
    Action("image-export", "glance", "download_image", MEMBER),
    Action("image-list", "glance", "get_images", READER),
    Action("entitlement-change", "keystone", "identity:create_grant", ADMIN),
];

/// Rules that other rules refer to, as the services have them.
pub(super) fn rule(name: &str) -> Option<&'static str> {
    Some(match name {
        "context_is_admin" | "admin_api" | "admin_required" => ADMIN,
        "admin_or_owner" => "role:admin or project_id:%(project_id)s",
        "project_member_or_admin" | "xena_system_admin_or_project_member" => MEMBER,
        "project_reader_or_admin" | "xena_system_admin_or_project_reader" => READER,
        "project_member_api" => "role:member and project_id:%(project_id)s",
        "project_reader_api" => "role:reader and project_id:%(project_id)s",
        _ => return None,
    })
}
