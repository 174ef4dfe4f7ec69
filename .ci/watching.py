"""What the checks of `neph watch` share: a place for deeds, the command looking at it, and what must come of a deed.

    python3 .ci/watching.py FOLDER      # the metadata service of a place, in whose namespace it is started
"""

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

import service
from service import check, run, wait_for

NEPH = service.NEPH = pathlib.Path(os.environ.get("NEPH", service.NEPH))
ADDRESS = "169.254.169.254"
SECRETS = f"http://{ADDRESS}/latest/meta-data/iam/security-credentials/"

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
        self.server = subprocess.Popen([sys.executable, __file__, self.folder], preexec_fn=lambda: self.enter(group=False), stdout=subprocess.PIPE)
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


if __name__ == "__main__":
    Handler.folder = pathlib.Path(sys.argv[1])
    metadata = http.server.ThreadingHTTPServer((ADDRESS, 80), Handler)
    # Clients that do not wait for the answer.
    metadata.handle_error = lambda *_: None
    print("ready", flush=True)
    metadata.serve_forever()
