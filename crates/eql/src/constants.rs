//! Constants as the field that they are compared with types them.

use std::net::IpAddr;

use ipnet::IpNet;
use neph_event::{Field, FieldType, Instant, Value};
use neph_plan::functions::parse_block;

use crate::dates::{self, Rounding};

/// A constant, typed by a field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Typed {
    Value(Value),
    /// A network, which an address "equals" by lying in it.
    Network(IpNet),
    /// No value of the field can equal or compare with it.
    Never,
}

/// Types a constant by the field that it is compared with, as Elasticsearch's mappers do. `rounding` says how the parts
/// that a date leaves out are filled.
pub(crate) fn typed(constant: &Value, field: &Field, now: Instant, rounding: Rounding) -> Typed {
    let value = match (field.kind, constant) {
        (FieldType::Keyword | FieldType::Text, Value::String(_)) | (FieldType::Dynamic, _) => {
            Some(constant.clone())
        }
        (FieldType::Keyword | FieldType::Text, other) => Some(Value::String(other.to_string().into())),
        (FieldType::Boolean, Value::Bool(_)) => Some(constant.clone()),
        (FieldType::Boolean, Value::String(text)) => match &**text {
            "true" => Some(Value::Bool(true)),
            "false" | "" => Some(Value::Bool(false)),
            _ => None,
        },
        (FieldType::Long | FieldType::Double, Value::Long(_) | Value::Unsigned(_) | Value::Double(_)) => {
            Some(constant.clone())
        }
        (FieldType::Long | FieldType::Double, Value::String(text)) => number(text),
        (FieldType::Date | FieldType::DateNanos, constant) => {
            let instant = match constant {
                Value::String(text) => dates::parse(text, &field.formats, now, rounding),
                // A bare number is in the field's own format, which is epoch milliseconds by default.
                Value::Long(millis) if field.formats.is_empty() => Some(Instant::from_millis(*millis)),
                Value::Long(number) => dates::parse(&number.to_string(), &field.formats, now, rounding),
                _ => None,
            };
            instant.map(Value::Date)
        }
        (FieldType::Ip, Value::String(text)) => match text.parse::<IpAddr>() {
            Ok(address) => Some(Value::Ip(address.to_canonical())),
            Err(_) if text.contains('/') => return parse_block(text).map_or(Typed::Never, Typed::Network),
            Err(_) => None,
        },
        (FieldType::Version, Value::String(text)) => Some(Value::Version(text.clone())),
        (FieldType::Version, number) => Some(Value::Version(number.to_string().into())),
        _ => None,
    };
    value.map_or(Typed::Never, Typed::Value)
}

fn number(text: &str) -> Option<Value> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(Value::Long(number));
    }
    if let Ok(number) = text.parse::<u64>() {
        return Some(Value::Unsigned(number));
    }
    text.parse()
        .ok()
        .filter(|number: &f64| number.is_finite())
        .map(Value::Double)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(constant: Value, kind: FieldType) -> Typed {
        typed(
            &constant,
            &Field::new("f", kind),
            Instant::from_millis(0),
            Rounding::Down,
        )
    }

    fn text(text: &str) -> Value {
        Value::String(text.into())
    }

    #[test]
    fn constants_take_the_type_of_the_field() {
        assert_eq!(check(text("12"), FieldType::Long), Typed::Value(Value::Long(12)));
        assert_eq!(check(text("abc"), FieldType::Long), Typed::Never);
        assert_eq!(check(Value::Long(5), FieldType::Keyword), Typed::Value(text("5")));
        assert_eq!(
            check(text("true"), FieldType::Boolean),
            Typed::Value(Value::Bool(true))
        );
        assert_eq!(check(Value::Bool(true), FieldType::Long), Typed::Never);
        assert_eq!(
            check(text("10.0.0.1"), FieldType::Ip),
            Typed::Value(Value::Ip("10.0.0.1".parse().unwrap()))
        );
        assert_eq!(
            check(text("10.1.2.3/8"), FieldType::Ip),
            Typed::Network("10.0.0.0/8".parse().unwrap())
        );
        assert_eq!(check(text("foo"), FieldType::Ip), Typed::Never);
        assert_eq!(
            check(Value::Long(1500), FieldType::Date),
            Typed::Value(Value::Date(Instant::from_millis(1500)))
        );
        assert_eq!(
            check(text("1.2"), FieldType::Version),
            Typed::Value(Value::Version("1.2".into()))
        );
    }
}
