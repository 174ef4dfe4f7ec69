//! What times without a year or a zone are read by.

use neph_event::Instant;

use crate::convert;

/// What the texts of records leave out: the classic header of syslog has neither a year nor a zone.
///
/// Nothing here reads a clock of its own: what gives the records knows when they were written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    now: Option<Instant>,
    /// Whether records without any time get that one elsewhere.
    leaves_out: bool,
    zone: Option<Zone>,
}

/// A distance from UTC, and how it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Zone {
    text: Box<str>,
    seconds: i32,
}

/// A text is no distance from UTC.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no distance from UTC such as `+03:00`, `-0230` or `UTC`")]
pub struct NoZone(pub String);

impl Clock {
    /// Times without a year are in the latest year in which they are no more than a day after `now`: when the records
    /// were written, at the latest. Without it they cannot be read, unless an agent says when it shipped them. Records
    /// that hold no time at all get this one.
    #[must_use]
    pub fn with_now(mut self, now: Instant) -> Self {
        self.now = Some(now);
        self
    }

    /// From now on records were received then: times without a year go by it, as with [`Self::with_now`]. Records that hold no
    /// time at all stay without one, since whoever knows when they were received gives it to all records alike.
    pub(crate) fn received(&mut self, at: Instant) {
        self.now = Some(at);
        self.leaves_out = true;
    }

    /// Times without a zone are this far from UTC, and in it where nothing is said. What an agent says of its own zone
    /// (`event.timezone`) goes before.
    ///
    /// # Errors
    /// The text is no distance from UTC.
    pub fn with_zone(mut self, zone: &str) -> Result<Self, NoZone> {
        let seconds = zone_seconds(zone).ok_or_else(|| NoZone(zone.to_owned()))?;
        self.zone = Some(Zone {
            text: zone.into(),
            seconds,
        });
        Ok(self)
    }

    /// When the records were written at the latest.
    pub(crate) fn now(&self) -> Option<Instant> {
        self.now
    }

    /// The time of records that hold none.
    pub(crate) fn fallback(&self) -> Option<Instant> {
        self.now.filter(|_| !self.leaves_out)
    }

    /// The zone of times that have none: its text and its seconds from UTC.
    pub(crate) fn zone(&self) -> Option<(&str, i32)> {
        self.zone.as_ref().map(|zone| (&*zone.text, zone.seconds))
    }
}

/// Seconds from UTC of `+03:00`, `-0230`, `+03`, `GMT-0200`, `UTC`, `Z`.
pub(crate) fn zone_seconds(text: &str) -> Option<i32> {
    let text = text.trim();
    let offset = ["GMT", "UTC"]
        .iter()
        .find_map(|name| text.strip_prefix(name))
        .unwrap_or(text);
    if offset.is_empty() || offset == "Z" {
        return (!text.is_empty()).then_some(0);
    }
    let (sign, digits) = match offset.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let number = |text: &str| convert::digits(Some(text)).then(|| text.parse::<i32>().ok())?;
    let (hours, minutes) = match digits.split_once(':') {
        Some((hours, minutes)) => (number(hours)?, number(minutes)?),
        None if digits.len() > 2 => (
            number(digits.get(..digits.len() - 2)?)?,
            number(digits.get(digits.len() - 2..)?)?,
        ),
        None => (number(digits)?, 0),
    };
    (hours <= 18 && minutes < 60).then(|| sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::zone_seconds;

    #[test]
    fn zones_are_distances() {
        for (text, seconds) in [
            ("Z", Some(0)),
            ("UTC", Some(0)),
            ("+0000", Some(0)),
            ("GMT-0200", Some(-7200)),
            ("+03:30", Some(12_600)),
            ("-3", Some(-10_800)),
            ("", None),
            ("Europe/Berlin", None),
            ("+99:00", None),
            ("+2508830:00", None),
            ("+", None),
        ] {
            assert_eq!(zone_seconds(text), seconds, "{text}");
        }
    }
}
