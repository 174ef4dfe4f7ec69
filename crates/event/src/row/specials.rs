//! Where the strings of a text may end, found for the whole text first, many bytes at once.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::__m256i;

#[cfg(target_arch = "x86_64")]
use pulp::x86::V3;
use wide::u8x16;

use super::json::is_simple_escape;

/// Where a text has quotes, backslashes and control characters, a bit for each byte.
#[derive(Clone, Debug, Default)]
pub(crate) struct Specials {
    words: Vec<Word>,
    /// Whether something is escaped that is seldom, or must not be. It is looked at one by one then.
    has_unusual_escape: bool,
    /// Whether all bytes are of ASCII.
    is_ascii: bool,
}

/// What stands in 64 bytes, the first in the lowest bit.
#[derive(Clone, Copy, Debug, Default)]
struct Word {
    all: u64,
    /// Those that are no backslash, and not escaped by one.
    ends: u64,
}

/// Quotes and control characters of 64 bytes, backslashes, and whether there is something beyond ASCII.
type Bits = (u64, u64, bool);

impl Specials {
    /// So many words are kept from text to text.
    const KEPT: usize = 1 << 14;

    /// Finds those of a text. Outside of strings, where no backslash may be, what it escapes means nothing.
    pub(crate) fn mark(&mut self, text: &[u8]) {
        self.words.clear();
        self.words.shrink_to(Self::KEPT);
        self.words.resize(text.len().div_ceil(64), Word::default());
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = V3::try_new() {
            return simd.vectorize(
                #[inline(always)]
                || {
                    self.mark_with(
                        text,
                        #[inline(always)]
                        |block| bits_of_v3(simd, block),
                    )
                },
            );
        }
        self.mark_with(text, bits_of);
    }

    #[inline(always)]
    fn mark_with(&mut self, text: &[u8], bits: impl Fn(&[u8; 64]) -> Bits) {
        let (blocks, rest) = text.as_chunks::<64>();
        let mut last = [b' '; 64];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        let mut escapes = Escapes::default();
        for (word, block) in self.words.iter_mut().zip(blocks) {
            *word = escapes.word(bits(block), block);
        }
        if let Some(word) = self.words.get_mut(blocks.len()) {
            *word = escapes.word(bits(&last), &last);
        }
        self.has_unusual_escape = escapes.are_unusual;
        self.is_ascii = !escapes.are_foreign;
    }

    /// Whether the text that was marked last is of ASCII.
    pub(crate) fn is_ascii(&self) -> bool {
        self.is_ascii
    }

    /// The next one at or behind a place; a place behind the text where there is none.
    #[inline(always)]
    pub(crate) fn next(&self, place: usize) -> usize {
        next_bit(&self.words, place, |word| word.all)
    }

    /// Where a string ends in which a place is, if that is not to be looked for byte by byte: at a quote, or a character that must
    /// not be.
    #[inline(always)]
    pub(crate) fn end(&self, place: usize) -> Option<usize> {
        (!self.has_unusual_escape).then(|| next_bit(&self.words, place, |word| word.ends))
    }
}

#[inline(always)]
fn next_bit(words: &[Word], place: usize, bits: impl Fn(&Word) -> u64) -> usize {
    let mut at = place >> 6;
    let Some(first) = words.get(at) else {
        return usize::MAX;
    };
    let mut found = bits(first) >> (place & 63) << (place & 63);
    while found == 0 {
        at += 1;
        match words.get(at) {
            Some(next) => found = bits(next),
            None => return usize::MAX,
        }
    }
    at << 6 | found.trailing_zeros() as usize
}

/// 32 bytes at once, as processors since 2013 can. What stands in a closure would be made for all processors, and its instructions
/// called one by one.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn bits_of_v3(simd: V3, block: &[u8; 64]) -> Bits {
    let ([first, second], _) = block.as_chunks::<32>() else {
        return (0, 0, false);
    };
    let (first, second) = (pulp::cast(*first), pulp::cast(*second));
    let both = simd.avx2._mm256_or_si256(first, second);
    let (first_ends, first) = bits_of_half(simd, first);
    let (second_ends, second) = bits_of_half(simd, second);
    (
        u64::from(second_ends) << 32 | u64::from(first_ends),
        u64::from(second) << 32 | u64::from(first),
        simd.avx2._mm256_movemask_epi8(both) != 0,
    )
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn bits_of_half(V3 { avx, avx2, .. }: V3, bytes: __m256i) -> (u32, u32) {
    // What is no more than this is the lesser of both.
    let least = avx2._mm256_min_epu8(bytes, avx._mm256_set1_epi8(0x1f));
    let is_control = avx2._mm256_cmpeq_epi8(bytes, least);
    let is_quote = avx2._mm256_cmpeq_epi8(bytes, avx._mm256_set1_epi8(b'"'.cast_signed()));
    let is_backslash = avx2._mm256_cmpeq_epi8(bytes, avx._mm256_set1_epi8(b'\\'.cast_signed()));
    let is_end = avx2._mm256_or_si256(is_quote, is_control);
    (
        avx2._mm256_movemask_epi8(is_end).cast_unsigned(),
        avx2._mm256_movemask_epi8(is_backslash).cast_unsigned(),
    )
}

