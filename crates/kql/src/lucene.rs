//! From Lucene's query string to the syntax tree.
//!
//! Clauses side by side without an operator are joined by `or`, as in Kibana, save for those that `+`, `-`, `AND` or
//! `NOT` mark: a marked clause must (not) hold, and where one must, unmarked ones only raise a score, which there is none
//! of here. That is Lucene's own rule, and the reason why `a OR b AND c` means `b AND c` there.

#[cfg(test)]
mod tests;

use neph_diag::{Diagnostic, Span};
use neph_plan::{Pattern, PatternPart};

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
    parser.scanner.skip_space();
    if parser.scanner.is_at_end() {
        let kind = ExprKind::Everything;
        return (
            Expr {
                kind,
                span: Span::default(),
            },
            parser.diagnostics,
        );
    }
    let mut parts = vec![parser.clauses(None)];
    while !parser.scanner.is_at_end() && !parser.given_up {
        // Only a closing parenthesis stops the clauses before the end.
        let span = parser.scanner.here();
        parser.scanner.bump();
        parser.report(
            span,
            "this closes nothing",
            "take it away, or put a `\\` before it",
        );
        parser.scanner.skip_space();
        if !matches!(parser.scanner.peek(), None | Some(')')) {
            parts.push(parser.clauses(None));
        }
    }
    let span = Span::new(0, text.len());
    let expr = one_or(parts, span, ExprKind::Or).unwrap_or_else(|| error(span));
    (expr, parser.diagnostics)
}

/// Whether a clause must hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Occur {
    Should,
    Must,
    MustNot,
}

struct Parser<'a> {
    scanner: Scanner<'a>,
    diagnostics: Vec<Diagnostic>,
    depth: usize,
    given_up: bool,
}

