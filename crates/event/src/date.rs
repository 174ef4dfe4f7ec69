//! Texts of dates: the formats that mappings name, rounding of incomplete dates, and date math.

mod iso;
mod math;
mod named;
mod pattern;
mod reader;
#[cfg(test)]
mod tests;

use jiff::civil::{Date, ISOWeekDate, Weekday};

use crate::Instant;
pub use math::{DateMathError, parse_date_math};
pub use pattern::DatePattern;
pub use reader::DateReader;

/// How a date field writes its values.
/// Source: <https://www.elastic.co/docs/reference/elasticsearch/mapping-reference/mapping-date-format>
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DateFormat {
    /// What Elasticsearch takes where a mapping says nothing: [`DateFormat::Iso`], else [`DateFormat::EpochMillis`].
    /// Four digits are a year.
    #[default]
    IsoOrMillis,
    /// `strict_date_optional_time`: ISO 8601 from `2020` to `2020-01-02T03:04:05.678901234+01:00`; without a zone, UTC.
    Iso,
    /// Milliseconds since the epoch, decimals allowed.
    EpochMillis,
    /// Seconds since the epoch, decimals allowed.
    EpochSecond,
    /// Any other named format, or a Java `DateTimeFormatter` pattern such as `dd-MM-yyyy`.
    Pattern(DatePattern),
}

/// What stands in for the parts of a date that its text leaves out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rounding {
    /// The first moment that fits: month and day 1, time 00:00:00.
    #[default]
    Down,
    /// The last moment of the day: month and day 1 as well, but time 23:59:59.999999999. Elasticsearch rounds so for
    /// `gt` and `lte`.
    /// Source: <https://www.elastic.co/docs/reference/query-languages/query-dsl/query-dsl-range-query#missing-date-components>
    Up,
}

impl DateFormat {
    /// Reads a mapping's `format`: alternatives between `||`, each the name of a format or a pattern.
    ///
    /// # Errors
    /// A sentence about the alternative that is no format.
    pub fn alternatives(text: &str) -> Result<Vec<Self>, String> {
        text.split("||").map(Self::one).collect()
    }

    fn one(text: &str) -> Result<Self, String> {
        Ok(match text {
            "epoch_millis" => Self::EpochMillis,
            "epoch_second" => Self::EpochSecond,
            "strict_date_optional_time"
            | "strict_date_optional_time_nanos"
            | "iso8601"
            | "rfc3339_lenient" => Self::Iso,
            _ => Self::Pattern(match named::pattern(text) {
                Some((pattern, widths)) => DatePattern::compile(text, pattern, widths)?,
                None => DatePattern::compile(text, text, pattern::Widths::Java)?,
            }),
        })
    }

    /// Reads a text of this format; `None` where it does not fit.
    pub fn parse(&self, text: &str) -> Option<Instant> {
        self.parse_rounded(text, Rounding::Down)
    }

    /// Reads a text of this format, completed as `rounding` says.
    pub fn parse_rounded(&self, text: &str, rounding: Rounding) -> Option<Instant> {
        match self {
            Self::IsoOrMillis => {
                iso::parse(text, rounding).or_else(|| epoch(text, NANOS_PER_MILLI, rounding))
            }
            Self::Iso => iso::parse(text, rounding),
            Self::EpochMillis => epoch(text, NANOS_PER_MILLI, rounding),
            Self::EpochSecond => epoch(text, NANOS_PER_SECOND, rounding),
            Self::Pattern(pattern) => pattern.parse(text)?.resolve(rounding),
        }
    }
}

/// Reads a date text in the first of the formats that fits; none at all stands for the default format.
pub fn parse_date(text: &str, formats: &[DateFormat]) -> Option<Instant> {
    parse_date_rounded(text, formats, Rounding::Down)
}

/// Reads a date text in the first of the formats that fits, and completes it as `rounding` says.
pub fn parse_date_rounded(text: &str, formats: &[DateFormat], rounding: Rounding) -> Option<Instant> {
    if formats.is_empty() {
        return DateFormat::IsoOrMillis.parse_rounded(text, rounding);
    }
    formats
        .iter()
        .find_map(|format| format.parse_rounded(text, rounding))
}

const NANOS_PER_SECOND: i128 = 1_000_000_000;
const NANOS_PER_MILLI: i128 = 1_000_000;

