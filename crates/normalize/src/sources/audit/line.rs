//! One record of the audit log, taken apart: where it begins, its stamp, its fields.

use memchr::memchr2;

use super::kinds;
use crate::tree::{Map, Value};

/// Where a record came from, and what stands behind its stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// The host that `node=` names.
    pub(super) node: Option<&'a str>,
    /// The record type.
    pub(super) kind: &'a str,
    /// Milliseconds since the epoch.
    pub(super) millis: i64,
    /// The serial number that the records of one event share.
    pub(super) serial: u64,
    /// The fields.
    pub(super) body: &'a str,
}

/// Takes a line apart: `node=h type=T msg=audit(TIME.MILLIS:SERIAL): …`, behind whatever a log daemon put before it.
/// Kernel messages have no `msg=` and their type as a number: `audit: type=1400 audit(TIME.MILLIS:SERIAL): …`.
pub(super) fn parse(line: &str) -> Option<Line<'_>> {
    if let Some(line) = parse_plain(line) {
        return Some(line);
    }
    let start = line.find("audit(")?;
    let (head, rest) = (line.get(..start)?, line.get(start + "audit(".len()..)?);
    let (stamp, behind) = rest.split_once(')')?;
    let (time, serial) = stamp.split_once(':')?;
    let body = behind.strip_prefix(':').unwrap_or(behind);
    let kind_at = head.rfind("type=")?;
    let kind = head
        .get(kind_at + "type=".len()..)?
        .split_ascii_whitespace()
        .next()?;
    let kind = match kind.parse() {
        Ok(number) => kinds::record_name(number).unwrap_or(kind),
        Err(_) => kind,
    };
    let before = head.get(..kind_at)?;
    let node = before
        .split_ascii_whitespace()
        .next_back()
        .and_then(|word| word.strip_prefix("node="));
    Some(Line {
        node,
        kind,
        millis: millis(time)?,
        serial: serial.parse().ok()?,
        body,
    })
}

/// A line with nothing but a host before its type, which is a name: nearly all are so.
fn parse_plain(line: &str) -> Option<Line<'_>> {
    let (node, line) = match line.strip_prefix("node=") {
        Some(rest) => rest
            .split_once(' ')
            .filter(|(node, _)| !node.contains(|letter: char| letter.is_ascii_whitespace()))
            .map(|(node, rest)| (Some(node), rest))?,
        None => (None, line),
    };
    let rest = line.strip_prefix("type=")?;
    let name = |byte: &u8| byte.is_ascii_uppercase() || *byte == b'_';
    let (kind, rest) = rest.split_at_checked(rest.bytes().take_while(name).count())?;
    let rest = rest.strip_prefix(" msg=audit(").filter(|_| !kind.is_empty())?;
    let (seconds, rest) = number(rest)?;
    let (part, rest) = number(rest.strip_prefix('.')?)?;
    let (serial, rest) = number(rest.strip_prefix(':')?)?;
    let body = rest.strip_prefix(')')?;
    let millis = i64::try_from(seconds).ok()?.checked_mul(1000)?;
    let part = i64::try_from(part).ok().filter(|part| *part < 1000)?;
    Some(Line {
        node,
        kind,
        millis: millis.checked_add(part)?,
        serial,
        body: body.strip_prefix(':').unwrap_or(body),
    })
}

/// The digits that a text begins with as a number, and what stands behind them.
fn number(text: &str) -> Option<(u64, &str)> {
    let mut number: u64 = 0;
    let mut length = 0;
    for digit in text.bytes().take_while(u8::is_ascii_digit) {
        number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
        length += 1;
    }
    (length > 0).then_some((number, text.get(length..)?))
}

/// The lines of a text, without what ends them.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text).filter(|text| !text.is_empty());
    std::iter::from_fn(move || {
        let text = rest?;
        let (line, behind) = match memchr::memchr(b'\n', text.as_bytes()) {
            Some(end) => {
                let line = text.get(..end)?;
                (line.strip_suffix('\r').unwrap_or(line), text.get(end + 1..))
            }
            None => (text, None),
        };
        rest = behind.filter(|behind| !behind.is_empty());
        Some(line)
    })
}

/// Seconds with milliseconds behind a dot.
pub(super) fn millis(time: &str) -> Option<i64> {
    let (seconds, part) = time.split_once('.')?;
    let seconds: i64 = seconds.parse().ok()?;
    let part: i64 = part.parse().ok().filter(|part| (0..1000).contains(part))?;
    seconds.checked_mul(1000)?.checked_add(part)
}

