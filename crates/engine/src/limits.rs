//! Which rows of a result are kept.

use neph_plan::Limit;

use crate::Match;
use crate::candidate::compare_keys;

/// The end of the result that a request without pipes keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fetch {
    /// The first rows. Samples, which have no order of time, are always cut so.
    Head,
    /// The last rows.
    #[default]
    Tail,
}

/// Cuts rows, which stand in ascending order and stay so: to `size` at the end that `fetch` says, or, where there are
/// pipes, at the end that the first pipe says, to its number but not more than `size`; the other pipes cut what is left.
/// Source: <https://www.elastic.co/docs/reference/query-languages/eql/eql-pipe-ref>
pub fn apply_limits<T>(mut rows: Vec<T>, limits: &[Limit], size: u64, fetch: Fetch) -> Vec<T> {
    let request = match fetch {
        Fetch::Head => Limit::Head(size),
        Fetch::Tail => Limit::Tail(size),
    };
    let (first, rest) = limits.split_first().unwrap_or((&request, &[]));
    let first = match *first {
        Limit::Head(number) => Limit::Head(number.min(size)),
        Limit::Tail(number) => Limit::Tail(number.min(size)),
    };
    for limit in std::iter::once(&first).chain(rest) {
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        match *limit {
            Limit::Head(number) => rows.truncate(count(number)),
            Limit::Tail(number) => drop(rows.drain(..rows.len().saturating_sub(count(number)))),
        }
    }
    rows
}

/// Puts the matches of one event query or sequence in the order of results: by the ordinal of the last positive event,
/// then by join keys. Matches without a time, samples among them, come last and stay in their order.
pub fn sort_matches(matches: &mut [Match]) {
    matches.sort_by(|a, b| match (&a.last, &b.last) {
        (Some(x), Some(y)) => x.cmp(y).then_with(|| compare_keys(&a.keys, &b.keys)),
        (x, y) => y.is_some().cmp(&x.is_some()),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(limits: &[Limit], size: u64, fetch: Fetch) -> Vec<u32> {
        apply_limits((1..=12).collect(), limits, size, fetch)
    }

    #[test]
    fn without_pipes_the_request_says_which_end() {
        assert_eq!(kept(&[], 2, Fetch::Head), [1, 2]);
        assert_eq!(kept(&[], 2, Fetch::Tail), [11, 12]);
        assert!(kept(&[], 0, Fetch::Tail).is_empty());
        assert_eq!(kept(&[], 100, Fetch::Tail).len(), 12);
    }

    #[test]
    fn the_first_pipe_fixes_the_end_and_is_capped_by_size() {
        assert_eq!(kept(&[Limit::Head(3)], 10, Fetch::Tail), [1, 2, 3]);
        assert_eq!(kept(&[Limit::Head(5)], 2, Fetch::Tail), [1, 2]);
        assert_eq!(kept(&[Limit::Tail(5)], 2, Fetch::Head), [11, 12]);
        assert!(kept(&[Limit::Tail(0)], 10, Fetch::Head).is_empty());
    }

    #[test]
    fn later_pipes_cut_what_is_left() {
        assert_eq!(kept(&[Limit::Head(4), Limit::Tail(2)], 10, Fetch::Tail), [3, 4]);
        assert_eq!(
            kept(&[Limit::Tail(10), Limit::Head(7)], 10, Fetch::Tail),
            [3, 4, 5, 6, 7, 8, 9]
        );
        assert_eq!(
            kept(
                &[Limit::Tail(10), Limit::Head(7), Limit::Tail(1)],
                10,
                Fetch::Tail
            ),
            [9]
        );
    }
}
