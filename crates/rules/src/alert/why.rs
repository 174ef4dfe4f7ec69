//! The *why* tree as JSON.

use neph_engine::{Why, WhyNode, WhyTest};
use neph_event::Value;
use serde_json::{Value as Json, json};

/// A part of the condition with its truth. Tests carry their text from the query and the values that they looked at:
///
/// ```json
/// {"holds": true, "all": [
///   {"holds": true, "test": "process.name : \"curl\"", "values": [{"field": "process.name", "value": "curl", "met": "curl"}]}
/// ]}
/// ```
pub(crate) fn json_of(why: &Why, query: &str) -> Json {
    let list = |parts: &[Why]| Json::Array(parts.iter().map(|part| json_of(part, query)).collect());
    match &why.node {
        WhyNode::Constant => json!({"holds": why.holds, "constant": why.holds}),
        WhyNode::All(parts) => json!({"holds": why.holds, "all": list(parts)}),
        WhyNode::Any(parts) => json!({"holds": why.holds, "any": list(parts)}),
        WhyNode::Not(part) => json!({"holds": why.holds, "not": json_of(part, query)}),
        WhyNode::Test(test) => test_json(why.holds, test, query),
    }
}

fn test_json(holds: bool, test: &WhyTest, query: &str) -> Json {
    let values: Vec<Json> = test
        .findings
        .iter()
        .map(|finding| {
            let mut value = json!({"field": finding.field, "value": finding.value.as_ref().map(json_value)});
            if let (Some(met), Json::Object(map)) = (&finding.met, &mut value) {
                map.insert("met".into(), Json::from(&**met));
            }
            value
        })
        .collect();
    let mut out = json!({"holds": holds, "test": one_line(test.span.text(query)), "values": values});
    if test.unlisted > 0
        && let Json::Object(map) = &mut out
    {
        map.insert("more_values".into(), test.unlisted.into());
    }
    out
}

/// Fields and values that tests met on the true branches, in the order of the query, each once. What stands below a `not`
/// is not among them: there the lack of a value decided.
pub(crate) fn collect_matched(why: &Why, matched: &mut Vec<(String, String)>) {
    if !why.holds {
        return;
    }
    match &why.node {
        WhyNode::Constant | WhyNode::Not(_) => {}
        WhyNode::All(parts) | WhyNode::Any(parts) => {
            parts.iter().for_each(|part| collect_matched(part, matched))
        }
        WhyNode::Test(test) => {
            for finding in &test.findings {
                let Some(value) = &finding.value else { continue };
                let met = (finding.field.to_string(), value.to_string());
                if !matched.contains(&met) {
                    matched.push(met);
                }
            }
        }
    }
}

/// The text with every run of white space made one space; conditions in rule files go over many lines.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A value as JSON: numbers and booleans as such, everything else as text.
pub(crate) fn json_value(value: &Value) -> Json {
    match value {
        Value::Bool(value) => Json::from(*value),
        Value::Long(value) => Json::from(*value),
        Value::Unsigned(value) => Json::from(*value),
        Value::Double(value) => Json::from(*value),
        other => Json::from(other.to_string()),
    }
}
