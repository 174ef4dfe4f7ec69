//! From syntax tree to plan.

use neph_diag::{Diagnostic, Span, has_errors};
use neph_event::{Field, FieldType, Instant, Schema};
use std::sync::Arc;

use neph_plan::{Condition, EventQuery, Nested, Objects, Pattern, PatternPart, Plan, Query, Relation, Test};

use crate::ast::{Expr, ExprKind, Form, Literal, Name, RangeOperator};
use crate::fields::{FieldUse, Fields, Target, Wanted, shown};
use crate::lints;
use crate::wildcard_names::{MOST, expand};
use crate::{Dialect, MAX_BYTES, codes, lucene, parser};

/// What [`compile`] needs to know beside the text.
#[derive(Clone, Copy, Debug)]
pub struct CompileOptions<'a> {
    /// The language of the text.
    pub dialect: Dialect,
    /// The fields that there are.
    pub schema: &'a Schema,
    /// The field of the event's time, where it is not the schema's.
    pub timestamp_field: Option<&'a str>,
    /// The field that orders events of one time, where it is not the schema's.
    pub tiebreaker_field: Option<&'a str>,
    /// What `now` is in dates.
    pub now: Instant,
    /// Whether to look for what is allowed but probably not meant.
    pub lints: bool,
}

impl<'a> CompileOptions<'a> {
    /// The schema's own fields, and lints on.
    pub fn new(dialect: Dialect, schema: &'a Schema, now: Instant) -> Self {
        Self {
            dialect,
            schema,
            timestamp_field: None,
            tiebreaker_field: None,
            now,
            lints: true,
        }
    }
}

/// What came of a text.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The plan; there is none when an error was reported.
    pub plan: Option<Plan>,
    /// The syntax tree.
    pub query: Expr,
    /// Everything that is wrong or probably not meant, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// The fields, once for every place where one stands.
    pub fields: Vec<FieldUse>,
}

/// Reads a query. There is always a tree, in which what could not be read is [`ExprKind::Error`].
pub fn parse(text: &str, dialect: Dialect) -> (Expr, Vec<Diagnostic>) {
    if text.len() > MAX_BYTES {
        let message = format!("the query is longer than {MAX_BYTES} bytes");
        let diagnostic = Diagnostic::new(&codes::QUERY_TOO_LARGE, Span::new(0, 0), message);
        let expr = Expr {
            kind: ExprKind::Error,
            span: Span::default(),
        };
        return (expr, vec![diagnostic]);
    }
    match dialect {
        Dialect::Kql => parser::parse(text),
        Dialect::Lucene => lucene::parse(text),
    }
}

/// Compiles a query.
pub fn compile(text: &str, options: &CompileOptions<'_>) -> Compiled {
    let (query, mut diagnostics) = parse(text, options.dialect);
    let mut lowering = Lowering {
        dialect: options.dialect,
        now: options.now,
        fields: Fields::new(options.schema, options.now, Vec::new()),
        base: String::new(),
    };
    let condition = lowering.condition(&query, "");
    let mut fields = lowering.fields;
    let mut plan = None;
    if !has_errors(&diagnostics) && !fields.has_errors() {
        plan = Some(into_plan(condition, &mut fields, options));
    }
    diagnostics.append(&mut fields.diagnostics);
    if options.lints && plan.is_some() {
        lints::check(&query, &fields, options.dialect, &mut diagnostics);
    }
    diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
    Compiled {
        plan,
        query,
        diagnostics,
        fields: fields.uses,
    }
}

fn into_plan(condition: Condition, fields: &mut Fields<'_>, options: &CompileOptions<'_>) -> Plan {
    let schema = options.schema;
    let known = |name: &str, fallback: FieldType| match schema.get(name) {
        Some(def) => def.field.clone(),
        None => Field::new(name, fallback),
    };
    let time_name = options.timestamp_field.unwrap_or(&schema.timestamp_field);
    let time = fields.intern(known(time_name, FieldType::DateNanos));
    let tiebreaker = options
        .tiebreaker_field
        .or(schema.tiebreaker_field.as_deref())
        .map(|name| fields.intern(known(name, FieldType::Dynamic)));
    Plan {
        fields: fields.fields().to_vec(),
        time,
        tiebreaker,
        query: Query::Events(EventQuery { condition }),
        limits: Vec::new(),
        failing_indices: Vec::new(),
    }
}

struct Lowering<'a> {
    dialect: Dialect,
    now: Instant,
    fields: Fields<'a>,
    /// The path, with a dot behind it, that the objects around stand at; empty outside of braces.
    base: String,
}

