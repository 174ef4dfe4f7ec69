#!/usr/bin/env python3
"""Holds `neph watch` against a metadata service, container engines and programs that are really there.

    python3 .ci/watch.py [--mode ebpf|audit|connector] [--only WORD] [--flood N]

Everything happens in a network namespace of its own, where a small server answers at 169.254.169.254, and in a control group of its own,
to which the sensor is told to keep: what else runs on the machine is not looked at. Nothing outside of the namespace gets the address.

- `curl`, `wget`, Python, a static program that lives a millisecond and a shell's /dev/tcp, on the host and in containers of Docker and Podman,
  raise the alerts that they must, each once, within a second of the connection, with arguments, parents and container.
- So do `docker ps`, `docker inspect`, `curl` at an engine's socket and `kubectl`. Agents of the shipped lists do not.
- What was recorded gives the same alerts again. A mode that cannot see something says so, and is held to the rest.
- The sensor killed and started again, a sensor that is not read for a while under a flood, an engine started again, arguments of a megabyte, names that
  are no UTF-8, a namespace that is gone: nothing is lost without being counted, and parents are right.
- `neph serve` with the sensor as a source, and `neph watch --ship` to a service that is killed meanwhile: every event arrives, and counts once.

Needs root. Engines that are not there are left out, and that is said.
"""

import argparse
import contextlib
import ctypes
import datetime
import http.server
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import service
from service import TARGET, run, wait_for

NEPH = service.NEPH = pathlib.Path(os.environ.get("NEPH", service.NEPH))
ADDRESS = "169.254.169.254"
SECRETS = f"http://{ADDRESS}/latest/meta-data/iam/security-credentials/"
PACKAGES = {"curl": "curl", "wget": "wget", "ip": "iproute2", "busybox": "busybox-static", "gcc": "gcc", "podman": "podman", "dockerd": "docker.io"}

UNUSUAL = "Metadata Service Contacted by an Unusual Process"
CREDENTIALS = "Command Line Requests Credentials from the Metadata Service"
FIRST = "Program Contacts the Metadata Service for the First Time on a Host"
CONTAINER = "Container Contacts the Metadata Service for the First Time"
LISTED = "Containers Listed on a Host by a User for the First Time"
UNASKED = "Containers Listed or Inspected by What Has No Business with Them"
RAW = "Container Engine or Kubelet Asked by a Command Without Its Client"
SOCKET = "Program Connects to a Container Engine's Socket for the First Time"
# `-O -` and `>&3` look to it like writing a file.
EXPORTED = "Answer of the Metadata Service Exported"

# A program that asks for the credentials and ends: about a millisecond.
READER = r"""
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>
int main(void) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(80)};
    char answer[64];
    inet_pton(AF_INET, "169.254.169.254", &to.sin_addr);
    int made = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(made, (struct sockaddr *)&to, sizeof to)) return 1;
    static const char ask[] = "GET /latest/meta-data/iam/security-credentials/ HTTP/1.0\r\n\r\n";
    if (write(made, ask, sizeof ask - 1) < 0) return 2;
    return read(made, answer, sizeof answer) > 0 ? 0 : 3;
}
"""

# Starts so many programs, one after the other, that end at once.
FLOOD = r"""
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
extern char **environ;
int main(int count, char **args) {
    char *own[] = {args[2], 0};
    int left = atoi(args[1]), status;
    pid_t child;
    if (count < 3) return 1;
    while (left-- > 0) {
        if (posix_spawn(&child, args[2], 0, 0, own, environ)) return 2;
        waitpid(child, &status, 0);
    }
    return 0;
}
"""


def install():
    missing = [package for program, package in PACKAGES.items() if not shutil.which(program)]
    if not missing:
        return
    for command in (["apt-get", "update", "-q"], ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing]):
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    if done.returncode:
        print(f"  cannot be installed: {' '.join(missing)}: {done.stderr[-300:]}")


def check(what, holds, why=""):
    if not holds:
        raise AssertionError(f"{what}{': ' if why else ''}{why}")
    check.count += 1


check.count = 0


