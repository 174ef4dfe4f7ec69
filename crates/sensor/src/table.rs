//! Who is who: every process that is known, and who it descends from.
//!
//! A process that ended stays for a while, so that what was seen of it or of its children a little later still has it. Numbers that
//! are used again make no mistake, since a process is known by its number and its start. What a source did not see is repaired from
//! `/proc`, if the process still runs; what cannot be known stays unknown and is never guessed.

mod limit;
mod repair;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use crate::cgroup;
use crate::event::{Became, Event, What};
use crate::observation::{Context, Exec, Observation, ProcessId, SinceBoot};
use crate::process::{Entry, EntryKind, Kin, Process, Program};
use crate::procfs::Snapshot;

/// How far the start of a process may differ that a source has to estimate, in ticks.
const ESTIMATED: u64 = 2;

/// Reads a process from `/proc`.
pub(crate) type Look = Box<dyn FnMut(u32) -> Option<Snapshot> + Send>;

/// All processes that are known.
pub(crate) struct Table {
    processes: HashMap<ProcessId, Place>,
    /// Which process has a number now, or had it last.
    current: HashMap<u32, u64>,
    /// In the order in which they came; who was used since goes round once more before it is given up.
    order: VecDeque<ProcessId>,
    ended: VecDeque<(SinceBoot, ProcessId)>,
    weight: u64,
    limit: u64,
    latest: SinceBoot,
    look: Look,
    counts: TableCounts,
}

/// What a table counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TableCounts {
    /// Processes that were given up although they had not ended, or had only just, to keep to the memory.
    pub(crate) evicted: u64,
    /// Processes that no source told of and that were read from `/proc`.
    pub(crate) repaired: u64,
    /// Processes that something was seen of and that were gone when they were looked for.
    pub(crate) unknown: u64,
}

struct Place {
    process: Arc<Process>,
    weight: u64,
    used: bool,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("processes", &self.processes.len())
            .field("weight", &self.weight)
            .finish_non_exhaustive()
    }
}

impl Table {
    /// An empty one that takes so many bytes, about, and reads processes so.
    pub(crate) fn new(limit: u64, look: Look) -> Self {
        Self {
            processes: HashMap::new(),
            current: HashMap::new(),
            order: VecDeque::new(),
            ended: VecDeque::new(),
            weight: 0,
            limit,
            latest: SinceBoot(0),
            look,
            counts: TableCounts::default(),
        }
    }

    /// Takes over processes that already run, and gives those of them that have a program, parents first.
    pub(crate) fn attach(&mut self, at: SinceBoot, mut running: Vec<Snapshot>) -> Vec<Event> {
        // A parent may have started in the same tick as its child; then the lower number comes first.
        running.sort_by_key(|snapshot| (snapshot.process.start, snapshot.process.pid));
        let mut events = Vec::new();
        for snapshot in running {
            let id = snapshot.process;
            self.insert_snapshot(snapshot, 0);
            events.extend(self.event(id, at, What::Running));
        }
        events.retain(|event| !event.process.own.program.executable.is_empty());
        events
    }

    /// Learns from an observation, and makes events of it: none of a process that was made or of what is lost, two of a program that
    /// changed its user.
    pub(crate) fn apply(&mut self, observation: Observation) -> Vec<Event> {
        let event = match observation {
            Observation::Fork { at, child, parent } => {
                // They are twice as many as programs, so none is told by itself.
                self.forget_ended(at);
                self.fork(at, child, parent);
                None
            }
            Observation::Exec(exec) => {
                self.forget_ended(exec.at);
                let at = exec.at;
                let before = self.context(exec.process);
                let id = self.exec(*exec);
                let started = self.event(id, at, What::Exec);
                let changes = self.changes(before.as_deref(), id, at);
                return started.into_iter().chain(changes).collect();
            }
            Observation::Change(change) => {
                let id = self.known(change.process);
                let before = self.context(id);
                self.change(id, |process| {
                    let context = overlaid((*process.own.context).clone(), &change.context);
                    process.own.context = Arc::new(context);
                });
                return self.changes(before.as_deref(), id, change.at);
            }
            Observation::Exit { at, process, status } => {
                let id = self.known(self.not_ended(process, at));
                self.change(id, |process| process.ended = Some(at));
                self.ended.push_back((at, id));
                let event = self.event(id, at, What::End { status });
                self.forget_ended(at);
                event
            }
            Observation::Connect(connect) => {
                let id = self.known(connect.process);
                self.event(id, connect.at, What::Connect(connect))
            }
            Observation::Outcome(connect) => {
                let id = self.known(connect.process);
                self.event(id, connect.at, What::Outcome(connect))
            }
            Observation::Open(open) => {
                let id = self.known(open.process);
                self.event(id, open.at, What::Open(open))
            }
            Observation::Lost(_) => None,
        };
        event.into_iter().collect()
    }

