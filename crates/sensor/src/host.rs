//! What documents say of the host.

use std::fs;
use std::net::{IpAddr, Ipv6Addr};

use serde::Serialize;

use crate::options::HostOptions;

/// `host.*` of ECS, and what entity ids are made of.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Host {
    pub(crate) id: String,
    pub(crate) name: String,
    hostname: String,
    architecture: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ip: Vec<IpAddr>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mac: Vec<String>,
    os: System,
    #[serde(skip)]
    pub(crate) boot: String,
}

#[derive(Clone, Debug, Default, Serialize)]
struct System {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    family: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    full: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
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
            ip: addresses(),
            mac: hardware_addresses(),
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

/// Addresses of the host's interfaces, those of the host alone left out.
fn addresses() -> Vec<IpAddr> {
    let mut found = Vec::new();
    let mut last = "";
    let trie = fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    for line in trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address;
        } else if line == "/32 host LOCAL"
            && let Ok(address) = last.parse()
        {
            found.push(IpAddr::V4(address));
        }
    }
    let six = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let six = six.lines().filter_map(|line| line.split(' ').next());
    let six = six.filter_map(|digits| u128::from_str_radix(digits, 16).ok());
    found.extend(six.map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))));
    found.retain(|address| !address.is_loopback());
    found.sort_unstable();
    found.dedup();
    found
}

fn hardware_addresses() -> Vec<String> {
    let interfaces = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let addresses =
        interfaces.filter_map(|interface| fs::read_to_string(interface.path().join("address")).ok());
    let mut found: Vec<String> = addresses
        .map(|address| address.trim().to_ascii_uppercase().replace(':', "-"))
        .filter(|address| address.len() == 17 && address != "00-00-00-00-00-00")
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}
