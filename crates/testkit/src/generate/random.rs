//! A fixed sequence of numbers for each seed.

/// `SplitMix64`: <https://prng.di.unimi.it/splitmix64.c>. Its output is part of what a seed means.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 if `end` is 0.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        // The high half of the product spreads evenly enough for test data, and takes no division.
        u64::try_from((u128::from(self.next()) * u128::from(end)) >> 64).unwrap_or(0)
    }

    /// One of the items; `None` if there are none.
    pub(super) fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let index = self.below(items.len() as u64);
        items.get(usize::try_from(index).unwrap_or(0))
    }

    /// Characters of the base64 alphabet.
    pub(super) fn base64(&mut self, length: usize) -> String {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::with_capacity(length);
        let mut bits = 0;
        for position in 0..length {
            if position % 10 == 0 {
                bits = self.next();
            }
            text.push(char::from(
                ALPHABET.get((bits & 63) as usize).copied().unwrap_or(b'A'),
            ));
            bits >>= 6;
        }
        text
    }

    /// Lower-case hexadecimal digits.
    pub(super) fn hex(&mut self, length: usize) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = String::with_capacity(length);
        let mut bits = 0;
        for position in 0..length {
            if position % 16 == 0 {
                bits = self.next();
            }
            text.push(char::from(
                DIGITS.get((bits & 15) as usize).copied().unwrap_or(b'0'),
            ));
            bits >>= 4;
        }
        text
    }
}
