//! Points in time, with the precision and range of Elasticsearch's `date` and `date_nanos`.

/// A point in time: whole seconds since 1970-01-01T00:00:00Z, and nanoseconds within the second.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize, serde::Serialize,
)]
pub struct Instant {
    /// Seconds since the epoch; negative before 1970.
    pub seconds: i64,
    /// Nanoseconds since `seconds`, always below 1,000,000,000.
    pub nanos: u32,
}

impl Instant {
    /// From milliseconds since the epoch.
    pub fn from_millis(millis: i64) -> Self {
        let nanos = u32::try_from(millis.rem_euclid(1000)).unwrap_or(0) * 1_000_000;
        Self {
            seconds: millis.div_euclid(1000),
            nanos,
        }
    }

    /// From nanoseconds since the epoch; saturates.
    pub fn from_nanos(nanos: i128) -> Self {
        match i64::try_from(nanos.div_euclid(1_000_000_000)) {
            Ok(seconds) => Self {
                seconds,
                nanos: u32::try_from(nanos.rem_euclid(1_000_000_000)).unwrap_or(0),
            },
            Err(_) if nanos < 0 => Self {
                seconds: i64::MIN,
                nanos: 0,
            },
            Err(_) => Self {
                seconds: i64::MAX,
                nanos: 999_999_999,
            },
        }
    }

    /// Milliseconds since the epoch, rounded down; saturates.
    pub fn as_millis(self) -> i64 {
        self.seconds
            .saturating_mul(1000)
            .saturating_add(i64::from(self.nanos / 1_000_000))
    }

    /// Nanoseconds since the epoch.
    pub fn as_nanos(self) -> i128 {
        i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanos)
    }

    /// The instant so many nanoseconds later (earlier, if negative); stops at the ends of what an instant can hold.
    #[must_use]
    pub fn saturating_add_nanos(self, nanos: i128) -> Self {
        Self::from_nanos(self.as_nanos().saturating_add(nanos))
    }

    /// The instant so many nanoseconds earlier (later, if negative); stops at the ends of what an instant can hold.
    #[must_use]
    pub fn saturating_sub_nanos(self, nanos: i128) -> Self {
        Self::from_nanos(self.as_nanos().saturating_sub(nanos))
    }

    /// Nanoseconds from `earlier` to this instant; negative where `earlier` is later.
    pub fn nanos_since(self, earlier: Self) -> i128 {
        // Seconds have 64 bits, so nanoseconds have at most 95 and nothing overflows.
        self.as_nanos() - earlier.as_nanos()
    }

    /// The same instant cut to whole milliseconds, which is what a `date` field stores.
    #[must_use]
    pub fn truncated_to_millis(self) -> Self {
        Self {
            seconds: self.seconds,
            nanos: self.nanos / 1_000_000 * 1_000_000,
        }
    }
}

impl std::fmt::Display for Instant {
    /// ISO 8601 in UTC with at least three decimals, as Elasticsearch prints dates: `2020-01-01T00:00:00.000Z`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Ok(stamp) = jiff::Timestamp::new(self.seconds, i32::try_from(self.nanos).unwrap_or(0)) else {
            return write!(f, "{}", self.as_nanos());
        };
        let zoned = stamp.to_zoned(jiff::tz::TimeZone::UTC);
        let (date, time) = (zoned.date(), zoned.time());
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.",
            date.year(),
            date.month(),
            date.day(),
            time.hour(),
            time.minute(),
            time.second()
        )?;
        if self.nanos.is_multiple_of(1_000_000) {
            write!(f, "{:03}Z", self.nanos / 1_000_000)
        } else if self.nanos.is_multiple_of(1000) {
            write!(f, "{:06}Z", self.nanos / 1000)
        } else {
            write!(f, "{:09}Z", self.nanos)
        }
    }
}
