//! What a rule does, for people: which fields it reads and who fills them, and its plan in words.

use std::collections::BTreeMap;

use neph_event::{ANY_FIELD, Schema};
use neph_plan::{
    Aggregate, Asked, Bound, Condition, Correlation, FieldId, FirstSeen, Key, Measure, Plan, Query, Sequence,
    Stage,
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::rule::Rule;
use crate::scope::IndexScope;
use crate::to_eql::Writer;

/// A field that a rule reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldRead {
    /// Its name.
    pub name: String,
    /// The integrations that are known to fill it, as `package.data_stream`.
    pub sources: Vec<String>,
}

/// What a rule says of itself, and what it reads and does, as members of a JSON object that stand beside those of its
/// [`Entry`](crate::catalogue::Entry). `schedule` has Kibana's texts of durations (`5m`).
pub fn details(rule: &Rule) -> Map<String, Value> {
    let members = [
        ("description", json!(rule.description)),
        ("query", json!(rule.query)),
        ("index", json!(rule.index)),
        (
            "schedule",
            json!({"interval": rule.schedule.interval, "from": rule.schedule.from, "to": rule.schedule.to}),
        ),
        ("references", json!(rule.references)),
        ("false_positives", json!(rule.false_positives)),
        ("authors", json!(rule.authors)),
        ("note", json!(rule.note)),
        ("setup", json!(rule.setup)),
        ("threat", json!(rule.threat)),
        ("fields", json!(fields(rule))),
        ("plan", json!(plan(rule))),
    ];
    members
        .map(|(key, value)| (key.to_owned(), value))
        .into_iter()
        .collect()
}

/// The fields that a rule's conditions and keys read, in alphabetical order. The fields of its index patterns are not
/// among them.
pub fn fields(rule: &Rule) -> Vec<FieldRead> {
    let Some(plan) = &rule.plan else {
        return Vec::new();
    };
    let mut ids: Vec<FieldId> = Vec::new();
    for condition in own_conditions(rule, plan) {
        condition.for_each_leaf(&mut |leaf| leaf.test.for_each_field(&mut |field| ids.push(field)));
    }
    ids.extend(keys(&plan.query).into_iter().filter_map(|key| key.field));
    let schema = Schema::builtin();
    let mut found: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for id in ids {
        let Some(field) = plan.field(id) else { continue };
        if &*field.path == ANY_FIELD {
            continue;
        }
        found.entry(&field.path).or_insert_with(|| {
            let def = schema.get(&field.path);
            def.map_or_else(Vec::new, |def| {
                def.sources.iter().map(|source| (*source).to_owned()).collect()
            })
        });
    }
    let reads = found.into_iter().map(|(name, sources)| FieldRead {
        name: name.to_owned(),
        sources,
    });
    reads.collect()
}

fn keys(query: &Query) -> Vec<&Key> {
    match query {
        Query::Sequence(sequence) => sequence.stages.iter().flat_map(|stage| &stage.keys).collect(),
        Query::Sample(sample) => sample.stages.iter().flat_map(|stage| &stage.keys).collect(),
        Query::FirstSeen(first_seen) => first_seen.fields.iter().collect(),
        Query::Aggregate(aggregate) => {
            let counted = aggregate.distinct.iter().map(|distinct| &distinct.field);
            aggregate.group.iter().chain(counted).collect()
        }
        _ => Vec::new(),
    }
}

/// The conditions of a plan without those that its index patterns added.
fn own_conditions<'a>(rule: &Rule, plan: &'a Plan) -> Vec<&'a Condition> {
    let scoped = !IndexScope::new(&rule.index).is_everything();
    let own = |condition: &'a Condition| match condition {
        Condition::And(parts) if scoped => parts.first().unwrap_or(condition),
        _ => condition,
    };
    plan.query.conditions().into_iter().map(own).collect()
}

/// The plan in words, a line each.
pub fn plan(rule: &Rule) -> Vec<String> {
    match &rule.plan {
        Some(plan) => words(plan, &own_conditions(rule, plan)),
        None => Vec::new(),
    }
}

/// A plan that is of no rule, in words, a line each.
pub fn plan_words(plan: &Plan) -> Vec<String> {
    words(plan, &plan.query.conditions())
}

fn words(plan: &Plan, conditions: &[&Condition]) -> Vec<String> {
    let writer = Writer::lenient(plan);
    // The writer for people refuses nothing.
    let text = |condition: &Condition| writer.condition(condition).unwrap_or_default();
    let only = conditions
        .first()
        .map(|condition| text(condition))
        .unwrap_or_default();
    match &plan.query {
        Query::Events(_) => vec![format!("each event where {only}")],
        Query::Sequence(sequence) => sequence_lines(sequence, conditions, &text),
        Query::Sample(sample) => {
            let mut lines = vec![format!(
                "events in any order that share {}",
                names_of(&sample.stages)
            )];
            lines.extend(numbered(&sample.stages, conditions, &text));
            lines
        }
        Query::FirstSeen(first_seen) => first_seen_lines(first_seen, &only),
        Query::Aggregate(aggregate) => aggregate_lines(aggregate, &only),
        Query::Correlation(correlation) => correlation_lines(correlation, conditions, &text),
    }
}

