//! A plan back to text: a query in EQL where it can say the same, else why it cannot; and, for people, a text that always
//! says what is tested.
//!
//! Conditions of a plan and of EQL mean the same, so that each test needs only its spelling: `like~` and `in~` for texts
//! without case, functions where a text holds a wildcard sign that is meant, `string(…)` for fields that are no texts.

use neph_event::{ANY_FIELD, Exactness, FieldType, Schema, Value};
use neph_plan::{
    Case, Condition, Expr, FieldId, Function, Pattern, PatternPart, Plan, RegexDialect, Relation, Test,
};

use crate::to_lucene_regex;

/// Why something cannot be said in EQL.
pub(crate) type Inexpressible = String;

/// Writes conditions of one plan.
pub(crate) struct Writer<'a> {
    plan: &'a Plan,
    /// Whether what EQL cannot say is paraphrased rather than refused.
    lenient: bool,
}

impl<'a> Writer<'a> {
    /// A writer of EQL.
    pub(crate) fn strict(plan: &'a Plan) -> Self {
        Self { plan, lenient: false }
    }

    /// A writer for people.
    pub(crate) fn lenient(plan: &'a Plan) -> Self {
        Self { plan, lenient: true }
    }

    /// The text of a condition.
    ///
    /// # Errors
    /// Says what EQL has no words for; never where the writer is lenient.
    pub(crate) fn condition(&self, condition: &Condition) -> Result<String, Inexpressible> {
        Ok(match condition {
            Condition::Const(truth) => truth.to_string(),
            Condition::And(parts) => self.joined(parts, " and ")?,
            Condition::Or(parts) => self.joined(parts, " or ")?,
            Condition::Not(part) => match &**part {
                Condition::Leaf(leaf) => match &leaf.test {
                    Test::Exists(field) => format!("{} == null", self.field(*field)?),
                    test => format!("not {}", self.test(test)?),
                },
                Condition::And(_) | Condition::Or(_) => format!("not {}", self.grouped(part)?),
                other => format!("not ({})", self.condition(other)?),
            },
            Condition::Leaf(leaf) => self.test(&leaf.test)?,
        })
    }

    fn joined(&self, parts: &[Condition], word: &str) -> Result<String, Inexpressible> {
        match parts {
            [] => Ok((word == " and ").to_string()),
            [only] => self.condition(only),
            parts => {
                let texts: Result<Vec<String>, _> = parts.iter().map(|part| self.grouped(part)).collect();
                Ok(texts?.join(word))
            }
        }
    }

    /// The condition, in parentheses where it is a list.
    fn grouped(&self, condition: &Condition) -> Result<String, Inexpressible> {
        let text = self.condition(condition)?;
        Ok(match condition {
            Condition::And(parts) | Condition::Or(parts) if parts.len() > 1 => format!("({text})"),
            _ => text,
        })
    }

    fn refuse<T>(&self, reason: impl Into<String>) -> Result<T, Inexpressible> {
        Err(reason.into())
    }

    fn path(&self, id: FieldId) -> &str {
        self.plan.field(id).map_or("", |field| &field.path)
    }

    /// The name of a field as EQL writes it: optional where no schema promises it.
    pub(crate) fn field(&self, id: FieldId) -> Result<String, Inexpressible> {
        let path = self.path(id);
        if path == ANY_FIELD {
            if self.lenient {
                return Ok("any field".into());
            }
            return self.refuse("it looks for words anywhere in the event, and EQL only asks named fields");
        }
        Ok(match (Schema::builtin().get(path), self.lenient) {
            (None, false) => format!("?{}", name(path)),
            _ => name(path),
        })
    }

    /// The field as a text: fields that are none are written out.
    fn text_field(&self, id: FieldId) -> Result<String, Inexpressible> {
        let field = self.field(id)?;
        let def = Schema::builtin().get(self.path(id));
        let Some(def) = def.filter(|_| !self.lenient) else {
            return Ok(field);
        };
        if def.field.kind == FieldType::Text && def.exactness == Exactness::NoExactSubfield {
            return self.refuse(format!(
                "`{}` is analysed text, whose values EQL cannot read",
                def.name
            ));
        }
        Ok(if is_text(def.field.kind) {
            field
        } else {
            format!("string({field})")
        })
    }

