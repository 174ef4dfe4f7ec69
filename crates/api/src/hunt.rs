//! Hunts: a query over what the event log holds, with the mistakes of its text as diagnostics.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant as Clock};

use neph_diag::{Diagnostic, SourceFile, has_errors, render};
use neph_engine::{
    Event, Fetch, Match, OperatorConfig, Operators, Outcome, Program, apply_limits, sort_matches,
};
use neph_event::{Instant, Schema};
use neph_kql::Dialect;
use neph_plan::{Plan, Query};
use neph_runtime::service::{OnceById, history};
use neph_runtime::{RunOptions, detect, prepare};
use neph_store::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::alerts::bounded;
use crate::problem::Problem;
use crate::route::{Answer, Call, Route, schema_of};
use crate::when::now;
use crate::wire::instant;

pub(crate) static ROUTES: &[Route] = &[
    Route::post(
        "/api/v1/hunt",
        Role::Viewer,
        "hunt.run",
        "Runs a query over stored events; it ends when its client goes away or its time is over, and tells what it found so far.",
        schema_of::<Found>,
        run,
    )
    .with_body(schema_of::<Hunt>)
    .heavy(),
    Route::post(
        "/api/v1/hunt/check",
        Role::Viewer,
        "hunt.check",
        "Checks a query's text without running it.",
        schema_of::<Checked>,
        check,
    )
    .with_body(schema_of::<Hunt>),
    Route::get(
        "/api/v1/alerts/{id}/timeline",
        Role::Viewer,
        "alerts.timeline",
        "What else happened around an alert, with what it is about.",
        schema_of::<Found>,
        timeline,
    )
    .with_query(&[schema_of::<Around>])
    .heavy(),
    Route::get(
        "/api/v1/events/{position}",
        Role::Viewer,
        "events.get",
        "A record as it was received, by its position in the log.",
        schema_of::<Record>,
        record,
    ),
];

/// Results at most.
const MOST: u32 = 10_000;
/// Longest query, in bytes.
const LONGEST: usize = 256 << 10;
/// Values of a field that are told.
const VALUES: usize = 10;
/// Values of a field that are counted at most; rarer ones that come later are counted together.
const COUNTED: usize = 20_000;
/// Bytes of documents that are answered at most.
const ANSWER: usize = 64 << 20;
/// Bytes that a hunt may hold in memory.
const MEMORY: usize = 256 << 20;
const DAY: i128 = 86_400 * 1_000_000_000;

/// A hunt.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Hunt {
    /// The query.
    query: String,
    /// `eql`, `kql`, `lucene`, or `sigma` (what stands in the `detection` of a rule, or a whole rule); `eql` without it.
    #[serde(default)]
    language: Option<String>,
    /// Events not before: a time, a day, or a time ago; a day ago without it.
    #[serde(default)]
    from: Option<String>,
    /// Events before; now without it.
    #[serde(default)]
    to: Option<String>,
    /// Records of these streams only.
    #[serde(default)]
    streams: Option<Vec<String>>,
    /// Results at most, 1 to 10,000, the newest; 100 without it.
    #[serde(default)]
    limit: Option<i64>,
    /// Fields whose most frequent values are counted over all results, at most 30.
    #[serde(default)]
    fields: Vec<String>,
}

/// What a hunt found.
#[derive(Debug, Default, Serialize, JsonSchema)]
struct Found {
    /// The newest results, in the order of time.
    results: Vec<Hit>,
    /// How many results there were in all.
    total: u64,
    /// Whether everything was looked at.
    complete: bool,
    /// Why not, if not.
    stopped: Option<String>,
    /// Records that were looked at.
    records: u64,
    /// Milliseconds that it took.
    millis: u64,
    /// The most frequent values of fields, over all results.
    values: BTreeMap<String, Vec<ValueCount>>,
    /// What is doubtful in the query, with its place.
    diagnostics: Vec<Value>,
}

