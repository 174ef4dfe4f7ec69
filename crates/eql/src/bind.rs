//! From syntax tree to [`Bound`] expressions: names are looked up, types checked, constants folded.

mod call;
mod predicate;

pub(crate) use call::distance;
use std::sync::Arc;

use neph_diag::{Diagnostic, Span};
use neph_event::{Exactness, Field, FieldType, Schema, Value};
use neph_plan::{Arithmetic, FieldId};

use crate::ast::{self, ArithmeticOp, CompareOp, Expr, ExprKind, Literal};
use crate::bound::{Bound, BoundField, Kind, Origin};
use crate::codes;
use crate::fold::fold;
use crate::types::Type;

/// A field as a query uses it, once for every place.
#[derive(Clone, Debug)]
pub struct FieldUse {
    /// The name in the query.
    pub name: Box<str>,
    /// Where it stands.
    pub span: Span,
    /// Whether `?` marks it as optional.
    pub optional: bool,
    /// Whether the schema has it.
    pub known: bool,
    /// The integrations that are known to fill it, as `package.data_stream`; empty where none is known.
    pub sources: Arc<[&'static str]>,
}

pub(crate) struct Binder<'a> {
    pub(crate) text: &'a str,
    pub(crate) schema: &'a Schema,
    pub(crate) fields: Vec<Arc<Field>>,
    pub(crate) uses: Vec<FieldUse>,
    pub(crate) failing_indices: Vec<Box<str>>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Conditions that came out as a constant although they were not written as one.
    pub(crate) folded: Vec<(Span, Option<bool>)>,
}

impl<'a> Binder<'a> {
    pub(crate) fn new(text: &'a str, schema: &'a Schema) -> Self {
        Self {
            text,
            schema,
            fields: Vec::new(),
            uses: Vec::new(),
            failing_indices: Vec::new(),
            diagnostics: Vec::new(),
            folded: Vec::new(),
        }
    }

    /// The id of a field of the plan; equal fields share one.
    pub(crate) fn intern(&mut self, field: Field) -> FieldId {
        let known = self.fields.iter().position(|other| **other == field);
        let position = known.unwrap_or_else(|| {
            self.fields.push(Arc::new(field));
            self.fields.len() - 1
        });
        FieldId(u32::try_from(position).unwrap_or(u32::MAX))
    }

    /// The plan's field of an id.
    pub(crate) fn field(&self, id: FieldId) -> Field {
        self.fields
            .get(id.0 as usize)
            .map_or_else(|| Schema::unknown(""), |field| (**field).clone())
    }

    /// A condition: an expression that must be true or false.
    pub(crate) fn condition(&mut self, expr: &Expr) -> Bound {
        let bound = self.bind(expr);
        if bound.ty.is_boolean() {
            return bound;
        }
        let type_name = self.type_name(&bound);
        let written = expr.span.text(self.text);
        let mut diagnostic = Diagnostic::new(
            &codes::NOT_BOOLEAN,
            expr.span,
            format!("`{written}` is of type `{type_name}`, not a condition that is true or false"),
        );
        if bound.as_field().is_some() {
            diagnostic = diagnostic.with_help(format!(
                "to ask whether the event has the field, write `{written} != null`"
            ));
        }
        self.diagnostics.push(diagnostic);
        Bound::error(expr.span)
    }

    /// Any expression.
    pub(crate) fn bind(&mut self, expr: &Expr) -> Bound {
        let bound = match &expr.kind {
            ExprKind::Error => return Bound::error(expr.span),
            ExprKind::Group(inner) => return self.bind(inner),
            ExprKind::Literal(literal) => Bound::constant(constant(literal), Origin::Literal, expr.span),
            ExprKind::Field(field) => self.resolve(field),
            ExprKind::Negate(operand) => self.negate(operand, expr.span),
            ExprKind::Arithmetic(operator, left, right) => {
                let operands = [self.bind(left), self.bind(right)];
                self.arithmetic(arithmetic_of(*operator), operands, expr.span)
            }
            ExprKind::Compare(operator, _, left, right) => self.compare(*operator, left, right, expr.span),
            ExprKind::Predicate(predicate) => self.predicate(predicate, expr.span),
            ExprKind::Call(call) => self.call(call, expr.span),
            ExprKind::Not(operand) => {
                let operand = self.condition(operand);
                Bound {
                    kind: Kind::Not(Box::new(operand)),
                    ty: Type::Boolean,
                    span: expr.span,
                }
            }
            ExprKind::And(parts) => {
                let parts = parts.iter().map(|part| self.condition(part)).collect();
                Bound {
                    kind: Kind::And(parts),
                    ty: Type::Boolean,
                    span: expr.span,
                }
            }
            ExprKind::Or(parts) => {
                let parts = parts.iter().map(|part| self.condition(part)).collect();
                Bound {
                    kind: Kind::Or(parts),
                    ty: Type::Boolean,
                    span: expr.span,
                }
            }
        };
        if bound.is_broken() {
            return Bound {
                ty: Type::Broken,
                ..bound
            };
        }
        self.folded(bound)
    }

