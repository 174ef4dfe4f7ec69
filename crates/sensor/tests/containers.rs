//! Who containers are, asked of engines that run: Podman's service and Docker's daemon, where they are installed.
//!
//! Each engine has folders of its own, no network, and is ended with its test. Where an engine is not there, the test says so.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says that it was skipped"
)]

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use neph_sensor::{ContainerOptions, Containers, Packages, Place, Runtime};
use rustix::process::Signal;
use support::{IMAGE, Watched};

/// An engine of our own.
struct Engine {
    folder: tempfile::TempDir,
    kind: Runtime,
    service: Option<Child>,
}

impl Engine {
    /// The engine with an image in it; `None`, and a word about it, where it cannot run here.
    fn start(kind: Runtime) -> Option<Self> {
        let skipped = |why: &str| {
            println!("skipped: {} cannot be asked: {why}", kind.name());
            None
        };
        if !rustix::process::geteuid().is_root() {
            return skipped("only root can start it");
        }
        let program = if kind == Runtime::Podman {
            "podman"
        } else {
            "dockerd"
        };
        if Command::new(program).arg("--version").output().is_err() {
            return skipped("it is not installed");
        }
        let busybox = match support::busybox() {
            Ok(busybox) => busybox,
            Err(why) => return skipped(why),
        };
        let mut engine = Self {
            // Paths of sockets are short.
            folder: tempfile::tempdir_in("/tmp").unwrap(),
            kind,
            service: None,
        };
        let bin = engine.path("image/bin");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::copy(&busybox, bin.join("busybox")).unwrap();
        std::fs::write(bin.join("other"), "changed").unwrap();
        // The image has a package, one of whose files is not as it was brought.
        let info = engine.path("image/var/lib/dpkg/info");
        std::fs::create_dir_all(&info).unwrap();
        let sum = Command::new("md5sum").arg(&busybox).output().unwrap();
        let sum = String::from_utf8_lossy(&sum.stdout)
            .split(' ')
            .next()
            .unwrap_or_default()
            .to_owned();
        std::fs::write(info.join("box.list"), "/.\n/usr\n/usr/bin/busybox\n/bin/other\n").unwrap();
        std::fs::write(
            info.join("box.md5sums"),
            format!("{sum}  usr/bin/busybox\n{sum}  bin/other\n"),
        )
        .unwrap();
        std::fs::write(
            engine.path("image/var/lib/dpkg/status"),
            "Package: box\nStatus: install ok installed\nVersion: 1:1.35-4\n\n",
        )
        .unwrap();
        std::fs::write(
            engine.path("containers.conf"),
            "[engine]\nruntime=\"runc\"\nevents_logger=\"file\"\n[containers]\ndefault_ulimits=[\"nofile=1024:1024\",\"nproc=4096:4096\"]\n",
        )
        .unwrap();
        std::fs::write(
            engine.path("storage.conf"),
            format!(
                "[storage]\ndriver=\"overlay\"\ngraphroot=\"{}\"\nrunroot=\"{}\"\n",
                engine.path("graph").display(),
                engine.path("run").display()
            ),
        )
        .unwrap();
        engine.serve();
        let tar = engine.path("image.tar");
        let packed = Command::new("tar")
            .arg("-C")
            .arg(engine.path("image"))
            .arg("-cf")
            .arg(&tar)
            .args(["bin", "var"])
            .status();
        assert!(packed.unwrap().success());
        let tar = tar.to_str().unwrap().to_owned();
        if let Err(why) = engine.run(&["import", &tar, IMAGE]) {
            return skipped(&why);
        }
        Some(engine)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn socket(&self) -> PathBuf {
        self.path("engine.sock")
    }

    /// Starts the service, and waits until it listens.
    fn serve(&mut self) {
        let socket = format!("unix://{}", self.socket().display());
        let mut command = if self.kind == Runtime::Podman {
            let mut command = self.podman();
            command.args(["system", "service", "-t", "0", &socket]);
            command
        } else {
            let mut command = Command::new("dockerd");
            command.args(["-H", &socket, "--bridge", "none", "--iptables=false"]);
            command.arg("--data-root").arg(self.path("data"));
            command.arg("--exec-root").arg(self.path("exec"));
            command.arg("--pidfile").arg(self.path("docker.pid"));
            command
        };
        let log = std::fs::File::create(self.path("service.log")).unwrap();
        command
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null());
        self.service = Some(command.spawn().unwrap());
        let begun = Instant::now();
        while UnixStream::connect(self.socket()).is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "the engine does not listen"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn podman(&self) -> Command {
        let mut command = Command::new("podman");
        command.env("CONTAINERS_CONF", self.path("containers.conf"));
        command.env("CONTAINERS_STORAGE_CONF", self.path("storage.conf"));
        command.arg("--tmpdir").arg(self.path("tmp"));
        command
    }

    fn command(&self) -> Command {
        if self.kind == Runtime::Podman {
            return self.podman();
        }
        let mut command = Command::new("docker");
        command
            .arg("-H")
            .arg(format!("unix://{}", self.socket().display()));
        command
    }

    /// Runs a command of the engine, and gives what it printed.
    fn run(&self, arguments: &[&str]) -> Result<String, String> {
        support::printed(self.command().args(arguments))
    }

    /// Ends the service, as its unit does.
    fn stop(&mut self) {
        support::end(&mut self.service, Signal::TERM);
    }

    fn containers(&self, events: bool) -> Watched {
        Watched::start(self.socket(), events)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.run(&["rm", "-f", "-a"]);
        if let Ok(all) = self.run(&["ps", "-aq"]) {
            for id in all.lines() {
                let _ = self.run(&["rm", "-f", id]);
            }
        }
        self.stop();
        for name in ["graph/overlay", "data/overlay2"] {
            let _ = Command::new("umount")
                .arg(self.path(name))
                .stderr(Stdio::null())
                .status();
        }
    }
}

fn both(test: impl Fn(Engine)) {
    for kind in [Runtime::Podman, Runtime::Docker] {
        if let Some(engine) = Engine::start(kind) {
            test(engine);
        }
    }
}

#[test]
fn a_container_that_lived_for_50_ms_is_completely_named() {
    both(|engine| {
        let mut watched = engine.containers(true);
        let id_file = engine.path("id");
        let hostile = "a\"}\n\u{1b}[31m<script>{{x}}ü";
        engine
            .run(&[
                "run",
                "--rm",
                "--network",
                "none",
                "--name",
                "short",
                "--cidfile",
                id_file.to_str().unwrap(),
                "--label",
                "io.kubernetes.pod.name=shop-1",
                "--label",
                "io.kubernetes.pod.namespace=prod",
                "--label",
                &format!("hostile={hostile}"),
                IMAGE,
                "/bin/busybox",
                "sleep",
                "0.05",
            ])
            .unwrap();
        let id = std::fs::read_to_string(&id_file).unwrap_or_default();
        let id = if id.is_empty() {
            watched.until("an event", |watched| !watched.events.is_empty());
            watched.events[0]["Actor"]["ID"].as_str().unwrap().to_owned()
        } else {
            id
        };
        let container = watched.named(id.trim());
        assert_eq!(container.name.as_deref(), Some("short"));
        assert_eq!(container.image.as_deref(), Some(IMAGE));
        assert_eq!(container.runtime, Some(engine.kind));
        let members = serde_json::Value::Object(container.members());
        assert_eq!(members["container"]["labels"]["hostile"], hostile);
        assert_eq!(members["container"]["image"]["tag"][0], "1.0");
        assert!(
            members["container"]["image"]["hash"]["all"][0]
                .as_str()
                .unwrap()
                .starts_with("sha256:")
        );
        assert_eq!(members["orchestrator"]["resource"]["name"], "shop-1");
        assert_eq!(members["orchestrator"]["namespace"], "prod");
        watched.until("its end is told", |watched| {
            watched
                .events
                .iter()
                .any(|event| event["Action"] == "die" || event["Action"] == "died")
        });
        assert_eq!(watched.containers.counts().unreadable, 0);
    });
}

#[test]
fn what_runs_before_and_after_the_engine_restarts_is_known() {
    both(|mut engine| {
        // A machine may lack capabilities that a privileged container gets when it is started.
        let make = |engine: &Engine, more: &[&str]| {
            let more = more.iter().chain(&[IMAGE, "/bin/busybox", "sleep", "600"]);
            engine.run(&more.copied().collect::<Vec<_>>()).unwrap()
        };
        let before = make(
            &engine,
            &[
                "create",
                "--network",
                "none",
                "--name",
                "before",
                "--privileged",
                "-v",
                "/run:/host",
            ],
        );
        let mut watched = engine.containers(false);
        assert!(watched.containers.of("0123456789abcdef").is_none());
        let container = watched.complete(&before);
        assert_eq!(container.name.as_deref(), Some("before"));
        assert_eq!(container.privileged, Some(true));
        assert_eq!(container.network.as_deref(), Some("none"));
        assert_eq!(container.engine_sockets, ["/run"]);
        engine.stop();
        watched.until("the end is told", |watched| !watched.is_connected());
        // It is still known, and what nobody knows is told when the engine is back.
        assert!(watched.containers.of(&before).is_some());
        let unknown = "f".repeat(64);
        assert!(watched.containers.of(&unknown).is_none());
        engine.serve();
        watched.until("the engine answers again", Watched::is_connected);
        let after = make(&engine, &["run", "-d", "--network", "none", "--name", "after"]);
        assert_eq!(watched.named(&after).name.as_deref(), Some("after"));
        assert!(watched.containers.counts().disconnected >= 1);
    });
}

#[test]
fn two_hundred_containers_in_a_burst_are_all_named() {
    both(|engine| {
        let mut watched = engine.containers(true);
        let count = 200;
        let script = format!(
            "seq {count} | xargs -P 8 -I{{}} \"$@\" create --network none --name burst-{{}} --label n={{}} {IMAGE} /bin/busybox true"
        );
        let command = engine.command();
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &script, "sh"])
            .arg(command.get_program())
            .args(command.get_args());
        shell.envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        let done = shell.output().unwrap();
        let ids: Vec<String> = String::from_utf8_lossy(&done.stdout)
            .lines()
            .map(str::to_owned)
            .collect();
        assert_eq!(ids.len(), count, "{}", String::from_utf8_lossy(&done.stderr));
        let mut names = std::collections::BTreeSet::new();
        for id in &ids {
            let container = watched.named(id);
            assert_eq!(container.image.as_deref(), Some(IMAGE));
            names.insert(container.name.clone().unwrap());
        }
        assert_eq!(names.len(), count);
        let created = |watched: &mut Watched| {
            let events = watched.events.iter();
            events
                .filter(|event| event["Type"] == "container" && event["Action"] == "create")
                .count()
        };
        watched.until("all are told", |watched| created(watched) >= count);
        assert_eq!(created(&mut watched), count);
        let counts = watched.containers.counts();
        assert_eq!((counts.lost_news, counts.unasked, counts.unreadable), (0, 0, 0));
    });
}

