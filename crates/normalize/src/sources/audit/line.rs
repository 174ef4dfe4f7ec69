//! One record of the audit log, taken apart: where it begins, its stamp, its fields.

use std::cell::Cell;

use super::kinds;
use super::tokens::Mark;
use crate::tree::{Map, Value, same_key};

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
    /// Both, as they stand in the line.
    pub(super) stamp: &'a str,
    /// The fields.
    pub(super) body: &'a str,
}

/// Takes a line apart: `node=h type=T msg=audit(TIME.MILLIS:SERIAL): …`, behind whatever a log daemon put before it.
/// Kernel messages have no `msg=` and their type as a number: `audit: type=1400 audit(TIME.MILLIS:SERIAL): …`.
pub(super) fn parse(line: &str) -> Option<Line<'_>> {
    parse_behind(line, None)
}

/// Takes a line apart that stands behind another one, which likely has the same stamp.
pub(super) fn parse_behind<'a>(line: &'a str, last: Option<&Line<'_>>) -> Option<Line<'a>> {
    if let Some(line) = parse_plain(line, last) {
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
        stamp,
        body,
    })
}

/// A line with nothing but a host before its type, which is a name: nearly all are so.
fn parse_plain<'a>(line: &'a str, last: Option<&Line<'_>>) -> Option<Line<'a>> {
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
    let (millis, serial, behind) = match last.and_then(|last| Some((last, rest.strip_prefix(last.stamp)?))) {
        Some((last, behind)) if behind.starts_with(')') => (last.millis, last.serial, behind),
        _ => stamp(rest)?,
    };
    let body = behind.strip_prefix(')')?;
    Some(Line {
        node,
        kind,
        millis,
        serial,
        stamp: rest.get(..rest.len() - behind.len())?,
        body: body.strip_prefix(':').unwrap_or(body),
    })
}

/// Milliseconds and serial of the stamp that a text begins with, and what stands behind it.
fn stamp(text: &str) -> Option<(i64, u64, &str)> {
    let (seconds, rest) = number(text)?;
    let (part, rest) = number(rest.strip_prefix('.')?)?;
    let (serial, rest) = number(rest.strip_prefix(':')?)?;
    let millis = i64::try_from(seconds).ok()?.checked_mul(1000)?;
    let part = i64::try_from(part).ok().filter(|part| *part < 1000)?;
    Some((millis.checked_add(part)?, serial, rest))
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

/// Fields in the order in which they came, as the texts of an object. A field that comes again replaces the one before;
/// one that is removed leaves a null, which counts for nothing. A copy is the same object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    map: &'a Map<'a>,
    /// A bit for each key that was ever there: most of what is asked for is not.
    seen: u64,
    /// By number of a key, where it stood last, in objects with room for many entries.
    places: Option<&'a [Cell<u8>; 64]>,
}

/// Objects with room for so many entries are not searched from their beginning.
const MANY: usize = 9;

/// The bit of a key.
#[inline(always)]
pub(super) const fn bit(key: &str) -> u64 {
    1 << number_of(key)
}

/// A number below 64 for a key. The numbers keep nearly all keys of the usual records apart.
#[inline(always)]
pub(super) const fn number_of(key: &str) -> u32 {
    let bytes = key.as_bytes();
    let (first, second, last) = match bytes {
        [] => (0, 0, 0),
        [one] => (*one, *one, *one),
        [first, second, .., last] => (*first, *second, *last),
        [first, second] => (*first, *second, *second),
    };
    let mixed =
        4356 * first as usize + 54_310 * second as usize + 54_798 * last as usize + 20_002 * bytes.len();
    (mixed >> 6 & 63) as u32
}

impl<'a> Fields<'a> {
    /// No fields yet, with room for so many.
    pub(super) fn with_room(room: usize, at: &Map<'a>) -> Self {
        let places = (room >= MANY).then(|| Cell::from_mut(at.places(64, 0)).as_slice_of_cells());
        Self {
            map: at.with_room(room),
            seen: 0,
            places: places.and_then(|places| places.try_into().ok()),
        }
    }

