//! The API of Docker daemons: who reaches it, and what containers get of it.
//!
//! <https://docs.docker.com/engine/daemon/remote-access/>, <https://docs.docker.com/engine/security/protect-access/>

use serde_json::Value;

use super::kubernetes_network::all_workloads;
use crate::audit::at::{is_true, list, text, texts};
use crate::audit::check::{Check, Platform, Severity};
use crate::audit::collected::{Collected, Item};
use crate::audit::finding::{Found, Outcome};

pub(crate) static TCP: Check = Check {
    id: "docker-api-open",
    title: "the Docker API asks for a certificate, or is not on the network",
    row: "E4",
    techniques: &["T1613", "T1609", "T1610"],
    mitigations: &["M1030", "M1035", "M1018"],
    severity: Severity::Critical,
    platform: Platform::Docker,
    needs: &[],
    reads: &["docker:daemon", "docker:unit", "docker:info"],
    why: "Whoever reaches the API is root on the machine; open ones are found and used within hours.",
    ask: tcp,
};

pub(crate) static SOCKET: Check = Check {
    id: "docker-socket-mounted",
    title: "no container has the socket of the container engine",
    row: "E4",
    techniques: &["T1613", "T1609", "T1610"],
    mitigations: &["M1018", "M1035"],
    severity: Severity::High,
    platform: Platform::Docker,
    needs: &[],
    reads: &["docker:container", "code:compose", "k8s:Pod", "k8s:workload"],
    why: "Through the socket a container lists, enters and starts containers, which is root on the machine.",
    ask: socket,
};

pub(crate) static INSECURE_REGISTRY: Check = Check {
    id: "docker-insecure-registry",
    title: "images are taken from registries with TLS only",
    row: "D4",
    techniques: &["T1525"],
    mitigations: &["M1045"],
    severity: Severity::Medium,
    platform: Platform::Docker,
    needs: &[],
    reads: &["docker:daemon", "docker:info"],
    why: "From an insecure registry, whoever is on the way decides which image it is.",
    ask: registries,
};

/// An address that the daemon listens on.
struct Listening<'a> {
    item: &'a Item,
    field: String,
    address: String,
    line: u32,
}

/// The arguments of the daemon's last `ExecStart=`; one without a value takes those before it back.
/// <https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html#ExecStart=>
fn of_unit(item: &Item) -> (Vec<String>, u32) {
    let (mut words, mut at) = (Vec::new(), 0);
    let mut joined = String::new();
    let mut first = 0;
    for (index, line) in item.text.lines().enumerate() {
        if joined.is_empty() {
            first = u32::try_from(index + 1).unwrap_or(u32::MAX);
        }
        let line = line.trim();
        if let Some(part) = line.strip_suffix('\\') {
            joined.push_str(part);
            joined.push(' ');
            continue;
        }
        joined.push_str(line);
        let whole = std::mem::take(&mut joined);
        if let Some(command) = whole.strip_prefix("ExecStart=") {
            words = command
                .split_whitespace()
                .map(|word| word.trim_matches(['"', '\'']).to_owned())
                .collect();
            at = first;
        }
    }
    (words, at)
}

