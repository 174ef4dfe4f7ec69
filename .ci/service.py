"""`neph serve` in a folder of its own, for the checks that try it from outside."""

import json
import os
import pathlib
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
NEPH = TARGET / "debug" / "neph"


def run(command, **options):
    """What a command printed; what it said when it failed is the error's text."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stdout[-4000:]}")
    return done.stdout


def build():
    run(["cargo", "build", "--quiet", "--locked", "-p", "neph-cli"], cwd=ROOT)


def wait_for(what, seconds, question):
    """The first true answer to the question, which is asked until the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = question()
        if answer:
            return answer
        time.sleep(0.1)
    raise RuntimeError(f"{what}: not within {seconds} s")


def check(what, holds, why=""):
    """Ends the run where something does not hold, and counts what does in `check.count`."""
    if not holds:
        raise AssertionError(f"{what}{': ' if why else ''}{why}")
    check.count += 1


check.count = 0


class Certificates:
    """An authority, what it signed, and a certificate that it did not sign."""

    def __init__(self, folder):
        folder.mkdir()
        self.folder = folder
        self.authority = folder / "ca.crt"
        own = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        run([*own, "-keyout", folder / "ca.key", "-out", self.authority, "-subj", "/CN=test authority"])
        self.server = self.signed("server", "serverAuth")
        self.client = self.signed("client", "clientAuth")
        self.stranger = (folder / "stranger.crt", folder / "stranger.key")
        run([*own, "-out", self.stranger[0], "-keyout", self.stranger[1], "-subj", "/CN=stranger"])

    def signed(self, name, purpose, days="2"):
        certificate, key, request = (self.folder / f"{name}.{end}" for end in ("crt", "key", "csr"))
        run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", request, "-subj", f"/CN={name}"])
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage={purpose}\nbasicConstraints=CA:FALSE\n")
        sign = ["openssl", "x509", "-req", "-in", request, "-CA", self.authority, "-CAkey", self.folder / "ca.key", "-CAcreateserial"]
        run([*sign, "-days", days, "-out", certificate, "-extfile", extensions])
        return certificate, key


# So that nothing depends on what else fills the machine's disk.
LITTLE_FREE = '[retention]\nkeep_free = "1MiB"\n'


class Service:
    """The service; without a configuration it is started as by somebody who has none, but for the disk."""

    def __init__(self, folder, configuration=None, listen=None, authority=None):
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "log"
        folder.mkdir(exist_ok=True)
        self.command = [NEPH, "serve", "--log-format", "json", "--data", self.data]
        path = folder / "neph.toml"
        path.write_text(LITTLE_FREE + (configuration or ""))
        self.command += ["--config", path]
        if listen:
            self.command += ["--listen", listen]
        self.context = ssl.create_default_context(cafile=authority) if authority else None
        self.process = None
        self.start()

    def start(self):
        (self.data / "address").unlink(missing_ok=True)
        with open(self.log, "ab") as log:
            # In a folder of its own, so that no configuration is found by chance.
            self.process = subprocess.Popen(self.command, stderr=log, cwd=self.folder)

        def ready():
            if self.process.poll() is not None:
                raise RuntimeError(f"the service has ended:\n{self.said()[-4000:]}")
            return (self.data / "address").exists()

        wait_for("the service", 120, ready)
        self.base = (self.data / "address").read_text().strip()
        self.token = (self.data / "token").read_text().strip() if (self.data / "token").exists() else None

    def stop(self, how=signal.SIGTERM):
        """Ends it, in order or not."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(timeout=60)
        if how == signal.SIGTERM and code != 0:
            raise RuntimeError(f"the service ended with {code}:\n{self.said()[-4000:]}")

    def said(self):
        return self.log.read_text(errors="replace")

    def listeners(self):
        """Addresses of the syslog listeners by their transport, as the log tells them."""
        lines = [json.loads(line) for line in self.said().splitlines() if line.startswith("{")]
        return {line["transport"]: line["address"] for line in lines if line["message"] == "syslog listens"}

    def ask(self, path, token=None, method="GET", body=None, headers=()):
        """Status, headers and text of an answer."""
        request = urllib.request.Request(self.base + path, data=body, method=method, headers=dict(headers))
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=30, context=self.context) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read().decode(errors="replace")

    def get(self, path, token=None):
        status, _, text = self.ask(path, token or self.token)
        if status != 200:
            raise RuntimeError(f"{path}: {status} {text}")
        return json.loads(text)

    def make_token(self, name, role):
        body = json.dumps({"name": name, "role": role}).encode()
        status, _, text = self.ask("/api/v1/tokens", self.token, "POST", body, {"Content-Type": "application/json"})
        if status not in (200, 201):
            raise RuntimeError(f"no token: {status} {text}")
        return json.loads(text)

    def events(self, query="any where true"):
        """The stored events that meet a query, as documents."""
        command = [NEPH, "query", "--store", self.data, query, "--format", "ndjson"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def alerts(self, rule):
        """All alerts of a rule."""
        alerts, path = [], f"/api/v1/alerts?limit=200&rule={rule}"
        cursor = ""
        while True:
            page = self.get(path + cursor)
            alerts += page["alerts"]
            if not page["next"]:
                return alerts
            cursor = f"&cursor={page['next']}"
