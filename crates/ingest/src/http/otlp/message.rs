//! Messages of OTLP logs as the JSON that the same protocol has for them.
//!
//! Fields and numbers: <https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/logs/v1/logs.proto>;
//! the JSON: <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::quoted;
use super::wire::{NoMessage, Value, fields};

/// Depth of values in values beyond which a message is refused.
const DEEPEST: usize = 20;

/// A message that stands once in another, and those that are repeated beside it.
pub(super) type Parts<'a> = (Option<&'a [u8]>, Vec<&'a [u8]>);

/// The messages in the field `wanted` of a message, and the last one in `beside`.
pub(super) fn parts(message: &[u8], beside: u64, wanted: u64) -> Result<Parts<'_>, NoMessage> {
    let (mut other, mut found) = (None, Vec::new());
    for field in fields(message) {
        match field? {
            (number, Value::Bytes(bytes)) if number == wanted => found.push(bytes),
            (number, Value::Bytes(bytes)) if number == beside => other = Some(bytes),
            _ => {}
        }
    }
    Ok((other, found))
}

/// An object that is being written.
struct Object<'o> {
    out: &'o mut String,
    is_empty: bool,
}

impl<'o> Object<'o> {
    fn new(out: &'o mut String) -> Self {
        out.push('{');
        Self { out, is_empty: true }
    }

    fn key(&mut self, key: &str) -> &mut String {
        self.out.push_str(if self.is_empty { "\"" } else { ",\"" });
        self.is_empty = false;
        self.out.push_str(key);
        self.out.push_str("\":");
        self.out
    }

    fn text(&mut self, key: &str, bytes: &[u8]) {
        let text = quoted(&String::from_utf8_lossy(bytes));
        self.key(key).push_str(&text);
    }

    fn hex(&mut self, key: &str, bytes: &[u8]) {
        let out = self.key(key);
        out.push('"');
        for byte in bytes {
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
            }
        }
        out.push('"');
    }

    fn shown(&mut self, key: &str, value: impl std::fmt::Display) {
        let text = value.to_string();
        self.key(key).push_str(&text);
    }

    fn end(self) {
        self.out.push('}');
    }
}

/// `Resource`, whose attributes are field 1, or `InstrumentationScope`, where they are field 3.
pub(super) fn source(message: &[u8], is_scope: bool) -> Result<String, NoMessage> {
    let mut out = String::new();
    let mut object = Object::new(&mut out);
    let mut attributes = Vec::new();
    for field in fields(message) {
        match field? {
            (1, Value::Bytes(name)) if is_scope => object.text("name", name),
            (2, Value::Bytes(version)) if is_scope => object.text("version", version),
            (1, Value::Bytes(pair)) if !is_scope => attributes.push(pair),
            (3, Value::Bytes(pair)) if is_scope => attributes.push(pair),
            _ => {}
        }
    }
    put_attributes(&mut object, &attributes)?;
    object.end();
    Ok(out)
}

/// `LogRecord`.
pub(super) fn log_record(message: &[u8], out: &mut String) -> Result<(), NoMessage> {
    let mut object = Object::new(out);
    let mut attributes = Vec::new();
    for field in fields(message) {
        match field? {
            (1, Value::Fixed64(nanos)) => object.shown("timeUnixNano", format_args!("\"{nanos}\"")),
            (2, Value::Number(severity)) => object.shown("severityNumber", severity as i32),
            (3, Value::Bytes(text)) => object.text("severityText", text),
            (5, Value::Bytes(body)) => any_value(body, object.key("body"), 0)?,
            (6, Value::Bytes(pair)) => attributes.push(pair),
            (7, Value::Number(count)) => object.shown("droppedAttributesCount", count as u32),
            (8, Value::Fixed32(flags)) => object.shown("flags", flags),
            (9, Value::Bytes(id)) if !id.is_empty() => object.hex("traceId", id),
            (10, Value::Bytes(id)) if !id.is_empty() => object.hex("spanId", id),
            (11, Value::Fixed64(nanos)) => object.shown("observedTimeUnixNano", format_args!("\"{nanos}\"")),
            (12, Value::Bytes(name)) => object.text("eventName", name),
            _ => {}
        }
    }
    put_attributes(&mut object, &attributes)?;
    object.end();
    Ok(())
}

fn put_attributes(object: &mut Object<'_>, attributes: &[&[u8]]) -> Result<(), NoMessage> {
    if attributes.is_empty() {
        return Ok(());
    }
    let out = object.key("attributes");
    list(attributes, out, |pair, out| key_value(pair, out, 0))
}

fn list(
    items: &[&[u8]],
    out: &mut String,
    mut put: impl FnMut(&[u8], &mut String) -> Result<(), NoMessage>,
) -> Result<(), NoMessage> {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        put(item, out)?;
    }
    out.push(']');
    Ok(())
}

fn key_value(message: &[u8], out: &mut String, depth: usize) -> Result<(), NoMessage> {
    let mut object = Object::new(out);
    let (mut key, mut value) = (&[][..], None);
    for field in fields(message) {
        match field? {
            (1, Value::Bytes(bytes)) => key = bytes,
            (2, Value::Bytes(bytes)) => value = Some(bytes),
            _ => {}
        }
    }
    object.text("key", key);
    if let Some(value) = value {
        any_value(value, object.key("value"), depth)?;
    }
    object.end();
    Ok(())
}

fn any_value(message: &[u8], out: &mut String, depth: usize) -> Result<(), NoMessage> {
    if depth > DEEPEST {
        return Err(NoMessage);
    }
    // Of several, the last one counts.
    let last = fields(message).last().transpose()?;
    let mut object = Object::new(out);
    match last {
        Some((1, Value::Bytes(text))) => object.text("stringValue", text),
        Some((2, Value::Number(flag))) => object.shown("boolValue", flag != 0),
        Some((3, Value::Number(number))) => object.shown("intValue", format_args!("\"{}\"", number as i64)),
        Some((4, Value::Fixed64(bits))) => {
            let number = f64::from_bits(bits);
            if number.is_finite() {
                object.shown("doubleValue", serde_json::Value::from(number));
            } else {
                let name = if number.is_nan() {
                    "NaN"
                } else if number > 0.0 {
                    "Infinity"
                } else {
                    "-Infinity"
                };
                object.text("doubleValue", name.as_bytes());
            }
        }
        Some((5, Value::Bytes(array))) => {
            let (_, values) = parts(array, 0, 1)?;
            let out = object.key("arrayValue");
            out.push_str("{\"values\":");
            list(&values, out, |value, out| any_value(value, out, depth + 1))?;
            out.push('}');
        }
        Some((6, Value::Bytes(pairs))) => {
            let (_, values) = parts(pairs, 0, 1)?;
            let out = object.key("kvlistValue");
            out.push_str("{\"values\":");
            list(&values, out, |pair, out| key_value(pair, out, depth + 1))?;
            out.push('}');
        }
        Some((7, Value::Bytes(bytes))) => object.text("bytesValue", STANDARD.encode(bytes).as_bytes()),
        _ => {}
    }
    object.end();
    Ok(())
}
