//! Times in test files: distances from the base, and the places in raw records that hold a time.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use neph_event::Instant;
use serde_json::Value;

/// Reads a distance such as `5m`, `+1h30m`, `-3d`, `1.5s` or `0`, in nanoseconds.
pub(super) fn distance(text: &str) -> Option<i128> {
    let text = text.trim();
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total = 0_i128;
    let mut rest = rest;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|char: char| !char.is_ascii_digit() && char != '.')?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let letters = tail
            .find(|char: char| !char.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(letters)?;
        let nanos: i128 = match unit {
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            "w" => 604_800_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        total = total.checked_add(whole.parse::<u32>().map(i128::from).ok()? * nanos)?;
        if !fraction.is_empty() {
            let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok().filter(|len| *len <= 9)?)?;
            total = total.checked_add(i128::from(fraction.parse::<u32>().ok()?) * nanos / scale)?;
        }
        rest = tail;
    }
    Some(sign * total)
}

/// Puts a time and a number in the places of a text that ask for them.
///
/// - `{{at}}` is the time in RFC 3339 with milliseconds, in UTC;
/// - `{{at:epoch}}` its seconds with milliseconds, `{{at:epoch_s}}` whole seconds, `{{at:epoch_ms}}` milliseconds since the
///   epoch;
/// - `{{at:FORMAT}}` what `strftime` makes of it in UTC;
/// - `{{n}}` is the number of the repetition, from 0.
///
/// What is no such place stays as it is.
pub fn fill(text: &str, at: Instant, number: u64) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("{{") {
        out.push_str(before);
        let filled = behind
            .split_once("}}")
            .and_then(|(place, tail)| Some((place_text(place, at, number)?, tail)));
        match filled {
            Some((text, tail)) => {
                out.push_str(&text);
                rest = tail;
            }
            None => {
                out.push_str("{{");
                rest = behind;
            }
        }
    }
    out.push_str(rest);
    out
}

/// [`fill`] for every text of a JSON value.
pub fn fill_all(value: &mut Value, at: Instant, number: u64) {
    match value {
        Value::String(text) if text.contains("{{") => *text = fill(text, at, number),
        Value::Array(items) => items.iter_mut().for_each(|item| fill_all(item, at, number)),
        Value::Object(entries) => entries.values_mut().for_each(|item| fill_all(item, at, number)),
        _ => {}
    }
}

fn place_text(place: &str, at: Instant, number: u64) -> Option<String> {
    let millis = at.as_millis();
    Some(match place {
        "n" => number.to_string(),
        "at" => at.truncated_to_millis().to_string(),
        "at:epoch" => format!("{}.{:03}", millis.div_euclid(1000), millis.rem_euclid(1000)),
        "at:epoch_s" => millis.div_euclid(1000).to_string(),
        "at:epoch_ms" => millis.to_string(),
        other => {
            let format = other.strip_prefix("at:")?;
            let time = Timestamp::from_nanosecond(at.as_nanos()).ok()?;
            let zoned = time.to_zoned(TimeZone::UTC);
            jiff::fmt::strtime::format(format, &zoned).ok()?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{distance, fill};
    use neph_event::parse_date;

    #[test]
    fn distances_are_read() {
        for (text, seconds) in [
            ("0", Some(0.0)),
            ("5m", Some(300.0)),
            ("+1h30m", Some(5400.0)),
            ("-3d", Some(-259_200.0)),
            ("1.5s", Some(1.5)),
            ("250ms", Some(0.25)),
            ("5", None),
            ("", None),
            ("-", None),
            ("5x", None),
            ("m5", None),
            ("99999999999999999999d", None),
        ] {
            let expected = seconds.map(|seconds: f64| (seconds * 1e9) as i128);
            assert_eq!(distance(text), expected, "{text}");
        }
    }

    #[test]
    fn times_are_put_where_texts_ask_for_them() {
        let at = parse_date("2026-01-02T03:04:05.678Z", &[]).unwrap();
        let text = "{{at}} {{at:epoch}} {{at:epoch_s}} {{at:epoch_ms}} {{at:%b %e %H:%M:%S}} {{n}} {{other}} {{ {{at:%!}}";
        assert_eq!(
            fill(text, at, 7),
            "2026-01-02T03:04:05.678Z 1767323045.678 1767323045 1767323045678 Jan  2 03:04:05 7 {{other}} {{ {{at:%!}}"
        );
    }
}
