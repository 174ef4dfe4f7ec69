#!/usr/bin/env python3
"""Holds `neph collect` against servers that are really there, with failures on purpose.

    python3 .ci/collect.py [--snapshots N] [--only NAME]

- AWS: `moto` (PyPI) behind a proxy that cuts answers into pages, throttles, fails, hangs up, and denies a region. What was collected must be
  what `botocore` reads from the server itself, call by call; a run that is killed must go on where it was.
- Docker's interface: `podman system service`, with an image that was changed in a container. Without podman this part is left out, and said so.
- Kubernetes, OpenStack, Google Cloud and Azure: servers that answer as those do (`replay.py`), throttling now and then, with TLS, client
  certificates, tokens and pages. For OpenStack the answers are held against what `python-openstackclient` (PyPI) prints of the same server.
- The folder: no secret in it, nothing outside it, and `neph audit entitlements` reads it.
"""

import argparse
import collections
import http.client
import http.server
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ElementTree

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import replay
from service import NEPH, TARGET, Certificates, build, check, run, wait_for

NEPH = pathlib.Path(os.environ.get("NEPH", NEPH))
WORK = TARGET / "collect"
PIP = ["moto[ec2,server]==5.2.5", "python-openstackclient==10.5.0"]
ACCOUNT, KEY, SECRET = "123456789012", "AKIAEXAMPLEEXAMPLE01", "not/a/real+secret/but/hide/it/0123456789"
REGIONS = ["eu-west-1", "us-east-1"]
DENIED = "eu-central-1"
PAGE = 250


def install():
    """A Python with what is needed; this script goes on in it."""
    python = WORK / "venv" / "bin" / "python"
    wanted = WORK / "installed"
    if not wanted.exists() or wanted.read_text() != "\n".join(PIP):
        WORK.mkdir(parents=True, exist_ok=True)
        run([sys.executable, "-m", "venv", WORK / "venv"])
        run([python, "-m", "pip", "install", "-q", "--no-compile", *PIP])
        wanted.write_text("\n".join(PIP))
    if pathlib.Path(sys.prefix).resolve() != (WORK / "venv").resolve():
        os.execv(python, [python, __file__, *sys.argv[1:]])


# ------------------------------------------------------------------------------------------------------ proxy


class Proxy(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Stands before moto and is what a real service is: paged, limited, sometimes broken."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, upstream):
        super().__init__(("127.0.0.1", 0), Handler)
        self.upstream = upstream
        self.random = random.Random(7)
        self.failures = 0.0
        self.denied = set()
        self.delay = 0.0
        self.asked = collections.Counter()
        self.failed = collections.Counter()
        self.pages = {}
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_):
        """Clients that are killed hang up."""


