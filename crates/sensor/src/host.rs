//! What documents say of the host.

use std::fs;

use serde::Serialize;

use crate::options::HostOptions;

/// `host.*` of ECS, and what entity ids are made of.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Host {
    pub(crate) id: String,
    pub(crate) name: String,
    hostname: String,
    architecture: String,
    os: System,
    #[serde(skip)]
    pub(crate) boot: String,
}

#[derive(Clone, Debug, Default, Serialize)]
struct System {
    #[serde(rename = "type")]
    kind: &'static str,
    family: Option<String>,
    name: Option<String>,
    full: Option<String>,
    platform: Option<String>,
    version: Option<String>,
    kernel: String,
}

impl Host {
    /// The host on which this runs.
    pub(crate) fn read(options: &HostOptions) -> Self {
        let uname = rustix::system::uname();
        let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
        let hostname = text(uname.nodename());
        let line = |path: &str| {
            let text = fs::read_to_string(path).ok()?;
            let line = text.trim();
            (!line.is_empty()).then(|| line.to_owned())
        };
        let id = options
            .id
            .clone()
            .or_else(|| line("/etc/machine-id"))
            .or_else(|| line("/var/lib/dbus/machine-id"))
            .unwrap_or_else(|| hostname.clone());
        let release = fs::read_to_string("/etc/os-release")
            .or_else(|_| fs::read_to_string("/usr/lib/os-release"))
            .unwrap_or_default();
        let of = |key: &str| {
            let value = release
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
            Some(value.trim_matches(['"', '\'']).to_owned())
        };
        Self {
            id,
            name: options.name.clone().unwrap_or_else(|| hostname.clone()),
            hostname,
            architecture: text(uname.machine()),
            os: System {
                kind: "linux",
                family: of("ID_LIKE").or_else(|| of("ID")),
                name: of("NAME"),
                full: of("PRETTY_NAME"),
                platform: of("ID"),
                version: of("VERSION_ID"),
                kernel: text(uname.release()),
            },
            boot: line("/proc/sys/kernel/random/boot_id").unwrap_or_default(),
        }
    }
}
