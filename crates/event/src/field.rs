//! Fields: where a value stands in a record and how its JSON form becomes a typed value.

use crate::{DateFormat, Value};

/// The type of a field, reduced to what makes a difference when it is matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FieldType {
    /// Strings, compared exactly: keyword, constant_keyword, wildcard, text with an exact sub-field.
    Keyword,
    /// Analysed text without an exact sub-field.
    Text,
    /// true or false.
    Boolean,
    /// byte, short, integer, long, unsigned_long.
    Long,
    /// half_float, float, double, scaled_float.
    Double,
    /// Milliseconds since the epoch.
    Date,
    /// Nanoseconds since the epoch.
    DateNanos,
    /// IPv4 and IPv6 addresses.
    Ip,
    /// Versions, ordered as semantic versioning says.
    Version,
    /// The type is not known beforehand: each value has the type of its JSON form.
    Dynamic,
}

impl FieldType {
    /// Whether values are strings.
    pub fn is_string(self) -> bool {
        matches!(self, Self::Keyword | Self::Text)
    }

    /// Whether values are numbers.
    pub fn is_numeric(self) -> bool {
        matches!(self, Self::Long | Self::Double)
    }

    /// Whether values are points in time.
    pub fn is_date(self) -> bool {
        matches!(self, Self::Date | Self::DateNanos)
    }
}

/// A field as a plan reads it. Two plans that ask for equal fields share one slot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Field {
    /// Dotted path in the record, aliases resolved: `process.parent.entity_id`.
    pub path: Box<str>,
    /// What its values become.
    pub kind: FieldType,
    /// What stands in for an explicit JSON null (mapping parameter `null_value`).
    pub null_value: Option<Value>,
    /// Strings longer than this many characters are not matched (mapping parameter `ignore_above`).
    pub ignore_above: Option<u32>,
    /// Formats of a date field; empty means the default.
    pub formats: Vec<DateFormat>,
}

impl Field {
    /// A field without mapping parameters.
    pub fn new(path: impl Into<Box<str>>, kind: FieldType) -> Self {
        Self {
            path: path.into(),
            kind,
            null_value: None,
            ignore_above: None,
            formats: Vec::new(),
        }
    }
}
