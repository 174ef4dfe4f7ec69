//! What is set on this machine: its firewall, the settings of the container engine and of Kubernetes, and who listens.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use neph_inventory::Cloud;

use crate::output::Output;
use crate::problem::{Problem, quoted};
use crate::run::{Content, Got, Place, Run, Task, Watch};
use crate::{CollectError, Report, Settings};

/// Larger files and answers are refused.
const MAX_BYTES: u64 = 64 << 20;
/// Where programs of administrators are; the caller's path is not relied on.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin";

/// Programs, the files that their answers go to, and what they are told.
const PROGRAMS: &[(&str, &[&str])] = &[
    ("iptables-save.txt", &["iptables-save"]),
    ("ip6tables-save.txt", &["ip6tables-save"]),
    ("nft.json", &["nft", "-j", "list", "ruleset"]),
    ("ip-route.json", &["ip", "-j", "route"]),
    ("ss.txt", &["ss", "-Hlntup"]),
];

/// Files, and the names under which they are kept. One that is not there is at its defaults.
const FILES: &[(&str, &str)] = &[
    ("os-release.txt", "/etc/os-release"),
    ("docker-daemon.json", "/etc/docker/daemon.json"),
    ("containers-policy.json", "/etc/containers/policy.json"),
    ("sys_vendor.txt", "/sys/class/dmi/id/sys_vendor"),
    ("kubelet-config.yaml", "/var/lib/kubelet/config.yaml"),
    ("kubelet-flags.txt", "/var/lib/kubelet/kubeadm-flags.env"),
    (
        "kube-apiserver.yaml",
        "/etc/kubernetes/manifests/kube-apiserver.yaml",
    ),
    ("proc-net-tcp.txt", "/proc/net/tcp"),
    ("proc-net-tcp6.txt", "/proc/net/tcp6"),
];

/// Units of systemd, which are printed as `systemctl cat` prints them.
const UNITS: &[&str] = &[
    "docker.service",
    "docker.socket",
    "podman.socket",
    "kubelet.service",
];
/// Where units stand; the first of them that has one counts (`man systemd.unit`).
const UNIT_FOLDERS: &[&str] = &[
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// Which machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where its files are: `/`, or the place where another machine's disk is mounted; then no programs are run.
    pub root: PathBuf,
    /// The name of the machine's folder; else the name that the machine gives itself.
    pub name: Option<String>,
}

/// Runs programs and reads files.
///
/// # Errors
/// When the folder cannot be filled; what cannot be read is told in `collection.json`.
pub fn collect(
    options: &Options,
    output: &Output,
    settings: &Settings,
    watch: &dyn Watch,
) -> Result<Report, CollectError> {
    let root = options.root.as_path();
    let name = options
        .name
        .clone()
        .or_else(|| name_of(root))
        .unwrap_or_else(|| "localhost".to_owned());
    let place = Place {
        cloud: Cloud::Host,
        account: name,
        region: None,
    };
    if settings.refresh {
        output.forget(|call| call.cloud == place.cloud && call.account.as_ref() == Some(&place.account))?;
    }
    let is_here = root == Path::new("/");
    let mut tasks = Vec::new();
    for (file, command) in PROGRAMS.iter().filter(|_| is_here) {
        tasks.push(Task::new(
            &place,
            place.file(file, None, ""),
            command.join(" "),
            || text(output_of(command, settings.timeout)?),
        ));
    }
    let is_of_machine = |path: &str| !(path.starts_with("/proc/") || path.starts_with("/sys/")) || is_here;
    for (file, path) in FILES.iter().filter(|(_, path)| is_of_machine(path)) {
        tasks.push(
            Task::new(&place, place.file(file, None, ""), format!("cat {path}"), || {
                text(bounded(&below(root, path))?)
            })
            .or_absent(),
        );
    }
    for unit in UNITS {
        let file = unit.replace('.', "-");
        tasks.push(
            Task::new(
                &place,
                place.file(&file, None, ".txt"),
                format!("systemctl cat {unit}"),
                || text(unit_text(root, unit)?),
            )
            .or_absent(),
        );
    }
    let run = Run::new(output, watch);
    run.go(settings, tasks)?;
    Ok(run.report())
}

/// Text counts its lines as items.
fn text(bytes: Vec<u8>) -> Result<Got, Problem> {
    Ok(Got {
        items: bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .count() as u64,
        content: Content::Text(bytes),
        problem: None,
    })
}

fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

fn name_of(root: &Path) -> Option<String> {
    let here = ["/proc/sys/kernel/hostname", "/etc/hostname"].iter();
    let found = here.filter(|path| !path.starts_with("/proc/") || root == Path::new("/"));
    found
        .filter_map(|path| String::from_utf8(bounded(&below(root, path)).ok()?).ok())
        .map(|name| name.trim().to_owned())
        .find(|name| !name.is_empty())
}

