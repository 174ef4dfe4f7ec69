//! Rules: the list, one of them, the coverage of ATT&CK.

use std::collections::BTreeMap;
use std::sync::Arc;

use neph_diag::{SourceFile, render};
use neph_event::Instant;
use neph_rules::catalogue::{Entry, related};
use neph_rules::describe;
use neph_rules::matrix::PLATFORMS;
use neph_store::{AlertQuery, Facet, Role, StoreError, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::app::{App, Listed, Shown};
use crate::edits::hash;
use crate::execution::last_evaluated;
use crate::known::{Cost, Costs, Tested};
use crate::problem::Problem;
use crate::route::{Answer, Call, Route, schema_of};
use crate::when::now;

pub(crate) static ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/rules",
        Role::Viewer,
        "rules.list",
        "All rules that were found, with their state, tests, alerts, and how often analysts found them right.",
        schema_of::<RuleList>,
        list,
    ),
    Route::get(
        "/api/v1/rules/{id}",
        Role::Viewer,
        "rules.get",
        "A rule whole: its text, its plan in words, the fields it reads, its diagnostics.",
        schema_of::<Value>,
        get,
    ),
    Route::get(
        "/api/v1/overlays",
        Role::Viewer,
        "rules.overlays",
        "The overlays, with the rules that each changes and what is wrong with it.",
        schema_of::<Value>,
        overlays,
    ),
    Route::get(
        "/api/v1/coverage",
        Role::Viewer,
        "coverage.matrix",
        "Techniques of ATT&CK with the rules for them, and what is missing.",
        schema_of::<Value>,
        coverage,
    )
    .with_query(&[schema_of::<Platforms>])
    .heavy(),
    Route::get(
        "/api/v1/lists",
        Role::Viewer,
        "lists.list",
        "The typed lists.",
        schema_of::<Lists>,
        lists,
    ),
];

/// Values that are counted of a facet at most.
const MOST: u32 = 100_000;
/// Alerts of so long ago are counted.
const RECENT: i128 = 7 * 86_400 * 1_000_000_000;
/// Related rules that are named.
const RELATED: usize = 8;

/// The rules.
#[derive(Debug, Serialize, JsonSchema)]
struct RuleList {
    /// In the order of loading.
    rules: Vec<RuleRow>,
}

/// A rule in the list.
#[derive(Debug, Serialize, JsonSchema)]
struct RuleRow {
    /// Its id, as far as it could be read.
    id: Option<String>,
    /// Its name.
    name: Option<String>,
    /// `active`, `degraded` or `rejected`.
    state: String,
    /// Why it is degraded or rejected, a sentence each.
    reasons: Vec<String>,
    /// `eql`, `kuery`, `lucene`, `sigma` …
    language: Option<String>,
    /// The word of its type.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// `low`, `medium`, `high` or `critical`.
    severity: Option<String>,
    /// 0 to 100.
    risk_score: Option<u8>,
    /// Tactics of ATT&CK, by id.
    tactics: Vec<String>,
    /// Techniques of ATT&CK, by id.
    techniques: Vec<String>,
    /// The sources that feed it.
    sources: Vec<String>,
    /// Its tags.
    tags: Vec<String>,
    /// Fields that it reads and nothing fills.
    fields_missing: Vec<String>,
    /// Whether its file turns it on.
    enabled: Option<bool>,
    /// Its file.
    file: String,
    /// Cases of its tests that want an alert, and that want none; null where it has no tests.
    tests: Option<TestCounts>,
    /// How its tests went when they were run last; null where they were not, or its file changed since.
    tested: Option<Tested>,
    /// What it costs; null where that was not measured.
    cost: Option<Cost>,
    /// When it was held against a record last, to the minute, of the last day; null where it was not.
    last_evaluated: Option<String>,
    /// Its alerts of the last seven days.
    alerts: u64,
    /// What analysts found its alerts to be.
    verdicts: Verdicts,
}

/// Cases of a rule's tests.
#[derive(Debug, Serialize, JsonSchema)]
struct TestCounts {
    /// Cases that want an alert.
    attacks: usize,
    /// Cases that want none.
    benign: usize,
}

