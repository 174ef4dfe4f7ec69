#!/usr/bin/env python3
"""Holds `neph watch` against a metadata service, container engines and programs that are really there.

    python3 .ci/watch.py [--mode ebpf|audit|connector] [--only WORD] [--flood N]

Everything happens in a network namespace of its own, where a small server answers at 169.254.169.254, and in a control group of its own,
to which the sensor is told to keep: what else runs on the machine is not looked at. Nothing outside of the namespace gets the address.

- `curl`, `wget`, Python, a static program that lives a millisecond and a shell's /dev/tcp, on the host and in containers of Docker and Podman,
  raise the alerts that they must, each once, within a second of the connection, with arguments, parents and container.
- So do `docker ps`, `docker inspect`, `curl` at an engine's socket and `kubectl`. Agents of the shipped lists do not.
- What was recorded gives the same alerts again. A mode that cannot see something says so, and is held to the rest.
- The sensor killed and started again, a sensor that is not read for a while under a flood, a ring that is too small, more programs than its share of the
  processor allows, an engine killed and begun again while containers run, numbers of processes used again, arguments of a megabyte, names that are no UTF-8,
  namespaces that are gone, with `--clock` the clock set forth and back: nothing is lost without being counted exactly, and parents are right.
- `neph serve` with the sensor as a source, and `neph watch --ship` to a service that is killed meanwhile: every event arrives, and counts once.

Needs root. Engines that are not there are left out, and that is said.
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import service
from engines import Docker, engines, sockets
from hardships import clock_is_set, engine_again, flood, limits, lost, named_files, namespaces_gone, numbers_again, odd_things
from service import check, wait_for
from watching import ADDRESS, CONTAINER, CREDENTIALS, FIRST, LISTED, NEPH, RAW, READ, SECRETS, SOCKET, TOKEN, UNASKED, UNUSUAL, Expected, Place, Watch, at

PACKAGES = {"curl": "curl", "wget": "wget", "ip": "iproute2", "busybox": "busybox-static", "gcc": "gcc", "podman": "podman", "dockerd": "docker.io"}


def install():
    missing = [package for program, package in PACKAGES.items() if not shutil.which(program)]
    if not missing:
        return
    for command in (["apt-get", "update", "-q"], ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing]):
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    if done.returncode:
        print(f"  cannot be installed: {' '.join(missing)}: {done.stderr[-300:]}")


# ------------------------------------------------------------------------------------------------------- deeds


def on_the_host(place, watch, sees):
    """Ways to read the metadata service."""
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    ways = [
        ("curl", f"curl -s {SECRETS}", {UNUSUAL, CREDENTIALS, FIRST}, ["curl", SECRETS], ("sh", "dash")),
        ("wget", f"wget -q -O - {SECRETS}", {UNUSUAL, CREDENTIALS, FIRST}, ["wget", SECRETS], ("sh", "dash")),
        ("python", f"{python} -c 'import urllib.request as u; u.urlopen(\"{SECRETS}\").read()'", {UNUSUAL, CREDENTIALS, FIRST}, [SECRETS], ("sh", "dash")),
        ("a static program", f"{place.folder}/reader", {UNUSUAL, FIRST}, ["reader"], ("sh", "dash")),
        ("/dev/tcp", f"bash -c 'exec 3<>/dev/tcp/{ADDRESS}/80; printf \"GET /latest/meta-data/iam/security-credentials/ HTTP/1.0\\r\\n\\r\\n\" >&3; read -r line <&3'", {UNUSUAL, CREDENTIALS, FIRST}, [f"/dev/tcp/{ADDRESS}"], ("sh", "dash")),
    ]
    for name, command, rules, args, parent in ways:
        # Of a program that has ended when it is looked at, such a mode does not know the control group that is looked at here.
        if name == "a static program" and "container" in sees.uncertain:
            continue
        expected = Expected(watch, name, sees.of(rules), args=args, parent=parent)
        # The shell stays, so that it is a parent and not replaced by what it runs.
        code, _, error = place.act(f"{command}\nexit $?")
        check(f"{name} reads the service", code == 0, error.decode()[-400:])
        expected.held()
        # The shell's next second belongs to another deed.
        time.sleep(0.3)


def in_containers(place, watch, sees, engine):
    kind = type(engine).__name__
    name = f"{kind.lower()}-web"
    identity = engine.container(name, "/bin/sh", "-c", "sleep 1; while true; do sleep 1; done")
    time.sleep(0.5)
    mine = (identity, name, "shop")
    ways = [
        ("wget", ["/bin/sh", "-c", f"wget -q -O - {SECRETS}; true"], {UNUSUAL, CONTAINER}, ["wget", SECRETS]),
        ("a static program", ["/bin/sh", "-c", "/tmp/reader; true"], {UNUSUAL, CONTAINER}, ["reader"]),
    ]
    # A program is told of once, so that each engine has one of its own. A name without a folder would be busybox for its shell.
    ways.append(("a token's reader", ["/bin/sh", "-c", f"/opt/{kind}/cat {TOKEN}; true"], {READ}, []))
    for what, command, rules, args in ways:
        if what == "a static program" and sees.is_racy:
            continue
        expected = Expected(watch, f"{what} in a container of {kind}", sees.of(rules), also={CREDENTIALS, FIRST, UNASKED, SOCKET}, args=args, container=mine)
        code, _, error = place.act([*engine.inside(name), *command])
        check(f"{what} in a container of {kind} does it", code == 0, error.decode()[-400:])
        expected.held()
        time.sleep(0.3)
    # An agent that belongs there.
    expected = Expected(watch, f"an agent in a container of {kind}", set(), also={SOCKET})
    code, _, error = place.act([*engine.inside(name), "/opt/datadog-agent/bin/agent"])
    check("the agent reads the service", code == 0, error.decode()[-400:])
    expected.held()


def at_engines(place, watch, sees, engine):
    """Containers looked for, by users who have not done so."""
    docker = shutil.which("docker")
    socket = engine.socket
    shown = engine.container("docker-idle", "/bin/sleep", "60")[:12]
    users = {user: int(number) for user, _, number, *_ in (line.split(":") for line in pathlib.Path("/etc/passwd").read_text().splitlines())}
    deeds = [
        ("docker ps", "games", [docker, "-H", f"unix://{socket}", "ps"], {LISTED}, ["ps"]),
        ("docker inspect", "man", [docker, "-H", f"unix://{socket}", "inspect", shown], {LISTED}, ["inspect", shown]),
        ("curl at the socket", "lp", ["/usr/bin/curl", "-s", "--unix-socket", str(socket), "http://localhost/containers/json"], {RAW, SOCKET}, ["--unix-socket"]),
    ]
    if kubectl := shutil.which("kubectl"):
        deeds.append(("kubectl", "mail", [kubectl, "--server", "http://127.0.0.1:1", "--request-timeout=1s", "get", "pods", "--all-namespaces"], {LISTED}, ["get", "pods"]))
    else:
        # What the rules know of the client is its name and arguments.
        own = place.folder / "kubectl"
        shutil.copy("/bin/true", own)
        deeds.append(("kubectl", "mail", [own, "get", "pods"], {LISTED}, ["get", "pods"]))
    for name, user, command, rules, args in deeds:
        expected = Expected(watch, name, sees.of(rules), also={UNASKED}, args=args)
        place.act(list(map(str, command)), user=users[user], cwd="/")
        expected.held()


def agents(place, watch):
    """Programs of the shipped lists, on the host: a mount namespace of their own shows them where they belong."""
    for socket in ("", f"; cp {shutil.which('true')} /opt/datadog-agent/docker; /opt/datadog-agent/docker ps"):
        expected = Expected(watch, "an agent", set())
        script = f"mount --make-rprivate / && mount -t tmpfs none /opt && mkdir -p /opt/datadog-agent && cp {place.folder}/reader /opt/datadog-agent/agent && /opt/datadog-agent/agent{socket}"
        code, _, error = place.act(["unshare", "--mount", "/bin/sh", "-c", script])
        check("the agent reads the service", code == 0, error.decode()[-400:])
        expected.held()


def files_read(place, watch, sees):
    """Files that hold credentials: such that are looked for in any case, and one that only a rule names."""
    home = place.folder / "home"
    for name in (".aws/credentials", ".config/rclone/rclone.conf", "secrets/kubernetes.io/serviceaccount/token"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("secret")
    for name, command in (
        ("cat reads credentials", f"cat {home}/.aws/credentials >/dev/null"),
        ("head reads what only a rule names, by a relative name", f"cd {home}/.config; head rclone/rclone.conf >/dev/null"),
        ("cp takes a token", f"cp {home}/secrets/kubernetes.io/serviceaccount/token {home}/taken"),
    ):
        expected = Expected(watch, name, sees.of({READ}), parent=("sh", "dash"))
        code, _, error = place.act(f"{command}\nexit $?")
        check(name, code == 0, error.decode()[-400:])
        expected.held()
    expected = Expected(watch, "a client reads credentials", set())
    script = f"mount --make-rprivate / && mount -t tmpfs none /opt && mkdir -p /opt/az/bin && cp $(command -v tail) /opt/az/bin/az && /opt/az/bin/az {home}/.aws/credentials"
    code, _, error = place.act(["unshare", "--mount", "/bin/sh", "-c", script])
    check("a client reads credentials", code == 0, error.decode()[-400:])
    expected.held()


class Sees:
    """What a mode sees, by what the command says of it when it begins."""

    def __init__(self, said):
        # Long lines go on further right.
        said = re.sub(r"\n {6}(?=\S)", " ", said)
        line = next((line for line in said.splitlines() if line.strip().startswith("not seen:")), "")
        self.unseen = {part.strip() for part in line.partition(":")[2].split(",")} - {""}
        line = next((line for line in said.splitlines() if line.strip().startswith("seen only of processes")), "")
        self.uncertain = {part.strip() for part in line.partition(":")[2].split(",")} - {""}
        self.is_racy = bool({"arguments", "executable"} & self.uncertain)
        self.refused = [line.strip() for line in said.splitlines() if line.strip().startswith("not attached:")]

    def of(self, rules):
        without = set()
        if "connections" in self.unseen:
            without |= {UNUSUAL, FIRST, CONTAINER}
        if "files" in self.unseen:
            without |= {READ}
        if "unix sockets" in self.unseen:
            without |= {SOCKET}
        if "container" in self.unseen:
            without |= {CONTAINER}
        return set(rules) - without


def deeds(place, mode, found):
    """Everything that must raise alerts, and what must not, in one run; and the same from its recording."""
    record = place.folder / f"record-{mode}.ndjson"
    watch = Watch(place, "--format", "ndjson", "--record", record, *sockets(found), mode=mode)
    sees = Sees(watch.text())
    for line in sees.refused:
        print(f"  {mode}: {line}")
    if sees.unseen:
        print(f"  {mode}: not seen, and not asked for here: {', '.join(sorted(sees.unseen))}")
    if sees.uncertain:
        print(f"  {mode}: not sure to be seen: {', '.join(sorted(sees.uncertain))}")
    slowly = place.folder / "slowly"
    slowly.touch() if sees.is_racy else slowly.unlink(missing_ok=True)
    check(f"{mode}: nothing is said of what does not concern this host", "degraded" not in watch.text().split("watching")[0], watch.text()[:600])
    on_the_host(place, watch, sees)
    agents(place, watch)
    files_read(place, watch, sees)
    if found and "container" not in sees.unseen | sees.uncertain:
        for engine in found:
            in_containers(place, watch, sees, engine)
    for engine in found:
        if isinstance(engine, Docker):
            at_engines(place, watch, sees, engine)
    alerts, said = watch.end()
    check(f"{mode}: nothing was lost", "nothing lost" in said, said[-600:])
    check(f"{mode}: what rules can find is said", "can find something here" in said, said[:2000])
    again = subprocess.run([NEPH, "detect", "--format", "ndjson", "--source", "ecs", record], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    replayed = [json.loads(line) for line in again.stdout.splitlines()]
    live = sorted({(alert["rule"]["name"], tuple(sorted(event["id"] for step in alert["neph"]["alert"]["steps"] for event in step["events"]))) for alert in alerts})
    later = sorted({(alert["rule"]["name"], tuple(sorted(event["id"] for step in alert["neph"]["alert"]["steps"] for event in step["events"]))) for alert in replayed})
    check(f"{mode}: the recording gives the same alerts", live == later, f"only live {sorted(set(live) - set(later))}\nonly later {sorted(set(later) - set(live))}\n{again.stderr[-500:]}")
    print(f"  {mode}: {len(alerts)} alerts, each once, the slowest after {Expected.slowest:.3f} s; the same from {sum(1 for _ in open(record))} recorded events")


# ------------------------------------------------------------------------------------------------------- services


def served(place, mode):
    """The sensor as a source of the service."""
    folder = place.folder / "serve"
    configuration = f'[sensor]\nenabled = true\nmode = "{mode}"\nhost = "watched"\ncgroup = "{place.group}"\nmemory = "5MiB"\n'
    running = service.Service(folder, configuration, "127.0.0.1:0")
    try:
        wait_for("the sensor of the service", 30, lambda: "the sensor looks at this host" in running.said())
        began = time.time()
        place.act(f"curl -s {SECRETS}\nexit $?")
        rule = "92d4171d-9930-41cf-9a44-98309f4f7122"
        alerts = wait_for("an alert of the service", 20, lambda: running.alerts(rule))
        late = time.time() - began
        check("one alert", len(alerts) == 1, str(len(alerts)))
        streams = running.get("/api/v1/status")
        check("the sensor is a source", "sensor/watched" in json.dumps(streams), json.dumps(streams)[:600])
        status, _, metrics = running.ask("/metrics", running.token)
        check("and counted", status == 200 and 'protocol="sensor"' in metrics, metrics[:400])
        if mode != "connector":
            ledger(place, running, mode)
        running.stop()
    finally:
        if running.process.poll() is None:
            running.process.kill()
    print(f"  {mode}: the service tells of it {late:.2f} s after the deed began")


def ledger(place, running, mode, count=3000):
    """What the service's sensor loses, and when there is none, stands in the ledger; what happens is stored once, whatever happens to the service."""
    nothing = place.folder / "nothing"
    status = lambda: json.loads(subprocess.run([NEPH, "status", "--data", running.data, "--format", "json"], capture_output=True, text=True).stdout)
    programs = lambda: [event.get("_source", event) for event in running.events(f'process where event.action == "exec" and process.executable == "{nothing}"')]
    gaps = lambda word: [gap for gap in status()["gaps"] if word in gap["why"] and gap["stream"] == "sensor/watched"]
    check("the status names the sensor", any(stream["stream"] == "sensor/watched" for stream in status()["sources"]), json.dumps(status())[:600])
    # Nobody reads, until the ring of a mebibyte is full.
    running.process.send_signal(signal.SIGSTOP)
    place.act([place.folder / "flood", str(count), nothing])
    running.process.send_signal(signal.SIGCONT)
    given_up = lambda: sum(gap["records"] for gap in gaps("the sensor lost exec"))
    with contextlib.suppress(RuntimeError):
        wait_for("all programs", 40, lambda: len(programs()) + given_up() >= count)
    seen, missing = len(programs()), given_up()
    check("lost programs are in the ledger, exactly", missing > 0 and seen + missing == count, f"{seen} {missing} of {count}")
    check("the log tells", "the sensor lost something" in running.said())
    # Killed, and started again: what ran meanwhile is known, and nothing stands there twice.
    place.act([nothing, "before"])
    wait_for("what was before", 20, lambda: any(at(event, "process.args") == [str(nothing), "before"] for event in programs()))
    running.stop(signal.SIGKILL)
    early = place.act(["sh", "-c", "sleep 1000; true", "meanwhile"], wait=False)
    running.start()
    wait_for("the sensor again", 30, lambda: running.said().count("the sensor looks at this host") == 2)
    place.act([nothing, "after"])
    wait_for("what was after", 20, lambda: any(at(event, "process.args") == [str(nothing), "after"] for event in programs()))
    attached = [event.get("_source", event) for event in running.events('process where event.action == "already_running" and process.args == "meanwhile"')]
    check("what began meanwhile is known", [at(event, "process.pid") for event in attached] == [early.pid], str(len(attached)))
    told = [at(event, "event.id") for event in programs()]
    check("nothing is stored twice", len(told) == len(set(told)) == seen + 2, f"{len(told)} {len(set(told))} {seen}")
    check("and the time between is a gap", any(gap["kind"] == "service_down" for gap in status()["gaps"]), str([gap["kind"] for gap in status()["gaps"]]))
    children = [int(number) for number in pathlib.Path(f"/proc/{early.pid}/task/{early.pid}/children").read_text().split()]
    early.kill()
    early.wait()
    for number in children:
        os.kill(number, signal.SIGKILL)
    print(f"  {mode}: of {count} programs while the service stood still {seen} stored and {missing} in its ledger; killed and started again, each once, and what began meanwhile is known")


