//! Sigma rules as rules of Elastic, where EQL can say the same.
//!
//! The plan of a rule, with its log source and the places of its fields, is written back as an EQL query; the query is
//! compiled again, and a rule whose query would not run in Elastic is not converted. What cannot be converted has a reason.

use neph_plan::{Condition, Plan, Query};
use serde_json::{Map, Value, json};

use crate::alert::threat_as_written;
use crate::compile::{self, Overrides};
use crate::rule::{Rule, RuleKind, ThreatItem};
use crate::to_eql::{Inexpressible, Writer};

/// The rule as Kibana's API has it: a rule of Elastic of any type as it is, a Sigma rule as a rule of type `eql`.
///
/// # Errors
/// Says why the rule cannot be expressed.
pub(crate) fn to_eql(rule: &Rule) -> Result<Map<String, Value>, Inexpressible> {
    let plan = rule
        .plan
        .as_ref()
        .ok_or("it does not compile, so that there is nothing to convert")?;
    let query = query(plan)?;
    check(&query)?;
    let mut out = Map::new();
    debug_assert!(matches!(rule.kind, RuleKind::Sigma | RuleKind::SigmaCorrelation));
    for (key, value) in [
        ("rule_id", json!(rule.id)),
        ("name", json!(rule.name)),
        (
            "description",
            json!(if rule.description.is_empty() {
                &rule.name
            } else {
                &rule.description
            }),
        ),
        ("type", json!("eql")),
        ("language", json!("eql")),
        ("query", json!(query)),
        ("severity", json!(rule.severity.word())),
        ("risk_score", json!(rule.risk_score)),
        ("author", json!(rule.authors)),
        ("license", json!(rule.license)),
        ("references", json!(rule.references)),
        ("tags", json!(rule.tags)),
        ("false_positives", json!(rule.false_positives)),
        ("threat", threat(rule)),
        ("from", json!(rule.schedule.from)),
        ("interval", json!(rule.schedule.interval)),
    ] {
        if !value.is_null() {
            out.insert(key.to_owned(), value);
        }
    }
    Ok(out)
}

/// The ATT&CK mapping. Entries without a tactic that is known are left out, since Kibana refuses them; the tags still have
/// them. What has no name is called by its id.
fn threat(rule: &Rule) -> Value {
    fn name(item: &mut ThreatItem) {
        if item.name.is_empty() {
            item.name = item.id.clone();
        }
    }
    let mut threats = rule.threat.clone();
    threats.retain(|threat| !threat.tactic.id.is_empty());
    for threat in &mut threats {
        name(&mut threat.tactic);
        for technique in &mut threat.techniques {
            name(&mut technique.technique);
            technique.subtechniques.iter_mut().for_each(name);
        }
    }
    threat_as_written(&threats)
}

fn query(plan: &Plan) -> Result<String, Inexpressible> {
    let writer = Writer::strict(plan);
    match &plan.query {
        Query::Events(events) => Ok(format!("any where {}", lines(&writer, &events.condition)?)),
        _ => Err("it correlates events in a way that no rule of Elastic does".into()),
    }
}

/// The condition, each part of a list on a line of its own.
fn lines(writer: &Writer<'_>, condition: &Condition) -> Result<String, Inexpressible> {
    let Condition::And(parts) = condition else {
        return writer.condition(condition);
    };
    let one = |part: &Condition| {
        let text = writer.condition(part)?;
        Ok(match part {
            Condition::Or(inner) | Condition::And(inner) if inner.len() > 1 => format!("({text})"),
            _ => text,
        })
    };
    let texts: Result<Vec<String>, Inexpressible> = parts.iter().map(one).collect();
    Ok(texts?.join(" and\n  "))
}

/// Whether Elastic would take the query.
fn check(query: &str) -> Result<(), Inexpressible> {
    let compiled = compile::eql(query, &Overrides::default());
    let errors = compiled.diagnostics.iter();
    match errors
        .into_iter()
        .find(|diagnostic| diagnostic.severity() == neph_diag::Severity::Error)
    {
        Some(error) => Err(format!("as EQL it would be refused: {}", error.message)),
        None => Ok(()),
    }
}
