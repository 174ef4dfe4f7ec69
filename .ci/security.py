#!/usr/bin/env python3
"""Tries to misuse `neph serve`, over plain HTTP and TLS, and says what happened; docs/security.md lists what is tried.

    python3 .ci/security.py [--only NAME,NAME…]

Every check gets the running services, and raises an error where the service did what it must not. All that takes time (clients that are
slow on purpose) runs at once.
"""

import argparse
import base64
import concurrent.futures
import gzip
import itertools
import json
import os
import pathlib
import re
import socket
import ssl
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import urllib.parse
import zlib

from service import Certificates, Service, build, run

ROLES = ["ingest", "viewer", "analyst", "engineer", "admin"]
SENDS = [
    ("POST", "/_bulk"),
    ("POST", "/logs-x/_bulk"),
    ("POST", "/logs-x/_doc"),
    ("PUT", "/logs-x/_create/1"),
    ("GET", "/"),
    ("POST", "/ingest"),
    ("POST", "/ingest/falco"),
    ("POST", "/v1/logs"),
    ("POST", "/services/collector"),
    ("POST", "/services/collector/raw"),
    ("POST", "/services/collector/ack"),
]
CONTROL = "a\x1b[2Jb\x07c\x00d\x7fe\x9bf\u202eg"
FORGED = '\n2026-01-01T00:00:00Z error {"level":"error","message":"all is lost"}\r\n'

CONFIGURATION = """
[api]
listen = ["127.0.0.1:0", "127.0.0.1:0"]

[limits]
body = "4MiB"
record = "64KiB"
connections = 600

[[tokens]]
name = "chosen"
role = "viewer"
secret = { file = "token" }

[[syslog]]
listen = "127.0.0.1:0"
transport = "tcp"
"""


class Wrong(Exception):
    """The service did what it must not."""


def expect(holds, what):
    if not holds:
        raise Wrong(what)


class Tried:
    """The services, their tokens, and everything that they answered."""

    def __init__(self, folder):
        self.folder = folder
        self.certificates = Certificates(folder / "certificates")
        home = folder / "plain"
        home.mkdir()
        (home / "token").write_text("sixteen-characters-and-more\n")
        self.plain = Service(home, CONFIGURATION)
        certificate, key = self.certificates.server
        secured = f'[api]\nlisten = ["127.0.0.1:0"]\ntls = {{ certificate = "{certificate}", key = "{key}", client_ca = "{self.certificates.authority}" }}\n'
        open_ = f'[api]\nlisten = ["127.0.0.1:0"]\ntls = {{ certificate = "{certificate}", key = "{key}" }}\n'
        self.mutual = Service(folder / "mutual", secured, authority=self.certificates.authority)
        self.tls = Service(folder / "tls", open_, authority=self.certificates.authority)
        self.services = [self.plain, self.mutual, self.tls]
        self.tokens = {role: self.plain.make_token(f"a {role}", role)["token"] for role in ROLES}
        self.address = address_of(self.plain)
        self.answers = []

    def stop(self):
        for service in self.services:
            service.stop()


def address_of(service):
    host, port = service.base.split("//")[1].split(":")
    return host, int(port)


def talk(address, data, seconds=20, source=None, context=None, end=True):
    """What is answered to bytes, until the connection is closed or the time is over; whether it was closed."""
    with socket.create_connection(address, timeout=seconds, source_address=source) as raw:
        stream = context.wrap_socket(raw, server_hostname="localhost") if context else raw
        try:
            stream.sendall(data)
            if end and not context:
                stream.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return drain(stream, seconds)


def drain(stream, seconds):
    out = b""
    deadline = time.monotonic() + seconds
    while True:
        stream.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            piece = stream.recv(65536)
        except TimeoutError:
            return out, False
        except OSError:
            return out, True
        if not piece:
            return out, True
        out += piece


def request(method, path, headers=(), body=b"", host="localhost"):
    head = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
    if body or method in ("POST", "PUT"):
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join(head).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body


def status(answer):
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    return int(found.group(1)) if found else None


def asks(tried, method, path, headers=(), body=b"", **options):
    answer, _ = talk(tried.address, request(method, path, headers, body, **options), end=False)
    tried.answers.append(answer)
    code = status(answer)
    expect(code is not None, f"{method} {path}: no answer: {answer[:80]!r}")
    expect(code < 500 or code == 503, f"{method} {path}: {code}")
    return code, answer


def bearer(token):
    return f"Authorization: Bearer {token}"


JSON = "Content-Type: application/json"