fn correlation_lines(
    correlation: &Correlation,
    conditions: &[&Condition],
    text: &dyn Fn(&Condition) -> String,
) -> Vec<String> {
    let what = match &correlation.asked {
        Asked::Number {
            measure,
            fields,
            bounds,
        } => {
            let fields = fields.join(" and ");
            let number = match measure {
                Measure::Count => "events whose number".to_owned(),
                Measure::Distinct => format!("events whose number of values of {fields}"),
                Measure::Sum => format!("events whose sum of {fields}"),
                Measure::Average => format!("events whose average of {fields}"),
                Measure::Percentile(part) => format!("events whose {part}th percentile of {fields}"),
            };
            let bound = |bound: &Bound| match bound {
                Bound::Less(number) => format!("less than {number}"),
                Bound::LessOrEqual(number) => format!("at most {number}"),
                Bound::Greater(number) => format!("more than {number}"),
                Bound::GreaterOrEqual(number) => format!("at least {number}"),
                Bound::Equal(number) => number.to_string(),
                Bound::NotEqual(number) => format!("not {number}"),
            };
            let bounds: Vec<String> = bounds.iter().map(bound).collect();
            format!("{number} is {}", bounds.join(" and "))
        }
        Asked::Together { ordered: true, .. } => "events of these kinds in order".into(),
        Asked::Together { ordered: false, .. } => "events of these kinds in any order".into(),
    };
    let mut head = format!("{what} within {}", span(correlation.timespan));
    if !correlation.group.is_empty() {
        head.push_str(&format!(" that share {}", correlation.group.join(", ")));
    }
    let mut lines = vec![head];
    for ((name, _), condition) in correlation.named_events().iter().zip(conditions) {
        lines.push(format!("{name}: an event where {}", text(condition)));
    }
    lines
}

fn sequence_lines(
    sequence: &Sequence,
    conditions: &[&Condition],
    text: &dyn Fn(&Condition) -> String,
) -> Vec<String> {
    let mut head = "events in this order".to_owned();
    if let Some(maxspan) = sequence.maxspan {
        head.push_str(&format!(" within {}", span(maxspan)));
    }
    let names = names_of(&sequence.stages);
    if !names.is_empty() {
        head.push_str(&format!(" that share {names}"));
    }
    let mut lines = vec![head];
    lines.extend(numbered(&sequence.stages, conditions, text));
    if sequence.until.is_some()
        && let Some(until) = conditions.last()
    {
        lines.push(format!("until an event where {}", text(until)));
    }
    lines
}

fn numbered(stages: &[Stage], conditions: &[&Condition], text: &dyn Fn(&Condition) -> String) -> Vec<String> {
    let pairs = stages.iter().zip(conditions).enumerate();
    let lines = pairs.map(|(number, (stage, condition))| {
        let what = match (stage.missing, stage.runs) {
            (true, _) => "no event".to_owned(),
            (false, 1) => "an event".to_owned(),
            (false, runs) => format!("{runs} events"),
        };
        format!("{}. {what} where {}", number + 1, text(condition))
    });
    lines.collect()
}

fn first_seen_lines(first_seen: &FirstSeen, condition: &str) -> Vec<String> {
    vec![
        format!("each event where {condition}"),
        format!(
            "whose {} was not seen in the {} before",
            names(&first_seen.fields),
            span(first_seen.history)
        ),
    ]
}

fn aggregate_lines(aggregate: &Aggregate, condition: &str) -> Vec<String> {
    let group = match names(&aggregate.group) {
        names if names.is_empty() => String::new(),
        names => format!(" that share {names}"),
    };
    let mut lines = vec![
        format!("events where {condition}"),
        format!(
            "at least {} within {}{group}",
            aggregate.at_least,
            span(aggregate.lookback)
        ),
    ];
    if let Some(distinct) = &aggregate.distinct {
        lines.push(format!(
            "with at least {} different values of {}",
            distinct.at_least, distinct.field.name
        ));
    }
    lines
}

fn names(keys: &[Key]) -> String {
    let names: Vec<&str> = keys.iter().map(|key| &*key.name).collect();
    names.join(" and ")
}

/// The keys of all stages by position; where stages call them differently, all names.
fn names_of(stages: &[Stage]) -> String {
    let width = stages.iter().map(|stage| stage.keys.len()).max().unwrap_or(0);
    let positions = (0..width).map(|position| {
        let mut names: Vec<&str> = Vec::new();
        for key in stages.iter().filter_map(|stage| stage.keys.get(position)) {
            if !names.contains(&&*key.name) {
                names.push(&key.name);
            }
        }
        names.join(" = ")
    });
    positions.collect::<Vec<_>>().join(" and ")
}

/// A length of time in its largest whole unit.
fn span(nanos: u64) -> String {
    let millis = nanos / 1_000_000;
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let unit = units
        .iter()
        .find(|(length, _)| millis >= *length && millis.is_multiple_of(*length));
    match unit {
        Some((length, unit)) => format!("{}{unit}", millis / length),
        None => format!("{millis}ms"),
    }
}
