//! A rule as its file states it.

use std::path::PathBuf;

use neph_plan::{Plan, Query};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::exceptions::ExceptionListRef;
use crate::schedule::Schedule;
use crate::shared_text::SharedText;
use crate::suppression::Suppression;
use crate::texts::Texts;
use crate::windows::Condition;

/// A detection rule: what its file says, and the plan that its query became.
#[derive(Clone, Debug)]
pub struct Rule {
    /// `rule_id`: what alerts are told apart by.
    pub id: String,
    /// Display name.
    pub name: String,
    /// What it detects.
    pub description: String,
    /// Version, where the file states one.
    pub version: Option<u64>,
    /// Type.
    pub kind: RuleKind,
    /// The query's text.
    pub query: SharedText,
    /// The query's language: `eql`, `kuery`, `lucene` or `sigma`.
    pub language: String,
    /// What is asked of the events that the query finds.
    pub condition: Condition,
    /// Severity without mapping.
    pub severity: RuleSeverity,
    /// Risk score without mapping, 0 to 100.
    pub risk_score: u8,
    /// Severities that events may raise it to.
    pub severity_mapping: Vec<SeverityMapping>,
    /// Fields whose number replaces the risk score.
    pub risk_score_mapping: Vec<String>,
    /// The field whose value replaces the name.
    pub name_override: Option<String>,
    /// Authors.
    pub authors: Vec<String>,
    /// Licence.
    pub license: Option<String>,
    /// Addresses of further reading.
    pub references: Vec<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// What is known to trigger it without harm.
    pub false_positives: Vec<String>,
    /// Investigation guide, Markdown.
    pub note: Option<String>,
    /// How to set its source up, Markdown.
    pub setup: Option<String>,
    /// The fields to look at first.
    pub investigation_fields: Vec<String>,
    /// The mapping to ATT&CK or another framework.
    pub threat: Vec<Threat>,
    /// Index patterns as written.
    pub index: Vec<String>,
    /// Schedule.
    pub schedule: Schedule,
    /// Alerts that one run may raise singly; what is beyond becomes one grouped alert.
    pub max_signals: u64,
    /// The field whose time decides which run of the rule an alert belongs to, in place of `@timestamp`; an event without
    /// it counts by its own time. It never changes the order of events. Elastic uses it so that events that arrive late
    /// are still looked at; here every event is looked at when it comes.
    pub timestamp_override: Option<String>,
    /// The field of the event's time, `@timestamp` unless the rule says otherwise.
    pub timestamp_field: String,
    /// `building_block_type`: alerts are material for other rules rather than for people.
    pub building_block: Option<String>,
    /// Kibana's timeline template: id and title.
    pub timeline: Option<(String, String)>,
    /// The file's own metadata.
    pub metadata: Metadata,
    /// Whether the file turns the rule on.
    pub enabled: bool,
    /// What its alerts and events are tuned by: the file's own keys, and overlays.
    pub tuning: Tuning,
    /// Its texts in other languages, and which of them it has now.
    pub texts: Texts,
    /// Where it was read.
    pub origin: RuleOrigin,
    /// The plan, where the query compiled.
    pub plan: Option<Plan>,
}

impl Rule {
    /// How late an event may come and still take part: the look-back minus the interval.
    pub fn lateness(&self) -> std::time::Duration {
        std::time::Duration::from_nanos(self.schedule.lateness_nanos())
    }

    /// Brings the plan up to date with the schedule, after it was changed.
    pub(crate) fn apply_schedule(&mut self) {
        let (interval, lookback) = (self.schedule.interval_nanos, self.schedule.lookback_nanos);
        match self.plan.as_mut().map(|plan| &mut plan.query) {
            Some(Query::FirstSeen(query)) => query.interval = interval,
            Some(Query::Aggregate(query)) if self.kind == RuleKind::Threshold => {
                query.interval = interval;
                query.lookback = lookback.max(interval);
            }
            _ => {}
        }
    }
}

/// What tunes a rule beside its query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tuning {
    /// Which of its alerts are one.
    pub suppression: Option<Suppression>,
    /// The exception lists that it names.
    pub exception_lists: Vec<ExceptionListRef>,
    /// The overlays that change it, by their names, in the order in which they were applied.
    pub overlays: Vec<String>,
    /// `timestamp_override_fallback_disabled`: an event without the field of `timestamp_override` takes no part.
    pub fallback_disabled: bool,
    /// Keys that nothing here depends on and that Kibana's alerts carry (`related_integrations`, `required_fields`, `meta`,
    /// `data_view_id` …), as written.
    pub carried: Map<String, Value>,
}

/// Where a rule was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleOrigin {
    /// The file.
    pub path: PathBuf,
    /// Line of the file, from 1, where the rule begins.
    pub line: usize,
    /// The pack: the folder that the file lies in, or the export file's name.
    pub ruleset: String,
}

