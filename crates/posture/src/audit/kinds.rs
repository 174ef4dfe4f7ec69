//! Kinds of items, and the commands that print them.

use serde_json::Value;

use super::at::{has, list, text};

/// A kind and where it comes from.
const COMMANDS: &[(&str, &str)] = &[
    ("aws:instance", "aws ec2 describe-instances"),
    ("aws:metadata-defaults", "aws ec2 get-instance-metadata-defaults"),
    (
        "aws:launch-template-version",
        "aws ec2 describe-launch-template-versions --versions '$Default' '$Latest'",
    ),
    (
        "aws:launch-configuration",
        "aws autoscaling describe-launch-configurations",
    ),
    ("aws:image", "aws ec2 describe-images --owners self"),
    (
        "aws:image-attribute",
        "aws ec2 describe-image-attribute --attribute launchPermission",
    ),
    ("aws:image-block", "aws ec2 get-image-block-public-access-state"),
    ("aws:snapshot", "aws ec2 describe-snapshots --owner-ids self"),
    (
        "aws:snapshot-attribute",
        "aws ec2 describe-snapshot-attribute --attribute createVolumePermission",
    ),
    (
        "aws:snapshot-block",
        "aws ec2 get-snapshot-block-public-access-state",
    ),
    (
        "aws:ebs-encryption-default",
        "aws ec2 get-ebs-encryption-by-default",
    ),
    ("aws:db-snapshot", "aws rds describe-db-snapshots"),
    ("aws:db-cluster-snapshot", "aws rds describe-db-cluster-snapshots"),
    (
        "aws:db-snapshot-attribute",
        "aws rds describe-db-snapshot-attributes",
    ),
    (
        "aws:db-cluster-snapshot-attribute",
        "aws rds describe-db-cluster-snapshot-attributes",
    ),
    ("aws:organization-account", "aws organizations list-accounts"),
    ("aws:repository", "aws ecr describe-repositories"),
    ("aws:load-balancer", "aws elbv2 describe-load-balancers"),
    ("aws:web-acl", "aws wafv2 get-web-acl"),
    ("aws:web-acl-resources", "aws wafv2 list-resources-for-web-acl"),
    ("aws:eks-cluster", "aws eks describe-cluster"),
    (
        "aws:eks-access-policies",
        "aws eks list-associated-access-policies",
    ),
    ("azure:microsoft.compute/virtualmachines", "az vm list"),
    ("azure:microsoft.compute/virtualmachinescalesets", "az vmss list"),
    ("azure:microsoft.compute/snapshots", "az snapshot list"),
    ("azure:microsoft.compute/disks", "az disk list"),
    ("azure:microsoft.compute/galleries", "az sig list"),
    ("azure:microsoft.containerservice/managedclusters", "az aks list"),
    ("azure:microsoft.containerregistry/registries", "az acr list"),
    (
        "azure:microsoft.network/applicationgatewaywebapplicationfirewallpolicies",
        "az network application-gateway waf-policy list",
    ),
    (
        "azure:microsoft.network/applicationgateways",
        "az network application-gateway list",
    ),
    (
        "azure:microsoft.network/frontdoorwebapplicationfirewallpolicies",
        "az network front-door waf-policy list",
    ),
    ("gcp:compute#instance", "gcloud compute instances list"),
    ("gcp:compute#project", "gcloud compute project-info describe"),
    ("gcp:cluster", "gcloud container clusters list"),
    (
        "gcp:compute#securityPolicy",
        "gcloud compute security-policies describe",
    ),
    (
        "gcp:compute#backendService",
        "gcloud compute backend-services list",
    ),
    (
        "gcp:compute#image",
        "gcloud compute images list --no-standard-images",
    ),
    ("gcp:resource-policy", "gcloud asset search-all-iam-policies"),
    ("openstack:image", "openstack image list --long"),
    ("openstack:image-details", "openstack image show"),
    (
        "openstack:config",
        "nova.conf, metadata_agent.ini, glance-api.conf",
    ),
    ("k8s:Pod", "kubectl get pods -A"),
    ("k8s:Service", "kubectl get services -A"),
    ("k8s:Ingress", "kubectl get ingresses -A"),
    ("k8s:NetworkPolicy", "kubectl get networkpolicies -A"),
    ("k8s:Namespace", "kubectl get namespaces"),
    ("k8s:Endpoints", "kubectl get endpoints -n default kubernetes"),
    (
        "k8s:rbac",
        "kubectl get clusterroles,roles,clusterrolebindings,rolebindings -A",
    ),
    ("k8s:ConfigMap", "kubectl get configmap -n kube-system aws-auth"),
    (
        "k8s:workload",
        "kubectl get deployments,daemonsets,statefulsets,jobs,cronjobs -A, or manifests",
    ),
    (
        "k8s:ValidatingWebhookConfiguration",
        "kubectl get validatingwebhookconfigurations",
    ),
    ("k8s:ClusterPolicy", "kubectl get clusterpolicies"),
    (
        "k8s:KubeletConfiguration",
        "kubectl get --raw /api/v1/nodes/NODE/proxy/configz, or the kubelet's configuration file",
    ),
    ("docker:info", "docker info"),
    ("docker:daemon", "/etc/docker/daemon.json"),
    ("docker:unit", "systemctl cat docker.service docker.socket"),
    ("docker:container", "docker inspect $(docker ps -q)"),
    ("host:iptables", "iptables-save"),
    ("host:ip6tables", "ip6tables-save"),
    ("host:nft", "nft -j list ruleset"),
    ("host:vendor", "cat /sys/class/dmi/id/sys_vendor"),
    ("host:image-policy", "/etc/containers/policy.json"),
    ("code:dockerfile", "Dockerfile"),
    ("code:compose", "compose.yaml"),
    ("code:terraform", "*.tf"),
];

