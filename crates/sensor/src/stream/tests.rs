//! What becomes of observations: who is whose parent, whatever happens, and nothing is lost silently.

mod any;

use std::collections::HashSet;

use serde_json::{Value, json};

use super::*;
use crate::observation::{Context, Outcome, Peer, ProcessId, Transport};
use crate::options::Limits;
use crate::trial::{CONTAINER, Trial, snapshot};

/// The document of the program that a process became.
fn exec_of(documents: &[Value], pid: u32) -> &Value {
    let mut of_it = documents
        .iter()
        .filter(|document| document["event"]["action"] == "exec" && document["process"]["pid"] == pid);
    of_it.next_back().unwrap()
}

#[test]
fn a_child_keeps_its_parent_that_ended() {
    let mut trial = Trial::new();
    trial.exec(10, 1, "/bin/sh", &["sh", "-c", "x & y"]);
    trial.fork(10, 11);
    trial.exit(10, 0);
    trial.exec(11, 10, "/usr/bin/x", &["x"]);
    trial.connect(11, "192.0.2.1:80");
    let documents = trial.documents();
    for action in ["exec", "connection_attempted"] {
        let of_it =
            |document: &&Value| document["process"]["pid"] == 11 && document["event"]["action"] == action;
        let document = documents.iter().find(of_it).unwrap();
        assert_eq!(
            document["process"]["parent"]["args"],
            json!(["sh", "-c", "x & y"]),
            "{action}"
        );
    }
}

#[test]
fn who_becomes_somebody_else_is_told() {
    let user = |euid| Context {
        uid: Some(1000),
        euid: Some(euid),
        gid: Some(1000),
        egid: Some(1000),
        session_leader: Some(10),
        ..Context::default()
    };
    let mut trial = Trial::new();
    trial.exec_as(10, 1, "/bin/sh", &["sh"], user(1000));
    // A program with the bit of its owner, root.
    trial.exec_as(10, 1, "/usr/bin/su", &["su"], user(0));
    // It remains who it is, then becomes root in all respects, of another group, in a session of its own.
    trial.change(10, user(0));
    let root = Context {
        uid: Some(0),
        gid: Some(0),
        egid: Some(0),
        ..Context::default()
    };
    trial.change(10, root.clone());
    trial.change(10, root);
    let session = Context {
        session_leader: Some(11),
        ..Context::default()
    };
    trial.change(10, session);
    // Nobody knows who this one was before.
    trial.change(99, user(0));
    let documents = trial.documents();
    let told: Vec<_> = documents
        .iter()
        .filter(|document| document["event"]["type"][0] == "change")
        .map(|document| {
            (
                &document["event"]["action"],
                &document["user"]["id"],
                &document["process"]["name"],
            )
        })
        .collect();
    let of = |action: &str| (json!(action), json!("0"), json!("su"));
    let expected = ["uid_change", "uid_change", "gid_change", "session_id_change"].map(of);
    assert_eq!(
        told,
        expected.iter().map(|(a, b, c)| (a, b, c)).collect::<Vec<_>>()
    );
}

#[test]
fn who_forked_twice_is_still_told() {
    let mut trial = Trial::new();
    trial.exec(1, 0, "/sbin/init", &["init"]);
    trial.exec(10, 1, "/usr/bin/evil", &["evil"]);
    trial.fork(10, 11);
    trial.fork(11, 12);
    trial.exit(11, 0);
    // The kernel says that the first process is the parent now.
    trial.exec(12, 1, "/usr/bin/x", &["x"]);
    let documents = trial.documents();
    let document = exec_of(&documents, 12);
    assert_eq!(document["process"]["parent"]["pid"], 1);
    // Its maker was 11, which was a copy of 10 and ended.
    let made_by = document["neph"]["sensor"]["made_by"].as_str().unwrap();
    assert_ne!(
        made_by,
        document["process"]["parent"]["entity_id"].as_str().unwrap()
    );
    assert_eq!(document["process"]["previous"][0]["executable"], "/usr/bin/evil");
}

