//! Running a query: results, the most frequent values of fields, and how many results there are by time.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant as Clock;

use neph_engine::{
    Event, Fetch, Match, OperatorConfig, Operators, Outcome, Program, apply_limits, sort_matches,
};
use neph_event::Instant;
use neph_plan::{Plan, Query};
use neph_runtime::input::{InputProblem, ReadOptions, Reader};
use neph_runtime::service::{OnceById, history};
use neph_runtime::{Progress, RunError, RunOptions, detect, prepare};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::problem::Problem;
use crate::route::Call;
use crate::scratch::Scratch;
use crate::stretches::{ByTime, TimeCount};

/// Values of a field that are told.
const VALUES: usize = 10;
/// Values of a field that are counted at most; rarer ones that come later are not.
const COUNTED: usize = 20_000;
/// Fields that are counted at most, where all are.
const FIELDS: usize = 1000;
/// Values of one field that are counted at most, where all fields are.
const COUNTED_OF_ALL: usize = 1000;
/// Longer values are counted by their beginning, in bytes.
const LONG: usize = 256;
/// Bytes of documents that are answered at most.
const ANSWER: usize = 64 << 20;
/// Bytes that a hunt may hold in memory.
const MEMORY: usize = 256 << 20;
/// The word for all fields.
const ALL: &str = "*";

/// What a hunt found.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Found {
    /// The newest results, in the order of time.
    pub(crate) results: Vec<Hit>,
    /// How many results there were in all.
    pub(crate) total: u64,
    /// Whether everything was looked at.
    pub(crate) complete: bool,
    /// Why not, if not.
    pub(crate) stopped: Option<String>,
    /// Records that were looked at.
    pub(crate) records: u64,
    /// Milliseconds that it took.
    pub(crate) millis: u64,
    /// The most frequent values of fields, over all results.
    pub(crate) values: BTreeMap<String, Vec<ValueCount>>,
    /// In how many results each of these fields is, where all were asked for.
    pub(crate) fields: BTreeMap<String, u64>,
    /// How long a stretch of `histogram` is, in seconds.
    pub(crate) seconds: i64,
    /// All results by the time of their first event, in stretches of time.
    pub(crate) histogram: Vec<TimeCount>,
    /// Records that could not be read.
    pub(crate) refused: u64,
    /// What is doubtful in the query, with its place.
    pub(crate) diagnostics: Vec<Value>,
    /// What was wrong with records.
    #[serde(skip)]
    #[schemars(skip)]
    pub(crate) problems: Vec<InputProblem>,
}

/// A result: an event, or the events of a sequence.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Hit {
    /// The events; null for one that must be missing.
    events: Vec<Option<Seen>>,
    /// Values of the join keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    keys: Vec<Value>,
}

/// An event.
#[derive(Debug, Serialize, JsonSchema)]
struct Seen {
    /// Its id.
    id: String,
    /// The stream that it came by.
    stream: String,
    /// The ECS document.
    document: Value,
}

/// A value and how many results have it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ValueCount {
    /// The value.
    value: String,
    /// Results.
    count: u64,
}

/// What is asked of a search.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked<'a> {
    /// Results that are told.
    pub(crate) limit: u32,
    /// Fields whose values are counted.
    pub(crate) fields: &'a [String],
    /// Stretches of time at most; 0 for none.
    pub(crate) buckets: u32,
    /// Records of these streams only.
    pub(crate) streams: Option<&'a [String]>,
    /// Records that were sent, instead of those that are stored.
    pub(crate) given: Option<&'a str>,
    /// The source that they are of.
    pub(crate) source: Option<&'a str>,
    /// Records that are looked at, about; 0 for all.
    pub(crate) most: u64,
}

/// Results as they come.
struct Rows {
    found: Vec<Match>,
    once: OnceById,
    total: u64,
    values: Values,
    by_time: ByTime,
    /// Results that may be held.
    bound: usize,
    is_events: bool,
}

