//! Keys of camel case in snake case, as Elastic's integrations write them.

use ahash::AHashMap;

use crate::tree::{Map, Value};

/// Gives the keys of an object, and of the objects inside, snake case: `riskLevelDuringSignIn` becomes
/// `risk_level_during_sign_in`. With `fused`, an underscore before a lower-case letter that stands alone goes, as the
/// integration for Graph activity has it.
pub(crate) fn snake_keys<'a>(map: &'a Map<'a>, fused: bool) {
    map.rename_keys(|key| {
        key.bytes()
            .any(|byte| !byte.is_ascii_lowercase() && byte != b'_')
            .then(|| map.text(&snake_case(key, fused)))
    });
    keep_last(map);
    for (_, value) in map.iter() {
        match value {
            Value::Map(inner) => snake_keys(inner, fused),
            Value::List(list) => list
                .iter()
                .filter_map(|element| element.as_map())
                .for_each(|inner| snake_keys(inner, fused)),
            _ => {}
        }
    }
}

pub(crate) fn snake_case(key: &str, fused: bool) -> String {
    let mut out = String::with_capacity(key.len() + 4);
    let mut letters = key.chars().peekable();
    while let Some(letter) = letters.next() {
        let bends = letter.is_ascii_lowercase() && letters.peek().is_some_and(char::is_ascii_uppercase);
        if bends && fused && out.ends_with('_') {
            out.pop();
        }
        out.extend(letter.to_lowercase());
        if bends {
            out.push('_');
        }
    }
    out
}

/// Of entries with the same key only the last stays.
pub(crate) fn keep_last(map: &Map<'_>) {
    let mut last: AHashMap<&str, usize> = AHashMap::new();
    let mut count = 0_usize;
    for (position, (key, _)) in map.iter().enumerate() {
        last.insert(key, position);
        count = position + 1;
    }
    if last.len() < count {
        let mut position = 0_usize;
        map.retain(|key, value| {
            let stays = last.get(key) == Some(&position);
            position += 1;
            stays.then_some(value)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::snake_case;

    #[test]
    fn capitals_after_small_letters_begin_words() {
        for (camel, snake, fused) in [
            (
                "riskLevelDuringSignIn",
                "risk_level_during_sign_in",
                "risk_level_during_sign_in",
            ),
            ("sourceIPs", "source_ips", "source_ips"),
            ("C_DeviceId", "c_device_id", "c_device_id"),
            ("_aBillable", "_a_billable", "a_billable"),
            ("s3Bucket", "s3bucket", "s3bucket"),
            ("ÄÖx", "äöx", "äöx"),
        ] {
            assert_eq!(snake_case(camel, false), snake);
            assert_eq!(snake_case(camel, true), fused);
        }
    }
}
