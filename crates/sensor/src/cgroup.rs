//! Which container a process runs in, by the path of its control group.
//!
//! Runtimes name groups by the full id of the container, in one of two ways: a folder of that name, or a unit of systemd such as
//! `docker-ID.scope` (<https://github.com/opencontainers/runc/blob/main/docs/systemd.md>,
//! <https://kubernetes.io/docs/concepts/architecture/cgroups/>).

use crate::containers::is_id as is_container_id;

/// Letters of a container's id.
const ID: usize = 64;

/// What the path of a control group tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contained {
    /// The container's id.
    pub(crate) id: String,
    /// Who runs it, where the path tells: the names are those of `container.runtime`.
    pub(crate) runtime: Option<&'static str>,
    /// The pod of Kubernetes that it is part of.
    pub(crate) pod: Option<String>,
}

/// The names that stand before ids in units of systemd, and the folders in which other runtimes put ids, with who uses them.
const RUNTIMES: [(&str, &str); 9] = [
    ("docker", "docker"),
    ("libpod", "podman"),
    ("libpod_parent", "podman"),
    ("podman", "podman"),
    ("cri-containerd", "containerd"),
    ("containerd", "containerd"),
    ("nerdctl", "containerd"),
    ("crio", "cri-o"),
    ("cri-o", "cri-o"),
];

/// Of the paths of a process in the second hierarchy and in the first, the one that says more of who started it: where both are in
/// use, runtimes make their groups in one, and systemd in both.
pub(crate) fn telling<'a>(unified: &'a [u8], separate: &'a [u8]) -> &'a [u8] {
    let by_separate = contained(separate).is_some() || unified == b"/";
    if by_separate && contained(unified).is_none() {
        separate
    } else {
        unified
    }
}

/// The innermost container of a path, or none.
pub(crate) fn contained(path: &[u8]) -> Option<Contained> {
    let path = std::str::from_utf8(path).ok()?;
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let pod = parts.iter().rev().find_map(|part| pod(part));
    for (index, part) in parts.iter().enumerate().rev() {
        let unit = part
            .strip_suffix(".scope")
            .or_else(|| part.strip_suffix(".slice"))
            .unwrap_or(part);
        // `-` in units of systemd; `:` where a runtime was told to ask systemd and did not (`system.slice:docker:ID`).
        let (before, id) = unit.rsplit_once(['-', ':']).unwrap_or(("", unit));
        if is_task(part)
            && parts
                .get(index.wrapping_sub(1))
                .is_some_and(|task| part.starts_with(task))
        {
            return Some(Contained {
                id: (*part).to_owned(),
                runtime: Some("containerd"),
                pod,
            });
        }
        if !is_id(id) {
            continue;
        }
        let before = before.rsplit(':').next().unwrap_or(before);
        // The process that watches over a container has a group of its own beside it.
        if before.ends_with("conmon") {
            return None;
        }
        let named = [
            before,
            index
                .checked_sub(1)
                .and_then(|above| parts.get(above))
                .copied()
                .unwrap_or(""),
        ];
        let runtime = named.into_iter().find_map(|name| {
            let (_, runtime) = RUNTIMES.iter().find(|(known, _)| *known == name)?;
            Some(*runtime)
        });
        return Some(Contained {
            id: id.to_owned(),
            runtime,
            pod,
        });
    }
    chosen(&parts)
}

/// Clients of containerd choose ids freely. Its control groups are named by namespace and id, and this is the namespace that is used where none
/// is named: <https://github.com/containerd/containerd/blob/main/pkg/oci/spec.go>. Nothing else makes a group of this name.
fn chosen(parts: &[&str]) -> Option<Contained> {
    let ["default", id, ..] = parts else { return None };
    is_container_id(id).then(|| Contained {
        id: (*id).to_owned(),
        runtime: Some("containerd"),
        pod: None,
    })
}

