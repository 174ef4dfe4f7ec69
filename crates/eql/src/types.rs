//! The types of expressions, as far as rules can tell them apart.

use neph_event::{FieldType, Value};

/// The type of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// The literal null, and an optional field that the schema does not have.
    Null,
    Boolean,
    /// A whole number of 32 bits.
    Integer,
    Long,
    Double,
    Keyword,
    /// Analysed text.
    Text,
    Date,
    Ip,
    Version,
    /// Not known before the values are seen.
    Dynamic,
    /// Of something that has been reported already.
    Broken,
}

impl Type {
    pub(crate) fn of_field(kind: FieldType) -> Self {
        match kind {
            FieldType::Keyword => Self::Keyword,
            FieldType::Text => Self::Text,
            FieldType::Boolean => Self::Boolean,
            FieldType::Long => Self::Long,
            FieldType::Double => Self::Double,
            FieldType::Date | FieldType::DateNanos => Self::Date,
            FieldType::Ip => Self::Ip,
            FieldType::Version => Self::Version,
            FieldType::Dynamic => Self::Dynamic,
        }
    }

    pub(crate) fn of_constant(value: Option<&Value>) -> Self {
        match value {
            None => Self::Null,
            Some(Value::Bool(_)) => Self::Boolean,
            Some(Value::Long(number)) if i32::try_from(*number).is_ok() => Self::Integer,
            Some(Value::Long(_) | Value::Unsigned(_)) => Self::Long,
            Some(Value::Double(_)) => Self::Double,
            Some(Value::String(_)) => Self::Keyword,
            Some(Value::Date(_)) => Self::Date,
            Some(Value::Ip(_)) => Self::Ip,
            Some(Value::Version(_)) => Self::Version,
        }
    }

    /// As messages call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Long => "long",
            Self::Double => "double",
            Self::Keyword => "keyword",
            Self::Text => "text",
            Self::Date => "date",
            Self::Ip => "ip",
            Self::Version => "version",
            Self::Dynamic | Self::Broken => "unknown",
        }
    }

    /// Whether nothing can be said against this type.
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::Null | Self::Dynamic | Self::Broken)
    }

    pub(crate) fn is_string(self) -> bool {
        self.is_open() || matches!(self, Self::Keyword | Self::Text)
    }

    pub(crate) fn is_integral(self) -> bool {
        self.is_open() || matches!(self, Self::Integer | Self::Long)
    }

    pub(crate) fn is_numeric(self) -> bool {
        self.is_integral() || self == Self::Double
    }

    pub(crate) fn is_boolean(self) -> bool {
        self.is_open() || self == Self::Boolean
    }

    /// Whether values of the two types can be equal, for lists and join keys.
    pub(crate) fn is_compatible(self, other: Self) -> bool {
        self == other
            || self.is_open()
            || other.is_open()
            || self.is_string() && other.is_string()
            || self.is_numeric() && other.is_numeric()
    }
}
