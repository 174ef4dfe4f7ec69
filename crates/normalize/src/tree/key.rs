//! Keys and paths: how they are compared, taken apart and looked up.

/// The first key of a path and the rest. Paths are short, so a plain loop beats any search.
#[inline]
pub(super) fn split_path(path: &str) -> (&str, Option<&str>) {
    let dot = path.bytes().position(|byte| byte == b'.');
    match dot.and_then(|dot| Some((path.get(..dot)?, path.get(dot + 1..)?))) {
        Some((head, tail)) => (head, Some(tail)),
        None => (path, None),
    }
}

/// The first and the last eight bytes of a text as numbers; they overlap or leave a gap as its length has it. A text
/// of fewer bytes gives numbers that hold all of it.
#[inline(always)]
fn ends(text: &[u8]) -> (u64, u64) {
    if let (Some(head), Some(tail)) = (text.first_chunk(), text.last_chunk()) {
        return (u64::from_le_bytes(*head), u64::from_le_bytes(*tail));
    }
    if let (Some(head), Some(tail)) = (text.first_chunk(), text.last_chunk()) {
        return (
            u64::from(u32::from_le_bytes(*head)),
            u64::from(u32::from_le_bytes(*tail)),
        );
    }
    match *text {
        [a, b, c] => (u64::from(a) | u64::from(b) << 8, u64::from(c)),
        [a, b] => (u64::from(a), u64::from(b)),
        [a] => (u64::from(a), 0),
        _ => (0, 0),
    }
}

/// Whether two keys are equal. Most keys have at most sixteen bytes, and are compared without a call.
#[inline(always)]
pub(crate) fn same_key(a: &str, b: &str) -> bool {
    a.len() == b.len() && ends(a.as_bytes()) == ends(b.as_bytes()) && (a.len() <= 16 || same_long(a, b))
}

/// Whether two keys of the same length, of more than sixteen bytes, are equal. Few have more than thirty-two.
#[inline(always)]
fn same_long(a: &str, b: &str) -> bool {
    fn ends(text: &[u8]) -> Option<(u128, u128)> {
        let (head, tail) = (text.first_chunk()?, text.last_chunk()?);
        Some((u128::from_ne_bytes(*head), u128::from_ne_bytes(*tail)))
    }
    ends(a.as_bytes()) == ends(b.as_bytes()) && (a.len() <= 32 || a == b)
}

/// Whether a key holds a byte, which is not zero.
#[inline(always)]
pub(crate) fn has_byte(key: &str, byte: u8) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    if key.len() > 16 {
        return memchr::memchr(byte, key.as_bytes()).is_some();
    }
    // A byte of the difference is zero where the byte stands, and only by it can a high bit appear.
    let stands_in = |word: u64| {
        let difference = word ^ (ONES * u64::from(byte));
        difference.wrapping_sub(ONES) & !difference & (ONES << 7) != 0
    };
    let (head, tail) = ends(key.as_bytes());
    stands_in(head) || stands_in(tail)
}

/// Numbers keys that are known beforehand. It lies in the way of every record: one look tells whether a key is
/// there, for no two of the known keys share a place.
#[derive(Debug, Default)]
pub(crate) struct KeyTable {
    /// As long as a power of two.
    places: Vec<Place>,
    /// What the hash is mixed with, chosen so that no two keys collide.
    seed: u64,
    keys: Vec<Box<str>>,
}

/// A key, as far as it can be told without looking at its text.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    head: u64,
    tail: u64,
    /// No text is as long as that of a place that is not taken.
    len: u32,
    number: u32,
}

const VACANT: Place = Place {
    head: 0,
    tail: 0,
    len: u32::MAX,
    number: 0,
};

impl KeyTable {
    /// The number of `key`.
    #[inline(always)]
    pub(crate) fn get(&self, key: &str) -> Option<usize> {
        let (head, tail) = marks(key.as_bytes());
        let hash = Self::hash(self.seed, head, tail, key.len());
        let place = self.places.get(hash & self.places.len().wrapping_sub(1))?;
        let number = place.number as usize;
        let is_same = place.len as usize == key.len()
            && place.head == head
            && place.tail == tail
            && (key.len() <= 16 || self.keys.get(number).is_some_and(|known| same_long(known, key)));
        is_same.then_some(number)
    }

