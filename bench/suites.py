"""The suites of `run.py`: each makes its corpora and rule sets, measures, and adds a section to the report."""

import json
import re
import shlex
import shutil
import subprocess

import measure
import peers
from measure import BENCH, FLOOR, NEPH, WORK, corpus, detect, lines_in, of_product, rounds_of, rule_set

# Folders of Sigma's repository that hold rules of clouds.
CLOUD = ("aws", "azure", "gcp", "m365", "okta", "github", "bitbucket", "onelogin", "cisco")


def parser(report, options):
    """Parse-only against the bare loops of two parsers over the same files, and what two threads gain."""
    report.section(
        "Parsing alone",
        "`neph detect --parse-only` builds the whole document of every record. Bare loops have the file in memory.",
    )
    for kind in ("sysmon", "linux", "cloudtrail", "endpoint"):
        path = corpus(kind, options.bytes)
        text = subprocess.run([FLOOR, path], capture_output=True, text=True, check=True).stdout
        speed = {}
        for line in text.splitlines()[1:]:
            name = line[:20].strip()
            speed[name] = float(re.search(r"([\d.]+) MB per second of processor", line).group(1))
        fastest = max(speed["sonic-rs"], speed["simd-json"])
        report.value(f"{kind}: parse-only / faster bare loop", [fastest / speed["parse, threads: 1"]], 1.3)
        report.note(f"{kind}: " + ", ".join(f"{name} {value:,.0f} MB/s" for name, value in speed.items()))


def source(report, options, name, kind, rules, ratio, limits, routing, pipeline=None, full=True):
    """All rules of a log source over its events, beside parsing and beside rsigma."""
    folder, number = rules
    path = corpus(kind, options.bytes)
    events = lines_in(path)
    report.section(name, f"{number} rule files, {events:,} events in {path.stat().st_size:,} bytes (`cargo xtask generate records {kind}`).")
    commands = {"parse": detect(path, 1, "--parse-only"), "rules": detect(path, 1, "--rules", folder)}
    if full:
        commands["parse, 2 threads"] = detect(path, 2, "--parse-only")
        commands["rules, 2 threads"] = detect(path, 2, "--rules", folder)
    runs = rounds_of(commands, options.rounds)
    report.ratio("rules / parsing, processor", runs, "rules", "parse", limits)
    if full:
        report.ratio("wall of one thread / of two", runs, "rules", "rules, 2 threads", 1.7, "wall", at_least=True)
    report.runs(runs, events=events)
    if not options.rsigma:
        report.note("rsigma is not installed")
        return
    small = corpus(kind, options.peer_bytes)
    ours, theirs = WORK / "neph.out", WORK / "rsigma.out"
    pairs = []
    for _ in range(options.peer_rounds):
        peer = peers.rsigma_eval(options.rsigma[0], folder, small, routing, pipeline)
        pairs.append({"neph": measure.measure(detect(small, 1, "--rules", folder), ours), "rsigma": measure.measure(peer, theirs)})
    report.ratio("rsigma / neph, processor", pairs, "rsigma", "neph", ratio, at_least=True)
    report.runs(pairs, events=lines_in(small))
    differences(report, ours, theirs)


def differences(report, ours, theirs):
    """Compares how often each rule matched."""
    mine = measure.matches_by_rule(ours, lambda alert: alert.get("kibana.alert.rule.rule_id") or alert.get("rule", {}).get("id"))
    others = measure.matches_by_rule(theirs, lambda match: match.get("rule_id") or match.get("id"))
    unequal = sorted(rule for rule in mine.keys() | others.keys() if mine[rule] != others[rule])
    report.note(f"matches: neph {mine.total():,} of {len(mine)} rules, rsigma {others.total():,} of {len(others)} rules; {len(unequal)} rules differ")
    for rule in unequal[:40]:
        report.note(f"`{rule}`: neph {mine[rule]:,}, rsigma {others[rule]:,}")


def windows(report, options):
    """Windows rules of Sigma over ECS documents of Sysmon."""
    if options.sigma:
        rules = rule_set("windows", options.sigma, of_product("windows"))
        routing = ["--logsource-field-map", "product=labels.product,category=labels.category"]
        source(report, options, "Windows: Sysmon in ECS", "sysmon", rules, 6, 2, routing, "ecs_windows")


def windows_flat(report, options):
    """The same with Sysmon's own names, which rsigma needs no mapping for and neph puts into ECS."""
    if options.sigma:
        rules = rule_set("windows", options.sigma, of_product("windows"))
        routing = ["--logsource-field-map", "product=labels.product,category=labels.category"]
        source(report, options, "Windows: flat Sysmon", "sysmon-flat", rules, 6, None, routing, full=False)


