#!/usr/bin/env python3
"""Runs both units under a systemd that is really there, and looks at what it makes of them.

    python3 .ci/units.py [--only watch|serve]

A systemd runs as the first process of namespaces of its own (processes, mounts, network, control groups, names), over the programs of this
machine and nothing of its configuration; what it changes is gone with it. Only the few units are there that the two need.

- `neph-watch.service`: started, seen to run with the privileges that the unit says and no others, programs in the kernel among what they
  allow; an alert in the journal; killed and started again by systemd; no shell can run in its place; its limits of memory and processor hold
  under a flood; stopped in order.
- `neph.service`: started when it says that it is ready, as a user of its own without any privilege; read again, killed, hung, started
  again by systemd with its data; stopped in order. The first one ships to it.

Needs root, systemd, and programs in the kernel. Says that it was skipped where these are not there.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import service
from service import ROOT, check, wait_for

NEPH = pathlib.Path(os.environ.get("NEPH", service.NEPH))
SYSTEMD = pathlib.Path("/usr/lib/systemd/systemd")
UNITS = pathlib.Path("/usr/lib/systemd/system")
# What targets and services are needed for a unit to be started in order and to be logged.
NEEDED = """sysinit.target basic.target multi-user.target local-fs.target local-fs-pre.target swap.target sockets.target timers.target paths.target
slices.target shutdown.target umount.target final.target network.target network-online.target network-pre.target exit.target systemd-exit.service
systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket emergency.target rescue.target""".split()
# Bits of /proc/PID/status, by capabilities(7).
CAPABILITIES = {"CAP_DAC_READ_SEARCH": 2, "CAP_NET_ADMIN": 12, "CAP_SYS_PTRACE": 19, "CAP_AUDIT_CONTROL": 30, "CAP_AUDIT_READ": 37, "CAP_PERFMON": 38, "CAP_BPF": 39}

FLOOD = r"""
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
extern char **environ;
int main(int count, char **args) {
    char *own[] = {"/proc/self/exe", 0};
    time_t end = time(0) + (count > 1 ? atoi(args[1]) : 0);
    int status;
    pid_t child;
    if (count < 2) return 0;
    while (time(0) < end) {
        if (posix_spawn(&child, "/proc/self/exe", 0, 0, own, environ)) return 2;
        waitpid(child, &status, 0);
    }
    return 0;
}
"""


class Machine:
    """A systemd in namespaces of its own."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="neph-units-", dir="/var/tmp"))
        self.name = self.folder.name
        self.root = self.folder / "root"
        self.root.mkdir()
        self.groups = []
        self.process = None

    def start(self):
        """Everything below happens in the new namespaces, so that it is gone when the last process there is."""
        (self.folder / "flood.c").write_text(FLOOD)
        service.run(["gcc", "-static", "-O1", "-o", self.folder / "flood", self.folder / "flood.c"])
        root, layer = self.root, self.folder / "layer"
        made = [
            "set -e",
            "mount --make-rprivate /",
            f"mount -t tmpfs none {self.folder}/root",
            f"mkdir -p {root}/usr {root}/proc {root}/sys {root}/dev/pts {root}/dev/shm {root}/run {root}/var/lib {root}/var/log {root}/tmp {root}/root {root}/etc/systemd/system {root}/.layer/up {root}/.layer/work",
            f"mount -t overlay none -o lowerdir=/usr,upperdir={root}/.layer/up,workdir={root}/.layer/work {root}/usr",
            f"for link in bin sbin lib lib64; do ln -s usr/$link {root}/$link; done",
            f"cp {NEPH} {root}/usr/bin/neph; cp {self.folder}/flood {root}/usr/bin/flood",
            f"cp -r {layer}/etc/. {root}/etc",
            f"mount --bind {layer}/units {root}/usr/lib/systemd/system",
            f"mount -t proc proc {root}/proc",
            f"mount -t sysfs sysfs {root}/sys",
            f"for device in null zero full random urandom tty; do touch {root}/dev/$device; mount --bind /dev/$device {root}/dev/$device; done",
            f"mount -t devpts -o newinstance,ptmxmode=666 devpts {root}/dev/pts; ln -s pts/ptmx {root}/dev/ptmx; ln -s /proc/self/fd {root}/dev/fd",
            f"mount -t tmpfs none {root}/dev/shm; mount -t tmpfs none {root}/run; mount -t tmpfs none {root}/tmp; chmod 1777 {root}/tmp",
            *self.mounts_of_groups(),
            f"mount -o remount,ro,bind {root}/sys",
            "ip link set lo up",
            "ip address add 169.254.169.254/32 dev lo",
            f"cd {root}; mkdir -p old; pivot_root . old; umount -l /old; rmdir /old",
            "hostname units",
            "exec env -i container=other PATH=/usr/bin:/usr/sbin /usr/lib/systemd/systemd --system --log-target=journal --show-status=no",
        ]
        self.lay_out(layer)
        script = self.folder / "begin.sh"
        script.write_text("\n".join(made) + "\n")
        command = ["unshare", "--mount", "--uts", "--ipc", "--net", "--cgroup", "--pid", "--fork", "--kill-child", "/bin/bash", script]
        self.log = self.folder / "log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=self.enter, start_new_session=True)
        self.first = int(wait_for("the first process", 20, self.child))
        ready = lambda: self.process.poll() is not None or self.run("systemctl", "is-system-running").stdout.strip() in ("running", "degraded")
        wait_for("systemd", 60, ready)
        if self.process.poll() is not None:
            raise RuntimeError(f"systemd does not run here: {self.log.read_text(errors='replace')[-800:]}")

    def child(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"systemd does not run here: {self.log.read_text(errors='replace')[-800:]}")
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return children[0] if children else None

    def lay_out(self, layer):
        """The units that are there, and as much of /etc as they need."""
        (layer / "units").mkdir(parents=True)
        (layer / "etc/systemd/system").mkdir(parents=True)
        for name in NEEDED:
            if (UNITS / name).exists():
                shutil.copy(UNITS / name, layer / "units" / name)
        (layer / "units/default.target").symlink_to("multi-user.target")
        for target, wanted in (("sockets.target", ["systemd-journald.socket", "systemd-journald-dev-log.socket"]), ("sysinit.target", ["systemd-journald.service"])):
            wants = layer / "units" / f"{target}.wants"
            wants.mkdir()
            for name in wanted:
                (wants / name).symlink_to(f"../{name}")
        for name in ("neph.service", "neph-watch.service"):
            shutil.copy(ROOT / "packaging" / name, layer / "etc/systemd/system" / name)
        etc = layer / "etc"
        for name in ("passwd", "group", "ld.so.cache", "nsswitch.conf", "os-release", "localtime"):
            with contextlib.suppress(OSError):
                shutil.copy(pathlib.Path("/etc") / name, etc / name)
        (etc / "machine-id").write_text("0123456789abcdef0123456789abcdef\n")
        (etc / "hostname").write_text("units\n")
        # A limit of what is logged would look like something that is lost.
        (etc / "systemd/journald.conf").write_text("[Journal]\nStorage=volatile\nRateLimitBurst=0\n")
        (etc / "neph").mkdir()

    def mounts_of_groups(self):
        """A control group of its own in each hierarchy, below where we are, which are the roots of what is seen inside."""
        root = self.root
        mounts = [line.split() for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()]
        hierarchies = {fields[1]: fields for fields in mounts if fields[2] in ("cgroup", "cgroup2")}
        where = {line.split(":", 2)[1]: line.split(":", 2)[2] for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines()}
        only = list(hierarchies) == ["/sys/fs/cgroup"]
        commands = [] if only else [f"mount -t tmpfs none {root}/sys/fs/cgroup"]
        for point, (_, _, kind, options, *_) in hierarchies.items():
            controllers = ""
            if kind == "cgroup":
                controllers = next(names for names in where if names and set(names.split(",")) <= set(options.split(",")))
            group = pathlib.Path(point + where[controllers].rstrip("/"), self.name)
            group.mkdir()
            self.groups.append(group)
            inside = f"{root}{point}"
            commands.append(f"mkdir -p {inside}; mount -t {kind} {'-o ' + controllers if controllers else ''} none {inside}")
            if controllers == "cpuset":
                for name in ("cpuset.cpus", "cpuset.mems"):
                    (group / name).write_text((group.parent / name).read_text())
        return commands

    def enter(self):
        for group in self.groups:
            (group / "cgroup.procs").write_text("0")

    def run(self, *command, **options):
        """Runs a command inside, in the group of what is there."""
        inside = ["nsenter", "-t", str(self.first), "-m", "-u", "-i", "-n", "-p", "-C", *map(str, command)]
        options.setdefault("input", "")
        return subprocess.run(inside, capture_output=True, text=True, timeout=120, preexec_fn=self.enter, **options)

    def systemctl(self, *words):
        done = self.run("systemctl", *words)
        check(f"systemctl {' '.join(words)}", done.returncode == 0, f"{done.stdout}{done.stderr}\n{self.journal(words[-1])[-1500:]}")
        return done.stdout

    def show(self, unit):
        lines = self.systemctl("show", unit).splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def journal(self, unit):
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit).stdout

    def process_of(self, unit):
        """What the kernel says of a unit's process, which has a number inside and another one here."""
        number = self.show(unit)["MainPID"]
        return {key: value.strip() for key, _, value in (line.partition(":") for line in self.run("cat", f"/proc/{number}/status").stdout.splitlines())}

    def write(self, path, text):
        """A file inside."""
        done = self.run("/bin/sh", "-c", f"mkdir -p {pathlib.Path(path).parent}; cat > {path}", input=text + "\n")
        check(f"writing {path}", done.returncode == 0, done.stderr)

    def end(self):
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                # With the first process of a namespace all others go.
                os.kill(getattr(self, "first", self.process.pid), signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            self.process.wait()
        for group in self.groups:
            folders = [group, *(path for path in group.rglob("*") if path.is_dir())]
            for _ in range(50):
                for folder in sorted(folders, reverse=True):
                    with contextlib.suppress(OSError):
                        folder.rmdir()
                if not group.exists():
                    break
                time.sleep(0.1)
            if group.exists():
                print(f"  left behind: {group}")
        shutil.rmtree(self.folder, ignore_errors=True)


def privileges(machine, unit, capabilities):
    """What the kernel lets the process do."""
    status = machine.process_of(unit)
    expected = f"{sum(1 << CAPABILITIES[name] for name in capabilities):016x}"
    check(f"{unit}: no capability beyond the unit's", status["CapBnd"] == expected, status["CapBnd"])
    check(f"{unit}: the capabilities of the unit", status["CapEff"] == expected, status["CapEff"])
    check(f"{unit}: no new privileges", status["NoNewPrivs"] == "1")
    check(f"{unit}: calls to the kernel are filtered", status["Seccomp"] == "2")
    return status


def deed(machine, marker):
    """Something that raises an alert; nobody else on the machine says the same."""
    # What stands in a file is in no argument of who starts it.
    machine.write("/tmp/deed", f"/bin/sh -c ': curl http://169.254.169.254/latest/meta-data/iam/security-credentials/{marker}; true'")
    machine.run("/bin/sh", "/tmp/deed")


def alerts(machine, marker):
    return [line for line in machine.journal("neph-watch").splitlines() if line.startswith("{") and marker in line and '"rule"' in line]


def watch_unit(machine):
    unit = "neph-watch.service"
    began = time.monotonic()
    machine.systemctl("start", unit)
    wait_for("the sensor", 60, lambda: "watching this host by" in machine.journal(unit) or machine.show(unit)["ActiveState"] == "failed")
    ready = time.monotonic() - began
    said = machine.journal(unit)
    check("programs are in the kernel", "watching this host by ebpf" in said, said[-1500:])
    check("every hook is attached", "not attached" not in said, said[-1500:])
    shown = machine.show(unit)
    check("it runs", (shown["ActiveState"], shown["SubState"]) == ("active", "running"), f"{shown['ActiveState']} {said[-800:]}")
    status = privileges(machine, unit, CAPABILITIES)
    check("it is root, of whom the sockets of engines are", status["Uid"].split()[1] == "0")
    deed(machine, "marker-one")
    late = time.monotonic()
    wait_for("an alert in the journal", 10, lambda: alerts(machine, "marker-one"))
    late = time.monotonic() - late
    found = json.loads(alerts(machine, "marker-one")[0])
    check("the alert has its parents", found["neph"]["alert"]["steps"][0]["events"][0]["document"]["process"].get("parent"))
    machine.systemctl("status", unit)
    print(f"  neph-watch: looks {ready:.1f} s after the start, by programs in the kernel, with {status['CapEff']}, NoNewPrivs, Seccomp; an alert in the journal after {late:.2f} s")

    before = int(shown["MainPID"])
    told = sorted(json.loads(line)["rule"]["name"] for line in alerts(machine, "marker-one"))
    machine.run("kill", "-9", str(before))
    wait_for("systemd starts it again", 20, lambda: machine.show(unit)["MainPID"] not in ("0", str(before)))
    wait_for("the sensor again", 60, lambda: machine.journal(unit).count("watching this host by") == 2)
    check("by systemd", machine.show(unit)["NRestarts"] == "1")
    deed(machine, "marker-two")
    wait_for("an alert after that", 10, lambda: alerts(machine, "marker-two"))
    again = sorted(json.loads(line)["rule"]["name"] for line in alerts(machine, "marker-one"))
    check("what was told is not told again", again == told and len(told) == 1, f"{told} {again}")
    print("  neph-watch: killed with SIGKILL, started again by systemd, sees")

    text = (ROOT / "packaging" / unit).read_text()
    command = next(line for line in text.splitlines() if line.startswith("ExecStart="))
    machine.write("/run/systemd/system/shell.service", text.replace(command, "ExecStart=/bin/sh -c true").replace("Restart=always", "Restart=no"))
    machine.systemctl("daemon-reload")
    machine.run("systemctl", "start", "shell.service")
    wait_for("the shell ends", 20, lambda: machine.show("shell.service")["ExecMainStatus"] != "0")
    check("no shell in its place", machine.show("shell.service")["ExecMainStatus"] == "203", machine.show("shell.service")["ExecMainStatus"])

    limits(machine, unit)
    machine.systemctl("stop", unit)
    shown = machine.show(unit)
    check("it is stopped in order", (shown["ActiveState"], shown["Result"]) == ("inactive", "success"), f"{shown['ActiveState']} {shown['Result']} {machine.journal(unit)[-800:]}")
    check("and says what it saw", " of what was seen: " in machine.journal(unit), machine.journal(unit)[-800:])


def limits(machine, unit, seconds=20):
    """A flood; what the unit uses of processor and memory meanwhile."""
    shown = machine.show(unit)
    check("the limits that systemd knows", (shown["MemoryMax"], shown["CPUQuotaPerSecUSec"], shown["TasksMax"]) == (str(512 << 20), "500ms", "64"), str({key: shown[key] for key in ("MemoryMax", "CPUQuotaPerSecUSec", "TasksMax")}))
    number = shown["MainPID"]
    groups = dict((line.split(":", 2)[1], line.split(":", 2)[2]) for line in machine.run("cat", f"/proc/{number}/cgroup").stdout.splitlines())
    read = lambda hierarchy, controller, name: machine.run("cat", f"{hierarchy}{groups[controller]}/{name}").stdout.strip()
    if "cpu" in groups:
        quota, period = int(read("/sys/fs/cgroup/cpu", "cpu", "cpu.cfs_quota_us")), int(read("/sys/fs/cgroup/cpu", "cpu", "cpu.cfs_period_us"))
        check("the kernel knows the quota", quota * 2 == period, f"{quota} {period}")
        most = int(read("/sys/fs/cgroup/memory", "memory", "memory.limit_in_bytes"))
        check("the kernel knows the limit of memory", most == 512 << 20, str(most))
    used = lambda: sum(map(int, machine.run("cat", f"/proc/{number}/stat").stdout.rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")
    before, began = used(), time.monotonic()
    floods = [subprocess.Popen(["nsenter", "-t", str(machine.first), "-m", "-p", "-C", "/usr/bin/flood", str(seconds)], preexec_fn=machine.enter) for _ in range(2)]
    for flood in floods:
        check("the flood", flood.wait(timeout=seconds + 60) == 0)
    share = (used() - before) / (time.monotonic() - began)
    peak = int(machine.process_of(unit)["VmHWM"].split()[0]) / 1024
    check("not more of a core than the unit gives", share <= 0.55, f"{share:.2f}")
    check("not more memory than the unit gives", peak < 512, f"{peak:.0f} MiB")
    check("it still is the same process", machine.show(unit)["MainPID"] == number)
    print(f"  neph-watch: a flood of {seconds} s: {share * 100:.0f} % of a core, at most {peak:.0f} MiB, no shell in its place")


def serve_unit(machine):
    unit = "neph.service"
    began = time.monotonic()
    # Returns when the service says that it is ready.
    machine.systemctl("start", unit)
    ready = time.monotonic() - began
    shown = machine.show(unit)
    check("it runs", (shown["ActiveState"], shown["SubState"]) == ("active", "running"))
    status = privileges(machine, unit, [])
    user = status["Uid"].split()[1]
    check("a user of its own", user != "0" and int(user) >= 61184, user)
    address = machine.run("cat", "/var/lib/neph/address").stdout.strip()
    ask = lambda path: machine.run("curl", "-s", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", "-H", f"Authorization: Bearer {token}", f"{address}{path}").stdout
    token = machine.run("cat", "/var/lib/neph/token").stdout.strip()
    check("it answers", ask("/api/v1/status") == "200", ask("/api/v1/status"))
    print(f"  neph: ready {ready:.1f} s after the start, as user {user}, without capabilities, NoNewPrivs, Seccomp")

    made = machine.run("curl", "-s", "-m", "5", "-X", "POST", "-H", f"Authorization: Bearer {token}", "-H", "Content-Type: application/json", "-d", '{"name": "units", "role": "ingest"}', f"{address}/api/v1/tokens").stdout
    machine.write("/etc/neph/watch.token", json.loads(made)["token"])
    machine.write("/etc/neph/watch.env", f"NEPH_WATCH=--ship {address} --token-file /etc/neph/watch.token --host-name units")
    machine.systemctl("start", "neph-watch.service")
    wait_for("the sensor", 60, lambda: "watching this host by" in machine.journal("neph-watch").rpartition("Started")[2])
    query = lambda marker: machine.run("neph", "query", "--store", "/var/lib/neph", f'process where event.action == "exec" and process.name == "sh" and process.command_line : "*{marker}*"', "--format", "ndjson").stdout.splitlines()
    deed(machine, "shipped")
    wait_for("the event in the service's store", 30, lambda: query("security-credentials/shipped"))
    print("  neph: what neph-watch ships is in its store")

    before = shown["MainPID"]
    machine.systemctl("reload", unit)
    time.sleep(1)
    check("the same process after a reload", machine.show(unit)["MainPID"] == before and ask("/api/v1/status") == "200")
    machine.run("kill", "-9", before)
    deed(machine, "while-killed")
    wait_for("systemd starts it again", 60, lambda: machine.show(unit)["MainPID"] not in ("0", before) and machine.show(unit)["ActiveState"] == "active")
    check("by systemd", machine.show(unit)["NRestarts"] == "1")
    check("with its data", machine.run("cat", "/var/lib/neph/token").stdout.strip() == token and ask("/api/v1/status") == "200")
    wait_for("what was shipped meanwhile", 40, lambda: query("security-credentials/while-killed"))
    found = [len(query(f"security-credentials/{marker}")) for marker in ("shipped", "while-killed")]
    check("each once", found == [1, 1], str(found))
    print("  neph: reload, SIGKILL: started again by systemd with its data, and what was shipped meanwhile came once")

    # A process that hangs: the shorter time is for the test alone.
    machine.write("/run/systemd/system/neph.service.d/sooner.conf", "[Service]\nWatchdogSec=4")
    machine.systemctl("daemon-reload")
    machine.systemctl("restart", unit)
    before = machine.show(unit)["MainPID"]
    time.sleep(6)
    check("one that lives is left alone", machine.show(unit)["MainPID"] == before, machine.journal(unit)[-800:])
    machine.run("kill", "-STOP", before)
    wait_for("one that hangs is started again", 60, lambda: machine.show(unit)["MainPID"] not in ("0", before) and machine.show(unit)["ActiveState"] == "active")
    check("it answers again", ask("/api/v1/status") == "200")
    machine.systemctl("stop", "neph-watch.service")
    machine.systemctl("stop", unit)
    shown = machine.show(unit)
    check("it is stopped in order", (shown["ActiveState"], shown["Result"]) == ("inactive", "success"), f"{shown['ActiveState']} {shown['Result']} {machine.journal(unit)[-800:]}")
    print("  neph: hung, started again by the watchdog; stopped in order")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=["watch", "serve"])
    arguments = parser.parse_args()
    if os.geteuid() != 0 or not SYSTEMD.exists():
        print("SKIPPED: a systemd of its own needs root and systemd")
        return 0
    missing = [program for program in ("unshare", "nsenter", "gcc", "ip", "curl") if not shutil.which(program)]
    if missing:
        print(f"SKIPPED: not there: {', '.join(missing)}")
        return 0
    if not NEPH.exists():
        service.build()
    if "ebpf: works" not in subprocess.run([NEPH, "watch", "--check"], capture_output=True, text=True).stdout:
        print("SKIPPED: this kernel takes no programs")
        return 0
    began = time.monotonic()
    machine = Machine()
    try:
        try:
            machine.start()
        except RuntimeError as error:
            print(f"SKIPPED: {error}")
            return 0
        for name, look in (("watch", watch_unit), ("serve", serve_unit)):
            if arguments.only in (None, name):
                look(machine)
    finally:
        machine.end()
    print(f"{check.count} checks held in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
