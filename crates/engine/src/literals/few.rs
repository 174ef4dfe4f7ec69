//! Some literals, sought at many places of a text at once.
//!
//! Of each literal three bytes are chosen, its *gram*, and grams are put into eight buckets. For each of the three bytes it is kept
//! which buckets have a gram with these lower, and with these upper four bits there, a byte for each of sixteen. All six looked up for
//! as many places as the processor takes at once tell where a gram of some bucket may stand; only there literals are looked at.
//! Source: the algorithm *Teddy* of Hyperscan, as the documentation of `aho-corasick` tells it (`src/packed/teddy/README.md`).
//!
//! Which gram of a literal is taken, and which bucket it goes to, is found by what the texts seen before would let through: so some
//! hundred literals cost little more than a few.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::__m256i;

#[cfg(target_arch = "x86_64")]
use pulp::x86::V3;
use wide::u8x16;

use super::common::{Commonness, Known, WIDTH, gram_of};
use super::grams::{Entries, Entry, cost_of};
use super::{Texts, narrow};

/// So many literals are looked at.
const LITERALS: usize = 256;
const BUCKETS: usize = 8;
/// Of a literal so many grams are tried, the rarest.
const TRIED: usize = 6;
/// Of these in some bucket so many are held against the sample.
const ASKED: usize = 8;
/// What looking at all places costs, in tenths of an instruction a byte.
const COST: u64 = 9;
/// What it costs, in instructions, where a gram may stand.
const HIT_COST: u64 = 60;
/// So many places are looked at together; for the last of them bytes behind it are needed.
const PLACES: usize = 64;
const BLOCK: usize = PLACES + WIDTH - 1;

/// Literals of which each has a gram in a bucket.
#[derive(Debug)]
pub(super) struct Few {
    buckets: Buckets,
    entries: Entries,
}

/// For each byte of a gram, and each value that half of it may have, the buckets with such a gram.
#[derive(Clone, Debug, Default)]
struct Buckets {
    low: [[u8; 16]; WIDTH],
    high: [[u8; 16]; WIDTH],
}

impl Few {
    /// The search for the first of some literals, which are sorted by length, and their number. So many are taken that this search
    /// and that for the others together cost least; `None` where it does not pay, or the processor cannot.
    pub(super) fn new(all: &Texts, places: &[u32], common: &Commonness) -> Option<(Self, usize)> {
        if !is_possible() || common.is_unknown() {
            return None;
        }
        let length = |number: usize| places.get(number).map(|place| all.text(*place).len());
        // A little is not worth two searches.
        let mut least = cost_of(length(0)?) * 3 / 4;
        if COST + length(LITERALS).map_or(0, cost_of) >= least {
            return None;
        }
        let mut literals = 0;
        let mut filling = Filling::new(common);
        let known = common.known();
        let mut chosen = Vec::new();
        for (number, place) in (1..).zip(places.iter().take(LITERALS)) {
            let text = all.text(*place);
            let Some((offset, bucket)) = filling.add(text, &known) else {
                break;
            };
            let gram = text.get(offset..)?.first_chunk::<WIDTH>()?;
            chosen.push((*gram, bucket, *place, offset));
            let next = length(number);
            if next == Some(text.len()) {
                continue;
            }
            let cost = COST + filling.cost_of_hits() + next.map_or(0, cost_of);
            if cost < least {
                (least, literals) = (cost, number);
            }
        }
        if literals == 0 {
            return None;
        }
        let mut buckets = Buckets::default();
        let chosen = chosen.iter().take(literals);
        let entries: Vec<Entry> = chosen
            .map(|(gram, bucket, literal, offset)| {
                buckets.add(*gram, *bucket);
                Entry {
                    gram: gram_of(gram),
                    literal: *literal,
                    offset: narrow(*offset),
                }
            })
            .collect();
        let made = Self {
            buckets,
            entries: Entries::new(&entries),
        };
        Some((made, literals))
    }

