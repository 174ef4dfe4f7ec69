//! Many literals sought in one text at once.
//!
//! Of every literal a few bytes are kept that tell it from most texts. A literal that must begin or end a text is looked up by
//! the first or last up to eight bytes of the text. One that may stand anywhere is found by *grams* of up to four bytes: the
//! grams of the text are held against a filter of bits, which most of them do not pass, and only behind the filter literals are
//! compared. Where all literals are long, they are filed under several neighbouring grams, so that only one of as many places of
//! the text is looked at.
//!
//! Letters of ASCII compare without case; whoever wants more compares again. Against an automaton over the same literals this
//! takes some bytes for each literal instead of hundreds, and next to no time to build.

use ahash::AHashMap;
use aho_corasick::Span;
use aho_corasick::packed::{Config, Searcher};

/// Where in the text a literal must stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Anchor {
    /// It is the text.
    Whole,
    /// The text begins with it.
    Start,
    /// The text ends with it.
    End,
    /// Anywhere.
    Inside,
}

/// Literals, each with a number that the caller gave; several may have one number.
#[derive(Debug, Default)]
pub(crate) struct Literals {
    /// The texts of all literals, one after the other.
    bytes: Vec<u8>,
    literals: Vec<Literal>,
    /// Literals that are, or begin, the text, by its first bytes; the number of bytes stands in front.
    heads: AHashMap<(u8, u64), Vec<u32>>,
    /// Literals that end the text, by its last bytes.
    tails: AHashMap<(u8, u64), Vec<u32>>,
    /// For each number of bytes whether a head or tail has it.
    head_widths: u16,
    tail_widths: u16,
    /// Literals of no length, which every text has; with [`Anchor::Whole`] only the empty text.
    empty: Vec<u32>,
    inside: Vec<Grams>,
    /// Those that have letters beyond ASCII, for texts that have some.
    foreign: Vec<Grams>,
}

#[derive(Clone, Copy, Debug)]
struct Literal {
    start: u32,
    end: u32,
    anchor: Anchor,
    number: u32,
}

/// Literals that may stand anywhere and have grams of one width.
#[derive(Debug)]
struct Grams {
    /// Bytes of a gram, 1 to 4.
    width: usize,
    /// Of so many neighbouring places of the text one is looked at.
    stride: usize,
    /// Logarithm of the number of bits of the filter.
    bits: u32,
    filter: Box<[u64]>,
    /// Where the entries of a bucket begin; there is an eighth as many buckets as bits.
    buckets: Box<[u32]>,
    entries: Box<[Entry]>,
    /// Finds the places where a gram stands in place of the filter, if there are few.
    packed: Option<Searcher>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    gram: u32,
    literal: u32,
    /// Where in the literal the gram stands.
    offset: u32,
}

/// The widest head or tail.
const WIDEST: usize = 8;
/// Grams are counted by so many of their hashes.
const COUNTED: usize = 1 << 12;
/// Where some literals are shorter than this, these are sought by themselves.
const SHORT: usize = 6;
/// So many spellings of grams are sought at once.
const FEW: usize = 64;
/// After so many places where a gram stands the rest of a text is searched otherwise.
const MANY: usize = 32;
/// Bytes of the widest gram.
const WIDEST_GRAM: usize = 4;
/// Of so many neighbouring places at most one is looked at.
const LONGEST_STRIDE: usize = 8;

