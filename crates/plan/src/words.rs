//! Analysed text: how it splits in words, and the search for phrases.
//!
//! What Elasticsearch's standard analyser does: words by the boundaries of Unicode's annex 29, at most 255 characters each,
//! in lower case. <https://www.elastic.co/docs/reference/text-analysis/analysis-standard-analyzer>

use unicode_segmentation::UnicodeSegmentation;

use crate::pattern::Matcher;
use crate::{Case, Pattern, Phrase};

/// Words longer than this many characters are cut into pieces of it.
const LONGEST: usize = 255;

/// The words of a text, as written.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.unicode_words().flat_map(|word| {
        let mut rest = word;
        std::iter::from_fn(move || {
            let cut = match rest.char_indices().nth(LONGEST) {
                Some((cut, _)) => cut,
                None => rest.len(),
            };
            let (piece, behind) = rest.split_at_checked(cut)?;
            rest = behind;
            (!piece.is_empty()).then_some(piece)
        })
    })
}

impl Phrase {
    /// The phrase of all words of a text; `None` where it has none.
    pub fn of(text: &str) -> Option<Self> {
        let words: Vec<Pattern> = words(text).map(Pattern::literal).collect();
        (!words.is_empty()).then_some(Self { words })
    }
}

/// Phrases, ready to be looked for.
#[derive(Clone, Debug)]
pub struct Phrases {
    phrases: Vec<Vec<Matcher>>,
}

impl Phrases {
    /// Makes phrases ready.
    pub fn new(phrases: &[Phrase]) -> Self {
        let ready = |phrase: &Phrase| {
            let words = phrase.words.iter();
            words.map(|word| Matcher::new(word, Case::Insensitive)).collect()
        };
        Self {
            phrases: phrases.iter().map(ready).collect(),
        }
    }

    /// Whether the text has one of the phrases: its words one behind the other, nothing between.
    pub fn is_in(&self, text: &str) -> bool {
        let words: Vec<&str> = words(text).collect();
        self.phrases.iter().any(|phrase| {
            !phrase.is_empty()
                && words.windows(phrase.len()).any(|window| {
                    let mut pairs = phrase.iter().zip(window);
                    pairs.all(|(matcher, word)| matcher.is_match(word))
                })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(phrase: &str, text: &str) -> bool {
        Phrases::new(&[Phrase::of(phrase).unwrap()]).is_in(text)
    }

    #[test]
    fn texts_split_as_unicode_says() {
        let split = |text| words(text).collect::<Vec<_>>();
        assert_eq!(split("The quick-brown (fox)!"), ["The", "quick", "brown", "fox"]);
        assert_eq!(
            split("System.IO can't a_b 1.5"),
            ["System.IO", "can't", "a_b", "1.5"]
        );
        assert_eq!(
            split("[Convert]::FromBase64String("),
            ["Convert", "FromBase64String"]
        );
        assert!(split("-- * !").is_empty());
        let long = "x".repeat(600);
        assert_eq!(words(&long).map(str::len).collect::<Vec<_>>(), [255, 255, 90]);
    }

    #[test]
    fn phrases_are_words_in_a_row_in_any_case() {
        assert!(found("quick BROWN", "a Quick, brown fox"));
        assert!(!found("quick fox", "a quick brown fox"));
        assert!(!found("IO", "System.IO"));
        assert!(found("ÄRGER", "viel ärger"));
        assert!(Phrase::of("*").is_none());
        let any = Phrase {
            words: vec![Pattern::unescaped("bro*")],
        };
        assert!(Phrases::new(&[any]).is_in("quick Brown"));
    }
}
