//! What the two halves of the engine share of an event: the event, its place in the order that rules see, and its join keys.
//! It is made once for all steps of all rules that the event satisfies, and what waits for a match holds no more than a
//! reference to it.
//!
//! Join keys are kept as bytes, all in one piece of memory: most candidates never meet a partner, and need no values of
//! their own. Two keys are the same exactly where their bytes are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ahash::RandomState;
use neph_event::{Instant, Value, ValueRef};
use smallvec::SmallVec;

use crate::candidate::COUNTERS;
use crate::{Event, Ordinal};

/// The values of join keys; null only where a key is optional.
pub(crate) type Tuple = SmallVec<[Option<Value>; 2]>;

/// The bytes of join keys.
pub(crate) type KeyBytes = SmallVec<[u8; 64]>;

/// An event, as the rules see it that order events by the same fields.
#[derive(Debug)]
pub(crate) struct Sighting {
    pub(crate) event: Arc<Event>,
    /// `None` where the record has no readable time.
    pub(crate) ordinal: Option<Ordinal>,
    /// Position in the input.
    pub(crate) position: u64,
    /// Bytes that it holds in memory, the event's among them.
    pub(crate) bytes: usize,
    /// The join keys of all its steps, as [`write`] writes them.
    keys: KeyBytes,
}

/// Where the join keys of a step stand in its sighting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyRange {
    start: u32,
    end: u32,
    /// The same for the same keys, but also for some others: most keys are told apart without a look at them.
    pub(crate) hash: u32,
}

impl KeyRange {
    /// All of these keys; none of them where there are more bytes than can be counted.
    pub(crate) fn of_all(keys: &[u8]) -> Self {
        Self::from(0, keys).unwrap_or_default()
    }

    /// The bytes of `keys` from here to the end; `None` where there are more than can be counted.
    pub(crate) fn from(start: usize, keys: &[u8]) -> Option<Self> {
        #[expect(clippy::cast_possible_truncation, reason = "half of a hash is one")]
        let hash = HASHER.hash_one(keys.get(start..)?) as u32;
        Some(Self {
            start: u32::try_from(start).ok()?,
            end: u32::try_from(keys.len()).ok()?,
            hash,
        })
    }

    /// The bytes that it is of.
    pub(crate) fn of(self, keys: &[u8]) -> &[u8] {
        let range = self.start as usize..self.end as usize;
        keys.get(range).unwrap_or_default()
    }

    /// The same where nothing else stands before.
    pub(crate) fn alone(self) -> Self {
        Self {
            start: 0,
            end: self.end.saturating_sub(self.start),
            hash: self.hash,
        }
    }
}

impl Sighting {
    pub(crate) fn new(event: Arc<Event>, ordinal: Option<Ordinal>, position: u64, keys: KeyBytes) -> Self {
        let spilled = if keys.spilled() { keys.capacity() } else { 0 };
        let tiebreaker = ordinal.as_ref().and_then(|ordinal| ordinal.tiebreaker.as_ref());
        let own = COUNTERS + size_of::<Self>() + spilled + tiebreaker.map_or(0, Value::heap_bytes);
        Self {
            bytes: own + event.memory_bytes(),
            event,
            ordinal,
            position,
            keys,
        }
    }

    /// Join keys as bytes.
    pub(crate) fn key(&self, range: KeyRange) -> &[u8] {
        range.of(&self.keys)
    }
}

/// Nothing depends on its hashes but time.
const HASHER: RandomState = RandomState::with_seeds(1, 2, 3, 4);

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const LONG: u8 = 3;
const UNSIGNED: u8 = 4;
const DOUBLE: u8 = 5;
const STRING: u8 = 6;
const VERSION: u8 = 7;
const DATE: u8 = 8;
const IPV4: u8 = 9;
const IPV6: u8 = 10;

/// In place of the length of a text: it stands behind.
const LONGER: u8 = u8::MAX;

