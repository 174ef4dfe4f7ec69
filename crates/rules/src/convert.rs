//! Sigma rules as rules of Elastic, where EQL can say the same.
//!
//! The plan of a rule, with its log source and the places of its fields, is written back as an EQL query; the query is
//! compiled again, and a rule whose query would not run in Elastic is not converted. What cannot be converted has a reason.

use neph_event::Schema;
use neph_plan::{
    Asked, Bound, CandidateEvents, Candidates, Condition, Correlation, FirstOf, Measure, Plan, Presence,
    Query,
};
use serde_json::{Map, Value, json};

use crate::alert::threat_as_written;
use crate::compile::{self, Overrides};
use crate::rule::{Rule, RuleKind, ThreatItem};
use crate::to_eql::{self, Inexpressible, Writer};

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
        ("from", json!(from(rule, plan))),
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

/// How far back Elastic must look: what the rule says, and at least the span of time of a sequence.
fn from(rule: &Rule, plan: &Plan) -> String {
    match &plan.query {
        Query::Correlation(correlation) => {
            let span = correlation.timespan.div_ceil(1_000_000_000);
            format!("now-{}s", span.saturating_add(SLACK))
        }
        _ => rule.schedule.from.clone(),
    }
}

fn query(plan: &Plan) -> Result<String, Inexpressible> {
    let writer = Writer::strict(plan);
    match &plan.query {
        Query::Events(events) => Ok(format!("any where {}", lines(&writer, &events.condition)?)),
        Query::Correlation(correlation) => sequence(plan, &writer, correlation),
        _ => Err("its shape is none that Sigma has".into()),
    }
}

/// How far beyond its span of time a sequence looks back, in seconds: the interval between two runs, and a minute.
const SLACK: u64 = 6 * 60;

/// What EQL allows behind `with runs=`.
const MAX_RUNS: f64 = 100.0;

/// A correlation as a sequence: events in order are its steps, many events are runs of one.
fn sequence(plan: &Plan, writer: &Writer<'_>, correlation: &Correlation) -> Result<String, Inexpressible> {
    let mut events = Vec::new();
    for source in &correlation.sources {
        match &source.candidates {
            Candidates::Events(candidates) => events.push(candidates),
            Candidates::Matches(_) => {
                return Err(
                    "it correlates the matches of a correlation, and EQL only correlates events".into(),
                );
            }
        }
    }
    let mut steps = Vec::new();
    match &correlation.asked {
        Asked::Number {
            measure: Measure::Count,
            bounds,
            ..
        } if let [bound] = bounds.as_slice() => {
            let least = match *bound {
                Bound::Greater(number) => number.floor() + 1.0,
                Bound::GreaterOrEqual(number) => number.ceil(),
                _ => return Err("it asks for few events, and EQL has no count".into()),
            };
            if !(2.0..=MAX_RUNS).contains(&least) {
                return Err(format!(
                    "it asks for {least} events, and a step of EQL runs 2 to {MAX_RUNS} times"
                ));
            }
            let keys = keys(plan, &events)?;
            let conditions: Result<Vec<String>, Inexpressible> = events
                .iter()
                .map(|one| writer.condition(&one.condition))
                .collect();
            let conditions = conditions?;
            let any = match conditions.as_slice() {
                [one] => one.clone(),
                several => format!("({})", several.join(") or (")),
            };
            steps.push(format!("[any where {any}]{keys} with runs={least}"));
        }
        Asked::Together {
            alternatives,
            ordered: true,
        } if let [Presence { present, absent }] = alternatives.as_slice()
            && absent.is_empty()
            && present.len() > 1 =>
        {
            for &place in present {
                let one = events.get(usize::from(place)).ok_or("it has no such source")?;
                let keys = keys(plan, std::slice::from_ref(one))?;
                steps.push(format!("[any where {}]{keys}", writer.condition(&one.condition)?));
            }
        }
        Asked::Together { ordered: false, .. } => {
            return Err(
                "its events may come in any order within a time, and those of an EQL sequence may not".into(),
            );
        }
        Asked::Together { .. } => {
            return Err("it asks for one of several orders, or that an event is absent from a time".into());
        }
        Asked::Number { .. } => return Err("it measures values, and EQL does not".into()),
    }
    let span = correlation.timespan.div_ceil(1_000_000);
    Ok(format!(
        "sequence with maxspan={span}ms\n  {}",
        steps.join("\n  ")
    ))
}

/// The join keys of a step: the field of each value of the group that some source of events fills.
fn keys(plan: &Plan, events: &[&CandidateEvents]) -> Result<String, Inexpressible> {
    let places = |events: &CandidateEvents| -> Result<Vec<String>, Inexpressible> {
        let own = events.keys.first().map_or(&[][..], Vec::as_slice);
        own.iter().map(|value| place(plan, value)).collect()
    };
    let mut all = events.iter().copied().map(places);
    let first = all.next().unwrap_or_else(|| Ok(Vec::new()))?;
    for other in all {
        if other? != first {
            return Err("its events have the values of the group in different fields".into());
        }
    }
    if first.is_empty() {
        return Ok(String::new());
    }
    Ok(format!(" by {}", first.join(", ")))
}

/// The field of a value in events as Elastic's integrations write them: of the places in which Sigma's mappings look for it
/// the first that any of them fills, since a step of EQL is joined by one field.
fn place(plan: &Plan, value: &FirstOf) -> Result<String, Inexpressible> {
    let schema = Schema::builtin();
    let is_filled = |name: &&str| schema.get(name).is_some_and(|def| !def.sources.is_empty());
    let mut names = value.0.iter().filter_map(|&id| Some(&*plan.field(id)?.path));
    match names.find(is_filled) {
        Some(name) => Ok(to_eql::name(name)),
        None => Err("no known source fills a field of its group".into()),
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
