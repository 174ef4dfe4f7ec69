//! What the packet filter of a Linux host does with a connection: `iptables-save` and `nft`, by what the kernel does with their rules.
//!
//! Rules of either become one form: base chains at hooks, in the order of their priorities, whose rules have tests and an action. A
//! packet is walked through them. What a test asks for and no file tells (an interface's name, what a set holds) makes the outcome
//! depend on it, and then that is named. <https://www.netfilter.org/documentation/>, <https://wiki.nftables.org/>

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

pub mod iptables;
pub mod nft;
mod nft_text;

/// Chains that call each other deeper are not followed; the kernel's own limit is 16 for nft.
const DEEPEST: usize = 64;

/// Where packets come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    /// Every packet that comes in.
    Prerouting,
    /// Those for this machine.
    Input,
    /// Those for others.
    Forward,
    /// Those of this machine's own programs.
    Output,
    /// Every packet that goes out.
    Postrouting,
}

/// What happens to a packet that fits a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It passes this base chain.
    Accept,
    /// It ends here.
    Drop,
    /// Back to the chain that called.
    Return,
    /// Through a chain and back.
    Jump(String),
    /// Through a chain, and not back to this one.
    Goto(String),
    /// Nothing that ends its way: it is counted, logged, marked.
    Continue,
    /// It gets another destination.
    Redirect(String),
    /// What happens is not known.
    Unknown(String),
}

/// A user or a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Id {
    /// By number.
    Number(u32),
    /// By name; `root` is 0.
    Name(String),
    /// One whom no rule names.
    Other,
}

/// What a test asks for; a list is a choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Where it comes from.
    Source(Vec<IpNet>),
    /// Where it goes.
    Destination(Vec<IpNet>),
    /// Whether TCP is among the transport protocols that a rule names.
    Tcp(bool),
    /// Ports where it comes from, as ranges.
    SourcePort(Vec<(u16, u16)>),
    /// Ports where it goes.
    DestinationPort(Vec<(u16, u16)>),
    /// The interface that it came in by; `*` or `+` at the end stands for any rest.
    In(Vec<String>),
    /// The interface that it goes out by.
    Out(Vec<String>),
    /// The user whose program sent it, as ranges of numbers and names. With nft, a packet without a program fits nothing.
    User(Vec<Ids>, Owner),
    /// The group.
    Group(Vec<Ids>, Owner),
    /// Whether a program of this machine sent it.
    HasSocket,
    /// States of the connection, in lower case.
    State(Vec<String>),
    /// Whether the address family is IPv6.
    V6(bool),
    /// The flags of TCP: whether they are those of a first packet, of the answer to it, and of what follows.
    Flags([bool; 3]),
    /// Kinds of the address where it goes, in lower case: `local`, `unicast`.
    DestinationType(Vec<String>),
    /// Always, or never, for the packets that are asked about.
    Settled(bool),
    /// It cannot be told.
    Unknown(String),
}

/// How a test of users treats packets without a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// `iptables -m owner`: they fit what is negated.
    Iptables,
    /// `meta skuid`: they fit nothing.
    Nft,
}

/// A choice of users or groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ids {
    /// From one number to another.
    Range(u32, u32),
    /// By name.
    Name(String),
}

/// One condition of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// Whether the contrary has to hold.
    pub negated: bool,
    /// What it asks for.
    pub subject: Subject,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// All have to hold.
    pub tests: Vec<Test>,
    /// What happens then.
    pub action: Action,
    /// The rule as it was written.
    pub text: String,
    /// Its line, from 1; 0 where it has none.
    pub line: u32,
}

/// A chain that packets enter at a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// Where.
    pub hook: Hook,
    /// Lower ones come first.
    pub priority: i32,
    /// The chain's key.
    pub chain: String,
    /// Whether packets that no rule decides about pass.
    pub accepts: bool,
    /// Whether only first packets of connections come through.
    pub is_nat: bool,
    /// The family that it is for; both where it is `None`.
    pub v6: Option<bool>,
}

/// The rules of a machine.
#[derive(Clone, Debug, Default)]
pub struct Firewall {
    /// Where packets enter.
    pub bases: Vec<Base>,
    /// Chains by their keys, which begin with family and table.
    pub chains: BTreeMap<String, Vec<Rule>>,
    /// What could not be read, which may change everything.
    pub doubts: Vec<String>,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A program of a user and group of this machine.
    Program(Id, Id),
    /// A container or virtual machine behind an interface of this machine.
    Behind(String),
}

