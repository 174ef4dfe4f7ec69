#!/usr/bin/env python3
"""Every field that is read of answers of Azure, Google Cloud and Kubernetes, against the models that these publish.

    python3 .ci/models.py [WORK]        # WORK keeps the Python environment; a folder below /tmp where it is not named

The models are those of the clouds' own clients: discovery documents in `google-api-python-client`, classes of `azure-mgmt-*`, types of
`kubernetes`. FIELDS says which types answers have, which fields of them are read, and as what. Two things are held against it: each field must
stand in the model with that type, and each name that the sources of the readers ask for must stand in FIELDS, so that none is forgotten.
"""

import ast
import collections
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import venv

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGES = [
    "google-api-python-client==2.202.0", "kubernetes==34.1.0", "azure-mgmt-compute==39.0.0", "azure-mgmt-network==33.1.0",
    "azure-mgmt-containerservice==41.8.0", "azure-mgmt-containerregistry==15.0.0", "azure-mgmt-frontdoor==2.0.0",
    "azure-mgmt-authorization==4.0.0",
]

# Paths of fields as they are read, `[]` for the entries of a list and `{}` for the values of an object with any names; the word is the type.
TEMPLATE = {
    "spec/automountServiceAccountToken": "boolean", "spec/hostNetwork": "boolean", "spec/containers[]/image": "text", "spec/initContainers[]/image": "text",
    "spec/containers[]/command[]": "text", "spec/containers[]/args[]": "text", "spec/volumes[]/hostPath/path": "text", "metadata/labels{}": "text",
    "spec/serviceAccountName": "text",
}
META = {"metadata/name": "text", "metadata/namespace": "text", "metadata/generateName": "text", "metadata/labels{}": "text",
        "metadata/ownerReferences[]/kind": "text", "apiVersion": "text", "kind": "text"}
SELECTOR = {"matchLabels{}": "text", "matchExpressions[]/key": "text", "matchExpressions[]/operator": "text", "matchExpressions[]/values[]": "text"}


def under(prefix, fields):
    return {f"{prefix}/{path}": kind for path, kind in fields.items()}


RULES = {"rules[]/verbs[]": "text", "rules[]/apiGroups[]": "text", "rules[]/resources[]": "text", "rules[]/resourceNames[]": "text", "rules[]/nonResourceURLs[]": "text"}
BINDING = {"subjects[]/kind": "text", "subjects[]/name": "text", "subjects[]/namespace": "text", "roleRef/kind": "text", "roleRef/name": "text"}
PROXY = {"securityProfile/proxyAgentSettings/enabled": "boolean", "securityProfile/proxyAgentSettings/mode": "text",
         "securityProfile/proxyAgentSettings/imds/mode": "text", "securityProfile/proxyAgentSettings/imds/inVMAccessControlProfileReferenceId": "text", "userData": "text"}
IMAGE = {"storageProfile/imageReference/id": "text", "storageProfile/imageReference/version": "text", "storageProfile/imageReference/exactVersion": "text",
         "storageProfile/imageReference/publisher": "text", "storageProfile/imageReference/offer": "text", "storageProfile/imageReference/sku": "text"}
AZURE = {"id": "text", "name": "text", "location": "text", "tags{}": "text", "type": "text"}
DISK = {"diskSizeGB": "number", "managedDisk/id": "text", "snapshot/id": "text", "blobUri": "text"}
GOOGLE = {"kind": "text", "id": "text", "selfLink": "text", "name": "text", "status": "text", "creationTimestamp": "text"}
POOL = {"name": "text", "config/workloadMetadataConfig/mode": "text", "config/metadata{}": "text", "config/serviceAccount": "text", "config/oauthScopes[]": "text"}
POLICY = {"bindings[]/role": "text", "bindings[]/members[]": "text", "bindings[]/condition/expression": "text"}

