//! Reading values out of JSON that may hold anything.

use serde_json::Value;

/// The text at a pointer, or nothing.
pub(crate) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

/// The boolean at a pointer, where there is one. Google's tools print those of metadata as text.
pub(crate) fn truth(value: &Value, pointer: &str) -> Option<bool> {
    match value.pointer(pointer)? {
        Value::Bool(truth) => Some(*truth),
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "y" | "yes" => Some(true),
            "false" | "0" | "n" | "no" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// Whether the boolean at a pointer is there and true.
pub(crate) fn is_true(value: &Value, pointer: &str) -> bool {
    truth(value, pointer) == Some(true)
}

/// The list at a pointer, or nothing.
pub(crate) fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The texts of the list at a pointer.
pub(crate) fn texts<'v>(value: &'v Value, pointer: &str) -> Vec<&'v str> {
    list(value, pointer).iter().filter_map(Value::as_str).collect()
}

/// Whether anything but null is there.
pub(crate) fn has(value: &Value, pointer: &str) -> bool {
    value.pointer(pointer).is_some_and(|found| !found.is_null())
}

/// A value as people write it: texts without quotes, nothing as `(not set)`.
pub(crate) fn told(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        None | Some(Value::Null) => "(not set)".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// The last part of a path, name or ARN.
pub(crate) fn last(text: &str) -> &str {
    text.rsplit('/').next().unwrap_or(text)
}

/// A word for a shell, in quotes where it needs them.
pub(crate) fn word(text: &str) -> String {
    let is_plain = !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_./:=@,+".contains(&byte));
    match is_plain {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}
