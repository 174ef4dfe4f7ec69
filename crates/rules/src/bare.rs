//! A file that holds nothing but an EQL query (`*.eql`), comments included.
//!
//! It becomes a rule with defaults: its id and name are the file's name without the ending, severity `low`, risk score
//! 21, Kibana's schedule (every 5 minutes, from `now-6m`) and 100 alerts a run, no index patterns. Two such files of one
//! name in different folders share an id, which is reported like any other shared id.

use std::sync::Arc;

use neph_diag::Span;

use crate::compile::{self, Overrides};
use crate::elastic::{MAX_SIGNALS, Reading};
use crate::rule::{Metadata, Rule, RuleKind, RuleOrigin, RuleSeverity, Tuning};
use crate::schedule::Schedule;
use crate::texts::Texts;
use crate::windows::Condition;

/// Reads the query and compiles it.
pub(crate) fn read(text: &str, origin: RuleOrigin) -> Reading {
    let name = origin
        .path
        .file_stem()
        .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let compiled = compile::eql(text, &Overrides::default());
    let rule = compiled.plan.map(|plan| Rule {
        id: name.clone(),
        name: name.clone(),
        description: String::new(),
        version: None,
        kind: RuleKind::Eql,
        query: text.into(),
        language: "eql".into(),
        condition: Condition::Single,
        severity: RuleSeverity::Low,
        risk_score: RuleSeverity::Low.number(),
        severity_mapping: Vec::new(),
        risk_score_mapping: Vec::new(),
        name_override: None,
        authors: Vec::new(),
        license: None,
        references: Vec::new(),
        tags: Vec::new(),
        false_positives: Vec::new(),
        note: None,
        setup: None,
        investigation_fields: Vec::new(),
        threat: Vec::new(),
        index: Vec::new(),
        schedule: Schedule::default(),
        max_signals: MAX_SIGNALS,
        timestamp_override: None,
        timestamp_field: "@timestamp".into(),
        building_block: None,
        timeline: None,
        metadata: Metadata::default(),
        enabled: true,
        tuning: Tuning::default(),
        texts: Texts::default(),
        origin,
        plan: Some(plan),
    });
    Reading {
        id: Some(name.clone()),
        name: Some(name),
        kind: Some(RuleKind::Eql),
        id_place: Span::default(),
        rule: rule.map(Arc::new),
        only_correlated: false,
        not_honoured: Vec::new(),
        unfilled: compiled.unfilled,
        reasons: Vec::new(),
        query_map: None,
        diagnostics: compiled.diagnostics,
        impossible: Vec::new(),
    }
}
