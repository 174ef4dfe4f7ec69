//! Why a call has no answer, or only a part of it.

/// What the world did wrong. The words are for `collection.json` and for people: lower case, no full stop, no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The credentials do not permit it.
    #[error("access denied: {0}")]
    Denied(String),
    /// What is asked for does not exist. This is an answer, not a failure.
    #[error("there is none: {0}")]
    Absent(String),
    /// Too many calls, and it stayed so.
    #[error("throttled, {tries} times: {what}")]
    Throttled {
        /// How often it was asked for.
        tries: u32,
        /// What the server said.
        what: String,
    },
    /// No answer, or errors of the server only.
    #[error("no answer after {tries} tries: {what}")]
    Unanswered {
        /// How often it was asked for.
        tries: u32,
        /// What went wrong the last time.
        what: String,
    },
    /// The server does not do it.
    #[error("refused: {0}")]
    Refused(String),
    /// The answer is not of the form that it should have.
    #[error("the answer cannot be read: {0}")]
    Answer(String),
    /// Something of this machine cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// Some items of the answer are missing.
    #[error("{missing} of {of} could not be had; the first: {first}")]
    Partial {
        /// How many are missing.
        missing: u64,
        /// How many there are.
        of: u64,
        /// Why the first is missing.
        first: String,
    },
    /// Pages ended before the last.
    #[error("only the first {pages} pages: {what}")]
    Pages {
        /// So many came.
        pages: u64,
        /// Why the next did not.
        what: String,
    },
}

/// Characters of a stranger's text that are quoted.
const QUOTED: usize = 300;

/// A stranger's text on one line, without control and direction characters, cut to a length that a table bears.
pub(crate) fn quoted(text: &str) -> String {
    let harmless = text.chars().map(|character| match character {
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => ' ',
        other if other.is_control() => ' ',
        other => other,
    });
    let mut line = String::new();
    for word in harmless.take(4 * QUOTED).collect::<String>().split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    match line.char_indices().nth(QUOTED) {
        Some((at, _)) => format!("{}…", line.get(..at).unwrap_or_default()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_say_is_one_short_harmless_line() {
        assert_eq!(quoted("a\r\nb\u{1b}[31m\u{202e}c  d"), "a b [31m c d");
        assert_eq!(quoted(&"x".repeat(9_000)).chars().count(), QUOTED + 1);
    }
}
