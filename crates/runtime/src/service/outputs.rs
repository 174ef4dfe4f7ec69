//! The names of the outputs that get alerts.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The names of outputs. Clones share them, so that they may change while the service runs: what is committed from then on goes to
/// those.
#[derive(Clone, Debug, Default)]
pub struct OutputNames {
    names: Arc<Mutex<Vec<Arc<str>>>>,
}

impl OutputNames {
    fn own(&self) -> MutexGuard<'_, Vec<Arc<str>>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The names now.
    pub fn get(&self) -> Vec<Arc<str>> {
        self.own().clone()
    }

    /// Makes these the names.
    pub fn set(&self, names: Vec<Arc<str>>) {
        *self.own() = names;
    }
}
