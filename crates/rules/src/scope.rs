//! Index patterns: which events a rule looks at.
//!
//! In Elasticsearch the patterns of `index` choose the indices that a rule reads. Here an event need not lie in an index, and
//! senders write to indices of any name, so the patterns are a scope that applies as far as names say what is in them:
//!
//! 1. An event with `_index` takes part when a pattern matches it. Names of backing indices
//!    (`.ds-logs-aws.cloudtrail-default-2026.01.31-000001`) count as their data stream, and a remote cluster's name before
//!    a colon is passed over. One whose index says something else than the patterns takes no part.
//! 2. Otherwise an event with `data_stream.dataset` takes part when a pattern could name a data stream of that dataset
//!    (<https://www.elastic.co/docs/reference/ecs/ecs-data_stream>: `TYPE-DATASET-NAMESPACE`). The type and the namespace
//!    are not compared. One whose dataset says something else takes no part.
//! 3. Every other event takes part: the rule's query decides.
//!
//! What says something: indices and datasets of integrations (`logs-aws.cloudtrail-default`) do. Names of shippers
//! (`filebeat-8.15.0`) do for rules that have patterns of shippers too, and unless the event was made here of a raw record
//! (`_made`), about which the shipper knew nothing. Names that nobody agreed on (`logs-mine`, `generic`) do not, or else a
//! sender's choice of a name would switch off detection; but where a rule has a pattern of such a name itself (`logs-mine*`),
//! its author knows the names, and all names count.
//!
//! A pattern with a minus in front takes out what it matches, whatever stands before or behind it. A rule without
//! patterns looks at everything.
//!
//! The scope becomes part of the plan's conditions, so an event outside it is no step of a sequence either. It follows from the
//! rule and the event alone: no other rule, and no order of loading, changes what a rule looks at.

mod known;

use std::sync::Arc;

use neph_diag::Span;
use neph_event::{Field, FieldType};
use neph_plan::pattern::Matcher;
use neph_plan::{Case, Condition, FieldId, Leaf, Pattern, PatternPart, Plan, RegexDialect, Test};

use self::known::{CONTENTS, CONTENTS_AND_SHIPPERS, DATASETS, Names, STREAM_TYPES, Speaks, speaks};

/// The scope that index patterns describe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexScope {
    index: Vec<Pattern>,
    index_out: Vec<Pattern>,
    dataset: Vec<Pattern>,
    dataset_out: Vec<Pattern>,
    /// Whether a pattern is of a shipper.
    of_shippers: bool,
    /// Whether a pattern is of a name that its author knows.
    of_others: bool,
}

/// Where an event says that it belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Belongs<'a> {
    /// `_index`.
    pub index: Option<&'a str>,
    /// `data_stream.dataset`.
    pub dataset: Option<&'a str>,
    /// Whether it was made of a raw record.
    pub is_made: bool,
}

/// Why a rule looks at events, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// A pattern names where they belong.
    Named,
    /// They do not say where they belong, or the rule has no patterns: its query decides.
    ByContent,
    /// They belong elsewhere.
    LeftOut,
}

impl Belongs<'_> {
    /// Whether the names say what the events are.
    pub fn is_known(&self) -> bool {
        self.index.is_some_and(|index| CONTENTS_AND_SHIPPERS.has(index))
            || self.dataset.is_some_and(|dataset| DATASETS.has(dataset))
    }
}

