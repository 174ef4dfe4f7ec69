//! What could be seen of what an alert tells, and what not: fields that its events lack, values that were cut where they were
//! written, and what the ledger says of the time that was evaluated.

use std::collections::{BTreeMap, BTreeSet};

use neph_event::{Instant, Schema};
use neph_rules::describe;
use neph_store::{GapKind, Role};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::prevalence::{events_of, wanted_fields};
use crate::problem::Problem;
use crate::route::{Answer, Call, Route, schema_of};
use crate::search::lookup;
use crate::status::StatusGap;
use crate::when::{self, now};

pub(crate) static ROUTES: &[Route] = &[Route::get(
    "/api/v1/alerts/{id}/completeness",
    Role::Viewer,
    "alerts.completeness",
    "What of an alert's evidence is not there: fields that its rule or its guide asks for, values that were cut, and what was not seen while it was evaluated.",
    schema_of::<Completeness>,
    completeness,
)];

/// Fields and gaps that are told at most.
const MOST: usize = 200;
/// Levels of a document that are looked into for cut values.
const DEEPEST: usize = 24;
/// What lies so near the evaluated interval belongs to it: records come a little after what they tell of.
const NEAR: i128 = 5 * 60 * 1_000_000_000;

/// What of an alert's evidence is not there.
#[derive(Debug, Serialize, JsonSchema)]
struct Completeness {
    /// Whether nothing that matters is known to be missing.
    complete: bool,
    /// The interval of the run that evaluated it.
    from: String,
    /// Its end.
    to: String,
    /// The streams that its events came by.
    streams: Vec<String>,
    /// Fields that its rule or its guide asks for and none of its events has.
    absent: Vec<Absent>,
    /// How many fields they ask for in all.
    asked: usize,
    /// Values that were cut where they were written.
    cut: Vec<Cut>,
    /// What was not seen in the interval: gaps of sources and of this rule that no back-fill closed.
    gaps: Vec<StatusGap>,
    /// Events of other steps that must be missing for the rule to hold: what the gaps may have hidden.
    waits_for_absence: bool,
}

/// A field that no event has.
#[derive(Debug, Serialize, JsonSchema)]
struct Absent {
    /// Its name.
    field: String,
    /// `rule`, `guide`, or both.
    asked_by: Vec<&'static str>,
    /// Whether it may change what the alert says: not where another alternative of the rule held without it.
    matters: bool,
    /// The integrations that are known to fill it.
    sources: Vec<String>,
}

/// A value that was cut where it was written.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct Cut {
    /// Its field.
    field: String,
    /// What is said of it.
    why: String,
}

/// Fields that a guide names: in braces of its searches, or between backticks.
fn named_in(guide: &str) -> BTreeSet<String> {
    let schema = Schema::builtin();
    let pieces = guide.split(['`', '{', '}', ' ', ',', ':', '(', ')', '\n', '=', '"']);
    let is_field = |name: &&str| name.contains('.') && schema.get(name).is_some();
    pieces.filter(is_field).map(str::to_owned).collect()
}