impl Literals {
    /// Makes literals ready that were folded to lower case.
    pub(crate) fn new<'t>(literals: impl IntoIterator<Item = (&'t str, Anchor, u32)>) -> Self {
        let mut made = Self::default();
        let mut inside = Vec::new();
        for (text, anchor, number) in literals {
            let text = text.as_bytes();
            let place = narrow(made.literals.len());
            let start = narrow(made.bytes.len());
            made.bytes.extend_from_slice(text);
            made.literals.push(Literal {
                start,
                end: narrow(made.bytes.len()),
                anchor,
                number,
            });
            let width = text.len().min(WIDEST);
            match anchor {
                _ if text.is_empty() => made.empty.push(place),
                Anchor::Whole | Anchor::Start => {
                    made.head_widths |= 1 << width;
                    let key = (width as u8, head(text, width));
                    made.heads.entry(key).or_default().push(place);
                }
                Anchor::End => {
                    made.tail_widths |= 1 << width;
                    let key = (width as u8, tail(text, width));
                    made.tails.entry(key).or_default().push(place);
                }
                Anchor::Inside => inside.push(place),
            }
        }
        let is_ascii = |place: &u32| {
            let literal = made.literals.get(*place as usize);
            literal.is_none_or(|literal| made.text(literal).is_ascii())
        };
        let (inside, foreign) = inside.into_iter().partition(is_ascii);
        made.inside = made.grams(inside);
        made.foreign = made.grams(foreign);
        made
    }

    /// Files literals that may stand anywhere.
    fn grams(&self, mut places: Vec<u32>) -> Vec<Grams> {
        let mut made = Vec::new();
        let length = |all: &Self, place: &u32| all.literals.get(*place as usize).map_or(0, Literal::len);
        // The shortest says how many places may be passed over, whatever others would allow. A few that are short are better
        // sought by themselves, by a search that looks at many bytes at once.
        let shortest = places.iter().map(|place| length(self, place)).min();
        if shortest.is_some_and(|shortest| (3..SHORT).contains(&shortest)) {
            let longer = (SHORT..=WIDEST_GRAM + LONGEST_STRIDE - 1).rev();
            let packed = longer.into_iter().find_map(|long| {
                let short = places.iter().filter(|place| length(self, place) < long);
                let short: Vec<u32> = short.take(FEW + 1).copied().collect();
                let grams = (short.len() <= FEW).then(|| Grams::packed(self, &short))??;
                Some((long, grams))
            });
            if let Some((long, grams)) = packed {
                made.push(grams);
                places.retain(|place| length(self, place) >= long);
            }
        }
        // What has grams of four bytes is sought together: every place is looked at once.
        let mut classes: [Vec<u32>; WIDEST_GRAM] = Default::default();
        let mut stride = LONGEST_STRIDE;
        for place in places {
            let length = length(self, &place);
            let width = length.min(WIDEST_GRAM);
            if width == WIDEST_GRAM {
                stride = stride.min(length - WIDEST_GRAM + 1);
            }
            if let Some(class) = classes.get_mut(width.saturating_sub(1)) {
                class.push(place);
            }
        }
        for (width, places) in (1..).zip(&classes).filter(|(_, places)| !places.is_empty()) {
            let stride = if width == WIDEST_GRAM { stride } else { 1 };
            made.push(Grams::new(self, places, width, stride));
        }
        made
    }

    fn text(&self, literal: &Literal) -> &[u8] {
        self.bytes
            .get(literal.start as usize..literal.end as usize)
            .unwrap_or_default()
    }

    /// Calls `found` with the number of every literal that the text has, with some more than once, until it says that this
    /// is enough; whether it did.
    #[inline]
    pub(crate) fn find(&self, text: &str, mut found: impl FnMut(u32) -> bool) -> bool {
        let text = text.as_bytes();
        for place in &self.empty {
            if let Some(literal) = self.literals.get(*place as usize)
                && (text.is_empty() || literal.anchor != Anchor::Whole)
                && found(literal.number)
            {
                return true;
            }
        }
        for width in widths(self.head_widths, text.len()) {
            let Some(places) = self.heads.get(&(width as u8, head(text, width))) else {
                continue;
            };
            for place in places {
                if let Some(literal) = self.literals.get(*place as usize)
                    && (literal.anchor == Anchor::Start || literal.len() == text.len())
                    && self.stands_at(literal, text, 0)
                    && found(literal.number)
                {
                    return true;
                }
            }
        }
        for width in widths(self.tail_widths, text.len()) {
            let Some(places) = self.tails.get(&(width as u8, tail(text, width))) else {
                continue;
            };
            for place in places {
                if let Some(literal) = self.literals.get(*place as usize)
                    && let Some(at) = text.len().checked_sub(literal.len())
                    && self.stands_at(literal, text, at)
                    && found(literal.number)
                {
                    return true;
                }
            }
        }
        self.inside.iter().any(|grams| grams.find(self, text, &mut found))
            || (!self.foreign.is_empty()
                && !text.is_ascii()
                && self
                    .foreign
                    .iter()
                    .any(|grams| grams.find(self, text, &mut found)))
    }

    fn stands_at(&self, literal: &Literal, text: &[u8], at: usize) -> bool {
        let there = text.get(at..at + literal.len());
        there.is_some_and(|there| there.eq_ignore_ascii_case(self.text(literal)))
    }
}

