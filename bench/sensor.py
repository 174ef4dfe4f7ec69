#!/usr/bin/env python3
"""The sensor under load: whether it sees every process that lives a millisecond and every connection, and what it takes.

    sudo python3 bench/sensor.py [--modes ebpf,audit,connector] [--processes 20000] [--rate 1000] [--no-build]

Everything runs in a control group of its own, which the sensor is told to look at: a static program that starts itself so many times;
each time it connects to a listener on the loopback and ends. Where `bpftrace` works, it counts beside the sensor. Then the same load at a
given rate with and without the sensor, in turn; what processes take is read from the group, what the sensor takes from /proc, so
that other work on the machine disturbs little. One table is printed and written to bench/results/.
"""

import argparse
import collections
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

import measure

OBSERVE = measure.TARGET / "release" / "examples" / "observe"
ACTS = measure.ROOT / "crates" / "sensor" / "tests" / "acts.c"
TICK = os.sysconf("SC_CLK_TCK")
WORK = measure.WORK / "sensor"

PEER = """
tracepoint:sched:sched_process_exec /cgroup == cgroupid("GROUP")/ { @execs = count(); }
tracepoint:syscalls:sys_enter_connect /cgroup == cgroupid("GROUP")/ { @connects = count(); }
BEGIN { printf("ready\\n"); }
"""


def hierarchy():
    """Where the second hierarchy of control groups is mounted."""
    for line in open("/proc/self/mountinfo"):
        before, behind = line.split(" - ", 1)
        if behind.startswith("cgroup2 "):
            return pathlib.Path(before.split(" ")[4])
    sys.exit("no control groups of version 2")


class Group:
    """A control group of our own."""

    def __init__(self):
        self.path = hierarchy() / f"neph-bench-{os.getpid()}"
        self.path.mkdir()

    def run(self, *command):
        """Runs a program in it to its end and returns what it printed."""
        inside = ["sh", "-c", 'echo $$ >"$0"/cgroup.procs && exec "$@"', str(self.path)]
        return subprocess.run([*inside, *map(str, command)], capture_output=True, text=True, check=True).stdout

    def used(self):
        """Seconds of the processor that what ran in it took."""
        for line in (self.path / "cpu.stat").read_text().splitlines():
            if line.startswith("usage_usec "):
                return int(line.split()[1]) / 1e6

    def remove(self):
        for _ in range(100):
            try:
                return self.path.rmdir()
            except OSError:
                time.sleep(0.05)


