//! Evaluation of expressions whose operands are constants, in three-valued logic.

use neph_diag::{Diagnostic, Span};
use neph_event::{Value, ValueRef};
use neph_plan::{
    Arithmetic, Case, Function, Pattern, RegexDialect, Relation, arithmetic, functions, pattern, regex,
};

use crate::ast::CompareOp;
use crate::bound::{Bound, Constant, Insensitive, Kind, Origin};
use crate::codes;

/// Folds an expression whose children are folded: it comes back as a constant where they are.
pub(crate) fn fold(bound: Bound, diagnostics: &mut Vec<Diagnostic>) -> Bound {
    if bound.children().is_empty() && !matches!(bound.kind, Kind::Call(..)) {
        return bound;
    }
    match &bound.kind {
        Kind::And(parts) => return fold_logic(parts, true, &bound),
        Kind::Or(parts) => return fold_logic(parts, false, &bound),
        _ => {}
    }
    if bound.children().iter().any(|child| child.as_constant().is_none()) {
        return match propagates_null(&bound) {
            Some(origin) => Bound::constant(None, origin, bound.span),
            None => bound,
        };
    }
    let value = evaluate(&bound.kind, bound.span, diagnostics);
    Bound::constant(value, origin_of(&bound), bound.span)
}

fn origin_of(bound: &Bound) -> Origin {
    let missing = bound
        .children()
        .iter()
        .any(|child| matches!(child.kind, Kind::Constant(_, Origin::Missing)));
    if missing { Origin::Missing } else { Origin::Folded }
}

/// Whether a null operand makes the whole null although other operands are not known.
fn propagates_null(bound: &Bound) -> Option<Origin> {
    let null = match &bound.kind {
        Kind::Call(function, arguments, _) => {
            let optional_from = match function {
                Function::IndexOf => 2,
                Function::Number | Function::Substring => 1,
                _ => usize::MAX,
            };
            arguments.iter().take(optional_from).any(Bound::is_null)
        }
        Kind::Arithmetic(..) | Kind::Compare(..) => bound.children().into_iter().any(Bound::is_null),
        _ => false,
    };
    null.then(|| origin_of(bound))
}

fn fold_logic(parts: &[Bound], is_and: bool, whole: &Bound) -> Bound {
    let (neutral, decisive) = (is_and, !is_and);
    let truth = |part: &Bound| part.as_constant().map(|value| as_bool(value.map(Value::as_ref)));
    if let Some(part) = parts.iter().find(|part| truth(part) == Some(Some(decisive))) {
        let origin = if matches!(part.kind, Kind::Constant(_, Origin::Missing)) {
            Origin::Missing
        } else {
            Origin::Folded
        };
        return Bound::constant(Some(Value::Bool(decisive)), origin, whole.span);
    }
    let left: Vec<&Bound> = parts
        .iter()
        .filter(|part| truth(part) != Some(Some(neutral)))
        .collect();
    match left.as_slice() {
        [] => Bound::constant(Some(Value::Bool(neutral)), origin_of(whole), whole.span),
        [only] => (*only).clone(),
        some if some.iter().all(|part| part.is_null()) => Bound::constant(None, origin_of(whole), whole.span),
        some => {
            let rest = some.iter().map(|part| (*part).clone()).collect();
            let kind = if is_and { Kind::And(rest) } else { Kind::Or(rest) };
            Bound {
                kind,
                ..whole.clone()
            }
        }
    }
}

fn as_bool(value: Option<ValueRef<'_>>) -> Option<bool> {
    match value {
        Some(ValueRef::Bool(truth)) => Some(truth),
        _ => None,
    }
}

