//! How large the automata of an expression can be, without making them.

use regex_automata::nfa::thompson::{Compiler, Config, WhichCaptures};
use regex_syntax::hir::{Class, ClassUnicode, Hir, HirKind};

/// Bytes that a state of an automaton takes while it is built, with room to spare.
const STATE: u64 = 64;
/// A range of characters becomes at most so many sequences of ranges of bytes: 1, 3, 5 and 7 of those with one to four bytes.
const SEQUENCES: u64 = 16;

/// What every automaton has beside the expression's own states.
const FRAME: u64 = 4096;

/// Whether no automaton of the expression, forward or backward, exceeds so many bytes. Where that is so, it may still be unknown.
pub(super) fn is_below(hir: &Hir, most: u64) -> bool {
    let is_below = |of_class: &dyn Fn(&ClassUnicode) -> u64| most_bytes(hir, of_class, most) <= most;
    // Classes such as `\w` share most of their states, which only making them tells.
    is_below(&from_ranges) || is_below(&measured)
}

/// Bytes that no automaton of the expression exceeds; beyond `enough` nothing more is added.
fn most_bytes(hir: &Hir, of_class: &dyn Fn(&ClassUnicode) -> u64, enough: u64) -> u64 {
    of_part(hir, of_class, enough).saturating_add(FRAME)
}

/// Bytes of the states of a class, each range by itself.
fn from_ranges(class: &ClassUnicode) -> u64 {
    class.ranges().iter().fold(0_u64, |sum, range| {
        let (first, last) = (range.start(), range.end());
        let bytes = last.len_utf8() as u64;
        let around_surrogates = first < '\u{e000}' && last >= '\u{e000}';
        let sequences = match first.len_utf8() == last.len_utf8() && !around_surrogates {
            false => SEQUENCES,
            // Only their last bytes differ.
            true if u32::from(first) >> 6 == u32::from(last) >> 6 || bytes == 1 => 1,
            true => 2 * bytes - 1,
        };
        sum.saturating_add(sequences * (bytes + 1) * STATE)
    })
}

/// The same, of the automata that the class alone becomes, twice: a state takes more while it is built.
fn measured(class: &ClassUnicode) -> u64 {
    let hir = Hir::class(Class::Unicode(class.clone()));
    let size = |reverse: bool| {
        let config = Config::new().reverse(reverse).which_captures(WhichCaptures::None);
        let made = Compiler::new().configure(config).build_from_hir(&hir);
        made.map_or(u64::MAX, |automaton| automaton.memory_usage() as u64)
    };
    let made = size(false).max(size(true));
    made.saturating_mul(2)
}

fn of_part(hir: &Hir, of_class: &dyn Fn(&ClassUnicode) -> u64, enough: u64) -> u64 {
    let own = match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 0,
        HirKind::Literal(literal) => STATE.saturating_mul(literal.0.len() as u64),
        HirKind::Class(Class::Bytes(class)) => STATE.saturating_mul(class.ranges().len() as u64),
        HirKind::Class(Class::Unicode(class)) => of_class(class),
        HirKind::Capture(capture) => of_part(&capture.sub, of_class, enough),
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min).max(1);
            let once = of_part(&repetition.sub, of_class, enough).saturating_add(2 * STATE);
            once.saturating_mul(u64::from(times))
        }
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            let mut sum = 0_u64;
            for part in parts {
                if sum > enough {
                    break;
                }
                sum = sum
                    .saturating_add(of_part(part, of_class, enough))
                    .saturating_add(STATE);
            }
            sum
        }
    };
    own.saturating_add(4 * STATE)
}

#[cfg(test)]
mod tests {
    use regex_syntax::ParserBuilder;

    use super::*;

    #[test]
    fn no_automaton_is_larger() {
        let expressions = [
            "",
            "a",
            r"\w+\s\d{3,40}[^x]*",
            r"(?i)powershell(\.exe)?\s+-e(nc)?",
            "[À-ſ]|[\u{7f}-\u{81}]|[\u{7ff}-\u{801}]{2,5}|[\u{fff0}-\u{10010}]",
            r"\p{Greek}|\p{L}{1,9}?|\PL",
            r"-k\s\w{1,64}\W{2}\p{Han}",
            "(?s).{0,300}",
            r"[\u{d000}-\u{f000}]\w+\W*\w{2,}",
            "((a|b|cd){3,7}x?){2,}",
            r"(?-u:[\x00-\x7f])\b^$",
            "(?i)[a-zäöü]{8}|ſ|K",
        ];
        for expression in expressions {
            for insensitive in [false, true] {
                let mut parser = ParserBuilder::new();
                let hir = parser
                    .case_insensitive(insensitive)
                    .build()
                    .parse(expression)
                    .unwrap();
                for of_class in [from_ranges as fn(&ClassUnicode) -> u64, measured] {
                    let most = usize::try_from(most_bytes(&hir, &of_class, u64::MAX)).unwrap();
                    for reverse in [false, true] {
                        let config = Config::new().nfa_size_limit(Some(most)).reverse(reverse);
                        let config = config.which_captures(WhichCaptures::None);
                        let made = Compiler::new().configure(config).build_from_hir(&hir);
                        assert!(made.is_ok(), "{expression}: more than {most}");
                        assert!(made.unwrap().memory_usage() <= most, "{expression}");
                    }
                }
            }
        }
    }

    #[test]
    fn many_words_are_known_to_be_small() {
        let limit = 8 << 20;
        let parse = |expression: &str| ParserBuilder::new().build().parse(expression).unwrap();
        assert!(is_below(&parse(r"-k\s\w{1,64}(?:\s?(?:-p|-s))?"), limit));
        assert!(!is_below(&parse(r"\w{1,1000}"), limit));
    }
}