/// What analysts found alerts to be.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema)]
struct Verdicts {
    /// It was what the rule says.
    true_positive: u64,
    /// It happened, and was allowed.
    benign: u64,
    /// It did not happen.
    false_positive: u64,
    /// True ones among all that have a verdict, 0 to 1; null without verdicts.
    precision: Option<f64>,
}

/// What is counted of rules' alerts.
struct Counted {
    evaluated: BTreeMap<String, Instant>,
    costs: Arc<Costs>,
    recent: BTreeMap<String, u64>,
    verdicts: BTreeMap<String, Verdicts>,
}

fn counted(app: &App) -> Result<Counted, StoreError> {
    let by_rule = |query: &AlertQuery| app.store.db.count_by(query, &Facet::Rule, MOST);
    let recent = by_rule(&AlertQuery {
        from: Some(now().saturating_sub_nanos(RECENT)),
        ..AlertQuery::default()
    })?;
    let mut verdicts: BTreeMap<String, Verdicts> = BTreeMap::new();
    for verdict in [Verdict::TruePositive, Verdict::Benign, Verdict::FalsePositive] {
        let found = by_rule(&AlertQuery {
            verdicts: vec![verdict],
            ..AlertQuery::default()
        })?;
        for (rule, count) in found {
            let own = verdicts.entry(rule).or_default();
            match verdict {
                Verdict::TruePositive => own.true_positive = count,
                Verdict::Benign => own.benign = count,
                Verdict::FalsePositive => own.false_positive = count,
            }
        }
    }
    for own in verdicts.values_mut() {
        let all = own.true_positive + own.benign + own.false_positive;
        #[expect(
            clippy::cast_precision_loss,
            reason = "a share of counts that are far below 2^52"
        )]
        let share = own.true_positive as f64 / all.max(1) as f64;
        own.precision = (all > 0).then_some(share);
    }
    Ok(Counted {
        evaluated: last_evaluated(&app.store, now())?,
        costs: app.known.costs(),
        recent: recent.into_iter().collect(),
        verdicts,
    })
}

fn row(app: &App, shown: &Shown, Listed { entry, tests }: &Listed, counted: &Counted) -> RuleRow {
    let id = entry.rule_id.clone().unwrap_or_default();
    let tests = tests.map(|(attacks, benign)| TestCounts { attacks, benign });
    RuleRow {
        name: entry.name.clone(),
        state: crate::wire::word(&entry.state),
        reasons: entry.reasons.clone(),
        language: entry.language.clone(),
        kind: entry.kind.map(str::to_owned),
        severity: entry.severity.map(|severity| severity.word().to_owned()),
        risk_score: entry.risk_score,
        tactics: entry.tactics.clone(),
        techniques: entry.techniques.clone(),
        sources: entry.sources.clone(),
        tags: entry.tags.clone(),
        fields_missing: entry.fields_missing.clone(),
        enabled: entry.enabled,
        file: entry.file.clone(),
        tests,
        tested: app
            .known
            .tested(&id, || shown.file_of(&id).map(|file| hash(&file.text))),
        cost: counted.costs.rules.get(&id).cloned(),
        last_evaluated: counted.evaluated.get(&id).map(ToString::to_string),
        alerts: counted.recent.get(&id).copied().unwrap_or(0),
        verdicts: counted.verdicts.get(&id).copied().unwrap_or_default(),
        id: entry.rule_id.clone(),
    }
}

fn list(call: &Call<'_>) -> Result<Answer, Problem> {
    let shown = call.app.rules();
    let counted = counted(call.app)?;
    Answer::json(&RuleList {
        rules: shown
            .entries()
            .iter()
            .map(|listed| row(call.app, &shown, listed, &counted))
            .collect(),
    })
}

