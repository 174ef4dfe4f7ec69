//! Indicators of a STIX 2 bundle whose patterns are lists of plain comparisons.
//!
//! A pattern such as `[ipv4-addr:value = '198.51.100.7' OR domain-name:value = 'evil.example']` becomes an indicator for
//! each comparison. Patterns that need more (`AND`, `FOLLOWEDBY`, `LIKE`, …) are left out and counted.
//! <https://docs.oasis-open.org/cti/stix/v2.1/os/stix-v2.1-os.html#_e8slinrhxcc9>

use neph_event::parse_date;
use serde_json::{Map, Value, json};

use super::{Skipped, table};

/// The documents of a bundle's indicators. `now` tells which are no longer valid.
pub(super) fn bundle(
    bundle: &Map<String, Value>,
    now: &str,
    skipped: &mut Skipped,
) -> Vec<Map<String, Value>> {
    let objects = bundle
        .get("objects")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    let mut documents = Vec::new();
    for object in objects.iter().filter_map(Value::as_object) {
        let text = |key: &str| object.get(key).and_then(Value::as_str);
        if text("type") != Some("indicator") {
            continue;
        }
        let mut skip = |reason: &str| *skipped.entry(reason.to_owned()).or_default() += 1;
        let is_true = |key: &str| object.get(key).and_then(Value::as_bool) == Some(true);
        let time = |key: &str| text(key).and_then(|text| parse_date(text, &[]));
        if is_true("revoked") {
            skip("it is revoked");
            continue;
        }
        if time("valid_until").is_some_and(|end| parse_date(now, &[]).is_some_and(|now| end <= now)) {
            skip("it is no longer valid");
            continue;
        }
        if text("pattern_type").is_some_and(|kind| kind != "stix") {
            skip("its pattern is not STIX");
            continue;
        }
        let Some(comparisons) = text("pattern").and_then(comparisons) else {
            skip("its pattern is more than a list of plain comparisons");
            continue;
        };
        let found = comparisons
            .iter()
            .filter_map(|(path, value)| of_comparison(path, value));
        let before = documents.len();
        for mut document in found {
            for (key, field) in [
                ("name", "threat.indicator.name"),
                ("description", "threat.indicator.description"),
                ("valid_from", "threat.indicator.first_seen"),
                ("modified", "threat.indicator.modified_at"),
                ("id", "threat.indicator.id"),
            ] {
                if let Some(text) = text(key) {
                    document.insert(field.to_owned(), json!(text));
                }
            }
            documents.push(document);
        }
        if documents.len() == before {
            skip("it is no value of a known kind");
        }
    }
    documents
}

fn of_comparison(path: &str, value: &str) -> Option<Map<String, Value>> {
    let (object, property) = path.split_once(':')?;
    let kind = match (object, property) {
        ("ipv4-addr" | "ipv6-addr" | "domain-name" | "url" | "email-addr", "value") => object,
        ("windows-registry-key", "key") => object,
        ("file", "name") => "file-name",
        ("file", hash) if hash.starts_with("hashes.") => "hash",
        _ => return None,
    };
    table::of_value(value, kind)
}

/// The comparisons of a pattern; `None` where there is anything in it but `=` joined by `OR`.
fn comparisons(pattern: &str) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut rest = pattern.trim_start();
    loop {
        rest = rest.trim_start_matches(|character: char| {
            character.is_whitespace() || matches!(character, '[' | '(')
        });
        let end = rest.find(['=', '<', '>', '!', ' '])?;
        let (path, behind) = rest.split_at_checked(end)?;
        let behind = behind.trim_start().strip_prefix('=')?.trim_start();
        let (value, behind) = quoted(behind)?;
        found.push((path.trim().replace('\'', ""), value));
        rest = behind.trim_start_matches(|character: char| {
            character.is_whitespace() || matches!(character, ']' | ')')
        });
        if rest.is_empty() {
            return Some(found);
        }
        rest = rest.strip_prefix("OR")?;
    }
}

/// The string in quotes that a text begins with, and what is behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let body = text.strip_prefix('\'')?;
    let mut value = String::new();
    let mut characters = body.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => value.push(characters.next()?.1),
            '\'' => return Some((value, body.get(at + 1..)?)),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(objects: Value) -> (Vec<Map<String, Value>>, Skipped) {
        let mut skipped = Skipped::new();
        let map = json!({"type": "bundle", "objects": objects});
        let found = bundle(map.as_object().unwrap(), "2026-01-01T00:00:00Z", &mut skipped);
        (found, skipped)
    }

    #[test]
    fn each_plain_comparison_is_an_indicator() {
        let (found, skipped) = documents(json!([
            {"type": "identity", "name": "x"},
            {"type": "indicator", "name": "one", "pattern_type": "stix", "valid_from": "2025-01-01T00:00:00Z",
             "pattern": "[ipv4-addr:value = '198.51.100.7' OR domain-name:value='it''s']"},
            {"type": "indicator", "pattern": "[file:hashes.'SHA-256' = 'AE0D1C5A0C1D8A9E1F2B3C4D5E6F708192A3B4C5D6E7F8091A2B3C4D5E6F7081'] OR [url:value = 'http://a.example/\\'b']"},
            {"type": "indicator", "pattern": "[ipv4-addr:value = '1.1.1.1' AND domain-name:value = 'a.b']"},
            {"type": "indicator", "pattern": "[ipv4-addr:value = '1.1.1.1']", "valid_until": "2025-06-01T00:00:00Z"},
            {"type": "indicator", "pattern": "[ipv4-addr:value = '1.1.1.1']", "revoked": true},
            {"type": "indicator", "pattern": "[mutex:name = 'x']"}
        ]));
        // `''` ends the string, so that the first pattern is not a list of plain comparisons.
        let texts: Vec<&str> = found
            .iter()
            .filter_map(|document| document.get("threat.indicator.name")?.as_str())
            .collect();
        assert_eq!(texts.len(), 2, "{found:?} {skipped:?}");
        assert_eq!(
            found[0]["threat.indicator.file.hash.sha256"],
            "ae0d1c5a0c1d8a9e1f2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7081"
        );
        assert_eq!(found[1]["threat.indicator.url.full"], "http://a.example/'b");
        assert_eq!(skipped.values().sum::<u64>(), 5);
    }

    #[test]
    fn what_the_bundle_says_is_kept() {
        let (found, _) = documents(json!([
            {"type": "indicator", "id": "indicator--1", "name": "one", "valid_from": "2025-01-01T00:00:00Z",
             "pattern": "[ipv4-addr:value = '198.51.100.7' OR ipv6-addr:value = '2001:db8::1']"}
        ]));
        assert_eq!(found.len(), 2);
        assert_eq!(found[0]["threat.indicator.name"], "one");
        assert_eq!(found[0]["threat.indicator.ip"], "198.51.100.7");
        assert_eq!(found[1]["threat.indicator.type"], "ipv6-addr");
        assert_eq!(found[1]["threat.indicator.id"], "indicator--1");
    }
}
