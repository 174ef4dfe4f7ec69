//! Sets of texts and patterns that one value is held against at once.

use std::hash::{Hash, Hasher};
use std::sync::OnceLock;

use memchr::memmem::{self, Finder};
use neph_event::Value;
use neph_plan::{Case, FieldId, Pattern, PatternPart, Test, pattern};

use crate::literals::{Anchor, Literals};

/// So many substrings are searched one by one; more are sought together.
const FEW: usize = 3;

/// Shorter literals are in too many texts to tell one from another, but for letters beyond ASCII.
const TELLING: usize = 3;

/// A disjunction over one text: the text equals, starts with, holds, ends with or matches one of these.
///
/// The set is built folded; the text that it is asked about must be folded the same way ([`fold_into`]). What searching needs
/// beyond the texts is made when it is first asked for: of the sets of many rules most are never asked.
#[derive(Debug)]
pub(crate) struct TextSet {
    texts: Texts,
    search: OnceLock<Box<Search>>,
}

/// What is in a set; sets are equal where this is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Texts {
    case: Case,
    /// Any text passes (the pattern `*`).
    everything: bool,
    /// Sorted.
    exact: Box<[Box<str>]>,
    /// Sorted, and none is the start of another: at most one can be the start of a text, and it is the greatest that
    /// is not above the text.
    prefixes: Box<[Box<str>]>,
    /// The same, read from the end.
    suffixes: Box<[Box<str>]>,
    /// Sorted.
    infixes: Box<[Box<str>]>,
    /// Sorted.
    patterns: Box<[Pattern]>,
}

#[derive(Debug)]
struct Search {
    infixes: Infixes,
    patterns: Vec<pattern::Matcher>,
}

#[derive(Debug)]
enum Infixes {
    Few(Vec<Finder<'static>>),
    Many(Box<Literals>),
}

impl PartialEq for TextSet {
    fn eq(&self, other: &Self) -> bool {
        self.texts == other.texts
    }
}

impl Eq for TextSet {}

impl Hash for TextSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.texts.hash(state);
    }
}

impl TextSet {
    /// How letters compare.
    pub(crate) fn case(&self) -> Case {
        self.texts.case
    }

    /// Whether the (folded) text is in the set.
    pub(crate) fn contains(&self, text: &str) -> bool {
        let texts = &self.texts;
        texts.everything
            || is_one_of(&texts.exact, text)
            || starts_with_one_of(&texts.prefixes, text)
            || ends_with_one_of(&texts.suffixes, text)
            || ((!texts.infixes.is_empty() || !texts.patterns.is_empty()) && self.is_found_in(text))
    }

    fn is_found_in(&self, text: &str) -> bool {
        let search = self.search.get_or_init(|| Box::new(self.texts.search()));
        let has_infix = match &search.infixes {
            Infixes::Few(finders) => finders
                .iter()
                .any(|finder| finder.find(text.as_bytes()).is_some()),
            Infixes::Many(literals) => literals.find(text, |number| {
                // What was found compared letters of ASCII without case.
                self.texts.case != Case::Sensitive
                    || self
                        .texts
                        .infixes
                        .get(number as usize)
                        .is_some_and(|infix| memmem::find(text.as_bytes(), infix.as_bytes()).is_some())
            }),
        };
        has_infix || search.patterns.iter().any(|pattern| pattern.is_match(text))
    }

    /// Whether only texts equal to one of a few are in the set.
    pub(crate) fn is_exact(&self) -> bool {
        let texts = &self.texts;
        !texts.everything
            && texts.prefixes.is_empty()
            && texts.suffixes.is_empty()
            && texts.infixes.is_empty()
            && texts.patterns.is_empty()
    }

    /// Whether a text in the set must have one of [`Self::necessities`]; not so where a text may be in it that has nothing
    /// that tells it from most others.
    pub(crate) fn is_telling(&self) -> bool {
        let texts = &self.texts;
        let short = |text: &str| !tells(text);
        !texts.everything
            && !texts.infixes.iter().any(|text| short(text))
            && !texts
                .prefixes
                .iter()
                .chain(&texts.suffixes)
                .any(|text| text.is_empty())
            && !texts
                .patterns
                .iter()
                .any(|pattern| telling_literal(pattern).is_none())
    }

    /// Of these a (folded) text has at least one, if the set is telling and the text in it.
    pub(crate) fn necessities(&self) -> impl Iterator<Item = (&str, Anchor)> {
        let patterns = self.texts.patterns.iter().filter_map(telling_literal);
        self.necessities_of_literals().chain(patterns)
    }