def routes(tried):
    """Method, path, the role that is needed (nothing where none is) of every route of the document."""
    document = json.loads(tried.plain.ask("/api/openapi.json")[2])
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            public = operation.get("security") == []
            yield method.upper(), re.sub(r"\{.*?\}", "nothing", path), None if public else operation["x-role"]


def roles(tried):
    """Every route with every role, and without a token that counts."""
    revoked = tried.plain.make_token("revoked", "admin")
    tried.plain.ask(f"/api/v1/tokens/{revoked['id']}", tried.tokens["admin"], "DELETE")
    right = tried.tokens["admin"]
    other_half = right.rpartition("_")[2]
    swapped = other_half[1:] + other_half[0]
    no_one = {
        "no token": [],
        "an empty one": ["Authorization: Bearer "],
        "a wrong one": [bearer("neph_0000000000000000_" + "0" * 64)],
        "a right id, a wrong secret": [bearer(right.rpartition("_")[0] + "_" + swapped)],
        "the beginning of a right one": [bearer(right[:-1])],
        "a revoked one": [bearer(revoked["token"])],
        "two": [bearer(right), bearer(right)],
        "one in the URL": None,
    }
    count = 0
    for method, path, need in routes(tried):
        body = b"{}" if method in ("POST", "PUT") else b""
        for name, headers in no_one.items():
            asked = path if headers is not None else f"{path}?token={right}&access_token={right}"
            code, _ = asks(tried, method, asked, [JSON, *(headers or [])], body)
            expected = code == 401 if need else code not in (401, 403)
            expect(expected or (need is None and headers is None), f"{method} {asked} with {name}: {code}")
            count += 1
        for role in ROLES:
            answer = talk(tried.address, request(method, path, [JSON, bearer(tried.tokens[role])], body), 1 if path.endswith("stream") else 20, end=False)[0]
            code = status(answer)
            may = need is None or ROLES.index(role) >= ROLES.index(need)
            expect(code is not None and code < 500, f"{method} {path} as {role}: {code}")
            expect((code not in (401, 403)) if may else code == 403, f"{method} {path} as {role}: {code}")
            count += 1
    for method, path in SENDS:
        for name, headers in no_one.items():
            if headers is None:
                continue
            code, _ = asks(tried, method, path, headers)
            expect(code in (401, 403), f"{method} {path} with {name}: {code}")
            count += 1
        for role in ROLES:
            code, _ = asks(tried, method, path, [bearer(tried.tokens[role])])
            may = role in ("ingest", "admin")
            expect((code not in (401, 403)) if may else code in (401, 403), f"{method} {path} as {role}: {code}")
            count += 1
    return f"{count} requests"


def sessions(tried):
    """What a page gets for a token: a cookie that no script reads, that changes nothing alone, and that ends."""
    login = lambda token: asks(tried, "POST", "/api/v1/session", [JSON], json.dumps({"token": token}).encode())
    expect(login("neph_0000000000000000_" + "0" * 64)[0] in (401, 403), "a session for a wrong token")
    code, answer = login(tried.tokens["analyst"])
    tried.answers.pop()  # It tells the session's secret, to whom it belongs.
    expect(code == 200, f"no session: {code}")
    head, _, body = answer.decode().partition("\r\n\r\n")
    set_cookie = re.search(r"(?im)^set-cookie: (.*?)\r?$", head).group(1)
    for word in ("HttpOnly", "SameSite=Strict"):
        expect(word in set_cookie, f"the cookie lacks {word}")
    cookie, csrf = f"Cookie: {set_cookie.partition(';')[0]}", json.loads(body)["csrf"]
    hunt = json.dumps({"query": "any where true"}).encode()
    hunts = lambda *headers: asks(tried, "POST", "/api/v1/hunt", [JSON, *headers], hunt)[0]
    expect(asks(tried, "GET", "/api/v1/alerts", [cookie])[0] == 200, "the cookie is not taken")
    expect(asks(tried, "GET", "/api/v1/tokens", [cookie])[0] == 403, "the cookie may more than its token")
    expect(hunts(cookie) == 403, "the cookie alone is enough")
    expect(hunts(cookie, "X-CSRF-Token: " + "0" * len(csrf)) == 403, "any word will do")
    expect(hunts(cookie, f"X-CSRF-Token: {csrf}") not in (401, 403), "the word is not taken")
    expect(asks(tried, "POST", "/ingest", [cookie, f"X-CSRF-Token: {csrf}"], b"{}")[0] == 401, "a session sends records")
    expect(asks(tried, "GET", "/api/v1/alerts", [cookie[:-1] + ("0" if cookie[-1] != "0" else "1")])[0] == 401, "another cookie is taken")
    asks(tried, "DELETE", "/api/v1/session", [cookie, f"X-CSRF-Token: {csrf}"])
    expect(asks(tried, "GET", "/api/v1/alerts", [cookie])[0] == 401, "the session has not ended")