/// How many different fields a record may have; what comes later is left out, except arguments, which are kept apart.
const MOST_FIELDS: usize = 512;

/// Fields in the order in which they came, as the texts of an object. A field that comes again replaces the one before.
/// A copy is the same object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    map: &'a Map<'a>,
    /// A bit for each key that was ever there: most of what is asked for is not.
    seen: u64,
}

/// The bit of a key. The numbers keep the keys of the usual records apart.
#[inline(always)]
pub(super) const fn bit(key: &str) -> u64 {
    let bytes = key.as_bytes();
    let (first, second, last) = match bytes {
        [] => (0, 0, 0),
        [one] => (*one, *one, *one),
        [first, second, .., last] => (*first, *second, *last),
        [first, second] => (*first, *second, *second),
    };
    let mixed = 21 * first as usize + second as usize + 5 * last as usize + 13 * bytes.len();
    1 << (mixed & 63)
}

impl<'a> Fields<'a> {
    /// No fields yet, with room for so many.
    pub(super) fn with_room(room: usize, at: &Map<'a>) -> Self {
        Self {
            map: at.with_room(room),
            seen: 0,
        }
    }

    #[inline]
    pub(super) fn get(&self, key: &str) -> Option<&'a str> {
        if self.seen & bit(key) == 0 {
            return None;
        }
        self.map.get(key)?.as_text()
    }

    #[inline]
    pub(super) fn set(&mut self, key: &'a str, value: &'a str) {
        if self.seen & bit(key) == 0 || self.map.get(key).is_none() {
            self.add(key, value);
        } else {
            self.map.set(key, Value::Text(value));
        }
    }

    /// Sets a field that is not there yet.
    pub(super) fn set_new(&mut self, key: &'a str, value: &'a str) {
        if self.get(key).is_none() {
            self.add(key, value);
        }
    }

    /// Adds a field that is known not to be there.
    #[inline]
    pub(super) fn add(&mut self, key: &'a str, value: &'a str) {
        if self.map.len() < MOST_FIELDS {
            self.seen |= bit(key);
            self.map.add(key, Value::Text(value));
        }
    }

    #[inline]
    pub(super) fn remove(&mut self, key: &str) -> Option<&'a str> {
        if self.seen & bit(key) == 0 {
            return None;
        }
        self.map.remove(key)?.as_text()
    }

    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.map
            .iter()
            .filter_map(|(key, value)| Some((key, value.as_text()?)))
    }

    /// Gives a field that is there another key and value.
    pub(super) fn replace(&mut self, from: &str, key: &'a str, value: &'a str) {
        if self.get(key).is_some() {
            self.remove(from);
            self.set(key, value);
        } else if self.map.replace(from, key, Value::Text(value)) {
            self.seen |= bit(key);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// The fields as an object, which is to be changed by nobody else from now on.
    pub(super) fn into_map(self) -> &'a Map<'a> {
        self.map
    }
}

/// A field as it stood: values keep their quotes, because what has none may be hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Raw<'a> {
    pub(super) key: &'a str,
    pub(super) value: &'a str,
}

impl<'a> Raw<'a> {
    /// The value without quotes and blanks round it; nothing for what stands for nothing.
    pub(super) fn said(&self) -> Option<&'a str> {
        let value = bare(self.value);
        (!matches!(value, "" | "?" | "?," | "(null)")).then_some(value)
    }
}

/// A value without quotes and blanks round it.
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
pub(super) fn fields(text: &str, letters: Letters) -> impl Iterator<Item = Raw<'_>> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
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
                let byte = *bytes.get(at)?;
                at += 1;
                if byte == b'=' {
                    break;
                }
                if class(byte) & letters as u8 == 0 {
                    start = at;
                }
            }
            let key = text.get(start..at - 1)?;
            let length = value_length(bytes.get(at..)?);
            if key.is_empty() || length == 0 {
                continue;
            }
            let value = text.get(at..at + length)?;
            at += length;
            return Some(Raw { key, value });
        }
    })
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
    while let Some(found) = text.get(at..).and_then(|rest| memchr2(quote, b'\\', rest)) {
        at += found;
        if text.get(at) == Some(&quote) {
            return at + 1;
        }
        // What stands behind the backslash means nothing.
        at += 2;
    }
    0
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

