//! The stateless half: which steps of which rules an event satisfies.

use std::collections::VecDeque;
use std::sync::Arc;

use neph_event::{DateReader, EventId, Instant, ReadError, Row, Slot, ValueRef};

use crate::alike::{Alike, Chance, Partly};
use crate::joining::Joining;
use crate::profile::{Clock, Profile};
use crate::program::CompiledRule;
use crate::route::{Marks, WholeRecord};
use crate::scratch::Scratch;
use crate::{Event, Origin, Program, StepMatch};

/// What the caller knows of a record, beyond its text.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// The JSON text of the document, for the event that a match keeps.
    pub document: &'a [u8],
    /// The id that the record's store gave (`_id` of an Elasticsearch hit). Without one a field `_id` of the document
    /// counts, and else a hash of the document.
    pub id: Option<&'a str>,
    /// The name of the index that the record came from; without it a field `_index` of the document counts.
    pub index: Option<&'a str>,
    /// Position in the input; decides between events of one time.
    pub position: u64,
    /// Where the record stood.
    pub origin: &'a Origin,
}

/// What a matcher has seen. Statistics of several threads add up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Records that were read, and those that were passed over.
    pub records: u64,
    /// Records that were not read, since [no rule can be about](Matcher::may_match) their kind.
    pub passed_over: u64,
    /// Records that could not be read.
    pub unreadable: u64,
    /// Values of wanted fields that did not fit the field's type.
    pub malformed_values: u64,
    /// Events that were left out of a rule about time (all but event queries and samples) because they have no
    /// readable time; counted once per rule and event, and only where the event satisfies one of the rule's steps.
    pub without_time: u64,
    /// Events that were left out of a rule because its query fails in their index; counted likewise.
    pub failing_index: u64,
    /// Tuples of join keys beyond the 10,000 that one event may give for one step.
    pub dropped_key_tuples: u64,
    /// Choices of values beyond the 10,000 that are tried for one expression.
    pub untried_choices: u64,
    /// Conditions that were evaluated because a record had what they need; the others could not hold.
    pub woken_conditions: u64,
    /// Step matches that were given.
    pub step_matches: u64,
}

impl std::ops::AddAssign for Statistics {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.passed_over += other.passed_over;
        self.unreadable += other.unreadable;
        self.malformed_values += other.malformed_values;
        self.without_time += other.without_time;
        self.failing_index += other.failing_index;
        self.dropped_key_tuples += other.dropped_key_tuples;
        self.untried_choices += other.untried_choices;
        self.woken_conditions += other.woken_conditions;
        self.step_matches += other.step_matches;
    }
}

/// Matches records against a program. One for each thread; it keeps its buffers from record to record, so that a record
/// that matches nothing costs no allocation.
///
/// What reads a record and what matches it are two pieces of code that do not fit into the processor's first cache together.
/// Where nothing depends on it, read some records, [set each aside](Self::set_aside), then [take them up](Self::take_up) and match them.
#[derive(Debug)]
pub struct Matcher {
    program: Arc<Program>,
    /// Swapped with others by reference.
    row: Box<Row>,
    /// Records that were read and are yet to be matched, the oldest first.
    aside: VecDeque<Box<Row>>,
    /// Bytes of their texts.
    aside_bytes: usize,
    /// Rows for the next ones.
    #[expect(clippy::vec_box, reason = "they are swapped with those above")]
    spare: Vec<Box<Row>>,
    dates: DateReader,
    /// What was read apart: every value of a record.
    whole: Row,
    scratch: Scratch,
    marks: Marks,
    alike: Alike,
    /// Whether there is a current event.
    readable: bool,
    /// For each stage the last event that woke it; events are counted.
    woken: Vec<u64>,
    event: u64,
    /// The stages that the current event satisfies.
    satisfied: Vec<u32>,
    joining: Joining,
    excepted: Vec<u64>,
    statistics: Statistics,
    profile: Option<Box<Profile>>,
}

