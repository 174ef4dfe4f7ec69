//! The rules of a set as a list: what each is, in what state, picking some, counting all.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::load::RuleSet;
use crate::report::{Reason, RuleState};
use crate::rule::{Rule, RuleKind, RuleSeverity};

/// A rule in the list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// `rule_id`, as far as it could be read.
    pub rule_id: Option<String>,
    /// Display name, as far as it could be read.
    pub name: Option<String>,
    /// What became of it.
    pub state: RuleState,
    /// `eql`, `kuery`, `lucene`, `esql`, `sigma`.
    pub language: Option<String>,
    /// The word of its type.
    #[serde(rename = "type")]
    pub kind: Option<&'static str>,
    /// Severity without mapping.
    pub severity: Option<RuleSeverity>,
    /// Risk score without mapping.
    pub risk_score: Option<u8>,
    /// Tactics of its ATT&CK mapping, by id.
    pub tactics: Vec<String>,
    /// Techniques and sub-techniques of its ATT&CK mapping, by id.
    pub techniques: Vec<String>,
    /// The sources that feed it.
    pub sources: Vec<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Fields that it reads and no known source fills.
    pub fields_missing: Vec<String>,
    /// Why it is degraded or rejected, a sentence each.
    pub reasons: Vec<String>,
    /// Whether its file turns it on.
    pub enabled: Option<bool>,
    /// Its file.
    pub file: String,
}

/// The list of all rules of a set, in the order of loading.
pub fn entries(set: &RuleSet) -> Vec<Entry> {
    let all = set.all().into_iter();
    all.map(|(report, rule)| {
        let missing = report.reasons.iter().find_map(|reason| match reason {
            Reason::FieldsUnknown { fields } => Some(fields.clone()),
            _ => None,
        });
        let mut reasons: Vec<String> = report.reasons.iter().map(ToString::to_string).collect();
        if report.state == RuleState::Rejected {
            let errors = report.diagnostics.iter();
            let errors = errors.filter(|found| found.severity() == neph_diag::Severity::Error);
            reasons.extend(errors.map(|found| found.message.clone()));
        }
        Entry {
            rule_id: report.id.clone(),
            name: report.name.clone(),
            state: report.state,
            language: rule.map(|rule| rule.language.clone()),
            kind: report.kind.map(RuleKind::word),
            severity: rule.map(|rule| rule.severity),
            risk_score: rule.map(|rule| rule.risk_score),
            tactics: rule.map(tactics).unwrap_or_default(),
            techniques: rule.map(techniques).unwrap_or_default(),
            sources: rule.map(sources).unwrap_or_default(),
            tags: rule.map(|rule| rule.tags.clone()).unwrap_or_default(),
            fields_missing: missing.unwrap_or_default(),
            reasons,
            enabled: rule.map(|rule| rule.enabled),
            file: set
                .report
                .files
                .get(report.file)
                .map_or_else(String::new, |file| file.name.clone()),
        }
    })
    .collect()
}

fn tactics(rule: &Rule) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for threat in &rule.threat {
        if !threat.tactic.id.is_empty() && !ids.contains(&threat.tactic.id) {
            ids.push(threat.tactic.id.clone());
        }
    }
    ids
}

fn techniques(rule: &Rule) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for technique in rule.threat.iter().flat_map(|threat| &threat.techniques) {
        for item in std::iter::once(&technique.technique).chain(&technique.subtechniques) {
            if !item.id.is_empty() && !ids.contains(&item.id) {
                ids.push(item.id.clone());
            }
        }
    }
    ids
}

/// The integrations that a rule names, else those that its index patterns name, else its log source.
fn sources(rule: &Rule) -> Vec<String> {
    if !rule.metadata.integration.is_empty() {
        return rule.metadata.integration.clone();
    }
    let mut found: Vec<String> = Vec::new();
    for pattern in &rule.index {
        // `logs-aws.cloudtrail-*` is the integration aws, `winlogbeat-*` the shipper winlogbeat.
        let pattern = pattern.rsplit(':').next().unwrap_or(pattern);
        let (kind, rest) = pattern.split_once('-').unwrap_or((pattern, ""));
        let name = match kind {
            "logs" | "metrics" => rest.split(['.', '-', '*']).next().unwrap_or(""),
            other => other.trim_end_matches('*'),
        };
        if !name.is_empty() && !found.iter().any(|known| known == name) {
            found.push(name.to_owned());
        }
    }
    found
}

