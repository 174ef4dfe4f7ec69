//! Answers about who may use a snapshot or an image, one for each.

use std::collections::BTreeMap;
use std::path::Path;

use neph_inventory::{Cloud, Scope};
use serde_json::{Map, Value};

use super::aws;
use crate::record::{Kind, Record};

/// What is said about one thing.
#[derive(Clone, Debug, Default)]
struct Share {
    public: bool,
    with: Vec<Box<str>>,
}

/// All that was said, by what the answers call the things: ids, names of database snapshots, paths.
#[derive(Debug, Default)]
pub(super) struct Shares {
    all: BTreeMap<Box<str>, Share>,
    /// Of the answer that is being read: its id comes before or after its list.
    now: Share,
    /// Where one answer tells all that is shared, so that what it does not name is not: whether that is so everywhere there.
    whole: BTreeMap<(Cloud, Option<String>, Option<String>), bool>,
}

/// Names of lists that permissions stand in.
const PERMISSIONS: &[&str] = &["CreateVolumePermissions", "LaunchPermissions"];

impl Shares {
    /// An item of a list; says whether it is one of sharing.
    pub(super) fn item(&mut self, list: &str, value: &Value) -> bool {
        if PERMISSIONS.contains(&list) {
            match aws::permission(value) {
                Some(Some(with)) => self.now.with.push(with),
                Some(None) => self.now.public = true,
                None => {}
            }
            return true;
        }
        if list != "bindings" {
            return false;
        }
        let members = value.get("members").and_then(Value::as_array);
        for member in members.into_iter().flatten().filter_map(Value::as_str) {
            match member {
                "allUsers" | "allAuthenticatedUsers" => self.now.public = true,
                member => self.now.with.push(member.into()),
            }
        }
        value.get("role").is_some()
    }

    /// Answers of a place were read, or not, that name only what is shared: `image member list`, `asset search-all-iam-policies`.
    pub(super) fn place(&mut self, cloud: Cloud, scope: &Scope, read: bool) {
        let place = (cloud, scope.account.clone(), scope.region.clone());
        *self.whole.entry(place).or_insert(true) &= read;
    }

    /// A policy of `asset search-all-iam-policies`; says whether it is one.
    pub(super) fn policy(&mut self, value: &Value) -> bool {
        let resource = value.get("resource").and_then(Value::as_str);
        let bindings = value.pointer("/policy/bindings").and_then(Value::as_array);
        let (Some(resource), Some(bindings)) = (resource, bindings) else {
            return false;
        };
        if let Some(path) = resource.strip_prefix("//compute.googleapis.com/") {
            let outer = std::mem::take(&mut self.now);
            for binding in bindings {
                self.item("bindings", binding);
            }
            let own = std::mem::replace(&mut self.now, outer);
            let share = self.all.entry(path.to_lowercase().into()).or_default();
            share.public |= own.public;
            share.with.extend(own.with);
        }
        true
    }

    /// A row of `image member list`.
    pub(super) fn member(&mut self, image: &str, project: &str) {
        self.all
            .entry(image.into())
            .or_default()
            .with
            .push(project.into());
    }

    /// The end of an answer; says whether it is one of sharing. `place` is what a policy is about, which it does not say itself.
    pub(super) fn answer(
        &mut self,
        lists: &[String],
        rest: &Map<String, Value>,
        place: Option<String>,
    ) -> bool {
        let now = std::mem::take(&mut self.now);
        let text = |key: &str| rest.get(key).and_then(Value::as_str);
        let has = |name: &str| lists.iter().any(|list| list == name);
        let about: Option<Box<str>> = if has("CreateVolumePermissions") {
            text("SnapshotId").map(Into::into)
        } else if has("LaunchPermissions") {
            text("ImageId").map(Into::into)
        } else if has("bindings") || (rest.contains_key("etag") && rest.len() <= 2 && lists.is_empty()) {
            // A policy without bindings is printed without the list.
            place.map(Into::into)
        } else {
            return self.database(rest);
        };
        if let Some(about) = about {
            let share = self.all.entry(about).or_default();
            share.public |= now.public;
            share.with.extend(now.with);
            return true;
        }
        false
    }

    fn database(&mut self, rest: &Map<String, Value>) -> bool {
        for (outer, name, attributes) in [
            (
                "DBSnapshotAttributesResult",
                "DBSnapshotIdentifier",
                "DBSnapshotAttributes",
            ),
            (
                "DBClusterSnapshotAttributesResult",
                "DBClusterSnapshotIdentifier",
                "DBClusterSnapshotAttributes",
            ),
        ] {
            let Some(result) = rest.get(outer) else {
                continue;
            };
            let Some(id) = result.get(name).and_then(Value::as_str) else {
                return true;
            };
            let share = self.all.entry(id.into()).or_default();
            let list = result.get(attributes).and_then(Value::as_array);
            for attribute in list.into_iter().flatten() {
                if attribute.get("AttributeName").and_then(Value::as_str) != Some("restore") {
                    continue;
                }
                let values = attribute.get("AttributeValues").and_then(Value::as_array);
                for with in values.into_iter().flatten().filter_map(Value::as_str) {
                    match with {
                        "all" => share.public = true,
                        with => share.with.push(with.into()),
                    }
                }
            }
            return true;
        }
        false
    }

    /// A file ends: what a broken answer left is forgotten.
    pub(super) fn end(&mut self) {
        self.now = Share::default();
    }

    /// Tells the records with whom they are shared.
    pub(super) fn tell(mut self, records: &mut [Record]) {
        for share in self.all.values_mut() {
            share.with.sort_unstable();
            share.with.dedup();
        }
        for record in records {
            let share = self.all.get(&record.id).or_else(|| {
                // Answers of RDS go by the name where one asked for the name.
                let is_database = matches!(record.kind, Kind::AwsRdsSnapshot | Kind::AwsRdsClusterSnapshot);
                self.all.get(record.name.as_ref().filter(|_| is_database)?)
            });
            let Some(share) = share else {
                let place = |scope: &(Cloud, Option<String>, Option<String>)| {
                    let (cloud, account, region) = scope;
                    *cloud == record.kind.cloud()
                        && (account.is_none() || account.as_deref() == record.account.as_deref())
                        && (region.is_none()
                            || !record.kind.is_regional()
                            || region.as_deref() == record.region.as_deref())
                };
                let mut places = self.whole.iter().filter(|(scope, _)| place(scope)).peekable();
                let is_told =
                    matches!(record.kind, Kind::OpenstackImage) || record.kind.cloud() == Cloud::Gcp;
                if is_told && places.peek().is_some() && places.all(|(_, whole)| *whole) {
                    record.public = record.public.or(Some(false));
                    record.shared.get_or_insert_default();
                }
                continue;
            };
            record.public = Some(record.public.unwrap_or(false) || share.public);
            record.shared = Some(share.with.clone());
        }
    }
}

/// What the policy of a file is about: `gcp/PROJECT/compute-images-get-iam-policy/IMAGE.json`.
pub(super) fn policy_place(path: &Path, scope: &Scope) -> Option<String> {
    if scope.cloud != Some(Cloud::Gcp) {
        return None;
    }
    let project = scope.account.as_deref()?;
    let folder = path.parent()?.file_name()?.to_str()?;
    let kind = match folder {
        "compute-images-get-iam-policy" => "images",
        "compute-snapshots-get-iam-policy" => "snapshots",
        "compute-machine-images-get-iam-policy" => "machineimages",
        _ => return None,
    };
    let name = path.file_stem()?.to_str()?;
    Some(format!("projects/{project}/global/{kind}/{name}").to_lowercase())
}
