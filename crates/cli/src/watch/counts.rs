//! What the sensor counted, for the line that is shown meanwhile and for the end.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::HumanCount;
use neph_sensor::Counts;

use crate::terminal::Terminal;

/// The counts, shared between who reads the sensor and who shows them.
#[derive(Default)]
pub(super) struct Shared(Mutex<Counts>);

impl Shared {
    pub(super) fn note(&self, counts: &Counts) {
        self.counts().clone_from(counts);
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// In a few words.
    pub(super) fn line(&self) -> String {
        let counts = self.counts();
        let lost: u64 = counts.lost.values().sum();
        format!("{} events, {} lost", HumanCount(counts.written), HumanCount(lost))
    }
}

/// Says at the end what was seen and what was lost, by class and cause.
pub(super) fn report(shared: &Shared, terminal: &Terminal) {
    let counts = shared.counts().clone();
    let each =
        |(class, count): (&neph_sensor::Class, &u64)| format!("{} {}", HumanCount(*count), class.name());
    let seen: Vec<String> = counts.seen.iter().map(each).collect();
    let mut line = format!("{} events", HumanCount(counts.written));
    if !seen.is_empty() {
        line.push_str(&format!(" of what was seen: {}", seen.join(", ")));
    }
    if counts.lost.is_empty() {
        terminal.note_plain(&format!("{line}; nothing lost"));
        return;
    }
    terminal.note_plain(&line);
    let mut causes: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for ((class, cause), count) in &counts.lost {
        let lost = format!("{} {}", HumanCount(*count), class.name());
        causes.entry(cause.name()).or_default().push(lost);
    }
    for (cause, lost) in causes {
        terminal.warning(&format!("lost ({cause}): {}", lost.join(", ")));
    }
}
