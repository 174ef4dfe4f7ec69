//! The sensor on this host, by the ways that need no program in the kernel. Where the kernel does not let us, tests say so and pass.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may fail loudly and says what it saw"
)]

use std::net::TcpListener;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use neph_sensor::{Mode, Options, Sensor, StartError};
use serde_json::{Value, json};

fn start(mode: Mode) -> Option<Sensor> {
    let mut options = Options {
        mode: Some(mode),
        attach: false,
        ..Options::default()
    };
    // Everything that happens on the host meanwhile is seen, too.
    options.limits.share = 1.0;
    match Sensor::start(&options) {
        Ok(sensor) => Some(sensor),
        Err(StartError { tried }) => {
            println!("skipped: {}", tried[0].1);
            None
        }
    }
}

/// What a sensor tells until a document meets a condition, or the time is over: all documents that met one of them.
fn until(
    sensor: &mut Sensor,
    mut met: impl FnMut(&Value) -> bool,
    mut enough: impl FnMut(&[Value]) -> bool,
) -> Vec<Value> {
    let end = Instant::now() + Duration::from_secs(20);
    let mut found = Vec::new();
    while Instant::now() < end && !enough(&found) {
        let mut lines = Vec::new();
        sensor.read(Duration::from_millis(200), &mut lines).unwrap();
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let document: Value = serde_json::from_slice(line).unwrap();
            if met(&document) {
                found.push(document);
            }
        }
    }
    found
}

/// Sensors in audit mode take along rules that others need, too, when they end; these tests are about something else.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn a_program_is_told_with_its_arguments_and_its_end() {
    let _alone = alone();
    for mode in [Mode::Connector, Mode::Audit] {
        let Some(mut sensor) = start(mode) else { continue };
        let mut child = Command::new("sleep").arg("0.3").spawn().unwrap();
        let of_it = |document: &Value| {
            document["process"]["pid"] == child.id() && document["neph"]["sensor"]["mode"] == mode.name()
        };
        let told = |document: &Value| {
            of_it(document) && (document["event"]["action"] == "exec" || document["event"]["action"] == "end")
        };
        let found = until(&mut sensor, told, |found| found.len() == 2);
        child.wait().unwrap();
        assert_eq!(found.len(), 2, "{mode} {:?}", sensor.counts());
        let (exec, end) = (&found[0], &found[1]);
        assert_eq!(exec["process"]["args"], json!(["sleep", "0.3"]), "{mode}");
        assert_eq!(exec["process"]["name"], "sleep");
        assert_eq!(exec["process"]["parent"]["pid"], std::process::id());
        assert_eq!(exec["neph"]["sensor"]["mode"], mode.name());
        assert_eq!(end["process"]["exit_code"], 0);
        assert_eq!(end["process"]["entity_id"], exec["process"]["entity_id"]);
        assert_eq!(end["process"]["start"], exec["process"]["start"]);
    }
}

#[test]
fn links_and_scripts_are_named_as_they_were_asked_for() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("a script.sh");
    std::fs::write(&script, "#!/bin/sh -e\nsleep 0.2\ntrue\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for mode in [Mode::Connector, Mode::Audit] {
        let Some(mut sensor) = start(mode) else { continue };
        let mut child = Command::new("./a script.sh")
            .current_dir(folder.path())
            .spawn()
            .unwrap();
        let of_it = |document: &Value| {
            let pid = &document["process"]["pid"];
            let parent = &document["process"]["parent"]["pid"];
            document["event"]["action"] == "exec" && (*pid == child.id() || *parent == child.id())
        };
        let found = until(&mut sensor, of_it, |found| found.len() == 2);
        child.wait().unwrap();
        assert_eq!(found.len(), 2, "{mode} {:?}", sensor.counts());
        let process = &found[0]["process"];
        assert_eq!(process["name"], "a script.sh", "{mode}");
        assert_eq!(process["executable"], script.to_str().unwrap());
        assert_eq!(process["args"], json!(["/bin/sh", "-e", "./a script.sh"]));
        assert!(
            found[0]["neph"]["sensor"]["executable"]["path"]
                .as_str()
                .unwrap()
                .starts_with("/usr/bin/")
        );
        assert_eq!(found[1]["process"]["name"], "sleep");
        assert_eq!(
            found[1]["process"]["parent"]["executable"],
            script.to_str().unwrap()
        );
        assert_eq!(found[1]["process"]["parent"]["entity_id"], process["entity_id"]);
    }
}

