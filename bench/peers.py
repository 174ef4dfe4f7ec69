"""Other tools that run the same rules, where they are installed."""

import os
import pathlib
import shutil
import subprocess
import sys

from measure import BENCH, WORK


def rsigma():
    """The path of rsigma and its version, or nothing."""
    path = os.environ.get("RSIGMA") or shutil.which("rsigma")
    if not path:
        return None
    version = subprocess.run([path, "--version"], capture_output=True, text=True).stdout.splitlines()[0]
    return pathlib.Path(path), version


def rsigma_eval(program, rules, events, routing, pipeline=None):
    """The command that evaluates the rules of a folder, skipping those whose log source is another than the event's."""
    command = [program, "engine", "eval", "-r", rules, "-e", f"@{events}", "--logsource-routing", *routing]
    if pipeline:
        # Its own ones have plain names.
        command += ["-p", BENCH / "pipelines" / pipeline if pipeline.endswith(".yml") else pipeline]
    return command


PYTHON_EQL = r"""
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


def has_python_eql():
    """Whether python-eql and what reads its events are installed."""
    probe = [sys.executable, "-c", "import eql, orjson"]
    return subprocess.run(probe, stderr=subprocess.DEVNULL).returncode == 0


def python_eql(query, events):
    """The command that runs one query with python-eql."""
    script = WORK / "peer.py"
    script.write_text(PYTHON_EQL)
    return [sys.executable, script, query, events]