/// What comes of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It comes to be; by these rules or policies.
    Open(Vec<Reason>),
    /// It is cut; by this one.
    Blocked(Reason),
    /// It ends elsewhere.
    Redirected(Reason, String),
    /// It depends on these.
    Depends(Vec<Reason>, Vec<String>),
}

/// A rule, or the policy of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// As it was written.
    pub text: String,
    /// Its line, from 1; 0 where it has none.
    pub line: u32,
}

/// A connection that is asked about: TCP to a port of an address.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// Where it goes.
    pub to: IpAddr,
    /// The port.
    pub port: u16,
    /// Who asks.
    pub from: &'a Origin,
    /// The interface by which packets to that address leave, where that is known.
    pub uplink: Option<&'a str>,
}

/// Which packet of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The one that asks for it.
    First,
    /// The answer to that one.
    Answer,
    /// What follows from the side that asked.
    Next,
}

/// A packet of a connection.
struct Packet<'q> {
    question: &'q Question<'q>,
    step: Step,
    /// Whether it is the answer.
    is_answer: bool,
    /// Whether connections are not tracked yet where it is: they are at the priority -200, where packets come in or are made.
    is_early: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Yes,
    No,
    Maybe,
}

impl From<bool> for Holds {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

impl Holds {
    fn negated_if(self, negated: bool) -> Self {
        match (self, negated) {
            (Self::Yes, true) => Self::No,
            (Self::No, true) => Self::Yes,
            (other, _) => other,
        }
    }
}

/// What may come of a packet in a chain: each that is possible, with the first rule that makes it so.
#[derive(Clone, Debug, Default)]
struct Ways {
    accepted: Option<Reason>,
    dropped: Option<Reason>,
    redirected: Option<(Reason, String)>,
    falls_through: bool,
    unsure: BTreeSet<String>,
}

impl Ways {
    fn take(&mut self, other: &Self) {
        self.accepted = self.accepted.take().or_else(|| other.accepted.clone());
        self.dropped = self.dropped.take().or_else(|| other.dropped.clone());
        self.redirected = self.redirected.take().or_else(|| other.redirected.clone());
        self.unsure.extend(other.unsure.iter().cloned());
    }
}

impl Firewall {
    /// What comes of a connection.
    pub fn fate(&self, question: &Question<'_>) -> Fate {
        let mut open = Vec::new();
        let mut unsure: BTreeSet<String> = self.doubts.iter().cloned().collect();
        let mut maybe = Vec::new();
        let (out, back): (&[Hook], &[Hook]) = match question.from {
            Origin::Program(..) => (
                &[Hook::Output, Hook::Postrouting],
                &[Hook::Prerouting, Hook::Input],
            ),
            Origin::Behind(_) => {
                let both = &[Hook::Prerouting, Hook::Forward, Hook::Postrouting];
                (both, both)
            }
        };
        for (hooks, step) in [(out, Step::First), (back, Step::Answer), (out, Step::Next)] {
            for hook in hooks {
                for base in self.bases_at(*hook, question.to.is_ipv6()) {
                    if step != Step::First && base.is_nat {
                        continue;
                    }
                    let packet = Packet {
                        question,
                        step,
                        is_answer: step == Step::Answer,
                        is_early: base.priority <= -200 && matches!(hook, Hook::Prerouting | Hook::Output),
                    };
                    let mut memo = BTreeMap::new();
                    let mut ways = self.walk(&base.chain, &packet, &mut memo, 0);
                    if ways.falls_through {
                        let word = if base.accepts { "accept" } else { "drop" };
                        let name = base.chain.rsplit('/').next().unwrap_or("");
                        let policy = Reason {
                            text: format!("policy {word} of chain {name}"),
                            line: 0,
                        };
                        match base.accepts {
                            true => ways.accepted = ways.accepted.or(Some(policy)),
                            false => ways.dropped = ways.dropped.or(Some(policy)),
                        }
                    }
                    match (ways.accepted, ways.dropped, ways.redirected) {
                        // What could not be read may let it through before.
                        (None, Some(by), None) if self.doubts.is_empty() => return Fate::Blocked(by),
                        (None, None, Some((by, to))) => return Fate::Redirected(by, to),
                        (Some(by), None, None) => {
                            if !open.contains(&by) {
                                open.push(by);
                            }
                        }
                        (accepted, dropped, redirected) => {
                            maybe.extend(accepted);
                            maybe.extend(dropped);
                            maybe.extend(redirected.map(|(by, _)| by));
                            unsure.extend(ways.unsure);
                        }
                    }
                }
            }
        }
        if maybe.is_empty() && self.doubts.is_empty() {
            return Fate::Open(open);
        }
        Fate::Depends(maybe, unsure.into_iter().collect())
    }

