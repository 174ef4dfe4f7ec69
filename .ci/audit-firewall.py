#!/usr/bin/env python3
"""What the checks of the packet filter say, against what the kernel does.

    python3 .ci/audit-firewall.py [CASES]        # as root; needs iptables, nft, ip and unshare

In network namespaces of its own there are a host, a server that answers on the metadata address beyond it, and a container behind the
host's bridge. Rulesets are made up, loaded, and tried: a connection of root, of other users, and out of the container. What
`iptables-save` and `nft` print then is collected, and `neph audit run` has to say the same. The rules that it prints as fixes are
loaded too, and have to close what was open. Nothing leaves the namespaces.

NEPH_AUDIT names the command, `target/debug/neph audit run` where it is not set.
"""

import json
import os
import pathlib
import random
import shlex
import subprocess
import sys
import tempfile

ADDRESS = "169.254.169.254"
CASES = int(sys.argv[1]) if len(sys.argv) > 1 else 120
ROOT = pathlib.Path(__file__).resolve().parent.parent
AUDIT = shlex.split(os.environ.get("NEPH_AUDIT", str(ROOT / "target/debug/neph") + " audit run"))

SERVER = """
import socket, sys
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("%s", 80))
server.listen(64)
print("ready", flush=True)
while True:
    connection, _ = server.accept()
    try:
        connection.sendall(b"x")
    except OSError:
        pass
    connection.close()
""" % ADDRESS

CLIENT = """
import os, socket, sys
user = int(sys.argv[1])
os.setgroups([]); os.setgid(user); os.setuid(user)
print("ready", flush=True)
for _ in sys.stdin:
    client = socket.socket()
    client.settimeout(0.25)
    try:
        client.connect(("%s", 80))
        print("open" if client.recv(1) else "shut", flush=True)
    except OSError:
        print("shut", flush=True)
    client.close()
""" % ADDRESS


