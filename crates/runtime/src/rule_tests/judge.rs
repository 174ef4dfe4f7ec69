//! Compares the alerts of a case with those that it expects, and explains what differs.

use std::sync::Arc;

use neph_event::{Field, FieldType, Row, Slots};
use neph_plan::{Plan, Query};
use neph_rules::Rule;
use neph_rules::alert::{Alert, FailedTest, StepFared, steps_fared};
use neph_rules::rule_tests::{Expected, TestCase};
use serde_json::Value;

use super::{CaseFailure, Event};

/// So many events are named for one step.
const NAMED: usize = 5;

/// The alerts that count: of the rules that the case is about, and not of history alone.
pub(super) fn counted(case: &TestCase, rules: &[Arc<Rule>], alerts: Vec<Alert>) -> Vec<Alert> {
    let wanted: Vec<&Arc<Rule>> = rules
        .iter()
        .filter(|rule| case.only.is_empty() || case.only.iter().any(|name| is_named(rule, name)))
        .collect();
    let counts = |alert: &Alert| {
        let is_history = alert.last.is_some_and(|last| last < case.base);
        !is_history && wanted.iter().any(|rule| rule.id == alert.rule_id)
    };
    alerts.into_iter().filter(counts).collect()
}

fn is_named(rule: &Rule, name: &str) -> bool {
    rule.id == name || rule.name.eq_ignore_ascii_case(name)
}

/// Everything that is not as expected.
pub(super) fn judge(
    case: &TestCase,
    rules: &[Arc<Rule>],
    events: &[Event],
    alerts: &[Alert],
) -> Vec<CaseFailure> {
    let mut failures = Vec::new();
    for name in &case.only {
        if !rules.iter().any(|rule| is_named(rule, name)) {
            failures.push(unknown_rule(name, case.line, rules));
        }
    }
    let mut open: Vec<&Alert> = alerts.iter().collect();
    for expected in &case.expect {
        let of_rule: Vec<&Arc<Rule>> = rules
            .iter()
            .filter(|rule| expected.rule.as_ref().is_none_or(|name| is_named(rule, name)))
            .collect();
        if let (Some(name), []) = (&expected.rule, of_rule.as_slice()) {
            failures.push(unknown_rule(name, expected.line, rules));
            continue;
        }
        let is_of_rule = |alert: &Alert| of_rule.iter().any(|rule| rule.id == alert.rule_id);
        let (fitting, others): (Vec<&Alert>, Vec<&Alert>) = open
            .iter()
            .partition(|alert| is_of_rule(alert) && misfits(alert, expected).is_empty());
        let number = fitting.len() as u64;
        if !expected.count.admits(number) {
            let message = format!(
                "expected {}{}, found {number}",
                expected.count,
                described(expected)
            );
            let mut details: Vec<String> = fitting.iter().map(|alert| told(alert)).collect();
            for alert in others.iter().filter(|alert| is_of_rule(alert)).take(NAMED) {
                details.push(told(alert));
                details.extend(misfits(alert, expected));
            }
            if details.is_empty() {
                let wanted = of_rule.iter().take(NAMED);
                wanted.for_each(|rule| explain(rule, case, events, &mut details));
            }
            failures.push(CaseFailure {
                message,
                line: expected.line,
                details,
            });
        }
        open = others;
    }
    if !open.is_empty() {
        let what = if case.expect.is_empty() {
            "none"
        } else {
            "no others"
        };
        let number = open.len();
        let noun = if number == 1 { "alert" } else { "alerts" };
        failures.push(CaseFailure {
            message: format!("found {number} {noun}, but {what} are expected"),
            line: case.line,
            details: open.iter().map(|alert| told(alert)).collect(),
        });
    }
    failures
}

fn unknown_rule(name: &str, line: u64, rules: &[Arc<Rule>]) -> CaseFailure {
    CaseFailure {
        message: format!("no rule `{name}` runs"),
        line,
        details: rules
            .iter()
            .take(NAMED)
            .map(|rule| format!("there is `{}` ({})", rule.name, rule.id))
            .collect(),
    }
}