/// A result: an event, or the events of a sequence.
#[derive(Debug, Serialize, JsonSchema)]
struct Hit {
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
struct ValueCount {
    /// The value.
    value: String,
    /// Results.
    count: u64,
}

/// What a check said.
#[derive(Debug, Serialize, JsonSchema)]
struct Checked {
    /// Whether it could run.
    valid: bool,
    /// What is wrong or doubtful, with its place.
    diagnostics: Vec<Value>,
}

/// A query as a plan, if it is one, and what is to be said of it.
pub(crate) fn compile(
    query: &str,
    language: Option<&str>,
) -> Result<(Option<Plan>, Vec<Diagnostic>), Problem> {
    if query.len() > LONGEST {
        return Err(Problem::invalid(format!(
            "the query is longer than {LONGEST} bytes"
        )));
    }
    let schema = Schema::builtin();
    let dialect = match language.unwrap_or("eql") {
        "eql" => {
            let compiled = neph_eql::compile(query, &neph_eql::CompileOptions::new(schema, now()));
            return Ok((compiled.plan, compiled.diagnostics));
        }
        "sigma" => {
            let options = neph_sigma::Options {
                mappings: neph_sigma::Mappings::shipped(),
                lists: &BTreeMap::new(),
            };
            let compiled = neph_sigma::compile_fragment(query, &options);
            return Ok((compiled.plan, compiled.diagnostics));
        }
        "kql" => Dialect::Kql,
        "lucene" => Dialect::Lucene,
        other => {
            return Err(Problem::invalid(format!(
                "`language` must be `eql`, `kql`, `lucene` or `sigma`, not `{other}`"
            )));
        }
    };
    let compiled = neph_kql::compile(query, &neph_kql::CompileOptions::new(dialect, schema, now()));
    Ok((compiled.plan, compiled.diagnostics))
}

fn records(query: &str, diagnostics: &[Diagnostic]) -> Vec<render::Record> {
    let source = SourceFile {
        name: "<query>",
        text: query,
    };
    diagnostics
        .iter()
        .map(|diagnostic| render::record(diagnostic, &source))
        .collect()
}

fn values_of(query: &str, diagnostics: &[Diagnostic]) -> Vec<Value> {
    let records = records(query, diagnostics);
    let values = records
        .iter()
        .map(|record| serde_json::to_value(record).unwrap_or_default());
    values.collect()
}

fn check(call: &Call<'_>) -> Result<Answer, Problem> {
    let hunt: Hunt = call.body()?;
    let (plan, diagnostics) = compile(&hunt.query, hunt.language.as_deref())?;
    Answer::json(&Checked {
        valid: plan.is_some() && !has_errors(&diagnostics),
        diagnostics: values_of(&hunt.query, &diagnostics),
    })
}

fn run(call: &Call<'_>) -> Result<Answer, Problem> {
    let hunt: Hunt = call.body()?;
    call.about(format!(
        "{}: {}",
        hunt.language.as_deref().unwrap_or("eql"),
        hunt.query
    ));
    if hunt.fields.len() > 30 {
        return Err(Problem::invalid("at most 30 `fields`"));
    }
    let now = now();
    let from = instant(hunt.from.as_ref(), now)?.unwrap_or_else(|| now.saturating_sub_nanos(DAY));
    let to = instant(hunt.to.as_ref(), now)?.unwrap_or_else(|| now.saturating_add_nanos(DAY));
    let limit = bounded(hunt.limit, 100, MOST, "limit")?;
    let (plan, diagnostics) = compile(&hunt.query, hunt.language.as_deref())?;
    let Some(plan) = plan.filter(|_| !has_errors(&diagnostics)) else {
        return Err(Problem::text(
            "the query has mistakes",
            records(&hunt.query, &diagnostics),
        ));
    };
    let mut found = search(
        call,
        &plan,
        from,
        to,
        hunt.streams.as_deref(),
        limit,
        &hunt.fields,
    )?;
    found.diagnostics = values_of(&hunt.query, &diagnostics);
    Answer::json(&found)
}

/// Results as they come.
struct Rows {
    found: Vec<Match>,
    once: OnceById,
    total: u64,
    counts: Vec<(String, HashMap<String, u64>)>,
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
        if !self.counts.is_empty() {
            self.count(&found);
        }
        self.found.push(found);
        if self.is_events && self.found.len() > self.bound.saturating_mul(2).saturating_add(1000) {
            sort_matches(&mut self.found);
            self.found.drain(..self.found.len().saturating_sub(self.bound));
        }
    }