    /// Folds, and notes conditions that this makes constant.
    fn folded(&mut self, bound: Bound) -> Bound {
        let was_condition = bound.ty == Type::Boolean && bound.as_constant().is_none();
        let logic = matches!(bound.kind, Kind::And(_) | Kind::Or(_) | Kind::Not(_));
        let folded = fold(bound, &mut self.diagnostics);
        if let (true, false, Kind::Constant(value, Origin::Folded)) = (was_condition, logic, &folded.kind) {
            let truth = match value {
                Some(Value::Bool(truth)) => Some(*truth),
                _ => None,
            };
            self.folded.push((folded.span, truth));
        }
        folded
    }

    fn negate(&mut self, operand: &Expr, span: Span) -> Bound {
        let operand = self.bind(operand);
        if !operand.ty.is_numeric() {
            self.wrong_operand("-", &operand, span);
            return Bound::error(span);
        }
        let ty = operand.ty;
        Bound {
            kind: Kind::Negate(Box::new(operand)),
            ty,
            span,
        }
    }

    fn arithmetic(&mut self, operator: Arithmetic, [left, right]: [Bound; 2], span: Span) -> Bound {
        let mut wrong = false;
        for operand in [&left, &right] {
            if !operand.ty.is_numeric() {
                self.wrong_operand(arithmetic_text(operator), operand, span);
                wrong = true;
            }
        }
        if wrong {
            return Bound::error(span);
        }
        let ty = match (left.ty, right.ty) {
            (Type::Double, _) | (_, Type::Double) => Type::Double,
            (a, b) if a.is_open() || b.is_open() => Type::Dynamic,
            _ => Type::Long,
        };
        Bound {
            kind: Kind::Arithmetic(operator, Box::new(left), Box::new(right)),
            ty,
            span,
        }
    }

    fn wrong_operand(&mut self, operator: &str, operand: &Bound, span: Span) {
        let type_name = self.type_name(operand);
        let message = format!("`{operator}` takes numbers, not values of type `{type_name}`");
        self.diagnostics.push(
            Diagnostic::new(&codes::ARGUMENT_TYPE, span, message)
                .with_secondary(operand.span, "this is no number"),
        );
    }

    fn compare(&mut self, operator: CompareOp, left: &Expr, right: &Expr, span: Span) -> Bound {
        let mut left = self.bind(left);
        let mut right = self.bind(right);
        let mut operator = operator;
        let exact = self.check_exact(&left, left.span, None) & self.check_exact(&right, right.span, None);
        if left.is_broken() || right.is_broken() || !exact {
            return Bound::error(span);
        }
        if left.as_constant().is_some() && right.as_constant().is_none() {
            std::mem::swap(&mut left, &mut right);
            operator = operator.swapped();
        }
        if right.as_constant().is_none() {
            self.field_comparison(operator.text(), &right, right.span);
            return Bound::error(span);
        }
        // `== null` asks whether there is a value. So does comparing two fields that do not exist.
        let null_test =
            left.is_literal_null() || right.is_literal_null() || left.is_null() && right.is_null();
        if null_test && matches!(operator, CompareOp::Equal | CompareOp::NotEqual) {
            let operand = if right.is_null() { left } else { right };
            let kind = Kind::IsNull(Box::new(operand), operator == CompareOp::Equal);
            return Bound {
                kind,
                ty: Type::Boolean,
                span,
            };
        }
        let kind = Kind::Compare(operator, Box::new(left), Box::new(right));
        Bound {
            kind,
            ty: Type::Boolean,
            span,
        }
    }

    /// Reports that a comparison has no constant side.
    fn field_comparison(&mut self, operator: &str, offender: &Bound, span: Span) {
        let mut place = offender.span;
        offender.walk(&mut |inner| {
            if inner.as_field().is_some() && place == offender.span {
                place = inner.span;
            }
        });
        let name = place.text(self.text);
        let mut diagnostic = Diagnostic::new(
            &codes::FIELD_COMPARISON,
            span,
            format!("`{operator}` compares with a constant; `{name}` is a field"),
        );
        if place != span {
            diagnostic = diagnostic.with_secondary(place, "this is no constant");
        }
        self.diagnostics.push(diagnostic.with_help(
            "comparing two fields of one event is not supported; `startsWith(a, b)`, `endsWith(a, b)` and `stringContains(a, b)` take two fields, and steps of a sequence compare fields by their keys",
        ));
    }

