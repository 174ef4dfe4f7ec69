//! Sets of texts and patterns that one value is held against at once.

use ahash::AHashSet;
use aho_corasick::{AhoCorasick, MatchKind};
use memchr::memmem::Finder;
use neph_plan::{Case, Pattern, PatternPart, pattern};

/// So many substrings are searched one by one; more go into one automaton.
const FEW: usize = 3;

/// Shorter literals are in too many texts to tell one from another.
const TELLING: usize = 3;

/// A disjunction over one text: the text equals, starts with, holds, ends with or matches one of these.
///
/// The set is built folded; the text that it is asked about must be folded the same way ([`fold_into`]).
#[derive(Debug, Default)]
pub(crate) struct TextSet {
    /// Any text passes (the pattern `*`).
    everything: bool,
    exact: AHashSet<Box<str>>,
    /// Sorted, and none is the start of another: at most one can be the start of a text, and it is the greatest that
    /// is not above the text.
    prefixes: Vec<Box<str>>,
    /// The same, read from the end.
    suffixes: Vec<Box<str>>,
    infixes: Infixes,
    /// Each with the longest literal in it, which a text must hold to match.
    patterns: Vec<(pattern::Matcher, Box<str>)>,
}

#[derive(Debug, Default)]
enum Infixes {
    #[default]
    None,
    Few(Vec<Finder<'static>>),
    Many(AhoCorasick, Vec<Box<str>>),
}

/// What a text must have to be in a [`TextSet`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Necessity {
    /// It equals this.
    Equal(Box<str>),
    /// It holds this.
    Hold(Box<str>),
}

impl Infixes {
    fn is_match(&self, text: &str) -> bool {
        match self {
            Self::None => false,
            Self::Few(finders) => finders
                .iter()
                .any(|finder| finder.find(text.as_bytes()).is_some()),
            Self::Many(automaton, _) => automaton.is_match(text),
        }
    }
}

impl TextSet {
    /// Whether the (folded) text is in the set.
    pub(crate) fn contains(&self, text: &str) -> bool {
        self.everything
            || (!self.exact.is_empty() && self.exact.contains(text))
            || starts_with_one_of(&self.prefixes, text)
            || ends_with_one_of(&self.suffixes, text)
            || self.infixes.is_match(text)
            || self.patterns.iter().any(|(pattern, _)| pattern.is_match(text))
    }

    /// Whether only texts equal to one of a few are in the set.
    pub(crate) fn is_exact(&self) -> bool {
        !self.everything
            && self.prefixes.is_empty()
            && self.suffixes.is_empty()
            && matches!(self.infixes, Infixes::None)
            && self.patterns.is_empty()
    }

    /// Of these things a (folded) text must have at least one to be in the set. `None` where a text may be in it that
    /// has none of them, or nothing that tells it from most others.
    pub(crate) fn necessities(&self) -> Option<Vec<Necessity>> {
        if self.everything {
            return None;
        }
        let equal = self.exact.iter().map(|text| Necessity::Equal(text.clone()));
        let infixes: Vec<Box<str>> = match &self.infixes {
            Infixes::None => Vec::new(),
            Infixes::Few(finders) => finders
                .iter()
                .map(|finder| String::from_utf8_lossy(finder.needle()).into())
                .collect(),
            Infixes::Many(_, texts) => texts.clone(),
        };
        let literals = self.patterns.iter().map(|(_, literal)| literal);
        let held = self
            .prefixes
            .iter()
            .chain(&self.suffixes)
            .chain(&infixes)
            .chain(literals);
        let mut necessities: Vec<Necessity> = equal.collect();
        for text in held {
            if text.len() < TELLING {
                return None;
            }
            necessities.push(Necessity::Hold(text.clone()));
        }
        Some(necessities)
    }

    /// What asking costs, in the unit of [`crate::nodes::Estimate::cost`].
    pub(crate) fn cost(&self) -> f32 {
        let infixes = match &self.infixes {
            Infixes::None => 0.0,
            Infixes::Few(finders) => 4.0 * count(finders.len()),
            Infixes::Many(..) => 20.0,
        };
        let edges = if self.prefixes.is_empty() && self.suffixes.is_empty() {
            0.0
        } else {
            1.5
        };
        1.5 + edges + infixes + 8.0 * count(self.patterns.len())
    }
}