impl Rows {
    fn take(&mut self, found: Match) {
        if !self.once.is_new(&found) {
            return;
        }
        self.total += 1;
        self.values.count(&found);
        if let Some(time) = found.first {
            self.by_time.add(time);
        }
        self.found.push(found);
        if self.is_events && self.found.len() > self.bound.saturating_mul(2).saturating_add(1000) {
            sort_matches(&mut self.found);
            self.found.drain(..self.found.len().saturating_sub(self.bound));
        }
    }
}

/// How often values are in results.
#[derive(Default)]
struct Values {
    /// Fields that were named.
    named: Vec<(String, HashMap<String, u64>)>,
    /// All fields, if they are counted.
    all: Option<BTreeMap<String, Counted>>,
}

/// In how many results a field is, and its values.
#[derive(Default)]
struct Counted {
    results: u64,
    values: HashMap<String, u64>,
}

impl Values {
    fn of(fields: &[String]) -> Self {
        let named = fields.iter().filter(|field| *field != ALL);
        Self {
            named: named.map(|field| (field.clone(), HashMap::new())).collect(),
            all: fields.iter().any(|field| field == ALL).then(BTreeMap::new),
        }
    }

    fn count(&mut self, found: &Match) {
        if self.named.is_empty() && self.all.is_none() {
            return;
        }
        let documents: Vec<Value> = found
            .events
            .iter()
            .filter_map(|(_, event)| serde_json::from_slice(event.as_ref()?.document()).ok())
            .collect();
        for (field, counts) in &mut self.named {
            let mut values: Vec<String> = documents
                .iter()
                .flat_map(|document| lookup(document, field))
                .collect();
            values.sort();
            values.dedup();
            values
                .into_iter()
                .for_each(|value| count_up(counts, value, COUNTED));
        }
        let Some(all) = &mut self.all else { return };
        let mut flat = Vec::new();
        for document in &documents {
            flatten(document, &mut String::new(), 0, &mut flat);
        }
        flat.sort();
        flat.dedup();
        let mut last = "";
        for (field, value) in &flat {
            if all.len() >= FIELDS && !all.contains_key(field) {
                continue;
            }
            let counted = all.entry(field.clone()).or_default();
            if field != last {
                counted.results += 1;
                last = field;
            }
            count_up(&mut counted.values, value.clone(), COUNTED_OF_ALL);
        }
    }

    fn finish(self, found: &mut Found) {
        found.values = self.named.into_iter().map(top).collect();
        for (field, counted) in self.all.into_iter().flatten() {
            found.fields.insert(field.clone(), counted.results);
            found
                .values
                .entry(field.clone())
                .or_insert_with(|| top((field, counted.values)).1);
        }
    }
}

fn count_up(counts: &mut HashMap<String, u64>, value: String, most: usize) {
    if counts.len() < most || counts.contains_key(&value) {
        *counts.entry(value).or_default() += 1;
    }
}

/// The fields of a document with their values, each a path of keys.
fn flatten(value: &Value, path: &mut String, depth: usize, out: &mut Vec<(String, String)>) {
    match value {
        _ if depth > 64 => {}
        Value::Null => {}
        Value::Array(items) => items.iter().for_each(|item| flatten(item, path, depth + 1, out)),
        Value::Object(object) => {
            for (key, inner) in object {
                let length = path.len();
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(key);
                flatten(inner, path, depth + 1, out);
                path.truncate(length);
            }
        }
        Value::String(text) => out.push((path.clone(), beginning(text))),
        other => out.push((path.clone(), other.to_string())),
    }
}

fn beginning(text: &str) -> String {
    let end = text.floor_char_boundary(LONG);
    text.get(..end).unwrap_or_default().to_owned()
}

