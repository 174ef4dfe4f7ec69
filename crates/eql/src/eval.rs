//! Constant expressions that stand alone.

use neph_diag::{Diagnostic, has_errors};
use neph_event::{Schema, Value};

use crate::ast::ExprKind;
use crate::bind::Binder;
use crate::codes;
use crate::parser::parse_expression;

/// Computes a constant expression; `None` is null.
///
/// # Errors
/// Everything that is wrong with it, a field in it included.
pub fn eval_constant(text: &str) -> Result<Option<Value>, Vec<Diagnostic>> {
    let (expr, mut diagnostics) = parse_expression(text);
    expr.walk(&mut |inner| {
        if let ExprKind::Field(field) = &inner.kind {
            let message = format!("`{}` is a field; the expression must be constant", field.name);
            diagnostics.push(Diagnostic::new(&codes::FIELD_COMPARISON, field.span, message));
        }
    });
    if has_errors(&diagnostics) {
        return Err(diagnostics);
    }
    // No field is left, so any schema will do.
    let mut binder = Binder::new(text, Schema::builtin());
    let bound = binder.bind(&expr);
    if has_errors(&binder.diagnostics) {
        return Err(binder.diagnostics);
    }
    match bound.as_constant() {
        Some(value) => Ok(value.cloned()),
        None => Err(vec![Diagnostic::new(
            &codes::CONSTANT_FAILS,
            expr.span,
            "the expression is not constant",
        )]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> String {
        match eval_constant(text) {
            Ok(Some(value)) => format!("{value:?}"),
            Ok(None) => "null".to_owned(),
            Err(diagnostics) => diagnostics
                .iter()
                .map(|diagnostic| diagnostic.code.name)
                .collect::<Vec<_>>()
                .join(" "),
        }
    }

    #[test]
    fn constants_fold_with_three_valued_logic() {
        assert_eq!(check("-7 * 3.0"), "Double(-21.0)");
        assert_eq!(check("3 + 4 - 5 * 6 / 7"), "Long(3)");
        assert_eq!(check("null or true"), "Bool(true)");
        assert_eq!(check("null and true"), "null");
        assert_eq!(check("not null"), "null");
        assert_eq!(check("null == null"), "Bool(true)");
        assert_eq!(check("1 + null"), "null");
        assert_eq!(check("\"a\" in (null, \"b\")"), "null");
        assert_eq!(check("\"Foo\" : \"f?O*\""), "Bool(true)");
        assert_eq!(check("\"a1\" regex \"[a-z]\\\\d\""), "Bool(true)");
        assert_eq!(check("CONCAT(\"a\", 1, 2.5)"), "String(\"a12.5\")");
    }

    #[test]
    fn what_cannot_be_computed_is_reported() {
        assert_eq!(check("1 / 0"), "constant-fails");
        assert_eq!(check("9223372036854775807 * 4"), "constant-fails");
        assert_eq!(check("number(\"foo\")"), "constant-fails");
        assert_eq!(check("process.pid + 1"), "field-comparison");
        assert_eq!(check("1 +"), "syntax-error");
        assert_eq!(
            check("lenght(\"x\") + startsWith(1, \"x\")"),
            "unknown-function argument-type"
        );
    }
}
