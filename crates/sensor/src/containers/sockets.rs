//! Where the sockets of container engines and runtimes are.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// Users whose folders are looked through, at most.
const USERS: usize = 256;

/// What is spoken at a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interface {
    /// Docker's, over HTTP.
    Docker,
    /// Kubernetes' and containerd's, over gRPC.
    Grpc,
}

impl Interface {
    /// By the name of the socket, which nobody chooses freely: clients look for it.
    fn of(path: &Path) -> Self {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let is_grpc = ["containerd", "crio", "cri-"]
            .iter()
            .any(|word| name.contains(word));
        if is_grpc { Self::Grpc } else { Self::Docker }
    }
}

/// A socket, and whose engine is behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Socket {
    pub(super) path: PathBuf,
    /// The user who runs the engine; `None`: it is of the host.
    pub(super) user: Option<u32>,
    pub(super) interface: Interface,
}

/// The sockets that are there: those that were asked for, else those at the usual places.
pub(super) fn find(asked: Option<&[PathBuf]>) -> Vec<Socket> {
    if let Some(paths) = asked {
        let sockets = paths.iter().map(|path| Socket {
            path: path.clone(),
            user: None,
            interface: Interface::of(path),
        });
        return sockets.collect();
    }
    let mut found = Vec::new();
    // `/var/run` is `/run` wherever these are found at all.
    for path in [
        "/run/docker.sock",
        "/run/podman/podman.sock",
        "/run/containerd/containerd.sock",
        "/run/crio/crio.sock",
        "/run/k3s/containerd/containerd.sock",
        "/run/k0s/containerd.sock",
        "/var/snap/microk8s/common/run/containerd.sock",
        "/run/cri-dockerd.sock",
    ] {
        found.extend(of_user(Path::new(path), 0));
    }
    let users = std::fs::read_dir("/run/user").into_iter().flatten().flatten();
    for folder in users.take(USERS) {
        let Some(user) = folder.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        for name in ["docker.sock", "podman/podman.sock"] {
            found.extend(of_user(&folder.path().join(name), user));
        }
    }
    found
}

/// The socket at this path, if it is one, and this user's. A link of a user could lead to a socket that only root may use.
fn of_user(path: &Path, user: u32) -> Option<Socket> {
    let file = path.symlink_metadata().ok()?;
    let folder = path.parent()?.symlink_metadata().ok()?;
    let is_own = file.uid() == user && folder.uid() == user && folder.is_dir();
    (file.file_type().is_socket() && is_own).then(|| Socket {
        path: path.to_owned(),
        user: (user != 0).then_some(user),
        interface: Interface::of(path),
    })
}
