//! The worker of one output: takes what is due, filters, groups, sends, and marks what became of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use neph_config::Output;
use neph_event::Instant;
use neph_store::{Database, Delivery, DeliveryKind, StoreError};

use crate::filter::Filter;
use crate::flood::{Flood, Room};
use crate::pause::pause;
use crate::transport::open;
use crate::{Group, Message, Notice, Outcome, Transport, letters};

/// Rows that are looked at together.
const PAGE: u32 = 500;
/// How often the outbox is looked at when nothing is due.
const LOOK: Duration = Duration::from_millis(500);
/// After so many failures in a row the receiver is taken to be down, and left alone for a while.
const DOWN: u32 = 3;

/// Hears what happens to outputs.
pub type Hear = Arc<dyn Fn(&Notice<'_>) + Send + Sync>;

/// What all workers work with.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) db: Database,
    /// Where dead letters are written down.
    pub(crate) folder: PathBuf,
    /// Where people see alerts: an alert's id goes behind it.
    pub(crate) link: Option<String>,
    pub(crate) now: fn() -> Instant,
    pub(crate) hear: Hear,
}

/// What a worker says of itself and is told.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

/// How a worker stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    stop: bool,
    /// Something is due that was not.
    woken: bool,
    /// Failures in a row.
    failures: u32,
    /// Whether it is held up by them.
    pub(crate) is_down: bool,
    /// When it is tried again, while it fails.
    pub(crate) next_try: Option<Instant>,
    pub(crate) error: Option<(Instant, String)>,
    pub(crate) delivered: Option<Instant>,
}

impl Desk {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the worker, as soon as what it sends is sent.
    pub(crate) fn stop(&self) {
        self.state().stop = true;
        self.changed.notify_all();
    }

    /// Lets the worker look at the outbox now, and try again what fails.
    pub(crate) fn wake(&self) {
        let mut state = self.state();
        state.woken = true;
        state.next_try = None;
        drop(state);
        self.changed.notify_all();
    }

    fn is_stopped(&self) -> bool {
        self.state().stop
    }

    fn wait(&self, time: Duration) {
        let state = self.state();
        let waited = self
            .changed
            .wait_timeout_while(state, time, |state| !state.stop && !state.woken);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.woken = false;
    }
}

/// The worker of an output.
pub(crate) struct Worker {
    output: Output,
    filter: Filter,
    around: Surroundings,
    desk: Arc<Desk>,
    flood: Flood,
    transport: Option<Box<dyn Transport>>,
}

/// A row that is to be sent, with those that it leads.
struct Parcel {
    delivery: Delivery,
    group: Option<Group>,
}

/// What there is to do next.
enum Next {
    /// More may be due.
    Look,
    /// Nothing is due.
    Rest,
}

impl Worker {
    pub(crate) fn new(output: Output, filter: Filter, around: Surroundings, desk: Arc<Desk>) -> Self {
        Self {
            flood: Flood::new(output.rate),
            output,
            filter,
            around,
            desk,
            transport: None,
        }
    }

    /// Works until it is stopped.
    pub(crate) fn run(mut self) {
        while !self.desk.is_stopped() {
            match self.round() {
                Ok(Next::Look) => {}
                Ok(Next::Rest) => self.desk.wait(self.rest()),
                Err(error) => {
                    (self.around.hear)(&Notice::Store {
                        output: &self.output.name,
                        error: &error.to_string(),
                    });
                    self.desk.wait(LOOK.saturating_mul(2));
                }
            }
        }
    }