    fn bases_at(&self, hook: Hook, v6: bool) -> Vec<&Base> {
        let mut found: Vec<&Base> = self
            .bases
            .iter()
            .filter(|base| base.hook == hook && base.v6.is_none_or(|own| own == v6))
            .collect();
        found.sort_by_key(|base| base.priority);
        found
    }

    fn walk(&self, name: &str, packet: &Packet<'_>, memo: &mut BTreeMap<String, Ways>, depth: usize) -> Ways {
        if let Some(known) = memo.get(name) {
            return known.clone();
        }
        let mut ways = Ways::default();
        let Some(rules) = self.chains.get(name).filter(|_| depth < DEEPEST) else {
            ways.unsure.insert(format!("what the chain `{name}` does"));
            ways.accepted = Some(Reason {
                text: format!("chain {name}"),
                line: 0,
            });
            ways.falls_through = true;
            return ways;
        };
        ways.falls_through = true;
        for rule in rules {
            let holds = self.fits(rule, packet, &mut ways.unsure);
            if holds == Holds::No {
                continue;
            }
            let by = || Reason {
                text: rule.text.clone(),
                line: rule.line,
            };
            let ends = match &rule.action {
                Action::Continue => false,
                Action::Accept => {
                    ways.accepted.get_or_insert_with(by);
                    true
                }
                Action::Drop => {
                    ways.dropped.get_or_insert_with(by);
                    true
                }
                Action::Redirect(to) => {
                    ways.redirected.get_or_insert_with(|| (by(), to.clone()));
                    true
                }
                Action::Unknown(what) => {
                    ways.unsure.insert(what.clone());
                    ways.accepted.get_or_insert_with(by);
                    ways.dropped.get_or_insert_with(by);
                    false
                }
                Action::Return => {
                    if holds == Holds::Yes {
                        memo.insert(name.to_owned(), ways.clone());
                        return ways;
                    }
                    false
                }
                Action::Jump(to) | Action::Goto(to) => {
                    let inner = self.walk(to, packet, memo, depth + 1);
                    ways.take(&inner);
                    match (&rule.action, inner.falls_through) {
                        (Action::Goto(_), true) if holds == Holds::Yes => {
                            memo.insert(name.to_owned(), ways.clone());
                            return ways;
                        }
                        (_, falls_through) => !falls_through,
                    }
                }
            };
            if ends && holds == Holds::Yes {
                ways.falls_through = false;
                break;
            }
        }
        memo.insert(name.to_owned(), ways.clone());
        ways
    }

    /// Whether a rule is for a packet. What it depends on is only told where nothing else of the rule settles it.
    fn fits(&self, rule: &Rule, packet: &Packet<'_>, unsure: &mut BTreeSet<String>) -> Holds {
        let mut doubts = Vec::new();
        for test in &rule.tests {
            match self.holds(test, packet) {
                Holds::Yes => {}
                Holds::No => return Holds::No,
                Holds::Maybe => doubts.push(match &test.subject {
                    Subject::Unknown(what) => what.clone(),
                    _ => format!("whether `{}` fits", rule.text),
                }),
            }
        }
        if doubts.is_empty() {
            return Holds::Yes;
        }
        // Rules that change nothing make nothing unsure.
        if rule.action != Action::Continue {
            unsure.extend(doubts);
        }
        Holds::Maybe
    }

