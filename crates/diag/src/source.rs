//! A source text and the lines and columns of its offsets.

use crate::Span;

/// A text with the name that it is shown under.
#[derive(Clone, Copy, Debug)]
pub struct SourceFile<'a> {
    /// Path or other name: `rules/imds.toml`, `<query>`.
    pub name: &'a str,
    /// The whole text.
    pub text: &'a str,
}

/// A place in a text, as people count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters (Unicode code points; a tab is one).
    pub column: usize,
}

/// Finds lines and columns. Lines end with `\n`; a `\r` before it belongs to the line's end.
#[derive(Debug)]
pub struct LineIndex<'a> {
    text: &'a str,
    /// Offset of each line's first byte.
    starts: Vec<usize>,
}

impl<'a> LineIndex<'a> {
    /// Looks for the lines of `text` once.
    pub fn new(text: &'a str) -> Self {
        let mut starts = vec![0];
        starts.extend(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1));
        Self { text, starts }
    }

    /// Number of lines; a text that ends with a line break has an empty last one.
    pub fn line_count(&self) -> usize {
        self.starts.len()
    }

    /// Line (from 0) of an offset.
    pub fn line_of(&self, offset: usize) -> usize {
        self.starts
            .partition_point(|start| *start <= offset)
            .saturating_sub(1)
    }

    /// The bytes of a line (from 0) without its end; an empty range at the end of the text for a line that is not there.
    pub fn line_range(&self, line: usize) -> std::ops::Range<usize> {
        let end_of_text = self.text.len();
        let Some(start) = self.starts.get(line).copied() else {
            return end_of_text..end_of_text;
        };
        let end = self.starts.get(line + 1).map_or(end_of_text, |next| next - 1);
        let has_return = self
            .text
            .as_bytes()
            .get(start..end)
            .is_some_and(|bytes| bytes.ends_with(b"\r"));
        start..if has_return { end - 1 } else { end }
    }

    /// Line and column of an offset. An offset behind the text is its end; one inside a character is the character's.
    pub fn position(&self, offset: usize) -> Position {
        let offset = floor_boundary(self.text, offset);
        let line = self.line_of(offset);
        let start = self.starts.get(line).copied().unwrap_or(0);
        let column = self
            .text
            .get(start..offset)
            .map_or(0, |before| before.chars().count());
        Position {
            line: line + 1,
            column: column + 1,
        }
    }
}

/// The span as a range that can slice `text`: inside it, in order, widened to whole characters.
pub(crate) fn fit(span: Span, text: &str) -> std::ops::Range<usize> {
    let start = floor_boundary(text, span.start as usize);
    let mut end = (span.end as usize).min(text.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    start..end.max(start)
}

fn floor_boundary(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_and_survive_bad_offsets() {
        let index = LineIndex::new("aé\tb\r\nsecond\n");
        let at = |offset| {
            let position = index.position(offset);
            (position.line, position.column)
        };
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(1), (1, 2));
        assert_eq!(at(2), (1, 2), "inside é is é");
        assert_eq!(at(3), (1, 3));
        assert_eq!(at(7), (2, 1));
        assert_eq!(at(14), (3, 1));
        assert_eq!(at(1000), (3, 1));
        assert_eq!(index.line_count(), 3);
        assert_eq!(index.line_range(0), 0..5);
        assert_eq!(index.line_range(1), 7..13);
        assert_eq!(index.line_range(2), 14..14);
        assert_eq!(index.line_range(9), 14..14);
    }

    #[test]
    fn spans_are_made_to_fit() {
        assert_eq!(fit(Span { start: 2, end: 2 }, "aéb"), 1..3);
        assert_eq!(fit(Span { start: 9, end: 4 }, "aéb"), 4..4);
        assert_eq!(fit(Span { start: 3, end: 1 }, "aéb"), 3..3);
    }
}
