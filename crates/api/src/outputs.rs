//! Outputs: how they stand, what they gave up, and what is done to them by hand.

use std::sync::Arc;

use neph_outputs::{Outcome, OutputState, Outputs};
use neph_store::{Delivery, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alerts::bounded;
use crate::problem::Problem;
use crate::route::{Answer, Call, Route, schema_of};
use crate::wire::time;

pub(crate) static ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/outputs",
        Role::Viewer,
        "outputs.list",
        "How each output stands: what waits for it, what it delivered, left out and gave up, and what it met last.",
        schema_of::<Listed>,
        list,
    ),
    Route::get(
        "/api/v1/outputs/{name}/dead",
        Role::Viewer,
        "outputs.dead",
        "The alerts that an output gave up, oldest first.",
        schema_of::<Letters>,
        dead,
    )
    .with_query(&[schema_of::<LetterPage>]),
    Route::post(
        "/api/v1/outputs/{name}/redeliver",
        Role::Engineer,
        "outputs.redeliver",
        "Makes all that an output gave up due again.",
        schema_of::<Changed>,
        redeliver,
    ),
    Route::post(
        "/api/v1/outputs/{name}/discard",
        Role::Admin,
        "outputs.discard",
        "Takes away what an output gave up, and what waits for one that the configuration has no more. The alerts stay.",
        schema_of::<Changed>,
        discard,
    ),
    Route::post(
        "/api/v1/outputs/{name}/test",
        Role::Engineer,
        "outputs.test",
        "Sends an alert to an output that says of itself that it is a test.",
        schema_of::<Tested>,
        test,
    ),
];

/// How outputs stand.
#[derive(Debug, Serialize, JsonSchema)]
struct Listed {
    /// By name.
    outputs: Vec<OutputRow>,
}

/// How an output stands.
#[derive(Debug, Serialize, JsonSchema)]
struct OutputRow {
    /// Its name.
    name: String,
    /// `stdout`, `file`, `webhook`, `syslog`, `mail` or `elasticsearch`; null where the configuration has it no more.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// `works`, `fails`, or `removed` where the configuration has it no more.
    state: String,
    /// Alerts that wait for it.
    waiting: u64,
    /// Since when the oldest of them does.
    oldest: Option<String>,
    /// Alerts that were delivered.
    delivered: u64,
    /// Messages that told of them.
    messages: u64,
    /// When something was delivered last, since the service started.
    delivered_at: Option<String>,
    /// Alerts that its filter left out.
    left_out: u64,
    /// Alerts that were given up.
    dead: u64,
    /// What the last failed try met.
    error: Option<String>,
    /// When that was, since the service started.
    error_at: Option<String>,
    /// When it is tried again, while it fails.
    next_try: Option<String>,
}

impl From<OutputState> for OutputRow {
    fn from(state: OutputState) -> Self {
        let counts = state.counts;
        Self {
            name: counts.output,
            kind: state.kind.map(str::to_owned),
            state: state.work.word().to_owned(),
            waiting: counts.waiting,
            oldest: time(counts.oldest),
            delivered: counts.delivered,
            messages: counts.messages,
            delivered_at: time(state.delivered_at),
            left_out: counts.left_out,
            dead: counts.dead,
            error: counts.error,
            error_at: time(state.error_at),
            next_try: time(state.next_try),
        }
    }
}

fn outputs<'a>(call: &Call<'a>) -> Result<&'a Arc<Outputs>, Problem> {
    let outputs = call.app.outputs.get();
    outputs.ok_or_else(|| Problem::unavailable("the outputs are not started"))
}

fn list(call: &Call<'_>) -> Result<Answer, Problem> {
    let states = outputs(call)?.states()?;
    Answer::json(&Listed {
        outputs: states.into_iter().map(OutputRow::from).collect(),
    })
}

