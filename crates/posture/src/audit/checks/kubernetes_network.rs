//! What pods reach: the metadata address of the node's cloud, and the API server.
//!
//! <https://kubernetes.io/docs/concepts/services-networking/network-policies/>

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use crate::audit::at::{has, is_true, list, text, texts, word};
use crate::audit::check::{Check, Platform, Severity};
use crate::audit::collected::{Collected, Item, Scope};
use crate::audit::finding::{Finding, Found, Outcome};

const METADATA_ADDRESS: &str = "169.254.169.254";

pub(crate) static METADATA: Check = Check {
    id: "k8s-metadata-egress",
    title: "pods do not reach the metadata address of the node's cloud",
    row: "A5",
    techniques: &["T1552.005"],
    mitigations: &["M1035", "M1037"],
    severity: Severity::High,
    platform: Platform::Kubernetes,
    needs: &["k8s:NetworkPolicy"],
    reads: &["k8s:Pod", "k8s:workload"],
    why: "A pod that reaches the metadata address gets the credentials of its node, which are those of every pod on it and more.",
    ask: metadata,
};

pub(crate) static API: Check = Check {
    id: "k8s-api-egress",
    title: "pods without a token do not reach the API server",
    row: "E4",
    techniques: &["T1613"],
    mitigations: &["M1030", "M1035"],
    severity: Severity::Low,
    platform: Platform::Kubernetes,
    needs: &["k8s:NetworkPolicy", "k8s:Endpoints"],
    reads: &["k8s:Pod", "k8s:workload"],
    why: "What never asks the API server has no reason to reach it; an attacker in the pod has.",
    ask: api,
};

/// What runs pods.
pub(super) struct Workload<'a> {
    pub(super) item: &'a Item,
    /// `deployment web/api`
    pub(super) name: String,
    pub(super) namespace: &'a str,
    labels: &'a Value,
    pub(super) specification: &'a Value,
}

/// Everything that runs pods; what another of them made is left out where that one is there.
pub(super) fn all_workloads(all: &Collected) -> Vec<Workload<'_>> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for (kind, pointer) in [
        ("k8s:Deployment", "/spec/template"),
        ("k8s:DaemonSet", "/spec/template"),
        ("k8s:StatefulSet", "/spec/template"),
        ("k8s:ReplicaSet", "/spec/template"),
        ("k8s:ReplicationController", "/spec/template"),
        ("k8s:Job", "/spec/template"),
        ("k8s:CronJob", "/spec/jobTemplate/spec/template"),
        ("k8s:Pod", ""),
    ] {
        for item in all.items(kind) {
            let template = item.value.pointer(pointer).unwrap_or(&Value::Null);
            let owner = text(&item.value, "/metadata/ownerReferences/0/kind");
            // Whether what made it was collected of the same cluster.
            let there = |kind: &str| all.of_scope(kind, &item.scope).next().is_some();
            let is_made = match owner {
                "" | "Node" => false,
                "ReplicaSet" => there("k8s:Deployment") || kind == "k8s:Pod" && there("k8s:ReplicaSet"),
                other => there(&format!("k8s:{other}")),
            };
            if is_made {
                continue;
            }
            let namespace = match text(&item.value, "/metadata/namespace") {
                "" => "default",
                namespace => namespace,
            };
            let word = kind.strip_prefix("k8s:").unwrap_or(kind).to_lowercase();
            // Names of pods that something made change from run to run.
            let name = match text(&item.value, "/metadata/generateName") {
                "" => text(&item.value, "/metadata/name"),
                generated => generated.trim_end_matches('-'),
            };
            let name = format!("{word} {namespace}/{name}");
            // Pods that one thing made are alike.
            if kind == "k8s:Pod" && !owner.is_empty() && !seen.insert((&item.scope, &item.file, name.clone()))
            {
                continue;
            }
            found.push(Workload {
                item,
                name,
                namespace,
                labels: template.pointer("/metadata/labels").unwrap_or(&Value::Null),
                specification: template.pointer("/spec").unwrap_or(&Value::Null),
            });
        }
    }
    found
}

/// Everything that runs pods: the item, its name, and the specification of its pods.
pub(super) fn workloads(all: &Collected) -> impl Iterator<Item = (&Item, String, &Value)> {
    all_workloads(all)
        .into_iter()
        .map(|workload| (workload.item, workload.name, workload.specification))
}