    #[inline(always)]
    pub(super) fn get(&self, key: &str) -> Option<&'a str> {
        if self.seen & bit(key) == 0 {
            return None;
        }
        self.map.nth(self.find(key)?)?.1.as_text()
    }

    /// Where a key stands that was seen. Nearly all keys are known to the compiler, and one that is where it was left is
    /// found by a few instructions then.
    #[inline(always)]
    fn find(&self, key: &str) -> Option<usize> {
        let likely = self.place(number_of(key) as usize);
        let likely = likely.map_or(0, |place| usize::from(place.get()));
        match self.map.nth(likely) {
            Some((known, _)) if same_key(known, key) => Some(likely),
            _ => self.search(key),
        }
    }

    #[inline(never)]
    fn search(&self, key: &str) -> Option<usize> {
        self.map.position(key)
    }

    /// Where it is kept where the key of a number stood last.
    #[inline(always)]
    fn place(&self, number: usize) -> Option<&'a Cell<u8>> {
        self.places?.get(number)
    }

    #[inline]
    pub(super) fn set(&mut self, key: &'a str, value: &'a str) {
        self.set_marked(key, Mark::of(key), value);
    }

    /// Like [`set`](Self::set), with what is known of the key.
    #[inline]
    pub(super) fn set_marked(&mut self, key: &'a str, mark: Mark, value: &'a str) {
        if self.seen & 1 << mark.number() == 0 {
            self.add_marked(key, mark, value);
        } else {
            self.set_known(key, mark, value);
        }
    }

    /// Sets a field that may be there.
    #[inline(never)]
    fn set_known(&mut self, key: &'a str, mark: Mark, value: &'a str) {
        match self.find(key) {
            Some(position) => self.map.set_nth(position, key, Value::Text(value)),
            None => self.add_marked(key, mark, value),
        }
    }

    /// Gives a field that is there another value, if `change` has one for the one that it has. Gives what it had.
    #[inline(always)]
    pub(super) fn change(
        &mut self,
        key: &str,
        change: impl FnOnce(&'a str) -> Option<&'a str>,
    ) -> Option<&'a str> {
        if self.seen & bit(key) == 0 {
            return None;
        }
        let position = self.find(key)?;
        let (key, value) = self.map.nth(position)?;
        let value = value.as_text()?;
        if let Some(other) = change(value) {
            self.map.set_nth(position, key, Value::Text(other));
        }
        Some(value)
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
        self.add_marked(key, Mark::of(key), value);
    }

    #[inline]
    fn add_marked(&mut self, key: &'a str, mark: Mark, value: &'a str) {
        let len = self.map.len();
        if len < MOST_FIELDS {
            self.seen |= 1 << mark.number();
            if let Some(place) = self.place(mark.number()) {
                place.set(u8::try_from(len).unwrap_or(u8::MAX));
            }
            self.map.add(key, Value::Text(value));
        }
    }

    /// Whether one of some keys may be there, given their bits.
    #[inline]
    pub(super) fn may_have(&self, bits: u64) -> bool {
        self.seen & bits != 0
    }

    #[inline(always)]
    pub(super) fn remove(&mut self, key: &str) -> Option<&'a str> {
        if self.seen & bit(key) == 0 {
            return None;
        }
        let position = self.find(key)?;
        let (_, value) = self.map.nth(position)?;
        self.map.set_nth(position, "", Value::Null);
        value.as_text()
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
        } else if let Some(position) = self.find(from) {
            self.map.set_nth(position, key, Value::Text(value));
            self.seen |= bit(key);
            if let Some(place) = self.place(number_of(key) as usize) {
                place.set(u8::try_from(position).unwrap_or(u8::MAX));
            }
        }
    }

    /// At most how many there are.
    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The fields as an object, which is to be changed by nobody else from now on.
    pub(super) fn into_map(self) -> &'a Map<'a> {
        self.into_map_without(|_, _| false)
    }

    /// Like [`into_map`](Self::into_map), without the fields for which `take` holds.
    #[inline]
    pub(super) fn into_map_without(self, mut take: impl FnMut(&'a str, &'a str) -> bool) -> &'a Map<'a> {
        self.map
            .take_out(|key, value| value.as_text().is_none_or(|text| take(key, text)));
        self.map
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
    use super::{Fields, Line, argument, parse, parse_behind, unhex};
    use crate::tree::Arena;

    #[test]
    fn lines_are_taken_apart() {
        let line = |node, kind, body| Line {
            node,
            kind,
            millis: 1_500_000_000_007,
            serial: 42,
            stamp: "1500000000.007:42",
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
            for last in ["1500000000.007:42", "1500000000.007:4", "1500000000.007:421", ""] {
                let last = Line {
                    stamp: last,
                    serial: last
                        .rsplit_once(':')
                        .map_or(0, |(_, serial)| serial.parse().unwrap()),
                    ..expected
                };
                assert_eq!(parse_behind(text, Some(&last)), Some(expected), "{text} {last:?}");
            }
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
    fn fields_go_and_come_again() {
        let arena = Arena::default();
        for room in [0, 20] {
            let mut fields = Fields::with_room(room, arena.map());
            for (key, value) in [("a0", "1"), ("ses", "2"), ("exe", "3"), ("success", "yes")] {
                fields.set(key, value);
            }
            assert_eq!(fields.remove("ses"), Some("2"));
            assert_eq!((fields.remove("ses"), fields.get("ses")), (None, None));
            assert_eq!(fields.get("exe"), Some("3"));
            fields.replace("success", "result", "success");
            fields.set("ses", "4");
            fields.set("a0", "5");
            let all: Vec<(&str, &str)> = fields.iter().collect();
            let expected = [("a0", "5"), ("exe", "3"), ("result", "success"), ("ses", "4")];
            assert_eq!(all, expected, "{room}");
            let map = fields.into_map_without(|key, _| key == "exe");
            let keys: Vec<&str> = map.iter().map(|(key, _)| key).collect();
            assert_eq!(keys, ["a0", "result", "ses"]);
            let mut alone = Fields::with_room(room, arena.map());
            alone.set("key", "1");
            alone.remove("key");
            assert!(alone.is_empty() && alone.into_map().is_empty());
        }
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