/// Appends the value of a key.
pub(crate) fn write(value: Option<ValueRef<'_>>, to: &mut Vec<u8>) {
    let fixed = |to: &mut Vec<u8>, kind: u8, bytes: &[u8]| {
        to.push(kind);
        to.extend_from_slice(bytes);
    };
    match value {
        None => to.push(NULL),
        Some(ValueRef::Bool(false)) => to.push(FALSE),
        Some(ValueRef::Bool(true)) => to.push(TRUE),
        Some(ValueRef::Long(number)) => fixed(to, LONG, &number.to_le_bytes()),
        Some(ValueRef::Unsigned(number)) => fixed(to, UNSIGNED, &number.to_le_bytes()),
        Some(ValueRef::Double(number)) => fixed(to, DOUBLE, &number.to_bits().to_le_bytes()),
        Some(ValueRef::String(text)) => {
            write_text(to, STRING, text);
        }
        Some(ValueRef::Version(text)) => {
            write_text(to, VERSION, text);
        }
        Some(ValueRef::Date(Instant { seconds, nanos })) => {
            fixed(to, DATE, &seconds.to_le_bytes());
            to.extend_from_slice(&nanos.to_le_bytes());
        }
        Some(ValueRef::Ip(IpAddr::V4(address))) => fixed(to, IPV4, &address.octets()),
        Some(ValueRef::Ip(IpAddr::V6(address))) => fixed(to, IPV6, &address.octets()),
    }
}

/// A short text has one byte of length, since what waits has many.
fn write_text(to: &mut Vec<u8>, kind: u8, text: &str) {
    match u8::try_from(text.len()) {
        Ok(length) if length != LONGER => to.extend_from_slice(&[kind, length]),
        _ => {
            to.extend_from_slice(&[kind, LONGER]);
            to.extend_from_slice(&text.len().to_le_bytes());
        }
    }
    to.extend_from_slice(text.as_bytes());
}

/// The values of keys as bytes, and where these stand if nothing else does.
pub(crate) fn written(keys: &[Option<Value>]) -> (KeyRange, Vec<u8>) {
    let mut bytes = Vec::new();
    for key in keys {
        write(key.as_ref().map(Value::as_ref), &mut bytes);
    }
    (KeyRange::of_all(&bytes), bytes)
}

/// The values that [`write`] wrote.
pub(crate) fn read(mut bytes: &[u8]) -> Tuple {
    let mut tuple = Tuple::new();
    while let Some(value) = take_value(&mut bytes) {
        tuple.push(value);
    }
    tuple
}

/// The next value; `None` at the end.
fn take_value(bytes: &mut &[u8]) -> Option<Option<Value>> {
    let [kind] = take(bytes)?;
    Some(Some(match kind {
        FALSE => Value::Bool(false),
        TRUE => Value::Bool(true),
        LONG => Value::Long(i64::from_le_bytes(take(bytes)?)),
        UNSIGNED => Value::Unsigned(u64::from_le_bytes(take(bytes)?)),
        DOUBLE => Value::Double(f64::from_bits(u64::from_le_bytes(take(bytes)?))),
        STRING => Value::String(take_text(bytes)?),
        VERSION => Value::Version(take_text(bytes)?),
        DATE => Value::Date(Instant {
            seconds: i64::from_le_bytes(take(bytes)?),
            nanos: u32::from_le_bytes(take(bytes)?),
        }),
        IPV4 => Value::Ip(Ipv4Addr::from(take::<4>(bytes)?).into()),
        IPV6 => Value::Ip(Ipv6Addr::from(take::<16>(bytes)?).into()),
        _ => return Some(None),
    }))
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

fn take_text(bytes: &mut &[u8]) -> Option<Box<str>> {
    let length = match take(bytes)? {
        [LONGER] => usize::from_le_bytes(take(bytes)?),
        [length] => usize::from(length),
    };
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(str::from_utf8(text).ok()?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_as_they_were_written() {
        let address = |text: &str| Value::Ip(text.parse().unwrap());
        let values = [
            None,
            Some(Value::Bool(false)),
            Some(Value::Bool(true)),
            Some(Value::Long(-3)),
            Some(Value::Unsigned(u64::MAX)),
            Some(Value::Double(-0.0)),
            Some(Value::String("".into())),
            Some(Value::String("a".repeat(254).into())),
            Some(Value::String("b".repeat(255).into())),
            Some(Value::String("c".repeat(70_000).into())),
            Some(Value::String("née".into())),
            Some(Value::Version("née".into())),
            Some(Value::Date(Instant {
                seconds: -1,
                nanos: 999_999_999,
            })),
            Some(address("192.0.2.1")),
            Some(address("2001:db8::1")),
        ];
        let mut all = Vec::new();
        for value in &values {
            let mut bytes = Vec::new();
            write(value.as_ref().map(Value::as_ref), &mut bytes);
            assert_eq!(read(&bytes).as_slice(), std::slice::from_ref(value));
            assert!(!all.contains(&bytes), "{value:?} is written like another");
            all.push(bytes);
        }
        assert_eq!(read(&all.concat()).as_slice(), values);
        assert!(read(&[]).is_empty());
    }
}