fn tcp(all: &Collected, found: &mut Found) {
    for scope in all.scopes(Platform::Docker) {
        let mut addresses: Vec<Listening<'_>> = Vec::new();
        let (mut verifies, mut encrypts) = (false, false);
        let mut read = false;
        for item in all.of_scope("docker:daemon", scope) {
            read = true;
            verifies |= is_true(&item.value, "/tlsverify");
            encrypts |= is_true(&item.value, "/tls");
            addresses.extend(texts(&item.value, "/hosts").into_iter().map(|address| Listening {
                item,
                field: "hosts".to_owned(),
                address: address.to_owned(),
                line: 0,
            }));
        }
        for item in all.of_scope("docker:unit", scope) {
            read = true;
            let (words, line) = of_unit(item);
            let flag = |name: &str| {
                words
                    .iter()
                    .any(|word| word == name || word.strip_prefix(name).is_some_and(|rest| rest == "=true"))
            };
            verifies |= flag("--tlsverify");
            encrypts |= flag("--tls");
            let mut rest = words.iter();
            while let Some(word) = rest.next() {
                let address = match word.as_str() {
                    "-H" | "--host" => rest.next().cloned(),
                    other => other
                        .strip_prefix("--host=")
                        .or_else(|| other.strip_prefix("-H"))
                        .map(|address| address.trim_start_matches('=').to_owned()),
                };
                if let Some(address) = address {
                    addresses.push(Listening {
                        item,
                        field: "ExecStart".to_owned(),
                        address,
                        line,
                    });
                }
            }
            // The socket may be opened for the daemon.
            for (index, line) in item.text.lines().enumerate() {
                let Some(value) = line.trim().strip_prefix("ListenStream=") else {
                    continue;
                };
                let value = value.trim();
                if !value.is_empty() && !value.starts_with(['/', '@', '%']) {
                    let address = match value.bytes().all(|byte| byte.is_ascii_digit()) {
                        true => format!("tcp://0.0.0.0:{value}"),
                        false => format!("tcp://{value}"),
                    };
                    addresses.push(Listening {
                        item,
                        field: "ListenStream".to_owned(),
                        address,
                        line: u32::try_from(index + 1).unwrap_or(u32::MAX),
                    });
                }
            }
        }
        let mut warned = false;
        for item in all.of_scope("docker:info", scope) {
            read = true;
            for warning in texts(&item.value, "/Warnings") {
                let Some((_, rest)) = warning.split_once("API is accessible on ") else {
                    continue;
                };
                warned = true;
                let address = rest.split_whitespace().next().unwrap_or("").trim_end_matches('.');
                let is_plain = rest.contains("without encryption") || address.starts_with("http://");
                let place = address.split("://").nth(1).unwrap_or(address);
                judge(
                    found, scope, item, "Warnings", warning, 0, place, !is_plain, false,
                );
            }
        }
        let mut is_remote = false;
        for one in &addresses {
            let Some(place) = one.address.strip_prefix("tcp://") else {
                continue;
            };
            is_remote = true;
            // The daemon's own warning says the same.
            if !warned {
                judge(
                    found,
                    scope,
                    one.item,
                    &one.field,
                    &one.address,
                    one.line,
                    place,
                    encrypts,
                    verifies,
                );
            }
        }
        if read && !is_remote && !warned {
            found.add(Outcome::Pass, scope, "API", "the API is not on the network");
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "one place for what two sources tell")]
fn judge(
    found: &mut Found,
    scope: &crate::audit::collected::Scope,
    item: &Item,
    field: &str,
    value: &str,
    line: u32,
    place: &str,
    encrypts: bool,
    verifies: bool,
) {
    let resource = format!("API at {place}");
    if verifies {
        found
            .add(
                Outcome::Pass,
                scope,
                resource,
                "it asks for a certificate that the daemon's authority signed",
            )
            .seen_at(item, line, field, value);
        return;
    }
    let host = place.rsplit_once(':').map_or(place, |(host, _)| host);
    let is_local = host == "localhost" || host.starts_with("127.") || host == "[::1]";
    let what = match (encrypts, is_local) {
        (true, _) => "the API is encrypted, but takes whoever comes: no certificate is asked for",
        (false, true) => {
            "every program of the machine reaches the API, and so does a forged request of one of them"
        }
        (false, false) => "the API answers everybody without TLS",
    };
    let finding = found.add(Outcome::Fail, scope, resource, what);
    finding
        .seen_at(item, line, field, value)
        .mend("# take the tcp:// address out of /etc/docker/daemon.json and of ExecStart= (systemctl edit docker), and reach the daemon by ssh:")
        .mend("docker context create REMOTE --docker host=ssh://USER@HOST")
        .mend("# or ask for certificates, in /etc/docker/daemon.json:")
        .mend("{\"hosts\":[\"fd://\",\"tcp://ADDRESS:2376\"],\"tlsverify\":true,\"tlscacert\":\"/etc/docker/ca.pem\",\"tlscert\":\"/etc/docker/cert.pem\",\"tlskey\":\"/etc/docker/key.pem\"}");
    if is_local {
        finding.at(Severity::Medium);
    }
}

/// Sockets through which a container engine is asked.
const SOCKETS: [&str; 6] = [
    "docker.sock",
    "containerd.sock",
    "crio.sock",
    "podman.sock",
    "cri-dockerd.sock",
    "dockershim.sock",
];

fn is_socket(path: &str) -> bool {
    SOCKETS.contains(&crate::audit::at::last(path.trim_end_matches('/')))
        // The folders that they are in give them as well.
        || matches!(path.trim_end_matches('/'), "/var/run" | "/run" | "/run/containerd" | "")
            && path.starts_with('/')
}

fn socket(all: &Collected, found: &mut Found) {
    let fix = "# give it what it needs without the socket; where it only watches, put a proxy between that lets through reading requests alone";
    for item in all.items("docker:container") {
        let name = text(&item.value, "/Name").trim_start_matches('/');
        let mounted: Vec<&str> = list(&item.value, "/Mounts")
            .iter()
            .map(|mount| text(mount, "/Source"))
            .filter(|source| is_socket(source))
            .collect();
        let what = match mounted.first() {
            Some(path) => format!("it has `{path}`"),
            None => "it has no socket of the engine".to_owned(),
        };
        let finding = found
            .judge(mounted.is_empty(), item, format!("container {name}"), what)
            .seen(item, "Mounts.Source", mounted.join(", "));
        if !mounted.is_empty() {
            finding.mend(fix);
        }
    }
    for item in all.items("code:compose") {
        for (name, service) in item
            .value
            .get("services")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let mounted = list(service, "/volumes").iter().find_map(|volume| {
                let source = match volume {
                    Value::String(short) => short.split(':').next().unwrap_or(""),
                    long => text(long, "/source"),
                };
                is_socket(source).then(|| source.to_owned())
            });
            if let Some(path) = mounted {
                found
                    .fail(
                        item,
                        format!("{} service {name}", item.file),
                        format!("it has `{path}`"),
                    )
                    .seen(item, &format!("services.{name}.volumes"), path)
                    .mend(fix);
            }
        }
    }
    for workload in all_workloads(all) {
        let mounted = list(workload.specification, "/volumes")
            .iter()
            .map(|volume| text(volume, "/hostPath/path"))
            .find(|path| is_socket(path));
        if let Some(path) = mounted {
            let resource = match workload.item.line {
                0 => workload.name.clone(),
                _ => format!("{} {}", workload.item.file, workload.name),
            };
            found
                .fail(
                    workload.item,
                    resource,
                    format!("its pods get `{path}` of the node"),
                )
                .seen(workload.item, "volumes.hostPath.path", path)
                .mend(fix);
        }
    }
}

