//! Containers by the files of their engines, where no socket is there to ask: Podman runs without a service, CRI-O and containerd keep what
//! the runtime was told, Docker's folder can be read while its daemon restarts, and the kubelet names pods.
//!
//! Ids are held against a pattern before they become part of a path, and folders of users are read as theirs.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use serde_json::Value;

use super::Shared;
use super::container::{Container, Runtime, Wanted, bounded, is_full_id};
use super::kubelet;

/// Bytes of a file, at most.
const FILE: u64 = 32 << 20;
/// A container whose files are not there yet is looked for again after this.
const AGAIN: Duration = Duration::from_millis(200);
/// Containers that are looked for again, at most.
const WAITING: usize = 1024;
/// Users whose storage is looked through, at most.
const USERS: usize = 64;
/// How drivers of the storage of Podman and CRI-O are called.
const DRIVERS: &[&str] = &["overlay", "vfs", "btrfs", "zfs"];

/// Where engines keep what they know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Podman's and CRI-O's storage: what lasts, or what is gone with the next start of the host.
    /// <https://github.com/containers/storage/blob/main/docs/containers-storage.conf.5.md>
    Storage { folder: PathBuf, user: Option<u32> },
    /// `/var/lib/docker`.
    Docker(PathBuf),
    /// The folder in which containerd keeps the bundles of running containers, by namespace.
    Containerd(PathBuf),
    /// A folder in which the kubelet makes a folder for each pod: `/var/log`, `/var/lib/kubelet`.
    Kubelet(PathBuf),
}

/// The places that are asked: those that were named, by what is in them, else the usual ones.
pub(super) fn places(asked: Option<&[PathBuf]>) -> Vec<Place> {
    let folders = match asked {
        Some(folders) => return folders.iter().filter_map(|folder| place(folder)).collect(),
        None => [
            "/var/lib/containers/storage",
            "/run/containers/storage",
            "/var/lib/docker",
            "/run/containerd/io.containerd.runtime.v2.task",
            "/run/k3s/containerd/io.containerd.runtime.v2.task",
            "/var/log",
            "/var/lib/kubelet",
            "/var/lib/k0s/kubelet",
            "/var/snap/microk8s/common/var/lib/kubelet",
        ],
    };
    let mut places: Vec<Place> = folders
        .iter()
        .filter_map(|folder| place(Path::new(folder)))
        .collect();
    for (user, home) in users() {
        for folder in [
            home.join(".local/share/containers/storage"),
            PathBuf::from(format!("/run/user/{user}/containers")),
        ] {
            if folder
                .symlink_metadata()
                .is_ok_and(|found| found.is_dir() && found.uid() == user)
            {
                places.push(Place::Storage {
                    folder,
                    user: Some(user),
                });
            }
        }
    }
    places
}

fn place(folder: &Path) -> Option<Place> {
    if !folder.is_dir() {
        return None;
    }
    let folder = folder.to_owned();
    Some(if folder.ends_with("io.containerd.runtime.v2.task") {
        Place::Containerd(folder)
    } else if folder.join("pods").is_dir() {
        Place::Kubelet(folder)
    } else if folder.ends_with("log") || folder.ends_with("kubelet") {
        // No pod ran here yet.
        return None;
    } else if folder.join("containers").is_dir() {
        Place::Docker(folder)
    } else {
        Place::Storage { folder, user: None }
    })
}

/// People who may run containers of their own, with their homes. passwd(5)
fn users() -> Vec<(u32, PathBuf)> {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let users = users.lines().filter_map(|line| {
        let mut fields = line.split(':').skip(2);
        let user: u32 = fields.next()?.parse().ok()?;
        let home = fields.nth(2)?;
        ((1000..65_534).contains(&user) && home.starts_with('/')).then(|| (user, PathBuf::from(home)))
    });
    users.take(USERS).collect()
}

