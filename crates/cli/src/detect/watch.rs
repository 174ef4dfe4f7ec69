//! Watching the files of the rules while they run.
//!
//! The files are looked at once a second: that works on every file system, also on shared folders and mounted
//! configuration, where notifications of the system do not arrive.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use neph_diag::has_errors;
use neph_rules::{Library, LoadReport, Rule, Snapshot, unchanged};
use neph_runtime::{NewRules, Reloads};

use super::session::{Active, RuleArgs};
use crate::terminal::Terminal;

/// Time between two looks at the files.
const EVERY: Duration = Duration::from_secs(1);

/// What is watched, and what runs.
pub(super) struct Watch<'a> {
    args: &'a RuleArgs,
    paths: Vec<PathBuf>,
    /// The files as they were when the rules were loaded last.
    loaded: Snapshot,
    /// The files as they were at the last look.
    seen: Snapshot,
    rules: Vec<Arc<Rule>>,
    /// What the files held, so that only those that change are read anew.
    library: Library,
    /// The files in which something was wrong when the rules that run were loaded.
    broken: BTreeSet<PathBuf>,
    reloads: Reloads<Active>,
    terminal: Terminal,
}

impl<'a> Watch<'a> {
    pub(super) fn new(
        args: &'a RuleArgs,
        active: &Active,
        library: Library,
        reloads: &Reloads<Active>,
        terminal: Terminal,
    ) -> Self {
        let options = args.beside.options(&args.rules, args.lang.lang());
        let paths = [
            &args.rules,
            &options.overlays,
            &options.lists,
            &options.mappings,
            &options.indicators,
        ];
        let paths: Vec<PathBuf> = paths.into_iter().flatten().cloned().collect();
        let now = Snapshot::take(&paths);
        Self {
            args,
            paths,
            loaded: now.clone(),
            seen: now,
            rules: active.rules.clone(),
            library,
            broken: broken(&active.report),
            reloads: reloads.clone(),
            terminal,
        }
    }

    fn look(&mut self) {
        let now = Snapshot::take(&self.paths);
        // A file that is being written is let come to rest.
        if now == self.loaded || now != self.seen {
            self.seen = now;
            return;
        }
        self.loaded = now;
        let (active, program) = Active::load(self.args, Some(&mut self.library));
        let wrong = broken(&active.report);
        let newly: Vec<String> = wrong
            .difference(&self.broken)
            .map(|path| format!("`{}`", path.display()))
            .collect();
        if !newly.is_empty() || active.rules.is_empty() {
            let what = match newly.is_empty() {
                true => "no rule can run".to_owned(),
                false => format!("something is wrong in {}", newly.join(", ")),
            };
            self.terminal.error(&format!(
                "the changed rules are not taken over, those before go on: {what}; `neph rules check` says more"
            ));
            return;
        }
        let same = unchanged(&self.rules, &active.rules);
        self.terminal.note_plain(&format!(
            "rules changed: {}; {} go on with their state",
            active.report.counts(),
            same.len()
        ));
        self.rules.clone_from(&active.rules);
        self.broken = wrong;
        self.reloads.push(NewRules {
            program,
            operators: active.operators(self.args, true),
            same,
            with: active,
        });
    }
}

/// The files in which something is wrong.
fn broken(report: &LoadReport) -> BTreeSet<PathBuf> {
    let files = report.files.iter().chain(&report.beside);
    let wrong = files.filter(|file| has_errors(&file.diagnostics));
    wrong
        .map(|file| file.path.clone())
        .chain(report.failures.iter().map(|failure| failure.path.clone()))
        .collect()
}

/// Runs `work`, and watches meanwhile.
pub(super) fn watched<T>(watch: Option<Watch<'_>>, work: impl FnOnce() -> T) -> T {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = watch.map(|mut watch| {
            let is_over = &is_over;
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    thread::park_timeout(EVERY);
                    if !is_over.load(Ordering::Relaxed) {
                        watch.look();
                    }
                }
            })
        });
        let outcome = work();
        is_over.store(true, Ordering::Relaxed);
        if let Some(watcher) = watcher {
            watcher.thread().unpark();
        }
        outcome
    })
}
