//! The process connector: the kernel tells that a process was made, became another program or ended, and nothing else.
//!
//! Messages are those of `linux/connector.h` and `linux/cn_proc.h`. What they do not say is read from `/proc`, if the process
//! still runs then.

use std::collections::{BTreeSet, HashMap};
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

/// How often as many are read at the end: the buffer holds no more.
const LAST_READINGS: usize = 8;

/// Messages that are read at once.
const AT_ONCE: usize = 8_192;

/// Numbers, and the ticks in which processes started that had them.
type Starts = BTreeSet<(u32, u64)>;

/// When the process started that had a number in tick `by`.
fn latest(starts: &Starts, pid: u32, by: u64) -> Option<u64> {
    starts
        .range((pid, 0)..=(pid, by))
        .next_back()
        .map(|(_, start)| *start)
}

/// A subscription to the process connector.
#[derive(Debug)]
pub(crate) struct Connector {
    link: Link,
    /// Programs are told of. Otherwise only that processes are made and end.
    programs: bool,
    /// The next number of each processor's messages. A gap tells how many were lost.
    expected: HashMap<u32, u32>,
    /// When processes started, also of those that ended, of which something may be heard a little later.
    starts: Starts,
    /// The same of those of which nothing was heard for longer, or of which something may have been missed: the number may have been
    /// given to another since.
    doubtful: Starts,
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
        starts: Starts::new(),
        doubtful: Starts::new(),
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

    /// In which tick a process started of which something happened in tick `by`, as far as that can be known. Who has the number now may have
    /// it since then only.
    pub(crate) fn start_of(&mut self, pid: u32, by: u64, otherwise: u64) -> u64 {
        if let Some(start) = latest(&self.starts, pid, by) {
            return start;
        }
        let start = started(pid, by)
            .or_else(|| latest(&self.doubtful, pid, by))
            .unwrap_or(otherwise);
        if start != 0 {
            self.remember(pid, start);
        }
        start
    }

    fn remember(&mut self, pid: u32, start: u64) {
        if self.starts.len() >= REMEMBERED {
            self.doubtful = std::mem::take(&mut self.starts);
        }
        self.starts.insert((pid, start));
    }

    /// Something was missed: any number may have been given to another.
    fn doubt(&mut self) {
        let starts = std::mem::take(&mut self.starts);
        if self.doubtful.len() >= REMEMBERED {
            self.doubtful = starts;
        } else {
            self.doubtful.extend(starts);
        }
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
                Received::Overrun => {
                    self.doubt();
                    continue;
                }
                Received::Nothing => break,
            };
            for event in messages(&datagram).filter_map(Event::parse) {
                let lost = event.missing(&mut self.expected);
                if lost > 0 {
                    self.doubt();
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
                let start = started(child, now).unwrap_or(now);
                self.remember(child, start);
                let child = ProcessId { pid: child, start };
                let parent = ProcessId {
                    pid: parent,
                    start: self.start_of(parent, now, 0),
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
                // It can still be read until its parent has been told. Behind that, who knows it by its number knows more.
                let start = self.start_of(pid, now, 0);
                let process = ProcessId { pid, start };
                Some(Observation::Exit { at, process, status })
            }
            _ => None,
        }
    }

