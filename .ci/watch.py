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
import ctypes
import datetime
import hashlib
import http.server
import json
import os
import pathlib
import re
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
READ = "Credentials of a Cloud or Cluster Read by a Program for the First Time"
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"

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


# Programs that get the same number one after the other, and each of which starts another: each a tick of the kernel's clock after the last.
REUSE = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int count, char **args) {
    int status;
    pid_t number = 0;
    if (count > 2) {
        char *own[] = {args[0], "grandchild", args[2], 0};
        usleep(20000);
        if (strcmp(args[1], "child")) return 0;
        if (vfork() == 0) { execv("/proc/self/exe", own); _exit(127); }
        wait(&status);
        return status;
    }
    for (int turn = 0, tries = 0; turn < atoi(args[1]); ) {
        struct clone_args how = {.exit_signal = SIGCHLD, .set_tid = number ? (uintptr_t)&number : 0, .set_tid_size = number != 0};
        pid_t child = syscall(SYS_clone3, &how, sizeof how);
        if (child < 0 && errno == EEXIST && tries++ < 200) { usleep(10000); continue; }
        if (child < 0) return 3;
        if (child == 0) {
            char text[12];
            char *own[] = {args[0], "child", text, 0};
            snprintf(text, sizeof text, "%d", turn);
            execv("/proc/self/exe", own);
            _exit(127);
        }
        number = child;
        waitpid(child, &status, 0);
        usleep(30000);
        turn++;
    }
    printf("%d\n", number);
    return 0;
}
"""


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
        # Programs that ask then run long enough for ways that must look at them while they run.
        if (self.folder / "slowly").exists():
            time.sleep(0.3)
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
        self.server = subprocess.Popen([sys.executable, __file__, "--serve", self.folder], preexec_fn=lambda: self.enter(group=False), stdout=subprocess.PIPE)
        check("the metadata service", self.server.stdout.readline() == b"ready\n")
        for name, text in (("reader", READER), ("flood", FLOOD), ("reuse", REUSE)):
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
        # Engines make groups of the same name in every hierarchy.
        for group in {self.group, *pathlib.Path("/sys/fs/cgroup").glob(f"*/{self.name}"), *pathlib.Path("/sys/fs/cgroup").glob(f"*/*/*/{self.name}")}:
            for folder in sorted((group, *(path for path in group.rglob("*") if path.is_dir())), reverse=True):
                with contextlib.suppress(OSError):
                    folder.rmdir()
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
        own = root / "opt" / type(self).__name__
        own.mkdir()
        shutil.copy(root / "bin" / "busybox", own / "cat")
        (root / TOKEN[1:]).parent.mkdir(parents=True)
        (root / TOKEN[1:]).write_text("token")
        run(["tar", "-C", root, "-cf", self.folder / "image.tar", "."])
        self.begin()
        self.take(self.folder / "image.tar")

    def take(self, layer):
        run([*self.command, "import", layer, "shop:1"])

    def container(self, name, *command):
        """Runs a command in a new container in the background; gives its id."""
        cgroup = f"/{self.place.name}"
        options = ["--detach", "--network", "host", "--cgroup-parent", cgroup, "--name", name]
        code, out, error = self.place.act([*self.command, "run", *options, "shop:1", *command])
        check(f"{type(self).__name__}: a container", code == 0, error.decode()[-800:])
        return out.decode().strip()

    def inside(self, name):
        """What runs a command in a container."""
        return [*self.command, "exec", name]

    def remove(self, name):
        subprocess.run([*self.command, "rm", "--force", name], capture_output=True)

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
        command += ["--bridge", "none", "--iptables=false", "--live-restore", "--pidfile", self.folder / "pid", "--storage-driver", "vfs"]
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

    def remove(self, name):
        subprocess.run([*self.command, "rm", "--force", "--time", "0", name], capture_output=True)


class Containerd(Engine):
    def __init__(self, place):
        super().__init__(place)
        self.socket = self.folder / "containerd.sock"
        self.made = []
        self.command = ["ctr", "--address", self.socket]
        folder = self.folder
        (folder / "config.toml").write_text(
            f'version = 2\nroot = "{folder}/root"\nstate = "{folder}/state"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\n  address = "{self.socket}"\n[ttrpc]\n  address = "{folder}/ttrpc.sock"\n'
        )

    def begin(self):
        with open(self.folder / "log", "ab") as log:
            self.daemon = subprocess.Popen(["containerd", "--config", self.folder / "config.toml"], preexec_fn=lambda: self.place.enter(group=False), stdout=log, stderr=log)
        wait_for("containerd", 60, lambda: subprocess.run([*self.command, "version"], capture_output=True).returncode == 0)

    def take(self, layer):
        """Takes the image, packed as `docker save` does."""
        digest = lambda content: hashlib.sha256(content).hexdigest()
        settings = {"architecture": "arm64" if os.uname().machine == "aarch64" else "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest(layer.read_bytes())}"]}}
        settings = json.dumps(settings).encode()
        (self.folder / "config.json").write_bytes(settings)
        manifest = [{"Config": "config.json", "RepoTags": ["localhost/containerd/shop:1"], "Layers": [layer.name]}]
        (self.folder / "manifest.json").write_text(json.dumps(manifest))
        run(["tar", "-C", self.folder, "-cf", self.folder / "archive.tar", layer.name, "config.json", "manifest.json"])
        run([*self.command, "images", "import", "--snapshotter", "native", self.folder / "archive.tar"])

    def identity(self, name):
        return hashlib.sha256(name.encode()).hexdigest()

    def container(self, name, *command):
        identity = self.identity(name)
        self.made.append(name)
        options = ["--detach", "--snapshotter", "native", "--runc-root", self.folder / "runc", "--net-host", "--cgroup", f"/{self.place.name}/{identity}", "--label", f"nerdctl/name={name}"]
        code, _, error = self.place.act([*self.command, "run", *options, "localhost/containerd/shop:1", identity, *command])
        check("Containerd: a container", code == 0, error.decode()[-800:])
        return identity

    def inside(self, name):
        return [*self.command, "tasks", "exec", "--exec-id", f"exec-{time.monotonic_ns()}", self.identity(name)]

    def remove(self, name):
        subprocess.run([*self.command, "tasks", "rm", "--force", self.identity(name)], capture_output=True)
        subprocess.run([*self.command, "containers", "rm", self.identity(name)], capture_output=True)

    def end(self):
        # They would run on without the daemon.
        while self.made:
            self.remove(self.made.pop())
        super().end()


def engines(place, stack):
    found = []
    for kind, program in ((Docker, "dockerd"), (Podman, "podman"), (Containerd, "containerd")):
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
    if mode == "ebpf":
        overflowing(place, mode, count)


def told_lost(lines):
    """What documents say was lost, by class and cause."""
    sums = {}
    for line in lines:
        if at(line, "event.action") == "sensor_lost":
            told = at(line, "neph.sensor.lost")
            key = (told["class"], told["cause"])
            sums[key] = sums.get(key, 0) + told["count"]
    return sums


def said_lost(said):
    """The same as the command says it at its end."""
    sums = {}
    for line in said.splitlines():
        if "lost (" in line:
            cause = line.partition("(")[2].partition(")")[0]
            for part in line.split(": ")[-1].split(", "):
                count, kind = part.split()[:2]
                sums[kind, cause] = int(count.replace(",", ""))
    return sums


def overflowing(place, mode, count):
    """A ring that is too small for what comes while nobody reads: what is lost is counted exactly, and told in documents and at the end."""
    nothing = place.folder / "nothing"
    watch = Watch(place, "--events", "--sensor-memory", "5", mode=mode)
    watch.process.send_signal(signal.SIGSTOP)
    code, _, error = place.act([place.folder / "flood", str(2 * count), nothing])
    check("the flood", code == 0, error.decode())
    watch.process.send_signal(signal.SIGCONT)
    time.sleep(2)
    lines, said = watch.end()
    documents, end = told_lost(lines), said_lost(said)
    check(f"{mode}: the documents say what the end says", documents == end, f"{documents} {end}")
    given_up = sum(number for (kind, _), number in end.items() if kind == "exec")
    seen = len({at(line, "process.entity_id") for line in execs(lines, nothing)})
    check(f"{mode}: something was lost", given_up > 0, said[-600:])
    check(f"{mode}: exactly as many programs as are missing", seen + given_up == 2 * count, f"{seen} and {given_up} of {2 * count}")
    gone = sum(number for (kind, _), number in end.items() if kind == "exit")
    check(f"{mode}: ends are given up before programs are", gone > given_up, f"{end}")
    print(f"  {mode}: a ring of 1 MiB flooded while nobody reads: of {2 * count} programs {seen} seen and {given_up} lost, ends given up before; documents say the same")


def limits(place, mode, percent, rate, seconds):
    """More programs a second than the sensor may work on: it keeps to its share of the processor and its memory, gives up by class, and counts."""
    nothing = place.folder / "nothing"
    watch = Watch(place, "--events", "--sensor-cpu", str(percent), mode=mode)
    stat = pathlib.Path(f"/proc/{watch.process.pid}/stat")
    used = lambda: sum(map(int, stat.read_text().rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")
    before, began = used(), time.monotonic()
    count = rate * seconds // 4
    floods = [place.act([place.folder / "flood", str(count), nothing], wait=False) for _ in range(4)]
    for flood in floods:
        check("the flood", flood.wait(timeout=20 * seconds + 120) == 0)
    took = time.monotonic() - began
    time.sleep(2)
    # Also what was left when it began is the sensor's, and what it had saved up in the minute before.
    share, most = used() - before, percent / 100 * (60 + time.monotonic() - began)
    status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{watch.process.pid}/status").read_text().splitlines())
    # Pages of the program itself are no memory that is taken.
    memory = (int(status["VmHWM"].split()[0]) - int(status["RssFile"].split()[0])) / 1024
    lines, said = watch.end()
    total = 4 * count
    seen = len({at(line, "process.entity_id") for line in execs(lines, nothing)})
    sums = said_lost(said)
    of = lambda word: sum(number for (kind, _), number in sums.items() if kind == word)
    print(f"  {mode}: {total} programs in {took:.0f} s, {total / took:,.0f} a second, {percent} % of a core allowed: used {share:.2f} s of {most:.2f} s, at most {memory:.0f} MiB; {seen} programs told, given up: {sums}")
    check(f"{mode}: its share of the processor", share <= most * 1.1 + 0.3, f"{share:.2f} s of {most:.2f} s")
    check(f"{mode}: its memory", memory <= 80 * 1.25, f"{memory:.0f} MiB")
    check(f"{mode}: every program is told or counted", seen + of("exec") == total, f"{seen} {of('exec')} of {total}")
    check(f"{mode}: documents say what the end says", told_lost(lines) == sums, f"{told_lost(lines)} {sums}")
    # When nothing at all can be afforded, all go; those who make the flood are among the forks that are told.
    check(f"{mode}: by class", of("exit") >= of("exec") and of("fork") + 100 >= of("exec"), str(sums))


def numbers_again(place, mode, times=4):
    """Processes that have the same number one after the other; also where nobody reads meanwhile, so that the end of the first is seen late."""
    everywhere = mode != "ebpf"
    reuse = place.folder / "reuse"
    for late in (False, True):
        watch = Watch(place, "--events", mode=mode, everywhere=everywhere)
        if late:
            watch.process.send_signal(signal.SIGSTOP)
        process = place.act([reuse, str(times)], wait=False)
        out, error = process.communicate(timeout=60)
        check("numbers are used again", process.returncode == 0, f"{process.returncode} {error.decode()}")
        number = int(out)
        if late:
            watch.process.send_signal(signal.SIGCONT)
        time.sleep(1.5)
        lines, said = watch.end()
        what = f"{mode}{', read late' if late else ''}: "
        check(what + "nothing is lost", "nothing lost" in said, said[-600:])
        mine = [line for line in lines if at(line, "process.pid") == number]
        programs = [line for line in mine if at(line, "event.action") == "exec"]
        entities = [at(line, "process.entity_id") for line in programs]
        check(what + "each has an id of its own", len(set(entities)) == len(entities) == times, str(entities))
        parents = {at(line, "process.parent.pid") for line in programs}
        check(what + "who made them", parents == {process.pid}, f"{parents} {process.pid}")
        ends = [at(line, "process.entity_id") for line in mine if at(line, "event.action") == "end"]
        check(what + "each ends once", sorted(ends) == sorted(entities), f"{ends} {entities}")
        children = [line for line in lines if at(line, "process.parent.pid") == number and at(line, "event.action") == "exec"]
        check(what + "each has its child", sorted(at(line, "process.parent.entity_id") for line in children) == sorted(entities), f"{len(children)}")
        if not (late and mode == "connector"):
            turns = {at(line, "process.entity_id"): at(line, "process.args") for line in programs}
            right = [(turns[at(line, "process.parent.entity_id")][2], at(line, "process.args")[2]) for line in children]
            check(what + "and no other's", sorted(right) == [(str(turn), str(turn)) for turn in range(times)], str(right))
    print(f"  {mode}: {times} processes of the same number are told apart, with their parents, children and ends, also when they are read late")


STEPS = """
[metadata]
creation_date = "2026/11/22"
maturity = "production"
updated_date = "2026/11/22"

