//! Conditions: two-valued logic over leaves.

use std::sync::Arc;

use ipnet::IpNet;
use neph_diag::Span;
use neph_event::Value;

use crate::{Expr, FieldId, Lookup, Nested};

/// A condition over one event; each node is plainly true or false.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Always or never.
    Const(bool),
    /// All of them; true when empty.
    And(Vec<Condition>),
    /// Any of them; false when empty.
    Or(Vec<Condition>),
    /// The contrary.
    Not(Box<Condition>),
    /// A test of the event's values.
    Leaf(Leaf),
}

impl Condition {
    /// A leaf.
    pub fn leaf(test: Test, span: Span) -> Self {
        Self::Leaf(Leaf { test, span })
    }

    /// All of the conditions, simplified.
    #[must_use]
    pub fn all(parts: Vec<Self>) -> Self {
        let mut left = Vec::new();
        for part in parts {
            match part {
                Self::Const(true) => {}
                Self::Const(false) => return Self::Const(false),
                Self::And(inner) => left.extend(inner),
                other => left.push(other),
            }
        }
        match (left.pop(), left.is_empty()) {
            (None, _) => Self::Const(true),
            (Some(only), true) => only,
            (Some(last), false) => {
                left.push(last);
                Self::And(left)
            }
        }
    }

    /// Any of the conditions, simplified.
    #[must_use]
    pub fn any(parts: Vec<Self>) -> Self {
        let mut left = Vec::new();
        for part in parts {
            match part {
                Self::Const(false) => {}
                Self::Const(true) => return Self::Const(true),
                Self::Or(inner) => left.extend(inner),
                other => left.push(other),
            }
        }
        match (left.pop(), left.is_empty()) {
            (None, _) => Self::Const(false),
            (Some(only), true) => only,
            (Some(last), false) => {
                left.push(last);
                Self::Or(left)
            }
        }
    }

    /// The contrary, simplified.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::Const(truth) => Self::Const(!truth),
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    /// Calls `visit` with every leaf, in order.
    pub fn for_each_leaf<'a>(&'a self, visit: &mut impl FnMut(&'a Leaf)) {
        match self {
            Self::Const(_) => {}
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|part| part.for_each_leaf(visit)),
            Self::Not(part) => part.for_each_leaf(visit),
            Self::Leaf(leaf) => visit(leaf),
        }
    }

    /// The same, with leaves that can be changed.
    pub fn for_each_leaf_mut(&mut self, visit: &mut impl FnMut(&mut Leaf)) {
        match self {
            Self::Const(_) => {}
            Self::And(parts) | Self::Or(parts) => {
                parts.iter_mut().for_each(|part| part.for_each_leaf_mut(visit));
            }
            Self::Not(part) => part.for_each_leaf_mut(visit),
            Self::Leaf(leaf) => visit(leaf),
        }
    }
}

/// A test with the place in the query that it came from. Leaves with equal tests are evaluated once for all rules; they are
/// equal wherever they stand.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// What is tested.
    pub test: Test,
    /// The text in the query, for display.
    pub span: Span,
}

impl PartialEq for Leaf {
    fn eq(&self, other: &Self) -> bool {
        self.test == other.test
    }
}

impl Eq for Leaf {}

/// What a leaf tests. Lists are shared: where rules look for one list in several fields, as those of Sigma do, it is there once.
/// All but `Exists`, `Lookup`, `Nested` and `Expr` look at one field: they hold when any of its values passes, and fail
/// when the field is missing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Test {
    /// The field has a value.
    Exists(FieldId),
    /// A value equals one of these (`==` is a list of one). Strings by [`Case`]; numbers by value, whatever their
    /// width; a dynamic field compares with a constant of another type by its text form.
    Equals(FieldId, Arc<[Value]>, Case),
    /// A value stands in this relation to the constant.
    Compare(FieldId, Relation, Value),
    /// A string value matches one of the patterns as a whole.
    Like(FieldId, Arc<[Pattern]>, Case),
    /// A string value matches one of the regular expressions.
    Regex(FieldId, Arc<[Box<str>]>, RegexDialect, Case),
    /// A string value starts with one of these.
    StartsWith(FieldId, Arc<[Box<str>]>, Case),
    /// A string value ends with one of these.
    EndsWith(FieldId, Arc<[Box<str>]>, Case),
    /// A string value holds one of these.
    Contains(FieldId, Arc<[Box<str>]>, Case),
    /// An address lies in one of the networks. On a string or dynamic field, values that read as addresses count.
    Cidr(FieldId, Arc<[IpNet]>),
    /// A string value, read as analysed text, has one of the phrases.
    Words(FieldId, Arc<[Phrase]>),
    /// A row of the table agrees with the event.
    Lookup(Lookup),
    /// One object of a list satisfies a condition by itself.
    Nested(Nested),
    /// Any other expression: holds when some choice of one value per field makes it true.
    Expr(Expr),
}

