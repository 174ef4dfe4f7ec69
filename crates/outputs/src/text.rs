//! Texts of logs before people and machines: nothing in them is taken for markup, and nothing is invisible.

use std::fmt::Write as _;

use neph_diag::is_invisible;

/// The text with everything visible that is not: control characters, and those that turn the direction of writing or hide.
/// Line ends and tabs become spaces.
pub(crate) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\r' | '\t' => out.push(' '),
            _ if is_invisible(character) => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out
}

/// The text with at most so many characters; what is cut ends with `…`.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => {
            let kept: String = text.chars().take(most.saturating_sub(1)).collect();
            format!("{}…", kept.trim_end())
        }
    }
}

/// Escaped for HTML, in text and in quoted attributes.
pub(crate) fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(character),
        }
    }
    out
}

/// The text such that programs make no links of what is in it: `hxxp://evil[.]example`.
pub(crate) fn defanged(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let lower = |count: usize| rest.get(..count).map(str::to_ascii_lowercase);
        if lower(7).as_deref() == Some("http://") || lower(8).as_deref() == Some("https://") {
            let upper = rest.starts_with('H');
            out.push_str(if upper { "HXXP" } else { "hxxp" });
            rest = rest.get(4..).unwrap_or_default();
            continue;
        }
        match character {
            '.' => out.push_str("[.]"),
            '@' => out.push_str("[@]"),
            _ => out.push(character),
        }
        rest = rest.get(character.len_utf8()..).unwrap_or_default();
    }
    out
}

/// JSON of a value in ASCII alone.
pub(crate) fn ascii_json(value: &serde_json::Value) -> String {
    let text = value.to_string();
    if text.is_ascii() {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character.is_ascii() {
            true => out.push(character),
            false => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_invisible() {
        assert_eq!(
            visible("a\nb\u{1b}[31m\u{202e}c\u{0}"),
            "a b\\u{1b}[31m\\u{202e}c\\u{0}"
        );
        assert_eq!(visible("日本 é"), "日本 é");
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(shortened("日本語", 3), "日本語");
        assert_eq!(shortened("日本語です", 3), "日本…");
        assert_eq!(shortened("a b", 2), "a…");
    }

    #[test]
    fn links_are_taken_apart() {
        assert_eq!(
            defanged("HTTPS://a.example/é http://b.c x@y"),
            "HXXPS://a[.]example/é hxxp://b[.]c x[@]y"
        );
    }

    #[test]
    fn json_is_ascii() {
        let value = serde_json::json!({"é": "😀\n"});
        assert_eq!(ascii_json(&value), "{\"\\u00e9\":\"\\ud83d\\ude00\\n\"}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&ascii_json(&value)).unwrap(),
            value
        );
    }
}
