//! The way of a record: read, take off its wrappings, recognise, normalise, count.

use std::collections::BTreeMap;

use neph_event::Instant;
use smallvec::SmallVec;

use crate::clock::Clock;
use crate::convert;
use crate::document::Document;
use crate::ecs;
use crate::envelope::{self, Inside};
use crate::explain::{Explanation, Paths};
use crate::glance::{self, Glance};
use crate::json::{self, JsonError};
use crate::mapping::Draft;
use crate::reading::Reading;
use crate::record::Record;
use crate::source::{Confidence, Dropped, Made, Source, SourceInfo};
use crate::sources::{ECS, position, sources};
use crate::tree::{Arena, Map, Value};
use crate::wanted::{LARGEST_PARTIAL, Parts};

/// Wrappings inside wrappings are opened this deep.
const MAX_WRAPPINGS: u32 = 8;

/// An arena larger than this is given back after the record that needed it.
const KEPT_ARENA_BYTES: usize = 4 << 20;

/// Turns records into documents. One for each stream or file: recognition remembers what came last, and sources may
/// hold state of records that belong together.
pub struct Normalizer {
    arena: Arena,
    forced: Option<usize>,
    /// The source of the last record, which is asked first.
    last: Option<usize>,
    /// One for each entry of [`sources`], made when its first record comes.
    started: Vec<Option<Box<dyn Source>>>,
    marks: ecs::Marks,
    clock: Clock,
    enricher: Option<Box<dyn Enrich>>,
    expected: Expected,
    keep_original: bool,
    explain: bool,
    counts: Counts,
}

/// How records are read that are taken to be of the source of those before.
#[derive(Debug, Default)]
struct Expected {
    /// The sources of the last two records, where the record itself was of the source and not something inside of it.
    last: [Option<usize>; 2],
    /// The fields that are wanted of documents, if not all are.
    fields: Option<Vec<String>>,
    /// By source how to read all of a record, and what the wanted fields come from.
    readings: Vec<[Option<Reading>; 2]>,
    /// By source what a glance at a record looks at, and room for what it sees.
    glances: Vec<Option<Parts>>,
    said: Vec<u8>,
}

/// Adds to documents what their records do not say. One for each normaliser, so that it may remember what it was asked.
pub trait Enrich: Send {
    /// Adds to a document that is complete otherwise.
    fn enrich<'a>(&mut self, document: &'a Map<'a>);
}

/// There is no source of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no source `{0}`")]
pub struct UnknownSource(pub String);

/// What became of one record.
#[derive(Debug, Default)]
pub struct Outcome<'n> {
    /// The documents, in the order of the records inside.
    pub documents: SmallVec<[Normalised<'n>; 1]>,
    /// What became no document: an entry for each record inside that did not.
    pub refused: SmallVec<[Refusal; 1]>,
}

/// A document and the source that made it.
#[derive(Clone, Debug)]
pub struct Normalised<'n> {
    /// The source.
    pub source: &'static SourceInfo,
    /// The document.
    pub document: Document<'n>,
    /// Where its fields come from; empty unless asked for.
    pub explanations: Vec<Explanation>,
    /// The document is the record as it stands: it was ECS already.
    pub is_record: bool,
    /// Not all fields are there, but those that were wanted.
    pub is_partial: bool,
}

/// Why a record became no document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The source drops such records.
    #[error("{source_name}: {reason}")]
    Dropped {
        /// The source.
        source_name: &'static str,
        /// Its reason.
        reason: Dropped,
    },
    /// No source recognises it.
    #[error("no source recognises the record")]
    Unrecognised,
    /// It begins as JSON and is none.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// It is empty.
    #[error("the record is empty")]
    Empty,
    /// Its wrappings do not end.
    #[error("wrapped deeper than {MAX_WRAPPINGS} times")]
    TooManyWrappings,
}

/// How many records became what, since the normaliser was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records pushed.
    pub records: u64,
    /// Records whose bytes were not UTF-8; the odd ones were replaced.
    pub not_utf8: u64,
    /// Documents by source name.
    pub documents: BTreeMap<&'static str, u64>,
    /// Records inside that became no document, by reason.
    pub refused: BTreeMap<String, u64>,
}

impl std::fmt::Debug for Normalizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Normalizer")
            .field("forced", &self.forced)
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