    /// Calls `found` with literals and where they may stand in a text, until it says that this is enough; whether it did.
    pub(super) fn find(&self, text: &[u8], found: &mut impl FnMut(u32, usize) -> bool) -> bool {
        let mut from = 0;
        while let Some((at, mut may_stand)) = self.buckets.next(text, from) {
            while may_stand != 0 {
                let place = at + may_stand.trailing_zeros() as usize;
                if let Some(gram) = text.get(place..place + WIDTH)
                    && self.entries.any(gram_of(gram), place, found)
                {
                    return true;
                }
                may_stand &= may_stand - 1;
            }
            from = at + PLACES;
        }
        false
    }
}

/// Whether the processor can look at many places at once.
fn is_possible() -> bool {
    #[cfg(target_arch = "x86_64")]
    return V3::try_new().is_some();
    #[cfg(not(target_arch = "x86_64"))]
    return cfg!(target_arch = "aarch64");
}

/// The values that the upper half of a byte of a gram may have: capital letters have the lower half of small ones.
fn highs(byte: u8) -> [u8; 2] {
    let high = byte >> 4;
    [
        high,
        if byte.is_ascii_alphabetic() {
            high ^ 2
        } else {
            high
        },
    ]
}

impl Buckets {
    fn add(&mut self, gram: [u8; WIDTH], bucket: usize) {
        for ((byte, low), high) in gram.iter().zip(&mut self.low).zip(&mut self.high) {
            let add = |half: &mut [u8; 16], value: u8| {
                if let Some(buckets) = half.get_mut(usize::from(value)) {
                    *buckets |= 1 << bucket;
                }
            };
            add(low, byte & 15);
            highs(*byte).into_iter().for_each(|value| add(high, value));
        }
    }

    /// The next places where a gram may stand, from one on: the first that was looked at, and a bit for each behind it. Nothing is called
    /// from here, so that the tables stay in registers.
    fn next(&self, text: &[u8], from: usize) -> Option<(usize, u64)> {
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = V3::try_new() {
            return simd.vectorize(
                #[inline(always)]
                || {
                    let tables = Tables::new(simd, self);
                    next_with(
                        text,
                        from,
                        #[inline(always)]
                        |block| tables.places(simd, block),
                    )
                },
            );
        }
        next_with(text, from, |block| self.places(block))
    }

    /// At which places of a block a gram may stand, the first in the lowest bit. No gram has a byte beyond ASCII.
    fn places(&self, block: &[u8; BLOCK]) -> u64 {
        let mut all = 0;
        for first in (0..PLACES).step_by(16) {
            let mut buckets = u8x16::splat(0xff);
            for (byte, (low, high)) in self.low.iter().zip(&self.high).enumerate() {
                let bytes = block.get(first + byte..).and_then(<[u8]>::first_chunk);
                let bytes = u8x16::new(bytes.copied().unwrap_or_default());
                let in_low = u8x16::new(*low).shuffle_zeroing(bytes & u8x16::splat(0x8f));
                let in_high = u8x16::new(*high).shuffle_zeroing(bytes.unbounded_shr_scalar(4));
                buckets &= in_low & in_high;
            }
            let none = buckets.simd_eq(u8x16::splat(0)).to_bitmask();
            all |= u64::from(!none & 0xffff) << first;
        }
        all
    }
}

#[inline(always)]
fn next_with(text: &[u8], from: usize, places: impl Fn(&[u8; BLOCK]) -> u64) -> Option<(usize, u64)> {
    let mut at = from;
    while let Some(block) = text.get(at..).and_then(<[u8]>::first_chunk) {
        let may_stand = places(block);
        if may_stand != 0 {
            return Some((at, may_stand));
        }
        at += PLACES;
    }
    let left = text.len().saturating_sub(at);
    if left < WIDTH {
        return None;
    }
    let mut short = [0; BLOCK];
    // The last block once more has places that were looked at.
    let (last, known) = match text.last_chunk() {
        Some(last) => (last, BLOCK - left),
        None => {
            short.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
            (&short, at)
        }
    };
    let may_stand = places(last) >> known;
    (may_stand != 0).then_some((at, may_stand))
}

