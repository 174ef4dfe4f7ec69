#!/usr/bin/env python3
"""Takes baselines of an account on a server that speaks AWS's API, changes the account, and checks what `neph baseline` tells of it.

    python3 .ci/baseline.py [--snapshots N] [--keep]

`moto` (PyPI) is the server and keeps the account, `boto3` changes it, and the AWS command-line tool prints what is collected, so every
file is as people have it. Audit events are what CloudTrail would write of the calls that were made. Needs the binary `neph`.
"""

import argparse
import contextlib
import io
import json
import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
NEPH = pathlib.Path(os.environ.get("NEPH", TARGET / "debug" / "neph"))
WORK = TARGET / "baseline"
PYTHON = WORK / "venv" / "bin" / "python"
PIP = ["moto[server]==5.2.1", "awscli==1.45.11"]
ACCOUNT, STRANGER, PARTNER = "123456789012", "999988887777", "444455556666"
HOME, AWAY = "eu-west-1", "us-east-1"
RANDOM = random.Random(20261122)
checks = 0


def check(what, found, expected):
    global checks
    checks += 1
    if found != expected:
        print(f"FAILED: {what}")
        if isinstance(found, (set, list)) and isinstance(expected, (set, list)):
            print(f"  too much: {sorted(set(map(str, found)) - set(map(str, expected)))[:20]}")
            print(f"  missing:  {sorted(set(map(str, expected)) - set(map(str, found)))[:20]}")
        else:
            print(f"  found {found!r}\n  instead of {expected!r}")
        sys.exit(1)


def install():
    """The tools in an environment of their own, and this script in it."""
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", WORK / "venv"], check=True)
        subprocess.run([PYTHON, "-m", "pip", "install", "--quiet", *PIP], check=True)
    os.execv(PYTHON, [str(PYTHON), __file__, *sys.argv[1:]])


class Trail:
    """What CloudTrail would write of the calls of a client: names in its case, times and callers."""

    def __init__(self):
        self.records, self.pending = [], {}

    def follow(self, client, who, address):
        def before(params, model, **_):
            self.pending[model.name] = params
        def after(http_response, parsed, model, **_):
            if not model.name.startswith(("Describe", "List")):
                self.record(model, self.pending.pop(model.name, {}), parsed, who, address, client.meta.region_name)
        client.meta.events.register("provide-client-params.*.*", before)
        client.meta.events.register("after-call.*.*", after)

    def record(self, model, params, parsed, who, address, region):
        lower = lambda value: {k[:1].lower() + k[1:]: lower(v) for k, v in value.items()} if isinstance(value, dict) else (
            {"items": [lower(item) for item in value]} if isinstance(value, list) else value)
        self.records.append({
            "eventVersion": "1.10", "eventTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "eventName": model.name,
            "eventSource": f"{model.service_model.endpoint_prefix}.amazonaws.com", "awsRegion": region, "sourceIPAddress": address,
            "userAgent": "aws-cli/2.17", "eventID": f"00000000-0000-0000-0000-{len(self.records):012}", "eventType": "AwsApiCall",
            "userIdentity": {"type": "IAMUser", "principalId": "AIDA", "arn": f"arn:aws:iam::{ACCOUNT}:user/{who}", "accountId": ACCOUNT, "userName": who},
            "requestParameters": json.loads(json.dumps(lower(params), default=str)), "recipientAccountId": ACCOUNT,
            "responseElements": json.loads(json.dumps(lower({k: v for k, v in parsed.items() if k != "ResponseMetadata"}), default=str)),
        })


def aws(endpoint, region, *words):
    """What the command-line tool prints, run within this process: it takes a second to start."""
    import awscli.clidriver
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = awscli.clidriver.create_clidriver().main([*words, "--region", region, "--endpoint-url", endpoint, "--output", "json"])
    if code:
        raise RuntimeError(err.getvalue())
    return out.getvalue()