    fn holds(&self, test: &Test, packet: &Packet<'_>) -> Holds {
        let question = packet.question;
        let inside = |nets: &[IpNet]| Holds::from(nets.iter().any(|net| net.contains(&question.to)));
        let everywhere = |nets: &[IpNet]| nets.iter().any(|net| net.prefix_len() == 0);
        let on = |ports: &[(u16, u16)]| {
            Holds::from(
                ports
                    .iter()
                    .any(|(from, to)| (*from..=*to).contains(&question.port)),
            )
        };
        // Addresses and ports of this machine's side are not known; ports are above 1023 and not those of services.
        // This machine does not have the address of the service itself.
        let is_service = |net: &IpNet| net.addr() == question.to && net.prefix_len() == net.max_prefix_len();
        let own = |nets: &[IpNet]| match everywhere(nets) {
            _ if nets.iter().all(is_service) => Holds::No,
            true => Holds::Yes,
            false
                if nets
                    .iter()
                    .all(|net| net.addr().is_ipv6() != question.to.is_ipv6()) =>
            {
                Holds::No
            }
            false => Holds::Maybe,
        };
        let own_port = |ports: &[(u16, u16)]| {
            let covers = ports.iter().any(|(from, to)| *from <= 1024 && *to == u16::MAX);
            let touches = ports.iter().any(|(_, to)| *to > 1023);
            match (covers, touches) {
                (true, _) => Holds::Yes,
                (_, true) => Holds::Maybe,
                _ => Holds::No,
            }
        };
        let inner = match question.from {
            Origin::Behind(name) => Some(name.as_str()),
            Origin::Program(..) => None,
        };
        let (came_by, goes_by) = match (packet.is_answer, inner) {
            (false, None) => (Some(None), None),
            (false, Some(name)) => (Some(Some(name)), None),
            (true, None) => (None, Some(None)),
            (true, Some(name)) => (None, Some(Some(name))),
        };
        let by = |names: &[String], side: Option<Option<&str>>| match side {
            // There is none: the packet begins or ends on this machine.
            Some(None) => Holds::No,
            Some(Some(name)) => Holds::from(names.iter().any(|pattern| is_interface(pattern, name))),
            None => uplink_fits(names, question.uplink),
        };
        let found = match &test.subject {
            Subject::Destination(nets) if packet.is_answer => own(nets),
            Subject::Destination(nets) => inside(nets),
            Subject::Source(nets) if packet.is_answer => inside(nets),
            Subject::Source(nets) => own(nets),
            Subject::DestinationPort(ports) if packet.is_answer => own_port(ports),
            Subject::DestinationPort(ports) => on(ports),
            Subject::SourcePort(ports) if packet.is_answer => on(ports),
            Subject::SourcePort(ports) => own_port(ports),
            Subject::Tcp(is) => Holds::from(*is),
            Subject::In(names) => by(names, came_by),
            Subject::Out(names) => by(names, goes_by),
            Subject::User(ids, owner) | Subject::Group(ids, owner) => {
                let is_group = matches!(test.subject, Subject::Group(..));
                match (question.from, packet.is_answer) {
                    (Origin::Program(user, group), false) => is_id(ids, if is_group { group } else { user }),
                    (Origin::Program(..), true) => Holds::Maybe,
                    (Origin::Behind(_), _) if *owner == Owner::Nft => return Holds::No,
                    (Origin::Behind(_), _) => Holds::No,
                }
            }
            Subject::HasSocket => match (question.from, packet.is_answer) {
                (Origin::Program(..), true) => Holds::Maybe,
                (from, _) => Holds::from(matches!(from, Origin::Program(..))),
            },
            Subject::State(states) => {
                let own = match (packet.is_early, packet.step) {
                    (true, _) => "invalid",
                    (_, Step::First) => "new",
                    (_, Step::Answer | Step::Next) => "established",
                };
                Holds::from(states.iter().any(|state| state == own))
            }
            Subject::V6(v6) => Holds::from(question.to.is_ipv6() == *v6),
            Subject::Flags([first, answer, next]) => Holds::from(match packet.step {
                Step::First => *first,
                Step::Answer => *answer,
                Step::Next => *next,
            }),
            Subject::DestinationType(kinds) => {
                let is_own = packet.is_answer && inner.is_none();
                let own = if is_own { "local" } else { "unicast" };
                Holds::from(kinds.iter().any(|kind| kind == own))
            }
            Subject::Settled(holds) => Holds::from(*holds),
            Subject::Unknown(_) => Holds::Maybe,
        };
        found.negated_if(test.negated)
    }

