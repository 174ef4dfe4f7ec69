//! Roles of Kubernetes that go too far, and who is above all roles.

use serde_json::Value;

use super::kubernetes_network::all_workloads;
use crate::audit::at::{is_true, list, text, texts, told, word};
use crate::audit::check::{Check, Platform, Severity};
use crate::audit::collected::{Collected, Item, Scope};
use crate::audit::finding::{Found, Outcome};
use crate::policy::kubernetes::{MASTERS as MASTERS_GROUP, Rule, Subject};

pub(crate) static ANONYMOUS_BINDING: Check = Check {
    id: "k8s-anonymous-binding",
    title: "no role is bound to those who are not known",
    row: "E4",
    techniques: &["T1613", "T1609"],
    mitigations: &["M1018"],
    severity: Severity::High,
    platform: Platform::Kubernetes,
    needs: &["k8s:rbac"],
    reads: &[],
    why: "Whatever `system:anonymous` and `system:unauthenticated` may do, everybody may do who reaches the API server; with some providers \
          `system:authenticated` is everybody with any account.",
    ask: anonymous,
};

pub(crate) static WILDCARD: Check = Check {
    id: "k8s-wildcard-rbac",
    title: "bound roles name what they allow",
    row: "E4",
    techniques: &["T1613", "T1609", "T1610"],
    mitigations: &["M1018"],
    severity: Severity::High,
    platform: Platform::Kubernetes,
    needs: &["k8s:rbac"],
    reads: &[],
    why: "A wildcard allows what nobody thought of, secrets and kinds that come later included.",
    ask: wildcard,
};

pub(crate) static MASTERS: Check = Check {
    id: "k8s-system-masters",
    title: "nobody is put into system:masters, or is administrator by a way around roles",
    row: "E4",
    techniques: &["T1613", "T1609"],
    mitigations: &["M1018"],
    severity: Severity::Medium,
    platform: Platform::Kubernetes,
    needs: &["k8s:rbac"],
    reads: &[
        "k8s:ConfigMap",
        "aws:eks-access-policies",
        "azure:microsoft.containerservice/managedclusters",
        "gcp:cluster",
    ],
    why: "Members of the group may do everything, and no change of roles takes that away from them.",
    ask: masters,
};

pub(crate) static DASHBOARD: Check = Check {
    id: "k8s-dashboard-exposed",
    title: "the Kubernetes dashboard is not reached from outside, and asks for a login",
    row: "E4",
    techniques: &["T1613"],
    mitigations: &["M1018", "M1035"],
    severity: Severity::High,
    platform: Platform::Kubernetes,
    needs: &["k8s:Service"],
    reads: &["k8s:Ingress", "k8s:Pod", "k8s:workload", "k8s:rbac"],
    why: "Open dashboards were how whole clusters were taken over: they show everything their account may see, and start what it may start.",
    ask: dashboard,
};

/// A binding as it stands.
struct Bound<'a> {
    item: &'a Item,
    /// `clusterrolebinding NAME`
    name: String,
    /// `cluster-admin`
    role: &'a str,
    subjects: Vec<Subject>,
    is_everywhere: bool,
}

fn bindings<'a>(all: &'a Collected, scope: &'a Scope) -> Vec<Bound<'a>> {
    let mut found = Vec::new();
    for item in all.of_scope("k8s:rbac", scope) {
        let value = &item.value;
        let is_everywhere = match text(value, "/kind") {
            "ClusterRoleBinding" => true,
            "RoleBinding" => false,
            _ => continue,
        };
        let (name, namespace) = (text(value, "/metadata/name"), text(value, "/metadata/namespace"));
        let name = match is_everywhere {
            true => format!("clusterrolebinding {name}"),
            false => format!("rolebinding {namespace}/{name}"),
        };
        let subjects = list(value, "/subjects").iter().filter_map(|subject| {
            let name = text(subject, "/name").to_owned();
            match text(subject, "/kind") {
                "User" => Some(Subject::User(name)),
                "Group" => Some(Subject::Group(name)),
                "ServiceAccount" => {
                    let own = match text(subject, "/namespace") {
                        "" => namespace,
                        own => own,
                    };
                    Some(Subject::ServiceAccount(own.to_owned(), name))
                }
                _ => None,
            }
        });
        found.push(Bound {
            item,
            name,
            role: text(value, "/roleRef/name"),
            subjects: subjects.collect(),
            is_everywhere,
        });
    }
    found
}

