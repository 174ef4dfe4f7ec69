//! What every source of observations is: eBPF, audit and the process connector, from the best to the last.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::observation::Observation;

/// Where observations come from. It runs on a thread of its own, which does nothing else.
pub(crate) trait Source: Send {
    /// Waits at most `wait` for something, and hands over everything that is there, in the order of time as far as it is known.
    ///
    /// What is lost is handed over as [`Observation::Lost`]; an error says that nothing more is to be expected.
    fn poll(&mut self, wait: Duration, sink: &mut dyn FnMut(Observation)) -> Result<(), SourceError>;

    /// Hands over everything that is still there, and what was lost until now: it is not asked again.
    fn finish(&mut self, sink: &mut dyn FnMut(Observation)) -> Result<(), SourceError> {
        self.poll(Duration::ZERO, sink)
    }

    /// What it is, what it sees and what it does not.
    fn abilities(&self) -> Abilities;
}

/// The ways in which the kernel is asked, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Programs in the kernel (bpf(2)).
    Ebpf,
    /// Records of the audit system (audit(7)), beside whoever else reads them.
    Audit,
    /// The process connector (`linux/cn_proc.h`), and what `/proc` says of a process that still runs.
    Connector,
}

impl Mode {
    /// All, the best first.
    pub const ALL: [Self; 3] = [Self::Ebpf, Self::Audit, Self::Connector];

    /// Its name on command lines, in configurations and in documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ebpf => "ebpf",
            Self::Audit => "audit",
            Self::Connector => "connector",
        }
    }

    /// The mode of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a sensor sees, and why not more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// How the kernel is asked.
    pub mode: Mode,
    /// What was to be attached in the kernel, or to be subscribed to.
    pub hooks: Vec<Hook>,
    /// What is never seen in this way.
    pub unseen: Vec<Part>,
    /// What is seen only of processes that still run when the sensor looks, a fraction of a millisecond later.
    pub uncertain: Vec<Part>,
    /// Why the better ways were not taken.
    pub passed_over: Vec<(Mode, String)>,
}

/// Something that was to be attached in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// What it is called.
    pub name: String,
    /// Why it could not be attached.
    pub failed: Option<String>,
}

/// Parts of what there is to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Arguments of programs.
    Arguments,
    /// Which file a program is.
    Executable,
    /// Working directories.
    WorkingDirectory,
    /// Users and groups.
    Users,
    /// Capabilities.
    Capabilities,
    /// Namespaces.
    Namespaces,
    /// In which container a process runs.
    Container,
    /// To where processes connect over IP.
    Connections,
    /// To which Unix sockets processes connect.
    UnixSockets,
    /// How connections went.
    Outcomes,
    /// Which files are opened.
    Files,
    /// Changes of users, groups and sessions within a program.
    Changes,
    /// Which process made which.
    Forks,
    /// When processes end.
    Exits,
}

impl Part {
    /// Its name in documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Arguments => "arguments",
            Self::Executable => "executable",
            Self::WorkingDirectory => "working directory",
            Self::Users => "users",
            Self::Capabilities => "capabilities",
            Self::Namespaces => "namespaces",
            Self::Container => "container",
            Self::Connections => "connections",
            Self::UnixSockets => "unix sockets",
            Self::Outcomes => "outcomes",
            Self::Files => "files",
            Self::Changes => "changes of users",
            Self::Forks => "forks",
            Self::Exits => "exits",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a source cannot begin or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The kernel refused.
    #[error("{what}: {source}")]
    Refused {
        /// What was asked for.
        what: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// This kernel, or this build, has no such thing.
    #[error("{0}")]
    Unsupported(String),
}

impl SourceError {
    /// The kernel refused `what`.
    pub(crate) fn refused(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Refused {
            what: what.into(),
            source: source.into(),
        }
    }
}
