//! Rules that say a little less than a rule does, to see whether its tests would notice.
//!
//! A *mutant* is a plan with one part taken out: a condition, one of several values, a field of the new terms; or with a
//! limit moved by one. A test that passes with the mutant as it does with the rule does not need that part.

use std::sync::Arc;

use neph_diag::{Diagnostic, Span};
use neph_plan::{
    Asked, Bound, Condition, Leaf, Measure, Nested, Objects, Pattern, PatternPart, Plan, Query, Test,
};

use crate::codes;

/// A plan that says a little less.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// The plan.
    pub plan: Plan,
    /// What was changed, at its place in the query: said when no test notices.
    pub diagnostic: Diagnostic,
    /// Whether it is one of several values that was taken out.
    pub is_value: bool,
}

/// All mutants of a plan. What stands in no query (index patterns, exceptions) is left alone.
pub fn mutants(plan: &Plan) -> Vec<Mutant> {
    let mut found = Vec::new();
    for (position, condition) in plan.query.conditions().into_iter().enumerate() {
        for change in changes_of_all(condition) {
            let mut mutant = plan.clone();
            if let Some(place) = mutant.query.conditions_mut().into_iter().nth(position) {
                *place = change.condition;
            }
            found.push(Mutant {
                plan: mutant,
                diagnostic: Diagnostic::new(&codes::MUTANT_SURVIVES, change.span, change.message),
                is_value: change.is_value,
            });
        }
    }
    found.extend(limits(plan));
    found
}

/// A condition with one part taken out.
struct Change {
    condition: Condition,
    span: Span,
    message: String,
    is_value: bool,
}

impl Change {
    fn within(self, around: impl FnOnce(Condition) -> Condition) -> Self {
        Self {
            condition: around(self.condition),
            ..self
        }
    }
}

/// The changes of a condition that stands alone, which may be taken out whole.
fn changes_of_all(condition: &Condition) -> Vec<Change> {
    match condition {
        Condition::And(_) => changes(condition),
        _ => changes(&Condition::And(vec![condition.clone()])),
    }
}

/// The plan's reader bounds the nesting, and so this recursion.
fn changes(condition: &Condition) -> Vec<Change> {
    let mut found = Vec::new();
    match condition {
        Condition::Const(_) => {}
        Condition::Not(inner) => {
            let of_inner = changes(inner).into_iter();
            found.extend(of_inner.map(|change| change.within(|inner| Condition::Not(Box::new(inner)))));
        }
        Condition::Or(parts) if let Some(leaves) = spellings(parts) => {
            found.extend(of_spellings(&leaves));
        }
        Condition::And(parts) | Condition::Or(parts) => {
            let is_all = matches!(condition, Condition::And(_));
            let join = |parts: Vec<Condition>| match is_all {
                true => Condition::And(parts),
                false => Condition::Or(parts),
            };
            for (position, part) in parts.iter().enumerate() {
                // All of all is taken out part by part; of one alternative nothing would be left.
                let is_whole = match is_all {
                    true => !matches!(part, Condition::And(_)),
                    false => parts.len() > 1,
                };
                if let Some(span) = span_of(part).filter(|_| is_whole) {
                    let mut left = parts.clone();
                    left.remove(position);
                    found.push(Change {
                        condition: join(left),
                        span,
                        message: match is_all {
                            true => "no test needs this condition".into(),
                            false => "no test needs this alternative".into(),
                        },
                        is_value: false,
                    });
                }
                for change in changes(part) {
                    found.push(change.within(|part| {
                        let mut changed = parts.clone();
                        if let Some(place) = changed.get_mut(position) {
                            *place = part;
                        }
                        join(changed)
                    }));
                }
            }
        }
        Condition::Leaf(leaf) if leaf.span.is_empty() => {}
        Condition::Leaf(leaf) => of_leaf(leaf, &mut found),
    }
    found
}

