//! From [`Bound`] expressions to conditions of the plan.
//!
//! Between leaves logic is two-valued, inside a leaf it is three-valued (see [`neph_plan::Condition`]). Leaves that look at
//! one field become the plan's tests of one field, which the engine matches for all rules together; others stay
//! expressions.

use neph_diag::Span;
use neph_event::{Instant, Value};
use neph_plan::functions::parse_block;
use neph_plan::{Case, Condition, Expr, Function, Pattern, RegexDialect, Relation, Test};

use crate::ast::CompareOp;
use crate::bind::Binder;
use crate::bound::{Bound, BoundField, Constant, Insensitive, Kind};
use crate::constants::{Typed, typed};
use crate::dates::Rounding;
use crate::fold::texts;
use crate::lints;

pub(crate) struct Lowering<'a, 'b> {
    pub(crate) binder: &'b mut Binder<'a>,
    pub(crate) now: Instant,
}

impl Lowering<'_, '_> {
    pub(crate) fn condition(&mut self, bound: &Bound) -> Condition {
        match &bound.kind {
            Kind::And(parts) => Condition::all(parts.iter().map(|part| self.condition(part)).collect()),
            Kind::Or(parts) => Condition::any(parts.iter().map(|part| self.condition(part)).collect()),
            Kind::Not(part) => self.condition(part).negated(),
            Kind::Constant(value, _) => Condition::Const(matches!(value, Some(Value::Bool(true)))),
            Kind::Field(field) => Condition::leaf(
                Test::Equals(field.id, [Value::Bool(true)].into(), Case::Sensitive),
                bound.span,
            ),
            Kind::IsNull(operand, wanted) => self.null_test(operand, *wanted, bound),
            Kind::Compare(operator, left, right) => self.compare(*operator, left, right, bound),
            Kind::In(value, list, insensitive) => match value.as_field() {
                Some(field) => self.equals_any(field, list, insensitive.on_field(), bound.span),
                None => self.expression(bound),
            },
            Kind::Like(value, patterns, insensitive) => match value.as_field() {
                Some(field) => like(field, patterns, *insensitive, bound.span),
                None => self.expression(bound),
            },
            Kind::Regex(value, patterns, insensitive) => match value.as_field() {
                Some(field) => {
                    let test = Test::Regex(
                        field.id,
                        texts(patterns).into(),
                        RegexDialect::Lucene,
                        insensitive.on_field(),
                    );
                    Condition::leaf(test, bound.span)
                }
                None => self.expression(bound),
            },
            Kind::Call(function, arguments, insensitive) => {
                match field_call(*function, arguments, *insensitive) {
                    Some(test) => Condition::leaf(test, bound.span),
                    None => self.expression(bound),
                }
            }
            Kind::Negate(_) | Kind::Arithmetic(..) | Kind::Error => Condition::Const(false),
        }
    }

    fn null_test(&mut self, operand: &Bound, wanted: bool, bound: &Bound) -> Condition {
        match operand.as_field() {
            Some(field) => {
                let exists = Condition::leaf(Test::Exists(field.id), bound.span);
                if wanted { exists.negated() } else { exists }
            }
            None => self.expression(bound),
        }
    }

    fn compare(&mut self, operator: CompareOp, left: &Bound, right: &Bound, bound: &Bound) -> Condition {
        let constant = right.as_constant().flatten();
        let Some(field) = left.as_field() else {
            return match (operator, constant) {
                // `f(x) == false` is `not f(x)`: true where x is missing.
                (CompareOp::Equal, Some(Value::Bool(truth)))
                | (CompareOp::NotEqual, Some(Value::Bool(truth)))
                    if left.ty.is_boolean() =>
                {
                    let inner = self.condition(left);
                    if *truth == (operator == CompareOp::Equal) {
                        inner
                    } else {
                        inner.negated()
                    }
                }
                (CompareOp::NotEqual, _) => {
                    let equal =
                        Kind::Compare(CompareOp::Equal, Box::new(left.clone()), Box::new(right.clone()));
                    self.expression(&Bound {
                        kind: equal,
                        ..bound.clone()
                    })
                    .negated()
                }
                _ => self.expression(bound),
            };
        };
        let Some(constant) = constant else {
            return Condition::Const(false);
        };
        let list = [Constant {
            value: Some(constant.clone()),
            span: right.span,
        }];
        let relation = match relation_of(operator) {
            Some(relation) => relation,
            None => {
                let equal = self.equals_any(field, &list, Case::Sensitive, bound.span);
                return if operator == CompareOp::NotEqual {
                    equal.negated()
                } else {
                    equal
                };
            }
        };
        match self.typed(field, constant, rounding_of(relation)) {
            Typed::Value(value) => Condition::leaf(Test::Compare(field.id, relation, value), bound.span),
            Typed::Network(_) | Typed::Never => self.never(field, constant, right.span),
        }
    }

