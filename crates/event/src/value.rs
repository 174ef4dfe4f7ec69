//! Typed values and their order.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use crate::Instant;

/// An owned value: a constant of a rule, or a join key.
#[derive(Clone, Debug, serde::Deserialize, serde::Serialize)]
pub enum Value {
    /// true or false
    Bool(bool),
    /// an integer of 64 bits
    Long(i64),
    /// an integer above `i64::MAX`; smaller ones are always [`Value::Long`]
    Unsigned(u64),
    /// a floating number
    Double(f64),
    /// a string
    String(Box<str>),
    /// a point in time
    Date(Instant),
    /// an address; IPv4-mapped IPv6 addresses are kept as IPv4
    Ip(IpAddr),
    /// a version text
    Version(Box<str>),
}

/// A borrowed value, as a [`Row`](crate::Row) hands it out.
#[derive(Clone, Copy, Debug)]
pub enum ValueRef<'a> {
    /// true or false
    Bool(bool),
    /// an integer of 64 bits
    Long(i64),
    /// an integer above `i64::MAX`
    Unsigned(u64),
    /// a floating number
    Double(f64),
    /// a string
    String(&'a str),
    /// a point in time
    Date(Instant),
    /// an address
    Ip(IpAddr),
    /// a version text
    Version(&'a str),
}

impl Value {
    /// The same value, borrowed.
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Bool(v) => ValueRef::Bool(*v),
            Self::Long(v) => ValueRef::Long(*v),
            Self::Unsigned(v) => ValueRef::Unsigned(*v),
            Self::Double(v) => ValueRef::Double(*v),
            Self::String(v) => ValueRef::String(v),
            Self::Date(v) => ValueRef::Date(*v),
            Self::Ip(v) => ValueRef::Ip(*v),
            Self::Version(v) => ValueRef::Version(v),
        }
    }

    /// Bytes that this value holds on the heap, for the accounting of operator state.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::String(v) | Self::Version(v) => v.len(),
            _ => 0,
        }
    }
}

impl<'a> ValueRef<'a> {
    /// An owned copy.
    pub fn to_owned(self) -> Value {
        match self {
            Self::Bool(v) => Value::Bool(v),
            Self::Long(v) => Value::Long(v),
            Self::Unsigned(v) => Value::Unsigned(v),
            Self::Double(v) => Value::Double(v),
            Self::String(v) => Value::String(v.into()),
            Self::Date(v) => Value::Date(v),
            Self::Ip(v) => Value::Ip(v),
            Self::Version(v) => Value::Version(v.into()),
        }
    }

    /// Order between values of comparable types: numbers among each other, strings by bytes, dates, addresses
    /// (by their 16 bytes), versions; `None` for values that do not compare.
    pub fn compare(self, other: ValueRef<'_>) -> Option<Ordering> {
        use ValueRef as V;
        match (self, other) {
            (V::Bool(a), V::Bool(b)) => Some(a.cmp(&b)),
            (V::Long(a), V::Long(b)) => Some(a.cmp(&b)),
            (V::Unsigned(a), V::Unsigned(b)) => Some(a.cmp(&b)),
            (V::Long(_), V::Unsigned(_)) => Some(Ordering::Less),
            (V::Unsigned(_), V::Long(_)) => Some(Ordering::Greater),
            (V::Double(a), V::Double(b)) => a.partial_cmp(&b),
            (V::Long(a), V::Double(b)) => compare_long_double(i128::from(a), b),
            (V::Unsigned(a), V::Double(b)) => compare_long_double(i128::from(a), b),
            (V::Double(a), V::Long(b)) => compare_long_double(i128::from(b), a).map(Ordering::reverse),
            (V::Double(a), V::Unsigned(b)) => compare_long_double(i128::from(b), a).map(Ordering::reverse),
            (V::String(a), V::String(b)) => Some(a.cmp(b)),
            (V::Date(a), V::Date(b)) => Some(a.cmp(&b)),
            (V::Ip(a), V::Ip(b)) => Some(ip_bytes(a).cmp(&ip_bytes(b))),
            (V::Version(a), V::Version(b) | V::String(b)) | (V::String(a), V::Version(b)) => {
                Some(compare_versions(a, b))
            }
            _ => None,
        }
    }
}

/// Exact comparison of an integer with a floating number, without rounding the integer.
fn compare_long_double(long: i128, double: f64) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    if double.is_infinite() {
        return Some(if double > 0.0 {
            Ordering::Less
        } else {
            Ordering::Greater
        });
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "`as` saturates, and i128 holds every 64-bit integer"
    )]
    let whole = double.trunc() as i128;
    Some(
        long.cmp(&whole)
            .then_with(|| 0.0_f64.partial_cmp(&double.fract()).unwrap_or(Ordering::Equal)),
    )
}