/// The leaves of a condition that is written once and asks several fields, as those of Sigma do: a field has several names.
fn spellings(parts: &[Condition]) -> Option<Vec<&Leaf>> {
    let leaves: Option<Vec<&Leaf>> = parts
        .iter()
        .map(|part| match part {
            Condition::Leaf(leaf) => Some(leaf),
            _ => None,
        })
        .collect();
    leaves.filter(|leaves| match leaves.as_slice() {
        [first, others @ ..] => {
            !others.is_empty() && !first.span.is_empty() && others.iter().all(|leaf| leaf.span == first.span)
        }
        [] => false,
    })
}

/// A value is taken out of all spellings at once.
fn of_spellings(leaves: &[&Leaf]) -> Vec<Change> {
    let mut each: Vec<std::vec::IntoIter<Change>> = Vec::new();
    for leaf in leaves {
        let mut found = Vec::new();
        of_leaf(leaf, &mut found);
        each.push(found.into_iter());
    }
    let mut changes = Vec::new();
    loop {
        let of_all: Option<Vec<Change>> = each.iter_mut().map(Iterator::next).collect();
        let Some(of_all) = of_all.filter(|of_all| !of_all.is_empty()) else {
            return changes;
        };
        let mut parts = Vec::new();
        let mut said = None;
        for change in of_all {
            parts.push(change.condition);
            said.get_or_insert((change.span, change.message));
        }
        if let Some((span, message)) = said {
            changes.push(Change {
                condition: Condition::Or(parts),
                span,
                message,
                is_value: true,
            });
        }
    }
}

/// The text that a condition stands for; none for what is in no query.
fn span_of(condition: &Condition) -> Option<Span> {
    let mut whole: Option<Span> = None;
    condition.for_each_leaf(&mut |leaf| {
        if !leaf.span.is_empty() {
            whole = Some(match whole {
                None => leaf.span,
                Some(span) => Span {
                    start: span.start.min(leaf.span.start),
                    end: span.end.max(leaf.span.end),
                },
            });
        }
    });
    whole
}

fn of_leaf(leaf: &Leaf, found: &mut Vec<Change>) {
    let mut without = |test: Test, value: String| {
        found.push(Change {
            condition: Condition::leaf(test, leaf.span),
            span: leaf.span,
            message: format!("no test needs the value `{value}`"),
            is_value: true,
        });
    };
    match &leaf.test {
        Test::Equals(field, values, case) => {
            for (left, value) in one_less(values) {
                without(Test::Equals(*field, left.into(), *case), value.to_string());
            }
        }
        Test::Like(field, patterns, case) => {
            for (left, pattern) in one_less(patterns) {
                without(Test::Like(*field, left.into(), *case), shown(pattern));
            }
        }
        Test::Regex(field, texts, dialect, case) => {
            for (left, text) in one_less(texts) {
                without(
                    Test::Regex(*field, left.into(), *dialect, *case),
                    text.to_string(),
                );
            }
        }
        Test::StartsWith(field, texts, case) => {
            for (left, text) in one_less(texts) {
                without(Test::StartsWith(*field, left.into(), *case), text.to_string());
            }
        }
        Test::EndsWith(field, texts, case) => {
            for (left, text) in one_less(texts) {
                without(Test::EndsWith(*field, left.into(), *case), text.to_string());
            }
        }
        Test::Contains(field, texts, case) => {
            for (left, text) in one_less(texts) {
                without(Test::Contains(*field, left.into(), *case), text.to_string());
            }
        }
        Test::Cidr(field, networks) => {
            for (left, network) in one_less(networks) {
                without(Test::Cidr(*field, left.into()), network.to_string());
            }
        }
        Test::Words(field, phrases) => {
            for (left, phrase) in one_less(phrases) {
                let words: Vec<String> = phrase.words.iter().map(shown).collect();
                without(Test::Words(*field, left.into()), words.join(" "));
            }
        }
        Test::Nested(nested) => {
            for change in changes(&nested.objects.condition) {
                found.push(change.within(|condition| {
                    let objects = Objects::new(
                        nested.objects.path.clone(),
                        nested.objects.fields.clone(),
                        condition,
                    );
                    let nested = Nested {
                        fields: nested.fields.clone(),
                        objects: Arc::new(objects),
                    };
                    Condition::leaf(Test::Nested(nested), leaf.span)
                }));
            }
        }
        Test::Exists(_) | Test::Compare(..) | Test::Lookup(_) | Test::Expr(_) => {}
    }
}

