//! Alerts that are made outside of the rules: by comparisons of what was collected, and by checks.

use neph_store::{AlertChange, Commit, Role, StoredAlert};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::problem::Problem;
use crate::route::{Answer, Call, Route, schema_of};

pub(crate) static ROUTES: &[Route] = &[Route::post(
    "/api/v1/findings",
    Role::Engineer,
    "findings.raise",
    "Takes alerts that were made outside of the rules, as `neph baseline compare --format json` gives them, and tells them to the outputs. One that was \
     taken before makes no second.",
    schema_of::<Raised>,
    raise,
)
.with_body(schema_of::<Findings>)];

/// Alerts at most in one request.
const MOST: usize = 500;

/// Alerts, as ECS documents.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Findings {
    /// The documents, at most 500; each says its id (`neph.alert.id` or `event.id`) and its rule (`rule.id`).
    alerts: Vec<Map<String, Value>>,
}

/// What became of them.
#[derive(Debug, Serialize, JsonSchema)]
struct Raised {
    /// Alerts that were not there before.
    raised: usize,
    /// Alerts that were there already.
    repeated: u64,
}

fn raise(call: &Call<'_>) -> Result<Answer, Problem> {
    let findings: Findings = call.body()?;
    if findings.alerts.len() > MOST {
        return Err(Problem::invalid(format!(
            "there are more than {MOST} alerts in the request"
        )));
    }
    let mut alerts = Vec::new();
    for document in findings.alerts {
        let bytes = serde_json::to_vec(&document).map_err(|error| Problem::invalid(error.to_string()))?;
        let stored =
            StoredAlert::from_document(bytes).map_err(|error| Problem::invalid(error.to_string()))?;
        alerts.push(AlertChange::Raised(stored));
    }
    call.about(format!("{} alerts", alerts.len()));
    let commit = Commit {
        now: (call.app.options.now)(),
        alerts,
        outputs: call.app.options.outputs.get(),
        ..Commit::default()
    };
    let committed = call.app.store.db.commit(commit)?;
    Answer::json(&Raised {
        raised: committed.raised.len(),
        repeated: committed.repeated,
    })
}
