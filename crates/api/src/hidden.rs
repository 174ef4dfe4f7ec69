//! What an exception would have hidden of the alerts that are stored, before it is made.

use std::collections::BTreeMap;
use std::time::{Duration, Instant as Clock};

use neph_store::{AlertQuery, AlertSort, Role, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::prevalence::events_of;
use crate::problem::Problem;
use crate::route::{Answer, Call, Route, schema_of};
use crate::search::lookup;
use crate::wire::Alert;

pub(crate) static ROUTES: &[Route] = &[Route::post(
    "/api/v1/rules/{id}/hidden",
    Role::Viewer,
    "rules.hidden",
    "Which stored alerts of a rule an exception of these values would have hidden, the newest looked at first.",
    schema_of::<Hidden>,
    hidden,
)
.with_body(schema_of::<Values>)
.heavy()];

/// Alerts that are looked at.
const LOOKED: usize = 5000;
/// Alerts that are told.
const TOLD: usize = 20;
const TIME: Duration = Duration::from_secs(5);

/// Values of an exception.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Values {
    /// Fields with values: of each field one value, and all fields in the same event.
    fields: BTreeMap<String, Vec<Value>>,
}

/// What it would have hidden.
#[derive(Debug, Serialize, JsonSchema)]
struct Hidden {
    /// How many alerts it would have hidden, of those that were looked at.
    hidden: u64,
    /// Of these, how many an analyst found true.
    true_positives: u64,
    /// How many alerts of the rule were looked at.
    looked_at: u64,
    /// How many alerts the rule has.
    alerts: u64,
    /// The newest that it would have hidden; 20 at most.
    examples: Vec<Alert>,
}

fn hidden(call: &Call<'_>) -> Result<Answer, Problem> {
    let Values { fields } = call.body()?;
    if fields.is_empty() || fields.len() > 50 || fields.values().any(Vec::is_empty) {
        return Err(Problem::invalid("name 1 to 50 `fields`, each with values"));
    }
    let wanted: BTreeMap<String, Vec<String>> = fields
        .into_iter()
        .map(|(field, values)| (field, values.iter().map(text).collect()))
        .collect();
    let db = &call.app.store.db;
    let query = AlertQuery {
        rules: vec![call.part("id").to_owned()],
        ..AlertQuery::default()
    };
    let mut told = Hidden {
        hidden: 0,
        true_positives: 0,
        looked_at: 0,
        alerts: db.count_alerts(&query)?,
        examples: Vec::new(),
    };
    let deadline = Clock::now() + TIME;
    let mut cursor = None;
    loop {
        let page = db.search(&query, AlertSort::Time, false, cursor.as_ref(), 200)?;
        for record in &page.alerts {
            told.looked_at += 1;
            // One that retention removes meanwhile is left out.
            let Ok(whole) = db.alert(&record.alert.id) else {
                continue;
            };
            let document: Value = serde_json::from_slice(&whole.alert.document).unwrap_or_default();
            if !is_hidden(&document, &wanted) {
                continue;
            }
            told.hidden += 1;
            told.true_positives += u64::from(record.verdict == Some(Verdict::TruePositive));
            if told.examples.len() < TOLD {
                told.examples.push(Alert::from(record));
            }
        }
        match page.next {
            Some(next) if told.looked_at < LOOKED as u64 && Clock::now() < deadline => cursor = Some(next),
            _ => return Answer::json(&told),
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Whether an event of an alert has all these values; of an alert that holds no events, the alert itself.
fn is_hidden(document: &Value, wanted: &BTreeMap<String, Vec<String>>) -> bool {
    let has = |document: &Value| {
        wanted.iter().all(|(field, values)| {
            let own = lookup(document, field);
            own.iter()
                .any(|own| values.iter().any(|value| own.eq_ignore_ascii_case(value)))
        })
    };
    let mut events = events_of(document).peekable();
    match events.peek() {
        Some(_) => events.any(has),
        None => has(document),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_event_has_all_values() {
        let document = json!({"neph": {"alert": {"steps": [
            {"events": [{"document": {"host": {"name": "web-1"}, "process.name": "curl"}}]},
            {"events": [{"document": {"host": {"name": "web-2"}, "process.name": "wget"}}]},
        ]}}});
        let wanted = |pairs: &[(&str, &[&str])]| {
            pairs
                .iter()
                .map(|(field, values)| {
                    let values = values.iter().map(|value| (*value).to_owned()).collect();
                    ((*field).to_owned(), values)
                })
                .collect()
        };
        assert!(is_hidden(
            &document,
            &wanted(&[("host.name", &["other", "web-1"]), ("process.name", &["curl"])])
        ));
        assert!(!is_hidden(
            &document,
            &wanted(&[("host.name", &["web-1"]), ("process.name", &["wget"])])
        ));
        assert!(is_hidden(
            &json!({"host.name": "x"}),
            &wanted(&[("host.name", &["X"])])
        ));
    }
}