ERROR = "<Response><Errors><Error><Code>{0}</Code><Message>on purpose</Message></Error></Errors><RequestID>r</RequestID></Response>"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.do_POST()

    def do_POST(self):
        proxy = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        scope = re.search(r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/", self.headers.get("Authorization", ""))
        region, service = scope.groups() if scope else ("?", "?")
        action = re.search(rb"Action=(\w+)", body)
        call = action.group(1).decode() if action else self.headers.get("X-Amz-Target", self.path).rsplit(".")[-1]
        item = re.search(rb"(?:SnapshotId|ImageId)=([\w-]+)", body)
        time.sleep(proxy.delay)
        with proxy.lock:
            chance = proxy.random.random()
            proxy.asked[call, region, item and item.group(1).decode()] += 1
        if region in proxy.denied and service == "ec2":
            return self.answer(403, ERROR.format("UnauthorizedOperation"))
        if chance < proxy.failures:
            kind = ["throttled", "throttled", "failed", "hung up"][int(chance / proxy.failures * 4)]
            with proxy.lock:
                proxy.failed[kind] += 1
            if kind == "throttled" and action:
                return self.answer(503, ERROR.format("RequestLimitExceeded"))
            if kind == "throttled":
                return self.answer(400, '{"__type":"ThrottlingException","message":"on purpose"}')
            if kind == "failed":
                return self.answer(500, "<html>")
            self.close_connection = True
            return self.connection.shutdown(socket.SHUT_RDWR)
        status, kind, text = self.forward(body)
        if status == 500:
            # moto fails at what it does not know; a service says so.
            return self.answer(400, ERROR.format("InvalidAction"))
        if call in ("DescribeSnapshots", "DescribeImages") and status == 200 and b"MaxResults" in body:
            text = self.page(call, region, body, text)
        self.answer(status, text, kind)

    def forward(self, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("connection", "host")}
        host = self.headers.get("Authorization", "")
        service, region = (re.search(r"/([^/]+)/([^/]+)/aws4_request", host).group(2, 1)) if host else ("sts", "us-east-1")
        headers["Host"] = f"{service}.{region}.amazonaws.com"
        connection.request(self.command, self.path, body, headers)
        reply = connection.getresponse()
        text = reply.read()
        connection.close()
        return reply.status, reply.headers.get("Content-Type", ""), text

    def page(self, call, region, body, text):
        """Only some of the items, and a marker of the next."""
        token = re.search(rb"NextToken=(\w+)", body)
        size = min(PAGE, int(re.search(rb"MaxResults=(\d+)", body).group(1)))
        begin = int(token.group(1)) if token else 0
        root = ElementTree.fromstring(text)
        space = root.tag.split("}")[0] + "}" if "}" in root.tag else ""
        items = root.find(space + ("snapshotSet" if call == "DescribeSnapshots" else "imagesSet"))
        every = list(items)
        for at, item in enumerate(every):
            if not begin <= at < begin + size:
                items.remove(item)
        for old in root.findall(space + "nextToken"):
            root.remove(old)
        if begin + size < len(every):
            ElementTree.SubElement(root, space + "nextToken").text = str(begin + size)
        with self.server.lock:
            self.server.pages[call, region] = max(self.server.pages.get((call, region), 0), begin // size + 1)
        return ElementTree.tostring(root)

    def answer(self, status, text, kind="text/xml"):
        text = text.encode() if isinstance(text, str) else text
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


# -------------------------------------------------------------------------------------------------------- AWS


def seed(endpoint, snapshots, images):
    """An account with a few of everything and thousands of snapshots."""
    import boto3
    from moto.ec2.models import ec2_backends

    def client(service, region):
        return boto3.client(service, region, endpoint_url=endpoint, aws_access_key_id=KEY, aws_secret_access_key=SECRET)

    for region in REGIONS:
        ec2 = client("ec2", region)
        base = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        instance = ec2.run_instances(ImageId=base, MinCount=3, MaxCount=3, MetadataOptions={"HttpTokens": "optional"})["Instances"][0]["InstanceId"]
        volume = ec2.create_volume(AvailabilityZone=f"{region}a", Size=8)["VolumeId"]
        made = ec2.create_image(InstanceId=instance, Name="golden")["ImageId"]
        ec2.modify_image_attribute(ImageId=made, LaunchPermission={"Add": [{"UserId": "999988887777"}]})
        first = ec2.create_snapshot(VolumeId=volume, Description="a <b> & \u00fc", TagSpecifications=[{"ResourceType": "snapshot", "Tags": [{"Key": "k", "Value": "v"}]}])
        ec2.modify_snapshot_attribute(SnapshotId=first["SnapshotId"], Attribute="createVolumePermission", GroupNames=["all"], OperationType="add")
        template = {"ImageId": base, "InstanceType": "t3.micro", "UserData": "cGFzc3dvcmQ9" + "c2VjcmV0"}
        ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData=template)
        backend = ec2_backends[ACCOUNT][region]
        many = region == REGIONS[0]
        for number in range(snapshots if many else 5):
            backend.create_snapshot(volume, f"nightly {number}", owner_id=ACCOUNT)
        for number in range(images if many else 5):
            backend.create_image(instance, f"web-{number}", "built", [])
        rds = client("rds", region)
        rds.create_db_instance(DBInstanceIdentifier="shop", DBInstanceClass="db.t3.micro", Engine="postgres", AllocatedStorage=10, MasterUsername="u", MasterUserPassword="p" * 8)
        rds.create_db_snapshot(DBSnapshotIdentifier="shop-1", DBInstanceIdentifier="shop")
        rds.modify_db_snapshot_attribute(DBSnapshotIdentifier="shop-1", AttributeName="restore", ValuesToAdd=["999988887777"])
        ecr = client("ecr", region)
        for name in ("shop/web", "shop/api"):
            ecr.create_repository(repositoryName=name)
        statement = {"Effect": "Allow", "Principal": "*", "Action": "ecr:PutImage"}
        ecr.set_repository_policy(repositoryName="shop/web", policyText=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
        key = client("kms", region).create_key(Description="backups")["KeyMetadata"]["KeyId"]
        assert key
        client("eks", region).create_cluster(name="prod", roleArn=f"arn:aws:iam::{ACCOUNT}:role/eks", resourcesVpcConfig={"subnetIds": ["subnet-1"]})
        visibility = {"SampledRequestsEnabled": True, "CloudWatchMetricsEnabled": True, "MetricName": "m"}
        client("wafv2", region).create_web_acl(Name="edge", Scope="REGIONAL", DefaultAction={"Allow": {}}, VisibilityConfig=visibility, Rules=[])
        client("backup", region).create_backup_vault(BackupVaultName="vault")
    iam = client("iam", "us-east-1")
    allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ec2:CreateSnapshot", "Resource": "*"}]}
    iam.create_user(UserName="ann")
    iam.put_user_policy(UserName="ann", PolicyName="snapshots", PolicyDocument=json.dumps(allow))
    for number in range(40):
        iam.create_role(RoleName=f"role-{number}", AssumeRolePolicyDocument=json.dumps(allow))
    organizations = client("organizations", "us-east-1")
    organizations.create_organization(FeatureSet="ALL")
    content = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "ec2:ModifySnapshotAttribute", "Resource": "*"}]}
    organizations.create_policy(Content=json.dumps(content), Description="d", Name="no sharing", Type="SERVICE_CONTROL_POLICY")
    return client


