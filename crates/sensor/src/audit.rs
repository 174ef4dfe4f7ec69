//! The audit system as a source: records that the kernel multicasts, beside whoever else reads them.
//!
//! Audit tells of programs and connections. That processes are made and end is told by the process connector, where that works, which
//! also tells when they began; what audit does not tell of a process is read from `/proc`, if it still runs then.

mod control;
mod record;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use rustix::net::netlink;

use self::control::Control;
use self::record::{Call, Joiner};
use crate::clock::{self, Stamped};
use crate::connector::{self, Connector};
use crate::netlink::{Link, Received, message, wait_for};
use crate::observation::{
    Cause, Class, Connect, Context, Exec, Lost, Observation, Outcome, Peer, ProcessId, SinceBoot, Transport,
};
use crate::procfs;
use crate::source::{Abilities, Hook, Mode, Part, Source, SourceError};

/// `AUDIT_NLGRP_READLOG` as a bit.
const READ_LOG: u32 = 1;

/// Bytes that may wait in the kernel: some ten thousand events.
const BUFFER: usize = 16 << 20;

/// Records that are read at once.
const AT_ONCE: usize = 8_192;

/// How often as many are read at the end: the buffer holds no more.
const LAST_READINGS: usize = 32;

/// How long it takes until the kernel has told of something.
const DELIVERED: Duration = Duration::from_millis(50);

/// How often the kernel is asked how many records it lost.
const ASKED: Duration = Duration::from_secs(1);

/// How far the clock of audit may be behind, in ticks in which processes start.
const COARSE: u64 = 2;

/// The number of the error that says that a connection is under way.
const UNDER_WAY: i64 = -115;

#[derive(Debug)]
struct Audit {
    link: Link,
    control: Control,
    hooks: Vec<Hook>,
    /// Tells when processes begin and end.
    processes: Result<Connector, String>,
    joiner: Joiner,
    asked: Instant,
    lost: u32,
    told_given_up: u64,
    told_unreadable: u64,
    serials: Serials,
    stamps: Stamped,
    /// When everything had been read that there was.
    emptied: SinceBoot,
}

/// Starts to listen, and sets audit so that there is something to hear.
pub(crate) fn start() -> Result<impl Source, SourceError> {
    let refused = |error| SourceError::refused("listening to audit", error);
    let link = Link::open(netlink::AUDIT, READ_LOG, BUFFER).map_err(refused)?;
    let (mut control, hooks) = Control::take()?;
    Ok(Audit {
        link,
        lost: control.lost().unwrap_or(0),
        control,
        hooks,
        processes: connector::subscribe(false).map_err(|error| error.to_string()),
        joiner: Joiner::default(),
        asked: Instant::now(),
        told_given_up: 0,
        told_unreadable: 0,
        serials: Serials::default(),
        stamps: Stamped::now(),
        emptied: clock::since_boot(),
    })
}

impl Source for Audit {
    fn poll(&mut self, wait: Duration, sink: &mut dyn FnMut(Observation)) -> Result<(), SourceError> {
        let refused = |error| SourceError::refused("listening to audit", error);
        let connector = self.processes.as_ref().ok().map(Connector::link);
        wait_for([Some(&self.link), connector], wait).map_err(refused)?;
        let began = clock::since_boot();
        self.stamps.look(self.emptied);
        let mut calls = Vec::new();
        for _ in 0..AT_ONCE {
            let call = match self.link.receive(Duration::ZERO).map_err(refused)? {
                Received::Nothing => {
                    self.emptied = began;
                    break;
                }
                Received::Overrun => {
                    self.serials.overrun = true;
                    continue;
                }
                Received::Datagram(datagram) => match message(datagram) {
                    Some(record) => self.joiner.push(record.kind, record.payload),
                    None => None,
                },
            };
            calls.extend(call);
        }
        // A process is made before it does anything, so by now it has been told of all that were made that these records are about.
        if let Ok(connector) = &mut self.processes {
            connector.drain(sink)?;
        }
        for call in calls {
            self.serials.note(call.serial);
            if let Some(observation) = self.observe(&call) {
                sink(observation);
            }
        }
        if self.asked.elapsed() >= ASKED {
            self.asked = Instant::now();
            self.tell_lost(sink);
        }
        Ok(())
    }

    fn finish(&mut self, sink: &mut dyn FnMut(Observation)) -> Result<(), SourceError> {
        // The thread of audit in the kernel is about to tell of what has just happened.
        std::thread::sleep(DELIVERED);
        for _ in 0..LAST_READINGS {
            let emptied = self.emptied;
            self.poll(Duration::ZERO, sink)?;
            if self.emptied > emptied {
                break;
            }
        }
        self.tell_lost(sink);
        Ok(())
    }

