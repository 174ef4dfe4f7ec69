//! Tests that stand beside rules: `NAME.test.yaml`.
//!
//! A file holds cases: the events that are given, with times relative to a base, and the alerts that are expected. This
//! module reads the form and says everything that is wrong with it; whoever runs rules runs the cases. The form is
//! described for its users in `docs/rule-tests.md`.

mod read;
mod times;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use neph_diag::{Diagnostic, LineIndex, Span};
use neph_event::Instant;
use serde_json::Value;

pub use times::{fill, fill_all};

use crate::files;
use crate::report::Failure;
use crate::rule::Rule;
use crate::texts::Lang;

/// Endings of the names of test files.
const ENDINGS: [&str; 2] = [".test.yaml", ".test.yml"];

/// A file of cases.
#[derive(Clone, Debug)]
pub struct TestFile {
    /// Where it stands.
    pub path: PathBuf,
    /// Its text, which the spans of diagnostics are of.
    pub text: String,
    /// The cases that can be run.
    pub cases: Vec<TestCase>,
    /// Everything that is wrong with it.
    pub diagnostics: Vec<Diagnostic>,
}

/// Events, and the alerts that are expected of them.
#[derive(Clone, Debug)]
pub struct TestCase {
    /// Its name.
    pub name: String,
    /// Where it stands in its file.
    pub span: Span,
    /// Its line, counted from 1.
    pub line: u64,
    /// The rules to load, and what is given beside them.
    pub setting: Setting,
    /// Ids or names of the rules whose alerts count; all where there are none.
    pub only: Vec<String>,
    /// The time that relative times count from. What ends before it is history: its alerts do not count.
    pub base: Instant,
    /// The events, in order.
    pub events: Vec<Given>,
    /// The alerts; an empty list means that there are none.
    pub expect: Vec<Expected>,
}

/// What rules are loaded from. Cases of one setting share a load.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Setting {
    /// Rule files or folders of them.
    pub rules: Vec<PathBuf>,
    /// Overlays.
    pub overlays: Vec<PathBuf>,
    /// Typed lists.
    pub lists: Vec<PathBuf>,
    /// Mappings of Sigma's fields and log sources.
    pub mappings: Vec<PathBuf>,
    /// Indicators of rules of type `threat_match`.
    pub indicators: Vec<PathBuf>,
}

/// An event, or several.
#[derive(Clone, Debug)]
pub struct Given {
    /// What it is given as.
    pub form: Form,
    /// Its time; where it is given as a file, that of the first event of it. Without one events keep their own.
    pub at: Option<Instant>,
    /// The source that its record is of; recognised where none is named.
    pub source: Option<String>,
    /// How often it comes.
    pub repeat: u64,
    /// The time between two of them, in nanoseconds.
    pub every: i128,
    /// Its line in the test file, counted from 1.
    pub line: u64,
}

/// What an event is given as.
#[derive(Clone, Debug, PartialEq)]
pub enum Form {
    /// An ECS document.
    Ecs(Value),
    /// A vendor's record: a text, which may have several lines, or an object.
    Raw(Value),
    /// A file of records.
    File(PathBuf),
}

/// Alerts that are expected.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Id or name of their rule; any where there is none.
    pub rule: Option<String>,
    /// How many.
    pub count: Count,
    /// Fields that the alert or one of its events has, each with the values that it must have.
    pub fields: Vec<(String, Vec<String>)>,
    /// Its line in the test file, counted from 1.
    pub line: u64,
}

/// How many alerts are expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// So many.
    Exactly(u64),
    /// So many or more.
    AtLeast(u64),
}

impl Count {
    /// Whether a number is as expected.
    pub fn admits(self, number: u64) -> bool {
        match self {
            Self::Exactly(wanted) => number == wanted,
            Self::AtLeast(least) => number >= least,
        }
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exactly(1) => f.write_str("1 alert"),
            Self::Exactly(number) => write!(f, "{number} alerts"),
            Self::AtLeast(number) => write!(f, "at least {number} alerts"),
        }
    }
}

