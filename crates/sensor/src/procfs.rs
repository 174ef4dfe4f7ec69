//! What `/proc` says of a process (proc(5)): for processes that ran before the sensor, and for sources that see little.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use crate::cgroup;
use crate::observation::{Context, Namespaces, ProcessId};
use crate::process::name_of;

/// Bytes of arguments that are kept of a process. What is beyond is told by its length.
pub(crate) const ARGS_KEPT: usize = 16 << 10;

/// Bytes that are read of any other file of a process.
const FILE_KEPT: u64 = 64 << 10;

/// A process that runs.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// Which.
    pub(crate) process: ProcessId,
    /// The number of its parent.
    pub(crate) parent: u32,
    /// The name of its first thread.
    pub(crate) name: Vec<u8>,
    /// Its program, if it is one: threads of the kernel have none.
    pub(crate) executable: Option<Vec<u8>>,
    /// The program's file has no name (any more).
    pub(crate) unnamed: bool,
    /// Its arguments, as many as are kept.
    pub(crate) args: Vec<Vec<u8>>,
    /// How many bytes they have in truth.
    pub(crate) args_bytes: u64,
    /// The working directory.
    pub(crate) cwd: Option<Vec<u8>>,
    /// As whom and where it runs.
    pub(crate) context: Context,
}

impl Snapshot {
    /// What was asked to be run, and the script that this was, if the program was started just now.
    ///
    /// The kernel names a thread that becomes a program by the last part of what was asked for, cut after 15 bytes. Where that is not the
    /// name of the file, it was a link, or a script that an interpreter runs, which stands among the arguments.
    pub(crate) fn asked(&self) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        const NAME: usize = 15;
        let is_called = |path: &[u8]| {
            let name = name_of(path);
            name.get(..name.len().min(NAME)) == Some(self.name.as_slice())
        };
        if self.name.is_empty() || self.executable.as_deref().is_none_or(is_called) {
            return (None, None);
        }
        let mut args = self.args.iter();
        if let Some(first) = args.next().filter(|first| is_called(first)) {
            return (Some(first.clone()), None);
        }
        let Some(script) = args.find(|arg| is_called(arg)) else {
            return (Some(self.name.clone()), None);
        };
        (Some(script.clone()), Some(absolute(script, self.cwd.as_deref())))
    }
}

/// A path as seen from a folder.
pub(crate) fn absolute(path: &[u8], folder: Option<&[u8]>) -> Vec<u8> {
    match folder {
        Some(folder) if !path.starts_with(b"/") => {
            let below = path.strip_prefix(b"./").unwrap_or(path);
            [folder.strip_suffix(b"/").unwrap_or(folder), b"/", below].concat()
        }
        _ => path.to_vec(),
    }
}

/// The numbers of all processes that run now.
pub(crate) fn all() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// Everything of a process, if it still runs.
pub(crate) fn read(pid: u32) -> Option<Snapshot> {
    let before = Stat::read(pid)?;
    let link = |name: &str| {
        let target = fs::read_link(format!("/proc/{pid}/{name}")).ok()?;
        Some(target.into_os_string().into_vec())
    };
    let mut executable = link("exe");
    let mut unnamed = false;
    if let Some(path) = &mut executable {
        if let Some(named) = path.strip_suffix(b" (deleted)") {
            path.truncate(named.len());
            unnamed = true;
        }
        unnamed |= path.starts_with(b"/memfd:");
    }
    let (args, bytes) = arguments(pid);
    let context = context_of(&before);
    let cwd = link("cwd");
    // The number may have been given to another process while this one was read.
    if Stat::read(pid)?.process != before.process {
        return None;
    }
    Some(Snapshot {
        process: before.process,
        parent: before.parent,
        name: before.name,
        executable,
        unnamed,
        args,
        args_bytes: before.args_bytes.unwrap_or(0).max(bytes),
        cwd,
        context,
    })
}

/// As whom and where a process runs, if it still does.
pub(crate) fn context(process: ProcessId) -> Option<Context> {
    let is_it = |stat: &Stat| process.start == 0 || stat.process.start.abs_diff(process.start) <= 2;
    let stat = Stat::read(process.pid).filter(is_it)?;
    let context = context_of(&stat);
    Stat::read(process.pid).filter(is_it)?;
    Some(context)
}

fn context_of(stat: &Stat) -> Context {
    let pid = stat.process.pid;
    Context {
        login_uid: number(pid, "loginuid"),
        session_id: number(pid, "sessionid"),
        namespaces: namespaces(pid),
        cgroup: Cgroups::read(pid).map(|groups| groups.telling().to_vec()),
        tty: Some(stat.tty),
        session_leader: Some(stat.session),
        group_leader: Some(stat.group),
        ..status(pid)
    }
}

/// What `/proc/PID/stat` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    /// Which process.
    pub(crate) process: ProcessId,
    /// The number of its parent.
    pub(crate) parent: u32,
    /// The name of its first thread.
    pub(crate) name: Vec<u8>,
    group: u32,
    session: u32,
    tty: u32,
    args_bytes: Option<u64>,
}

impl Stat {
    /// Of a process, if it still runs.
    pub(crate) fn read(pid: u32) -> Option<Self> {
        Self::parse(pid, &file(pid, "stat")?)
    }