impl Normalizer {
    /// A normaliser that recognises sources by content or, where a name is given, takes every record for one of
    /// that source.
    ///
    /// # Errors
    /// There is no source of that name.
    pub fn new(source: Option<&str>) -> Result<Self, UnknownSource> {
        let forced = match source {
            None => None,
            Some(name) => match position(name) {
                Some(index) => Some(index),
                None => return Err(UnknownSource(name.to_owned())),
            },
        };
        Ok(Self {
            arena: Arena::default(),
            forced,
            last: None,
            started: sources().iter().map(|_| None).collect(),
            marks: ecs::Marks::default(),
            clock: Clock::default(),
            enricher: None,
            expected: Expected::default(),
            keep_original: true,
            explain: false,
            counts: Counts::default(),
        })
    }

    /// Whether documents carry the text of their record as `event.original` (they do unless told otherwise).
    #[must_use]
    pub fn with_original(mut self, keep: bool) -> Self {
        self.keep_original = keep;
        self
    }

    /// What times without a year or a zone are read by.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The records that follow were received then. Times without a year are in the latest year in which they are no more than a day
    /// after that. Records that hold no time stay without one.
    pub fn received(&mut self, at: Instant) {
        self.clock.received(at);
    }

    /// What is added to each document.
    #[must_use]
    pub fn with_enricher(mut self, enricher: impl Enrich + 'static) -> Self {
        self.enricher = Some(Box::new(enricher));
        self
    }

    /// Says which fields of documents are wanted, by their paths; without it all are. Documents of records of which only
    /// parts were read for it are [partial](Normalised::is_partial).
    pub fn want(&mut self, fields: Option<Vec<String>>) {
        self.expected = Expected {
            last: self.expected.last,
            fields: fields.filter(|_| self.enricher.is_none() && !self.explain),
            ..Expected::default()
        };
    }

    /// Takes a record of which only parts were read, again and as a whole.
    pub fn push_again<'n>(&'n mut self, raw: &'n [u8], source: &SourceInfo) -> Outcome<'n> {
        self.last = position(source.name);
        self.push(raw)
    }

    /// A glance at a record that is taken to be of the source of the two before, where only some fields are wanted. All of the
    /// record is checked to be JSON. `None` where [`push`](Self::push) must say what it is.
    pub fn glance<'n>(&'n mut self, raw: &'n [u8]) -> Option<Glance<'n>> {
        let Expected {
            last: [last, before],
            fields: Some(_),
            glances,
            said,
            ..
        } = &mut self.expected
        else {
            return None;
        };
        let index = last.filter(|_| last == before && raw.len() <= LARGEST_PARTIAL)?;
        let (source, info) = (self.started.get(index)?.as_ref()?, sources().get(index)?);
        let always = source.always_reads()?;
        let text = simdutf8::basic::from_utf8(raw).ok()?;
        glances.resize_with(sources().len(), || None);
        let parts = glances.get_mut(index)?;
        let parts = parts.get_or_insert_with(|| Parts::of(info, &[], always));
        said.clear();
        said.extend_from_slice(info.name.as_bytes());
        said.push(b'"');
        let any = source.looks_for();
        glance::glance(text.trim_end_matches(['\n', '\r']), parts, any, said)?;
        Some(Glance::new(info, text, said, always, any))
    }

    /// Whether anything is added to documents, so that not even an ECS document stays as it stands in its record.
    pub fn enriches(&self) -> bool {
        self.enricher.is_some()
    }

    /// Whether each document says where its fields come from (they do not unless told to: it takes time).
    #[must_use]
    pub fn with_explanations(mut self, explain: bool) -> Self {
        self.explain = explain;
        self
    }

    /// What became of the records so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Takes one record: a line of a log, a JSON object, or a JSON string that holds the text of a record.
    ///
    /// An outcome without documents and refusals means that the record is held back until others of its group come.
    pub fn push<'n>(&'n mut self, raw: &'n [u8]) -> Outcome<'n> {
        self.counts.records += 1;
        let (mut work, counts) = self.work();
        let text: &'n str = simdutf8::basic::from_utf8(raw).unwrap_or_else(|_| {
            counts.not_utf8 += 1;
            work.arena.text(&String::from_utf8_lossy(raw))
        });
        work.text(text);
        counts.add(work.outcome)
    }

    /// Gives the documents of records that were held back. To be called when no more records come.
    pub fn finish(&mut self) -> Outcome<'_> {
        let (mut work, counts) = self.work();
        work.finish();
        counts.add(work.outcome)
    }

    /// An empty arena and what is needed to fill it.
    fn work<'n>(&'n mut self) -> (Work<'n, 'n>, &'n mut Counts) {
        if self.arena.allocated_bytes() > KEPT_ARENA_BYTES {
            self.arena = Arena::default();
        } else {
            self.arena.reset();
        }
        let work = Work {
            arena: &self.arena,
            forced: self.forced,
            last: &mut self.last,
            started: &mut self.started,
            marks: &mut self.marks,
            whole: None,
            clock: &self.clock,
            enricher: &mut self.enricher,
            expected: &mut self.expected,
            keep_original: self.keep_original,
            explain: self.explain,
            made: Made::new(),
            outcome: Outcome::default(),
        };
        (work, &mut self.counts)
    }
}

