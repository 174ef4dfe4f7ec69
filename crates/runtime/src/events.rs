//! From records to events: what a record is, decided by its content alone, and what the matcher reads of it.
//!
//! Most inputs are ECS documents, and those are read in one pass without knowing anything else of them; the fields that
//! tell that they are what they seem to be are read in the same pass. Everything else goes through the normaliser, and
//! its documents are read without text in between. Which of the two is tried first follows the record before; what comes
//! out does not.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use neph_engine::{Matcher, Origin, Program};
use neph_event::{ANY_FIELD, EventId, Field, FieldType, Instant, parse_date};
use neph_normalize::{
    Document, Dropped, ECS_MARKS, Glance, Normalizer, Outcome, Refusal, UnknownSource, Value, ecs_marks,
    is_ecs,
};

use crate::input::{Chunk, InputProblem, ProblemKind, Record, record_time};
use crate::run::{RunOptions, Tally};
use crate::steps::Steps;

/// The name that takes records for ECS documents, whatever they look like.
const AS_IT_IS: &str = "ecs";

/// The time of an event, which live runs go by.
const TIME: &str = "@timestamp";

/// Characters of a record that are shown where it is not recognised.
const SAMPLE: usize = 160;

/// Makes a program ready to be run over records of any kind: it reads, beside what its rules ask for, the fields that
/// tell an ECS document, and where and when it belongs.
pub fn prepare(mut program: Program) -> Arc<Program> {
    let own = [Field::record_index(), Field::new(TIME, FieldType::Date)];
    program.watch(ecs_marks().chain(own));
    Arc::new(program)
}

/// Places of watched fields.
const DATASET_MARK: usize = 4;
const INDEX_MARK: usize = ECS_MARKS.len();
const TIME_MARK: usize = INDEX_MARK + 1;

/// Reads the records of chunks. One for each worker.
#[derive(Debug)]
pub(crate) struct EventReader {
    /// Without one every record is an ECS document.
    normalizer: Option<Normalizer>,
    /// Makes whole documents of records that satisfy something, where only what rules read was made before.
    whole: Option<Normalizer>,
    /// Whether the source is forced.
    is_forced: bool,
    /// Whether the last object was an ECS document.
    expects_ecs: bool,
    /// The fields that rules read, in the order of their slots.
    fields: Vec<Arc<Field>>,
    /// By source which of them glances at its records tell.
    told: BTreeMap<&'static str, Told>,
    parts: Parts,
}

/// Of which fields, by their slots, a glance at a record tells what rules see in them.
#[derive(Debug, Default)]
struct Told {
    by_kind: Box<[bool]>,
    /// Those whose texts stand in the record as they are.
    shown: Box<[bool]>,
}

/// Whether the text of a record shows all texts that rules see in a field.
fn is_shown(field: &Field, glance: &Glance<'_>) -> bool {
    let is_text = matches!(
        field.kind,
        FieldType::Keyword | FieldType::Text | FieldType::Dynamic
    );
    is_text && *field.path != *ANY_FIELD && glance.shows(&field.path)
}

/// Whether a glance at a record tells all that rules see in a field.
fn is_told(field: &Field, glance: &Glance<'_>) -> bool {
    *field.path != *ANY_FIELD && glance.tells(&field.path)
}

/// Documents of which only parts were made, since the last time that they were counted.
#[derive(Debug, Default)]
struct Parts {
    /// Those of records that were passed over among them.
    made: u32,
    /// Of how many all was asked for.
    again: u32,
}

/// A record on its way to the matcher.
struct Way<'w> {
    matcher: &'w mut Matcher,
    chunk: &'w Chunk,
    record: &'w Record<'w>,
    origin: Origin,
    out: &'w mut Found,
    tally: &'w mut Tally,
}

/// What the events of a chunk satisfy.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) steps: Steps,
    /// Whether to look for the times of events, and for where they belong.
    pub(crate) wants_time: bool,
    /// The least and the greatest event time, if they are wanted.
    pub(crate) earliest: Option<Instant>,
    pub(crate) latest: Option<Instant>,
    /// Records that could not be read, and those that their source drops; lines of text logs.
    pub(crate) refused: u64,
    pub(crate) dropped: u64,
    /// Records that no source knows.
    pub(crate) unrecognised: u64,
    /// Records whose time is that of their receipt.
    pub(crate) untimed: u64,
    /// Where events say that they belong.
    pub(crate) places: Places,
    /// Which rules the events were held against.
    pub(crate) generation: u64,
    /// For each exception of these rules how many events it kept from them; empty where none did.
    pub(crate) excepted: Vec<u64>,
}

