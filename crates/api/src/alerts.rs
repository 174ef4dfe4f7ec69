//! Alerts: search, one, actions, undo, history, export.

use axum::body::Bytes;
use axum::http::StatusCode;
use neph_store::{AlertAction, AlertSort, Cursor, HistoryEntry, Role, Selection, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::app::App;
use crate::problem::Problem;
use crate::route::{Answer, Call, Gives, Route, schema_of};
use crate::when::now;
use crate::wire::{Alert, AlertFilter};

pub(crate) static ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/alerts",
        Role::Viewer,
        "alerts.search",
        "Alerts, a page of them.",
        schema_of::<Page>,
        search,
    )
    .with_query(&[schema_of::<AlertFilter>, schema_of::<Paging>]),
    Route::get(
        "/api/v1/alerts/export",
        Role::Viewer,
        "alerts.export",
        "The ECS documents of alerts, one a line, newest first.",
        schema_of::<Value>,
        export,
    )
    .with_query(&[schema_of::<AlertFilter>])
    .giving(Gives::Lines),
    Route::post(
        "/api/v1/alerts/actions",
        Role::Analyst,
        "alerts.act",
        "Does something with alerts, named by id or by a query: all at once, or none.",
        schema_of::<Done>,
        act,
    )
    .with_body(schema_of::<Act>),
    Route::post(
        "/api/v1/alerts/actions/{action}/undo",
        Role::Analyst,
        "alerts.undo",
        "Undoes an action, but for alerts that somebody changed since.",
        schema_of::<Undone>,
        undo,
    ),
    Route::get(
        "/api/v1/alerts/{id}",
        Role::Viewer,
        "alerts.get",
        "An alert with its ECS document.",
        schema_of::<Whole>,
        get,
    ),
    Route::get(
        "/api/v1/alerts/{id}/report",
        Role::Viewer,
        "alerts.report",
        "An alert as a page of HTML that stands alone, to print or hand on.",
        schema_of::<Value>,
        report,
    )
    .giving(Gives::Text("text/html; charset=utf-8")),
    Route::get(
        "/api/v1/alerts/{id}/history",
        Role::Viewer,
        "alerts.history",
        "Who did what to an alert, oldest first.",
        schema_of::<History>,
        history,
    ),
];

/// Alerts of one page at most.
const MOST: u32 = 1000;
/// Ids of one action at most.
const MOST_IDS: usize = 10_000;
/// Longest text of an analyst, in bytes.
const LONGEST: usize = 64 << 10;

/// Which page.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Paging {
    /// What is first: `time` (newest), `severity`, `risk` or `updated`.
    #[schemars(extend("enum" = ["time", "severity", "risk", "updated", null]))]
    sort: Option<String>,
    /// How many, 1 to 1000; 100 without it.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<i64>,
    /// The least first, not the greatest.
    ascending: Option<bool>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Says how many there are in all, too.
    total: Option<bool>,
}

/// A page of alerts.
#[derive(Debug, Serialize, JsonSchema)]
struct Page {
    /// The alerts.
    alerts: Vec<Alert>,
    /// `cursor` of the next page; null on the last one.
    next: Option<String>,
    /// How many alerts there are in all, where that was asked for.
    total: Option<u64>,
}

/// A number between two, or one that counts without it.
pub(crate) fn bounded(given: Option<i64>, without: u32, most: u32, name: &str) -> Result<u32, Problem> {
    match given {
        None => Ok(without),
        Some(number) => match u32::try_from(number) {
            Ok(number) if number >= 1 && number <= most => Ok(number),
            _ => Err(Problem::invalid(format!("`{name}` must be from 1 to {most}"))),
        },
    }
}

fn sort(word: Option<&str>) -> Result<AlertSort, Problem> {
    Ok(match word {
        None | Some("time") => AlertSort::Time,
        Some("severity") => AlertSort::Severity,
        Some("risk") => AlertSort::Risk,
        Some("updated") => AlertSort::Updated,
        Some(other) => {
            return Err(Problem::invalid(format!(
                "`sort` must be `time`, `severity`, `risk` or `updated`, not `{other}`"
            )));
        }
    })
}

fn cursor(text: Option<&String>) -> Result<Option<Cursor>, Problem> {
    let Some(text) = text else {
        return Ok(None);
    };
    match Cursor::parse(text) {
        Some(cursor) => Ok(Some(cursor)),
        None => Err(Problem::invalid("`cursor` is none that a page gave")),
    }
}

fn search(call: &Call<'_>) -> Result<Answer, Problem> {
    let query = call.filter()?.store()?;
    let paging: Paging = call.query()?;
    let limit = bounded(paging.limit, 100, MOST, "limit")?;
    let cursor = cursor(paging.cursor.as_ref())?;
    let sort = sort(paging.sort.as_deref())?;
    let ascending = paging.ascending.unwrap_or(false);
    let total = match paging.total {
        Some(true) => Some(call.app.store.db.count_alerts(&query)?),
        _ => None,
    };
    let page = call
        .app
        .store
        .db
        .search(&query, sort, ascending, cursor.as_ref(), limit)?;
    Answer::json(&Page {
        alerts: page.alerts.iter().map(Alert::from).collect(),
        next: page.next.map(|next| next.to_string()),
        total,
    })
}

