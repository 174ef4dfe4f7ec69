//! Expressions with their names resolved, their types known and their constants folded.

use neph_diag::Span;
use neph_event::{FieldType, Value};
use neph_plan::{Arithmetic, Case, FieldId, Function};

use crate::ast::CompareOp;
use crate::types::Type;

/// An expression behind analysis.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    pub(crate) kind: Kind,
    pub(crate) ty: Type,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// Something that has been reported.
    Error,
    Constant(Option<Value>, Origin),
    Field(BoundField),
    Negate(Box<Bound>),
    Arithmetic(Arithmetic, Box<Bound>, Box<Bound>),
    /// A comparison; a constant side stands on the right.
    Compare(CompareOp, Box<Bound>, Box<Bound>),
    /// A null test; true asks for null, false for its contrary.
    IsNull(Box<Bound>, bool),
    In(Box<Bound>, Vec<Constant>, Insensitive),
    Like(Box<Bound>, Vec<Constant>, Insensitive),
    Regex(Box<Bound>, Vec<Constant>, Insensitive),
    Call(Function, Vec<Bound>, Insensitive),
    Not(Box<Bound>),
    And(Vec<Bound>),
    Or(Vec<Bound>),
}

/// Where a constant comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It was written as it is.
    Literal,
    /// It was computed from literals.
    Folded,
    /// An optional field that the schema does not have took part in it.
    Missing,
}

#[derive(Clone, Debug)]
pub(crate) struct BoundField {
    pub(crate) id: FieldId,
    pub(crate) name: Box<str>,
    pub(crate) kind: FieldType,
}

/// A constant of a list.
#[derive(Clone, Debug)]
pub(crate) struct Constant {
    pub(crate) value: Option<Value>,
    pub(crate) span: Span,
}

/// Whether letters compare without case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Insensitive(pub(crate) bool);

impl Insensitive {
    /// On a field, as an index compares.
    pub(crate) fn on_field(self) -> Case {
        if self.0 {
            Case::AsciiInsensitive
        } else {
            Case::Sensitive
        }
    }

    /// In an expression, as a script compares.
    pub(crate) fn in_script(self) -> Case {
        if self.0 {
            Case::Insensitive
        } else {
            Case::Sensitive
        }
    }
}

impl Bound {
    pub(crate) fn error(span: Span) -> Self {
        Self {
            kind: Kind::Error,
            ty: Type::Broken,
            span,
        }
    }

    pub(crate) fn constant(value: Option<Value>, origin: Origin, span: Span) -> Self {
        Self {
            ty: Type::of_constant(value.as_ref()),
            kind: Kind::Constant(value, origin),
            span,
        }
    }

    /// The constant that this is.
    pub(crate) fn as_constant(&self) -> Option<Option<&Value>> {
        match &self.kind {
            Kind::Constant(value, _) => Some(value.as_ref()),
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Constant(None, _))
    }

    /// Whether it is the word `null`.
    pub(crate) fn is_literal_null(&self) -> bool {
        matches!(self.kind, Kind::Constant(None, Origin::Literal))
    }

    pub(crate) fn as_field(&self) -> Option<&BoundField> {
        match &self.kind {
            Kind::Field(field) => Some(field),
            _ => None,
        }
    }

    /// Whether anything in it was reported as an error.
    pub(crate) fn is_broken(&self) -> bool {
        matches!(self.kind, Kind::Error) || self.children().into_iter().any(Self::is_broken)
    }

    pub(crate) fn children(&self) -> Vec<&Self> {
        match &self.kind {
            Kind::Error | Kind::Constant(..) | Kind::Field(_) => Vec::new(),
            Kind::Negate(a)
            | Kind::IsNull(a, _)
            | Kind::Not(a)
            | Kind::In(a, ..)
            | Kind::Like(a, ..)
            | Kind::Regex(a, ..) => vec![a],
            Kind::Arithmetic(_, a, b) | Kind::Compare(_, a, b) => vec![a, b],
            Kind::Call(_, parts, _) | Kind::And(parts) | Kind::Or(parts) => parts.iter().collect(),
        }
    }

    /// Calls `visit` with this expression and all below, outer ones first.
    pub(crate) fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Self)) {
        visit(self);
        for child in self.children() {
            child.walk(visit);
        }
    }
}
