//! Matching wildcard patterns.
//!
//! A [`Matcher`] is a [`Pattern`] made ready for many values: the common forms (`*x*`, `x*`, `*x`, no wildcard at all)
//! take a single comparison or search, the others are matched piece by piece between their `*`, without backtracking
//! further than the last `*`.

use std::borrow::Cow;

use crate::{Case, Pattern, PatternPart};

/// A pattern, ready to match whole values.
#[derive(Clone, Debug)]
pub struct Matcher {
    form: Form,
    case: Case,
}

#[derive(Clone, Debug)]
enum Form {
    /// `*`
    Everything,
    /// No wildcard.
    Exact(Box<str>),
    /// `x*`
    Prefix(Box<str>),
    /// `*x`
    Suffix(Box<str>),
    /// `*x*`
    Contains(Box<str>),
    /// The pieces between the `*`s; the first is anchored at the start and the last at the end (either may be empty).
    Pieces(Vec<Piece>),
}

/// A run of literals and `?`s without `*`.
type Piece = Vec<PatternPart>;

impl Matcher {
    /// Makes a pattern ready.
    pub fn new(pattern: &Pattern, case: Case) -> Self {
        let folded = |text: &str| -> Box<str> { fold(text, case).into() };
        let form = match pattern.parts.as_slice() {
            [] => Form::Exact("".into()),
            [PatternPart::Any] => Form::Everything,
            [PatternPart::Literal(text)] => Form::Exact(folded(text)),
            [PatternPart::Literal(text), PatternPart::Any] => Form::Prefix(folded(text)),
            [PatternPart::Any, PatternPart::Literal(text)] => Form::Suffix(folded(text)),
            [PatternPart::Any, PatternPart::Literal(text), PatternPart::Any] => Form::Contains(folded(text)),
            parts => {
                let fold_part = |part: &PatternPart| match part {
                    PatternPart::Literal(text) => PatternPart::Literal(folded(text)),
                    other => other.clone(),
                };
                let pieces = parts.split(|part| *part == PatternPart::Any);
                Form::Pieces(
                    pieces
                        .map(|piece| piece.iter().map(fold_part).collect())
                        .collect(),
                )
            }
        };
        Self { form, case }
    }

    /// Whether the whole value matches.
    pub fn is_match(&self, value: &str) -> bool {
        let (value, ignore_ascii_case) = prepare(value, self.case);
        let value: &str = &value;
        match &self.form {
            Form::Everything => true,
            Form::Exact(text) => value.len() == text.len() && starts(value, text, ignore_ascii_case),
            Form::Prefix(text) => starts(value, text, ignore_ascii_case),
            Form::Suffix(text) => ends(value, text, ignore_ascii_case),
            Form::Contains(text) => find(value, text, ignore_ascii_case).is_some(),
            Form::Pieces(pieces) => match_pieces(pieces, value, ignore_ascii_case),
        }
    }
}

/// The value in the form that folded needles compare with, and whether ASCII letters still compare without case.
fn prepare(value: &str, case: Case) -> (Cow<'_, str>, bool) {
    match case {
        Case::Sensitive => (Cow::Borrowed(value), false),
        Case::AsciiInsensitive => (Cow::Borrowed(value), true),
        Case::Insensitive if value.is_ascii() => (Cow::Borrowed(value), true),
        Case::Insensitive => (Cow::Owned(fold(value, case).into_owned()), false),
    }
}

/// The text as it compares under `case`: letters lowered one by one, so that positions keep their order.
pub(crate) fn fold(text: &str, case: Case) -> Cow<'_, str> {
    match case {
        Case::Sensitive => Cow::Borrowed(text),
        Case::AsciiInsensitive => Cow::Owned(text.to_ascii_lowercase()),
        Case::Insensitive => Cow::Owned(text.chars().map(|c| fold_char(c, case)).collect()),
    }
}

/// One letter under `case`, by simple lower-casing.
pub fn fold_char(character: char, case: Case) -> char {
    match case {
        Case::Sensitive => character,
        Case::AsciiInsensitive => character.to_ascii_lowercase(),
        Case::Insensitive => {
            let mut lower = character.to_lowercase();
            match (lower.next(), lower.next()) {
                (Some(single), None) => single,
                _ => character,
            }
        }
    }
}

