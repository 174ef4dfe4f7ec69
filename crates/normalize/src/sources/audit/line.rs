//! One record of the audit log, taken apart: where it begins, its stamp, its fields.

use memchr::memchr;

use super::kinds;
use crate::tree::same_key;

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

/// A line with nothing before its type, which is a name: nearly all are so.
fn parse_plain(line: &str) -> Option<Line<'_>> {
    let rest = line.strip_prefix("type=")?;
    let name = |byte: &u8| byte.is_ascii_uppercase() || *byte == b'_';
    let (kind, rest) = rest.split_at_checked(rest.bytes().take_while(name).count())?;
    let rest = rest.strip_prefix(" msg=audit(")?;
    let (time, rest) = rest.split_once(':')?;
    let (serial, body) = rest.split_once(')')?;
    (!kind.is_empty() && !time.contains(')')).then_some(())?;
    Some(Line {
        node: None,
        kind,
        millis: millis(time)?,
        serial: serial.parse().ok()?,
        body: body.strip_prefix(':').unwrap_or(body),
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

/// Room for the fields of most records.
const USUAL_FIELDS: usize = 16;

/// Fields in the order in which they came. A field that comes again replaces the one before.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields<'a> {
    entries: Vec<(&'a str, &'a str)>,
}

impl<'a> Fields<'a> {
    pub(super) fn get(&self, key: &str) -> Option<&'a str> {
        self.entries
            .iter()
            .find(|(known, _)| same_key(known, key))
            .map(|(_, value)| *value)
    }

    pub(super) fn set(&mut self, key: &'a str, value: &'a str) {
        match self.entries.iter_mut().find(|(known, _)| same_key(known, key)) {
            Some(entry) => entry.1 = value,
            None => self.add(key, value),
        }
    }

    /// Sets a field that is not there yet.
    pub(super) fn set_new(&mut self, key: &'a str, value: &'a str) {
        if self.get(key).is_none() {
            self.add(key, value);
        }
    }

    /// Adds a field that is known not to be there.
    pub(super) fn add(&mut self, key: &'a str, value: &'a str) {
        if self.entries.is_empty() {
            self.entries.reserve(USUAL_FIELDS);
        }
        if self.entries.len() < MOST_FIELDS {
            self.entries.push((key, value));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<&'a str> {
        let position = self.entries.iter().position(|(known, _)| same_key(known, key))?;
        Some(self.entries.remove(position).1)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + '_ {
        self.entries.iter().copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
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
    let round = |byte: Option<&u8>| matches!(byte, Some(b'\'' | b'"' | b' '));
    let bytes = value.as_bytes();
    if round(bytes.first()) || round(bytes.last()) {
        value.trim_matches(['\'', '"', ' '])
    } else {
        value
    }
}

/// The fields of a text: keys of letters (as `letters` says), digits, `_` and `-`; values without blanks, or quoted.
pub(super) fn fields(text: &str, letters: Letters) -> impl Iterator<Item = Raw<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let equals = memchr(b'=', rest.as_bytes())?;
            let before = rest.get(..equals)?;
            let letters = before.bytes().rev().take_while(|letter| letters.has(*letter));
            let key = before.get(equals - letters.count()..)?;
            rest = rest.get(equals + 1..)?;
            let length = value_length(rest);
            if key.is_empty() || length == 0 {
                continue;
            }
            let value = rest.get(..length)?;
            rest = rest.get(length..)?;
            return Some(Raw { key, value });
        }
    })
}

/// Which letters keys have: those that the audit log interprets for the reader are in capitals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Letters {
    Small,
    /// Capitals too, and the brackets round the number of a piece of an argument.
    All,
}

impl Letters {
    fn has(self, letter: u8) -> bool {
        let right = match self {
            Self::Small => letter.is_ascii_lowercase(),
            Self::All => letter.is_ascii_alphabetic() || matches!(letter, b'[' | b']'),
        };
        right || letter.is_ascii_digit() || matches!(letter, b'_' | b'-')
    }
}

fn value_length(text: &str) -> usize {
    let Some(quote @ (b'\'' | b'"')) = text.bytes().next() else {
        let ends = |byte: u8| matches!(byte, b'\'' | b'"' | b' ' | b'\t' | b'\n' | b'\r' | b'\x0c');
        return text.bytes().position(ends).unwrap_or(text.len());
    };
    let mut escaped = false;
    for (position, byte) in text.bytes().enumerate().skip(1) {
        if byte == quote && !escaped {
            return position + 1;
        }
        escaped = byte == b'\\' && !escaped;
    }
    0
}

/// What hexadecimal text in capitals stands for; nothing where it is no such text. Bytes that are no UTF-8 are replaced.
pub(super) fn unhex(text: &str) -> Option<String> {
    if text.is_empty() || !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    };
    // Most of what is asked about is no such text.
    digit(*text.as_bytes().first()?)?;
    let mut bytes: Vec<u8> = Vec::with_capacity(text.len() / 2);
    for pair in text.as_bytes().chunks_exact(2) {
        let [high, low] = pair else { return None };
        bytes.push(digit(*high)? << 4 | digit(*low)?);
    }
    Some(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
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
        let found = |text, letters| -> Vec<(String, String)> {
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
        assert_eq!(
            found("UID=\"root\" SADDR={ x=1 }", Letters::Small),
            pairs(&[("x", "1")])
        );
        assert_eq!(found("UID=\"root\"", Letters::All), pairs(&[("UID", "\"root\"")]));
    }

    #[test]
    fn values_are_decoded() {
        assert_eq!(unhex("2F62696E"), Some("/bin".to_owned()));
        assert_eq!(unhex("2f62696e"), None);
        assert_eq!(unhex("2F6"), None);
        assert_eq!(unhex("FF41"), Some("\u{fffd}A".to_owned()));
        assert_eq!(argument("a10"), Some((10, None)));
        assert_eq!(argument("a1[2]"), Some((1, Some(2))));
        assert_eq!(argument("a1_len"), None);
        assert_eq!(argument("auid"), None);
    }
}
