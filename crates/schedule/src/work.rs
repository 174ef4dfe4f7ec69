//! What a job does, and what it finds.

use std::collections::BTreeSet;
use std::path::PathBuf;

use jiff::Timestamp;
use neph_store::{Seen, Severity};
use serde_json::Value;

/// What a job does.
pub trait Work: Send {
    /// Files and folders whose change makes looking worthwhile.
    fn watched(&self) -> Vec<PathBuf>;

    /// Looks once.
    ///
    /// # Errors
    /// When nothing can be said: why, in lower case and without full stop.
    fn look(&self, now: Timestamp) -> Result<Looked, String>;
}

/// The ECS document of the alert of each of some findings, by their ids.
pub type Tell = Box<dyn FnOnce(&BTreeSet<&str>) -> Vec<Value>>;

/// What was found.
pub struct Looked {
    /// Findings that nobody answers for.
    pub open: Vec<Seen>,
    /// Ids of findings that are there and that somebody answers for.
    pub answered: BTreeSet<String>,
    /// Whether a finding that is in neither, of this place, is known to be gone.
    pub is_gone: Box<dyn Fn(&str) -> bool>,
    /// The alerts of findings.
    pub tell: Tell,
    /// The mildest finding that becomes an alert; none where none does.
    pub least: Option<Severity>,
    /// What could not be seen; lower case, without full stop.
    pub problems: Vec<String>,
    /// What is shown of the run.
    pub report: Option<Value>,
}

impl Looked {
    /// What finds nothing, such as collecting.
    pub fn nothing(problems: Vec<String>, report: Option<Value>) -> Self {
        Self {
            open: Vec::new(),
            answered: BTreeSet::new(),
            is_gone: Box::new(|_| true),
            tell: Box::new(|_| Vec::new()),
            least: None,
            problems,
            report,
        }
    }
}

impl std::fmt::Debug for Looked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Looked")
            .field("open", &self.open.len())
            .field("answered", &self.answered.len())
            .field("problems", &self.problems)
            .finish_non_exhaustive()
    }
}
