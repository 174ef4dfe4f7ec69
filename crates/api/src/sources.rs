//! Sources looked at closely: a sample of what they send, what of it cannot be read, and fields that are new or gone.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;

use axum::http::StatusCode;
use neph_event::Instant;
use neph_store::{Role, Store};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::alerts::bounded;
use crate::hunt::{compile, raw_record};
use crate::problem::Problem;
use crate::route::{Answer, Call, Gives, Route, schema_of};
use crate::search::{Asked, Found, search};
use crate::when::now;

pub(crate) static ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/sources/examine",
        Role::Viewer,
        "sources.examine",
        "What a source sends: records that cannot be read with samples, and fields that are new or gone against the week before.",
        schema_of::<Examined>,
        examine,
    )
    .with_query(&[schema_of::<Which>])
    .heavy(),
    Route::get(
        "/api/v1/sources/sample",
        Role::Viewer,
        "sources.sample",
        "The newest records of a source as they were received, each followed by a line break.",
        schema_of::<Value>,
        sample,
    )
    .with_query(&[schema_of::<Which>, schema_of::<HowMany>])
    .giving(Gives::Text("text/plain; charset=utf-8"))
    .heavy(),
];

/// Records of either time that are looked at, about.
const LOOKED_AT: u64 = 20_000;
/// Bytes of a sample at most.
const SAMPLE: usize = 8 << 20;
/// Records that cannot be read that are told.
const PROBLEMS: usize = 20;
/// Fields that are told of either kind.
const FIELDS: usize = 200;
/// A field counts as usual if it was in more than one of so many events.
const USUAL: u64 = 50;
/// Characters of a record that are told.
const LONG: usize = 4000;
const HOUR: i128 = 3600 * 1_000_000_000;

/// Which source.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Which {
    /// Its stream.
    stream: String,
}

/// How many records.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct HowMany {
    /// Records at most, 1 to 10,000; 100 without it.
    #[schemars(range(min = 1, max = 10_000))]
    records: Option<i64>,
}

/// What a source sends.
#[derive(Debug, Serialize, JsonSchema)]
struct Examined {
    /// Its stream.
    stream: String,
    /// What it sent last.
    recent: Looked,
    /// What it sent in the week that ended a day before that.
    before: Looked,
    /// Fields of what it sent last that were not there before.
    new_fields: Vec<Drift>,
    /// Fields that were usual before and are in nothing that it sent last.
    gone_fields: Vec<Drift>,
    /// Records that cannot be read or are doubtful.
    problems: Vec<Unread>,
}

/// What was looked at.
#[derive(Debug, Serialize, JsonSchema)]
struct Looked {
    /// Received not before.
    from: String,
    /// Received before.
    to: String,
    /// Events that were read.
    events: u64,
    /// Records that could not be read.
    refused: u64,
    /// Whether that is all that there is of this time.
    complete: bool,
}

/// A field that is new or gone.
#[derive(Debug, Serialize, JsonSchema)]
struct Drift {
    /// Its name.
    field: String,
    /// Events that have it.
    events: u64,
}

/// A record that cannot be read, or is doubtful.
#[derive(Debug, Serialize, JsonSchema)]
struct Unread {
    /// What kind of problem it is.
    kind: String,
    /// What is wrong.
    message: String,
    /// Its position in the log, if it is known.
    position: Option<u64>,
    /// The record, or its beginning.
    raw: String,
}

/// When a source sent last.
fn last_received(store: &Store, stream: &str) -> Result<Instant, Problem> {
    let now = now();
    // First the last hours, since the ledger of months is long.
    for hours in [24, 24 * 31, 24 * 366 * 10] {
        let since = now.saturating_sub_nanos(HOUR * hours);
        let intervals = store.db.intervals(since..now.saturating_add_nanos(HOUR))?;
        let last = intervals
            .iter()
            .filter(|interval| interval.total.stream == stream)
            .map(|interval| interval.received.end)
            .max();
        if let Some(last) = last {
            return Ok(last);
        }
    }
    Err(Problem::missing("source that sent anything", stream))
}

fn looked(times: &Range<Instant>, found: &Found) -> Looked {
    Looked {
        from: times.start.to_string(),
        to: times.end.to_string(),
        events: found.total,
        refused: found.refused,
        complete: found.complete,
    }
}