    fn test(&self, test: &Test) -> Result<String, Inexpressible> {
        match test {
            Test::Exists(field) => Ok(format!("{} != null", self.field(*field)?)),
            Test::Equals(field, constants, case) => self.equals(*field, constants, *case),
            Test::Compare(field, relation, constant) => self.compare(*field, *relation, constant),
            Test::Like(field, patterns, case) => self.like(*field, patterns, *case),
            Test::StartsWith(field, texts, case) => {
                self.affix(*field, texts, *case, |text| vec![text, PatternPart::Any])
            }
            Test::EndsWith(field, texts, case) => {
                self.affix(*field, texts, *case, |text| vec![PatternPart::Any, text])
            }
            Test::Contains(field, texts, case) => self.affix(*field, texts, *case, |text| {
                vec![PatternPart::Any, text, PatternPart::Any]
            }),
            Test::Regex(field, expressions, dialect, case) => {
                self.regex(*field, expressions, *dialect, *case)
            }
            Test::Cidr(field, networks) => {
                let networks: Vec<String> = networks.iter().map(|net| quoted(&net.to_string())).collect();
                Ok(format!(
                    "cidrMatch({}, {})",
                    self.field(*field)?,
                    networks.join(", ")
                ))
            }
            Test::Words(field, phrases) => {
                if !self.lenient {
                    return self.refuse(format!(
                        "it looks for words of `{}`, and EQL compares whole values",
                        self.path(*field)
                    ));
                }
                let phrases: Vec<String> = phrases
                    .iter()
                    .map(|phrase| {
                        phrase
                            .words
                            .iter()
                            .map(wildcard_text)
                            .collect::<Vec<_>>()
                            .join(" ")
                    })
                    .map(|phrase| quoted(&phrase))
                    .collect();
                Ok(format!(
                    "{} has the words {}",
                    self.field(*field)?,
                    phrases.join(" or ")
                ))
            }
            Test::Lookup(lookup) => {
                if !self.lenient {
                    return self.refuse("it compares with indicators, which EQL cannot read");
                }
                let fields: Result<Vec<String>, _> =
                    lookup.fields.iter().map(|field| self.field(*field)).collect();
                Ok(format!("{} as in an indicator", fields?.join(" and ")))
            }
            Test::Nested(nested) => {
                if !self.lenient {
                    return self.refuse("it asks for objects of a list, and EQL reads lists flat");
                }
                let inner = Plan {
                    fields: nested.objects.fields.clone(),
                    ..self.plan.clone()
                };
                let text = Writer::lenient(&inner).condition(&nested.objects.condition)?;
                Ok(format!("one of {} where ({text})", nested.objects.path))
            }
            Test::Expr(expr) => self.expression(expr),
        }
    }

    fn equals(&self, field: FieldId, constants: &[Value], case: Case) -> Result<String, Inexpressible> {
        let (texts, others): (Vec<&Value>, Vec<&Value>) = constants
            .iter()
            .partition(|constant| matches!(constant, Value::String(_)));
        let mut parts = Vec::new();
        if !texts.is_empty() {
            let words: Vec<&str> = texts
                .iter()
                .filter_map(|value| match value {
                    Value::String(text) => Some(&**text),
                    _ => None,
                })
                .collect();
            parts.push(self.equal_texts(field, &words, case)?);
        }
        if !others.is_empty() {
            let field = self.number_field(field, others.iter().all(|value| is_number(value)))?;
            let constants: Vec<String> = others.iter().map(|value| constant(value)).collect();
            parts.push(match constants.as_slice() {
                [one] => format!("{field} == {one}"),
                many => format!("{field} in ({})", many.join(", ")),
            });
        }
        Ok(match parts.as_slice() {
            [one] => one.clone(),
            many => format!("({})", many.join(" or ")),
        })
    }

    fn equal_texts(&self, id: FieldId, texts: &[&str], case: Case) -> Result<String, Inexpressible> {
        let kind = Schema::builtin().get(self.path(id)).map(|def| def.field.kind);
        // Numbers and booleans of a rule that has only texts.
        if let Some(kind) = kind.filter(|kind| !is_text(*kind) && *kind != FieldType::Ip)
            && let Some(bare) = texts
                .iter()
                .map(|text| bare(text, kind))
                .collect::<Option<Vec<_>>>()
        {
            let field = self.field(id)?;
            return Ok(match bare.as_slice() {
                [one] => format!("{field} == {one}"),
                many => format!("{field} in ({})", many.join(", ")),
            });
        }
        self.check_letters(texts.iter().copied(), case)?;
        let field = self.text_field(id)?;
        let quoted: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
        let has_letters = texts.iter().any(|text| text.chars().any(char::is_alphabetic));
        Ok(
            match (quoted.as_slice(), case != Case::Sensitive && has_letters) {
                ([one], false) => format!("{field} == {one}"),
                ([one], true) if !has_wildcard(texts.first().copied().unwrap_or("")) => {
                    format!("{field} : {one}")
                }
                (many, true) => format!("{field} in~ ({})", many.join(", ")),
                (many, false) => format!("{field} in ({})", many.join(", ")),
            },
        )
    }