#[test]
fn containers_without_a_socket_are_known_by_files() {
    both(|engine| {
        let id = engine
            .run(&[
                "create",
                "--network",
                "host",
                "--pid",
                "host",
                "--name",
                "plain",
                IMAGE,
                "/bin/busybox",
                "true",
            ])
            .unwrap();
        if engine.kind == Runtime::Podman {
            // What the runtime is told is there once it is started.
            engine.run(&["start", &id]).unwrap();
        }
        let folders = ["graph", "run", "data"].map(|name| engine.path(name));
        let (container, time) = support::found_in_files(&id, &folders);
        println!("{} by files after {time:?}", engine.kind.name());
        assert_eq!(container.id, id);
        assert_eq!(container.runtime, Some(engine.kind));
        assert_eq!(container.name.as_deref(), Some("plain"));
        assert_eq!(container.image.as_deref(), Some(IMAGE));
        assert!(container.digests[0].starts_with("sha256:"));
        assert_eq!(container.network.as_deref(), Some("host"));
        assert_eq!(container.shares_processes, Some(true));
        assert_eq!(container.privileged, Some(false));
    });
}

#[test]
fn executables_of_containers_are_held_against_image_and_packages() {
    both(|engine| {
        let script = "/bin/busybox cp /bin/busybox /added; /bin/busybox sleep 600";
        let id = engine
            .run(&[
                "run",
                "-d",
                "--network",
                "none",
                "--tmpfs",
                "/mem",
                IMAGE,
                "/bin/busybox",
                "sh",
                "-c",
                script,
            ])
            .unwrap();
        let pid = engine.run(&["inspect", "-f", "{{.State.Pid}}", &id]).unwrap();
        let place = Place::Container {
            id: &id,
            pid: pid.parse().unwrap(),
        };
        let added = PathBuf::from(format!("/proc/{pid}/root/added"));
        let begun = Instant::now();
        while !added.exists() && begun.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(10));
        }
        std::fs::copy("/bin/true", format!("/proc/{pid}/root/mem/volatile")).unwrap();
        // A link that leads out of any root that is not held to.
        std::os::unix::fs::symlink("/../../../bin/busybox", format!("/proc/{pid}/root/link")).unwrap();
        let mut packages = Packages::start();
        let mut told = |path: &str| {
            let begun = Instant::now();
            loop {
                if let Some(found) = packages.of(place, path.as_bytes()) {
                    return serde_json::Value::Object(found.members());
                }
                assert!(begun.elapsed() < Duration::from_secs(20), "{path}");
                std::thread::sleep(Duration::from_millis(2));
            }
        };
        let brought = told("/bin/busybox");
        assert_eq!(brought["package"]["name"], "box", "{brought}");
        assert_eq!(brought["package"]["version"], "1:1.35-4");
        assert_eq!(brought["differs_from_package"], false);
        assert_eq!(brought["in_image"], true);
        assert_eq!(told("/link"), brought);
        let other = told("/bin/other");
        assert_eq!(
            (&other["differs_from_package"], &other["in_image"]),
            (&true.into(), &true.into())
        );
        for path in ["/added", "/mem/volatile"] {
            let found = told(path);
            assert_eq!(
                (&found["in_package"], &found["in_image"]),
                (&false.into(), &false.into()),
                "{path}"
            );
        }
        assert!(packages.of(place, b"/dev/null").is_none());
        // A process that is gone is asked about by another of its container.
        let gone = Place::Container {
            id: &id,
            pid: 4_190_000,
        };
        assert_eq!(packages.of(gone, b"/added").unwrap().in_image, Some(false));
        engine.run(&["rm", "-f", &id]).unwrap();
        assert!(packages.of(gone, b"/added").is_none());
    });
}