/// Which rules are wanted. Everything that is given must hold; of a list one must.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// States.
    pub states: Vec<RuleState>,
    /// Severities.
    pub severities: Vec<RuleSeverity>,
    /// Techniques or tactics by id; `T1552` takes its sub-techniques too.
    pub techniques: Vec<String>,
    /// Tags, whole and in any case.
    pub tags: Vec<String>,
    /// Words of types.
    pub kinds: Vec<String>,
    /// Languages.
    pub languages: Vec<String>,
    /// Sources.
    pub sources: Vec<String>,
    /// Parts of the id, the name or the file's name, in any case; all must be there.
    pub texts: Vec<String>,
}

impl Filter {
    /// Whether an entry is wanted.
    pub fn takes(&self, entry: &Entry) -> bool {
        let one_of = |wanted: &[String], values: &[String]| {
            wanted.is_empty()
                || wanted
                    .iter()
                    .any(|wanted| values.iter().any(|value| value.eq_ignore_ascii_case(wanted)))
        };
        let single = |value: Option<&str>| value.map(str::to_owned).into_iter().collect::<Vec<_>>();
        let is_under = |id: &str, wanted: &str| {
            let head = id
                .get(..wanted.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(wanted));
            head && matches!(id.as_bytes().get(wanted.len()), None | Some(b'.'))
        };
        let by_technique = self.techniques.is_empty()
            || self.techniques.iter().any(|wanted| {
                let mut ids = entry.techniques.iter().chain(&entry.tactics);
                ids.any(|id| is_under(id, wanted))
            });
        let text = [entry.rule_id.as_deref(), entry.name.as_deref(), Some(&entry.file)];
        let text = text
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join("\n")
            .to_lowercase();
        (self.states.is_empty() || self.states.contains(&entry.state))
            && (self.severities.is_empty()
                || entry
                    .severity
                    .is_some_and(|found| self.severities.contains(&found)))
            && by_technique
            && one_of(&self.tags, &entry.tags)
            && one_of(&self.kinds, &single(entry.kind))
            && one_of(&self.languages, &single(entry.language.as_deref()))
            && one_of(&self.sources, &entry.sources)
            && self.texts.iter().all(|part| text.contains(&part.to_lowercase()))
    }
}

/// How many rules there are of each kind. A rule of several tactics, techniques or sources counts in each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// All rules.
    pub rules: usize,
    /// By state.
    pub by_state: BTreeMap<String, usize>,
    /// By type.
    pub by_type: BTreeMap<String, usize>,
    /// By language.
    pub by_language: BTreeMap<String, usize>,
    /// By severity.
    pub by_severity: BTreeMap<String, usize>,
    /// By tactic.
    pub by_tactic: BTreeMap<String, usize>,
    /// By technique, sub-techniques apart.
    pub by_technique: BTreeMap<String, usize>,
    /// By source.
    pub by_source: BTreeMap<String, usize>,
}

/// The name under which rules are counted that do not say.
pub const UNKNOWN: &str = "-";

/// Counts entries.
pub fn statistics(entries: &[Entry]) -> Statistics {
    let mut counted = Statistics {
        rules: entries.len(),
        ..Statistics::default()
    };
    let add = |counts: &mut BTreeMap<String, usize>, names: &[String]| {
        if names.is_empty() {
            *counts.entry(UNKNOWN.into()).or_default() += 1;
        }
        for name in names {
            *counts.entry(name.clone()).or_default() += 1;
        }
    };
    for entry in entries {
        let state = match entry.state {
            RuleState::Active => "active",
            RuleState::Degraded => "degraded",
            RuleState::Rejected => "rejected",
        };
        let one = |word: Option<&str>| word.map(str::to_owned).into_iter().collect::<Vec<_>>();
        add(&mut counted.by_state, &[state.to_owned()]);
        add(&mut counted.by_type, &one(entry.kind));
        add(&mut counted.by_language, &one(entry.language.as_deref()));
        add(
            &mut counted.by_severity,
            &one(entry.severity.map(RuleSeverity::word)),
        );
        add(&mut counted.by_tactic, &entry.tactics);
        add(&mut counted.by_technique, &entry.techniques);
        add(&mut counted.by_source, &entry.sources);
    }
    counted
}

