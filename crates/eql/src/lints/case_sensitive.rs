//! A case-sensitive comparison of a value that Windows writes in mixed case.
//!
//! Names of files, processes and registry keys ignore case on Windows: `powershell.exe` also runs as `PowerShell.EXE`, and
//! events show what was typed. The lint looks only where Windows is certain: the condition asks for it, the value ends like
//! a Windows program or has a drive or a backslash, or the field is of the registry.

use neph_diag::{Applicability, Diagnostic, Edit, Span};

use super::Checked;
use crate::ast::{CompareOp, Expr, ExprKind, Literal, PredicateOp};
use crate::codes;

/// Last parts of names of fields that hold names and paths.
const NAMES: &[&str] = &[
    "name",
    "executable",
    "path",
    "command_line",
    "target_path",
    "directory",
];
/// Fields with such a last part start like this.
const OBJECTS: &[&str] = &["process.", "file.", "dll.", "registry."];
/// Ends of names that only Windows has.
const WINDOWS_ENDINGS: &[&str] = &[
    ".exe", ".dll", ".bat", ".cmd", ".ps1", ".vbs", ".scr", ".msi", ".sys", ".lnk", ".hta", ".cpl", ".wsf",
];

pub(super) fn check(checked: &Checked<'_, '_>, diagnostics: &mut Vec<Diagnostic>) {
    for event_query in checked.query.event_queries() {
        if !windows_is_possible(&event_query.condition) {
            continue;
        }
        let mut found = Vec::new();
        event_query
            .condition
            .walk(&mut |expr| found.extend(sensitive(expr)));
        diagnostics.extend(report(&found));
    }
}

/// Whether the condition leaves Windows open: it does not ask for an operating system, or asks for Windows too.
fn windows_is_possible(condition: &Expr) -> bool {
    let mut systems = Vec::new();
    condition.walk(&mut |expr| {
        let (field, values) = match &expr.kind {
            ExprKind::Compare(CompareOp::Equal, _, left, right) => (&**left, std::slice::from_ref(&**right)),
            ExprKind::Predicate(predicate) if !predicate.negated => {
                (&*predicate.value, predicate.list.as_slice())
            }
            _ => return,
        };
        if let ExprKind::Field(field) = &field.kind
            && matches!(&*field.name, "host.os.type" | "host.os.family")
        {
            systems.extend(values.iter().filter_map(text_of));
        }
    });
    systems.is_empty()
        || systems
            .iter()
            .any(|system| system.eq_ignore_ascii_case("windows"))
}

/// A comparison that minds the case.
struct Finding<'a> {
    /// The value.
    span: Span,
    operator: &'a str,
    field: &'a str,
    /// What makes the comparison ignore case, where that is one edit.
    edit: Option<Edit>,
}

