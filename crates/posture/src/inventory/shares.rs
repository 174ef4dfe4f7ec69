//! What resources themselves say about who may use them: shared snapshots and images, policies of repositories and keys.

use serde_json::Value;

use super::Inventory;
use crate::policy::aws::{Document, Policy};

/// A snapshot or image that is shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// `snapshot snap-…`
    pub(crate) resource: String,
    /// Whom with: `all`, an account, an organisation or a unit of one.
    pub(crate) with: String,
    /// What one can do with it.
    pub(crate) capability: &'static str,
    /// What stands for the permission: `createVolumePermission`.
    pub(crate) by: &'static str,
}

/// A resource with a policy.
#[derive(Clone, Debug)]
pub(crate) struct Guarded {
    /// Its ARN; what is not known of it is `*`.
    pub(crate) arn: String,
    /// The account that it belongs to, where that is known.
    pub(crate) account: Option<String>,
    pub(crate) policy: Policy,
}

impl Inventory {
    /// Answers of `describe-snapshot-attribute`, `describe-image-attribute`, `describe-db-snapshot-attributes`,
    /// `describe-db-cluster-snapshot-attributes`, `ecr get-repository-policy` and `kms get-key-policy`.
    pub(super) fn add_share(&mut self, value: &Value, stem: &str) -> bool {
        let id = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
        if let Some(list) = value.get("CreateVolumePermissions").and_then(Value::as_array) {
            self.permissions(
                list,
                &format!("snapshot {}", id("SnapshotId")),
                "snapshot-restore",
                "createVolumePermission",
            );
            return true;
        }
        if let Some(list) = value.get("LaunchPermissions").and_then(Value::as_array) {
            self.permissions(
                list,
                &format!("image {}", id("ImageId")),
                "image-export",
                "launchPermission",
            );
            return true;
        }
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
            if let Some(result) = value.get(outer) {
                self.database(result, name, attributes);
                return true;
            }
        }
        if let (Some(text), false) = (value.get("policyText"), id("repositoryName").is_empty()) {
            let account = id("registryId");
            let arn = format!("arn:{{p}}:ecr:*:{account}:repository/{}", id("repositoryName"));
            self.guarded(
                arn,
                Some(account),
                format!("policy of repository {}", id("repositoryName")),
                text,
            );
            return true;
        }
        if let Some(text @ Value::String(written)) = value.get("Policy")
            && written.contains("kms:")
        {
            self.guarded(
                format!("arn:{{p}}:kms:*:*:key/{stem}"),
                None,
                format!("policy of key {stem}"),
                text,
            );
            return true;
        }
        false
    }

    fn share(&mut self, resource: &str, with: &str, capability: &'static str, by: &'static str) {
        self.shares.push(Share {
            resource: resource.to_owned(),
            with: with.to_owned(),
            capability,
            by,
        });
    }

    fn permissions(&mut self, list: &[Value], resource: &str, capability: &'static str, by: &'static str) {
        for permission in list {
            let keys = ["Group", "UserId", "OrganizationArn", "OrganizationalUnitArn"];
            let with = keys.iter().find_map(|key| permission.get(key)?.as_str());
            match with {
                Some(with) => self.share(resource, with, capability, by),
                None => self
                    .problems
                    .add(format!("{resource}: a permission names nobody that is known")),
            }
        }
    }

    fn database(&mut self, result: &Value, name: &str, attributes: &str) {
        let id = result.get(name).and_then(Value::as_str).unwrap_or("");
        let list = result.get(attributes).and_then(Value::as_array);
        for attribute in list.into_iter().flatten() {
            if attribute.get("AttributeName").and_then(Value::as_str) != Some("restore") {
                continue;
            }
            let with = attribute.get("AttributeValues").and_then(Value::as_array);
            for with in with.into_iter().flatten().filter_map(Value::as_str) {
                self.share(
                    &format!("database snapshot {id}"),
                    with,
                    "snapshot-restore",
                    "restore attribute",
                );
            }
        }
    }

    fn guarded(&mut self, arn: String, account: Option<String>, path: String, text: &Value) {
        match Document::read(text) {
            Ok(document) => self.guarded.push(Guarded {
                arn,
                account,
                policy: Policy::new(path, document),
            }),
            Err(error) => self.problems.add(format!("{path}: {error}")),
        }
    }
}
