//! Containers of pods by what the kubelet writes: links to logs, whose names tell of each container, and folders of pods.
//!
//! <https://kubernetes.io/docs/concepts/cluster-administration/logging/#log-location-node>,
//! <https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/kuberuntime/legacy.go>

use std::fs::{DirEntry, read_dir};
use std::path::Path;

use super::container::{Container, Wanted};
use super::files;

/// Entries of a folder that are looked at, at most.
const ENTRIES: usize = 20_000;
/// Bytes of a small file, at most.
const SMALL: u64 = 64 << 10;

/// The container as a folder tells of it that holds folders of pods: `/var/log`, `/var/lib/kubelet`.
pub(super) fn look(folder: &Path, wanted: &Wanted) -> Option<Container> {
    let mut container = Container::new(&wanted.id, wanted.runtime, None);
    let linked = linked(folder, &wanted.id);
    let told_of = linked.as_ref().map(|linked| linked.uid.as_str());
    let uid = told_of.or(wanted.pod.as_deref())?;
    match &linked {
        Some(linked) => {
            container.named(&linked.container);
            let labels = [
                ("io.kubernetes.pod.namespace", &linked.namespace),
                ("io.kubernetes.pod.name", &linked.pod),
                ("io.kubernetes.container.name", &linked.container),
            ];
            for (label, value) in labels {
                container.labelled(label, value);
            }
        }
        None => {
            let (namespace, pod) = logged(folder, uid).or_else(|| kept(folder, uid))?;
            let labels = [
                ("io.kubernetes.pod.namespace", namespace),
                ("io.kubernetes.pod.name", pod),
            ];
            for (label, value) in labels {
                if let Some(value) = value {
                    container.labelled(label, &value);
                }
            }
        }
    }
    container.labelled("io.kubernetes.pod.uid", uid);
    Some(container)
}

/// What the name of a link tells.
struct Linked {
    pod: String,
    namespace: String,
    container: String,
    uid: String,
}

/// By `containers/POD_NAMESPACE_CONTAINER-ID.log`, a link to `pods/NAMESPACE_POD_UID/CONTAINER/NUMBER.log`.
fn linked(folder: &Path, id: &str) -> Option<Linked> {
    let entry = entry(&folder.join("containers"), |name| {
        name.strip_suffix(".log")
            .and_then(|name| name.strip_suffix(id))
            .is_some_and(|name| name.ends_with('-'))
    })?;
    let name = entry.file_name().into_string().ok()?;
    let (names, _) = name
        .strip_suffix(".log")?
        .split_at_checked(name.len() - 5 - id.len())?;
    let mut names = names.split('_');
    let (pod, namespace, container) = (names.next()?, names.next()?, names.next()?);
    let target = std::fs::read_link(entry.path()).ok()?;
    let of_pod = target.parent()?.parent()?.file_name()?.to_str()?;
    let uid = of_pod.strip_prefix(&format!("{namespace}_{pod}_"))?;
    Some(Linked {
        pod: pod.to_owned(),
        namespace: namespace.to_owned(),
        container: container.to_owned(),
        uid: uid.to_owned(),
    })
}

/// Namespace and name of a pod by `pods/NAMESPACE_POD_UID`.
fn logged(folder: &Path, uid: &str) -> Option<(Option<String>, Option<String>)> {
    let entry = entry(&folder.join("pods"), |name| {
        name.strip_suffix(uid).is_some_and(|name| name.ends_with('_'))
    })?;
    let name = entry.file_name().into_string().ok()?;
    let mut names = name.split('_').map(str::to_owned);
    Some((names.next(), names.next()))
}

/// Namespace and name of a pod by what is made for it in `pods/UID`: the namespace that its service account's token is told with, and the name
/// of its host.
fn kept(folder: &Path, uid: &str) -> Option<(Option<String>, Option<String>)> {
    let pod = folder.join("pods").join(uid);
    if !is_plain(uid) || !pod.is_dir() {
        return None;
    }
    let volumes = ["volumes/kubernetes.io~projected", "volumes/kubernetes.io~secret"];
    let namespace = volumes.iter().find_map(|kind| {
        let volumes = read_dir(pod.join(kind)).ok()?.take(64).flatten();
        // The name that is seen in the volume is a link; this is where it leads.
        let mut told = volumes.filter_map(|volume| small(&volume.path().join("..data/namespace")));
        told.next()
    });
    let hosts =
        small(&pod.join("etc-hosts")).filter(|hosts| hosts.starts_with("# Kubernetes-managed hosts file.\n"));
    let name = hosts.and_then(|hosts| {
        // The pod's own address is told last, before what its specification adds.
        let mut own = hosts.lines().skip(1).filter(|line| {
            let address = line.split_whitespace().next().unwrap_or_default();
            !line.starts_with('#') && !address.is_empty() && !SPECIAL.contains(&address)
        });
        let name = own.next()?.split_whitespace().nth(1)?;
        name.split('.').next().map(str::to_owned)
    });
    Some((namespace.map(|namespace| namespace.trim().to_owned()), name))
}

