//! Expressions, by precedence.

use neph_diag::{Applicability, Diagnostic, Edit, Span};

use super::{KEYWORDS, MAX_DEPTH, Parser};
use crate::ast::{ArithmeticOp, Call, CompareOp, Expr, ExprKind, Literal, Predicate, PredicateOp};
use crate::codes;
use crate::lexer::{TokenKind, decode};

impl Parser<'_> {
    /// A whole expression.
    pub(super) fn expression(&mut self) -> Expr {
        let start = self.peek().span;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            self.depth -= 1;
            self.too_deep(start);
            return self.error_expr(start);
        }
        let expr = self.or();
        self.depth -= 1;
        expr
    }

    fn or(&mut self) -> Expr {
        let first = self.and();
        let mut parts = vec![first];
        while self.eat_keyword("or", true).is_some() {
            parts.push(self.and());
        }
        self.joined(parts, ExprKind::Or)
    }

    fn and(&mut self) -> Expr {
        let first = self.not();
        let mut parts = vec![first];
        while self.eat_keyword("and", true).is_some() {
            parts.push(self.not());
        }
        self.joined(parts, ExprKind::And)
    }

    fn joined(&mut self, mut parts: Vec<Expr>, join: impl FnOnce(Vec<Expr>) -> ExprKind) -> Expr {
        match (parts.pop(), parts.first()) {
            (Some(only), None) => only,
            (Some(last), Some(first)) => {
                let span = first.span.to(last.span);
                parts.push(last);
                self.expr(join(parts), span)
            }
            (None, _) => self.error_expr(self.peek().span),
        }
    }

    fn not(&mut self) -> Expr {
        let operator = matches!(self.word_at(1), Some("and" | "or" | "in" | "like" | "regex"));
        let lenient = !operator
            && matches!(
                self.peek_at(1).kind,
                TokenKind::Ident | TokenKind::Backquoted | TokenKind::Question | TokenKind::OpenParen
            );
        let Some(start) = self.eat_keyword("not", lenient) else {
            return self.comparison();
        };
        self.nested(start, |parser| {
            let operand = parser.not();
            let span = start.to(operand.span);
            parser.expr(ExprKind::Not(Box::new(operand)), span)
        })
    }

    /// Parses one level deeper, within the bound.
    fn nested(&mut self, start: Span, parse: impl FnOnce(&mut Self) -> Expr) -> Expr {
        self.depth += 1;
        let expr = if self.depth > MAX_DEPTH {
            self.too_deep(start);
            self.error_expr(start)
        } else {
            parse(self)
        };
        self.depth -= 1;
        expr
    }

    fn comparison(&mut self) -> Expr {
        let mut left = self.sum();
        let mut chained = false;
        while let Some(operator) = self.comparison_operator() {
            let operator_span = self.bump().span;
            if chained {
                let diagnostic = Diagnostic::new(
                    &codes::SYNTAX_ERROR,
                    operator_span,
                    "comparisons cannot be chained",
                )
                .with_help("join them with `and`: `a < b and b < c`");
                self.report(diagnostic);
            }
            chained = true;
            let right = self.sum();
            let span = left.span.to(right.span);
            left = self.expr(
                ExprKind::Compare(operator, operator_span, Box::new(left), Box::new(right)),
                span,
            );
        }
        left
    }

    fn comparison_operator(&mut self) -> Option<CompareOp> {
        let token = self.peek();
        Some(match token.kind {
            TokenKind::Equal => CompareOp::Equal,
            TokenKind::NotEqual => CompareOp::NotEqual,
            TokenKind::Less => CompareOp::Less,
            TokenKind::LessOrEqual => CompareOp::LessOrEqual,
            TokenKind::Greater => CompareOp::Greater,
            TokenKind::GreaterOrEqual => CompareOp::GreaterOrEqual,
            TokenKind::Assign => {
                let edit = Edit {
                    span: token.span,
                    replacement: "==".to_owned(),
                };
                self.diagnostics.push(
                    Diagnostic::new(&codes::ASSIGNMENT_OPERATOR, token.span, "`=` does not compare")
                        .with_fix("write `==`", vec![edit], Applicability::Sure),
                );
                CompareOp::Equal
            }
            _ => return None,
        })
    }

    fn sum(&mut self) -> Expr {
        let mut left = self.product();
        loop {
            let operator = match self.peek().kind {
                TokenKind::Plus => ArithmeticOp::Add,
                TokenKind::Minus => ArithmeticOp::Subtract,
                _ => return left,
            };
            self.bump();
            let right = self.product();
            left = self.arithmetic(operator, left, right);
        }
    }

    fn product(&mut self) -> Expr {
        let mut left = self.signed();
        loop {
            let operator = match self.peek().kind {
                TokenKind::Star => ArithmeticOp::Multiply,
                TokenKind::Slash => ArithmeticOp::Divide,
                TokenKind::Percent => ArithmeticOp::Modulo,
                _ => return left,
            };
            self.bump();
            let right = self.signed();
            left = self.arithmetic(operator, left, right);
        }
    }

    fn arithmetic(&mut self, operator: ArithmeticOp, left: Expr, right: Expr) -> Expr {
        let span = left.span.to(right.span);
        self.expr(
            ExprKind::Arithmetic(operator, Box::new(left), Box::new(right)),
            span,
        )
    }

    fn signed(&mut self) -> Expr {
        let start = self.peek().span;
        if self.eat(TokenKind::Plus).is_some() {
            return self.nested(start, Self::signed);
        }
        if self.eat(TokenKind::Minus).is_none() {
            return self.predicate();
        }
        self.nested(start, |parser| {
            let operand = parser.signed();
            let span = start.to(operand.span);
            parser.expr(ExprKind::Negate(Box::new(operand)), span)
        })
    }

    fn predicate(&mut self) -> Expr {
        let value = self.primary();
        let start = self.peek().span;
        let not_in = self.word() == Some("not")
            && self
                .word_at(1)
                .is_some_and(|word| word.eq_ignore_ascii_case("in"));
        let negated_other = self.word() == Some("not") && matches!(self.word_at(1), Some("like" | "regex"))
            || self.word() == Some("not") && self.peek_at(1).kind == TokenKind::Colon;
        if not_in {
            self.bump();
        } else if negated_other {
            self.bump();
            let operator = self.text_of(self.peek());
            let edits = vec![
                Edit {
                    span: Span {
                        start: value.span.start,
                        end: value.span.start,
                    },
                    replacement: "not ".to_owned(),
                },
                Edit {
                    span: Span {
                        start: start.start,
                        end: self.peek().span.start,
                    },
                    replacement: String::new(),
                },
            ];
            self.diagnostics.push(
                Diagnostic::new(
                    &codes::SYNTAX_ERROR,
                    start,
                    format!("`not` cannot stand before `{operator}`"),
                )
                .with_fix("put `not` before the whole condition", edits, Applicability::Sure),
            );
        }
        let Some(operator) = self.predicate_operator() else {
            return value;
        };
        let operator_span = Span {
            start: start.start,
            end: self.previous_end(),
        };
        let (list, list_span) = match operator {
            PredicateOp::In | PredicateOp::InInsensitive => self.in_list(),
            _ => self.constants(operator),
        };
        let span = Span {
            start: value.span.start,
            end: self.previous_end().max(operator_span.end),
        };
        let negated = not_in || negated_other;
        let predicate = Predicate {
            value: Box::new(value),
            operator,
            operator_span,
            negated,
            list,
            list_span,
        };
        self.expr(ExprKind::Predicate(predicate), span)
    }

    fn predicate_operator(&mut self) -> Option<PredicateOp> {
        if self.eat(TokenKind::Colon).is_some() {
            return Some(PredicateOp::Matches);
        }
        let (sensitive, insensitive) = match self.word()?.to_ascii_lowercase().as_str() {
            "in" => (PredicateOp::In, PredicateOp::InInsensitive),
            "like" => (PredicateOp::Like, PredicateOp::LikeInsensitive),
            "regex" => (PredicateOp::Regex, PredicateOp::RegexInsensitive),
            _ => return None,
        };
        let word = self.eat_keyword(sensitive.text(), true)?;
        let tilde = self.peek();
        if tilde.kind == TokenKind::Tilde && tilde.span.start == word.end {
            self.bump();
            return Some(insensitive);
        }
        Some(sensitive)
    }

    fn in_list(&mut self) -> (Vec<Expr>, Option<Span>) {
        let open = self.peek().span;
        if self.eat(TokenKind::OpenParen).is_none() {
            self.unexpected("`(` and a list of values behind `in`");
            let single = matches!(
                self.peek().kind,
                TokenKind::String | TokenKind::Integer | TokenKind::Decimal
            );
            let list = if single {
                vec![self.primary()]
            } else {
                vec![self.error_expr(open)]
            };
            return (list, None);
        }
        let list = self.list(open, "value", Self::expression);
        (
            list,
            Some(Span {
                start: open.start,
                end: self.previous_end(),
            }),
        )
    }

    fn constants(&mut self, operator: PredicateOp) -> (Vec<Expr>, Option<Span>) {
        let open = self.peek().span;
        if self.eat(TokenKind::OpenParen).is_none() {
            return (vec![self.constant(operator)], None);
        }
        let list = self.list(open, "pattern", |parser| parser.constant(operator));
        (
            list,
            Some(Span {
                start: open.start,
                end: self.previous_end(),
            }),
        )
    }

    fn constant(&mut self, operator: PredicateOp) -> Expr {
        let token = self.peek();
        let is_constant = match token.kind {
            TokenKind::String | TokenKind::Integer | TokenKind::Decimal => true,
            TokenKind::Ident => matches!(self.text_of(token), "null" | "true" | "false"),
            _ => false,
        };
        if is_constant {
            return self.primary();
        }
        let operator = operator.text();
        let diagnostic = Diagnostic::new(
            &codes::SYNTAX_ERROR,
            token.span,
            format!("expected a constant behind `{operator}`, or constants in parentheses"),
        );
        self.report(diagnostic);
        self.skip_operand();
        self.error_expr(token.span)
    }

    /// What stands between parentheses, separated by commas, and the closing parenthesis.
    fn list(&mut self, open: Span, what: &str, mut element: impl FnMut(&mut Self) -> Expr) -> Vec<Expr> {
        let mut list = Vec::new();
        loop {
            if self.peek().kind == TokenKind::CloseParen {
                let close = self.peek().span;
                if let Some(comma) = self
                    .at
                    .checked_sub(1)
                    .map(|at| self.token(at))
                    .filter(|t| t.kind == TokenKind::Comma)
                {
                    self.report(
                        Diagnostic::new(
                            &codes::SYNTAX_ERROR,
                            comma.span,
                            format!("there is no {what} behind the last comma"),
                        )
                        .with_fix(
                            "remove the comma",
                            vec![Edit {
                                span: comma.span,
                                replacement: String::new(),
                            }],
                            Applicability::Sure,
                        ),
                    );
                } else {
                    self.report(Diagnostic::new(
                        &codes::SYNTAX_ERROR,
                        close,
                        format!("expected at least one {what}"),
                    ));
                }
                self.bump();
                return list;
            }
            list.push(element(self));
            if self.eat(TokenKind::Comma).is_some() {
                continue;
            }
            self.close_paren(open);
            return list;
        }
    }

    fn close_paren(&mut self, open: Span) {
        if self.eat(TokenKind::CloseParen).is_some() {
            return;
        }
        let token = self.peek();
        let found = match token.kind {
            TokenKind::End => "the query ends here".to_owned(),
            _ => format!("found `{}`", self.text_of(token)),
        };
        let at_end = matches!(
            token.kind,
            TokenKind::End
                | TokenKind::Pipe
                | TokenKind::CloseBracket
                | TokenKind::OpenBracket
                | TokenKind::OpenMissing
        );
        self.report(
            Diagnostic::new(&codes::SYNTAX_ERROR, token.span, format!("expected `)`, {found}"))
                .with_secondary(open, "opened here"),
        );
        if !at_end {
            self.skip_until(|kind| {
                matches!(
                    kind,
                    TokenKind::CloseParen
                        | TokenKind::CloseBracket
                        | TokenKind::Pipe
                        | TokenKind::OpenBracket
                )
            });
            self.eat(TokenKind::CloseParen);
        }
    }

    fn primary(&mut self) -> Expr {
        let token = self.peek();
        let text = self.text_of(token);
        let literal = |parser: &mut Self, literal| {
            parser.bump();
            Expr {
                kind: ExprKind::Literal(literal),
                span: token.span,
                height: 0,
            }
        };
        match token.kind {
            TokenKind::Integer => {
                let number = match text.parse() {
                    Ok(number) => Literal::Integer(number),
                    Err(_) => Literal::Decimal(text.parse().unwrap_or(f64::MAX)),
                };
                literal(self, number)
            }
            TokenKind::Decimal => literal(self, Literal::Decimal(text.parse().unwrap_or(f64::MAX))),
            TokenKind::String => {
                let decoded = decode(text);
                literal(
                    self,
                    Literal::String {
                        value: decoded.value.into(),
                        raw: decoded.raw,
                    },
                )
            }
            TokenKind::Ident if text == "null" => literal(self, Literal::Null),
            TokenKind::Ident if text == "true" => literal(self, Literal::Bool(true)),
            TokenKind::Ident if text == "false" => literal(self, Literal::Bool(false)),
            TokenKind::OpenParen => {
                self.bump();
                let inner = self.expression();
                self.close_paren(token.span);
                let span = Span {
                    start: token.span.start,
                    end: self.previous_end().max(inner.span.end),
                };
                self.expr(ExprKind::Group(Box::new(inner)), span)
            }
            TokenKind::Ident if self.word_at(1) == Some("of") => self.process_relationship(),
            TokenKind::Ident if self.is_call() => self.call(),
            TokenKind::Ident if KEYWORDS.contains(&text) && !self.keyword_can_be_name() => self.no_operand(),
            TokenKind::Ident | TokenKind::Backquoted | TokenKind::Question => match self.field() {
                Some(field) => {
                    let span = field.span;
                    Expr {
                        kind: ExprKind::Field(field),
                        span,
                        height: 0,
                    }
                }
                None => {
                    self.skip_operand();
                    self.error_expr(token.span)
                }
            },
            _ => self.no_operand(),
        }
    }

    /// Whether the keyword at this place was meant as a field: an operator or a dot follows.
    fn keyword_can_be_name(&self) -> bool {
        use TokenKind as K;
        matches!(
            self.peek_at(1).kind,
            K::Equal
                | K::NotEqual
                | K::Less
                | K::LessOrEqual
                | K::Greater
                | K::GreaterOrEqual
                | K::Assign
                | K::Colon
                | K::Dot
        )
    }

    fn no_operand(&mut self) -> Expr {
        let token = self.peek();
        self.unexpected("a field, a constant or a function");
        self.skip_operand();
        self.error_expr(token.span)
    }

    /// Skips to where an operand could end.
    fn skip_operand(&mut self) {
        loop {
            let token = self.peek();
            let joins = matches!(self.word(), Some("and" | "or" | "until" | "by" | "with"));
            let stops = matches!(
                token.kind,
                TokenKind::CloseParen
                    | TokenKind::CloseBracket
                    | TokenKind::Pipe
                    | TokenKind::Comma
                    | TokenKind::End
            );
            if joins || stops {
                return;
            }
            match token.kind {
                TokenKind::OpenParen | TokenKind::OpenBracket | TokenKind::OpenMissing => {
                    self.bump();
                    self.skip_until(|kind| matches!(kind, TokenKind::CloseParen | TokenKind::CloseBracket));
                    self.bump();
                }
                _ => {
                    self.bump();
                }
            }
        }
    }

    fn is_call(&self) -> bool {
        let name = self.peek();
        if KEYWORDS.contains(&self.text_of(name)) || matches!(self.word(), Some("and" | "or" | "not")) {
            return false;
        }
        let tilde = self.peek_at(1);
        match tilde.kind {
            TokenKind::OpenParen => true,
            TokenKind::Tilde => {
                tilde.span.start == name.span.end && self.peek_at(2).kind == TokenKind::OpenParen
            }
            _ => false,
        }
    }

    fn call(&mut self) -> Expr {
        let name = self.bump();
        let insensitive = self.eat(TokenKind::Tilde).is_some();
        let name_span = Span {
            start: name.span.start,
            end: self.previous_end(),
        };
        let open = self.bump().span;
        let arguments = if self.eat(TokenKind::CloseParen).is_some() {
            Vec::new()
        } else {
            self.list(open, "argument", Self::expression)
        };
        let span = Span {
            start: name.span.start,
            end: self.previous_end(),
        };
        let name = self.text_of(name).into();
        self.expr(
            ExprKind::Call(Call {
                name,
                name_span,
                insensitive,
                arguments,
            }),
            span,
        )
    }

    /// `child of […]` and its like, which Elasticsearch never ran.
    fn process_relationship(&mut self) -> Expr {
        let name = self.bump().span;
        let of = self.bump().span;
        if self.peek().kind == TokenKind::OpenBracket {
            let open = self.bump();
            self.event_query();
            if self.eat(TokenKind::CloseBracket).is_none() {
                self.skip_until(|kind| kind == TokenKind::CloseBracket || kind == TokenKind::Pipe);
                self.eat(TokenKind::CloseBracket);
            }
            self.diagnostics.push(
                Diagnostic::new(&codes::PROCESS_RELATIONSHIP, name.to(of), "relationships between processes cannot be asked for")
                    .with_secondary(open.span, "the related event")
                    .with_help("events of related processes can be joined: `sequence [ … ] by process.entity_id [ … ] by process.parent.entity_id`"),
            );
        } else {
            self.unexpected("`[` behind `of`");
            self.skip_operand();
        }
        self.error_expr(Span {
            start: name.start,
            end: self.previous_end(),
        })
    }
}
