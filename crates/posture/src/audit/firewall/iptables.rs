//! What `iptables-save` and `ip6tables-save` print.
//!
//! <https://manpages.debian.org/bookworm/iptables/iptables-extensions.8.en.html>

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Action, Base, Firewall, Hook, Ids, Owner, Rule, Subject, Test};

/// Longest line that is read.
const LONGEST: usize = 64 << 10;

/// Reads the rules of one address family.
pub fn read(text: &str, v6: bool) -> Firewall {
    let mut firewall = Firewall::default();
    let family = if v6 { "ip6" } else { "ip" };
    let mut table = String::new();
    for (index, line) in text.lines().enumerate() {
        let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
        let line = line.trim();
        if line.len() > LONGEST {
            firewall.doubts.push(format!("line {number}, which is too long"));
            continue;
        }
        // Counters of packets may stand before a rule.
        let bare = match line.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
            Some((_, rest)) => rest,
            None => line,
        };
        if let Some(name) = line.strip_prefix('*') {
            name.clone_into(&mut table);
        } else if let Some(rest) = line.strip_prefix(':') {
            let mut words = rest.split_whitespace();
            let (name, policy) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
            let key = format!("{family}/{table}/{name}");
            firewall.chains.entry(key.clone()).or_default();
            if let Some((hook, priority)) = base(&table, name).filter(|_| policy != "-") {
                firewall.bases.push(Base {
                    hook,
                    priority,
                    chain: key,
                    accepts: policy != "DROP",
                    is_nat: table == "nat",
                    v6: Some(v6),
                });
            }
        } else if bare.starts_with("-A ") {
            let words = words(bare);
            let chain = words.get(1).map_or("", String::as_str);
            let key = format!("{family}/{table}/{chain}");
            let (tests, action) = rule(words.get(2..).unwrap_or(&[]), v6, &format!("{family}/{table}"));
            firewall.chains.entry(key).or_default().push(Rule {
                tests,
                action,
                text: bare.to_owned(),
                line: number,
            });
        } else if line.is_empty() || line.starts_with('#') || line == "COMMIT" {
        } else {
            firewall
                .doubts
                .push(format!("line {number}, which is no rule of iptables-save"));
        }
    }
    firewall
}

/// Where the chains are that the kernel itself calls.
fn base(table: &str, chain: &str) -> Option<(Hook, i32)> {
    let hook = match chain {
        "PREROUTING" => Hook::Prerouting,
        "INPUT" => Hook::Input,
        "FORWARD" => Hook::Forward,
        "OUTPUT" => Hook::Output,
        "POSTROUTING" => Hook::Postrouting,
        _ => return None,
    };
    let priority = match (table, hook) {
        ("raw", _) => -300,
        ("mangle", _) => -150,
        ("nat", Hook::Prerouting | Hook::Output) => -100,
        ("nat", _) => 100,
        ("security", _) => 50,
        _ => 0,
    };
    Some((hook, priority))
}

/// The words of a line; quotes hold them together.
fn words(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut word = String::new();
    let (mut quoted, mut begun, mut escaped) = (false, false, false);
    for character in line.chars() {
        match character {
            _ if escaped => {
                word.push(character);
                escaped = false;
            }
            '\\' if quoted => escaped = true,
            '"' => {
                quoted = !quoted;
                begun = true;
            }
            ' ' | '\t' if !quoted => {
                if begun {
                    found.push(std::mem::take(&mut word));
                    begun = false;
                }
            }
            other => {
                word.push(other);
                begun = true;
            }
        }
    }
    if begun {
        found.push(word);
    }
    found
}

