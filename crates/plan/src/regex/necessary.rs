//! Literals of which a text must have one for an expression to match.

use regex_syntax::hir::{Class, Hir, HirKind};

use crate::{Case, pattern};

/// More literals than these tell little.
const MOST: usize = 64;

/// Texts of which every match has one, letters being alike whatever their case; `None` where no such texts are found.
pub(super) fn necessary(hir: &Hir) -> Option<Vec<Box<str>>> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => None,
        HirKind::Literal(_) | HirKind::Class(_) => {
            let mut text = String::new();
            append(hir, &mut text).then(|| vec![text.into()])
        }
        HirKind::Capture(capture) => necessary(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => necessary(&repetition.sub),
        HirKind::Repetition(_) => None,
        HirKind::Alternation(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(necessary(part)?);
                if all.len() > MOST {
                    return None;
                }
            }
            Some(all)
        }
        HirKind::Concat(parts) => {
            let mut best: Option<Vec<Box<str>>> = None;
            let mut run = String::new();
            for part in parts {
                // What stands between two characters and is none does not part them.
                if matches!(part.kind(), HirKind::Look(_) | HirKind::Empty) || append(part, &mut run) {
                    continue;
                }
                best = better(best, end(&mut run));
                best = better(best, necessary(part));
            }
            better(best, end(&mut run))
        }
    }
}

/// Takes the text that was gathered, if there is any.
fn end(run: &mut String) -> Option<Vec<Box<str>>> {
    (!run.is_empty()).then(|| vec![std::mem::take(run).into()])
}

/// The texts that tell more: of which the shortest is longer.
fn better(a: Option<Vec<Box<str>>>, b: Option<Vec<Box<str>>>) -> Option<Vec<Box<str>>> {
    let shortest = |texts: &Vec<Box<str>>| texts.iter().map(|text| text.len()).min().unwrap_or(0);
    match (a, b) {
        (Some(a), Some(b)) => Some(if shortest(&b) > shortest(&a) { b } else { a }),
        (a, b) => a.or(b),
    }
}

/// Appends what an expression stands for, if that is one text but for the case of letters; else leaves the text as it was.
fn append(hir: &Hir, text: &mut String) -> bool {
    let length = text.len();
    let is_one = match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => true,
        HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
            Ok(literal) => {
                text.extend(literal.chars().map(folded));
                true
            }
            Err(_) => false,
        },
        HirKind::Class(class) => only_letter(class).is_some_and(|letter| {
            text.push(letter);
            true
        }),
        HirKind::Capture(capture) => append(&capture.sub, text),
        HirKind::Concat(parts) => parts.iter().all(|part| append(part, text)),
        HirKind::Repetition(_) | HirKind::Alternation(_) => false,
    };
    if !is_one {
        text.truncate(length);
    }
    is_one
}

/// The letter that all characters of a class are, but for its case.
fn only_letter(class: &Class) -> Option<char> {
    let mut only = None;
    let mut take = |start: char, end: char| {
        // A range of letters of one case is more than one letter.
        let is_one = start == end && *only.get_or_insert(folded(start)) == folded(start);
        is_one.then_some(())
    };
    match class {
        Class::Unicode(class) => class
            .iter()
            .try_for_each(|range| take(range.start(), range.end()))?,
        Class::Bytes(class) => class.iter().try_for_each(|range| {
            let is_ascii = range.end().is_ascii();
            is_ascii
                .then(|| take(char::from(range.start()), char::from(range.end())))
                .flatten()
        })?,
    }
    only
}

fn folded(letter: char) -> char {
    pattern::fold_char(letter, Case::Insensitive)
}

#[cfg(test)]
mod tests {
    use crate::{Case, RegexDialect, regex};

    #[track_caller]
    fn check(pattern: &str, case: Case, expected: &[&str]) {
        let compiled = regex::compile(&[pattern.into()], RegexDialect::Search, case).unwrap();
        let found = compiled.necessities().unwrap_or_default();
        let found: Vec<&str> = found.iter().map(|text| &**text).collect();
        assert_eq!(found, expected, "{pattern}");
    }

    #[test]
    fn the_longest_text_is_found_that_every_match_has() {
        check(r"net\s+user", Case::Sensitive, &["user"]);
        check(r"^(ab)c\b-Def$", Case::Sensitive, &["abc-def"]);
        check(r"x?(alpha|beta+)y{0,2}", Case::Sensitive, &["alpha", "bet"]);
        check(r"(?:cmd){2}", Case::Sensitive, &["cmd"]);
        check(r"[a-z]+\d", Case::Sensitive, &[]);
        check(r"a|b*", Case::Sensitive, &[]);
        check(r"(long enough)?", Case::Sensitive, &[]);
    }

    #[test]
    fn letters_of_both_cases_are_one() {
        check(r"(?i)WerFault", Case::Sensitive, &["werfault"]);
        check(r"Fault", Case::AsciiInsensitive, &["fault"]);
        // `ſ` is an `s` to expressions, and does not fold to it.
        check(r"(?i)faultsecure", Case::Sensitive, &["fault"]);
        check(r"[Éé]cole", Case::Sensitive, &["école"]);
    }
}
