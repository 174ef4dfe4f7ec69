//! Arithmetic and comparison of values, with null.

use std::cmp::Ordering;

use neph_event::{Value, ValueRef};

use crate::{Arithmetic, Case, Relation, pattern};

/// Applies an operator. Integers divide and take remainders truncated toward zero; one floating operand makes the
/// result floating. Null where an operand is null or no number, where an integer is divided by zero, and where the
/// result leaves 64 bits (signed ones, unless an operand already has).
pub fn arithmetic(
    operator: Arithmetic,
    left: Option<ValueRef<'_>>,
    right: Option<ValueRef<'_>>,
) -> Option<Value> {
    let (left, right) = (left?, right?);
    if let (Some(a), Some(b)) = (integer(left), integer(right)) {
        let result = match operator {
            Arithmetic::Add => a.checked_add(b),
            Arithmetic::Subtract => a.checked_sub(b),
            Arithmetic::Multiply => a.checked_mul(b),
            Arithmetic::Divide => a.checked_div(b),
            Arithmetic::Modulo => a.checked_rem(b),
        };
        // Signed integers overflow as Java's `long` does: only an operand above its range makes such a result.
        let signed = ![left, right]
            .iter()
            .any(|operand| matches!(operand, ValueRef::Unsigned(_)));
        return from_integer(result?).filter(|sum| !(signed && matches!(sum, Value::Unsigned(_))));
    }
    let (a, b) = (floating(left)?, floating(right)?);
    Some(Value::Double(match operator {
        Arithmetic::Add => a + b,
        Arithmetic::Subtract => a - b,
        Arithmetic::Multiply => a * b,
        Arithmetic::Divide => a / b,
        Arithmetic::Modulo => a % b,
    }))
}

/// Unary minus; null where the operand is null or no number.
pub fn negate(operand: Option<ValueRef<'_>>) -> Option<Value> {
    let operand = operand?;
    match integer(operand) {
        Some(number) => from_integer(number.checked_neg()?),
        None => Some(Value::Double(-floating(operand)?)),
    }
}

/// Whether two values are equal as `==` has it: numbers by value whatever their width, strings by `case`, and values of
/// different types by their text form, which is how a field without a known type compares with a constant.
pub fn equals(left: ValueRef<'_>, right: ValueRef<'_>, case: Case) -> bool {
    use ValueRef as V;
    match (left, right) {
        (V::String(a) | V::Version(a), V::String(b) | V::Version(b)) => pattern::equal(a, b, case),
        (V::String(a) | V::Version(a), other) | (other, V::String(a) | V::Version(a)) => {
            pattern::equal(a, &other.to_string(), case)
        }
        (a, b) => a.compare(b) == Some(Ordering::Equal),
    }
}

/// Whether `left` stands in `relation` to `right`; `None` where they do not compare.
pub fn compares(relation: Relation, left: ValueRef<'_>, right: ValueRef<'_>) -> Option<bool> {
    left.compare(right).map(|order| match relation {
        Relation::Less => order == Ordering::Less,
        Relation::LessOrEqual => order != Ordering::Greater,
        Relation::Greater => order == Ordering::Greater,
        Relation::GreaterOrEqual => order != Ordering::Less,
    })
}

fn integer(value: ValueRef<'_>) -> Option<i128> {
    match value {
        ValueRef::Long(v) => Some(v.into()),
        ValueRef::Unsigned(v) => Some(v.into()),
        _ => None,
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "mixed arithmetic is floating, as in Java"
)]
fn floating(value: ValueRef<'_>) -> Option<f64> {
    match value {
        ValueRef::Double(v) => Some(v),
        ValueRef::Long(v) => Some(v as f64),
        ValueRef::Unsigned(v) => Some(v as f64),
        _ => None,
    }
}

fn from_integer(number: i128) -> Option<Value> {
    match i64::try_from(number) {
        Ok(long) => Some(Value::Long(long)),
        Err(_) => u64::try_from(number).ok().map(Value::Unsigned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calculate(a: ValueRef<'_>, operator: Arithmetic, b: ValueRef<'_>) -> Option<Value> {
        arithmetic(operator, Some(a), Some(b))
    }

    #[test]
    fn integers_truncate_toward_zero_and_floats_do_not() {
        use ValueRef::{Double, Long};
        assert_eq!(
            calculate(Long(83), Arithmetic::Divide, Long(2)),
            Some(Value::Long(41))
        );
        assert_eq!(
            calculate(Long(-7), Arithmetic::Divide, Long(3)),
            Some(Value::Long(-2))
        );
        assert_eq!(
            calculate(Long(-7), Arithmetic::Modulo, Long(3)),
            Some(Value::Long(-1))
        );
        assert_eq!(
            calculate(Long(-7), Arithmetic::Multiply, Double(3.0)),
            Some(Value::Double(-21.0))
        );
        assert_eq!(calculate(Long(1), Arithmetic::Divide, Long(0)), None);
        assert_eq!(calculate(Long(i64::MAX), Arithmetic::Add, Long(1)), None);
        let unsigned = ValueRef::Unsigned(u64::MAX - 1);
        assert_eq!(
            calculate(unsigned, Arithmetic::Add, Long(1)),
            Some(Value::Unsigned(u64::MAX))
        );
        assert_eq!(calculate(Long(i64::MIN), Arithmetic::Subtract, Long(1)), None);
        assert_eq!(arithmetic(Arithmetic::Add, None, Some(Long(1))), None);
        assert_eq!(negate(Some(Long(5))), Some(Value::Long(-5)));
    }

    #[test]
    fn equality_crosses_number_widths_and_text() {
        assert!(equals(ValueRef::Long(3), ValueRef::Double(3.0), Case::Sensitive));
        assert!(equals(ValueRef::Long(3), ValueRef::String("3"), Case::Sensitive));
        assert!(!equals(
            ValueRef::String("Foo"),
            ValueRef::String("foo"),
            Case::Sensitive
        ));
        assert!(equals(
            ValueRef::String("Foo"),
            ValueRef::String("foo"),
            Case::AsciiInsensitive
        ));
    }
}
