//! The rules of the service.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use neph_api::RuleFiles;
use neph_config::Config;
use neph_diag::has_errors;
use neph_rules::{BUILTIN_LISTS, Lang, LoadOptions, RuleSet, is_builtin, load_with};

use super::log::Log;
use crate::rules::rule_path;

/// Rules that were loaded, with where they came from.
pub(crate) struct Rules {
    set: Arc<RuleSet>,
    paths: Vec<PathBuf>,
    options: LoadOptions,
}

impl Rules {
    /// Loads the rules; overlays that are written through the API stand in `folder`.
    pub(crate) fn load(settings: &Config, folder: &Path) -> Self {
        let rules = &settings.rules;
        let path = |path: &PathBuf| rule_path(&path.to_string_lossy()).unwrap_or_else(|_| path.clone());
        let paths: Vec<PathBuf> = rules.paths.iter().map(path).collect();
        // The built-in lists go with the built-in rules; the user's of the same names go before.
        let builtin = paths.iter().any(|path| is_builtin(path));
        let lists = rules.lists.iter().cloned();
        let options = LoadOptions {
            overlays: rules
                .overlays
                .iter()
                .cloned()
                .chain([folder.to_owned()])
                .collect(),
            lists: lists.chain(builtin.then(|| BUILTIN_LISTS.into())).collect(),
            mappings: rules.mappings.clone(),
            indicators: rules.indicators.clone(),
            now: None,
            lang: Lang::ALL
                .into_iter()
                .find(|lang| lang.code() == rules.lang)
                .unwrap_or_default(),
        };
        Self {
            set: Arc::new(load_with(&paths, &options)),
            paths,
            options,
        }
    }

    /// The rules, to be shown.
    pub(super) fn set(&self) -> Arc<RuleSet> {
        Arc::clone(&self.set)
    }

    /// The rules once more, to be run: whoever runs them owns them.
    pub(crate) fn to_run(&self) -> RuleSet {
        load_with(&self.paths, &self.options)
    }

    pub(crate) fn files(&self) -> RuleFiles {
        RuleFiles {
            paths: self.paths.clone(),
            options: self.options.clone(),
        }
    }

    /// The files and folders that they came from.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        let options = &self.options;
        let beside = [
            &options.overlays,
            &options.lists,
            &options.mappings,
            &options.indicators,
        ];
        let all = beside.into_iter().flatten().chain(&self.paths);
        all.cloned().collect()
    }

    /// Says what runs, and what does not.
    pub(super) fn tell(&self, log: &Log) {
        let report = &self.set.report;
        for failure in &report.failures {
            log.error(
                "a path of rules cannot be read",
                &[("path", &failure.path.display()), ("reason", &failure.reason)],
            );
        }
        for path in broken(&self.set) {
            log.warn(
                "a file of rules has mistakes; `neph rules check` shows them",
                &[("path", &path.display())],
            );
        }
        log.info("rules are loaded", &[("rules", &report.counts())]);
    }
}

/// The files in which something is wrong.
fn broken(set: &RuleSet) -> BTreeSet<PathBuf> {
    let report = &set.report;
    let files = report.files.iter().chain(&report.beside);
    let wrong = files.filter(|file| has_errors(&file.diagnostics));
    wrong
        .map(|file| file.path.clone())
        .chain(report.failures.iter().map(|failure| failure.path.clone()))
        .collect()
}