def methods(tried):
    """Methods that no route has."""
    for method in ("PATCH", "TRACE", "CONNECT", "OPTIONS", "PROPFIND", "get"):
        for path in ("/api/v1/alerts", "/_bulk", "/metrics", "/ingest"):
            code, _ = asks(tried, method, path, [bearer(tried.tokens["viewer"])])
            expect(code in (400, 401, 403, 404, 405), f"{method} {path}: {code}")


def sizes(tried):
    """Headers, addresses and bodies that are too long."""
    viewer, sender = bearer(tried.tokens["analyst"]), bearer(tried.tokens["ingest"])
    code = lambda *args, **options: asks(tried, *args, **options)[0]
    expect(code("GET", "/healthz", [f"X: {'a' * 40000}"]) == 431, "a long header")
    expect(code("GET", "/healthz", [f"X-{n}: a" for n in range(200)]) == 431, "many headers")
    expect(code("GET", "/healthz?" + "a" * 40000) in (414, 431), "a long address")
    big = b'{"query":"' + b"a" * (2 << 20) + b'"}'
    expect(code("POST", "/api/v1/hunt", [viewer, JSON], big) == 413, "a long body of the API")
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(big), big)
    head = request("POST", "/api/v1/hunt", [viewer, JSON, "Transfer-Encoding: chunked"]).replace(b"Content-Length: 0\r\n", b"")
    expect(status(talk(tried.address, head + chunks, end=False)[0]) == 413, "a long body of the API, in chunks")
    expect(code("POST", "/ingest", [sender], b"x" * (5 << 20)) == 413, "a long body of records")
    answer = asks(tried, "POST", "/ingest", [sender], json.dumps({"message": "x" * 70000}).encode())[1]
    expect(b'"refused":1' in answer, f"a long record: {answer[-200:]}")
    huge = request("POST", "/ingest", [sender], b"").replace(b"Content-Length: 0", b"Content-Length: 99999999999")
    expect(status(talk(tried.address, huge, end=False)[0]) == 413, "a length past all bounds")
    deep = b"[" * 200_000
    expect(code("POST", "/api/v1/hunt", [viewer, JSON], deep) == 400, "JSON nested deep")
    expect(code("POST", "/ingest", [sender], b'{"a":' * 200_000) in (200, 400), "records nested deep")