/// Roles that every cluster binds so: they tell versions and what kinds of objects there are.
/// <https://kubernetes.io/docs/reference/access-authn-authz/rbac/#discovery-roles>
const DISCOVERY: [&str; 4] = [
    "system:public-info-viewer",
    "system:discovery",
    "system:basic-user",
    "kubeadm:bootstrap-signer-clusterinfo",
];

fn delete(bound: &Bound<'_>) -> String {
    let (kind, name) = bound
        .name
        .split_once(' ')
        .unwrap_or(("clusterrolebinding", &bound.name));
    match name.split_once('/') {
        Some((namespace, name)) if !bound.is_everywhere => {
            format!("kubectl delete {kind} -n {} {}", word(namespace), word(name))
        }
        _ => format!("kubectl delete {kind} {}", word(name)),
    }
}

fn anonymous(all: &Collected, found: &mut Found) {
    for scope in all.scopes(Platform::Kubernetes) {
        if !all.was_asked("k8s:rbac", scope) {
            continue;
        }
        let mut is_clean = true;
        for bound in bindings(all, scope) {
            let (unknown, known): (Vec<&Subject>, Vec<&Subject>) = bound
                .subjects
                .iter()
                .filter(|subject| {
                    matches!(subject, Subject::User(name) if name == "system:anonymous")
                        || matches!(subject, Subject::Group(name) if name == "system:unauthenticated" || name == "system:authenticated")
                })
                .partition(|subject| !matches!(subject, Subject::Group(name) if name == "system:authenticated"));
            let is_default = DISCOVERY.contains(&bound.role);
            let is_public_info = matches!(
                bound.role,
                "system:public-info-viewer" | "kubeadm:bootstrap-signer-clusterinfo"
            );
            let who = match (unknown.first(), known.first()) {
                (Some(who), _) if !is_public_info => who,
                (None, Some(who)) if !is_default => who,
                _ => continue,
            };
            is_clean = false;
            let what = format!("{who} has the role `{}`", bound.role);
            let finding = found.add(Outcome::Fail, scope, bound.name.as_str(), what);
            finding
                .seen(bound.item, "roleRef.name", bound.role)
                .seen(bound.item, "subjects", told(&bound.item.value, "/subjects"))
                .mend(delete(&bound));
            if is_default {
                // What old releases bound so.
                finding.at(Severity::Low);
            } else if bound.role == "cluster-admin" {
                finding.at(Severity::Critical);
            }
        }
        if is_clean {
            found.add(
                Outcome::Pass,
                scope,
                "bindings",
                "no role but those of discovery is bound to unknown users",
            );
        }
    }
}

fn has_wildcard(rule: &Rule) -> (bool, bool) {
    let has = |list: &[String]| list.iter().any(|own| own == "*");
    (has(&rule.verbs), has(&rule.resources))
}