    /// Fields are counted from the bracket that closes the name, since a name may hold brackets and blanks.
    fn parse(pid: u32, text: &[u8]) -> Option<Self> {
        let open = text.iter().position(|byte| *byte == b'(')?;
        let close = text.iter().rposition(|byte| *byte == b')')?;
        let name = text.get(open + 1..close)?.to_vec();
        let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // The first of these fields is the third of the file.
        let field = |number: usize| fields.get(number - 3).copied();
        let args_bytes = match (field(48), field(49)) {
            (Some(start), Some(end)) => {
                let (start, end): (u64, u64) = (start.parse().ok()?, end.parse().ok()?);
                end.checked_sub(start)
            }
            _ => None,
        };
        Some(Self {
            process: ProcessId {
                pid,
                start: field(22)?.parse().ok()?,
            },
            parent: field(4)?.parse().ok()?,
            name,
            group: field(5)?.parse().unwrap_or(0),
            session: field(6)?.parse().unwrap_or(0),
            tty: terminal(field(7)?.parse().unwrap_or(0)),
            args_bytes,
        })
    }
}

/// A device as the field tells it (minor in bits 0 to 7 and 20 to 31, major in bits 8 to 15), as the crate does: major in the
/// upper half, minor in the lower.
fn terminal(device: i32) -> u32 {
    let device = device.cast_unsigned();
    let minor = (device & 0xff) | ((device >> 12) & 0xff00);
    ((device >> 8) & 0xff) << 16 | minor
}

/// The control groups of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cgroups {
    /// In the hierarchy of version 2.
    pub(crate) unified: Option<Vec<u8>>,
    /// In those of version 1, the one that counts processes first.
    separate: Option<Vec<u8>>,
}

impl Cgroups {
    /// Of a process, if it still runs.
    pub(crate) fn read(pid: u32) -> Option<Self> {
        Some(Self::parse(&file(pid, "cgroup")?))
    }

    /// Lines are `number:controllers:path` (cgroups(7)).
    fn parse(text: &[u8]) -> Self {
        let mut groups = Self::default();
        for line in text.split(|byte| *byte == b'\n') {
            let mut parts = line.splitn(3, |byte| *byte == b':');
            let (Some(number), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
            else {
                continue;
            };
            if number == b"0" {
                groups.unified = Some(path.to_vec());
            } else if controllers == b"pids" || (controllers == b"name=systemd" && groups.separate.is_none())
            {
                groups.separate = Some(path.to_vec());
            }
        }
        groups
    }

    /// The path that says more of who started the process: where both hierarchies are in use, runtimes make their groups in one.
    pub(crate) fn telling<'a>(&'a self) -> &'a [u8] {
        let path = |path: &'a Option<Vec<u8>>| path.as_deref().unwrap_or(b"/");
        cgroup::telling(path(&self.unified), path(&self.separate))
    }
}

fn file(pid: u32, name: &str) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    File::open(format!("/proc/{pid}/{name}"))
        .ok()?
        .take(FILE_KEPT)
        .read_to_end(&mut text)
        .ok()?;
    Some(text)
}

/// A number that is a file; the largest is how these files say that there is none.
fn number(pid: u32, name: &str) -> Option<u32> {
    let text = file(pid, name)?;
    let number = std::str::from_utf8(&text).ok()?.trim().parse().ok()?;
    (number != u32::MAX).then_some(number)
}

fn arguments(pid: u32) -> (Vec<Vec<u8>>, u64) {
    let mut bytes = vec![0; ARGS_KEPT];
    let mut length = 0;
    if let Ok(mut file) = File::open(format!("/proc/{pid}/cmdline")) {
        while let Some(rest) = bytes.get_mut(length..).filter(|rest| !rest.is_empty()) {
            match file.read(rest) {
                Ok(0) | Err(_) => break,
                Ok(read) => length += read,
            }
        }
    }
    bytes.truncate(length);
    (split(&bytes), length.try_into().unwrap_or(u64::MAX))
}

/// Arguments that stand one after another, a zero after each.
pub(crate) fn split(bytes: &[u8]) -> Vec<Vec<u8>> {
    if bytes.is_empty() {
        return Vec::new();
    }
    let whole = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    whole.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
}

fn namespaces(pid: u32) -> Option<Namespaces> {
    let inode = |name: &str| -> Option<u32> {
        let link = fs::read_link(format!("/proc/{pid}/ns/{name}")).ok()?;
        let text = link.to_str()?;
        text.split_once('[')?.1.strip_suffix(']')?.parse().ok()
    };
    Some(Namespaces {
        mnt: inode("mnt")?,
        pid: inode("pid")?,
        net: inode("net")?,
        user: inode("user")?,
        uts: inode("uts")?,
    })
}

fn status(pid: u32) -> Context {
    let mut context = Context::default();
    let text = file(pid, "status").unwrap_or_default();
    for line in String::from_utf8_lossy(&text).lines() {
        let Some((key, values)) = line.split_once(':') else {
            continue;
        };
        let mut numbers = values.split_ascii_whitespace();
        match key {
            "Uid" => {
                context.uid = numbers.next().and_then(|number| number.parse().ok());
                context.euid = numbers.next().and_then(|number| number.parse().ok());
            }
            "Gid" => {
                context.gid = numbers.next().and_then(|number| number.parse().ok());
                context.egid = numbers.next().and_then(|number| number.parse().ok());
            }
            "NSpid" => context.inner_pid = numbers.next_back().and_then(|number| number.parse().ok()),
            "CapEff" => context.capabilities_effective = hexadecimal(values),
            "CapPrm" => context.capabilities_permitted = hexadecimal(values),
            _ => {}
        }
    }
    context
}

fn hexadecimal(text: &str) -> Option<u64> {
    u64::from_str_radix(text.trim(), 16).ok()
}

/// Whether this system has a folder of processes at all.
pub(crate) fn there() -> bool {
    Path::new("/proc/self/stat").exists()
}
