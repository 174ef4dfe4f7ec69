//! The syntax tree: what was written, with the place of every node.
//!
//! Parentheses are nodes of their own, so that lints and fixes know them. Where the text was wrong the tree holds
//! [`ExprKind::Error`], and the problem has been reported.

use neph_diag::Span;

/// A whole query.
#[derive(Clone, Debug)]
pub struct Query {
    /// What is looked for.
    pub body: Body,
    /// Pipes, in order.
    pub pipes: Vec<Pipe>,
    /// All of it.
    pub span: Span,
}

/// What a query looks for.
#[derive(Clone, Debug)]
pub enum Body {
    /// Single events.
    Event(EventQuery),
    /// Events in order.
    Sequence(Sequence),
    /// Events in any order.
    Sample(Sample),
}

/// `category where condition`.
#[derive(Clone, Debug)]
pub struct EventQuery {
    /// Which events.
    pub category: Category,
    /// The condition.
    pub condition: Expr,
    /// All of it.
    pub span: Span,
}

/// The word before `where`.
#[derive(Clone, Debug)]
pub struct Category {
    /// The category; `None` for `any`.
    pub name: Option<Box<str>>,
    /// Where it stands.
    pub span: Span,
}

/// `sequence …`.
#[derive(Clone, Debug)]
pub struct Sequence {
    /// The word `sequence`.
    pub keyword: Span,
    /// Join keys of every step.
    pub keys: Vec<Field>,
    /// The longest time from first to last event.
    pub maxspan: Option<Maxspan>,
    /// The steps.
    pub terms: Vec<Term>,
    /// What ends a sequence before it is complete.
    pub until: Option<Term>,
}

/// `sample …`.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The word `sample`.
    pub keyword: Span,
    /// Join keys of every filter.
    pub keys: Vec<Field>,
    /// The filters.
    pub terms: Vec<Term>,
}

/// `with maxspan=…`.
#[derive(Clone, Copy, Debug)]
pub struct Maxspan {
    /// Nanoseconds; `None` where the text was no duration, which has been reported.
    pub nanos: Option<u64>,
    /// The duration's text.
    pub span: Span,
}

/// A step of a sequence, or a filter of a sample.
#[derive(Clone, Debug)]
pub struct Term {
    /// The query in the brackets.
    pub query: EventQuery,
    /// Join keys of this step alone.
    pub keys: Vec<Field>,
    /// Whether it was written `![…]`.
    pub missing: bool,
    /// `with runs=…`.
    pub runs: Option<Runs>,
    /// All of it.
    pub span: Span,
}

/// `with runs=…`.
#[derive(Clone, Copy, Debug)]
pub struct Runs {
    /// How often.
    pub count: u32,
    /// The number's text.
    pub span: Span,
}

/// A pipe.
#[derive(Clone, Debug)]
pub struct Pipe {
    /// Its name.
    pub name: Box<str>,
    /// Where the name stands.
    pub name_span: Span,
    /// Its arguments.
    pub arguments: Vec<Expr>,
    /// All of it.
    pub span: Span,
}

/// A field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its dotted name, without backquotes.
    pub name: Box<str>,
    /// Whether `?` marks it as optional.
    pub optional: bool,
    /// Where it stands, `?` included.
    pub span: Span,
}

/// An expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands.
    pub span: Span,
    /// Levels of nodes below this one, bounded by the parser so that walks may recurse.
    pub(crate) height: u16,
}

/// What an expression is.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// Something that could not be parsed.
    Error,
    /// A constant.
    Literal(Literal),
    /// A field.
    Field(Field),
    /// `( … )`.
    Group(Box<Expr>),
    /// `name(…)`.
    Call(Call),
    /// `-x`.
    Negate(Box<Expr>),
    /// `x + y` and its like.
    Arithmetic(ArithmeticOp, Box<Expr>, Box<Expr>),
    /// `x == y` and its like.
    Compare(CompareOp, Span, Box<Expr>, Box<Expr>),
    /// `x in (…)`, `x : …`, `x like …`, `x regex …`.
    Predicate(Predicate),
    /// `not x`.
    Not(Box<Expr>),
    /// `x and y and …`, at least two.
    And(Vec<Expr>),
    /// `x or y or …`, at least two.
    Or(Vec<Expr>),
}

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A whole number of 64 bits.
    Integer(i64),
    /// A decimal, or a whole number beyond 64 bits.
    Decimal(f64),
    /// A string's content.
    String {
        /// The content.
        value: Box<str>,
        /// Whether it was written with three quotes.
        raw: bool,
    },
}