fn metadata(all: &Collected, found: &mut Found) {
    let Ok(address) = METADATA_ADDRESS.parse() else {
        return;
    };
    for scope in all.scopes(Platform::Kubernetes) {
        // Nodes that no cloud runs have no metadata service.
        let mut nodes = all.of_scope("k8s:Node", scope).peekable();
        let is_cloud = |item: &Item| {
            let provider = text(&item.value, "/spec/providerID");
            [
                "aws://",
                "gce://",
                "azure://",
                "openstack://",
                "alicloud",
                "digitalocean://",
                "ibm://",
            ]
            .iter()
            .any(|start| provider.starts_with(start))
        };
        if nodes.peek().is_some() && !nodes.any(is_cloud) {
            continue;
        }
        ask(
            all,
            found,
            scope,
            &[(address, 80)],
            "the metadata address",
            |finding, workload| {
                finding
                .mend("# let pods of the namespace go anywhere but to link-local addresses; name narrower destinations where they are known")
                .mend(format!("kubectl apply -n {} -f - <<'EOF'", word(workload.namespace)))
                .mend(
                    "{\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":\"NetworkPolicy\",\"metadata\":{\"name\":\"no-metadata\"},\"spec\":{\"podSelector\":{},\
                     \"policyTypes\":[\"Egress\"],\"egress\":[{\"to\":[{\"ipBlock\":{\"cidr\":\"0.0.0.0/0\",\"except\":[\"169.254.0.0/16\"]}}]},\
                     {\"to\":[{\"namespaceSelector\":{}}]}]}}",
                )
                .mend("EOF");
            },
        );
    }
}

fn api(all: &Collected, found: &mut Found) {
    for scope in all.scopes(Platform::Kubernetes) {
        let mut addresses: Vec<(IpAddr, u16)> = Vec::new();
        for item in all.of_scope("k8s:Endpoints", scope) {
            if text(&item.value, "/metadata/name") != "kubernetes"
                || text(&item.value, "/metadata/namespace") != "default"
            {
                continue;
            }
            for subset in list(&item.value, "/subsets") {
                let port = subset
                    .pointer("/ports/0/port")
                    .and_then(Value::as_u64)
                    .unwrap_or(443);
                let own = list(subset, "/addresses")
                    .iter()
                    .filter_map(|address| text(address, "/ip").parse().ok());
                addresses.extend(own.map(|address| (address, u16::try_from(port).unwrap_or(443))));
            }
        }
        if addresses.is_empty() {
            continue;
        }
        ask(
            all,
            found,
            scope,
            &addresses,
            "the API server",
            |finding, workload| {
                finding.mend(format!(
                "# a network policy for egress in the namespace {} that names what its pods need; all else is closed then",
                workload.namespace
            ));
            },
        );
    }
}

/// Kinds of other policies that may close what network policies leave open.
const OTHER_POLICIES: [&str; 6] = [
    "k8s:CiliumNetworkPolicy",
    "k8s:CiliumClusterwideNetworkPolicy",
    "k8s:GlobalNetworkPolicy",
    "k8s:AdminNetworkPolicy",
    "k8s:BaselineAdminNetworkPolicy",
    "k8s:ClusterNetworkPolicy",
];