def linux(report, options):
    """Linux rules of Sigma over starts of processes."""
    if options.sigma:
        rules = rule_set("linux", options.sigma, of_product("linux"))
        routing = ["--event-logsource", "product=linux,category=process_creation"]
        source(report, options, "Linux: processes in ECS", "linux", rules, 12, 2, routing, "ecs-linux.yml")


def cloud(report, options):
    """Cloud rules of Sigma over CloudTrail."""
    if options.sigma:
        rules = rule_set("cloud", options.sigma, of_product(*CLOUD))
        routing = ["--event-logsource", "product=aws,service=cloudtrail"]
        source(report, options, "Cloud: CloudTrail", "cloudtrail", rules, 3, 2, routing)


def kubernetes(report, options):
    """Kubernetes rules of Sigma over audit events of its API server."""
    if options.sigma:
        rules = rule_set("kubernetes", options.sigma, of_product("kubernetes"))
        routing = ["--event-logsource", "product=kubernetes"]
        source(report, options, "Kubernetes: audit", "kubernetes-audit", rules, None, 2, routing)


def scale(report, options):
    """What the number of rules costs."""
    if not options.sigma:
        return
    path = corpus("sysmon", options.bytes)
    report.section("Number of rules", "Windows rules of Sigma over Sysmon in ECS; the rules are picked by a hash of their names.")
    commands = {"parse": detect(path, 1, "--parse-only")}
    for number in (1, 100, 300, 3000):
        folder, _ = rule_set(f"windows-{number}", options.sigma, of_product("windows"), number)
        commands[f"{number} rules"] = detect(path, 1, "--rules", folder)
    runs = rounds_of(commands, options.rounds)
    report.ratio("1 rule / parsing", runs, "1 rules", "parse", 1.3)
    report.ratio("100 rules / parsing", runs, "100 rules", "parse", 1.5)
    report.ratio("3,000 rules / 300 rules", runs, "3000 rules", "300 rules", 1.5)
    report.runs(runs, events=lines_in(path))
    tiny = corpus("sysmon", "1K")
    everything, number = rule_set("sigma", options.sigma, lambda path, text: "rules" in path.parts)
    loads = rounds_of({"load": detect(tiny, 1, "--rules", everything)}, options.rounds)
    report.value(f"loading of {number} Sigma rules, wall s", [run["load"]["wall"] for run in loads], 0.3)
    report.value(f"memory with {number} Sigma rules, MiB", [run["load"]["mib"] for run in loads], 80, digits=0)
    if options.elastic:
        both = WORK / "rules" / "both"
        rule_set("both", options.sigma, lambda path, text: path.suffix == ".yml" and any(p.startswith("rules") for p in path.parts))
        more, elastic = rule_set("elastic", options.elastic, lambda path, text: True)
        loads = rounds_of({"load": [*detect(tiny, 1, "--rules", both, "--rules", more)]}, options.rounds)
        total = len(list(both.iterdir())) + elastic
        report.value(f"loading of {total} rules of both, wall s", [run["load"]["wall"] for run in loads], 2)
        report.value(f"memory with {total} rules of both, MiB", [run["load"]["mib"] for run in loads], 300, digits=0)


