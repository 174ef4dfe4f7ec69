//! Who gets to the API server and to kubelets, before any role is asked.
//!
//! <https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/>,
//! <https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/>

use serde_json::Value;

use crate::audit::at::{has, is_true, list, text, texts, told, truth, word};
use crate::audit::check::{Check, Platform, Severity};
use crate::audit::collected::{Collected, Item};
use crate::audit::finding::{Found, Outcome};

const fn check(
    id: &'static str,
    title: &'static str,
    severity: Severity,
    needs: &'static [&'static str],
    why: &'static str,
    ask: fn(&Collected, &mut Found),
) -> Check {
    Check {
        id,
        title,
        row: "E4",
        techniques: &["T1613", "T1609"],
        mitigations: &["M1018", "M1035"],
        severity,
        platform: Platform::Kubernetes,
        needs,
        reads: &[],
        why,
        ask,
    }
}

pub(crate) static ANONYMOUS: Check = check(
    "k8s-anonymous-auth",
    "the API server takes no requests without credentials",
    Severity::Medium,
    &["k8s:Pod"],
    "Requests without credentials are those of `system:anonymous`; one careless binding then opens the cluster to everybody who reaches it.",
    |all, found| {
        of_servers(all, found, |found, item, name, flags| {
            let path = "# /etc/kubernetes/manifests/kube-apiserver.yaml, on each node of the control plane";
            match (
                flag(flags, "anonymous-auth"),
                flag(flags, "authentication-config"),
            ) {
                (Some("false"), _) => {
                    found.pass(item, name, "anonymous requests are refused").seen(
                        item,
                        "--anonymous-auth",
                        "false",
                    );
                }
                (None, Some(file)) => {
                    let what = format!("`{file}` on the node decides about anonymous requests");
                    found
                        .unknown(item, name, what)
                        .seen(item, "--authentication-config", file);
                }
                (value, _) => {
                    found
                        .fail(item, name, "anonymous requests are taken")
                        .seen(item, "--anonymous-auth", value.unwrap_or("(not set: true)"))
                        .mend(path)
                        .mend("- --anonymous-auth=false")
                        .mend("# where probes ask /livez without credentials, instead: - --authentication-config=FILE with")
                        .mend(
                            "{\"apiVersion\":\"apiserver.config.k8s.io/v1beta1\",\"kind\":\"AuthenticationConfiguration\",\"anonymous\":{\"enabled\":true,\
                             \"conditions\":[{\"path\":\"/livez\"},{\"path\":\"/readyz\"},{\"path\":\"/healthz\"}]}}",
                        );
                }
            }
        });
    },
);

pub(crate) static AUTHORIZATION: Check = check(
    "k8s-authorization-mode",
    "the API server asks roles before it does anything",
    Severity::Critical,
    &["k8s:Pod"],
    "With `AlwaysAllow`, which is what it does unless it is told otherwise, whoever gets in may do everything.",
    |all, found| {
        of_servers(all, found, |found, item, name, flags| {
            let modes = flag(flags, "authorization-mode");
            if let (None, Some(file)) = (modes, flag(flags, "authorization-config")) {
                let what = format!("`{file}` on the node decides how requests are authorised");
                found
                    .unknown(item, name, what)
                    .seen(item, "--authorization-config", file);
                return;
            }
            let is_open = modes.is_none_or(|modes| modes.split(',').any(|mode| mode == "AlwaysAllow"));
            let what = match is_open {
                true => "every request is allowed",
                false => "requests are authorised",
            };
            let finding = found.judge(!is_open, item, name, what).seen(
                item,
                "--authorization-mode",
                modes.unwrap_or("(not set: AlwaysAllow)"),
            );
            if is_open {
                finding
                    .mend(
                        "# /etc/kubernetes/manifests/kube-apiserver.yaml, on each node of the control plane",
                    )
                    .mend("- --authorization-mode=Node,RBAC");
            }
        });
    },
);

pub(crate) static INSECURE_PORT: Check = check(
    "k8s-insecure-port",
    "the API server has no port without TLS and authentication",
    Severity::Critical,
    &["k8s:Pod"],
    "Requests to that port are neither authenticated nor authorised. Releases from 1.24 on have none.",
    |all, found| {
        of_servers(all, found, |found, item, name, flags| {
            let port = flag(flags, "insecure-port").filter(|port| *port != "0");
            let address = flag(flags, "insecure-bind-address");
            let is_open = port.is_some() || address.is_some() && flag(flags, "insecure-port") != Some("0");
            let what = match is_open {
                true => "it answers without TLS and without asking who it is",
                false => "it has no insecure port",
            };
            let seen = format!(
                "--insecure-port={} --insecure-bind-address={}",
                port.unwrap_or("(not set)"),
                address.unwrap_or("(not set)")
            );
            let finding = found.judge(!is_open, item, name, what).seen(item, "flags", seen);
            if is_open {
                finding
                    .mend("# /etc/kubernetes/manifests/kube-apiserver.yaml: take both flags out, or")
                    .mend("- --insecure-port=0");
            }
        });
    },
);

