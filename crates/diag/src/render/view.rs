//! The part of a text that is shown.
//!
//! A query may be one line of thousands of characters, hold tabs and control characters, and stand in a file of any
//! size. A [`View`] is a copy of the lines that are spoken of in which far-off text is left out and every character is
//! harmless, and it knows where each marked offset came to stand. Annotations and suggestions both use it.

use std::ops::Range;

use crate::harmless;
use crate::source::{LineIndex, SourceFile, fit};

/// Lines up to this many bytes are shown whole.
const WHOLE_LINE: usize = 140;
/// Of a longer line this many bytes stay on both sides of every marked offset.
const CONTEXT: usize = 40;
/// Stands for what was left out.
const GAP: &str = " … ";

/// A shown part of a text.
#[derive(Debug)]
pub(super) struct View {
    /// What is shown.
    pub(super) text: String,
    /// Number of its first line, from 1.
    pub(super) first_line: usize,
    /// Marked offsets of the source, ascending, with their place in `text`.
    marks: Vec<(usize, usize)>,
}

impl View {
    /// Shows the lines from the first of `ranges` to the last. The ranges must fit the text.
    pub(super) fn new(source: &SourceFile<'_>, lines: &LineIndex<'_>, ranges: &[Range<usize>]) -> Self {
        let mut offsets: Vec<usize> = ranges.iter().flat_map(|range| [range.start, range.end]).collect();
        offsets.sort_unstable();
        offsets.dedup();
        let first = offsets.first().map_or(0, |offset| lines.line_of(*offset));
        let last = offsets.last().map_or(0, |offset| lines.line_of(*offset));
        let mut view = Self {
            text: String::new(),
            first_line: first + 1,
            marks: Vec::with_capacity(offsets.len()),
        };
        let mut offsets = offsets.into_iter().peekable();
        for line in first..=last {
            if line > first {
                view.text.push('\n');
            }
            let range = lines.line_range(line);
            let next_line = if line == last {
                usize::MAX
            } else {
                lines.line_range(line + 1).start
            };
            let mut marked = Vec::new();
            while let Some(offset) = offsets.next_if(|offset| *offset < next_line) {
                // An offset between `\r` and `\n` is shown at the line's end.
                marked.push((offset, offset.min(range.end)));
            }
            view.push_line(source.text, range, &marked);
        }
        view
    }

    fn push_line(&mut self, source: &str, line: Range<usize>, marked: &[(usize, usize)]) {
        let mut at = line.start;
        let shown = shown_parts(source, &line, marked);
        for part in shown {
            if part.start > at {
                self.text.push_str(GAP);
            }
            at = part.start;
            for (offset, shown_at) in marked
                .iter()
                .filter(|(_, shown_at)| part.start <= *shown_at && *shown_at <= part.end)
            {
                harmless::push(&mut self.text, source.get(at..*shown_at).unwrap_or(""));
                self.marks.push((*offset, self.text.len()));
                at = *shown_at;
            }
            harmless::push(&mut self.text, source.get(at..part.end).unwrap_or(""));
            at = part.end;
        }
        if at < line.end {
            self.text.push_str(GAP.trim_end());
        }
    }

    /// Where a range came to stand that was among those that the view was made for.
    pub(super) fn place(&self, range: &Range<usize>) -> Range<usize> {
        let of = |offset: usize| {
            let index = self.marks.partition_point(|(marked, _)| *marked < offset);
            self.marks.get(index).map_or(self.text.len(), |(_, place)| *place)
        };
        let start = of(range.start);
        start..of(range.end).max(start)
    }
}

/// The parts of a line that are shown: all of a short line, else the surroundings of the marked offsets.
fn shown_parts(source: &str, line: &Range<usize>, marked: &[(usize, usize)]) -> Vec<Range<usize>> {
    if line.len() <= WHOLE_LINE {
        return vec![line.clone()];
    }
    let mut parts: Vec<Range<usize>> = Vec::new();
    let around = |offset: usize| {
        let wanted = offset.saturating_sub(CONTEXT).max(line.start)..(offset + CONTEXT).min(line.end);
        fit(crate::Span::new(wanted.start, wanted.end), source)
    };
    let starts = if marked.is_empty() {
        &[(line.start, line.start)][..]
    } else {
        marked
    };
    for (_, offset) in starts {
        let part = around(*offset);
        match parts.last_mut() {
            // A gap that would save less than it costs is not made.
            Some(last) if part.start <= last.end + GAP.len() => last.end = last.end.max(part.end),
            _ => parts.push(part),
        }
    }
    if let Some(first) = parts.first_mut()
        && first.start <= line.start + GAP.len()
    {
        first.start = line.start;
    }
    if let Some(last) = parts.last_mut()
        && line.end <= last.end + GAP.len()
    {
        last.end = line.end;
    }
    parts
}