    /// The same without anchors, each with what else a text must have that is in the set because of it: the other literals of
    /// a pattern.
    pub(crate) fn necessities_of_whole_texts(&self) -> impl Iterator<Item = (&str, Vec<&str>)> {
        let literals = self.necessities_of_literals().map(|(text, _)| (text, Vec::new()));
        let patterns = self.texts.patterns.iter().filter_map(|pattern| {
            let others = pattern.parts.iter().filter_map(|part| match part {
                PatternPart::Literal(text) => Some(&**text),
                PatternPart::One | PatternPart::Any => None,
            });
            Some((telling_literal(pattern)?.0, others.collect()))
        });
        literals.chain(patterns)
    }

    fn necessities_of_literals(&self) -> impl Iterator<Item = (&str, Anchor)> {
        fn anchored(texts: &[Box<str>], anchor: Anchor) -> impl Iterator<Item = (&str, Anchor)> {
            texts.iter().map(move |text| (&**text, anchor))
        }
        let texts = &self.texts;
        anchored(&texts.exact, Anchor::Whole)
            .chain(anchored(&texts.prefixes, Anchor::Start))
            .chain(anchored(&texts.suffixes, Anchor::End))
            .chain(anchored(&texts.infixes, Anchor::Inside))
    }

    /// The set as a test of a field, for people to read.
    pub(crate) fn test(&self, field: FieldId) -> Test {
        use PatternPart::{Any, Literal};
        let texts = &self.texts;
        let lists = [&texts.exact, &texts.prefixes, &texts.suffixes, &texts.infixes];
        let filled = lists.map(|list| !list.is_empty());
        match (filled, texts.patterns.is_empty() && !texts.everything) {
            ([_, false, false, false], true) => {
                let values = texts.exact.iter().map(|text| Value::String(text.clone()));
                Test::Equals(field, values.collect(), texts.case)
            }
            ([false, true, false, false], true) => {
                Test::StartsWith(field, texts.prefixes.clone().into(), texts.case)
            }
            ([false, false, true, false], true) => {
                Test::EndsWith(field, texts.suffixes.clone().into(), texts.case)
            }
            ([false, false, false, true], true) => {
                Test::Contains(field, texts.infixes.clone().into(), texts.case)
            }
            _ => {
                let literals = self.necessities_of_literals().map(|(text, anchor)| {
                    let literal = Literal(text.into());
                    let parts = match anchor {
                        Anchor::Whole => vec![literal],
                        Anchor::Start => vec![literal, Any],
                        Anchor::End => vec![Any, literal],
                        Anchor::Inside => vec![Any, literal, Any],
                    };
                    Pattern { parts }
                });
                let everything = texts.everything.then(|| Pattern { parts: vec![Any] });
                let patterns = texts.patterns.iter().cloned();
                Test::Like(
                    field,
                    literals.chain(everything).chain(patterns).collect(),
                    texts.case,
                )
            }
        }
    }

    /// What asking costs, in the unit of [`crate::nodes::Estimate::cost`].
    pub(crate) fn cost(&self) -> f32 {
        let texts = &self.texts;
        let infixes = match texts.infixes.len() {
            few @ 0..=FEW => 4.0 * count(few),
            _ => 20.0,
        };
        let edges = if texts.prefixes.is_empty() && texts.suffixes.is_empty() {
            0.0
        } else {
            1.5
        };
        1.5 + edges + infixes + 8.0 * count(texts.patterns.len())
    }
}

impl Texts {
    fn search(&self) -> Search {
        let infixes = if self.infixes.len() > FEW && !self.infixes.iter().any(|text| text.is_empty()) {
            let numbered = (0_u32..).zip(&self.infixes);
            Infixes::Many(Box::new(Literals::new(
                numbered.map(|(number, text)| (&**text, Anchor::Inside, number)),
            )))
        } else {
            let texts = self.infixes.iter();
            Infixes::Few(
                texts
                    .map(|text| Finder::new(text.as_bytes()).into_owned())
                    .collect(),
            )
        };
        // The text arrives folded, so that the matcher compares exactly.
        let matcher = |pattern| pattern::Matcher::new(pattern, Case::Sensitive);
        Search {
            infixes,
            patterns: self.patterns.iter().map(matcher).collect(),
        }
    }
}

