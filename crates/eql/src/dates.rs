//! Dates in queries: texts with parts left out, and date math.
//!
//! Source: <https://www.elastic.co/docs/reference/elasticsearch/rest-apis/common-options#date-math> and the rules for
//! missing parts in
//! <https://www.elastic.co/docs/reference/query-languages/query-dsl/query-dsl-range-query#missing-date-components>.

use jiff::civil::DateTime;
use jiff::{Span, Timestamp, tz::TimeZone};
use neph_event::{DateFormat, Instant, parse_date};

/// How the parts that a date leaves out are filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounding {
    /// With the earliest: for `==`, `>=` and `<`.
    Down,
    /// With the latest: for `<=` and `>`.
    Up,
}

/// Reads a date: `now` or a date followed by `||`, both with date math behind; or a plain date of one of the formats.
pub(crate) fn parse(text: &str, formats: &[DateFormat], now: Instant, rounding: Rounding) -> Option<Instant> {
    if let Some(math) = text.strip_prefix("now") {
        return calculate(now, math, rounding);
    }
    if let Some((date, math)) = text.split_once("||") {
        return calculate(parse_date(date, formats)?, math, rounding);
    }
    let date = parse_date(text, formats)?;
    let iso = formats.is_empty() || formats.contains(&DateFormat::IsoOrMillis);
    match rounding {
        Rounding::Up if iso => Some(end_of(date, finest_part(text)?).unwrap_or(date)),
        _ => Some(date),
    }
}

/// A unit of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Year,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
    /// Nothing is left out.
    Fraction,
}

/// The finest part that an ISO date has.
fn finest_part(text: &str) -> Option<Unit> {
    let Some((date, time)) = text.split_once('T') else {
        return Some(
            match (text.len(), text.bytes().filter(|byte| *byte == b'-').count()) {
                (4, 0) => Unit::Year,
                (_, 1) => Unit::Month,
                (_, 2) => Unit::Day,
                // Epoch milliseconds.
                _ => Unit::Fraction,
            },
        );
    };
    let clock = time.split(['Z', '+', '-']).next()?;
    Some(match clock.bytes().filter(|byte| *byte == b':').count() {
        _ if clock.contains(['.', ',']) => Unit::Fraction,
        _ if date.is_empty() => Unit::Fraction,
        0 if clock.is_empty() => Unit::Day,
        0 => Unit::Hour,
        1 => Unit::Minute,
        _ => Unit::Second,
    })
}

fn civil(instant: Instant) -> Option<DateTime> {
    let stamp = Timestamp::new(instant.seconds, i32::try_from(instant.nanos).ok()?).ok()?;
    Some(stamp.to_zoned(TimeZone::UTC).datetime())
}

fn instant(civil: DateTime) -> Option<Instant> {
    let zoned = civil.to_zoned(TimeZone::UTC).ok()?;
    Some(Instant::from_nanos(zoned.timestamp().as_nanosecond()))
}

fn span_of(count: i64, unit: Unit) -> Option<Span> {
    let span = Span::new();
    match unit {
        Unit::Year => span.try_years(count),
        Unit::Month => span.try_months(count),
        Unit::Week => span.try_weeks(count),
        Unit::Day => span.try_days(count),
        Unit::Hour => span.try_hours(count),
        Unit::Minute => span.try_minutes(count),
        Unit::Second | Unit::Fraction => span.try_seconds(count),
    }
    .ok()
}

fn start_of(date: DateTime, unit: Unit) -> Option<DateTime> {
    let midnight = date.date().at(0, 0, 0, 0);
    Some(match unit {
        Unit::Year => date.date().first_of_year().at(0, 0, 0, 0),
        Unit::Month => date.date().first_of_month().at(0, 0, 0, 0),
        Unit::Week => {
            let days = i64::from(date.date().weekday().since(jiff::civil::Weekday::Monday));
            midnight.checked_sub(span_of(days, Unit::Day)?).ok()?
        }
        Unit::Day => midnight,
        Unit::Hour => date.date().at(date.hour(), 0, 0, 0),
        Unit::Minute => date.date().at(date.hour(), date.minute(), 0, 0),
        Unit::Second => date.date().at(date.hour(), date.minute(), date.second(), 0),
        Unit::Fraction => date,
    })
}

