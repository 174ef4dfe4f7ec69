//! Which techniques of ATT&CK a set of rules covers, on which sources, whether that is tested, and what is missing.

use std::collections::BTreeMap;

use neph_attack::{State, Tactic, Technique, attack};
use serde::Serialize;

use crate::catalogue::{Entry, entries};
use crate::load::RuleSet;
use crate::report::RuleState;
use crate::rule_tests::cases_beside;

/// The platforms of a matrix where no others are asked for: clouds and containers.
pub const PLATFORMS: [&str; 2] = ["IaaS", "Containers"];

/// Techniques with the rules for them.
#[derive(Clone, Debug, Serialize)]
pub struct Matrix {
    /// The version of ATT&CK.
    pub attack: &'static str,
    /// The platforms whose techniques are all in it; those that a rule names are in it besides.
    pub platforms: Vec<String>,
    /// By technique, sub-techniques behind theirs.
    pub techniques: Vec<Row>,
}

/// A technique or sub-technique.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its id.
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Short names of its tactics.
    pub tactics: Vec<&'static str>,
    /// Detection strategies of ATT&CK for it, by id.
    pub strategies: Vec<&'static str>,
    /// The platforms that it is known on.
    pub platforms: Vec<&'static str>,
    /// Mitigations of ATT&CK against it: id and name.
    pub mitigations: Vec<(&'static str, &'static str)>,
    /// The rules that name it.
    pub rules: Vec<CoveringRule>,
    /// The sources that these rules look at.
    pub sources: Vec<String>,
    /// What is missing.
    pub gap: Option<Gap>,
}

/// A rule that names a technique.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CoveringRule {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What became of it.
    pub state: RuleState,
    /// Why it is degraded or rejected.
    pub reasons: Vec<String>,
    /// The sources that it looks at.
    pub sources: Vec<String>,
    /// Cases of its tests that want an alert, and that want none; nothing where it has no tests.
    pub tests: Option<(usize, usize)>,
}

/// Why a technique is not covered, or not surely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gap {
    /// No rule names it.
    NoRule,
    /// Rules name it, and none of them runs.
    NotRunning,
    /// Those that run do not run as they are written, as something that they need is missing.
    Degraded,
    /// None of those that run has tests with attacks and with what looks like them.
    Untested,
}

impl Gap {
    /// In words.
    pub fn told(self) -> &'static str {
        match self {
            Self::NoRule => "no rule",
            Self::NotRunning => "no rule that runs",
            Self::Degraded => "only degraded rules",
            Self::Untested => "only rules without tests",
        }
    }
}

impl CoveringRule {
    fn is_tested(&self) -> bool {
        self.tests
            .is_some_and(|(attacks, benign)| attacks > 0 && benign > 0)
    }
}

impl Row {
    /// Rules that run, degraded ones included.
    pub fn running(&self) -> impl Iterator<Item = &CoveringRule> {
        self.rules.iter().filter(|rule| rule.state != RuleState::Rejected)
    }

    /// Whether it is a sub-technique.
    pub fn is_sub(&self) -> bool {
        self.id.contains('.')
    }

    fn gap(&self) -> Option<Gap> {
        let active = || self.rules.iter().filter(|rule| rule.state == RuleState::Active);
        if self.rules.is_empty() {
            Some(Gap::NoRule)
        } else if self.running().next().is_none() {
            Some(Gap::NotRunning)
        } else if active().next().is_none() {
            Some(Gap::Degraded)
        } else if !active().any(CoveringRule::is_tested) {
            Some(Gap::Untested)
        } else {
            None
        }
    }
}

impl Matrix {
    /// The matrix of a set: all techniques of the platforms, and those that its rules name.
    pub fn new(set: &RuleSet, platforms: &[String]) -> Self {
        let mut by_technique: BTreeMap<String, Vec<CoveringRule>> = BTreeMap::new();
        for (entry, (_, rule)) in entries(set).into_iter().zip(set.all()) {
            let covering = CoveringRule {
                id: entry.rule_id.clone().unwrap_or_default(),
                name: entry.name.clone().unwrap_or_default(),
                state: entry.state,
                reasons: entry.reasons.clone(),
                sources: sources(&entry, rule.map_or(&[], |rule| &rule.index)),
                tests: rule.and_then(cases_beside),
            };
            for id in &entry.techniques {
                by_technique.entry(id.clone()).or_default().push(covering.clone());
            }
        }
        let of_platform = |technique: &Technique| {
            technique.state == State::Current
                && technique
                    .platforms
                    .iter()
                    .any(|own| platforms.iter().any(|wanted| wanted == own))
        };
        let mut rows = Vec::new();
        for technique in attack().techniques() {
            let rules = by_technique.remove(technique.id).unwrap_or_default();
            if rules.is_empty() && !of_platform(technique) {
                continue;
            }
            let mut sources: Vec<String> = rules.iter().flat_map(|rule| rule.sources.clone()).collect();
            sources.sort();
            sources.dedup();
            let mut row = Row {
                id: technique.id,
                name: technique.name,
                tactics: technique.tactics.clone(),
                strategies: attack()
                    .strategies_of(technique.id)
                    .map(|strategy| strategy.id)
                    .collect(),
                platforms: technique.platforms.clone(),
                mitigations: technique
                    .mitigations
                    .iter()
                    .map(|id| (*id, attack().mitigation(id).unwrap_or_default()))
                    .collect(),
                rules,
                sources,
                gap: None,
            };
            row.gap = row.gap();
            rows.push(row);
        }
        Self {
            attack: attack().version(),
            platforms: platforms.to_vec(),
            techniques: rows,
        }
    }

