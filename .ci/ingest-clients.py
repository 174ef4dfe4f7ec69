#!/usr/bin/env python3
"""Lets real clients write to `neph serve`: each record is stored once, and a rule meets the one that it looks for.

    python3 .ci/ingest-clients.py [--only NAME,NAME…] [--also FLUENT-BIT]

Two services run: one without a configuration, and one with TLS, certificates of clients, syslog, followed files. Clients are the
official ones, unchanged. What is missing is installed: Python's into an environment of its own below the target folder, those of npm
likewise; rsyslog and syslog-ng are unpacked from Debian's packages there, since the system takes only one of them. The API server
of Kubernetes and Falco are not run: their requests are made by `curl`, in the form that their sources give them.
"""

import argparse
import collections
import datetime
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time

from service import TARGET, Certificates, Service, build, run, wait_for
import shippers

WORK = TARGET / "ingest-clients"
PYTHON = WORK / "venv" / "bin" / "python"
COUNT = 200
# One of the records is what a rule looks for.
PLANTED = 77
RULE = "73740918-e705-4a94-a3f9-b65bf290aeae"
INDEX = "logs-aws.cloudtrail-test"

PIP = [
    "elasticsearch==9.5.1",
    "opensearch-py==3.2.0",
    "opentelemetry-sdk==1.45.2",
    "opentelemetry-exporter-otlp-proto-http==1.45.2",
    "splunk-hec-handler==1.2.0",
]
NPM = [
    "@elastic/elasticsearch@9.5.1",
    "splunk-logging@0.11.1",
    "@opentelemetry/exporter-logs-otlp-http@0.301.0",
    "@opentelemetry/sdk-logs@3.1.1",
]

