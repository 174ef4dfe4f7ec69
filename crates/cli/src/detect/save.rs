//! `--save-case`: alerts as tests beside rules.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use neph_rules::alert::Alert;
use neph_rules::rule_tests::{Setting, is_test_file};
use neph_rules::{LoadOptions, Rule};
use neph_runtime::rule_tests::{file_name, save};

use crate::exit::Failure;
use crate::terminal::Terminal;

/// So many alerts are saved; who wants more wants another kind of test.
const MOST: usize = 1000;

/// Collects the tests of alerts, and writes them.
pub(crate) struct Saver {
    target: PathBuf,
    /// Ids or names of the rules whose alerts are saved; all where there are none.
    only: Vec<String>,
    rules: Vec<Arc<Rule>>,
    setting: Setting,
    /// Path and text of the tests, and what keeps them from passing.
    tests: Vec<(PathBuf, String, Vec<String>)>,
    /// Alerts that hold none of their events, and those beyond the number that is saved.
    without_events: usize,
    beyond: usize,
}

impl Saver {
    pub(super) fn new(
        target: &Path,
        only: &[String],
        rules: &[Arc<Rule>],
        paths: &[PathBuf],
        options: LoadOptions,
    ) -> Self {
        // The ways to the rules begin there, so it has to be there; that it cannot be made is told when it is written to.
        if !is_test_file(target) {
            let _ = std::fs::create_dir_all(target);
        }
        Self {
            target: target.to_owned(),
            only: only.to_vec(),
            rules: rules.to_vec(),
            setting: Setting {
                rules: paths.to_vec(),
                overlays: options.overlays,
                lists: options.lists,
                mappings: options.mappings,
                indicators: options.indicators,
            },
            tests: Vec::new(),
            without_events: 0,
            beyond: 0,
        }
    }

    /// Makes a test of an alert, if it is wanted.
    pub(super) fn take(&mut self, alert: &Alert) {
        let Some(rule) = self.rules.iter().find(|rule| rule.id == alert.rule_id) else {
            return;
        };
        let is_wanted = self.only.is_empty()
            || self
                .only
                .iter()
                .any(|name| rule.id == *name || rule.name.eq_ignore_ascii_case(name));
        if !is_wanted {
            return;
        }
        if self.tests.len() >= MOST {
            self.beyond += 1;
            return;
        }
        let path = if is_test_file(&self.target) {
            self.target.clone()
        } else {
            self.target.join(file_name(alert))
        };
        match save(alert, rule, &self.setting, &path) {
            Some(saved) => self.tests.push((path, saved.text, saved.failures)),
            None => self.without_events += 1,
        }
    }

    /// Writes what was taken. A file that is named takes all tests, a document each.
    pub(super) fn write(self, terminal: &Terminal) -> Result<(), Failure> {
        let failure = |path: &Path| {
            let path = path.display().to_string();
            move |source| Failure::Write { path, source }
        };
        let number = self.tests.len();
        if is_test_file(&self.target) {
            if number > 0 {
                let texts: Vec<&str> = self.tests.iter().map(|(_, text, _)| text.as_str()).collect();
                std::fs::write(&self.target, texts.join("---\n")).map_err(failure(&self.target))?;
            }
        } else {
            std::fs::create_dir_all(&self.target).map_err(failure(&self.target))?;
            for (path, text, _) in &self.tests {
                std::fs::write(path, text).map_err(failure(path))?;
            }
        }
        for (path, _, failures) in &self.tests {
            if let Some(first) = failures.first() {
                terminal.warning(&format!("the test `{}` does not pass: {first}", path.display()));
            }
        }
        for (count, what) in [
            (
                self.without_events,
                "alerts stand for many and hold no events to save",
            ),
            (self.beyond, "alerts are beyond the 1,000 that are saved"),
        ] {
            if count > 0 {
                terminal.warning(&format!("{count} {what}"));
            }
        }
        terminal.note_plain(&format!(
            "saved {} to `{}`",
            crate::input::plural(number as u64, "case"),
            self.target.display()
        ));
        Ok(())
    }
}