class Handler(http.server.BaseHTTPRequestHandler):
    """Both versions of the service; its credentials are none."""

    def log_message(self, *_):
        pass

    def do_PUT(self):
        self.answer("token")

    def do_GET(self):
        self.answer("web-role\n")

    def answer(self, text):
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


class Place:
    """A network namespace, a control group and a folder, which go when it is over."""

    def __init__(self):
        self.name = f"neph-watch-{os.getpid()}"
        # Anybody may write there, as the rules know; a program that lies there does not belong there.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="neph-watch-", dir="/tmp"))
        self.folder.chmod(0o755)
        hierarchy = next(root for root in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup") if pathlib.Path(root, "cgroup.procs").exists())
        self.group = pathlib.Path(hierarchy, self.name)
        self.group.mkdir()
        run(["ip", "netns", "add", self.name])
        run(["ip", "-n", self.name, "link", "set", "lo", "up"])
        run(["ip", "-n", self.name, "address", "add", f"{ADDRESS}/32", "dev", "lo"])
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.server = subprocess.Popen([sys.executable, __file__, "--serve"], preexec_fn=lambda: self.enter(group=False), stdout=subprocess.PIPE)
        check("the metadata service", self.server.stdout.readline() == b"ready\n")
        for name, text in (("reader", READER), ("flood", FLOOD)):
            source = self.folder / f"{name}.c"
            source.write_text(text)
            run(["gcc", "-static", "-O1", "-o", self.folder / name, source])
        shutil.copy(shutil.which("true"), self.folder / "nothing")

    def enter(self, group=True, namespace=True, user=None):
        """What a child does before it becomes another program."""
        if group:
            (self.group / "cgroup.procs").write_text("0")
        if namespace:
            handle = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
            if self.libc.setns(handle, 0x40000000):
                raise OSError(ctypes.get_errno(), "setns")
            os.close(handle)
        if user is not None:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(user)

    def act(self, command, user=None, wait=True, **options):
        """Runs a command there. A text is a script of a shell, which stands in a file, so that no argument holds it."""
        if isinstance(command, str):
            script = self.folder / "act.sh"
            script.write_text(command + "\n")
            command = ["/bin/sh", script]
        process = subprocess.Popen(command, preexec_fn=lambda: self.enter(user=user), stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, **options)
        if not wait:
            return process
        out, error = process.communicate(timeout=60)
        return process.returncode, out, error

    def end(self):
        for process in [self.server, *Watch.running]:
            process.kill()
            process.wait()
        for _ in range(50):
            # Those of containers have groups of their own below.
            left = [process for file in self.group.rglob("cgroup.procs") for process in file.read_text().split()]
            for process in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(process), signal.SIGKILL)
            if not left:
                break
            time.sleep(0.1)
        for folder in sorted((path for path in self.group.rglob("*") if path.is_dir()), reverse=True):
            with contextlib.suppress(OSError):
                folder.rmdir()
        with contextlib.suppress(OSError):
            self.group.rmdir()
        subprocess.run(["ip", "netns", "delete", self.name], capture_output=True)
        for mount in pathlib.Path("/proc/self/mounts").read_text().splitlines():
            if mount.split()[1].startswith(f"{self.folder}/"):
                subprocess.run(["umount", "-l", mount.split()[1]], capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)