#[test]
fn a_number_that_is_used_again_is_another_process() {
    let mut trial = Trial::new();
    trial.exec(10, 1, "/usr/bin/first", &["first"]);
    trial.exit(10, 0);
    trial.now += 20_000_000;
    trial.fork(1, 10);
    trial.exec(10, 1, "/usr/bin/second", &["second"]);
    trial.connect(10, "192.0.2.1:80");
    let documents = trial.documents();
    let entity = |position: usize| documents[position]["process"]["entity_id"].clone();
    let names: Vec<&Value> = documents
        .iter()
        .map(|document| &document["process"]["name"])
        .collect();
    assert_eq!(names, ["first", "first", "second", "second"]);
    assert_eq!(entity(0), entity(1));
    assert_ne!(entity(1), entity(2));
    assert_eq!(entity(2), entity(3));
}

#[test]
fn a_number_that_is_used_again_is_another_process_also_when_the_end_of_the_first_was_lost() {
    let mut trial = Trial::new();
    trial.exec(1, 0, "/sbin/init", &["init"]);
    trial.exec(20, 1, "/usr/bin/parent", &["parent"]);
    trial.exec(10, 1, "/usr/bin/first", &["first"]);
    trial.fork(10, 30);
    // Neither that the first ended nor that the second was made is told.
    trial.now += 100_000_000;
    trial.forget(10);
    trial.exec(10, 20, "/usr/bin/second", &["second"]);
    trial.fork(10, 31);
    trial.exec(30, 10, "/usr/bin/child", &["child", "of the first"]);
    trial.exec(31, 10, "/usr/bin/child", &["child", "of the second"]);
    trial.exit(10, 0);
    let documents = trial.documents();
    let process = |args: &[&str]| {
        let mut own = documents.iter().map(|document| &document["process"]);
        own.find(|process| process["args"] == json!(args)).unwrap()
    };
    let (first, second) = (process(&["first"]), process(&["second"]));
    assert_ne!(first["entity_id"], second["entity_id"]);
    assert_eq!(second["parent"]["name"], "parent");
    // Whoever is told as the parent of what the first made when the second had its number: the kernel says so.
    let of_second = process(&["child", "of the second"]);
    assert_eq!(of_second["parent"]["entity_id"], second["entity_id"]);
    let ends: Vec<&Value> = documents
        .iter()
        .filter(|document| document["event"]["action"] == "end")
        .collect();
    assert_eq!(ends.len(), 1);
    assert_eq!(ends[0]["process"]["entity_id"], second["entity_id"]);
}

#[test]
fn an_end_that_comes_late_is_the_end_of_who_ended() {
    let mut trial = Trial::new();
    trial.exec(10, 1, "/usr/bin/first", &["first"]);
    let first = trial.id(10);
    trial.now += 50_000_000;
    let ended = trial.tick();
    trial.now += 50_000_000;
    trial.fork(1, 10);
    trial.exec(10, 1, "/usr/bin/second", &["second"]);
    trial.stream.push(Observation::Exit {
        at: ended,
        process: first,
        status: 0,
    });
    trial.connect(10, "192.0.2.1:80");
    let documents = trial.documents();
    let named = |action: &str| {
        let of_it = |document: &&Value| document["event"]["action"] == action;
        &documents.iter().find(of_it).unwrap()["process"]["name"]
    };
    assert_eq!(
        (named("end"), named("connection_attempted")),
        (&json!("first"), &json!("second"))
    );
}

