//! How common some bytes are in what is searched: what is common tells little.

/// Bytes of what is counted.
pub(super) const WIDTH: usize = 3;
/// It is counted by so many hashes.
const HASHES: usize = 1 << 15;
/// So many texts are counted at first, then one of as many, and after so many none.
const FIRST: u32 = 16;
const LAST: u32 = 1 << 12;
/// Of a text so many bytes.
const LONGEST: usize = 1 << 14;
/// So many bytes a guess counts for beside what was counted.
const TRUST: u64 = 2_000;

/// How often grams of three bytes stood in texts, by their hashes: 64 KiB, once there is one.
#[derive(Debug, Default)]
pub(crate) struct Commonness {
    counts: Box<[u16]>,
    /// Texts that were shown, and bytes that were counted.
    texts: u32,
    bytes: u64,
}

impl Commonness {
    /// Counts the grams of a text, if it is one of the first; of those that come later some.
    pub(crate) fn learn(&mut self, text: &[u8]) {
        if self.texts >= LAST {
            return;
        }
        self.texts += 1;
        if self.texts > FIRST && !self.texts.is_multiple_of(FIRST) {
            return;
        }
        if self.counts.is_empty() {
            self.counts = vec![0; HASHES].into();
        }
        let text = text.get(..LONGEST).unwrap_or(text);
        for gram in text.array_windows::<WIDTH>() {
            if let Some(count) = self.counts.get_mut(hash(gram_of(gram))) {
                *count = count.saturating_add(1);
            }
        }
        self.bytes += text.len() as u64;
    }

    /// Whether nothing was counted.
    pub(super) fn is_unknown(&self) -> bool {
        self.bytes == 0
    }

    /// In how many of a million places of a text a gram of three bytes stands, roughly.
    pub(super) fn of(&self, gram: u32) -> u64 {
        let count = self.counts.get(hash(gram)).copied().unwrap_or(0);
        (u64::from(count) * 1_000_000 + guess(gram) * TRUST) / (self.bytes + TRUST)
    }

    /// The same of four bytes: as often as the rarer three of them at most.
    pub(super) fn of_four(&self, gram: u32) -> u64 {
        self.of(gram & mask(WIDTH)).min(self.of(gram >> 8))
    }
}

/// The guess for texts that were not seen: letters are more common than digits, and both than signs that are not in most texts.
fn guess(gram: u32) -> u64 {
    let of_byte = |byte: &u8| match byte {
        // No gram has this byte: it stands where there is none.
        0 => 1,
        b'e' | b's' | b't' | b'i' | b'n' | b'o' | b'r' | b'a' | b'm' | b'c' | b'w' | b' ' | b'|' | b'.' => 11,
        b'a'..=b'z' => 7,
        _ => 4,
    };
    gram.to_le_bytes().iter().map(of_byte).product()
}

fn hash(gram: u32) -> usize {
    gram.wrapping_mul(MIXER) as usize >> (32 - HASHES.ilog2()) & (HASHES - 1)
}

pub(super) const MIXER: u32 = 0x9e37_79b1;

/// Makes letters of ASCII small, and some other characters alike, in a word of bytes.
pub(super) const LOWER: u32 = 0x2020_2020;

/// A gram of up to four bytes as a number, its first byte lowest, letters of ASCII alike.
#[inline(always)]
pub(super) fn gram_of(gram: &[u8]) -> u32 {
    let word = gram.iter().rev().fold(0, |all, byte| all << 8 | u32::from(*byte));
    (word | LOWER) & mask(gram.len().clamp(1, 4))
}

/// The bits of so many bytes, 1 to 4.
pub(super) const fn mask(width: usize) -> u32 {
    u32::MAX >> (32 - 8 * width)
}
