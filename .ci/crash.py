#!/usr/bin/env python3
"""Kills the service at random, takes its disk away, and checks that nothing is lost and nothing told twice.

    python3 .ci/crash.py [--events 1000000] [--kills 24] [--seed N] [--binary PATH] [--keep]

A client of its own (nothing of the service's code) sends numbered events by `_bulk`, as real clients do: batches with ids, sent
again until they are acknowledged. Meanwhile the service is killed (SIGKILL) at random moments, half of the times with a loss of
power: what was written and not synced is torn off. Its disk is full for a while (a small file system of its own where mounting is
allowed, else a disk that says so), read-only for a while, and a rule that needs history is added on the way.

At the end, from the events alone and in plain Python, it is computed which alerts there must be; the service must have exactly
these, and its ledger must add up. A rule of the test counts to a thousand in each thousand events: one event that was not
evaluated, or was counted twice, shows.
"""

import argparse
import collections
import errno
import hashlib
import http.client
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime, timezone

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
BATCH = 2_000
SENDERS = 2
BLOCK = 1_000
STEP_MS = 6  # between two events: 10,000 a minute, so that a block never lies in two minutes
MINUTE_MS = 60_000
SPAN = 30_000 // STEP_MS  # events within the maxspan of the sequence
KEEP_FREE = 16 << 20
DISK = 256 << 20
INDICES = ["crash-web", "crash-host", "crash-auth"]
PATIENCE = 240

RULES = {
    "match.toml": """
        [rule]
        rule_id = "22222222-0000-4000-8000-000000000001"
        name = "A marked number"
        type = "query"
        language = "kuery"
        query = 'labels.kind: marked and event.sequence >= 0'
        MORE
        """,
    "match.yml": """
        title: A number that ends in 777
        id: 11111111-0000-4000-8000-000000000001
        logsource: {category: process_creation, product: linux}
        detection:
          numbered: {CommandLine|endswith: '777'}
          condition: numbered
        level: high
        """,
    "whole.toml": """
        [rule]
        rule_id = "22222222-0000-4000-8000-000000000002"
        name = "All events of a block"
        type = "threshold"
        language = "kuery"
        query = 'labels.block: *'
        threshold = {field = ["labels.block"], value = 1000}
        MORE
        """,
    "more.toml": """
        [rule]
        rule_id = "22222222-0000-4000-8000-000000000003"
        name = "More events of a block than there are"
        type = "threshold"
        language = "kuery"
        query = 'labels.block: *'
        threshold = {field = ["labels.block"], value = 1001}
        MORE
        """,
    "sequence.toml": """
        [rule]
        rule_id = "22222222-0000-4000-8000-000000000004"
        name = "In and out again"
        type = "eql"
        language = "eql"
        query = 'sequence by host.id with maxspan=30s [any where labels.kind == "enter"] [any where labels.kind == "leave"]'
        MORE
        """,
    "burst.yml": """
        title: A failed login
        name: failed_login
        id: 11111111-0000-4000-8000-000000000002
        logsource: {category: process_creation, product: linux}
        detection:
          failed: {Image: /bin/login}
          condition: failed
        level: low
        ---
        title: Five failed logins
        id: 11111111-0000-4000-8000-000000000003
        correlation: {type: event_count, rules: [failed_login], group-by: [User], timespan: 1m, condition: {gte: 5}}
        level: high
        """,
    "terms.toml": """
        [rule]
        rule_id = "22222222-0000-4000-8000-000000000005"
        name = "An address that was never seen"
        type = "new_terms"
        language = "kuery"
        query = 'source.ip: *'
        new_terms = {field = "new_terms_fields", value = ["source.ip"], history_window_start = [{field = "history_window_start", value = "now-7d"}]}
        MORE
        """,
    "late/terms-later.toml": """
        [rule]
        rule_id = "22222222-0000-4000-8000-000000000006"
        name = "An address that was never seen, asked for later"
        type = "new_terms"
        language = "kuery"
        query = 'source.ip: *'
        new_terms = {field = "new_terms_fields", value = ["source.ip"], history_window_start = [{field = "history_window_start", value = "now-7d"}]}
        MORE
        """,
}
MORE = """
        description = "What it tells follows from the numbers of the events."
        severity = "high"
        risk_score = 73
        from = "now-3m"
        interval = "1m"
        max_signals = 1000000
"""
NAMES = {
    "11111111-0000-4000-8000-000000000001": "match-sigma",
    "11111111-0000-4000-8000-000000000003": "burst",
    "22222222-0000-4000-8000-000000000001": "match",
    "22222222-0000-4000-8000-000000000002": "whole-block",
    "22222222-0000-4000-8000-000000000003": "more-than-a-block",
    "22222222-0000-4000-8000-000000000004": "sequence",
    "22222222-0000-4000-8000-000000000005": "new-terms",
    "22222222-0000-4000-8000-000000000006": "new-terms-later",
}