pub(crate) static KUBELET_ANONYMOUS: Check = check(
    "k8s-kubelet-anonymous",
    "kubelets take no requests without credentials",
    Severity::High,
    &["k8s:KubeletConfiguration"],
    "A kubelet lists the pods of its node and runs commands in them, for whomever it lets in.",
    |all, found| {
        for (index, item) in all.items("k8s:KubeletConfiguration").iter().enumerate() {
            let name = kubelet(item, index);
            let is_open = is_true(&item.value, "/authentication/anonymous/enabled");
            let allows_all = text(&item.value, "/authorization/mode") == "AlwaysAllow";
            let what = match (is_open, allows_all) {
                (true, true) => "anybody may do anything with it",
                (true, false) => "anonymous requests are taken, and roles are asked about `system:anonymous`",
                (false, true) => "whoever has any certificate of the cluster may do anything with it",
                (false, false) => "requests are authenticated and authorised",
            };
            let finding = found
                .judge(!is_open && !allows_all, item, name, what)
                .seen(
                    item,
                    "authentication.anonymous.enabled",
                    told(&item.value, "/authentication/anonymous/enabled"),
                )
                .seen(
                    item,
                    "authorization.mode",
                    told(&item.value, "/authorization/mode"),
                );
            if is_open || allows_all {
                finding
                    .mend("# /var/lib/kubelet/config.yaml, then systemctl restart kubelet")
                    .mend("authentication: {anonymous: {enabled: false}, webhook: {enabled: true}}")
                    .mend("authorization: {mode: Webhook}");
            }
            if is_open && allows_all {
                finding.at(Severity::Critical);
            }
        }
    },
);

pub(crate) static KUBELET_READ_ONLY: Check = check(
    "k8s-kubelet-read-only-port",
    "kubelets have no port that tells everything to everybody",
    Severity::Medium,
    &["k8s:KubeletConfiguration"],
    "The read-only port lists pods with their settings, without any authentication.",
    |all, found| {
        for (index, item) in all.items("k8s:KubeletConfiguration").iter().enumerate() {
            let port = item
                .value
                .pointer("/readOnlyPort")
                .and_then(Value::as_u64)
                .unwrap_or(0);
            let what = match port {
                0 => "it has no read-only port".to_owned(),
                port => format!("it tells its pods on port {port}"),
            };
            let finding = found.judge(port == 0, item, kubelet(item, index), what).seen(
                item,
                "readOnlyPort",
                told(&item.value, "/readOnlyPort"),
            );
            if port != 0 {
                finding
                    .mend("# /var/lib/kubelet/config.yaml, then systemctl restart kubelet")
                    .mend("readOnlyPort: 0");
            }
        }
    },
);

pub(crate) static RANGES: Check = Check {
    mitigations: &["M1030", "M1035"],
    reads: &[
        "aws:eks-cluster",
        "azure:microsoft.containerservice/managedclusters",
        "gcp:cluster",
    ],
    ..check(
        "k8s-api-open",
        "the API server is not open to all addresses",
        Severity::High,
        &[],
        "What everybody reaches, everybody can try stolen tokens and new holes on.",
        ranges,
    )
};

fn kubelet(item: &Item, index: usize) -> String {
    let file = crate::audit::at::last(&item.file);
    match index {
        0 => format!("kubelet ({file})"),
        _ => format!("kubelet {} ({file})", index + 1),
    }
}

fn flag<'f>(flags: &[&'f str], name: &str) -> Option<&'f str> {
    flags.iter().rev().find_map(|flag| {
        let (own, value) = flag.trim_start_matches('-').split_once('=')?;
        (own == name).then_some(value)
    })
}

/// The API servers of clusters, by their pods.
fn of_servers(all: &Collected, found: &mut Found, judge: impl Fn(&mut Found, &Item, String, &[&str])) {
    for scope in all.scopes(Platform::Kubernetes) {
        let mut has_any = false;
        for item in all.of_scope("k8s:Pod", scope) {
            for container in list(&item.value, "/spec/containers") {
                let words: Vec<&str> = texts(container, "/command")
                    .into_iter()
                    .chain(texts(container, "/args"))
                    .collect();
                let program = words.first().map_or("", |word| crate::audit::at::last(word));
                if program != "kube-apiserver" {
                    continue;
                }
                has_any = true;
                let mut flags: Vec<&str> = words.clone();
                // `--flag value` is rare, and the same.
                let pairs: Vec<String> = words
                    .iter()
                    .zip(words.iter().skip(1))
                    .filter(|(one, other)| {
                        one.starts_with("--") && !one.contains('=') && !other.starts_with('-')
                    })
                    .map(|(one, other)| format!("{one}={other}"))
                    .collect();
                flags.extend(pairs.iter().map(String::as_str));
                judge(
                    found,
                    item,
                    format!("pod {}", text(&item.value, "/metadata/name")),
                    &flags,
                );
            }
        }
        if !has_any && all.was_asked("k8s:Pod", scope) && all.was_asked("k8s:Namespace", scope) {
            found.add(
                Outcome::Unknown,
                scope,
                "API server",
                "none of the pods is an API server; its settings are those of whoever runs the cluster",
            );
        }
    }
}