/// Where events say that they belong, and how many records each is. Most are one after the other.
#[derive(Default)]
pub(crate) struct Places(pub(crate) Vec<Place>);

/// A place where events say that they belong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) index: Option<Box<str>>,
    pub(crate) dataset: Option<Box<str>>,
    pub(crate) is_made: bool,
    pub(crate) records: u64,
}

impl Places {
    /// So many of one chunk are told apart.
    const MOST: usize = 64;

    fn note(&mut self, index: Option<&str>, dataset: Option<&str>, is_made: bool, records: u64) {
        if index.is_none() && dataset.is_none() {
            return;
        }
        let is_same = |place: &&mut Place| {
            place.index.as_deref() == index && place.dataset.as_deref() == dataset && place.is_made == is_made
        };
        if let Some(place) = self.0.iter_mut().rev().find(is_same) {
            place.records += records;
        } else if self.0.len() < Self::MOST {
            self.0.push(Place {
                index: index.map(Into::into),
                dataset: dataset.map(Into::into),
                is_made,
                records,
            });
        }
    }
}

impl Found {
    fn note_time(&mut self, time: Option<Instant>) {
        self.latest = self.latest.max(time);
        self.earliest = [self.earliest, time].into_iter().flatten().min();
    }
}

impl EventReader {
    /// A reader that recognises records, or takes all for those of a source.
    ///
    /// # Errors
    /// There is no such source.
    pub(crate) fn new(options: &RunOptions) -> Result<Self, UnknownSource> {
        let source = options.source.as_deref();
        let start = || Ok(Normalizer::new(source)?.with_clock(options.clock.clone()));
        let (normalizer, whole) = match (source, &options.enrichment) {
            (Some(AS_IT_IS), None) => (None, None),
            (_, None) => (Some(start()?), Some(start()?)),
            // What is added may follow from any field.
            (_, Some(enrichment)) => (Some(start()?.with_enricher(enrichment.enricher())), None),
        };
        Ok(Self {
            normalizer,
            whole,
            is_forced: source.is_some(),
            expects_ecs: source.is_none() && options.enrichment.is_none(),
            fields: Vec::new(),
            told: BTreeMap::new(),
            parts: Parts::default(),
        })
    }

    /// Has only what the rules of a program read be made of records.
    pub(crate) fn want(&mut self, program: &Program) {
        let fields = program.slots().fields();
        self.fields = fields.to_vec();
        self.told.clear();
        self.parts = Parts::default();
        // What looks at all values is asked for by the matcher where it is needed.
        let fields = fields.iter().filter(|field| *field.path != *ANY_FIELD);
        let fields = fields.map(|field| field.path.to_string());
        if let (Some(normalizer), Some(_)) = (&mut self.normalizer, &self.whole) {
            normalizer.want((!program.reads_all()).then(|| fields.chain([TIME.to_owned()]).collect()));
        }
    }

    /// The records that follow were received then, if that is known.
    pub(crate) fn received(&mut self, at: Option<Instant>) {
        let Some(at) = at else { return };
        for normalizer in [&mut self.normalizer, &mut self.whole].into_iter().flatten() {
            normalizer.received(at);
        }
    }

    /// Reads the records of a chunk, and finds what their events satisfy. Those that are expected to be ECS documents are read some
    /// at a time and matched then.
    pub(crate) fn read_all(
        &mut self,
        matcher: &mut Matcher,
        chunk: &Chunk,
        out: &mut Found,
        tally: &mut Tally,
    ) {
        let mut aside = Vec::new();
        for record in chunk.records() {
            let record = match record {
                Ok(record) => record,
                Err((position, problem)) => {
                    out.refused += 1;
                    tally.refuse(position, problem);
                    continue;
                }
            };
            if self.stands(matcher, &record) {
                aside.push(record);
                if !matcher.set_aside() {
                    match_aside(matcher, chunk, &mut aside, out, tally);
                }
                continue;
            }
            match_aside(matcher, chunk, &mut aside, out, tally);
            let (records, refused) = (tally.records, tally.refused);
            self.read(Way::new(matcher, chunk, &record, out, tally));
            // What is neither seen by the rules nor refused its source has no use for.
            if tally.records == records {
                match tally.refused == refused {
                    true => out.dropped += record.lines,
                    false => out.refused += record.lines,
                }
            }
        }
        match_aside(matcher, chunk, &mut aside, out, tally);
    }

