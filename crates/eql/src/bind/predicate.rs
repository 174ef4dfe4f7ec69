//! `in`, `:`, `like` and `regex`.

use neph_diag::{Applicability, Diagnostic, Edit, Span};
use neph_event::Value;
use neph_plan::{RegexDialect, regex};

use super::Binder;
use crate::ast::{Predicate, PredicateOp};
use crate::bound::{Bound, Constant, Insensitive, Kind, Origin};
use crate::codes;
use crate::lexer::{quote, source_offset};
use crate::types::Type;

impl Binder<'_> {
    pub(super) fn predicate(&mut self, predicate: &Predicate, span: Span) -> Bound {
        let value = self.bind(&predicate.value);
        let is_list = matches!(predicate.operator, PredicateOp::In | PredicateOp::InInsensitive);
        let list = if is_list {
            self.in_list(predicate, &value, span)
        } else {
            self.patterns(predicate, &value, span)
        };
        let exact = self.check_exact(&value, value.span, None);
        let Some(list) = list.filter(|_| exact && !value.is_broken()) else {
            return Bound::error(span);
        };
        let value = Box::new(value);
        let kind = match predicate.operator {
            PredicateOp::In => Kind::In(value, list, Insensitive(false)),
            PredicateOp::InInsensitive => Kind::In(value, list, Insensitive(true)),
            PredicateOp::Like => Kind::Like(value, list, Insensitive(false)),
            PredicateOp::Matches | PredicateOp::LikeInsensitive => Kind::Like(value, list, Insensitive(true)),
            PredicateOp::Regex => Kind::Regex(value, list, Insensitive(false)),
            PredicateOp::RegexInsensitive => Kind::Regex(value, list, Insensitive(true)),
        };
        let bound = Bound {
            kind,
            ty: Type::Boolean,
            span,
        };
        if !predicate.negated {
            return bound;
        }
        let bound = self.folded(bound);
        Bound {
            kind: Kind::Not(Box::new(bound)),
            ty: Type::Boolean,
            span,
        }
    }

    fn in_list(&mut self, predicate: &Predicate, value: &Bound, span: Span) -> Option<Vec<Constant>> {
        let mut list = Vec::new();
        let mut fine = true;
        for element in &predicate.list {
            let bound = self.bind(element);
            if bound.is_broken() {
                fine = false;
            } else if let Kind::Constant(constant, origin) = &bound.kind {
                if !bound.ty.is_compatible(value.ty) {
                    let (wanted, found) = (self.type_name(value), bound.ty.name());
                    let message = format!(
                        "`{}` is of type `{found}`, the left side of `{}` is of type `{wanted}`",
                        element.span.text(self.text),
                        predicate.operator.text(),
                    );
                    let mut diagnostic = Diagnostic::new(&codes::ARGUMENT_TYPE, element.span, message);
                    if value.ty == Type::Ip {
                        diagnostic = diagnostic.with_help(
                            "addresses are compared with `==`, or with `cidrMatch(field, \"10.0.0.0/8\", …)`",
                        );
                    }
                    self.diagnostics.push(diagnostic);
                    fine = false;
                } else if *origin != Origin::Missing {
                    list.push(Constant {
                        value: constant.clone(),
                        span: element.span,
                    });
                }
            } else {
                self.field_comparison(predicate.operator.text(), &bound, span);
                fine = false;
            }
        }
        fine.then_some(list)
    }

    fn patterns(&mut self, predicate: &Predicate, value: &Bound, span: Span) -> Option<Vec<Constant>> {
        let operator = predicate.operator.text();
        let mut fine = true;
        if !value.ty.is_string() {
            let type_name = self.type_name(value);
            let written = value.span.text(self.text);
            let message = format!("`{operator}` compares text, and `{written}` is of type `{type_name}`");
            let mut diagnostic = Diagnostic::new(&codes::ARGUMENT_TYPE, span, message);
            if predicate.operator == PredicateOp::Matches {
                diagnostic = match predicate.list_span {
                    None => diagnostic.with_help("use `==`").with_fix(
                        "write `==`",
                        vec![Edit {
                            span: predicate.operator_span,
                            replacement: "==".to_owned(),
                        }],
                        Applicability::Maybe,
                    ),
                    Some(_) => diagnostic.with_help("use `in`").with_fix(
                        "write `in`",
                        vec![Edit {
                            span: predicate.operator_span,
                            replacement: "in".to_owned(),
                        }],
                        Applicability::Maybe,
                    ),
                };
            }
            self.diagnostics.push(diagnostic);
            fine = false;
        }
        let is_regex = matches!(
            predicate.operator,
            PredicateOp::Regex | PredicateOp::RegexInsensitive
        );
        let mut list = Vec::new();
        for element in &predicate.list {
            let bound = self.bind(element);
            match bound.as_constant() {
                Some(Some(Value::String(text))) => {
                    if is_regex {
                        fine &= self.check_regex(text, value, element.span);
                    }
                    list.push(Constant {
                        value: Some(Value::String(text.clone())),
                        span: element.span,
                    });
                }
                Some(None) => list.push(Constant {
                    value: None,
                    span: element.span,
                }),
                Some(Some(other)) if fine => {
                    let message = format!("`{operator}` takes strings, and `{other}` is none");
                    self.diagnostics.push(
                        Diagnostic::new(&codes::ARGUMENT_TYPE, element.span, message).with_fix(
                            "put it in quotes",
                            vec![Edit {
                                span: element.span,
                                replacement: quote(&other.to_string()),
                            }],
                            Applicability::Maybe,
                        ),
                    );
                    fine = false;
                }
                _ => fine = false,
            }
        }
        fine.then_some(list)
    }

    /// On a field a regular expression is Lucene's, on anything else Java's.
    fn check_regex(&mut self, pattern: &str, value: &Bound, span: Span) -> bool {
        let dialect = if value.as_field().is_some() {
            RegexDialect::Lucene
        } else {
            RegexDialect::Java
        };
        let Err(error) = regex::compile(&[pattern.into()], dialect, neph_plan::Case::Sensitive) else {
            return true;
        };
        let place = match error.offset {
            Some(offset) => {
                // A pattern whose string has no end may go wrong behind the text's end.
                let within = source_offset(span.text(self.text), offset).min(span.len());
                let start = self.text.floor_char_boundary(span.start as usize + within);
                let end = self
                    .text
                    .get(start..)
                    .and_then(|rest| rest.chars().next())
                    .map_or(start, |c| start + c.len_utf8());
                Span::new(start, end)
            }
            None => span,
        };
        let mut diagnostic = Diagnostic::new(
            &codes::INVALID_REGEX,
            place,
            format!("the regular expression is not valid: {}", error.reason),
        );
        if dialect == RegexDialect::Lucene {
            diagnostic = diagnostic.with_help(
                "on a field, regular expressions are Lucene's: they match the whole value, and `\"` `<` `~` `&` `@` `#` are operators unless a `\\` stands before them",
            );
        }
        self.diagnostics.push(diagnostic);
        false
    }
}