def collect(proxy, folder, *more, expected=(0,), timeout=300):
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder.parent), "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": proxy.url if proxy else "http://127.0.0.1:9",
    }
    command = [NEPH, "collect", "aws", "--to", folder, *more]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout)
    check("exit code", done.returncode in expected, f"{done.returncode} of {' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}")
    check("no secret is told", SECRET not in done.stdout + done.stderr)
    return done


def rows(folder):
    return {call["file"]: call for call in json.loads((folder / "collection.json").read_text())["calls"]}


def told(value):
    """A value as the tool prints it."""
    return json.loads(json.dumps(value, default=lambda time: time.isoformat()))


# What is asked for a file beside what its name says.
ASKED = {
    "ec2 describe-snapshots": {"OwnerIds": ["self"]},
    "ec2 describe-images": {"Owners": ["self"]},
    "ec2 describe-launch-template-versions": {"Versions": ["$Latest", "$Default"]},
    "ec2 describe-snapshot-attribute": {"Attribute": "createVolumePermission"},
    "ec2 describe-image-attribute": {"Attribute": "launchPermission"},
    "wafv2 list-web-acls": {"Scope": "REGIONAL"},
    "wafv2 list-rule-groups": {"Scope": "REGIONAL"},
}
ITEMS = {
    "ec2 describe-snapshot-attribute": "SnapshotId", "ec2 describe-image-attribute": "ImageId", "kms get-key-policy": "KeyId", "kms describe-key": "KeyId",
    "rds describe-db-snapshot-attributes": "DBSnapshotIdentifier", "eks describe-cluster": "name", "backup get-backup-vault-access-policy": "BackupVaultName",
    "backup list-recovery-points-by-backup-vault": "BackupVaultName",
}
NOT_COMPARED = {
    "ecr describe-images": "moto makes up the time of the last pull at each call", "sts get-caller-identity": "it was made before the run",
}


def peer(client, call, region, stem):
    """The same call by botocore; None if it takes parameters that its file does not tell."""
    from botocore import xform_name

    service, operation = call["call"].split()
    parameters = dict(ASKED.get(call["call"], {}))
    if call["call"] in ITEMS:
        parameters[ITEMS[call["call"]]] = stem
    elif "/" in call["file"].split(f"/{call['region']}/")[1] or "in-use" in stem or region == "global" and service in ("wafv2", "organizations"):
        return None
    own = client(service, "us-east-1" if region == "global" else region)
    method = xform_name(next(name for name in own.meta.service_model.operation_names if xform_name(name, "-") == operation))
    if own.can_paginate(method):
        return told(own.get_paginator(method).paginate(**parameters).build_full_result())
    answer = getattr(own, method)(**parameters)
    answer.pop("ResponseMetadata")
    return told(answer)


def without(keys, value):
    if isinstance(value, dict):
        return {key: without(keys, inner) for key, inner in value.items() if key not in keys}
    return [without(keys, inner) for inner in value] if isinstance(value, list) else value


def compare(client, folder):
    """Every file against botocore's answer from the server itself."""
    compared, left_out = collections.Counter(), collections.Counter()
    files = [call for call in rows(folder).values() if call["complete"] and (folder / call["file"]).exists()]
    each = collections.Counter()
    for call in files:
        # Thousands of permissions are alike: some of them are looked at.
        each[call["call"], call["region"]] += 1
        if each[call["call"], call["region"]] > 25 or call["call"] in NOT_COMPARED:
            continue
        path = folder / call["file"]
        expected = peer(client, call, call["region"], path.stem)
        if expected is None:
            left_out[call["call"]] += 1
            continue
        found = json.loads(path.read_text())
        # moto says the time of the call for the last moment that a database can go back to.
        keys = {"UserData", "LatestRestorableTime"}
        check(call["file"], without(keys - {"UserData"}, found) == without(keys, expected), f"\n{json.dumps(found)[:1500]}\n{json.dumps(expected)[:1500]}")
        compared[call["call"]] += 1
    return compared, left_out