FIELDS = {
    "azure compute Snapshot": AZURE | {"provisioningState": "text", "timeCreated": "text", "uniqueId": "text", "diskSizeGB": "number", "creationData/sourceResourceId": "text",
        "creationData/sourceUri": "text", "encryption/diskEncryptionSetId": "text", "encryption/type": "text", "diskState": "text", "networkAccessPolicy": "text", "publicNetworkAccess": "text"},
    "azure compute RestorePoint": {"id": "text", "name": "text", "provisioningState": "text", "timeCreated": "text", "sourceMetadata/vmId": "text", "sourceRestorePoint/id": "text"},
    "azure compute Image": AZURE | {"provisioningState": "text", "sourceVirtualMachine/id": "text"} | under("storageProfile/osDisk", DISK) | under("storageProfile/dataDisks[]", DISK),
    "azure compute Gallery": AZURE | {"provisioningState": "text", "sharingProfile/permissions": "text", "sharingProfile/groups[]/ids[]": "text"},
    "azure compute GalleryImage": AZURE | {"identifier/publisher": "text", "identifier/offer": "text", "identifier/sku": "text"},
    "azure compute GalleryImageVersion": AZURE | {"storageProfile/source/id": "text", "storageProfile/source/virtualMachineId": "text", "publishingProfile/publishedDate": "text"},
    "azure compute VirtualMachine": AZURE | PROXY | IMAGE | {"identity/type": "text"},
    "azure compute VirtualMachineScaleSet": AZURE | {"identity/type": "text"} | under("virtualMachineProfile", PROXY | IMAGE),
    "azure containerregistry Registry": AZURE | {"anonymousPullEnabled": "boolean", "adminUserEnabled": "boolean", "loginServer": "text"},
    "azure network WebApplicationFirewallPolicy": AZURE | {"policySettings/state": "text", "policySettings/mode": "text", "managedRules/managedRuleSets[]/ruleSetType": "text",
        "managedRules/managedRuleSets[]/ruleGroupOverrides[]/ruleGroupName": "text", "managedRules/managedRuleSets[]/ruleGroupOverrides[]/rules[]/ruleId": "text",
        "managedRules/managedRuleSets[]/ruleGroupOverrides[]/rules[]/state": "text", "managedRules/managedRuleSets[]/ruleGroupOverrides[]/rules[]/action": "text"},
    "azure frontdoor WebApplicationFirewallPolicy": AZURE | {"policySettings/enabledState": "text", "policySettings/mode": "text", "managedRules/managedRuleSets[]/ruleSetType": "text",
        "managedRules/managedRuleSets[]/ruleGroupOverrides[]/ruleGroupName": "text", "managedRules/managedRuleSets[]/ruleGroupOverrides[]/rules[]/ruleId": "text",
        "managedRules/managedRuleSets[]/ruleGroupOverrides[]/rules[]/enabledState": "text", "managedRules/managedRuleSets[]/ruleGroupOverrides[]/rules[]/action": "text"},
    "azure network ApplicationGateway": AZURE | {"frontendIPConfigurations[]/publicIPAddress/id": "text", "firewallPolicy/id": "text",
        "webApplicationFirewallConfiguration/enabled": "boolean", "webApplicationFirewallConfiguration/firewallMode": "text"},
    "azure containerservice ManagedCluster": AZURE | {"disableLocalAccounts": "boolean", "apiServerAccessProfile/enablePrivateCluster": "boolean",
        "apiServerAccessProfile/authorizedIPRanges[]": "text"},
    "azure authorization RoleDefinition": {"id": "text", "name": "text", "roleName": "text", "permissions[]/actions[]": "text", "permissions[]/notActions[]": "text",
        "permissions[]/dataActions[]": "text", "permissions[]/notDataActions[]": "text"},
    "azure authorization RoleAssignment": {"principalId": "text", "principalType": "text", "roleDefinitionId": "text", "scope": "text", "condition": "text"},
    "azure authorization DenyAssignment": {"denyAssignmentName": "text", "scope": "text", "doNotApplyToChildScopes": "boolean", "principals[]/id": "text", "principals[]/type": "text",
        "excludePrincipals[]/id": "text", "permissions[]/actions[]": "text"},
    "gcp compute Snapshot": GOOGLE | {"diskSizeGb": "number", "labels{}": "text", "snapshotEncryptionKey/kmsKeyName": "text", "sourceDisk": "text", "sourceInstantSnapshot": "text"},
    "gcp compute InstantSnapshot": GOOGLE | {"diskSizeGb": "number", "labels{}": "text", "sourceDisk": "text"},
    "gcp compute MachineImage": GOOGLE | {"machineImageEncryptionKey/kmsKeyName": "text", "sourceInstance": "text"},
    "gcp compute Image": GOOGLE | {"diskSizeGb": "number", "labels{}": "text", "imageEncryptionKey/kmsKeyName": "text", "sourceDisk": "text", "sourceSnapshot": "text",
        "sourceImage": "text", "family": "text"},
    "gcp compute Instance": {"name": "text", "zone": "text", "metadata/items[]/key": "text", "metadata/items[]/value": "text", "serviceAccounts[]/email": "text",
        "serviceAccounts[]/scopes[]": "text"},
    "gcp compute BackendService": {"name": "text", "loadBalancingScheme": "text", "protocol": "text", "securityPolicy": "text", "selfLink": "text"},
    "gcp compute SecurityPolicy": {"name": "text", "selfLink": "text", "rules[]/match/expr/expression": "text", "rules[]/preview": "boolean", "rules[]/priority": "number", "rules[]/action": "text"},
    "gcp container Cluster": {"name": "text", "location": "text", "autopilot/enabled": "boolean", "binaryAuthorization/enabled": "boolean",
        "binaryAuthorization/evaluationMode": "text", "masterAuth/clientCertificate": "text", "masterAuth/clientCertificateConfig/issueClientCertificate": "boolean",
        "controlPlaneEndpointsConfig/ipEndpointsConfig/enablePublicEndpoint": "boolean", "controlPlaneEndpointsConfig/ipEndpointsConfig/enabled": "boolean",
        "controlPlaneEndpointsConfig/ipEndpointsConfig/authorizedNetworksConfig/enabled": "boolean",
        "controlPlaneEndpointsConfig/ipEndpointsConfig/authorizedNetworksConfig/cidrBlocks[]/cidrBlock": "text",
        "privateClusterConfig/enablePrivateEndpoint": "boolean", "masterAuthorizedNetworksConfig/enabled": "boolean",
        "masterAuthorizedNetworksConfig/cidrBlocks[]/cidrBlock": "text"} | under("nodePools[]", POOL),
    "gcp cloudasset IamPolicySearchResult": {"resource": "text", "project": "text", "organization": "text", "folders[]": "text"} | under("policy", POLICY),
    "gcp iam Role": {"name": "text", "includedPermissions[]": "text"},
    "gcp iam.v2 GoogleIamV2Policy": {"name": "text", "rules[]/denyRule/deniedPermissions[]": "text", "rules[]/denyRule/deniedPrincipals[]": "text",
        "rules[]/denyRule/exceptionPrincipals[]": "text", "rules[]/denyRule/exceptionPermissions[]": "text", "rules[]/denyRule/denialCondition/expression": "text"},
    "kubernetes V1Pod": META | TEMPLATE,
    **{f"kubernetes V1{kind}": META | under("spec/template", TEMPLATE) for kind in ["Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "Job"]},
    "kubernetes V1CronJob": META | under("spec/jobTemplate/spec/template", TEMPLATE),
    "kubernetes V1ClusterRole": META | RULES | {f"aggregationRule/clusterRoleSelectors[]/{path}": kind for path, kind in SELECTOR.items()},
    "kubernetes V1Role": META | RULES,
    "kubernetes V1ClusterRoleBinding": META | BINDING, "kubernetes V1RoleBinding": META | BINDING,
    "kubernetes V1Service": META | {"spec/type": "text", "spec/externalIPs[]": "text", "spec/selector{}": "text"},
    "kubernetes V1Ingress": META | {"spec/rules[]/http/paths[]/backend/service/name": "text", "spec/defaultBackend/service/name": "text"},
    "kubernetes V1Endpoints": META | {"subsets[]/ports[]/port": "number", "subsets[]/addresses[]/ip": "text"},
    "kubernetes V1Node": META | {"spec/providerID": "text"},
    "kubernetes V1NetworkPolicy": META | {"spec/policyTypes[]": "text", "spec/egress[]/to[]/ipBlock/cidr": "text", "spec/egress[]/to[]/ipBlock/except[]": "text",
        "spec/egress[]/ports[]/protocol": "text", "spec/egress[]/ports[]/port": "any", "spec/egress[]/ports[]/endPort": "number"} | under("spec/podSelector", SELECTOR),
    "kubernetes V1ServiceAccount": META | {"automountServiceAccountToken": "boolean"},
    "kubernetes V1Namespace": META,
    "kubernetes V1ConfigMap": META | {"data{}": "text"},
    "kubernetes V1ValidatingWebhookConfiguration": META | {"webhooks[]/name": "text", "webhooks[]/failurePolicy": "text", "webhooks[]/clientConfig/service/name": "text",
        "webhooks[]/rules[]/resources[]": "text"},
}

# Names that are read and stand in no model, each with the reason.
BESIDE = {
    "resourceGroup": "put in by `az`", "principalName": "put in by `az role assignment list`", "roleDefinitionName": "put in by `az role assignment list`",
    "properties": "the level that `az` leaves out", "value": "lists of the REST interface", "items": "lists of Kubernetes", "diskSizeGb": "`diskSizeGB`, as `az` writes it", "authorizedIpRanges": "`authorizedIPRanges`, as `az` writes it",
    "inVmAccessControlProfileReferenceId": "`inVMAccessControlProfileReferenceId`, as `az` writes it", "frontendIpConfigurations": "`frontendIPConfigurations`, as `az` writes it",
    "publicIpAddress": "`publicIPAddress`, as `az` writes it", "latest": "a part of a path", "versions": "a part of a path",
    "children": "of `az account management-group show --expand`", "zones": "a part of a path", "regions": "a part of a path",
    "etag": "told apart by it", "version": "told apart by it", "groups": "of `aws-auth`",
    **dict.fromkeys(["accessScope", "associatedAccessPolicies", "cluster", "clusterName", "endpointPublicAccess", "policyArn", "principalArn", "publicAccessCidrs",
                     "resourcesVpcConfig", "AmazonEKSClusterAdminPolicy"], "of `aws eks`, whose model the collector has"),
    **dict.fromkeys(["anonymous", "authentication", "authorization", "readOnlyPort"], "of the kubelet's configuration, for which the client has no type"),
}
# The sources of readers, without those of AWS and OpenStack and of files that people write.
SOURCES = ["baseline/src/read/azure.rs", "baseline/src/read/gcp.rs", "posture/src/audit/checks/azure.rs", "posture/src/audit/checks/gcp.rs",
           "posture/src/audit/checks/kubernetes_network.rs", "posture/src/audit/checks/kubernetes_api.rs", "posture/src/audit/checks/kubernetes_access.rs"]


def environment(work):
    python = work / "models/bin/python"
    if not python.exists():
        venv.create(work / "models", with_pip=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES], check=True)
    return next((work / "models/lib").glob("python3*")) / "site-packages"


class Google:
    """Types of a discovery document (https://developers.google.com/discovery/v1/type-format)."""

    def __init__(self, packages, service):
        name = service if "." in service else f"{service}.v1"
        self.schemas = json.loads((packages / f"googleapiclient/discovery_cache/documents/{name}.json").read_text())["schemas"]

    def field(self, at, name):
        at = self.whole(at)
        return at.get("properties", {}).get(name)

    def whole(self, at):
        while isinstance(at, str) or "$ref" in at:
            at = self.schemas[at if isinstance(at, str) else at["$ref"]]
        return at

    def entry(self, at):
        return self.whole(at).get("items")

    def values(self, at):
        return self.whole(at).get("additionalProperties")

    def kind(self, at):
        at = self.whole(at)
        # Large numbers are written in quotes; the readers take both.
        if at.get("format") in ("int64", "uint64"):
            return {"number", "text"}
        return {{"string": "text", "boolean": "boolean", "integer": "number", "number": "number", "any": "any"}.get(at.get("type"), at.get("type"))}


class Azure:
    """Classes of a client, of either form in which they are generated."""

    def __init__(self, packages, service):
        folder = packages / f"azure/mgmt/{service}"
        if service == "authorization":
            files = [folder / "v2022_04_01/models/_models_py3.py"]
        else:
            files = [path for path in [folder / "models/_models.py", folder / "models/_models_py3.py"] if path.exists()]
        self.classes, self.bases = {}, {}
        for path in files:
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.ClassDef):
                    self.bases[node.name] = [base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "") for base in node.bases]
                    self.classes[node.name] = dict(self.fields(node))

    def fields(self, node):
        for part in node.body:
            if isinstance(part, ast.AnnAssign) and isinstance(part.value, ast.Call) and getattr(part.value.func, "id", "") in ("rest_field", "rest_discriminator"):
                name = next((word.value.value for word in part.value.keywords if word.arg == "name"), part.target.id)
                yield name, ast.unparse(part.annotation)
            if isinstance(part, (ast.Assign, ast.AnnAssign)):
                target = part.targets[0] if isinstance(part, ast.Assign) else part.target
                if getattr(target, "id", "") == "_attribute_map" and part.value is not None:
                    for one in ast.literal_eval(part.value).values():
                        yield one["key"], one["type"]

    def of(self, name):
        found = {}
        for base in self.bases.get(name, []):
            found |= self.of(base)
        return found | self.classes.get(name, {})

    @staticmethod
    def inner(text):
        """The type itself, without what says that it may be absent, and without quotes and the module before it."""
        text = text.replace("'", '"')
        while match := re.fullmatch(r'(?:Optional|Union)\[(.*)\]', text):
            parts = match[1]
            if text.startswith("Union"):
                # `Union[str, "_models.SomeEnum"]`
                parts = parts.split(",")[0]
            text = parts.strip()
        return text.strip('"').removeprefix("_models.").removeprefix("~")

    def field(self, at, name):
        fields = self.of(self.inner(at))
        if name in fields:
            return fields[name]
        if f"properties.{name}" in fields:
            return fields[f"properties.{name}"]
        # `az` prints what is below `properties` flat.
        return self.field(fields["properties"], name) if "properties" in fields and name != "properties" else None

    def entry(self, at):
        match = re.fullmatch(r'(?:list|List|Sequence)?\[(.*)\]', self.inner(at))
        return match and match[1]

    def values(self, at):
        at = self.inner(at)
        match = re.fullmatch(r'(?:dict|Dict|Mapping)\[str, *(.*)\]', at) or re.fullmatch(r'\{(.*)\}', at)
        return match and match[1]

    def kind(self, at):
        at = self.inner(at)
        plain = {"str": "text", "bool": "boolean", "int": "number", "float": "number", "iso-8601": "text", "rfc-1123": "text", "datetime.datetime": "text", "long": "number"}
        if at in plain:
            return {plain[at]}
        return {"object"} if at in self.classes else {f"?{at}"}