/// The value of an expression of constants.
fn evaluate(kind: &Kind, span: Span, diagnostics: &mut Vec<Diagnostic>) -> Option<Value> {
    match kind {
        Kind::Error | Kind::Field(_) | Kind::And(_) | Kind::Or(_) => None,
        Kind::Constant(value, _) => value.clone(),
        Kind::Negate(operand) => {
            let operand = value_of(operand);
            let result = arithmetic::negate(operand);
            if operand.is_some() && result.is_none() {
                diagnostics.push(failed(span, "the result does not fit into 64 bits"));
            }
            result
        }
        Kind::Arithmetic(operator, left, right) => {
            let (left, right) = (value_of(left), value_of(right));
            let result = arithmetic::arithmetic(*operator, left, right);
            if left.is_some() && right.is_some() && result.is_none() {
                let by_zero = matches!(operator, Arithmetic::Divide | Arithmetic::Modulo)
                    && matches!(right, Some(ValueRef::Long(0)));
                let reason = if by_zero {
                    "division by zero"
                } else {
                    "the result does not fit into 64 bits"
                };
                diagnostics.push(failed(span, reason));
            }
            result
        }
        Kind::Compare(operator, left, right) => {
            compare(*operator, value_of(left)?, value_of(right)?).map(Value::Bool)
        }
        Kind::IsNull(operand, wanted) => Some(Value::Bool(operand.is_null() == *wanted)),
        Kind::In(value, list, insensitive) => is_in(value_of(value)?, list, *insensitive).map(Value::Bool),
        Kind::Like(value, patterns, insensitive) => {
            let text = text_of(value)?;
            let matches = |constant: &Constant| match &constant.value {
                Some(Value::String(wildcard)) => {
                    pattern::Matcher::new(&Pattern::unescaped(wildcard), insensitive.in_script())
                        .is_match(text)
                }
                _ => false,
            };
            Some(Value::Bool(patterns.iter().any(matches)))
        }
        Kind::Regex(value, patterns, insensitive) => {
            let text = text_of(value)?;
            let patterns = texts(patterns);
            // A pattern that does not compile has been reported where it stands.
            let regex = regex::compile(&patterns, RegexDialect::Java, insensitive.in_script()).ok()?;
            Some(Value::Bool(regex.is_match(text)))
        }
        Kind::Call(function, arguments, insensitive) => {
            let values: Vec<_> = arguments.iter().map(value_of).collect();
            let result = functions::call(*function, &values, insensitive.in_script());
            if let (Function::Number, Some(Some(ValueRef::String(text))), None) =
                (function, values.first(), &result)
            {
                diagnostics.push(failed(span, &format!("`{text}` is no number in its base")));
            }
            result
        }
        Kind::Not(operand) => as_bool(value_of(operand)).map(|truth| Value::Bool(!truth)),
    }
}

fn failed(span: Span, reason: &str) -> Diagnostic {
    Diagnostic::new(
        &codes::CONSTANT_FAILS,
        span,
        format!("this constant expression cannot be computed: {reason}"),
    )
}

fn value_of(bound: &Bound) -> Option<ValueRef<'_>> {
    bound.as_constant().flatten().map(Value::as_ref)
}

fn text_of(bound: &Bound) -> Option<&str> {
    match value_of(bound) {
        Some(ValueRef::String(text)) => Some(text),
        _ => None,
    }
}

/// The strings of a list of patterns.
pub(crate) fn texts(patterns: &[Constant]) -> Vec<Box<str>> {
    let text = |constant: &Constant| match &constant.value {
        Some(Value::String(text)) => Some(text.clone()),
        _ => None,
    };
    patterns.iter().filter_map(text).collect()
}

fn is_in(value: ValueRef<'_>, list: &[Constant], insensitive: Insensitive) -> Option<bool> {
    let case = insensitive.in_script();
    let mut null = false;
    for constant in list {
        match &constant.value {
            Some(other) if arithmetic::equals(value, other.as_ref(), case) => return Some(true),
            Some(_) => {}
            None => null = true,
        }
    }
    if null { None } else { Some(false) }
}

fn compare(operator: CompareOp, left: ValueRef<'_>, right: ValueRef<'_>) -> Option<bool> {
    let relation = match operator {
        CompareOp::Equal => return Some(arithmetic::equals(left, right, Case::Sensitive)),
        CompareOp::NotEqual => return Some(!arithmetic::equals(left, right, Case::Sensitive)),
        CompareOp::Less => Relation::Less,
        CompareOp::LessOrEqual => Relation::LessOrEqual,
        CompareOp::Greater => Relation::Greater,
        CompareOp::GreaterOrEqual => Relation::GreaterOrEqual,
    };
    arithmetic::compares(relation, left, right)
}
