//! Does the machine's packet filter keep its metadata address from those who do not need it?

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::audit::at::text;
use crate::audit::check::{Check, Platform, Severity};
use crate::audit::collected::{Collected, Item, Scope};
use crate::audit::finding::{Found, Outcome};
use crate::audit::firewall::{Fate, Firewall, Id, Origin, Question, Reason, iptables, nft};

/// The address of AWS, Azure, Google Cloud, OpenStack and most others.
const USUAL: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));
/// AWS by IPv6. <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html>
const IPV6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254));
/// Alibaba Cloud. <https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata>
const ALIBABA: IpAddr = IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200));

pub(crate) static METADATA_FIREWALL: Check = Check {
    id: "host-metadata-firewall",
    title: "only root reaches the metadata address from the host",
    row: "A5",
    techniques: &["T1552.005"],
    mitigations: &["M1035"],
    severity: Severity::Medium,
    platform: Platform::Host,
    needs: &["host:iptables"],
    reads: &["host:nft", "host:vendor"],
    why: "Every program that reaches the metadata address can take the credentials of the machine's role. A rule on the owner of the packet \
          leaves it to root, who starts the agents that need it.",
    ask: |all, found| ask(all, found, USUAL, Who::Programs),
};

pub(crate) static METADATA_FIREWALL_CONTAINERS: Check = Check {
    id: "host-metadata-firewall-containers",
    title: "containers and virtual machines of the host do not reach the metadata address",
    row: "A5",
    techniques: &["T1552.005"],
    mitigations: &["M1035"],
    severity: Severity::High,
    platform: Platform::Host,
    needs: &[],
    reads: &["host:iptables", "host:nft", "host:vendor", "docker:info"],
    why: "Whoever takes over a container gets the credentials of the whole machine, which are seldom meant for it. Rules on owners do not see \
          packets of containers; they are forwarded.",
    ask: |all, found| ask(all, found, USUAL, Who::Containers),
};

pub(crate) static METADATA_FIREWALL_IPV6: Check = Check {
    id: "host-metadata-firewall-ipv6",
    title: "only root reaches the metadata address of AWS by IPv6",
    row: "A5",
    techniques: &["T1552.005"],
    mitigations: &["M1035"],
    severity: Severity::Low,
    platform: Platform::Host,
    needs: &[],
    reads: &["host:ip6tables", "host:nft", "host:vendor"],
    why: "On AWS the same service can answer at fd00:ec2::254 as well, where rules for IPv4 do not hold.",
    ask: |all, found| ask(all, found, IPV6, Who::Programs),
};

pub(crate) static METADATA_FIREWALL_ALIBABA: Check = Check {
    id: "host-metadata-firewall-alibaba",
    title: "only root reaches the metadata address of Alibaba Cloud",
    row: "A5",
    techniques: &["T1552.005"],
    mitigations: &["M1035"],
    severity: Severity::Medium,
    platform: Platform::Host,
    needs: &[],
    reads: &["host:iptables", "host:nft", "host:vendor"],
    why: "Alibaba Cloud answers at 100.100.100.200, which rules for the usual address leave open.",
    ask: |all, found| ask(all, found, ALIBABA, Who::Programs),
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Programs,
    Containers,
}

/// All that is known of one machine.
struct Machine<'a> {
    firewall: Firewall,
    /// What the rules were read of.
    sources: Vec<&'a Item>,
    vendor: &'a str,
    uplink: Option<String>,
    containers: BTreeSet<String>,
    has_docker_user: bool,
    by_nft: bool,
}