class Kubernetes:
    """Types of the client, which are those of the OpenAPI document."""

    def __init__(self, packages, _):
        self.models = {}
        for path in (packages / "kubernetes/client/models").glob("*.py"):
            text = path.read_text()
            name = re.search(r"^class (\w+)", text, re.M)
            maps = {key: re.search(rf"{key} = (\{{.*?\n    \}})", text, re.S) for key in ("openapi_types", "attribute_map")}
            if name and all(maps.values()):
                types, names = (ast.literal_eval(maps[key][1]) for key in ("openapi_types", "attribute_map"))
                self.models[name[1]] = {wire: types[own] for own, wire in names.items()}

    def field(self, at, name):
        return self.models.get(at, {}).get(name)

    def entry(self, at):
        match = re.fullmatch(r"list\[(.*)\]", at)
        return match and match[1]

    def values(self, at):
        match = re.fullmatch(r"dict\(str, (.*)\)", at) or re.fullmatch(r"dict\[str, (.*)\]", at)
        return match and match[1]

    def kind(self, at):
        return {{"str": "text", "bool": "boolean", "int": "number", "datetime": "text", "object": "any"}.get(at, at)}


def walk(model, root, path):
    """The type at a path, or what is not there."""
    at = root
    for part in path.split("/"):
        name, is_list, is_map = part.removesuffix("[]").removesuffix("{}"), part.endswith("[]"), part.endswith("{}")
        at = model.field(at, name)
        if at is None:
            return None, f"there is no `{name}`"
        if is_list:
            at = model.entry(at)
        elif is_map:
            at = model.values(at)
        if at is None:
            return None, f"`{name}` is no {'list' if is_list else 'object'}"
    return at, None


