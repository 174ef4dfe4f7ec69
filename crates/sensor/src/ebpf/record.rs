//! The records of the programs in the kernel (`ebpf/sensor.bpf.c`; both must say the same), read byte by byte.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::cgroup;
use crate::files::Files;
use crate::observation::{
    Change, Connect, Context, Exec, Namespaces, Observation, Open, Outcome, Peer, ProcessId, SinceBoot,
    Transport,
};

/// What a record says.
#[derive(Debug)]
pub(crate) enum Record {
    /// Nothing but what was seen.
    Seen(Observation),
    /// A connection was asked for, on the socket of this number; how it went is told later.
    Asked(u64, Box<Connect>),
    /// How the connection of this socket went, and where it begins.
    Went(u64, Outcome, Option<SocketAddr>),
    /// Something that is not looked for after all: only the end of its path is.
    Other,
}

/// Reads one. `None`: it is none of the programs' records.
pub(crate) fn read(bytes: &[u8], files: &Files) -> Option<Record> {
    let mut bytes = Bytes(bytes);
    let kind = bytes.u32()?;
    let pid = bytes.u32()?;
    let at = SinceBoot(bytes.u64()?);
    let started = SinceBoot(bytes.u64()?);
    let head = Head {
        at,
        started,
        process: ProcessId::new(pid, started),
    };
    match kind {
        1 => fork(&head, bytes),
        2 => exec(&head, bytes),
        3 => Some(Record::Seen(Observation::Exit {
            at,
            process: head.process,
            status: bytes.i32()?,
        })),
        4 => connect(&head, bytes),
        5 => outcome(bytes),
        6 => open(&head, bytes, files),
        7 => unix(&head, bytes, files),
        8 => change(&head, bytes),
        _ => None,
    }
}

struct Head {
    at: SinceBoot,
    started: SinceBoot,
    process: ProcessId,
}

fn fork(head: &Head, mut bytes: Bytes<'_>) -> Option<Record> {
    let parent_started = SinceBoot(bytes.u64()?);
    Some(Record::Seen(Observation::Fork {
        at: head.at,
        child: head.process,
        parent: ProcessId::new(bytes.u32()?, parent_started),
    }))
}

/// Bits of `flags` in a record of a program that was started.
const UNNAMED: u32 = 1;
const SCRIPT: u32 = 2;
const LOGIN: u32 = 4;

fn exec(head: &Head, mut bytes: Bytes<'_>) -> Option<Record> {
    let parent_started = SinceBoot(bytes.u64()?);
    let permitted = bytes.u64()?;
    let effective = bytes.u64()?;
    let args_bytes = bytes.u64()?;
    let args_count = bytes.u64()?;
    let mut context = ids(&mut bytes)?;
    let parent = bytes.u32()?;
    let login = bytes.u32()?;
    let session = bytes.u32()?;
    context.inner_pid = Some(bytes.u32()?);
    context.namespaces = Some(Namespaces {
        mnt: bytes.u32()?,
        pid: bytes.u32()?,
        net: bytes.u32()?,
        user: bytes.u32()?,
        uts: bytes.u32()?,
    });
    context.tty = Some(bytes.u32()?);
    context.session_leader = Some(bytes.u32()?);
    context.group_leader = Some(bytes.u32()?);
    let flags = bytes.u32()?;
    let lengths = [
        bytes.u32()?,
        bytes.u32()?,
        bytes.u32()?,
        bytes.u32()?,
        bytes.u32()?,
        bytes.u32()?,
    ];
    let [asked, program, cwd, group, group_before, args] = lengths;
    // What follows begins where a number of eight bytes could.
    bytes.take(4)?;
    let asked = until_zero(bytes.take(asked)?);
    let executable = path(bytes.take(program)?);
    let cwd = path(bytes.take(cwd)?);
    let group = path(bytes.take(group)?);
    let group_before = path(bytes.take(group_before)?);
    let args = bytes.take(args)?;
    if flags & LOGIN != 0 {
        context.login_uid = known(login);
        context.session_id = known(session);
    }
    context.capabilities_effective = Some(effective);
    context.capabilities_permitted = Some(permitted);
    context.cgroup = Some(cgroup::telling(&group, &group_before).to_vec());
    let cut = (args.len() as u64) < args_bytes;
    Some(Record::Seen(Observation::Exec(Box::new(Exec {
        at: head.at,
        process: head.process,
        started: Some(head.started),
        parent: Some(ProcessId::new(parent, parent_started)),
        script: (flags & SCRIPT != 0).then(|| absolute(asked, Some(&cwd))),
        asked: Some(asked.to_vec()),
        executable,
        unnamed: flags & UNNAMED != 0,
        args: (!args.is_empty() || args_bytes == 0).then(|| arguments(args)),
        args_bytes,
        args_count: cut.then_some(args_count),
        cwd: Some(cwd),
        context,
    }))))
}