    /// Reads a record that is expected to be an ECS document; whether it is one.
    fn stands(&self, matcher: &mut Matcher, record: &Record<'_>) -> bool {
        let needs_no_marks = self.normalizer.is_none();
        let is_expected = self.expects_ecs && record.document.first() == Some(&b'{');
        if !needs_no_marks && !is_expected {
            return false;
        }
        let is_read = matcher.read(record.document).is_ok();
        let stands = is_read && (needs_no_marks || is_ecs(|mark| matcher.has_watched(mark)));
        if !stands {
            matcher.forget();
        }
        stands
    }

    /// Reads a record that is not known to be an ECS document, and finds what its events satisfy.
    fn read(&mut self, mut way: Way<'_>) {
        let record = way.record;
        let Some(normalizer) = &mut self.normalizer else {
            return way.as_it_stands(false);
        };
        let may_stand = !self.is_forced && record.document.first() == Some(&b'{');
        let mut new_kind: Option<(&'static str, Box<[u8]>)> = None;
        if way.can_be_passed_over()
            && let Some(glance) = normalizer.glance(record.document)
        {
            match way.matcher.may_match(glance.kind, glance.text) {
                Some(false) => {
                    self.parts.made += 1;
                    way.tally.records += record.lines;
                    return way.tally.count(glance.source.name);
                }
                Some(true) => {}
                None => {
                    let fields = &self.fields;
                    // What does not fit is counted, so that it must be read.
                    let told = || match fields.iter().all(|field| glance.fits(field)) {
                        true => Told {
                            by_kind: fields.iter().map(|field| is_told(field, &glance)).collect(),
                            shown: fields.iter().map(|field| is_shown(field, &glance)).collect(),
                        },
                        false => Told::default(),
                    };
                    self.told.entry(glance.source.name).or_insert_with(told);
                    new_kind = Some((glance.source.name, glance.kind.into()));
                }
            }
        }
        let outcome = normalizer.push(record.document);
        let is_partial = matches!(outcome.documents.as_slice(), [made] if made.is_partial);
        let stands = way.normalised(&outcome, self.whole.as_mut(), may_stand, &mut self.parts);
        if let Some((source, kind)) = new_kind
            && is_partial
            && let Some(told) = self.told.get(source)
        {
            way.matcher.learn(&kind, &told.by_kind, &told.shown);
        }
        if may_stand {
            self.expects_ecs = stands;
        }
        drop(outcome);
        if self.parts.are_too_little() {
            normalizer.want(None);
        }
    }
}

/// Matches the records that were set aside, in their order.
fn match_aside(
    matcher: &mut Matcher,
    chunk: &Chunk,
    records: &mut Vec<Record<'_>>,
    out: &mut Found,
    tally: &mut Tally,
) {
    for record in records.drain(..) {
        if matcher.take_up() {
            Way::new(matcher, chunk, &record, out, tally).match_text();
        }
    }
}

impl Parts {
    /// Whether so many documents had to be made twice that it is better to make them whole at once; told after every so many.
    fn are_too_little(&mut self) -> bool {
        if self.made < Self::TRIAL {
            return false;
        }
        let again = self.again;
        *self = Self::default();
        again > Self::TRIAL / 3
    }

    const TRIAL: u32 = if cfg!(test) { 1 << 4 } else { 1 << 10 };
}

impl<'w> Way<'w> {
    fn new(
        matcher: &'w mut Matcher,
        chunk: &'w Chunk,
        record: &'w Record<'w>,
        out: &'w mut Found,
        tally: &'w mut Tally,
    ) -> Self {
        let origin = Origin {
            source: Arc::clone(chunk.source()),
            line: record.line,
        };
        Self {
            matcher,
            chunk,
            record,
            origin,
            out,
            tally,
        }
    }

    /// Whether nothing is wanted of the record where no rule is about it, but that it is counted.
    fn can_be_passed_over(&mut self) -> bool {
        let is_known_by_its_text = self.record.index.is_none() && self.chunk.mark.received.is_none();
        !self.out.wants_time && is_known_by_its_text && self.matcher.asks_for_kind()
    }