fn machine<'a>(all: &'a Collected, scope: &'a Scope, to: IpAddr) -> Option<Machine<'a>> {
    let mut firewall = Firewall::default();
    let mut sources = Vec::new();
    let kind = if to.is_ipv6() {
        "host:ip6tables"
    } else {
        "host:iptables"
    };
    let tables: Vec<&Item> = all.of_scope(kind, scope).collect();
    for item in &tables {
        firewall.join(iptables::read(&item.text, to.is_ipv6()));
        sources.push(*item);
    }
    let has_tables = !tables.is_empty();
    let mut by_nft = false;
    for item in all.of_scope("host:nft", scope) {
        let without = match has_tables {
            true => nft::tables_of_iptables(&item.value),
            false => BTreeSet::new(),
        };
        firewall.join(nft::read(&item.value, &without));
        sources.push(item);
        by_nft = true;
    }
    // The text is only asked where there is no JSON of the same.
    if !by_nft {
        for item in all.of_scope("host:nft-text", scope) {
            let mut without = BTreeSet::new();
            if has_tables {
                for name in ["filter", "nat", "mangle", "raw", "security"] {
                    without.extend([format!("ip {name}"), format!("ip6 {name}")]);
                }
            }
            firewall.join(nft::read_text(&item.text, &without));
            sources.push(item);
            by_nft = true;
        }
    }
    if sources.is_empty() {
        return None;
    }
    let vendor = all
        .of_scope("host:vendor", scope)
        .next()
        .map_or("", |item| item.text.trim());
    let mut containers = firewall.bridges();
    let docker = Scope {
        platform: Some(Platform::Docker),
        ..scope.clone()
    };
    if !scope.account.is_empty()
        && (all.was_asked("docker:info", &docker) || all.was_asked("docker:container", &docker))
    {
        containers.insert("docker0".to_owned());
    }
    let routes = all.of_scope("host:route", scope);
    let uplink = routes
        .filter_map(|item| {
            let target = text(&item.value, "/dst");
            let length = match target {
                "default" => 0,
                other => {
                    let net: IpNet = other
                        .parse()
                        .ok()
                        .or_else(|| other.parse().ok().map(IpAddr::into))?;
                    if !net.contains(&to) {
                        return None;
                    }
                    net.prefix_len()
                }
            };
            Some((length, text(&item.value, "/dev").to_owned()))
        })
        .max_by_key(|(length, _)| *length)
        .map(|(_, device)| device);
    let has_docker_user = firewall.chains.keys().any(|name| name.ends_with("/DOCKER-USER"));
    Some(Machine {
        firewall,
        sources,
        vendor,
        uplink,
        containers,
        has_docker_user,
        by_nft: by_nft && !has_tables,
    })
}

fn ask(all: &Collected, found: &mut Found, to: IpAddr, who: Who) {
    for scope in all.scopes(Platform::Host) {
        let Some(machine) = machine(all, scope, to) else {
            continue;
        };
        if !is_meant(&machine, to) {
            continue;
        }
        match who {
            Who::Programs => programs(found, scope, &machine, to),
            Who::Containers => containers(found, scope, &machine, to),
        }
    }
}

/// Whether there can be a service at the address.
fn is_meant(machine: &Machine<'_>, to: IpAddr) -> bool {
    let vendor = machine.vendor.to_lowercase();
    if to == IPV6 {
        return vendor.is_empty() || vendor.contains("amazon");
    }
    if to == ALIBABA {
        let is_named = machine.sources.iter().any(|item| {
            item.text.contains("100.100.100.200") || item.value.to_string().contains("100.100.100.200")
        });
        return vendor.contains("alibaba") || vendor.is_empty() && is_named;
    }
    true
}

fn fate(machine: &Machine<'_>, to: IpAddr, from: &Origin) -> Fate {
    machine.firewall.fate(&Question {
        to,
        port: 80,
        from,
        uplink: machine.uplink.as_deref(),
    })
}

fn name(scope: &Scope) -> String {
    match scope.account.as_str() {
        "" => "host".to_owned(),
        name => format!("host {name}"),
    }
}

fn programs(found: &mut Found, scope: &Scope, machine: &Machine<'_>, to: IpAddr) {
    let other = fate(machine, to, &Origin::Program(Id::Other, Id::Other));
    let resource = format!("{} → {to}", name(scope));
    match other {
        Fate::Blocked(by) => {
            // Those whom rules name may be let through on purpose.
            let (users, groups) = machine.firewall.named();
            let origins = users
                .into_iter()
                .filter(|user| *user != Id::Number(0))
                .map(|user| Origin::Program(user, Id::Other))
                .chain(groups.into_iter().map(|group| Origin::Program(Id::Other, group)));
            let mut let_through = Vec::new();
            for origin in origins {
                if matches!(fate(machine, to, &origin), Fate::Open(_)) {
                    let_through.push(match origin {
                        Origin::Program(Id::Other, group) => format!("group {}", told(&group)),
                        Origin::Program(user, _) => format!("user {}", told(&user)),
                        Origin::Behind(name) => name,
                    });
                }
            }
            let what = match let_through.as_slice() {
                [] => format!("programs of users other than root do not reach {to}"),
                names => format!("of users other than root only {} reach {to}", names.join(", ")),
            };
            let finding = found.add(Outcome::Pass, scope, resource, what);
            evidence(finding, machine, &[by]);
        }
        Fate::Open(by) => {
            let finding = found.add(
                Outcome::Fail,
                scope,
                resource,
                format!("a program of any user reaches {to}"),
            );
            evidence(finding, machine, &by);
            for line in rules_for_programs(machine, to) {
                finding.mend(line);
            }
        }
        Fate::Redirected(by, target) => {
            let finding = found.add(
                Outcome::Unknown,
                scope,
                resource,
                format!("packets to {to} are led to {target}; what answers there decides"),
            );
            evidence(finding, machine, &[by]);
        }
        Fate::Depends(by, on) => {
            let what = format!("whether programs reach {to} depends on {}", on.join("; "));
            let finding = found.add(Outcome::Unknown, scope, resource, what);
            evidence(finding, machine, &by);
        }
    }
}

