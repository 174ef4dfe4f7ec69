//! The files and Unix sockets whose opening is told: credentials of clouds and clusters, keys, and the sockets of container
//! runtimes, and what rules name beside these.
//!
//! The kernel compares digests of the last part of a path, and of the last two where the folder is told; what fits is compared with
//! the whole pattern here. So what a pattern ends with must be spelled out, or at least the folder: then files that are made in it are told.

use std::collections::BTreeMap;
use std::fmt;

/// What is looked for unless somebody says otherwise.
const USUAL: &[&str] = &[
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

/// Patterns at most, of all kinds together: the table in the kernel holds two digests of each.
const MOST: usize = 2_000;

/// Names in the kernel's table are shorter than this.
const LONGEST: usize = 64;

/// Files that nearly every program opens: to tell each time would cost more than looking at everything else.
const EVERYWHERE: &[&str] = &[
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/etc/localtime",
    "/etc/locale.alias",
    "/etc/nsswitch.conf",
    "/usr/lib/locale/locale-archive",
    "*/libc.so.6",
    "/dev/null",
    "/dev/tty",
];

/// What the kernel's table says of a digest: the name alone fits, its folder must fit too, both fit, what is made in this folder fits.
const FITS: u8 = 1;
const NEEDS_FOLDER: u8 = 2;
const FITS_WITH_FOLDER: u8 = 3;
const FITS_MADE_IN_FOLDER: u8 = 4;

/// Which files and Unix sockets are looked at. In a pattern `*` stands for anything, slashes too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// What is told whenever it is opened.
    opened: Vec<String>,
    /// What is told when it is made.
    made: Vec<String>,
    /// What is not told all the same.
    without: Vec<String>,
}

/// How far a pattern can be looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// Each time such a file is opened.
    Opened,
    /// When such a file is made: the pattern spells out the folder, and not the name.
    Made,
}

/// Why a pattern cannot be looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwatchable {
    /// Neither its last part nor its folder is spelled out.
    NoAnchor,
    /// It is no path.
    NoPath,
    /// Nearly every program opens it.
    Everywhere,
    /// There are too many.
    TooMany,
}

impl fmt::Display for Unwatchable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoAnchor => "it spells out neither a file's name nor its folder, of less than 64 bytes",
            Self::NoPath => "it is no path: it begins with neither `/` nor `*`",
            Self::Everywhere => "nearly every program opens it",
            Self::TooMany => "2,000 others are looked for",
        })
    }
}

impl Default for Files {
    fn default() -> Self {
        Self {
            opened: USUAL.iter().map(|pattern| (*pattern).to_owned()).collect(),
            made: Vec::new(),
            without: Vec::new(),
        }
    }
}

impl Files {
    /// How far a pattern can be looked for.
    ///
    /// # Errors
    ///
    /// If it cannot.
    pub fn looked(pattern: &str) -> Result<Looked, Unwatchable> {
        looked(pattern)
    }

    /// Looks for one more, as far as that can be.
    ///
    /// # Errors
    ///
    /// If it cannot.
    pub fn add(&mut self, pattern: &str) -> Result<Looked, Unwatchable> {
        let looked = looked(pattern)?;
        let patterns = match looked {
            Looked::Opened => &mut self.opened,
            Looked::Made => &mut self.made,
        };
        if patterns.iter().any(|known| known == pattern) {
            return Ok(looked);
        }
        if self.opened.len() + self.made.len() >= MOST {
            return Err(Unwatchable::TooMany);
        }
        match looked {
            Looked::Opened => self.opened.push(pattern.to_owned()),
            Looked::Made => self.made.push(pattern.to_owned()),
        }
        Ok(looked)
    }

    /// Tells nothing of files that fit a pattern, whatever else fits them.
    pub fn leave_out(&mut self, pattern: &str) {
        let beyond = |known: &String| !fits(pattern.as_bytes(), known.as_bytes());
        self.opened.retain(beyond);
        self.made.retain(beyond);
        self.without.push(pattern.to_owned());
    }

    /// How many patterns there are.
    pub fn len(&self) -> usize {
        self.opened.len() + self.made.len()
    }

