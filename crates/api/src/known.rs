//! What was found out about rules while the service runs: how their tests went, what they cost, what their files were before.
//!
//! It is found out anew whenever somebody asks, so a restart loses nothing that matters.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use neph_event::Instant;
use neph_rules::RuleSet;
use schemars::JsonSchema;
use serde::Serialize;

use crate::app::unpoisoned;

/// How a rule's tests went.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Tested {
    /// Cases that passed.
    pub(crate) passed: usize,
    /// Cases that did not.
    pub(crate) failed: usize,
    /// When they were run.
    pub(crate) at: String,
    /// A hash of the rule's file; of another file the result says nothing.
    #[serde(skip)]
    #[schemars(skip)]
    pub(crate) hash: String,
}

/// What rules cost, measured over stored events.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Costs {
    /// When it was measured.
    pub(crate) at: String,
    /// Over how many events.
    pub(crate) events: u64,
    /// Whether there were more events than time.
    pub(crate) is_cut: bool,
    /// By the rules' ids.
    pub(crate) rules: BTreeMap<String, Cost>,
}

/// What a rule cost.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Cost {
    /// Microseconds of processor time for each event that came, whether it concerned the rule or not.
    pub(crate) micros: f64,
    /// The most bytes of state at any time.
    pub(crate) state_bytes: usize,
    /// Its share of the time of all rules, 0 to 1.
    pub(crate) share: f64,
    /// Why it is costly; empty where it is not.
    pub(crate) reasons: Vec<String>,
}

/// What a rule's file was before it changed.
#[derive(Clone, Debug)]
pub(crate) struct Before {
    pub(crate) text: String,
    /// When the change was seen.
    pub(crate) at: Instant,
}

/// What was found out.
#[derive(Debug, Default)]
pub(crate) struct Known {
    tests: Mutex<HashMap<String, Tested>>,
    costs: Mutex<Arc<Costs>>,
    before: Mutex<HashMap<PathBuf, Before>>,
}

impl Known {
    /// How the tests of a rule went, by its id, if its file is still the same.
    pub(crate) fn tested(&self, id: &str, hash: impl FnOnce() -> Option<String>) -> Option<Tested> {
        let tested = unpoisoned(&self.tests).get(id).cloned()?;
        (hash()? == tested.hash).then_some(tested)
    }

    pub(crate) fn note_tested(&self, id: &str, tested: Tested) {
        unpoisoned(&self.tests).insert(id.to_owned(), tested);
    }

    pub(crate) fn costs(&self) -> Arc<Costs> {
        Arc::clone(&unpoisoned(&self.costs))
    }

    pub(crate) fn note_costs(&self, costs: Costs) -> Arc<Costs> {
        let costs = Arc::new(costs);
        *unpoisoned(&self.costs) = Arc::clone(&costs);
        costs
    }

    /// What a file was before its last change.
    pub(crate) fn before(&self, path: &Path) -> Option<Before> {
        unpoisoned(&self.before).get(path).cloned()
    }

    /// Keeps what changed files were before.
    pub(crate) fn note_changes(&self, old: &RuleSet, new: &RuleSet, at: Instant) {
        let texts: HashMap<&Path, &str> = old
            .report
            .files
            .iter()
            .map(|file| (file.path.as_path(), &*file.text))
            .collect();
        let mut before = unpoisoned(&self.before);
        for file in &new.report.files {
            if let Some(text) = texts.get(file.path.as_path())
                && **text != *file.text
            {
                let text = (*text).to_owned();
                before.insert(file.path.clone(), Before { text, at });
            }
        }
    }
}
