//! What the service sees, and what it did not see, since when and why. The same report comes from a service that runs and from
//! the store of one that does not.

use std::collections::BTreeMap;

use neph_event::Instant;
use neph_outputs::OutputState;
use neph_store::{
    Backfill, Balance, Gap, GapKind, Interval, NameRow, OutboxCounts, Role, Run, SilenceLimits, Store,
    StoreError,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::problem::Problem;
use crate::route::{Answer, Call, Gives, Route, schema_of};
use crate::schedule::{StatusJob, jobs};
use crate::stretches::{length, number, start};
use crate::when::now;
use crate::wire::{instant, time, word};

pub(crate) static ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/status",
        Role::Viewer,
        "ledger.status",
        "What was seen since when, and what was not, and why.",
        schema_of::<StatusReport>,
        status,
    )
    .with_query(&[schema_of::<Since>]),
    Route::get(
        "/healthz",
        Role::Viewer,
        "health.live",
        "Whether the service runs.",
        schema_of::<String>,
        |_| {
            Ok(Answer::Body(
                axum::http::StatusCode::OK,
                "text/plain",
                b"ok\n".to_vec(),
            ))
        },
    )
    .open()
    .giving(Gives::Text("text/plain")),
    Route::get(
        "/readyz",
        Role::Viewer,
        "health.ready",
        "Whether the service takes records and evaluates them.",
        schema_of::<String>,
        ready,
    )
    .open()
    .giving(Gives::Text("text/plain")),
];

/// A run that has not said for so long that it is on, is not.
const DEAD: i128 = 60 * 1_000_000_000;
/// Sources are listed with what they sent in so long a time before now.
const RECENT: i128 = 3600 * 1_000_000_000;
/// Without another time the report begins so long ago.
const DAY: i128 = 86_400 * 1_000_000_000;
/// Back-fills that are listed.
const BACKFILLS: u32 = 100;

/// From when on.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Since {
    /// From when on: a time, a day, the name of a weekday, or a time ago; a day ago without it.
    since: Option<String>,
}

/// What was seen, and what was not.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StatusReport {
    /// Whether the service runs.
    pub running: bool,
    /// Since when it runs, or ran last.
    pub started: Option<String>,
    /// Until when it ran, if it does not.
    pub stopped: Option<String>,
    /// The version of the program that runs, or ran last.
    pub version: Option<String>,
    /// From when on it is told what was not seen.
    pub since: String,
    /// When the report was made.
    pub now: String,
    /// Bytes of records that are received and not yet evaluated.
    pub pending_bytes: u64,
    /// Bytes that events take on disk.
    pub stored_bytes: u64,
    /// When the oldest event that can be searched was received.
    pub oldest: Option<String>,
    /// How long a stretch of time of the sources' `series` is, in seconds; the first begins with a multiple of it.
    #[serde(default)]
    pub series_seconds: i64,
    /// The sources that sent something in this time.
    pub sources: Vec<StatusSource>,
    /// Where records say that they belong that came in this time, and how many rules look at such.
    #[serde(default)]
    pub names: Vec<StatusName>,
    /// What was not seen, in the order of time.
    pub gaps: Vec<StatusGap>,
    /// For each source whether all records that it ever sent are accounted for.
    #[serde(default)]
    pub balance: Vec<StatusBalance>,
    /// Outputs, with what waits and what was given up.
    pub outputs: Vec<StatusOutput>,
    /// Back-fills, newest first.
    pub backfills: Vec<StatusBackfill>,
    /// What is looked at on a schedule.
    #[serde(default)]
    pub jobs: Vec<StatusJob>,
    /// How the pipeline stands: watermark, latency, state, problems; null where the service does not run.
    #[serde(default)]
    pub pipeline: Option<serde_json::Value>,
}

/// A source.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct StatusSource {
    /// Its stream.
    pub stream: String,
    /// When it sent last, to the minute.
    pub last_received: String,
    /// Time of its newest event.
    pub last_event: Option<String>,
    /// How much later than its newest event it was received, in seconds; at least 0.
    pub lag_seconds: Option<f64>,
    /// Records received.
    pub records: u64,
    /// Records a second within the last hour.
    pub rate: f64,
    /// Bytes received.
    pub bytes: u64,
    /// Records that the rules saw.
    pub evaluated: u64,
    /// Events that they became.
    pub events: u64,
    /// Records that could not be read.
    pub refused: u64,
    /// Records that the configuration drops.
    pub dropped: u64,
    /// Records that no normaliser knows.
    pub unrecognised: u64,
    /// Records too late for windows that were decided.
    pub late: u64,
    /// Records without a time of their own, whose time is that of their receipt.
    #[serde(default)]
    pub untimed: u64,
    /// Records received in each stretch of time from `since` on; how long these are says `series_seconds`.
    #[serde(default)]
    pub series: Vec<u64>,
}

