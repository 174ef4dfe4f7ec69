//! A constant that no value of the field's type can be.

use neph_diag::{Diagnostic, Span};
use neph_event::{FieldType, Value};

use crate::bind::Binder;
use crate::bound::BoundField;
use crate::codes;

/// Reports a constant that cannot be typed as the field that it is compared with.
pub(crate) fn type_never_matches(
    binder: &Binder<'_>,
    field: &BoundField,
    constant: &Value,
    span: Span,
) -> Diagnostic {
    let type_name = binder
        .schema
        .get(&field.name)
        .map(|def| def.type_name.to_string())
        .unwrap_or_default();
    let shown = match constant {
        Value::String(text) => format!("\"{text}\""),
        other => other.to_string(),
    };
    let help = match field.kind {
        FieldType::Ip => "compare with an address, or ask for a network: `cidrMatch(field, \"10.0.0.0/8\")`",
        kind => codes::comparable(kind),
    };
    codes::type_never_matches(&field.name, &type_name, &shown, span).with_help(help)
}

#[cfg(test)]
mod tests {
    use crate::lints::test_support::found;

    #[test]
    fn constants_of_other_types_are_reported() {
        for (condition, count) in [
            ("source.ip == \"foo\"", 1),
            ("process.pid == \"abc\"", 1),
            ("process.pid in (1, 2)", 0),
            ("process.pid == \"12\"", 0),
            ("source.ip == \"10.0.0.1\" or source.ip == \"10.0.0.0/8\"", 0),
            ("source.ip > \"10.0.0.0/8\"", 1),
            ("@timestamp > \"yesterday\"", 1),
            ("flag == \"maybe\"", 1),
        ] {
            assert_eq!(
                found(&format!("any where {condition}"), "type-never-matches").len(),
                count,
                "{condition}"
            );
        }
    }
}
