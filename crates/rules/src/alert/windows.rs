//! What alerts of new terms and thresholds say besides.

use neph_engine::{Match, Tally, Window};
use neph_event::Instant;
use neph_plan::{Asked, Correlation, Key, Measure, Plan, Query};
use serde_json::{Map, Value, json};

use super::phrases::{self, Phrase};
use super::reason::quoted;
use super::why::json_value;
use crate::texts::Lang;
use crate::windows::Condition;

const SECOND: u64 = 1_000_000_000;

/// The parts that identify such a match whichever events were seen: the end of its window and the values of its fields.
pub(super) fn identity(found: &Match, window: &Window) -> Vec<String> {
    let values = found
        .keys
        .iter()
        .map(|key| key.as_ref().map_or(Value::Null, json_value).to_string());
    std::iter::once(window.to.to_string()).chain(values).collect()
}

/// The names of the values that the match is about.
pub(super) fn keys(plan: Option<&Plan>) -> Vec<&str> {
    fn names(keys: &[Key]) -> Vec<&str> {
        keys.iter().map(|key| &*key.name).collect()
    }
    match plan.map(|plan| &plan.query) {
        Some(Query::FirstSeen(first_seen)) => names(&first_seen.fields),
        Some(Query::Aggregate(aggregate)) => names(&aggregate.group),
        Some(Query::Correlation(correlation)) => correlation.group.iter().map(|name| &**name).collect(),
        _ => Vec::new(),
    }
}

/// What all events of a group are known to share: the fields that make the group. Others may differ in events that were
/// counted and not kept.
pub(super) fn shared(plan: Option<&Plan>, found: &Match) -> Value {
    let values = pairs(plan, found).map(|(name, value)| (name.to_owned(), value));
    Value::Object(values.collect())
}

fn pairs<'a>(plan: Option<&'a Plan>, found: &'a Match) -> impl Iterator<Item = (&'a str, Value)> {
    let values = found
        .keys
        .iter()
        .map(|value| value.as_ref().map_or(Value::Null, json_value));
    keys(plan).into_iter().zip(values)
}

/// `field value, field value`
fn terms(plan: Option<&Plan>, found: &Match) -> String {
    let values = found.keys.iter().flatten();
    let named: Vec<String> = keys(plan)
        .iter()
        .zip(values)
        .map(|(name, value)| format!("{name} {}", quoted(&value.to_string())))
        .collect();
    named.join(", ")
}

/// The reason: `example` is the sentence for the first of its events.
pub(super) fn sentence(
    lang: Lang,
    plan: Option<&Plan>,
    found: &Match,
    window: &Window,
    example: &str,
) -> String {
    match (plan.map(|plan| &plan.query), window.tally) {
        (Some(Query::FirstSeen(query)), _) => {
            phrases::FIRST_TIME.tell(lang, &[example, &span(lang, query.history), &terms(plan, found)])
        }
        (Some(Query::Aggregate(query)), Some(tally)) => {
            let values = match (&query.distinct, tally.distinct) {
                (Some(distinct), Some(values)) => {
                    let least = if values.is_exact {
                        ""
                    } else {
                        phrases::MORE_THAN.word(lang)
                    };
                    distinct_values(lang, least, values.count, &distinct.field.name)
                }
                _ => String::new(),
            };
            let events = number(lang, tally.count, phrases::ONE_EVENT, phrases::EVENTS);
            let length = length(lang, query.lookback, window);
            let terms = with_terms(lang, plan, found);
            phrases::COUNTED.tell(lang, &[&events, &terms, &values, &length, example])
        }
        (Some(Query::Correlation(query)), Some(tally)) => {
            let names: Vec<&str> = query.sources.iter().map(|source| &*source.name).collect();
            let matches = number(lang, tally.count, phrases::ONE_MATCH, phrases::MATCHES);
            let values = [
                matches,
                with_terms(lang, plan, found),
                measured(lang, query, &tally),
                length(lang, query.timespan, window),
                names.join(", "),
                example.to_owned(),
            ];
            phrases::COUNTED_MATCHES.tell(lang, &values.each_ref().map(String::as_str))
        }
        _ => example.to_owned(),
    }
}

/// The reason of a correlation that asks which rules match together.
pub(super) fn together(
    lang: Lang,
    query: &Correlation,
    plan: Option<&Plan>,
    found: &Match,
    example: &str,
) -> String {
    let events = query.named_events();
    let mut names: Vec<&str> = Vec::new();
    for (step, _) in &found.events {
        if let Some((name, _)) = events.get(usize::from(*step))
            && !names.contains(name)
        {
            names.push(name);
        }
    }
    let terms = with_terms(lang, plan, found);
    phrases::TOGETHER.tell(
        lang,
        &[&names.join(", "), &terms, &span(lang, query.timespan), example],
    )
}

/// What is measured, and what it came to.
fn measured(lang: Lang, query: &Correlation, tally: &Tally) -> String {
    let Asked::Number { measure, fields, .. } = &query.asked else {
        return String::new();
    };
    let fields = fields.join(phrases::AND.word(lang));
    let told = |phrase: Phrase, number: f64| phrase.tell(lang, &[&number.to_string(), &fields]);
    match (measure, tally.distinct, tally.measured) {
        (Measure::Distinct, Some(distinct), _) => distinct_values(lang, "", distinct.count, &fields),
        (Measure::Sum, _, Some(number)) => told(phrases::SUM, number),
        (Measure::Average, _, Some(number)) => told(phrases::AVERAGE, number),
        (Measure::Percentile(part), _, Some(number)) => {
            phrases::PERCENTILE.tell(lang, &[&number.to_string(), &fields, &part.to_string()])
        }
        _ => String::new(),
    }
}

