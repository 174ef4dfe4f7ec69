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
        let mut line = format!("{} events, {} lost", HumanCount(counts.written), HumanCount(lost));
        if counts.containers.known > 0 {
            line.push_str(&format!(", {} containers", HumanCount(counts.containers.known)));
        }
        line
    }
}

/// Says at the end what was seen and what was lost, by class and cause.
pub(super) fn report(shared: &Shared, terminal: &Terminal) {
    let (seen, lost) = told(&shared.counts());
    terminal.note_plain(&seen);
    for line in lost {
        terminal.warning(&line);
    }
}

/// What was seen, and a line for each cause for which something was lost.
fn told(counts: &Counts) -> (String, Vec<String>) {
    let each =
        |(class, count): (&neph_sensor::Class, &u64)| format!("{} {}", HumanCount(*count), class.name());
    let seen: Vec<String> = counts.seen.iter().map(each).collect();
    let mut line = format!("{} events", HumanCount(counts.written));
    if !seen.is_empty() {
        line.push_str(&format!(" of what was seen: {}", seen.join(", ")));
    }
    let containers = &counts.containers;
    let mut doubts = Vec::new();
    for (count, what) in [
        (
            containers.forgotten,
            "containers were forgotten for want of memory",
        ),
        (
            containers.unasked,
            "questions about containers were not asked, because too many were under way",
        ),
        (
            containers.unreadable,
            "answers of container engines could not be read",
        ),
        (
            containers.lost_news,
            "news of containers came too fast to be told",
        ),
    ] {
        if count > 0 {
            doubts.push(format!("{} {what}", HumanCount(count)));
        }
    }
    if counts.lost.is_empty() {
        return (format!("{line}; nothing lost"), doubts);
    }
    let mut causes: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for ((class, cause), count) in &counts.lost {
        let lost = format!("{} {}", HumanCount(*count), class.name());
        causes.entry(cause.name()).or_default().push(lost);
    }
    let lost = causes
        .into_iter()
        .map(|(cause, lost)| format!("lost ({cause}): {}", lost.join(", ")));
    (line, lost.chain(doubts).collect())
}

#[cfg(test)]
mod tests {
    use neph_sensor::{Cause, Class};

    use super::*;

    #[test]
    fn the_end_says_what_was_lost_by_class_and_cause() {
        let mut counts = Counts {
            written: 12_345,
            ..Counts::default()
        };
        counts.seen.insert(Class::Exec, 1_200);
        assert_eq!(
            told(&counts),
            (
                "12,345 events of what was seen: 1,200 exec; nothing lost".to_owned(),
                Vec::new()
            )
        );
        counts.lost.insert((Class::Exec, Cause::BufferFull), 1_000);
        counts.lost.insert((Class::Exit, Cause::BufferFull), 2);
        counts.lost.insert((Class::Exit, Cause::Shed), 3);
        let (seen, lost) = told(&counts);
        assert_eq!(seen, "12,345 events of what was seen: 1,200 exec");
        assert_eq!(
            lost,
            ["lost (buffer_full): 1,000 exec, 2 exit", "lost (shed): 3 exit"]
        );
        let shared = Shared::default();
        shared.note(&counts);
        assert_eq!(shared.line(), "12,345 events, 1,005 lost");
    }
}
