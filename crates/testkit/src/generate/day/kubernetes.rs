//! Audit logs of five Kubernetes clusters.
//! <https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/>

use serde_json::{Value, json};

use super::{Life, MINUTE, SECOND, iso};

/// Who asks, in which groups, from where and by what.
#[derive(Clone, Copy)]
struct Caller<'a> {
    name: &'a str,
    groups: &'a [&'a str],
    address: &'a str,
    agent: &'a str,
}

const CONTROLLERS: &[&str] = &[
    "system:serviceaccounts",
    "system:serviceaccounts:kube-system",
    "system:authenticated",
];
const PEOPLE: &[&str] = &["engineers", "system:authenticated"];
const KUBECTL: &str = "kubectl/v1.30.2 (darwin/arm64) kubernetes/3968350";

/// Verb, resource, namespace, name, and what is sent.
type Request<'a> = (&'a str, &'a str, &'a str, &'a str, Value);

fn ask(
    life: &mut Life<'_>,
    time: i64,
    cluster: usize,
    caller: Caller<'_>,
    (verb, resource, namespace, name, body): Request<'_>,
) {
    let (resource, sub) = resource
        .split_once('/')
        .map_or((resource, None), |(resource, sub)| (resource, Some(sub)));
    let group = match resource {
        "deployments" | "daemonsets" | "statefulsets" | "replicasets" => "apps",
        "cronjobs" | "jobs" => "batch",
        "leases" => "coordination.k8s.io",
        "roles" | "rolebindings" | "clusterroles" | "clusterrolebindings" => "rbac.authorization.k8s.io",
        "selfsubjectaccessreviews" | "selfsubjectrulesreviews" => "authorization.k8s.io",
        "applications" => "argoproj.io",
        _ => "",
    };
    let root = if group.is_empty() {
        "/api/v1".to_owned()
    } else {
        format!("/apis/{group}/v1")
    };
    let mut uri = root;
    if !namespace.is_empty() {
        uri = format!("{uri}/namespaces/{namespace}");
    }
    uri = format!("{uri}/{resource}");
    for part in [Some(name).filter(|name| !name.is_empty()), sub]
        .into_iter()
        .flatten()
    {
        uri = format!("{uri}/{part}");
    }
    let mut reference = json!({"resource": resource, "apiVersion": "v1"});
    for (key, value) in [
        ("namespace", namespace),
        ("name", name),
        ("apiGroup", group),
        ("subresource", sub.unwrap_or("")),
    ] {
        if !value.is_empty() {
            reference[key] = json!(value);
        }
    }
    let mut record = json!({
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": if body.is_null() { "Metadata" } else { "RequestResponse" },
        "auditID": life.uuid(),
        "stage": "ResponseComplete",
        "requestURI": uri,
        "verb": verb,
        "user": {"username": caller.name, "groups": caller.groups},
        "sourceIPs": [caller.address],
        "userAgent": caller.agent,
        "objectRef": reference,
        "responseStatus": {"metadata": {}, "code": if verb == "create" { 201 } else { 200 }},
        "requestReceivedTimestamp": iso(time),
        "stageTimestamp": iso(time + 20),
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
        "cluster": {"name": format!("cluster-{cluster}")},
    });
    if let Some(record) = record.as_object_mut() {
        record.remove("cluster");
        if !body.is_null() {
            record.insert("requestObject".to_owned(), body);
        }
    }
    life.tell(time, "kubernetes-audit", record);
}

pub(super) fn live(life: &mut Life<'_>) {
    for cluster in 0..5 {
        machinery(life, cluster);
        products(life, cluster);
        people(life, cluster);
    }
}

