//! Answers of `az`, `gcloud` and `openstack`.

use super::asked;

pub(crate) const FILES: &[(&str, &str)] = &[
    (
        "azure/5a1/vm-list.json",
        r#"[
        {"id": "/subscriptions/5a1/resourceGroups/RG/providers/Microsoft.Compute/virtualMachines/open", "type": "Microsoft.Compute/virtualMachines", "name": "open", "resourceGroup": "RG",
         "identity": {"type": "SystemAssigned"}, "securityProfile": null, "storageProfile": {"imageReference": {"publisher": "Canonical", "offer": "o", "sku": "s", "version": "latest", "exactVersion": "22.04.202410020"}},
         "userData": "I2Nsb3VkLWNvbmZpZwpwYXNzd29yZDogaHVudGVyMjIK"},
        {"id": "/subscriptions/5a1/resourceGroups/RG/providers/Microsoft.Compute/virtualMachines/safe", "type": "Microsoft.Compute/virtualMachines", "name": "safe", "resourceGroup": "RG",
         "identity": {"type": "UserAssigned"}, "securityProfile": {"proxyAgentSettings": {"enabled": true, "imds": {"mode": "Enforce"}}},
         "storageProfile": {"imageReference": {"publisher": "Canonical", "version": "22.04.202410020"}}, "userData": "I2Nsb3VkLWNvbmZpZwpwYXNzd29yZDogJHtWQVVMVH0K"},
        {"id": "/subscriptions/5a1/resourceGroups/RG/providers/Microsoft.Compute/virtualMachines/audit", "type": "Microsoft.Compute/virtualMachines", "name": "audit", "resourceGroup": "RG",
         "identity": null, "securityProfile": {"proxyAgentSettings": {"enabled": true, "imds": {"mode": "Audit"}}},
         "storageProfile": {"imageReference": {"id": "/subscriptions/5a1/resourceGroups/RG/providers/Microsoft.Compute/galleries/g/images/web"}}}]"#,
    ),
    (
        "azure/5a1/snapshot-list.json",
        r#"[
        {"id": "/subscriptions/5a1/resourceGroups/RG/providers/Microsoft.Compute/snapshots/open", "name": "open", "resourceGroup": "RG", "networkAccessPolicy": "AllowAll", "publicNetworkAccess": "Enabled", "diskState": "ActiveSAS"},
        {"id": "/subscriptions/5a1/resourceGroups/RG/providers/Microsoft.Compute/snapshots/shut", "name": "shut", "resourceGroup": "RG", "properties": {"networkAccessPolicy": "DenyAll", "publicNetworkAccess": "Disabled", "diskState": "Unattached"}}]"#,
    ),
    (
        "azure/5a1/sig-list.json",
        r#"[
        {"id": "/subscriptions/5a1/resourceGroups/RG/providers/Microsoft.Compute/galleries/all", "name": "all", "resourceGroup": "RG", "sharingProfile": {"permissions": "Community"}},
        {"id": "/subscriptions/5a1/resourceGroups/RG/providers/Microsoft.Compute/galleries/own", "name": "own", "resourceGroup": "RG", "sharingProfile": {"permissions": "Private"}}]"#,
    ),
    (
        "azure/5a1/acr-list.json",
        r#"[
        {"id": "/subscriptions/5a1/resourceGroups/RG/providers/Microsoft.ContainerRegistry/registries/open", "name": "open", "anonymousPullEnabled": true, "adminUserEnabled": false},
        {"id": "/subscriptions/5a1/resourceGroups/RG/providers/Microsoft.ContainerRegistry/registries/shut", "name": "shut", "anonymousPullEnabled": false, "adminUserEnabled": false}]"#,
    ),
    (
        "azure/5a1/waf.json",
        r#"[
        {"id": "/subscriptions/5a1/resourceGroups/RG/providers/Microsoft.Network/applicationGatewayWebApplicationFirewallPolicies/shut", "name": "shut", "resourceGroup": "RG",
         "policySettings": {"mode": "Prevention", "state": "Enabled"}, "managedRules": {"managedRuleSets": [{"ruleSetType": "OWASP", "ruleSetVersion": "3.2", "ruleGroupOverrides": []}]}},
        {"id": "/subscriptions/5a1/resourceGroups/RG/providers/Microsoft.Network/applicationGatewayWebApplicationFirewallPolicies/watch", "name": "watch", "resourceGroup": "RG",
         "policySettings": {"mode": "Detection", "state": "Enabled"}, "managedRules": {"managedRuleSets": [{"ruleSetType": "OWASP", "ruleSetVersion": "3.2"}]}},
        {"id": "/subscriptions/5a1/resourceGroups/RG/providers/Microsoft.Network/frontDoorWebApplicationFirewallPolicies/door", "name": "door", "resourceGroup": "RG",
         "policySettings": {"mode": "Prevention", "enabledState": "Enabled"}, "managedRules": {"managedRuleSets": [{"ruleSetType": "Microsoft_DefaultRuleSet", "ruleSetVersion": "2.1",
            "ruleGroupOverrides": [{"ruleGroupName": "RFI", "rules": [{"ruleId": "931100", "enabledState": "Disabled"}]}]}]}},
        {"id": "/subscriptions/5a1/resourceGroups/RG/providers/Microsoft.Network/applicationGateways/bare", "name": "bare", "resourceGroup": "RG", "frontendIPConfigurations": [{"publicIPAddress": {"id": "x"}}]},
        {"id": "/subscriptions/5a1/resourceGroups/RG/providers/Microsoft.Network/applicationGateways/inner", "name": "inner", "resourceGroup": "RG", "frontendIPConfigurations": [{"privateIPAddress": "10.0.0.4"}]}]"#,
    ),
    (
        "azure/5a1/aks-list.json",
        r#"[
        {"id": "/subscriptions/5a1/resourceGroups/RG/providers/Microsoft.ContainerService/managedClusters/open", "name": "open", "resourceGroup": "RG", "apiServerAccessProfile": null, "disableLocalAccounts": false},
        {"id": "/subscriptions/5a1/resourceGroups/RG/providers/Microsoft.ContainerService/managedClusters/shut", "name": "shut", "resourceGroup": "RG", "apiServerAccessProfile": {"authorizedIpRanges": ["198.51.100.0/24"]}, "disableLocalAccounts": true},
        {"id": "/subscriptions/5a1/resourceGroups/RG/providers/Microsoft.ContainerService/managedClusters/asked", "name": "asked", "resourceGroup": "RG", "apiServerAccessProfile": {"authorizedIPRanges": ["198.51.100.0/24"]}, "disableLocalAccounts": true}]"#,
    ),
    (
        "gcp/acme/compute-instances-list.json",
        r#"[
        {"kind": "compute#instance", "name": "open", "zone": "https://www.googleapis.com/compute/v1/projects/acme/zones/europe-west1-b", "selfLink": "https://www.googleapis.com/compute/v1/projects/acme/zones/europe-west1-b/instances/open",
         "serviceAccounts": [{"email": "123-compute@developer.gserviceaccount.com", "scopes": ["https://www.googleapis.com/auth/cloud-platform"]}], "metadata": {"items": [{"key": "disable-legacy-endpoints", "value": "false"}]}},
        {"kind": "compute#instance", "name": "own", "selfLink": "https://www.googleapis.com/compute/v1/projects/acme/zones/z/instances/own", "serviceAccounts": [{"email": "web@acme.iam.gserviceaccount.com", "scopes": ["https://www.googleapis.com/auth/cloud-platform"]}]},
        {"kind": "compute#instance", "name": "limited", "selfLink": "https://www.googleapis.com/compute/v1/projects/acme/zones/z/instances/limited", "serviceAccounts": [{"email": "123-compute@developer.gserviceaccount.com", "scopes": ["https://www.googleapis.com/auth/devstorage.read_only"]}]}]"#,
    ),
    (
        "gcp/acme/container-clusters-list.json",
        r#"[
        {"name": "open", "location": "europe-west1", "selfLink": "https://container.googleapis.com/v1/projects/acme/locations/europe-west1/clusters/open", "masterAuth": {"clientCertificate": "LS0t"},
         "masterAuthorizedNetworksConfig": {}, "nodePools": [{"name": "p", "config": {"metadata": {}, "serviceAccount": "default", "oauthScopes": ["https://www.googleapis.com/auth/cloud-platform"]}}]},
        {"name": "shut", "location": "europe-west1", "selfLink": "https://container.googleapis.com/v1/projects/acme/locations/europe-west1/clusters/shut", "masterAuth": {"clusterCaCertificate": "LS0t"},
         "masterAuthorizedNetworksConfig": {"enabled": true, "cidrBlocks": [{"cidrBlock": "198.51.100.0/24"}]}, "binaryAuthorization": {"evaluationMode": "PROJECT_SINGLETON_POLICY_ENFORCE"},
         "nodePools": [{"name": "p", "config": {"metadata": {"disable-legacy-endpoints": "true"}, "workloadMetadataConfig": {"mode": "GKE_METADATA"}, "serviceAccount": "nodes@acme.iam.gserviceaccount.com", "oauthScopes": ["https://www.googleapis.com/auth/cloud-platform"]}}]},
        {"name": "wide", "location": "europe-west1", "selfLink": "https://container.googleapis.com/v1/projects/acme/locations/europe-west1/clusters/wide",
         "masterAuthorizedNetworksConfig": {"enabled": true, "cidrBlocks": [{"cidrBlock": "0.0.0.0/0"}]}, "nodePools": []},
        {"name": "private", "location": "europe-west1", "selfLink": "https://container.googleapis.com/v1/projects/acme/locations/europe-west1/clusters/private", "privateClusterConfig": {"enablePrivateEndpoint": true}, "nodePools": []}]"#,
    ),
    (
        "gcp/acme/compute-backend-services-list.json",
        r#"[
        {"kind": "compute#backendService", "name": "bare", "loadBalancingScheme": "EXTERNAL_MANAGED", "protocol": "HTTPS", "selfLink": "https://www.googleapis.com/compute/v1/projects/acme/global/backendServices/bare"},
        {"kind": "compute#backendService", "name": "guarded", "loadBalancingScheme": "EXTERNAL", "protocol": "HTTP", "securityPolicy": "https://www.googleapis.com/compute/v1/projects/acme/global/securityPolicies/web", "selfLink": "https://www.googleapis.com/compute/v1/projects/acme/global/backendServices/guarded"},
        {"kind": "compute#backendService", "name": "preview", "loadBalancingScheme": "EXTERNAL", "protocol": "HTTP", "securityPolicy": "https://www.googleapis.com/compute/v1/projects/acme/global/securityPolicies/try", "selfLink": "https://www.googleapis.com/compute/v1/projects/acme/global/backendServices/preview"},
        {"kind": "compute#backendService", "name": "unseen", "loadBalancingScheme": "EXTERNAL", "protocol": "HTTP", "securityPolicy": "https://www.googleapis.com/compute/v1/projects/acme/global/securityPolicies/other", "selfLink": "https://www.googleapis.com/compute/v1/projects/acme/global/backendServices/unseen"},
        {"kind": "compute#backendService", "name": "inner", "loadBalancingScheme": "INTERNAL_MANAGED", "protocol": "HTTP", "selfLink": "https://www.googleapis.com/compute/v1/projects/acme/global/backendServices/inner"}]"#,
    ),
    (
        "gcp/acme/policies.json",
        r#"[
        {"kind": "compute#securityPolicy", "name": "web", "selfLink": "https://www.googleapis.com/compute/v1/projects/acme/global/securityPolicies/web", "rules": [{"priority": 1000, "action": "deny(403)", "preview": false, "match": {"expr": {"expression": "evaluatePreconfiguredWaf('rfi-v33-stable', {'sensitivity': 2})"}}}]},
        {"kind": "compute#securityPolicy", "name": "try", "selfLink": "https://www.googleapis.com/compute/v1/projects/acme/global/securityPolicies/try", "rules": [{"priority": 1000, "action": "deny(403)", "preview": true, "match": {"expr": {"expression": "evaluatePreconfiguredWaf('rfi-v33-stable')"}}}]}]"#,
    ),
    (
        "gcp/acme/asset-search-all-iam-policies.json",
        r#"[
        {"resource": "//compute.googleapis.com/projects/acme/global/images/web", "project": "projects/1", "policy": {"bindings": [{"role": "roles/compute.imageUser", "members": ["allAuthenticatedUsers"]}]}},
        {"resource": "//compute.googleapis.com/projects/acme/global/snapshots/disk", "policy": {"bindings": [{"role": "roles/compute.viewer", "members": ["group:ops@acme.example"]}]}},
        {"resource": "//storage.googleapis.com/site", "policy": {"bindings": [{"role": "roles/storage.objectViewer", "members": ["allUsers"]}]}}]"#,
    ),
    (
        "openstack/acme/RegionOne/image-list.json",
        r#"[{"ID": "1", "Name": "ubuntu", "Disk Format": "qcow2", "Container Format": "bare", "Size": 1, "Checksum": "x", "Status": "active", "Visibility": "community", "Protected": false, "Project": "p", "Tags": []},
            {"ID": "2", "Name": "own", "Disk Format": "qcow2", "Container Format": "bare", "Size": 1, "Checksum": "x", "Status": "active", "Visibility": "private", "Protected": false, "Project": "p", "Tags": []}]"#,
    ),
    (
        "openstack/acme/RegionOne/image-show-1.json",
        r#"{"id": "1", "name": "ubuntu", "container_format": "bare", "disk_format": "qcow2", "visibility": "community", "properties": {"os_hash_algo": "sha512"}}"#,
    ),
    (
        "openstack/acme/RegionOne/image-show-2.json",
        r#"{"id": "2", "name": "own", "container_format": "bare", "disk_format": "qcow2", "visibility": "private", "properties": {"img_signature": "AA==", "img_signature_hash_method": "SHA-256", "img_signature_key_type": "RSA-PSS", "img_signature_certificate_uuid": "u"}}"#,
    ),
    (
        "openstack/acme/RegionOne/nova.conf",
        "[DEFAULT]\ndebug = false\n[neutron]\nservice_metadata_proxy = true\n# metadata_proxy_shared_secret = x\n[glance]\nverify_glance_signatures = true\n",
    ),
    (
        "openstack/acme/RegionOne/metadata_agent.ini",
        "[DEFAULT]\nmetadata_proxy_shared_secret = 6f1ed002ab5595859014ebf0951522d9\n",
    ),
];

