"""Container engines of their own for a place of `watching.py`: Docker, Podman and containerd, each with one image."""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import time

from service import check, run, wait_for
from watching import TOKEN


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

    def launch(self, command, ready):
        """Starts the daemon, up to three times, as a service manager would: one that was killed leaves things behind over which the next one may stumble."""
        for _ in range(3):
            with open(self.folder / "log", "ab") as log:
                self.daemon = subprocess.Popen(command, preexec_fn=lambda: self.place.enter(group=False), stdout=log, stderr=log)
            with contextlib.suppress(RuntimeError):
                wait_for(command[0], 40, lambda: self.daemon.poll() is not None or ready())
                if self.daemon.poll() is None:
                    return
            self.daemon.kill()
            self.daemon.wait()
            print(f"  {command[0]} did not start: {self.said(300)}", flush=True)
        raise RuntimeError(f"{command[0]} did not start three times")

    def said(self, length):
        """The end of what the daemon said."""
        log = self.folder / "log"
        return log.read_text(errors="replace")[-length:] if log.exists() else ""

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
        self.launch(command, lambda: subprocess.run([*self.command, "version"], capture_output=True).returncode == 0)
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
        self.launch(command, self.socket.exists)
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
        command = ["containerd", "--config", self.folder / "config.toml"]
        self.launch(command, lambda: subprocess.run([*self.command, "version"], capture_output=True).returncode == 0)

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
            print(f"  SKIPPED: {program} does not run here: {str(error)[-400:]} {engine.said(600)}")
            continue
        stack.callback(engine.end)
        found.append(engine)
    return found


def sockets(found):
    return [option for engine in found for option in ("--engine-socket", str(engine.socket))]