    /// Takes what the normaliser made of the record; whether it is an ECS document as it stands.
    fn normalised(
        &mut self,
        outcome: &Outcome<'_>,
        whole: Option<&mut Normalizer>,
        may_stand: bool,
        parts: &mut Parts,
    ) -> bool {
        if let [single] = outcome.documents.as_slice()
            && single.is_record
            && may_stand
        {
            self.as_it_stands(false);
            return true;
        }
        let nothing = outcome.documents.is_empty();
        if nothing && outcome.refused.is_empty() && !self.record.document.starts_with(b"{") {
            let reason = "the record is not a JSON object";
            self.tally.refuse_record(self.chunk, self.record, reason);
            return false;
        }
        let (mut refused, mut stands) = (false, false);
        for refusal in &outcome.refused {
            match refusal {
                Refusal::Dropped {
                    source_name,
                    reason: Dropped::NoEvent(why),
                } => self.tally.drop(source_name, why),
                // What no source knows may still be what a rule was written for, and a reader of JSON that is less
                // strict, or says better what is wrong, has the last word.
                Refusal::Unrecognised | Refusal::Json(_) if nothing && may_stand => stands = true,
                other => {
                    self.refuse(other);
                    refused = true;
                }
            }
        }
        if stands && !refused {
            self.as_it_stands(true);
            return false;
        }
        let whole = RefCell::new(whole);
        let again = Cell::new(0);
        for (number, made) in outcome.documents.iter().enumerate() {
            self.tally.count(made.source.name);
            parts.made += u32::from(made.is_partial);
            let text = self.record.document;
            let write = || match &mut *whole.borrow_mut() {
                Some(whole) if made.is_partial => {
                    again.set(again.get() + 1);
                    let outcome = whole.push_again(text, made.source);
                    outcome.documents.first().map(|made| made.document.to_json())
                }
                _ => Some(made.document.to_json()),
            };
            self.document(number, &made.document, outcome.documents.len() == 1, write);
        }
        parts.again += again.get();
        if !refused || !nothing {
            self.tally.records += self.record.lines;
        }
        false
    }

    /// Reads the record's own text as a document.
    fn as_it_stands(&mut self, is_doubtful: bool) {
        if let Err(error) = self.matcher.read(self.record.document) {
            return self
                .tally
                .refuse_record(self.chunk, self.record, &error.to_string());
        }
        // A document with a time is an event, whatever else it lacks.
        if is_doubtful && !self.matcher.has_watched(0) {
            let problem = self.problem(
                ProblemKind::Unrecognised,
                "no source recognises the record, which rules see as it is",
            );
            self.tally.note(self.record.position, problem);
            self.out.unrecognised += self.record.lines;
            self.tally.records += self.record.lines;
            return self.match_text_of_any();
        }
        self.match_text();
    }

    fn match_text(&mut self) {
        self.tally.records += self.record.lines;
        self.tally.count(AS_IT_IS);
        self.match_text_of_any();
    }

    fn match_text_of_any(&mut self) {
        let document = self.record.document;
        let time = self.matcher.watched_time(TIME_MARK);
        let received = self.chunk.mark.received.filter(|_| time.is_none());
        if self.out.wants_time {
            self.out
                .note_time(time.or(received).or_else(|| record_time(document)));
            let index = self.record.index.as_deref();
            let index = index.or_else(|| self.matcher.watched(INDEX_MARK));
            let dataset = self.matcher.watched(DATASET_MARK);
            self.out.places.note(index, dataset, false, self.record.lines);
        }
        let timed = received.and_then(|received| self.timed(document, received));
        let (document, id) = match &timed {
            Some((timed, id)) => (timed.as_slice(), Some(id.as_str())),
            None => (document, None),
        };
        let known = neph_engine::Record {
            document,
            id: self.record.id.as_deref().or(id),
            index: self.record.index.as_deref(),
            position: self.record.position,
            origin: &self.origin,
        };
        self.matcher.matches(&known, |step| self.out.steps.push(step));
    }

    /// Gives a document without a time that of its receipt, as pipelines do that write to Elasticsearch, and reads it in the place
    /// of the one that was read. Its id stays that of its text, so that one that is sent twice is still one event.
    fn timed(&mut self, document: &[u8], received: Instant) -> Option<(Vec<u8>, EventId)> {
        let timed = with_time(document, received)?;
        self.matcher.forget();
        if self.matcher.read(&timed).is_err() {
            // It was read before, so it is the same that can be read.
            self.matcher.forget();
            self.matcher.read(document).ok();
            return None;
        }
        self.out.untimed += self.record.lines;
        Some((timed, EventId::of_bytes(document)))
    }