/// The command that prints items of a kind, or the file that they stand in.
pub(crate) fn command(kind: &'static str) -> &'static str {
    let found = COMMANDS.iter().find(|(name, _)| *name == kind);
    found.map_or(kind, |(_, command)| command)
}

/// The kinds that a command of a collection prints: `ec2 describe-instances`, `compute instances list`.
pub(super) fn of_call(call: &str) -> impl Iterator<Item = &'static str> {
    let fits = move |command: &str| {
        let rest = command.split_once(' ').map_or(command, |(_, rest)| rest);
        !call.is_empty()
            && (rest == call
                || rest.strip_prefix(call).is_some_and(|rest| rest.starts_with(' '))
                || command == call)
    };
    COMMANDS
        .iter()
        .filter(move |(_, command)| fits(command))
        .map(|(kind, _)| *kind)
}

/// Lists in answers of AWS: the key, a key of each item that holds a list again, a field that items have, and the kind.
type AwsList = (&'static str, Option<&'static str>, &'static str, &'static str);

const AWS_LISTS: &[AwsList] = &[
    ("Reservations", Some("Instances"), "InstanceId", "aws:instance"),
    (
        "LaunchTemplateVersions",
        None,
        "LaunchTemplateId",
        "aws:launch-template-version",
    ),
    (
        "LaunchConfigurations",
        None,
        "LaunchConfigurationName",
        "aws:launch-configuration",
    ),
    ("LoadBalancers", None, "LoadBalancerArn", "aws:load-balancer"),
    ("Images", None, "ImageId", "aws:image"),
    ("Snapshots", None, "SnapshotId", "aws:snapshot"),
    ("DBSnapshots", None, "DBSnapshotIdentifier", "aws:db-snapshot"),
    (
        "DBClusterSnapshots",
        None,
        "DBClusterSnapshotIdentifier",
        "aws:db-cluster-snapshot",
    ),
    ("repositories", None, "repositoryArn", "aws:repository"),
    ("Accounts", None, "Id", "aws:organization-account"),
];

const AWS_OBJECTS: &[(&str, &str)] = &[
    ("AccountLevel", "aws:metadata-defaults"),
    ("WebACL", "aws:web-acl"),
    ("ResourceArns", "aws:web-acl-resources"),
    ("CreateVolumePermissions", "aws:snapshot-attribute"),
    ("LaunchPermissions", "aws:image-attribute"),
    ("ImageBlockPublicAccessState", "aws:image-block"),
    ("EbsEncryptionByDefault", "aws:ebs-encryption-default"),
    ("DBSnapshotAttributesResult", "aws:db-snapshot-attribute"),
    (
        "DBClusterSnapshotAttributesResult",
        "aws:db-cluster-snapshot-attribute",
    ),
    ("associatedAccessPolicies", "aws:eks-access-policies"),
];

