//! What rules seek in every value of a record, sought in the record's text instead.
//!
//! Few rules look at all values, and reading them all is dear. A value that has a literal stands in the text with it, in the form
//! that JSON gives it; where the text has none of the literals, the values need not be read.

use std::sync::LazyLock;

use memchr::memchr2_iter;
use memchr::memmem::Finder;
use neph_plan::Case;

use crate::choose::Sought;
use crate::literals::{Anchor, Commonness, Literals};
use crate::text::{Letters, fold, fold_into};

/// Literals as the texts of records show them, each with what else the text must have.
#[derive(Debug, Default)]
pub(crate) struct RecordLiterals {
    literals: Literals,
    /// By the numbers of literals.
    sought: Vec<Entry>,
    letters: Letters,
}

#[derive(Debug)]
struct Entry {
    waiter: u32,
    /// The other literals of a pattern.
    others: Box<[Box<str>]>,
}

impl RecordLiterals {
    /// What waiters seek, given what is common in records. It is folded for all letters, whatever each test does.
    pub(crate) fn new<'s>(waiters: impl IntoIterator<Item = (u32, Sought<'s>)>, common: &Commonness) -> Self {
        let (mut texts, mut sought) = (Vec::new(), Vec::new());
        let folded = |text: &str| shown(text).map(|text| fold(&text, Case::Insensitive));
        for (waiter, set) in waiters {
            for (text, others) in set.necessities_of_whole_texts() {
                texts.push(folded(text));
                let others = others.into_iter().filter_map(folded).collect();
                sought.push(Entry { waiter, others });
            }
        }
        let literals = (0_u32..).zip(&texts).map(|(number, text)| match text {
            // Every text has it.
            None => ("", Anchor::Start, number),
            Some(text) => (&**text, Anchor::Inside, number),
        });
        let others = sought.iter().flat_map(|entry| &entry.others);
        let all = texts.iter().flatten().chain(others).map(|text| &**text);
        Self {
            literals: Literals::for_texts_with(common, literals),
            letters: Letters::of(all),
            sought,
        }
    }

    /// Whether a record may have what a waiter seeks that is asked for. `folded` is room for its text.
    pub(crate) fn may_be_in(
        &self,
        record: &str,
        folded: &mut String,
        is_asked_for: impl FnMut(u32) -> bool,
    ) -> bool {
        // Characters may be written by their number, which may be any.
        has_free_escape(record.as_bytes()) || self.may_be_in_plain(record, false, folded, is_asked_for)
    }

    /// The same for a record that escapes nothing that it need not, and may be known to be of ASCII.
    pub(crate) fn may_be_in_plain(
        &self,
        record: &str,
        is_ascii: bool,
        folded: &mut String,
        is_asked_for: impl FnMut(u32) -> bool,
    ) -> bool {
        if is_ascii || !self.letters.ask_to_fold(record) {
            return self.find(record, is_asked_for);
        }
        folded.clear();
        fold_into(record, Case::Insensitive, folded);
        self.find(folded, is_asked_for)
    }

    fn find(&self, text: &str, mut is_asked_for: impl FnMut(u32) -> bool) -> bool {
        self.literals.find(text, |number| {
            let Some(Entry { waiter, others }) = self.sought.get(number as usize) else {
                return false;
            };
            others.iter().all(|other| has(text.as_bytes(), other.as_bytes())) && is_asked_for(*waiter)
        })
    }
}

/// Whether a text has a literal, letters of ASCII being alike.
fn has(text: &[u8], literal: &[u8]) -> bool {
    let Some(first) = literal.first() else {
        return true;
    };
    memchr2_iter(first.to_ascii_lowercase(), first.to_ascii_uppercase(), text).any(|at| {
        let there = text.get(at..at + literal.len());
        there.is_some_and(|there| there.eq_ignore_ascii_case(literal))
    })
}

/// A literal as the JSON text of a record has it, if a value of the record has it and nothing is escaped that need not be.
/// `None` where it could be a part of a number, which may be written otherwise, or is short.
fn shown(literal: &str) -> Option<Box<str>> {
    let numeric = |byte: u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    if (literal.len() < 3 && literal.is_ascii()) || literal.bytes().all(numeric) {
        return None;
    }
    let quoted = serde_json::to_string(literal).ok()?;
    Some(quoted.strip_prefix('"')?.strip_suffix('"')?.into())
}

/// Whether a JSON text escapes what it need not: a `\uXXXX` or `\/`. Behind an escaped backslash both are none.
fn has_free_escape(text: &[u8]) -> bool {
    static ESCAPES: LazyLock<[Finder<'static>; 2]> = LazyLock::new(|| ["\\u", "\\/"].map(Finder::new));
    let Some(text) = memchr::memchr(b'\\', text).and_then(|first| text.get(first..)) else {
        return false;
    };
    let mut places = ESCAPES.iter().flat_map(|escape| escape.find_iter(text));
    places.any(|place| {
        let before = text.get(..place).unwrap_or_default();
        let backslashes = before.iter().rev().take_while(|byte| **byte == b'\\').count();
        backslashes.is_multiple_of(2)
    })
}

#[cfg(test)]
mod tests {
    use neph_plan::Pattern;

    use super::*;
    use crate::text::TextSetBuilder;

    #[test]
    fn literals_are_known_by_what_json_writes_of_them() {
        let shown = |text| shown(text).map(String::from);
        assert_eq!(shown("C:\\Users/\"x\n"), Some(r#"C:\\Users/\"x\n"#.to_owned()));
        assert_eq!(shown("über"), Some("über".to_owned()));
        assert_eq!(shown("10.25"), None);
        for (text, expected) in [
            (r"\u0041", true),
            (r"c:\\users", false),
            (r"\\\u0041", true),
            (r"\/etc", true),
            (r"\\/etc", false),
            ("u/", false),
        ] {
            assert_eq!(has_free_escape(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn letters_beyond_ascii_count_wherever_they_are_sought() {
        let mut set = TextSetBuilder::new(Case::Insensitive);
        set.like(&Pattern::unescaped("*some long text*É*"));
        set.holds("Kelvin");
        let set = set.build();
        let sought = RecordLiterals::new([(7, Sought::Set(&set))], &Commonness::default());
        for (text, expected) in [
            ("some long text é", true),
            ("SOME LONG TEXT É", true),
            ("SOME LONG TEXT ®", false),
            ("® \u{212a}elvin", true),
        ] {
            assert_eq!(
                sought.may_be_in(text, &mut String::new(), |_| true),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn a_pattern_needs_all_its_literals() {
        let mut set = TextSetBuilder::new(Case::Insensitive);
        set.like(&Pattern::unescaped("*/some/folder/*.B64*1"));
        set.like(&Pattern::unescaped("*Needle*"));
        let set = set.build();
        let sought = RecordLiterals::new([(7, Sought::Set(&set))], &Commonness::default());
        for (text, expected) in [
            (r#"{"a":"x/some/Folder/y.b64 1"}"#, true),
            (r#"{"a":"x/some/folder/y.b65"}"#, false),
            (r#"{"a":".b64"}"#, false),
            (r#"{"a":"a nEEdle"}"#, true),
        ] {
            let mut folded = String::new();
            assert_eq!(
                sought.may_be_in(text, &mut folded, |waiter| waiter == 7),
                expected,
                "{text}"
            );
            assert!(!sought.may_be_in(text, &mut folded, |_| false), "{text}");
        }
    }
}