def shipped(place, mode, count=300):
    """Events to another service, which is killed meanwhile; then the one who ships is."""
    authority = service.Certificates(place.folder / "certificates")
    certificate, key = authority.server
    folder = place.folder / "away"
    port = free_port()
    configuration = f'[api]\nlisten = ["127.0.0.1:{port}"]\n[api.tls]\ncertificate = "{certificate}"\nkey = "{key}"\n'
    running = service.Service(folder, configuration, authority=authority.authority)
    nothing = place.folder / "nothing"
    try:
        token = place.folder / "token"
        token.write_text(running.make_token("host", "ingest")["token"] + "\n")
        options = ["--ship", f"https://localhost:{port}", "--token-file", token, "--ca", authority.authority, "--buffer", place.folder / "buffer", "--buffer-size", "64MiB", "--host-name", "shipped"]
        watch = Watch(place, *options, mode=mode)
        act = lambda word: place.act([place.folder / "flood", str(count), nothing], env={**os.environ, "WORD": word})
        act("while it is there")
        running.stop(signal.SIGKILL)
        act("while it is away")
        # What is not in the buffer yet goes with who was to put it there.
        time.sleep(1)
        watch.process.kill()
        watch.end(signal.SIGKILL)
        watch = Watch(place, *options, mode=mode)
        act("after a new start")
        running.start()
        query = f'process where event.action == "exec" and process.executable == "{nothing}"'
        # The service lets its store be read beside it.
        events = lambda: {at(event.get("_source", event), "event.id") or event.get("_id") for event in running.events(query)}
        time.sleep(1)
        deadline = time.monotonic() + 40
        while len(events()) < 3 * count and time.monotonic() < deadline:
            time.sleep(1)
        lines, said = watch.end()
        given_up = lost(said)
        found = len(events())
        # What happened between the killing of the sensor and its new start nobody saw; the floods are outside of it.
        check("every event arrives, and counts once", found + given_up == 3 * count, f"{found} of {3 * count}, lost {given_up}: {said[-600:]}")
        check("under its host's name", "http/host/shipped" in json.dumps(running.get("/api/v1/status")))
        running.stop()
    finally:
        if running.process.poll() is None:
            running.process.kill()
    print(f"  {mode}: {found} of {3 * count} events arrived, over TLS, although both sides were killed")


