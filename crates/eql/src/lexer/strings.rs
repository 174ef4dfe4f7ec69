//! Strings: their end, their escapes, their content, and how to write one.

use neph_diag::{Applicability, Diagnostic, Edit, Span};

use super::{Lexer, TokenKind};
use crate::codes;

impl Lexer<'_> {
    /// A string that starts `skipped` bytes behind the current place.
    pub(super) fn string(&mut self, skipped: usize) {
        let rest = self.rest().get(skipped..).unwrap_or("");
        if rest.starts_with("\"\"\"") {
            return self.raw_string(skipped);
        }
        match end_of_string(rest, '"') {
            Some(length) => {
                let start = self.at + skipped;
                self.check_escapes(start, rest.get(..length).unwrap_or(""));
                self.push(TokenKind::String, skipped + length);
            }
            None => self.unterminated(skipped, rest, "the string has no end on its line"),
        }
    }

    fn raw_string(&mut self, skipped: usize) {
        let rest = self.rest().get(skipped..).unwrap_or("");
        let line = rest.split(['\n', '\r']).next().unwrap_or("");
        match line.get(3..).and_then(|content| content.find("\"\"\"")) {
            Some(at) => {
                // Up to two more quotes directly behind belong to the content.
                let behind = line.get(at + 6..).unwrap_or("");
                let extra = behind.bytes().take(2).take_while(|byte| *byte == b'"').count();
                self.push(TokenKind::String, skipped + at + 6 + extra);
            }
            None => self.unterminated(skipped, rest, "the raw string has no end on its line"),
        }
    }

    fn unterminated(&mut self, skipped: usize, rest: &str, message: &str) {
        let length = rest.find(['\n', '\r']).unwrap_or(rest.len());
        let span = Span::new(self.at, self.at + skipped + length);
        let mut diagnostic = Diagnostic::new(&codes::UNTERMINATED_STRING, span, message);
        if rest.get(..length).is_some_and(|line| line.ends_with("\\\"")) {
            diagnostic = diagnostic.with_help(
                "the `\\` makes the quote behind it part of the string; a backslash at the end is written `\\\\`, or use a raw string: `\"\"\"…\"\"\"`",
            );
        }
        self.diagnostics.push(diagnostic);
        self.push(TokenKind::String, skipped + length);
    }

    /// `'…'`, which was a string before EQL came to Elasticsearch.
    pub(super) fn single_quoted(&mut self, skipped: usize) {
        let rest = self.rest().get(skipped..).unwrap_or("");
        let Some(length) = end_of_string(rest, '\'') else {
            return self.unterminated(skipped, rest, "the string has no end on its line");
        };
        let span = Span::new(self.at, self.at + skipped + length);
        let content = rest.get(1..length - 1).unwrap_or("");
        let replacement = quote_content(content, skipped > 0);
        self.diagnostics.push(
            Diagnostic::new(
                &codes::SINGLE_QUOTES,
                span,
                "strings stand in double quotes, not single ones",
            )
            .with_fix(
                "use double quotes",
                vec![Edit { span, replacement }],
                Applicability::Sure,
            ),
        );
        self.push(TokenKind::String, skipped + length);
    }

    /// `?"…"` and `?'…'`, the raw strings of old.
    pub(super) fn old_raw_string(&mut self) {
        let rest = self.rest().get(1..).unwrap_or("");
        let quote = if rest.starts_with('\'') { '\'' } else { '"' };
        let Some(length) = end_of_string(rest, quote) else {
            return self.unterminated(1, rest, "the string has no end on its line");
        };
        let span = Span::new(self.at, self.at + 1 + length);
        let content = rest.get(1..length - 1).unwrap_or("");
        self.diagnostics.push(
            Diagnostic::new(
                &codes::OLD_RAW_STRING,
                span,
                format!("`?{quote}` starts no string any more"),
            )
            .with_help("a raw string stands in three double quotes: `\"\"\"…\"\"\"`")
            .with_fix(
                "write a raw string",
                vec![Edit {
                    span,
                    replacement: quote_content(content, true),
                }],
                Applicability::Sure,
            ),
        );
        self.push(TokenKind::String, 1 + length);
    }

    fn check_escapes(&mut self, start: usize, literal: &str) {
        let mut wrong = Vec::new();
        let mut characters = literal.char_indices().peekable();
        while let Some((at, character)) = characters.next() {
            if character != '\\' {
                continue;
            }
            let Some((_, escaped)) = characters.next() else {
                break;
            };
            if escaped == 'u' && unicode_escape(literal.get(at..).unwrap_or("")).is_some() {
                continue;
            }
            if !matches!(escaped, 'b' | 't' | 'n' | 'f' | 'r' | '"' | '\'' | '\\') {
                wrong.push(Span::new(start + at, start + at + 1 + escaped.len_utf8()));
            }
        }
        let Some(first) = wrong.first() else { return };
        let escape = first.text(self.text).to_owned();
        let edits = wrong.iter().map(|span| Edit {
            span: Span {
                end: span.start + 1,
                ..*span
            },
            replacement: "\\\\".to_owned(),
        });
        let mut diagnostic = Diagnostic::new(&codes::INVALID_ESCAPE, *first, format!("`{escape}` is no escape"))
            .with_help(
                "a backslash is written `\\\\`; in a raw string, `\"\"\"…\"\"\"`, it stands for itself; other escapes are `\\b` `\\t` `\\n` `\\f` `\\r` `\\\"` `\\'` and `\\u{…}`",
            )
            .with_fix("double the backslash", edits.collect(), Applicability::Maybe);
        for span in wrong.iter().skip(1) {
            diagnostic = diagnostic.with_secondary(*span, "here too");
        }
        self.diagnostics.push(diagnostic);
    }
}

