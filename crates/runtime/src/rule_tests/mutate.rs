//! Whether the tests of a rule need each part of it: they are run with every [mutant](neph_rules::mutants) in its place.

use std::path::Path;
use std::sync::Arc;

use neph_diag::Diagnostic;
use neph_rules::rule_tests::{TestCase, TestFile};
use neph_rules::{Mutant, Rule, RuleFile, mutants};

use super::{Event, Loaded, TestRunner, alerts, events, judge};

/// How the tests of a rule fared with its mutants.
#[derive(Clone, Debug)]
pub struct MutatedRule {
    /// The rule's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its file.
    pub path: String,
    /// The file's text, which the places of survivors are in.
    pub text: String,
    /// How many mutants there are.
    pub total: usize,
    /// Those with which all cases passed.
    pub survivors: Vec<Survivor>,
    /// Cases that want an alert of the rule.
    pub attacks: usize,
    /// Cases that want none.
    pub benign: usize,
}

/// A part of a rule that no test needs.
#[derive(Clone, Debug)]
pub struct Survivor {
    /// What it is, at its place in the file.
    pub diagnostic: Diagnostic,
}

impl MutatedRule {
    /// How many mutants made a case fail.
    pub fn killed(&self) -> usize {
        self.total - self.survivors.len()
    }
}

/// A case with its events, as it is run again and again.
struct Ready<'c> {
    case: &'c TestCase,
    events: Vec<Event>,
}

impl TestRunner {
    /// Runs the cases of a file with every mutant of the rules in the file beside it, or of all its rules where none stands
    /// beside it. Cases that fail as it is are left out: they say nothing.
    pub fn mutate(&mut self, file: &TestFile) -> Vec<MutatedRule> {
        // Cases of one setting and base share their rules.
        let mut groups: Vec<(Arc<Loaded>, Vec<Ready<'_>>)> = Vec::new();
        for case in &file.cases {
            if !self.run_case(&file.path, case).passed() {
                continue;
            }
            let mut given = Vec::new();
            for entry in &case.events {
                // It was read a moment ago.
                let _ = events::read(entry, case.base, &mut given);
            }
            let loaded = self.load(&case.setting, case.base);
            let ready = Ready { case, events: given };
            match groups.iter_mut().find(|(other, _)| Arc::ptr_eq(other, &loaded)) {
                Some((_, cases)) => cases.push(ready),
                None => groups.push((loaded, vec![ready])),
            }
        }
        let mut found: Vec<MutatedRule> = Vec::new();
        for (loaded, cases) in &groups {
            let is_beside = |rule: &Rule| stem(&rule.origin.path) == stem(&file.path);
            let any_beside = loaded.rules.iter().any(|rule| is_beside(rule));
            for (position, rule) in loaded.rules.iter().enumerate() {
                if any_beside && !is_beside(rule) {
                    continue;
                }
                let of_rule = of_rule(loaded, rule, position, cases, &file.path);
                match found.iter_mut().find(|other| other.id == rule.id) {
                    // A mutant survives if it does in all groups.
                    Some(other) => {
                        let lives = |survivor: &Survivor| {
                            of_rule.survivors.iter().any(|same| {
                                same.diagnostic.span == survivor.diagnostic.span
                                    && same.diagnostic.message == survivor.diagnostic.message
                            })
                        };
                        other.survivors.retain(lives);
                        other.attacks += of_rule.attacks;
                        other.benign += of_rule.benign;
                    }
                    None => found.push(of_rule),
                }
            }
        }
        found
    }
}

/// What stands before the first dot of a file's name, with its folder: a rule's and its tests' is the same.
fn stem(path: &Path) -> Option<(Option<&Path>, &str)> {
    let name = path.file_name()?.to_str()?;
    Some((path.parent(), name.split('.').next().unwrap_or(name)))
}

fn of_rule(
    loaded: &Loaded,
    rule: &Arc<Rule>,
    position: usize,
    cases: &[Ready<'_>],
    path: &Path,
) -> MutatedRule {
    let mut all: Vec<(Mutant, &RuleFile)> = Vec::new();
    for mut mutant in rule.plan.as_ref().map(mutants).unwrap_or_default() {
        if let Some((file, placed)) = loaded.set.in_file(position, mutant.diagnostic) {
            mutant.diagnostic = placed;
            let text = mutant.diagnostic.span.text(&file.text);
            if !(rule.kind.is_sigma() && is_outside(text, mutant.is_value)) {
                all.push((mutant, file));
            }
        }
    }
    let attacks = cases.iter().filter(|ready| ready.case.wants(rule)).count();
    let mut told = MutatedRule {
        id: rule.id.clone(),
        name: rule.name.clone(),
        path: rule.origin.path.display().to_string(),
        text: String::new(),
        total: all.len(),
        survivors: Vec::new(),
        attacks,
        benign: cases.len() - attacks,
    };
    for (mutant, file) in all {
        let program = Arc::new(loaded.set.program_with(position, &mutant.plan));
        let mut rules = loaded.rules.clone();
        if let Some(place) = rules.get_mut(position) {
            *place = Arc::new(Rule {
                plan: Some(mutant.plan),
                ..Rule::clone(place)
            });
        }
        let passes = |ready: &Ready<'_>| {
            let raised = alerts(&rules, &program, path, &ready.events);
            let counted = judge::counted(ready.case, &rules, raised);
            judge::judge(ready.case, &rules, &ready.events, &counted).is_empty()
        };
        if cases.iter().all(passes) {
            told.text = file.text.to_string();
            told.survivors.push(Survivor {
                diagnostic: mutant.diagnostic,
            });
        }
    }
    told
}

/// Whether a part of a Sigma rule stands outside of what it detects: in its log source, or in a list that it names.
fn is_outside(text: &str, is_value: bool) -> bool {
    let keys = ["product", "category", "service", "definition"];
    let mut lines = text
        .split([',', '\n'])
        .map(|line| line.trim_matches(['{', '}', ' ', '\r']));
    let is_log_source = lines.all(|line| {
        line.split(':')
            .next()
            .is_some_and(|key| keys.contains(&key.trim()))
    });
    is_log_source || (is_value && text.contains("|expand"))
}
