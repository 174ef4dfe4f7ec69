//! Events of a suite: JSON lines with ids and relative times.

use neph_event::Instant;
use serde_json::Value;

/// 2026-01-01T00:00:00Z, the beginning that relative times count from, in nanoseconds.
pub(super) const BEGINNING: i128 = 1_767_225_600_000_000_000;

/// An event as it is fed to the engine.
#[derive(Clone, Debug)]
pub(super) struct InputEvent {
    pub(super) id: String,
    pub(super) document: Vec<u8>,
}

/// Reads events, one a line.
pub(super) fn parse(lines: &str) -> Result<Vec<InputEvent>, String> {
    let mut events: Vec<InputEvent> = Vec::new();
    for line in lines.lines().filter(|line| !line.trim().is_empty()) {
        let mut document: Value = serde_json::from_str(line).map_err(|error| format!("`{line}`: {error}"))?;
        let object = document
            .as_object_mut()
            .ok_or_else(|| format!("`{line}` is no object"))?;
        let id = match object.shift_remove("_id") {
            Some(Value::String(id)) => id,
            _ => return Err(format!("`{line}` has no `_id`")),
        };
        if events.iter().any(|event| event.id == id) {
            return Err(format!("a second event `{id}`"));
        }
        if let Some(time) = object.get_mut("@timestamp")
            && let Some(offset) = time.as_str().and_then(offset)
        {
            *time = Value::String(Instant::from_nanos(BEGINNING + offset).to_string());
        }
        events.push(InputEvent {
            id,
            document: document.to_string().into_bytes(),
        });
    }
    Ok(events)
}

/// Nanoseconds of `+1.5s`; `None` for a text that is not of this form.
fn offset(text: &str) -> Option<i128> {
    let sign = match text.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let rest = text.get(1..)?;
    let unit_at = rest.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = rest.split_at_checked(unit_at)?;
    let nanos: i128 = match unit {
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mut sum = whole.parse::<i128>().ok()?.checked_mul(nanos)?;
    if !fraction.is_empty() {
        let digits = u32::try_from(fraction.len())
            .ok()
            .filter(|digits| *digits <= 18)?;
        sum += fraction.parse::<i128>().ok()?.checked_mul(nanos)? / 10_i128.pow(digits);
    }
    Some(sign * sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets() {
        assert_eq!(offset("+0s"), Some(0));
        assert_eq!(offset("+1.5s"), Some(1_500_000_000));
        assert_eq!(offset("-2m"), Some(-120_000_000_000));
        assert_eq!(offset("+0.000000001s"), Some(1));
        assert_eq!(offset("+250ms"), Some(250_000_000));
        for other in ["1s", "+1", "+s", "+1y", "2026-01-01T00:00:00Z", ""] {
            assert_eq!(offset(other), None, "{other}");
        }
    }

    #[test]
    fn events_have_ids_and_times() {
        let events =
            parse("{\"_id\": \"a\", \"@timestamp\": \"+1ms\", \"x\": [1]}\n\n{\"_id\": \"b\"}\n").unwrap();
        assert_eq!(
            events[0].document,
            br#"{"@timestamp":"2026-01-01T00:00:00.001Z","x":[1]}"#
        );
        assert_eq!(events[1].id, "b");
        assert!(parse("{}").is_err());
        assert!(parse("{\"_id\": \"a\"}\n{\"_id\": \"a\"}").is_err());
    }
}