/// Length of the string at the start of `rest`, quotes included, if it ends on its line.
fn end_of_string(rest: &str, quote: char) -> Option<usize> {
    let mut characters = rest.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some((_, '\n' | '\r')) | None => return None,
                Some(_) => {}
            },
            '\n' | '\r' => return None,
            c if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The content of a string in other quotes, as a string of EQL.
fn quote_content(content: &str, raw: bool) -> String {
    if !raw {
        return format!("\"{}\"", content.replace('"', "\\\""));
    }
    if content.contains("\"\"\"") || content.starts_with('"') {
        return quote(content);
    }
    format!("\"\"\"{content}\"\"\"")
}

/// A string of EQL with this content.
pub(crate) fn quote(content: &str) -> String {
    let mut quoted = String::with_capacity(content.len() + 2);
    quoted.push('"');
    for character in content.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// A string's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) value: String,
    /// Whether it was written with three quotes.
    pub(crate) raw: bool,
}

/// The content of a string token; what is wrong with it has been reported.
pub(crate) fn decode(literal: &str) -> Decoded {
    let (content, raw) = content_of(literal);
    if raw {
        return Decoded {
            value: content.to_owned(),
            raw,
        };
    }
    let value = units(content).map(|(_, character)| character).collect();
    Decoded { value, raw }
}

/// Where in the literal's text the byte `offset` of its content stands.
pub(crate) fn source_offset(literal: &str, offset: usize) -> usize {
    let (content, raw) = content_of(literal);
    let start = if raw {
        3
    } else {
        literal.find('"').map_or(0, |at| at + 1)
    };
    if raw {
        return start + offset;
    }
    let mut decoded = 0;
    for (at, character) in units(content) {
        if decoded >= offset {
            return start + at;
        }
        decoded += character.len_utf8();
    }
    start + content.len()
}

/// The text between the quotes of any kind of string token.
fn content_of(literal: &str) -> (&str, bool) {
    if let Some(inner) = literal.strip_prefix("\"\"\"") {
        return (inner.strip_suffix("\"\"\"").unwrap_or(inner), true);
    }
    let old_raw = literal.starts_with('?');
    let literal = literal.strip_prefix('?').unwrap_or(literal);
    let quote = |c: char| matches!(c, '"' | '\'' | '“' | '”' | '„' | '‘' | '’');
    let inner = literal.strip_prefix(quote).unwrap_or(literal);
    (inner.strip_suffix(quote).unwrap_or(inner), old_raw)
}

