//! The process connector: the kernel tells that a process was made, became another program or ended, and nothing else.
//!
//! Messages are those of `linux/connector.h` and `linux/cn_proc.h`. What they do not say is read from `/proc`, if the process
//! still runs then.

use std::collections::HashMap;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::netlink;

use crate::clock;
use crate::netlink::{Link, Message, Received, messages, wait_for, word};
use crate::observation::{Cause, Class, Context, Exec, Lost, Observation, ProcessId, SinceBoot};
use crate::procfs::{self, Stat};
use crate::source::{Abilities, Hook, Mode, Part, Source, SourceError};

/// `CN_IDX_PROC` and `CN_VAL_PROC`: both who listens and who tells.
const PROCESSES: u32 = 1;

/// `PROC_CN_MCAST_LISTEN`.
const LISTEN: u32 = 1;

/// `NLMSG_DONE`: how messages of the connector are marked.
const DONE: u16 = 3;

/// Bytes of `struct cn_msg`.
const ENVELOPE: usize = 20;

/// Bytes that may wait in the kernel: some ten thousand events.
const BUFFER: usize = 8 << 20;

/// Processes whose start is remembered at once, so that their end is told of the same process; as many again are about to be forgotten.
const REMEMBERED: usize = 32_768;

/// Messages that are read at once.
const AT_ONCE: usize = 8_192;

/// A subscription to the process connector.
#[derive(Debug)]
pub(crate) struct Connector {
    link: Link,
    /// Programs are told of. Otherwise only that processes are made and end.
    programs: bool,
    /// The next number of each processor's messages. A gap tells how many were lost.
    expected: HashMap<u32, u32>,
    /// When processes started, also of those that ended, of which something may be heard a little later.
    starts: HashMap<u32, u64>,
    /// The same of those of which nothing was heard for longer.
    older: HashMap<u32, u64>,
    /// How far the clock since boot is ahead of the one of which messages tell.
    ahead: u64,
}

/// Subscribes to the process connector, as a source of its own.
pub(crate) fn start() -> Result<impl Source, SourceError> {
    subscribe(true)
}

/// Subscribes to the process connector: for programs, too, or only for processes that are made and end.
pub(crate) fn subscribe(programs: bool) -> Result<Connector, SourceError> {
    if !procfs::there() {
        return Err(SourceError::Unsupported("`/proc` is not mounted".to_owned()));
    }
    let refused = |error| SourceError::refused("subscribing to the process connector", error);
    let mut link = Link::open(netlink::CONNECTOR, PROCESSES, BUFFER).map_err(refused)?;
    let mut request = Vec::with_capacity(ENVELOPE + 4);
    for number in [PROCESSES, PROCESSES, 0, 0] {
        request.extend(number.to_ne_bytes());
    }
    request.extend(4_u16.to_ne_bytes());
    request.extend(0_u16.to_ne_bytes());
    request.extend(LISTEN.to_ne_bytes());
    link.send(DONE, 0, &request).map_err(refused)?;
    let mut connector = Connector {
        link,
        programs,
        expected: HashMap::new(),
        starts: HashMap::new(),
        older: HashMap::new(),
        ahead: clock::slept(),
    };
    connector.await_answer()?;
    Ok(connector)
}

impl Connector {
    /// The kernel answers a subscription with an event that holds nothing but an error's number.
    fn await_answer(&mut self) -> Result<(), SourceError> {
        let refused = |error| SourceError::refused("subscribing to the process connector", error);
        for _ in 0..100_000 {
            let datagram = match self.link.receive(Duration::from_millis(500)).map_err(refused)? {
                Received::Datagram(datagram) => datagram,
                Received::Overrun => continue,
                Received::Nothing => break,
            };
            // What happens meanwhile comes, too, if somebody else subscribed before.
            let answer = messages(datagram)
                .filter_map(Event::parse)
                .find(|event| event.what == Event::NONE);
            let Some(answer) = answer else { continue };
            return match answer.number(0) {
                None | Some(0) => Ok(()),
                Some(code) => {
                    let error = Errno::from_raw_os_error(code.cast_signed().saturating_abs());
                    Err(refused(error.into()))
                }
            };
        }
        Err(SourceError::Unsupported(
            "the process connector does not answer: it needs the privilege `CAP_NET_ADMIN` and the first namespaces of users and processes".to_owned(),
        ))
    }

    /// The socket on which something can be waited for.
    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    /// In which tick a process started, as far as that can be known.
    pub(crate) fn start_of(&mut self, pid: u32, otherwise: u64) -> u64 {
        let known = self.starts.get(&pid).or_else(|| self.older.get(&pid)).copied();
        let start = known.unwrap_or_else(|| Stat::read(pid).map_or(otherwise, |stat| stat.process.start));
        self.remember(pid, start);
        start
    }

    fn remember(&mut self, pid: u32, start: u64) {
        if self.starts.len() >= REMEMBERED {
            self.older = std::mem::take(&mut self.starts);
        }
        self.starts.insert(pid, start);
    }

    /// Hands over what is there.
    pub(crate) fn drain(&mut self, sink: &mut dyn FnMut(Observation)) -> Result<(), SourceError> {
        self.ahead = clock::slept();
        for _ in 0..AT_ONCE {
            let received = self
                .link
                .receive(Duration::ZERO)
                .map_err(|error| SourceError::refused("receiving from the process connector", error))?;
            let datagram = match received {
                Received::Datagram(datagram) => datagram.to_vec(),
                // How many were lost, the numbers of the next messages tell.
                Received::Overrun => continue,
                Received::Nothing => break,
            };
            for event in messages(&datagram).filter_map(Event::parse) {
                let lost = event.missing(&mut self.expected);
                if lost > 0 {
                    sink(Observation::Lost(Lost {
                        class: Class::Unknown,
                        cause: Cause::BufferFull,
                        count: lost.into(),
                    }));
                }
                if let Some(observation) = self.observe(&event) {
                    sink(observation);
                }
            }
        }
        Ok(())
    }