/// One report for all comparisons of an event query: who made one made them all for the same reason.
fn report(found: &[Finding<'_>]) -> Option<Diagnostic> {
    let (first, others) = found.split_first()?;
    let message = format!(
        "`{}` minds the case of this value, Windows does not",
        first.operator
    );
    let mut diagnostic = Diagnostic::new(&codes::CASE_SENSITIVE, first.span, message)
        .with_help(format!("`{}` holds what was typed, in any case", first.field));
    for other in others {
        diagnostic = diagnostic.with_secondary(other.span, "and so it is here");
    }
    let edits: Vec<Edit> = found.iter().filter_map(|finding| finding.edit.clone()).collect();
    if edits.is_empty() {
        return Some(diagnostic);
    }
    Some(diagnostic.with_fix("ignore the case", edits, Applicability::Maybe))
}

fn sensitive(expr: &Expr) -> Option<Finding<'_>> {
    let (field, operator, operator_span, values, instead) = match &expr.kind {
        ExprKind::Compare(operator @ (CompareOp::Equal | CompareOp::NotEqual), span, left, right) => {
            let instead = if *operator == CompareOp::Equal {
                Some(":")
            } else {
                None
            };
            (
                left.without_groups(),
                operator.text(),
                *span,
                vec![right.without_groups()],
                instead,
            )
        }
        ExprKind::Predicate(predicate) => {
            let instead = match predicate.operator {
                PredicateOp::In if predicate.negated => "not in~",
                PredicateOp::In => "in~",
                PredicateOp::Like => "like~",
                _ => return None,
            };
            let values = predicate.list.iter().collect();
            (
                predicate.value.without_groups(),
                predicate.operator.text(),
                predicate.operator_span,
                values,
                Some(instead),
            )
        }
        ExprKind::Call(call) if !call.insensitive => {
            let lower = call.name.to_ascii_lowercase();
            if !matches!(lower.as_str(), "startswith" | "endswith" | "stringcontains") {
                return None;
            }
            let [field, value] = call.arguments.as_slice() else {
                return None;
            };
            let end = Span {
                start: call.name_span.end,
                end: call.name_span.end,
            };
            (field, &*call.name, end, vec![value], Some("~"))
        }
        _ => return None,
    };
    let ExprKind::Field(field) = &field.kind else {
        return None;
    };
    let value = values.into_iter().find(|value| of_windows(&field.name, value))?;
    // `:` would expand what is a plain character now.
    let expands = instead == Some(":") && text_of(value).is_some_and(|text| text.contains(['*', '?']));
    let edit = instead.filter(|_| !expands).map(|instead| Edit {
        span: operator_span,
        replacement: instead.to_owned(),
    });
    Some(Finding {
        span: value.span,
        operator,
        field: &field.name,
        edit,
    })
}

fn text_of(value: &Expr) -> Option<&str> {
    match &value.kind {
        ExprKind::Literal(Literal::String { value, .. }) => Some(value),
        _ => None,
    }
}

fn of_windows(field: &str, value: &Expr) -> bool {
    let Some(text) = text_of(value) else { return false };
    let last = field.rsplit('.').next().unwrap_or(field);
    if !NAMES.contains(&last) || !OBJECTS.iter().any(|object| field.starts_with(object)) {
        return false;
    }
    if text.starts_with('/') || !text.contains(|c: char| c.is_ascii_alphabetic()) {
        return false;
    }
    let lower = text.to_ascii_lowercase();
    let drive = lower.split_once(":\\").is_some();
    drive
        || field.starts_with("registry.") && text.contains('\\')
        || WINDOWS_ENDINGS.iter().any(|end| lower.ends_with(end))
}

#[cfg(test)]
mod tests {
    use crate::lints::test_support::{fixed, found};

    const CODE: &str = "case-sensitive";

    #[test]
    fn names_of_windows_programs_are_reported() {
        assert_eq!(
            fixed("any where process.name == \"cmd.exe\"", CODE).0,
            "any where process.name : \"cmd.exe\""
        );
        assert_eq!(
            fixed("any where process.name not in (\"cmd.exe\")", CODE).0,
            "any where process.name not in~ (\"cmd.exe\")"
        );
        assert_eq!(
            fixed("any where process.executable like \"C:\\\\*\"", CODE).0,
            "any where process.executable like~ \"C:\\\\*\""
        );
        assert_eq!(
            fixed("any where startsWith(file.path, \"C:\\\\x\")", CODE).0,
            "any where startsWith~(file.path, \"C:\\\\x\")"
        );
        assert_eq!(found("any where process.name != \"cmd.exe\"", CODE).len(), 1);
    }

    #[test]
    fn other_systems_fields_and_operators_are_fine() {
        for condition in [
            "process.name == \"bash\"",
            "process.executable in (\"/usr/bin/curl\", \"/bin/sh\")",
            "process.name : \"cmd.exe\"",
            "process.name in~ (\"cmd.exe\")",
            "url.path == \"a.exe\"",
            "process.executable == \"/opt/a.exe\"",
            "host.os.type == \"linux\" and process.name == \"a.exe\"",
        ] {
            assert!(
                found(&format!("any where {condition}"), CODE).is_empty(),
                "{condition}"
            );
        }
    }
}
