//! An object as Java's `Map.toString` writes it.
//!
//! `aws.cloudtrail.request_parameters` and its siblings hold this text in Elastic's documents, and rules match
//! against it: `{attributeType=CREATE_VOLUME_PERMISSION, createVolumePermission={add={items=[{group=all}]}}}`.
//! The order of the keys is the one in which a `java.util.HashMap` iterates: by bucket, and within a bucket as they
//! came. <https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/util/AbstractMap.html#toString()>

use std::fmt::Write as _;

use smallvec::SmallVec;

use crate::convert::java_double;
use crate::tree::{Map, Value};

/// `String.hashCode`, spread as `HashMap` does before it picks a bucket.
fn spread_hash(key: &str) -> u32 {
    let hash = if key.is_ascii() {
        key.bytes().fold(0_u32, |hash, byte| {
            hash.wrapping_mul(31).wrapping_add(u32::from(byte))
        })
    } else {
        key.encode_utf16().fold(0_u32, |hash, unit| {
            hash.wrapping_mul(31).wrapping_add(u32::from(unit))
        })
    };
    hash ^ (hash >> 16)
}

/// The entries in the order of a `HashMap` into which all that were ever added went: the table never shrinks.
pub(crate) fn hash_map_order<'a>(map: &Map<'a>) -> SmallVec<[(&'a str, Value<'a>); 16]> {
    let mut buckets: usize = 16;
    while map.inserted() > buckets / 4 * 3 {
        buckets *= 2;
    }
    let mask = u32::try_from(buckets - 1).unwrap_or(u32::MAX);
    let mut entries: SmallVec<[(&'a str, Value<'a>); 16]> = map.iter().collect();
    entries.sort_by_key(|(key, _)| spread_hash(key) & mask);
    entries
}

/// Appends the text of `value` to `out`.
pub(crate) fn write(out: &mut String, value: Value<'_>) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Int(number) => drop(write!(out, "{number}")),
        Value::Uint(number) => drop(write!(out, "{number}")),
        Value::Float(number) => out.push_str(&java_double(number)),
        Value::Text(text) => out.push_str(text),
        Value::List(list) => {
            out.push('[');
            for (position, element) in list.iter().enumerate() {
                if position > 0 {
                    out.push_str(", ");
                }
                write(out, *element);
            }
            out.push(']');
        }
        Value::Map(map) => {
            out.push('{');
            for (position, (key, element)) in hash_map_order(map).into_iter().enumerate() {
                if position > 0 {
                    out.push_str(", ");
                }
                out.push_str(key);
                out.push('=');
                write(out, element);
            }
            out.push('}');
        }
    }
}
