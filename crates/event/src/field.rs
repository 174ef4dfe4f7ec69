//! Fields: where a value stands in a record and how its JSON form becomes a typed value.

use std::net::IpAddr;

use crate::{DateFormat, DateReader, Instant, Value, ValueRef, parse_date};

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

/// The path of the field that holds every single value of the record, wherever it stands: for searches in the whole event.
/// It costs that the whole record is kept in the row.
pub const ANY_FIELD: &str = "*";

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

    /// Whether any string is a value of the field as it stands.
    #[inline]
    pub(crate) fn takes_all_strings(&self) -> bool {
        self.kind == FieldType::Keyword && self.ignore_above.is_none()
    }

    /// The field that holds the id which a record or its store gave it (`_id`).
    pub fn record_id() -> Self {
        Self::new("_id", FieldType::Keyword)
    }

    /// The field that holds the index which a record came from (`_index`).
    pub fn record_index() -> Self {
        Self::new("_index", FieldType::Keyword)
    }

    /// What a value becomes in this field, as Elasticsearch's mapping types take it (`coerce` included): `None` where it
    /// does not fit, and also where something that is no string has to become one, but `written`, the text of a number
    /// in the record, is not given.
    /// Source: <https://www.elastic.co/docs/reference/elasticsearch/mapping-reference/coerce>
    #[inline]
    pub fn typed<'v>(&self, value: ValueRef<'v>, written: Option<&'v str>) -> Option<ValueRef<'v>> {
        self.typed_by(&DateReader::default(), value, written)
    }

    /// The same, with a reader that has read dates before.
    #[inline]
    pub(crate) fn typed_by<'v>(
        &self,
        dates: &DateReader,
        value: ValueRef<'v>,
        written: Option<&'v str>,
    ) -> Option<ValueRef<'v>> {
        use ValueRef as V;
        match (self.kind, value) {
            (FieldType::Keyword | FieldType::Text, V::String(_)) => Some(value),
            (FieldType::Keyword | FieldType::Text, V::Bool(v)) => {
                Some(V::String(if v { "true" } else { "false" }))
            }
            (FieldType::Keyword | FieldType::Text, V::Version(text)) => Some(V::String(text)),
            (FieldType::Keyword | FieldType::Text, _) => written.map(V::String),
            (FieldType::Version, V::String(text) | V::Version(text)) => Some(V::Version(text)),
            (FieldType::Version, _) => written.map(V::Version),
            (FieldType::Dynamic, V::Double(v)) => v.is_finite().then_some(value),
            (FieldType::Dynamic, _) => Some(value),
            (FieldType::Boolean, V::Bool(_)) => Some(value),
            (FieldType::Boolean, V::String("true")) => Some(V::Bool(true)),
            (FieldType::Boolean, V::String("false" | "")) => Some(V::Bool(false)),
            (FieldType::Long, V::Long(_) | V::Unsigned(_)) => Some(value),
            (FieldType::Long, V::Double(v)) => whole(v),
            (FieldType::Long, V::String(text)) => match (text.parse(), text.parse()) {
                (Ok(long), _) => Some(V::Long(long)),
                (_, Ok(unsigned)) => Some(V::Unsigned(unsigned)),
                _ => whole(finite(text)?),
            },
            #[expect(
                clippy::cast_precision_loss,
                reason = "a floating field stores the nearest double"
            )]
            (FieldType::Double, V::Long(v)) => Some(V::Double(v as f64)),
            #[expect(
                clippy::cast_precision_loss,
                reason = "a floating field stores the nearest double"
            )]
            (FieldType::Double, V::Unsigned(v)) => Some(V::Double(v as f64)),
            (FieldType::Double, V::Double(v)) => v.is_finite().then_some(value),
            (FieldType::Double, V::String(text)) => finite(text).map(V::Double),
            (FieldType::Date, _) => self
                .instant(dates, value, written)
                .map(|v| V::Date(v.truncated_to_millis())),
            (FieldType::DateNanos, _) => self.instant(dates, value, written).map(V::Date),
            (FieldType::Ip, V::String(text)) => address(text).map(V::Ip),
            (FieldType::Ip, V::Ip(ip)) => Some(V::Ip(ip.to_canonical())),
            (FieldType::Boolean | FieldType::Long | FieldType::Double | FieldType::Ip, _) => None,
        }
    }

    /// Whether a text is too long to be matched. Elasticsearch counts UTF-16 units.
    pub fn ignores(&self, text: &str) -> bool {
        // A text has at least as many bytes as units, so that most are never counted.
        self.ignore_above
            .is_some_and(|limit| text.len() > limit as usize && text.encode_utf16().count() > limit as usize)
    }

    fn instant(&self, dates: &DateReader, value: ValueRef<'_>, written: Option<&str>) -> Option<Instant> {
        match value {
            ValueRef::String(text) if self.formats.is_empty() => dates.parse(text),
            ValueRef::String(text) => parse_date(text, &self.formats),
            ValueRef::Date(instant) => Some(instant),
            // Four digits are a year, in a number as well.
            ValueRef::Long(millis)
                if self.formats.is_empty() && !(1000..10_000).contains(&millis.unsigned_abs()) =>
            {
                Some(Instant::from_millis(millis))
            }
            ValueRef::Long(_) | ValueRef::Unsigned(_) | ValueRef::Double(_) => match written {
                Some(written) => parse_date(written, &self.formats),
                None => parse_date(&value.to_string(), &self.formats),
            },
            ValueRef::Bool(_) | ValueRef::Ip(_) | ValueRef::Version(_) => None,
        }
    }
}

/// A number without its fraction, if it has at most 64 bits.
fn whole(double: f64) -> Option<ValueRef<'static>> {
    let whole = double.trunc();
    // The bounds are powers of two, which doubles hold exactly; all between them converts without loss.
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&whole) {
        #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
        return Some(ValueRef::Long(whole as i64));
    }
    if (0.0..18_446_744_073_709_551_616.0).contains(&whole) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range was checked"
        )]
        return Some(ValueRef::Unsigned(whole as u64));
    }
    None
}

/// The number that a text writes in digits.
fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// The address of a text. An IPv4 address that is mapped into IPv6 is the IPv4 address, and a zone (`fe80::1%eth0`) is
/// no part of the address.
fn address(text: &str) -> Option<IpAddr> {
    let text = match text.split_once('%') {
        Some((address, zone)) if address.contains(':') && !zone.is_empty() => address,
        _ => text,
    };
    text.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}
