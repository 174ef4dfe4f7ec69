#!/usr/bin/env python3
"""Sustained load: events of several sources by `_bulk` to a `neph serve` of its own, for as long as is wished, and how it went.

    python3 bench/serve.py --sigma DIR|TAR [--seconds 60 | --hours 1 | --events N] [--rate 50000] [--no-build]

The service runs the shipped rules, --rules rules of Sigma (1,000: the same for the same collection, windows, linux, cloud and
kubernetes ones together) and one for the planted events. The client, the example `sustain` of neph-ingest, sends
bodies that were made beforehand, over --connections connections, at --rate events a second or (0) as fast as they are acknowledged;
every --plant-millis an event is among them that must alert, and its alert is waited for at the API's stream. Meanwhile what both
processes take is read from /proc. Then `neph detect` runs the same rules over such events, on as many threads.

Times of the processor hold on a machine with other work; wall times do not. One table is printed and written to bench/results/.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request

import measure

SUSTAIN = measure.TARGET / "release" / "examples" / "sustain"
TICK = os.sysconf("SC_CLK_TCK")

# What the client sends: the index, of a hundred events how many, and the corpus that they are taken from.
SOURCES = [
    ("logs-aws.cloudtrail-default", 20, "cloudtrail"),
    ("logs-kubernetes.audit_logs-default", 20, "kubernetes-audit"),
    ("logs-auditd_manager.auditd-default", 15, "auditd-manager"),
    ("logs-endpoint.events.process-linux", 15, "linux"),
    ("logs-endpoint.events.process-default", 15, "endpoint"),
    ("winlogbeat-8.17.1", 15, "sysmon-agent"),
]

PLANTED = """[metadata]
creation_date = "2026/11/22"
maturity = "production"
updated_date = "2026/11/22"