fn containers(found: &mut Found, scope: &Scope, machine: &Machine<'_>, to: IpAddr) {
    for bridge in &machine.containers {
        let resource = format!("{} {bridge} → {to}", name(scope));
        let origin = Origin::Behind(bridge.clone());
        match fate(machine, to, &origin) {
            Fate::Blocked(by) => {
                let what = format!("what is behind `{bridge}` does not reach {to}");
                evidence(found.add(Outcome::Pass, scope, resource, what), machine, &[by]);
            }
            Fate::Open(by) => {
                let what = format!("what is behind `{bridge}` reaches {to}");
                let finding = found.add(Outcome::Fail, scope, resource, what);
                evidence(finding, machine, &by);
                for line in rules_for_containers(machine, to) {
                    finding.mend(line);
                }
            }
            Fate::Redirected(by, target) => {
                let what = format!(
                    "packets from `{bridge}` to {to} are led to {target}; what answers there decides"
                );
                evidence(found.add(Outcome::Unknown, scope, resource, what), machine, &[by]);
            }
            Fate::Depends(by, on) => {
                let what = format!(
                    "whether what is behind `{bridge}` reaches {to} depends on {}",
                    on.join("; ")
                );
                evidence(found.add(Outcome::Unknown, scope, resource, what), machine, &by);
            }
        }
    }
}

fn told(id: &Id) -> String {
    match id {
        Id::Number(number) => number.to_string(),
        Id::Name(name) => name.clone(),
        Id::Other => "any".to_owned(),
    }
}

/// Rules as they stand in the file that they come from.
fn evidence(finding: &mut crate::audit::finding::Finding, machine: &Machine<'_>, reasons: &[Reason]) {
    for reason in reasons {
        let source = machine
            .sources
            .iter()
            .find(|item| {
                reason.line > 0
                    && item
                        .text
                        .lines()
                        .nth(reason.line as usize - 1)
                        .is_some_and(|line| line.trim().ends_with(reason.text.trim()))
            })
            .or_else(|| machine.sources.first());
        if let Some(item) = source {
            finding.seen_at(item, reason.line, "rule", &reason.text);
        }
    }
}

/// Rules that leave the address to root. Reviewed and loaded by a person; how they are kept over a restart depends on the system.
pub(crate) fn rules_for_programs(machine_or_nft: &impl Form, to: IpAddr) -> Vec<String> {
    let (tool, family) = if to.is_ipv6() {
        ("ip6tables", "ip6")
    } else {
        ("iptables", "ip")
    };
    match machine_or_nft.is_nft() {
        true => vec![
            "nft add table inet metadata".to_owned(),
            "nft add chain inet metadata output '{ type filter hook output priority -5; policy accept; }'"
                .to_owned(),
            format!("nft add rule inet metadata output {family} daddr {to} meta skuid != 0 counter reject"),
        ],
        false => vec![format!(
            "{tool} -I OUTPUT 1 -d {to} -m owner ! --uid-owner 0 -j REJECT"
        )],
    }
}

/// Rules that keep the address from what the machine forwards for.
pub(crate) fn rules_for_containers(machine_or_nft: &impl Form, to: IpAddr) -> Vec<String> {
    let (tool, family) = if to.is_ipv6() {
        ("ip6tables", "ip6")
    } else {
        ("iptables", "ip")
    };
    match (machine_or_nft.is_nft(), machine_or_nft.has_docker_user()) {
        (true, _) => vec![
            "nft add table inet metadata".to_owned(),
            "nft add chain inet metadata forward '{ type filter hook forward priority -5; policy accept; }'"
                .to_owned(),
            format!("nft add rule inet metadata forward {family} daddr {to} counter reject"),
        ],
        (false, true) => vec![
            "# Docker leaves this chain to its users".to_owned(),
            format!("{tool} -I DOCKER-USER 1 -d {to} -j REJECT"),
        ],
        (false, false) => vec![format!("{tool} -I FORWARD 1 -d {to} -j REJECT")],
    }
}

/// In which form a machine keeps its rules.
pub(crate) trait Form {
    fn is_nft(&self) -> bool;
    fn has_docker_user(&self) -> bool;
}

impl Form for Machine<'_> {
    fn is_nft(&self) -> bool {
        self.by_nft
    }

    fn has_docker_user(&self) -> bool {
        self.has_docker_user
    }
}
