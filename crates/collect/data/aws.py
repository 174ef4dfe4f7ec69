#!/usr/bin/env python3
"""Writes aws.json: how the calls to AWS that `neph collect` makes are sent, and how their answers are read.

    python3 crates/collect/data/aws.py        (with botocore, of PyPI)

botocore holds the descriptions of the services that AWS publishes; taken from them are names and types of what the calls below send and
answer, nothing else. `UserData` is left out: it holds scripts, often with passwords in them, and no reader needs it.
"""

import json
import pathlib

import botocore
import botocore.loaders
import botocore.model
import botocore.utils
from botocore import xform_name

CALLS = """
autoscaling describe-auto-scaling-groups describe-launch-configurations
backup list-backup-vaults get-backup-vault-access-policy list-recovery-points-by-backup-vault
ec2 describe-regions describe-snapshots describe-snapshot-attribute describe-images describe-image-attribute describe-volumes describe-instances
ec2 describe-launch-templates describe-launch-template-versions describe-security-groups describe-iam-instance-profile-associations
ec2 get-ebs-encryption-by-default get-snapshot-block-public-access-state get-image-block-public-access-state get-instance-metadata-defaults
ecr describe-repositories describe-images get-repository-policy describe-registry get-registry-policy
eks list-clusters describe-cluster
elbv2 describe-load-balancers
iam get-account-authorization-details
kms list-keys describe-key get-key-policy
organizations describe-organization list-policies describe-policy list-targets-for-policy
rds describe-db-instances describe-db-clusters describe-db-snapshots describe-db-snapshot-attributes
rds describe-db-cluster-snapshots describe-db-cluster-snapshot-attributes
sts get-caller-identity assume-role assume-role-with-web-identity
wafv2 list-web-acls get-web-acl list-resources-for-web-acl list-rule-groups get-rule-group
"""

# Markers that the descriptions of pages leave out.
PAGES = {"wafv2": {"input_token": "NextMarker", "output_token": "NextMarker", "limit_key": "Limit"}}
LEFT_OUT = {"UserData"}


def shape(of, protocol, seen=()):
    """None stands for what is taken as it is."""
    if of.name in seen:
        return None if "json" in protocol else 1 / 0
    seen = (*seen, of.name)
    kind = of.type_name
    if kind == "structure":
        members = {}
        for name, member in of.members.items():
            if name in LEFT_OUT:
                continue
            inner = shape(member, protocol, seen)
            if "json" in protocol and inner is None:
                continue
            wire = member.serialization.get("name", name)
            members[name] = [wire, inner] if wire != name or "json" not in protocol else [name, inner]
            if "json" not in protocol and member.type_name == "list" and member.serialization.get("flattened"):
                raise AssertionError(of.name)
        return {"o": members} if members or "json" not in protocol else None
    if kind == "list":
        inner = shape(of.member, protocol, seen)
        if "json" in protocol:
            return None if inner is None else {"l": ["", inner]}
        assert not of.serialization.get("flattened"), of.name
        return {"l": [of.member.serialization.get("name", "member" if protocol == "query" else "item"), inner]}
    if kind == "map":
        assert "json" in protocol, of.name
        inner = shape(of.value, protocol, seen)
        return None if inner is None else {"m": inner}
    if kind == "timestamp":
        return "t"
    if "json" in protocol:
        return None
    if of.name == "policyDocumentType":
        # What is encoded once more is printed as JSON (botocore.handlers.json_decode_policies).
        return "p"
    return {"string": "s", "boolean": "b", "integer": "i", "long": "i", "double": "f", "float": "f", "blob": "s"}[kind]


def main():
    loader = botocore.loaders.Loader()
    calls = {}
    for line in CALLS.strip().splitlines():
        service, *names = line.split()
        data = loader.load_service_model(service, "service-2")
        model = botocore.model.ServiceModel(data, service)
        try:
            pages = loader.load_service_model(service, "paginators-1")["pagination"]
        except botocore.exceptions.UnknownServiceError:
            pages = {}
        by_name = {xform_name(name, "-"): name for name in model.operation_names}
        metadata = model.metadata
        protocol = metadata["protocol"]
        for name in names:
            operation = model.operation_model(by_name[name])
            call = {"protocol": protocol, "operation": operation.name, "signing": metadata.get("signingName", metadata["endpointPrefix"])}
            call["endpoint"] = metadata["endpointPrefix"]
            if protocol in ("ec2", "query"):
                call["version"] = metadata["apiVersion"]
                call["wrapper"] = (operation.output_shape.serialization.get("resultWrapper") or "") if protocol == "query" else ""
            elif protocol == "json":
                call["target"] = metadata["targetPrefix"] + "." + operation.name
                assert metadata["jsonVersion"] == "1.1", service
            else:
                assert operation.http["method"] == "GET", name
                call["uri"] = operation.http["requestUri"]
                members = operation.input_shape.members.items()
                call["query"] = {key: member.serialization.get("name", key) for key, member in members if member.serialization.get("location") == "querystring"}
                call["path"] = {key: member.serialization.get("name", key) for key, member in members if member.serialization.get("location") == "uri"}
            page = pages.get(operation.name)
            if page is None and "NextMarker" in (operation.output_shape.members if operation.output_shape else ()):
                page = PAGES.get(service)
            if page is not None:
                outer = page["output_token"]
                call["token"] = [page["input_token"], outer if isinstance(outer, str) else outer[0]]
                call["limit"] = page.get("limit_key")
                if "result_key" in page:
                    keys = page["result_key"]
                    call["lists"] = [keys] if isinstance(keys, str) else keys
                    call["kept"] = page.get("non_aggregate_keys", [])
            call["members"] = [key for key in operation.output_shape.members if key not in (call.get("token") or [None, None])[1:]]
            found = shape(operation.output_shape, protocol)
            if found is not None:
                call["answer"] = found
            calls[f"{service} {name}"] = call
    text = ",\n".join(f"  {json.dumps(name)}: {json.dumps(call, separators=(',', ':'))}" for name, call in sorted(calls.items()))
    pathlib.Path(__file__).with_name("aws.json").write_text("{\n" + text + "\n}\n")


main()