/// The entries that have most in common with one: shared techniques count most, then shared tactics.
pub fn related<'e>(entry: &Entry, entries: &'e [Entry], most: usize) -> Vec<&'e Entry> {
    let shared = |a: &[String], b: &[String]| a.iter().filter(|one| b.contains(one)).count();
    let mut ranked: Vec<(usize, &Entry)> = entries
        .iter()
        .filter(|other| other.rule_id != entry.rule_id)
        .map(|other| {
            let techniques = shared(&entry.techniques, &other.techniques);
            let sources = shared(&entry.sources, &other.sources);
            (
                if techniques == 0 {
                    0
                } else {
                    4 * techniques + sources
                },
                other,
            )
        })
        .filter(|(score, _)| *score > 0)
        .collect();
    ranked.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    ranked.into_iter().take(most).map(|(_, other)| other).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::load::load_text;

    fn entry() -> Entry {
        let text = r#"
[metadata]
integration = ["aws"]
[rule]
rule_id = "0b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a21"
name = "Keys of a user"
description = "Text"
type = "query"
language = "kuery"
severity = "high"
risk_score = 73
query = "event.action: CreateAccessKey"
tags = ["Domain: Cloud"]
[[rule.threat]]
framework = "MITRE ATT&CK"
tactic = { id = "TA0003", name = "Persistence", reference = "https://attack.mitre.org/tactics/TA0003/" }
[[rule.threat.technique]]
id = "T1098"
name = "Account Manipulation"
reference = "https://attack.mitre.org/techniques/T1098/"
[[rule.threat.technique.subtechnique]]
id = "T1098.001"
name = "Additional Cloud Credentials"
reference = "https://attack.mitre.org/techniques/T1098/001/"
"#;
        entries(&load_text(Path::new("keys.toml"), text.to_owned())).remove(0)
    }

    #[test]
    fn an_entry_says_what_the_rule_is() {
        let entry = entry();
        assert_eq!((entry.state, entry.kind), (RuleState::Active, Some("query")));
        assert_eq!(entry.techniques, ["T1098", "T1098.001"]);
        assert_eq!(
            (entry.tactics, entry.sources),
            (vec!["TA0003".to_owned()], vec!["aws".to_owned()])
        );
    }

    #[test]
    fn filters_take_what_they_name() {
        let entry = entry();
        let takes = |change: fn(&mut Filter)| {
            let mut filter = Filter::default();
            change(&mut filter);
            filter.takes(&entry)
        };
        assert!(takes(|_| {}));
        assert!(takes(|filter| filter.techniques = vec!["t1098".into()]));
        assert!(takes(|filter| filter.techniques = vec!["TA0003".into()]));
        assert!(!takes(|filter| filter.techniques = vec!["T109".into()]));
        assert!(takes(|filter| filter.tags = vec!["domain: cloud".into()]));
        assert!(!takes(|filter| filter.tags = vec!["cloud".into()]));
        assert!(takes(|filter| filter.texts = vec!["KEYS".into(), "user".into()]));
        assert!(!takes(|filter| filter.texts = vec!["keys".into(), "host".into()]));
        assert!(takes(
            |filter| filter.severities = vec![RuleSeverity::Low, RuleSeverity::High]
        ));
        assert!(!takes(|filter| filter.states = vec![RuleState::Rejected]));
        assert!(!takes(|filter| filter.kinds = vec!["eql".into()]));
        assert!(!takes(|filter| filter.sources = vec!["gcp".into()]));
    }

    #[test]
    fn counts_add_up() {
        let counted = statistics(&[entry(), entry()]);
        assert_eq!(counted.rules, 2);
        assert_eq!(counted.by_state.values().sum::<usize>(), 2);
        assert_eq!(counted.by_technique["T1098"], 2);
    }
}