/// The same on any processor.
#[inline(always)]
fn bits_of(block: &[u8; 64]) -> Bits {
    let (quarters, _) = block.as_chunks::<16>();
    quarters
        .iter()
        .rev()
        .fold((0, 0, false), |(ends, backslashes, is_foreign), quarter| {
            let quarter = u8x16::new(*quarter);
            let is_end =
                quarter.simd_eq(u8x16::splat(b'"')) | quarter.simd_eq(quarter.min(u8x16::splat(0x1f)));
            let is_backslash = quarter.simd_eq(u8x16::splat(b'\\'));
            (
                ends << 16 | u64::from(is_end.to_bitmask()),
                backslashes << 16 | u64::from(is_backslash.to_bitmask()),
                is_foreign | (quarter.to_bitmask() != 0),
            )
        })
}

/// What is known from one block to the next.
#[derive(Default)]
struct Escapes {
    /// Whether the next byte is escaped.
    is_next: bool,
    are_unusual: bool,
    /// Whether there was something beyond ASCII.
    are_foreign: bool,
}

impl Escapes {
    #[inline(always)]
    fn word(&mut self, (mut ends, backslashes, is_foreign): Bits, block: &[u8; 64]) -> Word {
        self.are_foreign |= is_foreign;
        let all = ends | backslashes;
        if backslashes != 0 || self.is_next {
            let escaped = self.escaped(backslashes);
            ends &= !escaped;
            self.are_unusual |= !are_simple(escaped & !backslashes, block);
        }
        Word { all, ends }
    }

    /// Which bytes are escaped by a backslash before them, without going from one to the next. In a row of backslashes every second
    /// escapes. A row to which its first bit is added is gone, but for a bit behind it; this is done to rows that begin at an odd bit.
    /// Of these, what is escaped is at even bits, of those that are left at odd ones.
    /// Source: Langdale and Lemire, "Parsing Gigabytes of JSON per Second", 2019, section 3.1.1
    #[inline(always)]
    fn escaped(&mut self, backslashes: u64) -> u64 {
        const EVEN: u64 = 0x5555_5555_5555_5555;
        let first = u64::from(self.is_next);
        let escaping = backslashes & !first;
        let behind = escaping << 1 | first;
        let odd_starts = escaping & !EVEN & !behind;
        let rows;
        (rows, self.is_next) = odd_starts.overflowing_add(escaping);
        (EVEN ^ rows << 1) & behind
    }
}

/// Whether all of these bytes of 64 make common escapes.
#[inline(always)]
fn are_simple(mut escaped: u64, block: &[u8; 64]) -> bool {
    let mut all = true;
    while escaped != 0 {
        let byte = block.get(escaped.trailing_zeros() as usize);
        all &= byte.is_some_and(|byte| is_simple_escape(*byte));
        escaped &= escaped - 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_tell_what_their_bytes_do() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for round in 0..3_000 {
            let mut below = |limit: u64| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state % limit
            };
            let dense = 1 + below(6);
            let text: Vec<u8> = (0..below(300))
                .map(|_| match below(dense * 4) {
                    0 | 1 => b'\\',
                    2 => b'"',
                    3 if round % 7 == 0 => b'\n',
                    4 if round % 5 == 0 => b'u',
                    5 => b'n',
                    6 => b'\\',
                    7 if round % 3 == 0 => 0xc3,
                    _ => b"rt\"\\bf"[usize::try_from(below(6)).unwrap()],
                })
                .collect();
            let mut specials = Specials::default();
            specials.mark(&text);
            let (mut all, mut ends, mut is_unusual, mut is_escaped) = (vec![], vec![], false, false);
            for (place, byte) in text.iter().enumerate() {
                let is_special = matches!(byte, b'"' | b'\\' | 0..0x20);
                all.extend(is_special.then_some(place));
                ends.extend((is_special && *byte != b'\\' && !is_escaped).then_some(place));
                is_unusual |= is_escaped && !is_simple_escape(*byte);
                is_escaped = *byte == b'\\' && !is_escaped;
            }
            // What follows the text is nothing.
            is_unusual |= is_escaped && !text.len().is_multiple_of(64);
            assert_eq!(specials.has_unusual_escape, is_unusual, "{text:?}");
            assert_eq!(specials.is_ascii(), text.is_ascii(), "{text:?}");
            specials.has_unusual_escape = false;
            for place in 0..=text.len() {
                let next = |of: &[usize]| of.iter().copied().find(|at| *at >= place).unwrap_or(usize::MAX);
                assert_eq!(specials.next(place), next(&all), "{place} {text:?}");
                assert_eq!(specials.end(place), Some(next(&ends)), "{place} {text:?}");
            }
            for block in text.as_chunks::<64>().0 {
                #[cfg(target_arch = "x86_64")]
                if let Some(simd) = V3::try_new() {
                    assert_eq!(bits_of_v3(simd, block), bits_of(block));
                }
            }
        }
    }
}