fn rule(words: &[String], v6: bool, table: &str) -> (Vec<Test>, Action) {
    let mut tests = Vec::new();
    let mut action = Action::Continue;
    let mut to = String::new();
    let mut target = String::new();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let negated = word == "!";
        if negated {
            at += 1;
        }
        let option = words.get(at).map_or("", String::as_str);
        let next = words.get(at + 1).map_or("", String::as_str);
        at += 2;
        let mut test = |subject: Subject| tests.push(Test { negated, subject });
        match option {
            "-s" | "--source" => test(nets(next, v6).map_or_else(|| doubt(option, next), Subject::Source)),
            "-d" | "--destination" => {
                test(nets(next, v6).map_or_else(|| doubt(option, next), Subject::Destination))
            }
            "-i" => test(Subject::In(vec![next.to_owned()])),
            "-o" => test(Subject::Out(vec![next.to_owned()])),
            "-p" => test(match next {
                "all" | "0" => Subject::Settled(true),
                other => Subject::Tcp(matches!(other, "tcp" | "6")),
            }),
            "--dport" | "--destination-port" | "--dports" | "--destination-ports" => {
                test(ports(next).map_or_else(|| doubt(option, next), Subject::DestinationPort));
            }
            "--sport" | "--source-port" | "--sports" | "--source-ports" => {
                test(ports(next).map_or_else(|| doubt(option, next), Subject::SourcePort));
            }
            // Of either side: that of the service is known.
            "--ports" => test(ports(next).map_or_else(|| doubt(option, next), Subject::DestinationPort)),
            "--uid-owner" => {
                test(ids(next).map_or_else(|| doubt(option, next), |ids| Subject::User(ids, Owner::Iptables)))
            }
            "--gid-owner" => test(
                ids(next).map_or_else(|| doubt(option, next), |ids| Subject::Group(ids, Owner::Iptables)),
            ),
            "--socket-exists" => {
                test(Subject::HasSocket);
                at -= 1;
            }
            // Supplementary groups: nobody tells which a user has.
            "--suppl-groups" => {
                tests.push(unknown("which supplementary groups users have"));
                at -= 1;
            }
            "--ctstate" | "--state" => {
                let states = next.split(',').map(str::to_lowercase).collect();
                test(Subject::State(states));
            }
            "--dst-type" => {
                let kinds = next.split(',').map(str::to_lowercase).collect();
                test(Subject::DestinationType(kinds));
            }
            "--src-type" => test(doubt(option, next)),
            "--limit-iface-in" | "--limit-iface-out" => at -= 1,
            "--dst-range" => test(range(next).map_or_else(|| doubt(option, next), Subject::Destination)),
            "--src-range" => test(range(next).map_or_else(|| doubt(option, next), Subject::Source)),
            "--match-set" => {
                test(Subject::Unknown(format!("what the set `{next}` holds")));
                at += 1;
            }
            "--syn" => {
                test(Subject::Flags([true, false, false]));
                at -= 1;
            }
            "--tcp-flags" => {
                let set = words.get(at).map_or("", String::as_str);
                test(flags(next, set));
                at += 1;
            }
            "-f" => {
                test(Subject::Settled(false));
                at -= 1;
            }
            // Modules whose options follow, and what changes nothing.
            "-m" | "--match" => {
                if !KNOWN.contains(&next) {
                    tests.push(unknown(&format!("the match `{next}` of a rule")));
                    // What follows are its options.
                    while words
                        .get(at)
                        .is_some_and(|word| !matches!(word.as_str(), "-j" | "-g" | "-m"))
                    {
                        at += 1;
                    }
                }
            }
            "--comment" => {}
            "-c" | "--set-counters" => at += 1,
            "--to-destination" | "--to-ports" | "--on-ip" | "--on-port" => next.clone_into(&mut to),
            "-g" | "--goto" => action = Action::Goto(format!("{table}/{next}")),
            "-j" | "--jump" => next.clone_into(&mut target),
            // Options of targets.
            _ if !target.is_empty() => {
                if next.starts_with('-') || next == "!" {
                    at -= 1;
                }
            }
            other => tests.push(unknown(&format!("the option `{other}` of a rule"))),
        }
    }
    match target.as_str() {
        "" => {}
        "ACCEPT" => action = Action::Accept,
        "DROP" | "REJECT" | "TARPIT" => action = Action::Drop,
        "RETURN" => action = Action::Return,
        // These end the way through their table, and leave the destination as it is.
        "MASQUERADE" | "SNAT" | "NETMAP" if table.ends_with("/nat") => action = Action::Accept,
        "DNAT" | "REDIRECT" | "TPROXY" => {
            action = Action::Redirect(if to.is_empty() {
                "this machine".to_owned()
            } else {
                to
            })
        }
        "QUEUE" | "NFQUEUE" => {
            action = Action::Unknown("what the program decides that packets are queued for".to_owned())
        }
        other if CONTINUE.contains(&other) => {}
        chain => action = Action::Jump(format!("{table}/{chain}")),
    }
    (tests, action)
}