impl Parser<'_> {
    /// Clauses up to the end or a closing parenthesis, which is left; `field` is the one around a group of values.
    fn clauses(&mut self, field: Option<&Name>) -> Expr {
        let mut clauses: Vec<(Occur, Expr)> = Vec::new();
        loop {
            self.scanner.skip_space();
            if matches!(self.scanner.peek(), None | Some(')')) {
                break;
            }
            let joint = self.joint();
            if clauses.is_empty() && joint.is_some() {
                let span = self.scanner.here();
                self.report(
                    span,
                    "a clause is missing before this operator",
                    "put what is to be joined on both sides",
                );
            }
            if joint == Some(true)
                && let Some((occur @ Occur::Should, _)) = clauses.last_mut()
            {
                *occur = Occur::Must;
            }
            self.scanner.skip_space();
            let occur = match self.modifier() {
                Occur::Should if joint == Some(true) => Occur::Must,
                other => other,
            };
            self.scanner.skip_space();
            if matches!(self.scanner.peek(), None | Some(')')) {
                let span = self.scanner.here();
                self.report(span, "a clause is missing here", "an operator joins two clauses");
                break;
            }
            let clause = self.clause(field);
            clauses.push((occur, clause));
            if self.given_up {
                break;
            }
        }
        combine(clauses, self.scanner.here())
    }

    /// `AND` (true) or `OR` (false), if one stands here.
    fn joint(&mut self) -> Option<bool> {
        for (text, and) in [("&&", true), ("||", false)] {
            if self.scanner.take(text) {
                return Some(and);
            }
        }
        for (text, and) in [("AND", true), ("OR", false)] {
            if self.word(text) {
                return Some(and);
            }
        }
        None
    }

    /// Passes a word with space or a bracket behind it.
    fn word(&mut self, word: &str) -> bool {
        let Some(behind) = self.scanner.rest().strip_prefix(word) else {
            return false;
        };
        let ends = behind
            .chars()
            .next()
            .is_none_or(|next| is_space(next) || next == '(' || next == ')');
        if ends {
            self.scanner.at += word.len();
        }
        ends
    }

    fn modifier(&mut self) -> Occur {
        if self.scanner.take("+") {
            return Occur::Must;
        }
        if self.scanner.take("-") || self.scanner.take("!") || self.word("NOT") {
            return Occur::MustNot;
        }
        Occur::Should
    }

    fn clause(&mut self, field: Option<&Name>) -> Expr {
        let start = self.scanner.at;
        let expr = match self.scanner.peek() {
            Some('(') => self.group(field, start),
            _ if field.is_some() => self.value(),
            _ => self.field_or_value(start),
        };
        self.boost();
        expr
    }

    fn group(&mut self, field: Option<&Name>, start: usize) -> Expr {
        self.scanner.bump();
        if self.depth >= MAX_DEPTH {
            self.given_up = true;
            let message = format!("the query is nested deeper than {MAX_DEPTH} levels");
            self.diagnostics.push(Diagnostic::new(
                &codes::QUERY_TOO_LARGE,
                self.scanner.here(),
                message,
            ));
            self.scanner.at = self.scanner.text.len();
            return error(self.scanner.here());
        }
        self.depth += 1;
        let inner = self.clauses(field);
        self.depth -= 1;
        if !self.scanner.take(")") && !self.given_up {
            self.report(
                Span::new(start, start + 1),
                "`(` is never closed",
                "put a `)` behind what belongs inside",
            );
        }
        Expr {
            kind: ExprKind::Group(Box::new(inner)),
            span: self.scanner.since(start),
        }
    }

    fn field_or_value(&mut self, start: usize) -> Expr {
        let before = self.scanner;
        let name = match self.scanner.peek() {
            Some('"' | '/' | '[' | '{') => None,
            _ => self.term(),
        };
        let Some(name) = name.filter(|_| self.scanner.peek() == Some(':')) else {
            self.scanner = before;
            return self.value();
        };
        self.scanner.bump();
        self.scanner.skip_space();
        if name.pattern.as_literal() == Some("_exists_") {
            return self.exists(start);
        }
        let name = Name {
            pattern: name.pattern,
            span: name.span,
        };
        let value = match self.scanner.peek() {
            Some('(') => {
                let open = self.scanner.at;
                self.group(Some(&name), open)
            }
            _ => self.value(),
        };
        of_field(name, value, self.scanner.since(start))
    }

    fn exists(&mut self, start: usize) -> Expr {
        let term = match self.scanner.peek() {
            Some('"') => Some(self.quoted()),
            _ => self.term(),
        };
        let Some(term) = term else {
            return self.missing();
        };
        let name = Name {
            pattern: term.pattern,
            span: term.span,
        };
        let any = Literal {
            pattern: Pattern {
                parts: vec![PatternPart::Any],
            },
            form: Form::Bare,
            span: term.span,
        };
        let span = self.scanner.since(start);
        Expr {
            kind: ExprKind::Field(name, Box::new(value_of(any))),
            span,
        }
    }

    /// A value: a term, phrase, regular expression or range.
    fn value(&mut self) -> Expr {
        let start = self.scanner.at;
        match self.scanner.peek() {
            Some('"') => {
                let literal = self.quoted();
                self.tolerance();
                value_of(literal)
            }
            Some('/') => self.regex(),
            Some('[' | '{') => self.range(),
            Some('<' | '>') => {
                let operator = match (self.scanner.bump(), self.scanner.take("=")) {
                    (Some('<'), false) => RangeOperator::Less,
                    (Some('<'), true) => RangeOperator::LessOrEqual,
                    (_, false) => RangeOperator::Greater,
                    (_, true) => RangeOperator::GreaterOrEqual,
                };
                match self.bound() {
                    Some(bound) => open_range(operator, bound, self.scanner.since(start)),
                    None => self.missing(),
                }
            }
            _ => match self.term() {
                Some(literal) => {
                    self.tolerance();
                    value_of(literal)
                }
                None => self.missing(),
            },
        }
    }

    fn quoted(&mut self) -> Literal {
        let start = self.scanner.at;
        self.scanner.bump();
        let mut builder = PatternBuilder::default();
        loop {
            match self.scanner.bump() {
                None => {
                    self.report(
                        Span::new(start, start + 1),
                        "the quotation mark is never closed",
                        "a `\"` that belongs to the value is written `\\\"`",
                    );
                    break;
                }
                Some('"') => break,
                Some('\\') => self.escaped(&mut builder),
                Some(character) => builder.push(character),
            }
        }
        Literal {
            pattern: builder.finish(),
            form: Form::Quoted,
            span: self.scanner.since(start),
        }
    }

    /// What stands behind a backslash.
    fn escaped(&mut self, builder: &mut PatternBuilder) {
        let before = self.scanner;
        match self.scanner.bump() {
            Some('u') => match self.scanner.unicode() {
                Some(character) => builder.push(character),
                None => {
                    self.scanner = before;
                    self.scanner.bump();
                    builder.push('u');
                }
            },
            Some(character) => builder.push(character),
            None => builder.push('\\'),
        }
    }

    /// A term without quotes; `None` where none begins.
    fn term(&mut self) -> Option<Literal> {
        let start = self.scanner.at;
        let mut builder = PatternBuilder::default();
        while let Some(character) = self.scanner.peek() {
            match character {
                '\\' => {
                    self.scanner.bump();
                    self.escaped(&mut builder);
                    continue;
                }
                '*' => builder.wildcard(PatternPart::Any),
                '?' => builder.wildcard(PatternPart::One),
                '(' | ')' | '{' | '}' | '[' | ']' | '^' | '"' | '~' | ':' => break,
                _ if is_space(character) => break,
                other => builder.push(other),
            }
            self.scanner.bump();
        }
        (self.scanner.at > start).then(|| Literal {
            pattern: builder.finish(),
            form: Form::Bare,
            span: self.scanner.since(start),
        })
    }

    fn regex(&mut self) -> Expr {
        let start = self.scanner.at;
        self.scanner.bump();
        let mut text = String::new();
        loop {
            match self.scanner.bump() {
                None => {
                    self.report(
                        Span::new(start, start + 1),
                        "the regular expression is never closed",
                        "it stands between two `/`; put a `\\` before a `/` that is meant",
                    );
                    break;
                }
                Some('/') => break,
                Some('\\') if self.scanner.take("/") => text.push('/'),
                Some('\\') => {
                    text.push('\\');
                    text.extend(self.scanner.bump());
                }
                Some(character) => text.push(character),
            }
        }
        value_of(Literal {
            pattern: Pattern::literal(&text),
            form: Form::Regex,
            span: self.scanner.since(start),
        })
    }

    /// `[a TO b]`, with `{` or `}` where an end does not belong to it, and `*` where there is none.
    fn range(&mut self) -> Expr {
        let start = self.scanner.at;
        let low_in = self.scanner.bump() == Some('[');
        let low = self.bound();
        self.scanner.skip_space();
        let to = self.word("TO");
        let high = if to { self.bound() } else { None };
        self.scanner.skip_space();
        let high_in = self.scanner.peek() == Some(']');
        let closed = high_in || self.scanner.peek() == Some('}');
        if closed {
            self.scanner.bump();
        }
        let span = self.scanner.since(start);
        let (true, true, Some(low), Some(high)) = (to, closed, low, high) else {
            self.report(
                span,
                "this is no range",
                "a range is written `[1 TO 5]`, or `{1 TO 5}` without its ends",
            );
            // What is left of the range would be reported again.
            while self
                .scanner
                .peek()
                .is_some_and(|next| !is_space(next) && next != ')')
            {
                self.scanner.bump();
            }
            return error(span);
        };
        let mut ends = Vec::new();
        if !is_any(&low) {
            let operator = if low_in {
                RangeOperator::GreaterOrEqual
            } else {
                RangeOperator::Greater
            };
            ends.push(open_range(operator, low.clone(), span));
        }
        if !is_any(&high) {
            let operator = if high_in {
                RangeOperator::LessOrEqual
            } else {
                RangeOperator::Less
            };
            ends.push(open_range(operator, high, span));
        }
        match (ends.pop(), ends.is_empty()) {
            // `[* TO *]` asks for any value.
            (None, _) => value_of(low),
            (Some(only), true) => only,
            (Some(last), false) => {
                ends.push(last);
                Expr {
                    kind: ExprKind::And(ends),
                    span,
                }
            }
        }
    }

    fn bound(&mut self) -> Option<Literal> {
        self.scanner.skip_space();
        match self.scanner.peek()? {
            '"' => Some(self.quoted()),
            _ => {
                // Colons of times belong to a bound.
                let start = self.scanner.at;
                let mut whole = self.term()?;
                while self.scanner.peek() == Some(':') {
                    self.scanner.bump();
                    self.term();
                    let written = self.scanner.since(start);
                    whole = Literal {
                        pattern: Pattern::literal(written.text(self.scanner.text)),
                        form: Form::Bare,
                        span: written,
                    };
                }
                Some(whole)
            }
        }
    }

    /// `~2` behind a value, which allows for slips; `^2`, which only changes a score, is passed.
    fn tolerance(&mut self) {
        let start = self.scanner.at;
        if self.scanner.take("~") {
            self.number();
            self.report(
                self.scanner.since(start),
                "fuzzy and proximity searches (`~`) are not supported",
                "leave the `~` away, write a wildcard or a regular expression, or put a `\\` before a `~` that is meant",
            );
        }
    }

    fn boost(&mut self) {
        if self.scanner.take("^") {
            self.number();
        }
    }

    fn number(&mut self) {
        while self
            .scanner
            .peek()
            .is_some_and(|next| next.is_ascii_digit() || next == '.')
        {
            self.scanner.bump();
        }
    }

    fn missing(&mut self) -> Expr {
        let span = self.scanner.here();
        self.report(
            span,
            "a value is missing here",
            "put a `\\` before an operator that belongs to the value",
        );
        if !matches!(self.scanner.peek(), Some(')')) {
            self.scanner.bump();
        }
        error(span)
    }

    fn report(&mut self, span: Span, message: &str, help: &str) {
        if !self.given_up {
            self.diagnostics
                .push(Diagnostic::new(&codes::LUCENE_SYNTAX, span, message).with_help(help));
            self.given_up = self.diagnostics.len() >= MAX_PROBLEMS;
        }
    }
}