fn wildcard(all: &Collected, found: &mut Found) {
    for scope in all.scopes(Platform::Kubernetes) {
        let values: Vec<Value> = all
            .of_scope("k8s:rbac", scope)
            .map(|item| item.value.clone())
            .collect();
        if values.is_empty() {
            continue;
        }
        let mut problems = crate::inventory::Problems::default();
        let cluster = crate::policy::kubernetes::read(&scope.account, &values, &mut problems);
        let raw = bindings(all, scope);
        for binding in &cluster.bindings {
            let Some(bound) = raw.iter().find(|bound| bound.name == binding.name) else {
                continue;
            };
            // What the control plane itself is bound to.
            let own_of_system = |subject: &Subject| match subject {
                Subject::User(name) => name.starts_with("system:"),
                Subject::Group(name) => name == MASTERS_GROUP || name == "system:nodes",
                Subject::ServiceAccount(namespace, _) => namespace == "kube-system",
            };
            let is_system = (binding.role.starts_with("clusterrole system:")
                || bound.role == "cluster-admin")
                && binding.subjects.iter().all(own_of_system)
                && !binding.subjects.iter().any(|subject| {
                    matches!(subject, Subject::ServiceAccount(..)) && bound.role == "cluster-admin"
                });
            if is_system || binding.subjects.is_empty() {
                continue;
            }
            let worst = binding
                .rules
                .iter()
                .map(|rule| (has_wildcard(rule), rule))
                .max_by_key(|((verbs, resources), _)| (*verbs && *resources, *resources, *verbs));
            let who: Vec<String> = binding.subjects.iter().map(ToString::to_string).collect();
            let who = who.join(", ");
            let place = if bound.is_everywhere {
                "everywhere"
            } else {
                "in its namespace"
            };
            let Some(((verbs, resources), rule)) =
                worst.filter(|((verbs, resources), _)| *verbs || *resources)
            else {
                found
                    .add(
                        Outcome::Pass,
                        scope,
                        binding.name.as_str(),
                        format!("`{}` names what it allows", binding.role),
                    )
                    .seen(bound.item, "roleRef.name", bound.role);
                continue;
            };
            let what = match (verbs, resources) {
                (true, true) => format!(
                    "{who} may do everything with every kind of object {place}, by {}",
                    binding.role
                ),
                (true, false) => format!(
                    "{who} may do everything with {} {place}, by {}",
                    rule.resources.join(", "),
                    binding.role
                ),
                _ => format!(
                    "{who} may {} every kind of object {place}, by {}",
                    rule.verbs.join(", "),
                    binding.role
                ),
            };
            let finding = found.add(Outcome::Fail, scope, binding.name.as_str(), what);
            finding
                .seen(bound.item, "roleRef.name", bound.role)
                .seen(bound.item, "rules.verbs", rule.verbs.join(", "))
                .seen(bound.item, "rules.resources", rule.resources.join(", "))
                .mend("# write a role that names verbs and resources, bind it, and take this binding away")
                .mend(delete(bound));
            match (verbs, resources, bound.is_everywhere) {
                (true, true, true) => {}
                (true, true, false) | (false, true, true) => {
                    finding.at(Severity::Medium);
                }
                _ => {
                    finding.at(Severity::Low);
                }
            }
        }
    }
}