    fn program(&mut self, at: SinceBoot, pid: u32, now: u64) -> Exec {
        let sure = latest(&self.starts, pid, now);
        let known = sure.or_else(|| latest(&self.doubtful, pid, now));
        let is_it = |start: u64| sure.map_or(start <= now, |sure| sure == start);
        let snapshot = procfs::read(pid).filter(|read| is_it(read.process.start));
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
            start: self.start_of(read.parent, now, 0),
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

    fn finish(&mut self, sink: &mut dyn FnMut(Observation)) -> Result<(), SourceError> {
        for _ in 0..LAST_READINGS {
            self.drain(sink)?;
        }
        Ok(())
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            mode: Mode::Connector,
            hooks: vec![Hook {
                name: "netlink connector, processes".to_owned(),
                failed: None,
            }],
            unseen: vec![
                Part::Connections,
                Part::UnixSockets,
                Part::Outcomes,
                Part::Files,
                Part::Changes,
            ],
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

/// When the process started that has a number now, if it had it in tick `by`.
fn started(pid: u32, by: u64) -> Option<u64> {
    let start = Stat::read(pid)?.process.start;
    (start <= by).then_some(start)
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

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_number_is_of_who_had_it_then() {
        let starts = Starts::from([(7, 100), (7, 200), (8, 150)]);
        assert_eq!(latest(&starts, 7, 99), None);
        assert_eq!(latest(&starts, 7, 100), Some(100));
        assert_eq!(latest(&starts, 7, 199), Some(100));
        assert_eq!(latest(&starts, 7, 5_000), Some(200));
        assert_eq!(latest(&starts, 9, 5_000), None);
    }

    #[test]
    fn after_something_was_missed_processes_are_looked_at_again() {
        let mut connector = match subscribe(true) {
            Ok(connector) => connector,
            Err(error) => {
                println!("skipped: {error}");
                return;
            }
        };
        let pid = std::process::id();
        let own = Stat::read(pid).unwrap().process.start;
        // Who had the number before, and of whose end nothing was heard.
        connector.remember(pid, own - 1);
        assert_eq!(connector.start_of(pid, u64::MAX, 0), own - 1);
        connector.doubt();
        assert_eq!(connector.start_of(pid, u64::MAX, 0), own);
        // Nobody can be asked about who is gone.
        assert_eq!(connector.start_of(u32::MAX - 1, u64::MAX, 0), 0);
        connector.remember(u32::MAX - 1, 5);
        connector.doubt();
        assert_eq!(connector.start_of(u32::MAX - 1, u64::MAX, 0), 5);
    }

    /// A message of a processor, as the kernel writes it.
    fn message(processor: u32, sequence: u32) -> Vec<u8> {
        let mut payload = Vec::new();
        for number in [
            PROCESSES,
            PROCESSES,
            sequence,
            0,
            40,
            Event::FORK,
            processor,
            0,
            0,
        ] {
            payload.extend(number.to_ne_bytes());
        }
        payload.extend([0; 24]);
        let mut message = Vec::new();
        message.extend(u32::try_from(16 + payload.len()).unwrap().to_ne_bytes());
        message.extend(DONE.to_ne_bytes());
        message.extend([0; 10]);
        message.extend(payload);
        message
    }

    #[test]
    fn gaps_in_the_numbers_of_each_processor_are_counted() {
        let mut expected = HashMap::new();
        let mut missing = |processor, sequence| {
            let bytes = message(processor, sequence);
            let event = messages(&bytes).filter_map(Event::parse).next().unwrap();
            event.missing(&mut expected)
        };
        assert_eq!(missing(0, 7), 0, "nobody knows what was before the first");
        assert_eq!(missing(1, 900), 0);
        assert_eq!(missing(0, 8), 0);
        assert_eq!(missing(0, 12), 3);
        assert_eq!(missing(1, 901), 0);
        assert_eq!(missing(1, u32::MAX), u32::MAX - 902);
        assert_eq!(missing(1, 1), 1, "numbers begin again");
    }

    #[test]
    fn what_the_kernel_had_no_room_for_is_counted() {
        let mut connector = match subscribe(true) {
            Ok(connector) => connector,
            Err(error) => {
                println!("skipped: {error}");
                return;
            }
        };
        // Each processor numbers its messages: only a later one of the same processor tells what was lost of it, and nobody knows what was before
        // the first. So all runs on one, of which something is seen first.
        let here = rustix::thread::sched_getcpu();
        let mut one = rustix::thread::CpuSet::new();
        one.set(here);
        rustix::thread::sched_setaffinity(None, &one).unwrap();
        Command::new("/bin/true").status().unwrap();
        connector.drain(&mut |_| {}).unwrap();
        assert!(connector.expected.contains_key(&u32::try_from(here).unwrap()));
        // Room for few messages, and nobody who reads them meanwhile.
        connector.link.shrink(4_096).unwrap();
        let count = 300;
        for _ in 0..count {
            Command::new("/bin/true").status().unwrap();
        }
        let (mut seen, mut lost) = (0, 0);
        // One more that is seen tells of all that were not.
        for _ in 0..50 {
            let told = std::cell::Cell::new((0, 0));
            let sink = &mut |observation| {
                let (seen, lost) = told.get();
                told.set(match observation {
                    Observation::Lost(Lost {
                        class: Class::Unknown,
                        cause: Cause::BufferFull,
                        count,
                    }) => (seen, lost + count),
                    _ => (seen + 1, lost),
                });
            };
            connector.drain(sink).unwrap();
            seen += told.get().0;
            lost += told.get().1;
            Command::new("/bin/true").status().unwrap();
        }
        println!("{seen} seen, {lost} lost");
        // Each is made, becomes another program and ends.
        assert!(lost > 0 && seen + lost >= 3 * count, "{seen} seen, {lost} lost");
    }
}
