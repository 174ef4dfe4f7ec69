//! What the sources of this crate see, before anything is known about it: the one form between sources and documents.
//!
//! Times are nanoseconds since boot (`CLOCK_BOOTTIME`), so that a step of the wall clock changes neither the order of what
//! was seen nor who is whose parent.

use std::net::SocketAddr;

/// Nanoseconds since boot, sleep included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SinceBoot(pub u64);

/// Nanoseconds of a tick in which `/proc/PID/stat` tells when a process started (`USER_HZ` is 100 on every architecture that
/// has eBPF; proc(5)).
pub const TICK: u64 = 10_000_000;

/// Which process: its number in the namespace of the host, and when it started, since numbers are used again.
///
/// The start is rounded down to a [`TICK`], so that a process that a hook saw and one that was read from `/proc` are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId {
    /// Number of the thread group, as the host counts.
    pub pid: u32,
    /// When its first thread started, in ticks since boot.
    pub start: u64,
}

impl ProcessId {
    /// A process by its number and the moment at which it started.
    pub fn new(pid: u32, started: SinceBoot) -> Self {
        Self {
            pid,
            start: started.0 / TICK,
        }
    }
}

/// One thing that was seen.
#[derive(Clone, Debug)]
pub enum Observation {
    /// A process was made by another. It still is the same program.
    Fork {
        /// When.
        at: SinceBoot,
        /// The new process.
        child: ProcessId,
        /// Who made it.
        parent: ProcessId,
    },
    /// A process became another program.
    Exec(Box<Exec>),
    /// A process ended.
    Exit {
        /// When.
        at: SinceBoot,
        /// Which process.
        process: ProcessId,
        /// What it told its parent, as wait(2) gives it: the exit code in bits 8 to 15, the signal in the lowest 7.
        status: i32,
    },
    /// A process asked for a connection, or for a datagram to be sent to where it had not sent one yet.
    Connect(Box<Connect>),
    /// How a connection went that was handed over before as [`Outcome::Attempted`], since it took long: the same process, peer
    /// and time of asking. It is no connection of its own.
    Outcome(Box<Connect>),
    /// A process opened one of the files that are looked at.
    Open(Box<Open>),
    /// A process became another user or another group, or began a session.
    Change(Box<Change>),
    /// So many of a class were not seen, or seen and given up.
    Lost(Lost),
}

/// A process became another program.
#[derive(Clone, Debug)]
pub struct Exec {
    /// When.
    pub at: SinceBoot,
    /// Which process.
    pub process: ProcessId,
    /// When its first thread started, where the source knows it more exactly than in ticks.
    pub started: Option<SinceBoot>,
    /// Its parent at this moment, and when that one started, where the source knows.
    pub parent: Option<ProcessId>,
    /// The path of the program, as its own root shows it. Bytes, since names need not be UTF-8.
    pub executable: Vec<u8>,
    /// What was asked to be run, where that is a script and the program is its interpreter.
    pub script: Option<Vec<u8>>,
    /// The path that was asked to be run, as it was written (`filename` of the kernel's `struct linux_binprm`): it may be relative, a link
    /// such as `/bin/sh` to `dash` or `/bin/wget` to `busybox`, or a script. Rules name programs by it. A name without a slash where a
    /// source knows no more. `None`: the source cannot see it.
    pub asked: Option<Vec<u8>>,
    /// The program is no file that has a name (`memfd_create`, or deleted before it ran).
    pub unnamed: bool,
    /// Its arguments; the first is the name by which it was called. `None`: the source cannot see them.
    pub args: Option<Vec<Vec<u8>>>,
    /// How many bytes the arguments have in truth, with the zero after each; more than there are in `args` if these were cut.
    pub args_bytes: u64,
    /// How many arguments there are in truth, where they were cut and the source knows.
    pub args_count: Option<u64>,
    /// The working directory, as its own root shows it.
    pub cwd: Option<Vec<u8>>,
    /// The process as it is told from others that share what it has.
    pub context: Context,
}

/// As whom and where a process runs. What a source cannot see is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// Real user.
    pub uid: Option<u32>,
    /// Effective user.
    pub euid: Option<u32>,
    /// Real group.
    pub gid: Option<u32>,
    /// Effective group.
    pub egid: Option<u32>,
    /// Who logged in, whatever was done since; `None` also where nobody did.
    pub login_uid: Option<u32>,
    /// Session of the audit system.
    pub session_id: Option<u32>,
    /// Effective capabilities, a bit each (capabilities(7)).
    pub capabilities_effective: Option<u64>,
    /// Permitted capabilities.
    pub capabilities_permitted: Option<u64>,
    /// The number of the process in its own namespace of processes.
    pub inner_pid: Option<u32>,
    /// Inode numbers of its namespaces.
    pub namespaces: Option<Namespaces>,
    /// The control group: its path below the root of the hierarchy, or as much of its end as the source can see.
    pub cgroup: Option<Vec<u8>>,
    /// Device of the controlling terminal: major in the upper 16 bits, minor in the lower 16; 0 without one.
    pub tty: Option<u32>,
    /// Leader of its session (setsid(2)), by the host's count.
    pub session_leader: Option<u32>,
    /// Its process group, by the host's count.
    pub group_leader: Option<u32>,
}

