//! Java's regular expressions, for the automata of `regex-automata`.
//!
//! Source: <https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/util/regex/Pattern.html>. Without its
//! `UNICODE_CHARACTER_CLASS` flag, Java's `\d`, `\s` and `\w` are ASCII; `\Q…\E` quotes.

use regex_syntax::hir::Hir;
use regex_syntax::{ParserBuilder, escape};

use super::RegexError;
use crate::Case;

/// Rewrites what Java reads in another way.
pub(super) fn translate(pattern: &str) -> String {
    let mut translated = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern;
    while let Some(at) = rest.find('\\') {
        let (before, behind) = rest.split_at_checked(at).unwrap_or((rest, ""));
        translated.push_str(before);
        let mut characters = behind.chars().skip(1);
        let escaped = characters.next();
        let class = match escaped {
            Some('d') => "[0-9]",
            Some('D') => "[^0-9]",
            Some('s') => r"[ \t\n\x0B\f\r]",
            Some('S') => r"[^ \t\n\x0B\f\r]",
            Some('w') => "[a-zA-Z0-9_]",
            Some('W') => "[^a-zA-Z0-9_]",
            Some('h') => r"[ \t\xA0\u1680\u180e\u2000-\u200a\u202f\u205f\u3000]",
            Some('Z') => r"(?:\r?\n)?\z",
            Some('Q') => {
                let quoted = behind.get(2..).unwrap_or("");
                let (literal, tail) = quoted.split_once("\\E").unwrap_or((quoted, ""));
                translated.push_str(&escape(literal));
                rest = tail;
                continue;
            }
            _ => "",
        };
        let length = 1 + escaped.map_or(0, char::len_utf8);
        translated.push_str(if class.is_empty() {
            behind.get(..length).unwrap_or(behind)
        } else {
            class
        });
        rest = behind.get(length..).unwrap_or("");
    }
    translated.push_str(rest);
    translated
}

/// Parses an expression that `regex-syntax` can read.
pub(super) fn parse(pattern: &str, case: Case) -> Result<Hir, RegexError> {
    let insensitive = case != Case::Sensitive;
    ParserBuilder::new()
        .case_insensitive(insensitive)
        .build()
        .parse(pattern)
        .map_err(|error| match error {
            regex_syntax::Error::Parse(error) => RegexError::new(
                Some(error.span().start.offset),
                lower_first(&error.kind().to_string()),
            ),
            regex_syntax::Error::Translate(error) => RegexError::new(
                Some(error.span().start.offset),
                lower_first(&error.kind().to_string()),
            ),
            other => RegexError::new(None, other.to_string()),
        })
}

fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(characters).collect()
    })
}
