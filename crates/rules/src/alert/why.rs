//! The *why* tree as JSON.

use std::collections::HashMap;

use neph_diag::Span;
use neph_engine::{Why, WhyNode, WhyTest};
use neph_event::Value;
use serde_json::Value as Json;

use super::fields::object;
use crate::rule::Rule;

/// Texts of a rule's query on one line, by their places: each is made once, however many alerts show it.
pub(crate) type Shown = HashMap<Span, String>;

/// A part of the condition with its truth. Tests carry their text from the query and the values that they looked at:
///
/// ```json
/// {"holds": true, "all": [
///   {"holds": true, "test": "process.name : \"curl\"", "values": [{"field": "process.name", "value": "curl", "met": "curl"}]}
/// ]}
/// ```
pub(crate) fn json_of(why: &Why, rule: &Rule, texts: &mut Shown) -> Json {
    let (key, value) = match &why.node {
        WhyNode::Constant => ("constant", Json::from(why.holds)),
        WhyNode::All(parts) => (
            "all",
            parts.iter().map(|part| json_of(part, rule, texts)).collect(),
        ),
        WhyNode::Any(parts) => match merged(parts).as_slice() {
            [one] if parts.len() > 1 => return json_of(one, rule, texts),
            parts => (
                "any",
                parts.iter().map(|part| json_of(part, rule, texts)).collect(),
            ),
        },
        WhyNode::Not(part) => ("not", json_of(part, rule, texts)),
        WhyNode::Test(test) => return test_json(why.holds, test, rule, texts),
    };
    object([("holds", why.holds.into()), (key, value)])
}

/// Joins tests of one place in the query. A list of plain texts and patterns (`process.name : ("curl", "python*")`) is
/// run as two tests, but is one condition for its reader. The values are those of the test that holds, if any.
fn merged(parts: &[Why]) -> Vec<&Why> {
    let mut out: Vec<&Why> = Vec::with_capacity(parts.len());
    for part in parts {
        let twin = out.iter_mut().find(|earlier| match (&earlier.node, &part.node) {
            (WhyNode::Test(earlier), WhyNode::Test(test)) => {
                earlier.span == test.span && !test.span.is_empty()
            }
            _ => false,
        });
        match twin {
            Some(twin) if part.holds && !twin.holds => *twin = part,
            Some(_) => {}
            None => out.push(part),
        }
    }
    out
}

fn test_json(holds: bool, test: &WhyTest, rule: &Rule, texts: &mut Shown) -> Json {
    let values = test.findings.iter().map(|finding| {
        let value = finding.value.as_ref().map_or(Json::Null, json_value);
        let met = finding.met.as_ref().map(|met| ("met", Json::from(&**met)));
        object(
            [("field", Json::from(&*finding.field)), ("value", value)]
                .into_iter()
                .chain(met),
        )
    });
    let more = (test.unlisted > 0).then(|| ("more_values", Json::from(test.unlisted)));
    let parts = [
        ("holds", holds.into()),
        ("test", text_at(test.span, rule, texts).into()),
        ("values", values.collect()),
    ];
    object(parts.into_iter().chain(more))
}

/// A place of the query on one line.
pub(crate) fn text_at<'t>(span: Span, rule: &Rule, texts: &'t mut Shown) -> &'t str {
    texts
        .entry(span)
        .or_insert_with(|| shown(rule, span.text(&rule.query)))
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

/// A piece of a rule's query on one line. Of the languages only EQL has comments: `//` is a part of many addresses.
pub(crate) fn shown(rule: &Rule, text: &str) -> String {
    one_line(text, rule.language == "eql")
}

/// A text on one line: comments, where there are any, are left out and every run of white space outside strings is one space.
fn one_line(text: &str, has_comments: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if has_comments && rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if has_comments && rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if first.is_whitespace() {
            first.len_utf8()
        } else {
            let length = token_length(rest, first);
            out.push_str(rest.get(..length).unwrap_or(""));
            rest = rest.get(length..).unwrap_or("");
            continue;
        };
        if !out.is_empty() && !out.ends_with(' ') {
            out.push(' ');
        }
        rest = rest.get(length..).unwrap_or("");
    }
    out.trim_end().to_owned()
}

/// Length of the string or quoted name that `text` begins with, or of its first character.
fn token_length(text: &str, first: char) -> usize {
    let raw = "\"\"\"";
    if let Some(inside) = text.strip_prefix(raw) {
        return inside.find(raw).map_or(text.len(), |end| end + 2 * raw.len());
    }
    if first != '"' && first != '`' {
        return first.len_utf8();
    }
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' if first == '"' => escaped = true,
            end if end == first => return at + end.len_utf8(),
            _ => {}
        }
    }
    text.len()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_on_one_line_lose_comments_and_keep_strings() {
        let text = "process.name : (\n  \"a  //b\", // tools\n  \"\"\"c /* \"d\"\"\"  /* folders\n*/ , `x // y`\n  \"e\\\"  //f\"\n)";
        assert_eq!(
            one_line(text, true),
            "process.name : ( \"a  //b\", \"\"\"c /* \"d\"\"\" , `x // y` \"e\\\"  //f\" )"
        );
        assert_eq!(one_line("a // no end", true), "a");
        assert_eq!(one_line("\"open", true), "\"open");
        assert_eq!(one_line("/* open", true), "");
        assert_eq!(
            one_line("url: http://a/*\n and b: c", false),
            "url: http://a/* and b: c"
        );
    }
}
