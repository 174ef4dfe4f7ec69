//! The files and Unix sockets whose opening is told: credentials of clouds and clusters, keys, and the sockets of container
//! runtimes, as rules name them.
//!
//! The kernel compares digests of the last part of a path, and of the last two where the folder is told; what fits is compared with
//! the whole pattern here. So what a pattern ends with must be spelled out.

use std::collections::BTreeMap;

/// What is looked for. A `*` stands for anything, slashes too.
pub(crate) const PATTERNS: &[&str] = &[
    // Tokens of service accounts: as the pod names them, where the link before them leads, and on the node.
    "*/secrets/kubernetes.io/serviceaccount/token",
    "*/secrets/kubernetes.io/serviceaccount/ca.crt",
    "*/secrets/kubernetes.io/serviceaccount/namespace",
    "*/secrets/kubernetes.io/serviceaccount/*/token",
    "*/secrets/kubernetes.io/serviceaccount/*/ca.crt",
    "*/secrets/kubernetes.io/serviceaccount/*/namespace",
    "*/secrets/eks.amazonaws.com/serviceaccount/token",
    "*/secrets/eks.amazonaws.com/serviceaccount/*/token",
    "*/volumes/kubernetes.io~projected/*/token",
    "*/volumes/kubernetes.io~secret/*/token",
    "*/azure-identity-token",
    // What opens a cluster.
    "/etc/kubernetes/admin.conf",
    "/etc/kubernetes/super-admin.conf",
    "/etc/kubernetes/kubelet.conf",
    "/etc/kubernetes/controller-manager.conf",
    "/etc/kubernetes/scheduler.conf",
    "/etc/kubernetes/pki/ca.key",
    "/etc/kubernetes/pki/apiserver-kubelet-client.key",
    "/var/lib/kubelet/kubeconfig",
    "/var/lib/kubelet/pki/kubelet-client-current.pem",
    "/etc/rancher/k3s/k3s.yaml",
    "/etc/rancher/rke2/rke2.yaml",
    "*/.kube/config",
    // What opens a cloud.
    "*/.aws/credentials",
    "*/.aws/config",
    "*/.aws/cli/cache",
    "*/.aws/sso/cache",
    "*/.azure/accessTokens.json",
    "*/.azure/azureProfile.json",
    "*/.azure/msal_token_cache.json",
    "*/.azure/msal_token_cache.bin",
    "*/.azure/msal_http_cache.bin",
    "*/.azure/service_principal_entries.json",
    "*/.azure/service_principal_entries.bin",
    "*/gcloud/application_default_credentials.json",
    "*/gcloud/credentials.db",
    "*/gcloud/access_tokens.db",
    "*/gcloud/legacy_credentials",
    "*/gcloud/legacy_credentials/*/adc.json",
    "*/.aliyun/config.json",
    "*/.config/yandex-cloud/config.yaml",
    "*/openstack/clouds.yaml",
    "*/openstack/secure.yaml",
    "/run/cloud-init/instance-data-sensitive.json",
    "/var/lib/cloud/instances/*/user-data.txt",
    "*/.docker/config.json",
    // What opens the host.
    "/etc/shadow",
    "/etc/gshadow",
    "*/.ssh/id_rsa",
    "*/.ssh/id_dsa",
    "*/.ssh/id_ecdsa",
    "*/.ssh/id_ed25519",
    // Who holds these, holds the host.
    "*/docker.sock",
    "*/containerd.sock",
    "*/containerd.sock.ttrpc",
    "*/crio.sock",
    "*/podman.sock",
    "*/cri-dockerd.sock",
    "*/dockershim.sock",
    "*/buildkitd.sock",
    "*/lxd/unix.socket",
    "*/incus/unix.socket",
];

/// Names in the kernel's table are shorter than this.
const LONGEST: usize = 64;

/// What the kernel's table says of a digest: the name alone fits, its folder must fit too, both fit.
const FITS: u8 = 1;
const NEEDS_FOLDER: u8 = 2;
const FITS_WITH_FOLDER: u8 = 3;

/// The table for the kernel: digests, and what they say.
pub(crate) fn table() -> BTreeMap<u64, u8> {
    let mut table = BTreeMap::new();
    for pattern in PATTERNS {
        let mut parts = pattern.rsplit('/');
        let Some(name) = parts.next().filter(|name| spelled_out(name)) else {
            continue;
        };
        let alone = digest(EMPTY, name);
        match parts.next().filter(|folder| spelled_out(folder)) {
            Some(folder) => {
                table.entry(alone).or_insert(NEEDS_FOLDER);
                table.insert(digest(digest(alone, "/"), folder), FITS_WITH_FOLDER);
            }
            None => {
                table.insert(alone, FITS);
            }
        }
    }
    table
}

fn spelled_out(part: &str) -> bool {
    !part.is_empty() && part.len() < LONGEST && !part.contains('*')
}

/// FNV-1a (RFC 9923) of nothing.
const EMPTY: u64 = 0xcbf2_9ce4_8422_2325;

/// Goes on with a text from its end to its beginning, as the kernel walks paths.
fn digest(from: u64, text: &str) -> u64 {
    text.bytes().rev().fold(from, |digest, byte| {
        (digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Whether a path is one of those that are looked for.
pub(crate) fn is_watched(path: &[u8]) -> bool {
    PATTERNS.iter().any(|pattern| fits(pattern.as_bytes(), path))
}

/// Whether a pattern fits the whole of a text. Behind a `*` the first place that fits is as good as any other, but for the last part.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let mut parts = pattern.split(|byte| *byte == b'*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = memchr::memmem::find(rest, part) else {
            return false;
        };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_whole_paths() {
        for (path, watched) in [
            ("/root/.aws/credentials", true),
            ("/home/a/b/.aws/credentials", true),
            ("/root/.aws/credentials.bak", false),
            ("/root/aws/credentials", false),
            (
                "/run/secrets/kubernetes.io/serviceaccount/..2026_11_22/token",
                true,
            ),
            ("/var/run/secrets/kubernetes.io/serviceaccount/token", true),
            ("/secrets/kubernetes.io/token", false),
            ("/etc/shadow", true),
            ("/srv/root/etc/shadow", false),
            ("/var/run/docker.sock", true),
            ("/docker.sock", true),
            ("docker.sock", false),
            ("", false),
        ] {
            assert_eq!(is_watched(path.as_bytes()), watched, "{path}");
        }
    }

    #[test]
    fn every_pattern_reaches_the_table_of_the_kernel() {
        let table = table();
        for pattern in PATTERNS {
            let (folder, name) = pattern.rsplit_once('/').unwrap();
            let alone = digest(EMPTY, name);
            let folder = folder.rsplit('/').next().unwrap();
            match table.get(&alone) {
                Some(&FITS) => {}
                Some(&NEEDS_FOLDER) => {
                    let both = digest(digest(alone, "/"), folder);
                    assert_eq!(table.get(&both), Some(&FITS_WITH_FOLDER), "{pattern}");
                }
                other => panic!("{pattern}: {other:?}"),
            }
        }
        assert!(table.len() < 1024);
    }
}