/// The values of a field in a document, whether its keys are nested or dotted.
pub(crate) fn lookup(document: &Value, field: &str) -> Vec<String> {
    fn walk(value: &Value, path: &str, depth: usize, out: &mut Vec<String>) {
        match value {
            _ if depth > 64 => {}
            Value::Array(items) => items.iter().for_each(|item| walk(item, path, depth + 1, out)),
            Value::Object(object) if !path.is_empty() => {
                for (key, inner) in object {
                    let rest = path.strip_prefix(key.as_str());
                    match rest.map(|rest| (rest, rest.strip_prefix('.'))) {
                        Some(("", _)) => walk(inner, "", depth + 1, out),
                        Some((_, Some(rest))) => walk(inner, rest, depth + 1, out),
                        _ => {}
                    }
                }
            }
            Value::Object(_) | Value::Null => {}
            Value::String(text) if path.is_empty() => out.push(text.clone()),
            other if path.is_empty() => out.push(other.to_string()),
            _ => {}
        }
    }
    let mut out = Vec::new();
    walk(document, field, 0, &mut out);
    out
}

/// Runs a plan over what is stored of these times, or over what was sent.
pub(crate) fn search(
    call: &Call<'_>,
    plan: &Plan,
    times: Range<Instant>,
    asked: &Asked<'_>,
) -> Result<Found, Problem> {
    let began = Clock::now();
    let limit = usize::try_from(asked.limit).unwrap_or(usize::MAX);
    let mut rows = Rows {
        found: Vec::new(),
        once: OnceById::default(),
        total: 0,
        values: Values::of(asked.fields),
        by_time: ByTime::default(),
        bound: limit,
        is_events: matches!(plan.query, Query::Events(_)) && plan.limits.is_empty(),
    };
    let deadline = began + call.app.limits.query_time;
    let scanned = scan_asked(call, plan, times, asked, deadline, &mut |found| {
        rows.take(found);
        true
    })?;
    let mut stopped = scanned.stopped;
    let size = u64::try_from(limit).unwrap_or(u64::MAX);
    if !matches!(plan.query, Query::Sample(_)) {
        sort_matches(&mut rows.found);
    }
    let results = apply_limits(std::mem::take(&mut rows.found), &plan.limits, size, Fetch::Tail);
    let (results, cut) = hits(&results);
    if cut {
        stopped.get_or_insert("the answer would be too large");
    }
    let (seconds, histogram) = match asked.buckets {
        0 => (0, Vec::new()),
        most => rows.by_time.finish(i64::from(most)),
    };
    let mut found = Found {
        results,
        total: rows.total,
        complete: stopped.is_none(),
        stopped: stopped.map(str::to_owned),
        records: scanned.records,
        refused: scanned.refused,
        millis: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        seconds,
        histogram,
        problems: scanned.problems,
        ..Found::default()
    };
    rows.values.finish(&mut found);
    Ok(found)
}

/// What a search looked at.
pub(crate) struct Scanned {
    /// Records.
    pub(crate) records: u64,
    /// Why it did not look at everything, if it did not.
    pub(crate) stopped: Option<&'static str>,
    /// Records that could not be read.
    refused: u64,
    /// What was wrong with records.
    problems: Vec<InputProblem>,
}

/// Runs a plan over the stored events of these times; `take` gets what is found, as it is found, and says whether it wants more.
pub(crate) fn scan(
    call: &Call<'_>,
    plan: &Plan,
    times: Range<Instant>,
    streams: Option<&[String]>,
    deadline: Clock,
    take: &mut dyn FnMut(Match) -> bool,
) -> Result<Scanned, Problem> {
    let asked = Asked {
        streams,
        ..Asked::default()
    };
    scan_asked(call, plan, times, &asked, deadline, take)
}