class Watch:
    """`neph watch`, whose lines are taken with the time at which they came."""

    running = []

    def __init__(self, place, *options, mode=None, everywhere=False, ready="watching this host by"):
        self.said = place.folder / f"said-{time.monotonic_ns()}"
        command = [NEPH, "watch", *([] if everywhere else ["--cgroup", place.group]), *options]
        command += [] if mode is None else ["--mode", mode]
        self.lines = []
        with open(self.said, "wb") as said:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said)
        Watch.running.append(self.process)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        wait_for("neph watch", 60, lambda: self.process.poll() is not None or ready in self.text())
        if self.process.poll() is not None:
            raise RuntimeError(self.text())

    def text(self):
        return self.said.read_text(errors="replace")

    def read(self):
        for line in self.process.stdout:
            self.lines.append((time.time(), json.loads(line)))

    def end(self, how=signal.SIGINT):
        """Ends it, and gives all lines and what it said."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(timeout=30)
        self.reader.join(timeout=30)
        if how == signal.SIGINT:
            check("it ends in order", code == 0, f"{code}\n{self.text()[-2000:]}")
        return [line for _, line in self.lines], self.text()


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def events_of(alert):
    """The documents of an alert, in order."""
    return [event["document"] for step in alert["neph"]["alert"]["steps"] for event in step["events"]]


def first(value):
    return value[0] if isinstance(value, list) else value


def at(document, path):
    for key in path.split("."):
        document = (document or {}).get(key) if isinstance(document, dict) else None
    return document


class Expected:
    """What a deed must raise, and what of it must be seen."""

    slowest = 0.0

    def __init__(self, watch, name, rules, also=(), args=(), parent=None, container=None):
        self.watch, self.name, self.rules, self.also = watch, name, set(rules), set(also)
        self.args, self.parent, self.container = args, parent, container
        self.begin = len(watch.lines)

    def came(self):
        return self.watch.lines[self.begin :]

    def held(self):
        """Waits for what must come, and a moment more for what must not."""
        end = time.monotonic() + 5
        while time.monotonic() < end and not self.rules <= {alert["rule"]["name"] for _, alert in self.came()}:
            time.sleep(0.02)
        time.sleep(0.4)
        came = self.came()
        names = sorted(alert["rule"]["name"] for _, alert in came)
        surplus = [name for name in names if name not in self.rules | self.also]
        told = json.dumps([f"{alert['rule']['name']}: {alert['message']}" for _, alert in came], indent=1)
        check(f"{self.name}: alerts that must come", sorted(self.rules) == sorted(name for name in names if name in self.rules), f"{sorted(self.rules)}, but: {told}\n{self.watch.text()[-1500:]}")
        check(f"{self.name}: no others", not surplus, told)
        for arrived, alert in came:
            late = arrived - moment(alert["event"]["end"])
            Expected.slowest = max(Expected.slowest, late)
            check(f"{self.name}: within a second", late <= 1.0, f"{late:.3f} s: {alert['message']}")
            if alert["rule"]["name"] in self.rules:
                self.look(alert)
        return [alert for _, alert in came]

    def look(self, alert):
        documents = events_of(alert)
        told = f"{self.name}: {alert['rule']['name']}: "
        if self.args and alert["rule"]["name"] in (UNUSUAL, CREDENTIALS, LISTED, RAW):
            args = next((at(document, "process.args") or [] for document in documents if at(document, "event.action") == "exec"), [])
            check(told + "arguments", all(any(arg in each for each in args) for arg in self.args), str(args))
        for document in documents:
            if self.parent:
                check(told + "parent", at(document, "process.parent.name") in self.parent, json.dumps(document.get("process"))[:800])
            check(told + "parent's identity", bool(at(document, "process.parent.entity_id")))
            if self.container:
                identity, name, image = self.container
                seen = document.get("container") or {}
                check(told + "container's id", seen.get("id") == identity, json.dumps(seen))
                check(told + "container's name", seen.get("name") == name, json.dumps(seen))
                check(told + "container's image", image in (at(seen, "image.name") or ""), json.dumps(seen))
            else:
                check(told + "no container", not at(document, "container.id"), json.dumps(document.get("container")))


class Engine:
    """An engine with one image, in the place: its containers are in the place's group and namespace."""

    def __init__(self, place):
        self.place = place
        self.folder = place.folder / type(self).__name__
        self.folder.mkdir()
        self.folder.chmod(0o755)

    def start(self):
        root = self.folder / "image"
        (root / "bin").mkdir(parents=True)
        shutil.copy(shutil.which("busybox"), root / "bin" / "busybox")
        for name in ("sh", "wget", "sleep", "true"):
            (root / "bin" / name).symlink_to("busybox")
        for path in ("tmp/reader", "opt/datadog-agent/bin/agent"):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.place.folder / "reader", root / path)
        run(["tar", "-C", root, "-cf", self.folder / "image.tar", "."])
        self.begin()
        run([*self.command, "import", self.folder / "image.tar", "shop:1"])

    def container(self, name, *command):
        """Runs a command in a new container in the background; gives its id."""
        cgroup = f"/{self.place.name}"
        options = ["--detach", "--network", "host", "--cgroup-parent", cgroup, "--name", name]
        code, out, error = self.place.act([*self.command, "run", *options, "shop:1", *command])
        check(f"{type(self).__name__}: a container", code == 0, error.decode()[-800:])
        return out.decode().strip()

    def end(self):
        self.daemon.terminate()
        try:
            self.daemon.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()