/// The number that stands for nobody is no number.
fn known(id: u32) -> Option<u32> {
    (id != u32::MAX).then_some(id)
}

fn ids(bytes: &mut Bytes<'_>) -> Option<Context> {
    Some(Context {
        uid: Some(bytes.u32()?),
        euid: Some(bytes.u32()?),
        gid: Some(bytes.u32()?),
        egid: Some(bytes.u32()?),
        ..Context::default()
    })
}

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const TCP: u32 = 6;
const UDP: u32 = 17;

fn connect(head: &Head, mut bytes: Bytes<'_>) -> Option<Record> {
    let cookie = bytes.u64()?;
    let address = bytes.array()?;
    let context = ids(&mut bytes)?;
    let thread = until_zero(bytes.take(16)?).to_vec();
    let family = u16::try_from(bytes.u32()?).ok()?;
    let transport = match bytes.u32()? {
        TCP => Transport::Tcp,
        UDP => Transport::Udp,
        other => Transport::Other(u8::try_from(other).unwrap_or(u8::MAX)),
    };
    let port = u16::from_be_bytes(bytes.array()?);
    let [told, _] = bytes.array()?;
    let error = bytes.i32()?;
    let mut connect = Box::new(Connect {
        at: head.at,
        process: head.process,
        thread,
        peer: Peer::Ip {
            transport,
            address: SocketAddr::new(ip(family, address)?, port),
        },
        local: None,
        outcome: Outcome::Attempted,
        context,
    });
    match told {
        LATER => return Some(Record::Asked(cookie, connect)),
        HERE => connect.outcome = went(error, transport == Transport::Tcp),
        _ => {}
    }
    Some(Record::Seen(Observation::Connect(connect)))
}

/// Where a record says that how the connection went is told.
const LATER: u8 = 1;
const HERE: u8 = 2;

/// How a call went that gave an error, or 0. A socket for datagrams has no other end that could accept.
fn went(error: i32, accepts: bool) -> Outcome {
    match error {
        0 if accepts => Outcome::Accepted,
        0 | EAGAIN | EINPROGRESS => Outcome::Attempted,
        1.. => Outcome::Failed(Some(error)),
        _ => Outcome::Failed(None),
    }
}

/// An address as the kernel has it; one of IPv4 that is written as one of IPv6 is one of IPv4.
fn ip(family: u16, address: [u8; 16]) -> Option<IpAddr> {
    match family {
        AF_INET => {
            let [a, b, c, d, ..] = address;
            Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
        }
        AF_INET6 => Some(IpAddr::V6(Ipv6Addr::from(address)).to_canonical()),
        _ => None,
    }
}

fn outcome(mut bytes: Bytes<'_>) -> Option<Record> {
    let cookie = bytes.u64()?;
    let address = bytes.array()?;
    let error = bytes.i32()?;
    let family = bytes.u16()?;
    let port = bytes.u16()?;
    let local = ip(family, address).filter(|_| port != 0);
    let local = local.map(|ip| SocketAddr::new(ip, port));
    Some(Record::Went(cookie, went(error, local.is_some()), local))
}

struct Named {
    context: Context,
    thread: Vec<u8>,
    error: i32,
    writing: bool,
    made: bool,
    path: Option<Vec<u8>>,
}

fn open(head: &Head, bytes: Bytes<'_>, files: &Files) -> Option<Record> {
    let named = named(bytes, files)?;
    let Some(path) = named.path else {
        return Some(Record::Other);
    };
    Some(Record::Seen(Observation::Open(Box::new(Open {
        at: head.at,
        process: head.process,
        path,
        writing: named.writing,
        made: named.made,
        failed: (named.error != 0).then_some(named.error),
    }))))
}

fn change(head: &Head, mut bytes: Bytes<'_>) -> Option<Record> {
    let permitted = bytes.u64()?;
    let effective = bytes.u64()?;
    let mut context = ids(&mut bytes)?;
    context.capabilities_permitted = Some(permitted);
    context.capabilities_effective = Some(effective);
    context.session_leader = Some(bytes.u32()?);
    context.group_leader = Some(bytes.u32()?);
    Some(Record::Seen(Observation::Change(Box::new(Change {
        at: head.at,
        process: head.process,
        context,
    }))))
}

fn unix(head: &Head, bytes: Bytes<'_>, files: &Files) -> Option<Record> {
    let named = named(bytes, files)?;
    let Some(path) = named.path else {
        return Some(Record::Other);
    };
    Some(Record::Seen(Observation::Connect(Box::new(Connect {
        at: head.at,
        process: head.process,
        thread: named.thread,
        peer: Peer::Unix(path),
        local: None,
        outcome: went(named.error, true),
        context: named.context,
    }))))
}

/// How a file was opened.
const WRITING: u32 = 1;
const MADE: u32 = 2;

const EAGAIN: i32 = 11;
const EINPROGRESS: i32 = 115;