fn get(call: &Call<'_>) -> Result<Answer, Problem> {
    let id = call.part("id");
    let shown = call.app.rules();
    let set = &shown.set;
    let found = shown
        .entries()
        .iter()
        .zip(set.all())
        .find(|(listed, _)| listed.entry.rule_id.as_deref() == Some(id));
    let Some((listed, (report, rule))) = found else {
        return Err(Problem::missing("rule", id));
    };
    let mut value = json!(row(call.app, &shown, listed, &counted(call.app)?));
    let Value::Object(object) = &mut value else {
        return Answer::json(&value);
    };
    if let Some(rule) = rule {
        object.extend(describe::details(rule));
    }
    if let Some(file) = set.report.files.get(report.file) {
        let source = SourceFile {
            name: &file.name,
            text: &file.text,
        };
        let records: Vec<_> = report
            .diagnostics
            .iter()
            .map(|diagnostic| render::record(diagnostic, &source))
            .collect();
        object.insert("diagnostics".into(), json!(records));
        object.insert("source".into(), json!(file.text));
    }
    let all: Vec<Entry> = shown
        .entries()
        .iter()
        .map(|listed| listed.entry.clone())
        .collect();
    let others = related(&listed.entry, &all, RELATED);
    let others: Vec<Value> = others
        .iter()
        .map(|other| json!({ "id": other.rule_id, "name": other.name, "techniques": other.techniques }))
        .collect();
    object.insert("related".into(), json!(others));
    let overlays = set.report.overlays.iter();
    let overlays: Vec<_> = overlays
        .filter(|overlay| overlay.rules.iter().any(|rule| rule == id))
        .collect();
    object.insert("overlays".into(), json!(overlays));
    Answer::json(&value)
}

fn overlays(call: &Call<'_>) -> Result<Answer, Problem> {
    let shown = call.app.rules();
    let set = &shown.set;
    let problems = set.report.beside.iter().flat_map(|file| {
        let source = SourceFile {
            name: &file.name,
            text: &file.text,
        };
        file.diagnostics
            .iter()
            .map(move |diagnostic| render::record(diagnostic, &source))
            .collect::<Vec<_>>()
    });
    Answer::json(&json!({
        "overlays": set.report.overlays,
        "diagnostics": problems.collect::<Vec<_>>(),
    }))
}

/// Which platforms.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Platforms {
    /// Platforms of ATT&CK whose techniques are all shown, beside those that rules name; `IaaS` and `Containers` without it.
    platform: Vec<String>,
}

fn coverage(call: &Call<'_>) -> Result<Answer, Problem> {
    let Platforms { mut platform } = call.query()?;
    if platform.is_empty() {
        platform = PLATFORMS.iter().map(|name| (*name).to_owned()).collect();
    }
    if platform.len() > 20 {
        return Err(Problem::invalid("at most 20 platforms"));
    }
    let matrix = call.app.rules().matrix(platform);
    let fired = call.app.store.db.count_by(
        &AlertQuery {
            from: Some(now().saturating_sub_nanos(RECENT)),
            ..AlertQuery::default()
        },
        &Facet::Technique,
        MOST,
    )?;
    let fired: BTreeMap<String, u64> = fired.into_iter().collect();
    Answer::json(&json!({ "matrix": *matrix, "fired": fired }))
}

/// The typed lists.
#[derive(Debug, Serialize, JsonSchema)]
struct Lists {
    /// By name.
    lists: Vec<ListRow>,
}

/// A typed list.
#[derive(Debug, Serialize, JsonSchema)]
struct ListRow {
    /// Its name.
    name: String,
    /// Its file.
    file: String,
    /// How many entries it has.
    entries: usize,
    /// `exact`, `wildcard`, `cidr` or `regex`.
    #[serde(rename = "type")]
    kind: String,
    /// What it is for.
    description: Option<String>,
    /// Who answers for it.
    owner: Option<String>,
    /// When its entries end to count.
    expires: Option<String>,
    /// Whether that is over.
    is_expired: bool,
    /// Entries whose own time is over.
    expired_entries: usize,
}

fn lists(call: &Call<'_>) -> Result<Answer, Problem> {
    let shown = call.app.rules();
    let rows = shown.set.lists.iter().map(|list| ListRow {
        name: list.name.clone(),
        file: list.path.display().to_string(),
        entries: list.entries.len(),
        kind: list.kind.word().to_owned(),
        description: list.description.clone(),
        owner: list.owner.clone(),
        expires: list.expires.clone(),
        is_expired: list.is_expired,
        expired_entries: list.expired_entries,
    });
    Answer::json(&Lists {
        lists: rows.collect(),
    })
}