/// Looks for each container that is asked for, and once more a little later.
pub(super) fn work(shared: &Arc<Shared>, questions: &Receiver<Wanted>) {
    let mut again: VecDeque<(Instant, Wanted)> = VecDeque::new();
    let mut found = places(shared.options.storage.as_deref());
    let mut looked = Instant::now();
    while !shared.is_over() {
        let next = again.front().map_or(Duration::from_secs(1), |(at, _)| {
            at.saturating_duration_since(Instant::now())
        });
        let (wanted, is_first) = match questions.recv_timeout(next) {
            Ok(wanted) => (wanted, true),
            Err(_) => match again.pop_front_if(|(at, _)| *at <= Instant::now()) {
                Some((_, wanted)) => (wanted, false),
                None => continue,
            },
        };
        if shared.known().get(&wanted.id).is_some() {
            continue;
        }
        if looked.elapsed() > super::LOOK {
            found = places(shared.options.storage.as_deref());
            looked = Instant::now();
        }
        // Each place may know what others do not: an engine the image, the kubelet the pod.
        let told = found.iter().filter_map(|place| look(place, &wanted));
        let told = told.reduce(|mut container, other| {
            container.keep(&other);
            container
        });
        match told {
            Some(container) => shared.learn(container),
            None if is_first && again.len() < WAITING => again.push_back((Instant::now() + AGAIN, wanted)),
            None => {}
        }
    }
}

/// The container, as this place tells of it.
fn look(place: &Place, wanted: &Wanted) -> Option<Container> {
    let id = wanted.id.as_str();
    match place {
        Place::Kubelet(folder) => kubelet::look(folder, wanted),
        Place::Storage { folder, user } if is_full_id(id) => DRIVERS
            .iter()
            .find_map(|driver| stored(folder, driver, id, *user)),
        Place::Docker(folder) if is_full_id(id) => docker(&folder.join("containers").join(id), id),
        Place::Containerd(folder) => {
            let namespaces = std::fs::read_dir(folder).ok()?.flatten();
            // Docker's containers are told of by Docker.
            let mut namespaces = namespaces.filter(|namespace| namespace.file_name() != "moby");
            namespaces.find_map(|namespace| bundle(&namespace.path().join(id).join("config.json"), id))
        }
        Place::Storage { .. } | Place::Docker(_) => None,
    }
}

/// A container of Podman or CRI-O.
fn stored(folder: &Path, driver: &str, id: &str, user: Option<u32>) -> Option<Container> {
    let containers = folder.join(format!("{driver}-containers"));
    let listed = ["containers.json", "volatile-containers.json"]
        .iter()
        .find_map(|name| with_id(&containers.join(name), id))?;
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let metadata: Value = text(&listed, "metadata")
        .and_then(|metadata| serde_json::from_str(&metadata).ok())
        .unwrap_or_default();
    let mut container = Container::new(id, Some(Runtime::Podman), user);
    let names = listed.get("names").and_then(Value::as_array);
    if let Some(name) = names.and_then(|names| names.first()).and_then(Value::as_str) {
        container.named(name);
    }
    container.of_image(&text(&metadata, "image-name").unwrap_or_default());
    if let Some(image) = text(&listed, "image").filter(|image| !image.is_empty()) {
        container.with_digest(&image);
        if let Some(image) = with_id(&folder.join(format!("{driver}-images/images.json")), &image) {
            container.with_digest(&text(&image, "digest").unwrap_or_default());
        }
    }
    if let Some(told) = json(&containers.join(id).join("userdata/config.json")) {
        specified(&mut container, &told);
    }
    Some(container)
}

/// The element of a list of objects that has this id.
fn with_id(path: &Path, id: &str) -> Option<Value> {
    let Some(Value::Array(list)) = json(path) else {
        return None;
    };
    list.into_iter()
        .find(|one| one.get("id").and_then(Value::as_str) == Some(id))
}

