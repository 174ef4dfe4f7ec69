//! Why a rule did not match: for each of its steps the event that came closest, and the tests that it failed.

use neph_engine::{Explainer, Why, WhyNode, WhyTest};
use neph_plan::{Query, Stage};

use super::why::shown;
use crate::rule::Rule;

/// How a step of a rule fared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepFared {
    /// The step, counted from 0; the one that ends a sequence (`until`) comes last and is left out.
    pub step: u16,
    /// Positions of the documents that satisfy it.
    pub satisfied_by: Vec<usize>,
    /// Where none does: the position of the one that came closest, and the tests that it failed.
    pub nearest: Option<(usize, Vec<FailedTest>)>,
}

/// A test that an event failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedTest {
    /// The test's text in the query.
    pub test: String,
    /// Whether it stands below a `not`, so that it holds and should not.
    pub is_negated: bool,
    /// Fields that it looked at with a value of theirs; none where the event has none.
    pub values: Vec<(String, Option<String>)>,
}

/// How each step of a rule fared with these documents. Empty for a rule that cannot run.
pub fn steps_fared(rule: &Rule, documents: &[&[u8]]) -> Vec<StepFared> {
    let Some(plan) = &rule.plan else { return Vec::new() };
    let Ok(mut explainer) = Explainer::new(plan) else {
        return Vec::new();
    };
    (0..number_of_steps(&plan.query))
        .map(|step| {
            let mut fared = StepFared {
                step,
                satisfied_by: Vec::new(),
                nearest: None,
            };
            let mut best = (usize::MAX, 0);
            for (position, document) in documents.iter().enumerate() {
                let Ok(Some(explanation)) = explainer.explain(step, document) else {
                    continue;
                };
                let why = &explanation.why;
                if why.holds {
                    fared.satisfied_by.push(position);
                    continue;
                }
                // The fewest tests failed, and of equals the most that hold.
                let mut failed = Vec::new();
                collect_failed(why, false, rule, &mut failed);
                let holding = usize::MAX - tests_that_hold(why);
                if fared.nearest.is_none() || (failed.len(), holding) < best {
                    best = (failed.len(), holding);
                    fared.nearest = Some((position, failed));
                }
            }
            if !fared.satisfied_by.is_empty() {
                fared.nearest = None;
            }
            fared
        })
        .collect()
}

/// The steps of a query that an event can satisfy, without `until` and without steps that must be missing.
fn number_of_steps(query: &Query) -> u16 {
    let stages = |stages: &[Stage]| u16::try_from(stages.len()).unwrap_or(u16::MAX);
    match query {
        Query::Sequence(sequence) => stages(&sequence.stages),
        Query::Sample(sample) => stages(&sample.stages),
        Query::Events(_) | Query::FirstSeen(_) | Query::Aggregate(_) => 1,
        Query::Correlation(correlation) => u16::try_from(correlation.events().len()).unwrap_or(u16::MAX),
    }
}

/// The tests that make a part false, or true below a `not`. Of alternatives only the one that lacks least is told.
fn collect_failed(why: &Why, is_negated: bool, rule: &Rule, out: &mut Vec<FailedTest>) {
    match &why.node {
        WhyNode::Constant => {}
        WhyNode::Not(inner) => collect_failed(inner, !is_negated, rule, out),
        WhyNode::Test(test) => {
            let failed = failed_test(test, is_negated, rule);
            if !out.contains(&failed) {
                out.push(failed);
            }
        }
        WhyNode::All(parts) | WhyNode::Any(parts) => {
            let all_count = matches!(why.node, WhyNode::All(_)) != why.holds;
            let deciding = parts.iter().filter(|part| part.holds == why.holds);
            if all_count {
                deciding.for_each(|part| collect_failed(part, is_negated, rule, out));
                return;
            }
            let least = deciding
                .map(|part| {
                    let mut failed = Vec::new();
                    collect_failed(part, is_negated, rule, &mut failed);
                    failed
                })
                .min_by_key(Vec::len);
            out.extend(least.unwrap_or_default());
        }
    }
}

fn tests_that_hold(why: &Why) -> usize {
    match &why.node {
        WhyNode::Constant => 0,
        WhyNode::Not(inner) => usize::from(why.holds && matches!(inner.node, WhyNode::Test(_))),
        WhyNode::Test(_) => usize::from(why.holds),
        WhyNode::All(parts) | WhyNode::Any(parts) => parts.iter().map(tests_that_hold).sum(),
    }
}

fn failed_test(test: &WhyTest, is_negated: bool, rule: &Rule) -> FailedTest {
    let text = shown(rule, test.span.text(&rule.query));
    FailedTest {
        test: if text.is_empty() {
            "the rule's scope (`index` or log source)".to_owned()
        } else {
            text
        },
        is_negated,
        values: test
            .findings
            .iter()
            .map(|finding| {
                (
                    finding.field.to_string(),
                    finding.value.as_ref().map(ToString::to_string),
                )
            })
            .collect(),
    }
}
