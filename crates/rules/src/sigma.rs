//! Rules of Sigma files (`*.yml`, `*.yaml`).
//!
//! A document becomes a rule with Kibana's schedule and limits; severity and risk score follow its level, and the ATT&CK
//! mapping its tags. The placeholders of `expand` have no lists yet, so that rules with them are degraded.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use neph_diag::{Diagnostic, Span};
use neph_plan::{Condition, Plan};
use neph_sigma::ast::{self, Level};
use neph_sigma::{Content, Document, Mappings, Options};

use crate::elastic::{MAX_SIGNALS, Reading};
use crate::embedded::Embedded;
use crate::report::Reason;
use crate::rule::{Metadata, Rule, RuleKind, RuleOrigin, RuleSeverity, Technique, Threat, ThreatItem};
use crate::schedule::Schedule;
use crate::windows;

/// What the documents of a file are.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    /// Detection rules, correlation rules, and documents that cannot be read.
    pub(crate) rules: Vec<Reading>,
    /// Filters.
    pub(crate) filters: u64,
    /// What is to be said of the filters.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Reads the documents of a text; `origin` gives where a rule that begins at an offset was read.
pub(crate) fn read(text: &str, origin: impl Fn(usize) -> RuleOrigin) -> Documents {
    let documents = neph_sigma::parse(text);
    let mut filters = Vec::new();
    let mut read = Documents::default();
    for document in &documents {
        if let Content::Filter(filter) = &document.content {
            read.filters += 1;
            read.diagnostics.extend(document.diagnostics.iter().cloned());
            read.diagnostics.extend(without_target(filter, &documents));
            if !neph_diag::has_errors(&document.diagnostics) {
                filters.push(&**filter);
            }
        }
    }
    for document in &documents {
        let place = document.span.start as usize;
        let reading = match &document.content {
            Content::Rule(rule) => detection(text, document, rule, &filters, origin(place)),
            Content::Correlation { title, id } => Reading {
                id: id.clone(),
                name: title.clone(),
                kind: Some(RuleKind::SigmaCorrelation),
                ..unreadable(document)
            },
            Content::Broken => unreadable(document),
            Content::Filter(_) | Content::Foreign => continue,
        };
        read.rules.push(reading);
    }
    read
}

fn unreadable(document: &Document) -> Reading {
    Reading {
        id: None,
        name: None,
        kind: None,
        id_place: document.span,
        rule: None,
        not_honoured: Vec::new(),
        unfilled: Vec::new(),
        reasons: Vec::new(),
        query_map: None,
        diagnostics: document.diagnostics.clone(),
    }
}

/// Whether a filter names this rule, or every rule of its log source.
fn applies(filter: &ast::Filter, rule: &ast::Rule) -> bool {
    let named = |name: &Option<String>| {
        name.as_ref()
            .is_some_and(|name| filter.rules.iter().any(|(wanted, _)| wanted == name))
    };
    filter.logsource.covers(&rule.logsource)
        && (filter.rules.is_empty() || named(&rule.id) || named(&rule.name))
}

/// What a filter names that is not in its file.
fn without_target(filter: &ast::Filter, documents: &[Document]) -> Vec<Diagnostic> {
    let rules = || {
        documents.iter().filter_map(|document| match &document.content {
            Content::Rule(rule) => Some(rule),
            _ => None,
        })
    };
    let missing = |message: String, span: Span| Diagnostic::new(&neph_sigma::FILTER_TARGET, span, message);
    if filter.rules.is_empty() {
        let applied = rules().any(|rule| applies(filter, rule));
        let message = "no rule of this file is of the filter's log source".to_owned();
        return if applied {
            Vec::new()
        } else {
            vec![missing(message, filter.id_span)]
        };
    }
    let mut found = Vec::new();
    for (wanted, span) in &filter.rules {
        let target =
            rules().find(|rule| rule.id.as_ref() == Some(wanted) || rule.name.as_ref() == Some(wanted));
        match target {
            None => found.push(missing(format!("the rule `{wanted}` is not in this file"), *span)),
            Some(rule) if !applies(filter, rule) => {
                let message = format!("the rule `{wanted}` is of another log source than the filter");
                found.push(missing(message, *span));
            }
            Some(_) => {}
        }
    }
    found
}