# Code of each client; `text(n)` is the record with the number `n`, as text of JSON.
PYTHON_CLIENTS = {
    "elasticsearch-py": """
        from elasticsearch import Elasticsearch, helpers
        client = Elasticsearch(HTTP, api_key=tuple(TOKEN.removeprefix("neph_").split("_")))
        assert client.info()["version"]["number"]
        taken, errors = helpers.bulk(client, (
            {"_op_type": "create", "_index": INDEX, "message": text(n)} for n in range(COUNT - 1)))
        assert (taken, errors) == (COUNT - 1, []), (taken, errors)
        assert client.index(index=INDEX, document={"message": text(COUNT - 1)})["result"] == "created"
    """,
    "elasticsearch-py-tls": """
        from elasticsearch import Elasticsearch, helpers
        client = Elasticsearch(HTTP, basic_auth=("neph", TOKEN), ca_certs=AUTHORITY, client_cert=CLIENT[0], client_key=CLIENT[1], http_compress=True)
        taken, errors = helpers.bulk(client, ({"_op_type": "create", "_index": INDEX, "_id": f"tls-{n}", "message": text(n)} for n in range(COUNT)))
        assert (taken, errors) == (COUNT, []), (taken, errors)
    """,
    "opensearch-py": """
        from opensearchpy import OpenSearch, helpers
        client = OpenSearch(HTTP, http_auth=("anyone", TOKEN))
        assert client.info()["version"]["number"]
        actions = [{"_index": INDEX, "_id": f"os-{n}", "_source": {"message": text(n)}} for n in range(COUNT)]
        for _ in range(2):  # What is sent again has its id, and counts once.
            taken, errors = helpers.bulk(client, actions, chunk_size=60)
            assert (taken, errors) == (COUNT, []), (taken, errors)
    """,
    "opentelemetry-python": """
        import logging
        from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
        from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.exporter.otlp.proto.http import Compression
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
        exporter = OTLPLogExporter(HTTP + "/v1/logs", headers={"authorization": "Bearer " + TOKEN}, compression=Compression.Gzip)
        provider = LoggerProvider(resource=Resource.create({"service.name": "test"}))
        provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
        logger = logging.getLogger("test")
        logger.addHandler(LoggingHandler(logger_provider=provider))
        for n in range(COUNT):
            logger.error(text(n))
        provider.shutdown()
    """,
    "splunk-hec-handler": """
        import logging, time
        from splunk_hec_handler import SplunkHecHandler
        host, port = HTTP.removeprefix("http://").split(":")
        handler = SplunkHecHandler(host, TOKEN, port=int(port), proto="http", ssl_verify=False, sourcetype="handler:test")
        logger = logging.getLogger("test")
        logger.addHandler(handler)
        for n in range(COUNT):
            logger.error(text(n))
        logging.shutdown()
    """,
}
NODE_CLIENTS = {
    "elasticsearch-js": """
        const { Client } = require('@elastic/elasticsearch');
        const [, id, secret] = TOKEN.split('_');
        const client = new Client({ node: HTTP, auth: { apiKey: { id, api_key: secret } }, compression: true });
        const datasource = Array.from({ length: COUNT }, (_, n) => ({ message: text(n) }));
        const done = await client.helpers.bulk({ datasource, onDocument: () => ({ create: { _index: INDEX } }), flushBytes: 20000 });
        if (done.successful !== COUNT || done.failed) throw new Error(JSON.stringify(done));
    """,
    "splunk-logging-js": """
        const { Logger } = require('splunk-logging');
        const logger = new Logger({ token: TOKEN, url: HTTP, maxBatchCount: 0, batchInterval: 0, maxBatchSize: 0 });
        for (let n = 0; n < COUNT; n++) logger.send({ message: text(n), metadata: { sourcetype: 'js:test', host: 'node-1' } });
        await new Promise((ok, fail) => logger.flush((error, response, body) =>
            error || body.code !== 0 ? fail(new Error(error || JSON.stringify(body))) : ok()));
    """,
    "opentelemetry-js": """
        const { OTLPLogExporter } = require('@opentelemetry/exporter-logs-otlp-http');
        const { LoggerProvider, BatchLogRecordProcessor } = require('@opentelemetry/sdk-logs');
        const exporter = new OTLPLogExporter({ url: HTTP + '/v1/logs', headers: { authorization: 'Bearer ' + TOKEN } });
        const provider = new LoggerProvider({ processors: [new BatchLogRecordProcessor({ exporter }), ] });
        const logger = provider.getLogger('test');
        for (let n = 0; n < COUNT; n++) logger.emit({ body: text(n) });
        await provider.forceFlush();
        await provider.shutdown();
    """,
}