class Docker(Engine):
    def __init__(self, place):
        super().__init__(place)
        self.socket = self.folder / "docker.sock"
        self.command = ["docker", "-H", f"unix://{self.socket}"]

    def begin(self):
        command = ["dockerd", "--data-root", self.folder / "data", "--exec-root", self.folder / "exec", "-H", f"unix://{self.socket}"]
        command += ["--bridge", "none", "--iptables=false", "--pidfile", self.folder / "pid", "--storage-driver", "vfs"]
        with open(self.folder / "log", "ab") as log:
            self.daemon = subprocess.Popen(command, preexec_fn=lambda: self.place.enter(group=False), stdout=log, stderr=log)
        ready = lambda: subprocess.run([*self.command, "version"], capture_output=True).returncode == 0
        wait_for("dockerd", 60, ready)
        self.socket.chmod(0o666)


class Podman(Engine):
    def __init__(self, place):
        super().__init__(place)
        self.socket = self.folder / "podman.sock"
        settings = self.folder / "containers.conf"
        settings.write_text('[containers]\ndefault_ulimits=["nofile=10000:10000","nproc=10000:10000"]\n[engine]\nruntime="runc"\ncgroup_manager="cgroupfs"\nevents_logger="file"\n')
        os.environ["CONTAINERS_CONF"] = str(settings)
        self.command = ["podman", "--root", self.folder / "root", "--runroot", self.folder / "run", "--storage-driver", "vfs"]

    def begin(self):
        command = [*self.command, "system", "service", "--time=0", f"unix://{self.socket}"]
        with open(self.folder / "log", "ab") as log:
            self.daemon = subprocess.Popen(command, preexec_fn=lambda: self.place.enter(group=False), stdout=log, stderr=log)
        wait_for("podman", 30, self.socket.exists)
        self.socket.chmod(0o666)


def engines(place, stack):
    found = []
    for kind, program in ((Docker, "dockerd"), (Podman, "podman")):
        if not shutil.which(program):
            print(f"  SKIPPED: there is no {program} here")
            continue
        engine = kind(place)
        try:
            engine.start()
        except (RuntimeError, AssertionError) as error:
            log = (engine.folder / "log").read_text(errors="replace")[-600:] if (engine.folder / "log").exists() else ""
            print(f"  SKIPPED: {program} does not run here: {str(error)[-400:]} {log}")
            continue
        stack.callback(engine.end)
        found.append(engine)
    return found


def sockets(found):
    return [option for engine in found for option in ("--engine-socket", str(engine.socket))]


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
        expected = Expected(watch, name, sees.of(rules), also={EXPORTED}, args=args, parent=parent)
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
    engine_exec = [*engine.command, "exec", name]
    ways = [
        ("wget", ["/bin/sh", "-c", f"wget -q -O - {SECRETS}; true"], {UNUSUAL, CONTAINER}, ["wget", SECRETS]),
        ("a static program", ["/bin/sh", "-c", "/tmp/reader; true"], {UNUSUAL, CONTAINER}, ["reader"]),
    ]
    for what, command, rules, args in ways:
        if what == "a static program" and sees.is_racy:
            continue
        expected = Expected(watch, f"{what} in a container of {kind}", sees.of(rules), also={CREDENTIALS, EXPORTED, FIRST, UNASKED, SOCKET}, args=args, container=mine)
        code, _, error = place.act([*engine_exec, *command])
        check(f"{what} in a container of {kind} reads the service", code == 0, error.decode()[-400:])
        expected.held()
        time.sleep(0.3)
    # An agent that belongs there.
    expected = Expected(watch, f"an agent in a container of {kind}", set(), also={SOCKET})
    code, _, error = place.act([*engine_exec, "/opt/datadog-agent/bin/agent"])
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


