//! Index patterns: which events a rule looks at.
//!
//! In Elasticsearch the patterns of `index` choose the indices that a rule reads. Here an event need not lie in an index,
//! so the patterns are a scope that applies as far as an event says where it belongs:
//!
//! 1. An event with `_index` takes part when a pattern matches it. Names of backing indices
//!    (`.ds-logs-aws.cloudtrail-default-2026.01.31-000001`) count as their data stream, and a remote cluster's name before
//!    a colon is passed over.
//! 2. Otherwise an event with `data_stream.dataset` takes part when a pattern could name a data stream of that dataset
//!    (<https://www.elastic.co/docs/reference/ecs/ecs-data_stream>: `TYPE-DATASET-NAMESPACE`). The type and the namespace
//!    are not compared.
//! 3. An event with neither always takes part.
//!
//! A pattern with a minus in front takes out what it matches, whatever stands before or behind it. A rule without
//! patterns looks at everything.
//!
//! The scope becomes part of the plan's conditions, so an event outside it is no step of a sequence either.

use neph_diag::Span;
use neph_event::{Field, FieldType};
use neph_plan::{Case, Condition, FieldId, Leaf, Pattern, PatternPart, Plan, Test};

/// Types of data streams; a pattern that begins with another word names no data stream.
const STREAM_TYPES: [&str; 5] = ["logs", "metrics", "traces", "synthetics", "profiling"];

/// The scope that index patterns describe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexScope {
    index: Vec<Pattern>,
    index_out: Vec<Pattern>,
    dataset: Vec<Pattern>,
    dataset_out: Vec<Pattern>,
}

impl IndexScope {
    /// The fields that tell where an event belongs.
    const FIELDS: [&'static str; 2] = ["_index", "data_stream.dataset"];

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
        let [index, dataset] = Self::FIELDS.map(|path| field(plan, path));
        let scope = self.condition(index, dataset);
        let restrict = |condition: &mut Condition| {
            let own = std::mem::replace(condition, Condition::Const(false));
            *condition = Condition::And(vec![own, scope.clone()]);
        };
        plan.query.conditions_mut().into_iter().for_each(restrict);
    }

    fn condition(&self, index: FieldId, dataset: FieldId) -> Condition {
        let exists = |field| leaf(Test::Exists(field));
        let not = |condition| Condition::Not(Box::new(condition));
        Condition::Or(vec![
            within(index, &self.index, &self.index_out),
            Condition::And(vec![
                not(exists(index)),
                within(dataset, &self.dataset, &self.dataset_out),
            ]),
            not(Condition::Or(vec![exists(index), exists(dataset)])),
        ])
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
        .position(|known| *known == field)
        .unwrap_or_else(|| {
            plan.fields.push(field);
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