/// Whether `text` starts with `needle` under `case`.
pub(crate) fn starts_with(text: &str, needle: &str, case: Case) -> bool {
    let (value, ignore) = prepare(text, case);
    starts(&value, &fold(needle, case), ignore)
}

/// Whether `text` ends with `needle` under `case`.
pub(crate) fn ends_with(text: &str, needle: &str, case: Case) -> bool {
    let (value, ignore) = prepare(text, case);
    ends(&value, &fold(needle, case), ignore)
}

/// Whether `text` holds `needle` under `case`.
pub(crate) fn contains(text: &str, needle: &str, case: Case) -> bool {
    let (value, ignore) = prepare(text, case);
    find(&value, &fold(needle, case), ignore).is_some()
}

/// Whether the texts are equal under `case`.
pub(crate) fn equal(text: &str, other: &str, case: Case) -> bool {
    match case {
        Case::Sensitive => text == other,
        Case::AsciiInsensitive => text.eq_ignore_ascii_case(other),
        Case::Insensitive => text
            .chars()
            .map(|c| fold_char(c, case))
            .eq(other.chars().map(|c| fold_char(c, case))),
    }
}

fn starts(value: &str, needle: &str, ignore_ascii_case: bool) -> bool {
    let head = value.as_bytes().get(..needle.len());
    head.is_some_and(|head| same(head, needle.as_bytes(), ignore_ascii_case))
}

fn ends(value: &str, needle: &str, ignore_ascii_case: bool) -> bool {
    let from = value.len().checked_sub(needle.len());
    let tail = from.and_then(|from| value.as_bytes().get(from..));
    tail.is_some_and(|tail| same(tail, needle.as_bytes(), ignore_ascii_case))
}

fn same(a: &[u8], b: &[u8], ignore_ascii_case: bool) -> bool {
    if ignore_ascii_case {
        a.eq_ignore_ascii_case(b)
    } else {
        a == b
    }
}

/// Byte offset of the first occurrence. With `ignore_ascii_case` the needle is lower case already.
fn find(value: &str, needle: &str, ignore_ascii_case: bool) -> Option<usize> {
    if !ignore_ascii_case {
        return memchr::memmem::find(value.as_bytes(), needle.as_bytes());
    }
    let Some(first) = needle.as_bytes().first() else {
        return Some(0);
    };
    let last_start = value.len().checked_sub(needle.len())?;
    let starts_at = value.as_bytes().get(..=last_start)?;
    memchr::memchr2_iter(first.to_ascii_lowercase(), first.to_ascii_uppercase(), starts_at).find(|at| {
        value
            .as_bytes()
            .get(*at..at + needle.len())
            .is_some_and(|part| part.eq_ignore_ascii_case(needle.as_bytes()))
    })
}

fn match_pieces(pieces: &[Piece], value: &str, ignore_ascii_case: bool) -> bool {
    let Some((first, others)) = pieces.split_first() else {
        return value.is_empty();
    };
    let Some(mut rest) = match_piece(first, value, ignore_ascii_case) else {
        return false;
    };
    let Some((last, middle)) = others.split_last() else {
        return rest.is_empty();
    };
    // Each middle piece takes its first place: what is left for the later ones is then as long as it can be.
    for piece in middle {
        match find_piece(piece, rest, ignore_ascii_case) {
            Some(behind) => rest = behind,
            None => return false,
        }
    }
    match_piece_at_end(last, rest, ignore_ascii_case)
}

/// Matches a piece at the start of `text`; gives what stands behind it.
fn match_piece<'a>(piece: &[PatternPart], text: &'a str, ignore_ascii_case: bool) -> Option<&'a str> {
    let mut rest = text;
    for part in piece {
        rest = match part {
            PatternPart::Literal(literal) if starts(rest, literal, ignore_ascii_case) => {
                rest.get(literal.len()..)?
            }
            PatternPart::One => {
                let mut characters = rest.chars();
                characters.next()?;
                characters.as_str()
            }
            PatternPart::Literal(_) | PatternPart::Any => return None,
        };
    }
    Some(rest)
}