    fn count(&mut self, found: &Match) {
        let documents: Vec<Value> = found
            .events
            .iter()
            .filter_map(|(_, event)| serde_json::from_slice(event.as_ref()?.document()).ok())
            .collect();
        for (field, counts) in &mut self.counts {
            let mut values: Vec<String> = documents
                .iter()
                .flat_map(|document| lookup(document, field))
                .collect();
            values.sort();
            values.dedup();
            for value in values {
                if counts.len() < COUNTED || counts.contains_key(&value) {
                    *counts.entry(value).or_default() += 1;
                }
            }
        }
    }
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

fn search(
    call: &Call<'_>,
    plan: &Plan,
    from: Instant,
    to: Instant,
    streams: Option<&[String]>,
    limit: u32,
    fields: &[String],
) -> Result<Found, Problem> {
    let began = Clock::now();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut rows = Rows {
        found: Vec::new(),
        once: OnceById::default(),
        total: 0,
        counts: fields
            .iter()
            .map(|field| (field.clone(), HashMap::new()))
            .collect(),
        bound: limit,
        is_events: matches!(plan.query, Query::Events(_)) && plan.limits.is_empty(),
    };
    let deadline = began + call.app.limits.query_time;
    let scanned = scan(call, plan, from..to, streams, deadline, &mut |found| {
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
    Ok(Found {
        results,
        total: rows.total,
        complete: stopped.is_none(),
        stopped: stopped.map(str::to_owned),
        records: scanned.records,
        millis: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        values: rows.counts.into_iter().map(top).collect(),
        diagnostics: Vec::new(),
    })
}

/// What a search looked at.
pub(crate) struct Scanned {
    /// Records.
    pub(crate) records: u64,
    /// Why it did not look at everything, if it did not.
    pub(crate) stopped: Option<&'static str>,
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
    let streams: Option<Vec<&str>> = streams.map(|streams| streams.iter().map(String::as_str).collect());
    let mut reader = history(&call.app.store, times, streams.as_deref(), None);
    let cancel = reader.cancel_flag();
    let options = RunOptions {
        enrichment: call.app.enrichment(),
        ..RunOptions::default()
    };
    let stopped: Cell<Option<&str>> = Cell::new(None);
    let stop = |why| {
        stopped.set(stopped.get().or(Some(why)));
        cancel.store(true, Ordering::Relaxed);
    };
    let mut watch = |_| match () {
        () if call.cancel.load(Ordering::Relaxed) => stop("nobody waited any more"),
        () if Clock::now() > deadline => stop("its time was over"),
        () => {}
    };
    let detection = detect(
        &mut reader,
        &prepare(program),
        &mut operators,
        &options,
        &mut watch,
        &mut |told| {
            if let Outcome::Found(found) = told
                && !take(found)
            {
                stop("it found more than is counted");
            }
        },
    )
    .map_err(|error| Problem::failed(error.to_string()))?;
    Ok(Scanned {
        records: detection.summary.records,
        stopped: stopped.get(),
    })
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

/// How far around.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Around {
    /// Minutes before the first and behind the last event, 1 to 1440; 30 without it.
    minutes: Option<i64>,
    /// Events at most, 1 to 1000; 200 without it.
    limit: Option<i64>,
}

fn timeline(call: &Call<'_>) -> Result<Answer, Problem> {
    let around: Around = call.query()?;
    let minutes = bounded(around.minutes, 30, 1440, "minutes")?;
    let limit = bounded(around.limit, 200, 1000, "limit")?;
    let alert = call.app.store.db.alert(call.part("id"))?.alert;
    let query: Vec<String> = alert
        .entities
        .iter()
        .filter(|(field, _)| {
            field
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte))
        })
        .map(|(field, value)| {
            format!(
                "{field}: \"{}\"",
                value.replace('\\', "\\\\").replace('"', "\\\"")
            )
        })
        .collect();
    if query.is_empty() {
        return Answer::json(&Found {
            complete: true,
            ..Found::default()
        });
    }
    let (plan, _) = compile(&query.join(" or "), Some("kql"))?;
    let Some(plan) = plan else {
        return Err(Problem::failed("what the alert is about cannot be searched for"));
    };
    let nanos = i128::try_from(Duration::from_secs(u64::from(minutes) * 60).as_nanos()).unwrap_or(0);
    let from = alert.first.unwrap_or(alert.time).saturating_sub_nanos(nanos);
    let to = alert.last.unwrap_or(alert.time).saturating_add_nanos(nanos);
    Answer::json(&search(call, &plan, from, to, None, limit, &[])?)
}

/// A record as it was received.
#[derive(Debug, Serialize, JsonSchema)]
struct Record {
    /// Its position in the log.
    position: u64,
    /// The stream that it came by.
    stream: String,
    /// When it came.
    received: String,
    /// The record; bytes that are no UTF-8 are replaced.
    raw: String,
}

fn record(call: &Call<'_>) -> Result<Answer, Problem> {
    let text = call.part("position");
    let missing = || Problem::missing("record", text);
    let position: u64 = text.parse().map_err(|_| missing())?;
    let log = &call.app.store.log;
    if position < log.begin() || position >= log.end() {
        return Err(missing());
    }
    let block = log.blocks(position).next().ok_or_else(missing)??;
    let mut start = block.offset;
    for record in block.records.iter() {
        if start == position {
            return Answer::json(&Record {
                position,
                stream: block.stream.to_string(),
                received: block.received.to_string(),
                raw: String::from_utf8_lossy(record).into_owned(),
            });
        }
        start += u64::try_from(record.len()).unwrap_or(0);
    }
    Err(missing())
}