def free_port():
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        return own.getsockname()[1]


def without_rights():
    """Somebody who may not look is told what is missing."""
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", NEPH, "watch", "--mode", "ebpf"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    check("without rights it ends with an error", done.returncode == 2, f"{done.returncode} {done.stderr[-400:]}")
    check("which says what is missing", "CAP_BPF" in done.stderr and "sudo neph watch" in done.stderr, done.stderr[-600:])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=["ebpf", "audit", "connector"])
    parser.add_argument("--only", default="")
    parser.add_argument("--flood", type=int, default=2000)
    parser.add_argument("--limits", default="1,1000,10", help="percent of a core, programs a second and seconds of the flood beyond it")
    parser.add_argument("--clock", action="store_true", help="set the clock of the machine, too, six times by three seconds for two seconds")
    arguments = parser.parse_args()
    if os.geteuid() != 0 or sys.platform != "linux":
        print("SKIPPED: looking at a host needs Linux and root")
        return 0
    install()
    if not NEPH.exists():
        service.build()
    began = time.monotonic()
    said = subprocess.run([NEPH, "watch", "--check"], stdout=subprocess.PIPE, text=True).stdout
    modes = [arguments.mode] if arguments.mode else ["ebpf", "audit", "connector"]
    working = [mode for mode in modes if f"{mode}: works" in said]
    for mode in modes:
        if mode not in working:
            print(f"  {mode} does not work here: {next((line for line in said.splitlines() if line.startswith(mode)), said)}")
    if not working:
        print("SKIPPED: this kernel lets nobody look")
        return 0
    if not arguments.mode:
        check("this kernel lets programs look or records be read", set(working) & {"ebpf", "audit"}, said)
    wanted = lambda word: arguments.only in word
    with contextlib.ExitStack() as stack:
        place = Place()
        stack.callback(place.end)
        if wanted("rights"):
            without_rights()
        found = engines(place, stack) if any(map(wanted, ("deeds", "engine"))) else []
        for mode in working:
            if wanted("deeds"):
                deeds(place, mode, found)
                for engine in found:
                    for name in ("web", "idle"):
                        engine.remove(f"{type(engine).__name__.lower()}-{name}")
            if wanted("flood") and mode != "connector":
                flood(place, mode, arguments.flood)
            if wanted("limits") and mode == "ebpf":
                limits(place, mode, *map(int, arguments.limits.split(",")))
            if wanted("numbers"):
                numbers_again(place, mode)
            if wanted("namespaces"):
                namespaces_gone(place, mode)
            if arguments.clock and wanted("clock"):
                clock_is_set(place, mode)
        best = working[0]
        if wanted("odd") and best != "connector":
            odd_things(place, best)
        if wanted("named") and best == "ebpf":
            named_files(place, best)
        if wanted("engine") and best == "ebpf":
            engine_again(place, found, best)
        if wanted("serve"):
            served(place, best)
        if wanted("ship") and best != "connector":
            shipped(place, best)
    print(f"{check.count} checks held in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