def texts(name):
    """The records of a client: calls of AWS, as CloudTrail writes them; one makes a snapshot public."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    everyone = {"createVolumePermission": {"add": {"items": [{"group": "all"}]}}}
    out = []
    for n in range(COUNT):
        call, asked = ("ModifySnapshotAttribute", everyone) if n == PLANTED else ("DescribeTags", {})
        record = {
            "eventVersion": "1.09",
            "userIdentity": {"type": "IAMUser", "arn": f"arn:aws:iam::111122223333:user/{name}", "accountId": "111122223333", "userName": name},
            "eventTime": now,
            "eventSource": "ec2.amazonaws.com",
            "eventName": call,
            "awsRegion": "eu-west-1",
            "sourceIPAddress": "203.0.113.9",
            "requestParameters": {"snapshotId": f"snap-{n}", **asked},
            "responseElements": {"_return": True},
            "eventID": f"{name}-{n}",
            "eventType": "AwsApiCall",
            "recipientAccountId": "111122223333",
        }
        out.append(json.dumps(record, separators=(",", ":")))
    return out


def install():
    WORK.mkdir(parents=True, exist_ok=True)
    stamp, wanted = WORK / "installed", json.dumps([PIP, NPM])
    if not (stamp.exists() and stamp.read_text() == wanted):
        shutil.rmtree(WORK / "venv", ignore_errors=True)
        run([sys.executable, "-m", "venv", WORK / "venv"])
        run([PYTHON, "-m", "pip", "install", "--quiet", *PIP])
        (WORK / "package.json").write_text("{}")
        run(["npm", "install", "--loglevel=error", "--no-fund", "--no-audit", *NPM], cwd=WORK)
        stamp.write_text(wanted)


class Place:
    """Where a client writes to."""

    def __init__(self, service, token, certificates, folder):
        self.service, self.token, self.certificates, self.folder = service, token, certificates, folder


def python_client(name, code):
    def send(place):
        facts = {
            "HTTP": place.service.base,
            "TOKEN": place.token,
            "COUNT": COUNT,
            "INDEX": INDEX,
            "AUTHORITY": str(place.certificates.authority),
            "CLIENT": [str(path) for path in place.certificates.client],
        }
        head = "".join(f"{key} = {value!r}\n" for key, value in facts.items()) + "import sys\ntext = sys.stdin.read().splitlines().__getitem__\n"
        run([PYTHON, "-c", head + textwrap.dedent(code)], input="\n".join(texts(name)), timeout=120)

    return send


def node_client(name, code):
    def send(place):
        facts = {"HTTP": place.service.base, "TOKEN": place.token, "COUNT": COUNT, "INDEX": INDEX}
        head = "".join(f"const {key} = {json.dumps(value)};\n" for key, value in facts.items())
        head += "const lines = require('fs').readFileSync(0, 'utf8').split('\\n'), text = n => lines[n];\n"
        code_ = f"{head}(async () => {{{code}}})().catch(e => {{ console.error(e); process.exit(1); }})"
        run(["node", "-e", code_], cwd=WORK, input="\n".join(texts(name)), timeout=120)

    return send


def logger(name, transport):
    def send(place):
        host, port = place.service.listeners()[transport].split(":")
        command = ["logger", f"--{transport}", "--server", host, "--port", port, "--rfc5424", "--tag", "test", "--size", "8KiB"]
        if transport == "tcp":
            command.append("--octet-count")
        run(command, input="\n".join(texts(name)) + "\n", timeout=60)

    return send


def curl(place, path, body, headers=()):
    command = ["curl", "-sS", "--fail-with-body", "--data-binary", "@-", place.service.base + path]
    for header in (f"Authorization: Bearer {place.token}", *headers):
        command += ["-H", header]
    if place.service.context:
        certificate, key = place.certificates.client
        command += ["--cacert", place.certificates.authority, "--cert", certificate, "--key", key]
    return run(command, input=body, timeout=60)


def by_curl(name):
    def send(place):
        answer = curl(place, "/ingest", "\n".join(texts(name)))
        assert json.loads(answer)["accepted"] == COUNT, answer

    return send


def followed(place):
    """A file that is renamed while it is followed."""
    lines, path = texts("followed"), place.folder / "followed.log"
    half = COUNT // 2
    with open(path, "a") as file:
        print(*lines[:half], sep="\n", file=file)
    time.sleep(1.5)
    os.rename(path, place.folder / "followed.log.1")
    with open(path, "a") as file:
        print(*lines[half:], sep="\n", file=file)


def kubernetes_audit(place):
    """The request of `--audit-webhook-config-file`: https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/#webhook-backend"""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    event = {
        "level": "Metadata", "auditID": "0b0ee3a1-5a2c-4a2e-9a0e-000000000001", "stage": "ResponseComplete", "requestURI": "/api/v1/namespaces/shop/pods?limit=500",
        "verb": "list", "user": {"username": "system:anonymous", "groups": ["system:unauthenticated"]}, "sourceIPs": ["203.0.113.9"],
        "userAgent": "kubectl/v1.29.1 (linux/amd64) kubernetes/6eff1b5", "objectRef": {"resource": "pods", "namespace": "shop", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 200}, "requestReceivedTimestamp": now, "stageTimestamp": now,
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
    }  # fmt: skip
    body = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": [event]}
    curl(place, "/ingest/k8s_audit", json.dumps(body) + "\n", ["Content-Type: application/json", "User-Agent: kube-apiserver/v1.29.1"])


