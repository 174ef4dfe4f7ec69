//! Tokens to syntax tree.
//!
//! A recursive descent that never stops: what does not fit is reported once, the parser skips to the next place where it
//! knows how to go on (`and`, `or`, a comma, a closing bracket, a pipe), and the tree holds an error node. Nesting is
//! bounded while parsing, and the height of trees is bounded while they are built, so that everything behind the parser may
//! recurse.
//!
//! The grammar is Elasticsearch's, as its users see it:
//! <https://www.elastic.co/docs/reference/query-languages/eql/eql-syntax>.

mod event;
mod expression;
mod sequence;

use neph_diag::{Applicability, Diagnostic, Edit, Span};

use crate::ast::{Body, Expr, ExprKind, Pipe, Query};
use crate::codes;
use crate::lexer::{Token, TokenKind, lex};

/// How deep parentheses, `not` and signs may nest.
const MAX_DEPTH: u32 = 100;
/// How high a tree may grow, chains of `+` included.
const MAX_HEIGHT: u16 = 200;

/// Words that are no names unless they stand in backquotes.
const KEYWORDS: &[&str] = &[
    "and", "any", "by", "false", "in", "join", "like", "maxspan", "not", "null", "of", "or", "regex",
    "sample", "sequence", "true", "until", "where", "with",
];

/// Parses a query. The tree is there whenever something that can be a query was found, also beside errors.
pub fn parse(text: &str) -> (Option<Query>, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let tokens = lex(text, &mut diagnostics);
    let mut parser = Parser {
        text,
        tokens,
        at: 0,
        depth: 0,
        reported_at: None,
        diagnostics,
    };
    let query = parser.query();
    let mut diagnostics = parser.diagnostics;
    diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
    (query, diagnostics)
}