/// What hexadecimal text in capitals stands for, with `zero` in the place of bytes that are zero; nothing where it is no
/// such text. Bytes that are no UTF-8 are replaced.
pub(super) fn unhex<'a>(text: &str, zero: u8, at: &Map<'a>) -> Option<&'a str> {
    // Most of what is asked about is no such text.
    if !text.len().is_multiple_of(2) || digit(*text.as_bytes().first()?) == NO_DIGIT {
        return None;
    }
    let bytes = at.places(text.len() / 2, 0_u8);
    let mut all = 0;
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return None };
        let (high, low) = (digit(*high), digit(*low));
        all |= high | low;
        *byte = match high << 4 | low {
            0 => zero,
            other => other,
        };
    }
    if all >= NO_DIGIT {
        return None;
    }
    let bytes: &'a [u8] = bytes;
    Some(match simdutf8::basic::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => at.text(&String::from_utf8_lossy(bytes)),
    })
}

/// Stands for what is no hexadecimal digit: more than any of them.
const NO_DIGIT: u8 = 16;

/// What a hexadecimal digit in capitals stands for. Digits and letters follow each other at random, so a decision for each
/// would cost more than a table.
#[inline(always)]
fn digit(byte: u8) -> u8 {
    const DIGITS: [u8; 256] = {
        let mut digits = [NO_DIGIT; 256];
        let mut value = 0;
        while value < 16 {
            #[expect(clippy::indexing_slicing, reason = "it is computed by the compiler")]
            {
                digits[b"0123456789ABCDEF"[value] as usize] = value as u8;
            }
            value += 1;
        }
        digits
    };
    DIGITS.get(usize::from(byte)).copied().unwrap_or(NO_DIGIT)
}

/// The number of an argument: of `a12` and of its pieces `a12[3]`, of which the second number is that of the piece.
pub(super) fn argument(key: &str) -> Option<(usize, Option<usize>)> {
    let rest = key.strip_prefix('a')?;
    match rest.split_once('[') {
        Some((number, piece)) => Some((digits(number)?, Some(digits(piece.strip_suffix(']')?)?))),
        None => Some((digits(rest)?, None)),
    }
}

fn digits(text: &str) -> Option<usize> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::{Letters, Line, argument, fields, parse, unhex};
    use crate::tree::Arena;

    #[test]
    fn lines_are_taken_apart() {
        let line = |node, kind, body| Line {
            node,
            kind,
            millis: 1_500_000_000_007,
            serial: 42,
            body,
        };
        for (text, expected) in [
            (
                "type=CWD msg=audit(1500000000.007:42): cwd=\"/\"",
                line(None, "CWD", " cwd=\"/\""),
            ),
            (
                "node=web-1 type=EOE msg=audit(1500000000.007:42): ",
                line(Some("web-1"), "EOE", " "),
            ),
            (
                "Jul 14 02:40:00 h audispd: node=n type=PATH msg=audit(1500000000.007:42): item=0",
                line(Some("n"), "PATH", " item=0"),
            ),
            (
                "<5>[  1.5] audit: type=1400 audit(1500000000.007:42): apparmor=\"DENIED\"",
                line(None, "AVC", " apparmor=\"DENIED\""),
            ),
        ] {
            assert_eq!(parse(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "type=CWD msg=audit(1.2:x):",
            "msg=audit(1.002:3):",
            "type=A msg=audit(99999999999999999999.001:1)",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn fields_are_found() {
        let found = |text: &str, letters| -> Vec<(String, String)> {
            fields(text, letters)
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

    #[test]
    fn values_are_decoded() {
        let arena = Arena::default();
        let at = arena.map();
        let unhex = |text| unhex(text, b' ', at);
        assert_eq!(unhex("2F62696E"), Some("/bin"));
        assert_eq!(unhex("612F0062"), Some("a/ b"));
        assert_eq!(unhex("2f62696e"), None);
        assert_eq!(unhex("2F62696G"), None);
        assert_eq!(unhex("2F6"), None);
        assert_eq!(unhex(""), None);
        assert_eq!(unhex("FF41"), Some("\u{fffd}A"));
        assert_eq!(argument("a10"), Some((10, None)));
        assert_eq!(argument("a1[2]"), Some((1, Some(2))));
        assert_eq!(argument("a1_len"), None);
        assert_eq!(argument("auid"), None);
    }
}