#[test]
fn audit_tells_programs_that_live_for_a_moment_and_their_connections_each_once() {
    let _alone = alone();
    const TIMES: usize = 200;
    let Some(mut sensor) = start(Mode::Audit) else {
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut pids = Vec::new();
    for time in 0..TIMES {
        let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; : {time}");
        let mut child = Command::new("bash")
            .args(["-c", &script, "\u{e4}\t\""])
            .spawn()
            .unwrap();
        pids.push(child.id());
        child.wait().unwrap();
        drop(listener.accept());
    }
    let ours = |document: &Value| pids.iter().any(|pid| document["process"]["pid"] == *pid);
    let found = until(&mut sensor, ours, |found| found.len() >= 3 * TIMES);
    // Whatever else happens on the host is seen, too, and may be too much: something is missing only if losses are told. How
    // many were lost where a socket of the kernel was full is not known exactly.
    let lost: u64 = sensor.counts().lost.values().sum();
    let mut missing = 0;
    for (time, pid) in pids.iter().enumerate() {
        let mut own = found.iter().filter(|document| document["process"]["pid"] == *pid);
        let actions: Vec<&str> = own
            .clone()
            .map(|document| document["event"]["action"].as_str().unwrap())
            .collect();
        if lost > 0 && actions != ["exec", "connection_attempted", "end"] {
            assert!(actions.len() < 3, "{actions:?}");
            missing += 3 - actions.len();
            continue;
        }
        assert_eq!(actions, ["exec", "connection_attempted", "end"]);
        let (exec, connect) = (own.next().unwrap(), own.next().unwrap());
        let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; : {time}");
        assert_eq!(
            exec["process"]["args"],
            json!(["bash", "-c", script, "\u{e4}\t\""])
        );
        assert_eq!(
            exec["process"]["working_directory"],
            std::env::current_dir().unwrap().to_str().unwrap()
        );
        assert_eq!(
            connect["destination"],
            json!({"address": "127.0.0.1", "ip": "127.0.0.1", "port": port})
        );
        assert_eq!(connect["event"]["outcome"], "success");
        assert_eq!(
            connect["process"]["parent"]["entity_id"],
            exec["process"]["parent"]["entity_id"]
        );
    }
    println!("{TIMES} processes, {missing} of their events missing; lost of the whole host: {lost}");
}

#[test]
fn what_another_takes_away_from_audit_is_asked_for_again_and_told() {
    let _alone = alone();
    let Some(mut sensor) = start(Mode::Audit) else {
        return;
    };
    // It finds the rules there, and takes them along when it ends.
    drop(start(Mode::Audit));
    let taken = |document: &Value| document.to_string().contains("taken_away");
    assert_eq!(until(&mut sensor, taken, |found| !found.is_empty()).len(), 1);
    let mut child = Command::new("sh").args(["-c", ": again"]).spawn().unwrap();
    let again = |document: &Value| document["process"]["args"] == json!(["sh", "-c", ": again"]);
    child.wait().unwrap();
    assert!(!until(&mut sensor, again, |found| !found.is_empty()).is_empty());
}

/// A control group of our own, removed afterwards.
struct Group(std::path::PathBuf);

impl Group {
    fn make() -> Option<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
        let root = std::path::Path::new(mount.split(' ').nth(4)?);
        let path = root.join(format!("neph-live-{}", std::process::id()));
        match std::fs::create_dir(&path) {
            Ok(()) => Some(Self(path)),
            Err(error) => {
                println!("skipped: {error}");
                None
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        drop(std::fs::remove_dir(&self.0));
    }
}

#[test]
fn only_what_happens_in_a_control_group_is_told() {
    let _alone = alone();
    for mode in Mode::ALL {
        let Some(group) = Group::make() else { return };
        let mut options = Options {
            mode: Some(mode),
            cgroup: Some(group.0.clone()),
            ..Options::default()
        };
        options.limits.share = 1.0;
        let mut sensor = match Sensor::start(&options) {
            Ok(sensor) => sensor,
            Err(error) => {
                println!("skipped: {error}");
                continue;
            }
        };
        let inside = r#"sleep 0.1; echo $$ >"$0"/cgroup.procs && exec sleep 0.5"#;
        let mut outside = Command::new("sleep").arg("0.2").spawn().unwrap();
        let mut child = Command::new("sh")
            .args(["-c", inside])
            .arg(&group.0)
            .spawn()
            .unwrap();
        let of_process = |document: &Value| document["event"]["module"] == "endpoint";
        let found = until(&mut sensor, of_process, |found| {
            found.iter().any(|document| document["event"]["action"] == "end")
        });
        child.wait().unwrap();
        outside.wait().unwrap();
        let told: Vec<(&str, u64)> = found
            .iter()
            .map(|document| {
                (
                    document["event"]["action"].as_str().unwrap(),
                    document["process"]["pid"].as_u64().unwrap(),
                )
            })
            .collect();
        let pid = u64::from(child.id());
        assert_eq!(
            told,
            [("exec", pid), ("end", pid)],
            "{mode} {:?}",
            sensor.counts()
        );
        assert_eq!(found[0]["process"]["args"], json!(["sleep", "0.5"]));
        assert_eq!(found[0]["process"]["entity_id"], found[1]["process"]["entity_id"]);
    }
}
