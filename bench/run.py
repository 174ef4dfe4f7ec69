#!/usr/bin/env python3
"""Measures neph on generated endpoint logs, beside python-eql where that is installed, and writes a dated result.

    python3 bench/run.py [--bytes 1G] [--rounds 5] [--peer-bytes 50M] [--check]

What is compared runs in turn (A B C A B C ...), and ratios are taken within a round, so that they hold when the machine's
speed drifts. Times of one thread are processor seconds (user + system) of the whole process; the speed-up of two threads is
in wall time. --check ends with exit code 1 if a ratio misses its bound.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BENCH = ROOT / "bench"
WORK = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "bench"
RELEASE = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"


def build():
    command = ["cargo", "build", "--release", "--locked", "--bin", "neph", "--bin", "xtask"]
    subprocess.run(command, cwd=ROOT, check=True)


def corpus(size):
    WORK.mkdir(parents=True, exist_ok=True)
    path = WORK / f"endpoint-{size}.ndjson"
    if not path.exists():
        part = path.with_suffix(".part")
        with open(part, "wb") as out:
            command = [RELEASE / "xtask", "generate", "endpoint", "--bytes", size, "--seed", "1"]
            subprocess.run(command, stdout=out, check=True)
        part.rename(path)
    return path


def measure(command):
    """Processor seconds, wall seconds, peak memory in MiB and lines of output of one run."""
    begin = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    lines = sum(1 for _ in process.stdout)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - begin
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit(f"failed: {' '.join(map(str, command))}")
    return {
        "cpu": usage.ru_utime + usage.ru_stime,
        "wall": wall,
        "mib": usage.ru_maxrss / 1024,
        "lines": lines,
    }


def neph(corpus_path, threads, *arguments):
    return [RELEASE / "neph", "detect", "--format", "ndjson", "--threads", str(threads), *arguments, corpus_path]


PEER = r"""
import sys, datetime, orjson, eql
from eql.parser import elasticsearch_syntax
text, path = open(sys.argv[1]).read(), sys.argv[2]
found = 0
def count(_):
    global found
    found += 1
with elasticsearch_syntax, eql.parser.ignore_missing_functions:
    query = eql.parse_query(text, implied_any=True, implied_base=True)
engine = eql.PythonEngine()
with elasticsearch_syntax:
    engine.add_query(query)
engine.add_output_hook(count)
epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
for line in open(path, "rb"):
    record = orjson.loads(line)
    stamp = record["@timestamp"]
    # The engine counts in units of 100 nanoseconds.
    seconds = datetime.datetime.fromisoformat(stamp[:19] + "+00:00")
    ticks = int((seconds - epoch).total_seconds()) * 10_000_000 + int(stamp[20:-1].ljust(9, "0")[:7])
    event = record["event"]
    category = event["category"][0]
    # The engine compares an array as a whole; here each has one value.
    event["type"] = event["type"][0]
    engine.stream_event(eql.Event(category, ticks, record))
engine.finalize()
for _ in range(found):
    print()
"""


def peer_is_installed():
    probe = [sys.executable, "-c", "import eql, orjson"]
    return subprocess.run(probe, stderr=subprocess.DEVNULL).returncode == 0


def spread(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def rounds_of(commands, rounds):
    for command in commands.values():
        measure(command)  # once unseen, so that the file is in the page cache
    return [{name: measure(command) for name, command in commands.items()} for _ in range(rounds)]


def ratios(runs, above, below, figure="cpu"):
    return [run[above][figure] / run[below][figure] for run in runs]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--bytes", default="1G")
    arguments.add_argument("--peer-bytes", default="50M")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--check", action="store_true")
    options = arguments.parse_args()
    build()
    path = corpus(options.bytes)
    event, sequence = BENCH / "queries" / "event.eql", BENCH / "queries" / "sequence.eql"
    runs = rounds_of(
        {
            "parse": neph(path, 1, "--parse-only"),
            "event": neph(path, 1, "--rules", event),
            "sequence": neph(path, 1, "--rules", sequence),
            "parse 2": neph(path, 2, "--parse-only"),
            "event 2": neph(path, 2, "--rules", event),
            "sequence 2": neph(path, 2, "--rules", sequence),
        },
        options.rounds,
    )
    rows = []
    failures = []

    def row(what, values, bound, holds):
        good = holds(statistics.median(values))
        rows.append(f"| {what} | {spread(values)} | {bound} | {'yes' if good else '**no**'} |")
        if not good:
            failures.append(what)

    row("one event rule / parsing, processor", ratios(runs, "event", "parse"), "at most 1.5", lambda x: x <= 1.5)
    row("one sequence rule / parsing, processor", ratios(runs, "sequence", "parse"), "at most 2", lambda x: x <= 2)
    for name in ("event", "sequence"):
        values = ratios(runs, name, f"{name} 2", "wall")
        row(f"{name}: wall of one thread / of two", values, "at least 1.7", lambda x: x >= 1.7)
    memory = [run[name]["mib"] for run in runs for name in run]
    row("peak memory of any run, MiB", memory, "under 200", lambda x: max(memory) < 200)

    if peer_is_installed():
        small = corpus(options.peer_bytes)
        script = WORK / "peer.py"
        script.write_text(PEER)
        commands = {}
        for name, query in (("event", event), ("sequence", sequence)):
            commands[name] = neph(small, 1, "--rules", query)
            commands[f"peer {name}"] = [sys.executable, script, query, small]
        peers = rounds_of(commands, min(options.rounds, 3))
        row("event query: python-eql / neph, processor", ratios(peers, "peer event", "event"), "at least 2", lambda x: x >= 2)
        row("sequence: python-eql / neph, processor", ratios(peers, "peer sequence", "sequence"), "at least 4", lambda x: x >= 4)
        counts = {name: peers[0][name]["lines"] for name in commands}
        rows.append(f"| results found over the smaller file | {json.dumps(counts)} | equal | |")
    else:
        rows.append("| python-eql | not installed (`pip install eql orjson`) | | |")

    median = {name: {key: statistics.median(run[name][key] for run in runs) for key in ("cpu", "wall", "mib")} for name in runs[0]}
    version = subprocess.run([RELEASE / "neph", "--version"], capture_output=True, text=True).stdout.strip()
    today = datetime.date.today().isoformat()
    lines = [
        f"# Endpoint logs, {today}",
        "",
        f"`python3 bench/run.py --bytes {options.bytes} --peer-bytes {options.peer_bytes} --rounds {options.rounds}`; {version}; "
        f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}; load at the end {os.getloadavg()[0]:.1f}.",
        f"{path.stat().st_size:,} bytes of events, {options.rounds} rounds; median (minimum to maximum).",
        "",
        "| what | ratio | bound | met |",
        "| --- | --- | --- | --- |",
        *rows,
        "",
        "| run | processor s | wall s | peak MiB |",
        "| --- | --: | --: | --: |",
        *(f"| {name} | {m['cpu']:.2f} | {m['wall']:.2f} | {m['mib']:.0f} |" for name, m in median.items()),
    ]
    text = "\n".join(lines) + "\n"
    result = BENCH / "results" / f"{today}-endpoint.md"
    result.parent.mkdir(exist_ok=True)
    result.write_text(text)
    print(text)
    if options.check and failures:
        sys.exit(f"missed: {', '.join(failures)}")


if __name__ == "__main__":
    main()
