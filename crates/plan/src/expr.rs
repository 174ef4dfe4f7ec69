//! Expressions inside a leaf: three-valued, typed at run time.

use neph_event::Value;

use crate::{Case, FieldId, Pattern, RegexDialect, Relation, TimePart};

/// An expression over one choice of values. Null propagates through everything but [`Expr::IsNull`] and the
/// three-valued `and`, `or`; a type that does not fit gives null.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Expr {
    /// A constant; `None` is null.
    Const(Option<Value>),
    /// The chosen value of a field; every use in one leaf sees the same choice.
    Field(FieldId),
    /// Arithmetic. Integers divide and take remainders truncated toward zero; overflow and integer division by zero give null.
    Arithmetic(Arithmetic, Box<Expr>, Box<Expr>),
    /// Minus.
    Negate(Box<Expr>),
    /// `==`, exact.
    Equals(Box<Expr>, Box<Expr>),
    /// An order relation.
    Compare(Relation, Box<Expr>, Box<Expr>),
    /// Equal to any of these, by case.
    In(Box<Expr>, Vec<Expr>, Case),
    /// Matches any of the patterns as a whole.
    Like(Box<Expr>, Vec<Pattern>, Case),
    /// Matches any of the regular expressions.
    Regex(Box<Expr>, Vec<Box<str>>, RegexDialect, Case),
    /// Whether the value is null; never null itself.
    IsNull(Box<Expr>),
    /// Three-valued and.
    And(Vec<Expr>),
    /// Three-valued or.
    Or(Vec<Expr>),
    /// Three-valued not.
    Not(Box<Expr>),
    /// A part of a time, as a number.
    TimePart(TimePart, Box<Expr>),
    /// A function of EQL, with its case for the ones that have a `~` form.
    Call(Function, Vec<Expr>, Case),
}

/// The arithmetic operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arithmetic {
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

/// EQL's functions, as
/// <https://www.elastic.co/docs/reference/query-languages/eql/eql-function-ref> describes them; `add` and its like are
/// [`Expr::Arithmetic`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Function {
    /// `between(source, left, right, greedy)`; always four arguments here.
    Between,
    /// `cidrMatch(ip, block…)`
    CidrMatch,
    /// `concat(value…)`
    Concat,
    /// `endsWith(source, part)`
    EndsWith,
    /// `indexOf(source, part, start)`; always three arguments here.
    IndexOf,
    /// `length(source)`, in UTF-16 units.
    Length,
    /// `number(text, base)`; always two arguments here, a null base is 10, or 16 for a `0x` prefix.
    Number,
    /// `startsWith(source, part)`
    StartsWith,
    /// `string(value)`
    String,
    /// `stringContains(source, part)`
    StringContains,
    /// `substring(source, start, end)`; always three arguments here, a null end is the length.
    Substring,
}

impl Expr {
    /// Calls `visit` with every field that is read.
    pub fn for_each_field(&self, visit: &mut impl FnMut(FieldId)) {
        match self {
            Self::Const(_) => {}
            Self::Field(field) => visit(*field),
            Self::Arithmetic(_, a, b) | Self::Equals(a, b) | Self::Compare(_, a, b) => {
                a.for_each_field(visit);
                b.for_each_field(visit);
            }
            Self::Negate(a)
            | Self::IsNull(a)
            | Self::Not(a)
            | Self::Like(a, ..)
            | Self::Regex(a, ..)
            | Self::TimePart(_, a) => {
                a.for_each_field(visit);
            }
            Self::In(a, list, _) => {
                a.for_each_field(visit);
                list.iter().for_each(|item| item.for_each_field(visit));
            }
            Self::And(list) | Self::Or(list) | Self::Call(_, list, _) => {
                list.iter().for_each(|item| item.for_each_field(visit));
            }
        }
    }
}
