//! An object as Java's `Map.toString` writes it.
//!
//! `aws.cloudtrail.request_parameters` and its siblings hold this text in Elastic's documents, and rules match
//! against it: `{attributeType=CREATE_VOLUME_PERMISSION, createVolumePermission={add={items=[{group=all}]}}}`.
//! The order of the keys is the one in which a `java.util.HashMap` iterates: by bucket, and within a bucket as they
//! came. <https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/util/AbstractMap.html#toString()>

use bumpalo::collections::String;
use smallvec::SmallVec;

use crate::convert::java_double;
use crate::tree::{Arena, Map, Value};

/// The text of `value`, behind what `out` has.
pub(crate) fn write<'a>(value: Value<'_>, mut out: String<'a>) -> &'a str {
    append(&mut out, value);
    out.shrink_to_fit();
    out.into_bump_str()
}

/// Texts of this many UTF-16 units and more go without their flattened twin, as in Elastic's integrations: it is the
/// length that a keyword of Elasticsearch can have.
const FLATTENED_LIMIT: usize = 32_766;

/// Whether the text of `value` is so long that the integrations keep nothing beside it.
pub(crate) fn is_very_long(value: Value<'_>, at: &Arena) -> bool {
    let mut room = FLATTENED_LIMIT;
    // Nearly all are short by far, which is seen without writing them.
    if fits(value, &mut room) {
        return false;
    }
    let text = write(value, at.text_writer());
    text.len() >= FLATTENED_LIMIT && text.encode_utf16().count() >= FLATTENED_LIMIT
}

/// Whether no part of a JSON text of so many bytes can have a text so long: a byte of JSON becomes three at most, of a number
/// such as `1e6`.
pub(crate) fn is_short(bytes: usize) -> bool {
    bytes < FLATTENED_LIMIT / 3
}

/// Whether the text of `value` is sure to be shorter than `room`, which is lowered by what it may take.
fn fits(value: Value<'_>, room: &mut usize) -> bool {
    /// Brackets, and what stands round the entries of an object.
    const BETWEEN: usize = 3;
    /// The longest scalar that is no text.
    const SCALAR: usize = 32;
    let (bytes, inside): (usize, &mut dyn FnMut(&mut usize) -> bool) = match value {
        Value::Text(text) => (text.len(), &mut |_| true),
        Value::List(list) => (BETWEEN * (list.len() + 1), &mut |room| {
            list.iter().all(|element| fits(*element, room))
        }),
        Value::Map(map) => (BETWEEN * (map.len() + 1), &mut |room| {
            map.iter()
                .all(|(key, element)| fits(Value::Text(key), room) && fits(element, room))
        }),
        _ => (SCALAR, &mut |_| true),
    };
    *room = room.saturating_sub(bytes);
    *room > 0 && inside(room)
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
fn append(out: &mut String<'_>, value: Value<'_>) {
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
                append(out, *element);
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
    append(out, value);
}