/// Answers requests at a socket: `answer` is given the line that says what is asked for.
fn answered(
    path: &Path,
    answer: impl Fn(&str, &mut UnixStream) -> std::io::Result<()> + Send + Sync + 'static,
) {
    let listener = UnixListener::bind(path).unwrap();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut first = String::new();
                let _ = reader.read_line(&mut first);
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                    line.clear();
                }
                // Whoever asked may be gone.
                let _ = answer(&first, &mut stream);
            });
        }
    });
}

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";

/// Podman and Docker say that they listen, and begin to after that: what happens between the two is told to those who ask for it.
#[test]
fn what_happens_while_an_engine_begins_to_listen_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path: &Path = &folder.path().join("docker.sock");
    let id = "2".repeat(64);
    let created = id.clone();
    answered(path, move |asked, to| {
        if asked.contains("/version") {
            return write!(to, "{HEAD}Content-Length: 2\r\n\r\n{{}}");
        }
        if !asked.contains("/events") {
            return write!(to, "{HEAD}Content-Length: 2\r\n\r\n[]");
        }
        write!(to, "{HEAD}Connection: close\r\n\r\n")?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let since = asked
            .split_once("since=")
            .and_then(|(_, rest)| rest.split([' ', '&']).next());
        let (seconds, rest) = since.unwrap_or_default().split_once('.').unwrap_or_default();
        if let (Ok(seconds), Ok(rest)) = (seconds.parse(), rest.parse())
            && Duration::new(seconds, rest) <= now
        {
            let time = now.as_nanos();
            writeln!(
                to,
                "{{\"Type\":\"container\",\"Action\":\"create\",\"timeNano\":{time},\"Actor\":{{\"ID\":\"{created}\",\"Attributes\":{{\"name\":\"early\"}}}}}}"
            )?;
        }
        std::thread::sleep(Duration::from_secs(60));
        Ok(())
    });
    let mut watched = Watched::start(path.to_owned(), true);
    watched.until("it is told", |watched| !watched.events.is_empty());
    assert_eq!(watched.containers.of(&id).unwrap().name.as_deref(), Some("early"));
}