fn masters(all: &Collected, found: &mut Found) {
    for scope in all.scopes(Platform::Kubernetes) {
        let mut is_clean = true;
        for bound in bindings(all, scope) {
            let names_masters = bound
                .subjects
                .iter()
                .any(|subject| matches!(subject, Subject::Group(name) if name == MASTERS_GROUP));
            // The one that every cluster has.
            if !names_masters
                || bound.role == "cluster-admin" && bound.name == "clusterrolebinding cluster-admin"
            {
                continue;
            }
            is_clean = false;
            let what = format!(
                "it binds `{MASTERS_GROUP}`, which needs no role, so that somebody seems to count on its members"
            );
            found
                .add(Outcome::Fail, scope, bound.name.as_str(), what)
                .seen(bound.item, "subjects", told(&bound.item.value, "/subjects"))
                .mend(delete(&bound))
                .at(Severity::Low);
        }
        for item in all.of_scope("k8s:ConfigMap", scope) {
            if text(&item.value, "/metadata/name") != "aws-auth" {
                continue;
            }
            for (key, id) in [("mapRoles", "rolearn"), ("mapUsers", "userarn")] {
                let written = text(&item.value, &format!("/data/{key}"));
                if written.is_empty() {
                    continue;
                }
                let entries: Vec<Value> = match serde_saphyr::from_str(written) {
                    Ok(entries) => entries,
                    Err(_) => {
                        found.add(
                            Outcome::Unknown,
                            scope,
                            format!("aws-auth {key}"),
                            "it is no list of YAML",
                        );
                        continue;
                    }
                };
                for entry in entries {
                    if !texts(&entry, "/groups").contains(&MASTERS_GROUP) {
                        continue;
                    }
                    is_clean = false;
                    let arn = text(&entry, &format!("/{id}"));
                    found
                        .add(Outcome::Fail, scope, arn, format!("`aws-auth` puts it into `{MASTERS_GROUP}`"))
                        .seen(item, &format!("data.{key}"), entry.to_string())
                        .mend("# give it an access entry or a group with a role of its own, then take the group out:")
                        .mend("kubectl edit configmap -n kube-system aws-auth");
                }
            }
        }
        if is_clean && all.was_asked("k8s:rbac", scope) {
            found.add(
                Outcome::Pass,
                scope,
                "members",
                "no object of the cluster puts anybody into the group",
            );
        }
    }
    for item in all.items("aws:eks-access-policies") {
        let principal = text(&item.value, "/principalArn");
        for policy in list(&item.value, "/associatedAccessPolicies") {
            let is_admin = text(policy, "/policyArn").ends_with("/AmazonEKSClusterAdminPolicy");
            if !(is_admin && text(policy, "/accessScope/type") == "cluster") {
                continue;
            }
            let cluster = text(&item.value, "/clusterName");
            found
                .fail(
                    item,
                    format!("eks {cluster} {principal}"),
                    "an access entry makes it administrator of the cluster",
                )
                .seen(
                    item,
                    "associatedAccessPolicies.policyArn",
                    text(policy, "/policyArn"),
                )
                .mend(format!(
                    "aws eks disassociate-access-policy --cluster-name {} --principal-arn {} --policy-arn {}",
                    word(cluster),
                    word(principal),
                    word(text(policy, "/policyArn"))
                ))
                .at(Severity::Low);
        }
    }
    for item in all.items("azure:microsoft.containerservice/managedclusters") {
        let name = text(&item.value, "/name");
        let is_off = is_true(&item.value, "/disableLocalAccounts");
        let what = match is_off {
            true => "local accounts are off",
            false => "its local account is an administrator whom no role limits and no sign-in names",
        };
        let finding = found.judge(is_off, item, format!("aks {name}"), what).seen(
            item,
            "disableLocalAccounts",
            told(&item.value, "/disableLocalAccounts"),
        );
        if !is_off {
            finding.mend(format!(
                "az aks update --resource-group {} --name {} --disable-local-accounts",
                word(text(&item.value, "/resourceGroup")),
                word(name)
            ));
        }
    }
    for item in all.items("gcp:cluster") {
        let name = text(&item.value, "/name");
        let is_issued = !text(&item.value, "/masterAuth/clientCertificate").is_empty()
            || is_true(
                &item.value,
                "/masterAuth/clientCertificateConfig/issueClientCertificate",
            );
        let what = match is_issued {
            true => "it has a client certificate that no sign-in stands behind",
            false => "it has no client certificate",
        };
        let finding = found.judge(!is_issued, item, format!("gke {name}"), what).seen(
            item,
            "masterAuth.clientCertificateConfig.issueClientCertificate",
            told(
                &item.value,
                "/masterAuth/clientCertificateConfig/issueClientCertificate",
            ),
        );
        if is_issued {
            finding.mend(format!(
                "# certificates stay valid until the cluster's credentials are rotated: gcloud container clusters update {} --location {} --start-credential-rotation",
                word(name),
                word(text(&item.value, "/location"))
            ));
        }
    }
}

fn is_dashboard(value: &Value) -> bool {
    let labels = [
        "/metadata/labels/k8s-app",
        "/metadata/labels/app.kubernetes.io~1name",
        "/metadata/labels/app.kubernetes.io~1part-of",
        "/spec/selector/k8s-app",
    ];
    text(value, "/metadata/name").starts_with("kubernetes-dashboard")
        || labels
            .iter()
            .any(|pointer| text(value, pointer) == "kubernetes-dashboard")
}

