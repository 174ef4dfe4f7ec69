#!/usr/bin/env python3
"""Lets the service tell real receivers of the alerts of the shipped samples, and checks what arrives.

    python3 .ci/output-forms.py [OCSF-CHECKOUT]

The findings of the form OCSF are held against the models of `py-ocsf-models`, and against a checkout of
https://github.com/ocsf/ocsf-schema in its version 1.8.0 where one is named. rsyslog takes messages over UDP, TCP and TLS; aiosmtpd takes
mails, in the clear and with STARTTLS and a password; a server of this script takes the bodies for chats and those of a template.
Python's packages are installed into an environment of its own below the target folder; rsyslog with apt where this is run by root.
"""

import collections
import email
import email.policy
import glob
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
WORK = TARGET / "output-forms"
PYTHON = WORK / "venv" / "bin" / "python"
PIP = ["aiosmtpd==1.4.6", "py-ocsf-models==0.10.0"]
MODULES = "/usr/lib/*/rsyslog/"
WAIT = 240


def run(command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stdout[-4000:]}")
    return done.stdout


def install():
    stamp = WORK / "installed"
    if not (stamp.exists() and stamp.read_text() == json.dumps(PIP)):
        shutil.rmtree(WORK, ignore_errors=True)
        WORK.mkdir(parents=True)
        run([sys.executable, "-m", "venv", WORK / "venv"])
        run([PYTHON, "-m", "pip", "install", "--quiet", *PIP])
        stamp.write_text(json.dumps(PIP))
    missing = not shutil.which("rsyslogd", path="/usr/sbin:/usr/bin") or not driver()
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        run(["apt-get", "update", "-qq"], env=environment)
        run(["apt-get", "install", "-qq", "--no-install-recommends", "rsyslog", "rsyslog-gnutls"], env=environment)


def driver():
    """What rsyslog speaks TLS with."""
    return next((name for name in ("ossl", "gtls") if glob.glob(f"{MODULES}lmnsd_{name}.so")), None)


def free_port():
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def certificate(folder):
    """An authority, and a certificate of it for this machine."""
    run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", folder / "ca.key", "-out", folder / "ca.pem",
         "-subj", "/CN=test authority"])
    run(["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-keyout", folder / "own.key", "-out", folder / "own.csr", "-subj", "/CN=localhost"])
    (folder / "san").write_text("subjectAltName=DNS:localhost\n")
    run(["openssl", "x509", "-req", "-in", folder / "own.csr", "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key", "-CAcreateserial", "-days", "2",
         "-extfile", folder / "san", "-out", folder / "own.pem"])


class Rsyslog:
    def __init__(self, folder):
        self.folder = folder
        self.process = None
        self.ports = {}
        daemon = shutil.which("rsyslogd", path="/usr/sbin:/usr/bin")
        if not daemon:
            return
        self.ports = {"udp": free_port(), "tcp": free_port()}
        if driver():
            self.ports["tls"] = free_port()
        form = "%syslogpriority-text%\\t%app-name%\\t%msgid%\\t%structured-data%\\t%msg%\\n"
        lines = [
            f'global(defaultNetstreamDriverCAFile="{folder}/ca.pem" defaultNetstreamDriverCertFile="{folder}/own.pem"',
            f'       defaultNetstreamDriverKeyFile="{folder}/own.key" workDirectory="{folder}")',
            'module(load="imudp")', 'module(load="imtcp")',
            f'template(name="parts" type="string" string="{form}")',
        ]
        for name, port in self.ports.items():
            tls = f' streamDriver.name="{driver()}" streamDriver.mode="1" streamDriver.authMode="anon"' if name == "tls" else ""
            kind = "imudp" if name == "udp" else "imtcp"
            lines.append(f'ruleset(name="{name}") {{ action(type="omfile" file="{folder}/{name}.log" template="parts") }}')
            lines.append(f'input(type="{kind}" port="{port}" address="127.0.0.1" ruleset="{name}"{tls})')
        (folder / "rsyslog.conf").write_text("\n".join(lines) + "\n")
        self.said = open(folder / "rsyslog.said", "w")
        self.process = subprocess.Popen([daemon, "-n", "-f", folder / "rsyslog.conf", "-i", folder / "pid"], stdout=self.said, stderr=self.said)

    def messages(self, name):
        path = self.folder / f"{name}.log"
        return [line.split("\t", 4) for line in path.read_text().splitlines()] if path.exists() else []

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=30)


