//! The fields of a text of the audit log, one after the other.

use super::line::bit;
use super::usual::Usual;

/// A field as it stood: values keep their quotes, because what has none may be hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Raw<'a> {
    pub(super) key: &'a str,
    pub(super) value: &'a str,
    pub(super) mark: Mark,
}

/// What is known of a key by its name alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// See [`bit`].
    pub(super) bit: u64,
    /// The bit of a field whose value may be hexadecimal, which it is not where it has quotes; 0 for other fields.
    pub(super) hex: u64,
    /// Whether the field is the id of a user or a group.
    pub(super) is_id: bool,
}

impl Mark {
    #[inline]
    pub(super) const fn of(key: &str) -> Self {
        Self {
            bit: bit(key),
            hex: hex_bit(key),
            is_id: matches!(key.as_bytes(), [.., b'u' | b'g', b'i', b'd']),
        }
    }
}

const fn hex_bit(key: &str) -> u64 {
    match key.as_bytes() {
        b"key" => 1,
        b"cwd" => 1 << 1,
        b"exe" => 1 << 2,
        b"comm" => 1 << 3,
        b"proctitle" => 1 << 4,
        b"cmd" => 1 << 5,
        b"data" => 1 << 6,
        b"name" => 1 << 7,
        b"acct" => 1 << 8,
        _ => 0,
    }
}

impl<'a> Raw<'a> {
    /// The value without quotes and blanks round it; nothing for what stands for nothing.
    #[inline(always)]
    pub(super) fn said(&self) -> Option<&'a str> {
        let value = match self.value.as_bytes().first() {
            Some(b'\'' | b'"') => bare(self.value),
            // Quotes and blanks would have ended it.
            _ => self.value,
        };
        match value.as_bytes().first() {
            None => None,
            Some(b'?' | b'(') if matches!(value, "?" | "?," | "(null)") => None,
            Some(_) => Some(value),
        }
    }
}

/// A value without quotes and blanks round it.
#[inline]
pub(super) fn bare(value: &str) -> &str {
    let round = |byte: &u8| matches!(byte, b'\'' | b'"' | b' ');
    match value.as_bytes() {
        [first, inner, .., last, end] if round(first) && round(end) && !round(inner) && !round(last) => {
            value.get(1..value.len() - 1).unwrap_or(value)
        }
        [first, .., end] if !round(first) && !round(end) => value,
        _ => value.trim_matches(['\'', '"', ' ']),
    }
}

/// The fields of a text: keys of letters (as `letters` says), digits, `_` and `-`; values without blanks, or quoted.
#[derive(Clone, Debug)]
pub(super) struct Tokens<'t> {
    text: &'t str,
    at: usize,
    letters: Letters,
    /// The keys that are likely to come, in their order.
    usual: &'static [Usual],
}

/// The fields of a text; `usual` changes nothing but how long it takes to find them.
pub(super) fn fields<'t>(text: &'t str, letters: Letters, usual: &'static [Usual]) -> Tokens<'t> {
    Tokens {
        text,
        at: 0,
        letters,
        usual,
    }
}

impl<'t> Iterator for Tokens<'t> {
    type Item = Raw<'t>;

    #[inline(always)]
    fn next(&mut self) -> Option<Raw<'t>> {
        self.usual().or_else(|| self.any())
    }
}

