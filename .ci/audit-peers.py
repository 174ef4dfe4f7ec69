#!/usr/bin/env python3
"""What `neph audit` says, against what others say of the same: Prowler, Checkov, the schema of SARIF, the models of OCSF.

    python3 .ci/audit-peers.py [WORK]        # WORK keeps the Python environments; a folder below /tmp where it is not named

moto answers as AWS: an account with instances, templates, snapshots, images, databases and repositories is made with boto3, collected with
the AWS command line into the folder that `neph audit run` reads, and Prowler asks the same account. Checkov and neph read the same
Dockerfile, manifest and Terraform. Where they differ, the table below has to say who is right; anything else fails.

NEPH_AUDIT names the command, `target/debug/neph audit run` where it is not set.
"""

import csv
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv

ROOT = pathlib.Path(__file__).resolve().parent.parent
AUDIT = shlex.split(os.environ.get("NEPH_AUDIT", str(ROOT / "target/debug/neph") + " audit run"))
ENVIRONMENTS = {
    "aws": ["moto[server]==5.1.22", "boto3", "awscli", "jsonschema==4.26.0", "py-ocsf-models==0.10.0"],
    "prowler": ["prowler"],
    "checkov": ["checkov"],
}
ACCOUNT, REGION, PORT = "123456789012", "eu-west-1", 5055

# Checks of neph and of Prowler that ask the same. What both have and moto cannot answer is left out: associations of web ACLs.
PROWLER = [
    ("aws-imdsv1", "ec2_instance_imdsv2_enabled"),
    ("aws-imds-account-default", "ec2_instance_account_imdsv2_enabled"),
    ("aws-launch-template-imdsv1", "ec2_launch_template_imdsv2_required"),
    ("aws-launch-configuration-imdsv1", "autoscaling_group_launch_configuration_requires_imdsv2"),
    ("aws-snapshot-public", "ec2_ebs_public_snapshot"),
    ("aws-snapshot-public", "rds_snapshots_public_access"),
    ("aws-snapshot-encrypted", "ec2_ebs_snapshots_encrypted"),
    ("aws-snapshot-encrypted", "rds_snapshots_encrypted"),
    ("aws-snapshot-block-public-access", "ec2_ebs_snapshot_account_block_public_access"),
    ("aws-ebs-encryption-default", "ec2_ebs_default_encryption"),
    ("aws-image-public", "ec2_ami_public"),
    ("aws-ecr-tag-mutable", "ecr_repositories_tag_immutability"),
    ("k8s-api-open", "eks_cluster_not_publicly_accessible"),
]

# Where they differ: (check, part of the resource): (ours, theirs, why we stand by it).
EXPLAINED = {
    ("aws-launch-template-imdsv1", "silent"): (
        "unknown or fail", "either", "a template that says nothing inherits: the account's default and the image decide, which Prowler does not ask",
    ),
    ("k8s-api-open", "cluster-0"): (
        "unknown", "pass", "moto does not tell whether the endpoint is public; a new cluster's is at AWS, so that passing it would be wrong",
    ),
}


def python(work, name):
    folder = work / name
    binary = folder / "bin/python"
    if not binary.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([binary, "-m", "pip", "install", "-q", *ENVIRONMENTS[name]], check=True)
    return folder / "bin"


def neph(folder, form="json"):
    done = subprocess.run([*AUDIT, str(folder), "--format", form], capture_output=True, text=True, env=os.environ | {"FORM": form})
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return done.stdout