/// Inode numbers of namespaces, as `/proc/PID/ns` shows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// Mounts.
    pub mnt: u32,
    /// Processes.
    pub pid: u32,
    /// Networks.
    pub net: u32,
    /// Users.
    pub user: u32,
    /// Host names.
    pub uts: u32,
}

/// A process asked for a connection.
#[derive(Clone, Debug)]
pub struct Connect {
    /// When it asked.
    pub at: SinceBoot,
    /// Which process.
    pub process: ProcessId,
    /// The name of the thread (`comm`), where the source sees it.
    pub thread: Vec<u8>,
    /// To where.
    pub peer: Peer,
    /// From where, where it is known.
    pub local: Option<SocketAddr>,
    /// What is known of how it went.
    pub outcome: Outcome,
    /// Its user and groups, where the source sees them; else they are the process's.
    pub context: Context,
}

/// The other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Over IP.
    Ip {
        /// TCP, or UDP.
        transport: Transport,
        /// Address and port.
        address: SocketAddr,
    },
    /// To a Unix socket: its path, or, after a zero, its abstract name.
    Unix(Vec<u8>),
}

/// Transports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// Another, by the number that IANA gave it.
    Other(u8),
    /// The source cannot see it.
    Unknown,
}

/// What is known of how a connection went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was asked for, and no more is known (yet).
    Attempted,
    /// It was accepted.
    Accepted,
    /// It failed: the error's number, where it is known.
    Failed(Option<i32>),
}

/// A process opened a file.
#[derive(Clone, Debug)]
pub struct Open {
    /// When.
    pub at: SinceBoot,
    /// Which process.
    pub process: ProcessId,
    /// The path, as the process's own root shows it.
    pub path: Vec<u8>,
    /// It was opened to be written.
    pub writing: bool,
    /// It was not there before.
    pub made: bool,
    /// The error's number, if it was refused.
    pub failed: Option<i32>,
}

/// As whom and where a process runs since some moment. It may be what was before.
#[derive(Clone, Debug)]
pub struct Change {
    /// When.
    pub at: SinceBoot,
    /// Which process.
    pub process: ProcessId,
    /// What it is now, as far as it is told.
    pub context: Context,
}

impl Observation {
    /// Its class; of what was lost, that of what was lost.
    pub fn class(&self) -> Class {
        match self {
            Self::Exec(_) => Class::Exec,
            Self::Connect(_) => Class::Connect,
            Self::Outcome(_) => Class::Outcome,
            Self::Open(_) => Class::Open,
            Self::Change(_) => Class::Change,
            Self::Fork { .. } => Class::Fork,
            Self::Exit { .. } => Class::Exit,
            Self::Lost(lost) => lost.class,
        }
    }
}

/// So many of a class were not seen, or seen and given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// What.
    pub class: Class,
    /// Why.
    pub cause: Cause,
    /// How many.
    pub count: u64,
}

/// Classes of what is seen, in the order in which they are given up when there is too much: the last first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Programs started.
    Exec,
    /// Connections asked for.
    Connect,
    /// Files opened.
    Open,
    /// Users, groups and sessions changed.
    Change,
    /// How connections went, while the connections themselves were seen.
    Outcome,
    /// Processes made.
    Fork,
    /// Processes ended.
    Exit,
    /// Nobody knows of which class it was.
    Unknown,
}

/// Why something was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The buffer between the kernel and the sensor was full.
    BufferFull,
    /// A table in the kernel was full.
    TableFull,
    /// What the kernel gave could not be read.
    Unreadable,
    /// The process was gone before the sensor could look.
    Gone,
    /// The sensor keeps to its limits.
    Shed,
    /// Somebody else took away what the kernel had been asked to tell; it was asked again. How much was not told is not known, so each
    /// time counts as one.
    TakenAway,
}

impl Class {
    /// Its name in documents and counts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::Connect => "connect",
            Self::Open => "open",
            Self::Change => "change",
            Self::Outcome => "outcome",
            Self::Fork => "fork",
            Self::Exit => "exit",
            Self::Unknown => "unknown",
        }
    }
}

impl Cause {
    /// Its name in documents and counts.
    pub fn name(self) -> &'static str {
        match self {
            Self::BufferFull => "buffer_full",
            Self::TableFull => "table_full",
            Self::Unreadable => "unreadable",
            Self::Gone => "gone",
            Self::Shed => "shed",
            Self::TakenAway => "taken_away",
        }
    }
}
