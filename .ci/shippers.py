"""Daemons that ship logs: rsyslog, syslog-ng, Fluent Bit; each reads a file and writes to the service."""

import os
import shutil
import socket
import subprocess
import textwrap

from service import run

# The two daemons are alternatives for the system, so both are unpacked instead of installed, with the libraries that only they need.
PACKAGES = ["rsyslog", "rsyslog-elasticsearch", "rsyslog-openssl", "libestr0", "libfastjson4", "liblognorm5"]
PACKAGES += ["syslog-ng-core", "syslog-ng-mod-http", "syslog-ng-scl", "libivykis0", "libnet1", "libcurl4", "libpcre3", "libwrap0"]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def install(folder):
    """Where they are unpacked, or nothing where Debian's packages are not to be had."""
    stamp = folder / "unpacked"
    if stamp.exists() and stamp.read_text() == str(PACKAGES):
        return folder
    if not shutil.which("apt-get"):
        return None
    shutil.rmtree(folder, ignore_errors=True)
    packages = folder / "packages"
    packages.mkdir(parents=True)
    if os.geteuid() == 0:
        run(["apt-get", "update", "-qq"])
    run(["apt-get", "download", "-q", *PACKAGES], cwd=packages)
    for package in packages.iterdir():
        run(["dpkg-deb", "-x", package, folder])
    stamp.write_text(str(PACKAGES))
    return folder


def started(command, folder, libraries=()):
    """A daemon that runs, with what it says in a file."""
    environment = dict(os.environ, LD_LIBRARY_PATH=":".join(map(str, libraries)))
    with open(folder / "said", "wb") as said:
        return subprocess.Popen(command, stdout=said, stderr=said, env=environment)


def rsyslog(programs, folder, configuration):
    folder.mkdir()
    path = folder / "rsyslog.conf"
    path.write_text(f'global(workDirectory="{folder}" maxMessageSize="64k")\nmodule(load="imfile" pollingInterval="1")\n' + textwrap.dedent(configuration))
    modules = programs / "usr/lib/x86_64-linux-gnu/rsyslog"
    command = [programs / "usr/sbin/rsyslogd", "-n", "-f", path, "-i", folder / "pid", "-M", modules]
    return started(command, folder, [programs / "usr/lib/x86_64-linux-gnu"])


def rsyslog_tls(programs):
    def start(name, place, source):
        host, port = place.service.listeners()["tls"].split(":")
        certificate, key = place.certificates.client
        return rsyslog(
            programs,
            place.folder / f"{name}-daemon",
            f"""
            input(type="imfile" file="{source}" tag="test:")
            action(type="omfwd" target="{host}" port="{port}" protocol="tcp" template="RSYSLOG_SyslogProtocol23Format" TCP_Framing="octet-counted"
                   streamDriver="ossl" streamDriverMode="1" streamDriverAuthMode="x509/certvalid" action.resumeRetryCount="-1" action.resumeInterval="1"
                   streamDriver.CAFile="{place.certificates.authority}" streamDriver.CertFile="{certificate}" streamDriver.KeyFile="{key}")
            """,
        )

    return start


def rsyslog_elasticsearch(programs):
    """`omelasticsearch` with a queue on disk."""

    def start(name, place, source):
        host, port = place.service.base.removeprefix("http://").split(":")
        return rsyslog(
            programs,
            place.folder / f"{name}-daemon",
            f"""
            module(load="omelasticsearch")
            input(type="imfile" file="{source}" tag="test:")
            template(name="document" type="list" option.jsonf="on") {{
                property(outname="@timestamp" name="timereported" dateFormat="rfc3339" format="jsonf")
                property(outname="host" name="hostname" format="jsonf")
                property(outname="message" name="msg" format="jsonf")
            }}
            action(type="omelasticsearch" server="{host}" serverport="{port}" uid="anyone" pwd="{place.token}" template="document"
                   searchIndex="logs-aws.cloudtrail-rsyslog" searchType="" bulkmode="on" errorfile="{place.folder}/{name}-daemon/errors"
                   action.resumeRetryCount="-1" action.resumeInterval="1" queue.type="linkedList" queue.filename="q" queue.saveOnShutdown="on")
            """,
        )

    return start


