//! The answer of a check for one resource.

use serde::Serialize;

use super::check::{Check, Severity};
use super::collected::{Item, Scope};

/// Values that are longer are cut when they are shown as evidence.
const LONGEST: usize = 400;
/// What stands between the parts of a key.
pub(super) const KEY_SEPARATOR: &str = "\u{1f}";
/// More findings of one check than these are counted and not kept.
const MOST: usize = 200_000;

/// What an answer comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It does not hold.
    Fail,
    /// What was collected does not say.
    Unknown,
    /// It holds.
    Pass,
}

impl Outcome {
    /// `fail`
    pub fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Unknown => "unknown",
            Self::Pass => "pass",
        }
    }
}

/// What an answer rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// The file.
    pub file: String,
    /// The line, from 1; 0 where the file has no lines that mean something.
    #[serde(skip_serializing_if = "is_zero")]
    pub line: u32,
    /// The field: `MetadataOptions.HttpTokens`.
    pub field: String,
    /// Its value.
    pub value: String,
}

fn is_zero(line: &u32) -> bool {
    *line == 0
}

/// The answer of a check for one resource.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The check's id.
    pub check: &'static str,
    /// What it comes to.
    pub outcome: Outcome,
    /// How bad it is, if it fails.
    pub severity: Severity,
    /// Where the resource is.
    #[serde(flatten)]
    pub scope: Scope,
    /// The resource, by a name that stays the same from run to run.
    pub resource: String,
    /// What is so, or what is not known; lower case, no full stop.
    pub what: String,
    /// What that rests on.
    pub evidence: Vec<Evidence>,
    /// Commands or rules that mend it; lines that begin with `#` say what they do.
    pub fix: Vec<String>,
}

impl Finding {
    /// What it is about, without what was found: equal in all runs.
    pub fn key(&self) -> String {
        let Scope {
            platform,
            account,
            region,
        } = &self.scope;
        let platform = platform.map_or("", |platform| platform.name());
        [self.check, platform, account, region, &self.resource].join(KEY_SEPARATOR)
    }

    /// Adds evidence: a field of the item that the finding is about.
    pub(crate) fn seen(&mut self, item: &Item, field: &str, value: impl ToString) -> &mut Self {
        self.seen_at(item, item.line, field, value)
    }

    /// Adds evidence from a line of the item's file.
    pub(crate) fn seen_at(&mut self, item: &Item, line: u32, field: &str, value: impl ToString) -> &mut Self {
        let value = value.to_string();
        let mut cut: String = value.chars().take(LONGEST).collect();
        if cut.len() < value.len() {
            cut.push('…');
        }
        self.evidence.push(Evidence {
            file: item.file.to_string(),
            line,
            field: field.to_owned(),
            value: cut,
        });
        self
    }

    /// Adds a line of the fix.
    pub(crate) fn mend(&mut self, line: impl Into<String>) -> &mut Self {
        self.fix.push(line.into());
        self
    }

    /// Milder or worse than the check says.
    pub(crate) fn at(&mut self, severity: Severity) -> &mut Self {
        self.severity = severity;
        self
    }
}

/// The answers of one check, while it asks.
#[derive(Debug)]
pub(crate) struct Found {
    check: &'static Check,
    pub(super) list: Vec<Finding>,
    /// Answers that were too many.
    pub(super) more: usize,
}

impl Found {
    pub(super) fn new(check: &'static Check) -> Self {
        Self {
            check,
            list: Vec::new(),
            more: 0,
        }
    }

    /// An answer about a resource of a scope.
    pub(crate) fn add(
        &mut self,
        outcome: Outcome,
        scope: &Scope,
        resource: impl Into<String>,
        what: impl Into<String>,
    ) -> &mut Finding {
        if self.list.len() >= MOST {
            // The last one is written over, so that the caller has one to write to.
            self.more += 1;
            self.list.pop();
        }
        let index = self.list.len();
        self.list.push(Finding {
            check: self.check.id,
            outcome,
            severity: self.check.severity,
            scope: scope.clone(),
            resource: resource.into(),
            what: what.into(),
            evidence: Vec::new(),
            fix: Vec::new(),
        });
        #[expect(clippy::indexing_slicing, reason = "it was pushed in the statement before")]
        &mut self.list[index]
    }

    /// It does not hold.
    pub(crate) fn fail(
        &mut self,
        item: &Item,
        resource: impl Into<String>,
        what: impl Into<String>,
    ) -> &mut Finding {
        self.add(Outcome::Fail, &item.scope, resource, what)
    }

    /// It holds.
    pub(crate) fn pass(
        &mut self,
        item: &Item,
        resource: impl Into<String>,
        what: impl Into<String>,
    ) -> &mut Finding {
        self.add(Outcome::Pass, &item.scope, resource, what)
    }

    /// What was collected does not say.
    pub(crate) fn unknown(
        &mut self,
        item: &Item,
        resource: impl Into<String>,
        what: impl Into<String>,
    ) -> &mut Finding {
        self.add(Outcome::Unknown, &item.scope, resource, what)
    }

    /// Pass or fail, by whether it holds.
    pub(crate) fn judge(
        &mut self,
        holds: bool,
        item: &Item,
        resource: impl Into<String>,
        what: impl Into<String>,
    ) -> &mut Finding {
        let outcome = if holds { Outcome::Pass } else { Outcome::Fail };
        self.add(outcome, &item.scope, resource, what)
    }
}