class Sees:
    """What a mode sees, by what the command says of it when it begins."""

    def __init__(self, said):
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
    on_the_host(place, watch, sees)
    agents(place, watch)
    if found and "container" not in sees.unseen | sees.uncertain:
        for engine in found:
            in_containers(place, watch, sees, engine)
    for engine in found:
        if isinstance(engine, Docker):
            at_engines(place, watch, sees, engine)
    alerts, said = watch.end()
    check(f"{mode}: nothing was lost", "nothing lost" in said, said[-600:])
    again = subprocess.run([NEPH, "detect", "--format", "ndjson", "--source", "ecs", record], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    replayed = [json.loads(line) for line in again.stdout.splitlines()]
    live = sorted({(alert["rule"]["name"], tuple(sorted(event["id"] for step in alert["neph"]["alert"]["steps"] for event in step["events"]))) for alert in alerts})
    later = sorted({(alert["rule"]["name"], tuple(sorted(event["id"] for step in alert["neph"]["alert"]["steps"] for event in step["events"]))) for alert in replayed})
    check(f"{mode}: the recording gives the same alerts", live == later, f"only live {sorted(set(live) - set(later))}\nonly later {sorted(set(later) - set(live))}\n{again.stderr[-500:]}")
    print(f"  {mode}: {len(alerts)} alerts, each once, the slowest after {Expected.slowest:.3f} s; the same from {sum(1 for _ in open(record))} recorded events")


# ------------------------------------------------------------------------------------------------------- robustness


def execs(lines, path):
    return [line for line in lines if at(line, "event.action") == "exec" and at(line, "process.executable") == str(path)]


def lost(said, of="exec"):
    """What the command says at its end that it lost of a class; without a bound where the kernel told that it lost something, and not how much."""
    total = 0
    for line in said.splitlines():
        if "lost (" in line:
            for part in line.split(": ")[-1].split(", "):
                count, kind = part.split()[:2]
                total += int(count.replace(",", "")) if kind == of else float("inf") if kind == "unknown" else 0
    return total


def flood(place, mode, count):
    """So many programs that live a millisecond, and as many while nobody reads: each is seen, or counted as lost."""
    nothing = place.folder / "nothing"
    # Only programs in the kernel know for sure in which control group a program was that has ended.
    everywhere = mode != "ebpf"
    watch = Watch(place, "--events", mode=mode, everywhere=everywhere)
    began = time.monotonic()
    code, _, error = place.act([place.folder / "flood", str(count), nothing])
    check("the flood", code == 0, error.decode())
    rate = count / (time.monotonic() - began)
    # All that is still on its way comes within this.
    time.sleep(1.5)
    lines, said = watch.end()
    seen = len({at(line, "process.entity_id") for line in execs(lines, nothing)})
    check(f"{mode}: all of {count} programs are seen or counted", seen + lost(said) >= count, f"{seen} seen, {lost(said)} lost\n{said[-600:]}")
    check(f"{mode}: none is told twice", len(execs(lines, nothing)) == seen)
    parents = {at(line, "process.parent.name") for line in execs(lines, nothing)}
    check(f"{mode}: parents", parents <= {"flood"}, str(parents))
    text = f"  {mode}: {count} programs at {rate:,.0f}/s: {seen} seen, {lost(said)} counted as lost"
    watch = Watch(place, "--events", mode=mode, everywhere=everywhere)
    watch.process.send_signal(signal.SIGSTOP)
    code, _, error = place.act([place.folder / "flood", str(count), nothing])
    time.sleep(0.5)
    watch.process.send_signal(signal.SIGCONT)
    time.sleep(2)
    lines, said = watch.end()
    seen = len({at(line, "process.entity_id") for line in execs(lines, nothing)})
    check(f"{mode}: all of {count} programs are seen or counted while nobody reads", seen + lost(said) >= count, f"{seen} seen, {lost(said)} lost\n{said[-600:]}")
    print(f"{text}; while nobody reads {seen} and {lost(said)}")


def odd_things(place, mode):
    """Arguments of a megabyte, names that are no UTF-8, a namespace that is gone, a sensor that was killed."""
    nothing = place.folder / "nothing"
    odd = os.fsencode(place.folder) + b"/na\xff\xfeme"
    shutil.copy(nothing, odd)
    # It runs before the sensor does, and asks after it was killed and started anew.
    early = place.act("sleep 1000 & echo ready; read line; " + f"curl -s {SECRETS}; true", wait=False)
    early.stdin = None
    watch = Watch(place, "--events", mode=mode)
    for _ in range(8):
        place.act([str(nothing), *["x" * 130000] * 8])
    place.act([odd, b"\xff\xfe\xfd", "é"])
    place.act(["unshare", "--net", "--mount", "--pid", "--fork", str(nothing), "gone"])
    time.sleep(1)
    watch.process.kill()
    lines, _ = watch.end(signal.SIGKILL)
    documents = execs(lines, nothing)
    long = [line for line in documents if any(len(arg) > 1000 for arg in at(line, "process.args") or [])]
    check(f"{mode}: long arguments", len(long) == 8, str(len(long)))
    check(f"{mode}: how many there were", all(at(line, "process.args_count") == 9 for line in long), str([at(line, "process.args_count") for line in long]))
    strange = [line for line in lines if "na" in (at(line, "process.name") or "") and at(line, "event.action") == "exec" and "me" in at(line, "process.name")]
    check(f"{mode}: a name that is no UTF-8", len(strange) == 1, str([at(line, "process.name") for line in lines][:40]))
    check(f"{mode}: a namespace that is gone", any("gone" in (at(line, "process.args") or []) for line in documents))
    watch = Watch(place, "--events", mode=mode)
    code, _, _ = place.act(f"curl -s {SECRETS}; true")
    time.sleep(1)
    early.kill()
    early.wait()
    lines, said = watch.end()
    curl = [line for line in lines if at(line, "process.name") == "curl" and at(line, "event.action") == "exec"]
    check(f"{mode}: seen again after the sensor was killed", len(curl) == 1, str(len(curl)))
    check(f"{mode}: its parent", at(curl[0], "process.parent.name") in ("sh", "dash") and at(curl[0], "process.parent.pid"), json.dumps(curl[0].get("process"))[:800])
    attached = [line for line in lines if at(line, "process.args") == ["sleep", "1000"]]
    check(f"{mode}: what ran before is known", len(attached) >= 1)
    print(f"  {mode}: odd arguments, names and namespaces are seen; killed and started again, parents are right")


def engine_again(place, found, mode):
    """An engine that is started again is asked again."""
    for engine in found:
        if not isinstance(engine, Docker):
            continue
        watch = Watch(place, "--events", *sockets([engine]), mode=mode)
        engine.end()
        engine.begin()
        time.sleep(1)
        identity = engine.container("again", "/bin/sh", "-c", "sleep 1; /bin/true; sleep 2")
        time.sleep(2.5)
        lines, _ = watch.end()
        mine = [line for line in lines if at(line, "container.id") == identity and at(line, "process.name") == "true"]
        check("a container of an engine that was started again", mine and all(at(line, "container.name") == "again" for line in mine), json.dumps([line.get("container") for line in mine]))
        print(f"  {mode}: an engine that was started again is known")


# ------------------------------------------------------------------------------------------------------- services


def served(place, mode):
    """The sensor as a source of the service."""
    folder = place.folder / "serve"
    configuration = f'[sensor]\nenabled = true\nmode = "{mode}"\nhost = "watched"\ncgroup = "{place.group}"\n'
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
        running.stop()
    finally:
        if running.process.poll() is None:
            running.process.kill()
    print(f"  {mode}: the service tells of it {late:.2f} s after the deed began")


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
    import socket

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
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--mode", choices=["ebpf", "audit", "connector"])
    parser.add_argument("--only", default="")
    parser.add_argument("--flood", type=int, default=2000)
    arguments = parser.parse_args()
    if arguments.serve:
        server = http.server.ThreadingHTTPServer((ADDRESS, 80), Handler)
        # Clients that do not wait for the answer.
        server.handle_error = lambda *_: None
        print("ready", flush=True)
        server.serve_forever()
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
                        subprocess.run([*engine.command, "rm", "--force", f"{type(engine).__name__.lower()}-{name}"], capture_output=True)
            if wanted("flood") and mode != "connector":
                flood(place, mode, arguments.flood)
        best = working[0]
        if wanted("odd") and best != "connector":
            odd_things(place, best)
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
