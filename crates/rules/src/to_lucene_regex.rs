//! Regular expressions that are searched for, as Lucene's, which match whole values.

use neph_plan::{Case, Pattern, PatternPart};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, ClassUnicode, Hir, HirKind, Look};

/// An expression of Lucene that the values match in which the given one is found.
///
/// # Errors
/// Says what Lucene has no words for.
pub(crate) fn search(expression: &str, case: Case) -> Result<String, String> {
    let hir = ParserBuilder::new()
        .case_insensitive(case != Case::Sensitive)
        .build()
        .parse(expression)
        .map_err(|_| {
            "its regular expression has parts that cannot be written in Lucene's dialect".to_owned()
        })?;
    let branches: Vec<&Hir> = match hir.kind() {
        HirKind::Alternation(parts) => parts.iter().collect(),
        _ => vec![&hir],
    };
    let whole: Result<Vec<String>, String> = branches.into_iter().map(whole).collect();
    Ok(whole?.join("|"))
}

/// Whether an expression that is searched for can be found in no text at all: an empty class, a beginning behind something,
/// an end in front of something.
pub(crate) fn never_found(expression: &str) -> bool {
    let hir = ParserBuilder::new().build().parse(expression);
    hir.is_ok_and(|hir| is_never(&hir))
}

fn is_never(hir: &Hir) -> bool {
    let takes = |part: &Hir| part.properties().minimum_len().is_none_or(|least| least > 0);
    match hir.kind() {
        HirKind::Capture(capture) => is_never(&capture.sub),
        HirKind::Alternation(parts) => parts.iter().all(is_never),
        HirKind::Concat(parts) => {
            let border = |look: Look| {
                parts
                    .iter()
                    .position(|part| matches!(part.kind(), HirKind::Look(found) if *found == look))
            };
            let before = |position: usize| parts.iter().take(position).any(takes);
            let behind = |position: usize| parts.iter().skip(position + 1).any(takes);
            parts.iter().any(is_never)
                || border(Look::Start).is_some_and(before)
                || border(Look::End).is_some_and(behind)
        }
        _ => hir.properties().minimum_len().is_none(),
    }
}

/// Any text; in Lucene `.` stands for line breaks too.
const ANYTHING: &str = ".*";

/// A wildcard pattern as an expression.
pub(crate) fn pattern(pattern: &Pattern) -> String {
    let mut out = String::new();
    for part in &pattern.parts {
        match part {
            PatternPart::Literal(text) => text.chars().for_each(|character| push(character, &mut out)),
            PatternPart::One => out.push('.'),
            PatternPart::Any => out.push_str(ANYTHING),
        }
    }
    out
}

/// The expression of the values in which this one, which may begin with `^` and end with `$`, is found.
fn whole(hir: &Hir) -> Result<String, String> {
    let parts: &[Hir] = match hir.kind() {
        HirKind::Concat(parts) => parts,
        HirKind::Capture(capture) => return whole(&capture.sub),
        _ => std::slice::from_ref(hir),
    };
    let is = |part: &Hir, look: Look| matches!(part.kind(), HirKind::Look(found) if *found == look);
    let (open, parts) = match parts.split_first() {
        Some((first, rest)) if is(first, Look::Start) => ("", rest),
        _ => (ANYTHING, parts),
    };
    let (close, parts) = match parts.split_last() {
        Some((last, rest)) if is(last, Look::End) => ("", rest),
        _ => (ANYTHING, parts),
    };
    let mut out = open.to_owned();
    parts.iter().try_for_each(|part| write(part, &mut out))?;
    out.push_str(close);
    Ok(out)
}