[rule]
author = ["Nephoscope"]
description = "An event that the load was told to plant."
from = "now-9m"
language = "eql"
license = "Apache-2.0"
max_signals = 100000000
name = "Planted by the Load"
risk_score = 21
rule_id = "7f0e2a52-6f3c-4a53-9a1e-3b1b6a0c6f11"
severity = "low"
type = "eql"
query = 'process where event.action == "planted-by-load"'
"""


class Process:
    """Readings of a process from /proc."""

    def __init__(self, pid):
        self.pid = pid
        self.proc = pathlib.Path(f"/proc/{pid}")

    @staticmethod
    def ticks(path):
        fields = path.read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def cpu(self):
        return self.ticks(self.proc / "stat")

    def mib(self):
        status = (self.proc / "status").read_text()
        # Without pages of files.
        return int(re.search(r"RssAnon:\s+(\d+)", status).group(1)) / 1024

    def threads(self):
        """Processor seconds by the names of threads."""
        seconds = {}
        for task in (self.proc / "task").iterdir():
            try:
                name = (task / "comm").read_text().strip()
                seconds[name] = seconds.get(name, 0) + self.ticks(task / "stat")
            except OSError:
                continue  # It has ended meanwhile.
        return seconds


class Service:
    """A `neph serve` with a folder of its own."""

    def __init__(self, folder, rules, options):
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "planted.toml").write_text(PLANTED)
        paths = ["builtin", str(rules), str(folder / "planted.toml")]
        config = folder / "neph.toml"
        config.write_text(
            f'data = "{folder}/data"\n\n[rules]\npaths = {json.dumps(paths)}\n\n'
            f'[retention]\nevents_size = "{options.events_size}"\n\n[limits]\nthreads = {options.threads}\n'
        )
        self.paths = paths
        self.log = open(folder / "serve.log", "wb")
        command = [measure.NEPH, "serve", "--config", config, "--listen", "127.0.0.1:0"]
        if options.perf:
            command = ["perf", "record", "-F", "299", "-g", "-o", options.perf, "--", *command]
        self.child = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        address = folder / "data" / "address"
        while not address.exists() or not address.read_text().strip():
            if self.child.poll() is not None:
                sys.exit((folder / "serve.log").read_text())
            time.sleep(0.05)
        self.base = address.read_text().strip()
        self.token = (folder / "data" / "token").read_text().strip()
        self.pid = int(subprocess.run(["pgrep", "-P", str(self.child.pid), "neph"], capture_output=True, text=True).stdout or 0) if options.perf else self.child.pid
        self.process = Process(self.pid)

    def get(self, path):
        request = urllib.request.Request(self.base + path, headers={"authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def status(self):
        return json.loads(self.get("/api/v1/status?since=1m"))["pipeline"]

    def disk(self):
        """Bytes of the data folder, of the log and of all."""
        files = [(path, path.stat().st_size) for path in (self.folder / "data").rglob("*") if path.is_file()]
        return sum(size for path, size in files if path.parent.name == "events"), sum(size for _, size in files)

    def stop(self):
        os.kill(self.pid, signal.SIGTERM)
        self.child.wait(120)


def sigma_rules(tree, number):
    """As many Sigma rules of what the sources write, always the same ones."""
    products = ("windows", "linux", "aws", "kubernetes", "azure", "gcp", "m365", "okta")
    return measure.rule_set(f"sigma-{number}", tree, measure.of_product(*products), number)


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))] if values else 0


def client(service, options, corpora):
    """Runs the client beside the service; what it said last, and samples of both."""
    command = [SUSTAIN, "--address", service.base.split("//")[1], "--token", service.token]
    for name in ("seconds", "events", "rate", "connections", "batch", "plant_millis"):
        if (value := getattr(options, name)) is not None:
            command += [f"--{name.replace('_', '-')}", str(value)]
    command += ["--gzip"] if options.gzip else []
    child = subprocess.Popen([*command, *corpora], stdout=subprocess.PIPE, text=True)
    said = []
    reader = threading.Thread(target=lambda: said.extend(json.loads(line) for line in child.stdout), daemon=True)
    reader.start()
    own = Process(child.pid)
    samples, begin = [], time.monotonic()
    base = service.process.cpu(), service.process.threads()
    while True:
        time.sleep(1)
        try:
            own_cpu = own.cpu()
        except (OSError, IndexError):
            own_cpu = samples[-1]["client"] if samples else 0
        if child.poll() is not None:
            break
        try:
            status = service.status()
        except (OSError, ValueError) as problem:
            print(f"  no status: {problem}", flush=True)
            if service.child.poll() is not None:
                child.kill()
                sys.exit((service.folder / "serve.log").read_text()[-2000:])
            continue
        samples.append(
            {
                "at": time.monotonic() - begin,
                "events": said[-1]["events"] if said else 0,
                "evaluated": status["records"],
                "lag": status["lag_bytes"],
                "latency": status["latency_millis"],
                "state": status["state_bytes"],
                "snapshot": status["snapshot_millis"],
                "server": service.process.cpu() - base[0],
                "client": own_cpu,
                "mib": service.process.mib(),
                "problem": status["store_problem"],
            }
        )
        if len(samples) % 60 == 0:
            show(samples, service)
    reader.join(10)
    if child.returncode != 0 or not said:
        sys.exit(f"the client failed: {child.returncode}")
    threads = {name: seconds - base[1].get(name, 0) for name, seconds in service.process.threads().items()}
    return said[-1], samples, threads


def show(samples, service):
    now = samples[-1]
    before = samples[-61] if len(samples) > 60 else samples[0]
    rate = (now["events"] - before["events"]) / max(now["at"] - before["at"], 1e-6)
    log, disk = service.disk()
    print(
        f"  {now['at']:6.0f} s  {now['events']:>12,} events  {rate:8,.0f}/s  lag {now['lag'] / 1e6:8.1f} MB  {now['mib']:5.0f} MiB  "
        f"state {now['state'] / 1e6:.0f} MB  log {log / 1e9:.2f} GB of {disk / 1e9:.2f}  server {now['server']:.0f} s  client {now['client']:.0f} s",
        flush=True,
    )


def drain(service, patience):
    """Waits until everything is evaluated; the seconds that took."""
    begin = time.monotonic()
    while service.status()["lag_bytes"] > 0:
        if time.monotonic() - begin > patience:
            return None
        time.sleep(0.2)
    return time.monotonic() - begin


def detection(service, options, corpora):
    """`neph detect` over the same events, the first of them."""
    path = service.folder / "events.ndjson"
    number = min(options.detect_events, options.sent)
    command = [SUSTAIN, "--write", path, "--events", number, "--rate", options.rate or 50000, "--batch", options.batch]
    subprocess.run([*map(str, command), *corpora], check=True, stdout=subprocess.DEVNULL)
    events, size = measure.lines_in(path), path.stat().st_size
    rules = [argument for rules in service.paths for argument in ("--rules", rules)]
    none = service.folder / "none.ndjson"
    none.write_text("{}\n")
    threads = options.threads or os.cpu_count()
    runs = measure.rounds_of(
        {
            "load": measure.detect(none, threads, *rules),
            "detect": measure.detect(path, threads, *rules),
        },
        1,
    )
    path.unlink()
    return runs[0], events, size


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--sigma", required=True, help="the Sigma rules")
    arguments.add_argument("--rules", type=int, default=1000, help="how many of them")
    arguments.add_argument("--seconds", type=float)
    arguments.add_argument("--hours", type=float)
    arguments.add_argument("--events", type=int)
    arguments.add_argument("--rate", type=float, default=0, help="events a second; 0: as fast as they are acknowledged")
    arguments.add_argument("--connections", type=int, default=8)
    arguments.add_argument("--batch", type=int, default=1000)
    arguments.add_argument("--plant-millis", type=int, default=200)
    arguments.add_argument("--gzip", action="store_true")
    arguments.add_argument("--threads", type=int, default=0, help="threads that match; 0: as many as there are processors")
    arguments.add_argument("--corpus", default="64M", help="bytes of each source that bodies are made of")
    arguments.add_argument("--events-size", default="8GiB", help="what the event log may take on disk")
    arguments.add_argument("--detect-events", type=int, default=2_000_000, help="events that `detect` reads; with its rules it takes 3 GB of disk")
    arguments.add_argument("--data", help="folder for the service's data")
    arguments.add_argument("--perf", help="record a profile of the service into this file")
    arguments.add_argument("--no-build", action="store_true", help="measure the release binaries as they are")
    arguments.add_argument("--name", default="serve", help="the result goes to bench/results/DATE-NAME.md")
    options = arguments.parse_args()
    if options.hours:
        options.seconds = options.hours * 3600
    if not options.seconds and not options.events:
        options.seconds = 60.0
    tree = measure.rule_tree(options.sigma)
    if not options.no_build:
        measure.build()
        subprocess.run(["cargo", "build", "--release", "--locked", "-p", "neph-ingest", "--example", "sustain"], cwd=measure.ROOT, check=True)
    measure.WORK.mkdir(parents=True, exist_ok=True)
    corpora = [f"{index}={weight}={measure.corpus(kind, options.corpus)}" for index, weight, kind in SOURCES]
    rules, number = sigma_rules(tree, options.rules)
    service = Service(pathlib.Path(options.data or measure.WORK / "serve"), rules, options)
    try:
        result, samples, threads = client(service, options, corpora)
        options.sent = result["events"]
        drained = drain(service, 600)
        status = service.status()
        log, disk = service.disk()
        server = service.process.cpu()
    finally:
        service.stop()
    shutil.rmtree(service.folder / "data", ignore_errors=True)
    # An hour's figures are not lost with what follows.
    (service.folder / "load.json").write_text(json.dumps({"result": result, "samples": samples, "threads": threads, "drained": drained, "status": status, "disk": [log, disk, server]}))
    runs, events, size = detection(service, options, corpora)
    tell(options, number, result, samples, threads, drained, status, (log, disk, server), runs, events, size)


def tell(options, number, result, samples, threads, drained, status, end, runs, events, size):
    log, disk, _ = end
    sent, seconds = result["events"], result["seconds"]
    server, own = samples[-1]["server"], samples[-1]["client"]
    cores = os.cpu_count()
    # What is bounded fills at first: what rules remember, caches, pools.
    filled = min(300, seconds / 3)
    settled = [sample for sample in samples if sample["at"] > filled] or samples[-1:]
    minutes = {}
    for sample in settled:
        minutes.setdefault(int((sample["at"] - filled) // 60), []).append(sample["mib"])
    peaks = [max(minute) for minute in minutes.values()]
    settled = [sample["mib"] for sample in settled]
    middle = (max(peaks) + min(peaks)) / 2
    alone = max(runs["detect"]["cpu"] - runs["load"]["cpu"], 1e-6)
    alerts, acks = result["alerts"], result["acknowledgement"]
    behind = [sample["lag"] for sample in samples]
    report = measure.Report()
    report.section("Sustained load", f"{number} rules of Sigma with the shipped ones, {status['rules']:,} in all; {options.connections} connections, {options.batch} events a request" + (", gzip" if options.gzip else "") + ".")
    report.value("events acknowledged a second", [sent / seconds], 50_000, at_least=True, digits=0)
    report.value("events evaluated a second, until the last was", [status["records"] / (seconds + (drained or 0))], 50_000, at_least=True, digits=0)
    report.value(f"events a second that {cores} cores could do, client included, by processor time", [sent / (server + own) * cores], 50_000, at_least=True, digits=0)
    report.value("p99 from sending to alert, seconds", [alerts["sent_to_alert"]["p99"] / 1e3], 2)
    report.value(f"peak memory of each minute after {filled:.0f} s: how far from their middle, %", [(max(peaks) - middle) / max(middle, 1) * 100], 10, digits=1)
    report.value("planted events without alert", [alerts["without"]], 0, digits=0)
    report.value("planted events with two", [alerts["twice"]], 0, digits=0)
    report.value("processor time of server / of detect, for an event", [server / sent / (alone / events)], None)
    report.value("of server and client / of detect, for an event", [(server + own) / sent / (alone / events)], None)
    rows = [
        ("sent", f"{sent:,} events, {result['bytes'] / 1e9:.2f} GB ({result['bytes'] / sent:,.0f} bytes each) in {seconds:,.1f} s; {result['wire'] / 1e9:.2f} GB on the wire"),
        ("refused for want of room / broken requests", f"{result['busy']:,} / {result['broken']:,}"),
        ("request to acknowledgement, ms", f"p50 {acks['p50']:.0f}, p99 {acks['p99']:.0f}, max {acks['max']:.0f}"),
        ("sent to alert, ms", f"p50 {alerts['sent_to_alert']['p50']:.0f}, p99 {alerts['sent_to_alert']['p99']:.0f}, p99.9 {alerts['sent_to_alert']['p999']:.0f}, max {alerts['sent_to_alert']['max']:.0f}; of {alerts['planted']:,}"),
        ("acknowledged to alert, ms", f"p50 {alerts['acknowledged_to_alert']['p50']:.0f}, p99 {alerts['acknowledged_to_alert']['p99']:.0f}, max {alerts['acknowledged_to_alert']['max']:.0f}"),
        ("alerts", f"{status['alerts_raised']:,} in all; {alerts['resets']} times the stream of alerts was too slow"),
        ("evaluation behind the log, MB", f"p50 {percentile(behind, 0.5) / 1e6:.1f}, p99 {percentile(behind, 0.99) / 1e6:.1f}, max {max(behind) / 1e6:.1f}; caught up {f'{drained:.1f} s' if drained is not None else 'not'} after the last"),
        ("records / events / refused / unrecognised / late", f"{status['records']:,} / {status['events']:,} / {status['refused']:,} / {status['unrecognised']:,} / {status['late']:,}"),
        ("memory of the server, MiB", f"first {samples[0]['mib']:.0f}; after {filled:.0f} s least {min(settled):.0f}, greatest {max(settled):.0f}; last {samples[-1]['mib']:.0f}; peak of each tenth minute {' '.join(f'{peak:.0f}' for peak in peaks[::max(1, len(peaks) // 12)])}"),
        ("state of rules, MB", f"{status['state_bytes'] / 1e6:.1f}; the last snapshot {status['snapshot_bytes'] / 1e6:.1f} MB in {status['snapshot_millis']} ms"),
        ("disk, GB", f"log {log / 1e9:.2f} ({result['bytes'] / max(log, 1):.1f} times less than sent, where nothing was removed yet), all {disk / 1e9:.2f}"),
        ("processor seconds", f"server {server:.1f}, client {own:.1f}; of {seconds * cores:.0f} that there were"),
        ("µs of processor an event", f"server {server / sent * 1e6:.2f}, client {own / sent * 1e6:.2f}, detect {alone / events * 1e6:.2f}"),
        ("server by thread, µs an event", ", ".join(f"{name} {spent / sent * 1e6:.2f}" for name, spent in sorted(threads.items(), key=lambda item: -item[1]) if spent / sent * 1e6 >= 0.01)),
        (f"`detect` over {events:,} such events, {size / 1e9:.2f} GB", f"{runs['detect']['cpu']:.1f} s of processor, {runs['load']['cpu']:.1f} of them loading; {runs['detect']['wall']:.1f} s, {runs['detect']['mib']:.0f} MiB, {runs['detect']['lines']:,} lines"),
    ]
    for what, figure in rows:
        report.note(f"{what}: {figure}")
    for notice in status["notices"][-5:]:
        report.note(f"notice: {notice}")
    version = subprocess.run([measure.NEPH, "--version"], capture_output=True, text=True).stdout.strip()
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=measure.ROOT, capture_output=True, text=True).stdout.strip()
    processor = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "")
    today = datetime.date.today().isoformat()
    given = [argument if "/" not in argument else argument.rstrip("/").split("/")[-1] for argument in sys.argv[1:]]
    head = [
        f"# Sustained load on the service, {today}",
        "",
        f"`python3 bench/serve.py {' '.join(given)}`",
        "",
        f"{version} ({commit}); {cores} cores, {processor}, {platform.machine()}, Linux {platform.release()}; load at the end {os.getloadavg()[0]:.1f}.",
    ]
    path = measure.BENCH / "results" / f"{today}-{options.name}.md"
    path.write_text(report.text(head))
    print(f"\n{path}")
    if report.failures:
        print("missed:", *report.failures, sep="\n  ")


if __name__ == "__main__":
    main()