SETUP = '''
import boto3, json, sys
endpoint, region = sys.argv[1:3]
make = lambda name: boto3.client(name, region_name=region, endpoint_url=endpoint, aws_access_key_id="x", aws_secret_access_key="x")
ec2, asg, ecr, rds = make("ec2"), make("autoscaling"), make("ecr"), make("rds")
image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
for tokens, endpoint_state in [("optional", "enabled"), ("required", "enabled"), ("optional", "disabled"), ("required", "enabled"), ("optional", "enabled")]:
    ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, MetadataOptions={"HttpTokens": tokens, "HttpEndpoint": endpoint_state})
first = ec2.describe_instances()["Reservations"][0]["Instances"][0]["InstanceId"]
for name, data in [("open", {"MetadataOptions": {"HttpTokens": "optional", "HttpEndpoint": "enabled"}}), ("shut", {"MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled"}}), ("silent", {"ImageId": image})]:
    ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
for name, options in [("open", {"HttpTokens": "optional", "HttpEndpoint": "enabled"}), ("shut", {"HttpTokens": "required", "HttpEndpoint": "enabled"})]:
    asg.create_launch_configuration(LaunchConfigurationName=name, ImageId=image, InstanceType="t3.micro", MetadataOptions=options)
    asg.create_auto_scaling_group(AutoScalingGroupName=name, LaunchConfigurationName=name, MinSize=0, MaxSize=1, AvailabilityZones=[region + "a"])
snapshots = []
for number in range(40):
    volume = ec2.create_volume(AvailabilityZone=region + "a", Size=1, Encrypted=number % 3 == 0)["VolumeId"]
    snapshots.append(ec2.create_snapshot(VolumeId=volume)["SnapshotId"])
for snapshot in snapshots[::7]:
    ec2.modify_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission", OperationType="add", GroupNames=["all"])
for snapshot in snapshots[1::7]:
    ec2.modify_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission", OperationType="add", UserIds=["999999999999"])
images = [ec2.create_image(InstanceId=first, Name=f"own-{number}")["ImageId"] for number in range(6)]
for own in images[::3]:
    ec2.modify_image_attribute(ImageId=own, LaunchPermission={"Add": [{"Group": "all"}]})
for name, state in [("moving", "MUTABLE"), ("firm", "IMMUTABLE")]:
    ecr.create_repository(repositoryName=name, imageTagMutability=state)
eks = make("eks")
for number, access in enumerate([{}, {"endpointPublicAccess": True, "publicAccessCidrs": ["0.0.0.0/0"]}, {"endpointPublicAccess": True, "publicAccessCidrs": ["203.0.113.0/24"]}, {"endpointPublicAccess": False, "endpointPrivateAccess": True}, {"endpointPublicAccess": True, "publicAccessCidrs": ["198.51.100.7/32", "0.0.0.0/0"]}]):
    eks.create_cluster(name=f"cluster-{number}", roleArn="arn:aws:iam::123456789012:role/eks", resourcesVpcConfig={"subnetIds": [], **access})
for number in range(4):
    rds.create_db_instance(DBInstanceIdentifier=f"db-{number}", DBInstanceClass="db.t3.micro", Engine="postgres", AllocatedStorage=20, MasterUsername="u", MasterUserPassword="password1", StorageEncrypted=number % 2 == 0)
    rds.create_db_cluster(DBClusterIdentifier=f"cluster-{number}", Engine="aurora-postgresql", MasterUsername="u", MasterUserPassword="password1", StorageEncrypted=number % 2 == 1)
    for copy in range(4):
        rds.create_db_snapshot(DBInstanceIdentifier=f"db-{number}", DBSnapshotIdentifier=f"db-{number}-{copy}")
        rds.create_db_cluster_snapshot(DBClusterIdentifier=f"cluster-{number}", DBClusterSnapshotIdentifier=f"cluster-{number}-{copy}")
    for name, value in [(0, "all"), (1, "999999999999")]:
        rds.modify_db_snapshot_attribute(DBSnapshotIdentifier=f"db-{number}-{name}", AttributeName="restore", ValuesToAdd=[value])
        rds.modify_db_cluster_snapshot_attribute(DBClusterSnapshotIdentifier=f"cluster-{number}-{name}", AttributeName="restore", ValuesToAdd=[value])
# As the command line prints it: the answer without what is about the request.
def keep(name, answer):
    answer.pop("ResponseMetadata", None)
    with open(f"{sys.argv[3]}/{name}.json", "w") as file:
        json.dump(answer, file, indent=4, default=str)
for one in snapshots:
    # moto answers for the right snapshot and always names the same one.
    keep(f"ec2-describe-snapshot-attribute-{one}", ec2.describe_snapshot_attribute(SnapshotId=one, Attribute="createVolumePermission") | {"SnapshotId": one})
for one in images:
    keep(f"ec2-describe-image-attribute-{one}", ec2.describe_image_attribute(ImageId=one, Attribute="launchPermission"))
for one in eks.list_clusters()["clusters"]:
    keep(f"eks-describe-cluster-{one}", eks.describe_cluster(name=one))
for one in rds.describe_db_snapshots()["DBSnapshots"]:
    name = one["DBSnapshotIdentifier"]
    keep(f"rds-describe-db-snapshot-attributes-{name}", rds.describe_db_snapshot_attributes(DBSnapshotIdentifier=name))
for one in rds.describe_db_cluster_snapshots()["DBClusterSnapshots"]:
    name = one["DBClusterSnapshotIdentifier"]
    keep(f"rds-describe-db-cluster-snapshot-attributes-{name}", rds.describe_db_cluster_snapshot_attributes(DBClusterSnapshotIdentifier=name))
for one in ec2.describe_launch_templates()["LaunchTemplates"]:
    keep(f"ec2-describe-launch-template-versions-{one['LaunchTemplateId']}", ec2.describe_launch_template_versions(LaunchTemplateId=one["LaunchTemplateId"]))

'''