def aws(work, snapshots):
    import logging

    from moto.server import ThreadedMotoServer

    logging.disable(logging.CRITICAL)

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    port = server._server.server_port
    begin = time.monotonic()
    client = seed(f"http://127.0.0.1:{port}", snapshots, snapshots // 5)
    print(f"  seeded in {time.monotonic() - begin:.1f} s")
    proxy = Proxy(port)

    # Everything at once: pages, a fifth of the requests fail, one region is denied.
    proxy.failures, proxy.denied = 0.2, {DENIED}
    folder = work / "all"
    regions = [argument for region in [*REGIONS, DENIED] for argument in ("--region", region)]
    begin = time.monotonic()
    done = collect(proxy, folder, *regions, "--fail-on", "partial", "--format", "json", expected=(1,))
    took = time.monotonic() - begin
    found = rows(folder)
    summary = json.loads(done.stdout)
    for region in REGIONS:
        list_file = json.loads((folder / f"aws/{ACCOUNT}/{region}/ec2-describe-snapshots.json").read_text())
        expected = {one["SnapshotId"] for page in client("ec2", region).get_paginator("describe_snapshots").paginate(OwnerIds=["self"]) for one in page["Snapshots"]}
        least = snapshots if region == REGIONS[0] else 5
        check("snapshots", len(expected) >= least and {one["SnapshotId"] for one in list_file["Snapshots"]} == expected)
        check("pages", proxy.pages["DescribeSnapshots", region] >= least // PAGE, proxy.pages)
        attributes = [call for call in found.values() if call["region"] == region and call["call"] == "ec2 describe-snapshot-attribute"]
        check("permissions", len(attributes) == len(expected) and all(call["complete"] for call in attributes))
    of_denied = [call for call in found.values() if call["region"] == DENIED and call["call"].startswith("ec2 ")]
    check("the denied region is told", of_denied and all(not call["complete"] and "access denied" in call["problem"] for call in of_denied), of_denied[:2])
    failed = [call for call in found.values() if not call["complete"] and call["region"] != DENIED]
    told_of = {call["call"] for call in failed}
    print(f"  {len(found)} calls, {summary['items']} items in {took:.1f} s; on purpose: {dict(proxy.failed)}; not in moto: {sorted(told_of)}")
    check("what fails without reason", not any("throttled" in call["problem"] or "no answer" in call["problem"] and "501" not in call["problem"] for call in failed), failed)
    check("failed calls have no files", not any((folder / call["file"]).exists() for call in found.values() if not call["complete"]))
    compared, left_out = compare(client, folder)
    print(f"  {sum(compared.values())} files of {len(compared)} calls are what botocore reads; not compared: {sorted(left_out | NOT_COMPARED)}")
    check("enough calls are compared", len(compared) >= 25, sorted(compared))
    templates = (folder / f"aws/{ACCOUNT}/eu-west-1/ec2-describe-launch-template-versions.json").read_text()
    check("user data is left out", "UserData" not in templates and "t3.micro" in templates)
    check("no secret in any file", not any(SECRET in file.read_text() for file in folder.rglob("*") if file.is_file()))
    check("only its owner may read", all(file.stat().st_mode & 0o077 == 0 for file in folder.rglob("*")))

    # A second run asks for nothing but what failed.
    proxy.failures, before = 0.0, sum(proxy.asked.values())
    collect(proxy, folder, *regions)
    again = sum(proxy.asked.values()) - before
    check("what is complete is not asked again", again <= len(of_denied) + len(failed) + 120, again)

    # Killed in the middle, and started again.
    proxy.asked.clear()
    proxy.delay, folder = 0.01, work / "killed"
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_ENDPOINT_URL": proxy.url}
    command = [NEPH, "collect", "aws", "--to", folder, "--region", REGIONS[0]]
    for _ in range(3):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        target = sum(proxy.asked.values()) + snapshots // 5
        wait_for("some calls", 60, lambda: sum(proxy.asked.values()) >= target)
        process.send_signal(signal.SIGKILL)
        process.wait()
        text = (folder / "collection.json").read_text() if (folder / "collection.json").exists() else ""
        check("the record is whole", not text or json.loads(text)["version"] == 1)
    collect(proxy, folder, "--region", REGIONS[0])
    one_region = [file for file in rows(folder) if "/ec2-describe-snapshot-attribute/" in file]
    permissions = {key: count for key, count in proxy.asked.items() if key[0] == "DescribeSnapshotAttribute"}
    twice = sum(count - 1 for count in permissions.values())
    print(f"  killed three times: {len(permissions)} permissions asked for, {twice} of them again")
    check("all of them", len(permissions) == len(one_region), (len(permissions), len(one_region)))
    check("few are asked again", twice < len(permissions) * 0.6, twice)
    one, other = (json.loads((work / name / f"aws/{ACCOUNT}/{REGIONS[0]}/ec2-describe-snapshots.json").read_text()) for name in ("all", "killed"))
    check("it is the same", one == other)
    check("no parts are left", not [file for file in folder.rglob(".*.part") if file.name != ".collection.json.part"])

    # Asked again from the start: what is gone is gone.
    proxy.delay = 0
    gone = next(snapshot["SnapshotId"] for snapshot in one["Snapshots"] if snapshot["Description"].startswith("nightly"))
    client("ec2", REGIONS[0]).delete_snapshot(SnapshotId=gone)
    stale = folder / f"aws/{ACCOUNT}/{REGIONS[0]}/ec2-describe-snapshot-attribute/{gone}.json"
    check("it was there", stale.exists())
    collect(proxy, folder, "--region", REGIONS[0], "--refresh")
    check("it is gone", not stale.exists() and stale.relative_to(folder).as_posix() not in rows(folder))

    # Nobody is there.
    done = collect(None, work / "nobody", "--tries", "2", expected=(2,))
    check("it is said", "get-caller-identity" in done.stderr, done.stderr)
    server.stop()
    proxy.shutdown()


# ----------------------------------------------------------------------------------------------- Docker, host


def docker(work):
    if not shutil.which("podman"):
        print("  SKIPPED: there is no podman here")
        return
    place = work / "podman"
    place.mkdir()
    podman = ["podman", "--root", place / "root", "--runroot", place / "run", "--storage-driver", "vfs"]
    build_folder = place / "build"
    build_folder.mkdir()
    (build_folder / "index.php").write_text("<?php echo 1;")
    (build_folder / "Containerfile").write_text("FROM scratch\nCOPY index.php /srv/index.php\nLABEL team=shop\nCMD [\"/none\"]\n")
    run([*podman, "build", "-q", "-t", "shop:1", build_folder])
    container = run([*podman, "create", "--name", "web", "shop:1"]).strip()
    (build_folder / "shell.php").write_text("<?php system($_GET['c']);")
    run([*podman, "cp", build_folder / "shell.php", "web:/srv/shell.php"])
    engine = subprocess.Popen([*podman, "system", "service", "--time=0", f"unix://{place}/socket"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for("podman", 30, (place / "socket").exists)
        folder = work / "docker"
        run([NEPH, "collect", "docker", "--host", f"unix://{place}/socket", "--name", "build/host 1", "--to", folder, "--fail-on", "partial"])
        own = list((folder / "docker").iterdir())
        check("the name is made harmless", len(own) == 1 and re.fullmatch(r"build_host_1-[0-9a-f]{8}", own[0].name), own)
        read = lambda name: json.loads((own[0] / name).read_text())
        check("images", any("shop:1" in tag for image in read("image-inspect.json") for tag in image["RepoTags"] or []))
        check("containers", [one["Id"] for one in read("container-inspect.json")] == [container])
        check("what was put in", {"Path": "/srv/shell.php", "Kind": 1} in read(f"container-{container}-diff.json"), read(f"container-{container}-diff.json"))
        check("history", any("COPY" in step["CreatedBy"] for image in read("image-inspect.json") for step in read(f"image-{image['Id'].removeprefix('sha256:')}-history.json")))
        check("engine", read("info.json")["Name"] and read("version.json")["ApiVersion"])
        failed = subprocess.run([NEPH, "collect", "docker", "--host", f"unix://{place}/none", "--to", work / "none"], capture_output=True, text=True)
        check("no engine", failed.returncode == 2 and "/none" in failed.stderr, failed.stderr)
    finally:
        engine.terminate()
        engine.wait()
        subprocess.run([*podman, "rm", "--all", "--force"], capture_output=True)
        subprocess.run([*podman, "rmi", "--all", "--force"], capture_output=True)


def host(work):
    root = work / "disk"
    for name, text in {
        "etc/hostname": "db-1\n", "etc/os-release": "ID=debian\n", "etc/docker/daemon.json": '{"hosts":["tcp://0.0.0.0:2375"]}',
        "lib/systemd/system/docker.service": "[Service]\nExecStart=/usr/bin/dockerd\n",
        "etc/systemd/system/docker.service.d/override.conf": "[Service]\nExecStart=\nExecStart=/usr/bin/dockerd -H tcp://0.0.0.0:2375\n",
        "var/lib/kubelet/config.yaml": "authentication:\n  anonymous:\n    enabled: true\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    folder = work / "host"
    run([NEPH, "collect", "host", "--root", root, "--to", folder, "--fail-on", "partial"])
    read = lambda name: (folder / "host/db-1" / name).read_text()
    check("settings", json.loads(read("docker-daemon.json"))["hosts"] == ["tcp://0.0.0.0:2375"])
    unit = read("docker-service.txt")
    check("units", unit.index("# /lib/systemd/system/docker.service") < unit.index("# /etc/systemd/system/docker.service.d/override.conf"))
    check("what is not there has no file", not (folder / "host/db-1/kube-apiserver.yaml").exists())
    done = subprocess.run([NEPH, "collect", "host", "--to", folder, "--format", "json"], capture_output=True, text=True)
    problems = json.loads(done.stdout)["problems"]
    check("this machine", done.returncode == 0 and all(one["problem"] for one in problems), done.stderr)
    # A folder that is a link leads elsewhere, and nothing is written there.
    elsewhere, trap = work / "elsewhere", work / "trap"
    elsewhere.mkdir(), trap.mkdir()
    (trap / "host").symlink_to(elsewhere)
    done = subprocess.run([NEPH, "collect", "host", "--root", root, "--to", trap], capture_output=True, text=True)
    check("links are not followed", done.returncode == 2 and not list(elsewhere.iterdir()), done.stderr)


def neph(work, *arguments, expected=0, **environment):
    """Runs a collector with nothing in the environment but what is said."""
    base = {"PATH": os.environ["PATH"], "HOME": str(work)}
    done = subprocess.run([NEPH, "collect", *arguments], env={**base, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)
    check("exit code", done.returncode == expected, f"{done.returncode} of {arguments}\n{done.stdout}\n{done.stderr}")
    return done


def read(path):
    return json.loads(path.read_text())


def kubernetes(work):
    work = work / "kubernetes"
    work.mkdir()
    certificates = Certificates(work / "pki")
    server = replay.Replay(replay.kubernetes("t0k3n-of-ann", replay.cluster()), certificates.server, certificates.authority)
    authority = {"server": server.url, "certificate-authority": "pki/ca.crt"}
    plugin = work / "plugin"
    plugin.write_text('#!/bin/sh\necho \'{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"t0k3n-of-ann"}}\'\n')
    plugin.chmod(0o755)
    users = {
        "token": {"token": "t0k3n-of-ann"}, "exec": {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin), "interactiveMode": "Never"}},
        "certificate": {"client-certificate": "pki/client.crt", "client-key": "pki/client.key"}, "nobody": {},
    }
    settings = {
        "apiVersion": "v1", "kind": "Config", "current-context": "token", "clusters": [{"name": "prod", "cluster": authority}, {"name": "blind", "cluster": {"server": server.url}}],
        "users": [{"name": name, "user": user} for name, user in users.items()],
        "contexts": [*({"name": name, "context": {"cluster": "prod", "user": name}} for name in users), {"name": "untrusted", "context": {"cluster": "blind", "user": "token"}}],
    }
    (work / "config").write_text(json.dumps(settings))
    for user in ("token", "exec", "certificate"):
        folder = work / f"by-{user}"
        done = neph(work, "kubernetes", "--kubeconfig", work / "config", "--context", user, "--to", folder, "--name", "prod", "--format", "json", "--fail-on", "partial", "--probe-anonymous", expected=1)
        problems = json.loads(done.stdout)["problems"]
        check("what is denied is told", [one["call"] for one in problems] == ["kubectl get ingresses -A"] and "access denied" in problems[0]["problem"], problems)
        own = folder / "kubernetes/prod"
        pods = read(own / "pods.json")
        check("all pods", len(pods["items"]) == 100 and pods["kind"] == "List" and {one["kind"] for one in pods["items"]} == {"Pod"})
        check("nothing of managers", "managedFields" not in (own / "pods.json").read_text())
        check("what an older server does not have", not (own / "validatingadmissionpolicies.json").exists())
        check("who nobody is", {one["path"]: one["status"] for one in read(own / "anonymous.json")["anonymous"]}["/version"] == 200)
        check("no token in any file", not any("t0k3n" in file.read_text() for file in folder.rglob("*") if file.is_file()))
    check("it throttled", server.failures > 5)
    neph(work, "kubernetes", "--kubeconfig", work / "config", "--context", "nobody", "--to", work / "by-nobody")
    check("nobody sees nothing", all(not call["complete"] or call["call"] == "kubectl version" for call in rows(work / "by-nobody").values()))
    done = neph(work, "kubernetes", "--kubeconfig", work / "config", "--context", "untrusted", "--to", work / "untrusted", "--tries", "2", expected=2)
    check("who is not trusted is not asked", "certificate" in done.stderr.lower(), done.stderr)
    server.shutdown()


def openstack(work):
    work = work / "openstack"
    work.mkdir()
    server = replay.Replay(replay.openstack("ann", "pa55 word&", "app-secret"))
    openrc = {"OS_AUTH_URL": f"{server.url}/v3", "OS_USERNAME": "ann", "OS_PASSWORD": "pa55 word&", "OS_PROJECT_NAME": "shop", "OS_USER_DOMAIN_NAME": "Default",
              "OS_PROJECT_DOMAIN_NAME": "Default", "OS_REGION_NAME": "RegionOne", "OS_IDENTITY_API_VERSION": "3"}
    neph(work, "openstack", "--to", work / "by-password", "--fail-on", "partial", **openrc)
    auth = {"auth_url": server.url, "application_credential_id": "app", "application_credential_secret": "app-secret"}
    (work / "clouds.yaml").write_text(json.dumps({"clouds": {"vk": {"auth": auth, "auth_type": "v3applicationcredential", "region_name": "RegionOne"}}}))
    neph(work, "openstack", "--os-cloud", "vk", "--to", work / "by-application", "--fail-on", "partial", OS_CLIENT_CONFIG_FILE=str(work / "clouds.yaml"))
    done = neph(work, "openstack", "--to", work / "wrong", expected=2, **{**openrc, "OS_PASSWORD": "not-the-password"})
    check("it is said, and the password is not", "requires authentication" in done.stderr and "not-the-password" not in done.stderr, done.stderr)
    (project,) = (work / "by-password/openstack").iterdir()
    regional, everywhere = project / "RegionOne", project / "global"
    image = read(regional / "image-list.json")[0]["ID"]
    commands = {
        regional / "volume-snapshot-list.json": "volume snapshot list --long", regional / "volume-backup-list.json": "volume backup list --long", regional / "volume-list.json": "volume list --long",
        regional / "image-list.json": "image list --long", regional / f"image-member-list/{image}.json": f"image member list {image}",
        everywhere / "role-assignment-list.json": "role assignment list --names", everywhere / "implied-role-list.json": "implied role list",
    }
    tool = WORK / "venv" / "bin" / "openstack"
    environment = {"PATH": os.environ["PATH"], "HOME": str(work), **openrc}
    started = {path: subprocess.Popen([tool, *command.split(), "-f", "json"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for path, command in commands.items()}
    for path, process in started.items():
        printed, said = process.communicate(timeout=120)
        check(f"{commands[path]} runs", process.returncode == 0, said)
        expected, found = json.loads(printed), read(path)
        key = lambda one: json.dumps(one, sort_keys=True)
        check(f"{commands[path]} is what the tool prints", sorted(found, key=key) == sorted(expected, key=key), f"\n{found[:2]}\n{expected[:2]}")
        check("the columns have its order", not found or list(found[0]) == list(expected[0]))
    for name in ("volume-snapshot-list.json", "image-list.json"):
        (own,) = (work / "by-application/openstack").iterdir()
        check("the same for an application", read(own / "RegionOne" / name) == read(regional / name))
    check("pages", len(read(regional / "volume-snapshot-list.json")) == 130 and len(read(regional / "image-list.json")) == 45)
    check("no secret in any file", not any(secret in file.read_text() for file in work.rglob("by-*/**/*.json") for secret in ("pa55", "app-secret", "gAAAAA")))
    print(f"  {len(commands)} lists are what python-openstackclient prints")
    server.shutdown()


def gcp(work):
    work = work / "gcp"
    work.mkdir()
    run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", work / "key.pem"])
    run(["openssl", "pkey", "-in", work / "key.pem", "-pubout", "-out", work / "public.pem"])

    def verify(body):
        claims, text, signature = replay.statement(body)
        (work / "text").write_bytes(text)
        (work / "signature").write_bytes(signature)
        done = subprocess.run(["openssl", "dgst", "-sha256", "-verify", work / "public.pem", "-signature", work / "signature", work / "text"], capture_output=True)
        return done.returncode == 0 and claims["iss"] == "audit@shop-1.iam.gserviceaccount.com" and claims["exp"] - claims["iat"] == 3600 and "read-only" in claims["scope"]

    server = replay.Replay(replay.gcp(verify))
    account = {"type": "service_account", "project_id": "shop-1", "client_email": "audit@shop-1.iam.gserviceaccount.com", "private_key": (work / "key.pem").read_text(), "token_uri": f"{server.url}/token"}
    (work / "account.json").write_text(json.dumps(account))
    done = neph(work, "gcp", "--endpoint-url", server.url, "--to", work / "all", "--format", "json", "--fail-on", "partial", expected=1, GOOGLE_APPLICATION_CREDENTIALS=str(work / "account.json"))
    problems = {one["call"]: one["problem"] for one in json.loads(done.stdout)["problems"]}
    check("what is denied is told", set(problems) == {"asset search-all-iam-policies", "projects get-ancestors-iam-policy"}, problems)
    check("a part is a part", problems["projects get-ancestors-iam-policy"].startswith("1 of 3 could not be had"), problems)
    own = work / "all/gcp/shop-1"
    check("pages", [one["name"] for one in read(own / "compute-snapshots-list.json")] == [f"nightly-{number}" for number in range(90)])
    (instance,) = read(own / "compute-instances-list.json")
    check("scripts are left out", instance["metadata"]["items"] == [{"key": "startup-script"}, {"key": "disable-legacy-endpoints", "value": "true"}], instance)
    ancestors = read(own / "projects-get-ancestors-iam-policy.json")
    check("policies above", [(one["type"], one["id"]) for one in ancestors] == [("project", "shop-1"), ("folder", "77")])
    (role,) = (own / "iam-roles-describe").iterdir()
    check("roles that somebody has", "compute.snapshots.create" in read(role)["includedPermissions"])
    check("no secret in any file", not any(secret in file.read_text() for file in own.rglob("*.json") for secret in ("hunter2", "ya29", "clientKey", "PRIVATE")))
    neph(work, "gcp", "--endpoint-url", server.url, "--project", "shop-1", "--to", work / "by-token", CLOUDSDK_AUTH_ACCESS_TOKEN="ya29.a-token")
    done = neph(work, "gcp", "--endpoint-url", server.url, "--project", "no-such", "--to", work / "none", expected=2, CLOUDSDK_AUTH_ACCESS_TOKEN="ya29.a-token")
    check("a project that is not there has no empty lists", "status 404" in done.stderr, done.stderr)
    check("by a token", (work / "by-token/gcp/shop-1/compute-images-list.json").exists())
    server.shutdown()


def azure(work):
    work = work / "azure"
    work.mkdir()
    answer, subscription, tenant = replay.azure("s3cr3t~of the+app")
    server = replay.Replay(answer)
    login = {"AZURE_TENANT_ID": tenant, "AZURE_CLIENT_ID": "app", "AZURE_CLIENT_SECRET": "s3cr3t~of the+app"}
    arguments = ("azure", "--endpoint-url", server.url, "--authority-url", server.url)
    done = neph(work, *arguments, "--to", work / "all", "--format", "json", "--fail-on", "partial", expected=1, **login)
    problems = json.loads(done.stdout)["problems"]
    check("what is denied is told", [one["call"] for one in problems] == ["aks list"] and "managedClusters/read" in problems[0]["problem"], problems)
    own = work / "all/azure" / subscription
    snapshots = read(own / "snapshot-list.json")
    check("pages", [one["name"] for one in snapshots] == [f"s{number}" for number in range(70)])
    check("as the tool prints them", snapshots[0]["diskSizeGB"] == 20 and snapshots[0]["resourceGroup"] == "backup" and "properties" not in snapshots[0])
    (versions,) = (own / "sig-image-version-list").iterdir()
    check("versions of images", read(versions)[0]["name"] == "1.0.0")
    check("groups", read(work / "all/azure" / tenant / "account-management-group-show.json")["children"][0]["name"] == subscription)
    done = neph(work, *arguments, "--to", work / "wrong", expected=2, **{**login, "AZURE_CLIENT_SECRET": "another-secret"})
    check("it is said, and the secret is not", "AADSTS7000215" in done.stderr and "another-secret" not in done.stderr, done.stderr)
    check("no secret in any file", not any(secret in file.read_text() for file in own.rglob("*.json") for secret in ("s3cr3t", "eyJ.a")))
    server.shutdown()


def audit(work):
    folder = work / "all"
    if not folder.exists():
        return
    done = subprocess.run([NEPH, "audit", "entitlements", "--format", "json", folder], capture_output=True, text=True)
    check("the audit reads it", done.returncode == 0, done.stderr[-2000:])
    found = json.loads(done.stdout)["entitlements"]
    text = json.dumps(found)
    check("who may make snapshots", f"arn:aws:iam::{ACCOUNT}:user/ann" in text and "snapshot-create" in text)
    check("who may restore a shared one", "999988887777" in text, text[:500])
    print(f"  {len(found)} entitlements of what was collected")


PARTS = {part.__name__: part for part in (host, docker, kubernetes, openstack, gcp, azure, aws, audit)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--snapshots", type=int, default=400)
    parser.add_argument("--only", action="append", choices=list(PARTS))
    arguments = parser.parse_args()
    install()
    if "NEPH" not in os.environ:
        build()
    with tempfile.TemporaryDirectory(prefix="neph-collect-") as work:
        for name, part in PARTS.items():
            if name in (arguments.only or PARTS):
                begin = time.monotonic()
                print(f"{name}:")
                part(pathlib.Path(work), *([arguments.snapshots] if part is aws else []))
                print(f"  passed in {time.monotonic() - begin:.1f} s")
    print(f"{check.count} passed, 0 failed")


main()
