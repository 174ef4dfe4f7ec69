//! The kinds of problems that query languages have in common, with a page for each: names and types of fields mean the
//! same in all of them.

use neph_diag::{Applicability, Diagnostic, Edit, Span};
use neph_event::{FieldType, Schema};

neph_diag::codes! {
    QUERY_TOO_LARGE = Error "query-too-large": "the query is longer or nested deeper than is read";
    UNKNOWN_COLUMN = Error "unknown-column": "the mapping has no such field";
    UNSUPPORTED_TYPE = Error "unsupported-type": "a field is of a type that queries cannot read";
    UNKNOWN_FIELD = Warning "unknown-field": "the schema has no such field";
    FIELD_WITHOUT_SOURCE = Warning "field-without-source": "no known source fills the field";
    AND_OR_MIXED = Warning "and-or-mixed": "`and` and `or` are mixed without parentheses";
    LITERAL_WILDCARD = Warning "literal-wildcard": "`*` or `?` stands in a value that is compared letter by letter";
    TYPE_NEVER_MATCHES = Warning "type-never-matches": "no value of the field can be what it is compared with";
}

/// Reports a field that the schema does not have, with the names that it may have been meant to be: an error where the
/// schema is strict.
pub fn unknown_field(schema: &Schema, name: &str, span: Span) -> Diagnostic {
    let (code, what) = if schema.is_strict() {
        (&UNKNOWN_COLUMN, "mapping")
    } else {
        (&UNKNOWN_FIELD, "schema")
    };
    let diagnostic = Diagnostic::new(code, span, format!("the {what} has no field `{name}`"));
    let similar: Vec<&str> = schema.similar(name);
    let Some(first) = similar.first() else {
        return diagnostic;
    };
    let names: Vec<String> = similar.iter().map(|name| format!("`{name}`")).collect();
    let edit = Edit {
        span,
        replacement: (*first).to_owned(),
    };
    diagnostic
        .with_help(format!("did you mean {}?", names.join(" or ")))
        .with_fix(format!("write `{first}`"), vec![edit], Applicability::Maybe)
}

/// Reports the `and`s, at these places, that are parts of one `or` without parentheses of their own. The fix keeps what the
/// query means and makes it visible.
pub fn and_or_mixed(ands: &[Span]) -> Option<Diagnostic> {
    let (first, others) = ands.split_first()?;
    let insert = |at: u32, text: &str| Edit {
        span: Span { start: at, end: at },
        replacement: text.to_owned(),
    };
    let edits = ands
        .iter()
        .flat_map(|span| [insert(span.start, "("), insert(span.end, ")")])
        .collect();
    let mut diagnostic = Diagnostic::new(
        &AND_OR_MIXED,
        *first,
        "`and` and `or` are mixed without parentheses",
    )
    .with_label("this `and` is one side of the `or`");
    for span in others {
        diagnostic = diagnostic.with_secondary(*span, "and so is this one");
    }
    Some(
        diagnostic
            .with_help("`and` binds tighter than `or`: a condition joined by `or` need not meet what stands before the `and`")
            .with_fix("put parentheses round the `and`, which keeps the meaning", edits, Applicability::Sure),
    )
}

/// Reports a field that the schema describes and that nobody is known to fill.
pub fn field_without_source(name: &str, span: Span) -> Diagnostic {
    Diagnostic::new(&FIELD_WITHOUT_SOURCE, span, format!("no known source fills `{name}`"))
        .with_help("the schema describes the field, but none of the integrations that it knows writes it; a condition on it holds only for events of your own sources")
}

/// Reports a constant, `shown` as the query writes it, that no value of a field of this type equals or compares with.
pub fn type_never_matches(name: &str, type_name: &str, shown: &str, span: Span) -> Diagnostic {
    Diagnostic::new(
        &TYPE_NEVER_MATCHES,
        span,
        format!("`{name}` is of type `{type_name}` and never equals or compares with `{shown}`"),
    )
}

/// What may be compared with a field of this kind, where that needs saying.
pub fn comparable(kind: FieldType) -> &'static str {
    match kind {
        FieldType::Date | FieldType::DateNanos => {
            "dates are written `2024-05-31T12:00:00Z`, `now-1d`, or as milliseconds since 1970"
        }
        FieldType::Long | FieldType::Double => "compare with a number",
        _ => "compare with a value of the field's type",
    }
}
