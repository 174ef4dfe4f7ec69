//! Rules that change while they run.
//!
//! Whoever watches the files of the rules pushes each new set. The reader marks every chunk with the number of the set that
//! is newest when the chunk has been read, so that each record meets one set, whichever thread works on it. The collector,
//! to which chunks come in order, changes the operators where the number changes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use neph_engine::{Operators, Outcome, Program, RuleIndex};

/// A set of rules that takes the place of the one that runs.
#[derive(Debug)]
pub struct NewRules<T> {
    /// The rules; from [`prepare`](crate::prepare()).
    pub program: Arc<Program>,
    /// Operators made of the same rules, in the same order.
    pub operators: Operators,
    /// Rules whose state goes on: their places in the set pushed before, and in this one.
    pub same: Vec<(RuleIndex, RuleIndex)>,
    /// What the caller needs when the rules change.
    pub with: T,
}

/// What a run says while its rules may change.
#[derive(Debug)]
pub enum Said<T> {
    /// An operator says something of the rules that run.
    Outcome(Outcome),
    /// From here on other rules run.
    Changed {
        /// What was pushed with them.
        with: T,
        /// Rules whose state goes on.
        same: Vec<(RuleIndex, RuleIndex)>,
        /// For each exception of the rules before how many events it kept from them.
        excepted: Vec<u64>,
    },
}

/// The sets that wait for their turn. Clones are one and the same.
#[derive(Debug)]
pub struct Reloads<T> {
    generation: Arc<AtomicU64>,
    waiting: Arc<Mutex<BTreeMap<u64, NewRules<T>>>>,
    pub(crate) programs: Programs,
}

/// The programs by their numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Programs(Arc<Mutex<BTreeMap<u64, Arc<Program>>>>);

impl<T> Default for Reloads<T> {
    fn default() -> Self {
        Self {
            generation: Arc::default(),
            waiting: Arc::default(),
            programs: Programs::default(),
        }
    }
}

impl<T> Clone for Reloads<T> {
    fn clone(&self) -> Self {
        Self {
            generation: Arc::clone(&self.generation),
            waiting: Arc::clone(&self.waiting),
            programs: self.programs.clone(),
        }
    }
}

impl<T> Reloads<T> {
    /// Lets rules take the place of those pushed last, or of those that the run began with.
    pub fn push(&self, rules: NewRules<T>) {
        let mut waiting = unpoisoned(&self.waiting);
        let number = self.generation.load(Ordering::Acquire) + 1;
        unpoisoned(&self.programs.0).insert(number, Arc::clone(&rules.program));
        waiting.insert(number, rules);
        self.generation.store(number, Ordering::Release);
    }

    pub(crate) fn generation(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.generation)
    }

    /// Takes the rules of a number out. Programs before are of no more use: chunks come in order.
    pub(crate) fn take(&self, number: u64) -> Option<NewRules<T>> {
        unpoisoned(&self.programs.0).retain(|other, _| *other >= number);
        unpoisoned(&self.waiting).remove(&number)
    }
}

impl Programs {
    pub(crate) fn get(&self, number: u64) -> Option<Arc<Program>> {
        unpoisoned(&self.0).get(&number).cloned()
    }
}

/// What a thread that ended badly left is whole: nothing is changed in steps.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