/// What goes on all the time.
fn machinery(life: &mut Life<'_>, cluster: usize) {
    for _ in 0..life.often(2000).min(400) {
        let time = life.any_time();
        let node = format!("system:node:ip-10-{cluster}-0-{}", life.random.below(60));
        let address = format!("10.{cluster}.0.{}", life.random.below(60));
        let (name, groups, agent, request): (&str, &[&str], &str, Request<'_>) = match life.random.below(7) {
            0 => (
                &node,
                &["system:nodes", "system:authenticated"],
                "kubelet/v1.30.2 (linux/amd64) kubernetes/3968350",
                ("get", "nodes", "", "node", Value::Null),
            ),
            1 => (
                &node,
                &["system:nodes", "system:authenticated"],
                "kubelet/v1.30.2 (linux/amd64) kubernetes/3968350",
                ("patch", "pods/status", "shop", "shop-1", Value::Null),
            ),
            2 => (
                "system:kube-controller-manager",
                &["system:authenticated"],
                "kube-controller-manager/v1.30.2 (linux/amd64) kubernetes/3968350/leader-election",
                (
                    "update",
                    "leases",
                    "kube-system",
                    "kube-controller-manager",
                    Value::Null,
                ),
            ),
            3 => (
                "system:serviceaccount:kube-system:replicaset-controller",
                CONTROLLERS,
                "kube-controller-manager/v1.30.2 (linux/amd64) kubernetes/3968350/system:serviceaccount:kube-system:replicaset-controller",
                (
                    "create",
                    "pods",
                    "shop",
                    "",
                    json!({"kind": "Pod", "metadata": {"generateName": "shop-"}, "spec": {"containers": [{"name": "shop", "image": "registry.corp.example/services/service-1:4f2a91c0b7de"}]}}),
                ),
            ),
            4 => (
                "system:kube-scheduler",
                &["system:authenticated"],
                "kube-scheduler/v1.30.2 (linux/amd64) kubernetes/3968350/scheduler",
                ("create", "pods/binding", "shop", "shop-1", Value::Null),
            ),
            5 => (
                "system:serviceaccount:kube-system:coredns",
                CONTROLLERS,
                "coredns/1.11.1",
                ("watch", "services", "", "", Value::Null),
            ),
            _ => (
                "system:serviceaccount:kube-system:generic-garbage-collector",
                CONTROLLERS,
                "kube-controller-manager/v1.30.2 (linux/amd64) kubernetes/3968350/system:serviceaccount:kube-system:generic-garbage-collector",
                ("list", "configmaps", "", "", Value::Null),
            ),
        };
        ask(
            life,
            time,
            cluster,
            Caller {
                name,
                groups,
                address: &address,
                agent,
            },
            request,
        );
    }
}

