//! Rule files that are written from outside: what is proposed is checked, its tests are run, and the difference is shown; engineers write it.
//!
//! They stand in a folder of their own, each with the file of its tests beside it. The text is the truth: it is what was sent.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use neph_diag::has_errors;
use neph_rules::rule_tests::parse_test_file;
use neph_rules::{RuleState, load_with};
use neph_runtime::rule_tests::TestRunner;
use neph_store::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::app::{App, rule_folder};
use crate::edits::{check, file_difference, hash, read, records, replace};
use crate::problem::Problem;
use crate::proof::Case;
use crate::route::{Answer, Call, Route, Verb, schema_of};
use crate::scratch::Scratch;

pub(crate) static ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/rule-files",
        Role::Viewer,
        "rule_files.list",
        "The rule files that were written here, by name.",
        schema_of::<Names>,
        list,
    ),
    Route::get(
        "/api/v1/rule-files/{name}",
        Role::Viewer,
        "rule_files.get",
        "A rule file that was written here, with its tests.",
        schema_of::<Text>,
        get,
    ),
    Route::post(
        "/api/v1/rule-files/{name}/proposal",
        Role::Engineer,
        "rule_files.propose",
        "What writing a rule file would change: the difference, the rules in it, what is wrong with it, and how its tests go.",
        schema_of::<Proposal>,
        propose,
    )
    .with_body(schema_of::<New>)
    .heavy(),
    Route::post(
        "/api/v1/rule-files/{name}",
        Role::Engineer,
        "rule_files.write",
        "Writes a rule file and its tests; its rules run from then on.",
        schema_of::<Text>,
        write,
    )
    .with_verb(Verb::Put)
    .with_body(schema_of::<New>)
    .heavy(),
    Route::post(
        "/api/v1/rule-files/{name}",
        Role::Engineer,
        "rule_files.remove",
        "Takes a rule file and its tests away.",
        schema_of::<Removed>,
        remove,
    )
    .with_verb(Verb::Delete),
];

/// Longest text, in bytes.
const LONGEST: usize = 512 << 10;
/// What people call the file.
const WHAT: &str = "the rule file";
/// Names that are told.
const MOST: usize = 10_000;
/// Endings of rule files that can be written.
const ENDINGS: [&str; 3] = ["toml", "yml", "yaml"];

/// A rule file to be written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct New {
    /// The rule, in Elastic's form (`.toml`) or Sigma's (`.yml`).
    text: String,
    /// Its tests (`docs/rule-tests.md`); those that are there stay where it is null.
    #[serde(default)]
    tests: Option<String>,
    /// `hash` of the text that this one was made from; null where there was none.
    #[serde(default)]
    base: Option<String>,
}

/// A rule file.
#[derive(Debug, Serialize, JsonSchema)]
struct Text {
    /// Its name.
    name: String,
    /// Its path.
    file: String,
    /// The text.
    text: String,
    /// A hash of the text.
    hash: String,
    /// Its tests; null where there are none.
    tests: Option<String>,
    /// Ids of its rules; empty where they are not known yet.
    rules: Vec<String>,
}

/// Names of rule files.
#[derive(Debug, Serialize, JsonSchema)]
struct Names {
    /// In alphabetical order.
    names: Vec<String>,
    /// The folder that they stand in.
    folder: String,
}

/// What writing would change.
#[derive(Debug, Serialize, JsonSchema)]
struct Proposal {
    /// The file.
    file: String,
    /// The difference, as `diff -u` writes it; empty where nothing changes.
    diff: String,
    /// `hash` of the text that is there; null where there is none.
    base: Option<String>,
    /// Whether it can be written.
    valid: bool,
    /// The rules in it.
    rules: Vec<Proposed>,
    /// What is wrong or doubtful, with its place.
    diagnostics: Vec<Value>,
    /// What is wrong with the tests, with its place in their text.
    test_diagnostics: Vec<Value>,
    /// How the tests go.
    cases: Vec<Case>,
}

