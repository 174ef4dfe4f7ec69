//! A made-up host for tests: what happens on it is told as a source would.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::observation::{
    Change, Connect, Context, Exec, Namespaces, Observation, Open, Outcome, Peer, ProcessId, SinceBoot, TICK,
    Transport,
};
use crate::options::{HostOptions, Limits, Options};
use crate::procfs::Snapshot;
use crate::source::{Abilities, Mode};
use crate::stream::Stream;

/// The id of a container.
pub(crate) const CONTAINER: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Processes that can be read as from `/proc`.
type Running = Arc<Mutex<HashMap<u32, Snapshot>>>;

/// A made-up host, on which a millisecond passes with everything that happens.
pub(crate) struct Trial {
    pub(crate) stream: Stream,
    pub(crate) now: u64,
    pub(crate) running: Running,
    starts: HashMap<u32, u64>,
}

impl Trial {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default(), Vec::new())
    }

    pub(crate) fn with(limits: Limits, already: Vec<Snapshot>) -> Self {
        Self::seen_by(Mode::Ebpf, limits, already)
    }

    pub(crate) fn seen_by(mode: Mode, limits: Limits, already: Vec<Snapshot>) -> Self {
        let options = Options {
            limits,
            containers: None,
            packages: false,
            host: HostOptions {
                id: Some("host-1".to_owned()),
                name: Some("host".to_owned()),
            },
            // No engine of this machine is asked.
            ..Options::default()
        };
        let abilities = Abilities {
            mode,
            hooks: Vec::new(),
            unseen: Vec::new(),
            uncertain: Vec::new(),
            passed_over: Vec::new(),
        };
        let running = Running::default();
        let look = Arc::clone(&running);
        let mut stream = Stream::new(
            &options,
            &abilities,
            Box::new(move |pid| look.lock().unwrap().get(&pid).cloned()),
        );
        let now = 1_000_000_000;
        let starts = already
            .iter()
            .map(|process| (process.process.pid, process.process.start))
            .collect();
        stream.begin(&abilities, already, SinceBoot(now), true, &mut Vec::new());
        Self {
            stream,
            now,
            running,
            starts,
        }
    }

    /// The moment at which the next thing happens.
    pub(crate) fn tick(&mut self) -> SinceBoot {
        self.now += 1_000_000;
        SinceBoot(self.now)
    }

    /// The process that has a number now; one that was never seen starts now.
    pub(crate) fn id(&mut self, pid: u32) -> ProcessId {
        let now = self.now / TICK;
        ProcessId {
            pid,
            start: *self.starts.entry(pid).or_insert(now),
        }
    }

    /// The number is given to another, of whom nothing is told yet.
    pub(crate) fn forget(&mut self, pid: u32) {
        self.starts.remove(&pid);
    }

    pub(crate) fn fork(&mut self, parent: u32, child: u32) {
        let at = self.tick();
        self.starts.remove(&child);
        let (parent, child) = (self.id(parent), self.id(child));
        self.stream.push(Observation::Fork { at, child, parent });
    }

    /// A program as the kernel tells of it, on the host and without a terminal.
    pub(crate) fn program(&mut self, pid: u32, parent: u32, asked: &str, args: &[&str]) -> Exec {
        let at = self.tick();
        Exec {
            at,
            process: self.id(pid),
            started: None,
            parent: Some(self.id(parent)),
            executable: asked.as_bytes().to_vec(),
            script: None,
            asked: Some(asked.as_bytes().to_vec()),
            unnamed: false,
            args: Some(args.iter().map(|arg| arg.as_bytes().to_vec()).collect()),
            args_bytes: args.iter().map(|arg| arg.len() as u64 + 1).sum(),
            args_count: None,
            cwd: Some(b"/root".to_vec()),
            context: Context {
                uid: Some(0),
                euid: Some(0),
                gid: Some(0),
                egid: Some(0),
                login_uid: None,
                session_id: None,
                capabilities_effective: Some(0x1ff_ffff_ffff),
                capabilities_permitted: Some(0x1ff_ffff_ffff),
                inner_pid: Some(pid),
                namespaces: Some(Namespaces {
                    mnt: 1,
                    pid: 2,
                    net: 3,
                    user: 4,
                    uts: 5,
                }),
                cgroup: Some(b"/system.slice/test.service".to_vec()),
                tty: Some(0),
                session_leader: Some(1),
                group_leader: Some(pid),
            },
        }
    }

    pub(crate) fn push(&mut self, exec: Exec) {
        self.stream.push(Observation::Exec(Box::new(exec)));
    }

    pub(crate) fn exec(&mut self, pid: u32, parent: u32, asked: &str, args: &[&str]) {
        let exec = self.program(pid, parent, asked, args);
        self.push(exec);
    }

    /// A program in a container, at its terminal.
    pub(crate) fn exec_inside(&mut self, pid: u32, parent: u32, asked: &str, args: &[&str]) {
        let mut exec = self.program(pid, parent, asked, args);
        exec.context.cgroup = Some(format!("/system.slice/docker-{CONTAINER}.scope").into_bytes());
        exec.context.tty = Some(136 << 16);
        self.push(exec);
    }

    /// A program of a user.
    pub(crate) fn exec_as(&mut self, pid: u32, parent: u32, asked: &str, args: &[&str], user: Context) {
        let mut exec = self.program(pid, parent, asked, args);
        exec.context = user;
        self.push(exec);
    }

    pub(crate) fn change(&mut self, pid: u32, context: Context) {
        let at = self.tick();
        let process = self.id(pid);
        self.stream
            .push(Observation::Change(Box::new(Change { at, process, context })));
    }

    pub(crate) fn exit(&mut self, pid: u32, status: i32) {
        let at = self.tick();
        let process = self.id(pid);
        self.stream.push(Observation::Exit { at, process, status });
    }

    pub(crate) fn connection(&mut self, pid: u32, peer: Peer) -> Box<Connect> {
        let at = self.tick();
        Box::new(Connect {
            at,
            process: self.id(pid),
            thread: Vec::new(),
            peer,
            local: None,
            outcome: Outcome::Attempted,
            context: Context::default(),
        })
    }

    pub(crate) fn connect(&mut self, pid: u32, address: &str) {
        let peer = Peer::Ip {
            transport: Transport::Tcp,
            address: address.parse().unwrap(),
        };
        let connect = self.connection(pid, peer);
        self.stream.push(Observation::Connect(connect));
    }

    pub(crate) fn connect_unix(&mut self, pid: u32, path: &str) {
        let connect = self.connection(pid, Peer::Unix(path.as_bytes().to_vec()));
        self.stream.push(Observation::Connect(connect));
    }

    pub(crate) fn open(&mut self, pid: u32, path: &str) {
        let at = self.tick();
        let process = self.id(pid);
        self.stream.push(Observation::Open(Box::new(Open {
            at,
            process,
            path: path.as_bytes().to_vec(),
            writing: false,
            made: false,
            failed: None,
        })));
    }

    /// Lines of everything that is to be told.
    pub(crate) fn lines(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while self.stream.settle(SinceBoot(self.now), true, &mut lines) > 0 {}
        let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines
            .map(|line| String::from_utf8(line.to_vec()).unwrap())
            .collect()
    }

    /// The same as documents.
    pub(crate) fn documents(&mut self) -> Vec<Value> {
        let lines = self.lines();
        lines
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The only document of an action.
    #[track_caller]
    pub(crate) fn only(&mut self, action: &str) -> Value {
        let mut documents = self.documents();
        documents.retain(|document| document["event"]["action"] == action);
        assert_eq!(documents.len(), 1, "{documents:#?}");
        documents.remove(0)
    }
}

/// A process as `/proc` shows it.
pub(crate) fn snapshot(pid: u32, start: u64, parent: u32, executable: &str, args: &[&str]) -> Snapshot {
    Snapshot {
        process: ProcessId { pid, start },
        parent,
        name: executable
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .as_bytes()
            .to_vec(),
        executable: (!executable.is_empty()).then(|| executable.as_bytes().to_vec()),
        unnamed: false,
        args: args.iter().map(|arg| arg.as_bytes().to_vec()).collect(),
        args_bytes: args.iter().map(|arg| arg.len() as u64 + 1).sum(),
        cwd: Some(b"/".to_vec()),
        context: Context {
            session_leader: Some(pid),
            tty: Some(0),
            ..Context::default()
        },
    }
}