    fn abilities(&self) -> Abilities {
        let mut hooks = self.hooks.clone();
        hooks.push(Hook {
            name: "process connector".to_owned(),
            failed: self.processes.as_ref().err().cloned(),
        });
        let mut unseen = vec![Part::UnixSockets, Part::Files, Part::Changes];
        if self.processes.is_err() {
            unseen.extend([Part::Forks, Part::Exits]);
        }
        Abilities {
            mode: Mode::Audit,
            hooks,
            unseen,
            uncertain: vec![
                Part::Container,
                Part::Namespaces,
                Part::Capabilities,
                Part::Outcomes,
            ],
            passed_over: Vec::new(),
        }
    }
}

impl Audit {
    fn observe(&mut self, call: &Call) -> Option<Observation> {
        let at = self.stamps.when(call.millis, clock::since_boot());
        let pid = u32::try_from(call.number("pid")?).ok()?;
        let now = ProcessId::new(pid, at).start;
        let process = ProcessId {
            pid,
            start: self.start_of(pid, now, now),
        };
        if call.args.is_some() {
            return Some(Observation::Exec(Box::new(self.program(call, at, process))));
        }
        let peer = peer(call.address.as_deref()?, || transport(pid, call))?;
        Some(Observation::Connect(Box::new(Connect {
            at,
            process,
            thread: call.text("comm").unwrap_or_default(),
            peer,
            local: None,
            outcome: outcome(call),
            context: users(call),
        })))
    }

    fn program(&mut self, call: &Call, at: SinceBoot, process: ProcessId) -> Exec {
        let executable = call.text("exe").unwrap_or_default();
        let asked = call.names.get(&0).cloned();
        let args = call.args.clone().unwrap_or_default();
        let list = args.list();
        // An interpreter is given the script as its first argument, or as its second behind an option.
        let is_script = asked
            .as_ref()
            .is_some_and(|asked| *asked != executable && list.iter().skip(1).take(2).any(|arg| arg == asked));
        let script = asked
            .as_ref()
            .filter(|_| is_script)
            .map(|asked| procfs::absolute(asked, call.cwd.as_deref()));
        let mut context = users(call);
        if let Some(read) = procfs::context(process) {
            context.capabilities_effective = read.capabilities_effective;
            context.capabilities_permitted = read.capabilities_permitted;
            context.inner_pid = read.inner_pid;
            context.namespaces = read.namespaces;
            context.cgroup = read.cgroup;
            context.session_leader = read.session_leader;
            context.group_leader = read.group_leader;
        }
        let parent = call
            .number("ppid")
            .and_then(|pid| u32::try_from(pid).ok())
            .filter(|pid| *pid != 0);
        Exec {
            at,
            process,
            started: None,
            parent: parent.map(|pid| ProcessId {
                pid,
                start: self.start_of(pid, ProcessId::new(pid, at).start, 0),
            }),
            unnamed: executable.starts_with(b"/memfd:") || executable.ends_with(b" (deleted)"),
            executable: executable
                .strip_suffix(b" (deleted)")
                .unwrap_or(&executable)
                .to_vec(),
            script,
            asked,
            args_bytes: args.bytes,
            args_count: Some(args.count),
            args: Some(list),
            cwd: call.cwd.clone(),
            context,
        }
    }

    /// See [`Connector::start_of`]. The clock of audit goes on in ticks, so that a process may have started after what it did.
    fn start_of(&mut self, pid: u32, by: u64, otherwise: u64) -> u64 {
        let by = by.saturating_add(COARSE);
        match &mut self.processes {
            Ok(connector) => connector.start_of(pid, by, otherwise),
            Err(_) => procfs::Stat::read(pid)
                .map(|stat| stat.process.start)
                .filter(|start| *start <= by)
                .unwrap_or(otherwise),
        }
    }

    fn tell_lost(&mut self, sink: &mut dyn FnMut(Observation)) {
        let mut tell = |cause, count: u64| {
            if count > 0 {
                let class = Class::Unknown;
                sink(Observation::Lost(Lost { class, cause, count }));
            }
        };
        if let Some(lost) = self.control.lost() {
            tell(Cause::BufferFull, lost.wrapping_sub(self.lost).into());
            self.lost = lost;
        }
        tell(Cause::BufferFull, self.serials.missing());
        tell(Cause::TableFull, self.joiner.given_up - self.told_given_up);
        tell(Cause::Unreadable, self.joiner.unreadable - self.told_unreadable);
        tell(Cause::TakenAway, self.control.renew().into());
        self.told_given_up = self.joiner.given_up;
        self.told_unreadable = self.joiner.unreadable;
    }
}

/// Numbers of events, of which some are missing where the socket's buffer was full. Events have numbers in a row; those of other rules
/// than the sensor's have some, too, so this is how many at most.
#[derive(Debug, Default)]
struct Serials {
    first: Option<u64>,
    last: u64,
    seen: u64,
    overrun: bool,
}

impl Serials {
    fn note(&mut self, serial: u64) {
        let first = *self.first.get_or_insert(serial);
        if serial >= first {
            self.seen += 1;
            self.last = self.last.max(serial);
        }
    }

