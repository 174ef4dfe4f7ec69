//! Many literals sought in one text at once.
//!
//! Of every literal a few bytes are kept that tell it from most texts. A literal that must begin or end a text is looked up by
//! the first or last up to eight bytes of the text ([`edges`]). One that may stand anywhere is found by *grams* of up to four
//! bytes ([`grams`]): the grams of the text are held against a filter of bits, which most of them do not pass, and only behind
//! the filter literals are compared. Where all literals are long, they are filed under several neighbouring grams, so that only
//! one of as many places of the text is looked at. A few literals are found by grams of three bytes that a search for all of them
//! at many places of the text at once finds.
//!
//! Letters of ASCII compare without case; whoever wants more compares again. Against an automaton over the same literals this
//! takes some bytes for each literal instead of hundreds, and next to no time to build.

mod common;
mod edges;
mod few;
mod grams;

pub(crate) use common::Commonness;
use edges::Edges;
use grams::Inside;

use crate::text::Letters;

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
    texts: Texts,
    /// Literals that are, or begin, the text.
    heads: Edges,
    /// Literals that end the text.
    tails: Edges,
    /// Literals of no length, which every text has; with [`Anchor::Whole`] only the empty text.
    empty: Vec<u32>,
    inside: Inside,
    /// Those that have letters beyond ASCII, for texts that have some.
    foreign: Inside,
    letters: Letters,
}

/// The texts of all literals, one after the other.
#[derive(Debug, Default)]
struct Texts {
    bytes: Vec<u8>,
    literals: Vec<Literal>,
}

#[derive(Clone, Copy, Debug)]
struct Literal {
    start: u32,
    end: u32,
    anchor: Anchor,
    number: u32,
}

impl Literals {
    /// Makes literals ready that were folded to lower case.
    pub(crate) fn new<'t>(literals: impl IntoIterator<Item = (&'t str, Anchor, u32)>) -> Self {
        Self::for_texts_with(&Commonness::default(), literals)
    }

    /// The same, given what is common in the texts that will be searched. What is found does not depend on it.
    pub(crate) fn for_texts_with<'t>(
        common: &Commonness,
        literals: impl IntoIterator<Item = (&'t str, Anchor, u32)>,
    ) -> Self {
        let mut made = Self::default();
        let (mut inside, mut foreign, mut with_letters) = (Vec::new(), Vec::new(), Vec::new());
        for (text, anchor, number) in literals {
            let place = made.texts.add(text.as_bytes(), anchor, number);
            if !text.is_ascii() {
                with_letters.push(text);
            }
            match anchor {
                _ if text.is_empty() => made.empty.push(place),
                Anchor::Whole | Anchor::Start => made.heads.add_head(text.as_bytes(), place),
                Anchor::End => made.tails.add_tail(text.as_bytes(), place),
                Anchor::Inside if text.is_ascii() => inside.push(place),
                Anchor::Inside => foreign.push(place),
            }
        }
        made.texts.bytes.shrink_to_fit();
        made.texts.literals.shrink_to_fit();
        made.heads.finish();
        made.tails.finish();
        made.inside = Inside::new(&made.texts, inside, common);
        made.foreign = Inside::new(&made.texts, foreign, common);
        made.letters = Letters::of(with_letters);
        made
    }

    /// Whether a text must be folded for all letters before it is searched; see [`Letters::ask_to_fold`].
    pub(crate) fn ask_to_fold(&self, text: &str) -> bool {
        self.letters.ask_to_fold(text)
    }

    /// Calls `found` with the number of every literal that the text has, with some more than once, until it says that this
    /// is enough; whether it did.
    #[inline]
    pub(crate) fn find(&self, text: &str, mut found: impl FnMut(u32) -> bool) -> bool {
        let bytes = text.as_bytes();
        let mut found_at = |place: u32, at: usize| {
            let literal = self.texts.literals.get(place as usize);
            literal.is_some_and(|literal| self.texts.stands_at(literal, bytes, at) && found(literal.number))
        };
        for place in &self.empty {
            if found_at(*place, 0) {
                return true;
            }
        }
        self.heads.of_head(bytes, |place| found_at(place, 0))
            || self.tails.of_tail(bytes, |place| {
                let literal = self.texts.literals.get(place as usize);
                let at = literal.and_then(|literal| bytes.len().checked_sub(literal.len()));
                at.is_some_and(|at| found_at(place, at))
            })
            || self.inside.find(bytes, &mut found_at)
            || (!self.foreign.is_empty() && !text.is_ascii() && self.foreign.find(bytes, &mut found_at))
    }
}

impl Texts {
    fn add(&mut self, text: &[u8], anchor: Anchor, number: u32) -> u32 {
        let start = narrow(self.bytes.len());
        self.bytes.extend_from_slice(text);
        self.literals.push(Literal {
            start,
            end: narrow(self.bytes.len()),
            anchor,
            number,
        });
        narrow(self.literals.len() - 1)
    }

    fn text(&self, place: u32) -> &[u8] {
        let literal = self.literals.get(place as usize);
        literal.map_or(&[], |literal| self.text_of(literal))
    }

    fn text_of(&self, literal: &Literal) -> &[u8] {
        self.bytes
            .get(literal.start as usize..literal.end as usize)
            .unwrap_or_default()
    }

