//! An object as Java's `Map.toString` writes it.
//!
//! `aws.cloudtrail.request_parameters` and its siblings hold this text in Elastic's documents, and rules match
//! against it: `{attributeType=CREATE_VOLUME_PERMISSION, createVolumePermission={add={items=[{group=all}]}}}`.
//! The order of the keys is the one in which a `java.util.HashMap` iterates: by bucket, and within a bucket as they
//! came. <https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/util/AbstractMap.html#toString()>

use bumpalo::collections::String;
use smallvec::SmallVec;

use crate::convert::java_double;
use crate::tree::{Map, Value};

/// The text of `value`, written into the arena of `at`.
pub(crate) fn of<'a>(value: Value<'a>, at: &Map<'a>) -> &'a str {
    let mut out = at.text_writer(128);
    write(&mut out, value);
    out.shrink_to_fit();
    out.into_bump_str()
}

/// `String.hashCode`, spread as `HashMap` does before it picks a bucket.
fn spread_hash(key: &str) -> u32 {
    let hash = if key.is_ascii() {
        // Four letters at a time, so that a multiplication need not wait for the one before.
        let mut letters = key.as_bytes().chunks_exact(4);
        let mut hash = 0_u32;
        for four in letters.by_ref() {
            if let [a, b, c, d] = *four {
                let power = |letter: u8, power: u32| u32::from(letter) * power;
                hash = hash
                    .wrapping_mul(31 * 31 * 31 * 31)
                    .wrapping_add(power(a, 31 * 31 * 31))
                    .wrapping_add(power(b, 31 * 31) + power(c, 31) + u32::from(d));
            }
        }
        letters.remainder().iter().fold(hash, |hash, letter| {
            hash.wrapping_mul(31).wrapping_add(u32::from(*letter))
        })
    } else {
        key.encode_utf16().fold(0_u32, |hash, unit| {
            hash.wrapping_mul(31).wrapping_add(u32::from(unit))
        })
    };
    hash ^ (hash >> 16)
}

/// An entry and the bucket that it falls into.
type Bucketed<'a> = (u32, &'a str, Value<'a>);

/// The entries in the order of a `HashMap` into which all that were ever added went: the table never shrinks.
pub(crate) fn hash_map_order<'a>(map: &Map<'a>) -> impl Iterator<Item = (&'a str, Value<'a>)> + use<'a> {
    by_bucket(map).into_iter().map(|(_, key, value)| (key, value))
}

fn by_bucket<'a>(map: &Map<'a>) -> SmallVec<[Bucketed<'a>; 12]> {
    let mut buckets: usize = 16;
    while map.inserted() > buckets / 4 * 3 {
        buckets *= 2;
    }
    let mask = u32::try_from(buckets - 1).unwrap_or(u32::MAX);
    let bucketed = |(key, value)| (spread_hash(key) & mask, key, value);
    let mut entries: SmallVec<[Bucketed<'a>; 12]> = map.iter().map(bucketed).collect();
    entries.sort_by_key(|(bucket, _, _)| *bucket);
    entries
}

/// Appends the text of `value` to `out`.
fn write(out: &mut String<'_>, value: Value<'_>) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Int(number) => out.push_str(itoa::Buffer::new().format(number)),
        Value::Uint(number) => out.push_str(itoa::Buffer::new().format(number)),
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
            let mut entries = map.iter();
            out.push('{');
            if let (Some((key, element)), None) = (entries.next(), entries.next()) {
                write_entry(out, key, element);
            } else {
                for (position, (_, key, element)) in by_bucket(map).iter().enumerate() {
                    if position > 0 {
                        out.push_str(", ");
                    }
                    write_entry(out, key, *element);
                }
            }
            out.push('}');
        }
    }
}

fn write_entry(out: &mut String<'_>, key: &str, value: Value<'_>) {
    out.push_str(key);
    out.push('=');
    write(out, value);
}
