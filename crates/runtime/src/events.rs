//! From records to events: what a record is, decided by its content alone, and what the matcher reads of it.
//!
//! Most inputs are ECS documents, and those are read in one pass without knowing anything else of them; the fields that
//! tell that they are what they seem to be are read in the same pass. Everything else goes through the normaliser, and
//! its documents are read without text in between. Which of the two is tried first follows the record before; what comes
//! out does not.

use std::cell::RefCell;
use std::sync::Arc;

use neph_engine::{Matcher, Origin, Program, StepMatch};
use neph_event::{ANY_FIELD, Instant, parse_date};
use neph_normalize::{
    Document, Dropped, Normalizer, Outcome, Refusal, UnknownSource, Value, ecs_marks, is_ecs,
};

use crate::input::{Chunk, InputProblem, ProblemKind, Record, record_time};
use crate::run::{RunOptions, Tally};

/// The name that takes records for ECS documents, whatever they look like.
const AS_IT_IS: &str = "ecs";

/// The time of an event, which live runs go by.
const TIME: &str = "@timestamp";

/// Characters of a record that are shown where it is not recognised.
const SAMPLE: usize = 160;

/// Makes a program ready to be run over records of any kind: it reads, beside what its rules ask for, the fields that
/// tell an ECS document.
pub fn prepare(mut program: Program) -> Arc<Program> {
    program.watch(ecs_marks());
    Arc::new(program)
}

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
    pub(crate) steps: Vec<StepMatch>,
    /// Whether to look for the times of events.
    pub(crate) wants_time: bool,
    /// The least and the greatest event time, if they are wanted.
    pub(crate) earliest: Option<Instant>,
    pub(crate) latest: Option<Instant>,
    /// Records that could not be read, and those that their source drops; lines of text logs.
    pub(crate) refused: u64,
    pub(crate) dropped: u64,
    /// Records that no source knows.
    pub(crate) unrecognised: u64,
    /// Which rules the events were held against.
    pub(crate) generation: u64,
    /// For each exception of these rules how many events it kept from them; empty where none did.
    pub(crate) excepted: Vec<u64>,
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
        })
    }

    /// Has only what the rules of a program read be made of records.
    pub(crate) fn want(&mut self, program: &Program) {
        let fields = program.slots().fields();
        let all = fields.iter().any(|field| *field.path == *ANY_FIELD);
        let fields = fields.iter().map(|field| field.path.to_string());
        if let (Some(normalizer), Some(_)) = (&mut self.normalizer, &self.whole) {
            normalizer.want((!all).then(|| fields.chain([TIME.to_owned()]).collect()));
        }
    }

    /// Reads a record, and finds what its events satisfy.
    pub(crate) fn read(
        &mut self,
        matcher: &mut Matcher,
        chunk: &Chunk,
        record: &Record<'_>,
        out: &mut Found,
        tally: &mut Tally,
    ) {
        let origin = Origin {
            source: Arc::clone(chunk.source()),
            line: record.line,
        };
        let mut way = Way {
            matcher,
            chunk,
            record,
            origin,
            out,
            tally,
        };
        let Some(normalizer) = &mut self.normalizer else {
            return way.as_it_stands(false);
        };
        let is_object = record.document.first() == Some(&b'{');
        if is_object && self.expects_ecs {
            if way.matcher.read(record.document).is_ok() && way.is_ecs() {
                return way.match_text();
            }
            way.matcher.forget();
        }
        let may_stand = is_object && !self.is_forced;
        let outcome = normalizer.push(record.document);
        let stands = way.normalised(&outcome, self.whole.as_mut(), may_stand);
        if may_stand {
            self.expects_ecs = stands;
        }
    }
}

impl Way<'_> {
    fn is_ecs(&self) -> bool {
        is_ecs(|mark| self.matcher.has_watched(mark))
    }

    /// Takes what the normaliser made of the record; whether it is an ECS document as it stands.
    fn normalised(&mut self, outcome: &Outcome<'_>, whole: Option<&mut Normalizer>, may_stand: bool) -> bool {
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
        for (number, made) in outcome.documents.iter().enumerate() {
            self.tally.count(made.source.name);
            let text = self.record.document;
            let write = || match &mut *whole.borrow_mut() {
                Some(whole) if made.is_partial => {
                    let outcome = whole.push_again(text, made.source);
                    outcome.documents.first().map(|made| made.document.to_json())
                }
                _ => Some(made.document.to_json()),
            };
            self.document(number, &made.document, outcome.documents.len() == 1, write);
        }
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
        if self.out.wants_time {
            self.out.note_time(record_time(document));
        }
        let known = neph_engine::Record {
            document,
            id: self.record.id.as_deref(),
            index: self.record.index.as_deref(),
            position: self.record.position,
            origin: &self.origin,
        };
        self.matcher.matches(&known, |step| self.out.steps.push(step));
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
        if self.out.wants_time {
            let time = document
                .at(TIME)
                .and_then(Value::as_text)
                .and_then(|text| parse_date(text, &[]));
            self.out.note_time(time);
        }
        let known = neph_engine::Record {
            document: &[],
            // An id that a store gave belongs to the whole record.
            id: self.record.id.as_deref().filter(|_| is_alone),
            index: self.record.index.as_deref(),
            // A record has fewer documents than bytes, so that no two documents share a position.
            position: self.record.position + number as u64,
            origin: &self.origin,
        };
        let write = || write().unwrap_or_default().into();
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