/// A rule that is proposed.
#[derive(Debug, Serialize, JsonSchema)]
struct Proposed {
    /// Its id.
    id: Option<String>,
    /// Its name.
    name: Option<String>,
    /// `active`, `degraded` or `rejected`.
    state: String,
    /// Why it is degraded.
    reasons: Vec<String>,
}

/// A rule file that was taken away.
#[derive(Debug, Serialize, JsonSchema)]
struct Removed {
    /// Its name.
    name: String,
}

/// The file of a name, and that of its tests. The name is one of a few letters, so that it leads nowhere else.
fn paths(folder: &Path, name: &str) -> Result<(PathBuf, PathBuf), Problem> {
    let wrong = || {
        Problem::invalid(
            "the name of a rule file is 1 to 64 lower-case letters, digits, `-` and `_`, and `.toml`, `.yml` or `.yaml`",
        )
    };
    let (stem, ending) = name.rsplit_once('.').ok_or_else(wrong)?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    if stem.is_empty()
        || stem.len() > 64
        || !stem.bytes().all(plain)
        || stem.starts_with('-')
        || !ENDINGS.contains(&ending)
    {
        return Err(wrong());
    }
    Ok((folder.join(name), folder.join(format!("{stem}.test.yaml"))))
}

fn list(call: &Call<'_>) -> Result<Answer, Problem> {
    let folder = rule_folder(call.app.data_folder());
    let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .take(MOST)
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| paths(&folder, name).is_ok())
        .collect();
    names.sort();
    Answer::json(&Names {
        names,
        folder: folder.display().to_string(),
    })
}

fn get(call: &Call<'_>) -> Result<Answer, Problem> {
    let name = call.part("name");
    let (path, tests) = paths(&rule_folder(call.app.data_folder()), name)?;
    let text = read(&path, WHAT)?.ok_or_else(|| Problem::missing("rule file", name))?;
    Answer::json(&Text {
        name: name.to_owned(),
        file: path.display().to_string(),
        hash: hash(&text),
        text,
        tests: read(&tests, WHAT)?,
        rules: rules_in(call.app, &path),
    })
}

/// Ids of the rules that run of a file.
fn rules_in(app: &App, path: &Path) -> Vec<String> {
    let shown = app.rules();
    let report = &shown.set.report;
    let in_file =
        |rule: &&neph_rules::RuleReport| report.files.get(rule.file).is_some_and(|file| file.path == path);
    let rules = report.rules.iter().filter(in_file);
    rules.filter_map(|rule| rule.id.clone()).collect()
}

/// Checks a text as it would be loaded, and runs its tests.
fn judge(call: &Call<'_>, name: &str, new: &New) -> Result<Proposal, Problem> {
    let length = new.text.len().max(new.tests.as_ref().map_or(0, String::len));
    if length > LONGEST {
        return Err(Problem::invalid(format!(
            "the rule file or its tests are longer than {LONGEST} bytes"
        )));
    }
    let app = call.app;
    let failed = |error: std::io::Error| Problem::failed(format!("the rule file cannot be checked: {error}"));
    let (path, tests_path) = paths(&rule_folder(app.data_folder()), name)?;
    let before = read(&path, WHAT)?;
    let scratch = Scratch::new(app).map_err(failed)?;
    let (trial, trial_tests) = paths(scratch.path(), name)?;
    std::fs::write(&trial, &new.text).map_err(failed)?;
    let shown = app.rules();
    let set = load_with(&[&trial], &shown.files.options);
    let report = &set.report;
    let display = path.display().to_string();
    let is_broken = report.files.iter().any(|file| has_errors(&file.diagnostics));
    let mut valid = !is_broken && !report.rules.is_empty() && report.failures.is_empty();
    let files = report.files.iter();
    let mut diagnostics: Vec<Value> = files
        .flat_map(|file| records(&file.diagnostics, &display, &new.text))
        .collect();
    valid &= report.rules.iter().all(|rule| rule.state != RuleState::Rejected);
    if report.rules.is_empty() && diagnostics.is_empty() {
        diagnostics.push(said("there is no rule in it"));
    }
    for id in taken(
        app,
        &path,
        report.rules.iter().filter_map(|rule| rule.id.as_deref()),
    ) {
        valid = false;
        diagnostics.push(said(&format!("there is another rule with the id `{id}`")));
    }
    let tests = match &new.tests {
        Some(tests) => Some(tests.clone()),
        None => read(&tests_path, WHAT)?,
    };
    let (mut cases, mut test_diagnostics) = (Vec::new(), Vec::new());
    if let Some(tests) = tests.filter(|_| valid) {
        std::fs::write(&trial_tests, &tests).map_err(failed)?;
        let file = parse_test_file(&trial_tests, tests);
        let shown_as = tests_path.display().to_string();
        test_diagnostics = records(&file.diagnostics, &shown_as, &file.text);
        let in_time = |_: &str| !call.cancel.load(std::sync::atomic::Ordering::Relaxed);
        cases = TestRunner::default()
            .run(&file, in_time)
            .iter()
            .map(Case::from)
            .collect();
    }
    Ok(Proposal {
        diff: file_difference(name, before.as_deref(), &new.text),
        base: before.as_deref().map(hash),
        file: display,
        valid,
        rules: report
            .rules
            .iter()
            .map(|rule| Proposed {
                id: rule.id.clone(),
                name: rule.name.clone(),
                state: crate::wire::word(&rule.state),
                reasons: rule.reasons.iter().map(ToString::to_string).collect(),
            })
            .collect(),
        diagnostics,
        test_diagnostics,
        cases,
    })
}