/// A pattern as it is written where nothing has to be escaped.
fn shown(pattern: &Pattern) -> String {
    let parts = pattern.parts.iter().map(|part| match part {
        PatternPart::Literal(text) => &**text,
        PatternPart::One => "?",
        PatternPart::Any => "*",
    });
    parts.collect()
}

/// The list without each of its items, where it has several.
fn one_less<T: Clone>(items: &[T]) -> impl Iterator<Item = (Vec<T>, &T)> {
    let several = if items.len() > 1 { items } else { &[] };
    several.iter().enumerate().map(|(position, item)| {
        let mut left = items.to_vec();
        left.remove(position);
        (left, item)
    })
}

/// Limits moved by one, and new terms of fewer fields. They stand in the rule, not in its query.
fn limits(plan: &Plan) -> Vec<Mutant> {
    let mut found = Vec::new();
    let mut push = |message: String, change: &dyn Fn(&mut Query)| {
        let mut mutant = plan.clone();
        change(&mut mutant.query);
        found.push(Mutant {
            plan: mutant,
            diagnostic: Diagnostic::new(&codes::MUTANT_SURVIVES, Span::default(), message),
            is_value: false,
        });
    };
    match &plan.query {
        Query::FirstSeen(first) if first.fields.len() > 1 => {
            for (position, field) in first.fields.iter().enumerate() {
                let message = format!("no test needs the field `{}` of the new terms", field.name);
                push(message, &|query| {
                    if let Query::FirstSeen(first) = query {
                        first.fields.remove(position);
                    }
                });
            }
        }
        Query::Aggregate(aggregate) => {
            // So many different values need at least as many events: a threshold up to their number asks nothing more.
            let values = aggregate
                .distinct
                .as_ref()
                .map_or(0, |distinct| distinct.at_least);
            let asks = |least: &u64| aggregate.at_least.max(*least) > values;
            for least in beside(aggregate.at_least).into_iter().filter(asks) {
                let message = moved("the threshold", aggregate.at_least, least);
                push(message, &|query| {
                    if let Query::Aggregate(aggregate) = query {
                        aggregate.at_least = least;
                    }
                });
            }
            let distinct = aggregate.distinct.iter();
            for (distinct, least) in distinct.flat_map(|distinct| {
                beside(distinct.at_least)
                    .into_iter()
                    .map(move |least| (distinct, least))
            }) {
                let what = format!("the number of values of `{}`", distinct.field.name);
                push(moved(&what, distinct.at_least, least), &|query| {
                    if let Query::Aggregate(aggregate) = query
                        && let Some(distinct) = &mut aggregate.distinct
                    {
                        distinct.at_least = least;
                    }
                });
            }
        }
        Query::Correlation(correlation) => {
            if let Asked::Number {
                measure: Measure::Count | Measure::Distinct,
                bounds,
                ..
            } = &correlation.asked
            {
                for (position, bound) in bounds.iter().enumerate() {
                    for by in [-1.0, 1.0] {
                        let (Some(number), Some(changed)) = (number_of(*bound), shifted(*bound, by)) else {
                            continue;
                        };
                        let message = moved("the bound", number, number + by);
                        push(message, &|query| {
                            if let Query::Correlation(correlation) = query
                                && let Asked::Number { bounds, .. } = &mut correlation.asked
                                && let Some(bound) = bounds.get_mut(position)
                            {
                                *bound = changed;
                            }
                        });
                    }
                }
            }
        }
        _ => {}
    }
    found
}

fn moved(what: &str, from: impl std::fmt::Display, to: impl std::fmt::Display) -> String {
    format!("no test notices that {what} is {to} instead of {from}")
}

/// The numbers beside a limit. One that is 0 or 1 cannot be lower.
fn beside(limit: u64) -> Vec<u64> {
    match limit {
        0 | 1 => vec![limit.saturating_add(1)],
        _ => vec![limit - 1, limit.saturating_add(1)],
    }
}