    fn typed(&self, field: &BoundField, constant: &Value, rounding: Rounding) -> Typed {
        typed(constant, &self.binder.field(field.id), self.now, rounding)
    }

    fn never(&mut self, field: &BoundField, constant: &Value, span: Span) -> Condition {
        let diagnostic = lints::type_never_matches(self.binder, field, constant, span);
        self.binder.diagnostics.push(diagnostic);
        Condition::Const(false)
    }

    /// `field == a or field == b …`; null in a list equals nothing.
    fn equals_any(&mut self, field: &BoundField, list: &[Constant], case: Case, span: Span) -> Condition {
        let (mut values, mut networks) = (Vec::new(), Vec::new());
        for constant in list {
            let Some(value) = &constant.value else { continue };
            match self.typed(field, value, Rounding::Down) {
                Typed::Value(value) => values.push(value),
                Typed::Network(network) => networks.push(network),
                Typed::Never => {
                    self.never(field, value, constant.span);
                }
            }
        }
        let mut tests = Vec::new();
        if !values.is_empty() {
            tests.push(Condition::leaf(Test::Equals(field.id, values.into(), case), span));
        }
        if !networks.is_empty() {
            tests.push(Condition::leaf(Test::Cidr(field.id, networks.into()), span));
        }
        Condition::any(tests)
    }

    fn expression(&mut self, bound: &Bound) -> Condition {
        Condition::leaf(Test::Expr(self.expr(bound)), bound.span)
    }

    /// The expression of a leaf.
    fn expr(&mut self, bound: &Bound) -> Expr {
        let boxed = |lowering: &mut Self, inner: &Bound| Box::new(lowering.expr(inner));
        match &bound.kind {
            Kind::Error => Expr::Const(None),
            Kind::Constant(value, _) => Expr::Const(value.clone()),
            Kind::Field(field) => Expr::Field(field.id),
            Kind::Negate(operand) => Expr::Negate(boxed(self, operand)),
            Kind::Arithmetic(operator, a, b) => Expr::Arithmetic(*operator, boxed(self, a), boxed(self, b)),
            Kind::IsNull(operand, wanted) => {
                let test = Expr::IsNull(boxed(self, operand));
                if *wanted { test } else { Expr::Not(Box::new(test)) }
            }
            Kind::Compare(operator, left, right) => {
                let relation = relation_of(*operator);
                let rounding = relation.map_or(Rounding::Down, rounding_of);
                let sides = (boxed(self, left), Box::new(self.operand(left, right, rounding)));
                match (relation, operator) {
                    (Some(relation), _) => Expr::Compare(relation, sides.0, sides.1),
                    (None, CompareOp::NotEqual) => Expr::Not(Box::new(Expr::Equals(sides.0, sides.1))),
                    (None, _) => Expr::Equals(sides.0, sides.1),
                }
            }
            Kind::In(value, list, insensitive) => {
                let mut items = Vec::new();
                for constant in list {
                    let item = Bound::constant(
                        constant.value.clone(),
                        crate::bound::Origin::Literal,
                        constant.span,
                    );
                    items.push(self.operand(value, &item, Rounding::Down));
                }
                Expr::In(boxed(self, value), items, insensitive.in_script())
            }
            Kind::Like(value, patterns, insensitive) => {
                let patterns = texts(patterns)
                    .iter()
                    .map(|text| Pattern::unescaped(text))
                    .collect();
                Expr::Like(boxed(self, value), patterns, insensitive.in_script())
            }
            Kind::Regex(value, patterns, insensitive) => Expr::Regex(
                boxed(self, value),
                texts(patterns),
                RegexDialect::Java,
                insensitive.in_script(),
            ),
            Kind::Call(function, arguments, insensitive) => {
                let mut arguments: Vec<Expr> = arguments.iter().map(|argument| self.expr(argument)).collect();
                let defaults: &[Option<Value>] = match function {
                    Function::Between => &[None, None, None, Some(Value::Bool(false))],
                    Function::IndexOf | Function::Substring => &[None, None, None],
                    Function::Number => &[None, None],
                    _ => &[],
                };
                arguments.extend(defaults.iter().skip(arguments.len()).cloned().map(Expr::Const));
                Expr::Call(*function, arguments, insensitive.in_script())
            }
            Kind::Not(operand) => Expr::Not(boxed(self, operand)),
            Kind::And(parts) => Expr::And(parts.iter().map(|part| self.expr(part)).collect()),
            Kind::Or(parts) => Expr::Or(parts.iter().map(|part| self.expr(part)).collect()),
        }
    }