fn ip_bytes(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// Order of two versions as Elasticsearch's `version` field has it: semantic versioning (a pre-release stands below
/// its release, numeric parts compare as numbers); a text that is no version stands above all versions and orders by bytes.
/// Source: <https://www.elastic.co/docs/reference/elasticsearch/mapping-reference/version>
pub fn compare_versions(a: &str, b: &str) -> Ordering {
    match (Version::parse(a), Version::parse(b)) {
        (Some(x), Some(y)) => x.compare(&y),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

struct Version<'a> {
    numbers: Vec<&'a str>,
    prerelease: Option<&'a str>,
    build: &'a str,
}

impl<'a> Version<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (rest, build) = text.split_once('+').unwrap_or((text, ""));
        let (main, prerelease) = match rest.split_once('-') {
            Some((main, prerelease)) => (main, Some(prerelease)),
            None => (rest, None),
        };
        let numbers: Vec<&str> = main.split('.').collect();
        let numeric = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !numbers.iter().all(numeric) || prerelease.is_some_and(|text| text.split('.').any(str::is_empty)) {
            return None;
        }
        Some(Self {
            numbers,
            prerelease,
            build,
        })
    }

    fn compare(&self, other: &Self) -> Ordering {
        let parts = self.numbers.len().max(other.numbers.len());
        for position in 0..parts {
            let part = |version: &Self| version.numbers.get(position).copied().unwrap_or("0").to_owned();
            match compare_digits(&part(self), &part(other)) {
                Ordering::Equal => {}
                order => return order,
            }
        }
        match (self.prerelease, other.prerelease) {
            (None, None) => {}
            (None, Some(_)) => return Ordering::Greater,
            (Some(_), None) => return Ordering::Less,
            (Some(a), Some(b)) => match compare_prereleases(a, b) {
                Ordering::Equal => {}
                order => return order,
            },
        }
        // Equal so far: `1.2` and `1.2.0` are still different values, so order by what is left.
        self.numbers
            .len()
            .cmp(&other.numbers.len())
            .then_with(|| self.build.cmp(other.build))
    }
}

/// Compares two runs of digits as numbers of any size.
fn compare_digits(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

fn compare_prereleases(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.split('.'), b.split('.'));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) => {
                let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
                match (digits(x), digits(y)) {
                    (true, true) => compare_digits(x, y),
                    (true, false) => Ordering::Less,
                    (false, true) => Ordering::Greater,
                    (false, false) => x.cmp(y),
                }
            }
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

impl fmt::Display for ValueRef<'_> {
    /// The text form: what `string()` and `concat()` give, and what an alert shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(v) => write!(f, "{v}"),
            Self::Long(v) => write!(f, "{v}"),
            Self::Unsigned(v) => write!(f, "{v}"),
            Self::Double(v) => {
                // Java prints 1.0 where Rust would print 1.
                if v.fract() == 0.0 && v.abs() < 1e7 {
                    write!(f, "{v:.1}")
                } else {
                    write!(f, "{v}")
                }
            }
            Self::String(v) | Self::Version(v) => f.write_str(v),
            Self::Date(v) => write!(f, "{v}"),
            Self::Ip(v) => write!(f, "{v}"),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

// Equality, order and hash are those of identity (for sharing of predicates and for join keys), not of EQL's `==`:
// values of different variants differ, floating numbers compare by their bits.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Value {}
impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        use Value as V;
        match (self, other) {
            (V::Bool(a), V::Bool(b)) => a.cmp(b),
            (V::Long(a), V::Long(b)) => a.cmp(b),
            (V::Unsigned(a), V::Unsigned(b)) => a.cmp(b),
            (V::Double(a), V::Double(b)) => a.total_cmp(b),
            (V::String(a), V::String(b)) | (V::Version(a), V::Version(b)) => a.cmp(b),
            (V::Date(a), V::Date(b)) => a.cmp(b),
            (V::Ip(a), V::Ip(b)) => ip_bytes(*a).cmp(&ip_bytes(*b)),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}
impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.rank().hash(state);
        match self {
            Self::Bool(v) => v.hash(state),
            Self::Long(v) => v.hash(state),
            Self::Unsigned(v) => v.hash(state),
            Self::Double(v) => v.to_bits().hash(state),
            Self::String(v) | Self::Version(v) => v.hash(state),
            Self::Date(v) => v.hash(state),
            Self::Ip(v) => ip_bytes(*v).hash(state),
        }
    }
}
impl Value {
    fn rank(&self) -> u8 {
        match self {
            Self::Bool(_) => 0,
            Self::Long(_) => 1,
            Self::Unsigned(_) => 2,
            Self::Double(_) => 3,
            Self::String(_) => 4,
            Self::Date(_) => 5,
            Self::Ip(_) => 6,
            Self::Version(_) => 7,
        }
    }
}
