//! Picking rules: the arguments that `list`, `stats` and `convert` share.

use std::path::PathBuf;

use neph_rules::catalogue::Filter;
use neph_rules::{RuleSet, RuleSeverity, RuleState};

use super::{BUILTIN, BesideArgs, LangArgs, rule_path};

/// Which rules.
#[derive(Debug, clap::Args)]
pub(crate) struct PickArgs {
    /// Rule files or folders of them; `builtin` stands for the rules that the binary carries.
    #[arg(value_name = "PATH", default_value = BUILTIN, value_parser = rule_path)]
    pub(crate) paths: Vec<PathBuf>,
    /// Only rules in this state; may be given several times, as all of these.
    #[arg(long, value_enum, value_name = "STATE")]
    state: Vec<State>,
    /// Only rules of this severity.
    #[arg(long, value_enum, value_name = "SEVERITY")]
    severity: Vec<Severity>,
    /// Only rules of this technique or tactic of ATT&CK, by id; `T1552` takes its sub-techniques too.
    #[arg(long, value_name = "ID")]
    technique: Vec<String>,
    /// Only rules with this tag.
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// Only rules of this type: `eql`, `query`, `new_terms`, `threshold`, `threat_match`, `sigma` …
    #[arg(long = "type", value_name = "TYPE")]
    kind: Vec<String>,
    /// Only rules in this language: `eql`, `kuery`, `lucene`, `sigma` …
    #[arg(long, value_name = "LANGUAGE")]
    language: Vec<String>,
    /// Only rules that this source feeds: `aws`, `endpoint`, `windows` …
    #[arg(long, value_name = "SOURCE")]
    source: Vec<String>,
    /// Only rules with this text in their id, name or file name; given several times, with all of them.
    #[arg(long, value_name = "TEXT")]
    search: Vec<String>,
    #[command(flatten)]
    pub(crate) beside: BesideArgs,
    #[command(flatten)]
    pub(crate) lang: LangArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum State {
    Active,
    Degraded,
    Rejected,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

impl PickArgs {
    /// Loads the rules to choose from.
    pub(crate) fn load(&self) -> RuleSet {
        self.beside.load(&self.paths, self.lang.lang())
    }

    pub(crate) fn filter(&self) -> Filter {
        let state = |state: &State| match state {
            State::Active => RuleState::Active,
            State::Degraded => RuleState::Degraded,
            State::Rejected => RuleState::Rejected,
        };
        let severity = |severity: &Severity| match severity {
            Severity::Low => RuleSeverity::Low,
            Severity::Medium => RuleSeverity::Medium,
            Severity::High => RuleSeverity::High,
            Severity::Critical => RuleSeverity::Critical,
        };
        Filter {
            states: self.state.iter().map(state).collect(),
            severities: self.severity.iter().map(severity).collect(),
            techniques: self.technique.clone(),
            tags: self.tag.clone(),
            kinds: self.kind.clone(),
            languages: self.language.clone(),
            sources: self.source.clone(),
            texts: self.search.clone(),
        }
    }
}