fn described(expected: &Expected) -> String {
    let mut text = match &expected.rule {
        Some(rule) => format!(" of `{rule}`"),
        None => String::new(),
    };
    for (position, (field, values)) in expected.fields.iter().enumerate() {
        text.push_str(if position == 0 { " with " } else { ", " });
        text.push_str(&format!("{field} = {}", values.join(" and ")));
    }
    text
}

fn told(alert: &Alert) -> String {
    let time = alert.last.map_or(String::new(), |time| format!("{time} "));
    format!("alert: {time}{}: {}", alert.rule_name, alert.reason)
}

/// The fields in which an alert is not as expected.
fn misfits(alert: &Alert, expected: &Expected) -> Vec<String> {
    let mut misfits = Vec::new();
    let document = alert.document.clone().into_value();
    let steps = document.pointer("/neph/alert/steps").and_then(Value::as_array);
    let events: Vec<&Value> = steps
        .into_iter()
        .flatten()
        .filter_map(|step| step.get("events")?.as_array())
        .flatten()
        .filter_map(|event| event.get("document"))
        .collect();
    for (field, wanted) in &expected.fields {
        let mut values = Vec::new();
        collect(&document, field, &mut values);
        for event in &events {
            collect(event, field, &mut values);
        }
        let missing: Vec<&str> = wanted
            .iter()
            .map(String::as_str)
            .filter(|value| !values.iter().any(|found| found == value))
            .collect();
        if !missing.is_empty() {
            values.sort();
            values.dedup();
            let found = if values.is_empty() {
                "is missing".to_owned()
            } else {
                format!("is {}", values.join(", "))
            };
            misfits.push(format!("✗ {field} {found}, expected {}", missing.join(" and ")));
        }
    }
    misfits
}

/// The values of a field, whether its path is nested, dotted or both, as texts.
pub(super) fn collect(value: &Value, path: &str, out: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, path, out)),
        Value::Object(entries) => {
            for (key, inner) in entries {
                match path.strip_prefix(key.as_str()) {
                    Some("") => collect(inner, "", out),
                    Some(rest) => {
                        if let Some(rest) = rest.strip_prefix('.') {
                            collect(inner, rest, out);
                        }
                    }
                    None => {}
                }
            }
        }
        Value::Null => {}
        Value::String(text) if path.is_empty() => out.push(text.clone()),
        scalar if path.is_empty() => out.push(scalar.to_string()),
        _ => {}
    }
}

/// Says how each step of a rule that gave no alert fared.
fn explain(rule: &Rule, case: &TestCase, events: &[Event], out: &mut Vec<String>) {
    out.push(format!("rule `{}` gave no alert:", rule.name));
    if events.is_empty() {
        return out.push("  there are no events".into());
    }
    let documents: Vec<&[u8]> = events.iter().map(|event| event.document.as_slice()).collect();
    let fared = steps_fared(rule, &documents);
    let line = |position: &usize| events.get(*position).map_or(0, |event| event.line);
    for step in &fared {
        let name = match fared.len() {
            1 => "the query".to_owned(),
            number => format!("step {} of {number}", step.step + 1),
        };
        match &step.nearest {
            Some((position, failed)) => {
                out.push(format!(
                    "  {name} is satisfied by no event; closest is the one of line {}:",
                    line(position)
                ));
                out.extend(failed.iter().map(|test| format!("    {}", shown(test))));
            }
            None => {
                let lines: Vec<String> = step
                    .satisfied_by
                    .iter()
                    .take(NAMED)
                    .map(|position| line(position).to_string())
                    .collect();
                let more = step.satisfied_by.len().saturating_sub(NAMED);
                let more = if more > 0 {
                    format!(" and {more} more")
                } else {
                    String::new()
                };
                out.push(format!(
                    "  {name} is satisfied by the event{} of line {}{more}",
                    if step.satisfied_by.len() == 1 { "" } else { "s" },
                    lines.join(", ")
                ));
            }
        }
    }
    if fared.iter().all(|step| step.nearest.is_none())
        && let Some(plan) = &rule.plan
    {
        together(plan, case, &fared, events, out);
    }
}