def resident(service):
    text = pathlib.Path(f"/proc/{service.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text).group(1)) << 10


def zstd_bomb(length):
    """A frame of blocks that each repeat one byte. https://www.rfc-editor.org/rfc/rfc8878#section-3.1.1"""
    window = (17 - 10) << 3
    block = 1 << 17
    count = length // block
    blocks = b"".join(struct.pack("<I", (block << 3) | (1 << 1) | (n == count - 1))[:3] + b" " for n in range(count))
    return b"\x28\xb5\x2f\xfd" + bytes([0, window]) + blocks


def bombs(tried):
    """Little that becomes much."""
    sender = bearer(tried.tokens["ingest"])
    text = b" " * (256 << 20)
    packed = {"gzip": gzip.compress(text, 9), "deflate": zlib.compress(text, 9), "zstd": zstd_bomb(1 << 30)}
    before = resident(tried.plain)
    for name, body in packed.items():
        for path in ("/_bulk", "/ingest", "/v1/logs", "/services/collector"):
            began = time.monotonic()
            code, _ = asks(tried, "POST", path, [sender, f"Content-Encoding: {name}"], body)
            expect(code == 413, f"{name} to {path}: {code}")
            expect(time.monotonic() - began < 4, f"{name} to {path} took long")
    nested = gzip.compress(gzip.compress(b" " * (64 << 20), 9), 9)
    expect(asks(tried, "POST", "/_bulk", [sender, "Content-Encoding: gzip"], nested)[0] == 400, "a bomb in a bomb")
    expect(asks(tried, "POST", "/ingest", [sender, "Content-Encoding: gzip, gzip"], nested)[0] == 415, "two encodings")
    expect(asks(tried, "POST", "/ingest", [sender, "Content-Encoding: br"], b"x")[0] == 415, "an encoding that is not taken")
    window = b"\x28\xb5\x2f\xfd" + bytes([0, (31 - 10) << 3]) + b"\x01\x00\x00"
    expect(asks(tried, "POST", "/ingest", [sender, "Content-Encoding: zstd"], window)[0] == 400, "a window of 2 GiB")
    analyst = bearer(tried.tokens["analyst"])
    expect(asks(tried, "POST", "/api/v1/hunt", [analyst, JSON, "Content-Encoding: gzip"], packed["gzip"])[0] in (400, 413, 415), "compressed to the API")
    grown = resident(tried.plain) - before
    expect(grown < 128 << 20, f"memory grew by {grown >> 20} MiB")
    return f"memory grew by {grown >> 20} MiB"


def traversal(tried):
    """Paths in everything that could name a file."""
    admin, sender = bearer(tried.tokens["admin"]), bearer(tried.tokens["ingest"])
    outside = tried.folder / "outside"
    outside.mkdir()
    (outside / "found.yaml").write_text("overlay: secret-of-a-file\n")
    before = files_of(tried.folder)
    raw = ["../../../../etc/passwd", "..", "....//....//etc/passwd", "/etc/passwd", "..\\..\\etc\\passwd", "../token", "../../outside/found", "found\0.yaml", "a/../../token",
           str(outside / "found"), "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%c0%af..%c0%afetc%c0%afpasswd", "CON", "x" * 300, "~root", ".", "-rf", "$(id)", "file:///etc/passwd"]  # fmt: skip
    count = 0
    document = json.loads(tried.plain.ask("/api/openapi.json")[2])
    overlay = json.dumps({"text": "overlays: []\n"}).encode()
    for path, all_methods in document["paths"].items():
        for method, operation in all_methods.items():
            parameters = operation.get("parameters", [])
            body = overlay if method == "put" else b"{}" if method == "post" else b""
            if path == "/api/v1/stream":
                continue
            once = [urllib.parse.quote(evil, safe="") for evil in raw]
            asked = []
            if "{" in path:
                # Encoded twice as well: who decodes twice finds the path behind it.
                asked += [re.sub(r"\{.*?\}", lambda _: text, path) for text in (*once, *map(urllib.parse.quote, once))]
            if names := [one["name"] for one in parameters if one["in"] == "query"]:
                # What is worked out for each platform takes long.
                texts = once[:1] if "coverage" in path else once
                asked += [re.sub(r"\{.*?\}", "x", path) + "?" + "&".join(f"{name}={text}" for name in names) for text in texts]
            for one in asked:
                code, answer = asks(tried, method.upper(), one, [admin, JSON], body)
                expect(b"root:" not in answer and b"secret-of-a-file" not in answer, f"{method} {one} gave a file")
                count += 1
    for evil in raw:
        text = urllib.parse.quote(evil, safe="")
        for path in (f"/{text}/_bulk", f"/{text}/_doc", f"/ingest/{text}", f"/ingest?source={text}", f"/services/collector/raw?source={text}&sourcetype={text}&host={text}&index={text}"):
            code, answer = asks(tried, "POST", path, [sender], b'{"create":{}}\n{"message":"x"}\n')
            expect(b"root:" not in answer, f"{path} gave a file")
            count += 1
        body = json.dumps({"create": {"_index": evil, "_id": evil}}) + '\n{"message":"x"}\n'
        asks(tried, "POST", "/_bulk", [sender], body.encode())
    for path in ("/../../../../etc/passwd", "/static/../../../etc/passwd", "//etc/passwd", "/./token", "/api/v1/../../token"):
        code, answer = asks(tried, "GET", path, [admin])
        expect(code in (400, 401, 404, 405), f"{path}: {code}")
        count += 1
    after = files_of(tried.folder)
    ours = re.compile(r"\w+/data/(events/\d+\.\w+|state/[\w.]+|neph\.sqlite.*|overlays/[\w-]+\.ya?ml)")
    made = {path for path in after - before if not ours.fullmatch(path)}
    expect(not made, f"files were made: {made}")
    return f"{count} requests"


def files_of(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != "log"}


def timing(tried):
    """Whether the time of an answer tells how much of a secret is right: two wrong tokens, told apart by the rank of their times."""
    out = []
    right = tried.tokens["viewer"]
    head, _, secret = right.rpartition("_")
    flipped = lambda text, at: text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :]
    chosen = "sixteen-characters-and-more"
    pairs = {
        "a token of the store": (f"{head}_{flipped(secret, 0)}", f"{head}_{flipped(secret, len(secret) - 1)}"),
        "a token of the configuration": ("X" + chosen[1:], chosen[:-1] + "X"),
    }
    for name, (early, late) in pairs.items():
        times = {early: [], late: []}
        with socket.create_connection(tried.address) as stream:
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for number in range(1500):
                for token in (early, late) if number % 2 else (late, early):
                    data = f"GET /api/v1/me HTTP/1.1\r\nHost: localhost\r\n{bearer(token)}\r\n\r\n".encode()
                    began = time.perf_counter_ns()
                    stream.sendall(data)
                    answer = stream.recv(65536)
                    times[token].append(time.perf_counter_ns() - began)
                    expect(status(answer) == 401, f"{name}: {answer[:40]!r}")
        one, two = times[early], times[late]
        ranked = sorted([(value, 0) for value in one] + [(value, 1) for value in two])
        ranks = sum(rank for rank, (_, which) in enumerate(ranked, 1) if which == 0)
        m, n = len(one), len(two)
        z = (ranks - m * (m + n + 1) / 2) / (m * n * (m + n + 1) / 12) ** 0.5
        gap = statistics.median(one) - statistics.median(two)
        # Noise of the machine makes no difference of this size; a comparison that ends early would not either, but a store that is asked twice would.
        expect(abs(z) < 5 or abs(gap) < 3000, f"{name}: medians differ by {gap:.0f} ns (z = {z:.1f})")
        out.append(f"{name}: medians differ by {gap / 1000:+.1f} µs of {statistics.median(one) / 1000:.0f} µs (z = {z:+.1f})")
    return "; ".join(out)


