#!/usr/bin/env python3
"""Measures neph on generated logs with thousands of rules, beside the peers that are installed, and writes a dated result.

    python3 bench/run.py [--bytes 1G] [--rounds 3] [--sigma DIR|TAR] [--elastic DIR|TAR] [--only SUITE,...] [--quick] [--check]

--sigma and --elastic name checkouts (or archives) of github.com/SigmaHQ/sigma and github.com/elastic/detection-rules; suites
whose rules are not given are left out. rsigma is looked for in $RSIGMA and on the path (`cargo install rsigma --version 0.26.0
--ignore-rust-version`), python-eql in Python (`pip install eql orjson`).

What is compared runs in turn (A B C A B C ...), and ratios are taken within a round, so that they hold when the machine's
speed drifts. Times are processor seconds (user + system) of the whole process, loading of the rules included; what two
threads gain is in wall time. --quick takes 64M and one round; --check ends with exit code 1 if a figure misses its bound.
"""

import argparse
import datetime
import os
import platform
import subprocess
import sys

import measure
import peers
import suites

SUITES = {
    "parser": suites.parser,
    "windows": suites.windows,
    "windows-flat": suites.windows_flat,
    "linux": suites.linux,
    "cloud": suites.cloud,
    "kubernetes": suites.kubernetes,
    "scale": suites.scale,
    "events": suites.events,
    "eql": suites.eql,
    "sequences": suites.sequences,
    "endpoint": suites.endpoint,
    "flood": suites.flood,
    "large": suites.large,
}

# What takes many minutes or much disk runs where it is named.
ON_DEMAND = {"flood", "large"}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--bytes", default="1G", help="size of each corpus")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--peer-bytes", default=None, help="size of the corpora that peers read; that of --bytes by default")
    arguments.add_argument("--peer-rounds", type=int, default=1)
    arguments.add_argument("--sigma", help="the Sigma rules")
    arguments.add_argument("--elastic", help="Elastic's detection rules")
    arguments.add_argument("--only", help="suites to run, with commas between: " + ", ".join(SUITES))
    arguments.add_argument("--quick", action="store_true")
    arguments.add_argument("--check", action="store_true")
    arguments.add_argument("--no-build", action="store_true", help="measure the release binaries as they are")
    arguments.add_argument("--name", default="rules", help="the result goes to bench/results/DATE-NAME.md")
    options = arguments.parse_args()
    if options.quick:
        options.bytes, options.rounds = "64M", 1
    options.peer_bytes = options.peer_bytes or options.bytes
    for name in ("sigma", "elastic"):
        if given := getattr(options, name):
            setattr(options, name, measure.rule_tree(given))
    options.rsigma = peers.rsigma()
    if not options.no_build:
        measure.build()
    measure.WORK.mkdir(parents=True, exist_ok=True)
    wanted = options.only.split(",") if options.only else [name for name in SUITES if name not in ON_DEMAND]
    report = measure.Report()
    for name in wanted:
        print(name, flush=True)
        SUITES[name](report, options)
    version = subprocess.run([measure.NEPH, "--version"], capture_output=True, text=True).stdout.strip()
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=measure.ROOT, capture_output=True, text=True)
    today = datetime.date.today().isoformat()
    processor = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "")
    given = [argument if "/" not in argument else argument.rstrip("/").split("/")[-1] for argument in sys.argv[1:]]
    head = [
        f"# Rules over generated logs, {today}",
        "",
        f"`python3 bench/run.py {' '.join(given)}`",
        "",
        f"{version} ({commit.stdout.strip()}); {options.rsigma[1] if options.rsigma else 'no rsigma'}; "
        f"{os.cpu_count()} cores, {processor}, {platform.machine()}, Linux {platform.release()}; "
        f"load at the end {os.getloadavg()[0]:.1f}. Corpora of {options.bytes}, {options.rounds} rounds; median (minimum to maximum).",
    ]
    text = report.text(head)
    result = measure.BENCH / "results" / f"{today}-{options.name}.md"
    result.parent.mkdir(exist_ok=True)
    result.write_text(text)
    print(f"\n{result}")
    if report.failures:
        print("missed:", *report.failures, sep="\n  ")
    if options.check and report.failures:
        sys.exit(1)


if __name__ == "__main__":
    main()