/// An index or a dataset that records of a source say they belong to. Names that say what is in them decide which rules look at
/// the records; see "Names of indices" in `docs/serve.md`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct StatusName {
    /// The source's stream.
    pub stream: String,
    /// The index that the records were sent to.
    pub index: Option<String>,
    /// `data_stream.dataset` of documents that were sent.
    pub dataset: Option<String>,
    /// Whether their documents were made here of raw records; the dataset is known then, and shippers' names do not count.
    pub made: bool,
    /// Records since they were first seen.
    pub records: u64,
    /// When the first came.
    pub first: String,
    /// When the last came.
    pub last: String,
    /// Rules that look at them because an index pattern names where they belong.
    pub rules_by_name: u64,
    /// Rules that look at them for their content, because the names say nothing to them.
    pub rules_by_content: u64,
    /// Rules that leave them out, because they belong elsewhere.
    pub rules_left_out: u64,
}

/// What became of all records of a source since the store began: `received` is the sum of the others, else some are lost.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StatusBalance {
    /// Its stream.
    pub stream: String,
    /// Records that the store took.
    pub received: u64,
    /// Records that the rules saw.
    pub evaluated: u64,
    /// Records that could not be read.
    pub refused: u64,
    /// Records that the configuration drops.
    pub dropped: u64,
    /// Records that wait to be evaluated.
    pub pending: u64,
    /// Whether it adds up.
    pub holds: bool,
}

/// A stretch of time in which something was not seen.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StatusGap {
    /// `service_down`, `source_silent`, `rule_broken`, `rule_absent`, `loss`, `refused`, `late`, `untaken`, `history_missing`.
    pub kind: String,
    /// From when.
    pub from: String,
    /// Until when.
    pub to: String,
    /// Whether it lasts.
    pub open: bool,
    /// The source, where it concerns one.
    pub stream: Option<String>,
    /// The rule, where it concerns one.
    pub rule: Option<String>,
    /// Records, where their number is known.
    pub records: Option<u64>,
    /// Why.
    pub why: String,
    /// Numbers of the back-fills that closed it; empty while it is not.
    pub closed_by: Vec<i64>,
}

/// An output.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StatusOutput {
    /// Its name.
    pub name: String,
    /// Alerts that wait for it.
    pub waiting: u64,
    /// Since when the oldest does.
    pub oldest: Option<String>,
    /// Alerts that were given up.
    pub dead: u64,
    /// Alerts that were delivered.
    pub delivered: u64,
    /// Messages that told of them.
    #[serde(default)]
    pub messages: u64,
    /// Alerts that its filter left out.
    #[serde(default)]
    pub left_out: u64,
    /// `works`, `fails`, or `removed` where the configuration has it no more; null where the service does not run.
    #[serde(default)]
    pub state: Option<String>,
    /// What the last failed try met.
    pub error: Option<String>,
}

/// A back-fill.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StatusBackfill {
    /// Its number.
    pub id: i64,
    /// The rule; `*` for all.
    pub rule: String,
    /// `running`, `done` or `failed`.
    pub state: String,
    /// Event times: from.
    pub from: String,
    /// Until.
    pub to: String,
    /// When it was started.
    pub started: String,
    /// When it ended.
    pub finished: Option<String>,
    /// Records read.
    pub records: u64,
    /// Alerts found.
    pub alerts: u64,
    /// Alerts that were not there before.
    pub new_alerts: u64,
    /// Why it failed, or who started it.
    pub detail: String,
}

