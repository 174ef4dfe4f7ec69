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
    a.len() == b.len() && ends(a.as_bytes()) == ends(b.as_bytes()) && (a.len() <= 16 || a == b)
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

/// Numbers keys that are known from the start. Small, for it lies in the way of every record: the bytes that are
/// searched fit a few lines of cache.
#[derive(Debug, Default)]
pub(crate) struct KeyTable {
    /// Number of a key and one, or zero; as long as a power of two, at most a quarter full.
    slots: Vec<u16>,
    keys: Vec<&'static str>,
}

impl KeyTable {
    /// The number of `key`.
    #[inline]
    pub(crate) fn get(&self, key: &str) -> Option<usize> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut place = Self::hash(key);
        loop {
            let number = usize::from(*self.slots.get(place & mask)?).checked_sub(1)?;
            if self.keys.get(number).is_some_and(|known| same_key(known, key)) {
                return Some(number);
            }
            place = place.wrapping_add(1);
        }
    }

    /// The number of `key`; keys are numbered as they come.
    pub(crate) fn number(&mut self, key: &'static str) -> usize {
        if let Some(known) = self.get(key) {
            return known;
        }
        self.keys.push(key);
        self.slots = vec![0; (self.keys.len() * 4).next_power_of_two()];
        for (number, key) in (1..).zip(&self.keys) {
            let mut place = Self::hash(key);
            loop {
                let mask = self.slots.len() - 1;
                match self.slots.get_mut(place & mask) {
                    Some(slot) if *slot == 0 => break *slot = number,
                    _ => place = place.wrapping_add(1),
                }
            }
        }
        self.keys.len() - 1
    }

    /// Where the search for a key begins. Keys in records may be chosen to collide, but only with the fixed keys of
    /// the table, which are few.
    #[inline(always)]
    fn hash(key: &str) -> usize {
        let (head, tail) = ends(key.as_bytes());
        let mixed = (head ^ tail.rotate_left(23) ^ key.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 40) as usize
    }
}

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
        assert!(unknown.iter().all(|key| table.get(key).is_none()));
        assert_eq!(KeyTable::default().get("a"), None);
    }
}
