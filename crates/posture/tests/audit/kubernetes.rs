//! Clusters, as `kubectl get -o json` prints them.

use super::{asked, report};
use neph_posture::audit::Severity;

pub(crate) const FILES: &[(&str, &str)] = &[
    (
        "kubernetes/open/pods.json",
        r#"{"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "kube-apiserver-a", "namespace": "kube-system", "ownerReferences": [{"kind": "Node", "name": "a"}]}, "spec": {"hostNetwork": true, "containers": [{"name": "kube-apiserver", "image": "registry.k8s.io/kube-apiserver:v1.23.0", "command": ["kube-apiserver", "--authorization-mode=AlwaysAllow", "--insecure-port=8080"]}]}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}}, "spec": {"automountServiceAccountToken": false, "containers": [{"name": "web", "image": "nginx:1.27"}]}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "dash-1", "generateName": "dash-", "namespace": "kubernetes-dashboard"}, "spec": {"containers": [{"name": "d", "image": "kubernetesui/dashboard:v2.7.0", "args": ["--enable-skip-login"]}], "volumes": [{"name": "s", "hostPath": {"path": "/var/run/docker.sock"}}]}}]}"#,
    ),
    (
        "kubernetes/open/networkpolicies.json",
        r#"{"apiVersion": "v1", "kind": "List", "items": []}"#,
    ),
    (
        "kubernetes/open/rbac.json",
        r#"{"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "cluster-admin"}, "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, {"nonResourceURLs": ["*"], "verbs": ["*"]}]},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "view"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "cluster-admin"}, "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"}, "subjects": [{"kind": "Group", "name": "system:masters"}]},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "ci"}, "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"}, "subjects": [{"kind": "ServiceAccount", "name": "ci", "namespace": "ci"}]},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "everybody"}, "roleRef": {"kind": "ClusterRole", "name": "view"}, "subjects": [{"kind": "User", "name": "system:anonymous"}]},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "discovery"}, "roleRef": {"kind": "ClusterRole", "name": "system:public-info-viewer"}, "subjects": [{"kind": "Group", "name": "system:unauthenticated"}]},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "readers", "namespace": "shop"}, "roleRef": {"kind": "ClusterRole", "name": "view"}, "subjects": [{"kind": "Group", "name": "dev"}]},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "dash"}, "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"}, "subjects": [{"kind": "ServiceAccount", "name": "kubernetes-dashboard", "namespace": "kubernetes-dashboard"}]}]}"#,
    ),
    (
        "kubernetes/open/services.json",
        r#"{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "kubernetes-dashboard", "namespace": "kubernetes-dashboard"}, "spec": {"type": "LoadBalancer"}}]}"#,
    ),
    (
        "kubernetes/open/aws-auth.json",
        r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "aws-auth", "namespace": "kube-system"}, "data": {"mapRoles": "- rolearn: arn:aws:iam::111122223333:role/admin\n  username: admin\n  groups:\n    - system:masters\n- rolearn: arn:aws:iam::111122223333:role/node\n  groups: [system:bootstrappers, system:nodes]\n"}}"#,
    ),
    (
        "kubernetes/open/endpoints.json",
        r#"{"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "kubernetes", "namespace": "default"}, "subsets": [{"addresses": [{"ip": "10.0.0.10"}], "ports": [{"port": 6443}]}]}"#,
    ),
    (
        "kubernetes/open/validatingwebhookconfigurations.json",
        r#"{"apiVersion": "v1", "kind": "List", "items": []}"#,
    ),
    (
        "kubernetes/open/kubelet.yaml",
        "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nauthentication: {anonymous: {enabled: true}}\nauthorization: {mode: AlwaysAllow}\nreadOnlyPort: 10255\n",
    ),
    (
        "kubernetes/shut/apiserver.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: kube-apiserver, namespace: kube-system}\nspec:\n  hostNetwork: true\n  containers:\n    - name: kube-apiserver\n      image: registry.k8s.io/kube-apiserver:v1.31.0\n      command: [kube-apiserver, --anonymous-auth=false, '--authorization-mode=Node,RBAC', --insecure-port=0]\n",
    ),
    (
        "kubernetes/shut/pods.json",
        r#"{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}}, "spec": {"automountServiceAccountToken": false, "containers": [{"name": "web", "image": "nginx:1.27"}]}}]}"#,
    ),
    (
        "kubernetes/shut/networkpolicies.json",
        r#"{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "dns", "namespace": "shop"}, "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [{"namespaceSelector": {}}], "ports": [{"protocol": "UDP", "port": 53}]}]}}]}"#,
    ),
    (
        "kubernetes/shut/endpoints.json",
        r#"{"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "kubernetes", "namespace": "default"}, "subsets": [{"addresses": [{"ip": "10.0.0.10"}], "ports": [{"port": 6443}]}]}"#,
    ),
    (
        "kubernetes/shut/rbac.json",
        r#"{"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "cluster-admin"}, "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "view"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "system:controller:namespace-controller"}, "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["delete", "list"]}]},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "system:controller:namespace-controller"}, "roleRef": {"kind": "ClusterRole", "name": "system:controller:namespace-controller"}, "subjects": [{"kind": "ServiceAccount", "name": "namespace-controller", "namespace": "kube-system"}]},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "cluster-admin"}, "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"}, "subjects": [{"kind": "Group", "name": "system:masters"}]},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "readers", "namespace": "shop"}, "roleRef": {"kind": "ClusterRole", "name": "view"}, "subjects": [{"kind": "Group", "name": "dev"}]}]}"#,
    ),
    (
        "kubernetes/shut/services.json",
        r#"{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "kubernetes-dashboard", "namespace": "kubernetes-dashboard"}, "spec": {"type": "ClusterIP"}}]}"#,
    ),
    (
        "kubernetes/shut/validatingwebhookconfigurations.json",
        r#"{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "policy.sigstore.dev"}, "webhooks": [{"name": "policy.sigstore.dev", "failurePolicy": "Fail"}]}]}"#,
    ),
    (
        "kubernetes/shut/configz.json",
        r#"{"kubeletconfig": {"authentication": {"anonymous": {"enabled": false}}, "authorization": {"mode": "Webhook"}, "readOnlyPort": 0}}"#,
    ),
    (
        "aws/111122223333/eu-west-1/eks-describe-cluster-prod.json",
        r#"{"cluster": {"name": "prod", "arn": "arn:aws:eks:eu-west-1:111122223333:cluster/prod", "resourcesVpcConfig": {"endpointPublicAccess": true, "endpointPrivateAccess": false, "publicAccessCidrs": ["0.0.0.0/0"]}}}"#,
    ),
    (
        "aws/111122223333/eu-west-1/eks-describe-cluster-dev.json",
        r#"{"cluster": {"name": "dev", "arn": "arn:aws:eks:eu-west-1:111122223333:cluster/dev", "resourcesVpcConfig": {"endpointPublicAccess": true, "endpointPrivateAccess": true, "publicAccessCidrs": ["198.51.100.0/24"]}}}"#,
    ),
];

