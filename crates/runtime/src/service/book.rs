//! Rules as the service runs them: with what tells their versions apart.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use neph_engine::{Emit, Exception, OperatorConfig, Operators, Program, RuleIndex};
use neph_plan::{Plan, Query};
use neph_rules::{LoadReport, Rule, RuleException, RuleSet, RuleState};
use neph_store::{RuleHealth, RuleInSet};
use sha2::{Digest, Sha256};

use crate::prepare;

/// Rules that look back further than this, or ask what was never seen before, are given history before they run.
const LONG: u64 = 3_600_000_000_000;

/// Rules that run together.
#[derive(Debug)]
pub(crate) struct Book {
    pub(crate) rules: Vec<Arc<Rule>>,
    pub(crate) program: Arc<Program>,
    pub(crate) exceptions: Vec<RuleException>,
    /// For each rule what its state belongs to: its id, and a hash of what its plan and schedule ask for.
    pub(crate) keys: Vec<String>,
    /// All of them, with those that do not run, as the ledger keeps them.
    pub(crate) set: neph_store::RuleSet,
}

/// How much operators may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Bytes that one rule may hold.
    pub rule_bytes: usize,
    /// Bytes that all may hold together.
    pub total_bytes: usize,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            rule_bytes: 64 << 20,
            total_bytes: 256 << 20,
        }
    }
}

/// How rules are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// As a stream: alerts at once, each rule as patient as its schedule says.
    Live,
    /// All events are known at the end.
    Whole,
}

impl Book {
    pub(crate) fn new(set: RuleSet) -> Self {
        let rules = set.rules;
        let keys: Vec<String> = rules.iter().map(|rule| key(rule)).collect();
        let ledger = rule_set(&rules, &keys, &set.exceptions, &set.report);
        Self {
            program: prepare(set.program),
            exceptions: set.exceptions,
            rules,
            keys,
            set: ledger,
        }
    }

    /// Some of the rules alone, by their places, with the exceptions that are for them.
    pub(crate) fn only(&self, places: &[usize]) -> Self {
        let rules: Vec<Arc<Rule>> = places
            .iter()
            .filter_map(|place| self.rules.get(*place).cloned())
            .collect();
        let mut exceptions = self.exceptions.clone();
        for exception in &mut exceptions {
            let place = |rule: &RuleIndex| places.iter().position(|place| *place == rule.0 as usize);
            let new = exception.rules.iter().filter_map(place);
            exception.rules = new.map(index).collect();
        }
        exceptions.retain(|exception| !exception.rules.is_empty());
        Self {
            program: compile(&rules, &exceptions),
            keys: places
                .iter()
                .filter_map(|place| self.keys.get(*place).cloned())
                .collect(),
            set: self.set.clone(),
            rules,
            exceptions,
        }
    }

    pub(crate) fn plans(&self) -> Vec<&Plan> {
        self.rules.iter().filter_map(|rule| rule.plan.as_ref()).collect()
    }

    pub(crate) fn operators(&self, way: Way, memory: Memory) -> Operators {
        let is_live = way == Way::Live;
        let lateness =
            |rule: &Arc<Rule>| is_live.then(|| Duration::from_nanos(rule.schedule.lateness_nanos()));
        let config = OperatorConfig {
            emit: if is_live { Emit::AtOnce } else { Emit::WhenFinal },
            lateness: self.rules.iter().map(lateness).collect(),
            rule_bytes: memory.rule_bytes,
            total_bytes: memory.total_bytes,
            ..OperatorConfig::default()
        };
        Operators::new(&self.plans(), &config)
    }

    /// Rules of another book and of this one whose state goes on.
    pub(crate) fn same(&self, before: &Self) -> Vec<(RuleIndex, RuleIndex)> {
        let old: HashMap<&str, usize> = before.keys.iter().map(String::as_str).zip(0..).collect();
        let pair = |(place, key): (usize, &String)| Some((index(*old.get(key.as_str())?), index(place)));
        self.keys.iter().enumerate().filter_map(pair).collect()
    }

    pub(crate) fn place(&self, id: &str) -> Option<usize> {
        self.rules.iter().position(|rule| rule.id == id)
    }
}

/// The program of rules with exceptions.
pub(crate) fn compile(rules: &[Arc<Rule>], exceptions: &[RuleException]) -> Arc<Program> {
    let exceptions: Vec<Exception<'_>> = exceptions
        .iter()
        .map(|exception| Exception {
            fields: &exception.fields,
            condition: &exception.condition,
            rules: &exception.rules,
        })
        .collect();
    let plans = rules.iter().filter_map(|rule| rule.plan.as_ref());
    prepare(Program::compile_excepting(plans, &exceptions).0)
}

pub(crate) fn index(place: usize) -> RuleIndex {
    RuleIndex(u32::try_from(place).unwrap_or(u32::MAX))
}

