//! Patterns with `*` and `?`, held against texts and against one another.
//!
//! Clouds write permissions with such patterns, and a review asks about whole kinds of resources at once, which is a pattern
//! too: does the one cover the other, or do they meet at all? All three questions are answered by the same tables of two
//! rows, so the work is bounded by the product of the lengths, whatever is written.

use serde::Serialize;

/// Longer patterns are cut to this many characters when they are read; no cloud takes longer names.
const MAX_LENGTH: usize = 4096;

/// How wildcards treat colons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segments {
    /// A colon is a character like any other.
    None,
    /// Segments of an ARN end with colons: `?` stands for no colon, and `*` only where it is the last character of its segment.
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html>
    Arn,
    /// No wildcard stands for a colon: the resources of one kind, in a question.
    Within,
}

/// Whether letters differ by their case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// `a` is not `A`.
    Kept,
    /// ASCII letters are the same in both cases.
    Ignored,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Character(char),
    /// Any one character.
    One {
        colon: bool,
    },
    /// Any text, also none.
    Run {
        colon: bool,
    },
}

/// A pattern, or a text, which is a pattern without wildcards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    tokens: Vec<Token>,
}

impl Serialize for Pattern {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl Pattern {
    /// Reads a pattern.
    pub fn new(text: &str, case: Case, segments: Segments) -> Self {
        let characters: Vec<char> = text.chars().take(MAX_LENGTH).collect();
        let crosses = segments == Segments::None;
        let mut tokens = Vec::with_capacity(characters.len());
        for (at, character) in characters.iter().enumerate() {
            match character {
                '*' => {
                    let ends = matches!(characters.get(at + 1), None | Some(':'));
                    tokens.push(Token::Run {
                        colon: crosses || (ends && segments == Segments::Arn),
                    });
                }
                '?' => tokens.push(Token::One { colon: crosses }),
                other => tokens.push(Token::Character(folded(*other, case))),
            }
        }
        Self {
            text: text.to_owned(),
            tokens,
        }
    }

    /// A text as it is: `*` and `?` in it are characters.
    pub fn literal(text: &str, case: Case) -> Self {
        let characters = text.chars().take(MAX_LENGTH);
        Self {
            text: text.to_owned(),
            tokens: characters
                .map(|character| Token::Character(folded(character, case)))
                .collect(),
        }
    }

