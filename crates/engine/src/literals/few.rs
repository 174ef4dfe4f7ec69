//! A few literals, sought at many places of a text at once.

use ahash::AHashMap;
use aho_corasick::Span;
use aho_corasick::packed::{Config, Searcher};

use super::common::{Commonness, WIDTH, gram_of};
use super::grams::{Entries, Entry, cost_of};
use super::{Texts, narrow};

/// So many literals are looked at.
const LITERALS: usize = 256;
/// So many grams are sought at most, and so many spellings of them.
const GRAMS: usize = 32;
const SPELLINGS: usize = 128;
/// So many grams are sought 32 places at a time, more 16.
const SLIM: usize = 12;
/// What that costs, in tenths of an instruction a byte.
const SLIM_COST: u64 = 8;
const FAT_COST: u64 = 15;
/// What it costs, in instructions, where a gram stands.
const HIT_COST: u64 = 100;
/// Shorter texts are not worth it.
const SHORTEST: usize = 48;
/// Where a gram stands more often than once in so many bytes, the text is searched otherwise.
const OFTEN: usize = 64;

/// Literals of which each has one of a few grams of three bytes. These are sought by a vectorised search (the Teddy of
/// `aho-corasick`), and the literals compared where one stands.
#[derive(Debug)]
pub(super) struct Few {
    searcher: Searcher,
    entries: Entries,
}

/// What was best so far.
#[derive(Clone, Copy, Default)]
struct Best {
    /// In tenths of an instruction a byte.
    cost: u64,
    literals: usize,
    grams: usize,
    spellings: usize,
}

impl Few {
    /// The search for the first of some literals, which are sorted by length, and their number. So many are taken that this search
    /// and that for the others together cost least; `None` where it does not pay, or the processor cannot.
    pub(super) fn new(all: &Texts, places: &[u32], common: &Commonness) -> Option<(Self, usize)> {
        if common.is_unknown() {
            return None;
        }
        let texts = || {
            let places = places.iter().take(LITERALS);
            places.map(|place| (*place, all.text(*place)))
        };
        // A little is not worth two searches.
        let common = common.known();
        let mut best = Best {
            cost: cost_of(all.text(*places.first()?).len()) * 3 / 4,
            ..Best::default()
        };
        // A gram that many literals have stands for all of them.
        let mut sharing: AHashMap<u32, u64> = AHashMap::new();
        for gram in texts().flat_map(|(_, text)| text.array_windows::<WIDTH>()) {
            *sharing.entry(gram_of(gram)).or_default() += 1;
        }
        let cost = |gram: &[u8; WIDTH]| {
            let number = gram_of(gram);
            let spellings = spellings(*gram).count() as u64;
            let shares = sharing.get(&number).copied().unwrap_or(1);
            common.of(number) + (10 * spellings + 100) / shares
        };
        let (mut grams, mut spelt, mut entries) = (Vec::new(), Vec::new(), Vec::new());
        let mut hits = 0;
        for (number, (place, text)) in (1..).zip(texts()) {
            let known = text
                .array_windows::<WIDTH>()
                .position(|gram| grams.contains(&gram_of(gram)));
            let offset = match known {
                Some(offset) => offset,
                None => {
                    let costs = text.array_windows().map(cost);
                    (0..).zip(costs).min_by_key(|(_, cost)| *cost)?.0
                }
            };
            let gram = text.get(offset..)?.first_chunk::<WIDTH>()?;
            if known.is_none() {
                grams.push(gram_of(gram));
                spelt.extend(spellings(*gram));
                hits += common.of(gram_of(gram));
                if grams.len() > GRAMS || spelt.len() > SPELLINGS {
                    break;
                }
            }
            entries.push(Entry {
                gram: gram_of(gram),
                literal: place,
                offset: narrow(offset),
            });
            let next = places.get(number).map(|place| all.text(*place).len());
            if next == Some(text.len()) {
                continue;
            }
            let search = if grams.len() <= SLIM { SLIM_COST } else { FAT_COST };
            let cost = search + hits * HIT_COST / 100_000 + next.map_or(0, cost_of);
            if cost < best.cost {
                best = Best {
                    cost,
                    literals: number,
                    grams: grams.len(),
                    spellings: spelt.len(),
                };
            }
        }
        if best.literals == 0 {
            return None;
        }
        entries.truncate(best.literals);
        spelt.truncate(best.spellings);
        // One spelling of each gram first: patterns that begin alike share a bucket, and others get theirs in turn.
        spelt.sort_by_key(|gram| gram.iter().any(u8::is_ascii_uppercase));
        let mut builder = Config::new()
            .only_teddy(true)
            .only_teddy_fat(Some(best.grams > SLIM))
            .heuristic_pattern_limits(false)
            .builder();
        let made = Self {
            searcher: builder.extend(spelt).build()?,
            entries: Entries::new(&entries),
        };
        Some((made, best.literals))
    }

    /// Calls `found` with literals and where they may stand in a text, until it says that this is enough; whether it did. `None`
    /// where the text must be searched otherwise.
    pub(super) fn find(&self, text: &[u8], found: &mut impl FnMut(u32, usize) -> bool) -> Option<bool> {
        if text.len() < SHORTEST {
            return None;
        }
        let mut at = 0;
        for _ in 0..=text.len() / OFTEN {
            let Some(place) = self.searcher.find_in(text, Span::from(at..text.len())) else {
                return Some(false);
            };
            let gram = text.get(place.range()).map_or(0, gram_of);
            if self.entries.any(gram, place.start(), found) {
                return Some(true);
            }
            at = place.start() + 1;
        }
        None
    }
}

/// A gram in small and capital letters, in small ones first.
fn spellings(gram: [u8; WIDTH]) -> impl Iterator<Item = [u8; WIDTH]> {
    (0..1_u8 << WIDTH).filter_map(move |capitals| {
        let mut spelt = gram;
        for (place, byte) in spelt.iter_mut().enumerate() {
            *byte = if capitals >> place & 1 == 0 {
                byte.to_ascii_lowercase()
            } else if byte.is_ascii_alphabetic() {
                byte.to_ascii_uppercase()
            } else {
                return None;
            };
        }
        Some(spelt)
    })
}