/// The report of a store, from `since` on.
///
/// # Errors
/// The store cannot be read.
pub fn report(
    store: &Store,
    since: Instant,
    now: Instant,
    silences: &SilenceLimits,
) -> Result<StatusReport, StoreError> {
    let run: Option<Run> = store.db.runs(1)?.into_iter().next();
    let running = run
        .as_ref()
        .is_some_and(|run| run.stopped.is_none() && now.nanos_since(run.heartbeat) < DEAD);
    let stopped = run
        .as_ref()
        .filter(|_| !running)
        .map(|run| run.stopped.unwrap_or(run.heartbeat));
    let intervals = store
        .db
        .intervals(since..now.saturating_add_nanos(60_000_000_000))?;
    let gaps = store.db.gaps(since..now, now, silences)?;
    let pending = store.log.end().saturating_sub(store.db.processed()?);
    Ok(StatusReport {
        running,
        started: run.as_ref().map(|run| run.started.to_string()),
        stopped: time(stopped),
        version: run.map(|run| run.version),
        since: since.to_string(),
        now: now.to_string(),
        pending_bytes: pending,
        stored_bytes: store.log.stored_bytes(),
        oldest: time(store.log.oldest()),
        series_seconds: series_length(since, now),
        sources: with_series(sources(&intervals, store, now)?, store, since, now)?,
        names: store.db.names(since)?.into_iter().map(StatusName::from).collect(),
        gaps: gaps.iter().map(StatusGap::from).collect(),
        balance: store
            .db
            .balance(&store.log)?
            .into_iter()
            .map(StatusBalance::from)
            .collect(),
        outputs: store
            .db
            .outbox_counts()?
            .into_iter()
            .map(StatusOutput::from)
            .collect(),
        backfills: store
            .db
            .backfills(BACKFILLS)?
            .into_iter()
            .map(StatusBackfill::from)
            .collect(),
        jobs: jobs(store)?,
        pipeline: None,
    })
}

fn sources(intervals: &[Interval], store: &Store, now: Instant) -> Result<Vec<StatusSource>, StoreError> {
    let mut found: BTreeMap<&str, (StatusSource, Instant, Option<Instant>)> = BTreeMap::new();
    for interval in intervals {
        let total = &interval.total;
        let (source, last, newest) = found.entry(&total.stream).or_insert_with(|| {
            let source = StatusSource {
                stream: total.stream.clone(),
                ..StatusSource::default()
            };
            (source, interval.received.end, None)
        });
        *last = (*last).max(interval.received.end);
        *newest = (*newest).max(total.times.map(|(_, newest)| newest));
        source.records += total.evaluated + total.refused + total.dropped;
        source.bytes += total.bytes;
        source.evaluated += total.evaluated;
        source.events += total.events;
        source.refused += total.refused;
        source.dropped += total.dropped;
        source.unrecognised += total.unrecognised;
        source.late += total.late;
        source.untimed += total.untimed;
    }
    let since = now.saturating_sub_nanos(RECENT);
    let mut recent: BTreeMap<String, u64> = BTreeMap::new();
    for interval in store
        .db
        .intervals(since..now.saturating_add_nanos(60_000_000_000))?
    {
        let total = interval.total;
        *recent.entry(total.stream).or_default() += total.evaluated + total.refused + total.dropped;
    }
    let sources = found.into_values().map(|(mut source, last, newest)| {
        let last = last.min(now);
        source.last_received = last.to_string();
        source.last_event = time(newest);
        source.lag_seconds = newest.map(|newest| seconds(last.nanos_since(newest)).max(0.0));
        #[expect(clippy::cast_precision_loss, reason = "a rate to be shown")]
        let count = recent.get(&source.stream).copied().unwrap_or(0) as f64;
        source.rate = count / 3600.0;
        source
    });
    Ok(sources.collect())
}

/// Stretches of time that a source's records are counted in, at most.
const SERIES: i64 = 60;

/// The ledger counts by the minute, so no stretch is shorter.
fn series_length(since: Instant, now: Instant) -> i64 {
    length(since.seconds, now.seconds, SERIES).max(60)
}

/// Adds how many records came when.
fn with_series(
    mut sources: Vec<StatusSource>,
    store: &Store,
    since: Instant,
    now: Instant,
) -> Result<Vec<StatusSource>, StoreError> {
    let length = series_length(since, now);
    let count = usize::try_from(number(since.seconds, now.seconds, length)).unwrap_or(0);
    let begin = start(since.seconds, length);
    for source in &mut sources {
        source.series = vec![0; count];
    }
    let rates = store.db.rates(since..now, length.saturating_mul(1_000_000_000))?;
    for (stream, from, records) in rates {
        let place = usize::try_from((from.seconds - begin) / length).ok();
        let source = sources.iter_mut().find(|source| source.stream == stream);
        if let Some(own) = source
            .zip(place)
            .and_then(|(source, place)| source.series.get_mut(place))
        {
            *own += records;
        }
    }
    Ok(sources)
}

#[expect(clippy::cast_precision_loss, reason = "seconds to be shown")]
fn seconds(nanos: i128) -> f64 {
    nanos as f64 / 1e9
}

