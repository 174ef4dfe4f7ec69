"""What makes it hard to look at a host: floods, numbers used again, clocks that are set, namespaces that are gone, engines that end.

    python3 .ci/hardships.py SECONDS      # sets the clock of the machine, and back after two seconds
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

from engines import sockets
from service import check
from watching import SECRETS, Watch, at, events_of, moment

def execs(lines, path):
    return [line for line in lines if at(line, "event.action") == "exec" and at(line, "process.executable") == str(path)]


def lost(said, of="exec"):
    """What the command says at its end that it lost of a class; without a bound where the kernel told that it lost something, and not how much."""
    total = 0
    for line in said.splitlines():
        if "lost (" in line:
            for part in line.split(": ")[-1].split(", "):
                count, kind = part.split()[:2]
                total += int(count.replace(",", "")) if kind == of else float("inf") if kind == "unknown" else 0
    return total


def flood(place, mode, count):
    """So many programs that live a millisecond, and as many while nobody reads: each is seen, or counted as lost."""
    nothing = place.folder / "nothing"
    # Only programs in the kernel know for sure in which control group a program was that has ended.
    everywhere = mode != "ebpf"
    watch = Watch(place, "--events", mode=mode, everywhere=everywhere)
    began = time.monotonic()
    code, _, error = place.act([place.folder / "flood", str(count), nothing])
    check("the flood", code == 0, error.decode())
    rate = count / (time.monotonic() - began)
    # All that is still on its way comes within this.
    time.sleep(1.5)
    lines, said = watch.end()
    seen = len({at(line, "process.entity_id") for line in execs(lines, nothing)})
    check(f"{mode}: all of {count} programs are seen or counted", seen + lost(said) >= count, f"{seen} seen, {lost(said)} lost\n{said[-600:]}")
    check(f"{mode}: none is told twice", len(execs(lines, nothing)) == seen)
    parents = {at(line, "process.parent.name") for line in execs(lines, nothing)}
    check(f"{mode}: parents", parents <= {"flood"}, str(parents))
    text = f"  {mode}: {count} programs at {rate:,.0f}/s: {seen} seen, {lost(said)} counted as lost"
    watch = Watch(place, "--events", mode=mode, everywhere=everywhere)
    watch.process.send_signal(signal.SIGSTOP)
    code, _, error = place.act([place.folder / "flood", str(count), nothing])
    time.sleep(0.5)
    watch.process.send_signal(signal.SIGCONT)
    time.sleep(2)
    lines, said = watch.end()
    seen = len({at(line, "process.entity_id") for line in execs(lines, nothing)})
    check(f"{mode}: all of {count} programs are seen or counted while nobody reads", seen + lost(said) >= count, f"{seen} seen, {lost(said)} lost\n{said[-600:]}")
    print(f"{text}; while nobody reads {seen} and {lost(said)}")
    if mode == "ebpf":
        overflowing(place, mode, count)


def told_lost(lines):
    """What documents say was lost, by class and cause."""
    sums = {}
    for line in lines:
        if at(line, "event.action") == "sensor_lost":
            told = at(line, "neph.sensor.lost")
            key = (told["class"], told["cause"])
            sums[key] = sums.get(key, 0) + told["count"]
    return sums


def said_lost(said):
    """The same as the command says it at its end."""
    sums = {}
    for line in said.splitlines():
        if "lost (" in line:
            cause = line.partition("(")[2].partition(")")[0]
            for part in line.split(": ")[-1].split(", "):
                count, kind = part.split()[:2]
                sums[kind, cause] = int(count.replace(",", ""))
    return sums


def overflowing(place, mode, count):
    """A ring that is too small for what comes while nobody reads: what is lost is counted exactly, and told in documents and at the end."""
    nothing = place.folder / "nothing"
    watch = Watch(place, "--events", "--sensor-memory", "5", mode=mode)
    watch.process.send_signal(signal.SIGSTOP)
    code, _, error = place.act([place.folder / "flood", str(2 * count), nothing])
    check("the flood", code == 0, error.decode())
    watch.process.send_signal(signal.SIGCONT)
    time.sleep(2)
    lines, said = watch.end()
    documents, end = told_lost(lines), said_lost(said)
    check(f"{mode}: the documents say what the end says", documents == end, f"{documents} {end}")
    given_up = sum(number for (kind, _), number in end.items() if kind == "exec")
    seen = len({at(line, "process.entity_id") for line in execs(lines, nothing)})
    check(f"{mode}: something was lost", given_up > 0, said[-600:])
    check(f"{mode}: exactly as many programs as are missing", seen + given_up == 2 * count, f"{seen} and {given_up} of {2 * count}")
    gone = sum(number for (kind, _), number in end.items() if kind == "exit")
    check(f"{mode}: ends are given up before programs are", gone > given_up, f"{end}")
    print(f"  {mode}: a ring of 1 MiB flooded while nobody reads: of {2 * count} programs {seen} seen and {given_up} lost, ends given up before; documents say the same")


def limits(place, mode, percent, rate, seconds):
    """More programs a second than the sensor may work on: it keeps to its share of the processor and its memory, gives up by class, and counts."""
    nothing = place.folder / "nothing"
    watch = Watch(place, "--events", "--sensor-cpu", str(percent), mode=mode)
    stat = pathlib.Path(f"/proc/{watch.process.pid}/stat")
    used = lambda: sum(map(int, stat.read_text().rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")
    before, began = used(), time.monotonic()
    count = rate * seconds // 4
    floods = [place.act([place.folder / "flood", str(count), nothing], wait=False) for _ in range(4)]
    for flood in floods:
        check("the flood", flood.wait(timeout=20 * seconds + 120) == 0)
    took = time.monotonic() - began
    time.sleep(2)
    # Also what was left when it began is the sensor's, and what it had saved up in the minute before.
    share, most = used() - before, percent / 100 * (60 + time.monotonic() - began)
    status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{watch.process.pid}/status").read_text().splitlines())
    # Pages of the program itself are no memory that is taken.
    memory = (int(status["VmHWM"].split()[0]) - int(status["RssFile"].split()[0])) / 1024
    lines, said = watch.end()
    total = 4 * count
    seen = len({at(line, "process.entity_id") for line in execs(lines, nothing)})
    sums = said_lost(said)
    of = lambda word: sum(number for (kind, _), number in sums.items() if kind == word)
    print(f"  {mode}: {total} programs in {took:.0f} s, {total / took:,.0f} a second, {percent} % of a core allowed: used {share:.2f} s of {most:.2f} s, at most {memory:.0f} MiB; {seen} programs told, given up: {sums}")
    check(f"{mode}: its share of the processor", share <= most * 1.1 + 0.3, f"{share:.2f} s of {most:.2f} s")
    check(f"{mode}: its memory", memory <= 80 * 1.25, f"{memory:.0f} MiB")
    check(f"{mode}: every program is told or counted", seen + of("exec") == total, f"{seen} {of('exec')} of {total}")
    check(f"{mode}: documents say what the end says", told_lost(lines) == sums, f"{told_lost(lines)} {sums}")
    # When nothing at all can be afforded, all go; those who make the flood are among the forks that are told.
    check(f"{mode}: by class", of("exit") >= of("exec") and of("fork") + 100 >= of("exec"), str(sums))


def numbers_again(place, mode, times=4):
    """Processes that have the same number one after the other; also where nobody reads meanwhile, so that the end of the first is seen late."""
    everywhere = mode != "ebpf"
    reuse = place.folder / "reuse"
    for late in (False, True):
        watch = Watch(place, "--events", mode=mode, everywhere=everywhere)
        if late:
            watch.process.send_signal(signal.SIGSTOP)
        process = place.act([reuse, str(times)], wait=False)
        out, error = process.communicate(timeout=60)
        check("numbers are used again", process.returncode == 0, f"{process.returncode} {error.decode()}")
        number = int(out)
        if late:
            watch.process.send_signal(signal.SIGCONT)
        time.sleep(1.5)
        lines, said = watch.end()
        what = f"{mode}{', read late' if late else ''}: "
        check(what + "nothing is lost", "nothing lost" in said, said[-600:])
        mine = [line for line in lines if at(line, "process.pid") == number]
        programs = [line for line in mine if at(line, "event.action") == "exec"]
        entities = [at(line, "process.entity_id") for line in programs]
        check(what + "each has an id of its own", len(set(entities)) == len(entities) == times, str(entities))
        parents = {at(line, "process.parent.pid") for line in programs}
        check(what + "who made them", parents == {process.pid}, f"{parents} {process.pid}")
        ends = [at(line, "process.entity_id") for line in mine if at(line, "event.action") == "end"]
        check(what + "each ends once", sorted(ends) == sorted(entities), f"{ends} {entities}")
        children = [line for line in lines if at(line, "process.parent.pid") == number and at(line, "event.action") == "exec"]
        check(what + "each has its child", sorted(at(line, "process.parent.entity_id") for line in children) == sorted(entities), f"{len(children)}")
        if not (late and mode == "connector"):
            turns = {at(line, "process.entity_id"): at(line, "process.args") for line in programs}
            right = [(turns[at(line, "process.parent.entity_id")][2], at(line, "process.args")[2]) for line in children]
            check(what + "and no other's", sorted(right) == [(str(turn), str(turn)) for turn in range(times)], str(right))
    print(f"  {mode}: {times} processes of the same number are told apart, with their parents, children and ends, also when they are read late")


STEPS = """
[metadata]
creation_date = "2026/11/22"
maturity = "production"
updated_date = "2026/11/22"