    /// EQL folds only the letters of ASCII.
    fn check_letters<'t>(
        &self,
        mut texts: impl Iterator<Item = &'t str>,
        case: Case,
    ) -> Result<(), Inexpressible> {
        let folds =
            |character: char| !character.is_ascii() && (character.is_lowercase() || character.is_uppercase());
        if case == Case::Insensitive
            && !self.lenient
            && let Some(text) = texts.find(|text| text.chars().any(folds))
        {
            return self.refuse(format!(
                "`{text}` has letters beyond ASCII, and EQL folds only those of ASCII"
            ));
        }
        Ok(())
    }

    /// The field as a number, where its values are texts.
    fn number_field(&self, id: FieldId, numbers: bool) -> Result<String, Inexpressible> {
        let field = self.field(id)?;
        let kind = Schema::builtin().get(self.path(id)).map(|def| def.field.kind);
        Ok(match kind {
            Some(kind) if numbers && is_text(kind) && !self.lenient => format!("number({field})"),
            _ => field,
        })
    }

    fn compare(&self, id: FieldId, relation: Relation, value: &Value) -> Result<String, Inexpressible> {
        let field = match value {
            Value::String(_) => self.text_field(id)?,
            value => self.number_field(id, is_number(value))?,
        };
        Ok(format!("{field} {} {}", sign(relation), constant(value)))
    }

    fn like(&self, id: FieldId, patterns: &[Pattern], case: Case) -> Result<String, Inexpressible> {
        let literals = patterns
            .iter()
            .flat_map(|pattern| &pattern.parts)
            .filter_map(|part| match part {
                PatternPart::Literal(text) => Some(&**text),
                _ => None,
            });
        self.check_letters(literals.clone(), case)?;
        let field = self.text_field(id)?;
        let tilde = if case == Case::Sensitive { "" } else { "~" };
        if !self.lenient && literals.clone().any(has_wildcard) {
            // A sign that is meant needs a regular expression.
            let texts: Vec<String> = patterns
                .iter()
                .map(|pattern| quoted(&to_lucene_regex::pattern(pattern)))
                .collect();
            return Ok(listed(&field, &format!("regex{tilde}"), &texts));
        }
        let texts: Vec<String> = patterns
            .iter()
            .map(|pattern| quoted(&wildcard_text(pattern)))
            .collect();
        Ok(listed(&field, &format!("like{tilde}"), &texts))
    }

    fn affix(
        &self,
        id: FieldId,
        texts: &[Box<str>],
        case: Case,
        parts: impl Fn(PatternPart) -> Vec<PatternPart>,
    ) -> Result<String, Inexpressible> {
        let patterns: Vec<Pattern> = texts
            .iter()
            .map(|text| Pattern {
                parts: parts(PatternPart::Literal(text.clone())),
            })
            .collect();
        self.like(id, &patterns, case)
    }

    fn regex(
        &self,
        id: FieldId,
        expressions: &[Box<str>],
        dialect: RegexDialect,
        case: Case,
    ) -> Result<String, Inexpressible> {
        let field = self.text_field(id)?;
        let tilde = if case == Case::Sensitive { "" } else { "~" };
        let mut texts = Vec::new();
        for expression in expressions {
            texts.push(match dialect {
                RegexDialect::Search if !self.lenient => quoted(&to_lucene_regex::search(expression, case)?),
                RegexDialect::Java if !self.lenient => {
                    return self.refuse("its regular expression is of another dialect than EQL's");
                }
                _ => quoted(expression),
            });
        }
        // A searched expression has its case in its classes.
        let tilde = if dialect == RegexDialect::Search && !self.lenient {
            ""
        } else {
            tilde
        };
        Ok(listed(&field, &format!("regex{tilde}"), &texts))
    }

    fn expression(&self, expr: &Expr) -> Result<String, Inexpressible> {
        if !self.lenient {
            return self.refuse(match expr {
                Expr::In(..) | Expr::Call(..) => "it compares two fields with each other, which EQL does not",
                _ => "it computes with parts of times, which EQL cannot",
            });
        }
        let many = |list: &[Expr], word: &str| -> Result<String, Inexpressible> {
            let texts: Result<Vec<String>, _> = list.iter().map(|one| self.expression(one)).collect();
            Ok(texts?.join(word))
        };
        Ok(match expr {
            Expr::Const(None) => "null".into(),
            Expr::Const(Some(value)) => constant(value),
            Expr::Field(field) => self.field(*field)?,
            Expr::Arithmetic(operator, a, b) => {
                let sign = match operator {
                    neph_plan::Arithmetic::Add => "+",
                    neph_plan::Arithmetic::Subtract => "-",
                    neph_plan::Arithmetic::Multiply => "*",
                    neph_plan::Arithmetic::Divide => "/",
                    neph_plan::Arithmetic::Modulo => "%",
                };
                format!("({} {sign} {})", self.expression(a)?, self.expression(b)?)
            }
            Expr::Negate(a) => format!("-{}", self.expression(a)?),
            Expr::Equals(a, b) => format!("{} == {}", self.expression(a)?, self.expression(b)?),
            Expr::Compare(relation, a, b) => {
                format!(
                    "{} {} {}",
                    self.expression(a)?,
                    sign(*relation),
                    self.expression(b)?
                )
            }
            Expr::In(a, list, _) => format!("{} in ({})", self.expression(a)?, many(list, ", ")?),
            Expr::Like(a, patterns, _) => {
                let texts: Vec<String> = patterns
                    .iter()
                    .map(|pattern| quoted(&wildcard_text(pattern)))
                    .collect();
                listed(&self.expression(a)?, "like", &texts)
            }
            Expr::Regex(a, expressions, ..) => {
                let texts: Vec<String> = expressions.iter().map(|text| quoted(text)).collect();
                listed(&self.expression(a)?, "regex", &texts)
            }
            Expr::IsNull(a) => format!("{} == null", self.expression(a)?),
            Expr::And(list) => format!("({})", many(list, " and ")?),
            Expr::Or(list) => format!("({})", many(list, " or ")?),
            Expr::Not(a) => format!("not ({})", self.expression(a)?),
            Expr::TimePart(part, a) => format!("{part:?} of {}", self.expression(a)?).to_lowercase(),
            Expr::Call(function, list, _) => format!("{}({})", function_name(*function), many(list, ", ")?),
        })
    }
}