/// Values of a document that say of themselves that they are not whole.
fn cuts(document: &Value) -> Vec<Cut> {
    fn walk(value: &Value, path: &str, depth: usize, out: &mut Vec<Cut>) {
        match value {
            _ if depth > DEEPEST || out.len() > MOST => {}
            Value::Array(items) => items.iter().for_each(|item| walk(item, path, depth + 1, out)),
            Value::Object(object) => {
                // CloudTrail leaves out what is larger than 100 KB, and says so
                // (<https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html>).
                if object.get("omitted") == Some(&Value::Bool(true)) {
                    let size = object
                        .get("originalSize")
                        .map_or_else(String::new, |size| format!(" of {size} bytes"));
                    out.push(Cut {
                        field: path.to_owned(),
                        why: format!("a value{size} was left out"),
                    });
                }
                for (key, inner) in object {
                    let name = match path {
                        "" => key.clone(),
                        path => format!("{path}.{key}"),
                    };
                    walk(inner, &name, depth + 1, out);
                }
            }
            // The kernel's audit cuts long lists of arguments, which `ausearch` and this program mark so.
            Value::String(text) if text.contains(" truncated arguments ...]") => out.push(Cut {
                field: path.to_owned(),
                why: "arguments were cut".to_owned(),
            }),
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(document, "", 0, &mut found);
    for prefix in ["process", "process.parent"] {
        let number = |field: &str| {
            let values = lookup(document, &format!("{prefix}.{field}"));
            values.first().and_then(|value| value.parse::<usize>().ok())
        };
        let args = lookup(document, &format!("{prefix}.args")).len();
        if let Some(wanted) = number("args_count").filter(|wanted| args > 0 && args < *wanted) {
            found.push(Cut {
                field: format!("{prefix}.args"),
                why: format!("{args} of {wanted} arguments"),
            });
        }
    }
    found.dedup();
    found
}

fn completeness(call: &Call<'_>) -> Result<Answer, Problem> {
    let record = call.app.store.db.alert(call.part("id"))?;
    let alert = &record.alert;
    let document: Value = serde_json::from_slice(&alert.document).unwrap_or_default();
    let own = document.pointer("/neph/alert").unwrap_or(&Value::Null);
    let mut events: Vec<&Value> = events_of(&document).collect();
    if events.is_empty() {
        events.push(&document);
    }
    let now = now();
    let time = |path: &str| {
        let text = own.pointer(path).and_then(Value::as_str)?;
        when::parse(text, now, &jiff::tz::TimeZone::UTC)
    };
    let from = time("/run/evaluated_from")
        .unwrap_or(alert.time)
        .min(alert.first.unwrap_or(alert.time));
    let to = time("/run/evaluated_to")
        .unwrap_or(alert.time)
        .max(alert.last.unwrap_or(alert.time))
        .min(now);
    let (absent, asked) = absent(call, &alert.rule_id, &document, &events);
    let steps = own
        .get("steps")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    let streams: BTreeSet<&str> = steps
        .iter()
        .filter_map(|step| step.get("events")?.as_array())
        .flatten()
        .filter_map(|event| event.pointer("/origin/source")?.as_str())
        .collect();
    let mut cut: Vec<Cut> = events.iter().flat_map(|event| cuts(event)).collect();
    cut.dedup();
    cut.truncate(MOST);
    let gaps = gaps(call, from, to, now, &alert.rule_id)?;
    Answer::json(&Completeness {
        complete: !absent.iter().any(|field| field.matters) && cut.is_empty() && gaps.is_empty(),
        from: from.to_string(),
        to: to.to_string(),
        streams: streams.into_iter().map(str::to_owned).collect(),
        absent,
        asked,
        cut,
        gaps,
        waits_for_absence: steps
            .iter()
            .any(|step| step.get("missing") == Some(&Value::Bool(true))),
    })
}

/// Fields that were asked for, and had no value, where that counted: in what held, and in what did not and was denied or given up;
/// not in alternatives of what held.
fn asked_in_vain(why: &Value, depth: usize, found: &mut BTreeSet<String>) {
    let holds = |node: &Value| node.get("holds").and_then(Value::as_bool) == Some(true);
    if depth > DEEPEST {
        return;
    }
    for value in why.get("values").and_then(Value::as_array).into_iter().flatten() {
        if let (Some(field), None | Some(Value::Null)) =
            (value.get("field").and_then(Value::as_str), value.get("value"))
        {
            found.insert(field.to_owned());
        }
    }
    for key in ["all", "any"] {
        let parts = why.get(key).and_then(Value::as_array).into_iter().flatten();
        let alternatives = key == "any" && holds(why);
        for part in parts.filter(|part| !alternatives || holds(part)) {
            asked_in_vain(part, depth + 1, found);
        }
    }
    if let Some(part) = why.get("not") {
        asked_in_vain(part, depth + 1, found);
    }
}

/// Fields that no event has, and how many are asked for.
fn absent(call: &Call<'_>, rule: &str, document: &Value, events: &[&Value]) -> (Vec<Absent>, usize) {
    let steps = document.pointer("/neph/alert/steps").and_then(Value::as_array);
    let whys = steps
        .into_iter()
        .flatten()
        .filter_map(|step| step.get("events")?.as_array())
        .flatten()
        .filter_map(|event| event.get("why"));
    let mut counted = BTreeSet::new();
    whys.for_each(|why| asked_in_vain(why, 0, &mut counted));
    let mut asked: BTreeMap<String, Absent> = BTreeMap::new();
    let mut ask = |field: String, by: &'static str, sources: Vec<String>| {
        let entry = asked.entry(field.clone()).or_insert(Absent {
            field,
            asked_by: Vec::new(),
            matters: false,
            sources,
        });
        entry.matters |= by == "guide" || counted.contains(&entry.field);
        if !entry.asked_by.contains(&by) {
            entry.asked_by.push(by);
        }
    };
    let shown = call.app.rules();
    if let Some(rule) = shown.set.rules.iter().find(|own| own.id == rule) {
        for field in describe::fields(rule) {
            ask(field.name, "rule", field.sources);
        }
    }
    let note = document.get("kibana.alert.rule.note").and_then(Value::as_str);
    let wanted = wanted_fields(document).into_iter().map(str::to_owned);
    for field in wanted.chain(named_in(note.unwrap_or(""))) {
        let sources = Schema::builtin().get(&field).map_or_else(Vec::new, |def| {
            def.sources.iter().map(|source| (*source).to_owned()).collect()
        });
        ask(field, "guide", sources);
    }
    let number = asked.len();
    let is_absent = |field: &Absent| events.iter().all(|event| lookup(event, &field.field).is_empty());
    let mut absent: Vec<Absent> = asked.into_values().filter(is_absent).collect();
    absent.sort_by_key(|field| !field.matters);
    absent.truncate(MOST);
    (absent, number)
}

/// Gaps of sources and of the rule in the interval that no back-fill closed.
fn gaps(
    call: &Call<'_>,
    from: Instant,
    to: Instant,
    now: Instant,
    rule: &str,
) -> Result<Vec<StatusGap>, Problem> {
    let range = from.saturating_sub_nanos(NEAR)..to.saturating_add_nanos(NEAR);
    let found = call.app.store.db.gaps(range, now, &call.app.silences)?;
    let concerns = found.iter().filter(|gap| {
        gap.closed_by.is_empty()
            && gap.rule.as_deref().is_none_or(|own| own == rule)
            // A source that fell silent a moment ago and one that always pauses look alike until it is over.
            && !(gap.kind == GapKind::SourceSilent && gap.from >= to)
    });
    Ok(concerns.take(MOST).map(StatusGap::from).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_guide_names_fields_in_backticks_and_searches() {
        let guide =
            "Look at `process.parent.name` and at host.id == {{user.name}}; `no.such.field`, e.g. this.";
        let named: Vec<String> = named_in(guide).into_iter().collect();
        assert_eq!(named, ["host.id", "process.parent.name", "user.name"]);
    }

    #[test]
    fn an_alternative_that_was_not_needed_does_not_count() {
        let leaf = |field: &str, value: Value, holds: bool| json!({"holds": holds, "test": "t", "values": [{"field": field, "value": value}]});
        let why = json!({"holds": true, "all": [
            {"holds": true, "any": [leaf("a", json!("x"), true), leaf("b", Value::Null, false)]},
            {"holds": true, "not": {"holds": false, "any": [leaf("c", Value::Null, false)]}},
        ]});
        let mut found = BTreeSet::new();
        asked_in_vain(&why, 0, &mut found);
        assert_eq!(found, BTreeSet::from(["c".to_owned()]));
    }

    #[test]
    fn values_that_were_cut_say_so() {
        let document = json!({
            "aws": {"cloudtrail": {"request_parameters": {"omitted": true, "originalSize": 123_456}}},
            "process": {"args": ["a", "b"], "args_count": 5, "command_line": "x [... 3 truncated arguments ...]",
                "parent": {"args": ["a"], "args_count": 1}}
        });
        let mut found = cuts(&document);
        found.sort_by(|left, right| left.field.cmp(&right.field));
        let fields: Vec<&str> = found.iter().map(|cut| cut.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "aws.cloudtrail.request_parameters",
                "process.args",
                "process.command_line"
            ]
        );
        assert!(found.iter().any(|cut| cut.why == "2 of 5 arguments"), "{found:?}");
        assert!(cuts(&json!({"omitted": false, "process": {"args": ["a"]}})).is_empty());
    }
}