fn examine(call: &Call<'_>) -> Result<Answer, Problem> {
    let Which { stream } = call.query()?;
    let last = last_received(&call.app.store, &stream)?;
    let (Some(plan), _) = compile("any where true", Some("eql"))? else {
        return Err(Problem::failed("events cannot be read"));
    };
    let streams = [stream.clone()];
    let fields = ["*".to_owned()];
    let asked = Asked {
        limit: 1,
        fields: &fields,
        streams: Some(&streams),
        most: LOOKED_AT,
        ..Asked::default()
    };
    let recent_times = last.saturating_sub_nanos(HOUR)..last.saturating_add_nanos(24 * HOUR);
    let before_times = last.saturating_sub_nanos(8 * 24 * HOUR)..last.saturating_sub_nanos(24 * HOUR);
    let recent = search(call, &plan, recent_times.clone(), &asked)?;
    let before = search(call, &plan, before_times.clone(), &asked)?;
    let drift = |from: &Found, to: &Found, least: u64| {
        let mut found: Vec<Drift> = from
            .fields
            .iter()
            .filter(|(field, events)| !to.fields.contains_key(*field) && **events > least)
            .map(|(field, events)| Drift {
                field: field.clone(),
                events: *events,
            })
            .collect();
        found.sort_by(|a, b| b.events.cmp(&a.events).then_with(|| a.field.cmp(&b.field)));
        found.truncate(FIELDS);
        found
    };
    // Without something to compare with, everything would be new or gone.
    let comparable = recent.total > 0 && before.total > 0;
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for problem in recent.problems.iter().chain(&before.problems) {
        if problems.len() < PROBLEMS && seen.insert(problem.line) {
            let record = problem.line.map(|at| raw_record(call, at)).transpose()?.flatten();
            problems.push(Unread {
                kind: problem.kind.as_str().to_owned(),
                message: problem.message.clone(),
                position: problem.line,
                raw: record
                    .map(|record| record.raw.chars().take(LONG).collect())
                    .unwrap_or_default(),
            });
        }
    }
    Answer::json(&Examined {
        new_fields: match comparable {
            true => drift(&recent, &before, 0),
            false => Vec::new(),
        },
        gone_fields: match comparable {
            true => drift(&before, &recent, before.total / USUAL),
            false => Vec::new(),
        },
        recent: looked(&recent_times, &recent),
        before: looked(&before_times, &before),
        problems,
        stream,
    })
}

fn sample(call: &Call<'_>) -> Result<Answer, Problem> {
    let Which { stream } = call.query()?;
    let HowMany { records } = call.query()?;
    let most = usize::try_from(bounded(records, 100, 10_000, "records")?).unwrap_or(100);
    let store = &call.app.store;
    let last = last_received(store, &stream)?;
    call.about(format!("{stream}: {most} records"));
    let mut newest: VecDeque<Vec<u8>> = VecDeque::new();
    let mut bytes = 0;
    for hours in [1, 24, 24 * 30] {
        newest.clear();
        bytes = 0;
        let times = last.saturating_sub_nanos(HOUR * hours)..last.saturating_add_nanos(24 * HOUR);
        for block in store.log.blocks_between(times, Some(&[&stream])) {
            // A part of the log that is lost leaves the others.
            let Ok(block) = block else { continue };
            if *block.stream != *stream {
                continue;
            }
            for record in block.records.iter() {
                bytes += record.len() + 1;
                newest.push_back(record.to_vec());
                while newest.len() > most || (bytes > SAMPLE && newest.len() > 1) {
                    bytes -= newest.pop_front().map_or(0, |record| record.len() + 1);
                }
            }
            if call.cancel.load(std::sync::atomic::Ordering::Relaxed) {
                break;
            }
        }
        if newest.len() >= most {
            break;
        }
    }
    let mut body = Vec::with_capacity(bytes);
    for record in newest {
        body.extend_from_slice(record.trim_ascii_end());
        body.push(b'\n');
    }
    // What is no UTF-8 is replaced: this is text for people.
    let body = String::from_utf8_lossy(&body).into_owned().into_bytes();
    Ok(Answer::Body(StatusCode::OK, "text/plain; charset=utf-8", body))
}