/// Finds the first place of a piece; gives what stands behind it.
fn find_piece<'a>(piece: &[PatternPart], text: &'a str, ignore_ascii_case: bool) -> Option<&'a str> {
    let mut from = text;
    loop {
        if let Some(PatternPart::Literal(literal)) = piece.first() {
            from = from.get(find(from, literal, ignore_ascii_case)?..)?;
        }
        if let Some(behind) = match_piece(piece, from, ignore_ascii_case) {
            return Some(behind);
        }
        let mut characters = from.chars();
        characters.next()?;
        from = characters.as_str();
    }
}

fn match_piece_at_end(piece: &[PatternPart], text: &str, ignore_ascii_case: bool) -> bool {
    let mut rest = text;
    for part in piece.iter().rev() {
        let end = match part {
            PatternPart::Literal(literal) if ends(rest, literal, ignore_ascii_case) => {
                rest.len() - literal.len()
            }
            PatternPart::One => match rest.char_indices().next_back() {
                Some((at, _)) => at,
                None => return false,
            },
            PatternPart::Literal(_) | PatternPart::Any => return false,
        };
        match rest.get(..end) {
            Some(shorter) => rest = shorter,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, value: &str, case: Case) -> bool {
        Matcher::new(&Pattern::unescaped(pattern), case).is_match(value)
    }

    #[test]
    fn every_form_matches_the_whole_value() {
        for (pattern, value, expected) in [
            ("*", "", true),
            ("", "", true),
            ("", "x", false),
            ("cmd", "cmd", true),
            ("cmd", "cmd.exe", false),
            ("cmd*", "cmd.exe", true),
            ("cmd*", "xcmd", false),
            ("*.exe", "cmd.exe", true),
            ("*.exe", "exe", false),
            ("*md*", "cmd.exe", true),
            ("*md*", "m.d", false),
            ("?", "é", true),
            ("?", "", false),
            ("c?d", "cmd", true),
            ("c?d*e?e", "cmd.exe", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "aXbYbc", true),
            ("a*b*c", "acb", false),
            ("*a?c*", "xxabxabc", true),
            ("a*a", "a", false),
            ("?*?", "a", false),
            ("?*?", "ab", true),
            ("*aab", "aaab", true),
        ] {
            assert_eq!(
                matches(pattern, value, Case::Sensitive),
                expected,
                "{pattern} against {value}"
            );
        }
    }

    #[test]
    fn case_folds_ascii_only_or_all_letters() {
        assert!(!matches("NET*", "net.exe", Case::Sensitive));
        assert!(matches("NET*", "net.exe", Case::AsciiInsensitive));
        assert!(matches("*ÄB?", "xäbc", Case::Insensitive));
        assert!(!matches("*ÄB?", "xäbc", Case::AsciiInsensitive));
        assert!(matches("*ab*", "XXABXX", Case::Insensitive));
        assert!(equal("STRASSE", "strasse", Case::Insensitive));
    }

    mod agreement {
        use super::super::*;
        use proptest::prelude::*;

        /// The definition, without any cleverness.
        fn naive(parts: &[PatternPart], value: &[char]) -> bool {
            match parts.split_first() {
                None => value.is_empty(),
                Some((PatternPart::Any, rest)) => (0..=value.len()).any(|skip| naive(rest, &value[skip..])),
                Some((PatternPart::One, rest)) => !value.is_empty() && naive(rest, &value[1..]),
                Some((PatternPart::Literal(text), rest)) => {
                    let text: Vec<char> = text.chars().collect();
                    value.starts_with(&text) && naive(rest, &value[text.len()..])
                }
            }
        }

        proptest! {
            #[test]
            fn the_matcher_agrees_with_the_definition(pattern in "[ab?*é]{0,8}", value in "[abé]{0,10}") {
                let pattern = Pattern::unescaped(&pattern);
                let characters: Vec<char> = value.chars().collect();
                let expected = naive(&pattern.parts, &characters);
                for case in [Case::Sensitive, Case::AsciiInsensitive, Case::Insensitive] {
                    prop_assert_eq!(Matcher::new(&pattern, case).is_match(&value), expected);
                }
            }
        }
    }
}