    /// How long nothing is to be done for sure.
    fn rest(&self) -> Duration {
        let Some(next) = self.desk.state().next_try else {
            return LOOK;
        };
        let nanos = next.nanos_since((self.around.now)()).max(0);
        // The clock may be set, so it is looked at now and then.
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).min(LOOK)
    }

    fn round(&mut self) -> Result<Next, StoreError> {
        let now = (self.around.now)();
        if self.desk.state().next_try.is_some_and(|next| now < next) {
            return Ok(Next::Rest);
        }
        self.flood.tick(now);
        let due = self.around.db.due(&self.output.name, now, PAGE)?;
        if due.is_empty() {
            return Ok(Next::Rest);
        }
        let parcels = self.sort(due, now)?;
        self.send(&parcels)?;
        Ok(Next::Look)
    }

    /// Lets go what the filter leaves out, puts together what is too much, and gives what is to be sent now.
    fn sort(&mut self, due: Vec<Delivery>, now: Instant) -> Result<Vec<Parcel>, StoreError> {
        let db = &self.around.db;
        let mut left_out = Vec::new();
        let mut parcels = Vec::new();
        let mut together: Vec<(i64, Vec<i64>)> = Vec::new();
        for delivery in due {
            let rule = &delivery.alert.alert.rule_id;
            if delivery.leader.is_some() {
                match self.flood.ask_for_group(rule, delivery.seq, now) {
                    true => parcels.push(self.unpack(delivery)?),
                    false => together.push((delivery.seq, Vec::new())),
                }
                continue;
            }
            if !self.filter.takes(&delivery.alert) {
                left_out.push(delivery.seq);
                continue;
            }
            match self.flood.ask(rule, now) {
                Room::Alone => parcels.push(Parcel {
                    delivery,
                    group: None,
                }),
                Room::Together(leader) => {
                    let leader = leader.unwrap_or(delivery.seq);
                    self.flood.lead(rule, leader);
                    match together.iter_mut().find(|(own, _)| *own == leader) {
                        Some((_, rows)) => rows.push(delivery.seq),
                        None => together.push((leader, vec![delivery.seq])),
                    }
                }
            }
        }
        if !left_out.is_empty() {
            db.left_out(&left_out)?;
        }
        let end = self.flood.end(now);
        for (leader, rows) in together {
            db.tell_together(leader, &rows, end)?;
        }
        Ok(parcels)
    }

    /// A row that leads, with what it leads; alone it is told by itself.
    fn unpack(&self, delivery: Delivery) -> Result<Parcel, StoreError> {
        let found = self
            .around
            .db
            .together(delivery.seq, Group::MAX_IDS, Group::MAX_VALUES)?;
        let group = (found.count > 1).then_some(Group {
            count: found.count,
            updated: found.updated,
            retracted: found.retracted,
            first: found.first,
            last: found.last,
            ids: found.ids,
            values: found.values,
        });
        Ok(Parcel { delivery, group })
    }

    /// Sends, and marks what became of it, until all is sent or something has to wait.
    fn send(&mut self, parcels: &[Parcel]) -> Result<(), StoreError> {
        let mut rest = parcels;
        while !rest.is_empty() && !self.desk.is_stopped() {
            let size = self.transport().map_or(1, |transport| transport.batch().max(1));
            let (batch, behind) = rest.split_at(size.min(rest.len()));
            let messages: Vec<Message<'_>> = batch.iter().map(|parcel| self.message(parcel)).collect();
            let mut outcomes = match self.transport() {
                Ok(transport) => transport.send(&messages),
                Err(error) => vec![Outcome::later(error); messages.len()],
            };
            // A transport that says too little is taken to have failed.
            outcomes.resize(messages.len(), Outcome::later("nothing is known of it"));
            let waits = self.mark(batch, &messages, &outcomes, behind)?;
            if waits {
                return Ok(());
            }
            rest = behind;
        }
        Ok(())
    }

    fn transport(&mut self) -> Result<&mut Box<dyn Transport>, String> {
        match &mut self.transport {
            Some(transport) => Ok(transport),
            empty => {
                let opened = open(&self.output).map_err(|error| error.to_string())?;
                Ok(empty.insert(opened))
            }
        }
    }

    fn message<'a>(&self, parcel: &'a Parcel) -> Message<'a> {
        let (delivery, group) = (&parcel.delivery, parcel.group.as_ref());
        let alert = &delivery.alert;
        let id = &alert.alert.id;
        // A group is what it was when its leader was chosen, whatever became of its alerts since.
        let key = match group {
            Some(_) => format!("{id}:group:{}", delivery.seq),
            None => format!("{id}:{}", alert.updates),
        };
        Message {
            key: key
                .chars()
                .map(|character| {
                    if character.is_ascii_graphic() {
                        character
                    } else {
                        '_'
                    }
                })
                .collect(),
            // Withdrawn before it was told, it is told as withdrawn.
            kind: match alert.retracted {
                Some(_) => DeliveryKind::Retracted,
                None => delivery.kind,
            },
            alert,
            group,
            link: self.around.link.as_ref().map(|link| format!("{link}{id}")),
            sent: (self.around.now)(),
            test: false,
        }
    }

    /// Marks what became of messages; whether the output has to wait. `behind` are those that were to be sent next.
    fn mark(
        &mut self,
        batch: &[Parcel],
        messages: &[Message<'_>],
        outcomes: &[Outcome],
        behind: &[Parcel],
    ) -> Result<bool, StoreError> {
        let now = (self.around.now)();
        let mut delivered = Vec::new();
        let mut never: Vec<(&Parcel, &Message<'_>, &str)> = Vec::new();
        let mut later: Vec<(&Parcel, &Message<'_>)> = Vec::new();
        let mut waits: Option<(&str, Option<Duration>)> = None;
        for ((parcel, message), outcome) in batch.iter().zip(messages).zip(outcomes) {
            match outcome {
                Outcome::Delivered => delivered.push((parcel.delivery.seq, parcel.delivery.alert.updates)),
                Outcome::Never { why } => never.push((parcel, message, why)),
                Outcome::Later { why, after } => {
                    later.push((parcel, message));
                    waits = Some(match waits {
                        Some((first, longest)) => (first, longest.max(*after)),
                        None => (why, *after),
                    });
                }
            }
        }
        if !delivered.is_empty() {
            self.around.db.delivered(&delivered, now)?;
            self.recovered(now);
        }
        for (parcel, message, why) in never {
            self.give_up(&[(parcel, message)], why, now)?;
        }
        let Some((why, asked)) = waits else {
            return Ok(false);
        };
        self.transport = None;
        let failures = {
            let mut state = self.desk.state();
            state.failures = state.failures.saturating_add(1);
            state.error = Some((now, why.to_owned()));
            state.failures
        };
        // Now and then every receiver fails: then what failed is tried again, and the rest goes on.
        if asked.is_none() && failures < DOWN {
            self.postpone(&later, now, why, now)?;
            return Ok(false);
        }
        let behind: Vec<(&Parcel, Message<'_>)> = behind
            .iter()
            .map(|parcel| (parcel, self.message(parcel)))
            .collect();
        let behind: Vec<_> = behind
            .iter()
            .map(|(parcel, message)| (*parcel, message))
            .collect();
        let wait = pause(failures.saturating_sub(DOWN - 1).max(1), asked);
        self.hold(&later, &behind, why, asked.is_none(), nanos(wait), now)?;
        Ok(true)
    }

    /// Holds the output up for a while. What stood behind what failed comes first the next time, so that a message that nobody takes
    /// does not hold the others. `may_hurry`: the receiver did not ask for the pause.
    fn hold(
        &self,
        failed: &[(&Parcel, &Message<'_>)],
        behind: &[(&Parcel, &Message<'_>)],
        why: &str,
        may_hurry: bool,
        wait: i128,
        now: Instant,
    ) -> Result<(), StoreError> {
        // The last try is made when patience ends, not long after.
        let left = failed
            .iter()
            .chain(behind)
            .map(|(parcel, _)| self.left(parcel, now));
        let wait = match left.filter(|left| *left > 0).min() {
            Some(left) if may_hurry => wait.min(left.max(nanos(LOOK))),
            _ => wait,
        };
        let next = now.saturating_add_nanos(wait);
        let (over, held): (Vec<_>, Vec<_>) = behind
            .iter()
            .copied()
            .partition(|(parcel, _)| self.left(parcel, now) <= 0);
        let rows: Vec<i64> = held.iter().map(|(parcel, _)| parcel.delivery.seq).collect();
        self.around.db.held_up(&rows, why, now, next)?;
        self.give_up(&over, why, now)?;
        self.postpone(failed, next.saturating_add_nanos(1), why, now)?;
        let mut state = self.desk.state();
        let first = !state.is_down;
        state.is_down = true;
        state.next_try = Some(next);
        drop(state);
        if first {
            (self.around.hear)(&Notice::Fails {
                output: &self.output.name,
                error: why,
            });
        }
        Ok(())
    }

    /// For how many more nanoseconds it is tried.
    fn left(&self, parcel: &Parcel, now: Instant) -> i128 {
        let begun = parcel.delivery.tried.unwrap_or(now);
        nanos(self.output.retry) - now.nanos_since(begun)
    }

    /// Puts off what failed, not before `soonest`, and gives up what was tried for long enough.
    fn postpone(
        &self,
        failed: &[(&Parcel, &Message<'_>)],
        soonest: Instant,
        why: &str,
        now: Instant,
    ) -> Result<(), StoreError> {
        let mut over = Vec::new();
        // Each waits ever longer by itself.
        let mut by_attempts: BTreeMap<u32, (Vec<i64>, i128)> = BTreeMap::new();
        for (parcel, message) in failed {
            let left = self.left(parcel, now);
            if left <= 0 {
                over.push((*parcel, *message));
                continue;
            }
            let (rows, least) = by_attempts
                .entry(parcel.delivery.attempts)
                .or_insert((Vec::new(), left));
            rows.push(parcel.delivery.seq);
            *least = left.min(*least);
        }
        for (attempts, (rows, left)) in by_attempts {
            let own = nanos(pause(attempts.saturating_add(1), None)).min(left);
            let due = now.saturating_add_nanos(own).max(soonest);
            self.around.db.failed(&rows, why, now, due)?;
        }
        self.give_up(&over, why, now)
    }

    fn give_up(
        &self,
        parcels: &[(&Parcel, &Message<'_>)],
        why: &str,
        now: Instant,
    ) -> Result<(), StoreError> {
        if parcels.is_empty() {
            return Ok(());
        }
        let messages: Vec<&Message<'_>> = parcels.iter().map(|(_, message)| *message).collect();
        let output = &self.output.name;
        // The table is what counts.
        if let Err(error) = letters::write(&self.around.folder, output, &messages, why, now) {
            (self.around.hear)(&Notice::Letters {
                output,
                error: &error.to_string(),
            });
        }
        let rows: Vec<i64> = parcels.iter().map(|(parcel, _)| parcel.delivery.seq).collect();
        self.around.db.dead(&rows, why, now)?;
        self.desk.state().error = Some((now, why.to_owned()));
        let count = |message: &&Message<'_>| message.group.map_or(1, |group| group.count);
        (self.around.hear)(&Notice::GaveUp {
            output,
            alerts: messages.iter().map(count).sum(),
            error: why,
        });
        Ok(())
    }

    fn recovered(&self, now: Instant) {
        let mut state = self.desk.state();
        state.delivered = Some(now);
        state.failures = 0;
        state.next_try = None;
        if !std::mem::take(&mut state.is_down) {
            return;
        }
        drop(state);
        (self.around.hear)(&Notice::Recovered {
            output: &self.output.name,
        });
    }
}

fn nanos(time: Duration) -> i128 {
    i128::try_from(time.as_nanos()).unwrap_or(i128::MAX)
}