/// How far behind an event another may lie that a rule needs, in nanoseconds; `None` for rules that remember nothing.
pub(crate) fn reach(rule: &Rule) -> Option<u64> {
    let lateness = rule.schedule.lateness_nanos();
    let own = match &rule.plan.as_ref()?.query {
        Query::Events(_) => return None,
        Query::Sequence(sequence) => sequence.maxspan.unwrap_or(rule.schedule.lookback_nanos),
        Query::Sample(_) => rule.schedule.lookback_nanos,
        Query::FirstSeen(query) => query.history,
        Query::Aggregate(query) => query.lookback,
        Query::Correlation(query) => span(query),
    };
    Some(own.saturating_add(lateness))
}

/// The spans of time of a correlation and those below it, one after the other.
fn span(query: &neph_plan::Correlation) -> u64 {
    let below = query.sources.iter().map(|source| match &source.candidates {
        neph_plan::Candidates::Events(_) => 0,
        neph_plan::Candidates::Matches(inner) => span(inner),
    });
    query.timespan.saturating_add(below.max().unwrap_or(0))
}

/// Whether a rule would say wrong things, or nothing for long, if it began without history.
pub(crate) fn needs_history(rule: &Rule) -> bool {
    let asks_for_new = rule
        .plan
        .as_ref()
        .is_some_and(|plan| matches!(plan.query, Query::FirstSeen(_)));
    reach(rule).is_some_and(|reach| asks_for_new || reach > LONG)
}

/// Takes text into a hash.
pub(crate) struct Hashing(Sha256);

impl Write for Hashing {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

/// A hash of text.
pub(crate) fn hash() -> Hashing {
    Hashing(Sha256::new())
}

impl Hashing {
    pub(crate) fn add(&mut self, text: &str) {
        self.0.update(text.as_bytes());
    }

    /// The first 128 bits.
    pub(crate) fn number(self) -> u128 {
        self.0
            .finalize()
            .iter()
            .take(16)
            .fold(0, |number, byte| number << 8 | u128::from(*byte))
    }

    fn text(self) -> String {
        format!("{:032x}", self.number())
    }
}

fn key(rule: &Rule) -> String {
    let mut hash = Hashing(Sha256::new());
    let schedule = (rule.schedule.interval_nanos, rule.schedule.lookback_nanos);
    let _ = write!(hash, "{schedule:?} {:?}", rule.plan);
    let family = if rule.kind.is_sigma() { "sigma" } else { "rule" };
    format!("{family} {} {}", rule.id, hash.text())
}

/// The rules as the ledger keeps them. The version of a rule is a hash of its plan, schedule, limits and exceptions.
fn rule_set(
    rules: &[Arc<Rule>],
    keys: &[String],
    exceptions: &[RuleException],
    report: &LoadReport,
) -> neph_store::RuleSet {
    let mut in_set: Vec<RuleInSet> = Vec::new();
    let mut states: HashMap<&str, (RuleHealth, String)> = HashMap::new();
    for one in &report.rules {
        let Some(id) = one.id.as_deref() else { continue };
        let (health, why) = match one.state {
            RuleState::Active => (RuleHealth::Active, String::new()),
            RuleState::Degraded => {
                let why: Vec<String> = one.reasons.iter().map(ToString::to_string).collect();
                (RuleHealth::Degraded, why.join("; "))
            }
            RuleState::Rejected => {
                let errors = one
                    .diagnostics
                    .iter()
                    .map(|diagnostic| diagnostic.message.clone());
                (RuleHealth::Rejected, errors.collect::<Vec<_>>().join("; "))
            }
        };
        if health == RuleHealth::Rejected {
            in_set.push(RuleInSet {
                id: id.to_owned(),
                name: one.name.clone().unwrap_or_default(),
                version: String::new(),
                health,
                why,
            });
        } else {
            states.insert(id, (health, why));
        }
    }
    for ((place, rule), key) in rules.iter().enumerate().zip(keys) {
        let mut hash = Hashing(Sha256::new());
        let _ = write!(hash, "{key} {} {:?}", rule.max_signals, rule.tuning.suppression);
        for exception in exceptions {
            if exception.rules.contains(&index(place)) {
                let _ = write!(hash, " {:?}", exception.condition);
            }
        }
        let (health, why) = states
            .get(rule.id.as_str())
            .cloned()
            .unwrap_or((RuleHealth::Active, String::new()));
        in_set.push(RuleInSet {
            id: rule.id.clone(),
            name: rule.name.clone(),
            version: hash.text(),
            health,
            why,
        });
    }
    in_set.sort_by(|a, b| a.id.cmp(&b.id));
    let mut hash = Hashing(Sha256::new());
    for rule in &in_set {
        let _ = writeln!(
            hash,
            "{} {} {:?} {}",
            rule.id, rule.version, rule.health, rule.why
        );
    }
    neph_store::RuleSet {
        id: hash.text(),
        rules: in_set,
    }
}
