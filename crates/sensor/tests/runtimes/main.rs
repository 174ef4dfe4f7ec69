//! Who containers are, asked of a containerd that runs: over Kubernetes' interface and over its own, where it is installed.
//!
//! Each daemon has folders and sockets of its own, no network, and is ended with its test. Pods are made by calls to its interface over
//! `curl`, which shares nothing with what is tested.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says that it was skipped"
)]

mod daemon;
mod fake;
#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::{Duration, Instant};

use daemon::Daemon;
use neph_sensor::{Container, Runtime};
use rustix::process::Signal;
use support::{IMAGE, Watched};

const PAUSE: &str = "localhost/pause:1";
const UID: &str = "a1b2c3d4-0000-1111-2222-333344445555";

#[track_caller]
fn of_pod(container: &Container, name: &str) {
    let pod = container.pod().unwrap();
    assert_eq!(pod.namespace.as_deref(), Some("prod"));
    assert_eq!(pod.name.as_deref(), Some(name));
    assert_eq!(pod.uid.as_deref(), Some(UID));
}

fn labels(container: &Container) -> BTreeMap<&str, &str> {
    let labels = container.labels.iter();
    labels
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

#[test]
fn containers_of_pods_are_completely_named() {
    let Some(daemon) = Daemon::start(&[]) else { return };
    let pod = daemon.pod("shop-1");
    let before = daemon.container(&pod, "web", "600");
    let mut watched = daemon.containers();
    assert_eq!(watched.states[0].runtime, Some(Runtime::Containerd));
    let container = watched.complete(&before);
    assert_eq!(container.name.as_deref(), Some("web"));
    assert_eq!(container.image.as_deref(), Some(IMAGE));
    assert_eq!(container.runtime, Some(Runtime::Containerd));
    assert_eq!(container.privileged, Some(false));
    assert_eq!(container.network.as_deref(), Some("host"));
    assert_eq!(container.shares_processes, Some(false));
    of_pod(&container, "shop-1");
    assert_eq!(container.pod().unwrap().container.as_deref(), Some("web"));
    assert_eq!(labels(&container)["app"], "shop");
    assert_eq!(labels(&container)["mine"], "web");
    assert_eq!(labels(&container)["hostile"], "a\"}\n\u{1b}[31m{{x}}ü");
    assert!(
        container
            .digests
            .iter()
            .all(|digest| digest.starts_with("sha256:"))
    );
    // The id of the image, and the digest of its manifest.
    assert_eq!(container.digests.len(), 2, "{:?}", container.digests);
    // What holds the pod's namespaces is of the pod as well.
    let pause = watched.complete(&pod.0);
    of_pod(&pause, "shop-1");
    assert_eq!(pause.image.as_deref(), Some(PAUSE));
    assert_eq!(pause.network.as_deref(), Some("host"));
    without_a_socket(&daemon, &before);
    // One that lives for 50 ms and is removed before anybody asks for it.
    let short = daemon.container(&pod, "short", "0.05");
    daemon.remove(&short);
    let container = watched.named(&short);
    assert_eq!(container.image.as_deref(), Some(IMAGE));
    of_pod(&container, "shop-1");
    assert_eq!(container.pod().unwrap().container.as_deref(), Some("short"));
    assert_eq!(labels(&container)["mine"], "short");
    let counts = watched.containers.counts();
    assert_eq!((counts.unreadable, counts.unasked, counts.lost_news), (0, 0, 0));
}

/// What the runtime was told, and what a kubelet would write, name a container together.
fn without_a_socket(daemon: &Daemon, id: &str) {
    let logs = daemon.path("log");
    let of_pod = logs.join(format!("pods/prod_shop-1_{UID}/web"));
    std::fs::create_dir_all(&of_pod).unwrap();
    std::fs::create_dir(logs.join("containers")).unwrap();
    let link = logs.join(format!("containers/shop-1_prod_web-{id}.log"));
    std::os::unix::fs::symlink(of_pod.join("0.log"), link).unwrap();
    let bundles = daemon.path("state/io.containerd.runtime.v2.task");
    for storage in [vec![bundles.clone()], vec![logs.clone()], vec![bundles, logs]] {
        let (container, _) = support::found_in_files(id, &storage);
        crate::of_pod(&container, "shop-1");
        assert_eq!(container.pod().unwrap().container.as_deref(), Some("web"));
        if storage == [daemon.path("log")] {
            assert_eq!(container.runtime, None);
        } else {
            assert_eq!(container.image.as_deref(), Some(IMAGE));
            assert_eq!(container.runtime, Some(Runtime::Containerd));
        }
    }
}

#[test]
fn containers_that_no_kubelet_made_are_named_too() {
    for without in [&[][..], &["io.containerd.grpc.v1.cri"]] {
        let Some(daemon) = Daemon::start(without) else {
            return;
        };
        daemon.run("default", &["-d", "--label", "team=a"], "before", "600");
        let mut watched = daemon.containers();
        let container = watched.complete("before");
        assert_eq!(container.name.as_deref(), Some("before"));
        assert_eq!(container.image.as_deref(), Some(IMAGE));
        assert_eq!(labels(&container)["team"], "a");
        assert_eq!(container.digests.len(), 1);
        assert_eq!(container.shares_processes, Some(false));
        // Lived for 50 ms in a namespace that nobody asked about, and asked for when it is gone.
        let id = "0123456789abcdef".repeat(4);
        let more = ["--rm", "--label", "nerdctl/name=job", "--net-host"];
        daemon.run("batch", &more, &id, "0.05");
        let container = watched.named(&id);
        assert_eq!(container.name.as_deref(), Some("job"));
        assert_eq!(container.image.as_deref(), Some(IMAGE));
        assert_eq!(container.network.as_deref(), Some("host"));
        assert_eq!(container.runtime, Some(Runtime::Containerd));
        assert!(watched.containers.of("nobody").is_none());
        assert_eq!(watched.containers.counts().unreadable, 0);
    }
}

#[test]
fn a_hundred_containers_in_a_burst_are_all_named() {
    let Some(daemon) = Daemon::start(&[]) else { return };
    let mut watched = daemon.containers();
    let socket = daemon.socket();
    // Most are only made, which is faster than the runtime could start them; some live for 50 ms.
    let script = format!(
        "seq 100 | xargs -P 8 -I@ ctr -a {0} c create --snapshotter native --label n=@ {IMAGE} made-@; \
         seq 24 | xargs -P 4 -I@ ctr -a {0} run --rm --snapshotter native --runc-root {2} --cgroup {1}/@ --label n=@ {IMAGE} ran-@ /bin/busybox sleep 0.05",
        socket.display(),
        daemon.group(),
        daemon.path("runc").display()
    );
    let done = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let mut names = BTreeSet::new();
    let ids = (1..=100).map(|number| format!("made-{number}"));
    for id in ids.chain((1..=24).map(|number| format!("ran-{number}"))) {
        let container = watched.named(&id);
        assert_eq!(container.image.as_deref(), Some(IMAGE));
        let number = id.rsplit('-').next().unwrap();
        assert_eq!(labels(&container).get("n").copied(), Some(number), "{id}");
        names.insert(container.name.clone().unwrap());
    }
    assert_eq!(names.len(), 124);
    let counts = watched.containers.counts();
    assert_eq!((counts.lost_news, counts.unasked, counts.unreadable), (0, 0, 0));
}

#[test]
fn a_daemon_that_is_killed_is_followed_when_it_is_back() {
    let Some(mut daemon) = Daemon::start(&[]) else {
        return;
    };
    let pod = daemon.pod("shop-1");
    let before = daemon.container(&pod, "web", "600");
    let mut watched = daemon.containers();
    watched.complete(&before);
    daemon.stop(Signal::KILL);
    watched.until("the end is told", |watched| !watched.is_connected());
    assert_eq!(watched.states.last().unwrap().runtime, Some(Runtime::Containerd));
    // It is still known; what nobody knows costs no time.
    assert!(watched.containers.of(&before).is_some());
    let asked = Instant::now();
    assert!(watched.containers.of(&"f".repeat(64)).is_none());
    assert!(asked.elapsed() < Duration::from_millis(50));
    daemon.serve();
    watched.until("it answers again", Watched::is_connected);
    let after = daemon.container(&pod, "after", "600");
    assert_eq!(watched.complete(&after).name.as_deref(), Some("after"));
    assert!(watched.containers.counts().disconnected >= 1);
    // Who begins to look only now learns of what ran before.
    let mut late = daemon.containers();
    assert_eq!(late.complete(&before).name.as_deref(), Some("web"));
}

/// Kubernetes' interface alone, without events: containers are asked for when their ids come up.
#[test]
fn containers_are_asked_for_where_there_are_no_events() {
    // The images are put into the folder by a daemon that has all of its interfaces.
    let Some(mut daemon) = Daemon::start(&[]) else {
        return;
    };
    daemon.stop(Signal::TERM);
    let config = std::fs::read_to_string(daemon.path("config.toml")).unwrap();
    let disabled = r#"disabled_plugins = ["io.containerd.grpc.v1.version", "io.containerd.grpc.v1.containers", "io.containerd.grpc.v1.events"]"#;
    std::fs::write(
        daemon.path("config.toml"),
        config.replace("disabled_plugins = []", disabled),
    )
    .unwrap();
    daemon.without = &["io.containerd.grpc.v1.containers"];
    daemon.serve();
    let mut watched = daemon.containers();
    let pod = daemon.pod("shop-2");
    let id = daemon.container(&pod, "web", "0.05");
    std::thread::sleep(Duration::from_millis(100));
    // Its process is gone; Kubernetes' interface knows it until the kubelet removes it.
    let container = watched.complete(&id);
    assert_eq!(container.name.as_deref(), Some("web"));
    assert_eq!(container.image.as_deref(), Some(IMAGE));
    of_pod(&container, "shop-2");
    assert!(watched.known.iter().any(|known| known.id == id));
    daemon.stop(Signal::KILL);
    watched.until("the end is told", |watched| !watched.is_connected());
    daemon.without = &[];
    std::fs::write(daemon.path("config.toml"), config).unwrap();
    daemon.serve();
    watched.until("it answers again", Watched::is_connected);
}