fn detection(
    text: &str,
    document: &Document,
    rule: &ast::Rule,
    filters: &[&ast::Filter],
    origin: RuleOrigin,
) -> Reading {
    static NO_LISTS: LazyLock<BTreeMap<String, Vec<String>>> = LazyLock::new(BTreeMap::new);
    let options = Options {
        mappings: Mappings::shipped(),
        lists: &NO_LISTS,
    };
    let applied: Vec<&ast::Filter> = filters
        .iter()
        .copied()
        .filter(|filter| applies(filter, rule))
        .collect();
    let compiled = neph_sigma::compile(rule, &applied, &options);
    let mut diagnostics = document.diagnostics.clone();
    diagnostics.extend(compiled.diagnostics);
    // Alerts are told apart by the id; a rule that states none goes by its title.
    let stem = || {
        origin
            .path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
    };
    let id = rule
        .id
        .clone()
        .or_else(|| rule.title.clone())
        .or_else(stem)
        .unwrap_or_default();
    let mut reasons = Vec::new();
    if compiled.unknown_source {
        reasons.push(Reason::LogSourceUnknown {
            logsource: rule.logsource.to_string(),
        });
    }
    if !compiled.missing_lists.is_empty() {
        reasons.push(Reason::ListsMissing {
            lists: compiled.missing_lists,
        });
    }
    let plan = compiled
        .plan
        .filter(|_| !neph_diag::has_errors(&diagnostics))
        .map(|mut plan| {
            move_spans(&mut plan, document.span);
            plan
        });
    Reading {
        id: Some(id.clone()),
        name: rule.title.clone(),
        kind: Some(RuleKind::Sigma),
        id_place: rule.id_span,
        rule: plan.map(|plan| build(rule, id, document.span.text(text), origin, plan)),
        not_honoured: Vec::new(),
        unfilled: compiled.unknown_fields,
        reasons,
        query_map: Some(Embedded::part(document.span)),
        diagnostics,
    }
}

fn build(rule: &ast::Rule, id: String, query: &str, origin: RuleOrigin, plan: Plan) -> Rule {
    let (severity, risk_score) = match rule.level {
        Some(Level::Informational) | None => (RuleSeverity::Low, 1),
        Some(Level::Low) => (RuleSeverity::Low, RuleSeverity::Low.number()),
        Some(Level::Medium) => (RuleSeverity::Medium, RuleSeverity::Medium.number()),
        Some(Level::High) => (RuleSeverity::High, RuleSeverity::High.number()),
        Some(Level::Critical) => (RuleSeverity::Critical, RuleSeverity::Critical.number()),
    };
    Rule {
        name: rule.title.clone().unwrap_or_else(|| id.clone()),
        id,
        description: rule.description.clone().unwrap_or_default(),
        version: None,
        kind: RuleKind::Sigma,
        query: query.to_owned(),
        language: "sigma".into(),
        condition: windows::Condition::Single,
        severity,
        risk_score,
        severity_mapping: Vec::new(),
        risk_score_mapping: Vec::new(),
        name_override: None,
        authors: rule.author.iter().cloned().collect(),
        license: rule.license.clone(),
        references: rule.references.clone(),
        tags: rule.tags.clone(),
        false_positives: rule.false_positives.clone(),
        note: None,
        setup: None,
        investigation_fields: rule.fields.clone(),
        threat: threat(&rule.tags),
        index: Vec::new(),
        schedule: Schedule::default(),
        max_signals: MAX_SIGNALS,
        timestamp_override: None,
        timestamp_field: "@timestamp".into(),
        building_block: None,
        timeline: None,
        metadata: Metadata {
            creation_date: rule.date.clone(),
            updated_date: rule.modified.clone(),
            maturity: rule.status.clone(),
            ..Metadata::default()
        },
        enabled: true,
        origin,
        plan: Some(plan),
    }
}