    /// Makes a pattern of pieces, of which those that are literal keep their `*` and `?` as characters.
    pub(crate) fn of_pieces(pieces: &[(String, bool)], segments: Segments) -> Self {
        let mut whole = Self {
            text: pieces.iter().map(|(text, _)| text.as_str()).collect(),
            tokens: Vec::new(),
        };
        for (at, (text, is_literal)) in pieces.iter().enumerate() {
            if *is_literal {
                whole.tokens.extend(Self::literal(text, Case::Kept).tokens);
                continue;
            }
            let mut part = Self::new(text, Case::Kept, segments).tokens;
            // What follows in the next piece tells whether a segment ends here.
            let next = pieces.get(at + 1).and_then(|(text, _)| text.chars().next());
            if let (Some(Token::Run { colon }), Segments::Arn, Some(next)) = (part.last_mut(), segments, next)
            {
                *colon = next == ':';
            }
            whole.tokens.extend(part);
        }
        whole.tokens.truncate(MAX_LENGTH);
        whole
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a text fits, read with the same case.
    pub fn matches(&self, text: &str, case: Case) -> bool {
        self.covers(&Self::literal(text, case))
    }

    /// Whether everything that fits `other` fits this one. It may say no where yes is right only for patterns that write
    /// one set in two ways (`a*?` and `a?*`).
    pub fn covers(&self, other: &Self) -> bool {
        relate(
            &self.tokens,
            &other.tokens,
            |own, other| match (own, other) {
                (Token::Character(own), Token::Character(other)) => own == other,
                (Token::One { colon }, Token::Character(other)) => colon || other != ':',
                (Token::One { colon }, Token::One { colon: wider }) => colon || !wider,
                (Token::Run { colon }, Token::Character(other)) => colon || other != ':',
                (Token::Run { colon }, Token::One { colon: wider } | Token::Run { colon: wider }) => {
                    colon || !wider
                }
                _ => false,
            },
            false,
        )
    }

    /// Whether some text fits both.
    pub fn meets(&self, other: &Self) -> bool {
        relate(
            &self.tokens,
            &other.tokens,
            |own, other| match (own, other) {
                (Token::Character(own), Token::Character(other)) => own == other,
                (Token::Character(one), Token::One { colon } | Token::Run { colon })
                | (Token::One { colon } | Token::Run { colon }, Token::Character(one)) => colon || one != ':',
                _ => true,
            },
            true,
        )
    }
}

fn folded(character: char, case: Case) -> char {
    match case {
        Case::Kept => character,
        Case::Ignored => character.to_ascii_lowercase(),
    }
}

/// Walks both from the left. `fits` says whether a token of the left takes a token of the right; a run of the left takes any
/// number of them, and where `both` is set a run of the right takes any number of the left's.
fn relate(left: &[Token], right: &[Token], fits: impl Fn(Token, Token) -> bool, both: bool) -> bool {
    // Most patterns part from the text within the first characters, which needs no table.
    let alike = |(own, other): &(&Token, &Token)| matches!(own, Token::Character(_)) && own == other;
    let start = left.iter().zip(right).take_while(alike).count();
    let (left, right) = (
        left.get(start..).unwrap_or(&[]),
        right.get(start..).unwrap_or(&[]),
    );
    if let (Some(Token::Character(_)), None | Some(Token::Character(_))) = (left.first(), right.first()) {
        return false;
    }
    // reached[i]: the tokens of the left so far can take exactly the first i of the right.
    let mut reached = vec![false; right.len() + 1];
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    let is_run = |token: &Token| matches!(token, Token::Run { .. });
    if both {
        open_end(&mut reached, right, &is_run);
    }
    for token in left {
        let mut next = vec![false; right.len() + 1];
        let left_run = is_run(token);
        let mut alive = false;
        for at in 0..next.len() {
            let get = |row: &[bool], index: Option<usize>| {
                index.and_then(|index| row.get(index)).copied().unwrap_or(false)
            };
            let before = at.checked_sub(1);
            let other = before.and_then(|before| right.get(before));
            let mut can = left_run && get(&reached, Some(at));
            if let Some(other) = other
                && fits(*token, *other)
            {
                can |= if is_run(other) && !left_run {
                    // Only when asked both ways does a run of the right stand for this token; then it may take more.
                    both && (get(&reached, before) || get(&reached, Some(at)))
                } else {
                    get(&reached, before) || (left_run && get(&next, before))
                };
            }
            if let (Some(cell), true) = (next.get_mut(at), can) {
                *cell = true;
                alive = true;
            }
            if both && other.is_some_and(is_run) && get(&next, before) {
                // A run of the right may be empty.
                if let Some(cell) = next.get_mut(at) {
                    *cell = true;
                }
            }
        }
        if !alive {
            return false;
        }
        reached = next;
    }
    reached.last().copied().unwrap_or(false)
}

/// Runs of the right that may be empty before anything of the left was read.
fn open_end(reached: &mut [bool], right: &[Token], is_run: &impl Fn(&Token) -> bool) {
    for (at, token) in right.iter().enumerate() {
        if !is_run(token) {
            return;
        }
        if let Some(cell) = reached.get_mut(at + 1) {
            *cell = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(text: &str) -> Pattern {
        Pattern::new(text, Case::Kept, Segments::None)
    }

    fn arn(text: &str) -> Pattern {
        Pattern::new(text, Case::Kept, Segments::Arn)
    }

    #[test]
    fn texts_fit_as_written() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a*c", "abbc", true),
            ("a*c", "ab", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("ü?", "üé", true),
        ] {
            assert_eq!(plain(pattern).matches(text, Case::Kept), fits, "{pattern} {text}");
        }
        let action = Pattern::new("EC2:create*", Case::Ignored, Segments::None);
        assert!(action.matches("ec2:CreateSnapshot", Case::Ignored));
    }

    #[test]
    fn stars_within_a_segment_of_an_arn_stay_in_it() {
        let within = arn("arn:aws:ec2:us-*1:111122223333:volume/vol-1");
        assert!(within.matches("arn:aws:ec2:us-east-1:111122223333:volume/vol-1", Case::Kept));
        let wide = "arn:aws:ec2:us-east-2:1:111122223333:volume/vol-1";
        assert!(!within.matches(wide, Case::Kept));
        assert!(
            arn("arn:aws:ec2:*:volume/vol-1").matches("arn:aws:ec2:us-east-1:1:volume/vol-1", Case::Kept)
        );
        assert!(arn("arn:aws:s3*").matches("arn:aws:s3:::bucket/key", Case::Kept));
        assert!(!arn("arn?aws:s3").matches("arn:aws:s3", Case::Kept));
    }

    #[test]
    fn patterns_cover_and_meet_patterns() {
        let snapshots = arn("arn:aws:ec2:*:*:snapshot/*");
        assert!(arn("*").covers(&snapshots));
        assert!(arn("arn:aws:ec2:*").covers(&snapshots));
        assert!(snapshots.covers(&snapshots));
        assert!(!arn("arn:aws:ec2:*:*:snapshot/snap-1").covers(&snapshots));
        assert!(arn("arn:aws:ec2:*:*:snapshot/snap-1").meets(&snapshots));
        assert!(snapshots.meets(&arn("arn:aws:ec2:eu-west-1:*:snapshot/snap-1*")));
        // A resource of another kind may hold colons of its own, so only a question that names one kind is apart from others.
        assert!(snapshots.meets(&arn("arn:aws:ec2:*:*:volume/*")));
        let asked = Pattern::new("arn:aws:ec2:*:*:snapshot/*", Case::Kept, Segments::Within);
        assert!(snapshots.covers(&asked) && !asked.covers(&snapshots));
        assert!(!asked.meets(&arn("arn:aws:ec2:*:*:volume/*")));
        assert!(!plain("a*").meets(&plain("b*")));
        assert!(plain("*a").meets(&plain("b*")));
        assert!(plain("?").meets(&plain("*")));
        assert!(!plain("").meets(&plain("?*")));
        assert!(plain("").meets(&plain("**")));
    }

    proptest! {
        /// What covers takes every text that the other takes; what takes one text together meets.
        #[test]
        fn covering_and_meeting_agree_with_texts(
            one in "[ab:*?]{0,7}", other in "[ab:*?]{0,7}", text in "[ab:]{0,7}", segments in any::<bool>()
        ) {
            let segments = if segments { Segments::Arn } else { Segments::None };
            let (one, other) = (Pattern::new(&one, Case::Kept, segments), Pattern::new(&other, Case::Kept, segments));
            let (by_one, by_other) = (one.matches(&text, Case::Kept), other.matches(&text, Case::Kept));
            if one.covers(&other) && by_other {
                prop_assert!(by_one);
            }
            if by_one && by_other {
                prop_assert!(one.meets(&other) && other.meets(&one));
            }
            prop_assert_eq!(one.meets(&other), other.meets(&one));
            prop_assert!(one.covers(&one));
            if one.covers(&other) && !other.text().contains("?:") {
                prop_assert!(one.meets(&other));
            }
        }
    }
}