impl Matcher {
    /// A matcher of the program.
    pub fn new(program: Arc<Program>) -> Self {
        let scratch = Scratch::remembering(program.nodes.len(), program.slots.len());
        let marks = program.routing.marks();
        let woken = vec![0; program.stages.len()];
        let excepted = vec![0; program.exceptions];
        let joining = Joining::new(&program);
        Self {
            program,
            row: Box::default(),
            aside: VecDeque::new(),
            aside_bytes: 0,
            spare: Vec::new(),
            dates: DateReader::default(),
            whole: Row::default(),
            scratch,
            marks,
            alike: Alike::default(),
            readable: false,
            woken,
            event: 0,
            satisfied: Vec::new(),
            joining,
            excepted,
            statistics: Statistics::default(),
            profile: None,
        }
    }

    /// A matcher that counts what rules cost by the clock, which makes it slower.
    pub fn profiling(program: Arc<Program>, clock: Clock) -> Self {
        let profile = Some(Box::new(Profile::new(&program, clock)));
        Self {
            profile,
            ..Self::new(program)
        }
    }

    /// What rules cost so far, if this is counted.
    pub fn profile(&self) -> Option<&Profile> {
        self.profile.as_deref()
    }

    /// Has all step matches refer to their event, also those of steps that must not happen, of which only the time counts.
    pub fn keep_documents(&mut self) {
        self.joining.keeps_documents = true;
    }

    /// Reads the wanted fields of a record given as JSON text.
    ///
    /// # Errors
    /// Where the text is no JSON object; [`Self::matches`] then gives nothing.
    pub fn read(&mut self, json: &[u8]) -> Result<(), ReadError> {
        let outcome = self.row.read(&self.program.slots, json);
        self.next_event(outcome.is_ok());
        outcome
    }

    /// Reads the wanted fields of a document that serde can walk.
    ///
    /// # Errors
    /// Whatever the deserializer reports; as with [`Self::read`].
    pub fn read_from<'de, D: serde::Deserializer<'de>>(&mut self, source: D) -> Result<(), D::Error> {
        let outcome = self.row.read_from(&self.program.slots, source);
        self.next_event(outcome.is_ok());
        outcome
    }

    fn next_event(&mut self, readable: bool) {
        self.scratch.next_event();
        self.readable = readable;
        if readable {
            self.statistics.records += 1;
            self.statistics.malformed_values += u64::from(self.row.malformed());
        } else {
            self.statistics.unreadable += 1;
        }
    }

    /// Whether the record that was read last has a value in a watched field, by its position in [`Program::watch`].
    pub fn has_watched(&self, position: usize) -> bool {
        let slot = self.program.watched.get(position);
        self.readable && slot.is_some_and(|slot| self.row.first(*slot).is_some())
    }

    /// The text of a watched field of the record that was read last.
    pub fn watched(&self, position: usize) -> Option<&str> {
        let slot = self.program.watched.get(position).filter(|_| self.readable)?;
        match self.row.first(*slot) {
            Some(ValueRef::String(text)) => Some(text),
            _ => None,
        }
    }

    /// The time in a watched field of the record that was read last: ISO 8601 or epoch milliseconds.
    pub fn watched_time(&self, position: usize) -> Option<Instant> {
        let slot = self.program.watched.get(position).filter(|_| self.readable)?;
        match self.row.first(*slot)? {
            ValueRef::String(text) => self.dates.parse(text),
            other => crate::values::instant(other),
        }
    }

    /// Takes back the record that was read last, as if it had not been: it is to be read in another form.
    pub fn forget(&mut self) {
        if self.readable {
            let malformed = u64::from(self.row.malformed());
            self.statistics.records = self.statistics.records.saturating_sub(1);
            self.statistics.malformed_values = self.statistics.malformed_values.saturating_sub(malformed);
        } else {
            self.statistics.unreadable = self.statistics.unreadable.saturating_sub(1);
        }
        self.readable = false;
    }

    /// Sets the record that was read last, and could be, aside, to be matched later; whether there is room for another one beside it.
    pub fn set_aside(&mut self) -> bool {
        let mut next = self.spare.pop().unwrap_or_default();
        self.row.hand_on(&mut next);
        let row = std::mem::replace(&mut self.row, next);
        self.aside_bytes += text_length(&row);
        self.aside.push_back(row);
        self.readable = false;
        self.aside.len() < Self::ASIDE && self.aside_bytes < Self::ASIDE_BYTES
    }