impl Counts {
    /// Counts an outcome, and hands it on.
    fn add<'n>(&mut self, outcome: Outcome<'n>) -> Outcome<'n> {
        for document in &outcome.documents {
            *self.documents.entry(document.source.name).or_default() += 1;
        }
        for refusal in &outcome.refused {
            *self.refused.entry(refusal.to_string()).or_default() += 1;
        }
        outcome
    }
}

/// The work on one record.
struct Work<'w, 'n> {
    arena: &'n Arena,
    forced: Option<usize>,
    last: &'w mut Option<usize>,
    started: &'w mut [Option<Box<dyn Source>>],
    marks: &'w mut ecs::Marks,
    /// The record as a whole, where it is an object.
    whole: Option<&'n Map<'n>>,
    clock: &'n Clock,
    enricher: &'w mut Option<Box<dyn Enrich>>,
    expected: &'w mut Expected,
    keep_original: bool,
    explain: bool,
    made: Made<'n>,
    outcome: Outcome<'n>,
}

impl<'n> Work<'_, 'n> {
    fn text(&mut self, text: &'n str) {
        let text = text.trim_start_matches('\u{feff}').trim_end_matches(['\n', '\r']);
        let start = if text.starts_with('{') {
            text
        } else {
            text.trim_start()
        };
        let [last, before] = self.expected.last;
        self.expected.last = [None, last];
        // Where records of several sources take turns, guessing costs more than it spares.
        if let Some(index) = last.filter(|_| last == before)
            && start.starts_with('{')
            && !self.explain
            && self.expected(text, index)
        {
            return;
        }
        let value = match start.as_bytes().first() {
            None => return self.outcome.refused.push(Refusal::Empty),
            Some(b'{' | b'"') => match json::parse(self.arena, text) {
                Ok(value) => value,
                Err(error) => return self.outcome.refused.push(error.into()),
            },
            // A line may begin with a bracket and be no array: `[2026-11-21 …] …`.
            Some(b'[') => json::parse(self.arena, text).unwrap_or(Value::Text(text)),
            Some(_) => Value::Text(text),
        };
        let outer = Record {
            arena: self.arena,
            text,
            object: None,
            agent: None,
            clock: self.clock,
        };
        match value {
            Value::Map(object) => {
                self.whole = Some(object);
                let record = Record {
                    object: Some(object),
                    ..outer
                };
                self.record(&record, 0);
            }
            Value::List(list) => self.inside(&outer, list, None, 0),
            Value::Text(line) => match envelope::record(&outer, value, None) {
                Some(record) if !line.trim().is_empty() => self.record(&record, 0),
                _ => self.outcome.refused.push(Refusal::Empty),
            },
            _ => self.outcome.refused.push(Refusal::Unrecognised),
        }
    }

    /// Reads a record as one of the source of those before; whether it is.
    fn expected(&mut self, text: &'n str, index: usize) -> bool {
        let (Some(info), Some(Some(source))) = (sources().get(index), self.started.get_mut(index)) else {
            return false;
        };
        let Expected { fields, readings, .. } = &mut *self.expected;
        let Some(plan) = source.plan() else {
            return false;
        };
        let wanted = match (fields, source.always_reads()) {
            (Some(fields), Some(always)) if text.len() <= LARGEST_PARTIAL => Some((fields, always)),
            _ => None,
        };
        readings.resize_with(sources().len(), Default::default);
        let is_partial = wanted.is_some();
        let reading = readings
            .get_mut(index)
            .and_then(|readings| readings.get_mut(usize::from(is_partial)));
        let Some(reading) = reading else {
            return false;
        };
        let reading = reading.get_or_insert_with(|| {
            let parts = wanted.map(|(fields, always)| Parts::of(info, fields, always));
            Reading::of(plan, parts)
        });
        let Some((object, found)) = json::read(self.arena, text, reading) else {
            return false;
        };
        let record = Record {
            arena: self.arena,
            text,
            object: Some(object),
            agent: None,
            clock: self.clock,
        };
        let is_ours = self.forced.is_none_or(|forced| forced == index)
            && (self.forced.is_some() || !self.marks.are_on(object))
            && (info.detect)(&record) == Confidence::Certain;
        if !is_ours {
            return false;
        }
        let Some(Ok(draft)) = source.draft(&record, found) else {
            return false;
        };
        self.whole = Some(object);
        *self.last = Some(index);
        self.expected.last[0] = Some(index);
        self.drafted(draft, &record, index, is_partial);
        true
    }

    fn inside(&mut self, outer: &Record<'n>, values: &[Value<'n>], agent: Option<&'n Map<'n>>, depth: u32) {
        for value in values {
            match envelope::record(outer, *value, agent) {
                Some(record) => self.record(&record, depth),
                None => self.outcome.refused.push(Refusal::Unrecognised),
            }
        }
    }

    fn record(&mut self, record: &Record<'n>, depth: u32) {
        if depth >= MAX_WRAPPINGS {
            return self.outcome.refused.push(Refusal::TooManyWrappings);
        }
        let is_ecs = match self.forced {
            Some(forced) => forced == ECS,
            None => record.object.is_some_and(|object| self.marks.are_on(object)),
        };
        if is_ecs {
            return self.normalise(record, ECS);
        }
        let enough = if self.forced.is_some() {
            Confidence::Likely
        } else {
            Confidence::Certain
        };
        if let Some(index) = self.recognise(record, enough) {
            return self.normalise(record, index);
        }
        if let Inside::Records { records, agent } = envelope::open(record) {
            return self.inside(record, &records, agent, depth + 1);
        }
        if let Some(inner) = envelope::behind_header(record)
            && let Some(index) = self.recognise(&inner, Confidence::Likely)
        {
            return self.normalise(&inner, index);
        }
        if let Some(index) = self.recognise(record, Confidence::Likely) {
            return self.normalise(record, index);
        }
        // What nobody knows may be of a shipper that says nothing of itself.
        if let Some(inner) = envelope::shipped_line(record)
            && (inner.object.is_some() || self.recognise(&inner, Confidence::Certain).is_some())
        {
            return self.record(&inner, depth + 1);
        }
        match self.forced {
            Some(index) => self.normalise(record, index),
            None => self.outcome.refused.push(Refusal::Unrecognised),
        }
    }

    /// The source that is surest of the record, if it is at least that sure.
    fn recognise(&self, record: &Record<'n>, least: Confidence) -> Option<usize> {
        let sure = |index: usize| {
            sources()
                .get(index)
                .map_or(Confidence::No, |info| (info.detect)(record))
        };
        if let Some(forced) = self.forced {
            return (sure(forced) >= least).then_some(forced);
        }
        if let Some(last) = *self.last
            && sure(last) == Confidence::Certain
        {
            return Some(last);
        }
        let mut best: Option<(Confidence, usize)> = None;
        for index in 0..sources().len() {
            let confidence = sure(index);
            if confidence >= least && best.is_none_or(|(known, _)| confidence > known) {
                best = Some((confidence, index));
            }
        }
        best.map(|(_, index)| index)
    }

    fn normalise(&mut self, record: &Record<'n>, index: usize) {
        let (Some(info), Some(slot)) = (sources().get(index), self.started.get_mut(index)) else {
            return;
        };
        *self.last = Some(index);
        let is_whole = match (self.whole, record.object) {
            (Some(whole), Some(object)) => std::ptr::eq(whole, object),
            _ => false,
        };
        if is_whole {
            self.expected.last[0] = Some(index);
        }
        let source = slot.get_or_insert_with(|| (info.start)());
        self.made.clear();
        let paths = self
            .explain
            .then(|| record.object.map_or_else(Paths::of_text, Paths::of));
        let refused = match source.draft(record, None) {
            Some(Ok(draft)) if !self.explain => return self.drafted(draft, record, index, false),
            Some(Ok(draft)) => {
                let laid = draft.complete(info, record, self.keep_original);
                self.made.push(laid.root());
                None
            }
            Some(Err(reason)) => Some(reason),
            None => source.normalize(record, &mut self.made).err(),
        };
        if let Some(reason) = refused {
            let source_name = info.name;
            return self
                .outcome
                .refused
                .push(Refusal::Dropped { source_name, reason });
        }
        for root in self.made.drain(..) {
            complete(root, info, record, self.keep_original);
            let explanations = paths
                .as_ref()
                .map(|paths| paths.explain(root, info))
                .unwrap_or_default();
            if let Some(enricher) = self.enricher {
                enricher.enrich(root);
            }
            self.outcome.documents.push(Normalised {
                source: info,
                document: root.into(),
                explanations,
                is_record: index == ECS
                    && self.enricher.is_none()
                    && self.whole.is_some_and(|whole| std::ptr::eq(whole, root)),
                is_partial: false,
            });
        }
    }

    /// Adds a document that was drafted.
    fn drafted(&mut self, draft: Draft<'n>, record: &Record<'n>, index: usize, is_partial: bool) {
        let Some(source) = sources().get(index) else {
            return;
        };
        let laid = draft.complete(source, record, self.keep_original);
        let document = match self.enricher {
            Some(enricher) => {
                let root = laid.root();
                enricher.enrich(root);
                root.into()
            }
            None => laid.into(),
        };
        self.outcome.documents.push(Normalised {
            source,
            document,
            explanations: Vec::new(),
            is_record: false,
            is_partial,
        });
    }

    /// What sources still hold back.
    fn finish(&mut self) {
        for (info, source) in sources().iter().zip(self.started.iter_mut()) {
            let Some(source) = source else { continue };
            source.finish(self.arena, &mut self.made);
            let record = Record {
                arena: self.arena,
                text: "",
                object: None,
                agent: None,
                clock: self.clock,
            };
            for root in self.made.drain(..) {
                complete(root, info, &record, self.keep_original);
                if let Some(enricher) = self.enricher {
                    enricher.enrich(root);
                }
                let document = root.into();
                self.outcome.documents.push(Normalised {
                    source: info,
                    document,
                    explanations: Vec::new(),
                    is_record: false,
                    is_partial: false,
                });
            }
        }
    }
}