[rule]
author = ["Nephoscope"]
description = "Two programs in a folder, one after the other."
index = ["logs-endpoint.events.process-*"]
language = "eql"
license = "Apache-2.0"
name = "One after the Other"
risk_score = 21
rule_id = "5a2b0c70-54e5-4a49-a5d8-5a3d9a1c1f10"
severity = "low"
type = "eql"
query = '''
sequence by process.working_directory with maxspan=2s
  [process where event.action == "exec" and process.args == "step-begin"]
  [process where event.action == "exec" and process.args == "step-end"]
'''
"""


def clock_is_set(place, mode):
    """Somebody sets the clock of the machine by three seconds, and back after two."""
    rules = place.folder / "steps"
    rules.mkdir(exist_ok=True)
    (rules / "steps.toml").write_text(STEPS)
    # What a program must run for to be seen by those who look at it a moment later.
    act = lambda word, name: place.act(["sh", "-c", "sleep 0.05", word], cwd=place.folder / name)
    for step in (3, -3):
        record = place.folder / f"steps-{mode}-{step}.ndjson"
        watch = Watch(place, "--rules", rules, "--format", "ndjson", "--record", record, mode=mode)
        real = time.time() - time.monotonic()
        moments = {}
        for name in ("there", "back", "far"):
            (place.folder / name).mkdir(exist_ok=True)

        def mark(word, name):
            moments[word, name] = time.monotonic() + real
            act(word, name)

        stays = place.act(["sh", "-c", "sleep 4", "stays"], wait=False)
        time.sleep(0.3)
        mark("step-begin", "there")
        mark("step-begin", "far")
        setter = subprocess.Popen([sys.executable, __file__, str(step)], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        check("the clock is set", setter.stdout.readline() == b"set\n")
        mark("step-end", "there")
        time.sleep(1.2)
        mark("step-begin", "back")
        check("and set back", setter.wait(timeout=10) == 0 and abs(time.time() - time.monotonic() - real) < 0.2)
        mark("step-end", "back")
        time.sleep(0.5)
        mark("step-end", "far")
        stays.wait(timeout=10)
        time.sleep(1.5)
        alerts, said = watch.end()
        what = f"{mode}, {step:+} s: "
        check(what + "nothing is lost", "nothing lost" in said, said[-600:])
        lines = sorted((json.loads(line) for line in open(record)), key=lambda line: at(line, "event.sequence"))
        mine = [line for line in lines if at(line, "event.action") == "exec" and (at(line, "process.args") or [""])[-1].startswith("step-")]
        told = [((at(line, "process.args"))[-1], pathlib.Path(at(line, "process.working_directory")).name) for line in mine]
        check(what + "each once, in order", told == list(moments), str(told))
        times = [moment(at(line, "@timestamp")) for line in mine]
        check(what + "times in order", times == sorted(times), str(times))
        wrong = max(abs(time - real) for time, real in zip(times, moments.values()))
        check(what + "times are right", wrong < 0.5, f"{wrong:.3f} s")
        found = sorted(pathlib.Path(at(events_of(alert)[0], "process.working_directory")).name for alert in alerts)
        check(what + "what is near to each other is, and nothing else", found == ["back", "there"], str(found))
        of_it = [line for line in lines if at(line, "process.pid") == stays.pid and at(line, "event.action") in ("exec", "end")]
        check(what + "who ran meanwhile stays the same", len(of_it) == 2 and len({at(line, "process.entity_id") for line in of_it}) == 1, str(len(of_it)))
        print(f"  {mode}: the clock set by {step:+} s and back: times in order and {wrong:.2f} s off at most, sequences hold")


def set_clock(seconds):
    """Sets the clock, and back after two seconds, whatever happens meanwhile: a second process does so where the first cannot."""
    apart = time.time() - time.monotonic()
    back = lambda: time.clock_settime(time.CLOCK_REALTIME, time.monotonic() + apart)
    if os.fork() == 0:
        os.setsid()
        with open(os.devnull, "r+b") as nowhere:
            for descriptor in range(3):
                os.dup2(nowhere.fileno(), descriptor)
        time.sleep(2.7)
        if abs(time.time() - time.monotonic() - apart) > 0.5:
            back()
        os._exit(0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    try:
        time.clock_settime(time.CLOCK_REALTIME, time.time() + seconds)
        print("set", flush=True)
        time.sleep(2)
    finally:
        back()
    return 0


def namespaces_gone(place, mode):
    """Processes in namespaces of their own, of which nothing is left when they are told of."""
    everywhere = mode != "ebpf"
    watch = Watch(place, "--events", mode=mode, everywhere=everywhere)
    nothing = place.folder / "nothing"
    for late in (False, True):
        if late:
            watch.process.send_signal(signal.SIGSTOP)
        for turn in range(5):
            code, _, error = place.act(["unshare", "--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "sh", "-c", f"{nothing} gone-{turn}; sleep 0.05; true"])
            check("namespaces of its own", code == 0, error.decode())
        if late:
            watch.process.send_signal(signal.SIGCONT)
    time.sleep(1.5)
    lines, said = watch.end()
    check(f"{mode}: nothing is lost", "nothing lost" in said, said[-600:])
    shells = [line for line in lines if at(line, "event.action") == "exec" and "gone-" in " ".join(at(line, "process.args") or []) and (at(line, "process.args") or [""])[0] == "sh"]
    programs = execs(lines, nothing)
    if mode == "connector":
        # What has ended when it is looked at, it tells of by its number alone.
        check(f"{mode}: those that ran when they were looked at", len(shells) >= 5, str(len(shells)))
    else:
        check(f"{mode}: each shell, and what it ran", (len(shells), len(programs)) == (10, 10), f"{len(shells)} {len(programs)}")
        check(f"{mode}: by its parent", sorted(at(line, "process.parent.entity_id") for line in programs) == sorted(at(line, "process.entity_id") for line in shells))
    print(f"  {mode}: what happened in namespaces that are gone is told, with parents")


def odd_things(place, mode):
    """Arguments of a megabyte, names that are no UTF-8, a namespace that is gone, a sensor that was killed."""
    nothing = place.folder / "nothing"
    odd = os.fsencode(place.folder) + b"/na\xff\xfeme"
    shutil.copy(nothing, odd)
    # It runs before the sensor does, and asks after it was killed and started anew.
    early = place.act("sleep 1000 & echo ready; read line; " + f"curl -s {SECRETS}; true", wait=False)
    early.stdin = None
    watch = Watch(place, "--events", mode=mode)
    for _ in range(8):
        place.act([str(nothing), *["x" * 130000] * 8])
    place.act([odd, b"\xff\xfe\xfd", "é"])
    place.act(["unshare", "--net", "--mount", "--pid", "--fork", str(nothing), "gone"])
    time.sleep(1)
    watch.process.kill()
    lines, _ = watch.end(signal.SIGKILL)
    documents = execs(lines, nothing)
    long = [line for line in documents if any(len(arg) > 1000 for arg in at(line, "process.args") or [])]
    check(f"{mode}: long arguments", len(long) == 8, str(len(long)))
    check(f"{mode}: how many there were", all(at(line, "process.args_count") == 9 for line in long), str([at(line, "process.args_count") for line in long]))
    strange = [line for line in lines if "na" in (at(line, "process.name") or "") and at(line, "event.action") == "exec" and "me" in at(line, "process.name")]
    check(f"{mode}: a name that is no UTF-8", len(strange) == 1, str([at(line, "process.name") for line in lines][:40]))
    check(f"{mode}: a namespace that is gone", any("gone" in (at(line, "process.args") or []) for line in documents))
    watch = Watch(place, "--events", mode=mode)
    code, _, _ = place.act(f"curl -s {SECRETS}; true")
    time.sleep(1)
    early.kill()
    early.wait()
    lines, said = watch.end()
    curl = [line for line in lines if at(line, "process.name") == "curl" and at(line, "event.action") == "exec"]
    check(f"{mode}: seen again after the sensor was killed", len(curl) == 1, str(len(curl)))
    check(f"{mode}: its parent", at(curl[0], "process.parent.name") in ("sh", "dash") and at(curl[0], "process.parent.pid"), json.dumps(curl[0].get("process"))[:800])
    attached = [line for line in lines if at(line, "process.args") == ["sleep", "1000"]]
    check(f"{mode}: what ran before is known", len(attached) >= 1)
    print(f"  {mode}: odd arguments, names and namespaces are seen; killed and started again, parents are right")


def named_files(place, mode):
    """Files that the command is told to look at or to leave alone; who changes to another user."""
    own, left = place.folder / "own", place.folder / "left" / ".aws"
    own.mkdir()
    left.mkdir(parents=True)
    watch = Watch(place, "--events", "--watch-file", f"{own}/*.pem", "--watch-file", f"{own}/key", "--skip-file", "*/left/*", mode=mode)
    place.act(f"echo x >{own}/a.pem; cat {own}/a.pem; echo x >{own}/key; cat {own}/key; echo x >{left}/credentials; cat {left}/credentials; echo x >{own}/other")
    place.act(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", str(place.folder / "nothing"), "as-nobody"])
    time.sleep(1)
    lines, _ = watch.end()
    told = [(at(line, "event.action"), at(line, "process.name"), at(line, "file.name")) for line in lines if at(line, "file.path")]
    expected = [("creation", "sh", "a.pem"), ("creation", "sh", "key"), ("open", "cat", "key")]
    check(f"{mode}: files that are named", told == expected, str(told))
    becomes = [(at(line, "event.action"), at(line, "user.id")) for line in lines if at(line, "event.type") == ["change"] and at(line, "process.name") == "setpriv"]
    check(f"{mode}: who becomes somebody else", ("uid_change", "65534") in becomes and "gid_change" in dict(becomes), str(becomes))
    print(f"  {mode}: files that are named, and changes of users, are told")


def engine_again(place, found, mode):
    """An engine that ends and begins again while its containers run: all that happens in them, in those that start meanwhile and in those
    that start afterwards is told, with who they are."""
    for engine in found:
        kind = type(engine).__name__.lower()
        loop = ("/bin/sh", "-c", "while true; do /bin/true; sleep 0.2; done")
        names = {engine.container(f"{kind}-stays", *loop): f"{kind}-stays"}
        watch = Watch(place, "--events", *sockets([engine]), mode=mode)
        try:
            time.sleep(1)
            engine.daemon.kill()
            engine.daemon.wait()
            gone = time.time()
            if kind == "podman":
                # Its containers need no daemon.
                names[engine.container(f"{kind}-meanwhile", *loop)] = f"{kind}-meanwhile"
            time.sleep(1.5)
            engine.begin()
            back = time.time()
            names[engine.container(f"{kind}-again", *loop)] = f"{kind}-again"
            time.sleep(2)
        finally:
            for name in names.values():
                engine.remove(name)
        time.sleep(0.5)
        lines, said = watch.end()
        check(f"{kind}: nothing is lost", "nothing lost" in said, said[-600:])
        late = {at(line, "container.id"): at(line, "container.name") for line in lines if at(line, "event.action") == "container_known"}
        for identity, name in names.items():
            mine = [line for line in lines if at(line, "container.id") == identity and at(line, "event.action") == "exec" and at(line, "process.name") == "true"]
            check(f"{kind}: {name} is seen", len(mine) >= 4, str(len(mine)))
            told = {at(line, "container.name") for line in mine}
            check(f"{kind}: {name} is known, at once or a little later", told <= {name, None} and (None not in told or late.get(identity) == name), f"{told} {late}")
            check(f"{kind}: with its parent", {at(line, "process.parent.name") for line in mine} <= {"sh", "busybox"}, str({at(line, "process.parent.name") for line in mine}))
        told = [at(line, "event.action") for line in lines if at(line, "neph.sensor.engine.socket") == str(engine.socket)]
        wanted = ["container_engine_connected", "container_engine_lost", "container_engine_connected"]
        check(f"{kind}: that it was lost and is back is told", [action for action, before in zip(told, [None, *told]) if action != before] == wanted, str(told))
        meanwhile = [line for line in lines if at(line, "container.name") == f"{kind}-stays" and at(line, "process.name") == "true" and gone < moment(at(line, "@timestamp")) < back]
        check(f"{kind}: what happened while there was no engine", len(meanwhile) >= 3, str(len(meanwhile)))
        print(f"  {mode}: {kind} killed and begun again while containers ran: {len(names)} containers known throughout")


if __name__ == "__main__":
    sys.exit(set_clock(int(sys.argv[1])))