def events(report, options):
    """Ten times the events must take ten times the time, and no more memory."""
    if not options.sigma:
        return
    size = measure.bytes_of(options.bytes)
    small, large = corpus("sysmon", str(size // 10)), corpus("sysmon", options.bytes)
    folder, number = rule_set("windows", options.sigma, of_product("windows"))
    report.section("Number of events", f"{number} Windows rules of Sigma; the time to load them is taken off.")
    tiny = corpus("sysmon", "1K")
    commands = {name: detect(path, 1, "--rules", folder) for name, path in (("load", tiny), ("tenth", small), ("whole", large))}
    runs = rounds_of(commands, options.rounds)
    growth = [(run["whole"]["cpu"] - run["load"]["cpu"]) / (run["tenth"]["cpu"] - run["load"]["cpu"]) for run in runs]
    report.value("10 times the events: time", growth, 11)
    report.ratio("10 times the events: memory", runs, "whole", "tenth", 1.1, "mib")
    report.runs(runs)


def is_eql(path, text):
    """Elastic's rules in EQL over events of hosts."""
    return path.suffix == ".toml" and "_deprecated" not in path.parts and re.search(r'^language = "eql"', text, re.M)


def eql(report, options):
    """All EQL rules of Elastic together."""
    if not options.elastic:
        return
    folder, number = rule_set("elastic-eql", options.elastic, is_eql)
    path = corpus("endpoint", options.bytes)
    events = lines_in(path)
    report.section("EQL", f"{number} EQL rules of Elastic, sequences among them, over {events:,} events of Linux endpoints.")
    commands = {"parse": detect(path, 1, "--parse-only"), "rules": detect(path, 1, "--rules", folder)}
    runs = rounds_of(commands, options.rounds)
    speed = [events / run["rules"]["cpu"] for run in runs]
    report.value("events per processor second", speed, 50_000, at_least=True, digits=0)
    report.ratio("rules / parsing", runs, "rules", "parse", None)
    report.runs(runs, events=events)


# What the generated hosts run all the time, and what they do not run: most rules are about the latter.
USUAL = ("ls", "grep", "cat", "git", "ps", "curl", "python3.11", "kubectl", "sudo", "vim")
UNUSUAL = ("nc", "socat", "nmap", "xmrig", "chattr", "insmod", "useradd", "at", "gdb", "tcpdump", "strace", "masscan", "hydra", "john", "telnet")


def sequences_of(number, usual):
    """So many sequence rules; of each 100 `usual` are about programs that run all the time, and so have candidates always."""
    folder = WORK / "rules" / f"sequences-{number}-{usual}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    second = (
        '[network where event.action == "connection_attempted" and destination.port == {port}]',
        '[file where event.action == "rename" and file.extension == "{extension}"]',
        '[process where event.type == "start" and process.args : "*{word}*"]',
    )
    for position in range(number):
        names = USUAL if position % 100 < usual else UNUSUAL
        step = second[position % 3].format(
            port=(4444, 6667, 1337, 9001, 31337)[position % 5],
            extension=("enc", "locked", "crypt", "pay")[position % 4],
            word=("token", "secret", "shadow", "passwd")[position % 4] + str(position),
        )
        key = ("process.parent.entity_id", "process.entity_id", "user.id")[position % 3]
        span = (1, 5, 30, 60)[position // 20 % 4]
        query = (
            f"sequence by host.id, {key} with maxspan={span}s\n"
            f'  [process where event.type == "start" and process.name == "{names[position % len(names)]}"]\n  {step}\n'
        )
        (folder / f"{position:03}.eql").write_text(query)
    return folder


def sequences(report, options):
    """Many sequence rules at once."""
    path = corpus("endpoint", options.bytes)
    folder, often = sequences_of(200, 10), sequences_of(200, 100)
    events = lines_in(path)
    report.section(
        "Sequences",
        f"200 sequence rules over {events:,} events of endpoints. Of the first set a tenth, of the second all are about programs that run "
        "all the time: each event then is a candidate of many rules.",
    )
    commands = {
        "parse": detect(path, 1, "--parse-only"),
        "rules": detect(path, 1, "--rules", folder),
        "rules, 2 threads": detect(path, 2, "--rules", folder),
        "often": detect(path, 1, "--rules", often),
        "often, 2 threads": detect(path, 2, "--rules", often),
    }
    if options.elastic:
        is_sequence = lambda path, text: is_eql(path, text) and re.search(r"^\s*sequence\b", text, re.M)
        elastic, number = rule_set("elastic-sequences", options.elastic, is_sequence)
        commands["Elastic's"] = detect(path, 1, "--rules", elastic)
    runs = rounds_of(commands, options.rounds)
    report.ratio("200 sequence rules / parsing", runs, "rules", "parse", 3)
    report.ratio("wall of one thread / of two", runs, "rules", "rules, 2 threads", 1.7, "wall", at_least=True)
    report.ratio("200 whose first steps hold often / parsing", runs, "often", "parse", None)
    report.ratio("often: wall of one thread / of two", runs, "often", "often, 2 threads", 1.7, "wall", at_least=True)
    if options.elastic:
        report.ratio(f"{number} sequence rules of Elastic / parsing", runs, "Elastic's", "parse", 3)
    report.runs(runs, events=events)


def endpoint(report, options):
    """One rule of each kind over endpoint events, beside python-eql."""
    path = corpus("endpoint", options.bytes)
    event, sequence = BENCH / "queries" / "event.eql", BENCH / "queries" / "sequence.eql"
    report.section("One rule over endpoint events")
    runs = rounds_of(
        {
            "parse": detect(path, 1, "--parse-only"),
            "event": detect(path, 1, "--rules", event),
            "sequence": detect(path, 1, "--rules", sequence),
            "parse 2": detect(path, 2, "--parse-only"),
            "event 2": detect(path, 2, "--rules", event),
            "sequence 2": detect(path, 2, "--rules", sequence),
        },
        options.rounds,
    )
    report.ratio("one event rule / parsing", runs, "event", "parse", 1.3)
    report.ratio("one sequence rule / parsing", runs, "sequence", "parse", 2)
    for name in ("event", "sequence"):
        report.ratio(f"{name}: wall of one thread / of two", runs, name, f"{name} 2", 1.7, "wall", at_least=True)
    report.value("peak memory of any run, MiB", [run[name]["mib"] for run in runs for name in run], 200, digits=0)
    report.runs(runs, events=lines_in(path))
    if not peers.has_python_eql():
        report.note("python-eql is not installed")
        return
    small = corpus("endpoint", str(measure.bytes_of(options.peer_bytes) // 20))
    commands = {}
    for name, query in (("event", event), ("sequence", sequence)):
        commands[name] = detect(small, 1, "--rules", query)
        commands[f"peer {name}"] = peers.python_eql(query, small)
    runs = rounds_of(commands, options.peer_rounds)
    report.ratio("event query: python-eql / neph", runs, "peer event", "event", 2, at_least=True)
    report.ratio("sequence: python-eql / neph", runs, "peer sequence", "sequence", 4, at_least=True)
    counts = {name: runs[0][name]["lines"] for name in commands}
    report.note(f"results found over {lines_in(small):,} events: {counts}")


def flood(report, options):
    """Ten million distinct keys into sequence rules: memory stays within what is allowed."""
    folder = WORK / "rules" / "flood"
    folder.mkdir(parents=True, exist_ok=True)
    for position in range(4):
        # Spans so long that nothing passes by itself.
        query = f"sequence by host.id, process.entity_id with maxspan={position + 1}d\n  [process where true]\n  [network where true]\n"
        (folder / f"{position}.eql").write_text(query)
    path = WORK / "flood.ndjson"
    number = 10_000_000 * measure.bytes_of(options.bytes) // (1 << 30)
    limit = 64
    with open(path, "w", encoding="utf-8") as out:
        for position in range(number):
            second, milli = divmod(position, 1000)
            hour, rest = divmod(second, 3600)
            out.write(
                f'{{"@timestamp":"2026-03-{1 + hour // 24:02}T{hour % 24:02}:{rest // 60:02}:{rest % 60:02}.{milli:03}Z",'
                f'"event":{{"category":["process"],"kind":"event","type":["start"]}},"host":{{"id":"h{position}"}},'
                f'"process":{{"args_count":9,"entity_id":"e{position}","name":"ls","parent":{{"entity_id":"p{position}"}}}},"user":{{"id":"u"}}}}\n'
            )
    report.section("A flood of keys", f"{number:,} events, each with join keys of its own, into 4 sequence rules; --memory {limit} MiB.")
    command = [NEPH, "detect", "--format", "json", "--threads", "1", "--rules", folder]
    output = WORK / "flood.out"
    run = measure.measure([*command, "--memory", str(limit), "--rule-memory", str(limit), path], output)
    rules = json.loads(output.read_text())["summary"]["per_rule"]
    run["lines"] = 0
    report.value("peak memory of the process, MiB", [run["mib"]], 2 * limit + 40, digits=0)
    report.runs([{"flood": run}], events=number)
    report.note(f"{sum(rule['candidates'] for rule in rules):,} candidates, {sum(rule['evicted'] for rule in rules):,} forgotten and counted")
    path.unlink()


def large(report, options):
    """Ten times the bytes with the rules of both collections."""
    if not (options.sigma and options.elastic):
        return
    sigma, first = rule_set("both", options.sigma, lambda path, text: path.suffix == ".yml" and any(p.startswith("rules") for p in path.parts))
    elastic, second = rule_set("elastic", options.elastic, lambda path, text: True)
    paths = [corpus(kind, options.bytes) for kind in ("sysmon", "linux", "cloudtrail", "kubernetes-audit", "endpoint")] * 2
    total = sum(path.stat().st_size for path in paths)
    report.section("A large input", f"{first + second} rule files over {total:,} bytes from standard input, two threads.")
    # A file that is named twice is read once, so they come through a pipe.
    command = shlex.join(map(str, detect("-", 2, "--rules", sigma, "--rules", elastic)))
    files = shlex.join(map(str, paths))
    run = measure.measure(["sh", "-c", f"cat {files} | {command}"])
    report.value("peak memory, MiB", [run["mib"]], 1024, digits=0)
    report.runs([{"all rules": run}])
