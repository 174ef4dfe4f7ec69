//! The executable cases of the EQL conformance corpus, when it lies beside the project (or where `NEPH_SHARED` says).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use neph_diag::has_errors;
use neph_engine::{
    Emit, Fetch, Match, Matcher, OperatorConfig, Operators, Origin, Outcome, Program, Record, apply_limits,
    sort_matches,
};
use neph_eql::{CompileOptions, compile};
use neph_event::{Instant, Schema, Value};
use neph_plan::{Plan, Query};
use serde_json::Value as Json;

/// 2026-01-01, for queries that say `now`.
const NOW: i64 = 1_767_225_600_000;

/// Fewer than this would mean that cases were lost on the way.
const AT_LEAST: usize = 300;

fn corpus() -> PathBuf {
    let shared = std::env::var_os("NEPH_SHARED").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    shared.unwrap_or(beside).join("corpora/eql")
}

/// A data set: its mapping and its records.
struct Dataset {
    schema: Schema,
    records: Vec<Vec<u8>>,
}

impl Dataset {
    fn read(folder: &Path, name: &str) -> Result<Self, String> {
        let text = |end: &str| {
            let path = folder.join("datasets").join(format!("{name}.{end}"));
            std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
        };
        let schema =
            Schema::from_mapping(&text("mapping.json")?).map_err(|error| format!("{name}: {error}"))?;
        let records = text("ndjson")?
            .lines()
            .map(|line| line.as_bytes().to_vec())
            .collect();
        Ok(Self { schema, records })
    }
}

/// What is compared: ids by row (`null` for a step that did not happen), and join keys as text.
#[derive(Debug, PartialEq)]
struct Rows {
    ids: Json,
    keys: Json,
}

/// How a case is run; the result must not depend on it.
#[derive(Clone, Copy, Debug)]
struct Manner {
    emit: Emit,
    reversed: bool,
}

fn find(
    plan: &Plan,
    dataset: &Dataset,
    max_samples_per_key: u32,
    manner: Manner,
) -> Result<Vec<Match>, String> {
    let (program, errors) = Program::compile([plan]);
    if let Some(error) = errors.first() {
        return Err(format!("the plan cannot run: {error}"));
    }
    let config = OperatorConfig {
        emit: manner.emit,
        max_samples_per_key,
        ..OperatorConfig::default()
    };
    let mut matcher = Matcher::new(Arc::new(program));
    let mut operators = Operators::new(&[plan], &config);
    let mut outcomes = Vec::new();
    let mut order: Vec<(usize, &Vec<u8>)> = dataset.records.iter().enumerate().collect();
    if manner.reversed {
        order.reverse();
    }
    for (number, document) in order {
        matcher
            .read(document)
            .map_err(|error| format!("record {}: {error}", number + 1))?;
        let position = number as u64;
        let origin = Origin {
            source: "corpus".into(),
            line: position + 1,
        };
        let record = Record {
            document,
            id: None,
            index: None,
            position,
            origin: &origin,
        };
        let mut steps = Vec::new();
        matcher.matches(&record, |step| steps.push(step));
        steps
            .into_iter()
            .for_each(|step| operators.push(step, &mut outcomes));
        if manner.emit == Emit::AtOnce {
            operators.advance(Instant::from_millis(i64::MIN), &mut outcomes);
        }
    }
    operators.finish(&mut outcomes);
    let mut standing: Vec<Match> = Vec::new();
    for outcome in outcomes {
        match outcome {
            Outcome::Found(found) => standing.push(found),
            Outcome::Retracted(gone) => {
                let gone = (ids(&gone), gone.keys.clone());
                let place = standing
                    .iter()
                    .position(|found| (ids(found), found.keys.clone()) == gone);
                standing.remove(place.ok_or("something was taken back that had not been told")?);
            }
        }
    }
    sort_matches(&mut standing);
    Ok(standing)
}

fn ids(found: &Match) -> Json {
    found
        .events
        .iter()
        .map(|(_, event)| event.as_ref().map(|event| event.id().to_string()))
        .collect()
}

/// Dates among the join keys of a sample print as milliseconds, in a sequence as ISO text.
fn key_text(key: &Value, in_sample: bool) -> String {
    match key {
        Value::Date(instant) if in_sample => instant.as_millis().to_string(),
        other => other.to_string(),
    }
}

fn rows(plan: &Plan, found: &[Match]) -> Rows {
    match plan.query {
        Query::Events(_) => {
            let id = |found: &Match| {
                found
                    .events
                    .iter()
                    .find_map(|(_, event)| Some(event.as_ref()?.id().to_string()))
            };
            Rows {
                ids: found.iter().filter_map(id).collect(),
                keys: Json::Null,
            }
        }
        _ => {
            let in_sample = matches!(plan.query, Query::Sample(_));
            let keys = |found: &Match| -> Json {
                found
                    .keys
                    .iter()
                    .map(|key| key.as_ref().map(|key| key_text(key, in_sample)))
                    .collect()
            };
            Rows {
                ids: found.iter().map(ids).collect(),
                keys: found.iter().map(keys).collect(),
            }
        }
    }
}