fn is_id(text: &str) -> bool {
    text.len() == ID && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Containers of tasks of AWS Fargate: the task's id and a number.
fn is_task(text: &str) -> bool {
    text.split_once('-').is_some_and(|(task, number)| {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        task.len() == 32
            && digits(task)
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// The pod of `podUID`, or of `kubepods-burstable-podUID.slice`, where lines under stand for hyphens.
fn pod(part: &str) -> Option<String> {
    let unit = part.strip_suffix(".slice").unwrap_or(part);
    let (before, id) = unit.rsplit_once("pod")?;
    let known = before.is_empty() || (before.starts_with("kubepods") && before.ends_with('-'));
    let plain = |byte: u8| byte.is_ascii_hexdigit() || byte == b'_' || byte == b'-';
    // Static pods have the hash of their file as id.
    (known && (id.len() == 36 || id.len() == 32) && id.bytes().all(plain)).then(|| id.replace('_', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const B: &str = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";

    #[track_caller]
    fn check(path: &str, expected: Option<(&str, Option<&str>, Option<&str>)>) {
        let path = path.replace("{A}", A).replace("{B}", B);
        let found = contained(path.as_bytes());
        let found = found
            .as_ref()
            .map(|found| (found.id.as_str(), found.runtime, found.pod.as_deref()));
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn every_runtime_and_driver_is_read() {
        let pod = Some("a1b2c3d4-0000-1111-2222-333344445555");
        check("/docker/{A}", Some((A, Some("docker"), None)));
        check("/system.slice/docker-{A}.scope", Some((A, Some("docker"), None)));
        check(
            "/machine.slice/libpod-{A}.scope/container",
            Some((A, Some("podman"), None)),
        );
        check(
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{A}.scope",
            Some((A, Some("podman"), None)),
        );
        check("/libpod_parent/libpod-{A}", Some((A, Some("podman"), None)));
        check(
            "/kubepods/burstable/poda1b2c3d4-0000-1111-2222-333344445555/{A}",
            Some((A, None, pod)),
        );
        check(
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-poda1b2c3d4_0000_1111_2222_333344445555.slice/cri-containerd-{A}.scope",
            Some((A, Some("containerd"), pod)),
        );
        check(
            "/kubepods.slice/kubepods-pod00112233445566778899aabbccddeeff.slice/crio-{A}.scope",
            Some((A, Some("cri-o"), Some("00112233445566778899aabbccddeeff"))),
        );
        check("/system.slice:docker:{A}", Some((A, Some("docker"), None)));
        check(
            "/kubepods-besteffort-poda1b2c3d4_0000_1111_2222_333344445555.slice:cri-containerd:{A}",
            Some((A, Some("containerd"), None)),
        );
        check("docker-{A}.scope", Some((A, Some("docker"), None)));
        check("{A}", Some((A, None, None)));
        check("/default/web-1/sub", Some(("web-1", Some("containerd"), None)));
        check("/default/{A}", Some((A, None, None)));
        check("/ecs/0123456789abcdef0123456789abcdef/{A}", Some((A, None, None)));
        let task = "0123456789abcdef0123456789abcdef-1234567890";
        check(
            &format!("/ecs/0123456789abcdef0123456789abcdef/{task}"),
            Some((task, Some("containerd"), None)),
        );
    }

    #[test]
    fn the_innermost_container_counts() {
        check("/docker/{A}/docker/{B}", Some((B, Some("docker"), None)));
        check("/docker/{A}/init.scope", Some((A, Some("docker"), None)));
        check(
            "/system.slice/docker-{A}.scope/system.slice/cron.service",
            Some((A, Some("docker"), None)),
        );
    }

    #[test]
    fn what_is_no_container_has_none() {
        for path in [
            "/",
            "",
            "/system.slice/ssh.service",
            "/user.slice/user-0.slice/session-1.scope",
            "/machine.slice/libpod-conmon-{A}.scope",
            "/docker",
            "/docker/0123",
            "/default",
            "/a/default/web-1",
            "/default/a b",
            "/defaults/web-1",
            "/{A}x",
        ] {
            check(path, None);
        }
        assert_eq!(contained(b"/docker/\xff\xfe"), None);
    }
}