fn is_any(literal: &Literal) -> bool {
    literal.form == Form::Bare && literal.pattern.parts.as_slice() == [PatternPart::Any]
}

/// A range whose field is the one around it.
fn open_range(operator: RangeOperator, bound: Literal, span: Span) -> Expr {
    let name = Name {
        pattern: Pattern::literal(""),
        span,
    };
    Expr {
        kind: ExprKind::Range(name, operator, bound),
        span,
    }
}

fn of_field(name: Name, value: Expr, span: Span) -> Expr {
    Expr {
        kind: ExprKind::Field(name, Box::new(value)),
        span,
    }
}

/// Lucene's rule: what must hold, holds; what must not, does not; of the rest one must, if nothing else has to.
fn combine(clauses: Vec<(Occur, Expr)>, place: Span) -> Expr {
    let span = match (clauses.first(), clauses.last()) {
        (Some((_, first)), Some((_, last))) => first.span.to(last.span),
        _ => place,
    };
    let (mut must, mut should, mut must_not) = (Vec::new(), Vec::new(), Vec::new());
    for (occur, clause) in clauses {
        match occur {
            Occur::Must => must.push(clause),
            Occur::Should => should.push(clause),
            Occur::MustNot => must_not.push(Expr {
                span: clause.span,
                kind: ExprKind::Not(Box::new(clause)),
            }),
        }
    }
    if must.is_empty() && !should.is_empty() {
        must.extend(one_or(should, span, ExprKind::Or));
    }
    must.append(&mut must_not);
    one_or(must, span, ExprKind::And).unwrap_or_else(|| error(place))
}

fn one_or(mut parts: Vec<Expr>, span: Span, join: impl FnOnce(Vec<Expr>) -> ExprKind) -> Option<Expr> {
    let last = parts.pop()?;
    if parts.is_empty() {
        return Some(last);
    }
    parts.push(last);
    Some(Expr {
        kind: join(parts),
        span,
    })
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
