//! Conditions evaluated as their definition says: recursively, on lists of values, nothing shared and nothing cached.

use std::cmp::Ordering;
use std::net::IpAddr;

use neph_event::{FieldType, Instant, Value, compare_versions, parse_date};
use neph_plan::{
    Case, Condition, Expr, FieldId, Key, Pattern, PatternPart, Relation, Test, arithmetic, functions, regex,
};

/// The values of each field, by field id.
pub(crate) struct Document<'a> {
    pub(crate) kinds: &'a [FieldType],
    pub(crate) values: &'a [Vec<Value>],
}

impl Document<'_> {
    fn of(&self, field: FieldId) -> &[Value] {
        self.values.get(field.0 as usize).map_or(&[], Vec::as_slice)
    }

    fn kind(&self, field: FieldId) -> FieldType {
        self.kinds
            .get(field.0 as usize)
            .copied()
            .unwrap_or(FieldType::Dynamic)
    }
}

pub(crate) fn holds(condition: &Condition, document: &Document<'_>) -> bool {
    match condition {
        Condition::Const(truth) => *truth,
        Condition::And(parts) => parts.iter().all(|part| holds(part, document)),
        Condition::Or(parts) => parts.iter().any(|part| holds(part, document)),
        Condition::Not(part) => !holds(part, document),
        Condition::Leaf(leaf) => test_holds(&leaf.test, document),
    }
}

fn test_holds(test: &Test, document: &Document<'_>) -> bool {
    let texts_of = |field: &FieldId| {
        document
            .of(*field)
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<String>>()
    };
    let some_text =
        |field: &FieldId, passes: &dyn Fn(&str) -> bool| texts_of(field).iter().any(|text| passes(text));
    match test {
        Test::Exists(field) => !document.of(*field).is_empty(),
        Test::Equals(field, constants, case) => document.of(*field).iter().any(|value| {
            constants.iter().any(|constant| {
                if document.kind(*field) == FieldType::Keyword {
                    fold(&value.to_string(), *case) == fold(&constant.to_string(), *case)
                } else {
                    equal(value, constant, *case)
                }
            })
        }),
        Test::Compare(field, relation, constant) => document.of(*field).iter().any(|value| {
            // A constant becomes a value of the field's type where the field has one.
            let order = match (document.kind(*field), constant) {
                (FieldType::Keyword, _) => Some(value.to_string().cmp(&constant.to_string())),
                (FieldType::Boolean, Value::String(text)) => text
                    .parse()
                    .ok()
                    .and_then(|truth| order(value, &Value::Bool(truth))),
                _ => order(value, constant),
            };
            order.is_some_and(|order| relates(*relation, order))
        }),
        Test::Like(field, patterns, case) => some_text(field, &|text| {
            patterns.iter().any(|pattern| like(pattern, text, *case))
        }),
        Test::Regex(field, expressions, dialect, case) => some_text(field, &|text| {
            regex::compile(expressions, *dialect, *case).is_ok_and(|regex| regex.is_match(text))
        }),
        Test::StartsWith(field, parts, case) => some_text(field, &|text| {
            parts
                .iter()
                .any(|part| fold(text, *case).starts_with(&fold(part, *case)))
        }),
        Test::EndsWith(field, parts, case) => some_text(field, &|text| {
            parts
                .iter()
                .any(|part| fold(text, *case).ends_with(&fold(part, *case)))
        }),
        Test::Contains(field, parts, case) => some_text(field, &|text| {
            parts
                .iter()
                .any(|part| fold(text, *case).contains(&fold(part, *case)))
        }),
        Test::Cidr(field, networks) => document.of(*field).iter().any(|value| {
            let address = match value {
                Value::Ip(address) => Some(*address),
                Value::String(text) => address(text),
                _ => None,
            };
            address.is_some_and(|address| networks.iter().any(|network| network.contains(&address)))
        }),
        Test::Words(field, phrases) => some_text(field, &|text| {
            let words: Vec<String> = neph_plan::words::words(text)
                .map(|word| fold(word, Case::Insensitive))
                .collect();
            phrases.iter().any(|phrase| {
                (0..words.len()).any(|start| {
                    phrase.words.iter().enumerate().all(|(position, pattern)| {
                        words
                            .get(start + position)
                            .is_some_and(|word| like(pattern, word, Case::Insensitive))
                    })
                })
            })
        }),
        // These have tests of their own; none is generated here.
        Test::Lookup(_) | Test::Nested(_) => false,
        Test::Expr(expr) => {
            let mut fields = Vec::new();
            expr.for_each_field(&mut |field| fields.push(field));
            fields.sort_unstable();
            fields.dedup();
            some_choice(expr, &fields, &mut Vec::new(), document)
        }
    }
}