impl IndexScope {
    /// The fields that tell where an event belongs.
    const FIELDS: [&'static str; 3] = ["_index", "data_stream.dataset", "_made"];

    /// The scope of a rule's patterns.
    pub fn new(patterns: &[String]) -> Self {
        let mut scope = Self::default();
        for written in patterns {
            let (out, pattern) = match written.strip_prefix('-') {
                Some(rest) => (true, rest),
                None => (false, written.as_str()),
            };
            let local = pattern.rsplit_once(':').map_or(pattern, |(_, local)| local);
            if local.is_empty() {
                continue;
            }
            let (index, dataset) = match out {
                true => (&mut scope.index_out, &mut scope.dataset_out),
                false => (&mut scope.index, &mut scope.dataset),
            };
            if !out {
                match speaks(local) {
                    Speaks::Contents => {}
                    Speaks::Shippers => scope.of_shippers = true,
                    Speaks::Others => scope.of_others = true,
                }
            }
            let names = [
                local.to_owned(),
                format!("*:{local}"),
                format!(".ds-{local}-*"),
                format!("*:.ds-{local}-*"),
            ];
            index.extend(names.iter().map(|name| Pattern::unescaped(name)));
            dataset.extend(dataset_pattern(local).map(|name| Pattern::unescaped(&name)));
        }
        scope
    }

    /// Whether every event takes part.
    pub fn is_everything(&self) -> bool {
        let all = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.parts == [PatternPart::Any]);
        self.index_out.is_empty() && (self.index.is_empty() || all(&self.index))
    }

    /// Restricts every stage of a plan to events in this scope.
    pub fn restrict(&self, plan: &mut Plan) {
        if self.is_everything() {
            return;
        }
        let fields = Self::FIELDS.map(|path| field(plan, path));
        let scope = self.condition(fields);
        let restrict = |condition: &mut Condition| {
            let own = std::mem::replace(condition, Condition::Const(false));
            *condition = Condition::And(vec![own, scope.clone()]);
        };
        plan.query.conditions_mut().into_iter().for_each(restrict);
    }

    /// The plan without what [`Self::restrict`] made of it: the rule's own query.
    pub fn release(&self, plan: &mut Plan) {
        if self.is_everything() {
            return;
        }
        for condition in plan.query.conditions_mut() {
            if let Condition::And(parts) = condition
                && !parts.is_empty()
            {
                *condition = parts.swap_remove(0);
            }
        }
    }

    fn condition(&self, [index, dataset, made]: [FieldId; 3]) -> Condition {
        let not = |condition| Condition::Not(Box::new(condition));
        let any = |field: FieldId, patterns: &[Pattern]| match patterns {
            [] => Condition::Const(false),
            patterns => leaf(Test::Like(field, patterns.into(), Case::Sensitive)),
        };
        let exists = |field| leaf(Test::Exists(field));
        let is_of = |field, names: &Names| {
            let pattern = Arc::clone(&names.pattern);
            leaf(Test::Regex(field, pattern, RegexDialect::Lucene, Case::Sensitive))
        };
        let (index_says, dataset_says) = match (self.of_others, self.of_shippers) {
            (true, _) => (exists(index), exists(dataset)),
            (false, false) => (is_of(index, &CONTENTS), is_of(dataset, &DATASETS)),
            (false, true) => {
                let as_sent = vec![is_of(index, &CONTENTS_AND_SHIPPERS), not(exists(made))];
                let says = vec![is_of(index, &CONTENTS), Condition::And(as_sent)];
                (Condition::Or(says), is_of(dataset, &DATASETS))
            }
        };
        let elsewhere =
            |says, field, outside: &[Pattern]| Condition::any(vec![says, any(field, outside)]).negated();
        Condition::Or(vec![
            within(index, &self.index, &self.index_out),
            Condition::And(vec![
                elsewhere(index_says, index, &self.index_out),
                Condition::Or(vec![
                    within(dataset, &self.dataset, &self.dataset_out),
                    elsewhere(dataset_says, dataset, &self.dataset_out),
                ]),
            ]),
        ])
    }

    /// Whether the rule looks at events that belong there: what [`Self::restrict`] makes its plan do.
    pub fn look(&self, belongs: &Belongs<'_>) -> Look {
        if self.is_everything() {
            return Look::ByContent;
        }
        let matches = |patterns: &[Pattern], name: &str| {
            let mut patterns = patterns.iter();
            patterns.any(|pattern| Matcher::new(pattern, Case::Sensitive).is_match(name))
        };
        let parts = [
            (belongs.index, &self.index, &self.index_out),
            (belongs.dataset, &self.dataset, &self.dataset_out),
        ];
        for (at, (name, inside, outside)) in parts.into_iter().enumerate() {
            let Some(name) = name else { continue };
            let is_out = matches(outside, name);
            let is_in = matches(inside, name) || (inside.is_empty() && !outside.is_empty());
            if is_in && !is_out {
                return Look::Named;
            }
            let says = match (at, self.of_others) {
                (_, true) => true,
                (0, _) if self.of_shippers && !belongs.is_made => CONTENTS_AND_SHIPPERS.has(name),
                (0, _) => CONTENTS.has(name),
                _ => DATASETS.has(name),
            };
            if says || is_out {
                return Look::LeftOut;
            }
        }
        Look::ByContent
    }
}