impl Test {
    /// The field of a test of one field; `None` for those of several.
    pub fn field(&self) -> Option<FieldId> {
        match self {
            Self::Exists(field)
            | Self::Equals(field, ..)
            | Self::Compare(field, ..)
            | Self::Like(field, ..)
            | Self::Regex(field, ..)
            | Self::StartsWith(field, ..)
            | Self::EndsWith(field, ..)
            | Self::Contains(field, ..)
            | Self::Cidr(field, ..)
            | Self::Words(field, ..) => Some(*field),
            Self::Lookup(_) | Self::Nested(_) | Self::Expr(_) => None,
        }
    }

    /// Calls `visit` with every field that is read.
    pub fn for_each_field(&self, visit: &mut impl FnMut(FieldId)) {
        match self {
            Self::Expr(expr) => expr.for_each_field(visit),
            Self::Lookup(lookup) => lookup.fields.iter().copied().for_each(visit),
            Self::Nested(nested) => nested.fields.iter().copied().for_each(visit),
            other => other.field().into_iter().for_each(visit),
        }
    }
}

/// How letters compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Case {
    /// Exactly.
    Sensitive,
    /// `A`–`Z` equal `a`–`z`; other letters exactly. What Elasticsearch does on indexed fields.
    AsciiInsensitive,
    /// Letters of all scripts fold, by simple lower-casing. What scripts, and Sigma, do.
    Insensitive,
}

/// An order relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Relation {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// A wildcard pattern, already split: languages differ in how they escape, so the escapes are gone here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern {
    /// The parts, in order; two literals never stand side by side.
    pub parts: Vec<PatternPart>,
}

/// A part of a [`Pattern`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PatternPart {
    /// These characters.
    Literal(Box<str>),
    /// Exactly one character (`?`).
    One,
    /// Any characters, also none (`*`).
    Any,
}

impl Pattern {
    /// The pattern that only this text matches.
    pub fn literal(text: &str) -> Self {
        let parts = match text {
            "" => Vec::new(),
            text => vec![PatternPart::Literal(text.into())],
        };
        Self { parts }
    }

    /// The pattern of EQL's `:` and `like`: `*` and `?` are wildcards, nothing escapes them.
    pub fn unescaped(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let flush = |literal: &mut String, parts: &mut Vec<PatternPart>| {
            if !literal.is_empty() {
                parts.push(PatternPart::Literal(std::mem::take(literal).into()));
            }
        };
        for character in text.chars() {
            match character {
                '*' => {
                    flush(&mut literal, &mut parts);
                    if parts.last() != Some(&PatternPart::Any) {
                        parts.push(PatternPart::Any);
                    }
                }
                '?' => {
                    flush(&mut literal, &mut parts);
                    parts.push(PatternPart::One);
                }
                other => literal.push(other),
            }
        }
        flush(&mut literal, &mut parts);
        Self { parts }
    }

    /// The text, where the pattern has no wildcard.
    pub fn as_literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [PatternPart::Literal(text)] => Some(text),
            _ => None,
        }
    }
}

/// Words of analysed text that follow one another, in any case; see [`crate::words`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Phrase {
    /// At least one; each is matched by a whole word.
    pub words: Vec<Pattern>,
}

/// Which regular expressions, and what of the value they must match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RegexDialect {
    /// Lucene's, over the whole value: no anchors, no `\d`; with `~`, `&`, `@`, `#`, `<1-9>`.
    Lucene,
    /// Java's, over the whole value.
    Java,
    /// PCRE-like, anywhere in the value (Sigma's `re`).
    Search,
}