fn count(number: usize) -> f32 {
    f32::from(u16::try_from(number).unwrap_or(u16::MAX))
}

fn starts_with_one_of(prefixes: &[Box<str>], text: &str) -> bool {
    let above = prefixes.partition_point(|prefix| &**prefix <= text);
    above
        .checked_sub(1)
        .and_then(|at| prefixes.get(at))
        .is_some_and(|prefix| text.starts_with(&**prefix))
}

fn ends_with_one_of(suffixes: &[Box<str>], text: &str) -> bool {
    let above = suffixes.partition_point(|suffix| suffix.bytes().rev().le(text.bytes().rev()));
    above
        .checked_sub(1)
        .and_then(|at| suffixes.get(at))
        .is_some_and(|suffix| text.ends_with(&**suffix))
}

/// Collects a [`TextSet`] of one [`Case`].
#[derive(Debug)]
pub(crate) struct TextSetBuilder {
    case: Case,
    everything: bool,
    exact: AHashSet<Box<str>>,
    prefixes: Vec<Box<str>>,
    suffixes: Vec<Box<str>>,
    infixes: Vec<Box<str>>,
    patterns: Vec<Pattern>,
}

impl TextSetBuilder {
    pub(crate) fn new(case: Case) -> Self {
        Self {
            case,
            everything: false,
            exact: AHashSet::new(),
            prefixes: Vec::new(),
            suffixes: Vec::new(),
            infixes: Vec::new(),
            patterns: Vec::new(),
        }
    }

    pub(crate) fn equal(&mut self, text: &str) {
        self.exact.insert(fold(text, self.case));
    }

    pub(crate) fn starts_with(&mut self, text: &str) {
        self.prefixes.push(fold(text, self.case));
    }

    pub(crate) fn ends_with(&mut self, text: &str) {
        self.suffixes.push(fold(text, self.case));
    }

    pub(crate) fn holds(&mut self, text: &str) {
        self.infixes.push(fold(text, self.case));
    }

    /// Patterns of the common shapes become the cheaper tests that they are equal to.
    pub(crate) fn like(&mut self, pattern: &Pattern) {
        use PatternPart::{Any, Literal};
        match pattern.parts.as_slice() {
            [] => self.equal(""),
            [Literal(text)] => self.equal(text),
            [Any] => self.everything = true,
            [Literal(text), Any] => self.starts_with(text),
            [Any, Literal(text)] => self.ends_with(text),
            [Any, Literal(text), Any] => self.holds(text),
            parts => {
                let folded = parts.iter().map(|part| match part {
                    Literal(text) => Literal(fold(text, self.case)),
                    other => other.clone(),
                });
                self.patterns.push(Pattern {
                    parts: folded.collect(),
                });
            }
        }
    }

    pub(crate) fn build(self) -> TextSet {
        TextSet {
            everything: self.everything,
            exact: self.exact,
            prefixes: without_redundant(
                self.prefixes,
                |a, b| a.cmp(b),
                |long, short| long.starts_with(short),
            ),
            suffixes: without_redundant(
                self.suffixes,
                |a, b| a.bytes().rev().cmp(b.bytes().rev()),
                |long, short| long.ends_with(short),
            ),
            infixes: infixes(self.infixes),
            // The text arrives folded, so that the matcher compares exactly.
            patterns: self
                .patterns
                .iter()
                .map(|pattern| {
                    (
                        pattern::Matcher::new(pattern, Case::Sensitive),
                        longest_literal(pattern),
                    )
                })
                .collect(),
        }
    }
}

fn longest_literal(pattern: &Pattern) -> Box<str> {
    let literals = pattern.parts.iter().filter_map(|part| match part {
        PatternPart::Literal(text) => Some(text),
        PatternPart::One | PatternPart::Any => None,
    });
    literals
        .max_by_key(|text| text.len())
        .cloned()
        .unwrap_or_default()
}

