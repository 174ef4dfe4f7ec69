//! Anchors and groups of other dialects, which Lucene's regular expressions take literally.
//!
//! On a field, a pattern matches the whole value, `^` and `$` are ordinary characters, and `(?` starts no group.
//! Source: <https://www.elastic.co/docs/reference/query-languages/query-dsl/regexp-syntax>

use neph_diag::{Diagnostic, Span};
use neph_event::Value;

use super::Checked;
use crate::bound::{Bound, Constant, Kind};
use crate::codes;
use crate::lexer::source_offset;

pub(super) fn check(checked: &Checked<'_, '_>, diagnostics: &mut Vec<Diagnostic>) {
    for condition in &checked.conditions {
        condition.walk(&mut |bound: &Bound| {
            if let Kind::Regex(value, patterns, _) = &bound.kind
                && value.as_field().is_some()
            {
                diagnostics.extend(
                    patterns
                        .iter()
                        .filter_map(|pattern| foreign(pattern, checked.text)),
                );
            }
        });
    }
}

fn foreign(pattern: &Constant, text: &str) -> Option<Diagnostic> {
    let Some(Value::String(regex)) = &pattern.value else {
        return None;
    };
    let (offset, length, what) = literal_part(regex)?;
    let start = pattern.span.start as usize + source_offset(pattern.span.text(text), offset);
    let what = format!("`{what}` is matched literally here");
    let help = match regex.get(offset..offset + length) {
        Some("(?") => {
            "groups that start with `(?` do not exist; `regex~` ignores case, and any group may stand in plain parentheses"
        }
        _ => {
            "a regular expression on a field always matches the whole value, without `^` and `$`; a part of the value is matched with `.*` at the ends; a literal `^` or `$` is clearer as `\\^` or `\\$`"
        }
    };
    Some(Diagnostic::new(&codes::REGEX_LITERAL, Span::new(start, start + length), what).with_help(help))
}

/// The first part that other dialects read in another way: its offset, its length and its text.
fn literal_part(regex: &str) -> Option<(usize, usize, &'static str)> {
    let bytes = regex.as_bytes();
    let mut escaped = false;
    let mut in_class = false;
    for (at, byte) in bytes.iter().enumerate() {
        let behind = bytes.get(at + 1).copied();
        let before = at.checked_sub(1).and_then(|at| bytes.get(at)).copied();
        let skip = std::mem::take(&mut escaped);
        match byte {
            _ if skip => {}
            b'\\' => escaped = true,
            b'[' => in_class = true,
            b']' => in_class = false,
            _ if in_class => {}
            b'^' if matches!(before, None | Some(b'(' | b'|')) => return Some((at, 1, "^")),
            b'$' if matches!(behind, None | Some(b')' | b'|')) => return Some((at, 1, "$")),
            b'(' if behind == Some(b'?') => return Some((at, 2, "(?")),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::lints::test_support::found;

    const CODE: &str = "regex-literal";

    #[test]
    fn anchors_and_special_groups_are_reported() {
        for (pattern, place) in [
            ("^a.*", "^"),
            ("a|b$", "$"),
            ("(?i)a", "(?"),
            ("(^a|b)", "^"),
            (r"\\d+$", "$"),
        ] {
            let query = format!("any where process.name regex \"{pattern}\"");
            let expected = format!("{place}: `{place}` is matched literally here");
            assert_eq!(found(&query, CODE), [expected], "{pattern}");
        }
    }

    #[test]
    fn escaped_characters_and_classes_are_fine() {
        for pattern in [r"\\^a\\$", "[^a]+", "a[$]", r"a\\$[0-9]", "a$b"] {
            assert!(
                found(&format!("any where process.name regex \"{pattern}\""), CODE).is_empty(),
                "{pattern}"
            );
        }
        assert!(found("any where concat(process.name) regex \"^a$\"", CODE).is_empty());
    }
}