    /// The constant side of a comparison, typed by the other side where that is a field.
    fn operand(&mut self, left: &Bound, right: &Bound, rounding: Rounding) -> Expr {
        if let (Some(field), Some(Some(constant))) = (left.as_field(), right.as_constant())
            && let Typed::Value(value) = self.typed(field, constant, rounding)
        {
            return Expr::Const(Some(value));
        }
        self.expr(right)
    }
}

fn relation_of(operator: CompareOp) -> Option<Relation> {
    match operator {
        CompareOp::Equal | CompareOp::NotEqual => None,
        CompareOp::Less => Some(Relation::Less),
        CompareOp::LessOrEqual => Some(Relation::LessOrEqual),
        CompareOp::Greater => Some(Relation::Greater),
        CompareOp::GreaterOrEqual => Some(Relation::GreaterOrEqual),
    }
}

fn rounding_of(relation: Relation) -> Rounding {
    match relation {
        Relation::Less | Relation::GreaterOrEqual => Rounding::Down,
        Relation::LessOrEqual | Relation::Greater => Rounding::Up,
    }
}

fn like(field: &BoundField, patterns: &[Constant], insensitive: Insensitive, span: Span) -> Condition {
    let case = insensitive.on_field();
    let (mut literals, mut wildcards) = (Vec::new(), Vec::new());
    for text in texts(patterns) {
        let pattern = Pattern::unescaped(&text);
        match pattern.as_literal() {
            Some(literal) => literals.push(Value::String(literal.into())),
            None => wildcards.push(pattern),
        }
    }
    let mut tests = Vec::new();
    if !literals.is_empty() {
        tests.push(Condition::leaf(
            Test::Equals(field.id, literals.into(), case),
            span,
        ));
    }
    if !wildcards.is_empty() {
        tests.push(Condition::leaf(
            Test::Like(field.id, wildcards.into(), case),
            span,
        ));
    }
    Condition::any(tests)
}

/// A function of a field and constants, as a test of the field.
fn field_call(function: Function, arguments: &[Bound], insensitive: Insensitive) -> Option<Test> {
    let (first, rest) = arguments.split_first()?;
    let id = first.as_field()?.id;
    let strings: Option<Vec<Box<str>>> = rest
        .iter()
        .map(|argument| match argument.as_constant() {
            Some(Some(Value::String(text))) => Some(text.clone()),
            _ => None,
        })
        .collect();
    let (strings, case) = (strings?, insensitive.on_field());
    match function {
        Function::StartsWith => Some(Test::StartsWith(id, strings.into(), case)),
        Function::EndsWith => Some(Test::EndsWith(id, strings.into(), case)),
        Function::StringContains => Some(Test::Contains(id, strings.into(), case)),
        Function::CidrMatch => {
            let networks: Option<Vec<_>> = strings.iter().map(|text| parse_block(text)).collect();
            Some(Test::Cidr(id, networks?.into()))
        }
        _ => None,
    }
}