[rule]
author = ["Nephoscope"]
description = "Two programs in a folder, one after the other."
index = ["logs-endpoint.events.process-*"]
language = "eql"
license = "Apache-2.0"
name = "One after the Other"
risk_score = 21
rule_id = "5a2b0c70-54e5-4a49-a5d8-5a3d9a1c1f10"
severity = "low"
type = "eql"
query = '''
sequence by process.working_directory with maxspan=2s
  [process where event.action == "exec" and process.args == "step-begin"]
  [process where event.action == "exec" and process.args == "step-end"]
'''
"""


def clock_is_set(place, mode):
    """Somebody sets the clock of the machine by three seconds, and back after two."""
    rules = place.folder / "steps"
    rules.mkdir(exist_ok=True)
    (rules / "steps.toml").write_text(STEPS)
    # What a program must run for to be seen by those who look at it a moment later.
    act = lambda word, name: place.act(["sh", "-c", "sleep 0.05", word], cwd=place.folder / name)
    for step in (3, -3):
        record = place.folder / f"steps-{mode}-{step}.ndjson"
        watch = Watch(place, "--rules", rules, "--format", "ndjson", "--record", record, mode=mode)
        real = time.time() - time.monotonic()
        moments = {}
        for name in ("there", "back", "far"):
            (place.folder / name).mkdir(exist_ok=True)

        def mark(word, name):
            moments[word, name] = time.monotonic() + real
            act(word, name)

        stays = place.act(["sh", "-c", "sleep 4", "stays"], wait=False)
        time.sleep(0.3)
        mark("step-begin", "there")
        mark("step-begin", "far")
        setter = subprocess.Popen([sys.executable, __file__, "--step", str(step)], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        check("the clock is set", setter.stdout.readline() == b"set\n")
        mark("step-end", "there")
        time.sleep(1.2)
        mark("step-begin", "back")
        check("and set back", setter.wait(timeout=10) == 0 and abs(time.time() - time.monotonic() - real) < 0.2)
        mark("step-end", "back")
        time.sleep(0.5)
        mark("step-end", "far")
        stays.wait(timeout=10)
        time.sleep(1.5)
        alerts, said = watch.end()
        what = f"{mode}, {step:+} s: "
        check(what + "nothing is lost", "nothing lost" in said, said[-600:])
        lines = sorted((json.loads(line) for line in open(record)), key=lambda line: at(line, "event.sequence"))
        mine = [line for line in lines if at(line, "event.action") == "exec" and (at(line, "process.args") or [""])[-1].startswith("step-")]
        told = [((at(line, "process.args"))[-1], pathlib.Path(at(line, "process.working_directory")).name) for line in mine]
        check(what + "each once, in order", told == list(moments), str(told))
        times = [moment(at(line, "@timestamp")) for line in mine]
        check(what + "times in order", times == sorted(times), str(times))
        wrong = max(abs(time - real) for time, real in zip(times, moments.values()))
        check(what + "times are right", wrong < 0.5, f"{wrong:.3f} s")
        found = sorted(pathlib.Path(at(events_of(alert)[0], "process.working_directory")).name for alert in alerts)
        check(what + "what is near to each other is, and nothing else", found == ["back", "there"], str(found))
        of_it = [line for line in lines if at(line, "process.pid") == stays.pid and at(line, "event.action") in ("exec", "end")]
        check(what + "who ran meanwhile stays the same", len(of_it) == 2 and len({at(line, "process.entity_id") for line in of_it}) == 1, str(len(of_it)))
        print(f"  {mode}: the clock set by {step:+} s and back: times in order and {wrong:.2f} s off at most, sequences hold")


def set_clock(seconds):
    """Sets the clock, and back after two seconds, whatever happens meanwhile: a second process does so where the first cannot."""
    apart = time.time() - time.monotonic()
    back = lambda: time.clock_settime(time.CLOCK_REALTIME, time.monotonic() + apart)
    if os.fork() == 0:
        os.setsid()
        with open(os.devnull, "r+b") as nowhere:
            for descriptor in range(3):
                os.dup2(nowhere.fileno(), descriptor)
        time.sleep(2.7)
        if abs(time.time() - time.monotonic() - apart) > 0.5:
            back()
        os._exit(0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    try:
        time.clock_settime(time.CLOCK_REALTIME, time.time() + seconds)
        print("set", flush=True)
        time.sleep(2)
    finally:
        back()
    return 0


def namespaces_gone(place, mode):
    """Processes in namespaces of their own, of which nothing is left when they are told of."""
    everywhere = mode != "ebpf"
    watch = Watch(place, "--events", mode=mode, everywhere=everywhere)
    nothing = place.folder / "nothing"
    for late in (False, True):
        if late:
            watch.process.send_signal(signal.SIGSTOP)
        for turn in range(5):
            code, _, error = place.act(["unshare", "--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "sh", "-c", f"{nothing} gone-{turn}; sleep 0.05; true"])
            check("namespaces of its own", code == 0, error.decode())
        if late:
            watch.process.send_signal(signal.SIGCONT)
    time.sleep(1.5)
    lines, said = watch.end()
    check(f"{mode}: nothing is lost", "nothing lost" in said, said[-600:])
    shells = [line for line in lines if at(line, "event.action") == "exec" and "gone-" in " ".join(at(line, "process.args") or []) and (at(line, "process.args") or [""])[0] == "sh"]
    programs = execs(lines, nothing)
    if mode == "connector":
        # What has ended when it is looked at, it tells of by its number alone.
        check(f"{mode}: those that ran when they were looked at", len(shells) >= 5, str(len(shells)))
    else:
        check(f"{mode}: each shell, and what it ran", (len(shells), len(programs)) == (10, 10), f"{len(shells)} {len(programs)}")
        check(f"{mode}: by its parent", sorted(at(line, "process.parent.entity_id") for line in programs) == sorted(at(line, "process.entity_id") for line in shells))
    print(f"  {mode}: what happened in namespaces that are gone is told, with parents")


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


def named_files(place, mode):
    """Files that the command is told to look at or to leave alone; who changes to another user."""
    own, left = place.folder / "own", place.folder / "left" / ".aws"
    own.mkdir()
    left.mkdir(parents=True)
    watch = Watch(place, "--events", "--watch-file", f"{own}/*.pem", "--watch-file", f"{own}/key", "--skip-file", "*/left/*", mode=mode)
    place.act(f"echo x >{own}/a.pem; cat {own}/a.pem; echo x >{own}/key; cat {own}/key; echo x >{left}/credentials; cat {left}/credentials; echo x >{own}/other")
    place.act(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", str(place.folder / "nothing"), "as-nobody"])
    time.sleep(1)
    lines, _ = watch.end()
    told = [(at(line, "event.action"), at(line, "process.name"), at(line, "file.name")) for line in lines if at(line, "file.path")]
    expected = [("creation", "sh", "a.pem"), ("creation", "sh", "key"), ("open", "cat", "key")]
    check(f"{mode}: files that are named", told == expected, str(told))
    becomes = [(at(line, "event.action"), at(line, "user.id")) for line in lines if at(line, "event.type") == ["change"] and at(line, "process.name") == "setpriv"]
    check(f"{mode}: who becomes somebody else", ("uid_change", "65534") in becomes and "gid_change" in dict(becomes), str(becomes))
    print(f"  {mode}: files that are named, and changes of users, are told")


def engine_again(place, found, mode):
    """An engine that ends and begins again while its containers run: all that happens in them, in those that start meanwhile and in those
    that start afterwards is told, with who they are."""
    for engine in found:
        kind = type(engine).__name__.lower()
        loop = ("/bin/sh", "-c", "while true; do /bin/true; sleep 0.2; done")
        names = {engine.container(f"{kind}-stays", *loop): f"{kind}-stays"}
        watch = Watch(place, "--events", *sockets([engine]), mode=mode)
        try:
            time.sleep(1)
            engine.daemon.kill()
            engine.daemon.wait()
            gone = time.time()
            if kind == "podman":
                # Its containers need no daemon.
                names[engine.container(f"{kind}-meanwhile", *loop)] = f"{kind}-meanwhile"
            time.sleep(1.5)
            engine.begin()
            back = time.time()
            names[engine.container(f"{kind}-again", *loop)] = f"{kind}-again"
            time.sleep(2)
        finally:
            for name in names.values():
                engine.remove(name)
        time.sleep(0.5)
        lines, said = watch.end()
        check(f"{kind}: nothing is lost", "nothing lost" in said, said[-600:])
        late = {at(line, "container.id"): at(line, "container.name") for line in lines if at(line, "event.action") == "container_known"}
        for identity, name in names.items():
            mine = [line for line in lines if at(line, "container.id") == identity and at(line, "event.action") == "exec" and at(line, "process.name") == "true"]
            check(f"{kind}: {name} is seen", len(mine) >= 4, str(len(mine)))
            told = {at(line, "container.name") for line in mine}
            check(f"{kind}: {name} is known, at once or a little later", told <= {name, None} and (None not in told or late.get(identity) == name), f"{told} {late}")
            check(f"{kind}: with its parent", {at(line, "process.parent.name") for line in mine} <= {"sh", "busybox"}, str({at(line, "process.parent.name") for line in mine}))
        told = [at(line, "event.action") for line in lines if at(line, "neph.sensor.engine.socket") == str(engine.socket)]
        wanted = ["container_engine_connected", "container_engine_lost", "container_engine_connected"]
        check(f"{kind}: that it was lost and is back is told", [action for action, before in zip(told, [None, *told]) if action != before] == wanted, str(told))
        meanwhile = [line for line in lines if at(line, "container.name") == f"{kind}-stays" and at(line, "process.name") == "true" and gone < moment(at(line, "@timestamp")) < back]
        check(f"{kind}: what happened while there was no engine", len(meanwhile) >= 3, str(len(meanwhile)))
        print(f"  {mode}: {kind} killed and begun again while containers ran: {len(names)} containers known throughout")


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
    parser.add_argument("--serve", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--mode", choices=["ebpf", "audit", "connector"])
    parser.add_argument("--only", default="")
    parser.add_argument("--flood", type=int, default=2000)
    parser.add_argument("--limits", default="1,1000,10", help="percent of a core, programs a second and seconds of the flood beyond it")
    parser.add_argument("--clock", action="store_true", help="set the clock of the machine, too, six times by three seconds for two seconds")
    parser.add_argument("--step", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        Handler.folder = arguments.serve
        server = http.server.ThreadingHTTPServer((ADDRESS, 80), Handler)
        # Clients that do not wait for the answer.
        server.handle_error = lambda *_: None
        print("ready", flush=True)
        server.serve_forever()
    if arguments.step:
        return set_clock(arguments.step)
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