class Receiver(http.server.BaseHTTPRequestHandler):
    bodies = collections.defaultdict(list)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.bodies[self.path].append(body.decode())
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


SMTP = """
import ssl, sys, time
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
folder = sys.argv[1]
class Keeper:
    def __init__(self, name):
        self.name, self.count = name, 0
    async def handle_DATA(self, server, session, envelope):
        self.count += 1
        with open(f"{folder}/{self.name}.{self.count}.part", "wb") as file:
            file.write(b"Rcpt: " + ",".join(envelope.rcpt_tos).encode() + b"\\r\\n" + envelope.content)
        import os
        os.rename(f"{folder}/{self.name}.{self.count}.part", f"{folder}/{self.name}.{self.count}.mail")
        return "250 taken"
def check(server, session, envelope, mechanism, data):
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (b"neph", b"pass word")
    return AuthResult(success=good)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(f"{folder}/own.pem", f"{folder}/own.key")
Controller(Keeper("clear"), hostname="127.0.0.1", port=int(sys.argv[2])).start()
Controller(Keeper("starttls"), hostname="127.0.0.1", port=int(sys.argv[3]), tls_context=context, require_starttls=True,
           authenticator=check, auth_required=True).start()
print("ready", flush=True)
time.sleep(3600)
"""

OCSF = """
import json, sys
from py_ocsf_models.events.findings.detection_finding import DetectionFinding
from py_ocsf_models.objects.observable import TypeID
count = 0
for line in open(sys.argv[1]):
    event = json.loads(line)
    # The models know the kinds of observables of an older version; the schema knows them all.
    event["observables"] = [one for one in event.get("observables", []) if one["type_id"] in set(TypeID)]
    finding = DetectionFinding.model_validate(event)
    assert finding.finding_info.uid and finding.finding_info.title and finding.metadata.product.name == "Nephoscope", line
    assert finding.type_uid == 200400 + finding.activity_id and finding.severity == finding.severity_id.name, line
    for attack in finding.finding_info.attacks or []:
        assert attack.tactic.uid.startswith("TA") and (not attack.technique or attack.technique.uid.startswith("T")), line
    kept = finding.model_dump(mode="json", exclude_unset=True)
    for key in ("message", "severity_id", "time", "status_id", "risk_score", "start_time", "end_time"):
        assert kept[key] == event[key], (key, line)
    count += 1
print(count)
"""

TEMPLATE = '{"title": "{{ severity | upper }}: {{ rule.name }}", "user": {{ alert.user.name }}, "why": "{{ reason }}", "techniques": {{ techniques }}}'


def configuration(folder, ports, http_port, https_port, smtp_ports):
    outputs = [
        {"name": "ecs", "type": "file", "path": str(folder / "ecs.ndjson")},
        {"name": "ocsf", "type": "file", "path": str(folder / "ocsf.ndjson"), "form": "ocsf"},
        {"name": "clear", "type": "mail", "server": f"127.0.0.1:{smtp_ports[0]}", "tls": "none", "from": "Neph <neph@example.com>", "to": ["soc@example.com"]},
        {"name": "starttls", "type": "mail", "server": f"localhost:{smtp_ports[1]}", "from": "neph@example.com",
         "to": ["soc@example.com", "lead@example.com"], "user": "neph", "password": {"file": str(folder / "password")}, "ca": str(folder / "ca.pem")},
        {"name": "template", "type": "webhook", "url": f"http://127.0.0.1:{http_port}/template", "template": str(folder / "template.json")},
    ]
    # The certificate is of an authority of our own, which only one of the two is told to trust.
    outputs.append({"name": "trusting", "type": "webhook", "url": f"https://localhost:{https_port}/trusting", "ca": str(folder / "ca.pem")})
    outputs.append({"name": "wary", "type": "webhook", "url": f"https://localhost:{https_port}/wary", "retry": "1s"})
    for shape in ("slack", "teams", "telegram"):
        chat = {"chat": "-1001"} if shape == "telegram" else {}
        outputs.append({"name": shape, "type": "webhook", "shape": shape, "url": f"http://127.0.0.1:{http_port}/{shape}", **chat})
    for name, port in ports.items():
        ca = {"ca": str(folder / "ca.pem")} if name == "tls" else {}
        form = {"form": "ocsf"} if name == "tls" else {}
        outputs.append({"name": f"syslog-{name}", "type": "syslog", "address": f"localhost:{port}" if name == "tls" else f"127.0.0.1:{port}",
                        "transport": name, **ca, **form})
    text = '[retention]\nkeep_free = "1MiB"\n'
    for output in outputs:
        text += "[[outputs]]\n"
        for key, value in output.items():
            value = json.dumps(value) if not isinstance(value, dict) else "{ " + ", ".join(f"{k} = {json.dumps(v)}" for k, v in value.items()) + " }"
            text += f"{key} = {value}\n"
    (folder / "password").write_text("pass word")
    (folder / "template.json").write_text(TEMPLATE)
    (folder / "neph.toml").write_text(text)