/// An engine that answers what it likes: too much, too long, nothing, and rubbish.
#[test]
fn a_hostile_engine_costs_nothing_but_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path: &Path = &folder.path().join("docker.sock");
    answered(path, |asked, to| {
        if asked.contains("/version") {
            return write!(to, "{HEAD}Content-Length: 2\r\n\r\n{{}}");
        }
        if !asked.contains("/events") {
            // Neither a list nor a container is ever told.
            return to.write_all(&[b'{'; 100_000]);
        }
        write!(to, "{HEAD}Connection: close\r\n\r\n")?;
        let long = "x".repeat(3 << 20);
        let bad =
            format!("{{\"Type\":\"container\",\"Action\":\"create\",\"Actor\":{{\"ID\":\"../{long}\"}}}}\n");
        for line in [
            bad.as_str(),
            "null\n",
            "[]\n",
            "}{\n",
            "{\"Type\":7,\"Actor\":[]}\n",
        ] {
            to.write_all(line.as_bytes())?;
        }
        let id = "1".repeat(64);
        let good = format!(
            "{{\"Type\":\"container\",\"Action\":\"start\",\"Actor\":{{\"ID\":\"{id}\",\"Attributes\":{{\"name\":\"good\",\"x\":7}}}}}}\n"
        );
        to.write_all(good.as_bytes())?;
        std::thread::sleep(Duration::from_secs(2));
        Ok(())
    });
    let mut containers = Containers::start(&ContainerOptions {
        sockets: Some(vec![path.to_owned()]),
        storage: Some(Vec::new()),
        ..ContainerOptions::default()
    });
    let id = "1".repeat(64);
    let begun = Instant::now();
    loop {
        let asked = Instant::now();
        let found = containers.of(&id);
        assert!(asked.elapsed() < Duration::from_millis(100));
        if let Some(container) = found {
            assert_eq!(container.name.as_deref(), Some("good"));
            assert!(container.labels.is_empty());
            break;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{:?}",
            containers.counts()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    let counts = containers.counts();
    assert!(counts.unreadable >= 2 && counts.known == 1, "{counts:?}");
}