fn dashboard(all: &Collected, found: &mut Found) {
    for scope in all.scopes(Platform::Kubernetes) {
        for item in all
            .of_scope("k8s:Service", scope)
            .filter(|item| is_dashboard(&item.value))
        {
            let (name, namespace) = (
                text(&item.value, "/metadata/name"),
                text(&item.value, "/metadata/namespace"),
            );
            let kind = text(&item.value, "/spec/type");
            let is_open = matches!(kind, "LoadBalancer" | "NodePort")
                || !list(&item.value, "/spec/externalIPs").is_empty();
            let what = match is_open {
                true => "the dashboard is reached from outside of the cluster",
                false => "the dashboard is reached from within the cluster only",
            };
            let finding = found
                .add(
                    if is_open { Outcome::Fail } else { Outcome::Pass },
                    scope,
                    format!("service {namespace}/{name}"),
                    what,
                )
                .seen(
                    item,
                    "spec.type",
                    if kind.is_empty() { "ClusterIP" } else { kind },
                );
            if is_open {
                finding.mend(format!(
                    "kubectl patch service -n {} {} -p '{{\"spec\":{{\"type\":\"ClusterIP\"}}}}'",
                    word(namespace),
                    word(name)
                ));
            }
        }
        for item in all.of_scope("k8s:Ingress", scope) {
            let rules = list(&item.value, "/spec/rules");
            let paths = rules.iter().flat_map(|rule| list(rule, "/http/paths"));
            let services: Vec<&str> = paths
                .map(|path| text(path, "/backend/service/name"))
                .chain([text(&item.value, "/spec/defaultBackend/service/name")])
                .collect();
            let Some(service) = services
                .into_iter()
                .find(|name| name.starts_with("kubernetes-dashboard"))
            else {
                continue;
            };
            let (name, namespace) = (
                text(&item.value, "/metadata/name"),
                text(&item.value, "/metadata/namespace"),
            );
            found
                .add(
                    Outcome::Fail,
                    scope,
                    format!("ingress {namespace}/{name}"),
                    "the dashboard is reached through an ingress",
                )
                .seen(item, "spec.rules.http.paths.backend.service.name", service)
                .mend(format!(
                    "kubectl delete ingress -n {} {}",
                    word(namespace),
                    word(name)
                ))
                .mend(format!(
                    "kubectl -n {} port-forward service/{} 8443:443   # instead",
                    word(namespace),
                    word(service)
                ));
        }
        for workload in all_workloads(all)
            .iter()
            .filter(|workload| workload.item.scope.fits(scope))
        {
            for container in list(workload.specification, "/containers") {
                if !text(container, "/image").contains("kubernetesui/dashboard")
                    && !text(container, "/image").contains("kubernetes-dashboard")
                {
                    continue;
                }
                let flags: Vec<&str> = texts(container, "/args")
                    .into_iter()
                    .chain(texts(container, "/command"))
                    .collect();
                let open = flags.iter().find(|flag| {
                    [
                        "--enable-skip-login",
                        "--enable-insecure-login",
                        "--disable-settings-authorizer",
                    ]
                    .iter()
                    .any(|bad| **flag == *bad || flag.strip_prefix(bad).is_some_and(|rest| rest == "=true"))
                });
                if let Some(flag) = open {
                    found
                        .add(
                            Outcome::Fail,
                            scope,
                            workload.name.as_str(),
                            "the dashboard lets people in without a login, or without TLS",
                        )
                        .seen(workload.item, "containers.args", *flag)
                        .mend(format!(
                            "# take `{flag}` out of the arguments of {}",
                            workload.name
                        ));
                }
            }
        }
        for bound in bindings(all, scope) {
            let holder = bound.subjects.iter().find(
                |subject| matches!(subject, Subject::ServiceAccount(_, name) if name.contains("dashboard")),
            );
            if let Some(holder) = holder.filter(|_| bound.role == "cluster-admin") {
                found
                    .add(
                        Outcome::Fail,
                        scope,
                        bound.name.as_str(),
                        format!(
                            "{holder} is administrator of the cluster, and so is whoever uses the dashboard"
                        ),
                    )
                    .seen(bound.item, "roleRef.name", bound.role)
                    .mend(delete(&bound));
            }
        }
    }
}