    /// How many are missing; at least one if the buffer was full.
    fn missing(&mut self) -> u64 {
        let ended = std::mem::take(self);
        if !ended.overrun {
            return 0;
        }
        let span = ended
            .first
            .map_or(0, |first| ended.last.saturating_sub(first) + 1);
        span.saturating_sub(ended.seen).max(1)
    }
}

fn outcome(call: &Call) -> Outcome {
    match (
        call.number("exit"),
        call.fields.get(&b"success"[..]).map(Vec::as_slice),
    ) {
        (Some(UNDER_WAY), _) => Outcome::Attempted,
        (_, Some(b"yes")) => Outcome::Accepted,
        (exit, _) => Outcome::Failed(exit.and_then(|exit| i32::try_from(exit.checked_neg()?).ok())),
    }
}

/// Reads records without asking the host anything: what fuzz targets try.
#[derive(Debug, Default)]
pub(crate) struct Reading(Joiner);

impl Reading {
    /// Whether a datagram completes an event.
    pub(crate) fn read(&mut self, datagram: &[u8]) -> bool {
        let record = message(datagram);
        let Some(call) = record.and_then(|record| self.0.push(record.kind, record.payload)) else {
            return false;
        };
        let context = users(&call);
        let peer = call
            .address
            .as_deref()
            .and_then(|address| peer(address, || Transport::Unknown));
        let args = call.args.as_ref().map(|args| args.list());
        let seen = (context.tty, outcome(&call), peer, args);
        !matches!(seen, (None, Outcome::Failed(None), None, None)) || !call.fields.is_empty()
    }
}

fn users(call: &Call) -> Context {
    Context {
        uid: call.id("uid"),
        euid: call.id("euid"),
        gid: call.id("gid"),
        egid: call.id("egid"),
        login_uid: call.id("auid"),
        session_id: call.id("ses"),
        tty: call.fields.get(&b"tty"[..]).and_then(|name| terminal(name)),
        ..Context::default()
    }
}

/// The device of a terminal by its name (`Documentation/admin-guide/devices.txt` of the kernel).
fn terminal(name: &[u8]) -> Option<u32> {
    const TERMINAL: u32 = 4;
    const SERIAL: u32 = 64;
    const PSEUDO: u32 = 136;
    let name = std::str::from_utf8(name).ok()?;
    let number = |text: &str| text.parse::<u32>().ok();
    if name == "(none)" {
        return Some(0);
    }
    if name == "console" {
        return Some((5 << 16) | 1);
    }
    if let Some(pseudo) = name.strip_prefix("pts").and_then(number) {
        // Each major number has 256 of them.
        return Some((PSEUDO + pseudo / 256).checked_shl(16)? | (pseudo % 256));
    }
    if let Some(serial) = name.strip_prefix("ttyS").and_then(number) {
        return Some((TERMINAL << 16) | ((SERIAL + serial) & 0xffff));
    }
    let console = name.strip_prefix("tty").and_then(number)?;
    Some((TERMINAL << 16) | (console & 0xffff))
}

/// An address as it lies in memory: the family in the byte order of the processor, the rest in that of networks (ip(7), ipv6(7)).
fn peer(address: &[u8], transport: impl FnOnce() -> Transport) -> Option<Peer> {
    const UNIX: u16 = 1;
    const IPV4: u16 = 2;
    const IPV6: u16 = 10;
    let family = u16::from_ne_bytes(*address.first_chunk()?);
    if family == UNIX {
        let path = address.get(2..)?;
        let is_abstract = path.first() == Some(&0);
        let end = path
            .iter()
            .skip(usize::from(is_abstract))
            .position(|byte| *byte == 0);
        let end = end.map_or(path.len(), |end| end + usize::from(is_abstract));
        return Some(Peer::Unix(path.get(..end)?.to_vec()));
    }
    let port = u16::from_be_bytes(*address.get(2..)?.first_chunk()?);
    let ip = match family {
        IPV4 => IpAddr::V4(Ipv4Addr::from(*address.get(4..)?.first_chunk::<4>()?)),
        IPV6 => IpAddr::V6(Ipv6Addr::from(*address.get(8..)?.first_chunk::<16>()?)),
        _ => return None,
    };
    Some(Peer::Ip {
        transport: transport(),
        address: SocketAddr::new(ip, port),
    })
}

/// What the socket speaks that the call was given, if the process still has it.
fn transport(pid: u32, call: &Call) -> Transport {
    let descriptor = call
        .fields
        .get(&b"a0"[..])
        .and_then(|text| u64::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok());
    let Some(descriptor) = descriptor else {
        return Transport::Unknown;
    };
    let mut name = [0; 32];
    let path = format!("/proc/{pid}/fd/{descriptor}");
    let length = rustix::fs::getxattr(&path, "system.sockprotoname", name.as_mut_slice()).unwrap_or(0);
    let name = name.get(..length).unwrap_or_default();
    match name.strip_suffix(b"\0").unwrap_or(name) {
        b"TCP" | b"TCPv6" | b"MPTCP" | b"MPTCPv6" => Transport::Tcp,
        b"UDP" | b"UDPv6" => Transport::Udp,
        _ => Transport::Unknown,
    }
}
