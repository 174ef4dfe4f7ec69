//! Work over history: back-fills and previews.

use std::sync::Arc;

use neph_runtime::service::preview;
use neph_store::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::problem::Problem;
use crate::route::{Answer, Call, Route, schema_of};
use crate::status::StatusBackfill;
use crate::when::now;
use crate::wire::instant;

pub(crate) static ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/backfills",
        Role::Viewer,
        "backfills.list",
        "Back-fills, newest first.",
        schema_of::<Backfills>,
        list,
    ),
    Route::post(
        "/api/v1/backfills",
        Role::Engineer,
        "backfills.start",
        "Lets a rule see events of the past; it runs on while others are asked for, one at a time.",
        schema_of::<Started>,
        start,
    )
    .with_body(schema_of::<Wanted>),
    Route::post(
        "/api/v1/rules/{id}/preview",
        Role::Analyst,
        "rules.preview",
        "What a rule would tell of stored events: how many alerts, the noisiest values, and exceptions that lose no true alert.",
        schema_of::<Value>,
        preview_rule,
    )
    .with_body(schema_of::<Interval>)
    .heavy(),
];

/// Seven days.
const WEEK: i128 = 7 * 86_400 * 1_000_000_000;

/// Back-fills.
#[derive(Debug, Serialize, JsonSchema)]
struct Backfills {
    /// Newest first.
    backfills: Vec<StatusBackfill>,
}

fn list(call: &Call<'_>) -> Result<Answer, Problem> {
    let backfills = call.app.store.db.backfills(1000)?;
    Answer::json(&Backfills {
        backfills: backfills.into_iter().map(StatusBackfill::from).collect(),
    })
}

/// A back-fill that is wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// The rule's id; `*` for all.
    rule: String,
    /// Events not before: a time, a day, or a time ago.
    from: String,
    /// Events before; now without it.
    #[serde(default)]
    to: Option<String>,
}

/// A back-fill that was started.
#[derive(Debug, Serialize, JsonSchema)]
struct Started {
    /// The rule.
    rule: String,
    /// Events not before.
    from: String,
    /// Events before.
    to: String,
}

fn start(call: &Call<'_>) -> Result<Answer, Problem> {
    let wanted: Wanted = call.body()?;
    call.about(format!(
        "{} {} {}",
        wanted.rule,
        wanted.from,
        wanted.to.as_deref().unwrap_or("now")
    ));
    let now = now();
    let to = instant(wanted.to.as_ref(), now)?.unwrap_or(now);
    let from = instant(Some(&wanted.from), now)?
        .filter(|from| *from < to)
        .ok_or_else(|| Problem::invalid("`from` must be before `to`"))?;
    if wanted.rule != "*"
        && !call
            .app
            .rules()
            .set
            .rules
            .iter()
            .any(|rule| rule.id == wanted.rule)
    {
        return Err(Problem::missing("rule that runs", &wanted.rule));
    }
    let service = call
        .app
        .service()
        .ok_or_else(|| Problem::unavailable("the service ends"))?;
    let permit = Arc::clone(&call.app.backfills)
        .try_acquire_owned()
        .map_err(|_| Problem::busy("a back-fill is under way; wait until it is done"))?;
    let rule = wanted.rule.clone();
    let work = move || {
        let _permit = permit;
        // How it ended stands in the ledger.
        let _ = service.backfill(&rule, from, to);
    };
    std::thread::Builder::new()
        .name("neph-backfill".into())
        .spawn(work)
        .map_err(|error| Problem::failed(format!("no thread can be started: {error}")))?;
    Answer::json(&Started {
        rule: wanted.rule,
        from: from.to_string(),
        to: to.to_string(),
    })
}

/// An interval.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Interval {
    /// Events not before: a time, a day, or a time ago; seven days ago without it.
    #[serde(default)]
    from: Option<String>,
    /// Events before; now without it.
    #[serde(default)]
    to: Option<String>,
}

fn preview_rule(call: &Call<'_>) -> Result<Answer, Problem> {
    let interval: Interval = call.body()?;
    let now = now();
    let from = instant(interval.from.as_ref(), now)?.unwrap_or_else(|| now.saturating_sub_nanos(WEEK));
    let to = instant(interval.to.as_ref(), now)?.unwrap_or(now);
    if from >= to {
        return Err(Problem::invalid("`from` must be before `to`"));
    }
    let id = call.part("id");
    let shown = call.app.rules();
    if !shown
        .set
        .report
        .rules
        .iter()
        .any(|rule| rule.id.as_deref() == Some(id))
    {
        return Err(Problem::missing("rule", id));
    }
    let files = &shown.files;
    let told = preview(
        &call.app.store,
        &files.paths,
        &files.options,
        id,
        from..to,
        &call.app.options,
    );
    match told {
        Ok(told) => Answer::json(&json!(told)),
        Err(error) => Err(Problem::invalid(error.to_string())),
    }
}
