#!/usr/bin/env python3
"""Lets the service deliver alerts to receivers that fail, kills it meanwhile, and checks that every alert arrived.

    python3 .ci/outputs.py [--alerts NUMBER] [--kills NUMBER]

A webhook fails at random: 5xx, 429 with Retry-After, closed connections, no answer in time, and answers that get lost although the alert
was taken. A second service takes the alerts by `_bulk`, a third output is a file. By its key each alert must be known exactly once.
"""

import argparse
import collections
import http.server
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
NEPH = TARGET / "debug/neph"
RULES = 8
PATIENCE = 120

RULE = """
[rule]
rule_id = "outputs-test-{n}"
name = "Test {n}"
description = "A process that only this test starts."
type = "query"
language = "kuery"
severity = "high"
risk_score = 73
max_signals = 1000
query = 'event.category : "process" and process.name : "outputs-test-{n}"'
"""


class Receiver:
    """An HTTP server that fails at random, and counts what it took by key."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self.taken = collections.Counter()
        self.bodies = {}
        self.answers = collections.Counter()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with receiver.lock:
                    fate = receiver.random.choices(
                        ["ok", "500", "503", "429", "reset", "hang", "lost"], [78, 5, 5, 2, 4, 1, 5]
                    )[0]
                    receiver.answers[fate] += 1
                    if fate in ("ok", "lost"):
                        key = self.headers["Idempotency-Key"]
                        receiver.taken[key] += 1
                        receiver.bodies[key] = json.loads(body)
                if fate in ("reset", "lost"):
                    self.close_connection = True
                    return
                if fate == "hang":
                    time.sleep(3)
                    self.close_connection = True
                    return
                self.send_response(200 if fate == "ok" else int(fate))
                if fate == "429":
                    self.send_header("Retry-After", "1")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/alerts"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Service:
    def __init__(self, folder, config):
        self.folder, self.data = folder, folder / "data"
        folder.mkdir(exist_ok=True)
        (folder / "neph.toml").write_text('[retention]\nkeep_free = "1MiB"\n' + config)
        self.start()

    def start(self):
        address = self.data / "address"
        address.unlink(missing_ok=True)
        self.log = open(self.folder / "log", "a")
        command = [NEPH, "serve", "--config", self.folder / "neph.toml", "--data", self.data, "--listen", "127.0.0.1:0"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=self.log)
        wait("the service", lambda: self.process.poll() is not None or (address.exists() and address.read_text().endswith("\n")))
        if self.process.poll() is not None:
            raise RuntimeError((self.folder / "log").read_text()[-3000:])
        self.base = address.read_text().strip()
        self.token = (self.data / "token").read_text().strip()

    def ask(self, path, body=None, kind="application/json"):
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind}
        request = urllib.request.Request(self.base + path, data=body, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or "null")

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=60)
        if code:
            raise RuntimeError(f"the service ended with {code}: {(self.folder / 'log').read_text()[-3000:]}")


def wait(what, ready, patience=PATIENCE):
    end = time.monotonic() + patience
    while not ready():
        if time.monotonic() > end:
            raise RuntimeError(f"waited in vain for {what}")
        time.sleep(0.05)


def events(begin, count):
    lines = []
    for number in range(begin, begin + count):
        lines.append(json.dumps({"create": {"_index": "logs-test", "_id": f"event-{number}"}}))
        lines.append(
            json.dumps(
                {
                    "@timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                    "event": {"category": ["process"], "type": ["start"], "kind": "event"},
                    "host": {"name": f"web-{number % 7}"},
                    "process": {"name": f"outputs-test-{number % RULES}", "pid": number},
                }
            )
        )
    return ("\n".join(lines) + "\n").encode()


def alert_ids(service):
    found, cursor = set(), ""
    while True:
        page = service.ask(f"/api/v1/alerts?limit=1000{cursor}")
        found.update(alert["id"] for alert in page["alerts"])
        if not page.get("next"):
            return found
        cursor = "&cursor=" + urllib.parse.quote(page["next"])


def outputs(service):
    return {row["name"]: row for row in service.ask("/api/v1/outputs")["outputs"]}


def neph(service, *words):
    command = [NEPH, *words, "--data", service.data]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def changed(folder, service, config, expect):
    """An output that is new gets what comes from then on, one that is gone is listed as such, one that is down gives up and delivers again."""
    (folder / "occupied").mkdir()
    more = f'''
[[outputs]]
name = "late"
type = "file"
path = "{folder}/late.ndjson"

[[outputs]]
name = "down"
type = "file"
path = "{folder}/occupied"
retry = "1s"
'''
    before = config.partition('[[outputs]]\nname = "some"')[0]
    (service.folder / "neph.toml").write_text(before + more)
    wait("the changed configuration", lambda: "late" in outputs(service))
    service.ask("/_bulk", events(1_000_000, RULES), "application/x-ndjson")
    wait("what is given up", lambda: outputs(service)["down"]["dead"] == RULES)
    wait("what is new", lambda: outputs(service)["late"]["delivered"] == RULES)
    wait("the others", lambda: all(row["waiting"] == 0 for row in outputs(service).values()))
    expect("alerts of the output that came later", len((folder / "late.ndjson").read_text().splitlines()), RULES)
    expect("state of the output that is gone", outputs(service)["some"]["state"], "removed")
    code, said = neph(service, "outputs", "test", "down")
    expect("exit code of a test that fails", (code, "did not take the test" in said), (2, True))
    expect("dead letters listed", neph(service, "outputs", "dead", "down")[1].count("cannot open"), RULES)
    expect("dead letters in the file", len((service.data / "dead-letters/down.ndjson").read_text().splitlines()), RULES)
    (folder / "occupied").rmdir()
    expect("said of delivering again", neph(service, "outputs", "redeliver", "down")[1].strip(), f"{RULES} alerts are due again")
    wait("what is delivered again", lambda: outputs(service)["down"]["delivered"] == RULES)
    expect("alerts delivered again", len((folder / "occupied").read_text().splitlines()), RULES)
    expect("exit code of a test that succeeds", neph(service, "outputs", "test", "down")[0], 0)
    expect("exit code of the list", neph(service, "outputs", "list")[0], 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--alerts", type=int, default=300)
    parser.add_argument("--kills", type=int, default=4)
    arguments = parser.parse_args()
    subprocess.run(["cargo", "build", "--quiet", "-p", "neph-cli", "--bin", "neph"], cwd=ROOT, check=True)
    with tempfile.TemporaryDirectory() as name:
        return deliver(pathlib.Path(name), arguments)


def deliver(folder, arguments):
    services = []
    try:
        return tell(folder, arguments, services)
    except Exception:
        for service in services:
            print((service.folder / "log").read_text()[-3000:])
        print(json.dumps(outputs(services[-1]), indent=1))
        raise
    finally:
        for service in services:
            service.kill()


def tell(folder, arguments, services):
    rules = folder / "rules"
    rules.mkdir()
    for n in range(RULES):
        (rules / f"test-{n}.toml").write_text(RULE.format(n=n))
    no_rules = folder / "none"
    no_rules.mkdir()
    cluster = Service(folder / "cluster", f'[rules]\npaths = ["{no_rules}"]\n')
    services.append(cluster)
    (folder / "cluster.token").write_text(f"Bearer {cluster.token}\n")
    receiver = Receiver(seed=7)
    config = f"""