/// Kinds whose lists do not tell what they are when they are empty, by names of files.
const EMPTY: &[(&str, &str)] = &[
    ("vm-list", "azure:microsoft.compute/virtualmachines"),
    ("vmss-list", "azure:microsoft.compute/virtualmachinescalesets"),
    ("snapshot-list", "azure:microsoft.compute/snapshots"),
    ("disk-list", "azure:microsoft.compute/disks"),
    ("sig-list", "azure:microsoft.compute/galleries"),
    ("aks-list", "azure:microsoft.containerservice/managedclusters"),
    ("acr-list", "azure:microsoft.containerregistry/registries"),
    (
        "network-application-gateway-waf-policy-list",
        "azure:microsoft.network/applicationgatewaywebapplicationfirewallpolicies",
    ),
    (
        "network-application-gateway-list",
        "azure:microsoft.network/applicationgateways",
    ),
    (
        "network-front-door-waf-policy-list",
        "azure:microsoft.network/frontdoorwebapplicationfirewallpolicies",
    ),
    ("compute-instances-list", "gcp:compute#instance"),
    ("container-clusters-list", "gcp:cluster"),
    ("compute-backend-services-list", "gcp:compute#backendService"),
    ("compute-images-list", "gcp:compute#image"),
    ("compute-security-policies-list", "gcp:compute#securityPolicy"),
    ("asset-search-all-iam-policies", "gcp:resource-policy"),
    ("image-list", "openstack:image"),
];

/// What a JSON value holds: kinds with their items. `None` says that it is none that is known. A kind without items was
/// collected, and there are none.
pub(super) fn of_json(value: Value, stem: &str) -> Option<Vec<(String, Vec<Value>)>> {
    let name = |kind: &str| kind.to_owned();
    if let Some(&(key, inner, field, kind)) = AWS_LISTS.iter().find(|(key, ..)| {
        value
            .get(*key)
            .is_some_and(|list| list.is_array() && value.get("apiVersion").is_none())
    }) {
        let outer = list(&value, &format!("/{key}"));
        let mut items: Vec<Value> = Vec::new();
        for one in outer {
            match inner {
                None => items.push(one.clone()),
                Some(inner) => {
                    for item in list(one, &format!("/{inner}")) {
                        let mut item = item.clone();
                        // The account stands beside the list.
                        if let (Some(object), Some(owner)) = (item.as_object_mut(), one.get("OwnerId")) {
                            object.insert("OwnerId".to_owned(), owner.clone());
                        }
                        items.push(item);
                    }
                }
            }
        }
        return items
            .iter()
            .all(|item| item.get(field).is_some())
            .then(|| vec![(name(kind), items)]);
    }
    // Answers that were merged into one object are all of them.
    let objects = AWS_OBJECTS.iter().filter(|(key, _)| value.get(*key).is_some());
    let objects: Vec<_> = objects
        .map(|(_, kind)| (name(kind), vec![value.clone()]))
        .collect();
    if !objects.is_empty() {
        return Some(objects);
    }
    if ["block-all-sharing", "block-new-sharing", "unblocked"].contains(&text(&value, "/State"))
        && value.as_object().is_some_and(|object| object.len() <= 2)
    {
        return Some(vec![(name("aws:snapshot-block"), vec![value])]);
    }
    if text(&value, "/cluster/arn").contains(":eks:") {
        return Some(vec![(name("aws:eks-cluster"), vec![value])]);
    }
    if value.get("nftables").is_some_and(Value::is_array) {
        return Some(vec![(name("host:nft"), vec![value])]);
    }
    if let Some(inner) = value.get("kubeletconfig") {
        return Some(vec![(name("k8s:KubeletConfiguration"), vec![inner.clone()])]);
    }
    if value.get("default").is_some_and(Value::is_array)
        && (value.get("transports").is_some() || has(&value, "/default/0/type"))
    {
        return Some(vec![(name("host:image-policy"), vec![value])]);
    }
    // Its own name, and that under which it is collected.
    if matches!(stem, "daemon" | "docker-daemon") && value.is_object() {
        return Some(vec![(name("docker:daemon"), vec![value])]);
    }
    let values = match value {
        Value::Array(values) => values,
        Value::Object(mut object)
            if object.contains_key("apiVersion") && object.get("items").is_some_and(Value::is_array) =>
        {
            match object.remove("items") {
                Some(Value::Array(items)) if items.is_empty() => return Some(of_empty(stem)),
                Some(Value::Array(items)) => items,
                _ => return None,
            }
        }
        other => vec![other],
    };
    if values.is_empty() {
        let found = of_empty(stem);
        return (!found.is_empty()).then_some(found);
    }
    let mut found: Vec<(String, Vec<Value>)> = Vec::new();
    for value in values {
        let kind = of_one(&value)?;
        let value = match kind.starts_with("azure:") {
            true => flattened(value),
            false => value,
        };
        match found.iter_mut().find(|(name, _)| *name == kind) {
            Some((_, items)) => items.push(value),
            None => found.push((kind, vec![value])),
        }
    }
    Some(found)
}