/// Says what keeps events that satisfy every step from being a match.
fn together(plan: &Plan, case: &TestCase, fared: &[StepFared], events: &[Event], out: &mut Vec<String>) {
    let reason = match &plan.query {
        Query::Events(_) => {
            return out.push(format!(
                "  ✗ but its alerts do not count: the events lie before the base {}, or are excepted",
                case.base
            ));
        }
        Query::Sequence(_) => {
            "the events do not make a sequence: look at their order, the time between them, their join keys, and steps that must be missing"
        }
        Query::Sample(_) => "the events have no join keys in common",
        Query::FirstSeen(_) => {
            "the values of its fields were seen before, within the rule's history, or are missing"
        }
        Query::Aggregate(_) => "too few of them, or of their distinct values, lie in one window and group",
        Query::Correlation(_) => {
            "what is asked of them does not hold within the time span of one group: look at their number or order, their times, and the fields of `group-by`"
        }
    };
    out.push(format!("  ✗ {reason}"));
    let keys = |step: u16| -> Vec<String> {
        let of_stage = |keys: &[neph_plan::Key]| keys.iter().map(|key| key.name.to_string()).collect();
        let position = usize::from(step);
        match &plan.query {
            Query::Sequence(sequence) => sequence
                .stages
                .get(position)
                .map_or(Vec::new(), |stage| of_stage(&stage.keys)),
            Query::Sample(sample) => sample
                .stages
                .get(position)
                .map_or(Vec::new(), |stage| of_stage(&stage.keys)),
            Query::FirstSeen(first) => of_stage(&first.fields),
            Query::Aggregate(aggregate) => of_stage(&aggregate.group),
            // The first place where each value of the group is looked for.
            Query::Correlation(correlation) => {
                let events = correlation.events();
                let keys = events.get(position).and_then(|events| events.keys.first());
                let first = keys.into_iter().flatten().filter_map(|key| key.0.first());
                let fields = first.filter_map(|field| plan.field(*field));
                fields.map(|field| field.path.to_string()).collect()
            }
            Query::Events(_) => Vec::new(),
        }
    };
    for step in fared {
        let names = keys(step.step);
        for position in step.satisfied_by.iter().take(NAMED) {
            let Some(event) = events.get(*position) else {
                continue;
            };
            let time = values_of(&event.document, "@timestamp");
            let shown: Vec<String> = names
                .iter()
                .map(|name| format!("{name} = {}", values_of(&event.document, name)))
                .collect();
            out.push(format!(
                "    step {}, line {}: {time} {}",
                step.step + 1,
                event.line,
                shown.join(", ")
            ));
        }
    }
}

/// The values of a field in a document, as rules see them.
fn values_of(document: &[u8], path: &str) -> String {
    let mut slots = Slots::default();
    let slot = slots.add(Field::new(path, FieldType::Keyword));
    let mut row = Row::default();
    if row.read(&slots, document).is_err() {
        return "?".into();
    }
    let values: Vec<String> = row.values(slot).map(|value| value.to_string()).collect();
    if values.is_empty() {
        "(missing)".into()
    } else {
        values.join(", ")
    }
}

/// A failed test with the values that it looked at.
fn shown(test: &FailedTest) -> String {
    let word = if test.is_negated { "not " } else { "" };
    let values: Vec<String> = test
        .values
        .iter()
        .map(|(field, value)| match value {
            Some(value) => format!("{field} = {value}"),
            None => format!("{field} is missing"),
        })
        .collect();
    if values.is_empty() {
        format!("✗ {word}{}", test.test)
    } else {
        format!("✗ {word}{}   ← {}", test.test, values.join(", "))
    }
}
