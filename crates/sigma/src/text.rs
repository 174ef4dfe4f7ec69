//! Sigma's texts: wildcards, escapes, and the encodings that modifiers ask for.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use neph_plan::{Pattern, PatternPart};

use crate::ast::Transform;

/// The dashes that Windows programs take for one another at the start of an option.
const DASHES: [char; 5] = ['-', '/', '–', '—', '―'];
/// With more dashes in one value, they all change together; each on its own would give too many values.
const MAX_DASHES: usize = 3;

/// A text with wildcards: `*` is any characters and `?` one; a backslash takes their meaning from them and from itself,
/// and before anything else is a backslash.
/// <https://sigmahq.io/sigma-specification/specification/sigma-rules-specification.html#escaping>
pub(crate) fn pattern(text: &str) -> Pattern {
    let is_plain = !text.bytes().any(|byte| matches!(byte, b'\\' | b'*' | b'?'));
    if is_plain && !text.is_empty() {
        // Most are sought anywhere, so that there will be wildcards around.
        let mut parts = Vec::with_capacity(3);
        parts.push(PatternPart::Literal(text.into()));
        return Pattern { parts };
    }
    let mut builder = Builder {
        parts: Vec::new(),
        literal: String::with_capacity(text.len()),
    };
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next_if(|next| matches!(next, '*' | '?' | '\\')) {
                Some(escaped) => builder.literal.push(escaped),
                None => builder.literal.push('\\'),
            },
            '*' => builder.wildcard(PatternPart::Any),
            '?' => builder.wildcard(PatternPart::One),
            other => builder.literal.push(other),
        }
    }
    builder.finish()
}

/// The pattern between wildcards.
pub(crate) fn surrounded(mut pattern: Pattern, before: bool, behind: bool) -> Pattern {
    let parts = &mut pattern.parts;
    if before && parts.first() != Some(&PatternPart::Any) {
        parts.insert(0, PatternPart::Any);
    }
    if behind && parts.last() != Some(&PatternPart::Any) {
        parts.push(PatternPart::Any);
    }
    pattern
}

struct Builder {
    parts: Vec<PatternPart>,
    literal: String,
}

impl Builder {
    fn wildcard(&mut self, wildcard: PatternPart) {
        self.flush();
        if wildcard != PatternPart::Any || self.parts.last() != Some(&PatternPart::Any) {
            self.parts.push(wildcard);
        }
    }

    fn flush(&mut self) {
        if !self.literal.is_empty() {
            self.parts
                .push(PatternPart::Literal(std::mem::take(&mut self.literal).into()));
        }
    }

    fn finish(mut self) -> Pattern {
        self.flush();
        Pattern { parts: self.parts }
    }
}

/// Why a value cannot be transformed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TransformError {
    /// Encodings take plain texts.
    Wildcard,
    /// The encoded text is no text that a value could hold.
    NotText,
}

/// What the transforms make of a value: one pattern or several, any of which is looked for. Placeholders without a list
/// are added to `missing`; what they stand in matches nothing.
pub(crate) fn transform(
    text: &str,
    transforms: &[Transform],
    lists: &BTreeMap<String, Vec<String>>,
    missing: &mut Vec<String>,
) -> Result<Vec<Pattern>, TransformError> {
    if transforms.is_empty() {
        return Ok(vec![pattern(text)]);
    }
    let mut texts = vec![text.to_owned()];
    let mut encoded: Option<Vec<Vec<u8>>> = None;
    for transform in transforms {
        match transform {
            Transform::Expand => {
                texts = texts
                    .iter()
                    .flat_map(|text| expand(text, lists, missing))
                    .collect();
            }
            Transform::WinDash => texts = texts.iter().flat_map(|text| windash(text)).collect(),
            _ => {
                let plain = match encoded.take() {
                    Some(bytes) => bytes,
                    None => texts
                        .iter()
                        .map(|text| match pattern(text).as_literal() {
                            Some(literal) => Ok(literal.as_bytes().to_vec()),
                            None => Err(TransformError::Wildcard),
                        })
                        .collect::<Result<_, _>>()?,
                };
                encoded = Some(plain.iter().flat_map(|bytes| encode(bytes, *transform)).collect());
            }
        }
    }
    match encoded {
        None => Ok(texts.iter().map(|text| pattern(text)).collect()),
        Some(list) => list
            .into_iter()
            .map(|bytes| {
                let text = String::from_utf8(bytes).map_err(|_| TransformError::NotText)?;
                let parts = if text.is_empty() {
                    Vec::new()
                } else {
                    vec![PatternPart::Literal(text.into())]
                };
                Ok(Pattern { parts })
            })
            .collect(),
    }
}

