//! Dates that are of the same second as the one before.

use std::cell::Cell;

use super::{iso, parse_date};
use crate::Instant;

/// Reads texts of dates in the default format, as [`parse_date`] does. Most events are of the same second as the one before: what
/// tells the second is then compared and not read again.
#[derive(Clone, Debug, Default)]
pub struct DateReader {
    /// `YYYY-MM-ddTHH:mm:ss` of a date in UTC, and its seconds since the epoch.
    last: Cell<([u8; 19], i64)>,
}

impl DateReader {
    /// The point in time that a text stands for.
    pub fn parse(&self, text: &str) -> Option<Instant> {
        let parts = text.as_bytes().split_first_chunk();
        let Some((second, Some(nanos))) = parts.map(|(second, rest)| (second, nanos_of_utc(rest))) else {
            return parse_date(text, &[]);
        };
        let (last, seconds) = self.last.get();
        if last == *second {
            return Some(Instant { seconds, nanos });
        }
        let instant = parse_date(text, &[])?;
        self.last.set((*second, instant.seconds));
        Some(instant)
    }
}

/// The fraction of a second, if nothing else but `Z` stands behind the seconds.
fn nanos_of_utc(rest: &[u8]) -> Option<u32> {
    match rest {
        [b'Z'] => Some(0),
        [b'.' | b',', fraction @ .., b'Z'] => match iso::fraction(fraction)? {
            (nanos, []) => Some(nanos),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_the_second_changes_nothing() {
        let texts = [
            "2026-03-01T10:00:00.144Z",
            "2026-03-01T10:00:00Z",
            "2026-03-01T10:00:00.1234567890Z",
            "2026-03-01T10:00:00.Z",
            "2026-03-01T10:00:00,9Z",
            "2026-03-01T10:00:00.5+01:00",
            "2026-03-01T10:00:00.144",
            "2026-03-01T10:00:00",
            "2026-03-01T10:00:60.1Z",
            "2026-03-01T10:00:01.000000001Z",
            "1969-12-31T23:59:59.5Z",
            "-2026-03-01T10:00:00Z",
            "1772359200000",
            "1772359200000000000.5",
            "1772359200000000000.5Z",
            "2026",
            "",
        ];
        let reader = DateReader::default();
        for first in texts {
            for text in [first].iter().chain(&texts).chain([&first]) {
                assert_eq!(reader.parse(text), parse_date(text, &[]), "{text}");
            }
        }
    }
}
