//! Date math: `now-1d/d`, `2020-01-01||+1M/d`.
//! Source: <https://www.elastic.co/docs/reference/elasticsearch/rest-apis/common-options#date-math>

use jiff::civil::{Date, DateTime, Time};
use jiff::{Span, ToSpan};

use super::{DateFormat, Rounding, days_since_epoch, parse_date_rounded};
use crate::Instant;

/// Why a text is no date and no date math.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DateMathError {
    /// The date fits none of the formats.
    #[error("`{0}` is not a date")]
    NotADate(String),
    /// A step begins with something other than `+`, `-` and `/`, or has no unit.
    #[error(
        "`{0}` is not date math: a step is `+`, `-` or `/`, a number and a unit out of `y`, `M`, `w`, `d`, `h`, `m`, `s`"
    )]
    Step(String),
    /// A rounding step has a number, as in `/2d`.
    #[error("`{0}` is not date math: `/` takes a unit without a number")]
    RoundedNumber(String),
    /// The result lies outside the years -9999 to 9999.
    #[error("`{0}` is out of range")]
    Range(String),
}

/// Reads a date of one of the formats, or date math: `now` or a date with `||`, then steps such as `-1d` and `/d`. With
/// [`Rounding::Up`] a `/d` gives the last millisecond of the day.
///
/// # Errors
/// Where the text is neither.
pub fn parse_date_math(
    text: &str,
    formats: &[DateFormat],
    rounding: Rounding,
    now: Instant,
) -> Result<Instant, DateMathError> {
    let date = |date: &str, rounding| {
        parse_date_rounded(date, formats, rounding).ok_or_else(|| DateMathError::NotADate(date.to_owned()))
    };
    let (base, steps) = match (text.strip_prefix("now"), text.split_once("||")) {
        (Some(steps), _) => (now, steps),
        (None, Some((base, steps))) => (date(base, Rounding::Down)?, steps),
        (None, None) => return date(text, rounding),
    };
    if steps.is_empty() {
        return Ok(base);
    }
    let out_of_range = || DateMathError::Range(text.to_owned());
    let mut moment = civil(base).ok_or_else(out_of_range)?;
    let mut rest = steps;
    while let Some((operator, behind)) = take_char(rest) {
        let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit_and_rest) = behind.split_at_checked(digits).unwrap_or((behind, ""));
        let step = || DateMathError::Step(steps.to_owned());
        let (unit, behind) = take_char(unit_and_rest).ok_or_else(step)?;
        let count = if number.is_empty() {
            1
        } else {
            number.parse::<i64>().map_err(|_| out_of_range())?
        };
        moment = match operator {
            '+' => moment
                .checked_add(span(unit, count, &step, &out_of_range)?)
                .map_err(|_| out_of_range())?,
            '-' => moment
                .checked_sub(span(unit, count, &step, &out_of_range)?)
                .map_err(|_| out_of_range())?,
            '/' if count != 1 => return Err(DateMathError::RoundedNumber(steps.to_owned())),
            '/' => {
                let start = floor(moment, unit).ok_or_else(step)?;
                match rounding {
                    Rounding::Down => start,
                    Rounding::Up => start
                        .checked_add(span(unit, 1, &step, &out_of_range)?)
                        .and_then(|next| next.checked_sub(1.millisecond()))
                        .map_err(|_| out_of_range())?,
                }
            }
            _ => return Err(step()),
        };
        rest = behind;
    }
    Ok(instant(moment))
}

fn take_char(text: &str) -> Option<(char, &str)> {
    let mut chars = text.chars();
    chars.next().map(|c| (c, chars.as_str()))
}

fn span(
    unit: char,
    count: i64,
    step: &dyn Fn() -> DateMathError,
    out_of_range: &dyn Fn() -> DateMathError,
) -> Result<Span, DateMathError> {
    let span = Span::new();
    let span = match unit {
        'y' => span.try_years(count),
        'M' => span.try_months(count),
        'w' => span.try_weeks(count),
        'd' => span.try_days(count),
        'h' | 'H' => span.try_hours(count),
        'm' => span.try_minutes(count),
        's' => span.try_seconds(count),
        _ => return Err(step()),
    };
    span.map_err(|_| out_of_range())
}

/// The begin of the year, month, week (Monday), day, hour, minute or second.
fn floor(moment: DateTime, unit: char) -> Option<DateTime> {
    let (date, time) = (moment.date(), moment.time());
    let midnight = |date: Date| date.to_datetime(Time::midnight());
    let clock = |minute: i8, second: i8| Some(date.at(time.hour(), minute, second, 0));
    match unit {
        'y' => Some(midnight(date.first_of_year())),
        'M' => Some(midnight(date.first_of_month())),
        'w' => date
            .checked_sub(i64::from(date.weekday().to_monday_zero_offset()).days())
            .ok()
            .map(midnight),
        'd' => Some(midnight(date)),
        'h' | 'H' => clock(0, 0),
        'm' => clock(time.minute(), 0),
        's' => clock(time.minute(), time.second()),
        _ => None,
    }
}

fn civil(instant: Instant) -> Option<DateTime> {
    let stamp = jiff::Timestamp::new(instant.seconds, i32::try_from(instant.nanos).ok()?).ok()?;
    Some(stamp.to_zoned(jiff::tz::TimeZone::UTC).datetime())
}

fn instant(moment: DateTime) -> Instant {
    let (date, time) = (moment.date(), moment.time());
    let days = days_since_epoch(
        i64::from(date.year()),
        i64::from(date.month()),
        i64::from(date.day()),
    );
    let seconds = i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
    Instant {
        seconds: days * 86_400 + seconds,
        nanos: u32::try_from(time.subsec_nanosecond()).unwrap_or(0),
    }
}