/// Sorts, and leaves out every text that another one covers.
fn without_redundant(
    mut texts: Vec<Box<str>>,
    order: impl Fn(&str, &str) -> std::cmp::Ordering,
    covers: impl Fn(&str, &str) -> bool,
) -> Vec<Box<str>> {
    texts.sort_by(|a, b| order(a, b));
    let mut kept: Vec<Box<str>> = Vec::with_capacity(texts.len());
    for text in texts {
        // What starts with a kept text follows it directly in the order, so the last one kept is the one to ask.
        if !kept.last().is_some_and(|short| covers(&text, short)) {
            kept.push(text);
        }
    }
    kept
}

fn infixes(mut texts: Vec<Box<str>>) -> Infixes {
    texts.sort_unstable();
    texts.dedup();
    if texts.is_empty() {
        return Infixes::None;
    }
    if texts.len() > FEW {
        // `is_match` stops at the first hit whatever the match kind; this kind allows the vectorised search.
        let mut builder = AhoCorasick::builder();
        builder.match_kind(MatchKind::LeftmostFirst);
        if let Ok(automaton) = builder.build(texts.iter().map(|text| text.as_bytes())) {
            return Infixes::Many(automaton, texts);
        }
    }
    Infixes::Few(
        texts
            .iter()
            .map(|text| Finder::new(text.as_bytes()).into_owned())
            .collect(),
    )
}

/// The text as a set of this case compares it.
pub(crate) fn fold(text: &str, case: Case) -> Box<str> {
    let mut folded = String::with_capacity(text.len());
    fold_into(text, case, &mut folded);
    folded.into()
}

/// Appends the folded text.
pub(crate) fn fold_into(text: &str, case: Case, folded: &mut String) {
    match case {
        Case::Sensitive => folded.push_str(text),
        Case::AsciiInsensitive => {
            let start = folded.len();
            folded.push_str(text);
            if let Some(added) = folded.get_mut(start..) {
                added.make_ascii_lowercase();
            }
        }
        Case::Insensitive => folded.extend(text.chars().map(|letter| pattern::fold_char(letter, case))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(case: Case, patterns: &[&str]) -> TextSet {
        let mut builder = TextSetBuilder::new(case);
        patterns
            .iter()
            .for_each(|pattern| builder.like(&Pattern::unescaped(pattern)));
        builder.build()
    }

    fn hold(text: &str) -> Necessity {
        Necessity::Hold(text.into())
    }

    #[test]
    fn texts_that_others_cover_are_left_out() {
        let set = set(Case::Sensitive, &["ab*", "abc*", "b*", "*yz", "*xyz", "*z"]);
        assert_eq!(set.prefixes, ["ab".into(), "b".into()]);
        assert_eq!(set.suffixes, ["z".into()]);
        for (text, inside) in [
            ("abcd", true),
            ("a", false),
            ("bz", true),
            ("ac", false),
            ("xz", true),
            ("", false),
        ] {
            assert_eq!(set.contains(text), inside, "{text}");
        }
    }

    #[test]
    fn necessities_are_the_texts_that_one_must_equal_or_hold() {
        let sorted = |set: TextSet| {
            let mut necessities = set.necessities().unwrap_or_default();
            necessities.sort();
            necessities
        };
        let mixed = set(
            Case::AsciiInsensitive,
            &["CURL", "wget*", "*.exe", "a*long?one*b"],
        );
        assert_eq!(
            sorted(mixed),
            [
                Necessity::Equal("curl".into()),
                hold(".exe"),
                hold("long"),
                hold("wget")
            ]
        );
        let many: Vec<String> = (0..50).map(|number| format!("*text{number}*")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(sorted(set(Case::Sensitive, &many)).len(), 50);
        assert_eq!(set(Case::Sensitive, &["curl", "*"]).necessities(), None);
        assert_eq!(set(Case::Sensitive, &["curl", "a*b"]).necessities(), None);
        assert_eq!(set(Case::Sensitive, &["curl", "???"]).necessities(), None);
    }

    #[test]
    fn unicode_letters_fold_one_by_one() {
        assert_eq!(&*fold("ÄÉx", Case::Insensitive), "äéx");
        assert_eq!(&*fold("ÄX", Case::AsciiInsensitive), "Äx");
        assert_eq!(&*fold("ÄX", Case::Sensitive), "ÄX");
        assert!(set(Case::Insensitive, &["?É?"]).contains(&fold("xéX", Case::Insensitive)));
    }
}
