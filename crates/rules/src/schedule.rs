//! How often a rule runs and how far it looks back.
//!
//! Intervals and date math are Elasticsearch's:
//! <https://www.elastic.co/docs/reference/elasticsearch/rest-apis/common-options#date-math>.

const SECOND: i64 = 1_000_000_000;

/// When a rule runs and what it looks at.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Schedule {
    /// Time between two runs, as written (`5m`).
    pub interval: String,
    /// Start of what a run looks at, as written (`now-9m`).
    pub from: String,
    /// End of what a run looks at, as written (`now`).
    pub to: String,
    /// The interval in nanoseconds.
    pub interval_nanos: u64,
    /// How far a run looks back, in nanoseconds.
    pub lookback_nanos: u64,
}

impl Default for Schedule {
    /// Kibana's: every 5 minutes over the last 6.
    fn default() -> Self {
        let minute = 60 * SECOND.unsigned_abs();
        Self {
            interval: "5m".into(),
            from: "now-6m".into(),
            to: "now".into(),
            interval_nanos: 5 * minute,
            lookback_nanos: 6 * minute,
        }
    }
}

impl Schedule {
    /// How late an event may come and still be found, in nanoseconds: the look-back minus the interval.
    pub fn lateness_nanos(&self) -> u64 {
        self.lookback_nanos.saturating_sub(self.interval_nanos)
    }
}

/// Reads an interval such as `5m` or `24h`, in nanoseconds; `None` where the text is none, or nothing.
pub fn parse_interval(text: &str) -> Option<u64> {
    let digits = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let length = match unit {
        "s" | "m" | "h" | "d" => unit_nanos(unit)?,
        _ => return None,
    };
    let nanos = number.parse::<i64>().ok()?.checked_mul(length)?;
    u64::try_from(nanos).ok().filter(|nanos| *nanos > 0)
}

/// Reads date math around `now` and gives its distance from now in nanoseconds, negative in the past. Rounding (`/d`)
/// can only move the start further back, by less than one unit; it is counted as a whole one. Months are 30 days, years 365.
pub fn parse_date_math(text: &str) -> Option<i64> {
    let mut rest = text.strip_prefix("now")?;
    let mut distance = 0_i64;
    while let Some(operator) = rest.chars().next() {
        rest = rest.get(1..)?;
        let digits = rest.len()
            - rest
                .trim_start_matches(|character: char| character.is_ascii_digit())
                .len();
        let (number, behind) = rest.split_at_checked(digits)?;
        let letters = behind.len()
            - behind
                .trim_start_matches(|character: char| character.is_ascii_alphabetic())
                .len();
        let (unit, behind) = behind.split_at_checked(letters)?;
        let count = if number.is_empty() {
            1
        } else {
            number.parse::<i64>().ok()?
        };
        let step = unit_nanos(unit)?.checked_mul(count)?;
        distance = match operator {
            '+' => distance.checked_add(step)?,
            '-' => distance.checked_sub(step)?,
            '/' if number.is_empty() => distance.checked_sub(step)?,
            _ => return None,
        };
        rest = behind;
    }
    Some(distance)
}

fn unit_nanos(unit: &str) -> Option<i64> {
    Some(match unit {
        "ms" => SECOND / 1000,
        "s" => SECOND,
        "m" => 60 * SECOND,
        "h" | "H" => 3600 * SECOND,
        "d" => 86_400 * SECOND,
        "w" => 7 * 86_400 * SECOND,
        "M" => 30 * 86_400 * SECOND,
        "y" => 365 * 86_400 * SECOND,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals() {
        assert_eq!(parse_interval("5m"), Some(300_000_000_000));
        assert_eq!(parse_interval("24h"), parse_interval("1d"));
        for bad in [
            "",
            "5",
            "m",
            "0m",
            "-5m",
            "5 m",
            "5M",
            "1.5h",
            "5min",
            "99999999999999999999d",
            "９m",
        ] {
            assert_eq!(parse_interval(bad), None, "{bad}");
        }
    }

    #[test]
    fn date_math() {
        assert_eq!(parse_date_math("now"), Some(0));
        assert_eq!(parse_date_math("now-9m"), Some(-540 * SECOND));
        assert_eq!(parse_date_math("now-540s"), Some(-540 * SECOND));
        assert_eq!(parse_date_math("now-1h+30m"), Some(-1800 * SECOND));
        assert_eq!(parse_date_math("now-7d/d"), Some(-8 * 86_400 * SECOND));
        for bad in [
            "",
            "9m",
            "now-",
            "now-9",
            "now-9x",
            "now*3m",
            "now 9m",
            "now/3d",
            "now-99999999999y",
            "nowé",
        ] {
            assert_eq!(parse_date_math(bad), None, "{bad}");
        }
    }

    #[test]
    fn lateness_is_what_the_lookback_has_over() {
        let rule = Schedule {
            lookback_nanos: 540_000_000_000,
            ..Schedule::default()
        };
        assert_eq!(rule.lateness_nanos(), 240_000_000_000);
        let gap = Schedule {
            lookback_nanos: 1,
            ..Schedule::default()
        };
        assert_eq!(gap.lateness_nanos(), 0);
    }
}