/// What an open or a connection to a Unix socket has in common. Of the name that the process used and the real one, the first that
/// is looked for is told: rules name paths as processes do, but links and folders above lead elsewhere.
fn named(mut bytes: Bytes<'_>, files: &Files) -> Option<Named> {
    let context = ids(&mut bytes)?;
    let thread = until_zero(bytes.take(16)?).to_vec();
    let error = bytes.i32()?;
    let how = bytes.u32()?;
    let made = how & MADE != 0;
    let lengths = [bytes.u32()?, bytes.u32()?, bytes.u32()?];
    let [named, real, folder] = lengths;
    // What follows begins where a number of eight bytes could.
    bytes.take(4)?;
    let named = until_zero(bytes.take(named)?);
    let real = bytes.take(real)?;
    let folder = bytes.take(folder)?;
    let real = (!real.is_empty()).then(|| path(real));
    let upwards = named.split(|byte| *byte == b'/').any(|part| part == b"..");
    let used = match named {
        [] => None,
        _ if upwards && real.is_some() => None,
        [b'/', ..] => Some(absolute(named, None)),
        _ if folder.is_empty() => None,
        _ => Some(absolute(named, Some(&path(folder)))),
    };
    Some(Named {
        context,
        thread,
        error,
        writing: how & WRITING != 0,
        made,
        path: used.into_iter().chain(real).find(|path| files.has(path, made)),
    })
}

/// A path of which the kernel wrote the parts from the last to the first, a zero behind each.
fn path(parts: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(parts.len() + 1);
    for part in parts
        .split(|byte| *byte == 0)
        .rev()
        .filter(|part| !part.is_empty())
    {
        path.push(b'/');
        path.extend_from_slice(part);
    }
    if path.is_empty() {
        path.push(b'/');
    }
    path
}

/// A path from the root, of one that begins at a folder, without what leads nowhere (`.`, two slashes). Steps upwards stay, since a
/// link may come before them.
fn absolute(name: &[u8], folder: Option<&[u8]>) -> Vec<u8> {
    let mut path = match (name, folder) {
        ([b'/', ..], _) | (_, None) => Vec::with_capacity(name.len()),
        (_, Some(b"/")) => Vec::with_capacity(name.len() + 1),
        (_, Some(folder)) => folder.to_vec(),
    };
    for part in name
        .split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty() && *part != b".")
    {
        path.push(b'/');
        path.extend_from_slice(part);
    }
    if path.is_empty() {
        path.push(b'/');
    }
    path
}

/// Each ends with a zero; the last may have been cut before it.
fn arguments(bytes: &[u8]) -> Vec<Vec<u8>> {
    if bytes.is_empty() {
        return Vec::new();
    }
    let whole = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    whole.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// The rest of a record, in the byte order of the machine.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn take(&mut self, length: u32) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(first)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_ne_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_ne_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_ne_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_ne_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(kind: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(42u32.to_ne_bytes());
        bytes.extend(7_000_000_000u64.to_ne_bytes());
        bytes.extend(6_000_000_000u64.to_ne_bytes());
        bytes
    }

    #[test]
    fn paths_are_turned_round() {
        assert_eq!(path(b"ls\0bin\0usr\0"), b"/usr/bin/ls");
        assert_eq!(path(b""), b"/");
        assert_eq!(path(b"memfd:x\0"), b"/memfd:x");
        assert_eq!(absolute(b"./a//b/", Some(b"/x")), b"/x/a/b");
        assert_eq!(absolute(b"a", Some(b"/")), b"/a");
        assert_eq!(absolute(b"//a", Some(b"/x")), b"/a");
    }

    #[test]
    fn arguments_may_be_empty_or_cut() {
        assert_eq!(arguments(b"ls\0\0-l\0"), [&b"ls"[..], b"", b"-l"]);
        assert_eq!(arguments(b"\0"), [&b""[..]]);
        assert_eq!(arguments(b"ls\0-l"), [&b"ls"[..], b"-l"]);
        assert!(arguments(b"").is_empty());
    }

    #[test]
    fn records_that_end_too_early_are_refused() {
        for kind in 0..9 {
            let bytes = head(kind);
            for length in 0..bytes.len() {
                assert!(read(bytes.get(..length).unwrap(), &Files::default()).is_none());
            }
        }
        let mut exit = head(3);
        exit.extend(256i32.to_ne_bytes());
        let Some(Record::Seen(Observation::Exit { process, status, .. })) = read(&exit, &Files::default())
        else {
            panic!("an exit");
        };
        assert_eq!((process.pid, process.start, status), (42, 600, 256));
    }

    #[test]
    fn mapped_addresses_are_those_of_version_four() {
        let mapped = Ipv4Addr::new(169, 254, 169, 254).to_ipv6_mapped().octets();
        assert_eq!(
            ip(10, mapped),
            Some(IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)))
        );
    }
}
