//! Values from one form into another: dates, addresses, numbers as text.

use std::fmt::Write as _;
use std::net::IpAddr;

use neph_event::Instant;

use crate::tree::{Map, Value};

/// A scalar as text; nothing for null, arrays and objects.
pub(crate) fn text<'a>(value: Value<'a>, at: &Map<'a>) -> Option<&'a str> {
    match value {
        Value::Text(text) => Some(text),
        Value::Bool(true) => Some("true"),
        Value::Bool(false) => Some("false"),
        Value::Int(number) => Some(at.text(&number.to_string())),
        Value::Uint(number) => Some(at.text(&number.to_string())),
        Value::Float(number) => Some(at.text(&java_double(number))),
        Value::Null | Value::List(_) | Value::Map(_) => None,
    }
}

/// An address, or a list of addresses; nothing where one is none.
pub(crate) fn ip(value: Value<'_>) -> Option<Value<'_>> {
    let is_ip = |value: &Value<'_>| {
        let text = value.as_text();
        text.is_some_and(|text| is_plain_v4(text) || text.parse::<IpAddr>().is_ok())
    };
    match value {
        Value::List(list) => list.iter().all(is_ip).then_some(value),
        single => is_ip(&single).then_some(single),
    }
}

/// Whether it is surely an IPv4 address; what it has doubts about goes to the library, which takes its time.
fn is_plain_v4(text: &str) -> bool {
    // The number that is being read, and how many digits it has.
    let (mut number, mut digits, mut dots) = (0_u16, 0, 0);
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' if digits < 3 && (digits == 0 || number > 0) => {
                number = number * 10 + u16::from(byte - b'0');
                digits += 1;
            }
            b'.' if digits > 0 && number < 256 => (number, digits, dots) = (0, 0, dots + 1),
            _ => return false,
        }
    }
    dots == 3 && digits > 0 && number < 256
}

/// A date in ISO 8601 form (a blank may stand for the `T`, the offset may be missing and is UTC then), or a number
/// of milliseconds since the epoch, in UTC with three decimals: what Elasticsearch's `date` processor writes.
pub(crate) fn date<'a>(value: Value<'a>, at: &Map<'a>) -> Option<&'a str> {
    match value {
        Value::Text(text) => date_text(text, at),
        Value::Int(millis) => instant(Instant::from_millis(millis), at),
        _ => None,
    }
}

fn date_text<'a>(text: &'a str, at: &Map<'a>) -> Option<&'a str> {
    // The form that nearly all records have needs no calendar: `2020-01-01T00:00:00Z`, with or without decimals, a
    // blank in place of the `T`, nothing in place of the `Z`.
    if let Some((head, tail)) = text.split_at_checked(19)
        && valid_date(head)
        && let decimals = tail.strip_suffix('Z').unwrap_or(tail)
        && (decimals.is_empty() || digits(decimals.strip_prefix('.')))
    {
        if text.len() == 24 && tail.ends_with('Z') && head.as_bytes().get(10) == Some(&b'T') {
            return Some(text);
        }
        let mut out = *b"0000-00-00T00:00:00.000Z";
        let millis = decimals.as_bytes().get(1..).unwrap_or_default();
        let places = out.iter_mut().zip(head.bytes());
        places
            .filter(|(place, _)| **place != b'T')
            .for_each(|(place, byte)| *place = byte);
        let places = out.iter_mut().skip(20).take(3).zip(millis);
        places.for_each(|(place, digit)| *place = *digit);
        return Some(at.text(std::str::from_utf8(&out).ok()?));
    }
    instant(parse_instant(text)?, at)
}

/// A date as [`date`] reads it, or a number of seconds since the epoch, which may be written as text.
pub(crate) fn date_or_seconds<'a>(value: Value<'a>, at: &Map<'a>) -> Option<&'a str> {
    let seconds = match value {
        Value::Int(seconds) => return date(Value::Int(seconds.checked_mul(1000)?), at),
        Value::Float(seconds) => seconds,
        Value::Text(text) => match text.parse::<f64>() {
            Ok(seconds) => seconds,
            Err(_) => return date(value, at),
        },
        _ => return None,
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "`as` saturates, and dates out of range are refused"
    )]
    let millis = (seconds * 1000.0).round() as i64;
    seconds.is_finite().then(|| date(Value::Int(millis), at))?
}

/// A date text as an instant; without an offset it is UTC.
pub(crate) fn parse_instant(text: &str) -> Option<Instant> {
    if let Ok(stamp) = text.parse::<jiff::Timestamp>() {
        return Some(Instant::from_nanos(stamp.as_nanosecond()));
    }
    let civil: jiff::civil::DateTime = text.parse().ok()?;
    let stamp = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    Some(Instant::from_nanos(stamp.as_nanosecond()))
}

pub(crate) fn instant<'a>(instant: Instant, at: &Map<'a>) -> Option<&'a str> {
    let instant = instant.truncated_to_millis();
    let mut out = at.text_writer(24);
    let (days, second) = (
        instant.seconds.div_euclid(86_400),
        instant.seconds.rem_euclid(86_400),
    );
    match civil(days) {
        Some((year, month, day)) => {
            let mut put = |digits: u32, number: i64, behind: char| {
                for place in (0..digits).rev() {
                    let digit = number / 10_i64.pow(place) % 10;
                    out.push(char::from(b'0' + u8::try_from(digit).unwrap_or(0)));
                }
                out.push(behind);
            };
            put(4, year, '-');
            put(2, month, '-');
            put(2, day, 'T');
            put(2, second / 3600, ':');
            put(2, second / 60 % 60, ':');
            put(2, second % 60, '.');
            put(3, i64::from(instant.nanos / 1_000_000), 'Z');
        }
        None => write!(out, "{instant}").ok()?,
    }
    Some(out.into_bump_str())
}