    /// The tactics that it has techniques of, in ATT&CK's order, each with these.
    pub fn by_tactic(&self) -> impl Iterator<Item = (&'static Tactic, Vec<&Row>)> {
        let of = |tactic: &'static Tactic| {
            let rows = self.techniques.iter();
            let rows = rows.filter(|row| row.tactics.contains(&tactic.short_name));
            (tactic, rows.collect::<Vec<_>>())
        };
        attack()
            .tactics()
            .iter()
            .map(of)
            .filter(|(_, rows)| !rows.is_empty())
    }

    /// How many techniques have a rule that runs, how many of them without a gap, and how many there are.
    pub fn counts(&self) -> (usize, usize, usize) {
        let rows = || self.techniques.iter();
        (
            rows().filter(|row| row.running().next().is_some()).count(),
            rows().filter(|row| row.gap.is_none()).count(),
            self.techniques.len(),
        )
    }
}

/// The data streams of the rule's index patterns; where it has none, the integrations or log source that it names.
fn sources(entry: &Entry, index: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for pattern in index {
        let local = pattern.rsplit(':').next().unwrap_or(pattern);
        let stream = local.strip_prefix("logs-").unwrap_or(local);
        let dataset = stream
            .split(['-', '*'])
            .next()
            .unwrap_or(stream)
            .trim_end_matches('.');
        if !dataset.is_empty() && !found.iter().any(|known| known == dataset) {
            found.push(dataset.to_owned());
        }
    }
    match found.is_empty() {
        true => entry.sources.clone(),
        false => found,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Gap, Matrix};

    #[test]
    fn gaps_have_their_reasons() {
        let rule = |id: u8, query: &str, technique: &str| {
            format!(
                "[rule]\nrule_id = \"0b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a{id:02}\"\nname = \"n{id}\"\ndescription = \"d\"\ntype = \"query\"\nseverity = \"low\"\nrisk_score = 21\nindex = [\"logs-aws.cloudtrail-*\"]\nlanguage = \"kuery\"\nquery = '{query}'\n[[rule.threat]]\nframework = \"MITRE ATT&CK\"\n[rule.threat.tactic]\nid = \"TA0007\"\nname = \"Discovery\"\nreference = \"\"\n[[rule.threat.technique]]\nid = \"{technique}\"\nname = \"\"\nreference = \"\"\n"
            )
        };
        let gap = |query: &str, technique: &str| {
            let set = crate::load_text(Path::new("a.toml"), rule(1, query, technique));
            let matrix = Matrix::new(&set, &["Containers".to_owned()]);
            let row = matrix.techniques.iter().find(|row| row.id == technique).unwrap();
            (row.gap, row.sources.clone(), matrix.counts().0)
        };
        let streams = vec!["aws.cloudtrail".to_owned()];
        assert_eq!(
            gap("event.action: x", "T1580"),
            (Some(Gap::Untested), streams.clone(), 1)
        );
        assert_eq!(
            gap("no.such.field: x", "T1613"),
            (Some(Gap::Degraded), streams, 1)
        );
        assert_eq!(gap("event.action: (", "T1613").0, Some(Gap::NotRunning));
        let set = crate::load_text(Path::new("a.toml"), rule(1, "event.action: x", "T1613"));
        let matrix = Matrix::new(&set, &["Containers".to_owned()]);
        let none = matrix.techniques.iter().find(|row| row.id == "T1525").unwrap();
        assert_eq!(none.gap, Some(Gap::NoRule));
        // Only techniques of the platform, and those that rules name.
        assert!(matrix.techniques.iter().all(|row| row.id != "T1580"));
    }
}