impl Lowering<'_> {
    /// The condition of `expr`; names stand under `prefix`, which ends with a dot or is empty.
    fn condition(&mut self, expr: &Expr, prefix: &str) -> Condition {
        match &expr.kind {
            ExprKind::Error => Condition::Const(false),
            ExprKind::Everything => Condition::Const(true),
            ExprKind::Or(parts) => {
                Condition::any(parts.iter().map(|part| self.condition(part, prefix)).collect())
            }
            ExprKind::And(parts) => {
                Condition::all(parts.iter().map(|part| self.condition(part, prefix)).collect())
            }
            ExprKind::Not(inner) => self.condition(inner, prefix).negated(),
            ExprKind::Group(inner) => self.condition(inner, prefix),
            ExprKind::Nested(name, inner) => self.objects(name, inner, prefix, expr.span),
            ExprKind::Field(name, values) => self.field(name, values, prefix, expr.span),
            // Lucene: a bound without a field.
            ExprKind::Range(name, ..) if name.pattern.parts.is_empty() => self.free_text(expr, expr.span),
            ExprKind::Range(name, operator, bound) => {
                let Some(text) = bound.pattern.as_literal() else {
                    self.fields.diagnostics.push(
                        Diagnostic::new(
                            &codes::KQL_RANGE,
                            bound.span,
                            "the bound of a range has a wildcard",
                        )
                        .with_help("put a `\\` before a `*` that is meant"),
                    );
                    return Condition::Const(false);
                };
                let targets = self.targets(name, prefix);
                let relation = relation(*operator);
                let any = targets
                    .iter()
                    .map(|target| self.fields.range(target, relation, text, bound.span, expr.span));
                Condition::any(any.collect())
            }
            ExprKind::Value(_) => self.free_text(expr, expr.span),
        }
    }

    /// The condition that one object of a list satisfies `inner` by itself.
    fn objects(&mut self, name: &Name, inner: &Expr, prefix: &str, span: Span) -> Condition {
        let full = format!("{prefix}{}.", shown(&name.pattern));
        if name.pattern.as_literal().is_none() {
            let message = format!("`{}` names no list of objects", shown(&name.pattern));
            self.fields.diagnostics.push(
                Diagnostic::new(&codes::FIELD_PATTERN, name.span, message)
                    .with_help("write the name of one list in front of braces, without wildcards"),
            );
            return Condition::Const(false);
        }
        // Where one value decides, it does not matter which object it is of.
        let mut joins = false;
        inner.walk(&mut |expr| joins |= matches!(expr.kind, ExprKind::And(_) | ExprKind::Not(_)));
        if !joins {
            return self.condition(inner, &full);
        }
        let fresh = Fields::new(self.fields.schema, self.now, Vec::new());
        let outer = std::mem::replace(&mut self.fields, fresh);
        let outer_base = std::mem::replace(&mut self.base, full.clone());
        let condition = self.condition(inner, &full);
        let base = std::mem::replace(&mut self.base, outer_base);
        let mut own = std::mem::replace(&mut self.fields, outer);
        self.fields.uses.append(&mut own.uses);
        self.fields.diagnostics.append(&mut own.diagnostics);
        let inside = own.into_fields();
        let ids = inside
            .iter()
            .map(|field| self.fields.intern(field.clone()))
            .collect();
        let relative = |field: Arc<Field>| match field.path.strip_prefix(base.as_str()) {
            Some(path) => Arc::new(Field {
                path: path.into(),
                ..(*field).clone()
            }),
            None => field,
        };
        let path = full.strip_prefix(self.base.as_str()).unwrap_or(&full);
        let objects = Objects::new(
            path.trim_end_matches('.'),
            inside.into_iter().map(relative).collect(),
            condition,
        );
        Condition::leaf(
            Test::Nested(Nested {
                fields: ids,
                objects: Arc::new(objects),
            }),
            span,
        )
    }

    fn field(&mut self, name: &Name, values: &Expr, prefix: &str, span: Span) -> Condition {
        if is_any(&name.pattern) && prefix.is_empty() {
            // `*: *` is every event; `*: value` looks for the value in all fields, as a value without a field does.
            if matches!(&values.without_groups().kind, ExprKind::Value(literal) if is_any(&literal.pattern)) {
                return Condition::Const(true);
            }
            return self.free_text(values, span);
        }
        let targets = self.targets(name, prefix);
        let any = targets.iter().map(|target| self.values(values, target, span));
        Condition::any(any.collect())
    }

    fn free_text(&mut self, values: &Expr, span: Span) -> Condition {
        if matches!(&values.kind, ExprKind::Value(literal) if is_any(&literal.pattern)) {
            return Condition::Const(true);
        }
        let target = self.fields.everywhere();
        self.values(values, &target, span)
    }

    /// The condition that values of one field satisfy; `span` is the text that alternatives without more to them show.
    fn values(&mut self, values: &Expr, target: &Target, span: Span) -> Condition {
        match &values.kind {
            ExprKind::Group(inner) => self.values(inner, target, span),
            ExprKind::Value(literal) => self.any_of(&[literal], target, span),
            ExprKind::Or(parts) => {
                let literals: Vec<&Literal> = parts.iter().filter_map(plain).collect();
                let mut conditions = vec![self.any_of(&literals, target, span)];
                for part in parts.iter().filter(|part| plain(part).is_none()) {
                    conditions.push(self.values(part, target, part.span));
                }
                Condition::any(conditions)
            }
            // Lucene: `[1 TO 5]`, whose ends one value must meet.
            ExprKind::And(parts) if parts.iter().all(|part| part.span == values.span) => {
                let ends: Vec<(Relation, String, Span)> = parts
                    .iter()
                    .filter_map(|part| match &part.kind {
                        ExprKind::Range(_, operator, bound) => {
                            Some((relation(*operator), shown(&bound.pattern), bound.span))
                        }
                        _ => None,
                    })
                    .collect();
                let ends: Vec<(Relation, &str, Span)> = ends
                    .iter()
                    .map(|(relation, text, place)| (*relation, text.as_str(), *place))
                    .collect();
                self.fields.between(target, &ends, span)
            }
            ExprKind::And(parts) => {
                let all = parts.iter().map(|part| self.values(part, target, part.span));
                Condition::all(all.collect())
            }
            ExprKind::Not(inner) => self.values(inner, target, span).negated(),
            ExprKind::Range(_, operator, bound) => {
                // Lucene: `field:(>5 OR <2)`.
                let text = shown(&bound.pattern);
                self.fields
                    .range(target, relation(*operator), &text, bound.span, span)
            }
            ExprKind::Error | ExprKind::Everything | ExprKind::Field(..) | ExprKind::Nested(..) => {
                Condition::Const(false)
            }
        }
    }

    fn any_of(&mut self, literals: &[&Literal], target: &Target, span: Span) -> Condition {
        let mut exists = false;
        let mut parts: Vec<(Pattern, Form, Span)> = Vec::new();
        for literal in literals {
            match literal.form {
                Form::Bare if is_any(&literal.pattern) => exists = true,
                Form::Bare if self.dialect == Dialect::Kql && is_null(literal) => self.null(literal, target),
                // Kibana asks a keyword field for the whole value, spaces included, and all others by a query string.
                Form::Bare if self.dialect == Dialect::Kql && !target.is_keyword() => parts.extend(
                    split_at_spaces(&literal.pattern)
                        .into_iter()
                        .map(|part| (part, Form::Bare, literal.span)),
                ),
                Form::Bare | Form::Quoted => {
                    parts.push((literal.pattern.clone(), literal.form, literal.span))
                }
                Form::Regex => {
                    if self.fields.check_regex(&shown(&literal.pattern), literal.span) {
                        parts.push((literal.pattern.clone(), Form::Regex, literal.span));
                    }
                }
            }
        }
        let texts: Vec<String> = parts.iter().map(|(pattern, ..)| shown(pattern)).collect();
        let wanted = parts.iter().zip(&texts).map(|((pattern, form, place), text)| {
            let wanted = match form {
                Form::Quoted => Wanted::Phrase(text),
                Form::Regex => Wanted::Regex(text),
                Form::Bare if pattern.as_literal().is_some() => Wanted::Text(text),
                Form::Bare => Wanted::Wildcard(pattern),
            };
            (wanted, *place)
        });
        let mut conditions = Vec::new();
        if !parts.is_empty() {
            conditions.push(self.fields.any_of(target, wanted, None, span));
        }
        if exists {
            conditions.push(self.fields.exists(target, span));
        }
        Condition::any(conditions)
    }

    fn null(&mut self, literal: &Literal, target: &Target) {
        let message = format!("`{}` cannot be asked for the value `null`", target.name());
        self.fields.diagnostics.push(
            Diagnostic::new(&codes::KQL_NULL, literal.span, message).with_help(format!(
                "to ask for events without the field, write `not {}: *`",
                target.name()
            )),
        );
    }

    /// The fields that a name stands for.
    fn targets(&mut self, name: &Name, prefix: &str) -> Vec<Target> {
        if let Some(literal) = name.pattern.as_literal() {
            let full = format!("{prefix}{literal}");
            let target = self.fields.resolve_in(&full, name.span, !prefix.is_empty());
            return target.into_iter().collect();
        }
        let mut pattern = name.pattern.clone();
        if !prefix.is_empty() {
            let mut parts = vec![PatternPart::Literal(prefix.into())];
            parts.append(&mut pattern.parts);
            if let [PatternPart::Literal(first), PatternPart::Literal(second), ..] = parts.as_mut_slice() {
                *second = format!("{first}{second}").into();
                parts.remove(0);
            }
            pattern.parts = parts;
        }
        self.fields.resolve_pattern(&pattern, name.span)
    }
}