def injection(tried):
    """Control characters, escape sequences and forged lines in all that may be written somewhere."""
    sender, admin, engineer = (bearer(tried.tokens[role]) for role in ("ingest", "admin", "engineer"))
    evil = CONTROL + FORGED
    quoted = urllib.parse.quote(evil, safe="")
    made = json.loads(asks(tried, "POST", "/api/v1/tokens", [admin, JSON], json.dumps({"name": evil, "role": "ingest"}).encode())[1].partition(b"\r\n\r\n")[2])
    if "token" in made:
        asks(tried, "POST", "/ingest", [bearer(made["token"])], b'{"message":"x"}')
    for path in (f"/{quoted}/_bulk", f"/ingest/{quoted}", f"/ingest?source={quoted}", f"/services/collector/raw?source={quoted}&sourcetype={quoted}&host={quoted}"):
        asks(tried, "POST", path, [sender], b'{"create":{}}\n{"message":"x"}\n')
    document = json.dumps({"message": evil, "@timestamp": evil, "event": {"module": evil}, "host": {"name": evil}})
    asks(tried, "POST", "/_bulk", [sender], (json.dumps({"create": {"_index": evil, "_id": evil}}) + "\n" + document + "\n").encode())
    asks(tried, "POST", "/services/collector", [sender], json.dumps({"event": evil, "sourcetype": evil, "host": evil, "fields": {evil: evil}}).encode())
    for method, path, body in (
        ("GET", f"/api/v1/alerts/{quoted}", b""),
        ("GET", f"/api/v1/alerts?q={quoted}&assignee={quoted}", b""),
        ("PUT", f"/api/v1/overlays/{quoted}", json.dumps({"text": evil}).encode()),
        ("PUT", "/api/v1/overlays/forged", json.dumps({"text": f"overlays:\n- name: {json.dumps(evil)}\n"}).encode()),
        ("POST", "/api/v1/hunt", json.dumps({"query": evil}).encode()),
        ("POST", "/api/v1/backfills", json.dumps({"rule": evil, "from": evil, "to": evil}).encode()),
        ("POST", "/api/v1/alerts/actions", json.dumps({"ids": [evil], "note": evil, "assignee": evil}).encode()),
    ):
        asks(tried, method, path, [engineer, JSON, "User-Agent: \x1b[31mred", "X-Forwarded-For: \x1b[2J"], body)
    for raw in (b"GET /\x1b[2J HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX: \x1b]0;title\x07\r\n b\r\n\r\n", b"\x1b[2J\r\n\r\n"):
        tried.answers.append(talk(tried.address, raw)[0])
    host, port = tried.plain.listeners()["tcp"].split(":")
    talk((host, int(port)), f"<34>1 2026-01-01T00:00:00Z {CONTROL} app - - - {evil}\n".encode("utf-8", "surrogatepass"), 1)
    time.sleep(2)
    metrics = tried.plain.ask("/metrics", tried.tokens["viewer"])[2]
    for line in metrics.split("\n"):
        well = re.fullmatch(r'(# (HELP|TYPE) .*|[a-z_]+(\{[a-z_]+="([^"\\\n]|\\.)*"(,[a-z_]+="([^"\\\n]|\\.)*")*\})? [-+0-9.einfaN]+|)', line)
        expect(well and not re.search(r"[\x00-\x1f\x7f-\x9f]", line), f"a line of the metrics: {line!r}")
    audit = tried.plain.get("/api/v1/audit?limit=100", tried.tokens["admin"])
    expect(audit["entries"], "the audit log is empty")


