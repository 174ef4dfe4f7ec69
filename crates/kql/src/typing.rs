//! Values as the field that they are compared with types them. A query writes all of them as text.

use std::net::IpAddr;

use ipnet::IpNet;
use neph_event::{Field, FieldType, Instant, Rounding, Value, parse_date_math};
use neph_plan::Relation;
use neph_plan::functions::parse_block;

/// A value that a field is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Typed {
    Value(Value),
    /// Any address of it.
    Network(IpNet),
    /// A text that may also be a network, where the type of the field is not known.
    ValueOrNetwork(Value, IpNet),
    /// A date stands for all the time that its missing parts leave open, ends included.
    Between(Instant, Instant),
    /// No value of the field can be it.
    Never,
}

/// Types a value, as Elasticsearch's mappers do for `match`.
pub(crate) fn typed(text: &str, field: &Field, now: Instant) -> Typed {
    let string = || Value::String(text.into());
    let value = match field.kind {
        FieldType::Keyword | FieldType::Text => Some(string()),
        FieldType::Dynamic => {
            return match parse_block(text).filter(|_| text.contains('/')) {
                Some(network) => Typed::ValueOrNetwork(string(), network),
                None => Typed::Value(string()),
            };
        }
        FieldType::Boolean => match text {
            "true" => Some(Value::Bool(true)),
            "false" | "" => Some(Value::Bool(false)),
            _ => None,
        },
        FieldType::Long | FieldType::Double => number(text),
        FieldType::Date | FieldType::DateNanos => {
            let at = |rounding| parse_date_math(text, &field.formats, rounding, now).ok();
            return match (at(Rounding::Down), at(Rounding::Up)) {
                (Some(first), Some(last)) if first < last => Typed::Between(first, last),
                (Some(date), _) => Typed::Value(Value::Date(date)),
                _ => Typed::Never,
            };
        }
        FieldType::Ip => match text.parse::<IpAddr>() {
            Ok(address) => Some(Value::Ip(address.to_canonical())),
            Err(_) if text.contains('/') => return parse_block(text).map_or(Typed::Never, Typed::Network),
            Err(_) => None,
        },
        FieldType::Version => Some(Value::Version(text.into())),
    };
    value.map_or(Typed::Never, Typed::Value)
}

/// Types the bound of a range; `None` where nothing compares with it.
pub(crate) fn bound(text: &str, field: &Field, relation: Relation, now: Instant) -> Option<Value> {
    let rounding = match relation {
        Relation::Less | Relation::GreaterOrEqual => Rounding::Down,
        Relation::LessOrEqual | Relation::Greater => Rounding::Up,
    };
    let date = || {
        parse_date_math(text, &field.formats, rounding, now)
            .ok()
            .map(Value::Date)
    };
    match field.kind {
        FieldType::Date | FieldType::DateNanos => date(),
        FieldType::Dynamic => number(text)
            .or_else(date)
            .or_else(|| Some(Value::String(text.into()))),
        FieldType::Boolean => None,
        _ => match typed(text, field, now) {
            Typed::Value(value) => Some(value),
            _ => None,
        },
    }
}

fn number(text: &str) -> Option<Value> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(Value::Long(number));
    }
    if let Ok(number) = text.parse::<u64>() {
        return Some(Value::Unsigned(number));
    }
    let number: f64 = text.parse().ok()?;
    number.is_finite().then_some(Value::Double(number))
}