fn encode(bytes: &[u8], transform: Transform) -> Vec<Vec<u8>> {
    let utf16 = |write: fn(u16) -> [u8; 2]| -> Vec<u8> {
        String::from_utf8_lossy(bytes)
            .encode_utf16()
            .flat_map(write)
            .collect()
    };
    match transform {
        Transform::Utf16Le => vec![utf16(u16::to_le_bytes)],
        Transform::Utf16Be => vec![utf16(u16::to_be_bytes)],
        Transform::Utf16 => {
            let mut marked = vec![0xff, 0xfe];
            marked.extend(utf16(u16::to_le_bytes));
            vec![marked]
        }
        Transform::Base64 => vec![STANDARD.encode(bytes).into_bytes()],
        Transform::Base64Offset => (0..3).map(|offset| at_offset(bytes, offset)).collect(),
        Transform::WinDash | Transform::Expand => vec![bytes.to_vec()],
    }
}

/// The Base64 of the bytes when `offset` others stand before them and more behind: only the characters that depend on
/// these bytes alone.
fn at_offset(bytes: &[u8], offset: usize) -> Vec<u8> {
    let mut padded = vec![b' '; offset];
    padded.extend_from_slice(bytes);
    let encoded = STANDARD.encode(&padded).into_bytes();
    let from = match offset {
        0 => 0,
        1 => 2,
        _ => 3,
    };
    let cut = match padded.len() % 3 {
        0 => 0,
        1 => 3,
        _ => 2,
    };
    let until = encoded.len().saturating_sub(cut);
    encoded.get(from..until).unwrap_or_default().to_vec()
}

/// The value with the dashes of options changed: a `-` or `/` between no word and a word.
fn windash(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let word = |at: Option<usize>| {
        at.and_then(|at| characters.get(at))
            .is_some_and(|character| character.is_alphanumeric() || *character == '_')
    };
    let places: Vec<usize> = characters
        .iter()
        .enumerate()
        .filter(|(at, character)| {
            matches!(character, '-' | '/') && !word(at.checked_sub(1)) && word(Some(at + 1))
        })
        .map(|(at, _)| at)
        .collect();
    let replaced = |choice: &dyn Fn(usize) -> char| -> String {
        characters
            .iter()
            .enumerate()
            .map(
                |(at, character)| match places.iter().position(|place| *place == at) {
                    Some(number) => choice(number),
                    None => *character,
                },
            )
            .collect()
    };
    let mut values = vec![text.to_owned()];
    if places.len() > MAX_DASHES {
        values.extend(DASHES.iter().map(|dash| replaced(&|_| *dash)));
    } else {
        let choices = DASHES.len().pow(u32::try_from(places.len()).unwrap_or(0));
        for number in 0..choices {
            let digit =
                |place: usize| number / DASHES.len().pow(u32::try_from(place).unwrap_or(0)) % DASHES.len();
            values.push(replaced(&|place| {
                DASHES.get(digit(place)).copied().unwrap_or('-')
            }));
        }
    }
    values.sort_unstable();
    values.dedup();
    values
}

/// So many values come of one with placeholders at most.
const MAX_EXPANDED: usize = 100_000;

fn expand(text: &str, lists: &BTreeMap<String, Vec<String>>, missing: &mut Vec<String>) -> Vec<String> {
    let mut values = vec![String::new()];
    let mut rest = text;
    while let Some((before, name, behind)) = placeholder(rest) {
        values.iter_mut().for_each(|value| value.push_str(before));
        match lists.get(name).filter(|list| !list.is_empty()) {
            Some(list) => {
                values = values
                    .iter()
                    .flat_map(|value| list.iter().map(move |entry| format!("{value}{entry}")))
                    .take(MAX_EXPANDED)
                    .collect();
            }
            None => {
                missing.push(name.to_owned());
                values.clear();
            }
        }
        rest = behind;
    }
    values.iter_mut().for_each(|value| value.push_str(rest));
    values
}