/// Operators, delivery, monitoring, scanners: each lists and watches what it cares for.
fn products(life: &mut Life<'_>, cluster: usize) {
    const PRODUCTS: &[(&str, &str, &[&str])] = &[
        (
            "argocd:argocd-application-controller",
            "argocd-application-controller/v2.11.3",
            &[
                "deployments",
                "services",
                "configmaps",
                "secrets",
                "pods",
                "daemonsets",
                "statefulsets",
                "roles",
                "rolebindings",
                "namespaces",
                "applications",
            ],
        ),
        (
            "monitoring:prometheus",
            "Prometheus/2.53.0",
            &["pods", "services", "endpoints", "nodes"],
        ),
        (
            "monitoring:kube-state-metrics",
            "kube-state-metrics/v2.12.0",
            &[
                "pods",
                "services",
                "secrets",
                "configmaps",
                "nodes",
                "deployments",
                "jobs",
                "cronjobs",
                "namespaces",
            ],
        ),
        (
            "trivy-system:trivy-operator",
            "trivy-operator/v0.21.3",
            &[
                "pods",
                "secrets",
                "replicasets",
                "roles",
                "clusterroles",
                "configmaps",
                "namespaces",
            ],
        ),
        (
            "datadog:datadog-cluster-agent",
            "datadog-cluster-agent/7.55",
            &["pods", "nodes", "services", "namespaces", "events"],
        ),
        (
            "cert-manager:cert-manager",
            "cert-manager-controller/v1.15.1 (linux/amd64)",
            &["secrets", "services"],
        ),
        (
            "velero:velero-server",
            "velero-server/v1.14.0 (linux/amd64)",
            &["pods", "persistentvolumes", "secrets", "configmaps", "namespaces"],
        ),
        (
            "kubernetes-dashboard:kubernetes-dashboard",
            "dashboard/v2.7.0",
            &[
                "pods",
                "deployments",
                "services",
                "namespaces",
                "events",
                "secrets",
            ],
        ),
        (
            "external-secrets:external-secrets",
            "external-secrets/v0.9.20",
            &["secrets"],
        ),
    ];
    for (account, agent, resources) in PRODUCTS {
        let name = format!("system:serviceaccount:{account}");
        let address = format!("10.{cluster}.64.{}", account.len());
        let namespace = account.split(':').next().unwrap_or_default();
        let group = format!("system:serviceaccounts:{namespace}");
        let groups = ["system:serviceaccounts", &group, "system:authenticated"];
        let caller = Caller {
            name: &name,
            groups: &groups,
            address: &address,
            agent,
        };
        for _ in 0..life.often(100).min(6) {
            let time = life.any_time();
            for (number, resource) in (0..).zip(*resources) {
                let verb = if number % 3 == 2 { "watch" } else { "list" };
                ask(
                    life,
                    time + number * SECOND,
                    cluster,
                    caller,
                    (verb, resource, "", "", Value::Null),
                );
            }
        }
    }
    // An operator that was not there the day before, and one that was brought up to date.
    let today = life.day;
    let name = format!("system:serviceaccount:operators:operator-{cluster}-{today}");
    let agent = format!("operator-{cluster}/v0.1.{today} (linux/amd64)");
    let caller = Caller {
        name: &name,
        groups: &[
            "system:serviceaccounts",
            "system:serviceaccounts:operators",
            "system:authenticated",
        ],
        address: "10.0.64.77",
        agent: &agent,
    };
    if cluster == 1 {
        let time = life.at_work();
        for (number, resource) in (0..).zip(["pods", "secrets", "configmaps", "namespaces", "deployments"]) {
            ask(
                life,
                time + number * SECOND,
                cluster,
                caller,
                ("list", resource, "", "", Value::Null),
            );
            ask(
                life,
                time + number * SECOND,
                cluster,
                caller,
                ("watch", resource, "", "", Value::Null),
            );
        }
    }
    let agent = format!("Prometheus/2.{}.0", 54 + today);
    let caller = Caller {
        name: "system:serviceaccount:monitoring:prometheus",
        groups: &[
            "system:serviceaccounts",
            "system:serviceaccounts:monitoring",
            "system:authenticated",
        ],
        address: "10.0.64.21",
        agent: &agent,
    };
    if cluster == usize::try_from(today % 5).unwrap_or(0) {
        let time = life.at_work();
        for resource in ["pods", "services", "endpoints", "nodes"] {
            ask(
                life,
                time,
                cluster,
                caller,
                ("list", resource, "", "", Value::Null),
            );
        }
    }
    // A service that is new, from a repository that is.
    if cluster < 3 {
        let time = life.at_work();
        let image = format!("registry.corp.example/services/new-{cluster}-{today}:1");
        let body = json!({"kind": "Deployment", "spec": {"template": {"spec": {"containers": [{"name": "service", "image": image}]}}}});
        let caller = Caller {
            name: "system:serviceaccount:argocd:argocd-application-controller",
            groups: &[
                "system:serviceaccounts",
                "system:serviceaccounts:argocd",
                "system:authenticated",
            ],
            address: "10.0.64.36",
            agent: "argocd-application-controller/v2.11.3",
        };
        let service = format!("new-{cluster}-{today}");
        ask(
            life,
            time,
            cluster,
            caller,
            ("create", "deployments", &service, &service, body),
        );
    }
    // Deliveries: a workload gets another image.
    for service in 0..8_u64 {
        let time = life.at_work();
        let image = format!(
            "registry.corp.example/services/service-{service}:{}",
            life.hex(12)
        );
        let body =
            json!({"spec": {"template": {"spec": {"containers": [{"name": "service", "image": image}]}}}});
        let caller = Caller {
            name: "system:serviceaccount:argocd:argocd-application-controller",
            groups: &[
                "system:serviceaccounts",
                "system:serviceaccounts:argocd",
                "system:authenticated",
            ],
            address: "10.0.64.36",
            agent: "argocd-application-controller/v2.11.3",
        };
        ask(
            life,
            time,
            cluster,
            caller,
            (
                "patch",
                "deployments",
                "shop",
                &format!("service-{service}"),
                body,
            ),
        );
    }
    for _ in 0..life.often(48).min(12) {
        let time = life.any_time();
        let body = json!({"spec": {"containers": [{"name": "job", "image": "registry.corp.example/jobs/nightly:stable"}]}});
        let caller = Caller {
            name: "system:serviceaccount:kube-system:job-controller",
            groups: CONTROLLERS,
            address: "10.0.0.2",
            agent: "kube-controller-manager/v1.30.2 (linux/amd64) kubernetes/3968350/system:serviceaccount:kube-system:job-controller",
        };
        ask(life, time, cluster, caller, ("create", "pods", "batch", "", body));
    }
}