fn write(hir: &Hir, out: &mut String) -> Result<(), String> {
    match hir.kind() {
        HirKind::Empty => out.push_str("()"),
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0)
                .map_err(|_| "its regular expression matches bytes".to_owned())?;
            text.chars().for_each(|character| push(character, out));
        }
        HirKind::Class(Class::Unicode(class)) => {
            if let Some(short) = perl_class(class) {
                out.push_str(short);
                return Ok(());
            }
            out.push('[');
            for range in class.ranges() {
                push(range.start(), out);
                if range.start() != range.end() {
                    out.push('-');
                    push(range.end(), out);
                }
            }
            out.push(']');
        }
        HirKind::Class(Class::Bytes(_)) => return Err("its regular expression matches bytes".into()),
        HirKind::Look(_) => {
            return Err(
                "its regular expression asks for borders of words or lines, which Lucene's dialect cannot"
                    .into(),
            );
        }
        HirKind::Repetition(repetition) => {
            out.push('(');
            write(&repetition.sub, out)?;
            out.push(')');
            match (repetition.min, repetition.max) {
                (0, None) => out.push('*'),
                (1, None) => out.push('+'),
                (0, Some(1)) => out.push('?'),
                (least, None) => out.push_str(&format!("{{{least},}}")),
                (least, Some(most)) => out.push_str(&format!("{{{least},{most}}}")),
            }
        }
        HirKind::Capture(capture) => {
            out.push('(');
            write(&capture.sub, out)?;
            out.push(')');
        }
        HirKind::Concat(parts) => parts.iter().try_for_each(|part| write(part, out))?,
        HirKind::Alternation(parts) => {
            out.push('(');
            for (number, part) in parts.iter().enumerate() {
                if number > 0 {
                    out.push('|');
                }
                write(part, out)?;
            }
            out.push(')');
        }
    }
    Ok(())
}

/// A character that is meant.
fn push(character: char, out: &mut String) {
    if character.is_ascii_punctuation() {
        out.push('\\');
    }
    out.push(character);
}

/// The short form of a class, which stands for its characters of ASCII in Lucene; the others are in no log that anybody
/// has seen, and would make hundreds of ranges.
fn perl_class(class: &ClassUnicode) -> Option<&'static str> {
    const SHORT: [&str; 6] = [r"\d", r"\D", r"\w", r"\W", r"\s", r"\S"];
    if class.ranges().len() < 8 {
        return None;
    }
    SHORT.into_iter().find(|short| {
        let parsed = ParserBuilder::new().build().parse(short);
        parsed.is_ok_and(|hir| matches!(hir.kind(), HirKind::Class(Class::Unicode(known)) if known == class))
    })
}

#[cfg(test)]
mod tests {
    use neph_plan::{RegexDialect, regex};

    use super::*;

    #[test]
    fn found_in_and_matching_whole_are_the_same() {
        let values = [
            "", "a", "b", "xay", "ab", "ba", "aab", "a.b", "a\nb", "A", "net user", "12", "x12y", "a-b",
            "foo", "foobar", "$",
        ];
        for expression in [
            "a",
            "^a",
            "b$",
            "^a$",
            "a.b",
            "a\\.b",
            "^(a|foo)$",
            "^a|b$",
            "[0-9]{2}",
            "\\d+",
            "a*b",
            "(?i)a",
            "foo(bar)?$",
            "[^a]b",
            "a|b",
            "\\$",
            "a.*?b",
            "\\w-\\w",
            "net\\s+user",
            "",
        ] {
            for case in [Case::Sensitive, Case::Insensitive] {
                let lucene = search(expression, case).expect("it can be written");
                let found =
                    regex::compile(&[expression.into()], RegexDialect::Search, case).expect("it compiles");
                let whole = regex::compile(&[lucene.as_str().into()], RegexDialect::Lucene, Case::Sensitive)
                    .unwrap_or_else(|error| panic!("{lucene}: {error}"));
                for value in values {
                    assert_eq!(
                        found.is_match(value),
                        whole.is_match(value),
                        "{expression} as {lucene} on {value:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_lucene_cannot_say_is_told() {
        for expression in ["\\bnet\\b", "a^b", "(?m)^a"] {
            assert!(search(expression, Case::Sensitive).is_err(), "{expression}");
        }
    }

    #[test]
    fn expressions_that_find_nothing() {
        for (expression, never) in [
            ("a^b", true),
            ("a$b", true),
            ("[^\\s\\S]", true),
            ("(x|y)^z", true),
            ("^a$", false),
            ("a|b^c", false),
            ("(?m)a$\\nb", false),
            ("a*^b", false),
        ] {
            assert_eq!(never_found(expression), never, "{expression}");
        }
    }

    #[test]
    fn patterns_as_expressions() {
        let written = pattern(&Pattern {
            parts: vec![
                PatternPart::Literal("a*".into()),
                PatternPart::Any,
                PatternPart::One,
            ],
        });
        assert_eq!(written, r"a\*.*.");
    }
}