fn bounded(path: &Path) -> Result<Vec<u8>, Problem> {
    let told = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Problem::Absent(format!("`{}`", path.display())),
        std::io::ErrorKind::PermissionDenied => {
            Problem::Denied(format!("`{}` is for other users; run it as root", path.display()))
        }
        _ => Problem::Unreadable(format!("`{}`: {error}", path.display())),
    };
    let file = std::fs::File::open(path).map_err(told)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(told)?;
    match bytes.len() as u64 > MAX_BYTES {
        true => Err(Problem::Unreadable(format!(
            "`{}` is larger than {} MiB",
            path.display(),
            MAX_BYTES >> 20
        ))),
        false => Ok(bytes),
    }
}

/// A unit and what overrides it, each part behind a comment that names its file.
fn unit_text(root: &Path, unit: &str) -> Result<Vec<u8>, Problem> {
    let mut parts: Vec<(String, Vec<u8>)> = Vec::new();
    for folder in UNIT_FOLDERS {
        let path = format!("{folder}/{unit}");
        match bounded(&below(root, &path)) {
            Ok(bytes) => {
                parts.push((path, bytes));
                break;
            }
            Err(Problem::Absent(_)) => {}
            Err(problem) => return Err(problem),
        }
    }
    // A file of a name in an earlier folder hides one of that name in a later.
    let mut overrides = std::collections::BTreeMap::new();
    for folder in UNIT_FOLDERS {
        let folder = format!("{folder}/{unit}.d");
        for name in names_in(&below(root, &folder))?
            .into_iter()
            .filter(|name| name.ends_with(".conf"))
        {
            overrides
                .entry(name.clone())
                .or_insert(format!("{folder}/{name}"));
        }
    }
    for path in overrides.into_values() {
        let bytes = bounded(&below(root, &path))?;
        parts.push((path, bytes));
    }
    if parts.is_empty() {
        return Err(Problem::Absent(format!("no unit `{unit}`")));
    }
    let mut text = Vec::new();
    for (path, bytes) in parts {
        text.extend_from_slice(format!("# {path}\n").as_bytes());
        text.extend_from_slice(&bytes);
        text.push(b'\n');
    }
    Ok(text)
}

fn names_in(folder: &Path) -> Result<Vec<String>, Problem> {
    let told = |error: std::io::Error| Problem::Unreadable(format!("`{}`: {error}", folder.display()));
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(told(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(told)?.file_name().into_string().ok());
    }
    Ok(names)
}

/// What a program prints, if it ends well and in time.
fn output_of(command: &[&str], timeout: Duration) -> Result<Vec<u8>, Problem> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(Problem::Refused("there is no program".to_owned()));
    };
    let path = std::env::split_paths(PATH)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file());
    let path = path.ok_or_else(|| Problem::Unreadable(format!("`{program}` is not installed")))?;
    let failed = |error: std::io::Error| Problem::Unreadable(format!("`{program}`: {error}"));
    let mut child = Command::new(path)
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (printed, said, status) = std::thread::scope(|scope| {
        let printed = scope.spawn(move || read_all(out));
        let said = scope.spawn(move || read_all(err));
        let end = Instant::now() + timeout;
        let status = loop {
            match child.try_wait() {
                Ok(None) if Instant::now() < end => std::thread::sleep(Duration::from_millis(5)),
                Ok(None) => {
                    // It may have ended by itself in this moment.
                    let _ = child.kill();
                    let _ = child.wait();
                    break None;
                }
                Ok(Some(status)) => break Some(status),
                Err(_) => break None,
            }
        };
        (
            printed.join().unwrap_or_default(),
            said.join().unwrap_or_default(),
            status,
        )
    });
    let said = quoted(&String::from_utf8_lossy(&said));
    match status {
        None => Err(Problem::Unreadable(format!("`{program}` did not end in time"))),
        Some(status) if !status.success() => {
            let refused = ["ermission denied", "must be root", "not permitted"];
            let what = format!("`{program}`: {said}");
            Err(match refused.iter().any(|words| said.contains(words)) {
                true => Problem::Denied(format!("{what}; run it as root")),
                false => Problem::Unreadable(what),
            })
        }
        Some(_) if printed.len() as u64 > MAX_BYTES => Err(Problem::Unreadable(format!(
            "`{program}` printed more than {} MiB",
            MAX_BYTES >> 20
        ))),
        Some(_) => Ok(printed),
    }
}

/// Reads to the end, and keeps no more than may be and one byte.
fn read_all(source: Option<impl std::io::Read>) -> Vec<u8> {
    let mut kept = Vec::new();
    if let Some(source) = source {
        let mut bounded = source.take(MAX_BYTES + 1);
        // What came before it broke is judged by the program's exit code.
        let _ = bounded.read_to_end(&mut kept);
        let _ = std::io::copy(&mut bounded.into_inner(), &mut std::io::sink());
    }
    kept
}