    fn context(&self, id: ProcessId) -> Option<Arc<Context>> {
        let process = &self.processes.get(&self.same(id)?)?.process;
        Some(Arc::clone(&process.own.context))
    }

    /// What a process became that it was not before, where both are known.
    fn changes(&mut self, before: Option<&Context>, id: ProcessId, at: SinceBoot) -> Vec<Event> {
        let (Some(before), Some(now)) = (before, self.context(id)) else {
            return Vec::new();
        };
        let other = |a: Option<u32>, b: Option<u32>| a.is_some() && b.is_some() && a != b;
        let became = [
            (other(before.uid, now.uid) || other(before.euid, now.euid)).then_some(Became::User),
            (other(before.gid, now.gid) || other(before.egid, now.egid)).then_some(Became::Group),
            other(before.session_leader, now.session_leader).then_some(Became::Session),
        ];
        let became = became.into_iter().flatten();
        became
            .filter_map(|became| self.event(id, at, What::Changed(became)))
            .collect()
    }

    /// How many processes it knows, how many bytes that takes, about, and what it counted.
    pub(crate) fn state(&self) -> (usize, u64, TableCounts) {
        (self.processes.len(), self.weight, self.counts)
    }

    fn event(&mut self, id: ProcessId, at: SinceBoot, what: What) -> Option<Event> {
        // Being seen itself is no use: else everybody would be in use, and whoever came first would go, whose children still come.
        let process = Arc::clone(&self.processes.get(&id)?.process);
        let context = Arc::clone(&process.own.context);
        let session = context.session_leader.and_then(|pid| self.leader(pid, &process));
        let group = context.group_leader.and_then(|pid| self.leader(pid, &process));
        Some(Event {
            at,
            what,
            process,
            session,
            group,
        })
    }

    /// A process of which another asks, which is used by that.
    fn touch(&mut self, id: ProcessId) -> Option<&Place> {
        let place = self.processes.get_mut(&id)?;
        place.used = true;
        Some(place)
    }

    /// The leader of a group or session, who may have ended, but not before its number was used again.
    fn leader(&mut self, pid: u32, member: &Process) -> Option<Kin> {
        if pid == 0 {
            return None;
        }
        if pid == member.own.id.pid {
            return Some(member.own.clone());
        }
        let start = *self.current.get(&pid)?;
        // Who started later than its member is another that got the number.
        let id = ProcessId { pid, start };
        (start <= member.own.id.start.saturating_add(ESTIMATED)).then_some(())?;
        Some(self.touch(id)?.process.own.clone())
    }

    /// Whether a process ended before a moment, so that who has its number then is another.
    fn has_ended(&self, id: ProcessId, at: SinceBoot) -> bool {
        let ended = self.processes.get(&id).and_then(|place| place.process.ended);
        ended.is_some_and(|ended| ended < at)
    }

    /// Who ends, of whom a source knows nothing but the number: nobody who has ended, but one of whom nothing else was seen.
    fn not_ended(&self, id: ProcessId, at: SinceBoot) -> ProcessId {
        let is_other = |same| self.has_ended(same, at);
        if id.start == 0 && self.same(id).is_none_or(is_other) {
            return ProcessId::new(id.pid, at);
        }
        id
    }

    fn fork(&mut self, at: SinceBoot, child: ProcessId, parent: ProcessId) {
        let parent = self.known(parent);
        let Some(made_by) = self.touch(parent).map(|place| Arc::clone(&place.process)) else {
            return;
        };
        if self.processes.contains_key(&child) && !self.has_ended(child, at) {
            // Its program was seen first, since processors tell what they saw in no common order.
            self.change(child, |process| {
                process.parent.get_or_insert_with(|| made_by.own.clone());
                if process.entry.is_none() {
                    process.entry.clone_from(&made_by.entry);
                }
            });
            return;
        }
        let mut context = (*made_by.own.context).clone();
        context.inner_pid = None;
        self.insert(Process {
            own: Kin {
                id: child,
                started: None,
                program: Arc::clone(&made_by.own.program),
                context: Arc::new(context),
                container: made_by.own.container.clone(),
            },
            parent: Some(made_by.own.clone()),
            maker: None,
            entry: made_by.entry.clone(),
            previous: None,
            started_program: false,
            ended: None,
        });
    }

