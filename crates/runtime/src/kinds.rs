//! What rules can find in records of certain kinds, judged before a record is there.
//!
//! A kind tells the values of some fields, and which other fields there may be. A condition is held against that with three answers:
//! it never holds, it may, or it always does. What is not understood may hold, so a rule is never said to be blind that is not.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use neph_event::{ANY_FIELD, Value};
use neph_plan::pattern::Matcher;
use neph_plan::{
    Asked, Candidates, Case, Condition, Correlation, FieldId, Key, Pattern, PatternPart, Plan, Query,
    RegexDialect, Test, regex,
};

/// Records of a kind, as far as they are known before one is there.
#[derive(Clone, Debug, Default)]
pub struct RecordKind {
    /// Fields whose values are known; all of them are there.
    pub values: Vec<(String, Vec<String>)>,
    /// What else there may be: fields, and what lies below them.
    pub has: Vec<String>,
    /// What of that there is not: fields, and what lies below them.
    pub lacks: Vec<String>,
}

/// Whether something holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holds {
    /// Not of any record of the kind.
    Never,
    /// Of some, as far as is known.
    Maybe,
    /// Of every one.
    Always,
}

/// The texts that a field must have for a rule to find something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Texts {
    /// Any: the rule does not ask.
    Any,
    /// One that fits one of these; `*` stands for anything.
    OneOf(BTreeSet<String>),
}

impl Holds {
    fn not(self) -> Self {
        match self {
            Self::Never => Self::Always,
            Self::Maybe => Self::Maybe,
            Self::Always => Self::Never,
        }
    }
}

impl RecordKind {
    /// Whether a field has a value.
    fn exists(&self, field: FieldId, plan: &Plan) -> Holds {
        match self.value(field, plan) {
            Found::Known(_) => Holds::Always,
            Found::Unknown => Holds::Maybe,
            Found::Absent => Holds::Never,
        }
    }

