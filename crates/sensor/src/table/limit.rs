//! How long processes are kept, and that they keep to the memory.

use super::Table;
use crate::observation::{ProcessId, SinceBoot};
use crate::process::Process;

/// How long a process is kept that has ended.
const KEPT: u64 = 60_000_000_000;

/// Who ended longer ago than this is hardly missed.
const JUST: u64 = 2_000_000_000;

/// Bytes that a process takes beside its program: entries of the tables, and what it shares with few.
const EACH: u64 = 700;

impl Table {
    fn remove(&mut self, id: ProcessId) {
        if let Some(place) = self.processes.remove(&id) {
            self.weight = self.weight.saturating_sub(place.weight);
        }
        if self.current.get(&id.pid) == Some(&id.start) {
            self.current.remove(&id.pid);
        }
    }

    /// Those that ended long ago go.
    pub(super) fn forget_ended(&mut self, now: SinceBoot) {
        self.latest = self.latest.max(now);
        while let Some((at, id)) = self.ended.front().copied()
            && now.0.saturating_sub(at.0) > KEPT
        {
            self.ended.pop_front();
            self.remove(id);
        }
        // What was removed is still in the order. It is taken out when there is much of it.
        if self.order.len() > 1_024 && self.order.len() / 2 > self.processes.len() {
            let processes = &self.processes;
            self.order.retain(|id| processes.contains_key(id));
        }
    }

    /// Above the limit those go first that have ended, then those of which nothing was seen for longest.
    pub(super) fn keep_to_the_limit(&mut self, newest: ProcessId) {
        while self.weight > self.limit {
            if let Some((at, id)) = self.ended.pop_front() {
                if id != newest && self.processes.contains_key(&id) {
                    self.counts.evicted += u64::from(self.latest.0.saturating_sub(at.0) < JUST);
                    self.remove(id);
                }
                continue;
            }
            // Each goes round at most once, so this ends.
            let Some(id) = self.order.pop_front() else {
                return;
            };
            match self.processes.get_mut(&id) {
                None => {}
                Some(_) if id == newest => {
                    self.order.push_back(id);
                    if self.processes.len() == 1 {
                        return;
                    }
                }
                Some(place) if place.used => {
                    place.used = false;
                    self.order.push_back(id);
                }
                Some(_) => {
                    self.counts.evicted += 1;
                    self.remove(id);
                }
            }
        }
    }
}

/// Bytes that a process takes, about: with all that it keeps alive, though others may keep it, too.
pub(super) fn weight(process: &Process) -> u64 {
    let own = process.started_program.then_some(&process.own.program);
    let parent = process.parent.as_ref().map(|parent| &parent.program);
    let kept = [own, parent, process.previous.as_ref()];
    EACH + kept
        .into_iter()
        .flatten()
        .map(|program| program.weight())
        .sum::<u64>()
}