    fn exec(&mut self, exec: Exec) -> ProcessId {
        let id = self.same(exec.process).unwrap_or(exec.process);
        let before = self.processes.get(&id).map(|place| Arc::clone(&place.process));
        let told = exec.parent.map(|parent| self.known(parent));
        let parent = match told
            .and_then(|parent| self.touch(parent))
            .map(|place| place.process.own.clone())
        {
            Some(parent) => Some(parent),
            None => before.as_ref().and_then(|before| before.parent.clone()),
        };
        let parent = match parent {
            None => self.repaired_parent(id.pid),
            known => known,
        };
        let made_by = before
            .as_ref()
            .and_then(|before| before.parent.as_ref())
            .map(|made_by| made_by.id);
        let maker = before
            .as_ref()
            .and_then(|before| before.maker)
            .or(made_by)
            .filter(|made_by| parent.as_ref().is_some_and(|parent| parent.id != *made_by));
        let inherited = match (&before, &parent) {
            (Some(before), _) => (*before.own.context).clone(),
            (None, Some(parent)) => Context {
                inner_pid: None,
                ..(*parent.context).clone()
            },
            (None, None) => Context::default(),
        };
        let context = overlaid(inherited, &exec.context);
        let container = match (&exec.context.cgroup, &before, &parent) {
            (Some(path), ..) => cgroup::contained(path).map(Arc::new),
            (None, Some(before), _) => before.own.container.clone(),
            (None, None, Some(parent)) => parent.container.clone(),
            (None, None, None) => None,
        };
        let own = Kin {
            id,
            started: exec.started,
            program: Arc::new(Program {
                executable: exec.executable,
                script: exec.script,
                asked: exec.asked,
                thread: Vec::new(),
                unnamed: exec.unnamed,
                args: exec.args,
                args_bytes: exec.args_bytes,
                args_count: exec.args_count,
                cwd: exec.cwd,
            }),
            context: Arc::new(context),
            container,
        };
        let inherited = match &before {
            Some(before) => before.entry.clone(),
            None => parent
                .as_ref()
                .and_then(|parent| self.processes.get(&parent.id)?.process.entry.clone()),
        };
        let entry = entry_of(&own, parent.as_ref(), inherited);
        self.insert(Process {
            own,
            parent,
            maker,
            entry,
            previous: before.map(|before| Arc::clone(&before.own.program)),
            started_program: true,
            ended: None,
        });
        id
    }

    /// Which process of the table is meant, if it is there.
    fn same(&self, id: ProcessId) -> Option<ProcessId> {
        if self.processes.contains_key(&id) {
            return Some(id);
        }
        let start = *self.current.get(&id.pid)?;
        // A source that cannot know a start gives none, or estimates it.
        let near = start.abs_diff(id.start) <= ESTIMATED;
        (id.start == 0 || near).then_some(ProcessId { pid: id.pid, start })
    }

    fn change(&mut self, id: ProcessId, change: impl FnOnce(&mut Process)) {
        if let Some(place) = self.processes.get_mut(&id) {
            change(Arc::make_mut(&mut place.process));
        }
    }

    fn insert(&mut self, process: Process) {
        let id = process.own.id;
        let weight = limit::weight(&process);
        let newest = self.current.entry(id.pid).or_insert(id.start);
        *newest = id.start.max(*newest);
        let place = Place {
            process: Arc::new(process),
            weight,
            used: false,
        };
        match self.processes.insert(id, place) {
            Some(before) => self.weight = self.weight.saturating_sub(before.weight),
            None => self.order.push_back(id),
        }
        self.weight = self.weight.saturating_add(weight);
        self.keep_to_the_limit(id);
    }
}

/// Where the session of a process began: with itself, or where it began for those that it descends from.
fn entry_of(own: &Kin, parent: Option<&Kin>, inherited: Option<Entry>) -> Option<Entry> {
    let begun = EntryKind::begun_by(own, parent);
    let begins = begun.or_else(|| (inherited.is_none() && own.leads_session()).then_some(EntryKind::Unknown));
    match (begins, inherited) {
        (Some(kind), _) => Some(Entry {
            leader: own.clone(),
            kind,
        }),
        // Its leader became another program since it was inherited.
        (None, Some(entry)) if entry.leader.id == own.id => Some(Entry {
            leader: own.clone(),
            ..entry
        }),
        (None, inherited) => inherited,
    }
}

/// What is newly known, and what was known of the rest.
pub(crate) fn overlaid(before: Context, new: &Context) -> Context {
    Context {
        uid: new.uid.or(before.uid),
        euid: new.euid.or(before.euid),
        gid: new.gid.or(before.gid),
        egid: new.egid.or(before.egid),
        login_uid: new.login_uid.or(before.login_uid),
        session_id: new.session_id.or(before.session_id),
        capabilities_effective: new.capabilities_effective.or(before.capabilities_effective),
        capabilities_permitted: new.capabilities_permitted.or(before.capabilities_permitted),
        inner_pid: new.inner_pid.or(before.inner_pid),
        namespaces: new.namespaces.or(before.namespaces),
        cgroup: new.cgroup.clone().or(before.cgroup),
        tty: new.tty.or(before.tty),
        session_leader: new.session_leader.or(before.session_leader),
        group_leader: new.group_leader.or(before.group_leader),
    }
}