    /// Reads a document of the normaliser, the `number`th of its record.
    fn document(
        &mut self,
        number: usize,
        document: &Document<'_>,
        is_alone: bool,
        write: impl Fn() -> Option<Vec<u8>>,
    ) {
        if self.matcher.read_from(*document).is_err() {
            return;
        }
        let time = document
            .at(TIME)
            .and_then(Value::as_text)
            .and_then(|text| parse_date(text, &[]));
        let received = self.chunk.mark.received.filter(|_| time.is_none());
        if self.out.wants_time {
            self.out.note_time(time.or(received));
            if number == 0 {
                let index = self.record.index.as_deref();
                self.out.places.note(index, None, true, self.record.lines);
            }
        }
        let timed = received.and_then(|received| self.timed(&write()?, received));
        // An id that a store gave belongs to the whole record.
        let given = self.record.id.as_deref().filter(|_| is_alone);
        let known = neph_engine::Record {
            document: &[],
            id: given.or(timed.as_ref().map(|(_, id)| id.as_str())),
            index: self.record.index.as_deref(),
            // A record has fewer documents than bytes, so that no two documents share a position.
            position: self.record.position + number as u64,
            origin: &self.origin,
        };
        let write = || match &timed {
            Some((timed, _)) => timed.as_slice().into(),
            None => write().unwrap_or_default().into(),
        };
        self.matcher
            .matches_written(&known, write, |step| self.out.steps.push(step));
    }

    fn refuse(&mut self, refusal: &Refusal) {
        let kind = match refusal {
            Refusal::Unrecognised => ProblemKind::Unrecognised,
            Refusal::Empty => ProblemKind::NoDocument,
            Refusal::Json(_) => ProblemKind::NotJson,
            Refusal::TooManyWrappings => ProblemKind::TooDeep,
            _ => ProblemKind::Malformed,
        };
        let problem = self.problem(kind, &refusal.to_string());
        self.tally.refuse(self.record.position, problem);
    }

    /// A problem with a sample of the record.
    fn problem(&self, kind: ProblemKind, message: &str) -> InputProblem {
        let text = String::from_utf8_lossy(self.record.document);
        let mut sample: String = text
            .chars()
            .take(SAMPLE)
            .map(|char| if char.is_control() { ' ' } else { char })
            .collect();
        if text.chars().nth(SAMPLE).is_some() {
            sample.push('…');
        }
        InputProblem {
            source: Arc::clone(self.chunk.source()),
            line: Some(self.record.line),
            kind,
            message: format!("{message}: `{sample}`"),
        }
    }
}

/// A document with a time that it did not have, and the mark that it is the one of its receipt. What stood in the field and is
/// no time is kept beside.
fn with_time(document: &[u8], time: Instant) -> Option<Vec<u8>> {
    let head = format!("{{\"{TIME}\":\"{time}\",\"neph.time\":\"received\"");
    if sonic_rs::get(document, [TIME]).is_ok() {
        let mut fields: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(document).ok()?;
        let unread = fields.remove(TIME)?;
        if !unread.is_null() {
            fields.insert("neph.time_unread".into(), unread);
        }
        return with_time(&serde_json::to_vec(&fields).ok()?, time);
    }
    let rest = document.trim_ascii_start().strip_prefix(b"{")?;
    let comma: &[u8] = match rest.trim_ascii_start().first() {
        Some(b'}') => b"",
        _ => b",",
    };
    Some([head.as_bytes(), comma, rest].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_get_the_time_that_they_lack() {
        let time = Instant {
            seconds: 1_793_491_200,
            nanos: 0,
        };
        for (document, rest) in [
            ("{}", ""),
            (" { } ", ""),
            ("{\"a\":{\"b\":1.50}}", ",\"a\":{\"b\":1.50}"),
            (
                "{\"a\":1,\"@timestamp\":\"soon\"}",
                ",\"a\":1,\"neph.time_unread\":\"soon\"",
            ),
            ("{\"@timestamp\":null}", ""),
        ] {
            let timed = String::from_utf8(with_time(document.as_bytes(), time).unwrap()).unwrap();
            assert_eq!(
                timed.replace(' ', ""),
                format!("{{\"@timestamp\":\"{time}\",\"neph.time\":\"received\"{rest}}}"),
                "{document}"
            );
        }
        assert_eq!(with_time(b"[]", time), None);
    }
}
