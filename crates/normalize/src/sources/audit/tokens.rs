//! The fields of a text of the audit log, one after the other.

use super::line::number_of;
use super::usual::Usual;

/// A field as it stood: values keep their quotes, because what has none may be hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Raw<'a> {
    pub(super) key: &'a str,
    pub(super) value: &'a str,
    pub(super) mark: Mark,
}

/// What is known of a key by its name alone, in one word, for it goes with each field from hand to hand: the
/// [number](number_of) of the key in six bits, two for what it is, and above them that of [`hex`](Self::hex).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark(u32);

impl Mark {
    const ID: u32 = 1 << 6;
    const MESSAGE: u32 = 1 << 7;
    const HEX: u32 = 8;

    #[inline(always)]
    pub(super) const fn of(key: &str) -> Self {
        let what = match key.as_bytes() {
            b"msg" => Self::MESSAGE,
            [.., b'u' | b'g', b'i', b'd'] => Self::ID,
            _ => 0,
        };
        Self(number_of(key) | what | hex_bit(key) << Self::HEX)
    }

    /// Below 64.
    #[inline(always)]
    pub(super) const fn number(self) -> usize {
        (self.0 & 63) as usize
    }

    /// The bit of a field whose value may be hexadecimal, which it is not where it has quotes; 0 for other fields.
    #[inline(always)]
    pub(super) const fn hex(self) -> u32 {
        self.0 >> Self::HEX
    }

    /// Whether the field is the id of a user or a group.
    #[inline(always)]
    pub(super) const fn is_id(self) -> bool {
        self.0 & Self::ID != 0
    }

    /// Whether it is none of these, and no message with fields of its own.
    #[inline(always)]
    pub(super) const fn is_plain(self) -> bool {
        self.0 < 64
    }
}

const fn hex_bit(key: &str) -> u32 {
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
#[inline(always)]
pub(super) fn bare(value: &str) -> &str {
    // Nearly all have one quote at each end.
    if let [first, inner @ .., end] = value.as_bytes()
        && let (Some(head), Some(last)) = (inner.first(), inner.last())
        && class(*first) & class(*end) & ROUND != 0
        && (class(*head) | class(*last)) & ROUND == 0
    {
        return value.get(1..value.len() - 1).unwrap_or(value);
    }
    trimmed(value)
}

#[inline(never)]
fn trimmed(value: &str) -> &str {
    value.trim_matches(['\'', '"', ' '])
}

/// The fields of a text: keys of letters (as `letters` says), digits, `_` and `-`; values without blanks, or quoted.
#[derive(Clone, Debug)]
pub(super) struct Tokens<'t> {
    /// What is left of the text.
    text: &'t str,
    letters: Letters,
    /// The keys that are likely to come, in their order.
    usual: &'static [Usual],
}

/// The fields of a text; `usual` changes nothing but how long it takes to find them.
pub(super) fn fields<'t>(text: &'t str, letters: Letters, usual: &'static [Usual]) -> Tokens<'t> {
    Tokens { text, letters, usual }
}

impl<'t> Iterator for Tokens<'t> {
    type Item = Raw<'t>;

    #[inline(always)]
    fn next(&mut self) -> Option<Raw<'t>> {
        if self.text.is_empty() {
            return None;
        }
        self.usual().or_else(|| self.any())
    }
}

impl<'t> Tokens<'t> {
    /// The field that the text goes on with, if its key is one of those that are likely to come.
    #[inline(always)]
    fn usual(&mut self) -> Option<Raw<'t>> {
        let bytes = self.text.as_bytes();
        let word = match bytes.first_chunk() {
            Some(chunk) => u128::from_le_bytes(*chunk),
            None => short(bytes),
        };
        let mut likely = self.usual;
        let (usual, behind) = loop {
            let (usual, behind) = likely.split_first()?;
            if usual.is_at(word) {
                break (usual, behind);
            }
            likely = behind;
        };
        let (_, rest) = self.text.split_at_checked(usual.key.len() + 2)?;
        let (value, rest) = rest.split_at_checked(value_length(rest.as_bytes()))?;
        if value.is_empty() {
            return None;
        }
        (self.text, self.usual) = (rest, behind);
        Some(Raw {
            key: usual.key,
            value,
            mark: usual.mark,
        })
    }

    /// The next field, wherever it begins.
    #[inline(never)]
    fn any(&mut self) -> Option<Raw<'t>> {
        let (text, letters) = (self.text, self.letters);
        let bytes = text.as_bytes();
        let mut at = 0;
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
                    self.text = "";
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
            self.text = text.get(at + length..)?;
            return Some(Raw {
                key,
                value,
                mark: Mark::of(key),
            });
        }
    }
}

/// A text of fewer than sixteen bytes as a number; 0 for one of fewer than four, which is no field with a blank before it.
#[inline(always)]
fn short(text: &[u8]) -> u128 {
    if let (Some(head), Some(tail)) = (text.first_chunk(), text.last_chunk()) {
        let tail = u128::from(u64::from_le_bytes(*tail)) << (8 * (text.len() - 8));
        return u128::from(u64::from_le_bytes(*head)) | tail;
    }
    if let (Some(head), Some(tail)) = (text.first_chunk(), text.last_chunk()) {
        let tail = u128::from(u32::from_le_bytes(*tail)) << (8 * (text.len() - 4));
        return u128::from(u32::from_le_bytes(*head)) | tail;
    }
    0
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

/// Stands round a value and is no part of it.
const ROUND: u8 = 8;

/// What a byte may be, as bits: part of a key in [`Letters::Small`] or [`Letters::All`], the end of a value, what stands
/// round one.
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
                    b'\'' | b'"' | b' ' => ENDS | ROUND,
                    b'\t' | b'\n' | b'\r' | b'\x0c' => ENDS,
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
    let Some((quote @ (b'\'' | b'"'), mut rest)) = text.split_first() else {
        return bare_length(text);
    };
    loop {
        while let Some((chunk, behind)) = rest.split_first_chunk() {
            let word = u64::from_le_bytes(*chunk);
            let ends = |byte: u8| bytes_below(word ^ (ONES * u64::from(byte)), 1);
            let found = ends(*quote) | ends(b'\\');
            if found != 0 {
                rest = rest.get(found.trailing_zeros() as usize / 8..).unwrap_or(behind);
                break;
            }
            rest = behind;
        }
        rest = match rest {
            [end, behind @ ..] if end == quote => return text.len() - behind.len(),
            // What stands behind the backslash means nothing.
            [b'\\', _, behind @ ..] | [_, behind @ ..] => behind,
            [] => return 0,
        };
    }
}

/// How long the value is that a text begins with, which has no quotes.
#[inline(always)]
fn bare_length(text: &[u8]) -> usize {
    let mut rest = text;
    loop {
        while let Some((chunk, behind)) = rest.split_first_chunk() {
            // All that ends a value is below `(`; the lowest byte that is gets its high bit.
            let below = bytes_below(u64::from_le_bytes(*chunk), b'(');
            if below != 0 {
                rest = rest.get(below.trailing_zeros() as usize / 8..).unwrap_or(behind);
                break;
            }
            rest = behind;
        }
        match rest.split_first() {
            Some((byte, behind)) if class(*byte) & ENDS == 0 => rest = behind,
            _ => return text.len() - rest.len(),
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
