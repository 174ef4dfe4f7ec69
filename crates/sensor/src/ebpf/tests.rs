//! Real processes in a control group of their own, and what the programs in the kernel tell of them. Needs root and a kernel that
//! allows it; says that it was skipped otherwise.

mod connections;
mod files;
mod limits;
mod programs;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::attached::group_root;
use super::{Reader, start, start_at};
use crate::observation::{
    Cause, Change, Class, Connect, Exec, Lost, Observation, Open, Outcome, Peer, ProcessId, Transport,
};
use crate::options::Options;
use crate::source::Source;

/// A control group, what runs in it, and a sensor that looks at nothing else.
struct Trial {
    group: PathBuf,
    folder: tempfile::TempDir,
    acts: PathBuf,
    reader: Reader,
}

impl Trial {
    fn new() -> Option<Self> {
        Self::with(Options::default(), true, None)
    }

    /// With programs at control groups or without, and with room for so many connections under way.
    fn with(options: Options, groups: bool, calls: Option<u32>) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let Some(root) = group_root() else {
            println!("skipped: no control groups of version 2");
            return None;
        };
        let group = root.join(format!("neph-test-{}-{number}", std::process::id()));
        if let Err(error) = fs::create_dir(&group) {
            println!("skipped: {error}");
            return None;
        }
        let options = Options {
            cgroup: Some(group.clone()),
            ..options
        };
        let reader = match start_at(&options, groups.then_some(&root), calls) {
            Ok(reader) => reader,
            Err(error) => {
                println!("skipped: {error}");
                fs::remove_dir(&group).unwrap();
                return None;
            }
        };
        for hook in reader.abilities().hooks {
            println!("{}: {}", hook.name, hook.failed.unwrap_or("attached".to_owned()));
        }
        let folder = tempfile::tempdir().unwrap();
        let acts = folder.path().join("acts");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/acts.c");
        let compiled = Command::new("cc")
            .args(["-O2", "-static", "-pthread", "-o"])
            .args([&acts, &source])
            .status()
            .unwrap();
        assert!(compiled.success());
        Some(Self {
            group,
            folder,
            acts,
            reader,
        })
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Runs a program in the control group.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", r#"echo $$ >"$0"/cgroup.procs && exec "$@""#])
            .arg(&self.group)
            .arg(program)
            .current_dir(self.folder.path())
            .stdout(Stdio::null());
        command
    }

    fn run(&mut self, mut command: Command) -> Vec<Observation> {
        let mut child = command.spawn().unwrap();
        let mut seen = Vec::new();
        let mut end = None;
        while end.is_none_or(|end: Instant| end.elapsed() < Duration::from_millis(400)) {
            self.reader
                .poll(Duration::from_millis(50), &mut |observation| {
                    seen.push(observation)
                })
                .unwrap();
            if end.is_none() && child.try_wait().unwrap().is_some() {
                end = Some(Instant::now());
            }
        }
        child.wait().unwrap();
        self.reader.lost(&mut |observation| seen.push(observation));
        seen
    }

    fn act(&mut self, arguments: &[&str]) -> Vec<Observation> {
        let mut command = self.command(&self.acts.clone());
        command.args(arguments);
        self.run(command)
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        let begin = Instant::now();
        // A process that has just ended may still stand in its group.
        while fs::remove_dir(&self.group).is_err() && begin.elapsed() < Duration::from_secs(2) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn execs(seen: &[Observation]) -> Vec<&Exec> {
    seen.iter()
        .filter_map(|observation| match observation {
            Observation::Exec(exec) => Some(exec.as_ref()),
            _ => None,
        })
        .collect()
}

fn connects(seen: &[Observation]) -> Vec<&Connect> {
    seen.iter()
        .filter_map(|observation| match observation {
            Observation::Connect(connect) => Some(connect.as_ref()),
            _ => None,
        })
        .collect()
}

fn opens(seen: &[Observation]) -> Vec<&Open> {
    seen.iter()
        .filter_map(|observation| match observation {
            Observation::Open(open) => Some(open.as_ref()),
            _ => None,
        })
        .collect()
}

fn changes(seen: &[Observation]) -> Vec<&Change> {
    seen.iter()
        .filter_map(|seen| match seen {
            Observation::Change(change) => Some(change.as_ref()),
            _ => None,
        })
        .collect()
}

fn lost(seen: &[Observation]) -> Vec<Lost> {
    let lost = |observation: &Observation| match observation {
        Observation::Lost(lost) => Some(*lost),
        _ => None,
    };
    seen.iter().filter_map(lost).collect()
}

/// The program that ran last.
fn last(seen: &[Observation]) -> &Exec {
    execs(seen).into_iter().next_back().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn args(exec: &Exec) -> Vec<String> {
    exec.args.iter().flatten().map(|arg| text(arg)).collect()
}

fn real(path: &str) -> String {
    fs::canonicalize(path).unwrap().to_str().unwrap().to_owned()
}

fn exit_of(seen: &[Observation], which: ProcessId) -> Vec<i32> {
    let status = |observation: &Observation| match observation {
        Observation::Exit { process, status, .. } if *process == which => Some(*status),
        _ => None,
    };
    seen.iter().filter_map(status).collect()
}

fn parent_of(seen: &[Observation], which: ProcessId) -> Option<ProcessId> {
    seen.iter().find_map(|observation| match observation {
        Observation::Fork { child, parent, .. } if *child == which => Some(*parent),
        _ => None,
    })
}