    /// Takes the oldest record that was set aside up again, in place of the one that was read last; whether there was one.
    pub fn take_up(&mut self) -> bool {
        let Some(mut row) = self.aside.pop_front() else {
            return false;
        };
        self.aside_bytes -= text_length(&row);
        self.row.hand_on(&mut row);
        self.spare.push(std::mem::replace(&mut self.row, row));
        self.scratch.next_event();
        self.readable = true;
        true
    }

    /// So many records are set aside at most, and no further one behind so many bytes: what was read of them must still be near when
    /// they are matched. Each row keeps a MiB of room for texts at most.
    const ASIDE: usize = 16;
    const ASIDE_BYTES: usize = 1 << 16;

    /// Whether it may be worth it to find out the kind of the next record before it is read. Kinds are what the caller knows of
    /// records by looking at a part of them: records of one kind have the same values in some fields.
    pub fn asks_for_kind(&mut self) -> bool {
        // What rules cost is counted where they see all records.
        self.profile.is_none() && self.alike.is_wanted()
    }

    /// Whether a record of this kind, with this text, may satisfy something; `None` where a record of the kind must be
    /// [read](Self::read) and [learnt from](Self::learn) first. One that cannot counts as read.
    pub fn may_match(&mut self, kind: &[u8], record: &str) -> Option<bool> {
        let can_hold = self.alike.can_hold(kind, record);
        let passes = u64::from(can_hold == Some(false));
        self.statistics.records += passes;
        self.statistics.passed_over += passes;
        can_hold
    }

    /// Learns from the record that was read last whether any record of its kind may satisfy something. Of its fields, by their slots,
    /// the kind tells the values (`is_told`), or the record's text shows all texts as JSON has them (`is_shown`).
    pub fn learn(&mut self, kind: &[u8], is_told: &[bool], is_shown: &[bool]) {
        if !self.readable {
            return;
        }
        let mut partly = Partly {
            nodes: &self.program.nodes,
            row: &self.row,
            scratch: &mut self.scratch,
            is_known: is_told,
            is_shown,
            found: ahash::AHashMap::new(),
        };
        let mut tests = Some(Vec::new());
        for stage in &self.program.stages {
            if partly.holds(stage.condition) == Some(false) {
                continue;
            }
            let needs = partly.needs(stage.condition);
            tests = tests.zip(needs).map(|(tests, needs)| [tests, needs].concat());
            if tests.is_none() {
                break;
            }
        }
        let chance = match tests {
            None => Chance::Any,
            Some(tests) if tests.is_empty() => Chance::None,
            Some(tests) => self.alike.with(tests, &self.program.nodes),
        };
        self.alike.keep(kind, chance);
    }

    /// Hands on what the record that was read last satisfies, in the order of rules and steps. The event behind the step
    /// matches is made once, and only where there is one.
    pub fn matches(&mut self, record: &Record<'_>, give: impl FnMut(StepMatch)) {
        self.matches_written(record, || record.document.into(), give);
    }