#[test]
fn who_ends_and_is_known_by_its_number_alone_is_who_has_it() {
    let already = vec![
        snapshot(1, 1, 0, "/sbin/init", &["init"]),
        snapshot(10, 20, 1, "/usr/sbin/sshd", &["sshd"]),
    ];
    let mut trial = Trial::with(Limits::default(), already);
    let running = trial.documents();
    let of_sshd = |document: &&Value| document["process"]["name"] == "sshd";
    let sshd = running.iter().find(of_sshd).unwrap()["process"]["entity_id"].clone();
    // Its source cannot read any more when it started; nor of another, of which nothing else was seen, that has its number then.
    for _ in 0..2 {
        let (at, process) = (trial.tick(), ProcessId { pid: 10, start: 0 });
        trial.stream.push(Observation::Exit {
            at,
            process,
            status: 0,
        });
        trial.now += 100_000_000;
    }
    trial.fork(1, 11);
    trial.stream.push(Observation::Exit {
        at: SinceBoot(trial.now),
        process: ProcessId { pid: 11, start: 0 },
        status: 0,
    });
    let mut told = Vec::new();
    while trial.stream.settle(SinceBoot(trial.now), true, &mut told) > 0 {}
    let told = String::from_utf8(told).unwrap();
    let ends: Vec<Value> = told
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    // The second end is of a process that started no program as far as is known, and is not told; least of all as the first's.
    assert_eq!(ends.len(), 1, "{ends:#?}");
    assert_eq!(ends[0]["process"]["entity_id"], sshd);
}

#[test]
fn what_arrives_in_no_order_leaves_in_order() {
    let mut trial = Trial::new();
    // The child's program arrives before the child and its parent's program.
    let late = trial.program(10, 1, "/bin/sh", &["sh"]);
    let at = trial.tick();
    let (parent, child) = (trial.id(10), trial.id(11));
    let fork = Observation::Fork { at, child, parent };
    let first = trial.program(11, 10, "/usr/bin/x", &["x"]);
    trial.push(first);
    trial.stream.push(fork);
    trial.push(late);
    let documents = trial.documents();
    assert_eq!(documents[0]["process"]["pid"], 10);
    assert_eq!(exec_of(&documents, 11)["process"]["parent"]["name"], "sh");
}

#[test]
fn an_end_waits_for_what_audit_tells_later() {
    let mut trial = Trial::seen_by(Mode::Audit, Limits::default(), Vec::new());
    trial.fork(1, 11);
    let program = trial.program(11, 1, "/usr/bin/x", &["x"]);
    trial.exit(11, 0);
    // A tenth of a second later nothing of what it did has come.
    let mut lines = Vec::new();
    trial
        .stream
        .settle(SinceBoot(trial.now + 100_000_000), false, &mut lines);
    assert_eq!(String::from_utf8_lossy(&lines), "");
    trial.push(program);
    trial.connect(11, "192.0.2.1:80");
    let documents = trial.documents();
    let actions: Vec<&Value> = documents
        .iter()
        .map(|document| &document["event"]["action"])
        .collect();
    assert_eq!(actions, ["exec", "connection_attempted", "end"]);
}

#[test]
fn lost_forks_and_programs_are_repaired_from_the_parent_that_runs() {
    let mut trial = Trial::new();
    let shell = snapshot(10, 50, 1, "/usr/bin/bash", &["bash", "-i"]);
    trial.running.lock().unwrap().insert(10, shell);
    let mut exec = trial.program(11, 10, "/usr/bin/x", &["x"]);
    exec.parent = Some(ProcessId { pid: 10, start: 50 });
    trial.push(exec);
    let document = trial.only("exec");
    assert_eq!(document["process"]["parent"]["args"], json!(["bash", "-i"]));
    assert_eq!(trial.stream.table().2.repaired, 1);
}

#[test]
fn a_parent_that_is_gone_is_unknown_and_not_another_that_has_its_number() {
    let mut trial = Trial::new();
    let other = snapshot(10, 5_000, 1, "/usr/bin/other", &["other"]);
    trial.running.lock().unwrap().insert(10, other);
    let mut exec = trial.program(11, 10, "/usr/bin/x", &["x"]);
    exec.parent = Some(ProcessId { pid: 10, start: 50 });
    trial.push(exec);
    let document = trial.only("exec");
    assert_eq!(document["process"]["parent"]["pid"], 10);
    assert_eq!(document["process"]["parent"]["executable"], Value::Null);
    assert_eq!(trial.stream.table().2.unknown, 1);
}

