//! Points in time as people write them.

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};
use neph_event::Instant;

/// The time now.
pub fn now() -> Instant {
    Instant::from_nanos(Timestamp::now().as_nanosecond())
}

/// Reads a point in time: RFC 3339 (`2026-11-20T08:00:00Z`), a day (`2026-11-20`), `now`, a time ago (`7d`, `90m`, `now-7d`),
/// `today`, `yesterday`, or the last day of a name (`Friday`). Days begin in the time zone `zone`.
pub fn parse(text: &str, now: Instant, zone: &TimeZone) -> Option<Instant> {
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    let ago = lower.strip_prefix("now-").unwrap_or(&lower);
    if lower == "now" {
        return Some(now);
    }
    if let Some(duration) = neph_config::parse_duration(ago) {
        return Some(now.saturating_sub_nanos(i128::try_from(duration.as_nanos()).ok()?));
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(instant(time));
    }
    let zoned = Timestamp::from_nanosecond(now.as_nanos())
        .ok()?
        .to_zoned(zone.clone());
    let day = match lower.as_str() {
        "today" => zoned,
        "yesterday" => zoned.checked_sub(1.day()).ok()?,
        _ => match (weekday(&lower), text.parse::<jiff::civil::Date>()) {
            // The last day of this name that is not today.
            (Some(weekday), _) => zoned.nth_weekday(-1, weekday).ok()?,
            (None, Ok(date)) => date.to_zoned(zone.clone()).ok()?,
            (None, Err(_)) => return None,
        },
    };
    Some(instant(start_of(&day)?.timestamp()))
}

fn start_of(day: &Zoned) -> Option<Zoned> {
    day.start_of_day().ok()
}

fn instant(time: Timestamp) -> Instant {
    Instant::from_nanos(time.as_nanosecond())
}

/// The day that a name or its first three letters mean.
fn weekday(name: &str) -> Option<Weekday> {
    let days = [
        ("monday", Weekday::Monday),
        ("tuesday", Weekday::Tuesday),
        ("wednesday", Weekday::Wednesday),
        ("thursday", Weekday::Thursday),
        ("friday", Weekday::Friday),
        ("saturday", Weekday::Saturday),
        ("sunday", Weekday::Sunday),
    ];
    let found = days
        .iter()
        .find(|(day, _)| name.len() >= 3 && day.starts_with(name));
    found.map(|(_, weekday)| *weekday)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        // A Sunday.
        let now = instant("2026-11-22T10:30:00Z".parse().unwrap());
        let read = |text: &str| parse(text, now, &TimeZone::UTC).map(|time| time.to_string());
        for (text, time) in [
            ("2026-11-20T08:00:00Z", "2026-11-20T08:00:00.000Z"),
            ("2026-11-20T10:00:00+02:00", "2026-11-20T08:00:00.000Z"),
            ("2026-11-20", "2026-11-20T00:00:00.000Z"),
            ("now", "2026-11-22T10:30:00.000Z"),
            ("7d", "2026-11-15T10:30:00.000Z"),
            ("now-90m", "2026-11-22T09:00:00.000Z"),
            ("today", "2026-11-22T00:00:00.000Z"),
            ("Yesterday", "2026-11-21T00:00:00.000Z"),
            ("Friday", "2026-11-20T00:00:00.000Z"),
            ("fri", "2026-11-20T00:00:00.000Z"),
            ("sunday", "2026-11-15T00:00:00.000Z"),
        ] {
            assert_eq!(read(text).as_deref(), Some(time), "{text}");
        }
        for wrong in ["", "fr", "soon", "5", "-7d", "2026-13-01", "fridays"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