fn count(number: usize) -> f32 {
    f32::from(u16::try_from(number).unwrap_or(u16::MAX))
}

fn is_one_of(texts: &[Box<str>], text: &str) -> bool {
    match texts {
        few if few.len() <= 4 => few.iter().any(|one| **one == *text),
        many => many.binary_search_by(|one| (**one).cmp(text)).is_ok(),
    }
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
    exact: Vec<Box<str>>,
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
            exact: Vec::new(),
            prefixes: Vec::new(),
            suffixes: Vec::new(),
            infixes: Vec::new(),
            patterns: Vec::new(),
        }
    }

    pub(crate) fn equal(&mut self, text: &str) {
        self.exact.push(fold(text, self.case));
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

    /// Takes in all that is in another set of the same case.
    pub(crate) fn include(&mut self, set: &TextSet) {
        let texts = &set.texts;
        self.everything |= texts.everything;
        self.exact.extend_from_slice(&texts.exact);
        self.prefixes.extend_from_slice(&texts.prefixes);
        self.suffixes.extend_from_slice(&texts.suffixes);
        self.infixes.extend_from_slice(&texts.infixes);
        self.patterns.extend_from_slice(&texts.patterns);
    }

    pub(crate) fn build(self) -> TextSet {
        fn sorted<T: Ord>(mut list: Vec<T>) -> Box<[T]> {
            list.sort_unstable();
            list.dedup();
            list.into()
        }
        TextSet {
            texts: Texts {
                case: self.case,
                everything: self.everything,
                exact: sorted(self.exact),
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
                infixes: sorted(self.infixes),
                patterns: sorted(self.patterns),
            },
            search: OnceLock::new(),
        }
    }
}

/// Whether texts tell what has one of them from most others.
pub(crate) fn is_telling(texts: &[Box<str>]) -> bool {
    texts.iter().all(|text| tells(text))
}

fn tells(text: &str) -> bool {
    text.len() >= TELLING || !text.is_ascii()
}

/// The longest literal of a pattern, and where in a text that matches it stands; `None` where it tells little.
fn telling_literal(pattern: &Pattern) -> Option<(&str, Anchor)> {
    let last = pattern.parts.len().checked_sub(1)?;
    let literals = pattern
        .parts
        .iter()
        .enumerate()
        .filter_map(|(place, part)| match part {
            PatternPart::Literal(text) if place == 0 => Some((&**text, Anchor::Start)),
            PatternPart::Literal(text) if place == last => Some((&**text, Anchor::End)),
            PatternPart::Literal(text) => Some((&**text, Anchor::Inside)),
            PatternPart::One | PatternPart::Any => None,
        });
    let longest = literals.max_by_key(|(text, _)| text.len())?;
    tells(longest.0).then_some(longest)
}

/// Sorts, and leaves out every text that another one covers.
fn without_redundant(
    mut texts: Vec<Box<str>>,
    order: impl Fn(&str, &str) -> std::cmp::Ordering,
    covers: impl Fn(&str, &str) -> bool,
) -> Box<[Box<str>]> {
    texts.sort_by(|a, b| order(a, b));
    let mut kept: Vec<Box<str>> = Vec::with_capacity(texts.len());
    for text in texts {
        // What starts with a kept text follows it directly in the order, so the last one kept is the one to ask.
        if !kept.last().is_some_and(|short| covers(&text, short)) {
            kept.push(text);
        }
    }
    kept.into()
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
        // Most texts are of ASCII, and for these both are one.
        Case::Insensitive if !text.is_ascii() => {
            let mut rest = text;
            while let Some(other) = beyond_ascii(rest.as_bytes()) {
                let (plain, behind) = rest.split_at_checked(other).unwrap_or((rest, ""));
                push_lowered(plain, folded);
                let mut letters = behind.chars();
                folded.extend(letters.next().map(|letter| pattern::fold_char(letter, case)));
                rest = letters.as_str();
            }
            push_lowered(rest, folded);
        }
        Case::AsciiInsensitive | Case::Insensitive => push_lowered(text, folded),
    }
}

/// The letters beyond ASCII that folded literals have. They say which texts must be folded to be searched for these.
#[derive(Debug, Default)]
pub(crate) struct Letters(Box<[char]>);