    /// The number of `key`; keys are numbered as they come.
    pub(crate) fn number(&mut self, key: &str) -> usize {
        if let Some(known) = self.get(key) {
            return known;
        }
        self.keys.push(key.into());
        let mut size = (self.keys.len() * 2).next_power_of_two();
        // The more places there are, the sooner a seed is found.
        while size <= MOST_PLACES
            && !(1..=SEEDS).any(|seed| self.lay_out(size, seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1))
        {
            size *= 2;
        }
        self.keys.len() - 1
    }

    /// Lays the keys out; whether each has a place of its own.
    fn lay_out(&mut self, size: usize, seed: u64) -> bool {
        self.seed = seed;
        self.places.clear();
        self.places.resize(size, VACANT);
        for (number, key) in (0..).zip(&self.keys) {
            let (head, tail) = marks(key.as_bytes());
            let hash = Self::hash(seed, head, tail, key.len());
            match (self.places.get_mut(hash & (size - 1)), u32::try_from(key.len())) {
                (Some(place), Ok(len)) if place.len == VACANT.len => {
                    *place = Place {
                        head,
                        tail,
                        len,
                        number,
                    };
                }
                _ => return false,
            }
        }
        true
    }

    /// Where a key stands. Keys in records may be chosen to collide, but only with the one key of the table that is
    /// there.
    #[inline(always)]
    fn hash(seed: u64, head: u64, tail: u64, len: usize) -> usize {
        let mixed = (head ^ tail.rotate_left(23) ^ len as u64).wrapping_mul(seed);
        (mixed >> 40) as usize
    }
}

/// What tells keys apart: all of a key of up to sixteen bytes, and three parts of a longer one.
#[inline(always)]
fn marks(key: &[u8]) -> (u64, u64) {
    let (head, tail) = ends(key);
    match key.get(key.len() / 2..).and_then(<[u8]>::first_chunk) {
        Some(middle) if key.len() > 16 => (head, tail ^ u64::from_le_bytes(*middle).rotate_left(7)),
        _ => (head, tail),
    }
}

/// A table of so many places has room for all keys that people write, unless two of them have the same marks.
const MOST_PLACES: usize = 1 << 14;

/// So many seeds are tried before a table gets more places.
const SEEDS: u64 = 500;

#[cfg(test)]
mod tests {
    use super::{KeyTable, has_byte, same_key};

    const KEYS: &[&str] = &[
        "",
        "a",
        "b",
        "ab",
        "ba",
        "abc",
        "acb",
        "abcd",
        "abcdefg",
        "abcdefgh",
        "abcdefghi",
        "abcdefghijklmnop",
        "abcdefghi_klmnop",
        "abcdefghijklmnopq",
        "abcdefgh_jklmnopq",
        "abcdefgh-jklmnopq",
        "äöü",
    ];

    #[test]
    fn keys_are_equal_as_texts_are() {
        for a in KEYS {
            for b in KEYS {
                // Another place in memory than that of `a`.
                let b = &String::from(*b);
                assert_eq!(same_key(a, b), a == b, "{a} {b}");
            }
        }
    }

    #[test]
    fn bytes_of_keys_are_found() {
        for key in KEYS {
            for byte in b"-_abhipqz\xbc\x01" {
                assert_eq!(
                    has_byte(key, *byte),
                    key.as_bytes().contains(byte),
                    "{key} {byte}"
                );
            }
        }
    }

    #[test]
    fn tables_find_their_keys_and_no_others() {
        let mut table = KeyTable::default();
        let (known, unknown) = KEYS.split_at(10);
        for (number, key) in known.iter().enumerate() {
            assert_eq!(table.number(key), number, "{key}");
        }
        for (number, key) in known.iter().enumerate() {
            assert_eq!(table.get(key), Some(number), "{key}");
            assert_eq!(table.number(key), number, "{key}");
        }
        let mut many = KeyTable::default();
        let names: Vec<&'static str> = (0..300)
            .map(|number| &*format!("aLongNameOfAKeyWith{number}InIt").leak())
            .collect();
        for (number, name) in names.iter().enumerate() {
            assert_eq!(many.number(name), number);
        }
        for (number, name) in names.iter().enumerate() {
            assert_eq!(many.get(name), Some(number));
        }
        assert!(unknown.iter().all(|key| table.get(key).is_none()));
        assert_eq!(KeyTable::default().get("a"), None);
    }
}