def collect(endpoint, folder, shared):
    """What a person's shell collects; the loop over `shared` is how one asks for permissions."""
    shutil.rmtree(folder, ignore_errors=True)
    for region in (HOME, AWAY):
        place = folder / "aws" / ACCOUNT / region
        place.mkdir(parents=True)
        for name, words in {
            "ec2-describe-snapshots": ["ec2", "describe-snapshots", "--owner-ids", "self"],
            "ec2-describe-images": ["ec2", "describe-images", "--owners", "self"],
            "rds-describe-db-snapshots": ["rds", "describe-db-snapshots"],
        }.items():
            (place / f"{name}.json").write_text(aws(endpoint, region, *words))
    place = folder / "aws" / ACCOUNT / HOME
    for name, words, ids in (
        ("ec2-describe-snapshot-attribute", ["ec2", "describe-snapshot-attribute", "--attribute", "createVolumePermission", "--snapshot-id"], shared["snapshots"]),
        ("ec2-describe-image-attribute", ["ec2", "describe-image-attribute", "--attribute", "launchPermission", "--image-id"], shared["images"]),
        ("rds-describe-db-snapshot-attributes", ["rds", "describe-db-snapshot-attributes", "--db-snapshot-identifier"], shared["databases"]),
    ):
        (place / f"{name}.json").write_text("".join(aws(endpoint, HOME, *words, one) for one in ids))


def shuffled(folder):
    """The same account once more, told in another order, with pages that overlap and a hundred items that changed by themselves."""
    place = folder / "aws" / ACCOUNT / HOME
    changed = 0
    for name, key in (("ec2-describe-snapshots", "Snapshots"), ("ec2-describe-images", "Images"), ("rds-describe-db-snapshots", "DBSnapshots")):
        path = place / f"{name}.json"
        items = json.loads(path.read_text())[key]
        RANDOM.shuffle(items)
        ways = {
            "Snapshots": [
                lambda i: i.update(Progress="99%"), lambda i: i.update(StorageTier="archive"), lambda i: i.update(CompletionTime="2030-01-01T00:00:00Z"),
                lambda i: i.update(StartTime=i["StartTime"][:19] + "Z"), lambda i: i.update(Tags=i.get("Tags", [])[::-1]),
                lambda i: i.update(Tags=i.get("Tags", []) + [{"Key": "aws:dlm:lifecycle", "Value": "x"}]), lambda i: i.update(Description="tiered"),
                lambda i: i.update(FullSnapshotSizeInBytes=RANDOM.randrange(10**9)), lambda i: i.update(TransferType="standard"),
            ],
            "Images": [
                lambda i: i.update(LastLaunchedTime="2030-01-01T00:00:00Z"), lambda i: i.update(DeprecationTime="2031-01-01T00:00:00.000Z"),
                lambda i: i.update(CreationDate=i["CreationDate"][:19] + "Z"), lambda i: i["BlockDeviceMappings"].reverse(),
            ],
            "DBSnapshots": [
                lambda i: i.update(PercentProgress=100), lambda i: i.update(SnapshotCreateTime=i["SnapshotCreateTime"][:19] + "+00:00"),
                lambda i: i.update(Port=5433), lambda i: i.update(TagList=i.get("TagList", [])[::-1]),
            ],
        }[key]
        for number, item in enumerate(items[:{"Snapshots": 60, "Images": 25, "DBSnapshots": 15}[key]]):
            ways[number % len(ways)](item)
            changed += 1
        path.write_text(json.dumps({key: items + items[:10]}, indent=2))
    check("a hundred items are told otherwise", changed, 100)


class Neph:
    def __init__(self, work):
        self.work, self.folder = work, work / "baselines"

    def run(self, *words, code=0):
        done = subprocess.run([NEPH, "baseline", *map(str, words)], cwd=self.work, capture_output=True, text=True)
        check(f"exit code of {words}: {done.stderr[-2000:]}", done.returncode, code)
        return done

    def compare(self, *words, code=0):
        done = self.run("compare", "--format", "json", *words, code=code)
        answer = json.loads(done.stdout)
        found = {(one["neph"]["baseline"]["class"], one["neph"]["baseline"]["record"]["id"]) for one in answer["alerts"]}
        check("no alert comes twice", len(found), len(answer["alerts"]))
        return found, answer, done.stderr