/// The field's value matches one pattern of `inside` (any value, where only exclusions are given) and none of `outside`.
fn within(field: FieldId, inside: &[Pattern], outside: &[Pattern]) -> Condition {
    let matches = |patterns: &[Pattern]| leaf(Test::Like(field, patterns.into(), Case::Sensitive));
    let inside = match (inside, outside) {
        ([], []) => Condition::Const(false),
        ([], _) => leaf(Test::Exists(field)),
        (inside, _) => matches(inside),
    };
    match outside {
        [] => inside,
        outside => Condition::And(vec![inside, Condition::Not(Box::new(matches(outside)))]),
    }
}

/// The test's text is in no query, so its span is empty.
fn leaf(test: Test) -> Condition {
    Condition::Leaf(Leaf {
        test,
        span: Span::default(),
    })
}

fn field(plan: &mut Plan, path: &str) -> FieldId {
    let field = Field::new(path, FieldType::Keyword);
    let position = plan
        .fields
        .iter()
        .position(|known| **known == field)
        .unwrap_or_else(|| {
            plan.fields.push(field.into());
            plan.fields.len() - 1
        });
    FieldId(u32::try_from(position).unwrap_or(u32::MAX))
}

/// The pattern of the datasets whose data streams an index pattern can match; `None` where it can match no data stream.
fn dataset_pattern(pattern: &str) -> Option<String> {
    if !pattern.contains('-') {
        // One word: only a wildcard in it can reach over the hyphens of a data stream's name.
        let known = STREAM_TYPES.iter().any(|kind| {
            pattern
                .strip_suffix('*')
                .is_some_and(|head| kind.starts_with(head))
        });
        return known.then(|| "*".to_owned());
    }
    let (kind, rest) = pattern.split_once('-')?;
    if !kind.contains('*') && !STREAM_TYPES.contains(&kind) {
        return None;
    }
    if kind.contains('*') && !STREAM_TYPES.iter().any(|known| could_be(kind, known)) {
        return None;
    }
    // Datasets hold no hyphen, so what stands behind the next one is the namespace.
    let dataset = rest.split_once('-').map_or(rest, |(dataset, _)| dataset);
    Some(dataset.to_owned())
}

/// Whether a wildcard pattern's fixed beginning fits a word.
fn could_be(pattern: &str, word: &str) -> bool {
    let head = pattern.split('*').next().unwrap_or("");
    word.starts_with(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datasets_of_patterns() {
        for (pattern, dataset) in [
            ("logs-endpoint.events.process-*", Some("endpoint.events.process")),
            ("logs-endpoint.events.process*", Some("endpoint.events.process*")),
            ("logs-endpoint.events.*", Some("endpoint.events.*")),
            ("logs-aws.cloudtrail-prod", Some("aws.cloudtrail")),
            ("logs-*", Some("*")),
            ("logs*", Some("*")),
            ("*", Some("*")),
            ("metrics-system.cpu-default", Some("system.cpu")),
            ("winlogbeat-*", None),
            ("auditbeat-*", None),
            ("endgame-*", None),
            (".alerts-security.*", None),
            ("apm-*-transaction*", None),
            ("filebeat*", None),
        ] {
            assert_eq!(dataset_pattern(pattern).as_deref(), dataset, "{pattern}");
        }
    }

    #[test]
    fn no_patterns_and_a_star_are_everything() {
        assert!(IndexScope::new(&[]).is_everything());
        assert!(IndexScope::new(&["*".into(), "logs-x-*".into()]).is_everything());
        assert!(!IndexScope::new(&["logs-*".into()]).is_everything());
        assert!(!IndexScope::new(&["*".into(), "-logs-x-*".into()]).is_everything());
    }
}