fn docker(folder: &Path, id: &str) -> Option<Container> {
    let told = json(&folder.join("config.v2.json"))?;
    let text = |pointer: &str| told.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let mut container = Container::new(id, Some(Runtime::Docker), None);
    container.named(text("/Name"));
    container.of_image(text("/Config/Image"));
    container.with_digest(text("/Image"));
    container.labelled_all(told.pointer("/Config/Labels"));
    for mount in told
        .get("MountPoints")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        container.mounted(mount.1.get("Source").and_then(Value::as_str).unwrap_or_default());
    }
    if let Some(host) = json(&folder.join("hostconfig.json")) {
        container.privileged = host.get("Privileged").and_then(Value::as_bool);
        container.network = host.get("NetworkMode").and_then(Value::as_str).map(bounded);
        container.shares_processes = host
            .get("PidMode")
            .and_then(Value::as_str)
            .map(|mode| mode == "host");
    }
    Some(container)
}

/// A container by what its runtime was told to run.
fn bundle(path: &Path, id: &str) -> Option<Container> {
    let told = json(path)?;
    let mut container = Container::new(id, Some(Runtime::Containerd), None);
    specified(&mut container, &told);
    Some(container)
}

/// Takes what the specification of a container says: <https://github.com/opencontainers/runtime-spec/blob/main/config.md>. Annotations of
/// containerd's and CRI-O's Kubernetes interfaces become the labels that the kubelet sets.
pub(super) fn specified(container: &mut Container, told: &Value) {
    const LABELS: &[(&str, &str)] = &[
        (
            "io.kubernetes.cri.sandbox-namespace",
            "io.kubernetes.pod.namespace",
        ),
        ("io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"),
        ("io.kubernetes.cri.sandbox-uid", "io.kubernetes.pod.uid"),
        ("io.kubernetes.cri.container-name", "io.kubernetes.container.name"),
    ];
    let annotations = told.get("annotations");
    let annotation = |name: &str| annotations.and_then(|all| all.get(name)).and_then(Value::as_str);
    for (name, label) in LABELS {
        if let Some(value) = annotation(name) {
            container.labelled(label, value);
        }
    }
    if let Some(image) = annotation("io.kubernetes.cri.image-name") {
        container.of_image(image);
    }
    if annotation("io.kubernetes.cri-o.ContainerType").is_some() {
        container.runtime = Some(Runtime::CriO);
        let labels =
            annotation("io.kubernetes.cri-o.Labels").and_then(|labels| serde_json::from_str(labels).ok());
        container.labelled_all(labels.as_ref());
        container.of_image(annotation("io.kubernetes.cri-o.ImageName").unwrap_or_default());
        container.with_digest(annotation("io.kubernetes.cri-o.ImageRef").unwrap_or_default());
    }
    for mount in told.get("mounts").and_then(Value::as_array).into_iter().flatten() {
        container.mounted(mount.get("source").and_then(Value::as_str).unwrap_or_default());
    }
    // Who shares a namespace with the host is given none.
    if let Some(namespaces) = told.pointer("/linux/namespaces").and_then(Value::as_array) {
        let has = |kind: &str| {
            let mut kinds = namespaces
                .iter()
                .filter_map(|namespace| namespace.get("type")?.as_str());
            kinds.any(|given| given == kind)
        };
        container.shares_processes = Some(!has("pid"));
        if !has("network") {
            container.network = Some("host".to_owned());
        }
    }
    let bounding = told
        .pointer("/process/capabilities/bounding")
        .and_then(Value::as_array);
    let administers = bounding.is_some_and(|all| all.iter().any(|one| one.as_str() == Some("CAP_SYS_ADMIN")));
    let masked = told.pointer("/linux/maskedPaths").and_then(Value::as_array);
    // Podman keeps the word itself; for the others this is what it means.
    let is_so_called = annotation("io.podman.annotations.privileged") == Some("TRUE");
    container.privileged = Some(is_so_called || administers && masked.is_none_or(Vec::is_empty));
}

fn json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&content(path, FILE)?).ok()
}

/// What a file holds, if it is one and no longer than that.
pub(super) fn content(path: &Path, limit: u64) -> Option<Vec<u8>> {
    // What a user put there may be no file at all; opening it must not wait.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || metadata.len() > limit {
        return None;
    }
    let mut content = Vec::new();
    file.take(limit).read_to_end(&mut content).ok()?;
    Some(content)
}
