//! A connection is told with how it went: it waits a moment for that, and what was seen behind it waits with it, so that the order
//! stays. What takes longer is told as attempted, and how it went later, by itself.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use super::record::Record;
use crate::observation::{Connect, Observation, Outcome, ProcessId, SinceBoot};

/// How long a connection waits for its outcome. Within it another continent answers; a rule shall alert within a second.
const PATIENCE: u64 = 150_000_000;

/// Observations that may wait.
const WAITING: usize = 16_384;

/// Connections whose outcome is not known that are remembered, and for how long: a connection that nobody answers is given up
/// after a little more than two minutes (`tcp_syn_retries` in tcp(7)).
const REMEMBERED: usize = 4_096;
const REMEMBERED_FOR: u64 = 150_000_000_000;

/// Processes that ended that are remembered, since two threads that end at once both tell of it.
const ENDED: usize = 64;

/// Puts connections and their outcomes together.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    waiting: VecDeque<Waiting>,
    /// Number of the first that waits.
    first: u64,
    /// Sockets of connections that wait, and their numbers.
    sockets: HashMap<u64, u64>,
    late: HashMap<u64, Box<Connect>>,
    late_order: VecDeque<(SinceBoot, u64)>,
    ended: VecDeque<ProcessId>,
    /// Outcomes are told soon, so that it is worth to wait for them.
    patient: bool,
    /// Connections that were forgotten before it was known how they went, since there were too many.
    lost: u64,
}

#[derive(Debug)]
enum Waiting {
    Ready(Observation),
    Connect(u64, Box<Connect>),
}

impl Joined {
    /// Nothing yet. Who is not `patient` tells each connection at once.
    pub(crate) fn new(patient: bool) -> Self {
        Self {
            patient,
            ..Self::default()
        }
    }

    /// Takes what a record says.
    pub(crate) fn push(&mut self, record: Record) {
        match record {
            Record::Seen(Observation::Exit { at, process, status }) => {
                if self.ended.contains(&process) {
                    return;
                }
                self.ended.push_back(process);
                if self.ended.len() > ENDED {
                    self.ended.pop_front();
                }
                self.waiting
                    .push_back(Waiting::Ready(Observation::Exit { at, process, status }));
            }
            Record::Seen(observation) => self.waiting.push_back(Waiting::Ready(observation)),
            Record::Asked(socket, connect) => {
                let number = self.first.wrapping_add(self.waiting.len() as u64);
                self.sockets.insert(socket, number);
                self.waiting.push_back(Waiting::Connect(socket, connect));
            }
            Record::Went(socket, outcome, local) => self.went(socket, outcome, local),
            Record::Other => {}
        }
    }

    fn went(&mut self, socket: u64, outcome: Outcome, local: Option<SocketAddr>) {
        if let Some(number) = self.sockets.remove(&socket) {
            let at = usize::try_from(number.wrapping_sub(self.first)).unwrap_or(usize::MAX);
            if let Some(waiting) = self.waiting.get_mut(at)
                && let Waiting::Connect(_, connect) = waiting
            {
                let mut connect = connect.clone();
                connect.outcome = outcome;
                connect.local = local;
                *waiting = Waiting::Ready(Observation::Connect(connect));
            }
        } else if let Some(mut connect) = self.late.remove(&socket)
            && outcome != Outcome::Attempted
        {
            connect.outcome = outcome;
            connect.local = local;
            self.waiting
                .push_back(Waiting::Ready(Observation::Outcome(connect)));
        }
    }

    /// Hands over what waits for nothing any more.
    pub(crate) fn release(&mut self, now: SinceBoot, sink: &mut dyn FnMut(Observation)) {
        while let Some(first) = self.waiting.front() {
            if let Waiting::Connect(_, connect) = first
                && self.patient
                && self.waiting.len() < WAITING
                && now.0.saturating_sub(connect.at.0) < PATIENCE
            {
                break;
            }
            let Some(first) = self.waiting.pop_front() else {
                break;
            };
            let number = self.first;
            self.first = self.first.wrapping_add(1);
            match first {
                Waiting::Ready(observation) => sink(observation),
                Waiting::Connect(socket, connect) => {
                    // The socket may have been used for another connection meanwhile, which is the one to be told of.
                    if self.sockets.get(&socket) == Some(&number) {
                        self.sockets.remove(&socket);
                        self.remember(socket, connect.clone());
                    }
                    sink(Observation::Connect(connect));
                }
            }
        }
        self.forget(now);
    }

    /// How long the first that waits will wait at most.
    pub(crate) fn patience(&self, now: SinceBoot) -> Option<Duration> {
        match self.waiting.front()? {
            Waiting::Ready(_) => Some(Duration::ZERO),
            Waiting::Connect(_, connect) => {
                let waited = now.0.saturating_sub(connect.at.0);
                Some(Duration::from_nanos(PATIENCE.saturating_sub(waited)))
            }
        }
    }

    /// How many outcomes will not be told, since the last time.
    pub(crate) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    fn remember(&mut self, socket: u64, connect: Box<Connect>) {
        self.late_order.push_back((connect.at, socket));
        self.late.insert(socket, connect);
    }

