//! Step matches made by hand, for tests of the operators.

use std::sync::{Arc, LazyLock};

use neph_engine::{Event, Ordinal, Origin, RuleIndex, StepMatch};
use neph_event::{EventId, Instant, Value};
use neph_plan::{Plan, Query, Sequence};

use crate::plans::{plan, stage};

/// A sequence written like `A !B C*2 until U`: a step that must not happen, a step with runs, and an end.
pub(crate) fn sequence(written: &str, maxspan_millis: Option<u64>) -> Plan {
    let (steps, until) = written
        .split_once(" until ")
        .map_or((written, None), |(steps, until)| (steps, Some(until)));
    let stages = steps.split(' ').map(|step| {
        let runs = step
            .split_once('*')
            .map_or(1, |(_, runs)| runs.parse().unwrap_or(1));
        stage(step.starts_with('!'), runs)
    });
    plan(Query::Sequence(Sequence {
        stages: stages.collect(),
        until: until.map(|_| stage(false, 1)),
        maxspan: maxspan_millis.map(|millis| millis * 1_000_000),
    }))
}

/// The event at this position satisfies the step under the key.
pub(crate) fn step(step: u16, key: &str, millis: i64, position: u64) -> StepMatch {
    static SOURCE: LazyLock<Arc<str>> = LazyLock::new(|| "test".into());
    let origin = Origin {
        source: Arc::clone(&SOURCE),
        line: position,
    };
    let document = format!(r#"{{"position":{position}}}"#).into_bytes();
    let event = Event::new(document, Some(EventId::given(position.to_string())), origin);
    step_of(Arc::new(event), step, key, millis, position)
}

/// The same of an event that is there already.
pub(crate) fn step_of(event: Arc<Event>, step: u16, key: &str, millis: i64, position: u64) -> StepMatch {
    let ordinal = Ordinal {
        time: Instant::from_millis(millis),
        tiebreaker: None,
        position,
    };
    let keys = [Some(Value::String(key.into()))];
    StepMatch::new(RuleIndex(0), step, &keys, Some(ordinal), position, event)
}
