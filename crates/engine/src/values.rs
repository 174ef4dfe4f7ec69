//! Comparing values of the record with constants of the rule.
//!
//! A constant becomes a value of the field's type once, when the program is compiled; one that cannot (`"abc"` on a
//! long) equals nothing. A dynamic field has no type, so that each of its values is compared as what it is:
//!
//! | value in the record | constant | equal when | ordered |
//! | --- | --- | --- | --- |
//! | number | number | the numbers are, whatever their width | as numbers |
//! | text | text | by the leaf's case | by bytes |
//! | number or boolean | text | the text forms are, or the constant reads as an equal number or boolean | as numbers |
//! | text | number | the text forms are, or the value reads as an equal number | as numbers |
//! | text | boolean | the text forms are | never |
//! | text | address, date | the value reads as an equal one | as such |
//! | number | date | the number is its epoch milliseconds | as such |
//! | any | version | the text forms are equal versions | as versions |

use std::cmp::Ordering;
use std::net::IpAddr;

use ahash::AHashSet;
use neph_event::{Field, FieldType, Instant, Value, ValueRef, compare_versions, parse_date};
use neph_plan::{Case, Relation, arithmetic, functions};

use crate::text::{TextSet, TextSetBuilder};

/// The constants of an `==` or `in`, arranged for looking up.
#[derive(Debug)]
pub(crate) struct ValueSet {
    /// For texts, and for the text form of what is no text.
    pub(crate) texts: Option<TextSet>,
    /// Values that hold no text, in their canonical form.
    others: AHashSet<Value>,
    /// What texts among the constants read as: for values that are no texts, since texts are compared with texts as they stand.
    read: AHashSet<Value>,
    versions: Vec<Box<str>>,
    /// Whether a text is worth reading as a number, an address, a date.
    has_number: bool,
    has_address: bool,
    has_date: bool,
}

impl ValueSet {
    pub(crate) fn new(constants: &[Value], field: &Field, case: Case) -> Self {
        let dynamic = field.kind == FieldType::Dynamic;
        let mut texts = TextSetBuilder::new(case);
        let mut set = Self {
            texts: None,
            others: AHashSet::new(),
            read: AHashSet::new(),
            versions: Vec::new(),
            has_number: false,
            has_address: false,
            has_date: false,
        };
        let mut any_text = false;
        for constant in constants.iter().filter_map(|constant| coerce(constant, field)) {
            match &constant {
                Value::String(text) => {
                    any_text = true;
                    texts.equal(text);
                    if dynamic {
                        set.read
                            .extend(number(text).map(|number| canonical(number.as_ref())));
                        set.read.extend(boolean(text).map(Value::Bool));
                    }
                    continue;
                }
                Value::Version(text) => {
                    set.versions.push(text.clone());
                    continue;
                }
                Value::Long(_) | Value::Unsigned(_) | Value::Double(_) => set.has_number = dynamic,
                Value::Ip(_) => set.has_address = dynamic,
                Value::Date(_) => set.has_date = dynamic,
                Value::Bool(_) => {}
            }
            if dynamic && !matches!(constant, Value::Ip(_) | Value::Date(_)) {
                any_text = true;
                texts.equal(&constant.to_string());
            }
            set.others.insert(canonical(constant.as_ref()));
        }
        set.texts = any_text.then(|| texts.build());
        set
    }

    /// Whether nothing but a text (or a text form) can be in the set.
    pub(crate) fn is_text_only(&self) -> bool {
        self.texts.is_some() && self.others.is_empty() && self.read.is_empty() && self.versions.is_empty()
    }

    /// Whether nothing can be in the set.
    pub(crate) fn is_empty(&self) -> bool {
        self.texts.is_none() && self.others.is_empty() && self.versions.is_empty()
    }

    /// Whether the value is in the set as what it is, its text form apart.
    pub(crate) fn contains(&self, value: ValueRef<'_>) -> bool {
        let text_form;
        let version = match value {
            _ if self.versions.is_empty() => None,
            ValueRef::String(text) | ValueRef::Version(text) => Some(text),
            other => {
                text_form = other.to_string();
                Some(text_form.as_str())
            }
        };
        let equal_to = |text: &str| {
            self.versions
                .iter()
                .any(|version| compare_versions(text, version).is_eq())
        };
        if version.is_some_and(equal_to) {
            return true;
        }
        match value {
            ValueRef::String(text) => {
                (self.has_number
                    && number(text).is_some_and(|number| self.others.contains(&canonical(number.as_ref()))))
                    || (self.has_address
                        && ip_of(text).is_some_and(|ip| self.others.contains(&Value::Ip(ip))))
                    || (self.has_date
                        && parse_date(text, &[]).is_some_and(|date| self.others.contains(&Value::Date(date))))
            }
            ValueRef::Version(_) => false,
            other => {
                let canonical = canonical(other);
                self.others.contains(&canonical)
                    || self.read.contains(&canonical)
                    || (self.has_date
                        && instant(other).is_some_and(|date| self.others.contains(&Value::Date(date))))
            }
        }
    }

    /// What asking costs, in the unit of [`crate::nodes::Estimate::cost`].
    pub(crate) fn cost(&self) -> f32 {
        let texts = self.texts.as_ref().map_or(0.0, TextSet::cost);
        let reading = if self.has_address || self.has_date || self.has_number {
            5.0
        } else {
            0.0
        };
        let versions = 20.0 * f32::from(u16::try_from(self.versions.len()).unwrap_or(u16::MAX));
        1.0 + texts + reading + versions
    }
}

