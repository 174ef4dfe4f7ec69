#!/usr/bin/env python3
"""Lets real clients write to the service and checks that every record arrived exactly once.

    python3 .ci/ingest-clients.py [--only NAME,NAME…]

Clients are the official ones, unchanged: `elasticsearch` and `opensearch-py`, `@elastic/elasticsearch`, the exporters of
OpenTelemetry, handlers for Splunk, rsyslog (`omelasticsearch` and syslog over TCP), `logger` (UDP and TCP), `curl`. What is missing is installed:
Python's into an environment of its own below the target folder, those of npm likewise, rsyslog with apt where this is run by root.
"""

import argparse
import collections
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
WORK = TARGET / "ingest-clients"
PYTHON = WORK / "venv" / "bin" / "python"
TOKEN = "clienttest"
COUNT = 500

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

# Each client sends records that hold `client=NAME n=NUMBER`, with numbers from 0 to COUNT - 1.
PYTHON_CLIENTS = {
    "elasticsearch-py": """
        from elasticsearch import Elasticsearch, helpers
        client = Elasticsearch(HTTP, api_key=("id", TOKEN))
        assert client.info()["version"]["number"]
        taken, errors = helpers.bulk(client, (
            {"_op_type": "create", "_index": "py-test", "message": text(n)} for n in range(COUNT - 1)))
        assert (taken, errors) == (COUNT - 1, []), (taken, errors)
        assert client.index(index="py-test", document={"message": text(COUNT - 1)})["result"] == "created"
    """,
    "opensearch-py": """
        from opensearchpy import OpenSearch, helpers
        client = OpenSearch(HTTP, http_auth=("anyone", TOKEN))
        assert client.info()["version"]["number"]
        actions = ({"_index": "os-test", "_id": f"os-{n}", "_source": {"message": text(n)}} for n in range(COUNT))
        taken, errors = helpers.bulk(client, actions, chunk_size=100)
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
        const client = new Client({ node: HTTP, auth: { apiKey: Buffer.from('id:' + TOKEN).toString('base64') }, compression: true });
        const datasource = Array.from({ length: COUNT }, (_, n) => ({ message: text(n) }));
        const done = await client.helpers.bulk({ datasource, onDocument: () => ({ create: { _index: 'js-test' } }), flushBytes: 20000 });
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


def run(command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stdout[-4000:]}")
    return done.stdout


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
    if not shutil.which("rsyslogd", path="/usr/sbin:/usr/bin") and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        run(["apt-get", "update", "-qq"], env=environment)
        run(["apt-get", "install", "-qq", "--no-install-recommends", "rsyslog", "rsyslog-elasticsearch"], env=environment)


class Service:
    """The example server of the crate, with its log in a folder of its own."""

    def __init__(self, folder):
        self.folder = folder
        run(["cargo", "build", "--quiet", "-p", "neph-ingest", "--example", "ingest"], cwd=ROOT)
        self.followed = folder / "followed.log"
        command = [TARGET / "debug/examples/ingest", folder / "data", "127.0.0.1:0", "127.0.0.1:0", TOKEN, self.followed]
        (folder / "data").mkdir()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        words = self.process.stdout.readline().split()
        self.http, self.syslog_tcp, self.syslog_udp = "http://" + words[1], words[3], words[5]

    def stop(self):
        counts, _ = self.process.communicate(timeout=60)
        if self.process.returncode:
            raise RuntimeError(f"the service ended with {self.process.returncode}")
        return counts, (self.folder / "data/records.txt").read_text(errors="replace")


def python_client(name, code):
    def send(service):
        head = f"HTTP, TOKEN, COUNT = {service.http!r}, {TOKEN!r}, {COUNT}\ntext = lambda n: f'client={name} n={{n}} end'\n"
        run([PYTHON, "-c", head + textwrap.dedent(code)], timeout=120)

    return send


def node_client(name, code):
    def send(service):
        head = (
            f"const HTTP = {json.dumps(service.http)}, TOKEN = {json.dumps(TOKEN)}, COUNT = {COUNT};\n"
            f"const text = n => `client={name} n=${{n}} end`;\n"
        )
        run(["node", "-e", f"{head}(async () => {{{code}}})().catch(e => {{ console.error(e); process.exit(1); }})"], cwd=WORK, timeout=120)

    return send


def logger(name, transport):
    def send(service):
        host, port = getattr(service, f"syslog_{transport}").split(":")
        text = "".join(f"client={name} n={n} end\n" for n in range(COUNT))
        option = "--udp" if transport == "udp" else "--tcp"
        command = ["logger", option, "--server", host, "--port", port, "--rfc5424", "--tag", "test"]
        if transport == "tcp":
            command.append("--octet-count")
        run(command, input=text, timeout=60)

    return send


def curl(service):
    text = "".join(json.dumps({"message": f"client=curl n={n} end"}) + "\n" for n in range(COUNT))
    address = f"{service.http}/ingest"
    answer = run(["curl", "-sS", "--fail", "-H", f"Authorization: Bearer {TOKEN}", "--data-binary", "@-", address], input=text, timeout=60)
    assert json.loads(answer)["accepted"] == COUNT, answer


def followed(service):
    with open(service.followed, "a") as file:
        for n in range(COUNT // 2):
            print(f"client=followed n={n} end", file=file)
    time.sleep(1.5)
    os.rename(service.followed, service.folder / "followed.log.1")
    with open(service.followed, "a") as file:
        for n in range(COUNT // 2, COUNT):
            print(f"client=followed n={n} end", file=file)


def rsyslog(service):
    """One daemon that writes by `omelasticsearch` and forwards by syslog over TCP."""
    folder = service.folder / "rsyslog"
    folder.mkdir()
    host, port = service.http.removeprefix("http://").split(":")
    tcp_host, tcp_port = service.syslog_tcp.split(":")
    source = folder / "in.log"
    source.touch()
    (folder / "rsyslog.conf").write_text(
        textwrap.dedent(f"""
        module(load="imfile")
        module(load="omelasticsearch")
        input(type="imfile" file="{source}" tag="test:")
        template(name="document" type="list" option.json="on") {{
            constant(value="{{\\"@timestamp\\":\\"") property(name="timereported" dateFormat="rfc3339")
            constant(value="\\",\\"message\\":\\"client=rsyslog-elasticsearch ") property(name="msg") constant(value="\\"}}")
        }}
        template(name="forwarded" type="string" string="<%PRI%>1 %TIMESTAMP:::date-rfc3339% host test - - - client=rsyslog-tcp %msg%\\n")
        action(type="omelasticsearch" server="{host}" serverport="{port}" uid="anyone" pwd="{TOKEN}" template="document"
               searchIndex="rsyslog-test" searchType="" bulkmode="on" errorfile="{folder}/errors" action.resumeRetryCount="5")
        action(type="omfwd" target="{tcp_host}" port="{tcp_port}" protocol="tcp" template="forwarded" action.resumeRetryCount="5")
        """)
    )
    daemon = shutil.which("rsyslogd", path="/usr/sbin:/usr/bin")
    process = subprocess.Popen([daemon, "-n", "-f", folder / "rsyslog.conf", "-i", folder / "pid"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(source, "a") as file:
        for n in range(COUNT):
            print(f"n={n} end", file=file)
    time.sleep(6)
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=30)
    errors = folder / "errors"
    if errors.exists() and errors.stat().st_size:
        raise RuntimeError(errors.read_text()[:2000])


def clients():
    out = {name: python_client(name, code) for name, code in PYTHON_CLIENTS.items()}
    out.update({name: node_client(name, code) for name, code in NODE_CLIENTS.items()})
    out.update({"logger-udp": logger("logger-udp", "udp"), "logger-tcp": logger("logger-tcp", "tcp"), "curl": curl, "followed": followed})
    if shutil.which("rsyslogd", path="/usr/sbin:/usr/bin"):
        out["rsyslog-elasticsearch"] = rsyslog
        out["rsyslog-tcp"] = lambda service: None
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", help="names of clients, with commas between them")
    wanted = parser.parse_args().only
    install()
    chosen = {name: send for name, send in clients().items() if not wanted or name in wanted.split(",")}
    failures = {}
    with tempfile.TemporaryDirectory() as folder:
        service = Service(pathlib.Path(folder))
        try:
            for name, send in chosen.items():
                try:
                    send(service)
                except Exception as error:  # The other clients are tried as well.
                    failures[name] = str(error)
            time.sleep(3)
        finally:
            counts, records = service.stop()
    found = collections.defaultdict(collections.Counter)
    streams = collections.defaultdict(set)
    for line in records.splitlines():
        stream, _, record = line.partition("\t")
        for client, number in re.findall(r"client=(\S+)\s+n=(\d+) end", record):
            found[client][int(number)] += 1
            streams[client].add(stream)
    for name in chosen:
        numbers = found[name]
        missing = [n for n in range(COUNT) if n not in numbers]
        twice = [n for n, count in numbers.items() if count > 1]
        if missing or twice:
            failures.setdefault(name, f"missing {len(missing)} ({missing[:5]}), more than once {len(twice)} ({twice[:5]})")
        state = "FAILED" if name in failures else "ok"
        print(f"{name:24} {sum(numbers.values()):5} records  {', '.join(sorted(streams[name])):40} {state}")
    for name, why in failures.items():
        print(f"\n{name}: {why}")
    if failures:
        print(counts)
    print(f"{len(chosen) - len(failures)} passed, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
