//! The place in a text that a parser has reached, and the values that it collects.

use neph_diag::Span;
use neph_plan::{Pattern, PatternPart};

/// What stands between words.
pub(crate) fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n' | '\u{a0}')
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Scanner<'a> {
    pub(crate) text: &'a str,
    pub(crate) at: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(crate) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    pub(crate) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(crate) fn bump(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.at += character.len_utf8();
        Some(character)
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    /// Passes `text`, if it stands here.
    pub(crate) fn take(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    pub(crate) fn skip_space(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.bump();
        }
    }

    /// The span from `start` to here.
    pub(crate) fn since(&self, start: usize) -> Span {
        Span::new(start, self.at)
    }

    /// The span of the character here; at the end of the text an empty one.
    pub(crate) fn here(&self) -> Span {
        let length = self.peek().map_or(0, char::len_utf8);
        Span::new(self.at, self.at + length)
    }

    /// The character of four hexadecimal digits here, as Java and JSON write them: two such escapes may be one character.
    pub(crate) fn unicode(&mut self) -> Option<char> {
        let unit = self.hex()?;
        if let Some(character) = char::from_u32(unit) {
            return Some(character);
        }
        let before = *self;
        let low = if self.take("\\u") { self.hex() } else { None };
        let pair = low.and_then(|low| {
            let units = [u16::try_from(unit).ok()?, u16::try_from(low).ok()?];
            char::decode_utf16(units).next()?.ok()
        });
        if pair.is_none() {
            *self = before;
        }
        Some(pair.unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.rest().get(..4)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }
}

/// A value in the making.
#[derive(Debug, Default)]
pub(crate) struct PatternBuilder {
    parts: Vec<PatternPart>,
    literal: String,
}

impl PatternBuilder {
    pub(crate) fn push(&mut self, character: char) {
        self.literal.push(character);
    }

    pub(crate) fn push_str(&mut self, text: &str) {
        self.literal.push_str(text);
    }

    pub(crate) fn wildcard(&mut self, part: PatternPart) {
        self.flush();
        if part != PatternPart::Any || self.parts.last() != Some(&PatternPart::Any) {
            self.parts.push(part);
        }
    }

    fn flush(&mut self) {
        if !self.literal.is_empty() {
            self.parts
                .push(PatternPart::Literal(std::mem::take(&mut self.literal).into()));
        }
    }

    pub(crate) fn finish(mut self) -> Pattern {
        self.flush();
        Pattern { parts: self.parts }
    }

    /// The pattern without white space around it.
    pub(crate) fn finish_trimmed(self) -> Pattern {
        let mut pattern = self.finish();
        if let Some(PatternPart::Literal(first)) = pattern.parts.first_mut() {
            *first = first.trim_start().into();
        }
        if let Some(PatternPart::Literal(last)) = pattern.parts.last_mut() {
            *last = last.trim_end().into();
        }
        pattern
            .parts
            .retain(|part| !matches!(part, PatternPart::Literal(text) if text.is_empty()));
        pattern
    }
}
