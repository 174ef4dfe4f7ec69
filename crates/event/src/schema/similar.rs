//! "Did you mean": known names that are close to one that is not known.

use ahash::AHashMap;
use smallvec::SmallVec;

/// What it costs that a part between dots is missing or too many, in letters.
const PART: usize = 2;

/// At most this many names are offered.
const OFFERED: usize = 5;

/// The names close to `name`, best first. The distance of two names is the least number of letters to change, where
/// whole parts between dots may be left out or put in; a quarter of the letters may differ, in a short name two.
pub(super) fn similar<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let name = name.to_lowercase();
    let parts: SmallVec<[&str; 8]> = name.split('.').collect();
    let length = name.chars().count();
    let limit = (length / 4).max(2);
    // Names share their parts, so the distances of parts are kept.
    let mut distances: AHashMap<&str, SmallVec<[usize; 8]>> = AHashMap::new();
    let mut close: Vec<(usize, &str)> = Vec::new();
    for candidate in known {
        let candidate_parts: SmallVec<[&str; 8]> = candidate.split('.').collect();
        if candidate_parts.len().abs_diff(parts.len()) * PART > limit {
            continue;
        }
        // Parts are put in or left out, never both: that would replace a part by any other.
        let longer = candidate_parts.len() > parts.len();
        let shorter = candidate_parts.len() < parts.len();
        // One row of the table of Levenshtein's algorithm over parts.
        let mut row: SmallVec<[usize; 9]> = (0..=parts.len())
            .map(|count| {
                if shorter || count == 0 {
                    count * PART
                } else {
                    usize::MAX
                }
            })
            .collect();
        for part in candidate_parts {
            let changes = distances.entry(part).or_insert_with(|| {
                let lower = part.to_lowercase();
                parts.iter().map(|ours| distance(ours, &lower, limit)).collect()
            });
            let mut diagonal = 0;
            let mut left = usize::MAX;
            for (position, above) in row.iter_mut().enumerate() {
                let change = match position.checked_sub(1).and_then(|ours| changes.get(ours)) {
                    Some(change) => change.saturating_add(diagonal),
                    None => usize::MAX,
                };
                diagonal = *above;
                let extra = if longer { diagonal } else { usize::MAX };
                let missing = if shorter { left } else { usize::MAX };
                *above = change
                    .min(extra.saturating_add(PART))
                    .min(missing.saturating_add(PART));
                left = *above;
            }
        }
        let cost = row.last().copied().unwrap_or(usize::MAX);
        // Half of a short name's letters must be right.
        if cost <= limit && cost * 2 <= length.max(candidate.chars().count()) {
            close.push((cost, candidate));
        }
    }
    close.sort_unstable_by_key(|(cost, candidate)| (*cost, candidate.len(), *candidate));
    close.truncate(OFFERED);
    close.into_iter().map(|(_, candidate)| candidate).collect()
}

/// Levenshtein's distance with swapped neighbours counted once; anything above `limit` will do where it is above.
fn distance(a: &str, b: &str, limit: usize) -> usize {
    // Each letter that the other text has not, and each letter more than it has, is a change of its own. This rules
    // nearly all pairs out.
    let (in_a, in_b) = (letters(a), letters(b));
    let lost = (in_a & !in_b).count_ones().max((in_b & !in_a).count_ones()) as usize;
    if a.is_ascii() && b.is_ascii() && lost.max(a.len().abs_diff(b.len())) > limit {
        return limit + 1;
    }
    strsim::osa_distance(a, b)
}

/// A set of the bytes of a text, as far as 64 bits tell them apart.
fn letters(text: &str) -> u64 {
    text.bytes().fold(0, |set, byte| set | 1 << (byte & 63))
}