def log_is_whole(tried):
    """After all of it: each line of each log is one JSON object without control characters."""
    lines = 0
    for service in tried.services:
        for line in service.said().split("\n"):
            if not line.startswith("{"):
                # What the first start says, before there is anybody who could forge.
                expect(re.fullmatch(r"|This is your token, .*|    neph_\w+|`neph token create` .*", line), f"a line of the log: {line!r}")
                continue
            expect(not re.search(r"[\x00-\x1f\x7f-\x9f\u202e]", line), f"control characters in the log: {line!r}")
            expect(set(json.loads(line)) >= {"time", "level", "message"}, line)
            lines += 1
    return f"{lines} lines"


def smuggling(tried):
    """Requests of which two programs could disagree where they end: the second request must not be answered."""
    token = bearer(tried.tokens["ingest"])
    inner = b"GET /api/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    base = f"POST /ingest HTTP/1.1\r\nHost: localhost\r\n{token}\r\n".encode()
    chunked = b"0\r\n\r\n"
    ends_first = b"%s" % (chunked + inner)
    cases = {
        "a length and chunks": base + b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n" % len(ends_first) + ends_first,
        "chunks and a length": base + b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n" % len(ends_first) + ends_first,
        "two lengths": base + b"Content-Length: 5\r\nContent-Length: %d\r\n\r\n" % (5 + len(inner)) + b'{"a"}' + inner,
        "two lengths in one": base + b"Content-Length: 5, 6\r\n\r\n" + b'{"a"}' + inner,
        "a length with a sign": base + b"Content-Length: +5\r\n\r\n" + b'{"a"}' + inner,
        "a negative length": base + b"Content-Length: -5\r\n\r\n" + b'{"a"}' + inner,
        "a length in hexadecimal": base + b"Content-Length: 0x5\r\n\r\n" + b'{"a"}' + inner,
        "a space before the colon": base + b"Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n" + b'{"a"}' + inner,
        "a coding that nobody knows": base + b"Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n\r\n" + b'{"a"}' + inner,
        "chunked, then something": base + b"Transfer-Encoding: chunked, identity\r\n\r\n" + chunked + inner,
        "chunked twice": base + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked, gzip\r\n\r\n" + chunked + inner,
        "a vertical tab": base + b"Transfer-Encoding:\x0bchunked\r\nContent-Length: 5\r\n\r\n" + b'{"a"}' + inner,
        "a folded header": base + b"Transfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n\r\n" + b'{"a"}' + inner,
        "a chunk with a sign": base + b"Transfer-Encoding: chunked\r\n\r\n+5\r\nabcde\r\n0\r\n\r\n" + inner,
        "a chunk longer than all": base + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\nabcde\r\n0\r\n\r\n" + inner,
        "an endless extension": base + b"Transfer-Encoding: chunked\r\n\r\n5;" + b"a" * 100_000 + b"\r\nabcde\r\n0\r\n\r\n" + inner,
        "a NUL in a header": base + b"X: a\x00b\r\nContent-Length: 5\r\n\r\n" + b'{"a"}' + inner,
        "two hosts": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n" + inner,
        "an old version with chunks": base.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n" + chunked + inner,
    }
    for name, data in cases.items():
        answer, closed = talk(tried.address, data, 3, end=False)
        tried.answers.append(answer)
        codes = [int(code) for code in re.findall(rb"HTTP/1\.[01] (\d{3})", answer)]
        expect(b'"openapi"' not in answer, f"{name}: the second request was answered ({codes})")
        expect(closed, f"{name}: the connection stays open ({codes})")
    return f"{len(cases)} forms"


def origins(tried):
    """Pages of others: no permission for them, no form of theirs is taken, and no name that is made to lead here."""
    analyst = bearer(tried.tokens["analyst"])
    evil = "Origin: https://evil.example"
    for method, path in itertools.product(("GET", "OPTIONS"), ("/api/v1/alerts", "/_bulk", "/ingest", "/healthz", "/api/v1/stream?since=nonsense")):
        asked = ["Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization"] if method == "OPTIONS" else []
        answer = asks(tried, method, path, [evil, analyst, *asked])[1]
        expect(b"access-control-" not in answer.partition(b"\r\n\r\n")[0].lower(), f"{method} {path} permits other origins")
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        code, _ = asks(tried, "POST", "/api/v1/hunt", [analyst, evil, f"Content-Type: {kind}"], b'{"query":"any where true"}')
        expect(code in (400, 415), f"a form of the type {kind}: {code}")
    for host in ("evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example.", "[::1].evil.example", "127.0.0.1@evil.example", "xn--localhost-"):
        code, _ = asks(tried, "GET", "/healthz", [analyst], host=host)
        expect(code in (400, 421), f"asked for as {host}: {code}")
    for host in ("localhost", "localhost:9470", "127.0.0.1", "127.0.0.1:1", "[::1]:9470", "LOCALHOST", "app.localhost", "192.0.2.1"):
        code, _ = asks(tried, "GET", "/healthz", host=host)
        expect(code == 200, f"asked for as {host}: {code}")
    answer, _ = talk(tried.address, b"GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", end=False)
    expect(status(answer) in (400, 421), f"an address with another name: {answer[:30]!r}")