fn has(check: &str, expected: &[&str]) {
    let told = asked(check, FILES);
    for line in expected {
        assert!(told.contains(&(*line).to_owned()), "{check}: {line}: {told:#?}");
    }
}

#[test]
fn azure_is_told() {
    has(
        "azure-metadata-security-protocol",
        &["fail open", "pass safe", "fail audit"],
    );
    has("azure-image-latest", &["fail open", "pass safe", "fail audit"]);
    has("azure-user-data-secret", &["fail open", "pass safe"]);
    has("azure-snapshot-network", &["fail open", "pass shut"]);
    has("azure-gallery-public", &["fail all", "pass own"]);
    has("azure-registry-open", &["fail open", "pass shut"]);
    has(
        "azure-waf-ssrf",
        &["pass shut", "fail watch", "fail door", "fail bare"],
    );
    assert!(
        !asked("azure-waf-ssrf", FILES)
            .iter()
            .any(|line| line.ends_with("inner"))
    );
}

#[test]
fn google_cloud_is_told() {
    has(
        "gcp-legacy-endpoints",
        &["fail open", "fail gke open, pool p", "pass gke shut, pool p"],
    );
    has(
        "gcp-gke-workload-metadata",
        &["fail gke open, pool p", "pass gke shut, pool p"],
    );
    has(
        "gcp-default-account-full-scope",
        &[
            "fail open",
            "pass own",
            "pass limited",
            "fail gke open, pool p",
            "pass gke shut, pool p",
        ],
    );
    has(
        "gcp-armor-ssrf",
        &["fail bare", "pass guarded", "fail preview", "unknown unseen"],
    );
    has(
        "gcp-gke-binary-authorization",
        &["fail gke open", "pass gke shut"],
    );
    has(
        "gcp-image-public",
        &[
            "fail //compute.googleapis.com/projects/acme/global/images/web",
            "pass //compute.googleapis.com/projects/acme/global/snapshots/disk",
        ],
    );
    assert!(
        !asked("gcp-image-public", FILES)
            .iter()
            .any(|line| line.contains("storage"))
    );
}

#[test]
fn openstack_is_told() {
    has("openstack-image-visible", &["fail 1", "pass 2"]);
    has("openstack-image-signature", &["fail 1", "pass 2", "pass nova"]);
    let told = asked("openstack-metadata-secret", FILES);
    assert!(
        told.iter().any(|line| line.starts_with("fail nova.conf"))
            && told
                .iter()
                .any(|line| line.starts_with("pass metadata_agent.ini")),
        "{told:?}"
    );
    // A service that takes nobody's word needs no secret.
    assert!(
        asked(
            "openstack-metadata-secret",
            &[(
                "openstack/a/r/nova.conf",
                "[neutron]\nservice_metadata_proxy = false\n"
            )]
        )
        .is_empty()
    );
}

#[test]
fn open_apis_of_managed_clusters_are_told() {
    has(
        "k8s-api-open",
        &[
            "fail aks open",
            "pass aks shut",
            "fail gke open",
            "pass gke shut",
            "fail gke wide",
            "pass gke private",
        ],
    );
    has(
        "k8s-system-masters",
        &["fail aks open", "pass aks shut", "fail gke open", "pass gke shut"],
    );
}