/// The constant as a value of the field's type; `None` where it is none, so that nothing compares with it.
pub(crate) fn coerce(constant: &Value, field: &Field) -> Option<Value> {
    match (field.kind, constant) {
        (FieldType::Dynamic, _) => Some(constant.clone()),
        (FieldType::Keyword | FieldType::Text, Value::String(_)) => Some(constant.clone()),
        (FieldType::Keyword | FieldType::Text, other) => Some(Value::String(other.to_string().into())),
        (FieldType::Boolean, Value::Bool(_)) => Some(constant.clone()),
        (FieldType::Boolean, Value::String(text)) => boolean(text).map(Value::Bool),
        (FieldType::Long | FieldType::Double, Value::Long(_) | Value::Unsigned(_) | Value::Double(_)) => {
            Some(constant.clone())
        }
        (FieldType::Long | FieldType::Double, Value::String(text)) => number(text),
        (FieldType::Date | FieldType::DateNanos, Value::Date(_)) => Some(constant.clone()),
        (FieldType::Date | FieldType::DateNanos, Value::String(text)) => parse_date(text, &field.formats)
            .or_else(|| parse_date(text, &[]))
            .map(Value::Date),
        (FieldType::Date | FieldType::DateNanos, other) => instant(other.as_ref()).map(Value::Date),
        (FieldType::Ip, Value::Ip(_)) => Some(constant.clone()),
        (FieldType::Ip, Value::String(text)) => ip_of(text).map(Value::Ip),
        (FieldType::Version, Value::Version(_)) => Some(constant.clone()),
        (FieldType::Version, other) => Some(Value::Version(other.to_string().into())),
        _ => None,
    }
}

/// The order of two values of any types, as the table above has it; `None` where they do not compare.
pub(crate) fn compare(value: ValueRef<'_>, constant: ValueRef<'_>) -> Option<Ordering> {
    use ValueRef as V;
    if let Some(order) = value.compare(constant) {
        return Some(order);
    }
    match (value, constant) {
        (_, V::Version(version)) => Some(compare_versions(&value.to_string(), version)),
        (V::Version(version), _) => Some(compare_versions(version, &constant.to_string())),
        (V::String(text), V::Long(_) | V::Unsigned(_) | V::Double(_)) => {
            number(text)?.as_ref().compare(constant)
        }
        (V::Long(_) | V::Unsigned(_) | V::Double(_), V::String(text)) => {
            value.compare(number(text)?.as_ref())
        }
        (V::String(text), V::Ip(_)) => V::Ip(ip_of(text)?).compare(constant),
        (V::Ip(_), V::String(text)) => value.compare(V::Ip(ip_of(text)?)),
        (V::String(text), V::Date(_)) => V::Date(parse_date(text, &[])?).compare(constant),
        (V::Date(_), V::String(text)) => value.compare(V::Date(parse_date(text, &[])?)),
        (_, V::Date(_)) => V::Date(instant(value)?).compare(constant),
        (V::Date(_), _) => value.compare(V::Date(instant(constant)?)),
        _ => None,
    }
}

/// Whether the relation holds between two values that stand in this order.
pub(crate) fn relates(relation: Relation, order: Ordering) -> bool {
    match relation {
        Relation::Less => order.is_lt(),
        Relation::LessOrEqual => order.is_le(),
        Relation::Greater => order.is_gt(),
        Relation::GreaterOrEqual => order.is_ge(),
    }
}

/// A point in time that a value of another type stands for: epoch milliseconds.
pub(crate) fn instant(value: ValueRef<'_>) -> Option<Instant> {
    match value {
        ValueRef::Date(instant) => Some(instant),
        ValueRef::Long(millis) => Some(Instant::from_millis(millis)),
        ValueRef::String(text) => parse_date(text, &[]),
        #[expect(clippy::cast_possible_truncation, reason = "saturation is what is wanted")]
        ValueRef::Double(millis) => Some(Instant::from_millis(millis as i64)),
        _ => None,
    }
}

fn ip_of(text: &str) -> Option<IpAddr> {
    functions::address_of(ValueRef::String(text))
}

fn number(text: &str) -> Option<Value> {
    // What cannot start a number is not worth the attempts; this also keeps `inf` and `nan` out.
    if !text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '-' | '+' | '.')) {
        return None;
    }
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

fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// Equal numbers get one form, so that identity is equality: whole ones are integers.
fn canonical(value: ValueRef<'_>) -> Value {
    if let ValueRef::Double(double) = value
        && double.fract() == 0.0
        && (-9.3e18..1.9e19).contains(&double)
    {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "i128 holds every whole double of this range"
        )]
        let whole = double as i128;
        if let Ok(long) = i64::try_from(whole) {
            return Value::Long(long);
        }
        if let Ok(unsigned) = u64::try_from(whole) {
            return Value::Unsigned(unsigned);
        }
    }
    value.to_owned()
}

/// Whether two values of any types are equal, as the table above has it.
pub(crate) fn equal(value: ValueRef<'_>, constant: ValueRef<'_>, case: Case) -> bool {
    arithmetic::equals(value, constant, case) || compare(value, constant) == Some(Ordering::Equal)
}