/// Types of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleKind {
    /// Event correlation in EQL.
    Eql,
    /// A KQL or Lucene query.
    Query,
    /// A query saved in Kibana.
    SavedQuery,
    /// Values that are seen for the first time.
    NewTerms,
    /// Counts over a limit.
    Threshold,
    /// Events that match indicators.
    ThreatMatch,
    /// An ES|QL query.
    Esql,
    /// Anomalies of a machine learning job.
    MachineLearning,
    /// A detection rule of Sigma.
    Sigma,
    /// A correlation rule of Sigma.
    SigmaCorrelation,
}

impl RuleKind {
    /// Whether it is one of Sigma's.
    pub fn is_sigma(self) -> bool {
        matches!(self, Self::Sigma | Self::SigmaCorrelation)
    }

    /// All types that Elastic has.
    pub const ALL: [Self; 8] = [
        Self::Eql,
        Self::Query,
        Self::SavedQuery,
        Self::NewTerms,
        Self::Threshold,
        Self::ThreatMatch,
        Self::Esql,
        Self::MachineLearning,
    ];

    /// The word that rule files use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Eql => "eql",
            Self::Query => "query",
            Self::SavedQuery => "saved_query",
            Self::NewTerms => "new_terms",
            Self::Threshold => "threshold",
            Self::ThreatMatch => "threat_match",
            Self::Esql => "esql",
            Self::MachineLearning => "machine_learning",
            Self::Sigma => "sigma",
            Self::SigmaCorrelation => "sigma_correlation",
        }
    }

    /// What Kibana calls the category of such rules.
    pub fn category(self) -> &'static str {
        match self {
            Self::Eql => "Event Correlation Rule",
            Self::Query => "Custom Query Rule",
            Self::SavedQuery => "Saved Query Rule",
            Self::NewTerms => "New Terms Rule",
            Self::Threshold => "Threshold Rule",
            Self::ThreatMatch => "Indicator Match Rule",
            Self::Esql => "ES|QL Rule",
            Self::MachineLearning => "Machine Learning Rule",
            Self::Sigma => "Sigma Rule",
            Self::SigmaCorrelation => "Sigma Correlation Rule",
        }
    }

    /// Kibana's id of such rules (`kibana.alert.rule.rule_type_id`).
    pub fn type_id(self) -> &'static str {
        match self {
            Self::Eql => "siem.eqlRule",
            Self::Query => "siem.queryRule",
            Self::SavedQuery => "siem.savedQueryRule",
            Self::NewTerms => "siem.newTermsRule",
            Self::Threshold => "siem.thresholdRule",
            Self::ThreatMatch => "siem.indicatorRule",
            Self::Esql => "siem.esqlRule",
            Self::MachineLearning => "siem.mlRule",
            // Kibana has no such rules; to it they are queries.
            Self::Sigma | Self::SigmaCorrelation => "siem.queryRule",
        }
    }

    /// Whether rules of this type run.
    pub fn is_supported(self) -> bool {
        !matches!(self, Self::Esql | Self::MachineLearning)
    }
}

/// Severity of a rule and its alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleSeverity {
    /// Worth recording.
    Low,
    /// Worth a look.
    Medium,
    /// To be looked at soon.
    High,
    /// To be looked at now.
    Critical,
}

impl RuleSeverity {
    /// All severities, ascending.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The word that rule files use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The severity of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.word() == word)
    }

    /// The number for `event.severity`: Elastic's default risk scores of the four words.
    pub fn number(self) -> u8 {
        match self {
            Self::Low => 21,
            Self::Medium => 47,
            Self::High => 73,
            Self::Critical => 99,
        }
    }
}

/// An event with this value in this field raises alerts of this severity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeverityMapping {
    /// The field.
    pub field: String,
    /// Its value.
    pub value: String,
    /// The severity.
    pub severity: RuleSeverity,
}

/// A tactic with its techniques.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Threat {
    /// `MITRE ATT&CK`, for example.
    pub framework: String,
    /// The tactic.
    pub tactic: ThreatItem,
    /// Its techniques.
    pub techniques: Vec<Technique>,
}

/// A technique with its sub-techniques.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Technique {
    /// The technique.
    pub technique: ThreatItem,
    /// Its sub-techniques.
    pub subtechniques: Vec<ThreatItem>,
}

/// A tactic, technique or sub-technique.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ThreatItem {
    /// `T1552.005`
    pub id: String,
    /// `Cloud Instance Metadata API`
    pub name: String,
    /// Its page.
    pub reference: String,
}

/// `[metadata]` of a TOML rule file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Metadata {
    /// When it was written, as written (`2026/01/31`).
    pub creation_date: Option<String>,
    /// When it was changed last.
    pub updated_date: Option<String>,
    /// `production`, `development`, …
    pub maturity: Option<String>,
    /// The sources that feed it.
    pub integration: Vec<String>,
    /// The oldest Elastic version that runs it.
    pub min_stack_version: Option<String>,
    /// Why that version.
    pub min_stack_comments: Option<String>,
}