/// Characters of a string's content, unescaped, each with its place.
fn units(content: &str) -> impl Iterator<Item = (usize, char)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = content.get(at..)?;
        let first = rest.chars().next()?;
        let place = at;
        let (character, length) = if first == '\\' {
            unescape(rest)
        } else {
            (first, first.len_utf8())
        };
        at += length;
        Some((place, character))
    })
}

/// The character of the escape at the start of `rest`, and its length; a wrong escape stands for its backslash.
fn unescape(rest: &str) -> (char, usize) {
    let character = match rest.chars().nth(1) {
        Some('b') => '\u{8}',
        Some('t') => '\t',
        Some('n') => '\n',
        Some('f') => '\u{c}',
        Some('r') => '\r',
        Some(quote @ ('"' | '\'' | '\\')) => quote,
        Some('u') => return unicode_escape(rest).unwrap_or(('\\', 1)),
        _ => return ('\\', 1),
    };
    (character, 2)
}

/// `\u{2 to 8 hexadecimal digits}` and its length.
fn unicode_escape(rest: &str) -> Option<(char, usize)> {
    let (digits, _) = rest.strip_prefix("\\u{")?.split_once('}')?;
    if !(2..=8).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let character = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
    Some((character, digits.len() + 4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lexer::lex;

    /// Decodes the one string that the text is, and the codes reported.
    fn check(text: &str) -> (String, Vec<&'static str>) {
        let mut diagnostics = Vec::new();
        let tokens = lex(text, &mut diagnostics);
        assert_eq!(tokens.len(), 2, "{text} is one token");
        let codes = diagnostics
            .iter()
            .map(|diagnostic| diagnostic.code.name)
            .collect();
        (decode(tokens[0].span.text(text)).value, codes)
    }

    #[test]
    fn escapes_and_raw_strings_decode() {
        assert_eq!(
            check(r#""a\tb\"c\\d\u{1F600}""#),
            ("a\tb\"c\\d😀".to_owned(), vec![])
        );
        assert_eq!(check(r#""""a\b"c""""#), (r#"a\b"c"#.to_owned(), vec![]));
        assert_eq!(check(r#"""""a"""""#), (r#""a""#.to_owned(), vec![]));
        assert_eq!(check(r#"""""""""#).1, Vec::<&str>::new());
        assert_eq!(check(r#""""#), (String::new(), vec![]));
    }

    #[test]
    fn wrong_strings_are_reported() {
        assert_eq!(
            check(r#""C:\Windows""#),
            (r"C:\Windows".to_owned(), vec!["invalid-escape"])
        );
        assert_eq!(check(r#""\u{110000}""#).1, ["invalid-escape"]);
        assert_eq!(check("'it\"s'"), ("it\"s".to_owned(), vec!["single-quotes"]));
        assert_eq!(check("?\"a\\d\""), (r"a\d".to_owned(), vec!["old-raw-string"]));
        assert_eq!(check("\"abc").1, ["unterminated-string"]);
        assert_eq!(check("\"\"\"abc\"").1, ["unterminated-string"]);
    }

    #[test]
    fn offsets_of_the_content_lead_back_to_the_source() {
        let literal = r#""a\\b\u{e9}c""#;
        let at = |offset| literal.get(source_offset(literal, offset)..).unwrap();
        assert_eq!(at(1), r#"\\b\u{e9}c""#);
        assert_eq!(at(2), r#"b\u{e9}c""#);
        assert_eq!(at(5), r#"c""#);
        assert_eq!(source_offset(r#""""ab""""#, 1), 4);
    }

    #[test]
    fn quoting_is_the_inverse_of_decoding() {
        for content in ["", "a\"b", r"C:\x", "tab\tline\n"] {
            assert_eq!(decode(&quote(content)).value, content);
        }
    }
}
