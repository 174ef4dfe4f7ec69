//! What is allowed but probably not meant.

use neph_diag::{Applicability, Diagnostic, Edit, Span};
use neph_plan::PatternPart;

use crate::ast::{Expr, ExprKind, Form, Literal};
use crate::fields::{Fields, shown};
use crate::scanner::is_space;
use crate::{Dialect, codes};

/// Runs every lint.
pub(crate) fn check(query: &Expr, fields: &Fields<'_>, dialect: Dialect, diagnostics: &mut Vec<Diagnostic>) {
    query.walk(&mut |expr| match &expr.kind {
        ExprKind::Or(parts) if dialect == Dialect::Kql => diagnostics.extend(mixed(parts)),
        ExprKind::Value(literal) => diagnostics.extend(literal_wildcard(literal, dialect)),
        _ => {}
    });
    if dialect == Dialect::Kql {
        split(query, "", fields, diagnostics);
    }
    free_text(query, diagnostics);
    without_source(fields, diagnostics);
}

/// Reports the `and`s among the parts of an `or`. The tree of a group is a node of its own, so they have no parentheses.
fn mixed(parts: &[Expr]) -> Option<Diagnostic> {
    let ands = parts.iter().filter(|part| matches!(part.kind, ExprKind::And(_)));
    let places: Vec<Span> = ands.map(|part| part.span).collect();
    codes::and_or_mixed(&places)
}

/// Reports a `*` in quotes, which never expands. A single `*` is a value of its own in permissions: any verb.
fn literal_wildcard(literal: &Literal, dialect: Dialect) -> Option<Diagnostic> {
    let text = literal.pattern.as_literal()?;
    if literal.form != Form::Quoted || !text.contains('*') || text == "*" {
        return None;
    }
    let diagnostic = Diagnostic::new(
        &codes::LITERAL_WILDCARD,
        literal.span,
        "a value in quotes takes its `*` literally",
    )
    .with_help("only a bare value expands `*`");
    if dialect != Dialect::Kql || text.chars().any(is_space) {
        return Some(diagnostic.with_help("write it without quotes, with `*` in place of each space"));
    }
    let mut bare = String::new();
    for character in text.chars() {
        if matches!(character, '\\' | '(' | ')' | ':' | '<' | '>' | '"' | '{' | '}') {
            bare.push('\\');
        }
        bare.push(character);
    }
    let edit = Edit {
        span: literal.span,
        replacement: bare,
    };
    Some(diagnostic.with_fix("write it without quotes", vec![edit], Applicability::Maybe))
}

/// Reports values that are split, which those of keyword fields are not. Names stand under `prefix`.
fn split(expr: &Expr, prefix: &str, fields: &Fields<'_>, diagnostics: &mut Vec<Diagnostic>) {
    match &expr.kind {
        ExprKind::Or(parts) | ExprKind::And(parts) => {
            parts
                .iter()
                .for_each(|part| split(part, prefix, fields, diagnostics));
        }
        ExprKind::Not(inner) | ExprKind::Group(inner) => split(inner, prefix, fields, diagnostics),
        ExprKind::Nested(name, inner) => {
            let prefix = format!("{prefix}{}.", shown(&name.pattern));
            split(inner, &prefix, fields, diagnostics);
        }
        ExprKind::Field(name, values) => {
            let def = fields.schema.get(&format!("{prefix}{}", shown(&name.pattern)));
            if def.is_some_and(|def| &*def.type_name != "keyword") {
                values.walk(&mut |expr| {
                    if let ExprKind::Value(literal) = &expr.kind {
                        diagnostics.extend(spaced(literal));
                    }
                });
            }
        }
        ExprKind::Value(literal) => diagnostics.extend(spaced(literal)),
        ExprKind::Error | ExprKind::Everything | ExprKind::Range(..) => {}
    }
}

/// Reports a bare value with a wildcard and a space.
fn spaced(literal: &Literal) -> Option<Diagnostic> {
    let has_space =
        |part: &PatternPart| matches!(part, PatternPart::Literal(text) if text.contains(is_space));
    if literal.form != Form::Bare
        || literal.pattern.as_literal().is_some()
        || !literal.pattern.parts.iter().any(has_space)
    {
        return None;
    }
    let written = shown(&literal.pattern);
    let first = written.split(is_space).next().unwrap_or_default();
    Some(
        Diagnostic::new(
            &codes::WILDCARD_WITH_SPACE,
            literal.span,
            format!("this value is split at its spaces: `{first}` alone suffices"),
        )
        .with_help("write `*` in place of each space"),
    )
}

/// Reports values without a field that look like conditions on one; values inside of `field: …` have one.
fn free_text(expr: &Expr, diagnostics: &mut Vec<Diagnostic>) {
    match &expr.kind {
        ExprKind::Or(parts) | ExprKind::And(parts) => {
            parts.iter().for_each(|part| free_text(part, diagnostics))
        }
        ExprKind::Not(inner) | ExprKind::Group(inner) | ExprKind::Nested(_, inner) => {
            free_text(inner, diagnostics)
        }
        ExprKind::Value(literal)
            if literal.form == Form::Bare && shown(&literal.pattern).contains(['=', '&', '|']) =>
        {
            diagnostics.push(
                Diagnostic::new(
                    &codes::FREE_TEXT,
                    literal.span,
                    "this is no condition, but a text that is looked for in all fields",
                )
                .with_help("conditions on a field are written `field: value`, and joined with `and` and `or`; a text that is meant is put in quotes"),
            );
        }
        _ => {}
    }
}

/// Reports fields that no known source fills, where the schema knows of sources.
fn without_source(fields: &Fields<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let schema = fields.schema;
    if schema.is_strict() || !schema.fields().any(|def| !def.sources.is_empty()) {
        return;
    }
    let mut seen: Vec<&str> = Vec::new();
    for field in &fields.uses {
        if field.known
            && field.sources.is_empty()
            && !field.name.starts_with('_')
            && !seen.contains(&&*field.name)
        {
            seen.push(&field.name);
            diagnostics.push(codes::field_without_source(&field.name, field.span));
        }
    }
}
