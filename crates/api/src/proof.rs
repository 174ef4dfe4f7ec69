//! Rules proven: their tests run, their cost measured over stored events, and what became of them compared with how their authors
//! wrote them.

use std::sync::atomic::Ordering;
use std::time::Instant as Clock;

use neph_engine::{OperatorConfig, Operators};
use neph_plan::Plan;
use neph_rules::rule_tests::{find_test_files, read_test_file};
use neph_rules::{LoadOptions, RuleSet, load_with};
use neph_runtime::rule_tests::{CaseReport, TestRunner};
use neph_runtime::service::history;
use neph_runtime::{Progress, RunOptions, detect, prepare, profile_report};
use neph_store::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::app::Shown;
use crate::edits::{difference, hash};
use crate::known::{Cost, Costs, Tested};
use crate::problem::Problem;
use crate::route::{Answer, Call, Route, schema_of};
use crate::when::now;
use crate::wire::instant;

pub(crate) static ROUTES: &[Route] = &[
    Route::post(
        "/api/v1/rules/{id}/tests",
        Role::Engineer,
        "rules.test",
        "Runs the tests beside a rule; what is not done when the time of a search is over is left out and told.",
        schema_of::<TestRun>,
        test,
    )
    .heavy(),
    Route::get(
        "/api/v1/costs",
        Role::Viewer,
        "rules.costs",
        "What rules cost, as it was measured last.",
        schema_of::<Costs>,
        |call| Answer::json(&*call.app.known.costs()),
    ),
    Route::post(
        "/api/v1/costs",
        Role::Engineer,
        "rules.measure",
        "Measures what rules cost, over stored events, until these or the time of a search are over.",
        schema_of::<Costs>,
        measure,
    )
    .with_body(schema_of::<Interval>)
    .heavy(),
    Route::get(
        "/api/v1/rules/{id}/changes",
        Role::Viewer,
        "rules.changes",
        "How a rule differs from what its author wrote, by overlays and by changes of its file.",
        schema_of::<Changes>,
        changes,
    ),
];

/// Bytes of state that a measurement may hold.
const MEMORY: usize = 256 << 20;
/// Records that a measurement looks at, about.
const MOST: u64 = 500_000;
const DAY: i128 = 86_400 * 1_000_000_000;

/// How tests went.
#[derive(Debug, Serialize, JsonSchema)]
struct TestRun {
    /// Cases that passed.
    passed: usize,
    /// Cases that did not.
    failed: usize,
    /// Cases that were not run, because time was over.
    skipped: usize,
    /// The test files; none where the rule has no tests.
    files: Vec<String>,
    /// Why a file cannot be read, or what is wrong in it.
    problems: Vec<String>,
    /// The cases.
    cases: Vec<Case>,
}

/// How a case went.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Case {
    /// Its name.
    name: String,
    /// Its line in the test file.
    line: u64,
    /// Whether everything was as expected.
    pub(crate) passed: bool,
    /// What was not.
    failures: Vec<Failure>,
    /// Events that were read.
    events: usize,
    /// Alerts that counted.
    alerts: usize,
    /// Milliseconds that it took.
    millis: u64,
}

/// One thing that is not as expected.
#[derive(Debug, Serialize, JsonSchema)]
struct Failure {
    /// What.
    message: String,
    /// The line of the test file that it is about.
    line: u64,
    /// What explains it, a line each.
    details: Vec<String>,
}