    fn value(&self, field: FieldId, plan: &Plan) -> Found<'_> {
        let Some(path) = plan.field(field).map(|field| &*field.path) else {
            return Found::Absent;
        };
        if path == ANY_FIELD {
            return Found::Unknown;
        }
        // `process.name.text` and the like are the same value.
        let named = |name: &str| path == name || path.strip_suffix(".text") == Some(name);
        if let Some((_, values)) = self.values.iter().find(|(name, _)| named(name)) {
            return Found::Known(values);
        }
        let within = |names: &[String]| {
            names.iter().any(|name| {
                path.strip_prefix(name.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        };
        if within(&self.has) && !within(&self.lacks) {
            Found::Unknown
        } else {
            Found::Absent
        }
    }
}

/// Kinds of records, to judge rules by.
#[derive(Debug, Default)]
pub struct Kinds {
    kinds: Vec<RecordKind>,
    /// Many rules have the same expressions, which take long to compile.
    compiled: RefCell<BTreeMap<Expressions, Option<regex::Regex>>>,
}

type Expressions = (Arc<[Box<str>]>, RegexDialect, Case);

impl Kinds {
    /// These.
    pub fn new(kinds: Vec<RecordKind>) -> Self {
        Self {
            kinds,
            compiled: RefCell::default(),
        }
    }

    /// Whether a rule can find something in records of these kinds.
    pub fn can_find(&self, plan: &Plan) -> bool {
        let some = |condition: &Condition, keys: &mut dyn Iterator<Item = &Key>| {
            let keys: Vec<FieldId> = keys
                .filter(|key| !key.optional)
                .filter_map(|key| key.field)
                .collect();
            self.kinds.iter().any(|kind| {
                self.holds(kind, condition, plan) != Holds::Never
                    && keys.iter().all(|key| kind.exists(*key, plan) != Holds::Never)
            })
        };
        match &plan.query {
            Query::Events(events) => some(&events.condition, &mut [].iter()),
            Query::Sequence(sequence) => {
                let mut stages = sequence.stages.iter().filter(|stage| !stage.missing);
                stages.all(|stage| some(&stage.condition, &mut stage.keys.iter()))
            }
            Query::Sample(sample) => {
                let mut stages = sample.stages.iter();
                stages.all(|stage| some(&stage.condition, &mut stage.keys.iter()))
            }
            Query::FirstSeen(first) => some(&first.condition, &mut first.fields.iter()),
            Query::Aggregate(aggregate) => some(&aggregate.condition, &mut aggregate.group.iter()),
            Query::Correlation(correlation) => {
                comes(correlation, &|condition| some(condition, &mut [].iter()))
            }
        }
    }

    /// Which texts a field must have for a rule to find something that only records of these kinds show, and none of `others`. Of several
    /// texts that all must fit, those are told that `good` likes, else the fewest.
    pub fn texts_of(
        &self,
        others: &Self,
        plan: &Plan,
        field: &str,
        good: &dyn Fn(&str) -> bool,
    ) -> Vec<Texts> {
        let mut found = Vec::new();
        for condition in plan.query.conditions() {
            if others
                .kinds
                .iter()
                .any(|kind| others.holds(kind, condition, plan) != Holds::Never)
            {
                continue;
            }
            let can = |kind: &&RecordKind| self.holds(kind, condition, plan) != Holds::Never;
            for texts in self
                .kinds
                .iter()
                .filter(can)
                .map(|kind| self.texts(kind, condition, plan, field, good))
            {
                if !found.contains(&texts) {
                    found.push(texts);
                }
            }
        }
        found
    }

    /// Whether a condition of a plan holds.
    fn holds(&self, kind: &RecordKind, condition: &Condition, plan: &Plan) -> Holds {
        match condition {
            Condition::Const(truth) => {
                if *truth {
                    Holds::Always
                } else {
                    Holds::Never
                }
            }
            Condition::And(parts) => parts
                .iter()
                .map(|part| self.holds(kind, part, plan))
                .min()
                .unwrap_or(Holds::Always),
            Condition::Or(parts) => parts
                .iter()
                .map(|part| self.holds(kind, part, plan))
                .max()
                .unwrap_or(Holds::Never),
            Condition::Not(part) => self.holds(kind, part, plan).not(),
            Condition::Leaf(leaf) => self.passes(kind, &leaf.test, plan),
        }
    }

    fn passes(&self, kind: &RecordKind, test: &Test, plan: &Plan) -> Holds {
        let Some(field) = test.field() else {
            return Holds::Maybe;
        };
        let values = match kind.value(field, plan) {
            Found::Absent => return Holds::Never,
            Found::Unknown => return Holds::Maybe,
            Found::Known(values) => values,
        };
        let any = |passes: &dyn Fn(&str) -> bool| {
            if values.iter().any(|value| passes(value)) {
                Holds::Always
            } else {
                Holds::Never
            }
        };
        let fits = |patterns: &[Pattern], case: Case| {
            let patterns: Vec<Matcher> = patterns
                .iter()
                .map(|pattern| Matcher::new(pattern, case))
                .collect();
            any(&|value| patterns.iter().any(|pattern| pattern.is_match(value)))
        };
        match test {
            Test::Exists(_) => Holds::Always,
            Test::Like(_, patterns, case) => fits(patterns, *case),
            Test::Regex(_, patterns, dialect, case) => {
                let mut compiled = self.compiled.borrow_mut();
                let known = compiled.entry((Arc::clone(patterns), *dialect, *case));
                match known.or_insert_with(|| regex::compile(patterns, *dialect, *case).ok()) {
                    Some(regex) => any(&|value| regex.is_match(value)),
                    None => Holds::Maybe,
                }
            }
            other => match patterns(other) {
                Some((patterns, case)) => fits(&patterns, case),
                None => Holds::Maybe,
            },
        }
    }

    /// Which texts a field must have for a condition to hold. Of several that all must fit, those are told that `good` likes, else the fewest.
    fn texts(
        &self,
        kind: &RecordKind,
        condition: &Condition,
        plan: &Plan,
        field: &str,
        good: &dyn Fn(&str) -> bool,
    ) -> Texts {
        match condition {
            Condition::Const(_) | Condition::Not(_) => Texts::Any,
            Condition::And(parts) => {
                let asked = parts
                    .iter()
                    .filter_map(|part| match self.texts(kind, part, plan, field, good) {
                        Texts::Any => None,
                        Texts::OneOf(texts) => Some(texts),
                    });
                let rank = |texts: &BTreeSet<String>| (!texts.iter().all(|text| good(text)), texts.len());
                asked.min_by_key(rank).map_or(Texts::Any, Texts::OneOf)
            }
            Condition::Or(parts) => {
                let mut all = BTreeSet::new();
                for part in parts
                    .iter()
                    .filter(|part| self.holds(kind, part, plan) != Holds::Never)
                {
                    match self.texts(kind, part, plan, field, good) {
                        Texts::Any => return Texts::Any,
                        Texts::OneOf(texts) => all.extend(texts),
                    }
                }
                Texts::OneOf(all)
            }
            Condition::Leaf(leaf) => {
                let is_of_it = leaf
                    .test
                    .field()
                    .and_then(|of| plan.field(of))
                    .is_some_and(|of| &*of.path == field);
                match &leaf.test {
                    _ if !is_of_it => Texts::Any,
                    test => patterns(test).map_or(Texts::Any, |(patterns, _)| {
                        Texts::OneOf(patterns.iter().map(written).collect())
                    }),
                }
            }
        }
    }
}

/// What is known of a field's values.
enum Found<'a> {
    Known(&'a [String]),
    Unknown,
    Absent,
}

/// The patterns of which one must fit for a test to pass; `None` where the test is none of texts.
fn patterns(test: &Test) -> Option<(Vec<Pattern>, Case)> {
    let around = |before: bool, texts: &[Box<str>], behind: bool| -> Vec<Pattern> {
        let any = |wanted: bool| wanted.then_some(PatternPart::Any);
        texts
            .iter()
            .map(|text| {
                let literal = Some(PatternPart::Literal(text.clone()));
                Pattern {
                    parts: any(before)
                        .into_iter()
                        .chain(literal)
                        .chain(any(behind))
                        .collect(),
                }
            })
            .collect()
    };
    match test {
        Test::Equals(_, values, case) => {
            let texts = values.iter().map(|value| match value {
                Value::String(text) => Some(Pattern::literal(text)),
                _ => None,
            });
            Some((texts.collect::<Option<_>>()?, *case))
        }
        Test::Like(_, patterns, case) => Some((patterns.to_vec(), *case)),
        Test::StartsWith(_, texts, case) => Some((around(false, texts, true), *case)),
        Test::EndsWith(_, texts, case) => Some((around(true, texts, false), *case)),
        Test::Contains(_, texts, case) => Some((around(true, texts, true), *case)),
        _ => None,
    }
}

/// A pattern in one text; what stands for one character stands for any there.
fn written(pattern: &Pattern) -> String {
    let mut text = String::new();
    for part in &pattern.parts {
        match part {
            PatternPart::Literal(literal) => text.push_str(literal),
            PatternPart::One | PatternPart::Any if text.ends_with('*') => {}
            PatternPart::One | PatternPart::Any => text.push('*'),
        }
    }
    text
}

/// Whether what a correlation asks for can come together.
fn comes(correlation: &Correlation, some: &dyn Fn(&Condition) -> bool) -> bool {
    let sources: Vec<bool> = correlation
        .sources
        .iter()
        .map(|source| match &source.candidates {
            Candidates::Events(events) => some(&events.condition),
            Candidates::Matches(inner) => comes(inner, some),
        })
        .collect();
    match &correlation.asked {
        Asked::Number { .. } => sources.contains(&true),
        Asked::Together { alternatives, .. } => alternatives.iter().any(|alternative| {
            let mut present = alternative.present.iter();
            present.all(|source| sources.get(usize::from(*source)) == Some(&true))
        }),
    }
}

#[cfg(test)]
mod tests;