/// A field's name, in back quotes where EQL needs them.
pub(crate) fn name(path: &str) -> String {
    let plain = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphabetic() || matches!(first, '_' | '@'))
            && part
                .chars()
                .all(|character| character.is_ascii_alphanumeric() || matches!(character, '_' | '@' | '-'))
            && !part.contains('-')
    };
    if path.split('.').all(plain) {
        path.to_owned()
    } else {
        format!("`{path}`")
    }
}

fn listed(field: &str, operator: &str, texts: &[String]) -> String {
    match texts {
        [one] => format!("{field} {operator} {one}"),
        many => format!("{field} {operator} ({})", many.join(", ")),
    }
}

fn is_text(kind: FieldType) -> bool {
    matches!(
        kind,
        FieldType::Keyword | FieldType::Text | FieldType::Dynamic | FieldType::Version
    )
}

fn is_number(value: &Value) -> bool {
    matches!(value, Value::Long(_) | Value::Unsigned(_) | Value::Double(_))
}

/// A text as a constant of a field that is no text; `None` where it is no such value.
fn bare(text: &str, kind: FieldType) -> Option<String> {
    match kind {
        FieldType::Long => text.parse::<i64>().ok().map(|number| number.to_string()),
        FieldType::Double => text
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
            .map(|number| number.to_string()),
        FieldType::Boolean => text
            .to_ascii_lowercase()
            .parse::<bool>()
            .ok()
            .map(|truth| truth.to_string()),
        _ => None,
    }
}

fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?'])
}

fn wildcard_text(pattern: &Pattern) -> String {
    pattern
        .parts
        .iter()
        .map(|part| match part {
            PatternPart::Literal(text) => &**text,
            PatternPart::One => "?",
            PatternPart::Any => "*",
        })
        .collect()
}

fn sign(relation: Relation) -> &'static str {
    match relation {
        Relation::Less => "<",
        Relation::LessOrEqual => "<=",
        Relation::Greater => ">",
        Relation::GreaterOrEqual => ">=",
    }
}

fn constant(value: &Value) -> String {
    match value {
        Value::Bool(_) | Value::Long(_) | Value::Unsigned(_) => value.to_string(),
        Value::Double(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
            format!("{}", *number as i64)
        }
        Value::Double(number) => number.to_string(),
        other => quoted(&other.to_string()),
    }
}

/// A string of EQL.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control.is_control() => out.push_str(&format!("\\u{{{:04x}}}", control as u32)),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

fn function_name(function: Function) -> &'static str {
    match function {
        Function::Between => "between",
        Function::CidrMatch => "cidrMatch",
        Function::Concat => "concat",
        Function::EndsWith => "endsWith",
        Function::IndexOf => "indexOf",
        Function::Length => "length",
        Function::Number => "number",
        Function::StartsWith => "startsWith",
        Function::String => "string",
        Function::StringContains => "stringContains",
        Function::Substring => "substring",
    }
}
