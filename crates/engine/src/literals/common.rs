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
/// Of a text so many grams are kept.
const KEPT: usize = 128;

/// How often grams of three bytes stood in texts, by their hashes: 64 KiB, once there is one.
#[derive(Debug, Default)]
pub(crate) struct Commonness {
    counts: Box<[u16]>,
    /// Some of the grams, as they stood there; later ones take the place of those before.
    sample: Vec<[u8; WIDTH]>,
    sampled: usize,
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
        // Not always the same places: what all records have stands where it stood in the one before.
        let step = (text.len() / KEPT).max(1);
        let grams = text.array_windows().skip(self.sampled % step).step_by(step);
        for gram in grams.take(KEPT) {
            match self.sample.get_mut(self.sampled % Self::SAMPLES) {
                Some(kept) => *kept = *gram,
                None => self.sample.push(*gram),
            }
            self.sampled += 1;
        }
    }

    /// So many grams are kept as they stood in texts.
    pub(super) const SAMPLES: usize = 4_096;

    /// Some grams of texts, as they stood there.
    pub(super) fn sample(&self) -> impl Iterator<Item = &[u8; WIDTH]> {
        self.sample.iter()
    }

    /// Whether nothing was counted.
    pub(super) fn is_unknown(&self) -> bool {
        self.bytes == 0
    }

    /// What there is to ask, of texts shown so far.
    pub(super) fn known(&self) -> Known<'_> {
        let all = self.bytes + TRUST;
        let mut weights = [0; 256];
        for (byte, weighs) in (0..=u8::MAX).zip(&mut weights) {
            *weighs = weight(byte);
        }
        Known {
            counts: &self.counts,
            weights,
            count_weighs: (1_000_000 << SCALE) / all,
            guess_weighs: (TRUST << SCALE) / all,
        }
    }
}

/// How common grams are, as far as it is known.
#[derive(Debug)]
pub(super) struct Known<'a> {
    counts: &'a [u16],
    /// What each byte of a gram does to the guess.
    weights: [u8; 256],
    /// What one that was counted, and one of a guess, counts for, in parts of `1 << SCALE`.
    count_weighs: u64,
    guess_weighs: u64,
}

impl Known<'_> {
    /// In how many of a million places of a text a gram of up to three bytes stands, roughly.
    #[inline]
    pub(super) fn of(&self, gram: u32) -> u64 {
        let count = self.counts.get(hash(gram)).copied().unwrap_or(0);
        (u64::from(count) * self.count_weighs + self.guess(gram) * self.guess_weighs) >> SCALE
    }

    #[inline]
    fn guess(&self, gram: u32) -> u64 {
        let weight = |byte: u8| self.weights.get(usize::from(byte)).copied().map_or(1, u64::from);
        let [first, second, third, _] = gram.to_le_bytes();
        weight(first) * weight(second) * weight(third)
    }

    /// The same of grams of four bytes, each of which begins a byte behind the one before it: as often as the rarer three of
    /// its bytes at most.
    pub(super) fn of_fours<'g>(&self, grams: &'g [u32]) -> impl Iterator<Item = u64> + use<'_, 'g> {
        let mut before = grams.first().map_or(0, |gram| self.of(gram & mask(WIDTH)));
        grams.iter().map(move |gram| {
            let behind = self.of(gram >> 8);
            std::mem::replace(&mut before, behind).min(behind)
        })
    }
}

/// Logarithm of what weighs one.
const SCALE: u32 = 20;

/// The parts of a guess for texts that were not seen: letters are more common than digits, and both than signs that are not in
/// most texts.
fn weight(byte: u8) -> u8 {
    match byte {
        // No gram has this byte: it stands where there is none.
        0 => 1,
        b'e' | b's' | b't' | b'i' | b'n' | b'o' | b'r' | b'a' | b'm' | b'c' | b'w' | b' ' | b'|' | b'.' => 11,
        b'a'..=b'z' => 7,
        _ => 4,
    }
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