/// What every document has, whatever its source.
fn complete<'a>(root: &'a Map<'a>, info: &'static SourceInfo, record: &Record<'a>, keep_original: bool) {
    // What is ECS already is left as it is.
    if info.module.is_empty() {
        return;
    }
    if let Some(event) = root.child("event") {
        let or_set = |key: &'static str, value: &'static str| match event.get(key) {
            Some(known) if !known.is_blank() => known,
            Some(_) => {
                event.set(key, Value::Text(value));
                Value::Text(value)
            }
            None => {
                event.add(key, Value::Text(value));
                Value::Text(value)
            }
        };
        or_set("module", info.module);
        let dataset = or_set("dataset", info.dataset);
        if matches!(root.get("data_stream"), Some(Value::Null)) {
            // A source says so that its documents belong to no data stream.
            root.remove("data_stream");
        } else if let Some(stream) = root.child_with_room("data_stream", 1)
            && stream.get("dataset").is_none()
        {
            stream.add("dataset", dataset);
        }
        // What is the document of an agent already has no text of its own beside it.
        let own_text =
            !record.text.is_empty() && record.object.is_none_or(|object| !std::ptr::eq(object, root));
        if !keep_original {
            event.remove("original");
        } else if own_text && event.get("original").is_none() {
            event.add("original", Value::Text(record.text));
        }
    }
    if let Some(shipped) = record.agent.and_then(|agent| agent.get("@timestamp")) {
        root.put_new("@timestamp", shipped);
    }
    // A record that does not say when it was written counts from when it is read, as with any agent: without a time no
    // rule that looks at more than one event would ever see it.
    if root.get("@timestamp").is_none()
        && let Some(now) = record
            .clock
            .fallback()
            .and_then(|now| convert::instant(now, root))
    {
        root.put_text("@timestamp", now);
    }
    if let Some(ecs) = root.child_with_room("ecs", 1)
        && (ecs.is_empty() || ecs.get("version").is_none())
    {
        ecs.add("version", Value::Text("8.11.0"));
    }
    if let Some(os) = info.os
        && let Some(host) = root.child_with_room("host", 2)
        && let Some(system) = host.child_with_room("os", 1)
    {
        system.put_new("type", Value::Text(os));
    }
}
