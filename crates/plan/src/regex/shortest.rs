//! Less of an expression that matches somewhere in the same texts.
//!
//! Whether a text has a match is all that is asked, so that a match may be as short as it can be: what is optional at an end of
//! the expression is left out, and what repeats there repeats as often as it must. `.*name` becomes `name`, and the many states of
//! `\w{1,64}` become one.

use regex_syntax::hir::{Hir, HirKind, Repetition};

/// An expression that matches somewhere in a text wherever this one does, and nowhere else.
pub(super) fn shortest(hir: &Hir) -> Hir {
    // What an end became may be what the other end looks at.
    at_end(&at_end(hir, End::Last), End::First)
}

/// An end of an expression.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    First,
    Last,
}

fn at_end(hir: &Hir, end: End) -> Hir {
    match hir.kind() {
        HirKind::Capture(capture) => at_end(&capture.sub, end),
        HirKind::Repetition(repetition) => match repetition.min {
            0 => Hir::empty(),
            1 => at_end(&repetition.sub, end),
            least => Hir::repetition(Repetition {
                max: Some(least),
                ..repetition.clone()
            }),
        },
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(|part| at_end(part, end)).collect()),
        HirKind::Concat(parts) => {
            let mut parts = parts.clone();
            if end == End::First {
                parts.reverse();
            }
            // Where nothing is left of a part, the one beside it stands at the end.
            while let Some(part) = parts.pop() {
                let part = at_end(&part, end);
                if !matches!(part.kind(), HirKind::Empty) {
                    parts.push(part);
                    break;
                }
            }
            if end == End::First {
                parts.reverse();
            }
            Hir::concat(parts)
        }
        // What looks beside a match needs it whole.
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => hir.clone(),
    }
}

#[cfg(test)]
mod tests {
    use regex_automata::meta;
    use regex_syntax::Parser;

    use super::*;

    #[test]
    fn what_is_optional_at_the_ends_is_left_out() {
        for (pattern, expected) in [
            (r"-k\s\w{1,64}(?:\s?(?:-p|-s))?", r"-k\s\w"),
            (".*name.*", "name"),
            ("a*(b+|c?d{3,})", "b|d{3}"),
            ("(a|b*)x?", "(?:a|)"),
            ("^a+.*$", "^a+.*$"),
            (r"\ba+b*", r"\ba"),
            ("(?:ab){2,}c?", "(?:ab){2}"),
            ("a{2,5}", "a{2}"),
        ] {
            let parse = |pattern: &str| Parser::new().parse(pattern).unwrap();
            assert_eq!(shortest(&parse(pattern)), shortest(&parse(expected)), "{pattern}");
            assert_eq!(
                shortest(&parse(pattern)).to_string(),
                parse(expected).to_string(),
                "{pattern}"
            );
        }
    }

    #[test]
    fn the_same_texts_have_a_match() {
        let patterns = [
            "a*b",
            "ab*",
            "(a|b)*",
            "(a|ab)(c|bcd)?(d*)",
            r"\ba+\b",
            r"a?\bb+",
            "^b?a{2,3}",
            "a{2,3}$|b+",
            "(?:a?b){2,3}a*",
            "(^|x)a*b",
            "(?:a|$)?b+(?:^|a)?",
            "a(?:b+$)?",
            "(?:b|)(?:a|)",
            "(?:a{0,2}){2}b",
        ];
        let letters = ["a", "b", "x", " "];
        let mut texts = vec![String::new()];
        let mut begin = 0;
        for _ in 0..5 {
            let end = texts.len();
            for place in begin..end {
                texts.extend(letters.map(|letter| format!("{}{letter}", texts[place])));
            }
            begin = end;
        }
        for pattern in patterns {
            let hir = Parser::new().parse(pattern).unwrap();
            let whole = meta::Builder::new().build_from_hir(&hir).unwrap();
            let less = meta::Builder::new().build_from_hir(&shortest(&hir)).unwrap();
            for text in &texts {
                assert_eq!(less.is_match(text), whole.is_match(text), "{pattern} in {text:?}");
            }
        }
    }
}