def scatter(number, what):
    """A number that looks random and is always the same."""
    return int.from_bytes(hashlib.blake2b(f"{what} {number}".encode(), digest_size=8).digest(), "big")


class Events:
    """The events, by number: what they hold follows from their number alone."""

    def __init__(self, count, seed):
        self.count = count
        # Three hours ago, at the beginning of a minute.
        self.base = (int(time.time()) - 3 * 3600) // 60 * MINUTE_MS // 1000 * 1000
        self.special = {}
        dice = random.Random(seed)
        for pair in range(count // 4_000):
            enter = pair * 4_000 + dice.randrange(500)
            leave = enter + (dice.randrange(300, SPAN - 100) if dice.random() < 0.7 else dice.randrange(SPAN + 100, SPAN + 2_000))
            kinds = ("enter", "leave") if dice.random() < 0.9 else ("leave", "enter")
            for number, kind in zip((enter, leave), kinds):
                self.put(number, {"labels": {"kind": kind}, "host": {"id": f"door-{pair % 60}"}})
        for burst in range(count // 2_500):
            times, length = dice.choice(((5, 3_000), (5, 9_000), (4, 6_000), (5, 13_000)))
            begin = dice.randrange(max(1, count - length - 10))
            for place in range(times):
                process = {"executable": "/bin/login", "command_line": "login"}
                self.put(begin + place * length // (times - 1), {"process": process, "user": {"name": f"user-{burst}"}})

    def put(self, number, fields):
        while number in self.special:
            number += 1
        if number < self.count:
            self.special[number] = fields

    def time(self, number):
        return self.base + number * STEP_MS

    def fields(self, number):
        """Everything of an event but its time and what all have."""
        fields = dict(self.special.get(number, {}))
        if number % 7 == 0 and not fields:
            fields["process"] = {"executable": "/bin/tool", "command_line": f"tool --number {number}"}
        labels = dict(fields.get("labels", {}), block=f"b{number // BLOCK}")
        if number % 500 == 250 and "kind" not in labels:
            labels["kind"] = "marked"
        fields["labels"] = labels
        if number % 10 == 3:
            address = scatter(number, "address") % (1 + number // 2_000)
            fields["source"] = {"ip": f"10.{address >> 16}.{address >> 8 & 255}.{address & 255}"}
        return fields

    def lines(self, number):
        """The two lines of `_bulk`."""
        fields = self.fields(number)
        event = {"sequence": number}
        if "process" in fields:
            event.update(category=["process"], type=["start"])
        document = {"@timestamp": stamp(self.time(number)), "event": event, **fields}
        if "host" not in fields:
            document["host"] = {"id": f"h{number % 17}", "os": {"type": "linux"}}
        index = INDICES[scatter(number, "index") % 3]
        return f'{{"create":{{"_index":"{index}","_id":"n{number}"}}}}\n{json.dumps(document, separators=(",", ":"))}\n'

    def expected(self):
        """The alerts that there must be: rule, and what tells one from the others."""
        alerts = collections.Counter()
        blocks, visits, logins, addresses = collections.Counter(), [], collections.defaultdict(list), {}
        for number in range(self.count):
            fields = self.fields(number)
            at = self.time(number)
            blocks[fields["labels"]["block"], at // MINUTE_MS] += 1
            kind = fields["labels"].get("kind")
            if kind == "marked":
                alerts["match", f"n{number}"] += 1
            elif kind:
                visits.append((number, kind, fields["host"]["id"]))
            process = fields.get("process")
            if process and process["command_line"].endswith("777"):
                alerts["match-sigma", f"n{number}"] += 1
            if process and process["executable"] == "/bin/login":
                logins[fields["user"]["name"]].append(at)
            if "source" in fields:
                addresses.setdefault(fields["source"]["ip"], number)
        for (block, _), count in blocks.items():
            alerts["whole-block", block] += count >= BLOCK
            alerts["more-than-a-block", block] += count > BLOCK
        entered = {}
        for number, kind, host in visits:
            if kind == "enter":
                entered[host] = number
            elif host in entered and self.time(number) - self.time(entered[host]) <= 30_000:
                alerts["sequence", f"n{entered.pop(host)} n{number}"] += 1
        for user, times in logins.items():
            within = any(times[place + 4] - times[place] <= MINUTE_MS for place in range(len(times) - 4))
            alerts["burst", user] += within
        for address in addresses:
            alerts["new-terms", address] += 1
        return +alerts, addresses


def stamp(ms):
    return datetime.fromtimestamp(ms / 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def say(text):
    print(f"{time.monotonic() - BEGUN:7.1f} s  {text}", flush=True)


BEGUN = time.monotonic()


class Failed(Exception):
    pass


def check(condition, text):
    if not condition:
        raise Failed(text)


class Service:
    """The whole program, as a process that ends and begins again on one data folder."""

    def __init__(self, options, folder):
        self.folder, self.data = folder, folder / "disk" / "data"
        self.binary = options.binary
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = None
        self.log = folder / "log.txt"
        self.fault, self.synced = folder / "fault", folder / "synced"
        library = folder / "crash-disk.so"
        source = ROOT / ".ci" / "crash-disk.c"
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-D_LARGEFILE64_SOURCE", "-o", library, source, "-ldl"], check=True)
        self.environment = dict(
            os.environ, LD_PRELOAD=str(library), CRASH_DISK_FOLDER=str(folder / "disk"), CRASH_DISK_FAULT=str(self.fault),
            CRASH_DISK_SYNCED=str(self.synced), RUST_BACKTRACE="1",
        )
        self.rules = folder / "rules"
        self.rules.mkdir()
        for name, text in RULES.items():
            if "/" not in name:
                self.add_rule(name)
        self.config = folder / "neph.toml"
        self.config.write_text(
            f'data = "{self.data}"\n[api]\nlisten = ["127.0.0.1:{self.port}"]\n[rules]\npaths = ["{self.rules}"]\n'
            f'[retention]\nkeep_free = "{KEEP_FREE >> 20}MiB"\n[stream]\nsnapshot = "2s"\nidle = "1h"\n[log]\nformat = "json"\n'
        )

    def add_rule(self, name):
        lines = RULES[name].replace("        MORE\n", MORE.lstrip("\n")).splitlines()
        (self.rules / pathlib.Path(name).name).write_text("\n".join(line[8:] for line in lines) + "\n")

    def start(self):
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                [self.binary, "serve", "--config", self.config], stdout=log, stderr=log, env=self.environment, cwd=self.folder
            )

    def wait_ready(self, limit=60):
        began = time.monotonic()
        while time.monotonic() - began < limit:
            check(self.process.poll() is None, f"the service ended with {self.process.poll()}: {self.said()[-2000:]}")
            try:
                if self.ask("GET", "/readyz", open_to_all=True)[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise Failed("the service does not become ready: " + self.said()[-2000:])

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def lose_power(self, dice):
        """What the log holds behind the last sync may be there or not, in part or whole."""
        sizes = {}
        if self.synced.exists():
            for line in self.synced.read_text().splitlines():
                size, _, path = line.partition(" ")
                if size.isdigit():
                    sizes[path] = int(size)
        torn = 0
        for path in sorted((self.data / "events").glob("*.log")):
            size, kept = path.stat().st_size, sizes.get(str(path), 0)
            if size > kept:
                os.truncate(path, kept + dice.choice((0, dice.randrange(size - kept + 1))))
                torn += size - kept
        return torn

    def said(self):
        return self.log.read_text() if self.log.exists() else ""

    def token(self):
        return (self.data / "token").read_text().strip()

    def ask(self, method, path, body=None, open_to_all=False):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {} if open_to_all else {"Authorization": f"Bearer {self.token()}"}
        try:
            connection.request(method, path, body, {**headers, "Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()

    def get(self, path):
        status, body = self.ask("GET", path)
        check(status == 200, f"GET {path}: {status} {body[:300]}")
        return json.loads(body)

    def status(self, since="1d"):
        """What the command says, which reads the data folder."""
        command = [self.binary, "status", "--config", self.config, "--since", since, "--format", "json"]
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)

    def alerts(self):
        status, body = self.ask("GET", "/api/v1/alerts/export")
        check(status == 200, f"alerts cannot be read: {status} {body[:300]}")
        return [json.loads(line) for line in body.splitlines()]


class Sender(threading.Thread):
    """Sends batches in their order, each until all of it is acknowledged. Several senders share the work."""

    def __init__(self, service, events, work):
        super().__init__(daemon=True)
        self.service, self.events, self.work = service, events, work
        self.error = None

    def run(self):
        try:
            while (batch := self.work.next()) is not None:
                self.send(range(batch * BATCH, min((batch + 1) * BATCH, self.events.count)))
                self.work.done(batch)
        except Exception as error:  # told by the main thread
            self.error = error

    def send(self, numbers):
        connection, pause = None, 0.05
        numbers = list(numbers)
        while numbers:
            body = "".join(self.events.lines(number) for number in numbers)
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", self.service.port, timeout=30)
                headers = {"Authorization": f"Bearer {self.service.token()}", "Content-Type": "application/x-ndjson"}
                connection.request("POST", "/_bulk", body, headers)
                answer = connection.getresponse()
                status, text = answer.status, answer.read()
            except (OSError, http.client.HTTPException):
                # Nothing is known of what became of it: it is sent again as it is.
                self.work.note("no answer", len(numbers))
                connection = None
                time.sleep(pause)
                pause = min(pause * 1.5, 0.5)
                continue
            if status in (429, 503):
                check(json.loads(text), "a refusal without a reason")
                self.work.note(f"{status}", len(numbers))
            else:
                check(status == 200, f"_bulk was answered with {status}: {text[:300]}")
                again = []
                for number, item in zip(numbers, json.loads(text)["items"], strict=True):
                    result = item["create"]
                    check(result["_id"] == f"n{number}", f"answer for {result['_id']} in the place of n{number}")
                    if result["status"] != 201:
                        self.work.note(f"{result['status']} {result['error']['type']}: {result['error']['reason']}", 1)
                        check(result["status"] in (429, 503), f"n{number} was refused for good: {result}")
                        again.append(number)
                numbers = again
            if numbers:
                time.sleep(pause)
                pause = min(pause * 1.5, 0.5)


class Work:
    """What is to be sent, and what was."""

    def __init__(self, batches):
        self.batches, self.lock = batches, threading.Condition()
        self.hold = False
        self.begun, self.finished, self.acknowledged = 0, set(), 0
        self.answers = collections.Counter()

    def next(self):
        """The next batch. None is begun far ahead of one that waits, so that events stay about in their order."""
        with self.lock:
            while self.begun < self.batches and (self.hold or self.begun - self.acknowledged >= 2 * SENDERS):
                self.lock.wait(0.1)
            if self.begun >= self.batches:
                return None
            self.begun += 1
            return self.begun - 1

    def done(self, batch):
        with self.lock:
            self.finished.add(batch)
            while self.acknowledged in self.finished:
                self.finished.remove(self.acknowledged)
                self.acknowledged += 1
            self.lock.notify_all()

    def note(self, answer, count):
        with self.lock:
            self.answers[answer] += count


class Trial:
    """All of it."""

    def __init__(self, options, folder, has_disk):
        self.options, self.has_disk, self.disk = options, has_disk, folder / "disk"
        self.dice = random.Random(options.seed)
        self.events = Events(options.events, options.seed)
        self.work = Work((options.events + BATCH - 1) // BATCH)
        self.service = Service(options, folder)
        self.kills = self.torn = 0
        self.senders = [Sender(self.service, self.events, self.work) for _ in range(SENDERS)]
        self.added = None

    def run(self):
        self.service.start()
        self.service.wait_ready()
        for sender in self.senders:
            sender.start()
        for at, act in self.plan():
            self.wait_for(int(at * self.work.batches))
            act()
        self.wait_for(self.work.batches)
        self.finish()

    def plan(self):
        """When something happens, as a part of all batches, and what."""
        acts = [(self.dice.uniform(0.01, 0.99), self.crash) for _ in range(self.options.kills)]
        faults = [self.add_rule, self.disk_nearly_full, self.disk_full, self.disk_read_only]
        acts += [(at + self.dice.uniform(-0.03, 0.03), fault) for at, fault in zip((0.06, 0.4, 0.6, 0.8), faults)]
        return sorted(acts, key=lambda act: act[0])

    def wait_for(self, batches):
        last, since = self.work.acknowledged, time.monotonic()
        while self.work.acknowledged < batches:
            time.sleep(0.01)
            for sender in self.senders:
                check(sender.error is None, f"a sender failed: {sender.error}")
            check(self.service.process.poll() is None, f"the service ended by itself: {self.service.said()[-2000:]}")
            if self.work.acknowledged > last:
                last, since = self.work.acknowledged, time.monotonic()
            check(time.monotonic() - since < PATIENCE, f"nothing is taken any more: {self.service.said()[-2000:]}")

    def crash(self):
        time.sleep(self.dice.uniform(0, 0.4))
        again = self.dice.random() < 0.4
        for _ in range(1 + again):
            self.service.kill()
            self.kills += 1
            if self.dice.random() < 0.5:
                self.torn += self.service.lose_power(self.dice)
            time.sleep(self.dice.choice((0, self.dice.uniform(0, 0.5))))
            self.service.start()
            # The second time it is killed as it begins.
            if again:
                time.sleep(self.dice.uniform(0, 2))
        self.service.wait_ready()

    def add_rule(self):
        """A rule that looks back far is added, and the service killed while it is given its history."""
        self.work.hold = True
        self.until("evaluation", lambda: self.work.begun == self.work.acknowledged and self.lag() == 0)
        before = self.work.acknowledged * BATCH
        self.service.add_rule("late/terms-later.toml")
        self.until("the new rule", lambda: '"reason":"SIGHUP"' in self.service.said() or "rules are taken over" in self.service.said())
        self.work.hold = False
        time.sleep(self.dice.uniform(0, 0.5))
        self.added = before
        say(f"a rule that asks for history was added behind event {before}")
        self.crash()

    def lag(self):
        return self.service.get("/api/v1/status")["pending_bytes"]

    def until(self, what, holds, limit=PATIENCE):
        began = time.monotonic()
        while not (found := holds()):
            check(time.monotonic() - began < limit, f"waited in vain for {what}: {self.service.said()[-2000:]}")
            time.sleep(0.05)
        return found

    def refused(self, word):
        """How many records were refused with these words."""
        with self.work.lock:
            return sum(count for answer, count in self.work.answers.items() if word in answer)

    def unready(self):
        try:
            status, body = self.service.ask("GET", "/readyz", open_to_all=True)
        except OSError:
            return None
        return json.loads(body)["detail"] if status == 503 else None

    def while_broken(self, what, reason):
        """What must hold while the store takes nothing: clients are told why, all that is there can be read, and it is said."""
        before = self.refused("429") + self.refused("503")
        # Alerts may fail to be written before the first batch is refused.
        told = self.until(f"/readyz to say `{reason}`", lambda: next(filter(lambda told: reason in told, [self.unready() or ""]), None))
        self.until("refused records", lambda: self.refused("429") + self.refused("503") > before)
        page = self.service.get("/api/v1/alerts?limit=5")
        check(page["alerts"], "no alerts can be read")
        self.service.get("/api/v1/alerts/" + page["alerts"][0]["id"])
        check(self.service.ask("GET", "/healthz", open_to_all=True)[0] == 200, "/healthz")

        def said():
            pipeline = self.service.get("/api/v1/status")["pipeline"]
            return pipeline["log_problem"] or pipeline["store_problem"]

        # A small batch may still fit where a larger one does not, and then there is no problem for a moment.
        self.until("the status to say it", said)
        check(self.service.status()["running"] in (True, False), "the command has no answer")
        self.until(f"the log to say `{reason}`", lambda: reason in self.service.said())
        say(f"{what}: refused, told and readable: {told.strip()}")

    def recovered(self, what):
        """It goes on by itself."""
        process = self.service.process.pid
        self.service.wait_ready()
        begun = self.work.acknowledged
        self.until("batches to be taken again", lambda: self.work.acknowledged > begun or self.work.acknowledged == self.work.batches)
        check(self.service.process.pid == process and self.service.process.poll() is None, "it was started anew")
        say(f"{what}: over, and taken again without a restart")

    def fill(self, leave):
        """Takes all room of the disk but so many bytes."""
        with open(self.disk / "ballast", "ab") as ballast:
            while True:
                disk = os.statvfs(self.disk)
                more = disk.f_bavail * disk.f_frsize - leave
                if more <= 0:
                    return
                try:
                    ballast.write(bytes(min(more, 1 << 20)))
                    ballast.flush()
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    return

    def disk_nearly_full(self):
        """Less room than is to stay free: events are refused, what is there is worked up, also after a crash."""
        if not self.has_disk:
            return
        self.fill(KEEP_FREE // 2)
        self.while_broken("a disk that is nearly full", "no room")
        self.service.kill()
        self.kills += 1
        self.service.start()
        self.while_broken("the same after a crash", "no room")
        (self.disk / "ballast").unlink()
        self.recovered("a disk that is nearly full")

    def disk_full(self):
        """No room at all, for alerts and state neither."""
        if self.has_disk:
            self.fill(0)
        else:
            self.service.fault.write_text(str(errno.ENOSPC))
        self.while_broken("a full disk", "no room")
        time.sleep(2)
        if self.has_disk:
            (self.disk / "ballast").unlink()
        else:
            self.service.fault.unlink()
        self.recovered("a full disk")

    def disk_read_only(self):
        self.service.fault.write_text(str(errno.EROFS))
        self.while_broken("a disk that is read-only", "Read-only file system")
        time.sleep(2)
        self.service.fault.unlink()
        self.recovered("a disk that is read-only")

    def finish(self):
        say(f"all {self.events.count} events are acknowledged; {self.kills} kills, {self.torn} bytes torn off; answers: {dict(self.work.answers)}")
        check(self.kills >= self.options.kills, "too few kills")
        # A last event, far ahead, ends all windows; its kind is none that a rule asks for.
        late = self.events.time(self.events.count) + 30 * MINUTE_MS
        lines = "".join(f'{{"create":{{"_index":"{index}","_id":"end"}}}}\n{{"@timestamp":"{stamp(late)}"}}\n' for index in INDICES)
        status, body = self.service.ask("POST", "/_bulk", lines)
        check(status == 200 and not json.loads(body)["errors"], f"the last events: {body[:300]}")
        self.until("evaluation", lambda: self.lag() == 0, 2 * PATIENCE)
        self.until("rules that wait", lambda: not self.service.get("/api/v1/status")["pipeline"]["seeding"])
        say("all is evaluated")
        time.sleep(1)
        self.check_alerts()
        self.check_ledger()

    def check_alerts(self):
        expected, addresses = self.events.expected()
        found = self.service.alerts()
        ids = collections.Counter(alert["kibana.alert.uuid"] for alert in found)
        check(max(ids.values()) == 1, f"alerts that are there twice: {[one for one in ids if ids[one] > 1][:5]}")
        seen, later = collections.Counter(), collections.Counter()
        for alert in found:
            rule = NAMES[alert["kibana.alert.rule.rule_id"]]
            events = " ".join(one["id"] for one in alert.get("kibana.alert.ancestors", []))
            if rule in ("match", "match-sigma", "sequence"):
                seen[rule, events] += 1
                continue
            terms = alert.get("kibana.alert.threshold_result", {}).get("terms") or alert.get("kibana.alert.new_terms") or []
            value = " ".join(str(term["value"] if isinstance(term, dict) else term) for term in terms)
            if rule == "new-terms-later":
                later[value] += 1
            else:
                seen[rule, value] += 1
        for what, wrong in (("missing", expected - seen), ("too many", seen - expected)):
            check(not wrong, f"{sum(wrong.values())} alerts are {what}: {list(wrong)[:10]} of rules {dict(collections.Counter(rule for rule, _ in wrong.elements()))}")
        # What was new after the rule must be told; what was new before is none of its business, but for what a service evaluates
        # again that was killed before it had changed its rules.
        wanted = {address for address, number in addresses.items() if number >= self.added}
        allowed = {address for address, number in addresses.items() if number >= self.added - 20 * BATCH}
        check(wanted <= set(later), f"the rule that was added missed {sorted(wanted - set(later))[:10]}")
        check(set(later) <= allowed, f"the rule that was added told of the past: {sorted(set(later) - allowed)[:10]}")
        check(max(later.values(), default=1) == 1, "the rule that was added told twice")
        check(wanted, "nothing was new after the rule was added")
        counts = collections.Counter(rule for rule, _ in seen)
        say(f"alerts are exactly those that must be: {dict(sorted(counts.items()))}, and {len(later)} of the rule that was added")

    def check_ledger(self):
        report = self.service.status()
        total = collections.Counter()
        for balance in report["balance"]:
            check(balance["holds"], f"the ledger does not add up: {balance}")
            for key in ("received", "evaluated", "refused", "dropped", "pending"):
                total[key] += balance[key]
        check({balance["stream"] for balance in report["balance"]} >= {f"bulk/{index}" for index in INDICES}, "streams are missing")
        check(total["evaluated"] == total["received"] >= self.events.count + len(INDICES), f"the ledger: {dict(total)}")
        check(total["refused"] == total["dropped"] == total["pending"] == 0, f"the ledger: {dict(total)}")
        again = total["received"] - self.events.count - len(INDICES)
        # Of a batch without an answer nothing is known; only such are there twice.
        check(again <= self.refused("no answer"), f"{again} records are there twice, and {self.refused('no answer')} had no answer")
        kinds = collections.Counter(gap["kind"] for gap in report["gaps"])
        check(kinds["untaken"] >= 1, f"the status does not tell when there was no room: {kinds}")
        say(f"the ledger adds up: {dict(total)}, {again} of them repeated by the client; gaps: {dict(kinds)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=24)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--binary", default=str(TARGET / "debug" / "neph"))
    parser.add_argument("--keep", action="store_true", help="leave the folder")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside is None:
        # In a mount namespace of its own, a small disk can be had that nobody else sees.
        command = [sys.executable, __file__, *sys.argv[1:], "--seed", str(options.seed), "--inside"]
        for kind in (["unshare", "-m"], ["unshare", "-Urm"]):
            if subprocess.run([*kind, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
                os.execvp(kind[0], [*kind, *command, "mount"])
        os.execv(sys.executable, [*command, "no"])
    folder = pathlib.Path(tempfile.mkdtemp(prefix="neph-crash-"))
    (folder / "disk").mkdir()
    has_disk = options.inside == "mount"
    if has_disk:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", folder / "disk"], check=True)
    say(f"seed {options.seed}; {'a disk of its own' if has_disk else 'no file system can be mounted: a disk that says that it is full'}; {folder}")
    trial = Trial(options, folder, has_disk)
    try:
        trial.run()
    except Failed as failed:
        say(f"FAILED with --seed {options.seed}: {failed}")
        return 1
    finally:
        if trial.service.process:
            trial.service.process.kill()
            trial.service.process.wait()
        if has_disk and options.keep:
            shutil.copytree(folder / "disk", folder / "kept")
        if has_disk:
            subprocess.run(["umount", folder / "disk"])
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    own, services = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    say(f"passed; {own.ru_utime + own.ru_stime:.0f} s of processor time for the client, {services.ru_utime + services.ru_stime:.0f} s for the service")
    return 0


if __name__ == "__main__":
    sys.exit(main())