fn is_everywhere(range: &str) -> bool {
    range.ends_with("/0")
}

fn ranges(all: &Collected, found: &mut Found) {
    for item in all.items("aws:eks-cluster") {
        let settings = item
            .value
            .pointer("/cluster/resourcesVpcConfig")
            .unwrap_or(&Value::Null);
        let name = text(&item.value, "/cluster/name");
        let Some(is_public) = truth(settings, "/endpointPublicAccess") else {
            found.unknown(
                item,
                format!("eks {name}"),
                "the answer does not tell whether its endpoint is public",
            );
            continue;
        };
        let ranges = texts(settings, "/publicAccessCidrs");
        let is_open = is_public && (ranges.is_empty() || ranges.iter().any(|range| is_everywhere(range)));
        let field = "cluster.resourcesVpcConfig.publicAccessCidrs";
        let finding = found.judge(
            !is_open,
            item,
            format!("eks {name}"),
            told_ranges(is_public, is_open, &ranges),
        );
        finding
            .seen(item, "cluster.resourcesVpcConfig.endpointPublicAccess", is_public)
            .seen(item, field, ranges.join(", "));
        if is_open {
            finding.mend(format!(
                "aws eks update-cluster-config --region {} --name {} --resources-vpc-config \
                 endpointPublicAccess=true,publicAccessCidrs=YOUR_RANGE,endpointPrivateAccess=true",
                word(&item.scope.region),
                word(name)
            ));
        }
    }
    for item in all.items("azure:microsoft.containerservice/managedclusters") {
        let settings = item
            .value
            .pointer("/apiServerAccessProfile")
            .unwrap_or(&Value::Null);
        let name = text(&item.value, "/name");
        let is_public = !is_true(settings, "/enablePrivateCluster");
        // The interface says `IP`; `az` writes names of its own making.
        let mut ranges = texts(settings, "/authorizedIPRanges");
        ranges.extend(texts(settings, "/authorizedIpRanges"));
        let is_open = is_public && (ranges.is_empty() || ranges.iter().any(|range| is_everywhere(range)));
        let finding = found.judge(
            !is_open,
            item,
            format!("aks {name}"),
            told_ranges(is_public, is_open, &ranges),
        );
        finding
            .seen(
                item,
                "apiServerAccessProfile.enablePrivateCluster",
                told(settings, "/enablePrivateCluster"),
            )
            .seen(
                item,
                "apiServerAccessProfile.authorizedIpRanges",
                ranges.join(", "),
            );
        if is_open {
            let group = text(&item.value, "/resourceGroup");
            finding.mend(format!(
                "az aks update --resource-group {} --name {} --api-server-authorized-ip-ranges YOUR_RANGE",
                word(group),
                word(name)
            ));
        }
    }
    for item in all.items("gcp:cluster") {
        let name = text(&item.value, "/name");
        let newer = item
            .value
            .pointer("/controlPlaneEndpointsConfig/ipEndpointsConfig");
        let is_private = is_true(&item.value, "/privateClusterConfig/enablePrivateEndpoint")
            || newer.is_some_and(|newer| {
                truth(newer, "/enablePublicEndpoint") == Some(false)
                    || truth(newer, "/enabled") == Some(false)
            });
        let limits = newer
            .and_then(|newer| newer.pointer("/authorizedNetworksConfig"))
            .filter(|limits| has(limits, "/enabled"))
            .or_else(|| item.value.pointer("/masterAuthorizedNetworksConfig"))
            .unwrap_or(&Value::Null);
        let ranges: Vec<&str> = list(limits, "/cidrBlocks")
            .iter()
            .map(|block| text(block, "/cidrBlock"))
            .collect();
        let is_limited = is_true(limits, "/enabled") && !ranges.iter().any(|range| is_everywhere(range));
        let is_open = !is_private && !is_limited;
        let finding = found.judge(
            !is_open,
            item,
            format!("gke {name}"),
            told_ranges(!is_private, is_open, &ranges),
        );
        finding
            .seen(
                item,
                "masterAuthorizedNetworksConfig.enabled",
                told(limits, "/enabled"),
            )
            .seen(
                item,
                "masterAuthorizedNetworksConfig.cidrBlocks",
                ranges.join(", "),
            );
        if is_open {
            finding.mend(format!(
                "gcloud container clusters update {} --location {} --enable-master-authorized-networks --master-authorized-networks YOUR_RANGE",
                word(name),
                word(text(&item.value, "/location"))
            ));
        }
    }
}

fn told_ranges(is_public: bool, is_open: bool, ranges: &[&str]) -> String {
    match (is_public, is_open) {
        (_, true) => "every address reaches its API server".to_owned(),
        (false, _) => "its API server has no public address".to_owned(),
        (true, false) => format!(
            "its API server is reached from {} only",
            match ranges {
                [] => "no address outside".to_owned(),
                ranges => ranges.join(", "),
            }
        ),
    }
}
