//! Literals that may stand anywhere in a text, by *grams*: some bytes of theirs.

use super::common::{Commonness, LOWER, MIXER, gram_of, mask};
use super::few::Few;
use super::{Texts, narrow};

/// Bytes of the widest gram.
const WIDEST: usize = 4;
/// Of so many neighbouring places of a text at most one is looked at.
const LONGEST_STRIDE: usize = 8;
/// Literals are filed under several grams each only as long as there are no more entries than this, for which a filter of 32 KiB
/// will do.
const FEW_ENTRIES: usize = 1 << 14;
/// Of a literal so many grams are looked at, the last: one of them is rare enough, and lists of hashes are long.
const LOOKED_AT: usize = 32;
/// Grams of literals are counted by so many hashes.
const COUNTED: usize = 1 << 12;

/// Literals that may stand anywhere.
#[derive(Debug, Default)]
pub(super) struct Inside {
    /// Some of them that are sought at many places at once.
    few: Option<Few>,
    /// The others.
    grams: Vec<Grams>,
}

/// Literals that have grams of one width.
#[derive(Debug)]
struct Grams {
    /// Bytes of a gram, 1 to 4.
    width: usize,
    /// Of so many neighbouring places of the text one is looked at.
    stride: usize,
    filter: Filter,
    entries: Entries,
}

/// A bit for each of some hashes of grams: a word by the hash, and in it a bit by the gram's lowest bits.
#[derive(Debug)]
enum Filter {
    Small(Box<[u32; 1 << 8]>),
    Middle(Box<[u32; 1 << 11]>),
    Large(Box<[u32; 1 << 13]>),
    Huge(Box<[u32; 1 << 15]>),
}

/// Literals by the grams that they are filed under.
#[derive(Debug)]
pub(super) struct Entries {
    /// Logarithm of the number of buckets.
    bits: u32,
    /// Where the entries of a bucket begin.
    buckets: Box<[u32]>,
    entries: Box<[Entry]>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) gram: u32,
    pub(super) literal: u32,
    /// Where in the literal the gram stands.
    pub(super) offset: u32,
}

impl Inside {
    /// Files literals, given by their places.
    pub(super) fn new(all: &Texts, mut places: Vec<u32>, common: &Commonness) -> Self {
        places.sort_by_key(|place| all.text(*place).len());
        let few = Few::new(all, &places, common);
        let number = few.as_ref().map_or(0, |(_, number)| *number);
        Self {
            grams: Grams::of(all, places.get(number..).unwrap_or_default(), common),
            few: few.map(|(few, _)| few),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.few.is_none() && self.grams.is_empty()
    }

    /// Calls `found` with literals and where they may stand, until it says that this is enough; whether it did.
    #[inline]
    pub(super) fn find(&self, text: &[u8], found: &mut impl FnMut(u32, usize) -> bool) -> bool {
        self.few.as_ref().is_some_and(|few| few.find(text, found))
            || self.grams.iter().any(|grams| grams.find(text, found))
    }
}

impl Grams {
    /// Literals by the width of their grams. What has grams of four bytes is sought together: every place is looked at once. The
    /// shortest says how many places may be passed over.
    fn of(all: &Texts, places: &[u32], common: &Commonness) -> Vec<Self> {
        let mut classes: [Vec<u32>; WIDEST] = Default::default();
        let mut stride = LONGEST_STRIDE;
        for place in places {
            let length = all.text(*place).len();
            let width = length.min(WIDEST);
            if width == WIDEST {
                stride = stride.min(length - WIDEST + 1);
            }
            if let Some(class) = classes.get_mut(width.saturating_sub(1)) {
                class.push(*place);
            }
        }
        let filled = (1..).zip(&classes).filter(|(_, places)| !places.is_empty());
        filled
            .map(|(width, places)| {
                let stride = match width {
                    WIDEST => stride.min(FEW_ENTRIES / places.len()).max(1),
                    _ => 1,
                };
                Self::new(all, places, width, stride, common)
            })
            .collect()
    }

    fn new(all: &Texts, places: &[u32], width: usize, stride: usize, common: &Commonness) -> Self {
        let mut grams = Vec::new();
        // A gram that many literals have is a gram that many texts have.
        let mut counts = vec![0_u32; COUNTED];
        let counted = |gram: u32| (gram.wrapping_mul(MIXER) >> (32 - COUNTED.ilog2())) as usize;
        for place in places {
            gather(end_of(all.text(*place), width).1, width, &mut grams);
            for gram in &grams {
                if let Some(count) = counts.get_mut(counted(*gram)) {
                    *count += 1;
                }
            }
        }
        let common = common.known();
        let mut entries = Vec::with_capacity(places.len() * stride);
        let mut costs: Vec<u64> = Vec::new();
        for place in places {
            let (start, text) = end_of(all.text(*place), width);
            gather(text, width, &mut grams);
            costs.clear();
            if width == WIDEST {
                costs.extend(common.of_fours(&grams));
            } else {
                costs.extend(grams.iter().map(|gram| common.of(*gram)));
            }
            for (cost, gram) in costs.iter_mut().zip(&grams) {
                *cost += 100 * u64::from(counts.get(counted(*gram)).copied().unwrap_or(0));
            }
            let chosen = (narrow(start)..)
                .zip(&grams)
                .skip(cheapest(&costs, stride))
                .take(stride);
            entries.extend(chosen.map(|(offset, gram)| Entry {
                gram: *gram,
                literal: *place,
                offset,
            }));
        }
        let mut filter = Filter::new(entries.len());
        for entry in &entries {
            filter.add(entry.gram);
        }
        Self {
            width,
            stride,
            filter,
            entries: Entries::new(&entries),
        }
    }