/// Runs a case; says why it failed.
fn run(case: &Json, dataset: &Dataset) -> Result<(), String> {
    let (query, params, expect) = (
        case["query"].as_str().unwrap_or_default(),
        &case["params"],
        &case["expect"],
    );
    let mut schema = dataset.schema.clone();
    if let Some(tiebreaker) = params.get("tiebreaker_field") {
        schema.tiebreaker_field = tiebreaker.as_str().map(Into::into);
    }
    let compiled = compile(query, &CompileOptions::new(&schema, Instant::from_millis(NOW)));
    if has_errors(&compiled.diagnostics) {
        let messages: Vec<&str> = compiled
            .diagnostics
            .iter()
            .map(|diagnostic| diagnostic.message.as_str())
            .collect();
        return Err(format!("refused: {}", messages.join("; ")));
    }
    let plan = compiled.plan.ok_or("no plan, and no error")?;
    let max_samples_per_key = params["max_samples_per_key"]
        .as_u64()
        .and_then(|number| u32::try_from(number).ok());
    let size = params["size"].as_u64().unwrap_or(10);
    let is_sequence = matches!(plan.query, Query::Sequence(_));
    let partial = params["allow_partial_sequence_results"]
        .as_bool()
        .unwrap_or(false);
    let fails = !plan.failing_indices.is_empty();
    if params["expect_shard_failures"]
        .as_bool()
        .is_some_and(|expected| expected != fails)
    {
        return Err(format!("failing indices: {:?}", plan.failing_indices));
    }
    let mut before: Option<Rows> = None;
    for (emit, reversed) in [
        (Emit::WhenFinal, false),
        (Emit::WhenFinal, true),
        (Emit::AtOnce, false),
        (Emit::AtOnce, true),
    ] {
        if matches!(plan.query, Query::Sample(_)) && emit == Emit::AtOnce {
            // Which events a sample takes is not defined, and told at once they are other ones.
            continue;
        }
        let manner = Manner { emit, reversed };
        let mut found = find(&plan, dataset, max_samples_per_key.unwrap_or(1), manner)?;
        if is_sequence && fails && !partial {
            found.clear();
        }
        let all = rows(&plan, &found);
        if before.as_ref().is_some_and(|before| *before != all) {
            return Err(format!(
                "{manner:?} gives {}\n  instead of {}",
                all.ids,
                before.map(|rows| rows.ids).unwrap_or_default()
            ));
        }
        let fetches: &[Fetch] = match (&plan.query, params["result_position"].as_str()) {
            (Query::Sample(_), _) | (_, Some("head")) => &[Fetch::Head],
            (_, Some(position)) if position.starts_with("either") => &[Fetch::Head, Fetch::Tail],
            _ => &[Fetch::Tail],
        };
        for fetch in fetches {
            let kept = rows(&plan, &apply_limits(found.clone(), &plan.limits, size, *fetch));
            compare(&kept, expect).map_err(|reason| format!("{fetch:?}: {reason}"))?;
        }
        before = Some(all);
    }
    Ok(())
}

fn compare(kept: &Rows, expect: &Json) -> Result<(), String> {
    let exact = ["events", "sequences", "samples"]
        .iter()
        .find_map(|kind| expect.get(*kind));
    let any_of = expect.get("samples_any_of").and_then(Json::as_array);
    let is_right = match (exact, any_of) {
        (Some(rows), _) => *rows == kept.ids,
        (None, Some(choices)) => choices.contains(&kept.ids),
        (None, None) => return Err("nothing is expected".to_owned()),
    };
    if !is_right {
        return Err(format!("expected {expect}\n  found    {}", kept.ids));
    }
    match expect.get("join_keys") {
        Some(keys) if *keys != kept.keys => {
            Err(format!("expected keys {keys}\n  found         {}", kept.keys))
        }
        _ => Ok(()),
    }
}

#[test]
fn executable_cases() {
    let folder = corpus();
    if !folder.is_dir() {
        eprintln!("skipped: no corpus at {}", folder.display());
        return;
    }
    let mut datasets: BTreeMap<String, Dataset> = BTreeMap::new();
    let (mut passed, mut failures) = (0, Vec::new());
    for file in ["cases.jsonl", "derived.jsonl"] {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        for line in text.lines() {
            let case: Json = serde_json::from_str(line).unwrap();
            let kinds = ["events", "sequences", "samples", "samples_any_of"];
            let Some(name) = case["dataset"].as_str() else {
                continue;
            };
            if !kinds.iter().any(|kind| case["expect"].get(*kind).is_some()) {
                continue;
            }
            if !datasets.contains_key(name) {
                datasets.insert(name.to_owned(), Dataset::read(&folder, name).unwrap());
            }
            match run(&case, &datasets[name]) {
                Ok(()) => passed += 1,
                Err(reason) => failures.push(format!("{}\n  {}\n  {reason}", case["id"], case["query"])),
            }
        }
    }
    eprintln!("{passed} cases passed, {} failed", failures.len());
    assert!(
        failures.is_empty(),
        "{} cases failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert!(passed >= AT_LEAST, "{passed} cases");
}
