//! Programs in the kernel under load and when their owner is killed. Needs root and a kernel that allows it; says that it was skipped
//! otherwise. `bench/sensor.py` does the same with more, and measures.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use neph_sensor::{Class, Limits, Mode, Options, Sensor};
use serde_json::Value;

/// Processes that live a millisecond and connect once.
const PROCESSES: usize = 4_000;

/// In the environment of a sensor that is to be killed: the control group that it looks at.
const CHILD: &str = "NEPH_TEST_SENSOR_OF_GROUP";

/// A control group of our own.
struct Group(PathBuf);

impl Group {
    fn new(name: &str) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let root = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
        let path =
            Path::new(root.split(' ').nth(4)?).join(format!("neph-load-{name}-{}", std::process::id()));
        fs::create_dir(&path).ok()?;
        Some(Self(path))
    }

    fn options(&self) -> Options {
        Options {
            mode: Some(Mode::Ebpf),
            cgroup: Some(self.0.clone()),
            attach: false,
            limits: Limits {
                share: 2.0,
                ..Limits::default()
            },
            ..Options::default()
        }
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", r#"echo $$ >"$0"/cgroup.procs && exec "$@""#])
            .arg(&self.0)
            .arg(program);
        command
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let begin = Instant::now();
        while fs::remove_dir(&self.0).is_err() && begin.elapsed() < Duration::from_secs(2) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Something that runs until the test is over.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn acts(folder: &Path) -> PathBuf {
    let acts = folder.join("acts");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/acts.c");
    let compiled = Command::new("cc")
        .args(["-O2", "-static", "-pthread", "-o"])
        .args([&acts, &source])
        .status()
        .unwrap();
    assert!(compiled.success());
    acts
}

fn documents(lines: &[u8]) -> impl Iterator<Item = Value> {
    lines
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
}

#[test]
fn every_process_and_connection_is_seen_once_under_load() {
    let Some(group) = Group::new("all") else {
        return println!("skipped: no control group can be made");
    };
    let mut sensor = match Sensor::start(&group.options()) {
        Ok(sensor) => sensor,
        Err(error) => return println!("skipped: {error}"),
    };
    let folder = tempfile::tempdir().unwrap();
    let acts = acts(folder.path());
    let mut listener = Running(
        Command::new(&acts)
            .arg("listen")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut port = String::new();
    BufReader::new(listener.0.stdout.as_mut().unwrap())
        .read_line(&mut port)
        .unwrap();
    let port = port.trim();
    let mut load = group.command(&acts);
    let count = PROCESSES.to_string();
    load.args(["spawn", "127.0.0.1", port, &count, "2"])
        .stdout(Stdio::null());
    let mut load = Running(load.spawn().unwrap());

    let mut lines = Vec::new();
    let mut quiet = 0;
    while quiet < 2 {
        let written = sensor.read(Duration::from_millis(500), &mut lines).unwrap();
        let running = load.0.try_wait().unwrap().is_none();
        quiet = if running || written > 0 { 0 } else { quiet + 1 };
    }
    assert!(load.0.wait().unwrap().success());

    let mut numbers = BTreeMap::new();
    let mut connected = Vec::new();
    let mut ended = BTreeSet::new();
    for document in documents(&lines) {
        let process = &document["process"];
        let entity = process["entity_id"].as_str().unwrap_or_default().to_owned();
        match document["event"]["action"].as_str().unwrap() {
            "exec" if process["args"][1] == "tcp" => {
                assert_eq!(process["parent"]["args"][1], "spawn");
                let number: usize = process["args"][4].as_str().unwrap().parse().unwrap();
                assert_eq!(numbers.insert(entity, number), None);
            }
            "connection_attempted" => connected.push(entity),
            "end" => {
                ended.insert(entity);
            }
            _ => {}
        }
    }
    let seen: BTreeSet<usize> = numbers.values().copied().collect();
    assert_eq!((seen.len(), numbers.len()), (PROCESSES, PROCESSES));
    let connected_once: BTreeSet<usize> = connected.iter().map(|entity| numbers[entity]).collect();
    assert_eq!((connected_once.len(), connected.len()), (PROCESSES, PROCESSES));
    assert!(numbers.keys().all(|entity| ended.contains(entity)));
    assert!(sensor.counts().lost.is_empty(), "{:?}", sensor.counts().lost);
}

#[test]
fn what_waits_in_the_ring_when_the_sensor_is_closed_is_told_or_counted() {
    let Some(group) = Group::new("closed") else {
        return println!("skipped: no control group can be made");
    };
    let mut options = group.options();
    // So little that it stands still before long.
    options.limits.share = 0.0002;
    let mut sensor = match Sensor::start(&options) {
        Ok(sensor) => sensor,
        Err(error) => return println!("skipped: {error}"),
    };
    let folder = tempfile::tempdir().unwrap();
    let mut load = group.command(&acts(folder.path()));
    let count = PROCESSES.to_string();
    load.args(["spawn", "127.0.0.1", "0", &count, "2"])
        .stdout(Stdio::null());
    assert!(load.status().unwrap().success());
    sensor.close();
    let mut lines = Vec::new();
    while sensor.read(Duration::from_millis(500), &mut lines).is_ok() {}
    let of_load = |document: &Value| {
        document["event"]["action"] == "exec" && document["process"]["args"][1] == "nothing"
    };
    let told = documents(&lines).filter(of_load).count();
    let counts = sensor.counts();
    let lost = |class: Class| -> u64 {
        let of_class = counts.lost.iter().filter(|((lost, _), _)| *lost == class);
        of_class.map(|(_, count)| *count).sum()
    };
    assert_eq!(told as u64 + lost(Class::Exec), PROCESSES as u64, "{counts:?}");
    // On a machine that is fast enough nothing is given up.
    assert!(lost(Class::Exit) >= lost(Class::Exec), "{counts:?}");
    println!("{told} of {PROCESSES} told; lost: {:?}", counts.lost);
}

/// What is killed below; by itself it does nothing.
#[test]
fn a_sensor_that_is_to_be_killed() {
    let Some(group) = std::env::var_os(CHILD) else {
        return;
    };
    let options = Options {
        mode: Some(Mode::Ebpf),
        cgroup: Some(group.into()),
        ..Options::default()
    };
    let mut sensor = Sensor::start(&options).unwrap();
    println!("looking");
    loop {
        sensor.read(Duration::from_secs(1), &mut Vec::new()).unwrap();
    }
}

#[test]
fn a_sensor_that_is_killed_leaves_nothing_in_the_kernel_and_the_next_sees_all() {
    let Some(group) = Group::new("killed") else {
        return println!("skipped: no control group can be made");
    };
    if let Err(error) = Sensor::start(&group.options()) {
        return println!("skipped: {error}");
    }
    let mut child = Running(
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_sensor_that_is_to_be_killed", "--nocapture"])
            .env(CHILD, &group.0)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let told = BufReader::new(child.0.stdout.take().unwrap()).lines();
    assert!(told.map_while(Result::ok).any(|line| line.contains("looking")));
    let mut programs = BTreeSet::new();
    for entry in fs::read_dir(format!("/proc/{}/fdinfo", child.0.id()))
        .unwrap()
        .flatten()
    {
        let info = fs::read_to_string(entry.path()).unwrap_or_default();
        let id = info.lines().find_map(|line| line.strip_prefix("prog_id:"));
        programs.extend(id.map(|id| id.trim().parse::<u32>().unwrap()));
    }
    let alive = |programs: &BTreeSet<u32>| {
        let loaded: BTreeSet<u32> = aya::programs::loaded_programs()
            .filter_map(Result::ok)
            .map(|program| program.id())
            .collect();
        programs.intersection(&loaded).count()
    };
    assert!(
        programs.len() >= 8 && alive(&programs) == programs.len(),
        "{programs:?}"
    );
    drop(child);
    let begin = Instant::now();
    // The kernel frees them a moment after the last who might run them.
    while alive(&programs) > 0 && begin.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(alive(&programs), 0);

    let mut sensor = Sensor::start(&group.options()).unwrap();
    let ran = group
        .command(Path::new("/bin/true"))
        .arg("after")
        .status()
        .unwrap();
    assert!(ran.success());
    let mut lines = Vec::new();
    while sensor.read(Duration::from_millis(500), &mut lines).unwrap() > 0 {}
    let after = documents(&lines).filter(|document| {
        document["event"]["action"] == "exec" && document["process"]["args"][1] == "after"
    });
    assert_eq!(after.count(), 1);
}