impl Fields<'_> {
    /// The fields of a name with wildcards; none is reported like an unknown field.
    fn resolve_pattern(&mut self, pattern: &Pattern, span: Span) -> Vec<Target> {
        let names = expand(pattern, self.schema);
        let written = shown(pattern);
        let sources = names
            .iter()
            .filter_map(|name| self.schema.get(name))
            .map(|def| Arc::clone(&def.sources))
            .find(|sources| !sources.is_empty());
        self.uses.push(FieldUse {
            name: written.as_str().into(),
            span,
            known: !names.is_empty(),
            sources: sources.unwrap_or_default(),
        });
        if names.is_empty() {
            let code = if self.schema.is_strict() {
                &codes::UNKNOWN_COLUMN
            } else {
                &codes::UNKNOWN_FIELD
            };
            let message =
                format!("no field of the schema fits `{written}`, so that the condition never holds");
            self.diagnostics.push(Diagnostic::new(code, span, message).with_help(
                "names with `*` stand for fields that the schema knows; `--mapping` gives a schema of your own",
            ));
            return Vec::new();
        }
        if names.len() > MOST {
            let message = format!("`{written}` stands for {} fields, more than {MOST}", names.len());
            self.diagnostics.push(
                Diagnostic::new(&codes::FIELD_PATTERN, span, message)
                    .with_help("name the fields that you mean"),
            );
            return Vec::new();
        }
        names.iter().map(|name| self.target(name)).collect()
    }
}