impl From<NameRow> for StatusName {
    fn from(row: NameRow) -> Self {
        let said = |name: String| Some(name).filter(|name| !name.is_empty());
        Self {
            stream: row.stream,
            index: said(row.total.index),
            dataset: said(row.total.dataset),
            made: row.total.is_made,
            records: row.total.records,
            first: row.first.to_string(),
            last: row.last.to_string(),
            rules_by_name: row.total.by_name,
            rules_by_content: row.total.by_content,
            rules_left_out: row.total.left_out,
        }
    }
}

impl From<Balance> for StatusBalance {
    fn from(balance: Balance) -> Self {
        Self {
            holds: balance.holds(),
            stream: balance.stream,
            received: balance.received,
            evaluated: balance.evaluated,
            refused: balance.refused,
            dropped: balance.dropped,
            pending: balance.pending,
        }
    }
}

impl From<&Gap> for StatusGap {
    fn from(gap: &Gap) -> Self {
        let kind = match gap.kind {
            GapKind::ServiceDown => "service_down",
            GapKind::SourceSilent => "source_silent",
            GapKind::RuleBroken => "rule_broken",
            GapKind::RuleAbsent => "rule_absent",
            GapKind::Loss => "loss",
            GapKind::Refused => "refused",
            GapKind::Late => "late",
            GapKind::Untaken => "untaken",
            GapKind::HistoryMissing => "history_missing",
            _ => "other",
        };
        Self {
            kind: kind.to_owned(),
            from: gap.from.to_string(),
            to: gap.to.to_string(),
            open: gap.open,
            stream: gap.stream.clone(),
            rule: gap.rule.clone(),
            records: gap.records,
            why: gap.why.clone(),
            closed_by: gap.closed_by.clone(),
        }
    }
}

impl From<OutboxCounts> for StatusOutput {
    fn from(counts: OutboxCounts) -> Self {
        Self {
            name: counts.output,
            waiting: counts.waiting,
            oldest: time(counts.oldest),
            dead: counts.dead,
            delivered: counts.delivered,
            messages: counts.messages,
            left_out: counts.left_out,
            state: None,
            error: counts.error,
        }
    }
}

impl From<OutputState> for StatusOutput {
    fn from(state: OutputState) -> Self {
        Self {
            state: Some(state.work.word().to_owned()),
            ..Self::from(state.counts)
        }
    }
}

impl From<Backfill> for StatusBackfill {
    fn from(backfill: Backfill) -> Self {
        Self {
            id: backfill.id,
            rule: backfill.rule,
            state: word(&backfill.state),
            from: backfill.from.to_string(),
            to: backfill.to.to_string(),
            started: backfill.started.to_string(),
            finished: time(backfill.finished),
            records: backfill.records,
            alerts: backfill.alerts,
            new_alerts: backfill.new_alerts,
            detail: backfill.detail,
        }
    }
}

fn status(call: &Call<'_>) -> Result<Answer, Problem> {
    let Since { since } = call.query()?;
    let now = now();
    let since = instant(since.as_ref(), now)?.unwrap_or_else(|| now.saturating_sub_nanos(DAY));
    let mut told = report(&call.app.store, since, now, &call.app.silences)?;
    if let Some(outputs) = call.app.outputs.get() {
        told.outputs = outputs.states()?.into_iter().map(StatusOutput::from).collect();
    }
    let pipeline = call.app.service().map(|service| service.status());
    told.pipeline = pipeline.and_then(|status| serde_json::to_value(status).ok());
    Answer::json(&told)
}

fn ready(call: &Call<'_>) -> Result<Answer, Problem> {
    // The database answers, the log takes records, and the pipeline goes on.
    call.app.store.db.processed()?;
    let status = call.app.service().map(|service| service.status());
    // Everybody may ask: paths of this machine are not told.
    let problem = match (call.app.store.log.untaken(), status) {
        (Some(untaken), _) => format!("no records are taken at present: {}", untaken.why.brief()),
        (None, Some(status)) if !status.running => "records are not evaluated at present".to_owned(),
        (None, Some(status)) if status.store_problem.is_some() => {
            "alerts cannot be written at present, and records wait to be evaluated".to_owned()
        }
        (None, Some(_)) => {
            return Ok(Answer::Body(
                axum::http::StatusCode::OK,
                "text/plain",
                b"ready\n".to_vec(),
            ));
        }
        (None, None) => "the service ends".to_owned(),
    };
    Err(Problem::unavailable(problem))
}