def asked():
    """The names that the sources ask for: of JSON pointers, and of the functions that take one name."""
    found = collections.defaultdict(set)
    pointer = re.compile(r'"((?:/[A-Za-z0-9_]+)+)"')
    single = re.compile(r'(?:\.|\b)(?:get|text|boxed|object|list|boolean|any|text_of|contains_key)\(\s*(?:\w+,\s*)?"([A-Za-z0-9_]+)"')
    for name in SOURCES:
        text = (ROOT / "crates" / name).read_text()
        text = text.split("#[cfg(test)]")[0]
        keys = text.find("const KEYS")
        if keys >= 0:
            text = text[:keys] + text[text.index("];", keys):]
        for match in pointer.finditer(text):
            parts = match[1].strip("/").split("/")
            for part in parts:
                if not part.isdigit():
                    found[part].add(name)
        for match in single.finditer(text):
            found[match[1]].add(name)
    return found


def main():
    work = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.gettempdir() + "/neph-models")
    work.mkdir(parents=True, exist_ok=True)
    packages = environment(work)
    makers = {"azure": Azure, "gcp": Google, "kubernetes": Kubernetes}
    models, wrong, count = {}, [], 0
    known = set(BESIDE)
    for title, fields in FIELDS.items():
        cloud, *rest = title.split()
        service, root = rest if len(rest) == 2 else ("", rest[0])
        key = (cloud, service)
        if key not in models:
            models[key] = makers[cloud](packages, service)
        model = models[key]
        for path, kind in fields.items():
            count += 1
            known.update(part.removesuffix("[]").removesuffix("{}") for part in path.split("/"))
            at, problem = walk(model, root, path)
            if problem:
                wrong.append(f"{title}: {path}: {problem}")
            elif kind not in model.kind(at) and kind != "any":
                wrong.append(f"{title}: {path}: read as {kind}, and is {', '.join(sorted(map(str, model.kind(at))))}")
    names = asked()
    for name, places in sorted(names.items()):
        if name not in known:
            wrong.append(f"`{name}` is read in {', '.join(sorted(places))} and stands in no type of FIELDS")
    for line in wrong:
        print(line)
    print(f"{len(FIELDS)} types, {count} fields, {len(names)} names that the sources ask for: {len(wrong)} wrong")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