impl From<&CaseReport> for Case {
    fn from(report: &CaseReport) -> Self {
        let failure = |failure: &neph_runtime::rule_tests::CaseFailure| Failure {
            message: failure.message.clone(),
            line: failure.line,
            details: failure.details.clone(),
        };
        Self {
            name: report.name.clone(),
            line: report.line,
            passed: report.passed(),
            failures: report.failures.iter().map(failure).collect(),
            events: report.events,
            alerts: report.alerts,
            millis: u64::try_from(report.elapsed.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl Shown {
    /// The file of a rule, as it was loaded.
    pub(crate) fn file_of(&self, id: &str) -> Option<&neph_rules::RuleFile> {
        let report = &self.set.report;
        let rule = report.rules.iter().find(|rule| rule.id.as_deref() == Some(id))?;
        report.files.get(rule.file)
    }
}

fn test(call: &Call<'_>) -> Result<Answer, Problem> {
    let id = call.part("id");
    let shown = call.app.rules();
    let file = shown.file_of(id).ok_or_else(|| Problem::missing("rule", id))?;
    let deadline = Clock::now() + call.app.limits.query_time;
    let (paths, _) = find_test_files(&[&file.path]);
    let mut run = TestRun {
        passed: 0,
        failed: 0,
        skipped: 0,
        files: paths.iter().map(|path| path.display().to_string()).collect(),
        problems: Vec::new(),
        cases: Vec::new(),
    };
    let mut runner = TestRunner::default();
    for path in &paths {
        let tests = match read_test_file(path) {
            Ok(tests) => tests,
            Err(reason) => {
                run.problems.push(reason);
                continue;
            }
        };
        let wrong = tests.diagnostics.iter();
        run.problems.extend(wrong.map(|found| found.message.clone()));
        let in_time = |_: &str| !call.cancel.load(Ordering::Relaxed) && Clock::now() < deadline;
        let cases = runner.run(&tests, in_time);
        run.skipped += tests.cases.len() - cases.len();
        run.cases.extend(cases.iter().map(Case::from));
    }
    run.passed = run.cases.iter().filter(|case| case.passed).count();
    run.failed = run.cases.len() - run.passed + run.problems.len();
    call.about(format!("{id}: {} passed, {} failed", run.passed, run.failed));
    if run.skipped == 0 {
        let tested = Tested {
            passed: run.passed,
            failed: run.failed,
            at: now().to_string(),
            hash: hash(&file.text),
        };
        call.app.known.note_tested(id, tested);
    }
    Answer::json(&run)
}

/// An interval.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Interval {
    /// Events not before: a time, a day, or a time ago; a day ago without it.
    #[serde(default)]
    from: Option<String>,
    /// Events before; now without it.
    #[serde(default)]
    to: Option<String>,
}

fn measure(call: &Call<'_>) -> Result<Answer, Problem> {
    let interval: Interval = call.body()?;
    let now = now();
    let from = instant(interval.from.as_ref(), now)?.unwrap_or_else(|| now.saturating_sub_nanos(DAY));
    let to = instant(interval.to.as_ref(), now)?.unwrap_or(now);
    if from >= to {
        return Err(Problem::invalid("`from` must be before `to`"));
    }
    let shown = call.app.rules();
    let set = load_with(&shown.files.paths, &shown.files.options);
    let rules = set.rules;
    let program = prepare(set.program);
    let plans: Vec<&Plan> = rules.iter().filter_map(|rule| rule.plan.as_ref()).collect();
    let config = OperatorConfig {
        rule_bytes: MEMORY,
        total_bytes: MEMORY,
        ..OperatorConfig::default()
    };
    let mut operators = Operators::new(&plans, &config);
    let mut reader = history(&call.app.store, from..to, None, None);
    let cancel = reader.cancel_flag();
    let options = RunOptions {
        enrichment: call.app.enrichment(),
        profile: true,
        ..RunOptions::default()
    };
    let deadline = Clock::now() + call.app.limits.query_time;
    let mut is_cut = false;
    let mut watch = |progress: Progress| {
        let is_over = Clock::now() > deadline || progress.records > MOST;
        if is_over || call.cancel.load(Ordering::Relaxed) {
            is_cut = true;
            cancel.store(true, Ordering::Relaxed);
        }
    };
    let detection = detect(
        &mut reader,
        &program,
        &mut operators,
        &options,
        &mut watch,
        &mut |_| (),
    )
    .map_err(|error| Problem::failed(error.to_string()))?;
    let report = profile_report(&detection, &rules, &program)
        .filter(|report| report.events > 0)
        .ok_or_else(|| {
            Problem::invalid("there are no events of this time to measure over; choose another interval")
        })?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "nanoseconds and counts of one run are far below 2^52"
    )]
    let micros = |nanos: u64| nanos as f64 / report.events as f64 / 1000.0;
    let rules = report.rules.iter().map(|rule| {
        let cost = Cost {
            micros: micros(rule.condition_nanos + rule.state_nanos),
            state_bytes: rule.state_bytes,
            share: rule.time_share,
            reasons: rule.reasons.clone(),
        };
        (rule.rule_id.clone(), cost)
    });
    let costs = call.app.known.note_costs(Costs {
        at: now.to_string(),
        events: report.events,
        is_cut,
        rules: rules.collect(),
    });
    Answer::json(&*costs)
}

/// How a rule differs from what its author wrote.
#[derive(Debug, Serialize, JsonSchema)]
struct Changes {
    /// What overlays make different, as `diff -u` of what is in force; empty where nothing is.
    overlays: String,
    /// What its file was before it changed last, while the service ran; null where it did not.
    file: Option<FileChange>,
}

/// How a rule's file changed.
#[derive(Debug, Serialize, JsonSchema)]
struct FileChange {
    /// The file.
    file: String,
    /// When the change was seen.
    at: String,
    /// The difference, as `diff -u` writes it.
    diff: String,
}

fn changes(call: &Call<'_>) -> Result<Answer, Problem> {
    let id = call.part("id");
    let shown = call.app.rules();
    let file = shown.file_of(id).ok_or_else(|| Problem::missing("rule", id))?;
    let files = &shown.files;
    let alone = LoadOptions {
        overlays: Vec::new(),
        ..files.options.clone()
    };
    let author = in_force(&load_with(&[&file.path], &alone), id);
    let here = in_force(&load_with(&[&file.path], &files.options), id);
    let overlays = match author == here {
        true => String::new(),
        false => difference(&author, &here, "author", "in force"),
    };
    let change = call.app.known.before(&file.path).map(|before| FileChange {
        file: file.name.clone(),
        at: before.at.to_string(),
        diff: difference(&before.text, &file.text, "before", "now"),
    });
    Answer::json(&Changes {
        overlays,
        file: change,
    })
}

/// What of a rule is in force and overlays may change, a line each, so that it can be compared.
fn in_force(set: &RuleSet, id: &str) -> String {
    let all = set.all();
    let Some((report, Some(rule))) = all.iter().find(|(report, _)| report.id.as_deref() == Some(id)) else {
        return String::new();
    };
    let mut value = json!({
        "name": rule.name,
        "enabled": rule.enabled,
        "severity": rule.severity,
        "risk_score": rule.risk_score,
        "interval": rule.schedule.interval,
        "from": rule.schedule.from,
        "max_signals": rule.max_signals,
        "suppression": rule.tuning.suppression,
        "query": rule.query.lines().collect::<Vec<_>>(),
    });
    // Of rules that run the exceptions are known.
    let place = set.rules.iter().position(|one| one.id == id);
    let exceptions = set.exceptions.iter().filter(|exception| {
        exception
            .rules
            .iter()
            .any(|rule| usize::try_from(rule.0).ok() == place && place.is_some())
    });
    let exceptions: Vec<_> = exceptions
        .map(|exception| {
            json!({
                "name": exception.name,
                "of": exception.source,
                "upkeep": exception.upkeep,
                "fields": exception.fields.iter().map(|field| field.path.to_string()).collect::<Vec<_>>(),
            })
        })
        .collect();
    if let Some(object) = value.as_object_mut() {
        object.insert("exceptions".into(), json!(exceptions));
        object.insert("state".into(), json!(report.state));
    }
    let mut text = serde_json::to_string_pretty(&value).unwrap_or_default();
    text.push('\n');
    text
}
