//! What is known of a process.

use std::sync::Arc;

use crate::cgroup::Contained;
use crate::observation::{Context, ProcessId, SinceBoot, TICK};

/// A process as it was at a moment. What it has in common with others is shared.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    /// Itself: its program, users and place.
    pub(crate) own: Kin,
    /// Its parent when it became this program, as that one was then.
    pub(crate) parent: Option<Kin>,
    /// Who made it, where that is somebody else: its parent ended, and it was given to another.
    pub(crate) maker: Option<ProcessId>,
    /// Where the session began of which it is part.
    pub(crate) entry: Option<Entry>,
    /// The program that it was before.
    pub(crate) previous: Option<Arc<Program>>,
    /// It became a program itself, rather than being a copy of who made it.
    pub(crate) started_program: bool,
    /// When it ended.
    pub(crate) ended: Option<SinceBoot>,
}

impl Process {
    /// A process of which nothing is known but itself.
    pub(crate) fn alone(own: Kin) -> Self {
        Self {
            own,
            parent: None,
            maker: None,
            entry: None,
            previous: None,
            started_program: false,
            ended: None,
        }
    }
}

/// A process without those that it descends from, so that keeping it keeps nobody else.
#[derive(Clone, Debug)]
pub(crate) struct Kin {
    /// Which process.
    pub(crate) id: ProcessId,
    /// When its first thread started, where that is known more exactly than in ticks.
    pub(crate) started: Option<SinceBoot>,
    /// What it runs.
    pub(crate) program: Arc<Program>,
    /// As whom and where.
    pub(crate) context: Arc<Context>,
    /// In which container.
    pub(crate) container: Option<Arc<Contained>>,
}

impl Kin {
    /// A process of which nothing is known but which it is.
    pub(crate) fn unknown(id: ProcessId) -> Self {
        Self {
            id,
            started: None,
            program: Arc::default(),
            context: Arc::default(),
            container: None,
        }
    }

    /// When it started, as exactly as it is known; nothing where that is not known at all.
    pub(crate) fn start(&self) -> Option<SinceBoot> {
        let ticks = (self.id.start > 0).then(|| SinceBoot(self.id.start.saturating_mul(TICK)));
        self.started.or(ticks)
    }

    /// Whether it leads its session (setsid(2)).
    pub(crate) fn leads_session(&self) -> bool {
        self.context.session_leader == Some(self.id.pid)
    }
}

/// A program, as it was started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Program {
    /// The path of the file.
    pub(crate) executable: Vec<u8>,
    /// What was asked to be run, where that is a script.
    pub(crate) script: Option<Vec<u8>>,
    /// What was asked to be run, as it was written.
    pub(crate) asked: Option<Vec<u8>>,
    /// The name of the thread, where nothing else tells a name.
    pub(crate) thread: Vec<u8>,
    /// The file has no name.
    pub(crate) unnamed: bool,
    /// The arguments, as far as they were seen.
    pub(crate) args: Option<Vec<Vec<u8>>>,
    /// Bytes that the arguments have in truth.
    pub(crate) args_bytes: u64,
    /// How many arguments there are in truth, where that is known.
    pub(crate) args_count: Option<u64>,
    /// The working directory at the start.
    pub(crate) cwd: Option<Vec<u8>>,
}

impl Program {
    /// What was run, by the path that was asked for where it tells more than that of the file: a script, or a link.
    pub(crate) fn path(&self) -> &[u8] {
        let named = self.asked_for().filter(|asked| asked.starts_with(b"/"));
        self.script.as_deref().or(named).unwrap_or(&self.executable)
    }

    /// The last part of the path, or what the thread is called.
    pub(crate) fn name(&self) -> &[u8] {
        let path = self.script.as_deref().or_else(|| self.asked_for());
        match name_of(path.unwrap_or(&self.executable)) {
            b"" => &self.thread,
            name => name,
        }
    }

    /// What was asked for, unless that is only a way to say "this file".
    fn asked_for(&self) -> Option<&[u8]> {
        let by_number = |asked: &&[u8]| asked.starts_with(b"/proc/") || asked.starts_with(b"/dev/fd/");
        let asked = self
            .asked
            .as_deref()
            .filter(|asked| !asked.is_empty() && !by_number(asked));
        asked.filter(|_| !self.unnamed)
    }

