//! Literals that begin or end a text, by its first or last bytes.

use ahash::AHashMap;

/// The widest head or tail.
const WIDEST: usize = 8;

/// Literals by the up to eight bytes of theirs that stand at the edge of a text. Of the widths that there are each costs a look
/// into a filter of bits; what passes it is looked up.
#[derive(Debug, Default)]
pub(super) struct Edges {
    /// By the number of bytes, and these.
    known: AHashMap<(u8, u64), Vec<u32>>,
    /// For each number of bytes whether there are literals with it.
    widths: u16,
    filter: Box<[u64]>,
    /// The hash's bits that are not of the filter.
    shift: u32,
}

impl Edges {
    pub(super) fn add_head(&mut self, literal: &[u8], place: u32) {
        let width = literal.len().min(WIDEST);
        self.add(width, first_of(literal) & low(width), place);
    }

    pub(super) fn add_tail(&mut self, literal: &[u8], place: u32) {
        let width = literal.len().min(WIDEST);
        self.add(width, last_of(literal) >> (64 - 8 * width.max(1)), place);
    }

    fn add(&mut self, width: usize, word: u64, place: u32) {
        self.widths |= 1 << width;
        #[expect(clippy::cast_possible_truncation, reason = "it is 8 at most")]
        self.known.entry((width as u8, word)).or_default().push(place);
    }

    /// Makes the filter, of so many bits that one of sixteen passes by chance at most.
    pub(super) fn finish(&mut self) {
        if self.known.is_empty() {
            return;
        }
        let bits = (self.known.len() * 16).next_power_of_two().ilog2().clamp(6, 18);
        self.shift = 64 - bits;
        self.filter = vec![0; 1 << (bits - 6)].into();
        for (width, word) in self.known.keys() {
            let hash = hash(usize::from(*width), *word) >> self.shift;
            if let Some(bits) = self.filter.get_mut(hash as usize >> 6) {
                *bits |= 1 << (hash & 63);
            }
        }
    }

    /// Calls `found` with literals that the text may begin with.
    #[inline]
    pub(super) fn of_head(&self, text: &[u8], found: impl FnMut(u32) -> bool) -> bool {
        if self.widths == 0 {
            return false;
        }
        let first = first_of(text);
        self.find(text.len(), |width| first & low(width), found)
    }

    /// Calls `found` with literals that the text may end with.
    #[inline]
    pub(super) fn of_tail(&self, text: &[u8], found: impl FnMut(u32) -> bool) -> bool {
        if self.widths == 0 {
            return false;
        }
        let last = last_of(text);
        self.find(text.len(), |width| last >> (64 - 8 * width), found)
    }

    #[inline(always)]
    fn find(&self, length: usize, word: impl Fn(usize) -> u64, mut found: impl FnMut(u32) -> bool) -> bool {
        let mut left = self.widths & (0x1ff >> (WIDEST - length.min(WIDEST)));
        while left != 0 {
            let width = left.trailing_zeros() as usize;
            left &= left - 1;
            let word = word(width);
            let hash = hash(width, word) >> self.shift;
            let passes = self.filter.get(hash as usize >> 6);
            if passes.is_some_and(|bits| bits >> (hash & 63) & 1 == 1)
                && self.look_up(width, word).iter().any(|place| found(*place))
            {
                return true;
            }
        }
        false
    }

    #[inline(never)]
    fn look_up(&self, width: usize, word: u64) -> &[u32] {
        #[expect(clippy::cast_possible_truncation, reason = "it is 8 at most")]
        let places = self.known.get(&(width as u8, word));
        places.map_or(&[], Vec::as_slice)
    }
}

#[inline(always)]
fn hash(width: usize, word: u64) -> u64 {
    (word ^ (width as u64) << 57).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The bits of so many bytes, 1 to 8.
#[inline(always)]
fn low(width: usize) -> u64 {
    u64::MAX >> (64 - 8 * width.clamp(1, WIDEST))
}

/// The first eight bytes of a text, folded; the first is the lowest. Of a shorter one the rest is 0.
#[inline(always)]
fn first_of(text: &[u8]) -> u64 {
    match text.first_chunk::<WIDEST>() {
        Some(chunk) => lower(u64::from_le_bytes(*chunk)),
        None => lower(word_of(text)),
    }
}

/// The last eight bytes of a text, folded; the last is the highest. Of a shorter one the rest is 0.
#[inline(always)]
fn last_of(text: &[u8]) -> u64 {
    match text.last_chunk::<WIDEST>() {
        Some(chunk) => lower(u64::from_le_bytes(*chunk)),
        None if text.is_empty() => 0,
        None => lower(word_of(text)) << (64 - 8 * text.len()),
    }
}

fn word_of(text: &[u8]) -> u64 {
    text.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte))
}

/// A word of eight bytes with the letters of ASCII made small.
#[inline(always)]
fn lower(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let low = word & (ONES * 0x7f);
    // The high bit of a byte is set where the byte is above `Z`, and where it is at least `A`.
    let above = low + ONES * (0x7f - u64::from(b'Z'));
    let at_least = low + ONES * (0x80 - u64::from(b'A'));
    let capital = !word & (ONES << 7) & (above ^ at_least);
    word | capital >> 2
}