fn ask(
    all: &Collected,
    found: &mut Found,
    scope: &Scope,
    addresses: &[(IpAddr, u16)],
    whom: &str,
    mend: impl Fn(&mut Finding, &Workload<'_>),
) {
    let is_api = whom.contains("API");
    if !all.was_asked("k8s:NetworkPolicy", scope) {
        return;
    }
    let others = OTHER_POLICIES
        .iter()
        .find(|kind| all.of_scope(kind, scope).next().is_some());
    for workload in all_workloads(all)
        .iter()
        .filter(|workload| workload.item.scope.fits(scope))
    {
        let has_token =
            workload.specification.pointer("/automountServiceAccountToken") != Some(&Value::Bool(false));
        if is_api && has_token {
            continue;
        }
        if is_true(workload.specification, "/hostNetwork") {
            if !is_api {
                found
                    .add(
                        Outcome::Unknown,
                        scope,
                        workload.name.as_str(),
                        "it uses the network of its node, whose firewall decides",
                    )
                    .seen(workload.item, "spec.hostNetwork", true);
            }
            continue;
        }
        let selecting: Vec<&Item> = all
            .of_scope("k8s:NetworkPolicy", scope)
            .filter(|policy| selects(policy, workload))
            .collect();
        let open = selecting.iter().find(|policy| allows(&policy.value, addresses));
        match (selecting.is_empty(), open, others) {
            (true, _, Some(kind)) | (false, Some(_), Some(kind)) => {
                let kind = kind.strip_prefix("k8s:").unwrap_or(kind);
                let what = format!(
                    "network policies leave {whom} open; objects of the kind {kind} may close it, and are not evaluated"
                );
                found.add(Outcome::Unknown, scope, workload.name.as_str(), what);
            }
            (true, ..) => {
                let what = format!("no network policy limits where its pods go, {whom} included");
                let finding = found.add(Outcome::Fail, scope, workload.name.as_str(), what);
                finding.seen(workload.item, "metadata.labels", workload.labels.to_string());
                mend(finding, workload);
            }
            (false, Some(policy), _) => {
                let name = text(&policy.value, "/metadata/name");
                let what = format!("the network policy `{name}` lets its pods reach {whom}");
                let finding = found.add(Outcome::Fail, scope, workload.name.as_str(), what);
                finding.seen(
                    policy,
                    "spec.egress",
                    policy
                        .value
                        .pointer("/spec/egress")
                        .map(Value::to_string)
                        .unwrap_or_default(),
                );
                mend(finding, workload);
            }
            (false, None, _) => {
                let names: Vec<&str> = selecting
                    .iter()
                    .map(|policy| text(&policy.value, "/metadata/name"))
                    .collect();
                let what = format!("network policies keep its pods from {whom}");
                let finding = found.add(Outcome::Pass, scope, workload.name.as_str(), what);
                if let Some(first) = selecting.first() {
                    finding.seen(first, "metadata.name", names.join(", "));
                }
            }
        }
    }
}

/// Whether a policy limits what goes out of the workload's pods.
fn selects(policy: &Item, workload: &Workload<'_>) -> bool {
    let namespace = match text(&policy.value, "/metadata/namespace") {
        "" => "default",
        namespace => namespace,
    };
    let kinds = texts(&policy.value, "/spec/policyTypes");
    let is_egress = match kinds.is_empty() {
        // Without the field, rules for egress say so.
        true => has(&policy.value, "/spec/egress"),
        false => kinds.contains(&"Egress"),
    };
    is_egress
        && namespace == workload.namespace
        && fits(
            policy.value.pointer("/spec/podSelector").unwrap_or(&Value::Null),
            workload.labels,
        )
}

/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors>
fn fits(selector: &Value, labels: &Value) -> bool {
    let own = |key: &str| labels.get(key).and_then(Value::as_str);
    let wanted = selector.get("matchLabels").and_then(Value::as_object);
    wanted
        .into_iter()
        .flatten()
        .all(|(key, value)| own(key) == value.as_str() && value.is_string())
        && list(selector, "/matchExpressions").iter().all(|expression| {
            let found = own(text(expression, "/key"));
            let is_listed = found.is_some_and(|found| texts(expression, "/values").contains(&found));
            match text(expression, "/operator") {
                "In" => is_listed,
                "NotIn" => !is_listed,
                "Exists" => found.is_some(),
                "DoesNotExist" => found.is_none(),
                _ => false,
            }
        })
}

/// Whether a policy lets any of the addresses be reached by TCP.
fn allows(policy: &Value, addresses: &[(IpAddr, u16)]) -> bool {
    list(policy, "/spec/egress").iter().any(|rule| {
        addresses.iter().any(|(address, port)| {
            let peers = list(rule, "/to");
            // Pods and namespaces are never these addresses.
            let by_peer = peers.is_empty()
                || peers.iter().any(|peer| {
                    let inside = |text: &str| text.parse::<IpNet>().is_ok_and(|net| net.contains(address));
                    inside(text(peer, "/ipBlock/cidr"))
                        && !texts(peer, "/ipBlock/except").into_iter().any(inside)
                });
            let ports = list(rule, "/ports");
            let by_port = ports.is_empty()
                || ports.iter().any(|one| {
                    let is_tcp = matches!(text(one, "/protocol"), "" | "TCP");
                    let first = one.get("port").and_then(Value::as_u64);
                    let last = one.get("endPort").and_then(Value::as_u64);
                    let is_any = one.get("port").is_none_or(Value::is_null);
                    is_tcp
                        && (is_any
                            || first.is_some_and(|first| {
                                (first..=last.unwrap_or(first)).contains(&u64::from(*port))
                            }))
                });
            by_peer && by_port
        })
    })
}