/// A mistake that has no place in the text.
fn said(message: &str) -> Value {
    serde_json::json!({ "severity": "error", "code": "", "message": message })
}

/// Those of these ids that rules of other files have.
fn taken<'i>(app: &App, path: &Path, ids: impl Iterator<Item = &'i str>) -> BTreeSet<&'i str> {
    let shown = app.rules();
    let report = &shown.set.report;
    let elsewhere: BTreeSet<&str> = report
        .rules
        .iter()
        .filter(|rule| report.files.get(rule.file).is_none_or(|file| file.path != path))
        .filter_map(|rule| rule.id.as_deref())
        .collect();
    ids.filter(|id| elsewhere.contains(id)).collect()
}

fn propose(call: &Call<'_>) -> Result<Answer, Problem> {
    let new: New = call.body()?;
    Answer::json(&judge(call, call.part("name"), &new)?)
}

fn write(call: &Call<'_>) -> Result<Answer, Problem> {
    let new: New = call.body()?;
    let name = call.part("name");
    let (path, tests_path) = paths(&rule_folder(call.app.data_folder()), name)?;
    // One writer at a time: between the look and the rename nobody else writes.
    let _alone = call.app.writing();
    let mut proposal = judge(call, name, &new)?;
    check(
        WHAT,
        (proposal.base.as_deref(), new.base.as_deref()),
        proposal.valid,
        &mut proposal.diagnostics,
    )?;
    call.about(format!("{name} {}", proposal.diff));
    let failed = |error: std::io::Error| Problem::failed(format!("the rule file cannot be written: {error}"));
    // The tests first: whoever sees the rule sees them, too.
    if let Some(tests) = &new.tests {
        replace(&tests_path, tests.as_bytes()).map_err(failed)?;
    }
    replace(&path, new.text.as_bytes()).map_err(failed)?;
    Answer::json(&Text {
        name: name.to_owned(),
        file: proposal.file,
        hash: hash(&new.text),
        text: new.text,
        tests: new.tests,
        rules: proposal.rules.into_iter().filter_map(|rule| rule.id).collect(),
    })
}

fn remove(call: &Call<'_>) -> Result<Answer, Problem> {
    let name = call.part("name");
    let (path, tests) = paths(&rule_folder(call.app.data_folder()), name)?;
    let _alone = call.app.writing();
    match std::fs::remove_file(&path) {
        Ok(()) => {
            // There may be none.
            let _ = std::fs::remove_file(tests);
            Answer::json(&Removed {
                name: name.to_owned(),
            })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Problem::missing("rule file", name))
        }
        Err(error) => Err(Problem::failed(format!(
            "the rule file cannot be removed: {error}"
        ))),
    }
}