CALLS = [
    "ec2 describe-instances",
    "ec2 describe-snapshots --owner-ids self",
    "ec2 describe-images --owners self",
    "ec2 get-ebs-encryption-by-default",
    "ec2 get-instance-metadata-defaults",
    "ec2 get-snapshot-block-public-access-state",
    "ec2 get-image-block-public-access-state",
    "autoscaling describe-launch-configurations",
    "ecr describe-repositories",
    "rds describe-db-snapshots",
    "rds describe-db-cluster-snapshots",
]


def aws(work, folder):
    bins = python(work, "aws")
    log = open(folder / "moto.log", "w")
    server = subprocess.Popen([bins / "moto_server", "-p", str(PORT)], stdout=log, stderr=log)
    endpoint = f"http://127.0.0.1:{PORT}"
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(endpoint + "/moto-api/data.json", timeout=2).read()
                break
            except OSError:
                time.sleep(0.5)
        collected = folder / "collected/aws" / ACCOUNT / REGION
        collected.mkdir(parents=True)
        made = subprocess.run([bins / "python", "-c", SETUP, endpoint, REGION, collected], capture_output=True, text=True)
        if made.returncode != 0:
            raise SystemExit(made.stderr)
        environment = os.environ | {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": REGION, "AWS_PAGER": ""}
        calls = [(call.split(" --")[0].replace(" ", "-"), call.split()) for call in CALLS]
        missing = []
        for name, words in calls:
            done = subprocess.run([bins / "aws", *words, "--output", "json"], env=environment, capture_output=True, text=True)
            if done.returncode == 0:
                (collected / f"{name}.json").write_text(done.stdout)
            else:
                missing.append(" ".join(words))
        print(f"{len(calls) - len(missing)} answers of the AWS command line; not known to moto: {', '.join(missing) or 'none'}")
        ours = json.loads(neph(folder / "collected"))
        theirs = prowler(work, folder, environment)
        compare(ours, theirs, folder / "collected")
    finally:
        server.terminate()
        server.wait()


def prowler(work, folder, environment):
    bins = python(work, "prowler")
    out = folder / "prowler"
    done = subprocess.run(
        [bins / "prowler", "aws", "-f", REGION, "--checks", *{peer for _, peer in PROWLER}, "-M", "csv", "-o", out, "-F", "result", "--ignore-exit-code-3", "-b"],
        env=environment, capture_output=True, text=True,
    )
    found = {}
    for path in out.glob("*.csv"):
        with open(path, newline="") as file:
            for row in csv.DictReader(file, delimiter=";"):
                found[(row["CHECK_ID"], row["RESOURCE_NAME"] or row["RESOURCE_UID"])] = row["STATUS"].lower()
    if not found:
        raise SystemExit("Prowler found nothing:\n" + done.stdout[-3000:] + done.stderr[-3000:])
    return found


def compare(ours, theirs, collected):
    names = {}
    for path in collected.rglob("*template*.json"):
        for one in json.loads(path.read_text())["LaunchTemplateVersions"]:
            names[one["LaunchTemplateId"]] = one["LaunchTemplateName"]
    agree, explained, wrong, alone = {}, [], [], 0
    for check, peer in PROWLER:
        own = [one for one in ours["findings"] if one["check"] == check and not one["resource"].startswith("all of")]
        other = {resource: status for (name, resource), status in theirs.items() if name == peer}
        for one in own:
            words = one["resource"].split(" ")
            if words[0] == "default" or "region" in one["resource"]:
                # Of the region itself, by whatever name.
                matches = list(other.values())[:1]
            else:
                same = lambda resource: any(resource == word or resource.endswith(("/" + word, ":" + word)) or word.endswith("/" + resource) or names.get(word) == resource for word in words)
                matches = [status for resource, status in other.items() if same(resource)]
            if not matches:
                alone += 1
                continue
            if matches[0] == one["outcome"]:
                agree[peer] = agree.get(peer, 0) + 1
                continue
            reason = next((why for (name, part), why in EXPLAINED.items() if name == check and part in one["resource"]), None)
            (explained if reason else wrong).append((check, one["resource"], one["outcome"], matches[0], one["what"], reason and reason[2]))
    for one in explained + wrong:
        print("differs:", *one, sep=" | ")
    print("alike:", ", ".join(f"{peer} {count}" for peer, count in agree.items()))
    print(f"Prowler: {sum(agree.values())} verdicts agree, {len(explained)} differ for a reason, {len(wrong)} WRONG, {alone} resources that Prowler does not tell of")
    if wrong or sum(agree.values()) < 60:
        sys.exit(1)


# Check of neph, check of Checkov, kind of resource.
CHECKOV = [
    ("image-latest", "CKV_DOCKER_7", "dockerfile"),
    ("image-latest", "CKV_K8S_14", "kubernetes"),
    ("image-mutable-tag", "CKV_K8S_43", "kubernetes"),
    ("terraform-aws-imdsv1", "CKV_AWS_79", "terraform"),
    ("terraform-gke-metadata", "CKV_GCP_69", "terraform"),
    ("docker-socket-mounted", "CKV_K8S_27", "kubernetes"),
]


def checkov(work, folder):
    bins = python(work, "checkov")
    code = folder / "code"
    expected = []

    def write(name, text):
        path = code / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    digest = "sha256:" + "a" * 64
    for number, image in enumerate(["alpine", "alpine:latest", "alpine:3.20", f"alpine@{digest}", f"ghcr.io/a/b:1@{digest}", "localhost:5000/a", "localhost:5000/a:2"]):
        write(f"docker{number}/Dockerfile", f"FROM {image}\nRUN true\n")
        write(
            f"k8s{number}/pod.yaml",
            f"apiVersion: v1\nkind: Pod\nmetadata: {{name: p{number}, namespace: n}}\nspec:\n  containers:\n    - name: c\n      image: {image}\n"
            + ("  volumes:\n    - name: s\n      hostPath: {path: /var/run/docker.sock}\n" if number % 2 else ""),
        )
    for number, options in enumerate(['http_tokens = "required"', 'http_tokens = "optional"', "http_tokens = var.tokens", 'http_endpoint = "disabled"', ""]):
        block = f"  metadata_options {{\n    {options}\n  }}\n" if options else ""
        write(f"tf{number}/main.tf", f'variable "tokens" {{ default = "required" }}\nresource "aws_instance" "i{number}" {{\n{block}}}\nresource "aws_launch_template" "l{number}" {{\n{block}}}\n')
    for number, mode in enumerate(["GKE_METADATA", "GCE_METADATA", ""]):
        block = f'    workload_metadata_config {{\n      mode = "{mode}"\n    }}\n' if mode else ""
        write(f"gke{number}/main.tf", f'resource "google_container_node_pool" "g{number}" {{\n  cluster = "c"\n  node_config {{\n{block}  }}\n}}\n')
    ids = ",".join(sorted({peer for _, peer, _ in CHECKOV}))
    done = subprocess.run([bins / "checkov", "-d", code, "-c", ids, "-o", "json", "--compact", "--framework", "dockerfile", "kubernetes", "terraform"], capture_output=True, text=True)
    reports = json.loads(done.stdout)
    reports = reports if isinstance(reports, list) else [reports]
    theirs = {}
    for report in reports:
        for outcome, key in (("pass", "passed_checks"), ("fail", "failed_checks")):
            for one in report["results"].get(key, []):
                file = one["file_path"].lstrip("/")
                where = (one["check_id"], file, one["resource"].split(".")[-1] if file.endswith(".tf") else "")
                theirs[where] = "fail" if "fail" in (theirs.get(where), outcome) else outcome
    full = subprocess.run([*AUDIT, str(code), "--format", "json"], capture_output=True, text=True)
    ours = {}
    for one in json.loads(full.stdout)["findings"]:
        file = os.path.relpath(one["evidence"][0]["file"], code) if one["evidence"] else ""
        name = one["resource"].split(".")[-1].split(" ")[0] if file.endswith(".tf") else ""
        ours[(one["check"], file, name)] = one["outcome"]
    told = {}
    for peer, _, _ in theirs:
        told[peer] = told.get(peer, 0) + 1
    print("Checkov tells", told)
    # A digest says more than a tag: that CKV_DOCKER_7 and CKV_K8S_14 take it as a tag, we do too. An endpoint that is off answers nobody.
    reasons = {
        ("terraform-aws-imdsv1", "tf3/main.tf"): "the endpoint is off",
        ("image-latest", "docker5/Dockerfile"): "there is no tag: the colon is that of the registry's port, which Checkov takes for a tag",
    }
    agree, differ, wrong = 0, [], []
    for check, peer, _ in CHECKOV:
        for (peer_check, file, name), outcome in sorted(theirs.items()):
            if peer_check != peer:
                continue
            own = ours.get((check, file, name))
            # What the other check of the pair tells of, or what is safe and not told.
            if own is None:
                own = "pass" if check == "docker-socket-mounted" else "fail" if check == "image-mutable-tag" else None
            if own == outcome:
                agree += 1
            elif (check, file) in reasons:
                differ.append((check, file, name, own, outcome, reasons[(check, file)]))
            else:
                wrong.append((check, peer, file, name, own, outcome))
    for one in differ + wrong:
        print("differs:", *one, sep=" | ")
    print(f"Checkov: {agree} verdicts agree, {len(differ)} differ for a reason, {len(wrong)} WRONG")
    if wrong or agree < 25:
        sys.exit(1)


VALIDATE = '''
import json, sys
from py_ocsf_models.events.findings.compliance_finding import ComplianceFinding
count = 0
for line in open(sys.argv[1]):
    ComplianceFinding.model_validate(json.loads(line)); count += 1
print(f"OCSF: {count} Compliance Findings fit the models")
if len(sys.argv) > 3:
    import jsonschema
    jsonschema.Draft7Validator(json.load(open(sys.argv[3]))).validate(json.load(open(sys.argv[2])))
    print("SARIF: fits the schema")
'''


def forms(work, folder):
    bins = python(work, "aws")
    (folder / "ocsf.ndjson").write_text(neph(folder, "ocsf"))
    (folder / "audit.sarif").write_text(neph(folder, "sarif"))
    schema = os.environ.get("SARIF_SCHEMA")
    command = [bins / "python", "-c", VALIDATE, folder / "ocsf.ndjson", folder / "audit.sarif"]
    done = subprocess.run([*command, *([schema] if schema else [])], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr[-3000:])
    print(done.stdout.strip())
    if not schema:
        print("SARIF by its schema: skipped, SARIF_SCHEMA names no file")


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        work = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(tempfile.gettempdir()) / "neph-audit-peers"
        checkov(work, folder)
        aws(work, folder)
        forms(work, folder)


main()
