//! From an alert to a test of its rule: its events and what is expected of them, in the form that `neph rules test` reads
//! (`docs/rule-tests.md`).

use std::path::{Path, PathBuf};

use neph_rules::rule_tests::Setting;
use neph_rules::{Alert, Rule, RuleSeverity, is_builtin};
use neph_runtime::rule_tests::{SavedTest, file_name, save};
use neph_store::{AlertRecord, Role, Severity};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::edits::replace;
use crate::problem::Problem;
use crate::route::{Answer, Call, Route, Verb, schema_of};

pub(crate) static ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/alerts/{id}/case",
        Role::Viewer,
        "cases.get",
        "An alert as a test of its rule, with where it would be written, and whether it passes.",
        schema_of::<Case>,
        get,
    )
    .heavy(),
    Route::post(
        "/api/v1/alerts/{id}/case",
        Role::Engineer,
        "cases.write",
        "Writes an alert as a test beside its rule, behind the tests that are there; of a built-in rule, into `tests` of the data folder.",
        schema_of::<Case>,
        write,
    )
    .with_verb(Verb::Put)
    .heavy(),
];

/// Largest file of tests that one is added to, in bytes.
const LONGEST: u64 = 16 << 20;

/// A test.
#[derive(Debug, Serialize, JsonSchema)]
struct Case {
    /// The text of the test file.
    text: String,
    /// Where it is written.
    file: String,
    /// What keeps it from passing as it is; empty if it passes.
    failures: Vec<String>,
    /// Whether it stands there.
    written: bool,
}

/// What an alert of the store says, as the rules tell it.
fn told(record: &AlertRecord) -> Alert {
    let alert = &record.alert;
    let document: Map<String, Value> = serde_json::from_slice(&alert.document).unwrap_or_default();
    Alert {
        id: alert.id.clone(),
        rule_id: alert.rule_id.clone(),
        rule_name: alert.rule_name.clone(),
        severity: match alert.severity {
            Severity::Low => RuleSeverity::Low,
            Severity::Medium => RuleSeverity::Medium,
            Severity::High => RuleSeverity::High,
            Severity::Critical => RuleSeverity::Critical,
        },
        risk_score: alert.risk_score,
        reason: alert.reason.clone(),
        first: alert.first,
        last: alert.last,
        run_time: Some(alert.time),
        event_ids: Vec::new(),
        document: document.into(),
    }
}

/// Where the test of a rule's alert goes: beside the rule, or, where that is part of the program, into the data folder.
fn place(call: &Call<'_>, alert: &Alert, rule: &Rule) -> PathBuf {
    let path = &rule.origin.path;
    match is_builtin(path) {
        true => {
            let data = call.app.data_folder();
            data.join("tests").join(file_name(alert))
        }
        false => {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("rule");
            let ending = |ending: &str| path.with_file_name(format!("{stem}.test.{ending}"));
            let other = ending("yml");
            if other.is_file() { other } else { ending("yaml") }
        }
    }
}

fn made(call: &Call<'_>) -> Result<(SavedTest, PathBuf), Problem> {
    let record = call.app.store.db.alert(call.part("id"))?;
    let alert = told(&record);
    let shown = call.app.rules();
    let rule = shown
        .set
        .all()
        .into_iter()
        .filter_map(|(_, rule)| rule)
        .find(|rule| rule.id == alert.rule_id)
        .ok_or_else(|| Problem::missing("rule", &alert.rule_id))?;
    let path = place(call, &alert, rule);
    // The ways to other files begin in its folder, so that has to be there; of a rule's own file it is.
    if let Some(folder) = path.parent().filter(|_| is_builtin(&rule.origin.path)) {
        std::fs::create_dir_all(folder)
            .map_err(|error| Problem::failed(format!("`{}` cannot be made: {error}", folder.display())))?;
    }
    let options = &shown.files.options;
    // What is made an exception of here later is none of the test's concern.
    let mut overlays = options.overlays.clone();
    overlays.retain(|overlay| *overlay != call.app.overlay_folder);
    let setting = Setting {
        rules: shown.files.paths.clone(),
        overlays,
        lists: options.lists.clone(),
        mappings: options.mappings.clone(),
        indicators: options.indicators.clone(),
    };
    let test = save(&alert, rule, &setting, &path).ok_or_else(|| {
        Problem::invalid(
            "the alert stands for many and holds none of their events, so no test can be made of it",
        )
    })?;
    Ok((test, path))
}

fn get(call: &Call<'_>) -> Result<Answer, Problem> {
    let (test, path) = made(call)?;
    let before = read(&path)?;
    Answer::json(&Case {
        written: before.contains(&test.text),
        text: test.text,
        file: path.display().to_string(),
        failures: test.failures,
    })
}

fn read(path: &Path) -> Result<String, Problem> {
    match std::fs::metadata(path) {
        Ok(found) if found.len() > LONGEST => {
            return Err(Problem::conflict(format!("`{}` is too large", path.display())));
        }
        _ => {}
    }
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(Problem::failed(format!(
            "`{}` cannot be read: {error}",
            path.display()
        ))),
    }
}

fn write(call: &Call<'_>) -> Result<Answer, Problem> {
    let (test, path) = made(call)?;
    let failed =
        |error: std::io::Error| Problem::failed(format!("`{}` cannot be written: {error}", path.display()));
    let _alone = call.app.writing();
    let before = read(&path)?;
    if !before.contains(&test.text) {
        // A test file holds several documents; what is there stays as it is.
        let text = match before.trim_end() {
            "" => test.text.clone(),
            before => format!("{before}\n---\n{}", test.text),
        };
        replace(&path, text.as_bytes()).map_err(failed)?;
    }
    call.about(format!("{} {}", call.part("id"), path.display()));
    Answer::json(&Case {
        text: test.text,
        file: path.display().to_string(),
        failures: test.failures,
        written: true,
    })
}
