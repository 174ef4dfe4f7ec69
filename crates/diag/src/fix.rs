//! Applying fixes to a text.

use std::ops::Range;

use crate::{Applicability, Fix};

/// What [`apply`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The text with the fixes in it.
    pub text: String,
    /// How many fixes are in the text; equal fixes count once each though they are made once.
    pub applied: usize,
    /// How many were left out, because they overlap one that was applied or do not fit the text. Checking the new text
    /// again gives those that still hold.
    pub skipped: usize,
}

/// Puts fixes into the text: each whole or not at all, earlier ones first where two overlap. With `only_sure`, fixes that
/// a person has to choose are passed over and counted in neither number.
pub fn apply(text: &str, fixes: &[Fix], only_sure: bool) -> Applied {
    let mut wanted: Vec<&Fix> = fixes
        .iter()
        .filter(|fix| !fix.edits.is_empty() && (!only_sure || fix.applicability == Applicability::Sure))
        .collect();
    wanted.sort_by_key(|fix| {
        fix.edits
            .iter()
            .map(|edit| (edit.span.start, edit.span.end))
            .min()
    });

    let mut taken: Vec<(Range<usize>, &str)> = Vec::new();
    let mut applied = 0;
    let mut skipped = 0;
    for fix in wanted {
        let edits: Vec<(Range<usize>, &str)> = fix
            .edits
            .iter()
            .map(|edit| (edit.span.range(), edit.replacement.as_str()))
            .collect();
        let present = edits.iter().all(|edit| taken.contains(edit));
        if present {
            applied += 1;
            continue;
        }
        let fits = edits.iter().all(|(range, _)| text.get(range.clone()).is_some());
        let free = edits.iter().enumerate().all(|(index, (range, _))| {
            let earlier = edits.iter().take(index).map(|(other, _)| other);
            taken
                .iter()
                .map(|(other, _)| other)
                .chain(earlier)
                .all(|other| !collide(range, other))
        });
        if fits && free {
            taken.extend(edits);
            applied += 1;
        } else {
            skipped += 1;
        }
    }

    // An insertion comes before a replacement that starts at the same place: the sort by end sees to it.
    taken.sort_by_key(|(range, _)| (range.start, range.end));
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (range, replacement) in taken {
        out.push_str(text.get(done..range.start).unwrap_or(""));
        out.push_str(replacement);
        done = range.end;
    }
    out.push_str(text.get(done..).unwrap_or(""));
    Applied {
        text: out,
        applied,
        skipped,
    }
}

/// Whether two edits cannot both be made: they share a byte, insert at one place, or one inserts within the other.
fn collide(a: &Range<usize>, b: &Range<usize>) -> bool {
    if a == b {
        return true;
    }
    a.start < b.end && b.start < a.end
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Edit, Span};

    fn fix(edits: &[(usize, usize, &str)], applicability: Applicability) -> Fix {
        let edits = edits
            .iter()
            .map(|(start, end, text)| Edit {
                span: Span::new(*start, *end),
                replacement: (*text).into(),
            })
            .collect();
        Fix {
            title: "mend it".into(),
            edits,
            applicability,
        }
    }

    #[test]
    fn several_fixes_go_in_and_overlapping_ones_wait() {
        let parentheses = fix(&[(5, 5, "("), (12, 12, ")")], Applicability::Sure);
        let replaces = fix(&[(5, 6, "B")], Applicability::Sure);
        let overlaps = fix(&[(4, 7, "x")], Applicability::Sure);
        let unsure = fix(&[(0, 1, "z")], Applicability::Maybe);
        let text = "a or b and c d";
        let all = [
            parentheses.clone(),
            parentheses,
            overlaps.clone(),
            replaces,
            unsure,
        ];
        let result = apply(text, &all, true);
        assert_eq!(
            result,
            Applied {
                text: "a orxand c d".into(),
                applied: 1,
                skipped: 3
            }
        );
        let without = [all[0].clone(), all[1].clone(), all[3].clone(), all[4].clone()];
        let result = apply(text, &without, false);
        assert_eq!(
            result,
            Applied {
                text: "z or (B and c) d".into(),
                applied: 4,
                skipped: 0
            }
        );
        assert_eq!(apply(text, &without, true).text, "a or (B and c) d");
    }

    #[test]
    fn a_fix_is_made_whole_or_not_at_all() {
        let text = "é and b";
        let inside_a_character = fix(&[(1, 2, "x"), (3, 6, "or")], Applicability::Sure);
        let behind_the_end = fix(&[(3, 6, "or"), (7, 90, "x")], Applicability::Sure);
        let against_itself = fix(&[(3, 6, "or"), (4, 5, "x")], Applicability::Sure);
        for bad in [inside_a_character, behind_the_end, against_itself] {
            assert_eq!(
                apply(text, &[bad], true),
                Applied {
                    text: text.into(),
                    applied: 0,
                    skipped: 1
                }
            );
        }
    }

    proptest! {
        #[test]
        fn any_fixes_leave_a_text_and_add_up(
            text in ".{0,40}",
            edits in prop::collection::vec((0_usize..60, 0_usize..8, "[a-z(]{0,3}"), 0..12),
        ) {
            let fixes: Vec<Fix> = edits
                .chunks(2)
                .map(|pair| Fix {
                    title: String::new(),
                    edits: pair
                        .iter()
                        .map(|(start, len, text)| Edit { span: Span::new(*start, start + len), replacement: text.clone() })
                        .collect(),
                    applicability: Applicability::Sure,
                })
                .collect();
            let result = apply(&text, &fixes, true);
            prop_assert_eq!(result.applied + result.skipped, fixes.len());
            if result.applied == 0 {
                prop_assert_eq!(&result.text, &text);
            }
            // Fixes given twice are made once.
            let twice: Vec<Fix> = fixes.iter().chain(&fixes).cloned().collect();
            prop_assert_eq!(apply(&text, &twice, true).text, result.text);
        }
    }
}
