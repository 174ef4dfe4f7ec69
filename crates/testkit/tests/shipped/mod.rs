//! The shipped rules with the shipped lists, as they come, over the records of a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use neph_engine::{OperatorConfig, Operators, Program};
use neph_normalize::{Clock, Joiner};
use neph_plan::Plan;
use neph_rules::{Alert, AlertFlow, BUILTIN_LISTS, BUILTIN_RULES, LoadOptions, Rule, Told, load_with};
use neph_runtime::input::{ReadOptions, Reader};
use neph_runtime::{RunOptions, detect, prepare};

/// The rules, ready to run.
pub(crate) struct Pack {
    pub(crate) rules: Vec<Arc<Rule>>,
    program: Arc<Program>,
}

impl Pack {
    pub(crate) fn load() -> Self {
        let options = LoadOptions {
            lists: vec![BUILTIN_LISTS.into()],
            ..LoadOptions::default()
        };
        let set = load_with(&[BUILTIN_RULES], &options);
        assert!(set.report.failures.is_empty(), "{:?}", set.report.failures);
        Self {
            rules: set.rules,
            program: prepare(set.program),
        }
    }

    /// The alerts on the records of a file. Records without a time count from a fixed moment, at which they are read.
    pub(crate) fn alerts(&self, file: &Path) -> Vec<Alert> {
        let plans: Vec<&Plan> = self.rules.iter().filter_map(|rule| rule.plan.as_ref()).collect();
        let mut operators = Operators::new(&plans, &OperatorConfig::default());
        let read = ReadOptions {
            joiner: Joiner::new(None),
            ..ReadOptions::default()
        };
        let mut reader = Reader::new(&[file.to_owned()], read).expect("a file can be read");
        let mut flow = AlertFlow::new(self.rules.clone(), false);
        let mut told = Vec::new();
        let now = neph_event::parse_date("2026-12-01T12:00:00Z", &[]).expect("a date");
        let options = RunOptions {
            clock: Clock::default().with_now(now),
            ..RunOptions::default()
        };
        let run = detect(
            &mut reader,
            &self.program,
            &mut operators,
            &options,
            &mut |_| (),
            &mut |outcome| flow.take(outcome, &mut told),
        );
        run.expect("a run goes through");
        flow.finish(&mut told);
        let raised = told.into_iter().filter_map(|told| match told {
            Told::Raised(alert) => Some(alert),
            Told::Updated(_) | Told::Retracted(_) => None,
        });
        raised.collect()
    }
}

/// The folder of the labelled records; without it says that the test is skipped.
pub(crate) fn attacks() -> Option<PathBuf> {
    let shared = std::env::var_os("NEPH_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let folder = shared.join("corpora/attacks");
    if !folder.is_dir() {
        println!("skipped: {} is not there", folder.display());
        return None;
    }
    Some(folder)
}