impl Call<'_> {
    /// The filter of alerts in the query.
    pub(crate) fn filter(&self) -> Result<AlertFilter, Problem> {
        let known = serde_json::to_value(AlertFilter::default()).unwrap_or_default();
        let mut own = self.query.clone();
        own.retain(|key, _| known.get(key).is_some());
        serde_json::from_value(Value::Object(own))
            .map_err(|error| Problem::invalid(format!("the query of the request is wrong: {error}")))
    }
}

fn export(call: &Call<'_>) -> Result<Answer, Problem> {
    let query = call.filter()?.store()?;
    let store = std::sync::Arc::clone(&call.app.store);
    let (sender, pieces) = mpsc::channel(8);
    tokio::task::spawn_blocking(move || {
        let mut cursor = None;
        loop {
            let Ok(page) = store
                .db
                .search(&query, AlertSort::Time, false, cursor.as_ref(), 200)
            else {
                return;
            };
            let mut piece = Vec::new();
            for record in &page.alerts {
                // One that retention removes meanwhile is left out.
                if let Ok(whole) = store.db.alert(&record.alert.id) {
                    piece.extend_from_slice(&whole.alert.document);
                    piece.push(b'\n');
                }
            }
            if sender.blocking_send(Bytes::from(piece)).is_err() {
                return;
            }
            match page.next {
                Some(next) => cursor = Some(next),
                None => return,
            }
        }
    });
    Ok(Answer::Lines(pieces))
}

/// What is to be done with which alerts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Act {
    /// Ids of alerts; either these or `query`.
    #[serde(default)]
    ids: Option<Vec<String>>,
    /// All alerts that this finds.
    #[serde(default)]
    query: Option<AlertFilter>,
    /// What.
    action: Action,
}

/// What an analyst does.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Action {
    /// Open again.
    Open,
    /// Somebody looks at it: the sender, if nobody is on it.
    Acknowledge,
    /// Done.
    Close {
        /// What it was: `true_positive`, `benign` or `false_positive`.
        #[schemars(extend("enum" = ["true_positive", "benign", "false_positive"]))]
        verdict: String,
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// Puts it on somebody's desk, or on nobody's.
    Assign {
        /// Who; null for nobody.
        #[serde(default)]
        assignee: Option<String>,
    },
    /// Adds a note.
    Note {
        /// The note.
        text: String,
    },
    /// Adds tags.
    AddTags {
        /// The tags.
        tags: Vec<String>,
    },
    /// Takes tags away; those of the rule stay.
    RemoveTags {
        /// The tags.
        tags: Vec<String>,
    },
}

/// What an action did.
#[derive(Debug, Serialize, JsonSchema)]
struct Done {
    /// Its number, by which it can be undone; 0 if nothing changed.
    action: i64,
    /// Alerts that it changed.
    changed: u64,
    /// Alerts for which it already was so.
    unchanged: u64,
    /// Ids that no alert has.
    missing: Vec<String>,
}

impl Action {
    fn store(self) -> Result<AlertAction, Problem> {
        let bounded = |text: &str| match text.len() > LONGEST {
            true => Err(Problem::invalid(format!("a text is longer than {LONGEST} bytes"))),
            false => Ok(()),
        };
        Ok(match self {
            Self::Open => AlertAction::Open,
            Self::Acknowledge => AlertAction::Acknowledge,
            Self::Close { verdict, reason } => {
                bounded(&reason)?;
                let verdict: Verdict = serde_json::from_value(Value::String(verdict.clone()))
                    .map_err(|_| Problem::invalid(format!("`{verdict}` is no verdict")))?;
                AlertAction::Close { verdict, reason }
            }
            Self::Assign { assignee } => {
                bounded(assignee.as_deref().unwrap_or(""))?;
                AlertAction::Assign {
                    assignee: assignee.filter(|name| !name.is_empty()),
                }
            }
            Self::Note { text } => {
                bounded(&text)?;
                AlertAction::Note { text }
            }
            Self::AddTags { tags } => AlertAction::AddTags { tags: few(tags)? },
            Self::RemoveTags { tags } => AlertAction::RemoveTags { tags: few(tags)? },
        })
    }
}

fn few(tags: Vec<String>) -> Result<Vec<String>, Problem> {
    match tags.len() > 100 || tags.iter().any(|tag| tag.is_empty() || tag.len() > 200) {
        true => Err(Problem::invalid(
            "at most 100 tags of at most 200 bytes, none of them empty",
        )),
        false => Ok(tags),
    }
}