    fn observe(&mut self, event: &Event<'_>) -> Option<Observation> {
        let at = SinceBoot(event.monotonic.saturating_add(self.ahead));
        let now = ProcessId::new(0, at).start;
        match event.what {
            Event::FORK => {
                let (parent, child, group) = (event.number(1)?, event.number(2)?, event.number(3)?);
                if child != group {
                    return None;
                }
                self.starts.remove(&child);
                self.older.remove(&child);
                let child = ProcessId {
                    pid: child,
                    start: self.start_of(child, now),
                };
                let parent = ProcessId {
                    pid: parent,
                    start: self.start_of(parent, 0),
                };
                Some(Observation::Fork { at, child, parent })
            }
            Event::EXEC if self.programs => {
                let pid = event.number(1)?;
                Some(Observation::Exec(Box::new(self.program(at, pid, now))))
            }
            Event::EXIT => {
                let (thread, pid) = (event.number(0)?, event.number(1)?);
                if thread != pid {
                    return None;
                }
                let status = event.number(2)?.cast_signed();
                // It can still be read until its parent has been told.
                let start = self.start_of(pid, now);
                let process = ProcessId { pid, start };
                Some(Observation::Exit { at, process, status })
            }
            _ => None,
        }
    }

    fn program(&mut self, at: SinceBoot, pid: u32, now: u64) -> Exec {
        let known = self.starts.get(&pid).or_else(|| self.older.get(&pid)).copied();
        let snapshot = procfs::read(pid).filter(|read| known.is_none_or(|start| start == read.process.start));
        let Some(read) = snapshot else {
            return Exec {
                at,
                process: ProcessId {
                    pid,
                    start: known.unwrap_or(now),
                },
                started: None,
                parent: None,
                executable: Vec::new(),
                script: None,
                asked: None,
                unnamed: false,
                args: None,
                args_bytes: 0,
                args_count: None,
                cwd: None,
                context: Context::default(),
            };
        };
        self.remember(pid, read.process.start);
        let parent = ProcessId {
            pid: read.parent,
            start: self.start_of(read.parent, 0),
        };
        let (asked, script) = read.asked();
        Exec {
            at,
            process: read.process,
            started: None,
            parent: (read.parent != 0).then_some(parent),
            executable: read.executable.unwrap_or_default(),
            script,
            asked,
            unnamed: read.unnamed,
            args: Some(read.args),
            args_bytes: read.args_bytes,
            args_count: None,
            cwd: read.cwd,
            context: read.context,
        }
    }
}

impl Source for Connector {
    fn poll(&mut self, wait: Duration, sink: &mut dyn FnMut(Observation)) -> Result<(), SourceError> {
        let refused = |error| SourceError::refused("receiving from the process connector", error);
        wait_for([Some(&self.link), None], wait).map_err(refused)?;
        self.drain(sink)
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            mode: Mode::Connector,
            hooks: vec![Hook {
                name: "netlink connector, processes".to_owned(),
                failed: None,
            }],
            unseen: vec![Part::Connections, Part::UnixSockets, Part::Outcomes, Part::Files],
            uncertain: vec![
                Part::Arguments,
                Part::Executable,
                Part::WorkingDirectory,
                Part::Users,
                Part::Capabilities,
                Part::Namespaces,
                Part::Container,
            ],
            passed_over: Vec::new(),
        }
    }
}

/// `struct proc_event` in its envelope.
#[derive(Clone, Copy, Debug)]
struct Event<'a> {
    sequence: u32,
    what: u32,
    processor: u32,
    monotonic: u64,
    data: &'a [u8],
}

impl<'a> Event<'a> {
    const NONE: u32 = 0;
    const FORK: u32 = 1;
    const EXEC: u32 = 2;
    const EXIT: u32 = 0x8000_0000;

    fn parse(message: Message<'a>) -> Option<Self> {
        let number = |at| word(message.payload, at).map(u32::from_ne_bytes);
        if message.kind != DONE || number(0)? != PROCESSES || number(4)? != PROCESSES {
            return None;
        }
        let event = message.payload.get(ENVELOPE..)?;
        Some(Self {
            sequence: number(8)?,
            what: u32::from_ne_bytes(word(event, 0)?),
            processor: u32::from_ne_bytes(word(event, 4)?),
            monotonic: u64::from_ne_bytes(word(event, 8)?),
            data: event.get(16..)?,
        })
    }

    /// One of the numbers that tell of the event.
    fn number(&self, index: usize) -> Option<u32> {
        word(self.data, index * 4).map(u32::from_ne_bytes)
    }

    /// How many messages of its processor did not come before it.
    fn missing(&self, expected: &mut HashMap<u32, u32>) -> u32 {
        // Answers to subscriptions, of whomever, have numbers of their own.
        if self.what == Self::NONE {
            return 0;
        }
        let next = expected.insert(self.processor, self.sequence.wrapping_add(1));
        next.map_or(0, |next| self.sequence.wrapping_sub(next))
    }
}

/// How many events a datagram holds: what fuzz targets try.
pub(crate) fn read_events(datagram: &[u8]) -> usize {
    let mut expected = HashMap::new();
    let events = messages(datagram).filter_map(Event::parse);
    events
        .filter(|event| event.missing(&mut expected) == 0 || event.number(3).is_some())
        .count()
}
