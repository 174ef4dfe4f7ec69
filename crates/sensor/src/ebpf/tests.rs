//! Real processes in a control group of their own, and what the programs in the kernel tell of them. Needs root and a kernel that
//! allows it; says that it was skipped otherwise.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::attached::group_root;
use super::{Reader, start, start_at};
use crate::observation::{
    Cause, Class, Connect, Exec, Lost, Observation, Open, Outcome, Peer, ProcessId, Transport,
};
use crate::options::{Limits, Options};
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
        Self::with(&Limits::default(), true)
    }

    /// With so much room, and with programs at control groups or without.
    fn with(limits: &Limits, groups: bool) -> Option<Self> {
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
            limits: *limits,
            ..Options::default()
        };
        let reader = match start_at(&options, groups.then_some(&root)) {
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

#[test]
fn who_a_program_is_and_where_it_runs() {
    let Some(mut trial) = Trial::new() else { return };
    let acts = trial.acts.clone();
    let seen = trial.act(&["nothing", "", "zwei drei"]);
    let exec = last(&seen);
    assert_eq!(args(exec), [acts.to_str().unwrap(), "nothing", "", "zwei drei"]);
    assert_eq!(text(&exec.executable), real(acts.to_str().unwrap()));
    assert_eq!(exec.args_bytes, acts.as_os_str().len() as u64 + 1 + 8 + 1 + 10);
    assert_eq!(exec.args_count, None);
    assert_eq!(
        text(exec.cwd.as_ref().unwrap()),
        real(trial.folder.path().to_str().unwrap())
    );
    assert!(!exec.unnamed && exec.script.is_none());
    assert_eq!(exec.asked.as_deref(), acts.to_str().map(str::as_bytes));
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let context = &exec.context;
    assert_eq!(
        (context.uid, context.euid, context.gid, context.egid),
        (Some(0), Some(0), Some(0), Some(0))
    );
    let field = |name: &str| {
        own.lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap()
            .trim()
    };
    let effective = u64::from_str_radix(field("CapEff:"), 16).unwrap();
    assert_eq!(context.capabilities_effective, Some(effective));
    assert_eq!(context.inner_pid, Some(exec.process.pid));
    let namespaces = context.namespaces.unwrap();
    for (name, inode) in [
        ("mnt", namespaces.mnt),
        ("pid", namespaces.pid),
        ("net", namespaces.net),
        ("user", namespaces.user),
        ("uts", namespaces.uts),
    ] {
        let link = fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
        assert_eq!(link.to_str().unwrap(), format!("{name}:[{inode}]"));
    }
    assert_eq!(
        Path::new(&text(context.cgroup.as_ref().unwrap())).file_name(),
        trial.group.file_name()
    );
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let (_, stat) = stat.rsplit_once(") ").unwrap();
    let stat: Vec<u32> = stat
        .split(' ')
        .skip(1)
        .take(4)
        .map(|field| field.parse().unwrap_or(0))
        .collect();
    assert_eq!(context.group_leader, Some(stat[1]));
    assert_eq!(context.session_leader, Some(stat[2]));
    assert_eq!(context.tty, Some(stat[3]));
    let ends = exit_of(&seen, exec.process);
    assert_eq!(ends, [0]);
    assert_eq!(exec.parent.unwrap().pid, std::process::id());
    let started = crate::procfs::Stat::read(std::process::id()).unwrap();
    assert_eq!(exec.parent.unwrap(), started.process, "as /proc tells it");
    assert!(lost(&seen).is_empty());
}

#[test]
fn arguments_however_many() {
    let Some(mut trial) = Trial::new() else { return };
    let seen = trial.act(&["many", "2000", "4"]);
    let exec = last(&seen);
    assert_eq!(args(exec).len(), 2001);
    assert_eq!((exec.args_bytes, exec.args_count), (5 + 2000 * 5, None));

    let seen = trial.act(&["many", "10", "104857"]);
    let exec = last(&seen);
    assert_eq!((exec.args_bytes, exec.args_count), (5 + 10 * 104_858, Some(11)));
    assert_eq!(args(exec)[0], "true");
    assert_eq!(
        exec.args.iter().flatten().map(Vec::len).sum::<usize>() + 1,
        16 << 10
    );

    let seen = trial.act(&["no-arguments"]);
    // Since Linux 5.18 an empty name is put in where a program is given no arguments.
    let exec = last(&seen);
    assert!(exec.executable.ends_with(b"/true"));
    assert!(exec.args.as_ref().unwrap().iter().all(Vec::is_empty));

    let name = std::ffi::OsString::from_vec(b"t\xffr\xfe".to_vec());
    let odd = trial.folder.path().join(&name);
    fs::copy("/bin/true", &odd).unwrap();
    let mut command = trial.command(&odd);
    command.arg(std::ffi::OsString::from_vec(b"\xc3\x28".to_vec()));
    let seen = trial.run(command);
    let exec = last(&seen);
    assert!(exec.executable.ends_with(b"/t\xffr\xfe"));
    assert_eq!(exec.args.as_ref().unwrap()[1], b"\xc3\x28");
}

#[test]
fn programs_of_other_kinds() {
    let Some(mut trial) = Trial::new() else { return };
    let script = trial.path("script.sh");
    fs::write(&script, "#!/bin/sh -e\ntrue\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let command = trial.command(Path::new("./script.sh"));
    let seen = trial.run(command);
    let exec = last(&seen);
    assert_eq!(text(exec.script.as_ref().unwrap()), real(&script));
    assert_eq!(text(&exec.executable), real("/bin/sh"));
    assert_eq!(text(exec.asked.as_ref().unwrap()), "./script.sh");
    assert_eq!(args(exec), ["/bin/sh", "-e", "./script.sh"]);

    let seen = trial.act(&["memory"]);
    let exec = last(&seen);
    assert!(exec.unnamed);
    assert_eq!(text(&exec.executable), "/memfd:hidden");
    assert_eq!(args(exec), ["from-memory"]);

    let seen = trial.act(&["thread"]);
    let exec = last(&seen);
    assert_eq!(args(exec), ["true", "by-thread"]);
    let first = execs(&seen)
        .into_iter()
        .find(|exec| args(exec).contains(&"thread".to_owned()))
        .unwrap();
    assert_eq!(
        first.process, exec.process,
        "a thread that runs a program becomes its process"
    );
    assert_eq!(exit_of(&seen, exec.process), [0]);

    let seen = trial.act(&["vfork"]);
    let exec = last(&seen);
    let first = execs(&seen)
        .into_iter()
        .find(|exec| args(exec).last().unwrap() == "vfork")
        .unwrap();
    assert_eq!(args(exec), ["true", "by-vfork"]);
    assert_eq!(exec.parent, Some(first.process));
    assert_eq!(parent_of(&seen, exec.process), Some(first.process));

    let seen = trial.act(&["twice"]);
    let exec = last(&seen);
    let first = execs(&seen)
        .into_iter()
        .find(|exec| args(exec).last().unwrap() == "twice")
        .unwrap();
    let middle = parent_of(&seen, exec.process).unwrap();
    assert_eq!(parent_of(&seen, middle), Some(first.process));
    assert_ne!(
        exec.parent,
        Some(middle),
        "who is told as parent is who is it now"
    );
    assert_eq!(exit_of(&seen, middle), [3 << 8]);

    let seen = trial.act(&["namespace"]);
    let exec = last(&seen);
    assert_eq!(args(exec), ["true", "inside"]);
    assert_eq!(exec.context.inner_pid, Some(1));
    let first = execs(&seen)[0].context.namespaces.unwrap();
    let namespaces = exec.context.namespaces.unwrap();
    assert_ne!(
        (namespaces.pid, namespaces.mnt, namespaces.uts),
        (first.pid, first.mnt, first.uts)
    );
    assert_eq!(namespaces.net, first.net);

    let seen = trial.act(&["killed"]);
    assert_eq!(exit_of(&seen, last(&seen).process), [9]);
}

#[test]
fn connections_and_how_they_went() {
    let Some(mut trial) = Trial::new() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let listener6 = TcpListener::bind("[::1]:0").unwrap();
    let (port, port6) = (
        listener.local_addr().unwrap().port(),
        listener6.local_addr().unwrap().port(),
    );
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let tcp = |address: &str, port: u16| Peer::Ip {
        transport: Transport::Tcp,
        address: SocketAddr::new(address.parse().unwrap(), port),
    };
    for (act, address, port, peer, outcome) in [
        (
            "tcp",
            "127.0.0.1",
            port,
            tcp("127.0.0.1", port),
            Outcome::Accepted,
        ),
        ("tcp", "::1", port6, tcp("::1", port6), Outcome::Accepted),
        (
            "tcp",
            "::ffff:127.0.0.1",
            port,
            tcp("127.0.0.1", port),
            Outcome::Accepted,
        ),
        (
            "tcp-later",
            "127.0.0.1",
            port,
            tcp("127.0.0.1", port),
            Outcome::Accepted,
        ),
        (
            "tcp",
            "127.0.0.1",
            closed,
            tcp("127.0.0.1", closed),
            Outcome::Failed(Some(111)),
        ),
        (
            "tcp-later",
            "127.0.0.1",
            closed,
            tcp("127.0.0.1", closed),
            Outcome::Failed(Some(111)),
        ),
        // A socket must be told that it may reach everybody before it does.
        (
            "tcp",
            "255.255.255.255",
            9,
            tcp("255.255.255.255", 9),
            Outcome::Failed(Some(101)),
        ),
    ] {
        let seen = trial.act(&[act, address, &port.to_string()]);
        let connects = connects(&seen);
        assert_eq!(connects.len(), 1, "{act} {address}: {connects:?}");
        assert_eq!(
            (&connects[0].peer, connects[0].outcome),
            (&peer, outcome),
            "{act} {address}"
        );
        assert_eq!(connects[0].process, last(&seen).process);
        assert_eq!(connects[0].thread, b"acts");
        assert_eq!(connects[0].context.uid, Some(0));
        if outcome == Outcome::Accepted {
            let local = connects[0].local.unwrap();
            let Peer::Ip { address, .. } = &connects[0].peer else {
                panic!("{peer:?}")
            };
            assert_eq!(local.ip(), address.ip());
            assert_ne!(local.port(), 0);
        }
        assert!(lost(&seen).is_empty());
    }

    let first = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let ports = [first, 2000, 2001];
    let seen = trial.act(&[
        "udp",
        "127.0.0.1",
        &ports[0].to_string(),
        &ports[1].to_string(),
        &ports[2].to_string(),
    ]);
    let told: Vec<(Peer, Outcome)> = connects(&seen)
        .into_iter()
        .map(|c| (c.peer.clone(), c.outcome))
        .collect();
    let udp = |port: u16| Peer::Ip {
        transport: Transport::Udp,
        address: SocketAddr::from(([127, 0, 0, 1], port)),
    };
    assert_eq!(told, ports.map(|port| (udp(port), Outcome::Attempted)));
}

#[test]
fn connections_are_told_when_the_call_returns_where_no_program_can_be_had_at_control_groups() {
    let Some(mut trial) = Trial::with(&Limits::default(), false) else {
        return;
    };
    let abilities = trial.reader.abilities();
    assert_eq!(abilities.unseen, []);
    assert_eq!(
        abilities
            .hooks
            .iter()
            .filter(|hook| hook.failed.is_some())
            .count(),
        1
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let listener6 = TcpListener::bind("[::1]:0").unwrap();
    let (port, port6) = (
        listener.local_addr().unwrap().port(),
        listener6.local_addr().unwrap().port(),
    );
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    for (act, address, port, outcome) in [
        ("tcp", "127.0.0.1", port, Outcome::Accepted),
        ("tcp", "::1", port6, Outcome::Accepted),
        ("tcp", "127.0.0.1", closed, Outcome::Failed(Some(111))),
        ("tcp-later", "127.0.0.1", port, Outcome::Attempted),
    ] {
        let seen = trial.act(&[act, address, &port.to_string()]);
        let connects = connects(&seen);
        assert_eq!(connects.len(), 1, "{act} {address}: {connects:?}");
        let peer = Peer::Ip {
            transport: Transport::Tcp,
            address: SocketAddr::new(address.parse().unwrap(), port),
        };
        assert_eq!(
            (&connects[0].peer, connects[0].outcome),
            (&peer, outcome),
            "{act} {address}"
        );
        assert_eq!(connects[0].process, last(&seen).process);
    }
}

#[test]
fn sockets_of_container_runtimes() {
    let Some(mut trial) = Trial::new() else { return };
    let socket = real(trial.folder.path().to_str().unwrap()) + "/docker.sock";
    let _listener = UnixListener::bind(&socket).unwrap();
    let _other = UnixListener::bind(trial.path("other.sock")).unwrap();
    let link = trial.path("innocent");
    symlink(&socket, &link).unwrap();
    for named in [&socket, "docker.sock", "./docker.sock", "innocent", &link] {
        let seen = trial.act(&["unix", named]);
        let connects = connects(&seen);
        assert_eq!(connects.len(), 1, "{named}");
        assert_eq!(
            connects[0].peer,
            Peer::Unix(socket.clone().into_bytes()),
            "{named}"
        );
        assert_eq!(connects[0].outcome, Outcome::Accepted);
        assert_eq!(connects[0].process, last(&seen).process);
    }
    let seen = trial.act(&["unix", &trial.path("other.sock")]);
    assert!(connects(&seen).is_empty());
    let seen = trial.act(&["unix", "/nowhere/containerd.sock"]);
    assert_eq!(
        connects(&seen)[0].peer,
        Peer::Unix(b"/nowhere/containerd.sock".to_vec())
    );
    assert_eq!(connects(&seen)[0].outcome, Outcome::Failed(Some(2)));
}

#[test]
fn files_that_are_looked_for() {
    let Some(mut trial) = Trial::new() else { return };
    let home = real(trial.folder.path().to_str().unwrap());
    let credentials = format!("{home}/.aws/credentials");
    fs::create_dir(format!("{home}/.aws")).unwrap();
    fs::write(&credentials, "x").unwrap();
    fs::set_permissions(&credentials, fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();
    symlink(&credentials, format!("{home}/innocent")).unwrap();
    let within = format!("{home}/.aws");
    // As a pod has it: a link, behind which another leads to a folder with the time of writing.
    let token = format!("{home}/secrets/kubernetes.io/serviceaccount");
    fs::create_dir_all(format!("{token}/..2026_11_22")).unwrap();
    fs::write(format!("{token}/..2026_11_22/token"), "x").unwrap();
    symlink("..2026_11_22", format!("{token}/..data")).unwrap();
    symlink("..data/token", format!("{token}/token")).unwrap();

    for (act, path, failed) in [
        (&["open", &credentials][..], credentials.clone(), None),
        (&["open", "credentials", &within], credentials.clone(), None),
        (&["open", "./credentials", &within], credentials.clone(), None),
        (
            &["open", "../.aws/credentials", &within],
            credentials.clone(),
            None,
        ),
        (&["open", "innocent"], credentials.clone(), None),
        (&["write", &credentials], credentials.clone(), None),
        (&["open-as-nobody", &credentials], credentials.clone(), Some(13)),
        (&["open", "token", &token], format!("{token}/token"), None),
        (
            &["open", &format!("{token}/..data/token")],
            format!("{token}/..data/token"),
            None,
        ),
        (&["open", "/etc/shadow"], "/etc/shadow".to_owned(), None),
    ] {
        let seen = trial.act(act);
        let opens = opens(&seen);
        assert_eq!(opens.len(), 1, "{act:?}: {opens:?}");
        assert_eq!(text(&opens[0].path), path, "{act:?}");
        assert_eq!(opens[0].failed, failed, "{act:?}");
        assert_eq!(opens[0].writing, act[0] == "write");
        assert_eq!(opens[0].process, last(&seen).process);
    }
    fs::write(format!("{home}/config"), "x").unwrap();
    fs::write(format!("{home}/credentials"), "x").unwrap();
    for other in [
        "config",
        "credentials",
        "/nowhere/.aws/credentials",
        "/etc/passwd",
    ] {
        assert!(opens(&trial.act(&["open", other])).is_empty(), "{other}");
    }
}

#[test]
fn what_finds_no_room_is_counted() {
    // The smallest ring, which nobody reads while programs with long arguments run.
    let limits = Limits {
        memory: 1,
        ..Limits::default()
    };
    let Some(mut trial) = Trial::with(&limits, true) else {
        return;
    };
    let mut command = trial.command(&trial.acts.clone());
    let status = command.args(["flood", "2", "400", "/bin/true"]).status().unwrap();
    assert!(status.success());
    let mut seen = Vec::new();
    for _ in 0..20 {
        trial
            .reader
            .poll(Duration::from_millis(20), &mut |observation| {
                seen.push(observation)
            })
            .unwrap();
    }
    trial.reader.lost(&mut |observation| seen.push(observation));
    let lost = lost(&seen);
    let of = |class| {
        lost.iter()
            .filter(|lost| lost.class == class)
            .map(|lost| lost.count)
            .sum::<u64>()
    };
    let count = |class| {
        seen.iter()
            .filter(|seen| seen.class() == class && !matches!(seen, Observation::Lost(_)))
            .count() as u64
    };
    println!("lost: {lost:?}");
    // The act itself and those it ran; two processes that ran them, and all of them.
    assert_eq!(count(Class::Exec) + of(Class::Exec), 801);
    assert_eq!(count(Class::Fork) + of(Class::Fork), 802);
    assert_eq!(count(Class::Exit) + of(Class::Exit), 803);
    assert!(of(Class::Exec) > 0 && of(Class::Exec) < 801);
    assert!(
        of(Class::Exit) > of(Class::Exec),
        "the ends of processes are given up first"
    );
    assert!(
        lost.iter()
            .all(|lost| lost.cause == Cause::Shed || lost.cause == Cause::BufferFull)
    );
    // Once there is room again, all is told again.
    let seen = trial.act(&["nothing"]);
    assert_eq!(args(last(&seen)).last().unwrap(), "nothing");
    assert!(self::lost(&seen).is_empty());
}

#[test]
fn nothing_stays_in_the_kernel_and_nothing_is_told_of_the_sensor_itself() {
    let Some(trial) = Trial::new() else { return };
    let programs = || {
        let links = fs::read_dir("/proc/self/fd").unwrap().flatten();
        links
            .filter(|link| {
                let info = fs::read_to_string(format!(
                    "/proc/self/fdinfo/{}",
                    link.file_name().to_str().unwrap()
                ));
                info.is_ok_and(|info| info.contains("link_type") || info.contains("prog_id"))
            })
            .count()
    };
    assert!(programs() > 0);
    drop(trial);
    let Some(root) = group_root() else { return };
    // A sensor that looks at everything does not see what this process does.
    let mut reader = start(&Options::default()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut told = 0;
    drop(std::net::TcpStream::connect(address).unwrap());
    drop(fs::File::open("/etc/shadow"));
    for _ in 0..10 {
        reader
            .poll(Duration::from_millis(50), &mut |observation| {
                if let Observation::Connect(connect) = observation
                    && connect.process.pid == std::process::id()
                {
                    told += 1;
                }
            })
            .unwrap();
    }
    assert_eq!(told, 0);
    assert!(root.is_dir());
    std::io::stdout().flush().unwrap();
}