fn registries(all: &Collected, found: &mut Found) {
    let is_local = |address: &str| {
        address.starts_with("127.") || address.starts_with("::1") || address.starts_with("localhost")
    };
    for scope in all.scopes(Platform::Docker) {
        let mut insecure: Vec<(&Item, String)> = Vec::new();
        let mut read = false;
        for item in all.of_scope("docker:daemon", scope) {
            read = true;
            insecure.extend(
                texts(&item.value, "/insecure-registries")
                    .into_iter()
                    .map(|name| (item, name.to_owned())),
            );
        }
        for item in all.of_scope("docker:info", scope) {
            read = true;
            insecure.extend(
                texts(&item.value, "/RegistryConfig/InsecureRegistryCIDRs")
                    .into_iter()
                    .map(|name| (item, name.to_owned())),
            );
            let indexes = item
                .value
                .pointer("/RegistryConfig/IndexConfigs")
                .and_then(Value::as_object);
            for (name, index) in indexes.into_iter().flatten() {
                if index.get("Secure") == Some(&Value::Bool(false)) {
                    insecure.push((item, name.clone()));
                }
            }
        }
        insecure.retain(|(_, name)| !is_local(name));
        insecure.sort_by(|one, other| one.1.cmp(&other.1));
        insecure.dedup_by(|one, other| one.1 == other.1);
        for (item, name) in &insecure {
            found
                .add(Outcome::Fail, scope, format!("registry {name}"), "images are taken from it without TLS, or with any certificate")
                .seen(item, "insecure-registries", name)
                .mend("# take it out of insecure-registries in /etc/docker/daemon.json; put its authority's certificate here instead:")
                .mend(format!("/etc/docker/certs.d/{name}/ca.crt"));
        }
        if read && insecure.is_empty() {
            found.add(Outcome::Pass, scope, "registries", "no registry is insecure");
        }
    }
}