/// Matches whose options are read above.
const KNOWN: &[&str] = &[
    "tcp",
    "udp",
    "icmp",
    "icmp6",
    "comment",
    "owner",
    "conntrack",
    "state",
    "multiport",
    "addrtype",
    "iprange",
    "set",
];

/// Targets after which a packet goes on.
const CONTINUE: &[&str] = &[
    "LOG",
    "NFLOG",
    "ULOG",
    "TRACE",
    "AUDIT",
    "MARK",
    "CONNMARK",
    "CONNSECMARK",
    "SECMARK",
    "SET",
    "CT",
    "NOTRACK",
    "TCPMSS",
    "CLASSIFY",
    "DSCP",
    "TOS",
    "TTL",
    "HL",
    "ECN",
    "CHECKSUM",
    "TEE",
    "RATEEST",
    "TCPOPTSTRIP",
    "LED",
    "IDLETIMER",
    "SYNPROXY",
    "HMARK",
];

fn unknown(what: &str) -> Test {
    Test {
        negated: false,
        subject: Subject::Unknown(what.to_owned()),
    }
}

fn doubt(option: &str, value: &str) -> Subject {
    Subject::Unknown(format!("`{option} {value}`"))
}

fn nets(written: &str, v6: bool) -> Option<Vec<IpNet>> {
    let one = |text: &str| -> Option<IpNet> {
        let Some((address, mask)) = text.split_once('/') else {
            return text.parse::<IpAddr>().ok().map(IpNet::from);
        };
        let address: IpAddr = address.parse().ok()?;
        if let Ok(length) = mask.parse::<u8>() {
            return IpNet::new(address, length).ok();
        }
        IpNet::with_netmask(address, mask.parse().ok()?).ok()
    };
    let found: Option<Vec<IpNet>> = written.split(',').map(one).collect();
    found.filter(|nets| nets.iter().all(|net| net.addr().is_ipv6() == v6))
}

/// Which flags are looked at, and which of them have to be set: the first packet of a connection has SYN alone, its answer ACK as well.
fn flags(looked_at: &str, set: &str) -> Subject {
    let is_in = |list: &str, flag: &str| list.split(',').any(|own| own == flag || own == "ALL");
    let fits = |has: &[&str]| {
        ["SYN", "ACK", "FIN", "RST", "PSH", "URG"]
            .into_iter()
            .all(|flag| !is_in(looked_at, flag) || is_in(set, flag) == has.contains(&flag))
    };
    Subject::Flags([fits(&["SYN"]), fits(&["SYN", "ACK"]), fits(&["ACK"])])
}

/// A range of addresses, as the networks that make it up.
fn range(written: &str) -> Option<Vec<IpNet>> {
    let (from, to) = written.split_once('-').unwrap_or((written, written));
    super::nft::range(from.parse().ok()?, to.parse().ok()?)
}

fn ports(written: &str) -> Option<Vec<(u16, u16)>> {
    let number = |text: &str, empty: u16| match text {
        "" => Some(empty),
        "http" => Some(80),
        "https" => Some(443),
        other => other.parse().ok(),
    };
    written
        .split(',')
        .map(|part| match part.split_once(':') {
            Some((from, to)) => Some((number(from, 0)?, number(to, u16::MAX)?)),
            None => number(part, 0).map(|port| (port, port)),
        })
        .collect()
}

fn ids(written: &str) -> Option<Vec<Ids>> {
    if let Some((from, to)) = written.split_once('-')
        && let (Ok(from), Ok(to)) = (from.parse(), to.parse())
    {
        return Some(vec![Ids::Range(from, to)]);
    }
    match written.parse() {
        Ok(number) => Some(vec![Ids::Range(number, number)]),
        Err(_) if written.is_empty() => None,
        Err(_) => Some(vec![Ids::Name(written.to_owned())]),
    }
}