[rules]
paths = ["{rules}"]

[[outputs]]
name = "hook"
type = "webhook"
url = "{receiver.url}"
rate = 1000000
timeout = "2s"

[[outputs]]
name = "file"
type = "file"
path = "{folder}/alerts.ndjson"

[[outputs]]
name = "cluster"
type = "elasticsearch"
url = "{cluster.base}"
index = "neph-alerts"
authorization = {{ file = "{folder}/cluster.token" }}

[[outputs]]
name = "some"
type = "file"
path = "{folder}/some.ndjson"
filter = "process.name : outputs-test-3"
"""
    service = Service(folder / "service", config)
    services.append(service)
    began = time.monotonic()
    draw = random.Random(11)
    part = arguments.alerts // (arguments.kills + 1)
    for turn in range(arguments.kills + 1):
        service.ask("/_bulk", events(turn * part, part), "application/x-ndjson")
        if turn < arguments.kills:
            time.sleep(draw.uniform(0.3, 2.5))
            service.kill()
            service.start()
    sent = part * (arguments.kills + 1)
    wait("the alerts", lambda: len(alert_ids(service)) >= sent)
    wait("the outputs", lambda: all(row["waiting"] == 0 for row in outputs(service).values()))
    rows, ids = outputs(service), alert_ids(service)
    failures = []

    def expect(what, found, wanted):
        print(f"{what:58} {found}")
        if found != wanted:
            failures.append(f"{what}: {found}, wanted {wanted}")

    changed(folder, service, config, expect)
    service.end()
    expect("alerts in the store", len(ids), sent)
    known = {key.rsplit(":", 1)[0] for key in receiver.taken}
    expect("alerts that the webhook knows", len(known & ids), sent)
    expect("keys that the webhook knows beside them", len(receiver.taken) - len(known & ids), RULES)
    repeats = sum(receiver.taken.values()) - len(receiver.taken)
    print(f"{'repeats that the webhook could drop by their keys':58} {repeats}")
    print(f"{'what it answered':58} {dict(receiver.answers)}")
    lines = [json.loads(line) for line in (folder / "alerts.ndjson").read_text().splitlines()]
    in_file = collections.Counter(line["neph"]["alert"]["id"] for line in lines)
    expect("alerts in the file", len(in_file.keys() & ids), sent)
    print(f"{'repeats in the file':58} {sum(in_file.values()) - len(in_file)}")
    some = {line["neph"]["alert"]["id"] for line in map(json.loads, (folder / "some.ndjson").read_text().splitlines())}
    expect("alerts that the filter lets through", len(some), len(range(3, sent, RULES)))
    expect("alerts that were given up before", sum(row["dead"] for row in rows.values()), 0)
    cluster.end()
    query = [NEPH, "query", "--store", cluster.data, "--last", "1d", "--lang", "kuery", "--format", "ndjson", "neph.alert.id : *"]
    found = subprocess.run(query, capture_output=True, text=True, timeout=60)
    in_cluster = set(re.findall(r'"_id":"([0-9a-f]+)"', found.stdout)) or {
        value for line in found.stdout.splitlines() for value in re.findall(r'"alert":\{[^{}]*"id":"([^"]+)"', line)
    }
    expect("alerts that the second service took by _bulk", len(in_cluster & ids), sent)
    log = (folder / "service" / "log").read_text()
    expect("tokens in the log", log.count(cluster.token), 0)
    print(f"{arguments.kills} kills, {time.monotonic() - began:.0f} s")
    for failure in failures:
        print("FAILED", failure)
    if failures:
        print(found.stdout[:500], found.stderr[-500:], log[-2000:], sep="\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