    /// The mapping's word for the type of a field, or the type's name.
    fn type_name(&self, bound: &Bound) -> String {
        match bound.as_field().and_then(|field| self.schema.get(&field.name)) {
            Some(def) => def.type_name.to_string(),
            None => bound.ty.name().to_owned(),
        }
    }

    /// Whether the exact values of an operand can be read; reports it where not. `whole` is the place of the report.
    pub(crate) fn check_exact(&mut self, operand: &Bound, whole: Span, function: Option<&str>) -> bool {
        let Some(def) = operand.as_field().and_then(|field| self.schema.get(&field.name)) else {
            return true;
        };
        let (name, type_name) = (&def.name, &def.type_name);
        let reason = match def.exactness {
            Exactness::NoExactSubfield => {
                format!("`{name}` is of type `{type_name}` and keeps no exact values")
            }
            Exactness::Normalized => format!("`{name}` keeps its values only in a normalized form"),
            Exactness::Exact | Exactness::Unsupported => return true,
        };
        let message = match function {
            Some(function) => format!("`{function}` cannot read its argument: {reason}"),
            None => reason,
        };
        let mut diagnostic = Diagnostic::new(&codes::NO_EXACT_VALUES, whole, message)
            .with_help("a field of analysed text needs exactly one sub-field of type `keyword`, which then is read in its place");
        if whole != operand.span {
            diagnostic = diagnostic.with_secondary(operand.span, "this field");
        }
        self.diagnostics.push(diagnostic);
        false
    }

    /// Looks a field up.
    pub(crate) fn resolve(&mut self, field: &ast::Field) -> Bound {
        let schema = self.schema;
        let def = schema.get(&field.name);
        self.uses.push(FieldUse {
            name: field.name.clone(),
            span: field.span,
            optional: field.optional,
            known: def.is_some(),
            sources: def
                .as_ref()
                .map(|def| Arc::clone(&def.sources))
                .unwrap_or_default(),
        });
        let Some(def) = def else {
            return self.unknown(field);
        };
        if !def.is_supported() {
            let message = format!(
                "`{}` is of type `{}`, which queries cannot read",
                field.name, def.type_name
            );
            self.diagnostics
                .push(Diagnostic::new(&codes::UNSUPPORTED_TYPE, field.span, message));
            return Bound::error(field.span);
        }
        if let Some(index) = &def.fails_in_index
            && !self.failing_indices.contains(index)
        {
            self.failing_indices.push(index.clone());
        }
        self.field_of(field, def.field.clone())
    }

    fn field_of(&mut self, field: &ast::Field, read: Field) -> Bound {
        let kind = read.kind;
        let id = self.intern(read);
        let bound = BoundField {
            id,
            name: field.name.clone(),
            kind,
        };
        Bound {
            kind: Kind::Field(bound),
            ty: Type::of_field(kind),
            span: field.span,
        }
    }

    fn unknown(&mut self, field: &ast::Field) -> Bound {
        if field.optional {
            if self.schema.is_strict() {
                return Bound::constant(None, Origin::Missing, field.span);
            }
            return self.field_of(field, Schema::unknown(&field.name));
        }
        let strict = self.schema.is_strict();
        let known_before = self
            .uses
            .iter()
            .rev()
            .skip(1)
            .any(|other| other.name == field.name && !other.optional);
        if strict || !known_before {
            let mut diagnostic = codes::unknown_field(self.schema, &field.name, field.span);
            if strict && diagnostic.fix.is_none() {
                diagnostic =
                    diagnostic.with_help(format!("write `?{}` if the field may be missing", field.name));
            }
            self.diagnostics.push(diagnostic);
        }
        if strict {
            return Bound::error(field.span);
        }
        self.field_of(field, Field::new(field.name.clone(), FieldType::Dynamic))
    }
}

fn constant(literal: &Literal) -> Option<Value> {
    match literal {
        Literal::Null => None,
        Literal::Bool(truth) => Some(Value::Bool(*truth)),
        Literal::Integer(number) => Some(Value::Long(*number)),
        Literal::Decimal(number) => Some(Value::Double(*number)),
        Literal::String { value, .. } => Some(Value::String(value.clone())),
    }
}

fn arithmetic_of(operator: ArithmeticOp) -> Arithmetic {
    match operator {
        ArithmeticOp::Add => Arithmetic::Add,
        ArithmeticOp::Subtract => Arithmetic::Subtract,
        ArithmeticOp::Multiply => Arithmetic::Multiply,
        ArithmeticOp::Divide => Arithmetic::Divide,
        ArithmeticOp::Modulo => Arithmetic::Modulo,
    }
}

fn arithmetic_text(operator: Arithmetic) -> &'static str {
    match operator {
        Arithmetic::Add => "+",
        Arithmetic::Subtract => "-",
        Arithmetic::Multiply => "*",
        Arithmetic::Divide => "/",
        Arithmetic::Modulo => "%",
    }
}