/// Year, month and day of a day since the epoch, for the years from 1970 to 9998, beyond which calendars end.
/// <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>
fn civil(days: i64) -> Option<(i64, i64, i64)> {
    // Years begin in March here, so that the odd day comes last.
    let days = Some(days).filter(|days| (0..2_932_532).contains(days))? + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (
        day - (153 * month + 2) / 5 + 1,
        if month < 10 { month + 3 } else { month - 9 },
    );
    Some((400 * era + year + i64::from(month <= 2), month, day))
}

pub(crate) fn digits(text: Option<&str>) -> bool {
    text.is_some_and(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether this is `2020-01-01T00:00:00` or `2020-01-01 00:00:00`, and in range; the last days of February are left to the calendar.
fn valid_date(head: &str) -> bool {
    let Some(bytes) = head.as_bytes().first_chunk::<19>() else {
        return false;
    };
    let [
        y0,
        y1,
        y2,
        y3,
        c2,
        m0,
        m1,
        c3,
        d0,
        d1,
        t,
        h0,
        h1,
        c0,
        i0,
        i1,
        c1,
        s0,
        s1,
    ] = *bytes;
    let digit = |byte: u8| byte.wrapping_sub(b'0');
    let two = |a: u8, b: u8| match (digit(a), digit(b)) {
        (a @ 0..=9, b @ 0..=9) => a * 10 + b,
        _ => u8::MAX,
    };
    let last_day = match two(m0, m1) {
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    [y0, y1, y2, y3].iter().all(u8::is_ascii_digit)
        && (1..=last_day).contains(&two(d0, d1))
        && two(h0, h1) < 24
        && two(i0, i1) < 60
        && two(s0, s1) < 60
        && [c0, c1, c2, c3] == *b"::--"
        && matches!(t, b'T' | b' ')
}

/// A floating number as Java's `Double.toString` writes it: at least one decimal, and scientific outside of
/// 10⁻³ … 10⁷. <https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/lang/Double.html#toString(double)>
pub(crate) fn java_double(number: f64) -> String {
    let size = number.abs();
    if number == 0.0 || (1e-3..1e7).contains(&size) {
        return format!("{number:?}");
    }
    if !number.is_finite() {
        return number.to_string();
    }
    let scientific = format!("{number:e}");
    match scientific.split_once('e') {
        Some((mantissa, exponent)) if mantissa.contains('.') => format!("{mantissa}E{exponent}"),
        Some((mantissa, exponent)) => format!("{mantissa}.0E{exponent}"),
        None => scientific,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{Instant, Value, date, instant, ip, is_plain_v4};
    use crate::tree::Arena;

    #[test]
    fn addresses_are_what_the_library_takes_for_them() {
        for (text, is_plain) in [
            ("0.0.0.0", true),
            ("198.51.100.7", true),
            ("255.255.255.255", true),
            ("10.0.0.10", true),
            ("256.1.1.1", false),
            ("1.1.1.256", false),
            ("1.1.1", false),
            ("1.1.1.", false),
            (".1.1.1", false),
            ("1..1.1", false),
            ("1.1.1.1.1", false),
            ("01.1.1.1", false),
            ("1.1.1.00", false),
            ("1.1.1.1000", false),
            ("1.1.1.1 ", false),
            ("::1", false),
            ("", false),
        ] {
            assert_eq!(is_plain_v4(text), is_plain, "{text}");
            let is_ip = text.parse::<IpAddr>().is_ok();
            assert!(is_ip || !is_plain, "{text}");
            assert_eq!(ip(Value::Text(text)).is_some(), is_ip, "{text}");
        }
    }

    #[test]
    fn dates_get_three_decimals_and_a_zone() {
        let arena = Arena::default();
        for (text, written) in [
            ("2026-03-01T10:20:30Z", "2026-03-01T10:20:30.000Z"),
            ("2026-03-01 10:20:30", "2026-03-01T10:20:30.000Z"),
            ("2026-03-01T10:20:30.4Z", "2026-03-01T10:20:30.400Z"),
            ("2026-03-01T10:20:30.456Z", "2026-03-01T10:20:30.456Z"),
            ("2026-03-01T10:20:30.456789Z", "2026-03-01T10:20:30.456Z"),
            ("2026-03-01T10:20:30.45", "2026-03-01T10:20:30.450Z"),
        ] {
            assert_eq!(date(Value::Text(text), arena.map()), Some(written), "{text}");
        }
    }

    #[test]
    fn instants_are_written_as_the_calendar_has_them() {
        let days = (-800_000..3_000_000_i64).step_by(97);
        let edges = [
            -1, 0, 58, 59, 60, 11_016, 47_540, 47_541, 2_932_531, 2_932_532, 2_932_896, 2_932_897,
        ];
        for day in days.chain(edges) {
            let millis = day * 86_400_000 + day.rem_euclid(86_400_000);
            let time = Instant::from_millis(millis);
            let arena = Arena::default();
            assert_eq!(instant(time, arena.map()), Some(&*time.to_string()), "{day}");
        }
    }
}