/// The last nanosecond of the unit that the instant lies in.
fn end_of(date: Instant, unit: Unit) -> Option<Instant> {
    if unit == Unit::Fraction {
        return Some(date);
    }
    let next = start_of(civil(date)?, unit)?
        .checked_add(span_of(1, unit)?)
        .ok()?;
    Some(Instant::from_nanos(instant(next)?.as_nanos() - 1))
}

/// Applies `+1d`, `-3h`, `/d` and so on, from left to right.
fn calculate(from: Instant, math: &str, rounding: Rounding) -> Option<Instant> {
    let mut date = from;
    let mut rest = math;
    while let Some(operator) = rest.chars().next() {
        let behind = rest.get(operator.len_utf8()..)?;
        let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
        let unit = match behind.get(digits..)?.chars().next()? {
            'y' => Unit::Year,
            'M' => Unit::Month,
            'w' => Unit::Week,
            'd' => Unit::Day,
            'h' | 'H' => Unit::Hour,
            'm' => Unit::Minute,
            's' => Unit::Second,
            _ => return None,
        };
        rest = behind.get(digits + 1..)?;
        let count = if digits == 0 {
            1
        } else {
            behind.get(..digits)?.parse::<i64>().ok()?
        };
        date = match operator {
            '+' => instant(civil(date)?.checked_add(span_of(count, unit)?).ok()?)?,
            '-' => instant(civil(date)?.checked_sub(span_of(count, unit)?).ok()?)?,
            '/' if digits == 0 && rounding == Rounding::Up => end_of(date, unit)?,
            '/' if digits == 0 => instant(start_of(civil(date)?, unit)?)?,
            _ => return None,
        };
    }
    Some(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, rounding: Rounding) -> Option<String> {
        let now = parse_date("2024-02-29T13:45:10.5Z", &[])?;
        parse(text, &[], now, rounding).map(|date| date.to_string())
    }

    fn down(text: &str) -> Option<String> {
        check(text, Rounding::Down)
    }

    #[test]
    fn date_math_counts_from_now_or_from_a_date() {
        assert_eq!(down("now").as_deref(), Some("2024-02-29T13:45:10.500Z"));
        assert_eq!(down("now-1d").as_deref(), Some("2024-02-28T13:45:10.500Z"));
        assert_eq!(down("now-1y/M").as_deref(), Some("2023-02-01T00:00:00.000Z"));
        assert_eq!(down("now/w").as_deref(), Some("2024-02-26T00:00:00.000Z"));
        assert_eq!(
            check("now/d", Rounding::Up).as_deref(),
            Some("2024-02-29T23:59:59.999999999Z")
        );
        assert_eq!(
            down("2024-01-31T00:00:00Z||+1M").as_deref(),
            Some("2024-02-29T00:00:00.000Z")
        );
        assert_eq!(down("now-1x"), None);
        assert_eq!(down("now-"), None);
        assert_eq!(down("yesterday"), None);
        assert_eq!(down("now-99999999999999999999d"), None);
        assert_eq!(down("now+999999999y"), None);
    }

    #[test]
    fn missing_parts_are_filled_with_the_earliest_or_the_latest() {
        assert_eq!(
            down("2017-08-30T20:47:32Z").as_deref(),
            Some("2017-08-30T20:47:32.000Z")
        );
        assert_eq!(
            check("2017-08-30T20:47:32.5Z", Rounding::Up).as_deref(),
            Some("2017-08-30T20:47:32.500Z")
        );
        assert_eq!(
            check("2017-08-30T20:47:32Z", Rounding::Up).as_deref(),
            Some("2017-08-30T20:47:32.999999999Z")
        );
        assert_eq!(
            check("1516116808349", Rounding::Up).as_deref(),
            Some("2018-01-16T15:33:28.349Z")
        );
    }
}
