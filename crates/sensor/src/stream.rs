//! From observations to documents: put in order, known who did it, written.

use std::collections::BTreeMap;
use std::path::Path;

use crate::containers::{ContainerCounts, Containers};
use crate::document::Writer;
use crate::enrich::{Enrichment, Known};
use crate::event::{Event, What};
use crate::join::Join;
use crate::observation::{Cause, Class, Lost, Observation, SinceBoot};
use crate::options::Options;
use crate::packages::PackageCounts;
use crate::procfs::Snapshot;
use crate::scope::Scope;
use crate::source::{Abilities, Mode};
use crate::table::{Look, Table, TableCounts};

/// How long an observation waits for others that happened before it: processors tell what they saw in no common order.
const WINDOW: u64 = 2_000_000;

/// So long the end of a process waits in addition where audit tells what it did: the process connector tells at once that it ended, and
/// audit's thread in the kernel takes its time under load.
const END_WAITS: u64 = 1_000_000_000;

/// How often what is lost is told, at most.
const TOLD: u64 = 1_000_000_000;

/// Bytes of documents that are made at once; the rest waits.
const AT_ONCE: usize = 1 << 20;

/// Events that wait at most for who their containers are; what comes behind them waits before.
const JOINED: usize = 8192;

/// Observations on their way to documents.
#[derive(Debug)]
pub(crate) struct Stream {
    waiting: BTreeMap<(SinceBoot, u64), Observation>,
    arrived: u64,
    table: Table,
    writer: Writer,
    scope: Scope,
    join: Join,
    /// What was lost and is not told yet.
    lost: BTreeMap<(Class, Cause), u64>,
    told: Option<SinceBoot>,
    /// What runs and is to be told of.
    running: std::vec::IntoIter<Event>,
    enrichment: Enrichment,
    /// The source gives nothing but what is in the scope.
    is_scoped: bool,
    /// Ends are told by another way than what processes do, and faster.
    ends_wait: bool,
}

impl Stream {
    /// An empty one, which reads processes so.
    pub(crate) fn new(options: &Options, abilities: &Abilities, look: Look) -> Self {
        let enrichment = Enrichment::new(options);
        let mut writer = Writer::new(options, abilities);
        if let Some(members) = enrichment.cloud() {
            writer.in_cloud(members.clone());
        }
        Self {
            waiting: BTreeMap::new(),
            arrived: 0,
            table: Table::new(options.limits.memory / 4, look),
            writer,
            enrichment,
            is_scoped: abilities.mode == Mode::Ebpf,
            ends_wait: abilities.mode == Mode::Audit,
            scope: Scope::of(options.cgroup.as_deref().map(Path::new)),
            join: match &options.containers {
                Some(containers) => Join::with(Box::new(Containers::start(containers))),
                None => Join::default(),
            },
            lost: BTreeMap::new(),
            told: None,
            running: Vec::new().into_iter(),
        }
    }

    /// Begins: tells what is seen, and takes over what already runs, which is told of if that is asked for.
    pub(crate) fn begin(
        &mut self,
        abilities: &Abilities,
        running: Vec<Snapshot>,
        now: SinceBoot,
        tell: bool,
        lines: &mut Vec<u8>,
    ) -> usize {
        self.writer.refresh();
        self.writer.started(abilities, lines);
        let running = self.table.attach(now, running);
        if tell {
            self.running = running.into_iter();
        }
        1
    }

    /// Takes an observation in.
    pub(crate) fn push(&mut self, observation: Observation) {
        if let Observation::Lost(lost) = observation {
            let count = self.lost.entry((lost.class, lost.cause)).or_default();
            *count = count.saturating_add(lost.count);
            return;
        }
        self.arrived += 1;
        let mut at = time_of(&observation);
        if self.ends_wait && matches!(observation, Observation::Exit { .. }) {
            at.0 = at.0.saturating_add(END_WAITS);
        }
        self.waiting.insert((at, self.arrived), observation);
    }

    /// How many observations and events wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len() + self.join.waiting()
    }

    /// Writes documents of what happened long enough ago, or of everything, and returns how many.
    pub(crate) fn settle(&mut self, now: SinceBoot, everything: bool, lines: &mut Vec<u8>) -> usize {
        self.writer.refresh();
        self.enrichment.ask_again();
        let most = lines.len().saturating_add(AT_ONCE);
        let mut written = 0;
        while self.join.waiting() < JOINED
            && let Some(event) = self.running.next()
        {
            self.hand_on(event, now);
        }
        let settled = now.0.saturating_sub(WINDOW);
        while self.join.waiting() < JOINED
            && let Some(first) = self.waiting.first_entry()
            && (everything || first.key().0.0 <= settled)
        {
            let observation = first.remove();
            for event in self.table.apply(observation) {
                self.hand_on(event, now);
            }
        }
        let late = self.join.news();
        for state in late.engines {
            self.writer.engine(&state, lines);
            written += 1;
        }
        for members in late.containers {
            self.writer.container(&members, lines);
            written += 1;
        }
        for record in late.records {
            lines.extend_from_slice(&record);
            lines.push(b'\n');
            written += 1;
        }
        while lines.len() < most
            && let Some((event, members)) = self.join.next(now, everything)
        {
            let executable = self.enrichment.executable(&event);
            let known = Known {
                container: members,
                executable,
            };
            self.writer.event(&event, &known, lines);
            written += 1;
        }
        let due = self.told.is_none_or(|told| now.0.saturating_sub(told.0) >= TOLD);
        if (due || everything) && !self.lost.is_empty() {
            self.told = Some(now);
            for ((class, cause), count) in std::mem::take(&mut self.lost) {
                self.writer.lost(&Lost { class, cause, count }, lines);
                written += 1;
            }
        }
        written
    }

    /// Gives up what waits to be put in order, and tells how many of each class that were.
    pub(crate) fn give_up(&mut self) -> BTreeMap<Class, u64> {
        let mut given_up = BTreeMap::new();
        for observation in std::mem::take(&mut self.waiting).values() {
            *given_up.entry(observation.class()).or_default() += 1;
        }
        given_up
    }

    /// How many processes are known, how many bytes that takes, about, and what was counted.
    pub(crate) fn table(&self) -> (usize, u64, TableCounts) {
        self.table.state()
    }

    /// What was counted of containers.
    pub(crate) fn containers(&self) -> ContainerCounts {
        self.join.counts()
    }

    /// What was counted of packages.
    pub(crate) fn packages(&self) -> PackageCounts {
        self.enrichment.packages()
    }

    /// Lets an event wait for who its container is, if it is told at all.
    fn hand_on(&mut self, event: Event, now: SinceBoot) {
        let told = match event.what {
            // Copies of a program, of which no beginning is told, end without being told, too.
            What::End { .. } => event.process.started_program,
            _ => true,
        };
        let scoped = self.is_scoped && !matches!(event.what, What::Running);
        if told && (scoped || self.scope.has(&event.process)) {
            self.join.push(event, now);
        }
    }
}

fn time_of(observation: &Observation) -> SinceBoot {
    match observation {
        Observation::Fork { at, .. } | Observation::Exit { at, .. } => *at,
        Observation::Exec(exec) => exec.at,
        Observation::Connect(connect) | Observation::Outcome(connect) => connect.at,
        Observation::Open(open) => open.at,
        Observation::Change(change) => change.at,
        Observation::Lost(_) => SinceBoot(0),
    }
}

#[cfg(test)]
mod tests;
