//! Parts of a time, as numbers.

use jiff::tz::TimeZone;
use neph_event::Instant;

/// A part of a time in UTC.
/// Source: <https://sigmahq.io/sigma-specification/specification/sigma-appendix-modifiers.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimePart {
    /// 0 to 59.
    Minute,
    /// 0 to 23.
    Hour,
    /// Day of the month, 1 to 31.
    Day,
    /// Week of the year by ISO 8601, 1 to 53.
    Week,
    /// 1 to 12.
    Month,
    /// The year.
    Year,
}

impl TimePart {
    /// The part of a time; `None` for a time that no calendar reaches.
    pub fn of(self, time: Instant) -> Option<i64> {
        let time = jiff::Timestamp::from_nanosecond(time.as_nanos()).ok()?;
        let civil = time.to_zoned(TimeZone::UTC).datetime();
        Some(match self {
            Self::Minute => civil.minute().into(),
            Self::Hour => civil.hour().into(),
            Self::Day => civil.day().into(),
            Self::Week => civil.date().iso_week_date().week().into(),
            Self::Month => civil.month().into(),
            Self::Year => civil.year().into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_those_of_utc_and_weeks_those_of_iso() {
        let time = neph_event::parse_date("2027-01-03T23:59:58+01:00", &[]).unwrap();
        let parts = [
            (TimePart::Minute, 59),
            (TimePart::Hour, 22),
            (TimePart::Day, 3),
            (TimePart::Week, 53),
            (TimePart::Month, 1),
            (TimePart::Year, 2027),
        ];
        for (part, number) in parts {
            assert_eq!(part.of(time), Some(number), "{part:?}");
        }
        assert_eq!(TimePart::Year.of(Instant::from_nanos(i128::MAX)), None);
    }
}