    fn forget(&mut self, now: SinceBoot) {
        while let Some((at, socket)) = self.late_order.front().copied() {
            if self.late_order.len() <= REMEMBERED && now.0.saturating_sub(at.0) < REMEMBERED_FOR {
                break;
            }
            self.late_order.pop_front();
            if self.late.get(&socket).is_some_and(|connect| connect.at == at) {
                self.late.remove(&socket);
                self.lost += u64::from(now.0.saturating_sub(at.0) < REMEMBERED_FOR);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::{Context, Peer, Transport};

    const MILLISECOND: u64 = 1_000_000;

    fn asked(socket: u64, at: u64) -> Record {
        Record::Asked(
            socket,
            Box::new(Connect {
                at: SinceBoot(at * MILLISECOND),
                process: ProcessId { pid: 1, start: 1 },
                thread: Vec::new(),
                peer: Peer::Ip {
                    transport: Transport::Tcp,
                    address: SocketAddr::from(([127, 0, 0, 1], 80)),
                },
                local: None,
                outcome: Outcome::Attempted,
                context: Context::default(),
            }),
        )
    }

    fn exit(pid: u32) -> Record {
        Record::Seen(Observation::Exit {
            at: SinceBoot(0),
            process: ProcessId { pid, start: 1 },
            status: 0,
        })
    }

    fn released(joined: &mut Joined, at: u64) -> Vec<String> {
        let mut told = Vec::new();
        joined.release(SinceBoot(at * MILLISECOND), &mut |observation| {
            told.push(match observation {
                Observation::Connect(connect) => format!("connect {:?}", connect.outcome),
                Observation::Outcome(connect) => format!("outcome {:?}", connect.outcome),
                Observation::Exit { process, .. } => format!("exit {}", process.pid),
                other => format!("{other:?}"),
            });
        });
        told
    }

    #[test]
    fn a_connection_waits_for_its_outcome_and_keeps_the_order() {
        let mut joined = Joined::new(true);
        joined.push(exit(1));
        joined.push(asked(7, 10));
        joined.push(exit(2));
        assert_eq!(released(&mut joined, 11), ["exit 1"]);
        joined.push(Record::Went(7, Outcome::Failed(Some(111)), None));
        joined.push(Record::Went(7, Outcome::Failed(Some(111)), None));
        assert_eq!(released(&mut joined, 12), ["connect Failed(Some(111))", "exit 2"]);
        assert!(released(&mut joined, 9_000).is_empty());
    }

    #[test]
    fn what_takes_long_is_told_twice_and_forgotten_at_last() {
        let mut joined = Joined::new(true);
        joined.push(asked(7, 10));
        joined.push(asked(8, 10));
        assert!(released(&mut joined, 11).is_empty());
        assert_eq!(
            joined.patience(SinceBoot(60 * MILLISECOND)),
            Some(Duration::from_millis(100))
        );
        assert_eq!(
            released(&mut joined, 200),
            ["connect Attempted", "connect Attempted"]
        );
        joined.push(Record::Went(7, Outcome::Accepted, None));
        assert_eq!(released(&mut joined, 300), ["outcome Accepted"]);
        assert!(released(&mut joined, 200_000).is_empty());
        joined.push(Record::Went(8, Outcome::Accepted, None));
        assert!(released(&mut joined, 200_001).is_empty());
        assert!(joined.late.is_empty() && joined.late_order.is_empty());
    }

    #[test]
    fn outcomes_beyond_what_is_remembered_are_counted() {
        let mut joined = Joined::new(true);
        let many = REMEMBERED as u64 + 5;
        for socket in 0..many {
            joined.push(asked(socket, 10));
        }
        assert_eq!(released(&mut joined, 1_000).len() as u64, many);
        assert_eq!(joined.take_lost(), 5);
        joined.push(Record::Went(0, Outcome::Accepted, None));
        joined.push(Record::Went(5, Outcome::Accepted, None));
        assert_eq!(released(&mut joined, 1_001), ["outcome Accepted"]);
        // Who was not answered for minutes is given up, and no outcome is lost with it.
        assert!(released(&mut joined, 200_000).is_empty());
        assert_eq!(joined.take_lost(), 0);
    }

    #[test]
    fn a_socket_may_be_used_again() {
        let mut joined = Joined::new(true);
        joined.push(asked(7, 10));
        joined.push(asked(7, 20));
        joined.push(Record::Went(7, Outcome::Accepted, None));
        assert_eq!(
            released(&mut joined, 300),
            ["connect Attempted", "connect Accepted"]
        );
        joined.push(exit(1));
        joined.push(exit(1));
        assert_eq!(released(&mut joined, 301), ["exit 1"]);
    }

    #[test]
    fn who_is_not_patient_tells_at_once() {
        let mut joined = Joined::new(false);
        joined.push(asked(7, 10));
        assert_eq!(released(&mut joined, 10), ["connect Attempted"]);
        joined.push(Record::Went(7, Outcome::Accepted, None));
        assert_eq!(released(&mut joined, 10), ["outcome Accepted"]);
    }
}