impl<'t> Tokens<'t> {
    /// The field that the text goes on with, if its key is one of those that are likely to come.
    #[inline(always)]
    fn usual(&mut self) -> Option<Raw<'t>> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let word = match rest.first_chunk() {
            Some(chunk) => u128::from_le_bytes(*chunk),
            None => {
                let mut chunk = [0; 16];
                chunk.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                u128::from_le_bytes(chunk)
            }
        };
        let position = self.usual.iter().position(|usual| usual.is_at(word))?;
        let (usual, behind) = self.usual.get(position..)?.split_first()?;
        let start = usual.key.len() + 2;
        let length = value_length(rest.get(start..)?);
        if length == 0 {
            return None;
        }
        let value_at = self.at + start;
        let raw = Raw {
            key: usual.key,
            value: self.text.get(value_at..value_at + length)?,
            mark: usual.mark,
        };
        self.usual = behind;
        self.at = value_at + length;
        Some(raw)
    }

    /// The next field, wherever it begins.
    #[inline(never)]
    fn any(&mut self) -> Option<Raw<'t>> {
        let (text, letters) = (self.text, self.letters);
        let bytes = text.as_bytes();
        let mut at = self.at;
        loop {
            let mut start = at;
            // Eight bytes at a time: most keys need no second look, and no byte of them a decision.
            while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
                let word = u64::from_le_bytes(*chunk);
                let equals = bytes_below(word ^ (ONES * u64::from(b'=')), 1);
                let before = equals.wrapping_sub(1) & !equals;
                let others = !letters.among(word) & HIGH & before;
                if others != 0 {
                    start = at + 8 - others.leading_zeros() as usize / 8;
                }
                if equals == 0 {
                    at += 8;
                    continue;
                }
                at += equals.trailing_zeros() as usize / 8;
                break;
            }
            loop {
                let Some(byte) = bytes.get(at) else {
                    self.at = bytes.len();
                    return None;
                };
                at += 1;
                if *byte == b'=' {
                    break;
                }
                if class(*byte) & letters as u8 == 0 {
                    start = at;
                }
            }
            let key = text.get(start..at - 1)?;
            let length = value_length(bytes.get(at..)?);
            if key.is_empty() || length == 0 {
                continue;
            }
            let value = text.get(at..at + length)?;
            self.at = at + length;
            return Some(Raw {
                key,
                value,
                mark: Mark::of(key),
            });
        }
    }
}

/// A one, and the highest bit, in each byte of a word.
const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGH: u64 = ONES << 7;

/// The highest bit of the bytes of a word that are below `end`, which is at most 128. Right up to the first of them; behind
/// it others may be marked too.
#[inline(always)]
fn bytes_below(word: u64, end: u8) -> u64 {
    word.wrapping_sub(ONES * u64::from(end)) & !word & HIGH
}

/// The highest bit of the bytes of a word that are from `first` to `last`, both of ASCII.
#[inline(always)]
fn bytes_from_to(word: u64, first: u8, last: u8) -> u64 {
    let low = word & !HIGH;
    let from = low + ONES * u64::from(128 - first);
    let beyond = low + ONES * u64::from(127 - last);
    from & !beyond & !word & HIGH
}

/// Ends a value.
const ENDS: u8 = 4;

/// What a byte may be, as bits: part of a key in [`Letters::Small`] or [`Letters::All`], the end of a value.
#[inline(always)]
fn class(byte: u8) -> u8 {
    const CLASSES: [u8; 256] = {
        let mut classes = [0; 256];
        let mut byte = 0;
        while byte < classes.len() {
            #[expect(
                clippy::indexing_slicing,
                clippy::cast_possible_truncation,
                reason = "it is computed by the compiler"
            )]
            {
                classes[byte] = match byte as u8 {
                    b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' => Letters::Small as u8 | Letters::All as u8,
                    b'A'..=b'Z' | b'[' | b']' => Letters::All as u8,
                    b'\'' | b'"' | b' ' | b'\t' | b'\n' | b'\r' | b'\x0c' => ENDS,
                    _ => 0,
                };
            }
            byte += 1;
        }
        classes
    };
    CLASSES.get(usize::from(byte)).copied().unwrap_or(0)
}

/// Which letters keys have: those that the audit log interprets for the reader are in capitals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Letters {
    Small = 1,
    /// Capitals too, and the brackets round the number of a piece of an argument.
    All = 2,
}

