//! `category where condition`, and fields.

use neph_diag::{Applicability, Diagnostic, Edit, Span};

use super::{KEYWORDS, Parser};
use crate::ast::{Category, EventQuery, Field};
use crate::codes;
use crate::lexer::{TokenKind, decode};

impl Parser<'_> {
    pub(super) fn event_query(&mut self) -> EventQuery {
        let start = self.peek().span;
        let category = self.category();
        let condition = self.expression();
        let span = Span {
            start: start.start,
            end: self.previous_end().max(start.start),
        };
        EventQuery {
            category,
            condition,
            span,
        }
    }

    fn category(&mut self) -> Category {
        let token = self.peek();
        let where_follows = |parser: &Self, ahead: usize| {
            parser
                .word_at(ahead)
                .is_some_and(|word| word.eq_ignore_ascii_case("where"))
        };
        let category = match token.kind {
            TokenKind::Ident | TokenKind::String if where_follows(self, 1) => {
                self.bump();
                let text = self.text_of(token);
                let name: Option<Box<str>> = match token.kind {
                    TokenKind::String => Some(decode(text).value.into()),
                    _ if text == "any" => None,
                    _ => Some(text.into()),
                };
                if token.kind == TokenKind::Ident && text != "any" && KEYWORDS.contains(&text) {
                    self.diagnostics.push(
                        Diagnostic::new(
                            &codes::EVENT_CATEGORY,
                            token.span,
                            format!("`{text}` is a keyword"),
                        )
                        .with_fix(
                            "put the category in quotes",
                            vec![Edit {
                                span: token.span,
                                replacement: format!("\"{text}\""),
                            }],
                            Applicability::Sure,
                        ),
                    );
                }
                Category {
                    name,
                    span: token.span,
                }
            }
            TokenKind::Backquoted if where_follows(self, 1) => {
                self.bump();
                let name = unquoted(self.text_of(token));
                self.diagnostics.push(
                    Diagnostic::new(
                        &codes::EVENT_CATEGORY,
                        token.span,
                        "an event category does not stand in backquotes",
                    )
                    .with_fix(
                        "put the category in quotes",
                        vec![Edit {
                            span: token.span,
                            replacement: crate::lexer::quote(&name),
                        }],
                        Applicability::Sure,
                    ),
                );
                Category {
                    name: Some(name.into()),
                    span: token.span,
                }
            }
            TokenKind::Integer | TokenKind::Decimal if where_follows(self, 1) => {
                self.bump();
                let text = self.text_of(token);
                self.diagnostics.push(
                    Diagnostic::new(
                        &codes::EVENT_CATEGORY,
                        token.span,
                        "an event category is a name, not a number",
                    )
                    .with_fix(
                        "put the category in quotes",
                        vec![Edit {
                            span: token.span,
                            replacement: format!("\"{text}\""),
                        }],
                        Applicability::Maybe,
                    ),
                );
                Category {
                    name: Some(text.into()),
                    span: token.span,
                }
            }
            TokenKind::Question if where_follows(self, 2) => {
                self.bump();
                let name = self.bump();
                let span = token.span.to(name.span);
                self.diagnostics.push(
                    Diagnostic::new(
                        &codes::EVENT_CATEGORY,
                        span,
                        "an event category cannot be optional",
                    )
                    .with_help("`?` marks fields that some events may lack"),
                );
                Category {
                    name: Some(self.text_of(name).into()),
                    span,
                }
            }
            _ => return self.missing_category(),
        };
        if self.eat_keyword("where", true).is_none() {
            self.unexpected("`where`");
        }
        category
    }

    /// There is no `category where`: what stands here is taken as the condition.
    fn missing_category(&mut self) -> Category {
        let token = self.peek();
        let place = Span {
            start: token.span.start,
            end: token.span.start,
        };
        let any = Category {
            name: None,
            span: place,
        };
        if let Some(span) = self.eat_keyword("where", true) {
            self.diagnostics.push(
                Diagnostic::new(
                    &codes::EVENT_CATEGORY,
                    span,
                    "there is no event category before `where`",
                )
                .with_fix(
                    "look at events of any category",
                    vec![Edit {
                        span: place,
                        replacement: "any ".to_owned(),
                    }],
                    Applicability::Maybe,
                ),
            );
            return any;
        }
        let nothing = matches!(
            token.kind,
            TokenKind::End | TokenKind::Pipe | TokenKind::CloseBracket
        );
        let mut diagnostic = Diagnostic::new(
            &codes::SYNTAX_ERROR,
            token.span,
            "expected `category where` before the condition",
        )
        .with_help("the category is the value of `event.category`, such as `process`, or `any`");
        if !nothing {
            diagnostic = diagnostic.with_fix(
                "look at events of any category",
                vec![Edit {
                    span: place,
                    replacement: "any where ".to_owned(),
                }],
                Applicability::Maybe,
            );
        }
        self.report(diagnostic);
        any
    }

    /// `by field, …`, if it stands here.
    pub(super) fn keys(&mut self) -> Vec<Field> {
        let mut keys = Vec::new();
        if self.eat_keyword("by", true).is_none() {
            return keys;
        }
        loop {
            match self.peek().kind {
                TokenKind::Ident | TokenKind::Backquoted | TokenKind::Question => {}
                _ => {
                    self.unexpected("a field to join by");
                    return keys;
                }
            }
            if let Some(field) = self.field() {
                if self.peek().kind == TokenKind::OpenParen {
                    let diagnostic = Diagnostic::new(
                        &codes::JOIN_KEY,
                        field.span,
                        "events are joined by fields, not by expressions",
                    );
                    self.report(diagnostic);
                    self.skip_until(|kind| {
                        matches!(
                            kind,
                            TokenKind::Comma
                                | TokenKind::OpenBracket
                                | TokenKind::OpenMissing
                                | TokenKind::CloseBracket
                                | TokenKind::Pipe
                        ) || kind == TokenKind::Ident
                    });
                    if self.peek().kind == TokenKind::OpenParen {
                        self.bump();
                    }
                } else {
                    keys.push(field);
                }
            }
            if self.eat(TokenKind::Comma).is_none() {
                return keys;
            }
        }
    }

    /// A field; `None` where what stands here is none, which has been reported.
    pub(super) fn field(&mut self) -> Option<Field> {
        let start = self.peek().span;
        let optional = self.eat(TokenKind::Question).is_some();
        let mut name = String::new();
        loop {
            let token = self.peek();
            match token.kind {
                TokenKind::Ident => {
                    let text = self.text_of(token);
                    if KEYWORDS.contains(&text) {
                        self.keyword_as_name(token.span, text);
                    }
                    name.push_str(text);
                }
                TokenKind::Backquoted => name.push_str(&unquoted(self.text_of(token))),
                _ => {
                    self.unexpected("the name of a field");
                    return None;
                }
            }
            self.bump();
            self.array_indexes();
            if self.eat(TokenKind::Dot).is_none() {
                break;
            }
            name.push('.');
        }
        let span = Span {
            start: start.start,
            end: self.previous_end(),
        };
        Some(Field {
            name: name.into(),
            optional,
            span,
        })
    }

    fn keyword_as_name(&mut self, span: Span, text: &str) {
        self.diagnostics.push(
            Diagnostic::new(&codes::SYNTAX_ERROR, span, format!("`{text}` is a keyword"))
                .with_help("a field with the name of a keyword stands in backquotes")
                .with_fix(
                    "put the name in backquotes",
                    vec![Edit {
                        span,
                        replacement: format!("`{text}`"),
                    }],
                    Applicability::Sure,
                ),
        );
    }

    /// `[3]` behind a name, which is recognised to be refused.
    fn array_indexes(&mut self) {
        while self.peek().kind == TokenKind::OpenBracket
            && self.peek_at(1).kind == TokenKind::Integer
            && self.peek_at(2).kind == TokenKind::CloseBracket
        {
            let open = self.bump().span;
            let index = self.bump().span;
            let close = self.bump().span;
            self.diagnostics.push(
                Diagnostic::new(&codes::ARRAY_INDEX, index, "elements of arrays cannot be picked by their position")
                    .with_help("a field holds all values of an array, in no order; a condition on it asks whether any of them matches")
                    .with_fix(
                        "ask for any element",
                        vec![Edit { span: open.to(close), replacement: String::new() }],
                        Applicability::Maybe,
                    ),
            );
        }
    }
}

/// The name between backquotes.
fn unquoted(text: &str) -> String {
    let inner = text.strip_prefix('`').unwrap_or(text);
    inner.strip_suffix('`').unwrap_or(inner).replace("``", "`")
}