/// Tries every choice of values for the fields that are left.
fn some_choice(
    expr: &Expr,
    left: &[FieldId],
    chosen: &mut Vec<(FieldId, Option<Value>)>,
    document: &Document<'_>,
) -> bool {
    let Some((field, rest)) = left.split_first() else {
        return matches!(value_of(expr, chosen), Some(Value::Bool(true)));
    };
    let mut offers: Vec<Option<Value>> = document.of(*field).iter().cloned().map(Some).collect();
    if offers.is_empty() {
        offers.push(None);
    }
    offers.into_iter().any(|offer| {
        chosen.push((*field, offer));
        let found = some_choice(expr, rest, chosen, document);
        chosen.pop();
        found
    })
}

fn value_of(expr: &Expr, chosen: &[(FieldId, Option<Value>)]) -> Option<Value> {
    let run = |expr: &Expr| value_of(expr, chosen);
    let truth = |expr: &Expr| match run(expr) {
        Some(Value::Bool(truth)) => Some(truth),
        _ => None,
    };
    let boolean = |truth: Option<bool>| truth.map(Value::Bool);
    match expr {
        Expr::Const(value) => value.clone(),
        Expr::Field(field) => chosen
            .iter()
            .find(|(known, _)| known == field)
            .and_then(|(_, value)| value.clone()),
        Expr::Arithmetic(operator, a, b) => arithmetic::arithmetic(
            *operator,
            run(a).as_ref().map(Value::as_ref),
            run(b).as_ref().map(Value::as_ref),
        ),
        Expr::TimePart(part, a) => part.of(date(&run(a)?)?).map(Value::Long),
        Expr::Negate(a) => arithmetic::negate(run(a).as_ref().map(Value::as_ref)),
        Expr::Equals(a, b) => Some(Value::Bool(equal(&run(a)?, &run(b)?, Case::Sensitive))),
        Expr::Compare(relation, a, b) => Some(Value::Bool(relates(*relation, order(&run(a)?, &run(b)?)?))),
        Expr::In(a, list, case) => {
            let a = run(a)?;
            let items: Vec<Option<bool>> = list
                .iter()
                .map(|item| run(item).map(|item| equal(&a, &item, *case)))
                .collect();
            boolean(or(&items))
        }
        Expr::Like(a, patterns, case) => {
            let text = run(a)?.to_string();
            Some(Value::Bool(
                patterns.iter().any(|pattern| like(pattern, &text, *case)),
            ))
        }
        Expr::Regex(a, expressions, dialect, case) => {
            let text = run(a)?.to_string();
            Some(Value::Bool(
                regex::compile(expressions, *dialect, *case).is_ok_and(|regex| regex.is_match(&text)),
            ))
        }
        Expr::IsNull(a) => Some(Value::Bool(run(a).is_none())),
        Expr::And(list) => {
            let truths: Vec<Option<bool>> = list.iter().map(truth).collect();
            boolean(and(&truths))
        }
        Expr::Or(list) => {
            let truths: Vec<Option<bool>> = list.iter().map(truth).collect();
            boolean(or(&truths))
        }
        Expr::Not(a) => boolean(truth(a).map(|truth| !truth)),
        Expr::Call(function, list, case) => {
            let arguments: Vec<Option<Value>> = list.iter().map(run).collect();
            let borrowed: Vec<_> = arguments
                .iter()
                .map(|argument| argument.as_ref().map(Value::as_ref))
                .collect();
            functions::call(*function, &borrowed, *case)
        }
    }
}

fn and(truths: &[Option<bool>]) -> Option<bool> {
    if truths.contains(&Some(false)) {
        Some(false)
    } else if truths.contains(&None) {
        None
    } else {
        Some(true)
    }
}

fn or(truths: &[Option<bool>]) -> Option<bool> {
    if truths.contains(&Some(true)) {
        Some(true)
    } else if truths.contains(&None) {
        None
    } else {
        Some(false)
    }
}

fn relates(relation: Relation, order: Ordering) -> bool {
    match relation {
        Relation::Less => order == Ordering::Less,
        Relation::LessOrEqual => order != Ordering::Greater,
        Relation::Greater => order == Ordering::Greater,
        Relation::GreaterOrEqual => order != Ordering::Less,
    }
}