fn of(check: &str, cluster: &str) -> Vec<String> {
    let report = report(FILES);
    let own = report
        .findings
        .iter()
        .filter(|finding| finding.check == check && finding.scope.account == cluster);
    own.map(|finding| format!("{} {}", finding.outcome.name(), finding.resource))
        .collect()
}

#[test]
fn settings_of_the_api_server_and_kubelets_are_told() {
    for check in [
        "k8s-anonymous-auth",
        "k8s-authorization-mode",
        "k8s-insecure-port",
    ] {
        assert_eq!(of(check, "open"), ["fail pod kube-apiserver-a"], "{check}");
        assert_eq!(of(check, "shut"), ["pass pod kube-apiserver"], "{check}");
    }
    assert_eq!(
        of("k8s-kubelet-anonymous", "open"),
        ["fail kubelet (kubelet.yaml)"]
    );
    assert!(of("k8s-kubelet-anonymous", "shut")[0].starts_with("pass"));
    assert!(of("k8s-kubelet-read-only-port", "open")[0].starts_with("fail"));
    assert!(of("k8s-kubelet-read-only-port", "shut")[0].starts_with("pass"));
    let eks = of("k8s-api-open", "111122223333");
    assert_eq!(eks, ["fail eks prod", "pass eks dev"]);
}

#[test]
fn bindings_are_told_and_those_of_the_system_are_not() {
    assert_eq!(
        of("k8s-anonymous-binding", "open"),
        ["fail clusterrolebinding everybody"]
    );
    assert_eq!(of("k8s-anonymous-binding", "shut"), ["pass bindings"]);
    let wild = of("k8s-wildcard-rbac", "open");
    assert!(
        wild.contains(&"fail clusterrolebinding ci".to_owned())
            && wild.contains(&"pass rolebinding shop/readers".to_owned()),
        "{wild:?}"
    );
    assert!(
        !wild.contains(&"fail clusterrolebinding cluster-admin".to_owned()),
        "{wild:?}"
    );
    assert_eq!(of("k8s-wildcard-rbac", "shut"), ["pass rolebinding shop/readers"]);
    assert_eq!(
        of("k8s-system-masters", "open"),
        ["fail arn:aws:iam::111122223333:role/admin"]
    );
    assert_eq!(of("k8s-system-masters", "shut"), ["pass members"]);
    let dashboard = of("k8s-dashboard-exposed", "open");
    for expected in [
        "fail service kubernetes-dashboard/kubernetes-dashboard",
        "fail pod kubernetes-dashboard/dash",
        "fail clusterrolebinding dash",
    ] {
        assert!(
            dashboard.contains(&expected.to_owned()),
            "{expected}: {dashboard:?}"
        );
    }
    assert_eq!(
        of("k8s-dashboard-exposed", "shut"),
        ["pass service kubernetes-dashboard/kubernetes-dashboard"]
    );
    assert_eq!(of("k8s-image-admission", "open"), ["fail admission"]);
    assert_eq!(of("k8s-image-admission", "shut"), ["pass admission"]);
    assert!(of("docker-socket-mounted", "open").contains(&"fail pod kubernetes-dashboard/dash".to_owned()));
}