    /// Whether nothing is looked for.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The table for the kernel: digests, and what they say.
    pub(crate) fn table(&self) -> BTreeMap<u64, u8> {
        let mut table = BTreeMap::new();
        for pattern in &self.made {
            if let Some(folder) = pattern.rsplit('/').nth(1) {
                table.insert(digest(digest(EMPTY, "/"), folder), FITS_MADE_IN_FOLDER);
            }
        }
        for pattern in &self.opened {
            let mut parts = pattern.rsplit('/');
            let Some(name) = parts.next() else { continue };
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

    /// Whether a path that was opened, or made, is one of those that are looked for.
    pub(crate) fn has(&self, path: &[u8], made: bool) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|pattern| fits(pattern.as_bytes(), path));
        (any(&self.opened) || (made && any(&self.made))) && !any(&self.without)
    }
}

fn looked(pattern: &str) -> Result<Looked, Unwatchable> {
    if !pattern.starts_with(['/', '*']) {
        return Err(Unwatchable::NoPath);
    }
    if EVERYWHERE
        .iter()
        .any(|file| fits(file.as_bytes(), pattern.as_bytes()))
    {
        return Err(Unwatchable::Everywhere);
    }
    let mut parts = pattern.rsplit('/');
    let (name, folder) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if spelled_out(name) {
        Ok(Looked::Opened)
    } else if name.len() < LONGEST && spelled_out(folder) {
        Ok(Looked::Made)
    } else {
        Err(Unwatchable::NoAnchor)
    }
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
        let mut files = Files::default();
        assert_eq!(files.add("/etc/cron.d/*"), Ok(Looked::Made));
        assert_eq!(files.add("/srv/*/secret.key"), Ok(Looked::Opened));
        files.leave_out("/home/ci/*");
        for (path, made, watched) in [
            ("/root/.aws/credentials", false, true),
            ("/home/a/b/.aws/credentials", false, true),
            ("/home/ci/.aws/credentials", false, false),
            ("/root/.aws/credentials.bak", false, false),
            ("/root/aws/credentials", false, false),
            (
                "/run/secrets/kubernetes.io/serviceaccount/..2026_11_22/token",
                false,
                true,
            ),
            ("/var/run/secrets/kubernetes.io/serviceaccount/token", false, true),
            ("/secrets/kubernetes.io/token", false, false),
            ("/etc/shadow", false, true),
            ("/srv/root/etc/shadow", false, false),
            ("/var/run/docker.sock", false, true),
            ("/docker.sock", false, true),
            ("docker.sock", false, false),
            ("/etc/cron.d/x", true, true),
            ("/etc/cron.d/x", false, false),
            ("/srv/a/b/secret.key", false, true),
            ("", false, false),
        ] {
            assert_eq!(files.has(path.as_bytes(), made), watched, "{path}");
        }
    }

    #[test]
    fn every_pattern_reaches_the_table_of_the_kernel() {
        let mut files = Files::default();
        files.add("/etc/cron.d/*").unwrap();
        let table = files.table();
        for pattern in &files.opened {
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
        let folder = digest(digest(EMPTY, "/"), "cron.d");
        assert_eq!(table.get(&folder), Some(&FITS_MADE_IN_FOLDER));
    }

    #[test]
    fn what_has_no_anchor_or_is_too_much_is_refused() {
        let mut files = Files::default();
        for (pattern, why) in [
            ("*", Unwatchable::NoAnchor),
            ("/home/*/*", Unwatchable::NoAnchor),
            ("/etc/*.d/x*", Unwatchable::NoAnchor),
            ("relative/name", Unwatchable::NoPath),
            ("", Unwatchable::NoPath),
            ("/etc/ld.so.cache", Unwatchable::Everywhere),
            ("/lib/x86_64-linux-gnu/libc.so.6", Unwatchable::Everywhere),
        ] {
            assert_eq!(files.add(pattern), Err(why), "{pattern}");
        }
        let long = format!("/{}", "x".repeat(LONGEST));
        assert_eq!(files.add(&long), Err(Unwatchable::NoAnchor));
        for number in files.len()..MOST {
            assert_eq!(files.add(&format!("/a/{number}")), Ok(Looked::Opened));
        }
        assert_eq!(files.add("/a/more"), Err(Unwatchable::TooMany));
        assert_eq!(files.add("/a/1000"), Ok(Looked::Opened), "it is there");
        assert!(files.table().len() <= 4_096);
        files.leave_out("*");
        assert!(files.is_empty() && !files.has(b"/a/1000", true));
    }
}