/// Reads a count of `unit` nanoseconds since the epoch: digits, with a sign and decimals where there are any.
fn epoch(text: &str, unit: i128, rounding: Rounding) -> Option<Instant> {
    let (negative, number) = match text.strip_prefix('-') {
        Some(number) => (true, number),
        None => (false, text),
    };
    let (whole, decimals) = match number.split_once('.') {
        Some((whole, decimals)) => (whole, Some(decimals)),
        None => (number, None),
    };
    let digits = |part: &str, most: usize| {
        (1..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
    };
    if !digits(whole, 19) || decimals.is_some_and(|decimals| !digits(decimals, 18)) {
        return None;
    }
    let mut nanos = whole.parse::<i128>().ok()? * unit;
    match decimals {
        Some(decimals) => {
            let mut place = unit;
            for digit in decimals.bytes() {
                place /= 10;
                nanos += i128::from(digit - b'0') * place;
            }
        }
        None if rounding == Rounding::Up => nanos += unit - 1,
        None => {}
    }
    Some(Instant::from_nanos(if negative { -nanos } else { nanos }))
}

/// The parts of a date that a text gave.
#[derive(Clone, Copy, Debug, Default)]
struct Parts {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    week_year: Option<i64>,
    week: Option<i64>,
    weekday: Option<i64>,
    hour: Option<i64>,
    /// Hours of a half day, 0..=11, and whether it is the second half.
    half_day_hour: Option<i64>,
    afternoon: Option<bool>,
    minute: Option<i64>,
    second: Option<i64>,
    nanos: Option<i64>,
    offset_seconds: Option<i64>,
}

impl Parts {
    /// The moment; `None` where no such date or time exists.
    fn resolve(self, rounding: Rounding) -> Option<Instant> {
        let narrow = |value: i64| i8::try_from(value).ok();
        let year = i16::try_from(self.year.unwrap_or(1970)).ok()?;
        let date = if self.week_year.is_some() || self.week.is_some() {
            let week_year = i16::try_from(self.week_year.unwrap_or(1970)).ok()?;
            let weekday = Weekday::from_monday_one_offset(narrow(self.weekday.unwrap_or(1))?).ok()?;
            ISOWeekDate::new(week_year, narrow(self.week.unwrap_or(1))?, weekday)
                .ok()?
                .date()
        } else if let Some(day) = self.day_of_year {
            Date::new(year, 1, 1)
                .ok()?
                .with()
                .day_of_year(i16::try_from(day).ok()?)
                .build()
                .ok()?
        } else {
            Date::new(
                year,
                narrow(self.month.unwrap_or(1))?,
                narrow(self.day.unwrap_or(1))?,
            )
            .ok()?
        };
        let days = days_since_epoch(
            i64::from(date.year()),
            i64::from(date.month()),
            i64::from(date.day()),
        );
        let half_day = self
            .half_day_hour
            .map(|hour| hour + if self.afternoon == Some(true) { 12 } else { 0 });
        let (last_hour, last_minute, last_nano) = match rounding {
            Rounding::Down => (0, 0, 0),
            Rounding::Up => (23, 59, 999_999_999),
        };
        let hour = self.hour.or(half_day).unwrap_or(last_hour);
        let minute = self.minute.unwrap_or(last_minute);
        let second = self.second.unwrap_or(last_minute);
        let nanos = self.nanos.unwrap_or(last_nano);
        if !(0..24).contains(&hour) || !(0..60).contains(&minute) || !(0..60).contains(&second) {
            return None;
        }
        let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - self.offset_seconds.unwrap_or(0);
        Some(Instant {
            seconds,
            nanos: u32::try_from(nanos).ok()?,
        })
    }
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar; the date has to exist.
/// Source: <https://howardhinnant.github.io/date_algorithms.html#days_from_civil>
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March here, so that the leap day is the last of its year.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Reads a whole zone: `Z`, an offset such as `+01`, `+0100`, `+01:00` or `+01:00:00`, or `UTC`, `UT`, `GMT` with or
/// without an offset. Gives seconds east of Greenwich. Names of regions are not known.
fn zone(text: &[u8]) -> Option<i64> {
    match text {
        b"Z" | b"UTC" | b"GMT" | b"UT" => Some(0),
        [b'U', b'T', b'C', offset @ ..] | [b'G', b'M', b'T', offset @ ..] | [b'U', b'T', offset @ ..] => {
            self::offset(offset)
        }
        offset => self::offset(offset),
    }
}

/// Reads an offset, which may have at most 18 hours.
fn offset(text: &[u8]) -> Option<i64> {
    let (sign, digits) = match text {
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let seconds = match digits {
        [h, i] => two(*h, *i)? * 3600,
        [h, i, m, n] | [h, i, b':', m, n] => two(*h, *i)? * 3600 + two(*m, *n)? * 60,
        [h, i, m, n, s, t] | [h, i, b':', m, n, b':', s, t] => {
            two(*h, *i)? * 3600 + two(*m, *n)? * 60 + two(*s, *t)?
        }
        _ => return None,
    };
    (seconds <= 18 * 3600).then_some(sign * seconds)
}

/// The number of two digits.
fn two(tens: u8, ones: u8) -> Option<i64> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| i64::from(tens * 10 + ones))
}
