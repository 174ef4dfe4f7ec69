//! Text to tokens.
//!
//! Nothing is lost and nothing stops the lexer: a character that is no EQL, a string without end or a wrong escape is
//! reported and lexing goes on behind it.

mod strings;

use neph_diag::{Applicability, Diagnostic, Edit, Span};

use crate::codes;
pub(crate) use strings::{decode, quote, source_offset};

/// Texts longer than this many bytes are refused.
pub const MAX_BYTES: usize = 1 << 20;

/// A token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) span: Span,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A name, keywords included: they are told apart by their text.
    Ident,
    /// A name in backquotes.
    Backquoted,
    /// A string, with its quotes.
    String,
    Integer,
    Decimal,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// `=`, which only `maxspan` and `runs` have.
    Assign,
    Plus,
    Minus,
    Star,
    Slash,
    Percent,
    Colon,
    Dot,
    Comma,
    Pipe,
    OpenParen,
    CloseParen,
    OpenBracket,
    CloseBracket,
    /// `![`
    OpenMissing,
    /// `?`
    Question,
    /// `~`
    Tilde,
    /// The end of the text.
    End,
}

/// Tokens, ending with [`TokenKind::End`].
pub(crate) fn lex(text: &str, diagnostics: &mut Vec<Diagnostic>) -> Vec<Token> {
    let mut lexer = Lexer {
        text,
        at: 0,
        tokens: Vec::new(),
        diagnostics,
    };
    if text.len() > MAX_BYTES {
        let message = format!("the query has {} bytes; at most {MAX_BYTES} are read", text.len());
        lexer
            .diagnostics
            .push(Diagnostic::new(&codes::QUERY_TOO_LARGE, Span::new(0, 0), message));
        lexer.at = text.len();
    }
    while lexer.step() {}
    let end = text.len();
    lexer.tokens.push(Token {
        kind: TokenKind::End,
        span: Span::new(end, end),
    });
    lexer.tokens
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<Token>,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn push(&mut self, kind: TokenKind, length: usize) {
        let end = (self.at + length).min(self.text.len());
        self.tokens.push(Token {
            kind,
            span: Span::new(self.at, end),
        });
        self.at = end;
    }

    /// Lexes one token or skips what is none; false at the end.
    fn step(&mut self) -> bool {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return false;
        };
        let second = rest.chars().nth(1);
        if first.is_whitespace() {
            self.at += first.len_utf8();
        } else if rest.starts_with("//") {
            self.at += rest.find(['\n', '\r']).unwrap_or(rest.len());
        } else if rest.starts_with("/*") {
            self.block_comment();
        } else if first.is_ascii_alphabetic() || first == '_' || first == '@' {
            let name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '@';
            self.push(TokenKind::Ident, rest.find(|c| !name(c)).unwrap_or(rest.len()));
        } else if first.is_ascii_digit() || first == '.' && second.is_some_and(|c| c.is_ascii_digit()) {
            self.number();
        } else {
            match first {
                '"' => self.string(0),
                '\'' => self.single_quoted(0),
                '?' if matches!(second, Some('"' | '\'')) => self.old_raw_string(),
                '`' => self.backquoted(),
                '“' | '”' | '„' | '‘' | '’' => self.typographic_quote(first),
                _ => self.operator(first, second),
            }
        }
        true
    }

    fn block_comment(&mut self) {
        let start = self.at;
        let mut depth = 0_u32;
        loop {
            let rest = self.rest();
            if rest.starts_with("/*") {
                depth = depth.saturating_add(1);
                self.at += 2;
            } else if rest.starts_with("*/") {
                depth -= 1;
                self.at += 2;
                if depth == 0 {
                    return;
                }
            } else if let Some(next) = rest.chars().next() {
                self.at += next.len_utf8();
            } else {
                let span = Span::new(start, start + 2);
                self.diagnostics.push(
                    Diagnostic::new(&codes::SYNTAX_ERROR, span, "the comment has no end")
                        .with_help("a comment that starts with `/*` ends with `*/`; comments nest"),
                );
                return;
            }
        }
    }

    fn number(&mut self) {
        let rest = self.rest().as_bytes();
        let digits = |from: usize| {
            rest.iter()
                .skip(from)
                .take_while(|byte| byte.is_ascii_digit())
                .count()
        };
        let mut length = digits(0);
        let mut kind = TokenKind::Integer;
        if rest.get(length) == Some(&b'.') {
            kind = TokenKind::Decimal;
            length += 1 + digits(length + 1);
        }
        if matches!(rest.get(length), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(rest.get(length + 1), Some(b'+' | b'-')));
            let exponent = digits(length + 1 + sign);
            if exponent > 0 {
                kind = TokenKind::Decimal;
                length += 1 + sign + exponent;
            }
        }
        self.push(kind, length);
    }

    fn backquoted(&mut self) {
        let rest = self.rest();
        let mut characters = rest.char_indices().skip(1).peekable();
        while let Some((at, character)) = characters.next() {
            match character {
                '`' if characters.peek().is_some_and(|(_, next)| *next == '`') => {
                    characters.next();
                }
                '`' => return self.push(TokenKind::Backquoted, at + 1),
                '\n' | '\r' => break,
                _ => {}
            }
        }
        let length = rest.find(['\n', '\r']).unwrap_or(rest.len());
        let span = Span::new(self.at, self.at + length);
        self.diagnostics.push(Diagnostic::new(
            &codes::UNTERMINATED_STRING,
            span,
            "the name in backquotes has no end on its line",
        ));
        self.push(TokenKind::Backquoted, length);
    }

    fn typographic_quote(&mut self, quote: char) {
        let span = Span::new(self.at, self.at + quote.len_utf8());
        self.diagnostics.push(
            Diagnostic::new(
                &codes::SYNTAX_ERROR,
                span,
                format!("`{quote}` is a typographic quotation mark"),
            )
            .with_help("strings stand in plain double quotes: `\"…\"`"),
        );
        // The text behind it is a string for the author: taking it as one keeps a single mistake a single report.
        let rest = self.rest();
        let inner = rest.get(quote.len_utf8()..).unwrap_or("");
        let closing = inner.find(['“', '”', '‘', '’', '"', '\n']);
        match closing.and_then(|at| Some((at, inner.get(at..)?.chars().next()?))) {
            Some((at, last)) if last != '\n' => {
                self.push(TokenKind::String, quote.len_utf8() + at + last.len_utf8())
            }
            _ => self.at += quote.len_utf8(),
        }
    }

    fn operator(&mut self, first: char, second: Option<char>) {
        use TokenKind as K;
        let (kind, length) = match (first, second) {
            ('=', Some('=')) => (K::Equal, 2),
            ('!', Some('=')) => (K::NotEqual, 2),
            ('!', Some('[')) => (K::OpenMissing, 2),
            ('<', Some('=')) => (K::LessOrEqual, 2),
            ('>', Some('=')) => (K::GreaterOrEqual, 2),
            ('<', Some('>')) => return self.foreign(2, "!=", K::NotEqual),
            ('=', Some('~')) => return self.foreign(2, ":", K::Colon),
            ('&', Some('&')) => return self.foreign(2, "and", K::Ident),
            ('|', Some('|')) => return self.foreign(2, "or", K::Ident),
            ('!', _) => return self.foreign(1, "not ", K::Ident),
            ('<', _) => (K::Less, 1),
            ('>', _) => (K::Greater, 1),
            ('=', _) => (K::Assign, 1),
            ('+', _) => (K::Plus, 1),
            ('-', _) => (K::Minus, 1),
            ('*', _) => (K::Star, 1),
            ('/', _) => (K::Slash, 1),
            ('%', _) => (K::Percent, 1),
            (':', _) => (K::Colon, 1),
            ('.', _) => (K::Dot, 1),
            (',', _) => (K::Comma, 1),
            ('|', _) => (K::Pipe, 1),
            ('(', _) => (K::OpenParen, 1),
            (')', _) => (K::CloseParen, 1),
            ('[', _) => (K::OpenBracket, 1),
            (']', _) => (K::CloseBracket, 1),
            ('?', _) => (K::Question, 1),
            ('~', _) => (K::Tilde, 1),
            _ => {
                let span = Span::new(self.at, self.at + first.len_utf8());
                let message = format!("`{}` has no meaning in EQL", first.escape_debug());
                self.diagnostics
                    .push(Diagnostic::new(&codes::SYNTAX_ERROR, span, message));
                self.at += first.len_utf8();
                return;
            }
        };
        self.push(kind, length);
    }

    /// An operator of other languages; goes on as if the right one stood there.
    fn foreign(&mut self, length: usize, right: &str, kind: TokenKind) {
        let span = Span::new(self.at, self.at + length);
        let wrong = span.text(self.text);
        let spoken = right.trim();
        let diagnostic = Diagnostic::new(
            &codes::FOREIGN_OPERATOR,
            span,
            format!("`{wrong}` is no operator of EQL"),
        );
        // `=~` is a regular expression in some languages and case-insensitive equality in others.
        let applicability = if wrong == "=~" {
            Applicability::Maybe
        } else {
            Applicability::Sure
        };
        let edit = Edit {
            span,
            replacement: right.to_owned(),
        };
        let title = format!("write `{spoken}`");
        self.diagnostics
            .push(diagnostic.with_fix(title, vec![edit], applicability));
        self.push(kind, length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> (Vec<TokenKind>, usize) {
        let mut diagnostics = Vec::new();
        let tokens = lex(text, &mut diagnostics);
        (tokens.iter().map(|token| token.kind).collect(), diagnostics.len())
    }

    #[test]
    fn numbers_and_dots_are_told_apart() {
        use TokenKind::*;
        assert_eq!(
            kinds("12 1.5 .5 1e3 30s 2.5m").0,
            [
                Integer, Decimal, Decimal, Decimal, Integer, Ident, Decimal, Ident, End
            ]
        );
        assert_eq!(kinds("a.b").0, [Ident, Dot, Ident, End]);
        assert_eq!(kinds("a - -2").0, [Ident, Minus, Minus, Integer, End]);
    }

    #[test]
    fn comments_are_skipped() {
        assert_eq!(
            kinds("a // b\n/* c /* d */ e */ f"),
            (vec![TokenKind::Ident, TokenKind::Ident, TokenKind::End], 0)
        );
        assert_eq!(kinds("a /* b").1, 1);
    }

    #[test]
    fn every_mistake_is_reported_and_lexing_goes_on() {
        use TokenKind::*;
        assert_eq!(
            kinds("a && b || !c <> d ; e"),
            (
                vec![
                    Ident, Ident, Ident, Ident, Ident, Ident, NotEqual, Ident, Ident, End
                ],
                5
            )
        );
    }
}