def syslog_ng(programs, folder, source, destination):
    folder.mkdir()
    path = folder / "syslog-ng.conf"
    # Its library of blocks is read from where it is unpacked.
    library = programs / "usr/share/syslog-ng/include/scl"
    path.write_text(
        textwrap.dedent(f"""
        @version: 3.38
        @include "{library}/elasticsearch/elastic-http.conf"
        options {{ stats-freq(0); time-reopen(1); }};
        source lines {{ file("{source}" follow-freq(1) flags(no-parse)); }};
        """).lstrip()
        + f"destination service {{ {textwrap.dedent(destination)} }};\nlog {{ source(lines); destination(service); flags(flow-control); }};\n"
    )
    own = programs / "usr/lib/syslog-ng"
    control = ["--persist-file", folder / "persist", "--control", folder / "control", "--pidfile", folder / "pid"]
    command = [programs / "usr/sbin/syslog-ng", "-F", "--no-caps", "-f", path, "--module-path", own / "3.38", *control]
    return started(command, folder, [own, programs / "usr/lib/x86_64-linux-gnu", programs / "lib/x86_64-linux-gnu"])


def syslog_ng_tls(programs):
    def start(name, place, source):
        host, port = place.service.listeners()["tls"].split(":")
        certificate, key = place.certificates.client
        return syslog_ng(
            programs,
            place.folder / f"{name}-daemon",
            source,
            f"""
            syslog("{host}" port({port}) transport("tls") tls(ca-file("{place.certificates.authority}")
                cert-file("{certificate}") key-file("{key}") peer-verify(required-trusted)));
            """,
        )

    return start


def syslog_ng_elasticsearch(programs):
    """`elasticsearch-http` with a reliable buffer on disk."""

    def start(name, place, source):
        folder = place.folder / f"{name}-daemon"
        return syslog_ng(
            programs,
            folder,
            source,
            f"""
            elasticsearch-http(url("{place.service.base}/_bulk") index("logs-aws.cloudtrail-syslogng") type("") user("anyone") password("{place.token}")
                template("$(format-json @timestamp=$ISODATE message=$MSG)") batch-lines(50) batch-timeout(500) timeout(5) time-reopen(1)
                disk-buffer(reliable(yes) disk-buf-size(10M) mem-buf-size(1M) dir("{folder}")));
            """,
        )

    return start


def fluent_bit(program, output):
    """Its `tail` with a buffer on disk, and one of its outputs."""

    def start(name, place, source):
        folder = place.folder / f"{name}-daemon"
        folder.mkdir()
        host, port = place.service.base.removeprefix("http://").split(":")
        path = folder / "fluent-bit.conf"
        path.write_text(
            textwrap.dedent(f"""
            [SERVICE]
                Flush 1
                Grace 2
                storage.path {folder}/buffer
                storage.sync full
                scheduler.base 1
                scheduler.cap 2
            [INPUT]
                Name tail
                Path {source}
                Read_from_Head On
                Refresh_Interval 1
                storage.type filesystem
            [OUTPUT]
                Match *
                Host {host}
                Port {port}
                Retry_Limit no_limits
            """)
            + "".join(f"    {line}\n" for line in output.format(token=place.token).strip().splitlines())
        )
        return started([program, "-c", path], folder)

    return start


FLUENT_BIT = {
    "fluent-bit-es": "Name es\nIndex logs-aws.cloudtrail-fluentbit\nHTTP_User neph\nHTTP_Passwd {token}\nSuppress_Type_Name On\nCompress gzip\nGenerate_ID On",
    "fluent-bit-splunk": "Name splunk\nSplunk_Token {token}\nCompress gzip",
    "fluent-bit-opentelemetry": "Name opentelemetry\nLogs_uri /v1/logs\nHeader Authorization Bearer {token}\nlogs_body_key $log\nlogs_body_key_attributes true",
    "fluent-bit-http": "Name http\nURI /ingest\nFormat json_lines\nHeader Authorization Bearer {token}\nCompress gzip",
}


def syslog(programs):
    """Those that write syslog over TLS, by name."""
    return {"rsyslog-tls": rsyslog_tls(programs), "syslog-ng-tls": syslog_ng_tls(programs)} if programs else {}


def buffering(programs, fluent):
    """Those that keep on disk what is not acknowledged, by name."""
    out = {}
    if programs:
        out |= {"rsyslog-elasticsearch": rsyslog_elasticsearch(programs), "syslog-ng-elasticsearch": syslog_ng_elasticsearch(programs)}
    if fluent:
        out |= {name: fluent_bit(fluent, output) for name, output in FLUENT_BIT.items()}
    return out