fn distinct_values(lang: Lang, least: &str, count: u64, field: &str) -> String {
    let phrase = if count == 1 {
        phrases::ONE_VALUE
    } else {
        phrases::VALUES
    };
    phrase.tell(lang, &[least, &count.to_string(), field])
}

/// A number of things.
pub(crate) fn number(lang: Lang, count: u64, one: Phrase, many: Phrase) -> String {
    let phrase = if count == 1 { one } else { many };
    phrase.tell(lang, &[&count.to_string()])
}

fn with_terms(lang: Lang, plan: Option<&Plan>, found: &Match) -> String {
    match terms(plan, found) {
        terms if terms.is_empty() => terms,
        terms => phrases::WITH.tell(lang, &[&terms]),
    }
}

/// How long the window is of which the events were counted.
fn length(lang: Lang, longest: u64, window: &Window) -> String {
    let nanos = window.to.nanos_since(window.from);
    // Of events of one moment the time in which they were looked for says more.
    let told = u64::try_from(nanos)
        .ok()
        .filter(|nanos| *nanos >= SECOND)
        .unwrap_or(longest);
    span(lang, told)
}

/// A length of time in its largest whole unit.
fn span(lang: Lang, nanos: u64) -> String {
    let seconds = nanos / SECOND;
    let units = [
        (86_400, phrases::DAYS),
        (3_600, phrases::HOURS),
        (60, phrases::MINUTES),
    ];
    let unit = units
        .iter()
        .find(|(length, _)| seconds >= 2 * length && seconds.is_multiple_of(*length));
    let (number, phrase) = match unit {
        Some((length, phrase)) => (seconds / length, *phrase),
        None if seconds == 86_400 => (24, phrases::HOURS),
        None if seconds == 3_600 => (60, phrases::MINUTES),
        None => (seconds, phrases::SECONDS),
    };
    phrase.tell(lang, &[&number.to_string()])
}

/// Kibana's keys of such alerts, without `kibana.alert.`.
/// <https://www.elastic.co/docs/reference/security/fields-and-object-schemas/alert-schema>
pub(super) fn kibana(plan: Option<&Plan>, found: &Match, window: &Window) -> (&'static str, Value) {
    let Some(tally) = window.tally else {
        let terms: Vec<Value> = pairs(plan, found).map(|(_, value)| value).collect();
        return ("new_terms", Value::Array(terms));
    };
    let terms: Vec<Value> = pairs(plan, found)
        .map(|(field, value)| json!({"field": field, "value": value}))
        .collect();
    let cardinality: Vec<Value> = distinct_field(plan)
        .zip(tally.distinct)
        .map(|(field, distinct)| json!({"field": field, "value": distinct.count}))
        .into_iter()
        .collect();
    let result = json!({
        "from": window.from.to_string(),
        "terms": terms,
        "cardinality": cardinality,
        "count": tally.count,
    });
    ("threshold_result", result)
}

/// The same as `neph.alert.window` has it, with what Kibana has no key for.
pub(super) fn own(plan: Option<&Plan>, window: &Window) -> Value {
    let mut own = Map::new();
    let mut set = |key: &str, value: Value| own.insert(key.to_owned(), value);
    let text = |instant: Instant| Value::from(instant.to_string());
    set("from", text(window.from));
    set("to", text(window.to));
    if let Some(tally) = window.tally {
        set("count", tally.count.into());
        if let Some((field, distinct)) = distinct_field(plan).zip(tally.distinct) {
            let value = json!({"field": field, "count": distinct.count, "is_exact": distinct.is_exact});
            set("distinct", value);
        }
        if let Some((field, measured)) = distinct_field(plan).zip(tally.measured) {
            set("measured", json!({"field": field, "value": measured}));
        }
    }
    Value::Object(own)
}

fn distinct_field(plan: Option<&Plan>) -> Option<&str> {
    match &plan?.query {
        Query::Aggregate(aggregate) => Some(&aggregate.distinct.as_ref()?.field.name),
        Query::Correlation(correlation) => match &correlation.asked {
            Asked::Number { fields, .. } => fields.first().map(|field| &**field),
            Asked::Together { .. } => None,
        },
        _ => None,
    }
}

/// The settings as `kibana.alert.rule.parameters` has them.
pub(super) fn parameters(condition: &Condition, parameters: &mut Map<String, Value>) {
    match condition {
        Condition::Single => {}
        Condition::NewTerms(new_terms) => {
            parameters.insert("new_terms_fields".into(), json!(new_terms.fields));
            parameters.insert(
                "history_window_start".into(),
                json!(new_terms.history_window_start),
            );
        }
        Condition::Threshold(threshold) => {
            let cardinality: Vec<Value> = threshold
                .cardinality
                .iter()
                .map(|cardinality| json!(cardinality))
                .collect();
            let threshold =
                json!({"field": threshold.fields, "value": threshold.value, "cardinality": cardinality});
            parameters.insert("threshold".into(), threshold);
        }
        Condition::ThreatMatch(threat) => {
            parameters.insert("threat_query".into(), json!(threat.query));
            parameters.insert("threat_language".into(), json!(threat.language));
            parameters.insert("threat_index".into(), json!(threat.index));
            parameters.insert("threat_indicator_path".into(), json!(threat.indicator_path));
            parameters.insert("threat_mapping".into(), json!(threat.mapping));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_in_their_largest_whole_unit() {
        let told = [30, 60, 120, 540, 3_600, 7_200, 5_400, 86_400, 604_800]
            .map(|seconds| span(Lang::English, seconds * SECOND));
        assert_eq!(
            told,
            [
                "30 s", "60 s", "2 min", "9 min", "60 min", "2 h", "90 min", "24 h", "7 days"
            ]
        );
    }
}