fn relation(operator: RangeOperator) -> Relation {
    match operator {
        RangeOperator::Less => Relation::Less,
        RangeOperator::LessOrEqual => Relation::LessOrEqual,
        RangeOperator::Greater => Relation::Greater,
        RangeOperator::GreaterOrEqual => Relation::GreaterOrEqual,
    }
}

fn plain(expr: &Expr) -> Option<&Literal> {
    match &expr.without_groups().kind {
        ExprKind::Value(literal) => Some(literal),
        _ => None,
    }
}

fn is_any(pattern: &Pattern) -> bool {
    pattern.parts.as_slice() == [PatternPart::Any]
}

fn is_null(literal: &Literal) -> bool {
    literal.pattern.as_literal() == Some("null")
}

/// A bare value with a wildcard goes through a query string, which takes its parts between spaces one by one; words
/// without wildcard that follow one another stay together.
fn split_at_spaces(pattern: &Pattern) -> Vec<Pattern> {
    if pattern.as_literal().is_some() {
        return vec![pattern.clone()];
    }
    let mut words: Vec<Vec<PatternPart>> = vec![Vec::new()];
    for part in &pattern.parts {
        match part {
            PatternPart::Literal(text) => {
                for (position, piece) in text.split(char::is_whitespace).enumerate() {
                    if position > 0 {
                        words.push(Vec::new());
                    }
                    if let (false, Some(word)) = (piece.is_empty(), words.last_mut()) {
                        word.push(PatternPart::Literal(piece.into()));
                    }
                }
            }
            wildcard => {
                if let Some(word) = words.last_mut() {
                    word.push(wildcard.clone());
                }
            }
        }
    }
    let mut split: Vec<Pattern> = Vec::new();
    let mut open = false;
    for parts in words.into_iter().filter(|parts| !parts.is_empty()) {
        let word = Pattern { parts };
        match (word.as_literal(), split.last_mut()) {
            (Some(text), Some(before)) if open => {
                let joined = format!("{} {text}", before.as_literal().unwrap_or_default());
                *before = Pattern::literal(&joined);
            }
            (literal, _) => {
                open = literal.is_some();
                split.push(word);
            }
        }
    }
    split
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_values_with_wildcards_split_at_spaces() {
        let split = |text| -> Vec<String> {
            split_at_spaces(&Pattern::unescaped(text))
                .iter()
                .map(shown)
                .collect()
        };
        assert_eq!(split("a b"), ["a b"]);
        assert_eq!(split("Program Files*"), ["Program", "Files*"]);
        assert_eq!(split("*a  b c d* e"), ["*a", "b c", "d*", "e"]);
    }
}