def sh(command, text=None, check=True):
    done = subprocess.run(command, shell=isinstance(command, str), input=text, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise SystemExit(f"{command}: {done.stderr.strip()}")
    return done


def inside():
    """Whether this runs in namespaces of its own; else it starts itself there."""
    if os.environ.get("AUDIT_FIREWALL_INSIDE") != "1":
        command = ["unshare", "--net", "--mount", "--propagation", "private", sys.executable, *sys.argv]
        os.execvpe("unshare", command, os.environ | {"AUDIT_FIREWALL_INSIDE": "1"})


def network():
    """Host in the middle, the server beyond eth0, the container behind docker0."""
    sh("mount -t tmpfs tmpfs /run && mkdir -p /run/netns")
    for name in ("meta", "box"):
        sh(f"ip netns add {name}")
        sh(f"ip -n {name} link set lo up")
    sh("ip link set lo up")
    sh("ip link add eth0 type veth peer name wan netns meta")
    sh("ip addr add 10.0.0.2/24 dev eth0 && ip link set eth0 up && ip route add default via 10.0.0.1 dev eth0")
    sh(f"ip -n meta addr add 10.0.0.1/24 dev wan && ip -n meta addr add {ADDRESS}/32 dev lo && ip -n meta link set wan up")
    sh("ip -n meta route add 172.17.0.0/16 via 10.0.0.2")
    sh("ip link add docker0 type bridge && ip addr add 172.17.0.1/16 dev docker0 && ip link set docker0 up")
    sh("ip link add veth0 type veth peer name eth0 netns box && ip link set veth0 master docker0 up")
    sh("ip -n box addr add 172.17.0.2/16 dev eth0 && ip -n box link set eth0 up && ip -n box route add default via 172.17.0.1")
    sh("echo 1 > /proc/sys/net/ipv4/ip_forward")


def start(code, *arguments, space=None):
    prefix = ["ip", "netns", "exec", space] if space else []
    process = subprocess.Popen([*prefix, sys.executable, "-c", code, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def tried(clients):
    """What each client gets, all asked at once."""
    for client in clients.values():
        client.stdin.write("go\n")
        client.stdin.flush()
    return {name: client.stdout.readline().strip() for name, client in clients.items()}


def iptables(chance):
    """A ruleset as iptables-restore reads it."""
    users = [0, 998, 1000]

    def match(hook):
        kinds = [
            lambda: f"-d {chance.choice([ADDRESS, '169.254.0.0/16', '10.0.0.0/8', '0.0.0.0/0'])}",
            lambda: f"! -d {chance.choice([ADDRESS, '10.0.0.0/8', '172.16.0.0/12'])}",
            lambda: f"-p tcp -m tcp --dport {chance.choice(['80', '443', '1:1024', '81:90'])}",
            lambda: f"-p tcp -m multiport --dports {chance.choice(['80,443', '22,8080:8090', '79:81'])}",
            lambda: f"-p {chance.choice(['tcp', 'udp', 'icmp'])}",
            lambda: f"-m conntrack --ctstate {chance.choice(['NEW', 'RELATED,ESTABLISHED', 'NEW,ESTABLISHED', 'INVALID'])}",
            lambda: "-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN",
            lambda: f"-m iprange --dst-range 169.254.169.{chance.choice(['0-169.254.169.255', '1-169.254.169.9'])}",
            lambda: "-m comment --comment \"two words -j DROP\"",
            lambda: f"-m addrtype --dst-type {chance.choice(['LOCAL', 'UNICAST'])}",
        ]
        if hook == "OUTPUT":
            kinds += [
                lambda: f"-m owner {chance.choice(['', '! '])}--uid-owner {chance.choice([*users, '900-1100'])}",
                lambda: f"{chance.choice(['', '! '])}-o {chance.choice(['lo', 'docker0', 'eth0', 'eth+'])}",
                lambda: f"-m owner {chance.choice(['', '! '])}--gid-owner {chance.choice([*users])}",
            ]
        if hook == "FORWARD":
            kinds += [
                lambda: f"{chance.choice(['', '! '])}-i {chance.choice(['docker0', 'eth0', 'docker+'])}",
                lambda: f"{chance.choice(['', '! '])}-o {chance.choice(['docker0', 'eth0'])}",
            ]
        picked = chance.sample(kinds, chance.choice([1, 1, 1, 2, 2, 3]))
        words = [pick() for pick in picked]
        # One protocol a rule.
        if sum(word.startswith("-p") for word in words) > 1 or sum(" -d " in f" {word}" or "dst-range" in word for word in words) > 1:
            words = words[:1]
        return " ".join(words)

    lines = []
    tables = ["filter"] + [table for table in ("raw", "mangle") if chance.random() < 0.3]
    for table in tables:
        lines.append(f"*{table}")
        hooks = {"filter": ["INPUT", "FORWARD", "OUTPUT"], "raw": ["PREROUTING", "OUTPUT"], "mangle": ["PREROUTING", "FORWARD", "OUTPUT", "POSTROUTING"]}[table]
        for hook in hooks:
            lines.append(f":{hook} {'DROP' if table == 'filter' and chance.random() < 0.12 else 'ACCEPT'} [0:0]")
        lines += [":A - [0:0]", ":B - [0:0]", ":OUT - [0:0]"]
        for hook in hooks:
            for _ in range(chance.randrange(0, 5)):
                kind = hook if hook in ("OUTPUT", "FORWARD") else ""
                goal = chance.choice(["ACCEPT", "DROP", "REJECT" if table == "filter" else "DROP", "RETURN", "A", "B", "OUT" if hook == "OUTPUT" else "A"])
                word = "-g" if goal in "AB" and chance.random() < 0.25 else "-j"
                lines.append(f"-A {hook} {match(kind)} {word} {goal}")
        for name, further in (("A", ["B"]), ("B", []), ("OUT", ["B"])):
            for _ in range(chance.randrange(0, 4)):
                goal = chance.choice(["ACCEPT", "DROP", "RETURN", *further])
                lines.append(f"-A {name} {match('OUTPUT' if name == 'OUT' else '')} -j {goal}")
        lines.append("COMMIT")
    return "\n".join(lines) + "\n"


def nftables(chance):
    """A ruleset as nft -f reads it."""

    def match(hook):
        kinds = [
            lambda: f"ip daddr {chance.choice(['', '!= '])}{chance.choice([ADDRESS, '169.254.0.0/16', '{ 169.254.169.254, 10.0.0.1 }', '@known', '169.254.169.1-169.254.169.255'])}",
            lambda: f"tcp dport {chance.choice(['80', '!= 80', '{ 80, 443 }', '1-1024', '443'])}",
            lambda: f"meta l4proto {chance.choice(['tcp', 'udp', '{ tcp, udp }'])}",
            lambda: f"ct state {chance.choice(['new', 'established,related', '{ new, established }', 'invalid'])}",
            lambda: f"meta nfproto {chance.choice(['ipv4', 'ipv6'])}",
            lambda: f"fib daddr type {chance.choice(['local', 'unicast'])}",
        ]
        if hook == "output":
            kinds += [
                lambda: f"meta skuid {chance.choice(['', '!= '])}{chance.choice(['0', '998', '1000', '900-1100', '{ 0, 998 }'])}",
                lambda: f"meta skgid {chance.choice(['', '!= '])}{chance.choice(['0', '1000'])}",
                lambda: f"oifname {chance.choice(['', '!= '])}{chance.choice([chr(34) + 'lo' + chr(34), chr(34) + 'eth0' + chr(34), chr(34) + 'eth*' + chr(34)])}",
            ]
        if hook == "forward":
            kinds += [
                lambda: f"iifname {chance.choice(['', '!= '])}\"docker0\"",
                lambda: f"oifname {chance.choice(['', '!= '])}{chance.choice(['{ eth0, eth1 }', chr(34) + 'docker0' + chr(34)])}",
                lambda: f"meta skuid {chance.choice(['', '!= '])}0",
            ]
        return " ".join(pick() for pick in chance.sample(kinds, chance.choice([1, 1, 2])))

    lines = []
    for number, family in enumerate(chance.sample(["inet", "ip", "inet"], chance.choice([1, 1, 2]))):
        lines += [f"table {family} t{number} {{", "set known { type ipv4_addr; flags interval; elements = { 169.254.169.252/30, 10.0.0.1 } }"]
        lines.append("chain sub {")
        for _ in range(chance.randrange(0, 3)):
            lines.append(f"{match('')} {chance.choice(['accept', 'drop', 'return'])}")
        lines.append("}")
        for hook in ("output", "forward", "input", "prerouting", "postrouting"):
            if chance.random() < (0.9 if hook in ("output", "forward") else 0.2):
                policy = "drop" if chance.random() < 0.1 else "accept"
                lines += [f"chain {hook} {{", f"type filter hook {hook} priority {chance.choice(['filter', 'raw', 'filter + 10', '-7'])}; policy {policy};"]
                if chance.random() < 0.15:
                    lines.append("ct state vmap { established : accept, related : accept, invalid : drop }")
                for _ in range(chance.randrange(0, 4)):
                    kind = hook if hook in ("output", "forward") else ""
                    last = chance.choice(["accept", "drop", "reject" if hook in ("output", "forward", "input") else "drop", "jump sub", "goto sub", "counter", "counter drop"])
                    lines.append(f"{match(kind)} {last}")
                lines.append("}")
        lines.append("}")
    return "\n".join(lines) + "\n"


def flush():
    sh("nft flush ruleset")


def collect(folder):
    folder.mkdir(parents=True)
    (folder / "routes.json").write_text(sh("ip -j route").stdout)


def audit(folder):
    done = subprocess.run([*AUDIT, str(folder), "--format", "json"], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    found = {}
    for one in json.loads(done.stdout)["findings"]:
        if "→ " + ADDRESS in one["resource"]:
            found[(one["account"], one["check"])] = one
    return found


def main():
    inside()
    network()
    processes = [start(SERVER, space="meta")]
    clients = {"root": start(CLIENT, 0), "other": start(CLIENT, 65534), "named": start(CLIENT, 998), "box": start(CLIENT, 1000, space="box")}
    processes += clients.values()
    try:
        base = tried(clients)
        assert set(base.values()) == {"open"}, base
        chance = random.Random(20261122)
        with tempfile.TemporaryDirectory(dir="/tmp") as work:
            run(pathlib.Path(work), clients, chance)
    finally:
        for process in processes:
            process.kill()


def run(work, clients, chance):
    really, rules, refused = {}, {}, 0
    for number in range(CASES):
        for kind in ("iptables", "nft"):
            name = f"{kind}-{number}"
            flush()
            text = iptables(chance) if kind == "iptables" else nftables(chance)
            loaded = sh(["iptables-restore"] if kind == "iptables" else ["nft", "-f", "-"], text, check=False)
            if loaded.returncode != 0:
                refused += 1
                continue
            folder = work / "host" / name
            collect(folder)
            if kind == "iptables":
                (folder / "iptables-save.txt").write_text(sh("iptables-save").stdout)
            elif number % 2:
                (folder / "nft.json").write_text(sh("nft -j list ruleset").stdout)
            else:
                (folder / "nft.txt").write_text(sh("nft list ruleset").stdout)
            docker = work / "docker" / name
            docker.mkdir(parents=True)
            (docker / "info.json").write_text('{"ServerVersion": "27.0.0", "Driver": "overlay2"}')
            really[name], rules[name] = tried(clients), text
    flush()
    said = audit(work)
    wrong, unknown, counts, reasons = [], 0, {}, {}
    for name, seen in really.items():
        for check, client in (("host-metadata-firewall", "other"), ("host-metadata-firewall-containers", "box")):
            one = said.get((name, check))
            expected = {"open": "fail", "shut": "pass"}[seen[client]]
            if one is None:
                wrong.append(f"{name} {check}: nothing is said")
            elif one["outcome"] == "unknown":
                unknown += 1
                reason = one["what"].partition("depends on ")[2][:90]
                reasons[reason] = reasons.get(reason, 0) + 1
            elif one["outcome"] != expected:
                wrong.append(f"{name} {check}: said {one['outcome']}, is {expected}\n{one['evidence']}\n{rules[name]}")
            counts[expected] = counts.get(expected, 0) + 1
    for line in wrong[:10]:
        print(line)
    for reason, count in sorted(reasons.items(), key=lambda item: -item[1])[:8]:
        print(f"{count:4} unknown: {reason}")
    total = 2 * len(really)
    print(f"{len(really)} rulesets ({refused} refused by the kernel), {total} answers: {total - unknown - len(wrong)} agree, {unknown} unknown, {len(wrong)} wrong; open {counts.get('fail', 0)}, shut {counts.get('pass', 0)}")
    failed = bool(wrong) or unknown > total // 10
    # The rules that are printed close what was open, and leave root alone.
    for name in ("iptables-fix", "nft-fix"):
        flush()
        if name == "iptables-fix":
            sh(["iptables-restore"], "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\n-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A FORWARD -i docker0 ! -o docker0 -j ACCEPT\n-A DOCKER-USER -j RETURN\nCOMMIT\n")
        else:
            sh(["nft", "-f", "-"], "table inet filter {\nchain output { type filter hook output priority 0; policy accept; }\nchain forward { type filter hook forward priority 0; policy accept; iifname \"docker0\" accept; }\n}\n")
        before = tried(clients)
        for step in ("before", "after"):
            folder = work / step / "host" / name
            collect(folder)
            if name == "iptables-fix":
                (folder / "iptables-save.txt").write_text(sh("iptables-save").stdout)
            else:
                (folder / "nft.json").write_text(sh("nft -j list ruleset").stdout)
            said = audit(work / step)
            outcomes = sorted(one["outcome"] for (host, _), one in said.items() if host == name)
            if step == "before":
                fixes = [line for (host, _), one in sorted(said.items()) if host == name for line in one["fix"] if not line.startswith("#")]
                for line in fixes:
                    sh(line)
            after = tried(clients)
        expected = {"root": "open", "other": "shut", "named": "shut", "box": "shut"}
        good = set(before.values()) == {"open"} and after == expected and outcomes == ["pass", "pass"]
        print(f"{name}: {len(fixes)} printed rules; before {before}; after {after}; {outcomes}: {'right' if good else 'WRONG'}")
        failed |= not good
    flush()
    sys.exit(1 if failed else 0)


main()