    /// Bytes of the arguments that were seen, with the zero after each.
    pub(crate) fn args_seen(&self) -> u64 {
        let bytes = self.args.iter().flatten().map(|arg| arg.len() + 1).sum::<usize>();
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// Bytes that it takes, about.
    pub(crate) fn weight(&self) -> u64 {
        let args = self
            .args
            .iter()
            .flatten()
            .map(|arg| arg.capacity() + size_of::<Vec<u8>>());
        let paths = [&self.script, &self.asked, &self.cwd]
            .into_iter()
            .flatten()
            .map(Vec::capacity);
        let bytes = args.sum::<usize>() + paths.sum::<usize>() + self.executable.capacity();
        u64::try_from(bytes + size_of::<Self>()).unwrap_or(u64::MAX)
    }
}

/// The last part of a path.
pub(crate) fn name_of(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

/// Where a session began: the first process of what somebody or something started on the host.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The process.
    pub(crate) leader: Kin,
    /// How it came to be.
    pub(crate) kind: EntryKind,
}

/// How a session came to be: `process.entry_leader.entry_meta.type`
/// (<https://www.elastic.co/docs/reference/ecs/ecs-entry_meta>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum EntryKind {
    /// A service, or whatever else the first process of the host started.
    Init,
    /// Somebody came over SSH.
    Sshd,
    /// Somebody came through AWS Systems Manager.
    Ssm,
    /// Somebody came through Teleport.
    Teleport,
    /// A container was started, or a command in one.
    Container,
    /// Somebody sits at a terminal of the host.
    Terminal,
    /// Somebody logged in at the console.
    Console,
    /// A thread of the kernel.
    Kernel,
    /// A session of which it was not seen how it began.
    Unknown,
}

impl EntryKind {
    /// Its name in documents.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Sshd => "sshd",
            Self::Ssm => "ssm",
            Self::Teleport => "teleport",
            Self::Container => "container",
            Self::Terminal => "terminal",
            Self::Console => "console",
            Self::Kernel => "kthread",
            Self::Unknown => "unknown",
        }
    }

    /// What kind of session a process begins, if it begins one.
    pub(crate) fn begun_by(own: &Kin, parent: Option<&Kin>) -> Option<Self> {
        /// Major numbers of devices (`Documentation/admin-guide/devices.txt` of the kernel): virtual consoles and serial lines, the
        /// console, and pseudo-terminals.
        const CONSOLES: [u32; 2] = [4, 204];
        const CONSOLE: u32 = 5;
        if own.id.pid == 2 || parent.is_some_and(|parent| parent.id.pid == 2) {
            return Some(Self::Kernel);
        }
        if own.id.pid == 1 {
            return Some(Self::Init);
        }
        let name_of_parent = parent.map_or(&b""[..], |parent| parent.program.name());
        // What a runtime does on its way into a container (`runc init`) is part of the runtime.
        let enters = own.container.as_ref().is_some_and(|own| {
            parent.is_none_or(|parent| parent.container.as_ref().is_none_or(|around| around.id != own.id))
        });
        if enters && !is_runtime(own.program.name()) {
            return Some(Self::Container);
        }
        if !own.leads_session() {
            return None;
        }
        let terminal = own.context.tty.unwrap_or(0) >> 16;
        let name = own.program.name();
        if terminal == CONSOLE || (CONSOLES.contains(&terminal) && name == b"login") {
            return Some(Self::Console);
        }
        if CONSOLES.contains(&terminal) {
            return Some(Self::Terminal);
        }
        if name_of_parent.starts_with(b"sshd") && !name.starts_with(b"sshd") {
            return Some(Self::Sshd);
        }
        if name_of_parent.starts_with(b"ssm-session-wor") {
            return Some(Self::Ssm);
        }
        if name_of_parent == b"teleport" && name != b"teleport" {
            return Some(Self::Teleport);
        }
        if parent.is_none_or(|parent| parent.id.pid == 1) {
            return Some(Self::Init);
        }
        None
    }
}

/// Whether a program starts containers and is none itself, though it may already run in a container's group.
fn is_runtime(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 6] = [b"runc", b"crun", b"youki", b"conmon", b"exe", b"runsc"];
    // `runc` runs a copy of itself without a name: `/dev/fd/N`, `memfd:runc_cloned:/proc/self/exe`, `runc:[2:INIT]`.
    NAMES.contains(&name)
        || name.starts_with(b"containerd-shim")
        || name.starts_with(b"runc:")
        || name.starts_with(b"memfd:")
}