def slow(tried):
    """Clients that take their time, and so many that no place should be left; meanwhile others are served."""
    sender = bearer(tried.tokens["ingest"])
    analyst = bearer(tried.tokens["analyst"])

    def drip(data, pause, seconds):
        """Whether the connection is closed while bytes are sent one by one."""
        began = time.monotonic()
        with socket.create_connection(tried.address) as stream:
            for byte in itertools.chain(data, itertools.repeat(ord("a"))):
                try:
                    stream.sendall(bytes([byte]))
                    stream.settimeout(pause)
                    if not stream.recv(4096):
                        return time.monotonic() - began
                except TimeoutError:
                    pass
                except OSError:
                    return time.monotonic() - began
                expect(time.monotonic() - began < seconds, f"still open after {seconds} s: {data[:30]!r}")

    def stalls(data, seconds, context=None):
        began = time.monotonic()
        _, closed = talk(tried.address if context is None else context, data, seconds, end=False)
        expect(closed, f"still open after {seconds} s: {data[:40]!r}")
        return time.monotonic() - began

    def crowd():
        """More connections of one address than it may have; others have their places."""
        held = []
        for _ in range(580):
            try:
                held.append(socket.create_connection(tried.address, source_address=("127.0.0.2", 0)))
            except OSError:
                break
        time.sleep(0.5)
        shut = 0
        for one in held:
            one.setblocking(False)
            try:
                shut += one.recv(1) == b""
            except BlockingIOError:
                pass
            except OSError:
                shut += 1
        expect(shut >= len(held) - 512, f"of {len(held)} connections {shut} were closed")
        answer, _ = talk(tried.address, request("GET", "/healthz"), 5, source=("127.0.0.3", 0), end=False)
        for one in held:
            one.close()
        expect(status(answer) == 200, "another address is not served")
        return 0

    started = f"POST /ingest HTTP/1.1\r\nHost: localhost\r\n{sender}\r\nContent-Length: 1000\r\n\r\n".encode()
    hunting = f"POST /api/v1/hunt HTTP/1.1\r\nHost: localhost\r\n{analyst}\r\n{JSON}\r\nContent-Length: 1000\r\n\r\n".encode()
    limits = {
        "headers byte by byte": (drip, b"GET /healthz HTTP/1.1\r\nX: ", 0.5, 25),
        "a connection without a word": (stalls, b"", 25),
        "half of a header": (stalls, b"GET /healthz HTTP/1.1\r\nHost: lo", 25),
        "a body that stops": (stalls, started + b'{"a":', 30),
        "a body of the API that stops": (stalls, hunting + b'{"query":', 40),
        "a body of the API byte by byte": (drip, hunting, 0.5, 45),
        "no handshake": (stalls, b"", 20, address_of(tried.tls)),
        "half of a handshake": (stalls, b"\x16\x03\x01\x02\x00\x01", 20, address_of(tried.tls)),
        "many connections": (crowd,),
    }
    with concurrent.futures.ThreadPoolExecutor(len(limits)) as pool:
        running = {name: pool.submit(*call) for name, call in limits.items()}
        for _ in range(20):
            began = time.monotonic()
            expect(asks(tried, "GET", "/healthz")[0] == 200, "others are not served")
            expect(time.monotonic() - began < 2, "others are served late")
            time.sleep(0.5)
        times = {name: future.result() for name, future in running.items()}
    return ", ".join(f"{name} {seconds:.0f} s" for name, seconds in times.items() if seconds)


