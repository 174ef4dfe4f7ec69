//! What `nft list ruleset` prints, as JSON (`-j`) and as text.
//!
//! <https://manpages.debian.org/bookworm/libnftables1/libnftables-json.5.en.html>

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Value, json};

use super::{Action, Base, Firewall, Hook, Ids, Owner, Rule, Subject, Test};
use crate::audit::at::{list, text};

/// Most networks that a range of addresses is made of: twice the bits of an address.
const MAX_NETS: usize = 256;
/// Most elements of a set that are looked at.
const MAX_ELEMENTS: usize = 100_000;

/// Reads `nft -j list ruleset`. `without` names tables (`ip filter`) that another tool showed in full.
pub fn read(ruleset: &Value, without: &BTreeSet<String>) -> Firewall {
    let mut firewall = Firewall::default();
    let mut sets = BTreeMap::new();
    let objects = list(ruleset, "/nftables");
    for object in objects {
        if let Some(set) = object.get("set").or_else(|| object.get("map")) {
            sets.insert(key(set, "/name"), set);
        }
    }
    // Elements may stand by themselves.
    let mut further: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for object in objects {
        if let Some(element) = object.get("element") {
            further
                .entry(key(element, "/name"))
                .or_default()
                .extend(list(element, "/elem"));
        }
    }
    for object in objects {
        if let Some(chain) = object.get("chain") {
            if !without.contains(&table_of(chain)) {
                take_chain(&mut firewall, chain);
            }
        } else if let Some(rule) = object.get("rule")
            && !without.contains(&table_of(rule))
        {
            let reader = Reader {
                sets: &sets,
                further: &further,
                table: format!("{}/{}", text(rule, "/family"), text(rule, "/table")),
                is_v6_table: text(rule, "/family") == "ip6",
            };
            let rules = reader.rules(rule);
            let chain = key(rule, "/chain");
            firewall.chains.entry(chain).or_default().extend(rules);
        }
    }
    firewall
}

/// Reads what `nft list ruleset` prints as text.
pub fn read_text(written: &str, without: &BTreeSet<String>) -> Firewall {
    let (ruleset, doubts) = super::nft_text::to_json(written);
    let mut firewall = read(&ruleset, without);
    firewall.doubts.extend(doubts);
    firewall
}

/// The tables of a ruleset that hold matches of iptables, which nft does not show; `iptables-save` does.
pub fn tables_of_iptables(ruleset: &Value) -> BTreeSet<String> {
    let is_foreign = |rule: &Value| list(rule, "/expr").iter().any(|part| part.get("xt").is_some());
    let rules = list(ruleset, "/nftables")
        .iter()
        .filter_map(|object| object.get("rule"));
    let mut found: BTreeSet<String> = rules.filter(|rule| is_foreign(rule)).map(table_of).collect();
    // Tables with the names and chains that iptables gives are its own, whatever their rules are.
    for chain in list(ruleset, "/nftables")
        .iter()
        .filter_map(|object| object.get("chain"))
    {
        let name = text(chain, "/name");
        let is_known = ["filter", "nat", "mangle", "raw", "security"].contains(&text(chain, "/table"));
        if is_known
            && matches!(text(chain, "/family"), "ip" | "ip6")
            && ["INPUT", "FORWARD", "OUTPUT", "PREROUTING", "POSTROUTING"].contains(&name)
        {
            found.insert(table_of(chain));
        }
    }
    found
}

fn table_of(object: &Value) -> String {
    format!("{} {}", text(object, "/family"), text(object, "/table"))
}

fn key(object: &Value, pointer: &str) -> String {
    format!(
        "{}/{}/{}",
        text(object, "/family"),
        text(object, "/table"),
        text(object, pointer)
    )
}