#[test]
fn processes_that_run_already_are_told_and_known() {
    let already = vec![
        snapshot(20, 30, 10, "/usr/bin/bash", &["bash"]),
        snapshot(1, 1, 0, "/sbin/init", &["init"]),
        snapshot(2, 1, 0, "", &[]),
        snapshot(10, 20, 1, "/usr/sbin/sshd", &["sshd"]),
    ];
    let mut trial = Trial::with(Limits::default(), already);
    trial.fork(20, 30);
    let mut exec = trial.program(30, 20, "/usr/bin/x", &["x"]);
    exec.context.session_leader = Some(20);
    trial.push(exec);
    let documents = trial.documents();
    let running: Vec<&Value> = documents
        .iter()
        .filter(|document| document["event"]["action"] == "already_running")
        .map(|document| &document["process"]["pid"])
        .collect();
    assert_eq!(running, [1, 10, 20], "threads of the kernel are no programs");
    let process = &exec_of(&documents, 30)["process"];
    assert_eq!(process["parent"]["name"], "bash");
    assert_eq!(process["entry_leader"]["pid"], 20);
    assert_eq!(process["entry_leader"]["entry_meta"]["type"], "sshd");
    assert_eq!(process["session_leader"]["pid"], 20);
    assert_eq!(process["group_leader"]["same_as_process"], true);
}

#[test]
fn the_first_process_in_a_container_leads_what_is_in_it() {
    let mut trial = Trial::new();
    trial.exec(
        10,
        1,
        "/usr/bin/containerd-shim-runc-v2",
        &["containerd-shim-runc-v2"],
    );
    trial.fork(10, 11);
    trial.exec_inside(11, 10, "/usr/bin/runc", &["runc", "init"]);
    trial.exec_inside(11, 10, "/entrypoint.sh", &["/bin/sh", "/entrypoint.sh"]);
    trial.fork(11, 12);
    trial.exec_inside(12, 11, "/bin/wget", &["wget"]);
    let documents = trial.documents();
    let process = &exec_of(&documents, 12)["process"];
    assert_eq!(process["entry_leader"]["pid"], 11);
    assert_eq!(process["entry_leader"]["name"], "entrypoint.sh");
    assert_eq!(process["entry_leader"]["entry_meta"]["type"], "container");
    let document = exec_of(&documents, 12);
    assert_eq!(
        document["container"],
        json!({"id": CONTAINER, "runtime": "docker"})
    );
    assert_eq!(
        document["data_stream"]["dataset"],
        json!(["endpoint.events.process", "cloud_defend.process"])
    );
    // A copy that does not become another program is in the container, too.
    assert_eq!(exec_of(&documents, 10).get("container"), None);
}

#[test]
fn long_and_strange_arguments_are_told_as_they_are_and_cut_ones_with_their_length() {
    let mut trial = Trial::new();
    let mut exec = trial.program(10, 1, "/usr/bin/x", &[]);
    exec.args = Some(vec![
        b"x".to_vec(),
        b"\xff\xfe\n\t\x01\"\\".to_vec(),
        vec![b'a'; 4_000],
    ]);
    exec.args_bytes = 1 << 20;
    exec.args_count = Some(77);
    exec.cwd = Some(b"/\xe4".to_vec());
    trial.push(exec);
    let line = trial.lines().pop().unwrap();
    assert!(line.contains("\\n\\t\\u0001\\\"\\\\"));
    let document: Value = serde_json::from_str(&line).unwrap();
    let process = &document["process"];
    assert_eq!(process["args"][1], "\u{fffd}\u{fffd}\n\t\u{1}\"\\");
    assert_eq!(process["args"][2].as_str().unwrap().len(), 4_000);
    assert_eq!(process["args_count"], 77);
    assert_eq!(process["working_directory"], "/\u{fffd}");
    assert_eq!(document["neph"]["sensor"]["args_truncated"], 1 << 20);
}

