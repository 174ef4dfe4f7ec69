//! Fills a folder with what clouds, clusters, container engines and hosts answer, in the form in which their own command-line tools print
//! it, one file a call; whoever reads such folders cannot tell, and need not know, whether a person's shell or this crate filled them.
//!
//! - [`import`]: puts what a person's shell printed into the same form.
//! - [`Output`]: the folder: files that are whole or not there, `collection.json`, going on where an earlier run was stopped.
//! - [`aws`], [`azure`], [`docker`], [`gcp`], [`host`], [`kubernetes`], [`openstack`]: one module for each kind of source. It says which calls there are; `run` makes them, several at
//!   once, and `http` asks again where a server throttles or fails.
//!
//! **Architecture invariant:** answers are kept as they came; no module knows what they mean beyond what further calls need.
//! **Architecture invariant:** no credential is written or told, and nothing is written outside the folder.
//! **Architecture invariant:** a call that failed stands in `collection.json` with its reason; what could not be asked is never absent.

pub mod aws;
pub mod azure;
mod bearer;
pub mod docker;
pub mod gcp;
pub mod host;
mod http;
pub mod import;
pub mod kubernetes;
mod name;
pub mod openstack;
mod output;
mod pace;
mod page;
mod problem;
mod run;

use std::collections::BTreeMap;
use std::time::Duration;

use neph_inventory::{Call, Scope};

pub use output::{Output, OutputError};
pub use problem::Problem;
pub use run::Watch;

/// How calls are made.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// So many calls at once.
    pub jobs: usize,
    /// Ask again for what an earlier run has already.
    pub refresh: bool,
    /// Calls that begin with one of these are left out, and what follows from them.
    pub skip: Vec<String>,
    /// A request is sent so many times at most.
    pub tries: u32,
    /// A request and its answer take no longer than this.
    pub timeout: Duration,
    /// Requests a second to one server in one region at most; zero: as many as it takes.
    pub rate: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            jobs: 8,
            refresh: false,
            skip: Vec::new(),
            tries: 10,
            timeout: Duration::from_secs(60),
            rate: 0.0,
        }
    }
}

/// Problems that a report tells; all are counted, and all stand in `collection.json`.
const MAX_PROBLEMS: usize = 200;

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Calls of earlier runs that were not made again.
    pub kept: u64,
    /// Calls by whose they are.
    pub scopes: BTreeMap<Scope, Counts>,
    /// Calls that are not complete, the first of them.
    pub problems: Vec<Call>,
}

/// Calls that were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Those whose answer is whole.
    pub complete: u64,
    /// Those of which a part came.
    pub partial: u64,
    /// Those of which nothing came.
    pub failed: u64,
    /// Items that all of them together gave.
    pub items: u64,
}

impl Report {
    fn count(&mut self, call: &Call, has_file: bool) {
        let counts = self.scopes.entry(call.scope()).or_default();
        counts.items += call.items;
        match (call.complete, has_file) {
            (true, _) => counts.complete += 1,
            (false, true) => counts.partial += 1,
            (false, false) => counts.failed += 1,
        }
        if !call.complete && self.problems.len() < MAX_PROBLEMS {
            self.problems.push(call.clone());
        }
    }

    /// All calls that were made.
    pub fn total(&self) -> Counts {
        let mut total = Counts::default();
        for counts in self.scopes.values() {
            total.complete += counts.complete;
            total.partial += counts.partial;
            total.failed += counts.failed;
            total.items += counts.items;
        }
        total
    }
}

/// Why nothing can be collected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectError {
    /// The folder cannot be filled.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// It cannot be found out whose answers there would be.
    #[error("{call}: {problem}")]
    Begin {
        /// The first call.
        call: String,
        /// Why it failed.
        problem: Problem,
    },
    /// Credentials or addresses are missing or cannot be used.
    #[error("{0}")]
    Setup(String),
}
