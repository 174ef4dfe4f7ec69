//! What an answer is, by its content.

use neph_inventory::Cloud;
use serde_json::Value;

use crate::{aws, azure, gcp, openstack};

/// What an answer is, and what it tells of where it belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) cloud: Cloud,
    /// The call that prints it.
    pub(super) call: String,
    /// The name of its file.
    pub(super) name: String,
    /// What it is about, where there is a file for each.
    pub(super) item: Option<String>,
    pub(super) account: Option<String>,
    pub(super) region: Option<String>,
    pub(super) is_regional: bool,
}

/// `stem` is the name of the file, for answers that do not say what they are about.
pub(super) fn known(value: &Value, stem: &str) -> Option<Known> {
    of_kubernetes(value, stem)
        .or_else(|| of_docker(value, stem))
        .or_else(|| of_aws(value, stem))
        .or_else(|| of_azure(value, stem))
        .or_else(|| of_gcp(value, stem))
        .or_else(|| of_openstack(value))
}

fn simple(cloud: Cloud, call: &str, name: &str) -> Known {
    Known {
        cloud,
        call: call.to_owned(),
        name: name.to_owned(),
        item: None,
        account: None,
        region: None,
        is_regional: false,
    }
}

fn text(value: &Value, place: &str) -> Option<String> {
    value.pointer(place).and_then(Value::as_str).map(str::to_owned)
}

fn has(value: &Value, keys: &[&str]) -> bool {
    keys.iter().all(|key| value.get(key).is_some())
}

fn of_kubernetes(value: &Value, stem: &str) -> Option<Known> {
    if has(value, &["gitVersion", "major"]) || value.pointer("/serverVersion/gitVersion").is_some() {
        return Some(simple(Cloud::Kubernetes, "kubectl version", "version"));
    }
    let list = value.get("items").and_then(Value::as_array)?;
    text(value, "/apiVersion")?;
    let own = text(value, "/kind")?.strip_suffix("List").map(str::to_owned)?;
    let mut kinds: Vec<String> = list.iter().filter_map(|object| text(object, "/kind")).collect();
    kinds.push(own);
    kinds.retain(|kind| !kind.is_empty());
    kinds.sort_unstable();
    kinds.dedup();
    let name = match kinds.as_slice() {
        [kind] => plural(&kind.to_lowercase()),
        // Several kinds in one answer, or none that is told.
        _ => crate::name::segment(stem),
    };
    Some(simple(
        Cloud::Kubernetes,
        &format!("kubectl get {name} -A"),
        &name,
    ))
}

/// As the interface names lists of a kind.
fn plural(kind: &str) -> String {
    match (kind.strip_suffix('y'), kind.ends_with('s')) {
        (Some(stem), _) => format!("{stem}ies"),
        (None, true) => format!("{kind}es"),
        (None, false) => format!("{kind}s"),
    }
}

fn of_docker(value: &Value, stem: &str) -> Option<Known> {
    if has(value, &["ServerVersion", "DockerRootDir"]) {
        return Some(Known {
            account: text(value, "/Name"),
            ..simple(Cloud::Docker, "docker info", "info")
        });
    }
    if let Some(rules) = value.get("nftables") {
        rules.as_array()?;
        return Some(simple(Cloud::Host, "nft -j list ruleset", "nft"));
    }
    let first = value.as_array()?.first()?;
    if has(first, &["Id", "RootFS"]) {
        Some(simple(Cloud::Docker, "docker image inspect", "image-inspect"))
    } else if has(first, &["Id", "HostConfig", "State"]) && has(first, &["Config"]) {
        Some(simple(
            Cloud::Docker,
            "docker container inspect",
            "container-inspect",
        ))
    } else if has(first, &["Path", "Kind"]) {
        Some(simple(Cloud::Docker, "docker diff", &crate::name::segment(stem)))
    } else {
        None
    }
}

/// What names the file of an answer that is about one thing.
const ABOUT: &[(&str, &str)] = &[
    ("ec2 describe-snapshot-attribute", "/SnapshotId"),
    ("ec2 describe-image-attribute", "/ImageId"),
    (
        "rds describe-db-snapshot-attributes",
        "/DBSnapshotAttributesResult/DBSnapshotIdentifier",
    ),
    (
        "rds describe-db-cluster-snapshot-attributes",
        "/DBClusterSnapshotAttributesResult/DBClusterSnapshotIdentifier",
    ),
    ("ecr get-repository-policy", "/repositoryName"),
    ("ecr describe-images", "/imageDetails/0/repositoryName"),
    ("kms describe-key", "/KeyMetadata/KeyId"),
    ("wafv2 get-web-acl", "/WebACL/Id"),
    ("wafv2 get-rule-group", "/RuleGroup/Id"),
    ("eks describe-cluster", "/cluster/name"),
    ("organizations describe-policy", "/Policy/PolicySummary/Id"),
    ("backup get-backup-vault-access-policy", "/BackupVaultName"),
    (
        "backup list-recovery-points-by-backup-vault",
        "/RecoveryPoints/0/BackupVaultName",
    ),
    // It says only what the policy is.
    ("kms get-key-policy", ""),
    ("wafv2 list-resources-for-web-acl", ""),
];

