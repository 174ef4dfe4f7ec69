//! `alert_suppression`: which alerts of a rule are one.
//!
//! Alerts that share the values of the fields of `group_by` become one, the first in time, which counts the others: within one
//! run of the rule, or within `duration` from the first. <https://www.elastic.co/docs/solutions/security/detect-and-alert/suppress-detection-alerts>
//!
//! On a sequence a field may name a step: `step[2].destination.ip` is the field of the event of the second step, and plain
//! `destination.ip` what all events share. Steps count from 1, as in the alert.

use neph_diag::{Diagnostic, Span};
use neph_plan::Query;
use serde::Serialize;

use crate::check::Findings;
use crate::codes;
use crate::keys;
use crate::rule::{Rule, RuleKind};
use crate::schedule::parse_interval;
use neph_document::{Data, Node};

/// Most fields of `group_by`, as in Kibana.
const MAX_FIELDS: usize = 3;

/// How alerts of a rule are suppressed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Suppression {
    /// What alerts that become one share; empty for a threshold, whose own fields count.
    pub group_by: Vec<GroupField>,
    /// Time from the first alert in which others are suppressed, in nanoseconds; `None`: within one run of the rule.
    pub duration_nanos: Option<u64>,
    /// Whether alerts without a value in one of the fields become one as well; otherwise each stands alone.
    pub suppresses_missing: bool,
    /// The overlay that says so; `None` for the rule itself.
    pub overlay: Option<String>,
}

/// A field of `group_by`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupField {
    /// The field as it is written, with its step.
    pub written: String,
    /// The step, from 0.
    pub step: Option<u16>,
    /// The field's path.
    pub path: String,
    /// Where it is written.
    #[serde(skip)]
    pub(crate) span: Span,
}

/// Reads the table of a rule or an overlay; `None` where it says nothing that can be done. `kind` where it is known.
pub(crate) fn read(
    node: &Node,
    kind: Option<RuleKind>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Suppression> {
    let table = node.as_table()?;
    let mut findings = Findings::default();
    findings.check(table, node.span, "alert_suppression", keys::SUPPRESSION, None);
    diagnostics.append(&mut findings.diagnostics);
    let mut refuse = |place: Span, message: String, help: &str| {
        diagnostics.push(Diagnostic::new(&codes::VALUE, place, message).with_help(help));
    };
    let mut duration_nanos = None;
    if let Some(duration) = table.get("duration") {
        duration_nanos = nanos(duration);
        if duration_nanos.is_none() {
            let message = "the duration of a suppression is a whole number above 0 and a unit".to_owned();
            refuse(
                duration.span,
                message,
                "`{value = 5, unit = \"m\"}` or `\"5m\"`; the units are `s`, `m`, `h` and `d`",
            );
        }
    }
    let mut suppresses_missing = true;
    if let Some(strategy) = table.get("missing_fields_strategy") {
        match strategy.as_text() {
            Some("suppress") => {}
            Some("doNotSuppress") => suppresses_missing = false,
            _ => {
                let message = format!("`{}` is not a strategy", strategy.as_text().unwrap_or("this"));
                refuse(
                    strategy.span,
                    message,
                    "the strategies are `suppress` and `doNotSuppress`",
                );
            }
        }
    }
    let mut group_by = Vec::new();
    for item in table.get("group_by").map_or(&[][..], Node::items) {
        match item.as_text().map(|text| field(text, item.span)) {
            Some(Some(field)) => group_by.push(field),
            Some(None) => {
                let message = format!("`{}` is not a field", item.as_text().unwrap_or(""));
                refuse(
                    item.span,
                    message,
                    "`host.name`, or on a sequence `step[2].host.name`, steps counting from 1",
                );
            }
            None => {}
        }
    }
    let place = table.get("group_by").map_or(node.span, |node| node.span);
    if kind == Some(RuleKind::Threshold) {
        if !group_by.is_empty() {
            let message = "a threshold is suppressed by its own fields".to_owned();
            refuse(place, message, "remove `group_by`");
        }
        if duration_nanos.is_none() {
            let message = "the suppression of a threshold needs a duration".to_owned();
            refuse(
                node.span,
                message,
                "for example `duration = {value = 1, unit = \"h\"}`",
            );
        }
    } else if kind.is_some() && group_by.is_empty() {
        refuse(
            place,
            "`group_by` names no field".into(),
            "name one to three fields",
        );
    }
    if group_by.len() > MAX_FIELDS {
        let message = format!(
            "`group_by` names {} fields, but at most {MAX_FIELDS} count",
            group_by.len()
        );
        refuse(place, message, "name the fields that tell the cases apart");
    }
    Some(Suppression {
        group_by,
        duration_nanos,
        suppresses_missing,
        overlay: None,
    })
}

/// `{value = 5, unit = "m"}`, or `5m`.
fn nanos(node: &Node) -> Option<u64> {
    match &node.data {
        Data::Text(text) => parse_interval(text),
        Data::Table(table) => {
            let value = u64::try_from(table.integer("value")?).ok()?;
            parse_interval(&format!("{value}{}", table.text("unit")?))
        }
        _ => None,
    }
}

fn field(written: &str, span: Span) -> Option<GroupField> {
    let written = written.trim();
    let (step, path) = match written.strip_prefix("step[") {
        None => (None, written),
        Some(rest) => {
            let (number, path) = rest.split_once("].")?;
            let number: u16 = number.parse().ok()?;
            (Some(number.checked_sub(1)?), path)
        }
    };
    let is_path = !path.is_empty() && !path.contains(char::is_whitespace);
    is_path.then(|| GroupField {
        written: written.to_owned(),
        step,
        path: path.to_owned(),
        span,
    })
}

impl Suppression {
    /// What does not fit the rule: a step that it does not have, `group_by` for a threshold. `place` is where a field is
    /// written, in the file of whoever states the suppression.
    pub(crate) fn misfits(&self, rule: &Rule) -> Vec<(Span, String)> {
        let steps = match rule.plan.as_ref().map(|plan| &plan.query) {
            Some(Query::Sequence(sequence)) => sequence.stages.len(),
            Some(Query::Sample(sample)) => sample.stages.len(),
            _ => 1,
        };
        let mut found = Vec::new();
        for field in &self.group_by {
            if let Some(step) = field.step.filter(|step| usize::from(*step) >= steps) {
                let noun = if steps == 1 { "step" } else { "steps" };
                let message = format!(
                    "`{}` names step {}, but the rule `{}` has {steps} {noun}",
                    field.written,
                    step + 1,
                    rule.name
                );
                found.push((field.span, message));
            }
        }
        if rule.kind == RuleKind::Threshold && !self.group_by.is_empty() {
            let place = self.group_by.first().map_or(Span::default(), |field| field.span);
            found.push((
                place,
                format!("the threshold `{}` is suppressed by its own fields", rule.name),
            ));
        }
        if rule.kind != RuleKind::Threshold && self.group_by.is_empty() {
            found.push((
                Span::default(),
                format!("no field is named by which alerts of `{}` are one", rule.name),
            ));
        }
        found
    }
}