fn act(call: &Call<'_>) -> Result<Answer, Problem> {
    let Act { ids, query, action } = call.body()?;
    let action = action.store()?;
    let selection = match (ids, query) {
        (Some(ids), None) if ids.len() <= MOST_IDS => {
            call.about(format!("{} {}", word_of(&action), ids.join(" ")));
            Selection::Ids(ids)
        }
        (Some(_), None) => return Err(Problem::invalid(format!("at most {MOST_IDS} ids at once"))),
        (None, Some(query)) => {
            let text = serde_json::to_string(&query).unwrap_or_default();
            call.about(format!("{} {text}", word_of(&action)));
            Selection::Query(Box::new(query.store()?))
        }
        _ => return Err(Problem::invalid("name alerts by `ids`, or by a `query`")),
    };
    let done = call.app.store.db.act(selection, action, &call.who.name, now())?;
    Answer::json(&Done {
        action: done.action,
        changed: done.changed,
        unchanged: done.unchanged,
        missing: done.missing,
    })
}

fn word_of(action: &AlertAction) -> String {
    let value = serde_json::to_value(action).unwrap_or_default();
    value
        .get("action")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// What undoing did.
#[derive(Debug, Serialize, JsonSchema)]
struct Undone {
    /// The action that was undone.
    action: i64,
    /// Alerts that are as before.
    restored: u64,
    /// Alerts that somebody changed since, which stay as they are.
    changed_since: u64,
}

fn undo(call: &Call<'_>) -> Result<Answer, Problem> {
    let number = call.part("action");
    let action: i64 = number.parse().map_err(|_| Problem::missing("action", number))?;
    let undone = call.app.store.db.undo(Some(action), &call.who.name, now())?;
    Answer::json(&Undone {
        action: undone.action,
        restored: undone.restored,
        changed_since: undone.changed_since,
    })
}

/// An alert with its document.
#[derive(Debug, Serialize, JsonSchema)]
struct Whole {
    /// The alert.
    #[serde(flatten)]
    alert: Alert,
    /// The ECS document: reason, events of each step, why each condition held.
    document: Value,
}

fn whole(app: &App, id: &str) -> Result<Whole, Problem> {
    let record = app.store.db.alert(id)?;
    Ok(Whole {
        alert: Alert::from(&record),
        document: serde_json::from_slice(&record.alert.document).unwrap_or_default(),
    })
}

fn get(call: &Call<'_>) -> Result<Answer, Problem> {
    Answer::json(&whole(call.app, call.part("id"))?)
}

/// What a report tells of an alert: the alert whole, and its history.
pub(crate) fn reported(app: &App, id: &str) -> Result<(Value, Value), Problem> {
    let alert = serde_json::to_value(whole(app, id)?).unwrap_or_default();
    let history = serde_json::to_value(history_of(app, id)?).unwrap_or_default();
    Ok((alert, history))
}

fn report(call: &Call<'_>) -> Result<Answer, Problem> {
    let (alert, history) = reported(call.app, call.part("id"))?;
    let made = neph_console::report(&alert, &history, &now().to_string());
    Ok(Answer::Body(
        StatusCode::OK,
        "text/html; charset=utf-8",
        made.into_bytes(),
    ))
}

/// Who did what to an alert.
#[derive(Debug, Serialize, JsonSchema)]
struct History {
    /// Oldest first.
    entries: Vec<Entry>,
}

/// Somebody did something.
#[derive(Debug, Serialize, JsonSchema)]
struct Entry {
    /// Number of the action, by which it can be undone; 0 for what the service did, of which the last `updated` is told.
    action: i64,
    /// When.
    at: String,
    /// Who; `neph` for what the service did.
    who: String,
    /// What: `raised`, `updated`, `retracted`, `undo`, or the action's name.
    what: String,
    /// The action, with what was before and after.
    details: Value,
    /// Whether it was undone later.
    undone: bool,
}

impl From<HistoryEntry> for Entry {
    fn from(entry: HistoryEntry) -> Self {
        Self {
            action: entry.action,
            at: entry.at.to_string(),
            who: entry.who,
            what: entry.what,
            details: serde_json::from_str(&entry.details).unwrap_or_default(),
            undone: entry.undone,
        }
    }
}

/// What the service did itself.
fn own(at: neph_event::Instant, what: &str, details: Value) -> (neph_event::Instant, Entry) {
    let entry = Entry {
        action: 0,
        at: at.to_string(),
        who: "neph".to_owned(),
        what: what.to_owned(),
        details,
        undone: false,
    };
    (at, entry)
}

fn history_of(app: &App, id: &str) -> Result<History, Problem> {
    let db = &app.store.db;
    let record = db.alert(id)?;
    let mut entries = vec![own(
        record.created,
        "raised",
        serde_json::json!({"rule": record.alert.rule_id}),
    )];
    if let Some(at) = db.told_again(id)? {
        let details = serde_json::json!({"updates": record.updates, "count": record.alert.count});
        entries.push(own(at, "updated", details));
    }
    if let Some(at) = record.retracted {
        entries.push(own(at, "retracted", Value::Null));
    }
    let actions = db.alert_history(id)?.into_iter();
    entries.extend(actions.map(|entry| (entry.at, Entry::from(entry))));
    entries.sort_by_key(|(at, entry)| (*at, entry.action));
    Ok(History {
        entries: entries.into_iter().map(|(_, entry)| entry).collect(),
    })
}

fn history(call: &Call<'_>) -> Result<Answer, Problem> {
    Answer::json(&history_of(call.app, call.part("id"))?)
}
