//! How long to wait until what failed is tried again.

use std::time::{Duration, SystemTime};

/// The first pause; each further one is twice as long.
const FIRST: Duration = Duration::from_secs(1);
/// No pause is longer.
const LONGEST: Duration = Duration::from_secs(300);
/// Nobody is left alone for longer, whatever it asks for.
const LONGEST_ASKED: Duration = Duration::from_secs(3600);

/// The pause behind so many failures in a row, by chance between half of it and all of it, so that many services do not come back
/// at once; longer if the receiver asks for it.
pub(crate) fn pause(failures: u32, asked: Option<Duration>) -> Duration {
    let doubled = FIRST.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    let whole = doubled.min(LONGEST);
    let own = whole / 2 + (whole / 2).mul_f64(chance());
    own.max(asked.unwrap_or_default().min(LONGEST_ASKED))
}

/// A number from 0 to 1.
fn chance() -> f64 {
    f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX)
}

/// What a header `Retry-After` asks for: seconds or a date (RFC 9110, 10.2.3).
pub(crate) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound() {
        let seconds = |failures| pause(failures, None).as_secs_f64();
        for (failures, most) in [
            (1, 1.0),
            (2, 2.0),
            (3, 4.0),
            (9, 256.0),
            (10, 300.0),
            (400, 300.0),
        ] {
            let found = seconds(failures);
            assert!((most / 2.0..=most).contains(&found), "{failures}: {found}");
        }
    }

    #[test]
    fn a_receiver_may_ask_for_more_but_not_for_ever() {
        let asked = |text| pause(1, retry_after(text, SystemTime::UNIX_EPOCH));
        assert_eq!(asked("30"), Duration::from_secs(30));
        assert!(asked("0") <= Duration::from_secs(1));
        assert_eq!(asked("99999999999"), Duration::from_secs(3600));
        assert_eq!(asked("Thu, 01 Jan 1970 00:01:00 GMT"), Duration::from_secs(60));
        assert_eq!(retry_after("soon", SystemTime::UNIX_EPOCH), None);
        assert_eq!(retry_after("-1", SystemTime::UNIX_EPOCH), None);
    }
}