/// Moves the spans of the plan from the file to the document; what a document has from another one has none.
fn move_spans(plan: &mut Plan, document: Span) {
    fn walk(condition: &mut Condition, document: Span) {
        match condition {
            Condition::Const(_) => {}
            Condition::And(parts) | Condition::Or(parts) => {
                parts.iter_mut().for_each(|part| walk(part, document));
            }
            Condition::Not(part) => walk(part, document),
            Condition::Leaf(leaf) => {
                let inside = document.start <= leaf.span.start && leaf.span.end <= document.end;
                leaf.span = match inside {
                    true => Span {
                        start: leaf.span.start - document.start,
                        end: leaf.span.end - document.start,
                    },
                    false => Span::default(),
                };
            }
        }
    }
    for condition in plan.query.conditions_mut() {
        walk(condition, document);
    }
}

/// The tactics of ATT&CK by the words that tags use. <https://attack.mitre.org/tactics/enterprise/>
const TACTICS: &[(&str, &str, &str)] = &[
    ("reconnaissance", "TA0043", "Reconnaissance"),
    ("resource-development", "TA0042", "Resource Development"),
    ("initial-access", "TA0001", "Initial Access"),
    ("execution", "TA0002", "Execution"),
    ("persistence", "TA0003", "Persistence"),
    ("privilege-escalation", "TA0004", "Privilege Escalation"),
    ("defense-evasion", "TA0005", "Defense Evasion"),
    ("credential-access", "TA0006", "Credential Access"),
    ("discovery", "TA0007", "Discovery"),
    ("lateral-movement", "TA0008", "Lateral Movement"),
    ("collection", "TA0009", "Collection"),
    ("exfiltration", "TA0010", "Exfiltration"),
    ("command-and-control", "TA0011", "Command and Control"),
    ("impact", "TA0040", "Impact"),
];

/// The ATT&CK mapping of tags such as `attack.execution` and `attack.t1059.001`. Tags do not say which technique belongs to
/// which tactic: with one tactic all do, otherwise they stand apart.
fn threat(tags: &[String]) -> Vec<Threat> {
    let mut tactics = Vec::new();
    let mut techniques: Vec<Technique> = Vec::new();
    for tag in tags.iter().filter_map(|tag| tag.strip_prefix("attack.")) {
        let word = tag.to_lowercase().replace('_', "-");
        if let Some((_, id, name)) = TACTICS.iter().find(|(known, ..)| *known == word) {
            tactics.push(ThreatItem {
                id: (*id).into(),
                name: (*name).into(),
                reference: format!("https://attack.mitre.org/tactics/{id}/"),
            });
            continue;
        }
        let id = tag.to_uppercase();
        let (main, sub) = match id.split_once('.') {
            Some((main, sub)) => (main, Some(sub)),
            None => (id.as_str(), None),
        };
        let digits = main.strip_prefix('T').unwrap_or("");
        if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let place = techniques.iter().position(|known| known.technique.id == main);
        let place = place.unwrap_or_else(|| {
            techniques.push(Technique {
                technique: ThreatItem {
                    id: main.into(),
                    name: String::new(),
                    reference: format!("https://attack.mitre.org/techniques/{main}/"),
                },
                subtechniques: Vec::new(),
            });
            techniques.len() - 1
        });
        if let (Some(sub), Some(technique)) = (sub, techniques.get_mut(place)) {
            technique.subtechniques.push(ThreatItem {
                id: id.clone(),
                name: String::new(),
                reference: format!("https://attack.mitre.org/techniques/{main}/{sub}/"),
            });
        }
    }
    let of = |tactic: ThreatItem, techniques: Vec<Technique>| Threat {
        framework: "MITRE ATT&CK".into(),
        tactic,
        techniques,
    };
    if let [tactic] = tactics.as_slice() {
        return vec![of(tactic.clone(), techniques)];
    }
    let mut threat: Vec<Threat> = tactics.into_iter().map(|tactic| of(tactic, Vec::new())).collect();
    if !techniques.is_empty() {
        threat.push(of(ThreatItem::default(), techniques));
    }
    threat
}