/// Parses an expression that stands alone.
pub(crate) fn parse_expression(text: &str) -> (Expr, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let tokens = lex(text, &mut diagnostics);
    let mut parser = Parser {
        text,
        tokens,
        at: 0,
        depth: 0,
        reported_at: None,
        diagnostics,
    };
    let expression = parser.expression();
    if parser.peek().kind != TokenKind::End {
        parser.unexpected("the end of the expression");
    }
    let mut diagnostics = parser.diagnostics;
    diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
    (expression, diagnostics)
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: u32,
    /// The token that the last syntax error was reported for: one report is enough for one token.
    reported_at: Option<usize>,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Parser<'a> {
    fn query(&mut self) -> Option<Query> {
        let start = self.peek().span;
        let body = match self.word() {
            Some("sequence") => Body::Sequence(self.sequence()),
            Some("sample") => Body::Sample(self.sample()),
            Some("join") => {
                let diagnostic = Diagnostic::new(&codes::JOIN_UNSUPPORTED, start, "`join` is not supported")
                    .with_help(
                        "for events in any order use `sample by …`, for events in order `sequence by …`",
                    );
                self.report(diagnostic);
                self.at = self.last();
                return None;
            }
            _ if self.peek().kind == TokenKind::End => {
                self.report(
                    Diagnostic::new(&codes::SYNTAX_ERROR, start, "the query is empty")
                        .with_help("a query is `category where condition`, for example `process where true`"),
                );
                return None;
            }
            _ => Body::Event(self.event_query()),
        };
        let mut pipes = Vec::new();
        loop {
            match self.peek().kind {
                TokenKind::Pipe => pipes.extend(self.pipe()),
                TokenKind::End => break,
                _ => {
                    self.unexpected("`|` or the end of the query");
                    self.skip_until(|token| token == TokenKind::Pipe);
                }
            }
        }
        let end = self.previous_end();
        Some(Query {
            body,
            pipes,
            span: Span {
                start: start.start,
                end,
            },
        })
    }

    fn pipe(&mut self) -> Option<Pipe> {
        let start = self.bump().span;
        let name = self.peek();
        if name.kind != TokenKind::Ident {
            self.unexpected("the name of a pipe");
            self.skip_until(|token| token == TokenKind::Pipe);
            return None;
        }
        self.bump();
        let mut arguments = Vec::new();
        while !matches!(self.peek().kind, TokenKind::Pipe | TokenKind::End) {
            arguments.push(self.expression());
            if self.eat(TokenKind::Comma).is_none() {
                break;
            }
        }
        if !matches!(self.peek().kind, TokenKind::Pipe | TokenKind::End) {
            self.unexpected("`|` or the end of the query");
            self.skip_until(|token| token == TokenKind::Pipe);
        }
        let span = Span {
            start: start.start,
            end: self.previous_end(),
        };
        Some(Pipe {
            name: self.text_of(name).into(),
            name_span: name.span,
            arguments,
            span,
        })
    }

    fn last(&self) -> usize {
        self.tokens.len().saturating_sub(1)
    }

    fn token(&self, at: usize) -> Token {
        let end = self.text.len();
        self.tokens.get(at).copied().unwrap_or(Token {
            kind: TokenKind::End,
            span: Span::new(end, end),
        })
    }

    fn peek(&self) -> Token {
        self.token(self.at)
    }

    fn peek_at(&self, ahead: usize) -> Token {
        self.token(self.at + ahead)
    }

    fn bump(&mut self) -> Token {
        let token = self.peek();
        self.at = (self.at + 1).min(self.last());
        token
    }

    fn eat(&mut self, kind: TokenKind) -> Option<Token> {
        (self.peek().kind == kind).then(|| self.bump())
    }

    fn previous_end(&self) -> u32 {
        self.at.checked_sub(1).map_or(0, |at| self.token(at).span.end)
    }

    fn text_of(&self, token: Token) -> &'a str {
        token.span.text(self.text)
    }

    /// The word at this place, or the one that an operator of another language stands for.
    fn word(&self) -> Option<&'a str> {
        self.word_at(0)
    }

    fn word_at(&self, ahead: usize) -> Option<&'a str> {
        let token = self.peek_at(ahead);
        (token.kind == TokenKind::Ident).then(|| match self.text_of(token) {
            "&&" => "and",
            "||" => "or",
            "!" => "not",
            word => word,
        })
    }

    /// Takes a keyword. One in the wrong case is reported and taken where `lenient` says that nothing else can stand here.
    fn eat_keyword(&mut self, keyword: &str, lenient: bool) -> Option<Span> {
        let word = self.word()?;
        let span = self.peek().span;
        if word == keyword {
            self.bump();
            return Some(span);
        }
        if lenient && word.eq_ignore_ascii_case(keyword) {
            self.bump();
            self.diagnostics.push(
                Diagnostic::new(
                    &codes::FOREIGN_OPERATOR,
                    span,
                    format!("`{word}` is written in lower case"),
                )
                .with_fix(
                    format!("write `{keyword}`"),
                    vec![Edit {
                        span,
                        replacement: keyword.to_owned(),
                    }],
                    Applicability::Sure,
                ),
            );
            return Some(span);
        }
        None
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        if self.reported_at != Some(self.at) {
            self.reported_at = Some(self.at);
            self.diagnostics.push(diagnostic);
        }
    }

    /// Reports the token at this place as one that does not belong here.
    fn unexpected(&mut self, expected: &str) {
        let token = self.peek();
        let found = match token.kind {
            TokenKind::End => "the query ends here".to_owned(),
            _ => format!("found `{}`", self.text_of(token)),
        };
        self.report(Diagnostic::new(
            &codes::SYNTAX_ERROR,
            token.span,
            format!("expected {expected}, {found}"),
        ));
    }

    /// Skips to a token that `stop` accepts, or to the end. Brackets that open on the way are skipped with what they hold.
    fn skip_until(&mut self, stop: impl Fn(TokenKind) -> bool) {
        let mut open = 0_u32;
        loop {
            let kind = self.peek().kind;
            match kind {
                TokenKind::End => return,
                _ if open == 0 && stop(kind) => return,
                TokenKind::OpenParen | TokenKind::OpenBracket | TokenKind::OpenMissing => open += 1,
                TokenKind::CloseParen | TokenKind::CloseBracket => open = open.saturating_sub(1),
                _ => {}
            }
            self.bump();
        }
    }

    fn error_expr(&self, span: Span) -> Expr {
        Expr {
            kind: ExprKind::Error,
            span,
            height: 0,
        }
    }

    /// An expression of these children; refused where the tree gets too high.
    fn expr(&mut self, kind: ExprKind, span: Span) -> Expr {
        let mut expr = Expr {
            kind,
            span,
            height: 0,
        };
        let below = expr
            .children()
            .iter()
            .map(|child| child.height.saturating_add(1))
            .max();
        expr.height = below.unwrap_or(0);
        if expr.height > MAX_HEIGHT {
            self.too_deep(span);
            return self.error_expr(span);
        }
        expr
    }

    /// Reports nesting beyond the bound, and gives the rest of the query up.
    fn too_deep(&mut self, span: Span) {
        self.diagnostics.push(
            Diagnostic::new(&codes::QUERY_TOO_LARGE, span, "the expression is nested too deep")
                .with_help(format!("parentheses, `not` and signs may nest {MAX_DEPTH} levels deep, and chains of arithmetic may have {MAX_HEIGHT} operators")),
        );
        self.at = self.last();
        self.reported_at = Some(self.at);
    }
}

#[cfg(test)]
mod tests;