class Service:
    def __init__(self, folder):
        self.said = open(folder / "neph.said", "w+")
        binary = os.environ.get("NEPH", str(TARGET / "debug/neph"))
        command = [binary, "serve", "--config", folder / "neph.toml", "--data", folder / "data", "--listen", "127.0.0.1:0"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=self.said)
        address = folder / "data/address"
        wait("the service", lambda: address.exists() and address.read_text().endswith("\n"))
        self.base, self.token = address.read_text().strip(), (folder / "data/token").read_text().strip()

    def ask(self, path, body=None):
        request = urllib.request.Request(self.base + path, data=body, headers={"Authorization": f"Bearer {self.token}"})
        return json.load(urllib.request.urlopen(request, timeout=60))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)


def wait(what, ask, patience=WAIT):
    end = time.monotonic() + patience
    while not ask():
        if time.monotonic() > end:
            raise RuntimeError(f"waited in vain for {what}")
        time.sleep(0.2)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def parameters(data):
    own = re.search(r"\[neph@32473((?:[^\]\\]|\\.)*)\]", data)[1]
    return {key: re.sub(r"\\(.)", r"\1", value) for key, value in re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', own)}


def check_syslog(rsyslog, name, ids):
    told = set()
    for priority, app, kind, data, text in rsyslog.messages(name):
        found = parameters(data)
        assert app == "neph" and kind == "raised" or kind == "updated", (app, kind)
        assert priority in ("crit", "err", "warning", "notice"), priority
        document = json.loads(text)
        assert name == "udp" or len(text) < 8192
        assert document["class_uid"] == 2004 if name == "tls" else document["rule"]["name"].startswith(found["rule"].rstrip("…")[:60]), text
        told.add(found["id"])
    assert told == ids, f"{len(told)} of {len(ids)} alerts"


def check_mail(folder, name, ids):
    threads = set()
    for path in folder.glob(f"{name}.*.mail"):
        mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        assert mail["Subject"].startswith("[") and len(mail["Subject"]) <= 150 and "\n" not in mail["Subject"]
        assert mail["Rcpt"].count("@") == (2 if name == "starttls" else 1)
        assert mail["References"] == mail["In-Reply-To"] and mail["Message-ID"] != mail["References"]
        threads.add(mail["References"].strip("<>").split("@")[0])
        plain, page = mail.get_body(("plain",)).get_content(), mail.get_body(("html",)).get_content()
        assert "Risk: " in plain and "<table>" in page
    assert threads == ids, f"{len(threads)} of {len(ids)} alerts"


def check_chats(ids):
    for shape in ("slack", "teams", "telegram", "template"):
        bodies = [json.loads(body) for body in Receiver.bodies[f"/{shape}"]]
        assert len(bodies) >= len(ids), f"{shape}: {len(bodies)} of {len(ids)}"
        for body in bodies:
            if shape == "slack":
                assert len(body["blocks"]) <= 50 and body["blocks"][0]["type"] == "header" and body["text"]
            elif shape == "teams":
                card = body["attachments"][0]["content"]
                assert card["type"] == "AdaptiveCard" and card["version"] == "1.4" and len(json.dumps(body)) < 28 * 1024
            elif shape == "telegram":
                assert body["chat_id"] == "-1001" and body["parse_mode"] == "HTML" and len(body["text"]) <= 4096
            else:
                assert sorted(body) == ["techniques", "title", "user", "why"] and isinstance(body["techniques"], list)


def main():
    install()
    if "NEPH" not in os.environ:
        run(["cargo", "build", "--quiet", "--bin", "neph"], cwd=ROOT)
    failures = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        certificate(folder)
        rsyslog = Rsyslog(folder)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        secure = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "own.pem", folder / "own.key")
        secure.socket = context.wrap_socket(secure.socket, server_side=True)
        threading.Thread(target=secure.serve_forever, daemon=True).start()
        smtp_ports = [free_port(), free_port()]
        smtp = subprocess.Popen([PYTHON, "-c", SMTP, folder, *map(str, smtp_ports)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        smtp.stdout.readline()
        configuration(folder, rsyslog.ports, server.server_address[1], secure.server_address[1], smtp_ports)
        service = Service(folder)
        try:
            for path in sorted((ROOT / "rules/samples").glob("*.ndjson")):
                service.ask("/ingest", path.read_bytes())
            wait("the pipeline", lambda: service.ask("/api/v1/status")["pending_bytes"] == 0)
            time.sleep(2)
            alerts = service.ask("/api/v1/alerts?limit=1000")["alerts"]
            ids = {alert["id"] for alert in alerts}
            assert len(ids) >= 20, f"{len(ids)} alerts of the samples"

            def delivered():
                return all(output["waiting"] == 0 for output in service.ask("/api/v1/status")["outputs"])

            wait("all deliveries", delivered)
            time.sleep(1)

            def check(name, look):
                try:
                    print(f"{name:24} {look() or ''} ok", flush=True)
                except Exception as error:  # The others are looked at as well.
                    failures.append(name)
                    print(f"{name:24} FAILED: {type(error).__name__}: {str(error)[-1500:]}", flush=True)

            def documents():
                told = {event["kibana.alert.uuid"] for event in lines(folder / "ecs.ndjson")}
                assert told == ids, f"{len(told)} of {len(ids)}"
                return f"{len(told)} alerts"

            def findings():
                told = {event["finding_info"]["uid"] for event in lines(folder / "ocsf.ndjson")}
                assert told == ids, f"{len(told)} of {len(ids)}"
                return run([PYTHON, "-c", OCSF, folder / "ocsf.ndjson"]).strip() + " findings"

            def secured():
                dead = {output["name"]: output["dead"] for output in service.ask("/api/v1/outputs")["outputs"]}
                assert len(Receiver.bodies["/trusting"]) == len(ids), len(Receiver.bodies["/trusting"])
                assert not Receiver.bodies["/wary"] and dead["wary"] == len(ids) and not dead["trusting"], dead
                return f"{len(ids)} alerts"

            check("ECS documents", documents)
            check("webhooks over TLS", secured)
            check("OCSF by py-ocsf-models", findings)
            if len(sys.argv) > 1:
                check("OCSF by its schema", lambda: run([sys.executable, ROOT / ".ci/ocsf_schema.py", sys.argv[1], folder / "ocsf.ndjson"]).strip())
            else:
                print("OCSF by its schema       skipped: no checkout of ocsf/ocsf-schema is named")
            for name in rsyslog.ports:
                wait(f"rsyslog over {name}", lambda: len(rsyslog.messages(name)) >= len(ids), 30)
                check(f"rsyslog over {name}", lambda: check_syslog(rsyslog, name, ids))
            for name in ("clear", "starttls"):
                check(f"aiosmtpd, {name}", lambda: check_mail(folder, name, ids))
            check("chats and a template", lambda: check_chats(ids))
        finally:
            service.stop()
            smtp.kill()
            rsyslog.stop()
            if failures or sys.exc_info()[0]:
                service.said.seek(0)
                print(service.said.read()[-3000:])
    print(f"{len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