/// The same for processors since 2013. What stands in a closure would be made for all processors, and its instructions called one by
/// one.
#[cfg(target_arch = "x86_64")]
struct Tables {
    low: [__m256i; WIDTH],
    high: [__m256i; WIDTH],
}

#[cfg(target_arch = "x86_64")]
impl Tables {
    #[inline(always)]
    fn new(simd: V3, buckets: &Buckets) -> Self {
        let ([first_low, second_low, third_low], [first_high, second_high, third_high]) =
            (buckets.low, buckets.high);
        Self {
            low: [
                twice(simd, first_low),
                twice(simd, second_low),
                twice(simd, third_low),
            ],
            high: [
                twice(simd, first_high),
                twice(simd, second_high),
                twice(simd, third_high),
            ],
        }
    }

    #[inline(always)]
    fn places(&self, simd: V3, block: &[u8; BLOCK]) -> u64 {
        let (first, second) = (
            self.half::<0>(simd, block),
            self.half::<{ PLACES / 2 }>(simd, block),
        );
        let both = simd.avx2._mm256_or_si256(first, second);
        if simd.avx._mm256_testz_si256(both, both) == 1 {
            return 0;
        }
        u64::from(some(simd, second)) << (PLACES / 2) | u64::from(some(simd, first))
    }

    /// The buckets of which a gram may stand at each of 32 places.
    #[inline(always)]
    fn half<const FIRST: usize>(&self, simd: V3, block: &[u8; BLOCK]) -> __m256i {
        let ([first_low, second_low, third_low], [first_high, second_high, third_high]) =
            (self.low, self.high);
        let first = with_byte(simd, first_low, first_high, bytes_at(block, FIRST));
        let second = with_byte(simd, second_low, second_high, bytes_at(block, FIRST + 1));
        let third = with_byte(simd, third_low, third_high, bytes_at(block, FIRST + 2));
        let all = simd.avx2._mm256_and_si256(first, second);
        simd.avx2._mm256_and_si256(all, third)
    }
}

/// The buckets with a gram that has each of 32 bytes as one of its bytes. A lower half is looked up by a byte as it is: only the
/// lowest four bits count, and nothing is found beyond ASCII.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn with_byte(simd: V3, low: __m256i, high: __m256i, bytes: __m256i) -> __m256i {
    let low = simd.avx2._mm256_shuffle_epi8(low, bytes);
    let upper = simd.avx2._mm256_srli_epi16::<4>(bytes);
    let upper = simd.avx2._mm256_and_si256(upper, simd.avx._mm256_set1_epi8(15));
    let high = simd.avx2._mm256_shuffle_epi8(high, upper);
    simd.avx2._mm256_and_si256(low, high)
}

/// Sixteen values in both halves.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn twice(simd: V3, half: [u8; 16]) -> __m256i {
    simd.avx2._mm256_broadcastsi128_si256(pulp::cast(half))
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn bytes_at(block: &[u8; BLOCK], first: usize) -> __m256i {
    match block.get(first..).and_then(<[u8]>::first_chunk::<32>) {
        Some(bytes) => pulp::cast(*bytes),
        None => pulp::cast([0_u8; 32]),
    }
}

/// Which bytes are not 0.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn some(simd: V3, bytes: __m256i) -> u32 {
    let none = simd
        .avx2
        ._mm256_cmpeq_epi8(bytes, simd.avx._mm256_setzero_si256());
    !simd.avx2._mm256_movemask_epi8(none).cast_unsigned()
}

/// So many words have a bit for each gram of the sample.
const WORDS: usize = Commonness::SAMPLES / 64;
type Bits = [u64; WORDS];
static NONE: Bits = [0; WORDS];

/// Buckets as they fill, and which grams of the sample they let through.
struct Filling {
    /// For each byte of a gram.
    bytes: Vec<Byte>,
    seen: u64,
    buckets: Vec<Bucket>,
}

