//! Hunts: a query over what the event log holds, with the mistakes of its text as diagnostics.

use std::collections::BTreeMap;
use std::time::Duration;

use neph_diag::{Diagnostic, SourceFile, has_errors, render};
use neph_event::Schema;
use neph_kql::Dialect;
use neph_plan::Plan;
use neph_rules::describe;
use neph_store::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::alerts::bounded;
use crate::problem::Problem;
use crate::route::{Answer, Call, Route, schema_of};
use crate::search::{Asked, Found, search};
use crate::when::now;
use crate::wire::instant;

pub(crate) static ROUTES: &[Route] = &[
    Route::post(
        "/api/v1/hunt",
        Role::Viewer,
        "hunt.run",
        "Runs a query over stored events, or over records that are sent with it; it ends when its client goes away or its time is over, and tells what it found so far.",
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
    /// Fields whose most frequent values are counted over all results, at most 30; `*` for all that there are.
    #[serde(default)]
    fields: Vec<String>,
    /// How many stretches of time results are counted in at most, 1 to 1000; 60 without it.
    #[serde(default)]
    buckets: Option<i64>,
    /// Text of records to be searched instead of those that are stored, whatever their times: what `neph query` reads, one record a
    /// line or a JSON document. Nothing of it is kept.
    #[serde(default)]
    records: Option<String>,
    /// The source that `records` are of; without it they are recognised.
    #[serde(default)]
    source: Option<String>,
}

/// What a check said.
#[derive(Debug, Serialize, JsonSchema)]
struct Checked {
    /// Whether it could run.
    valid: bool,
    /// What is wrong or doubtful, with its place.
    diagnostics: Vec<Value>,
    /// What the query does, in words, a line each; empty where it cannot run.
    plan: Vec<String>,
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
                mappings: &neph_sigma::Mappings::shipped(),
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
        plan: plan.as_ref().map(describe::plan_words).unwrap_or_default(),
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
    let asked = Asked {
        limit,
        fields: &hunt.fields,
        buckets: bounded(hunt.buckets, 60, 1000, "buckets")?,
        streams: hunt.streams.as_deref(),
        given: hunt.records.as_deref(),
        source: hunt.source.as_deref(),
        most: 0,
    };
    let mut found = search(call, &plan, from..to, &asked)?;
    found.diagnostics = values_of(&hunt.query, &diagnostics);
    Answer::json(&found)
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

/// Fields whose values name one thing or person. A whole account, a program of which each host has one, or an address that many
/// share are asked for only where an alert is about nothing else.
const SAME: [&str; 12] = [
    "cloud.instance.id",
    "container.id",
    "container.name",
    "host.hostname",
    "host.id",
    "host.name",
    "kubernetes.pod.name",
    "orchestrator.resource.name",
    "process.entity_id",
    "user.email",
    "user.id",
    "user.name",
];

fn timeline(call: &Call<'_>) -> Result<Answer, Problem> {
    let around: Around = call.query()?;
    let minutes = bounded(around.minutes, 30, 1440, "minutes")?;
    let limit = bounded(around.limit, 200, 1000, "limit")?;
    let alert = call.app.store.db.alert(call.part("id"))?.alert;
    let is_plain = |field: &str| {
        field
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte))
    };
    let condition = |(field, value): &(String, String)| {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"");
        format!("{field}: \"{value}\"")
    };
    let of = |wanted: &dyn Fn(&str) -> bool| -> Vec<String> {
        let entities = alert.entities.iter();
        entities
            .filter(|(field, _)| is_plain(field) && wanted(field))
            .map(condition)
            .collect()
    };
    let mut query = of(&|field| SAME.contains(&field));
    if query.is_empty() {
        query = of(&|_| true);
    }
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
    let asked = Asked {
        limit,
        ..Asked::default()
    };
    Answer::json(&search(call, &plan, from..to, &asked)?)
}

/// A record as it was received.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Record {
    /// Its position in the log.
    position: u64,
    /// The stream that it came by.
    stream: String,
    /// When it came.
    received: String,
    /// The record; bytes that are no UTF-8 are replaced.
    pub(crate) raw: String,
}

fn record(call: &Call<'_>) -> Result<Answer, Problem> {
    let text = call.part("position");
    let missing = || Problem::missing("record", text);
    let position: u64 = text.parse().map_err(|_| missing())?;
    Answer::json(&raw_record(call, position)?.ok_or_else(missing)?)
}

/// The record at a position of the log, if one begins there.
pub(crate) fn raw_record(call: &Call<'_>, position: u64) -> Result<Option<Record>, Problem> {
    let log = &call.app.store.log;
    if position < log.begin() || position >= log.end() {
        return Ok(None);
    }
    let Some(block) = log.blocks(position).next() else {
        return Ok(None);
    };
    let block = block?;
    let mut start = block.offset;
    for record in block.records.iter() {
        if start == position {
            return Ok(Some(Record {
                position,
                stream: block.stream.to_string(),
                received: block.received.to_string(),
                raw: String::from_utf8_lossy(record).into_owned(),
            }));
        }
        start += u64::try_from(record.len()).unwrap_or(0);
    }
    Ok(None)
}
