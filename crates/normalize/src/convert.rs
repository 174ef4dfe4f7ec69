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
    let is_ip = |value: &Value<'_>| value.as_text().is_some_and(|text| text.parse::<IpAddr>().is_ok());
    match value {
        Value::List(list) => list.iter().all(is_ip).then_some(value),
        single => is_ip(&single).then_some(single),
    }
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
    // The form that nearly all records have needs no calendar: `2020-01-01T00:00:00Z`, with or without decimals.
    let bytes = text.as_bytes();
    let plain = |position: usize| bytes.get(position).copied();
    let shape = plain(4) == Some(b'-')
        && plain(7) == Some(b'-')
        && plain(10) == Some(b'T')
        && bytes.last() == Some(&b'Z');
    if shape && let Some(head) = text.get(..19) {
        match bytes.len() {
            20 if valid_date(head) => return Some(at.text(&[head, ".000Z"].concat())),
            24 if valid_date(head) && plain(19) == Some(b'.') && digits(text.get(20..23)) => {
                return Some(text);
            }
            length
                if length > 24
                    && valid_date(head)
                    && plain(19) == Some(b'.')
                    && digits(text.get(20..length - 1)) =>
            {
                return Some(at.text(&[text.get(..23)?, "Z"].concat()));
            }
            _ => {}
        }
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

fn instant<'a>(instant: Instant, at: &Map<'a>) -> Option<&'a str> {
    let mut out = String::with_capacity(24);
    write!(out, "{}", instant.truncated_to_millis()).ok()?;
    Some(at.text(&out))
}

pub(crate) fn digits(text: Option<&str>) -> bool {
    text.is_some_and(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether `2020-01-01T00:00:00` is in range; days of short months are left to the calendar.
fn valid_date(head: &str) -> bool {
    let number = |range: std::ops::Range<usize>| -> Option<u32> {
        let part = head.get(range)?;
        digits(Some(part)).then(|| part.parse().ok())?
    };
    let within = |range: std::ops::Range<usize>, low: u32, high: u32| {
        number(range).is_some_and(|value| (low..=high).contains(&value))
    };
    number(0..4).is_some()
        && within(5..7, 1, 12)
        && within(8..10, 1, 28)
        && within(11..13, 0, 23)
        && within(14..16, 0, 59)
        && within(17..19, 0, 59)
        && head.as_bytes().get(13) == Some(&b':')
        && head.as_bytes().get(16) == Some(&b':')
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