def tls(tried):
    """Versions, suites, certificates of clients, and the wrong protocol on each port."""
    mutual, open_, files = address_of(tried.mutual), address_of(tried.tls), tried.certificates

    def context(certificate=None, least=ssl.TLSVersion.TLSv1_2, most=ssl.TLSVersion.TLSv1_3, suites=None):
        made = ssl.create_default_context(cafile=files.authority)
        if certificate:
            made.load_cert_chain(*certificate)
        if suites:
            made.set_ciphers(suites)
        made.minimum_version, made.maximum_version = least, most
        return made

    def answers(address, made):
        try:
            answer, _ = talk(address, request("GET", "/healthz"), 5, context=made)
        except (OSError, ssl.SSLError):
            return None
        return status(answer)

    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        expect(answers(open_, context(least=version, most=version)) == 200, f"{version} is refused")
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
            expect(answers(open_, context(least=version, most=version, suites="ALL:@SECLEVEL=0")) is None, f"{version} is taken")
    for suites in ("AES128-SHA", "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES128-SHA256", "NULL:aNULL:@SECLEVEL=0"):
        weak = context(most=ssl.TLSVersion.TLSv1_2, suites=suites)
        expect(answers(open_, weak) is None, f"the suites {suites} are taken")
    expired = files.signed("expired", "clientAuth", days="0")
    not_a_client = files.signed("not-a-client", "serverAuth")
    time.sleep(1.1)
    expect(answers(mutual, context(files.client)) == 200, "the right certificate is refused")
    for name, shown in {"none": None, "a stranger's": files.stranger, "an expired one": expired, "one that is for servers": not_a_client}.items():
        expect(answers(mutual, context(shown)) is None, f"certificate of a client: {name} is taken")
    # A certificate lets the connection in; what is asked still takes a token.
    answer, _ = talk(mutual, request("GET", "/api/v1/alerts"), context=context(files.client))
    expect(status(answer) == 401, "a certificate is no token")
    for address in (mutual, open_):
        answer, closed = talk(address, request("GET", "/healthz"))
        expect(closed and b"HTTP/1.1 2" not in answer, f"plain HTTP to TLS: {answer[:40]!r}")
        expect(talk(address, os.urandom(2000))[1], "noise to TLS leaves the connection open")
    expect(answers(tried.address, context()) is None, "TLS to plain HTTP")
    expect(answers(open_, context()) == 200, "the service is not well afterwards")


def secrets(tried):
    """After all of it: no secret and no path of the machine in logs, metrics, answers, the database, the process list."""
    secret = {name: token.rpartition("_")[2] for name, token in tried.tokens.items()}
    secret |= {"first": tried.plain.token.rpartition("_")[2], "chosen": "sixteen-characters-and-more"}
    metrics = tried.plain.ask("/metrics", tried.tokens["viewer"])[2]
    listed = tried.plain.ask("/api/v1/tokens", tried.tokens["admin"])[2]
    audit = tried.plain.ask("/api/v1/audit?limit=1000", tried.tokens["admin"])[2]
    said = "\n".join(line for line in tried.plain.said().split("\n") if line.startswith("{"))
    database = b"".join(path.read_bytes() for path in tried.plain.data.glob("neph.sqlite*"))
    events = b"".join(path.read_bytes() for path in (tried.plain.data / "events").iterdir())
    answers = b"\n".join(answer for answer in tried.answers if b'"token":' not in answer)
    arguments = pathlib.Path(f"/proc/{tried.plain.process.pid}/cmdline").read_bytes()
    texts = {"metrics": metrics, "list of tokens": listed, "audit log": audit, "log": said, "database": database, "event log": events, "answers": answers, "arguments": arguments}
    for place, text in texts.items():
        text = text if isinstance(text, bytes) else text.encode()
        for name, value in secret.items():
            expect(value.encode() not in text, f"the secret of {name} stands in the {place}")
    for word in (str(tried.plain.folder), "/crates/", ".rs:", "panicked", "RUST_BACKTRACE", "rusqlite", "src/"):
        at = answers.find(word.encode())
        expect(at < 0, f"an answer tells {word}: {answers[max(0, at - 300) : at + 100]!r}")
    for path, wanted in {"": 0o700, "token": 0o600, "neph.sqlite": 0o600, "events": 0o700, "overlays": 0o700, "state": 0o700}.items():
        mode = (tried.plain.data / path).stat().st_mode & 0o777
        expect(mode & ~wanted == 0, f"the mode of data/{path} is {mode:o}")


# In this order; the last two look at what the others left.
CHECKS = [roles, sessions, methods, sizes, bombs, traversal, timing, injection, smuggling, origins, slow, tls, log_is_whole, secrets]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", help="names of checks, with commas between them")
    only = parser.parse_args().only
    build()
    chosen = [check for check in CHECKS if not only or check.__name__ in only.split(",")]
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        tried = Tried(pathlib.Path(folder))
        try:
            for check in chosen:
                began = time.monotonic()
                try:
                    said, state = check(tried) or "", "ok"
                except (Wrong, OSError, ValueError, KeyError, RuntimeError) as error:
                    said, state = f"{type(error).__name__}: {error}", "FAILED"
                    failed += 1
                print(f"{check.__name__:14} {state:6} {time.monotonic() - began:5.1f} s  {said}", flush=True)
        finally:
            tried.stop()
    print(f"{len(chosen) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
