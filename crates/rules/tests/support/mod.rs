//! Runs rules over events in memory, as the pipeline does with files.

use std::sync::Arc;

use neph_engine::{Match, Matcher, OperatorConfig, Operators, Origin, Outcome, Program, Record};
use neph_rules::Rule;

/// The matches of all rules over the events, in the order in which the engine tells them; `index` is where they are
/// said to come from.
pub(crate) fn matches<T: AsRef<str>>(rules: &[Arc<Rule>], events: &[T], index: Option<&str>) -> Vec<Match> {
    let plans: Vec<_> = rules
        .iter()
        .map(|rule| rule.plan.as_ref().expect("a rule that runs has a plan"))
        .collect();
    let (program, errors) = Program::compile(plans.iter().copied());
    assert!(errors.is_empty(), "{errors:?}");
    let mut operators = Operators::new(&plans, &OperatorConfig::default());
    let mut matcher = Matcher::new(Arc::new(program));
    let mut told = Vec::new();
    for (position, event) in (0_u64..).zip(events) {
        let document = event.as_ref().as_bytes();
        matcher.read(document).expect("an event is JSON");
        let origin = Origin {
            source: "events".into(),
            line: position + 1,
        };
        let record = Record {
            document,
            id: None,
            index,
            position,
            origin: &origin,
        };
        let mut steps = Vec::new();
        matcher.matches(&record, |step| steps.push(step));
        for step in steps {
            operators.push(step, &mut told);
        }
    }
    operators.finish(&mut told);
    told.into_iter()
        .map(|outcome| match outcome {
            Outcome::Found(found) | Outcome::Retracted(found) => found,
        })
        .collect()
}