fn fold(text: &str, case: Case) -> String {
    match case {
        Case::Sensitive => text.to_owned(),
        Case::AsciiInsensitive => text.to_ascii_lowercase(),
        Case::Insensitive => text.to_lowercase(),
    }
}

fn like(pattern: &Pattern, text: &str, case: Case) -> bool {
    let text: Vec<char> = fold(text, case).chars().collect();
    let folded: Vec<PatternPart> = pattern
        .parts
        .iter()
        .map(|part| match part {
            PatternPart::Literal(literal) => PatternPart::Literal(fold(literal, case).into()),
            other => other.clone(),
        })
        .collect();
    matches_parts(&folded, &text)
}

fn matches_parts(parts: &[PatternPart], text: &[char]) -> bool {
    match parts.split_first() {
        None => text.is_empty(),
        Some((PatternPart::One, rest)) => {
            !text.is_empty() && matches_parts(rest, text.get(1..).unwrap_or(&[]))
        }
        Some((PatternPart::Any, rest)) => {
            (0..=text.len()).any(|skip| matches_parts(rest, text.get(skip..).unwrap_or(&[])))
        }
        Some((PatternPart::Literal(literal), rest)) => {
            let literal: Vec<char> = literal.chars().collect();
            text.starts_with(&literal) && matches_parts(rest, text.get(literal.len()..).unwrap_or(&[]))
        }
    }
}

/// Equality of values of any types: by text form, or as what one of them reads as in the other's type.
fn equal(a: &Value, b: &Value, case: Case) -> bool {
    match (a, b) {
        (Value::String(a), Value::String(b)) => fold(a, case) == fold(b, case),
        (Value::Bool(a), Value::Bool(b)) => a == b,
        _ => fold(&a.to_string(), case) == fold(&b.to_string(), case) || order(a, b) == Some(Ordering::Equal),
    }
}

fn order(a: &Value, b: &Value) -> Option<Ordering> {
    if let (Value::String(a), Value::String(b)) = (a, b) {
        return Some(a.as_bytes().cmp(b.as_bytes()));
    }
    if let (Value::Bool(a), Value::Bool(b)) = (a, b) {
        return Some(a.cmp(b));
    }
    if is_version(a) || is_version(b) {
        return Some(compare_versions(&a.to_string(), &b.to_string()));
    }
    if is_date(a) || is_date(b) {
        return Some(date(a)?.cmp(&date(b)?));
    }
    if is_address(a) || is_address(b) {
        return Some(v6(ip(a)?).cmp(&v6(ip(b)?)));
    }
    number(a)?.partial_cmp(&number(b)?)
}

fn is_version(value: &Value) -> bool {
    matches!(value, Value::Version(_))
}

fn is_date(value: &Value) -> bool {
    matches!(value, Value::Date(_))
}

fn is_address(value: &Value) -> bool {
    matches!(value, Value::Ip(_))
}

fn v6(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_ipv6_mapped()),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

fn ip(value: &Value) -> Option<IpAddr> {
    match value {
        Value::Ip(ip) => Some(*ip),
        Value::String(text) => address(text),
        _ => None,
    }
}

fn date(value: &Value) -> Option<Instant> {
    match value {
        Value::Date(instant) => Some(*instant),
        Value::Long(millis) => Some(Instant::from_millis(*millis)),
        Value::Double(millis) => Some(Instant::from_millis(*millis as i64)),
        Value::String(text) => parse_date(text, &[]),
        _ => None,
    }
}

/// The tests' numbers are small, so that a double holds each exactly.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Long(number) => Some(*number as f64),
        Value::Unsigned(number) => Some(*number as f64),
        Value::Double(number) => Some(*number),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// All tuples of key values.
pub(crate) fn key_tuples(keys: &[Key], document: &Document<'_>) -> Vec<Vec<Option<Value>>> {
    let mut tuples = vec![vec![]];
    for key in keys {
        let mut offers: Vec<Option<Value>> = key
            .field
            .map_or(&[][..], |field| document.of(field))
            .iter()
            .cloned()
            .map(Some)
            .collect();
        if offers.is_empty() && key.optional {
            offers.push(None);
        }
        tuples = tuples
            .into_iter()
            .flat_map(|tuple: Vec<Option<Value>>| {
                offers
                    .iter()
                    .map(move |offer| [tuple.clone(), vec![offer.clone()]].concat())
            })
            .collect();
    }
    tuples.sort();
    tuples.dedup();
    tuples
}
