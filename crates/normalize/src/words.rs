//! Lines of words between blanks, in which a word may be quoted or stand in brackets: the access logs of servers.

use smallvec::SmallVec;

use crate::logfmt::closing_quote;
use crate::tree::{Arena, Map, Value};

/// More words than this are no line of an access log.
const MAX_WORDS: usize = 64;

/// A word of a line, without what is round it; escapes stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word<'t> {
    Bare(&'t str),
    Quoted(&'t str),
    Bracketed(&'t str),
}

impl<'t> Word<'t> {
    /// Its text, whatever is round it.
    pub(crate) fn text(self) -> &'t str {
        match self {
            Self::Bare(text) | Self::Quoted(text) | Self::Bracketed(text) => text,
        }
    }
}

/// The words of a line.
pub(crate) type Words<'t> = SmallVec<[Word<'t>; 32]>;

/// Splits a line into words; nothing where a quote or bracket does not close before a blank or the end.
pub(crate) fn split(line: &str) -> Option<Words<'_>> {
    let mut words = Words::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        if words.len() == MAX_WORDS {
            return None;
        }
        let (word, tail) = if let Some(quoted) = rest.strip_prefix('"') {
            let end = closing_quote(quoted)?;
            (Word::Quoted(quoted.get(..end)?), quoted.get(end + 1..)?)
        } else if let Some(inside) = rest.strip_prefix('[') {
            let (inside, tail) = inside.split_once(']')?;
            (Word::Bracketed(inside), tail)
        } else {
            let end = rest.find([' ', '\t']).unwrap_or(rest.len());
            (Word::Bare(rest.get(..end)?), rest.get(end..)?)
        };
        if !tail.is_empty() && !tail.starts_with([' ', '\t']) {
            return None;
        }
        words.push(word);
        rest = tail.trim_start();
    }
    Some(words)
}

/// The words under the names of their columns. A dash says that there is no value; columns without a name, and
/// words behind the last column, are left out.
pub(crate) fn columns<'a>(arena: &'a Arena, names: &[&'static str], words: &[Word<'a>]) -> &'a Map<'a> {
    let columns = arena.map();
    for (name, word) in names.iter().zip(words) {
        let text = word.text();
        if !name.is_empty() && !matches!(text, "" | "-") {
            columns.add(name, Value::Text(text));
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::{Word, split};

    #[test]
    fn words_end_where_what_is_round_them_ends() {
        let words = split(r#"1.2.3.4 - [x y] "a \"b\"" "" -"#);
        let expected = [
            Word::Bare("1.2.3.4"),
            Word::Bare("-"),
            Word::Bracketed("x y"),
            Word::Quoted("a \\\"b\\\""),
            Word::Quoted(""),
            Word::Bare("-"),
        ];
        assert_eq!(words.as_deref(), Some(&expected[..]));
        for broken in ["\"a", "[a", "\"a\"b", "[a]b", &"a ".repeat(65)] {
            assert_eq!(split(broken), None, "{broken}");
        }
    }
}
