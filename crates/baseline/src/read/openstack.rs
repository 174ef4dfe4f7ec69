//! Answers of `openstack volume snapshot list --long`, `volume backup list --long`, `image list --long` and `image member list` with
//! `-f json`; the columns are those of python-openstackclient.

use neph_inventory::Scope;
use serde_json::Value;

use crate::item::{Item, tags_of_object};
use crate::record::{Kind, Record, State};

/// The columns tell which list it is.
pub(super) fn kind(item: Item<'_>) -> Option<Kind> {
    item.text("ID")?;
    let has = |key: &str| item.keys().any(|own| own == key);
    if has("Visibility") && has("Checksum") {
        Some(Kind::OpenstackImage)
    } else if has("Incremental") || has("Container") {
        Some(Kind::OpenstackBackup)
    } else if has("Size") && has("Description") && !has("Attached to") && !has("Bootable") {
        Some(Kind::OpenstackSnapshot)
    } else {
        None
    }
}

pub(super) const KEYS: &[&str] = &[
    "Availability Zone",
    "Checksum",
    "Container",
    "Container Format",
    "Created At",
    "Description",
    "Disk Format",
    "Hash Algorithm",
    "Hash Value",
    "ID",
    "Incremental",
    "Name",
    "Project",
    "Project ID",
    "Properties",
    "Protected",
    "Size",
    "Status",
    "Tags",
    "Visibility",
    "Volume",
];

pub(super) fn resource(kind: Kind, item: Item<'_>, scope: &Scope) -> Result<Record, &'static str> {
    let mut record = Record::new(kind, item.text("ID").ok_or("ID")?);
    if kind != Kind::OpenstackImage && !item.keys().any(|key| key == "Volume") {
        return Err("Volume`, so list it with `--long");
    }
    let project = item.text("Project").or_else(|| item.text("Project ID"));
    record.account = scope.account.as_deref().or(project).map(Into::into);
    record.region = scope.region.as_deref().map(Into::into);
    record.name = item.boxed("Name");
    let status = item.text("Status").unwrap_or("").to_lowercase();
    record.state = match status.as_str() {
        "creating" | "queued" | "saving" | "uploading" | "importing" => State::Pending,
        "error" | "deleting" | "deleted" | "killed" | "pending_delete" | "deactivated" | "error_deleting" => {
            State::Unusable
        }
        _ => State::Ready,
    };
    record.size = item.number(&["Size"]);
    record.created = item.time(&["Created At"]);
    record.source = item.boxed("Volume");
    record.tags = match item.get("Tags") {
        Some(Value::Array(list)) => {
            let mut tags: Vec<_> = list
                .iter()
                .filter_map(Value::as_str)
                .map(|tag| (tag.into(), "".into()))
                .collect();
            tags.sort_unstable();
            tags
        }
        _ => tags_of_object(item.get("Properties")),
    };
    if kind == Kind::OpenstackImage {
        // The project of an image need not be one's own: public images are listed too.
        record.owner = project.map(Into::into);
        record.content = item.boxed("Hash Value").or_else(|| item.boxed("Checksum"));
        let visibility = item.text("Visibility");
        record.public = visibility.map(|word| matches!(word, "public" | "community"));
        // Only a shared image has members.
        record.shared = visibility.filter(|word| *word != "shared").map(|_| Vec::new());
        record.access = item.boxed("Visibility").filter(|word| &**word == "community");
    }
    Ok(record)
}

/// A row of `image member list`: the image, and a project that it is shared with.
pub(super) fn member(item: Item<'_>) -> Option<(&str, &str)> {
    Some((item.text("Image ID")?, item.text("Member ID")?))
}
