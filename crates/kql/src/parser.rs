//! From KQL to the syntax tree.
//!
//! The grammar is read without a lexer, as its own definition does: white space inside a bare value belongs to it, and
//! only a word `and`, `or` or `not` with space around it ends one.

#[cfg(test)]
mod tests;

use neph_diag::{Applicability, Diagnostic, Edit, Span};
use neph_plan::PatternPart;

use crate::ast::{Expr, ExprKind, Form, Literal, Name, RangeOperator};
use crate::scanner::{PatternBuilder, Scanner, is_space};
use crate::{MAX_DEPTH, MAX_PROBLEMS, codes};

/// Reads a query. There is always a tree; what could not be read is [`ExprKind::Error`].
pub(crate) fn parse(text: &str) -> (Expr, Vec<Diagnostic>) {
    let mut parser = Parser {
        scanner: Scanner::new(text),
        diagnostics: Vec::new(),
        depth: 0,
        given_up: false,
    };
    let expr = parser.query();
    (expr, parser.diagnostics)
}

struct Parser<'a> {
    scanner: Scanner<'a>,
    diagnostics: Vec<Diagnostic>,
    depth: usize,
    /// Set when the text is nested too deep or has too many problems: nothing more is reported then.
    given_up: bool,
}

/// Where a condition stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Anywhere: leaves are conditions on fields.
    Query,
    /// In the value list of a field: leaves are values.
    List,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    And,
    Or,
}

