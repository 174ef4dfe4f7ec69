//! The rules of the service.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use neph_api::{RuleFiles, overlay_folder, rule_folder};
use neph_config::Config;
use neph_diag::has_errors;
use neph_rules::{BUILTIN_LISTS, Lang, Library, LoadOptions, RuleSet, is_builtin};

use super::log::Log;
use crate::rules::rule_path;

/// Rules that were loaded, with where they came from.
pub(crate) struct Rules {
    /// As they are shown; without their program, which is with those that run.
    set: Arc<RuleSet>,
    paths: Vec<PathBuf>,
    options: LoadOptions,
    /// What their files held, so that only what changed is compiled again.
    library: Arc<Mutex<Library>>,
}

impl Rules {
    /// Loads the rules, those and the overlays included that were written through the API into folders of `data`. Gives those that
    /// are to run, too.
    pub(crate) fn load(settings: &Config, data: &Path) -> (Self, RuleSet) {
        Self::load_into(Arc::default(), settings, data)
    }

    /// Loads them again, and compiles what changed.
    pub(crate) fn again(&self, settings: &Config, data: &Path) -> (Self, RuleSet) {
        Self::load_into(Arc::clone(&self.library), settings, data)
    }

    fn load_into(library: Arc<Mutex<Library>>, settings: &Config, data: &Path) -> (Self, RuleSet) {
        let rules = &settings.rules;
        let path = |path: &PathBuf| rule_path(&path.to_string_lossy()).unwrap_or_else(|_| path.clone());
        let written = rule_folder(data);
        // Whoever looks at a store beside the service may find none.
        let written = written.is_dir().then_some(written);
        let paths: Vec<PathBuf> = rules.paths.iter().map(path).chain(written).collect();
        // The built-in lists go with the built-in rules; the user's of the same names go before.
        let builtin = paths.iter().any(|path| is_builtin(path));
        let lists = rules.lists.iter().cloned();
        let options = LoadOptions {
            overlays: rules
                .overlays
                .iter()
                .cloned()
                .chain([overlay_folder(data)])
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
        let mut set = library
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .load(&paths, &options);
        let running = set.take_running();
        let loaded = Self {
            set: Arc::new(set),
            paths,
            options,
            library,
        };
        (loaded, running)
    }

    /// The rules, to be shown.
    pub(super) fn set(&self) -> Arc<RuleSet> {
        Arc::clone(&self.set)
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