fn take_chain(firewall: &mut Firewall, chain: &Value) {
    let name = key(chain, "/name");
    firewall.chains.entry(name.clone()).or_default();
    let family = text(chain, "/family");
    let hook = match text(chain, "/hook") {
        "" => return,
        "prerouting" => Hook::Prerouting,
        "input" => Hook::Input,
        "forward" => Hook::Forward,
        "output" => Hook::Output,
        "postrouting" => Hook::Postrouting,
        other => {
            // At the border of a device, whose packets may be any.
            firewall
                .doubts
                .push(format!("what the chain `{name}` at the hook `{other}` does"));
            return;
        }
    };
    let v6 = match family {
        "ip" => Some(false),
        "ip6" => Some(true),
        "inet" => None,
        // Frames between ports of a bridge do not come from programs of the machine, and packets of its containers are routed.
        _ => return,
    };
    let priority = match chain.get("prio") {
        Some(Value::Number(number)) => number.as_i64().unwrap_or(0),
        _ => 0,
    };
    firewall.bases.push(Base {
        hook,
        priority: i32::try_from(priority).unwrap_or(0),
        chain: name,
        accepts: text(chain, "/policy") != "drop",
        is_nat: text(chain, "/type") == "nat",
        v6,
    });
}

struct Reader<'v> {
    sets: &'v BTreeMap<String, &'v Value>,
    further: &'v BTreeMap<String, Vec<&'v Value>>,
    /// Family and table.
    table: String,
    is_v6_table: bool,
}