fn of_aws(value: &Value, stem: &str) -> Option<Known> {
    let keys: Vec<&str> = value.as_object()?.keys().map(String::as_str).collect();
    let call = match value.get("Policy") {
        // A key's policy is text, that of an organisation an object.
        Some(Value::Object(_)) => "organizations describe-policy",
        _ => aws::call_of(&keys)?,
    };
    let about = ABOUT.iter().find(|(name, _)| *name == call);
    let item = about.map(|(_, place)| text(value, place).unwrap_or_else(|| stem.to_owned()));
    let (account, region) = of_arns(value);
    let is_global = ["iam ", "organizations ", "sts "]
        .iter()
        .any(|service| call.starts_with(service))
        || call == "ec2 describe-regions";
    Some(Known {
        cloud: Cloud::Aws,
        call: call.to_owned(),
        name: call.replace(' ', "-"),
        item,
        account,
        region: if is_global {
            Some("global".to_owned())
        } else {
            region
        },
        is_regional: true,
    })
}

/// The one account and the one region that names of resources, owners and zones tell; none where they differ.
fn of_arns(value: &Value) -> (Option<String>, Option<String>) {
    let (mut accounts, mut regions) = (Vec::new(), Vec::new());
    gather(value, "", 0, &mut accounts, &mut regions);
    let one = |mut found: Vec<String>| {
        found.sort_unstable();
        found.dedup();
        match found.as_slice() {
            [one] => Some(one.clone()),
            _ => None,
        }
    };
    (one(accounts), one(regions))
}

fn gather(value: &Value, key: &str, depth: usize, accounts: &mut Vec<String>, regions: &mut Vec<String>) {
    /// Enough to tell that they differ.
    const MOST: usize = 2_000;
    if depth > 6 || accounts.len() > MOST || regions.len() > MOST {
        return;
    }
    match value {
        Value::Object(object) => object
            .iter()
            .for_each(|(key, inner)| gather(inner, key, depth + 1, accounts, regions)),
        Value::Array(items) => items
            .iter()
            .for_each(|inner| gather(inner, key, depth + 1, accounts, regions)),
        Value::String(text) => match key {
            "OwnerId" | "AWSAccountId" | "registryId" | "Account" => accounts.push(text.clone()),
            "AvailabilityZone" => regions.extend(
                text.strip_suffix(|letter: char| letter.is_ascii_lowercase())
                    .map(str::to_owned),
            ),
            _ if key.to_lowercase().ends_with("arn") => {
                let mut parts = text.split(':').skip(3);
                let (region, account) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
                // Keys and policies may belong to others; names of the thing itself do not.
                if key.eq_ignore_ascii_case("arn")
                    || key.ends_with("SnapshotArn")
                    || key.ends_with("repositoryArn")
                {
                    accounts.extend(
                        Some(account)
                            .filter(|account| !account.is_empty() && *account != "aws")
                            .map(str::to_owned),
                    );
                    regions.extend(
                        Some(region)
                            .filter(|region| !region.is_empty())
                            .map(str::to_owned),
                    );
                }
            }
            _ => {}
        },
        _ => {}
    }
}

fn of_azure(value: &Value, stem: &str) -> Option<Known> {
    let first = match value {
        Value::Array(list) => list.first()?,
        other => other,
    };
    let id = text(first, "/id")?;
    let (call, name, is_each) = azure::call_of(&id)?;
    let account = id
        .strip_prefix("/subscriptions/")
        .and_then(|rest| rest.split('/').next())
        .map(str::to_owned);
    Some(Known {
        item: is_each.then(|| stem.to_owned()),
        account,
        ..simple(Cloud::Azure, call, &name)
    })
}

fn of_gcp(value: &Value, stem: &str) -> Option<Known> {
    let first = match value {
        Value::Array(list) => list.first()?,
        other => other,
    };
    if has(first, &["id", "type", "policy"]) {
        let projects = value.as_array().into_iter().flatten();
        let project = projects
            .filter(|one| text(one, "/type").as_deref() == Some("project"))
            .find_map(|one| text(one, "/id"));
        return Some(Known {
            account: project,
            ..simple(
                Cloud::Gcp,
                "projects get-ancestors-iam-policy",
                "projects-get-ancestors-iam-policy",
            )
        });
    }
    if has(first, &["resource", "policy"]) && first.pointer("/policy/bindings").is_some() {
        return Some(simple(
            Cloud::Gcp,
            "asset search-all-iam-policies",
            "asset-search-all-iam-policies",
        ));
    }
    if has(first, &["includedPermissions", "name"]) {
        let item = text(first, "/name").unwrap_or_else(|| stem.to_owned());
        return Some(Known {
            item: Some(item),
            ..simple(Cloud::Gcp, "iam roles describe", "iam-roles-describe")
        });
    }
    let (call, name) = gcp::call_of(&text(first, "/kind")?)?;
    let link = text(first, "/selfLink").unwrap_or_default();
    let project = link
        .split("/projects/")
        .nth(1)
        .and_then(|rest| rest.split('/').next());
    Some(Known {
        account: project.map(str::to_owned),
        ..simple(Cloud::Gcp, &call, name)
    })
}