impl Parser<'_> {
    fn query(&mut self) -> Expr {
        self.scanner.skip_space();
        if self.scanner.is_at_end() {
            return Expr {
                kind: ExprKind::Everything,
                span: Span::default(),
            };
        }
        let first = self.or(Place::Query);
        let mut parts = vec![first];
        // What is left could not be read. It is reported, and reading goes on behind it for further problems.
        loop {
            self.scanner.skip_space();
            if self.scanner.is_at_end() || self.given_up {
                break;
            }
            let start = self.scanner.at;
            self.unexpected();
            self.skip();
            if self.scanner.at == start {
                self.scanner.bump();
            }
            if self.joint(Word::And) || self.joint(Word::Or) {
                parts.push(self.or(Place::Query));
            }
        }
        together(parts, ExprKind::And)
    }

    fn or(&mut self, place: Place) -> Expr {
        self.joined(Word::Or, &mut |parser| {
            parser.joined(Word::And, &mut |parser| parser.not(place))
        })
    }

    fn joined(&mut self, word: Word, part: &mut dyn FnMut(&mut Self) -> Expr) -> Expr {
        let first = part(self);
        let mut parts = vec![first];
        while self.joint(word) {
            parts.push(part(self));
        }
        match word {
            Word::And => together(parts, ExprKind::And),
            Word::Or => together(parts, ExprKind::Or),
        }
    }

    /// Passes `and` or `or` with the space around it, if it stands here.
    fn joint(&mut self, word: Word) -> bool {
        let found = self.joint_length(word);
        self.scanner.at += found.unwrap_or(0);
        found.is_some()
    }

    fn joint_length(&self, word: Word) -> Option<usize> {
        let mut ahead = self.scanner;
        // Space before the word may have been passed already, behind a value or a closing bracket.
        let spaced = self
            .scanner
            .text
            .get(..ahead.at)
            .is_some_and(|before| before.ends_with(is_space));
        let start = ahead.at;
        ahead.skip_space();
        if ahead.at == start && !spaced {
            return None;
        }
        let name = match word {
            Word::And => "and",
            Word::Or => "or",
        };
        word_length(ahead.rest(), name).map(|length| ahead.at + length - start)
    }

    fn not(&mut self, place: Place) -> Expr {
        let start = self.scanner.at;
        if let Some(length) = word_length(self.scanner.rest(), "not") {
            self.scanner.at += length;
            let inner = if word_length(self.scanner.rest(), "not").is_some() {
                let span = Span::new(start, self.scanner.at + 3);
                self.report(
                    Diagnostic::new(&codes::KQL_SYNTAX, span, "`not` stands twice in a row")
                        .with_help("leave both away, or write `not (not …)`"),
                );
                self.nested(|parser| parser.not(place))
            } else {
                self.nested(|parser| parser.sub(place))
            };
            let span = Span::new(start, start).to(inner.span);
            return Expr {
                kind: ExprKind::Not(Box::new(inner)),
                span,
            };
        }
        self.sub(place)
    }

    fn sub(&mut self, place: Place) -> Expr {
        let start = self.scanner.at;
        if self.scanner.peek() == Some('(') {
            self.scanner.bump();
            let inner = self.enclosed(')', start, place);
            return Expr {
                kind: ExprKind::Group(Box::new(inner)),
                span: self.scanner.since(start),
            };
        }
        match place {
            Place::Query => self.leaf(),
            Place::List => match self.literal() {
                Some(value) => {
                    if self.scanner.peek() == Some(':') {
                        self.condition_in_list(start);
                    }
                    value_of(value)
                }
                None => self.missing("a value"),
            },
        }
    }

    /// What stands between an opening bracket, passed already, and its closing one.
    fn enclosed(&mut self, close: char, open: usize, place: Place) -> Expr {
        self.scanner.skip_space();
        if self.scanner.peek() == Some(close) {
            let start = self.scanner.at;
            self.scanner.bump();
            let span = Span::new(open, self.scanner.at);
            let (message, help) = match place {
                Place::List => ("the list of values is empty", "to ask for any value, write `*`"),
                Place::Query => ("there is nothing between these brackets", "put a condition there"),
            };
            self.report(Diagnostic::new(&codes::KQL_SYNTAX, span, message).with_help(help));
            return error(Span::new(start, start));
        }
        let inner = self.nested(|parser| parser.or(place));
        self.scanner.skip_space();
        if self.scanner.peek() != Some(close) && !self.scanner.is_at_end() {
            self.unexpected();
            self.skip();
            while self.joint(Word::And) || self.joint(Word::Or) {
                self.nested(|parser| parser.or(place));
                self.scanner.skip_space();
                self.skip();
            }
        }
        if self.scanner.peek() == Some(close) {
            self.scanner.bump();
        } else if !self.given_up {
            let opened = self
                .scanner
                .text
                .get(open..)
                .and_then(|text| text.chars().next())
                .unwrap_or('(');
            let message = format!("`{opened}` is never closed");
            let place = Span::new(open, open + opened.len_utf8());
            self.report(
                Diagnostic::new(&codes::KQL_SYNTAX, place, message)
                    .with_help(format!("put a `{close}` behind what belongs inside")),
            );
        }
        inner
    }

    /// A condition on a field, or a value without one.
    fn leaf(&mut self) -> Expr {
        let start = self.scanner.at;
        let Some(literal) = self.literal() else {
            return self.missing("a condition");
        };
        let end = self.scanner.at;
        self.scanner.skip_space();
        if self.scanner.take(":") {
            return self.field(start, literal);
        }
        for (sign, operator) in [
            ("<=", RangeOperator::LessOrEqual),
            (">=", RangeOperator::GreaterOrEqual),
            ("<", RangeOperator::Less),
            (">", RangeOperator::Greater),
        ] {
            if self.scanner.take(sign) {
                self.scanner.skip_space();
                let Some(bound) = self.literal() else {
                    return self.missing("a value");
                };
                let span = Span::new(start, start).to(bound.span);
                let kind = ExprKind::Range(name_of(literal), operator, bound);
                return Expr { kind, span };
            }
        }
        self.scanner.at = end;
        value_of(literal)
    }

    /// What stands behind `field:`.
    fn field(&mut self, start: usize, literal: Literal) -> Expr {
        self.scanner.skip_space();
        let open = self.scanner.at;
        if self.scanner.take("{") {
            let inner = self.enclosed('}', open, Place::Query);
            let kind = ExprKind::Nested(name_of(literal), Box::new(inner));
            return Expr {
                kind,
                span: self.scanner.since(start),
            };
        }
        let values = if self.scanner.take("(") {
            let inner = self.enclosed(')', open, Place::List);
            Expr {
                kind: ExprKind::Group(Box::new(inner)),
                span: self.scanner.since(open),
            }
        } else {
            match self.literal() {
                Some(value) => value_of(value),
                None => self.missing("a value"),
            }
        };
        let span = Span::new(start, start).to(values.span);
        let kind = ExprKind::Field(name_of(literal), Box::new(values));
        Expr { kind, span }
    }

    fn literal(&mut self) -> Option<Literal> {
        match self.scanner.peek()? {
            '"' => Some(self.quoted()),
            _ => self.bare(),
        }
    }

    fn quoted(&mut self) -> Literal {
        let start = self.scanner.at;
        self.scanner.bump();
        let mut builder = PatternBuilder::default();
        loop {
            match self.scanner.bump() {
                None => {
                    let place = Span::new(start, start + 1);
                    self.report(
                        Diagnostic::new(&codes::KQL_SYNTAX, place, "the quotation mark is never closed")
                            .with_help("a `\"` that belongs to the value is written `\\\"`"),
                    );
                    break;
                }
                Some('"') => break,
                Some('\\') => {
                    let ahead = self.scanner;
                    match self.scanner.bump() {
                        Some('t') => builder.push('\t'),
                        Some('r') => builder.push('\r'),
                        Some('n') => builder.push('\n'),
                        Some(special @ ('\\' | '"')) => builder.push(special),
                        other => {
                            let unicode = if other == Some('u') {
                                self.scanner.unicode()
                            } else {
                                None
                            };
                            if unicode.is_none() {
                                self.scanner = ahead;
                            }
                            builder.push(unicode.unwrap_or('\\'));
                        }
                    }
                }
                Some(character) => builder.push(character),
            }
        }
        Literal {
            pattern: builder.finish(),
            form: Form::Quoted,
            span: self.scanner.since(start),
        }
    }

    /// A bare value; `None` where none begins.
    fn bare(&mut self) -> Option<Literal> {
        let start = self.scanner.at;
        let mut builder = PatternBuilder::default();
        // Behind the last character that is no space: spaces at the end do not belong to the value.
        let mut end = start;
        let mut broken = false;
        while let Some(character) = self.scanner.peek() {
            match character {
                '\\' => {
                    broken |= !self.escape(&mut builder);
                    end = self.scanner.at;
                    continue;
                }
                '*' => builder.wildcard(PatternPart::Any),
                '(' | ')' | ':' | '<' | '>' | '"' | '{' | '}' => break,
                _ if self.is_at_keyword() => break,
                _ if is_space(character) => {
                    // All at once, so that long white space is looked through only once.
                    let start = self.scanner.at;
                    self.scanner.skip_space();
                    builder.push_str(self.scanner.since(start).text(self.scanner.text));
                    continue;
                }
                other => builder.push(other),
            }
            self.scanner.bump();
            end = self.scanner.at;
        }
        let pattern = builder.finish_trimmed();
        if self.scanner.at == start || (pattern.parts.is_empty() && !broken) {
            self.scanner.at = start;
            return None;
        }
        self.scanner.at = end;
        Some(Literal {
            pattern,
            form: Form::Bare,
            span: Span::new(start, end),
        })
    }

    /// Reads an escape of a bare value; false where it is none, which was reported.
    fn escape(&mut self, builder: &mut PatternBuilder) -> bool {
        let start = self.scanner.at;
        self.scanner.bump();
        let before = self.scanner;
        let rest = self.scanner.rest();
        for word in ["or", "and", "not"] {
            let found = rest.split_at_checked(word.len());
            // `\n` is a line break, unless the word `not` is meant.
            if let Some((found, behind)) = found
                && found.eq_ignore_ascii_case(word)
                && (word != "not" || behind.chars().next().is_none_or(is_space))
            {
                builder.push_str(found);
                self.scanner.at += word.len();
                return true;
            }
        }
        match self.scanner.bump() {
            Some('t') => builder.push('\t'),
            Some('r') => builder.push('\r'),
            Some('n') => builder.push('\n'),
            Some(special @ ('\\' | '(' | ')' | ':' | '<' | '>' | '"' | '*' | '{' | '}')) => {
                builder.push(special)
            }
            other => {
                if other == Some('u')
                    && let Some(character) = self.scanner.unicode()
                {
                    builder.push(character);
                    return true;
                }
                builder.push('\\');
                self.scanner = before;
                let span = Span::new(start, before.at);
                let edit = Edit {
                    span,
                    replacement: "\\\\".to_owned(),
                };
                self.report(
                    Diagnostic::new(&codes::KQL_ESCAPE, span, "this backslash starts no escape")
                        .with_help("a backslash in a bare value is written `\\\\`")
                        .with_fix("write `\\\\`", vec![edit], Applicability::Maybe),
                );
                return false;
            }
        }
        true
    }

    /// Whether a word that joins conditions, or `not`, stands here. A `not` counts inside of other words, too.
    fn is_at_keyword(&self) -> bool {
        let is_space_here = self.scanner.peek().is_some_and(is_space);
        if is_space_here {
            let mut ahead = self.scanner;
            ahead.skip_space();
            word_length(ahead.rest(), "and").is_some() || word_length(ahead.rest(), "or").is_some()
        } else {
            word_length(self.scanner.rest(), "not").is_some()
        }
    }

    fn nested(&mut self, inner: impl FnOnce(&mut Self) -> Expr) -> Expr {
        if self.depth >= MAX_DEPTH {
            if !self.given_up {
                self.given_up = true;
                let message = format!("the query is nested deeper than {MAX_DEPTH} levels");
                self.diagnostics.push(Diagnostic::new(
                    &codes::QUERY_TOO_LARGE,
                    self.scanner.here(),
                    message,
                ));
            }
            self.scanner.at = self.scanner.text.len();
            return error(self.scanner.here());
        }
        self.depth += 1;
        let expr = inner(self);
        self.depth -= 1;
        expr
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        // A second problem at one place follows from the first.
        let follows = self
            .diagnostics
            .last()
            .is_some_and(|last| last.span.start == diagnostic.span.start);
        if !self.given_up && !follows {
            self.diagnostics.push(diagnostic);
            self.given_up = self.diagnostics.len() >= MAX_PROBLEMS;
        }
    }

    /// Reports that something is missing here.
    fn missing(&mut self, what: &str) -> Expr {
        let span = self.scanner.here();
        let mut diagnostic = match self.scanner.peek() {
            None => Diagnostic::new(&codes::KQL_SYNTAX, span, format!("{what} is missing at the end")),
            Some(found) => {
                let shown = if is_space(found) {
                    "a keyword".to_owned()
                } else {
                    format!("`{found}`")
                };
                Diagnostic::new(
                    &codes::KQL_SYNTAX,
                    span,
                    format!("{what} is missing before {shown}"),
                )
            }
        };
        if matches!(self.scanner.peek(), Some('<' | '>' | ':')) {
            diagnostic = diagnostic.with_help("the name of a field stands before it");
        }
        self.report(diagnostic);
        error(span)
    }

    fn condition_in_list(&mut self, start: usize) {
        let span = Span::new(start, self.scanner.at + 1);
        self.report(
            Diagnostic::new(
                &codes::KQL_SYNTAX,
                span,
                "a list of values has values only, no fields",
            )
            .with_help("escape a `:` that belongs to the value (`\\:`), or put the value in quotes"),
        );
        self.scanner.bump();
        self.skip();
    }

    /// Reports what stands here, where nothing of the kind can.
    fn unexpected(&mut self) {
        let before = self.scanner.text.get(..self.scanner.at).unwrap_or("");
        let trimmed = before.trim_end_matches(is_space);
        let span = self.scanner.here();
        let Some(found) = self.scanner.peek() else { return };
        let last_word = ["and", "or", "not"].into_iter().find(|word| {
            let from = trimmed.len().checked_sub(word.len());
            from.and_then(|from| trimmed.get(from..))
                .is_some_and(|last| last.eq_ignore_ascii_case(word))
        });
        let diagnostic = match (found, last_word) {
            ('(' | '"', Some(word)) if trimmed.len() == before.len() => {
                let message = format!("a space is missing between `{word}` and `{found}`");
                let edit = Edit {
                    span: Span::new(self.scanner.at, self.scanner.at),
                    replacement: " ".to_owned(),
                };
                Diagnostic::new(&codes::KQL_SYNTAX, span, message).with_fix("put a space there", vec![edit], Applicability::Sure)
            }
            (')' | '}', _) => {
                Diagnostic::new(&codes::KQL_SYNTAX, span, format!("`{found}` closes nothing"))
            }
            (':' | '<' | '>', _) => {
                Diagnostic::new(&codes::KQL_SYNTAX, span, format!("`{found}` cannot stand inside a value"))
                    .with_help(format!("put a `\\` before a `{found}` that belongs to the value, or put the value in quotes"))
            }
            _ if word_length(self.scanner.rest(), "not").is_some() => {
                Diagnostic::new(&codes::KQL_SYNTAX, span, "`not` cannot stand behind a value")
                    .with_help("join conditions with `and` or `or`; a value that holds `not` as its last letters before a space is put in quotes")
            }
            _ => {
                let message = format!("`{found}` cannot stand here");
                Diagnostic::new(&codes::KQL_SYNTAX, span, message)
                    .with_help("conditions are joined with `and` or `or`; a value that holds operators is put in quotes")
            }
        };
        self.report(diagnostic);
    }

    /// Passes what cannot be read, up to the next word that joins conditions or the next closing bracket.
    fn skip(&mut self) {
        let mut open = 0_usize;
        while let Some(character) = self.scanner.peek() {
            let boundary = self.joint_length(Word::And).is_some() || self.joint_length(Word::Or).is_some();
            match character {
                ')' | '}' if open == 0 => return,
                ')' | '}' => open -= 1,
                '(' | '{' => open += 1,
                '"' => {
                    self.quoted();
                    continue;
                }
                _ if boundary && open == 0 => return,
                _ if is_space(character) => {
                    self.scanner.skip_space();
                    continue;
                }
                _ => {}
            }
            self.scanner.bump();
        }
    }
}

/// Length of `word`, in any case, and the space behind it; `None` where there is no space.
fn word_length(text: &str, word: &str) -> Option<usize> {
    let (found, behind) = text.split_at_checked(word.len())?;
    if !found.eq_ignore_ascii_case(word) {
        return None;
    }
    let space = behind.len() - behind.trim_start_matches(is_space).len();
    (space > 0).then_some(word.len() + space)
}

/// One condition of several parts, which is the part itself where there is but one.
fn together(mut parts: Vec<Expr>, join: impl FnOnce(Vec<Expr>) -> ExprKind) -> Expr {
    let Some(last) = parts.pop() else {
        return error(Span::default());
    };
    let Some(first) = parts.first() else {
        return last;
    };
    let span = first.span.to(last.span);
    parts.push(last);
    Expr {
        kind: join(parts),
        span,
    }
}

fn error(span: Span) -> Expr {
    Expr {
        kind: ExprKind::Error,
        span,
    }
}

fn value_of(literal: Literal) -> Expr {
    let span = literal.span;
    Expr {
        kind: ExprKind::Value(literal),
        span,
    }
}

fn name_of(literal: Literal) -> Name {
    Name {
        pattern: literal.pattern,
        span: literal.span,
    }
}