    /// As [`Inside::find`], from a place of the text on.
    fn find(&self, text: &[u8], found: &mut impl FnMut(u32, usize) -> bool) -> bool {
        let mut at = self.next(text, 0);
        while let Some(gram) = text.get(at..).and_then(<[u8]>::first_chunk::<4>) {
            let gram = gram_of(gram) & mask(self.width);
            if self.filter.passes(gram) && self.entries.any(gram, at, found) {
                return true;
            }
            at = self.next(text, at + self.stride);
        }
        // Grams of fewer bytes also stand behind the last place that has four.
        while self.width < WIDEST
            && let Some(gram) = text.get(at..at + self.width)
        {
            let gram = gram_of(gram);
            if self.filter.passes(gram) && self.entries.any(gram, at, found) {
                return true;
            }
            at += 1;
        }
        false
    }

    /// The next place whose gram passes the filter, or the first that is too near to the end to have one.
    fn next(&self, text: &[u8], from: usize) -> usize {
        match &self.filter {
            Filter::Small(filter) => self.next_in(filter, text, from),
            Filter::Middle(filter) => self.next_in(filter, text, from),
            Filter::Large(filter) => self.next_in(filter, text, from),
            Filter::Huge(filter) => self.next_in(filter, text, from),
        }
    }

    #[inline(always)]
    fn next_in<const WORDS: usize>(&self, filter: &[u32; WORDS], text: &[u8], from: usize) -> usize {
        match (self.stride, self.width) {
            (8, _) => next_far::<8, 32, WORDS>(filter, text, from),
            (7, _) => next_far::<7, 28, WORDS>(filter, text, from),
            (6, _) => next_far::<6, 24, WORDS>(filter, text, from),
            (5, _) => next_far::<5, 20, WORDS>(filter, text, from),
            (4, _) => next_far::<4, 16, WORDS>(filter, text, from),
            (3, _) => next_near::<3, 2, { u32::MAX }, WORDS>(filter, text, from),
            (2, _) => next_near::<2, 3, { u32::MAX }, WORDS>(filter, text, from),
            (_, 4) => next_near::<1, 4, { u32::MAX }, WORDS>(filter, text, from),
            (_, 3) => next_near::<1, 4, { mask(3) }, WORDS>(filter, text, from),
            (_, 2) => next_near::<1, 4, { mask(2) }, WORDS>(filter, text, from),
            _ => next_near::<1, 4, { mask(1) }, WORDS>(filter, text, from),
        }
    }
}

/// As [`Grams::next`], for places that are `STRIDE` apart, four at once: a block of so many bytes has the grams of all four.
fn next_far<const STRIDE: usize, const BLOCK: usize, const WORDS: usize>(
    filter: &[u32; WORDS],
    text: &[u8],
    from: usize,
) -> usize {
    let (blocks, _) = text.get(from..).unwrap_or_default().as_chunks::<BLOCK>();
    let mut at = from;
    for block in blocks {
        let gram = |number: usize| {
            let bytes = block.get(number * STRIDE..).and_then(<[u8]>::first_chunk);
            bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes) | LOWER)
        };
        for number in 0..4 {
            if passes(filter, gram(number)) {
                return at + number * STRIDE;
            }
        }
        at += BLOCK;
    }
    next_plain::<STRIDE, { u32::MAX }, WORDS>(filter, text, at)
}

/// The same for places that are so near that a word of eight bytes has the grams of several.
fn next_near<const STRIDE: usize, const TIMES: usize, const MASK: u32, const WORDS: usize>(
    filter: &[u32; WORDS],
    text: &[u8],
    from: usize,
) -> usize {
    let mut at = from;
    while let Some(bytes) = text.get(at..).and_then(<[u8]>::first_chunk) {
        let word = u64::from_le_bytes(*bytes);
        for number in 0..TIMES {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the lowest four bytes are the gram"
            )]
            let gram = ((word >> (8 * number * STRIDE)) as u32 | LOWER) & MASK;
            if passes(filter, gram) {
                return at + number * STRIDE;
            }
        }
        at += TIMES * STRIDE;
    }
    next_plain::<STRIDE, MASK, WORDS>(filter, text, at)
}

fn next_plain<const STRIDE: usize, const MASK: u32, const WORDS: usize>(
    filter: &[u32; WORDS],
    text: &[u8],
    from: usize,
) -> usize {
    let mut at = from;
    while let Some(bytes) = text.get(at..).and_then(<[u8]>::first_chunk) {
        if passes(filter, (u32::from_le_bytes(*bytes) | LOWER) & MASK) {
            return at;
        }
        at += STRIDE;
    }
    at
}

