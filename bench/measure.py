"""What the benches have in common: building, corpora, rule sets, and runs that take turns."""

import collections
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import zlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
BENCH = ROOT / "bench"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
WORK = TARGET / "bench"
NEPH = TARGET / "release" / "neph"
FLOOR = TARGET / "release" / "examples" / "floor"


def build():
    """The binaries that are measured, and the generator."""
    command = ["cargo", "build", "--release", "--locked"]
    subprocess.run([*command, "--bin", "neph", "--bin", "xtask"], cwd=ROOT, check=True)
    subprocess.run([*command, "-p", "neph-runtime", "--example", "floor"], cwd=ROOT, check=True)


def corpus(kind, size):
    """A generated file of so many bytes (`1G`), made if it is not there yet."""
    path = WORK / f"{kind}-{size}.ndjson"
    if not path.exists():
        part = path.with_suffix(".part")
        what = ["endpoint"] if kind == "endpoint" else ["records", kind]
        with open(part, "wb") as out:
            command = [TARGET / "release" / "xtask", "generate", *what, "--bytes", size, "--seed", "1"]
            subprocess.run(command, stdout=out, stderr=subprocess.DEVNULL, check=True)
        part.rename(path)
    return path


def bytes_of(size):
    """`1G` as a number."""
    shift = {"K": 10, "M": 20, "G": 30}.get(size[-1].upper())
    return int(size) if shift is None else int(size[:-1]) << shift


def rule_tree(given):
    """The folder of a rule collection, which may be given as an archive."""
    path = pathlib.Path(given)
    if path.is_dir():
        return path
    folder = WORK / "collections" / path.name.split(".")[0]
    if not folder.exists():
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        with tarfile.open(path) as archive:
            archive.extractall(part, filter="data")
        part.rename(folder)
    return folder


def rule_set(name, tree, wanted, number=None):
    """A folder of those rule files of the tree whose text is wanted; of many the `number` that a hash of names picks."""
    folder = WORK / "rules" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    suffixes = {".yml", ".yaml", ".toml"}
    files = [path for path in tree.rglob("*") if path.suffix in suffixes and wanted(path, path.read_text("utf-8"))]
    files.sort(key=lambda path: (zlib.crc32(path.name.encode()), str(path)))
    kept = files[:number]
    if not kept:
        sys.exit(f"{tree} has no {name} rules: is it a checkout of the rules' repository?")
    for position, path in enumerate(kept):
        shutil.copy(path, folder / f"{position:05}-{path.name}")
    return folder, len(kept)


def of_product(*products):
    """Sigma rules whose log source is of these products."""
    pattern = re.compile(r"^\s+product:\s*['\"]?(" + "|".join(products) + r")['\"]?\s*$", re.M)
    folders = ("rules", "rules-emerging-threats", "rules-threat-hunting", "rules-compliance")
    return lambda path, text: any(part in folders for part in path.parts) and bool(pattern.search(text))


def measure(command, output=None, environment=None):
    """Processor seconds, wall seconds, peak memory in MiB and lines of output of one run."""
    begin = time.monotonic()
    target = open(output, "wb") if output else subprocess.PIPE
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(command, stdout=target, stderr=complaints, env=environment)
        lines = 0 if output else sum(1 for _ in process.stdout)
        _, status, usage = os.wait4(process.pid, 0)
        # With rules that do not run, neph ends with 2 after it has run the others.
        if os.waitstatus_to_exitcode(status) not in (0, 2):
            complaints.seek(0)
            said = complaints.read().decode(errors="replace")[-2000:]
            sys.exit(f"failed: {' '.join(map(str, command))}\n{said}")
    return {
        "cpu": usage.ru_utime + usage.ru_stime,
        "wall": time.monotonic() - begin,
        "mib": usage.ru_maxrss / 1024,
        "lines": lines,
    }


def detect(path, threads, *arguments):
    """The command that runs rules, or only parses."""
    return [NEPH, "detect", "--format", "ndjson", "--threads", str(threads), *arguments, path]


def rounds_of(commands, rounds, warm=True):
    """Measures commands in turns (A B C A B C ...): ratios within a round hold when the machine's speed drifts."""
    if warm and commands:
        measure(next(iter(commands.values())))  # once unseen, so that the file is in the page cache
    return [{name: measure(command) for name, command in commands.items()} for _ in range(rounds)]


class Report:
    """Collects the tables of a result file."""

    def __init__(self):
        self.sections = []
        self.failures = []

    def section(self, title, note=""):
        self.sections.append({"title": title, "note": note, "rows": [], "runs": [], "notes": []})

    def ratio(self, what, runs, above, below, bound, figure="cpu", at_least=False):
        """Adds the ratio of two commands, and whether it is within its bound (`None`: no bound)."""
        values = [run[above][figure] / max(run[below][figure], 1e-6) for run in runs]
        self.value(what, values, bound, at_least)

    def value(self, what, values, bound, at_least=False, digits=2):
        middle = statistics.median(values)
        good = bound is None or (middle >= bound if at_least else middle <= bound)
        limit = "" if bound is None else f"{'at least' if at_least else 'at most'} {bound:g}"
        spread = f"{middle:,.{digits}f}"
        if len(values) > 1:
            spread += f" ({min(values):,.{digits}f} to {max(values):,.{digits}f})"
        met = "" if bound is None else "yes" if good else "**no**"
        self.sections[-1]["rows"].append(f"| {what} | {spread} | {limit} | {met} |")
        if not good:
            self.failures.append(f"{self.sections[-1]['title']}: {what}")
        print(f"  {what}: {spread} {limit} {met}", flush=True)

    def runs(self, runs, path=None, events=None):
        """Adds the absolute figures of each command."""
        for name in runs[0]:
            middle = {key: statistics.median(run[name][key] for run in runs) for key in ("cpu", "wall", "mib", "lines")}
            speed = f"{events / middle['cpu'] / 1000:,.0f}" if events else ""
            row = f"| {name} | {middle['cpu']:.2f} | {middle['wall']:.2f} | {middle['mib']:.0f} | {speed} | {middle['lines']:.0f} |"
            self.sections[-1]["runs"].append(row)

    def note(self, text):
        self.sections[-1]["notes"].append(text)
        print(f"  {text}", flush=True)

    def text(self, head):
        lines = [*head]
        for section in self.sections:
            lines += ["", f"## {section['title']}", ""]
            lines += [section["note"], ""] if section["note"] else []
            if section["rows"]:
                lines += ["| what | figure | bound | met |", "| --- | --- | --- | --- |", *section["rows"], ""]
            if section["runs"]:
                lines += ["| run | processor s | wall s | peak MiB | thousand events per processor second | lines of output |"]
                lines += ["| --- | --: | --: | --: | --: | --: |", *section["runs"], ""]
            lines += [f"- {note}" for note in section["notes"]]
        return "\n".join(lines).rstrip() + "\n"


def lines_in(path):
    """Lines of a file."""
    with open(path, "rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def matches_by_rule(path, id_of):
    """How often each rule is in a file of alerts, one a line."""
    counts = collections.Counter()
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.startswith("{"):
                counts[id_of(json.loads(line)) or "?"] += 1
    return counts