    /// All users and groups that rules name.
    pub fn named(&self) -> (BTreeSet<Id>, BTreeSet<Id>) {
        let (mut users, mut groups) = (BTreeSet::new(), BTreeSet::new());
        let take = |ids: &[Ids], into: &mut BTreeSet<Id>| {
            for ids in ids {
                match ids {
                    Ids::Range(from, to) => {
                        into.extend([Id::Number(*from), Id::Number(*to)]);
                    }
                    Ids::Name(name) if name == "root" => {
                        into.insert(Id::Number(0));
                    }
                    Ids::Name(name) => {
                        into.insert(Id::Name(name.clone()));
                    }
                }
            }
        };
        for test in self.chains.values().flatten().flat_map(|rule| &rule.tests) {
            match &test.subject {
                Subject::User(ids, _) => take(ids, &mut users),
                Subject::Group(ids, _) => take(ids, &mut groups),
                _ => {}
            }
        }
        (users, groups)
    }

    /// Interfaces that rules name behind which there are containers or virtual machines.
    pub fn bridges(&self) -> BTreeSet<String> {
        let tests = self.chains.values().flatten().flat_map(|rule| &rule.tests);
        let mut found = BTreeSet::new();
        for test in tests {
            if let Subject::In(names) | Subject::Out(names) = &test.subject {
                for name in names {
                    let plain = name.trim_end_matches(['+', '*']);
                    if is_inner(plain) && !plain.starts_with("lo") {
                        // Some interface that the pattern fits.
                        let is_pattern = plain.len() < name.len();
                        found.insert(if is_pattern {
                            format!("{plain}0")
                        } else {
                            plain.to_owned()
                        });
                    }
                }
            }
        }
        found
    }

    /// Takes rules of another form over; both decide about every packet.
    pub fn join(&mut self, other: Self) {
        self.bases.extend(other.bases);
        self.chains.extend(other.chains);
        self.doubts.extend(other.doubts);
    }
}

fn is_id(ids: &[Ids], id: &Id) -> Holds {
    let mut found = Holds::No;
    for own in ids {
        found = match (own, id) {
            (_, Id::Other) => continue,
            (Ids::Range(from, to), Id::Number(number)) if (from..=to).contains(&number) => return Holds::Yes,
            (Ids::Range(..), Id::Number(_)) => continue,
            (Ids::Name(name), Id::Number(0)) if name == "root" => return Holds::Yes,
            (Ids::Name(name), Id::Name(other)) if name == other => return Holds::Yes,
            (Ids::Name(_), Id::Name(_)) => continue,
            (Ids::Name(name), Id::Number(_)) if name == "root" => continue,
            // A name of no known number.
            (Ids::Name(_), Id::Number(0)) => continue,
            (Ids::Name(_), Id::Number(_)) | (Ids::Range(..), Id::Name(_)) => Holds::Maybe,
        };
    }
    found
}

fn is_interface(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix(['+', '*']) {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    }
}

/// Whether packets leave by one of these interfaces. Without the machine's routes that is only known of those that lead nowhere else.
fn uplink_fits(names: &[String], uplink: Option<&str>) -> Holds {
    match uplink {
        Some(uplink) => Holds::from(names.iter().any(|pattern| is_interface(pattern, uplink))),
        None if names.iter().any(|name| name == "+" || name == "*") => Holds::Yes,
        None if names
            .iter()
            .all(|name| is_inner(name.trim_end_matches(['+', '*']))) =>
        {
            Holds::No
        }
        None => Holds::Maybe,
    }
}

/// Whether an interface leads to this machine itself, its containers or virtual machines, by the names that their software gives.
fn is_inner(name: &str) -> bool {
    const STARTS: &[&str] = &[
        "docker",
        "br-",
        "veth",
        "cni",
        "cali",
        "flannel",
        "podman",
        "virbr",
        "lxcbr",
        "lxdbr",
        "nerdctl",
        "cilium",
        "lxc",
        "weave",
        "cbr",
        "kube-bridge",
        "tap",
        "vnet",
        "antrea",
        "ovn-k8s",
        "incusbr",
    ];
    name == "lo" || STARTS.iter().any(|start| name.starts_with(start))
}
