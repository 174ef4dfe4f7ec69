//! `strict_date_optional_time`, read by hand: it stands in every event.

use super::{Parts, Rounding, days_since_epoch, two, zone};
use crate::Instant;

/// Reads `YYYY[-MM[-dd[T[HH[:mm[:ss[.fraction]]][zone]]]]]`, with a zone only behind an hour, `.` or `,` and one to nine
/// digits of a fraction, and a minus for years before 0.
pub(super) fn parse(text: &str, rounding: Rounding) -> Option<Instant> {
    let bytes = text.as_bytes();
    match whole(bytes, rounding) {
        Some(instant) => Some(instant),
        None => in_part(bytes)?.resolve(rounding),
    }
}

/// The form that events have: everything up to the seconds, then a fraction if any, then `Z` or an offset.
#[inline]
fn whole(bytes: &[u8], rounding: Rounding) -> Option<Instant> {
    let [
        year_a,
        year_b,
        year_c,
        year_d,
        b'-',
        month_a,
        month_b,
        b'-',
        day_a,
        day_b,
        b'T',
        hour_a,
        hour_b,
        b':',
        minute_a,
        minute_b,
        b':',
        second_a,
        second_b,
        rest @ ..,
    ] = bytes
    else {
        return None;
    };
    let year = two(*year_a, *year_b)? * 100 + two(*year_c, *year_d)?;
    let (month, day) = (two(*month_a, *month_b)?, two(*day_a, *day_b)?);
    let (hour, minute, second) = (
        two(*hour_a, *hour_b)?,
        two(*minute_a, *minute_b)?,
        two(*second_a, *second_b)?,
    );
    if hour > 23 || minute > 59 || second > 59 || day == 0 || day > days_of_month(year, month) {
        return None;
    }
    let (nanos, rest) = match rest {
        [b'.' | b',', rest @ ..] => fraction(rest)?,
        rest if rounding == Rounding::Up => (999_999_999, rest),
        rest => (0, rest),
    };
    let offset = match rest {
        [b'Z'] => 0,
        rest => zone(rest)?,
    };
    let seconds = days_since_epoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    Some(Instant { seconds, nanos })
}

/// Reads one to nine digits as billionths, and gives what stands behind them.
pub(super) fn fraction(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=9).contains(&digits) {
        return None;
    }
    let (fraction, rest) = bytes.split_at_checked(digits)?;
    let mut nanos = 0_u32;
    for digit in fraction {
        nanos = nanos * 10 + u32::from(digit - b'0');
    }
    for _ in digits..9 {
        nanos *= 10;
    }
    Some((nanos, rest))
}

/// Number of days of a month; 0 for a month that there is not.
fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 0,
    }
}

/// The forms that leave something out.
fn in_part(bytes: &[u8]) -> Option<Parts> {
    let (sign, bytes) = match bytes {
        [b'-', rest @ ..] => (-1, rest),
        bytes => (1, bytes),
    };
    let mut parts = Parts::default();
    let [a, b, c, d, rest @ ..] = bytes else {
        return None;
    };
    parts.year = Some(sign * (two(*a, *b)? * 100 + two(*c, *d)?));
    let [b'-', a, b, rest @ ..] = rest else {
        return rest.is_empty().then_some(parts);
    };
    parts.month = Some(two(*a, *b)?);
    let [b'-', a, b, rest @ ..] = rest else {
        return rest.is_empty().then_some(parts);
    };
    parts.day = Some(two(*a, *b)?);
    let [b'T', a, b, rest @ ..] = rest else {
        return matches!(rest, [] | [b'T']).then_some(parts);
    };
    parts.hour = Some(two(*a, *b)?);
    let [b':', a, b, rest @ ..] = rest else {
        return with_zone(parts, rest);
    };
    parts.minute = Some(two(*a, *b)?);
    let [b':', a, b, rest @ ..] = rest else {
        return with_zone(parts, rest);
    };
    parts.second = Some(two(*a, *b)?);
    let [b'.' | b',', rest @ ..] = rest else {
        return with_zone(parts, rest);
    };
    let (nanos, rest) = fraction(rest)?;
    parts.nanos = Some(i64::from(nanos));
    with_zone(parts, rest)
}

fn with_zone(mut parts: Parts, rest: &[u8]) -> Option<Parts> {
    if !rest.is_empty() {
        parts.offset_seconds = Some(zone(rest)?);
    }
    Some(parts)
}
