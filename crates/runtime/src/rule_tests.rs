//! Runs the tests beside rules: what a case gives goes the way that every event goes, from records through the
//! normaliser, matcher and operators to alerts, with the times that the case states and without a clock.
//!
//! The form is read by [`neph_rules::rule_tests`]. A case that fails says why: which alerts are missing or too many, and for
//! a missing one which step no event satisfied, the event that came closest, and the tests that it failed.

mod events;
mod judge;
mod mutate;
mod replay;
mod save;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use neph_diag::{Severity, has_errors};
use neph_engine::{Matcher, OperatorConfig, Operators, Origin, Program, Record};
use neph_event::Instant;
use neph_plan::Plan;
use neph_rules::alert::Alert;
use neph_rules::rule_tests::{Setting, TestCase, TestFile};
use neph_rules::{AlertFlow, LoadOptions, Rule, RuleSet, RuleState, Told, load_with};

pub use mutate::{MutatedRule, Survivor};
pub use replay::{ReplayedPhase, replay};
pub use save::{SavedTest, file_name, save};

/// How a case went.
#[derive(Clone, Debug)]
pub struct CaseReport {
    /// Its name.
    pub name: String,
    /// Its line in the test file, counted from 1.
    pub line: u64,
    /// What is not as expected; nothing if it passed.
    pub failures: Vec<CaseFailure>,
    /// Events that were read.
    pub events: usize,
    /// Alerts that count.
    pub alerts: usize,
    /// Time that it took, without the loading of rules that another case has loaded.
    pub elapsed: Duration,
}

/// One thing that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseFailure {
    /// What, in lower case without a full stop.
    pub message: String,
    /// The line of the test file that it is about.
    pub line: u64,
    /// What explains it, a line each.
    pub details: Vec<String>,
}

/// Runs cases. Rules that several cases need are loaded once.
#[derive(Debug, Default)]
pub struct TestRunner {
    loaded: Vec<(Setting, Instant, Arc<Loaded>)>,
}

/// Rules, ready to be run.
#[derive(Debug)]
struct Loaded {
    rules: Vec<Arc<Rule>>,
    program: Arc<Program>,
    set: RuleSet,
    /// What is wrong with the rules.
    problems: Vec<String>,
}

/// An event of a case.
#[derive(Debug)]
struct Event {
    /// The text of its document.
    document: Vec<u8>,
    /// The line of the test file that gives it.
    line: u64,
}

impl CaseReport {
    /// Whether everything is as expected.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

impl TestRunner {
    /// Runs the cases of a file whose names `wanted` admits.
    pub fn run(&mut self, file: &TestFile, wanted: impl Fn(&str) -> bool) -> Vec<CaseReport> {
        let cases = file.cases.iter().filter(|case| wanted(&case.name));
        cases.map(|case| self.run_case(&file.path, case)).collect()
    }

    fn run_case(&mut self, path: &Path, case: &TestCase) -> CaseReport {
        let loaded = self.load(&case.setting, case.base);
        let began = Clock::now();
        let mut report = CaseReport {
            name: case.name.clone(),
            line: case.line,
            failures: Vec::new(),
            events: 0,
            alerts: 0,
            elapsed: Duration::ZERO,
        };
        if !loaded.problems.is_empty() {
            report.failures.push(CaseFailure {
                message: "its rules cannot be loaded as they are".into(),
                line: case.line,
                details: loaded.problems.clone(),
            });
        }
        let mut events = Vec::new();
        for given in &case.events {
            if let Err(failure) = events::read(given, case.base, &mut events) {
                report.failures.push(failure);
            }
        }
        // What is missing from the events would only make more failures that tell less.
        if report.failures.is_empty() {
            let alerts = alerts(&loaded.rules, &loaded.program, path, &events);
            let counted = judge::counted(case, &loaded.rules, alerts);
            report.alerts = counted.len();
            report.failures = judge::judge(case, &loaded.rules, &events, &counted);
        }
        report.events = events.len();
        report.elapsed = began.elapsed();
        report
    }

    fn load(&mut self, setting: &Setting, now: Instant) -> Arc<Loaded> {
        let known = self
            .loaded
            .iter()
            .find(|(other, time, _)| other == setting && *time == now);
        if let Some((_, _, loaded)) = known {
            return Arc::clone(loaded);
        }
        let options = LoadOptions {
            overlays: setting.overlays.clone(),
            lists: setting.lists.clone(),
            mappings: setting.mappings.clone(),
            indicators: setting.indicators.clone(),
            now: Some(now),
            ..LoadOptions::default()
        };
        let loaded = Arc::new(Loaded::new(load_with(&setting.rules, &options)));
        self.loaded.push((setting.clone(), now, Arc::clone(&loaded)));
        loaded
    }
}

impl Loaded {
    fn new(mut set: RuleSet) -> Self {
        let report = &set.report;
        let mut problems: Vec<String> = report
            .failures
            .iter()
            .map(|failure| format!("`{}`: {}", failure.path.display(), failure.reason))
            .collect();
        for rule in report
            .rules
            .iter()
            .filter(|rule| rule.state == RuleState::Rejected)
        {
            let name = rule.name.as_deref().or(rule.id.as_deref()).unwrap_or("?");
            let wrong = rule
                .diagnostics
                .iter()
                .find(|found| found.severity() == Severity::Error);
            let reason = wrong.map_or("it has no query that can run", |found| found.message.as_str());
            problems.push(format!("rule `{name}` is rejected: {reason}"));
        }
        for file in report.beside.iter().filter(|file| has_errors(&file.diagnostics)) {
            problems.push(format!(
                "`{}` has mistakes; `neph rules check` shows them",
                file.name
            ));
        }
        Self {
            rules: set.rules.clone(),
            program: Arc::new(std::mem::replace(&mut set.program, Program::compile(&[]).0)),
            set,
            problems,
        }
    }
}

/// The alerts of all rules with what they are made of, in the order in which a run over a file would print them.
fn alerts(rules: &[Arc<Rule>], program: &Arc<Program>, path: &Path, events: &[Event]) -> Vec<Alert> {
    let plans: Vec<&Plan> = rules.iter().filter_map(|rule| rule.plan.as_ref()).collect();
    let mut operators = Operators::new(&plans, &OperatorConfig::default());
    let mut matcher = Matcher::new(Arc::clone(program));
    let source: Arc<str> = path.display().to_string().into();
    let mut told = Vec::new();
    for (position, event) in (0_u64..).zip(events) {
        if matcher.read(&event.document).is_err() {
            continue;
        }
        let origin = Origin {
            source: Arc::clone(&source),
            line: event.line,
        };
        let record = Record {
            document: &event.document,
            id: None,
            index: None,
            position,
            origin: &origin,
        };
        matcher.matches(&record, |step| operators.push(step, &mut told));
    }
    operators.finish(&mut told);
    let mut flow = AlertFlow::new(rules.to_vec(), false);
    let mut raised = Vec::new();
    for outcome in told {
        flow.take(outcome, &mut raised);
    }
    flow.finish(&mut raised);
    let alerts = raised.into_iter().filter_map(|told| match told {
        Told::Raised(alert) | Told::Updated(alert) => Some(alert),
        Told::Retracted(_) => None,
    });
    alerts.collect()
}
