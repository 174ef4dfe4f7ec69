//! A sequence, compiled: which slots its steps fill and where the steps stand that must not happen.

use neph_plan::Sequence;

/// What an event of a step does to the state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It fills one of the slots `first..end`; more than one where the step has `runs`.
    Positive { first: u16, end: u16 },
    /// It must not happen: before slot `before`, with the index of its watch.
    Forbidden { watch: u16 },
    /// It must not happen after the last slot.
    ForbiddenAtEnd,
    /// It ends all partial sequences.
    Until,
}

/// A sequence, compiled.
#[derive(Debug)]
pub(crate) struct Shape {
    /// By step; `until` comes last.
    roles: Vec<Role>,
    /// For each positive slot the watch that looks at the time right before it.
    watch_before: Vec<Option<u16>>,
    /// For each slot of the result its stage, and the positive slot that fills it.
    result: Vec<(u16, Option<u16>)>,
    /// Number of watches.
    pub(crate) watches: u16,
    /// Whether the sequence starts with a step that must not happen; its watch is 0.
    pub(crate) starts_missing: bool,
    /// Whether the sequence ends with a step that must not happen.
    pub(crate) ends_missing: bool,
    /// Nanoseconds.
    pub(crate) maxspan: Option<u64>,
}

impl Shape {
    pub(crate) fn new(sequence: &Sequence) -> Self {
        let mut shape = Self {
            roles: Vec::new(),
            watch_before: Vec::new(),
            result: Vec::new(),
            watches: 0,
            starts_missing: sequence.stages.first().is_some_and(|stage| stage.missing),
            ends_missing: sequence.stages.last().is_some_and(|stage| stage.missing),
            maxspan: sequence.maxspan,
        };
        let last_positive = sequence.stages.iter().rposition(|stage| !stage.missing);
        let mut open_watch = None;
        for (step, stage) in sequence.stages.iter().enumerate() {
            let number = narrow(step);
            if !stage.missing {
                let first = narrow(shape.watch_before.len());
                for slot in 0..stage.runs.max(1) {
                    shape
                        .watch_before
                        .push(if slot == 0 { open_watch.take() } else { None });
                    shape
                        .result
                        .push((number, Some(narrow(shape.watch_before.len() - 1))));
                }
                shape.roles.push(Role::Positive {
                    first,
                    end: narrow(shape.watch_before.len()),
                });
                continue;
            }
            shape
                .result
                .extend((0..stage.runs.max(1)).map(|_| (number, None)));
            if last_positive.is_some_and(|last| step > last) {
                shape.roles.push(Role::ForbiddenAtEnd);
                continue;
            }
            let watch = *open_watch.get_or_insert_with(|| {
                shape.watches += 1;
                shape.watches - 1
            });
            shape.roles.push(Role::Forbidden { watch });
        }
        if sequence.until.is_some() {
            shape.roles.push(Role::Until);
        }
        shape
    }

    /// What events of this step do; `None` for a step that the sequence does not have.
    pub(crate) fn role(&self, step: u16) -> Option<Role> {
        self.roles.get(usize::from(step)).copied()
    }

    /// Number of steps.
    pub(crate) fn steps(&self) -> usize {
        self.roles.len()
    }

    /// Number of positive slots.
    pub(crate) fn slots(&self) -> usize {
        self.watch_before.len()
    }

    /// The watch that looks at the time between the slot before and this one.
    pub(crate) fn watch_before(&self, slot: usize) -> Option<u16> {
        self.watch_before.get(slot).copied().flatten()
    }

    /// For each slot of the result its stage, and the positive slot that fills it.
    pub(crate) fn result(&self) -> &[(u16, Option<u16>)] {
        &self.result
    }

    /// `maxspan` in whole milliseconds, the granularity at which absence is judged; saturates.
    pub(crate) fn maxspan_millis(&self) -> i64 {
        self.maxspan.map_or(i64::MAX, |nanos| {
            i64::try_from(nanos / 1_000_000).unwrap_or(i64::MAX)
        })
    }
}

/// Languages limit a sequence to 256 stages after `runs`; what lies beyond 65,535 does not fit a step match either.
fn narrow(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}
