//! Alerts counted: by their values, and by time.

use std::collections::BTreeMap;

use neph_event::Instant;
use neph_store::{AlertSort, Facet, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alerts::bounded;
use crate::problem::Problem;
use crate::route::{Answer, Call, Route, schema_of};
use crate::stretches::{length, number, start};
use crate::wire::AlertFilter;

pub(crate) static ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/alerts/facets",
        Role::Viewer,
        "alerts.facets",
        "How many alerts there are of each value.",
        schema_of::<Facets>,
        facets,
    )
    .with_query(&[schema_of::<AlertFilter>, schema_of::<FacetNames>]),
    Route::get(
        "/api/v1/alerts/histogram",
        Role::Viewer,
        "alerts.histogram",
        "How many alerts there are in each stretch of time, by severity or status.",
        schema_of::<Histogram>,
        histogram,
    )
    .with_query(&[schema_of::<AlertFilter>, schema_of::<Stretches>]),
];

/// Values of a facet at most.
const MOST_VALUES: u32 = 1000;

/// What to count.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct FacetNames {
    /// `status`, `severity`, `verdict`, `rule`, `technique`, `tactic`, `assignee`, `tag`, `day`, or an ECS field of entities; several are counted at once.
    #[schemars(
        length(min = 1, max = 20),
        inner(regex(
            pattern = r"^(status|severity|verdict|rule|technique|tactic|assignee|tag|day|[a-z_]+(\.[a-z_]+)+)$"
        ))
    )]
    facet: Vec<String>,
    /// Values of each, 1 to 1000; 20 without it.
    #[schemars(range(min = 1, max = 1000))]
    values: Option<i64>,
}

/// Counts, by what was asked for.
#[derive(Debug, Serialize, JsonSchema)]
struct Facets {
    /// For each facet its values with their counts, most frequent first.
    facets: BTreeMap<String, Vec<FacetValue>>,
}

/// A value and how many alerts have it.
#[derive(Debug, Serialize, JsonSchema)]
struct FacetValue {
    /// The value.
    value: String,
    /// Alerts.
    count: u64,
}

fn facets(call: &Call<'_>) -> Result<Answer, Problem> {
    let query = call.filter()?.store()?;
    let names: FacetNames = call.query()?;
    let values = bounded(names.values, 20, MOST_VALUES, "values")?;
    if names.facet.is_empty() || names.facet.len() > 20 {
        return Err(Problem::invalid(
            "name 1 to 20 facets: `facet=severity&facet=rule`",
        ));
    }
    let mut facets = BTreeMap::new();
    for name in names.facet {
        let facet = match name.as_str() {
            "status" => Facet::State,
            "severity" => Facet::Severity,
            "verdict" => Facet::Verdict,
            "rule" => Facet::Rule,
            "technique" => Facet::Technique,
            "tactic" => Facet::Tactic,
            "assignee" => Facet::Assignee,
            "tag" => Facet::Tag,
            "day" => Facet::Day,
            field if field.contains('.') => Facet::Entity(field.to_owned()),
            other => return Err(Problem::invalid(format!("there is no facet `{other}`"))),
        };
        let counts = call.app.store.db.count_by(&query, &facet, values)?;
        let counts = counts
            .into_iter()
            .map(|(value, count)| FacetValue { value, count });
        facets.insert(name, counts.collect());
    }
    Answer::json(&Facets { facets })
}

/// Which stretches of time, and by what.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Stretches {
    /// `severity` or `status`; `severity` without it.
    #[schemars(extend("enum" = ["severity", "status", null]))]
    by: Option<String>,
    /// How many stretches at most, 1 to 1000; 60 without it. They are as long as they need to be, of a length that people count in.
    #[schemars(range(min = 1, max = 1000))]
    buckets: Option<i64>,
}

/// Counts by time.
#[derive(Debug, Serialize, JsonSchema)]
struct Histogram {
    /// How long a stretch is, in seconds.
    seconds: i64,
    /// The stretches in the order of time, those without alerts included.
    buckets: Vec<Bucket>,
}

/// A stretch of time.
#[derive(Debug, Serialize, JsonSchema)]
struct Bucket {
    /// When it begins.
    from: String,
    /// All its alerts.
    count: u64,
    /// Of these, how many of each severity or status.
    by: BTreeMap<String, u64>,
}

fn histogram(call: &Call<'_>) -> Result<Answer, Problem> {
    let mut query = call.filter()?.store()?;
    let stretches: Stretches = call.query()?;
    let most = i64::from(bounded(stretches.buckets, 60, 1000, "buckets")?);
    let facet = match stretches.by.as_deref() {
        None | Some("severity") => Facet::Severity,
        Some("status") => Facet::State,
        Some(other) => {
            return Err(Problem::invalid(format!(
                "`by` must be `severity` or `status`, not `{other}`"
            )));
        }
    };
    let db = &call.app.store.db;
    // Where no time is given it is that of the alerts that there are.
    let edge = |ascending: bool| -> Result<Option<Instant>, Problem> {
        let page = db.search(&query, AlertSort::Time, ascending, None, 1)?;
        Ok(page.alerts.first().map(|alert| alert.alert.time))
    };
    let first = query.from.map_or_else(|| edge(true), |from| Ok(Some(from)))?;
    let last = query
        .to
        .map_or_else(|| edge(false), |to| Ok(Some(to.saturating_sub_nanos(1))))?;
    let (first, last) = match (first, last) {
        (Some(first), Some(last)) if first <= last => (first.seconds, last.seconds),
        _ => {
            return Answer::json(&Histogram {
                seconds: 0,
                buckets: Vec::new(),
            });
        }
    };
    let length = length(first, last, most);
    query.from.get_or_insert(Instant {
        seconds: first,
        nanos: 0,
    });
    let counts = db.histogram(&query, &facet, length.saturating_mul(1_000_000_000))?;
    let mut found: BTreeMap<i64, BTreeMap<String, u64>> = BTreeMap::new();
    for (from, value, count) in counts {
        found.entry(from.seconds).or_default().insert(value, count);
    }
    let buckets = (0..number(first, last, length)).map(|place| {
        let seconds = start(first, length).saturating_add(place.saturating_mul(length));
        let by = found.remove(&seconds).unwrap_or_default();
        Bucket {
            from: Instant { seconds, nanos: 0 }.to_string(),
            count: by.values().sum(),
            by,
        }
    });
    Answer::json(&Histogram {
        seconds: length,
        buckets: buckets.collect(),
    })
}
