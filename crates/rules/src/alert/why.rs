//! The *why* tree as JSON.

use std::collections::HashMap;
use std::sync::Arc;

use neph_diag::Span;
use neph_engine::{Explanation, Why, WhyNode, WhyTest};
use neph_event::Value;
use serde_json::Value as Json;

use super::written::Written;
use crate::rule::Rule;

/// Texts of a rule's query on one line and as JSON, by their places: each is made once, however many alerts show it.
pub(crate) type Shown = HashMap<Span, Vec<u8>>;

/// A part of the condition with its truth. Tests carry their text from the query and the values that they looked at:
///
/// ```json
/// {"holds": true, "all": [
///   {"holds": true, "test": "process.name : \"curl\"", "values": [{"field": "process.name", "value": "curl", "met": "curl"}]}
/// ]}
/// ```
pub(crate) fn write(why: &Why, rule: &Rule, texts: &mut Shown, out: &mut Written) {
    match &why.node {
        WhyNode::Constant => in_object(why, out, |out| {
            out.key("constant");
            out.value(&why.holds);
        }),
        WhyNode::All(parts) => in_object(why, out, |out| {
            out.key("all");
            out.list(parts, |out, part| write(part, rule, texts, out));
        }),
        WhyNode::Any(parts) => match merged(parts).as_slice() {
            [one] if parts.len() > 1 => write(one, rule, texts, out),
            parts => in_object(why, out, |out| {
                out.key("any");
                out.list(parts, |out, part| write(part, rule, texts, out));
            }),
        },
        WhyNode::Not(part) => in_object(why, out, |out| {
            out.key("not");
            write(part, rule, texts, out);
        }),
        WhyNode::Test(test) => in_object(why, out, |out| write_test(test, rule, texts, out)),
    }
}

fn in_object(why: &Why, out: &mut Written, fill: impl FnOnce(&mut Written)) {
    out.object(|out| {
        out.key("holds");
        out.value(&why.holds);
        fill(out);
    });
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

fn write_test(test: &WhyTest, rule: &Rule, texts: &mut Shown, out: &mut Written) {
    out.key("test");
    out.raw(text_at(test.span, rule, texts));
    out.key("values");
    out.list(&test.findings, |out, finding| {
        out.object(|out| {
            out.key("field");
            out.value(&*finding.field);
            out.key("value");
            match &finding.value {
                Some(value) => write_value(value, out),
                None => out.value(&()),
            }
            if let Some(met) = &finding.met {
                out.key("met");
                out.value(&**met);
            }
        });
    });
    if test.unlisted > 0 {
        out.key("more_values");
        out.value(&test.unlisted);
    }
}

/// A place of the query on one line, as JSON.
pub(crate) fn text_at<'t>(span: Span, rule: &Rule, texts: &'t mut Shown) -> &'t [u8] {
    texts.entry(span).or_insert_with(|| {
        let mut out = Written::default();
        out.value(&shown(rule, span.text(&rule.query)));
        out.into_bytes()
    })
}

/// Fields and values that tests met, as texts, each once.
pub(crate) fn matched(explanation: &Explanation) -> Vec<(Arc<str>, String)> {
    let mut matched = Vec::new();
    for (field, value) in explanation.matched_fields() {
        let met = (field, value.to_string());
        if !matched.contains(&met) {
            matched.push(met);
        }
    }
    matched
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

fn write_value(value: &Value, out: &mut Written) {
    match value {
        Value::String(text) => out.value(&**text),
        other => out.value(&json_value(other)),
    }
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