    /// The same for a record whose document is no text yet: `write` gives its JSON text, and is called only where the
    /// record satisfies something, or may satisfy what looks at all of its values. [`Record::document`] is empty then, and
    /// the field `_made` has a value.
    pub fn matches_written(
        &mut self,
        record: &Record<'_>,
        write: impl Fn() -> Box<[u8]>,
        give: impl FnMut(StepMatch),
    ) {
        let Self {
            program,
            row,
            aside: _,
            aside_bytes: _,
            spare: _,
            dates: _,
            whole,
            scratch,
            marks,
            alike: _,
            readable,
            woken,
            event: event_number,
            satisfied,
            joining,
            excepted,
            statistics,
            profile,
        } = self;
        satisfied.clear();
        if !*readable {
            return;
        }
        if let Some(index) = record.index {
            row.set_string(program.index, index);
        }
        if record.document.is_empty() {
            row.set_string(program.made, "yes");
        }
        if program.nodes.reads_objects {
            scratch.set_document(record.document);
        }
        *event_number += 1;
        let began = profile.as_ref().map(|profile| profile.now());
        let mut filled = false;
        let mut fill = |row: &mut Row| {
            if std::mem::replace(&mut filled, true) {
                return;
            }
            let read = whole.read(&program.whole.slots_read, &write());
            for (number, slot) in (0_u32..).zip(&program.whole.slots).filter(|_| read.is_ok()) {
                row.copy(*slot, whole, Slot(number));
            }
        };
        if program.whole.always {
            fill(row);
        }
        let text = match record.document {
            [] => None,
            text => Some(text),
        };
        let wake = |stage: u32| {
            if let Some(last) = woken.get_mut(stage as usize)
                && *last != *event_number
            {
                *last = *event_number;
                satisfied.push(stage);
            }
        };
        program.routing.route(
            &program.nodes,
            row,
            scratch,
            marks,
            WholeRecord { text, fill },
            wake,
        );
        statistics.woken_conditions += satisfied.len() as u64;
        let nodes = &program.nodes;
        if let (Some(profile), Some(began)) = (profile, began) {
            profile.events += 1;
            profile.routing_nanos += profile.since(began);
            satisfied.retain(|stage| {
                let stage = program.stages.get(*stage as usize);
                stage.is_some_and(|stage| {
                    profile.condition_holds(nodes, stage.condition, stage.rule, row, scratch)
                })
            });
        } else {
            satisfied.retain(|stage| {
                let stage = program.stages.get(*stage as usize);
                stage.is_some_and(|stage| nodes.holds(stage.condition, row, scratch))
            });
        }
        satisfied.sort_unstable();
        statistics.untried_choices += std::mem::take(&mut scratch.untried_choices);

        joining.next_event();
        let mut left_out = None;
        for number in &*satisfied {
            let Some(stage) = program.stages.get(*number as usize) else {
                continue;
            };
            let Some(rule) = program.rules.get(stage.rule.0 as usize) else {
                continue;
            };
            if left_out == Some(stage.rule) {
                continue;
            }
            let exception = rule
                .exceptions
                .iter()
                .find(|(condition, _)| program.nodes.holds(*condition, row, scratch));
            if let Some((_, exception)) = exception {
                if let Some(count) = excepted.get_mut(*exception as usize) {
                    *count += 1;
                }
                left_out = Some(stage.rule);
                continue;
            }
            if fails_here(rule, program.index, row, record) {
                statistics.failing_index += 1;
                left_out = Some(stage.rule);
                continue;
            }
            if rule.ordered && !joining.has_time(program, rule.order, row, record.position) {
                statistics.without_time += 1;
                left_out = Some(stage.rule);
                continue;
            }
            let dropped = joining.join(program, *number, stage, row);
            statistics.dropped_key_tuples = statistics.dropped_key_tuples.saturating_add(dropped);
        }
        if joining.is_empty() {
            return;
        }
        let event = || new_event(program, row, record, write());
        statistics.step_matches += joining.give(program, row, record.position, event, give);
    }

    /// What was seen so far.
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// For each exception of the program how many events it kept from a rule that they satisfied a step of; an event that
    /// several exceptions hold for counts for the first.
    pub fn excepted(&self) -> &[u64] {
        &self.excepted
    }

    /// The same since it was taken last; empty where nothing was excepted.
    pub fn take_excepted(&mut self) -> Vec<u64> {
        match self.excepted.iter().any(|count| *count > 0) {
            true => {
                let none = vec![0; self.excepted.len()];
                std::mem::replace(&mut self.excepted, none)
            }
            false => Vec::new(),
        }
    }

    #[cfg(test)]
    pub(crate) fn times_forgotten(&self) -> usize {
        self.scratch.times_forgotten()
    }

    #[cfg(test)]
    pub(crate) fn has_own_literals(&self) -> bool {
        self.marks.has_own_literals()
    }

    /// The program.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }
}

fn text_length(row: &Row) -> usize {
    row.record().map_or(0, |(text, _)| text.len())
}

fn fails_here(rule: &CompiledRule, index: Slot, row: &Row, record: &Record<'_>) -> bool {
    if rule.failing_indices.is_empty() {
        return false;
    }
    let fails = |name: &str| rule.failing_indices.iter().any(|failing| &**failing == name);
    match record.index {
        Some(name) => fails(name),
        None => row
            .values(index)
            .any(|value| matches!(value, ValueRef::String(name) if fails(name))),
    }
}

fn new_event(program: &Program, row: &Row, record: &Record<'_>, document: Box<[u8]>) -> Event {
    let id = match (record.id, row.first(program.id)) {
        (Some(id), _) | (None, Some(ValueRef::String(id))) => Some(EventId::given(id)),
        _ => None,
    };
    Event::new(document, id, record.origin.clone())
}