impl Reader<'_> {
    /// A rule; one with a map of verdicts is as many as the map has elements.
    fn rules(&self, rule: &Value) -> Vec<Rule> {
        let written = match text(rule, "/text") {
            "" => told(list(rule, "/expr")),
            known => known.to_owned(),
        };
        let line = rule.get("line").and_then(Value::as_u64).unwrap_or(0);
        let line = u32::try_from(line).unwrap_or(0);
        let mut tests = Vec::new();
        let mut found: Vec<Rule> = Vec::new();
        let mut action = Action::Continue;
        for part in list(rule, "/expr") {
            let Some((name, inner)) = part.as_object().and_then(|part| part.iter().next()) else {
                continue;
            };
            match name.as_str() {
                "match" => tests.push(self.test(inner)),
                "accept" => action = Action::Accept,
                "drop" => action = Action::Drop,
                "reject" => {
                    // What the rejection says is for one family or protocol, and `nft` leaves out what asks for that.
                    let subject = match text(inner, "/type") {
                        "icmp" => Some(Subject::V6(false)),
                        "icmpv6" => Some(Subject::V6(true)),
                        "tcp reset" => Some(Subject::Tcp(true)),
                        _ => None,
                    };
                    tests.extend(subject.map(|subject| Test {
                        negated: false,
                        subject,
                    }));
                    action = Action::Drop;
                }
                "return" => action = Action::Return,
                "jump" => action = Action::Jump(format!("{}/{}", self.table, text(inner, "/target"))),
                "goto" => action = Action::Goto(format!("{}/{}", self.table, text(inner, "/target"))),
                "masquerade" | "snat" => action = Action::Accept,
                "dnat" => action = Action::Redirect(told_address(inner)),
                "redirect" | "tproxy" => action = Action::Redirect("this machine".to_owned()),
                "queue" => {
                    action =
                        Action::Unknown("what the program decides that packets are queued for".to_owned());
                }
                "vmap" => found.extend(self.of_map(inner, &tests, &written, line)),
                "counter" | "log" | "comment" | "mangle" | "notrack" | "ct helper" | "ct timeout"
                | "flow" | "quota_object" | "set" | "meta" | "continue" | "dup" | "secmark" => {}
                "limit" | "quota" | "ct count" | "meter" | "last" => {
                    tests.push(unknown(format!("the `{name}` of `{written}`")))
                }
                // Nothing comes out of it that iptables would not know.
                "xt" => tests.push(unknown(format!(
                    "a match of iptables in `{written}`, which `iptables-save` shows"
                ))),
                other => tests.push(unknown(format!("the expression `{other}` of a rule"))),
            }
        }
        found.push(Rule {
            tests,
            action,
            text: written,
            line,
        });
        found
    }

    /// `ct state vmap { established : accept, invalid : drop }`
    fn of_map(&self, inner: &Value, before: &[Test], written: &str, line: u32) -> Vec<Rule> {
        let left = inner.get("key").unwrap_or(&Value::Null);
        let data = inner.get("data").unwrap_or(&Value::Null);
        let pairs: Vec<&Value> = match data.get("set").and_then(Value::as_array) {
            Some(pairs) => pairs.iter().collect(),
            None => match data.as_str().and_then(|name| name.strip_prefix('@')) {
                Some(name) => self.elements_of(name),
                None => Vec::new(),
            },
        };
        let mut rules = Vec::new();
        for pair in pairs.into_iter().take(MAX_ELEMENTS) {
            let (Some(right), Some(verdict)) = (pair.get(0), pair.get(1)) else {
                continue;
            };
            let mut tests = before.to_vec();
            tests.push(self.test(&json!({"op": "==", "left": left, "right": right})));
            let Some((name, verdict)) = verdict.as_object().and_then(|verdict| verdict.iter().next()) else {
                continue;
            };
            let action = match name.as_str() {
                "accept" => Action::Accept,
                "drop" | "reject" => Action::Drop,
                "return" => Action::Return,
                "jump" => Action::Jump(format!("{}/{}", self.table, text(verdict, "/target"))),
                "goto" => Action::Goto(format!("{}/{}", self.table, text(verdict, "/target"))),
                _ => Action::Continue,
            };
            rules.push(Rule {
                tests,
                action,
                text: written.to_owned(),
                line,
            });
        }
        rules
    }

    fn elements_of(&self, name: &str) -> Vec<&Value> {
        let key = format!("{}/{name}", self.table);
        let own = self.sets.get(&key).map_or(&[][..], |set| list(set, "/elem"));
        let further = self.further.get(&key).map_or(&[][..], Vec::as_slice);
        own.iter()
            .chain(further.iter().copied())
            .take(MAX_ELEMENTS)
            .collect()
    }

    fn test(&self, inner: &Value) -> Test {
        let op = text(inner, "/op");
        let negated = op == "!=";
        let left = inner.get("left").unwrap_or(&Value::Null);
        let right = inner.get("right").unwrap_or(&Value::Null);
        let is_plain = matches!(op, "==" | "!=" | "in" | "");
        let subject = match self.values(right).filter(|_| is_plain) {
            Some(values) => self.subject(left, &values),
            None => None,
        };
        let subject = subject.unwrap_or_else(|| {
            Subject::Unknown(format!(
                "`{}`",
                told(std::slice::from_ref(&json!({"match": inner})))
            ))
        });
        Test { negated, subject }
    }

    /// The choices that a right side is. `None` says that it cannot be told.
    fn values(&self, right: &Value) -> Option<Vec<Value>> {
        let unpacked = |value: &Value| -> Value {
            match value.pointer("/elem/val") {
                Some(inner) => inner.clone(),
                None => value.clone(),
            }
        };
        match right {
            Value::String(name) if name.starts_with('@') => {
                let name = name.trim_start_matches('@');
                let key = format!("{}/{name}", self.table);
                let set = self.sets.get(&key)?;
                // Programs change these while they run.
                let flags = list(set, "/flags");
                if flags.iter().any(|flag| flag == "dynamic" || flag == "timeout") {
                    return None;
                }
                Some(self.elements_of(name).into_iter().map(unpacked).collect())
            }
            Value::Object(object) => match object.get("set") {
                Some(Value::Array(items)) => Some(items.iter().take(MAX_ELEMENTS).map(unpacked).collect()),
                Some(single) => Some(vec![unpacked(single)]),
                None => Some(vec![right.clone()]),
            },
            Value::Array(items) => Some(items.clone()),
            other => Some(vec![other.clone()]),
        }
    }

    fn subject(&self, left: &Value, values: &[Value]) -> Option<Subject> {
        if let Some(payload) = left.get("payload") {
            let (protocol, field) = (text(payload, "/protocol"), text(payload, "/field"));
            return match (protocol, field) {
                ("ip" | "ip6", "daddr") => Some(Subject::Destination(nets(values)?)),
                ("ip" | "ip6", "saddr") => Some(Subject::Source(nets(values)?)),
                ("ip", "protocol") | ("ip6", "nexthdr") => Some(Subject::Tcp(values.iter().any(is_tcp))),
                ("tcp" | "th", "dport") => Some(Subject::DestinationPort(ports(values)?)),
                ("tcp" | "th", "sport") => Some(Subject::SourcePort(ports(values)?)),
                ("udp" | "icmp" | "icmpv6" | "sctp" | "dccp" | "udplite" | "ah" | "esp", _) => {
                    Some(Subject::Settled(false))
                }
                _ => None,
            };
        }
        let texts = || -> Option<Vec<String>> {
            values
                .iter()
                .map(|value| Some(value.as_str()?.to_owned()))
                .collect()
        };
        if let Some(state) = left.get("ct") {
            return match text(state, "/key") {
                "state" => {
                    let numbered = texts()?;
                    Some(Subject::State(
                        numbered.iter().map(|state| state.to_lowercase()).collect(),
                    ))
                }
                "status" => Some(Subject::Unknown("the status of the connection".to_owned())),
                _ => None,
            };
        }
        if left.get("fib").is_some() {
            let kinds = texts()?;
            return match text(left, "/fib/result") {
                "type" if list(left, "/fib/flags").iter().any(|flag| flag == "daddr") => {
                    Some(Subject::DestinationType(kinds))
                }
                _ => None,
            };
        }
        match text(left, "/meta/key") {
            "oifname" | "oif" => Some(Subject::Out(texts()?)),
            "iifname" | "iif" => Some(Subject::In(texts()?)),
            "skuid" => Some(Subject::User(ids(values)?, Owner::Nft)),
            "skgid" => Some(Subject::Group(ids(values)?, Owner::Nft)),
            "l4proto" => Some(Subject::Tcp(values.iter().any(is_tcp))),
            "nfproto" => {
                let kinds = texts()?;
                match (
                    kinds.iter().any(|kind| kind == "ipv4"),
                    kinds.iter().any(|kind| kind == "ipv6"),
                ) {
                    (true, true) => Some(Subject::Settled(true)),
                    (v4, v6) if v4 || v6 => Some(Subject::V6(v6)),
                    _ => None,
                }
            }
            "protocol" => {
                let kinds = texts()?;
                Some(Subject::V6(kinds.iter().any(|kind| kind == "ip6")))
            }
            _ => None,
        }
        .filter(|_| !(self.is_v6_table && left.is_null()))
    }
}