fn of_openstack(value: &Value) -> Option<Known> {
    let first = value.as_array()?.first()?.as_object()?;
    let keys: Vec<&str> = first.keys().map(String::as_str).collect();
    let (name, is_global) = openstack::list_of(&keys)?;
    let image = value.pointer("/0/Image ID").and_then(Value::as_str);
    Some(Known {
        item: image.filter(|_| name == "image-member-list").map(str::to_owned),
        region: is_global.then(|| "global".to_owned()),
        is_regional: true,
        ..simple(Cloud::Openstack, &name.replace('-', " "), name)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(value: &Value) -> String {
        match known(value, "file") {
            None => "?".to_owned(),
            Some(known) => {
                let part = |text: &Option<String>| text.clone().unwrap_or_default();
                format!(
                    "{} {} {} [{}] {}/{}",
                    known.cloud.name(),
                    known.call,
                    known.name,
                    part(&known.item),
                    part(&known.account),
                    part(&known.region)
                )
            }
        }
    }

    #[test]
    fn answers_are_known_by_their_content() {
        let own = "/subscriptions/s1/resourceGroups/g/providers/Microsoft.Compute";
        for (value, expected) in [
            (
                json!({"Snapshots": [{"SnapshotId": "snap-1", "OwnerId": "111122223333"}]}),
                "aws ec2 describe-snapshots ec2-describe-snapshots [] 111122223333/",
            ),
            (
                json!({"Snapshots": [{"OwnerId": "1"}, {"OwnerId": "2"}]}),
                "aws ec2 describe-snapshots ec2-describe-snapshots [] /",
            ),
            (
                json!({"SnapshotId": "snap-1", "CreateVolumePermissions": []}),
                "aws ec2 describe-snapshot-attribute ec2-describe-snapshot-attribute [snap-1] /",
            ),
            (
                json!({"Policy": "{}", "PolicyName": "default"}),
                "aws kms get-key-policy kms-get-key-policy [file] /",
            ),
            (
                json!({"Policy": {"PolicySummary": {"Id": "p-1"}}}),
                "aws organizations describe-policy organizations-describe-policy [p-1] /global",
            ),
            (
                json!({"UserDetailList": [{"Arn": "arn:aws:iam::111122223333:user/a"}], "Policies": [{"Arn": "arn:aws:iam::aws:policy/x"}]}),
                "aws iam get-account-authorization-details iam-get-account-authorization-details [] 111122223333/global",
            ),
            (
                json!({"Reservations": [{"OwnerId": "111122223333", "Instances": [{"Placement": {"AvailabilityZone": "eu-west-1a"}}]}]}),
                "aws ec2 describe-instances ec2-describe-instances [] 111122223333/eu-west-1",
            ),
            (
                json!([{"id": format!("{own}/snapshots/a")}]),
                "azure snapshot list snapshot-list [] s1/",
            ),
            (
                json!([{"id": format!("{own}/galleries/g/images/i/versions/1")}]),
                "azure sig image-version list sig-image-version-list [file] s1/",
            ),
            (
                json!([{"kind": "compute#snapshot", "selfLink": "https://www.googleapis.com/compute/v1/projects/p1/global/snapshots/s"}]),
                "gcp compute snapshots list compute-snapshots-list [] p1/",
            ),
            (
                json!([{"id": "p1", "type": "project", "policy": {}}]),
                "gcp projects get-ancestors-iam-policy projects-get-ancestors-iam-policy [] p1/",
            ),
            (
                json!([{"ID": "1", "Name": "n", "Description": "", "Status": "", "Size": 1, "Created At": "", "Volume": "v", "Properties": {}}]),
                "openstack volume snapshot list volume-snapshot-list [] /",
            ),
            (
                json!([{"Role": "admin", "User": "a", "Group": "", "Project": "p", "Domain": "", "System": "", "Inherited": false}]),
                "openstack role assignment list role-assignment-list [] /global",
            ),
            (
                json!({"apiVersion": "v1", "kind": "List", "items": [{"kind": "NetworkPolicy"}]}),
                "kubernetes kubectl get networkpolicies -A networkpolicies [] /",
            ),
            (
                json!({"apiVersion": "v1", "kind": "List", "items": [{"kind": "Role"}, {"kind": "ClusterRole"}]}),
                "kubernetes kubectl get file -A file [] /",
            ),
            (
                json!([{"Id": "sha256:1", "RootFS": {}}]),
                "docker docker image inspect image-inspect [] /",
            ),
            (
                json!({"ServerVersion": "27", "DockerRootDir": "/", "Name": "h1"}),
                "docker docker info info [] h1/",
            ),
            (json!({"some": "thing"}), "?"),
            (json!([]), "?"),
            (json!("text"), "?"),
        ] {
            assert_eq!(told(&value), expected);
        }
    }
}