/// Records that tell a story in phases, for `neph demo`.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The name of its file, without the ending.
    pub name: String,
    /// The rows of the mission that it shows.
    pub mission: Vec<String>,
    /// The time that relative times count from.
    pub base: Instant,
    /// What it says of itself.
    pub text: ScenarioText,
    /// The same in other languages.
    pub others: BTreeMap<Lang, ScenarioText>,
    /// What was there before.
    pub history: Vec<Given>,
    /// What happens.
    pub phases: Vec<Phase>,
}

/// What a scenario says of itself in one language.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScenarioText {
    /// Its title.
    pub title: String,
    /// What happens, and what it shows.
    pub description: String,
    /// The names of its phases, in order.
    pub phases: Vec<String>,
}

/// A part of a scenario.
#[derive(Clone, Debug)]
pub struct Phase {
    /// What happens in it.
    pub name: String,
    /// The events, in order.
    pub events: Vec<Given>,
    /// Ids or names of rules that alert in it.
    pub expect: Vec<String>,
}

impl Scenario {
    /// What it says of itself in a language, or in English.
    pub fn text_in(&self, lang: Lang) -> &ScenarioText {
        self.others.get(&lang).unwrap_or(&self.text)
    }
}

/// Reads the text of a scenario, and says what is wrong with it; `base` stands in place of the time that it states.
pub fn parse_scenario(path: &Path, text: &str, base: Option<Instant>) -> (Option<Scenario>, Vec<Diagnostic>) {
    read::scenario(path, text, &LineIndex::new(text), base)
}

/// How many cases beside a rule's file want an alert of it, and how many want none; nothing where there are no tests.
pub fn cases_beside(rule: &Rule) -> Option<(usize, usize)> {
    let path = ENDINGS
        .iter()
        .map(|ending| sibling(&rule.origin.path, ending))
        .find(|path| files::is_file(path))?;
    let file = read_test_file(&path).ok()?;
    let attacks = file.cases.iter().filter(|case| case.wants(rule)).count();
    Some((attacks, file.cases.len() - attacks))
}

impl TestCase {
    /// Whether it expects an alert of the rule.
    pub fn wants(&self, rule: &Rule) -> bool {
        self.expect.iter().any(|expected| {
            let name = expected.rule.as_deref();
            name.is_none_or(|name| name == rule.id || name.eq_ignore_ascii_case(&rule.name))
        })
    }
}

/// Whether a path is that of a test file, by its name.
pub fn is_test_file(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
    ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// The test files that paths lead to: a file that is named, and all in folders; for a rule file those beside it.
pub fn find_test_files<P: AsRef<Path>>(paths: &[P]) -> (Vec<PathBuf>, Vec<Failure>) {
    let mut tests = Vec::new();
    let mut failures = Vec::new();
    let found = files::find(paths);
    failures.extend(found.failures);
    for (path, is_named) in found.files {
        if is_test_file(&path) {
            tests.push(path);
        } else if is_named {
            let beside: Vec<PathBuf> = ENDINGS
                .iter()
                .map(|ending| sibling(&path, ending))
                .filter(|beside| files::is_file(beside))
                .collect();
            if beside.is_empty() {
                failures.push(Failure {
                    reason: "it is no test file, and none stands beside it".into(),
                    path,
                });
            }
            tests.extend(beside);
        }
    }
    tests.sort();
    tests.dedup();
    (tests, failures)
}

fn sibling(path: &Path, ending: &str) -> PathBuf {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("");
    path.with_file_name(format!("{stem}{ending}"))
}

/// Reads a test file.
///
/// # Errors
/// Why it cannot be read at all.
pub fn read_test_file(path: &Path) -> Result<TestFile, String> {
    Ok(parse_test_file(path, files::read_text(path)?))
}

/// Reads the text of a test file that stands at `path`, which says where its other paths begin.
pub fn parse_test_file(path: &Path, text: String) -> TestFile {
    let lines = LineIndex::new(&text);
    let (cases, diagnostics) = read::cases(path, &text, &lines);
    TestFile {
        path: path.to_owned(),
        text,
        cases,
        diagnostics,
    }
}

#[cfg(test)]
mod tests;