def falco(place):
    """The request of `http_output` with `json_output`: https://falco.org/docs/concepts/outputs/channels/#http-output"""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
    fields = {
        "container.id": "3ad7b26ded6d", "container.image.repository": "docker.io/library/alpine", "container.name": "shop", "evt.time": time.time_ns(), "evt.type": "connect",
        "fd.name": "10.1.2.3:41234->169.254.169.254:80", "fd.sip": "169.254.169.254", "fd.sport": 80, "k8s.ns.name": "shop", "k8s.pod.name": "falco-client",
        "proc.cmdline": "curl http://169.254.169.254/latest/meta-data/", "proc.name": "curl", "proc.pid": 4711, "user.name": "root", "user.uid": 0,
    }  # fmt: skip
    body = {
        "hostname": "node-1", "output": f"{now}: Notice Outbound connection to EC2 instance metadata service", "output_fields": fields, "priority": "Notice",
        "rule": "Contact EC2 Instance Metadata Service From Container", "source": "syscall", "tags": ["container", "mitre_discovery", "network"], "time": now,
    }  # fmt: skip
    curl(place, "/ingest/falco", json.dumps(body), ["Content-Type: application/json", "User-Agent: falcosecurity/falco"])


# Events of webhooks: the rule that meets them, and a word of its alert.
WEBHOOKS = {
    "kubernetes-audit": (kubernetes_audit, "7f301e29-3da0-4662-8bd9-324f82c28a36", "system:anonymous"),
    "falco": (falco, "d8357279-01ae-48cd-b366-fc94faaf4e27", "falco-client"),
}


def configuration(folder, certificates, port):
    """What is tried of it: TLS with certificates of clients, a token of its own, syslog, files."""
    (folder / "token").write_text("a-secret-that-was-chosen\n")
    (folder / "followed.log").touch()
    certificate, key = certificates.server
    tls = f'{{ certificate = "{certificate}", key = "{key}", client_ca = "{certificates.authority}" }}'
    return textwrap.dedent(f"""
        [api]
        listen = ["127.0.0.1:{port}"]
        tls = {tls}

        [[tokens]]
        name = "sender"
        role = "ingest"
        secret = {{ file = "token" }}

        [[syslog]]
        listen = "127.0.0.1:0"
        transport = "udp"

        [[syslog]]
        listen = "127.0.0.1:0"
        transport = "tcp"
        allow = ["127.0.0.0/8"]

        [[syslog]]
        listen = "127.0.0.1:0"
        transport = "tls"
        tls = {tls}

        [[files]]
        paths = ["followed.log"]
        """)