class Sensor:
    """The example `observe` in one mode."""

    def __init__(self, mode, group):
        self.file = WORK / f"{mode}.ndjson"
        self.process = subprocess.Popen([OBSERVE, mode, group.path, self.file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.hooks = []
        for line in self.process.stdout:
            if line == "ready\n":
                break
            self.hooks.append(line.strip())
        else:
            raise RuntimeError(f"mode {mode} does not work here")

    def used(self):
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def end(self):
        told, _ = self.process.communicate()
        return json.loads(told.splitlines()[-1])


class Peer:
    """bpftrace with two counters, in a mount namespace of its own, since it needs the tracing file system."""

    def __init__(self, group):
        program = WORK / "peer.bt"
        program.write_text(PEER.replace("GROUP", str(group.path)))
        mounts = "mount -t tracefs tracefs /sys/kernel/tracing; mount -t debugfs debugfs /sys/kernel/debug; exec bpftrace -f json \"$0\""
        command = ["unshare", "-m", "sh", "-c", mounts, program]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if not any("ready" in line for line in self.process.stdout):
            raise RuntimeError("bpftrace does not work here")

    def end(self):
        self.process.send_signal(2)
        told, _ = self.process.communicate()
        counts = {}
        for line in told.splitlines():
            if line.strip():
                counts.update(json.loads(line).get("data", {}))
        return counts.get("@execs", 0), counts.get("@connects", 0)


def seen(file, port):
    """Of the numbers of processes how often each was told as started and as connecting, and documents of each action."""
    started, connected, by_entity, actions = collections.Counter(), collections.Counter(), {}, collections.Counter()
    attempts = []
    for line in open(file, "rb"):
        document = json.loads(line)
        action = document["event"].get("action")
        actions[action] += 1
        process = document.get("process", {})
        arguments = process.get("args") or []
        if action == "exec" and len(arguments) == 5 and arguments[1] == "tcp":
            started[int(arguments[4])] += 1
            by_entity[process["entity_id"]] = int(arguments[4])
        if document.get("destination", {}).get("port") == port:
            attempts.append(process.get("entity_id"))
    for entity in attempts:
        connected[by_entity.get(entity)] += 1
    return started, connected, actions


def count(report, mode, group, port, options, acts):
    """All processes and connections, as fast as it goes."""
    peer = None
    try:
        peer = Peer(group)
    except (OSError, RuntimeError) as error:
        report.note(f"no peer: {error}")
    sensor = Sensor(mode, group)
    begin = time.monotonic()
    failed = group.run(acts, "spawn", "127.0.0.1", port, options.processes, 2).strip()
    seconds = time.monotonic() - begin
    told = sensor.end()
    started, connected, actions = seen(sensor.file, port)
    numbers = range(options.processes)
    lost = sum(number for *_, number in told["lost"])
    bound = 100 if mode != "connector" else None
    report.value(f"{mode}: of {options.processes:,} processes seen with their arguments, %", [100 * sum(started[n] > 0 for n in numbers) / options.processes], bound, at_least=True, digits=3)
    if mode != "connector":
        report.value(f"{mode}: of their connections seen with their process, %", [100 * sum(connected[n] > 0 for n in numbers) / options.processes], 100, at_least=True, digits=3)
        report.value(f"{mode}: told twice", [sum(max(0, started[n] - 1) + max(0, connected[n] - 1) for n in numbers)], 0, digits=0)
    report.value(f"{mode}: lost", [lost], 0 if mode != "connector" else None, digits=0)
    report.value(f"{mode}: peak memory, MiB", [int(told["peak"].split()[0]) / 1024], 80, digits=1)
    if peer:
        execs, connects = peer.end()
        own = (actions["exec"], sum(connected.values()))
        report.value(f"{mode}: programs that bpftrace counted and the sensor did not", [execs - own[0]], 0 if mode != "connector" else None, digits=0)
        if mode != "connector":
            report.value(f"{mode}: connections that bpftrace counted and the sensor did not", [connects - own[1]], 0, digits=0)
        report.note(f"{mode}: bpftrace counted {execs:,} programs and {connects:,} connections, the sensor {own[0]:,} and {own[1]:,}")
    report.note(f"{mode}: {options.processes / seconds:,.0f} processes a second; {failed} of them could not connect; documents {dict(actions)}; {told}")
    return sensor.hooks


def cost(report, mode, group, port, options, acts):
    """The same at a rate, with and without the sensor in turn; without a port processes do nothing."""
    what = "a program started that does nothing" if port == 0 else "one that connects, too"
    number = options.rate * options.seconds
    figures = {"with": [], "without": [], "sensor": [], "rate": [], "calls": [], "opens": [], "calls without": [], "opens without": []}
    for _ in range(options.rounds):
        for watched in (False, True):
            sensor = Sensor(mode, group) if watched else None
            # The first program makes the sensor read which package brought which file: once, and not for each.
            group.run(acts, "spawn", "127.0.0.1", port, 100, 2)
            time.sleep(1)
            within, own, begin = group.used(), sensor.used() if sensor else 0, time.monotonic()
            # Between two processes it sleeps; how long, so that the rate comes out, is found by what one takes.
            pause = figures.setdefault("pause", int(1e6 / options.rate * 0.75))
            group.run(acts, "spawn", "127.0.0.1", port, number, 2, pause)
            seconds = time.monotonic() - begin
            figures["pause"] = max(0, pause + int((1 / options.rate - seconds / number) * 1e6))
            figures["with" if sensor else "without"].append((group.used() - within) / number * 1e6)
            calls, opens = map(float, group.run(acts, "calls", 300_000).split())
            suffix = "" if sensor else " without"
            figures["calls" + suffix].append(calls)
            figures["opens" + suffix].append(opens)
            if sensor:
                # What was still to be written counts, too.
                time.sleep(0.5)
                figures["sensor"].append((sensor.used() - own) / number * 1e6)
                figures["rate"].append(number / seconds)
                sensor.end()
    middle = {name: statistics.median(values) for name, values in figures.items() if isinstance(values, list)}
    # Rounds that follow each other are compared, since other work on the machine changes what everything takes.
    pairs = zip(figures["with"], figures["without"], figures["sensor"])
    added = statistics.median(watched - alone + sensor for watched, alone, sensor in pairs)
    report.value(f"{mode}: added processor time for {what}, µs", [added], 60 if port == 0 else None, digits=1)
    report.value(f"{mode}: what the sensor takes of a core at {options.rate:,} of them a second, %", [middle["sensor"] * options.rate / 1e4], 10, digits=1)
    lists = {name: [round(value, 1) for value in values] for name, values in figures.items() if isinstance(values, list)}
    report.note(f"{mode}: {what}: each round, µs a process (calls and opens: ns each, rate: processes a second): {lists}")
    if port:
        return
    report.value(f"{mode}: added to any call to the kernel, ns", [middle["calls"] - middle["calls without"]], None, digits=0)
    report.value(f"{mode}: added to opening and closing a file, ns", [middle["opens"] - middle["opens without"]], None, digits=0)


def programs(report, mode, group, port, options, acts):
    """What each program in the kernel takes, as the kernel counts it."""
    switch = pathlib.Path("/proc/sys/kernel/bpf_stats_enabled")
    before = switch.read_text()
    switch.write_text("1")
    try:
        sensor = Sensor(mode, group)
        number = options.rate * 2
        group.run(acts, "spawn", "127.0.0.1", port, number, 2, 500)
        told = sensor.end()
    finally:
        switch.write_text(before)
    kinds = {17: "raw tracepoint", 18: "control group"}
    each = [f"{kinds.get(kind, kind)} {times / runs:,.0f} ns ({runs:,} times)" for kind, runs, times in told["programs"] if runs]
    report.note(f"{mode}: programs in the kernel, {number:,} processes: {', '.join(each)}")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--modes", default="ebpf,audit,connector")
    arguments.add_argument("--processes", type=int, default=20_000)
    arguments.add_argument("--rate", type=int, default=1_000, help="processes a second, where cost is measured")
    arguments.add_argument("--seconds", type=int, default=5, help="of each round")
    arguments.add_argument("--rounds", type=int, default=5, help="with and without the sensor, in turn")
    arguments.add_argument("--no-build", action="store_true", help="measure the release binary as it is")
    arguments.add_argument("--name", default="sensor", help="the result goes to bench/results/DATE-NAME.md")
    options = arguments.parse_args()
    if not options.no_build:
        subprocess.run(["cargo", "build", "--release", "--locked", "-p", "neph-sensor", "--example", "observe"], cwd=measure.ROOT, check=True)
    WORK.mkdir(parents=True, exist_ok=True)
    acts = WORK / "acts"
    subprocess.run(["cc", "-O2", "-static", "-pthread", "-o", acts, ACTS], check=True)
    listener = subprocess.Popen([acts, "listen"], stdout=subprocess.PIPE, text=True)
    port = int(listener.stdout.readline())
    report = measure.Report()
    report.section("The sensor", f"{options.processes:,} processes that live a millisecond and connect once; cost at {options.rate:,} a second, the middle of {options.rounds} pairs of rounds of {options.seconds} s.")
    group = Group()
    try:
        for mode in options.modes.split(","):
            try:
                hooks = count(report, mode, group, port, options, acts)
            except RuntimeError as error:
                report.note(str(error))
                continue
            report.note(f"{mode}: {'; '.join(hooks)}")
            cost(report, mode, group, 0, options, acts)
            cost(report, mode, group, port, options, acts)
            if mode == "ebpf":
                programs(report, mode, group, port, options, acts)
    finally:
        listener.kill()
        listener.wait()
        group.remove()
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=measure.ROOT, capture_output=True, text=True).stdout.strip()
    processor = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "")
    today = datetime.date.today().isoformat()
    head = [
        f"# The sensor under load, {today}",
        "",
        f"`python3 bench/sensor.py {' '.join(sys.argv[1:])}`",
        "",
        f"{commit}; {os.cpu_count()} cores, {processor}, {platform.machine()}, Linux {platform.release()}; load at the end {os.getloadavg()[0]:.1f}.",
    ]
    path = measure.BENCH / "results" / f"{today}-{options.name}.md"
    path.write_text(report.text(head))
    print(f"\n{path}")
    if report.failures:
        print("missed:", *report.failures, sep="\n  ")
        sys.exit(1)


if __name__ == "__main__":
    main()