fn unknown(what: String) -> Test {
    Test {
        negated: false,
        subject: Subject::Unknown(what),
    }
}

fn is_tcp(value: &Value) -> bool {
    value == "tcp" || value.as_u64() == Some(6)
}

fn nets(values: &[Value]) -> Option<Vec<IpNet>> {
    let mut found = Vec::new();
    for value in values {
        if let Some(written) = value.as_str() {
            let net = written
                .parse::<IpNet>()
                .ok()
                .or_else(|| written.parse::<IpAddr>().ok().map(IpNet::from))?;
            found.push(net);
        } else if let Some(prefix) = value.get("prefix") {
            let length = prefix.get("len")?.as_u64()?;
            let address: IpAddr = text(prefix, "/addr").parse().ok()?;
            found.push(IpNet::new(address, u8::try_from(length).ok()?).ok()?);
        } else {
            let ends = value.get("range")?;
            found.extend(range(
                ends.get(0)?.as_str()?.parse().ok()?,
                ends.get(1)?.as_str()?.parse().ok()?,
            )?);
        }
    }
    Some(found)
}

/// The networks that a range of addresses is made of.
pub(super) fn range(from: IpAddr, to: IpAddr) -> Option<Vec<IpNet>> {
    let (mut start, end, bits): (u128, u128, u32) = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => (u32::from(from).into(), u32::from(to).into(), 32),
        (IpAddr::V6(from), IpAddr::V6(to)) => (from.into(), to.into(), 128),
        _ => return None,
    };
    let mut found = Vec::new();
    while start <= end && found.len() < MAX_NETS {
        // The largest block that begins here and does not end behind the range.
        let mut size = start.trailing_zeros().min(bits);
        while size > 0 && (size >= 128 || start.checked_add((1 << size) - 1).is_none_or(|last| last > end)) {
            size -= 1;
        }
        let address = match bits {
            32 => IpAddr::from(u32::try_from(start).ok()?.to_be_bytes()),
            _ => IpAddr::from(start.to_be_bytes()),
        };
        found.push(IpNet::new(address, u8::try_from(bits - size).ok()?).ok()?);
        start = match start.checked_add(1 << size) {
            Some(next) => next,
            None => break,
        };
    }
    Some(found)
}