#[inline(always)]
fn passes<const WORDS: usize>(filter: &[u32; WORDS], gram: u32) -> bool {
    let word = gram.wrapping_mul(MIXER) >> (32 - WORDS.ilog2());
    let word = filter.get(word as usize).copied().unwrap_or(0);
    word >> (gram & 31) & 1 == 1
}

impl Filter {
    /// One of so many bits that about one gram of sixteen passes by chance at most, within bounds.
    fn new(entries: usize) -> Self {
        match entries {
            0..=512 => Self::Small(Box::new([0; _])),
            513..=4_096 => Self::Middle(Box::new([0; _])),
            4_097..=16_384 => Self::Large(Box::new([0; _])),
            _ => Self::Huge(Box::new([0; _])),
        }
    }

    fn words(&self) -> &[u32] {
        match self {
            Self::Small(words) => &**words,
            Self::Middle(words) => &**words,
            Self::Large(words) => &**words,
            Self::Huge(words) => &**words,
        }
    }

    fn add(&mut self, gram: u32) {
        let words = match self {
            Self::Small(words) => &mut words[..],
            Self::Middle(words) => &mut words[..],
            Self::Large(words) => &mut words[..],
            Self::Huge(words) => &mut words[..],
        };
        let word = gram.wrapping_mul(MIXER) >> (32 - words.len().ilog2());
        if let Some(word) = words.get_mut(word as usize) {
            *word |= 1 << (gram & 31);
        }
    }

    fn passes(&self, gram: u32) -> bool {
        let words = self.words();
        let word = gram.wrapping_mul(MIXER) >> (32 - words.len().ilog2());
        words
            .get(word as usize)
            .is_some_and(|word| word >> (gram & 31) & 1 == 1)
    }
}

impl Entries {
    pub(super) fn new(entries: &[Entry]) -> Self {
        let bits = (entries.len() * 2).next_power_of_two().ilog2().clamp(4, 17);
        let bucket = |gram: u32| (gram.wrapping_mul(MIXER) >> (32 - bits)) as usize;
        let mut buckets = vec![0_u32; (1 << bits) + 1];
        for entry in entries {
            if let Some(count) = buckets.get_mut(bucket(entry.gram) + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for count in &mut buckets {
            sum += *count;
            *count = sum;
        }
        let mut next = buckets.clone();
        let mut placed: Box<[Entry]> = entries.into();
        for entry in entries {
            if let Some(place) = next.get_mut(bucket(entry.gram)) {
                if let Some(free) = placed.get_mut(*place as usize) {
                    *free = *entry;
                }
                *place += 1;
            }
        }
        Self {
            bits,
            buckets: buckets.into(),
            entries: placed,
        }
    }

    /// Calls `found` with the literals that are filed under a gram of a text, and where they may stand in it.
    #[inline(never)]
    pub(super) fn any(&self, gram: u32, at: usize, found: &mut impl FnMut(u32, usize) -> bool) -> bool {
        let bucket = (gram.wrapping_mul(MIXER) >> (32 - self.bits)) as usize;
        let bound = |bucket: usize| self.buckets.get(bucket).copied().unwrap_or(0) as usize;
        let entries = self.entries.get(bound(bucket)..bound(bucket + 1));
        entries.unwrap_or_default().iter().any(|entry| {
            entry.gram == gram
                && at
                    .checked_sub(entry.offset as usize)
                    .is_some_and(|start| found(entry.literal, start))
        })
    }
}

/// The part of a literal that has the grams that are looked at, and where it begins.
fn end_of(text: &[u8], width: usize) -> (usize, &[u8]) {
    let start = (text.len() + 1).saturating_sub(width + LOOKED_AT);
    (start, text.get(start..).unwrap_or_default())
}

/// Makes `grams` those of so many bytes that a text has, in order.
fn gather(text: &[u8], width: usize, grams: &mut Vec<u32>) {
    grams.clear();
    match width {
        WIDEST => grams.extend(text.array_windows().map(|gram| u32::from_le_bytes(*gram) | LOWER)),
        _ => grams.extend(text.windows(width).map(gram_of)),
    }
}

/// Where the neighbours of the least sum begin.
fn cheapest(costs: &[u64], neighbours: usize) -> usize {
    let mut sum: u64 = costs.iter().take(neighbours).sum();
    let (mut least, mut place) = (sum, 0);
    for (first, (gone, come)) in costs.iter().zip(costs.iter().skip(neighbours)).enumerate() {
        sum = sum - gone + come;
        if sum < least {
            (least, place) = (sum, first + 1);
        }
    }
    place
}

/// What searching by grams costs where the shortest literal has so many bytes, in tenths of an instruction a byte.
pub(super) fn cost_of(shortest: usize) -> u64 {
    match (shortest + 1).saturating_sub(WIDEST) {
        0 | 1 => 110,
        2 => 60,
        3 => 45,
        4 => 30,
        5 => 24,
        6 => 20,
        7 => 17,
        _ => 15,
    }
}