fn people(life: &mut Life<'_>, cluster: usize) {
    let company = life.company;
    let newer = KUBECTL.replace("v1.30.2", &format!("v1.31.{}", life.day));
    let today = usize::try_from(life.day).unwrap_or(0);
    let team: Vec<_> = company.engineers.iter().skip(cluster * 10).take(10).collect();
    for (number, person) in team.iter().enumerate() {
        let email = person.email();
        let caller = Caller {
            name: &email,
            groups: PEOPLE,
            address: &person.address,
            // Clients are brought up to date by and by.
            agent: if number % 5 == today % 5 { &newer } else { KUBECTL },
        };
        let time = life.at_work();
        for (pause, verb, resource, name) in [
            (0, "list", "pods", ""),
            (40, "get", "pods", "service-1-abc"),
            (60, "get", "pods/log", "service-1-abc"),
            (600, "list", "deployments", ""),
            (700, "list", "events", ""),
            (900, "get", "deployments", "service-1"),
            (1900, "list", "services", ""),
            (2900, "list", "pods", ""),
        ] {
            ask(
                life,
                time + pause * SECOND,
                cluster,
                caller,
                (verb, resource, "shop", name, Value::Null),
            );
        }
        match number {
            0 => ask(
                life,
                time + 30 * MINUTE,
                cluster,
                caller,
                ("list", "nodes", "", "", Value::Null),
            ),
            1 => ask(
                life,
                time + 30 * MINUTE,
                cluster,
                caller,
                ("create", "pods/exec", "shop", "service-1-abc", Value::Null),
            ),
            2 => ask(
                life,
                time + 30 * MINUTE,
                cluster,
                caller,
                (
                    "create",
                    "selfsubjectaccessreviews",
                    "",
                    "",
                    json!({"spec": {"resourceAttributes": {"verb": "create", "resource": "deployments", "namespace": "shop"}}}),
                ),
            ),
            3 => ask(
                life,
                time + 30 * MINUTE,
                cluster,
                caller,
                ("get", "secrets", "shop", "service-1", Value::Null),
            ),
            4 => {
                let body = json!({"spec": {"template": {"spec": {"containers": [{"name": "service", "image": "registry.corp.example/services/service-3:rollback"}]}}}});
                ask(
                    life,
                    time + 30 * MINUTE,
                    cluster,
                    caller,
                    ("patch", "deployments", "shop", "service-3", body),
                );
            }
            5 => {
                let body = json!({"kind": "Pod", "spec": {"containers": [{"name": "debug", "image": "registry.corp.example/tools/netshoot:latest"}]}});
                ask(
                    life,
                    time + 30 * MINUTE,
                    cluster,
                    caller,
                    ("create", "pods", "shop", "debug", body),
                );
            }
            // A screen that shows all of a cluster.
            6 => {
                let caller = Caller {
                    agent: "k9s/v0.32.5 (darwin/arm64) kubernetes/$Format",
                    ..caller
                };
                for (pause, resource) in (0..).zip([
                    "pods",
                    "namespaces",
                    "nodes",
                    "deployments",
                    "services",
                    "events",
                    "configmaps",
                    "persistentvolumeclaims",
                ]) {
                    ask(
                        life,
                        time + pause * 300,
                        cluster,
                        caller,
                        ("list", resource, "", "", Value::Null),
                    );
                }
                ask(
                    life,
                    time,
                    cluster,
                    caller,
                    (
                        "create",
                        "selfsubjectaccessreviews",
                        "",
                        "",
                        json!({"spec": {"resourceAttributes": {"verb": "list", "resource": "pods"}}}),
                    ),
                );
            }
            _ => {}
        }
    }
    // Somebody new looks around.
    let newcomer = company
        .staff
        .get(300 + usize::try_from(life.day).unwrap_or(0) * 5 + cluster);
    if let (Some(person), true) = (newcomer, cluster < 2) {
        let email = person.email();
        let caller = Caller {
            name: &email,
            groups: PEOPLE,
            address: &person.address,
            agent: KUBECTL,
        };
        let time = life.at_work();
        for (pause, resource) in (0..).zip(["namespaces", "pods", "deployments", "services"]) {
            ask(
                life,
                time + pause * 40 * SECOND,
                cluster,
                caller,
                ("list", resource, "shop", "", Value::Null),
            );
        }
    }
}