fn ports(values: &[Value]) -> Option<Vec<(u16, u16)>> {
    let number = |value: &Value| -> Option<u16> {
        match value {
            Value::String(name) => match name.as_str() {
                "http" => Some(80),
                "https" => Some(443),
                "ssh" => Some(22),
                "domain" => Some(53),
                other => other.parse().ok(),
            },
            other => u16::try_from(other.as_u64()?).ok(),
        }
    };
    values
        .iter()
        .map(|value| match value.get("range") {
            Some(ends) => Some((number(ends.get(0)?)?, number(ends.get(1)?)?)),
            None => number(value).map(|port| (port, port)),
        })
        .collect()
}

fn ids(values: &[Value]) -> Option<Vec<Ids>> {
    let number = |value: &Value| -> Option<u32> {
        match value {
            Value::String(text) => text.parse().ok(),
            other => u32::try_from(other.as_u64()?).ok(),
        }
    };
    values
        .iter()
        .map(|value| match value.get("range") {
            Some(ends) => Some(Ids::Range(number(ends.get(0)?)?, number(ends.get(1)?)?)),
            None => match number(value) {
                Some(id) => Some(Ids::Range(id, id)),
                None => Some(Ids::Name(value.as_str()?.to_owned())),
            },
        })
        .collect()
}

fn told_address(inner: &Value) -> String {
    match (text(inner, "/addr"), inner.get("port")) {
        ("", _) => "another address".to_owned(),
        (address, Some(port)) => format!("{address}:{port}"),
        (address, None) => address.to_owned(),
    }
}

/// An expression the way `nft` writes it, for people; what is not plain stays JSON.
fn told(parts: &[Value]) -> String {
    fn value(value: &Value) -> String {
        if let Value::String(text) = value {
            return text.clone();
        }
        if let Some(prefix) = value.get("prefix") {
            return format!(
                "{}/{}",
                text(prefix, "/addr"),
                prefix.get("len").unwrap_or(&Value::Null)
            );
        }
        if let Some(items) = value.get("set").and_then(Value::as_array) {
            let items: Vec<String> = items
                .iter()
                .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
                .collect();
            return format!("{{ {} }}", items.join(", "));
        }
        value.to_string()
    }
    let one = |part: &Value| -> Option<String> {
        let (name, inner) = part.as_object()?.iter().next()?;
        Some(match name.as_str() {
            "match" => {
                let left = inner.get("left")?;
                let told_left = if let Some(payload) = left.get("payload") {
                    format!("{} {}", text(payload, "/protocol"), text(payload, "/field"))
                } else if let Some((kind, inner)) = left.as_object().and_then(|left| left.iter().next()) {
                    format!("{kind} {}", text(inner, "/key"))
                } else {
                    left.to_string()
                };
                let op = match text(inner, "/op") {
                    "!=" => " !=",
                    _ => "",
                };
                format!("{told_left}{op} {}", value(inner.get("right")?))
            }
            "counter" => "counter".to_owned(),
            "jump" | "goto" => format!("{name} {}", text(inner, "/target")),
            "accept" | "drop" | "return" | "reject" | "masquerade" => name.clone(),
            "xt" => format!("xt {}", text(inner, "/name")),
            _ => format!("{name} {inner}"),
        })
    };
    let told: Vec<String> = parts.iter().filter_map(one).collect();
    told.join(" ")
}