#[test]
fn what_a_source_cannot_see_is_said() {
    let mut trial = Trial::new();
    let mut exec = trial.program(10, 1, "", &[]);
    exec.asked = None;
    exec.args = None;
    exec.parent = None;
    exec.context = Context::default();
    trial.push(exec);
    let document = trial.only("exec");
    assert_eq!(
        document["neph"]["sensor"]["unknown"],
        json!(["arguments", "executable", "parent"])
    );
    assert_eq!(document["process"].get("args"), None);
    assert_eq!(document["process"].get("command_line"), None);
    assert_eq!(document.get("user"), None);
}

#[test]
fn a_connection_is_told_once_and_its_outcome_is_none() {
    let mut trial = Trial::new();
    trial.exec(10, 1, "/usr/bin/curl", &["curl"]);
    let peer = Peer::Ip {
        transport: Transport::Tcp,
        address: "[::ffff:192.0.2.1]:443".parse().unwrap(),
    };
    let connect = trial.connection(10, peer);
    let mut outcome = connect.clone();
    outcome.outcome = Outcome::Failed(Some(111));
    trial.stream.push(Observation::Connect(connect));
    trial.stream.push(Observation::Outcome(outcome));
    let documents = trial.documents();
    let starts = documents
        .iter()
        .filter(|document| document["event"]["action"] == "connection_attempted");
    assert_eq!(starts.count(), 1);
    let failed = documents.last().unwrap();
    assert_eq!(failed["event"]["action"], "connection_failed");
    assert_eq!(failed["event"]["type"], json!(["info"]));
    assert_eq!(failed["neph"]["sensor"]["error"], 111);
    assert_eq!(failed["destination"]["ip"], "192.0.2.1");
    assert_eq!(failed["network"]["type"], "ipv4");
}

#[test]
fn entity_ids_are_the_same_for_another_sensor_of_the_host() {
    let entity = || {
        let mut trial = Trial::new();
        trial.exec(10, 1, "/usr/bin/x", &["x"]);
        trial.only("exec")["process"]["entity_id"].clone()
    };
    let before = entity();
    assert_eq!(before, entity());
    assert_eq!(before.as_str().unwrap().len(), 32);
}

#[test]
fn ids_of_documents_are_never_the_same() {
    let mut ids = HashSet::new();
    for _ in 0..2 {
        let mut trial = Trial::new();
        for pid in 10..110 {
            trial.exec(pid, 1, "/usr/bin/x", &["x"]);
        }
        let documents = trial.documents();
        assert!(documents.len() >= 100);
        for document in documents {
            assert!(ids.insert(document["event"]["id"].as_str().unwrap().to_owned()));
        }
    }
}

#[test]
fn a_million_processes_stay_within_the_memory() {
    let limits = Limits {
        memory: 16 << 20,
        ..Limits::default()
    };
    let most = limits.memory / 4;
    let mut trial = Trial::with(limits, Vec::new());
    let mut lines = Vec::new();
    for number in 0..1_000_000_u32 {
        let pid = 10 + number;
        trial.fork(1, pid);
        if number % 50 == 0 {
            trial.exec(pid, 1, "/usr/bin/x", &["x", "0123456789"]);
        }
        if number % 1_000 == 0 {
            lines.clear();
            let now = SinceBoot(trial.now);
            while trial.stream.settle(now, true, &mut lines) > 0 {}
            let (_, memory, _) = trial.stream.table();
            assert!(memory <= most, "{memory} > {most}");
        }
    }
    trial.lines();
    let (processes, _, counts) = trial.stream.table();
    assert!(processes > 1_000);
    assert_eq!(
        counts.evicted + processes as u64,
        1_000_000 + 1,
        "whoever was given up is counted"
    );
    // Who made them all was used all the time, and is still known.
    trial.fork(1, 5);
    trial.exec(5, 1, "/usr/bin/y", &["y"]);
    assert_eq!(trial.documents().last().unwrap()["process"]["parent"]["pid"], 1);
}