/// The first `%name%` with what stands before and behind it.
fn placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    loop {
        let start = from + text.get(from..)?.find('%')?;
        let inside = text.get(start + 1..)?;
        let length = inside.find('%')?;
        let name = inside.get(..length)?;
        let named = !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
        if named {
            return Some((text.get(..start)?, name, inside.get(length + 1..)?));
        }
        from = start + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pattern: &Pattern) -> String {
        pattern
            .parts
            .iter()
            .map(|part| match part {
                PatternPart::Literal(text) => format!("[{text}]"),
                PatternPart::Any => "*".to_owned(),
                PatternPart::One => "?".to_owned(),
            })
            .collect()
    }

    fn transformed(text: &str, transforms: &[Transform]) -> Vec<String> {
        let patterns = transform(text, transforms, &BTreeMap::new(), &mut Vec::new()).unwrap();
        patterns
            .iter()
            .map(|pattern| pattern.as_literal().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn backslashes_escape_wildcards_and_themselves_only() {
        for (text, expected) in [
            (r"a*b?c", "[a]*[b]?[c]"),
            (r"\*\?", "[*?]"),
            (r"C:\Windows\*", r"[C:\Windows*]"),
            (r"C:\Windows\\*", r"[C:\Windows\]*"),
            (r"\\\\server\share", r"[\\server\share]"),
            (r"end\", r"[end\]"),
            ("", ""),
            ("**", "*"),
        ] {
            assert_eq!(shown(&pattern(text)), expected, "{text}");
        }
    }

    #[test]
    fn base64_is_found_at_every_offset() {
        let needle = "http://";
        let wanted = transformed(needle, &[Transform::Base64Offset]);
        assert_eq!(wanted.len(), 3);
        for before in 0..7 {
            for behind in 0..4 {
                let whole = format!("{}{needle}{}", "x".repeat(before), "y".repeat(behind));
                let encoded = STANDARD.encode(&whole);
                let form = &wanted[before % 3];
                assert!(encoded.contains(form.as_str()), "{whole}: {encoded} lacks {form}");
            }
        }
    }

    #[test]
    fn encodings_follow_one_another() {
        assert_eq!(
            transformed("ping", &[Transform::Utf16Le, Transform::Base64]),
            ["cABpAG4AZwA="]
        );
        assert_eq!(transformed("ab", &[Transform::Utf16Be]), ["\0a\0b"]);
        assert_eq!(
            transformed("i", &[Transform::Utf16, Transform::Base64]),
            ["//5pAA=="]
        );
        let wildcard = transform("a*", &[Transform::Base64], &BTreeMap::new(), &mut Vec::new());
        assert_eq!(wildcard, Err(TransformError::Wildcard));
    }

    #[test]
    fn dashes_change_where_an_option_starts() {
        assert_eq!(transformed(" -exec", &[Transform::WinDash]).len(), 5);
        assert!(transformed("/a -b", &[Transform::WinDash]).contains(&"–a /b".to_owned()));
        assert_eq!(transformed("a-b", &[Transform::WinDash]), ["a-b"]);
        assert_eq!(transformed("- x", &[Transform::WinDash]), ["- x"]);
        assert_eq!(transformed("-a -b -c -d", &[Transform::WinDash]).len(), 5);
    }

    #[test]
    fn placeholders_become_the_entries_of_their_lists() {
        let lists = BTreeMap::from([
            ("admins".to_owned(), vec!["root".to_owned(), "ad*".to_owned()]),
            ("empty".to_owned(), Vec::new()),
        ]);
        let mut missing = Vec::new();
        let mut expanded = |text: &str| -> Vec<String> {
            let patterns = transform(text, &[Transform::Expand], &lists, &mut missing).unwrap();
            patterns.iter().map(shown).collect()
        };
        assert_eq!(expanded("%admins%"), ["[root]", "[ad]*"]);
        assert_eq!(expanded(r"x\%admins%@y"), [r"[x\root@y]", r"[x\ad]*[@y]"]);
        assert_eq!(expanded("100% of 5%"), ["[100% of 5%]"]);
        assert!(expanded("%empty% %none%").is_empty());
        assert_eq!(missing, ["empty", "none"]);
    }
}