impl Letters {
    /// The highest bit of the bytes of a word that keys may have.
    #[inline(always)]
    fn among(self, word: u64) -> u64 {
        let both = bytes_from_to(word, b'a', b'z')
            | bytes_from_to(word, b'0', b'9')
            | bytes_from_to(word, b'_', b'_')
            | bytes_from_to(word, b'-', b'-');
        match self {
            Self::Small => both,
            Self::All => both | bytes_from_to(word, b'A', b'[') | bytes_from_to(word, b']', b']'),
        }
    }
}

/// How long the value is that a text begins with; 0 where its quote is not closed.
#[inline(always)]
fn value_length(text: &[u8]) -> usize {
    let Some(quote @ (b'\'' | b'"')) = text.first().copied() else {
        return bare_length(text);
    };
    let mut at = 1;
    loop {
        while let Some(chunk) = text.get(at..).and_then(|rest| rest.first_chunk()) {
            let word = u64::from_le_bytes(*chunk);
            let ends = |byte: u8| bytes_below(word ^ (ONES * u64::from(byte)), 1);
            let found = ends(quote) | ends(b'\\');
            if found != 0 {
                at += found.trailing_zeros() as usize / 8;
                break;
            }
            at += 8;
        }
        at += match text.get(at) {
            None => return 0,
            Some(byte) if *byte == quote => return at + 1,
            // What stands behind the backslash means nothing.
            Some(b'\\') => 2,
            Some(_) => 1,
        };
    }
}

/// How long the value is that a text begins with, which has no quotes.
#[inline(always)]
fn bare_length(text: &[u8]) -> usize {
    let mut at = 0;
    loop {
        while let Some(chunk) = text.get(at..).and_then(|rest| rest.first_chunk()) {
            // All that ends a value is below `(`; the lowest byte that is gets its high bit.
            let word = u64::from_le_bytes(*chunk);
            let below = bytes_below(word, b'(');
            if below != 0 {
                at += below.trailing_zeros() as usize / 8;
                break;
            }
            at += 8;
        }
        match text.get(at) {
            None => return at.min(text.len()),
            Some(byte) if class(*byte) == ENDS => return at,
            Some(_) => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Letters, fields};
    use crate::sources::audit::usual;

    #[test]
    fn fields_are_found() {
        let found = |text: &str, letters| -> Vec<(String, String)> {
            fields(text, letters, usual::of("SYSCALL"))
                .map(|raw| (raw.key.to_owned(), raw.value.to_owned()))
                .collect()
        };
        let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect()
        };
        assert_eq!(
            found(
                "tty pid=1 comm=\"a b\" mac= msg='op=x acct=\"y z\"' open=\"",
                Letters::Small
            ),
            pairs(&[("pid", "1"), ("comm", "\"a b\""), ("msg", "'op=x acct=\"y z\"'")])
        );
        // Wherever a key begins and ends, and whatever stands before it.
        for blank in 0..20 {
            for before in ["", "x", "X", "\u{e4}", "{", "=", "."] {
                for key in [
                    "a",
                    "a-b_c0",
                    "cap_frootid",
                    "abcdefghijklmnopqrstuvwxyz0123456789",
                ] {
                    let text = format!(
                        "{}{before} {before}{}{key}=1 z=2",
                        " ".repeat(blank),
                        if before == "x" { " " } else { "" }
                    );
                    let fields = found(&text, Letters::Small);
                    assert_eq!(fields.last(), Some(&("z".to_owned(), "2".to_owned())), "{text}");
                    let right = |(found, value): &(String, String)| found == key && value == "1";
                    assert!(fields.iter().any(right), "{text} {fields:?}");
                }
            }
        }
        assert_eq!(
            found("UID=\"root\" SADDR={ x=1 }", Letters::Small),
            pairs(&[("x", "1")])
        );
        assert_eq!(found("UID=\"root\"", Letters::All), pairs(&[("UID", "\"root\"")]));
    }
}