#[test]
fn network_policies_decide_by_what_they_allow() {
    let pod = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "n:1"}]}}"#;
    let policy = |spec: &str| {
        format!(
            r#"{{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {{"name": "p", "namespace": "shop"}}, "spec": {spec}}}"#
        )
    };
    let all_but = |except: &str| {
        format!(
            r#"{{"podSelector": {{}}, "policyTypes": ["Egress"], "egress": [{{"to": [{{"ipBlock": {{"cidr": "0.0.0.0/0", "except": [{except}]}}}}]}}]}}"#
        )
    };
    for (spec, expected) in [
        (all_but(r#""169.254.169.254/32""#), "pass"),
        (all_but(r#""169.254.0.0/16", "10.0.0.0/8""#), "pass"),
        (all_but(r#""10.0.0.0/8""#), "fail"),
        (all_but(""), "fail"),
        (r#"{"podSelector": {}, "policyTypes": ["Egress"]}"#.to_owned(), "pass"),
        (r#"{"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]}"#.to_owned(), "fail"),
        (r#"{"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": 443}]}]}"#.to_owned(), "pass"),
        (r#"{"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": 1, "endPort": 1024}]}]}"#.to_owned(), "fail"),
        (r#"{"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"protocol": "UDP"}]}]}"#.to_owned(), "pass"),
        // It limits only what comes in.
        (r#"{"podSelector": {}, "policyTypes": ["Ingress"]}"#.to_owned(), "fail"),
        (r#"{"podSelector": {}}"#.to_owned(), "fail"),
        // It is about other pods.
        (r#"{"podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Egress"]}"#.to_owned(), "fail"),
        (r#"{"podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "api"]}]}, "policyTypes": ["Egress"]}"#.to_owned(), "pass"),
    ] {
        let text = policy(&spec);
        let files = [("kubernetes/c/pod.json", pod), ("kubernetes/c/policy.json", text.as_str())];
        assert_eq!(asked("k8s-metadata-egress", &files), [format!("{expected} pod shop/web")], "{spec}");
    }
    // Policies of other kinds may close what these leave open.
    let other = r#"{"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": {"name": "c", "namespace": "shop"}, "spec": {}}"#;
    let open = policy(r#"{"podSelector": {}, "policyTypes": ["Ingress"]}"#);
    let files = [
        ("kubernetes/c/pod.json", pod),
        ("kubernetes/c/policy.json", open.as_str()),
        ("kubernetes/c/other.json", other),
    ];
    assert_eq!(asked("k8s-metadata-egress", &files), ["unknown pod shop/web"]);
    // Machines in no cloud have no such service.
    let node = r#"{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "spec": {"providerID": "kind://docker/kind/n"}}"#;
    let files = [
        ("kubernetes/c/pod.json", pod),
        ("kubernetes/c/policy.json", open.as_str()),
        ("kubernetes/c/node.json", node),
    ];
    assert!(asked("k8s-metadata-egress", &files).is_empty());
}

#[test]
fn what_a_workload_made_is_told_once_and_only_in_its_cluster() {
    let pod = |name: &str| {
        format!(
            r#"{{"apiVersion": "v1", "kind": "Pod", "metadata": {{"name": "api-{name}", "generateName": "api-", "namespace": "n", "ownerReferences": [{{"kind": "ReplicaSet", "name": "api"}}]}}, "spec": {{"containers": [{{"name": "c", "image": "a"}}]}}}}"#
        )
    };
    let pods = format!(
        r#"{{"apiVersion": "v1", "kind": "List", "items": [{}, {}]}}"#,
        pod("1"),
        pod("2")
    );
    let deployment = r#"{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "api", "namespace": "n"}, "spec": {"template": {"spec": {"containers": [{"name": "c", "image": "a"}]}}}}"#;
    let told = asked(
        "image-latest",
        &[
            ("kubernetes/a/pods.json", pods.as_str()),
            ("kubernetes/a/deployments.json", deployment),
            ("kubernetes/b/pods.json", pods.as_str()),
        ],
    );
    assert_eq!(
        told,
        ["fail deployment n/api container c", "fail pod n/api container c"]
    );
}

#[test]
fn the_worst_is_critical() {
    let report = report(FILES);
    let severity = |check: &str| {
        report
            .findings
            .iter()
            .find(|finding| finding.check == check && finding.scope.account == "open")
            .unwrap()
            .severity
    };
    assert_eq!(severity("k8s-kubelet-anonymous"), Severity::Critical);
    assert_eq!(severity("k8s-authorization-mode"), Severity::Critical);
}