/// Which grams of the sample have a value as one half of a byte.
#[derive(Clone)]
struct Byte {
    low: [Bits; 16],
    high: [Bits; 16],
}

#[derive(Clone)]
struct Bucket {
    /// For each byte of a gram what its halves have.
    low: [Values; WIDTH],
    high: [Values; WIDTH],
    /// How many grams of the sample pass.
    hits: u32,
    /// How many pass of all that there might be.
    volume: u32,
}

/// Values that half of a byte may have.
#[derive(Clone, Copy)]
struct Values {
    /// As bits, and how many they are.
    values: u16,
    number: u32,
    /// Which grams of the sample have one of them.
    bits: Bits,
}

impl Values {
    const NONE: Self = Self {
        values: 0,
        number: 0,
        bits: [0; WORDS],
    };

    fn number_with(&self, value: u8) -> u32 {
        self.number + u32::from(self.values >> value & 1 == 0)
    }

    fn add(&mut self, value: u8, bits: &Bits) {
        self.number = self.number_with(value);
        self.values |= 1 << value;
        self.bits.iter_mut().zip(bits).for_each(|(to, more)| *to |= more);
    }
}

impl Byte {
    /// Which grams of the sample have a byte that is this one, or its capital, as a gram has it.
    fn halves(&self, byte: u8) -> (&Bits, [&Bits; 2]) {
        let low = self.low.get(usize::from(byte & 15));
        let high = |high: u8| self.high.get(usize::from(high)).unwrap_or(&NONE);
        (low.unwrap_or(&NONE), highs(byte).map(high))
    }
}

impl Bucket {
    /// Capital letters come with small ones, so that one value of the upper half tells of both.
    fn volume_with(&self, gram: [u8; WIDTH]) -> u32 {
        let halves = gram.iter().zip(&self.low).zip(&self.high);
        halves.fold(1, |all, ((byte, low), high)| {
            all * low.number_with(byte & 15) * high.number_with(byte >> 4)
        })
    }

    fn hits_with(&self, gram: [u8; WIDTH], bytes: &[Byte]) -> u32 {
        let mut passing = [u64::MAX; WORDS];
        let buckets = self.low.iter().zip(&self.high);
        for ((byte, of_byte), (low, high)) in gram.iter().zip(bytes).zip(buckets) {
            let (more_low, [small, capital]) = of_byte.halves(*byte);
            let low = low.bits.iter().zip(more_low);
            let high = high.bits.iter().zip(small).zip(capital);
            for ((passing, (low, more)), ((high, small), capital)) in passing.iter_mut().zip(low).zip(high) {
                *passing &= (low | more) & (high | small | capital);
            }
        }
        let some = passing.iter().filter(|word| **word != 0);
        some.map(|word| word.count_ones()).sum()
    }

    fn add(&mut self, gram: [u8; WIDTH], bytes: &[Byte]) {
        self.volume = self.volume_with(gram);
        self.hits = self.hits_with(gram, bytes);
        let halves = self.low.iter_mut().zip(&mut self.high);
        for ((byte, of_byte), (low, high)) in gram.iter().zip(bytes).zip(halves) {
            let (more_low, more_high) = of_byte.halves(*byte);
            low.add(byte & 15, more_low);
            for (value, more) in highs(*byte).into_iter().zip(more_high) {
                high.add(value, more);
            }
        }
    }
}

impl Filling {
    fn new(common: &Commonness) -> Self {
        let byte = Byte {
            low: [[0; WORDS]; 16],
            high: [[0; WORDS]; 16],
        };
        let bucket = Bucket {
            low: [Values::NONE; WIDTH],
            high: [Values::NONE; WIDTH],
            hits: 0,
            volume: 0,
        };
        let mut new = Self {
            bytes: vec![byte; WIDTH],
            seen: 0,
            buckets: vec![bucket; BUCKETS],
        };
        for (number, gram) in common.sample().enumerate() {
            new.seen += 1;
            for (value, byte) in gram.iter().zip(&mut new.bytes) {
                let note = |half: &mut [Bits; 16], value: u8| {
                    let words = half.get_mut(usize::from(value));
                    if let Some(word) = words.and_then(|words| words.get_mut(number / 64)) {
                        *word |= 1 << (number % 64);
                    }
                };
                note(&mut byte.low, value & 15);
                note(&mut byte.high, value >> 4);
            }
        }
        new
    }

