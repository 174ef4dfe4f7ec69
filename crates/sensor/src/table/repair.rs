//! What no source told is read from `/proc`, if the process still runs.

use std::sync::Arc;

use super::{ESTIMATED, Table, entry_of};
use crate::cgroup;
use crate::observation::ProcessId;
use crate::process::{Kin, Process, Program};
use crate::procfs::Snapshot;

/// Generations that are read from `/proc` at most, to repair one.
const REPAIRED: usize = 32;

impl Table {
    /// Which process of the table is meant. One that is not there is read from `/proc`; one that is gone is there as unknown.
    pub(super) fn known(&mut self, id: ProcessId) -> ProcessId {
        if let Some(same) = self.same(id) {
            return same;
        }
        let snapshot = (self.look)(id.pid)
            .filter(|read| id.start == 0 || read.process.start.abs_diff(id.start) <= ESTIMATED);
        if let Some(snapshot) = snapshot {
            let found = snapshot.process;
            self.counts.repaired += 1;
            self.insert_snapshot(snapshot, REPAIRED);
            return found;
        }
        self.counts.unknown += 1;
        self.insert(Process::alone(Kin::unknown(id)));
        id
    }

    /// The parent of a process of which no source told it, if both still run.
    pub(super) fn repaired_parent(&mut self, pid: u32) -> Option<Kin> {
        let parent = (self.look)(pid)?.parent;
        if parent == 0 {
            return None;
        }
        let id = self.known(ProcessId {
            pid: parent,
            start: 0,
        });
        Some(self.touch(id)?.process.own.clone())
    }

    /// Puts a process in as `/proc` shows it, and those that it descends from, as far as that many generations.
    pub(super) fn insert_snapshot(&mut self, snapshot: Snapshot, generations: usize) {
        let mut missing = vec![snapshot];
        while let Some(youngest) = missing.last()
            && missing.len() <= generations
            && youngest.parent != 0
            && !self.current.contains_key(&youngest.parent)
        {
            let Some(parent) = (self.look)(youngest.parent) else {
                break;
            };
            missing.push(parent);
        }
        while let Some(snapshot) = missing.pop() {
            let parent = ProcessId {
                pid: snapshot.parent,
                start: self.current.get(&snapshot.parent).copied().unwrap_or(0),
            };
            let parent = self
                .processes
                .get(&parent)
                .map(|place| Arc::clone(&place.process));
            let own = Kin {
                id: snapshot.process,
                started: None,
                program: Arc::new(Program {
                    executable: snapshot.executable.unwrap_or_default(),
                    script: None,
                    asked: None,
                    thread: snapshot.name,
                    unnamed: snapshot.unnamed,
                    args: Some(snapshot.args),
                    args_bytes: snapshot.args_bytes,
                    args_count: None,
                    cwd: snapshot.cwd,
                }),
                container: snapshot
                    .context
                    .cgroup
                    .as_deref()
                    .and_then(cgroup::contained)
                    .map(Arc::new),
                context: Arc::new(snapshot.context),
            };
            let kin = parent.as_ref().map(|parent| parent.own.clone());
            let inherited = parent.as_ref().and_then(|parent| parent.entry.clone());
            let entry = entry_of(&own, kin.as_ref(), inherited);
            self.insert(Process {
                own,
                parent: kin,
                maker: None,
                entry,
                previous: None,
                started_program: true,
                ended: None,
            });
        }
    }
}