impl Literal {
    fn len(&self) -> usize {
        (self.end - self.start) as usize
    }
}

impl Grams {
    fn new(all: &Literals, places: &[u32], width: usize, stride: usize) -> Self {
        let texts = || {
            places
                .iter()
                .filter_map(|place| Some((*place, all.text(all.literals.get(*place as usize)?))))
        };
        // A gram that many literals have is a gram that many texts have.
        let mut common = vec![0_u32; COUNTED];
        let counted = |gram: u32| gram.wrapping_mul(0x9e37_79b1) as usize >> 20 & (COUNTED - 1);
        for (_, text) in texts() {
            for gram in text.windows(width) {
                if let Some(count) = common.get_mut(counted(packed_gram(gram))) {
                    *count += 1;
                }
            }
        }
        let mut entries = Vec::with_capacity(places.len() * stride);
        let mut grams = Vec::new();
        for (place, text) in texts() {
            grams.clear();
            grams.extend(text.windows(width).map(packed_gram));
            let cost = |from: usize| -> u32 {
                let chosen = grams.iter().skip(from).take(stride);
                chosen
                    .map(|gram| common.get(counted(*gram)).copied().unwrap_or(0) * 8 + plainness(*gram))
                    .sum()
            };
            let best = (0..=grams.len().saturating_sub(stride)).min_by_key(|from| cost(*from));
            let from = best.unwrap_or(0);
            entries.extend(
                grams
                    .iter()
                    .enumerate()
                    .skip(from)
                    .take(stride)
                    .map(|(offset, gram)| Entry {
                        gram: *gram,
                        literal: place,
                        offset: narrow(offset),
                    }),
            );
        }
        // So many bits that about one gram of sixteen passes by chance at most.
        let bits = (entries.len() * 16).next_power_of_two().ilog2().clamp(9, 20);
        let mut made = Self {
            width,
            stride,
            bits,
            filter: vec![0; 1 << (bits - 6)].into(),
            buckets: Box::default(),
            entries: Box::default(),
            packed: None,
        };
        entries.sort_by_key(|entry| (made.bucket(made.hash(entry.gram)), entry.gram, entry.literal));
        let mut buckets = vec![0_u32; (1 << (bits - 3)) + 1];
        for entry in &entries {
            let hash = made.hash(entry.gram);
            if let Some(word) = made.filter.get_mut(hash >> 6) {
                *word |= 1 << (hash & 63);
            }
            if let Some(count) = buckets.get_mut(made.bucket(hash) + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for count in &mut buckets {
            sum += *count;
            *count = sum;
        }
        made.buckets = buckets.into();
        made.entries = entries.into();
        made
    }

    /// Literals of at least three bytes, to be found by one gram of each at all places; `None` where these are too many, or
    /// the processor cannot.
    fn packed(all: &Literals, places: &[u32]) -> Option<Self> {
        let mut made = Self::new(all, places, 3, 1);
        let mut grams = Config::new().only_teddy(true).builder();
        for entry in &made.entries {
            let literal = all.literals.get(entry.literal as usize)?;
            let gram = all
                .text(literal)
                .get(entry.offset as usize..)?
                .first_chunk::<3>()?;
            grams.extend(spellings(*gram));
            if grams.len() > FEW {
                return None;
            }
        }
        made.packed = Some(grams.build()?);
        Some(made)
    }

    #[inline(always)]
    fn hash(&self, gram: u32) -> usize {
        (gram.wrapping_mul(0x9e37_79b1) >> (32 - self.bits)) as usize
    }

    #[inline(always)]
    fn bucket(&self, hash: usize) -> usize {
        hash >> 3
    }

    #[inline(always)]
    fn passes(&self, hash: usize) -> bool {
        self.filter
            .get(hash >> 6)
            .is_some_and(|word| word >> (hash & 63) & 1 == 1)
    }

    /// As [`Literals::find`].
    fn find(&self, all: &Literals, text: &[u8], found: &mut impl FnMut(u32) -> bool) -> bool {
        let mask = u32::MAX >> (32 - 8 * self.width);
        let mut at = 0;
        if let Some(packed) = &self.packed {
            // Where grams are common, it is quicker to look at all places.
            for _ in 0..MANY {
                let Some(place) = packed.find_in(text, Span::from(at..text.len())) else {
                    return false;
                };
                let gram = text.get(place.range()).map_or(0, packed_gram);
                if self.compare(all, text, place.start(), gram, self.hash(gram), found) {
                    return true;
                }
                at = place.start() + 1;
            }
        }
        while let Some(chunk) = text.get(at..).and_then(<[u8]>::first_chunk::<4>) {
            let gram = (u32::from_le_bytes(*chunk) | LOWER) & mask;
            let hash = self.hash(gram);
            if self.passes(hash) && self.compare(all, text, at, gram, hash, found) {
                return true;
            }
            at += self.stride;
        }
        // Grams of fewer bytes also stand behind the last place that has four.
        while self.width < 4
            && let Some(gram) = text.get(at..at + self.width)
        {
            let gram = packed_gram(gram);
            let hash = self.hash(gram);
            if self.passes(hash) && self.compare(all, text, at, gram, hash, found) {
                return true;
            }
            at += 1;
        }
        false
    }

    #[inline(never)]
    fn compare(
        &self,
        all: &Literals,
        text: &[u8],
        at: usize,
        gram: u32,
        hash: usize,
        found: &mut impl FnMut(u32) -> bool,
    ) -> bool {
        let bucket = self.bucket(hash);
        let bound = |bucket: usize| self.buckets.get(bucket).copied().unwrap_or(0) as usize;
        let entries = self
            .entries
            .get(bound(bucket)..bound(bucket + 1))
            .unwrap_or_default();
        entries.iter().filter(|entry| entry.gram == gram).any(|entry| {
            let Some(literal) = all.literals.get(entry.literal as usize) else {
                return false;
            };
            let start = at.checked_sub(entry.offset as usize);
            start.is_some_and(|start| all.stands_at(literal, text, start)) && found(literal.number)
        })
    }
}

/// Makes letters of ASCII small, and some other characters alike, in a word of bytes.
const LOWER: u32 = 0x2020_2020;

/// A gram as a number, as [`Grams::find`] takes it from the text.
fn packed_gram(gram: &[u8]) -> u32 {
    let word = gram.iter().rev().fold(0, |all, byte| all << 8 | u32::from(*byte));
    (word | LOWER) & (u32::MAX >> (32 - 8 * gram.len().clamp(1, 4)))
}

/// A gram in small and capital letters.
fn spellings(gram: [u8; 3]) -> impl Iterator<Item = [u8; 3]> {
    let other = |byte: u8| [byte.to_ascii_lowercase(), byte.to_ascii_uppercase()];
    let [a, b, c] = gram.map(other);
    let all = (0..8_usize).map(move |bits| {
        let spelt = |pair: [u8; 2], bit: usize| if bits >> bit & 1 == 0 { pair[0] } else { pair[1] };
        [spelt(a, 0), spelt(b, 1), spelt(c, 2)]
    });
    let mut seen = [[0; 3]; 8];
    all.enumerate().filter_map(move |(place, spelling)| {
        let is_new = !seen.iter().take(place).any(|other| *other == spelling);
        *seen.get_mut(place)? = spelling;
        is_new.then_some(spelling)
    })
}

/// How little a gram tells: letters are more common than digits, and both than signs that are not seen in most texts.
fn plainness(gram: u32) -> u32 {
    gram.to_le_bytes()
        .iter()
        .map(|byte| match byte {
            0 => 0,
            b'e' | b's' | b't' | b'i' | b'n' | b'o' | b'r' | b'a' | b'm' | b'c' | b'w' | b' ' | b'|'
            | b'.' => 3,
            b'a'..=b'z' => 2,
            _ => 1,
        })
        .sum()
}

/// The numbers of bytes of a set that a text of this length has.
#[inline(always)]
fn widths(set: u16, length: usize) -> impl Iterator<Item = usize> {
    let mut left = set & (0x1ff >> (WIDEST - length.min(WIDEST)));
    std::iter::from_fn(move || {
        let width = left.trailing_zeros();
        left &= left.wrapping_sub(1);
        (width < 16).then_some(width as usize)
    })
}

/// The first bytes of a text, folded.
#[inline(always)]
fn head(text: &[u8], width: usize) -> u64 {
    let word = match text.first_chunk::<8>() {
        Some(chunk) => u64::from_le_bytes(*chunk) & (u64::MAX >> (64 - 8 * width)),
        None => word_of(text.iter().take(width)),
    };
    lower(word)
}

/// The last bytes of a text, folded.
#[inline(always)]
fn tail(text: &[u8], width: usize) -> u64 {
    let word = match text.last_chunk::<8>() {
        Some(chunk) => u64::from_le_bytes(*chunk) >> (64 - 8 * width),
        None => word_of(text.iter().skip(text.len().saturating_sub(width))),
    };
    lower(word)
}

fn word_of<'b>(bytes: impl DoubleEndedIterator<Item = &'b u8>) -> u64 {
    bytes.rev().fold(0, |all, byte| all << 8 | u64::from(*byte))
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

fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(text: &str, literal: &str, anchor: Anchor) -> bool {
        let text = text.to_ascii_lowercase();
        match anchor {
            Anchor::Whole => text == literal,
            Anchor::Start => text.starts_with(literal),
            Anchor::End => text.ends_with(literal),
            Anchor::Inside => text.contains(literal),
        }
    }

    fn literal() -> impl Strategy<Value = (String, Anchor)> {
        let anchor = prop::sample::select(vec![Anchor::Whole, Anchor::Start, Anchor::End, Anchor::Inside]);
        let text = prop_oneof![
            4 => "[abé\\\\.]{0,5}",
            2 => "[ab@z\\[`]{4,12}",
            1 => Just("curl".to_owned()),
        ];
        // An empty literal inside is in every text, which callers see themselves.
        (text, anchor).prop_map(|(text, anchor)| match (text.is_empty(), anchor) {
            (true, Anchor::Inside) => (text, Anchor::Start),
            _ => (text, anchor),
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_found_is_what_one_by_one_finds(
            literals in prop::collection::vec(literal(), 0..40),
            text in prop_oneof!["[aAbBé\\\\.]{0,9}", "[aAbB@Zz\\[`{]{0,30}", "[ab]{0,4}(curl|CuRL)[ab]{0,4}"],
        ) {
            let made = Literals::new(
                (0_u32..).zip(&literals).map(|(number, (text, anchor))| (text.as_str(), *anchor, number)),
            );
            let mut found = vec![false; literals.len()];
            made.find(&text, |number| {
                found[number as usize] = true;
                false
            });
            let expected: Vec<bool> =
                literals.iter().map(|(literal, anchor)| naive(&text, literal, *anchor)).collect();
            prop_assert_eq!(&found, &expected);
            prop_assert_eq!(made.find(&text, |_| true), expected.contains(&true));
        }
    }

    #[test]
    fn many_long_literals_are_found_at_every_place_of_a_text() {
        let texts: Vec<String> = (0..5_000_u32)
            .map(|number| format!("needle-{}-{number}", number * 7919))
            .collect();
        let made = Literals::new(
            (0_u32..)
                .zip(&texts)
                .map(|(number, text)| (text.as_str(), Anchor::Inside, number)),
        );
        for (number, text) in texts.iter().enumerate().step_by(97) {
            for place in 0..9 {
                let hay = format!(
                    "{}{}{}",
                    "x".repeat(place),
                    text.to_uppercase(),
                    "y".repeat(place % 3)
                );
                let mut found = Vec::new();
                made.find(&hay, |number| {
                    found.push(number as usize);
                    false
                });
                assert!(found.contains(&number), "{hay}");
            }
        }
    }
}
