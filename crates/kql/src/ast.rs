//! The syntax tree, which both languages share.

use neph_diag::Span;
use neph_plan::Pattern;

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it says.
    pub kind: ExprKind,
    /// Where it stands.
    pub span: Span,
}

/// What a condition says.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// Something that was reported.
    Error,
    /// The empty query, which every event satisfies.
    Everything,
    /// Any of at least two.
    Or(Vec<Expr>),
    /// All of at least two.
    And(Vec<Expr>),
    /// The contrary.
    Not(Box<Expr>),
    /// Parentheses.
    Group(Box<Expr>),
    /// `field: …`: the values of the field satisfy the inner condition, whose leaves are values.
    Field(Name, Box<Expr>),
    /// `field: { … }`: one object of the list satisfies the inner condition, whose names are relative to the field.
    Nested(Name, Box<Expr>),
    /// `field > value`
    Range(Name, RangeOperator, Literal),
    /// A value: of the field around it, or without one.
    Value(Literal),
}

/// The name of a field, possibly with wildcards.
#[derive(Clone, Debug, PartialEq)]
pub struct Name {
    /// The name; without wildcards a single literal.
    pub pattern: Pattern,
    /// Where it stands.
    pub span: Span,
}

/// A relation of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeOperator {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// A value as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Literal {
    /// The text with escapes resolved; wildcards are parts of their own.
    pub pattern: Pattern,
    /// How it is written.
    pub form: Form,
    /// Where it stands, quotes included.
    pub span: Span,
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Without quotes.
    Bare,
    /// In quotes.
    Quoted,
    /// Between slashes, a regular expression (Lucene).
    Regex,
}

impl Expr {
    /// The condition without parentheses around it.
    pub fn without_groups(&self) -> &Self {
        let mut expr = self;
        while let ExprKind::Group(inner) = &expr.kind {
            expr = inner;
        }
        expr
    }

    /// Calls `visit` with this condition and all below, outer ones first.
    pub fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Self)) {
        visit(self);
        match &self.kind {
            ExprKind::Or(parts) | ExprKind::And(parts) => parts.iter().for_each(|part| part.walk(visit)),
            ExprKind::Not(inner)
            | ExprKind::Group(inner)
            | ExprKind::Field(_, inner)
            | ExprKind::Nested(_, inner) => inner.walk(visit),
            ExprKind::Error | ExprKind::Everything | ExprKind::Range(..) | ExprKind::Value(_) => {}
        }
    }
}