/// Addresses that stand in each file of hosts that the kubelet writes.
const SPECIAL: &[&str] = &["127.0.0.1", "::1", "fe00::0", "fe00::1", "fe00::2"];

fn small(path: &Path) -> Option<String> {
    String::from_utf8(files::content(path, SMALL)?).ok()
}

fn entry(folder: &Path, mut fits: impl FnMut(&str) -> bool) -> Option<DirEntry> {
    let mut entries = read_dir(folder).ok()?.take(ENTRIES).flatten();
    entries.find(|entry| entry.file_name().to_str().is_some_and(&mut fits))
}

/// Whether this can stand in a path.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::super::container::Runtime;
    use super::*;

    const UID: &str = "a1b2c3d4-0000-1111-2222-333344445555";

    fn wanted(id: &str, pod: Option<&str>) -> Wanted {
        Wanted {
            id: id.to_owned(),
            pod: pod.map(str::to_owned),
            runtime: Some(Runtime::CriO),
        }
    }

    #[test]
    fn logs_tell_of_containers_and_pods() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path();
        let of_pod = log.join(format!("pods/prod_shop-1_{UID}"));
        fs::create_dir_all(of_pod.join("web")).unwrap();
        fs::create_dir_all(log.join("containers")).unwrap();
        let id = "ab".repeat(32);
        symlink(
            of_pod.join("web/0.log"),
            log.join(format!("containers/shop-1_prod_web-side-{id}.log")),
        )
        .unwrap();
        fs::write(log.join("containers/other.log"), "").unwrap();
        let found = look(log, &wanted(&id, None)).unwrap();
        let pod = found.pod().unwrap();
        assert_eq!(found.name.as_deref(), Some("web-side"));
        assert_eq!(
            (pod.namespace.as_deref(), pod.name.as_deref()),
            (Some("prod"), Some("shop-1"))
        );
        assert_eq!(
            (pod.uid.as_deref(), pod.container.as_deref()),
            (Some(UID), Some("web-side"))
        );
        // What holds the pod's namespaces has no log, and is of the pod all the same.
        let pause = look(log, &wanted(&"cd".repeat(32), Some(UID))).unwrap();
        assert_eq!(pause.pod().unwrap().name.as_deref(), Some("shop-1"));
        assert_eq!(pause.name, None);
        assert!(look(log, &wanted(&"cd".repeat(32), None)).is_none());
        let other = UID.replace('a', "b");
        assert!(look(log, &wanted(&"cd".repeat(32), Some(&other))).is_none());
    }

    #[test]
    fn folders_of_pods_tell_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let pod = folder.path().join("pods").join(UID);
        let volume = pod.join("volumes/kubernetes.io~projected/kube-api-access-x");
        fs::create_dir_all(volume.join("..2026")).unwrap();
        fs::write(volume.join("..2026/namespace"), "prod").unwrap();
        symlink("..2026", volume.join("..data")).unwrap();
        symlink("..data/namespace", volume.join("namespace")).unwrap();
        fs::write(
            pod.join("etc-hosts"),
            "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n10.0.0.9\tshop-1.web.prod.svc\tshop-1\n",
        )
        .unwrap();
        let found = look(folder.path(), &wanted("ab", Some(UID))).unwrap();
        let told = found.pod().unwrap();
        assert_eq!(
            (told.namespace.as_deref(), told.name.as_deref()),
            (Some("prod"), Some("shop-1"))
        );
        // The hosts of a pod on the host's network say nothing of it.
        fs::write(
            pod.join("etc-hosts"),
            "# Kubernetes-managed hosts file (host network).\n10.0.0.9\tnode\n",
        )
        .unwrap();
        let found = look(folder.path(), &wanted("ab", Some(UID))).unwrap();
        assert_eq!(found.pod().unwrap().name, None);
        for hostile in ["../../etc", "", "..", "a/b"] {
            assert!(
                look(folder.path(), &wanted("ab", Some(hostile))).is_none(),
                "{hostile}"
            );
        }
    }
}