    /// Puts a literal into a bucket; where its gram stands in it, and the bucket. `None` where it is too short, or has no gram
    /// of ASCII.
    fn add(&mut self, text: &[u8], known: &Known<'_>) -> Option<(usize, usize)> {
        let windows = text.array_windows::<WIDTH>().enumerate();
        let mut grams: Vec<_> = windows
            .filter(|(_, gram)| gram.is_ascii())
            .map(|(offset, gram)| (known.of(gram_of(gram)), offset, *gram))
            .collect();
        if grams.len() > TRIED {
            grams.select_nth_unstable(TRIED);
            grams.truncate(TRIED);
        }
        // What is rare and has a bucket grow little lets few places through that were not seen: it is as if one of a million stood for
        // each gram more that passes.
        let mut ways: Vec<_> = grams
            .iter()
            .flat_map(|(own, offset, gram)| {
                let buckets = self.buckets.iter().enumerate();
                buckets.map(move |(number, bucket)| {
                    let growth = bucket.volume_with(*gram) - bucket.volume;
                    (own + u64::from(growth), number, *offset, *gram)
                })
            })
            .collect();
        let (mut best, mut least) = (None, u64::MAX);
        for _ in 0..ASKED {
            let guesses = ways.iter().map(|(guess, ..)| *guess);
            let Some((_, place)) = guesses.zip(0..).min() else {
                break;
            };
            let (guess, number, offset, gram) = ways.swap_remove(place);
            let bucket = self.buckets.get(number)?;
            let more = bucket.hits_with(gram, &self.bytes) - bucket.hits;
            let rate = u64::from(more) * 1_000_000 / (self.seen + 1) + guess;
            if rate < least {
                (best, least) = (Some((number, offset, gram)), rate);
            }
            if more == 0 {
                break;
            }
        }
        let (number, offset, gram) = best?;
        self.buckets.get_mut(number)?.add(gram, &self.bytes);
        Some((offset, number))
    }

    /// What is to be looked at costs, in tenths of an instruction a byte. One gram more than was seen to pass is counted.
    fn cost_of_hits(&self) -> u64 {
        let hits: u32 = self.buckets.iter().map(|bucket| bucket.hits).sum();
        (u64::from(hits) + 1) * HIT_COST * 10 / (self.seen + 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn places_with_a_gram_are_told_in_both_ways_alike(
            grams in prop::collection::vec("[a-c:.\\\\@\\[ -]{3}", 1..20),
            text in "[a-cA-C:.\\\\@\\[é -]{3,200}",
        ) {
            let mut buckets = Buckets::default();
            for (bucket, gram) in grams.iter().enumerate() {
                buckets.add(*gram.as_bytes().first_chunk().unwrap(), bucket % BUCKETS);
            }
            let text = text.as_bytes();
            let all = |next: &dyn Fn(usize) -> Option<(usize, u64)>| {
                let (mut from, mut all) = (0, Vec::new());
                while let Some((at, bits)) = next(from) {
                    all.extend((0..PLACES).filter(|place| bits >> place & 1 == 1).map(|place| at + place));
                    from = at + PLACES;
                }
                all
            };
            let told = all(&|from| next_with(text, from, |block| buckets.places(block)));
            if is_possible() {
                prop_assert_eq!(&told, &all(&|from| buckets.next(text, from)));
            }
            for (place, there) in text.windows(WIDTH).enumerate() {
                let stands = |gram: &String| gram.as_bytes() == there.to_ascii_lowercase();
                prop_assert!(told.contains(&place) || !grams.iter().any(stands), "{}", place);
            }
        }
    }
}