fn scan_asked(
    call: &Call<'_>,
    plan: &Plan,
    times: Range<Instant>,
    asked: &Asked<'_>,
    deadline: Clock,
    take: &mut dyn FnMut(Match) -> bool,
) -> Result<Scanned, Problem> {
    let (program, errors) = Program::compile([plan]);
    if let Some(error) = errors.first() {
        return Err(Problem::invalid(error.to_string()));
    }
    let config = OperatorConfig {
        rule_bytes: MEMORY,
        total_bytes: MEMORY,
        ..OperatorConfig::default()
    };
    let mut operators = Operators::new(&[plan], &config);
    let scratch;
    let mut reader = match asked.given {
        Some(text) => {
            scratch = sent(call, text)?;
            Reader::new(&[scratch.path().join("records")], ReadOptions::default())
                .map_err(|error| Problem::failed(error.to_string()))?
        }
        None => {
            let streams: Option<Vec<&str>> = asked
                .streams
                .map(|streams| streams.iter().map(String::as_str).collect());
            history(&call.app.store, times.clone(), streams.as_deref(), None)
        }
    };
    let cancel = reader.cancel_flag();
    let options = RunOptions {
        enrichment: call.app.enrichment(),
        source: asked.given.and(asked.source).map(str::to_owned),
        ..RunOptions::default()
    };
    let stopped: Cell<Option<&str>> = Cell::new(None);
    let stop = |why| {
        stopped.set(stopped.get().or(Some(why)));
        cancel.store(true, Ordering::Relaxed);
    };
    let mut watch = |progress: Progress| match () {
        () if call.cancel.load(Ordering::Relaxed) => stop("nobody waited any more"),
        () if Clock::now() > deadline => stop("its time was over"),
        () if asked.most > 0 && progress.records >= asked.most => stop("it looked at as many as it should"),
        () => {}
    };
    let detection = detect(
        &mut reader,
        &prepare(program),
        &mut operators,
        &options,
        &mut watch,
        &mut |told| {
            // Blocks come whole, so some of their events lie outside of the times.
            if let Outcome::Found(found) = told
                && (asked.given.is_some() || found.first.is_none_or(|first| times.contains(&first)))
                && !take(found)
            {
                stop("it found more than is counted");
            }
        },
    )
    .map_err(|error| match error {
        RunError::Source(_) => Problem::invalid(error.to_string()),
        other => Problem::failed(other.to_string()),
    })?;
    Ok(Scanned {
        records: detection.summary.records,
        stopped: stopped.get(),
        refused: detection.summary.refused,
        problems: detection.summary.problems.kept().to_vec(),
    })
}

/// What was sent, as a file that goes when the search is over.
fn sent(call: &Call<'_>, text: &str) -> Result<Scratch, Problem> {
    let failed = |error: std::io::Error| Problem::failed(format!("the records cannot be kept: {error}"));
    let folder = Scratch::new(call.app).map_err(failed)?;
    std::fs::write(folder.path().join("records"), text).map_err(failed)?;
    Ok(folder)
}

fn top((field, counts): (String, HashMap<String, u64>)) -> (String, Vec<ValueCount>) {
    let mut counts: Vec<ValueCount> = counts
        .into_iter()
        .map(|(value, count)| ValueCount { value, count })
        .collect();
    counts.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
    counts.truncate(VALUES);
    (field, counts)
}

/// Results for the wire, the newest as long as there is room; and whether some were left out.
fn hits(found: &[Match]) -> (Vec<Hit>, bool) {
    let mut bytes = 0;
    let fits = |found: &&Match| {
        let own = found
            .events
            .iter()
            .map(|(_, event)| event.as_ref().map_or(0, |event| event.document().len()));
        bytes += own.sum::<usize>();
        bytes <= ANSWER
    };
    let mut hits: Vec<Hit> = found.iter().rev().take_while(fits).map(hit).collect();
    hits.reverse();
    let cut = hits.len() < found.len();
    (hits, cut)
}

fn hit(found: &Match) -> Hit {
    let seen = |event: &Arc<Event>| Seen {
        id: event.id().as_str().to_owned(),
        stream: event.origin().source.to_string(),
        document: serde_json::from_slice(event.document()).unwrap_or_default(),
    };
    Hit {
        events: found
            .events
            .iter()
            .map(|(_, event)| event.as_ref().map(seen))
            .collect(),
        keys: found
            .keys
            .iter()
            .map(|key| {
                key.as_ref()
                    .map_or(Value::Null, |key| Value::String(key.to_string()))
            })
            .collect(),
    }
}
