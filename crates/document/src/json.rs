//! JSON text to a [`Node`].
//!
//! `serde_json` hands out each value as the slice of the text that it stands in (`RawValue`), which gives the spans.

use std::fmt;

use neph_diag::{Code, Diagnostic, Span};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::{Data, Entry, MAX_DEPTH, Node, Table};

/// Reads the value that `text` is; `text` stands at byte `base` of its file.
///
/// # Errors
///
/// The first place that is no JSON, or nested deeper than [`MAX_DEPTH`], as a diagnostic that bears `code`.
pub fn parse(text: &str, base: usize, code: &'static Code) -> Result<Node, Box<Diagnostic>> {
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| syntax(text, base, code, &error))?;
    node(
        raw,
        &Origin {
            start: text.as_ptr() as usize,
            text,
            base,
            code,
        },
        0,
    )
}

fn syntax(text: &str, base: usize, code: &'static Code, error: &serde_json::Error) -> Box<Diagnostic> {
    // The library counts lines from 1 and columns in bytes from 1; a column of 0 is the line's end before.
    let line_start: usize = text
        .split_inclusive('\n')
        .take(error.line().saturating_sub(1))
        .map(str::len)
        .sum();
    // The column may point into a character of several bytes.
    let at = base + text.floor_char_boundary(line_start + error.column().saturating_sub(1));
    let said = error.to_string();
    let reason = said
        .rfind(" at line ")
        .and_then(|end| said.get(..end))
        .unwrap_or(&said);
    let message = format!(
        "this is not valid JSON: {}",
        reason.replace("EOF", "the end of the text")
    );
    Box::new(Diagnostic::new(code, Span::new(at, at), message))
}

/// The text that all slices point into.
struct Origin<'a> {
    start: usize,
    text: &'a str,
    base: usize,
    code: &'static Code,
}

impl Origin<'_> {
    fn span(&self, raw: &RawValue) -> Span {
        let at = (raw.get().as_ptr() as usize)
            .saturating_sub(self.start)
            .min(self.text.len())
            + self.base;
        Span::new(at, at + raw.get().len())
    }
}

fn node(raw: &RawValue, origin: &Origin<'_>, depth: u32) -> Result<Node, Box<Diagnostic>> {
    let span = origin.span(raw);
    if depth > MAX_DEPTH {
        let message = format!("this is nested deeper than {MAX_DEPTH} levels");
        return Err(Box::new(Diagnostic::new(origin.code, span, message)));
    }
    let text = raw.get();
    let refuse = |error: serde_json::Error| {
        Box::new(Diagnostic::new(
            origin.code,
            span,
            format!("this is not valid JSON: {error}"),
        ))
    };
    let data = match text.as_bytes().first() {
        Some(b'{') => {
            let pairs: Pairs<'_> = serde_json::from_str(text).map_err(refuse)?;
            let mut entries = Vec::with_capacity(pairs.0.len());
            for (key, value) in pairs.0 {
                let name = serde_json::from_str(key.get()).map_err(refuse)?;
                entries.push(Entry {
                    key: name,
                    key_span: origin.span(key),
                    value: node(value, origin, depth + 1)?,
                });
            }
            Data::Table(Table { entries })
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(refuse)?;
            Data::List(
                items
                    .into_iter()
                    .map(|item| node(item, origin, depth + 1))
                    .collect::<Result<_, _>>()?,
            )
        }
        Some(b'"') => Data::Text(serde_json::from_str(text).map_err(refuse)?),
        Some(b't') => Data::Bool(true),
        Some(b'f') => Data::Bool(false),
        Some(b'n') => Data::Null,
        _ => match text.parse::<i64>() {
            Ok(integer) => Data::Integer(integer),
            Err(_) => Data::Number(text.parse().unwrap_or(f64::NAN)),
        },
    };
    Ok(Node { span, data })
}

/// An object's members, in order, equal keys kept.
struct Pairs<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de> Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    neph_diag::codes! {
        BAD = Error "bad": "it is bad", "It is bad.";
    }

    #[test]
    fn spans_are_those_of_the_file() {
        let line = r#"{"a": "x\ny", "b" : [1, {"c": null}], "d": 2.5}"#;
        let file = format!("first line\n{line}\n");
        let base = file.find('{').unwrap();
        let root = parse(line, base, &BAD).unwrap();
        let table = root.as_table().unwrap();
        let of = |node: &Node| node.span.text(&file).to_owned();
        assert_eq!(of(&root), line);
        assert_eq!(of(table.get("a").unwrap()), r#""x\ny""#);
        assert_eq!(table.text("a"), Some("x\ny"));
        assert_eq!(table.entry("b").unwrap().key_span.text(&file), "\"b\"");
        let list = table.get("b").unwrap();
        assert_eq!(of(list), r#"[1, {"c": null}]"#);
        assert_eq!(of(&list.items()[1]), r#"{"c": null}"#);
        assert!(
            list.items()[1].as_table().unwrap().get("c").is_none(),
            "null counts as absent"
        );
        assert_eq!(of(table.get("d").unwrap()), "2.5");
    }

    #[test]
    fn bad_texts_are_refused_with_their_place() {
        let refusal = parse("{\"a\": 1,\n \"b\" 2}", 100, &BAD).unwrap_err();
        assert_eq!(refusal.span.start, 100 + 9 + 5);
        assert_eq!(refusal.message, "this is not valid JSON: expected `:`");
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(
            parse(&deep, 0, &BAD)
                .unwrap_err()
                .message
                .contains("nested deeper")
        );
        assert!(parse("", 0, &BAD).is_err());
        assert!(parse("{} {}", 0, &BAD).is_err());
    }

    /// Found by fuzzing: the library counts columns in bytes and may stop within a character.
    #[test]
    fn a_place_within_a_character_is_moved_to_its_beginning() {
        for text in ["\"é", "{\"a\": \"…", "[\"\u{1f600}"] {
            let refusal = parse(text, 0, &BAD).expect_err("the text is cut short");
            assert!(
                text.get(refusal.span.range()).is_some(),
                "{text}: {:?}",
                refusal.span
            );
        }
    }
}