/// A call of a function.
#[derive(Clone, Debug)]
pub struct Call {
    /// The name as written, without `~`.
    pub name: Box<str>,
    /// Where the name stands, `~` included.
    pub name_span: Span,
    /// Whether `~` follows the name.
    pub insensitive: bool,
    /// The arguments.
    pub arguments: Vec<Expr>,
}

/// `+ - * / %`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArithmeticOp {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Modulo,
}

/// `== != < <= > >=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareOp {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl CompareOp {
    /// As it is written.
    pub fn text(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// The operator that says the same with its sides exchanged.
    #[must_use]
    pub fn swapped(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            same => same,
        }
    }
}

/// `x in (…)` and its like.
#[derive(Clone, Debug)]
pub struct Predicate {
    /// The left side.
    pub value: Box<Expr>,
    /// The operator.
    pub operator: PredicateOp,
    /// Where the operator stands, `not` included.
    pub operator_span: Span,
    /// `not in`.
    pub negated: bool,
    /// The right side, one or more.
    pub list: Vec<Expr>,
    /// The parentheses of the list with what they hold; `None` for a single constant.
    pub list_span: Option<Span>,
}

/// `in in~ : like like~ regex regex~`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PredicateOp {
    /// `in`
    In,
    /// `in~`
    InInsensitive,
    /// `:`
    Matches,
    /// `like`
    Like,
    /// `like~`
    LikeInsensitive,
    /// `regex`
    Regex,
    /// `regex~`
    RegexInsensitive,
}

impl PredicateOp {
    /// As it is written.
    pub fn text(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::InInsensitive => "in~",
            Self::Matches => ":",
            Self::Like => "like",
            Self::LikeInsensitive => "like~",
            Self::Regex => "regex",
            Self::RegexInsensitive => "regex~",
        }
    }
}

impl Expr {
    /// The expression within any parentheses.
    pub fn without_groups(&self) -> &Self {
        let mut inner = self;
        while let ExprKind::Group(expr) = &inner.kind {
            inner = expr;
        }
        inner
    }

    /// The expressions directly below this one, in the order of the text.
    pub fn children(&self) -> Vec<&Self> {
        match &self.kind {
            ExprKind::Error | ExprKind::Literal(_) | ExprKind::Field(_) => Vec::new(),
            ExprKind::Group(expr) | ExprKind::Negate(expr) | ExprKind::Not(expr) => vec![expr],
            ExprKind::Call(call) => call.arguments.iter().collect(),
            ExprKind::Arithmetic(_, a, b) | ExprKind::Compare(_, _, a, b) => vec![a, b],
            ExprKind::Predicate(predicate) => std::iter::once(&*predicate.value)
                .chain(&predicate.list)
                .collect(),
            ExprKind::And(parts) | ExprKind::Or(parts) => parts.iter().collect(),
        }
    }

    /// Calls `visit` with this expression and all below, outer ones first.
    pub fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Self)) {
        visit(self);
        for child in self.children() {
            child.walk(visit);
        }
    }
}

impl Query {
    /// The event queries, in the order of the text.
    pub fn event_queries(&self) -> Vec<&EventQuery> {
        match &self.body {
            Body::Event(query) => vec![query],
            Body::Sequence(sequence) => sequence
                .terms
                .iter()
                .chain(&sequence.until)
                .map(|term| &term.query)
                .collect(),
            Body::Sample(sample) => sample.terms.iter().map(|term| &term.query).collect(),
        }
    }
}