    /// Whether a literal stands at a place of a text, which is all of it where it must be.
    fn stands_at(&self, literal: &Literal, text: &[u8], at: usize) -> bool {
        let there = text.get(at..at + literal.len());
        there.is_some_and(|there| there.eq_ignore_ascii_case(self.text_of(literal)))
            && (literal.anchor != Anchor::Whole || literal.len() == text.len())
    }
}

impl Literal {
    fn len(&self) -> usize {
        (self.end - self.start) as usize
    }
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use neph_plan::Case;
    use proptest::prelude::*;

    use super::*;
    use crate::text::fold;

    fn naive(text: &str, literal: &str, anchor: Anchor) -> bool {
        let text = text.to_ascii_lowercase();
        match anchor {
            Anchor::Whole => text == literal,
            Anchor::Start => text.starts_with(literal),
            Anchor::End => text.ends_with(literal),
            Anchor::Inside => text.contains(literal),
        }
    }

    fn anchor() -> impl Strategy<Value = Anchor> {
        prop::sample::select(vec![Anchor::Whole, Anchor::Start, Anchor::End, Anchor::Inside])
    }

    fn literal() -> impl Strategy<Value = (String, Anchor)> {
        let text = prop_oneof![
            4 => "[abé\\\\.]{0,5}",
            2 => "[ab@z\\[`]{4,12}",
            1 => Just("curl".to_owned()),
            1 => "[abz]{30,50}",
        ];
        // An empty literal inside is in every text, which callers see themselves.
        (text, anchor()).prop_map(|(text, anchor)| match (text.is_empty(), anchor) {
            (true, Anchor::Inside) => (text, Anchor::Start),
            _ => (text, anchor),
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_found_is_what_one_by_one_finds(
            literals in prop::collection::vec(literal(), 0..40),
            // Of literals that are all long, or few, other searches are made.
            shortest in prop::sample::select(vec![0, 3, 5, 9]),
            before in prop_oneof![Just(String::new()), "[abAB \".]{40,90}"],
            text in prop_oneof!["[aAbBé\\\\.]{0,9}", "[aAbB@Zz\\[`{]{0,30}", "[ab]{0,4}(curl|CuRL)[ab]{0,4}"],
            is_known in any::<bool>(),
        ) {
            let text = before.clone() + &text;
            let literals: Vec<_> = literals.into_iter().filter(|(text, _)| text.len() >= shortest).collect();
            let mut common = Commonness::default();
            if is_known {
                common.learn(before.as_bytes());
                common.learn(b"x");
            }
            let made = Literals::for_texts_with(
                &common,
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

        #[test]
        fn a_text_that_need_not_be_folded_has_what_its_folded_form_has(
            literals in prop::collection::vec(("[akséß®\u{17f}i\u{307}]{1,3}", anchor()), 1..12),
            text in "[aAkKsSéÉ®\u{212a}\u{17f}\u{130}\u{1e9e}x]{0,12}",
        ) {
            let folded: Vec<_> = literals.iter().map(|(text, _)| fold(text, Case::Insensitive)).collect();
            let made = Literals::new(
                (0_u32..).zip(&literals).zip(&folded).map(|((number, (_, anchor)), text)| (&**text, *anchor, number)),
            );
            let found = |text: &str| {
                let mut found = vec![false; literals.len()];
                made.find(text, |number| {
                    found[number as usize] = true;
                    false
                });
                found
            };
            if !made.ask_to_fold(&text) {
                prop_assert_eq!(found(&text), found(&fold(&text, Case::Insensitive)));
            }
        }
    }

    #[test]
    fn few_texts_must_be_folded() {
        let of = |literal: &'static str| Literals::new([(literal, Anchor::Inside, 0)]);
        for (literal, text, expected) in [
            ("kelvin", "plain", false),
            ("kelvin", "Windows® ÄÖÜ", false),
            ("kelvin", "\u{212a}elvin", true),
            ("über", "Ä®", false),
            ("über", "Ü", true),
            ("über", "ü", true),
        ] {
            assert_eq!(of(literal).ask_to_fold(text), expected, "{literal} {text}");
        }
    }

    #[test]
    fn a_few_literals_are_found_wherever_they_stand_however_common_their_grams_are() {
        let texts = [
            "sekurlsa::",
            "lsadump::",
            "misc::skeleton",
            "kiwi legit printer",
            "mimidrv.sys",
        ];
        let mut common = Commonness::default();
        common.learn(&b"{\"process\":{\"name\":\"conhost.exe\"}}".repeat(40));
        let numbered = (0_u32..).zip(texts);
        let made = Literals::for_texts_with(
            &common,
            numbered.map(|(number, text)| (text, Anchor::Inside, number)),
        );
        for (number, text) in (0_u32..).zip(texts) {
            for (filler, place) in [
                ("x", 0),
                ("x", 47),
                ("::s", 90),
                ("lsa", 33),
                ("a::b ", 300),
                ("kiw", 64),
            ] {
                for behind in [0, 1, 31, 80] {
                    let hay = format!(
                        "{}{}{}",
                        filler.repeat(place),
                        text.to_uppercase(),
                        filler.repeat(behind)
                    );
                    let mut found = Vec::new();
                    made.find(&hay, |number| {
                        found.push(number);
                        false
                    });
                    found.sort_unstable();
                    found.dedup();
                    assert_eq!(found, [number], "{hay}");
                    let cut = hay.get(1 + filler.len() * place..).unwrap();
                    assert!(!made.find(cut, |_| true), "{hay}");
                }
            }
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