def told_to_service(work, neph, collected, count):
    """What nobody approved goes to the service, once, and from there to its outputs."""
    data, told = work / "data", work / "told.ndjson"
    (work / "neph.toml").write_text(f'[retention]\nkeep_free = "1MiB"\n[[outputs]]\nname = "archive"\ntype = "file"\npath = "{told}"\n')
    service = subprocess.Popen([NEPH, "serve", "--config", work / "neph.toml", "--data", data, "--listen", "127.0.0.1:0"],
                               cwd=work, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            if (data / "address").exists() and (data / "token").exists():
                break
            time.sleep(0.2)
        words = ["--events", work / "trail.json", "--tell", "--data", data, collected]
        check("the service takes all", f"the service took {count} alerts, and had 0 already" in neph.compare(*words)[2], True)
        check("and none twice", f"the service took 0 alerts, and had {count} already" in neph.compare(*words)[2], True)
        for _ in range(300):
            lines = told.read_text().splitlines() if told.exists() else []
            if len(lines) >= count:
                break
            time.sleep(0.2)
        check("its output is told of each", len({json.loads(line)["kibana.alert.uuid"] for line in lines}), count)
    finally:
        service.terminate()
        service.wait()
    for path in (work / "neph.toml", told):
        path.unlink()
    shutil.rmtree(data)


def tree(folder, without):
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and without not in path.parents}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--snapshots", type=int, default=2000)
    parser.add_argument("--keep", action="store_true", help="keep the folder that was worked in")
    args = parser.parse_args()
    try:
        import awscli, boto3, moto  # noqa: F401
    except ImportError:
        install()
    import boto3
    os.environ.update(AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x", AWS_EC2_METADATA_DISABLED="true", AWS_CONFIG_FILE="/nonexistent")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    work = pathlib.Path(tempfile.mkdtemp(prefix="neph-baseline-"))
    server = subprocess.Popen([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        endpoint = f"http://127.0.0.1:{port}"
        for _ in range(300):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(endpoint, timeout=1)
                break
            time.sleep(0.2)
        clients = {(service, region): boto3.client(service, region_name=region, endpoint_url=endpoint) for service in ("ec2", "rds", "kms") for region in (HOME, AWAY)}
        proof(args, work, endpoint, clients)
    finally:
        server.terminate()
        server.wait()
        if args.keep:
            print(f"kept {work}")
        else:
            shutil.rmtree(work)


def proof(args, work, endpoint, clients):
    ec2, rds = clients["ec2", HOME], clients["rds", HOME]
    began = time.monotonic()
    key = clients["kms", HOME].create_key()["KeyMetadata"]["Arn"]
    volumes = [ec2.create_volume(AvailabilityZone=f"{HOME}a", Size=size, **({"Encrypted": True, "KmsKeyId": key} if size % 2 else {}))["VolumeId"] for size in (8, 9, 10)]
    snapshots = [
        ec2.create_snapshot(VolumeId=volumes[number % 3], Description=f"nightly {number}", TagSpecifications=[
            {"ResourceType": "snapshot", "Tags": [{"Key": "Name", "Value": f"db-{number}"}, {"Key": "team", "Value": "data"}]}])["SnapshotId"]
        for number in range(args.snapshots)
    ]
    machine = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    images = [ec2.create_image(InstanceId=machine, Name=f"web-{number}")["ImageId"] for number in range(40)]
    rds.create_db_instance(DBInstanceIdentifier="db", DBInstanceClass="db.t3.micro", Engine="postgres", AllocatedStorage=20)
    databases = [f"db-{number}" for number in range(130)]
    for name in databases:
        rds.create_db_snapshot(DBInstanceIdentifier="db", DBSnapshotIdentifier=name)
    shared = {"snapshots": snapshots[:40], "images": images[:20], "databases": databases[:5]}
    collected = work / "collected"
    collect(endpoint, collected, shared)
    print(f"{len(snapshots)} snapshots, {len(images)} images and {len(databases)} database snapshots made and listed in {time.monotonic() - began:.0f} s")

    neph = Neph(work)
    took = json.loads(neph.run("take", "--format", "json", collected).stdout)
    # An image has snapshots of its own disks, a database one that is made of itself; the server lists what others offer too.
    listed = lambda name, key: json.loads((collected / "aws" / ACCOUNT / HOME / f"{name}.json").read_text())[key]
    own = [one for one in listed("ec2-describe-snapshots", "Snapshots") if one["OwnerId"] == ACCOUNT]
    check("all are listed", len(own) >= len(snapshots) + len(images), True)
    check("everything is in the baseline", took["records"], len(own) + len(images) + len(listed("rds-describe-db-snapshots", "DBSnapshots")))
    check("nothing is wrong with what the tool printed", took["problems"]["problems"], [])
    check("all lists are whole", [one for one in took["covers"] if not one["complete"]], [])
    check("all fields are known", took["problems"]["unknown_fields"], [])
    check("nothing differs at once", neph.compare(collected)[0], set())
    shuffled(collected)
    found, answer, _ = neph.compare("--fail-on", collected)
    check("a hundred items that changed by themselves raise nothing", found, set())
    check("they were compared", answer["summary"]["same"], took["records"])
    changes(work, endpoint, clients, neph, collected, shared, snapshots, images, databases, volumes, machine)


def changes(work, endpoint, clients, neph, collected, shared, snapshots, images, databases, volumes, machine):
    ec2, rds = clients["ec2", HOME], clients["rds", HOME]
    trail = Trail()
    for client in clients.values():
        trail.follow(client, "eve", "203.0.113.66")
    time.sleep(1.1)
    expected = set()
    arn = lambda name: f"arn:aws:rds:{HOME}:{ACCOUNT}:snapshot:{name}"
    for _ in range(5):
        expected.add(("new", ec2.create_snapshot(VolumeId=volumes[0], Description="x")["SnapshotId"]))
    for one in snapshots[-3:]:
        ec2.delete_snapshot(SnapshotId=one)
        expected.add(("gone", one))
    for one in snapshots[100:104]:
        ec2.create_tags(Resources=[one], Tags=[{"Key": "team", "Value": "evil"}])
        expected.add(("changed", one))
    share = lambda one, **whom: ec2.modify_snapshot_attribute(SnapshotId=one, Attribute="createVolumePermission", OperationType="add", **whom)
    for one in snapshots[:3]:
        share(one, UserIds=[STRANGER])
        expected.add(("copied-out", one))
    for one in snapshots[3:5]:
        share(one, GroupNames=["all"])
        expected.add(("copied-out", one))
    share(snapshots[5], UserIds=[PARTNER])
    expected.add(("copied-out", snapshots[5]))
    for one in snapshots[200:202]:
        copy = clients["ec2", AWAY].copy_snapshot(SourceRegion=HOME, SourceSnapshotId=one, Description=f"[Copied {one} from {HOME}]")
        expected.add(("copied-out", copy["SnapshotId"]))
    before = {one["SnapshotId"] for page in ec2.get_paginator("describe-snapshots".replace("-", "_")).paginate(OwnerIds=["self"]) for one in page["Snapshots"]}
    for name in ("implant-1", "implant-2"):
        expected.add(("new", ec2.create_image(InstanceId=machine, Name=name)["ImageId"]))
    after = {one["SnapshotId"] for page in ec2.get_paginator("describe_snapshots").paginate(OwnerIds=["self"]) for one in page["Snapshots"]}
    expected |= {("new", one) for one in after - before}
    ec2.deregister_image(ImageId=images[-1])
    expected.add(("gone", images[-1]))
    ec2.modify_image_attribute(ImageId=images[0], LaunchPermission={"Add": [{"Group": "all"}]})
    expected.add(("copied-out", images[0]))
    for name in ("steal-1", "steal-2"):
        rds.create_db_snapshot(DBInstanceIdentifier="db", DBSnapshotIdentifier=name)
        expected.add(("new", arn(name)))
    rds.delete_db_snapshot(DBSnapshotIdentifier=databases[-1])
    expected.add(("gone", arn(databases[-1])))
    rds.modify_db_snapshot_attribute(DBSnapshotIdentifier=databases[0], AttributeName="restore", ValuesToAdd=[STRANGER])
    expected.add(("copied-out", arn(databases[0])))
    (work / "trail.json").write_text(json.dumps({"Records": trail.records}))
    collect(endpoint, collected, shared)
    shuffled(collected)

    around = tree(work, neph.folder)
    found, answer, _ = neph.compare("--events", work / "trail.json", "--fail-on", collected, code=1)
    check("every change is told by its class, and nothing else", found, expected)
    for one in answer["alerts"]:
        own = one["neph"]["baseline"]
        words = {"aws-ebs-snapshot": ("Snapshot", "Tags", "Image"), "aws-rds-snapshot": ("DBSnapshot",), "aws-image": ("Image",)}[own["record"]["kind"]]
        action = own["acts"][0]["action"]
        check(f"what was done: {one['message']}", any(word in action for word in words) and ("DB" in action) == ("rds" in own["record"]["kind"]), True)
        check(f"who did it: {one['message']}", (one.get("user", {}).get("name"), one.get("source", {}).get("ip")), ("eve", "203.0.113.66"))
        check("techniques", all(name.startswith("T1") for name in one["threat"]["technique"]["id"]), True)
    check("the shape of a rule's alert", {"@timestamp", "message", "event", "rule", "threat", "tags", "kibana.alert.uuid", "neph"} - set(answer["alerts"][0]), set())
    reach = {one["neph"]["baseline"]["record"]["id"]: one["neph"]["baseline"].get("reach") for one in answer["alerts"]}
    check("reach", (reach[snapshots[0]], reach[snapshots[3]], reach[images[0]]), ("unknown", "public", "public"))
    check("nothing is found first since tomorrow", neph.compare("--new-since", "2099-01-01", collected)[0], set())

    told_to_service(work, neph, collected, len(expected))
    for words in (["--known", PARTNER], ["--id", snapshots[5], "--class", "changed"], ["--tag", "team=evil", "--changes", "tags"],
                  ["--difference", next(one["event"]["id"] for one in answer["alerts"] if one["rule"]["id"] == "baseline-image-copied-out")[:12]]):
        neph.run("approve", *words, "--owner", "ci", "--note", "a test", "--expires", "30d")
    found, answer, _ = neph.compare(collected)
    approved = {("copied-out", snapshots[5]), ("copied-out", images[0])} | {("changed", one) for one in snapshots[100:104]}
    check("what is approved raises nothing", found, expected - approved)
    neph.run("approve", "--golden", "--name", "web-*", "--owner", "ci", "--expires", "30d")
    golden = {(c, i) for c, i in neph.compare(collected)[0] if c.endswith("golden")}
    check("images that are not golden", len(golden), 2)
    # Without a day, or about nothing, nothing is approved.
    neph.run("approve", "--id", "x", "--owner", "ci", code=2)
    neph.run("approve", "--kind", "aws-ebs", "--id", "x", "--owner", "ci", "--expires", "30d", code=2)

    gone = {one for one in found if one[0] == "gone" and one[1].startswith("snap")}
    check("three are gone", len(gone), 3)
    path = collected / "aws" / ACCOUNT / HOME / "ec2-describe-snapshots.json"
    whole = path.read_text()
    for text, what in ((whole[: len(whole) // 2], "was cut off"), ("\nAn error occurred (RequestLimitExceeded) when calling the DescribeSnapshots operation", "is not JSON"),
                       (json.dumps({"Snapshots": [], "NextToken": "more"}), "is one page of several"), ("", "is empty")):
        path.write_text(text)
        found, answer, told = neph.compare(collected)
        check(f"nothing of a broken list is gone ({what})", {one for one in found if one[0] == "gone" and one[1].startswith("snap")}, set())
        check(f"it is told what is wrong: {what}", what in told and "not known whether they are still there" in told, True)
        check("so many are unknown", sum(one["records"] for one in answer["summary"]["unknown"]) > len(snapshots) - 10, True)
    path.write_text(whole)
    neph.run("take", "--strict", "--folder", neph.folder, work / "trail.json", code=2)
    history = json.loads(neph.run("history", "--format", "json").stdout)
    check("history", (len(history["baselines"]), len(history["comparisons"]) >= 9), (1, True))
    newest = json.loads(neph.run("history", "--new-since", "1h", "--format", "json").stdout)
    check("all were found first within the hour", {one["difference"]["record"] for one in newest["differences"]} >= {one for _, one in expected}, True)
    baseline = next(neph.folder.glob("*.baseline.jsonl"))
    baseline.write_text(baseline.read_text().replace('"team","data"', '"team","evil"', 1))
    check("a baseline that was changed is refused", "checksum" in neph.run("compare", collected, code=2).stderr, True)
    check("nothing was written outside of the folder", {p for p in tree(work, neph.folder)}, set(around))
    print(f"{len(expected)} changes in all classes, 100 that are none: {checks} checks passed")


if __name__ == "__main__":
    main()