def sends_while_down(name, shipper, place):
    """A shipper that keeps what is not acknowledged; the service is killed, and comes back after the second half was written."""
    source = place.folder / f"{name}.log"
    source.touch()
    daemon = shipper(name, place, source)
    lines = texts(name)
    with open(source, "a") as file:
        print(*lines[: COUNT // 2], sep="\n", file=file)
    time.sleep(3)
    place.service.stop(signal.SIGKILL)
    with open(source, "a") as file:
        print(*lines[COUNT // 2 :], sep="\n", file=file)
    time.sleep(2)
    place.service.start()
    return daemon


def stored(service):
    """By name of the client the numbers of its records, and how often each is stored."""
    found = collections.defaultdict(collections.Counter)
    for event in service.events('any where event.provider == "ec2.amazonaws.com"'):
        name, _, number = event["event"]["id"].rpartition("-")
        found[name][int(number)] += 1
    return found


def alerts_of(service, names):
    """How many alerts tell of each client."""
    told = collections.Counter()
    for alert in service.alerts(RULE):
        told.update(name for name in names if f"`{name}`" in alert["reason"])
    return told


def check(service, names):
    """Waits until everything is there; what is wrong, by client."""
    wrong, found, told = {}, {}, {}
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found, told = stored(service), alerts_of(service, names)
        wrong = {}
        for name in names:
            missing = [n for n in range(COUNT) if n not in found[name]]
            if missing:
                wrong[name] = f"missing {len(missing)} ({missing[:5]})"
            elif told[name] != 1:
                wrong[name] = f"{told[name]} alerts instead of one"
        if not wrong:
            break
        time.sleep(1)
    for name in names:
        print(f"{name:24} {len(found[name]):4} records, {told[name]} alert  {'FAILED' if name in wrong else 'ok'}")
    return wrong


def webhooks(place, names):
    wrong = {}
    for name in names:
        send, rule, word = WEBHOOKS[name]
        try:
            send(place)
            wait_for(f"an alert of {name}", 30, lambda: any(word in json.dumps(alert) for alert in place.service.alerts(rule)))
        except Exception as error:
            wrong[name] = str(error)
        print(f"{name:24}    1 record, 1 alert  {'FAILED' if name in wrong else 'ok'}")
    return wrong


def attempt(clients, place, failures):
    for name, send in clients.items():
        try:
            send(place)
        except Exception as error:  # The other clients are tried as well.
            failures[name] = str(error)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", help="names of clients, with commas between them")
    parser.add_argument("--also", help="a program of Fluent Bit, to be tried as well", type=pathlib.Path)
    arguments = parser.parse_args()
    install()
    build()
    programs = shippers.install(WORK / "shippers")
    chosen = lambda clients: {name: send for name, send in clients.items() if not arguments.only or name in arguments.only.split(",")}
    tls = "elasticsearch-py-tls"
    plain = {name: python_client(name, code) for name, code in PYTHON_CLIENTS.items() if name != tls}
    plain |= {name: node_client(name, code) for name, code in NODE_CLIENTS.items()}
    plain |= {"curl": by_curl("curl")}
    secured = {tls: python_client(tls, PYTHON_CLIENTS[tls]), "curl-tls": by_curl("curl-tls"), "followed": followed}
    secured |= {"logger-udp": logger("logger-udp", "udp"), "logger-tcp": logger("logger-tcp", "tcp")}
    syslog = shippers.syslog(programs)
    buffering = shippers.buffering(programs, arguments.also)
    plain, secured, syslog, buffering, hooks = map(chosen, (plain, secured, syslog, buffering, WEBHOOKS))
    failures, daemons = {}, []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        certificates = Certificates(folder / "certificates")
        first = Service(folder / "first", listen="127.0.0.1:0")
        services = [first]
        try:
            place = Place(first, first.make_token("clients", "ingest")["token"], certificates, folder / "first")
            attempt(plain, place, failures)
            failures |= webhooks(place, hooks)
            failures |= check(first, plain) | failures

            home = folder / "second"
            home.mkdir()
            second = Service(home, configuration(home, certificates, 0), authority=certificates.authority)
            services.append(second)
            second.context.load_cert_chain(*certificates.client)
            place = Place(second, "a-secret-that-was-chosen", certificates, home)
            attempt(secured, place, failures)
            for name, shipper in syslog.items():
                source = home / f"{name}.log"
                source.write_text("\n".join(texts(name)) + "\n")
                daemons.append(shipper(name, place, source))
            failures |= check(second, [*secured, *syslog]) | failures

            # What is written while nobody takes it is kept by the shippers.
            first.stop()
            third = Service(folder / "third", listen=f"127.0.0.1:{shippers.free_port()}")
            services.append(third)
            place = Place(third, third.make_token("shippers", "ingest")["token"], certificates, folder / "third")
            third.command[-1] = third.base.removeprefix("http://")
            for name, shipper in buffering.items():
                try:
                    daemons.append(sends_while_down(name, shipper, place))
                except Exception as error:
                    failures[name] = str(error)
            failures |= check(third, buffering) | failures
        finally:
            for daemon in daemons:
                daemon.terminate()
            for daemon in daemons:
                daemon.wait(timeout=30)
            for service in services:
                service.stop()
    for name, why in failures.items():
        print(f"\n{name}: {why}")
    tried = len(plain) + len(secured) + len(syslog) + len(buffering) + len(hooks)
    print(f"{tried - len(failures)} passed, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