/// The kind of an empty list, which only the file's name can tell.
fn of_empty(stem: &str) -> Vec<(String, Vec<Value>)> {
    let by_table = EMPTY.iter().find(|(name, _)| *name == stem);
    let kubernetes = match stem {
        "pods" => Some("k8s:Pod"),
        "services" => Some("k8s:Service"),
        "ingresses" => Some("k8s:Ingress"),
        "networkpolicies" => Some("k8s:NetworkPolicy"),
        "rbac" => Some("k8s:rbac"),
        "clusterpolicies" => Some("k8s:ClusterPolicy"),
        "validatingwebhookconfigurations" => Some("k8s:ValidatingWebhookConfiguration"),
        _ => None,
    };
    let kind = by_table.map(|(_, kind)| *kind).or(kubernetes);
    kind.into_iter()
        .map(|kind| (kind.to_owned(), Vec::new()))
        .collect()
}

/// The kind of one object that says itself what it is.
fn of_one(value: &Value) -> Option<String> {
    if !text(value, "/apiVersion").is_empty() && !text(value, "/kind").is_empty() {
        return Some(format!("k8s:{}", text(value, "/kind")));
    }
    let id = text(value, "/id");
    if id.starts_with("/subscriptions/") {
        let kind = match text(value, "/type") {
            "" => kind_of_azure_id(id)?,
            written => written.to_owned(),
        };
        return Some(format!("azure:{}", kind.to_lowercase()));
    }
    let kind = text(value, "/kind");
    if kind.starts_with("compute#") {
        return Some(format!("gcp:{kind}"));
    }
    if text(value, "/selfLink").contains("container.googleapis.com/")
        && text(value, "/selfLink").contains("/clusters/")
    {
        return Some("gcp:cluster".to_owned());
    }
    if text(value, "/resource").starts_with("//") && has(value, "/policy/bindings") {
        return Some("gcp:resource-policy".to_owned());
    }
    if has(value, "/Visibility") && has(value, "/ID") && has(value, "/Container Format") {
        return Some("openstack:image".to_owned());
    }
    if has(value, "/container_format") && has(value, "/visibility") {
        return Some("openstack:image-details".to_owned());
    }
    if has(value, "/ServerVersion") && has(value, "/Driver") {
        return Some("docker:info".to_owned());
    }
    if has(value, "/HostConfig") && has(value, "/State") && has(value, "/Id") {
        return Some("docker:container".to_owned());
    }
    if has(value, "/RootFS") && has(value, "/Id") {
        return Some("docker:image".to_owned());
    }
    if has(value, "/dst") && has(value, "/dev") {
        return Some("host:route".to_owned());
    }
    None
}

/// `/subscriptions/S/resourceGroups/G/providers/Microsoft.Compute/disks/D` to `Microsoft.Compute/disks`.
fn kind_of_azure_id(id: &str) -> Option<String> {
    let (_, rest) = id.rsplit_once("/providers/")?;
    let mut parts = rest.split('/');
    let mut kind = parts.next()?.to_owned();
    while let (Some(part), Some(_)) = (parts.next(), parts.next()) {
        kind.push('/');
        kind.push_str(part);
    }
    kind.contains('/').then_some(kind)
}

/// The REST interface keeps under `properties` what the command-line tool prints outside.
fn flattened(mut value: Value) -> Value {
    if let Some(object) = value.as_object_mut()
        && let Some(Value::Object(inner)) = object.remove("properties")
    {
        for (key, value) in inner {
            object.entry(key).or_insert(value);
        }
    }
    value
}