impl Letters {
    pub(crate) fn of<'t>(literals: impl IntoIterator<Item = &'t str>) -> Self {
        let letters = literals.into_iter().flat_map(letters_beyond_ascii);
        let mut letters: Vec<char> = letters.collect();
        letters.sort_unstable();
        letters.dedup();
        Self(letters.into())
    }

    /// Whether a text may have literals only when it is folded for all letters: where one of its letters beyond ASCII stands
    /// for one that a literal has, or for one of ASCII, as the sign of kelvin does. Letters of ASCII compare without case
    /// anyway.
    pub(crate) fn ask_to_fold(&self, text: &str) -> bool {
        letters_beyond_ascii(text).any(|letter| {
            let folded = pattern::fold_char(letter, Case::Insensitive);
            folded.is_ascii() || self.0.binary_search(&folded).is_ok()
        })
    }
}

fn letters_beyond_ascii(text: &str) -> impl Iterator<Item = char> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut letters = rest.get(beyond_ascii(rest.as_bytes())?..)?.chars();
        let letter = letters.next();
        rest = letters.as_str();
        letter
    })
}

/// Where the first byte stands that is not of ASCII.
fn beyond_ascii(text: &[u8]) -> Option<usize> {
    const BLOCK: usize = 64;
    let (blocks, _) = text.as_chunks::<BLOCK>();
    let before = blocks.iter().take_while(|block| block.is_ascii()).count() * BLOCK;
    let rest = text.get(before..)?;
    if rest.len() < BLOCK && rest.is_ascii() {
        return None;
    }
    let (words, _) = rest.as_chunks::<16>();
    let start = words.iter().take_while(|word| word.is_ascii()).count() * 16;
    let place = rest.get(start..)?.iter().position(|byte| !byte.is_ascii())?;
    Some(before + start + place)
}

fn push_lowered(text: &str, folded: &mut String) {
    let start = folded.len();
    folded.push_str(text);
    if let Some(added) = folded.get_mut(start..) {
        added.make_ascii_lowercase();
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

    #[test]
    fn texts_that_others_cover_are_left_out() {
        let set = set(Case::Sensitive, &["ab*", "abc*", "b*", "*yz", "*xyz", "*z"]);
        assert_eq!(*set.texts.prefixes, ["ab".into(), "b".into()]);
        assert_eq!(*set.texts.suffixes, ["z".into()]);
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
    fn necessities_are_the_texts_that_one_must_have() {
        let mixed = set(
            Case::AsciiInsensitive,
            &["CURL", "wget*", "*.exe", "a*long?one*b", "start*x"],
        );
        assert!(mixed.is_telling());
        assert_eq!(
            mixed.necessities().collect::<Vec<_>>(),
            [
                ("curl", Anchor::Whole),
                ("wget", Anchor::Start),
                (".exe", Anchor::End),
                ("long", Anchor::Inside),
                ("start", Anchor::Start),
            ]
        );
        for vague in [["curl", "*"], ["curl", "a*b"], ["curl", "???"], ["curl", "*ab*"]] {
            assert!(!set(Case::Sensitive, &vague).is_telling(), "{vague:?}");
        }
    }

    #[test]
    fn many_substrings_are_found_by_case() {
        let patterns: Vec<String> = (0..50).map(|number| format!("*Text{number:02}*")).collect();
        let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let exactly = set(Case::Sensitive, &patterns);
        assert!(exactly.contains("a Text17 b") && !exactly.contains("a text17 b"));
        let folded = set(Case::Insensitive, &patterns);
        assert!(folded.contains("a text17 b") && !folded.contains("a text7 b"));
    }

    #[test]
    fn letters_are_folded_wherever_they_stand() {
        for length in 0..70 {
            for place in 0..=length {
                let text = format!("{}É{}®", "Ab".repeat(place), "xY\"".repeat(length - place));
                let expected: String = text
                    .chars()
                    .map(|letter| pattern::fold_char(letter, Case::Insensitive))
                    .collect();
                assert_eq!(*fold(&text, Case::Insensitive), *expected);
                assert_eq!(letters_beyond_ascii(&text).collect::<String>(), "É®");
            }
        }
    }

    #[test]
    fn unicode_letters_fold_one_by_one() {
        assert_eq!(&*fold("ÄÉx", Case::Insensitive), "äéx");
        assert_eq!(&*fold("ÄX", Case::AsciiInsensitive), "Äx");
        assert_eq!(&*fold("ÄX", Case::Sensitive), "ÄX");
        assert!(set(Case::Insensitive, &["?É?"]).contains(&fold("xéX", Case::Insensitive)));
    }
}