fn number_of(bound: Bound) -> Option<f64> {
    match bound {
        Bound::Less(number)
        | Bound::LessOrEqual(number)
        | Bound::Greater(number)
        | Bound::GreaterOrEqual(number) => Some(number),
        Bound::Equal(_) | Bound::NotEqual(_) => None,
    }
}

fn shifted(bound: Bound, by: f64) -> Option<Bound> {
    Some(match bound {
        Bound::Less(number) => Bound::Less(number + by),
        Bound::LessOrEqual(number) => Bound::LessOrEqual(number + by),
        Bound::Greater(number) => Bound::Greater(number + by),
        Bound::GreaterOrEqual(number) => Bound::GreaterOrEqual(number + by),
        Bound::Equal(_) | Bound::NotEqual(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::mutants;

    /// What is said of each mutant of a rule, with the text of its query that it is about.
    fn said(kind: &str, query: &str, more: &str) -> Vec<String> {
        let language = if kind == "eql" { "eql" } else { "kuery" };
        let text = format!(
            "[rule]\nrule_id = \"0b3d8a6e-6d0f-4c35-9a7c-3c1f0e3f5a11\"\nname = \"n\"\ndescription = \"d\"\ntype = \"{kind}\"\nseverity = \"low\"\nrisk_score = 21\nindex = [\"logs-x-*\"]\nlanguage = \"{language}\"\nquery = '{query}'\n{more}"
        );
        let set = crate::load_text(Path::new("a.toml"), text);
        let plan = set.rules.first().and_then(|rule| rule.plan.as_ref()).unwrap();
        mutants(plan)
            .into_iter()
            .map(|mutant| {
                let at = mutant.diagnostic.span.text(query);
                format!("{} @ {at}", mutant.diagnostic.message)
            })
            .collect()
    }

    #[test]
    fn every_condition_and_every_value_is_taken_out_once() {
        assert_eq!(
            said(
                "eql",
                r#"process where process.name in ("a", "b") and not user.name == "c""#,
                ""
            ),
            [
                "no test needs this condition @ process",
                "no test needs this condition @ process.name in (\"a\", \"b\")",
                "no test needs the value `a` @ process.name in (\"a\", \"b\")",
                "no test needs the value `b` @ process.name in (\"a\", \"b\")",
                "no test needs this condition @ user.name == \"c\"",
            ]
        );
        assert_eq!(
            said("query", "event.action: x or (user.name: y and host.name: z)", ""),
            [
                "no test needs this condition @ event.action: x or (user.name: y and host.name: z",
                "no test needs this alternative @ event.action: x",
                "no test needs this alternative @ user.name: y and host.name: z",
                "no test needs this condition @ user.name: y",
                "no test needs this condition @ host.name: z",
            ]
        );
    }

    #[test]
    fn limits_and_terms_are_moved() {
        let threshold = "[rule.threshold]\nfield = [\"user.name\"]\nvalue = 3\n[[rule.threshold.cardinality]]\nfield = \"host.name\"\nvalue = 2\n";
        assert_eq!(
            said("threshold", "event.action: x", threshold),
            [
                "no test needs this condition @ event.action: x",
                "no test notices that the threshold is 2 instead of 3 @ ",
                "no test notices that the threshold is 4 instead of 3 @ ",
                "no test notices that the number of values of `host.name` is 1 instead of 2 @ ",
                "no test notices that the number of values of `host.name` is 3 instead of 2 @ ",
            ]
        );
        let terms = "[rule.new_terms]\nfield = \"new_terms_fields\"\nvalue = [\"user.name\", \"host.name\"]\n[[rule.new_terms.history_window_start]]\nfield = \"history_window_start\"\nvalue = \"now-7d\"\n";
        assert_eq!(
            said("new_terms", "event.action: x", terms),
            [
                "no test needs this condition @ event.action: x",
                "no test needs the field `user.name` of the new terms @ ",
                "no test needs the field `host.name` of the new terms @ ",
            ]
        );
    }
}