/// The name in the path, of an output that there is or was.
fn named<'c>(call: &'c Call<'_>) -> Result<&'c str, Problem> {
    let name = call.part("name");
    let states = outputs(call)?.states()?;
    match states.iter().any(|state| state.counts.output == name) {
        true => Ok(name),
        false => Err(Problem::missing("output", name)),
    }
}

/// Which dead letters.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct LetterPage {
    /// `next` of the page before.
    after: Option<i64>,
    /// How many, 1 to 1000; 100 without it.
    limit: Option<i64>,
}

/// A page of dead letters.
#[derive(Debug, Serialize, JsonSchema)]
struct Letters {
    /// Oldest first.
    letters: Vec<Letter>,
    /// `after` of the next page; null on the last one.
    next: Option<i64>,
}

/// An alert that was given up.
#[derive(Debug, Serialize, JsonSchema)]
struct Letter {
    /// Its number.
    number: i64,
    /// The alert's id.
    alert: String,
    /// The rule's id.
    rule_id: String,
    /// The rule's name.
    rule_name: String,
    /// `low`, `medium`, `high` or `critical`.
    severity: String,
    /// What happened, in one sentence.
    reason: String,
    /// What was to be told: `raised`, `updated` or `retracted`.
    kind: String,
    /// Since when it waited.
    created: String,
    /// When it was given up.
    dead: Option<String>,
    /// How often it was tried.
    attempts: u32,
    /// What the last try met.
    error: Option<String>,
}

impl From<Delivery> for Letter {
    fn from(delivery: Delivery) -> Self {
        let alert = delivery.alert.alert;
        Self {
            number: delivery.seq,
            alert: alert.id,
            rule_id: alert.rule_id,
            rule_name: alert.rule_name,
            severity: alert.severity.word().to_owned(),
            reason: alert.reason,
            kind: delivery.kind.word().to_owned(),
            created: delivery.created.to_string(),
            dead: time(delivery.dead),
            attempts: delivery.attempts,
            error: delivery.error,
        }
    }
}

fn dead(call: &Call<'_>) -> Result<Answer, Problem> {
    let page: LetterPage = call.query()?;
    let limit = bounded(page.limit, 100, 1000, "limit")?;
    let name = named(call)?;
    let db = &call.app.store.db;
    let letters = db.dead_letters(name, page.after.unwrap_or(0), limit)?;
    let next = match letters.len() == usize::try_from(limit).unwrap_or(0) {
        true => letters.last().map(|delivery| delivery.seq),
        false => None,
    };
    Answer::json(&Letters {
        letters: letters.into_iter().map(Letter::from).collect(),
        next,
    })
}

/// What an action was for.
#[derive(Debug, Serialize, JsonSchema)]
struct Changed {
    /// The output.
    output: String,
    /// How many alerts.
    alerts: u64,
}

fn redeliver(call: &Call<'_>) -> Result<Answer, Problem> {
    let name = named(call)?;
    Answer::json(&Changed {
        output: name.to_owned(),
        alerts: outputs(call)?.redeliver(name)?,
    })
}

fn discard(call: &Call<'_>) -> Result<Answer, Problem> {
    let name = named(call)?;
    Answer::json(&Changed {
        output: name.to_owned(),
        alerts: outputs(call)?.discard(name)?,
    })
}

/// What became of a test.
#[derive(Debug, Serialize, JsonSchema)]
struct Tested {
    /// The output.
    output: String,
    /// Whether the receiver took it.
    delivered: bool,
    /// Why not.
    error: Option<String>,
}

fn test(call: &Call<'_>) -> Result<Answer, Problem> {
    let name = call.part("name");
    let outcome = outputs(call)?.test(name, &call.who.name);
    let error = match outcome.ok_or_else(|| Problem::missing("output", name))? {
        Outcome::Delivered => None,
        Outcome::Later { why, .. } | Outcome::Never { why } => Some(why),
    };
    Answer::json(&Tested {
        output: name.to_owned(),
        delivered: error.is_none(),
        error,
    })
}
